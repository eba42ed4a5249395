//! Logged-in devices: login, the switch to active, and handing over the queue.

use std::collections::VecDeque;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::whatsapp::ClientPayload;

use super::backlog::{Backlog, Pulled};
use super::queue::{DeviceQueue, QueueEntry};
use super::{Effect, Link, LinkId, Network};
use crate::address::{DeviceKey, Space};
use crate::random;
use crate::wire;

/// Peer name of stanzas that come from the server itself.
pub(super) const SERVER_PEER: &str = "server";

/// Bytes of a push name; a longer one is cut.
pub(super) const PUSH_NAME_BYTES_MAX: usize = 256;

/// Messages asked for again whose acks are waited for. An ack that is forgotten costs a message only if the connection
/// breaks before its successor has been read.
const ASKED_AGAIN_MAX: usize = 1_000;

/// A device's connection.
pub(super) struct Session {
    pub(super) key: DeviceKey,
    /// Whether it has asked for its queue.
    pub(super) active: bool,
    /// The last queue entry that went out on this connection.
    pub(super) sent: u64,
    /// What it missed and has not been sent on this connection.
    pub(super) backlog: Option<Backlog>,
    /// Whether the user is shown as online.
    pub(super) available: bool,
    /// Messages that it could not read and asked for again, and whose ack may still come.
    asked_again: VecDeque<String>,
}

impl Session {
    fn new(key: DeviceKey) -> Self {
        Self { key, active: false, sent: 0, backlog: None, available: false, asked_again: VecDeque::new() }
    }

    /// Its request for a message stands for the message's confirmation. A client that acks the message as well (whatsapp-rust
    /// 0.7.0 does, src/message/retry.rs) means the one it could not read, not the one that comes in its place under the same
    /// id.
    pub(super) fn note_asked_again(&mut self, id: &str) {
        if self.asked_again.len() >= ASKED_AGAIN_MAX {
            self.asked_again.pop_front();
        }
        self.asked_again.push_back(id.to_owned());
    }

    /// Whether an ack of this id is for a message that was asked for again.
    pub(super) fn takes_ack_of_asked_again(&mut self, id: &str) -> bool {
        let position = self.asked_again.iter().position(|asked| asked == id);
        position.and_then(|position| self.asked_again.remove(position)).is_some()
    }

    /// Takes the next stanzas out of the device's queue.
    pub(super) fn pull(&mut self, queue: &mut DeviceQueue, max: usize) -> Pulled {
        let mut pulled = Pulled::default();
        if !self.active {
            return pulled;
        }
        if let Some(backlog) = &mut self.backlog {
            if !backlog.pull(queue, &mut self.sent, max, &mut pulled) {
                queue.note_given(self.sent);
                return pulled;
            }
            self.backlog = None;
        }
        for (sequence, stanza) in queue.after(self.sent, max) {
            pulled.stanzas.push(stanza.clone());
            self.sent = sequence;
        }
        queue.note_given(self.sent);
        pulled
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
            return self.refuse(link, wire::failure(401));
        };
        if let Some(failure) = self.login_refusal(&key) {
            return self.refuse(link, failure);
        }
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
        let number = key.number.clone();
        self.links.insert(link, Link::Session(Session::new(key)));
        self.send(link, success);
        self.announce_presence(&number);
    }

    /// Tells a client that it is not let in, and hangs up.
    pub(super) fn refuse(&mut self, link: LinkId, failure: Node) {
        self.send(link, failure);
        self.out.effects.push(Effect::Close(link));
    }

    pub(super) fn set_push_name(&mut self, key: &DeviceKey, name: &str) {
        let name = wire::shortened(name, PUSH_NAME_BYTES_MAX);
        let Some(device) = self.device_mut(key) else { return };
        if device.record.push_name != name {
            name.clone_into(&mut device.record.push_name);
            self.record_device(key);
        }
    }

    /// The client wants its queue, from the beginning of what it has not acknowledged.
    pub(super) fn activate(&mut self, link: LinkId, key: &DeviceKey) {
        self.release_due(key);
        let Some(device) = self.accounts.get(&key.number).and_then(|account| account.devices.get(&key.device)) else {
            return;
        };
        if let Some(Link::Session(session)) = self.links.get_mut(&link)
            && !session.active
        {
            let backlog = Backlog::of(&device.queue, session.sent);
            session.active = true;
            session.backlog = Some(backlog);
            self.tell_what_was_missed(link, key);
        }
        self.tell_dirt(link, key);
        self.out.effects.push(Effect::Wake(link));
    }

    /// Whether the device behind a connection takes what is for it.
    pub(super) fn is_active(&self, link: LinkId) -> bool {
        matches!(self.links.get(&link), Some(Link::Session(session)) if session.active)
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
            self.announce_presence(&session.key.number);
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
