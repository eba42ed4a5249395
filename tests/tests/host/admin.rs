//! Tenants and keys, through the host's own API.

use std::time::Duration;

use serde_json::json;
use switchboard_core::clock::{Clock as _, SystemClock};
use switchboard_tests::account::Account;
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

async fn sessions_status(account: &Account, key: &str) -> u16 {
    account.get("/api/v1/whatsapp-sessions", key).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_operators_key_manages_tenants() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let body = json!({ "name": "B" });
    let good = [(&account.tenant_key, "tenant"), (&account.token, "personal")];
    for (key, kind) in good {
        let answer = account.post("/switchboard/v1/tenants", key, body.clone()).await;
        let why = format!("the operator's key is needed; this one is of kind {kind}");
        assert_eq!((answer.status, &answer.json()["detail"]), (403, &json!(why)), "{answer:?}");
        assert_eq!(answer.json()["code"], "wrong_kind_of_key");
    }
    // A key that is good no longer is as unknown as one that never was.
    let keys = format!("/switchboard/v1/tenants/{}/keys", account.tenant);
    let revoked = account.post(&keys, ADMIN_KEY, json!({ "kind": "tenant" })).await.json();
    let key = format!("{keys}/{}", revoked["id"]);
    assert_eq!(stage.http().json("DELETE", &key, Some(ADMIN_KEY), None).await.unwrap().status, 204);
    for key in ["", "adm_wrong-0123456789", revoked["key"].as_str().unwrap()] {
        let answer = account.post("/switchboard/v1/tenants", key, body.clone()).await;
        assert_eq!(answer.status, 401, "{key}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_made_changed_and_listed() {
    let stage = Stage::start().await;
    let http = stage.http();
    let body = json!({ "name": "Shop", "plan": "pro", "limits": { "messages_per_day": 5 } });
    let made = http.json("POST", "/switchboard/v1/tenants", Some(ADMIN_KEY), Some(&body)).await.unwrap();
    assert_eq!(made.status, 201, "{made:?}");
    let path = format!("/switchboard/v1/tenants/{}", made.json()["id"]);
    let change = json!({ "active": false, "limits": { "gap_ms": 100 } });
    let changed = http.json("PATCH", &path, Some(ADMIN_KEY), Some(&change)).await.unwrap();
    assert_eq!(changed.status, 200, "{changed:?}");
    let seen = http.json("GET", &path, Some(ADMIN_KEY), None).await.unwrap().json();
    assert_eq!((&seen["active"], &seen["plan"], &seen["limits"]), (&json!(false), &json!("pro"), &json!({ "gap_ms": 100 })));
    let listed = http.json("GET", "/switchboard/v1/tenants", Some(ADMIN_KEY), None).await.unwrap().json();
    assert_eq!(listed["tenants"][0]["id"], seen["id"]);
    for (bad, field) in [
        (json!({ "name": "" }), "name"),
        (json!({ "name": "x", "plan": "gold" }), "plan"),
        (json!({ "name": "x", "limits": { "speed": 1 } }), "limits/speed"),
    ] {
        let refused = http.json("POST", "/switchboard/v1/tenants", Some(ADMIN_KEY), Some(&bad)).await.unwrap();
        assert_eq!(refused.status, 422, "{refused:?}");
        assert_eq!(refused.json()["errors"][0]["pointer"], format!("#/{field}"));
    }
    assert_eq!(http.json("GET", "/switchboard/v1/tenants/1", Some(ADMIN_KEY), None).await.unwrap().status, 404);
    let wrong = http.json("DELETE", &path, Some(ADMIN_KEY), None).await.unwrap();
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, HEAD, PATCH")));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_works_until_it_expires_is_revoked_or_its_tenant_is_switched_off() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    assert_eq!(sessions_status(&account, &account.token).await, 200);

    let soon = SystemClock.now().plus(Duration::from_millis(1500));
    let short = account.key(json!({ "kind": "personal", "expires_at": soon })).await;
    assert_eq!(sessions_status(&account, &short).await, 200);
    assert!(until(PATIENCE, async || sessions_status(&account, &short).await == 401).await);
    assert!(SystemClock.now() >= soon);

    let keys = format!("/switchboard/v1/tenants/{}/keys", account.tenant);
    let revoked = account.post(&keys, ADMIN_KEY, json!({ "kind": "personal" })).await.json();
    let text = revoked["key"].as_str().unwrap();
    assert_eq!(sessions_status(&account, text).await, 200);
    let key = format!("{keys}/{}", revoked["id"]);
    assert_eq!(stage.http().json("DELETE", &key, Some(ADMIN_KEY), None).await.unwrap().status, 204);
    assert_eq!(sessions_status(&account, text).await, 401);
    assert_eq!(account.get(&key, ADMIN_KEY).await.status, 404);

    let tenant = format!("/switchboard/v1/tenants/{}", account.tenant);
    let off = json!({ "active": false });
    assert_eq!(stage.http().json("PATCH", &tenant, Some(ADMIN_KEY), Some(&off)).await.unwrap().status, 200);
    assert_eq!(sessions_status(&account, &account.token).await, 401);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_limits_what_a_key_does_and_a_bad_wish_is_refused() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let reader = account.key(json!({ "kind": "personal", "scopes": ["sessions:read", "keys:read"] })).await;
    assert_eq!(sessions_status(&account, &reader).await, 200);
    let refused = account.post("/api/v1/whatsapp-sessions", &reader, json!({ "name": "x" })).await;
    assert_eq!((refused.status, &refused.json()["code"]), (401, &json!("UNAUTHORIZED")), "{refused:?}");

    let keys = format!("/switchboard/v1/tenants/{}/keys", account.tenant);
    for (wish, field) in [
        (json!({ "kind": "session" }), "session_id"),
        (json!({ "kind": "tenant", "session_id": 5 }), "session_id"),
        (json!({ "kind": "tenant", "scopes": ["everything"] }), "scopes"),
        (json!({ "kind": "tenant", "name": "x".repeat(256) }), "name"),
    ] {
        let refused = account.post(&keys, ADMIN_KEY, wish).await;
        assert_eq!(refused.status, 422, "{refused:?}");
        assert_eq!(refused.json()["errors"][0]["pointer"], format!("#/{field}"));
    }
    assert_eq!(account.post(&keys, ADMIN_KEY, json!({ "kind": "session", "session_id": 5 })).await.status, 404);
    assert_eq!(account.post(&keys, ADMIN_KEY, json!({ "kind": "robot" })).await.status, 422);
    assert_eq!(account.post("/switchboard/v1/tenants/1/keys", ADMIN_KEY, json!({ "kind": "tenant" })).await.status, 404);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_stands_in_the_storage_file_in_plain() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let session = account.session("S").await;
    let file = stage.data_dir().join(switchboard::app::STORAGE_FILE);
    let stored = std::fs::read(file).unwrap();
    for key in [&account.token, &account.tenant_key, &session.key] {
        assert!(!stored.windows(key.len()).any(|window| window == key.as_bytes()), "{key} is stored in plain");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_unknown_paths_answer_without_a_key() {
    let stage = Stage::start().await;
    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/", 404), ("/switchboard/v1/nothing", 404)] {
        assert_eq!(stage.http().json("GET", path, None, None).await.unwrap().status, status, "{path}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_takes_as_much_for_the_simulated_network_as_the_network_itself() {
    const MIB: usize = 1024 * 1024;
    let stage = Stage::start().await;
    for number in ["491510000001", "491510000002"] {
        let body = json!({ "number": number });
        let made = stage.http().json("POST", "/switchboard/v1/sim/phones", Some(ADMIN_KEY), Some(&body)).await.unwrap();
        assert_eq!(made.status, 201, "{made:?}");
    }
    // In base64 the file is larger than anything else that the host takes as JSON.
    let path = "/switchboard/v1/sim/phones/491510000001/messages";
    let headers = [("authorization", format!("Bearer {ADMIN_KEY}")), ("content-type", "application/json".to_owned())];
    let image = json!({ "base64": "AAAA".repeat(15 * MIB / 3), "mime": "image/jpeg" });
    let body = json!({ "to": "491510000002", "image": image }).to_string().into_bytes();
    for client in [stage.http(), stage.control()] {
        let answer = client.exchange("POST", path, &headers, body.clone()).await.unwrap();
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_key_of_the_wrong_kind_is_told_which_kind_is_needed() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let session = account.session("Desk").await;
    for (path, key, why) in [
        ("/sessions", &account.token, "a key of kind tenant or session is needed; this one is of kind personal"),
        ("/plugins", &session.key, "a key of kind tenant is needed; this one is of kind session"),
        ("/usage", &account.token, "a key of kind tenant is needed; this one is of kind personal"),
        ("/tenants", &account.tenant_key, "the operator's key is needed; this one is of kind tenant"),
        ("/sim/phones", &session.key, "the operator's key is needed; this one is of kind session"),
    ] {
        let refused = account.get(&format!("/switchboard/v1{path}"), key).await;
        let body = refused.json();
        assert_eq!(
            (refused.status, &body["detail"], &body["code"]),
            (403, &json!(why), &json!("wrong_kind_of_key")),
            "{path}"
        );
    }
    let mine = account.get("/switchboard/v1/sessions", ADMIN_KEY).await;
    assert_eq!((mine.status, &mine.json()["code"]), (403, &json!("wrong_kind_of_key")));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_operator_makes_for_a_session_stands_beside_the_sessions_own() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let session = account.session("Desk").await;
    let path = format!("/api/v1/whatsapp-sessions/{}", session.id);
    let another = account.key(json!({ "kind": "session", "session_id": session.id })).await;
    let opens = async |key: &str| account.get("/api/v1/status", key).await.status == 200;
    let shown = async || account.get(&path, &account.token).await.json()["data"]["api_key"].clone();
    assert!(opens(&another).await && opens(&session.key).await);
    assert_eq!(shown().await, session.key);

    let renewed = account.post(&format!("{path}/regenerate-key"), &account.token, json!({})).await.json();
    let renewed = renewed["api_key"].as_str().unwrap().to_owned();
    assert_eq!(shown().await, renewed);
    assert!(!opens(&session.key).await, "what was shown before opens nothing");
    assert!(opens(&renewed).await && opens(&another).await, "what the operator made stays until it is revoked");
    stage.stop().await;
}
