//! Between our content and WhatsApp's message protobuf.

use whatsapp_rust::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp as wa;

use switchboard_core::records::content::{ContactCard, Content, Extras, Location, Poll, Quote, Reaction};
use whatsapp_rust::wacore::proto_helpers::MessageExt;

/// The protobuf of a message to send; `None` when this version cannot send the type.
pub(super) fn to_protobuf(content: &Content, extras: &Extras) -> Option<wa::Message> {
    let Content::Text(text) = content else { return None };
    if extras.quote.is_none() && extras.mentions.is_empty() {
        return Some(wa::Message { conversation: Some(text.clone()), ..Default::default() });
    }
    let extended = wa::message::ExtendedTextMessage {
        text: Some(text.clone()),
        context_info: MessageField::some(context_info(extras)),
        ..Default::default()
    };
    Some(wa::Message { extended_text_message: MessageField::some(extended), ..Default::default() })
}

fn context_info(extras: &Extras) -> wa::ContextInfo {
    let mut context = wa::ContextInfo { mentioned_jid: extras.mentions.clone(), ..Default::default() };
    if let Some(quote) = &extras.quote {
        context.stanza_id = Some(quote.message_id.clone());
        context.participant.clone_from(&quote.sender);
        // Phones draw a quote only when there is a quoted message; what it said is looked up by its id.
        context.quoted_message = MessageField::some(wa::Message { conversation: Some(String::new()), ..Default::default() });
    }
    context
}

/// What a message says; `None` when it is for the app alone (keys, history, protocol).
pub(super) fn from_protobuf(message: &wa::Message) -> Option<(Content, Extras)> {
    let base = message.get_base_message();
    let view_once = message.is_view_once();
    let content = content(base)?;
    let extras = base
        .extended_text_message
        .as_option()
        .and_then(|text| text.context_info.as_option())
        .map(extras)
        .unwrap_or_default();
    Some((content, Extras { view_once, ..extras }))
}

fn extras(context: &wa::ContextInfo) -> Extras {
    let quote = context.stanza_id.as_ref().map(|id| Quote { message_id: id.clone(), sender: context.participant.clone() });
    Extras { quote, mentions: context.mentioned_jid.clone(), view_once: false }
}

fn content(message: &wa::Message) -> Option<Content> {
    if let Some(protocol) = message.protocol_message.as_option() {
        return changed_message(protocol).map(|name| Content::Other(name.to_owned()));
    }
    if let Some(text) = message.text_content() {
        return Some(Content::Text(text.to_owned()));
    }
    if let Some(reaction) = message.reaction_message.as_option() {
        let id = reaction.key.as_option().and_then(|key| key.id.clone()).unwrap_or_default();
        return Some(Content::Reaction(Reaction { message_id: id, emoji: reaction.text.clone().unwrap_or_default() }));
    }
    if let Some(place) = message.location_message.as_option() {
        return Some(Content::Location(Location {
            latitude: place.degrees_latitude.unwrap_or_default(),
            longitude: place.degrees_longitude.unwrap_or_default(),
            name: place.name.clone(),
            address: place.address.clone(),
        }));
    }
    if let Some(contact) = message.contact_message.as_option() {
        return Some(Content::Contacts(vec![card(contact)]));
    }
    if let Some(contacts) = message.contacts_array_message.as_option() {
        return Some(Content::Contacts(contacts.contacts.iter().map(card).collect()));
    }
    let poll = [&message.poll_creation_message, &message.poll_creation_message_v2, &message.poll_creation_message_v3];
    if let Some(poll) = poll.into_iter().find_map(|poll| poll.as_option()) {
        return Some(Content::Poll(Poll {
            name: poll.name.clone().unwrap_or_default(),
            options: poll.options.iter().filter_map(|option| option.option_name.clone()).collect(),
            selectable_count: poll.selectable_options_count.unwrap_or_default(),
        }));
    }
    media_name(message).map(|name| Content::Other(name.to_owned()))
}

fn card(contact: &wa::message::ContactMessage) -> ContactCard {
    ContactCard {
        display_name: contact.display_name.clone().unwrap_or_default(),
        phones: Vec::new(),
        vcard: contact.vcard.clone(),
    }
}

/// What was done to an earlier message; `None` for what the app alone reads (keys, history).
fn changed_message(protocol: &wa::message::ProtocolMessage) -> Option<&'static str> {
    use wa::message::protocol_message::Type;
    protocol.key.as_option()?;
    // Absent on the wire means the first of the types, which is a revoke.
    match protocol.r#type.unwrap_or(Type::REVOKE) {
        Type::REVOKE => Some("revoke"),
        Type::MESSAGE_EDIT => Some("edit"),
        _ => None,
    }
}

/// Media and the rest are named until their bytes can be fetched.
fn media_name(message: &wa::Message) -> Option<&'static str> {
    let names = [
        (message.image_message.is_set(), "image"),
        (message.video_message.is_set(), "video"),
        (message.audio_message.is_set(), "audio"),
        (message.document_message.is_set(), "document"),
        (message.sticker_message.is_set(), "sticker"),
        (message.live_location_message.is_set(), "live_location"),
        (message.poll_update_message.is_set(), "poll_vote"),
        (message.buttons_response_message.is_set(), "button_reply"),
        (message.list_response_message.is_set(), "list_reply"),
        (message.interactive_message.is_set(), "interactive"),
        (message.template_message.is_set(), "template"),
    ];
    names.into_iter().find(|(set, _)| *set).map(|(_, name)| name)
}
