//! Holds back what a client says to WhatsApp until what it heard before is durable.
//!
//! The library acknowledges receipts, notifications and calls right after it has told of them, and offers no hook in between.
//! But it tells of them first, and an acknowledgement is a frame like any other: every frame waits at the barrier until
//! everything that was heard when it came is written down. What cannot even be remembered breaks the connection, whose
//! frames are then never sent: WhatsApp tells it again on the next one.

use std::sync::Arc;

use tokio::sync::watch;
use whatsapp_rust::bytes::Bytes;
use whatsapp_rust::transport::Transport;
use whatsapp_rust::{anyhow, async_trait};

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

/// The barrier of one session.
#[derive(Default)]
pub(super) struct Barrier(watch::Sender<State>);

/// Something that was heard on this connection could not be remembered.
#[derive(Debug, thiserror::Error)]
#[error("more was heard than could be remembered")]
pub(super) struct Broken;

impl Barrier {
    /// Something was heard that must be durable before WhatsApp is told that it arrived.
    pub(super) fn heard(&self) {
        // Whoever waits does so for what was heard before.
        self.0.send_if_modified(|state| {
            state.heard += 1;
            false
        });
    }

    /// `count` of what was heard are durable.
    pub(super) fn written(&self, count: u64) {
        if count > 0 {
            self.0.send_modify(|state| state.written += count);
        }
    }

    /// What was heard last is not remembered: this connection says nothing more.
    pub(super) fn lost(&self) {
        self.0.send_modify(|state| {
            state.written += 1;
            state.broken = state.connection;
        });
    }

    /// The newest connection, when it was broken.
    pub(super) fn broken(&self) -> Option<u64> {
        let state = *self.0.borrow();
        (state.broken > 0 && state.broken == state.connection).then_some(state.broken)
    }

    fn connects(&self) -> u64 {
        let mut number = 0;
        self.0.send_if_modified(|state| {
            state.connection += 1;
            number = state.connection;
            false
        });
        number
    }

    /// Waits until everything is durable that was heard by now.
    async fn pass(&self, connection: u64) -> Result<(), Broken> {
        let state = *self.0.borrow();
        let passed = |seen: &State| seen.broken >= connection || seen.written >= state.heard;
        let end = if passed(&state) {
            state
        } else {
            // It ends only with its sender, which is here.
            *self.0.subscribe().wait_for(passed).await.map_err(|_| Broken)?
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

#[async_trait]
impl Transport for Held {
    async fn send(&self, data: Bytes) -> Result<(), anyhow::Error> {
        self.barrier.pass(self.connection).await?;
        self.transport.send(data).await
    }

    async fn disconnect(&self) {
        self.transport.disconnect().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

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

    #[tokio::test]
    async fn nothing_is_said_before_what_was_heard_is_durable() {
        let (barrier, line) = (Arc::<Barrier>::default(), Arc::<Line>::default());
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
        let (barrier, line) = (Arc::<Barrier>::default(), Arc::<Line>::default());
        let held = Held::new(Arc::clone(&line) as _, Arc::clone(&barrier));
        barrier.heard();
        let mut ack = held.send(Bytes::from_static(b"ack"));
        assert!(futures_util::poll!(ack.as_mut()).is_pending());
        barrier.heard();
        barrier.lost();
        assert!(ack.await.is_err());
        assert_eq!(barrier.broken(), Some(1));
        assert!(held.send(Bytes::from_static(b"ping")).await.is_err());
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
