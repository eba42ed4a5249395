//! What plugins ask of the account that calls, and of its limits.

use switchboard_core::records::account::Principal;
use switchboard_core::records::id::SessionId;
use switchboard_core::records::message::ApiLimits;
use switchboard_core::rules::plan::{self, SessionRules};
use switchboard_core::rules::quota::{self, Charge};
use switchboard_runtime::verbs::{AccountInfo, LimitStanding, Usage, VerbError};

use super::{HostVerbs, message_limit, need, unavailable};

/// Whoever sends is told how much is left, with the answer to the message.
fn may_know_limits(caller: &Principal) -> Result<(), VerbError> {
    if caller.may("messages", "write") { Ok(()) } else { need(caller, "messages", "read") }
}

impl HostVerbs {
    pub(super) async fn limits_of(
        &self,
        caller: &Principal,
        session: SessionId,
        api: Option<ApiLimits>,
    ) -> Result<Vec<LimitStanding>, VerbError> {
        may_know_limits(caller)?;
        let session = self.reach(caller, session).await?;
        let figures = self.storage.figures(caller.tenant).await.map_err(unavailable)?;
        let (rules, now) = (SessionRules::of(&session.settings), self.clock.now());
        let mut charges = quota::charges(&figures, &[(session.id, rules, 0)], now);
        let api: Vec<_> = api.into_iter().map(|api| (session.id, api, 0)).collect();
        charges.extend(quota::api_charges(&api, now));
        let charges = quota::apart(charges, caller.test);
        let used = self.storage.used(caller.tenant, charges).await.map_err(unavailable)?;
        let limit = |(charge, used): &(Charge, u64)| {
            let standing = quota::standing(charge, *used)?;
            Some(message_limit(charge.limit_name(), charge.scope, &standing, standing.retry_after_s(now)))
        };
        Ok(used.iter().filter_map(limit).collect())
    }

    pub(super) async fn account_of(&self, caller: &Principal) -> Result<AccountInfo, VerbError> {
        may_know_limits(caller)?;
        let tenant = self.storage.tenant(caller.tenant).await.map_err(unavailable)?.ok_or(VerbError::NotFound)?;
        let figures = plan::effective(&tenant);
        // Without a session, only what the tenant itself is charged for is asked about.
        let charges = quota::charges(&figures, &[], self.clock.now());
        let charges = quota::apart(charges, caller.test);
        let used = self.storage.used(caller.tenant, charges).await.map_err(unavailable)?;
        let usage = |(charge, used): &(Charge, u64)| Usage {
            limit: charge.limit_name(),
            max: charge.max,
            used: *used,
            resets_at_ms: charge.window.ends_at().0,
        };
        Ok(AccountInfo {
            name: tenant.name,
            plan: tenant.plan,
            usage: used.iter().map(usage).collect(),
            sessions: self.storage.session_count(caller.tenant).await.map_err(unavailable)?,
            sessions_max: figures.sessions,
        })
    }
}
