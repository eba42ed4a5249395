//! The plugins that the host carries as worked examples, installed by name and seen at work through the API.

use serde_json::{Value, json};
use switchboard_core::clock::{Clock, SystemClock};
use switchboard_core::rules::zones::minutes_east;
use switchboard_tests::account::{Account, TestSession, phone, received, shows, write};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::receiver::{Received, Receiver};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const SHOP: &str = "491510000001";
const SECOND: &str = "491510000002";
const CUSTOMER: &str = "491520000001";
const OTHER: &str = "33612345678";
const MESSAGES: &str = "/switchboard/v1/messages";

/// Installs a carried plugin for the tenant.
async fn install(account: &Account, builtin: &str, config: Value) {
    let wish = json!({ "name": builtin, "builtin": builtin, "config": config });
    let made = account.post("/switchboard/v1/plugins", &account.tenant_key, wish).await;
    assert_eq!(made.status, 201, "{made:?}");
}

async fn start() -> (Stage, Account, TestSession) {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let session = account.linked(stage.control(), "Berlin", SHOP).await;
    for number in [CUSTOMER, OTHER] {
        phone(stage.control(), ADMIN_KEY, number).await;
    }
    (stage, account, session)
}

/// Sends without naming a session; the status and the answer.
async fn send(account: &Account, to: &str, text: &str) -> (u16, Value) {
    let sent = account.post(MESSAGES, &account.tenant_key, json!({ "to": to, "text": text })).await;
    (sent.status, sent.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_take_turns_and_one_that_is_off_line_is_passed_over() {
    let (stage, account, first) = start().await;
    let (status, told) = send(&account, CUSTOMER, "alone").await;
    assert_eq!((status, &told["session_id"]), (202, &json!(first.id)), "the only one: {told}");
    let second = account.linked(stage.control(), "Hamburg", SECOND).await;
    let (status, told) = send(&account, CUSTOMER, "which").await;
    assert_eq!((status, &told["errors"][0]["pointer"]), (422, &json!("#/session_id")), "{told}");

    install(&account, "round-robin", json!({})).await;
    let mut by = Vec::new();
    for n in 0..4 {
        let (status, told) = send(&account, CUSTOMER, &format!("turn {n}")).await;
        assert_eq!(status, 202, "{told}");
        by.push(told["session_id"].as_u64().unwrap());
        shows(stage.control(), ADMIN_KEY, CUSTOMER, &format!("turn {n}")).await;
    }
    assert_ne!(by[0], by[1]);
    assert_eq!(by[..2], by[2..]);

    let batch = json!({ "messages": [{ "to": CUSTOMER, "text": "b1" }, { "to": CUSTOMER, "text": "b2" }] });
    let batch = account.post("/switchboard/v1/messages/batch", &account.tenant_key, batch).await;
    assert_eq!((batch.status, &batch.json()["session_id"]), (202, &json!(by[0])), "one session for all: {batch:?}");

    let off = format!("/switchboard/v1/sessions/{}/disconnect", first.id);
    assert_eq!(account.post(&off, &account.tenant_key, json!({})).await.status, 200);
    for n in 0..3 {
        let (status, told) = send(&account, CUSTOMER, &format!("fail over {n}")).await;
        assert_eq!((status, &told["session_id"]), (202, &json!(second.id)), "{told}");
    }
    let config = json!({ "sessions": [{ "id": first.id }] });
    let path = "/switchboard/v1/plugins/round-robin/config";
    let set = account.http.json("PUT", path, Some(&account.tenant_key), Some(&config)).await.unwrap();
    assert_eq!(set.status, 200, "{set:?}");
    let (status, told) = send(&account, CUSTOMER, "none").await;
    let expected = json!("none of the sessions that take turns is connected");
    assert_eq!((status, &told["code"], &told["detail"]), (409, &json!("no_sender"), &expected), "{told}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_keeps_to_its_lists() {
    let (stage, account, _) = start().await;
    install(&account, "recipients", json!({ "allow": ["+49"], "deny": [SHOP] })).await;
    assert_eq!(send(&account, CUSTOMER, "hello").await.0, 202);
    for to in [OTHER, SHOP] {
        let (status, told) = send(&account, to, "hello").await;
        assert_eq!((status, &told["code"]), (403, &json!("refused_by_policy")), "{told}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_hours_go_by_the_recipients_clock() {
    let (stage, account, _) = start().await;
    let east = i64::from(minutes_east(&format!("{CUSTOMER}@s.whatsapp.net"), SystemClock.now()).unwrap());
    let minute = |ahead: i64| {
        let minutes = i64::try_from(SystemClock.now().0 / 60_000).unwrap() + east + ahead;
        format!("{:02}:{:02}", minutes.rem_euclid(1440) / 60, minutes.rem_euclid(60))
    };
    install(&account, "quiet-hours", json!({ "from": minute(-120), "until": minute(120) })).await;
    let (status, told) = send(&account, CUSTOMER, "psst").await;
    assert_eq!((status, &told["code"]), (403, &json!("refused_by_policy")), "{told}");
    let awake = json!({ "from": minute(120), "until": minute(240) });
    let path = "/switchboard/v1/plugins/quiet-hours/config";
    let set = account.http.json("PUT", path, Some(&account.tenant_key), Some(&awake)).await.unwrap();
    assert_eq!(set.status, 200, "{set:?}");
    assert_eq!(send(&account, CUSTOMER, "good day").await.0, 202);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_told_as_cloudevents_and_as_lines_for_slack() {
    let (stage, account, session) = start().await;
    install(&account, "cloudevents", json!({ "type_prefix": "com.example." })).await;
    install(&account, "slack", json!({})).await;
    let receiver = Receiver::start().await;
    for format in ["cloudevents", "slack"] {
        let url = receiver.url(&format!("/{format}"));
        let wish = json!({ "url": url, "events": ["message.received"], "format": format });
        let made = account.post("/switchboard/v1/webhooks", &account.tenant_key, wish).await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    write(stage.control(), ADMIN_KEY, CUSTOMER, SHOP, "2 < 3 & so on").await;
    let at = |path: &'static str| move |request: &Received| request.path == path;
    let event = receiver.wait_for(1, at("/cloudevents")).await.remove(0);
    assert_eq!(event.header("content-type"), "application/cloudevents+json; charset=utf-8");
    assert!(event.header("webhook-signature").starts_with("v1,"), "{event:?}");
    let told = event.json();
    assert_eq!((&told["specversion"], &told["type"]), (&json!("1.0"), &json!("com.example.message.received")), "{told}");
    assert_eq!(told["source"], format!("/switchboard/sessions/{}", session.id));
    assert_eq!(told["data"]["data"]["content"]["value"], "2 < 3 & so on", "{told}");
    let line = receiver.wait_for(1, at("/slack")).await.remove(0);
    let text = line.json()["text"].as_str().unwrap().to_owned();
    assert!(text.ends_with("to Berlin: 2 &lt; 3 &amp; so on"), "{text}");
    assert!(text.contains(&format!("+{CUSTOMER}")), "{text}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_menu_keeps_everybodys_place_and_leads_on() {
    let (stage, account, _) = start().await;
    install(
        &account,
        "menu",
        json!({ "begin": ["menu"], "first": "main", "screens": [
            { "name": "main", "text": "1 hours, 2 us", "choices": [{ "says": "1", "to": "hours" }, { "says": "2", "to": "us" }] },
            { "name": "hours", "text": "9 to 17, 0 goes back", "choices": [{ "says": "0", "to": "main" }] },
            { "name": "us", "text": "We will write." }
        ] }),
    )
    .await;
    let mut seen = [(CUSTOMER, 0), (OTHER, 0)];
    for (from, said, answer) in [
        (CUSTOMER, "menu", "1 hours, 2 us"),
        (OTHER, "menu", "1 hours, 2 us"),
        (CUSTOMER, "1", "9 to 17, 0 goes back"),
        (OTHER, "2", "We will write."),
        (CUSTOMER, "0", "1 hours, 2 us"),
    ] {
        write(stage.control(), ADMIN_KEY, from, SHOP, said).await;
        let (_, seen) = seen.iter_mut().find(|(number, _)| *number == from).unwrap();
        let new = |shown: &Value| shown["text"] == answer && shown["n"].as_u64().unwrap() > *seen;
        *seen = stage.phone_shows(from, new).await["n"].as_u64().unwrap();
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_hours_everybody_is_told_once() {
    let (stage, account, _) = start().await;
    install(&account, "business-hours", json!({ "zone": "+00:00", "reply": "Nobody is here." })).await;
    for text in ["hello", "hello?"] {
        write(stage.control(), ADMIN_KEY, CUSTOMER, SHOP, text).await;
    }
    write(stage.control(), ADMIN_KEY, OTHER, SHOP, "bonjour").await;
    for number in [CUSTOMER, OTHER] {
        shows(stage.control(), ADMIN_KEY, number, "Nobody is here.").await;
    }
    let runs = async || {
        let calls = account.get("/switchboard/v1/plugins/business-hours/logs", &account.tenant_key).await.json();
        calls["calls"].as_array().unwrap().len() == 3
    };
    assert!(until(PATIENCE, runs).await);
    let told = received(stage.control(), ADMIN_KEY, CUSTOMER, 0, 0).await;
    assert_eq!(told.iter().filter(|shown| shown["text"] == "Nobody is here.").count(), 1, "{told:?}");
    stage.stop().await;
}
