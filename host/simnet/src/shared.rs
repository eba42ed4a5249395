//! The network behind its lock, together with everything a change of it must reach: the state file, the journal,
//! the connections and those who wait.
//!
//! Invariant: what a change leads to is sent only after the change is written down, and in the order of the changes.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::blobs::{BlobError, Blobs};
use crate::certificate::ServerKeys;
use crate::clock;
use crate::journal::{Journal, JournalEntry, JournalError};
use crate::line::Line;
use crate::media::MediaHosts;
use crate::network::{Effect, LinkId, Network, Outbox};
use crate::node_codec;
use crate::state_log::{StateLog, StateLogError};

/// Why a change could not be written down.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    #[error(transparent)]
    State(#[from] StateLogError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Blobs(#[from] BlobError),
}

/// The connection's end. When it is dropped, however that comes about, the network forgets the connection.
pub(crate) struct LinkEnd {
    pub(crate) link: LinkId,
    pub(crate) line: Arc<Line>,
    shared: Arc<Shared>,
}

impl Drop for LinkEnd {
    fn drop(&mut self) {
        self.shared.close_link(self.link);
    }
}

struct Inner {
    network: Network,
    state_log: Option<StateLog>,
    journal: Journal,
    lines: HashMap<LinkId, Arc<Line>>,
}

/// Shared by all connections and the control API.
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    /// The files that media hosts serve.
    pub(crate) blobs: Arc<Blobs>,
    pub(crate) media: MediaHosts,
    pub(crate) keys: Arc<ServerKeys>,
    /// Rings for everybody who waits for a message or the end of a pairing.
    pub(crate) changed: Notify,
    /// Handshakes that clients began and did not finish: what a client does that trusts another root.
    pub(crate) handshakes_broken: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        mut network: Network,
        state_log: Option<StateLog>,
        journal: Journal,
        blobs: Blobs,
        keys: ServerKeys,
        media: MediaHosts,
    ) -> Self {
        if state_log.is_none() {
            network.forget_everything();
        }
        Self {
            inner: Mutex::new(Inner { network, state_log, journal, lines: HashMap::new() }),
            blobs: Arc::new(blobs),
            media,
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
        // Before the records that speak of them.
        outbox.blobs.iter().try_for_each(|blob| self.blobs.put(blob))?;
        inner.write(&outbox)?;
        for entry in outbox.journal {
            inner.journal.append(entry)?;
        }
        for effect in outbox.effects {
            match effect {
                Effect::Changed => self.changed.notify_waiters(),
                Effect::Reupload => self.media.reuploads.notify_one(),
                effect => inner.apply(effect),
            }
        }
        Ok(value)
    }

    /// Lets what is due by now happen.
    pub(crate) fn run_due(&self) -> Result<(), ChangeError> {
        if self.look(|network| network.has_due(clock::now_ms())) {
            self.change(Network::run_due)?;
        }
        Ok(())
    }

    /// Lets go of the state file, so that another network may open its folder.
    pub(crate) fn close_state_log(&self) {
        self.lock().state_log = None;
    }

    /// Looks at the network.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Network) -> T) -> T {
        look(&self.lock().network)
    }

    /// Connects a new client to the network.
    pub(crate) fn open_link(self: &Arc<Self>) -> LinkEnd {
        let line = Arc::<Line>::default();
        let mut inner = self.lock();
        let link = inner.network.open_link();
        inner.lines.insert(link, Arc::clone(&line));
        LinkEnd { link, line, shared: Arc::clone(self) }
    }

    /// Notes where the network listens.
    pub(crate) fn listens_at(&self, address: String) {
        self.lock().network.listens_at(address);
    }

    /// Sets how long typing lasts; what is under way ends when it was to end.
    pub(crate) fn set_typing_ttl(&self, ttl_ms: u64) {
        self.lock().network.set_typing_ttl(ttl_ms);
    }

    /// Notes where a client has reached the network; nothing of it is written down.
    pub(crate) fn reached_at(&self, link: LinkId, authority: &str) {
        self.lock().network.reached_at(link, authority);
    }

    /// Forgets a connection that has ended.
    fn close_link(&self, link: LinkId) {
        self.lock().lines.remove(&link);
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
        let link = match &effect {
            Effect::Changed | Effect::Reupload => return,
            Effect::Send { link, .. }
            | Effect::Wake(link)
            | Effect::Hold(link)
            | Effect::Release(link)
            | Effect::Cut(link)
            | Effect::Close(link) => *link,
        };
        let Some(line) = self.lines.get(&link) else { return };
        match effect {
            Effect::Send { node, .. } => match node_codec::encode(&node) {
                Ok(stanza) => {
                    if !line.push(stanza) {
                        tracing::warn!(link, "a client does not read its answers and is disconnected");
                        line.cut();
                    }
                }
                Err(error) => tracing::warn!(link, %error, "a stanza cannot be encoded and is dropped"),
            },
            Effect::Wake(_) => line.ring(),
            Effect::Hold(_) => line.hold(true),
            Effect::Release(_) => line.hold(false),
            Effect::Cut(_) => line.cut(),
            Effect::Close(_) => line.close(),
            Effect::Changed | Effect::Reupload => {}
        }
    }
}
