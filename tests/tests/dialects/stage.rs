//! What every dialect's tests begin with: an account with a connected and an idle session, one that has used up its plan, and
//! somebody else's.

use serde_json::{Value, json};
use switchboard::http::LocalAnswer;
use switchboard_core::clock::{Clock, SystemClock};
use switchboard_tests::account::{Account, TestSession, phone};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

/// The number of the account's connected session.
pub const SHOP: &str = "491510000001";
/// The number of somebody who is written to.
pub const CUSTOMER: &str = "491520000001";

/// The number of somebody whom others write to.
const STRANGER: &str = "491520000002";

/// The accounts of one host.
pub struct Cast {
    pub stage: Stage,
    /// Has a connected session and one that was never connected.
    pub ours: Account,
    pub connected: TestSession,
    pub idle: TestSession,
    /// May send nothing more, and has a connected session.
    pub spent: Account,
    pub spent_session: TestSession,
    /// The number of a message that it sent when it still could.
    pub spent_message: u64,
    /// May ask nothing any more.
    pub throttled: Account,
    pub throttled_session: TestSession,
    /// Somebody else, with a session that was never connected.
    pub theirs: Account,
    pub foreign: TestSession,
}

impl Cast {
    /// Starts a host with all of them.
    pub async fn start() -> Self {
        let stage = Stage::start().await;
        let ours = stage.account("Ours").await;
        let connected = ours.linked(stage.control(), "Shop", SHOP).await;
        let idle = ours.session("Idle").await;
        let spent = stage.account("Spent").await;
        let spent_session = spent.linked(stage.control(), "Spent", "491510000002").await;
        for number in [CUSTOMER, STRANGER] {
            phone(stage.control(), ADMIN_KEY, number).await;
        }
        let spent_message = sent(&spent.send(&spent_session, STRANGER, "the last one").await);
        set_limits(&stage, &spent, json!({ "messages_per_month": 0, "sessions": 1 })).await;
        let throttled = stage.account("Throttled").await;
        let throttled_session = throttled.session("Throttled").await;
        set_limits(&stage, &throttled, json!({ "api_requests_per_minute": 0 })).await;
        let theirs = stage.account("Theirs").await;
        let foreign = theirs.session("Foreign").await;
        Self {
            stage,
            ours,
            connected,
            idle,
            spent,
            spent_session,
            spent_message,
            throttled,
            throttled_session,
            theirs,
            foreign,
        }
    }

    /// Lets somebody else send a message; its number.
    pub async fn strange_message(&self) -> u64 {
        let session = self.theirs.linked(self.stage.control(), "Theirs", "491510000004").await;
        sent(&self.theirs.send(&session, STRANGER, "theirs").await)
    }

    /// Keys of the account that will not do, by what is wrong with them.
    pub async fn bad_keys(&self) -> Vec<(&'static str, String)> {
        self.bad(json!({ "kind": "tenant" })).await
    }

    /// The same of keys of the connected session.
    pub async fn bad_session_keys(&self) -> Vec<(&'static str, String)> {
        self.bad(json!({ "kind": "session", "session_id": self.connected.id })).await
    }

    /// The same of personal access tokens.
    pub async fn bad_tokens(&self) -> Vec<(&'static str, String)> {
        self.bad(json!({ "kind": "personal" })).await
    }

    async fn bad(&self, wish: Value) -> Vec<(&'static str, String)> {
        let key = async |name: &str, value: Value| {
            let mut wish = wish.clone();
            wish[name] = value;
            self.ours.key(wish).await
        };
        let in_two_seconds = now_ms() + 2_000;
        let expired = key("expires_at", json!(in_two_seconds)).await;
        let other_service = key("service", json!("sms")).await;
        let narrow = key("scopes", json!(["plugins:read"])).await;
        let inactive = self.stage.account("Inactive").await;
        let inactive_key = match wish["kind"].as_str() {
            Some("session") => inactive.session("Inactive").await.key,
            _ => inactive.tenant_key.clone(),
        };
        let path = format!("/switchboard/v1/tenants/{}", inactive.tenant);
        let off = json!({ "active": false });
        let set = self.stage.http().json("PATCH", &path, Some(ADMIN_KEY), Some(&off)).await.unwrap();
        assert_eq!(set.status, 200, "{set:?}");
        assert!(until(PATIENCE, async || now_ms() > in_two_seconds).await);
        vec![
            ("wrong credential", "sk_live_nobody-has-this-key".to_owned()),
            ("expired credential", expired),
            ("revoked credential", self.revoked(wish).await),
            ("credential of another service", other_service),
            ("credential without the scope", narrow),
            ("credential of an inactive account", inactive_key),
        ]
    }

    async fn revoked(&self, wish: Value) -> String {
        let keys = format!("/switchboard/v1/tenants/{}/keys", self.ours.tenant);
        let made = self.ours.post(&keys, ADMIN_KEY, wish).await.json();
        let path = format!("{keys}/{}", made["id"]);
        let gone: LocalAnswer = self.stage.http().json("DELETE", &path, Some(ADMIN_KEY), None).await.unwrap();
        assert_eq!(gone.status, 204, "{gone:?}");
        made["key"].as_str().unwrap().to_owned()
    }
}

/// The number of a message that was sent through `wasender`.
fn sent(answer: &LocalAnswer) -> u64 {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["data"]["msgId"].as_u64().unwrap()
}

async fn set_limits(stage: &Stage, account: &Account, limits: Value) {
    let path = format!("/switchboard/v1/tenants/{}", account.tenant);
    let set = stage.http().json("PATCH", &path, Some(ADMIN_KEY), Some(&json!({ "limits": limits }))).await.unwrap();
    assert_eq!(set.status, 200, "{set:?}");
}

fn now_ms() -> u64 {
    SystemClock.now().0
}
