//! The wiring of a host: the only place where everything meets. `rehearsal` wires one that is tried in memory.

#[cfg(test)]
mod dropped_tests;
pub(crate) mod rehearsal;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle};

use switchboard_core::clock::Clock;
use switchboard_core::entropy::{Entropy, SystemEntropy};
use switchboard_core::flow::delivery_worker::DeliveryWorker;
use switchboard_core::flow::housekeeper::Housekeeper;
use switchboard_core::flow::intake::Intake;
use switchboard_core::flow::media_worker::MediaWorker;
use switchboard_core::flow::responder_worker::ResponderWorker;
use switchboard_core::flow::schedule_worker::ScheduleWorker;
use switchboard_core::flow::wakes::Wakes;
use switchboard_core::records::id::SessionId;
use switchboard_core::rules::egress::AllowList;
use switchboard_core::rules::pseudonym::PseudonymKey;
use switchboard_core::rules::retention::Retention;
use switchboard_core::storage::{MasterKey, OpenError, Storage, StorageError};
use switchboard_media::Inspector;
use switchboard_runtime::verbs::{FetchVerbs, Verbs};
use switchboard_runtime::{Compiler, Runtime, RuntimeError, RuntimeSettings};

use crate::accounts::Accounts;
use crate::blobs::BlobFiles;
use crate::config::PluginConfig;
use crate::egress::{Fetches, GuardError, GuardSettings, GuardedClient};
use crate::guards::PluginGuards;
use crate::http::{
    FilePlaces, FrontDoor, HttpSettings, Limits, Listener, ListenerError, MetricsDoor, OnceRuns, OwnHosts, RequestIds,
    SimControl, Streams, UploadRoom,
};
use crate::key_usage::KeyUsage;
use crate::links::{self, LinkKeys};
use crate::media::{Downloads, Fetch, LINK_KEY_PURPOSE, Links, MediaParts, MediaRoom, MediaSettings};
use crate::metrics::{Metrics, MetricsPage};
use crate::plugins::{InstallError, PSEUDONYM_KEY_PURPOSE, PluginParts, Plugins};
use crate::secrets::AdminKey;
use crate::verbs::HostVerbs;
use crate::webhook::Webhooks;
use crate::whatsapp::{SessionDeps, SessionSettings, Sessions, Uploader, WhatsAppNetwork};

/// The storage file in the data directory.
pub const STORAGE_FILE: &str = "switchboard.redb";
/// Stopping has two parts, requests and sessions, each of which may take as long as the other.
const STOP_PARTS: u32 = 2;
/// Components that stay ready when nobody uses them any more, so that a version is gone back to at once.
const REMEMBERED_MAX: usize = 64;

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
    /// What plugins may use.
    pub plugins: PluginConfig,
    /// What requests that customers cause may reach beside the public internet.
    pub egress_allow: AllowList,
    /// Who compiles plugins.
    pub compiler: Compiler,
    /// Who looks at media, and its limits.
    pub media: MediaSetup,
    /// Where sessions connect to.
    pub network: WhatsAppNetwork,
    /// How the front door treats those who call.
    pub http: HttpSettings,
    /// How sessions behave.
    pub sessions: SessionSettings,
    /// Where metrics are served without a key; the front door serves them to the operator in any case.
    pub metrics_listen: Option<SocketAddr>,
    /// The longest that stopping in order may take.
    pub stop_wait: Duration,
    /// The control API of the simulated network, when it runs in this process.
    pub sim: Option<Arc<dyn SimControl>>,
    /// How long and how much is kept.
    pub retention: Retention,
    /// Who wants to see QR codes as they come.
    pub qr_notices: Option<mpsc::Sender<(SessionId, String)>>,
    /// What every limit, wait and moment of the host goes by.
    pub clock: Arc<dyn Clock>,
}

/// Who looks at media, and its limits.
#[derive(Clone, Debug)]
pub struct MediaSetup {
    /// The binary that answers the argument `inspect-media`.
    pub program: PathBuf,
    /// The converter of voice notes, if there is one.
    pub ffmpeg: Option<PathBuf>,
    /// Limits of tenants that have none of their own.
    pub settings: MediaSettings,
}

/// Why a host did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Storage does not open.
    #[error("storage: {0}")]
    Open(#[from] OpenError),
    /// Storage does not answer.
    #[error("storage: {0}")]
    Storage(#[from] StorageError),
    /// The folder of media cannot be made or read.
    #[error("media: {0}")]
    Media(#[from] std::io::Error),
    /// The address cannot be had.
    #[error(transparent)]
    Listener(#[from] ListenerError),
    /// The plugin runtime does not start.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A plugin that the host cannot do without is refused.
    #[error("a carried plugin: {0}")]
    Plugin(#[from] InstallError),
    /// The client for webhooks and media cannot be made.
    #[error("egress: {0}")]
    Egress(#[from] GuardError),
}

/// A host that runs.
pub struct Host {
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    storage: Storage,
    plugins: Arc<Plugins>,
    sessions: Arc<Sessions>,
    guarded: GuardedClient,
    intake: Intake,
    media: Arc<MediaRoom>,
    ready: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    stop_wait: Duration,
    doors: Vec<JoinHandle<()>>,
    /// Work that may end at any moment: what was not settled is done again with the next start.
    workers: Vec<JoinHandle<()>>,
    /// How often keys were used: the rest is written down at the end.
    key_usage: Arc<KeyUsage>,
}

/// Serves metrics at an address of their own, if one is given.
async fn serve_metrics(
    listen: Option<SocketAddr>,
    page: Arc<MetricsPage>,
    stop: &watch::Receiver<bool>,
) -> Result<(Option<SocketAddr>, Vec<JoinHandle<()>>), StartError> {
    let Some(listen) = listen else { return Ok((None, Vec::new())) };
    let listener = Listener::bind(listen).await?;
    let address = listener.address();
    let http = tokio::spawn(listener.serve(Arc::new(MetricsDoor(page)), stop.clone()));
    Ok((Some(address), vec![http]))
}

impl Host {
    /// Opens storage, activates plugins, resumes sessions and serves.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(settings: HostSettings) -> Result<Self, StartError> {
        let cache = (settings.data_dir.join("compiled"), settings.master_key.derive("switchboard compiled plugins v1"));
        let storage = Storage::open(&settings.data_dir.join(STORAGE_FILE), settings.master_key.clone()).await?;
        let listener = Listener::bind(settings.listen).await?;
        let (address, metrics) = (listener.address(), Arc::<Metrics>::default());
        let guarded = GuardedClient::new(GuardSettings::new(settings.egress_allow.clone(), vec![address]))?;

        let basics = Basics::new(&storage, Arc::clone(&settings.clock), Arc::new(SystemEntropy));
        let accounts = basics.accounts(&settings.master_key);
        let media = basics.media_room(&settings.data_dir, &settings.master_key, &settings.media, guarded.clone())?;
        let (intake, key_usage) = (basics.intake(&media), Arc::clone(accounts.usage()));
        let sessions = basics.sessions(settings.network, settings.sessions, &metrics, &media, settings.qr_notices);
        let downloads = Arc::new(Downloads::new(Arc::clone(&media), Arc::clone(&sessions)));
        let verbs = basics.verbs(&accounts, &intake, &sessions, &media, &downloads, basics.fetches(&guarded));
        let runtime = open_runtime(&settings.plugins, settings.compiler, cache, Arc::clone(&verbs) as Arc<dyn Verbs>)?;
        let plugins = basics.plugins(runtime, &metrics, &settings.master_key);
        let page = basics.metrics_page(metrics, &sessions);

        let ((ready, ready_seen), (stop, stop_seen)) = (watch::channel(false), watch::channel(false));
        let (webhooks, deliverer) = basics.webhooks(&guarded, &plugins, &verbs);
        let front_door = Arc::new(FrontDoor {
            accounts,
            storage: storage.clone(),
            plugins: Arc::clone(&plugins),
            webhooks,
            admin_key: settings.admin_key,
            limits: Limits::new(settings.http),
            sim: settings.sim,
            media: Arc::clone(&media),
            downloads: Arc::clone(&downloads),
            own_hosts: OwnHosts::load(&storage).await?,
            verbs,
            wakes: Arc::clone(&basics.wakes),
            once_runs: OnceRuns::default(),
            file_places: FilePlaces::default(),
            upload_room: UploadRoom::default(),
            streams: Streams::default(),
            clock: Arc::clone(&basics.clock),
            request_ids: RequestIds::new(Arc::clone(&basics.entropy)),
            ready: ready_seen,
            metrics: Arc::clone(&page),
        });
        let (metrics_address, mut doors) = serve_metrics(settings.metrics_listen, page, &stop_seen).await?;
        doors.push(tokio::spawn(listener.serve(front_door, stop_seen)));
        plugins.restore().await?;
        let (keeper, fetcher) = (basics.keeper(settings.retention), basics.media_worker(&downloads));
        let count_keys = Arc::clone(&key_usage).run(storage.clone(), Arc::clone(&basics.clock));
        let remember_calls = Arc::clone(plugins.call_log()).run(storage.clone(), Arc::clone(&basics.clock));
        let mut workers = start_workers(basics, intake.clone(), &plugins, deliverer, keeper, Arc::clone(&media), fetcher);
        workers.extend([tokio::spawn(count_keys), tokio::spawn(remember_calls)]);
        let resumed = sessions.resume_all().await?;
        tracing::info!(%address, sessions = resumed, "switchboard serves");
        ready.send_replace(true);
        Ok(Self {
            address,
            metrics_address,
            storage,
            plugins,
            sessions,
            guarded,
            intake,
            media,
            ready,
            stop,
            stop_wait: settings.stop_wait,
            doors,
            workers,
            key_usage,
        })
    }

    /// Where HTTP is served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where metrics are served without a key, if anywhere.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
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

    /// Its HTTP to where customers say.
    pub fn guarded(&self) -> &GuardedClient {
        &self.guarded
    }

    /// Where wishes to send are judged.
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    /// Its media.
    pub fn media(&self) -> &Arc<MediaRoom> {
        &self.media
    }

    /// Takes no more requests, lets those under way end, and closes the sessions, which go on with the next start. What takes
    /// longer than the configured limit is cut off: nothing that was accepted is lost by it, as it would not be by a crash.
    pub async fn shut_down(self) {
        let part = self.stop_wait / STOP_PARTS;
        self.ready.send_replace(false);
        self.stop.send_replace(true);
        let cut: Vec<AbortHandle> = self.doors.iter().map(JoinHandle::abort_handle).collect();
        let drained = async {
            for door in self.doors {
                if let Err(error) = door.await {
                    tracing::error!(%error, "a front door broke down");
                }
            }
        };
        if tokio::time::timeout(part, drained).await.is_err() {
            tracing::warn!(seconds = part.as_secs(), "requests were still under way when the host stopped");
            cut.iter().for_each(AbortHandle::abort);
        }
        self.workers.iter().for_each(JoinHandle::abort);
        if tokio::time::timeout(part, self.sessions.shut_down()).await.is_err() {
            tracing::warn!(seconds = part.as_secs(), "sessions were still under way when the host stopped");
        }
        self.key_usage.flush(&self.storage).await;
        self.plugins.call_log().flush(&self.storage).await;
        // The client library's own tasks may hold on to it for a moment longer.
        self.storage.close();
        tracing::info!("switchboard stopped");
    }
}

fn open_runtime(
    plugins: &PluginConfig,
    compiler: Compiler,
    (cache_folder, cache_key): (PathBuf, [u8; 32]),
    verbs: Arc<dyn Verbs>,
) -> Result<Runtime, RuntimeError> {
    let (small, large) = plugins.classes();
    let (cache_folder, remembered_max) = (Some(cache_folder), REMEMBERED_MAX);
    let settings = RuntimeSettings { small, large, compiler, cache_folder, cache_key, remembered_max };
    Runtime::new(settings, verbs)
}

/// What every worker is made of.
struct Basics {
    storage: Storage,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    wakes: Arc<Wakes>,
    guards: Arc<PluginGuards>,
}

impl Basics {
    fn new(storage: &Storage, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        let guards = PluginGuards::new(Arc::clone(&clock));
        Self { storage: storage.clone(), clock, entropy, wakes: Arc::default(), guards }
    }

    fn accounts(&self, master_key: &MasterKey) -> Accounts {
        let links = LinkKeys::new(master_key.derive(links::KEY_PURPOSE));
        Accounts::new(self.storage.clone(), Arc::clone(&self.clock), Arc::clone(&self.entropy), links)
    }

    /// What keeps media and looks at it.
    fn media_room(
        &self,
        data_dir: &Path,
        master_key: &MasterKey,
        media: &MediaSetup,
        fetch: impl Fetch + 'static,
    ) -> Result<Arc<MediaRoom>, std::io::Error> {
        Ok(Arc::new(MediaRoom::new(MediaParts {
            files: BlobFiles::open(data_dir, self.storage.clone())?,
            storage: self.storage.clone(),
            inspector: Inspector::new(media.program.clone(), media.ffmpeg.clone()),
            fetch: Arc::new(fetch),
            links: Links::new(master_key.derive(LINK_KEY_PURPOSE)),
            settings: media.settings,
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
        })))
    }

    fn intake(&self, media: &Arc<MediaRoom>) -> Intake {
        let (clock, entropy, wakes) = (Arc::clone(&self.clock), Arc::clone(&self.entropy), Arc::clone(&self.wakes));
        let intake = Intake::new(self.storage.clone(), clock, entropy, wakes);
        intake.with_media(Arc::clone(media) as _).with_guards(self.guards.for_intake())
    }

    fn fetches(&self, guarded: &GuardedClient) -> Arc<dyn FetchVerbs> {
        Arc::new(Fetches::new(guarded, Arc::clone(&self.clock)))
    }

    fn verbs(
        &self,
        accounts: &Accounts,
        intake: &Intake,
        sessions: &Arc<Sessions>,
        media: &Arc<MediaRoom>,
        downloads: &Arc<Downloads>,
        fetches: Arc<dyn FetchVerbs>,
    ) -> Arc<HostVerbs> {
        Arc::new(HostVerbs {
            storage: self.storage.clone(),
            accounts: accounts.clone(),
            intake: intake.clone(),
            sessions: Arc::clone(sessions),
            media: Arc::clone(media),
            downloads: Arc::clone(downloads),
            guards: Arc::clone(&self.guards),
            fetches,
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            wakes: Arc::clone(&self.wakes),
            webhooks: OnceLock::new(),
        })
    }

    fn sessions(
        &self,
        network: WhatsAppNetwork,
        settings: SessionSettings,
        metrics: &Arc<Metrics>,
        media: &Arc<MediaRoom>,
        qr_notices: Option<mpsc::Sender<(SessionId, String)>>,
    ) -> Arc<Sessions> {
        Arc::new(Sessions::new(SessionDeps {
            storage: self.storage.clone(),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            wakes: Arc::clone(&self.wakes),
            network,
            settings,
            metrics: Arc::clone(metrics),
            uploader: Some(Uploader::new(Arc::clone(media), Arc::clone(&self.clock))),
            qr_notices,
        }))
    }

    fn metrics_page(&self, metrics: Arc<Metrics>, sessions: &Arc<Sessions>) -> Arc<MetricsPage> {
        Arc::new(MetricsPage::new(metrics, self.storage.clone(), Arc::clone(sessions), Arc::clone(&self.clock)))
    }

    fn responder_worker(&self, intake: Intake, plugins: &Arc<Plugins>) -> ResponderWorker {
        ResponderWorker {
            storage: self.storage.clone(),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            wakes: Arc::clone(&self.wakes),
            intake,
            responders: Arc::clone(plugins) as _,
        }
    }

    fn media_worker(&self, downloads: &Arc<Downloads>) -> MediaWorker {
        MediaWorker {
            storage: self.storage.clone(),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            wakes: Arc::clone(&self.wakes),
            fetcher: Arc::clone(downloads) as _,
        }
    }

    fn keeper(&self, retention: Retention) -> Housekeeper {
        Housekeeper { storage: self.storage.clone(), clock: Arc::clone(&self.clock), retention, began: self.clock.now() }
    }

    fn plugins(&self, runtime: Runtime, metrics: &Arc<Metrics>, master_key: &MasterKey) -> Arc<Plugins> {
        let plugins = Arc::new(Plugins::new(PluginParts {
            runtime,
            storage: self.storage.clone(),
            clock: Arc::clone(&self.clock),
            wakes: Arc::clone(&self.wakes),
            metrics: Arc::clone(metrics),
            names: PseudonymKey::new(master_key.derive(PSEUDONYM_KEY_PURPOSE)),
        }));
        self.guards.ask(&plugins);
        plugins
    }

    /// The endpoints, which the verbs are told of, and who delivers to them.
    fn webhooks(
        &self,
        guarded: &GuardedClient,
        plugins: &Arc<Plugins>,
        verbs: &HostVerbs,
    ) -> (Webhooks, Arc<DeliveryWorker>) {
        let webhooks = Webhooks {
            storage: self.storage.clone(),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            wakes: Arc::clone(&self.wakes),
            guarded: guarded.clone(),
            plugins: Arc::downgrade(plugins),
        };
        // Nobody has set them before.
        let _ = verbs.webhooks.set(webhooks.clone());
        let deliverer = webhooks.deliverer(plugins);
        (webhooks, deliverer)
    }
}

fn start_workers(
    basics: Basics,
    intake: Intake,
    plugins: &Arc<Plugins>,
    deliverer: Arc<DeliveryWorker>,
    keeper: Housekeeper,
    media: Arc<MediaRoom>,
    fetcher: MediaWorker,
) -> Vec<JoinHandle<()>> {
    let responders = basics.responder_worker(intake, plugins);
    let Basics { storage, clock, wakes, .. } = basics;
    let timers = ScheduleWorker { storage, clock, wakes };
    vec![
        tokio::spawn(async move { responders.run().await }),
        tokio::spawn(async move { timers.run().await }),
        tokio::spawn(deliverer.run()),
        tokio::spawn(async move { keeper.run().await }),
        tokio::spawn(async move { media.keep_house().await }),
        tokio::spawn(fetcher.run()),
        tokio::spawn(Arc::clone(plugins).keep_house()),
    ]
}
