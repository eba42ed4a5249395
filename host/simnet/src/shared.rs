//! The network behind its lock, together with everything a change of it must reach: the state file, the journal,
//! the connections and those who wait.
//!
//! Invariant: what a change leads to is sent only after the change is written down, and in the order of the changes.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::mpsc::{self, Receiver, Sender};
use wacore_binary::Node;

use crate::certificate::ServerKeys;
use crate::clock;
use crate::journal::{Journal, JournalEntry, JournalError};
use crate::network::{Effect, LinkId, Network, Outbox};
use crate::state_log::{StateLog, StateLogError};

/// Answers and short-lived stanzas that may wait for one connection. A client that reads nothing is cut off.
const OUTBOUND_MAX: usize = 1_024;

/// Why a change could not be written down.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    #[error(transparent)]
    State(#[from] StateLogError),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// The network's end of one connection. Dropping it closes the connection once it has sent what waits.
struct Wire {
    outbound: Sender<Node>,
    wake: Arc<Notify>,
}

/// The connection's end.
pub(crate) struct LinkEnd {
    pub(crate) link: LinkId,
    pub(crate) outbound: Receiver<Node>,
    /// Rings when the device's queue may have something new.
    pub(crate) wake: Arc<Notify>,
}

struct Inner {
    network: Network,
    state_log: Option<StateLog>,
    journal: Journal,
    wires: HashMap<LinkId, Wire>,
}

/// Shared by all connections and the control API.
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    pub(crate) keys: Arc<ServerKeys>,
    /// Rings for everybody who waits for a message or the end of a pairing.
    pub(crate) changed: Notify,
    /// Handshakes that clients began and did not finish: what a client does that trusts another root.
    pub(crate) handshakes_broken: AtomicU64,
}

impl Shared {
    pub(crate) fn new(network: Network, state_log: Option<StateLog>, journal: Journal, keys: ServerKeys) -> Self {
        Self {
            inner: Mutex::new(Inner { network, state_log, journal, wires: HashMap::new() }),
            keys: Arc::new(keys),
            changed: Notify::new(),
            handshakes_broken: AtomicU64::new(0),
        }
    }

    /// Changes the network, writes the change down, and only then sends what follows from it.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Network) -> T) -> Result<T, ChangeError> {
        let mut guard = self.lock();
        let inner = &mut *guard;
        inner.network.set_now(clock::now_ms());
        let value = change(&mut inner.network);
        let outbox = inner.network.take_outbox();
        inner.write(&outbox)?;
        for entry in outbox.journal {
            inner.journal.append(entry)?;
        }
        for effect in outbox.effects {
            if matches!(effect, Effect::Changed) {
                self.changed.notify_waiters();
            } else {
                inner.apply(effect);
            }
        }
        Ok(value)
    }

    /// Looks at the network.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Network) -> T) -> T {
        look(&self.lock().network)
    }

    /// Connects a new client to the network.
    pub(crate) fn open_link(&self) -> LinkEnd {
        let (sender, outbound) = mpsc::channel(OUTBOUND_MAX);
        let wake = Arc::new(Notify::new());
        let mut inner = self.lock();
        let link = inner.network.open_link();
        let wire = Wire { outbound: sender, wake: Arc::clone(&wake) };
        inner.wires.insert(link, wire);
        LinkEnd { link, outbound, wake }
    }

    /// Forgets a connection that has ended.
    pub(crate) fn close_link(&self, link: LinkId) {
        self.lock().wires.remove(&link);
        if let Err(error) = self.change(|network| network.close_link(link)) {
            tracing::error!(%error, "the end of a connection could not be written down");
        }
    }

    pub(crate) fn journal_after(&self, after: u64, limit: usize) -> Vec<JournalEntry> {
        self.lock().journal.after(after, limit)
    }

    /// A panic elsewhere leaves the state as consistent as an error would; better to go on.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn write(&mut self, outbox: &Outbox) -> Result<(), StateLogError> {
        match &mut self.state_log {
            Some(log) => log.append(&outbox.records),
            None => Ok(()),
        }
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Send { link, node } => {
                let full = self.wires.get(&link).is_some_and(|wire| wire.outbound.try_send(node).is_err());
                if full {
                    tracing::warn!(link, limit = OUTBOUND_MAX, "a client does not read its answers and is disconnected");
                    self.wires.remove(&link);
                }
            }
            Effect::Wake(link) => {
                if let Some(wire) = self.wires.get(&link) {
                    wire.wake.notify_one();
                }
            }
            Effect::Close(link) => {
                self.wires.remove(&link);
            }
            Effect::Changed => {}
        }
    }
}
