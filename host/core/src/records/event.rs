//! Facts: what happened, numbered per tenant and never changed.

use serde::{Deserialize, Serialize};

use super::content::{Content, Extras};
use super::id::{MessageId, SessionId};
use super::message::MessageState;
use super::session::SessionState;
use crate::clock::Timestamp;

/// A message that came in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incoming {
    /// Its WhatsApp id, unique only together with chat and sender.
    pub whatsapp_id: String,
    /// JID of the chat.
    pub chat: String,
    /// JID of who wrote it, as the stanza had it.
    pub from: String,
    /// The writer's telephone number, digits only, whenever it is known.
    pub from_phone: Option<String>,
    /// The writer's LID, whenever it is known.
    pub from_lid: Option<String>,
    /// The name that the writer gave themselves.
    pub push_name: Option<String>,
    /// Written by the session's own account on another device.
    pub from_me: bool,
    /// Whether the chat is a group.
    pub group: bool,
    /// When WhatsApp says it was sent.
    pub sent_at: Timestamp,
    /// What it says.
    pub content: Content,
    /// What goes with it.
    #[serde(default)]
    pub extras: Extras,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Fact {
    /// A message came in.
    MessageReceived(Box<Incoming>),
    /// An accepted message came further.
    MessageState {
        /// Which message.
        message: MessageId,
        /// Its id on WhatsApp.
        whatsapp_id: String,
        /// JID of its chat.
        chat: String,
        /// How far it has come.
        state: MessageState,
        /// Why, when it failed.
        reason: Option<String>,
    },
    /// A session changed its state.
    SessionState {
        /// The new state.
        state: SessionState,
        /// Why, when that needs words.
        reason: Option<String>,
    },
}

impl Fact {
    /// The name of the type, `<resource>.<what happened>`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::MessageReceived(_) => "message.received",
            Self::MessageState { state, .. } => match state {
                MessageState::Queued => "message.queued",
                MessageState::Leased => "message.leased",
                MessageState::Sent => "message.sent",
                MessageState::Acknowledged => "message.acknowledged",
                MessageState::Delivered => "message.delivered",
                MessageState::Read => "message.read",
                MessageState::Played => "message.played",
                MessageState::Failed => "message.failed",
                MessageState::Expired => "message.expired",
                MessageState::Cancelled => "message.cancelled",
            },
            Self::SessionState { .. } => "session.state",
        }
    }

    /// The chat it belongs to; what happens in one chat is handled in order.
    pub fn chat(&self) -> Option<&str> {
        match self {
            Self::MessageReceived(incoming) => Some(&incoming.chat),
            Self::MessageState { chat, .. } => Some(chat),
            Self::SessionState { .. } => None,
        }
    }
}

/// One entry of a tenant's event log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its number in the tenant's log, from 1.
    #[serde(default)]
    pub n: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// The session it happened to.
    pub session: SessionId,
    /// What happened.
    pub fact: Fact,
}
