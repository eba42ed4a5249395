//! A host in memory, in which a plugin is tried: the rooms of a real one, with a clock that is stepped, numbers that follow from a
//! seed, and no network at all.
//!
//! No worker runs: whoever rehearses says when responders are served. Files of requests lie in a folder that the caller removes.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use switchboard_core::clock::{ManualClock, Timestamp};
use switchboard_core::entropy::SeededEntropy;
use switchboard_core::flow::intake::Intake;
use switchboard_core::flow::responder_worker::ResponderWorker;
use switchboard_core::records::account::Tenant;
use switchboard_core::records::id::{SessionId, TenantId};
use switchboard_core::records::session::{Session, SessionState};
use switchboard_core::rules::egress::AllowList;
use switchboard_core::storage::{MASTER_KEY_BYTES, MasterKey, Storage};
use switchboard_runtime::verbs::{FetchVerbs, Verbs};
use switchboard_runtime::{ClassSettings, Compiler, Runtime, RuntimeSettings};
use tokio::sync::watch;

use super::{Basics, MediaSetup, StartError};
use crate::accounts::Accounts;
use crate::blobs::Incoming;
use crate::egress::{GuardSettings, GuardedClient};
use crate::guards::PluginGuards;
use crate::http::{FilePlaces, FrontDoor, HttpSettings, Limits, OnceRuns, OwnHosts, RequestIds, Streams, UploadRoom};
use crate::media::{Downloads, Fetch, FetchError, Fetched, MediaSettings};
use crate::metrics::Metrics;
use crate::plugins::Plugins;
use crate::secrets::AdminKey;
use crate::webhook::Webhooks;
use crate::whatsapp::{SessionSettings, WhatsAppNetwork};

/// What every rehearsal draws its numbers from.
const SEED: u64 = 1;
/// Calls at once: a router may be asked while a responder runs.
const PLACES: u32 = 2;

/// How a rehearsal is set up.
pub(crate) struct RehearsalSettings {
    /// When it begins.
    pub(crate) now: Timestamp,
    /// Where files of requests and compiled code lie; the caller's to remove.
    pub(crate) folder: PathBuf,
    /// The binary that looks at media.
    pub(crate) program: PathBuf,
    /// Who compiles.
    pub(crate) compiler: Compiler,
    /// Who answers what plugins ask over HTTP.
    pub(crate) fetches: Arc<dyn FetchVerbs>,
}

/// A host in memory.
pub(crate) struct Rehearsal {
    pub(crate) storage: Storage,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) accounts: Accounts,
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) intake: Intake,
    pub(crate) guards: Arc<PluginGuards>,
    pub(crate) webhooks: Webhooks,
    pub(crate) responders: ResponderWorker,
    pub(crate) door: Arc<FrontDoor>,
    /// Whoever listens for it is told that the host serves, for as long as this is there.
    _ready: watch::Sender<bool>,
}

impl Rehearsal {
    /// A host with no tenant and no plugin.
    ///
    /// # Errors
    /// When the folder cannot be used or the engine cannot be set up.
    pub(crate) fn open(settings: RehearsalSettings) -> Result<Self, StartError> {
        Self::over(Storage::in_memory(master_key()), settings)
    }

    /// The same over a storage that was opened with [`master_key`].
    pub(super) fn over(storage: Storage, settings: RehearsalSettings) -> Result<Self, StartError> {
        let RehearsalSettings { now, folder, program, compiler, fetches } = settings;
        let master_key = master_key();
        let clock = Arc::new(ManualClock::at(now));
        let basics = Basics::new(&storage, Arc::clone(&clock) as _, Arc::new(SeededEntropy::new(SEED)));
        let metrics = Arc::<Metrics>::default();
        let accounts = basics.accounts(&master_key);
        let media = MediaSetup { program: program.clone(), ffmpeg: None, settings: MediaSettings::default() };
        let media = basics.media_room(&folder, &master_key, &media, NoFetch)?;
        let intake = basics.intake(&media);
        let sessions = basics.sessions(WhatsAppNetwork::none(), SessionSettings::default(), &metrics, &media, None);
        let downloads = Arc::new(Downloads::new(Arc::clone(&media), Arc::clone(&sessions)));
        let verbs = basics.verbs(&accounts, &intake, &sessions, &media, &downloads, fetches);
        let runtime = Runtime::new(runtime_settings(folder, compiler), Arc::clone(&verbs) as Arc<dyn Verbs>)?;
        let plugins = basics.plugins(runtime, &metrics, &master_key);
        plugins.begin_empty();
        let page = basics.metrics_page(metrics, &sessions);
        // Nothing is ever posted: what endpoints would get is shaped and looked at.
        let guarded = GuardedClient::new(GuardSettings::new(AllowList::default(), Vec::new()))?;
        let (webhooks, _) = basics.webhooks(&guarded, &plugins, &verbs);
        let (ready, ready_seen) = watch::channel(true);
        let door = Arc::new(FrontDoor {
            accounts: accounts.clone(),
            storage: storage.clone(),
            plugins: Arc::clone(&plugins),
            webhooks: webhooks.clone(),
            // Nobody asks for what is the operator's.
            admin_key: AdminKey::new(&master_key.to_hex()),
            limits: Limits::new(HttpSettings::default()),
            sim: None,
            media,
            downloads,
            own_hosts: OwnHosts::default(),
            verbs,
            wakes: Arc::clone(&basics.wakes),
            once_runs: OnceRuns::default(),
            file_places: FilePlaces::default(),
            upload_room: UploadRoom::default(),
            streams: Streams::default(),
            clock: Arc::clone(&basics.clock),
            request_ids: RequestIds::new(Arc::clone(&basics.entropy)),
            ready: ready_seen,
            metrics: page,
        });
        let responders = basics.responder_worker(intake.clone(), &plugins);
        let guards = Arc::clone(&basics.guards);
        Ok(Self { storage, clock, accounts, plugins, intake, guards, webhooks, responders, door, _ready: ready })
    }
}

/// The account of a rehearsal.
pub(crate) fn account(id: TenantId, now: Timestamp) -> Tenant {
    Tenant {
        id,
        name: "Test".to_owned(),
        active: true,
        plan: "unlimited".to_owned(),
        limits: Default::default(),
        created_at: now,
        apis_off: Default::default(),
        hosts: Default::default(),
    }
}

/// A session of it that is connected, with this number, digits.
pub(crate) fn connected(tenant: TenantId, id: SessionId, phone_number: String, now: Timestamp) -> Session {
    Session {
        id,
        tenant,
        name: "Test".to_owned(),
        jid: Some(format!("{phone_number}@s.whatsapp.net")),
        phone_number,
        state: SessionState::Connected,
        reason: None,
        retry_at: None,
        lid: None,
        settings: Default::default(),
        created_at: now,
        updated_at: now,
        last_active_at: Some(now),
        test: false,
    }
}

/// What every rehearsal is sealed with: nothing of it lasts.
pub(super) fn master_key() -> MasterKey {
    MasterKey::new([0; MASTER_KEY_BYTES])
}

fn runtime_settings(folder: PathBuf, compiler: Compiler) -> RuntimeSettings {
    RuntimeSettings {
        small: ClassSettings { places: PLACES, ..ClassSettings::small() },
        large: ClassSettings { places: PLACES, ..ClassSettings::large() },
        compiler,
        // One rehearsal follows the other, and the component is the same.
        cache_folder: Some(folder.join("compiled")),
        cache_key: [0; 32],
        remembered_max: 0,
    }
}

/// Fetches nothing: a message has its file by a handle, or not at all.
struct NoFetch;

#[async_trait]
impl Fetch for NoFetch {
    fn check(&self, _: &str) -> Result<(), String> {
        Ok(())
    }

    async fn fetch(&self, url: &str, _: u64, _: &mut Incoming) -> Result<Fetched, FetchError> {
        Err(FetchError::Unreachable(format!("there is no network here: {url} is not fetched")))
    }
}
