//! Every device gets every message once, whatever it missed or lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::raw_client::{Mark, RawClient, Setup, jid};
use switchboard_tests::sim::Sim;
use whatsapp_rust::NodeFilter;
use whatsapp_rust::prelude::*;
use whatsapp_rust::wacore::iq::prekeys::PreKeyCountSpec;

use crate::groups::Club;
use crate::{ADA, BO, CY};

/// More people than a client has one-time keys.
const STRANGERS: usize = 45;

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_client_comes_in_order_and_once() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let first = ada.send_text(&bo.jid(), "before").await;
    bo.message(&first).await;
    let bo = bo.suspend().await;
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(ada.send_text(&jid(BO), &format!("while you were away {n}")).await);
    }
    let bo = bo.resume(&sim).await;
    for id in &ids {
        assert!(bo.message(id).await.info.is_offline, "it waited in the queue");
    }
    assert_eq!(bo.received_ids(), ids);
    let live = ada.send_text(&jid(BO), "welcome back").await;
    assert!(!bo.message(&live).await.info.is_offline);

    // Nothing is left over for the next time.
    let again = bo.suspend().await.resume(&sim).await;
    let last = ada.send_text(&jid(BO), "and again").await;
    again.message(&last).await;
    assert_eq!(again.received_ids(), [last]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_of_several_chats_comes_in_the_order_of_each() {
    let Club { sim, ada, bo, group } = Club::start().await;
    let (hello, shared) = (ada.send_text(&bo.jid(), "hello").await, ada.send_text(&group, "hello all").await);
    bo.message(&hello).await;
    bo.message(&shared).await;
    let bo = bo.suspend().await;
    let (mut by_ada, mut by_cy, mut in_group) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..12 {
        by_ada.push(ada.send_text(&jid(BO), &format!("to you {n}")).await);
        let shared = ada.send_text(&group, &format!("to all {n}")).await;
        // Only what the network has taken comes before what the phone says next.
        assert_eq!(ada.answer_to(&shared).await, None);
        in_group.push(shared);
        by_cy.push(sim.send_text(CY, BO, &format!("by phone {n}")).await);
        in_group.push(sim.send_text(CY, &group.to_string(), &format!("by phone to all {n}")).await);
    }
    let bo = bo.resume(&sim).await;
    for id in by_ada.iter().chain(&by_cy).chain(&in_group) {
        assert!(bo.message(id).await.info.is_offline, "it waited in the queue");
    }
    let received = bo.received_ids();
    for chat in [by_ada, by_cy, in_group] {
        let order: Vec<_> = received.iter().filter(|id| chat.contains(id)).cloned().collect();
        assert_eq!(order, chat);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_devices_of_an_account_see_what_it_gets_and_what_it_sends() {
    let sim = Sim::start().await;
    let bo = RawClient::linked(&sim, BO).await;
    let (desk, laptop) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, ADA).await);
    assert_eq!(sim.devices(ADA).await.len(), 2);
    let to_both = bo.send_text(&desk.jid(), "to both").await;
    for device in [&desk, &laptop] {
        assert!(!device.message(&to_both).await.info.source.is_from_me);
    }
    let by_desk = desk.send_text(&bo.jid(), "by the desk").await;
    bo.message(&by_desk).await;
    let copy = laptop.message(&by_desk).await;
    assert!(copy.info.source.is_from_me);
    let chat = copy.info.source.chat.to_non_ad();
    assert!(chat == bo.jid() || chat == bo.lid(), "{chat}");
    assert_eq!(copy.message.text_content(), Some("by the desk"));
    // What the phone's owner writes, they see as well.
    let by_phone = sim.send_text(ADA, BO, "by the phone").await;
    for device in [&desk, &laptop] {
        assert!(device.message(&by_phone).await.info.source.is_from_me);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_linked_later_is_written_to_from_then_on() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let early = ada.send_text(&bo.jid(), "early").await;
    bo.message(&early).await;
    let mark = ada.mark();
    let laptop = RawClient::linked(&sim, BO).await;
    ada.hears_after(mark, "the new device", |event| matches!(event, Event::DeviceListUpdate(_)).then_some(())).await;
    let late = ada.send_text(&bo.jid(), "late").await;
    assert_eq!(laptop.message(&late).await.message.text_content(), Some("late"));
    assert_eq!(laptop.received(&early), 0);
    bo.message(&late).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_lost_its_sessions_asks_for_what_it_cannot_read() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let there = ada.send_text(&bo.jid(), "there").await;
    bo.message(&there).await;
    let back = bo.send_text(&ada.jid(), "and back").await;
    ada.message(&back).await;
    let from_phone = sim.send_text(ADA, BO, "from the phone").await;
    bo.message(&from_phone).await;

    let phone = ada.jid();
    bo.client.signal().delete_sessions(&[ada.device_jid(), phone]).await.unwrap();
    let lost = ada.send_text(&bo.jid(), "once more, please").await;
    assert_eq!(bo.message(&lost).await.message.text_content(), Some("once more, please"));
    let lost = sim.send_text(ADA, BO, "and you").await;
    assert_eq!(bo.message(&lost).await.message.text_content(), Some("and you"));
    let after = ada.send_text(&bo.jid(), "thanks").await;
    bo.message(&after).await;
    assert_eq!(bo.received(&after), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_cannot_read_asks_again() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    sim.phone(BO).await;
    let first = ada.send_text(&jid(BO), "first").await;
    sim.shows_id(BO, &first).await;
    // The client forgets the session and opens a new one; the phone takes it.
    ada.client.signal().delete_sessions(&[jid(BO)]).await.unwrap();
    let second = ada.send_text(&jid(BO), "second").await;
    assert_eq!(sim.shows_id(BO, &second).await["text"], "second");
    assert_eq!(sim.shown(BO).await.len(), 2);
}

async fn write(from: &RawClient, to: &Jid, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(from.send_text(to, &format!("message {n}")).await);
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn many_messages_both_ways_at_once_arrive_once_and_in_order() {
    const EACH: usize = 50;
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let (to_ada, to_bo) = (ada.jid(), bo.jid());
    let (by_ada, by_bo) = tokio::join!(write(&ada, &to_bo, EACH), write(&bo, &to_ada, EACH));
    for (client, ids) in [(&bo, &by_ada), (&ada, &by_bo)] {
        for id in ids {
            client.message(id).await;
        }
        assert_eq!(&client.received_ids(), ids);
    }
    ada.assert_nothing_lost();
}

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_serve_those_who_write_for_the_first_time() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    ada.client.rotate_signed_pre_key().await.unwrap();
    ada.client.refresh_pre_keys().await.unwrap();
    ada.client.validate_digest_key().await.unwrap();
    let cy = RawClient::linked(&sim, CY).await;
    let id = cy.send_text(&ada.jid(), "hello").await;
    assert_eq!(ada.message(&id).await.message.text_content(), Some("hello"));
    let id = sim.send_text(CY, ADA, "hello again").await;
    ada.message(&id).await;
}

/// How many one-time keys of a client the network still has.
async fn keys_left(client: &RawClient) -> usize {
    client.client.execute(PreKeyCountSpec::new()).await.unwrap().count
}

/// Lets people write to Ada for the first time, each with a one-time key of her client's if there is one.
async fn strangers_write(sim: &Sim, numbers: std::ops::Range<usize>) -> Vec<String> {
    let mut ids = Vec::new();
    for n in numbers {
        let number = format!("4915200000{n:03}");
        sim.phone(&number).await;
        ids.push(sim.send_text(&number, ADA, &format!("from stranger {n}")).await);
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_keys_run_low_makes_new_ones() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    let at_first = keys_left(&ada).await;
    assert!(at_first < STRANGERS, "{at_first} keys are too many to use up");
    let low = ada.client.wait_for_node(NodeFilter::tag("notification").attr("type", "encrypt"));
    let used = at_first - 5;
    let mut ids = strangers_write(&sim, 0..used).await;
    assert_eq!(keys_left(&ada).await, 5, "each first message takes a key");
    ids.extend(strangers_write(&sim, used..used + 1).await);
    tokio::time::timeout(PATIENCE, low).await.expect("it is told that its keys run low").unwrap();
    assert!(until(PATIENCE, async || keys_left(&ada).await > at_first).await, "{} keys", keys_left(&ada).await);
    ids.extend(strangers_write(&sim, used + 1..STRANGERS).await);
    for id in &ids {
        ada.message(id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_back_without_keys_reads_everything_and_makes_new_ones() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    let at_first = keys_left(&ada).await;
    assert!(at_first < STRANGERS, "{at_first} keys are too many to use up");
    let ada = ada.suspend().await;
    let ids = strangers_write(&sim, 0..STRANGERS).await;
    let ada = ada.resume(&sim).await;
    for id in &ids {
        ada.message(id).await;
    }
    assert!(until(PATIENCE, async || keys_left(&ada).await >= at_first).await, "{} keys", keys_left(&ada).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_could_not_write_down_comes_again() {
    let sim = Sim::start().await;
    let left = Arc::new(AtomicU32::new(0));
    let ada = RawClient::linked(&sim, ADA).await;
    let bo =
        RawClient::linked_with(&sim, BO, Setup { failing_commits: Some(Arc::clone(&left)), ..Setup::named("Bo") }).await;
    let first = ada.send_text(&bo.jid(), "written down at once").await;
    bo.message(&first).await;
    left.store(1, Ordering::SeqCst);
    let second = ada.send_text(&bo.jid(), "written down later").await;
    assert!(until(PATIENCE, async || left.load(Ordering::SeqCst) == 0).await, "it never tried");
    assert_eq!(bo.received(&second), 0, "what is not written down has not been received");
    bo.client.reconnect_immediately().await;
    bo.message(&second).await;
    assert_eq!((bo.received(&first), bo.received(&second)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_changes_its_connection_misses_nothing() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let connected =
        |mark: Mark| bo.hears_after(mark, "a new connection", |event| matches!(event, Event::Connected(_)).then_some(()));
    let mark = bo.mark();
    bo.client.reconnect_immediately().await;
    let during = ada.send_text(&jid(BO), "during the change").await;
    connected(mark).await;
    bo.message(&during).await;
    let mark = bo.mark();
    bo.client.reconnect().await;
    let meanwhile = ada.send_text(&jid(BO), "meanwhile").await;
    connected(mark).await;
    bo.message(&meanwhile).await;
    assert_eq!(bo.received_ids(), [during, meanwhile]);
}

#[tokio::test(flavor = "multi_thread")]
async fn stanzas_are_watched_on_their_way_out_and_in() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let lease = bo.client.acquire_raw_node_forwarding();
    let id = "3EB0C0FFEE0000000002";
    let sent = ada.client.wait_for_sent_node(NodeFilter::tag("message").attr("id", id));
    let received = bo.client.wait_for_node(NodeFilter::tag("message").attr("id", id));
    let options = SendOptions::default().with_message_id(id);
    ada.client.send_message_with_options(bo.jid(), wa::Message::text("watched"), options).await.unwrap();
    tokio::time::timeout(PATIENCE, sent).await.expect("it goes out").unwrap();
    tokio::time::timeout(PATIENCE, received).await.expect("it comes in").unwrap();
    bo.hears("a raw stanza", |event| matches!(event, Event::RawNode(_)).then_some(())).await;
    drop(lease);
}
