//! Who is online and who is typing. Nobody keeps this; those who are there hear it once.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::{Link, LinkId, Network, space_of};
use crate::address::{DeviceKey, Space};
use crate::wire;

impl Network {
    pub(super) fn receive_presence(&mut self, link: LinkId, key: &DeviceKey, node: &Node) {
        if let Some(name) = wire::attribute(node, "name").filter(|name| !name.is_empty()) {
            self.set_push_name(key, &name);
        }
        match wire::attribute(node, "type").as_deref() {
            None | Some("available") => self.set_available(link, true),
            Some("unavailable") => self.set_available(link, false),
            Some("subscribe") => self.subscribe(link, node),
            Some("unsubscribe") => {
                let number = wire::address(node, "to").and_then(|jid| self.number_of(&jid));
                if let Some(subscribers) = number.and_then(|number| self.presence_subscribers.get_mut(&number)) {
                    subscribers.remove(&link);
                }
            }
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

    fn subscribe(&mut self, link: LinkId, node: &Node) {
        let Some(jid) = wire::address(node, "to") else { return };
        let Some(number) = self.number_of(&jid) else { return };
        let jid = jid.to_non_ad();
        let answer = presence(&jid, self.is_available(&number), self.now_s());
        self.presence_subscribers.entry(number).or_default().insert(link, jid);
        self.send(link, answer);
    }

    fn is_available(&self, number: &str) -> bool {
        let Some(account) = self.accounts.get(number) else {
            return false;
        };
        account.devices.keys().any(|device| {
            let link = self.link_by_device.get(&DeviceKey::new(number, *device));
            let link = link.and_then(|link| self.links.get(link));
            matches!(link, Some(Link::Session(session)) if session.available)
        })
    }

    /// Tells the subscribers of an account whether one of its devices is online.
    pub(super) fn announce_presence(&mut self, number: &str) {
        let available = self.is_available(number);
        let now_s = self.now_s();
        let subscribers = self.presence_subscribers.get(number).cloned().unwrap_or_default();
        for (link, jid) in subscribers {
            self.send(link, presence(&jid, available, now_s));
        }
    }

    pub(super) fn receive_chatstate(&mut self, sender: &DeviceKey, node: &Node) {
        let Some(to) = wire::address(node, "to") else { return };
        let Some(number) = self.number_of(&to) else { return };
        let account = DeviceKey::new(sender.number.as_str(), 0);
        let space: Space = space_of(&to);
        let state = NodeBuilder::new("chatstate")
            .attr("from", self.jid_of(&account, space))
            .apply_content(node.content.clone())
            .build();
        let Some(target) = self.accounts.get(&number) else {
            return;
        };
        let links: Vec<LinkId> = target
            .devices
            .keys()
            .map(|device| DeviceKey::new(number.as_str(), *device))
            .filter(|key| key != sender)
            .filter_map(|key| self.link_by_device.get(&key).copied())
            .collect();
        for link in links {
            self.send(link, state.clone());
        }
    }
}

fn presence(jid: &Jid, available: bool, now_s: u64) -> Node {
    let builder = NodeBuilder::new("presence").attr("from", jid);
    if available {
        builder.attr("type", "available").build()
    } else {
        builder.attr("type", "unavailable").attr("last", now_s).build()
    }
}
