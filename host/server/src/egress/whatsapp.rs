//! HTTP of the WhatsApp client itself: its version look-up and its media. A simulated build reaches only its network.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Most bytes of an answer: a file of 100 MiB, and what sealing adds to it at most.
const ANSWER_BYTES_MAX: usize = 100 * 1024 * 1024 + 16 + 10;
/// Longest exchange.
const EXCHANGE_WAIT: Duration = Duration::from_secs(60);
/// Longest upload of a file.
const UPLOAD_WAIT: Duration = Duration::from_secs(600);
/// Bytes of a file that are sent at once, and how many such pieces are read ahead.
const PIECE_BYTES: usize = 64 * 1024;
const PIECES_AHEAD: usize = 2;
/// Longest wait for a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(10);

/// Why an exchange did not happen. Any status is an answer, not an error.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The build talks to the simulated network alone.
    #[error("this build reaches only the simulated network; {0} is not in it")]
    Simulated(String),
    /// The address is not that of a simulated network.
    #[error("{url:?} is not the address of a simulated network ({why}); such as ws://127.0.0.1:9000/ws/chat is expected")]
    NotANetwork {
        /// The address.
        url: String,
        /// What is wrong with it.
        why: String,
    },
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
    /// The one place that is reached, if not the whole internet.
    simulated: Option<SimulatedPlace>,
}

/// Host and port of the simulated network's websocket; its media hosts are there too, without TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SimulatedPlace {
    host: String,
    port: u16,
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
        Ok(Self { client: Some(client), simulated: None })
    }

    /// A client that reaches the simulated network whose websocket is at `ws_url`, in plain HTTP, and nothing else.
    ///
    /// # Errors
    /// When the address cannot be read or the client cannot be made.
    pub fn simulated(ws_url: &str) -> Result<Self, EgressError> {
        let place = SimulatedPlace::of(ws_url)?;
        // Even a client that never speaks TLS wants to know how it would.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_WAIT)
            .timeout(EXCHANGE_WAIT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { client: Some(client), simulated: Some(place) })
    }

    /// A client that reaches nothing.
    pub fn nowhere() -> Self {
        Self { client: None, simulated: None }
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
        let mut request = self.request(method, url, headers)?;
        if let Some(body) = body {
            request = request.body(body);
        }
        answered(request).await
    }

    /// An exchange whose body is read while it is sent: exactly `length` bytes. For threads that may block.
    ///
    /// # Errors
    /// [`EgressError`] when it did not happen.
    pub fn upload(
        &self,
        method: &str,
        url: &str,
        headers: &[(String, String)],
        body: Box<dyn Read + Send>,
        length: u64,
    ) -> Result<(u16, Vec<u8>), EgressError> {
        let (pieces, coming) = mpsc::channel(PIECES_AHEAD);
        let request = self.request(method, url, headers)?.timeout(UPLOAD_WAIT);
        let request = request.body(reqwest::Body::wrap(Coming { pieces: coming, left: length }));
        let runtime = Handle::try_current().map_err(|error| EgressError::BadRequest(error.to_string()))?;
        let exchange = runtime.spawn(answered(request));
        hand_over(body, &pieces);
        drop(pieces);
        runtime.block_on(exchange).map_err(|error| EgressError::BadRequest(error.to_string()))?
    }

    fn request(
        &self,
        method: &str,
        url: &str,
        headers: &[(String, String)],
    ) -> Result<reqwest::RequestBuilder, EgressError> {
        let Some(client) = &self.client else { return Err(EgressError::Simulated(url.to_owned())) };
        let bad = |error: &dyn std::fmt::Display| EgressError::BadRequest(error.to_string());
        let method = reqwest::Method::from_bytes(method.as_bytes()).map_err(|error| bad(&error))?;
        let mut url = reqwest::Url::parse(url).map_err(|error| bad(&error))?;
        if let Some(place) = &self.simulated {
            url = place.plain(url)?;
        }
        let mut request = client.request(method, url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        Ok(request)
    }
}

async fn answered(request: reqwest::RequestBuilder) -> Result<(u16, Vec<u8>), EgressError> {
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

/// Reads a body to its end, or until nobody wants more of it.
fn hand_over(mut body: Box<dyn Read + Send>, pieces: &mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let read = match body.read(&mut piece) {
            Ok(0) => return,
            Ok(bytes) => {
                piece.truncate(bytes);
                Ok(piece.into())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = read.is_err();
        if pieces.blocking_send(read).is_err() || failed {
            return;
        }
    }
}

/// A body whose pieces are still being read.
struct Coming {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    left: u64,
}

impl http_body::Body for Coming {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = ready!(self.pieces.poll_recv(cx));
        if let Some(Ok(piece)) = &piece {
            self.left = self.left.saturating_sub(piece.len() as u64);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        // It becomes the `Content-Length`, without which nothing is taken.
        SizeHint::with_exact(self.left)
    }
}

impl SimulatedPlace {
    fn of(ws_url: &str) -> Result<Self, EgressError> {
        let bad = |why: &dyn std::fmt::Display| EgressError::NotANetwork { url: ws_url.to_owned(), why: why.to_string() };
        let url = reqwest::Url::parse(ws_url).map_err(|error| bad(&error))?;
        if !["ws", "wss"].contains(&url.scheme()) {
            return Err(bad(&format!("{}:// is not ws:// or wss://", url.scheme())));
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| bad(&"no host"))?.to_owned();
        let port = url.port_or_known_default().ok_or_else(|| bad(&"no port"))?;
        Ok(Self { host, port })
    }

    /// The same address without TLS, if it is in this place.
    fn plain(&self, mut url: reqwest::Url) -> Result<reqwest::Url, EgressError> {
        // The network names its media hosts as its clients call it, so a port that was not said is not said there either.
        let same_port = match url.port() {
            Some(port) => port == self.port,
            None => [80, 443].contains(&self.port),
        };
        let is_here = url.host_str() == Some(self.host.as_str()) && same_port && url.scheme() == "https";
        if is_here && url.set_scheme("http").is_ok() && url.set_port(Some(self.port)).is_ok() {
            return Ok(url);
        }
        Err(EgressError::Simulated(url.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::{EgressError, SimulatedPlace};

    fn plain(ws_url: &str, url: &str) -> Result<String, EgressError> {
        SimulatedPlace::of(ws_url)?.plain(reqwest::Url::parse(url).unwrap()).map(Into::into)
    }

    #[test]
    fn files_of_the_simulated_network_are_fetched_without_tls() {
        for (ws_url, url, expected) in [
            ("ws://127.0.0.1:9000/ws/chat", "https://127.0.0.1:9000/v/a?auth=b", "http://127.0.0.1:9000/v/a?auth=b"),
            ("ws://sim/ws/chat", "https://sim/v/a", "http://sim/v/a"),
            ("ws://sim:443/ws/chat", "https://sim:443/v/a", "http://sim:443/v/a"),
            ("ws://[::1]:9000/ws/chat", "https://[::1]:9000/v/a", "http://[::1]:9000/v/a"),
        ] {
            assert_eq!(plain(ws_url, url).unwrap(), expected);
        }
    }

    #[test]
    fn nothing_else_is_reached_from_the_simulated_network() {
        for url in [
            "https://web.whatsapp.com/sw.js",
            "https://127.0.0.1/v/a",
            "https://127.0.0.1:9001/v/a",
            "https://127.0.0.1.example:9000/v/a",
            "https://127.0.0.1:9000@example.com/v/a",
            "http://127.0.0.1:9000/v/a",
            "ftp://127.0.0.1:9000/v/a",
        ] {
            let refused = plain("ws://127.0.0.1:9000/ws/chat", url);
            assert!(matches!(refused, Err(EgressError::Simulated(_))), "{url}");
        }
    }

    #[test]
    fn what_is_no_address_of_a_network_is_refused_by_name() {
        for url in ["foo", "not a url", "", "http://127.0.0.1:9000/", "ws:", "ws://", "/ws/chat", "127.0.0.1:9000"] {
            let refused = SimulatedPlace::of(url).unwrap_err().to_string();
            let expected = format!("{url:?} is not the address of a simulated network (");
            assert!(refused.starts_with(&expected) && refused.contains("ws://127.0.0.1:9000/ws/chat"), "{refused}");
        }
        assert!(SimulatedPlace::of("wss://sim/ws/chat").is_ok());
    }
}
