//! Status posts: what somebody shows to many people for a day, as messages to `status@broadcast`.
//!
//! A post is sealed once under its sender's key for the broadcast. The stanza lists the users that may see it, and next to
//! some of their devices the key itself, sealed for that device (wacore 0.7.0 `send/status.rs`; Baileys 7 lists every
//! device each time). Every device of every listed user gets the post, from `status@broadcast` with the sender as
//! `participant`, in the address space in which the sender listed it. What the phones post is in `status_phones`.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt as _, Node};

use super::queue::QueueEntry;
use super::receipt::receipt_peer;
use super::receipt_sync::is_for_one_device;
use super::session::SERVER_PEER;
use super::{LinkId, Network, space_of};
use crate::address::{DeviceKey, Space};
use crate::journal::{JournalCiphertext, JournalEntry};
use crate::wire;

/// Users and devices that one post may list.
const AUDIENCE_MAX: usize = 10_000;
/// Elements that the server reads itself and does not pass on.
const SERVER_ELEMENTS: [&str; 3] = ["participants", "enc", "device-identity"];

/// What is the same in every copy of a post.
pub(super) struct StatusHead {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) edit: Option<String>,
    /// Elements that travel with the post untouched.
    pub(super) extras: Vec<Node>,
    pub(super) device_identity: Option<Vec<u8>>,
}

/// What one device gets beside the post.
struct Place {
    space: Space,
    keys: Vec<Node>,
}

impl Network {
    /// A message from a client. False when it is no status post.
    pub(super) fn receive_status_message(&mut self, link: LinkId, sender: &DeviceKey, node: &Node) -> bool {
        let (Some(id), Some(to)) = (wire::attribute(node, "id"), wire::address(node, "to")) else {
            return false;
        };
        if !to.is_status_broadcast() {
            return false;
        }
        self.record_status_in_journal(sender, &to, &id, node);
        let head = StatusHead {
            id,
            kind: wire::attribute(node, "type").unwrap_or_else(|| "text".to_owned()),
            edit: wire::attribute(node, "edit"),
            extras: extras(node),
            device_identity: wire::child_content(node, "device-identity").map(<[u8]>::to_vec),
        };
        let post: Vec<Node> = node.get_children_by_tag("enc").cloned().collect();
        for (target, place) in self.status_audience(sender, node) {
            let mut encs = place.keys;
            encs.extend(post.iter().cloned());
            if !encs.is_empty() {
                self.deliver_status(sender, &head, &target, place.space, encs);
            }
        }
        self.messages_relayed += 1;
        if !self.is_silent(sender) {
            let ack = NodeBuilder::new("ack").attr("class", "message").attr("id", &head.id).attr("from", &to);
            let ack = ack.attr("t", self.now_s()).build();
            self.send(link, ack);
        }
        true
    }

    /// Every device that gets the post. One that could not read it is named alone, as `participant`.
    fn status_audience(&self, sender: &DeviceKey, node: &Node) -> BTreeMap<DeviceKey, Place> {
        let mut audience = BTreeMap::new();
        if let Some(alone) = wire::address(node, "participant") {
            let place = Place { space: space_of(&alone), keys: Vec::new() };
            audience.extend(self.key_of(&alone).map(|key| (key, place)));
            return audience;
        }
        let listed = node.get_optional_child("participants").map(wire::children).unwrap_or_default();
        for user in listed.iter().take(AUDIENCE_MAX) {
            let Some(jid) = wire::address(user, "jid") else { continue };
            let Some(key) = self.key_of(&jid) else { continue };
            let phone = DeviceKey::new(key.number.as_str(), 0);
            for device in std::iter::once(phone).chain(self.companion_keys(&key.number)) {
                let place = audience.entry(device).or_insert_with(|| Place { space: space_of(&jid), keys: Vec::new() });
                place.space = space_of(&jid);
            }
            if let Some(place) = audience.get_mut(&key) {
                place.keys.extend(user.get_children_by_tag("enc").cloned());
            }
        }
        audience.remove(sender);
        audience
    }

    /// Hands a post to one device.
    pub(super) fn deliver_status(
        &mut self,
        sender: &DeviceKey,
        head: &StatusHead,
        target: &DeviceKey,
        space: Space,
        encs: Vec<Node>,
    ) {
        if target.device == 0 {
            self.show_status(sender, head, &target.number, &encs);
            return;
        }
        if self.device(target).is_none() {
            return;
        }
        let account = DeviceKey::new(sender.number.as_str(), 0);
        let mut builder = NodeBuilder::new("message")
            .attr("from", Jid::status_broadcast())
            .attr("participant", self.jid_of(sender, space))
            .attr("id", &head.id)
            .attr("type", &head.kind)
            .attr("t", self.now_s())
            .attr("notify", self.push_name(sender));
        builder = match space {
            Space::Lid => builder.attr("participant_pn", self.jid_of(&account, Space::Number)),
            Space::Number => builder.attr("participant_lid", self.jid_of(&account, Space::Lid)),
        };
        if let Some(edit) = &head.edit {
            builder = builder.attr("edit", edit);
        }
        let opens_session = encs.iter().any(|enc| wire::attribute_is(enc, "type", "pkmsg"));
        let mut children = encs;
        children.extend(head.extras.iter().cloned());
        if let Some(identity) = head.device_identity.as_ref().filter(|_| opens_session) {
            children.push(wire::leaf("device-identity", identity.as_slice()));
        }
        let entry = QueueEntry {
            class: "message".to_owned(),
            id: head.id.clone(),
            peer: Jid::status_broadcast().to_string(),
            kind: Some(head.kind.clone()),
            node: builder.children(children).build(),
        };
        self.enqueue(target, entry);
    }

    fn record_status_in_journal(&mut self, sender: &DeviceKey, to: &Jid, id: &str, node: &Node) {
        let listed = node.get_optional_child("participants").map(wire::children).unwrap_or_default();
        let sealed = listed.iter().take(AUDIENCE_MAX).flat_map(|user| {
            let jid = wire::attribute(user, "jid").unwrap_or_default();
            user.get_children_by_tag("enc").map(move |enc| ciphertext(&jid, enc)).collect::<Vec<_>>()
        });
        let own = node.get_children_by_tag("enc").map(|enc| ciphertext(&to.to_string(), enc));
        let entry = JournalEntry {
            n: 0,
            at_ms: self.now_ms,
            from: self.jid_of(sender, Space::Number).to_string(),
            to: to.to_string(),
            id: id.to_owned(),
            enc: sealed.chain(own).collect(),
        };
        self.out.journal.push(entry);
    }

    /// A receipt for a status post goes to all devices of whoever posted it, as in a group; one that asks for the post again
    /// to the device that posted it. False when it is for something else.
    pub(super) fn receive_status_receipt(&mut self, sender: &DeviceKey, id: &str, to: &Jid, node: &Node) -> bool {
        if !to.is_status_broadcast() {
            return false;
        }
        let Some(participant) = wire::address(node, "participant") else {
            return true;
        };
        let Some(poster) = self.key_of(&participant) else {
            return true;
        };
        let kind = wire::attribute(node, "type");
        if poster.device == 0 && kind.as_deref() == Some("retry") {
            self.phone_posts_again(sender, &poster.number, id, node);
            return true;
        }
        if self.settle_receipt(sender, to, node) {
            return true;
        }
        let targets = if is_for_one_device(kind.as_deref()) { vec![poster] } else { self.companion_keys(&poster.number) };
        for target in targets {
            if target != *sender {
                let space = space_of(&participant);
                self.send_status_receipt(sender, &target, space, id, kind.clone(), wire::children(node).to_vec());
            }
        }
        true
    }

    /// The other devices of an account learn what one of them has seen: from the broadcast, with that device as
    /// `participant`, as in a group (whatsapp-rust 0.7.0 `receipt.rs` takes the chat from `from`).
    pub(super) fn share_status_reading(
        &mut self,
        reader: &DeviceKey,
        others: &[DeviceKey],
        id: &str,
        kind: &str,
        node: &Node,
    ) {
        let space = wire::address(node, "participant").map_or(Space::Lid, |poster| space_of(&poster));
        for other in others {
            self.send_status_receipt(reader, other, space, id, Some(kind.to_owned()), wire::children(node).to_vec());
        }
    }

    /// Queues a receipt from one device for another.
    pub(super) fn send_status_receipt(
        &mut self,
        reader: &DeviceKey,
        poster: &DeviceKey,
        space: Space,
        id: &str,
        kind: Option<String>,
        children: Vec<Node>,
    ) {
        if self.device(poster).is_none() {
            return;
        }
        let mut builder = NodeBuilder::new("receipt")
            .attr("from", Jid::status_broadcast())
            .attr("participant", self.jid_of(reader, space))
            .attr("id", id)
            .attr("t", self.now_s());
        if let Some(kind) = &kind {
            builder = builder.attr("type", kind);
        }
        if !children.is_empty() {
            builder = builder.children(children);
        }
        let peer = status_reader(reader);
        let entry = QueueEntry { class: "receipt".to_owned(), id: id.to_owned(), peer, kind, node: builder.build() };
        self.enqueue(poster, entry);
    }

    /// How queue entries name what an ack is for. Many readers send receipts for one status post, so there the reader
    /// counts as well.
    pub(super) fn peer_of_ack(&self, node: &Node, class: &str) -> String {
        let Some(to) = wire::address(node, "to") else {
            return SERVER_PEER.to_owned();
        };
        let reader = wire::address(node, "participant").and_then(|jid| self.key_of(&jid));
        match reader {
            Some(reader) if class == "receipt" && to.is_status_broadcast() => status_reader(&reader),
            _ => self.acknowledged_peer(class, &to, node),
        }
    }
}

fn status_reader(reader: &DeviceKey) -> String {
    format!("{}/{}", Jid::status_broadcast(), receipt_peer(reader))
}

fn ciphertext(to: &str, enc: &Node) -> JournalCiphertext {
    let bytes = wire::content(enc).unwrap_or_default();
    JournalCiphertext {
        to: to.to_owned(),
        kind: wire::attribute(enc, "type").unwrap_or_default(),
        sha256: hex::encode(Sha256::digest(bytes)),
        bytes: bytes.len(),
    }
}

fn extras(node: &Node) -> Vec<Node> {
    wire::children(node).iter().filter(|child| !SERVER_ELEMENTS.contains(&child.tag.as_ref())).cloned().collect()
}
