//! Newsletters, calls, status posts and business profiles through the control API.

use serde_json::{Value, json};

use crate::{SimConfig, SimNet};

const ANN: &str = "15550001111";
const BOB: &str = "15550002222";

/// A network with two phones.
async fn network() -> SimNet {
    let config =
        SimConfig { data_dir: None, listen: ([127, 0, 0, 1], 0).into(), tls_listen: None, admin_key: String::new() };
    let network = SimNet::start(config).await.unwrap();
    for number in [ANN, BOB] {
        assert_eq!(ask(&network, "POST", "phones", json!({ "number": number })).await.0, 201);
    }
    network
}

async fn ask(network: &SimNet, method: &str, path: &str, body: Value) -> (u16, Value) {
    let path = format!("{}{path}", super::CONTROL_PREFIX);
    let answer = network.control(method, &path, body.to_string().as_bytes()).await;
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

#[tokio::test]
async fn newsletter_is_made_followed_filled_and_read() {
    let network = network().await;
    let (status, made) = ask(&network, "POST", "newsletters", json!({ "by": ANN, "name": "Tides" })).await;
    assert_eq!(status, 201);
    assert!(made["invite"].is_string());
    let path = format!("newsletters/{}", made["jid"].as_str().unwrap());
    let post = json!({ "by": ANN, "text": "noon" });
    let followers = ask(&network, "POST", &format!("{path}/followers"), json!({ "numbers": [BOB] })).await;
    assert_eq!(followers.0, 200);
    let (status, posted) = ask(&network, "POST", &format!("{path}/messages"), post).await;
    assert_eq!(status, 201);
    let one = format!("{path}/messages/{}", posted["server_id"]);
    let reaction = json!({ "by": BOB, "emoji": "🌊" });
    assert_eq!(ask(&network, "POST", &format!("{one}/reactions"), reaction).await.0, 200);
    assert_eq!(ask(&network, "PATCH", &one, json!({ "by": ANN, "text": "one" })).await.0, 200);
    let (status, summary) = ask(&network, "GET", &path, json!(null)).await;
    assert_eq!((status, &summary["messages"][0]["text"]), (200, &json!("one")));
    assert_eq!(summary["messages"][0]["reactions"], json!({ "🌊": 1 }));
    assert_eq!(ask(&network, "DELETE", &one, json!({ "by": BOB })).await.0, 403);
    assert_eq!(ask(&network, "DELETE", &one, json!({ "by": ANN })).await.0, 200);
    assert_eq!(ask(&network, "DELETE", &format!("{path}/followers/{BOB}"), json!(null)).await.0, 200);
    let (_, shown) = ask(&network, "GET", &format!("phones/{BOB}/messages"), json!(null)).await;
    let kinds: Vec<_> = shown["messages"].as_array().unwrap().iter().map(|entry| &entry["type"]).collect();
    assert_eq!(kinds, ["text", "edit", "revoke"]);
}

#[tokio::test]
async fn requests_for_what_is_not_there_say_so() {
    let network = network().await;
    let nothing = json!(null);
    assert_eq!(ask(&network, "GET", "newsletters/120363000000000000@newsletter", nothing.clone()).await.0, 404);
    assert_eq!(ask(&network, "GET", "newsletters", nothing.clone()).await.0, 405);
    assert_eq!(ask(&network, "POST", "newsletters", json!({ "by": "15559999999", "name": "x" })).await.0, 404);
    assert_eq!(ask(&network, "POST", "newsletters", json!({ "by": ANN, "name": "" })).await.0, 422);
    assert_eq!(ask(&network, "POST", &format!("phones/{ANN}/calls"), json!({ "to": "15559999999" })).await.0, 404);
    assert_eq!(ask(&network, "POST", &format!("phones/{ANN}/calls/x"), json!({ "action": "accept" })).await.0, 404);
    assert_eq!(ask(&network, "DELETE", &format!("phones/{ANN}/status/x"), nothing.clone()).await.0, 404);
    assert_eq!(ask(&network, "GET", &format!("phones/{ANN}/business"), nothing.clone()).await.0, 405);
    let unknown = json!({ "name": "Ann", "colour": "red" });
    assert_eq!(ask(&network, "PUT", &format!("phones/{ANN}/business"), unknown).await.0, 422);
    assert_eq!(ask(&network, "GET", "reports", nothing).await, (200, json!({ "reports": [] })));
}

#[tokio::test]
async fn phones_call_each_other_and_show_each_others_status_posts() {
    let network = network().await;
    let (status, call) = ask(&network, "POST", &format!("phones/{ANN}/calls"), json!({ "to": BOB })).await;
    assert_eq!(status, 201);
    let answer = format!("phones/{BOB}/calls/{}", call["id"].as_str().unwrap());
    assert_eq!(ask(&network, "POST", &answer, json!({ "action": "accept" })).await.0, 200);
    assert_eq!(ask(&network, "POST", &answer, json!({ "action": "hang_up" })).await.0, 200);
    let (_, calls) = ask(&network, "GET", &format!("phones/{ANN}/calls"), json!(null)).await;
    assert_eq!((&calls["calls"][0]["state"], &calls["calls"][0]["video"]), (&json!("ended"), &json!(false)));
    // A call is a talk: they know each other now.
    let post = json!({ "text": "at the sea" });
    let (status, posted) = ask(&network, "POST", &format!("phones/{ANN}/status"), post).await;
    assert_eq!(status, 201);
    let (_, shown) = ask(&network, "GET", &format!("phones/{BOB}/messages"), json!(null)).await;
    let shown = &shown["messages"][0];
    assert_eq!((&shown["chat"], &shown["text"]), (&json!("status@broadcast"), &json!("at the sea")));
    assert_eq!(shown["id"], posted["id"]);
}
