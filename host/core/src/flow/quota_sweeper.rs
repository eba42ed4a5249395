//! Forgets the counts of minutes, days and months that are over.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::storage::{Storage, StorageError};

/// How often counts are swept: a session that is limited by the minute leaves one behind each minute.
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// Counts that are forgotten in one commit.
const SWEEP_COUNTS: usize = 512;

/// Sweeps the counts of every tenant.
pub struct QuotaSweeper {
    /// Where the counts are.
    pub storage: Storage,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl QuotaSweeper {
    /// Sweeps until the future is dropped. What it leaves behind is swept the next time.
    pub async fn run(&self) {
        loop {
            match self.sweep().await {
                Ok(0) => {}
                Ok(counts) => tracing::debug!(counts, "counts of windows that are over were swept"),
                Err(StorageError::Closed) => return,
                Err(error) => tracing::error!(%error, "old counts cannot be swept"),
            }
            self.clock.sleep_until(self.clock.now().plus(SWEEP_EVERY)).await;
        }
    }

    /// Sweeps once; how many counts were forgotten.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn sweep(&self) -> Result<usize, StorageError> {
        let mut swept = 0;
        for tenant in self.storage.tenants().await? {
            loop {
                let counts = self.storage.sweep_counts(tenant.id, self.clock.now(), SWEEP_COUNTS).await?;
                swept += counts;
                if counts < SWEEP_COUNTS {
                    break;
                }
            }
        }
        Ok(swept)
    }
}
