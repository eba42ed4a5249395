//! What a message that came in says: from WhatsApp's protobuf to our content. Nothing here looks anything up; the people whom
//! a message points at stay as the message names them.

mod choices;
mod media;

use switchboard_core::records::content::{
    ContactCard, Content, Edit, Extras, LiveLocation, Location, Poll, PollVote, Quote, Reaction, Revoke,
};
use switchboard_core::rules::vcard;
use whatsapp_rust::wacore::proto_helpers::MessageExt;
use whatsapp_rust::waproto::whatsapp as wa;

/// The name of what this version does not know at all.
const UNKNOWN: &str = "unknown";
/// How often a message may be wrapped in another.
const WRAPPINGS_MAX: usize = 8;

/// A message as it was read.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) content: Content,
    pub(super) extras: Extras,
    /// The key of the other message that it is about.
    pub(super) about: Option<wa::MessageKey>,
    /// The secret that comes with a poll.
    pub(super) poll_secret: Option<Vec<u8>>,
    /// A vote, still sealed.
    pub(super) vote: Option<SealedVote>,
}

/// A vote that only the poll's secret opens.
#[derive(Debug)]
pub(super) struct SealedVote {
    pub(super) payload: Vec<u8>,
    pub(super) iv: Vec<u8>,
}

/// What a message says; `None` when it is for the app alone (keys, history, protocol).
pub(super) fn from_protobuf(message: &wa::Message) -> Option<Received> {
    let base = unwrapped(message);
    let (content, about) = content(base)?;
    let extras = context_of(base).map(extras).unwrap_or_default();
    let secret = [message, base].into_iter().find_map(|message| message.message_context_info.message_secret.clone());
    Some(Received {
        poll_secret: secret.filter(|_| matches!(content, Content::Poll(_))),
        vote: sealed_vote(base),
        extras: Extras { view_once: message.is_view_once(), ..extras },
        content,
        about,
    })
}

/// The message inside all that it is wrapped in.
fn unwrapped(message: &wa::Message) -> &wa::Message {
    let mut current = message.get_base_message();
    for _ in 0..WRAPPINGS_MAX {
        let wrappers = [
            &current.lottie_sticker_message,
            &current.poll_creation_message_v4,
            &current.group_mentioned_message,
            &current.bot_invoke_message,
            &current.associated_child_message,
            &current.spoiler_message,
            &current.document_with_caption_message,
            &current.ephemeral_message,
            &current.view_once_message_v2,
        ];
        match wrappers.into_iter().find_map(|wrapper| wrapper.as_option()?.message.as_option()) {
            Some(inner) => current = inner.get_base_message(),
            None => break,
        }
    }
    current
}

/// The context of whichever kind of message can answer and mention.
fn context_of(message: &wa::Message) -> Option<&wa::ContextInfo> {
    [
        &message.extended_text_message.context_info,
        &message.image_message.context_info,
        &message.video_message.context_info,
        &message.ptv_message.context_info,
        &message.audio_message.context_info,
        &message.document_message.context_info,
        &message.sticker_message.context_info,
        &message.location_message.context_info,
        &message.live_location_message.context_info,
        &message.contact_message.context_info,
        &message.contacts_array_message.context_info,
        &message.poll_creation_message.context_info,
        &message.poll_creation_message_v2.context_info,
        &message.poll_creation_message_v3.context_info,
        &message.buttons_message.context_info,
        &message.list_message.context_info,
        &message.interactive_message.context_info,
        &message.template_message.context_info,
        &message.buttons_response_message.context_info,
        &message.list_response_message.context_info,
        &message.interactive_response_message.context_info,
        &message.template_button_reply_message.context_info,
        &message.event_message.context_info,
    ]
    .into_iter()
    .find_map(|context| context.as_option())
}

fn extras(context: &wa::ContextInfo) -> Extras {
    let quote = context.stanza_id.as_ref().map(|id| Quote { message_id: id.clone(), sender: context.participant.clone() });
    Extras { quote, mentions: context.mentioned_jid.clone(), view_once: false }
}

/// The content, and the key of the message that it is about.
fn content(message: &wa::Message) -> Option<(Content, Option<wa::MessageKey>)> {
    if let Some(protocol) = message.protocol_message.as_option() {
        return change(protocol);
    }
    if let Some(reaction) = message.reaction_message.as_option() {
        let key = reaction.key.as_option().cloned();
        let emoji = reaction.text.clone().unwrap_or_default();
        return Some((Content::Reaction(Reaction { message_id: id_in(key.as_ref()), emoji, author: None }), key));
    }
    if let Some(update) = message.poll_update_message.as_option() {
        let key = update.poll_creation_message_key.as_option().cloned();
        return Some((Content::PollVote(PollVote { poll_id: id_in(key.as_ref()), author: None, options: None }), key));
    }
    said(message).map(|content| (content, None))
}

fn id_in(key: Option<&wa::MessageKey>) -> String {
    key.and_then(|key| key.id.clone()).unwrap_or_default()
}

/// What was done to an earlier message; `None` for what the app alone reads (keys, history).
fn change(protocol: &wa::message::ProtocolMessage) -> Option<(Content, Option<wa::MessageKey>)> {
    use wa::message::protocol_message::Type;
    let key = protocol.key.as_option()?;
    let message_id = id_in(Some(key));
    // Absent on the wire means the first of the types, which is a revoke.
    let content = match protocol.r#type.unwrap_or(Type::REVOKE) {
        Type::REVOKE => Content::Revoke(Revoke { message_id, author: None }),
        Type::MESSAGE_EDIT => {
            let edited = protocol.edited_message.as_option().map(unwrapped);
            let text = edited.and_then(|edited| edited.text_content().or_else(|| edited.get_caption()));
            Content::Edit(Edit { message_id, text: text.unwrap_or_default().to_owned() })
        }
        _ => return None,
    };
    Some((content, Some(key.clone())))
}

fn sealed_vote(message: &wa::Message) -> Option<SealedVote> {
    let vote = message.poll_update_message.as_option()?.vote.as_option()?;
    Some(SealedVote { payload: vote.enc_payload.clone()?, iv: vote.enc_iv.clone()? })
}

/// Content that stands for itself.
fn said(message: &wa::Message) -> Option<Content> {
    if let Some(text) = message.text_content() {
        return Some(Content::Text(text.to_owned()));
    }
    media::content(message)
        .or_else(|| place(message))
        .or_else(|| cards(message))
        .or_else(|| poll(message).map(Content::Poll))
        .or_else(|| choices::content(message))
        .or_else(|| named(message))
}

fn place(message: &wa::Message) -> Option<Content> {
    if let Some(place) = message.location_message.as_option() {
        return Some(Content::Location(Location {
            latitude: place.degrees_latitude.unwrap_or_default(),
            longitude: place.degrees_longitude.unwrap_or_default(),
            name: place.name.clone(),
            address: place.address.clone(),
        }));
    }
    let place = message.live_location_message.as_option()?;
    Some(Content::LiveLocation(LiveLocation {
        latitude: place.degrees_latitude.unwrap_or_default(),
        longitude: place.degrees_longitude.unwrap_or_default(),
        caption: place.caption.clone(),
        accuracy_m: place.accuracy_in_meters,
        sequence: place.sequence_number.and_then(|number| u64::try_from(number).ok()),
    }))
}

fn cards(message: &wa::Message) -> Option<Content> {
    if let Some(contact) = message.contact_message.as_option() {
        return Some(Content::Contacts(vec![card(contact)]));
    }
    let contacts = message.contacts_array_message.as_option()?;
    Some(Content::Contacts(contacts.contacts.iter().map(card).collect()))
}

fn card(contact: &wa::message::ContactMessage) -> ContactCard {
    ContactCard {
        display_name: contact.display_name.clone().unwrap_or_default(),
        phones: contact.vcard.as_deref().map(vcard::phones).unwrap_or_default(),
        vcard: contact.vcard.clone(),
    }
}

fn poll(message: &wa::Message) -> Option<Poll> {
    let kinds = [
        &message.poll_creation_message,
        &message.poll_creation_message_v2,
        &message.poll_creation_message_v3,
        &message.poll_creation_message_v5,
        &message.poll_creation_message_v6,
    ];
    let poll = kinds.into_iter().find_map(|poll| poll.as_option())?;
    Some(Poll {
        name: poll.name.clone().unwrap_or_default(),
        options: poll.options.iter().filter_map(|option| option.option_name.clone()).collect(),
        selectable_count: poll.selectable_options_count.unwrap_or_default(),
        announcement: message.poll_creation_message_v2.is_set(),
    })
}

/// What has a name here and nothing more; what has not even that is called unknown, and what is for the app alone nothing.
fn named(message: &wa::Message) -> Option<Content> {
    let names = [
        (message.template_message.is_set(), "template"),
        (message.event_message.is_set(), "event"),
        (message.enc_event_response_message.is_set(), "event_response"),
        (message.group_invite_message.is_set(), "group_invite"),
        (message.pin_in_chat_message.is_set(), "pin"),
        (message.keep_in_chat_message.is_set(), "keep"),
        (message.album_message.is_set(), "album"),
        (message.sticker_pack_message.is_set(), "sticker_pack"),
        (message.product_message.is_set(), "product"),
        (message.order_message.is_set(), "order"),
        (message.call_log_messsage.is_set(), "call_log"),
        (message.comment_message.is_set(), "comment"),
        (message.request_phone_number_message.is_set(), "request_phone_number"),
        (message.enc_reaction_message.is_set(), "sealed_reaction"),
        (message.enc_comment_message.is_set(), "sealed_comment"),
        (message.secret_encrypted_message.is_set(), "sealed_change"),
    ];
    if let Some((_, name)) = names.into_iter().find(|(set, _)| *set) {
        return Some(Content::Other(name.to_owned()));
    }
    let mut rest = message.clone();
    rest.sender_key_distribution_message.take();
    rest.fast_ratchet_key_sender_key_distribution_message.take();
    rest.message_context_info.take();
    (rest != wa::Message::default()).then(|| Content::Other(UNKNOWN.to_owned()))
}

#[cfg(test)]
mod tests;
