//! Webhooks of the dialects: everything that can happen to a session, as each of them tells it, signed in its own way.

mod scene;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use switchboard_ids::{Kind, uuid};
use switchboard_tests::account::{Account, TestSession};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::receiver::{Received, Receiver};
use switchboard_tests::stage::Stage;

use scene::{Scene, compare};

/// Hexadecimal HMAC-SHA256, made without any of the host's code.
fn hmac(key: &[u8], content: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(content.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn assert_standard(request: &Received, secret: &str) {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD;
    let key = base64.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let (id, at) = (request.header("webhook-id"), request.header("webhook-timestamp"));
    let expected = format!("v1,{}", base64.encode(hmac(&key, &format!("{id}.{at}.{}", request.body))));
    assert_eq!(request.header("webhook-signature"), expected, "{request:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wamux_tells_everything_that_happens_and_signs_timestamp_and_body() {
    let scene = Scene::start().await;
    let receiver = Receiver::start().await;
    let made = scene.ours.post("/api/v1/webhooks", &scene.ours.tenant_key, json!({ "url": receiver.url("/") })).await;
    assert_eq!(made.status, 201, "{made:?}");
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    let session = scene.ours.session("Shop").await;
    scene.play(&session).await;
    let wanted = [
        "call.incoming",
        "group.participant.added",
        "group.participant.demoted",
        "group.participant.left",
        "group.participant.promoted",
        "group.participant.removed",
        "message.deleted",
        "message.delivered",
        "message.failed",
        "message.reaction",
        "message.read",
        "message.received",
        "message.sent",
        "message.updated",
        "session.connected",
        "session.disconnected",
        "session.qr.updated",
    ];
    let name = |request: &Received| request.json()["type"].as_str().unwrap_or_default().to_owned();
    scene.wait_for_all(&receiver, &wanted, name).await;
    for request in receiver.all() {
        let at = request.header("x-webhook-timestamp");
        assert_eq!(at, request.header("webhook-timestamp"));
        let expected = format!("sha256={}", hex::encode(hmac(secret.as_bytes(), &format!("{at}.{}", request.body))));
        assert_eq!(request.header("x-webhook-signature"), expected);
        assert_standard(&request, &secret);
        assert!(!format!("{request:?}").contains(&secret), "the secret itself is sent nowhere");
    }
    compare("wamux", &scene.told(&receiver, &session, &wanted, name));
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sendapi_tells_what_happens_to_messages_and_sessions_and_signs_the_body() {
    let scene = Scene::start().await;
    let receiver = Receiver::start().await;
    let made =
        scene.ours.post("/v1/webhooks", &scene.ours.tenant_key, json!({ "url": receiver.url("/"), "events": ["*"] })).await;
    assert_eq!(made.status, 201, "{made:?}");
    let secret = made.json()["data"]["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_"), "{made:?}");
    let session = scene.ours.session("Shop").await;
    scene.play(&session).await;
    let wanted = [
        "message.delivered",
        "message.failed",
        "message.read",
        "message.received",
        "message.sent",
        "session.connected",
        "session.disconnected",
    ];
    let name = |request: &Received| request.json()["event"].as_str().unwrap_or_default().to_owned();
    scene.wait_for_all(&receiver, &wanted, name).await;
    for request in receiver.all() {
        let expected = format!("sha256={}", hex::encode(hmac(secret.as_bytes(), &request.body)));
        assert_eq!(request.header("x-sendapi-signature"), expected);
        assert_standard(&request, &secret);
        assert!(wanted.contains(&name(&request).as_str()), "{request:?}");
    }
    compare("sendapi", &scene.told(&receiver, &session, &wanted, name));
    scene.stop().await;
}

/// A session of `wasender` with these fields beside its name.
async fn wasender_session(account: &Account, fields: Value) -> (TestSession, Value) {
    let mut body = json!({ "name": "Shop" });
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let made = account.post("/api/v1/whatsapp-sessions", &account.token, body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let data = made.json()["data"].clone();
    let session = TestSession { id: data["id"].as_u64().unwrap(), key: data["api_key"].as_str().unwrap().to_owned() };
    (session, data)
}

fn event_name(request: &Received) -> String {
    request.json()["event"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn wasender_tells_in_the_form_of_its_published_clients_and_shows_them_the_secret() {
    let scene = Scene::start().await;
    let receiver = Receiver::start().await;
    let fields = json!({ "webhook_url": receiver.url("/"), "webhook_enabled": true, "webhook_format": "wasender" });
    let (session, made) = wasender_session(&scene.ours, fields).await;
    let secret = made["webhook_secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_"), "{made}");
    scene.play(&session).await;
    let wanted = [
        "call.received",
        "contacts.update",
        "contacts.upsert",
        "group-participants.update",
        "groups.update",
        "message-receipt.update",
        "message.sent",
        "messages.delete",
        "messages.reaction",
        "messages.received",
        "messages.update",
        "messages.upsert",
        "poll.results",
        "presence.update",
        "qrcode.updated",
        "session.status",
    ];
    scene.wait_for_all(&receiver, &wanted, event_name).await;
    for request in receiver.all() {
        assert_eq!(request.header("x-webhook-signature"), secret, "{request:?}");
        assert_standard(&request, &secret);
        let body = request.json();
        assert!(body["timestamp"].is_u64() && body["sessionId"] == json!(session.id.to_string()), "{body}");
    }
    compare("wasender-published", &scene.told(&receiver, &session, &wanted, event_name));
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wasender_tells_in_the_form_of_its_documentation_unless_it_is_asked_for_the_other() {
    let scene = Scene::start().await;
    let receiver = Receiver::start().await;
    let (session, made) = wasender_session(&scene.ours, json!({ "webhook_url": receiver.url("/") })).await;
    let secret = made["webhook_secret"].as_str().unwrap().to_owned();
    assert_eq!((&made["webhook_enabled"], &made["webhook_events"]), (&json!(true), &json!([])), "{made}");
    scene.play(&session).await;
    let wanted = ["message.received", "message.sent", "presence.update", "session.connected", "session.disconnected"];
    scene.wait_for_all(&receiver, &wanted, event_name).await;
    for request in receiver.all() {
        assert!(wanted.contains(&event_name(&request).as_str()), "{request:?}");
        assert_eq!(request.header("x-webhook-signature"), "", "the secret is not shown");
        assert!(!format!("{request:?}").contains(&secret), "{request:?}");
        assert_standard(&request, &secret);
    }
    compare("wasender", &scene.told(&receiver, &session, &wanted, event_name));
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_webhook_of_a_wasender_session_follows_its_fields_and_goes_with_it() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let receiver = Receiver::start().await;
    let (session, made) = wasender_session(&account, json!({})).await;
    assert_eq!((&made["webhook_secret"], &made["webhook_enabled"]), (&json!(""), &json!(false)), "{made}");
    let path = format!("/api/v1/whatsapp-sessions/{}", session.id);
    let put = async |body: Value| account.http.json("PUT", &path, Some(&account.token), Some(&body)).await.unwrap();
    let hooks = async || account.get("/switchboard/v1/webhooks", &account.tenant_key).await.json()["webhooks"].clone();

    let refused = put(json!({ "name": "Renamed", "webhook_url": "http://10.0.0.1/" })).await;
    assert_eq!((refused.status, refused.json()["errors"]["webhook_url"].is_array()), (422, true), "{refused:?}");
    let unchanged = account.get(&path, &account.token).await.json()["data"].clone();
    assert_eq!((&unchanged["name"], &unchanged["webhook_url"]), (&json!("Shop"), &json!("")), "{unchanged}");
    assert_eq!(put(json!({ "webhook_format": "other" })).await.status, 422);

    let events = json!(["messages.recieved", "session.status"]);
    let set = put(json!({ "webhook_url": receiver.url("/"), "webhook_events": events, "webhook_format": "wasender" })).await;
    let data = set.json()["data"].clone();
    assert_eq!((&data["webhook_events"], &data["webhook_enabled"]), (&events, &json!(true)), "{data}");
    let secret = data["webhook_secret"].as_str().unwrap().to_owned();
    let there = hooks().await;
    assert_eq!((&there[0]["format"], &there[0]["session_id"]), (&json!("wasender"), &json!(session.id)), "{there}");
    assert_eq!(
        (&there[0]["reveal_secret"], &there[0]["events"]),
        (&json!(true), &json!(["message.received", "session.state"]))
    );
    let by_session = account.get(&path, &session.key).await.json()["data"].clone();
    assert_eq!((&by_session["webhook_secret"], &by_session["api_key"]), (&json!(""), &json!("")), "{by_session}");
    let listed = account.get("/api/v1/whatsapp-sessions", &account.token).await.json()["data"][0].clone();
    assert_eq!(listed["webhook_secret"], json!(secret), "{listed}");

    let off = put(json!({ "webhook_enabled": false })).await.json()["data"].clone();
    assert_eq!((&off["webhook_enabled"], &hooks().await[0]["active"]), (&json!(false), &json!(false)));
    let on = put(json!({ "webhook_enabled": true, "webhook_format": "seed" })).await.json()["data"].clone();
    assert_eq!(on["webhook_secret"], json!(secret), "it stays the same endpoint");
    let there = hooks().await;
    assert_eq!((&there[0]["active"], &there[0]["reveal_secret"]), (&json!(true), &json!(false)), "{there}");
    let tested =
        account.post(&format!("/switchboard/v1/webhooks/{}/test", there[0]["id"]), &account.tenant_key, json!({})).await;
    assert_eq!(tested.status, 202, "{tested:?}");
    let test = receiver.wait_for(1, |request| event_name(request) == "webhook.test").await.remove(0);
    assert_eq!(test.header("x-webhook-signature"), "");
    assert_standard(&test, &secret);

    let deleted = account.http.json("DELETE", &path, Some(&account.token), None).await.unwrap();
    assert_eq!(deleted.status, 200, "{deleted:?}");
    assert_eq!(hooks().await, json!([]), "it goes with its session");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialect_sees_its_own_webhooks_alone_and_the_native_api_sees_all() {
    let stage = Stage::start().await;
    let (account, stranger) = (stage.account("Shop").await, stage.account("Other").await);
    let key = account.tenant_key.clone();
    let wish = json!({ "url": "https://shop.example/", "name": "Till", "events": ["message.*"] });
    let wamux = account.post("/api/v1/webhooks", &key, wish.clone()).await.json();
    let sendapi = account.post("/v1/webhooks", &key, wish).await.json()["data"].clone();
    assert_eq!((&wamux["events"], &sendapi["events"]), (&json!(["message.*"]), &json!(["message.*"])));
    let native = account.get("/switchboard/v1/webhooks", &key).await.json()["webhooks"].clone();
    let mut formats: Vec<&str> = native.as_array().unwrap().iter().map(|hook| hook["format"].as_str().unwrap()).collect();
    formats.sort_unstable();
    assert_eq!(formats, ["sendapi", "wamux"]);
    let number = |format: &str| {
        let hook = native.as_array().unwrap().iter().find(|hook| hook["format"] == format).unwrap();
        hook["id"].as_u64().unwrap()
    };
    assert_eq!(wamux["id"], json!(uuid(Kind::Webhook, number("wamux")).unwrap()));
    assert_eq!(sendapi["id"], json!(format!("wh_{}", number("sendapi"))));
    let foreign = [
        format!("/v1/webhooks/wh_{}", number("wamux")),
        format!("/api/v1/webhooks/{}", uuid(Kind::Webhook, number("sendapi")).unwrap()),
    ];
    for path in foreign {
        for method in ["GET", "DELETE"] {
            let answer = account.http.json(method, &path, Some(&key), None).await.unwrap();
            assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
        }
    }
    for (path, id) in [("/api/v1/webhooks", &wamux["id"]), ("/v1/webhooks", &sendapi["id"])] {
        assert_eq!(account.get(path, &key).await.json()["webhooks"].as_array().map_or(1, Vec::len), 1);
        let path = format!("{path}/{}", id.as_str().unwrap());
        assert_eq!(account.get(&path, &key).await.status, 200);
        assert_eq!(stranger.get(&path, &stranger.tenant_key).await.status, 404, "{path}");
    }
    let reader = account.key(json!({ "kind": "tenant", "scopes": ["webhooks:read"] })).await;
    let wish = json!({ "url": "https://shop.example/" });
    assert_eq!(account.get("/api/v1/webhooks", &reader).await.status, 200);
    assert_eq!(account.post("/api/v1/webhooks", &reader, wish.clone()).await.status, 403);
    assert_eq!(account.post("/v1/webhooks", &reader, wish).await.status, 403);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wamux_webhook_is_tested_rotated_logged_and_switched_off_when_its_receiver_is_gone() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let key = account.tenant_key.clone();
    let receiver = Receiver::that(|_, before| Some((if before == 1 { 410 } else { 200 }, String::new()))).await;
    let made = account.post("/api/v1/webhooks", &key, json!({ "url": receiver.url("/") })).await.json();
    let (id, old) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    let path = format!("/api/v1/webhooks/{id}");
    let rotated = account.post(&format!("{path}/rotate-secret"), &key, json!({})).await.json();
    let new = rotated["secret"].as_str().unwrap();
    assert_ne!(old, new);
    let tested = account.post(&format!("{path}/test"), &key, json!({})).await.json();
    let test = receiver.wait_for(1, |_| true).await.remove(0);
    assert_eq!((tested["success"].as_bool(), tested["deliveryId"].as_str()), (Some(true), Some(test.header("webhook-id"))));
    assert_eq!(test.json()["type"], "webhook.test");
    let at = test.header("x-webhook-timestamp");
    let expected = format!("sha256={}", hex::encode(hmac(new.as_bytes(), &format!("{at}.{}", test.body))));
    assert_eq!(test.header("x-webhook-signature"), expected, "the newest secret signs");
    assert_eq!(test.header("webhook-signature").split(' ').count(), 2, "both of them sign the standard way");

    account.post(&format!("{path}/test"), &key, json!({})).await;
    let off = async || account.get(&path, &key).await.json()["isActive"] == false;
    assert!(until(PATIENCE, off).await, "the receiver answered 410");
    let logs = account.get(&format!("{path}/logs?limit=1"), &key).await.json();
    assert_eq!((&logs["total"], &logs["logs"][0]["statusCode"]), (&json!(2), &json!(410)), "{logs}");
    assert_eq!((&logs["logs"][0]["success"], &logs["logs"][0]["eventType"]), (&json!(false), &json!("webhook.test")));
    let on = account.http.json("PATCH", &path, Some(&key), Some(&json!({ "isActive": true }))).await.unwrap();
    assert_eq!(on.json()["isActive"], true, "{on:?}");
    assert_eq!(account.http.json("DELETE", &path, Some(&key), None).await.unwrap().status, 204);
    assert_eq!(account.get(&path, &key).await.status, 404);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sendapi_session_has_a_webhook_for_all_its_events_and_failures_are_counted() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let key = account.tenant_key.clone();
    let receiver = Receiver::that(|_, _| Some((500, String::new()))).await;
    let refused = account.post("/v1/whatsapp/sessions", &key, json!({ "name": "A", "webhook_url": "ftp://x" })).await;
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (422, &json!("webhook_url")), "{refused:?}");
    assert_eq!(account.get("/v1/whatsapp/sessions", &key).await.json()["meta"]["total"], 0, "nothing is left of it");
    let wish = json!({ "name": "A", "webhook_url": receiver.url("/hook") });
    let made = account.post("/v1/whatsapp/sessions", &key, wish).await.json();
    assert!(made["webhook_secret"].as_str().unwrap().starts_with("whsec_"), "{made}");
    let hook = account.get("/v1/webhooks", &key).await.json()["data"][0].clone();
    assert_eq!((&hook["session_id"], &hook["events"]), (&made["id"], &json!(["*"])), "{hook}");
    assert!(hook.get("secret").is_none(), "{hook}");
    let native = account.get("/switchboard/v1/webhooks", &key).await.json()["webhooks"][0].clone();
    account.post(&format!("/switchboard/v1/webhooks/{}/test", native["id"]), &key, json!({})).await;
    receiver.wait_for(1, |request| request.json()["event"] == "webhook.test").await;
    let path = format!("/v1/webhooks/{}", hook["id"].as_str().unwrap());
    let counted = async || account.get(&path, &key).await.json()["data"]["failure_count"].as_u64() >= Some(1);
    assert!(until(PATIENCE, counted).await);
    let path = format!("/v1/whatsapp/sessions/{}", made["id"].as_str().unwrap());
    assert_eq!(account.http.json("DELETE", &path, Some(&key), None).await.unwrap().status, 204);
    assert_eq!(account.get("/v1/webhooks", &key).await.json()["meta"]["total"], 0);
    stage.stop().await;
}
