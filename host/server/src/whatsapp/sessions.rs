//! Every session of this process: starts them, stops them, and tells how they are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{mpsc, watch};

use switchboard_core::clock::{Clock, Timestamp};
use switchboard_core::entropy::Entropy;
use switchboard_core::flow::wakes::Wakes;
use switchboard_core::records::id::{SessionId, TenantId};
use switchboard_core::records::session::{Session, SessionState};
use switchboard_core::storage::{SessionChange, Storage, StorageError};

use super::network::WhatsAppNetwork;
use super::session_task::{SessionTask, Stop};

/// Sessions that are stopped at once when the host stops.
const STOPS_AT_ONCE: usize = 64;

/// How sessions behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// How long the server may take to acknowledge a message before it is sent again.
    pub ack_wait: Duration,
}

/// What sessions need.
#[derive(Clone)]
pub struct SessionDeps {
    /// Where everything is kept.
    pub storage: Storage,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Whom to tell of what is new.
    pub wakes: Arc<Wakes>,
    /// Where to connect.
    pub network: WhatsAppNetwork,
    /// How sessions behave.
    pub settings: SessionSettings,
    /// Who wants to see QR codes as they come; what it has no room for is left out.
    pub qr_notices: Option<mpsc::Sender<(SessionId, String)>>,
}

/// A QR code that waits to be scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveQr {
    /// The text in it.
    pub text: String,
    /// When the next one takes its place.
    pub expires_at: Timestamp,
}

/// How a session is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Where it stands.
    pub state: SessionState,
    /// Why, when that needs words.
    pub reason: Option<String>,
    /// The QR code that waits.
    pub qr: Option<LiveQr>,
    /// It is over, and its task cleans up.
    pub(super) ending: bool,
}

struct Running {
    live: watch::Receiver<Live>,
    stop: watch::Sender<Option<Stop>>,
    ended: watch::Receiver<bool>,
}

/// The sessions that run in this process.
pub struct Sessions {
    deps: SessionDeps,
    running: Arc<Mutex<HashMap<SessionId, Running>>>,
}

impl Sessions {
    /// No session yet.
    pub fn new(deps: SessionDeps) -> Self {
        Self { deps, running: Arc::default() }
    }

    /// Starts every session that was on line, or on its way, when the host last stopped.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn resume_all(&self) -> Result<usize, StorageError> {
        let mut resumed = 0;
        for tenant in self.deps.storage.tenants().await? {
            for session in self.deps.storage.sessions(tenant.id).await? {
                if session.state.resumes() {
                    let again = self.deps.storage.requeue_unconfirmed(tenant.id, session.id).await?;
                    if again > 0 {
                        tracing::info!(session = %session.id, messages = again, "unconfirmed messages are sent again");
                    }
                    self.start(session);
                    resumed += 1;
                }
            }
        }
        Ok(resumed)
    }

    /// Starts a session unless it runs already.
    ///
    /// # Errors
    /// When storage fails. `false` when there is no such session.
    pub async fn connect(&self, tenant: TenantId, id: SessionId) -> Result<bool, StorageError> {
        loop {
            let Some(session) = self.deps.storage.session(tenant, id).await? else { return Ok(false) };
            let Some(mut ended) = self.start(session) else { return Ok(true) };
            // It is on its way out: wait for that, then start it anew. An error means that it is gone.
            let _ = ended.wait_for(|ended| *ended).await;
        }
    }

    /// Starts it, unless it runs (`None`) or is about to end (`Some`, to wait for).
    fn start(&self, session: Session) -> Option<watch::Receiver<bool>> {
        let id = session.id;
        let Ok(mut running) = self.running.lock() else { return None };
        if let Some(there) = running.get(&id) {
            let ending = there.stop.borrow().is_some() || there.live.borrow().ending;
            return ending.then(|| there.ended.clone());
        }
        let (live, live_seen) = watch::channel(Live { state: session.state, reason: None, qr: None, ending: false });
        let (stop, stop_seen) = watch::channel(None);
        let (end, ended) = watch::channel(false);
        running.insert(id, Running { live: live_seen, stop, ended });
        drop(running);
        let task = SessionTask::new(self.deps.clone(), session, live);
        let registry = Arc::clone(&self.running);
        tokio::spawn(async move {
            task.run(stop_seen).await;
            if let Ok(mut running) = registry.lock() {
                running.remove(&id);
            }
            end.send_replace(true);
        });
        None
    }

    /// How a session is now, to look at and to wait on; `None` when it does not run.
    pub fn live(&self, id: SessionId) -> Option<watch::Receiver<Live>> {
        self.running.lock().ok()?.get(&id).map(|running| running.live.clone())
    }

    /// How many sessions run.
    pub fn count(&self) -> usize {
        self.running.lock().map(|running| running.len()).unwrap_or_default()
    }

    async fn stop(&self, id: SessionId, why: Stop) -> bool {
        let there = self.running.lock().ok().and_then(|running| {
            let there = running.get(&id)?;
            there.stop.send_replace(Some(why));
            Some(there.ended.clone())
        });
        let Some(mut ended) = there else { return false };
        // An error means that the task is gone, which is what is waited for.
        let _ = ended.wait_for(|ended| *ended).await;
        true
    }

    /// Takes a session off line; it stays linked. `false` when there is no such session.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn disconnect(&self, tenant: TenantId, id: SessionId) -> Result<bool, StorageError> {
        let Some(session) = self.deps.storage.session(tenant, id).await? else { return Ok(false) };
        if !self.stop(id, Stop::Disconnect).await && session.state.resumes() {
            let change = SessionChange::state(SessionState::Disconnected, None);
            self.deps.storage.change_session(tenant, id, self.deps.clock.now(), &change).await?;
        }
        Ok(true)
    }

    /// Unlinks a session from its phone, as far as that can be reached, and removes it. `false` when there is no such session.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn delete(&self, tenant: TenantId, id: SessionId) -> Result<bool, StorageError> {
        if self.deps.storage.session(tenant, id).await?.is_none() {
            return Ok(false);
        }
        self.stop(id, Stop::Logout).await;
        let deleted = self.deps.storage.delete_session(tenant, id, self.deps.clock.now()).await?;
        self.deps.wakes.forget(id);
        Ok(deleted)
    }

    /// Stops every session; each goes on with the host's next start.
    pub async fn shut_down(&self) {
        let ids: Vec<SessionId> = self.running.lock().map(|running| running.keys().copied().collect()).unwrap_or_default();
        futures_util::stream::iter(ids)
            .for_each_concurrent(STOPS_AT_ONCE, |id| async move {
                self.stop(id, Stop::Shutdown).await;
            })
            .await;
    }
}
