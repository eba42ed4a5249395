//! The shapes of success and of failure in this dialect.

use serde_json::{Value, json};
use switchboard_dialect::failure::unauthorized;
use switchboard_dialect::{Failure, What};
use switchboard_guest_sdk::fields::FieldErrors;
use switchboard_guest_sdk::http::json as json_response;
use switchboard_guest_sdk::router::{Response, UnauthorizedWhy};
use switchboard_guest_sdk::types::MediaTrouble;

/// `{"success":true,"data":…}`
pub fn success(data: &Value) -> Response {
    json_response(200, &json!({ "success": true, "data": data }))
}

/// `{"success":true,"message":"…","data":…}`
pub fn done(message: &str, data: &Value) -> Response {
    json_response(200, &json!({ "success": true, "message": message, "data": data }))
}

/// A failure's status, code and sentence.
pub fn told(failure: &Failure) -> (u16, &'static str, String) {
    match failure {
        Failure::Unauthorized(UnauthorizedWhy::Expired) => (401, "key_expired", "The API key has expired".to_owned()),
        Failure::Unauthorized(UnauthorizedWhy::InactiveAccount) => {
            (403, "company_inactive", "The company of this API key is not active".to_owned())
        }
        Failure::Unauthorized(UnauthorizedWhy::WrongService) => {
            (403, "service_type_mismatch", "The API key was not issued for the service whatsapp".to_owned())
        }
        Failure::Unauthorized(why) => {
            (401, "invalid_api_key", format!("Send a valid API key as X-API-Key: {}", unauthorized(*why)))
        }
        Failure::RefusedByWhatsapp(why) => (403, "forbidden", why.clone()),
        Failure::NotAdmin => (403, "forbidden", "Only an admin of the group may do this".to_owned()),
        Failure::Forbidden(why) => (403, "insufficient_scope", why.clone()),
        Failure::Policy(reason) => (403, "policy_denied", reason.clone()),
        Failure::NotFound(What::Session) | Failure::Missing(What::Session, _) => {
            (404, "device_not_found", "The device does not exist".to_owned())
        }
        Failure::NotFound(What::Message) | Failure::Missing(What::Message, _) => {
            (404, "message_not_found", "The message does not exist".to_owned())
        }
        Failure::NotFound(_) | Failure::Missing(..) => (404, "not_found", "There is no such endpoint".to_owned()),
        Failure::MethodNotAllowed(allowed) => {
            (405, "method_not_allowed", format!("This endpoint answers {}", allowed.join(", ")))
        }
        Failure::Malformed(why) => (400, "invalid_json", format!("The request cannot be read: {why}")),
        Failure::Fields(errors) => (422, "validation_error", format!("Invalid {}", Failure::first_field(errors))),
        Failure::Recipient(why) => (422, "invalid_phone_number", format!("Invalid recipient: {why}")),
        Failure::TooLong { field, max } => (400, "message_too_long", format!("The {field} is longer than {max} characters")),
        Failure::BodyTooLarge(limit) => (413, "payload_too_large", format!("The body is over the limit of {limit} bytes")),
        Failure::File(file) => (422, "media_unsupported", format!("The file in {} cannot be taken", file.field)),
        Failure::TooManyFiles(rule) => {
            (422, "validation_error", format!("{} takes {} files at most", rule.field, rule.count_max))
        }
        Failure::WrongContentType(given) => (415, "unsupported_media_type", format!("Bodies of type {given} are not taken")),
        Failure::Media(refusal) => {
            let code = match refusal.trouble {
                MediaTrouble::Unreachable | MediaTrouble::NotFound => "media_unreachable",
                MediaTrouble::TooLarge | MediaTrouble::NoRoom => "media_too_large",
                MediaTrouble::Unsupported => "media_unsupported",
            };
            (422, code, format!("The media {}", refusal.why))
        }
        Failure::NotConnected(_) | Failure::NoSession | Failure::NoQr(_) => {
            (503, "device_not_ready", "The device is not authenticated and connected".to_owned())
        }
        Failure::LimitReached(limit) => (
            429,
            "quota_exceeded",
            format!("All {} of {} are used; it resets later", limit.max, limit.limit.replace('_', " ")),
        ),
        Failure::SessionLimit(max) => (429, "quota_exceeded", format!("The plan allows {max} devices; delete one first")),
        Failure::TooManyRequests(seconds) => (429, "rate_limited", format!("Too many requests; try again in {seconds} s")),
        Failure::Conflict(why) => (422, "conflict", why.clone()),
        Failure::NotYet(what) => (422, "validation_error", format!("Not supported: {what}")),
        Failure::IdempotencyMismatch => {
            (422, "idempotency_mismatch", "This Idempotency-Key was used for another request".to_owned())
        }
        Failure::IdempotencyUnderWay => {
            (409, "idempotency_under_way", "The request under this Idempotency-Key is still being answered".to_owned())
        }
        Failure::Unavailable(why) => (503, "service_unavailable", format!("The request cannot be served now: {why}")),
        Failure::Internal => (500, "internal_error", "The server could not answer this request".to_owned()),
    }
}

/// A failure as an answer.
pub fn failed(failure: &Failure) -> Response {
    let (status, code, message) = told(failure);
    let mut body = json!({ "success": false, "message": message, "error": code, "error_code": code });
    let recipient = |why: &String| FieldErrors::from([("recipient".to_owned(), vec![why.as_str().into()])]);
    let errors = match failure {
        Failure::Fields(errors) => Some(errors.clone()),
        Failure::Recipient(why) => Some(recipient(why)),
        _ => None,
    };
    if let (Some(errors), Some(body)) = (errors, body.as_object_mut()) {
        body.insert("errors".to_owned(), json!(errors));
    }
    json_response(status, &body)
}
