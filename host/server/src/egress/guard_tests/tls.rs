//! TLS: whom the guarded client trusts, and that it does not step down.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::*;

/// A root of trust, and an acceptor that shows a certificate of it for `name`.
fn authority(name: &str) -> (CertificateDer<'static>, TlsAcceptor) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let shown = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &root).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![shown.der().clone()], key).unwrap();
    (root.der().clone(), TlsAcceptor::from(Arc::new(config)))
}

fn trusting(roots: &[&CertificateDer<'static>]) -> GuardedClient {
    let settings = GuardSettings {
        allow: AllowList::parse(&[RECEIVER, "127.0.0.1"]).unwrap(),
        own: Vec::new(),
        resolver: Arc::new(Answers::default()),
        extra_roots: roots.iter().map(|root| (*root).clone()).collect(),
    };
    GuardedClient::new(settings).unwrap()
}

#[tokio::test]
async fn a_receiver_is_trusted_by_its_certificate_for_the_name_in_the_url() {
    let (root, acceptor) = authority(RECEIVER);
    let server = Server::start(Some(acceptor), |_| Reply::ok("sealed")).await;
    let url = format!("https://{RECEIVER}:{}/", server.port());
    let answer = ask(&trusting(&[&root]), &*url).await.unwrap();
    assert_eq!((answer.status, &answer.body_start[..]), (200, &b"sealed"[..]));

    let (stranger, _) = authority(RECEIVER);
    for (guard, url) in [
        (trusting(&[&stranger]), url),
        // The right machine under another name.
        (trusting(&[&root]), format!("https://127.0.0.1:{}/", server.port())),
    ] {
        let refused = ask(&guard, &*url).await.unwrap_err();
        assert!(matches!(refused, GuardError::Broken(Broken::Tls(rustls::Error::InvalidCertificate(_)))), "{refused:?}");
        assert!(refused.to_string().starts_with("unreachable: no TLS connection: invalid peer certificate"), "{refused}");
    }
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_redirect_never_steps_down_from_tls() {
    let (root, acceptor) = authority(RECEIVER);
    let plain = Server::answering(|_| Reply::ok("plain")).await;
    let below = format!("http://{RECEIVER}:{}/", plain.port());
    let server = Server::start(Some(acceptor.clone()), {
        let below = below.clone();
        move |seen| Reply::moved(if seen.target == "/307" { 307 } else { 302 }, &below)
    })
    .await;
    let guard = trusting(&[&root]);
    for path in ["", "307"] {
        let refused = ask(&guard, format!("https://{RECEIVER}:{}/{path}", server.port())).await.unwrap_err();
        assert!(matches!(refused, GuardError::Downgrade) && refused.is_refusal(), "{refused:?}");
    }
    assert!(plain.seen().is_empty());

    // The other way round is what servers do every day.
    let sealed = Server::start(Some(acceptor), |_| Reply::ok("sealed")).await;
    let above = format!("https://{RECEIVER}:{}/", sealed.port());
    let upgrading = Server::answering(move |_| Reply::moved(308, &above)).await;
    let answer = ask(&guard, format!("http://{RECEIVER}:{}/", upgrading.port())).await.unwrap();
    assert_eq!(&answer.body_start[..], b"sealed");
}

#[tokio::test]
async fn a_receiver_that_speaks_no_tls_is_not_asked_without() {
    let server = Server::answering(|_| Reply::ok("")).await;
    let server = (server.port(), server);
    let refused = ask(&trusting(&[]), format!("https://{RECEIVER}:{}/", server.0)).await;
    // It waits for a request that it can read; what it gets is the beginning of TLS.
    assert!(refused.is_err());
    assert!(server.1.seen().is_empty());
}

#[tokio::test]
async fn a_root_that_is_no_certificate_is_an_error() {
    let settings = GuardSettings {
        extra_roots: vec![CertificateDer::from(vec![1, 2, 3])],
        ..GuardSettings::new(AllowList::default(), Vec::new())
    };
    assert!(matches!(GuardedClient::new(settings), Err(GuardError::Tls(_))));
}
