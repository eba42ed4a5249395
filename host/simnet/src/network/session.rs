//! Logged-in devices: login, the switch to active, and handing over the queue.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, SERVER_JID};
use waproto::whatsapp::ClientPayload;

use super::queue::{DeviceQueue, QueueEntry};
use super::{Effect, Link, LinkId, Network};
use crate::address::{DeviceKey, Space};
use crate::random;
use crate::wire;

/// Peer name of stanzas that come from the server itself.
pub(super) const SERVER_PEER: &str = "server";

/// A device's connection.
pub(super) struct Session {
    pub(super) key: DeviceKey,
    /// Whether it has asked for its queue.
    active: bool,
    /// The last queue entry that went out on this connection.
    sent: u64,
    /// While the backlog goes out: its last entry and how many it has.
    backlog: Option<(u64, usize)>,
    /// Whether the user is shown as online.
    pub(super) available: bool,
}

impl Session {
    /// Takes the next stanzas out of the device's queue.
    pub(super) fn pull(&mut self, queue: &DeviceQueue, max: usize) -> Vec<Node> {
        if !self.active {
            return Vec::new();
        }
        let mut nodes = Vec::new();
        for (sequence, node) in queue.after(self.sent, max) {
            if self.backlog.is_some_and(|(end, _)| sequence > end) {
                nodes.extend(self.end_backlog());
            }
            let mut node = node.clone();
            if self.backlog.is_some() {
                node.attrs.insert("offline", "0");
            }
            nodes.push(node);
            self.sent = sequence;
        }
        let reached =
            self.backlog.is_some_and(|(end, _)| queue.after(self.sent, 1).next().is_none_or(|(next, _)| next > end));
        if reached {
            nodes.extend(self.end_backlog());
        }
        nodes
    }

    /// Tells the client how much it has missed; it waits for that.
    fn end_backlog(&mut self) -> Option<Node> {
        let (_, count) = self.backlog.take()?;
        let offline = NodeBuilder::new("offline").attr("count", count).build();
        Some(NodeBuilder::new("ib").attr("from", SERVER_JID).children([offline]).build())
    }
}

impl Network {
    /// A client has said who it is; what follows depends on whether it wants to register or to log in.
    pub(crate) fn admit(&mut self, link: LinkId, noise_public: [u8; 32], payload: &ClientPayload) {
        if payload.device_pairing_data.is_set() {
            self.register(link, noise_public, payload);
        } else {
            self.log_in(link, noise_public, payload);
        }
    }

    fn log_in(&mut self, link: LinkId, noise_public: [u8; 32], payload: &ClientPayload) {
        let claimed = payload.username.map(|username| username.to_string());
        let key = self
            .device_by_noise_key
            .get(&noise_public)
            .filter(|key| claimed.is_none_or(|number| number == key.number))
            .cloned();
        let Some(key) = key.filter(|key| self.device(key).is_some()) else {
            let failure = NodeBuilder::new("failure").attr("reason", "401").attr("location", "sim").build();
            self.send(link, failure);
            self.out.effects.push(Effect::Close(link));
            return;
        };
        if let Some(old) = self.link_by_device.insert(key.clone(), link) {
            self.send(old, wire::stream_replaced());
            self.out.effects.push(Effect::Close(old));
        }
        if let Some(name) = payload.push_name.as_deref().filter(|name| !name.is_empty()) {
            self.set_push_name(&key, name);
        }
        let success = NodeBuilder::new("success")
            .attr("t", self.now_s())
            .attr("lid", self.jid_of(&key, Space::Lid))
            .attr("creation", self.now_s())
            .attr("props", "2")
            .attr("location", "sim")
            .build();
        self.send(link, success);
        let session = Session { key, active: false, sent: 0, backlog: None, available: false };
        self.links.insert(link, Link::Session(session));
    }

    pub(super) fn set_push_name(&mut self, key: &DeviceKey, name: &str) {
        let Some(device) = self.device_mut(key) else { return };
        if device.record.push_name != name {
            name.clone_into(&mut device.record.push_name);
            self.record_device(key);
        }
    }

    /// The client wants its queue, from the beginning of what it has not acknowledged.
    pub(super) fn activate(&mut self, link: LinkId, key: &DeviceKey) {
        let Some(device) = self.device(key) else { return };
        let backlog = (device.queue.last(), device.queue.len());
        if let Some(Link::Session(session)) = self.links.get_mut(&link)
            && !session.active
        {
            session.active = true;
            session.backlog = Some(backlog);
        }
        self.out.effects.push(Effect::Wake(link));
    }

    /// The client no longer wants its queue. What it has got already is not sent again on this connection.
    pub(super) fn deactivate(&mut self, link: LinkId) {
        if let Some(Link::Session(session)) = self.links.get_mut(&link) {
            session.active = false;
        }
    }

    pub(super) fn end_session(&mut self, link: LinkId, session: &Session) {
        if self.link_by_device.get(&session.key) == Some(&link) {
            self.link_by_device.remove(&session.key);
            if session.available {
                self.announce_presence(&session.key.number);
            }
        }
    }

    /// Ends the connection of a device, after a last word if there is one.
    pub(super) fn disconnect_device(&mut self, key: &DeviceKey, last: Option<Node>) {
        let Some(link) = self.link_by_device.get(key).copied() else {
            return;
        };
        if let Some(node) = last {
            self.send(link, node);
        }
        self.out.effects.push(Effect::Close(link));
    }

    /// Queues a notification from the server.
    pub(super) fn notify(&mut self, key: &DeviceKey, kind: &str, children: Vec<Node>) {
        let id = random::stanza_id();
        let node = NodeBuilder::new("notification")
            .attr("from", server_jid())
            .attr("type", kind)
            .attr("id", &id)
            .attr("t", self.now_s())
            .children(children)
            .build();
        let entry = QueueEntry {
            class: "notification".to_owned(),
            id,
            peer: SERVER_PEER.to_owned(),
            kind: Some(kind.to_owned()),
            node,
        };
        self.enqueue(key, entry);
    }
}

fn server_jid() -> Jid {
    Jid::pn("")
}
