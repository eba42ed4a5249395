//! A network with accounts whose companions are logged in, for tests that drive it with nodes.

use std::collections::BTreeMap;

use serde_json::Value;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::test_kit::{install, log_in, write_down};
use super::{Effect, LinkId, Network};
use crate::address::DeviceKey;
use crate::journal::JournalEntry;
use crate::phone::{DeviceAddress, EncKind, Phone};
use crate::wire;

/// When it all happens.
pub(super) const NOW_MS: u64 = 1_700_000_000_000;
/// One-time prekeys of a companion: enough that it is never asked for more.
const ONE_TIME: usize = 20;
/// Stanzas taken out of a queue at once.
const BATCH: usize = 1_000;

/// The network, and what it has written down so far.
pub(super) struct Rig {
    pub(super) network: Network,
    records: BTreeMap<String, Value>,
    pub(super) journal: Vec<JournalEntry>,
    now_ms: u64,
}

/// A companion with a connection and keys of its own.
pub(super) struct Companion {
    pub(super) key: DeviceKey,
    link: LinkId,
    /// Holds the companion's Signal state; a phone's crypto is as good as any.
    pub(super) crypto: Phone,
}

impl Companion {
    /// As peers name it.
    pub(super) fn address(&self) -> DeviceAddress {
        self.key.address()
    }

    /// Opens one `<enc>` of a message and gives its text, if it has one.
    pub(super) fn open(&mut self, from: &DeviceKey, enc: &Node) -> Option<String> {
        let kind = EncKind::parse(&wire::attribute(enc, "type").unwrap()).unwrap();
        let message = self.crypto.decrypt(&from.address(), kind, wire::content(enc).unwrap()).unwrap();
        let extended = message.extended_text_message.as_option().and_then(|extended| extended.text.clone());
        message.conversation.or(extended)
    }
}

impl Rig {
    pub(super) fn new() -> Self {
        let mut rig = Self { network: Network::default(), records: BTreeMap::new(), journal: Vec::new(), now_ms: NOW_MS };
        rig.network.set_now(NOW_MS);
        rig
    }

    /// Makes a phone, and links a companion to it that is logged in and active.
    pub(super) fn companion(&mut self, number: &str) -> Companion {
        self.network.ensure_phone(number, Some("Somebody")).unwrap();
        let account = self.network.accounts.get_mut(number).unwrap();
        let mut crypto = Phone::new(number, &account.lid, "Somebody").unwrap();
        let key = DeviceKey::new(number, account.last_device + 1);
        install(&mut self.network, &key, crypto.identity(), &mut crypto, ONE_TIME);
        let link = self.log_in(&crypto);
        Companion { key, link, crypto }
    }

    fn log_in(&mut self, crypto: &Phone) -> LinkId {
        let link = log_in(&mut self.network, crypto.identity());
        self.network.pull_nodes(link, BATCH);
        self.settle(link);
        link
    }

    /// A companion comes back after it has lost its connection.
    pub(super) fn reconnect(&mut self, companion: &mut Companion) {
        self.network.close_link(companion.link);
        companion.link = self.log_in(&companion.crypto);
    }

    /// A companion sends a stanza; gives what the server says to it at once.
    pub(super) fn send(&mut self, from: &Companion, node: &Node) -> Vec<Node> {
        self.network.receive(from.link, node);
        self.settle(from.link)
    }

    /// A companion asks for something; gives the one answer.
    pub(super) fn ask(&mut self, from: &Companion, namespace: &str, kind: &str, to: &str, content: Node) -> Node {
        let iq = NodeBuilder::new("iq").attr("id", "q1").attr("xmlns", namespace).attr("type", kind).attr("to", to);
        let mut answers = self.send(from, &iq.children([content]).build());
        assert_eq!(answers.len(), 1, "one answer to a request");
        answers.remove(0)
    }

    /// What has been queued for a companion since the last time.
    pub(super) fn inbox(&mut self, companion: &Companion) -> Vec<Node> {
        let nodes = self.network.pull_nodes(companion.link, BATCH);
        self.settle(companion.link);
        nodes.into_iter().filter(|node| node.tag != "ib").collect()
    }

    /// How many stanzas a companion has not acknowledged.
    pub(super) fn unacknowledged(&self, companion: &Companion) -> usize {
        self.network.device(&companion.key).unwrap().queue.len()
    }

    /// Lets time pass.
    pub(super) fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        self.network.set_now(self.now_ms);
        self.network.run_due();
        self.settle(0);
    }

    /// The network as it comes back from its records. Companions must log in again.
    pub(super) fn restart(&mut self) {
        self.settle(0);
        self.network = Network::restore(self.records.clone()).unwrap();
        self.network.set_now(self.now_ms);
    }

    /// Whether anything is stored under keys that begin like this.
    pub(super) fn has_records(&self, prefix: &str) -> bool {
        self.records.keys().any(|key| key.starts_with(prefix))
    }

    /// Writes down what has changed; gives what was sent to one connection.
    pub(super) fn settle(&mut self, link: LinkId) -> Vec<Node> {
        let outbox = self.network.take_outbox();
        write_down(&mut self.records, outbox.records);
        self.journal.extend(outbox.journal);
        let sent = outbox.effects.into_iter().filter_map(|effect| match effect {
            Effect::Send { link: to, node } if to == link => Some(node),
            _ => None,
        });
        sent.collect()
    }
}

/// What a receiver acknowledges a stanza with.
pub(super) fn ack_for(node: &Node) -> Node {
    let mut ack = NodeBuilder::new("ack")
        .attr("class", node.tag.as_ref())
        .attr("id", wire::attribute(node, "id").unwrap())
        .attr("to", wire::address(node, "from").unwrap());
    for name in ["participant", "type"] {
        if let Some(value) = node.attrs.get(name) {
            ack = ack.attr(name, value.clone());
        }
    }
    ack.build()
}
