//! Forgets idempotency keys whose time is over.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::storage::{Storage, StorageError};

/// Between two sweeps: a key is forgotten at most this much later than it could be. Until then it no longer counts.
const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);

/// Sweeps the keys of every tenant.
pub struct OnceSweeper {
    /// Where the keys are.
    pub storage: Storage,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl OnceSweeper {
    /// Sweeps until the future is dropped.
    pub async fn run(&self) {
        loop {
            match self.sweep().await {
                Ok(_) => {}
                Err(StorageError::Closed) => return,
                Err(error) => tracing::error!(%error, "idempotency keys cannot be swept"),
            }
            self.clock.sleep_until(self.clock.now().plus(SWEEP_EVERY)).await;
        }
    }

    /// Forgets every key whose time is over; how many traces of them there were.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn sweep(&self) -> Result<usize, StorageError> {
        let mut swept = 0;
        for tenant in self.storage.tenants().await? {
            loop {
                match self.storage.sweep_once(tenant.id, self.clock.now()).await? {
                    0 => break,
                    some => swept += some,
                }
            }
        }
        Ok(swept)
    }
}
