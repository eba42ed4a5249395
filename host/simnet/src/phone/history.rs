//! What the phone has shown to its owner, numbered from 1, each message once.

use std::collections::{HashSet, VecDeque};

use serde_json::Value;

use super::error::PhoneError;
use super::shown::ReceivedMessage;
use super::signal::{Changes, bad_record};

/// How many messages a phone keeps; older ones are forgotten, and with them that they were shown.
const SHOWN_MAX: usize = 20_000;

/// The first part of a shown message's record key.
const RECORD: &str = "shown";

type Origin = (String, String, String);

/// The messages on the phone's screen, oldest first.
#[derive(Default)]
pub(super) struct History {
    shown: VecDeque<ReceivedMessage>,
    origins: HashSet<Origin>,
    changes: Changes,
}

impl History {
    /// Whether a message of this id was shown before in this chat from this sender.
    pub(super) fn has(&self, chat: &str, from: &str, id: &str) -> bool {
        self.origins.contains(&(chat.to_owned(), from.to_owned(), id.to_owned()))
    }

    /// Gives the message its number and keeps it.
    pub(super) fn add(&mut self, mut message: ReceivedMessage) -> ReceivedMessage {
        message.n = self.shown.back().map_or(1, |last| last.n.saturating_add(1));
        match serde_json::to_value(&message) {
            Ok(stored) => {
                self.changes.insert(format!("{RECORD}/{}", message.n), Some(stored));
            }
            Err(error) => tracing::error!(n = message.n, %error, "a shown message cannot be stored"),
        }
        self.keep(message.clone());
        while self.shown.len() > SHOWN_MAX {
            self.drop_oldest();
        }
        message
    }

    /// At most `limit` messages whose number is above `after`.
    pub(super) fn after(&self, after: u64, limit: usize) -> Vec<ReceivedMessage> {
        let known = self.shown.partition_point(|message| message.n <= after);
        self.shown.iter().skip(known).take(limit).cloned().collect()
    }

    /// Takes back one record; false when it is not of this kind. Call `settle` after the last one.
    pub(super) fn restore(&mut self, key: &str, value: &Value) -> Result<bool, PhoneError> {
        if key.split_once('/').is_none_or(|(kind, _)| kind != RECORD) {
            return Ok(false);
        }
        let message = serde_json::from_value(value.clone()).map_err(|error| bad_record(key, error))?;
        self.keep(message);
        Ok(true)
    }

    /// Puts restored messages in the order of their numbers, which is not that of their keys.
    pub(super) fn settle(&mut self) {
        self.shown.make_contiguous().sort_by_key(|message| message.n);
    }

    pub(super) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    fn keep(&mut self, message: ReceivedMessage) {
        self.origins.insert(origin(&message));
        self.shown.push_back(message);
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.shown.pop_front() {
            self.origins.remove(&origin(&oldest));
            self.changes.insert(format!("{RECORD}/{}", oldest.n), None);
        }
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
        let mut history = History::default();
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
        let mut history = History::default();
        for id in 0..12 {
            history.add(message(id));
        }
        let mut restored = History::default();
        for (key, value) in history.take_changes() {
            assert!(restored.restore(&key, &value.unwrap()).unwrap());
        }
        restored.settle();
        assert_eq!(restored.after(9, 10), history.after(9, 10));
        assert_eq!(restored.add(message(12)).n, 13);
    }
}
