//! The network is stopped and started again on the same folder: clients find it as they left it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use switchboard_simnet::{SimConfig, SimError, SimNet};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::raw_client::{Mark, RawClient, Setup, jid};
use switchboard_tests::sim::{ADMIN_KEY, Sim};
use whatsapp_rust::prelude::*;

use crate::faults::{came, times};
use crate::groups::{create, member};
use crate::identity::acquainted;
use crate::media::{file_of, picture};
use crate::{ADA, BO, CY, DI};

/// Stops the network and starts it again; all these clients have come back to it.
async fn restarted(sim: Sim, folder: &Path, clients: &[&RawClient]) -> Sim {
    let marks: Vec<Mark> = clients.iter().map(|client| client.mark()).collect();
    let sim = sim.restart_in(folder).await;
    for (client, mark) in clients.iter().zip(marks) {
        client.connected(mark).await;
    }
    sim
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_come_back_to_a_network_that_was_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mut sim = Sim::start_in(folder.path()).await;
    let (ada, bo) = acquainted(&sim).await;
    let (root, devices) = (sim.root_public_key(), sim.devices(ADA).await);
    let (mut to_bo, mut to_ada) = (bo.received_ids(), ada.received_ids());
    for n in 0..3 {
        sim = restarted(sim, folder.path(), &[&ada, &bo]).await;
        assert_eq!((sim.root_public_key(), sim.devices(ADA).await), (root, devices.clone()));
        let there = ada.send_text(&bo.jid(), &format!("there {n}")).await;
        bo.message(&there).await;
        sim.shows_id(BO, &there).await;
        let back = bo.send_text(&ada.jid(), &format!("and back {n}")).await;
        ada.message(&back).await;
        to_bo.push(there);
        to_ada.push(back);
    }
    assert_eq!((bo.received_ids(), ada.received_ids()), (to_bo, to_ada));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_before_a_restart_arrives_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let sim = Sim::start_in(folder.path()).await;
    let (ada, bo) = acquainted(&sim).await;
    let bo = bo.suspend().await;
    let mut ids = Vec::new();
    for n in 0..8 {
        let id = ada.send_text(&jid(BO), &format!("before {n}")).await;
        assert_eq!(ada.answer_to(&id).await, None);
        ids.push(id);
    }
    let sim = restarted(sim, folder.path(), &[&ada]).await;
    for n in 0..4 {
        ids.push(ada.send_text(&jid(BO), &format!("afterwards {n}")).await);
    }
    sim.shows_id(BO, ids.last().unwrap()).await;
    let bo = bo.resume(&sim).await;
    for id in &ids {
        assert!(bo.message(id).await.info.is_offline, "it waited in the queue");
    }
    assert_eq!(bo.received_ids(), ids);
    // What it has confirmed does not come back with the next start.
    let bo = bo.suspend().await;
    let sim = restarted(sim, folder.path(), &[&ada]).await;
    let bo = bo.resume(&sim).await;
    let last = ada.send_text(&jid(BO), "last").await;
    bo.message(&last).await;
    assert_eq!(bo.received_ids(), [last]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_delivered_and_not_confirmed_before_a_restart_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let sim = Sim::start_in(folder.path()).await;
    sim.phone(ADA).await;
    let left = Arc::new(AtomicU32::new(0));
    let setup = Setup { failing_commits: Some(Arc::clone(&left)), ..Setup::named("Bo") };
    let bo = RawClient::linked_with(&sim, BO, setup).await;
    let first = sim.send_text(ADA, BO, "written down at once").await;
    bo.message(&first).await;
    left.store(1, Ordering::SeqCst);
    let second = sim.send_text(ADA, BO, "written down later").await;
    assert!(until(PATIENCE, async || left.load(Ordering::SeqCst) == 0).await, "it never tried");
    let sim = restarted(sim, folder.path(), &[&bo]).await;
    bo.message(&second).await;
    let third = sim.send_text(ADA, BO, "and this").await;
    bo.message(&third).await;
    assert_eq!(bo.received_ids(), [first, second, third]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_network_held_back_before_a_restart_arrives_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let sim = Sim::start_in(folder.path()).await;
    sim.phone(ADA).await;
    sim.phone(CY).await;
    let (bo, di) = (RawClient::linked(&sim, BO).await, RawClient::linked(&sim, DI).await);
    // One connection lets nothing through; to the other device each message comes an hour late.
    sim.fault(json!({ "fault": "half_open", "number": BO })).await;
    sim.fault(json!({ "fault": "delay", "number": DI, "ms": 3_600_000 })).await;
    let mut ids = Vec::new();
    for (by, text) in [(ADA, "one"), (ADA, "two"), (CY, "three")] {
        ids.push((sim.send_text(by, BO, text).await, sim.send_text(by, DI, text).await));
    }
    let sim = restarted(sim, folder.path(), &[&bo, &di]).await;
    for (to_bo, to_di) in &ids {
        bo.message(to_bo).await;
        di.message(to_di).await;
    }
    assert_eq!(sim.get("faults").await, json!({ "faults": [] }), "a restart heals everything");
    for (client, number) in [(&bo, BO), (&di, DI)] {
        let last = sim.send_text(CY, number, "last").await;
        client.message(&last).await;
    }
    assert!(ids.iter().all(|(to_bo, to_di)| (bo.received(to_bo), di.received(to_di)) == (1, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_answer_a_restart_swallowed_is_shown_once() {
    let folder = tempfile::tempdir().unwrap();
    let sim = Sim::start_in(folder.path()).await;
    let ada = RawClient::linked(&sim, ADA).await;
    sim.phone(BO).await;
    sim.fault(json!({ "fault": "no_ack", "number": ADA })).await;
    let id = ada.send_text(&jid(BO), "did it arrive?").await;
    sim.shows_id(BO, &id).await;
    let sim = restarted(sim, folder.path(), &[&ada]).await;
    assert_eq!(ada.count(|event| matches!(event, Event::ServerAck(ack) if ack.id == id)), 0);
    let options = SendOptions::default().with_message_id(id.as_str());
    ada.client.send_message_with_options(jid(BO), wa::Message::text("did it arrive?"), options).await.unwrap();
    assert_eq!(ada.answer_to(&id).await, None);
    let next = ada.send_text(&jid(BO), "good").await;
    sim.shows_id(BO, &next).await;
    let shown: Vec<Value> = sim.shown(BO).await.iter().map(|shown| shown["id"].clone()).collect();
    assert_eq!(shown, [json!(id), json!(next)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_keep_what_they_showed_and_go_on_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let sim = Sim::start_in(folder.path()).await;
    let (ada, bo) = acquainted(&sim).await;
    sim.phone_named(CY, "Cy").await;
    let (file, received) = picture(&ada, &bo, 21).await;
    let text = ada.send_text(&jid(CY), "helo").await;
    ada.client.edit_message(&jid(CY), text.clone(), wa::Message::text("hello")).await.unwrap();
    sim.shows(CY, "the right word", |shown| shown["edited"] == text.as_str()).await;
    let reaction = sim.send(CY, ADA, json!({ "reaction": { "message_id": text, "emoji": "👍" } })).await;
    ada.message(&reaction).await;
    sim.send_text(CY, BO, "between phones").await;
    let picture = sim.shows_id(BO, &received.info.id).await;
    let mut before = Vec::new();
    for number in [ADA, BO, CY] {
        before.push((sim.shown(number).await, sim.get(&format!("phones/{number}/messages?own=true&wait_ms=0")).await));
    }
    let (summary, journal) = (sim.phone_summary(CY).await, sim.journal().await);

    let sim = restarted(sim, folder.path(), &[&ada, &bo]).await;
    for (number, before) in [ADA, BO, CY].into_iter().zip(&before) {
        let after = (sim.shown(number).await, sim.get(&format!("phones/{number}/messages?own=true&wait_ms=0")).await);
        assert_eq!(after, *before, "{number}");
    }
    assert_eq!(sim.phone_summary(CY).await, summary);
    assert!(sim.journal().await.starts_with(&journal), "the journal goes on where it was");
    assert!(sim.file(BO, &picture).await == file);
    assert!(bo.client.download(file_of(&received.message)).await.unwrap() == file);
    // The new is behind the old, and everybody still opens what the others seal.
    let new = ada.send_text(&jid(CY), "still there?").await;
    let shown = sim.shows_id(CY, &new).await;
    let last = before[2].0.last().and_then(|shown| shown["n"].as_u64()).unwrap();
    assert!(shown["n"].as_u64() > Some(last), "{shown} comes after {last}");
    let (lease, mark) = (ada.client.acquire_raw_node_forwarding(), ada.mark());
    let back = sim.send_text(CY, ADA, "of course").await;
    assert_eq!(ada.message(&back).await.message.text_content(), Some("of course"));
    assert_eq!(times(&came(&ada, mark), &back), 1, "it was read at the first try");
    drop(lease);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_survive_with_their_members_and_their_keys() {
    let folder = tempfile::tempdir().unwrap();
    let sim = Sim::start_in(folder.path()).await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    sim.phone(CY).await;
    sim.phone(DI).await;
    let group = create(&ada, "Club", &[BO, CY]).await.id;
    let groups = ada.client.groups();
    groups.promote_participants(&group, &[jid(BO)]).await.unwrap();
    groups.set_locked(&group, true).await.unwrap();
    let first = ada.send_text(&group, "first").await;
    bo.message(&first).await;
    sim.shows_id(CY, &first).await;
    let second = sim.send_text(CY, &group.to_string(), "second").await;
    for client in [&ada, &bo] {
        client.message(&second).await;
    }
    let before = bo.client.groups().get_metadata(&group).await.unwrap();

    let sim = restarted(sim, folder.path(), &[&ada, &bo]).await;
    let after = bo.client.groups().get_metadata(&group).await.unwrap();
    assert_eq!((after.subject.as_str(), after.is_locked), ("Club", true));
    assert_eq!(format!("{after:?}"), format!("{before:?}"));
    assert!(member(&after, BO).unwrap().is_admin() && member(&after, ADA).unwrap().is_super_admin());
    let third = ada.send_text(&group, "third").await;
    bo.message(&third).await;
    assert_eq!(sim.shows_id(CY, &third).await["chat"], group.to_string());
    let fourth = sim.send_text(CY, &group.to_string(), "fourth").await;
    for client in [&ada, &bo] {
        assert_eq!(client.message(&fourth).await.info.source.chat, group);
    }
    // It can still be changed by those who may.
    bo.client.groups().add_participants(&group, &[jid(DI)]).await.unwrap();
    let fifth = bo.send_text(&group, "fifth").await;
    for number in [CY, DI] {
        sim.shows_id(number, &fifth).await;
    }
    assert_eq!(ada.client.groups().query_info(&group).await.unwrap().participants.len(), 4);
    assert_eq!(bo.received_ids(), [first, second, third, fourth]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_have_chosen_survives() {
    let folder = tempfile::tempdir().unwrap();
    let sim = Sim::start_in(folder.path()).await;
    let (ada, bo) = acquainted(&sim).await;
    sim.phone(CY).await;
    let gazette = ada.client.newsletter().create("Gazette", None).await.unwrap().jid;
    bo.client.newsletter().join(&gazette).await.unwrap();
    let post = ada.send_text(&gazette, "Bridge open again").await;
    bo.message(&post).await;
    let known = sim.send_text(CY, BO, "do I know you?").await;
    bo.message(&known).await;
    bo.client.blocking().block(&jid(CY)).await.unwrap();
    ada.client.profile().set_status_text("Away").await.unwrap();

    let sim = restarted(sim, folder.path(), &[&ada, &bo]).await;
    let posts = bo.client.newsletter().get_messages(&gazette, 50, None).await.unwrap();
    assert_eq!(posts.len(), 1);
    assert!(bo.client.newsletter().list_subscribed().await.unwrap().iter().any(|one| one.jid == gazette));
    let post = ada.send_text(&gazette, "And closed again").await;
    bo.message(&post).await;
    assert!(bo.client.blocking().is_blocked(&jid(CY)).await.unwrap());
    let ignored = sim.send_text(CY, BO, "please").await;
    let told = bo.client.contacts().get_user_info(&[ada.jid()]).await.unwrap();
    assert!(told.values().any(|info| info.status.as_deref() == Some("Away")), "{told:?}");
    let last = ada.send_text(&bo.jid(), "last").await;
    bo.message(&last).await;
    assert_eq!(bo.received(&ignored), 0);
}

/// A code that a client shows after `mark`.
async fn code_after(client: &RawClient, mark: Mark) -> String {
    client
        .hears_after(mark, "a QR code", |event| match event {
            Event::PairingQrCode(qr) => Some(qr.code.clone()),
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_from_before_a_restart_is_no_longer_valid() {
    let folder = tempfile::tempdir().unwrap();
    let sim = Sim::start_in(folder.path()).await;
    sim.phone(ADA).await;
    let client = RawClient::start(&sim, Setup::named("Desk")).await;
    let old = client.qr().await;
    let mark = client.mark();
    let sim = sim.restart_in(folder.path()).await;
    let scan = format!("phones/{ADA}/scan");
    let (status, why) = sim.ask("POST", &scan, Some(&json!({ "code": old }))).await;
    assert_eq!(status, 410, "{why}");
    // The client shows another one as soon as it is back.
    let fresh = code_after(&client, mark).await;
    let (status, why) = sim.ask("POST", &scan, Some(&json!({ "code": old }))).await;
    assert_eq!(status, 410, "{why}");
    assert!(sim.devices(ADA).await.is_empty());
    sim.scan(ADA, &fresh).await;
    client.connected(mark).await;
    assert_eq!(sim.devices(ADA).await, [u64::from(client.device_jid().device)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_belongs_to_one_network_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let sim = Sim::start_in(folder.path()).await;
    sim.phone(ADA).await;
    let config = SimConfig {
        data_dir: Some(folder.path().to_owned()),
        listen: (std::net::Ipv4Addr::LOCALHOST, 0).into(),
        tls_listen: None,
        admin_key: ADMIN_KEY.to_owned(),
    };
    let refused = SimNet::start(config).await.err();
    assert!(matches!(refused, Some(SimError::StateLog(_))), "{refused:?}");
    sim.stop().await;
    let sim = Sim::start_in(folder.path()).await;
    assert_eq!(sim.phone_summary(ADA).await["number"], ADA);
}
