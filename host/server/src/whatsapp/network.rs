//! Which network sessions connect to.
//!
//! A build with the feature `sim` knows only the simulated network, a build without it only WhatsApp: the client library
//! checks WhatsApp's certificate chain against a compiled-in root, and the feature switches that check off.

use std::sync::Arc;

use whatsapp_rust::async_trait;
use whatsapp_rust::http::{HttpClient, HttpRequest, HttpResponse};
use whatsapp_rust::transport::TokioWebSocketTransportFactory;

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
}

impl WhatsAppNetwork {
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

    pub(super) fn transports(&self) -> TokioWebSocketTransportFactory {
        let factory = TokioWebSocketTransportFactory::new();
        match &self.url {
            Some(url) => factory.with_url(url.clone()),
            None => factory,
        }
    }

    pub(super) fn http(&self) -> SharedHttp {
        SharedHttp(Arc::clone(&self.http))
    }

    pub(super) fn version(&self) -> Option<(u32, u32, u32)> {
        self.version
    }
}
