//! The shapes of success and of failure in this dialect.

use serde_json::{Value, json};
use switchboard_guest_sdk::fields::{FieldErrors, one_error};
use switchboard_guest_sdk::http::json as json_response;
use switchboard_guest_sdk::router::{FileRefusal, FileWhy, Refusal, Response, UnauthorizedWhy};
use switchboard_guest_sdk::types::{Field, HostError, QuotaStanding, WhatsappRefusal};

/// When to come back after WhatsApp found that too much was asked, seconds: it does not say itself.
const WHATSAPP_RETRY_S: u32 = 60;

/// Why a request is not answered with success.
pub enum Failure {
    Unauthorized(String),
    SessionNotFound,
    SessionDisconnected(String),
    Validation(String, FieldErrors),
    Idempotency(u16, &'static str),
    NotFound,
    /// What the request is about is not there.
    Missing(String),
    Forbidden(String),
    MethodNotAllowed(String),
    TooLarge(u64),
    /// A file or a body of a kind that is not taken.
    Unsupported(String),
    /// Too many requests, or a limit on messages that is used up; what the limit is, when that is known.
    RateLimited(u32, Option<QuotaStanding>),
    /// The account has as many sessions as its plan allows: waiting does not help.
    SessionLimit(u64),
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
        Self::Validation(message, one_error(name, why))
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
            Self::Idempotency(status, why) => (*status, "IDEMPOTENCY_CONFLICT", (*why).to_owned()),
            Self::NotFound => (404, "NOT_FOUND", "There is no such endpoint".to_owned()),
            Self::Missing(what) => (404, "NOT_FOUND", what.clone()),
            Self::Forbidden(why) => (403, "FORBIDDEN", why.clone()),
            Self::MethodNotAllowed(allowed) => (405, "METHOD_NOT_ALLOWED", format!("This endpoint answers {allowed} only")),
            Self::Unsupported(why) => (415, "UNSUPPORTED_MEDIA_TYPE", why.clone()),
            Self::TooLarge(limit) => (413, "PAYLOAD_TOO_LARGE", format!("The body is over the limit of {limit} bytes")),
            Self::RateLimited(_, None) => (429, "RATE_LIMITED", "Too many requests".to_owned()),
            Self::RateLimited(seconds, Some(limit)) => {
                let whose = if limit.of_session { "session" } else { "account" };
                let QuotaStanding { limit, max, .. } = limit;
                let message = format!("The {whose}'s {limit} of {max} are used up; try again in {seconds} s");
                (429, "RATE_LIMITED", message)
            }
            Self::SessionLimit(max) => {
                (403, "SESSION_LIMIT_REACHED", format!("The plan allows {max} sessions; delete one first"))
            }
            Self::Unavailable(why) => (503, "INTERNAL_ERROR", why.clone()),
            Self::Internal => (500, "INTERNAL_ERROR", "The server could not answer this request".to_owned()),
        };
        let mut body = json!({ "success": false, "code": code, "message": message });
        if let Some(body) = body.as_object_mut() {
            match &self {
                Self::Validation(_, errors) if !errors.is_empty() => drop(body.insert("errors".to_owned(), json!(errors))),
                Self::RateLimited(seconds, _) => drop(body.insert("retry_after".to_owned(), json!(seconds))),
                _ => {}
            }
        }
        let mut response = json_response(status, &body);
        if let Self::RateLimited(seconds, limit) = self {
            response.headers.push(Field { name: "retry-after".to_owned(), value: seconds.to_string() });
            limit.iter().for_each(|limit| show_limit(&mut response, limit));
        }
        response
    }
}

/// The headers that say how a limit stands.
pub fn show_limit(response: &mut Response, limit: &QuotaStanding) {
    let reset = limit.resets_at_ms.map(|at| at.div_ceil(1000));
    let figures = [("limit", Some(limit.max)), ("remaining", Some(limit.max.saturating_sub(limit.used))), ("reset", reset)];
    for (name, figure) in figures {
        let Some(figure) = figure else { continue };
        response.headers.push(Field { name: format!("x-ratelimit-{name}"), value: figure.to_string() });
    }
}

/// What the host refused before a handler ran, or after it failed.
pub fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::NotFound => Failure::NotFound,
        Refusal::MethodNotAllowed(methods) => Failure::MethodNotAllowed(methods.join(", ")),
        Refusal::Unauthorized(why) => Failure::Unauthorized(unauthorized(why).to_owned()),
        Refusal::BodyTooLarge(limit) => Failure::TooLarge(u64::from(limit)),
        Refusal::Malformed(why) => Failure::Validation(why, FieldErrors::new()),
        Refusal::TooManyRequests(seconds) => Failure::RateLimited(seconds, None),
        Refusal::Internal(_) => Failure::Internal,
        Refusal::IdempotencyMismatch => Failure::Idempotency(422, "This Idempotency-Key was used for another request"),
        Refusal::IdempotencyUnderWay => {
            Failure::Idempotency(409, "The request under this Idempotency-Key is still being answered")
        }
        Refusal::FileRefused(file) => refused_file(&file),
        Refusal::TooManyFiles(rule) => Failure::field(&rule.field, format!("may have {} files", rule.count_max)),
        Refusal::UnsupportedContentType(given) => Failure::Unsupported(format!("Bodies of type {given} are not taken here")),
        Refusal::MalformedForm(why) => Failure::Validation(why, FieldErrors::new()),
    }
}

fn refused_file(file: &FileRefusal) -> Failure {
    let field = if file.field.is_empty() { "file" } else { &file.field };
    match file.why {
        FileWhy::TooLarge => Failure::TooLarge(file.bytes_max),
        FileWhy::WrongKind => Failure::Unsupported(format!("The {field} is not a file that can be sent")),
        FileWhy::Empty => Failure::field(field, "must not be empty"),
        FileWhy::NotBase64 => Failure::field(field, "must be base64"),
        FileWhy::NoRoom => Failure::field(field, "finds no room: the account keeps as much media as it may"),
    }
}

/// What WhatsApp itself refused.
fn refused_by_whatsapp(refusal: &WhatsappRefusal) -> Failure {
    let WhatsappRefusal { code, text } = refusal;
    let why = format!("WhatsApp refuses this: {text} ({code})");
    match code {
        401 | 403 => Failure::Forbidden(why),
        404 | 410 => Failure::Missing(why),
        429 => Failure::RateLimited(WHATSAPP_RETRY_S, None),
        _ => Failure::Validation(why, FieldErrors::new()),
    }
}

fn unauthorized(why: UnauthorizedWhy) -> &'static str {
    match why {
        UnauthorizedWhy::Missing => "missing credential",
        UnauthorizedWhy::Unknown | UnauthorizedWhy::Revoked | UnauthorizedWhy::WrongService => "invalid credential",
        UnauthorizedWhy::Expired => "the credential has expired",
        UnauthorizedWhy::WrongKind => "this endpoint does not take this kind of key",
        UnauthorizedWhy::InactiveAccount => "the account is inactive",
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
            HostError::LimitReached(limit) => match limit.retry_after_s {
                Some(seconds) => Self::RateLimited(seconds, Some(limit)),
                None => Self::SessionLimit(limit.max),
            },
            HostError::RefusedByWhatsapp(refusal) => refused_by_whatsapp(&refusal),
            HostError::MediaRefused(refusal) => Self::field("media", refusal.why),
            HostError::RefusedByPolicy(reason) => Self::Forbidden(reason),
            HostError::NoSuchTemplate(why) | HostError::Conflict(why) => Self::Validation(why, FieldErrors::new()),
            HostError::MissingParameter(name) => Self::field(&name, "is required"),
            HostError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}
