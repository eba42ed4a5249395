//! Who else hears of a receipt: the sender's other devices learn what was read on one of them.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt as _, Node, Server};

use super::queue::QueueEntry;
use super::receipt::receipt_peer;
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
    /// Socket/messages-recv.js reads receipts of one's own account). A newsletter knows its readers only by number; there the
    /// receipt comes from the newsletter alone.
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
        if chat.is_status_broadcast() {
            return self.share_status_reading(sender, &others, &id, kind, receipt);
        }
        let mut node = NodeBuilder::new("receipt");
        let peer;
        if chat.server == Server::Newsletter {
            peer = self.peer_of(chat);
            node = node.attr("from", chat);
        } else if self.number_of(chat).is_some_and(|number| number != sender.number) {
            peer = receipt_peer(sender);
            node = node.attr("from", self.jid_of(sender, space_of(chat))).attr("recipient", chat.to_non_ad());
        } else {
            return;
        }
        let node =
            node.attr("id", &id).attr("type", kind).attr("t", self.now_s()).apply_content(receipt.content.clone()).build();
        for key in others {
            let entry = QueueEntry {
                class: "receipt".to_owned(),
                id: id.clone(),
                peer: peer.clone(),
                kind: Some(kind.to_owned()),
                node: node.clone(),
            };
            self.enqueue(&key, entry);
        }
    }
}
