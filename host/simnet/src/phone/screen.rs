//! What a phone shows: messages it received, messages its owner sent, and how far these have come.

use serde::{Deserialize, Serialize};
use waproto::whatsapp::Message;

use super::Phone;
use super::addons::{self, Addition, AddonNames};
use super::content::{poll_in, shown_poll};
use super::known::KnownMessage;
use super::numbered::Numbered;
use super::shapes::{ShownPoll, ShownPollVote};
use super::shown::{self, ReceivedMessage, unwrap};
use super::types::Envelope;

/// The first part of a receipt's record key.
pub(super) const RECEIPT_RECORD: &str = "receipt";
/// How many receipts a phone keeps.
pub(super) const RECEIPTS_MAX: usize = 20_000;

/// How far a message of the owner has come with one device of a recipient.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeardReceipt {
    /// Its number on this phone, from 1.
    pub n: u64,
    /// The message.
    pub message_id: String,
    /// The chat the message is in.
    pub chat: String,
    /// Whose receipt it is.
    pub from: String,
    /// Which of their devices: 0 is the phone.
    pub device: u16,
    /// `delivery`, `read` or `played`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it came, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

impl Numbered for HeardReceipt {
    fn n(&self) -> u64 {
        self.n
    }

    fn set_n(&mut self, n: u64) {
        self.n = n;
    }
}

impl Phone {
    /// Shows a message to the owner, once. `None` when it was shown before, or when it is for the app alone.
    pub fn receive(&mut self, envelope: Envelope, message: &Message) -> Option<ReceivedMessage> {
        self.receive_sealed(envelope, message, &[])
    }

    /// Like `receive`, with the names under which an addition to an earlier message may be sealed.
    pub fn receive_sealed(
        &mut self,
        envelope: Envelope,
        message: &Message,
        names: &[AddonNames],
    ) -> Option<ReceivedMessage> {
        if self.history.has(&envelope.chat, &envelope.from, &envelope.id) {
            return None;
        }
        let known = KnownMessage::new(&envelope.id, &envelope.chat, &envelope.from, None, envelope.at_ms, message);
        let mut entry = self.read_message(envelope.clone(), message, names)?;
        entry.push_name = self.chats.names.of(&envelope.from).map(str::to_owned);
        if entry.is_content() {
            self.known.keep(known);
        }
        self.keep_received(&envelope, message);
        let shown = self.history.add(entry);
        self.files.keep(&shown.id, Some(shown.n), message);
        Some(shown)
    }

    /// Shows what the owner sent with one of the account's devices; the phone is device 0.
    pub fn show_own(
        &mut self,
        envelope: Envelope,
        own_device: u16,
        message: &Message,
        names: &[AddonNames],
    ) -> Option<ReceivedMessage> {
        if self.own_history.has(&envelope.chat, &envelope.from, &envelope.id) {
            return None;
        }
        let device = Some(own_device);
        let known = KnownMessage::new(&envelope.id, &envelope.chat, &envelope.from, device, envelope.at_ms, message);
        let read = self.read_message(envelope, message, names);
        // A companion's key to a message comes under the message's id, and must not take its place.
        if read.is_some() || own_device == 0 {
            self.known.keep(known);
        }
        let mut entry = read?;
        entry.from_me = true;
        entry.own_device = device;
        Some(self.own_history.add(entry))
    }

    /// What was shown of others' messages after number `after`, oldest first, at most `limit` of it.
    pub fn received_after(&self, after: u64, limit: usize) -> Vec<ReceivedMessage> {
        self.history.after(after, limit)
    }

    /// What was shown of the owner's own messages after number `after`, oldest first, at most `limit` of it.
    pub fn own_after(&self, after: u64, limit: usize) -> Vec<ReceivedMessage> {
        self.own_history.after(after, limit)
    }

    /// The message with an id that the phone can still speak about: the one in `chat`, or else the latest.
    pub fn known(&self, chat: &str, id: &str) -> Option<&KnownMessage> {
        self.known.find(chat, id)
    }

    /// The message of this id that the phone itself has sent.
    pub fn sent(&self, id: &str) -> Option<&KnownMessage> {
        self.known.all(id).find(|known| known.own_device == Some(0))
    }

    /// Received messages that nobody has read: those of a chat, or the one with an id.
    pub fn unread(&self, chat: Option<&str>, id: Option<&str>) -> Vec<ReceivedMessage> {
        let fits = |entry: &&ReceivedMessage| {
            !entry.read
                && entry.is_content()
                && chat.is_none_or(|chat| chat == entry.chat)
                && id.is_none_or(|id| id == entry.id)
        };
        self.history.iter().filter(fits).cloned().collect()
    }

    /// The latest received message with an id.
    pub fn received(&self, id: &str) -> Option<&ReceivedMessage> {
        self.history.iter().rev().find(|entry| entry.id == id)
    }

    /// The owner has read these messages of a chat, on the phone or elsewhere.
    pub fn mark_read(&mut self, chat: &str, ids: &[String]) {
        // What is read is mostly among the latest; nothing is looked for beyond the last of the ids.
        let named = self.history.iter().rev().filter(|entry| entry.chat == chat && ids.contains(&entry.id));
        let numbers: Vec<u64> = named.take(ids.len()).filter(|entry| !entry.read).map(|entry| entry.n).collect();
        self.history.change_each(&numbers, |entry| entry.read = true);
    }

    /// Keeps a receipt for a message of the owner.
    pub fn hear_receipt(&mut self, receipt: HeardReceipt) {
        self.receipts.add(receipt);
    }

    /// The receipts after number `after`, oldest first, at most `limit` of them.
    pub fn receipts_after(&self, after: u64, limit: usize) -> Vec<HeardReceipt> {
        self.receipts.after(after).take(limit).cloned().collect()
    }

    /// The entry for a message, with what is sealed in it opened as far as the phone knows the other message.
    fn read_message(&mut self, envelope: Envelope, message: &Message, names: &[AddonNames]) -> Option<ReceivedMessage> {
        let (chat, sender) = (envelope.chat.clone(), envelope.from.clone());
        let content = unwrap(message).0;
        let about = addons::addon_target(content).and_then(|id| self.known.find(&chat, &id));
        let addition = about.and_then(|about| addons::open(content, about, names));
        match addition {
            Some(Addition::Plain(plain)) => shown::read(envelope, &plain),
            Some(Addition::Vote { poll_id, options }) => {
                let mut entry = shown::read(envelope, message)?;
                entry.poll = self.count_vote(&chat, &poll_id, &sender, &options);
                entry.poll_vote = Some(ShownPollVote { poll_id, voter: Some(sender), options });
                Some(entry)
            }
            Some(Addition::Response(response)) => {
                let mut entry = shown::read(envelope, message)?;
                entry.event_response = Some(response);
                Some(entry)
            }
            None => shown::read(envelope, message),
        }
    }

    /// Counts a vote on the entry of its poll; what the poll has become.
    fn count_vote(&mut self, chat: &str, poll_id: &str, voter: &str, options: &[String]) -> Option<ShownPoll> {
        let fits = |entry: &ReceivedMessage| entry.kind == "poll" && entry.id == poll_id && entry.chat == chat;
        let count = |entry: &mut ReceivedMessage| {
            if let Some(poll) = &mut entry.poll {
                poll.count(voter, options);
            }
        };
        let counted = self.history.change_latest(fits, count).or_else(|| self.own_history.change_latest(fits, count));
        if let Some(entry) = counted {
            return entry.poll.clone();
        }
        // The entry is gone; this vote is all that can be counted.
        let known = self.known.find(chat, poll_id)?.message();
        let mut poll = shown_poll(poll_in(unwrap(&known).0)?);
        poll.count(voter, options);
        Some(poll)
    }
}
