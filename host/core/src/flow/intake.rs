//! Intake: where a wish to send is judged, and where "accepted" is said.
//!
//! Sender-route, policies, template and quota belong here, before the one commit. Invariant: an `Ok` from [`Intake::accept`]
//! means that the message is durable in the outbox under the WhatsApp id that it will keep.

use std::sync::Arc;

use super::wakes::Wakes;
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::records::content::{Content, Extras};
use crate::records::id::{MessageId, SessionId, TenantId, draw_whatsapp_id};
use crate::records::message::{Message, MessageState, Schedule};
use crate::records::session::SessionState;
use crate::rules::address::{AddressError, JidServer, parse_recipient};
use crate::storage::{Storage, StorageError};

/// Most characters of a text, WhatsApp's own limit.
pub const TEXT_CHARS_MAX: usize = 65_536;
/// Most people one message mentions.
pub const MENTIONS_MAX: usize = 1024;
/// Most characters of the id of a quoted message.
pub const QUOTED_ID_CHARS_MAX: usize = 128;
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
    /// The plugin that wishes it.
    pub origin: Option<String>,
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
        let mut message = self.judge(tenant, wish).await?;
        for _ in 0..ID_TRIES_MAX {
            match self.storage.accept_messages(tenant, std::slice::from_ref(&message)).await {
                Ok(()) => {
                    self.wakes.outbox_has_more(message.session);
                    return Ok(message);
                }
                Err(StorageError::Conflict) => {
                    if self.storage.session(tenant, message.session).await?.is_none() {
                        return Err(IntakeError::NoSuchSession(message.session));
                    }
                    message.id = self.draw_message_id();
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(StorageError::Conflict.into())
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
        if to.server == JidServer::Group {
            return Err(IntakeError::NotYet { content_type: "group text".to_owned() });
        }
        if !matches!(session.state, SessionState::Connected | SessionState::Reconnecting) {
            return Err(IntakeError::NotConnected { session: session.id, state: session.state });
        }
        let now = self.clock.now();
        Ok(Message {
            id: MessageId::draw(now, &*self.entropy),
            session: session.id,
            to: to.to_string(),
            content: wish.content,
            extras,
            whatsapp_id: draw_whatsapp_id(&*self.entropy),
            schedule: Schedule::default(),
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
