//! What a device has not acknowledged yet, in order.
//!
//! A stanza is encoded once, when it enters the queue, and leaves as the same bytes. What a fault holds back is kept
//! beside the queue and enters it later, behind whatever has overtaken it.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wacore_binary::{Node, Server};

use super::account::{put, queue_record};
use super::{Effect, Link, LinkId, Network};
use crate::address::DeviceKey;
use crate::{node_codec, wire};

/// Stanzas kept for one device. A device that never comes back must not fill the memory.
const QUEUE_ENTRIES_MAX: usize = 50_000;
/// Bytes of stanzas kept for one device.
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of stanzas kept for all devices together.
const QUEUES_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// One stanza and how its acknowledgement will name it.
pub(super) struct QueueEntry {
    /// `message`, `receipt` or `notification`.
    pub(super) class: String,
    pub(super) id: String,
    /// The account or group it came from.
    pub(super) peer: String,
    /// The `type` attribute; tells a read receipt from the delivery receipt of the same message.
    pub(super) kind: Option<String>,
    pub(super) node: Node,
}

/// A queue entry as it is stored under `queue/<number>/<device>/<sequence>`.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct QueueRecord {
    pub(super) class: String,
    pub(super) id: String,
    pub(super) peer: String,
    pub(super) kind: Option<String>,
    #[serde(with = "crate::hex_serde::blob")]
    pub(super) node: Vec<u8>,
}

/// An encoded stanza and how its acknowledgement will name it.
#[derive(Clone)]
pub(super) struct Queued {
    class: Box<str>,
    id: Box<str>,
    peer: Box<str>,
    kind: Option<Box<str>>,
    stanza: Bytes,
}

/// A stanza that a fault holds back.
pub(super) struct Held {
    queued: Queued,
    /// It stays behind what was held back before it in the same chat.
    chat: Box<str>,
    /// Goes on as soon as a message of another chat has passed.
    waits_for_another: bool,
}

/// The queue of one device.
#[derive(Default)]
pub(super) struct DeviceQueue {
    entries: BTreeMap<u64, Queued>,
    /// Where the entries of an id are.
    places: HashMap<Box<str>, Vec<u64>>,
    /// By the time at which they go on and the sequence under which they are stored.
    held: BTreeMap<(u64, u64), Held>,
    bytes: usize,
    last: u64,
    /// The newest entry that was given to any connection. Only what was sent can be acknowledged.
    given: u64,
}

impl Queued {
    fn new(entry: &QueueEntry, stanza: Bytes) -> Self {
        Self {
            class: entry.class.as_str().into(),
            id: entry.id.as_str().into(),
            peer: entry.peer.as_str().into(),
            kind: entry.kind.as_deref().map(Into::into),
            stanza,
        }
    }

    /// `None` when the stored stanza is none.
    pub(super) fn restore(record: QueueRecord) -> Option<Self> {
        let stanza = Bytes::from(record.node);
        node_codec::reopen(&stanza).ok()?;
        Some(Self {
            class: record.class.into(),
            id: record.id.into(),
            peer: record.peer.into(),
            kind: record.kind.map(Into::into),
            stanza,
        })
    }

    fn record(&self) -> QueueRecord {
        QueueRecord {
            class: self.class.to_string(),
            id: self.id.to_string(),
            peer: self.peer.to_string(),
            kind: self.kind.as_deref().map(str::to_owned),
            node: self.stanza.to_vec(),
        }
    }

    /// What it takes in memory, about.
    fn bytes(&self) -> usize {
        const OVERHEAD: usize = 256;
        self.stanza.len() + self.id.len() + self.peer.len() + OVERHEAD
    }
}

impl DeviceQueue {
    /// The sequences of everything stored.
    pub(super) fn sequences(&self) -> impl Iterator<Item = u64> {
        self.entries.keys().copied().chain(self.held.keys().map(|(_, sequence)| *sequence))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The newest sequence number ever given.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// How many stanzas of each class follow `sequence`.
    pub(super) fn classes_after(&self, sequence: u64) -> HashMap<&str, usize> {
        let mut classes = HashMap::new();
        for (_, queued) in self.entries.range((Bound::Excluded(sequence), Bound::Unbounded)) {
            *classes.entry(&*queued.class).or_default() += 1;
        }
        classes
    }

    /// Takes back a stored entry. Nobody knows whether it had been sent, so it counts as sent.
    pub(super) fn restore(&mut self, sequence: u64, queued: Queued) {
        self.insert(sequence, queued);
        self.given = self.last;
    }

    fn insert(&mut self, sequence: u64, queued: Queued) {
        self.last = self.last.max(sequence);
        self.bytes += queued.bytes();
        self.places.entry(queued.id.clone()).or_default().push(sequence);
        self.entries.insert(sequence, queued);
    }

    fn next_sequence(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn has_room(&self) -> bool {
        self.entries.len() + self.held.len() < QUEUE_ENTRIES_MAX && self.bytes < QUEUE_BYTES_MAX
    }

    fn hold(&mut self, until_ms: u64, sequence: u64, held: Held) {
        self.bytes += held.queued.bytes();
        self.held.insert((until_ms, sequence), held);
    }

    /// Until when the latest held-back stanza of a chat is held back.
    fn held_until(&self, chat: &str) -> Option<u64> {
        self.held.iter().rev().find(|(_, held)| &*held.chat == chat).map(|((until, _), _)| *until)
    }

    fn holds_for_another(&self, chat: &str) -> bool {
        self.held.values().any(|held| held.waits_for_another && &*held.chat != chat)
    }

    /// Takes out what was held back and need not be any more.
    fn take_held(&mut self, ready: impl Fn(u64, &Held) -> bool) -> Vec<(u64, Queued)> {
        let keys: Vec<(u64, u64)> =
            self.held.iter().filter(|((until, _), held)| ready(*until, held)).map(|(key, _)| *key).collect();
        keys.into_iter()
            .filter_map(|key| {
                let held = self.held.remove(&key)?;
                self.bytes = self.bytes.saturating_sub(held.queued.bytes());
                Some((key.1, held.queued))
            })
            .collect()
    }

    /// Up to `max` entries that follow `sequence`.
    pub(super) fn after(&self, sequence: u64, max: usize) -> impl Iterator<Item = (u64, &Bytes)> {
        self.entries
            .range((Bound::Excluded(sequence), Bound::Unbounded))
            .take(max)
            .map(|(sequence, queued)| (*sequence, &queued.stanza))
    }

    /// Whether nothing up to `sequence` is left.
    pub(super) fn is_empty_up_to(&self, sequence: u64) -> bool {
        self.entries.first_key_value().is_none_or(|(first, _)| *first > sequence)
    }

    /// Entries up to this one have gone out.
    pub(super) fn note_given(&mut self, sequence: u64) {
        self.given = self.given.max(sequence);
    }

    /// Removes the entries of an id that were sent and that `matches` knows.
    fn remove(&mut self, id: &str, matches: impl Fn(&Queued) -> bool) -> Vec<u64> {
        self.remove_up_to(self.given, id, matches)
    }

    fn remove_up_to(&mut self, last: u64, id: &str, matches: impl Fn(&Queued) -> bool) -> Vec<u64> {
        let Some(places) = self.places.get_mut(id) else {
            return Vec::new();
        };
        let entries = &self.entries;
        let (gone, kept): (Vec<u64>, Vec<u64>) =
            places.iter().partition(|sequence| **sequence <= last && entries.get(sequence).is_some_and(&matches));
        if kept.is_empty() {
            self.places.remove(id);
        } else {
            *places = kept;
        }
        for sequence in &gone {
            if let Some(queued) = self.entries.remove(sequence) {
                self.bytes = self.bytes.saturating_sub(queued.bytes());
            }
        }
        gone
    }
}

impl Network {
    /// Keeps a stanza for a device until it is acknowledged, and wakes the device's connection.
    pub(super) fn enqueue(&mut self, key: &DeviceKey, mut entry: QueueEntry) {
        if self.device(key).is_none() {
            return;
        }
        let handling = self.faults_on_delivery(key, &mut entry);
        let stanza = match node_codec::encode(&entry.node) {
            Ok(stanza) => stanza,
            Err(error) => {
                tracing::warn!(id = entry.id, %error, "a stanza cannot be encoded and is dropped");
                return;
            }
        };
        let chat = self.chat_of_entry(&entry);
        for _ in 0..handling.copies {
            self.enqueue_copy(key, Queued::new(&entry, stanza.clone()), &chat, handling.hold);
        }
        if handling.drop_after {
            self.disconnect_device(key, None);
        }
    }

    /// `hold` is for how long a fault holds the stanza back, and whether only until another chat has passed.
    fn enqueue_copy(&mut self, key: &DeviceKey, queued: Queued, chat: &str, hold: Option<(u64, bool)>) {
        let (now_ms, total, forgetful) = (self.now_ms, self.queued_bytes, self.forgetful);
        let Some(device) = self.device_mut(key) else { return };
        let queue = &mut device.queue;
        if !queue.has_room() || total >= QUEUES_BYTES_MAX {
            tracing::warn!(number = key.number, device = key.device, "the queue of a device is full; a stanza is dropped");
            return;
        }
        let before = queue.bytes;
        // Within a chat the order stays.
        let behind = queue.held_until(chat);
        let swaps = hold.is_some_and(|(_, waits_for_another)| waits_for_another) && queue.holds_for_another(chat);
        let until = match (hold, behind) {
            (Some((_, true)), _) if swaps && behind.is_none() => None,
            (Some((wait_ms, _)), behind) => Some(now_ms.saturating_add(wait_ms).max(behind.unwrap_or(0))),
            (None, behind) => behind,
        };
        let sequence = queue.next_sequence();
        let record = (!forgetful).then(|| put(queue_record(key, sequence), &queued.record()));
        match until {
            Some(until) => {
                let waits_for_another = hold.is_some_and(|(_, waits_for_another)| waits_for_another);
                queue.hold(until, sequence, Held { queued, chat: chat.into(), waits_for_another });
            }
            None => queue.insert(sequence, queued),
        }
        self.queued_bytes += queue.bytes - before;
        self.out.records.extend(record);
        match until {
            Some(until) => self.release_held_at(key, until),
            None => self.wake_device(key),
        }
        if swaps {
            self.release_held(key, |_, held| held.waits_for_another && &*held.chat != chat);
        }
    }

    /// Lets what was held back for a device enter its queue.
    fn release_held(&mut self, key: &DeviceKey, ready: impl Fn(u64, &Held) -> bool) {
        let Some(account) = self.accounts.get_mut(&key.number) else {
            return;
        };
        let Some(device) = account.devices.get_mut(&key.device) else {
            return;
        };
        let ripe = device.queue.take_held(ready);
        if ripe.is_empty() {
            return;
        }
        for (stored_as, queued) in ripe {
            let sequence = device.queue.next_sequence();
            if !self.forgetful {
                self.out.records.push((queue_record(key, stored_as), None));
                self.out.records.push(put(queue_record(key, sequence), &queued.record()));
            }
            device.queue.insert(sequence, queued);
        }
        self.wake_device(key);
    }

    /// Lets what is due enter the queue of a device.
    pub(super) fn release_due(&mut self, key: &DeviceKey) {
        let now_ms = self.now_ms;
        self.release_held(key, |until, _| until <= now_ms);
    }

    /// Lets everything that was held back enter the queue of a device.
    pub(super) fn release_all(&mut self, key: &DeviceKey) {
        self.release_held(key, |_, _| true);
    }

    fn wake_device(&mut self, key: &DeviceKey) {
        if let Some(link) = self.link_by_device.get(key) {
            self.out.effects.push(Effect::Wake(*link));
        }
    }

    /// The conversation of a stanza, for those faults that tell chats apart.
    fn chat_of_entry(&self, entry: &QueueEntry) -> String {
        let from = wire::address(&entry.node, "from");
        match (&from, wire::address(&entry.node, "recipient")) {
            (Some(from), _) if matches!(from.server, Server::Group | Server::Broadcast | Server::Newsletter) => {
                from.to_string()
            }
            (_, Some(recipient)) => self.peer_of(&recipient),
            (from, None) => from.as_ref().and_then(|from| self.number_of(from)).unwrap_or_else(|| entry.peer.clone()),
        }
    }

    /// Removes what a device has acknowledged. Without a `kind` any kind matches.
    pub(super) fn acknowledge(
        &mut self,
        key: &DeviceKey,
        class: &str,
        ids: &[String],
        peer: &str,
        kind: Option<Option<&str>>,
    ) -> usize {
        let Some(device) = self.device_mut(key) else { return 0 };
        let before = device.queue.bytes;
        let mut gone = Vec::new();
        for id in ids {
            gone.extend(device.queue.remove(id, |queued| {
                &*queued.class == class && &*queued.peer == peer && kind.is_none_or(|kind| kind == queued.kind.as_deref())
            }));
        }
        let freed = before - device.queue.bytes;
        self.note_removed(key, &gone, freed);
        gone.len()
    }

    /// Takes back what a device need not hear any more, even if it has not been sent.
    pub(super) fn withdraw(&mut self, key: &DeviceKey, class: &str, id: &str) {
        let Some(device) = self.device_mut(key) else { return };
        let before = device.queue.bytes;
        let gone = device.queue.remove_up_to(u64::MAX, id, |queued| &*queued.class == class);
        let freed = before - device.queue.bytes;
        self.note_removed(key, &gone, freed);
    }

    fn note_removed(&mut self, key: &DeviceKey, gone: &[u64], freed: usize) {
        self.queued_bytes = self.queued_bytes.saturating_sub(freed);
        if !self.forgetful {
            self.out.records.extend(gone.iter().map(|sequence| (queue_record(key, *sequence), None)));
        }
        if !gone.is_empty() {
            self.continue_backlog(key);
        }
    }

    /// The next stanzas for a connection, about `max` of them. Empty when there is nothing to send now.
    pub(crate) fn pull(&mut self, link: LinkId, max: usize) -> Vec<Bytes> {
        let Some(Link::Session(session)) = self.links.get_mut(&link) else {
            return Vec::new();
        };
        let account = self.accounts.get_mut(&session.key.number);
        let Some(device) = account.and_then(|account| account.devices.get_mut(&session.key.device)) else {
            return Vec::new();
        };
        let pulled = session.pull(&mut device.queue, max);
        let key = session.key.clone();
        if pulled.pauses {
            self.wait_for_batch_request(link);
        }
        self.skewed(&key, pulled.stanzas)
    }
}

/// For the tests of all rooms.
#[cfg(test)]
impl Network {
    /// What `pull` gives, as nodes.
    pub(crate) fn pull_nodes(&mut self, link: LinkId, max: usize) -> Vec<Node> {
        self.pull(link, max).iter().map(|stanza| crate::node_codec::reopen(stanza).unwrap()).collect()
    }
}

#[cfg(test)]
impl DeviceQueue {
    /// What `after` gives, as nodes.
    pub(super) fn nodes_after(&self, sequence: u64, max: usize) -> Vec<(u64, Node)> {
        self.after(sequence, max).map(|(n, stanza)| (n, crate::node_codec::reopen(stanza).unwrap())).collect()
    }
}

#[cfg(test)]
mod tests {
    use wacore_binary::builder::NodeBuilder;

    use super::{DeviceQueue, Queued};

    fn queued(id: &str, kind: Option<&str>) -> Queued {
        let stanza = crate::node_codec::encode(&NodeBuilder::new("receipt").attr("id", id).build()).unwrap();
        Queued { class: "receipt".into(), id: id.into(), peer: "15550001111".into(), kind: kind.map(Into::into), stanza }
    }

    fn push(queue: &mut DeviceQueue, queued: Queued) -> u64 {
        let sequence = queue.next_sequence();
        queue.insert(sequence, queued);
        sequence
    }

    #[test]
    fn only_what_was_sent_can_be_acknowledged() {
        let mut queue = DeviceQueue::default();
        let first = push(&mut queue, queued("A", None));
        push(&mut queue, queued("A", None));
        assert!(queue.remove("A", |_| true).is_empty());
        queue.note_given(first);
        assert_eq!(queue.remove("A", |_| true), [first]);
        assert_eq!(queue.len(), 1);
        assert!(!queue.is_empty_up_to(2) && queue.is_empty_up_to(1));
    }

    #[test]
    fn an_emptied_queue_keeps_nothing() {
        let mut queue = DeviceQueue::default();
        for id in ["A", "B", "A"] {
            push(&mut queue, queued(id, Some("read")));
        }
        queue.note_given(queue.last());
        assert!(queue.remove("A", |queued| queued.kind.is_none()).is_empty());
        assert_eq!(queue.remove("A", |_| true), [1, 3]);
        assert_eq!(queue.remove("B", |_| true), [2]);
        assert_eq!((queue.len(), queue.bytes(), queue.places.len()), (0, 0, 0));
    }
}
