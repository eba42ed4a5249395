//! Counts how often API keys are used: in memory, and written down together every few seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use switchboard_core::clock::{Clock, Timestamp};
use switchboard_core::records::account::KeyUse;
use switchboard_core::records::id::{KeyId, TenantId};
use switchboard_core::storage::Storage;

/// How long uses may wait to be written down; a crash loses no more than these.
const FLUSH_EVERY: Duration = Duration::from_secs(10);
/// Keys that are counted at once. Uses of more different keys within one interval are not counted.
const KEYS_MAX: usize = 100_000;
/// Keys that are written down in one commit.
const KEYS_AT_ONCE: usize = 500;

/// Uses that are not written down yet.
#[derive(Default)]
pub struct KeyUsage {
    seen: Mutex<HashMap<(TenantId, KeyId), KeyUse>>,
}

impl KeyUsage {
    /// Counts a use.
    pub fn note(&self, tenant: TenantId, key: KeyId, at: Timestamp) {
        let Ok(mut seen) = self.seen.lock() else { return };
        if seen.len() >= KEYS_MAX && !seen.contains_key(&(tenant, key)) {
            return;
        }
        let used = seen.entry((tenant, key)).or_default();
        used.requests = used.requests.saturating_add(1);
        used.last_used_at = Some(at);
    }

    /// What is not written down yet of a key's uses.
    pub fn pending(&self, tenant: TenantId, key: KeyId) -> KeyUse {
        self.seen.lock().ok().and_then(|seen| seen.get(&(tenant, key)).copied()).unwrap_or_default()
    }

    /// Writes down what was counted.
    pub async fn flush(&self, storage: &Storage) {
        let taken = match self.seen.lock() {
            Ok(mut seen) => std::mem::take(&mut *seen),
            Err(_) => return,
        };
        let uses: Vec<_> = taken.into_iter().map(|((tenant, key), used)| (tenant, key, used)).collect();
        for some in uses.chunks(KEYS_AT_ONCE) {
            if let Err(error) = storage.note_key_uses(some).await {
                tracing::warn!(%error, keys = some.len(), "how often keys were used is not written down");
            }
        }
    }

    /// Writes down again and again, until the future is dropped.
    pub async fn run(self: Arc<Self>, storage: Storage, clock: Arc<dyn Clock>) {
        loop {
            clock.sleep_until(clock.now().plus(FLUSH_EVERY)).await;
            self.flush(&storage).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_counted_by_key_and_the_last_one_is_known() {
        let usage = KeyUsage::default();
        usage.note(TenantId(1), KeyId(1), Timestamp(5));
        usage.note(TenantId(1), KeyId(1), Timestamp(7));
        usage.note(TenantId(2), KeyId(1), Timestamp(6));
        assert_eq!(usage.pending(TenantId(1), KeyId(1)), KeyUse { requests: 2, last_used_at: Some(Timestamp(7)) });
        assert_eq!(usage.pending(TenantId(1), KeyId(2)), KeyUse::default());
    }
}
