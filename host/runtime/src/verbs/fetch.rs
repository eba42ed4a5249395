//! HTTP of plugins to hosts that were granted to them.

use std::time::Duration;

use async_trait::async_trait;
use switchboard_core::records::id::TenantId;

/// Most requests of one call.
pub const FETCHES_MAX: u32 = 10;
/// Most bytes of the body of a request.
pub const FETCH_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Most bytes of the body of an answer.
pub const FETCH_ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Most headers of a request.
pub const FETCH_HEADERS_MAX: usize = 64;
/// Most bytes of the headers of a request, names and values; and of those of an answer.
pub const FETCH_HEADER_BYTES_MAX: usize = 16 * 1024;
/// Longest that a request may take, its answer's last byte included.
pub const FETCH_WAIT_MAX: Duration = Duration::from_secs(10);

/// A request to a host that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    /// `GET`, `HEAD`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// Where to.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// What is sent; nothing when it is empty.
    pub body: Vec<u8>,
    /// Longest that it may take.
    pub timeout: Duration,
    /// How many the plan of the plugin's owner lets its plugins make in a minute; `None` for as many as the host lets them.
    pub per_minute: Option<u64>,
}

/// What came back, whatever its status; redirects are not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchAnswer {
    /// The status.
    pub status: u16,
    /// Names, in lower case, and values; those that are no text are left out.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Why nothing came back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No grant names the host, or it leads to an inner network.
    #[error("denied: {0}")]
    Denied(String),
    /// It cannot be made as it is.
    #[error("not a request that can be made: {0}")]
    Invalid(String),
    /// There were too many.
    #[error("{0}")]
    LimitReached(String),
    /// It took too long.
    #[error("no complete answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The answer is over the limit.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// No connection, no TLS, or an answer that broke off.
    #[error("{0}")]
    Unreachable(String),
}

/// How plugins reach others.
#[async_trait]
pub trait FetchVerbs: Send + Sync {
    /// Asks on behalf of `tenant`. That the host was granted is known by then; whether it is on the public internet is not.
    async fn fetch(&self, tenant: TenantId, request: FetchRequest) -> Result<FetchAnswer, FetchError>;
}
