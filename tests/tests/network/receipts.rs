//! Who has received, read and played what.

use serde_json::json;
use switchboard_tests::raw_client::{RawClient, jid};
use switchboard_tests::sim::Sim;
use whatsapp_rust::types::presence::ReceiptType;

use crate::{ADA, BO};

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
