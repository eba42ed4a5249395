//! `POST /send-message`.

use serde::Deserialize;
use serde_json::json;
use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::messages::{ApiLimits, SendOptions};
use switchboard_guest_sdk::router::{Request, Response};
use switchboard_guest_sdk::types::{Extras, HostError, Outgoing, QuotaStanding, Quote};
use switchboard_guest_sdk::{at_once, config, http, messages};

use crate::answer::{Failure, show_limit};
use crate::content;
use crate::sessions::parse;

/// Messages that each session may send in a minute through this API, unless the operator sets another figure.
const MESSAGES_PER_MINUTE: u64 = 10;

/// What the operator may set.
#[derive(Deserialize)]
struct Settings {
    /// `null` for no limit.
    #[serde(default = "usual_limit")]
    messages_per_minute: Option<u64>,
}

fn usual_limit() -> Option<u64> {
    Some(MESSAGES_PER_MINUTE)
}

/// The limits that this API promises for each session.
fn limits() -> Option<ApiLimits> {
    let settings: Settings = config().unwrap_or(Settings { messages_per_minute: usual_limit() });
    let messages_per_minute = Some(settings.messages_per_minute?);
    let name = "wasender".to_owned();
    Some(ApiLimits { name, messages_per_minute, messages_per_day: None, messages_per_month: None })
}

pub fn send_message(request: &Request) -> Result<Response, Failure> {
    let session = request.principal.as_ref().and_then(|principal| principal.session).ok_or(Failure::SessionNotFound)?;
    let limits = limits();
    let refused = match send(request, session, limits.clone()) {
        Ok(response) => return Ok(response),
        Err(failure) => failure,
    };
    // Every answer of this endpoint tells how its limit stands.
    let mut response = refused.render();
    if !response.headers.iter().any(|header| header.name == "x-ratelimit-limit")
        && let Some(tightest) = tightest(&messages::quota(session, limits.as_ref()).unwrap_or_default())
    {
        show_limit(&mut response, tightest);
    }
    Ok(response)
}

/// The limit that is nearest to its end is the one to watch.
fn tightest(limits: &[QuotaStanding]) -> Option<&QuotaStanding> {
    limits.iter().min_by_key(|limit| limit.max.saturating_sub(limit.used))
}

fn send(request: &Request, session: u64, limits: Option<ApiLimits>) -> Result<Response, Failure> {
    let mut fields = parse(request)?;
    let to = fields.required_text("to");
    let content = content::detect(&mut fields);
    let extras = extras(&mut fields);
    fields.finish().map_err(Failure::fields)?;
    // `detect` has refused a field whenever it found nothing to send.
    let content = content.ok_or(Failure::Internal)?;
    let accepted = messages::send(session, &Outgoing { to, content, extras }, &SendOptions { limits, ..at_once() })?;
    let message = &accepted.message;
    let body = json!({
        "success": true,
        "messageId": message.whatsapp_id,
        "data": { "msgId": message.id, "jid": message.to, "status": "in_progress" },
    });
    let mut response = http::json(200, &body);
    if let Some(tightest) = tightest(&accepted.limits) {
        show_limit(&mut response, tightest);
    }
    Ok(response)
}

fn extras(fields: &mut Fields) -> Extras {
    let mentions = fields.texts("mentions");
    let view_once = fields.flag("viewOnce").unwrap_or(false);
    let quote = fields.integer("replyTo").and_then(|id| quoted(fields, id));
    Extras { quote, mentions, view_once }
}

fn quoted(fields: &mut Fields, id: u64) -> Option<Quote> {
    match messages::get(id) {
        Ok(message) => Some(Quote { message_id: message.whatsapp_id, sender: None }),
        Err(HostError::NotFound) => {
            fields.refuse("replyTo", format!("names message {id}, which does not exist"));
            None
        }
        Err(_) => {
            fields.refuse("replyTo", format!("names message {id}, which cannot be looked up now"));
            None
        }
    }
}
