//! Texts, places, contacts, polls, events and invitations.

use serde::Deserialize;
use waproto::buffa::MessageField;
use waproto::whatsapp::Message;
use waproto::whatsapp::message::protocol_message::Type as ProtocolType;
use waproto::whatsapp::message::{
    ContactMessage, ContactsArrayMessage, EventMessage, ExtendedTextMessage, GroupInviteMessage, LiveLocationMessage,
    LocationMessage, PollCreationMessage, ProtocolMessage, poll_creation_message,
};

use super::{ComposeFault, Desk, TEXT_BYTES_MAX, address, check_ephemeral, check_length, secret};
use crate::phone::shapes::{
    ShownContact, ShownEphemeral, ShownEvent, ShownGroupInvite, ShownLocation, ShownPoll, ShownPreview,
};

/// Answers a poll may have, as the apps allow it.
const POLL_OPTIONS_MIN: usize = 2;
const POLL_OPTIONS_MAX: usize = 12;
/// Bytes in the question and in each answer.
const POLL_TEXT_BYTES_MAX: usize = 1_024;
/// Contacts in one message.
const CONTACTS_MAX: usize = 257;
/// Bytes in one contact card.
const VCARD_BYTES_MAX: usize = 65_536;

/// A place that moves.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LiveLocationDraft {
    latitude: f64,
    longitude: f64,
    caption: Option<String>,
    accuracy_m: Option<u32>,
    sequence: Option<i64>,
}

pub(super) fn text(text: &str, preview: Option<ShownPreview>) -> Result<Message, ComposeFault> {
    check_length("text", text, TEXT_BYTES_MAX)?;
    let message = match preview {
        None => Message { conversation: Some(text.to_owned()), ..Message::default() },
        Some(preview) => {
            if !text.contains(&preview.url) {
                return Err(ComposeFault::field("preview.url", format!("{:?} is not in the text", preview.url)));
            }
            check_length("preview.url", &preview.url, TEXT_BYTES_MAX)?;
            Message {
                extended_text_message: MessageField::some(ExtendedTextMessage {
                    text: Some(text.to_owned()),
                    matched_text: Some(preview.url),
                    title: preview.title,
                    description: preview.description,
                    ..ExtendedTextMessage::default()
                }),
                ..Message::default()
            }
        }
    };
    Ok(Message { message_context_info: secret(), ..message })
}

pub(super) fn location(place: ShownLocation) -> Result<Message, ComposeFault> {
    Ok(Message {
        location_message: MessageField::some(location_message(place)?),
        message_context_info: secret(),
        ..Message::default()
    })
}

fn location_message(place: ShownLocation) -> Result<LocationMessage, ComposeFault> {
    check_degrees(place.latitude, place.longitude)?;
    Ok(LocationMessage {
        degrees_latitude: Some(place.latitude),
        degrees_longitude: Some(place.longitude),
        name: place.name,
        address: place.address,
        ..LocationMessage::default()
    })
}

pub(super) fn live_location(place: LiveLocationDraft) -> Result<Message, ComposeFault> {
    check_degrees(place.latitude, place.longitude)?;
    Ok(Message {
        live_location_message: MessageField::some(LiveLocationMessage {
            degrees_latitude: Some(place.latitude),
            degrees_longitude: Some(place.longitude),
            accuracy_in_meters: place.accuracy_m,
            caption: place.caption,
            sequence_number: Some(place.sequence.unwrap_or(1)),
            ..LiveLocationMessage::default()
        }),
        message_context_info: secret(),
        ..Message::default()
    })
}

fn check_degrees(latitude: f64, longitude: f64) -> Result<(), ComposeFault> {
    for (field, degrees, limit) in [("latitude", latitude, 90.0), ("longitude", longitude, 180.0)] {
        if !(-limit..=limit).contains(&degrees) {
            return Err(ComposeFault::field(field, format!("{degrees} degrees; -{limit} to {limit} are allowed")));
        }
    }
    Ok(())
}

pub(super) fn contact(contact: ShownContact) -> Result<Message, ComposeFault> {
    Ok(Message { contact_message: MessageField::some(card(contact)?), message_context_info: secret(), ..Message::default() })
}

pub(super) fn contacts(contacts: Vec<ShownContact>) -> Result<Message, ComposeFault> {
    if contacts.is_empty() || contacts.len() > CONTACTS_MAX {
        return Err(ComposeFault::field("contacts", format!("{}; 1 to {CONTACTS_MAX} are allowed", contacts.len())));
    }
    Ok(Message {
        contacts_array_message: MessageField::some(ContactsArrayMessage {
            display_name: Some(format!("{} contacts", contacts.len())),
            contacts: contacts.into_iter().map(card).collect::<Result<_, _>>()?,
            ..ContactsArrayMessage::default()
        }),
        message_context_info: secret(),
        ..Message::default()
    })
}

fn card(contact: ShownContact) -> Result<ContactMessage, ComposeFault> {
    check_length("vcard", &contact.vcard, VCARD_BYTES_MAX)?;
    check_length("display_name", &contact.display_name, POLL_TEXT_BYTES_MAX)?;
    Ok(ContactMessage { display_name: Some(contact.display_name), vcard: Some(contact.vcard), ..ContactMessage::default() })
}

/// Single choice is version 3, any other number version 1 (as WhatsApp Web sends them, Baileys 7 `messages.js`).
pub(super) fn poll(poll: ShownPoll) -> Result<Message, ComposeFault> {
    check_poll(&poll)?;
    let options = poll.options.into_iter();
    let creation = PollCreationMessage {
        name: Some(poll.name),
        options: options.map(|name| poll_creation_message::Option { option_name: Some(name), option_hash: None }).collect(),
        selectable_options_count: Some(poll.selectable_count),
        ..PollCreationMessage::default()
    };
    let message = if poll.selectable_count == 1 {
        Message { poll_creation_message_v3: MessageField::some(creation), ..Message::default() }
    } else {
        Message { poll_creation_message: MessageField::some(creation), ..Message::default() }
    };
    Ok(Message { message_context_info: secret(), ..message })
}

fn check_poll(poll: &ShownPoll) -> Result<(), ComposeFault> {
    check_length("poll.name", &poll.name, POLL_TEXT_BYTES_MAX)?;
    let count = poll.options.len();
    if !(POLL_OPTIONS_MIN..=POLL_OPTIONS_MAX).contains(&count) {
        let problem = format!("{count}; {POLL_OPTIONS_MIN} to {POLL_OPTIONS_MAX} are allowed");
        return Err(ComposeFault::field("poll.options", problem));
    }
    for (at, option) in poll.options.iter().enumerate() {
        check_length("poll.options", option, POLL_TEXT_BYTES_MAX)?;
        if poll.options.iter().skip(at + 1).any(|other| other == option) {
            return Err(ComposeFault::field("poll.options", format!("{option:?} is there twice")));
        }
    }
    if usize::try_from(poll.selectable_count).is_ok_and(|selectable| selectable > count) {
        let problem = format!("{} of {count} options cannot be chosen", poll.selectable_count);
        return Err(ComposeFault::field("poll.selectable_count", problem));
    }
    if poll.votes.is_some() {
        return Err(ComposeFault::field("poll.votes", "nobody has voted on a new poll".to_owned()));
    }
    Ok(())
}

pub(super) fn event(event: ShownEvent) -> Result<Message, ComposeFault> {
    check_length("event.name", &event.name, POLL_TEXT_BYTES_MAX)?;
    let place = event.location.map(location_message).transpose()?;
    Ok(Message {
        event_message: MessageField::some(EventMessage {
            name: Some(event.name),
            description: event.description,
            start_time: event.start_s,
            end_time: event.end_s,
            location: place.map_or_else(MessageField::none, MessageField::some),
            join_link: event.join_link,
            is_canceled: Some(event.canceled),
            extra_guests_allowed: Some(event.extra_guests_allowed),
            ..EventMessage::default()
        }),
        message_context_info: secret(),
        ..Message::default()
    })
}

pub(super) fn group_invite(invite: ShownGroupInvite) -> Result<Message, ComposeFault> {
    let group = address("group_invite.group", &invite.group)?;
    if !group.ends_with("@g.us") {
        return Err(ComposeFault::field("group_invite.group", format!("{group:?} is not the address of a group")));
    }
    check_length("group_invite.code", &invite.code, POLL_TEXT_BYTES_MAX)?;
    Ok(Message {
        group_invite_message: MessageField::some(GroupInviteMessage {
            group_jid: Some(group),
            invite_code: Some(invite.code),
            invite_expiration: invite.expires_s,
            group_name: invite.name,
            caption: invite.caption,
            ..GroupInviteMessage::default()
        }),
        message_context_info: secret(),
        ..Message::default()
    })
}

/// Groups have a request of their own for this (wacore 0.7.0 iq/groups.rs); the message is for two people.
pub(super) fn ephemeral_setting(desk: &Desk<'_>, setting: &ShownEphemeral) -> Result<Message, ComposeFault> {
    check_ephemeral("ephemeral_setting.seconds", setting.seconds)?;
    if desk.is_group {
        return Err(ComposeFault::field("ephemeral_setting", "a group has its own setting".to_owned()));
    }
    Ok(Message {
        protocol_message: MessageField::some(ProtocolMessage {
            r#type: Some(ProtocolType::EPHEMERAL_SETTING),
            ephemeral_expiration: Some(setting.seconds),
            ephemeral_setting_timestamp: Some(desk.now_ms_signed() / 1000),
            ..ProtocolMessage::default()
        }),
        ..Message::default()
    })
}
