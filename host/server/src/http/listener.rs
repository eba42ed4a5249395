//! Takes connections, a bounded number of them, and drains them when the host stops.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use switchboard_core::flow::lasting::lasting;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::lingering::{Lingering, Writing};
use super::problem::Answer;

/// Connections that are open at once, and those whose last request goes on without them; more wait in the system's queue.
const CONNECTIONS_MAX: u32 = 8192;
/// How long a client may take to send the head of a request.
const HEAD_WAIT: Duration = Duration::from_secs(15);
/// Bytes of the head of a request.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Rest after the system refused a connection (too many open files, say).
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Whatever answers the requests of a listener.
#[async_trait]
pub(crate) trait Answers: Send + Sync {
    /// Answers one request of the connection to `peer`. Never fails: whatever goes wrong is an answer.
    async fn answer(&self, request: Request<Incoming>, peer: IpAddr) -> Answer;
}

/// Why the host does not listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct ListenerError {
    address: SocketAddr,
    source: std::io::Error,
}

/// A bound listener.
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is taken or not ours.
    pub async fn bind(address: SocketAddr) -> Result<Self, ListenerError> {
        let failed = |source| ListenerError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` says so, then lets requests under way end, however long they take. Dropping it cuts them off.
    pub(crate) async fn serve(self, door: Arc<dyn Answers>, mut stop: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
        let mut connections = JoinSet::new();
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
            let (stream, peer) = tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => (stream, peer.ip()),
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be taken");
                        tokio::time::timeout(ACCEPT_REST, std::future::pending::<()>()).await.unwrap_or_default();
                        continue;
                    }
                },
            };
            let (door, stop) = (Arc::clone(&door), stop.clone());
            connections.spawn(serve_connection(stream, peer, door, stop, Arc::new(place)));
            while connections.try_join_next().is_some() {}
        }
        drop(self.listener);
        while connections.join_next().await.is_some() {}
        // Those that go on without their clients. An error means that the places are gone, and nobody closes them.
        let _ = places.acquire_many(CONNECTIONS_MAX).await;
    }
}

/// Lets `door` answer. A request that may change something goes on to its end even if its client goes away, and holds `place` until
/// then: what it has begun is not left half done.
pub(super) async fn answered(
    door: Arc<dyn Answers>,
    request: Request<Incoming>,
    peer: IpAddr,
    place: impl Send + 'static,
) -> Answer {
    let changes = !request.method().is_safe();
    let answering = async move {
        let answer = door.answer(request, peer).await;
        drop(place);
        answer
    };
    if changes { lasting(answering).await } else { answering.await }
}

/// Returns when the host stops.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that nobody is left who could say so.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn serve_connection(
    stream: TcpStream,
    peer: IpAddr,
    door: Arc<dyn Answers>,
    mut stop: watch::Receiver<bool>,
    place: Arc<OwnedSemaphorePermit>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "nodelay");
    }
    let writing = Writing::default();
    let stream = Lingering::new(stream, writing.clone());
    let begins = writing.clone();
    let service = service_fn(move |request| {
        begins.begins(&request);
        let answer = answered(Arc::clone(&door), request, peer, Arc::clone(&place));
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            writing.ignore();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}
