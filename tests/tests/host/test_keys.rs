//! Test keys: what they send goes through every check, never leaves the host, and comes to a made-up end that is told as any other.

use serde_json::{Value, json};
use switchboard_tests::account::{Account, TestSession, phone, received};
use switchboard_tests::receiver::Receiver;
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const CUSTOMER: &str = "491520000001";
const MESSAGES: &str = "/switchboard/v1/messages";

async fn start() -> (Stage, Account, TestSession, String) {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let session = account.linked(stage.control(), "S", "491510000001").await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    let test_key = account.key(json!({ "kind": "tenant", "mode": "test" })).await;
    (stage, account, session, test_key)
}

fn text(session: &TestSession, text: &str) -> Value {
    json!({ "session_id": session.id, "to": CUSTOMER, "text": text })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_test_key_is_told_to_its_end_and_no_phone_shows_it() {
    let (stage, account, session, test_key) = start().await;
    let receiver = Receiver::start().await;
    let hook = json!({ "url": receiver.url("/hook"), "events": ["message.*"] });
    assert_eq!(account.post("/switchboard/v1/webhooks", &account.tenant_key, hook).await.status, 201);
    let sent = account.post(MESSAGES, &test_key, text(&session, "for a test")).await;
    assert_eq!(
        (sent.status, &sent.json()["test"], &sent.json()["state"]),
        (202, &json!(true), &json!("queued")),
        "{sent:?}"
    );
    let id = sent.json()["id"].clone();
    for state in ["acknowledged", "delivered", "read"] {
        let kind = format!("message.{state}");
        let told = account.event(&kind, |data| data["message_id"] == id).await;
        assert_eq!((&told["state"], &told["test"]), (&json!(state), &json!(true)), "{told}");
        receiver.wait_for(1, |request| request.json()["type"] == kind && request.json()["data"]["test"] == true).await;
    }
    let shown = account.get(&format!("{MESSAGES}/{id}"), &test_key).await.json();
    assert_eq!((&shown["state"], &shown["attempts"]), (&json!("read"), &json!(1)), "{shown}");

    // What is sent after it arrives, and alone.
    let real = account.post(MESSAGES, &account.tenant_key, text(&session, "real")).await;
    assert_eq!((real.status, &real.json()["test"]), (202, &json!(false)), "{real:?}");
    stage.phone_shows(CUSTOMER, |shown| shown["text"] == "real").await;
    let all = received(stage.control(), ADMIN_KEY, CUSTOMER, 0, 0).await;
    assert_eq!(all.len(), 1, "{all:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_key_changes_nothing_that_others_see() {
    let (stage, account, session, test_key) = start().await;
    let later = json!({ "session_id": session.id, "to": CUSTOMER, "text": "later", "send_at": 4_000_000_000_000_u64 });
    let refused = account.post(MESSAGES, &test_key, later).await;
    assert_eq!(refused.status, 422, "checked as any other: {refused:?}");
    let soon = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() + 3_600_000;
    let scheduled = |key: String| {
        let wish =
            json!({ "session_id": session.id, "to": CUSTOMER, "text": "later", "send_at": u64::try_from(soon).unwrap() });
        let account = account.clone();
        async move { account.post(MESSAGES, &key, wish).await.json()["id"].clone() }
    };
    let (real, test) = (scheduled(account.tenant_key.clone()).await, scheduled(test_key.clone()).await);
    let cancel =
        async |id: &Value| account.http.json("DELETE", &format!("{MESSAGES}/{id}"), Some(&test_key), None).await.unwrap();
    assert_eq!(cancel(&real).await.status, 403);
    assert_eq!(cancel(&test).await.json()["state"], "cancelled");
    let reader = account.key(json!({ "kind": "tenant", "mode": "test", "scopes": ["messages:read"] })).await;
    assert_eq!(account.post(MESSAGES, &reader, text(&session, "x")).await.status, 403, "scopes hold for tests, too");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_tests_are_counted_apart_and_survive_a_restart() {
    let (stage, account, session, test_key) = start().await;
    let path = format!("/switchboard/v1/tenants/{}", account.tenant);
    let limits = json!({ "limits": { "messages_per_month": 1 } });
    let set = account.http.json("PATCH", &path, Some(ADMIN_KEY), Some(&limits)).await.unwrap();
    assert_eq!(set.status, 200, "{set:?}");
    let sent = account.post(MESSAGES, &test_key, text(&session, "one")).await;
    assert_eq!(sent.status, 202, "{sent:?}");
    let id = sent.json()["id"].clone();
    let stage = stage.restart().await;
    let account = Account { http: stage.http(), ..account };
    account.event("message.read", |data| data["message_id"] == id).await;
    account.wait_for(&session, "connected").await;
    let refused = account.post(MESSAGES, &test_key, text(&session, "two")).await;
    assert_eq!((refused.status, &refused.json()["used"]), (429, &json!(1)), "{refused:?}");
    for (key, test, used) in [(&test_key, true, 1), (&account.tenant_key, false, 0)] {
        let usage = account.get("/switchboard/v1/usage", key).await.json();
        let month = usage["limits"].as_array().unwrap().iter().find(|limit| limit["limit"] == "messages_per_month").unwrap();
        assert_eq!((&usage["test"], &month["used"]), (&json!(test), &json!(used)), "{usage}");
    }
    assert_eq!(account.post(MESSAGES, &account.tenant_key, text(&session, "real")).await.status, 202);
    assert_eq!(account.post(MESSAGES, &account.tenant_key, text(&session, "real two")).await.status, 429);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_key_comes_by_no_key_that_would_send_and_takes_the_place_of_none() {
    let (stage, account, session, _) = start().await;
    let test_token = account.key(json!({ "kind": "personal", "mode": "test" })).await;
    account.key(json!({ "kind": "session", "session_id": session.id, "mode": "test" })).await;
    let path = format!("/api/v1/whatsapp-sessions/{}", session.id);
    let shown = account.get(&path, &account.token).await.json();
    assert_eq!(shown["data"]["api_key"], session.key, "the live one is still shown: {shown}");
    let renewed = account.post(&format!("{path}/regenerate-key"), &test_token, json!({})).await;
    assert_eq!(renewed.status, 401, "its words for what a key may not do: {renewed:?}");
    assert_eq!(account.status(&session).await, "connected", "its key holds");
    let made = account.post("/api/v1/whatsapp-sessions", &test_token, json!({ "name": "By a test" })).await;
    assert_eq!(made.status, 201, "{made:?}");
    for path in [path, "/api/v1/whatsapp-sessions".to_owned()] {
        let told = account.get(&path, &test_token).await;
        assert!(told.status == 200 && !told.json().to_string().contains("ses_live_"), "{told:?}");
    }
    assert!(!made.json().to_string().contains("ses_live_"), "{made:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_key_neither_changes_nor_removes_what_is_live() {
    let (stage, account, session, test_key) = start().await;
    let url = "https://hooks.example.com/a";
    let hook = account.post("/switchboard/v1/webhooks", &account.tenant_key, json!({ "url": url })).await.json();
    let (hook, live) = (format!("webhooks/{}", hook["id"]), format!("sessions/{}", session.id));
    let ask = async |method: &str, path: &str, body: &Value| {
        account.http.json(method, &format!("/switchboard/v1/{path}"), Some(&test_key), Some(body)).await.unwrap()
    };
    let definition = json!({ "name": "a", "language": "en", "definition": { "body": "x" } });
    for (method, path, body) in [
        ("DELETE", live.clone(), json!({})),
        ("PATCH", live.clone(), json!({ "settings": { "fetch_media": true } })),
        ("POST", format!("{live}/disconnect"), json!({})),
        ("POST", format!("{live}/connect"), json!({})),
        ("POST", format!("{live}/pairing-code"), json!({ "phone_number": "491510000001" })),
        ("GET", format!("{live}/qr"), json!({})),
        ("DELETE", hook.clone(), json!({})),
        ("PATCH", hook.clone(), json!({ "active": false })),
        ("POST", format!("{hook}/enable"), json!({})),
        ("POST", format!("{hook}/rotate"), json!({})),
        ("POST", format!("{hook}/test"), json!({})),
        ("POST", format!("{hook}/replay"), json!({ "from": 1, "to": 2 })),
        ("POST", "webhooks".to_owned(), json!({ "url": url, "session_id": session.id })),
        ("POST", "plugins".to_owned(), json!({ "name": "auto-reply", "builtin": "auto-reply" })),
        ("PUT", "apis/wamux".to_owned(), json!({ "enabled": false })),
        ("POST", "templates".to_owned(), definition),
        ("DELETE", "media/med_1".to_owned(), json!({})),
    ] {
        let refused = ask(method, &path, &body).await;
        let told = refused.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(refused.status == 403 && told.contains("this is a test key"), "{method} {path}: {refused:?}");
    }
    assert_eq!(account.status(&session).await, "connected");
    // What it made itself is its own.
    let made = ask("POST", "webhooks", &json!({ "url": url })).await;
    assert_eq!((made.status, &made.json()["test"]), (201, &json!(true)), "{made:?}");
    assert_eq!(ask("DELETE", &format!("webhooks/{}", made.json()["id"]), &json!({})).await.status, 204);
    let made = ask("POST", "sessions", &json!({ "name": "By a test" })).await;
    assert_eq!((made.status, &made.json()["test"]), (201, &json!(true)), "{made:?}");
    let own = format!("sessions/{}", made.json()["id"]);
    assert_eq!(ask("PATCH", &own, &json!({ "settings": { "fetch_media": true } })).await.status, 200);
    assert_eq!(ask("DELETE", &own, &json!({})).await.status, 204);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_dialect_keeps_test_keys_from_live_sessions_and_their_secrets() {
    let (stage, account, session, test_key) = start().await;
    let test_token = account.key(json!({ "kind": "personal", "mode": "test" })).await;
    let uuid = switchboard_ids::uuid(switchboard_ids::Kind::Session, session.id).unwrap();
    for (method, path, key, status) in [
        ("DELETE", format!("/api/v1/sessions/{uuid}"), &test_key, 403),
        ("DELETE", format!("/v1/whatsapp/sessions/sess_{}", session.id), &test_key, 403),
        ("DELETE", format!("/api/whatsapp/devices/{}", session.id), &test_key, 403),
        // It has one code for whatever is wrong with a key.
        ("DELETE", format!("/api/v1/whatsapp-sessions/{}", session.id), &test_token, 401),
        ("PUT", format!("/api/v1/whatsapp-sessions/{}", session.id), &test_token, 401),
    ] {
        let body = json!({ "name": "Other", "webhook_url": "https://hooks.example.com/b" });
        let refused = account.http.json(method, &path, Some(key), Some(&body)).await.unwrap();
        let told = refused.json().to_string();
        assert!(refused.status == status && told.contains("this is a test key"), "{method} {path}: {refused:?}");
    }
    assert_eq!(account.status(&session).await, "connected");
    let hooks = account.get("/switchboard/v1/webhooks", &account.tenant_key).await.json();
    assert_eq!(hooks["webhooks"], json!([]), "what is refused leaves nothing behind");
    let wish = json!({ "name": "Hooked", "webhook_url": "https://hooks.example.com/a", "webhook_enabled": true });
    let made = account.post("/api/v1/whatsapp-sessions", &account.token, wish).await.json();
    let path = format!("/api/v1/whatsapp-sessions/{}", made["data"]["id"]);
    for (key, shown) in [(&account.token, true), (&test_token, false)] {
        let told = account.get(&path, key).await.json()["data"].clone();
        assert_eq!(!told["webhook_secret"].as_str().unwrap().is_empty(), shown, "{told}");
    }
    stage.stop().await;
}
