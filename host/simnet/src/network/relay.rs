//! Messages from clients: into the journal, one copy to each device they are sealed for, an ack to the sender.
//!
//! A message is taken as often as it is sent; telling copies apart is the receivers' business.

use sha2::{Digest, Sha256};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::stanza::MessageHead;
use super::{LinkId, Network};
use crate::address::{DeviceKey, Space};
use crate::journal::{JournalCiphertext, JournalEntry};
use crate::wire;

/// Devices one message may be sealed for.
const COPIES_MAX: usize = 2_000;
/// Elements that the server reads itself and does not pass on.
const SERVER_ELEMENTS: [&str; 4] = ["participants", "enc", "device-identity", "tctoken"];

/// One sealed copy.
struct SealedCopy<'a> {
    to: Jid,
    encs: Vec<&'a Node>,
}

impl Network {
    pub(super) fn receive_message(&mut self, link: LinkId, sender: &DeviceKey, node: &Node) {
        let (Some(id), Some(chat)) = (wire::attribute(node, "id"), wire::address(node, "to")) else {
            tracing::warn!("a client sent a message without id or recipient");
            return;
        };
        let copies = copies(node, &chat);
        self.record_in_journal(sender, &chat, &id, &copies);
        if self.number_of(&chat).is_none() {
            self.acknowledge_message(link, sender, &chat, &id, Some("404"));
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
        for copy in copies {
            let Some(target) = self.key_of(&copy.to) else { continue };
            let encs: Vec<Node> = copy.encs.into_iter().cloned().collect();
            self.deliver(sender, &head, &target, &copy.to, encs);
        }
        self.messages_relayed += 1;
        self.acknowledge_message(link, sender, &chat, &head.id, None);
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
        }
        self.send(link, ack.build());
    }

    fn record_in_journal(&mut self, sender: &DeviceKey, chat: &Jid, id: &str, copies: &[SealedCopy<'_>]) {
        let ciphertexts = copies.iter().flat_map(|copy| {
            copy.encs.iter().map(|enc| {
                let bytes = wire::content(enc).unwrap_or_default();
                JournalCiphertext {
                    to: copy.to.to_string(),
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
            to: chat.to_string(),
            id: id.to_owned(),
            enc: ciphertexts.collect(),
        };
        self.out.journal.push(entry);
    }
}

/// The copies of a message: those in its participants element, and the one it carries itself.
fn copies<'a>(node: &'a Node, chat: &Jid) -> Vec<SealedCopy<'a>> {
    let mut copies = Vec::new();
    let participants = node.get_optional_child("participants").map(wire::children).unwrap_or_default();
    for participant in participants.iter().take(COPIES_MAX) {
        if let Some(to) = wire::address(participant, "jid") {
            let encs = participant.get_children_by_tag("enc").collect();
            copies.push(SealedCopy { to, encs });
        }
    }
    let own: Vec<&Node> = node.get_children_by_tag("enc").collect();
    if !own.is_empty() {
        copies.push(SealedCopy { to: chat.clone(), encs: own });
    }
    copies
}

fn extras(node: &Node) -> Vec<Node> {
    wire::children(node).iter().filter(|child| !SERVER_ELEMENTS.contains(&child.tag.as_ref())).cloned().collect()
}
