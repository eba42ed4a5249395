//! One value as it is stored, and what changes with it.

use crate::clock::Timestamp;
use crate::records::id::TenantId;
use crate::records::plugin::KvValue;
use crate::storage::codec::encode;
use crate::storage::engine::{Batch, Check};
use crate::storage::{StorageError, keys};

/// The version of rows that this build writes: this byte, when the value is gone (0 for never), and the value.
const VERSION: u8 = 1;
/// Bytes before the value.
const HEAD_BYTES: usize = 9;

/// What a key and its value count as.
pub(super) fn size(key: &str, value: &KvValue) -> u64 {
    key.len().saturating_add(value.bytes.len()) as u64
}

fn row(value: &KvValue) -> Vec<u8> {
    let mut row = Vec::with_capacity(HEAD_BYTES + value.bytes.len());
    row.push(VERSION);
    row.extend_from_slice(&value.expires_at.map_or(0, |at| at.0).to_be_bytes());
    row.extend_from_slice(&value.bytes);
    row
}

/// The value in a row that is stored at `place`.
pub(super) fn read_row(place: &[u8], row: &[u8]) -> Result<KvValue, StorageError> {
    let damaged = |why: &str| StorageError::Damaged { record_type: keys::record_type(place), why: why.into() };
    let (head, bytes) = row.split_first_chunk::<HEAD_BYTES>().ok_or_else(|| damaged("too short"))?;
    let [version, expires_at @ ..] = *head;
    if version != VERSION {
        return Err(damaged(&format!("version {version}; this build reads up to {VERSION}")));
    }
    let expires_at = Some(u64::from_be_bytes(expires_at)).filter(|at| *at > 0).map(Timestamp);
    Ok(KvValue { bytes: bytes.to_vec(), expires_at })
}

/// One key that changes.
pub(super) struct Change<'a> {
    /// Which.
    pub key: &'a str,
    /// What is stored under it now.
    pub before: Option<&'a [u8]>,
    /// What is to be.
    pub after: Option<&'a KvValue>,
}

impl Change<'_> {
    /// Lets `batch` make the change, if what is stored is still the same. Returns how many bytes more are kept then; the caller
    /// counts them.
    pub(super) fn put(&self, batch: &mut Batch, tenant: TenantId, plugin: &str) -> Result<i64, StorageError> {
        let place = keys::kv(tenant, plugin, self.key);
        batch.check(unchanged(place.clone(), self.before));
        let mut growth = 0;
        if let Some(before) = self.before {
            growth -= remove_row(batch, tenant, plugin, (self.key, before))?;
        }
        if let Some(after) = self.after {
            growth += signed(size(self.key, after));
            batch.put(place, row(after));
            if let Some(at) = after.expires_at {
                let end = keys::kv_expiry(tenant, at, plugin, self.key);
                batch.put(end.clone(), encode(&end, &(plugin, self.key))?);
            }
        }
        Ok(growth)
    }
}

/// Holds while a place has what it had.
pub(super) fn unchanged(place: Vec<u8>, before: Option<&[u8]>) -> Check {
    match before {
        Some(value) => Check::Equals { key: place, value: value.to_vec() },
        None => Check::Absent { key: place },
    }
}

/// Removes a key, of which `row` is stored, with its place in the order of ends. Returns how many bytes it counted as.
pub(in crate::storage) fn remove_row(
    batch: &mut Batch,
    tenant: TenantId,
    plugin: &str,
    (key, row): (&str, &[u8]),
) -> Result<i64, StorageError> {
    let place = keys::kv(tenant, plugin, key);
    let value = read_row(&place, row)?;
    if let Some(at) = value.expires_at {
        batch.delete(keys::kv_expiry(tenant, at, plugin, key));
    }
    batch.delete(place);
    Ok(signed(size(key, &value)))
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
