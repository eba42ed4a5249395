//! An accepted message on its way to WhatsApp.

use serde::{Deserialize, Serialize};

use super::content::{Content, Extras};
use super::id::{MessageId, SessionId};
use crate::clock::Timestamp;

/// How far a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// Durable in the outbox.
    Accepted,
    /// WhatsApp's server took it.
    Sent,
    /// A device of the receiver has it.
    Delivered,
    /// The receiver looked at it.
    Read,
    /// It will not be sent; the reason is beside it.
    Failed,
}

impl MessageState {
    /// The name in events and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed => "failed",
        }
    }
}

/// A message that was accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// The session that sends it.
    pub session: SessionId,
    /// JID of the chat it goes to.
    pub to: String,
    /// What it says.
    pub content: Content,
    /// What goes with it.
    #[serde(default)]
    pub extras: Extras,
    /// The id it has and keeps on WhatsApp, chosen at acceptance.
    pub whatsapp_id: String,
    /// How far it has come.
    pub state: MessageState,
    /// Why it failed.
    pub reason: Option<String>,
    /// How often it was handed to WhatsApp.
    #[serde(default)]
    pub attempts: u32,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When its state last changed.
    pub updated_at: Timestamp,
    /// The plugin that asked for it, if one did.
    pub origin: Option<String>,
}

/// What a device says of messages that it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The messages' WhatsApp ids.
    pub whatsapp_ids: Vec<String>,
    /// JID of whose device it is.
    pub from: String,
    /// How far the messages have come with it.
    pub state: MessageState,
}
