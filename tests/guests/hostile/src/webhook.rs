//! The webhook format: does what its name says, and as `hostile` tries to forge the host's own headers.

use switchboard_guest_sdk::types::{Event, Field};
use switchboard_guest_sdk::webhook::{About, Endpoint, Guest, Hmac, HmacContent, Payload, Signing};

use crate::misdeeds::MIB;
use crate::{Hostile, misdeeds, outside};

impl Guest for Hostile {
    fn shape(event: Event, about: About, endpoint: Endpoint) -> Result<Vec<Payload>, String> {
        let format = endpoint.format;
        match format.as_str() {
            "error" => return Err("the format said no".to_owned()),
            "leave-out" => return Ok(Vec::new()),
            "spin" => misdeeds::spin(),
            "trap" => std::process::abort(),
            _ => {}
        }
        let body = match format.as_str() {
            "fetch" => outside::told("https://api.example.com/").into_bytes(),
            "as-standard" => about.standard.into_bytes(),
            "output-over" => vec![b'x'; MIB / 2],
            _ => format!("{} {} of {}", event.kind, event.number, about.session.name).into_bytes(),
        };
        let field = |name: &str, value: &str| Field { name: name.to_owned(), value: value.to_owned() };
        let headers = vec![field("X-Format", &format), field("Webhook-Id", "forged"), field("Content-Type", "text/plain")];
        let hmac = Hmac {
            header: "X-Signature".to_owned(),
            prefix: String::new(),
            content: HmacContent::Body,
            timestamp_header: None,
        };
        let payload = Payload { name: event.kind, headers, body, signing: Signing::HmacSha256(hmac) };
        Ok(if format == "many" { vec![payload; 5] } else { vec![payload] })
    }
}
