//! How a message looks to the device that receives it.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::queue::QueueEntry;
use super::{Network, space_of};
use crate::address::{DeviceKey, Space};
use crate::phone::Encrypted;
use crate::wire;

/// What is the same in every copy of a message.
pub(super) struct MessageHead {
    pub(super) id: String,
    /// The conversation as the sender addressed it.
    pub(super) chat: Jid,
    pub(super) kind: String,
    pub(super) edit: Option<String>,
    /// `peer` between the devices of one account.
    pub(super) category: Option<String>,
    /// Elements that travel with the message untouched.
    pub(super) extras: Vec<Node>,
    /// The sender's ADV identity, for those who get a message that opens a session.
    pub(super) device_identity: Option<Vec<u8>>,
}

impl MessageHead {
    /// The head of a message that a phone sends.
    pub(super) fn from_phone(id: String, chat: Jid, category: Option<&str>) -> Self {
        Self {
            id,
            chat,
            kind: "text".to_owned(),
            edit: None,
            category: category.map(str::to_owned),
            extras: Vec::new(),
            device_identity: None,
        }
    }

    pub(super) fn is_peer(&self) -> bool {
        self.category.as_deref() == Some("peer")
    }
}

/// An `<enc>` element.
pub(super) fn enc_node(encrypted: &Encrypted) -> Node {
    NodeBuilder::new("enc")
        .attr("v", "2")
        .attr("type", encrypted.kind.as_str())
        .bytes(encrypted.ciphertext.as_slice())
        .build()
}

impl Network {
    /// The queue entry of one copy. `addressed` is how the sender wrote this device's address.
    pub(super) fn message_entry(
        &self,
        sender: &DeviceKey,
        head: &MessageHead,
        target: &DeviceKey,
        addressed: &Jid,
        encs: Vec<Node>,
    ) -> QueueEntry {
        let space = space_of(addressed);
        let mut builder = NodeBuilder::new("message")
            .attr("from", self.jid_of(sender, space))
            .attr("id", &head.id)
            .attr("type", &head.kind)
            .attr("t", self.now_s())
            .attr("notify", self.push_name(sender));
        let account = DeviceKey::new(sender.number.as_str(), 0);
        builder = match space {
            Space::Lid => builder.attr("sender_pn", self.jid_of(&account, Space::Number)),
            Space::Number => builder.attr("sender_lid", self.jid_of(&account, Space::Lid)),
        };
        if let Some(category) = &head.category {
            builder = builder.attr("category", category);
        }
        if let Some(edit) = &head.edit {
            builder = builder.attr("edit", edit);
        }
        // The account's own devices must learn to whom the message went.
        if target.number == sender.number && !head.is_peer() {
            builder = builder.attr("recipient", head.chat.to_non_ad());
        }
        let opens_session = encs.iter().any(|enc| wire::attribute_is(enc, "type", "pkmsg"));
        let mut children = encs;
        children.extend(head.extras.iter().cloned());
        children.extend(self.verified_name(&sender.number).filter(|_| target.number != sender.number));
        if let Some(identity) = head.device_identity.as_ref().filter(|_| opens_session) {
            children.push(wire::leaf("device-identity", identity.as_slice()));
        }
        QueueEntry {
            class: "message".to_owned(),
            id: head.id.clone(),
            peer: sender.number.clone(),
            kind: Some(head.kind.clone()),
            node: builder.children(children).build(),
        }
    }

    /// The name a recipient sees for a device.
    pub(super) fn push_name(&self, key: &DeviceKey) -> String {
        let device = self.device(key).map(|device| device.record.push_name.as_str());
        let account = self.accounts.get(&key.number).map(|account| account.name.as_str());
        device.filter(|name| !name.is_empty()).or(account.filter(|name| !name.is_empty())).unwrap_or(&key.number).to_owned()
    }
}
