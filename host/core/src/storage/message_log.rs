//! Lists a tenant's messages in both directions, newest first, and counts them.
//!
//! Accepted messages and events are read side by side from their new ends. How many there are is counted as they come and go;
//! with a filter that no count is kept for, what was read is counted, and no more than [`LOG_SCANNED_MAX`] are read.

use super::codec::decode;
use super::engine::{KeyRange, count_in};
use super::{Storage, StorageError, keys};
use crate::records::event::Event;
use crate::records::id::{SessionId, TenantId};
use crate::records::message_log::{Direction, LogPage, LogQuery, Logged, is_received};

/// Most messages and events that are read for one page. With a filter, `total` counts no older ones.
pub const LOG_SCANNED_MAX: usize = 50_000;
/// Entries that are read at once.
const STEP: usize = 200;

/// One direction, read from its new end.
struct Stream {
    direction: Direction,
    /// Read and not yet taken, the newest last.
    ready: Vec<Logged>,
    /// Below which key the next ones are; `None` at the end.
    below: Option<Vec<u8>>,
    scanned: usize,
}

impl Stream {
    fn new(tenant: TenantId, direction: Direction) -> Self {
        let prefix = Self::prefix(tenant, direction);
        Self { direction, ready: Vec::new(), below: KeyRange::prefix(&prefix, 0).end, scanned: 0 }
    }

    fn prefix(tenant: TenantId, direction: Direction) -> Vec<u8> {
        match direction {
            Direction::Sent => keys::messages(tenant),
            Direction::Received => keys::events(tenant),
        }
    }

    /// The newest that was not taken yet, after as many reads as that needs.
    async fn peek(
        &mut self,
        storage: &Storage,
        tenant: TenantId,
        query: &LogQuery,
    ) -> Result<Option<&Logged>, StorageError> {
        while self.ready.is_empty() {
            let Some(below) = self.below.take() else { break };
            if self.scanned >= LOG_SCANNED_MAX {
                break;
            }
            let range =
                KeyRange { end: Some(below), ..KeyRange::prefix(&Self::prefix(tenant, self.direction), STEP).reversed() };
            let rows = storage.engine.range(&range).await?;
            self.scanned += rows.len();
            let mut past = false;
            for (key, value) in &rows {
                let Some(one) = self.read(key, value)? else { continue };
                // Both come in the order of their time, but for the time that a commit takes.
                past |= query.since.is_some_and(|since| one.at().0.saturating_add(DISORDER_MS) < since.0);
                if query.wants(&one) {
                    self.ready.push(one);
                }
            }
            self.ready.reverse();
            if rows.len() == STEP && !past {
                self.below = rows.last().map(|(key, _)| key.clone());
            }
        }
        Ok(self.ready.last())
    }

    fn read(&self, key: &[u8], value: &[u8]) -> Result<Option<Logged>, StorageError> {
        match self.direction {
            Direction::Sent => Ok(Some(Logged::Sent(Box::new(decode(key, value)?)))),
            Direction::Received => {
                let mut event: Event = decode(key, value)?;
                event.n = keys::trailing_number(key);
                Ok(is_received(&event.fact).then(|| Logged::Received(Box::new(event))))
            }
        }
    }
}

/// How far the times of neighbours may be out of order, milliseconds.
const DISORDER_MS: u64 = 300_000;

impl Storage {
    /// A page of the tenant's messages.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn message_log(&self, tenant: TenantId, query: &LogQuery) -> Result<LogPage, StorageError> {
        let wanted = [Direction::Sent, Direction::Received].into_iter().filter(|direction| query.takes(*direction));
        let mut streams: Vec<Stream> = wanted.map(|direction| Stream::new(tenant, direction)).collect();
        let mut page = LogPage::default();
        let end = query.offset.saturating_add(query.limit);
        let mut seen = 0;
        while seen < end || !query.is_plain() {
            let mut newest: Option<(usize, crate::clock::Timestamp)> = None;
            for (at, stream) in streams.iter_mut().enumerate() {
                if let Some(one) = stream.peek(self, tenant, query).await?
                    && newest.is_none_or(|(_, than)| one.at() > than)
                {
                    newest = Some((at, one.at()));
                }
            }
            let taken = newest.and_then(|(at, _)| streams.get_mut(at)?.ready.pop());
            let Some(one) = taken else { break };
            if seen >= query.offset && seen < end {
                page.entries.push(one);
            }
            seen += 1;
        }
        page.total = if query.is_plain() { self.logged(tenant, query).await? } else { seen as u64 };
        Ok(page)
    }

    /// How many messages a plain query is about.
    async fn logged(&self, tenant: TenantId, query: &LogQuery) -> Result<u64, StorageError> {
        let mut total = 0_u64;
        for direction in [Direction::Sent, Direction::Received] {
            if query.takes(direction) {
                total = total.saturating_add(match query.session {
                    Some(session) => self.message_count(tenant, session, direction).await?,
                    None => {
                        let counts = self.entries(&keys::message_counts(tenant, direction)).await?;
                        counts.iter().map(|(_, value)| count_in(Some(value.as_slice()))).sum()
                    }
                });
            }
        }
        Ok(total)
    }

    /// How many messages a session has sent or received, as far as they are kept.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn message_count(
        &self,
        tenant: TenantId,
        session: SessionId,
        direction: Direction,
    ) -> Result<u64, StorageError> {
        Ok(count_in(self.engine.get(&keys::message_count(tenant, direction, session)).await?.as_deref()))
    }
}
