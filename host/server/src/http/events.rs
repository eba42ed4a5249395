//! The event log in the host's own API: what happened to a tenant's sessions, oldest first.

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};

use switchboard_core::records::event::{Event, Fact};

use super::front_door::FrontDoor;
use super::input;
use super::native::{Answered, Caller, wrong_method};
use super::problem::{Problem, json as json_answer};

/// Events in one answer.
const EVENTS_MAX: u64 = 500;

impl FrontDoor {
    /// `GET /events?after=N&limit=M`: up to `M` events whose number is above `N`.
    pub(super) async fn events(&self, request: Request<Incoming>) -> Answered {
        let Caller::Tenant(tenant) = self.caller(request.headers(), "messages", "read").await? else {
            return Err(Problem::new(StatusCode::FORBIDDEN, "the event log is read with a tenant's key"));
        };
        if *request.method() != Method::GET {
            return Ok(wrong_method("GET"));
        }
        let query = input::query(request.uri().query());
        let after = number_in(&query, "after")?.unwrap_or(0);
        let limit = number_in(&query, "limit")?.unwrap_or(EVENTS_MAX);
        if limit == 0 || limit > EVENTS_MAX {
            return Err(Problem::invalid("limit", format!("{limit}: 1 to {EVENTS_MAX} are allowed")));
        }
        let events = self.storage.events(tenant, after, usize::try_from(limit).unwrap_or(usize::MAX)).await?;
        let last = events.last().map_or(after, |event| event.n);
        let events: Vec<Value> = events.iter().map(event_json).collect();
        Ok(json_answer(StatusCode::OK, &json!({ "events": events, "next_after": last })))
    }
}

fn number_in(query: &[(String, String)], name: &str) -> Result<Option<u64>, Problem> {
    let Some((_, text)) = query.iter().find(|(given, _)| given == name) else {
        return Ok(None);
    };
    let shortened: String = text.chars().take(30).collect();
    text.parse().map(Some).map_err(|_| Problem::invalid(name, format!("{shortened:?} is not a whole number")))
}

fn event_json(event: &Event) -> Value {
    json!({
        "n": event.n, "at": event.at, "session_id": event.session, "type": event.fact.type_name(), "data": data(&event.fact),
    })
}

fn data(fact: &Fact) -> Value {
    match fact {
        Fact::MessageReceived(incoming) => json!(incoming),
        Fact::MessageState { message, whatsapp_id, chat, state, reason } => json!({
            "message_id": message, "whatsapp_id": whatsapp_id, "chat": chat, "state": state, "reason": reason,
        }),
        Fact::SessionState { state, reason } => json!({ "state": state, "reason": reason }),
    }
}
