//! A plain HTTP client for this machine's own loopback: for the demonstration and for tests, never for the world.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use serde_json::Value;
use tokio::net::TcpStream;

use super::in_process::{EXCHANGE_WAIT, LocalAnswer, LocalClientError, exchange};

impl LocalAnswer {
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
        exchange(TcpStream::connect(self.address).await?, request).await
    }
}
