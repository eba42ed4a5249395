//! What a plan lets a tenant's plugins use: told by the API, held to at once, and counted.

use serde_json::{Value, json};
use switchboard_tests::account::{Account, phone, write};
use switchboard_tests::components::stamped;
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";
const PLUGINS: &str = "/switchboard/v1/plugins";
const AUTO_REPLY: &str = env!("PLUGIN_AUTO_REPLY");

async fn limit(account: &Account, limits: Value) {
    let path = format!("/switchboard/v1/tenants/{}", account.tenant);
    let changed = account.http.json("PATCH", &path, Some(ADMIN_KEY), Some(&json!({ "limits": limits }))).await.unwrap();
    assert_eq!(changed.status, 200, "{changed:?}");
}

/// What the metrics say about limits that plugins came to.
async fn limits_reached(account: &Account) -> String {
    let metrics = account.get("/metrics", ADMIN_KEY).await;
    let text = String::from_utf8(metrics.body).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("switchboard_plugin_limits_reached_total"));
    lines.collect::<Vec<_>>().join("\n")
}

async fn upload(account: &Account, n: u16) -> (u16, Value) {
    let headers =
        [("authorization", format!("Bearer {}", account.tenant_key)), ("content-type", "application/wasm".to_owned())];
    let path = format!("{PLUGINS}?name=reply&grants=asked");
    let made = account.http.exchange("POST", &path, &headers, stamped(AUTO_REPLY, n)).await.unwrap();
    (made.status, made.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_told_with_the_usage_and_those_of_free_are_narrower() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let told = async || account.get("/switchboard/v1/usage", &account.tenant_key).await.json()["plugins"].clone();
    let whole = told().await;
    assert_eq!((&whole["small"]["cpu_ms"], &whole["large"]["cpu_ms"]), (&json!(500), &json!(2000)), "{whole}");
    assert_eq!((&whole["versions"], &whole["http_per_minute"]), (&json!(100), &json!(600)), "{whole}");
    let path = format!("/switchboard/v1/tenants/{}", account.tenant);
    let free = json!({ "plan": "free", "limits": { "plugin_host_calls": 7, "plugin_versions": 5000 } });
    let changed = account.http.json("PATCH", &path, Some(ADMIN_KEY), Some(&free)).await.unwrap();
    assert_eq!(changed.status, 200, "{changed:?}");
    let narrow = told().await;
    assert_eq!((&narrow["small"]["cpu_ms"], &narrow["small"]["host_calls"]), (&json!(250), &json!(7)), "{narrow}");
    assert_eq!(narrow["versions"], 100, "a plan cannot widen what the host has: {narrow}");
    let one = json!({ "limits": { "plugin_versions": 1 } });
    let refused = account.http.json("PATCH", &path, Some(ADMIN_KEY), Some(&one)).await.unwrap();
    assert!(refused.status == 422 && refused.json().to_string().contains("at least 2 is needed"), "{refused:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn components_and_versions_beyond_the_plan_are_not_kept() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let bytes = stamped(AUTO_REPLY, 1).len();
    limit(&account, json!({ "plugin_component_bytes": bytes - 1 })).await;
    let (status, refused) = upload(&account, 1).await;
    assert_eq!(
        (status, &refused["code"], &refused["limit"]),
        (403, &json!("limit_reached"), &json!("plugin_component_bytes"))
    );
    assert_eq!((&refused["max"], &refused["used"]), (&json!(bytes - 1), &json!(bytes)), "{refused}");
    assert!(limits_reached(&account).await.contains("{limit=\"component bytes\"} 1"));
    limit(&account, json!({ "plugin_versions": 2 })).await;
    for n in 1..=4 {
        let (status, made) = upload(&account, n).await;
        assert_eq!(status, 201, "{made}");
    }
    let kept = account.get(&format!("{PLUGINS}/reply/versions"), &account.tenant_key).await.json();
    let numbers: Vec<_> = kept["versions"].as_array().unwrap().iter().map(|version| version["n"].clone()).collect();
    assert_eq!(numbers, [json!(4), json!(3)], "the active one and the one to go back to");
    let back = account.post(&format!("{PLUGINS}/reply/rollback"), &account.tenant_key, json!({})).await;
    assert_eq!((back.status, &back.json()["version"]), (200, &json!(3)), "{back:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_held_to_the_plan_as_it_is_now_and_says_the_limit() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    account.linked(stage.control(), "Shop", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    account.auto_reply(json!({ "replies": [{ "keyword": "hours", "reply": "9 to 17" }] })).await;
    limit(&account, json!({ "plugin_host_calls": 0 })).await;
    write(stage.control(), ADMIN_KEY, CUSTOMER, SHOP, "hours").await;
    let mut failed = Vec::new();
    let over = async || {
        let listed = account.get(&format!("{PLUGINS}/auto-reply/logs?failed=true"), &account.tenant_key).await;
        failed = listed.json()["calls"].as_array().unwrap().clone();
        !failed.is_empty()
    };
    assert!(until(PATIENCE, over).await);
    let why = failed[0]["why"].as_str().unwrap();
    assert!(why.contains("more than 0 host calls"), "{why}");
    assert!(limits_reached(&account).await.contains("{limit=\"host calls\"}"));
    // With the limit gone the run is made after all.
    limit(&account, json!({})).await;
    switchboard_tests::account::shows(stage.control(), ADMIN_KEY, CUSTOMER, "9 to 17").await;
    stage.stop().await;
}
