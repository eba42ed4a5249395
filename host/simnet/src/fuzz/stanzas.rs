//! Stanzas as clients send them, and what a hostile one makes of them.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeContent};

use super::requests::request;
use super::rng::Rng;

/// Whom the stanzas are about.
pub(super) struct World {
    pub(super) numbers: Vec<String>,
    pub(super) lids: Vec<String>,
    /// Ids that were used before: hostile input that fits together gets further.
    ids: Vec<String>,
}

/// Ids that are remembered.
const IDS_MAX: usize = 64;

impl World {
    pub(super) fn new(numbers: Vec<String>, lids: Vec<String>) -> Self {
        Self { numbers, lids, ids: vec!["A".to_owned()] }
    }

    pub(super) fn address(&self, rng: &mut Rng) -> Jid {
        let number = self.numbers[rng.below(self.numbers.len())].as_str();
        let lid = self.lids[rng.below(self.lids.len())].as_str();
        match rng.below(12) {
            0..=2 => Jid::pn(number),
            3..=5 => Jid::pn_device(number, rng.below(4) as u16),
            6 => Jid::lid(lid),
            7 | 8 => Jid::lid_device(lid, rng.below(4) as u16),
            9 => Jid::group("120363000000000001"),
            10 => "status@broadcast".parse().unwrap_or_default(),
            _ => Jid::pn_device("15559999999", rng.next() as u16),
        }
    }

    pub(super) fn id(&mut self, rng: &mut Rng) -> String {
        if rng.once_in(3) {
            let id = format!("3A{:X}", rng.next());
            if self.ids.len() == IDS_MAX {
                self.ids.swap_remove(rng.below(IDS_MAX));
            }
            self.ids.push(id);
        }
        self.ids[rng.below(self.ids.len())].clone()
    }

    /// A stanza that could have come from a client.
    pub(super) fn stanza(&mut self, rng: &mut Rng) -> Node {
        match rng.below(8) {
            0 | 1 => request(self, rng),
            2 | 3 => self.message(rng),
            4 => self.receipt(rng),
            5 => self.ack(rng),
            6 => self.presence(rng),
            _ => self.other(rng),
        }
    }

    fn message(&mut self, rng: &mut Rng) -> Node {
        let copies: Vec<Node> = (0..rng.below(4))
            .map(|_| {
                let encs: Vec<Node> = (0..1 + rng.below(2)).map(|_| enc(rng)).collect();
                NodeBuilder::new("to").attr("jid", self.address(rng)).children(encs).build()
            })
            .collect();
        let mut children = vec![NodeBuilder::new("participants").children(copies).build()];
        if rng.once_in(2) {
            children.push(enc(rng));
        }
        for tag in ["device-identity", "tctoken", "biz", "meta", "reporting", "plaintext", "franking"] {
            if rng.once_in(5) {
                children.push(NodeBuilder::new(tag).bytes(rng.bytes(90)).build());
            }
        }
        let kinds = ["text", "media", "poll", "reaction", "event", "pay"];
        let mut builder = NodeBuilder::new("message")
            .attr("id", self.id(rng))
            .attr("to", self.address(rng))
            .attr("type", rng.pick(&kinds));
        for (name, values) in [
            ("edit", ["1", "7", "8"]),
            ("category", ["peer", "", "x"]),
            ("phash", ["2:abc", "", "0"]),
            ("addressing_mode", ["lid", "pn", ""]),
        ] {
            if rng.once_in(4) {
                builder = builder.attr(name, rng.pick(&values));
            }
        }
        if rng.once_in(4) {
            builder = builder.attr("recipient", self.address(rng));
        }
        builder.children(children).build()
    }

    fn receipt(&mut self, rng: &mut Rng) -> Node {
        let kinds = [
            "",
            "read",
            "read-self",
            "played",
            "played-self",
            "retry",
            "enc_rekey_retry",
            "inactive",
            "sender",
            "peer_msg",
            "hist_sync",
            "server-error",
            "view",
        ];
        let mut builder = NodeBuilder::new("receipt")
            .attr("id", self.id(rng))
            .attr("to", self.address(rng))
            .attr("type", rng.pick(&kinds));
        for name in ["participant", "recipient", "peer_participant_pn"] {
            if rng.once_in(4) {
                builder = builder.attr(name, self.address(rng));
            }
        }
        let items: Vec<Node> =
            (0..rng.below(6)).map(|_| NodeBuilder::new("item").attr("id", self.id(rng)).build()).collect();
        let retry = NodeBuilder::new("retry")
            .attr("v", "1")
            .attr("count", rng.below(8))
            .attr("id", self.id(rng))
            .attr("t", rng.next())
            .build();
        let keys = NodeBuilder::new("keys").children([
            NodeBuilder::new("type").bytes(rng.bytes(3)).build(),
            NodeBuilder::new("identity").bytes(rng.bytes(40)).build(),
        ]);
        let children = [
            NodeBuilder::new("list").children(items).build(),
            retry,
            NodeBuilder::new("registration").bytes(rng.bytes(6)).build(),
            keys.build(),
        ];
        builder.children(children.into_iter().filter(|_| rng.once_in(2)).collect::<Vec<_>>()).build()
    }

    fn ack(&mut self, rng: &mut Rng) -> Node {
        let classes = ["message", "receipt", "notification", "call", ""];
        let kinds = ["", "read", "retry", "encrypt", "text"];
        let mut builder = NodeBuilder::new("ack").attr("class", rng.pick(&classes)).attr("id", self.id(rng));
        if !rng.once_in(4) {
            builder = builder.attr("to", self.address(rng));
        }
        if rng.once_in(2) {
            builder = builder.attr("type", rng.pick(&kinds));
        }
        builder.build()
    }

    fn presence(&mut self, rng: &mut Rng) -> Node {
        let kinds = ["available", "unavailable", "subscribe", "unsubscribe", "probe"];
        let mut builder = NodeBuilder::new("presence");
        if !rng.once_in(5) {
            builder = builder.attr("type", rng.pick(&kinds));
        }
        if rng.once_in(2) {
            builder = builder.attr("name", rng.text());
        }
        if rng.once_in(2) {
            builder = builder.attr("to", self.address(rng));
        }
        builder.build()
    }

    fn other(&mut self, rng: &mut Rng) -> Node {
        match rng.below(5) {
            0 | 1 => {
                let state =
                    NodeBuilder::new(rng.pick(&["composing", "paused"])).attr("media", rng.pick(&["audio", ""])).build();
                NodeBuilder::new("chatstate").attr("to", self.address(rng)).children([state]).build()
            }
            2 => {
                let batch =
                    NodeBuilder::new("offline_batch").attr("count", rng.pick(&["0", "1", "200", "-4", "99999999999"]));
                NodeBuilder::new("ib").children([batch.build()]).build()
            }
            3 => {
                let offer = NodeBuilder::new(rng.pick(&["offer", "accept", "terminate", "reject"]));
                let offer = offer.attr("call-id", self.id(rng)).attr("call-creator", self.address(rng)).build();
                NodeBuilder::new("call").attr("id", self.id(rng)).attr("to", self.address(rng)).children([offer]).build()
            }
            _ => NodeBuilder::new(rng.pick(&["notification", "stream:error", "success", "x", ""]))
                .attr("id", self.id(rng))
                .build(),
        }
    }
}

fn enc(rng: &mut Rng) -> Node {
    let kinds = ["msg", "pkmsg", "skmsg", "msmsg", "frskmsg"];
    let content = match rng.below(3) {
        // The first byte of a Signal message is its version.
        0 => [[0x33].as_slice(), &rng.bytes(200)].concat(),
        _ => rng.bytes(200),
    };
    NodeBuilder::new("enc").attr("v", "2").attr("type", rng.pick(&kinds)).bytes(content).build()
}

/// All elements of a stanza by the way to them, so that one can be picked.
fn element_at<'a>(node: &'a mut Node, at: &mut usize) -> Option<&'a mut Node> {
    if *at == 0 {
        return Some(node);
    }
    *at -= 1;
    match &mut node.content {
        Some(NodeContent::Nodes(children)) => children.iter_mut().find_map(|child| element_at(child, at)),
        _ => None,
    }
}

fn count(node: &Node) -> usize {
    1 + node.children().unwrap_or_default().iter().map(count).sum::<usize>()
}

/// Makes something of a stanza that its author did not mean.
pub(super) fn mutate(rng: &mut Rng, node: &mut Node, donor: &Node) {
    let mut at = rng.below(count(node));
    let Some(element) = element_at(node, &mut at) else { return };
    match rng.below(10) {
        0 if !element.attrs.is_empty() => {
            element.attrs.0.remove(rng.below(element.attrs.len()));
        }
        1 if !element.attrs.is_empty() => {
            let place = rng.below(element.attrs.len());
            element.attrs.0[place].1 = rng.text().into();
        }
        2 => element.attrs.insert(["id", "to", "type", "jid", "class", "xmlns", "count", "t"][rng.below(8)], rng.text()),
        3 => element.content = None,
        4 => element.content = Some(NodeContent::Bytes(rng.bytes(300))),
        5 => element.content = Some(NodeContent::String(rng.text().into())),
        6 => element.content = Some(NodeContent::Nodes(vec![donor.clone(); rng.below(20)])),
        7 => {
            // Deep.
            let mut inner = donor.clone();
            for _ in 0..rng.below(40) {
                inner = NodeBuilder::new("list").children([inner]).build();
            }
            element.content = Some(NodeContent::Nodes(vec![inner]));
        }
        8 => element.tag = rng.text().into(),
        _ => {
            if let Some(NodeContent::Nodes(children)) = &mut element.content
                && !children.is_empty()
            {
                let child = children[rng.below(children.len())].clone();
                children.extend(std::iter::repeat_n(child, rng.below(300)));
            }
        }
    }
}
