//! TLS on every port: a certificate of our own, and the first byte that tells TLS from plain HTTP.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

/// Names under which clients on this machine reach the network.
const NAMES: [&str; 3] = ["127.0.0.1", "::1", "localhost"];
const COMMON_NAME: &str = "Simulated WhatsApp network";
/// The first byte of a TLS connection: a record of the handshake. No HTTP method begins with it.
const HANDSHAKE_RECORD: u8 = 0x16;
/// A client that has connected must have said something by then.
const FIRST_BYTE_MAX: Duration = Duration::from_secs(30);
/// And must have finished its handshake by then.
const HANDSHAKE_MAX: Duration = Duration::from_secs(20);
/// Characters in a line of a PEM text (RFC 7468).
const PEM_LINE: usize = 64;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate could not be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// The stored certificate and key do not fit together, or are none.
    #[error("the stored certificate cannot be used")]
    Use(#[from] rustls::Error),
}

/// The certificate and its key as they are stored.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredTls {
    #[serde(with = "crate::hex_serde::blob")]
    certificate: Vec<u8>,
    #[serde(with = "crate::hex_serde::blob")]
    key: Vec<u8>,
}

impl StoredTls {
    /// A new certificate, signed with its own key. It vouches for this machine only, and for as long as anybody asks.
    pub(crate) fn generate() -> Result<Self, TlsError> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(NAMES.map(str::to_owned))?;
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, COMMON_NAME);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = parameters.self_signed(&key)?;
        Ok(Self { certificate: certificate.der().to_vec(), key: key.serialize_der() })
    }
}

/// The server's side of TLS.
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    certificate: String,
}

impl Tls {
    /// TLS under the stored certificate.
    pub(crate) fn new(stored: &StoredTls) -> Result<Self, TlsError> {
        let certificate = CertificateDer::from(stored.certificate.clone());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(stored.key.clone()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate: pem(&stored.certificate) })
    }

    /// The certificate as PEM text.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Finishes a client's handshake.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        timeout(HANDSHAKE_MAX, self.acceptor.accept(stream)).await?
    }
}

/// Whether a client begins with TLS. Its first byte stays where it is.
pub(crate) async fn begins_with_tls(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0; 1];
    let count = timeout(FIRST_BYTE_MAX, stream.peek(&mut first)).await??;
    Ok(count == 1 && first == [HANDSHAKE_RECORD])
}

fn pem(certificate: &[u8]) -> String {
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for (position, character) in STANDARD.encode(certificate).chars().enumerate() {
        if position > 0 && position % PEM_LINE == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem.push_str("\n-----END CERTIFICATE-----\n");
    pem
}
