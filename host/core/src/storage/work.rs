//! Cursors over the event log, and the runs that subscriptions owe.
//!
//! A run becomes a durable work record in the commit that moves the cursor past its event, and is removed in the commit that
//! keeps its effects, what its plugin keeps among them: a crash repeats a run, and never half of one.

use super::cleanup::Leftover;
use super::codec::{decode, encode};
use super::counted::Counted;
use super::engine::{Batch, Check, Entry, KeyRange};
use super::kv::{KvEffects, KvSettled};
use super::{CONFLICT_TRIES_MAX, Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::event::Event;
use crate::records::id::TenantId;
use crate::records::message::Message;
use crate::records::plugin::{KvUsage, Plugin, Work};
use crate::rules::quota::Charge;

/// What a step of the cursor did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CursorStep {
    /// Events that were passed.
    pub events: usize,
    /// Runs that are owed since.
    pub owed: usize,
}

impl CursorStep {
    /// Nothing was passed.
    pub(super) const NONE: Self = Self { events: 0, owed: 0 };
}

/// A cursor that is to be moved.
pub(super) struct Cursor {
    /// Where it is kept.
    pub key: Vec<u8>,
    /// What it reads.
    pub before: Option<Vec<u8>>,
    /// What else must hold.
    pub guards: Vec<Check>,
}

/// A run that a subscription owes.
#[derive(Clone, Debug, PartialEq)]
pub struct OwedRun {
    /// The event it is about.
    pub event: Event,
    /// Its record.
    pub work: Work,
    /// The record as it is stored: what the commit that ends the run compares.
    pub(super) stored: Vec<u8>,
}

/// What a run is to leave behind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunEffects {
    /// Messages it asked for.
    pub messages: Vec<Message>,
    /// What they cost.
    pub charges: Vec<Charge>,
    /// What it read and wrote of what its plugin keeps.
    pub kv: KvEffects,
    /// Responders that come after this one are not to be told of the event.
    pub ends_chain: bool,
}

/// How the chain of responders stands at an event, for one that comes after others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainStanding {
    /// None of the others has to do with it any more.
    Free,
    /// One of them has not come to it, or is to run.
    Waiting,
    /// One of them has ended it.
    Ended,
}

/// What became of a run that was to be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// Everything that it did is kept, and it is no longer owed.
    Kept,
    /// Nothing is kept: what it read has changed meanwhile, so that it would decide anew.
    ReadsChanged,
    /// Nothing is kept: there is no room for what it wrote.
    KvFull(KvUsage),
}

impl Storage {
    /// Moves a subscription's cursor over up to `limit` events and owes a run for each that `wanted` picks. It does not move once
    /// what is stored is another plugin than `plugin`, or one that answers other events: one that was deleted leaves nothing
    /// behind, and no event is passed by what no longer holds.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged. Another worker that moved the cursor first is no error.
    pub async fn step_cursor(
        &self,
        tenant: TenantId,
        subscription: &str,
        plugin: Option<&Plugin>,
        limit: usize,
        now: Timestamp,
        wanted: impl Fn(&Event) -> bool + Send + Sync,
    ) -> Result<CursorStep, StorageError> {
        let work = Work { tries: 0, due_at: now, last_error: None };
        let owe = |batch: &mut Batch, event: &Event| {
            if !wanted(event) {
                return Ok(false);
            }
            let place = keys::work(tenant, subscription, event.n);
            batch.put(place.clone(), encode(&place, &work)?);
            Ok(true)
        };
        let key = keys::cursor(tenant, subscription);
        for _ in 0..CONFLICT_TRIES_MAX {
            // While what a deleted plugin has left is removed, nothing joins it.
            let mut guards = vec![Leftover::absent_subscription(subscription)];
            if let Some(known) = plugin {
                let Some(stored) = self.stored_as(known).await? else { return Ok(CursorStep::NONE) };
                guards.push(stored);
            }
            let before = self.engine.get(&key).await?;
            let cursor = Cursor { key: key.clone(), before, guards };
            if let Some(step) = self.pass_events(tenant, cursor, limit, &owe).await? {
                return Ok(step);
            }
        }
        Ok(CursorStep::NONE)
    }

    /// That the plugin is stored as it is stored now, if that answers as this one does.
    async fn stored_as(&self, known: &Plugin) -> Result<Option<Check>, StorageError> {
        let key = keys::plugin(known.tenant, &known.name);
        let Some(value) = self.engine.get(&key).await? else { return Ok(None) };
        let stored: Plugin = decode(&key, &value)?;
        Ok(stored.answers_as(known).then_some(Check::Equals { key, value }))
    }

    /// Moves a cursor over up to `limit` events. What `owe` writes for an event is kept in the same commit; it says whether it
    /// wrote anything. `None` when something changed meanwhile.
    pub(super) async fn pass_events(
        &self,
        tenant: TenantId,
        cursor: Cursor,
        limit: usize,
        owe: impl Fn(&mut Batch, &Event) -> Result<bool, StorageError> + Send + Sync,
    ) -> Result<Option<CursorStep>, StorageError> {
        let Cursor { key, before, guards } = cursor;
        let after = before.as_deref().map(|value| decode::<u64>(&key, value)).transpose()?.unwrap_or(0);
        let events = self.events(tenant, after, limit).await?;
        let Some(last) = events.last() else { return Ok(Some(CursorStep::NONE)) };
        let mut batch = Batch::default();
        batch.check(match before {
            Some(value) => Check::Equals { key: key.clone(), value },
            None => Check::Absent { key: key.clone() },
        });
        batch.checks.extend(guards);
        batch.put(key.clone(), encode(&key, &last.n)?);
        let mut owed = 0;
        for event in &events {
            owed += usize::from(owe(&mut batch, event)?);
        }
        match self.engine.commit(batch).await {
            Ok(_) => Ok(Some(CursorStep { events: events.len(), owed })),
            Err(StorageError::Conflict) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lets a subscription begin with what happens from now on. One that has a cursor keeps it. What an earlier one of this name
    /// has left is gone by then.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn start_cursor_at_end(&self, tenant: TenantId, subscription: &str) -> Result<(), StorageError> {
        self.finish_cleanup_at(&Leftover::subscription_key(subscription)).await?;
        let key = keys::cursor(tenant, subscription);
        let last = self.last_event_number(tenant).await?;
        let mut batch = Batch::default();
        batch.check(Check::Absent { key: key.clone() });
        batch.put(key.clone(), encode(&key, &last)?);
        match self.engine.commit(batch).await {
            Ok(_) | Err(StorageError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Runs that a subscription owes, oldest event first.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn owed_runs(&self, tenant: TenantId, subscription: &str, limit: usize) -> Result<Vec<OwedRun>, StorageError> {
        self.owed_runs_after(tenant, subscription, 0, limit).await
    }

    /// The same, for events after number `after`: the next page.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn owed_runs_after(
        &self,
        tenant: TenantId,
        subscription: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<OwedRun>, StorageError> {
        let range = KeyRange::prefix(&keys::works(tenant, subscription), limit);
        let entries = self.engine.range(&range.after(&keys::work(tenant, subscription, after))).await?;
        self.runs_of(tenant, &entries).await
    }

    /// Keeps what a run did: its messages are accepted, what it wrote is kept and the run is no longer owed, all or nothing.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when another worker settled it first, a session is gone or a limit is reached; else when the engine fails.
    pub async fn settle_run(
        &self,
        tenant: TenantId,
        subscription: &str,
        run: &OwedRun,
        effects: &RunEffects,
    ) -> Result<RunEnd, StorageError> {
        let place = keys::work(tenant, subscription, run.event.n);
        for _ in 0..CONFLICT_TRIES_MAX {
            let mut batch = Batch::default();
            batch.check(Check::Equals { key: place.clone(), value: run.stored.clone() });
            batch.delete(place.clone());
            batch.count(Counted::RunKept);
            Self::put_charges(&mut batch, tenant, &effects.charges)?;
            Self::put_messages(&mut batch, tenant, &effects.messages)?;
            if effects.ends_chain {
                let key = keys::chain_end(tenant, run.event.n);
                batch.put(key.clone(), encode(&key, &subscription)?);
            }
            let kv = &effects.kv;
            let (growth, befores) = match self.put_kv_effects(&mut batch, tenant, subscription, kv).await? {
                KvSettled::Put { growth, befores } => (growth, befores),
                KvSettled::Full(usage) => return Ok(RunEnd::KvFull(usage)),
            };
            match self.engine.commit(batch).await {
                Ok(_) => return Ok(RunEnd::Kept),
                Err(StorageError::Conflict) => {}
                Err(error) => return Err(error),
            }
            if self.engine.get(&place).await?.as_ref() != Some(&run.stored) {
                return Err(StorageError::Conflict);
            }
            if self.kv_reads_changed(tenant, subscription, kv).await? {
                return Ok(RunEnd::ReadsChanged);
            }
            if let Some(usage) = self.kv_over(tenant, subscription, kv, growth).await? {
                return Ok(RunEnd::KvFull(usage));
            }
            // A key that is written whatever it had was written by another: that is no reason to refuse.
            if !self.kv_rows_changed(tenant, subscription, &befores).await? {
                return Err(StorageError::Conflict);
            }
        }
        Err(StorageError::Conflict)
    }

    /// How the chain stands at event number `event`, for a subscription that comes after `earlier`, which may end it. A run of
    /// theirs that was parked ends nothing.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn chain_standing(
        &self,
        tenant: TenantId,
        earlier: &[&str],
        event: u64,
    ) -> Result<ChainStanding, StorageError> {
        for subscription in earlier {
            let key = keys::cursor(tenant, subscription);
            let cursor = self.engine.get(&key).await?;
            let passed = cursor.as_deref().map(|value| decode::<u64>(&key, value)).transpose()?.unwrap_or(0);
            if passed < event || self.engine.get(&keys::work(tenant, subscription, event)).await?.is_some() {
                return Ok(ChainStanding::Waiting);
            }
        }
        if earlier.is_empty() {
            return Ok(ChainStanding::Free);
        }
        // What they were owed is settled: who has not ended it by now does not.
        let key = keys::chain_end(tenant, event);
        let ended = self.engine.get(&key).await?.as_deref().map(|value| decode::<String>(&key, value)).transpose()?;
        let ended = ended.is_some_and(|by| earlier.iter().any(|earlier| **earlier == *by));
        Ok(if ended { ChainStanding::Ended } else { ChainStanding::Free })
    }

    /// Puts a run that failed off until `next.due_at`.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when another worker settled it first; else when the engine fails.
    pub async fn postpone_run(
        &self,
        tenant: TenantId,
        subscription: &str,
        run: &OwedRun,
        next: &Work,
    ) -> Result<(), StorageError> {
        let place = keys::work(tenant, subscription, run.event.n);
        let mut batch = Batch::default();
        batch.check(Check::Equals { key: place.clone(), value: run.stored.clone() });
        batch.put(place.clone(), encode(&place, next)?);
        batch.count(Counted::RunPutOff);
        self.engine.commit(batch).await.map(|_| ())
    }

    /// Parks a run that is out of tries, where it no longer holds up its chat and waits for a person.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when another worker settled it first; else when the engine fails.
    pub async fn park_run(
        &self,
        tenant: TenantId,
        subscription: &str,
        run: &OwedRun,
        last: &Work,
    ) -> Result<(), StorageError> {
        let place = keys::work(tenant, subscription, run.event.n);
        let parked_key = keys::parked_work(tenant, subscription, run.event.n);
        let mut batch = Batch::default();
        batch.check(Check::Equals { key: place.clone(), value: run.stored.clone() });
        batch.delete(place);
        batch.put(parked_key.clone(), encode(&parked_key, last)?);
        batch.count(Counted::RunParked);
        self.engine.commit(batch).await.map(|_| ())
    }

    /// Each entry's run, as far as its event is still there.
    pub(super) async fn runs_of(&self, tenant: TenantId, entries: &[Entry]) -> Result<Vec<OwedRun>, StorageError> {
        let mut runs = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            if let Some(event) = self.event(tenant, keys::trailing_number(key)).await? {
                runs.push(OwedRun { event, work: decode(key, value)?, stored: value.clone() });
            }
        }
        Ok(runs)
    }

    /// The run that is stored under `key`.
    pub(super) async fn run_at(&self, tenant: TenantId, key: Vec<u8>) -> Result<Option<OwedRun>, StorageError> {
        let Some(value) = self.engine.get(&key).await? else { return Ok(None) };
        Ok(self.runs_of(tenant, &[(key, value)]).await?.pop())
    }
}
