//! What a device has not acknowledged yet, in order.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::{Deserialize, Serialize};
use wacore_binary::Node;

use super::account::{put, queue_record};
use super::{Effect, Link, LinkId, Network};
use crate::address::DeviceKey;

/// Stanzas kept for one device. A device that never comes back must not fill the memory.
const QUEUE_ENTRIES_MAX: usize = 50_000;

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
#[derive(Serialize, Deserialize)]
pub(super) struct QueueRecord {
    pub(super) class: String,
    pub(super) id: String,
    pub(super) peer: String,
    pub(super) kind: Option<String>,
    #[serde(with = "crate::hex_serde::blob")]
    pub(super) node: Vec<u8>,
}

/// The queue of one device.
#[derive(Default)]
pub(super) struct DeviceQueue {
    entries: BTreeMap<u64, QueueEntry>,
    last: u64,
}

impl DeviceQueue {
    pub(super) fn sequences(&self) -> impl Iterator<Item = u64> {
        self.entries.keys().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The newest sequence number ever given.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn insert(&mut self, sequence: u64, entry: QueueEntry) {
        self.last = self.last.max(sequence);
        self.entries.insert(sequence, entry);
    }

    fn push(&mut self, entry: QueueEntry) -> Option<u64> {
        if self.entries.len() >= QUEUE_ENTRIES_MAX {
            return None;
        }
        let sequence = self.last + 1;
        self.insert(sequence, entry);
        Some(sequence)
    }

    /// Up to `max` entries that follow `sequence`.
    pub(super) fn after(&self, sequence: u64, max: usize) -> impl Iterator<Item = (u64, &Node)> {
        self.entries
            .range((Bound::Excluded(sequence), Bound::Unbounded))
            .take(max)
            .map(|(sequence, entry)| (*sequence, &entry.node))
    }

    fn remove_where(&mut self, matches: impl Fn(&QueueEntry) -> bool) -> Vec<u64> {
        let gone: Vec<u64> =
            self.entries.iter().filter(|(_, entry)| matches(entry)).map(|(sequence, _)| *sequence).collect();
        for sequence in &gone {
            self.entries.remove(sequence);
        }
        gone
    }
}

impl Network {
    /// Keeps a stanza for a device until it is acknowledged, and wakes the device's connection.
    pub(super) fn enqueue(&mut self, key: &DeviceKey, entry: QueueEntry) {
        let copies = if entry.class == "message" && self.take_duplicate(key) { 2 } else { 1 };
        let Ok(bytes) = wacore_binary::marshal(&entry.node) else {
            tracing::warn!(id = entry.id, "a stanza cannot be encoded and is dropped");
            return;
        };
        let record = QueueRecord {
            class: entry.class.clone(),
            id: entry.id.clone(),
            peer: entry.peer.clone(),
            kind: entry.kind.clone(),
            node: bytes,
        };
        for _ in 0..copies {
            let copy = QueueEntry {
                class: entry.class.clone(),
                id: entry.id.clone(),
                peer: entry.peer.clone(),
                kind: entry.kind.clone(),
                node: entry.node.clone(),
            };
            let Some(device) = self.device_mut(key) else { return };
            let Some(sequence) = device.queue.push(copy) else {
                tracing::warn!(
                    number = key.number,
                    device = key.device,
                    limit = QUEUE_ENTRIES_MAX,
                    "the queue of a device is full; a stanza is dropped"
                );
                return;
            };
            self.out.records.push(put(queue_record(key, sequence), &record));
        }
        if let Some(link) = self.link_by_device.get(key) {
            self.out.effects.push(Effect::Wake(*link));
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
    ) {
        let Some(device) = self.device_mut(key) else { return };
        let gone = device.queue.remove_where(|entry| {
            entry.class == class
                && entry.peer == peer
                && kind.is_none_or(|kind| kind == entry.kind.as_deref())
                && ids.contains(&entry.id)
        });
        for sequence in gone {
            self.out.records.push((queue_record(key, sequence), None));
        }
    }

    /// The next stanzas for a connection, at most `max` from the queue. Empty when there is nothing to send now.
    pub(crate) fn pull(&mut self, link: LinkId, max: usize) -> Vec<Node> {
        let Some(Link::Session(session)) = self.links.get_mut(&link) else {
            return Vec::new();
        };
        let account = self.accounts.get(&session.key.number);
        let Some(device) = account.and_then(|account| account.devices.get(&session.key.device)) else {
            return Vec::new();
        };
        session.pull(&device.queue, max)
    }
}
