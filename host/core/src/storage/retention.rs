//! Removes what has been kept for long enough, in bounded steps: events from the old end of the log, and records that only
//! serve to recognise something again.

use super::codec::decode;
use super::engine::{Batch, Check, Entry, KeyRange, count_in};
use super::keys::RecordType;
use super::polls::Vote;
use super::{Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::account::ApiKey;
use crate::records::event::{Event, KnownPoll};
use crate::records::id::TenantId;
use crate::records::message_log::{Direction, is_received};
use crate::records::plugin::LoggedCall;
use crate::rules::retention::{CALLS_KEPT_FOR, MARKS_KEPT, Oldest, POLLS_KEPT, REVOKED_KEPT, Retention, goes};

/// Entries that one step looks at.
const STEP: usize = 256;

/// Records that go after a time. To sweep another kind, name it here and say in `Sweep::remove_if_over` when it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// Marks of messages that came in.
    InboundMarks,
    /// Polls.
    Polls,
    /// Votes in them.
    Votes,
    /// Revoked API keys.
    RevokedKeys,
    /// Calls of plugins.
    LoggedCalls,
}

impl Sweep {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::InboundMarks, Self::Polls, Self::Votes, Self::RevokedKeys, Self::LoggedCalls];

    fn prefix(self, tenant: TenantId) -> Vec<u8> {
        match self {
            Self::InboundMarks => keys::all_inbound_seen(tenant),
            Self::Polls => keys::known_polls(tenant),
            Self::Votes => keys::all_poll_votes(tenant),
            Self::RevokedKeys => keys::api_keys(tenant),
            Self::LoggedCalls => keys::all_logged_calls(tenant),
        }
    }

    /// Lets `batch` remove a record if it is over; whether it is.
    fn remove_if_over(
        self,
        storage: &Storage,
        (key, value): &Entry,
        now: Timestamp,
        batch: &mut Batch,
    ) -> Result<bool, StorageError> {
        let over = match self {
            Self::InboundMarks => now.since(decode(key, value)?) > MARKS_KEPT,
            Self::Polls => {
                let poll: KnownPoll = decode(key, &storage.vault.open(key, value)?)?;
                now.since(poll.at) > POLLS_KEPT
            }
            Self::Votes => {
                let vote: Vote = decode(key, value)?;
                now.since(vote.at) > POLLS_KEPT
            }
            Self::RevokedKeys => {
                let record: ApiKey = decode(key, value)?;
                let over = record.revoked_at.is_some_and(|at| now.since(at) > REVOKED_KEPT);
                if over {
                    Storage::remove_key(batch, &record);
                }
                return Ok(over);
            }
            Self::LoggedCalls => {
                let call: LoggedCall = decode(key, value)?;
                let over = now.since(call.at) > CALLS_KEPT_FOR;
                if over {
                    batch.add(keys::count_of_logged_call(key), -1);
                }
                over
            }
        };
        if over {
            batch.delete(key.clone());
        }
        Ok(over)
    }
}

/// What a step of a sweep did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Records that were removed.
    pub removed: usize,
    /// Where the next step begins; `None` at the end.
    pub next: Option<Vec<u8>>,
}

impl Storage {
    /// Removes the oldest events of a tenant as far as `retention` says, a bounded number of them. Returns how many; when it is
    /// none, nothing is left to remove.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn trim_events(&self, tenant: TenantId, retention: &Retention, now: Timestamp) -> Result<usize, StorageError> {
        let range = KeyRange::prefix(&keys::events(tenant), STEP);
        let entries = self.engine.range(&range).await?;
        let Some((first, first_value)) = entries.first() else { return Ok(0) };
        let mut log_bytes = self.event_log_bytes(tenant).await?;
        let owed_from = self.oldest_owed_event(tenant).await?;
        let mut batch = Batch::default();
        // Whoever trims at the same time has removed the first one.
        batch.check(Check::Equals { key: first.clone(), value: first_value.clone() });
        let (mut removed, mut bytes) = (0, 0_u64);
        for (key, value) in &entries {
            let event: Event = decode(key, value)?;
            let n = keys::trailing_number(key);
            let owed = owed_from.is_some_and(|from| n >= from);
            if !goes(retention, Oldest { at: event.at, owed, log_bytes }, now) {
                break;
            }
            for chat in event.fact.chat_names() {
                batch.delete(keys::event_by_chat(tenant, &chat, n));
            }
            if is_received(&event.fact) {
                batch.add(keys::message_count(tenant, Direction::Received, event.session), -1);
            }
            batch.delete(keys::chain_end(tenant, n));
            batch.delete(key.clone());
            let size = value.len() as u64;
            log_bytes = log_bytes.saturating_sub(size);
            bytes = bytes.saturating_add(size);
            removed += 1;
        }
        if removed == 0 {
            return Ok(0);
        }
        batch.add(keys::event_bytes(tenant), -i64::try_from(bytes).unwrap_or(i64::MAX));
        match self.engine.commit(batch).await {
            Ok(_) => Ok(removed),
            Err(StorageError::Conflict) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// How many bytes a tenant's event log holds.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn event_log_bytes(&self, tenant: TenantId) -> Result<u64, StorageError> {
        Ok(count_in(self.engine.get(&keys::event_bytes(tenant)).await?.as_deref()))
    }

    /// The number of the oldest event that a responder or a webhook endpoint has not passed, or for which a run or a delivery
    /// is still owed; `None` when there is neither.
    async fn oldest_owed_event(&self, tenant: TenantId) -> Result<Option<u64>, StorageError> {
        let prefix = keys::cursors(tenant);
        let mut oldest: Option<u64> = None;
        for (key, value) in self.entries(&prefix).await? {
            let passed: u64 = decode(&key, &value)?;
            let mut owed = passed.saturating_add(1);
            if let Some(name) = key.get(prefix.len()..).and_then(|name| std::str::from_utf8(name).ok()) {
                let first_run = self.engine.range(&KeyRange::prefix(&keys::works(tenant, name), 1)).await?.pop();
                owed = owed.min(first_run.map_or(u64::MAX, |(key, _)| keys::trailing_number(&key)));
            }
            oldest = Some(oldest.map_or(owed, |oldest| oldest.min(owed)));
        }
        for endpoint in self.webhooks(tenant).await? {
            let passed = self.webhook_cursor(tenant, endpoint.id).await?;
            // Tests have numbers above those of all events.
            let deliveries = keys::of_webhook(tenant, RecordType::Delivery, endpoint.id);
            let first = self.engine.range(&KeyRange::prefix(&deliveries, 1)).await?.pop();
            let owed = first.map_or(u64::MAX, |(key, _)| keys::trailing_number(&key)).min(passed.saturating_add(1));
            oldest = Some(oldest.map_or(owed, |oldest| oldest.min(owed)));
        }
        Ok(oldest)
    }

    /// One step of a sweep over a tenant's records, from `from` on.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn sweep(
        &self,
        tenant: TenantId,
        kind: Sweep,
        from: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<Swept, StorageError> {
        let range = KeyRange::prefix(&kind.prefix(tenant), STEP);
        let range = match from {
            Some(from) => range.after(from),
            None => range,
        };
        let entries = self.engine.range(&range).await?;
        let mut batch = Batch::default();
        let mut removed = 0;
        for entry in &entries {
            removed += usize::from(kind.remove_if_over(self, entry, now, &mut batch)?);
        }
        if removed > 0 {
            self.engine.commit(batch).await?;
        }
        let next = if entries.len() == STEP { entries.last().map(|(key, _)| key.clone()) } else { None };
        Ok(Swept { removed, next })
    }
}
