//! What messaging APIs have in common. A dialect is a table of endpoints, one function that renders failures, and the shapes of
//! its own objects; everything else is here.

pub mod content;
pub mod failure;
pub mod hooks;
pub mod limits;
pub mod payload;
pub mod people;
pub mod qr;
pub mod status;

use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::http;
use switchboard_guest_sdk::router::{Credential, FileKind, Refusal, RefusedRequest, Request, Response, Route};
use switchboard_guest_sdk::types::Principal;

pub use failure::{Failure, Of, What};
pub use switchboard_guest_sdk as sdk;

/// What answers an endpoint.
pub type Handler = fn(&Request) -> Result<Response, Failure>;

/// One method of one path.
pub struct Endpoint {
    /// `GET`, `POST`, …
    pub method: &'static str,
    /// Below the mount.
    pub path: &'static str,
    /// Which credentials it takes: one of the dialect's own sets.
    pub credentials: fn() -> Vec<Credential>,
    /// What answers.
    pub handler: Handler,
    /// What bodies it takes.
    pub takes: Takes,
}

/// What bodies an endpoint takes.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    /// JSON of the usual size.
    Json,
    /// JSON of up to 32 MiB with files as base64 in members of these names.
    Base64(&'static [&'static str]),
    /// JSON of the usual size, or the same as a form.
    JsonOrForm,
    /// One file, of any kind: as base64 in members of these names, in a form, or as the body itself.
    AnyFile(&'static [&'static str]),
    /// A form alone, with files of 100 MiB at most each.
    Files {
        /// The field they are in.
        field: &'static str,
        /// How many at most.
        count_max: u32,
        /// Of which kind.
        kind: FileKind,
    },
}

impl Endpoint {
    /// The same endpoint, which takes bodies of another kind.
    #[must_use]
    pub const fn takes(self, takes: Takes) -> Self {
        Self { takes, ..self }
    }
}

/// An endpoint.
pub const fn endpoint(
    method: &'static str,
    path: &'static str,
    credentials: fn() -> Vec<Credential>,
    handler: Handler,
) -> Endpoint {
    Endpoint { method, path, credentials, handler, takes: Takes::Json }
}

/// Where and when a failure is told.
pub struct Place<'a> {
    /// Unique to the request; also in its `X-Request-Id`.
    pub request_id: &'a str,
    /// Milliseconds since 1970.
    pub now_ms: u64,
}

/// An HTTP API.
pub trait Dialect {
    /// Everything that it serves.
    const ENDPOINTS: &'static [Endpoint];

    /// Tells a failure in the shape of this API.
    fn render(failure: &Failure, at: &Place<'_>) -> Response;

    /// How many requests an account may make in a minute; no limit unless a dialect says so.
    fn requests_per_minute() -> Option<u32> {
        None
    }
}

/// The routes of a dialect.
pub fn routes<D: Dialect>() -> Vec<Route> {
    let (rate, any) = (D::requests_per_minute(), http::files("*", 1, FileKind::Any));
    let declared = |one: &Endpoint| {
        let route = http::route(one.method, one.path, &(one.credentials)());
        let route = if let Some(per_minute) = rate { route.per_account("api", per_minute) } else { route };
        match one.takes {
            Takes::Json => route,
            Takes::Base64(members) => route.base64(members),
            Takes::JsonOrForm => route.form(&[]),
            Takes::AnyFile(members) => route.base64(members).form(std::slice::from_ref(&any)).raw(any.clone()),
            Takes::Files { field, count_max, kind } => route.form_only(&[http::files(field, count_max, kind)]),
        }
    };
    D::ENDPOINTS.iter().map(declared).collect()
}

/// Answers a request.
pub fn handle<D: Dialect>(request: &Request) -> Response {
    let endpoint = usize::try_from(request.route).ok().and_then(|at| D::ENDPOINTS.get(at));
    let answer = endpoint.map_or(Err(Failure::Internal), |endpoint| (endpoint.handler)(request));
    answer.unwrap_or_else(|failure| failed::<D>(&failure, request))
}

/// Tells a failure of a request.
pub fn failed<D: Dialect>(failure: &Failure, request: &Request) -> Response {
    rendered::<D>(failure, &Place { request_id: &request.request_id, now_ms: request.now_ms })
}

/// Tells a refusal of the host.
pub fn refuse<D: Dialect>(request: &RefusedRequest, refusal: Refusal) -> Response {
    rendered::<D>(&refusal.into(), &Place { request_id: &request.request_id, now_ms: request.now_ms })
}

/// What every failure carries beside the dialect's own words.
fn rendered<D: Dialect>(failure: &Failure, at: &Place<'_>) -> Response {
    let mut response = D::render(failure, at);
    if let Some(seconds) = failure.retry_after_s(at.now_ms) {
        limits::set_header(&mut response, "retry-after", seconds.to_string());
    }
    if let Failure::LimitReached(limit) = failure {
        limits::show(&mut response, std::slice::from_ref(limit));
    }
    response
}

/// Exports a [`Dialect`] as the component's router.
#[macro_export]
macro_rules! export_dialect {
    ($dialect:ident) => {
        impl $crate::sdk::router::Guest for $dialect {
            fn routes() -> Vec<$crate::sdk::router::Route> {
                $crate::routes::<$dialect>()
            }

            fn handle(request: $crate::sdk::router::Request) -> $crate::sdk::router::Response {
                $crate::handle::<$dialect>(&request)
            }

            fn refuse(
                request: $crate::sdk::router::RefusedRequest,
                refusal: $crate::sdk::router::Refusal,
            ) -> $crate::sdk::router::Response {
                $crate::refuse::<$dialect>(&request, refusal)
            }
        }

        $crate::sdk::export_router!($dialect);
    };
}

/// The fields of a body: of a form, where it is one, else of JSON.
///
/// # Errors
/// [`Failure::Malformed`].
pub fn fields(request: &Request) -> Result<Fields, Failure> {
    if request.body.is_empty() {
        return Ok(Fields::of_form(&request.form));
    }
    Fields::parse(&request.body).map_err(Failure::Malformed)
}

/// Ends the reading of fields.
///
/// # Errors
/// [`Failure::Fields`].
pub fn done(fields: Fields) -> Result<(), Failure> {
    fields.finish().map_err(Failure::Fields)
}

/// Who calls.
///
/// # Errors
/// [`Failure::Internal`] where the route asks for no credential.
pub fn caller(request: &Request) -> Result<&Principal, Failure> {
    request.principal.as_ref().ok_or(Failure::Internal)
}
