//! The stream of a session: the codes that wait to be scanned, and what came of it.

use serde_json::json;
use switchboard_dialect::qr::data_url;
use switchboard_guest_sdk::http::{nothing_to_tell, sent_event};
use switchboard_guest_sdk::iso8601;
use switchboard_guest_sdk::streamer::{Guest, Moment, SessionLife, Step};
use switchboard_guest_sdk::types::SessionState;

use crate::Wamux;

/// Why a session is not going to be connected, in words.
fn reason(life: &SessionLife) -> String {
    let words = match life.state {
        SessionState::Disconnected => "The session was disconnected",
        SessionState::LoggedOut => "The session was logged out",
        SessionState::Replaced => "The session was replaced by another one",
        SessionState::Banned => "WhatsApp has banned this number",
        _ => "The session failed",
    };
    life.reason.clone().unwrap_or_else(|| words.to_owned())
}

/// The end of a stream that came to nothing. `session` is its UUID.
fn error(session: &[u8], reason: &str, now_ms: u64) -> Step {
    let session = String::from_utf8_lossy(session);
    let data = json!({ "session_id": session, "reason": reason, "timestamp": iso8601(now_ms) });
    sent_event("error", &data).last()
}

impl Guest for Wamux {
    fn render(state: Vec<u8>, moment: Moment, now_ms: u64) -> Step {
        let life = match moment {
            Moment::Session(life) => life,
            Moment::Gone => return error(&state, "The session was deleted", now_ms),
            Moment::Event(_) => return nothing_to_tell(),
        };
        match (life.state, &life.qr) {
            (SessionState::Connected, _) => sent_event("connected", &json!({ "phone_number": life.phone_number })).last(),
            (SessionState::Pairing, Some(qr)) => sent_event("qr", &json!({ "qr_data": data_url(qr) })),
            (SessionState::Created | SessionState::Pairing | SessionState::Reconnecting, _) => nothing_to_tell(),
            _ => error(&state, &reason(&life), now_ms),
        }
    }
}
