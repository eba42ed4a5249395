//! A network with clients that really pair and log in, for the tests of this room.

use std::collections::BTreeMap;

use serde_json::Value;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, SERVER_JID};
use wacore_libsignal::protocol::{KeyPair, PublicKey};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::client_payload::DevicePairingRegistrationData;
use waproto::whatsapp::{ADVSignedDeviceIdentity, ADVSignedDeviceIdentityHMAC, ClientPayload};

use crate::address::{DeviceKey, Space};
use crate::network::{Effect, LinkId, Network};
use crate::phone::PairingCode;
use crate::{random, wire};

pub(super) const ANN: &str = "15550001111";
pub(super) const BOB: &str = "15550002222";
pub(super) const EVE: &str = "15550003333";
/// Monday noon of some week; tokens count by weeks.
pub(super) const NOON_MS: u64 = 1_760_000_000_000;

/// A companion that is logged in and has asked for its queue.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) key: DeviceKey,
    pub(super) link: LinkId,
}

pub(super) struct TestNetwork {
    pub(super) network: Network,
    records: BTreeMap<String, Value>,
    sent: Vec<(LinkId, Node)>,
}

impl TestNetwork {
    /// Ann, Bob and Eve, none of whom has a companion yet.
    pub(super) fn new() -> Self {
        let mut network = Network::default();
        network.set_now(NOON_MS);
        let mut test = Self { network, records: BTreeMap::new(), sent: Vec::new() };
        for (number, name) in [(ANN, "Ann"), (BOB, "Bob"), (EVE, "Eve")] {
            test.network.ensure_phone(number, Some(name)).unwrap();
        }
        test.settle();
        test
    }

    /// What the outbox would have led to.
    fn settle(&mut self) {
        let outbox = self.network.take_outbox();
        for (key, value) in outbox.records {
            match value {
                Some(value) => self.records.insert(key, value),
                None => self.records.remove(&key),
            };
        }
        for effect in outbox.effects {
            if let Effect::Send { link, node } = effect {
                self.sent.push((link, node));
            }
        }
    }

    /// The same network after a restart, without its connections.
    pub(super) fn restarted(mut self) -> Self {
        self.settle();
        let mut network = Network::restore(self.records.clone()).unwrap();
        network.set_now(NOON_MS);
        Self { network, records: self.records, sent: Vec::new() }
    }

    /// What has been sent over a connection since the last time.
    pub(super) fn take_sent(&mut self, link: LinkId) -> Vec<Node> {
        self.settle();
        let (own, others) = std::mem::take(&mut self.sent).into_iter().partition(|(to, _)| *to == link);
        self.sent = others;
        let own: Vec<(LinkId, Node)> = own;
        own.into_iter().map(|(_, node)| node).collect()
    }

    pub(super) fn say(&mut self, client: &Client, node: &Node) {
        self.network.receive(client.link, node);
        self.settle();
    }

    /// Asks the server and gives its answer.
    pub(super) fn ask(&mut self, client: &Client, kind: &'static str, namespace: &'static str, content: Vec<Node>) -> Node {
        self.ask_about(client, kind, namespace, None, content)
    }

    pub(super) fn ask_about(
        &mut self,
        client: &Client,
        kind: &'static str,
        namespace: &'static str,
        target: Option<&str>,
        content: Vec<Node>,
    ) -> Node {
        let id = random::stanza_id();
        let mut request =
            NodeBuilder::new("iq").attr("id", &id).attr("type", kind).attr("xmlns", namespace).attr("to", SERVER_JID);
        if let Some(target) = target {
            request = request.attr("target", target);
        }
        self.take_sent(client.link);
        self.say(client, &request.children(content).build());
        let mut sent = self.take_sent(client.link).into_iter();
        sent.find(|node| wire::attribute_is(node, "id", &id)).expect("no answer")
    }

    /// What waits for a client; it confirms all of it, and then nothing may be left.
    pub(super) fn news(&mut self, client: &Client) -> Vec<Node> {
        let mut news = Vec::new();
        // What was missed comes in pieces: what is confirmed makes room for more.
        loop {
            let nodes = self.network.pull_nodes(client.link, 1_000);
            if nodes.is_empty() {
                break;
            }
            for node in nodes.into_iter().filter(|node| node.tag != "ib") {
                self.confirm(client, &node);
                news.push(node);
            }
        }
        assert_eq!(self.network.device(&client.key).unwrap().queue.len(), 0, "a stanza cannot be confirmed");
        news
    }

    fn confirm(&mut self, client: &Client, node: &Node) {
        let answer = match node.tag.as_ref() {
            "message" => NodeBuilder::new("receipt"),
            class => NodeBuilder::new("ack").attr("class", class),
        };
        let answer =
            answer.attr("id", wire::attribute(node, "id").unwrap()).attr("to", wire::attribute(node, "from").unwrap());
        self.say(client, &answer.build());
    }

    /// The notifications of one kind among the news.
    pub(super) fn notices(&mut self, client: &Client, kind: &str) -> Vec<Node> {
        let mut news = self.news(client);
        news.retain(|node| node.tag == "notification" && wire::attribute_is(node, "type", kind));
        news
    }

    pub(super) fn jid(&self, number: &str) -> String {
        self.network.account_jid(number, Space::Number).to_string()
    }

    pub(super) fn lid(&self, number: &str) -> String {
        self.network.account_jid(number, Space::Lid).to_string()
    }

    /// Pairs a new client with a phone, and logs it in.
    pub(super) fn link(&mut self, number: &str) -> Client {
        self.pair(Some(number), "")
    }

    /// Pairs a new client that calls itself `name` with the phone of that name.
    pub(super) fn link_by_name(&mut self, name: &str) -> Client {
        self.pair(None, name)
    }

    fn pair(&mut self, number: Option<&str>, name: &str) -> Client {
        let identity = KeyPair::generate(&mut random::rng());
        let noise = random::bytes::<32>();
        let link = self.network.open_link();
        self.network.admit(link, noise, &registration(&identity, name));
        let references = self.take_sent(link);
        let reference = references[0].get_optional_child_by_tag(&["pair-device", "ref"]).unwrap();
        let code = PairingCode {
            reference: String::from_utf8(wire::content(reference).unwrap().to_vec()).unwrap(),
            noise_public: noise,
            identity_public: raw(&identity.public_key),
            adv_secret: [7; 32],
        };
        let (_, key) = self.network.scan(&code, number).unwrap();
        let success = self.take_sent(link).remove(0);
        self.network.receive(link, &accepted(&identity, &success));
        self.network.close_link(link);
        self.log_in(key, noise)
    }

    /// Connects a companion again.
    pub(super) fn connect(&mut self, key: &DeviceKey) -> Client {
        let noise = self.network.device(key).unwrap().record.noise;
        self.log_in(key.clone(), noise)
    }

    fn log_in(&mut self, key: DeviceKey, noise: [u8; 32]) -> Client {
        let link = self.network.open_link();
        let payload = ClientPayload { username: key.number.parse().ok(), ..ClientPayload::default() };
        self.network.admit(link, noise, &payload);
        let client = Client { key, link };
        let active = NodeBuilder::new("active").build();
        self.ask(&client, "set", "passive", vec![active]);
        self.news(&client);
        self.take_sent(link);
        client
    }

    /// A message from a client with one sealed copy for each device; gives its ack.
    pub(super) fn send(&mut self, from: &Client, to: &str, extra: Vec<Node>) -> Node {
        let recipient = to.parse().unwrap();
        let number = self.network.number_of(&recipient).unwrap();
        let space = crate::network::space_of(&recipient);
        let copies = self.network.all_devices(&number).into_iter().filter(|key| key.device != 0).map(|key| {
            let enc = NodeBuilder::new("enc").attr("v", "2").attr("type", "msg").bytes([1, 2, 3]).build();
            NodeBuilder::new("to").attr("jid", self.network.jid_of(&key, space)).children([enc]).build()
        });
        let id = random::stanza_id();
        let mut children = vec![NodeBuilder::new("participants").children(copies.collect::<Vec<_>>()).build()];
        children.extend(extra);
        let message = NodeBuilder::new("message").attr("id", &id).attr("to", to).attr("type", "text").children(children);
        self.take_sent(from.link);
        self.say(from, &message.build());
        let mut sent = self.take_sent(from.link).into_iter();
        sent.find(|node| node.tag == "ack" && wire::attribute_is(node, "id", &id)).expect("no ack")
    }
}

fn raw(key: &PublicKey) -> [u8; 32] {
    key.public_key_bytes().try_into().unwrap()
}

fn registration(identity: &KeyPair, name: &str) -> ClientPayload {
    let signed = KeyPair::generate(&mut random::rng());
    let signature = identity.calculate_signature(&signed.public_key.serialize(), &mut random::rng()).unwrap();
    let data = DevicePairingRegistrationData {
        e_regid: Some(vec![0, 0, 0, 9]),
        e_ident: Some(raw(&identity.public_key).to_vec()),
        e_skey_id: Some(vec![0, 0, 1]),
        e_skey_val: Some(raw(&signed.public_key).to_vec()),
        e_skey_sig: Some(signature.to_vec()),
        ..DevicePairingRegistrationData::default()
    };
    ClientPayload {
        device_pairing_data: MessageField::some(data),
        push_name: Some(name.to_owned()),
        ..ClientPayload::default()
    }
}

/// What a client answers to `pair-success`.
fn accepted(identity: &KeyPair, success: &Node) -> Node {
    let offered = success.get_optional_child_by_tag(&["pair-success", "device-identity"]).and_then(wire::content).unwrap();
    let container = ADVSignedDeviceIdentityHMAC::decode_from_slice(offered).unwrap();
    let mut signed = ADVSignedDeviceIdentity::decode_from_slice(&container.details.unwrap()).unwrap();
    let details = signed.details.clone().unwrap();
    let account = signed.account_signature_key.clone().unwrap();
    let covered = [&[6, 1], details.as_slice(), &raw(&identity.public_key), account.as_slice()].concat();
    signed.device_signature = Some(identity.calculate_signature(&covered, &mut random::rng()).unwrap().to_vec());
    let answer = wire::leaf("device-identity", signed.encode_to_vec());
    let sign = NodeBuilder::new("pair-device-sign").children([answer]).build();
    NodeBuilder::new("iq")
        .attr("id", wire::attribute(success, "id").unwrap())
        .attr("type", "result")
        .children([sign])
        .build()
}
