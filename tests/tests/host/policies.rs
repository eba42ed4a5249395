//! Policies: asked before anything is accepted, the operator's first; what fails lets nothing through.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use switchboard::http::LocalAnswer;
use switchboard_core::clock::{Clock, SystemClock};
use switchboard_core::records::id::TenantId;
use switchboard_core::rules::zones::minutes_east;
use switchboard_core::storage::{NewVersion, Storage};
use switchboard_tests::account::{Account, TestSession, phone, write};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";
const NEIGHBOUR: &str = "491520000002";
const MESSAGES: &str = "/switchboard/v1/messages";

async fn start() -> (Stage, Account, TestSession) {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let session = account.linked(stage.control(), "S", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    (stage, account, session)
}

/// Installs the policy for whoever has `key`.
async fn policy(account: &Account, key: &str, name: &str, config: Value) {
    let headers = [("authorization", format!("Bearer {key}")), ("content-type", "application/wasm".to_owned())];
    let path = format!("/switchboard/v1/plugins?name={name}");
    let component = std::fs::read(env!("GUEST_POLICY")).unwrap();
    let made = account.http.exchange("POST", &path, &headers, component).await.unwrap();
    assert!(matches!(made.status, 200 | 201), "{made:?}");
    let path = format!("/switchboard/v1/plugins/{name}/config");
    let set = account.http.json("PUT", &path, Some(key), Some(&config)).await.unwrap();
    assert_eq!(set.status, 200, "{set:?}");
}

async fn send(account: &Account, session: &TestSession, text: &str) -> LocalAnswer {
    let wish = json!({ "session_id": session.id, "to": CUSTOMER, "text": text });
    account.post(MESSAGES, &account.tenant_key, wish).await
}

fn denied(answer: &LocalAnswer, reason: &str) {
    let body = answer.json();
    let told = (answer.status, &body["code"], &body["detail"]);
    assert_eq!(told, (403, &json!("refused_by_policy"), &json!(reason)), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_the_tenant_denies_with_its_reason_in_every_api() {
    let (stage, account, session) = start().await;
    let config = json!({ "deny": "casino", "reason": "{who} may not: {zone}" });
    policy(&account, &account.tenant_key, "words", config).await;
    assert_eq!(send(&account, &session, "hello").await.status, 202);
    let zone = minutes_east(&format!("{CUSTOMER}@s.whatsapp.net"), SystemClock.now()).unwrap();
    denied(&send(&account, &session, "my casino").await, &format!("a key may not: {zone}"));
    let ask = async |path: &str, key: &str, body: Value| account.post(path, key, body).await;
    let sendapi = ask("/v1/whatsapp/send", &account.tenant_key, json!({ "to": CUSTOMER, "message": "casino" })).await;
    assert_eq!((sendapi.status, &sendapi.json()["error"]["type"]), (403, &json!("forbidden")), "{sendapi:?}");
    let wasender = account.send(&session, CUSTOMER, "casino").await;
    assert_eq!(wasender.status, 403, "{wasender:?}");
    let other = stage.account("B").await;
    let theirs = other.linked(stage.control(), "T", "491510000002").await;
    assert_eq!(send(&other, &theirs, "my casino").await.status, 202, "it is not their policy");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_policies_come_first_then_the_tenants_by_order_and_name() {
    let (stage, account, session) = start().await;
    let says = |order: i64, reason: &str| json!({ "deny": "no", "reason": reason, "order": order });
    policy(&account, &account.tenant_key, "b", says(5, "tenant b")).await;
    denied(&send(&account, &session, "no").await, "tenant b");
    policy(&account, &account.tenant_key, "c", says(-1, "tenant c")).await;
    denied(&send(&account, &session, "no").await, "tenant c");
    policy(&account, &account.tenant_key, "a", says(-1, "tenant a")).await;
    denied(&send(&account, &session, "no").await, "tenant a");
    policy(&account, ADMIN_KEY, "z", says(9, "operator z")).await;
    denied(&send(&account, &session, "no").await, "operator z");
    for order in [json!("first"), json!(0.5)] {
        let path = "/switchboard/v1/plugins/a/config";
        let wish = json!({ "deny": "no", "reason": "x", "order": order });
        let refused = account.http.json("PUT", path, Some(&account.tenant_key), Some(&wish)).await.unwrap();
        assert_eq!((refused.status, &refused.json()["errors"][0]["pointer"]), (422, &json!("#/order")), "{refused:?}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_traps_lets_nothing_through_and_is_counted() {
    let (stage, account, session) = start().await;
    policy(&account, &account.tenant_key, "words", json!({})).await;
    let trapped = send(&account, &session, "trap").await;
    assert_eq!(trapped.status, 503, "{trapped:?}");
    assert!(!trapped.json().to_string().contains("wasm"), "whose and how is for the log: {trapped:?}");
    assert_eq!(send(&account, &session, "hello").await.status, 202, "and the next call is well");
    let page = metrics(&stage).await;
    assert!(page.contains(r#"interface="auth-policy",outcome="trap"} 1"#), "{page}");
    stage.stop().await;
}

/// Makes what is no component the active version of a plugin.
pub(crate) async fn damage(storage: &Storage, tenant: TenantId, name: &str) {
    let bytes = b"\0asm\x0d\0\x01\0damaged";
    let mut version = storage.plugin_versions(tenant, name).await.unwrap().remove(0);
    version.sha256 = hex::encode(Sha256::digest(bytes));
    version.bytes = bytes.len() as u64;
    storage.put_artifact(tenant, &version.sha256, bytes, version.uploaded_at).await.unwrap();
    let new = NewVersion::without_plan(tenant, name, &version);
    let now = SystemClock.now();
    storage.keep_version(&new, |plugin, version| plugin.activate(version, now)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_cannot_be_activated_lets_nothing_through_until_it_is_deleted() {
    let (stage, account, session) = start().await;
    policy(&account, &account.tenant_key, "words", json!({})).await;
    // A later host may refuse what this one took; a damaged component is refused as well.
    let storage = stage.host.storage();
    damage(storage, TenantId(account.tenant), "words").await;
    let stage = stage.restart().await;
    let account = Account { http: stage.http(), ..account };
    account.wait_for(&session, "connected").await;
    let refused = send(&account, &session, "hello").await;
    assert_eq!(refused.status, 503, "{refused:?}");
    let path = "/switchboard/v1/plugins/words";
    let shown = account.get(path, &account.tenant_key).await.json();
    assert_eq!(shown["state"], "broken", "{shown}");
    assert!(!shown["why"].as_str().unwrap().is_empty());
    let deleted = account.http.json("DELETE", path, Some(&account.tenant_key), None).await.unwrap();
    assert_eq!(deleted.status, 204, "{deleted:?}");
    assert_eq!(send(&account, &session, "hello").await.status, 202);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_judges_each_message_of_a_batch_templates_as_what_they_say_and_responders() {
    let (stage, account, session) = start().await;
    policy(&account, &account.tenant_key, "words", json!({ "deny": "casino", "reason": "{template} by {who}" })).await;
    let text = |text: &str| json!({ "to": CUSTOMER, "text": text });
    let wish = json!({ "session_id": session.id, "messages": [text("one"), text("casino"), text("three")] });
    let batch = account.post("/switchboard/v1/messages/batch", &account.tenant_key, wish).await;
    assert_eq!(batch.status, 202, "{batch:?}");
    let results = &batch.json()["results"];
    assert_eq!((&results[1]["error"], &results[1]["code"]), (&json!("none by a key"), &json!("refused_by_policy")));
    assert!(results[0]["message_id"].is_u64() && results[2]["message_id"].is_u64(), "{results}");

    let template = json!({ "name": "hidden", "language": "en", "definition": { "body": "my {{1}}" } });
    assert_eq!(account.post("/switchboard/v1/templates", &account.tenant_key, template).await.status, 201);
    let call = json!({ "type": "template", "value": { "name": "hidden", "parameters": ["casino"] } });
    let wish = json!({ "session_id": session.id, "to": CUSTOMER, "content": call });
    denied(&account.post(MESSAGES, &account.tenant_key, wish).await, "hidden by a key");

    let replies = json!([{ "keyword": "bet", "reply": "casino" }, { "keyword": "hi", "reply": "good day" }]);
    account.auto_reply(json!({ "replies": replies })).await;
    phone(stage.control(), ADMIN_KEY, NEIGHBOUR).await;
    write(stage.control(), ADMIN_KEY, CUSTOMER, SHOP, "bet").await;
    write(stage.control(), ADMIN_KEY, NEIGHBOUR, SHOP, "hi").await;
    stage.phone_shows(NEIGHBOUR, |shown| shown["text"] == "good day").await;
    // Three of the batch, the template and both answers.
    assert!(until(PATIENCE, async || policy_calls(&stage).await >= 6).await);
    let messages = account.get(MESSAGES, &account.tenant_key).await.json();
    assert!(messages.to_string().contains("good day") && !messages.to_string().contains("casino"), "{messages}");
    stage.stop().await;
}

async fn metrics(stage: &Stage) -> String {
    let page = stage.http().json("GET", "/metrics", Some(ADMIN_KEY), None).await.unwrap();
    String::from_utf8(page.body).unwrap()
}

/// How often policies answered.
async fn policy_calls(stage: &Stage) -> u64 {
    let line = r#"switchboard_plugin_calls_total{interface="auth-policy",outcome="reply"} "#;
    metrics(stage).await.lines().find_map(|at| at.strip_prefix(line)?.parse().ok()).unwrap_or(0)
}
