//! What is remembered of plugins' calls: listed, filtered, followed live, kept over a restart, and nobody else's to see.

use std::process::Stdio;

use base64::Engine;
use serde_json::{Value, json};
use switchboard_tests::account::{Account, phone, write};
use switchboard_tests::event_stream::EventStream;
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::{ADMIN_KEY, Stage};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";
const OTHER: &str = "491520000002";
const PLUGINS: &str = "/switchboard/v1/plugins";

async fn start() -> (Stage, Account) {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    account.linked(stage.control(), "Shop", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    (stage, account)
}

async fn calls(account: &Account, query: &str) -> Vec<Value> {
    let listed = account.get(&format!("{PLUGINS}/auto-reply/logs{query}"), &account.tenant_key).await;
    assert_eq!(listed.status, 200, "{listed:?}");
    listed.json()["calls"].as_array().unwrap().clone()
}

/// The calls that `query` finds, once there are `count`.
async fn remembered(account: &Account, query: &str, count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    let there = async || {
        found = calls(account, query).await;
        found.len() >= count
    };
    assert!(until(PATIENCE, there).await, "{found:?}");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_run_of_a_responder_is_told_with_what_it_used() {
    let (stage, account) = start().await;
    account.auto_reply(json!({ "replies": [{ "keyword": "hours", "reply": "9 to 17" }] })).await;
    let address = stage.host.address();
    let path = format!("{PLUGINS}/auto-reply/logs/stream?interface=responder");
    let mut live = EventStream::open(address, &path, &account.tenant_key, None).await;
    assert_eq!(live.status, 200);
    for text in ["hours", "and now"] {
        write(stage.control(), ADMIN_KEY, CUSTOMER, SHOP, text).await;
    }
    let (first, second) = (live.next().await.unwrap(), live.next().await.unwrap());
    assert_eq!((first.id, second.id, first.name.as_str()), (1, 2, "call"));
    let told = &first.data;
    assert_eq!((&told["end"], &told["version"], &told["attempt"]), (&json!("reply"), &json!(1), &json!(1)), "{told}");
    assert!(told["took_us"].as_u64().unwrap() > 0 && told["memory_bytes"].as_u64().unwrap() > 0, "{told}");
    assert!(told["call"].as_str().unwrap().starts_with("run_") && told["event_type"] == "message.received", "{told}");
    assert!(told["input"].is_null(), "what ended well keeps no input: {told}");

    let listed = remembered(&account, "", 2).await;
    assert_eq!((&listed[1], &listed[0]), (&first.data, &second.data), "the newest first");
    let event = first.data["event"].as_u64().unwrap();
    assert_eq!(calls(&account, &format!("?event={event}")).await, std::slice::from_ref(&first.data));
    assert_eq!(calls(&account, "?limit=1&after=1").await, std::slice::from_ref(&second.data));
    assert!(calls(&account, "?failed=true").await.is_empty());
    let one = account.get(&format!("{PLUGINS}/auto-reply/logs/1"), &account.tenant_key).await;
    assert_eq!((one.status, one.json()), (200, first.data));

    let stage = stage.restart().await;
    assert_eq!(remembered(&account_of(&stage, account), "", 2).await.len(), 2);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_tells_what_was_and_goes_on_with_what_comes_until_the_host_stops() {
    let (stage, account) = start().await;
    account.auto_reply(json!({ "replies": [{ "keyword": "hours", "reply": "9 to 17" }] })).await;
    write(stage.control(), ADMIN_KEY, CUSTOMER, SHOP, "hours").await;
    let before = remembered(&account, "", 1).await.remove(0);
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-under-test"));
    command.args(["plugin", "logs", "auto-reply", "--follow", "--json"]).stdin(Stdio::null()).stdout(Stdio::piped());
    command.env("SWITCHBOARD_URL", format!("http://{}", stage.host.address())).env("SWITCHBOARD_KEY", &account.tenant_key);
    let mut following = command.stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("it says nothing").unwrap();
        line.map(|line| serde_json::from_str::<Value>(&line).unwrap())
    };
    assert_eq!(next().await, Some(before));
    write(stage.control(), ADMIN_KEY, CUSTOMER, SHOP, "and now").await;
    let told = next().await.unwrap();
    assert_eq!((&told["n"], &told["event_type"], &told["end"]), (&json!(2), &json!("message.received"), &json!("reply")));
    stage.stop().await;
    assert_eq!(next().await.unwrap()["error"]["code"], "unreachable");
    assert_eq!(following.wait().await.unwrap().code(), Some(3));
}

/// The same account of a host that was started again.
fn account_of(stage: &Stage, account: Account) -> Account {
    Account { http: stage.http(), ..account }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_failed_keeps_as_much_of_its_input_as_the_plugin_saw() {
    let (stage, account) = start().await;
    let component = base64::engine::general_purpose::STANDARD.encode(std::fs::read(env!("GUEST_HOSTILE")).unwrap());
    let wish = json!({
        "name": "hostile", "component_base64": component, "mounts": [{ "prefix": "/hostile" }],
        "grants": { "sessions": "all", "fields": ["text"] },
    });
    let made = account.post(PLUGINS, ADMIN_KEY, wish).await;
    assert_eq!(made.status, 201, "{made:?}");
    let path = format!("{PLUGINS}/hostile/logs/stream?failed=true");
    let mut live = EventStream::open(stage.host.address(), &path, ADMIN_KEY, None).await;
    for (customer, text, end, why) in
        [(CUSTOMER, "error", "plugin_error", "the plugin said no"), (OTHER, "recurse", "limit_exceeded", "stack")]
    {
        phone(stage.control(), ADMIN_KEY, customer).await;
        write(stage.control(), ADMIN_KEY, customer, SHOP, text).await;
        let mut told = live.next().await.unwrap().data;
        // The other chat's run may be tried again meanwhile.
        while told["input"]["data"]["content"]["value"] != text {
            told = live.next().await.unwrap().data;
        }
        assert_eq!((&told["end"], &told["tenant"]), (&json!(end), &json!(account.tenant)), "{told}");
        assert!(told["why"].as_str().unwrap().contains(why), "{told}");
        assert!(!told.to_string().contains(customer), "numbers are not granted: {told}");
    }
    let headers = [("x-shop", "mine".to_owned()), ("authorization", "Bearer sk_live_of-nobody".to_owned())];
    let failed = account.http.exchange("POST", "/hostile/echo-not?order=5", &headers, b"{}".to_vec()).await.unwrap();
    assert_eq!(failed.status, 404, "{failed:?}");
    let failed = account.http.exchange("GET", "/hostile/trap?order=5", &headers, Vec::new()).await.unwrap();
    assert_eq!(failed.status, 500, "{failed:?}");
    let path = format!("{PLUGINS}/hostile/logs?failed=true&interface=router");
    let told = account.get(&path, ADMIN_KEY).await.json();
    let input = &told["calls"][0]["input"];
    assert_eq!((&input["path"], &input["query"]), (&json!("/hostile/trap"), &json!([["order", "5"]])), "{told}");
    assert!(input["headers"].as_array().unwrap().contains(&json!(["x-shop", "mine"])), "{told}");
    let others = account.get(&format!("{PLUGINS}/hostile/logs"), &account.tenant_key).await;
    assert_eq!(others.status, 404, "it is the operator's");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_their_owners_and_wrong_questions_are_told() {
    let (stage, account) = start().await;
    account.auto_reply(json!({ "replies": [] })).await;
    let other = stage.account("Other").await;
    for path in ["logs", "logs/1", "logs/stream"] {
        let theirs = account.get(&format!("{PLUGINS}/auto-reply/{path}"), &other.tenant_key).await;
        assert_eq!(theirs.status, 404, "{path}: {theirs:?}");
    }
    for (query, parameter) in [
        ("failed=maybe", "failed"),
        ("end=well", "end"),
        ("interface=respond", "router, streamer, responder"),
        ("limit=101", "limit"),
        ("event=x", "event"),
    ] {
        let wrong = account.get(&format!("{PLUGINS}/auto-reply/logs?{query}"), &account.tenant_key).await;
        assert_eq!(wrong.status, 422, "{wrong:?}");
        assert!(wrong.json()["detail"].as_str().unwrap().contains(parameter), "{wrong:?}");
    }
    let missing = account.get(&format!("{PLUGINS}/auto-reply/logs/7"), &account.tenant_key).await;
    assert_eq!(missing.status, 404);
    stage.stop().await;
}
