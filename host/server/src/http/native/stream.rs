//! Server-sent events: a tenant's log as it grows.
//!
//! A reader has a place in the log and no queue: it reads on when its connection takes more, so that a slow one costs a page of
//! events and nothing else. It ends with the host, with its key, and when it goes away.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::StatusCode;
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use tokio::sync::watch;

use switchboard_core::clock::Clock;
use switchboard_core::records::account::Principal;
use switchboard_core::records::id::TenantId;
use switchboard_core::rules::event_json::event_json;
use switchboard_core::storage::Storage;

use super::super::front_door::FrontDoor;
use super::super::problem::{Answer, Problem};
use super::filter::EventFilter;
use super::{Answered, Call};
use crate::accounts::Accounts;

/// Streams of one tenant that are open at once.
const STREAMS_MAX: usize = 64;
/// When to try again where there are too many, seconds.
const RETRY_AFTER_SECONDS: &str = "10";
/// Events that are read together.
const PAGE: usize = 100;
/// Longest silence: then a comment says that the stream lives, and the key is looked at.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The number of the last event that a client saw, when it comes back.
const LAST_EVENT_ID: &str = "last-event-id";

/// How many streams each tenant has open.
#[derive(Default)]
pub(crate) struct Streams(Arc<Mutex<HashMap<TenantId, usize>>>);

/// The place of one stream, until it is dropped.
struct Place {
    open: Arc<Mutex<HashMap<TenantId, usize>>>,
    tenant: TenantId,
}

impl Streams {
    fn take(&self, tenant: TenantId) -> Option<Place> {
        let mut open = self.0.lock().ok()?;
        let count = open.entry(tenant).or_default();
        if *count >= STREAMS_MAX {
            return None;
        }
        *count += 1;
        Some(Place { open: Arc::clone(&self.0), tenant })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Ok(mut open) = self.open.lock() else { return };
        if let Some(count) = open.get_mut(&self.tenant) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.tenant);
            }
        }
    }
}

/// Reads the log for one client.
struct Reader {
    storage: Storage,
    accounts: Accounts,
    clock: Arc<dyn Clock>,
    caller: Principal,
    filter: EventFilter,
    after: u64,
    greeted: bool,
    bell: watch::Receiver<()>,
    ready: watch::Receiver<bool>,
    _place: Place,
}

impl Reader {
    /// What to write next; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.greeted, true) {
            return Some(Bytes::from_static(b": switchboard\n\n"));
        }
        let alive_at = self.clock.now().plus(KEEP_ALIVE);
        loop {
            // Whatever rings from here on is behind what is read below.
            self.bell.borrow_and_update();
            if !*self.ready.borrow() || !self.accounts.still_holds(&self.caller).await {
                return None;
            }
            let (text, full) = self.read().await?;
            if !text.is_empty() {
                return Some(text.into());
            }
            if self.clock.now() >= alive_at {
                return Some(Bytes::from_static(b": alive\n\n"));
            }
            if full {
                continue;
            }
            tokio::select! {
                biased;
                _ = self.ready.wait_for(|ready| !ready) => return None,
                rung = self.bell.changed() => rung.ok()?,
                () = self.clock.sleep_until(alive_at) => {}
            }
        }
    }

    /// The events of the next page that are wanted, and whether there are more pages.
    async fn read(&mut self) -> Option<(String, bool)> {
        let page = match self.storage.events(self.caller.tenant, self.after, PAGE).await {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(%error, "a stream cannot read the log");
                return None;
            }
        };
        let mut text = String::new();
        for event in &page {
            self.after = event.n;
            if self.filter.has(&self.caller, event) {
                // JSON has no line breaks of its own.
                let (n, name, data) = (event.n, event.fact.type_name(), event_json(event));
                text.push_str(&format!("id: {n}\nevent: {name}\ndata: {data}\n\n"));
            }
        }
        Some((text, page.len() == PAGE))
    }
}

impl FrontDoor {
    /// Begins behind `Last-Event-ID`, else behind `?after=`, else with what happens from now on.
    pub(super) async fn stream_events(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), "messages", "read").await?;
        let query = call.query();
        let filter = EventFilter::of(&query)?;
        let after = match call.headers().get(LAST_EVENT_ID) {
            Some(id) => {
                let number = id.to_str().ok().and_then(|id| id.trim().parse().ok());
                Some(number.ok_or_else(|| Problem::bad_parameter("Last-Event-ID", "is not the number of an event"))?)
            }
            None => query.number("after")?,
        };
        let Some(place) = self.streams.take(caller.tenant) else {
            let why = format!("{STREAMS_MAX} streams are open already, which is the limit of a tenant");
            let mut answer = Problem::new(StatusCode::TOO_MANY_REQUESTS, why).answer();
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
            return Ok(answer);
        };
        let bell = self.wakes.event_bell(caller.tenant);
        let after = match after {
            Some(after) => after,
            None => self.storage.last_event_number(caller.tenant).await?,
        };
        let reader = Reader {
            storage: self.storage.clone(),
            accounts: self.accounts.clone(),
            clock: Arc::clone(&self.clock),
            caller,
            filter,
            after,
            greeted: false,
            bell,
            ready: self.ready.clone(),
            _place: place,
        };
        Ok(streamed(reader))
    }
}

fn streamed(reader: Reader) -> Answer {
    let pieces = futures_util::stream::unfold(reader, |mut reader| async move {
        let piece = reader.next().await?;
        Some((Ok::<_, io::Error>(Frame::data(piece)), reader))
    });
    let mut answer = Answer::new(StreamBody::new(pieces).boxed_unsync());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Proxies are not to gather what is meant to arrive at once.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    answer
}
