//! What a customer sees of limits: refusals that say which, how much and until when, and figures before it comes to that.

use serde_json::{Value, json};
use switchboard::http::HttpSettings;
use switchboard_tests::account::Account;
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const SHOP: &str = "491510000001";
const ANNA: &str = "+491510000002";

async fn limit(account: &Account, change: Value) {
    let path = format!("/switchboard/v1/tenants/{}", account.tenant);
    let changed = account.http.json("PATCH", &path, Some(ADMIN_KEY), Some(&change)).await.unwrap();
    assert_eq!(changed.status, 200, "{changed:?}");
}

/// The entry of `limit` in what the host says of a tenant's usage.
async fn usage(account: &Account, limit: &str) -> Value {
    let usage = account.get("/switchboard/v1/usage", &account.tenant_key).await;
    assert_eq!(usage.status, 200, "{usage:?}");
    let usage = usage.json();
    usage["limits"].as_array().unwrap().iter().find(|entry| entry["limit"] == limit).cloned().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_day_is_refused_with_the_time_of_its_reset_and_counts_outlive_a_restart() {
    let stage = Stage::start().await;
    let mut account = stage.account("Shop").await;
    let session = account.linked(stage.control(), "Till", SHOP).await;
    limit(&account, json!({ "limits": { "messages_per_day": 2 } })).await;
    let first = account.send(&session, ANNA, "one").await;
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!((first.header("x-ratelimit-limit"), first.header("x-ratelimit-remaining")), (Some("2"), Some("1")));
    let wrong = account.send(&session, "12", "to nobody").await;
    assert_eq!(wrong.status, 422, "{wrong:?}");
    assert_eq!(account.send(&session, ANNA, "two").await.status, 200);
    let refused = account.send(&session, ANNA, "three").await;
    assert_eq!((refused.status, &refused.json()["code"]), (429, &json!("RATE_LIMITED")), "{refused:?}");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=86_400).contains(&seconds) && refused.json()["retry_after"] == seconds, "{refused:?}");
    assert_eq!((refused.header("x-ratelimit-limit"), refused.header("x-ratelimit-remaining")), (Some("2"), Some("0")));
    let resets_at: u64 = refused.header("x-ratelimit-reset").unwrap().parse().unwrap();
    assert_eq!(resets_at % 86_400, 0, "midnight, UTC");
    let day = usage(&account, "messages_per_day").await;
    assert_eq!((&day["used"], &day["remaining"], &day["resets_at"]), (&json!(2), &json!(0), &json!(resets_at * 1000)));

    let stage = stage.restart().await;
    account.http = stage.http();
    account.wait_for(&session, "connected").await;
    assert_eq!(account.send(&session, ANNA, "four").await.status, 429);
    limit(&account, json!({ "limits": { "messages_per_day": 3 } })).await;
    assert_eq!(account.send(&session, ANNA, "five").await.status, 200);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_sends_ten_messages_a_minute_through_the_dialect_and_every_answer_says_how_many_are_left() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let session = account.linked(stage.control(), "Till", SHOP).await;
    let path = "/switchboard/v1/plugins/wasender/config";
    let set = stage.http().json("PUT", path, Some(ADMIN_KEY), Some(&json!({}))).await.unwrap();
    assert_eq!(set.status, 200, "{set:?}");
    let mut accepted = 0;
    // The minute may end meanwhile, and then it begins anew; not twice.
    let refused = loop {
        let wrong = account.send(&session, "12", "to nobody").await;
        assert_eq!((wrong.status, wrong.header("x-ratelimit-limit")), (422, Some("10")), "{wrong:?}");
        let answer = account.send(&session, ANNA, &format!("number {accepted}")).await;
        assert_eq!(answer.header("x-ratelimit-limit"), Some("10"), "{answer:?}");
        if answer.status != 200 {
            break answer;
        }
        accepted += 1;
    };
    assert!((10..=20).contains(&accepted), "{accepted}");
    assert_eq!((refused.status, &refused.json()["code"]), (429, &json!("RATE_LIMITED")), "{refused:?}");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds) && refused.header("x-ratelimit-remaining") == Some("0"), "{refused:?}");
    let native = json!({ "session_id": session.id, "to": ANNA, "content": { "type": "text", "value": "another way" } });
    let other = account.post("/switchboard/v1/messages", &account.tenant_key, native).await;
    assert_eq!(other.status, 202, "what comes through another API is not counted: {other:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_bounds_the_number_of_sessions_and_a_deletion_makes_room() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    limit(&account, json!({ "plan": "free", "limits": { "sessions": 2 } })).await;
    let first = account.session("One").await;
    account.session("Two").await;
    let refused = account.post("/api/v1/whatsapp-sessions", &account.token, json!({ "name": "Three" })).await;
    assert_eq!((refused.status, &refused.json()["code"]), (403, &json!("SESSION_LIMIT_REACHED")), "{refused:?}");
    let sessions = usage(&account, "sessions").await;
    assert_eq!(sessions, json!({ "limit": "sessions", "max": 2, "used": 2, "remaining": 0, "resets_at": null }));
    let path = format!("/api/v1/whatsapp-sessions/{}", first.id);
    assert_eq!(account.http.json("DELETE", &path, Some(&account.token), None).await.unwrap().status, 200);
    account.session("Three").await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_for_the_tenant_itself_and_for_the_operator() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let other = stage.account("Other").await;
    limit(&account, json!({ "plan": "starter" })).await;
    account.session("One").await;
    let own = account.get("/switchboard/v1/usage", &account.tenant_key).await;
    let path = format!("/switchboard/v1/tenants/{}/usage", account.tenant);
    let operators = account.get(&path, ADMIN_KEY).await;
    assert_eq!((own.status, operators.status), (200, 200));
    assert_eq!(own.json(), operators.json());
    assert_eq!((&own.json()["plan"], &own.json()["tenant_id"]), (&json!("starter"), &json!(account.tenant)));
    assert_eq!(usage(&account, "messages_per_minute").await["max"], 10);
    assert_eq!(usage(&account, "messages_per_month").await["max"], Value::Null);
    assert_eq!(usage(&other, "sessions").await["used"], 0);
    assert_eq!(account.get(&path, &account.tenant_key).await.status, 403, "only the operator asks for others");
    assert_eq!(account.get("/switchboard/v1/usage", ADMIN_KEY).await.status, 403);
    assert_eq!(account.get("/switchboard/v1/tenants/1/usage", ADMIN_KEY).await.status, 404);
    assert_eq!(account.post("/switchboard/v1/usage", &account.tenant_key, json!({})).await.status, 405);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_tells_how_much_media_is_kept_of_how_much() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let of = |max: u64, used: u64| json!({ "limit": "media_bytes", "max": max, "used": used, "remaining": max - used, "resets_at": null });
    assert_eq!(usage(&account, "media_bytes").await, of(10 * 1024 * 1024 * 1024, 0));
    limit(&account, json!({ "limits": { "media_bytes": 1000, "media_days": 7 } })).await;
    let text = "bm90aGluZyBtdWNo";
    let kept = account.post("/switchboard/v1/media", &account.tenant_key, json!({ "base64": text })).await;
    assert_eq!((kept.status, &kept.json()["size"]), (201, &json!(12)), "{kept:?}");
    assert_eq!(usage(&account, "media_bytes").await, of(1000, 12));
    assert_eq!(account.get("/switchboard/v1/usage", &account.tenant_key).await.json()["media_days"], 7);
    let path = format!("/switchboard/v1/media/{}", kept.json()["id"].as_str().unwrap());
    assert_eq!(account.http.json("DELETE", &path, Some(&account.tenant_key), None).await.unwrap().status, 204);
    assert_eq!(usage(&account, "media_bytes").await["used"], 0);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_over_a_plans_minute_are_refused_in_the_words_of_each_api() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let other = stage.account("Other").await;
    // A minute of the calendar may end while this runs: of 6 requests in two minutes, at least 2 are refused.
    limit(&account, json!({ "limits": { "api_requests_per_minute": 2 } })).await;
    let mut refused = 0;
    for _ in 0..6 {
        let answer = account.get("/api/v1/whatsapp-sessions", &account.token).await;
        assert_eq!(answer.header("x-ratelimit-limit"), Some("2"), "{answer:?}");
        if answer.status == 429 {
            assert_eq!(answer.json()["code"], "RATE_LIMITED");
            assert!(answer.header("retry-after").is_some());
            refused += 1;
        }
    }
    assert!(refused >= 2, "{refused}");
    limit(&account, json!({ "limits": { "api_requests_per_minute": 0 } })).await;
    let native = account.get("/switchboard/v1/usage", &account.tenant_key).await;
    assert_eq!((native.status, native.header("content-type")), (429, Some("application/problem+json")), "{native:?}");
    assert_eq!(native.header("retry-after").map(ToOwned::to_owned), Some(native.json()["retry_after"].to_string()));
    let others = other.get("/api/v1/whatsapp-sessions", &other.token).await;
    assert_eq!((others.status, others.header("x-ratelimit-limit")), (200, None), "nobody else is held to it");
    stage.stop().await;
}

async fn tries(account: &Account, path: &str, from: &str) -> Vec<u16> {
    let mut statuses = Vec::new();
    for n in 0..4 {
        let headers = [("authorization", format!("Bearer ses_live_guess-{n}")), ("x-forwarded-for", from.to_owned())];
        statuses.push(account.http.exchange("GET", path, &headers, Vec::new()).await.unwrap().status);
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_keys_is_stopped_and_neither_a_right_key_nor_a_neighbour_behind_the_proxy_is() {
    let settings = HttpSettings {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        failed_credentials_per_minute: 1,
        ..HttpSettings::default()
    };
    let stage = Stage::start_behind(settings).await;
    let account = stage.account("Shop").await;
    // Whenever a minute of the calendar ends, one more guess is answered with 401.
    for path in ["/api/v1/whatsapp-sessions", "/switchboard/v1/usage"] {
        let guesses = tries(&account, path, "203.0.113.7").await;
        assert_eq!(guesses[0], 401, "{path} {guesses:?}");
        assert!(guesses.iter().filter(|status| **status == 429).count() >= 2, "{path} {guesses:?}");
        assert!(guesses.iter().all(|status| matches!(status, 401 | 429)), "{path} {guesses:?}");
        assert_eq!(tries(&account, path, "198.51.100.1, 203.0.113.8").await[0], 401, "{path}: a neighbour is not stopped");
    }
    let missing = account.http.json("GET", "/api/v1/whatsapp-sessions", None, None).await.unwrap();
    assert_eq!(missing.status, 401, "no credential is no guess");
    let headers = [("x-api-token", account.token.clone()), ("x-forwarded-for", "203.0.113.7".to_owned())];
    let right = account.http.exchange("GET", "/api/v1/whatsapp-sessions", &headers, Vec::new()).await.unwrap();
    assert_eq!(right.status, 200, "{right:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_trusted_proxy_gains_nothing_by_saying_whom_it_speaks_for() {
    let settings = HttpSettings {
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        failed_credentials_per_minute: 1,
        ..HttpSettings::default()
    };
    let stage = Stage::start_behind(settings).await;
    let account = stage.account("Shop").await;
    for path in ["/api/v1/whatsapp-sessions", "/switchboard/v1/usage"] {
        let mut guesses = Vec::new();
        for from in ["203.0.113.7", "198.51.100.1", "10.0.0.1", "192.0.2.3, 10.0.0.1"] {
            guesses.extend(tries(&account, path, from).await);
        }
        // Whenever a minute of the calendar ends, one more guess is answered with 401.
        let stopped = guesses.iter().filter(|status| **status == 429).count();
        assert!(guesses[0] == 401 && stopped >= guesses.len() - 2, "{path}: one address, whatever it says: {guesses:?}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_cannot_be_told_to_keep_media_for_no_day_at_all() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let path = format!("/switchboard/v1/tenants/{}", account.tenant);
    let set = async |days: u64| {
        let limits = json!({ "limits": { "media_days": days } });
        account.http.json("PATCH", &path, Some(ADMIN_KEY), Some(&limits)).await.unwrap()
    };
    let refused = set(0).await;
    assert_eq!(
        (refused.status, &refused.json()["errors"][0]["pointer"]),
        (422, &json!("#/limits/media_days")),
        "{refused:?}"
    );
    assert_eq!(refused.json()["detail"], "limits.media_days: media_days is 0; at least 1 is needed");
    assert_eq!(set(1).await.json()["limits"], json!({ "media_days": 1 }));
    stage.stop().await;
}
