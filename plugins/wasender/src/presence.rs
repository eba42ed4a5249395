//! `POST /send-presence-update`.

use serde_json::json;
use switchboard_dialect::{Failure, What, done, fields};
use switchboard_guest_sdk::chats::{Activity, presence};
use switchboard_guest_sdk::router::{Request, Response};
use switchboard_guest_sdk::types::HostError;

use crate::answer::success;
use crate::sessions::own;

/// Longest that typing or recording may be shown.
const DELAY_MS_MAX: u64 = 60_000;

fn activity(name: &str) -> Option<Activity> {
    Some(match name {
        "composing" => Activity::Typing,
        "recording" => Activity::Recording,
        "paused" => Activity::Paused,
        "available" => Activity::Available,
        "unavailable" => Activity::Unavailable,
        _ => return None,
    })
}

pub fn send_presence_update(request: &Request) -> Result<Response, Failure> {
    let session = own(request)?;
    let mut fields = fields(request)?;
    let jid = fields.text("jid");
    let name = fields.required_text("type");
    let shown = activity(&name);
    if shown.is_none() && !name.trim().is_empty() {
        fields.refuse("type", "must be composing, recording, paused, available or unavailable");
    }
    if jid.is_none()
        && !fields.has("jid")
        && matches!(shown, Some(Activity::Typing | Activity::Recording | Activity::Paused))
    {
        fields.refuse("jid", "is required");
    }
    let delay_ms = fields.integer("delayMs").unwrap_or_default();
    if delay_ms > DELAY_MS_MAX {
        fields.refuse("delayMs", format!("must be at most {DELAY_MS_MAX}"));
    }
    done(fields)?;
    // A field was refused whenever there is nothing to show.
    let shown = shown.ok_or(Failure::Internal)?;
    let for_ms = u32::try_from(delay_ms).map_err(|_| Failure::Internal)?;
    presence(session, jid.as_deref(), shown, for_ms).map_err(|error| match error {
        HostError::Invalid(invalid) if invalid.field == "chat" => Failure::field("jid", invalid.why),
        other => Failure::of(other, What::Session),
    })?;
    Ok(success(json!({ "jid": jid, "type": name })))
}
