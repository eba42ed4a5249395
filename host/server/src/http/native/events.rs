//! The event log in the host's own API: what happened to a tenant's sessions.

use hyper::StatusCode;
use serde_json::{Value, json};

use switchboard_core::rules::authority;
use switchboard_core::rules::event_json::event_json;
use switchboard_core::rules::said_back::said_back;
use switchboard_core::storage::{EventPage, EventQuery, Order, PAGE_EVENTS_MAX};

use super::super::front_door::FrontDoor;
use super::super::problem::{Problem, json as json_answer};
use super::filter::EventFilter;
use super::{Answered, Call, Route, route};

pub(super) const ROUTES: &[Route] = &[
    route("GET", "events", |door, call| Box::pin(door.list_events(call))).asked(&[
        "limit",
        "cursor",
        "after",
        "order",
        "session_id",
        "chat",
        "type",
    ]),
    route("GET", "events/stream", |door, call| Box::pin(door.stream_events(call))).asked(&[
        "after",
        "session_id",
        "chat",
        "type",
    ]),
];

impl FrontDoor {
    /// `?after=N` (or `cursor=N`): events whose number is above `N`, oldest first. `?order=desc`: newest first; `cursor=N` then
    /// means below `N`.
    async fn list_events(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), "messages", "read").await?;
        let query = call.query();
        let filter = EventFilter::of(&query)?;
        let (limit, cursor) = (query.limit(PAGE_EVENTS_MAX)?, query.number("cursor")?);
        let after = cursor.or(query.number("after")?);
        let (order, cursor) = match query.get("order") {
            None | Some("asc") => (Order::OldestFirst, after),
            Some("desc") => (Order::NewestFirst, cursor),
            Some(other) => {
                return Err(Problem::bad_parameter("order", format!("{:?}: asc and desc are allowed", said_back(other))));
            }
        };
        let page = match filter.query(&caller) {
            Some(wanted) => self.storage.event_page(caller.tenant, &EventQuery { order, limit, cursor, ..wanted }).await?,
            None => EventPage { seen: cursor.unwrap_or(0), ..EventPage::default() },
        };
        let events: Vec<Value> =
            page.events.iter().filter(|event| authority::sees(&caller, event)).map(event_json).collect();
        let mut body = json!({ "events": events, "next_cursor": page.next.map(|next| next.to_string()) });
        if let Some(body) = body.as_object_mut()
            && order == Order::OldestFirst
        {
            body.insert("next_after".to_owned(), page.seen.into());
        }
        Ok(json_answer(StatusCode::OK, &body))
    }
}
