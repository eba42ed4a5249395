//! What the host's own API is given by mistake: a name that it does not know is refused with its place, and never ignored.

use serde_json::{Value, json};
use switchboard::http::LocalAnswer;
use switchboard_tests::account::Account;
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
        (json!({ "watch_presence": ["Ada"] }), "#/settings/watch_presence", "Ada"),
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
async fn what_a_dialect_keeps_with_a_session_can_be_changed_where_the_session_has_it() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let wish = json!({ "name": "Desk", "account_protection": true });
    let made = account.post("/api/v1/whatsapp-sessions", &account.token, wish).await;
    let (kept, bare) = (made.json()["data"]["id"].as_u64().unwrap(), account.session("Till").await.id);
    let changed = set(&account, kept, json!({ "account_protection": false })).await;
    assert_eq!((changed.status, &changed.json()["settings"]["account_protection"]), (200, &json!(false)), "{changed:?}");
    let refused = set(&account, bare, json!({ "account_protection": false })).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert_eq!(set(&account, 1, json!({})).await.status, 404);
    stage.stop().await;
}
