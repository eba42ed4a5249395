//! Longer stories, in which many things happen at once or one after the other.

use serde_json::json;
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::raw_client::{Mark, RawClient, Setup, jid};
use switchboard_tests::sim::Sim;
use whatsapp_rust::media::{ImageOptions, image_message};
use whatsapp_rust::prelude::*;
use whatsapp_rust::types::presence::ReceiptType;
use whatsapp_rust::wacore::download::MediaType;
use whatsapp_rust::wacore::stanza::groups::GroupNotificationAction as Action;
use whatsapp_rust::{RevokeType, UploadOptions};

use crate::groups::{change, create};
use crate::{ADA, BO, CY, DI};

/// Lets whoever scans codes at the network itself link a client, by the name it brings along.
async fn registered(sim: &Sim, name: &str) -> RawClient {
    let client = RawClient::start(sim, Setup::named(name)).await;
    let code = client.qr().await;
    let scanned = sim.http().exchange("POST", "/admin/mock-phone/scan-qr", &[], code.into_bytes()).await.unwrap();
    assert_eq!(scanned.status / 100, 2, "{scanned:?}");
    client.connected(Mark::default()).await;
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_at_the_shop() {
    let sim = Sim::start().await;
    let (desk, till) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, ADA).await);
    sim.phone_named(BO, "Bo").await;
    sim.phone_named(CY, "Cy").await;

    // A customer asks, the desk answers with a picture, the customer reads it.
    let question = sim.send_text(BO, ADA, "Do you have it in blue?").await;
    let asked = desk.message(&question).await;
    assert_eq!(asked.info.push_name, "Bo");
    let chat = asked.info.source.chat.clone();
    desk.client.mark_as_read(&chat, None, &[&question]).await.unwrap();
    desk.client.chatstate().send_composing(&chat).await.unwrap();
    let picture: Vec<u8> = (0..40_000_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
    let upload = desk.client.upload(picture.clone(), MediaType::Image, UploadOptions::new()).await.unwrap();
    let options = ImageOptions { caption: Some("This one?".to_owned()), ..Default::default() };
    let answer = desk.send(&chat, image_message(upload, options)).await;
    let shown = sim.shows_id(BO, &answer).await;
    assert!(sim.file(BO, &shown).await == picture);
    sim.post(&format!("phones/{BO}/receipts"), json!({ "message_id": answer })).await;
    desk.receipt(&answer, ReceiptType::Read).await;
    let yes = sim.send(BO, ADA, json!({ "reaction": { "message_id": answer, "emoji": "👍" } })).await;

    // The till sees it all, and writes the wrong price, which it corrects.
    assert!(till.message(&answer).await.info.source.is_from_me);
    till.message(&yes).await;
    let price = till.send_text(&chat, "That is 500.00").await;
    till.client.edit_message(&chat, price.clone(), wa::Message::text("That is 50.00")).await.unwrap();
    let corrected = sim.shows(BO, "the right price", |shown| shown["edited"] == price.as_str()).await;
    assert_eq!(corrected["text"], "That is 50.00");
    desk.message(&price).await;

    // A group for regular customers, without the one who never asked for it.
    let group = create(&desk, "Regulars", &[BO, CY]).await.id;
    let offer = desk.send_text(&group, "Everything half price").await;
    for number in [BO, CY] {
        sim.shows_id(number, &offer).await;
    }
    desk.client.groups().remove_participants(&group, &[jid(CY)]).await.unwrap();
    let oops = sim.send_text(BO, &group.to_string(), "spam spam").await;
    let spam = till.message(&oops).await;
    let original_sender = spam.info.source.sender.to_non_ad();
    desk.client.revoke_message(&group, oops.clone(), RevokeType::Admin { original_sender }).await.unwrap();
    sim.shows(BO, "that it is gone", |shown| shown["revoked"] == oops.as_str()).await;

    // The till breaks, and another one takes its place.
    let device = till.device_jid().device;
    sim.must("DELETE", &format!("phones/{ADA}/devices/{device}"), None).await;
    let till = RawClient::linked(&sim, ADA).await;
    let thanks = sim.send_text(BO, ADA, "Thank you").await;
    till.message(&thanks).await;
    desk.message(&thanks).await;
}

async fn talk(client: &RawClient, group: &Jid, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(client.send_text(group, &format!("message {n}")).await);
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_talk_in_one_group_at_once() {
    const MEMBERS: usize = 5;
    const EACH: usize = 8;
    let sim = Sim::start().await;
    let numbers: Vec<String> = (0..MEMBERS).map(|n| format!("4915100001{n:02}")).collect();
    let mut clients = Vec::new();
    for number in &numbers {
        clients.push(RawClient::linked(&sim, number).await);
    }
    let others: Vec<&str> = numbers[1..].iter().map(String::as_str).collect();
    let group = create(&clients[0], "Crowd", &others).await.id;
    for client in &clients[1..] {
        change(client, Mark::default(), "the group", |action| matches!(action, Action::Create { .. })).await;
    }
    // One after the other inside a client, all clients at once.
    let said: Vec<Vec<String>> =
        futures_util::future::join_all(clients.iter().map(|client| talk(client, &group, EACH))).await;
    for (listener, client) in clients.iter().enumerate() {
        for (speaker, ids) in said.iter().enumerate().filter(|(speaker, _)| *speaker != listener) {
            for id in ids {
                client.message(id).await;
                assert_eq!(client.received(id), 1, "client {listener} heard {id} of {speaker} more than once");
            }
            let heard: Vec<String> = client.received_ids().into_iter().filter(|id| ids.contains(id)).collect();
            assert_eq!(heard, *ids, "client {listener} heard {speaker} out of order");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_comes_and_goes_and_nobody_misses_anything() {
    const ROUNDS: usize = 4;
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    let mut bo = RawClient::linked(&sim, BO).await;
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        let off = bo.suspend().await;
        for n in 0..5 {
            all.push(ada.send_text(&jid(BO), &format!("round {round}, text {n}")).await);
        }
        bo = off.resume(&sim).await;
        for id in &all[all.len() - 5..] {
            bo.message(id).await;
        }
        let answer = bo.send_text(&ada.jid(), &format!("got round {round}")).await;
        ada.message(&answer).await;
    }
    // The phone has had everything in its order all the time.
    let shown: Vec<String> = sim.shown(BO).await.iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(shown, all);
    let journal = sim.journal().await;
    assert!(all.iter().all(|id| journal.iter().any(|entry| entry["id"] == id.as_str())), "the journal has each of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_account_trusts_those_it_wrote_to() {
    let sim = Sim::start().await;
    let strict = registered(&sim, "restricted:Strict").await;
    let (friend, stranger) = (registered(&sim, "Friend").await, registered(&sim, "Stranger").await);
    let refused = stranger.send_text(&strict.jid(), "who are you?").await;
    assert_eq!(stranger.answer_to(&refused).await.as_deref(), Some("463"));
    let hello = strict.send_text(&friend.jid(), "hello friend").await;
    friend.message(&hello).await;
    // The token follows the message.
    let (tokens, key) = (friend.client.tc_token(), strict.lid().user.to_string());
    assert!(until(PATIENCE, async || tokens.get(&key).await.unwrap().is_some()).await, "no token came along");
    let back = friend.send_text(&strict.jid(), "hello yourself").await;
    assert_eq!(friend.answer_to(&back).await, None);
    strict.message(&back).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_salted_token_opens_a_restricted_account_where_it_is_accepted() {
    const SENDER: &str = "scenario:nct_send_ab,nct_history_ab,nct_history_delivery:Sender";
    let sim = Sim::start().await;
    let sender = registered(&sim, SENDER).await;
    let open = registered(&sim, "scenario:restricted,cs_enabled=1:Open").await;
    let closed = registered(&sim, "scenario:restricted,cs_enabled=0:Closed").await;
    let taken = sender.send_text(&open.jid(), "I have a token").await;
    assert_eq!(sender.answer_to(&taken).await, None);
    open.message(&taken).await;
    let refused = sender.send_text(&closed.jid(), "I have a token").await;
    assert_eq!(sender.answer_to(&refused).await.as_deref(), Some("463"));
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_alone_make_a_network_too() {
    let sim = Sim::start().await;
    for number in [ADA, BO, CY, DI] {
        sim.phone(number).await;
    }
    let id = sim.send_text(ADA, BO, "from phone to phone").await;
    assert_eq!(sim.shows_id(BO, &id).await["text"], "from phone to phone");
    let group = sim.post("groups", json!({ "subject": "Phones", "participants": [ADA, BO, CY] })).await;
    let group = group["jid"].as_str().unwrap();
    let id = sim.send_text(BO, group, "hello phones").await;
    for number in [ADA, CY] {
        assert_eq!(sim.shows_id(number, &id).await["chat"], group);
    }
    assert!(sim.shown(DI).await.is_empty());
    let receipts = sim.get(&format!("phones/{ADA}/receipts?wait_ms=5000")).await;
    assert!(receipts["receipts"].as_array().unwrap().iter().any(|receipt| receipt["from"] == jid(BO).to_string()));
}
