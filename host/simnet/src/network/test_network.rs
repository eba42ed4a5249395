//! A network with linked devices and no wire, for tests: what it sends is collected by connection, and its clock is
//! turned by hand.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use serde_json::Value;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use wacore_libsignal::protocol::KeyPair;
use waproto::buffa::MessageField;
use waproto::whatsapp::ClientPayload;
use waproto::whatsapp::client_payload::DevicePairingRegistrationData;

use super::dirty::DIRTY_AT_FIRST;
use super::{Effect, LinkId, Network};
use crate::address::DeviceKey;
use crate::phone::PairingCode;
use crate::{certificate, node_codec, random, wire};

/// Stanzas that a device takes at a time.
const BATCH: usize = 16;

/// The network, and all who are connected to it.
pub(crate) struct TestNetwork {
    pub(crate) network: Network,
    pub(crate) now_ms: u64,
    /// What was sent on each connection and has not been looked at.
    sent: HashMap<LinkId, Vec<Node>>,
    pub(crate) closed: HashSet<LinkId>,
    pub(crate) held: HashSet<LinkId>,
    /// The live state records.
    pub(crate) records: BTreeMap<String, Value>,
    /// Effects so far.
    pub(crate) effects: usize,
}

/// A linked device.
pub(crate) struct TestDevice {
    pub(crate) key: DeviceKey,
    pub(crate) noise: [u8; 32],
    /// Its connection, if it is connected.
    pub(crate) link: LinkId,
}

impl TestDevice {
    pub(crate) fn jid(&self) -> Jid {
        Jid::pn_device(self.key.number.as_str(), self.key.device)
    }

    /// The address of its account.
    pub(crate) fn account(&self) -> Jid {
        Jid::pn(self.key.number.as_str())
    }
}

impl TestNetwork {
    pub(crate) fn new() -> Self {
        let mut network = Network::default();
        network.set_typing_ttl(3_000);
        Self::around(network, BTreeMap::new())
    }

    fn around(network: Network, records: BTreeMap<String, Value>) -> Self {
        let mut stage = Self {
            network,
            now_ms: 1_700_000_000_000,
            sent: HashMap::new(),
            closed: HashSet::new(),
            held: HashSet::new(),
            records,
            effects: 0,
        };
        stage.network.set_now(stage.now_ms);
        stage
    }

    /// The network as it is after a restart.
    pub(crate) fn restart(self) -> Self {
        let network = Network::restore(self.records.clone()).unwrap();
        Self { now_ms: self.now_ms, ..Self::around(network, self.records) }
    }

    /// A number with a phone and one companion, which is connected and has asked for its queue.
    pub(crate) fn device(&mut self, number: &str) -> TestDevice {
        self.network.ensure_phone(number, None).unwrap();
        let mut device = self.linked(number);
        self.connect(&mut device);
        device
    }

    /// A new companion, not connected. It has been there once, and has read what a phone tells its new companion.
    pub(crate) fn linked(&mut self, number: &str) -> TestDevice {
        let mut device = self.introduced(number);
        self.connect(&mut device);
        self.confirm_all(&device);
        for kind in DIRTY_AT_FIRST {
            self.request(&device, "urn:xmpp:whatsapp:dirty", "set", NodeBuilder::new("clean").attr("type", kind).build());
        }
        self.end(device.link);
        self.sent.remove(&device.link);
        device.link = 0;
        device
    }

    /// A device confirms what it gets, until there is nothing more to get.
    pub(crate) fn confirm_all(&mut self, device: &TestDevice) {
        loop {
            let answers: Vec<Node> = self.got(device).iter().filter_map(confirmation).collect();
            if answers.is_empty() {
                return;
            }
            for answer in answers {
                self.receive(device, &answer);
            }
        }
    }

    fn introduced(&mut self, number: &str) -> TestDevice {
        let (noise, identity) = (random::bytes(), KeyPair::generate(&mut random::rng()));
        let link = self.network.open_link();
        self.network.admit(link, noise, &registration(&identity));
        let asked = self.sent(link).remove(0);
        let reference = asked.get_optional_child_by_tag(&["pair-device", "ref"]).and_then(wire::content).unwrap();
        let code = PairingCode {
            reference: String::from_utf8(reference.to_vec()).unwrap(),
            noise_public: noise,
            identity_public: certificate::public_bytes(&identity),
            adv_secret: [7; 32],
        };
        let (_, key) = self.network.scan(&code, Some(number)).unwrap();
        let offer = self.sent(link).remove(0);
        let sealed = offer.get_optional_child_by_tag(&["pair-success", "device-identity"]).and_then(wire::content).unwrap();
        let signed = wire::leaf("device-identity", counter_signed(&identity, sealed));
        let answer = NodeBuilder::new("iq")
            .attr("type", "result")
            .attr("id", wire::attribute(&offer, "id").unwrap())
            .children([NodeBuilder::new("pair-device-sign").children([signed]).build()])
            .build();
        self.network.receive(link, &answer);
        self.end(link);
        TestDevice { key, noise, link: 0 }
    }

    /// Logs a device in and asks for its queue.
    pub(crate) fn connect(&mut self, device: &mut TestDevice) {
        self.log_in(device);
        self.request(device, "passive", "set", NodeBuilder::new("active").build());
    }

    /// Logs a device in.
    pub(crate) fn log_in(&mut self, device: &mut TestDevice) {
        device.link = self.network.open_link();
        let payload = ClientPayload { username: device.key.number.parse().ok(), ..ClientPayload::default() };
        self.network.admit(device.link, device.noise, &payload);
        self.settle();
    }

    /// A connection ends.
    pub(crate) fn end(&mut self, link: LinkId) {
        self.network.close_link(link);
        self.settle();
    }

    /// Ends the connections that the network wants ended.
    pub(crate) fn hang_up(&mut self) {
        for link in std::mem::take(&mut self.closed) {
            self.end(link);
        }
    }

    /// A device sends a stanza.
    pub(crate) fn receive(&mut self, device: &TestDevice, node: &Node) {
        self.network.receive(device.link, node);
        self.settle();
    }

    /// A device makes a request; its answer is among what was sent to it.
    pub(crate) fn request(&mut self, device: &TestDevice, xmlns: &str, kind: &str, child: Node) {
        let request = NodeBuilder::new("iq")
            .attr("id", random::stanza_id())
            .attr("xmlns", xmlns)
            .attr("type", kind)
            .children([child])
            .build();
        self.receive(device, &request);
    }

    /// A device sends a message that is sealed for one other.
    pub(crate) fn send_message(&mut self, from: &TestDevice, to: &TestDevice, id: &str) {
        let enc = NodeBuilder::new("enc").attr("v", "2").attr("type", "msg").bytes(b"sealed".as_slice()).build();
        let copy = NodeBuilder::new("to").attr("jid", to.jid()).children([enc]).build();
        let message = NodeBuilder::new("message")
            .attr("id", id)
            .attr("to", to.account())
            .attr("type", "text")
            .children([NodeBuilder::new("participants").children([copy]).build()])
            .build();
        self.receive(from, &message);
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.network.set_now(self.now_ms);
        if self.network.has_due(self.now_ms) {
            self.network.run_due();
        }
        self.settle();
    }

    /// What was sent to a device since the last look.
    pub(crate) fn got(&mut self, device: &TestDevice) -> Vec<Node> {
        self.sent(device.link)
    }

    /// The ids of those stanzas of a kind that were sent to a device since the last look.
    pub(crate) fn got_ids(&mut self, device: &TestDevice, tag: &str) -> Vec<String> {
        self.got(device).iter().filter(|node| node.tag == tag).filter_map(|node| wire::attribute(node, "id")).collect()
    }

    fn sent(&mut self, link: LinkId) -> Vec<Node> {
        self.settle();
        self.sent.remove(&link).unwrap_or_default()
    }

    /// Carries out what the network has left to do.
    pub(crate) fn settle(&mut self) {
        loop {
            let outbox = self.network.take_outbox();
            for (key, value) in outbox.records {
                match value {
                    Some(value) => self.records.insert(key, value),
                    None => self.records.remove(&key),
                };
            }
            if outbox.effects.is_empty() {
                return;
            }
            self.effects += outbox.effects.len();
            for effect in outbox.effects {
                self.apply(effect);
            }
        }
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Send { link, node } => self.sent.entry(link).or_default().push(node),
            Effect::Wake(link) => loop {
                let stanzas = self.network.pull(link, BATCH);
                if stanzas.is_empty() {
                    break;
                }
                let read = |stanza: Bytes| node_codec::reopen(&stanza).unwrap();
                self.sent.entry(link).or_default().extend(stanzas.into_iter().map(read));
            },
            Effect::Hold(link) => {
                self.held.insert(link);
            }
            Effect::Release(link) => {
                self.held.remove(&link);
            }
            Effect::Close(link) | Effect::Cut(link) => {
                self.closed.insert(link);
            }
            Effect::Changed | Effect::Reupload => {}
        }
    }
}

/// What a client sends back for a stanza from its queue.
pub(crate) fn confirmation(node: &Node) -> Option<Node> {
    let (id, from) = (wire::attribute(node, "id")?, wire::address(node, "from")?);
    let builder = match node.tag.as_ref() {
        "message" if wire::attribute_is(node, "category", "peer") => NodeBuilder::new("receipt").attr("type", "peer_msg"),
        "message" => NodeBuilder::new("receipt"),
        "receipt" => NodeBuilder::new("ack").attr("class", "receipt"),
        "notification" => NodeBuilder::new("ack").attr("class", "notification"),
        _ => return None,
    };
    Some(builder.attr("id", id).attr("to", from).build())
}

impl Network {
    /// The account's other name.
    pub(crate) fn lid_of(&self, number: &str) -> String {
        self.accounts.get(number).map(|account| account.lid.clone()).unwrap()
    }

    /// What waits in all queues.
    pub(crate) fn queued(&self) -> usize {
        self.queued_bytes
    }

    /// What is kept of presence and typing.
    pub(crate) fn remembered_of_presence(&self) -> usize {
        self.presence.remembered()
    }

    /// Everything that is kept for devices and must be gone with them.
    pub(crate) fn remembered_for_devices(&self) -> usize {
        let queued: usize =
            self.accounts.values().flat_map(|account| account.devices.values()).map(|device| device.queue.bytes()).sum();
        assert_eq!(queued, self.queued_bytes, "the sum of the queues is kept right");
        queued + self.presence.remembered() + self.link_by_device.len() + self.device_by_noise_key.len()
    }
}

/// What a client says when it wants to become a device.
pub(crate) fn registration(identity: &KeyPair) -> ClientPayload {
    let signed = KeyPair::generate(&mut random::rng());
    let signature = identity.calculate_signature(&signed.public_key.serialize(), &mut random::rng()).unwrap();
    let data = DevicePairingRegistrationData {
        e_regid: Some(vec![0, 0, 1, 7]),
        e_keytype: Some(vec![5]),
        e_ident: Some(certificate::public_bytes(identity).to_vec()),
        e_skey_id: Some(vec![0, 0, 1]),
        e_skey_val: Some(certificate::public_bytes(&signed).to_vec()),
        e_skey_sig: Some(signature.to_vec()),
        ..DevicePairingRegistrationData::default()
    };
    ClientPayload { device_pairing_data: MessageField::some(data), ..ClientPayload::default() }
}

/// What a client does with `pair-success`, without checking it: it signs.
pub(crate) fn counter_signed(identity: &KeyPair, sealed: &[u8]) -> Vec<u8> {
    let details = waproto::codec::adv_signed_device_identity_hmac_decode(sealed).unwrap().details.unwrap();
    let mut signed = waproto::codec::adv_signed_device_identity_decode(&details).unwrap();
    let own = certificate::public_bytes(identity);
    let (details, account) = (signed.details.clone().unwrap(), signed.account_signature_key.clone().unwrap());
    let covered = [[6, 1].as_slice(), &details, &own, &account].concat();
    signed.device_signature = Some(identity.calculate_signature(&covered, &mut random::rng()).unwrap().to_vec());
    waproto::codec::adv_signed_device_identity_to_vec(&signed)
}
