//! TLS of guarded requests: the machine's certificates, nothing remembered.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

/// A configuration that trusts the machine's certificates and `extra_roots`.
///
/// # Errors
/// When one of them is no certificate.
pub(super) fn client_config(extra_roots: Vec<CertificateDer<'static>>) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let wanted = extra_roots.len();
    let mut config = match Verifier::new_with_extra_roots(extra_roots, provider) {
        Ok(verifier) => builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth(),
        Err(error) if wanted > 0 => return Err(error),
        Err(error) => {
            // A machine without certificates can still serve, and say at each request why it trusts nobody.
            tracing::warn!(%error, "no webhook or file will be reached over https");
            builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
        }
    };
    // A ticket that one tenant's request left behind would speed up another's.
    config.resumption = Resumption::disabled();
    Ok(config)
}
