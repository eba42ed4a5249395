//! What is said about messages in a group: receipts go to the devices of whoever wrote the message, or to the one device that
//! must send it again; what a device has read its account's other devices learn.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};

use super::model::Addressing;
use super::{Network, group_jid};
use crate::address::DeviceKey;
use crate::network::queue::QueueEntry;
use crate::network::receipt;
use crate::wire;

impl Network {
    /// A client confirms a message of `participant`, or asks for it again.
    pub(in crate::network) fn receive_group_receipt(&mut self, sender: &DeviceKey, id: &str, to: &Jid, node: &Node) {
        let Ok(group) = self.group_of_member(&to.user, &sender.number) else { return };
        let addressing = group.addressing;
        let Some(author) = wire::address(node, "participant").and_then(|jid| self.key_of(&jid)) else {
            return;
        };
        let kind = wire::attribute(node, "type");
        let targets = if kind.as_deref() != Some("retry") {
            self.devices_of(&author.number)
        } else if author.device == 0 {
            self.phone_sends_again_in_group(sender, &author.number, &to.user, id, node);
            Vec::new()
        } else {
            vec![author]
        };
        let content = wire::children(node).to_vec();
        for target in targets.into_iter().filter(|target| target.device != 0 && target != sender) {
            self.queue_group_receipt(sender, &target, &to.user, addressing, id, kind.as_deref(), content.clone());
        }
    }

    /// Queues a receipt as wacore 0.7.0 `handle_receipt_inline` and Baileys 7 `handleReceipt` read it.
    #[expect(clippy::too_many_arguments, reason = "a receipt is no more than what is listed here")]
    pub(super) fn queue_group_receipt(
        &mut self,
        from: &DeviceKey,
        target: &DeviceKey,
        group: &str,
        addressing: Addressing,
        id: &str,
        kind: Option<&str>,
        content: Vec<Node>,
    ) {
        if self.device(target).is_none() {
            return;
        }
        let participant = self.jid_of(from, addressing.space());
        let peer = receipt_peer(&group_jid(group), &participant);
        let mut receipt = NodeBuilder::new("receipt")
            .attr("from", group_jid(group))
            .attr("id", id)
            .attr("t", self.now_s())
            .attr("participant", participant);
        if addressing == Addressing::Lid {
            receipt = receipt.attr("participant_pn", Jid::pn(from.number.as_str()));
        }
        if let Some(kind) = kind {
            receipt = receipt.attr("type", kind);
        }
        if !content.is_empty() {
            receipt = receipt.children(content);
        }
        let entry = QueueEntry {
            class: "receipt".to_owned(),
            id: id.to_owned(),
            peer,
            kind: kind.map(str::to_owned),
            node: receipt.build(),
        };
        self.enqueue(target, entry);
    }

    /// The other devices of an account learn what one of them has read or played in a group.
    pub(in crate::network) fn share_reading_in_group(
        &mut self,
        reader: &DeviceKey,
        others: &[DeviceKey],
        chat: &Jid,
        id: &str,
        kind: &str,
        receipt: &Node,
    ) {
        let Ok(addressing) = self.group_of_member(&chat.user, &reader.number).map(|group| group.addressing) else {
            return;
        };
        for target in others {
            let content = wire::children(receipt).to_vec();
            self.queue_group_receipt(reader, target, &chat.user, addressing, id, Some(kind), content);
        }
    }

    /// Under which name an ack finds what it is about. Many members confirm one message, so receipts from a group are told
    /// apart by who sent them; whatsapp-rust 0.7.0 and Baileys 7 repeat the `participant`.
    pub(in crate::network) fn acknowledged_peer(&self, class: &str, to: &Jid, node: &Node) -> String {
        match wire::address(node, "participant") {
            Some(participant) if class == "receipt" && to.server == Server::Group => receipt_peer(to, &participant),
            _ if class == "receipt" => self.key_of(to).map_or_else(|| self.peer_of(to), |key| receipt::receipt_peer(&key)),
            _ => self.peer_of(to),
        }
    }
}

fn receipt_peer(group: &Jid, participant: &Jid) -> String {
    format!("{} {participant}", group.to_non_ad_string())
}
