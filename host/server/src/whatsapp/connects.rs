//! Keeps sessions from connecting all at once: each takes its turn in `core::rules::spread`, and only so many are on their way
//! at a time.
//!
//! A session that starts waits for its turn before it even has a client. One whose connection was lost comes back by the
//! client library's own backoff, which is the same for all that an outage struck: its transports are made here, so that it
//! takes a turn as well.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use whatsapp_rust::async_channel::Receiver;
use whatsapp_rust::transport::{Transport, TransportEvent, TransportFactory};
use whatsapp_rust::{anyhow, async_trait};

use switchboard_core::clock::Clock;
use switchboard_core::entropy::Entropy;
use switchboard_core::rules::spread::Spread;

use super::barrier::{Barrier, Held};
use super::network::WhatsAppNetwork;

/// The longest a connect keeps its place while it has not come to a login: others go on even if the server stalls.
const ON_THE_WAY_MAX: Duration = Duration::from_secs(10);
/// How long a reconnect waits for its slot; the client gives up a connect after 20 s, and comes back after its own backoff.
const RECONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// How long a session that starts waits for its slot.
const START_PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// The turns of every session of a host.
pub(super) struct Connects {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    spread: Mutex<Spread>,
    places: Arc<Semaphore>,
}

impl Connects {
    pub(super) fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>, at_once: u32, per_second: u32) -> Self {
        let places = usize::try_from(at_once.max(1)).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { clock, entropy, spread: Mutex::new(Spread::new(per_second)), places: Arc::new(Semaphore::new(places)) }
    }

    /// Waits for a turn; `None` when it would not come within `patience`.
    async fn turn(&self, patience: Duration) -> Option<OwnedSemaphorePermit> {
        let random = self.entropy.next_u64();
        let moment = self.spread.lock().ok()?.moment(self.clock.now(), patience, random)?;
        self.clock.sleep_until(moment).await;
        Arc::clone(&self.places).acquire_owned().await.ok()
    }
}

/// The door of one session: the only way out for its client.
pub(super) struct Door {
    connects: Arc<Connects>,
    network: WhatsAppNetwork,
    state: Mutex<DoorState>,
}

#[derive(Default)]
struct DoorState {
    /// A turn that waits to be used.
    ticket: Option<OwnedSemaphorePermit>,
    /// The place of a connect that is on its way; dropping it gives it back.
    on_the_way: Option<oneshot::Sender<()>>,
}

impl Door {
    pub(super) fn new(connects: Arc<Connects>, network: WhatsAppNetwork) -> Self {
        Self { connects, network, state: Mutex::default() }
    }

    /// Waits until the session may start; its first connect then waits no more.
    pub(super) async fn turn(&self) {
        let ticket = self.connects.turn(START_PATIENCE).await;
        if let Ok(mut state) = self.state.lock() {
            state.ticket = ticket;
        }
    }

    /// The client has come to where the server answers it, or to its end: another may go.
    pub(super) fn arrived(&self) {
        if let Ok(mut state) = self.state.lock() {
            state.on_the_way = None;
        }
    }
}

/// What the client library takes.
#[derive(Clone)]
pub(super) struct DoorFactory {
    pub(super) door: Arc<Door>,
    /// What every connection says passes through it.
    pub(super) barrier: Arc<Barrier>,
}

#[async_trait]
impl TransportFactory for DoorFactory {
    async fn create_transport(&self) -> Result<(Arc<dyn Transport>, Receiver<TransportEvent>), anyhow::Error> {
        let Self { door, barrier } = self;
        let ticket = door.state.lock().ok().and_then(|mut state| {
            state.on_the_way = None;
            state.ticket.take()
        });
        let place = match ticket {
            Some(place) => place,
            None => {
                let turn = door.connects.turn(RECONNECT_PATIENCE).await;
                turn.ok_or_else(|| anyhow::anyhow!("too many sessions connect just now"))?
            }
        };
        let (transport, heard) = door.network.dial().await?;
        let (on_the_way, arrived) = oneshot::channel();
        let clock = Arc::clone(&door.connects.clock);
        tokio::spawn(async move {
            tokio::select! {
                _ = arrived => {}
                () = clock.sleep_until(clock.now().plus(ON_THE_WAY_MAX)) => {}
            }
            drop(place);
        });
        if let Ok(mut state) = door.state.lock() {
            state.on_the_way = Some(on_the_way);
        }
        let heard = barrier.listen(heard);
        Ok((Arc::new(Held::new(transport, Arc::clone(barrier))), heard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard_core::clock::{ManualClock, Timestamp};
    use switchboard_core::entropy::SeededEntropy;

    fn connects(clock: &Arc<ManualClock>, at_once: u32, per_second: u32) -> Connects {
        Connects::new(Arc::clone(clock) as _, Arc::new(SeededEntropy::new(7)), at_once, per_second)
    }

    #[tokio::test]
    async fn no_more_than_the_configured_number_are_on_their_way_at_once() {
        let clock = Arc::new(ManualClock::at(Timestamp(1_000_000)));
        let connects = connects(&clock, 2, 1_000);
        let first = connects.turn(START_PATIENCE).await.unwrap();
        clock.advance(Duration::from_secs(1));
        let _second = connects.turn(START_PATIENCE).await.unwrap();
        clock.advance(Duration::from_secs(1));
        let third = connects.turn(START_PATIENCE);
        tokio::pin!(third);
        assert!(futures_util::poll!(third.as_mut()).is_pending(), "both places are taken");
        drop(first);
        assert!(futures_util::poll!(third).is_ready(), "one is free again");
    }

    #[tokio::test]
    async fn a_reconnect_that_would_wait_too_long_is_turned_away() {
        let clock = Arc::new(ManualClock::at(Timestamp(1_000_000)));
        let connects = connects(&clock, 100, 1);
        let mut waiting = Vec::new();
        for _ in 0..11 {
            let mut turn = Box::pin(connects.turn(RECONNECT_PATIENCE));
            let _ = futures_util::poll!(turn.as_mut());
            waiting.push(turn);
        }
        assert!(connects.turn(RECONNECT_PATIENCE).await.is_none(), "the slots of the next ten seconds are taken");
        clock.advance(Duration::from_secs(12));
        for turn in waiting {
            assert!(turn.await.is_some(), "who has a slot gets its turn");
        }
    }
}
