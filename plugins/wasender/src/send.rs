//! `POST /send-message`.

use serde_json::json;
use switchboard_dialect::{Failure, Of, What, done, failed, fields, limits as headers};
use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::messages::{ApiLimits, SendOptions};
use switchboard_guest_sdk::router::{Request, Response};
use switchboard_guest_sdk::types::{Extras, HostError, Outgoing, Quote};
use switchboard_guest_sdk::{at_once, http, messages};

use crate::sessions::own;
use crate::settings::settings;
use crate::{Wasender, content};

/// The limits that this API promises for each session.
fn limits() -> Option<ApiLimits> {
    let messages_per_minute = Some(settings().messages_per_minute?);
    let name = "wasender".to_owned();
    Some(ApiLimits { name, messages_per_minute, messages_per_day: None, messages_per_month: None })
}

pub fn send_message(request: &Request) -> Result<Response, Failure> {
    let (session, limits) = (own(request)?, limits());
    send(request, session, limits.clone()).or_else(|failure| {
        // Every answer of this endpoint tells how its limit stands.
        let mut response = failed::<Wasender>(&failure, request);
        if !response.headers.iter().any(|header| header.name == "x-ratelimit-limit") {
            headers::show(&mut response, &messages::quota(session, limits.as_ref()).unwrap_or_default());
        }
        Ok(response)
    })
}

fn send(request: &Request, session: u64, limits: Option<ApiLimits>) -> Result<Response, Failure> {
    let mut fields = fields(request)?;
    let to = fields.required_text("to");
    let content = content::detect(&mut fields);
    let extras = extras(&mut fields);
    done(fields)?;
    // `detect` has refused a field whenever it found nothing to send.
    let content = content.ok_or(Failure::Internal)?;
    let options = SendOptions { limits, ..at_once() };
    let accepted = messages::send(session, &Outgoing { to, content, extras }, &options).of(What::Session)?;
    let message = &accepted.message;
    let body = json!({
        "success": true,
        "messageId": message.whatsapp_id,
        "data": { "msgId": message.id, "jid": message.to, "status": "in_progress" },
    });
    let mut response = http::json(200, &body);
    headers::show(&mut response, &accepted.limits);
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
