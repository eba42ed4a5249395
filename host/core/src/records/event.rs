//! Facts: what happened, numbered per tenant and never changed.

use serde::{Deserialize, Serialize};

use super::content::{Content, Extras, MediaSource, Person};
use super::id::{MessageId, SessionId, WebhookId};
use super::message::MessageState;
use super::people::KnownContact;
use super::session::SessionState;
use crate::clock::Timestamp;

/// A message that came in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incoming {
    /// Its WhatsApp id, unique only together with chat and sender.
    pub whatsapp_id: String,
    /// JID of the chat.
    pub chat: String,
    /// The telephone number of the person whom the chat is with, whenever it is known; `None` for a group.
    #[serde(default)]
    pub chat_phone: Option<String>,
    /// The LID of the person whom the chat is with, whenever it is known; `None` for a group.
    #[serde(default)]
    pub chat_lid: Option<String>,
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

/// What was changed in a group, and by whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupChange {
    /// JID of the group.
    pub chat: String,
    /// What was changed: `add`, `remove`, `leave`, `promote`, `demote`, `subject`, `description`, `picture`, `create`,
    /// `delete` and so on, as WhatsApp names it.
    pub change: String,
    /// The new value, where one word or text says it: the subject, the seconds after which messages disappear, `on`, `off`.
    pub value: Option<String>,
    /// Who did it, when WhatsApp says so.
    pub by: Option<Person>,
    /// Whom it was done to.
    pub participants: Vec<Person>,
    /// When WhatsApp says it was done.
    pub changed_at: Timestamp,
}

/// What somebody does in a chat just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatActivity {
    /// Writing a text.
    Typing,
    /// Recording a voice note.
    Recording,
    /// Neither any more.
    Paused,
}

impl ChatActivity {
    /// The name in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Typing => "typing",
            Self::Recording => "recording",
            Self::Paused => "paused",
        }
    }
}

/// A call that rings, or rang.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Its id.
    pub call_id: String,
    /// Who calls.
    pub from: Person,
    /// JID of the group that is called, if it is one.
    pub group: Option<String>,
    /// With a picture.
    pub video: bool,
    /// When WhatsApp says it began.
    pub called_at: Timestamp,
}

/// The file of a message that came in, as the tenant now keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredMedia {
    /// Number of the event of the message that it came with.
    pub event: u64,
    /// WhatsApp id of that message.
    pub whatsapp_id: String,
    /// JID of its chat.
    pub chat: String,
    /// The file's handle.
    pub media: String,
    /// Its MIME type.
    pub mime: String,
    /// How many bytes.
    pub size: u64,
    /// SHA-256 of its bytes, lower-case hexadecimal.
    pub sha256: String,
    /// The name that it came with.
    pub file_name: Option<String>,
    /// When the tenant keeps it no longer.
    pub expires_at: Timestamp,
}

/// Something about somebody whom a session knows is new.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContactChange {
    /// All that is known of them now.
    pub contact: KnownContact,
    /// The session did not know them before.
    pub new: bool,
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
    /// A QR code waits to be scanned. Told only while somebody wants it.
    SessionQr {
        /// The text in it.
        text: String,
        /// When the next one takes its place.
        expires_at: Timestamp,
    },
    /// Something about a contact is new. Told only while somebody wants it.
    ContactChanged(Box<ContactChange>),
    /// One person of a group got, read or played a message that was accepted.
    Receipt {
        /// Which message.
        message: MessageId,
        /// Its id on WhatsApp.
        whatsapp_id: String,
        /// JID of the group.
        chat: String,
        /// Who.
        by: Person,
        /// How far the message has come with them.
        state: MessageState,
    },
    /// A group is no longer as it was.
    GroupChanged(Box<GroupChange>),
    /// A contact came or went.
    PresenceChanged {
        /// Who.
        person: Person,
        /// Whether they are there now.
        online: bool,
        /// When they were there last, when they show it.
        last_seen: Option<Timestamp>,
    },
    /// Somebody types, records or stopped.
    ChatState {
        /// JID of the chat.
        chat: String,
        /// Who.
        person: Person,
        /// What they do.
        activity: ChatActivity,
    },
    /// Somebody calls.
    CallReceived(Box<Call>),
    /// A call is over, or rings here no longer.
    CallEnded {
        /// The call.
        call: Box<Call>,
        /// Why: `missed`, `accepted_elsewhere`, `rejected_elsewhere`, `rejected`, `ended` or WhatsApp's own word.
        reason: String,
    },
    /// The file of a message that came in was fetched.
    MediaStored(Box<StoredMedia>),
    /// The file of a message that came in cannot be had.
    MediaFailed {
        /// Number of the event of that message.
        event: u64,
        /// Its WhatsApp id.
        whatsapp_id: String,
        /// JID of its chat.
        chat: String,
        /// Why.
        reason: String,
    },
    /// The host switched a webhook endpoint off, because of what its receiver does.
    WebhookDisabled {
        /// The endpoint.
        webhook: WebhookId,
        /// Why.
        reason: String,
    },
}

/// The type of [`Fact::SessionQr`].
pub const SESSION_QR: &str = "session.qr";
/// The type of [`Fact::ContactChanged`].
pub const CONTACT_CHANGED: &str = "contact.changed";

/// The type of every event that is ever written. What a message waits in before it is sent (`queued`, `leased`) is none.
pub const EVENT_TYPES: [&str; 25] = [
    "call.ended",
    "call.received",
    "chat.state",
    CONTACT_CHANGED,
    "group.changed",
    "media.failed",
    "media.stored",
    "message.acknowledged",
    "message.cancelled",
    "message.delivered",
    "message.edited",
    "message.expired",
    "message.failed",
    "message.played",
    "message.reaction",
    "message.read",
    "message.receipt",
    "message.received",
    "message.revoked",
    "message.sent",
    "poll.vote",
    "presence.changed",
    SESSION_QR,
    "session.state",
    "webhook.disabled",
];

impl Fact {
    /// The name of the type, `<resource>.<what happened>`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::MessageReceived(incoming) => match incoming.content {
                Content::Reaction(_) => "message.reaction",
                Content::Edit(_) => "message.edited",
                Content::Revoke(_) => "message.revoked",
                Content::PollVote(_) => "poll.vote",
                _ => "message.received",
            },
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
            Self::SessionQr { .. } => SESSION_QR,
            Self::ContactChanged(_) => CONTACT_CHANGED,
            Self::Receipt { .. } => "message.receipt",
            Self::GroupChanged(_) => "group.changed",
            Self::PresenceChanged { .. } => "presence.changed",
            Self::ChatState { .. } => "chat.state",
            Self::CallReceived(_) => "call.received",
            Self::CallEnded { .. } => "call.ended",
            Self::MediaStored(_) => "media.stored",
            Self::MediaFailed { .. } => "media.failed",
            Self::WebhookDisabled { .. } => "webhook.disabled",
        }
    }

    /// Whether a file belongs to it that lies with WhatsApp.
    pub fn has_file(&self) -> bool {
        let Self::MessageReceived(incoming) = self else { return false };
        incoming.content.media().is_some_and(|media| matches!(media.source, MediaSource::WhatsApp(_)))
    }

    /// The chat it belongs to; what happens in one chat is handled in order.
    pub fn chat(&self) -> Option<&str> {
        match self {
            Self::MessageReceived(incoming) => Some(&incoming.chat),
            Self::MessageState { chat, .. }
            | Self::Receipt { chat, .. }
            | Self::ChatState { chat, .. }
            | Self::MediaFailed { chat, .. } => Some(chat),
            Self::MediaStored(stored) => Some(&stored.chat),
            Self::GroupChanged(change) => Some(&change.chat),
            Self::PresenceChanged { person, .. } => Some(&person.jid),
            Self::CallReceived(call) | Self::CallEnded { call, .. } => Some(call.group.as_ref().unwrap_or(&call.from.jid)),
            Self::SessionState { .. } | Self::SessionQr { .. } | Self::ContactChanged(_) | Self::WebhookDisabled { .. } => {
                None
            }
        }
    }

    /// Every JID under which the chat is known: a person has one by telephone number and one by LID.
    pub fn chat_names(&self) -> Vec<String> {
        let Some(chat) = self.chat() else { return Vec::new() };
        let (phone, lid) = match self {
            Self::MessageReceived(incoming) => (&incoming.chat_phone, &incoming.chat_lid),
            Self::PresenceChanged { person, .. } | Self::ChatState { person, .. } if person.jid == chat => {
                (&person.phone, &person.lid)
            }
            Self::CallReceived(call) | Self::CallEnded { call, .. } if call.group.is_none() => {
                (&call.from.phone, &call.from.lid)
            }
            _ => (&None, &None),
        };
        let by_phone = phone.as_ref().map(|phone| format!("{phone}@s.whatsapp.net"));
        let mut names = vec![chat.to_owned()];
        names.extend([by_phone, lid.clone()].into_iter().flatten().filter(|name| name != chat));
        names
    }
}

/// What opens votes in a poll, and whose poll it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KnownPoll {
    /// The options, in order.
    pub options: Vec<String>,
    /// The secret that came with the poll, 32 bytes.
    pub secret: Vec<u8>,
    /// Who asked.
    pub author: Person,
    /// When it was written down.
    pub at: Timestamp,
}

/// A fact to write down.
#[derive(Clone, Debug, PartialEq)]
pub struct NewFact {
    /// What happened.
    pub fact: Fact,
    /// What tells it apart when it is told again; `None` for what comes and goes.
    pub once: Option<Once>,
    /// The poll that came with it.
    pub poll: Option<KnownPoll>,
}

/// What tells one fact of a session from all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// JID of the chat.
    pub chat: String,
    /// JID of who caused it.
    pub from: String,
    /// Its id, unique together with the other two.
    pub id: String,
}

impl From<Incoming> for NewFact {
    fn from(incoming: Incoming) -> Self {
        let once = Once { chat: incoming.chat.clone(), from: incoming.from.clone(), id: incoming.whatsapp_id.clone() };
        Self { fact: Fact::MessageReceived(Box::new(incoming)), once: Some(once), poll: None }
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
    /// The session it happened to; [`SessionId::NONE`] for what concerns the tenant as a whole.
    pub session: SessionId,
    /// What happened.
    pub fact: Fact,
}
