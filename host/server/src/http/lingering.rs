//! Streams that end only once the client has had its say: many clients write their whole request before they read an answer, and
//! one that was refused early would otherwise see a broken connection instead of the refusal (RFC 9112 section 9.6).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::Request;
use hyper::body::{Body, Incoming};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long a client is heard out.
const HEARD_OUT: Patience =
    Patience { next: Duration::from_secs(2), all: Duration::from_secs(30), bytes_max: 256 * 1024 * 1024 };
/// Bytes that are read at once.
const PIECE_BYTES: usize = 16 * 1024;

/// How much is read of what nobody wants to know.
#[derive(Clone, Copy)]
struct Patience {
    /// Longest wait for its next bytes.
    next: Duration,
    /// Longest time in which it is read.
    all: Duration,
    /// Bytes after which no more is read.
    bytes_max: u64,
}

/// Whether the client may still be writing when its connection ends.
#[derive(Clone, Default)]
pub(super) struct Writing(Arc<AtomicBool>);

impl Writing {
    /// A request has come: its body may stay unread.
    pub(super) fn begins(&self, request: &Request<Incoming>) {
        self.0.store(!request.body().is_end_stream(), Ordering::Relaxed);
    }

    /// Nobody waits for what it writes.
    pub(super) fn ignore(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// A stream whose shutdown tells the other end that there is no more to come, and then reads what still comes and throws it away:
/// for a time, and a number of bytes.
pub(super) struct Lingering<S> {
    stream: S,
    writing: Writing,
    patience: Patience,
    closed: Option<Closed>,
}

/// The half that writes is closed.
struct Closed {
    patience: Patience,
    next_by: Pin<Box<Sleep>>,
    all_by: Instant,
    bytes: u64,
}

impl<S> Lingering<S> {
    pub(super) fn new(stream: S, writing: Writing) -> Self {
        Self { stream, writing, patience: HEARD_OUT, closed: None }
    }
}

impl Closed {
    fn now(patience: Patience) -> Self {
        let now = Instant::now();
        let next_by = Box::pin(tokio::time::sleep_until(now + patience.next));
        Self { patience, next_by, all_by: now + patience.all, bytes: 0 }
    }

    /// Ready once nothing more is to be read.
    fn poll_rest(&mut self, stream: &mut (impl AsyncRead + Unpin), context: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut piece = [0; PIECE_BYTES];
            let mut piece = ReadBuf::new(&mut piece);
            let Poll::Ready(read) = Pin::new(&mut *stream).poll_read(context, &mut piece) else {
                return self.next_by.as_mut().poll(context);
            };
            self.bytes = self.bytes.saturating_add(piece.filled().len() as u64);
            let now = Instant::now();
            if read.is_err() || piece.filled().is_empty() || self.bytes > self.patience.bytes_max || now > self.all_by {
                return Poll::Ready(());
            }
            self.next_by.as_mut().reset(self.all_by.min(now + self.patience.next));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, writing, patience, closed } = self.get_mut();
        if closed.is_none() {
            ready!(Pin::new(&mut *stream).poll_shutdown(context))?;
        }
        if !writing.0.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        closed.get_or_insert_with(|| Closed::now(*patience)).poll_rest(stream, context).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn lingering(patience: Patience) -> (Lingering<DuplexStream>, DuplexStream) {
        let (ours, theirs) = duplex(1024);
        let writing = Writing(Arc::new(AtomicBool::new(true)));
        (Lingering { patience, ..Lingering::new(ours, writing) }, theirs)
    }

    /// Writes without end, a piece whenever there is room.
    async fn write_on(mut theirs: DuplexStream) {
        while theirs.write_all(b"and another thing").await.is_ok() {}
    }

    #[tokio::test]
    async fn what_a_client_still_writes_is_read_until_it_ends() {
        let (mut ours, mut theirs) = lingering(HEARD_OUT);
        let client = async {
            theirs.write_all(&vec![b' '; 3 * PIECE_BYTES]).await.unwrap();
            let mut answer = Vec::new();
            theirs.read_to_end(&mut answer).await.unwrap();
            drop(theirs);
            answer
        };
        ours.write_all(b"too long").await.unwrap();
        let (ended, answer) = tokio::join!(ours.shutdown(), client);
        ended.unwrap();
        assert_eq!(answer, b"too long");
    }

    #[tokio::test]
    async fn a_client_that_says_nothing_more_is_not_waited_for() {
        let (mut ours, _theirs) = lingering(Patience { next: Duration::ZERO, ..HEARD_OUT });
        ours.shutdown().await.unwrap();
        let (mut ours, _theirs) = lingering(HEARD_OUT);
        ours.writing.ignore();
        ours.shutdown().await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_writes_on_and_on_is_cut_off_by_time_and_by_bytes() {
        for patience in [Patience { all: Duration::ZERO, ..HEARD_OUT }, Patience { bytes_max: 100_000, ..HEARD_OUT }] {
            let (mut ours, theirs) = lingering(patience);
            tokio::select! {
                ended = ours.shutdown() => ended.unwrap(),
                () = write_on(theirs) => unreachable!("nobody closes its stream"),
            }
            let read = ours.closed.unwrap().bytes;
            assert!(read > 0 && read <= 100_000 + PIECE_BYTES as u64, "{read}");
        }
    }
}
