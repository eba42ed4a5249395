//! The kinds of content a message can carry, each read into the fields that a shown message has for it.
//!
//! Every reader answers whether the message was of its kinds. Nothing here trusts a field to be there.

use waproto::whatsapp::message::pin_in_chat_message::Type as PinType;
use waproto::whatsapp::message::{
    ContactMessage, EventMessage, ExtendedTextMessage, GroupInviteMessage, LocationMessage, PollCreationMessage,
    VideoMessage,
};
use waproto::whatsapp::{ContextInfo, KeepType, Message};

use super::choices;
use super::shapes::{
    ShownContact, ShownEvent, ShownGroupInvite, ShownKeep, ShownLocation, ShownMedia, ShownPin, ShownPoll, ShownPreview,
    ShownReaction,
};
use super::shown::{ReceivedMessage, key_id, present, unwrap};

/// Fills `entry` from the content of an unwrapped message; false when there is nothing to see in it.
pub(super) fn read(entry: &mut ReceivedMessage, message: &Message) -> bool {
    text(entry, message)
        || picture_or_film(entry, message)
        || sound_or_file(entry, message)
        || place(entry, message)
        || contact(entry, message)
        || poll(entry, message)
        || about_another(entry, message)
        || invitation(entry, message)
        || choices::question(entry, message)
        || choices::answer(entry, message)
        || other(entry, message)
}

pub(super) fn set(entry: &mut ReceivedMessage, kind: &str, context: Option<&ContextInfo>) {
    entry.kind = kind.to_owned();
    entry.refer(context);
}

fn text(entry: &mut ReceivedMessage, message: &Message) -> bool {
    if let Some(extended) = message.extended_text_message.as_option() {
        set(entry, "text", extended.context_info.as_option());
        entry.text = Some(extended.text.clone().unwrap_or_default());
        entry.preview = preview(extended);
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

/// A text has a preview when it says which of its words is the link.
fn preview(extended: &ExtendedTextMessage) -> Option<ShownPreview> {
    Some(ShownPreview {
        url: present(extended.matched_text.as_deref())?,
        title: present(extended.title.as_deref()),
        description: present(extended.description.as_deref()),
    })
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
        entry.media = Some(ShownMedia {
            width: image.width,
            height: image.height,
            ..media(image.mimetype.as_deref(), image.file_length, image.file_sha256.as_deref())
        });
        return true;
    }
    let round = message.ptv_message.as_option();
    if let Some(video) = message.video_message.as_option().or(round) {
        film(entry, video, round.is_some());
        return true;
    }
    let Some(sticker) = message.sticker_message.as_option() else {
        return false;
    };
    set(entry, "sticker", sticker.context_info.as_option());
    entry.media = Some(ShownMedia {
        width: sticker.width,
        height: sticker.height,
        ..media(sticker.mimetype.as_deref(), sticker.file_length, sticker.file_sha256.as_deref())
    });
    true
}

fn film(entry: &mut ReceivedMessage, video: &VideoMessage, is_round: bool) {
    entry.gif = !is_round && video.gif_playback == Some(true);
    let kind = match (is_round, entry.gif) {
        (true, _) => "video_note",
        (false, true) => "gif",
        (false, false) => "video",
    };
    set(entry, kind, video.context_info.as_option());
    entry.caption = present(video.caption.as_deref());
    entry.view_once |= video.view_once.unwrap_or(false);
    entry.media = Some(ShownMedia {
        seconds: video.seconds,
        width: video.width,
        height: video.height,
        ..media(video.mimetype.as_deref(), video.file_length, video.file_sha256.as_deref())
    });
}

fn sound_or_file(entry: &mut ReceivedMessage, message: &Message) -> bool {
    if let Some(audio) = message.audio_message.as_option() {
        set(entry, "audio", audio.context_info.as_option());
        entry.ptt = audio.ptt.unwrap_or(false);
        entry.view_once |= audio.view_once.unwrap_or(false);
        entry.media = Some(ShownMedia {
            seconds: audio.seconds,
            ..media(audio.mimetype.as_deref(), audio.file_length, audio.file_sha256.as_deref())
        });
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

pub(super) fn media(mime: Option<&str>, size: Option<u64>, sha256: Option<&[u8]>) -> ShownMedia {
    ShownMedia {
        mime: mime.unwrap_or_default().to_owned(),
        size: size.unwrap_or(0),
        sha256: hex::encode(sha256.unwrap_or_default()),
        ..ShownMedia::default()
    }
}

fn place(entry: &mut ReceivedMessage, message: &Message) -> bool {
    if let Some(place) = message.location_message.as_option() {
        let kind = if place.is_live == Some(true) { "live_location" } else { "location" };
        set(entry, kind, place.context_info.as_option());
        entry.location = Some(location(place));
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

pub(super) fn location(place: &LocationMessage) -> ShownLocation {
    ShownLocation {
        latitude: degrees(place.degrees_latitude),
        longitude: degrees(place.degrees_longitude),
        name: present(place.name.as_deref()),
        address: present(place.address.as_deref()),
    }
}

/// JSON has no word for infinity, and a stored message must be readable again.
fn degrees(value: Option<f64>) -> f64 {
    value.filter(|value| value.is_finite()).unwrap_or(0.0)
}

fn contact(entry: &mut ReceivedMessage, message: &Message) -> bool {
    if let Some(contact) = message.contact_message.as_option() {
        set(entry, "contact", contact.context_info.as_option());
        entry.contact = Some(card(contact));
        true
    } else if let Some(several) = message.contacts_array_message.as_option() {
        set(entry, "contacts", several.context_info.as_option());
        entry.contact = Some(ShownContact {
            display_name: several.display_name.clone().unwrap_or_default(),
            vcard: joined_cards(&several.contacts),
        });
        entry.contacts = several.contacts.iter().map(card).collect();
        true
    } else {
        false
    }
}

fn card(contact: &ContactMessage) -> ShownContact {
    ShownContact {
        display_name: contact.display_name.clone().unwrap_or_default(),
        vcard: contact.vcard.clone().unwrap_or_default(),
    }
}

/// A vCard file may hold several cards one after the other.
fn joined_cards(contacts: &[ContactMessage]) -> String {
    let cards: Vec<_> = contacts.iter().filter_map(|contact| contact.vcard.as_deref()).collect();
    cards.join("\n")
}

fn poll(entry: &mut ReceivedMessage, message: &Message) -> bool {
    if let Some(poll) = poll_in(message) {
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

/// The poll a message opens, in whichever version of it.
pub(super) fn poll_in(message: &Message) -> Option<&PollCreationMessage> {
    [
        &message.poll_creation_message,
        &message.poll_creation_message_v2,
        &message.poll_creation_message_v3,
        &message.poll_creation_message_v5,
        &message.poll_creation_message_v6,
    ]
    .into_iter()
    .find_map(|version| version.as_option())
}

pub(super) fn shown_poll(poll: &PollCreationMessage) -> ShownPoll {
    let options = poll.options.iter();
    ShownPoll {
        name: poll.name.clone().unwrap_or_default(),
        options: options.map(|option| option.option_name.clone().unwrap_or_default()).collect(),
        selectable_count: poll.selectable_options_count.unwrap_or(0),
        votes: None,
    }
}

/// Messages that only do something to another one, and comments on it.
fn about_another(entry: &mut ReceivedMessage, message: &Message) -> bool {
    if let Some(reaction) = message.reaction_message.as_option() {
        set(entry, "reaction", None);
        entry.reaction = Some(ShownReaction {
            message_id: key_id(reaction.key.as_option()).unwrap_or_default(),
            emoji: reaction.text.clone().unwrap_or_default(),
        });
    } else if let Some(pin) = message.pin_in_chat_message.as_option() {
        set(entry, "pin", None);
        let context = message.message_context_info.as_option();
        entry.pin = Some(ShownPin {
            message_id: key_id(pin.key.as_option()).unwrap_or_default(),
            pinned: pin.r#type == Some(PinType::PIN_FOR_ALL),
            seconds: context.and_then(|context| context.message_add_on_duration_in_secs).filter(|seconds| *seconds > 0),
        });
    } else if let Some(keep) = message.keep_in_chat_message.as_option() {
        set(entry, "keep", None);
        entry.keep = Some(ShownKeep {
            message_id: key_id(keep.key.as_option()).unwrap_or_default(),
            kept: keep.keep_type == Some(KeepType::KEEP_FOR_ALL),
        });
    } else if let Some(comment) = message.comment_message.as_option() {
        if let Some(inner) = comment.message.as_option() {
            let (inner, _) = unwrap(inner);
            // A comment on a comment is none of its own.
            if !inner.comment_message.is_set() {
                read(entry, inner);
            }
        }
        entry.kind = "comment".to_owned();
        entry.commented = key_id(comment.target_message_key.as_option());
    } else if let Some(sealed) = message.secret_encrypted_message.as_option() {
        // Without the secret of the other message this is all there is to see.
        set(entry, "edit", None);
        entry.edited = key_id(sealed.target_message_key.as_option());
    } else {
        return false;
    }
    true
}

/// Messages that ask to come somewhere.
fn invitation(entry: &mut ReceivedMessage, message: &Message) -> bool {
    if let Some(event) = message.event_message.as_option() {
        set(entry, "event", event.context_info.as_option());
        entry.text = present(event.name.as_deref());
        entry.event = Some(shown_event(event));
    } else if let Some(response) = message.enc_event_response_message.as_option() {
        set(entry, "event_response", None);
        entry.quoted_id = key_id(response.event_creation_message_key.as_option());
    } else if let Some(invite) = message.group_invite_message.as_option() {
        set(entry, "group_invite", invite.context_info.as_option());
        entry.caption = present(invite.caption.as_deref());
        entry.text = present(invite.group_name.as_deref());
        entry.group_invite = Some(shown_invite(invite));
    } else {
        return false;
    }
    true
}

fn shown_event(event: &EventMessage) -> ShownEvent {
    ShownEvent {
        name: event.name.clone().unwrap_or_default(),
        description: present(event.description.as_deref()),
        start_s: event.start_time,
        end_s: event.end_time,
        location: event.location.as_option().map(location),
        join_link: present(event.join_link.as_deref()),
        canceled: event.is_canceled.unwrap_or(false),
        extra_guests_allowed: event.extra_guests_allowed.unwrap_or(false),
    }
}

fn shown_invite(invite: &GroupInviteMessage) -> ShownGroupInvite {
    ShownGroupInvite {
        group: invite.group_jid.clone().unwrap_or_default(),
        code: invite.invite_code.clone().unwrap_or_default(),
        expires_s: invite.invite_expiration,
        name: present(invite.group_name.as_deref()),
        caption: present(invite.caption.as_deref()),
    }
}

/// Content without a shape of its own here; a message of service fields alone is nothing to show.
fn other(entry: &mut ReceivedMessage, message: &Message) -> bool {
    let names = [
        (message.album_message.is_set(), "album"),
        (message.order_message.is_set(), "order"),
        (message.product_message.is_set(), "product"),
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
