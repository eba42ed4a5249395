//! The shapes of lists and of failure in this dialect.

use serde_json::{Value, json};
use switchboard_dialect::{Failure, Place, What};
use switchboard_guest_sdk::http::json as json_response;
use switchboard_guest_sdk::iso8601;
use switchboard_guest_sdk::router::{Response, UnauthorizedWhy};

/// A page of a list: which one, and how many entries pages have.
#[derive(Clone, Copy)]
pub struct Page {
    pub page: u64,
    pub per_page: u64,
}

impl Page {
    /// How many entries are on the pages before it.
    pub fn offset(self) -> u64 {
        self.page.saturating_sub(1).saturating_mul(self.per_page)
    }

    /// `{"data":[…],"meta":{…}}` of a list of `total` entries.
    pub fn of(self, data: Vec<Value>, total: u64) -> Response {
        let last_page = total.div_ceil(self.per_page.max(1)).max(1);
        let meta = json!({ "total": total, "page": self.page, "per_page": self.per_page, "last_page": last_page });
        json_response(200, &json!({ "data": data, "meta": meta }))
    }

    /// The entries of this page of a whole list.
    pub fn cut<T>(self, all: Vec<T>) -> impl Iterator<Item = T> {
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        all.into_iter().skip(number(self.offset())).take(number(self.per_page))
    }
}

/// Status, name, number and sentence of a failure, and the field that it is about.
struct Told {
    status: u16,
    name: &'static str,
    code: u16,
    message: String,
    param: Option<String>,
}

fn tell(status: u16, name: &'static str, code: u16, message: impl Into<String>) -> Told {
    Told { status, name, code, message: message.into(), param: None }
}

fn unauthorized(why: UnauthorizedWhy) -> Told {
    match why {
        UnauthorizedWhy::Missing => tell(401, "missing_api_key", 4010, "Send an API key as Authorization: Bearer <key>"),
        UnauthorizedWhy::Revoked => tell(401, "revoked_api_key", 4012, "The API key was revoked"),
        UnauthorizedWhy::Expired => tell(401, "expired_api_key", 4013, "The API key has expired"),
        UnauthorizedWhy::WrongService => {
            tell(403, "insufficient_scope", 4030, "The API key was not issued for this service")
        }
        UnauthorizedWhy::Unknown | UnauthorizedWhy::WrongKind | UnauthorizedWhy::InactiveAccount => {
            tell(401, "invalid_api_key", 4011, "The API key is not valid")
        }
    }
}

fn invalid(param: &str, message: impl Into<String>) -> Told {
    Told { param: Some(param.to_owned()), ..tell(422, "validation_error", 422, message) }
}

fn missing(what: What) -> &'static str {
    match what {
        What::Session => "The session does not exist",
        What::Message => "The message does not exist",
        What::Group => "The group does not exist",
        What::Template => "The template does not exist",
        What::Contact => "The contact does not exist",
        What::Webhook => "The webhook does not exist",
        _ => "There is nothing here",
    }
}

fn told(failure: &Failure) -> Told {
    match failure {
        Failure::Unauthorized(why) => unauthorized(*why),
        Failure::Forbidden(why) => tell(403, "insufficient_scope", 4030, why),
        Failure::Policy(why) | Failure::RefusedByWhatsapp(why) => tell(403, "forbidden", 403, why),
        Failure::NotFound(what) | Failure::Missing(what, _) => tell(404, "not_found", 404, missing(*what)),
        Failure::MethodNotAllowed(allowed) => {
            tell(405, "method_not_allowed", 405, format!("This endpoint answers {}", allowed.join(", ")))
        }
        Failure::Malformed(why) => tell(400, "invalid_json", 400, why),
        Failure::Fields(errors) => match errors.iter().next() {
            Some((name, whys)) => {
                let why = whys.first().map(ToString::to_string).unwrap_or_default();
                invalid(name, format!("{name} {why}"))
            }
            None => tell(422, "validation_error", 422, "The request is invalid"),
        },
        Failure::Recipient(why) => invalid("to", why),
        Failure::TooLong { field, max } => invalid(field, format!("{field} must not be longer than {max} characters")),
        Failure::BodyTooLarge(limit) => {
            tell(413, "payload_too_large", 413, format!("The body is over the limit of {limit} bytes"))
        }
        Failure::Media(refusal) => invalid("url", format!("The media {}", refusal.why)),
        Failure::NotConnected(_) | Failure::NoSession => {
            tell(409, "session_not_connected", 409, "The session is not connected")
        }
        Failure::LimitReached(limit) if limit.limit == "messages_per_month" => {
            tell(402, "quota_exceeded", 402, format!("All {} messages of this month are used", limit.max))
        }
        Failure::LimitReached(limit) => {
            let words = limit.limit.replace('_', " ");
            tell(429, "rate_limit_exceeded", 4029, format!("All {} of {words} are used", limit.max))
        }
        Failure::SessionLimit(max) => {
            tell(402, "quota_exceeded", 402, format!("The plan allows {max} sessions; delete one first"))
        }
        Failure::TooManyRequests(seconds) => {
            tell(429, "rate_limit_exceeded", 4029, format!("Too many requests; try again in {seconds} s"))
        }
        Failure::NoQr(_) => tell(409, "conflict", 409, "The session is connected and has no QR code"),
        Failure::Conflict(why) => tell(409, "conflict", 409, why),
        Failure::NotYet(what) => tell(422, "validation_error", 422, format!("Not supported: {what}")),
        Failure::IdempotencyMismatch => {
            tell(409, "idempotency_conflict", 409, "This Idempotency-Key was used for another request")
        }
        Failure::IdempotencyUnderWay => {
            tell(409, "idempotency_conflict", 409, "The request under this Idempotency-Key is still being answered")
        }
        Failure::Unavailable(why) => tell(503, "internal_error", 503, format!("The request cannot be served now: {why}")),
        Failure::Internal => tell(500, "internal_error", 500, "The server could not answer this request"),
        Failure::NotAdmin => tell(403, "forbidden", 403, "The session is no admin of this group"),
        Failure::File(refusal) => invalid(&refusal.field, "The file cannot be taken"),
        Failure::TooManyFiles(rule) => invalid(&rule.field, "There are too many files"),
        Failure::WrongContentType(given) => {
            tell(415, "unsupported_media_type", 415, format!("{given:?} is not taken; send JSON"))
        }
    }
}

/// A failure as an answer.
pub fn failed(failure: &Failure, at: &Place<'_>) -> Response {
    let Told { status, name, code, message, param } = told(failure);
    let mut error = json!({ "type": name, "message": message, "code": code });
    if let (Some(param), Some(error)) = (param, error.as_object_mut()) {
        error.insert("param".to_owned(), json!(param));
    }
    let meta = json!({ "request_id": at.request_id, "timestamp": iso8601(at.now_ms) });
    json_response(status, &json!({ "success": false, "error": error, "meta": meta }))
}
