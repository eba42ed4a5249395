//! Intake: where a wish to send is judged, and where "accepted" is said.
//!
//! Sender-route, policies, template and quota belong here, before the one commit. Invariant: an `Ok` from [`Intake::accept`]
//! means that the message is durable in the outbox under the WhatsApp id that it will keep.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::wakes::Wakes;
use crate::clock::{Clock, Timestamp};
use crate::entropy::Entropy;
use crate::records::content::{Content, Extras};
use crate::records::id::{BatchId, MessageId, SessionId, TenantId, draw_whatsapp_id};
use crate::records::message::{BatchRecord, Message, MessageState, Schedule};
use crate::records::session::SessionState;
use crate::rules::address::{AddressError, JidServer, parse_recipient};
use crate::storage::{Acceptance, OUTBOX_MESSAGES_MAX, Storage, StorageError};

/// Most characters of a text, WhatsApp's own limit.
pub const TEXT_CHARS_MAX: usize = 65_536;
/// Most people one message mentions.
pub const MENTIONS_MAX: usize = 1024;
/// Most characters of the id of a quoted message.
pub const QUOTED_ID_CHARS_MAX: usize = 128;
/// Most messages of one batch.
pub const BATCH_MESSAGES_MAX: usize = 1000;
/// How far ahead a message may be scheduled.
pub const SCHEDULE_AHEAD_MAX: Duration = Duration::from_secs(366 * 86_400);
/// How often a drawn message id may be taken already before intake gives up.
const ID_TRIES_MAX: u32 = 4;

/// A wish to send.
#[derive(Clone, Debug, PartialEq)]
pub struct SendWish {
    /// The session that is to send.
    pub session: SessionId,
    /// A telephone number or a JID.
    pub to: String,
    /// What to say.
    pub content: Content,
    /// What goes with it.
    pub extras: Extras,
    /// When and before whom it is to go.
    pub schedule: Schedule,
    /// The plugin that wishes it.
    pub origin: Option<String>,
}

/// A wish to send many messages from one session.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchWish {
    /// The session that is to send them, whatever the wishes say.
    pub session: SessionId,
    /// A name for people.
    pub name: Option<String>,
    /// The wishes.
    pub messages: Vec<SendWish>,
}

/// What became of a batch.
#[derive(Debug)]
pub struct AcceptedBatch {
    /// The batch; `None` when nothing was taken.
    pub record: Option<BatchRecord>,
    /// What became of each wish, in their order. A wish that was taken has its message.
    pub results: Vec<Result<Option<Message>, IntakeError>>,
}

/// Why a wish was refused.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The tenant has no such session.
    #[error("session {0} does not exist")]
    NoSuchSession(SessionId),
    /// The session is not linked or was taken off line.
    #[error("session {session} is {}, not connected", state.name())]
    NotConnected {
        /// Which session.
        session: SessionId,
        /// Where it stands.
        state: SessionState,
    },
    /// The recipient is neither a telephone number nor a JID.
    #[error(transparent)]
    Recipient(#[from] AddressError),
    /// A field has a value that cannot be sent.
    #[error("{field}: {why}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong, with value and limit.
        why: String,
    },
    /// The type of message is known, but this version cannot send it.
    #[error("messages of type {content_type} cannot be sent yet")]
    NotYet {
        /// The type.
        content_type: String,
    },
    /// The session has too much to send already.
    #[error("session {session} has {OUTBOX_MESSAGES_MAX} messages to send; that is the limit")]
    OutboxFull {
        /// Which session.
        session: SessionId,
    },
    /// A batch of no messages, or of too many.
    #[error("a batch of {messages} messages; 1 to {BATCH_MESSAGES_MAX} are allowed")]
    BatchSize {
        /// How many there are.
        messages: usize,
    },
    /// Storage failed; nothing was accepted.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Judges wishes and commits what it accepts.
#[derive(Clone)]
pub struct Intake {
    storage: Storage,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    wakes: Arc<Wakes>,
}

impl Intake {
    /// An intake over `storage`.
    pub fn new(storage: Storage, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>, wakes: Arc<Wakes>) -> Self {
        Self { storage, clock, entropy, wakes }
    }

    /// Accepts a wish: the message that is returned is durable.
    ///
    /// # Errors
    /// [`IntakeError`]; nothing was accepted then.
    pub async fn accept(&self, tenant: TenantId, wish: SendWish) -> Result<Message, IntakeError> {
        let message = self.judge(tenant, wish).await?;
        let acceptance = Acceptance { messages: vec![message], batch: None };
        let accepted = self.commit(tenant, acceptance).await?;
        accepted.messages.into_iter().next().ok_or(IntakeError::Storage(StorageError::Conflict))
    }

    /// Accepts a batch: every wish is judged by itself, and those that are taken are durable together. A batch of which
    /// nothing is taken is none.
    ///
    /// # Errors
    /// [`IntakeError::BatchSize`] for too many wishes or none; else when storage fails or the outbox has no room.
    pub async fn accept_batch(&self, tenant: TenantId, wish: BatchWish) -> Result<AcceptedBatch, IntakeError> {
        let count = wish.messages.len();
        if count == 0 || count > BATCH_MESSAGES_MAX {
            return Err(IntakeError::BatchSize { messages: count });
        }
        let now = self.clock.now();
        let id = BatchId(self.draw_message_id().0);
        let mut judged: Vec<Result<(), IntakeError>> = Vec::with_capacity(count);
        let mut messages: Vec<Message> = Vec::with_capacity(count);
        let mut ids = HashSet::new();
        for one in wish.messages {
            let verdict = self.judge(tenant, SendWish { session: wish.session, ..one }).await;
            judged.push(verdict.map(|mut message| {
                while !ids.insert(message.id) {
                    message.id = MessageId(message.id.0 + 1);
                }
                message.batch = Some(id);
                messages.push(message);
            }));
        }
        if messages.is_empty() {
            return Ok(AcceptedBatch { record: None, results: judged.into_iter().map(|one| one.map(|()| None)).collect() });
        }
        let record =
            BatchRecord { id, session: wish.session, messages: messages.len() as u64, name: wish.name, accepted_at: now };
        let accepted = self.commit(tenant, Acceptance { messages, batch: Some(record) }).await?;
        let mut messages = accepted.messages.into_iter();
        let results = judged.into_iter().map(|one| one.map(|()| messages.next())).collect();
        Ok(AcceptedBatch { record: accepted.batch, results })
    }

    /// Commits what was judged, under other ids where they are taken.
    async fn commit(&self, tenant: TenantId, mut acceptance: Acceptance) -> Result<Acceptance, IntakeError> {
        for _ in 0..ID_TRIES_MAX {
            match self.storage.accept(tenant, &acceptance).await {
                Ok(()) => {
                    self.wake(&acceptance.messages);
                    return Ok(acceptance);
                }
                Err(StorageError::Conflict) => self.settle_conflict(tenant, &mut acceptance).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(StorageError::Conflict.into())
    }

    /// Finds out what stood in the way: a session that is gone, an outbox that is full, or an id that is taken.
    async fn settle_conflict(&self, tenant: TenantId, acceptance: &mut Acceptance) -> Result<(), IntakeError> {
        let sessions: HashSet<SessionId> = acceptance.messages.iter().map(|message| message.session).collect();
        for session in sessions {
            if self.storage.session(tenant, session).await?.is_none() {
                return Err(IntakeError::NoSuchSession(session));
            }
            let room = OUTBOX_MESSAGES_MAX.saturating_sub(self.storage.outbox_depth(tenant, session).await?);
            if room < acceptance.messages.len() as u64 {
                return Err(IntakeError::OutboxFull { session });
            }
        }
        let base = self.draw_message_id();
        for (at, message) in (0..).zip(&mut acceptance.messages) {
            message.id = MessageId(base.0 + at);
            message.batch = message.batch.map(|_| BatchId(base.0));
        }
        if let Some(record) = &mut acceptance.batch {
            record.id = BatchId(base.0);
        }
        Ok(())
    }

    fn wake(&self, messages: &[Message]) {
        let sessions: HashSet<SessionId> = messages.iter().map(|message| message.session).collect();
        sessions.into_iter().for_each(|session| self.wakes.outbox_has_more(session));
        if messages.iter().any(|message| message.schedule.send_at.or(message.schedule.expires_at).is_some()) {
            self.wakes.timer_was_set();
        }
    }

    /// A new id for a message of now.
    pub(super) fn draw_message_id(&self) -> MessageId {
        MessageId::draw(self.clock.now(), &*self.entropy)
    }

    /// Judges a wish without accepting it: the message as it would be kept.
    ///
    /// # Errors
    /// [`IntakeError`].
    pub async fn judge(&self, tenant: TenantId, wish: SendWish) -> Result<Message, IntakeError> {
        let session = self.storage.session(tenant, wish.session).await?.ok_or(IntakeError::NoSuchSession(wish.session))?;
        let to = parse_recipient(&wish.to)?;
        check_content(&wish.content)?;
        let extras = checked_extras(wish.extras)?;
        let now = self.clock.now();
        check_schedule(&wish.schedule, now)?;
        if to.server == JidServer::Group {
            return Err(IntakeError::NotYet { content_type: "group text".to_owned() });
        }
        if !matches!(session.state, SessionState::Connected | SessionState::Reconnecting) {
            return Err(IntakeError::NotConnected { session: session.id, state: session.state });
        }
        Ok(Message {
            id: MessageId::draw(now, &*self.entropy),
            session: session.id,
            to: to.to_string(),
            content: wish.content,
            extras,
            whatsapp_id: draw_whatsapp_id(&*self.entropy),
            schedule: wish.schedule,
            batch: None,
            state: MessageState::Queued,
            reason: None,
            attempts: 0,
            accepted_at: now,
            updated_at: now,
            reached: [(MessageState::Queued, now)].into(),
            origin: wish.origin,
        })
    }
}

fn check_content(content: &Content) -> Result<(), IntakeError> {
    let Content::Text(text) = content else {
        return Err(IntakeError::NotYet { content_type: content.type_name().to_owned() });
    };
    let chars = text.chars().count();
    if text.trim().is_empty() {
        return Err(IntakeError::Invalid { field: "text", why: "is empty".to_owned() });
    }
    if chars > TEXT_CHARS_MAX {
        let why = format!("has {chars} characters; the limit is {TEXT_CHARS_MAX}");
        return Err(IntakeError::Invalid { field: "text", why });
    }
    Ok(())
}

fn check_schedule(schedule: &Schedule, now: Timestamp) -> Result<(), IntakeError> {
    let invalid = |field, why: String| Err(IntakeError::Invalid { field, why });
    let latest = now.plus(SCHEDULE_AHEAD_MAX);
    let days = SCHEDULE_AHEAD_MAX.as_secs() / 86_400;
    for (field, moment) in [("send_at", schedule.send_at), ("expires_at", schedule.expires_at)] {
        if let Some(moment) = moment.filter(|moment| *moment > latest) {
            return invalid(field, format!("{} is more than {days} days ahead", moment.0));
        }
    }
    let begins = schedule.send_at.map_or(now, |send_at| send_at.max(now));
    match schedule.expires_at {
        Some(expires_at) if expires_at <= begins => {
            invalid("expires_at", format!("{} is not after the moment of sending, {}", expires_at.0, begins.0))
        }
        _ => Ok(()),
    }
}

/// The extras with every mention as the JID of a person.
fn checked_extras(extras: Extras) -> Result<Extras, IntakeError> {
    let invalid = |field, why: String| IntakeError::Invalid { field, why };
    if extras.mentions.len() > MENTIONS_MAX {
        return Err(invalid("mentions", format!("has {} entries; the limit is {MENTIONS_MAX}", extras.mentions.len())));
    }
    let chars = extras.quote.as_ref().map_or(0, |quote| quote.message_id.chars().count());
    if chars > QUOTED_ID_CHARS_MAX {
        return Err(invalid("quote", format!("an id of {chars} characters; the limit is {QUOTED_ID_CHARS_MAX}")));
    }
    let mut mentions = Vec::with_capacity(extras.mentions.len());
    for mention in &extras.mentions {
        let jid = parse_recipient(mention).map_err(|error| invalid("mentions", error.to_string()))?;
        if jid.server == JidServer::Group {
            return Err(invalid("mentions", format!("{jid} is a group; people are mentioned")));
        }
        mentions.push(jid.to_string());
    }
    Ok(Extras { mentions, ..extras })
}
