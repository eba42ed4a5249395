//! A simulated WhatsApp network: a server that speaks the wire protocol, with simulated phones behind it.
//!
//! Clients connect, pair, and exchange messages as they would with the real network; no phone and no internet is
//! needed. `network` decides, `connection` and `listener` do the I/O, `phone` is what stands in for people's phones,
//! `control` is how tests and people act on it all.

mod address;
mod allowance;
mod blobs;
mod certificate;
mod clock;
mod connection;
mod control;
mod frames;
#[cfg(test)]
mod fuzz;
mod hex_serde;
mod journal;
mod line;
mod listener;
mod media;
mod network;
mod node_codec;
mod noise;
pub mod phone;
mod random;
mod settings;
mod shared;
mod state_log;
mod tls;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::time::MissedTickBehavior;
use wacore_libsignal::protocol::CurveError;

use blobs::Blobs;
use certificate::{ServerKeys, StoredKeys};
use journal::Journal;
use listener::{Host, Places};
use media::{MediaHosts, Spool};
use network::Network;
use settings::Settings;
use shared::Shared;
use state_log::StateLog;
use tls::{StoredTls, Tls};

pub use blobs::BlobError;
pub use control::{CONTROL_ROUTES, ControlAnswer};
pub use journal::JournalError;
pub use listener::CONTROL_BODY_BYTES_MAX;
pub use media::SpoolError;
pub use network::RestoreError;
pub use settings::SettingError;
pub use state_log::StateLogError;
pub use tls::TlsError;

/// The state record of the server's own keys.
const KEYS_RECORD: &str = "server/keys";
/// The state record of the certificate for TLS.
const TLS_RECORD: &str = "server/tls";

/// How precisely things that happen later are timed.
const TICK: Duration = Duration::from_millis(20);

/// How to run a network.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Where accounts, phones, queues and the journal live. Without it everything is gone at the end.
    pub data_dir: Option<PathBuf>,
    /// Where to listen; port 0 takes any free one. Plain HTTP and TLS are both served there.
    pub listen: SocketAddr,
    /// One more address to listen on, for clients that expect TLS at a port of its own.
    pub tls_listen: Option<SocketAddr>,
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
    /// The folder of sealed files.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// The records in the state file.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The environment.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The server's keys in the state file.
    #[error("the server keys in the state file cannot be read")]
    StoredKeys(#[source] serde_json::Error),
    /// The folder of uploads.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The certificate for TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The certificate for TLS in the state file.
    #[error("the certificate in the state file cannot be read")]
    StoredTls(#[source] serde_json::Error),
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
    tls_address: Option<SocketAddr>,
    root_public: [u8; 32],
}

impl SimNet {
    /// Reads the stored state, listens, and begins to accept clients.
    pub async fn start(config: SimConfig) -> Result<Self, SimError> {
        let shared = Arc::new(open(&config)?);
        let (listener, address) = bind(config.listen).await?;
        let (tls_listener, tls_address) = match config.tls_listen {
            Some(address) => {
                let (listener, address) = bind(address).await?;
                (Some(listener), Some(address))
            }
            None => (None, None),
        };
        shared.listens_at(address.to_string());
        let (stop, stopped) = watch::channel(false);
        let admin_key_digest = (!config.admin_key.is_empty()).then(|| Sha256::digest(&config.admin_key).into());
        let host = Host { shared: Arc::clone(&shared), admin_key_digest, stop: stopped, places: Places::default() };
        tokio::spawn(run_timers(Arc::clone(&shared), host.stop.clone()));
        tokio::spawn(media::reupload_files(Arc::clone(&shared), host.stop.clone()));
        for listener in std::iter::once(listener).chain(tls_listener) {
            tokio::spawn(listener::accept(listener, host.clone()));
        }
        Ok(Self { root_public: shared.keys.root_public(), shared, stop: Arc::new(stop), address, tls_address })
    }

    /// The address clients connect to.
    pub fn ws_url(&self) -> String {
        format!("ws://{}/ws/chat", self.address)
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The other address it listens on, if one was asked for.
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.tls_address
    }

    /// The certificate of its TLS, as PEM text. It stays the same as long as the data directory does.
    pub fn certificate(&self) -> &str {
        self.shared.media.tls.certificate()
    }

    /// The key under which clients that verify certificates must trust this server.
    pub fn root_public_key(&self) -> [u8; 32] {
        self.root_public
    }

    /// From now on typing that nobody renews lasts this long, whatever the environment says.
    pub fn set_typing_ttl(&self, ttl: Duration) {
        self.shared.set_typing_ttl(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
    }

    /// Carries out one request of the control API. The caller has checked the operator's key.
    pub async fn control(&self, method: &str, path_and_query: &str, body: &[u8]) -> ControlAnswer {
        control::control(&self.shared, method, path_and_query, body).await
    }

    /// Ends all connections and the listener, waits until they have ended, and lets go of the folder. What is still asked of a
    /// handle afterwards is written down nowhere.
    pub async fn shutdown(&self) {
        self.stop.send_replace(true);
        self.stop.closed().await;
        self.shared.close_state_log();
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), SimError> {
    let listen_error = |source| SimError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen_error)?;
    let address = listener.local_addr().map_err(listen_error)?;
    Ok((listener, address))
}

/// Lets what is due happen, until the network stops.
async fn run_timers(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = shared.run_due() {
            tracing::error!(%error, "what was due could not be written down");
        }
    }
}

fn open(config: &SimConfig) -> Result<Shared, SimError> {
    let settings = Settings::read()?;
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
    let stored_tls: StoredTls = match records.remove(TLS_RECORD) {
        Some(value) => serde_json::from_value(value).map_err(SimError::StoredTls)?,
        None => {
            let fresh = StoredTls::generate()?;
            let value = serde_json::to_value(&fresh).map_err(SimError::StoredTls)?;
            if let Some(log) = &mut state_log {
                log.append(&[(TLS_RECORD.to_owned(), Some(value))])?;
            }
            fresh
        }
    };
    let media = MediaHosts {
        spool: Spool::open(config.data_dir.as_deref())?,
        tls: Tls::new(&stored_tls)?,
        reuploads: Notify::new(),
    };
    let keys = ServerKeys::new(&stored, clock::now_ms()).map_err(SimError::Certificate)?;
    let journal = Journal::open(config.data_dir.as_deref())?;
    let blobs = Blobs::open(config.data_dir.as_deref())?;
    let mut network = Network::restore(records)?;
    network.set_typing_ttl(settings.typing_ttl_ms);
    Ok(Shared::new(network, state_log, journal, blobs, keys, media))
}
