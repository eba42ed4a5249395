//! The messages a phone can still speak about: to quote, forward, react to, vote on, or send again.
//!
//! A message is kept as it was sent, with its secret. Bounded in number and in bytes; the oldest goes first, and what
//! is gone is as unknown to the phone as to an app whose chat was cleared.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use waproto::whatsapp::Message;

use super::error::PhoneError;
use super::numbered::{Log, Numbered};
use super::signal::Changes;

/// The first part of a known message's record key.
const RECORD: &str = "known";
/// Messages that one phone knows.
const KNOWN_MAX: usize = 4_096;
/// Bytes of all of them together.
const KNOWN_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of one of them. Of a longer one only the secret is kept.
pub(super) const KNOWN_MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// A message that went through the phone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KnownMessage {
    /// Its number on this phone.
    n: u64,
    /// The message's id.
    pub id: String,
    /// The chat it belongs to, as an address.
    pub chat: String,
    /// Its author.
    pub from: String,
    /// Which of the account's own devices sent it, 0 for the phone; `None` when it came from somebody else.
    pub own_device: Option<u16>,
    /// When it was sent, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    #[serde(with = "crate::hex_serde::blob")]
    encoded: Vec<u8>,
}

impl KnownMessage {
    /// A message to keep.
    pub fn new(id: &str, chat: &str, from: &str, own_device: Option<u16>, at_ms: u64, message: &Message) -> Self {
        let mut encoded = waproto::codec::message_to_vec(message);
        if encoded.len() > KNOWN_MESSAGE_BYTES_MAX {
            let secret_only = Message { message_context_info: message.message_context_info.clone(), ..Message::default() };
            encoded = waproto::codec::message_to_vec(&secret_only);
        }
        Self { n: 0, id: id.to_owned(), chat: chat.to_owned(), from: from.to_owned(), own_device, at_ms, encoded }
    }

    /// Whether the account's owner wrote it.
    pub fn is_own(&self) -> bool {
        self.own_device.is_some()
    }

    /// What was sent; empty if the record holds something else.
    pub fn message(&self) -> Message {
        waproto::codec::message_decode(&self.encoded).unwrap_or_default()
    }

    /// The secret under which additions to the message are sealed.
    pub fn secret(&self) -> Option<Vec<u8>> {
        self.message().message_context_info.into_option()?.message_secret
    }
}

impl Numbered for KnownMessage {
    fn n(&self) -> u64 {
        self.n
    }

    fn set_n(&mut self, n: u64) {
        self.n = n;
    }
}

/// All of them.
pub(super) struct Known {
    messages: Log<KnownMessage>,
    /// The numbers of the messages with an id; people in different chats may have chosen the same one.
    numbers: HashMap<String, Vec<u64>>,
    bytes: usize,
}

impl Default for Known {
    fn default() -> Self {
        Self { messages: Log::new(RECORD, KNOWN_MAX), numbers: HashMap::new(), bytes: 0 }
    }
}

impl Known {
    /// Keeps a message, unless it is there already.
    pub(super) fn keep(&mut self, message: KnownMessage) {
        let there = self.all(&message.id).any(|known| known.chat == message.chat && known.from == message.from);
        if there {
            return;
        }
        let id = message.id.clone();
        self.bytes += message.encoded.len();
        let (n, gone) = self.messages.add(message);
        self.numbers.entry(id).or_default().push(n);
        gone.iter().for_each(|gone| self.forget(gone));
        while self.bytes > KNOWN_BYTES_MAX && self.messages.len() > 1 {
            if let Some(gone) = self.messages.pop_oldest() {
                self.forget(&gone);
            }
        }
    }

    /// The message with an id: the one in `chat`, or else the latest in any chat.
    pub(super) fn find(&self, chat: &str, id: &str) -> Option<&KnownMessage> {
        self.all(id).find(|known| known.chat == chat).or_else(|| self.all(id).next())
    }

    /// The messages with an id, latest first.
    pub(super) fn all(&self, id: &str) -> impl Iterator<Item = &KnownMessage> {
        let numbers = self.numbers.get(id).map(Vec::as_slice).unwrap_or_default();
        numbers.iter().rev().filter_map(|n| self.messages.get(*n))
    }

    /// Takes back one record; false when it is not of this kind. Call `settle` after the last one.
    pub(super) fn restore(&mut self, key: &str, value: &Value) -> Result<bool, PhoneError> {
        let Some(message) = self.messages.restore(key, value)? else {
            return Ok(false);
        };
        self.bytes += message.encoded.len();
        self.numbers.entry(message.id.clone()).or_default().push(message.n);
        Ok(true)
    }

    pub(super) fn settle(&mut self) {
        self.messages.settle();
        self.numbers.values_mut().for_each(|numbers| numbers.sort_unstable());
    }

    pub(super) fn take_changes(&mut self) -> Changes {
        self.messages.take_changes()
    }

    fn forget(&mut self, gone: &KnownMessage) {
        self.bytes = self.bytes.saturating_sub(gone.encoded.len());
        if let Some(numbers) = self.numbers.get_mut(&gone.id) {
            numbers.retain(|n| *n != gone.n);
            if numbers.is_empty() {
                self.numbers.remove(&gone.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use waproto::whatsapp::Message;

    use super::{KNOWN_MAX, Known, KnownMessage};

    fn message(id: usize, chat: &str, text: &str) -> KnownMessage {
        let message = Message { conversation: Some(text.to_owned()), ..Message::default() };
        KnownMessage::new(&format!("m{id}"), chat, "f", None, 0, &message)
    }

    #[test]
    fn an_id_names_the_message_of_its_chat_first() {
        let mut known = Known::default();
        known.keep(message(1, "a", "in a"));
        known.keep(message(1, "b", "in b"));
        known.keep(message(1, "a", "again in a"));
        let text = |chat| known.find(chat, "m1").unwrap().message().conversation.unwrap();
        assert_eq!((text("a"), text("b"), text("c")), ("in a".to_owned(), "in b".to_owned(), "in b".to_owned()));
        assert!(known.find("a", "m2").is_none());
    }

    #[test]
    fn the_oldest_goes_first_and_is_no_longer_stored() {
        let mut known = Known::default();
        for id in 0..=KNOWN_MAX {
            known.keep(message(id, "a", "x"));
        }
        assert!(known.find("a", "m0").is_none());
        assert!(known.find("a", "m1").is_some());
        assert_eq!(known.take_changes().get("known/1"), Some(&None));
        let long = "x".repeat(250 * 1024);
        for id in 0..200 {
            known.keep(message(10_000 + id, "a", &long));
        }
        assert!(known.bytes <= super::KNOWN_BYTES_MAX);
        assert!(known.find("a", "m10199").is_some());
        assert!(known.find("a", "m10000").is_none());
    }

    #[test]
    fn known_messages_survive_a_restart() {
        let mut known = Known::default();
        for id in 0..12 {
            known.keep(message(id, "a", "x"));
        }
        let mut restored = Known::default();
        for (key, value) in known.take_changes() {
            assert!(restored.restore(&key, &value.unwrap()).unwrap());
        }
        restored.settle();
        assert_eq!(restored.bytes, known.bytes);
        assert_eq!(restored.find("a", "m11").unwrap().message().conversation.as_deref(), Some("x"));
    }
}
