//! The front door's table: APIs bound to host names, switched off by tenants, and asked as often as they promise.

use serde_json::{Value, json};
use switchboard::http::{HttpSettings, LocalAnswer};
use switchboard_tests::account::Account;
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const PLUGINS: &str = "/switchboard/v1/plugins";
const APIS: &str = "/switchboard/v1/apis";

/// Asks the operator's way.
async fn operator(stage: &Stage, method: &str, path: &str, body: Value) -> LocalAnswer {
    stage.http().json(method, path, Some(ADMIN_KEY), Some(&body)).await.unwrap()
}

/// Asks for `path` of `host` with a tenant's key.
async fn at(account: &Account, host: &str, path: &str) -> LocalAnswer {
    let headers = [("authorization", format!("Bearer {}", account.tenant_key)), ("host", host.to_owned())];
    account.http.exchange("GET", path, &headers, Vec::new()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_is_bound_to_a_host_name_and_what_conflicts_there_is_named() {
    let stage = Stage::start().await;
    let mut account = stage.account("Shop").await;
    let bound = |name: &str, builtin: &str, mount: Value| json!({ "name": name, "builtin": builtin, "mounts": [mount] });
    let mount = json!({ "prefix": "/wa", "owner": true, "host": "WA.Example.com." });
    let made = operator(&stage, "POST", PLUGINS, bound("second", "wamux", mount)).await;
    assert_eq!((made.status, &made.json()["mounts"][0]["host"]), (201, &json!("wa.example.com")), "{made:?}");
    // The same paths under another name, and the common table below both.
    let other = json!({ "prefix": "/wa", "host": "other.example.com" });
    assert_eq!(operator(&stage, "POST", PLUGINS, bound("third", "wamux", other)).await.status, 201);

    for stopped in [false, true] {
        for (host, path, status) in [
            ("wa.example.com", "/wa/sessions", 200),
            ("WA.EXAMPLE.COM:8080", "/wa/sessions", 200),
            ("other.example.com", "/wa/sessions", 200),
            ("elsewhere.example.com", "/wa/sessions", 404),
            ("wa.example.com", "/api/v1/sessions", 200),
            ("wa.example.com", "/api/v1/whatsapp-sessions", 200),
        ] {
            assert_eq!(at(&account, host, path).await.status, status, "{host}{path} (stopped in between: {stopped})");
        }
        let unknown = at(&account, "wa.example.com", "/wa/nothing").await;
        assert_eq!((unknown.status, unknown.json()), (404, json!({ "detail": "Not found" })), "its owner says so");
        let session = account.post("/wa/sessions", &account.tenant_key, json!({ "session_key": "x" })).await;
        assert_eq!(session.status, 404, "{session:?}");
        if !stopped {
            continue;
        }
        let mount = json!({ "prefix": "/wa", "host": "wa.example.com" });
        let taken = operator(&stage, "POST", PLUGINS, bound("fourth", "wamux", mount)).await;
        let detail = taken.json()["detail"].as_str().unwrap().to_owned();
        assert_eq!((taken.status, &taken.json()["code"]), (409, &json!("routes")), "{taken:?}");
        assert!(
            detail.ends_with("is served by operator/second already") && detail.contains(" wa.example.com/wa/"),
            "{detail}"
        );
        let mount = json!({ "prefix": "/wa", "owner": true, "host": "wa.example.com" });
        let owned = operator(&stage, "POST", PLUGINS, bound("fourth", "prosendi", mount)).await;
        let words = "what nobody serves below wa.example.com/wa is answered by operator/second already";
        assert_eq!((owned.status, &owned.json()["detail"]), (409, &json!(words)));
        for host in ["wa.example.com:80", "", "https://wa.example.com", "*.example.com"] {
            let refused =
                operator(&stage, "POST", PLUGINS, bound("fourth", "wamux", json!({ "prefix": "/wa", "host": host }))).await;
            assert_eq!((refused.status, &refused.json()["errors"][0]["pointer"]), (422, &json!("#/mounts")), "{host}");
        }
    }
    let stage = stage.restart().await;
    account.http = stage.http();
    assert_eq!(at(&account, "wa.example.com", "/wa/sessions").await.status, 200, "it stays over a restart");
    assert_eq!(at(&account, "elsewhere.example.com", "/wa/sessions").await.status, 404);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_switches_an_api_off_for_its_own_keys_alone() {
    let stage = Stage::start().await;
    let (mut account, other) = (stage.account("Shop").await, stage.account("Other").await);
    let session = account.session("Till").await;
    let sessions = "/api/v1/sessions";
    let listed = account.get(APIS, &account.tenant_key).await.json();
    let names: Vec<&str> = listed["apis"].as_array().unwrap().iter().map(|api| api["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["prosendi", "sendapi", "wafastapi", "wamux", "wasender"]);
    assert!(listed["apis"].as_array().unwrap().iter().all(|api| api["enabled"] == true), "{listed}");
    let switch = async |account: &Account, name: &str, key: &str, body: Value| {
        account.http.json("PUT", &format!("{APIS}/{name}"), Some(key), Some(&body)).await.unwrap()
    };
    let off = json!({ "enabled": false });
    let reader = account.key(json!({ "kind": "tenant", "scopes": ["plugins:read"] })).await;
    assert_eq!(account.get(APIS, &reader).await.status, 200);
    for (name, key, body, status) in [
        ("wamux", reader.as_str(), &off, 403),
        ("wamux", &session.key, &off, 403),
        ("wamux", ADMIN_KEY, &off, 403),
        ("wamux", "wrong", &off, 401),
        ("teleport", &account.tenant_key, &off, 404),
        ("wamux", &account.tenant_key, &json!({ "enabled": "no" }), 422),
        ("wamux", &account.tenant_key, &json!({}), 422),
    ] {
        let refused = switch(&account, name, key, body.clone()).await;
        assert_eq!(refused.status, status, "{name} {body}: {refused:?}");
    }
    assert_eq!(account.get(sessions, &account.tenant_key).await.status, 200, "nothing is switched off yet");
    let made = switch(&account, "wamux", &account.tenant_key, off).await;
    assert_eq!((made.status, &made.json()["enabled"]), (200, &json!(false)), "{made:?}");

    let stage = stage.restart().await;
    account.http = stage.http();
    let other = Account { http: stage.http(), ..other };
    let gone = account.get(sessions, &account.tenant_key).await;
    let unknown = account.get("/api/v1/nothing", &account.tenant_key).await;
    assert_eq!((gone.status, gone.json()), (404, unknown.json()), "as what nobody serves");
    assert_eq!(account.get("/api/v1/whatsapp-sessions", &account.token).await.status, 200, "its neighbour is there");
    assert_eq!(other.get(sessions, &other.tenant_key).await.status, 200, "for others it is there");
    assert_eq!(account.get(sessions, "sk_live_nobody-has-this-key").await.status, 401, "a wrong key learns nothing");
    let on = switch(&account, "wamux", &account.tenant_key, json!({ "enabled": true })).await;
    assert_eq!((on.status, &on.json()["enabled"]), (200, &json!(true)), "{on:?}");
    assert_eq!(account.get(sessions, &account.tenant_key).await.status, 200);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_is_asked_as_often_as_it_promises_by_each_account_and_the_operator_sets_another_figure() {
    let stage = Stage::start_behind(HttpSettings { route_rates: true, ..HttpSettings::default() }).await;
    let (account, other) = (stage.account("Shop").await, stage.account("Other").await);
    let path = "/api/v1/whatsapp-sessions";
    let session = account.session("Till").await;
    // A minute of the calendar may end while this runs: of 220 requests in two minutes, at least 20 are refused.
    let mut refused = 0;
    for n in 0..220 {
        // All keys of an account count together.
        let answer = if n % 2 == 0 {
            account.get(path, &account.token).await
        } else {
            account.get("/api/status", &session.key).await
        };
        assert_eq!(answer.header("x-ratelimit-limit"), Some("100"), "{answer:?}");
        assert!(answer.header("x-ratelimit-remaining").is_some() && answer.header("x-ratelimit-reset").is_some());
        if answer.status == 429 {
            assert_eq!((&answer.json()["success"], &answer.json()["code"]), (&json!(false), &json!("RATE_LIMITED")));
            assert_eq!(answer.header("retry-after").unwrap(), answer.json()["retry_after"].to_string());
            refused += 1;
        }
    }
    assert!(refused >= 20, "{refused}");
    assert_eq!(other.get(path, &other.token).await.status, 200, "each account has its own share");
    let wamux = account.get("/api/v1/sessions", &account.tenant_key).await;
    assert_eq!((wamux.status, wamux.header("x-ratelimit-limit")), (200, None), "another API has promised nothing");
    assert_eq!(account.get(path, "wrong").await.header("x-ratelimit-limit"), None, "without a good key nothing counts");
    let config = format!("{PLUGINS}/wasender/config");
    for (figure, shown) in [(json!(7), Some("7")), (Value::Null, None)] {
        let set = operator(&stage, "PUT", &config, json!({ "requests_per_minute": figure })).await;
        assert_eq!(set.status, 200, "{set:?}");
        assert_eq!(other.get(path, &other.token).await.header("x-ratelimit-limit"), shown);
    }
    stage.stop().await;
}
