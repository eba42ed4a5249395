//! Events as JSON: one form for the native API, streams and webhooks.

use serde_json::{Map, Value, json};

use super::calendar;
use super::fact_json::fact_json;
use crate::clock::Timestamp;
use crate::records::event::Event;
use crate::records::id::SessionId;

/// The event as the native API shows it: `{"n","at","session_id","type","data"}`.
pub fn event_json(event: &Event) -> Value {
    json!({
        "n": event.n, "at": event.at, "session_id": session_json(event), "type": event.fact.type_name(), "data": fact_json(&event.fact),
    })
}

/// The body of a standard webhook: `{"type","timestamp","data"}`, where `data` is the fact with `n` and `session_id`.
pub fn standard_body(event: &Event) -> Vec<u8> {
    let mut data = Map::new();
    data.insert("n".to_owned(), event.n.into());
    data.insert("session_id".to_owned(), session_json(event));
    if let Value::Object(fact) = fact_json(&event.fact) {
        data.extend(fact);
    }
    body(event.fact.type_name(), event.at, Value::Object(data))
}

/// The session of an event; null for what concerns the tenant as a whole.
fn session_json(event: &Event) -> Value {
    if event.session == SessionId::NONE { Value::Null } else { event.session.0.into() }
}

/// The type of a test.
pub const TEST_TYPE: &str = "webhook.test";

/// The body of a test: an event of type [`TEST_TYPE`], which says which endpoint is tested.
pub fn test_body(endpoint: u64, at: Timestamp) -> Vec<u8> {
    body(TEST_TYPE, at, json!({ "webhook_id": endpoint }))
}

fn body(event_type: &str, at: Timestamp, data: Value) -> Vec<u8> {
    json!({ "type": event_type, "timestamp": iso_8601(at), "data": data }).to_string().into_bytes()
}

/// A moment as `2025-06-15T15:06:40.000Z`.
pub fn iso_8601(at: Timestamp) -> String {
    const DAY_S: u64 = 86_400;
    let (seconds, ms) = (at.0 / 1000, at.0 % 1000);
    let (year, month, day) = calendar::date(at);
    let (hour, minute, second) = (seconds % DAY_S / 3600, seconds % 3600 / 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::event::Fact;
    use crate::records::id::WebhookId;
    use crate::records::session::SessionState;

    #[test]
    fn moments_are_written_in_iso_8601() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (1_735_689_600_000, "2025-01-01T00:00:00.000Z"),
            (1_750_000_000_123, "2025-06-15T15:06:40.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(iso_8601(Timestamp(ms)), text);
        }
    }

    #[test]
    fn a_standard_body_has_type_timestamp_and_the_fact_with_its_number_and_session() {
        let fact = Fact::SessionState { state: SessionState::Connected, reason: None };
        let event = Event { n: 7, at: Timestamp(1_735_689_600_000), session: SessionId(12_345), fact };
        let body: Value = serde_json::from_slice(&standard_body(&event)).unwrap();
        let data = json!({ "n": 7, "session_id": 12_345, "state": "connected", "reason": null });
        assert_eq!(body, json!({ "type": "session.state", "timestamp": "2025-01-01T00:00:00.000Z", "data": data }));
    }

    #[test]
    fn what_concerns_the_tenant_as_a_whole_names_no_session() {
        let fact = Fact::WebhookDisabled { webhook: WebhookId(9), reason: "gone".to_owned() };
        let event = Event { n: 7, at: Timestamp(1), session: SessionId::NONE, fact };
        let data = json!({ "webhook_id": 9, "reason": "gone" });
        assert_eq!(
            event_json(&event),
            json!({ "n": 7, "at": 1, "session_id": null, "type": "webhook.disabled", "data": data })
        );
        let body: Value = serde_json::from_slice(&standard_body(&event)).unwrap();
        assert_eq!(body["data"], json!({ "n": 7, "session_id": null, "webhook_id": 9, "reason": "gone" }));
    }
}
