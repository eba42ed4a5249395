//! The outbox: what each session has to send, with a lane for those whom somebody waits for and one for bulk.
//!
//! An entry lies in its lane and in the queue of its chat under the same number. Lanes decide who goes first; within a chat the
//! order of acceptance holds whatever the lane. A lease is a state of the message, written before it is handed to anybody.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::codec::{decode, encode};
use super::counted::Counted;
use super::engine::{Batch, Check, KeyRange, count_in};
use super::{CONFLICT_TRIES_MAX, Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::id::{MessageId, SessionId, TenantId};
use crate::records::message::{BatchRecord, Message, MessageState, Priority};
use crate::records::message_log::Direction;
use crate::records::once::OnceStep;
use crate::rules::quota::Charge;

/// Messages that one session may have to send at once, the scheduled ones among them.
pub const OUTBOX_MESSAGES_MAX: u64 = 100_000;
/// Entries of a lane that one look passes: a chat that is held up must not make each look a walk through all that waits for it.
const LANE_LOOK_MAX: usize = 256;
/// Entries of a chat's queue that are read at once.
const CHAT_PAGE: usize = 256;
/// Unconfirmed messages of a session that are sent again, at most; the newest of them.
const UNCONFIRMED_MAX: usize = 4096;
/// How long before a session's last send a message was sent, at most, for it to be sent again. Older ones have been asked for
/// by then, if anybody could not read them; and whoever is away for days must not get everything anew at each restart.
const UNCONFIRMED_WINDOW: Duration = Duration::from_secs(600);

/// What is to be accepted in one commit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Acceptance {
    /// The messages.
    pub messages: Vec<Message>,
    /// The batch that they are.
    pub batch: Option<BatchRecord>,
    /// What they cost.
    pub charges: Vec<Charge>,
    /// The step of a request under an idempotency key that asks for them.
    pub once: Option<OnceStep>,
}

/// A message in the outbox, with its place there.
#[derive(Clone, Debug, PartialEq)]
pub struct DueSend {
    /// Its number in the order of acceptance.
    pub n: u64,
    /// The lane it lies in.
    pub lane: Priority,
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
    /// Its time was over before it was handed to the server.
    Expired,
    /// It was handed to the server, which did not answer in time: it stays in the queue and keeps its id.
    Unacknowledged(String),
    /// It was not handed to the server: it stays in the queue and keeps its id.
    Again(String),
}

/// What became of the wish to take a message back.
#[derive(Clone, Debug, PartialEq)]
pub enum Cancelled {
    /// It will not be sent.
    Done(Box<Message>),
    /// It is too late: it was sent, is under way, or has ended.
    TooLate(Box<Message>),
    /// There is no such message.
    Missing,
}

/// Where it is counted that a message waits: those of test keys never lie in the outbox.
fn size_key(tenant: TenantId, message: &Message) -> Vec<u8> {
    if message.test { keys::test_sends(tenant, message.session) } else { keys::outbox_size(tenant, message.session) }
}

impl Storage {
    /// Accepts messages: each durable in its session's outbox, all or none.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when a session is gone, its outbox is full or an id is taken; else when the engine fails.
    pub async fn accept_messages(&self, tenant: TenantId, messages: &[Message]) -> Result<(), StorageError> {
        self.accept(tenant, &Acceptance { messages: messages.to_vec(), ..Acceptance::default() }).await
    }

    /// Accepts messages with all that belongs to their acceptance, in one commit.
    ///
    /// # Errors
    /// As [`Storage::accept_messages`], and [`StorageError::Conflict`] when a limit is reached, which
    /// [`Storage::reached_limit`] tells.
    pub async fn accept(&self, tenant: TenantId, acceptance: &Acceptance) -> Result<(), StorageError> {
        let mut batch = Batch::default();
        if let Some(record) = &acceptance.batch {
            Self::put_batch(&mut batch, tenant, record)?;
        }
        Self::put_charges(&mut batch, tenant, &acceptance.charges)?;
        Self::put_messages(&mut batch, tenant, &acceptance.messages)?;
        if let Some(step) = &acceptance.once {
            self.put_mark(&mut batch, step, acceptance).await?;
        }
        self.engine.commit(batch).await.map(|_| ())
    }

    pub(super) fn put_messages(batch: &mut Batch, tenant: TenantId, messages: &[Message]) -> Result<(), StorageError> {
        let mut ids = HashSet::new();
        let mut sessions = HashSet::new();
        let room = OUTBOX_MESSAGES_MAX.saturating_sub(u64::try_from(messages.len()).unwrap_or(u64::MAX));
        for message in messages {
            // Checks see what was stored before the batch, not what it stores itself.
            if !ids.insert(message.id) {
                return Err(StorageError::Conflict);
            }
            if sessions.insert(message.session) {
                batch.check(Self::owner_check(tenant, message.session));
                batch.check(Check::AtMost { key: size_key(tenant, message), max: room });
            }
            let key = keys::message(tenant, message.id);
            let by_whatsapp_id = keys::message_by_whatsapp_id(tenant, message.session, &message.whatsapp_id);
            batch.check(Check::Absent { key: key.clone() });
            batch.put(key.clone(), encode(&key, message)?);
            batch.put(by_whatsapp_id.clone(), encode(&by_whatsapp_id, &message.id)?);
            batch.add(size_key(tenant, message), 1);
            batch.add(keys::message_count(tenant, Direction::Sent, message.session), 1);
            batch.count(Counted::MessageAccepted);
            Self::count_state(batch, tenant, message, None);
            Self::set_timers(batch, tenant, message)?;
            if !message.test && message.schedule.send_at.is_none_or(|at| at <= message.accepted_at) {
                Self::queue(batch, tenant, message)?;
            }
        }
        Ok(())
    }

    /// Puts a message at the end of its lane and of its chat.
    pub(super) fn queue(batch: &mut Batch, tenant: TenantId, message: &Message) -> Result<(), StorageError> {
        Self::queue_in(batch, tenant, message.session, message.schedule.priority, message.id, &message.to)
    }

    fn queue_in(
        batch: &mut Batch,
        tenant: TenantId,
        session: SessionId,
        lane: Priority,
        id: MessageId,
        chat: &str,
    ) -> Result<(), StorageError> {
        let in_lane = keys::outbox_lane(tenant, session, lane);
        let in_chat = keys::chat_queue(tenant, session, chat);
        let lane_value = encode(&in_lane, &(id, chat))?;
        let chat_value = encode(&in_chat, &(id, lane))?;
        let places = vec![(in_lane, lane_value), (in_chat, chat_value)];
        batch.append_all(keys::outbox_counter(tenant, session), places);
        Ok(())
    }

    /// Takes a message that leaves the outbox from its places there.
    pub(super) fn unqueue(batch: &mut Batch, tenant: TenantId, message: &Message, place: Option<(Priority, u64)>) {
        let session = message.session;
        if let Some((lane, n)) = place {
            let in_chat = keys::numbered(keys::chat_queue(tenant, session, &message.to), n);
            batch.delete(keys::outbox_entry(tenant, session, lane, n));
            batch.delete(in_chat);
        }
        batch.add(size_key(tenant, message), -1);
        Self::drop_timers(batch, tenant, message);
    }

    /// Where a message lies in the outbox; `None` when it waits for its time.
    pub(super) async fn place_of(
        &self,
        tenant: TenantId,
        message: &Message,
    ) -> Result<Option<(Priority, u64)>, StorageError> {
        let mut range = KeyRange::prefix(&keys::chat_queue(tenant, message.session, &message.to), CHAT_PAGE);
        loop {
            let page = self.engine.range(&range).await?;
            for (key, value) in &page {
                let (id, lane): (MessageId, Priority) = decode(key, value)?;
                if id == message.id {
                    return Ok(Some((lane, keys::trailing_number(key))));
                }
            }
            let Some((last, _)) = page.last() else { return Ok(None) };
            range = range.after(last);
        }
    }

    /// The first message of a session's outbox, without a lease.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn next_due_send(&self, tenant: TenantId, session: SessionId) -> Result<Option<DueSend>, StorageError> {
        let range = KeyRange::prefix(&keys::outbox(tenant, session), 1);
        let Some((key, value)) = self.engine.range(&range).await?.pop() else { return Ok(None) };
        let (id, _): (MessageId, String) = decode(&key, &value)?;
        self.due_send(tenant, id, keys::lane_of(&key), keys::trailing_number(&key)).await.map(Some)
    }

    async fn due_send(&self, tenant: TenantId, id: MessageId, lane: Priority, n: u64) -> Result<DueSend, StorageError> {
        let key = keys::message(tenant, id);
        match self.message(tenant, id).await? {
            Some(message) => Ok(DueSend { n, lane, message }),
            None => Err(StorageError::Damaged {
                record_type: keys::record_type(&key),
                why: format!("message {id} is in the outbox and is missing").into(),
            }),
        }
    }

    /// Leases up to `limit` messages of one lane, and of the other where its chats have to send an older message first. What is in
    /// `held` is passed over. Within a chat the messages come in the order in which they are to go.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when the session is gone; else when the engine fails or a record is damaged.
    pub async fn lease_sends(
        &self,
        tenant: TenantId,
        session: SessionId,
        lane: Priority,
        limit: usize,
        held: &HashSet<MessageId>,
        at: Timestamp,
    ) -> Result<Vec<DueSend>, StorageError> {
        let mut chosen = Vec::new();
        for (id, lane, n) in self.choose_sends(tenant, session, lane, limit, held).await? {
            let due = self.due_send(tenant, id, lane, n).await?;
            if due.message.state.is_refusal() {
                self.drop_entry(tenant, &due).await?;
            } else {
                chosen.push(due);
            }
        }
        let queued = chosen.iter().filter(|due| due.message.state == MessageState::Queued).map(|due| due.message.id);
        let leased = self.take_leases(tenant, session, &queued.collect::<Vec<_>>(), at).await?;
        let mut leased: HashMap<MessageId, Message> = leased.into_iter().map(|message| (message.id, message)).collect();
        chosen.retain_mut(|due| match leased.remove(&due.message.id) {
            Some(message) => {
                due.message = message;
                true
            }
            // Taken back just now: whatever is behind it in its chat has its turn with the next look.
            None => due.message.state != MessageState::Queued,
        });
        Ok(chosen)
    }

    /// Holds while the entry of `due` is in its lane.
    fn entry_check(tenant: TenantId, due: &DueSend) -> Result<Check, StorageError> {
        let key = keys::outbox_entry(tenant, due.message.session, due.lane, due.n);
        let value = encode(&key, &(due.message.id, &due.message.to))?;
        Ok(Check::Equals { key, value })
    }

    /// Removes the entry of a message that ended without it.
    async fn drop_entry(&self, tenant: TenantId, due: &DueSend) -> Result<(), StorageError> {
        let mut batch = Batch::default();
        batch.check(Self::entry_check(tenant, due)?);
        Self::unqueue(&mut batch, tenant, &due.message, Some((due.lane, due.n)));
        match self.engine.commit(batch).await {
            Ok(_) | Err(StorageError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Leases those of these messages that still wait.
    async fn take_leases(
        &self,
        tenant: TenantId,
        session: SessionId,
        ids: &[MessageId],
        at: Timestamp,
    ) -> Result<Vec<Message>, StorageError> {
        self.change_messages(tenant, ids, |message, batch| {
            if message.state != MessageState::Queued {
                return Ok(false);
            }
            batch.check(Self::owner_check(tenant, session));
            message.state = MessageState::Leased;
            message.updated_at = at;
            message.reached.insert(MessageState::Leased, at);
            Ok(true)
        })
        .await
    }

    /// Ids and places of the messages that are to go next.
    async fn choose_sends(
        &self,
        tenant: TenantId,
        session: SessionId,
        lane: Priority,
        limit: usize,
        held: &HashSet<MessageId>,
    ) -> Result<Vec<(MessageId, Priority, u64)>, StorageError> {
        let mut chosen: Vec<(MessageId, Priority, u64)> = Vec::new();
        let mut seen = held.clone();
        let entries = self.engine.range(&KeyRange::prefix(&keys::outbox_lane(tenant, session, lane), LANE_LOOK_MAX)).await?;
        for (key, value) in &entries {
            if chosen.len() >= limit {
                break;
            }
            let (id, chat): (MessageId, String) = decode(key, value)?;
            if seen.contains(&id) {
                continue;
            }
            let queue = keys::chat_queue(tenant, session, &chat);
            let up_to = keys::numbered(queue.clone(), keys::trailing_number(key).saturating_add(1));
            let range = KeyRange { end: Some(up_to), ..KeyRange::prefix(&queue, CHAT_PAGE) };
            for (key, value) in self.engine.range(&range).await? {
                let (id, lane): (MessageId, Priority) = decode(&key, &value)?;
                if chosen.len() < limit && seen.insert(id) {
                    chosen.push((id, lane, keys::trailing_number(&key)));
                }
            }
        }
        Ok(chosen)
    }

    /// Gives leases back: what was not handed to the server may be taken back again.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn return_leases(&self, tenant: TenantId, held: &[MessageId], at: Timestamp) -> Result<(), StorageError> {
        let returned = self.change_messages(tenant, held, |message, _| {
            let leased = message.state == MessageState::Leased;
            if leased {
                message.state = MessageState::Queued;
                message.updated_at = at;
            }
            Ok(leased)
        });
        returned.await.map(|_| ())
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
        let session = due.message.session;
        let entry = Self::entry_check(tenant, due)?;
        self.change_message(tenant, due.message.id, |message, batch| {
            message.attempts += 1;
            if matches!(outcome, SendOutcome::Again(_) | SendOutcome::Unacknowledged(_)) {
                batch.count(Counted::MessageSentAgain);
            }
            let (state, reason) = match outcome {
                SendOutcome::Again(reason) => {
                    message.reason = Some(reason.clone());
                    return Ok(true);
                }
                SendOutcome::Unacknowledged(reason) => (MessageState::Sent, Some(reason.clone())),
                SendOutcome::Acknowledged => (MessageState::Acknowledged, None),
                SendOutcome::Failed(reason) => (MessageState::Failed, Some(reason.clone())),
                SendOutcome::Expired => {
                    (MessageState::Expired, Some("its time was over before it could be sent".to_owned()))
                }
            };
            message.reason = reason;
            batch.check(Self::owner_check(tenant, session));
            // Whoever settled it first has said how it ended.
            batch.check(entry.clone());
            if state != MessageState::Sent {
                Self::unqueue(batch, tenant, message, Some((due.lane, due.n)));
            }
            if state == MessageState::Acknowledged {
                Self::note_send(batch, tenant, message, at)?;
            }
            // A receipt that overtook the acknowledgement has already told more, and what a phone has did not fail.
            let overtaken = message.state >= MessageState::Acknowledged;
            if !overtaken && message.state != state {
                Self::advance(batch, tenant, message, state, at)?;
            }
            Ok(true)
        })
        .await
        .map(|_| ())
    }

    /// The server took it just now: it is to be found again until a device of the receiver has confirmed it.
    fn note_send(batch: &mut Batch, tenant: TenantId, message: &Message, at: Timestamp) -> Result<(), StorageError> {
        let last = keys::last_send(tenant, message.session);
        batch.put(last.clone(), encode(&last, &at)?);
        if message.state <= MessageState::Acknowledged {
            let unconfirmed = keys::unconfirmed(tenant, message.session, message.id);
            batch.put(unconfirmed.clone(), encode(&unconfirmed, &at)?);
        }
        Ok(())
    }

    /// Takes a message back that nobody has begun to send.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn cancel_message(&self, tenant: TenantId, id: MessageId, at: Timestamp) -> Result<Cancelled, StorageError> {
        for _ in 0..CONFLICT_TRIES_MAX {
            let Some(seen) = self.message(tenant, id).await? else { return Ok(Cancelled::Missing) };
            if seen.state != MessageState::Queued {
                return Ok(match seen.state {
                    MessageState::Cancelled => Cancelled::Done(Box::new(seen)),
                    _ => Cancelled::TooLate(Box::new(seen)),
                });
            }
            let place = self.place_of(tenant, &seen).await?;
            let written = self.change_message(tenant, id, |message, batch| {
                // It joined the outbox or was leased since its place was looked up: look again.
                if *message != seen {
                    return Ok(false);
                }
                message.reason = Some("taken back by the customer".to_owned());
                Self::unqueue(batch, tenant, message, place);
                Self::advance(batch, tenant, message, MessageState::Cancelled, at)?;
                Ok(true)
            });
            if let Some(message) = written.await? {
                return Ok(Cancelled::Done(Box::new(message)));
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
        let Some(last) = self.last_send(tenant, session).await? else { return Ok(0) };
        let newest_first = KeyRange::prefix(&keys::all_unconfirmed(tenant, session), UNCONFIRMED_MAX).reversed();
        let mut batch = Batch::default();
        let mut requeued = 0;
        // Oldest first as they are to go out.
        for (key, value) in self.engine.range(&newest_first).await?.iter().rev() {
            let id = MessageId(keys::trailing_number(key));
            if last.since(decode(key, value)?) > UNCONFIRMED_WINDOW {
                continue;
            }
            // A receipt that comes meanwhile changes nothing: it goes out once more.
            batch.delete(key.clone());
            let Some(message) = self.message(tenant, id).await? else { continue };
            Self::queue_in(&mut batch, tenant, session, Priority::Interactive, id, &message.to)?;
            batch.add(keys::outbox_size(tenant, session), 1);
            requeued += 1;
        }
        if !batch.is_empty() {
            batch.check(Self::owner_check(tenant, session));
            self.engine.commit(batch).await?;
        }
        Ok(requeued)
    }

    /// When the server last took a message of a session.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn last_send(&self, tenant: TenantId, session: SessionId) -> Result<Option<Timestamp>, StorageError> {
        self.read(&keys::last_send(tenant, session)).await
    }

    /// How many messages a session has to send, those that wait for their time among them.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn outbox_depth(&self, tenant: TenantId, session: SessionId) -> Result<u64, StorageError> {
        Ok(count_in(self.engine.get(&keys::outbox_size(tenant, session)).await?.as_deref()))
    }

    /// Makes believe that so many messages wait already.
    #[cfg(test)]
    pub(crate) async fn fill_outbox(&self, tenant: TenantId, session: SessionId, messages: u64) {
        let mut batch = Batch::default();
        batch.add(keys::outbox_size(tenant, session), i64::try_from(messages).unwrap());
        self.engine.commit(batch).await.unwrap();
    }
}
