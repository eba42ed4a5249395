//! A webhook format: events as CloudEvents 1.0 in structured mode, for receivers such as Knative, Azure Event Grid or EventBridge.
//!
//! ```json
//! {"type_prefix": "com.example.whatsapp.", "source": "/shops/berlin"}
//! ```
//!
//! `type` is `type_prefix` and the event's own type (`message.received`), `subject` the chat or the session that it happened to,
//! `data` the body that the host's own format has of the event.
//!
//! As a worked example: a format implements one function, `shape`, which answers with the requests to make. It holds no secret and
//! signs nothing: it says how, and the host signs the body as it was given.

use serde_json::{Map, Value, json};
use switchboard_guest_sdk::configurable::{Known, text};
use switchboard_guest_sdk::types::{Event, Fact, Field};
use switchboard_guest_sdk::webhook::{About, Endpoint, Guest, Payload, Signing};
use switchboard_guest_sdk::{config, export_configurable, export_webhook, grants, iso8601};

/// Most characters of what can be set.
const SET_CHARS_MAX: usize = 256;
/// What stands before the event's type unless it is set.
const TYPE_PREFIX: &str = "com.switchboard.";

const KNOWN: &[Known] = &[text("type_prefix", SET_CHARS_MAX), text("source", SET_CHARS_MAX)];

struct CloudEvents;

impl Guest for CloudEvents {
    fn shape(event: Event, about: About, endpoint: Endpoint) -> Result<Vec<Payload>, String> {
        let body = cloud_event(&event, &about.standard, endpoint.id, &config()?)?;
        let content_type =
            Field { name: "content-type".to_owned(), value: "application/cloudevents+json; charset=utf-8".to_owned() };
        Ok(vec![Payload {
            name: event.kind,
            headers: vec![content_type],
            body: body.to_string().into_bytes(),
            signing: Signing::StandardWebhooks,
        }])
    }
}

fn cloud_event(event: &Event, standard: &str, endpoint: u64, config: &Map<String, Value>) -> Result<Value, String> {
    let set = |name: &str| config.get(name).and_then(Value::as_str);
    let data: Value = serde_json::from_str(standard).map_err(|error| error.to_string())?;
    let source = set("source").map_or_else(|| format!("/switchboard/sessions/{}", event.session), str::to_owned);
    // An id is unique within its source: the number of an event is, in an account. That of a test is always 0.
    let id = if event.number == 0 { format!("test-{endpoint}-{}", event.at_ms) } else { event.number.to_string() };
    Ok(json!({
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": format!("{}{}", set("type_prefix").unwrap_or(TYPE_PREFIX), event.kind),
        "subject": subject(event),
        "time": iso8601(event.at_ms),
        "datacontenttype": "application/json",
        "data": data,
    }))
}

/// The chat that the event happened in, else the session.
fn subject(event: &Event) -> String {
    let chat = match &event.fact {
        Fact::MessageReceived(incoming) => Some(&incoming.chat),
        Fact::MessageState(progress) => Some(&progress.chat),
        Fact::MemberReceipt(receipt) => Some(&receipt.chat),
        Fact::GroupChanged(change) => Some(&change.chat),
        Fact::ChatState(state) => Some(&state.chat),
        Fact::MediaStored(stored) => Some(&stored.chat),
        Fact::MediaFailed(failed) => Some(&failed.chat),
        _ => None,
    };
    chat.cloned().unwrap_or_else(|| format!("session/{}", event.session))
}

// It passes on what the host's own format would tell.
grants!({ "fields": ["text", "number", "media", "contact_name"] });
export_webhook!(CloudEvents);
export_configurable!(CloudEvents, KNOWN);

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard_guest_sdk::types::{MessageProgress, MessageState};

    fn event(number: u64) -> Event {
        let progress = MessageProgress {
            message: 5,
            whatsapp_id: "3EB0".to_owned(),
            chat: "491520000001@s.whatsapp.net".to_owned(),
            state: MessageState::Read,
            reason: None,
            test: false,
        };
        let (kind, at_ms) = ("message.read".to_owned(), 1_768_478_400_123);
        Event { number, kind, at_ms, session: 17, fact: Fact::MessageState(progress) }
    }

    #[test]
    fn an_event_has_every_attribute_that_the_specification_asks_for() {
        let shaped = cloud_event(&event(12), r#"{"id": 12}"#, 3, &Map::new()).unwrap();
        let expected = json!({
            "specversion": "1.0", "id": "12", "source": "/switchboard/sessions/17", "type": "com.switchboard.message.read",
            "subject": "491520000001@s.whatsapp.net", "time": "2026-01-15T12:00:00.123Z",
            "datacontenttype": "application/json", "data": { "id": 12 },
        });
        assert_eq!(shaped, expected);
    }

    #[test]
    fn names_can_be_set_and_tests_have_ids_of_their_own() {
        let set = json!({ "type_prefix": "x.", "source": "/shop" });
        let shaped = cloud_event(&event(0), "{}", 3, set.as_object().unwrap()).unwrap();
        assert_eq!(shaped["type"], "x.message.read");
        assert_eq!(shaped["source"], "/shop");
        assert_eq!(shaped["id"], "test-3-1768478400123");
    }
}
