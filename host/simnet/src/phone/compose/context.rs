//! What may go with any content: the message it answers, people it mentions, when it disappears.

use waproto::buffa::MessageField;
use waproto::whatsapp::message::ExtendedTextMessage;
use waproto::whatsapp::{ContextInfo, Message};

use super::{ComposeFault, Desk};
use crate::phone::known::KnownMessage;
use crate::phone::shown::unwrap;

/// All of it.
pub(super) struct About<'a> {
    pub(super) quoted: Option<&'a KnownMessage>,
    pub(super) mentions: Vec<String>,
    pub(super) ephemeral_seconds: Option<u32>,
}

impl About<'_> {
    /// Writes it into the message; a content that cannot carry it is refused.
    pub(super) fn apply(self, desk: &Desk<'_>, message: &mut Message) -> Result<(), ComposeFault> {
        let first = match &self {
            Self { quoted: Some(_), .. } => "quoted_id",
            Self { mentions, .. } if !mentions.is_empty() => "mentions",
            Self { ephemeral_seconds: Some(_), .. } => "ephemeral_seconds",
            _ => return Ok(()),
        };
        let slot = context_of(message)
            .ok_or_else(|| ComposeFault::field(first, "a message that is only about another one has none".to_owned()))?;
        let context = slot.get_or_insert_default();
        if let Some(quoted) = self.quoted {
            context.stanza_id = Some(quoted.id.clone());
            context.participant = Some(quoted.from.clone());
            context.quoted_message = MessageField::some(without_context(unwrap(&quoted.message()).0));
            // Named only when it is another one, as WhatsApp Web does it (wacore 0.7.0 proto_helpers.rs).
            context.remote_jid = (quoted.chat != desk.chat).then(|| quoted.chat.clone());
        }
        context.mentioned_jid.extend(self.mentions);
        context.expiration = self.ephemeral_seconds.or(context.expiration);
        Ok(())
    }
}

/// The first of these fields that is set, with its context.
macro_rules! first_context {
    ($message:expr; $($field:ident),+) => {
        $(if let Some(content) = $message.$field.as_option_mut() {
            return Some(&mut content.context_info);
        })+
    };
}

/// Where the content of a message keeps its context. A plain text becomes one that can have it.
pub(super) fn context_of(message: &mut Message) -> Option<&mut MessageField<ContextInfo>> {
    if let Some(text) = message.conversation.take() {
        message.extended_text_message =
            MessageField::some(ExtendedTextMessage { text: Some(text), ..ExtendedTextMessage::default() });
    }
    first_context!(
        message;
        extended_text_message, image_message, video_message, ptv_message, audio_message, document_message, sticker_message,
        location_message, live_location_message, contact_message, contacts_array_message, poll_creation_message,
        poll_creation_message_v2, poll_creation_message_v3, buttons_message, buttons_response_message, list_message,
        list_response_message, template_message, template_button_reply_message, interactive_message,
        interactive_response_message, group_invite_message, event_message, product_message, order_message, album_message
    );
    None
}

/// A copy without the people it mentions, what it answers, and its secret: none of it is meant again.
pub(super) fn without_context(message: &Message) -> Message {
    let mut copy = message.clone();
    copy.message_context_info.take();
    copy.sender_key_distribution_message.take();
    // A plain text stays one.
    if copy.conversation.is_none()
        && let Some(context) = context_of(&mut copy)
    {
        context.take();
    }
    copy
}
