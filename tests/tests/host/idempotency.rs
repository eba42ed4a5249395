//! `Idempotency-Key`, in the host's own API and in a dialect.

use serde_json::{Value, json};
use switchboard::http::LocalAnswer;
use switchboard_tests::account::{Account, TestSession, phone, received, shows};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";
const NATIVE: &str = "/switchboard/v1/messages";
const DIALECT: &str = "/api/v1/send-message";

async fn post(account: &Account, path: &str, key: &str, once: &str, body: &Value) -> LocalAnswer {
    let headers = [
        ("authorization", format!("Bearer {key}")),
        ("content-type", "application/json".to_owned()),
        ("idempotency-key", once.to_owned()),
    ];
    account.http.exchange("POST", path, &headers, body.to_string().into_bytes()).await.unwrap()
}

/// A host with a linked session and a phone to write to.
async fn ready() -> (Stage, Account, TestSession) {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let shop = account.linked(stage.control(), "Shop", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    (stage, account, shop)
}

/// What the customer's phone has, once it shows `last` as well.
async fn shown_with(stage: &Stage, account: &Account, shop: &TestSession, last: &str) -> Vec<Value> {
    assert!(account.send(shop, CUSTOMER, last).await.status < 300);
    shows(stage.control(), ADMIN_KEY, CUSTOMER, last).await;
    let all = received(stage.control(), ADMIN_KEY, CUSTOMER, 0, 0).await;
    all.iter().map(|message| message["text"].clone()).collect()
}

fn replayed(answer: &LocalAnswer) -> bool {
    answer.header("idempotent-replayed") == Some("true")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_gets_the_first_answer_and_sends_once_also_after_a_restart() {
    let (stage, account, shop) = ready().await;
    let native = json!({ "session_id": shop.id, "to": CUSTOMER, "text": "native" });
    let dialect = json!({ "to": CUSTOMER, "text": "dialect" });
    let calls = [(NATIVE, &account.tenant_key, &native, 202), (DIALECT, &shop.key, &dialect, 200)];
    let mut first = Vec::new();
    for (path, key, body, status) in calls {
        let answer = post(&account, path, key, "order-1", body).await;
        assert_eq!((answer.status, replayed(&answer)), (status, false), "{answer:?}");
        let again = post(&account, path, key, "order-1", body).await;
        assert_eq!((again.status, &again.body, replayed(&again)), (status, &answer.body, true), "{again:?}");
        first.push(answer);
    }
    let stage = stage.restart().await;
    let account = Account { http: stage.http(), ..account.clone() };
    account.wait_for(&shop, "connected").await;
    for ((path, key, body, status), first) in calls.into_iter().zip(first) {
        let again = post(&account, path, key, "order-1", body).await;
        assert_eq!((again.status, &again.body, replayed(&again)), (status, &first.body, true), "{again:?}");
        assert_eq!(again.header("content-type"), first.header("content-type"));
    }
    assert_eq!(shown_with(&stage, &account, &shop, "last").await, ["native", "dialect", "last"]);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_request_under_the_same_key_is_refused_in_the_words_of_its_api() {
    let (stage, account, shop) = ready().await;
    let body = |text: &str| json!({ "session_id": shop.id, "to": CUSTOMER, "text": text });
    assert_eq!(post(&account, NATIVE, &account.tenant_key, "k", &body("a")).await.status, 202);
    let refused = post(&account, NATIVE, &account.tenant_key, "k", &body("b")).await;
    assert_eq!((refused.status, &refused.json()["code"]), (422, &json!("idempotency_mismatch")), "{refused:?}");
    assert_eq!(post(&account, DIALECT, &shop.key, "k", &json!({ "to": CUSTOMER, "text": "c" })).await.status, 200);
    let refused = post(&account, DIALECT, &shop.key, "k", &json!({ "to": CUSTOMER, "text": "d" })).await;
    assert_eq!((refused.status, &refused.json()["success"]), (422, &json!(false)), "{refused:?}");
    for bad in ["", &"x".repeat(256)] {
        assert_eq!(post(&account, NATIVE, &account.tenant_key, bad, &body("a")).await.status, 400, "{bad:?}");
        assert_eq!(post(&account, DIALECT, &shop.key, bad, &body("a")).await.status, 422, "{bad:?}");
    }
    assert_eq!(shown_with(&stage, &account, &shop, "last").await, ["a", "c", "last"]);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_leaves_its_key_free() {
    let (stage, account, shop) = ready().await;
    let body = |text: &str| json!({ "session_id": shop.id, "to": CUSTOMER, "text": text });
    for (path, key) in [(NATIVE, &account.tenant_key), (DIALECT, &shop.key)] {
        assert_eq!(post(&account, path, key, "k", &body(" ")).await.status, 422);
        let taken = post(&account, path, key, "k", &body("good")).await;
        assert!(taken.status < 300 && !replayed(&taken), "{taken:?}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_come_at_once_under_one_key_send_once() {
    let (stage, account, shop) = ready().await;
    for (path, key, text) in [(NATIVE, &account.tenant_key, "native"), (DIALECT, &shop.key, "dialect")] {
        let body = json!({ "session_id": shop.id, "to": CUSTOMER, "text": text });
        let at_once = (0..8).map(|_| post(&account, path, key, "k", &body));
        let answers = futures_util::future::join_all(at_once).await;
        let taken: Vec<&LocalAnswer> = answers.iter().filter(|answer| answer.status < 300).collect();
        assert!(!taken.is_empty() && taken.iter().all(|answer| answer.body == taken[0].body), "{answers:?}");
        assert!(answers.iter().all(|answer| answer.status < 300 || answer.status == 409), "{answers:?}");
    }
    assert_eq!(shown_with(&stage, &account, &shop, "last").await, ["native", "dialect", "last"]);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_made_once() {
    let (stage, account, shop) = ready().await;
    let path = "/switchboard/v1/messages/batch";
    let body =
        json!({ "session_id": shop.id, "messages": [{ "to": CUSTOMER, "text": "1" }, { "to": CUSTOMER, "text": "2" }] });
    let first = post(&account, path, &account.tenant_key, "k", &body).await;
    assert_eq!(first.status, 202, "{first:?}");
    let again = post(&account, path, &account.tenant_key, "k", &body).await;
    assert_eq!((&again.body, replayed(&again)), (&first.body, true));
    for text in ["1", "2"] {
        shows(stage.control(), ADMIN_KEY, CUSTOMER, text).await;
    }
    assert_eq!(shown_with(&stage, &account, &shop, "last").await, ["1", "2", "last"]);
    stage.stop().await;
}
