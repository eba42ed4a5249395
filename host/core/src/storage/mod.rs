//! What is durable: whole operations over a small engine seam.
//!
//! An engine is an ordered key-value space with consistent reads and one `commit(batch)`, whose batch carries checks and
//! writes. Nothing above the seam holds a transaction open. Invariant: an `Ok` from any operation means that it is durable.

mod accounts;
mod batches;
mod blobs;
mod changes;
mod cleanup;
mod codec;
mod contacts;
mod counted;
mod deliveries;
mod device;
mod engine;
mod events;
mod failure;
mod history;
mod holders;
mod keys;
mod kv;
mod media_jobs;
pub(crate) mod memory_engine;
mod message_log;
mod messages;
mod once;
mod outbox;
mod parked;
mod plugin_secrets;
mod plugins;
mod polls;
mod quota;
mod redb_engine;
mod redb_file;
mod remembered;
mod retention;
mod seal;
mod sessions;
mod templates;
mod timers;
mod webhooks;
mod work;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod engine_tests;
#[cfg(test)]
mod fault;
#[cfg(test)]
mod open_tests;
#[cfg(test)]
mod operation_tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub use accounts::NewKey;
pub use batches::BatchProgress;
pub use blobs::Kept;
pub use changes::{Changes, Moment};
pub use contacts::{CONTACT_PAGE_MAX, CONTACTS_MAX, Learnt};
pub use counted::Counted;
pub use deliveries::{DeadDelivery, OwedDelivery, Replay, Replayed, Settlement};
pub use device::{DeviceBatch, DeviceStorage, DeviceTable, Stamp};
pub use engine::{Batch, Check, CommitStats, Engine, Entry, KeyRange, Write};
pub use failure::OpenError;
pub use history::{EventListing, EventPage, EventQuery, Order, PAGE_EVENTS_MAX, PAGE_SCANNED_MAX};
pub use holders::Holder;
pub use kv::{KvEffects, KvError, KvStorage};
pub use media_jobs::{MediaJob, MediaJobPage};
pub use message_log::LOG_SCANNED_MAX;
pub use outbox::{Acceptance, Cancelled, DueSend, OUTBOX_MESSAGES_MAX, SendOutcome};
pub use plugin_secrets::SecretKept;
pub use plugins::{ARTIFACT_BYTES_MAX, CallQuery, NewVersion, VersionChange, VersionKept};
pub use polls::OptionTally;
pub use retention::{Sweep, Swept};
pub use seal::{MASTER_KEY_BYTES, MasterKey, Vault};
pub use sessions::SessionChange;
pub use templates::TemplateStored;
pub use timers::{DueTimer, PRETENCE_STEP, TimerPage};
pub use webhooks::WEBHOOKS_MAX;
pub use work::{ChainStanding, CursorStep, OwedRun, RunEffects, RunEnd};

/// Most bytes of one stored value: far above any record, far below what would stall the writer.
pub const VALUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How often an operation that lost a race is tried anew before it gives up.
const CONFLICT_TRIES_MAX: u32 = 32;

/// Why storage did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// A check of the batch did not hold.
    #[error("another writer changed the record first")]
    Conflict,
    /// The writer has stopped.
    #[error("storage is closed")]
    Closed,
    /// The engine reported an error. Whether a commit that met it was kept is told by reading what it was to write.
    #[error("the storage engine failed: {0}")]
    Engine(Arc<str>),
    /// The disk failed. Whether a commit that met it was kept is told by reading what it was to write.
    #[error("storage cannot {doing}: {why}")]
    Disk {
        /// What it was asked to do: `read` or `commit`.
        doing: &'static str,
        /// What the system says.
        why: Arc<str>,
    },
    /// The disk failed, and the file has not been opened again since. Nothing of this call was done.
    #[error("storage is down and is tried again with every call: {why}")]
    Down {
        /// Why it does not open.
        why: Arc<str>,
    },
    /// A stored value cannot be read.
    #[error("a record of type {record_type} is damaged: {why}")]
    Damaged {
        /// Number of the record type.
        record_type: u8,
        /// What is wrong with it.
        why: Arc<str>,
    },
    /// A sealed value does not open: it was sealed with another master key, or is not where it was written.
    #[error("a sealed record of type {record_type} does not open with this master key")]
    WrongMasterKey {
        /// Number of the record type.
        record_type: u8,
    },
    /// A value is over the limit.
    #[error("a value of {bytes} bytes is over the limit of {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
}

/// Everything that Switchboard keeps, as whole operations.
#[derive(Clone)]
pub struct Storage {
    engine: Arc<dyn Engine>,
    /// The same engine.
    counting: Arc<counted::CountingEngine>,
    vault: Arc<Vault>,
    holders: Arc<holders::Holders>,
    sessions: Arc<sessions::Sessions>,
}

impl Storage {
    /// Opens (or makes) the embedded storage at `path`.
    ///
    /// # Errors
    /// When the file cannot be opened, is held by another process, or was written with another master key.
    pub async fn open(path: &Path, master_key: MasterKey) -> Result<Self, OpenError> {
        let engine = redb_engine::RedbEngine::open(redb_file::FileSource(path.to_owned()))?;
        let storage = Self::over(Arc::new(engine), master_key);
        storage.check_master_key().await?;
        Ok(storage)
    }

    /// Storage that forgets everything when it is dropped: for quick tests.
    pub fn in_memory(master_key: MasterKey) -> Self {
        Self::over(Arc::new(memory_engine::MemoryEngine::default()), master_key)
    }

    /// Storage over any engine.
    pub fn over(engine: Arc<dyn Engine>, master_key: MasterKey) -> Self {
        let counting = Arc::new(counted::CountingEngine::new(engine));
        let vault = Arc::new(Vault::new(master_key));
        let (holders, sessions) = Default::default();
        Self { engine: Arc::clone(&counting) as _, counting, vault, holders, sessions }
    }

    /// Ends what was asked so far and lets go of the file, whoever else still holds a copy of this storage: from now on every
    /// operation is refused with [`StorageError::Closed`].
    pub fn close(&self) {
        self.engine.close();
    }

    /// Whether storage answers. It goes on by itself once the disk does.
    ///
    /// # Errors
    /// [`StorageError::Down`] after the disk failed, [`StorageError::Closed`] after [`Storage::close`].
    pub fn health(&self) -> Result<(), StorageError> {
        self.engine.health()
    }

    /// How commits have gone so far.
    pub fn commit_stats(&self) -> CommitStats {
        self.engine.stats()
    }

    /// What became durable since this process opened the storage.
    pub fn counts(&self) -> BTreeMap<Counted, u64> {
        self.counting.counts()
    }

    /// Refuses to go on with a master key that does not open what is stored: writing under it would lose both.
    async fn check_master_key(&self) -> Result<(), StorageError> {
        const PROOF: &[u8] = b"switchboard";
        let key = keys::master_key_proof();
        if let Some(sealed) = self.engine.get(&key).await? {
            return self.vault.open(&key, &sealed).map(|_| ());
        }
        let mut batch = Batch::default();
        batch.check(Check::Absent { key: key.clone() });
        batch.put(key.clone(), self.vault.seal(&key, PROOF));
        self.engine.commit(batch).await.map(|_| ())
    }

    /// Seals every sealed record anew with `next`, a page at a time. Run it while nothing else uses the storage; when it is
    /// interrupted, run it again with the same keys.
    ///
    /// # Errors
    /// When the engine fails or a record opens with neither key.
    pub async fn rotate_master_key(&self, next: MasterKey) -> Result<u64, StorageError> {
        /// Few enough that a page of the largest components fits in memory.
        const PAGE: usize = 16;
        let next = Vault::new(next);
        let proof = keys::master_key_proof();
        let mut rotated = 0;
        let mut range = KeyRange::everything(PAGE);
        loop {
            let page = self.engine.range(&range).await?;
            let Some((last, _)) = page.last() else { break };
            range = range.after(last);
            let mut batch = Batch::default();
            for (key, value) in page.iter().filter(|(key, _)| keys::is_sealed(key) && *key != proof) {
                if next.open(key, value).is_ok() {
                    continue;
                }
                let plain = self.vault.open(key, value)?;
                batch.check(Check::Equals { key: key.clone(), value: value.clone() });
                batch.put(key.clone(), next.seal(key, &plain));
                rotated += 1;
            }
            self.engine.commit(batch).await?;
        }
        // Last of all: until everything is sealed with the next key, storage opens with the current one.
        if let Some(sealed) = self.engine.get(&proof).await?
            && next.open(&proof, &sealed).is_err()
        {
            let plain = self.vault.open(&proof, &sealed)?;
            let mut batch = Batch::default();
            batch.put(proof.clone(), next.seal(&proof, &plain));
            self.engine.commit(batch).await?;
            rotated += 1;
        }
        Ok(rotated)
    }
}
