//! `POST /send-message`.

use serde_json::json;
use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::router::{Request, Response};
use switchboard_guest_sdk::types::{Extras, HostError, Outgoing, Quote};
use switchboard_guest_sdk::{at_once, http, messages};

use crate::answer::{Failure, show_limit};
use crate::content;
use crate::sessions::parse;

pub fn send_message(request: &Request) -> Result<Response, Failure> {
    let session = request.principal.as_ref().and_then(|principal| principal.session).ok_or(Failure::SessionNotFound)?;
    let mut fields = parse(request)?;
    let to = fields.required_text("to");
    let content = content::detect(&mut fields);
    let extras = extras(&mut fields);
    fields.finish().map_err(Failure::fields)?;
    // `detect` has refused a field whenever it found nothing to send.
    let content = content.ok_or(Failure::Internal)?;
    let accepted = messages::send(session, &Outgoing { to, content, extras }, at_once())?;
    let message = &accepted.message;
    let body = json!({
        "success": true,
        "messageId": message.whatsapp_id,
        "data": { "msgId": message.id, "jid": message.to, "status": "in_progress" },
    });
    let mut response = http::json(200, &body);
    // The limit that is nearest to its end is the one to watch.
    if let Some(tightest) = accepted.limits.iter().min_by_key(|limit| limit.max.saturating_sub(limit.used)) {
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
