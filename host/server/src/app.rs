//! The wiring of a host: the only place where everything meets.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use switchboard_core::clock::{Clock, SystemClock};
use switchboard_core::entropy::{Entropy, SystemEntropy};
use switchboard_core::flow::intake::Intake;
use switchboard_core::flow::responder_worker::ResponderWorker;
use switchboard_core::flow::schedule_worker::ScheduleWorker;
use switchboard_core::flow::wakes::Wakes;
use switchboard_core::records::id::SessionId;
use switchboard_core::storage::{MasterKey, Storage, StorageError};
use switchboard_runtime::verbs::Verbs;
use switchboard_runtime::{CallLimits, Compiler, Runtime, RuntimeError, RuntimeSettings};

use crate::accounts::Accounts;
use crate::http::{FrontDoor, Listener, ListenerError, SimControl};
use crate::plugins::{InstallError, Plugins};
use crate::secrets::AdminKey;
use crate::verbs::HostVerbs;
use crate::whatsapp::{SessionDeps, SessionSettings, Sessions, WhatsAppNetwork};

/// The storage file in the data directory.
pub const STORAGE_FILE: &str = "switchboard.redb";

/// How a host is set up.
pub struct HostSettings {
    /// Where HTTP is served; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where everything is kept; it must exist.
    pub data_dir: PathBuf,
    /// The key that opens it.
    pub master_key: MasterKey,
    /// The operator's key.
    pub admin_key: AdminKey,
    /// Plugin calls that run at once.
    pub places: u32,
    /// Who compiles plugins.
    pub compiler: Compiler,
    /// Where sessions connect to.
    pub network: WhatsAppNetwork,
    /// How sessions behave.
    pub sessions: SessionSettings,
    /// The control API of the simulated network, when it runs in this process.
    pub sim: Option<Arc<dyn SimControl>>,
    /// Who wants to see QR codes as they come.
    pub qr_notices: Option<mpsc::Sender<(SessionId, String)>>,
}

/// Why a host did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Storage does not open.
    #[error("storage: {0}")]
    Storage(#[from] StorageError),
    /// The address cannot be had.
    #[error(transparent)]
    Listener(#[from] ListenerError),
    /// The plugin runtime does not start.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A plugin that the host cannot do without is refused.
    #[error("a carried plugin: {0}")]
    Plugin(#[from] InstallError),
}

/// A host that runs.
pub struct Host {
    address: SocketAddr,
    storage: Storage,
    plugins: Arc<Plugins>,
    sessions: Arc<Sessions>,
    ready: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    http: JoinHandle<()>,
    /// Work that may end at any moment: what was not settled is done again with the next start.
    workers: Vec<JoinHandle<()>>,
}

impl Host {
    /// Opens storage, activates plugins, resumes sessions and serves.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(settings: HostSettings) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let wakes = Arc::<Wakes>::default();
        let cache_key = settings.master_key.derive("switchboard compiled plugins v1");
        let storage = Storage::open(&settings.data_dir.join(STORAGE_FILE), settings.master_key).await?;
        let listener = Listener::bind(settings.listen).await?;
        let address = listener.address();

        let accounts = Accounts::new(storage.clone(), Arc::clone(&clock), Arc::clone(&entropy));
        let intake = Intake::new(storage.clone(), Arc::clone(&clock), Arc::clone(&entropy), Arc::clone(&wakes));
        let sessions = Arc::new(Sessions::new(SessionDeps {
            storage: storage.clone(),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
            wakes: Arc::clone(&wakes),
            network: settings.network,
            settings: settings.sessions,
            qr_notices: settings.qr_notices,
        }));
        let verbs: Arc<dyn Verbs> = Arc::new(HostVerbs {
            storage: storage.clone(),
            accounts: accounts.clone(),
            intake: intake.clone(),
            sessions: Arc::clone(&sessions),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
        });
        let runtime = RuntimeSettings {
            places: settings.places,
            limits: CallLimits::default(),
            compiler: settings.compiler,
            cache_folder: Some(settings.data_dir.join("compiled")),
            cache_key,
        };
        let runtime = Runtime::new(runtime, verbs)?;
        let plugins = Arc::new(Plugins::new(runtime, storage.clone(), Arc::clone(&clock), Arc::clone(&wakes)));

        let (ready, ready_seen) = watch::channel(false);
        let (stop, stop_seen) = watch::channel(false);
        let front_door = Arc::new(FrontDoor {
            accounts,
            storage: storage.clone(),
            plugins: Arc::clone(&plugins),
            admin_key: settings.admin_key,
            sim: settings.sim,
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
            ready: ready_seen,
        });
        let http = tokio::spawn(listener.serve(front_door, stop_seen));
        plugins.restore().await?;
        let timers = ScheduleWorker { storage: storage.clone(), clock: Arc::clone(&clock), wakes: Arc::clone(&wakes) };
        let worker = ResponderWorker {
            storage: storage.clone(),
            clock,
            entropy,
            wakes,
            intake,
            responders: Arc::clone(&plugins) as _,
        };
        let workers = vec![tokio::spawn(async move { worker.run().await }), tokio::spawn(async move { timers.run().await })];
        let resumed = sessions.resume_all().await?;
        tracing::info!(%address, sessions = resumed, "switchboard serves");
        ready.send_replace(true);
        Ok(Self { address, storage, plugins, sessions, ready, stop, http, workers })
    }

    /// Where HTTP is served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its storage.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Its plugins.
    pub fn plugins(&self) -> &Arc<Plugins> {
        &self.plugins
    }

    /// Its sessions.
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// Takes no more requests, lets those under way end, and closes the sessions, which go on with the next start.
    pub async fn shut_down(self) {
        self.ready.send_replace(false);
        self.stop.send_replace(true);
        if let Err(error) = self.http.await {
            tracing::error!(%error, "the front door broke down");
        }
        self.workers.iter().for_each(JoinHandle::abort);
        self.sessions.shut_down().await;
        // The client library's own tasks may hold on to it for a moment longer.
        self.storage.close();
        tracing::info!("switchboard stopped");
    }
}
