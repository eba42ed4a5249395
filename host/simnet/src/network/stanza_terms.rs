//! What the stanza around a message says about it, although nobody could read that there: its kind, whether it changes
//! an earlier message, and what a device does that cannot open it.
//!
//! Follows what WhatsApp Web writes, as wacore 0.7.0 has it: `send/classify.rs` for the kinds and media types,
//! `types/message.rs` for the edit attribute; and whatsapp-rust 0.7.0 `send/mod.rs` for the `<meta>` element.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::whatsapp::message::protocol_message::Type as ProtocolType;
use waproto::whatsapp::message::secret_encrypted_message::SecretEncType;
use waproto::whatsapp::{KeepType, Message};

use super::Outgoing;
use crate::phone::unwrap_message;

const EDIT: &str = "1";
const PIN: &str = "2";
const REVOKE_BY_SENDER: &str = "7";
const REVOKE_BY_ADMIN: &str = "8";

/// The terms of one message.
pub(super) struct StanzaTerms {
    /// The stanza's `type`.
    pub(super) kind: &'static str,
    /// The stanza's `edit`.
    pub(super) edit: Option<&'static str>,
    /// The `mediatype` of its `<enc>`.
    pub(super) media_type: Option<&'static str>,
    /// Elements beside the `<enc>`.
    pub(super) extras: Vec<Node>,
    /// Whether a device that cannot open it should keep silent about that.
    pub(super) hides_failure: bool,
}

impl StanzaTerms {
    pub(super) fn of(message: &Message) -> Self {
        let (content, wrapped_once) = unwrap_message(message);
        let edit = edit(content);
        let is_change = edit.is_some_and(|edit| edit != REVOKE_BY_SENDER && edit != REVOKE_BY_ADMIN);
        Self {
            kind: kind(content),
            edit,
            media_type: media_type(content),
            extras: meta(content, wrapped_once).into_iter().collect(),
            hides_failure: is_change || is_quiet(content),
        }
    }

    /// Writes what belongs there into an `<enc>`.
    pub(super) fn dress(&self, mut enc: Node) -> Node {
        if let Some(media_type) = self.media_type {
            enc.attrs.insert("mediatype", media_type);
        }
        if self.hides_failure {
            enc.attrs.insert("decrypt-fail", "hide");
        }
        enc
    }
}

impl Outgoing {
    /// A message with the terms that belong to it.
    pub(crate) fn of(id: String, chat: Jid, message: Message) -> Self {
        let StanzaTerms { kind, edit, media_type, .. } = StanzaTerms::of(&message);
        Self { id, chat, kind, edit, media_type, message }
    }
}

fn kind(message: &Message) -> &'static str {
    if message.reaction_message.is_set() || message.enc_reaction_message.is_set() {
        return "reaction";
    }
    if message.event_message.is_set() || message.enc_event_response_message.is_set() {
        return "event";
    }
    if let Some(sealed) = message.secret_encrypted_message.as_option() {
        return match sealed.secret_enc_type {
            Some(SecretEncType::EVENT_EDIT) => "event",
            Some(SecretEncType::POLL_EDIT | SecretEncType::POLL_ADD_OPTION) => "poll",
            _ => "text",
        };
    }
    if opens_poll(message) || message.poll_update_message.is_set() {
        return "poll";
    }
    let is_text = message.conversation.is_some()
        || message.protocol_message.is_set()
        || message.keep_in_chat_message.is_set()
        || message.pin_in_chat_message.is_set()
        || message.interactive_message.is_set()
        || message.template_button_reply_message.is_set()
        || message.enc_comment_message.is_set()
        || message.album_message.is_set();
    // A text with a link travels as media, of type `url`.
    let is_plain = message.extended_text_message.is_set() && !has_link(message);
    if is_text || is_plain { "text" } else { "media" }
}

fn opens_poll(message: &Message) -> bool {
    message.poll_creation_message.is_set()
        || message.poll_creation_message_v2.is_set()
        || message.poll_creation_message_v3.is_set()
        || message.poll_creation_message_v5.is_set()
}

fn has_link(message: &Message) -> bool {
    let text = message.extended_text_message.as_option();
    text.is_some_and(|text| text.matched_text.as_deref().is_some_and(|link| !link.trim().is_empty()))
}

fn media_type(message: &Message) -> Option<&'static str> {
    if let Some(video) = message.video_message.as_option() {
        return Some(if video.gif_playback == Some(true) { "gif" } else { "video" });
    }
    if let Some(audio) = message.audio_message.as_option() {
        return Some(if audio.ptt == Some(true) { "ptt" } else { "audio" });
    }
    if let Some(place) = message.location_message.as_option() {
        return Some(if place.is_live == Some(true) { "livelocation" } else { "location" });
    }
    let others = [
        (message.image_message.is_set(), "image"),
        (message.ptv_message.is_set(), "ptv"),
        (message.document_message.is_set(), "document"),
        (message.sticker_message.is_set(), "sticker"),
        (message.live_location_message.is_set(), "livelocation"),
        (message.contact_message.is_set(), "vcard"),
        (message.contacts_array_message.is_set(), "contact_array"),
        (has_link(message), "url"),
        (message.group_invite_message.is_set(), "url"),
        (message.list_message.is_set(), "list"),
        (message.list_response_message.is_set(), "list_response"),
        (message.buttons_response_message.is_set(), "buttons_response"),
        (message.interactive_response_message.is_set(), "native_flow_response"),
    ];
    others.into_iter().find(|(is_set, _)| *is_set).map(|(_, name)| name)
}

fn edit(message: &Message) -> Option<&'static str> {
    if message.pin_in_chat_message.is_set() {
        return Some(PIN);
    }
    if let Some(protocol) = message.protocol_message.as_option() {
        return match protocol.r#type {
            Some(ProtocolType::REVOKE) => {
                let own = protocol.key.as_option().and_then(|key| key.from_me) == Some(true);
                Some(if own { REVOKE_BY_SENDER } else { REVOKE_BY_ADMIN })
            }
            Some(ProtocolType::MESSAGE_EDIT) => Some(EDIT),
            _ => None,
        };
    }
    if let Some(sealed) = message.secret_encrypted_message.as_option() {
        let edits = matches!(sealed.secret_enc_type, Some(SecretEncType::MESSAGE_EDIT | SecretEncType::EVENT_EDIT));
        return edits.then_some(EDIT);
    }
    // Taking back a reaction, or one's own keeping of a message, is a revoke as well.
    let reaction = message.reaction_message.as_option();
    if reaction.is_some_and(|reaction| reaction.text.as_deref() == Some("")) {
        return Some(REVOKE_BY_SENDER);
    }
    let keep = message.keep_in_chat_message.as_option()?;
    let own = keep.key.as_option().and_then(|key| key.from_me) == Some(true);
    (own && keep.keep_type == Some(KeepType::UNDO_KEEP_FOR_ALL)).then_some(REVOKE_BY_SENDER)
}

/// What nobody misses: no placeholder is shown for it.
fn is_quiet(message: &Message) -> bool {
    message.reaction_message.is_set()
        || message.enc_reaction_message.is_set()
        || message.pin_in_chat_message.is_set()
        || message.keep_in_chat_message.is_set()
        || message.enc_event_response_message.is_set()
        || message.poll_update_message.is_set()
}

fn meta(message: &Message, wrapped_once: bool) -> Option<Node> {
    let subject = if opens_poll(message) {
        Some(("polltype", "creation"))
    } else if message.poll_update_message.is_set() {
        Some(("polltype", "vote"))
    } else if message.event_message.is_set() {
        Some(("event_type", "creation"))
    } else if message.enc_event_response_message.is_set() {
        Some(("event_type", "response"))
    } else {
        None
    };
    if subject.is_none() && !wrapped_once {
        return None;
    }
    let mut meta = NodeBuilder::new("meta");
    if let Some((name, value)) = subject {
        meta = meta.attr(name, value);
    }
    if wrapped_once {
        meta = meta.attr("view_once", "true");
    }
    Some(meta.build())
}
