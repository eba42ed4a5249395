//! The media hosts: clients upload sealed files here and download them again.
//!
//! A file's address comes from its content: `/v/<type>/<hash>.enc`, and the token under which a client uploads must be
//! that hash. `network::media` says who may do what; here is the HTTP around it. Nothing waits for a disk while it holds
//! the network's lock.

pub(crate) mod control;
mod download;
mod names;
mod pace;
mod range;
mod reupload;
mod spool;
mod upload;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::Notify;

use crate::control::ControlAnswer;
use crate::network::MediaRefusal;
use crate::shared::{ChangeError, Shared};
use crate::tls::Tls;

pub(crate) use names::query_value;
pub(crate) use reupload::reupload_files;
pub(crate) use spool::Spool;
pub use spool::SpoolError;

/// Bytes of one sealed file. WhatsApp takes documents up to 2 GiB; a simulator has no use for those.
pub(crate) const MEDIA_BYTES_MAX: u64 = 100 * 1024 * 1024 + SEAL_BYTES;
/// What sealing adds to a file at most: the padding of a block, and the seal.
const SEAL_BYTES: u64 = 16 + 10;

/// The body of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;
/// An answer over HTTP.
pub(crate) type Answer = Response<Body>;

/// What the media hosts need beside the files.
pub(crate) struct MediaHosts {
    pub(crate) spool: Spool,
    /// The certificate under which everything here is served as well.
    pub(crate) tls: Tls,
    /// Rings when a phone is to upload a file again.
    pub(crate) reuploads: Notify,
}

#[cfg(test)]
impl MediaHosts {
    /// Hosts for a network that keeps nothing.
    pub(crate) fn in_memory() -> Self {
        let tls = Tls::new(&crate::tls::StoredTls::generate().unwrap()).unwrap();
        Self { spool: Spool::open(None).unwrap(), tls, reuploads: Notify::new() }
    }
}

/// Why a host did not serve a request.
#[derive(Debug, thiserror::Error)]
enum MediaFault {
    #[error(transparent)]
    Refused(#[from] MediaRefusal),
    #[error("{method} is not served at {path}")]
    Method { method: Method, path: String },
    #[error("the token is not the url-safe base64 of a SHA-256: {0:?}")]
    BadToken(String),
    #[error("the token in the query is not the one in the path")]
    TwoTokens,
    #[error("the file has the hash {found}; the token says {expected}")]
    WrongHash { found: String, expected: String },
    #[error("{name} is not a number: {value:?}")]
    BadNumber { name: &'static str, value: String },
    #[error("no part of this upload reaches to byte {0}")]
    NoSuchPart(u64),
    #[error("the file is larger than {MEDIA_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the upload broke off after {0} bytes")]
    BrokenOff(u64),
    #[error("no byte of the range {range:?} is in a file of {bytes} bytes")]
    NoSuchRange { range: String, bytes: u64 },
    #[error("a file of the store cannot be used")]
    Store(#[source] io::Error),
    #[error("the change could not be written down")]
    Change(#[from] ChangeError),
}

impl MediaFault {
    /// Clients fetch a new `auth` after 401 and 403, ask the phone after 404, and try another host after anything else.
    fn status(&self) -> StatusCode {
        match self {
            Self::Refused(MediaRefusal::NoAuth | MediaRefusal::UnknownAuth) => StatusCode::UNAUTHORIZED,
            Self::Refused(MediaRefusal::ExpiredAuth) => StatusCode::FORBIDDEN,
            Self::Refused(MediaRefusal::Missing(_)) => StatusCode::NOT_FOUND,
            Self::Refused(MediaRefusal::Failed) | Self::Store(_) | Self::Change(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BadToken(_) | Self::TwoTokens | Self::WrongHash { .. } | Self::BadNumber { .. } => StatusCode::BAD_REQUEST,
            Self::NoSuchPart(_) => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BrokenOff(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoSuchRange { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
        }
    }
}

/// Serves whatever is left when all other paths of the listener are taken.
pub(crate) async fn serve(shared: &Arc<Shared>, request: Request<Incoming>) -> Answer {
    let served = if request.method() == Method::POST {
        upload::upload(shared, request).await
    } else if request.method() == Method::GET || request.method() == Method::HEAD {
        download::download(shared, request).await
    } else {
        Err(MediaFault::Method { method: request.method().clone(), path: request.uri().path().to_owned() })
    };
    served.unwrap_or_else(|fault| {
        let status = fault.status();
        if status.is_server_error() {
            tracing::warn!(fault = &fault as &dyn std::error::Error, "a media host failed");
        }
        let title = status.canonical_reason().unwrap_or_default().to_ascii_lowercase();
        respond(ControlAnswer::problem(status.as_u16(), &title, fault.to_string()))
    })
}

/// A plain answer on its way out.
pub(crate) fn respond(answer: ControlAnswer) -> Answer {
    let mut response = Response::new(whole(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = HeaderValue::from_static(answer.content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// A body that is there in one piece.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    http_body_util::Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}
