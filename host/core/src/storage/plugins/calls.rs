//! What is remembered of the calls of plugins: the newest of those that ended well, and of those that failed.
//!
//! Both lists of a plugin are numbered by one sequence, so that they can be read as one. They lie with the plugin's owner.

use super::super::codec::{decode, encode};
use super::super::engine::{Batch, Check, Entry, KeyRange, count_in};
use super::super::{CONFLICT_TRIES_MAX, Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::id::TenantId;
use crate::records::plugin::{CALLS_KEPT, CallEnd, FAILED_CALLS_KEPT, LoggedCall};

/// Calls that are looked at for one page, of each list.
const LOOK_MAX: usize = 2_000;
/// Rows that go in the commit that adds others.
const TRIM_MAX: usize = 512;

/// Which calls are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallQuery {
    /// Those with a higher number alone: then the oldest come first, else the newest.
    pub after: Option<u64>,
    /// Those with a lower number alone.
    pub before: Option<u64>,
    /// Those that failed, or those that did not.
    pub failed: Option<bool>,
    /// Those that ended like this.
    pub end: Option<CallEnd>,
    /// Those of this interface.
    pub interface: Option<String>,
    /// This run, request or function.
    pub call: Option<String>,
    /// Those that were about this event.
    pub event: Option<u64>,
    /// Those that ended at or after this moment.
    pub since: Option<Timestamp>,
    /// How many, at most.
    pub limit: usize,
}

impl CallQuery {
    /// Rows of each list that are looked at: no more than can be wanted, where every row is.
    fn rows_max(&self) -> usize {
        let Self { after: _, before: _, failed: _, end, interface, call, event, since, limit } = self;
        let all = end.is_none() && interface.is_none() && call.is_none() && event.is_none() && since.is_none();
        if all { *limit } else { LOOK_MAX }
    }

    fn wants(&self, call: &LoggedCall) -> bool {
        self.end.is_none_or(|end| end == call.end)
            && self.interface.as_ref().is_none_or(|interface| *interface == call.interface)
            && self.call.as_ref().is_none_or(|wanted| *wanted == call.call)
            && self.event.is_none_or(|event| call.event == Some(event))
            && self.since.is_none_or(|since| call.at >= since)
    }
}

impl Storage {
    /// Writes calls of one plugin down, and forgets the oldest of those that are too many. One caller at a time: what two write
    /// together may be forgotten too early. Calls of a plugin that was deleted are dropped.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when the plugin changes all the time; else when the engine fails.
    pub async fn log_calls(&self, owner: TenantId, plugin: &str, calls: &[LoggedCall]) -> Result<(), StorageError> {
        let record = keys::plugin(owner, plugin);
        for _ in 0..CONFLICT_TRIES_MAX {
            // What is written after the deletion would stay for ever.
            let Some(value) = self.engine.get(&record).await? else { return Ok(()) };
            let mut batch = Batch::default();
            batch.check(Check::Equals { key: record.clone(), value });
            let mut added = [0_u64; 2];
            for call in calls {
                let failed = !call.end.is_well();
                let place = keys::logged_calls(owner, plugin, failed);
                let value = encode(&place, call)?;
                batch.append(keys::logged_call_counter(owner, plugin), place, value);
                if let Some(added) = added.get_mut(usize::from(failed)) {
                    *added += 1;
                }
            }
            let [well, failed] = added;
            self.trim_calls(&mut batch, owner, plugin, (false, well, CALLS_KEPT)).await?;
            self.trim_calls(&mut batch, owner, plugin, (true, failed, FAILED_CALLS_KEPT)).await?;
            match self.engine.commit(batch).await {
                Ok(_) => return Ok(()),
                Err(StorageError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Err(StorageError::Conflict)
    }

    /// Lets `batch`, which adds so many to a list, forget as many as are more than may be kept.
    async fn trim_calls(
        &self,
        batch: &mut Batch,
        owner: TenantId,
        plugin: &str,
        (failed, added, kept_max): (bool, u64, usize),
    ) -> Result<(), StorageError> {
        if added == 0 {
            return Ok(());
        }
        let count = keys::logged_call_count(owner, plugin, failed);
        let there = count_in(self.engine.get(&count).await?.as_deref());
        let surplus = usize::try_from(there.saturating_add(added)).unwrap_or(usize::MAX).saturating_sub(kept_max);
        let mut removed = 0_i64;
        if surplus > 0 {
            let oldest = KeyRange::prefix(&keys::logged_calls(owner, plugin, failed), surplus.min(TRIM_MAX));
            for (key, _) in self.engine.range(&oldest).await? {
                batch.delete(key);
                removed += 1;
            }
        }
        batch.add(count, i64::try_from(added).unwrap_or(i64::MAX) - removed);
        Ok(())
    }

    /// Calls of a plugin that are remembered.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn logged_calls(
        &self,
        owner: TenantId,
        plugin: &str,
        query: &CallQuery,
    ) -> Result<Vec<LoggedCall>, StorageError> {
        let mut found = Vec::new();
        for failed in [false, true] {
            if query.failed.is_some_and(|wanted| wanted != failed) {
                continue;
            }
            let place = keys::logged_calls(owner, plugin, failed);
            let mut range = KeyRange::prefix(&place, query.rows_max());
            if let Some(after) = query.after {
                range.start = keys::logged_call(owner, plugin, failed, after.saturating_add(1));
            }
            if let Some(before) = query.before {
                range.end = Some(keys::logged_call(owner, plugin, failed, before));
            }
            let range = if query.after.is_some() { range } else { range.reversed() };
            let mut of_list = 0;
            for entry in self.engine.range(&range).await? {
                let call = read(&entry)?;
                if query.wants(&call) {
                    found.push(call);
                    of_list += 1;
                    if of_list == query.limit {
                        break;
                    }
                }
            }
        }
        found.sort_by_key(|call| call.n);
        if query.after.is_none() {
            found.reverse();
        }
        found.truncate(query.limit);
        Ok(found)
    }

    /// The number of the newest call that was written down; 0 when there is none.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn last_logged_call(&self, owner: TenantId, plugin: &str) -> Result<u64, StorageError> {
        let counter = self.engine.get(&keys::logged_call_counter(owner, plugin)).await?;
        Ok(count_in(counter.as_deref()))
    }
}

fn read((key, value): &Entry) -> Result<LoggedCall, StorageError> {
    let call: LoggedCall = decode(key, value)?;
    Ok(LoggedCall { n: keys::trailing_number(key), ..call })
}
