//! The shapes of success and of failure in this dialect.

use serde_json::{Value, json};
use switchboard_guest_sdk::http;
use switchboard_guest_sdk::router::{FileRefusal, FileWhy, Refusal, Response, UnauthorizedWhy};
use switchboard_guest_sdk::types::{Field, HostError, MediaTrouble, Message, QuotaStanding};

/// Why a request is not answered with success.
pub enum Failure {
    Bad(String),
    Unauthorized(&'static str),
    Forbidden(String),
    NoSession,
    NotFound,
    MethodNotAllowed(String),
    Idempotency(u16, &'static str),
    TooLarge(String),
    Unsupported(String),
    /// Seconds to wait, and the limit that is used up, when it is known.
    TooMany(u32, Option<QuotaStanding>),
    Unavailable(String),
    Internal,
}

impl Failure {
    pub fn render(self) -> Response {
        let (status, error) = match &self {
            Self::Bad(why) => (400, why.clone()),
            Self::Unauthorized(why) => (401, (*why).to_owned()),
            Self::Forbidden(why) => (403, why.clone()),
            Self::NoSession => (404, "no active session for this key".to_owned()),
            Self::NotFound => (404, "no such endpoint".to_owned()),
            Self::MethodNotAllowed(allowed) => (405, format!("this endpoint answers {allowed} only")),
            Self::Idempotency(status, why) => (*status, (*why).to_owned()),
            Self::TooLarge(why) => (413, why.clone()),
            Self::Unsupported(why) => (415, why.clone()),
            Self::TooMany(seconds, None) => (429, format!("too many requests; try again in {seconds} s")),
            Self::TooMany(seconds, Some(limit)) => {
                (429, format!("{} of {} are used up; try again in {seconds} s", limit.limit, limit.max))
            }
            Self::Unavailable(why) => (503, why.clone()),
            Self::Internal => (500, "the server could not answer this request".to_owned()),
        };
        let mut response = http::json(status, &json!({ "success": false, "error": error }));
        if let Self::TooMany(seconds, limit) = self {
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

/// What the host refused before a handler ran, or after it failed.
pub fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::NotFound => Failure::NotFound,
        Refusal::MethodNotAllowed(methods) => Failure::MethodNotAllowed(methods.join(", ")),
        Refusal::Unauthorized(why) => Failure::Unauthorized(unauthorized(why)),
        Refusal::BodyTooLarge(limit) => Failure::TooLarge(format!("the body is over the limit of {limit} bytes")),
        Refusal::Malformed(why) | Refusal::MalformedForm(why) => Failure::Bad(why),
        Refusal::TooManyRequests(seconds) => Failure::TooMany(seconds, None),
        Refusal::Internal(_) => Failure::Internal,
        Refusal::IdempotencyMismatch => Failure::Idempotency(422, "this Idempotency-Key was used for another request"),
        Refusal::IdempotencyUnderWay => {
            Failure::Idempotency(409, "the request under this Idempotency-Key is still being answered")
        }
        Refusal::FileRefused(file) => refused_file(&file),
        Refusal::TooManyFiles(rule) => Failure::Bad(format!("{}: at most {} files are taken", rule.field, rule.count_max)),
        Refusal::UnsupportedContentType(given) => {
            Failure::Unsupported(format!("send multipart/form-data; the body's type is {given}"))
        }
    }
}

fn unauthorized(why: UnauthorizedWhy) -> &'static str {
    match why {
        UnauthorizedWhy::Expired => "the API key has expired",
        UnauthorizedWhy::InactiveAccount => "the account is inactive",
        _ => "Invalid or missing X-API-Key header",
    }
}

fn refused_file(file: &FileRefusal) -> Failure {
    let name = file.file_name.as_deref().unwrap_or("a file");
    match file.why {
        FileWhy::TooLarge => Failure::TooLarge(format!("{name} is over the limit of {} bytes", file.bytes_max)),
        FileWhy::WrongKind => Failure::Unsupported(format!("{name} is not a file that {} takes", file.field)),
        FileWhy::Empty => Failure::Unsupported(format!("{name} is empty")),
        FileWhy::NotBase64 => Failure::Bad(format!("{name} is not base64")),
        FileWhy::NoRoom => Failure::Forbidden("the account keeps as much media as it may".to_owned()),
    }
}

/// What a verb of the host answered, where the object in question is the session.
impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        match error {
            HostError::NotFound | HostError::NotConnected(_) => Self::NoSession,
            HostError::Denied(why) => Self::Forbidden(why),
            HostError::MediaRefused(refusal) => match refusal.trouble {
                MediaTrouble::TooLarge => Self::TooLarge(format!("the media {}", refusal.why)),
                MediaTrouble::NoRoom => Self::Forbidden(format!("the media {}", refusal.why)),
                _ => Self::Unsupported(format!("the media {}", refusal.why)),
            },
            HostError::Invalid(field) => Self::Bad(format!("{}: {}", field.field, field.why)),
            HostError::NotYet(what) | HostError::Conflict(what) => Self::Bad(what),
            HostError::LimitReached(limit) => Self::TooMany(limit.retry_after_s.unwrap_or(1), Some(limit)),
            HostError::RefusedByWhatsapp(refusal) => Self::Bad(format!("WhatsApp refuses this: {}", refusal.text)),
            HostError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}
