//! A tenant's log as server-sent events, worded by the host itself.

use std::sync::Arc;

use async_trait::async_trait;
use hyper::StatusCode;
use hyper::header::{HeaderMap, RETRY_AFTER};

use switchboard_core::rules::event_json::event_json;

use super::super::front_door::FrontDoor;
use super::super::problem::{Answer, Problem};
use super::super::streams::{Log, RETRY_AFTER_S, Reading, STREAMS_MAX, Said, Subject, body, set_headers};
use super::filter::EventFilter;
use super::{Answered, Call};

/// The number of the last event that a client saw, when it comes back.
const LAST_EVENT_ID: &str = "last-event-id";
/// What clients see at once.
pub(super) const GREETING: &[u8] = b": switchboard\n\n";

/// The log as the host's own API words it.
struct Native(Log);

#[async_trait]
impl Subject for Native {
    async fn say(&mut self) -> Said {
        let Some((page, full)) = self.0.page().await else { return Said::Last(Vec::new().into()) };
        let mut text = String::new();
        for event in &page {
            // JSON has no line breaks of its own.
            let (n, name, data) = (event.n, event.fact.type_name(), event_json(event));
            text.push_str(&format!("id: {n}\nevent: {name}\ndata: {data}\n\n"));
        }
        match (text.is_empty(), full) {
            (false, _) => Said::Bytes(text.into()),
            (true, true) => Said::Further,
            (true, false) => Said::Nothing,
        }
    }

    async fn wait(&mut self) -> bool {
        self.0.wait().await
    }
}

/// Where a client that comes back was.
pub(super) fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(id) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let number = id.to_str().ok().and_then(|id| id.trim().parse().ok());
    number.map(Some).ok_or_else(|| Problem::bad_parameter("Last-Event-ID", "is not the number of an event"))
}

/// What is said where as many streams are open as may be.
pub(super) fn too_many_streams() -> Answer {
    let why = format!("{STREAMS_MAX} streams are open already, which is the limit of a tenant");
    let mut answer = Problem::new(StatusCode::TOO_MANY_REQUESTS, why).answer();
    answer.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_S.into());
    answer
}

impl FrontDoor {
    /// Begins behind `Last-Event-ID`, else behind `?after=`, else with what happens from now on.
    pub(super) async fn stream_events(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), "messages", "read").await?;
        let query = call.query();
        let filter = EventFilter::of(&query)?;
        let after = match last_event_id(call.headers())? {
            Some(id) => Some(id),
            None => query.number("after")?,
        };
        let Some(place) = self.streams.take(caller.tenant) else { return Ok(too_many_streams()) };
        let log = Log::open(&self.storage, &self.wakes, &caller, filter, after).await?;
        let (accounts, clock, ready) = (self.accounts.clone(), Arc::clone(&self.clock), self.ready.clone());
        let reading = Reading { accounts, clock, caller: Some(caller), ready, api: None, _place: place };
        let mut answer = Answer::new(body(reading, GREETING, Box::new(Native(log))));
        set_headers(&mut answer);
        Ok(answer)
    }
}
