//! Who has received, read and played what.

use serde_json::json;
use switchboard_tests::raw_client::{RawClient, jid};
use switchboard_tests::sim::Sim;
use whatsapp_rust::prelude::*;
use whatsapp_rust::types::presence::ReceiptType;

use crate::groups::Club;
use crate::{ADA, BO, CY};

#[tokio::test(flavor = "multi_thread")]
async fn one_receipt_reads_several_messages() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let mut ids = Vec::new();
    for text in ["one", "two", "three"] {
        ids.push(ada.send_text(&bo.jid(), text).await);
    }
    bo.message(&ids[2]).await;
    let chat = bo.message(&ids[0]).await.info.source.chat.clone();
    let named: Vec<&str> = ids.iter().map(String::as_str).collect();
    bo.client.mark_as_read(&chat, None, &named).await.unwrap();
    for id in &ids {
        ada.receipt(id, ReceiptType::Read).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voice_note_is_played() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let note = crate::content::samples().into_iter().find(|sample| sample.name == "voice note").unwrap();
    let id = ada.send(&bo.jid(), note.message).await;
    let chat = bo.message(&id).await.info.source.chat.clone();
    bo.client.mark_as_played(&chat, None, &[&id]).await.unwrap();
    ada.receipt(&id, ReceiptType::Played).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_reads_and_plays() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    sim.phone(BO).await;
    let id = ada.send_text(&jid(BO), "read me").await;
    sim.shows_id(BO, &id).await;
    ada.receipt(&id, ReceiptType::Delivered).await;
    sim.post(&format!("phones/{BO}/receipts"), json!({ "message_id": id })).await;
    ada.receipt(&id, ReceiptType::Read).await;
    let note = crate::content::samples().into_iter().find(|sample| sample.name == "voice note").unwrap();
    let id = ada.send(&jid(BO), note.message).await;
    sim.shows_id(BO, &id).await;
    sim.post(&format!("phones/{BO}/receipts"), json!({ "message_id": id, "type": "played" })).await;
    ada.receipt(&id, ReceiptType::Played).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_for_a_client_that_is_off_wait_for_it() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let id = ada.send_text(&bo.jid(), "good night").await;
    let chat = bo.message(&id).await.info.source.chat.clone();
    let ada = ada.suspend().await;
    bo.client.mark_as_read(&chat, None, &[&id]).await.unwrap();
    // What comes after it in the same connection has passed once this is answered.
    let sent = bo.send_text(&jid(BO), "a note").await;
    bo.answer_to(&sent).await;
    let ada = ada.resume(&sim).await;
    let receipt = ada.receipt(&id, ReceiptType::Read).await;
    assert!(receipt.offline, "it waited in the queue");
}

/// Waits until a client hears that this device of an account has received the message; 0 is the phone.
async fn delivered_to(client: &RawClient, id: &str, device: u16) {
    client
        .hears(&format!("that {id} has come to device {device}"), |event| match event {
            Event::Receipt(receipt) => (receipt.r#type == ReceiptType::Delivered
                && receipt.source.sender.device == device
                && receipt.message_ids.iter().any(|named| named == id))
            .then_some(()),
            _ => None,
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_device_confirms_for_itself_however_late() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    let (desk, laptop) = (RawClient::linked(&sim, BO).await, RawClient::linked(&sim, BO).await);
    let (at_desk, at_laptop) = (desk.device_jid().device, laptop.device_jid().device);
    let all_there = ada.send_text(&jid(BO), "are you there?").await;
    for device in [0, at_desk, at_laptop] {
        delivered_to(&ada, &all_there, device).await;
    }
    let desk = desk.suspend().await;
    let one_away = ada.send_text(&jid(BO), "and now?").await;
    for device in [0, at_laptop] {
        delivered_to(&ada, &one_away, device).await;
    }
    let desk = desk.resume(&sim).await;
    desk.message(&one_away).await;
    delivered_to(&ada, &one_away, at_desk).await;
}

/// Whether a phone's user has read a message.
async fn read_on_phone(sim: &Sim, number: &str, id: &str) -> bool {
    sim.shows_id(number, id).await["read"] == true
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_on_one_device_is_read_on_the_others() {
    let sim = Sim::start().await;
    let (desk, laptop) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, ADA).await);
    let bo = RawClient::linked(&sim, BO).await;
    let id = bo.send_text(&desk.jid(), "have you seen this?").await;
    let chat = desk.message(&id).await.info.source.chat.clone();
    laptop.message(&id).await;
    assert!(!read_on_phone(&sim, ADA, &id).await);
    desk.client.mark_as_read(&chat, None, &[&id]).await.unwrap();
    laptop.receipt(&id, ReceiptType::ReadSelf).await;
    assert!(read_on_phone(&sim, ADA, &id).await);
    bo.receipt(&id, ReceiptType::Read).await;

    let id = bo.send_text(&desk.jid(), "and this?").await;
    sim.shows_id(ADA, &id).await;
    sim.post(&format!("phones/{ADA}/receipts"), json!({ "message_id": id })).await;
    for device in [&desk, &laptop] {
        device.receipt(&id, ReceiptType::ReadSelf).await;
    }
    bo.receipt(&id, ReceiptType::Read).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_in_a_group_is_known_to_its_author_and_the_own_devices() {
    let Club { sim, ada, bo, group } = Club::start().await;
    let (at_home, laptop) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let id = ada.send_text(&group, "see you at eight").await;
    let author = bo.message(&id).await.info.source.sender.clone();
    bo.client.mark_as_read(&group, Some(&author), &[&id]).await.unwrap();
    for device in [&ada, &at_home] {
        device.receipt(&id, ReceiptType::Read).await;
    }
    laptop.receipt(&id, ReceiptType::ReadSelf).await;
    assert!(read_on_phone(&sim, BO, &id).await);
    assert!(!read_on_phone(&sim, CY, &id).await, "Cy has not");
    let heard = sim.heard(ADA, "receipts").await;
    let by_bo = |receipt: &&serde_json::Value| receipt["message_id"] == id.as_str() && receipt["type"] == "read";
    assert_eq!(heard.iter().find(by_bo).unwrap()["from"], jid(BO).to_string(), "{heard:#?}");
}
