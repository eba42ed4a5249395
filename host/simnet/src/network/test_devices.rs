//! For tests: a network with companions that do what a client does, stanza by stanza.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use serde_json::Value;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::client_payload::DevicePairingRegistrationData;
use waproto::whatsapp::{ClientPayload, DeviceProps, Message};

use super::test_kit::write_down;
use super::{Effect, LinkId, Network};
use crate::address::DeviceKey;
use crate::phone::{DeviceAddress, EncKind, PairingCode, Phone};
use crate::{random, wire};

pub(super) const NOW_MS: u64 = 1_700_000_000_000;
pub(super) const ANN: &str = "15550001111";
pub(super) const BOB: &str = "15550002222";

/// A network and everything it has let out.
pub(super) struct Net {
    pub(super) network: Network,
    pub(super) records: BTreeMap<String, Value>,
    pub(super) blobs: HashMap<String, Bytes>,
    sent: HashMap<LinkId, VecDeque<Node>>,
    closed: Vec<LinkId>,
}

/// A client that is being linked.
pub(super) struct Newcomer {
    pub(super) link: LinkId,
    pub(super) noise: [u8; 32],
    pub(super) references: Vec<String>,
    pub(super) signal: Phone,
}

/// A linked client, logged in.
pub(super) struct Companion {
    pub(super) link: LinkId,
    pub(super) key: DeviceKey,
    noise: [u8; 32],
    pub(super) signal: Phone,
}

impl Net {
    /// With Ann's and Bob's phones in it.
    pub(super) fn new() -> Self {
        let mut net = Self::around(Network::default());
        net.network.set_now(NOW_MS);
        for (number, name) in [(ANN, "Ann"), (BOB, "Bob")] {
            net.network.ensure_phone(number, Some(name)).unwrap();
        }
        net.settle();
        net
    }

    fn around(network: Network) -> Self {
        let (records, blobs, sent, closed) = Default::default();
        Self { network, records, blobs, sent, closed }
    }

    /// Takes what the network has let out.
    pub(super) fn settle(&mut self) {
        let outbox = self.network.take_outbox();
        write_down(&mut self.records, outbox.records);
        self.blobs.extend(outbox.blobs.into_iter().map(|blob| (blob.path, blob.bytes)));
        for effect in outbox.effects {
            match effect {
                Effect::Send { link, node } => self.sent.entry(link).or_default().push_back(node),
                Effect::Close(link) => self.closed.push(link),
                Effect::Wake(_)
                | Effect::Hold(_)
                | Effect::Release(_)
                | Effect::Cut(_)
                | Effect::Changed
                | Effect::Reupload => {}
            }
        }
    }

    /// The same network after a restart; nobody is connected.
    pub(super) fn restart(self) -> Self {
        let Self { records, blobs, .. } = self;
        let network = Network::restore(records.clone()).unwrap();
        let mut net = Self { records, blobs, ..Self::around(network) };
        net.network.set_now(NOW_MS);
        net
    }

    /// Lets time pass.
    pub(super) fn wait(&mut self, until_ms: u64) {
        self.network.set_now(until_ms);
        self.network.run_due();
        self.settle();
    }

    pub(super) fn is_closed(&self, link: LinkId) -> bool {
        self.closed.contains(&link)
    }

    pub(super) fn receive(&mut self, link: LinkId, node: &Node) {
        self.network.receive(link, node);
        self.settle();
    }

    /// The next node that was sent on a connection.
    pub(super) fn next(&mut self, link: LinkId) -> Option<Node> {
        self.sent.entry(link).or_default().pop_front()
    }

    /// A request and its answer; what came before the answer is dropped.
    pub(super) fn ask(&mut self, link: LinkId, namespace: &str, kind: &str, children: Vec<Node>) -> Node {
        let id = random::stanza_id();
        let request =
            NodeBuilder::new("iq").attr("id", &id).attr("type", kind).attr("xmlns", namespace).children(children).build();
        self.receive(link, &request);
        loop {
            let node = self.next(link).expect("no answer");
            if node.tag == "iq" && wire::attribute_is(&node, "id", &id) {
                return node;
            }
        }
    }

    /// A client that has registered and shows a code.
    pub(super) fn newcomer(&mut self, number: &str, push_name: Option<&str>, props: Option<&DeviceProps>) -> Newcomer {
        let mut signal = Phone::new(number, "100000000000009", "companion").unwrap();
        let bundle = signal.bundle(false).unwrap();
        let noise = random::bytes();
        let data = DevicePairingRegistrationData {
            e_regid: Some(bundle.registration_id.to_be_bytes().to_vec()),
            e_ident: Some(bundle.identity.to_vec()),
            e_skey_id: Some(bundle.signed_prekey.id.to_be_bytes()[1..].to_vec()),
            e_skey_val: Some(bundle.signed_prekey.public.to_vec()),
            e_skey_sig: Some(bundle.signed_prekey.signature.to_vec()),
            device_props: props.map(|props| props.encode_to_vec()),
            ..DevicePairingRegistrationData::default()
        };
        let payload = ClientPayload {
            device_pairing_data: MessageField::some(data),
            push_name: push_name.map(str::to_owned),
            ..ClientPayload::default()
        };
        let link = self.network.open_link();
        self.network.admit(link, noise, &payload);
        self.settle();
        let request = self.next(link).unwrap();
        let references = request.get_optional_child("pair-device").unwrap();
        let references = wire::children(references).iter().map(text).collect();
        Newcomer { link, noise, references, signal }
    }

    /// Confirms what a phone has offered, and logs in.
    pub(super) fn accept(&mut self, newcomer: Newcomer, key: DeviceKey) -> Companion {
        let Newcomer { link, noise, mut signal, .. } = newcomer;
        let success = loop {
            let node = self.next(link).expect("no pair-success");
            if node.get_optional_child("pair-success").is_some() {
                break node;
            }
        };
        let container = success.get_optional_child_by_tag(&["pair-success", "device-identity"]).unwrap();
        let container = waproto::codec::adv_signed_device_identity_hmac_decode(wire::content(container).unwrap()).unwrap();
        let mut signed = waproto::codec::adv_signed_device_identity_decode(&container.details.unwrap()).unwrap();
        let account = signed.account_signature_key.clone().unwrap();
        let covered = [[6, 1].as_slice(), signed.details.as_deref().unwrap(), &signal.identity(), &account].concat();
        signed.device_signature = Some(signal.sign(&covered));
        let identity = wire::leaf("device-identity", waproto::codec::adv_signed_device_identity_to_vec(&signed));
        let sign = NodeBuilder::new("pair-device-sign").children([identity]).build();
        let id = wire::attribute(&success, "id").unwrap();
        self.receive(link, &wire::result(&id).children([sign]).build());
        assert!(self.network.device(&key).is_some(), "the pairing was given up");
        self.network.close_link(link);
        // Its own records are of no use here, and its keys must not be taken for the account's.
        signal.dirty_records();
        let mut companion = Companion { link, key, noise, signal };
        self.log_in(&mut companion);
        companion
    }

    /// A companion that was linked by its QR code.
    pub(super) fn companion(&mut self, number: &str) -> Companion {
        let newcomer = self.newcomer(number, None, None);
        let (_, key) = self.network.scan(&qr(&newcomer, 0), Some(number)).unwrap();
        self.settle();
        self.accept(newcomer, key)
    }

    pub(super) fn log_in(&mut self, companion: &mut Companion) {
        let payload = ClientPayload {
            username: Some(companion.key.number.parse().unwrap()),
            device: Some(u32::from(companion.key.device)),
            ..ClientPayload::default()
        };
        companion.link = self.network.open_link();
        self.network.admit(companion.link, companion.noise, &payload);
        self.ask(companion.link, "passive", "set", vec![NodeBuilder::new("active").build()]);
    }

    /// The stanzas in the companion's queue, acknowledged.
    pub(super) fn queue(&mut self, companion: &Companion) -> Vec<Node> {
        let nodes = self.network.pull_nodes(companion.link, usize::MAX);
        for node in nodes.iter().filter(|node| node.tag != "ib") {
            let from = wire::address(node, "from").unwrap();
            let ack = NodeBuilder::new("ack")
                .attr("class", node.tag.to_string())
                .attr("id", wire::attribute(node, "id").unwrap())
                .attr("to", from);
            self.receive(companion.link, &ack.build());
        }
        nodes
    }

    /// The messages in the companion's queue, opened.
    pub(super) fn messages(&mut self, companion: &mut Companion) -> Vec<(String, Message)> {
        let nodes = self.queue(companion);
        let messages = nodes.iter().filter(|node| node.tag == "message");
        messages.map(|node| (wire::attribute(node, "id").unwrap(), companion.open(node))).collect()
    }

    /// A companion writes to its own phone.
    pub(super) fn tell_phone(&mut self, companion: &mut Companion, id: &str, message: &Message) {
        let phone = DeviceAddress { user: companion.key.number.clone(), device: 0 };
        let sealed = companion.signal.encrypt(&phone, None, message).unwrap();
        let node = NodeBuilder::new("message")
            .attr("id", id)
            .attr("to", Jid::pn(companion.key.number.as_str()))
            .attr("type", "text")
            .attr("category", "peer")
            .children([super::stanza::enc_node(&sealed)])
            .build();
        self.receive(companion.link, &node);
    }
}

impl Companion {
    fn open(&mut self, node: &Node) -> Message {
        let from = wire::address(node, "from").unwrap();
        let enc = node.get_optional_child("enc").unwrap();
        let kind = EncKind::parse(&wire::attribute(enc, "type").unwrap()).unwrap();
        let from = DeviceAddress { user: from.user.to_string(), device: from.device };
        self.signal.decrypt(&from, kind, wire::content(enc).unwrap()).unwrap()
    }
}

/// What a phone reads off the client's screen, with the reference whose turn this is.
pub(super) fn qr(newcomer: &Newcomer, turn: usize) -> PairingCode {
    PairingCode {
        reference: newcomer.references[turn].clone(),
        noise_public: newcomer.noise,
        identity_public: newcomer.signal.identity(),
        adv_secret: [7; 32],
    }
}

pub(super) fn text(node: &Node) -> String {
    String::from_utf8(wire::content(node).unwrap().to_vec()).unwrap()
}
