//! The shape of failure in this dialect: `{"detail": …}`.

use serde_json::{Value, json};
use switchboard_dialect::{Failure, Place, What, limits};
use switchboard_guest_sdk::fields::{FieldError, FieldErrors, Mistake};
use switchboard_guest_sdk::http::json as json_response;
use switchboard_guest_sdk::router::{Response, UnauthorizedWhy};
use switchboard_guest_sdk::types::MediaTrouble;

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;
/// Parameters of queries; every other field is one of a body.
const QUERY: [&str; 2] = ["limit", "offset"];

/// The type of a mistake, as validators of this dialect name it.
fn type_of(error: &FieldError) -> String {
    match error.mistake {
        Mistake::Missing => "missing".to_owned(),
        Mistake::Type(name) => format!("{name}_type"),
        Mistake::Value => "value_error".to_owned(),
    }
}

/// One entry for each mistake, with the way to its field.
fn detail(errors: &FieldErrors) -> Value {
    let mut entries = Vec::new();
    for (name, errors) in errors {
        let place = if QUERY.contains(&name.as_str()) { "query" } else { "body" };
        let mut way = vec![json!(place)];
        way.extend(name.split('.').map(|step| step.parse::<u64>().map_or_else(|_| json!(step), |at| json!(at))));
        for error in errors {
            entries.push(json!({ "loc": way, "msg": format!("{name} {error}"), "type": type_of(error) }));
        }
    }
    Value::Array(entries)
}

fn unauthorized(why: UnauthorizedWhy) -> &'static str {
    match why {
        UnauthorizedWhy::Missing => "Missing API key",
        UnauthorizedWhy::Expired => "Expired API key",
        _ => "Invalid API key",
    }
}

fn not_found(what: What) -> &'static str {
    match what {
        What::Session => "Session not found",
        What::Message => "Message not found",
        What::Key => "API key not found",
        What::Webhook => "Webhook not found",
        _ => "Not found",
    }
}

fn told(failure: &Failure) -> (u16, Value) {
    let (status, words) = match failure {
        Failure::Unauthorized(why) => (401, unauthorized(*why).to_owned()),
        Failure::NotAdmin => (403, "Only an admin of the group may do this".to_owned()),
        Failure::Forbidden(why) | Failure::Policy(why) | Failure::RefusedByWhatsapp(why) => (403, why.clone()),
        Failure::NotFound(what) | Failure::Missing(what, _) => (404, not_found(*what).to_owned()),
        Failure::MethodNotAllowed(_) => (405, "Method Not Allowed".to_owned()),
        Failure::Malformed(why) => (400, why.clone()),
        Failure::Fields(errors) => return (422, detail(errors)),
        Failure::Recipient(why) => return (422, detail(&FieldErrors::from([("to".to_owned(), vec![why.as_str().into()])]))),
        Failure::TooLong { field, max } => {
            let error = format!("must not be longer than {max} characters");
            return (422, detail(&FieldErrors::from([((*field).to_owned(), vec![error.into()])])));
        }
        Failure::BodyTooLarge(limit) => (413, format!("The body is over the limit of {limit} bytes")),
        Failure::File(file) => (422, format!("The file in {} cannot be taken", file.field)),
        Failure::TooManyFiles(rule) => (422, format!("{} takes {} files at most", rule.field, rule.count_max)),
        Failure::WrongContentType(given) => (415, format!("Bodies of type {given} are not taken")),
        Failure::Media(refusal) => {
            let status = match refusal.trouble {
                MediaTrouble::Unreachable | MediaTrouble::NotFound => 422,
                MediaTrouble::TooLarge | MediaTrouble::NoRoom => 413,
                MediaTrouble::Unsupported => 415,
            };
            (status, format!("The media {}", refusal.why))
        }
        Failure::NoQr(_) => (409, "No QR code is waiting".to_owned()),
        Failure::NotConnected(_) | Failure::NoSession => (409, "Session not connected".to_owned()),
        Failure::LimitReached(limit) => {
            (429, format!("Rate limit exceeded: all {} of {} are used", limit.max, limit.limit.replace('_', " ")))
        }
        Failure::SessionLimit(max) => (429, format!("Rate limit exceeded: the plan allows {max} sessions")),
        Failure::TooManyRequests(seconds) => (429, format!("Rate limit exceeded: try again in {seconds} s")),
        Failure::Conflict(why) => (409, why.clone()),
        Failure::NotYet(what) => (422, format!("Not supported: {what}")),
        Failure::IdempotencyMismatch => (422, "This Idempotency-Key was used for another request".to_owned()),
        Failure::IdempotencyUnderWay => (409, "The request under this Idempotency-Key is still being answered".to_owned()),
        Failure::Unavailable(why) => (503, format!("Service unavailable: {why}")),
        Failure::Internal => (500, "Internal server error".to_owned()),
    };
    (status, Value::String(words))
}

/// A failure as an answer.
pub fn failed(failure: &Failure, at: &Place<'_>) -> Response {
    let (status, detail) = told(failure);
    let mut response = json_response(status, &json!({ "detail": detail }));
    if status == 401 {
        limits::set_header(&mut response, "www-authenticate", "Bearer".to_owned());
    }
    if let Failure::SessionLimit(_) = failure {
        // Waiting alone makes no room; a client that waits for the day's end at least does not hammer.
        let seconds = DAY_MS.saturating_sub(at.now_ms % DAY_MS).div_ceil(1000);
        limits::set_header(&mut response, "retry-after", seconds.to_string());
    }
    response
}
