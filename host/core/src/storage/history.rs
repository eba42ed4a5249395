//! Pages of the event log: by session, chat, type and time, from either end.
//!
//! A chat has a list of its events' numbers beside the log; everything else is filtered while the log is read. One page looks at
//! [`PAGE_SCANNED_MAX`] entries at most and says where to go on, so a rare type costs more pages, never a long one.

use std::time::Duration;

use super::codec::decode;
use super::engine::KeyRange;
use super::{LOG_SCANNED_MAX, Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::event::Event;
use crate::records::id::{SessionId, TenantId};
use crate::rules::event_filter;

/// Most events on one page.
pub const PAGE_EVENTS_MAX: usize = 500;
/// Most entries of the log that one page looks at.
pub const PAGE_SCANNED_MAX: usize = 5000;
/// Entries that are read at once.
const STEP: usize = 250;
/// How far the times of neighbouring events may be out of order: the time is taken before the number is given.
const DISORDER: Duration = Duration::from_secs(300);

/// From which end the log is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest event first.
    #[default]
    NewestFirst,
    /// The oldest event first.
    OldestFirst,
}

/// Which events are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Of this session alone.
    pub session: Option<SessionId>,
    /// Of this chat alone: a JID, by whichever name of the person.
    pub chat: Option<String>,
    /// Types: exact, a family such as `message.*`, or `*`. None at all means every type.
    pub types: Vec<String>,
    /// Recorded at this moment or later.
    pub since: Option<Timestamp>,
    /// Recorded before this moment.
    pub until: Option<Timestamp>,
    /// From which end.
    pub order: Order,
    /// Most events of the page; at most [`PAGE_EVENTS_MAX`] are given.
    pub limit: usize,
    /// Where the page before ended: its `next`.
    pub cursor: Option<u64>,
}

/// A page of events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventPage {
    /// The events, in the order that was asked for.
    pub events: Vec<Event>,
    /// Where the next page begins; `None` when nothing follows. A page may be empty and yet have one.
    pub next: Option<u64>,
    /// The number that was looked at last, or the last of the log when nothing follows: a reader who comes back later begins
    /// behind it. Only of pages with the oldest event first.
    pub seen: u64,
}

/// A page of a list of events that is counted from its new end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventListing {
    /// The events, newest first.
    pub events: Vec<Event>,
    /// How many there are on all pages, among the newest [`LOG_SCANNED_MAX`] of the tenant.
    pub total: u64,
}

impl EventQuery {
    fn wants(&self, session: SessionId, type_name: &str) -> bool {
        self.session.is_none_or(|wanted| wanted == session)
            && (self.types.is_empty() || event_filter::takes(&self.types, type_name))
    }

    fn in_time(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }

    /// Whether nothing that is wanted can come after an event of this time.
    fn is_past(&self, at: Timestamp) -> bool {
        match self.order {
            Order::NewestFirst => self.since.is_some_and(|since| at < before(since)),
            Order::OldestFirst => self.until.is_some_and(|until| at > until.plus(DISORDER)),
        }
    }
}

fn before(moment: Timestamp) -> Timestamp {
    Timestamp(moment.0.saturating_sub(u64::try_from(DISORDER.as_millis()).unwrap_or(u64::MAX)))
}

/// The stretch of numbers that is still to be looked at: from the first one up to before the second.
struct Stretch(u64, u64);

impl Storage {
    /// A page of the tenant's events.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn event_page(&self, tenant: TenantId, query: &EventQuery) -> Result<EventPage, StorageError> {
        let limit = query.limit.min(PAGE_EVENTS_MAX);
        let mut page = EventPage::default();
        let mut stretch = self.stretch(tenant, query).await?;
        page.seen = query.cursor.unwrap_or(0).max(stretch.1.saturating_sub(1));
        let mut scanned = 0;
        while page.events.len() < limit && scanned < PAGE_SCANNED_MAX && stretch.0 < stretch.1 {
            let step = self.candidates(tenant, query, &stretch).await?;
            if step.is_empty() {
                return Ok(EventPage { next: None, ..page });
            }
            for (n, event) in step {
                scanned += 1;
                match query.order {
                    Order::NewestFirst => stretch.1 = n,
                    Order::OldestFirst => stretch.0 = n.saturating_add(1),
                }
                let Some(event) = event else { continue };
                if query.is_past(event.at) {
                    return Ok(EventPage { next: None, ..page });
                }
                if query.in_time(event.at) && query.wants(event.session, event.fact.type_name()) {
                    page.events.push(event);
                }
                if page.events.len() == limit {
                    break;
                }
            }
        }
        if stretch.0 < stretch.1 {
            let next = match query.order {
                Order::NewestFirst => stretch.1,
                Order::OldestFirst => stretch.0.saturating_sub(1),
            };
            (page.next, page.seen) = (Some(next), next);
        }
        Ok(page)
    }

    /// Events of one session, or of all, and of these types, newest first: `limit` of them from number `offset` on.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn event_listing(
        &self,
        tenant: TenantId,
        session: Option<SessionId>,
        types: &[String],
        (offset, limit): (usize, usize),
    ) -> Result<EventListing, StorageError> {
        let query = EventQuery { session, types: types.to_vec(), ..EventQuery::default() };
        let mut stretch = self.stretch(tenant, &query).await?;
        let mut listing = EventListing::default();
        let (mut scanned, mut seen) = (0, 0_usize);
        while scanned < LOG_SCANNED_MAX && stretch.0 < stretch.1 {
            let step = self.candidates(tenant, &query, &stretch).await?;
            let Some((last, _)) = step.last() else { break };
            stretch.1 = *last;
            scanned += step.len();
            for event in step.into_iter().filter_map(|(_, event)| event) {
                if !query.wants(event.session, event.fact.type_name()) {
                    continue;
                }
                if seen >= offset && listing.events.len() < limit {
                    listing.events.push(event);
                }
                seen += 1;
            }
        }
        listing.total = u64::try_from(seen).unwrap_or(u64::MAX);
        Ok(listing)
    }

    /// Which numbers a query can be about at all.
    async fn stretch(&self, tenant: TenantId, query: &EventQuery) -> Result<Stretch, StorageError> {
        let end = self.last_event_number(tenant).await?.saturating_add(1);
        let mut stretch = Stretch(1, end);
        match (query.order, query.cursor) {
            (Order::NewestFirst, Some(cursor)) => stretch.1 = stretch.1.min(cursor),
            (Order::OldestFirst, Some(cursor)) => stretch.0 = cursor.saturating_add(1),
            (_, None) => {}
        }
        if let Some(since) = query.since {
            stretch.0 = stretch.0.max(self.first_event_since(tenant, before(since), end).await?);
        }
        if let Some(until) = query.until {
            stretch.1 = stretch.1.min(self.first_event_since(tenant, until.plus(DISORDER), end).await?);
        }
        Ok(stretch)
    }

    /// The number of the first event recorded at `moment` or later, found by halving; `end` when there is none.
    async fn first_event_since(&self, tenant: TenantId, moment: Timestamp, end: u64) -> Result<u64, StorageError> {
        let (mut low, mut high) = (1, end);
        while low < high {
            let middle = low + (high - low) / 2;
            let after = middle.saturating_sub(1);
            match self.events(tenant, after, 1).await?.pop().filter(|event| event.n < high) {
                Some(event) if event.at < moment => low = event.n.saturating_add(1),
                // What was before it is not there any more, or is later as well.
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// The next entries of a stretch, and the events that are worth a look. Of a chat, what its list rules out is not read.
    async fn candidates(
        &self,
        tenant: TenantId,
        query: &EventQuery,
        stretch: &Stretch,
    ) -> Result<Vec<(u64, Option<Event>)>, StorageError> {
        let prefix = match &query.chat {
            Some(chat) => keys::events_by_chat(tenant, chat),
            None => keys::events(tenant),
        };
        let bound = |n: u64| [prefix.as_slice(), &n.to_be_bytes()].concat();
        let range = KeyRange {
            start: bound(stretch.0),
            end: Some(bound(stretch.1)),
            limit: STEP,
            reverse: query.order == Order::NewestFirst,
        };
        let entries = self.engine.range(&range).await?;
        let mut found = Vec::with_capacity(entries.len());
        for (key, value) in &entries {
            let n = keys::trailing_number(key);
            let event = if query.chat.is_none() {
                let mut event: Event = decode(key, value)?;
                event.n = n;
                Some(event)
            } else {
                let (session, type_name): (SessionId, String) = decode(key, value)?;
                if query.wants(session, &type_name) { self.event(tenant, n).await? } else { None }
            };
            found.push((n, event));
        }
        Ok(found)
    }
}
