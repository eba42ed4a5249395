//! Marks on what a device has to ask for anew: it hears of them at once or when it logs in, until it says that it has.
//!
//! `<ib><dirty type timestamp/></ib>`, answered by `<clean>` in `urn:xmpp:whatsapp:dirty` (`iq/dirty.rs` of wacore 0.7.0;
//! Baileys 7 cleans `account_sync` with the timestamp of the mark before).

use std::collections::BTreeMap;

use serde_json::Value;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, SERVER_JID};

use super::account::put;
use super::{LinkId, Network};
use crate::address::DeviceKey;
use crate::wire;

/// What can be marked.
pub(super) const KNOWN: [&str; 4] = ["account_sync", "groups", "syncd_app_state", "newsletter_metadata"];
/// What a device that has just been linked knows nothing of.
pub(super) const DIRTY_AT_FIRST: [&str; 2] = ["account_sync", "groups"];

/// The first part of the record keys: `dirty/<number>/<device>`.
pub(super) const RECORD: &str = "dirty";

/// The mark of this name.
pub(super) fn known(kind: &str) -> Option<&'static str> {
    KNOWN.into_iter().find(|known| *known == kind)
}

impl Network {
    /// Marks something for a device, and tells it if it is there.
    pub(super) fn mark_dirty(&mut self, key: &DeviceKey, kind: &'static str) {
        if self.device(key).is_none() {
            return;
        }
        let now_s = self.now_s();
        self.own.dirty.entry(key.clone()).or_default().insert(kind.to_owned(), now_s);
        self.record_dirt(key);
        if let Some(link) = self.link_by_device.get(key).copied()
            && self.is_active(link)
        {
            self.send(link, dirty_node(kind, now_s));
        }
    }

    /// Tells a device that has just become active what is marked for it.
    pub(super) fn tell_dirt(&mut self, link: LinkId, key: &DeviceKey) {
        let marks = self.own.dirty.get(key).cloned().unwrap_or_default();
        for (kind, at_s) in marks {
            self.send(link, dirty_node(&kind, at_s));
        }
    }

    /// A device has asked for what was marked. One that names an older mark has not seen the newest.
    pub(super) fn receive_clean_iq(&mut self, link: LinkId, key: &DeviceKey, id: &str, node: &Node) -> bool {
        if let Some(marks) = self.own.dirty.get_mut(key) {
            for clean in node.get_children_by_tag("clean") {
                let Some(kind) = wire::attribute(clean, "type") else { continue };
                let seen_s = wire::attribute(clean, "timestamp").and_then(|at| at.parse::<u64>().ok());
                if marks.get(&kind).is_some_and(|at_s| seen_s.is_none_or(|seen_s| *at_s <= seen_s)) {
                    marks.remove(&kind);
                }
            }
            self.record_dirt(key);
        }
        self.send(link, wire::result(id).build());
        true
    }

    fn record_dirt(&mut self, key: &DeviceKey) {
        let record = format!("{RECORD}/{}/{}", key.number, key.device);
        match self.own.dirty.get(key).filter(|marks| !marks.is_empty()) {
            Some(marks) => self.out.records.push(put(record, marks)),
            None => {
                self.own.dirty.remove(key);
                self.out.records.push((record, None));
            }
        }
    }

    pub(super) fn forget_dirt(&mut self, key: &DeviceKey) {
        if self.own.dirty.remove(key).is_some() {
            self.record_dirt(key);
        }
    }

    /// Takes back the marks of one device.
    pub(super) fn restore_dirt(&mut self, path: &str, value: Value) -> Option<()> {
        let (number, device) = path.split_once('/')?;
        let marks: BTreeMap<String, u64> = serde_json::from_value(value).ok()?;
        self.own.dirty.insert(DeviceKey::new(number, device.parse().ok()?), marks);
        Some(())
    }
}

fn dirty_node(kind: &str, at_s: u64) -> Node {
    let dirty = NodeBuilder::new("dirty").attr("type", kind).attr("timestamp", at_s).build();
    NodeBuilder::new("ib").attr("from", SERVER_JID).children([dirty]).build()
}
