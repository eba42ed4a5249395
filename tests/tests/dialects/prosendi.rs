//! The dialect `prosendi`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use switchboard_tests::account::{phone, scan};
use switchboard_tests::files::{self, decoded};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::ADMIN_KEY;

use crate::document::Document;
use crate::stage::{CUSTOMER, Cast};
use crate::table::{Api, Row};

const BASE: &str = "/api/whatsapp";

async fn api(cast: &Cast) -> Api {
    let id = |id: u64, token| (id.to_string(), token);
    Api {
        http: cast.stage.http(),
        key_header: |key| ("x-api-key", key.to_owned()),
        key: cast.ours.tenant_key.clone(),
        spent_key: cast.spent.tenant_key.clone(),
        throttled_key: cast.throttled.tenant_key.clone(),
        bad_keys: cast.bad_keys().await,
        known: BTreeMap::from([
            id(cast.connected.id, "<device>"),
            id(cast.idle.id, "<idle device>"),
            id(cast.foreign.id, "<foreign device>"),
        ]),
        document: Document::of(cast.stage.http(), "prosendi").await,
        told: String::new(),
        columns: BTreeSet::new(),
    }
}

/// An endpoint of one device.
fn of_device<'a>(cast: &Cast, method: &'a str, rest: &str, body: Option<Value>) -> Row<'a> {
    let path = |id: u64| format!("{BASE}/devices/{id}{rest}");
    Row {
        method,
        path: path(cast.connected.id),
        foreign: Some((path(cast.foreign.id), body.clone())),
        unknown: Some((path(4), body.clone())),
        body,
        wrong_method: "PATCH",
        ..Row::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_answers_what_is_right_and_what_is_wrong() {
    let cast = Cast::start().await;
    let mut api = api(&cast).await;
    api.walk(Row { method: "GET", path: format!("{BASE}/devices"), wrong_method: "PATCH", ..Row::default() }).await;
    api.walk(Row {
        method: "POST",
        path: format!("{BASE}/devices"),
        body: Some(json!({ "name": "My WhatsApp Device", "colour": "ignored" })),
        required: &["name"],
        typed: &[("name", json!(5))],
        sends: true,
        wrong: &[("empty name", json!({ "name": " " })), ("name over the limit", json!({ "name": "x".repeat(256) }))],
        wrong_method: "PATCH",
        ..Row::default()
    })
    .await;
    api.walk(of_device(&cast, "GET", "/qr", None)).await;
    api.walk(of_device(&cast, "GET", "/status", None)).await;
    api.walk(of_device(&cast, "POST", "/set-default", None)).await;
    let typed = [("name", json!(5)), ("is_active", json!("yes"))];
    let renamed = Some(json!({ "name": "Front desk" }));
    api.walk(Row { typed: &typed, ..of_device(&cast, "PUT", "", renamed) }).await;
    api.walk(send_row(&cast)).await;
    api.walk(bulk_row(&cast)).await;
    api.walk(Row { path: format!("{BASE}/devices/{}", cast.idle.id), ..of_device(&cast, "DELETE", "", None) }).await;
    let (key, wrong) = (api.key.clone(), format!("{BASE}/nothing"));
    api.tell("GET /nothing", "unknown path", api.ask("GET", &wrong, Some(&key), None).await);
    api.compare("prosendi");
    cast.stage.stop().await;
}

fn send_row<'a>(cast: &Cast) -> Row<'a> {
    let text = |device: u64| json!({ "recipient": CUSTOMER, "message": "Hello World", "device_id": device });
    let path = format!("{BASE}/send");
    let about = |device: u64| Some((path.clone(), Some(text(device))));
    Row {
        method: "POST",
        body: Some(text(cast.connected.id)),
        required: &["recipient", "message"],
        typed: TYPED.get_or_init(typed),
        wrong: WRONG.get_or_init(wrong),
        foreign: about(cast.foreign.id),
        unknown: about(4),
        not_connected: about(cast.idle.id),
        sends: true,
        wrong_method: "PATCH",
        path: path.clone(),
        ..Row::default()
    }
}

static TYPED: std::sync::OnceLock<Vec<(&str, Value)>> = std::sync::OnceLock::new();
static WRONG: std::sync::OnceLock<Vec<(&str, Value)>> = std::sync::OnceLock::new();
static WRONG_BULK: std::sync::OnceLock<Vec<(&str, Value)>> = std::sync::OnceLock::new();

fn typed() -> Vec<(&'static str, Value)> {
    vec![
        ("recipient", json!(22_370)),
        ("message", json!(["Hello"])),
        ("media_url", json!(1)),
        ("is_group", json!("true")),
        ("device_id", json!("first")),
    ]
}

fn wrong() -> Vec<(&'static str, Value)> {
    let to = |recipient: &str| json!({ "recipient": recipient, "message": "Hello" });
    vec![
        ("number with letters", to("+2237ABC")),
        ("number too short", to("+123456")),
        ("number too long", to("1234567890123456")),
        ("message over the limit", json!({ "recipient": CUSTOMER, "message": "x".repeat(4097) })),
        ("media from an inner network", json!({ "recipient": CUSTOMER, "media_url": "http://10.0.0.1/a.png" })),
        ("media of another scheme", json!({ "recipient": CUSTOMER, "media_url": "ftp://example.com/a.png" })),
    ]
}

fn bulk_row<'a>(cast: &Cast) -> Row<'a> {
    let path = format!("{BASE}/send-bulk");
    let bulk = |device: u64| {
        json!({ "device_id": device, "messages": [
            { "recipient": CUSTOMER, "message": "first of a bulk" },
            { "recipient": "12", "message": "to nobody" },
            { "recipient": CUSTOMER },
            { "recipient": 5, "message": "to a number" },
        ] })
    };
    let about = |device: u64| Some((path.clone(), Some(bulk(device))));
    Row {
        method: "POST",
        body: Some(bulk(cast.connected.id)),
        required: &["messages"],
        wrong: WRONG_BULK.get_or_init(|| {
            let one = json!({ "recipient": CUSTOMER, "message": "one of many" });
            vec![
                ("no messages", json!({ "messages": [] })),
                ("more than 100 messages", json!({ "messages": vec![one; 101] })),
                ("messages that are no list", json!({ "messages": "all" })),
            ]
        }),
        foreign: about(cast.foreign.id),
        unknown: about(4),
        not_connected: about(cast.idle.id),
        sends: true,
        wrong_method: "PATCH",
        path: path.clone(),
        ..Row::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_made_scanned_used_by_default_and_switched_off() {
    let cast = Cast::start().await;
    let api = api(&cast).await;
    let key = api.key.clone();
    let ask = async |method: &str, path: &str, body: Value| {
        let answer = api.ask(method, &format!("{BASE}{path}"), Some(&key), Some(&body)).await;
        (answer.status, answer.json())
    };
    let (status, made) = ask("POST", "/devices", json!({ "name": "Second" })).await;
    assert_eq!((status, &made["data"]["status"]), (200, &json!("pending")), "{made}");
    let id = made["data"]["id"].as_u64().unwrap();
    let (_, qr) = ask("GET", &format!("/devices/{id}/qr"), json!(null)).await;
    assert_eq!(qr["data"]["device_status"], "qr_ready", "{qr}");
    let code = decoded(qr["data"]["qr_code"].as_str().unwrap());
    phone(cast.stage.control(), ADMIN_KEY, "491510000003").await;
    scan(cast.stage.control(), ADMIN_KEY, "491510000003", &code).await;
    let authenticated = async || {
        let (_, told) = ask("GET", &format!("/devices/{id}/status"), json!(null)).await;
        told["data"] == json!({ "status": "authenticated", "phone_number": "+491510000003" })
    };
    assert!(until(PATIENCE, authenticated).await);
    let (_, qr) = ask("GET", &format!("/devices/{id}/qr"), json!(null)).await;
    assert_eq!(qr["data"], json!({ "qr_code": null, "device_status": "authenticated" }));

    let defaults = async || {
        let (_, listed) = ask("GET", "/devices", json!(null)).await;
        let devices = listed["data"].as_array().unwrap().clone();
        devices
            .iter()
            .filter(|device| device["is_default"] == true)
            .map(|device| device["id"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(defaults().await, [cast.connected.id], "the first that was authenticated");
    ask("POST", &format!("/devices/{id}/set-default"), json!(null)).await;
    assert_eq!(defaults().await, [id]);
    let hello = json!({ "recipient": format!("+{CUSTOMER}"), "message": "from the default device" });
    let (status, sent) = ask("POST", "/send", hello.clone()).await;
    assert_eq!((status, &sent["data"]["device_id"]), (200, &json!(id)), "{sent}");
    cast.stage.phone_shows(CUSTOMER, |message| message["text"] == "from the default device").await;

    ask("PUT", &format!("/devices/{id}"), json!({ "is_active": false })).await;
    let (status, refused) = ask("POST", "/send", hello.clone()).await;
    assert_eq!((status, &refused["error_code"]), (503, &json!("device_not_ready")));
    let native = json!({ "session_id": id, "to": CUSTOMER, "content": { "type": "text", "value": "by another API" } });
    assert_eq!(cast.ours.post("/switchboard/v1/messages", &key, native).await.status, 409, "it sends through no API");
    ask("PUT", &format!("/devices/{id}"), json!({ "is_active": true })).await;
    assert_eq!(ask("POST", "/send", hello).await.0, 200);
    cast.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_arrive_as_what_they_are_and_groups_by_their_id() {
    let cast = Cast::start().await;
    let api = api(&cast).await;
    let web = files::serve().await;
    for (file, kind) in [("photo.png", "image"), ("invoice.pdf", "document"), ("sound.ogg", "audio")] {
        let caption = format!("caption of {file}");
        let body = json!({ "recipient": CUSTOMER, "message": caption, "media_url": web.url(file) });
        let sent = api.ask("POST", &format!("{BASE}/send"), Some(&api.key), Some(&body)).await;
        assert_eq!(sent.status, 200, "{file}: {sent:?}");
        let shown = cast.stage.phone_shows(CUSTOMER, |message| message["type"] == kind).await;
        if kind == "document" {
            assert_eq!((&shown["caption"], &shown["media"]["file_name"]), (&json!(caption), &json!(file)), "{shown}");
        }
    }
    for (file, code) in
        [("page.html", "media_unsupported"), ("empty.bin", "media_unsupported"), ("missing", "media_unreachable")]
    {
        let body = json!({ "recipient": CUSTOMER, "media_url": web.url(file) });
        let refused = api.ask("POST", &format!("{BASE}/send"), Some(&api.key), Some(&body)).await;
        assert_eq!((refused.status, &refused.json()["error_code"]), (422, &json!(code)), "{file}: {refused:?}");
    }
    cast.stage.stop().await;
}
