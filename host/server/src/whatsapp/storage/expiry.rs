//! Deletes rows which have become too old, without ever deleting one that was renewed in the same moment.
//!
//! Two ways. Large tables have an index by time, and a sweep reads no more than what is due. Small ones are read whole.
//! Both delete under the condition that the row is still the one that was judged.
//!
//! Invariant: a row of an indexed table has an entry in the index under its own time. The converse does not hold: a row
//! stored anew leaves its older entry behind, which the sweep drops when it comes due.

use switchboard_core::storage::DeviceTable;
use wacore::store::error::Result;

use super::{DeviceBackend, SCAN_PAGE_ROWS_MAX, Tries, codec};

/// A table whose values are [`codec::timed`], and its index by that time.
#[derive(Clone, Copy)]
pub(super) struct TimedTable {
    pub(super) rows: DeviceTable,
    pub(super) by_time: DeviceTable,
}

impl DeviceBackend {
    /// Deletes the rows whose time is before `until`, and returns how many.
    pub(super) async fn delete_older(&self, operation: &'static str, table: TimedTable, until: i64) -> Result<u32> {
        let mut removed = 0_u32;
        loop {
            let mut due = Vec::new();
            for (key, _) in self.scan_page(table.by_time, b"", None).await? {
                let (time, _) = codec::split_time_key(&key)?;
                if time >= until {
                    break;
                }
                due.push(key);
            }
            // Each round removes the entries it has read, so the next one may begin at the front again.
            removed = removed.saturating_add(self.delete_due(operation, table, &due).await?);
            if due.len() < SCAN_PAGE_ROWS_MAX {
                return Ok(removed);
            }
        }
    }

    async fn delete_due(&self, operation: &'static str, table: TimedTable, due: &[Vec<u8>]) -> Result<u32> {
        let mut tries = Tries::of(operation);
        loop {
            let mut batch = self.storage.batch();
            let mut removed = 0_u32;
            for index_key in due {
                let (time, row_key) = codec::split_time_key(index_key)?;
                batch.delete(table.by_time, index_key);
                let Some((value, stamp)) = self.get_stamped(table.rows, row_key).await? else {
                    // Were it stored again with this very time, it would lose its entry.
                    batch.unchanged(table.rows, row_key, None);
                    continue;
                };
                let (row_time, _) = codec::split_timed(&value)?;
                if row_time == time {
                    batch.unchanged(table.rows, row_key, Some(&stamp));
                    batch.delete(table.rows, row_key);
                    removed = removed.saturating_add(1);
                }
            }
            if self.commit_if_unchanged(batch, &mut tries).await? {
                return Ok(removed);
            }
        }
    }

    /// Deletes the rows of a small table whose value `is_expired`, and returns how many.
    pub(super) async fn delete_where(
        &self,
        operation: &'static str,
        table: DeviceTable,
        is_expired: impl Fn(&[u8]) -> Result<bool> + Send + Sync,
    ) -> Result<u32> {
        let mut removed = 0_u32;
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.scan_page(table, b"", after.as_deref()).await?;
            let is_last = page.len() < SCAN_PAGE_ROWS_MAX;
            after = page.last().map(|(key, _)| key.clone());
            let mut expired = Vec::new();
            for (key, value) in page {
                if is_expired(&value)? {
                    expired.push(key);
                }
            }
            removed = removed.saturating_add(self.delete_expired(operation, table, &expired, &is_expired).await?);
            if is_last {
                return Ok(removed);
            }
        }
    }

    async fn delete_expired(
        &self,
        operation: &'static str,
        table: DeviceTable,
        keys: &[Vec<u8>],
        is_expired: &(impl Fn(&[u8]) -> Result<bool> + Send + Sync),
    ) -> Result<u32> {
        let mut tries = Tries::of(operation);
        loop {
            let mut batch = self.storage.batch();
            let mut removed = 0_u32;
            for key in keys {
                let Some((value, stamp)) = self.get_stamped(table, key).await? else {
                    continue;
                };
                if is_expired(&value)? {
                    batch.unchanged(table, key, Some(&stamp));
                    batch.delete(table, key);
                    removed = removed.saturating_add(1);
                }
            }
            if self.commit_if_unchanged(batch, &mut tries).await? {
                return Ok(removed);
            }
        }
    }
}
