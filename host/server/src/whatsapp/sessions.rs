//! Every session of this process: starts them, stops them, brings them back, and tells how they are.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinError;
use whatsapp_rust::Client;

use switchboard_core::clock::{Clock, Timestamp};
use switchboard_core::entropy::Entropy;
use switchboard_core::flow::wakes::Wakes;
use switchboard_core::records::id::{SessionId, TenantId};
use switchboard_core::records::session::{Session, SessionState};
use switchboard_core::rules::liveness::LivenessSettings;
use switchboard_core::storage::{SessionChange, Storage, StorageError};

use super::connects::{Connects, Door};
use super::desk::Desk;
use super::linking::{LINK_REQUESTS_MAX, LinkRequest, PairingCode, PairingCodeError};
use super::media::Uploader;
use super::network::WhatsAppNetwork;
use super::presence;
use super::session_task::{SessionTask, Stop};
use crate::metrics::Metrics;

/// Sessions that are stopped at once when the host stops.
const STOPS_AT_ONCE: usize = 64;

/// After a ban is over, sessions come back within this, each at a moment of its own.
const RETURN_SPREAD_MS: u64 = 5_000;

/// How sessions behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// How long the server may take to acknowledge a message before it is sent again.
    pub ack_wait: Duration,
    /// How much silence of a connection is trusted.
    pub liveness: LivenessSettings,
    /// Sessions that are on their way to a login at once.
    pub connects_at_once: u32,
    /// Sessions that begin to connect in one second.
    pub connects_per_second: u32,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            ack_wait: Duration::from_secs(20),
            liveness: LivenessSettings { silence: Duration::from_secs(30), probe_wait: Duration::from_secs(10) },
            connects_at_once: 32,
            connects_per_second: 20,
        }
    }
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
    /// Who hands files to WhatsApp; without one, messages with files are not sent.
    pub uploader: Option<Uploader>,
    /// How sessions behave.
    pub settings: SessionSettings,
    /// What changes are counted in.
    pub metrics: Arc<Metrics>,
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
    tenant: TenantId,
    live: watch::Receiver<Live>,
    stop: watch::Sender<Option<Stop>>,
    ended: watch::Receiver<bool>,
    links: mpsc::Sender<LinkRequest>,
    desk: Arc<Desk>,
}

/// The sessions of this host.
#[derive(Clone)]
pub struct Sessions {
    deps: SessionDeps,
    connects: Arc<Connects>,
    running: Arc<Mutex<HashMap<SessionId, Running>>>,
    /// Where those stand that do not run and were connected once.
    resting: Arc<Mutex<HashMap<SessionId, SessionState>>>,
    /// Once it is true, none comes back.
    closing: watch::Sender<bool>,
}

impl Sessions {
    /// No session yet.
    pub fn new(deps: SessionDeps) -> Self {
        let (clock, entropy) = (Arc::clone(&deps.clock), Arc::clone(&deps.entropy));
        let SessionSettings { connects_at_once, connects_per_second, .. } = deps.settings;
        let connects = Arc::new(Connects::new(clock, entropy, connects_at_once, connects_per_second));
        Self { deps, connects, running: Arc::default(), resting: Arc::default(), closing: watch::channel(false).0 }
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
                } else {
                    self.rest(&session);
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
        let (live, live_seen) = watch::channel(Live::new(session.state));
        let (stop, stop_seen) = watch::channel(None);
        let (end, ended) = watch::channel(false);
        let (links, link_requests) = mpsc::channel(LINK_REQUESTS_MAX);
        let tenant = session.tenant;
        let desk = Arc::<Desk>::default();
        running.insert(id, Running { tenant, live: live_seen, stop, ended, links, desk: Arc::clone(&desk) });
        drop(running);
        let door = Door::new(Arc::clone(&self.connects), self.deps.network.clone());
        let task = SessionTask::new(self.deps.clone(), session, live, door, desk);
        let sessions = self.clone();
        tokio::spawn(async move {
            // In a task of its own, so that one that breaks down can still be started anew.
            match tokio::spawn(task.run(stop_seen, link_requests)).await {
                Ok(session) => sessions.rest(&session),
                Err(error) => sessions.broke_down(tenant, id, &error).await,
            }
            if let Ok(mut running) = sessions.running.lock() {
                running.remove(&id);
            }
            end.send_replace(true);
        });
        None
    }

    /// Remembers where a session stands that does not run, and brings it back when that is not to last.
    fn rest(&self, session: &Session) {
        // That it stands there is an event.
        self.deps.wakes.events_have_more(session.tenant);
        if session.state != SessionState::Created
            && let Ok(mut resting) = self.resting.lock()
        {
            resting.insert(session.id, session.state);
        }
        if let Some(at) = session.retry_at
            && !*self.closing.borrow()
        {
            let (sessions, tenant, id) = (self.clone(), session.tenant, session.id);
            tokio::spawn(async move { sessions.come_back(tenant, id, at).await });
        }
    }

    async fn broke_down(&self, tenant: TenantId, id: SessionId, error: &JoinError) {
        tracing::error!(session = %id, %error, "a session broke down");
        let change = SessionChange::state(SessionState::Failed, Some("the session broke down: connect it again".to_owned()));
        match self.deps.storage.change_session(tenant, id, self.deps.clock.now(), &change).await {
            Ok(session) => session.iter().for_each(|session| self.rest(session)),
            Err(error) => tracing::error!(session = %id, %error, "a session's state could not be written down"),
        }
    }

    /// Starts a session at `at`, unless it stands elsewhere by then.
    async fn come_back(&self, tenant: TenantId, id: SessionId, at: Timestamp) {
        let spread = Duration::from_millis(self.deps.entropy.next_u64() % RETURN_SPREAD_MS);
        let mut closing = self.closing.subscribe();
        tokio::select! {
            _ = closing.wait_for(|closing| *closing) => return,
            () = self.deps.clock.sleep_until(at.plus(spread)) => {}
        }
        match self.deps.storage.session(tenant, id).await {
            Ok(Some(session)) if session.retry_at == Some(at) => {
                self.start(session);
            }
            Ok(_) | Err(StorageError::Closed) => {}
            Err(error) => tracing::error!(session = %id, %error, "a session could not be brought back"),
        }
    }

    /// How many sessions stand where, by the name of the state.
    pub fn states(&self) -> BTreeMap<&'static str, u64> {
        let mut states = BTreeMap::new();
        let Ok(running) = self.running.lock() else { return states };
        for there in running.values() {
            *states.entry(there.live.borrow().state.name()).or_default() += 1;
        }
        let Ok(resting) = self.resting.lock() else { return states };
        for (_, state) in resting.iter().filter(|(id, _)| !running.contains_key(id)) {
            *states.entry(state.name()).or_default() += 1;
        }
        states
    }

    /// Up to `limit` of the sessions that run.
    pub fn running(&self, limit: usize) -> Vec<(TenantId, SessionId)> {
        let running = self.running.lock();
        running
            .map(|running| running.iter().take(limit).map(|(id, there)| (there.tenant, *id)).collect())
            .unwrap_or_default()
    }

    /// How a session is now, to look at and to wait on; `None` when it does not run.
    pub fn live(&self, id: SessionId) -> Option<watch::Receiver<Live>> {
        self.running.lock().ok()?.get(&id).map(|running| running.live.clone())
    }

    /// The client of a session of this tenant while it is connected.
    pub(super) fn client(&self, tenant: TenantId, id: SessionId) -> Option<Arc<Client>> {
        Some(self.desk(tenant, id)?.0)
    }

    /// The same with the desk at which it is asked.
    pub(super) fn desk(&self, tenant: TenantId, id: SessionId) -> Option<(Arc<Client>, Arc<Desk>)> {
        let running = self.running.lock().ok()?;
        let there = running.get(&id).filter(|there| there.tenant == tenant)?;
        let connected = there.live.borrow().state == SessionState::Connected;
        Some((there.desk.client().filter(|_| connected)?, Arc::clone(&there.desk)))
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.deps.clock
    }

    /// The settings of a session changed: what is heeded while it is connected takes effect.
    pub fn settings_changed(&self, before: &Session, after: &Session) {
        if let Some(client) = self.client(after.tenant, after.id) {
            let (before, after) = (before.settings.clone(), after.settings.clone());
            tokio::spawn(async move { presence::watch(&client, &before, &after).await });
        }
    }

    /// A code that links the session when it is typed into the phone of this number, digits only.
    ///
    /// # Errors
    /// [`PairingCodeError`]; also when the session does not run.
    pub async fn pairing_code(&self, id: SessionId, phone_number: String) -> Result<PairingCode, PairingCodeError> {
        let links = self.running.lock().ok().and_then(|running| Some(running.get(&id)?.links.clone()));
        let links = links.ok_or(PairingCodeError::NotPairing)?;
        let (reply, answer) = oneshot::channel();
        if links.try_send(LinkRequest { phone_number, reply }).is_err() {
            return Err(PairingCodeError::Refused("others wait for a code of this session".to_owned()));
        }
        answer.await.unwrap_or(Err(PairingCodeError::NotPairing))
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
        let goes_on = session.state.resumes() || session.retry_at.is_some();
        if !self.stop(id, Stop::Disconnect).await && goes_on {
            let change = SessionChange::state(SessionState::Disconnected, None);
            let changed = self.deps.storage.change_session(tenant, id, self.deps.clock.now(), &change).await?;
            changed.iter().for_each(|session| self.rest(session));
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
        // Endpoints that were bound to it are gone as well.
        self.deps.wakes.webhooks_have_more(tenant);
        if let Ok(mut resting) = self.resting.lock() {
            resting.remove(&id);
        }
        Ok(deleted)
    }

    /// Stops every session; each goes on with the host's next start.
    pub async fn shut_down(&self) {
        self.closing.send_replace(true);
        let ids: Vec<SessionId> = self.running.lock().map(|running| running.keys().copied().collect()).unwrap_or_default();
        futures_util::stream::iter(ids)
            .for_each_concurrent(STOPS_AT_ONCE, |id| async move {
                self.stop(id, Stop::Shutdown).await;
            })
            .await;
    }
}
