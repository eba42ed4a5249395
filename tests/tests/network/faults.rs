//! What goes wrong on the way, put on by command or drawn by seed: what a client notices of it, and that in the end
//! everything has arrived once.

use std::sync::Arc;

use serde_json::json;
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::raw_client::{Mark, RawClient, Setup, jid};
use switchboard_tests::sim::Sim;
use whatsapp_rust::prelude::*;
use whatsapp_rust::types::events::TempBanReason;
use whatsapp_rust::wacore::types::events::ConnectFailureReason;
use whatsapp_rust::{ErrorChainExt, NodeFilter};

use crate::groups::create;
use crate::identity::acquainted;
use crate::media::{file_of, picture};
use crate::{ADA, BO, CY};

/// The longest that a fault lasts: longer than any test waits, so that only the test ends it.
const HOUR_MS: u64 = 3_600_000;

async fn clear(sim: &Sim) {
    sim.fault(json!({ "fault": "clear" })).await;
}

/// The ids of the stanzas of one kind that came over the wire after `mark`, before anything is made of them. Somebody must
/// have asked for raw stanzas by then.
fn stanzas(client: &RawClient, mark: Mark, tag: &str) -> Vec<String> {
    client.all_after(mark, |event| stanza_id(event, tag))
}

/// The id of a stanza of this kind.
fn stanza_id(event: &Event, tag: &str) -> Option<String> {
    match event {
        Event::RawNode(node) if node.get().tag == tag => node.get().attrs().optional_string("id").map(|id| id.to_string()),
        _ => None,
    }
}

/// The ids of the messages among them.
pub(crate) fn came(client: &RawClient, mark: Mark) -> Vec<String> {
    stanzas(client, mark, "message")
}

pub(crate) fn times(ids: &[String], id: &str) -> usize {
    ids.iter().filter(|came| *came == id).count()
}

/// Sends a text under an id of the caller's choice.
async fn send_as(client: &RawClient, id: &str, to: &Jid, text: &str) {
    let options = SendOptions::default().with_message_id(id);
    client.client.send_message_with_options(to, wa::Message::text(text), options).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_connection_is_dropped_comes_back_and_misses_nothing() {
    let sim = Sim::start().await;
    let (ada, bo) = acquainted(&sim).await;
    let mut ids = Vec::new();
    for abrupt in [false, true] {
        let mark = bo.mark();
        sim.fault(json!({ "fault": "drop", "number": BO, "abrupt": abrupt })).await;
        bo.hears_after(mark, "that the connection is lost", |event| matches!(event, Event::Disconnected(_)).then_some(()))
            .await;
        ids.push(ada.send_text(&jid(BO), "are you there?").await);
        bo.connected(mark).await;
        bo.message(ids.last().unwrap()).await;
    }
    ids.push(ada.send_text(&jid(BO), "welcome back").await);
    bo.message(ids.last().unwrap()).await;
    assert!(bo.received_ids().ends_with(&ids), "{:?} do not end with {ids:?}", bo.received_ids());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_connection_goes_on_where_it_stopped() {
    const BY_BO: &str = "3EB0C0FFEE0000000003";
    let sim = Sim::start().await;
    let (ada, bo) = acquainted(&sim).await;
    sim.fault(json!({ "fault": "stall", "number": BO, "ms": HOUR_MS })).await;
    let mut ids = Vec::new();
    for text in ["one", "two", "three"] {
        let id = ada.send_text(&jid(BO), text).await;
        assert_eq!(ada.answer_to(&id).await, None);
        sim.shows_id(BO, &id).await;
        ids.push(id);
    }
    let gone_out = bo.client.wait_for_sent_node(NodeFilter::tag("message").attr("id", BY_BO));
    let (to_ada, silence) = (ada.jid(), async {
        gone_out.await.unwrap();
        assert_eq!((bo.received(&ids[0]), ada.received(BY_BO)), (0, 0), "nothing passes in either direction");
        clear(&sim).await;
    });
    tokio::join!(send_as(&bo, BY_BO, &to_ada, "from the far side"), silence);
    ada.message(BY_BO).await;
    bo.message(&ids[2]).await;
    assert!(bo.received_ids().ends_with(&ids));

    // One that lasts a moment ends by itself.
    sim.fault(json!({ "fault": "stall", "number": BO, "ms": 100 })).await;
    let last = ada.send_text(&jid(BO), "four").await;
    bo.message(&last).await;
    assert_eq!(bo.count(|event| matches!(event, Event::Disconnected(_))), 0, "it has noticed nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gives_up_a_half_open_connection_by_itself() {
    let sim = Sim::start().await;
    let (ada, bo) = acquainted(&sim).await;
    let connections = || bo.count(|event| matches!(event, Event::Connected(_)));
    let (before, mark) = (connections(), bo.mark());
    sim.fault(json!({ "fault": "half_open", "number": BO })).await;
    let missed = ada.send_text(&jid(BO), "can you hear me?").await;
    sim.shows_id(BO, &missed).await;
    let unheard = bo.send_text(&ada.jid(), "can you?").await;
    assert!(bo.client.is_connected(), "nobody has told it");
    // It looks at a connection every half minute at most, and gives it up when 20 s after its last word nothing has come
    // (wacore 0.7.0 protocol/keepalive.rs); two looks may be needed.
    assert!(until(2 * PATIENCE, async || connections() > before).await, "it never came back");
    bo.connected(mark).await;
    bo.message(&missed).await;
    assert_eq!((bo.received(&missed), ada.received(&unheard)), (1, 0));
    send_as(&bo, &unheard, &ada.jid(), "can you?").await;
    ada.message(&unheard).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_refused_hears_why_and_does_not_insist() {
    let sim = Sim::start().await;
    sim.phone(ADA).await;
    let mut bo = RawClient::linked(&sim, BO).await;
    for (code, reason) in [
        (401, Some(ConnectFailureReason::LoggedOut)),
        (403, Some(ConnectFailureReason::AccountLocked)),
        // The client is too old.
        (405, None),
    ] {
        let mark = bo.mark();
        sim.fault(json!({ "fault": "refuse_login", "number": BO, "code": code })).await;
        sim.fault(json!({ "fault": "drop", "number": BO })).await;
        let heard = bo.hears_after(mark, "the refusal", |event| match event {
            Event::LoggedOut(out) if out.on_connect => Some(Some(out.reason)),
            Event::ClientOutdated(_) => Some(None),
            _ => None,
        });
        assert_eq!(heard.await, reason, "{code}");
        let off = bo.ended().await;
        let missed = sim.send_text(ADA, BO, "while you were refused").await;
        clear(&sim).await;
        bo = off.resume(&sim).await;
        bo.message(&missed).await;
        assert_eq!(bo.received_ids(), [missed], "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_comes_again_to_a_network_that_is_not_available() {
    let sim = Sim::start().await;
    sim.phone(ADA).await;
    let bo = RawClient::linked(&sim, BO).await;
    let mark = bo.mark();
    sim.fault(json!({ "fault": "refuse_login", "number": BO, "code": 503, "count": 2 })).await;
    sim.fault(json!({ "fault": "drop", "number": BO })).await;
    let missed = sim.send_text(ADA, BO, "when it is over").await;
    bo.connected(mark).await;
    bo.message(&missed).await;
    let refusals = bo.all_after(mark, |event| match event {
        Event::ConnectFailure(failure) => Some(failure.reason),
        _ => None,
    });
    assert_eq!(refusals, [ConnectFailureReason::ServiceUnavailable; 2]);
    assert_eq!(sim.get("faults").await, json!({ "faults": [] }), "it is used up");
    assert_eq!(bo.received(&missed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_wants_to_register_is_refused_like_the_others() {
    let sim = Sim::start().await;
    sim.fault(json!({ "fault": "refuse_login", "code": 405, "message": "too old" })).await;
    let refused = RawClient::start(&sim, Setup::named("Desk")).await;
    let words = refused.hears("that it is too old", |event| match event {
        Event::ClientOutdated(outdated) => Some(outdated.raw.clone()),
        _ => None,
    });
    let words = words.await.expect("the stanza is kept");
    assert_eq!(words.attrs().optional_string("message").as_deref(), Some("too old"));
    let off = refused.ended().await;
    clear(&sim).await;
    off.start(&sim).await.link(&sim, ADA).await;
    assert_eq!(sim.devices(ADA).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_replaced_does_not_fight() {
    let sim = Sim::start().await;
    sim.phone(ADA).await;
    let bo = RawClient::linked(&sim, BO).await;
    sim.fault(json!({ "fault": "replace", "number": BO })).await;
    bo.hears("that it is replaced", |event| matches!(event, Event::StreamReplaced(_)).then_some(())).await;
    let off = bo.ended().await;
    let missed = sim.send_text(ADA, BO, "to whoever replaced it").await;
    assert_eq!(sim.devices(BO).await.len(), 1, "it is linked all the same");
    let bo = off.resume(&sim).await;
    bo.message(&missed).await;
    assert_eq!(bo.received_ids(), [missed]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_logged_out_is_gone_and_its_phone_is_not() {
    let sim = Sim::start().await;
    let (ada, bo) = acquainted(&sim).await;
    let reason = async |client: &RawClient, on_connect: bool| {
        let wanted = |event: &Event| match event {
            Event::LoggedOut(out) if out.on_connect == on_connect => Some(out.reason),
            _ => None,
        };
        client.hears("that it is logged out", wanted).await
    };
    sim.fault(json!({ "fault": "log_out", "number": BO })).await;
    assert_eq!(reason(&bo, false).await, ConnectFailureReason::LoggedOut);
    let off = bo.ended().await;
    assert!(sim.devices(BO).await.is_empty());
    let after = ada.send_text(&jid(BO), "and your phone?").await;
    sim.shows_id(BO, &after).await;
    let again = off.start(&sim).await;
    assert_eq!(reason(&again, true).await, ConnectFailureReason::LoggedOut);
    again.ended().await;
    // The phone can be linked anew.
    let bo = RawClient::linked(&sim, BO).await;
    let fresh = sim.send_text(ADA, BO, "to the new one").await;
    bo.message(&fresh).await;
    assert_eq!(bo.received(&after), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_says_what_it_is_for_and_how_long_it_lasts() {
    let sim = Sim::start().await;
    sim.phone(ADA).await;
    let bo = RawClient::linked(&sim, BO).await;
    let ban = json!({
        "fault": "temp_ban", "number": BO, "code": 104, "expire": 7_200, "message": "slow down", "url": "https://example.com/why",
    });
    sim.fault(ban).await;
    let ban = bo.hears("the ban", |event| match event {
        Event::TemporaryBan(ban) => Some(ban.clone()),
        _ => None,
    });
    let ban = ban.await;
    assert_eq!(ban.code, TempBanReason::SentTooManySameMessage);
    let left_s = ban.expire.num_seconds();
    assert!((1..=7_200).contains(&left_s), "{left_s}");
    assert_eq!((ban.message.as_deref(), ban.url.as_deref()), (Some("slow down"), Some("https://example.com/why")));
    let off = bo.ended().await;
    let missed = sim.send_text(ADA, BO, "when you are back").await;
    clear(&sim).await;
    let bo = off.resume(&sim).await;
    bo.message(&missed).await;
    assert_eq!(bo.received_ids(), [missed]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_an_answer_has_arrived_all_the_same() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    sim.phone(BO).await;
    let group = create(&ada, "Club", &[BO]).await.id;
    for chat in [jid(BO), group] {
        // Not by number: acks of receipts, which come at any time, count as well.
        sim.fault(json!({ "fault": "no_ack", "number": ADA })).await;
        let unanswered = ada.send_text(&chat, "did it arrive?").await;
        // The network delivers a message and answers it in one step, so once it is shown no answer is to come.
        assert_eq!(sim.shows_id(BO, &unanswered).await["text"], "did it arrive?");
        clear(&sim).await;
        let next = ada.send_text(&chat, "and this?").await;
        assert_eq!(ada.answer_to(&next).await, None);
        let answers = |id: &str| ada.count(|event| matches!(event, Event::ServerAck(ack) if ack.id == id));
        assert_eq!((answers(&unanswered), answers(&next)), (0, 1));

        // Sent again under its id it is answered, and shown no second time.
        send_as(&ada, &unanswered, &chat, "did it arrive?").await;
        assert_eq!(ada.answer_to(&unanswered).await, None);
        let shown = sim.shown(BO).await;
        assert_eq!(shown.iter().filter(|shown| shown["id"] == unanswered.as_str()).count(), 1, "{shown:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_comes_after_that_of_a_later_message() {
    let sim = Sim::start().await;
    let (ada, bo) = acquainted(&sim).await;
    // Later than anybody waits.
    sim.fault(json!({ "fault": "late_ack", "number": ADA, "ms": HOUR_MS })).await;
    let late = ada.send_text(&jid(BO), "no hurry").await;
    bo.message(&late).await;
    clear(&sim).await;
    let prompt = ada.send_text(&jid(BO), "at once").await;
    assert_eq!(ada.answer_to(&prompt).await, None);
    assert_eq!(ada.count(|event| matches!(event, Event::ServerAck(ack) if ack.id == late)), 0);
    // Late, but in time for whoever waits.
    sim.fault(json!({ "fault": "late_ack", "number": ADA, "ms": 300 })).await;
    let id = ada.send_text(&jid(BO), "soon").await;
    assert_eq!(ada.answer_to(&id).await, None);
    bo.message(&id).await;
    assert_eq!([&late, &prompt, &id].map(|id| bo.received(id)), [1, 1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_twice_is_received_once() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let group = create(&ada, "Club", &[BO]).await.id;
    let lease = bo.client.acquire_raw_node_forwarding();
    let mark = bo.mark();
    let mut ids = Vec::new();
    // The first one opens a session, the second uses it; in the group the same.
    for chat in [bo.jid(), bo.jid(), group.clone(), group] {
        sim.fault(json!({ "fault": "duplicate", "number": BO })).await;
        let twice = ada.send_text(&chat, "once").await;
        bo.message(&twice).await;
        // Behind both copies, in the same chat.
        let once = ada.send_text(&chat, "and once").await;
        bo.message(&once).await;
        let came = came(&bo, mark);
        assert_eq!((times(&came, &twice), times(&came, &once)), (2, 1), "{came:?}");
        ids.extend([twice, once]);
    }
    assert_eq!(bo.received_ids(), ids);
    drop(lease);
    // Both copies are confirmed.
    let bo = bo.suspend().await.resume(&sim).await;
    let last = ada.send_text(&jid(BO), "last").await;
    bo.message(&last).await;
    assert_eq!(bo.received_ids(), [last]);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_one_chat_overtake_those_of_another_and_not_each_other() {
    let sim = Sim::start().await;
    for number in [ADA, CY] {
        sim.phone(number).await;
    }
    let bo = RawClient::linked(&sim, BO).await;
    let lease = bo.client.acquire_raw_node_forwarding();
    let mark = bo.mark();
    sim.fault(json!({ "fault": "reorder", "number": BO, "ms": HOUR_MS })).await;
    let first = sim.send_text(ADA, BO, "first").await;
    let second = sim.send_text(ADA, BO, "second").await;
    let other = sim.send_text(CY, BO, "from somebody else").await;
    for id in [&first, &second, &other] {
        bo.message(id).await;
    }
    assert_eq!(came(&bo, mark), [other.clone(), first.clone(), second.clone()]);
    let of_ada: Vec<String> = bo.received_ids().into_iter().filter(|id| *id != other).collect();
    assert_eq!(of_ada, [first, second]);
    // With nothing to overtake it, it waits.
    let alone = sim.send_text(ADA, BO, "alone").await;
    sim.shows_id(BO, &alone).await;
    assert_eq!(bo.received(&alone), 0);
    clear(&sim).await;
    bo.message(&alone).await;
    drop(lease);
}

/// Waits until a client has a damaged message both ways: sent again by its sender, and told by its own phone, which it asks at
/// the same time. It hands out both (whatsapp-rust 0.7.0 message/retry.rs and pdo.rs).
async fn recovered(client: &RawClient, id: &str) {
    for told_by_phone in [false, true] {
        let wanted =
            |seen: &&InboundMessage| seen.info.id == id && seen.info.unavailable_request_id.is_some() == told_by_phone;
        client.hears(&format!("{id} again"), |event| event.messages().find(wanted).map(drop)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_message_is_asked_for_again_and_read() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    sim.phone(CY).await;
    let group = create(&ada, "Club", &[BO, CY]).await.id;
    let lease = bo.client.acquire_raw_node_forwarding();
    let mark = bo.mark();
    let mut ids = Vec::new();
    // The first one opens a session and the second uses it.
    for text in ["the first", "a later one"] {
        for chat in [bo.jid(), group.clone()] {
            sim.fault(json!({ "fault": "corrupt", "number": BO })).await;
            let by_client = ada.send_text(&chat, text).await;
            recovered(&bo, &by_client).await;
            let to = if chat == group { group.to_string() } else { BO.to_owned() };
            sim.fault(json!({ "fault": "corrupt", "number": BO })).await;
            let by_phone = sim.send_text(CY, &to, text).await;
            recovered(&bo, &by_phone).await;
            ids.extend([(by_client, text), (by_phone, text)]);
        }
    }
    let came = came(&bo, mark);
    for (id, text) in &ids {
        assert_eq!(bo.message(id).await.message.text_content(), Some(*text));
        assert_eq!((times(&came, id), bo.received(id)), (2, 2), "{text}: {came:?}");
    }
    drop(lease);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_without_one_time_keys_is_written_to_all_the_same() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    for device in [0, bo.device_jid().device] {
        sim.fault(json!({ "fault": "missing_prekeys", "number": BO, "device": device })).await;
    }
    let first = ada.send_text(&bo.jid(), "first").await;
    let second = ada.send_text(&bo.jid(), "second").await;
    for (id, text) in [(&first, "first"), (&second, "second")] {
        assert_eq!(bo.message(id).await.message.text_content(), Some(text));
        assert_eq!(sim.shows_id(BO, id).await["text"], text);
    }
    let back = bo.send_text(&ada.jid(), "back").await;
    ada.message(&back).await;
    assert_eq!(bo.received_ids(), [first, second]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_without_any_keys_is_left_out_until_it_has_some() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    sim.fault(json!({ "fault": "missing_prekeys", "number": BO, "keys": "all" })).await;
    let without = ada.send_text(&bo.jid(), "to the phone alone").await;
    assert_eq!(ada.answer_to(&without).await, None);
    sim.shows_id(BO, &without).await;
    clear(&sim).await;
    let with = ada.send_text(&bo.jid(), "to both").await;
    bo.message(&with).await;
    sim.shows_id(BO, &with).await;
    assert_eq!(bo.received_ids(), [with]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_gone_for_once_and_comes_slowly() {
    let sim = Sim::start().await;
    let (ada, bo) = acquainted(&sim).await;
    let (file, received) = picture(&ada, &bo, 17).await;
    // There are two hosts, and a client asks the other one before it gives up.
    sim.fault(json!({ "fault": "media_missing", "count": 2 })).await;
    let gone = bo.client.download(file_of(&received.message)).await.unwrap_err();
    assert_eq!(gone.http_status(), Some(404), "{gone:#}");
    assert!(bo.client.download(file_of(&received.message)).await.unwrap() == file);

    // A host that takes its time holds up nothing but the file.
    sim.fault(json!({ "fault": "media_slow", "delay_ms": 600_000 })).await;
    tokio::select! {
        done = bo.client.download(file_of(&received.message)) => panic!("it came at once: {}", done.is_ok()),
        () = async {
            let meanwhile = ada.send_text(&jid(BO), "meanwhile").await;
            bo.message(&meanwhile).await;
        } => {}
    }
    sim.fault(json!({ "fault": "media_slow", "delay_ms": 100, "bytes_per_second": 100_000 })).await;
    assert!(bo.client.download(file_of(&received.message)).await.unwrap() == file);
    let (file, received) = picture(&ada, &bo, 18).await;
    sim.fault(json!({ "fault": "media_clear" })).await;
    assert!(bo.client.download(file_of(&received.message)).await.unwrap() == file);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_another_clock_is_told_other_times_and_works() {
    let sim = Sim::start().await;
    sim.phone(ADA).await;
    let (desk, laptop) = (RawClient::linked(&sim, BO).await, RawClient::linked(&sim, BO).await);
    let device = laptop.device_jid().device;
    for (skew_ms, skew_s) in [(-90_000, -90), (86_400_000, 86_400)] {
        sim.fault(json!({ "fault": "clock_skew", "number": BO, "device": device, "ms": skew_ms })).await;
        // It logs in under that clock too.
        let mark = laptop.mark();
        laptop.client.reconnect_immediately().await;
        laptop.connected(mark).await;
        let id = sim.send_text(ADA, BO, "what time is it?").await;
        let (right, other) = (desk.message(&id).await, laptop.message(&id).await);
        assert_eq!((other.info.timestamp - right.info.timestamp).num_seconds(), skew_s);
        let answer = laptop.send_text(&jid(ADA), "late").await;
        sim.shows_id(ADA, &answer).await;
        let copy = desk.message(&answer).await;
        let told = laptop.hears("the answer", |event| match event {
            Event::ServerAck(ack) if ack.id == answer => ack.timestamp,
            _ => None,
        });
        assert_eq!((told.await - copy.info.timestamp).num_seconds(), skew_s);
    }
}

/// How often each of many messages of a phone came to each of two clients while a seed decided which come twice.
async fn drawn(seed: u64) -> [Vec<usize>; 2] {
    let sim = Sim::start().await;
    sim.phone(ADA).await;
    let clients = [RawClient::linked(&sim, BO).await, RawClient::linked(&sim, BO).await];
    let leases = clients.each_ref().map(|client| client.client.acquire_raw_node_forwarding());
    sim.fault(json!({ "fault": "random", "seed": seed, "rate": 0.3, "kinds": ["duplicate"], "number": BO })).await;
    let mut ids = Vec::new();
    for n in 0..30 {
        ids.push(sim.send_text(ADA, BO, &format!("message {n}")).await);
    }
    let listed = sim.get("faults").await;
    clear(&sim).await;
    let last = sim.send_text(ADA, BO, "last").await;
    let mut drawn = [Vec::new(), Vec::new()];
    for (client, drawn) in clients.iter().zip(&mut drawn) {
        client.message(&last).await;
        assert!(client.received_ids().starts_with(&ids), "{:?}", client.received_ids());
        let came = came(client, Mark::default());
        drawn.extend(ids.iter().map(|id| times(&came, id)));
    }
    drop(leases);
    let struck = drawn.iter().flatten().filter(|copies| **copies == 2).count();
    assert_eq!(listed["faults"][0]["struck"], json!(struck), "{listed}");
    drawn
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_draws_the_same_faults() {
    let (one, same, other) = tokio::join!(drawn(5), drawn(5), drawn(6));
    assert_eq!(one, same);
    assert!(one[0] != one[1] && one[0] != other[0], "each device and each seed has faults of its own");
    for copies in one.iter().chain(&other) {
        assert!(copies.contains(&1) && copies.contains(&2), "{copies:?}");
    }
}

/// Waits until a client has heard a message, or was given it a second time. The library may lose one that it opens while the
/// connection breaks: it keeps how far the encryption has come, drops what it opened, and takes the next delivery for a
/// repetition (whatsapp-rust 0.7.0, src/message/commit_batch.rs, `reset`). The host asks its sender for such a message; a bare
/// client does not, and then the network has done its part by giving it again.
async fn heard_or_given_again(client: &RawClient, id: &str) {
    let mut given = 0;
    client
        .hears(&format!("message {id}, or was given it twice"), |event| {
            given += usize::from(stanza_id(event, "message").as_deref() == Some(id));
            (given >= 2 || event.messages().any(|message| message.info.id == id)).then_some(())
        })
        .await;
}

/// Lets two phones write to a client while faults of these kinds are drawn; the client and all that was sent to it. When
/// the storm is over, everything has arrived.
async fn storm(sim: &Sim, seed: u64, kinds: &[&str]) -> (RawClient, Vec<String>) {
    for number in [ADA, CY] {
        sim.phone(number).await;
    }
    // It writes down what it receives before it confirms it: without that the library promises to give a message at most once,
    // and one that was opened while the connection broke is gone.
    let setup = Setup { failing_commits: Some(Arc::default()), ..Setup::named("Bo") };
    let bo = RawClient::linked_with(sim, BO, setup).await;
    let _lease = bo.client.acquire_raw_node_forwarding();
    sim.fault(json!({ "fault": "random", "seed": seed, "rate": 0.1, "kinds": kinds, "ms": 200, "number": BO })).await;
    let mut ids = Vec::new();
    for n in 0..4 {
        let begun = ids.len();
        for m in 0..6 {
            for number in [ADA, CY] {
                ids.push(sim.send_text(number, BO, &format!("message {m} of round {n}")).await);
            }
        }
        for id in &ids[begun..] {
            match kinds.contains(&"drop") {
                true => heard_or_given_again(&bo, id).await,
                false => drop(bo.message(id).await),
            }
        }
    }
    clear(sim).await;
    for number in [ADA, CY] {
        let last = sim.send_text(number, BO, "the sun is out").await;
        bo.message(&last).await;
    }
    (bo, ids)
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_storm_that_leaves_the_connection_alone_everything_arrives_once() {
    let sim = Sim::start().await;
    let (bo, ids) = storm(&sim, 11, &["duplicate", "no_ack", "late_ack", "delay", "reorder"]).await;
    for id in &ids {
        assert_eq!(bo.received(id), 1, "{id}");
    }
    // It has confirmed all of it.
    let bo = bo.suspend().await.resume(&sim).await;
    let last = sim.send_text(ADA, BO, "last").await;
    bo.message(&last).await;
    assert_eq!(bo.received_ids(), [last]);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_storm_that_breaks_connections_nothing_is_lost() {
    let sim = Sim::start().await;
    storm(&sim, 11, &["drop", "duplicate", "no_ack", "late_ack", "delay", "reorder", "refuse_login"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_storm_that_damages_messages_nothing_is_lost() {
    let sim = Sim::start().await;
    storm(&sim, 12, &["corrupt", "duplicate", "no_ack", "late_ack", "delay", "reorder"]).await;
}
