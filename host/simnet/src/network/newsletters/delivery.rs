//! What goes out from a newsletter: posts to followers' devices and phones, notices to accounts, live counts.

use serde_json::Value;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::buffa::MessageField;
use waproto::whatsapp::message::ProtocolMessage;
use waproto::whatsapp::message::protocol_message::Type as ProtocolType;
use waproto::whatsapp::{Message, MessageKey};

use super::{Newsletter, Post, PostRecord};
use crate::address::{DeviceKey, Space};
use crate::network::queue::QueueEntry;
use crate::network::{Effect, Network};
use crate::phone::Envelope;
use crate::{random, wire};

/// Bytes of the binary SHA-256 of an option's name.
const OPTION_HASH_BYTES: usize = 32;

/// Which part of a post goes into its node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Everything.
    Whole,
    /// What followers have done to it, without the post itself.
    Counts,
}

impl Network {
    /// Sends a post, or what became of it, to everybody who follows but the device that sent it.
    pub(super) fn deliver_post(&mut self, id: &str, server_id: u64, by: &DeviceKey) {
        let Some((newsletter, post)) = self.post_of(id, server_id) else {
            return;
        };
        let jid = newsletter.jid();
        let record = &post.record;
        let entry = || QueueEntry {
            class: "message".to_owned(),
            id: record.id.clone(),
            peer: jid.to_string(),
            kind: Some(record.kind.clone()),
            node: message_node(newsletter, server_id, record),
        };
        let entries: Vec<(DeviceKey, QueueEntry)> = newsletter
            .followers
            .keys()
            .flat_map(|number| self.companion_keys(number))
            .filter(|key| key != by)
            .map(|key| (key, entry()))
            .collect();
        let phones: Vec<String> = newsletter.followers.keys().filter(|number| **number != by.number).cloned().collect();
        let (address, record) = (jid.to_string(), record.clone());
        for (key, entry) in entries {
            self.enqueue(&key, entry);
        }
        for number in phones {
            self.show_post(&number, &address, &record);
        }
    }

    fn post_of(&self, id: &str, server_id: u64) -> Option<(&Newsletter, &Post)> {
        let newsletter = self.newsletters.by_id.get(id)?;
        Some((newsletter, newsletter.posts.get(&server_id)?))
    }

    /// A phone shows a post. An edit or a revoke is an entry of its own.
    fn show_post(&mut self, number: &str, chat: &str, record: &PostRecord) {
        let Ok(content) = waproto::codec::message_decode(&record.plaintext) else {
            return;
        };
        let (id, message) = match (record.revoked, record.edited_ms) {
            (true, _) => (random::message_id(), change_of(record, chat, ProtocolType::REVOKE, None)),
            (false, Some(_)) => (random::message_id(), change_of(record, chat, ProtocolType::MESSAGE_EDIT, Some(content))),
            (false, None) => (record.id.clone(), content),
        };
        let Some(account) = self.accounts.get_mut(number) else {
            return;
        };
        let envelope = Envelope { id, chat: chat.to_owned(), from: chat.to_owned(), at_ms: self.now_ms };
        let shown = account.phone.receive(envelope, &message).is_some();
        self.record_phone(number);
        if shown {
            self.out.effects.push(Effect::Changed);
        }
    }

    /// Tells the devices that watch a newsletter how often its post has been reacted to by now. `new_code` is a reaction
    /// that was just given.
    pub(super) fn deliver_counts(&mut self, id: &str, server_id: u64, new_code: Option<&str>) {
        let now_ms = self.now_ms;
        if let Some(live) = self.newsletters.live.get_mut(id) {
            live.retain(|_, until_ms| *until_ms > now_ms);
        }
        let Some((newsletter, post)) = self.post_of(id, server_id) else {
            return;
        };
        let jid = newsletter.jid();
        let messages = NodeBuilder::new("messages")
            .attr("jid", &jid)
            .attr("t", self.now_s())
            .children([post_node(server_id, post, None, Part::Counts)])
            .build();
        let mut children = vec![NodeBuilder::new("live_updates").children([messages]).build()];
        // Baileys 7 (`handleNewsletterNotification`) knows only this element, and counts for itself.
        if let Some(code) = new_code {
            let reaction = wire::leaf("reaction", code.as_bytes());
            children.push(NodeBuilder::new("reaction").attr("message_id", server_id).children([reaction]).build());
        }
        let watching = self.newsletters.live.get(id).into_iter().flat_map(|live| live.keys().cloned());
        // Counts are of no use to somebody who comes back later.
        let watching: Vec<DeviceKey> = watching.filter(|key| self.link_by_device.contains_key(key)).collect();
        for key in watching {
            let stanza = random::stanza_id();
            let node = NodeBuilder::new("notification")
                .attr("from", &jid)
                .attr("type", "newsletter")
                .attr("id", &stanza)
                .attr("t", self.now_s())
                .children(children.clone())
                .build();
            let entry = QueueEntry {
                class: "notification".to_owned(),
                id: stanza,
                peer: jid.to_string(),
                kind: Some("newsletter".to_owned()),
                node,
            };
            self.enqueue(&key, entry);
        }
    }

    /// Notifies the companions of an account, all but the one that did it, by the name of an operation.
    pub(super) fn tell_account(&mut self, number: &str, by: Option<&DeviceKey>, operation: &str, update: &Value) {
        for key in self.companion_keys(number) {
            if Some(&key) != by {
                let update =
                    NodeBuilder::new("update").attr("op_name", operation).bytes(update.to_string().into_bytes()).build();
                self.notify(&key, "mex", vec![update]);
            }
        }
    }

    pub(in crate::network) fn companion_keys(&self, number: &str) -> Vec<DeviceKey> {
        let devices = self.accounts.get(number).into_iter().flat_map(|account| account.devices.keys());
        devices.map(|device| DeviceKey::new(number, *device)).collect()
    }

    /// The hidden address of an account, as text.
    pub(super) fn lid_text(&self, number: &str) -> String {
        self.jid_of(&DeviceKey::new(number, 0), Space::Lid).to_string()
    }
}

/// What a phone's app makes of an edited or revoked post.
fn change_of(record: &PostRecord, chat: &str, kind: ProtocolType, edited: Option<Message>) -> Message {
    let key = MessageKey { remote_jid: Some(chat.to_owned()), id: Some(record.id.clone()), ..MessageKey::default() };
    let protocol = ProtocolMessage {
        key: MessageField::some(key),
        r#type: Some(kind),
        edited_message: edited.map(MessageField::some).unwrap_or_default(),
        ..ProtocolMessage::default()
    };
    Message { protocol_message: MessageField::some(protocol), ..Message::default() }
}

/// The attributes and the content that a post has wherever it stands.
fn post_builder(server_id: u64, record: &PostRecord) -> NodeBuilder {
    let mut builder = NodeBuilder::new("message")
        .attr("id", &record.id)
        .attr("server_id", server_id)
        .attr("type", &record.kind)
        .attr("t", record.at_s);
    if let Some(edit) = edit_of(record) {
        builder = builder.attr("edit", edit);
    }
    builder
}

/// The codes for what an admin has done to a post, as wacore 0.7.0 has them (`EditAttribute`).
fn edit_of(record: &PostRecord) -> Option<&'static str> {
    match (record.revoked, record.edited_ms) {
        (true, _) => Some("8"),
        (false, Some(_)) => Some("3"),
        (false, None) => None,
    }
}

fn meta_node(record: &PostRecord) -> Option<Node> {
    if record.edited_ms.is_none() && record.poll_type.is_none() {
        return None;
    }
    let mut meta = NodeBuilder::new("meta");
    if let Some(edited_ms) = record.edited_ms {
        // Seconds and milliseconds, side by side.
        meta = meta.attr("original_msg_t", record.at_s).attr("msg_edit_t", edited_ms);
    }
    if let Some(poll_type) = &record.poll_type {
        meta = meta.attr("polltype", poll_type);
    }
    Some(meta.build())
}

fn plaintext_node(record: &PostRecord) -> Node {
    let mut plaintext = NodeBuilder::new("plaintext");
    if let Some(media_type) = &record.media_type {
        plaintext = plaintext.attr("mediatype", media_type);
    }
    plaintext.bytes(record.plaintext.as_slice()).build()
}

/// A post on its way to a follower.
fn message_node(newsletter: &Newsletter, server_id: u64, record: &PostRecord) -> Node {
    let mut children: Vec<Node> = meta_node(record).into_iter().collect();
    children.push(plaintext_node(record));
    post_builder(server_id, record).attr("from", newsletter.jid()).children(children).build()
}

/// A post in a list, for `viewer`.
pub(super) fn post_node(server_id: u64, post: &Post, viewer: Option<&str>, part: Part) -> Node {
    let record = &post.record;
    let mut builder = post_builder(server_id, record);
    if viewer == Some(record.by.as_str()) {
        builder = builder.attr("is_sender", "true");
    }
    let mut children = Vec::new();
    let views = post.views();
    // A count of zero is left out.
    if views > 0 {
        children.push(NodeBuilder::new("views_count").attr("count", views).build());
    }
    children.extend(meta_node(record));
    let votes = post.votes();
    if !votes.is_empty() {
        let votes = votes.into_iter().filter_map(|(option, count)| Some(vote_leaf(option)?.attr("count", count).build()));
        children.push(NodeBuilder::new("votes").children(votes).build());
    }
    let reactions = post.reactions().into_iter();
    let reactions =
        reactions.map(|(code, count)| NodeBuilder::new("reaction").attr("code", code).attr("count", count).build());
    children.push(NodeBuilder::new("reactions").children(reactions).build());
    if part == Part::Whole {
        children.push(plaintext_node(record));
    }
    builder.children(children).build()
}

/// A chosen option: the hash of its name.
pub(super) fn vote_leaf(option: &str) -> Option<NodeBuilder> {
    let hash = hex::decode(option).ok().filter(|hash| hash.len() == OPTION_HASH_BYTES)?;
    Some(NodeBuilder::new("vote").bytes(hash))
}
