//! What is said in groups: by clients and phones, to those who were there, and what refers to it.

use serde_json::json;
use switchboard_tests::raw_client::{Mark, RawClient, jid};
use whatsapp_rust::RevokeType;
use whatsapp_rust::prelude::*;
use whatsapp_rust::types::presence::ReceiptType;
use whatsapp_rust::wacore::stanza::groups::GroupNotificationAction as Action;
use whatsapp_rust::waproto::whatsapp::message::protocol_message::Type as ProtocolType;

use crate::content::{bare, samples, says};
use crate::groups::{Club, change};
use crate::{BO, CY, DI};

/// The key of a message of somebody else in a group.
fn key_of(message: &InboundMessage) -> wa::MessageKey {
    wa::MessageKey {
        remote_jid: Some(message.info.source.chat.to_string()),
        from_me: Some(false),
        id: Some(message.info.id.clone()),
        participant: Some(message.info.source.sender.to_non_ad_string()),
    }
}

fn is_of(jid: &Jid, client: &RawClient) -> bool {
    let account = jid.to_non_ad();
    account == client.jid() || account == client.lid()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_content_reaches_all_members_as_it_was_sent() {
    let Club { sim, ada, bo, group } = Club::start().await;
    for sample in samples() {
        let sent = bare(&sample.message);
        let id = ada.send(&group, sample.message).await;
        let seen = bo.message(&id).await;
        assert_eq!(bare(&seen.message), sent, "{}", sample.name);
        assert!(seen.info.source.is_group && seen.info.source.chat == group, "{}", sample.name);
        assert!(is_of(&seen.info.source.sender, &ada), "{}", sample.name);
        let shown = sim.shows_id(CY, &id).await;
        assert!(says(&shown, &sample.shown), "{}: {shown:#} does not say {:#}", sample.name, sample.shown);
        assert_eq!(shown["chat"], group.to_string(), "{}", sample.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_and_clients_hear_each_other() {
    let Club { sim, ada, bo, group } = Club::start().await;
    let by_phone = sim.send_text(CY, &group.to_string(), "Cy here").await;
    for client in [&ada, &bo] {
        let seen = client.message(&by_phone).await;
        assert_eq!(seen.message.text_content(), Some("Cy here"));
        assert_eq!(seen.info.source.chat, group);
    }
    let by_bo = bo.send_text(&group, "Bo here").await;
    ada.message(&by_bo).await;
    let shown = sim.shows_id(CY, &by_bo).await;
    assert_eq!((&shown["text"], &shown["from"]), (&json!("Bo here"), &json!(jid(BO).to_string())), "{shown:#}");
    // Bo's own phone sees it too, but as a message of Bo's own.
    assert!(!sim.shown(BO).await.iter().any(|message| message["id"] == by_bo.as_str()));
    assert_eq!(ada.received(&by_phone), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_devices_of_a_member_read_along() {
    let Club { sim, ada, bo, group } = Club::start().await;
    let before = ada.send_text(&group, "before the laptop").await;
    bo.message(&before).await;
    let mark = ada.mark();
    let laptop = RawClient::linked(&sim, BO).await;
    ada.hears_after(mark, "the laptop", |event| matches!(event, Event::DeviceListUpdate(_)).then_some(())).await;
    let after = ada.send_text(&group, "with the laptop").await;
    for device in [&bo, &laptop] {
        assert_eq!(device.message(&after).await.message.text_content(), Some("with the laptop"));
    }
    assert_eq!(laptop.received(&before), 0);
    let by_laptop = laptop.send_text(&group, "by the laptop").await;
    ada.message(&by_laptop).await;
    assert!(bo.message(&by_laptop).await.info.source.is_from_me);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_later_reads_from_then_on_and_who_goes_reads_no_more() {
    let Club { sim, ada, bo, group } = Club::start().await;
    let di = RawClient::linked(&sim, DI).await;
    let before = ada.send_text(&group, "before Di").await;
    bo.message(&before).await;
    ada.client.groups().add_participants(&group, &[jid(DI)]).await.unwrap();
    change(&di, Mark::default(), "being added", |action| matches!(action, Action::Add { .. } | Action::Create { .. })).await;
    let with = ada.send_text(&group, "with Di").await;
    assert_eq!(di.message(&with).await.message.text_content(), Some("with Di"));
    assert_eq!(di.received(&before), 0);
    let by_di = di.send_text(&group, "glad to be here").await;
    bo.message(&by_di).await;

    ada.client.groups().remove_participants(&group, &[jid(DI)]).await.unwrap();
    change(&di, Mark::default(), "being removed", |action| matches!(action, Action::Remove { .. })).await;
    let without = ada.send_text(&group, "without Di").await;
    bo.message(&without).await;
    let refused = di.send_text(&group, "hello?").await;
    assert!(di.answer_to(&refused).await.is_some(), "who is out cannot write");
    assert_eq!(di.received(&without), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn reactions_edits_and_revokes_reach_everybody() {
    let Club { sim, ada, bo, group } = Club::start().await;
    let id = ada.send_text(&group, "frist").await;
    let seen = bo.message(&id).await;
    let reaction = bo.client.send_reaction(&group, key_of(&seen), "👏").await.unwrap().message_id;
    let seen = ada.message(&reaction).await;
    assert_eq!(seen.message.reaction_message.key.id.as_deref(), Some(id.as_str()));
    assert_eq!(sim.shows_id(CY, &reaction).await["reaction"], json!({ "message_id": id, "emoji": "👏" }));

    ada.client.edit_message(&group, id.clone(), wa::Message::text("first")).await.unwrap();
    let shown = sim.shows(CY, "the edit", |message| message["edited"] == id.as_str()).await;
    assert_eq!(shown["text"], "first");
    ada.client.revoke_message(&group, id.clone(), RevokeType::Sender).await.unwrap();
    sim.shows(CY, "the revoke", |message| message["revoked"] == id.as_str()).await;
    for kind in [ProtocolType::MESSAGE_EDIT, ProtocolType::REVOKE] {
        bo.hears("the change", |event| {
            let wanted = |message: &&InboundMessage| {
                let protocol = &message.message.protocol_message;
                protocol.r#type == Some(kind) && protocol.key.id.as_deref() == Some(id.as_str())
            };
            event.messages().find(wanted).cloned()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_takes_back_what_somebody_else_wrote() {
    let Club { sim, ada, bo, group } = Club::start().await;
    let id = bo.send_text(&group, "spam").await;
    let original_sender = ada.message(&id).await.info.source.sender.to_non_ad();
    ada.client.revoke_message(&group, id.clone(), RevokeType::Admin { original_sender }).await.unwrap();
    sim.shows(CY, "the revoke", |message| message["revoked"] == id.as_str()).await;
    bo.hears("the revoke", |event| {
        let revokes = |message: &&InboundMessage| message.message.protocol_message.key.id.as_deref() == Some(id.as_str());
        event.messages().find(revokes).cloned()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_hears_who_has_received_and_read_its_message() {
    let Club { sim, ada, bo, group } = Club::start().await;
    let id = ada.send_text(&group, "who reads this?").await;
    let seen = bo.message(&id).await;
    sim.shows_id(CY, &id).await;
    bo.client.mark_as_read(&group, Some(&seen.info.source.sender), &[&id]).await.unwrap();
    let read = ada.receipt(&id, ReceiptType::Read).await;
    assert_eq!(read.source.chat, group);
    assert!(is_of(&read.source.sender, &bo), "{}", read.source.sender);
    let cy = sim.phone(CY).await;
    ada.hears("Cy's receipt", |event| match event {
        Event::Receipt(receipt)
            if receipt.message_ids.contains(&id)
                && receipt.source.chat == group
                && [&cy["jid"], &cy["lid"]].iter().any(|name| **name == receipt.source.sender.to_non_ad_string()) =>
        {
            Some(())
        }
        _ => None,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_and_replies_work_in_groups() {
    let Club { sim, ada, bo, group } = Club::start().await;
    let options = ["Soup".to_owned(), "Bread".to_owned()];
    let (poll, secret) = ada.client.polls().create(&group, "Lunch?", &options, 1).await.unwrap();
    let asked = bo.message(&poll.message_id).await;
    let creator = asked.info.source.sender.to_non_ad();
    let chosen = ["Bread".to_owned()];
    let vote = bo.client.polls().vote(&group, &poll.message_id, &creator, &secret, &chosen).await.unwrap();
    let vote = ada.message(&vote.message_id).await;
    let sealed = &vote.message.poll_update_message.vote;
    let ciphertext = whatsapp_rust::PollVoteCiphertext {
        enc_payload: sealed.enc_payload.as_deref().unwrap(),
        enc_iv: sealed.enc_iv.as_deref().unwrap(),
    };
    let votes = [(&vote.info.source.sender, ciphertext)];
    let counted = ada.client.polls().aggregate_votes(&options, &votes, &secret, &poll.message_id, &creator).await.unwrap();
    assert_eq!(counted.iter().map(|option| option.voters.len()).collect::<Vec<_>>(), [0, 1]);

    let mut context =
        whatsapp_rust::proto_helpers::build_quote_context(poll.message_id.clone(), creator.to_string(), &asked.message);
    context.mentioned_jid = vec![jid(CY).to_string()];
    let reply = bo.send(&group, wa::Message::text_with_context("@Cy, vote!", context)).await;
    let shown = sim.shows_id(CY, &reply).await;
    assert_eq!(shown["quoted_id"], poll.message_id.as_str());
    assert_eq!(shown["mentions"], json!([jid(CY).to_string()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_lost_its_keys_asks_for_what_it_cannot_read() {
    let Club { sim: _sim, ada, bo, group } = Club::start().await;
    let first = ada.send_text(&group, "first").await;
    let sender = bo.message(&first).await.info.source.sender.clone();
    bo.client.signal().delete_sender_key(&group, &sender).await.unwrap();
    let lost = ada.send_text(&group, "say it again").await;
    assert_eq!(bo.message(&lost).await.message.text_content(), Some("say it again"));
    assert_eq!(bo.received(&lost), 1);
}
