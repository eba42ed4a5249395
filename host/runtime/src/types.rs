//! What goes in and out of router plugins, without wasmtime in it.

use switchboard_core::records::account::{KeyKind, Principal};

/// Where a request carries its credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialPlace {
    /// `Authorization: Bearer …`
    Bearer,
    /// In the header of this name, lower case.
    Header(String),
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

/// A route that a plugin declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `GET`, `POST`, …
    pub method: String,
    /// Below the mount, such as `/sessions/{id}`.
    pub path: String,
    /// The credentials that are accepted; none means that anybody may call.
    pub credentials: Vec<Credential>,
    /// Most bytes of a request's body.
    pub body_bytes_max: u32,
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
    /// The body.
    pub body: Vec<u8>,
    /// Who is calling.
    pub principal: Option<Principal>,
    /// Unique.
    pub request_id: String,
    /// Now, milliseconds since 1970.
    pub now_ms: u64,
}

/// A plugin's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<Field>,
    /// The body.
    pub body: Vec<u8>,
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
