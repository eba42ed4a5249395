//! Linking clients to phones and taking them off again.

use serde_json::json;
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::raw_client::{Mark, RawClient, Setup, jid};
use switchboard_tests::sim::Sim;
use whatsapp_rust::pair_code::{PairCodeOptions, PairError};
use whatsapp_rust::prelude::*;
use whatsapp_rust::wacore::types::events::ConnectFailureReason;

use crate::{ADA, BO};

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_links_a_client_under_both_names_of_the_phone() {
    let sim = Sim::start().await;
    let phone = sim.phone(ADA).await;
    let client = RawClient::start(&sim, Setup::named("Desk")).await;
    let code = client.qr().await;
    let linked = sim.scan(ADA, &code).await;
    client.connected(Mark::default()).await;
    let (id, lid) = client
        .hears("that it is linked", |event| match event {
            Event::PairSuccess(pair) => Some((pair.id.clone(), pair.lid.clone())),
            _ => None,
        })
        .await;
    assert_eq!(
        (linked["jid"].as_str(), linked["device"].as_u64()),
        (Some(id.to_string().as_str()), Some(u64::from(id.device)))
    );
    assert_eq!(phone["jid"], id.to_non_ad_string());
    assert_eq!(phone["lid"], lid.to_non_ad_string());
    assert_eq!(sim.devices(ADA).await, [u64::from(id.device)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_links_once_and_only_a_code_does() {
    let sim = Sim::start().await;
    sim.phone(ADA).await;
    sim.phone(BO).await;
    let client = RawClient::start(&sim, Setup::named("Desk")).await;
    let code = client.qr().await;
    sim.scan(ADA, &code).await;
    for (number, code, status) in [(ADA, code.as_str(), 410), (BO, code.as_str(), 410), (BO, "no code at all", 422)] {
        let (answered, why) = sim.ask("POST", &format!("phones/{number}/scan"), Some(&json!({ "code": code }))).await;
        assert_eq!(answered, status, "{why}");
    }
    let (answered, _) = sim.ask("POST", "phones/491510009999/scan", Some(&json!({ "code": code }))).await;
    assert_eq!(answered, 404);
    client.connected(Mark::default()).await;
}

/// Lets the network itself scan a client's code, by the name it brings along.
async fn scanned(sim: &Sim, client: &RawClient) {
    let code = client.qr().await;
    let answer = sim.http().exchange("POST", "/admin/mock-phone/scan-qr", &[], code.into_bytes()).await.unwrap();
    assert_eq!(answer.status / 100, 2, "{answer:?}");
    client.connected(Mark::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_without_a_number_goes_by_the_name_of_the_client() {
    let sim = Sim::start().await;
    let (desk, laptop) =
        (RawClient::start(&sim, Setup::named("Ada")).await, RawClient::start(&sim, Setup::named("Ada")).await);
    let other = RawClient::start(&sim, Setup::named("Bo")).await;
    for client in [&desk, &laptop, &other] {
        scanned(&sim, client).await;
    }
    assert_eq!(desk.jid(), laptop.jid(), "the same name is the same phone");
    assert_ne!(desk.device_jid().device, laptop.device_jid().device);
    assert_ne!(desk.jid(), other.jid());
    let id = other.send_text(&desk.jid(), "hello").await;
    desk.message(&id).await;
    laptop.message(&id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_typed_into_the_phone_links_a_client() {
    let sim = Sim::start().await;
    sim.phone(ADA).await;
    sim.phone(BO).await;
    let client = RawClient::start(&sim, Setup::named("Desk")).await;
    client.qr().await;
    let options = PairCodeOptions { phone_number: format!("+{ADA}"), ..PairCodeOptions::default() };
    // A code that is given up makes room for another.
    client.client.pair_with_code(options.clone()).await.unwrap();
    client.client.cancel_pair_code().await;
    let code = client.client.pair_with_code(options).await.unwrap();
    let link = format!("phones/{ADA}/link");
    let waiting = sim.get(&link).await;
    assert_eq!(waiting["clients"].as_array().map(Vec::len), Some(1), "{waiting}");
    let (status, _) = sim.ask("POST", &format!("phones/{BO}/link"), Some(&json!({ "code": code }))).await;
    assert_eq!(status, 410, "nobody waits at another phone");
    let wrong = if code.starts_with('A') { "BBBBBBBB" } else { "AAAAAAAA" };
    let (status, why) = sim.ask("POST", &link, Some(&json!({ "code": wrong }))).await;
    assert_eq!(status / 100, 4, "{why}");
    let linked = sim.post(&link, json!({ "code": code })).await;
    client.connected(Mark::default()).await;
    assert_eq!(linked["jid"], client.device_jid().to_string());
    let id = sim.send_text(BO, ADA, "welcome").await;
    client.message(&id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_no_code_for_what_is_no_number_and_no_second_one_beside_the_first() {
    let sim = Sim::start().await;
    sim.phone(ADA).await;
    let client = RawClient::start(&sim, Setup::named("Desk")).await;
    client.qr().await;
    let options = |number: &str, code: Option<&str>| PairCodeOptions {
        phone_number: number.to_owned(),
        custom_code: code.map(str::to_owned),
        ..PairCodeOptions::default()
    };
    for (number, code) in [("", None), ("12345", None), ("0151000001", None), (ADA, Some("ABC")), (ADA, Some("ABCDOIU0"))] {
        let refused = client.client.pair_with_code(options(number, code)).await;
        assert!(matches!(refused, Err(PairError::PairCode(_))), "{number:?} {code:?}: {refused:?}");
    }
    // Nobody has this number: the network says so.
    let refused = client.client.pair_with_code(options("491510009999", None)).await.unwrap_err();
    assert!(refused.rejection().is_some(), "{refused:?}");
    client.hears("that no code comes", |event| matches!(event, Event::PairingCodeError(_)).then_some(())).await;
    let code = client.client.pair_with_code(options(ADA, None)).await.unwrap();
    let second = client.client.pair_with_code(options(ADA, None)).await.unwrap_err();
    assert!(second.lost_the_flow_to_another_request(), "{second:?}");
    sim.post(&format!("phones/{ADA}/link"), json!({ "code": code })).await;
    client.connected(Mark::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_asks_for_a_code_of_its_own_choice() {
    let sim = Sim::start().await;
    sim.phone(ADA).await;
    let pair_code =
        PairCodeOptions { phone_number: ADA.to_owned(), custom_code: Some("ABCD2345".to_owned()), ..Default::default() };
    let client = RawClient::start(&sim, Setup { pair_code: Some(pair_code), ..Setup::named("Desk") }).await;
    let code = client
        .hears("its code", |event| match event {
            Event::PairingCode(code) => Some(code.code.clone()),
            _ => None,
        })
        .await;
    assert_eq!(code.replace('-', ""), "ABCD2345");
    sim.post(&format!("phones/{ADA}/link"), json!({ "code": code })).await;
    client.connected(Mark::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_logs_out_is_gone_from_its_phone() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let hello = bo.send_text(&ada.jid(), "hello").await;
    ada.message(&hello).await;
    let mark = bo.mark();
    ada.client.logout().await;
    let gone = async || sim.devices(ADA).await.is_empty();
    assert!(until(PATIENCE, gone).await);
    bo.hears_after(mark, "the device going", |event| matches!(event, Event::DeviceListUpdate(_)).then_some(())).await;
    // The phone still reads.
    let after = bo.send_text(&jid(ADA), "still there?").await;
    sim.shows_id(ADA, &after).await;
}

/// Waits until the network has logged a client out.
async fn logged_out(client: &RawClient) -> ConnectFailureReason {
    client
        .hears("that it is logged out", |event| match event {
            Event::LoggedOut(out) => Some(out.reason),
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_its_phone_takes_off_is_logged_out_for_good() {
    let sim = Sim::start().await;
    let (desk, laptop) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, ADA).await);
    let device = laptop.device_jid().device;
    sim.must("DELETE", &format!("phones/{ADA}/devices/{device}"), None).await;
    logged_out(&laptop).await;
    assert_eq!(sim.devices(ADA).await, [u64::from(desk.device_jid().device)]);
    let (status, _) = sim.ask("DELETE", &format!("phones/{ADA}/devices/{device}"), None).await;
    assert_eq!(status, 404);
    // Coming back with what it has kept is refused.
    let again = laptop.suspend().await.start(&sim).await;
    logged_out(&again).await;
    // The other one is not touched.
    sim.phone(BO).await;
    let id = sim.send_text(BO, ADA, "hello").await;
    desk.message(&id).await;
    assert_eq!(again.received(&id), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_off_when_it_is_taken_off_learns_it_later() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    let device = ada.device_jid().device;
    let ada = ada.suspend().await;
    sim.must("DELETE", &format!("phones/{ADA}/devices/{device}"), None).await;
    let ada = ada.start(&sim).await;
    logged_out(&ada).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_links_a_new_client_after_the_old_one_is_gone() {
    let sim = Sim::start().await;
    let first = RawClient::linked(&sim, ADA).await;
    let old = first.device_jid().device;
    first.client.logout().await;
    let second = RawClient::linked(&sim, ADA).await;
    assert_ne!(second.device_jid().device, old, "a number is not given again while peers may know it");
    sim.phone(BO).await;
    let id = sim.send_text(BO, ADA, "to the new one").await;
    second.message(&id).await;
}
