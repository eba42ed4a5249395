//! One client connection from its first byte to its last: handshake, then stanzas in both directions.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::allowance::Allowance;
use crate::frames::{FRAME_BYTES_MAX, FrameFault, FrameReader, HANDSHAKE_FRAME_BYTES_MAX};
use crate::line::Signal;
use crate::noise::{self, Accepted, HelloAnswer, NoiseFault, Transport};
use crate::shared::{ChangeError, LinkEnd, Shared};

/// A client that has connected must have finished its handshake by then.
const HANDSHAKE_MAX: Duration = Duration::from_secs(20);
/// A client that pings every half minute and was not heard for this long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(300);
/// One write to a client that does not read.
const WRITE_MAX: Duration = Duration::from_secs(30);
/// The last words of a connection, to a client that may not read any more.
const CLOSE_MAX: Duration = Duration::from_secs(2);
/// Queue entries taken at a time.
const QUEUE_BATCH: usize = 64;
/// Buffers of an idle websocket. Stanzas are small, and thousands of connections must be cheap.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024;
/// Bytes of one websocket message. Clients may put several frames into one.
const SOCKET_MESSAGE_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;

/// Why a connection ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionFault {
    #[error("the websocket failed")]
    Socket(#[from] tungstenite::Error),
    #[error(transparent)]
    Frame(#[from] FrameFault),
    #[error(transparent)]
    Noise(#[from] NoiseFault),
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error("nothing came for {} s", .0.as_secs())]
    Silence(Duration),
    #[error("the client took no data for {} s", .0.as_secs())]
    WriteStalled(Duration),
    #[error("the handshake was not finished within {} s", .0.as_secs())]
    HandshakeTimeout(Duration),
}

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Takes a connection over from HTTP.
pub(crate) async fn accept(upgraded: Upgraded) -> Socket {
    let config = WebSocketConfig::default()
        .read_buffer_size(SOCKET_BUFFER_BYTES)
        .write_buffer_size(SOCKET_BUFFER_BYTES)
        .max_message_size(Some(SOCKET_MESSAGE_BYTES_MAX))
        .max_frame_size(Some(SOCKET_MESSAGE_BYTES_MAX));
    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await
}

/// Serves a client until it leaves, is thrown out, or the server stops. `authority` is where it has reached us.
pub(crate) async fn serve(shared: Arc<Shared>, socket: Socket, authority: Option<String>, mut stop: watch::Receiver<bool>) {
    let mut frames = Frames { socket, reader: FrameReader::default() };
    // What is needed for the handshake only is not kept in the memory of an idle connection.
    let Some(accepted) = Box::pin(begin(&shared, &mut frames, &mut stop)).await else {
        return;
    };
    let end = shared.open_link();
    if let Some(authority) = authority {
        shared.reached_at(end.link, &authority);
    }
    let Accepted { transport, noise_public, payload } = *accepted;
    let admitted = shared.change(|network| network.admit(end.link, noise_public, &payload));
    drop(payload);
    let ended = match admitted {
        Ok(()) => talk(&shared, &mut frames, transport, &end, stop).await,
        Err(error) => Err(error.into()),
    };
    if let Err(fault) = ended {
        report(&fault);
    }
    if end.line.is_cut() {
        return;
    }
    drop(end);
    // The client may be gone already; then there is nothing to close.
    let _ = timeout(CLOSE_MAX, hang_up(&mut frames.socket)).await;
}

/// Says that nothing more comes, and takes what still does. A socket that is closed with something unread in it is reset, and
/// the client might lose our last words with it (RFC 2525, section 2.17).
async fn hang_up(socket: &mut Socket) -> Result<(), tungstenite::Error> {
    socket.close(None).await?;
    while let Some(message) = socket.next().await {
        message?;
    }
    Ok(())
}

fn report(fault: &ConnectionFault) {
    tracing::debug!(fault = fault as &dyn std::error::Error, "a client connection ended");
}

async fn begin(shared: &Shared, frames: &mut Frames, stop: &mut watch::Receiver<bool>) -> Option<Box<Accepted>> {
    let handshake = tokio::select! {
        biased;
        _ = stop.changed() => return None,
        handshake = timeout(HANDSHAKE_MAX, shake_hands(shared, frames)) => handshake,
    };
    let fault = match handshake {
        Ok(Ok(Some(accepted))) => return Some(accepted),
        Ok(Ok(None)) => None,
        Ok(Err(fault)) => Some(fault),
        Err(_) => Some(ConnectionFault::HandshakeTimeout(HANDSHAKE_MAX)),
    };
    shared.handshakes_broken.fetch_add(1, Ordering::Relaxed);
    if let Some(fault) = fault {
        report(&fault);
    }
    None
}

async fn shake_hands(shared: &Shared, frames: &mut Frames) -> Result<Option<Box<Accepted>>, ConnectionFault> {
    let Some(hello) = frames.next(HANDSHAKE_FRAME_BYTES_MAX).await? else {
        return Ok(None);
    };
    match noise::read_hello(&shared.keys, &hello)? {
        HelloAnswer::Accepted { reply, accepted } => {
            frames.send(noise::frame(&reply)?).await?;
            Ok(Some(accepted))
        }
        HelloAnswer::Pending { reply, pending } => {
            frames.send(noise::frame(&reply)?).await?;
            let Some(finish) = frames.next(HANDSHAKE_FRAME_BYTES_MAX).await? else {
                return Ok(None);
            };
            Ok(Some(Box::new(pending.read_finish(&finish)?)))
        }
    }
}

async fn talk(
    shared: &Shared,
    frames: &mut Frames,
    mut transport: Transport,
    end: &LinkEnd,
    mut stop: watch::Receiver<bool>,
) -> Result<(), ConnectionFault> {
    let mut heard = Instant::now();
    let mut allowance = Allowance::new(heard);
    // While it rests, a client that sent too much is not read. It still gets what is for it.
    let mut rest: Option<Instant> = None;
    let mut held = false;
    loop {
        tokio::select! {
            _ = stop.changed() => return Ok(()),
            signal = end.line.signal(held) => match signal {
                Signal::Send(stanzas) => frames.write(&mut transport, stanzas).await?,
                Signal::Pull => deliver_queue(shared, frames, &mut transport, end).await?,
                Signal::Hold => held = true,
                Signal::Release => {
                    held = false;
                    heard = Instant::now();
                }
                Signal::Close => return Ok(()),
            },
            ready = frames.ready(FRAME_BYTES_MAX), if !held && rest.is_none() => {
                if !ready? {
                    return Ok(());
                }
                // Whoever holds the connection expects that nothing passes from then on.
                if end.line.is_held() {
                    continue;
                }
                let Some(frame) = frames.reader.next(FRAME_BYTES_MAX)? else { continue };
                heard = Instant::now();
                let (node, weight) = transport.open(frame)?;
                rest = allowance.pay(weight, heard).map(|pause| heard + pause);
                shared.change(|network| network.receive(end.link, &node))?;
            }
            () = sleep_until(rest.unwrap_or(heard + SILENCE_MAX)), if !held => {
                if rest.take().is_none() {
                    return Err(ConnectionFault::Silence(SILENCE_MAX));
                }
            }
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
    let stanzas = shared.change(|network| network.pull(end.link, QUEUE_BATCH))?;
    if stanzas.is_empty() {
        return Ok(());
    }
    end.line.ring();
    frames.write(transport, stanzas).await
}

/// The websocket as a stream of frames.
struct Frames {
    socket: Socket,
    reader: FrameReader,
}

impl Frames {
    /// The next frame; `None` when the client has closed.
    async fn next(&mut self, bytes_max: usize) -> Result<Option<BytesMut>, ConnectionFault> {
        if !self.ready(bytes_max).await? {
            return Ok(None);
        }
        Ok(self.reader.next(bytes_max)?)
    }

    /// Waits until there is a frame; false when the client has closed. Nothing is lost if the caller stops waiting.
    async fn ready(&mut self, bytes_max: usize) -> Result<bool, ConnectionFault> {
        while !self.reader.has_frame(bytes_max)? {
            match self.socket.next().await {
                Some(Ok(Message::Binary(bytes))) => self.reader.feed(&bytes)?,
                Some(Ok(Message::Close(_))) | None => return Ok(false),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    async fn write(
        &mut self,
        transport: &mut Transport,
        stanzas: impl IntoIterator<Item = Bytes>,
    ) -> Result<(), ConnectionFault> {
        for stanza in stanzas {
            let frame = transport.seal(&stanza)?;
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
