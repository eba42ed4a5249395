//! The ports: HTTP for people, tests and files, the websocket for clients; each of them plain or over TLS.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::connection;
use crate::control::{CONTROL_PREFIX, ControlAnswer, control, scan_by_login_name};
use crate::media::{self, Answer, query_value, respond, whole};
use crate::shared::Shared;
use crate::tls;

/// Connections at once; one more is closed without a word.
const CONNECTIONS_MAX: usize = 20_000;
/// Clients at once. The rest is for people and tests, who must get through however many clients there are.
const CLIENTS_MAX: usize = CONNECTIONS_MAX - 500;
/// Bytes in the body of a request to the control API: a file of 16 MiB that a phone's user sends, as base64, and what is said
/// about it. A host that serves the API under its own front door takes as much.
pub const CONTROL_BODY_BYTES_MAX: usize = 24 * 1024 * 1024;
/// Rest after a failed accept, which mostly means that the process is out of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const WEBSOCKET_PATH: &str = "/ws/chat";
const SCAN_PATH: &str = "/admin/mock-phone/scan-qr";
/// Where packs of stickers are offered; on the real network it is a host of its own, `static.whatsapp.net`.
const STICKER_PATH: &str = "/sticker";

/// What each connection needs.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) shared: Arc<Shared>,
    /// SHA-256 of the operator's key; `None` lets nobody in.
    pub(crate) admin_key_digest: Option<[u8; 32]>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) places: Places,
}

/// Places for clients.
#[derive(Clone)]
pub(crate) struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(CLIENTS_MAX)))
    }
}

/// Accepts connections until the server stops.
pub(crate) async fn accept(listener: TcpListener, host: Host) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut stop = host.stop.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.changed() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
                    tracing::warn!(limit = CONNECTIONS_MAX, "too many connections; one is closed");
                    continue;
                };
                tokio::spawn(serve_connection(stream, host.clone(), Arc::new(permit)));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the simulated network runs in real time and depends on no clock of ours"
                )]
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, host: Host, permit: Arc<OwnedSemaphorePermit>) {
    // Stanzas are small and wait for each other.
    let _ = stream.set_nodelay(true);
    let mut stop = host.stop.clone();
    let shared = Arc::clone(&host.shared);
    let begun = async move {
        if tls::begins_with_tls(&stream).await? {
            let stream = shared.media.tls.accept(stream).await?;
            return Ok(Begun::Tls(Box::new(stream)));
        }
        Ok::<_, io::Error>(Begun::Plain(stream))
    };
    let begun = tokio::select! {
        biased;
        _ = stop.changed() => return,
        begun = begun => begun,
    };
    match begun {
        Ok(Begun::Plain(stream)) => serve_http(stream, host, permit).await,
        Ok(Begun::Tls(stream)) => serve_http(stream, host, permit).await,
        Err(error) => tracing::debug!(%error, "a connection ended before its first request"),
    }
}

/// A connection whose first byte is known.
enum Begun {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

async fn serve_http<S>(stream: S, host: Host, permit: Arc<OwnedSemaphorePermit>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut stop = host.stop.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let host = host.clone();
        let permit = Arc::clone(&permit);
        async move { Ok::<_, Infallible>(route(host, permit, request).await) }
    });
    let connection =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::select! {
        biased;
        _ = stop.changed() => {}
        served = connection => {
            if let Err(error) = served {
                tracing::debug!(%error, "an http connection ended early");
            }
        }
    }
}

async fn route(host: Host, permit: Arc<OwnedSemaphorePermit>, request: Request<Incoming>) -> Answer {
    let path = request.uri().path();
    if path == WEBSOCKET_PATH {
        return upgrade(host, permit, request);
    }
    if path == "/" && request.method() == Method::GET {
        return Response::new(whole("simulated network\n"));
    }
    if path == SCAN_PATH && request.method() == Method::POST {
        return respond(match read_body(request.into_body()).await {
            Ok(body) => scan_by_login_name(&host.shared, &body).await,
            Err(refusal) => refusal,
        });
    }
    if path == STICKER_PATH && request.method() == Method::GET {
        return respond(sticker_pack(&host.shared, request.uri().query().unwrap_or_default()));
    }
    if path.starts_with(CONTROL_PREFIX) {
        return respond(command(&host, request).await);
    }
    media::serve(&host.shared, request).await
}

fn sticker_pack(shared: &Shared, query: &str) -> ControlAnswer {
    let id = query_value(query, "id").unwrap_or_default();
    match shared.look(|network| network.offered_sticker_pack(&id)) {
        Some(pack) => ControlAnswer::json(200, &pack),
        None => ControlAnswer::problem(404, "no such pack", format!("no pack of stickers has the id {id:?}")),
    }
}

async fn command(host: &Host, request: Request<Incoming>) -> ControlAnswer {
    if !is_admin(host, request.headers().get(header::AUTHORIZATION)) {
        return ControlAnswer::problem(401, "unauthorized", "the operator's key is missing or wrong");
    }
    let (head, body) = request.into_parts();
    match read_body(body).await {
        Ok(body) => {
            let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
            control(&host.shared, head.method.as_str(), target, &body).await
        }
        Err(refusal) => refusal,
    }
}

/// Compares digests, all of their bytes, so that the time taken tells nothing about the key.
fn is_admin(host: &Host, authorization: Option<&HeaderValue>) -> bool {
    let given = authorization.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let (Some(given), Some(expected)) = (given, host.admin_key_digest) else {
        return false;
    };
    let given: [u8; 32] = Sha256::digest(given).into();
    given.iter().zip(expected).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

async fn read_body(body: Incoming) -> Result<Bytes, ControlAnswer> {
    match Limited::new(body, CONTROL_BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let detail = format!("the body is larger than {CONTROL_BODY_BYTES_MAX} bytes");
            Err(ControlAnswer::problem(413, "body too large", detail))
        }
        Err(_) => Err(ControlAnswer::problem(400, "bad request", "the body could not be read")),
    }
}

fn upgrade(host: Host, permit: Arc<OwnedSemaphorePermit>, mut request: Request<Incoming>) -> Answer {
    let accept = request
        .headers()
        .get(header::SEC_WEBSOCKET_KEY)
        .and_then(|key| HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok());
    let wanted =
        request.headers().get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let Some(accept) = accept.filter(|_| wanted && request.method() == Method::GET) else {
        return respond(ControlAnswer::problem(426, "upgrade required", "a websocket client is expected here"));
    };
    let authority = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    let Ok(place) = Arc::clone(&host.places.0).try_acquire_owned() else {
        tracing::warn!(limit = CLIENTS_MAX, "too many clients; one is refused");
        return respond(ControlAnswer::problem(503, "too many clients", format!("{CLIENTS_MAX} clients are connected")));
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgraded.await {
            Ok(io) => {
                let socket = connection::accept(io).await;
                connection::serve(host.shared, socket, authority, host.stop).await;
            }
            Err(error) => tracing::debug!(%error, "a websocket was not taken over"),
        }
        drop((permit, place));
    });
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}
