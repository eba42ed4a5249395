//! A receiver that answers with any bytes at all, and remembers what it was asked.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What follows an answer.
#[derive(Clone)]
pub(super) enum Then {
    Close,
    /// Nothing, for ever.
    Hang,
    /// These bytes, for ever.
    Repeat(Vec<u8>),
}

/// An answer, byte for byte.
#[derive(Clone)]
pub(super) struct Reply {
    pub(super) bytes: Vec<u8>,
    pub(super) then: Then,
}

impl Reply {
    pub(super) fn ok(body: impl AsRef<[u8]>) -> Self {
        Self::status(200, &[], body)
    }

    pub(super) fn moved(status: u16, location: &str) -> Self {
        Self::status(status, &[("location", location)], "moved")
    }

    pub(super) fn status(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let length = body.as_ref().len().to_string();
        let mut reply = Self::head(status, &[headers, &[("content-length", &length)]].concat());
        reply.bytes.extend_from_slice(body.as_ref());
        reply
    }

    /// Without a body, and without a word about its length.
    pub(super) fn head(status: u16, headers: &[(&str, &str)]) -> Self {
        let mut head = format!("HTTP/1.1 {status} Because\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        Self { bytes: (head + "\r\n").into_bytes(), then: Then::Close }
    }

    pub(super) fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }
}

type Handler = dyn Fn(&Seen) -> Reply + Send + Sync;

/// The receiver, at 127.0.0.1.
pub(super) struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(super) async fn answering(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(None, handler).await
    }

    pub(super) async fn start(tls: Option<TlsAcceptor>, handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (handler, shared): (Arc<Handler>, _) = (Arc::new(handler), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, handler, seen) = (tls.clone(), Arc::clone(&handler), Arc::clone(&shared));
                tokio::spawn(async move {
                    match tls {
                        // A client that does not trust us goes away, and so do we.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                answer(stream, &*handler, &seen).await;
                            }
                        }
                        None => answer(stream, &*handler, &seen).await,
                    }
                });
            }
        });
        Self { port, seen, task }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// What it was asked so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Listens no more.
    pub(super) async fn stop(mut self) {
        self.task.abort();
        let ended = (&mut self.task).await;
        assert!(ended.unwrap_err().is_cancelled());
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, handler: &Handler, seen: &Mutex<Vec<Seen>>) {
    let Some(request) = read(&mut stream).await else { return };
    let reply = handler(&request);
    seen.lock().unwrap().push(request);
    // The client may have heard enough at any moment.
    if stream.write_all(&reply.bytes).await.is_err() || stream.flush().await.is_err() {
        return;
    }
    match reply.then {
        Then::Close => {
            let _ = stream.shutdown().await;
        }
        Then::Hang => while stream.read_u8().await.is_ok() {},
        Then::Repeat(bytes) => while stream.write_all(&bytes).await.is_ok() {},
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ').map(str::to_owned);
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut seen = Seen { method: first.next()?, target: first.next()?, headers, body: String::new() };
    let mut body = vec![0; seen.header("content-length").map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    seen.body = String::from_utf8(body).unwrap();
    Some(seen)
}
