//! Removes what has been kept for long enough, of every tenant, once an hour and in small steps, so that nobody waits for it.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::records::id::TenantId;
use crate::rules::retention::Retention;
use crate::storage::{Storage, StorageError, Sweep};

/// How long after one round the next begins.
const ROUND_EVERY: Duration = Duration::from_secs(3600);
/// How long it rests between two steps that removed something.
const STEP_REST: Duration = Duration::from_millis(20);

/// Keeps the storage within its limits.
pub struct RetentionWorker {
    /// What is kept.
    pub storage: Storage,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How long and how much.
    pub retention: Retention,
}

impl RetentionWorker {
    /// Works until the future is dropped. Dropping it loses nothing: each step is complete in itself.
    pub async fn run(&self) {
        loop {
            match self.round().await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "records that were kept for long enough were removed"),
                Err(StorageError::Closed) => return,
                Err(error) => tracing::error!(%error, "old records could not be removed"),
            }
            self.clock.sleep_until(self.clock.now().plus(ROUND_EVERY)).await;
        }
    }

    /// Everything that is due now, of every tenant. Returns how many records were removed.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn round(&self) -> Result<usize, StorageError> {
        let mut removed = 0;
        for tenant in self.storage.tenants().await? {
            removed += self.tenant(tenant.id).await?;
        }
        Ok(removed)
    }

    async fn tenant(&self, tenant: TenantId) -> Result<usize, StorageError> {
        let mut removed = 0;
        loop {
            let step = self.storage.trim_events(tenant, &self.retention, self.clock.now()).await?;
            if step == 0 {
                break;
            }
            removed += step;
            self.rest().await;
        }
        for kind in Sweep::ALL {
            let mut from = None;
            loop {
                let swept = self.storage.sweep(tenant, kind, from.as_deref(), self.clock.now()).await?;
                removed += swept.removed;
                if swept.removed > 0 {
                    self.rest().await;
                }
                let Some(next) = swept.next else { break };
                from = Some(next);
            }
        }
        Ok(removed)
    }

    async fn rest(&self) {
        self.clock.sleep_until(self.clock.now().plus(STEP_REST)).await;
    }
}
