//! Messages from clients: into the journal, one copy to each device they are sealed for, an ack to the sender.
//!
//! A message is taken as often as it is sent; telling copies apart is the receivers' business.

use std::collections::HashSet;

use sha2::{Digest, Sha256};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};

use super::stanza::MessageHead;
use super::{LinkId, Network, space_of};
use crate::address::{DeviceKey, Space};
use crate::journal::{JournalCiphertext, JournalEntry};
use crate::wire;

/// Devices one message may be sealed for: those of the largest group, each member with some companions.
const COPIES_MAX: usize = 5_000;
/// Ciphertexts in one copy: the message, and what opens it.
const CIPHERTEXTS_MAX: usize = 4;
/// Elements that the server reads itself and does not pass on.
const SERVER_ELEMENTS: [&str; 5] = ["participants", "enc", "device-identity", "tctoken", "cstoken"];

/// One sealed copy.
pub(super) struct SealedCopy<'a> {
    pub(super) to: Jid,
    pub(super) encs: Vec<&'a Node>,
}

impl Network {
    pub(super) fn receive_message(&mut self, link: LinkId, sender: &DeviceKey, node: &Node) {
        let (Some(id), Some(chat)) = (wire::attribute(node, "id"), wire::address(node, "to")) else {
            tracing::warn!("a client sent a message without id or recipient");
            return;
        };
        if chat.server == Server::Group {
            return self.receive_group_message(link, sender, node, &id, &chat);
        }
        if self.receive_newsletter_message(link, sender, node) || self.receive_status_message(link, sender, node) {
            return;
        }
        let copies = copies(node, &chat);
        self.record_in_journal(sender, &chat, &id, &copies);
        if self.number_of(&chat).is_none() {
            self.acknowledge_message(link, sender, &chat, &id, Some("404"));
            return;
        }
        if let Some(error) = self.direct_message_refusal(sender, &chat, node) {
            self.acknowledge_message(link, sender, &chat, &id, Some(error));
            return;
        }
        let head = MessageHead {
            id,
            kind: wire::attribute(node, "type").unwrap_or_else(|| "text".to_owned()),
            edit: wire::attribute(node, "edit"),
            category: wire::attribute(node, "category"),
            extras: extras(node),
            device_identity: wire::child_content(node, "device-identity").map(<[u8]>::to_vec),
            // A message sent again to one device of our own account says here where it belongs.
            chat: wire::address(node, "recipient").unwrap_or_else(|| chat.clone()),
        };
        let chat_number = self.number_of(&chat);
        let mut served = HashSet::new();
        for copy in copies {
            // One copy for each device, of the peer and of the sender: to others the message does not go.
            let Some(target) = self.key_of(&copy.to).filter(|target| {
                let belongs = Some(&target.number) == chat_number.as_ref() || target.number == sender.number;
                belongs && served.insert(target.clone())
            }) else {
                continue;
            };
            let encs: Vec<Node> = copy.encs.into_iter().cloned().collect();
            self.deliver(sender, &head, &target, &copy.to, encs);
        }
        self.messages_relayed += 1;
        self.acknowledge_message(link, sender, &chat, &head.id, None);
    }

    /// For a direct message: the hash of all devices it should have been sealed for. Clients compare it with their own
    /// and ask for the device lists again when it differs (wacore 0.7.0 send/dm.rs).
    fn ack_hash(&self, sender: &DeviceKey, chat: &Jid) -> Option<String> {
        let recipient = self.number_of(chat)?;
        Some(self.direct_recipients_hash(sender, &recipient, space_of(chat)))
    }

    /// Hands one copy to its device. A device that is gone gets nothing.
    pub(super) fn deliver(
        &mut self,
        sender: &DeviceKey,
        head: &MessageHead,
        target: &DeviceKey,
        addressed: &Jid,
        encs: Vec<Node>,
    ) {
        if !self.takes_message(sender, head, target) {
            return;
        }
        if target.device == 0 {
            self.deliver_to_phone(sender, head, &target.number, &encs);
            return;
        }
        if self.device(target).is_some() {
            let entry = self.message_entry(sender, head, target, addressed, encs);
            self.enqueue(target, entry);
        }
    }

    fn acknowledge_message(&mut self, link: LinkId, sender: &DeviceKey, chat: &Jid, id: &str, error: Option<&'static str>) {
        if self.is_silent(sender) {
            return;
        }
        let mut ack =
            NodeBuilder::new("ack").attr("class", "message").attr("id", id).attr("from", chat).attr("t", self.now_s());
        if let Some(error) = error {
            ack = ack.attr("error", error);
        } else if let Some(hash) = self.ack_hash(sender, chat) {
            ack = ack.attr("phash", hash);
        }
        self.send(link, ack.build());
    }

    pub(super) fn record_in_journal(&mut self, sender: &DeviceKey, chat: &Jid, id: &str, copies: &[SealedCopy<'_>]) {
        let ciphertexts = copies.iter().flat_map(|copy| {
            copy.encs.iter().map(|enc| {
                let bytes = wire::content(enc).unwrap_or_default();
                JournalCiphertext {
                    to: self.by_number(&copy.to),
                    kind: wire::attribute(enc, "type").unwrap_or_default(),
                    sha256: hex::encode(Sha256::digest(bytes)),
                    bytes: bytes.len(),
                }
            })
        });
        let entry = JournalEntry {
            n: 0,
            at_ms: self.now_ms,
            from: self.jid_of(sender, Space::Number).to_string(),
            to: self.by_number(chat),
            id: id.to_owned(),
            enc: ciphertexts.collect(),
        };
        self.out.journal.push(entry);
    }
}

/// The copies of a message: those in its participants element, and the one it carries itself.
pub(super) fn copies<'a>(node: &'a Node, chat: &Jid) -> Vec<SealedCopy<'a>> {
    let mut copies = Vec::new();
    let participants = node.get_optional_child("participants").map(wire::children).unwrap_or_default();
    for participant in participants.iter().take(COPIES_MAX) {
        if let Some(to) = wire::address(participant, "jid") {
            let encs = participant.get_children_by_tag("enc").take(CIPHERTEXTS_MAX).collect();
            copies.push(SealedCopy { to, encs });
        }
    }
    let own: Vec<&Node> = node.get_children_by_tag("enc").take(CIPHERTEXTS_MAX).collect();
    if !own.is_empty() {
        copies.push(SealedCopy { to: chat.clone(), encs: own });
    }
    copies
}

pub(super) fn extras(node: &Node) -> Vec<Node> {
    wire::children(node).iter().filter(|child| !SERVER_ELEMENTS.contains(&child.tag.as_ref())).cloned().collect()
}
