//! An engine in memory, for tests that need no disk.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;

use super::changes::Changes;
use super::engine::{Batch, Check, CommitStats, Engine, Entry, KeyRange, Write, count_in, prefix_end};
use super::{StorageError, VALUE_BYTES_MAX};

#[derive(Clone, Default)]
struct State {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    commits: u64,
    closed: bool,
}

/// An ordered map behind a mutex.
#[derive(Default)]
pub(crate) struct MemoryEngine {
    state: Mutex<State>,
    changes: Changes,
}

impl MemoryEngine {
    /// A second engine that holds the same.
    #[cfg(test)]
    pub(crate) fn fork(&self) -> Self {
        Self { state: Mutex::new(self.state.lock().unwrap().clone()), changes: Changes::default() }
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, StorageError> {
        self.state.lock().ok().filter(|state| !state.closed).ok_or(StorageError::Closed)
    }
}

fn bounds(range: &KeyRange) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let end = range.end.clone().map_or(Bound::Unbounded, Bound::Excluded);
    (Bound::Included(range.start.clone()), end)
}

#[async_trait]
impl Engine for MemoryEngine {
    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.state()?.entries.get(key).cloned())
    }

    async fn range(&self, range: &KeyRange) -> Result<Vec<Entry>, StorageError> {
        let state = self.state()?;
        if range.end.as_ref().is_some_and(|end| *end <= range.start) {
            return Ok(Vec::new());
        }
        let found = state.entries.range(bounds(range)).map(|(key, value)| (key.clone(), value.clone()));
        Ok(if range.reverse { found.rev().take(range.limit).collect() } else { found.take(range.limit).collect() })
    }

    async fn commit(&self, batch: Batch) -> Result<Vec<u64>, StorageError> {
        let mut state = self.state()?;
        let bytes = batch.largest_value();
        if bytes > VALUE_BYTES_MAX {
            return Err(StorageError::TooLarge { bytes, bytes_max: VALUE_BYTES_MAX });
        }
        for check in &batch.checks {
            let holds = match check {
                Check::Absent { key } => !state.entries.contains_key(key),
                Check::Equals { key, value } => state.entries.get(key) == Some(value),
                Check::AtMost { key, max } => count_in(state.entries.get(key).map(Vec::as_slice)) <= *max,
            };
            if !holds {
                return Err(StorageError::Conflict);
            }
        }
        let _writing = self.changes.writing(std::slice::from_ref(&batch));
        let mut numbers = Vec::new();
        for write in batch.writes {
            apply(&mut state.entries, write, &mut numbers);
        }
        state.commits += 1;
        Ok(numbers)
    }

    fn close(&self) {
        if let Ok(mut state) = self.state() {
            state.closed = true;
        }
    }

    fn changes(&self) -> Option<&Changes> {
        Some(&self.changes)
    }

    fn stats(&self) -> CommitStats {
        let commits = self.state.lock().map(|state| state.commits).unwrap_or_default();
        CommitStats { transactions: commits, batches: commits, last_us: 0, total_us: 0 }
    }
}

fn apply(entries: &mut BTreeMap<Vec<u8>, Vec<u8>>, write: Write, numbers: &mut Vec<u64>) {
    match write {
        Write::Put { key, value } => {
            entries.insert(key, value);
        }
        Write::Delete { key } => {
            entries.remove(&key);
        }
        Write::DeletePrefix { prefix } => {
            let end = prefix_end(&prefix);
            entries.retain(|key, _| *key < prefix || end.as_ref().is_some_and(|end| key >= end));
        }
        Write::Append { counter, places } => {
            let next = count_in(entries.get(&counter).map(Vec::as_slice)) + 1;
            entries.insert(counter, next.to_be_bytes().to_vec());
            for (prefix, value) in places {
                let mut key = prefix;
                key.extend_from_slice(&next.to_be_bytes());
                entries.insert(key, value);
            }
            numbers.push(next);
        }
        Write::Add { key, by } => {
            let sum = count_in(entries.get(&key).map(Vec::as_slice)).saturating_add_signed(by);
            if sum == 0 {
                entries.remove(&key);
            } else {
                entries.insert(key, sum.to_be_bytes().to_vec());
            }
        }
    }
}
