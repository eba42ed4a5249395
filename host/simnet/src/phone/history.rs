//! What the phone has shown to its owner, numbered from 1, each message once.

use std::collections::HashSet;

use serde_json::Value;

use super::error::PhoneError;
use super::numbered::{Log, Numbered};
use super::shown::ReceivedMessage;
use super::signal::Changes;

/// How many messages a phone keeps; older ones are forgotten, and with them that they were shown.
const SHOWN_MAX: usize = 20_000;

type Origin = (String, String, String);

impl Numbered for ReceivedMessage {
    fn n(&self) -> u64 {
        self.n
    }

    fn set_n(&mut self, n: u64) {
        self.n = n;
    }
}

/// The messages of one list on the phone's screen, oldest first.
pub(super) struct History {
    shown: Log<ReceivedMessage>,
    origins: HashSet<Origin>,
}

impl History {
    /// A list whose records have keys that begin with `record`.
    pub(super) fn new(record: &'static str) -> Self {
        Self { shown: Log::new(record, SHOWN_MAX), origins: HashSet::new() }
    }

    /// Whether a message of this id was shown before in this chat from this sender.
    pub(super) fn has(&self, chat: &str, from: &str, id: &str) -> bool {
        self.origins.contains(&(chat.to_owned(), from.to_owned(), id.to_owned()))
    }

    /// Gives the message its number and keeps it.
    pub(super) fn add(&mut self, mut message: ReceivedMessage) -> ReceivedMessage {
        self.origins.insert(origin(&message));
        let (n, gone) = self.shown.add(message.clone());
        for message in gone {
            self.origins.remove(&origin(&message));
        }
        message.n = n;
        message
    }

    /// At most `limit` messages whose number is above `after`.
    pub(super) fn after(&self, after: u64, limit: usize) -> Vec<ReceivedMessage> {
        self.shown.after(after).take(limit).cloned().collect()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &ReceivedMessage> {
        self.shown.iter()
    }

    /// Changes the latest message that fits; what it has become.
    pub(super) fn change_latest(
        &mut self,
        fits: impl Fn(&ReceivedMessage) -> bool,
        change: impl FnOnce(&mut ReceivedMessage),
    ) -> Option<&ReceivedMessage> {
        let n = self.shown.iter().rev().find(|message| fits(message))?.n;
        self.shown.change(n, change);
        self.shown.get(n)
    }

    /// Changes the messages with these numbers.
    pub(super) fn change_each(&mut self, numbers: &[u64], change: impl Fn(&mut ReceivedMessage)) {
        for n in numbers {
            self.shown.change(*n, &change);
        }
    }

    /// Takes back one record; false when it is not of this kind. Call `settle` after the last one.
    pub(super) fn restore(&mut self, key: &str, value: &Value) -> Result<bool, PhoneError> {
        let Some(message) = self.shown.restore(key, value)? else {
            return Ok(false);
        };
        self.origins.insert(origin(message));
        Ok(true)
    }

    /// Puts restored messages in the order of their numbers, which is not that of their keys.
    pub(super) fn settle(&mut self) {
        self.shown.settle();
    }

    pub(super) fn take_changes(&mut self) -> Changes {
        self.shown.take_changes()
    }
}

fn origin(message: &ReceivedMessage) -> Origin {
    (message.chat.clone(), message.from.clone(), message.id.clone())
}

#[cfg(test)]
mod tests {
    use super::{History, SHOWN_MAX};
    use crate::phone::shown::ReceivedMessage;

    fn message(id: usize) -> ReceivedMessage {
        ReceivedMessage {
            id: format!("m{id}"),
            chat: "c".to_owned(),
            from: "f".to_owned(),
            kind: "text".to_owned(),
            ..ReceivedMessage::default()
        }
    }

    #[test]
    fn history_keeps_only_the_latest() {
        let mut history = History::new("shown");
        for id in 0..=SHOWN_MAX {
            history.add(message(id));
        }
        assert!(!history.has("c", "f", "m0"));
        assert!(history.has("c", "f", "m1"));
        let first = history.after(0, 1);
        assert_eq!(first.first().map(|message| message.n), Some(2));
        assert_eq!(history.take_changes().get("shown/1"), Some(&None));
    }

    #[test]
    fn numbers_go_on_after_a_restart() {
        let mut history = History::new("shown");
        for id in 0..12 {
            history.add(message(id));
        }
        let mut restored = History::new("shown");
        for (key, value) in history.take_changes() {
            assert!(restored.restore(&key, &value.unwrap()).unwrap());
        }
        restored.settle();
        assert_eq!(restored.after(9, 10), history.after(9, 10));
        assert_eq!(restored.add(message(12)).n, 13);
    }

    #[test]
    fn a_changed_message_is_stored_again() {
        let mut history = History::new("shown");
        history.add(message(1));
        history.take_changes();
        let changed = history.change_latest(|message| message.id == "m1", |message| message.read = true).cloned();
        assert!(changed.unwrap().read);
        assert!(history.take_changes().contains_key("shown/1"));
        assert!(history.change_latest(|message| message.id == "m2", |_| {}).is_none());
    }
}
