//! Counts that limits are held to: messages accepted in a minute, a day and a month, and sessions that exist.
//!
//! A count is raised in the commit that accepts what it counts, under a check that it is not over its limit: two writers never
//! conflict for counting alone, no restart loses a count, and no race lets one message too many through.

use super::engine::{Batch, Check, KeyRange, count_in};
use super::{Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::id::{SessionId, TenantId};
use crate::rules::calendar::{Window, WindowKind};
use crate::rules::pacing::Pace;
use crate::rules::plan::{self, Figures, SessionRules};
use crate::rules::quota::{self, Charge, Reached};
use crate::rules::typing::Typing;

impl Storage {
    /// Adds charges to a batch: it is kept only if every one of them fits.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when one fits into no window of its size.
    pub(super) fn put_charges(batch: &mut Batch, tenant: TenantId, charges: &[Charge]) -> Result<(), StorageError> {
        for charge in charges {
            let key = keys::quota_count(tenant, charge);
            let max = charge.used_most().ok_or(StorageError::Conflict)?;
            if charge.max.is_some() {
                batch.check(Check::AtMost { key: key.clone(), max });
            }
            batch.add(key, i64::try_from(charge.count).unwrap_or(i64::MAX));
        }
        Ok(())
    }

    /// What the windows of these charges hold now.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn used(&self, tenant: TenantId, charges: Vec<Charge>) -> Result<Vec<(Charge, u64)>, StorageError> {
        let mut used = Vec::with_capacity(charges.len());
        for charge in charges {
            let key = keys::quota_count(tenant, &charge);
            used.push((charge, count_in(self.engine.get(&key).await?.as_deref())));
        }
        Ok(used)
    }

    /// What holds for a tenant. One without a record has no plan either.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn figures(&self, tenant: TenantId) -> Result<Figures, StorageError> {
        Ok(self.tenant(tenant).await?.as_ref().map_or(plan::UNLIMITED, plan::effective))
    }

    /// The rules that a session has of its own.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn session_rules(&self, tenant: TenantId, session: SessionId) -> Result<SessionRules, StorageError> {
        Ok(self
            .session(tenant, session)
            .await?
            .map_or_else(SessionRules::default, |session| SessionRules::of(&session.settings)))
    }

    /// How fast a session may send, by its tenant's plan and by its own rules, and how it types, if it does.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn sending_rules(&self, tenant: TenantId, session: SessionId) -> Result<(Pace, Option<Typing>), StorageError> {
        let own = self.session_rules(tenant, session).await?;
        Ok((self.figures(tenant).await?.pace().strictest(own.pace()), own.typing))
    }

    /// The limit that did not let a commit with these charges through; `None` when it was something else.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn reached_limit(
        &self,
        tenant: TenantId,
        charges: Vec<Charge>,
        now: Timestamp,
    ) -> Result<Option<Reached>, StorageError> {
        Ok(quota::reached(&self.used(tenant, charges).await?, now))
    }

    /// How many sessions a tenant has.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn session_count(&self, tenant: TenantId) -> Result<u64, StorageError> {
        Ok(count_in(self.engine.get(&keys::session_count(tenant)).await?.as_deref()))
    }

    /// Forgets up to `limit` counts of windows that are over; how many. The last window of each kind stays, so that a clock that
    /// is set back a little forgets nothing.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn sweep_counts(&self, tenant: TenantId, now: Timestamp, limit: usize) -> Result<usize, StorageError> {
        let mut batch = Batch::default();
        for kind in WindowKind::ALL {
            let kept = Window { kind, index: kind.at(now).index.saturating_sub(1) };
            let start = keys::quota_counts(tenant, Window { kind, index: 0 });
            let end = Some(keys::quota_counts(tenant, kept));
            let range = KeyRange { start, end, limit: limit.saturating_sub(batch.writes.len()), reverse: false };
            for (key, _) in self.engine.range(&range).await? {
                batch.delete(key);
            }
        }
        let swept = batch.writes.len();
        if swept > 0 {
            self.engine.commit(batch).await?;
        }
        Ok(swept)
    }
}
