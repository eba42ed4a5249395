//! The client library's five storage traits, over the rows which one device has in our storage.
//!
//! [`DeviceBackend`] is what a WhatsApp client is given to remember things with. Each trait has its own file; this one
//! has what they share: the table numbers, commits, paged scans and the compare-and-set loop.
//!
//! Invariant: a trait method which returns `Ok` has written all of its rows in one durable commit, or none. The sweeps
//! of old rows are the exception: they commit page by page, and each page is complete in itself.
//! No locks: what must not interleave is read with its stamp and committed under the condition that it is unchanged.
//!
//! How values are laid out is in `codec`. Sealing, tenants and sessions are not known here; `DeviceStorage` does those.

mod app_sync;
mod codec;
mod device;
mod expiry;
mod msg_secret;
mod protocol;
mod signal;
mod tc_token;
#[cfg(test)]
pub(crate) mod test_support;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use switchboard_core::storage::{DeviceBatch, DeviceStorage, DeviceTable, Stamp, StorageError};
use wacore::store::error::{Result, StoreError};

/// The tables of one device. A number is part of the stored keys: never reuse one, never renumber.
mod tables {
    use switchboard_core::storage::DeviceTable;

    /// The device record itself; one row.
    pub(super) const DEVICE: DeviceTable = DeviceTable(1);
    /// Single facts with a fixed name, see the `META_…` keys beside their use.
    pub(super) const META: DeviceTable = DeviceTable(2);

    /// Address -> 32 byte identity key.
    pub(super) const IDENTITIES: DeviceTable = DeviceTable(10);
    /// Address -> session blob.
    pub(super) const SESSIONS: DeviceTable = DeviceTable(11);
    /// Id -> flag "uploaded" and one-time prekey record.
    pub(super) const PREKEYS: DeviceTable = DeviceTable(12);
    /// Id -> signed prekey record.
    pub(super) const SIGNED_PREKEYS: DeviceTable = DeviceTable(13);
    /// Sender key name -> sender key blob.
    pub(super) const SENDER_KEYS: DeviceTable = DeviceTable(14);

    /// Key id -> app state sync key.
    pub(super) const SYNC_KEYS: DeviceTable = DeviceTable(20);
    /// Collection -> version and hash.
    pub(super) const SYNC_VERSIONS: DeviceTable = DeviceTable(21);
    /// (Collection, index MAC) -> value MAC.
    pub(super) const MUTATION_MACS: DeviceTable = DeviceTable(22);

    /// (Group, device) -> does the device have our sender key.
    pub(super) const SENDER_KEY_DEVICES: DeviceTable = DeviceTable(30);
    /// (Device, group) -> nothing; finds the groups of a device in `SENDER_KEY_DEVICES`.
    pub(super) const SENDER_KEY_GROUPS: DeviceTable = DeviceTable(31);
    /// LID -> mapping to a phone number.
    pub(super) const LID_MAPPINGS: DeviceTable = DeviceTable(32);
    /// (Phone number, LID) -> nothing; finds the LIDs of a phone number in `LID_MAPPINGS`.
    pub(super) const PHONE_LIDS: DeviceTable = DeviceTable(33);
    /// (Address, message id) -> base key.
    pub(super) const BASE_KEYS: DeviceTable = DeviceTable(34);
    /// User -> list of that user's devices.
    pub(super) const DEVICE_LISTS: DeviceTable = DeviceTable(35);
    /// Group -> metadata blob.
    pub(super) const GROUP_METADATA: DeviceTable = DeviceTable(36);
    /// JID -> trusted contact token.
    pub(super) const TC_TOKENS: DeviceTable = DeviceTable(37);
    /// (Chat, message id) -> time stored and payload, for answering retry receipts.
    pub(super) const SENT_MESSAGES: DeviceTable = DeviceTable(38);
    /// (Time stored, key in `SENT_MESSAGES`) -> nothing.
    pub(super) const SENT_MESSAGES_BY_TIME: DeviceTable = DeviceTable(39);
    /// (Chat, sender, message id) -> time stored and decrypted message.
    pub(super) const PENDING_INBOUND: DeviceTable = DeviceTable(40);

    /// (Chat, sender, message id) -> deadline, time of the message, secret.
    pub(super) const MSG_SECRETS: DeviceTable = DeviceTable(50);
    /// (Deadline, key in `MSG_SECRETS`) -> nothing; rows which never expire are not in here.
    pub(super) const MSG_SECRETS_BY_DEADLINE: DeviceTable = DeviceTable(51);
}

/// Rows read by one scan. Keeps a sweep from holding a whole table in memory, and its commits short for the other
/// sessions which share the writer.
const SCAN_PAGE_ROWS_MAX: usize = 256;

/// Times a compare-and-set is begun before we give up. Only tasks of the same device compete for a row, so more than
/// two or three tries mean that something is wrong.
const COMPARE_AND_SET_TRIES_MAX: u32 = 16;

/// The library asks for a number; a backend is one device, whatever its number, so all of them have this one.
const DEVICE_ID: i32 = 1;

/// A key and its value.
type Row = (Vec<u8>, Vec<u8>);

/// Says what became of a message that is delivered again although no decrypted copy of it waits.
#[async_trait]
pub(super) trait Repetitions: Send + Sync {
    /// Whether the message was decrypted once and never written down. Then it must not be confirmed.
    async fn is_lost(&self, chat: &str, sender: &str, id: &str) -> std::result::Result<bool, StorageError>;
}

/// One device's storage, in the shape the client library asks for.
#[derive(Clone)]
pub struct DeviceBackend {
    storage: DeviceStorage,
    repetitions: Option<Arc<dyn Repetitions>>,
}

impl DeviceBackend {
    /// A backend for the device which `storage` belongs to.
    pub fn new(storage: DeviceStorage) -> Self {
        Self { storage, repetitions: None }
    }

    /// The same, and it asks about repeated messages before they are confirmed.
    pub(super) fn with_repetitions(mut self, repetitions: Arc<dyn Repetitions>) -> Self {
        self.repetitions = Some(repetitions);
        self
    }

    async fn get(&self, table: DeviceTable, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.storage.get(table, key).await.map_err(database)
    }

    async fn get_stamped(&self, table: DeviceTable, key: &[u8]) -> Result<Option<(Vec<u8>, Stamp)>> {
        self.storage.get_stamped(table, key).await.map_err(database)
    }

    async fn get_json<T: DeserializeOwned>(&self, table: DeviceTable, key: &[u8]) -> Result<Option<T>> {
        self.get(table, key).await?.map(|value| codec::from_json(&value)).transpose()
    }

    async fn put(&self, table: DeviceTable, key: &[u8], value: &[u8]) -> Result<()> {
        let mut batch = self.storage.batch();
        batch.put(table, key, value);
        self.commit(batch).await
    }

    async fn delete(&self, table: DeviceTable, key: &[u8]) -> Result<()> {
        let mut batch = self.storage.batch();
        batch.delete(table, key);
        self.commit(batch).await
    }

    async fn delete_prefix(&self, table: DeviceTable, prefix: &[u8]) -> Result<()> {
        let mut batch = self.storage.batch();
        batch.delete_prefix(table, prefix);
        self.commit(batch).await
    }

    /// Commits `batch`; an empty one is nothing to do and always succeeds.
    async fn commit(&self, batch: DeviceBatch) -> Result<()> {
        match self.storage.commit(batch).await {
            // Nothing was made a condition here, except that the session is there and ours; storage adds that itself.
            Err(StorageError::Conflict) => Err(StoreError::DeviceNotFound(DEVICE_ID)),
            result => result.map_err(database),
        }
    }

    /// Commits `batch` if all it was built on is still so. `false`: another task was quicker; read anew, build anew.
    async fn commit_if_unchanged(&self, batch: DeviceBatch, tries: &mut Tries) -> Result<bool> {
        match self.storage.commit(batch).await {
            Ok(()) => Ok(true),
            Err(StorageError::Conflict) => tries.spend().map(|()| false),
            Err(error) => Err(database(error)),
        }
    }

    async fn scan_page(&self, table: DeviceTable, prefix: &[u8], after: Option<&[u8]>) -> Result<Vec<Row>> {
        self.storage.scan(table, prefix, after, SCAN_PAGE_ROWS_MAX).await.map_err(database)
    }

    /// All rows under `prefix`, for the trait methods which must return all of them anyway.
    async fn scan_all(&self, table: DeviceTable, prefix: &[u8]) -> Result<Vec<Row>> {
        let mut rows: Vec<Row> = Vec::new();
        loop {
            let after = rows.last().map(|(key, _)| key.as_slice());
            let page = self.scan_page(table, prefix, after).await?;
            let is_last = page.len() < SCAN_PAGE_ROWS_MAX;
            rows.extend(page);
            if is_last {
                return Ok(rows);
            }
        }
    }

    async fn has_any(&self, table: DeviceTable, prefix: &[u8]) -> Result<bool> {
        let rows = self.storage.scan(table, prefix, None, 1).await.map_err(database)?;
        Ok(!rows.is_empty())
    }
}

/// The tries a compare-and-set has left.
struct Tries {
    operation: &'static str,
    left: u32,
}

impl Tries {
    fn of(operation: &'static str) -> Self {
        Self { operation, left: COMPARE_AND_SET_TRIES_MAX }
    }

    fn spend(&mut self) -> Result<()> {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return Err(StoreError::RetriesExhausted { op: self.operation.to_owned() });
        }
        Ok(())
    }
}

/// The library only tells "failed" from "did not fail"; our error stays in the chain for the log.
fn database(error: StorageError) -> StoreError {
    StoreError::Database(Box::new(error))
}
