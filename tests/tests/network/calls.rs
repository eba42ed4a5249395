//! Calls beside the one that rings and is rejected: refused by their names alone, taken, ended, and known on other devices.

use serde_json::json;
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::raw_client::RawClient;
use switchboard_tests::sim::Sim;
use whatsapp_rust::NodeBuilder;
use whatsapp_rust::prelude::*;
use whatsapp_rust::wacore::types::call::{CallAction, IncomingCall};

use crate::{ADA, BO};

/// Bo's phone calls Ada, who has two clients: the call's id, and what each of the clients heard.
async fn called() -> (Sim, RawClient, RawClient, String, IncomingCall) {
    let sim = Sim::start().await;
    let (desk, laptop) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, ADA).await);
    sim.phone(BO).await;
    let made = sim.post(&format!("phones/{BO}/calls"), json!({ "to": ADA })).await;
    let id = made["id"].as_str().unwrap().to_owned();
    offered(&laptop).await;
    let call = offered(&desk).await;
    (sim, desk, laptop, id, call)
}

async fn offered(client: &RawClient) -> IncomingCall {
    client
        .hears("a call", |event| match event {
            Event::IncomingCall(call) if matches!(call.action, CallAction::Offer { .. }) => Some(call.clone()),
            _ => None,
        })
        .await
}

/// What became of a call, as the caller sees it.
async fn call_is(sim: &Sim, id: &str, wanted: &str) {
    let mut calls = json!(null);
    let is = async || {
        calls = sim.get(&format!("phones/{BO}/calls")).await["calls"].clone();
        calls.as_array().unwrap().iter().any(|call| call["id"] == id && call["state"] == wanted)
    };
    assert!(until(PATIENCE, is).await, "call {id} never was {wanted}: {calls}");
}

async fn ends_elsewhere(client: &RawClient, id: &str) {
    client
        .hears("that it goes on elsewhere", |event| match event {
            Event::CallEndedElsewhere(ended) if ended.call_id == id => Some(()),
            Event::IncomingCall(call) if matches!(&call.action, CallAction::Terminate { .. }) => {
                (call.action.call_id() == id).then_some(())
            }
            _ => None,
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_refused_by_its_names_and_stops_ringing_elsewhere() {
    let (sim, desk, laptop, id, call) = called().await;
    desk.client.voip().reject_call(&id, &call.from, call.action.call_creator()).await.unwrap();
    call_is(&sim, &id, "rejected").await;
    ends_elsewhere(&laptop, &id).await;
    assert!(desk.client.voip().reject_call("", &call.from, &call.from).await.is_err(), "a call without an id");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_taken_is_ended_by_either_side() {
    for by_client in [true, false] {
        let (sim, desk, laptop, id, call) = called().await;
        // Answering with sound is no part of this build of the library; that a device took the call is one stanza.
        let accept =
            NodeBuilder::new("accept").attr("call-id", &id).attr("call-creator", call.action.call_creator()).build();
        let stanza = NodeBuilder::new("call").attr("to", &call.from).attr("id", "CALL1").children([accept]).build();
        desk.client.send_node(stanza).await.unwrap();
        call_is(&sim, &id, "accepted").await;
        ends_elsewhere(&laptop, &id).await;
        if by_client {
            desk.client.voip().terminate(&id, &call.from, call.action.call_creator()).await.unwrap();
        } else {
            sim.post(&format!("phones/{BO}/calls/{id}"), json!({ "action": "hang_up" })).await;
            ends_elsewhere(&desk, &id).await;
        }
        call_is(&sim, &id, "ended").await;
    }
}
