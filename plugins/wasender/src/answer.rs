//! The shapes of success and of failure in this dialect.

use serde_json::{Value, json};
use switchboard_dialect::failure::unauthorized;
use switchboard_dialect::{Failure, Place, What};
use switchboard_guest_sdk::fields::{FieldErrors, one_error};
use switchboard_guest_sdk::http::json as json_response;
use switchboard_guest_sdk::router::{FileRefusal, FileWhy, Response, UnauthorizedWhy};
use switchboard_guest_sdk::types::SessionState;

use crate::sessions::status_name;

/// `{"success":true,"data":…}`
pub fn success(data: Value) -> Response {
    json_response(200, &json!({ "success": true, "data": data }))
}

/// `{"success":true,"message":"…","data":…}`
pub fn said(message: &str, data: Value) -> Response {
    json_response(200, &json!({ "success": true, "message": message, "data": data }))
}

/// The mistakes of fields that a failure is told as.
fn mistakes(failure: &Failure) -> Option<FieldErrors> {
    match failure {
        Failure::Fields(errors) => Some(errors.clone()),
        Failure::Recipient(why) => Some(one_error("to", why.as_str())),
        Failure::TooLong { field, max } => Some(one_error(field, format!("must not be longer than {max} characters"))),
        Failure::Media(refusal) => Some(one_error("media", refusal.why.as_str())),
        Failure::TooManyFiles(rule) => Some(one_error(&rule.field, format!("may have {} files", rule.count_max))),
        Failure::NoQr(SessionState::Connected) => Some(one_error("session", "is already connected and has no QR code")),
        Failure::File(file) => {
            let why = match file.why {
                FileWhy::TooLarge | FileWhy::WrongKind => return None,
                FileWhy::Empty => "must not be empty",
                FileWhy::NotBase64 => "must be base64",
                FileWhy::NoRoom => "finds no room: the account keeps as much media as it may",
            };
            Some(one_error(field_of(file), why))
        }
        _ => None,
    }
}

fn field_of(file: &FileRefusal) -> &str {
    if file.field.is_empty() { "file" } else { &file.field }
}

/// The first of several mistakes.
fn sentence(errors: &FieldErrors) -> String {
    let first = errors.iter().next().and_then(|(name, whys)| Some(format!("The {name} field {}.", whys.first()?)));
    first.unwrap_or_else(|| "The request is invalid.".to_owned())
}

fn missing(what: What) -> &'static str {
    match what {
        What::Message => "Message does not exist",
        What::Contact => "This number is not on WhatsApp",
        What::Endpoint => "There is no such endpoint",
        _ => "There is nothing here",
    }
}

fn too_large(bytes_max: u64) -> (u16, &'static str, String) {
    (413, "PAYLOAD_TOO_LARGE", format!("The body is over the limit of {bytes_max} bytes"))
}

/// Status, code and sentence of a failure that is no mistake of a field.
fn told(failure: &Failure, retry_after: Option<u32>) -> (u16, &'static str, String) {
    match failure {
        // Whether a key was good once is nobody's business here.
        Failure::Unauthorized(UnauthorizedWhy::Revoked | UnauthorizedWhy::WrongService) => {
            (401, "UNAUTHORIZED", unauthorized(UnauthorizedWhy::Unknown).to_owned())
        }
        Failure::Unauthorized(why) => (401, "UNAUTHORIZED", unauthorized(*why).to_owned()),
        Failure::Forbidden(why) => (401, "UNAUTHORIZED", why.clone()),
        Failure::Policy(why) | Failure::RefusedByWhatsapp(why) => (403, "FORBIDDEN", why.clone()),
        Failure::NotAdmin => (403, "FORBIDDEN", "The session is no admin of this group".to_owned()),
        Failure::SessionLimit(max) => {
            (403, "SESSION_LIMIT_REACHED", format!("The plan allows {max} sessions; delete one first"))
        }
        Failure::NotFound(What::Session) | Failure::NoSession => {
            (404, "SESSION_NOT_FOUND", "Session does not exist".to_owned())
        }
        Failure::NotFound(what) => (404, "NOT_FOUND", missing(*what).to_owned()),
        Failure::Missing(_, why) => (404, "NOT_FOUND", why.clone()),
        Failure::MethodNotAllowed(allowed) => {
            (405, "METHOD_NOT_ALLOWED", format!("This endpoint answers {} only", allowed.join(", ")))
        }
        Failure::NotConnected(state) => {
            (409, "SESSION_DISCONNECTED", format!("Session is not connected (status: {})", status_name(*state)))
        }
        Failure::NoQr(state) => {
            let status = status_name(*state);
            (409, "SESSION_DISCONNECTED", format!("No QR code is waiting (status: {status}): call connect first"))
        }
        Failure::IdempotencyUnderWay => {
            (409, "IDEMPOTENCY_CONFLICT", "The request under this Idempotency-Key is still being answered".to_owned())
        }
        Failure::IdempotencyMismatch => {
            (422, "IDEMPOTENCY_CONFLICT", "This Idempotency-Key was used for another request".to_owned())
        }
        Failure::BodyTooLarge(limit) => too_large(u64::from(*limit)),
        Failure::File(file) if file.why == FileWhy::TooLarge => too_large(file.bytes_max),
        Failure::File(file) => {
            (415, "UNSUPPORTED_MEDIA_TYPE", format!("The {} is not a file that can be sent", field_of(file)))
        }
        Failure::WrongContentType(given) => {
            (415, "UNSUPPORTED_MEDIA_TYPE", format!("Bodies of type {given} are not taken here"))
        }
        Failure::Malformed(why) | Failure::Conflict(why) => (422, "VALIDATION_ERROR", why.clone()),
        Failure::NotYet(what) => (422, "VALIDATION_ERROR", format!("Not supported yet: {what}")),
        Failure::Fields(_)
        | Failure::Recipient(_)
        | Failure::TooLong { .. }
        | Failure::Media(_)
        | Failure::TooManyFiles(_) => (422, "VALIDATION_ERROR", sentence(&FieldErrors::new())),
        Failure::LimitReached(limit) => {
            let (whose, seconds) = (if limit.of_session { "session" } else { "account" }, retry_after.unwrap_or_default());
            let message = format!("The {whose}'s {} of {} are used up; try again in {seconds} s", limit.limit, limit.max);
            (429, "RATE_LIMITED", message)
        }
        Failure::TooManyRequests(_) => (429, "RATE_LIMITED", "Too many requests".to_owned()),
        Failure::Unavailable(why) => (503, "INTERNAL_ERROR", why.clone()),
        Failure::Internal => (500, "INTERNAL_ERROR", "The server could not answer this request".to_owned()),
    }
}

/// A failure as an answer.
pub fn failed(failure: &Failure, at: &Place<'_>) -> Response {
    let (errors, retry_after) = (mistakes(failure), failure.retry_after_s(at.now_ms));
    let (status, code, message) = match &errors {
        Some(errors) => (422, "VALIDATION_ERROR", sentence(errors)),
        None => told(failure, retry_after),
    };
    let mut body = json!({ "success": false, "code": code, "message": message });
    if let Some(body) = body.as_object_mut() {
        body.extend(errors.filter(|errors| !errors.is_empty()).map(|errors| ("errors".to_owned(), json!(errors))));
        body.extend(retry_after.map(|seconds| ("retry_after".to_owned(), json!(seconds))));
    }
    json_response(status, &body)
}
