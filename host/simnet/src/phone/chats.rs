//! The messages on the phone as protobuf: what it hands to a new companion, and finds again when one asks.
//!
//! `history` has what the owner sees on the screen; here is what the app keeps: every message with its content, sent and
//! received, and the names under which people present themselves. Both are bounded; the oldest goes first.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::message::protocol_message::Type as ProtocolType;
use waproto::whatsapp::web_message_info::Status;
use waproto::whatsapp::{Message, MessageKey, WebMessageInfo};

use super::error::PhoneError;
use super::shown::key_id;
use super::signal::{Changes, bad_record};

/// Messages of one phone.
const KEPT_MAX: usize = 2_000;
/// Bytes of all their messages.
const KEPT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of one message; a larger one is not part of any history.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// People whose names a phone knows.
const NAMES_MAX: usize = 5_000;
/// Bytes of a name, of a chat's address or of a message's id.
const TEXT_BYTES_MAX: usize = 512;

const MESSAGE_RECORD: &str = "kept";
const NAME_RECORD: &str = "pushname";

/// A message as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The peer's account or the group.
    pub(super) chat: String,
    pub(super) id: String,
    pub(super) from_me: bool,
    /// Who wrote it, in a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) participant: Option<String>,
    /// When it was sent, in seconds.
    pub(super) at_s: u64,
    #[serde(with = "crate::hex_serde::blob")]
    message: Vec<u8>,
}

/// Where a message belongs.
pub(super) struct Origin<'a> {
    pub(super) chat: &'a str,
    pub(super) id: &'a str,
    /// Its author; `None` for the owner of the phone.
    pub(super) from: Option<&'a str>,
    pub(super) at_s: u64,
}

impl Kept {
    /// The message's name.
    pub(super) fn key(&self) -> MessageKey {
        MessageKey {
            remote_jid: Some(self.chat.clone()),
            from_me: Some(self.from_me),
            id: Some(self.id.clone()),
            participant: self.participant.clone(),
        }
    }

    /// The message as histories carry it.
    pub(super) fn info(&self, names: &Names) -> WebMessageInfo {
        let author = self.participant.as_deref().unwrap_or(&self.chat);
        let push_name = if self.from_me { None } else { names.of(author).map(str::to_owned) };
        WebMessageInfo {
            key: MessageField::some(self.key()),
            message: MessageField::some(waproto::codec::message_decode(&self.message).unwrap_or_default()),
            message_timestamp: Some(self.at_s),
            status: self.from_me.then_some(Status::SERVER_ACK),
            participant: self.participant.clone(),
            push_name,
            ..WebMessageInfo::default()
        }
    }
}

/// The names under which people present themselves, by the address of their account.
#[derive(Default)]
pub(super) struct Names {
    known: BTreeMap<String, String>,
}

impl Names {
    pub(super) fn of(&self, jid: &str) -> Option<&str> {
        self.known.get(jid).map(String::as_str)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.known.iter().map(|(jid, name)| (jid.as_str(), name.as_str()))
    }
}

/// All messages, in the order in which they came.
#[derive(Default)]
pub(super) struct Chats {
    messages: BTreeMap<u64, Kept>,
    /// What the contents of all messages take up.
    bytes: usize,
    pub(super) names: Names,
    changes: Changes,
}

impl Chats {
    /// The messages with their numbers, newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = (u64, &Kept)> {
        self.messages.iter().rev().map(|(number, kept)| (*number, kept))
    }

    /// A message by its chat and id.
    pub(super) fn find(&self, chat: &str, id: &str) -> Option<(u64, &Kept)> {
        self.newest_first().find(|(_, kept)| kept.id == id && kept.chat == chat)
    }

    /// The newest message of a chat.
    pub(super) fn last(&self, chat: &str) -> Option<&Kept> {
        self.newest_first().map(|(_, kept)| kept).find(|kept| kept.chat == chat)
    }

    /// Takes in a message: keeps it, or changes the one that it edits or takes back.
    pub(super) fn take(&mut self, origin: &Origin<'_>, message: &Message) {
        let Some(protocol) = message.protocol_message.as_option() else {
            // A reaction belongs to the message it is about, and is not one of the chat's.
            if !message.reaction_message.is_set() {
                self.keep(origin, message);
            }
            return;
        };
        let Some(about) = key_id(protocol.key.as_option()) else { return };
        match (protocol.r#type.unwrap_or(ProtocolType::REVOKE), protocol.edited_message.as_option()) {
            (ProtocolType::REVOKE, _) => self.forget(|kept| kept.id == about && kept.chat == origin.chat),
            (ProtocolType::MESSAGE_EDIT, Some(edited)) => self.edit(origin.chat, &about, edited),
            _ => {}
        }
    }

    fn keep(&mut self, origin: &Origin<'_>, message: &Message) {
        let bytes = message.encode_to_vec();
        let sound = [origin.chat, origin.id].iter().all(|text| (1..=TEXT_BYTES_MAX).contains(&text.len()));
        if !sound || bytes.len() > MESSAGE_BYTES_MAX || self.find(origin.chat, origin.id).is_some() {
            return;
        }
        let in_group = origin.from.filter(|from| *from != origin.chat);
        let kept = Kept {
            chat: origin.chat.to_owned(),
            id: origin.id.to_owned(),
            from_me: origin.from.is_none(),
            participant: in_group.map(str::to_owned),
            at_s: origin.at_s,
            message: bytes,
        };
        let number = self.messages.last_key_value().map_or(1, |(last, _)| last.saturating_add(1));
        self.note(number, Some(&kept));
        self.put(number, kept);
        while self.messages.len() > KEPT_MAX || self.bytes > KEPT_BYTES_MAX {
            let Some(oldest) = self.messages.keys().next().copied() else { break };
            self.drop(oldest);
        }
    }

    fn put(&mut self, number: u64, kept: Kept) {
        self.bytes += kept.message.len();
        if let Some(former) = self.messages.insert(number, kept) {
            self.bytes -= former.message.len();
        }
    }

    fn drop(&mut self, number: u64) {
        if let Some(gone) = self.messages.remove(&number) {
            self.bytes -= gone.message.len();
        }
        self.note(number, None);
    }

    fn edit(&mut self, chat: &str, id: &str, edited: &Message) {
        let Some(number) = self.find(chat, id).map(|(number, _)| number) else { return };
        let bytes = edited.encode_to_vec();
        if bytes.len() > MESSAGE_BYTES_MAX {
            return;
        }
        if let Some(mut kept) = self.messages.get(&number).cloned() {
            kept.message = bytes;
            self.note(number, Some(&kept));
            self.put(number, kept);
        }
    }

    /// Drops the messages that match.
    pub(super) fn forget(&mut self, matches: impl Fn(&Kept) -> bool) {
        let gone: Vec<u64> = self.messages.iter().filter(|(_, kept)| matches(kept)).map(|(number, _)| *number).collect();
        for number in gone {
            self.drop(number);
        }
    }

    /// Remembers the name under which somebody presents himself.
    pub(super) fn learn_name(&mut self, jid: &str, name: &str) {
        let known = self.names.of(jid);
        let room = known.is_some() || self.names.known.len() < NAMES_MAX;
        if !(1..=TEXT_BYTES_MAX).contains(&name.len()) || known == Some(name) || !room {
            return;
        }
        self.changes.insert(format!("{NAME_RECORD}/{jid}"), Some(Value::String(name.to_owned())));
        self.names.known.insert(jid.to_owned(), name.to_owned());
    }

    /// The accounts that the phone has to do with.
    pub(super) fn people(&self) -> HashSet<&str> {
        let authors = self.messages.values().flat_map(|kept| [Some(kept.chat.as_str()), kept.participant.as_deref()]);
        authors.flatten().chain(self.names.known.keys().map(String::as_str)).collect()
    }

    fn note(&mut self, number: u64, kept: Option<&Kept>) {
        let value = kept.and_then(|kept| serde_json::to_value(kept).ok());
        self.changes.insert(format!("{MESSAGE_RECORD}/{number}"), value);
    }

    /// Takes back one record; false when it is not of this kind.
    pub(super) fn restore(&mut self, key: &str, value: &Value) -> Result<bool, PhoneError> {
        match key.split_once('/') {
            Some((MESSAGE_RECORD, number)) => {
                let number = number.parse().map_err(|error| bad_record(key, error))?;
                let kept = serde_json::from_value(value.clone()).map_err(|error| bad_record(key, error))?;
                self.put(number, kept);
                Ok(true)
            }
            Some((NAME_RECORD, jid)) => {
                let name = value.as_str().ok_or_else(|| bad_record(key, "it is not a text"))?;
                self.names.known.insert(jid.to_owned(), name.to_owned());
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    pub(super) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }
}

#[cfg(test)]
mod tests {
    use waproto::buffa::MessageField;
    use waproto::whatsapp::message::ProtocolMessage;
    use waproto::whatsapp::{Message, MessageKey};

    use super::{Chats, KEPT_BYTES_MAX, KEPT_MAX, Origin, ProtocolType};

    const BOB: &str = "15550002222@s.whatsapp.net";

    fn origin<'a>(id: &'a str, from: Option<&'a str>) -> Origin<'a> {
        Origin { chat: BOB, id, from, at_s: 1_700_000_000 }
    }

    fn text(text: &str) -> Message {
        Message { conversation: Some(text.to_owned()), ..Message::default() }
    }

    fn about(id: &str, kind: ProtocolType, edited: Option<Message>) -> Message {
        let key = MessageKey { id: Some(id.to_owned()), ..MessageKey::default() };
        Message {
            protocol_message: MessageField::some(ProtocolMessage {
                key: MessageField::some(key),
                r#type: Some(kind),
                edited_message: edited.map_or_else(MessageField::default, MessageField::some),
                ..ProtocolMessage::default()
            }),
            ..Message::default()
        }
    }

    fn texts(chats: &Chats) -> Vec<(String, bool)> {
        let infos = chats.newest_first().map(|(_, kept)| (kept.info(&chats.names), kept.from_me));
        infos.map(|(mut info, from_me)| (info.message.take().unwrap().conversation.unwrap(), from_me)).collect()
    }

    #[test]
    fn edits_and_revokes_change_what_is_kept() {
        let mut chats = Chats::default();
        chats.take(&origin("A1", Some(BOB)), &text("hello"));
        chats.take(&origin("A2", None), &text("hi"));
        chats.take(&origin("A1", Some(BOB)), &text("hello again"));
        assert_eq!(texts(&chats), [("hi".to_owned(), true), ("hello".to_owned(), false)]);
        chats.take(&origin("A3", Some(BOB)), &about("A1", ProtocolType::MESSAGE_EDIT, Some(text("hallo"))));
        chats.take(&origin("A4", None), &about("A2", ProtocolType::REVOKE, None));
        assert_eq!(texts(&chats), [("hallo".to_owned(), false)]);
        assert!(chats.find(BOB, "A3").is_none());
    }

    #[test]
    fn oldest_message_goes_first() {
        let mut chats = Chats::default();
        for id in 0..=KEPT_MAX {
            chats.take(&origin(&format!("A{id}"), None), &text("x"));
        }
        assert!(chats.find(BOB, "A0").is_none());
        assert!(chats.find(BOB, "A1").is_some());
        assert_eq!(chats.take_changes().get("kept/1"), Some(&None));
        let long = "x".repeat(60_000);
        for id in 0..200 {
            chats.take(&origin(&format!("B{id}"), None), &text(&long));
        }
        assert!(chats.bytes <= KEPT_BYTES_MAX);
        assert!(chats.find(BOB, "B199").is_some() && chats.find(BOB, "B0").is_none());
    }

    #[test]
    fn messages_and_names_survive_a_restart() {
        let mut chats = Chats::default();
        chats.take(&origin("A1", Some(BOB)), &text("hello"));
        chats.learn_name(BOB, "Bob");
        let mut restored = Chats::default();
        for (key, value) in chats.take_changes() {
            assert!(restored.restore(&key, &value.unwrap()).unwrap(), "{key}");
        }
        let (_, kept) = restored.find(BOB, "A1").unwrap();
        assert_eq!(kept.info(&restored.names).push_name.as_deref(), Some("Bob"));
        assert!(restored.people().contains(BOB));
        assert!(!restored.restore("shown/1", &serde_json::Value::Null).unwrap());
    }
}
