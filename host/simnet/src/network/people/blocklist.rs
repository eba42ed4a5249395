//! Blocklists: whom an account does not want to hear from.
//!
//! Entries are named by LID; to block somebody takes both names (`jid` the LID, `pn_jid` the number), as wacore 0.7.0
//! iq/blocklist.rs and Baileys 7 `updateBlockStatus` send them. What follows from a block is in `visibility` and
//! `acquaintances`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{Answer, Network, Refusal};
use crate::address::{DeviceKey, Space};
use crate::wire;

/// Accounts on one list.
const BLOCKED_MAX: usize = 5_000;

/// The blocked numbers, with the second in which each was blocked.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Blocklist(BTreeMap<String, u64>);

impl Blocklist {
    fn dhash(&self) -> String {
        let mut digest = Sha256::new();
        for number in self.0.keys() {
            digest.update(number);
            digest.update([b';']);
        }
        hex::encode(digest.finalize()).chars().take(16).collect()
    }
}

impl Network {
    pub(in crate::network) fn has_blocked(&self, number: &str, other: &str) -> bool {
        self.person(number).blocklist.0.contains_key(other)
    }

    /// The whole list, or only its hash when the client has named that one.
    pub(super) fn blocklist_answer(&self, number: &str, node: &Node) -> Node {
        let seen = node.get_optional_child("item").and_then(|item| wire::attribute(item, "dhash"));
        let list = &self.person(number).blocklist;
        let dhash = list.dhash();
        let matched = seen.is_some_and(|seen| seen == dhash);
        let items = list.0.iter().filter(|_| !matched).map(|(blocked, at)| {
            NodeBuilder::new("item")
                .attr("jid", self.account_jid(blocked, Space::Lid))
                .attr("pn_jid", self.account_jid(blocked, Space::Number))
                .attr("t", *at)
                .build()
        });
        NodeBuilder::new("list").attr("dhash", dhash).attr("matched", matched).children(items).build()
    }

    /// Blocks somebody or ends that.
    pub(super) fn change_blocklist(&mut self, key: &DeviceKey, node: &Node) -> Answer {
        let item = node.get_optional_child("item").ok_or(Refusal::BadRequest)?;
        let jid = wire::address(item, "jid").ok_or(Refusal::BadRequest)?;
        let block = match wire::attribute(item, "action").as_deref() {
            Some("block") => true,
            Some("unblock") => false,
            _ => return Err(Refusal::BadRequest),
        };
        let other = self.number_of(&jid).ok_or(Refusal::NotFound)?;
        if block {
            let by_number = wire::address(item, "pn_jid").and_then(|jid| self.number_of(&jid));
            if !jid.is_lid() || by_number.as_deref() != Some(other.as_str()) || other == key.number {
                return Err(Refusal::BadRequest);
            }
        }
        let list = &self.person(&key.number).blocklist;
        if wire::attribute(item, "dhash").is_some_and(|seen| seen != list.dhash()) {
            return Err(Refusal::Conflict);
        }
        if block && list.0.len() >= BLOCKED_MAX {
            return Err(Refusal::TooMany);
        }
        self.set_blocked(&key.number, Some(key), &other, block);
        let dhash = self.person(&key.number).blocklist.dhash();
        Ok(vec![NodeBuilder::new("list").attr("dhash", dhash).build()])
    }

    /// Puts an account on the list or takes it off, and tells the owner's other devices.
    pub(super) fn set_blocked(&mut self, number: &str, cause: Option<&DeviceKey>, other: &str, block: bool) {
        if self.has_blocked(number, other) == block {
            return;
        }
        let now_s = self.now_s();
        let (before, after) = self.change_person(number, |person| {
            let before = person.blocklist.dhash();
            if block {
                person.blocklist.0.insert(other.to_owned(), now_s);
            } else {
                person.blocklist.0.remove(other);
            }
            (before, person.blocklist.dhash())
        });
        let item = NodeBuilder::new("item")
            .attr("action", if block { "block" } else { "unblock" })
            .attr("jid", self.account_jid(other, Space::Lid))
            .attr("pn_jid", self.account_jid(other, Space::Number))
            .build();
        let list = NodeBuilder::new("blocklist").attr("dhash", after).attr("prev_dhash", before).children([item]).build();
        let mut notice = self.notice(number, "account_sync");
        notice.children = vec![list];
        self.tell_own(number, cause, &notice);
    }
}
