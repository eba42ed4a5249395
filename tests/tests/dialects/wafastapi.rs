//! The dialect `wafastapi`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use serde_json::{Value, json};
use switchboard_tests::files::{film, picture, voice};
use switchboard_tests::form::{BOUNDARY, Part, field, file, form};

use crate::columns::{LONG, MALFORMED, TOO_MANY};
use crate::document::Document;
use crate::stage::{CUSTOMER, Cast};
use crate::table::{Api, Row};

const BASE: &str = "/api/whatsapp";
/// Most bytes of a form's fields that are no files.
const FIELDS_BYTES_MAX: usize = 256 * 1024;

async fn api(cast: &Cast) -> Api {
    Api {
        http: cast.stage.http(),
        key_header: |key| ("x-api-key", key.to_owned()),
        key: cast.connected.key.clone(),
        spent_key: cast.spent_session.key.clone(),
        throttled_key: cast.throttled_session.key.clone(),
        bad_keys: cast.bad_session_keys().await,
        known: BTreeMap::new(),
        document: Document::of(cast.stage.http(), "wafastapi").await,
        told: String::new(),
        columns: BTreeSet::new(),
    }
}

/// Bodies that are refused, by what is wrong with them.
type Wrong = Vec<(&'static str, Value)>;

fn wrong_texts() -> &'static Wrong {
    static WRONG: OnceLock<Wrong> = OnceLock::new();
    WRONG.get_or_init(|| {
        vec![
            ("neither number nor group", json!({ "message": "x" })),
            ("both number and group", json!({ "number": CUSTOMER, "group": "1203@g.us", "message": "x" })),
            ("number with letters", json!({ "number": "12ab", "message": "x" })),
            ("empty message", json!({ "number": CUSTOMER, "message": " " })),
            ("body that is a list", json!([])),
        ]
    })
}

fn wrong_places() -> &'static Wrong {
    static WRONG: OnceLock<Wrong> = OnceLock::new();
    let place = |place: Value| json!({ "number": CUSTOMER, "location": place });
    WRONG.get_or_init(|| {
        vec![
            ("no longitude", place(json!({ "degreesLatitude": 4.05 }))),
            ("latitude out of range", place(json!({ "degreesLatitude": 91, "degreesLongitude": 0 }))),
            ("latitude that is no number", place(json!({ "degreesLatitude": "north", "degreesLongitude": 0 }))),
        ]
    })
}

fn wrong_polls() -> &'static Wrong {
    static WRONG: OnceLock<Wrong> = OnceLock::new();
    let poll = |values: Value, count: u64| json!({ "number": CUSTOMER, "name": "Lunch?", "values": values, "selectableCount": count });
    WRONG.get_or_init(|| {
        let many: Vec<String> = (0..13).map(|option| option.to_string()).collect();
        vec![
            ("one option", poll(json!(["Soup"]), 1)),
            ("thirteen options", poll(json!(many), 1)),
            ("more selectable than there are", poll(json!(["Soup", "Salad"]), 3)),
        ]
    })
}

fn wrong_keys() -> &'static Wrong {
    static WRONG: OnceLock<Wrong> = OnceLock::new();
    WRONG.get_or_init(|| vec![("key without an id", json!({ "number": CUSTOMER, "messageKey": { "fromMe": true } }))])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_answers_what_is_right_and_what_is_wrong() {
    let cast = Cast::start().await;
    let mut api = api(&cast).await;
    let row = |method: &'static str, path: &str| Row {
        method,
        path: format!("{BASE}{path}"),
        idle_key: Some(cast.idle.key.clone()),
        sends: method == "POST",
        wrong_method: "PATCH",
        ..Row::default()
    };
    let wrong_type = [("message", json!(5)), ("number", json!(true))];
    let text = Some(json!({ "number": CUSTOMER, "message": "Hello" }));
    let required = &["number", "message"];
    let (text_row, wrong) = (row("POST", "/send/text"), wrong_texts());
    api.walk(Row { body: text, required, typed: &wrong_type, wrong, ..text_row }).await;
    walk_files(&mut api, &cast).await;
    let place = json!({ "degreesLatitude": 4.0511, "degreesLongitude": "9.7679", "name": "Port", "address": "Quay 1" });
    let (location, wrong_type) = (row("POST", "/send/location"), [("location", json!("here"))]);
    let body = Some(json!({ "number": CUSTOMER, "location": place }));
    api.walk(Row { body, required: &["location"], typed: &wrong_type, wrong: wrong_places(), ..location }).await;
    let body = Some(json!({ "number": CUSTOMER, "name": "Lunch?", "values": ["Soup", "Salad"], "selectableCount": 1 }));
    let wrong_type = [("values", json!("Soup")), ("selectableCount", json!("all")), ("toAnnouncementGroup", json!("yes"))];
    let (poll, wrong) = (row("POST", "/send/poll"), wrong_polls());
    api.walk(Row { body, required: &["name", "values"], typed: &wrong_type, wrong, ..poll }).await;
    let body = Some(json!({ "number": CUSTOMER, "messageKey": "3EB0AAAAAAAAAAAAAAAAAA", "emoji": "👍" }));
    let wrong_type = [("messageKey", json!(5)), ("emoji", json!(5))];
    let (react, wrong) = (row("POST", "/message/react"), wrong_keys());
    api.walk(Row { body, required: &["messageKey"], typed: &wrong_type, wrong, ..react }).await;
    let body = Some(json!({ "number": CUSTOMER, "messageKey": { "id": "3EB0AAAAAAAAAAAAAAAAAA", "fromMe": true } }));
    let (delete, wrong) = (row("POST", "/message/delete"), wrong_keys());
    api.walk(Row { body, required: &["messageKey"], typed: &[("messageKey", json!([]))], wrong, ..delete }).await;
    api.walk(row("GET", "/get/groups")).await;
    let unbound = cast.ours.tenant_key.clone();
    let answer = api.ask("GET", &format!("{BASE}/get/groups"), Some(&unbound), None).await;
    api.tell("GET /get/groups", "key of no session", answer);
    api.compare("wafastapi");
    cast.stage.stop().await;
}

/// The endpoints that take a form with files.
async fn walk_files(api: &mut Api, cast: &Cast) {
    let (png, mp4, ogg) = (picture(), film(), voice());
    let (to, caption) = (field("number", CUSTOMER), field("caption", "look"));
    for (path, name, good, count_max) in [
        ("/send/photo", "photos", file("photos", "a.png", "image/png", &png), 10),
        ("/send/video", "videos", file("videos", "a.mp4", "video/mp4", &mp4), 5),
        ("/send/audio", "audios", file("audios", "a.ogg", "audio/ogg", &ogg), 5),
        ("/send/file", "files", file("files", "a.pdf", "application/pdf", b"%PDF-1.7 and so on"), 5),
    ] {
        let whole = [to.clone(), caption.clone(), good.clone(), good.clone()];
        let key = api.key.clone();
        send(api, path, "success", Some(&key), &whole).await;
        send(api, path, "missing credential", None, &whole).await;
        for (what, bad) in api.bad_keys.clone() {
            send(api, path, what, Some(&bad), &whole).await;
        }
        send(api, path, "missing field: number", Some(&key), &whole[1..]).await;
        send(api, path, "no file", Some(&key), &whole[..2]).await;
        let mut many = vec![to.clone()];
        many.extend(std::iter::repeat_n(good.clone(), count_max + 1));
        send(api, path, "too many files", Some(&key), &many).await;
        send(api, path, "empty file", Some(&key), &[to.clone(), file(name, "a", "image/png", b"")]).await;
        let text = file(name, "a.txt", "text/plain", b"words");
        send(api, path, "wrong type: file of another kind", Some(&key), &[to.clone(), text]).await;
        send(api, path, "file in another field", Some(&key), &[to.clone(), file("data", "a.png", "image/png", &png)]).await;
        send(api, path, "not connected", Some(&cast.idle.key), &whole).await;
        let spent = api.spent_key.clone();
        send(api, path, "over the limit", Some(&spent), &whole).await;
        let throttled = api.throttled_key.clone();
        send(api, path, TOO_MANY, Some(&throttled), &whole).await;
        let long = "x".repeat(FIELDS_BYTES_MAX + 1);
        send(api, path, LONG, Some(&key), &[to.clone(), field("caption", &long), good.clone()]).await;
        let broken = form(&whole);
        send_raw(api, path, MALFORMED, Some(&key), broken[..broken.len() / 2].to_vec()).await;
        let json = json!({ "number": CUSTOMER });
        let answer = api.ask("POST", &format!("{BASE}{path}"), Some(&key), Some(&json)).await;
        api.tell(&format!("POST {BASE}{path}"), "body of another type", answer);
        let answer = api.ask("PATCH", &format!("{BASE}{path}"), Some(&key), None).await;
        api.tell(&format!("POST {BASE}{path}"), "wrong method", answer);
    }
}

async fn send(api: &mut Api, path: &str, column: &str, key: Option<&str>, parts: &[Part<'_>]) {
    send_raw(api, path, column, key, form(parts)).await;
}

async fn send_raw(api: &mut Api, path: &str, column: &str, key: Option<&str>, body: Vec<u8>) {
    let path = format!("{BASE}{path}");
    let mut headers = vec![("content-type", format!("multipart/form-data; boundary={BOUNDARY}"))];
    headers.extend(key.map(|key| ("x-api-key", key.to_owned())));
    let answer = api.exchange("POST", &path, &headers, body).await;
    api.tell(&format!("POST {path}"), column, answer);
}
