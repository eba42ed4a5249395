//! Runs that were parked: they wait for a person, who lets them run anew or drops them. They block nothing, and go with the
//! event that they are about.

use super::codec::encode;
use super::counted::Counted;
use super::engine::{Batch, Check, KeyRange};
use super::{OwedRun, Storage, StorageError, Swept, keys};
use crate::clock::Timestamp;
use crate::records::id::TenantId;
use crate::records::plugin::Work;

/// Rows that one step of a sweep looks at.
const STEP: usize = 256;

impl Storage {
    /// Runs that were parked and whose event is still there, of events after number `after`, oldest event first.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn parked_runs(
        &self,
        tenant: TenantId,
        subscription: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<OwedRun>, StorageError> {
        let (mut runs, mut after) = (Vec::new(), keys::parked_work(tenant, subscription, after));
        while runs.len() < limit {
            let left = limit - runs.len();
            let range = KeyRange::prefix(&keys::parked_works(tenant, subscription), left).after(&after);
            let rows = self.engine.range(&range).await?;
            let Some((last, _)) = rows.last() else { break };
            after.clone_from(last);
            runs.extend(self.runs_of(tenant, &rows).await?);
        }
        Ok(runs)
    }

    /// The run that was parked for the event of number `n`.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn parked_run(&self, tenant: TenantId, subscription: &str, n: u64) -> Result<Option<OwedRun>, StorageError> {
        self.run_at(tenant, keys::parked_work(tenant, subscription, n)).await
    }

    /// The run that is owed for the event of number `n`.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn owed_run(&self, tenant: TenantId, subscription: &str, n: u64) -> Result<Option<OwedRun>, StorageError> {
        self.run_at(tenant, keys::work(tenant, subscription, n)).await
    }

    /// Owes runs anew that were parked, as if they had never been tried; in the commit, all or none.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when one of them is no longer parked; else when the engine fails.
    pub async fn release_runs(
        &self,
        tenant: TenantId,
        subscription: &str,
        runs: &[OwedRun],
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let mut batch = Batch::default();
        for run in runs {
            let parked_key = keys::parked_work(tenant, subscription, run.event.n);
            let place = keys::work(tenant, subscription, run.event.n);
            let work = Work { tries: 0, due_at: now, last_error: run.work.last_error.clone() };
            batch.check(Check::Equals { key: parked_key.clone(), value: run.stored.clone() });
            batch.delete(parked_key);
            batch.put(place.clone(), encode(&place, &work)?);
            batch.count(Counted::RunReleased);
        }
        self.engine.commit(batch).await.map(|_| ())
    }

    /// Drops a run that was parked.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when it is no longer parked; else when the engine fails.
    pub async fn drop_parked_run(&self, tenant: TenantId, subscription: &str, run: &OwedRun) -> Result<(), StorageError> {
        let parked_key = keys::parked_work(tenant, subscription, run.event.n);
        let mut batch = Batch::default();
        batch.check(Check::Equals { key: parked_key.clone(), value: run.stored.clone() });
        batch.delete(parked_key);
        batch.count(Counted::RunDropped);
        self.engine.commit(batch).await.map(|_| ())
    }

    /// Removes runs that were parked and whose event is gone from the log: one step over a tenant's, from `from` on.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn sweep_parked_runs(&self, tenant: TenantId, from: Option<&[u8]>) -> Result<Swept, StorageError> {
        let range = KeyRange::prefix(&keys::all_parked_works(tenant), STEP);
        let range = match from {
            Some(from) => range.after(from),
            None => range,
        };
        let rows = self.engine.range(&range).await?;
        let mut batch = Batch::default();
        // The log is trimmed from its old end alone.
        let first_there = match self.engine.range(&KeyRange::prefix(&keys::events(tenant), 1)).await?.pop() {
            Some((key, _)) => keys::trailing_number(&key),
            None => self.last_event_number(tenant).await?.saturating_add(1),
        };
        for (key, value) in &rows {
            if keys::trailing_number(key) < first_there {
                // One that is let run meanwhile is no longer here.
                batch.check(Check::Equals { key: key.clone(), value: value.clone() });
                batch.delete(key.clone());
            }
        }
        let removed = batch.writes.len();
        if removed > 0 {
            match self.engine.commit(batch).await {
                // It is looked at anew in the next round.
                Err(StorageError::Conflict) => return Ok(Swept { removed: 0, next: None }),
                done => done?,
            };
        }
        let next = if rows.len() == STEP { rows.last().map(|(key, _)| key.clone()) } else { None };
        Ok(Swept { removed, next })
    }
}
