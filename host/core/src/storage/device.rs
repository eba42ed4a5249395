//! A WhatsApp device's own storage: sealed rows in tables, of one session.
//!
//! What a row means is the business of the client library's storage traits. Every commit carries the session's owner epoch:
//! once the session is deleted or owned elsewhere, nothing more is written. Nor is it while an earlier device is being forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::cleanup::Leftover;
use super::engine::{Batch, Check, KeyRange};
use super::{Storage, StorageError, keys};
use crate::records::id::{SessionId, TenantId};

/// A table of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceTable(pub u8);

/// Identifies the exact stored value that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp(Vec<u8>);

/// One device's rows.
#[derive(Clone)]
pub struct DeviceStorage {
    storage: Storage,
    base: Vec<u8>,
    /// What must hold for whatever it writes.
    checks: [Check; 2],
    /// Set once the device is to write nothing more. Clones share it.
    over: Arc<AtomicBool>,
}

/// Changes to a device's rows that are kept together or not at all.
pub struct DeviceBatch {
    storage: Storage,
    base: Vec<u8>,
    batch: Batch,
}

fn row(base: &[u8], table: DeviceTable, key: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(base.len() + 1 + key.len());
    row.extend_from_slice(base);
    row.push(table.0);
    row.extend_from_slice(key);
    row
}

impl Storage {
    /// The rows of the device that `session` is.
    pub fn device(&self, tenant: TenantId, session: SessionId) -> DeviceStorage {
        DeviceStorage {
            storage: self.clone(),
            base: keys::device(tenant, session),
            // What is written while an earlier device is being forgotten would be forgotten with it.
            checks: [Self::owner_check(tenant, session), Leftover::Device { tenant, session }.absent()],
            over: Arc::default(),
        }
    }

    /// Forgets everything the device knew, as after a logout: the next pairing starts from nothing. When this returns `Ok`,
    /// nothing is left.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when the session is gone; else when the engine fails: then [`Storage::finish_forgetting`] goes on.
    pub async fn forget_device(&self, tenant: TenantId, session: SessionId) -> Result<(), StorageError> {
        let left = Leftover::Device { tenant, session };
        let mut batch = Batch::default();
        batch.check(Self::owner_check(tenant, session));
        left.put(&mut batch)?;
        self.engine.commit(batch).await?;
        self.finish_cleanup(&left).await
    }

    /// Goes on with forgetting a device, if that was broken off. Before it is finished no device of the session writes anything.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn finish_forgetting(&self, tenant: TenantId, session: SessionId) -> Result<(), StorageError> {
        self.finish_cleanup(&Leftover::Device { tenant, session }).await
    }
}

impl DeviceStorage {
    /// The value of a row.
    ///
    /// # Errors
    /// When the engine fails or the row does not open.
    pub async fn get(&self, table: DeviceTable, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.get_stamped(table, key).await?.map(|(value, _)| value))
    }

    /// The value of a row, and a stamp that [`DeviceBatch::unchanged`] compares.
    ///
    /// # Errors
    /// When the engine fails or the row does not open.
    pub async fn get_stamped(&self, table: DeviceTable, key: &[u8]) -> Result<Option<(Vec<u8>, Stamp)>, StorageError> {
        let key = row(&self.base, table, key);
        let Some(sealed) = self.storage.engine.get(&key).await? else { return Ok(None) };
        let value = self.storage.vault.open(&key, &sealed)?;
        Ok(Some((value, Stamp(sealed))))
    }

    /// Up to `limit` rows whose key begins with `prefix`, in order, after the key `after`.
    ///
    /// # Errors
    /// When the engine fails or a row does not open.
    pub async fn scan(
        &self,
        table: DeviceTable,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StorageError> {
        let mut range = KeyRange::prefix(&row(&self.base, table, prefix), limit);
        if let Some(after) = after {
            range = range.after(&row(&self.base, table, after));
        }
        self.rows(&range).await
    }

    /// The last key that begins with `prefix`.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn last_key(&self, table: DeviceTable, prefix: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        let range = KeyRange::prefix(&row(&self.base, table, prefix), 1).reversed();
        Ok(self.rows(&range).await?.pop().map(|(key, _)| key))
    }

    async fn rows(&self, range: &KeyRange) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StorageError> {
        let head = self.base.len() + 1;
        let entries = self.storage.engine.range(range).await?;
        entries
            .into_iter()
            .map(|(key, sealed)| {
                let value = self.storage.vault.open(&key, &sealed)?;
                Ok((key.get(head..).unwrap_or_default().to_vec(), value))
            })
            .collect()
    }

    /// From now on nothing is written through this value and its clones: what a client still does after it was told to stop must
    /// not come to life again in the rows of the device that follows it.
    pub fn close(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// An empty batch for this device.
    pub fn batch(&self) -> DeviceBatch {
        DeviceBatch { storage: self.storage.clone(), base: self.base.clone(), batch: Batch::default() }
    }

    /// Keeps the batch; it is durable when this returns `Ok`.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when an `unchanged` does not hold, the session is gone or an earlier device of it is not yet
    /// forgotten, [`StorageError::Closed`] after [`DeviceStorage::close`]; else when the engine fails.
    pub async fn commit(&self, batch: DeviceBatch) -> Result<(), StorageError> {
        // Rows of another device are none of this one's business.
        if batch.base != self.base {
            return Err(StorageError::Conflict);
        }
        if batch.is_empty() {
            return Ok(());
        }
        if self.over.load(Ordering::Acquire) {
            return Err(StorageError::Closed);
        }
        let mut batch = batch.batch;
        batch.checks.extend(self.checks.iter().cloned());
        self.storage.engine.commit(batch).await.map(|_| ())
    }
}

impl DeviceBatch {
    /// Stores a row.
    pub fn put(&mut self, table: DeviceTable, key: &[u8], value: &[u8]) {
        let key = row(&self.base, table, key);
        let sealed = self.storage.vault.seal(&key, value);
        self.batch.put(key, sealed);
    }

    /// Removes a row.
    pub fn delete(&mut self, table: DeviceTable, key: &[u8]) {
        self.batch.delete(row(&self.base, table, key));
    }

    /// Removes every row whose key begins with `prefix`.
    pub fn delete_prefix(&mut self, table: DeviceTable, prefix: &[u8]) {
        self.batch.delete_prefix(row(&self.base, table, prefix));
    }

    /// Keeps the batch only if the row is still what `stamp` says; `None`: only if there is none.
    pub fn unchanged(&mut self, table: DeviceTable, key: &[u8], stamp: Option<&Stamp>) {
        let key = row(&self.base, table, key);
        self.batch.check(match stamp {
            Some(Stamp(value)) => Check::Equals { key, value: value.clone() },
            None => Check::Absent { key },
        });
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }
}
