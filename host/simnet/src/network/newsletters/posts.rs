//! The messages that clients send to newsletters, and the receipts they send for posts.
//!
//! Whether a message is a post, a change of one, or something done to one stands in its attributes: a reaction and a vote
//! name the number of a post, an edit (`1` from Baileys 7, `3` from wacore 0.7.0) and a revoke (`7` and `8`) the id that
//! its sender gave it, as the stanza's own id or inside a protocol message.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::acts::Draft;
use super::{NewsletterFault, is_newsletter};
use crate::address::{DeviceKey, Space};
use crate::journal::{JournalCiphertext, JournalEntry};
use crate::network::{LinkId, Network};
use crate::wire;

/// Posts that one receipt may name.
const VIEWS_MAX: usize = 1_000;

impl Network {
    /// A message from a client. False when it is not for a newsletter.
    pub(in crate::network) fn receive_newsletter_message(&mut self, link: LinkId, sender: &DeviceKey, node: &Node) -> bool {
        let (Some(stanza), Some(to)) = (wire::attribute(node, "id"), wire::address(node, "to")) else {
            return false;
        };
        if !is_newsletter(&to) {
            return false;
        }
        self.record_post_in_journal(sender, &to, &stanza, node);
        let outcome = self.take_newsletter_message(sender, to.user.as_str(), &stanza, node);
        if let Err(fault) = &outcome {
            tracing::debug!(%to, %fault, "a message to a newsletter is refused");
        }
        if !self.is_silent(sender) {
            self.acknowledge_newsletter_message(link, &to, &stanza, outcome);
        }
        true
    }

    fn take_newsletter_message(
        &mut self,
        sender: &DeviceKey,
        id: &str,
        stanza: &str,
        node: &Node,
    ) -> Result<u64, NewsletterFault> {
        let server_id = wire::attribute(node, "server_id").and_then(|number| number.parse().ok());
        if let Some(reaction) = node.get_optional_child("reaction") {
            let server_id = server_id.ok_or(NewsletterFault::Missing("server_id"))?;
            let code = wire::attribute(reaction, "code").unwrap_or_default();
            self.react_to_post(&sender.number, id, server_id, &code)?;
            return Ok(server_id);
        }
        if let Some(votes) = node.get_optional_child("votes") {
            let server_id = server_id.ok_or(NewsletterFault::Missing("server_id"))?;
            let options: BTreeSet<String> =
                votes.get_children_by_tag("vote").filter_map(wire::content).map(hex::encode).collect();
            self.vote_in_post(&sender.number, id, server_id, options)?;
            return Ok(server_id);
        }
        let plaintext = node.get_optional_child("plaintext").ok_or(NewsletterFault::Missing("plaintext"))?;
        let draft = Draft {
            id: stanza.to_owned(),
            kind: wire::attribute(node, "type").unwrap_or_else(|| "text".to_owned()),
            media_type: wire::attribute(plaintext, "mediatype"),
            poll_type: node.get_optional_child("meta").and_then(|meta| wire::attribute(meta, "polltype")),
            plaintext: wire::content(plaintext).unwrap_or_default().to_vec(),
        };
        match wire::attribute(node, "edit").as_deref() {
            Some("1" | "3") => self.edit_post(sender, id, changed(draft)),
            Some("7" | "8") => self.revoke_post(sender, id, &changed(draft).id),
            _ => self.publish(sender, id, draft),
        }
    }

    fn acknowledge_newsletter_message(
        &mut self,
        link: LinkId,
        to: &Jid,
        stanza: &str,
        outcome: Result<u64, NewsletterFault>,
    ) {
        let ack = NodeBuilder::new("ack").attr("class", "message").attr("id", stanza).attr("from", to);
        let ack = ack.attr("t", self.now_s());
        let ack = match outcome {
            Ok(server_id) => ack.attr("server_id", server_id),
            Err(fault) => ack.attr("error", fault.code()),
        };
        self.send(link, ack.build());
    }

    /// The journal counts what came over the wire, be it encrypted or not.
    fn record_post_in_journal(&mut self, sender: &DeviceKey, to: &Jid, stanza: &str, node: &Node) {
        let plaintext = wire::child_content(node, "plaintext").unwrap_or_default();
        let entry = JournalEntry {
            n: 0,
            at_ms: self.now_ms,
            from: self.jid_of(sender, Space::Number).to_string(),
            to: to.to_string(),
            id: stanza.to_owned(),
            enc: vec![JournalCiphertext {
                to: to.to_string(),
                kind: "plaintext".to_owned(),
                sha256: hex::encode(Sha256::digest(plaintext)),
                bytes: plaintext.len(),
            }],
        };
        self.out.journal.push(entry);
    }

    /// A receipt for posts: `view` counts them as seen, and the others are for the account's own devices alone. False when
    /// it is for something else.
    pub(in crate::network) fn receive_newsletter_receipt(&mut self, sender: &DeviceKey, to: &Jid, node: &Node) -> bool {
        if !is_newsletter(to) {
            return false;
        }
        if !wire::attribute_is(node, "type", "view") {
            self.settle_receipt(sender, to, node);
            return true;
        }
        let items = node.get_optional_child("list").map(wire::children).unwrap_or_default();
        for item in items.iter().take(VIEWS_MAX) {
            let server_id = wire::attribute(item, "server_id").and_then(|number| number.parse().ok());
            if let Some(server_id) = server_id
                && let Err(fault) = self.view_post(&sender.number, to.user.as_str(), server_id)
            {
                tracing::debug!(%to, %fault, "a view is not counted");
            }
        }
        true
    }
}

/// Takes the new content, and the id of the post it is for, out of a protocol message, if there is one.
fn changed(draft: Draft) -> Draft {
    let message = waproto::codec::message_decode(&draft.plaintext).ok();
    let Some(protocol) = message.as_ref().and_then(|message| message.protocol_message.as_option()) else {
        return draft;
    };
    let id = protocol.key.as_option().and_then(|key| key.id.clone());
    let content = protocol.edited_message.as_option().map(waproto::codec::message_to_vec);
    Draft { id: id.unwrap_or(draft.id), plaintext: content.unwrap_or(draft.plaintext), ..draft }
}
