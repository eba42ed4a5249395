//! The dialect `wamux`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use switchboard_ids::{Kind, uuid};
use switchboard_tests::files;
use switchboard_tests::patience::{PATIENCE, until};

use crate::document::Document;
use crate::stage::{CUSTOMER, Cast};
use crate::table::{Api, Row};

const BASE: &str = "/api/v1";

fn session(id: u64) -> String {
    uuid(Kind::Session, id).unwrap()
}

async fn api(cast: &Cast) -> Api {
    Api {
        http: cast.stage.http(),
        key_header: |key| ("authorization", format!("Bearer {key}")),
        key: cast.ours.tenant_key.clone(),
        spent_key: cast.spent.tenant_key.clone(),
        throttled_key: cast.throttled.tenant_key.clone(),
        bad_keys: cast.bad_keys().await,
        known: BTreeMap::from([
            (session(cast.connected.id), "<session>"),
            (session(cast.idle.id), "<idle session>"),
            (session(cast.foreign.id), "<foreign session>"),
            (cast.stage.host.address().to_string(), "<host>"),
            // Which of the two it is depends on how quick the network is.
            ("initializing".to_owned(), "<being linked>"),
            ("qr_ready".to_owned(), "<being linked>"),
        ]),
        document: Document::of(cast.stage.http(), "wamux").await,
        told: String::new(),
        columns: BTreeSet::new(),
    }
}

/// An endpoint of one session.
fn of_session<'a>(cast: &Cast, id: u64, method: &'a str, rest: &str, body: Option<Value>) -> Row<'a> {
    let path = |id: u64| format!("{BASE}/sessions/{}{rest}", session(id));
    Row {
        method,
        path: path(id),
        foreign: Some((path(cast.foreign.id), body.clone())),
        unknown: Some((path(4), body.clone())),
        body,
        wrong_method: if rest == "/settings" { "DELETE" } else { "PUT" },
        ..Row::default()
    }
}

/// An endpoint that sends `body` from the connected session.
fn sending<'a>(cast: &Cast, rest: &str, body: Value) -> Row<'a> {
    let from = |id: u64| {
        let mut body = body.clone();
        body["sessionId"] = json!(session(id));
        Some((format!("{BASE}{rest}"), Some(body)))
    };
    Row {
        method: "POST",
        path: format!("{BASE}{rest}"),
        body: from(cast.connected.id).unwrap().1,
        foreign: from(cast.foreign.id),
        unknown: from(4),
        not_connected: from(cast.idle.id),
        sends: true,
        wrong_method: "PATCH",
        ..Row::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_answers_what_is_right_and_what_is_wrong() {
    let cast = Cast::start().await;
    let mut api = api(&cast).await;
    walk_sessions(&cast, &mut api).await;
    walk_messages(&cast, &mut api).await;
    walk_keys(&cast, &mut api).await;
    walk_webhooks(&cast, &mut api).await;
    let (key, wrong) = (api.key.clone(), format!("{BASE}/nothing"));
    api.tell("GET /nothing", "unknown path", api.ask("GET", &wrong, Some(&key), None).await);
    api.compare("wamux");
    cast.stage.stop().await;
}

async fn walk_sessions(cast: &Cast, api: &mut Api) {
    let named = json!({ "session_key": "my-session" });
    let long =
        [("key over the limit", json!({ "session_key": "x".repeat(101) })), ("empty key", json!({ "session_key": "" }))];
    let typed = [("session_key", json!(5))];
    let names = |row: Row<'static>| Row { required: &["session_key"], ..row };
    api.walk(Row {
        typed: &typed,
        wrong: &long,
        ..names(Row {
            method: "POST",
            path: format!("{BASE}/sessions"),
            body: Some(named.clone()),
            sends: true,
            wrong_method: "PUT",
            ..Row::default()
        })
    })
    .await;
    api.walk(Row { method: "GET", path: format!("{BASE}/sessions"), wrong_method: "PUT", ..Row::default() }).await;
    let id = cast.connected.id;
    api.walk(of_session(cast, id, "GET", "", None)).await;
    api.walk(Row { typed: &typed, ..names(of_session(cast, id, "PATCH", "", Some(named))) }).await;
    api.walk(of_session(cast, id, "GET", "/stream", None)).await;
    api.walk(of_session(cast, id, "GET", "/settings", None)).await;
    let wrong = [("setting that is none", json!({ "fetchMedia": "yes" })), ("pacing that is none", json!({ "pacing": 5 }))];
    let fetch = Some(json!({ "fetchMedia": true }));
    api.walk(Row { wrong: &wrong, ..of_session(cast, id, "PATCH", "/settings", fetch) }).await;
    api.walk(of_session(cast, cast.idle.id, "POST", "/disconnect", None)).await;
    api.walk(of_session(cast, cast.idle.id, "POST", "/restart", None)).await;
    let gone = cast.ours.session("Goes away").await;
    api.known.insert(session(gone.id), "<gone session>");
    api.walk(of_session(cast, gone.id, "DELETE", "", None)).await;
}

async fn walk_messages(cast: &Cast, api: &mut Api) {
    let web = files::serve().await;
    api.known.insert(web.url(""), "<web>/");
    let text_typed = [("to", json!(237)), ("message", json!(["Hello"])), ("sessionId", json!(5))];
    let text_wrong = [
        ("number with letters", json!({ "to": "+2376ABC", "message": "Hello" })),
        ("message over the limit", json!({ "to": CUSTOMER, "message": "x".repeat(4097) })),
        ("empty message", json!({ "to": CUSTOMER, "message": " " })),
        ("session id that is no UUID", json!({ "to": CUSTOMER, "message": "Hello", "sessionId": "first" })),
    ];
    let text = json!({ "to": CUSTOMER, "message": "Hello!" });
    let row = sending(cast, "/messages", text);
    api.walk(Row { required: &["to", "message"], typed: &text_typed, wrong: &text_wrong, ..row }).await;

    let picture =
        |url: String| json!({ "to": CUSTOMER, "mediaUrl": url, "mediaType": "image", "caption": "Check this out!" });
    let media_typed = [("mediaUrl", json!(5)), ("mediaType", json!("sticker")), ("caption", json!(1))];
    let media_wrong = [
        (
            "caption over the limit",
            json!({ "to": CUSTOMER, "mediaUrl": web.url("photo.png"), "mediaType": "image", "caption": "x".repeat(1025) }),
        ),
        ("media of another kind", picture(web.url("invoice.pdf"))),
        ("page in place of a picture", picture(web.url("page.html"))),
        ("media that is not there", picture(web.url("missing"))),
        ("media from an inner network", picture("http://10.0.0.1/a.png".to_owned())),
    ];
    let row = sending(cast, "/messages/media", picture(web.url("photo.png")));
    api.walk(Row { required: &["to", "mediaUrl", "mediaType"], typed: &media_typed, wrong: &media_wrong, ..row }).await;

    let voice = json!({ "to": CUSTOMER, "audioUrl": web.url("sound.ogg"), "ptt": true });
    let audio_typed = [("audioUrl", json!(5)), ("ptt", json!("yes"))];
    let row = sending(cast, "/messages/audio", voice);
    api.walk(Row { required: &["to", "audioUrl"], typed: &audio_typed, ..row }).await;

    let delivered = async || latest(api).await["status"] == "delivered";
    assert!(until(PATIENCE, delivered).await);
    let ours = latest(api).await;
    let id = ours["id"].as_str().unwrap().to_owned();
    api.known.insert(id.clone(), "<message>");
    let path = format!("{BASE}/messages/{id}");
    let unknown = Some((format!("{BASE}/messages/{}", uuid(Kind::Message, 4).unwrap()), None));
    let theirs = cast.strange_message().await;
    let foreign = Some((format!("{BASE}/messages/{}", uuid(Kind::Message, theirs).unwrap()), None));
    let row = Row { method: "GET", path, foreign, unknown, wrong_method: "PATCH", ..Row::default() };
    api.walk(row).await;
    let latest = format!("{BASE}/messages?limit=1");
    api.walk(Row { method: "GET", path: latest, wrong_method: "PATCH", ..Row::default() }).await;
    let (key, list) = (api.key.clone(), format!("{BASE}/messages"));
    for (what, query) in [
        ("limit 0", "?limit=0"),
        ("limit over 100", "?limit=101"),
        ("limit of words", "?limit=all"),
        ("offset below 0", "?offset=-1"),
    ] {
        api.tell("GET /api/v1/messages", what, api.ask("GET", &format!("{list}{query}"), Some(&key), None).await);
    }
}

async fn latest(api: &Api) -> Value {
    let listed = api.ask("GET", &format!("{BASE}/messages?limit=1"), Some(&api.key), None).await;
    listed.json()["messages"][0].clone()
}

async fn walk_keys(cast: &Cast, api: &mut Api) {
    let wish = json!({ "name": "CI", "description": "for builds", "expiresInDays": 30 });
    let made = api.ask("POST", &format!("{BASE}/keys"), Some(&api.key), Some(&wish)).await.json();
    let (id, text) = (made["id"].as_str().unwrap().to_owned(), made["apiKey"].as_str().unwrap().to_owned());
    assert_eq!(made["keyPrefix"], json!(format!("{}****", &text[..12])), "{made}");
    let theirs =
        cast.theirs.post(&format!("{BASE}/keys"), &cast.theirs.tenant_key, json!({ "name": "theirs" })).await.json();
    let theirs = theirs["id"].as_str().unwrap().to_owned();
    let of_key = |rest: &str, method| Row {
        method,
        path: format!("{BASE}/keys/{id}{rest}"),
        unknown: Some((format!("{BASE}/keys/{}{rest}", uuid(Kind::Key, 4).unwrap()), None)),
        foreign: Some((format!("{BASE}/keys/{theirs}{rest}"), None)),
        wrong_method: "PUT",
        ..Row::default()
    };
    api.known.insert(id.clone(), "<key>");
    let keys = format!("{BASE}/keys");
    let listed = api.ask("GET", &keys, Some(&api.key), None).await.json();
    assert!(listed["keys"].as_array().unwrap().iter().any(|one| one["id"] == made["id"]), "{listed}");
    walk_key_list(cast, api).await;
    api.walk(of_key("/usage", "GET")).await;
    api.walk(of_key("", "DELETE")).await;
    let gone = api.ask("GET", &format!("{BASE}/sessions"), Some(&text), None).await;
    assert_eq!((gone.status, gone.json()), (401, json!({ "detail": "Invalid API key" })));
    let wrong = [
        ("days over the limit", json!({ "name": "x", "expiresInDays": 366 })),
        ("no days", json!({ "name": "x", "expiresInDays": 0 })),
    ];
    let wish = Some(json!({ "name": "CI", "description": "for builds", "expiresInDays": 30 }));
    api.walk(Row { method: "POST", path: keys, body: wish, wrong: &wrong, wrong_method: "PUT", ..Row::default() }).await;
}

/// An account whose keys have all been made just now: what else was asked with them does not show.
async fn walk_key_list(cast: &Cast, api: &mut Api) {
    let fresh = cast.stage.account("Fresh").await;
    let ours = std::mem::replace(&mut api.key, fresh.tenant_key);
    api.walk(Row { method: "GET", path: format!("{BASE}/keys"), wrong_method: "PUT", ..Row::default() }).await;
    api.key = ours;
}

async fn walk_webhooks(cast: &Cast, api: &mut Api) {
    let typed = [("name", json!(5)), ("url", json!(5)), ("events", json!("message.received"))];
    let wrong = [
        ("URL that nobody may be sent to", json!({ "url": "http://10.0.0.1/" })),
        ("event that is none", json!({ "url": "https://shop.example/", "events": ["message.recieved"] })),
    ];
    let wish = json!({ "name": "Till", "url": "https://shop.example/in", "events": ["message.received", "session.*"] });
    let path = format!("{BASE}/webhooks");
    let made = api.ask("POST", &path, Some(&api.key), Some(&wish)).await.json();
    let id = made["id"].as_str().unwrap().to_owned();
    let row = Row { method: "POST", path: path.clone(), body: Some(wish), wrong_method: "PUT", ..Row::default() };
    api.walk(Row { required: &["url"], typed: &typed, wrong: &wrong, ..row }).await;
    api.known.insert(id.clone(), "<webhook>");
    let change = json!({ "name": "Front desk", "isActive": false });
    let theirs = cast.theirs.post(&path, &cast.theirs.tenant_key, json!({ "url": "https://theirs.example/" })).await.json();
    let theirs = theirs["id"].as_str().unwrap().to_owned();
    let of_webhook = |method, rest: &str, body: Option<Value>| Row {
        method,
        path: format!("{path}/{id}{rest}"),
        unknown: Some((format!("{path}/{}{rest}", uuid(Kind::Webhook, 4).unwrap()), body.clone())),
        foreign: Some((format!("{path}/{theirs}{rest}"), body.clone())),
        body,
        wrong_method: "PUT",
        ..Row::default()
    };
    api.walk(of_webhook("GET", "", None)).await;
    let typed = [("url", json!(5)), ("isActive", json!("no"))];
    api.walk(Row { typed: &typed, ..of_webhook("PATCH", "", Some(change)) }).await;
    api.walk(of_webhook("POST", "/rotate-secret", None)).await;
    api.walk(of_webhook("POST", "/test", None)).await;
    api.walk(of_webhook("GET", "/logs", None)).await;
    api.walk(of_webhook("DELETE", "", None)).await;
    let listed = api.ask("GET", &path, Some(&api.key), None).await;
    assert_eq!((listed.status, &listed.json()["total"]), (200, &json!(1)), "{listed:?}");
    api.walk(Row { method: "GET", path, wrong_method: "PUT", ..Row::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_listed_newest_first_whatever_api_they_came_through_and_come_further() {
    let cast = Cast::start().await;
    let api = api(&cast).await;
    let ask = async |path: &str| api.ask("GET", &format!("{BASE}{path}"), Some(&api.key), None).await.json();
    for n in 0..3 {
        let sent = cast.ours.send(&cast.connected, CUSTOMER, &format!("number {n}")).await;
        assert_eq!(sent.status, 200, "{sent:?}");
    }
    let prosendi = json!({ "recipient": CUSTOMER, "message": "by prosendi" });
    let headers = [("x-api-key", cast.ours.tenant_key.clone())];
    let sent = api.http.exchange("POST", "/api/whatsapp/send", &headers, prosendi.to_string().into_bytes()).await.unwrap();
    let number = sent.json()["data"]["message_id"].as_u64().unwrap();
    let listed = ask("/messages?limit=2&offset=0").await;
    assert_eq!((&listed["total"], &listed["limit"], &listed["offset"]), (&json!(4), &json!(2), &json!(0)), "{listed}");
    assert_eq!(listed["messages"][0]["id"], json!(uuid(Kind::Message, number).unwrap()));
    assert_eq!(listed["messages"][0]["toPhone"], json!(format!("+{CUSTOMER}")));
    let rest = ask("/messages?limit=100&offset=2").await;
    assert_eq!(rest["messages"].as_array().unwrap().len(), 2, "{rest}");
    let delivered =
        async || ask(&format!("/messages/{}", uuid(Kind::Message, number).unwrap())).await["status"] == "delivered";
    assert!(until(PATIENCE, delivered).await, "{}", ask("/messages").await);
    let told = ask("/messages?limit=1").await["messages"][0].clone();
    assert!(told["sentAt"].is_string() && told["deliveredAt"].is_string() && told["readAt"].is_null(), "{told}");
    assert!(told["whatsappMessageId"].is_string(), "{told}");
    assert_eq!(
        cast.theirs.http.json("GET", "/api/v1/messages", Some(&cast.theirs.tenant_key), None).await.unwrap().json()["total"],
        0
    );
    cast.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_do_no_more_than_the_one_that_made_them_and_are_counted() {
    let cast = Cast::start().await;
    let api = api(&cast).await;
    let limited = cast.ours.key(json!({ "kind": "tenant", "scopes": ["keys:*", "sessions:read"] })).await;
    let made = api.ask("POST", &format!("{BASE}/keys"), Some(&limited), Some(&json!({ "name": "made" }))).await.json();
    let (id, text) = (made["id"].as_str().unwrap(), made["apiKey"].as_str().unwrap());
    for _ in 0..3 {
        assert_eq!(api.ask("GET", &format!("{BASE}/sessions"), Some(text), None).await.status, 200);
    }
    let wish = json!({ "to": CUSTOMER, "message": "more than it may" });
    assert_eq!(api.ask("POST", &format!("{BASE}/messages"), Some(text), Some(&wish)).await.status, 403);
    let used = api.ask("GET", &format!("{BASE}/keys/{id}/usage"), Some(&api.key), None).await.json();
    assert_eq!((&used["requestCount"], used["lastUsedAt"].is_string()), (&json!(4), true), "{used}");
    let unable = cast.ours.key(json!({ "kind": "tenant", "scopes": ["messages:*"] })).await;
    assert_eq!(api.ask("POST", &format!("{BASE}/keys"), Some(&unable), Some(&json!({ "name": "x" }))).await.status, 403);
    let Cast { stage, ours, .. } = cast;
    let stage = stage.restart().await;
    let path = format!("{BASE}/keys/{id}/usage");
    let after = stage.http().json("GET", &path, Some(&ours.tenant_key), None).await.unwrap().json();
    assert_eq!(after["requestCount"], json!(4), "what was counted survives an orderly stop");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_connected_since_it_came_on_line_whatever_is_changed_about_it() {
    let cast = Cast::start().await;
    let api = api(&cast).await;
    let path = format!("{BASE}/sessions/{}", session(cast.connected.id));
    let ask = async |method, rest: &str, body: Option<Value>| {
        let answer = api.ask(method, &format!("{path}{rest}"), Some(&api.key), body.as_ref()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let since = ask("GET", "", None).await["connectedAt"].clone();
    assert!(since.is_string(), "{since}");
    ask("PATCH", "/settings", Some(json!({ "sending": true }))).await;
    let renamed = ask("PATCH", "", Some(json!({ "session_key": "another name" }))).await;
    assert_eq!((&renamed["sessionKey"], &renamed["connectedAt"]), (&json!("another name"), &since));
    assert_eq!(ask("POST", "/disconnect", None).await["connectedAt"], Value::Null);
    cast.stage.stop().await;
}
