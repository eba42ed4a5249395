//! A plain HTTP client for this machine's own loopback: for the demonstration and for tests, never for the world.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Longest exchange; the longest poll takes 60 s.
const EXCHANGE_WAIT: Duration = Duration::from_secs(90);
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

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

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Speaks to one address.
#[derive(Clone, Copy, Debug)]
pub struct LocalClient {
    address: SocketAddr,
}

impl LocalClient {
    /// A client of `address`.
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// One exchange with a JSON body, or none.
    ///
    /// # Errors
    /// [`LocalClientError`]; any status is an answer.
    pub async fn json(
        &self,
        method: &str,
        path: &str,
        bearer: Option<&str>,
        body: Option<&Value>,
    ) -> Result<LocalAnswer, LocalClientError> {
        let mut headers = Vec::new();
        if let Some(key) = bearer {
            headers.push((AUTHORIZATION.as_str(), format!("Bearer {key}")));
        }
        let body = body.map(|body| {
            headers.push((CONTENT_TYPE.as_str(), "application/json".to_owned()));
            body.to_string().into_bytes()
        });
        self.exchange(method, path, &headers, body.unwrap_or_default()).await
    }

    /// One exchange with any headers and body.
    ///
    /// # Errors
    /// [`LocalClientError`]; any status is an answer.
    pub async fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: Vec<u8>,
    ) -> Result<LocalAnswer, LocalClientError> {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request = request.header(HOST, self.address.to_string());
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(Bytes::from(body)))?;
        tokio::time::timeout(EXCHANGE_WAIT, self.send(request)).await.map_err(|_| LocalClientError::Late)?
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<LocalAnswer, LocalClientError> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
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
}
