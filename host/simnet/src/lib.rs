//! A simulated WhatsApp network: a server that speaks the wire protocol, with simulated phones behind it.
//!
//! Clients connect, pair, and exchange messages as they would with the real network; no phone and no internet is
//! needed. `network` decides, `connection` and `listener` do the I/O, `phone` is what stands in for people's phones,
//! `control` is how tests and people act on it all.

mod address;
mod certificate;
mod clock;
mod connection;
mod control;
mod hex_serde;
mod journal;
mod listener;
mod network;
mod noise;
pub mod phone;
mod random;
mod shared;
mod state_log;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::sync::watch;
use wacore_libsignal::protocol::CurveError;

use certificate::{ServerKeys, StoredKeys};
use journal::Journal;
use listener::Host;
use network::Network;
use shared::Shared;
use state_log::StateLog;

pub use control::ControlAnswer;
pub use journal::JournalError;
pub use network::RestoreError;
pub use state_log::StateLogError;

/// The state record of the server's own keys.
const KEYS_RECORD: &str = "server/keys";

/// How to run a network.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Where accounts, phones, queues and the journal live. Without it everything is gone at the end.
    pub data_dir: Option<PathBuf>,
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// What the control API asks for as a Bearer token. An empty one lets nobody in.
    pub admin_key: String,
}

/// Why a network did not start.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The state file.
    #[error(transparent)]
    StateLog(#[from] StateLogError),
    /// The journal file.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The records in the state file.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The server's keys in the state file.
    #[error("the server keys in the state file cannot be read")]
    StoredKeys(#[source] serde_json::Error),
    /// The server's keys could not sign its certificates.
    #[error("the server keys cannot sign certificates")]
    Certificate(#[source] CurveError),
}

/// A running network. Clones are handles to the same one; it stops with the last of them.
#[derive(Clone)]
pub struct SimNet {
    shared: Arc<Shared>,
    stop: Arc<watch::Sender<bool>>,
    address: SocketAddr,
    root_public: [u8; 32],
}

impl SimNet {
    /// Reads the stored state, listens, and begins to accept clients.
    pub async fn start(config: SimConfig) -> Result<Self, SimError> {
        let shared = Arc::new(open(&config)?);
        let listen_error = |source| SimError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let (stop, stopped) = watch::channel(false);
        let admin_key_digest = (!config.admin_key.is_empty()).then(|| Sha256::digest(&config.admin_key).into());
        let host = Host { shared: Arc::clone(&shared), admin_key_digest, stop: stopped };
        tokio::spawn(listener::accept(listener, host));
        Ok(Self { root_public: shared.keys.root_public(), shared, stop: Arc::new(stop), address })
    }

    /// The address clients connect to.
    pub fn ws_url(&self) -> String {
        format!("ws://{}/ws/chat", self.address)
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The key under which clients that verify certificates must trust this server.
    pub fn root_public_key(&self) -> [u8; 32] {
        self.root_public
    }

    /// Carries out one request of the control API. The caller has checked the operator's key.
    pub async fn control(&self, method: &str, path_and_query: &str, body: &[u8]) -> ControlAnswer {
        control::control(&self.shared, method, path_and_query, body).await
    }

    /// Ends all connections and the listener, and waits until they have ended.
    pub async fn shutdown(&self) {
        self.stop.send_replace(true);
        self.stop.closed().await;
    }
}

fn open(config: &SimConfig) -> Result<Shared, SimError> {
    let (mut state_log, mut records) = match &config.data_dir {
        Some(dir) => {
            let (log, records) = StateLog::open(dir)?;
            (Some(log), records)
        }
        None => (None, Default::default()),
    };
    let stored: StoredKeys = match records.remove(KEYS_RECORD) {
        Some(value) => serde_json::from_value(value).map_err(SimError::StoredKeys)?,
        None => {
            let fresh = StoredKeys::generate();
            let value = serde_json::to_value(&fresh).map_err(SimError::StoredKeys)?;
            if let Some(log) = &mut state_log {
                log.append(&[(KEYS_RECORD.to_owned(), Some(value))])?;
            }
            fresh
        }
    };
    let keys = ServerKeys::new(&stored, clock::now_ms()).map_err(SimError::Certificate)?;
    let journal = Journal::open(config.data_dir.as_deref())?;
    let network = Network::restore(records)?;
    Ok(Shared::new(network, state_log, journal, keys))
}
