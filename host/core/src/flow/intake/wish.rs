//! What is asked of intake, and why it refuses.

use std::sync::Arc;

use super::super::media::MediaRefusal;
use super::BATCH_MESSAGES_MAX;
use crate::records::account::Principal;
use crate::records::content::{Content, Extras};
use crate::records::id::SessionId;
use crate::records::message::{BatchRecord, Message, Schedule};
use crate::records::session::SessionState;
use crate::rules::address::AddressError;
use crate::rules::quota::Reached;
use crate::storage::{OUTBOX_MESSAGES_MAX, StorageError};

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
    /// Whose key wishes it; nobody's, where a responder does. What a test key wishes never leaves the host.
    pub by: Option<Arc<Principal>>,
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
    /// The customer has set the session not to send.
    #[error("session {0} is set not to send")]
    SwitchedOff(SessionId),
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
    /// A limit of the tenant or of the session is used up.
    #[error("{0}")]
    QuotaReached(Reached),
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
    /// No session was named, and none can or will send it.
    #[error("{0}")]
    NoSender(String),
    /// There is no template of this name, or none in this language.
    #[error("{0}")]
    NoSuchTemplate(String),
    /// The template needs a parameter that is not given.
    #[error("the template needs a parameter {0:?}")]
    MissingParameter(String),
    /// A policy does not let it through.
    #[error("a policy does not allow it: {0}")]
    RefusedByPolicy(String),
    /// A policy, or whatever renders templates, could not be asked. It may work later.
    #[error("it cannot be judged now: {0}")]
    GuardFailed(String),
    /// The message's file cannot be sent.
    #[error("the media {0}")]
    Media(#[from] MediaRefusal),
    /// Storage failed; nothing was accepted.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
