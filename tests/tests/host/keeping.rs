//! What plugins keep in a whole host: a responder that counts is right however its runs meet, and what it keeps is one tenant's.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use switchboard_tests::account::{Account, phone, received, write};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const PLUGINS: &str = "/switchboard/v1/plugins";
const OURS: &str = "491510000001";
const CUSTOMERS: [&str; 5] = ["491520000001", "491520000002", "491520000003", "491520000004", "491520000005"];
/// What each customer writes.
const MESSAGES: usize = 10;

/// Installs the keeper for every tenant.
async fn upload(account: &Account, config: serde_json::Value) {
    let component = STANDARD.encode(std::fs::read(env!("GUEST_KEEPER")).unwrap());
    let wish = json!({
        "name": "keeper", "component_base64": component, "mounts": [{ "prefix": "/keeper" }], "grants": "asked",
        "config": config,
    });
    let made = account.post(PLUGINS, ADMIN_KEY, wish).await;
    assert_eq!(made.status, 201, "{made:?}");
}

/// Lets every customer write at the same time, and returns what each is answered, in the order in which it came.
async fn answers(stage: &Stage) -> Vec<Vec<u64>> {
    let write_all = CUSTOMERS.map(|customer| async move {
        for n in 0..MESSAGES {
            write(stage.control(), ADMIN_KEY, customer, OURS, &format!("message {n}")).await;
        }
    });
    futures_util::future::join_all(write_all).await;
    let mut shown = Vec::new();
    let all = until(PATIENCE, async || {
        shown.clear();
        for customer in CUSTOMERS {
            let page = received(stage.control(), ADMIN_KEY, customer, 0, 0).await;
            shown.push(page.iter().map(|message| message["text"].as_str().unwrap().parse().unwrap()).collect());
        }
        shown.iter().all(|answers: &Vec<u64>| answers.len() >= MESSAGES)
    });
    assert!(all.await, "not every message is answered: {shown:?}");
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn a_responder_that_counts_per_chat_answers_every_message_with_its_number() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    account.linked(stage.control(), "S", OURS).await;
    for customer in CUSTOMERS {
        phone(stage.control(), ADMIN_KEY, customer).await;
    }
    upload(&account, json!({})).await;
    let expected: Vec<u64> = (1..=MESSAGES as u64).collect();
    for answers in answers(&stage).await {
        assert_eq!(answers, expected);
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_responder_that_counts_all_chats_together_gives_every_number_once() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    account.linked(stage.control(), "S", OURS).await;
    for customer in CUSTOMERS {
        phone(stage.control(), ADMIN_KEY, customer).await;
    }
    upload(&account, json!({ "count": "all" })).await;
    let mut numbers = Vec::new();
    for answers in answers(&stage).await {
        assert!(answers.is_sorted(), "within a chat in order: {answers:?}");
        numbers.extend(answers);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=(CUSTOMERS.len() * MESSAGES) as u64).collect::<Vec<_>>());
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_keeps_outlives_a_restart_and_not_the_plugin() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    account.linked(stage.control(), "S", OURS).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMERS[0]).await;
    upload(&account, json!({})).await;
    let answer = async |stage: &Stage, n: usize, expected: &str| {
        write(stage.control(), ADMIN_KEY, CUSTOMERS[0], OURS, &format!("message {n}")).await;
        let mut shown = Vec::new();
        let answered = until(PATIENCE, async || {
            shown = received(stage.control(), ADMIN_KEY, CUSTOMERS[0], 0, 0).await;
            shown.len() > n
        });
        assert!(answered.await, "no answer to message {n}");
        assert_eq!(shown[n]["text"], expected);
    };
    answer(&stage, 0, "1").await;
    let stage = stage.restart().await;
    answer(&stage, 1, "2").await;
    let account = Account { http: stage.http(), ..account };
    let deleted = account.http.json("DELETE", &format!("{PLUGINS}/keeper"), Some(ADMIN_KEY), None).await.unwrap();
    assert_eq!(deleted.status, 204, "{deleted:?}");
    upload(&account, json!({})).await;
    answer(&stage, 2, "1").await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_tenants_keep_each_their_own_and_those_of_test_keys_nothing() {
    let stage = Stage::start().await;
    let (ours, theirs) = (stage.account("Ours").await, stage.account("Theirs").await);
    upload(&ours, json!({})).await;
    let said = async |key: &str, acts: serde_json::Value| {
        let answer = ours.post("/keeper/acts", key, acts).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        String::from_utf8(answer.body).unwrap()
    };
    assert_eq!(said(&ours.tenant_key, json!([{ "put": ["a", "ours"] }, "usage"])).await, "kept; 5 of 4096");
    assert_eq!(said(&theirs.tenant_key, json!([{ "get": "a" }, "usage"])).await, "none; 0 of 4096");
    let test_key = ours.key(json!({ "kind": "tenant", "mode": "test" })).await;
    let refused = said(&test_key, json!([{ "get": "a" }, { "put": ["a", "of a test"] }])).await;
    assert_eq!(refused, "ours; denied: kv: this is a test key: it changes nothing that is kept");
    // What asks for no credential is nobody's: it keeps for the operator.
    let open = ours.http.json("POST", "/keeper/open/acts", None, Some(&json!([{ "get": "a" }]))).await.unwrap();
    assert_eq!(open.body, b"none");
    stage.stop().await;
}
