//! Runs of responders that were parked: seen, released and dropped over the host's own API.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use switchboard_tests::account::{Account, phone, received, shows, write};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const PLUGINS: &str = "/switchboard/v1/plugins";
const RUNS: &str = "/switchboard/v1/plugins/keeper/runs";
const OURS: &str = "491510000001";
const CUSTOMER: &str = "491520000001";

/// Lets the tenant send so many messages in a month.
async fn limit(account: &Account, messages: u64) {
    let path = format!("/switchboard/v1/tenants/{}", account.tenant);
    let change = json!({ "limits": { "messages_per_month": messages } });
    let set = account.http.json("PATCH", &path, Some(ADMIN_KEY), Some(&change)).await.unwrap();
    assert_eq!(set.status, 200, "{set:?}");
}

async fn listed(account: &Account, query: &str) -> Value {
    let page = account.get(&format!("{RUNS}{query}"), ADMIN_KEY).await;
    assert_eq!(page.status, 200, "{page:?}");
    page.json()
}

async fn ask(account: &Account, method: &str, path: &str) -> (u16, Value) {
    let answer = account.http.json(method, &format!("{RUNS}{path}"), Some(ADMIN_KEY), None).await.unwrap();
    (answer.status, if answer.body.is_empty() { Value::Null } else { answer.json() })
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_a_limit_parked_are_seen_dropped_and_released() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    account.linked(stage.control(), "S", OURS).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    let component = STANDARD.encode(std::fs::read(env!("GUEST_KEEPER")).unwrap());
    let wish = json!({
        "name": "keeper", "component_base64": component, "mounts": [{ "prefix": "/keeper" }], "grants": "asked",
    });
    assert_eq!(account.post(PLUGINS, ADMIN_KEY, wish).await.status, 201);
    limit(&account, 1).await;
    for n in 1..=4 {
        write(stage.control(), ADMIN_KEY, CUSTOMER, OURS, &format!("message {n}")).await;
    }
    let mut page = Value::Null;
    let parked = until(PATIENCE, async || {
        page = listed(&account, "?state=parked").await;
        page["runs"].as_array().unwrap().len() == 3
    });
    assert!(parked.await, "{page}");
    shows(stage.control(), ADMIN_KEY, CUSTOMER, "1").await;
    let run = &page["runs"][0];
    assert_eq!(
        (&run["state"], &run["event_type"], &run["due_at"]),
        (&json!("parked"), &json!("message.received"), &Value::Null)
    );
    let why = run["last_error"].as_str().unwrap();
    assert!(why.starts_with("the messages_per_month of the account do not allow it: 1 of 1 are used"), "{why}");
    assert_eq!(listed(&account, "?state=waiting").await["runs"], json!([]));

    // In pages, and one by one.
    let first = listed(&account, "?limit=2").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = listed(&account, &format!("?limit=2&cursor={cursor}")).await;
    assert_eq!((rest["runs"].as_array().unwrap().len(), &rest["next_cursor"]), (1, &Value::Null));
    let ids: Vec<String> =
        [&first["runs"][0], &first["runs"][1], &rest["runs"][0]].map(|run| run["id"].as_str().unwrap().to_owned()).into();
    assert_eq!(ask(&account, "GET", &format!("/{}", ids[1])).await, (200, first["runs"][1].clone()));
    for bad in ["?state=lost", "?cursor=x", "?limit=101"] {
        assert_eq!(account.get(&format!("{RUNS}{bad}"), ADMIN_KEY).await.status, 422, "{bad}");
    }
    let other = ids[0].replace("operator:keeper", "operator:other");
    for nothing in [other.as_str(), "run_1_operator:keeper_x", "release"] {
        assert_eq!(ask(&account, "GET", &format!("/{nothing}")).await.0, 404, "{nothing}");
    }

    // One is dropped, one is released under the same limit and comes back, then all of them.
    assert_eq!(ask(&account, "DELETE", &format!("/{}", ids[1])).await.0, 204);
    assert_eq!(ask(&account, "DELETE", &format!("/{}", ids[1])).await.0, 404);
    assert_eq!(ask(&account, "POST", &format!("/{}/release", ids[0])).await, (200, json!({ "released": 1 })));
    let back = until(PATIENCE, async || listed(&account, "").await["runs"].as_array().unwrap().len() == 2);
    assert!(back.await, "a run that is released and fails again is parked again");
    limit(&account, 100).await;
    assert_eq!(ask(&account, "POST", "/release").await, (200, json!({ "released": 2 })));
    // What did not end well was not counted.
    for answer in ["2", "3"] {
        shows(stage.control(), ADMIN_KEY, CUSTOMER, answer).await;
    }
    assert_eq!(received(stage.control(), ADMIN_KEY, CUSTOMER, 0, 0).await.len(), 3);
    assert_eq!(listed(&account, "").await, json!({ "runs": [], "next_cursor": null }));

    let metrics = account.get("/metrics", ADMIN_KEY).await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    for (outcome, count) in [("kept", 3), ("parked", 4), ("released", 3), ("dropped", 1), ("failed", 0)] {
        let line = format!("switchboard_responder_runs_total{{outcome=\"{outcome}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_their_owners() {
    let stage = Stage::start().await;
    let (ours, theirs) = (stage.account("Ours").await, stage.account("Theirs").await);
    ours.auto_reply(json!({ "replies": [] })).await;
    let path = format!("{PLUGINS}/auto-reply/runs");
    assert_eq!(ours.get(&path, &ours.tenant_key).await.json(), json!({ "runs": [], "next_cursor": null }));
    assert_eq!(ours.get(&format!("{path}?tenant={}", ours.tenant), ADMIN_KEY).await.status, 200);
    for (method, below) in [("GET", ""), ("POST", "/release"), ("GET", "/run_1_operator:auto-reply_1")] {
        let answer = ours.http.json(method, &format!("{path}{below}"), Some(&theirs.tenant_key), None).await.unwrap();
        assert_eq!(answer.status, 404, "{method} {below}: {answer:?}");
    }
    let reader = ours.key(json!({ "kind": "tenant", "scopes": ["plugins:read"] })).await;
    assert_eq!(ours.get(&path, &reader).await.status, 200);
    let released = ours.http.json("POST", &format!("{path}/release"), Some(&reader), None).await.unwrap();
    assert_eq!(released.status, 403, "{released:?}");
    stage.stop().await;
}
