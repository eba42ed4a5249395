//! How records become values: a version byte, then JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{StorageError, keys};

/// The version that this build writes. A reader of a later version also reads every earlier one.
const VERSION: u8 = 1;

fn damaged(key: &[u8], why: impl Into<std::sync::Arc<str>>) -> StorageError {
    StorageError::Damaged { record_type: keys::record_type(key), why: why.into() }
}

/// The value of `record`.
pub(super) fn encode<T: Serialize>(key: &[u8], record: &T) -> Result<Vec<u8>, StorageError> {
    let mut value = vec![VERSION];
    serde_json::to_writer(&mut value, record).map_err(|error| damaged(key, error.to_string()))?;
    Ok(value)
}

/// The record in `value`.
pub(super) fn decode<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, StorageError> {
    match value.split_first() {
        Some((&VERSION, json)) => serde_json::from_slice(json).map_err(|error| damaged(key, error.to_string())),
        Some((version, _)) => Err(damaged(key, format!("version {version}; this build reads up to {VERSION}"))),
        None => Err(damaged(key, "no bytes")),
    }
}
