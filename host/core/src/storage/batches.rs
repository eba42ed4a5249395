//! Batches: messages that were accepted together, and how far they have come.

use std::collections::BTreeMap;

use super::codec::encode;
use super::engine::{Batch, Check, count_in};
use super::{Storage, StorageError, keys};
use crate::records::id::{BatchId, TenantId};
use crate::records::message::{BatchRecord, Message, MessageState};

/// A batch and how many of its messages are in which state.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchProgress {
    /// The batch.
    pub record: BatchRecord,
    /// Messages by state; states that no message is in are left out.
    pub states: BTreeMap<MessageState, u64>,
}

impl Storage {
    pub(super) fn put_batch(batch: &mut Batch, tenant: TenantId, record: &BatchRecord) -> Result<(), StorageError> {
        let key = keys::batch(tenant, record.id);
        batch.check(Check::Absent { key: key.clone() });
        batch.put(key.clone(), encode(&key, record)?);
        Ok(())
    }

    /// Counts a message of a batch in its new state. Counts are added to and never compared, so that messages of one batch do
    /// not hold each other up.
    pub(super) fn count_state(batch: &mut Batch, tenant: TenantId, message: &Message, before: Option<MessageState>) {
        let Some(id) = message.batch else { return };
        if before == Some(message.state) {
            return;
        }
        if let Some(before) = before {
            batch.add(keys::batch_count(tenant, id, before), -1);
        }
        batch.add(keys::batch_count(tenant, id, message.state), 1);
    }

    /// A batch of a tenant with its progress.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn batch_progress(&self, tenant: TenantId, id: BatchId) -> Result<Option<BatchProgress>, StorageError> {
        let Some(record) = self.read::<BatchRecord>(&keys::batch(tenant, id)).await? else { return Ok(None) };
        let mut states = BTreeMap::new();
        for state in MessageState::ALL {
            let count = count_in(self.engine.get(&keys::batch_count(tenant, id, state)).await?.as_deref());
            if count > 0 {
                states.insert(state, count);
            }
        }
        Ok(Some(BatchProgress { record, states }))
    }
}
