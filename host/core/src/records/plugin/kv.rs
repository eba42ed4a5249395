//! What a plugin keeps for a tenant: values under keys, some of them for a time.

use crate::clock::Timestamp;

/// Bytes of a key; it has at least one.
pub const KV_KEY_BYTES_MAX: usize = 512;
/// Bytes of a value.
pub const KV_VALUE_BYTES_MAX: usize = 64 * 1024;
/// Longest that a value may be kept for a time, seconds: 366 days.
pub const KV_TTL_S_MAX: u32 = 31_622_400;
/// Entries of one page of a stretch.
pub const KV_PAGE_ENTRIES_MAX: u32 = 100;
/// Bytes of keys and values of one page.
pub const KV_PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Keys that one run of a responder reads alone or writes.
pub const KV_RUN_KEYS_MAX: usize = 256;
/// Bytes of keys and values that one run of a responder reads alone or writes.
pub const KV_RUN_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A value, and when it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvValue {
    /// What is kept, at most [`KV_VALUE_BYTES_MAX`] bytes.
    pub bytes: Vec<u8>,
    /// When it is gone; `None` while it stays until it is deleted.
    pub expires_at: Option<Timestamp>,
}

impl KvValue {
    /// Whether it is there at `now`. What is over does not exist, swept or not.
    pub fn lives(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|at| at > now)
    }
}

/// What a key must have for a write to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KvExpected {
    /// Nothing.
    Absent,
    /// Exactly these bytes.
    Value(Vec<u8>),
}

impl KvExpected {
    /// Whether what is there now is what is expected.
    pub fn holds(&self, there: Option<&KvValue>) -> bool {
        match self {
            Self::Absent => there.is_none(),
            Self::Value(bytes) => there.is_some_and(|there| there.bytes == *bytes),
        }
    }
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KvWrite {
    /// Keeps the value.
    Put(KvValue),
    /// Keeps the value if the key has what is expected.
    PutIf(KvExpected, KvValue),
    /// Removes the key.
    Delete,
}

/// Keys in the order of their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvStretch {
    /// The first key that belongs to it.
    pub begin: String,
    /// The first key that no longer belongs to it; `None` for no end.
    pub end: Option<String>,
    /// Most entries, 1 to [`KV_PAGE_ENTRIES_MAX`].
    pub limit: u32,
    /// From the end backwards.
    pub reverse: bool,
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvEntry {
    /// The key.
    pub key: String,
    /// The value.
    pub value: KvValue,
}

/// A part of a stretch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KvPage {
    /// The entries, in the order that was asked for.
    pub entries: Vec<KvEntry>,
    /// There is more in the stretch than fits here.
    pub more: bool,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvUsage {
    /// Bytes of keys and values.
    pub used: u64,
    /// The most.
    pub max: u64,
}
