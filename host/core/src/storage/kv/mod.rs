//! What plugins keep for a tenant: values under keys, counted to the byte.
//!
//! A value, its place in the order of ends and the count of bytes change in one commit that checks what was there before, so
//! that the count is exact however many write at once. What is over does not exist: a sweep only makes its room free.

mod effects;
mod row;
mod scan;
mod sweep;

use std::sync::Arc;

use super::codec::decode;
use super::engine::{Batch, Check, count_in};
use super::{CONFLICT_TRIES_MAX, Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::id::TenantId;
use crate::records::plugin::{KV_KEY_BYTES_MAX, KV_VALUE_BYTES_MAX, KvPage, KvStretch, KvUsage, KvValue, KvWrite, Plugin};

pub use effects::KvEffects;
pub(super) use effects::KvSettled;
pub(super) use row::remove_row;
use row::{Change, read_row};

/// Why something is not kept or read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum KvError {
    /// A key, a value or a stretch cannot be taken.
    #[error("{field} {why}")]
    Invalid {
        /// Which: `key`, `value`, `begin`, `end` or `limit`.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// There is no room.
    #[error("{} of {} bytes are used", .0.used, .0.max)]
    Full(KvUsage),
    /// The run has to do with too much.
    #[error("a run reads and writes at most {max} {what}")]
    RunFull {
        /// `keys` or `bytes`.
        what: &'static str,
        /// The most.
        max: usize,
    },
    /// The plugin was deleted.
    #[error("the plugin was deleted")]
    PluginGone,
    /// Storage failed, or others kept changing the key.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What one plugin keeps for one tenant.
#[derive(Clone)]
pub struct KvStorage {
    storage: Storage,
    tenant: TenantId,
    plugin: Arc<str>,
    made_at: Option<Timestamp>,
    bytes_max: u64,
}

impl Storage {
    /// What `plugin`, by its full name, keeps for `tenant`: at most `bytes_max` bytes of keys and values.
    pub fn kv(&self, tenant: TenantId, plugin: &str, bytes_max: u64) -> KvStorage {
        KvStorage { storage: self.clone(), tenant, plugin: plugin.into(), made_at: None, bytes_max }
    }

    /// Bytes of keys and values that `plugin` keeps, those among them that are over and not swept.
    async fn kv_bytes(&self, tenant: TenantId, plugin: &str) -> Result<u64, StorageError> {
        Ok(count_in(self.engine.get(&keys::kv_bytes(tenant, plugin)).await?.as_deref()))
    }
}

impl KvStorage {
    /// For the plugin of this name that was made then alone: what a call of it writes after it was deleted is not kept for a
    /// plugin that bears its name by now.
    pub fn made_at(self, made_at: Timestamp) -> Self {
        Self { made_at: Some(made_at), ..self }
    }

    /// The value of a key. In a `run` the same answer however often it is asked, unless the run itself wrote it; the key is
    /// looked at once more when the run is settled.
    ///
    /// # Errors
    /// [`KvError::Invalid`], [`KvError::RunFull`], and when the engine fails.
    pub async fn get(&self, key: &str, run: Option<&mut KvEffects>, now: Timestamp) -> Result<Option<KvValue>, KvError> {
        check_key("key", key, 1)?;
        let Some(run) = run else {
            let row = self.row(key).await?;
            return Ok(self.live(key, row.as_deref(), now)?);
        };
        if let Some(written) = run.written(key) {
            return Ok(written.filter(|value| value.lives(now)).cloned());
        }
        if !run.has_read(key) {
            run.note_read(key, self.row(key).await?)?;
        }
        Ok(self.live(key, run.read(key), now)?)
    }

    /// Changes a key: in a `run` when that is settled, else at once. Whether it had what [`KvWrite::PutIf`] expects, or whether
    /// there was one that [`KvWrite::Delete`] removed; always for [`KvWrite::Put`].
    ///
    /// # Errors
    /// [`KvError::Invalid`], [`KvError::Full`] with what is used and the limit, [`KvError::RunFull`], [`KvError::PluginGone`],
    /// and when the engine fails or others kept changing the key.
    pub async fn write(
        &self,
        key: &str,
        write: KvWrite,
        run: Option<&mut KvEffects>,
        now: Timestamp,
    ) -> Result<bool, KvError> {
        check_key("key", key, 1)?;
        check_write(&write)?;
        match run {
            Some(run) => self.write_in_run(key, write, run, now).await,
            None => self.write_at_once(key, write, now).await,
        }
    }

    /// How much is kept, with what `run` is going to change.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn usage(&self, run: Option<&KvEffects>, now: Timestamp) -> Result<KvUsage, KvError> {
        self.storage.make_kv_room(self.tenant, now).await?;
        let kept = self.storage.kv_bytes(self.tenant, &self.plugin).await?;
        let used = kept.saturating_add_signed(run.map_or(0, KvEffects::growth));
        Ok(KvUsage { used, max: self.bytes_max })
    }

    /// The entries of a stretch, with what `run` wrote.
    ///
    /// # Errors
    /// [`KvError::Invalid`], and when the engine fails.
    pub async fn scan(&self, stretch: &KvStretch, run: Option<&KvEffects>, now: Timestamp) -> Result<KvPage, KvError> {
        check_key("begin", &stretch.begin, 0)?;
        check_key("end", stretch.end.as_deref().unwrap_or_default(), 0)?;
        scan::scan(self, stretch, run, now).await
    }

    async fn row(&self, key: &str) -> Result<Option<Vec<u8>>, StorageError> {
        self.storage.engine.get(&keys::kv(self.tenant, &self.plugin, key)).await
    }

    fn live(&self, key: &str, row: Option<&[u8]>, now: Timestamp) -> Result<Option<KvValue>, StorageError> {
        let place = keys::kv(self.tenant, &self.plugin, key);
        let value = row.map(|row| read_row(&place, row)).transpose()?;
        Ok(value.filter(|value| value.lives(now)))
    }

    async fn write_at_once(&self, key: &str, write: KvWrite, now: Timestamp) -> Result<bool, KvError> {
        let (owner, name) = Plugin::owner_and_name(&self.plugin).ok_or(KvError::PluginGone)?;
        let record = keys::plugin(owner, name);
        for _ in 0..CONFLICT_TRIES_MAX {
            // What a call of a deleted plugin writes would be left for ever.
            let value = self.storage.engine.get(&record).await?.ok_or(KvError::PluginGone)?;
            if let Some(made_at) = self.made_at
                && decode::<Plugin>(&record, &value)?.created_at != made_at
            {
                return Err(KvError::PluginGone);
            }
            let before = self.row(key).await?;
            let there = self.live(key, before.as_deref(), now)?;
            let (after, answer) = match &write {
                KvWrite::Put(value) => (Some(value), true),
                KvWrite::PutIf(expected, value) if expected.holds(there.as_ref()) => (Some(value), true),
                KvWrite::Delete if before.is_some() => (None, there.is_some()),
                KvWrite::PutIf(..) | KvWrite::Delete => return Ok(false),
            };
            let mut batch = Batch::default();
            batch.check(Check::Equals { key: record.clone(), value });
            let change = Change { key, before: before.as_deref(), after };
            let growth = change.put(&mut batch, self.tenant, &self.plugin)?;
            if charge(&mut batch, self.tenant, &self.plugin, growth, self.bytes_max) {
                match self.storage.engine.commit(batch).await {
                    Err(StorageError::Conflict) => {}
                    done => return Ok(done.map(|_| answer)?),
                }
            }
            self.room_for(growth, now).await?;
        }
        Err(KvError::Storage(StorageError::Conflict))
    }

    /// Refuses what there is no room for, once what is over was swept.
    async fn room_for(&self, growth: i64, now: Timestamp) -> Result<(), KvError> {
        let full = |used: u64| growth > 0 && used.saturating_add_signed(growth) > self.bytes_max;
        if !full(self.storage.kv_bytes(self.tenant, &self.plugin).await?) {
            return Ok(());
        }
        self.storage.make_kv_room(self.tenant, now).await?;
        let used = self.storage.kv_bytes(self.tenant, &self.plugin).await?;
        if full(used) { Err(KvError::Full(KvUsage { used, max: self.bytes_max })) } else { Ok(()) }
    }

    async fn write_in_run(&self, key: &str, write: KvWrite, run: &mut KvEffects, now: Timestamp) -> Result<bool, KvError> {
        let (after, answer) = match write {
            KvWrite::Put(value) => (Some(value), true),
            KvWrite::PutIf(expected, value) => {
                if !expected.holds(self.get(key, Some(&mut *run), now).await?.as_ref()) {
                    return Ok(false);
                }
                (Some(value), true)
            }
            KvWrite::Delete => (None, self.get(key, Some(&mut *run), now).await?.is_some()),
        };
        let there = match run.bytes_before(key) {
            Some(bytes) => bytes,
            None => match self.row(key).await? {
                Some(row) => row::size(key, &read_row(&keys::kv(self.tenant, &self.plugin, key), &row)?),
                None => 0,
            },
        };
        let growth = run.growth_with(key, after.as_ref(), there)?;
        if growth > run.growth() {
            // What the run wrote before is used, too.
            let used = |used: u64| used.saturating_add_signed(run.growth());
            self.room_for(growth, now).await.map_err(|error| match error {
                KvError::Full(kept) => KvError::Full(KvUsage { used: used(kept.used), ..kept }),
                other => other,
            })?;
        }
        run.put(key, after, there, self.bytes_max);
        Ok(answer)
    }
}

/// Counts what a batch adds to what a plugin keeps: it is refused where that would be more than `bytes_max`. What makes less of
/// it passes always, also where less was granted meanwhile. False if it is more than may be kept by itself.
fn charge(batch: &mut Batch, tenant: TenantId, plugin: &str, growth: i64, bytes_max: u64) -> bool {
    let count = keys::kv_bytes(tenant, plugin);
    if growth > 0 {
        let Some(max) = bytes_max.checked_sub(growth.unsigned_abs()) else { return false };
        batch.check(Check::AtMost { key: count.clone(), max });
    }
    if growth != 0 {
        batch.add(count, growth);
    }
    true
}

fn check_key(field: &'static str, key: &str, bytes_min: usize) -> Result<(), KvError> {
    if (bytes_min..=KV_KEY_BYTES_MAX).contains(&key.len()) {
        return Ok(());
    }
    let why = format!("has {} bytes; {bytes_min} to {KV_KEY_BYTES_MAX} are taken", key.len());
    Err(KvError::Invalid { field, why })
}

fn check_write(write: &KvWrite) -> Result<(), KvError> {
    let (KvWrite::Put(value) | KvWrite::PutIf(_, value)) = write else { return Ok(()) };
    if value.bytes.len() <= KV_VALUE_BYTES_MAX {
        return Ok(());
    }
    let why = format!("has {} bytes; the limit is {KV_VALUE_BYTES_MAX}", value.bytes.len());
    Err(KvError::Invalid { field: "value", why })
}
