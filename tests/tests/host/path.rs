//! The path of a message, there and back.

use serde_json::json;
use switchboard_tests::account::{phone, received, shows, write};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";

#[tokio::test(flavor = "multi_thread")]
async fn a_message_reaches_the_phone_and_its_answer_gets_a_reply() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    account.auto_reply(json!({ "replies": [{ "keyword": "hours", "reply": "9 to 17" }], "quote": true })).await;
    let shop = account.linked(stage.control(), "Shop", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;

    let sent = account.send(&shop, "+49 1520 000-001", "Good day").await;
    assert_eq!(sent.status, 200, "{sent:?}");
    let sent = sent.json();
    assert_eq!(sent["success"], true);
    assert_eq!(sent["data"]["status"], "in_progress");
    assert_eq!(sent["data"]["jid"], format!("{CUSTOMER}@s.whatsapp.net"));
    let shown = shows(stage.control(), ADMIN_KEY, CUSTOMER, "Good day").await;
    assert_eq!(shown["id"], sent["messageId"]);
    assert_eq!(shown["type"], "text");

    let asked = write(stage.control(), ADMIN_KEY, CUSTOMER, SHOP, "What are your hours?").await;
    let reply = shows(stage.control(), ADMIN_KEY, CUSTOMER, "9 to 17").await;
    assert_eq!(reply["quoted_id"], asked);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_comes_back_after_a_restart_without_pairing_and_gets_what_it_missed() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    account.auto_reply(json!({ "replies": [{ "keyword": "ping", "reply": "pong" }] })).await;
    let shop = account.linked(stage.control(), "Shop", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    write(stage.control(), ADMIN_KEY, CUSTOMER, SHOP, "ping").await;
    shows(stage.control(), ADMIN_KEY, CUSTOMER, "pong").await;

    let control = stage.control();
    let stage = {
        let restarted = stage.restart();
        let written = async { write(control, ADMIN_KEY, CUSTOMER, SHOP, "ping again").await };
        tokio::join!(restarted, written).0
    };
    let account = switchboard_tests::account::Account { http: stage.http(), ..account };
    account.wait_for(&shop, "connected").await;
    let pongs = async {
        let mut shown = Vec::new();
        while shown.len() < 2 {
            shown = received(control, ADMIN_KEY, CUSTOMER, 0, 1000).await;
        }
        shown
    };
    let pongs = tokio::time::timeout(switchboard_tests::patience::PATIENCE, pongs).await.unwrap();
    assert!(pongs.iter().all(|message| message["text"] == "pong"), "{pongs:?}");
    assert_eq!(pongs.len(), 2);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quotes_and_mentions_arrive_as_such() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let shop = account.linked(stage.control(), "Shop", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    let first = account.send(&shop, CUSTOMER, "first").await.json();
    let mention = format!("{CUSTOMER}@s.whatsapp.net");
    let body = json!({
        "to": CUSTOMER, "text": "second", "replyTo": first["data"]["msgId"], "mentions": [mention], "unknown": 1,
    });
    let second = account.post("/api/v1/send-message", &shop.key, body).await;
    assert_eq!(second.status, 200, "{second:?}");
    let shown = shows(stage.control(), ADMIN_KEY, CUSTOMER, "second").await;
    assert_eq!(shown["quoted_id"], first["messageId"]);
    assert_eq!(shown["mentions"], json!([mention]));
    stage.stop().await;
}
