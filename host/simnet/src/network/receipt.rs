//! Receipts and acks: they empty the queue of the device that sends them, and receipts travel on.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt as _, Node, Server};

use super::queue::QueueEntry;
use super::receipt_sync::{is_for_one_device, stays_at_home};
use super::session::SERVER_PEER;
use super::{Link, LinkId, Network, space_of};
use crate::address::{DeviceKey, Space};
use crate::wire;

/// Receipts for what a phone told its companion: a message between own devices, a piece of history.
const OWN_RECEIPTS: [&str; 2] = ["peer_msg", "hist_sync"];

impl Network {
    /// Clients confirm a message with a receipt, and some of them with an ack as well; either will do.
    pub(super) fn receive_receipt(&mut self, link: LinkId, sender: &DeviceKey, node: &Node) {
        let (Some(id), Some(to)) = (wire::attribute(node, "id"), wire::address(node, "to")) else {
            return;
        };
        let ids = receipt_ids(&id, node);
        let peer = self.peer_of(&to);
        let settled = self.acknowledge(sender, "message", &ids, &peer, None);
        if settled > 0
            && wire::attribute_is(node, "type", "retry")
            && let Some(Link::Session(session)) = self.links.get_mut(&link)
        {
            session.note_asked_again(&id);
        }
        if !self.is_silent(sender) {
            self.send(link, ack_for_receipt(&id, &to, node));
        }
        // It is for the own phone, which has the file; one that names another account's device is for that device.
        let is_for_other = self.number_of(&to).is_some_and(|number| number != sender.number);
        if wire::attribute_is(node, "type", "server-error") && !is_for_other {
            if !self.peer_sends_file_again(sender, &to, &id, node) {
                self.receive_media_retry(sender, &id, node);
            }
            return;
        }
        if to.server == Server::Group {
            if self.is_in_group(&to, &sender.number) && !self.settle_receipt(sender, &to, node) {
                self.receive_group_receipt(sender, &id, &to, node);
            }
            return;
        }
        if self.receive_newsletter_receipt(sender, &to, node)
            || self.receive_status_receipt(sender, &id, &to, node)
            || self.receive_call_receipt(sender, &id, &to, node)
        {
            return;
        }
        if wire::attribute_is(node, "type", "retry") {
            self.forget_phone_session(sender, &to);
            self.phone_sends_again(sender, &to, &id, node);
            self.peer_sends_again(sender, &to, &id, node);
        }
        if self.is_between_own(sender, &to, node) {
            return;
        }
        if self.settle_receipt(sender, &to, node) {
            return;
        }
        let kind = wire::attribute(node, "type");
        for target in self.receipt_targets(sender, &to, kind.as_deref()) {
            let entry = self.receipt_entry(sender, &id, &to, node);
            self.enqueue(&target, entry);
        }
    }

    pub(super) fn receive_ack(&mut self, link: LinkId, sender: &DeviceKey, node: &Node) {
        let (Some(class), Some(id)) = (wire::attribute(node, "class"), wire::attribute(node, "id")) else {
            return;
        };
        if class == "message"
            && let Some(Link::Session(session)) = self.links.get_mut(&link)
            && session.takes_ack_of_asked_again(&id)
        {
            return;
        }
        let peer = self.peer_of_ack(node, &class);
        let kind = wire::attribute(node, "type");
        // Only receipts share an id with each other; elsewhere clients differ in what they repeat.
        let exactly = (class == "receipt").then_some(kind.as_deref());
        let ids = [id];
        if self.acknowledge(sender, &class, &ids, &peer, exactly) == 0 && kind.is_none() {
            self.acknowledge(sender, &class, &ids, &peer, None);
        }
    }

    /// Queues a receipt from a phone to the device whose message it is about.
    pub(super) fn send_phone_receipt(
        &mut self,
        number: &str,
        target: &DeviceKey,
        id: &str,
        kind: Option<&str>,
        children: Vec<Node>,
    ) {
        if target.device == 0 {
            return self.phone_confirms_to_phone(number, target, id, kind);
        }
        if self.device(target).is_none() {
            return;
        }
        let phone = DeviceKey::new(number, 0);
        let mut builder = NodeBuilder::new("receipt")
            .attr("from", self.jid_of(&phone, Space::Number))
            .attr("id", id)
            .attr("t", self.now_s());
        if let Some(kind) = kind {
            builder = builder.attr("type", kind);
        }
        if !children.is_empty() {
            builder = builder.children(children);
        }
        let entry = QueueEntry {
            class: "receipt".to_owned(),
            id: id.to_owned(),
            peer: receipt_peer(&phone),
            kind: kind.map(str::to_owned),
            node: builder.build(),
        };
        self.enqueue(target, entry);
    }

    /// A device that cannot read a phone's message gets it again, and the next ones, in a new session.
    fn forget_phone_session(&mut self, sender: &DeviceKey, to: &Jid) {
        let Some(phone) = self.key_of(to).filter(|key| key.device == 0) else {
            return;
        };
        if let Some(account) = self.accounts.get_mut(&phone.number) {
            account.phone.renew_session(&sender.address());
            self.record_phone(&phone.number);
        }
    }

    /// Whether a receipt tells the account's own phone that something for this device alone has arrived; nobody else
    /// needs to know.
    fn is_between_own(&self, sender: &DeviceKey, to: &Jid, node: &Node) -> bool {
        let to_own_phone = self.key_of(to).is_some_and(|key| key.number == sender.number && key.device == 0);
        to_own_phone && OWN_RECEIPTS.iter().any(|kind| wire::attribute_is(node, "type", kind))
    }

    /// A receipt that means one device goes there; one about a message goes to all companions of the account but the
    /// sender.
    fn receipt_targets(&self, sender: &DeviceKey, to: &Jid, kind: Option<&str>) -> Vec<DeviceKey> {
        let Some(target) = self.key_of(to).filter(|_| !stays_at_home(kind)) else {
            return Vec::new();
        };
        if is_for_one_device(kind) || (target.device != 0 && target.number == sender.number) {
            let exists = self.device(&target).is_some() && target != *sender;
            return if exists { vec![target] } else { Vec::new() };
        }
        let Some(account) = self.accounts.get(&target.number) else {
            return Vec::new();
        };
        account
            .devices
            .keys()
            .map(|device| DeviceKey::new(target.number.as_str(), *device))
            .filter(|key| key != sender)
            .collect()
    }

    fn receipt_entry(&self, sender: &DeviceKey, id: &str, to: &Jid, node: &Node) -> QueueEntry {
        let kind = wire::attribute(node, "type");
        let mut builder = NodeBuilder::new("receipt")
            .attr("from", self.jid_of(sender, space_of(to)))
            .attr("id", id)
            .attr("t", self.now_s());
        if let Some(kind) = &kind {
            builder = builder.attr("type", kind);
        }
        if let Some(recipient) = wire::address(node, "recipient") {
            builder = builder.attr("recipient", recipient);
        }
        QueueEntry {
            class: "receipt".to_owned(),
            id: id.to_owned(),
            peer: receipt_peer(sender),
            kind,
            node: builder.apply_content(node.content.clone()).build(),
        }
    }

    /// How queue entries name the account or group behind an address.
    pub(super) fn peer_of(&self, jid: &Jid) -> String {
        if jid.is_empty() {
            return SERVER_PEER.to_owned();
        }
        self.number_of(jid).unwrap_or_else(|| jid.to_non_ad_string())
    }
}

/// How queue entries name whoever a receipt is from. All devices of an account confirm one message, so the device counts:
/// an ack for the phone's receipt says nothing about a companion's. Clients send acks to the device they have heard.
pub(super) fn receipt_peer(sender: &DeviceKey) -> String {
    sender.address().to_string()
}

/// One receipt may stand for several messages.
fn receipt_ids(id: &str, node: &Node) -> Vec<String> {
    let mut ids = vec![id.to_owned()];
    if let Some(list) = node.get_optional_child("list") {
        ids.extend(list.get_children_by_tag("item").filter_map(|item| wire::attribute(item, "id")));
    }
    ids
}

fn ack_for_receipt(id: &str, to: &Jid, node: &Node) -> Node {
    let mut ack = NodeBuilder::new("ack").attr("class", "receipt").attr("id", id).attr("from", to);
    if let Some(kind) = wire::attribute(node, "type") {
        ack = ack.attr("type", kind);
    }
    if let Some(participant) = wire::address(node, "participant") {
        ack = ack.attr("participant", participant);
    }
    ack.build()
}
