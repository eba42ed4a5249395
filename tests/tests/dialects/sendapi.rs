//! The dialect `sendapi`.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use serde_json::{Value, json};
use switchboard_ids::{Kind, uuid};
use switchboard_tests::account::received;
use switchboard_tests::files;
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::ADMIN_KEY;

use crate::document::Document;
use crate::stage::{CUSTOMER, Cast, SHOP};
use crate::table::{Api, Row};

const BASE: &str = "/v1/whatsapp";

async fn api(cast: &Cast) -> Api {
    Api {
        http: cast.stage.http(),
        key_header: |key| ("authorization", format!("Bearer {key}")),
        key: cast.ours.tenant_key.clone(),
        spent_key: cast.spent.tenant_key.clone(),
        throttled_key: cast.throttled.tenant_key.clone(),
        bad_keys: cast.bad_keys().await,
        known: BTreeMap::from([
            (cast.connected.id.to_string(), "<session>"),
            (cast.idle.id.to_string(), "<idle session>"),
            (cast.foreign.id.to_string(), "<foreign session>"),
        ]),
        document: Document::of(cast.stage.http(), "sendapi").await,
        told: String::new(),
        columns: BTreeSet::new(),
    }
}

fn spelled(id: u64) -> String {
    format!("sess_{id}")
}

/// An endpoint whose path names a session.
fn of_session<'a>(cast: &Cast, id: u64, method: &'a str, rest: &str) -> Row<'a> {
    let path = |id: u64| format!("{BASE}/sessions/{}{rest}", spelled(id));
    Row {
        method,
        path: path(id),
        foreign: Some((path(cast.foreign.id), None)),
        unknown: Some((path(4), None)),
        wrong_method: "PATCH",
        ..Row::default()
    }
}

/// An endpoint whose body names the session in `session_id`.
fn acting<'a>(cast: &Cast, method: &'a str, path: &str, body: Value) -> Row<'a> {
    let from = |id: u64| {
        let mut body = body.clone();
        body["session_id"] = json!(spelled(id));
        Some((path.to_owned(), Some(body)))
    };
    Row {
        method,
        path: path.to_owned(),
        body: from(cast.connected.id).unwrap().1,
        foreign: from(cast.foreign.id),
        unknown: from(4),
        not_connected: from(cast.idle.id),
        wrong_method: "PATCH",
        ..Row::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_answers_what_is_right_and_what_is_wrong() {
    let cast = Cast::start().await;
    let mut api = api(&cast).await;
    walk_sessions(&cast, &mut api).await;
    walk_sending(&cast, &mut api).await;
    walk_choices(&cast, &mut api).await;
    walk_messages(&cast, &mut api).await;
    walk_groups(&cast, &mut api).await;
    walk_webhooks(&cast, &mut api).await;
    let key = api.key.clone();
    api.tell("GET /nothing", "unknown path", api.ask("GET", "/v1/nothing", Some(&key), None).await);
    api.compare("sendapi");
    cast.stage.stop().await;
}

async fn walk_sessions(cast: &Cast, api: &mut Api) {
    api.walk(Row { method: "GET", path: format!("{BASE}/sessions"), wrong_method: "PATCH", ..Row::default() }).await;
    let key = api.key.clone();
    let (path, per_page) = (format!("{BASE}/sessions"), format!("{BASE}/sessions?per_page=101"));
    api.tell("GET /v1/whatsapp/sessions", "page over the limit", api.ask("GET", &per_page, Some(&key), None).await);
    let typed = [("name", json!(5))];
    let body = Some(json!({ "name": "Support" }));
    let row = Row { method: "POST", path, body, sends: true, typed: &typed, wrong_method: "PATCH", ..Row::default() };
    api.walk(row).await;
    api.walk(of_session(cast, cast.connected.id, "GET", "")).await;
    api.walk(of_session(cast, cast.idle.id, "GET", "/qr")).await;
    let connected = format!("{BASE}/sessions/{}/qr", spelled(cast.connected.id));
    api.tell("GET /v1/whatsapp/sessions/<session>/qr", "connected", api.ask("GET", &connected, Some(&key), None).await);
    let gone = cast.ours.session("Goes away").await;
    api.known.insert(gone.id.to_string(), "<gone session>");
    api.walk(of_session(cast, gone.id, "DELETE", "")).await;
}

async fn walk_sending(cast: &Cast, api: &mut Api) {
    let send = format!("{BASE}/send");
    let typed = [("to", json!(5)), ("type", json!("hologram")), ("text", json!(["Hello"])), ("session_id", json!(true))];
    let of_type = |kind: &str, object: Value| json!({ "to": CUSTOMER, "type": kind, kind: object });
    let wrong = [
        ("number with letters", json!({ "to": "+49ABC", "message": "Hello" })),
        ("object of another type", json!({ "to": CUSTOMER, "type": "image", "text": { "body": "x" } })),
        ("image without a source", of_type("image", json!({ "caption": "x" }))),
        ("image from an inner network", of_type("image", json!({ "url": "http://10.0.0.1/a.png" }))),
        ("coordinates out of range", of_type("location", json!({ "latitude": 91, "longitude": 0 }))),
        ("poll with one option", of_type("poll", json!({ "question": "?", "options": ["a"] }))),
        ("poll with 13 options", of_type("poll", json!({ "question": "?", "options": vec!["a"; 13] }))),
        ("contact without a number", of_type("contact", json!({ "name": "Ann" }))),
    ];
    let body = json!({ "to": format!("+{CUSTOMER}"), "type": "text", "text": { "body": "Hello" } });
    let row =
        Row { typed: &typed, wrong: &wrong, required: &["to", "text"], sends: true, ..acting(cast, "POST", &send, body) };
    // With files as base64 a body may have 32 MiB.
    api.walk(row).await;

    let bulk = format!("{BASE}/send-bulk");
    let body = json!({ "recipients": [CUSTOMER], "type": "text", "text": "to all", "delay_ms": 500 });
    let typed = [("recipients", json!("all")), ("delay_ms", json!(499))];
    let many = json!({ "recipients": vec![CUSTOMER; 501], "text": "x" });
    let wrong = [
        ("no recipients", json!({ "recipients": [], "text": "x" })),
        ("more than 500 recipients", many),
        ("a recipient that is none", json!({ "recipients": ["12"], "text": "x" })),
        ("messages of which one has nobody", json!({ "messages": [{ "text": "x" }] })),
    ];
    let row = Row {
        typed: &typed,
        wrong: &wrong,
        required: &["recipients", "text"],
        sends: true,
        ..acting(cast, "POST", &bulk, body)
    };
    api.walk(row).await;
}

async fn walk_messages(cast: &Cast, api: &mut Api) {
    let key = api.key.clone();
    for (what, query) in [
        ("direction that is none", "?direction=up"),
        ("status that is none", "?status=lost"),
        ("date that is none", "?from_date=yesterday"),
        ("page 0", "?page=0"),
        ("page over the limit", "?per_page=101"),
        ("unknown session", "?session_id=sess_4"),
    ] {
        let path = format!("{BASE}/messages{query}");
        api.tell("GET /v1/whatsapp/messages", what, api.ask("GET", &path, Some(&key), None).await);
    }
    let foreign = format!("{BASE}/messages?session_id={}", spelled(cast.foreign.id));
    let answer = api.ask("GET", &foreign, Some(&key), None).await;
    assert_eq!(answer.status, 404, "{answer:?}");
    cast.stage.phone_sends(CUSTOMER, SHOP, json!({ "text": "an answer" })).await;
    cast.ours.event("message.received", |data| data.to_string().contains("an answer")).await;
    let by = |query: &str| format!("{BASE}/messages?{query}session_id={}", spelled(cast.connected.id));
    let of = |id: u64| Some((format!("{BASE}/messages?session_id={}", spelled(id)), None));
    let (foreign, unknown) = (of(cast.foreign.id), of(4));
    let row = Row { method: "GET", path: by("direction=in&"), wrong_method: "PATCH", ..Row::default() };
    api.walk(Row { foreign, unknown, ..row }).await;
    let listed = api.ask("GET", &by("direction=in&"), Some(&key), None).await.json();
    let id = listed["data"][0]["id"].as_str().unwrap().to_owned();
    api.known.insert(id.clone(), "<message>");
    let of = |id: &str| (format!("{BASE}/messages/{id}"), None);
    let foreign = Some(of(&format!("msg_{}", cast.strange_message().await)));
    let row = Row { method: "GET", path: of(&id).0, wrong_method: "PATCH", ..Row::default() };
    api.walk(Row { foreign, unknown: Some(of("msg_4")), ..row }).await;
    for (what, path) in [("id that is none", "/messages/first"), ("unknown received", "/messages/msg_in999999")] {
        api.tell("GET /v1/whatsapp/messages/{id}", what, api.ask("GET", &format!("{BASE}{path}"), Some(&key), None).await);
    }
}

async fn walk_groups(cast: &Cast, api: &mut Api) {
    let groups = format!("{BASE}/groups");
    let typed = [("name", json!(5)), ("participants", json!("all")), ("description", json!(5))];
    let wrong = [
        ("name over the limit", json!({ "name": "x".repeat(26), "participants": [CUSTOMER] })),
        ("description over the limit", json!({ "name": "x", "participants": [CUSTOMER], "description": "x".repeat(513) })),
        ("nobody", json!({ "name": "x", "participants": [] })),
    ];
    let body = json!({ "name": "Friends", "participants": [format!("+{CUSTOMER}")], "description": "of ours" });
    let row = acting(cast, "POST", &groups, body);
    api.walk(Row { typed: &typed, wrong: &wrong, required: &["name", "participants"], ..row }).await;
    let queried = |path: &str, id: u64| Some((format!("{path}session_id={}", spelled(id)), None));
    let row = |path: String| Row {
        method: "GET",
        path: queried(&path, cast.connected.id).unwrap().0,
        foreign: queried(&path, cast.foreign.id),
        unknown: queried(&path, 4),
        wrong_method: "PATCH",
        ..Row::default()
    };
    let check = format!("{BASE}/contacts/+{CUSTOMER}/check?");
    api.walk(Row { not_connected: queried(&check, cast.idle.id), ..row(check.clone()) }).await;
    let key = api.key.clone();
    for (what, path) in [("not on WhatsApp", "/contacts/+4915299999999/check"), ("no number", "/contacts/abc/check")] {
        let path = format!("{BASE}{path}?session_id={}", spelled(cast.connected.id));
        api.tell("GET /v1/whatsapp/contacts/{phone}/check", what, api.ask("GET", &path, Some(&key), None).await);
    }
    for list in ["groups", "contacts"] {
        let path = format!("{BASE}/{list}?");
        api.walk(Row { not_connected: queried(&path, cast.idle.id), ..row(path) }).await;
    }
    let made = json!({ "session_id": spelled(cast.connected.id), "name": "Team", "participants": [CUSTOMER] });
    let made = api.ask("POST", &groups, Some(&key), Some(&made)).await.json();
    let id = made["id"].as_str().unwrap().to_owned();
    api.known.insert(id.clone(), "<group>");
    let renamed = |session: u64| json!({ "name": "x", "session_id": spelled(session) });
    let of = |id: &str, session: u64| Some((format!("{groups}/{id}"), Some(renamed(session))));
    let (foreign, unknown) = (of(&id, cast.foreign.id), of(&id, 4));
    let not_connected = of(&id, cast.idle.id);
    let row = Row { method: "PUT", path: format!("{groups}/{id}"), wrong_method: "PATCH", ..Row::default() };
    let wrong = [("name over the limit", json!({ "name": "x".repeat(26) }))];
    api.walk(Row { body: Some(renamed(cast.connected.id)), foreign, unknown, not_connected, wrong: &wrong, ..row }).await;
    let unknown = format!("{groups}/grp_120363000000000000");
    let body = renamed(cast.connected.id);
    api.tell("PUT /v1/whatsapp/groups/{id}", "unknown id", api.ask("PUT", &unknown, Some(&key), Some(&body)).await);
}

async fn walk_webhooks(cast: &Cast, api: &mut Api) {
    let typed = [("url", json!(5)), ("events", json!("message.received"))];
    let wrong = [
        ("URL that nobody may be sent to", json!({ "url": "http://10.0.0.1/" })),
        ("event that is none", json!({ "url": "https://shop.example/", "events": ["message.recieved"] })),
    ];
    // Nobody reads anything while the table is walked: what became of deliveries would depend on the moment.
    let (path, wish) = ("/v1/webhooks", json!({ "url": "https://shop.example/in", "events": ["message.read"] }));
    let made = api.ask("POST", path, Some(&api.key), Some(&wish)).await.json();
    let id = made["data"]["id"].as_str().unwrap().to_owned();
    let row =
        Row { method: "POST", path: path.to_owned(), body: Some(wish.clone()), wrong_method: "PATCH", ..Row::default() };
    let of = |id: u64| {
        let mut body = wish.clone();
        body["session_id"] = json!(spelled(id));
        Some((path.to_owned(), Some(body)))
    };
    let (foreign, unknown) = (of(cast.foreign.id), of(4));
    api.walk(Row { required: &["url"], typed: &typed, wrong: &wrong, foreign, unknown, ..row }).await;
    api.known.insert(id.clone(), "<webhook>");
    let theirs = cast.theirs.post(path, &cast.theirs.tenant_key, json!({ "url": "https://theirs.example/" })).await.json();
    let theirs = theirs["data"]["id"].as_str().unwrap().to_owned();
    let of_webhook = |method, body: Option<Value>| Row {
        method,
        path: format!("{path}/{id}"),
        unknown: Some((format!("{path}/wh_4"), body.clone())),
        foreign: Some((format!("{path}/{theirs}"), body.clone())),
        body,
        wrong_method: "PATCH",
        ..Row::default()
    };
    api.walk(of_webhook("GET", None)).await;
    let typed = [("url", json!(5)), ("is_active", json!("no"))];
    let change = Some(json!({ "events": ["*"], "is_active": false }));
    api.walk(Row { typed: &typed, ..of_webhook("PUT", change) }).await;
    api.walk(of_webhook("DELETE", None)).await;
    api.walk(Row { method: "GET", path: path.to_owned(), wrong_method: "PATCH", ..Row::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_arrives_as_what_it_is() {
    let cast = Cast::start().await;
    let api = api(&cast).await;
    let web = files::serve().await;
    let send = async |body: Value| {
        let sent = api.ask("POST", &format!("{BASE}/send"), Some(&api.key), Some(&body)).await;
        assert_eq!(sent.status, 200, "{body}: {sent:?}");
        sent.json()
    };
    let of_type = |kind: &str, object: Value| json!({ "to": CUSTOMER, "type": kind, kind: object });
    send(json!({ "to": CUSTOMER, "message": "the shorthand" })).await;
    send(json!({ "session_id": cast.connected.id, "to": CUSTOMER, "content": "by number" })).await;
    let picture = base64::engine::general_purpose::STANDARD.encode(files::picture());
    send(of_type("image", json!({ "base64": picture, "caption": "in the body" }))).await;
    send(of_type("document", json!({ "url": web.url("invoice.pdf"), "filename": "Bill.pdf", "caption": "to pay" }))).await;
    send(of_type("audio", json!({ "url": web.url("sound.ogg"), "ptt": true }))).await;
    send(of_type("location", json!({ "latitude": 52.5, "longitude": 13.4, "name": "Tower", "address": "Square 1" }))).await;
    send(of_type("contact", json!({ "name": "Ann", "phone": "+491520000009" }))).await;
    let poll = json!({ "question": "When?", "options": ["Mon", "Tue", "Wed"], "selectable_count": 2 });
    send(of_type("poll", poll)).await;

    let shows = async |wanted: &dyn Fn(&Value) -> bool| cast.stage.phone_shows(CUSTOMER, wanted).await;
    shows(&|shown| shown["text"] == "the shorthand").await;
    shows(&|shown| shown["text"] == "by number").await;
    shows(&|shown| shown["type"] == "image" && shown["caption"] == "in the body").await;
    shows(&|shown| shown["type"] == "document" && shown["media"]["file_name"] == "Bill.pdf").await;
    shows(&|shown| shown["type"] == "audio" && shown["ptt"] == true).await;
    let place = shows(&|shown| shown["type"] == "location").await;
    assert!(place.to_string().contains("Tower"), "{place}");
    let card = shows(&|shown| shown.to_string().contains("491520000009")).await;
    assert!(card.to_string().contains("Ann"), "{card}");
    let poll = shows(&|shown| shown["type"] == "poll").await;
    assert!(poll.to_string().contains("Wed"), "{poll}");
    cast.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_directions_are_listed_whatever_api_they_came_through() {
    let cast = Cast::start().await;
    let api = api(&cast).await;
    let ask = async |path: &str| api.ask("GET", &format!("{BASE}{path}"), Some(&api.key), None).await.json();
    let sent = cast.ours.send(&cast.connected, CUSTOMER, "by wasender").await.json();
    let number = sent["data"]["msgId"].as_u64().unwrap();
    cast.stage.phone_sends(CUSTOMER, SHOP, json!({ "text": "an answer" })).await;
    cast.ours.event("message.received", |data| data.to_string().contains("an answer")).await;
    let all = ask("/messages").await;
    assert_eq!(all["meta"]["total"], 2, "{all}");
    let newest = &all["data"][0];
    assert_eq!((&newest["direction"], &newest["content"]["body"]), (&json!("in"), &json!("an answer")), "{all}");
    assert_eq!(newest["from"], json!(format!("+{CUSTOMER}")));
    assert_eq!(ask("/messages?direction=out").await["data"][0]["id"], json!(format!("msg_{number}")));
    assert_eq!(ask(&format!("/messages/{}", newest["id"].as_str().unwrap())).await["direction"], "in");
    let wamux =
        api.ask("GET", &format!("/api/v1/messages/{}", uuid(Kind::Message, number).unwrap()), Some(&api.key), None).await;
    assert_eq!(wamux.status, 200, "the same message under another spelling: {wamux:?}");
    let session = ask(&format!("/sessions/{}", spelled(cast.connected.id))).await;
    assert_eq!((&session["message_count"], &session["status"]), (&json!(2), &json!("connected")), "{session}");
    cast.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_test_key_sends_never_leaves_the_host_and_is_read_in_the_end() {
    let cast = Cast::start().await;
    let api = api(&cast).await;
    let test_key = cast.ours.key(json!({ "kind": "tenant", "mode": "test" })).await;
    assert!(test_key.starts_with("sk_test_"), "{test_key}");
    let session = spelled(cast.connected.id);
    let text = json!({ "session_id": session, "to": CUSTOMER, "message": "for a test" });
    let sent = api.ask("POST", &format!("{BASE}/send"), Some(&test_key), Some(&text)).await;
    assert_eq!((sent.status, &sent.json()["status"]), (200, &json!("accepted")), "{sent:?}");
    let path = format!("{BASE}/messages/{}", sent.json()["id"].as_str().unwrap());
    let statuses = async || {
        let message = api.ask("GET", &path, Some(&test_key), None).await.json();
        let timeline = message["timeline"].as_array().unwrap().iter();
        timeline.map(|step| step["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let wanted = ["accepted", "sent", "delivered", "read"];
    assert!(until(PATIENCE, async || statuses().await == wanted).await, "{:?}", statuses().await);
    let bad = json!({ "session_id": session, "to": "+49ABC", "message": "checked as any other" });
    assert_eq!(api.ask("POST", &format!("{BASE}/send"), Some(&test_key), Some(&bad)).await.status, 422);
    let idle = json!({ "session_id": spelled(cast.idle.id), "to": CUSTOMER, "message": "x" });
    assert_eq!(api.ask("POST", &format!("{BASE}/send"), Some(&test_key), Some(&idle)).await.status, 409);
    let bulk = json!({ "session_id": session, "recipients": [CUSTOMER], "text": "for a test" });
    assert_eq!(api.ask("POST", &format!("{BASE}/send-bulk"), Some(&test_key), Some(&bulk)).await.status, 202);
    let group = json!({ "session_id": session, "name": "Test", "participants": [CUSTOMER] });
    let refused = api.ask("POST", &format!("{BASE}/groups"), Some(&test_key), Some(&group)).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (403, &json!(4030)), "{refused:?}");
    let real = json!({ "session_id": session, "to": CUSTOMER, "message": "real" });
    assert_eq!(api.ask("POST", &format!("{BASE}/send"), Some(&api.key), Some(&real)).await.status, 200);
    cast.stage.phone_shows(CUSTOMER, |shown| shown["text"] == "real").await;
    let shown = received(cast.stage.control(), ADMIN_KEY, CUSTOMER, 0, 0).await;
    assert_eq!(shown.len(), 1, "{shown:?}");
    cast.stage.stop().await;
}

/// Stores the templates that the tests send.
async fn store_templates(cast: &Cast) {
    for (name, language, definition) in [
        ("welcome", "en", json!({ "body": "Hello {{name}}", "footer": "Bye" })),
        ("welcome", "de", json!({ "body": "Hallo {{name}}" })),
        ("ask", "en", json!({ "body": "Well, {{1}}?", "buttons": [{ "type": "reply", "id": "y", "title": "{{2}}" }] })),
    ] {
        let wish = json!({ "name": name, "language": language, "definition": definition });
        let made = cast.ours.post("/switchboard/v1/templates", &cast.ours.tenant_key, wish).await;
        assert_eq!(made.status, 201, "{made:?}");
    }
}

/// Buttons and a list, as the contract has them.
fn choices() -> [Value; 2] {
    let buttons = json!([{ "id": "yes", "title": "Yes" }, { "id": "no", "title": "No" }]);
    let rows = json!([{ "id": "soup", "title": "Soup", "description": "of the day" }, { "id": "cake", "title": "Cake" }]);
    let sections = json!([{ "title": "Lunch", "rows": rows }]);
    [
        json!({ "kind": "buttons", "body": "Coming?", "footer": "tonight", "buttons": buttons }),
        json!({ "kind": "list", "body": "What will it be?", "button": "Choose", "sections": sections }),
    ]
}

async fn walk_choices(cast: &Cast, api: &mut Api) {
    store_templates(cast).await;
    let (key, path) = (api.key.clone(), format!("{BASE}/send"));
    let of_type = |kind: &str, object: Value| json!({ "to": CUSTOMER, "type": kind, kind: object });
    let named = |params: Value| of_type("template", json!({ "name": "welcome", "language": "en_GB", "params": params }));
    let changed = |at: usize, pointer: &str, value: Value| {
        let mut choice = choices()[at].clone();
        *choice.pointer_mut(pointer).unwrap() = value;
        of_type("interactive", choice)
    };
    let [buttons, list] = choices();
    let plain = json!({ "kind": "buttons", "body": "Well?", "fallback": "text", "buttons": buttons["buttons"] });
    for (what, body) in [
        ("a template", named(json!({ "name": "Ada" }))),
        ("a template with positional parameters", of_type("template", json!({ "name": "ask", "params": ["Ada", "Yes"] }))),
        ("a template without its parameter", named(json!({ "other": "x" }))),
        ("a template that there is not", of_type("template", json!({ "name": "farewell" }))),
        ("a template in no language that it has", of_type("template", json!({ "name": "welcome", "language": "fr" }))),
        ("a template without a name", of_type("template", json!({ "params": [] }))),
        ("parameters of the wrong type", named(json!("Ada"))),
        ("buttons", of_type("interactive", buttons)),
        ("a list", of_type("interactive", list)),
        ("buttons as a text", of_type("interactive", plain)),
        ("a kind that is none", changed(0, "/kind", json!("carousel"))),
        ("a body over the limit", changed(0, "/body", json!("x".repeat(1025)))),
        ("a button without a title", changed(0, "/buttons/0", json!({ "id": "a" }))),
        ("a button with a long title", changed(0, "/buttons/1/title", json!("x".repeat(21)))),
        (
            "four buttons",
            changed(0, "/buttons", json!((0..4).map(|n| json!({ "id": n.to_string(), "title": "x" })).collect::<Vec<_>>())),
        ),
        ("a list that nothing opens", changed(1, "/button", json!(""))),
        ("a section without rows", changed(1, "/sections/0/rows", json!([]))),
        (
            "a fallback that is none",
            of_type("interactive", json!({ "kind": "buttons", "body": "x", "fallback": "fax", "buttons": [] })),
        ),
    ] {
        api.tell("POST /v1/whatsapp/send", what, api.ask("POST", &path, Some(&key), Some(&body)).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_buttons_and_lists_arrive_as_what_they_are() {
    let cast = Cast::start().await;
    let api = api(&cast).await;
    store_templates(&cast).await;
    let send = async |kind: &str, object: Value| {
        let body = json!({ "to": CUSTOMER, "type": kind, kind: object });
        let sent = api.ask("POST", &format!("{BASE}/send"), Some(&api.key), Some(&body)).await;
        assert_eq!((sent.status, &sent.json()["type"]), (200, &json!(kind)), "{sent:?}");
        sent.json()["id"].as_str().unwrap().to_owned()
    };
    let shows = async |wanted: &dyn Fn(&Value) -> bool| cast.stage.phone_shows(CUSTOMER, wanted).await;
    let welcome = json!({ "name": "welcome", "language": "en_GB", "params": { "name": "Ada" } });
    let id = send("template", welcome).await;
    shows(&|shown| shown["text"] == "Hello Ada\n\nBye").await;
    let listed = api.ask("GET", &format!("{BASE}/messages/{id}"), Some(&api.key), None).await.json();
    assert_eq!(listed["content"], json!({ "name": "welcome", "language": "en", "params": { "name": "Ada" } }), "{listed}");
    send("template", json!({ "name": "ask", "params": ["Ada", "Yes"] })).await;
    let asked = shows(&|shown| shown["text"] == "Well, Ada?").await;
    assert_eq!(asked["interactive"]["buttons"][0]["params"], json!({ "display_text": "Yes", "id": "y" }), "{asked}");

    let [buttons, list] = choices();
    send("interactive", buttons).await;
    let shown = shows(&|shown| shown["text"] == "Coming?").await;
    assert_eq!((&shown["type"], &shown["interactive"]["footer"]), (&json!("interactive"), &json!("tonight")), "{shown}");
    let names: Vec<&Value> = shown["interactive"]["buttons"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["quick_reply", "quick_reply"], "{shown}");
    assert_eq!(shown["interactive"]["buttons"][1]["params"], json!({ "display_text": "No", "id": "no" }), "{shown}");
    send("interactive", list).await;
    let shown = shows(&|shown| shown["text"] == "What will it be?").await;
    let opened = &shown["interactive"]["buttons"][0];
    assert_eq!((&opened["name"], &opened["params"]["title"]), (&json!("single_select"), &json!("Choose")), "{shown}");
    let rows = &opened["params"]["sections"][0]["rows"];
    assert_eq!(rows[0], json!({ "id": "soup", "title": "Soup", "description": "of the day" }), "{shown}");

    let [buttons, _] = choices();
    let plain = json!({ "kind": "buttons", "body": "Coming?", "fallback": "text", "buttons": buttons["buttons"] });
    let body = json!({ "to": CUSTOMER, "type": "interactive", "interactive": plain });
    let sent = api.ask("POST", &format!("{BASE}/send"), Some(&api.key), Some(&body)).await;
    assert_eq!((sent.status, &sent.json()["type"]), (200, &json!("text")), "{sent:?}");
    shows(&|shown| shown["type"] == "text" && shown["text"] == "Coming?\n\n1. Yes\n2. No").await;
    cast.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_made_listed_and_changed_by_their_admins() {
    let cast = Cast::start().await;
    let api = api(&cast).await;
    let ask = async |method: &str, path: &str, body: Option<Value>| {
        let answer = api.ask(method, &format!("{BASE}{path}"), Some(&api.key), body.as_ref()).await;
        (answer.status, answer.json())
    };
    let session = spelled(cast.connected.id);
    let wish = json!({ "session_id": session, "name": "Friends", "participants": [CUSTOMER], "description": "of ours" });
    let (status, made) = ask("POST", "/groups", Some(wish)).await;
    assert_eq!((status, &made["name"]), (201, &json!("Friends")), "{made}");
    assert!(made["invite_link"].as_str().is_some_and(|link| link.starts_with("https://chat.whatsapp.com/")), "{made}");
    let id = made["id"].as_str().unwrap();
    let (_, listed) = ask("GET", &format!("/groups?session_id={session}"), None).await;
    assert_eq!((&listed["data"][0]["id"], &listed["data"][0]["participant_count"]), (&json!(id), &json!(2)), "{listed}");
    let change = json!({ "name": "Best friends", "remove_participants": [CUSTOMER] });
    let (status, changed) = ask("PUT", &format!("/groups/{id}"), Some(change)).await;
    assert_eq!((status, &changed["name"]), (200, &json!("Best friends")), "{changed}");
    assert_eq!(changed["participants"].as_array().unwrap().len(), 1, "{changed}");
    cast.stage.stop().await;
}
