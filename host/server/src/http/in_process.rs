//! One exchange over a stream of bytes: with a listener of this machine, or with a front door that has none.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

use super::FrontDoor;
use super::lingering::{Lingering, Writing};
use super::listener::answered;

/// Longest exchange; the longest poll takes 60 s.
pub(super) const EXCHANGE_WAIT: Duration = Duration::from_secs(90);
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes that lie between the two ends of a stream in memory.
const STREAM_BYTES: usize = 64 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum LocalClientError {
    /// No connection.
    #[error("no connection: {0}")]
    Io(#[from] std::io::Error),
    /// The exchange broke off.
    #[error("the exchange broke off: {0}")]
    Http(#[from] hyper::Error),
    /// The request cannot be made.
    #[error("not a request: {0}")]
    Request(#[from] hyper::http::Error),
    /// The answer's body is not there.
    #[error("the answer's body: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("no answer within {} s", EXCHANGE_WAIT.as_secs())]
    Late,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct LocalAnswer {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl LocalAnswer {
    /// The body as JSON; `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// Sends a request over `stream`, and takes the answer.
pub(super) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
) -> Result<LocalAnswer, LocalClientError> {
    let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await?;
    let answered = async {
        let answer = sender.send_request(request).await?;
        let (head, body) = answer.into_parts();
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        let headers = headers.collect();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(LocalClientError::Body)?;
        Ok(LocalAnswer { status: head.status.as_u16(), headers, body: body.to_bytes().to_vec() })
    };
    tokio::pin!(connection, answered);
    tokio::select! {
        answer = &mut answered => answer,
        ended = &mut connection => {
            ended?;
            // The connection may end as soon as the answer is complete.
            answered.await
        }
    }
}

/// What a front door answers that nobody can reach from outside. A stream is no answer: it has no end.
///
/// # Errors
/// [`LocalClientError`]; any status is an answer.
pub(crate) async fn ask(
    door: &Arc<FrontDoor>,
    method: &str,
    path_and_query: &str,
    headers: &[(String, String)],
    body: Vec<u8>,
) -> Result<LocalAnswer, LocalClientError> {
    ask_holding(door, method, path_and_query, headers, body, ()).await
}

/// The same; `place` is held until the request has come to its end, perhaps after its caller went away.
///
/// # Errors
/// As [`ask`].
pub(crate) async fn ask_holding(
    door: &Arc<FrontDoor>,
    method: &str,
    path_and_query: &str,
    headers: &[(String, String)],
    body: Vec<u8>,
    place: impl Clone + Send + 'static,
) -> Result<LocalAnswer, LocalClientError> {
    let mut request = Request::builder().method(method).uri(path_and_query);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(body)))?;
    let (ours, theirs) = tokio::io::duplex(STREAM_BYTES);
    let writing = Writing::default();
    let service = service_fn(|request| {
        writing.begins(&request);
        let answer = answered(Arc::clone(door) as _, request, IpAddr::V4(Ipv4Addr::LOCALHOST), place.clone());
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let serving = server::Builder::new().serve_connection(TokioIo::new(Lingering::new(theirs, writing.clone())), service);
    let answered = tokio::time::timeout(EXCHANGE_WAIT, exchange(ours, request));
    tokio::pin!(serving, answered);
    let answered = tokio::select! {
        answered = &mut answered => answered,
        ended = &mut serving => {
            ended?;
            answered.await
        }
    };
    answered.map_err(|_| LocalClientError::Late)?
}
