//! What the host's own API is given by mistake: a name that it does not know is refused with its place, and never ignored.

use serde_json::{Value, json};
use switchboard::http::LocalAnswer;
use switchboard_tests::account::{Account, phone};
use switchboard_tests::contract::Contract;
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const BASE: &str = "/switchboard/v1";

/// The only place that a problem names, by the member `by`, and what is wrong there.
fn fault<'a>(answer: &'a Value, by: &str) -> (&'a str, &'a str) {
    let [error] = answer["errors"].as_array().map_or(&[][..], Vec::as_slice) else { panic!("{answer}") };
    (error[by].as_str().unwrap(), error["detail"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_an_endpoint_does_not_know_is_refused_with_those_that_it_knows() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let get = async |path: &str, key: &str| account.get(&format!("{BASE}{path}"), key).await;
    let (key, contract) = (&*account.tenant_key, Contract::of(stage.http()).await);
    for (path, name, why) in [
        ("/messages?sesion_id=5", "sesion_id", "is not a parameter; there are: limit, cursor, session_id, chat, state"),
        ("/events/stream?order=desc", "order", "is not a parameter; there are: after, session_id, chat, type"),
        ("/usage?plan", "plan", "is not a parameter; there are none"),
        ("/sessions?limit=1&limit=2", "limit", "is given twice"),
        ("/messages?LIMIT=1", "LIMIT", "is not a parameter; there are: limit, cursor, session_id, chat, state"),
        ("/openapi.json?v=2", "v", "is not a parameter; there are none"),
    ] {
        let refused = get(path, key).await;
        assert_eq!(refused.status, 400, "{path}: {refused:?}");
        contract.check("get", path.split('?').next().unwrap(), &refused);
        assert_eq!(refused.header("content-type"), Some("application/problem+json"), "{path}");
        let body = refused.json();
        assert_eq!(fault(&body, "parameter"), (name, why), "{path}");
        assert_eq!(body["detail"], format!("{name}: {why}"), "{path}");
    }
    let refused = get("/tenants?page=2", ADMIN_KEY).await;
    assert_eq!((refused.status, fault(&refused.json(), "parameter").0), (400, "page"), "{refused:?}");
    let refused = account.post(&format!("{BASE}/sessions?name=x"), key, json!({ "name": "x" })).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(get("/sessions", key).await.json()["sessions"], json!([]), "what is refused makes nothing");
    for path in ["/messages?limit=1&chat=%2B491510000001&state=sent", "/events?order=desc&limit=2&type=message.*", "/usage?"]
    {
        assert_eq!(get(path, key).await.status, 200, "{path}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dialects_take_parameters_that_they_do_not_know() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let listed = account.get("/api/v1/whatsapp-sessions?colour=red", &account.token).await;
    assert_eq!(listed.status, 200, "{listed:?}");
    stage.stop().await;
}

/// Changes a session's settings.
async fn set(account: &Account, session: u64, settings: Value) -> LocalAnswer {
    let path = format!("{BASE}/sessions/{session}");
    account.http.json("PATCH", &path, Some(&account.tenant_key), Some(&json!({ "settings": settings }))).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_nobody_heeds_is_refused_with_its_place() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let session = account.session("Desk").await.id;
    let known = "is not a setting; there are: fetch_media, pacing, sending, watch_presence";
    for (settings, place, why) in [
        (json!({ "fetch_medai": true }), "#/settings/fetch_medai", known),
        (json!({ "gap_ms": null }), "#/settings/gap_ms", known),
        (json!({ "fetch_media": "yes" }), "#/settings/fetch_media", "\"yes\": true or false is needed"),
        (json!({ "sending": 1 }), "#/settings/sending", "1: true or false is needed"),
        (json!({ "watch_presence": ["Ada"] }), "#/settings/watch_presence/0", "Ada"),
        (json!({ "pacing": { "gap": 1 } }), "#/settings/pacing/gap", "is not a rule; there are: "),
        (json!({ "pacing": { "typing": { "most_ms": "1" } } }), "#/settings/pacing/typing/most_ms", "a whole number"),
        (json!({ "pacing": { "gap_ms": 3_600_001 } }), "#/settings/pacing/gap_ms", "the limit is 3600000"),
    ] {
        let wish = json!({ "name": "Till", "settings": settings });
        let made = account.post(&format!("{BASE}/sessions"), &account.tenant_key, wish).await;
        let changed = set(&account, session, settings.clone()).await;
        for refused in [made, changed] {
            let body = refused.json();
            assert_eq!((refused.status, fault(&body, "pointer").0), (422, place), "{settings}: {body}");
            assert!(fault(&body, "pointer").1.contains(why), "{settings}: {body}");
        }
    }
    let pacing = json!({ "gap_ms": 500, "typing": { "most_ms": 1000 } });
    let settings = json!({ "fetch_media": true, "sending": false, "watch_presence": ["+491510000001"], "pacing": pacing });
    let changed = set(&account, session, settings.clone()).await;
    assert_eq!((changed.status, &changed.json()["settings"]), (200, &settings), "{changed:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_that_is_none_of_those_allowed_is_told_with_all_of_them() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let session = account.session("Till").await.id;
    for (path, name, words) in [
        ("/messages?state=done", "state", "\"done\" is none of: queued, leased, sent, acknowledged"),
        ("/events?order=newest", "order", "asc and desc are allowed"),
        ("/events?type=message.recieved", "type", "there are *, "),
        (&format!("/sessions/{session}/qr?format=svg"), "format", "json and png are allowed"),
    ] {
        let refused = account.get(&format!("{BASE}{path}"), &account.tenant_key).await;
        let (body, status) = (refused.json(), refused.status);
        let (parameter, why) = fault(&body, "parameter");
        assert!(status == 422 && parameter == name && why.contains(words), "{path}: {refused:?}");
    }
    let settings = json!({ "settings": { "watch_presence": ["+491510000001", "ada"] } });
    let messages = |content: Value| json!({ "session_id": session, "to": "491520000001", "content": content });
    for (method, path, body, place, words) in [
        ("POST", "webhooks", json!({ "url": "https://a.example", "events": ["message.*", "*", "x"] }), "events/2", "\"x\""),
        ("POST", "webhooks", json!({ "url": "a.example" }), "url", "cannot be used: the URL must begin with http"),
        ("PATCH", &format!("sessions/{session}"), settings, "settings/watch_presence/1", "ada"),
        (
            "POST",
            "messages",
            messages(json!({ "type": "txt", "value": "x" })),
            "content/type",
            "\"txt\" is none of: text, image, ",
        ),
        (
            "POST",
            "messages",
            messages(json!({ "type": "location", "value": { "latitude": 1, "longitude": 1, "lattitude": 2 } })),
            "content/value/lattitude",
            "is not a field; there are: latitude, longitude, name, address",
        ),
    ] {
        let path = format!("{BASE}/{path}");
        let refused = account.http.json(method, &path, Some(&account.tenant_key), Some(&body)).await.unwrap();
        let (body, status) = (refused.json(), refused.status);
        let (pointer, why) = fault(&body, "pointer");
        assert!(status == 422 && pointer == format!("#/{place}") && why.contains(words), "{path}: {refused:?}");
        assert!(!why.contains("poll_vote"), "what only comes in is not offered: {why}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_of_another_api_is_left_to_it() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let wish = json!({ "name": "Till", "webhook_url": "https://hooks.example.com/a" });
    let made = account.post("/api/v1/whatsapp-sessions", &account.token, wish).await.json();
    let path = format!("{BASE}/sessions/{}", made["data"]["id"]);
    let change = async |settings: Value| {
        let body = json!({ "settings": settings });
        account.http.json("PATCH", &path, Some(&account.tenant_key), Some(&body)).await.unwrap()
    };
    for other in [json!("nowhere"), json!(5), json!(null)] {
        let refused = change(json!({ "webhook_url": other })).await;
        let (body, status) = (refused.json(), refused.status);
        let (place, why) = fault(&body, "pointer");
        assert!(status == 422 && place == "#/settings/webhook_url" && why.contains("another API"), "{refused:?}");
    }
    let shown = account.get(&path, &account.tenant_key).await.json()["settings"].clone();
    assert_eq!(change(shown).await.status, 200, "what stays as it is may be given back");
    assert_eq!(set(&account, 1, json!({})).await.status, 404);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn head_is_answered_as_get_without_the_body() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    for path in ["/openapi.json", "/openapi/wamux.json", "/sessions", "/usage"] {
        let ask = async |method: &str| {
            account.http.json(method, &format!("{BASE}{path}"), Some(&account.tenant_key), None).await.unwrap()
        };
        let (got, head) = (ask("GET").await, ask("HEAD").await);
        assert_eq!((head.status, head.header("content-type")), (200, got.header("content-type")), "{path}: {head:?}");
        assert!(head.body.is_empty() && !got.body.is_empty(), "{path}");
        assert_eq!(head.header("content-length"), Some(got.body.len().to_string().as_str()), "{path}");
    }
    let refused = account.http.json("PUT", &format!("{BASE}/sessions"), Some(&account.tenant_key), None).await.unwrap();
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD, POST")), "{refused:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_a_session_that_cannot_send_comes_with_what_to_do() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let session = account.session("Till").await.id;
    let message = json!({ "session_id": session, "to": "491520000001", "text": "hello" });
    let refused = account.post(&format!("{BASE}/messages"), &account.tenant_key, message).await;
    let told = "the session is created: no phone is linked to it yet: connect it and scan its QR code";
    assert_eq!((refused.status, &refused.json()["detail"]), (409, &json!(told)), "{refused:?}");
    let refused = account.get(&format!("{BASE}/sessions/{session}/qr"), &account.tenant_key).await;
    assert!(refused.status == 409 && refused.json()["detail"].as_str().unwrap().contains("connect"), "{refused:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_controls_of_the_simulated_network_say_what_is_wrong_and_where() {
    let stage = Stage::start().await;
    let sim = stage.control();
    phone(sim, ADMIN_KEY, "491510000001").await;
    for (path, body, status, place, words) in [
        ("phones/491510000001/scan", json!({ "code": "hello" }), 422, Some("#/code"), "not the text of a QR code"),
        ("phones/491510000001/scan", json!({ "code": "a", "cod": "b" }), 422, Some("#/cod"), "unknown field"),
        ("phones/491510000001/scan", json!({}), 422, Some("#/code"), "missing field"),
        ("phones", json!({ "number": "491510000002", "nmae": "Ada" }), 422, Some("#/nmae"), "unknown field"),
        ("faults", json!({ "fault": "clear", "phone": "491510000001" }), 422, Some("#/phone"), "unknown field"),
        ("phones/491519999999/scan", json!({ "code": "a,b,c,d,e" }), 422, Some("#/code"), "not the text of a QR code"),
        ("phones/491519999999/messages", json!({ "to": "491510000001", "text": "x" }), 404, None, "make it first"),
    ] {
        let path = format!("/switchboard/v1/sim/{path}");
        let refused = sim.json("POST", &path, Some(ADMIN_KEY), Some(&body)).await.unwrap();
        let told = refused.json();
        assert_eq!((refused.status, &told["type"]), (status, &json!("about:blank")), "{path}: {told}");
        assert_eq!(told["errors"][0]["pointer"].as_str(), place, "{path}: {told}");
        assert!(told["detail"].as_str().unwrap().contains(words), "{path}: {told}");
    }
    stage.stop().await;
}
