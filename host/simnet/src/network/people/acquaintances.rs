//! Who knows whom.
//!
//! An account knows another once they have exchanged a message, or once it has asked for the other's devices. Those
//! who know an account hear when its devices, its keys or its profile change. To write to somebody is to have them as
//! a contact: the simulated network has no other address book.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use wacore_binary::Jid;

use super::{ACQUAINTANCE_RECORD, Network, People};
use crate::address::DeviceKey;
use crate::network::account::put;
use crate::network::stanza::MessageHead;

/// Accounts that one account knows; it hears nothing of further ones until it asks.
const ACQUAINTANCES_MAX: usize = 20_000;

/// What one account is to another; stored under `acquaintance/<who>/<of>`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Acquaintance {
    /// In its address book.
    pub(super) contact: bool,
    /// Wrote to it with a token that was good, and may go on without.
    pub(super) admitted: bool,
}

impl People {
    /// Takes a relation in at both of its ends.
    pub(super) fn keep_acquaintance(&mut self, who: &str, of: &str, acquaintance: Acquaintance) {
        self.acquaintances.entry(who.to_owned()).or_default().insert(of.to_owned(), acquaintance);
        self.known_by.entry(of.to_owned()).or_default().insert(who.to_owned());
    }
}

impl Network {
    /// Whether a copy of a message is delivered. Those who exchange messages know each other from then on; what a
    /// blocked sender writes goes nowhere, though its ack looks the same.
    pub(in crate::network) fn takes_message(&mut self, sender: &DeviceKey, head: &MessageHead, target: &DeviceKey) -> bool {
        // In a group everybody reads everybody, blocked or not.
        if sender.number == target.number || self.number_of(&head.chat).is_none() {
            return true;
        }
        if self.has_blocked(&target.number, &sender.number) {
            return false;
        }
        self.change_acquaintance(&sender.number, &target.number, |acquaintance| acquaintance.contact = true);
        self.change_acquaintance(&target.number, &sender.number, |_| {});
        if sender.device == 0 {
            self.phone_gives_token(&sender.number, &target.number);
        }
        true
    }

    /// Somebody has asked for an account's devices, and will keep them.
    pub(in crate::network) fn note_device_query(&mut self, asker: &str, number: &str) {
        self.change_acquaintance(asker, number, |_| {});
    }

    /// Puts an account into another's address book, or takes it out.
    pub(in crate::network) fn set_contact(&mut self, who: &str, of: &str, contact: bool) {
        self.change_acquaintance(who, of, |acquaintance| acquaintance.contact = contact);
    }

    pub(super) fn change_acquaintance(&mut self, who: &str, of: &str, change: impl FnOnce(&mut Acquaintance)) {
        if who == of || !self.accounts.contains_key(who) || !self.accounts.contains_key(of) {
            return;
        }
        let known = self.people.acquaintances.entry(who.to_owned()).or_default();
        let before = known.get(of).copied();
        if before.is_none() && known.len() >= ACQUAINTANCES_MAX {
            tracing::warn!(
                number = who,
                limit = ACQUAINTANCES_MAX,
                "an account knows too many others; one more is not remembered"
            );
            return;
        }
        let mut after = before.unwrap_or_default();
        change(&mut after);
        if before != Some(after) {
            self.people.keep_acquaintance(who, of, after);
            self.out.records.push(put(format!("{ACQUAINTANCE_RECORD}/{who}/{of}"), &after));
        }
    }

    pub(super) fn acquaintance(&self, who: &str, of: &str) -> Option<Acquaintance> {
        self.people.acquaintances.get(who)?.get(of).copied()
    }

    pub(super) fn is_contact(&self, who: &str, of: &str) -> bool {
        self.acquaintance(who, of).is_some_and(|acquaintance| acquaintance.contact)
    }

    /// Everybody who must hear of a change of this account.
    pub(super) fn acquainted_with(&self, number: &str) -> impl Iterator<Item = &String> {
        self.people.known_by.get(number).into_iter().flat_map(BTreeSet::iter)
    }

    /// An address as journals and people write it: by number, whichever name a client used.
    pub(in crate::network) fn by_number(&self, jid: &Jid) -> String {
        self.key_of(jid).map_or_else(|| jid.to_string(), |key| self.address_text(&key))
    }
}
