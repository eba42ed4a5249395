//! Content of every kind, and what refers to an earlier message: replies, mentions, reactions, edits, revokes, pins.

use serde_json::json;
use switchboard_tests::raw_client::{RawClient, jid};
use switchboard_tests::sim::Sim;
use whatsapp_rust::prelude::*;
use whatsapp_rust::proto_helpers::build_quote_context;
use whatsapp_rust::waproto::whatsapp::message::pin_in_chat_message;
use whatsapp_rust::waproto::whatsapp::message::protocol_message::Type as ProtocolType;
use whatsapp_rust::{PinDuration, RevokeType};

use crate::content::{bare, samples, says};
use crate::drafts::drafts;
use crate::{ADA, BO, CY};

/// The key under which `receiver` knows a message that it received.
fn key_of(message: &InboundMessage) -> wa::MessageKey {
    wa::MessageKey {
        remote_jid: Some(message.info.source.chat.to_string()),
        from_me: Some(false),
        id: Some(message.info.id.clone()),
        participant: None,
    }
}

/// Whether a message came from the account behind `client`, by either of its names.
fn is_from(message: &InboundMessage, client: &RawClient) -> bool {
    let sender = message.info.source.sender.to_non_ad();
    sender == client.jid() || sender == client.lid()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_shows_every_kind_of_content_that_a_client_sends() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    sim.phone(BO).await;
    for sample in samples() {
        let id = ada.send(&jid(BO), sample.message).await;
        assert_eq!(ada.answer_to(&id).await, None, "{}", sample.name);
        let shown = sim.shows_id(BO, &id).await;
        assert!(says(&shown, &sample.shown), "{}: {shown:#} does not say {:#}", sample.name, sample.shown);
        assert_eq!(shown["from"], jid(ADA).to_string(), "{}", sample.name);
        assert_eq!(shown["chat"], jid(ADA).to_string(), "{}", sample.name);
    }
    assert_eq!(sim.shown(BO).await.len(), samples().len(), "each is shown once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_every_kind_of_content_as_another_client_sent_it() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    for sample in samples() {
        let sent = bare(&sample.message);
        let id = ada.send(&bo.jid(), sample.message).await;
        let message = bo.message(&id).await;
        assert_eq!(bare(&message.message), sent, "{}", sample.name);
        assert!(is_from(&message, &ada), "{}", sample.name);
        assert!(!message.info.source.is_from_me && !message.info.source.is_group, "{}", sample.name);
    }
    // And back, in the session that the first message opened.
    let id = bo.send_text(&ada.jid(), "got them all").await;
    assert_eq!(ada.message(&id).await.message.text_content(), Some("got them all"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_every_kind_of_content_that_a_phone_sends() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    sim.phone(BO).await;
    for draft in drafts() {
        let id = sim.send(BO, ADA, draft.body).await;
        let message = ada.message(&id).await;
        let said = bare(&message.message);
        assert!(says(&said, &draft.message), "{}: {said:#} does not say {:#}", draft.name, draft.message);
    }
    let once = json!({ "image": { "base64": "aGVsbG8=", "mime": "image/jpeg", "view_once": true } });
    let once = sim.send(BO, ADA, once).await;
    assert!(ada.message(&once).await.message.is_view_once());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_brings_the_name_that_people_see() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let id = ada.send_text(&bo.jid(), "hello").await;
    assert_eq!(bo.message(&id).await.info.push_name, format!("Client of {ADA}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_and_mentions_name_what_they_are_about() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let first = sim.send_text(BO, ADA, "a question").await;
    let question = ada.message(&first).await;
    let mut context = build_quote_context(first.clone(), jid(BO).to_string(), &question.message);
    context.mentioned_jid = vec![jid(CY).to_string()];
    let reply = ada.send(&jid(BO), wa::Message::text_with_context("an answer", context)).await;

    let shown = sim.shows_id(BO, &reply).await;
    assert_eq!((&shown["quoted_id"], &shown["mentions"]), (&json!(first), &json!([jid(CY).to_string()])), "{shown:#}");
    let message = bo.message(&reply).await;
    let context = &message.message.extended_text_message.context_info;
    assert_eq!(context.stanza_id.as_deref(), Some(first.as_str()));
    assert_eq!(context.quoted_message.text_content(), Some("a question"));

    // And the other way round: a phone answers a client.
    let back = sim.send(BO, ADA, json!({ "text": "quite so", "quoted_id": reply })).await;
    let back = ada.message(&back).await;
    let context = &back.message.extended_text_message.context_info;
    assert_eq!(context.stanza_id.as_deref(), Some(reply.as_str()), "{:#}", bare(&back.message));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_message_says_that_it_is_one() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    let (bo, cy) = (RawClient::linked(&sim, BO).await, RawClient::linked(&sim, CY).await);
    let id = bo.send_text(&ada.jid(), "pass it on").await;
    let message = ada.message(&id).await;
    let forwarded = ada.client.forward_message(cy.jid(), &message.message).await.unwrap().message_id;
    let message = cy.message(&forwarded).await;
    assert_eq!(message.message.text_content(), Some("pass it on"));
    assert!(message.message.is_forwarded(), "{:#}", bare(&message.message));
    assert_eq!(sim.shows_id(CY, &forwarded).await["text"], "pass it on");
}

#[tokio::test(flavor = "multi_thread")]
async fn reactions_are_set_changed_and_taken_back() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let id = sim.send_text(BO, ADA, "funny").await;
    let funny = ada.message(&id).await;
    for emoji in ["😂", "👍", ""] {
        let reaction = ada.client.send_reaction(jid(BO), key_of(&funny), emoji).await.unwrap().message_id;
        let shown = sim.shows_id(BO, &reaction).await;
        assert_eq!(shown["reaction"], json!({ "message_id": id, "emoji": emoji }), "{shown:#}");
        let seen = bo.message(&reaction).await;
        assert_eq!(seen.message.reaction_message.text.as_deref(), Some(emoji));
        assert_eq!(seen.message.reaction_message.key.id.as_deref(), Some(id.as_str()));
    }
    let mine = ada.send_text(&jid(BO), "react to this").await;
    sim.shows_id(BO, &mine).await;
    let reaction = sim.send(BO, ADA, json!({ "reaction": { "message_id": mine, "emoji": "🎉" } })).await;
    let reaction = ada.message(&reaction).await;
    assert_eq!(reaction.message.reaction_message.text.as_deref(), Some("🎉"));
    assert_eq!(reaction.message.reaction_message.key.id.as_deref(), Some(mine.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_replace_a_text_for_everybody() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let id = ada.send_text(&bo.jid(), "frist").await;
    bo.message(&id).await;
    ada.client.edit_message(bo.jid(), id.clone(), wa::Message::text("first")).await.unwrap();

    let shown = sim.shows(BO, "the edit", |message| message["edited"] == id.as_str()).await;
    assert_eq!((&shown["type"], &shown["text"]), (&json!("edit"), &json!("first")), "{shown:#}");
    let edited = bo
        .hears("the edit", |event| {
            let mut messages = event.messages();
            messages.find(|message| is_edit_of(message, &id)).cloned()
        })
        .await;
    assert_eq!(edited.message.protocol_message.edited_message.text_content(), Some("first"));

    // A phone's edit arrives in the same way.
    let id = sim.send_text(BO, ADA, "secnod").await;
    ada.message(&id).await;
    sim.send(BO, ADA, json!({ "edit": { "message_id": id, "text": "second" } })).await;
    let edited =
        ada.hears("the phone's edit", |event| event.messages().find(|message| is_edit_of(message, &id)).cloned()).await;
    assert_eq!(edited.message.protocol_message.edited_message.text_content(), Some("second"));
}

fn is_edit_of(message: &InboundMessage, id: &str) -> bool {
    let protocol = &message.message.protocol_message;
    protocol.r#type == Some(ProtocolType::MESSAGE_EDIT) && protocol.key.id.as_deref() == Some(id)
}

fn is_revoke_of(message: &InboundMessage, id: &str) -> bool {
    let protocol = &message.message.protocol_message;
    protocol.r#type == Some(ProtocolType::REVOKE) && protocol.key.id.as_deref() == Some(id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_edit_is_opened_with_the_secret_of_the_first_message() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let secret = [9; 32];
    let original = wa::Message {
        message_context_info: MessageField::some(wa::MessageContextInfo {
            message_secret: Some(secret.to_vec()),
            ..Default::default()
        }),
        ..wa::Message::text("frist")
    };
    let id = ada.send(&bo.jid(), original).await;
    bo.message(&id).await;
    ada.client.edit_message_encrypted(bo.jid(), id.clone(), &secret, wa::Message::text("first")).await.unwrap();
    let edited = bo.hears("the edit", |event| event.messages().find(|message| is_edit_of(message, &id)).cloned()).await;
    assert_eq!(edited.message.protocol_message.edited_message.text_content(), Some("first"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_back_is_taken_back_for_everybody() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let id = ada.send_text(&bo.jid(), "oops").await;
    bo.message(&id).await;
    ada.client.revoke_message(bo.jid(), id.clone(), RevokeType::Sender).await.unwrap();
    let shown = sim.shows(BO, "the revoke", |message| message["revoked"] == id.as_str()).await;
    assert_eq!(shown["type"], "revoke");
    bo.hears("the revoke", |event| event.messages().find(|message| is_revoke_of(message, &id)).cloned()).await;

    let id = sim.send_text(BO, ADA, "oops too").await;
    ada.message(&id).await;
    sim.send(BO, ADA, json!({ "revoke": { "message_id": id } })).await;
    ada.hears("the phone's revoke", |event| event.messages().find(|message| is_revoke_of(message, &id)).cloned()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_pinned_kept_and_let_go() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let id = bo.send_text(&ada.jid(), "remember this").await;
    let key = key_of(&ada.message(&id).await);
    ada.client.pin_message(bo.jid(), key.clone(), PinDuration::Hours24).await.unwrap();
    ada.client.unpin_message(bo.jid(), key.clone()).await.unwrap();
    for kind in [pin_in_chat_message::Type::PIN_FOR_ALL, pin_in_chat_message::Type::UNPIN_FOR_ALL] {
        let pin = bo
            .hears("the pin", |event| {
                let is_it = |message: &&InboundMessage| message.message.pin_in_chat_message.r#type == Some(kind);
                event.messages().find(is_it).cloned()
            })
            .await;
        assert_eq!(pin.message.pin_in_chat_message.key.id.as_deref(), Some(id.as_str()));
    }
    sim.shows(BO, "the pin", |message| message["type"] == "pin").await;

    for keep in [true, false] {
        let sent = ada.client.keep_message(bo.jid(), key.clone(), keep).await.unwrap().message_id;
        let seen = bo.message(&sent).await;
        assert_eq!(seen.message.keep_in_chat_message.key.id.as_deref(), Some(id.as_str()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_goes_out_under_the_id_that_its_sender_chose() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    sim.phone(BO).await;
    let options = SendOptions::default().with_message_id("3EB0C0FFEE0000000001");
    let sent = ada.client.send_message_with_options(jid(BO), wa::Message::text("mine"), options).await.unwrap();
    assert_eq!(sent.message_id, "3EB0C0FFEE0000000001");
    assert_eq!(sim.shows_text(BO, "mine").await["id"], "3EB0C0FFEE0000000001");
}

#[tokio::test(flavor = "multi_thread")]
async fn disappearing_messages_say_how_long_they_stay() {
    const DAY: u32 = 86_400;
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let options = SendOptions::default().with_ephemeral_expiration(DAY);
    let sent = ada.client.send_message_with_options(bo.jid(), wa::Message::text("gone soon"), options).await.unwrap();
    let message = bo.message(&sent.message_id).await;
    assert_eq!(message.message.text_content(), Some("gone soon"));
    assert_eq!(message.message.get_ephemeral_expiration(), Some(DAY), "{:#}", bare(&message.message));
    assert_eq!(sim.shows_id(BO, &sent.message_id).await["text"], "gone soon");

    ada.client.set_chat_disappearing_timer(bo.jid(), DAY).await.unwrap();
    bo.hears("the timer", |event| {
        let set = |message: &&InboundMessage| message.message.protocol_message.ephemeral_expiration == Some(DAY);
        event.messages().find(set).cloned()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_to_oneself_reaches_the_own_phone_and_the_other_clients() {
    let sim = Sim::start().await;
    let (desk, laptop) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, ADA).await);
    let id = desk.send_text(&desk.jid(), "milk").await;
    let note = laptop.message(&id).await;
    assert_eq!(note.message.text_content(), Some("milk"));
    assert!(note.info.source.is_from_me);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_nobody_is_refused() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    let before = sim.stats().await["messages_relayed"].clone();
    // The library may see by itself that nobody is there; if it sends, the network refuses.
    if let Ok(sent) = ada.client.send_text(jid("491510009999"), "anybody?").await {
        assert!(ada.answer_to(&sent.message_id).await.is_some());
    }
    assert_eq!(sim.stats().await["messages_relayed"], before);
}
