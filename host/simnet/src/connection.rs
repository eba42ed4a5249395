//! One client connection from its first byte to its last: handshake, then stanzas in both directions.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};
use wacore_binary::Node;
use wacore_binary::consts::WA_CONN_HEADER;
use wacore_noise::framing::FrameDecoder;

use crate::noise::{self, Accepted, HelloAnswer, NoiseFault, Transport};
use crate::shared::{ChangeError, LinkEnd, Shared};

/// A client that has connected must have finished its handshake by then.
const HANDSHAKE_MAX: Duration = Duration::from_secs(20);
/// A client that pings every half minute and was not heard for this long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(300);
/// One write to a client that does not read.
const WRITE_MAX: Duration = Duration::from_secs(30);
/// Queue entries taken at a time.
const QUEUE_BATCH: usize = 64;
/// Bytes before the first frame: an optional routing hint and the protocol header.
const INTRO_BYTES_MAX: usize = 64 * 1024;
const ROUTING_MARK: &[u8] = b"ED\0\x01";
const ROUTING_HEAD_BYTES: usize = 7;

/// Why a connection ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionFault {
    #[error("the websocket failed")]
    Socket(#[from] tungstenite::Error),
    #[error(transparent)]
    Noise(#[from] NoiseFault),
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error("the connection does not begin with the protocol header")]
    NoHeader,
    #[error("nothing came for {} s", .0.as_secs())]
    Silence(Duration),
    #[error("the client took no data for {} s", .0.as_secs())]
    WriteStalled(Duration),
    #[error("the handshake was not finished within {} s", .0.as_secs())]
    HandshakeTimeout(Duration),
}

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Serves a client until it leaves, is thrown out, or the server stops.
pub(crate) async fn serve(shared: Arc<Shared>, socket: Socket, mut stop: watch::Receiver<bool>) {
    let mut frames = Frames { socket, decoder: FrameDecoder::new(), intro: Some(Vec::new()) };
    let handshake = tokio::select! {
        biased;
        _ = stop.changed() => return,
        handshake = timeout(HANDSHAKE_MAX, shake_hands(&shared, &mut frames)) => handshake,
    };
    let accepted = match handshake {
        Ok(Ok(Some(accepted))) => accepted,
        unfinished => {
            shared.handshakes_broken.fetch_add(1, Ordering::Relaxed);
            return match unfinished {
                Ok(Err(fault)) => report(&fault),
                Ok(Ok(_)) => {}
                Err(_) => report(&ConnectionFault::HandshakeTimeout(HANDSHAKE_MAX)),
            };
        }
    };
    let end = shared.open_link();
    let link = end.link;
    if let Err(fault) = talk(&shared, &mut frames, accepted, end, stop).await {
        report(&fault);
    }
    shared.close_link(link);
    // The client may be gone already; then there is nothing to close.
    let _ = timeout(WRITE_MAX, frames.socket.close(None)).await;
}

fn report(fault: &ConnectionFault) {
    tracing::debug!(fault = fault as &dyn std::error::Error, "a client connection ended");
}

async fn shake_hands(shared: &Shared, frames: &mut Frames) -> Result<Option<Accepted>, ConnectionFault> {
    let Some(hello) = frames.next().await? else {
        return Ok(None);
    };
    match noise::read_hello(&shared.keys, &hello)? {
        HelloAnswer::Accepted { reply, accepted } => {
            frames.send(noise::frame(&reply)?).await?;
            Ok(Some(*accepted))
        }
        HelloAnswer::Pending { reply, pending } => {
            frames.send(noise::frame(&reply)?).await?;
            let Some(finish) = frames.next().await? else {
                return Ok(None);
            };
            Ok(Some(pending.read_finish(&finish)?))
        }
    }
}

async fn talk(
    shared: &Shared,
    frames: &mut Frames,
    accepted: Accepted,
    mut end: LinkEnd,
    mut stop: watch::Receiver<bool>,
) -> Result<(), ConnectionFault> {
    let Accepted { mut transport, noise_public, payload } = accepted;
    shared.change(|network| network.admit(end.link, noise_public, &payload))?;
    drop(payload);
    let mut heard = tokio::time::Instant::now();
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => return Ok(()),
            node = end.outbound.recv() => match node {
                Some(node) => frames.write(&mut transport, &[node]).await?,
                None => return Ok(()),
            },
            () = end.wake.notified() => deliver_queue(shared, frames, &mut transport, &end).await?,
            frame = frames.next() => {
                let Some(frame) = frame? else { return Ok(()) };
                heard = tokio::time::Instant::now();
                let node = transport.open(frame)?;
                shared.change(|network| network.receive(end.link, &node))?;
            }
            () = tokio::time::sleep_until(heard + SILENCE_MAX) => return Err(ConnectionFault::Silence(SILENCE_MAX)),
        }
    }
}

/// Sends one batch of the device's queue and rings again if there may be more, so that answers come in between.
async fn deliver_queue(
    shared: &Shared,
    frames: &mut Frames,
    transport: &mut Transport,
    end: &LinkEnd,
) -> Result<(), ConnectionFault> {
    let nodes = shared.change(|network| network.pull(end.link, QUEUE_BATCH))?;
    if nodes.is_empty() {
        return Ok(());
    }
    end.wake.notify_one();
    frames.write(transport, &nodes).await
}

/// The websocket as a stream of frames.
struct Frames {
    socket: Socket,
    decoder: FrameDecoder,
    /// What came before the first frame; `None` once the header is read.
    intro: Option<Vec<u8>>,
}

impl Frames {
    /// The next frame; `None` when the client has closed. Nothing is lost if the caller stops waiting.
    async fn next(&mut self) -> Result<Option<BytesMut>, ConnectionFault> {
        loop {
            if self.intro.is_none()
                && let Some(frame) = self.decoder.decode_frame()
            {
                return Ok(Some(frame));
            }
            match self.socket.next().await {
                Some(Ok(Message::Binary(bytes))) => self.feed(&bytes)?,
                Some(Ok(Message::Close(_))) | None => return Ok(None),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), ConnectionFault> {
        let Some(mut intro) = self.intro.take() else {
            self.decoder.feed(bytes);
            return Ok(());
        };
        intro.extend_from_slice(bytes);
        match after_header(&intro)? {
            Some(rest) => self.decoder.feed(rest),
            None if intro.len() > INTRO_BYTES_MAX => return Err(ConnectionFault::NoHeader),
            None => self.intro = Some(intro),
        }
        Ok(())
    }

    async fn write(&mut self, transport: &mut Transport, nodes: &[Node]) -> Result<(), ConnectionFault> {
        for node in nodes {
            let frame = transport.seal(node)?;
            let written = timeout(WRITE_MAX, self.socket.feed(Message::Binary(Bytes::from(frame)))).await;
            written.map_err(|_| ConnectionFault::WriteStalled(WRITE_MAX))??;
        }
        let flushed = timeout(WRITE_MAX, self.socket.flush()).await;
        flushed.map_err(|_| ConnectionFault::WriteStalled(WRITE_MAX))??;
        Ok(())
    }

    async fn send(&mut self, frame: Vec<u8>) -> Result<(), ConnectionFault> {
        self.socket.send(Message::Binary(Bytes::from(frame))).await?;
        Ok(())
    }
}

/// What follows the header, or `None` while it is not complete.
fn after_header(intro: &[u8]) -> Result<Option<&[u8]>, ConnectionFault> {
    let mut rest = intro;
    if rest.starts_with(ROUTING_MARK) {
        let Some((head, after)) = rest.split_at_checked(ROUTING_HEAD_BYTES) else {
            return Ok(None);
        };
        let length = head.iter().skip(ROUTING_MARK.len()).fold(0, |length, byte| (length << 8) | usize::from(*byte));
        let Some((_, after)) = after.split_at_checked(length) else {
            return Ok(None);
        };
        rest = after;
    }
    if let Some(after) = rest.strip_prefix(WA_CONN_HEADER.as_slice()) {
        return Ok(Some(after));
    }
    let may_follow = WA_CONN_HEADER.starts_with(rest) || ROUTING_MARK.starts_with(rest);
    if may_follow { Ok(None) } else { Err(ConnectionFault::NoHeader) }
}

#[cfg(test)]
mod tests {
    use super::{WA_CONN_HEADER, after_header};

    #[test]
    fn header_may_follow_a_routing_hint() {
        let mut intro = b"ED\0\x01\0\0\x02xy".to_vec();
        assert!(after_header(&intro).unwrap().is_none());
        intro.extend_from_slice(&WA_CONN_HEADER);
        intro.push(9);
        assert_eq!(after_header(&intro).unwrap(), Some([9].as_slice()));
    }

    #[test]
    fn other_protocols_are_refused_at_once() {
        assert!(after_header(b"GET /").is_err());
        assert!(after_header(b"W").unwrap().is_none());
    }
}
