//! How this device's keys and values are laid out in bytes.
//!
//! Keys: ids are big-endian, so their order is numeric. A key of several parts has each part but the last one prefixed
//! by its length: peers choose message ids, so no separator byte is safe from appearing inside a part.
//!
//! Values: what the library gives as bytes is stored as it is. Everything else begins with a version byte: structures
//! are JSON, a row with an age is its time and then its content, a one-time prekey is its flag and then its record.

use serde::Serialize;
use serde::de::DeserializeOwned;
use wacore::store::error::{Result, StoreError};

const VERSION: u8 = 1;

/// Flipped in a signed time, so that byte order is time order on both sides of zero.
const SIGN_BIT: u64 = 1 << 63;

/// The value of a row whose key says it all.
pub(super) const NOTHING: &[u8] = &[];

/// A key of several parts; `last` is not length-prefixed, so `composed(parts, b"")` is the prefix of all keys that
/// begin with `parts`.
pub(super) fn composed(parts: &[&[u8]], last: &[u8]) -> Vec<u8> {
    let bytes = parts.iter().map(|part| part.len() + size_of::<u32>()).sum::<usize>();
    let mut key = Vec::with_capacity(bytes + last.len());
    for part in parts {
        // A part comes out of one WhatsApp frame, and those end at 16 MiB.
        let part_bytes = u32::try_from(part.len()).unwrap_or(u32::MAX);
        key.extend_from_slice(&part_bytes.to_be_bytes());
        key.extend_from_slice(part);
    }
    key.extend_from_slice(last);
    key
}

/// What follows `prefix` in a key, as text.
pub(super) fn text_after(prefix: &[u8], key: &[u8]) -> Result<String> {
    let tail = key.strip_prefix(prefix).ok_or_else(|| corrupt("key outside of its prefix"))?;
    String::from_utf8(tail.to_vec()).map_err(|error| StoreError::Serialization(Box::new(error)))
}

/// The numeric id which is a whole key.
pub(super) fn id_of(key: &[u8]) -> Result<u32> {
    key.try_into().map(u32::from_be_bytes).map_err(|_| corrupt("id"))
}

/// The key of a row in an index by time.
pub(super) fn time_key(time: i64, row_key: &[u8]) -> Vec<u8> {
    let mut key = (time.cast_unsigned() ^ SIGN_BIT).to_be_bytes().to_vec();
    key.extend_from_slice(row_key);
    key
}

/// The time and the row's own key, out of a key made by [`time_key`].
pub(super) fn split_time_key(key: &[u8]) -> Result<(i64, &[u8])> {
    let (time, row_key) = key.split_first_chunk().ok_or_else(|| corrupt("key with a time"))?;
    Ok(((u64::from_be_bytes(*time) ^ SIGN_BIT).cast_signed(), row_key))
}

/// A value with a time before its content.
pub(super) fn timed(time: i64, content: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(1 + size_of::<i64>() + content.len());
    value.push(VERSION);
    value.extend_from_slice(&time.to_be_bytes());
    value.extend_from_slice(content);
    value
}

/// The time and the content, out of a value made by [`timed`].
pub(super) fn split_timed(value: &[u8]) -> Result<(i64, &[u8])> {
    split_time(body(value)?)
}

/// A big-endian time and what follows it.
pub(super) fn split_time(bytes: &[u8]) -> Result<(i64, &[u8])> {
    let (time, rest) = bytes.split_first_chunk().ok_or_else(|| corrupt("value with a time"))?;
    Ok((i64::from_be_bytes(*time), rest))
}

/// A value with a flag before its content.
pub(super) fn flagged(flag: bool, content: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(2 + content.len());
    value.push(VERSION);
    value.push(u8::from(flag));
    value.extend_from_slice(content);
    value
}

/// The flag and the content, out of a value made by [`flagged`].
pub(super) fn split_flagged(value: &[u8]) -> Result<(bool, &[u8])> {
    match body(value)? {
        [0, content @ ..] => Ok((false, content)),
        [1, content @ ..] => Ok((true, content)),
        _ => Err(corrupt("value with a flag")),
    }
}

/// A structure as a value.
pub(super) fn to_json<T: Serialize>(structure: &T) -> Result<Vec<u8>> {
    let mut value = vec![VERSION];
    serde_json::to_writer(&mut value, structure).map_err(|error| StoreError::Serialization(Box::new(error)))?;
    Ok(value)
}

/// The structure out of a value made by [`to_json`].
pub(super) fn from_json<T: DeserializeOwned>(value: &[u8]) -> Result<T> {
    serde_json::from_slice(body(value)?).map_err(|error| StoreError::Serialization(Box::new(error)))
}

/// Our own rows did not have the shape we write them in.
pub(super) fn corrupt(what: &str) -> StoreError {
    StoreError::Validation(format!("stored {what} is not in a layout this version knows"))
}

fn body(value: &[u8]) -> Result<&[u8]> {
    match value {
        [VERSION, body @ ..] => Ok(body),
        _ => Err(corrupt("value")),
    }
}
