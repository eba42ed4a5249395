//! Messages about an earlier one: reactions, edits, revokes, forwards, pins, votes, answers to events.

use serde::Deserialize;
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::message::event_response_message::EventResponseType;
use waproto::whatsapp::message::pin_in_chat_message::Type as PinType;
use waproto::whatsapp::message::protocol_message::Type as ProtocolType;
use waproto::whatsapp::message::secret_encrypted_message::SecretEncType;
use waproto::whatsapp::message::{
    EncEventResponseMessage, EventResponseMessage, KeepInChatMessage, PinInChatMessage, PollEncValue, PollUpdateMessage,
    PollVoteMessage, ProtocolMessage, ReactionMessage, SecretEncryptedMessage,
};
use waproto::whatsapp::{KeepType, Message, MessageContextInfo, MessageKey};

use super::context::{context_of, without_context};
use super::{ComposeFault, Desk, TEXT_BYTES_MAX, check_length, secret};
use crate::phone::addons::{self, AddonNames, Use};
use crate::phone::content::poll_in;
use crate::phone::known::KnownMessage;
use crate::phone::shapes::{Attendance, ShownEventResponse, ShownPollVote, ShownReaction};
use crate::phone::shown::unwrap;

/// Bytes in a reaction; an emoji may be made of many code points.
const EMOJI_BYTES_MAX: usize = 64;
/// How long a message stays pinned if nothing else is said, and at most: 7 and 30 days, as the apps offer it.
const PIN_SECONDS_DEFAULT: u32 = 7 * 86_400;
const PIN_SECONDS_MAX: u32 = 30 * 86_400;
/// From this score on a message counts as forwarded many times (wacore 0.7.0 proto_helpers.rs).
const FORWARDED_OFTEN: u32 = 5;
const FORWARDED_OFTEN_SCORE: u32 = 127;
/// Others that somebody may bring to an event.
const EXTRA_GUESTS_MAX: i32 = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    message_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EditDraft {
    message_id: String,
    text: String,
    /// Whether the new text travels sealed with the secret of the old one.
    #[serde(default)]
    sealed: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PinDraft {
    message_id: String,
    seconds: Option<u32>,
}

pub(super) fn reaction(desk: &Desk<'_>, reaction: ShownReaction) -> Result<Message, ComposeFault> {
    let known = desk.here("reaction.message_id", &reaction.message_id)?;
    if reaction.emoji.len() > EMOJI_BYTES_MAX {
        return Err(ComposeFault::Length {
            field: "reaction.emoji",
            bytes: reaction.emoji.len(),
            bytes_max: EMOJI_BYTES_MAX,
        });
    }
    Ok(Message {
        reaction_message: MessageField::some(ReactionMessage {
            key: key(desk, known),
            text: Some(reaction.emoji),
            sender_timestamp_ms: Some(desk.now_ms_signed()),
            ..ReactionMessage::default()
        }),
        ..Message::default()
    })
}

pub(super) fn edit(desk: &Desk<'_>, edit: &EditDraft) -> Result<Message, ComposeFault> {
    let known = own(desk, "edit.message_id", &edit.message_id)?;
    check_length("edit.text", &edit.text, TEXT_BYTES_MAX)?;
    let new = with_new_text(&known.message(), &edit.text)
        .ok_or_else(|| ComposeFault::field("edit.message_id", "a message without a text cannot be edited".to_owned()))?;
    let plain = Message {
        protocol_message: MessageField::some(ProtocolMessage {
            key: key(desk, known),
            r#type: Some(ProtocolType::MESSAGE_EDIT),
            edited_message: MessageField::some(new),
            timestamp_ms: Some(desk.now_ms_signed()),
            ..ProtocolMessage::default()
        }),
        ..Message::default()
    };
    if !edit.sealed {
        return Ok(plain);
    }
    let names = AddonNames { author: known.from.clone(), sender: known.from.clone() };
    let (payload, nonce) = addons::seal(Use::Edit, known, &names, &waproto::codec::message_to_vec(&plain))?;
    Ok(Message {
        secret_encrypted_message: MessageField::some(SecretEncryptedMessage {
            target_message_key: key(desk, known),
            enc_payload: Some(payload),
            enc_iv: Some(nonce),
            secret_enc_type: Some(SecretEncType::MESSAGE_EDIT),
            ..SecretEncryptedMessage::default()
        }),
        ..Message::default()
    })
}

/// The new content of an edited message: another text, or the same file under another caption.
fn with_new_text(original: &Message, text: &str) -> Option<Message> {
    let mut new = without_context(unwrap(original).0);
    let text = Some(text.to_owned());
    if new.conversation.is_some() || new.extended_text_message.is_set() {
        return Some(Message { conversation: text, ..Message::default() });
    }
    if let Some(image) = new.image_message.as_option_mut() {
        image.caption = text;
    } else if let Some(video) = new.video_message.as_option_mut() {
        video.caption = text;
    } else if let Some(document) = new.document_message.as_option_mut() {
        document.caption = text;
    } else {
        return None;
    }
    Some(new)
}

/// The sender takes a message back; in a group an admin may take back another's.
pub(super) fn revoke(desk: &Desk<'_>, target: &Target) -> Result<Message, ComposeFault> {
    let known = desk.here("revoke.message_id", &target.message_id)?;
    if !known.is_own() && !desk.is_group {
        return Err(ComposeFault::field("revoke.message_id", format!("{} wrote the message", known.from)));
    }
    Ok(Message {
        protocol_message: MessageField::some(ProtocolMessage {
            key: key(desk, known),
            r#type: Some(ProtocolType::REVOKE),
            ..ProtocolMessage::default()
        }),
        ..Message::default()
    })
}

pub(super) fn forward(desk: &Desk<'_>, target: &Target) -> Result<Message, ComposeFault> {
    let field = "forward.message_id";
    let original = desk.any(field, &target.message_id)?.message();
    let (inner, wrapped_once) = unwrap(&original);
    if wrapped_once || super::file::is_view_once(inner) {
        return Err(ComposeFault::field(field, "a message that may be opened once only cannot be forwarded".to_owned()));
    }
    let refused = || ComposeFault::field(field, "a message of this kind cannot be forwarded".to_owned());
    let mut source = inner.clone();
    let context = context_of(&mut source).ok_or_else(refused)?.take().unwrap_or_default();
    let score = context.forwarding_score.unwrap_or(0) + u32::from(context.is_forwarded.unwrap_or(false));
    let mut message = without_context(inner);
    let context = context_of(&mut message).ok_or_else(refused)?.get_or_insert_default();
    context.is_forwarded = Some(true);
    context.forwarding_score = Some(if score >= FORWARDED_OFTEN { FORWARDED_OFTEN_SCORE } else { score });
    message.message_context_info = secret();
    Ok(message)
}

pub(super) fn pin(desk: &Desk<'_>, pin: &PinDraft) -> Result<Message, ComposeFault> {
    let seconds = pin.seconds.unwrap_or(PIN_SECONDS_DEFAULT);
    if !(1..=PIN_SECONDS_MAX).contains(&seconds) {
        return Err(ComposeFault::field("pin.seconds", format!("{seconds} s; 1 to {PIN_SECONDS_MAX} s are allowed")));
    }
    let known = desk.here("pin.message_id", &pin.message_id)?;
    Ok(pin_message(desk, known, PinType::PIN_FOR_ALL, seconds))
}

pub(super) fn unpin(desk: &Desk<'_>, target: &Target) -> Result<Message, ComposeFault> {
    let known = desk.here("unpin.message_id", &target.message_id)?;
    Ok(pin_message(desk, known, PinType::UNPIN_FOR_ALL, 0))
}

fn pin_message(desk: &Desk<'_>, known: &KnownMessage, does: PinType, seconds: u32) -> Message {
    Message {
        pin_in_chat_message: MessageField::some(PinInChatMessage {
            key: key(desk, known),
            r#type: Some(does),
            sender_timestamp_ms: Some(desk.now_ms_signed()),
        }),
        message_context_info: MessageField::some(MessageContextInfo {
            message_add_on_duration_in_secs: Some(seconds),
            ..MessageContextInfo::default()
        }),
        ..Message::default()
    }
}

pub(super) fn keep(desk: &Desk<'_>, target: &Target, kept: bool) -> Result<Message, ComposeFault> {
    let known = desk.here(if kept { "keep.message_id" } else { "unkeep.message_id" }, &target.message_id)?;
    Ok(Message {
        keep_in_chat_message: MessageField::some(KeepInChatMessage {
            key: key(desk, known),
            keep_type: Some(if kept { KeepType::KEEP_FOR_ALL } else { KeepType::UNDO_KEEP_FOR_ALL }),
            timestamp_ms: Some(desk.now_ms_signed()),
        }),
        ..Message::default()
    })
}

/// No option at all takes a vote back.
pub(super) fn poll_vote(desk: &Desk<'_>, vote: &ShownPollVote) -> Result<Message, ComposeFault> {
    let known = desk.here("poll_vote.poll_id", &vote.poll_id)?;
    let original = known.message();
    let poll = poll_in(unwrap(&original).0)
        .ok_or_else(|| ComposeFault::field("poll_vote.poll_id", format!("message {:?} is no poll", known.id)))?;
    for option in &vote.options {
        if !poll.options.iter().any(|offered| offered.option_name.as_deref() == Some(option)) {
            return Err(ComposeFault::field("poll_vote.options", format!("{option:?} is none of the poll's options")));
        }
    }
    let selectable = poll.selectable_options_count.unwrap_or(0);
    if selectable > 0 && u32::try_from(vote.options.len()).is_ok_and(|chosen| chosen > selectable) {
        let problem = format!("{} are chosen; the poll allows {selectable}", vote.options.len());
        return Err(ComposeFault::field("poll_vote.options", problem));
    }
    if vote.voter.is_some() {
        return Err(ComposeFault::field("poll_vote.voter", "the phone's owner votes".to_owned()));
    }
    let hashes = vote.options.iter().map(|option| addons::option_hash(option)).collect();
    let plain = PollVoteMessage { selected_options: hashes }.encode_to_vec();
    let (payload, nonce) = addons::seal(Use::Vote, known, &names(desk, known), &plain)?;
    Ok(Message {
        poll_update_message: MessageField::some(PollUpdateMessage {
            poll_creation_message_key: key(desk, known),
            vote: MessageField::some(PollEncValue { enc_payload: Some(payload), enc_iv: Some(nonce) }),
            sender_timestamp_ms: Some(desk.now_ms_signed()),
            ..PollUpdateMessage::default()
        }),
        ..Message::default()
    })
}

pub(super) fn event_response(desk: &Desk<'_>, response: &ShownEventResponse) -> Result<Message, ComposeFault> {
    let known = desk.here("event_response.event_id", &response.event_id)?;
    if !unwrap(&known.message()).0.event_message.is_set() {
        return Err(ComposeFault::field("event_response.event_id", format!("message {:?} is no event", known.id)));
    }
    let does = match response.response {
        Attendance::Going => EventResponseType::GOING,
        Attendance::NotGoing => EventResponseType::NOT_GOING,
        Attendance::Maybe => EventResponseType::MAYBE,
        Attendance::Unknown => {
            return Err(ComposeFault::field("event_response.response", "going, not_going or maybe is expected".to_owned()));
        }
    };
    let guests = response.extra_guests.unwrap_or(0);
    if !(0..=EXTRA_GUESTS_MAX).contains(&guests) {
        let problem = format!("{guests}; 0 to {EXTRA_GUESTS_MAX} are allowed");
        return Err(ComposeFault::field("event_response.extra_guests", problem));
    }
    let plain = waproto::codec::event_response_message_to_vec(&EventResponseMessage {
        response: Some(does),
        timestamp_ms: Some(desk.now_ms_signed()),
        extra_guest_count: Some(guests),
    });
    let (payload, nonce) = addons::seal(Use::EventResponse, known, &names(desk, known), &plain)?;
    Ok(Message {
        enc_event_response_message: MessageField::some(EncEventResponseMessage {
            event_creation_message_key: key(desk, known),
            enc_payload: Some(payload),
            enc_iv: Some(nonce),
        }),
        ..Message::default()
    })
}

fn own<'a>(desk: &'a Desk<'_>, field: &'static str, id: &str) -> Result<&'a KnownMessage, ComposeFault> {
    let known = desk.here(field, id)?;
    if known.is_own() { Ok(known) } else { Err(ComposeFault::field(field, format!("{} wrote the message", known.from))) }
}

/// How a message of the chat is named to the others in it, from the writer's point of view.
fn key(desk: &Desk<'_>, known: &KnownMessage) -> MessageField<MessageKey> {
    MessageField::some(MessageKey {
        remote_jid: Some(known.chat.clone()),
        from_me: Some(known.is_own()),
        id: Some(known.id.clone()),
        participant: (desk.is_group && !known.is_own()).then(|| known.from.clone()),
    })
}

/// The author of the earlier message and the phone's owner, both in the author's address space.
fn names(desk: &Desk<'_>, known: &KnownMessage) -> AddonNames {
    let sender = if known.from.ends_with("@lid") { format!("{}@lid", desk.phone.lid()) } else { desk.own_address() };
    AddonNames { author: known.from.clone(), sender }
}
