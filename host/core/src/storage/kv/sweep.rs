//! Removes what plugins kept for a time that is over, in bounded steps.

use std::collections::BTreeMap;

use super::row::{read_row, remove_row, unchanged};
use crate::clock::Timestamp;
use crate::records::id::TenantId;
use crate::storage::codec::decode;
use crate::storage::engine::{Batch, Entry, KeyRange};
use crate::storage::{CONFLICT_TRIES_MAX, Storage, StorageError, keys};

/// Keys that one step removes.
const STEP: usize = if cfg!(test) { 16 } else { 256 };
/// Steps that somebody waits for who asks how much is kept, or has no room.
const STEPS_WAITED_FOR: usize = 8;

impl Storage {
    /// Removes keys of a tenant's plugins whose time is over at `now`, the oldest end first, a bounded number of them. Returns how
    /// many; when it is none, nothing is left to remove.
    ///
    /// # Errors
    /// When the engine fails or a row is damaged.
    pub async fn sweep_kv(&self, tenant: TenantId, now: Timestamp) -> Result<usize, StorageError> {
        let over =
            KeyRange { end: Some(keys::kv_expiries_to(tenant, now)), ..KeyRange::prefix(&keys::kv_expiries(tenant), STEP) };
        for _ in 0..CONFLICT_TRIES_MAX {
            let ends = self.engine.range(&over).await?;
            if ends.is_empty() {
                return Ok(0);
            }
            let batch = self.remove_ended(tenant, &ends).await?;
            match self.engine.commit(batch).await {
                // A key was written anew: look again.
                Err(StorageError::Conflict) => {}
                done => return done.map(|_| ends.len()),
            }
        }
        // Who keeps writing takes its place in the order of ends away by itself.
        Ok(0)
    }

    async fn remove_ended(&self, tenant: TenantId, ends: &[Entry]) -> Result<Batch, StorageError> {
        let (mut batch, mut bytes) = (Batch::default(), BTreeMap::<String, i64>::new());
        for (end, value) in ends {
            let (plugin, key): (String, String) = decode(end, value)?;
            let place = keys::kv(tenant, &plugin, &key);
            let row = self.engine.get(&place).await?;
            batch.check(unchanged(place.clone(), row.as_deref()));
            if let Some(row) = row
                && let Some(at) = read_row(&place, &row)?.expires_at
                && keys::kv_expiry(tenant, at, &plugin, &key) == *end
            {
                *bytes.entry(plugin.clone()).or_default() -= remove_row(&mut batch, tenant, &plugin, (&key, &row))?;
            }
            batch.delete(end.clone());
        }
        bytes.into_iter().for_each(|(plugin, bytes)| batch.add(keys::kv_bytes(tenant, &plugin), bytes));
        Ok(batch)
    }

    /// Sweeps what somebody waits for; what is left is swept in its time.
    pub(super) async fn make_kv_room(&self, tenant: TenantId, now: Timestamp) -> Result<(), StorageError> {
        for _ in 0..STEPS_WAITED_FOR {
            if self.sweep_kv(tenant, now).await? == 0 {
                break;
            }
        }
        Ok(())
    }
}
