//! The shapes of success and of failure in this dialect.

use serde_json::{Value, json};
use switchboard_dialect::{Failure, What, limits};
use switchboard_guest_sdk::fields::FieldErrors;
use switchboard_guest_sdk::http::json as json_response;
use switchboard_guest_sdk::router::{FileRefusal, FileWhy, Response, UnauthorizedWhy};
use switchboard_guest_sdk::types::{MediaRefusal, MediaTrouble, Message, QuotaStanding};

/// A failure's status and sentence.
fn told(failure: &Failure) -> (u16, String) {
    match failure {
        Failure::Malformed(why) | Failure::Conflict(why) | Failure::NotYet(why) => (400, why.clone()),
        Failure::Fields(errors) => (400, first(errors)),
        Failure::Recipient(why) => (400, format!("to: {why}")),
        Failure::TooLong { field, max } => (400, format!("{field} must not be longer than {max} characters")),
        Failure::TooManyFiles(rule) => (400, format!("{}: at most {} files are taken", rule.field, rule.count_max)),
        Failure::Unauthorized(UnauthorizedWhy::Expired) => (401, "the API key has expired".to_owned()),
        Failure::Unauthorized(UnauthorizedWhy::InactiveAccount) => (401, "the account is inactive".to_owned()),
        Failure::Unauthorized(_) => (401, "Invalid or missing X-API-Key header".to_owned()),
        Failure::Forbidden(why) | Failure::Policy(why) | Failure::RefusedByWhatsapp(why) => (403, why.clone()),
        Failure::NotAdmin => (403, "only an admin of the group may do this".to_owned()),
        Failure::NotFound(What::Session)
        | Failure::Missing(What::Session, _)
        | Failure::NotConnected(_)
        | Failure::NoQr(_)
        | Failure::NoSession => (404, "no active session for this key".to_owned()),
        Failure::NotFound(_) | Failure::Missing(..) => (404, "no such endpoint".to_owned()),
        Failure::MethodNotAllowed(allowed) => (405, format!("this endpoint answers {} only", allowed.join(", "))),
        Failure::IdempotencyUnderWay => (409, "the request under this Idempotency-Key is still being answered".to_owned()),
        Failure::IdempotencyMismatch => (422, "this Idempotency-Key was used for another request".to_owned()),
        Failure::BodyTooLarge(limit) => (413, format!("the body is over the limit of {limit} bytes")),
        Failure::File(file) => refused_file(file),
        Failure::Media(refusal) => refused_media(refusal),
        Failure::WrongContentType(given) => (415, format!("send multipart/form-data; the body's type is {given}")),
        Failure::LimitReached(limit) => (429, format!("{} of {} are used up", limit.limit, limit.max)),
        Failure::SessionLimit(max) => (429, format!("the plan allows {max} sessions")),
        Failure::TooManyRequests(seconds) => (429, format!("too many requests; try again in {seconds} s")),
        Failure::Unavailable(why) => (503, why.clone()),
        Failure::Internal => (500, "the server could not answer this request".to_owned()),
    }
}

/// The first mistake of a field; one that is of several fields is kept under no name.
fn first(errors: &FieldErrors) -> String {
    let first = errors.iter().next().and_then(|(name, errors)| Some((name, errors.first()?)));
    first.map_or_else(String::new, |(name, error)| format!("{name} {error}").trim_start().to_owned())
}

fn refused_file(file: &FileRefusal) -> (u16, String) {
    let name = file.file_name.as_deref().unwrap_or("a file");
    match file.why {
        FileWhy::TooLarge => (413, format!("{name} is over the limit of {} bytes", file.bytes_max)),
        FileWhy::WrongKind => (415, format!("{name} is not a file that {} takes", file.field)),
        FileWhy::Empty => (415, format!("{name} is empty")),
        FileWhy::NotBase64 => (400, format!("{name} is not base64")),
        FileWhy::NoRoom => (403, "the account keeps as much media as it may".to_owned()),
    }
}

fn refused_media(refusal: &MediaRefusal) -> (u16, String) {
    let status = match refusal.trouble {
        MediaTrouble::TooLarge => 413,
        MediaTrouble::NoRoom => 403,
        MediaTrouble::Unreachable | MediaTrouble::NotFound | MediaTrouble::Unsupported => 415,
    };
    (status, format!("the media {}", refusal.why))
}

/// A failure as an answer.
pub fn failed(failure: &Failure) -> Response {
    let (status, error) = told(failure);
    json_response(status, &json!({ "success": false, "error": error }))
}

/// Success, with how the limit stands that is to be watched.
pub fn done(limits: &[QuotaStanding], body: &Value) -> Response {
    let mut response = json_response(200, body);
    limits::show(&mut response, limits);
    response
}

/// `{"success":true,…}` for one message, under its WhatsApp id.
pub fn sent(message: &Message) -> Value {
    json!({
        "success": true,
        "message": "Message sent successfully",
        "messageId": message.whatsapp_id,
        "key": { "remoteJid": message.to, "fromMe": true, "id": message.whatsapp_id },
    })
}

/// The same for files.
pub fn sent_files(messages: &[Message]) -> Value {
    let ids: Vec<&str> = messages.iter().map(|message| message.whatsapp_id.as_str()).collect();
    json!({
        "success": true,
        "message": "Files sent successfully",
        "sent": ids.len(),
        "queued": ids.len(),
        "messages": ids,
    })
}
