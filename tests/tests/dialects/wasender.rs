//! The dialect `wasender`.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use switchboard::http::LocalAnswer;
use switchboard_tests::account::TestSession;
use switchboard_tests::files;
use switchboard_tests::patience::{PATIENCE, until};

use crate::document::Document;
use crate::stage::{CUSTOMER, Cast};
use crate::table::{Api, Row};

const BASE: &str = "/api/v1";
/// A number without WhatsApp.
const NOBODY: &str = "4915299999999";

async fn ask(cast: &Cast, key: &str, method: &str, path: &str, body: Option<Value>) -> LocalAnswer {
    cast.stage.http().json(method, &format!("/api/v1{path}"), Some(key), body.as_ref()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_looked_up_edited_taken_back_and_listed() {
    let cast = Cast::start().await;
    let key = cast.connected.key.clone();
    let sent = cast.ours.send(&cast.connected, CUSTOMER, "first wording").await.json();
    let id = sent["data"]["msgId"].as_u64().unwrap();
    cast.stage.phone_shows(CUSTOMER, |shown| shown["text"] == "first wording").await;
    let info = async || ask(&cast, &key, "GET", &format!("/messages/{id}/info"), None).await.json()["data"].clone();
    assert!(until(PATIENCE, async || info().await["status"] == 3).await, "{}", info().await);
    let told = info().await;
    assert_eq!((&told["id"], &told["message"]["conversation"]), (&sent["messageId"], &json!("first wording")), "{told}");
    let edited = ask(&cast, &key, "PUT", &format!("/messages/{id}"), Some(json!({ "text": "second wording" }))).await;
    assert_eq!((edited.status, &edited.json()["data"]["msgId"]), (200, &json!(id)), "{edited:?}");
    cast.stage.phone_shows(CUSTOMER, |shown| shown.to_string().contains("second wording")).await;
    let gone = ask(&cast, &key, "DELETE", &format!("/messages/{id}"), None).await;
    assert_eq!((gone.status, &gone.json()["data"]), (200, &Value::Null), "{gone:?}");
    let revoked =
        |shown: &Value| shown["type"] == "revoke" || shown["revoked"] == true || shown.to_string().contains("revoke");
    cast.stage.phone_shows(CUSTOMER, revoked).await;

    let again = ask(&cast, &key, "POST", &format!("/messages/{id}/resend"), None).await;
    assert_eq!(again.status, 422, "only what failed is sent again: {again:?}");
    let path = format!("/whatsapp-sessions/{}/message-logs?per_page=2", cast.connected.id);
    let page = ask(&cast, &cast.ours.token, "GET", &path, None).await.json()["data"].clone();
    assert_eq!((&page["total"], &page["last_page"], &page["per_page"]), (&json!(3), &json!(2), &json!(2)), "{page}");
    assert_eq!(page["data"].as_array().unwrap().len(), 2);
    for (method, path, body) in [
        ("PUT", "/messages/4", Some(json!({ "text": "x" }))),
        ("DELETE", "/messages/4", None),
        ("GET", "/messages/4/info", None),
        ("GET", "/messages/first/info", None),
    ] {
        let missing = ask(&cast, &key, method, path, body).await;
        assert_eq!((missing.status, &missing.json()["code"]), (404, &json!("NOT_FOUND")), "{method} {path}: {missing:?}");
    }
    let foreign = ask(&cast, &cast.foreign.key, "GET", &format!("/messages/{id}/info"), None).await;
    assert_eq!(foreign.status, 404, "{foreign:?}");
    cast.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_changed_restarted_and_given_another_key() {
    let cast = Cast::start().await;
    let (pat, id) = (cast.ours.token.clone(), cast.connected.id);
    let path = format!("/whatsapp-sessions/{id}");
    let change = json!({ "name": "Front desk", "log_messages": false, "webhook_url": null });
    let changed = ask(&cast, &pat, "PUT", &path, Some(change)).await.json()["data"].clone();
    assert_eq!((&changed["name"], &changed["log_messages"]), (&json!("Front desk"), &json!(false)), "{changed}");
    assert_eq!(changed["account_protection"], json!(true), "what was left out stays");
    let restarted = ask(&cast, &pat, "POST", &format!("{path}/restart"), None).await;
    assert_eq!((restarted.status, &restarted.json()["success"]), (200, &json!(true)), "{restarted:?}");
    let idle = ask(&cast, &pat, "POST", &format!("/whatsapp-sessions/{}/restart", cast.idle.id), None).await;
    assert_eq!((idle.status, &idle.json()["code"]), (409, &json!("SESSION_DISCONNECTED")), "{idle:?}");
    for renew in ["regenerate-key", "regenerate-api-key"] {
        let old = ask(&cast, &pat, "GET", &path, None).await.json()["data"]["api_key"].as_str().unwrap().to_owned();
        let renewed = ask(&cast, &pat, "POST", &format!("{path}/{renew}"), None).await.json();
        let new = renewed["api_key"].as_str().unwrap();
        assert_eq!(ask(&cast, new, "GET", &format!("/sessions/{id}/status"), None).await.status, 200, "{renewed}");
        assert_eq!(ask(&cast, &old, "GET", "/status", None).await.status, 401, "the one before is revoked");
    }
    let logs = ask(&cast, &pat, "GET", &format!("{path}/session-logs?per_page=1"), None).await.json()["data"].clone();
    assert_eq!((&logs["per_page"], logs["data"].as_array().map(Vec::len)), (&json!(1), Some(1)), "{logs}");
    let newest = &logs["data"][0];
    assert_eq!((&newest["event_type"], &newest["status"]), (&json!("session.state"), &json!("connected")), "{logs}");
    assert!(newest["id"].is_u64() && newest["occurred_at"].is_string() && logs["total"].as_u64() > Some(2), "{logs}");
    assert_eq!(newest["whatsapp_session_id"], json!(id));
    let foreign = format!("/whatsapp-sessions/{}/session-logs", cast.foreign.id);
    assert_eq!(ask(&cast, &pat, "GET", &foreign, None).await.status, 404);
    let by_session = ask(&cast, &cast.foreign.key, "POST", &format!("{path}/regenerate-key"), None).await;
    assert_eq!(by_session.status, 401, "{by_session:?}");
    let listed = ask(&cast, &pat, "GET", "/whatsapp-sessions", None).await.json()["data"].clone();
    let dates = listed.as_array().unwrap().iter().all(|session| session["last_active_at"].as_str().unwrap().len() == 24);
    assert!(dates, "clients read a date in any case: {listed}");
    cast.stage.stop().await;
}

/// What a session's own key opens.
fn of_key<'a>(cast: &Cast, method: &'a str, path: &str, body: Option<Value>) -> Row<'a> {
    Row {
        method,
        path: format!("{BASE}{path}"),
        body,
        idle_key: Some(cast.idle.key.clone()),
        wrong_method: "PATCH",
        ..Row::default()
    }
}

/// The same without a question to WhatsApp: whether the session is connected makes no difference.
fn quiet<'a>(method: &'a str, path: &str, body: Option<Value>) -> Row<'a> {
    Row { method, path: format!("{BASE}{path}"), body, wrong_method: "PATCH", ..Row::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_of_a_session_answers_what_is_right_and_what_is_wrong() {
    let cast = Cast::start().await;
    let mut api = Api {
        http: cast.stage.http(),
        key_header: |key| ("authorization", format!("Bearer {key}")),
        key: cast.connected.key.clone(),
        spent_key: cast.spent_session.key.clone(),
        throttled_key: cast.throttled_session.key.clone(),
        bad_keys: cast.bad_session_keys().await,
        known: BTreeMap::from([
            (cast.connected.id.to_string(), "<session>"),
            (cast.stage.host.address().to_string(), "<host>"),
        ]),
        document: Document::of(cast.stage.http(), "wasender").await,
        told: String::new(),
        columns: BTreeSet::new(),
    };
    walk_messages(&cast, &mut api).await;
    walk_people(&cast, &mut api).await;
    walk_groups(&cast, &mut api).await;
    walk_files(&mut api).await;
    (api.key, api.bad_keys) = (cast.ours.token.clone(), cast.bad_tokens().await);
    (api.spent_key, api.throttled_key) = (cast.spent.token.clone(), cast.throttled.token.clone());
    api.known.extend([(cast.idle.id.to_string(), "<idle session>"), (cast.foreign.id.to_string(), "<foreign session>")]);
    walk_account(&cast, &mut api).await;
    api.compare("wasender");
    cast.stage.stop().await;
}

async fn walk_messages(cast: &Cast, api: &mut Api) {
    for path in ["/status", "/user", "/auth-check"] {
        api.walk(quiet("GET", path, None)).await;
    }
    let typed = [("to", json!(5)), ("text", json!(["hi"])), ("mentions", json!("all")), ("replyTo", json!("first"))];
    let text = Some(json!({ "to": CUSTOMER, "text": "Hello" }));
    let row = of_key(cast, "POST", "/send-message", text);
    let theirs = cast.strange_message().await;
    // Both are told with the number that was asked for.
    api.known.insert(theirs.to_string(), "4");
    let answer =
        |id: u64| Some((format!("{BASE}/send-message"), Some(json!({ "to": CUSTOMER, "text": "x", "replyTo": id }))));
    let row = Row { foreign: answer(theirs), unknown: answer(4), ..row };
    api.walk(Row { required: &["to", "text"], typed: &typed, sends: true, ..row }).await;
    let typed = [("jid", json!(5)), ("type", json!("dancing"))];
    let composing = Some(json!({ "jid": format!("{CUSTOMER}@s.whatsapp.net"), "type": "composing" }));
    let row = of_key(cast, "POST", "/send-presence-update", composing);
    api.walk(Row { required: &["jid", "type"], typed: &typed, ..row }).await;

    let sent = cast.ours.send(&cast.connected, CUSTOMER, "to be changed").await.json();
    let id = sent["data"]["msgId"].as_u64().unwrap();
    let whatsapp_id = sent["messageId"].as_str().unwrap().to_owned();
    api.known.extend([(id.to_string(), "<message>"), (whatsapp_id, "<whatsapp id>")]);
    let delivered = async || {
        let told = ask(cast, &cast.connected.key, "GET", &format!("/messages/{id}/info"), None).await.json();
        told["data"]["status"] == 3
    };
    assert!(until(PATIENCE, delivered).await);
    let parted = Parted::new(cast).await;
    let row = |method: &'static str, rest: &str, body: Option<Value>| {
        let path = |id: u64| format!("{BASE}/messages/{id}{rest}");
        let of = |id: u64| Some((path(id), body.clone()));
        let (idle_key, not_connected) = (Some(parted.session.key.clone()), of(parted.message));
        let spent_path = Some(path(cast.spent_message));
        let row = Row { method, path: path(id), foreign: of(theirs), unknown: of(4), ..Row::default() };
        Row { idle_key, not_connected, spent_path, body, wrong_method: "PATCH", ..row }
    };
    api.walk(Row { idle_key: None, not_connected: None, ..row("GET", "/info", None) }).await;
    api.walk(Row { sends: true, ..row("PUT", "", Some(json!({ "text": "changed" }))) }).await;
    api.walk(Row { sends: true, ..row("POST", "/resend", None) }).await;
    api.walk(Row { sends: true, ..row("DELETE", "", None) }).await;
    let path = format!("/whatsapp-sessions/{}", parted.session.id);
    assert_eq!(ask(cast, &cast.ours.token, "DELETE", &path, None).await.status, 200);
}

/// A session that was connected, and what it sent then.
struct Parted {
    session: TestSession,
    message: u64,
}

impl Parted {
    async fn new(cast: &Cast) -> Self {
        let session = cast.ours.linked(cast.stage.control(), "Parted", "491510000005").await;
        let sent = cast.ours.send(&session, CUSTOMER, "before it parted").await.json();
        cast.stage.phone_shows(CUSTOMER, |shown| shown["text"] == "before it parted").await;
        let path = format!("/whatsapp-sessions/{}/disconnect", session.id);
        assert_eq!(ask(cast, &cast.ours.token, "POST", &path, None).await.status, 200);
        cast.ours.wait_for(&session, "disconnected").await;
        Self { session, message: sent["data"]["msgId"].as_u64().unwrap() }
    }
}

async fn walk_people(cast: &Cast, api: &mut Api) {
    api.walk(quiet("GET", "/contacts", None)).await;
    let typed = [("fullName", json!(5)), ("phone", json!(5))];
    let ann = Some(json!({ "phone": CUSTOMER, "fullName": "Ann" }));
    api.walk(Row { required: &["phone"], typed: &typed, ..quiet("PUT", "/contacts", ann) }).await;
    for path in ["", "/picture", "/profile-picture"] {
        let unknown = Some((format!("{BASE}/contacts/{NOBODY}{path}"), None));
        let row = of_key(cast, "GET", &format!("/contacts/{CUSTOMER}{path}"), None);
        api.walk(Row { unknown, ..row }).await;
    }
    for path in ["/block", "/unblock"] {
        api.walk(of_key(cast, "POST", &format!("/contacts/{CUSTOMER}{path}"), None)).await;
    }
    for (path, who, nobody) in [
        ("/on-whatsapp", CUSTOMER, NOBODY),
        ("/lid-from-pn", CUSTOMER, NOBODY),
        ("/pn-from-lid", "100000000000000@lid", "199999999999999@lid"),
    ] {
        let unknown = Some((format!("{BASE}{path}/{nobody}"), None));
        api.walk(Row { unknown, ..of_key(cast, "GET", &format!("{path}/{who}"), None) }).await;
    }
}

async fn walk_groups(cast: &Cast, api: &mut Api) {
    let typed = [("name", json!(5)), ("participants", json!("all"))];
    let friends = json!({ "name": "Friends", "participants": [CUSTOMER] });
    let made = ask(cast, &cast.connected.key, "POST", "/groups", Some(friends.clone())).await.json();
    let jid = made["data"]["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
    let link = ask(cast, &cast.connected.key, "GET", &format!("/groups/{jid}/invite-link"), None).await.json();
    let code = link["data"]["link"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    api.known.extend([(jid.clone(), "<group>"), (code.clone(), "<code>")]);
    let nowhere = "120363000000000000@g.us";
    let of_group = |method: &'static str, rest: &str, body: Option<Value>| {
        let unknown = Some((format!("{BASE}/groups/{nowhere}{rest}"), body.clone()));
        Row { foreign: unknown.clone(), unknown, ..of_key(cast, method, &format!("/groups/{jid}{rest}"), body) }
    };
    api.walk(of_key(cast, "GET", "/groups", None)).await;
    for rest in ["", "/metadata", "/participants", "/invite-link", "/picture"] {
        api.walk(of_group("GET", rest, None)).await;
    }
    let people = Some(json!({ "participants": [CUSTOMER] }));
    let wrong = [("participants", json!("all"))];
    for rest in ["/participants/remove", "/participants/add"] {
        api.walk(Row { required: &["participants"], typed: &wrong, ..of_group("POST", rest, people.clone()) }).await;
    }
    let promote = Some(json!({ "action": "promote", "participants": [CUSTOMER] }));
    let wrong = [("action", json!("crown"))];
    let row = of_group("PUT", "/participants/update", promote);
    api.walk(Row { required: &["action", "participants"], typed: &wrong, ..row }).await;
    let wrong = [("subject", json!(5)), ("announce", json!("yes"))];
    api.walk(Row { typed: &wrong, ..of_group("PUT", "/settings", Some(json!({ "subject": "Best friends" }))) }).await;
    let unknown = Some((format!("{BASE}/groups/invite/AAAAAAAAAAAAAAAAAAAAAA"), None));
    api.walk(Row { unknown, ..of_key(cast, "GET", &format!("/groups/invite/{code}"), None) }).await;
    let row = of_key(cast, "POST", "/groups/invite/accept", Some(json!({ "code": "AAAAAAAAAAAAAAAAAAAAAA" })));
    api.walk(Row { required: &["code"], ..row }).await;
    api.walk(of_group("POST", "/leave", None)).await;
    api.walk(Row { required: &["name", "participants"], typed: &typed, ..of_key(cast, "POST", "/groups", Some(friends)) })
        .await;
}

async fn walk_files(api: &mut Api) {
    let picture = STANDARD.encode(files::picture());
    let typed = [("base64", json!(5))];
    let body = Some(json!({ "base64": picture, "mimetype": "image/png" }));
    api.walk(Row { required: &["base64"], typed: &typed, ..quiet("POST", "/upload", body) }).await;
    let wrong = [("message without a file", json!({ "data": { "message": { "conversation": "hello" } } }))];
    let nothing = Some(json!({ "data": {} }));
    api.walk(Row { wrong: &wrong, ..quiet("POST", "/decrypt-media", nothing) }).await;
}

/// An endpoint of one session, for the account.
fn of_session<'a>(cast: &Cast, method: &'a str, id: u64, rest: &str, body: Option<Value>) -> Row<'a> {
    let path = |id: u64| format!("/whatsapp-sessions/{id}{rest}");
    let about = |id: u64| Some((format!("{BASE}{}", path(id)), body.clone()));
    Row { foreign: about(cast.foreign.id), unknown: about(4), ..quiet(method, &path(id), body.clone()) }
}

async fn walk_account(cast: &Cast, api: &mut Api) {
    api.walk(quiet("GET", "/whatsapp-sessions", None)).await;
    let body = Some(json!({ "name": "Second", "phone_number": "+491510000009", "account_protection": true }));
    let typed = [("name", json!(5)), ("webhook_enabled", json!("yes")), ("webhook_events", json!("all"))];
    let wrong = [
        ("number that is none", json!({ "name": "x", "phone_number": "12" })),
        ("event that is none", json!({ "name": "x", "webhook_events": ["mesage.sent"] })),
    ];
    let row = quiet("POST", "/whatsapp-sessions", body);
    api.walk(Row { sends: true, typed: &typed, wrong: &wrong, ..row }).await;
    let idle = cast.idle.id;
    api.walk(of_session(cast, "GET", idle, "/session-logs", None)).await;
    api.walk(of_session(cast, "GET", idle, "", None)).await;
    // The key that was shown for it has been revoked.
    let (key, path) = (api.key.clone(), format!("{BASE}/whatsapp-sessions/{}", cast.connected.id));
    api.tell("GET /whatsapp-sessions/<session>", "its key was revoked", api.ask("GET", &path, Some(&key), None).await);
    let typed = [("name", json!(5)), ("log_messages", json!("yes"))];
    api.walk(Row { typed: &typed, ..of_session(cast, "PUT", idle, "", Some(json!({ "name": "Idle still" }))) }).await;
    let as_image = Some(json!({ "qr_as_image": false }));
    api.walk(Row { typed: &[("qr_as_image", json!("yes"))], ..of_session(cast, "POST", idle, "/connect", as_image) }).await;
    for code in ["/qrcode", "/qr-code"] {
        api.walk(of_session(cast, "GET", idle, code, None)).await;
    }
    for action in ["/disconnect", "/restart", "/regenerate-key", "/regenerate-api-key"] {
        api.walk(of_session(cast, "POST", idle, action, None)).await;
    }
    api.walk(of_session(cast, "GET", idle, "/message-logs", None)).await;
    let status = |id: u64| (format!("{BASE}/sessions/{id}/status"), None);
    let row = quiet("GET", &format!("/sessions/{idle}/status"), None);
    api.walk(Row { foreign: Some(status(cast.foreign.id)), unknown: Some(status(4)), ..row }).await;
    api.walk(of_session(cast, "DELETE", idle, "", None)).await;
}
