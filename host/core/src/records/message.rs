//! An accepted message on its way to WhatsApp.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::content::{Content, Extras, TemplateCall};
use super::id::{BatchId, MessageId, SessionId};
use crate::clock::Timestamp;

/// How far a message has come. The order is the order of progress; the last three are ends that no receipt moves on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// Durable in the outbox; it waits for its time and its turn.
    Queued,
    /// A worker has the right to send it, and nobody else.
    Leased,
    /// Handed to WhatsApp's server, which has not answered in time: it is handed over again under its id.
    Sent,
    /// WhatsApp's server took it.
    Acknowledged,
    /// A device of the receiver has it.
    Delivered,
    /// The receiver looked at it.
    Read,
    /// The receiver played it: a voice note, or what can be looked at once.
    Played,
    /// It will not be sent; the reason is beside it.
    Failed,
    /// Its time was over before it could be sent.
    Expired,
    /// The customer took it back before it was sent.
    Cancelled,
}

impl MessageState {
    /// Every state, in the order of progress.
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::Leased,
        Self::Sent,
        Self::Acknowledged,
        Self::Delivered,
        Self::Read,
        Self::Played,
        Self::Failed,
        Self::Expired,
        Self::Cancelled,
    ];

    /// The name in events and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Sent => "sent",
            Self::Acknowledged => "acknowledged",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Played => "played",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it ended without being sent.
    pub fn is_refusal(self) -> bool {
        matches!(self, Self::Failed | Self::Expired | Self::Cancelled)
    }

    /// Whether it still has to be handed to the server, or handed over again.
    pub fn is_pending(self) -> bool {
        self < Self::Acknowledged
    }
}

/// Who goes first when several messages of a session are due. Within one chat, messages go in the order of acceptance whatever
/// their priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Somebody waits for it.
    #[default]
    Interactive,
    /// One of many: it gives way to the others.
    Bulk,
}

/// Limits that the API a message came through promises for each session, beside those of the account and the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ApiLimits {
    /// Which limits they are: what comes under the same number is counted together.
    pub id: u64,
    /// Messages accepted in a minute of the calendar.
    pub per_minute: Option<u64>,
    /// Messages accepted in a day, UTC.
    pub per_day: Option<u64>,
    /// Messages accepted in a calendar month, UTC.
    pub per_month: Option<u64>,
}

/// What a message asks of the outbox beyond being sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Who goes first.
    #[serde(default)]
    pub priority: Priority,
    /// Not before this moment.
    #[serde(default)]
    pub send_at: Option<Timestamp>,
    /// Not after this moment: what has not been handed to the server by then expires.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// Least time since the session's last send, milliseconds, if the message came through an API that promises one.
    #[serde(default)]
    pub gap_ms: Option<u64>,
    /// Up to this much more, at random, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter_ms: Option<u64>,
    /// Most sends of the session in any 60 s with this one, if that API promises so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sends_per_minute: Option<u32>,
    /// What that API counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiLimits>,
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
    /// When and before whom it is to go.
    #[serde(default)]
    pub schedule: Schedule,
    /// The batch it was accepted with.
    #[serde(default)]
    pub batch: Option<BatchId>,
    /// How far it has come.
    pub state: MessageState,
    /// Why it failed, or why it is not further.
    pub reason: Option<String>,
    /// How often it was handed to WhatsApp.
    #[serde(default)]
    pub attempts: u32,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When its state last changed.
    pub updated_at: Timestamp,
    /// When it reached each state that it has been in. What overtook another on its way leaves that other out.
    #[serde(default)]
    pub reached: BTreeMap<MessageState, Timestamp>,
    /// The plugin that asked for it, if one did.
    pub origin: Option<String>,
    /// The template that its content was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateCall>,
    /// Asked for with a test key: it never leaves the host, and what becomes of it is made up.
    #[serde(default)]
    pub test: bool,
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

/// Messages that were accepted together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchRecord {
    /// Its id.
    pub id: BatchId,
    /// The session that sends it.
    pub session: SessionId,
    /// How many messages it has.
    pub messages: u64,
    /// The name that people gave it.
    pub name: Option<String>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
}
