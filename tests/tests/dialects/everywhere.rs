//! What holds for every dialect alike: it serves elsewhere too, can be switched off, and sends nothing for a test key.

use serde_json::{Value, json};
use switchboard::http::LocalAnswer;
use switchboard_tests::account::{Account, received};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

use crate::stage::{CUSTOMER, Cast};

/// A dialect: its usual prefix, something to read below it, and something to send.
struct Spoken {
    name: &'static str,
    prefix: &'static str,
    reads: &'static str,
    sends: (&'static str, Value),
    header: &'static str,
    /// Whether it sends with the key of a session.
    by_session: bool,
}

fn spoken() -> [Spoken; 5] {
    let of = |name, prefix, reads, sends, header, by_session| Spoken { name, prefix, reads, sends, header, by_session };
    let text = |to: &str, text: &str| json!({ to: CUSTOMER, text: "for a test" });
    [
        of("prosendi", "/api/whatsapp", "/devices", ("/send", text("recipient", "message")), "x-api-key", false),
        of("wamux", "/api/v1", "/sessions", ("/messages", text("to", "message")), "authorization", false),
        of("sendapi", "/v1", "/whatsapp/sessions", ("/whatsapp/send", text("to", "message")), "authorization", false),
        of("wafastapi", "/api/whatsapp", "/get/groups", ("/send/text", text("number", "message")), "x-api-key", true),
        of("wasender", "/api/v1", "/status", ("/send-message", text("to", "text")), "authorization", true),
    ]
}

impl Spoken {
    fn key(&self, cast: &Cast) -> String {
        if self.by_session { cast.connected.key.clone() } else { cast.ours.tenant_key.clone() }
    }

    async fn ask(&self, stage: &Stage, host: &str, (method, path): (&str, &str), key: &str, body: &Value) -> LocalAnswer {
        let key = if self.header == "authorization" { format!("Bearer {key}") } else { key.to_owned() };
        let mut headers = vec![(self.header, key), ("content-type", "application/json".to_owned())];
        if !host.is_empty() {
            headers.push(("host", host.to_owned()));
        }
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        stage.http().exchange(method, path, &headers, bytes).await.unwrap()
    }

    async fn read(&self, stage: &Stage, host: &str, prefix: &str, key: &str) -> LocalAnswer {
        self.ask(stage, host, ("GET", &format!("{prefix}{}", self.reads)), key, &Value::Null).await
    }
}

/// An answer without what depends on the moment and on the address that was asked.
fn steady(answer: Value) -> Value {
    match answer {
        Value::Array(items) => items.into_iter().map(steady).collect(),
        Value::Object(members) => {
            let kept = members
                .into_iter()
                .filter(|(name, _)| !["streamUrl", "lastActivityAt", "last_seen_at"].contains(&name.as_str()));
            kept.map(|(name, value)| (name, steady(value))).collect()
        }
        other => other,
    }
}

async fn operator(stage: &Stage, method: &str, path: &str, body: Value) -> LocalAnswer {
    stage.http().json(method, path, Some(ADMIN_KEY), Some(&body)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_dialect_serves_below_another_path_and_host_and_each_is_switched_off_by_a_tenant_for_itself() {
    let cast = Cast::start().await;
    for one in spoken() {
        let (name, key, elsewhere) = (one.name, one.key(&cast), format!("/own/{}", one.name));
        let mount = json!({ "prefix": elsewhere, "owner": true, "host": "wa.example.com" });
        let wish = json!({ "name": format!("{name}-too"), "builtin": name, "mounts": [mount] });
        let made = operator(&cast.stage, "POST", "/switchboard/v1/plugins", wish).await;
        assert_eq!(made.status, 201, "{name}: {made:?}");
        let there = one.read(&cast.stage, "wa.example.com", &elsewhere, &key).await;
        let here = one.read(&cast.stage, "", one.prefix, &key).await;
        assert_eq!((there.status, steady(there.json())), (200, steady(here.json())), "{name}: the same below another path");
        assert_eq!(one.read(&cast.stage, "", &elsewhere, &key).await.status, 404, "{name}: only at its host");
        let refused = one.read(&cast.stage, "wa.example.com", &elsewhere, "sk_live_nobody-has-this-key").await;
        assert_eq!(refused.status, 401, "{name}: {refused:?}");

        let api = format!("/switchboard/v1/apis/{name}");
        let switch = async |account: &Account, on: bool| {
            let body = json!({ "enabled": on });
            account.http.json("PUT", &api, Some(&account.tenant_key), Some(&body)).await.unwrap()
        };
        assert_eq!(switch(&cast.ours, false).await.status, 200, "{name}");
        let gone = one.read(&cast.stage, "", one.prefix, &key).await;
        let nothing = one.ask(&cast.stage, "", ("GET", &format!("{}/nothing", one.prefix)), &key, &Value::Null).await;
        let plain = |answer: &LocalAnswer| {
            let mut body = answer.json();
            body["meta"] = Value::Null;
            (answer.status, body)
        };
        assert_eq!((gone.status, plain(&gone)), (404, plain(&nothing)), "{name}: as what nobody serves");
        let theirs = if one.by_session { &cast.foreign.key } else { &cast.theirs.tenant_key };
        let others = one.read(&cast.stage, "", one.prefix, theirs).await;
        assert_ne!(plain(&others), plain(&nothing), "{name}: for others it is there");
        assert_eq!(switch(&cast.ours, true).await.status, 200, "{name}");
        assert_eq!(one.read(&cast.stage, "", one.prefix, &key).await.status, 200, "{name}");
    }
    cast.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_key_is_answered_by_every_dialect_as_any_other_and_no_phone_shows_what_it_sent() {
    let cast = Cast::start().await;
    let by_tenant = cast.ours.key(json!({ "kind": "tenant", "mode": "test" })).await;
    let wish = json!({ "kind": "session", "session_id": cast.connected.id, "mode": "test" });
    let by_session = cast.ours.key(wish).await;
    for one in spoken() {
        let key = if one.by_session { &by_session } else { &by_tenant };
        let path = format!("{}{}", one.prefix, one.sends.0);
        let sent = one.ask(&cast.stage, "", ("POST", &path), key, &one.sends.1).await;
        assert!((200..300).contains(&sent.status), "{}: {sent:?}", one.name);
        let reader = cast.ours.key(json!({ "kind": "tenant", "scopes": ["sessions:read"] })).await;
        let reads = json!({ "kind": "session", "session_id": cast.connected.id, "scopes": ["sessions:read"] });
        let reader = if one.by_session { cast.ours.key(reads).await } else { reader };
        let refused = one.ask(&cast.stage, "", ("POST", &path), &reader, &one.sends.1).await;
        // `wasender` has one code for whatever is wrong with a key.
        let status = if one.name == "wasender" { 401 } else { 403 };
        assert_eq!(refused.status, status, "{}: a scope that does not cover it: {refused:?}", one.name);
    }
    let listed = cast.ours.get("/switchboard/v1/messages", &by_tenant).await.json();
    let tests = listed["messages"].as_array().unwrap().iter().filter(|message| message["test"] == true).count();
    assert_eq!(tests, 5, "{listed}");
    // What is sent after them arrives, and alone.
    assert_eq!(cast.ours.send(&cast.connected, CUSTOMER, "real").await.status, 200);
    cast.stage.phone_shows(CUSTOMER, |shown| shown["text"] == "real").await;
    let shown = received(cast.stage.control(), ADMIN_KEY, CUSTOMER, 0, 0).await;
    assert_eq!(shown.len(), 1, "{shown:?}");
    cast.stage.stop().await;
}
