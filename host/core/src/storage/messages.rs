//! Accepted messages and the outbox: one queue per session, in the order of acceptance.

use std::collections::HashSet;
use std::time::Duration;

use super::codec::{decode, encode};
use super::engine::{Batch, Check, KeyRange};
use super::{CONFLICT_TRIES_MAX, Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::event::{Event, Fact};
use crate::records::id::{MessageId, SessionId, TenantId};
use crate::records::message::{Message, MessageState, Receipt};

/// Unconfirmed messages of a session that are sent again, at most; the newest of them.
const UNCONFIRMED_MAX: usize = 4096;
/// How long before a session's last send a message was sent, at most, for it to be sent again. Older ones have been asked for
/// by then, if anybody could not read them; and whoever is away for days must not get everything anew at each restart.
const UNCONFIRMED_WINDOW: Duration = Duration::from_secs(600);

/// The oldest message of a session's outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct DueSend {
    /// Its place in the queue.
    pub n: u64,
    /// The message.
    pub message: Message,
}

/// How a send ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// WhatsApp's server took it.
    Acknowledged,
    /// It can never be sent; the reason is for the customer.
    Failed(String),
    /// Not acknowledged: it stays first in the queue and keeps its id.
    Again(String),
}

impl Storage {
    /// Accepts messages: each durable in its session's outbox, all or none.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when a session is gone or an id is taken; else when the engine fails.
    pub async fn accept_messages(&self, tenant: TenantId, messages: &[Message]) -> Result<(), StorageError> {
        let mut batch = Batch::default();
        Self::put_messages(&mut batch, tenant, messages)?;
        self.engine.commit(batch).await.map(|_| ())
    }

    pub(super) fn put_messages(batch: &mut Batch, tenant: TenantId, messages: &[Message]) -> Result<(), StorageError> {
        let mut ids = HashSet::new();
        for message in messages {
            // Checks see what was stored before the batch, not what it stores itself.
            if !ids.insert(message.id) {
                return Err(StorageError::Conflict);
            }
            let key = keys::message(tenant, message.id);
            let by_whatsapp_id = keys::message_by_whatsapp_id(tenant, message.session, &message.whatsapp_id);
            batch.check(Self::owner_check(tenant, message.session));
            batch.check(Check::Absent { key: key.clone() });
            batch.put(key.clone(), encode(&key, message)?);
            batch.put(by_whatsapp_id.clone(), encode(&by_whatsapp_id, &message.id)?);
            let place = keys::outbox(tenant, message.session);
            let entry = encode(&place, &message.id)?;
            batch.append(keys::outbox_counter(tenant, message.session), place, entry);
        }
        Ok(())
    }

    /// The next message that `session` has to send.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn next_due_send(&self, tenant: TenantId, session: SessionId) -> Result<Option<DueSend>, StorageError> {
        let range = KeyRange::prefix(&keys::outbox(tenant, session), 1);
        let Some((key, value)) = self.engine.range(&range).await?.pop() else { return Ok(None) };
        let id: MessageId = decode(&key, &value)?;
        let n = keys::trailing_number(&key);
        match self.message(tenant, id).await? {
            Some(message) => Ok(Some(DueSend { n, message })),
            None => Err(StorageError::Damaged {
                record_type: keys::record_type(&key),
                why: format!("message {id} is missing").into(),
            }),
        }
    }

    /// Writes down how a send ended, with its event, and takes it off the queue unless it is to be sent again.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when the session is gone; else when the engine fails.
    pub async fn settle_send(
        &self,
        tenant: TenantId,
        due: &DueSend,
        outcome: &SendOutcome,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        let (id, session) = (due.message.id, due.message.session);
        self.change_message(tenant, id, |message, batch| {
            message.attempts += 1;
            let (state, reason) = match outcome {
                SendOutcome::Again(reason) => {
                    message.reason = Some(reason.clone());
                    return Ok(true);
                }
                SendOutcome::Acknowledged => (MessageState::Acknowledged, None),
                SendOutcome::Failed(reason) => (MessageState::Failed, Some(reason.clone())),
            };
            message.reason = reason;
            batch.check(Self::owner_check(tenant, session));
            let entry = keys::outbox_entry(tenant, session, due.n);
            // Whoever settled it first has said how it ended.
            batch.check(Check::Equals { key: entry.clone(), value: encode(&entry, &id)? });
            batch.delete(entry);
            if *outcome == SendOutcome::Acknowledged {
                let last = keys::last_send(tenant, session);
                batch.put(last.clone(), encode(&last, &at)?);
                if message.state <= MessageState::Acknowledged {
                    let unconfirmed = keys::unconfirmed(tenant, session, id);
                    batch.put(unconfirmed.clone(), encode(&unconfirmed, &at)?);
                }
            }
            // A receipt that overtook the acknowledgement has already told more, and what a phone has did not fail.
            let overtaken = message.state >= MessageState::Acknowledged;
            if !overtaken {
                Self::advance(batch, tenant, message, state, at)?;
            }
            Ok(true)
        })
        .await
    }

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
                let further = counts && message.state < state && message.state != MessageState::Failed;
                if further {
                    batch.delete(keys::unconfirmed(tenant, session, id));
                    Self::advance(batch, tenant, message, state, at)?;
                }
                Ok(further)
            })
            .await?;
        }
        Ok(())
    }

    fn advance(
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
        };
        Self::append_event(batch, tenant, &Event { n: 0, at, session: message.session, fact })
    }

    /// Changes a message and whatever `change` adds to the batch; `change` may run again and says whether to write at all.
    async fn change_message(
        &self,
        tenant: TenantId,
        id: MessageId,
        change: impl Fn(&mut Message, &mut Batch) -> Result<bool, StorageError>,
    ) -> Result<(), StorageError> {
        let key = keys::message(tenant, id);
        for _ in 0..CONFLICT_TRIES_MAX {
            let Some(value) = self.engine.get(&key).await? else { return Ok(()) };
            let mut message: Message = decode(&key, &value)?;
            let mut batch = Batch::default();
            batch.check(Check::Equals { key: key.clone(), value });
            if !change(&mut message, &mut batch)? {
                return Ok(());
            }
            batch.put(key.clone(), encode(&key, &message)?);
            match self.engine.commit(batch).await {
                Err(StorageError::Conflict) => {}
                other => return other.map(|_| ()),
            }
        }
        Err(StorageError::Conflict)
    }

    /// Puts what a session had sent last, and what no device of the receiver has confirmed, back into its outbox: after a crash
    /// the receiver may have asked for it again, and the wish may have died with the process. Each goes out under the id
    /// it has, which phones show once. Returns how many.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when the session is gone; else when the engine fails.
    pub async fn requeue_unconfirmed(&self, tenant: TenantId, session: SessionId) -> Result<usize, StorageError> {
        let Some(last) = self.read::<Timestamp>(&keys::last_send(tenant, session)).await? else { return Ok(0) };
        let newest_first = KeyRange::prefix(&keys::all_unconfirmed(tenant, session), UNCONFIRMED_MAX).reversed();
        let mut batch = Batch::default();
        let mut requeued = 0;
        // Oldest first as they are to go out.
        for (key, value) in self.engine.range(&newest_first).await?.iter().rev() {
            if last.since(decode(key, value)?) > UNCONFIRMED_WINDOW {
                continue;
            }
            let place = keys::outbox(tenant, session);
            let entry = encode(&place, &MessageId(keys::trailing_number(key)))?;
            batch.append(keys::outbox_counter(tenant, session), place, entry);
            // A receipt that comes meanwhile changes nothing: it goes out once more.
            batch.delete(key.clone());
            requeued += 1;
        }
        if requeued > 0 {
            batch.check(Self::owner_check(tenant, session));
            self.engine.commit(batch).await?;
        }
        Ok(requeued)
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

    /// How many messages wait in a session's outbox, counted up to `limit`.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn outbox_depth(&self, tenant: TenantId, session: SessionId, limit: usize) -> Result<usize, StorageError> {
        Ok(self.engine.range(&KeyRange::prefix(&keys::outbox(tenant, session), limit)).await?.len())
    }
}

/// Whom a JID names, whichever of their devices and in whichever spelling of the server.
fn user_of(jid: &str) -> &str {
    jid.split(['@', ':', '.']).next().unwrap_or_default()
}
