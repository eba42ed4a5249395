//! A host and a simulated network in this process, in a folder that goes away with them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use switchboard::app::{Host, HostSettings, MediaSetup};
use switchboard::config::{PluginConfig, RetentionConfig};
use switchboard::egress::Egress;
use switchboard::http::{HttpSettings, LocalClient, SimControl, SimControlAnswer};
use switchboard::media::MediaSettings;
use switchboard::secrets::AdminKey;
use switchboard::whatsapp::{SessionSettings, WhatsAppNetwork};
use switchboard_core::clock::{Clock, SystemClock};
use switchboard_core::rules::egress::AllowList;
use switchboard_core::rules::liveness::LivenessSettings;
use switchboard_core::storage::MasterKey;
use switchboard_runtime::Compiler;
use switchboard_simnet::{CONTROL_BODY_BYTES_MAX, SimConfig, SimNet};
use tempfile::TempDir;

use crate::account::{Account, received};
use crate::patience::{PATIENCE, until};

/// The operator's key of every stage.
pub const ADMIN_KEY: &str = "adm_only-for-tests-0123456789";
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A host on its network.
pub struct Stage {
    /// The host.
    pub host: Host,
    /// The network.
    pub sim: SimNet,
    folder: TempDir,
    set_up: SetUp,
}

/// What hosts of tests differ in.
#[derive(Clone)]
struct SetUp {
    sessions: SessionSettings,
    http: HttpSettings,
    clock: Arc<dyn Clock>,
}

impl Default for SetUp {
    fn default() -> Self {
        Self { sessions: SessionSettings::default(), http: HttpSettings::default(), clock: Arc::new(SystemClock) }
    }
}

/// Doubts a connection after a second and gives it up after another.
pub fn impatient() -> SessionSettings {
    let second = Duration::from_secs(1);
    SessionSettings { liveness: LivenessSettings { silence: second, probe_wait: second }, ..SessionSettings::default() }
}

impl Stage {
    /// Starts both on empty folders. Wrong credentials are not counted.
    pub async fn start() -> Self {
        Self::start_on(SetUp::default()).await
    }

    /// The same, with a host that keeps its connections in another way.
    pub async fn start_with(sessions: SessionSettings) -> Self {
        Self::start_on(SetUp { sessions, ..SetUp::default() }).await
    }

    /// The same, with a front door that is set up like this.
    pub async fn start_behind(http: HttpSettings) -> Self {
        Self::start_on(SetUp { http, ..SetUp::default() }).await
    }

    /// The same, with a host that goes by this clock.
    pub async fn start_by(clock: Arc<dyn Clock>, http: HttpSettings) -> Self {
        Self::start_on(SetUp { clock, http, ..SetUp::default() }).await
    }

    async fn start_on(set_up: SetUp) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sim = start_sim(folder.path()).await;
        let host = start_host(folder.path(), &sim, set_up.clone()).await;
        Self { host, sim, folder, set_up }
    }

    /// Stops the host in order and starts it anew on the same folder; the network goes on.
    pub async fn restart(self) -> Self {
        let Self { host, sim, folder, set_up } = self;
        host.shut_down().await;
        let host = start_host(folder.path(), &sim, set_up.clone()).await;
        Self { host, sim, folder, set_up }
    }

    /// Stops both.
    pub async fn stop(self) {
        self.host.shut_down().await;
        self.sim.shutdown().await;
    }

    /// Speaks to the host.
    pub fn http(&self) -> LocalClient {
        LocalClient::new(self.host.address())
    }

    /// Speaks to the network's control API.
    pub fn control(&self) -> LocalClient {
        LocalClient::new(self.sim.local_addr())
    }

    /// A tenant with its keys.
    pub async fn account(&self, name: &str) -> Account {
        Account::create(self.http(), ADMIN_KEY, name).await
    }

    /// A request to the network's control API that must be carried out. `path` is what follows `/switchboard/v1/sim/`.
    pub async fn sim(&self, method: &str, path: &str, body: Value) -> Value {
        let path = format!("/switchboard/v1/sim/{path}");
        let answer = self.control().json(method, &path, Some(ADMIN_KEY), Some(&body)).await.unwrap();
        assert!((200..300).contains(&answer.status), "{method} {path} {body}: {answer:?}");
        answer.json()
    }

    /// Lets a phone's owner send something to `to`; its id.
    pub async fn phone_sends(&self, number: &str, to: &str, mut content: Value) -> String {
        content["to"] = json!(to);
        let sent = self.sim("POST", &format!("phones/{number}/messages"), content).await;
        sent["id"].as_str().unwrap().to_owned()
    }

    /// Waits until a phone shows a message that is wanted.
    pub async fn phone_shows(&self, number: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut shown = Vec::new();
        let found = until(PATIENCE, async || {
            shown = received(self.control(), ADMIN_KEY, number, 0, 0).await;
            shown.iter().any(&wanted)
        })
        .await;
        assert!(found, "+{number} shows only {shown:#?}");
        shown.into_iter().find(wanted).unwrap()
    }

    /// The folder of the host's data.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

/// The network's control API behind the host's own front door, as `switchboard demo` has it.
struct Control(SimNet);

#[async_trait]
impl SimControl for Control {
    fn body_bytes_max(&self) -> usize {
        CONTROL_BODY_BYTES_MAX
    }

    async fn control(&self, method: &str, path_and_query: &str, body: &[u8]) -> SimControlAnswer {
        let answer = self.0.control(method, path_and_query, body).await;
        SimControlAnswer { status: answer.status, content_type: answer.content_type.to_owned(), body: answer.body }
    }
}

async fn start_sim(folder: &Path) -> SimNet {
    let config = SimConfig {
        data_dir: Some(folder.join("sim")),
        listen: LOOPBACK,
        tls_listen: None,
        admin_key: ADMIN_KEY.to_owned(),
    };
    SimNet::start(config).await.unwrap()
}

async fn start_host(folder: &Path, sim: &SimNet, set_up: SetUp) -> Host {
    let data_dir = folder.join("data");
    let compiled = data_dir.join("compiled");
    std::fs::create_dir_all(&compiled).unwrap();
    // Every host of these tests has the same master key: what one has compiled the next one takes.
    let shared = SHARED_COMPILED.get_or_init(shared_compiled);
    copy_newer(shared, &compiled);
    let host = Host::start(HostSettings {
        listen: LOOPBACK,
        data_dir,
        master_key: MasterKey::new([42; 32]),
        admin_key: AdminKey::new(ADMIN_KEY),
        plugins: PluginConfig { places: 16, ..PluginConfig::default() },
        egress_allow: AllowList::parse(&["127.0.0.0/8"]).unwrap(),
        compiler: Compiler::InProcess,
        media: MediaSetup { program: own_binary(), ffmpeg: None, settings: MediaSettings::default() },
        network: WhatsAppNetwork::simulated(sim.ws_url(), Egress::simulated(&sim.ws_url()).unwrap()),
        http: set_up.http,
        sessions: set_up.sessions,
        metrics_listen: Some(LOOPBACK),
        stop_wait: Duration::from_secs(20),
        sim: Some(Arc::new(Control(sim.clone()))),
        retention: RetentionConfig::default().rule(),
        qr_notices: None,
        clock: set_up.clock,
    })
    .await
    .unwrap();
    copy_newer(&compiled, shared);
    host
}

/// What hosts of tests have compiled.
static SHARED_COMPILED: OnceLock<PathBuf> = OnceLock::new();
/// Files there; with more of them it begins anew.
const COMPILED_FILES_MAX: usize = 100;

/// A folder beside the host's own binary, which goes away with cargo's target directory.
fn shared_compiled() -> PathBuf {
    let folder = own_binary().with_file_name("compiled-by-tests");
    std::fs::create_dir_all(&folder).unwrap();
    if std::fs::read_dir(&folder).unwrap().count() > COMPILED_FILES_MAX {
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
    }
    folder
}

/// Copies every file that is not in `to` yet, or is older there, each as a whole or not at all.
fn copy_newer(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        // What begins with a dot is still being written.
        let is_whole = !entry.file_name().to_string_lossy().starts_with('.');
        // Another process may have begun the shared folder anew.
        let Ok(found) = entry.metadata() else { continue };
        let made = found.modified().unwrap();
        // What a host did not take from there, it has compiled again.
        let has = std::fs::metadata(&target).is_ok_and(|there| there.modified().unwrap() >= made);
        if is_whole && !has && found.is_file() {
            let part = tempfile::NamedTempFile::new_in(to).unwrap();
            if std::fs::copy(entry.path(), part.path()).is_ok() {
                part.as_file().set_modified(made).unwrap();
                part.persist(target).unwrap();
            }
        }
    }
}

/// The host as a process of its own, which cargo builds beside the tests: it looks at media.
fn own_binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().find(|folder| folder.join("host-under-test").exists());
    profile.expect("cargo builds host-under-test for integration tests").join("host-under-test")
}
