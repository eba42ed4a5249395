//! Secrets in a guest: read by name where that was granted, and never in a log.

use std::sync::Arc;

use serde_json::json;
use switchboard_core::clock::Timestamp;
use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::Grants;
use switchboard_runtime::{CallContext, CallReport, Outcome};

use crate::kv::Keeper;
use crate::stage::{NOW_MS, context, principal};

const SECRET: &str = "sk_live_0123456789";

/// A keeper whose owner wrote a secret down.
async fn keeper() -> Keeper {
    let keeper = Keeper::start().await;
    for (name, value) in [("API_KEY", SECRET), ("OTHER", "not for it")] {
        let now = Timestamp(NOW_MS);
        keeper.storage.keep_plugin_secret(TenantId::OPERATOR, "guest", name, value, now).await.unwrap();
    }
    keeper
}

/// A call of a plugin to which these names were granted.
fn granted(names: &[&str]) -> CallContext {
    let secrets = names.iter().map(|name| (*name).to_owned()).collect();
    CallContext { grants: Arc::new(Grants { secrets, ..Grants::default() }), ..context(Some(principal(7)), "{}") }
}

fn said_nowhere(report: &CallReport, lines: usize) {
    assert_eq!(report.log.len(), lines, "{report:?}");
    assert!(!format!("{report:?}").contains(SECRET), "{report:?}");
    assert!(report.log.iter().all(|line| line.message.contains("***")), "{report:?}");
}

#[tokio::test]
async fn a_secret_is_read_by_name_where_that_name_was_granted() {
    let keeper = keeper().await;
    let acts =
        json!([{ "secret": "API_KEY" }, { "secret": "OTHER" }, { "secret": "MISSING" }, { "secret": "x".repeat(5000) }]);
    let said = keeper.said_in(&granted(&["API_KEY", "MISSING"]), &acts).await;
    let denied = "denied: secrets: the plugin has no grant for it";
    let long = "x".repeat(64);
    assert_eq!(said, format!("18; {denied}: \"OTHER\"; not found; {denied}: \"{long}\""));
    let answer = keeper.heard_in(&granted(&["API_KEY"]), &json!([{ "secret": "API_KEY" }])).await;
    assert!(format!("{:?}", answer.outcome).contains("18"), "{answer:?}");
}

#[tokio::test]
async fn what_a_guest_logs_of_a_secret_that_it_read_is_masked() {
    let keeper = keeper().await;
    let acts = json!([{ "log_secret": ["the key is", "API_KEY"] }]);
    let called = keeper.asked_in(&granted(&["API_KEY"]), &acts).await;
    said_nowhere(&called.report, 2);
    assert_eq!(called.report.log[0].message, "the key is ***");
    let called = keeper.heard_in(&granted(&["API_KEY"]), &acts).await;
    said_nowhere(&called.report, 2);
}

#[tokio::test]
async fn why_a_run_failed_does_not_say_a_secret() {
    let keeper = keeper().await;
    let called = keeper.heard_in(&granted(&["API_KEY"]), &json!([{ "fail_with_secret": "API_KEY" }])).await;
    assert_eq!(called.outcome, Outcome::PluginError("the key *** was refused".to_owned()));
}
