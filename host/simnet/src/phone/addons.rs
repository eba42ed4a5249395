//! Additions to an earlier message that are sealed with that message's secret: votes, answers to events, and the
//! sealed forms of reactions, comments and edits.
//!
//! The key is HKDF-SHA256 of the secret without salt, over the earlier message's id, its author, the sender of the
//! addition and the name of the use; the cipher is AES-256-GCM with a 12-byte nonce. Votes and answers to events also
//! bind the id and the sender as associated data. (As `secret_enc_addon.rs` of wacore 0.7.0 and `process-message` of
//! Baileys 7 do it.) Author and sender are both written as numbers or both as LIDs, never mixed.

use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use wacore_libsignal::crypto::{aes_256_gcm_decrypt, aes_256_gcm_encrypt};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::message::event_response_message::EventResponseType;
use waproto::whatsapp::message::protocol_message::Type as ProtocolType;
use waproto::whatsapp::message::secret_encrypted_message::SecretEncType;
use waproto::whatsapp::message::{
    CommentMessage, EventResponseMessage, PollVoteMessage, ProtocolMessage, ReactionMessage, SecretEncryptedMessage,
};
use waproto::whatsapp::{Message, MessageKey};

use super::content::poll_in;
use super::error::PhoneError;
use super::known::KnownMessage;
use super::shapes::{Attendance, ShownEventResponse};
use super::shown::{key_id, unwrap};
use crate::random;

const NONCE_BYTES: usize = 12;
const KEY_BYTES: usize = 32;

/// What an addition does to the earlier message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Vote,
    EventResponse,
    Reaction,
    Comment,
    Edit,
    EventEdit,
    PollEdit,
    PollOption,
}

impl Use {
    fn name(self) -> &'static str {
        match self {
            Self::Vote => "Poll Vote",
            Self::EventResponse => "Event Response",
            Self::Reaction => "Enc Reaction",
            Self::Comment => "Enc Comment",
            Self::Edit => "Message Edit",
            Self::EventEdit => "Event Edit",
            Self::PollEdit => "Poll Edit",
            Self::PollOption => "Poll Add Option",
        }
    }

    fn binds_sender(self) -> bool {
        matches!(self, Self::Vote | Self::EventResponse)
    }
}

/// How the author of the earlier message and the sender of the addition are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddonNames {
    /// Who wrote the earlier message.
    pub author: String,
    /// Who adds to it.
    pub sender: String,
}

/// An addition, opened.
pub(super) enum Addition {
    /// The same as it looks unsealed.
    Plain(Box<Message>),
    /// The chosen options of a poll.
    Vote {
        poll_id: String,
        options: Vec<String>,
    },
    Response(ShownEventResponse),
}

/// A sealed addition as it stands in a message.
struct Sealed<'m> {
    does: Use,
    key: Option<&'m MessageKey>,
    payload: &'m [u8],
    nonce: &'m [u8],
}

/// The id of the message that a sealed addition is about; `None` for every other message.
pub(crate) fn addon_target(message: &Message) -> Option<String> {
    key_id(sealed_in(unwrap(message).0)?.key)
}

/// Opens the sealed addition in an unwrapped message, with the names that may have gone into its key.
pub(super) fn open(message: &Message, about: &KnownMessage, names: &[AddonNames]) -> Option<Addition> {
    let sealed = sealed_in(message)?;
    let secret = about.secret()?;
    let nonce: [u8; NONCE_BYTES] = sealed.nonce.try_into().ok()?;
    let plain = names.iter().find_map(|names| {
        let key = derive(&secret, sealed.does, &about.id, names)?;
        let bound = associated(sealed.does, &about.id, names);
        let mut plain = Vec::with_capacity(sealed.payload.len());
        aes_256_gcm_decrypt(&key, &nonce, &bound, sealed.payload, &mut plain).ok()?;
        Some(plain)
    })?;
    read(sealed.does, sealed.key, about, &plain)
}

/// Seals an addition; returns the payload and the nonce.
pub(super) fn seal(
    does: Use,
    about: &KnownMessage,
    names: &AddonNames,
    plain: &[u8],
) -> Result<(Vec<u8>, Vec<u8>), PhoneError> {
    let refused = |problem: &str| PhoneError::Addon { id: about.id.clone(), problem: problem.to_owned() };
    let secret = about.secret().ok_or_else(|| refused("it came without a secret"))?;
    let key = derive(&secret, does, &about.id, names).ok_or_else(|| refused("its secret gives no key"))?;
    let nonce: [u8; NONCE_BYTES] = random::bytes();
    let mut payload = Vec::with_capacity(plain.len() + KEY_BYTES);
    aes_256_gcm_encrypt(&key, &nonce, &associated(does, &about.id, names), plain, &mut payload)
        .map_err(|error| refused(&error.to_string()))?;
    Ok((payload, nonce.to_vec()))
}

/// What stands for an option in a vote.
pub(super) fn option_hash(option: &str) -> Vec<u8> {
    Sha256::digest(option).to_vec()
}

fn sealed_in(message: &Message) -> Option<Sealed<'_>> {
    let sealed = if let Some(update) = message.poll_update_message.as_option() {
        let vote = update.vote.as_option()?;
        Sealed {
            does: Use::Vote,
            key: update.poll_creation_message_key.as_option(),
            payload: vote.enc_payload.as_deref()?,
            nonce: vote.enc_iv.as_deref()?,
        }
    } else if let Some(response) = message.enc_event_response_message.as_option() {
        Sealed {
            does: Use::EventResponse,
            key: response.event_creation_message_key.as_option(),
            payload: response.enc_payload.as_deref()?,
            nonce: response.enc_iv.as_deref()?,
        }
    } else if let Some(reaction) = message.enc_reaction_message.as_option() {
        Sealed {
            does: Use::Reaction,
            key: reaction.target_message_key.as_option(),
            payload: reaction.enc_payload.as_deref()?,
            nonce: reaction.enc_iv.as_deref()?,
        }
    } else if let Some(comment) = message.enc_comment_message.as_option() {
        Sealed {
            does: Use::Comment,
            key: comment.target_message_key.as_option(),
            payload: comment.enc_payload.as_deref()?,
            nonce: comment.enc_iv.as_deref()?,
        }
    } else {
        sealed_edit(message.secret_encrypted_message.as_option()?)?
    };
    Some(sealed)
}

fn sealed_edit(message: &SecretEncryptedMessage) -> Option<Sealed<'_>> {
    let does = match message.secret_enc_type? {
        SecretEncType::MESSAGE_EDIT => Use::Edit,
        SecretEncType::EVENT_EDIT => Use::EventEdit,
        SecretEncType::POLL_EDIT => Use::PollEdit,
        SecretEncType::POLL_ADD_OPTION => Use::PollOption,
        _ => return None,
    };
    Some(Sealed {
        does,
        key: message.target_message_key.as_option(),
        payload: message.enc_payload.as_deref()?,
        nonce: message.enc_iv.as_deref()?,
    })
}

fn derive(secret: &[u8], does: Use, id: &str, names: &AddonNames) -> Option<[u8; KEY_BYTES]> {
    let info = [id.as_bytes(), names.author.as_bytes(), names.sender.as_bytes(), does.name().as_bytes()].concat();
    let mut key = [0; KEY_BYTES];
    Hkdf::<Sha256>::new(None, secret).expand(&info, &mut key).ok()?;
    Some(key)
}

fn associated(does: Use, id: &str, names: &AddonNames) -> Vec<u8> {
    if does.binds_sender() { [id.as_bytes(), &[0], names.sender.as_bytes()].concat() } else { Vec::new() }
}

fn read(does: Use, key: Option<&MessageKey>, about: &KnownMessage, plain: &[u8]) -> Option<Addition> {
    let key = || key.cloned().map_or_else(MessageField::none, MessageField::some);
    let message = match does {
        Use::Vote => {
            let vote = PollVoteMessage::decode_from_slice(plain).ok()?;
            let known = about.message();
            let options = poll_in(unwrap(&known).0)?.options.iter().filter_map(|option| option.option_name.clone());
            let options = options.filter(|option| vote.selected_options.contains(&option_hash(option)));
            return Some(Addition::Vote { poll_id: about.id.clone(), options: options.collect() });
        }
        Use::EventResponse => {
            let response = EventResponseMessage::decode_from_slice(plain).ok()?;
            return Some(Addition::Response(shown_response(&about.id, &response)));
        }
        Use::Reaction => {
            let inner = waproto::codec::reaction_message_decode(plain).ok()?;
            let reaction = ReactionMessage { key: key(), ..inner };
            Message { reaction_message: MessageField::some(reaction), ..Message::default() }
        }
        Use::Comment => {
            let inner = waproto::codec::message_decode(plain).ok()?;
            let comment = CommentMessage { message: MessageField::some(inner), target_message_key: key() };
            Message { comment_message: MessageField::some(comment), ..Message::default() }
        }
        Use::Edit | Use::EventEdit | Use::PollEdit | Use::PollOption => {
            let inner = waproto::codec::message_decode(plain).ok()?;
            // The new content itself, or an edit as it looks unsealed around it.
            let new = match unwrap(&inner).0.protocol_message.as_option() {
                Some(protocol) => protocol.edited_message.clone(),
                None => MessageField::some(inner),
            };
            let protocol = ProtocolMessage {
                key: key(),
                r#type: Some(ProtocolType::MESSAGE_EDIT),
                edited_message: new,
                ..ProtocolMessage::default()
            };
            Message { protocol_message: MessageField::some(protocol), ..Message::default() }
        }
    };
    Some(Addition::Plain(Box::new(message)))
}

fn shown_response(event_id: &str, response: &EventResponseMessage) -> ShownEventResponse {
    let attendance = match response.response {
        Some(EventResponseType::GOING) => Attendance::Going,
        Some(EventResponseType::NOT_GOING) => Attendance::NotGoing,
        Some(EventResponseType::MAYBE) => Attendance::Maybe,
        _ => Attendance::Unknown,
    };
    ShownEventResponse {
        event_id: event_id.to_owned(),
        response: attendance,
        extra_guests: response.extra_guest_count.filter(|guests| *guests != 0),
    }
}

/// A vote as a companion makes it.
#[cfg(test)]
pub(crate) fn sealed_vote(poll: &KnownMessage, author: &str, voter: &str, options: &[&str]) -> Message {
    use waproto::whatsapp::message::{PollEncValue, PollUpdateMessage};

    let names = AddonNames { author: author.to_owned(), sender: voter.to_owned() };
    let plain = PollVoteMessage { selected_options: options.iter().map(|option| option_hash(option)).collect() };
    let (payload, nonce) = seal(Use::Vote, poll, &names, &plain.encode_to_vec()).unwrap();
    let key = MessageKey { id: Some(poll.id.clone()), ..MessageKey::default() };
    Message {
        poll_update_message: MessageField::some(PollUpdateMessage {
            poll_creation_message_key: MessageField::some(key),
            vote: MessageField::some(PollEncValue { enc_payload: Some(payload), enc_iv: Some(nonce) }),
            ..PollUpdateMessage::default()
        }),
        ..Message::default()
    }
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use waproto::whatsapp::MessageContextInfo;
    use waproto::whatsapp::message::{PollCreationMessage, PollEncValue, PollUpdateMessage, poll_creation_message};

    use super::*;

    const POLL_ID: &str = "3EB0POLL";
    const ANN: &str = "15550001111@s.whatsapp.net";
    const BOB: &str = "15550002222@s.whatsapp.net";

    fn names(author: &str, sender: &str) -> AddonNames {
        AddonNames { author: author.to_owned(), sender: sender.to_owned() }
    }

    fn poll() -> KnownMessage {
        let option = |name: &str| poll_creation_message::Option { option_name: Some(name.to_owned()), option_hash: None };
        let message = Message {
            poll_creation_message_v3: MessageField::some(PollCreationMessage {
                options: vec![option("tea"), option("coffee")],
                ..PollCreationMessage::default()
            }),
            message_context_info: MessageField::some(MessageContextInfo {
                message_secret: Some(vec![7; 32]),
                ..MessageContextInfo::default()
            }),
            ..Message::default()
        };
        KnownMessage::new(POLL_ID, "c", ANN, None, 0, &message)
    }

    fn vote(payload: Vec<u8>, nonce: Vec<u8>) -> Message {
        Message {
            poll_update_message: MessageField::some(PollUpdateMessage {
                poll_creation_message_key: MessageField::some(MessageKey {
                    id: Some(POLL_ID.to_owned()),
                    ..MessageKey::default()
                }),
                vote: MessageField::some(PollEncValue { enc_payload: Some(payload), enc_iv: Some(nonce) }),
                ..PollUpdateMessage::default()
            }),
            ..Message::default()
        }
    }

    /// The key as Baileys 7 makes it: two HMACs, which is what HKDF comes to for one block.
    fn key_by_hand(secret: &[u8], info: &[u8]) -> [u8; 32] {
        let mac = |key: &[u8], data: &[u8]| -> [u8; 32] {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
            mac.update(data);
            mac.finalize().into_bytes().into()
        };
        mac(&mac(&[0; 32], secret), &[info, &[1]].concat())
    }

    #[test]
    fn a_vote_sealed_by_hand_opens() {
        let info = format!("{POLL_ID}{ANN}{BOB}Poll Vote");
        let key = key_by_hand(&[7; 32], info.as_bytes());
        let plain = PollVoteMessage { selected_options: vec![option_hash("coffee")] }.encode_to_vec();
        let mut payload = Vec::new();
        let bound = format!("{POLL_ID}\0{BOB}");
        aes_256_gcm_encrypt(&key, &[1; 12], bound.as_bytes(), &plain, &mut payload).unwrap();
        let message = vote(payload, vec![1; 12]);
        assert_eq!(addon_target(&message).as_deref(), Some(POLL_ID));
        match open(&message, &poll(), &[names("x", "y"), names(ANN, BOB)]) {
            Some(Addition::Vote { poll_id, options }) => {
                assert_eq!((poll_id.as_str(), options), (POLL_ID, vec!["coffee".to_owned()]));
            }
            _ => panic!("the vote does not open"),
        }
    }

    #[test]
    fn another_voter_or_mixed_names_do_not_open_a_vote() {
        let plain = PollVoteMessage { selected_options: vec![option_hash("tea")] }.encode_to_vec();
        let (payload, nonce) = seal(Use::Vote, &poll(), &names(ANN, BOB), &plain).unwrap();
        let message = vote(payload, nonce);
        assert!(open(&message, &poll(), &[names(ANN, ANN)]).is_none());
        assert!(open(&message, &poll(), &[names("1@lid", BOB)]).is_none());
        assert!(open(&message, &poll(), &[names(ANN, BOB)]).is_some());
    }

    #[test]
    fn one_use_does_not_open_another() {
        let plain = waproto::codec::reaction_message_to_vec(&ReactionMessage {
            text: Some("+".to_owned()),
            ..ReactionMessage::default()
        });
        let (payload, nonce) = seal(Use::Reaction, &poll(), &names(ANN, BOB), &plain).unwrap();
        assert!(open(&vote(payload, nonce), &poll(), &[names(ANN, BOB)]).is_none());
    }
}
