//! The webhook format: does what its name says, and as `hostile` tries to forge the host's own headers.

use switchboard_guest_sdk::types::{Event, Field, Session};
use switchboard_guest_sdk::webhook::{Guest, Payload, Signing};

use crate::misdeeds::MIB;
use crate::{Hostile, misdeeds};

impl Guest for Hostile {
    fn shape(event: Event, session: Session, format: String) -> Result<Option<Payload>, String> {
        match format.as_str() {
            "error" => return Err("the format said no".to_owned()),
            "leave-out" => return Ok(None),
            "spin" => misdeeds::spin(),
            "trap" => std::process::abort(),
            _ => {}
        }
        let body = match format.as_str() {
            "output-over" => vec![b'x'; MIB / 2],
            _ => format!("{} {} of {}", event.kind, event.number, session.name).into_bytes(),
        };
        let field = |name: &str, value: &str| Field { name: name.to_owned(), value: value.to_owned() };
        let headers = vec![field("X-Format", &format), field("Webhook-Id", "forged"), field("Content-Type", "text/plain")];
        Ok(Some(Payload { headers, body, signing: Signing::HmacSha256("X-Signature".to_owned()) }))
    }
}
