//! What the host's own API is given by mistake: a name that it does not know is refused with its place, and never ignored.

use serde_json::{Value, json};
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
    let key = &*account.tenant_key;
    for (path, name, why) in [
        (
            "/messages?sesion_id=5",
            "sesion_id",
            "is not a parameter; there are: limit, cursor, session_id, chat, state",
        ),
        (
            "/events/stream?order=desc",
            "order",
            "is not a parameter; there are: after, session_id, chat, type",
        ),
        ("/usage?plan", "plan", "is not a parameter; there are none"),
        ("/sessions?limit=1&limit=2", "limit", "is given twice"),
        ("/messages?LIMIT=1", "LIMIT", "is not a parameter; there are: limit, cursor, session_id, chat, state"),
        ("/openapi.json?v=2", "v", "is not a parameter; there are none"),
    ] {
        let refused = get(path, key).await;
        assert_eq!(refused.status, 400, "{path}: {refused:?}");
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
    for path in ["/messages?limit=1&chat=%2B491510000001&state=sent", "/events?order=desc&limit=2&type=message.*", "/usage?"] {
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
