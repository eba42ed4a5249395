//! What else the network offers: status posts, calls, business profiles, reports of spam.

use serde_json::{Value, json};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::raw_client::{RawClient, jid};
use switchboard_tests::sim::Sim;
use whatsapp_rust::media::{ImageOptions, image_message};
use whatsapp_rust::prelude::*;
use whatsapp_rust::types::presence::ReceiptType;
use whatsapp_rust::wacore::download::MediaType;
use whatsapp_rust::wacore::types::call::{CallAction, IncomingCall};
use whatsapp_rust::waproto::whatsapp::message::extended_text_message::FontType;
use whatsapp_rust::{SpamFlow, SpamReportRequest, StatusSendOptions, UploadOptions};

use crate::{ADA, BO, CY, DI};

/// Two clients whose people have talked.
async fn acquainted(sim: &Sim) -> (RawClient, RawClient) {
    let (ada, bo) = (RawClient::linked(sim, ADA).await, RawClient::linked(sim, BO).await);
    let hello = ada.send_text(&bo.jid(), "hello").await;
    bo.message(&hello).await;
    (ada, bo)
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_posted_and_phones_post_as_well() {
    let sim = Sim::start().await;
    let (ada, bo) = acquainted(&sim).await;
    let file: Vec<u8> = (0..5_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let upload = ada.client.upload(file.clone(), MediaType::Image, UploadOptions::new()).await.unwrap();
    let message = image_message(upload, ImageOptions { caption: Some("the sea".to_owned()), ..Default::default() });
    let sent = ada.client.status().send_raw(message, &[bo.jid()], StatusSendOptions::default()).await.unwrap();
    let seen = bo.message(&sent.message_id).await;
    assert_eq!(seen.message.image_message.caption.as_deref(), Some("the sea"));
    assert!(bo.client.download(&*seen.message.image_message).await.unwrap() == file);

    let posted = sim.post(&format!("phones/{BO}/status"), json!({ "text": "me too", "to": [ADA] })).await;
    let id = posted["id"].as_str().unwrap();
    assert_eq!(ada.message(id).await.message.text_content(), Some("me too"));
    sim.must("DELETE", &format!("phones/{BO}/status/{id}"), None).await;
    ada.hears("the revoke", |event| {
        let revokes = |message: &&InboundMessage| message.message.protocol_message.key.id.as_deref() == Some(id);
        event.messages().find(revokes).cloned()
    })
    .await;
}

/// What a phone shows of a status post, or of its being taken back.
fn post(entry: &Value) -> [Value; 5] {
    ["id", "chat", "from", "text", "revoked"].map(|name| entry[name].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_is_on_all_phones_and_on_the_own_one_until_it_is_taken_back() {
    let sim = Sim::start().await;
    let (ada, bo) = acquainted(&sim).await;
    sim.phone(CY).await;
    sim.phone(DI).await;
    let hello = ada.send_text(&jid(CY), "hello").await;
    sim.shows_id(CY, &hello).await;
    let (status, recipients) = (ada.client.status(), [bo.jid(), jid(CY)]);
    let options = StatusSendOptions::default;
    let sent = status.send_text("at the sea", 0xff1e_6e4f, FontType::SYSTEM, &recipients, options()).await.unwrap();
    let id = sent.message_id;
    let (chat, from) = (json!("status@broadcast"), json!(jid(ADA).to_string()));
    let posted = [json!(id), chat.clone(), from.clone(), json!("at the sea"), json!(null)];
    for number in [BO, CY] {
        assert_eq!(post(&sim.shows_id(number, &id).await), posted);
    }
    assert_eq!(post(sim.own(ADA).await.last().unwrap()), posted);
    assert_eq!(bo.message(&id).await.message.text_content(), Some("at the sea"));

    let revoke = status.revoke(&id, &recipients, options()).await.unwrap().message_id;
    let revoked = [json!(revoke), chat, from, json!(null), json!(id)];
    for number in [BO, CY] {
        assert_eq!(post(&sim.shows_id(number, &revoke).await), revoked);
    }
    assert_eq!(post(sim.own(ADA).await.last().unwrap()), revoked);
    let key = bo.message(&revoke).await.message.protocol_message.key.id.clone();
    assert_eq!(key, Some(id));
    assert!(sim.shown(DI).await.is_empty(), "Di was not among them");
}

/// Whether a phone has heard that somebody has seen its owner's post.
async fn heard_of_reader(sim: &Sim, number: &str, id: &str, reader: &str) -> bool {
    let heard = sim.heard(number, "receipts").await;
    let wanted = [id, "status@broadcast", "read"].map(|text| json!(text));
    let about = |receipt: &&Value| ["message_id", "chat", "type"].map(|name| receipt[name].clone()) == wanted;
    heard.iter().filter(about).any(|receipt| receipt["from"] == jid(reader).to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_seen_a_post_is_known_to_all_devices_of_both() {
    let sim = Sim::start().await;
    let (ada, bo) = acquainted(&sim).await;
    let (at_home, laptop) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let status = Jid::status_broadcast();
    let (posts, to) = (ada.client.status(), [bo.jid()]);
    let sent = posts.send_text("up", 0, FontType::SYSTEM, &to, StatusSendOptions::default()).await.unwrap();
    let id = sent.message_id;
    let poster = bo.message(&id).await.info.source.sender.clone();
    bo.client.mark_as_read(&status, Some(&poster), &[&id]).await.unwrap();
    for device in [&ada, &at_home] {
        assert_eq!(device.receipt(&id, ReceiptType::Read).await.source.chat, status);
    }
    assert_eq!(laptop.receipt(&id, ReceiptType::ReadSelf).await.source.chat, status);
    assert!(heard_of_reader(&sim, ADA, &id, BO).await);
    assert_eq!(sim.shows_id(BO, &id).await["read"], true);

    // What a phone posts and what a phone sees is no different.
    let by_phone = sim.post(&format!("phones/{BO}/status"), json!({ "text": "me too", "to": [ADA] })).await;
    let id = by_phone["id"].as_str().unwrap();
    assert_eq!(sim.own(BO).await.last().unwrap()["id"], id);
    at_home.message(id).await;
    sim.post(&format!("phones/{ADA}/receipts"), json!({ "message_id": id })).await;
    bo.receipt(id, ReceiptType::Read).await;
    ada.receipt(id, ReceiptType::ReadSelf).await;
    assert!(heard_of_reader(&sim, BO, id, ADA).await);
}

/// A call that somebody makes.
async fn offered(client: &RawClient) -> IncomingCall {
    client
        .hears("a call", |event| match event {
            Event::IncomingCall(call) if matches!(call.action, CallAction::Offer { .. }) => Some(call.clone()),
            _ => None,
        })
        .await
}

/// What became of a call, as the phone sees it.
async fn call_is(sim: &Sim, number: &str, id: &str, wanted: &str) {
    let mut calls = json!(null);
    let is = async || {
        calls = sim.get(&format!("phones/{number}/calls")).await["calls"].clone();
        calls.as_array().unwrap().iter().any(|call| call["id"] == id && call["state"] == wanted)
    };
    assert!(until(PATIENCE, is).await, "call {id} never was {wanted}: {calls}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_rings_and_is_rejected() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    sim.phone(BO).await;
    let made = sim.post(&format!("phones/{BO}/calls"), json!({ "to": ADA, "video": true })).await;
    let id = made["id"].as_str().unwrap();
    let call = offered(&ada).await;
    assert_eq!(call.action.call_id(), id);
    assert!(matches!(call.action, CallAction::Offer { is_video: true, .. }));
    ada.client.voip().reject(&call).await.unwrap();
    call_is(&sim, BO, id, "rejected").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_gives_up_and_a_client_that_was_off_has_missed_it() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    sim.phone(BO).await;
    let calls = format!("phones/{BO}/calls");
    let first = sim.post(&calls, json!({ "to": ADA })).await;
    let id = first["id"].as_str().unwrap();
    offered(&ada).await;
    sim.post(&format!("{calls}/{id}"), json!({ "action": "hang_up" })).await;
    ada.hears("the end of the call", |event| match event {
        Event::IncomingCall(call) if matches!(call.action, CallAction::Terminate { .. }) => Some(()),
        Event::MissedCall(_) => Some(()),
        _ => None,
    })
    .await;
    call_is(&sim, BO, id, "missed").await;

    let ada = ada.suspend().await;
    let second = sim.post(&calls, json!({ "to": ADA })).await;
    sim.post(&format!("{calls}/{}", second["id"].as_str().unwrap()), json!({ "action": "hang_up" })).await;
    let ada = ada.resume(&sim).await;
    ada.hears("the missed call", |event| matches!(event, Event::MissedCall(_)).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_tells_what_it_is() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    sim.phone(BO).await;
    sim.phone(CY).await;
    let profile = json!({
        "name": "Bo's Bikes", "description": "Bicycles and repairs", "email": "bo@example.org",
        "websites": ["https://example.org"], "address": "Some street 1",
    });
    sim.must("PUT", &format!("phones/{BO}/business"), Some(&profile)).await;
    let told = ada.client.get_business_profile(&jid(BO)).await.unwrap().expect("it is a business");
    assert_eq!(told.description, "Bicycles and repairs");
    assert_eq!((told.email.as_deref(), told.address.as_deref()), (Some("bo@example.org"), Some("Some street 1")));
    assert_eq!(told.website, ["https://example.org"]);
    assert!(ada.client.get_business_profile(&jid(CY)).await.unwrap().is_none());
    let found = ada.client.contacts().is_on_whatsapp(&[jid(BO)]).await.unwrap();
    assert!(found[0].is_business, "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn spam_is_reported_to_the_network() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    sim.phone(BO).await;
    let id = sim.send_text(BO, ADA, "you have won").await;
    let spam = ada.message(&id).await;
    let request = SpamReportRequest {
        message_id: id.clone(),
        message_timestamp: u64::try_from(spam.info.timestamp.timestamp()).unwrap(),
        from_jid: Some(jid(BO)),
        spam_flow: SpamFlow::MessageMenu,
        ..SpamReportRequest::default()
    };
    ada.client.send_spam_report(request).await.unwrap();
    let reports = sim.get("reports").await;
    let report = reports["reports"].as_array().unwrap().first().cloned().unwrap();
    assert_eq!((&report["flow"], &report["message_ids"]), (&json!("MessageMenu"), &json!([id])), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_account_is_under_no_restriction() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    ada.client.fetch_props().await.unwrap();
    ada.client.mex().fetch_reachout_timelock().await.unwrap();
}
