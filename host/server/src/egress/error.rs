//! Why a guarded request came to nothing, in words for the customer who asked for it.

use std::io;
use std::time::Duration;

use switchboard_core::rules::egress::TargetError;

/// Why a guarded request came to nothing. Any status is an answer to an exchange; only a download wants a good one.
///
/// Names no address that was not in the URL: where a name leads to inside somebody's network is not for everybody.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The URL must not be asked.
    #[error("{verdict}: {0}", verdict = if .0.is_mistake() { "cannot be used" } else { "unreachable" })]
    Target(#[from] TargetError),
    /// The name leads to an address that is not on the public internet.
    #[error(
        "unreachable: {host:?} leads to an address that is not on the public internet, which the operator has not allowed ([egress] allow)"
    )]
    Inward {
        /// The name.
        host: String,
    },
    /// The host itself.
    #[error("unreachable: the URL leads back to this server")]
    Own,
    /// The name leads nowhere.
    #[error("unreachable: no address was found for {host:?}")]
    NoAddress {
        /// The name.
        host: String,
    },
    /// No connection, or it broke.
    #[error("unreachable: {0}")]
    Broken(#[from] Broken),
    /// It took too long.
    #[error("unreachable: no complete answer within {} s", .after.as_secs_f32())]
    TimedOut {
        /// The limit.
        after: Duration,
    },
    /// Redirected once too often.
    #[error("unreachable: more than {redirects_max} redirects")]
    Redirects {
        /// The limit.
        redirects_max: u32,
    },
    /// A redirect that says nothing that can be read.
    #[error("unreachable: a redirect without a readable location")]
    Location,
    /// A redirect from TLS to none.
    #[error("unreachable: redirected from https to http")]
    Downgrade,
    /// A redirect to what must not be asked.
    #[error("unreachable: redirected to a URL that is refused: {0}")]
    RedirectTarget(TargetError),
    /// The head of the answer is over the limit.
    #[error("unreachable: the headers of the answer are over the limit of {header_bytes_max} bytes")]
    HeaderBytes {
        /// The limit.
        header_bytes_max: usize,
    },
    /// A download with another status than 200.
    #[error("unreachable: the answer has status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// A download in a packed form that nobody asked for.
    #[error("unreachable: the answer is encoded as {encoding:?}, which was not asked for")]
    Encoded {
        /// The encoding.
        encoding: String,
    },
    /// A download over its limit.
    #[error("the file is over the limit of {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// Whoever takes the bytes of a download failed.
    #[error("the file cannot be kept: {0}")]
    Sink(#[source] io::Error),
    /// The caller's method or header cannot be sent.
    #[error("not a request that can be sent: {0}")]
    BadRequest(String),
    /// A certificate that was to be trusted is none.
    #[error("no TLS: {0}")]
    Tls(#[source] rustls::Error),
    /// The library's client cannot be made.
    #[error("no HTTP client can be made: {0}")]
    Client(#[source] reqwest::Error),
}

impl GuardError {
    /// Whether the guard itself forbade it, so that asking again is of no use until the URL or its name changes.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Target(_)
                | Self::Inward { .. }
                | Self::Own
                | Self::Downgrade
                | Self::RedirectTarget(_)
                | Self::BadRequest(_)
        )
    }
}

/// How an exchange broke.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Broken {
    /// No connection.
    #[error("no connection: {0}")]
    Connect(io::ErrorKind),
    /// No connection in time.
    #[error("no connection within {} s", .after.as_secs_f32())]
    ConnectTimedOut {
        /// The limit.
        after: Duration,
    },
    /// A connection, and no TLS on it.
    #[error("no TLS connection: {0}")]
    Tls(#[source] rustls::Error),
    /// A request, and no answer that is one.
    #[error("the connection ended without an answer that can be read")]
    Head,
    /// An answer that ended too early.
    #[error("the answer ended too early")]
    Body,
}

impl Broken {
    /// What the library says about a request without an answer, without what it says about addresses.
    pub(super) fn before_the_answer(error: &reqwest::Error, connect: Duration) -> Self {
        if let Some(fault) = causes(error).find_map(tls_fault) {
            return Self::Tls(fault);
        }
        match causes(error).find_map(|cause| cause.downcast_ref::<io::Error>()) {
            _ if !error.is_connect() => Self::Head,
            _ if error.is_timeout() => Self::ConnectTimedOut { after: connect },
            Some(fault) => Self::Connect(fault.kind()),
            None => Self::Connect(io::ErrorKind::Other),
        }
    }
}

type Cause<'a> = &'a (dyn std::error::Error + 'static);

fn causes(error: &reqwest::Error) -> impl Iterator<Item = Cause<'_>> {
    std::iter::successors(std::error::Error::source(error), |cause| cause.source())
}

fn tls_fault(cause: Cause<'_>) -> Option<rustls::Error> {
    // An I/O error does not count what it wraps among its sources, and one may wrap another.
    let mut outer = cause.downcast_ref::<io::Error>();
    while let Some(inner) = outer.and_then(io::Error::get_ref) {
        if let Some(fault) = inner.downcast_ref::<rustls::Error>() {
            return Some(fault.clone());
        }
        outer = inner.downcast_ref();
    }
    cause.downcast_ref().cloned()
}
