//! Who else hears of a receipt: the sender's other devices learn what was read on one of them.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};

use super::queue::QueueEntry;
use super::{Network, space_of};
use crate::address::DeviceKey;
use crate::wire;

/// Receipts that only mean the one device to which they are addressed: requests, and what devices of one account say
/// to each other.
const FOR_ONE_DEVICE: [&str; 6] = ["retry", "enc_rekey_retry", "server-error", "sender", "peer_msg", "hist_sync"];

/// Whether a receipt that names a device is for that device alone. Everything else is about the message, of which all
/// devices of the account want to know that it has arrived or was read.
pub(super) fn is_for_one_device(kind: Option<&str>) -> bool {
    kind.is_some_and(|kind| FOR_ONE_DEVICE.contains(&kind))
}

/// Whether a receipt stays within the account that sends it: whoever does not want to be seen reading sends these.
pub(super) fn stays_at_home(kind: Option<&str>) -> bool {
    matches!(kind, Some("read-self" | "played-self"))
}

impl Network {
    /// Tells the other devices of an account what was read or played in a chat on one of them: from that device, with
    /// the chat as `recipient`, or from the group, with that device as `participant` (as Baileys 7
    /// Socket/messages-recv.js reads receipts of one's own account).
    pub(super) fn share_reading(&mut self, sender: &DeviceKey, chat: &Jid, receipt: &Node) {
        let Some(id) = wire::attribute(receipt, "id") else { return };
        let kind = match wire::attribute(receipt, "type").as_deref() {
            Some("read" | "read-self") => "read-self",
            Some("played" | "played-self") => "played-self",
            _ => return,
        };
        let others: Vec<DeviceKey> = self.companions_of(&sender.number).into_iter().filter(|key| key != sender).collect();
        if chat.server == Server::Group {
            return self.share_reading_in_group(sender, &others, chat, &id, kind, receipt);
        }
        if self.number_of(chat).is_none_or(|number| number == sender.number) {
            return;
        }
        let node = NodeBuilder::new("receipt")
            .attr("from", self.jid_of(sender, space_of(chat)))
            .attr("recipient", chat.to_non_ad())
            .attr("id", &id)
            .attr("type", kind)
            .attr("t", self.now_s())
            .apply_content(receipt.content.clone())
            .build();
        for key in others {
            let entry = QueueEntry {
                class: "receipt".to_owned(),
                id: id.clone(),
                peer: sender.number.clone(),
                kind: Some(kind.to_owned()),
                node: node.clone(),
            };
            self.enqueue(&key, entry);
        }
    }
}
