//! The event log in the host's own API: what happened to a tenant's sessions.

use hyper::StatusCode;
use serde_json::{Value, json};

use switchboard_core::records::account::Principal;
use switchboard_core::records::event::Event;
use switchboard_core::rules::event_json::event_json;
use switchboard_core::storage::StorageError;

use super::super::front_door::FrontDoor;
use super::super::problem::{Problem, json as json_answer};
use super::filter::EventFilter;
use super::{Answered, Call, Route, route, shortened};

/// Events in one answer.
const EVENTS_MAX: usize = 500;
/// How often so many events are looked at for one answer: a filter that lets few through makes a short page with a next one.
const SCAN_PAGES_MAX: usize = 20;

pub(super) const ROUTES: &[Route] = &[
    route("GET", "events", |door, call| Box::pin(door.list_events(call))),
    route("GET", "events/stream", |door, call| Box::pin(door.stream_events(call))),
];

/// A page of the log.
struct Page {
    events: Vec<Event>,
    /// The number of the event that was looked at last.
    at: u64,
    /// Whether there may be more beyond it.
    more: bool,
}

impl FrontDoor {
    /// `?after=N` (or `cursor=N`): events whose number is above `N`, oldest first. `?order=desc`: newest first; `cursor=N` then
    /// means below `N`.
    async fn list_events(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), "messages", "read").await?;
        let query = call.query();
        let filter = EventFilter::of(&query)?;
        let (limit, cursor) = (query.limit(EVENTS_MAX)?, query.number("cursor")?);
        let after = cursor.or(query.number("after")?);
        let (page, newest_first) = match query.get("order") {
            None | Some("asc") => (self.page_up(&caller, &filter, after.unwrap_or(0), limit).await?, false),
            Some("desc") => (self.page_down(&caller, &filter, cursor, limit).await?, true),
            Some(other) => {
                return Err(Problem::invalid("order", format!("{:?}: asc and desc are allowed", shortened(other))));
            }
        };
        let events: Vec<Value> = page.events.iter().map(event_json).collect();
        let mut body = json!({ "events": events, "next_cursor": page.more.then(|| page.at.to_string()) });
        if let Some(body) = body.as_object_mut()
            && !newest_first
        {
            body.insert("next_after".to_owned(), page.at.into());
        }
        Ok(json_answer(StatusCode::OK, &body))
    }

    async fn page_up(
        &self,
        caller: &Principal,
        filter: &EventFilter,
        after: u64,
        limit: usize,
    ) -> Result<Page, StorageError> {
        let mut page = Page { events: Vec::new(), at: after, more: true };
        for _ in 0..SCAN_PAGES_MAX {
            let events = self.storage.events(caller.tenant, page.at, EVENTS_MAX).await?;
            let last = events.len() < EVENTS_MAX;
            for event in events {
                if page.events.len() == limit {
                    return Ok(page);
                }
                page.at = event.n;
                if filter.has(caller, &event) {
                    page.events.push(event);
                }
            }
            if last {
                page.more = false;
                return Ok(page);
            }
        }
        Ok(page)
    }

    async fn page_down(
        &self,
        caller: &Principal,
        filter: &EventFilter,
        below: Option<u64>,
        limit: usize,
    ) -> Result<Page, StorageError> {
        let newest = self.storage.last_event_number(caller.tenant).await?;
        let at = below.unwrap_or(u64::MAX).min(newest.saturating_add(1));
        let mut page = Page { events: Vec::new(), at, more: true };
        for _ in 0..SCAN_PAGES_MAX {
            // Numbers have no gaps: the events below `at` are exactly those of this window.
            let after = page.at.saturating_sub(1).saturating_sub(EVENTS_MAX as u64);
            let window = usize::try_from(page.at.saturating_sub(1).saturating_sub(after)).unwrap_or(EVENTS_MAX);
            let events = if window == 0 { Vec::new() } else { self.storage.events(caller.tenant, after, window).await? };
            let oldest = events.is_empty() || after == 0;
            let at = page.at;
            for event in events.into_iter().rev().filter(|event| event.n < at) {
                if page.events.len() == limit {
                    return Ok(page);
                }
                page.at = event.n;
                if filter.has(caller, &event) {
                    page.events.push(event);
                }
            }
            if oldest {
                page.more = false;
                return Ok(page);
            }
        }
        Ok(page)
    }
}
