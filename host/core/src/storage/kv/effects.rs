//! What a run of a responder read and is going to write: kept with the end of the run, or not at all.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::ops::Bound;

use super::row::{Change, size, unchanged};
use super::{KvError, charge};
use crate::records::id::TenantId;
use crate::records::plugin::{KV_RUN_BYTES_MAX, KV_RUN_KEYS_MAX, KvUsage, KvValue};
use crate::storage::engine::Batch;
use crate::storage::{Storage, StorageError, keys};

/// A key that a run is going to write.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Written {
    /// What it is to have; `None` for nothing.
    pub(super) value: Option<KvValue>,
    /// What it counted as before.
    before_bytes: u64,
}

/// The effects of one run on what its plugin keeps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KvEffects {
    /// Keys that were read alone, and what was stored under them.
    reads: BTreeMap<String, Option<Vec<u8>>>,
    writes: BTreeMap<String, Written>,
    bytes_max: u64,
}

/// How it went to write effects into a batch.
pub(in crate::storage) enum KvSettled {
    /// They are in it.
    Put {
        /// Bytes more that are kept then.
        growth: i64,
        /// What was stored under the keys that the run wrote and had not read.
        befores: BTreeMap<String, Option<Vec<u8>>>,
    },
    /// There is no room.
    Full(KvUsage),
}

impl KvEffects {
    /// Whether there is nothing to keep and nothing to look at.
    pub fn is_empty(&self) -> bool {
        self.reads.is_empty() && self.writes.is_empty()
    }

    /// What the run wrote under a key: `Some(None)` when it deleted it.
    pub(super) fn written(&self, key: &str) -> Option<Option<&KvValue>> {
        self.writes.get(key).map(|written| written.value.as_ref())
    }

    /// Everything that the run wrote from `begin` on and before `end`.
    pub(super) fn written_in(&self, begin: &str, end: Option<&str>) -> Range<'_, String, Written> {
        let begin = Bound::Included(begin);
        let end = end.map_or(Bound::Unbounded, Bound::Excluded);
        self.writes.range::<str, _>((begin, end))
    }

    pub(super) fn has_read(&self, key: &str) -> bool {
        self.reads.contains_key(key)
    }

    /// What was stored under a key when the run read it.
    pub(super) fn read(&self, key: &str) -> Option<&[u8]> {
        self.reads.get(key)?.as_deref()
    }

    pub(super) fn note_read(&mut self, key: &str, row: Option<Vec<u8>>) -> Result<(), KvError> {
        self.check_limits(key.len() + row.as_ref().map_or(0, Vec::len), usize::from(!self.writes.contains_key(key)))?;
        self.reads.insert(key.to_owned(), row);
        Ok(())
    }

    /// What a key counted as before the run, if the run wrote it already.
    pub(super) fn bytes_before(&self, key: &str) -> Option<u64> {
        self.writes.get(key).map(|written| written.before_bytes)
    }

    /// How many bytes more are kept once the run is settled.
    pub(super) fn growth(&self) -> i64 {
        let growth = |(key, written): (&String, &Written)| growth_of(key, written.value.as_ref(), written.before_bytes);
        self.writes.iter().map(growth).sum()
    }

    /// The same if the run wrote `after` under `key`, which counted as `before_bytes` before the run.
    pub(super) fn growth_with(&self, key: &str, after: Option<&KvValue>, before_bytes: u64) -> Result<i64, KvError> {
        let known = self.reads.contains_key(key) || self.writes.contains_key(key);
        let size_of = |value: Option<&KvValue>| key.len() + value.map_or(0, |value| value.bytes.len());
        let now = self.writes.get(key).map_or(0, |written| size_of(written.value.as_ref()));
        self.check_limits(size_of(after).saturating_sub(now), usize::from(!known))?;
        let before = self.writes.get(key).map_or(0, |written| growth_of(key, written.value.as_ref(), before_bytes));
        Ok(self.growth() - before + growth_of(key, after, before_bytes))
    }

    pub(super) fn put(&mut self, key: &str, value: Option<KvValue>, before_bytes: u64, bytes_max: u64) {
        self.writes.insert(key.to_owned(), Written { value, before_bytes });
        self.bytes_max = bytes_max;
    }

    /// Refuses `more_bytes` of `more_keys` where that would be too much for one run.
    fn check_limits(&self, more_bytes: usize, more_keys: usize) -> Result<(), KvError> {
        let only_read = self.reads.keys().filter(|key| !self.writes.contains_key(*key)).count();
        if only_read + self.writes.len() + more_keys > KV_RUN_KEYS_MAX {
            return Err(KvError::RunFull { what: "keys", max: KV_RUN_KEYS_MAX });
        }
        let read = self.reads.iter().map(|(key, row)| key.len() + row.as_ref().map_or(0, Vec::len));
        let written =
            self.writes.iter().map(|(key, written)| key.len() + written.value.as_ref().map_or(0, |it| it.bytes.len()));
        if read.chain(written).sum::<usize>() + more_bytes > KV_RUN_BYTES_MAX {
            return Err(KvError::RunFull { what: "bytes", max: KV_RUN_BYTES_MAX });
        }
        Ok(())
    }
}

fn growth_of(key: &str, value: Option<&KvValue>, before_bytes: u64) -> i64 {
    let after = value.map_or(0, |value| size(key, value));
    i64::try_from(after).unwrap_or(i64::MAX) - i64::try_from(before_bytes).unwrap_or(i64::MAX)
}

impl Storage {
    /// Writes a run's effects into the batch that settles it: they are kept if everything that the run read alone is as it was.
    pub(in crate::storage) async fn put_kv_effects(
        &self,
        batch: &mut Batch,
        tenant: TenantId,
        plugin: &str,
        effects: &KvEffects,
    ) -> Result<KvSettled, StorageError> {
        for (key, row) in effects.reads.iter().filter(|(key, _)| !effects.writes.contains_key(*key)) {
            batch.check(unchanged(keys::kv(tenant, plugin, key), row.as_deref()));
        }
        let (mut growth, mut befores) = (0, BTreeMap::new());
        for (key, written) in &effects.writes {
            let before = match effects.reads.get(key) {
                Some(row) => row,
                None => {
                    let row = self.engine.get(&keys::kv(tenant, plugin, key)).await?;
                    befores.entry(key.clone()).or_insert(row)
                }
            };
            let change = Change { key, before: before.as_deref(), after: written.value.as_ref() };
            growth += change.put(batch, tenant, plugin)?;
        }
        if charge(batch, tenant, plugin, growth, effects.bytes_max) {
            return Ok(KvSettled::Put { growth, befores });
        }
        let used = self.kv_bytes(tenant, plugin).await?;
        Ok(KvSettled::Full(KvUsage { used, max: effects.bytes_max }))
    }

    /// Whether a key that the run read alone has changed since.
    pub(in crate::storage) async fn kv_reads_changed(
        &self,
        tenant: TenantId,
        plugin: &str,
        effects: &KvEffects,
    ) -> Result<bool, StorageError> {
        self.kv_rows_changed(tenant, plugin, &effects.reads).await
    }

    /// Whether any of these rows has changed.
    pub(in crate::storage) async fn kv_rows_changed(
        &self,
        tenant: TenantId,
        plugin: &str,
        rows: &BTreeMap<String, Option<Vec<u8>>>,
    ) -> Result<bool, StorageError> {
        for (key, row) in rows {
            if self.engine.get(&keys::kv(tenant, plugin, key)).await? != *row {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How much is kept, if `growth` more is more than the effects may keep.
    pub(in crate::storage) async fn kv_over(
        &self,
        tenant: TenantId,
        plugin: &str,
        effects: &KvEffects,
        growth: i64,
    ) -> Result<Option<KvUsage>, StorageError> {
        let used = self.kv_bytes(tenant, plugin).await?;
        let over = growth > 0 && used.saturating_add_signed(growth) > effects.bytes_max;
        Ok(over.then_some(KvUsage { used, max: effects.bytes_max }))
    }
}
