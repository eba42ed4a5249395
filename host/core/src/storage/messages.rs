//! Accepted messages: how they change, what receipts say of them, and how they are listed. `outbox` has those still to be sent.

use super::codec::{decode, encode};
use super::engine::{Batch, Check, KeyRange};
use super::{CONFLICT_TRIES_MAX, Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::event::{Event, Fact};
use crate::records::id::{MessageId, SessionId, TenantId};
use crate::records::message::{Message, MessageState, Receipt};

impl Storage {
    /// Writes down what a receipt says. Ids that are not ours are passed over. What the account's own devices say of their copies
    /// tells nothing about the receiver, unless the message went to the account itself.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn record_receipt(
        &self,
        tenant: TenantId,
        session: SessionId,
        receipt: &Receipt,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        let Some(record) = self.session(tenant, session).await? else { return Ok(()) };
        let own = |jid: &str| [&record.jid, &record.lid].into_iter().flatten().any(|own| user_of(own) == user_of(jid));
        let (by_own, state) = (own(&receipt.from), receipt.state);
        for whatsapp_id in &receipt.whatsapp_ids {
            let key = keys::message_by_whatsapp_id(tenant, session, whatsapp_id);
            let Some(id) = self.read::<MessageId>(&key).await? else { continue };
            self.change_message(tenant, id, |message, batch| {
                let counts = !by_own || own(&message.to);
                // What a phone has did not expire, whatever the clock said when it could not be asked.
                let further = counts && (message.state < state || message.state == MessageState::Expired);
                if further {
                    batch.delete(keys::unconfirmed(tenant, session, id));
                    if message.state < MessageState::Acknowledged {
                        // What a device has was taken by the server, whose own word the receipt overtook.
                        Self::advance(batch, tenant, message, MessageState::Acknowledged, at)?;
                    }
                    Self::advance(batch, tenant, message, state, at)?;
                }
                Ok(further)
            })
            .await?;
        }
        Ok(())
    }

    pub(super) fn advance(
        batch: &mut Batch,
        tenant: TenantId,
        message: &mut Message,
        state: MessageState,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        message.state = state;
        message.updated_at = at;
        message.reached.insert(state, at);
        let fact = Fact::MessageState {
            message: message.id,
            whatsapp_id: message.whatsapp_id.clone(),
            chat: message.to.clone(),
            state,
            reason: message.reason.clone(),
            test: message.test,
        };
        Self::append_event(batch, tenant, &Event { n: 0, at, session: message.session, fact })
    }

    /// Changes a message and whatever `change` adds to the batch; `change` may run again and says whether to write at all.
    /// Returns the message as it was written; `None` when nothing was.
    pub(super) async fn change_message(
        &self,
        tenant: TenantId,
        id: MessageId,
        change: impl Fn(&mut Message, &mut Batch) -> Result<bool, StorageError>,
    ) -> Result<Option<Message>, StorageError> {
        for _ in 0..CONFLICT_TRIES_MAX {
            let mut batch = Batch::default();
            let Some(message) = self.change_in(&mut batch, tenant, id, &change).await? else { return Ok(None) };
            match self.engine.commit(batch).await {
                Err(StorageError::Conflict) => {}
                other => return other.map(|_| Some(message)),
            }
        }
        Err(StorageError::Conflict)
    }

    /// The same with several messages in one commit, or each on its own when others change them just now. What was not
    /// written is left out.
    pub(super) async fn change_messages(
        &self,
        tenant: TenantId,
        ids: &[MessageId],
        change: impl Fn(&mut Message, &mut Batch) -> Result<bool, StorageError>,
    ) -> Result<Vec<Message>, StorageError> {
        let mut batch = Batch::default();
        let mut written = Vec::with_capacity(ids.len());
        for id in ids {
            let mut own = Batch::default();
            if let Some(message) = self.change_in(&mut own, tenant, *id, &change).await? {
                batch.extend(own);
                written.push(message);
            }
        }
        if written.is_empty() {
            return Ok(written);
        }
        match self.engine.commit(batch).await {
            Ok(_) => return Ok(written),
            Err(StorageError::Conflict) => written.clear(),
            Err(error) => return Err(error),
        }
        for id in ids {
            written.extend(self.change_message(tenant, *id, &change).await?);
        }
        Ok(written)
    }

    /// Puts a change of a message as it is now into a batch; `None` when nothing is to be written.
    async fn change_in(
        &self,
        batch: &mut Batch,
        tenant: TenantId,
        id: MessageId,
        change: impl Fn(&mut Message, &mut Batch) -> Result<bool, StorageError>,
    ) -> Result<Option<Message>, StorageError> {
        let key = keys::message(tenant, id);
        let Some(value) = self.engine.get(&key).await? else { return Ok(None) };
        let mut message: Message = decode(&key, &value)?;
        let before = message.state;
        batch.check(Check::Equals { key: key.clone(), value });
        if !change(&mut message, batch)? {
            return Ok(None);
        }
        Self::count_state(batch, tenant, &message, Some(before));
        batch.put(key.clone(), encode(&key, &message)?);
        Ok(Some(message))
    }

    /// A message of a tenant.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn message(&self, tenant: TenantId, id: MessageId) -> Result<Option<Message>, StorageError> {
        self.read(&keys::message(tenant, id)).await
    }

    /// Messages of a tenant, newest first, older than `before`.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn messages(
        &self,
        tenant: TenantId,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<Message>, StorageError> {
        let mut range = KeyRange::prefix(&keys::messages(tenant), limit).reversed();
        if let Some(before) = before {
            range.end = Some(keys::message(tenant, before));
        }
        self.engine.range(&range).await?.iter().map(|(key, value)| decode(key, value)).collect()
    }
}

/// Whom a JID names, whichever of their devices and in whichever spelling of the server.
fn user_of(jid: &str) -> &str {
    jid.split(['@', ':', '.']).next().unwrap_or_default()
}
