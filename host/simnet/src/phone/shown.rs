//! A received message as the phone's owner sees it, whatever wrapper and kind it came in.
//!
//! Every kind of content gets a type name; what has no shape of its own here still gets its name, and its text
//! where it has one. Messages that the owner never sees (key shares, sender keys, app-state requests) give `None`.

use serde::{Deserialize, Serialize};
use waproto::whatsapp::message::protocol_message::Type as ProtocolType;
use waproto::whatsapp::message::{FutureProofMessage, ProtocolMessage};
use waproto::whatsapp::{ContextInfo, Message, MessageKey};

use super::content;
use super::shapes::{
    ShownButtons, ShownChoice, ShownContact, ShownEphemeral, ShownEvent, ShownEventResponse, ShownFlow, ShownGroupInvite,
    ShownInteractive, ShownKeep, ShownList, ShownLocation, ShownMedia, ShownPin, ShownPoll, ShownPollVote, ShownPreview,
    ShownReaction, ShownRow, ShownTemplate,
};
use super::types::Envelope;

/// Deeper wrapping than this comes from no client; the rest is shown as it stands.
const WRAPPERS_MAX: usize = 16;

/// One entry on the phone's screen. An edit or a revoke is an entry of its own that names the message it is about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReceivedMessage {
    /// Its number on this phone, from 1.
    pub n: u64,
    /// The message's id.
    pub id: String,
    /// The peer or the group.
    pub chat: String,
    /// Who sent it.
    pub from: String,
    /// The name under which its sender presents himself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_name: Option<String>,
    /// What it is: `text`, `image`, `poll`, `edit`, `revoke` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// The text of a text message, or the visible text of an interactive one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What it shows of the page it links to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview: Option<ShownPreview>,
    /// The text under a picture, film or file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// The file it refers to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media: Option<ShownMedia>,
    /// The poll it opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll: Option<ShownPoll>,
    /// The vote it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll_vote: Option<ShownPollVote>,
    /// The place it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<ShownLocation>,
    /// The contact it carries; of several, all their cards one after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<ShownContact>,
    /// The contacts it carries, when they are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<ShownContact>,
    /// The reaction it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reaction: Option<ShownReaction>,
    /// The question with buttons it asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buttons: Option<ShownButtons>,
    /// The button it chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buttons_response: Option<ShownChoice>,
    /// The list it offers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<ShownList>,
    /// The line it chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_response: Option<ShownRow>,
    /// The native-flow buttons it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interactive: Option<ShownInteractive>,
    /// The native-flow answer it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interactive_response: Option<ShownFlow>,
    /// The template it is made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<ShownTemplate>,
    /// The button of a template it chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_button_reply: Option<ShownChoice>,
    /// The event it announces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<ShownEvent>,
    /// The answer to an event it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_response: Option<ShownEventResponse>,
    /// The invitation it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_invite: Option<ShownGroupInvite>,
    /// The message it pins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin: Option<ShownPin>,
    /// The message it keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<ShownKeep>,
    /// How it sets the chat's disappearing messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ephemeral_setting: Option<ShownEphemeral>,
    /// The id of the message it comments on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commented: Option<String>,
    /// The id of the message it edits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited: Option<String>,
    /// The id of the message it takes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<String>,
    /// The id of the message it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quoted_id: Option<String>,
    /// The JIDs it mentions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<String>,
    /// Whether it may be opened once only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub view_once: bool,
    /// Whether it is a voice note.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ptt: bool,
    /// Whether it is a film that plays like a GIF.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gif: bool,
    /// Whether it was forwarded.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub forwarded: bool,
    /// After how many seconds it disappears.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ephemeral_s: Option<u32>,
    /// Whether the phone's user has read it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read: bool,
    /// Whether the account's owner wrote it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub from_me: bool,
    /// With which device the owner wrote it: 0 is this phone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_device: Option<u16>,
}

impl ReceivedMessage {
    /// Notes what the message answers, whom it mentions, where it comes from and when it goes.
    pub(super) fn refer(&mut self, context: Option<&ContextInfo>) {
        if let Some(context) = context {
            self.quoted_id = present(context.stanza_id.as_deref());
            self.mentions.clone_from(&context.mentioned_jid);
            self.forwarded = context.is_forwarded.unwrap_or(false);
            self.ephemeral_s = context.expiration.filter(|seconds| *seconds > 0);
        }
    }

    /// Whether it has something to read, and is not only about another message.
    pub(super) fn is_content(&self) -> bool {
        const ABOUT_OTHERS: [&str; 9] =
            ["edit", "revoke", "reaction", "poll_vote", "event_response", "pin", "keep", "ephemeral_setting", "call_log"];
        !ABOUT_OTHERS.contains(&self.kind.as_str())
    }
}

/// The entry for a message, or `None` when its owner does not get to see it. Its number is still to be given.
pub(super) fn read(envelope: Envelope, message: &Message) -> Option<ReceivedMessage> {
    let mut entry =
        ReceivedMessage { id: envelope.id, chat: envelope.chat, from: envelope.from, ..ReceivedMessage::default() };
    let message = unwrap_into(&mut entry, message);
    // A copy of what an own companion sent is not something received.
    if message.device_sent_message.is_set() {
        return None;
    }
    let shown = match message.protocol_message.as_option() {
        Some(protocol) => read_protocol(&mut entry, protocol),
        None => content::read(&mut entry, message),
    };
    shown.then_some(entry)
}

/// Text that is there: an empty one counts as absent.
pub(super) fn present(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

fn read_protocol(entry: &mut ReceivedMessage, protocol: &ProtocolMessage) -> bool {
    let about = key_id(protocol.key.as_option());
    // Absent on the wire means the first of its kinds, which is a revoke.
    match protocol.r#type.unwrap_or(ProtocolType::REVOKE) {
        ProtocolType::REVOKE if about.is_some() => {
            entry.kind = "revoke".to_owned();
            entry.revoked = about;
            true
        }
        ProtocolType::MESSAGE_EDIT if about.is_some() => {
            if let Some(edited) = protocol.edited_message.as_option() {
                let edited = unwrap_into(entry, edited);
                content::read(entry, edited);
            }
            entry.kind = "edit".to_owned();
            entry.edited = about;
            true
        }
        ProtocolType::EPHEMERAL_SETTING => {
            let seconds = protocol.ephemeral_expiration.unwrap_or(0);
            entry.kind = "ephemeral_setting".to_owned();
            entry.ephemeral_setting = Some(ShownEphemeral { seconds });
            true
        }
        _ => false,
    }
}

/// The id a message key names.
pub(super) fn key_id(key: Option<&MessageKey>) -> Option<String> {
    present(key?.id.as_deref())
}

/// Takes off the wrappers around the content, and notes what they say about it.
pub(super) fn unwrap_into<'m>(entry: &mut ReceivedMessage, message: &'m Message) -> &'m Message {
    let (message, view_once) = unwrap(message);
    entry.view_once |= view_once;
    message
}

/// The content inside its wrappers, and whether one of them says that it may be opened once only.
pub(crate) fn unwrap(message: &Message) -> (&Message, bool) {
    let mut message = message;
    let mut once = false;
    for _ in 0..WRAPPERS_MAX {
        let view_once = [&message.view_once_message, &message.view_once_message_v2, &message.view_once_message_v2_extension]
            .into_iter()
            .find_map(|wrapper| inner(wrapper.as_option()));
        once |= view_once.is_some();
        match view_once.or_else(|| inner(plain_wrapper(message))) {
            Some(inner) => message = inner,
            None => break,
        }
    }
    (message, once)
}

fn inner(wrapper: Option<&FutureProofMessage>) -> Option<&Message> {
    wrapper?.message.as_option()
}

/// The wrapper that only tells old clients what they cannot show.
fn plain_wrapper(message: &Message) -> Option<&FutureProofMessage> {
    [
        &message.ephemeral_message,
        &message.document_with_caption_message,
        &message.edited_message,
        &message.group_mentioned_message,
        &message.bot_invoke_message,
        &message.lottie_sticker_message,
        &message.associated_child_message,
        &message.poll_creation_message_v4,
        &message.poll_creation_option_image_message,
        &message.event_cover_image,
        &message.status_mention_message,
        &message.group_status_mention_message,
        &message.status_add_yours,
        &message.group_status_message,
        &message.group_status_message_v2,
        &message.limit_sharing_message,
        &message.bot_task_message,
        &message.bot_forwarded_message,
        &message.question_message,
        &message.question_reply_message,
        &message.spoiler_message,
    ]
    .into_iter()
    .find_map(|wrapper| wrapper.as_option())
}
