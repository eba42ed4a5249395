//! Group messages from clients: to every device of every member, the sender's other devices included.
//!
//! A message is sealed once under the sender's key (`skmsg`). Devices that may lack that key get it beside the message,
//! each in an `<enc>` of its own, listed in `<participants>`.

use std::collections::HashMap;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::info::participant_hash;
use super::model::{Addressing, Group};
use super::refusal::{Done, Refusal};
use super::{Network, group_jid};
use crate::address::DeviceKey;
use crate::network::LinkId;
use crate::network::queue::QueueEntry;
use crate::network::relay::{SealedCopy, copies, extras};
use crate::network::stanza::MessageHead;
use crate::wire;

/// What those who are not admins may send to a group where only admins speak, beside their answers to polls and events.
const REACTION: &str = "reaction";
/// What `<meta>` says of such an answer (whatsapp-rust 0.7.0 `infer_stanza_metadata` in send/mod.rs).
const ANSWERS: [(&str, &str); 2] = [("polltype", "vote"), ("event_type", "response")];

impl Network {
    /// A client sends a message to a group, or sends one again to a single device (`participant`).
    pub(in crate::network) fn receive_group_message(
        &mut self,
        link: LinkId,
        sender: &DeviceKey,
        node: &Node,
        id: &str,
        chat: &Jid,
    ) {
        let directed = wire::address(node, "participant");
        let copies = copies(node, directed.as_ref().unwrap_or(chat));
        self.record_in_journal(sender, chat, id, &copies);
        let head = MessageHead {
            id: id.to_owned(),
            chat: chat.to_non_ad(),
            kind: wire::attribute(node, "type").unwrap_or_else(|| "text".to_owned()),
            edit: wire::attribute(node, "edit"),
            category: None,
            extras: extras(node),
            device_identity: wire::child_content(node, "device-identity").map(<[u8]>::to_vec),
        };
        let sent = match &directed {
            Some(device) => self.relay_to_device(sender, &head, device, &copies).map(|()| None),
            None => self.relay_to_members(sender, &head, &copies, wire::attribute(node, "phash")),
        };
        if self.is_silent(sender) {
            return;
        }
        let mut ack =
            NodeBuilder::new("ack").attr("class", "message").attr("id", id).attr("from", chat).attr("t", self.now_s());
        match sent {
            Ok(Some(phash)) => ack = ack.attr("phash", phash),
            Ok(None) => {}
            Err(refusal) => ack = ack.attr("error", refusal.code),
        }
        self.send(link, ack.build());
    }

    /// Gives everybody their copy. Tells the server's participant hash if the sender counts on other devices than there
    /// are, so that it looks again (whatsapp-rust 0.7.0 `handle_phash_mismatch`).
    fn relay_to_members(
        &mut self,
        sender: &DeviceKey,
        head: &MessageHead,
        copies: &[SealedCopy<'_>],
        claimed: Option<String>,
    ) -> Done<Option<String>> {
        let group = self.group_for_message(sender, head)?;
        let (addressing, devices) = (group.addressing, self.devices_in(group));
        let space = addressing.space();
        let actual = claimed.map(|claimed| {
            let jids: Vec<Jid> = devices.iter().map(|key| self.jid_of(key, space)).collect();
            (claimed, participant_hash(&jids))
        });
        let mut keys: HashMap<DeviceKey, Vec<Node>> = HashMap::new();
        let mut shared = Vec::new();
        for copy in copies {
            let encs = copy.encs.iter().map(|enc| (*enc).clone());
            match self.key_of(&copy.to) {
                Some(key) => keys.entry(key).or_default().extend(encs),
                None => shared.extend(encs),
            }
        }
        for target in devices.into_iter().filter(|target| target != sender) {
            // The key first: it opens what follows.
            let mut encs = keys.remove(&target).unwrap_or_default();
            encs.extend(shared.iter().cloned());
            self.deliver_in_group(sender, head, &target, addressing, encs);
        }
        self.messages_relayed += 1;
        Ok(actual.filter(|(claimed, actual)| claimed != actual).map(|(_, actual)| actual))
    }

    /// A message sent again for one device that could not read it.
    fn relay_to_device(
        &mut self,
        sender: &DeviceKey,
        head: &MessageHead,
        device: &Jid,
        copies: &[SealedCopy<'_>],
    ) -> Done<()> {
        let group = self.group_of_member(&head.chat.user, &sender.number)?;
        let addressing = group.addressing;
        let target = self.key_of(device).filter(|target| group.members.contains_key(&target.number));
        let target = target.ok_or(Refusal::NOT_FOUND)?;
        let encs = copies.iter().flat_map(|copy| copy.encs.iter().map(|enc| (*enc).clone())).collect();
        self.deliver_in_group(sender, head, &target, addressing, encs);
        self.messages_relayed += 1;
        Ok(())
    }

    /// The group a message goes to, if its sender may speak there.
    pub(super) fn group_for_message(&self, sender: &DeviceKey, head: &MessageHead) -> Done<&Group> {
        let group = self.group_of_member(&head.chat.user, &sender.number)?;
        // The parent of a community is no place to talk.
        if group.is_parent() {
            return Err(Refusal::NOT_ALLOWED);
        }
        let may_speak = !group.settings.announcement || group.is_admin(&sender.number) || is_answer(head);
        if may_speak { Ok(group) } else { Err(Refusal::FORBIDDEN) }
    }

    /// Hands one device its copy. A device that is gone, or for which nothing is sealed, gets nothing.
    pub(super) fn deliver_in_group(
        &mut self,
        sender: &DeviceKey,
        head: &MessageHead,
        target: &DeviceKey,
        addressing: Addressing,
        encs: Vec<Node>,
    ) {
        if encs.is_empty() {
            return;
        }
        if target.device == 0 {
            self.deliver_in_group_to_phone(sender, head, &target.number, &encs);
        } else if self.device(target).is_some() {
            let entry = self.group_message_entry(sender, head, addressing, encs);
            self.enqueue(target, entry);
        }
    }

    /// One copy as wacore 0.7.0 `parse_message_info` and Baileys 7 `decodeMessageNode` read it: from the group, with the
    /// sending device as participant, and the sender's other name without a device.
    fn group_message_entry(
        &self,
        sender: &DeviceKey,
        head: &MessageHead,
        addressing: Addressing,
        encs: Vec<Node>,
    ) -> QueueEntry {
        let account = DeviceKey::new(sender.number.as_str(), 0);
        let other = self.jid_of(&account, addressing.other());
        let mut node = NodeBuilder::new("message")
            .attr("from", &head.chat)
            .attr("id", &head.id)
            .attr("type", &head.kind)
            .attr("t", self.now_s())
            .attr("notify", self.push_name(sender))
            .attr("participant", self.jid_of(sender, addressing.space()))
            .attr("addressing_mode", addressing.wire());
        node = match addressing {
            Addressing::Lid => node.attr("participant_pn", other),
            Addressing::Pn => node.attr("participant_lid", other),
        };
        if let Some(edit) = &head.edit {
            node = node.attr("edit", edit);
        }
        let opens_session = encs.iter().any(|enc| wire::attribute_is(enc, "type", "pkmsg"));
        let mut children = encs;
        children.extend(head.extras.iter().cloned());
        if let Some(identity) = head.device_identity.as_ref().filter(|_| opens_session) {
            children.push(wire::leaf("device-identity", identity.as_slice()));
        }
        QueueEntry {
            class: "message".to_owned(),
            id: head.id.clone(),
            peer: group_jid(&head.chat.user).to_string(),
            kind: Some(head.kind.clone()),
            node: node.children(children).build(),
        }
    }
}

/// Whether a message says nothing of its own: a reaction, a vote, an answer to an invitation.
fn is_answer(head: &MessageHead) -> bool {
    let says = |meta: &Node| ANSWERS.iter().any(|(name, value)| wire::attribute_is(meta, name, value));
    head.kind == REACTION || head.extras.iter().any(|extra| extra.tag == "meta" && says(extra))
}
