//! Which network sessions connect to.
//!
//! A build with the feature `sim` knows only the simulated network, a build without it only WhatsApp: the client library
//! checks WhatsApp's certificate chain against a compiled-in root, and the feature switches that check off.

use std::sync::Arc;

use http::header::{HeaderValue, ORIGIN};
use http::uri::Uri;
use tokio::net::TcpStream;
use tokio_websockets::{ClientBuilder, Connector};
use whatsapp_rust::async_channel::Receiver;
use whatsapp_rust::http::{HttpClient, HttpRequest, HttpResponse};
use whatsapp_rust::transport::{Transport, TransportEvent, default_tls_connector, from_websocket};
use whatsapp_rust::wacore::net::{UploadBody, WHATSAPP_WEB_ORIGIN, WHATSAPP_WEB_WS_URL};
use whatsapp_rust::{anyhow, async_trait};

use crate::egress::Egress;

/// Where sessions connect to, and how.
#[derive(Clone)]
pub struct WhatsAppNetwork {
    url: Option<String>,
    http: Arc<dyn HttpClient>,
    version: Option<(u32, u32, u32)>,
}

/// An HTTP client that every session shares.
#[derive(Clone)]
pub(super) struct SharedHttp(Arc<dyn HttpClient>);

#[async_trait]
impl HttpClient for SharedHttp {
    async fn execute(&self, request: HttpRequest) -> whatsapp_rust::anyhow::Result<HttpResponse> {
        self.0.execute(request).await
    }

    fn execute_upload(&self, request: HttpRequest, body: UploadBody, length: u64) -> anyhow::Result<HttpResponse> {
        self.0.execute_upload(request, body, length)
    }
}

/// HTTP for the client library: its version look-up and its media, through the host's egress.
struct EgressHttp(Egress);

#[async_trait]
impl HttpClient for EgressHttp {
    async fn execute(&self, request: HttpRequest) -> whatsapp_rust::anyhow::Result<HttpResponse> {
        let headers = request.headers.into_iter().collect::<Vec<_>>();
        let (status_code, body) = self.0.exchange(&request.method, &request.url, &headers, request.body).await?;
        Ok(HttpResponse { status_code, body })
    }

    fn execute_upload(&self, request: HttpRequest, body: UploadBody, length: u64) -> anyhow::Result<HttpResponse> {
        let headers = request.headers.into_iter().collect::<Vec<_>>();
        let (status_code, body) = self.0.upload(&request.method, &request.url, &headers, body, length)?;
        Ok(HttpResponse { status_code, body })
    }
}

/// HTTP where there is no network.
struct NoHttp;

/// What whoever asks for the network is told where there is none.
const NO_NETWORK: &str = "there is no network here";

#[async_trait]
impl HttpClient for NoHttp {
    async fn execute(&self, _: HttpRequest) -> anyhow::Result<HttpResponse> {
        Err(anyhow::anyhow!(NO_NETWORK))
    }
}

impl WhatsAppNetwork {
    /// None: whoever connects is refused.
    pub(crate) fn none() -> Self {
        Self { url: Some(String::new()), http: Arc::new(NoHttp), version: Some((0, 0, 0)) }
    }

    /// The real network.
    #[cfg(not(feature = "sim"))]
    pub fn real(egress: Egress) -> Self {
        Self { url: None, http: Arc::new(EgressHttp(egress)), version: None }
    }

    /// A simulated network at `url` (`ws://HOST:PORT/ws/chat`).
    #[cfg(any(feature = "sim", test))]
    pub fn simulated(url: String, egress: Egress) -> Self {
        /// What the client says it is; the real network would be asked for the current one.
        const VERSION: (u32, u32, u32) = (2, 3000, 0);
        Self { url: Some(url), http: Arc::new(EgressHttp(egress)), version: Some(VERSION) }
    }

    /// A new connection.
    ///
    /// As the client library dials it, but for one thing: small frames leave at once. Most of what a client says is a
    /// confirmation that nobody answers; by default the next message would wait until the other side's kernel has said that it
    /// arrived, which takes a round trip or 40 ms.
    pub(super) async fn dial(&self) -> anyhow::Result<(Arc<dyn Transport>, Receiver<TransportEvent>)> {
        let url = self.url.as_deref().unwrap_or(WHATSAPP_WEB_WS_URL);
        if url.is_empty() {
            return Err(anyhow::anyhow!(NO_NETWORK));
        }
        let uri: Uri = url.parse()?;
        let host = uri.host().ok_or_else(|| anyhow::anyhow!("{uri} names no host"))?;
        let (connector, port) = match uri.scheme_str() {
            Some("wss") => (default_tls_connector(), 443),
            Some("ws") => (Connector::Plain, 80),
            _ => return Err(anyhow::anyhow!("{uri} is no address of a websocket")),
        };
        let bare_host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((bare_host, uri.port_u16().unwrap_or(port))).await?;
        stream.set_nodelay(true)?;
        let stream = connector.wrap(bare_host, stream).await?;
        let builder = ClientBuilder::from_uri(uri).add_header(ORIGIN, HeaderValue::from_static(WHATSAPP_WEB_ORIGIN))?;
        let (websocket, _) = builder.connect_on(stream).await?;
        Ok(from_websocket(websocket))
    }

    pub(super) fn http(&self) -> SharedHttp {
        SharedHttp(Arc::clone(&self.http))
    }

    pub(super) fn version(&self) -> Option<(u32, u32, u32)> {
        self.version
    }
}
