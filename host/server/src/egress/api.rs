//! The command line's own HTTP: to a host that the user names, over TLS or not.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, Url};

use super::tls;

/// Longest wait for a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// Longest exchange: an upload is compiled before it is answered.
const EXCHANGE_WAIT: Duration = Duration::from_secs(180);
/// Most bytes of an answer: as much as the largest component, and some.
const ANSWER_BYTES_MAX: usize = 80 * 1024 * 1024;

/// Why there is no answer. Any status is one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The address cannot be one of a host.
    #[error("{0:?} is not the address of a host; such as http://127.0.0.1:8080 is expected")]
    Address(String),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The host cannot be reached, or the exchange broke off.
    #[error("{url} cannot be reached: {why}")]
    Unreachable {
        /// The host.
        url: String,
        /// Why, in words.
        why: String,
    },
    /// The answer is too large.
    #[error("the answer is over the limit of {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
}

/// Speaks to one host's API under one key.
pub(crate) struct ApiClient {
    client: reqwest::Client,
    base: Url,
    key: String,
}

/// A request.
pub(crate) struct ApiRequest<'a> {
    /// `GET`, `POST`, …
    pub(crate) method: Method,
    /// Segments of the path below `/switchboard/v1/`, as they are.
    pub(crate) path: &'a [&'a str],
    /// Parameters of the query.
    pub(crate) query: &'a [(&'a str, String)],
    /// The type of the body, and the body.
    pub(crate) body: Option<(&'static str, Bytes)>,
}

/// An answer that is still read.
pub(crate) struct ApiAnswer {
    /// The status.
    pub(crate) status: u16,
    response: reqwest::Response,
    url: String,
}

impl ApiClient {
    /// A client for the host at `base`.
    ///
    /// # Errors
    /// [`ApiError::Address`], or when TLS cannot be set up.
    pub(crate) fn new(base: &str, key: &str) -> Result<Self, ApiError> {
        let wrong = || ApiError::Address(base.to_owned());
        let url = Url::parse(base).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
            return Err(wrong());
        }
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config(Vec::new())?)
            .connect_timeout(CONNECT_WAIT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| unreachable(base, &error))?;
        Ok(Self { client, base: url, key: key.to_owned() })
    }

    /// Asks; the head of the answer is there when it returns.
    ///
    /// # Errors
    /// When there is no answer.
    pub(crate) async fn ask(&self, request: ApiRequest<'_>) -> Result<ApiAnswer, ApiError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["switchboard", "v1"]).extend(request.path);
        }
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(request.query);
        }
        let mut asked = self.client.request(request.method, url).bearer_auth(&self.key);
        if let Some((content_type, body)) = request.body {
            asked = asked.header(reqwest::header::CONTENT_TYPE, content_type).body(body);
        }
        let base = self.base.as_str();
        let sent = tokio::time::timeout(EXCHANGE_WAIT, asked.send()).await;
        let why =
            || ApiError::Unreachable { url: base.to_owned(), why: format!("no answer in {} s", EXCHANGE_WAIT.as_secs()) };
        let response = sent.map_err(|_| why())?.map_err(|error| unreachable(base, &error))?;
        Ok(ApiAnswer { status: response.status().as_u16(), response, url: base.to_owned() })
    }
}

impl ApiAnswer {
    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// When it breaks off.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, ApiError> {
        self.response.chunk().await.map_err(|error| unreachable(&self.url, &error))
    }

    /// The whole body.
    ///
    /// # Errors
    /// When it breaks off, or is too large.
    pub(crate) async fn body(mut self) -> Result<Vec<u8>, ApiError> {
        let mut whole = Vec::new();
        while let Some(piece) = self.piece().await? {
            if whole.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(ApiError::TooLarge);
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }
}

/// The innermost cause says most.
fn unreachable(url: &str, error: &reqwest::Error) -> ApiError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    ApiError::Unreachable { url: url.to_owned(), why: cause.to_string() }
}
