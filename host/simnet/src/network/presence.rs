//! Who is online. Those who subscribed hear of each change; who was away meanwhile hears once how it stands now.
//!
//! A subscription belongs to a device and outlives its connection, until it is taken back or the simulator restarts.
//! When an account was last online is stored under `presence/<number>`.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::account::put;
use super::typing::Typing;
use super::{Link, LinkId, Network};
use crate::address::DeviceKey;
use crate::wire;

/// Accounts to whose presence one device may subscribe.
const SUBSCRIPTIONS_MAX: usize = 5_000;

/// What is known about everyone's presence and typing.
#[derive(Default)]
pub(super) struct Presence {
    accounts: HashMap<String, AccountPresence>,
    /// What each device has subscribed to.
    subscriptions: HashMap<DeviceKey, BTreeSet<String>>,
    pub(super) typing: Typing,
}

#[derive(Default)]
struct AccountPresence {
    /// What was announced last.
    announced: bool,
    last_seen_s: Option<u64>,
    /// Who wants to hear of changes.
    subscribers: HashMap<DeviceKey, Subscriber>,
}

struct Subscriber {
    /// The address under which they asked; they are told under the same.
    asked: Jid,
    /// Whether there was a change that they have not been told.
    missed: bool,
}

#[derive(Serialize, Deserialize)]
struct PresenceRecord {
    last_seen_s: u64,
}

impl Network {
    pub(super) fn receive_presence(&mut self, link: LinkId, key: &DeviceKey, node: &Node) {
        let name = wire::attribute(node, "name").filter(|name| !name.is_empty());
        if let Some(name) = &name {
            self.set_push_name(key, name);
        }
        match wire::attribute(node, "type").as_deref() {
            Some("available") => self.set_available(link, true),
            Some("unavailable") => self.set_available(link, false),
            Some("subscribe") => self.subscribe(link, key, node),
            Some("unsubscribe") => {
                if let Some(number) = wire::address(node, "to").and_then(|jid| self.number_of(&jid)) {
                    self.unsubscribe(key, &number);
                }
            }
            // A new name and nothing else (as Baileys 7 Socket/socket.js sends it) says nothing about being there.
            None if name.is_some() => {}
            None => self.set_available(link, true),
            Some(_) => {}
        }
    }

    fn set_available(&mut self, link: LinkId, available: bool) {
        let Some(Link::Session(session)) = self.links.get_mut(&link) else {
            return;
        };
        session.available = available;
        let number = session.key.number.clone();
        self.announce_presence(&number);
    }

    fn subscribe(&mut self, link: LinkId, key: &DeviceKey, node: &Node) {
        let Some(jid) = wire::address(node, "to") else { return };
        // Groups have no presence of their own here.
        let Some(number) = self.number_of(&jid) else { return };
        if !self.may_subscribe(link, &number, node) {
            return;
        }
        let subscribed = self.presence.subscriptions.entry(key.clone()).or_default();
        if subscribed.len() >= SUBSCRIPTIONS_MAX && !subscribed.contains(&number) {
            tracing::warn!(
                number = key.number,
                limit = SUBSCRIPTIONS_MAX,
                "a device subscribes to too many; one is refused"
            );
            return;
        }
        subscribed.insert(number.clone());
        let asked = jid.to_non_ad();
        let answer = self.veiled_presence(link, &number, self.presence_of(&number, &asked));
        let subscribers = &mut self.presence.accounts.entry(number).or_default().subscribers;
        subscribers.insert(key.clone(), Subscriber { asked, missed: false });
        if let Some(answer) = answer {
            self.send(link, answer);
        }
    }

    fn unsubscribe(&mut self, key: &DeviceKey, number: &str) {
        if let Some(subscribed) = self.presence.subscriptions.get_mut(key) {
            subscribed.remove(number);
            if subscribed.is_empty() {
                self.presence.subscriptions.remove(key);
            }
        }
        if let Some(account) = self.presence.accounts.get_mut(number) {
            account.subscribers.remove(key);
        }
    }

    /// A device is gone for good, and with it what it wanted to hear.
    pub(super) fn forget_presence(&mut self, key: &DeviceKey) {
        for number in self.presence.subscriptions.remove(key).unwrap_or_default() {
            if let Some(account) = self.presence.accounts.get_mut(&number) {
                account.subscribers.remove(key);
            }
        }
    }

    /// An account is online when one of its devices says so.
    pub(super) fn is_available(&self, number: &str) -> bool {
        if self.phone_is_available(number) {
            return true;
        }
        let Some(account) = self.accounts.get(number) else {
            return false;
        };
        account.devices.keys().any(|device| {
            let link = self.link_by_device.get(&DeviceKey::new(number, *device));
            let link = link.and_then(|link| self.links.get(link));
            matches!(link, Some(Link::Session(session)) if session.available)
        })
    }

    /// Something happened that may have brought an account online or offline. Its subscribers are told if it did.
    pub(super) fn announce_presence(&mut self, number: &str) {
        let available = self.is_available(number);
        let announced = self.presence.accounts.get(number).is_some_and(|account| account.announced);
        if available == announced {
            return;
        }
        let now_s = self.now_s();
        let account = self.presence.accounts.entry(number.to_owned()).or_default();
        account.announced = available;
        if !available {
            account.last_seen_s = Some(now_s);
            self.out.records.push(put(format!("presence/{number}"), &PresenceRecord { last_seen_s: now_s }));
        }
        let subscribers: Vec<(DeviceKey, Jid)> =
            account.subscribers.iter().map(|(key, subscriber)| (key.clone(), subscriber.asked.clone())).collect();
        for (key, asked) in subscribers {
            match self.listening_link(&key) {
                Some(link) => {
                    let presence = self.presence_of(number, &asked);
                    if let Some(presence) = self.veiled_presence(link, number, presence) {
                        self.send(link, presence);
                    }
                }
                None => self.miss_presence(&key, number),
            }
        }
        self.phones_see_presence(number, available);
    }

    fn miss_presence(&mut self, key: &DeviceKey, number: &str) {
        let account = self.presence.accounts.get_mut(number);
        if let Some(subscriber) = account.and_then(|account| account.subscribers.get_mut(key)) {
            subscriber.missed = true;
        }
    }

    /// The connection of a device that has asked for what is going on.
    pub(super) fn listening_link(&self, key: &DeviceKey) -> Option<LinkId> {
        let link = *self.link_by_device.get(key)?;
        match self.links.get(&link) {
            Some(Link::Session(session)) if session.active => Some(link),
            _ => None,
        }
    }

    /// A device is back: it hears once how those stand of whom it missed something, and who is typing to it now.
    pub(super) fn tell_what_was_missed(&mut self, link: LinkId, key: &DeviceKey) {
        let subscribed = self.presence.subscriptions.get(key).cloned().unwrap_or_default();
        for number in subscribed {
            let account = self.presence.accounts.get_mut(&number);
            let Some(subscriber) = account.and_then(|account| account.subscribers.get_mut(key)) else {
                continue;
            };
            if std::mem::take(&mut subscriber.missed) {
                let asked = subscriber.asked.clone();
                let presence = self.presence_of(&number, &asked);
                if let Some(presence) = self.veiled_presence(link, &number, presence) {
                    self.send(link, presence);
                }
            }
        }
        self.tell_who_is_typing(link, key);
    }

    /// `last` is when the account was last online, in seconds (as whatsapp-rust 0.7.0 handlers/presence.rs and Baileys 7
    /// Socket/chats.js read it); absent when it never was.
    fn presence_of(&self, number: &str, asked: &Jid) -> Node {
        let presence = NodeBuilder::new("presence").attr("from", asked);
        if self.is_available(number) {
            return presence.attr("type", "available").build();
        }
        let presence = presence.attr("type", "unavailable");
        match self.last_seen_s(number) {
            Some(last) => presence.attr("last", last).build(),
            None => presence.build(),
        }
    }

    /// When an account was last online, in seconds.
    pub(super) fn last_seen_s(&self, number: &str) -> Option<u64> {
        self.presence.accounts.get(number)?.last_seen_s
    }

    pub(super) fn restore_presence(&mut self, number: &str, value: Value) -> Option<()> {
        let record: PresenceRecord = serde_json::from_value(value).ok()?;
        self.presence.accounts.entry(number.to_owned()).or_default().last_seen_s = Some(record.last_seen_s);
        Some(())
    }
}

impl Presence {
    /// How much is remembered for clients, so that tests can see that it has an end.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        let subscribers: usize = self.accounts.values().map(|account| account.subscribers.len()).sum();
        subscribers + self.subscriptions.values().map(BTreeSet::len).sum::<usize>() + self.typing.len()
    }
}
