//! What goes in and out of router plugins, without wasmtime in it.

use switchboard_core::records::account::{KeyKind, Principal};
use switchboard_core::records::event::Event;
use switchboard_core::records::id::SessionId;
use switchboard_core::records::session::SessionState;

use crate::verbs::QrCode;

/// Where a request carries its credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialPlace {
    /// `Authorization: Bearer …`
    Bearer,
    /// In the header of this name, lower case.
    Header(String),
    /// In the query parameter of this name: keys of the kind [`KeyKind::Link`] alone.
    Query(String),
}

/// A credential that a route accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Where it is.
    pub place: CredentialPlace,
    /// The kinds of key that will do.
    pub kinds: Vec<KeyKind>,
    /// The service that the key must be issued for; `None` for any.
    pub service: Option<String>,
}

/// What a file that comes with a request must be, or is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileKind {
    /// Whatever it is; of a file that came, a document.
    #[default]
    Any,
    /// A picture.
    Image,
    /// A film.
    Video,
    /// A sound.
    Audio,
}

/// Files that a request may bring along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRule {
    /// The form field that they come in; `*` for any.
    pub field: String,
    /// How many, 1 to 10.
    pub count_max: u32,
    /// Bytes of each, 1 to 100 MiB.
    pub bytes_max: u64,
    /// What they must be.
    pub kind: FileKind,
}

/// A form that a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormRule {
    /// Its files; the first rule that names a field holds for it.
    pub files: Vec<FileRule>,
    /// Bytes of the fields that are no files, with their names; at most 1 MiB.
    pub fields_bytes_max: u32,
}

/// What bodies a route takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BodyRule {
    /// Most bytes of a body that is passed on, at most 32 MiB.
    pub json_bytes_max: u32,
    /// Members of JSON that are files as base64.
    pub base64_keys: Vec<String>,
    /// The form that it takes.
    pub form: Option<FormRule>,
    /// The file that a body is which is neither JSON nor a form.
    pub raw: Option<FileRule>,
    /// Whether it takes nothing but a form.
    pub form_only: bool,
}

impl BodyRule {
    /// Whether files may come with the body.
    pub fn takes_files(&self) -> bool {
        let in_form = self.form.as_ref().is_some_and(|form| !form.files.is_empty());
        in_form || self.raw.is_some() || !self.base64_keys.is_empty()
    }
}

/// A file that came with a request, kept as a blob of the caller's tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedFile {
    /// The form field, the path in the JSON, or empty for a body that is a file.
    pub field: String,
    /// Its handle.
    pub blob: String,
    /// Its name.
    pub file_name: Option<String>,
    /// MIME type, from its content.
    pub mime: String,
    /// From its content.
    pub kind: FileKind,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its bytes, lower-case hexadecimal.
    pub sha256: String,
}

/// Why a file was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileWhy {
    /// It is over its limit.
    TooLarge,
    /// Its content, or what was said of it, does not fit; or it is broken.
    WrongKind,
    /// It has no bytes.
    Empty,
    /// Its text is not base64.
    NotBase64,
    /// The tenant keeps as much as it may.
    NoRoom,
}

/// A file that was refused, and with it the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRefusal {
    /// Where it was.
    pub field: String,
    /// Its name.
    pub file_name: Option<String>,
    /// Why.
    pub why: FileWhy,
    /// The limit that held for it, bytes.
    pub bytes_max: u64,
}

/// A route that a plugin declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `GET`, `POST`, …
    pub method: String,
    /// Below the mount, such as `/sessions/{id}`.
    pub path: String,
    /// The credentials that are accepted; none means that anybody may call.
    pub credentials: Vec<Credential>,
    /// What bodies it takes.
    pub body: BodyRule,
    /// How often it may be called.
    pub rate: Option<Rate>,
}

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RatePer {
    /// Those of an account.
    Account,
    /// Those with one key.
    Key,
    /// Those of one client address.
    Address,
}

/// Requests that a route may be asked in a minute of the calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Routes of one plugin and one name share the count.
    pub name: String,
    /// How many; at least one.
    pub per_minute: u32,
    /// Whose.
    pub per: RatePer,
}

/// A name and a value.
pub type Field = (String, String);

/// A request on its way into a plugin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// Which of the plugin's routes.
    pub route: u32,
    /// `GET`, `POST`, …
    pub method: String,
    /// The whole path.
    pub path: String,
    /// What the names in braces matched.
    pub params: Vec<Field>,
    /// The query's parameters, decoded.
    pub query: Vec<Field>,
    /// Lower-case names; no credential among them.
    pub headers: Vec<Field>,
    /// The body; empty where it was a form or a file.
    pub body: Vec<u8>,
    /// The fields of a form.
    pub form: Vec<Field>,
    /// The files that came.
    pub files: Vec<ReceivedFile>,
    /// Who is calling.
    pub principal: Option<Principal>,
    /// Unique.
    pub request_id: String,
    /// Now, milliseconds since 1970.
    pub now_ms: u64,
    /// How the outside calls this host, such as `https://api.example.com`.
    pub base_url: String,
    /// The prefix below which the route was found.
    pub mount: String,
}

/// What a stream tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveSource {
    /// How a session is, and what becomes of it.
    SessionLife(SessionId),
    /// Events from now on.
    Events {
        /// Of one session alone.
        session: Option<SessionId>,
        /// Of these kinds; none for all.
        kinds: Vec<String>,
    },
}

/// An answer that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveAnswer {
    /// What it tells of.
    pub source: LiveSource,
    /// What the first step is given.
    pub state: Vec<u8>,
}

/// How a session is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionLife {
    /// Where it stands.
    pub state: SessionState,
    /// Why, when that needs words.
    pub reason: Option<String>,
    /// Digits; empty until it is known.
    pub phone_number: String,
    /// The code that waits to be scanned.
    pub qr: Option<QrCode>,
}

/// What a stream has to tell.
#[derive(Clone, Debug, PartialEq)]
pub enum LiveMoment {
    /// A session, as it is now.
    Session(Box<SessionLife>),
    /// The session was deleted.
    Gone,
    /// An event.
    Event(Box<Event>),
}

/// What a stream writes for a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveStep {
    /// Its bytes; may be none.
    pub bytes: Vec<u8>,
    /// What the next step is given; `None` for the same again.
    pub state: Option<Vec<u8>>,
    /// The stream ends behind the bytes.
    pub done: bool,
}

/// A plugin's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<Field>,
    /// The body; empty where it goes on.
    pub body: Vec<u8>,
    /// An answer that goes on.
    pub live: Option<LiveAnswer>,
}

/// Why a credential will not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnauthorizedWhy {
    /// There is none.
    Missing,
    /// It is not one of ours.
    Unknown,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Revoked,
    /// The route does not take its kind.
    WrongKind,
    /// It was issued for another service.
    WrongService,
    /// Its account is switched off.
    InactiveAccount,
}

impl UnauthorizedWhy {
    /// The same in words.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Missing => "missing credential",
            Self::Unknown => "invalid credential",
            Self::Expired => "the credential has expired",
            Self::Revoked => "the credential was revoked",
            Self::WrongKind => "this endpoint does not take this kind of key",
            Self::WrongService => "the credential was issued for another service",
            Self::InactiveAccount => "the account is inactive",
        }
    }
}

/// Why the host refused a request that a plugin now renders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No plugin serves the path.
    NotFound,
    /// The path is served, with these methods.
    MethodNotAllowed(Vec<String>),
    /// The credential will not do.
    Unauthorized(UnauthorizedWhy),
    /// The body is over this many bytes.
    BodyTooLarge(u32),
    /// The request is not well formed as HTTP.
    Malformed(String),
    /// Too many requests; seconds to wait.
    TooManyRequests(u32),
    /// The plugin failed, or the host could not run it.
    Internal(String),
    /// The idempotency key was used for another request.
    IdempotencyMismatch,
    /// The request under this idempotency key is still being answered.
    IdempotencyUnderWay,
    /// A file will not do; nothing of the request is kept.
    FileRefused(FileRefusal),
    /// There are more files than this rule allows.
    TooManyFiles(FileRule),
    /// The route does not take bodies of this type.
    UnsupportedContentType(String),
    /// The form is not well formed.
    MalformedForm(String),
}

/// The request that was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusedRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// The whole path.
    pub path: String,
    /// Unique.
    pub request_id: String,
    /// Now, milliseconds since 1970.
    pub now_ms: u64,
}
