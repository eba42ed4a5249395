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

/// The accounts of one host.
pub struct Cast {
    pub stage: Stage,
    /// Has a connected session and one that was never connected.
    pub ours: Account,
    pub connected: TestSession,
    pub idle: TestSession,
    /// May send nothing more, and has a connected session.
    pub spent: Account,
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
        spent.linked(stage.control(), "Spent", "491510000002").await;
        let limits = json!({ "limits": { "messages_per_month": 0 } });
        let path = format!("/switchboard/v1/tenants/{}", spent.tenant);
        let set = stage.http().json("PATCH", &path, Some(ADMIN_KEY), Some(&limits)).await.unwrap();
        assert_eq!(set.status, 200, "{set:?}");
        let theirs = stage.account("Theirs").await;
        let foreign = theirs.session("Foreign").await;
        phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
        Self { stage, ours, connected, idle, spent, theirs, foreign }
    }

    /// Keys that will not do, by what is wrong with them.
    pub async fn bad_keys(&self) -> Vec<(&'static str, String)> {
        let key = async |wish: Value| self.ours.key(wish).await;
        let in_two_seconds = now_ms() + 2_000;
        let expired = key(json!({ "kind": "tenant", "expires_at": in_two_seconds })).await;
        let other_service = key(json!({ "kind": "tenant", "service": "sms" })).await;
        let inactive = self.stage.account("Inactive").await;
        let path = format!("/switchboard/v1/tenants/{}", inactive.tenant);
        let off = json!({ "active": false });
        let set = self.stage.http().json("PATCH", &path, Some(ADMIN_KEY), Some(&off)).await.unwrap();
        assert_eq!(set.status, 200, "{set:?}");
        assert!(until(PATIENCE, async || now_ms() > in_two_seconds).await);
        vec![
            ("wrong credential", "sk_live_nobody-has-this-key".to_owned()),
            ("expired credential", expired),
            ("revoked credential", self.revoked().await),
            ("credential of another service", other_service),
            ("credential of an inactive account", inactive.tenant_key),
        ]
    }

    async fn revoked(&self) -> String {
        let keys = format!("/switchboard/v1/tenants/{}/keys", self.ours.tenant);
        let made = self.ours.post(&keys, ADMIN_KEY, json!({ "kind": "tenant" })).await.json();
        let path = format!("{keys}/{}", made["id"]);
        let gone: LocalAnswer = self.stage.http().json("DELETE", &path, Some(ADMIN_KEY), None).await.unwrap();
        assert_eq!(gone.status, 204, "{gone:?}");
        made["key"].as_str().unwrap().to_owned()
    }
}

fn now_ms() -> u64 {
    SystemClock.now().0
}
