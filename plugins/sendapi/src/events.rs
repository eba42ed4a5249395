//! What happened, as this dialect tells it: `{"event","timestamp","data"}`.

use serde_json::{Value, json};
use switchboard_dialect::hooks::{self, HookName, Life, Step, named};
use switchboard_dialect::people;
use switchboard_guest_sdk::iso8601;
use switchboard_guest_sdk::types::{Content, Event, Fact, MessageProgress, SessionProgress};
use switchboard_guest_sdk::webhook::{About, Endpoint, Guest, Payload};

use crate::Sendapi;
use crate::messages::{self, type_of};
use crate::sessions;

/// Every event.
pub const NAMES: &[HookName] = &[
    named("message.received", &["message.received"]),
    named("message.sent", &["message.acknowledged"]),
    named("message.delivered", &["message.delivered"]),
    named("message.read", &["message.read", "message.played"]),
    named("message.failed", &["message.failed", "message.expired", "message.cancelled"]),
    named("session.connected", &["session.state"]),
    named("session.disconnected", &["session.state"]),
];

impl Guest for Sendapi {
    fn shape(event: Event, about: About, endpoint: Endpoint) -> Result<Vec<Payload>, String> {
        let told = if hooks::is_test(&event) {
            Some((hooks::TEST, json!({})))
        } else {
            told(&event, &about).filter(|(name, _)| hooks::takes(&hooks::kept_events(&endpoint.settings), name))
        };
        let Some((name, data)) = told else { return Ok(Vec::new()) };
        let body = json!({ "event": name, "timestamp": iso8601(event.at_ms), "data": data });
        Ok(vec![hooks::payload(name, &body, hooks::sha256_of_body("X-SendAPI-Signature"))])
    }
}

/// What the event is called, and its data; nothing when it is none of this dialect's.
fn told(event: &Event, about: &About) -> Option<(&'static str, Value)> {
    let session = sessions::spelled(event.session);
    match &event.fact {
        Fact::MessageReceived(incoming) => {
            let other = matches!(
                incoming.content,
                Content::Reaction(_) | Content::Edit(_) | Content::Revoke(_) | Content::PollVote(_)
            );
            // What the owner writes on the phone did not come in.
            if other || incoming.from_me {
                return None;
            }
            let mut data = json!({
                "message_id": incoming.id,
                "session_id": session,
                "from": people::phone_of(&incoming.sender),
                "type": type_of(&incoming.content),
                "content": messages::said(&incoming.content),
                "received_at": iso8601(event.at_ms),
            });
            if let (true, Some(data)) = (incoming.group, data.as_object_mut()) {
                data.insert("group_id".to_owned(), json!(incoming.chat));
            }
            Some(("message.received", data))
        }
        Fact::MessageState(progress) => came_further(progress, event, about, &session),
        Fact::SessionState(change) => of_session(change, about, &session),
        _ => None,
    }
}

fn came_further(progress: &MessageProgress, event: &Event, about: &About, session: &str) -> Option<(&'static str, Value)> {
    let (name, at) = match hooks::step(progress.state, about)? {
        Step::Sent => ("message.sent", Some("sent_at")),
        Step::Delivered => ("message.delivered", Some("delivered_at")),
        Step::Read => ("message.read", Some("read_at")),
        Step::Failed => ("message.failed", None),
    };
    let mut data = json!({
        "id": messages::spelled(progress.message),
        "message_id": progress.whatsapp_id,
        "session_id": session,
        "to": people::spelled(&progress.chat),
        "status": messages::WORDS.of(progress.state),
    });
    if let Some(data) = data.as_object_mut() {
        match at {
            Some(at) => data.insert(at.to_owned(), json!(iso8601(event.at_ms))),
            None => data.insert("error".to_owned(), json!(progress.reason)),
        };
    }
    Some((name, data))
}

fn of_session(change: &SessionProgress, about: &About, session: &str) -> Option<(&'static str, Value)> {
    let name = match hooks::life(change)? {
        Life::Connected => "session.connected",
        Life::Reconnecting | Life::Disconnected => "session.disconnected",
    };
    let data = json!({
        "session_id": session,
        "status": sessions::WORDS.of(change.state, false),
        "phone_number": people::own_number(&about.session),
        "reason": change.reason,
    });
    Some((name, data))
}
