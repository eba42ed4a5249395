//! The kinds of content a message can carry, each read into the fields that a shown message has for it.
//!
//! Every reader answers whether the message was of its kinds. Nothing here trusts a field to be there.

use waproto::whatsapp::message::{ContactMessage, PollCreationMessage};
use waproto::whatsapp::{ContextInfo, Message};

use super::shown::{ReceivedMessage, ShownContact, ShownLocation, ShownMedia, ShownPoll, ShownReaction, key_id, present};

/// Fills `entry` from the content of an unwrapped message; false when there is nothing to see in it.
pub(super) fn read(entry: &mut ReceivedMessage, message: &Message) -> bool {
    text(entry, message)
        || picture_or_film(entry, message)
        || sound_or_file(entry, message)
        || place(entry, message)
        || contact(entry, message)
        || poll(entry, message)
        || reaction(entry, message)
        || question(entry, message)
        || answer(entry, message)
        || other(entry, message)
}

fn set(entry: &mut ReceivedMessage, kind: &str, context: Option<&ContextInfo>) {
    entry.kind = kind.to_owned();
    entry.refer(context);
}

fn text(entry: &mut ReceivedMessage, message: &Message) -> bool {
    if let Some(extended) = message.extended_text_message.as_option() {
        set(entry, "text", extended.context_info.as_option());
        entry.text = Some(extended.text.clone().unwrap_or_default());
        true
    } else if let Some(text) = &message.conversation {
        // Some clients send an empty text beside the real content.
        if text.is_empty() && carries_more_than_text(message) {
            return false;
        }
        set(entry, "text", None);
        entry.text = Some(text.clone());
        true
    } else {
        false
    }
}

fn carries_more_than_text(message: &Message) -> bool {
    let mut rest = without_service_fields(message);
    rest.conversation = None;
    waproto::codec::message_encoded_len(&rest) > 0
}

fn picture_or_film(entry: &mut ReceivedMessage, message: &Message) -> bool {
    if let Some(image) = message.image_message.as_option() {
        set(entry, "image", image.context_info.as_option());
        entry.caption = present(image.caption.as_deref());
        entry.view_once |= image.view_once.unwrap_or(false);
        entry.media = Some(media(image.mimetype.as_deref(), image.file_length, image.file_sha256.as_deref()));
        return true;
    }
    let round = message.ptv_message.as_option();
    if let Some(video) = message.video_message.as_option().or(round) {
        let kind = match (round, video.gif_playback) {
            (Some(_), _) => "video_note",
            (None, Some(true)) => "gif",
            (None, _) => "video",
        };
        set(entry, kind, video.context_info.as_option());
        entry.caption = present(video.caption.as_deref());
        entry.view_once |= video.view_once.unwrap_or(false);
        entry.media = Some(media(video.mimetype.as_deref(), video.file_length, video.file_sha256.as_deref()));
        return true;
    }
    let Some(sticker) = message.sticker_message.as_option() else {
        return false;
    };
    set(entry, "sticker", sticker.context_info.as_option());
    entry.media = Some(media(sticker.mimetype.as_deref(), sticker.file_length, sticker.file_sha256.as_deref()));
    true
}

fn sound_or_file(entry: &mut ReceivedMessage, message: &Message) -> bool {
    if let Some(audio) = message.audio_message.as_option() {
        set(entry, "audio", audio.context_info.as_option());
        entry.ptt = audio.ptt.unwrap_or(false);
        entry.view_once |= audio.view_once.unwrap_or(false);
        entry.media = Some(media(audio.mimetype.as_deref(), audio.file_length, audio.file_sha256.as_deref()));
        return true;
    }
    let Some(document) = message.document_message.as_option() else {
        return false;
    };
    set(entry, "document", document.context_info.as_option());
    entry.caption = present(document.caption.as_deref());
    entry.media = Some(ShownMedia {
        file_name: present(document.file_name.as_deref()),
        ..media(document.mimetype.as_deref(), document.file_length, document.file_sha256.as_deref())
    });
    true
}

fn media(mime: Option<&str>, size: Option<u64>, sha256: Option<&[u8]>) -> ShownMedia {
    ShownMedia {
        mime: mime.unwrap_or_default().to_owned(),
        size: size.unwrap_or(0),
        sha256: hex::encode(sha256.unwrap_or_default()),
        file_name: None,
    }
}

fn place(entry: &mut ReceivedMessage, message: &Message) -> bool {
    if let Some(place) = message.location_message.as_option() {
        set(entry, "location", place.context_info.as_option());
        entry.location = Some(ShownLocation {
            latitude: degrees(place.degrees_latitude),
            longitude: degrees(place.degrees_longitude),
            name: present(place.name.as_deref()),
            address: present(place.address.as_deref()),
        });
        true
    } else if let Some(place) = message.live_location_message.as_option() {
        set(entry, "live_location", place.context_info.as_option());
        entry.caption = present(place.caption.as_deref());
        entry.location = Some(ShownLocation {
            latitude: degrees(place.degrees_latitude),
            longitude: degrees(place.degrees_longitude),
            name: None,
            address: None,
        });
        true
    } else {
        false
    }
}

/// JSON has no word for infinity, and a stored message must be readable again.
fn degrees(value: Option<f64>) -> f64 {
    value.filter(|value| value.is_finite()).unwrap_or(0.0)
}

fn contact(entry: &mut ReceivedMessage, message: &Message) -> bool {
    if let Some(contact) = message.contact_message.as_option() {
        set(entry, "contact", contact.context_info.as_option());
        entry.contact = Some(ShownContact {
            display_name: contact.display_name.clone().unwrap_or_default(),
            vcard: contact.vcard.clone().unwrap_or_default(),
        });
        true
    } else if let Some(several) = message.contacts_array_message.as_option() {
        set(entry, "contacts", several.context_info.as_option());
        entry.contact = Some(ShownContact {
            display_name: several.display_name.clone().unwrap_or_default(),
            vcard: joined_cards(&several.contacts),
        });
        true
    } else {
        false
    }
}

/// A vCard file may hold several cards one after the other.
fn joined_cards(contacts: &[ContactMessage]) -> String {
    let cards: Vec<_> = contacts.iter().filter_map(|contact| contact.vcard.as_deref()).collect();
    cards.join("\n")
}

fn poll(entry: &mut ReceivedMessage, message: &Message) -> bool {
    let versions = [
        &message.poll_creation_message,
        &message.poll_creation_message_v2,
        &message.poll_creation_message_v3,
        &message.poll_creation_message_v5,
        &message.poll_creation_message_v6,
    ];
    if let Some(poll) = versions.into_iter().find_map(|version| version.as_option()) {
        set(entry, "poll", poll.context_info.as_option());
        entry.poll = Some(shown_poll(poll));
        true
    } else if let Some(vote) = message.poll_update_message.as_option() {
        // The vote itself is sealed with the poll's secret; who voted on what is all a stranger sees.
        set(entry, "poll_vote", None);
        entry.quoted_id = key_id(vote.poll_creation_message_key.as_option());
        true
    } else {
        false
    }
}

fn shown_poll(poll: &PollCreationMessage) -> ShownPoll {
    let options = poll.options.iter();
    ShownPoll {
        name: poll.name.clone().unwrap_or_default(),
        options: options.map(|option| option.option_name.clone().unwrap_or_default()).collect(),
        selectable_count: poll.selectable_options_count.unwrap_or(0),
    }
}

fn reaction(entry: &mut ReceivedMessage, message: &Message) -> bool {
    let Some(reaction) = message.reaction_message.as_option() else {
        return false;
    };
    set(entry, "reaction", None);
    entry.reaction = Some(ShownReaction {
        message_id: key_id(reaction.key.as_option()).unwrap_or_default(),
        emoji: reaction.text.clone().unwrap_or_default(),
    });
    true
}

/// Messages that offer something to choose.
fn question(entry: &mut ReceivedMessage, message: &Message) -> bool {
    if let Some(buttons) = message.buttons_message.as_option() {
        set(entry, "buttons", buttons.context_info.as_option());
        entry.text = present(buttons.content_text.as_deref());
    } else if let Some(list) = message.list_message.as_option() {
        set(entry, "list", list.context_info.as_option());
        entry.text = present(list.description.as_deref()).or_else(|| present(list.title.as_deref()));
    } else if let Some(template) = message.template_message.as_option() {
        set(entry, "template", template.context_info.as_option());
        let hydrated = template.hydrated_template.as_option();
        entry.text = hydrated.and_then(|hydrated| present(hydrated.hydrated_content_text.as_deref()));
    } else if let Some(interactive) = message.interactive_message.as_option() {
        set(entry, "interactive", interactive.context_info.as_option());
        entry.text = interactive.body.as_option().and_then(|body| present(body.text.as_deref()));
    } else if let Some(invite) = message.group_invite_message.as_option() {
        set(entry, "group_invite", invite.context_info.as_option());
        entry.caption = present(invite.caption.as_deref());
        entry.text = present(invite.group_name.as_deref());
    } else {
        return false;
    }
    true
}

/// What somebody chose from a message of the kind above.
fn answer(entry: &mut ReceivedMessage, message: &Message) -> bool {
    if let Some(choice) = message.buttons_response_message.as_option() {
        set(entry, "buttons_response", choice.context_info.as_option());
        entry.text = present(choice.selected_button_id.as_deref());
    } else if let Some(choice) = message.list_response_message.as_option() {
        set(entry, "list_response", choice.context_info.as_option());
        entry.text = present(choice.title.as_deref());
    } else if let Some(choice) = message.template_button_reply_message.as_option() {
        set(entry, "template_button_reply", choice.context_info.as_option());
        entry.text = present(choice.selected_display_text.as_deref());
    } else if let Some(choice) = message.interactive_response_message.as_option() {
        set(entry, "interactive_response", choice.context_info.as_option());
        entry.text = choice.body.as_option().and_then(|body| present(body.text.as_deref()));
    } else {
        return false;
    }
    true
}

/// Content without a shape of its own here; a message of service fields alone is nothing to show.
fn other(entry: &mut ReceivedMessage, message: &Message) -> bool {
    let names = [
        (message.event_message.is_set(), "event"),
        (message.pin_in_chat_message.is_set(), "pin"),
        (message.keep_in_chat_message.is_set(), "keep"),
        (message.album_message.is_set(), "album"),
        (message.order_message.is_set(), "order"),
        (message.product_message.is_set(), "product"),
        (message.comment_message.is_set(), "comment"),
        (message.enc_comment_message.is_set(), "comment"),
        (message.enc_reaction_message.is_set(), "reaction"),
        (message.sticker_pack_message.is_set(), "sticker_pack"),
        (message.call_log_messsage.is_set(), "call_log"),
    ];
    if let Some((_, name)) = names.into_iter().find(|(is_set, _)| *is_set) {
        set(entry, name, None);
        return true;
    }
    if waproto::codec::message_encoded_len(&without_service_fields(message)) == 0 {
        return false;
    }
    set(entry, "unknown", None);
    true
}

/// The message without what clients exchange among themselves.
fn without_service_fields(message: &Message) -> Message {
    let mut rest = message.clone();
    rest.sender_key_distribution_message.take();
    rest.fast_ratchet_key_sender_key_distribution_message.take();
    rest.message_context_info.take();
    rest
}
