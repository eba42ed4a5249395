//! A network to drive with stanzas, and companions that really hold keys, so that tests see what clients would see.

use std::collections::BTreeMap;

use serde_json::Value;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::whatsapp::Message;

use super::Network;
use crate::address::{DeviceKey, Space};
use crate::journal::JournalEntry;
use crate::network::test_kit::{install, log_in, write_down};
use crate::network::{CommandFault, Effect, LinkId, Outgoing};
use crate::phone::{EncKind, Encrypted, Phone, PhoneError};
use crate::{random, wire};

pub(super) const ANN: &str = "15550001111";
pub(super) const BOB: &str = "15550002222";
pub(super) const CYD: &str = "15550003333";
pub(super) const DAN: &str = "15550004444";

const START_MS: u64 = 1_700_000_000_000;
const ONE_TIME_KEYS: usize = 20;

/// The network, with everything it wrote down and sent.
pub(super) struct Sim {
    pub(super) network: Network,
    pub(super) journal: Vec<JournalEntry>,
    records: BTreeMap<String, Value>,
    sent: Vec<(LinkId, Node)>,
    requests: u32,
}

/// A linked device with a connection.
pub(super) struct Client {
    pub(super) key: DeviceKey,
    link: LinkId,
    noise: [u8; 32],
    signal: Phone,
}

impl Sim {
    /// A network with these phones.
    pub(super) fn with_phones(numbers: &[&str]) -> Self {
        let mut sim = Self {
            network: Network::default(),
            journal: Vec::new(),
            records: BTreeMap::new(),
            sent: Vec::new(),
            requests: 0,
        };
        sim.network.set_now(START_MS);
        for number in numbers {
            sim.network.ensure_phone(number, Some("somebody")).unwrap();
        }
        sim.settle();
        sim
    }

    /// Lets time pass.
    pub(super) fn pass_s(&mut self, seconds: u64) {
        let now_ms = self.network.now_ms + seconds * 1000;
        self.network.set_now(now_ms);
    }

    /// Takes what the last calls have led to.
    pub(super) fn settle(&mut self) {
        let outbox = self.network.take_outbox();
        write_down(&mut self.records, outbox.records);
        self.journal.extend(outbox.journal);
        for effect in outbox.effects {
            if let Effect::Send { link, node } = effect {
                self.sent.push((link, node));
            }
        }
    }

    /// Links a companion to a phone and connects it.
    pub(super) fn link(&mut self, number: &str) -> Client {
        let mut signal = Phone::new(number, "0", "companion").unwrap();
        let account = self.network.accounts.get_mut(number).unwrap();
        let key = DeviceKey::new(number, account.free_device().unwrap());
        let noise = random::bytes();
        install(&mut self.network, &key, noise, &mut signal, ONE_TIME_KEYS);
        let mut client = Client { key, link: 0, noise, signal };
        self.connect(&mut client);
        client
    }

    /// Connects a device, and asks for its queue.
    pub(super) fn connect(&mut self, client: &mut Client) {
        client.link = log_in(&mut self.network, client.noise);
        self.settle();
    }

    /// Ends a device's connection.
    pub(super) fn disconnect(&mut self, client: &Client) {
        self.network.close_link(client.link);
        self.settle();
    }

    /// Stops the network and starts it again from what it wrote down.
    pub(super) fn restart(&mut self) {
        self.settle();
        let now_ms = self.network.now_ms;
        self.network = Network::restore(self.records.clone()).unwrap();
        self.network.set_now(now_ms);
    }

    /// A request in the `w:g2` namespace, and its answer.
    pub(super) fn ask(&mut self, client: &Client, kind: &str, to: &str, body: Node) -> Node {
        self.requests += 1;
        let id = format!("request-{}", self.requests);
        let iq = NodeBuilder::new("iq").attr("id", &id).attr("type", kind).attr("xmlns", "w:g2").attr("to", to);
        self.network.receive(client.link, &iq.children([body]).build());
        self.answer(client, &id)
    }

    fn answer(&mut self, client: &Client, id: &str) -> Node {
        self.settle();
        let is_answer = |(link, node): &(LinkId, Node)| *link == client.link && wire::attribute_is(node, "id", id);
        let position = self.sent.iter().position(is_answer).expect("an answer");
        self.sent.remove(position).1
    }

    /// Makes a group of these accounts and gives its address. Everybody has read that it is there.
    pub(super) fn group(&mut self, creator: &Client, others: &[&str]) -> String {
        let answer = self.ask(creator, "set", "@g.us", create("Friends", others));
        let group = answer.get_optional_child("group").expect("a group").clone();
        format!("{}@g.us", wire::attribute(&group, "id").unwrap())
    }

    /// Asks one device's connection for what is waiting, and acknowledges all of it.
    pub(super) fn inbox(&mut self, client: &Client) -> Vec<Node> {
        let nodes = self.network.pull_nodes(client.link, 1_000);
        let nodes: Vec<Node> = nodes.into_iter().filter(|node| node.tag != "ib").collect();
        for node in &nodes {
            self.network.receive(client.link, &ack_for(node));
        }
        self.settle();
        nodes
    }

    /// Lets clients read what is waiting, when a test has no interest in it.
    pub(super) fn skip(&mut self, clients: &[&Client]) {
        for client in clients {
            self.inbox(client);
        }
    }

    /// What notifications of the given client's groups tell, oldest first: the notification and its first element.
    pub(super) fn news(&mut self, client: &Client) -> Vec<(Node, Node)> {
        let nodes = self.inbox(client).into_iter().filter(|node| node.tag == "notification");
        nodes.map(|node| (node.clone(), wire::children(&node)[0].clone())).collect()
    }

    /// The tags of those elements.
    pub(super) fn told(&mut self, client: &Client) -> Vec<String> {
        self.news(client).iter().map(|(_, change)| change.tag.to_string()).collect()
    }

    /// A client speaks in a group: its key to `keys`, the message to all. The ack comes back.
    pub(super) fn say(&mut self, client: &mut Client, group: &str, id: &str, text: &str, keys: &[DeviceKey]) -> Node {
        let shared = client.signal.share_sender_key(group).unwrap();
        let mut copies = Vec::new();
        for target in keys {
            let sealed = self.seal(client, target, &shared);
            let to = self.network.jid_of(target, Space::Lid);
            copies.push(NodeBuilder::new("to").attr("jid", to).children([enc(&sealed)]).build());
        }
        let message = client.signal.compose_text(text);
        let sealed = client.signal.encrypt_group(group, &message).unwrap();
        let mut children = vec![enc(&sealed)];
        if !copies.is_empty() {
            children.insert(0, NodeBuilder::new("participants").children(copies).build());
            children.push(wire::leaf("device-identity", vec![1, 2, 3]));
        }
        let node = message_node(group, id).children(children).build();
        self.send(client, node)
    }

    /// Sends a stanza and takes what comes back at once.
    pub(super) fn send(&mut self, client: &Client, node: Node) -> Node {
        let id = wire::attribute(&node, "id").unwrap();
        self.network.receive(client.link, &node);
        self.answer(client, &id)
    }

    /// Sends a stanza that nobody answers, and takes what every connection got of it.
    pub(super) fn send_unanswered(&mut self, client: &Client, node: &Node) -> Vec<(DeviceKey, Node)> {
        self.settle();
        self.sent.clear();
        self.network.receive(client.link, node);
        self.settle();
        let by_link = |link| self.network.link_by_device.iter().find(|(_, own)| **own == link).map(|(key, _)| key.clone());
        self.sent.drain(..).filter_map(|(link, node)| Some((by_link(link)?, node))).collect()
    }

    /// Seals a message for one device.
    pub(super) fn seal(&mut self, client: &mut Client, target: &DeviceKey, message: &Message) -> Encrypted {
        let address = target.address();
        let bundle = if client.signal.has_session(&address) { None } else { self.network.take_bundle(target) };
        client.signal.encrypt(&address, bundle.as_ref(), message).unwrap()
    }

    /// Opens a group message as the client would; the text of the last part.
    pub(super) fn read(&self, client: &mut Client, node: &Node) -> Result<String, PhoneError> {
        let from = self.network.key_of(&wire::address(node, "participant").unwrap()).unwrap();
        let mut text = String::new();
        for enc in node.get_children_by_tag("enc") {
            let kind = EncKind::parse(&wire::attribute(enc, "type").unwrap()).unwrap();
            let message = client.signal.decrypt(&from.address(), kind, wire::content(enc).unwrap())?;
            text = message.conversation.unwrap_or_default();
        }
        Ok(text)
    }

    /// The texts of the group messages that wait for a client.
    pub(super) fn heard(&mut self, client: &mut Client) -> Vec<String> {
        let nodes = self.inbox(client);
        nodes.iter().filter(|node| node.tag == "message").map(|node| self.read(client, node).unwrap()).collect()
    }

    /// A phone's user speaks in a group.
    pub(super) fn phone_says(&mut self, number: &str, group: &str, id: &str, text: &str) -> Result<(), CommandFault> {
        let message = Message { conversation: Some(text.to_owned()), ..Message::default() };
        let chat = group.parse().unwrap();
        let outgoing = Outgoing { id: id.to_owned(), chat, kind: "text", edit: None, media_type: None, message };
        let sent = self.network.phone_sends(number, &outgoing);
        self.settle();
        sent
    }

    /// What a phone has shown of a group: who said what.
    pub(super) fn shown(&self, number: &str, group: &str) -> Vec<(String, String)> {
        let all = self.network.received(number, 0, 100).unwrap();
        all.into_iter()
            .filter(|message| message.chat == group)
            .map(|message| (message.from, message.text.unwrap_or_default()))
            .collect()
    }

    /// The LID of an account.
    pub(super) fn lid(&self, number: &str) -> Jid {
        self.network.jid_of(&DeviceKey::new(number, 0), Space::Lid)
    }

    /// The records that are there now.
    /// The messages that wait below a record key.
    pub(super) fn queued_messages(&self, prefix: &str) -> Vec<&String> {
        let queued = self.records.iter().filter(|(key, value)| key.starts_with(prefix) && value["class"] == "message");
        queued.map(|(key, _)| key).collect()
    }

    pub(super) fn record_keys(&self, prefix: &str) -> Vec<String> {
        self.records.keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }
}

/// How clients confirm a stanza of any class.
pub(super) fn ack_for(node: &Node) -> Node {
    let mut ack = NodeBuilder::new("ack")
        .attr("class", node.tag.as_ref())
        .attr("id", wire::attribute(node, "id").unwrap())
        .attr("to", wire::address(node, "from").unwrap());
    for name in ["participant", "type"] {
        if let Some(value) = wire::attribute(node, name) {
            ack = ack.attr(name, value);
        }
    }
    ack.build()
}

/// `<create>` with these accounts, by number.
pub(super) fn create(subject: &str, others: &[&str]) -> Node {
    let participants: Vec<Node> = others.iter().map(|number| participant(number)).collect();
    NodeBuilder::new("create").attr("subject", subject).children(participants).build()
}

/// `<participant>` by number.
pub(super) fn participant(number: &str) -> Node {
    NodeBuilder::new("participant").attr("jid", Jid::pn(number)).build()
}

/// A change of the member list.
pub(super) fn change(tag: &'static str, numbers: &[&str]) -> Node {
    NodeBuilder::new(tag).children(numbers.iter().map(|number| participant(number))).build()
}

/// An element with nothing in it.
pub(super) fn bare(tag: &'static str) -> Node {
    NodeBuilder::new(tag).build()
}

/// `<query request="interactive"/>`.
pub(super) fn query() -> Node {
    NodeBuilder::new("query").attr("request", "interactive").build()
}

/// The start of a group message.
pub(super) fn message_node(group: &str, id: &str) -> NodeBuilder {
    NodeBuilder::new("message").attr("to", group.parse::<Jid>().unwrap()).attr("id", id).attr("type", "text")
}

pub(super) fn enc(sealed: &Encrypted) -> Node {
    crate::network::stanza::enc_node(sealed)
}

/// The code of a refusal, 200 for a result.
pub(super) fn code(answer: &Node) -> u16 {
    match answer.get_optional_child("error") {
        Some(error) => wire::attribute(error, "code").unwrap().parse().unwrap(),
        None => 200,
    }
}

/// The results for the participants in an answer: what came of it, in the order of the request.
pub(super) fn results(answer: &Node) -> Vec<String> {
    let change = &wire::children(answer)[0];
    let result = |node: &Node| wire::attribute(node, "error").or(wire::attribute(node, "type")).unwrap();
    change.get_children_by_tag("participant").map(result).collect()
}

/// The numbers of the members in a `<group>` that uses LIDs.
pub(super) fn numbers(group: &Node) -> Vec<String> {
    let number = |node: &Node| wire::address(node, "phone_number").unwrap().user.to_string();
    group.get_children_by_tag("participant").map(number).collect()
}
