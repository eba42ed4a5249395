//! A bounded list whose entries are numbered from 1 and stored one record each.
//!
//! Invariant: numbers grow and are never given twice while an entry with a later one is there.

use std::collections::VecDeque;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::PhoneError;
use super::signal::{Changes, bad_record};

/// An entry that knows its number.
pub(super) trait Numbered: Serialize + DeserializeOwned {
    fn n(&self) -> u64;
    fn set_n(&mut self, n: u64);
}

/// The entries, oldest first.
pub(super) struct Log<T> {
    /// The first part of an entry's record key.
    record: &'static str,
    entries_max: usize,
    entries: VecDeque<T>,
    changes: Changes,
}

impl<T: Numbered> Log<T> {
    pub(super) fn new(record: &'static str, entries_max: usize) -> Self {
        Self { record, entries_max, entries: VecDeque::new(), changes: Changes::new() }
    }

    /// Gives an entry its number and keeps it; returns the number and what had to go for it.
    pub(super) fn add(&mut self, mut entry: T) -> (u64, Vec<T>) {
        let n = self.entries.back().map_or(1, |last| last.n().saturating_add(1));
        entry.set_n(n);
        note(&mut self.changes, self.record, &entry);
        self.entries.push_back(entry);
        let mut gone = Vec::new();
        while self.entries.len() > self.entries_max {
            gone.extend(self.pop_oldest());
        }
        (n, gone)
    }

    /// Forgets the oldest entry.
    pub(super) fn pop_oldest(&mut self) -> Option<T> {
        let oldest = self.entries.pop_front()?;
        self.changes.insert(format!("{}/{}", self.record, oldest.n()), None);
        Some(oldest)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.entries.iter()
    }

    pub(super) fn get(&self, n: u64) -> Option<&T> {
        let at = self.entries.binary_search_by_key(&n, Numbered::n).ok()?;
        self.entries.get(at)
    }

    /// Entries whose number is above `after`.
    pub(super) fn after(&self, after: u64) -> impl Iterator<Item = &T> {
        let known = self.entries.partition_point(|entry| entry.n() <= after);
        self.entries.iter().skip(known)
    }

    /// Changes the entry with a number, and its record.
    pub(super) fn change(&mut self, n: u64, change: impl FnOnce(&mut T)) {
        let Ok(at) = self.entries.binary_search_by_key(&n, Numbered::n) else {
            return;
        };
        let Some(entry) = self.entries.get_mut(at) else { return };
        change(entry);
        note(&mut self.changes, self.record, entry);
    }

    /// Takes back one record; `None` when it is not of this list. Call `settle` after the last one.
    pub(super) fn restore(&mut self, key: &str, value: &Value) -> Result<Option<&T>, PhoneError> {
        if key.split_once('/').is_none_or(|(kind, _)| kind != self.record) {
            return Ok(None);
        }
        let entry = T::deserialize(value).map_err(|error| bad_record(key, error))?;
        self.entries.push_back(entry);
        Ok(self.entries.back())
    }

    /// Puts restored entries in the order of their numbers, which is not that of their keys.
    pub(super) fn settle(&mut self) {
        self.entries.make_contiguous().sort_by_key(Numbered::n);
    }

    pub(super) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }
}

fn note<T: Numbered>(changes: &mut Changes, record: &'static str, entry: &T) {
    let n = entry.n();
    match serde_json::to_value(entry) {
        Ok(stored) => {
            changes.insert(format!("{record}/{n}"), Some(stored));
        }
        Err(error) => tracing::error!(record, n, %error, "an entry cannot be stored"),
    }
}
