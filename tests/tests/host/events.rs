//! The event log, through the host's own API.

use serde_json::json;
use switchboard_tests::account::{phone, write};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_reads_what_happened_to_its_sessions_and_to_no_other() {
    let stage = Stage::start().await;
    let (account, stranger) = (stage.account("Shop").await, stage.account("Other").await);
    let shop = account.linked(stage.control(), "Shop", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    let id = write(stage.control(), ADMIN_KEY, CUSTOMER, SHOP, "Good day").await;

    let path = "/switchboard/v1/events";
    let mut events = json!(null);
    let received = async || {
        events = account.get(path, &account.tenant_key).await.json();
        let all = events["events"].as_array().unwrap();
        all.iter().any(|event| event["type"] == "message.received")
    };
    assert!(until(PATIENCE, received).await, "{events}");
    let all = events["events"].as_array().unwrap();
    let message = all.iter().find(|event| event["type"] == "message.received").unwrap();
    assert_eq!((&message["session_id"], &message["data"]["whatsapp_id"]), (&json!(shop.id), &json!(id)));
    assert_eq!(message["data"]["content"], json!({ "type": "text", "value": "Good day" }));
    assert_eq!(message["data"]["from_phone"], CUSTOMER);
    assert!(all.iter().any(|event| event["type"] == "session.state" && event["data"]["state"] == "connected"), "{all:?}");

    let one = account.get(&format!("{path}?after=1&limit=1"), &account.tenant_key).await.json();
    assert_eq!(one["events"], json!([all[1]]));
    assert_eq!(one["next_after"], 2);
    assert_eq!(stranger.get(path, &stranger.tenant_key).await.json()["events"], json!([]));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_log_refuses_other_keys_and_unreadable_numbers() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let session = account.session("Shop").await;
    let path = "/switchboard/v1/events";
    for (key, status) in [(account.token.as_str(), 403), (&session.key, 200), (ADMIN_KEY, 403)] {
        assert_eq!(account.get(path, key).await.status, status);
    }
    let narrow = account.key(json!({ "kind": "tenant", "scopes": ["plugins:*"] })).await;
    let refused = account.get(path, &narrow).await;
    assert_eq!((refused.status, &refused.json()["detail"]), (403, &json!("the key lacks the scope messages:read")));
    for (query, detail) in [("limit=0", "limit: 0: 1 to 500 are allowed"), ("after=x", "after: \"x\" is not a whole number")]
    {
        let refused = account.get(&format!("{path}?{query}"), &account.tenant_key).await;
        assert_eq!((refused.status, &refused.json()["detail"]), (422, &json!(detail)));
    }
    stage.stop().await;
}
