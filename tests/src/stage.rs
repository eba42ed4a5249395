//! A host and a simulated network in this process, in a folder that goes away with them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use switchboard::app::{Host, HostSettings};
use switchboard::config::SessionConfig;
use switchboard::egress::Egress;
use switchboard::http::{LocalClient, SimControl, SimControlAnswer};
use switchboard::secrets::AdminKey;
use switchboard::whatsapp::WhatsAppNetwork;
use switchboard_core::storage::MasterKey;
use switchboard_runtime::Compiler;
use switchboard_simnet::{CONTROL_BODY_BYTES_MAX, SimConfig, SimNet};
use tempfile::TempDir;

use crate::account::Account;

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
}

impl Stage {
    /// Starts both on empty folders.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sim = start_sim(folder.path()).await;
        let host = start_host(folder.path(), &sim).await;
        Self { host, sim, folder }
    }

    /// Stops the host in order and starts it anew on the same folder; the network goes on.
    pub async fn restart(self) -> Self {
        let Self { host, sim, folder } = self;
        host.shut_down().await;
        let host = start_host(folder.path(), &sim).await;
        Self { host, sim, folder }
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

    /// The folder of the host's data.
    pub fn data_dir(&self) -> std::path::PathBuf {
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

async fn start_host(folder: &Path, sim: &SimNet) -> Host {
    let data_dir = folder.join("data");
    std::fs::create_dir_all(&data_dir).unwrap();
    Host::start(HostSettings {
        listen: LOOPBACK,
        data_dir,
        master_key: MasterKey::new([42; 32]),
        admin_key: AdminKey::new(ADMIN_KEY),
        places: 16,
        compiler: Compiler::InProcess,
        network: WhatsAppNetwork::simulated(sim.ws_url(), Egress::simulated(&sim.ws_url()).unwrap()),
        sessions: SessionConfig::default().settings(),
        sim: Some(Arc::new(Control(sim.clone()))),
        qr_notices: None,
    })
    .await
    .unwrap()
}
