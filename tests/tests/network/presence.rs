//! Who is there and who types: what clients and phones hear of each other while it lasts.

use std::time::Duration;

use serde_json::{Value, json};
use switchboard_tests::raw_client::{Mark, RawClient, jid};
use switchboard_tests::sim::Sim;
use whatsapp_rust::ChatStateType;
use whatsapp_rust::prelude::*;
use whatsapp_rust::privacy_settings::{PrivacyCategory, PrivacyValue};
use whatsapp_rust::types::events::{ChatPresenceUpdate, PresenceUpdate};
use whatsapp_rust::types::presence::{ChatPresence, ChatPresenceMedia};

use crate::groups::Club;
use crate::{ADA, BO, CY, DI};

/// What a client sends, what others hear of it, and how phones call it.
const STATES: [(ChatStateType, (ChatPresence, ChatPresenceMedia), &str); 3] = [
    (ChatStateType::Composing, (ChatPresence::Composing, ChatPresenceMedia::Text), "composing"),
    (ChatStateType::Recording, (ChatPresence::Composing, ChatPresenceMedia::Audio), "recording"),
    (ChatStateType::Paused, (ChatPresence::Paused, ChatPresenceMedia::Text), "paused"),
];

async fn heard_typing(client: &RawClient, mark: Mark) -> ChatPresenceUpdate {
    client
        .hears_after(mark, "somebody typing", |event| match event {
            Event::ChatPresence(update) => Some(update.clone()),
            _ => None,
        })
        .await
}

/// How often a client has heard somebody type by now.
fn times_typed(client: &RawClient) -> usize {
    client.count(|event| matches!(event, Event::ChatPresence(_)))
}

/// Whom a phone saw typing, where and how.
async fn typing_on_phone(sim: &Sim, number: &str) -> Vec<(Value, Value, Value)> {
    let seen = sim.heard(number, "chatstates").await;
    seen.iter().map(|state| (state["chat"].clone(), state["from"].clone(), state["state"].clone())).collect()
}

/// Returns when the network has carried out all that a client has sent, and the client has what was for it until then.
async fn settled(client: &RawClient) {
    client.client.blocking().get_blocklist().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_recording_and_stopping_are_seen_at_once() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let laptop = RawClient::linked(&sim, ADA).await;
    for (state, wanted, _) in STATES {
        let mark = bo.mark();
        ada.client.chatstate().send(&bo.jid(), state).await.unwrap();
        let heard = heard_typing(&bo, mark).await;
        assert_eq!((heard.state, heard.media), wanted);
        assert_eq!((&heard.source.chat, &heard.source.sender, heard.source.is_group), (&ada.jid(), &ada.jid(), false));
    }
    let from = json!(jid(ADA).to_string());
    let wanted = STATES.map(|(_, _, name)| (from.clone(), from.clone(), json!(name)));
    assert_eq!(typing_on_phone(&sim, BO).await, wanted);

    for (_, wanted, name) in STATES {
        let mark = ada.mark();
        sim.post(&format!("phones/{BO}/chatstate"), json!({ "to": ADA, "state": name })).await;
        let heard = heard_typing(&ada, mark).await;
        assert_eq!((heard.state, heard.media, heard.source.sender), (wanted.0, wanted.1, bo.jid()));
    }
    for (client, times) in [(&bo, 3), (&laptop, 3)] {
        settled(client).await;
        assert_eq!(times_typed(client), times, "nobody hears of what they type themselves");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_by_the_name_that_hides_the_number_stays_under_it() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    ada.client.chatstate().send_composing(&bo.lid()).await.unwrap();
    assert_eq!(heard_typing(&bo, Mark::default()).await.source.sender, ada.lid());
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_that_nobody_renews_ends_by_itself() {
    let sim = Sim::start().await;
    sim.typing_lasts(Duration::from_millis(50));
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    ada.client.chatstate().send_recording(&bo.jid()).await.unwrap();
    let wanted = |event: &Event, state| matches!(event, Event::ChatPresence(update) if update.state == state);
    bo.hears("the recording", |event| wanted(event, ChatPresence::Composing).then_some(())).await;
    bo.hears("its end", |event| wanted(event, ChatPresence::Paused).then_some(())).await;
    assert_eq!(times_typed(&bo), 2);
    let from = json!(jid(ADA).to_string());
    let wanted = ["recording", "paused"].map(|state| (from.clone(), from.clone(), json!(state)));
    assert_eq!(typing_on_phone(&sim, BO).await, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_in_a_group_is_seen_by_its_members() {
    let Club { sim, ada, bo, group } = Club::start().await;
    let di = RawClient::linked(&sim, DI).await;
    let chat = json!(group.to_string());
    for (state, wanted, _) in STATES {
        let mark = bo.mark();
        ada.client.chatstate().send(&group, state).await.unwrap();
        let heard = heard_typing(&bo, mark).await;
        assert_eq!((heard.state, heard.media), wanted);
        assert_eq!((&heard.source.chat, &heard.source.sender, heard.source.is_group), (&group, &ada.lid(), true));
    }
    let from = json!(jid(ADA).to_string());
    let wanted = STATES.map(|(_, _, name)| (chat.clone(), from.clone(), json!(name)));
    for member in [BO, CY] {
        assert_eq!(typing_on_phone(&sim, member).await, wanted);
    }

    let (at_ada, at_bo) = (ada.mark(), bo.mark());
    sim.post(&format!("phones/{CY}/chatstate"), json!({ "to": chat, "state": "recording" })).await;
    for (client, mark) in [(&ada, at_ada), (&bo, at_bo)] {
        let heard = heard_typing(client, mark).await;
        assert_eq!((heard.media, &heard.source.chat), (ChatPresenceMedia::Audio, &group));
    }
    // Who is not in it neither hears nor is heard.
    di.client.chatstate().send_composing(&group).await.unwrap();
    settled(&di).await;
    settled(&bo).await;
    assert_eq!((times_typed(&di), times_typed(&bo)), (0, 4));
    assert!(typing_on_phone(&sim, DI).await.is_empty());
}

/// The next that a client hears of somebody: that they are there, or gone.
async fn heard_presence(client: &RawClient, mark: Mark, of: &Jid, unavailable: bool) -> PresenceUpdate {
    client
        .hears_after(mark, &format!("{of} becoming unavailable={unavailable}"), |event| match event {
            Event::Presence(update) if update.from == *of && update.unavailable == unavailable => Some(update.clone()),
            _ => None,
        })
        .await
}

/// How often a client has heard of somebody's presence by now.
fn times_told(client: &RawClient, of: &Jid) -> usize {
    client.count(|event| matches!(event, Event::Presence(update) if update.from == *of))
}

/// What a phone saw of somebody's coming and going.
async fn presence_on_phone(sim: &Sim, number: &str) -> Vec<Value> {
    sim.heard(number, "presence").await.iter().map(|presence| presence["state"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_asked_hear_who_comes_and_goes() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    sim.phone(CY).await;
    sim.post(&format!("phones/{CY}/presence"), json!({ "subscribe": ADA })).await;
    bo.client.presence().subscribe(ada.jid()).await.unwrap();
    let first = heard_presence(&bo, Mark::default(), &ada.jid(), true).await;
    assert_eq!(first.last_seen, None, "never yet");

    let mark = bo.mark();
    ada.client.presence().set_available().await.unwrap();
    heard_presence(&bo, mark, &ada.jid(), false).await;
    let mark = bo.mark();
    ada.client.presence().set_unavailable().await.unwrap();
    assert!(heard_presence(&bo, mark, &ada.jid(), true).await.last_seen.is_some());
    // Whoever hangs up is gone as well.
    let mark = bo.mark();
    ada.client.presence().set_available().await.unwrap();
    heard_presence(&bo, mark, &ada.jid(), false).await;
    let (ada_jid, mark) = (ada.jid(), bo.mark());
    ada.stop().await;
    heard_presence(&bo, mark, &ada_jid, true).await;
    let seen = ["unavailable", "available", "unavailable", "available", "unavailable"].map(|state| json!(state));
    assert_eq!(presence_on_phone(&sim, CY).await, seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_no_more_hears_no_more() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    for number in [CY, DI] {
        sim.phone(number).await;
        sim.post(&format!("phones/{number}/presence"), json!({ "subscribe": ADA })).await;
    }
    bo.client.presence().subscribe(ada.lid()).await.unwrap();
    heard_presence(&bo, Mark::default(), &ada.lid(), true).await;
    bo.client.presence().unsubscribe(&ada.lid()).await.unwrap();
    settled(&bo).await;
    sim.post(&format!("phones/{CY}/presence"), json!({ "unsubscribe": ADA })).await;
    let before = times_told(&bo, &ada.lid());
    ada.client.presence().set_available().await.unwrap();
    settled(&ada).await;
    assert_eq!(presence_on_phone(&sim, DI).await, ["unavailable", "available"]);
    assert_eq!(presence_on_phone(&sim, CY).await, ["unavailable"]);
    settled(&bo).await;
    assert_eq!(times_told(&bo, &ada.lid()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_comes_and_goes_is_seen_like_a_client() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    sim.phone(BO).await;
    let path = format!("phones/{BO}/presence");
    ada.client.presence().subscribe(jid(BO)).await.unwrap();
    heard_presence(&ada, Mark::default(), &jid(BO), true).await;
    for (state, unavailable) in [("available", false), ("unavailable", true)] {
        let mark = ada.mark();
        sim.post(&path, json!({ "state": state })).await;
        assert_eq!(heard_presence(&ada, mark, &jid(BO), unavailable).await.last_seen.is_some(), unavailable);
    }
    // An account is there as long as one of its devices is.
    let bo = RawClient::linked(&sim, BO).await;
    let mark = ada.mark();
    sim.post(&path, json!({ "state": "available" })).await;
    heard_presence(&ada, mark, &jid(BO), false).await;
    bo.client.presence().set_available().await.unwrap();
    settled(&bo).await;
    let mark = ada.mark();
    sim.post(&path, json!({ "state": "unavailable" })).await;
    settled(&ada).await;
    let told = times_told(&ada, &jid(BO));
    bo.client.presence().set_unavailable().await.unwrap();
    heard_presence(&ada, mark, &jid(BO), true).await;
    assert_eq!(times_told(&ada, &jid(BO)), told + 1, "only the last to go is missed");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hides_when_they_were_there_does_not_see_it_of_others_either() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    sim.phone(CY).await;
    for client in [&ada, &bo] {
        client.client.presence().set_available().await.unwrap();
        client.client.presence().set_unavailable().await.unwrap();
        settled(client).await;
    }
    let asks = async |asker: &RawClient, of: Jid| {
        let mark = asker.mark();
        asker.client.presence().subscribe(of.clone()).await.unwrap();
        heard_presence(asker, mark, &of, true).await.last_seen
    };
    let watch = async || {
        for act in [json!({ "unsubscribe": BO }), json!({ "subscribe": BO })] {
            sim.post(&format!("phones/{CY}/presence"), act).await;
        }
        sim.heard(CY, "presence").await.pop()
    };
    assert!(asks(&ada, bo.jid()).await.is_some() && asks(&bo, ada.jid()).await.is_some());
    assert!(watch().await.unwrap()["last_seen_s"].is_u64());

    bo.client.set_privacy_setting(PrivacyCategory::Last, PrivacyValue::None).await.unwrap();
    assert_eq!((asks(&ada, bo.jid()).await, asks(&bo, ada.jid()).await), (None, None));
    assert!(watch().await.unwrap()["last_seen_s"].is_null());

    // Who hides even that they are there is never seen coming.
    bo.client.set_privacy_setting(PrivacyCategory::Online, PrivacyValue::MatchLastSeen).await.unwrap();
    let (on_phone, told) = (sim.heard(CY, "presence").await.len(), times_told(&ada, &bo.jid()));
    bo.client.presence().set_available().await.unwrap();
    settled(&bo).await;
    settled(&ada).await;
    assert_eq!((sim.heard(CY, "presence").await.len(), times_told(&ada, &bo.jid())), (on_phone, told));
}
