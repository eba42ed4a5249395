//! Holds back what a client says to WhatsApp until what it heard before is durable.
//!
//! The library acknowledges receipts, notifications and calls right after it has told of them, and offers no hook in between.
//! But it tells of them first, and an acknowledgement is a frame like any other: every frame that may be one waits at the barrier
//! until everything that was heard when it came is written down. What cannot even be remembered breaks the connection, whose
//! frames are then never sent: WhatsApp tells it again on the next one.
//!
//! For ciphertext the same holds of the encryption's state. The library counts a sending chain as covered before it is stored;
//! whoever had a message of such a chain and is answered after a crash would hold keys that this side no longer has. A new
//! chain comes of a message that was opened. So while a message is on its way out, and one may have come in not long ago, every
//! frame waits until the state behind it is stored.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::sync::watch;
use whatsapp_rust::Client;
use whatsapp_rust::async_channel::{self, Receiver};
use whatsapp_rust::bytes::Bytes;
use whatsapp_rust::transport::{Transport, TransportEvent};
use whatsapp_rust::{anyhow, async_trait};

use switchboard_core::clock::{Clock, Timestamp};

/// What was heard of one client, and how much of it is durable.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    heard: u64,
    written: u64,
    /// The number of the newest connection.
    connection: u64,
    /// Connections up to this one say nothing more.
    broken: u64,
}

/// How long a frame waits for the state of the encryption. While what came in off line is decrypted, the library itself may hold
/// on to it until this very frame has left.
const FLUSH_WAIT: Duration = Duration::from_secs(2);

/// A frame with less has no sealed message in it: the smallest one and its stanza take more, acknowledgements and receipts less.
const MESSAGE_BYTES_MIN: usize = 120;
/// A frame with more confirms nothing: an acknowledgement has attributes alone.
const CONFIRMATION_BYTES_MAX: usize = 200;
/// Bytes in front of each frame that say how long it is.
const FRAME_HEAD_BYTES: usize = 3;
/// For so long after a frame came that may have had a message, it may not have been opened yet.
const OPENED_WITHIN: Duration = Duration::from_secs(10);
/// Frames between the connection and the library.
const FRAMES_MAX: usize = 64;

/// The barrier of one session.
pub(super) struct Barrier {
    clock: Arc<dyn Clock>,
    /// When a frame came last that may have had a message, or the connection began: milliseconds.
    message_at: AtomicU64,
    state: watch::Sender<State>,
    /// Messages that are being sent.
    sending: AtomicUsize,
    client: OnceLock<Weak<Client>>,
}

/// A message is being sent as long as this is there.
pub(super) struct Sending<'a>(&'a AtomicUsize);

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Something that was heard on this connection could not be remembered.
#[derive(Debug, thiserror::Error)]
#[error("more was heard than could be remembered")]
pub(super) struct Broken;

impl Barrier {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let message_at = AtomicU64::new(clock.now().0);
        Self { clock, message_at, state: watch::Sender::default(), sending: AtomicUsize::new(0), client: OnceLock::new() }
    }

    /// Listens to what comes in, on its way to the library.
    pub(super) fn listen(self: &Arc<Self>, from: Receiver<TransportEvent>) -> Receiver<TransportEvent> {
        let (to, heard) = async_channel::bounded(FRAMES_MAX);
        let barrier = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok(event) = from.recv().await {
                barrier.came(&event);
                // The library is gone, and with it the connection.
                if to.send(event).await.is_err() {
                    return;
                }
            }
        });
        heard
    }

    fn came(&self, event: &TransportEvent) {
        let small = matches!(event, TransportEvent::DataReceived(data) if data.len() < MESSAGE_BYTES_MIN);
        if !small {
            self.message_at.store(self.clock.now().0, Ordering::Release);
        }
    }

    /// Whether ciphertext of a chain that is not stored yet may be in the next frame.
    fn may_be_new(&self) -> bool {
        let message_at = Timestamp(self.message_at.load(Ordering::Acquire));
        self.sending.load(Ordering::Acquire) > 0 && self.clock.now().since(message_at) < OPENED_WITHIN
    }

    /// Something was heard that must be durable before WhatsApp is told that it arrived.
    pub(super) fn heard(&self) {
        // Whoever waits does so for what was heard before.
        self.state.send_if_modified(|state| {
            state.heard += 1;
            false
        });
    }

    /// `count` of what was heard are durable.
    pub(super) fn written(&self, count: u64) {
        if count > 0 {
            self.state.send_modify(|state| state.written += count);
        }
    }

    /// What was heard last is not remembered: this connection says nothing more.
    pub(super) fn lost(&self) {
        self.state.send_modify(|state| {
            state.written += 1;
            state.broken = state.connection;
        });
    }

    /// This connection says nothing more.
    fn break_off(&self, connection: u64) {
        self.state.send_modify(|state| state.broken = state.broken.max(connection));
    }

    /// The newest connection, when it was broken.
    pub(super) fn broken(&self) -> Option<u64> {
        let state = *self.state.borrow();
        (state.broken > 0 && state.broken == state.connection).then_some(state.broken)
    }

    fn connects(&self) -> u64 {
        let mut number = 0;
        self.state.send_if_modified(|state| {
            state.connection += 1;
            number = state.connection;
            false
        });
        number
    }

    /// The client whose state is stored before its ciphertext leaves.
    pub(super) fn stands_before(&self, client: Weak<Client>) {
        // A session's task has one client.
        let _ = self.client.set(client);
    }

    /// A message is about to be sealed and sent: until the guard goes, frames wait for the state of the encryption.
    pub(super) fn sending(&self) -> Sending<'_> {
        self.sending.fetch_add(1, Ordering::AcqRel);
        Sending(&self.sending)
    }

    /// Stores the state behind ciphertext that may be in the next frame.
    async fn store_sealing(&self) -> Result<(), anyhow::Error> {
        if !self.may_be_new() {
            return Ok(());
        }
        let Some(client) = self.client.get().and_then(Weak::upgrade) else { return Ok(()) };
        match tokio::time::timeout(FLUSH_WAIT, client.flush_pending_signal_state()).await {
            Ok(stored) => Ok(stored?),
            Err(_) => {
                tracing::debug!("a frame did not wait for the state of the encryption any longer");
                Ok(())
            }
        }
    }

    /// Waits until everything is durable that was heard by now, if these frames may confirm it.
    async fn pass(&self, connection: u64, data: &[u8]) -> Result<(), Broken> {
        let state = *self.state.borrow();
        let confirms = may_confirm(data);
        let passed = |seen: &State| !confirms || seen.broken >= connection || seen.written >= state.heard;
        let end = if passed(&state) {
            state
        } else {
            // It ends only with its sender, which is here.
            *self.state.subscribe().wait_for(passed).await.map_err(|_| Broken)?
        };
        if end.broken >= connection { Err(Broken) } else { Ok(()) }
    }
}

/// A connection behind the barrier.
pub(super) struct Held {
    transport: Arc<dyn Transport>,
    barrier: Arc<Barrier>,
    connection: u64,
}

impl Held {
    /// Puts a new connection behind the barrier.
    pub(super) fn new(transport: Arc<dyn Transport>, barrier: Arc<Barrier>) -> Self {
        let connection = barrier.connects();
        Self { transport, barrier, connection }
    }
}

/// Whether one of the frames in `data` may confirm something: what is sealed in it is not seen here, but how long it is.
fn may_confirm(data: &[u8]) -> bool {
    let mut rest = data;
    while let Some((head, behind)) = rest.split_first_chunk::<FRAME_HEAD_BYTES>() {
        let length = head.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        match behind.split_at_checked(length) {
            Some((frame, next)) if frame.len() > CONFIRMATION_BYTES_MAX => rest = next,
            // Short, or not framed as it is after the greeting.
            _ => return true,
        }
    }
    !rest.is_empty() || data.is_empty()
}

#[async_trait]
impl Transport for Held {
    async fn send(&self, data: Bytes) -> Result<(), anyhow::Error> {
        self.barrier.pass(self.connection, &data).await?;
        if let Err(error) = self.barrier.store_sealing().await {
            // Frames are numbered: without this one the next would not be understood.
            self.barrier.break_off(self.connection);
            self.transport.disconnect().await;
            return Err(error);
        }
        self.transport.send(data).await
    }

    async fn disconnect(&self) {
        self.transport.disconnect().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use switchboard_core::clock::ManualClock;

    use super::*;

    #[derive(Default)]
    struct Line(Mutex<Vec<Bytes>>);

    #[async_trait]
    impl Transport for Line {
        async fn send(&self, data: Bytes) -> Result<(), anyhow::Error> {
            self.0.lock().unwrap().push(data);
            Ok(())
        }

        async fn disconnect(&self) {}
    }

    fn barrier() -> (Arc<Barrier>, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp(1_750_000_000_000)));
        (Arc::new(Barrier::new(Arc::clone(&clock) as _)), clock)
    }

    #[test]
    fn long_frames_wait_for_nothing_unless_a_short_one_is_among_them() {
        let frame = |bytes: usize| [&u32::try_from(bytes).unwrap().to_be_bytes()[1..], &vec![7; bytes]].concat();
        let (long, short) = (CONFIRMATION_BYTES_MAX + 1, CONFIRMATION_BYTES_MAX);
        for (frames, waits) in [
            (vec![long], false),
            (vec![70_000, long], false),
            (vec![short], true),
            (vec![long, 40, long], true),
            (vec![long, short], true),
            (vec![], true),
        ] {
            let data: Vec<u8> = frames.iter().flat_map(|bytes| frame(*bytes)).collect();
            assert_eq!(may_confirm(&data), waits, "{frames:?}");
        }
        // A greeting, and a frame that breaks off.
        for data in [b"WA\x06\x03\x00\x00\x24".to_vec(), frame(long)[..100].to_vec(), [frame(long), vec![0, 1]].concat()] {
            assert!(may_confirm(&data), "{data:?}");
        }
    }

    #[tokio::test]
    async fn the_encryption_is_stored_with_every_frame_while_a_message_goes_out_and_one_may_have_come_in() {
        let (barrier, clock) = barrier();
        assert!(!barrier.may_be_new(), "nothing is being sent");
        let sending = barrier.sending();
        assert!(barrier.may_be_new(), "the connection is young");
        clock.advance(OPENED_WITHIN);
        assert!(!barrier.may_be_new());
        let (network, frames) = async_channel::bounded(4);
        let heard = barrier.listen(frames);
        for (bytes, new) in [(MESSAGE_BYTES_MIN - 1, false), (MESSAGE_BYTES_MIN, true)] {
            network.send(TransportEvent::DataReceived(Bytes::from(vec![0; bytes]))).await.unwrap();
            assert!(matches!(heard.recv().await.unwrap(), TransportEvent::DataReceived(data) if data.len() == bytes));
            assert_eq!(barrier.may_be_new(), new, "{bytes} bytes");
        }
        drop(sending);
        assert!(!barrier.may_be_new());
        drop(network);
        assert!(heard.recv().await.is_err(), "the end of the connection is heard, too");
    }

    #[tokio::test]
    async fn nothing_is_said_before_what_was_heard_is_durable() {
        let ((barrier, _), line) = (barrier(), Arc::<Line>::default());
        let held = Held::new(Arc::clone(&line) as _, Arc::clone(&barrier));
        held.send(Bytes::from_static(b"hello")).await.unwrap();
        barrier.heard();
        barrier.heard();
        let mut ack = held.send(Bytes::from_static(b"ack"));
        assert!(futures_util::poll!(ack.as_mut()).is_pending());
        barrier.written(1);
        assert!(futures_util::poll!(ack.as_mut()).is_pending(), "one of two is not durable");
        // What is heard later does not hold it up.
        barrier.heard();
        barrier.written(1);
        ack.await.unwrap();
        assert_eq!(*line.0.lock().unwrap(), ["hello", "ack"]);
    }

    #[tokio::test]
    async fn a_connection_that_told_more_than_was_remembered_says_nothing_more_and_the_next_one_does() {
        let ((barrier, _), line) = (barrier(), Arc::<Line>::default());
        let held = Held::new(Arc::clone(&line) as _, Arc::clone(&barrier));
        barrier.heard();
        let mut ack = held.send(Bytes::from_static(b"ack"));
        assert!(futures_util::poll!(ack.as_mut()).is_pending());
        barrier.heard();
        barrier.lost();
        assert!(ack.await.is_err());
        assert_eq!(barrier.broken(), Some(1));
        let message = [&[0, 1, 44][..], &[7; 300]].concat();
        for frame in [Bytes::from_static(b"ping"), Bytes::from(message)] {
            assert!(held.send(frame).await.is_err());
        }
        let next = Held::new(Arc::clone(&line) as _, Arc::clone(&barrier));
        assert_eq!(barrier.broken(), None);
        // The next one waits for what was remembered all the same.
        let mut hello = next.send(Bytes::from_static(b"hello"));
        assert!(futures_util::poll!(hello.as_mut()).is_pending());
        barrier.written(1);
        hello.await.unwrap();
        assert_eq!(*line.0.lock().unwrap(), ["hello"]);
    }
}
