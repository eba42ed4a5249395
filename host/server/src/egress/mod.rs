//! Egress: the one client through which the host itself speaks HTTP to others.

use std::time::Duration;

use bytes::Bytes;

/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 100 * 1024 * 1024;
/// Longest exchange.
const EXCHANGE_WAIT: Duration = Duration::from_secs(60);
/// Longest wait for a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(10);

/// Why an exchange did not happen. Any status is an answer, not an error.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The build talks to the simulated network alone.
    #[error("this build reaches only the simulated network; {0} is not in it")]
    Simulated(String),
    /// The request cannot be made.
    #[error("not a request that can be made: {0}")]
    BadRequest(String),
    /// The exchange failed.
    #[error("the exchange failed: {0}")]
    Failed(#[from] reqwest::Error),
    /// The answer is over the limit.
    #[error("the answer is over the limit of {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
}

/// The host's HTTP client.
#[derive(Clone)]
pub struct Egress {
    client: Option<reqwest::Client>,
}

impl Egress {
    /// A client that reaches the internet over TLS.
    ///
    /// # Errors
    /// When the machine's root certificates cannot be read.
    pub fn internet() -> Result<Self, EgressError> {
        // Another part of the process may have chosen the same provider first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .https_only(true)
            .connect_timeout(CONNECT_WAIT)
            .timeout(EXCHANGE_WAIT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { client: Some(client) })
    }

    /// A client that reaches nothing.
    pub fn nowhere() -> Self {
        Self { client: None }
    }

    /// One exchange: method, URL, headers and body there; status and body back.
    ///
    /// # Errors
    /// [`EgressError`] when it did not happen.
    pub async fn exchange(
        &self,
        method: &str,
        url: &str,
        headers: &[(String, String)],
        body: Option<Bytes>,
    ) -> Result<(u16, Vec<u8>), EgressError> {
        let Some(client) = &self.client else { return Err(EgressError::Simulated(url.to_owned())) };
        let bad = |error: &dyn std::fmt::Display| EgressError::BadRequest(error.to_string());
        let method = reqwest::Method::from_bytes(method.as_bytes()).map_err(|error| bad(&error))?;
        let url = reqwest::Url::parse(url).map_err(|error| bad(&error))?;
        let mut request = client.request(method, url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let mut answer = request.send().await?;
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(EgressError::TooLarge);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((status, bytes))
    }
}
