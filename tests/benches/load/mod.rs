//! Load for benchmarks: requests over kept connections, what they are compared with, and how much memory a process has.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use switchboard_core::clock::Timestamp;
use switchboard_core::records::content::{Content, Extras};
use switchboard_core::records::event::{Event, Fact, Incoming};
use switchboard_core::records::id::SessionId;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// The one that the shipped program has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Connections that are kept while requests are counted.
pub const CONNECTIONS: usize = 64;
/// How long they are counted.
const ROUND: Duration = Duration::from_secs(2);

/// Prints one figure.
pub fn say(what: &str, figure: String) {
    println!("{what:<76} {figure}");
}

/// A message that says `ping`.
pub fn ping() -> Event {
    let incoming = Incoming {
        whatsapp_id: "3EB0000000000000000000".to_owned(),
        chat: "491520000001@s.whatsapp.net".to_owned(),
        chat_phone: None,
        chat_lid: None,
        from: "491520000001@s.whatsapp.net".to_owned(),
        from_phone: Some("491520000001".to_owned()),
        from_lid: None,
        push_name: None,
        from_me: false,
        group: false,
        sent_at: Timestamp(1),
        content: Content::Text("ping".to_owned()),
        extras: Extras::default(),
    };
    Event { n: 1, at: Timestamp(1), session: SessionId(1), fact: Fact::MessageReceived(Box::new(incoming)) }
}

/// A server that answers every request with the same 24 bytes of JSON: the limit that any host on hyper has.
pub async fn bare_hyper() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(async move {
                let hello = |_| async {
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(br#"{"status":"connected"}"#))))
                };
                let server = hyper::server::conn::http1::Builder::new();
                // A client that leaves ends the connection.
                let _ = server.serve_connection(TokioIo::new(stream), service_fn(hello)).await;
            });
        }
    });
    address
}

/// Requests per second over [`CONNECTIONS`] kept connections, for one round. Every answer must be 200.
pub async fn rate(address: SocketAddr, request: impl Fn() -> Request<Full<Bytes>> + Send + Sync + 'static) -> f64 {
    let (request, count) = (Arc::new(request), Arc::new(AtomicU64::new(0)));
    let begun = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (request, count) = (Arc::clone(&request), Arc::clone(&count));
        clients.spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            while begun.elapsed() < ROUND {
                let answer = sender.send_request(request()).await.unwrap();
                assert_eq!(answer.status(), 200);
                answer.into_body().collect().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    count.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

/// A request with a key and a body of JSON.
pub fn request(method: &str, path: &str, key: &str, body: &str) -> Request<Full<Bytes>> {
    let head = Request::builder().method(method).uri(path).header("host", "localhost");
    let head = head.header("authorization", format!("Bearer {key}")).header("content-type", "application/json");
    head.body(Full::new(Bytes::from(body.to_owned()))).unwrap()
}

/// A figure of `/proc/<pid>/status`, KiB.
pub fn process_kib(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
