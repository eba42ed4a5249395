//! Removes what is over, of every tenant, in small steps, so that nobody waits for it.
//!
//! Each chore has its own interval, and begins with the start of the host. A step is complete in itself: what is left behind
//! when the host stops, or storage fails, is removed the next time.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::records::id::TenantId;
use crate::rules::retention::Retention;
use crate::storage::{Storage, StorageError, Sweep, Swept};

/// How long it rests between two steps that removed something.
const STEP_REST: Duration = Duration::from_millis(20);
/// Counts that are forgotten in one commit.
const COUNTS_AT_ONCE: usize = 512;

/// Something to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chore {
    /// What deletions that were broken off have left.
    Leftovers,
    /// Counts of minutes, days and months that are over.
    Counts,
    /// Idempotency keys whose 24 hours are over. Until they are removed, they no longer count.
    OnceKeys,
    /// Events that were kept for long enough.
    Events,
    /// What plugins kept for a time that is over. Until it is removed, it no longer exists for them.
    Kv,
    /// Runs that were parked and whose event is gone.
    ParkedRuns,
    /// Records that go after a time.
    Records(Sweep),
}

impl Chore {
    /// Every chore.
    pub const ALL: [Self; 11] = [
        Self::Leftovers,
        Self::Counts,
        Self::OnceKeys,
        Self::Events,
        Self::Kv,
        Self::ParkedRuns,
        Self::Records(Sweep::InboundMarks),
        Self::Records(Sweep::Polls),
        Self::Records(Sweep::Votes),
        Self::Records(Sweep::RevokedKeys),
        Self::Records(Sweep::LoggedCalls),
    ];

    /// How long after one round the next begins.
    fn every(self) -> Duration {
        match self {
            // It counts as kept until it is removed.
            Self::Kv => Duration::from_secs(60),
            // A session that is limited by the minute leaves a count behind each minute.
            Self::Leftovers | Self::Counts => Duration::from_secs(600),
            Self::OnceKeys | Self::Events | Self::ParkedRuns | Self::Records(_) => Duration::from_secs(3600),
        }
    }
}

/// Keeps the storage within its limits.
pub struct Housekeeper {
    /// What is kept.
    pub storage: Storage,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How long and how much of the event log.
    pub retention: Retention,
    /// When the host began to work on the storage: what was under way before is broken off.
    pub began: Timestamp,
}

impl Housekeeper {
    /// Works until the future is dropped.
    pub async fn run(&self) {
        let mut due: Vec<(Chore, Timestamp)> = Chore::ALL.map(|chore| (chore, Timestamp(0))).into();
        loop {
            for (chore, next) in due.iter_mut().filter(|(_, next)| *next <= self.clock.now()) {
                match self.round(*chore).await {
                    Ok(0) => {}
                    Ok(removed) => tracing::info!(?chore, removed, "what was over was removed"),
                    Err(StorageError::Closed) => return,
                    Err(error) => tracing::error!(?chore, %error, "what is over could not be removed; it is tried again"),
                }
                *next = self.clock.now().plus(chore.every());
            }
            let next = due.iter().map(|(_, next)| *next).min().unwrap_or_default();
            self.clock.sleep_until(next).await;
        }
    }

    /// Does a chore for every tenant, as far as it is due now. Returns how many records were removed.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn round(&self, chore: Chore) -> Result<usize, StorageError> {
        if chore == Chore::Leftovers {
            return self.storage.finish_old_cleanups(self.began, self.clock.now()).await;
        }
        let mut removed = 0;
        let mut owners: Vec<TenantId> = self.storage.tenants().await?.iter().map(|tenant| tenant.id).collect();
        // The operator has plugins as well.
        owners.push(TenantId::OPERATOR);
        for owner in owners {
            let mut from = Some(Vec::new());
            while let Some(place) = from {
                let swept = self.step(chore, owner, &place).await?;
                removed += swept.removed;
                if swept.removed > 0 {
                    self.clock.sleep_until(self.clock.now().plus(STEP_REST)).await;
                }
                from = swept.next;
            }
        }
        Ok(removed)
    }

    /// One step, from `place` on if the chore walks through its records.
    async fn step(&self, chore: Chore, tenant: TenantId, place: &[u8]) -> Result<Swept, StorageError> {
        let now = self.clock.now();
        let removed = match chore {
            Chore::Records(kind) => {
                let from = Some(place).filter(|place| !place.is_empty());
                return self.storage.sweep(tenant, kind, from, now).await;
            }
            Chore::ParkedRuns => {
                return self.storage.sweep_parked_runs(tenant, Some(place).filter(|place| !place.is_empty())).await;
            }
            // Not one tenant's.
            Chore::Leftovers => 0,
            Chore::Counts => self.storage.sweep_counts(tenant, now, COUNTS_AT_ONCE).await?,
            Chore::OnceKeys => self.storage.sweep_once(tenant, now).await?,
            Chore::Kv => self.storage.sweep_kv(tenant, now).await?,
            Chore::Events => self.storage.trim_events(tenant, &self.retention, now).await?,
        };
        Ok(Swept { removed, next: (removed > 0).then(Vec::new) })
    }
}
