//! What webhook endpoints are owed: deliveries, those given up, the log of attempts, and replays.
//!
//! A delivery is a record until an attempt settles it; the attempt and what follows from it are one commit, so a crash repeats
//! a delivery under its id and never loses one. The event itself stays in the event log alone.

use super::codec::{decode, encode};
use super::counted::Counted;
use super::engine::{Batch, Check, Entry, KeyRange, count_in};
use super::keys::RecordType;
use super::{CONFLICT_TRIES_MAX, Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::event::Event;
use crate::records::id::{TenantId, WebhookId};
use crate::records::webhook::{Attempt, Delivery, TEST_NUMBER_FIRST, WebhookEndpoint};

/// Events that one replay looks at, and deliveries that it owes at most; the rest is asked for again.
const REPLAY_MAX: usize = 1000;
/// Deliveries that an endpoint may be owed before replays and tests are refused.
const OWED_MAX: u64 = 3000;
/// Deliveries that one look finds: all there can be.
const LOOK_MAX: usize = 4096 + REPLAY_MAX;

/// A delivery that is owed.
#[derive(Clone, Debug, PartialEq)]
pub struct OwedDelivery {
    /// The number of its event, or [`TEST_NUMBER_FIRST`] and more for a test.
    pub n: u64,
    /// Its record.
    pub delivery: Delivery,
    /// The record as it is stored: what the commit that settles it compares.
    stored: Vec<u8>,
}

impl OwedDelivery {
    /// The number of its event; nothing for a test.
    pub fn event(&self) -> Option<u64> {
        (self.n < TEST_NUMBER_FIRST).then_some(self.n)
    }
}

/// A delivery that was given up.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadDelivery {
    /// The number of its event; nothing for a test.
    pub event: Option<u64>,
    /// Its record.
    pub delivery: Delivery,
}

/// What becomes of a delivery after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It is done.
    Done,
    /// The receiver has this request of it, and another is to be made.
    Next,
    /// It waits until then.
    Until(Timestamp),
    /// It is given up.
    Dead,
}

/// What is to be delivered once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// One event, whatever became of it.
    Event {
        /// Its number.
        n: u64,
        /// Also when the endpoint's filter leaves it out.
        force: bool,
    },
    /// The events from one number to another, both included, that the endpoint wants.
    Range {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// Everything that was given up since then.
    FailedSince(Timestamp),
}

/// What a replay did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// Deliveries that are due now.
    Owed {
        /// How many.
        count: usize,
        /// The number of the event where the next call has to go on, if there was more than one call takes.
        next: Option<u64>,
    },
    /// There is no such event, or it is not this endpoint's to see.
    NoSuchEvent,
    /// The endpoint's filter leaves events of this type out.
    NotWanted(&'static str),
    /// The endpoint is owed too much already.
    TooMuchOwed,
}

impl Storage {
    /// The deliveries that an endpoint is owed, by event number, tests last.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn owed_deliveries(&self, tenant: TenantId, id: WebhookId) -> Result<Vec<OwedDelivery>, StorageError> {
        let prefix = keys::of_webhook(tenant, RecordType::Delivery, id);
        let entries = self.engine.range(&KeyRange::prefix(&prefix, LOOK_MAX)).await?;
        entries.into_iter().map(owed).collect()
    }

    /// One delivery, if it is still owed as it was.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn is_still_owed(&self, tenant: TenantId, id: WebhookId, owed: &OwedDelivery) -> Result<bool, StorageError> {
        let place = keys::in_webhook(tenant, RecordType::Delivery, id, owed.n);
        Ok(self.engine.get(&place).await?.is_some_and(|value| value == owed.stored))
    }

    /// How many deliveries an endpoint is owed.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn owed_count(&self, tenant: TenantId, id: WebhookId) -> Result<u64, StorageError> {
        let value = self.engine.get(&keys::of_webhook(tenant, RecordType::WebhookCount, id)).await?;
        Ok(count_in(value.as_deref()))
    }

    /// The event that a delivery is about; `None` when it is no longer kept.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn delivered_event(&self, tenant: TenantId, n: u64) -> Result<Option<Event>, StorageError> {
        self.event(tenant, n).await
    }

    /// Keeps an attempt and what follows from it, in one commit. Returns the attempt's number, and the delivery where another
    /// request is to be made.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when the delivery changed meanwhile; else when the engine fails.
    pub async fn settle_delivery(
        &self,
        tenant: TenantId,
        id: WebhookId,
        owed: &OwedDelivery,
        attempt: &Attempt,
        then: Settlement,
    ) -> Result<(u64, Option<OwedDelivery>), StorageError> {
        let place = keys::in_webhook(tenant, RecordType::Delivery, id, owed.n);
        let mut next = owed.delivery.clone();
        next.tries = attempt.attempt;
        next.updated_at = attempt.at;
        next.last_error.clone_from(&attempt.error);
        let mut batch = Batch::default();
        match (&attempt.error, then) {
            (None, _) => batch.count(Counted::WebhookTaken),
            // Its format left it out: nobody was asked.
            (Some(_), Settlement::Done) => {}
            (Some(_), _) => batch.count(Counted::WebhookFailed),
        }
        batch.check(Check::Equals { key: place.clone(), value: owed.stored.clone() });
        let mut goes_on = None;
        match then {
            Settlement::Until(due_at) => {
                next.due_at = due_at;
                batch.put(place.clone(), encode(&place, &next)?);
            }
            Settlement::Next => {
                next.done = next.done.saturating_add(1);
                next.tries = 0;
                let stored = encode(&place, &next)?;
                batch.put(place, stored.clone());
                goes_on = Some(OwedDelivery { n: owed.n, delivery: next.clone(), stored });
            }
            Settlement::Done | Settlement::Dead => {
                batch.delete(place);
                batch.add(keys::of_webhook(tenant, RecordType::WebhookCount, id), -1);
            }
        }
        if then == Settlement::Dead {
            let aside = keys::in_webhook(tenant, RecordType::DeadDelivery, id, owed.n);
            batch.put(aside.clone(), encode(&aside, &next)?);
        }
        let log = keys::of_webhook(tenant, RecordType::Attempt, id);
        let value = encode(&log, attempt)?;
        batch.append(keys::of_webhook(tenant, RecordType::AttemptCounter, id), log, value);
        let n = self.engine.commit(batch).await?.last().copied().unwrap_or(0);
        Ok((n, goes_on))
    }

    /// How many attempts of an endpoint are kept.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn attempt_count(&self, tenant: TenantId, id: WebhookId) -> Result<usize, StorageError> {
        let prefix = keys::of_webhook(tenant, RecordType::Attempt, id);
        Ok(self.engine.range(&KeyRange::prefix(&prefix, LOOK_MAX)).await?.len())
    }

    /// Attempts of an endpoint, newest first, below number `before`.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn attempts(
        &self,
        tenant: TenantId,
        id: WebhookId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Attempt>, StorageError> {
        let mut range = KeyRange::prefix(&keys::of_webhook(tenant, RecordType::Attempt, id), limit).reversed();
        if let Some(before) = before {
            range.end = Some(keys::in_webhook(tenant, RecordType::Attempt, id, before));
        }
        let entries = self.engine.range(&range).await?;
        let read = |(key, value): &Entry| {
            let attempt: Attempt = decode(key, value)?;
            Ok(Attempt { n: keys::trailing_number(key), ..attempt })
        };
        entries.iter().map(read).collect()
    }

    /// Forgets attempts up to number `through` and those made before `oldest`, and deliveries that were given up before
    /// `oldest`, a thousand of each at a time.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn trim_webhook_log(
        &self,
        tenant: TenantId,
        id: WebhookId,
        through: u64,
        oldest: Timestamp,
    ) -> Result<(), StorageError> {
        let mut batch = Batch::default();
        let attempts = KeyRange::prefix(&keys::of_webhook(tenant, RecordType::Attempt, id), REPLAY_MAX);
        for (key, value) in self.engine.range(&attempts).await? {
            let attempt: Attempt = decode(&key, &value)?;
            if keys::trailing_number(&key) > through && attempt.at >= oldest {
                break;
            }
            batch.delete(key);
        }
        let dead = KeyRange::prefix(&keys::of_webhook(tenant, RecordType::DeadDelivery, id), REPLAY_MAX);
        for (key, value) in self.engine.range(&dead).await? {
            let delivery: Delivery = decode(&key, &value)?;
            if delivery.updated_at < oldest {
                batch.check(Check::Equals { key: key.clone(), value });
                batch.delete(key);
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        match self.engine.commit(batch).await {
            // A delivery that was replayed meanwhile: the next turn trims the rest.
            Ok(_) | Err(StorageError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deliveries that were given up, by event number, after number `after`, tests last.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn dead_deliveries(
        &self,
        tenant: TenantId,
        id: WebhookId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<DeadDelivery>, StorageError> {
        let range = KeyRange::prefix(&keys::of_webhook(tenant, RecordType::DeadDelivery, id), limit);
        let range = range.after(&keys::in_webhook(tenant, RecordType::DeadDelivery, id, after));
        let entries = self.engine.range(&range).await?;
        entries
            .into_iter()
            .map(|entry| owed(entry).map(|owed| DeadDelivery { event: owed.event(), delivery: owed.delivery }))
            .collect()
    }

    /// Makes what an endpoint is owed, and was tried in vain since `since`, due now, if it is at least so many. Returns how many
    /// waited.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn hasten_deliveries(
        &self,
        tenant: TenantId,
        id: WebhookId,
        now: Timestamp,
        since: Timestamp,
        at_least: usize,
    ) -> Result<usize, StorageError> {
        for _ in 0..CONFLICT_TRIES_MAX {
            let mut batch = Batch::default();
            let mut owed = self.owed_deliveries(tenant, id).await?;
            owed.retain(|owed| owed.delivery.tries > 0 && owed.delivery.updated_at >= since);
            if owed.len() < at_least {
                return Ok(0);
            }
            let mut count = 0;
            // What is due may be under way, and keeps its record.
            for mut owed in owed.into_iter().filter(|owed| owed.delivery.due_at > now) {
                let place = keys::in_webhook(tenant, RecordType::Delivery, id, owed.n);
                owed.delivery.due_at = now;
                batch.check(Check::Equals { key: place.clone(), value: owed.stored });
                batch.put(place.clone(), encode(&place, &owed.delivery)?);
                count += 1;
            }
            if count == 0 {
                return Ok(0);
            }
            match self.engine.commit(batch).await {
                Err(StorageError::Conflict) => {}
                other => return other.map(|_| count),
            }
        }
        Err(StorageError::Conflict)
    }

    /// Owes an endpoint a test. `number` is drawn, [`TEST_NUMBER_FIRST`] or more.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when the number is taken or the endpoint is gone; else when the engine fails.
    pub async fn owe_test(
        &self,
        endpoint: &WebhookEndpoint,
        number: u64,
        delivery: &Delivery,
    ) -> Result<Replayed, StorageError> {
        let (tenant, id) = (endpoint.tenant, endpoint.id);
        if self.owed_count(tenant, id).await? >= OWED_MAX {
            return Ok(Replayed::TooMuchOwed);
        }
        let place = keys::in_webhook(tenant, RecordType::Delivery, id, number.max(TEST_NUMBER_FIRST));
        let mut batch = Batch::default();
        batch.check(self.webhook_check(tenant, id).await?.ok_or(StorageError::Conflict)?);
        batch.check(Check::Absent { key: place.clone() });
        batch.put(place.clone(), encode(&place, delivery)?);
        batch.add(keys::of_webhook(tenant, RecordType::WebhookCount, id), 1);
        self.engine.commit(batch).await?;
        Ok(Replayed::Owed { count: 1, next: None })
    }

    /// Owes deliveries once more, under the ids they had. What is owed already becomes due now.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when the endpoint is gone; else when the engine fails or a record is damaged.
    pub async fn replay(&self, endpoint: &WebhookEndpoint, what: Replay, now: Timestamp) -> Result<Replayed, StorageError> {
        if self.owed_count(endpoint.tenant, endpoint.id).await? >= OWED_MAX {
            return Ok(Replayed::TooMuchOwed);
        }
        for _ in 0..CONFLICT_TRIES_MAX {
            let Some(there) = self.webhook_check(endpoint.tenant, endpoint.id).await? else { break };
            let mut batch = Batch::default();
            let replayed = match what {
                Replay::Event { n, force } => self.replay_one(&mut batch, endpoint, (n, force), now).await?,
                Replay::Range { from, to } => self.replay_range(&mut batch, endpoint, from, to, now).await?,
                Replay::FailedSince(since) => self.replay_dead(&mut batch, endpoint, since, now).await?,
            };
            if batch.is_empty() {
                return Ok(replayed);
            }
            batch.check(there);
            match self.engine.commit(batch).await {
                Err(StorageError::Conflict) => {}
                other => return other.map(|_| replayed),
            }
        }
        Err(StorageError::Conflict)
    }

    async fn replay_one(
        &self,
        batch: &mut Batch,
        endpoint: &WebhookEndpoint,
        (n, force): (u64, bool),
        now: Timestamp,
    ) -> Result<Replayed, StorageError> {
        let own = |event: &Event| endpoint.session.is_none_or(|bound| bound == event.session);
        let Some(event) = self.event(endpoint.tenant, n).await?.filter(own) else { return Ok(Replayed::NoSuchEvent) };
        if !force && !endpoint.wants(&event) {
            return Ok(Replayed::NotWanted(event.fact.type_name()));
        }
        // What the cursor has not passed yet is delivered anyway.
        if n <= self.webhook_cursor(endpoint.tenant, endpoint.id).await? || !endpoint.wants(&event) {
            self.owe_again(batch, endpoint, &event, now).await?;
        }
        Ok(Replayed::Owed { count: 1, next: None })
    }

    async fn replay_range(
        &self,
        batch: &mut Batch,
        endpoint: &WebhookEndpoint,
        from: u64,
        to: u64,
        now: Timestamp,
    ) -> Result<Replayed, StorageError> {
        let to = to.min(self.webhook_cursor(endpoint.tenant, endpoint.id).await?);
        let events = self.events(endpoint.tenant, from.saturating_sub(1), REPLAY_MAX).await?;
        let last = events.last().map_or(to, |event| event.n);
        let mut count = 0;
        for event in events.iter().filter(|event| event.n <= to && endpoint.wants(event)) {
            self.owe_again(batch, endpoint, event, now).await?;
            count += 1;
        }
        Ok(Replayed::Owed { count, next: (last < to).then_some(last.saturating_add(1)) })
    }

    async fn replay_dead(
        &self,
        batch: &mut Batch,
        endpoint: &WebhookEndpoint,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Replayed, StorageError> {
        let (tenant, id) = (endpoint.tenant, endpoint.id);
        let mut count = self.hasten_failing(batch, endpoint, since, now).await?;
        let mut range = KeyRange::prefix(&keys::of_webhook(tenant, RecordType::DeadDelivery, id), REPLAY_MAX);
        loop {
            let page = self.engine.range(&range).await?;
            let Some((last, _)) = page.last() else { return Ok(Replayed::Owed { count, next: None }) };
            range = range.after(last);
            for (key, value) in page {
                let n = keys::trailing_number(&key);
                let dead: Delivery = decode(&key, &value)?;
                if dead.updated_at < since {
                    continue;
                }
                if count == REPLAY_MAX {
                    return Ok(Replayed::Owed { count, next: Some(n) });
                }
                batch.check(Check::Equals { key: key.clone(), value });
                batch.delete(key);
                let fresh = Delivery { tries: 0, due_at: now, last_error: None, ..dead };
                self.put_fresh(batch, endpoint, n, &fresh).await?;
                count += 1;
            }
        }
    }

    /// Makes due what has failed since `since` and waits for its next try; how many, at most as many as one replay takes.
    async fn hasten_failing(
        &self,
        batch: &mut Batch,
        endpoint: &WebhookEndpoint,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<usize, StorageError> {
        let owed = self.owed_deliveries(endpoint.tenant, endpoint.id).await?;
        let failing = owed.into_iter().filter(|owed| owed.delivery.tries > 0 && owed.delivery.updated_at >= since);
        let mut count = 0;
        for waiting in failing.filter(|owed| owed.delivery.due_at > now).take(REPLAY_MAX) {
            let key = keys::in_webhook(endpoint.tenant, RecordType::Delivery, endpoint.id, waiting.n);
            batch.check(Check::Equals { key: key.clone(), value: waiting.stored });
            let value = encode(&key, &Delivery { due_at: now, ..waiting.delivery })?;
            batch.put(key, value);
            count += 1;
        }
        Ok(count)
    }

    async fn owe_again(
        &self,
        batch: &mut Batch,
        endpoint: &WebhookEndpoint,
        event: &Event,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let chat = event.fact.chat().map(str::to_owned);
        let webhook_id = crate::records::webhook::event_webhook_id(endpoint.id, event.n);
        batch.delete(keys::in_webhook(endpoint.tenant, RecordType::DeadDelivery, endpoint.id, event.n));
        self.put_fresh(batch, endpoint, event.n, &Delivery::new(webhook_id, Some(event.session), chat, now)).await
    }

    /// Puts a delivery where it may be owed already, and keeps the count right.
    async fn put_fresh(
        &self,
        batch: &mut Batch,
        endpoint: &WebhookEndpoint,
        n: u64,
        fresh: &Delivery,
    ) -> Result<(), StorageError> {
        let place = keys::in_webhook(endpoint.tenant, RecordType::Delivery, endpoint.id, n);
        if let Some(value) = self.engine.get(&place).await? {
            batch.check(Check::Equals { key: place.clone(), value });
        } else {
            batch.check(Check::Absent { key: place.clone() });
            batch.add(keys::of_webhook(endpoint.tenant, RecordType::WebhookCount, endpoint.id), 1);
        }
        batch.put(place.clone(), encode(&place, fresh)?);
        Ok(())
    }
}

fn owed((key, stored): Entry) -> Result<OwedDelivery, StorageError> {
    Ok(OwedDelivery { n: keys::trailing_number(&key), delivery: decode(&key, &stored)?, stored })
}
