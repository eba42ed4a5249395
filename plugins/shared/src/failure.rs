//! Everything that can go wrong with a request, before any dialect has words for it.

use switchboard_guest_sdk::fields::{FieldError, FieldErrors, one_error};
use switchboard_guest_sdk::router::{FileRefusal, FileRule, Refusal, UnauthorizedWhy};
use switchboard_guest_sdk::types::{HostError, MediaRefusal, QuotaStanding, SessionState, WhatsappRefusal};

/// When to come back after WhatsApp found that too much was asked, seconds: it does not say itself.
const WHATSAPP_RETRY_S: u32 = 60;

/// What an endpoint is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// No plugin serves the path.
    Endpoint,
    /// A session, by whatever name the dialect has for it.
    Session,
    /// A message.
    Message,
    /// An API key.
    Key,
    /// A webhook.
    Webhook,
    /// A group.
    Group,
    /// A contact.
    Contact,
    /// A batch.
    Batch,
    /// A template.
    Template,
}

/// Why a request is not answered with success.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The credential will not do.
    Unauthorized(UnauthorizedWhy),
    /// The key's scopes do not cover it.
    Forbidden(String),
    /// A policy of the account does not allow it; its reason.
    Policy(String),
    /// WhatsApp does not let the session do that; in words.
    RefusedByWhatsapp(String),
    /// WhatsApp lets only the group's admins do that.
    NotAdmin,
    /// There is none, or it is another account's.
    NotFound(What),
    /// The same, in a sentence of its own.
    Missing(What, String),
    /// The path is served with these methods.
    MethodNotAllowed(Vec<String>),
    /// The body is not what its content type says.
    Malformed(String),
    /// Fields with mistakes.
    Fields(FieldErrors),
    /// The recipient is neither a telephone number nor a JID. In a field of the dialect's own.
    Recipient(String),
    /// A text of more than so many characters.
    TooLong {
        /// The field.
        field: &'static str,
        /// The limit.
        max: usize,
    },
    /// The body is over so many bytes.
    BodyTooLarge(u32),
    /// A file that came with the request will not do.
    File(FileRefusal),
    /// More files came than this rule allows.
    TooManyFiles(FileRule),
    /// Bodies of this type are not taken.
    WrongContentType(String),
    /// The message's file cannot be sent.
    Media(MediaRefusal),
    /// The session is not connected; where it stands.
    NotConnected(SessionState),
    /// No session of the account is connected.
    NoSession,
    /// No QR code of the session waits to be scanned; where it stands.
    NoQr(SessionState),
    /// A limit on messages is used up.
    LimitReached(QuotaStanding),
    /// The account has as many sessions as it may have: waiting does not help.
    SessionLimit(u64),
    /// Too many requests; seconds to wait.
    TooManyRequests(u32),
    /// It conflicts with what is there.
    Conflict(String),
    /// Known, but this host cannot do it.
    NotYet(String),
    /// The `Idempotency-Key` was used for another request.
    IdempotencyMismatch,
    /// The request under this `Idempotency-Key` is still being answered.
    IdempotencyUnderWay,
    /// The host could not; a later try may succeed.
    Unavailable(String),
    /// The plugin or the host failed.
    Internal,
}

impl Failure {
    /// One field has a mistake.
    pub fn field(name: &str, why: impl Into<FieldError>) -> Self {
        Self::Fields(one_error(name, why))
    }

    /// What a verb answered; `what` is what the caller named.
    pub fn of(error: HostError, what: What) -> Self {
        match error {
            HostError::NotFound => Self::NotFound(what),
            HostError::Denied(why) => Self::Forbidden(why),
            HostError::Invalid(field) if field.field == "to" => Self::Recipient(field.why),
            HostError::Invalid(field) => Self::field(&field.field, field.why),
            HostError::NotConnected(state) => Self::NotConnected(state),
            HostError::NotYet(why) => Self::NotYet(why),
            HostError::Conflict(why) => Self::Conflict(why),
            HostError::LimitReached(limit) if limit.limit == "sessions" => Self::SessionLimit(limit.max),
            HostError::LimitReached(limit) => Self::LimitReached(limit),
            HostError::MediaRefused(refusal) => Self::Media(refusal),
            HostError::RefusedByPolicy(reason) => Self::Policy(reason),
            HostError::NoSuchTemplate(_) => Self::NotFound(What::Template),
            HostError::MissingParameter(name) => Self::field(&format!("template.params.{name}"), "is required"),
            HostError::RefusedByWhatsapp(refusal) => Self::of_whatsapp(&refusal, what),
            HostError::Unavailable(why) => Self::Unavailable(why),
        }
    }

    /// What WhatsApp itself refused.
    fn of_whatsapp(refusal: &WhatsappRefusal, what: What) -> Self {
        let why = format!("WhatsApp refuses this: {} ({})", refusal.text, refusal.code);
        match refusal.code {
            401 | 403 => Self::RefusedByWhatsapp(why),
            404 | 410 => Self::Missing(what, why),
            429 => Self::TooManyRequests(WHATSAPP_RETRY_S),
            _ => Self::Conflict(why),
        }
    }

    /// After how many seconds it is worth another try, where waiting helps.
    pub fn retry_after_s(&self, now_ms: u64) -> Option<u32> {
        match self {
            Self::TooManyRequests(seconds) => Some(*seconds),
            Self::LimitReached(limit) => limit.retry_after_s.or_else(|| {
                let left = limit.resets_at_ms?.saturating_sub(now_ms).div_ceil(1000);
                u32::try_from(left).ok()
            }),
            _ => None,
        }
    }

    /// The first mistake of a field in a sentence: `name: is required`.
    pub fn first_field(errors: &FieldErrors) -> String {
        let first = errors.iter().next().and_then(|(name, errors)| Some(format!("{name}: {}", errors.first()?)));
        first.unwrap_or_else(|| "the request is invalid".to_owned())
    }
}

/// Says what the caller named, where a verb did not find it.
pub trait Of<T> {
    /// The answer, or what went wrong with `what`.
    ///
    /// # Errors
    /// What the verb answered.
    fn of(self, what: What) -> Result<T, Failure>;
}

impl<T> Of<T> for Result<T, HostError> {
    fn of(self, what: What) -> Result<T, Failure> {
        self.map_err(|error| Failure::of(error, what))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::NotFound(What::Endpoint),
            Refusal::MethodNotAllowed(methods) => Self::MethodNotAllowed(methods),
            Refusal::Unauthorized(why) => Self::Unauthorized(why),
            Refusal::BodyTooLarge(limit) => Self::BodyTooLarge(limit),
            Refusal::Malformed(why) => Self::Malformed(why),
            Refusal::TooManyRequests(seconds) => Self::TooManyRequests(seconds),
            Refusal::Internal(_) => Self::Internal,
            Refusal::IdempotencyMismatch => Self::IdempotencyMismatch,
            Refusal::IdempotencyUnderWay => Self::IdempotencyUnderWay,
            Refusal::FileRefused(file) => Self::File(file),
            Refusal::TooManyFiles(rule) => Self::TooManyFiles(rule),
            Refusal::UnsupportedContentType(given) => Self::WrongContentType(given),
            Refusal::MalformedForm(why) => Self::Malformed(why),
        }
    }
}

/// Why a credential will not do, in a sentence.
pub fn unauthorized(why: UnauthorizedWhy) -> &'static str {
    match why {
        UnauthorizedWhy::Missing => "missing credential",
        UnauthorizedWhy::Unknown => "invalid credential",
        UnauthorizedWhy::Expired => "the credential has expired",
        UnauthorizedWhy::Revoked => "the credential was revoked",
        UnauthorizedWhy::WrongKind => "this endpoint does not take this kind of key",
        UnauthorizedWhy::WrongService => "the credential was issued for another service",
        UnauthorizedWhy::InactiveAccount => "the account is inactive",
    }
}
