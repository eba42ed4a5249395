//! The engine seam: an ordered key-value space with consistent reads and one atomic, durable commit.

use async_trait::async_trait;

use super::StorageError;
use super::changes::Changes;
use super::counted::Counted;

/// An entry: key and value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// A stretch of keys to read.
#[derive(Clone, Debug)]
pub struct KeyRange {
    /// First key that belongs to it.
    pub start: Vec<u8>,
    /// First key that no longer belongs to it; `None` for no end.
    pub end: Option<Vec<u8>>,
    /// Most entries of one answer.
    pub limit: usize,
    /// From the end backwards.
    pub reverse: bool,
}

impl KeyRange {
    /// Every key that begins with `prefix`.
    pub fn prefix(prefix: &[u8], limit: usize) -> Self {
        Self { start: prefix.to_vec(), end: prefix_end(prefix), limit, reverse: false }
    }

    /// Every key there is.
    pub fn everything(limit: usize) -> Self {
        Self { start: Vec::new(), end: None, limit, reverse: false }
    }

    /// The same stretch from the first key after `key`.
    pub fn after(mut self, key: &[u8]) -> Self {
        self.start = key.to_vec();
        self.start.push(0);
        self
    }

    /// The same stretch, read backwards.
    pub fn reversed(mut self) -> Self {
        self.reverse = true;
        self
    }
}

/// The first key after all those that begin with `prefix`.
pub(super) fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// The count in a value; 0 when there is none, or when the value is no count.
pub(super) fn count_in(value: Option<&[u8]>) -> u64 {
    value.and_then(|value| value.try_into().ok()).map_or(0, u64::from_be_bytes)
}

/// What must hold for a batch to be kept.
#[derive(Clone, Debug)]
pub enum Check {
    /// Nothing is stored under the key.
    Absent {
        /// The key.
        key: Vec<u8>,
    },
    /// Exactly this value is stored under the key.
    Equals {
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
    },
    /// The count under the key is at most this. Nothing stored counts as 0.
    AtMost {
        /// The key.
        key: Vec<u8>,
        /// The most it may be.
        max: u64,
    },
}

/// One change.
#[derive(Clone, Debug)]
pub enum Write {
    /// Stores `value` under `key`.
    Put {
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
    },
    /// Removes `key`.
    Delete {
        /// The key.
        key: Vec<u8>,
    },
    /// Removes every key that begins with `prefix`.
    DeletePrefix {
        /// The prefix.
        prefix: Vec<u8>,
    },
    /// Draws the next number (big-endian) of the sequence kept at `counter` and stores each value under its prefix and that
    /// number. Numbers are given in the order of commits and begin at 1, so a reader that saw number n will never find a
    /// smaller one appear later.
    Append {
        /// Where the last number is kept.
        counter: Vec<u8>,
        /// What the number is put behind, each with its value.
        places: Vec<Entry>,
    },
    /// Adds to the count under `key`, which never falls below 0. A count of 0 is not stored. Two batches that only add to the
    /// same count do not conflict.
    Add {
        /// Where the count is kept, 8 bytes big-endian.
        key: Vec<u8>,
        /// How much.
        by: i64,
    },
}

impl Write {
    fn bytes(&self) -> usize {
        match self {
            Self::Put { value, .. } => value.len(),
            Self::Append { places, .. } => places.iter().map(|(_, value)| value.len()).sum(),
            Self::Delete { .. } | Self::DeletePrefix { .. } | Self::Add { .. } => 0,
        }
    }
}

/// Checks and changes that are kept together or not at all.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// What must hold.
    pub checks: Vec<Check>,
    /// What changes, in order.
    pub writes: Vec<Write>,
    /// What it counts as once it is kept.
    pub counted: Vec<Counted>,
}

impl Batch {
    /// Adds a check.
    pub fn check(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// Stores `value` under `key`.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.writes.push(Write::Put { key, value });
    }

    /// Removes `key`.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.writes.push(Write::Delete { key });
    }

    /// Removes every key that begins with `prefix`.
    pub fn delete_prefix(&mut self, prefix: Vec<u8>) {
        self.writes.push(Write::DeletePrefix { prefix });
    }

    /// Appends `value` to a sequence.
    pub fn append(&mut self, counter: Vec<u8>, prefix: Vec<u8>, value: Vec<u8>) {
        self.append_all(counter, vec![(prefix, value)]);
    }

    /// Appends to a sequence in several places under one number.
    pub fn append_all(&mut self, counter: Vec<u8>, places: Vec<Entry>) {
        self.writes.push(Write::Append { counter, places });
    }

    /// Adds to a count.
    pub fn add(&mut self, key: Vec<u8>, by: i64) {
        self.writes.push(Write::Add { key, by });
    }

    /// Counts as one more of `what` once it is kept.
    pub fn count(&mut self, what: Counted) {
        self.counted.push(what);
    }

    /// Adds what another batch checks, changes and counts as.
    pub fn extend(&mut self, other: Self) {
        self.checks.extend(other.checks);
        self.writes.extend(other.writes);
        self.counted.extend(other.counted);
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.checks.is_empty() && self.writes.is_empty()
    }

    /// The largest value in it, bytes.
    pub(super) fn largest_value(&self) -> usize {
        self.writes.iter().map(Write::bytes).max().unwrap_or(0)
    }

    /// All values in it, bytes.
    pub(super) fn bytes(&self) -> usize {
        self.writes.iter().map(Write::bytes).sum()
    }
}

/// How commits have gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitStats {
    /// Transactions that were made durable.
    pub transactions: u64,
    /// Batches that they carried.
    pub batches: u64,
    /// How long the last transaction took, write and sync, microseconds.
    pub last_us: u64,
    /// The same, of all transactions together.
    pub total_us: u64,
}

/// An ordered key-value space.
#[async_trait]
pub trait Engine: Send + Sync {
    /// The value under `key`.
    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError>;
    /// The entries of `range`, in order, from one consistent view.
    async fn range(&self, range: &KeyRange) -> Result<Vec<Entry>, StorageError>;
    /// Keeps the batch durably, or nothing of it. Returns the numbers that `Append`s were given, in order.
    async fn commit(&self, batch: Batch) -> Result<Vec<u64>, StorageError>;
    /// Ends what was asked so far and lets go of the file; every later call is refused as closed.
    fn close(&self);
    /// Whether calls are answered: an error says why they are refused.
    ///
    /// # Errors
    /// [`StorageError::Down`] or [`StorageError::Closed`].
    fn health(&self) -> Result<(), StorageError> {
        Ok(())
    }
    /// Counts the changes of accounts, if this engine does: each is counted before anybody can read it.
    fn changes(&self) -> Option<&Changes> {
        None
    }
    /// How commits have gone so far.
    fn stats(&self) -> CommitStats;
}
