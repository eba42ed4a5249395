//! Blobs: which tenant keeps which file, until when, and how many references the bytes still have.
//!
//! The bytes themselves are files beside the database. A reference, its place in the order of expiry, the count of references
//! to its bytes and the tenant's total change in one commit, so that a file without a reference can be removed at any time.

use super::codec::{decode, encode};
use super::engine::{Batch, Check, KeyRange, count_in};
use super::{CONFLICT_TRIES_MAX, Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::blob::{Blob, BlobId};
use crate::records::id::TenantId;

/// What became of a blob that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is kept.
    Yes,
    /// The tenant keeps too much already.
    Full {
        /// What it keeps, bytes.
        used: u64,
    },
}

impl Storage {
    /// Keeps a reference to a file, unless the tenant would then keep more than `bytes_max`.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when the handle is taken; else when the engine fails.
    pub async fn keep_blob(&self, tenant: TenantId, blob: &Blob, bytes_max: u64) -> Result<Kept, StorageError> {
        let (key, total) = (keys::blob(tenant, &blob.id), keys::blob_bytes(tenant));
        let Some(room) = bytes_max.checked_sub(blob.bytes) else {
            return Ok(Kept::Full { used: self.blob_bytes(tenant).await? });
        };
        let mut batch = Batch::default();
        batch.check(Check::Absent { key: key.clone() });
        batch.check(Check::AtMost { key: total.clone(), max: room });
        batch.put(key.clone(), encode(&key, blob)?);
        Self::put_expiry(&mut batch, tenant, blob)?;
        batch.add(total, signed(blob.bytes));
        batch.add(keys::blob_uses(&blob.sha256), 1);
        match self.engine.commit(batch).await {
            Ok(_) => Ok(Kept::Yes),
            Err(StorageError::Conflict) => {
                let used = self.blob_bytes(tenant).await?;
                if used > room { Ok(Kept::Full { used }) } else { Err(StorageError::Conflict) }
            }
            Err(error) => Err(error),
        }
    }

    fn put_expiry(batch: &mut Batch, tenant: TenantId, blob: &Blob) -> Result<(), StorageError> {
        let place = keys::blob_expiry(tenant, blob.expires_at, &blob.id);
        let value = encode(&place, &blob.id)?;
        batch.put(place, value);
        Ok(())
    }

    /// A blob of a tenant.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn blob(&self, tenant: TenantId, id: &BlobId) -> Result<Option<Blob>, StorageError> {
        self.read(&keys::blob(tenant, id)).await
    }

    /// Puts off the end of a blob until `until`, unless it ends later anyway. `None` when there is none.
    ///
    /// # Errors
    /// When the engine fails or others kept changing it.
    pub async fn extend_blob(&self, tenant: TenantId, id: &BlobId, until: Timestamp) -> Result<Option<Blob>, StorageError> {
        let key = keys::blob(tenant, id);
        for _ in 0..CONFLICT_TRIES_MAX {
            let Some(value) = self.engine.get(&key).await? else { return Ok(None) };
            let mut blob: Blob = decode(&key, &value)?;
            if blob.expires_at >= until {
                return Ok(Some(blob));
            }
            let mut batch = Batch::default();
            batch.check(Check::Equals { key: key.clone(), value });
            batch.delete(keys::blob_expiry(tenant, blob.expires_at, id));
            blob.expires_at = until;
            batch.put(key.clone(), encode(&key, &blob)?);
            Self::put_expiry(&mut batch, tenant, &blob)?;
            match self.engine.commit(batch).await {
                Err(StorageError::Conflict) => {}
                other => return other.map(|_| Some(blob)),
            }
        }
        Err(StorageError::Conflict)
    }

    /// Removes a reference, if it ends by `by` (`None`: whenever it ends). Returns what was removed. The caller removes the
    /// bytes when no reference is left.
    ///
    /// # Errors
    /// When the engine fails or others kept changing it.
    pub async fn delete_blob(
        &self,
        tenant: TenantId,
        id: &BlobId,
        by: Option<Timestamp>,
    ) -> Result<Option<Blob>, StorageError> {
        let key = keys::blob(tenant, id);
        for _ in 0..CONFLICT_TRIES_MAX {
            let Some(value) = self.engine.get(&key).await? else { return Ok(None) };
            let blob: Blob = decode(&key, &value)?;
            if by.is_some_and(|by| blob.expires_at > by) {
                return Ok(None);
            }
            let mut batch = Batch::default();
            batch.check(Check::Equals { key: key.clone(), value });
            batch.delete(key.clone());
            batch.delete(keys::blob_expiry(tenant, blob.expires_at, id));
            batch.add(keys::blob_bytes(tenant), -signed(blob.bytes));
            batch.add(keys::blob_uses(&blob.sha256), -1);
            match self.engine.commit(batch).await {
                Err(StorageError::Conflict) => {}
                other => return other.map(|_| Some(blob)),
            }
        }
        Err(StorageError::Conflict)
    }

    /// Handles of the tenant's blobs that end by `now`, the oldest end first.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn expired_blobs(&self, tenant: TenantId, now: Timestamp, limit: usize) -> Result<Vec<BlobId>, StorageError> {
        let mut range = KeyRange::prefix(&keys::blob_expiries(tenant), limit);
        range.end = Some(keys::blob_expiry_from(tenant, Timestamp(now.0.saturating_add(1))));
        self.engine.range(&range).await?.iter().map(|(key, value)| decode(key, value)).collect()
    }

    /// How many references are left to the bytes of this hash, of every tenant.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn blob_uses(&self, sha256: &str) -> Result<u64, StorageError> {
        Ok(count_in(self.engine.get(&keys::blob_uses(sha256)).await?.as_deref()))
    }

    /// What a tenant keeps, bytes; the same bytes kept twice count twice.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn blob_bytes(&self, tenant: TenantId) -> Result<u64, StorageError> {
        Ok(count_in(self.engine.get(&keys::blob_bytes(tenant)).await?.as_deref()))
    }
}

/// A size as a change of a count.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
