//! The one port: plain HTTP for people and tests, the websocket for clients.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::connection;
use crate::control::{CONTROL_PREFIX, ControlAnswer, control, scan_by_login_name};
use crate::shared::Shared;

/// Connections at once; one more is closed without a word.
const CONNECTIONS_MAX: usize = 20_000;
/// Bytes in a request's body.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Rest after a failed accept, which mostly means that the process is out of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const WEBSOCKET_PATH: &str = "/ws/chat";
const SCAN_PATH: &str = "/admin/mock-phone/scan-qr";

type Answer = Response<Full<Bytes>>;

/// What each connection needs.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) shared: Arc<Shared>,
    /// SHA-256 of the operator's key; `None` lets nobody in.
    pub(crate) admin_key_digest: Option<[u8; 32]>,
    pub(crate) stop: watch::Receiver<bool>,
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
                tokio::spawn(serve_http(stream, host.clone(), Arc::new(permit)));
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

async fn serve_http(stream: TcpStream, host: Host, permit: Arc<OwnedSemaphorePermit>) {
    // Stanzas are small and wait for each other.
    let _ = stream.set_nodelay(true);
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
        return Response::new(Full::from("simulated network\n"));
    }
    let answer = if path == SCAN_PATH && request.method() == Method::POST {
        match read_body(request.into_body()).await {
            Ok(body) => scan_by_login_name(&host.shared, &body).await,
            Err(refusal) => refusal,
        }
    } else if path.starts_with(CONTROL_PREFIX) {
        command(&host, request).await
    } else {
        ControlAnswer::problem(404, "not found", format!("nothing is served at {path}"))
    };
    respond(answer)
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
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(ControlAnswer::problem(413, "body too large", format!("the body is larger than {BODY_BYTES_MAX} bytes")))
        }
        Err(_) => Err(ControlAnswer::problem(400, "bad request", "the body could not be read")),
    }
}

fn respond(answer: ControlAnswer) -> Answer {
    let mut response = Response::new(Full::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = HeaderValue::from_static(answer.content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
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
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgraded.await {
            Ok(io) => {
                let socket = WebSocketStream::from_raw_socket(TokioIo::new(io), Role::Server, None).await;
                connection::serve(host.shared, socket, host.stop).await;
            }
            Err(error) => tracing::debug!(%error, "a websocket was not taken over"),
        }
        drop(permit);
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}
