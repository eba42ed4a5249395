//! The shapes of success and of failure in this dialect.

use serde_json::{Value, json};
use switchboard_guest_sdk::fields::FieldErrors;
use switchboard_guest_sdk::http::json as json_response;
use switchboard_guest_sdk::router::{Refusal, Response};
use switchboard_guest_sdk::types::{Field, HostError};

/// Why a request is not answered with success.
pub enum Failure {
    Unauthorized(String),
    SessionNotFound,
    SessionDisconnected(String),
    Validation(String, FieldErrors),
    NotFound,
    MethodNotAllowed(String),
    TooLarge(u32),
    RateLimited(u32),
    Unavailable(String),
    Internal,
}

/// `{"success":true,"data":…}`
pub fn success(data: Value) -> Response {
    json_response(200, &json!({ "success": true, "data": data }))
}

impl Failure {
    /// A failure of one field.
    pub fn field(name: &str, why: impl Into<String>) -> Self {
        let why = why.into();
        let message = format!("The {name} field {why}.");
        Self::Validation(message, FieldErrors::from([(name.to_owned(), vec![why])]))
    }

    /// Failures of fields, with the first one as the message.
    pub fn fields(errors: FieldErrors) -> Self {
        let first = errors.iter().next().and_then(|(name, whys)| whys.first().map(|why| format!("The {name} field {why}.")));
        Self::Validation(first.unwrap_or_else(|| "The request is invalid.".to_owned()), errors)
    }

    pub fn render(self) -> Response {
        let (status, code, message) = match &self {
            Self::Unauthorized(why) => (401, "UNAUTHORIZED", why.clone()),
            Self::SessionNotFound => (404, "SESSION_NOT_FOUND", "Session does not exist".to_owned()),
            Self::SessionDisconnected(why) => (409, "SESSION_DISCONNECTED", why.clone()),
            Self::Validation(message, _) => (422, "VALIDATION_ERROR", message.clone()),
            Self::NotFound => (404, "NOT_FOUND", "There is no such endpoint".to_owned()),
            Self::MethodNotAllowed(allowed) => (405, "METHOD_NOT_ALLOWED", format!("This endpoint answers {allowed} only")),
            Self::TooLarge(limit) => (413, "PAYLOAD_TOO_LARGE", format!("The body is over the limit of {limit} bytes")),
            Self::RateLimited(_) => (429, "RATE_LIMITED", "Too many requests".to_owned()),
            Self::Unavailable(why) => (503, "INTERNAL_ERROR", why.clone()),
            Self::Internal => (500, "INTERNAL_ERROR", "The server could not answer this request".to_owned()),
        };
        let mut body = json!({ "success": false, "code": code, "message": message });
        if let Some(body) = body.as_object_mut() {
            match &self {
                Self::Validation(_, errors) if !errors.is_empty() => drop(body.insert("errors".to_owned(), json!(errors))),
                Self::RateLimited(seconds) => drop(body.insert("retry_after".to_owned(), json!(seconds))),
                _ => {}
            }
        }
        let mut response = json_response(status, &body);
        if let Self::RateLimited(seconds) = self {
            response.headers.push(Field { name: "retry-after".to_owned(), value: seconds.to_string() });
        }
        response
    }
}

/// What the host refused before a handler ran, or after it failed.
pub fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::NotFound => Failure::NotFound,
        Refusal::MethodNotAllowed(methods) => Failure::MethodNotAllowed(methods.join(", ")),
        Refusal::Unauthorized(why) => Failure::Unauthorized(why),
        Refusal::BodyTooLarge(limit) => Failure::TooLarge(limit),
        Refusal::Malformed(why) => Failure::Validation(why, FieldErrors::new()),
        Refusal::TooManyRequests(seconds) => Failure::RateLimited(seconds),
        Refusal::Internal(_) => Failure::Internal,
    }
}

/// What a verb of the host answered, where the object in question is a session.
impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        match error {
            HostError::NotFound => Self::SessionNotFound,
            HostError::Denied(why) => Self::Unauthorized(why),
            HostError::Invalid(field) => Self::field(&field.field, field.why),
            HostError::NotConnected(state) => {
                let state = crate::sessions::status_name(state);
                Self::SessionDisconnected(format!("Session is not connected (status: {state})"))
            }
            HostError::NotYet(what) => Self::Validation(format!("Not supported yet: {what}"), FieldErrors::new()),
            HostError::Conflict(why) => Self::Validation(why, FieldErrors::new()),
            HostError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}
