//! Phones and companions write to each other through the network: what travels, what is shown, what is confirmed.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::buffa::MessageField;
use waproto::whatsapp::message::SecretEncryptedMessage;
use waproto::whatsapp::{ClientPayload, Message};

use super::test_kit::{install, write_down};
use super::{ChatStateAct, LinkId, Network, PresenceAct, ReceiptAct};
use crate::address::{DeviceKey, Space};
use crate::phone::{DeviceAddress, Draft, EncKind, Phone, device_sent};
use crate::wire;

const ANN: &str = "15550001111";
const BOB: &str = "15550002222";
const ANN_CHAT: &str = "15550001111@s.whatsapp.net";
const BOB_CHAT: &str = "15550002222@s.whatsapp.net";
const NOW_MS: u64 = 1_700_000_000_000;

/// A companion: its keys and sessions are those of a phone nobody knows.
struct Companion {
    key: DeviceKey,
    link: LinkId,
    keys: Phone,
    seen: u64,
}

/// Ann has a companion, Bob a phone only.
fn network() -> (Network, Companion) {
    let mut network = Network::default();
    network.set_now(NOW_MS);
    network.ensure_phone(ANN, Some("Ann")).unwrap();
    network.ensure_phone(BOB, Some("Bob")).unwrap();
    let companion = companion(&mut network, ANN, 1);
    (network, companion)
}

fn companion(network: &mut Network, number: &str, device: u16) -> Companion {
    let mut keys = Phone::new(number, "0", "").unwrap();
    let key = DeviceKey::new(number, device);
    install(network, &key, [u8::try_from(device).unwrap(); 32], &mut keys, 0);
    Companion { key, link: network.open_link(), keys, seen: 0 }
}

impl Companion {
    /// It logs in and wants to hear what is going on.
    fn log_in(&self, network: &mut Network) {
        let noise = network.device(&self.key).unwrap().record.noise;
        network.admit(self.link, noise, &ClientPayload::default());
        network.activate(self.link, &self.key);
    }

    /// What has come for it since the last time.
    fn take(&mut self, network: &Network) -> Vec<Node> {
        let queue = &network.device(&self.key).unwrap().queue;
        let fresh: Vec<(u64, Node)> = queue.nodes_after(self.seen, 100);
        self.seen = fresh.last().map_or(self.seen, |(n, _)| *n);
        fresh.into_iter().map(|(_, node)| node).collect()
    }

    /// The one message that has come.
    fn take_message(&mut self, network: &Network) -> (Node, Message) {
        let mut messages: Vec<Node> = self.take(network).into_iter().filter(|node| node.tag == "message").collect();
        assert_eq!(messages.len(), 1);
        let node = messages.remove(0);
        let message = self.open(&node);
        (node, message)
    }

    fn open(&mut self, node: &Node) -> Message {
        let enc = node.get_optional_child("enc").unwrap();
        let kind = EncKind::parse(&wire::attribute(enc, "type").unwrap()).unwrap();
        let from = DeviceAddress { user: wire::address(node, "from").unwrap().user.to_string(), device: 0 };
        self.keys.decrypt(&from, kind, wire::content(enc).unwrap()).unwrap()
    }

    /// Sends a message to a phone, and the copy for the own phone.
    fn send(&mut self, network: &mut Network, to: &str, id: &str, message: &Message) {
        let chat = Jid::pn(to);
        let copy = device_sent(&chat.to_string(), message);
        let own = self.key.number.clone();
        let copies = [(to.to_owned(), message.clone()), (own, copy)];
        let copies: Vec<Node> = copies
            .iter()
            .map(|(number, message)| {
                let target = DeviceKey::new(number.as_str(), 0);
                let known = self.keys.has_session(&target.address());
                let bundle = if known { None } else { network.take_bundle(&target) };
                let sealed = self.keys.encrypt(&target.address(), bundle.as_ref(), message).unwrap();
                let enc = NodeBuilder::new("enc").attr("type", sealed.kind.as_str()).bytes(sealed.ciphertext).build();
                NodeBuilder::new("to").attr("jid", Jid::pn(number.as_str())).children([enc]).build()
            })
            .collect();
        let participants = NodeBuilder::new("participants").children(copies).build();
        let node = NodeBuilder::new("message").attr("to", chat).attr("id", id).attr("type", "text");
        network.receive_message(self.link, &self.key, &node.children([participants]).build());
    }

    fn send_receipt(&self, network: &mut Network, to: &str, id: &str, kind: Option<&str>) {
        let mut node = NodeBuilder::new("receipt").attr("to", Jid::pn(to)).attr("id", id);
        if let Some(kind) = kind {
            node = node.attr("type", kind);
        }
        network.receive_receipt(self.link, &self.key, &node.build());
    }
}

fn write(network: &mut Network, from: &str, to: &str, content: Value) -> Result<String, String> {
    let mut draft = content;
    draft.as_object_mut().unwrap().insert("to".to_owned(), json!(to));
    let draft = Draft::read(draft.to_string().as_bytes()).map_err(|fault| fault.to_string())?;
    network.send_draft(from, draft).map_err(|fault| fault.to_string())
}

fn text(text: &str) -> Message {
    Message { conversation: Some(text.to_owned()), ..Message::default() }
}

fn messages(network: &Network, number: &str, own: bool) -> Vec<Value> {
    let entries = network.messages_of(number, own, 0, 100).unwrap();
    entries.iter().map(|entry| serde_json::to_value(entry).unwrap()).collect()
}

/// The network after a restart.
fn restart(network: &mut Network, state: &mut BTreeMap<String, Value>) -> Network {
    write_down(state, network.take_outbox().records);
    let mut network = Network::restore(state.clone()).unwrap();
    network.set_now(NOW_MS);
    network
}

fn attributes(node: &Node) -> (String, Option<String>) {
    (wire::attribute(node, "type").unwrap(), wire::attribute(node, "edit"))
}

#[test]
fn the_stanza_says_what_kind_of_message_is_in_it() {
    let (mut network, mut companion) = network();
    let id = write(&mut network, BOB, ANN, json!({ "text": "hello" })).unwrap();
    let (node, message) = companion.take_message(&network);
    assert_eq!((attributes(&node), message.conversation.as_deref()), (("text".to_owned(), None), Some("hello")));
    let cases = [
        (json!({ "edit": { "message_id": id, "text": "hallo" } }), ("text", Some("1")), None),
        (json!({ "pin": { "message_id": id } }), ("text", Some("2")), None),
        (json!({ "reaction": { "message_id": id, "emoji": "+" } }), ("reaction", None), None),
        (json!({ "reaction": { "message_id": id, "emoji": "" } }), ("reaction", Some("7")), None),
        (json!({ "revoke": { "message_id": id } }), ("text", Some("7")), None),
        (json!({ "image": { "base64": "AAAA" } }), ("media", None), Some("image")),
        (json!({ "voice": { "base64": "AAAA" } }), ("media", None), Some("ptt")),
        (json!({ "gif": { "base64": "AAAA" } }), ("media", None), Some("gif")),
        (json!({ "document": { "base64": "AAAA", "caption": "c" } }), ("media", None), Some("document")),
        (json!({ "location": { "latitude": 1.0, "longitude": 1.0 } }), ("media", None), Some("location")),
        (json!({ "text": "x y", "preview": { "url": "x" } }), ("media", None), Some("url")),
    ];
    for (content, expected, media_type) in cases {
        write(&mut network, BOB, ANN, content).unwrap();
        let (node, _) = companion.take_message(&network);
        let (kind, edit) = attributes(&node);
        assert_eq!((kind.as_str(), edit.as_deref()), expected);
        let enc = node.get_optional_child("enc").unwrap();
        assert_eq!(wire::attribute(enc, "mediatype").as_deref(), media_type);
        // A device that cannot open it shows no gap for what is only about another message, but for a revoke.
        let hides = wire::attribute_is(enc, "decrypt-fail", "hide");
        assert_eq!(hides, kind == "reaction" || matches!(edit.as_deref(), Some("1" | "2")));
    }
    write(&mut network, BOB, ANN, json!({ "poll": { "name": "?", "options": ["a", "b"] } })).unwrap();
    let (node, _) = companion.take_message(&network);
    let meta = node.get_optional_child("meta").unwrap();
    assert!(wire::attribute_is(meta, "polltype", "creation"));
}

#[test]
fn a_sealed_file_is_left_for_the_media_hosts() {
    let (mut network, mut companion) = network();
    write(&mut network, BOB, ANN, json!({ "image": { "base64": "AAAA" } })).unwrap();
    let (_, message) = companion.take_message(&network);
    let blobs = network.take_outbox().blobs;
    let path = message.image_message.as_option().unwrap().direct_path.clone().unwrap();
    assert_eq!(blobs.iter().map(|blob| blob.path.as_str()).collect::<Vec<_>>(), [path]);
}

#[test]
fn a_companions_vote_on_a_phones_poll_is_shown_in_either_address_space() {
    let (mut network, mut companion) = network();
    let poll = json!({ "poll": { "name": "?", "options": ["a", "b"], "selectable_count": 1 } });
    let poll_id = write(&mut network, BOB, ANN, poll).unwrap();
    // Ann's phone votes in the same chat; what it sent stands for what a companion would.
    write(&mut network, ANN, BOB, json!({ "poll_vote": { "poll_id": poll_id, "options": ["a"] } })).unwrap();
    let shown = messages(&network, BOB, false);
    assert_eq!(shown[0]["poll_vote"], json!({ "poll_id": poll_id, "voter": ANN_CHAT, "options": ["a"] }));
    assert_eq!(messages(&network, BOB, true)[0]["poll"]["votes"], json!({ "a": [ANN_CHAT] }));
    assert_eq!(messages(&network, ANN, false)[0]["poll"]["votes"], json!({ "a": [ANN_CHAT] }));
    // Sealed with both LIDs it opens as well.
    let lid = |number: &str| network.jid_of(&DeviceKey::new(number, 0), Space::Lid).to_string();
    let (ann, bob) = (lid(ANN), lid(BOB));
    let known = network.sent_by_phone(BOB, &poll_id).unwrap();
    let vote = crate::phone::sealed_vote(&known, &bob, &ann, &["b"]);
    companion.send(&mut network, BOB, "V2", &vote);
    let shown = messages(&network, BOB, false);
    assert_eq!(shown[1]["poll"]["votes"], json!({ "b": [ANN_CHAT] }));
}

#[test]
fn a_companions_message_is_in_the_own_list_of_its_phone_only() {
    let (mut network, mut companion) = network();
    companion.send(&mut network, BOB, "C1", &text("from the desk"));
    assert!(messages(&network, ANN, false).is_empty());
    let own = messages(&network, ANN, true);
    assert_eq!(own.len(), 1);
    assert_eq!(own[0]["text"], "from the desk");
    assert_eq!((&own[0]["chat"], &own[0]["from_me"], &own[0]["own_device"]), (&json!(BOB_CHAT), &json!(true), &json!(1)));
    assert_eq!(messages(&network, BOB, false)[0]["text"], "from the desk");
    // The phone can change what its companion wrote.
    write(&mut network, ANN, BOB, json!({ "revoke": { "message_id": "C1" } })).unwrap();
    assert_eq!(messages(&network, BOB, false)[1]["revoked"], "C1");
}

#[test]
fn what_was_sent_is_sent_again_after_a_restart_with_all_it_was() {
    let (mut network, mut companion) = network();
    let mut state = BTreeMap::new();
    let image = json!({ "image": { "base64": "AAAA", "caption": "look", "view_once": true } });
    let id = write(&mut network, BOB, ANN, image).unwrap();
    let (first, message) = companion.take_message(&network);
    let mut network = restart(&mut network, &mut state);
    let retry = NodeBuilder::new("retry").attr("count", "1").attr("id", &id).build();
    let receipt =
        NodeBuilder::new("receipt").attr("to", Jid::pn(BOB)).attr("id", &id).attr("type", "retry").children([retry]).build();
    network.receive_receipt(companion.link, &companion.key, &receipt);
    let (again, repeated) = companion.take_message(&network);
    assert_eq!(repeated, message);
    assert_eq!(attributes(&again), attributes(&first));
    let enc = |node: &Node| node.get_optional_child("enc").unwrap().clone();
    assert_eq!(wire::attribute(&enc(&again), "mediatype"), wire::attribute(&enc(&first), "mediatype"));
    assert_eq!(again.get_optional_child("meta"), first.get_optional_child("meta"));
    assert!(wire::attribute_is(again.get_optional_child("meta").unwrap(), "view_once", "true"));
}

#[test]
fn secrets_survive_a_restart() {
    let (mut network, _) = network();
    let mut state = BTreeMap::new();
    let poll_id = write(&mut network, BOB, ANN, json!({ "poll": { "name": "?", "options": ["a", "b"] } })).unwrap();
    let mut network = restart(&mut network, &mut state);
    write(&mut network, ANN, BOB, json!({ "poll_vote": { "poll_id": poll_id, "options": ["a", "b"] } })).unwrap();
    let mut network = restart(&mut network, &mut state);
    assert_eq!(messages(&network, BOB, false)[0]["poll_vote"]["options"], json!(["a", "b"]));
    assert_eq!(messages(&network, BOB, true)[0]["poll"]["votes"], json!({ "a": [ANN_CHAT], "b": [ANN_CHAT] }));
    assert!(write(&mut network, BOB, ANN, json!({ "edit": { "message_id": poll_id, "text": "x" } })).is_err());
}

#[test]
fn reading_a_chat_reaches_the_sender_and_the_readers_other_devices() {
    let (mut network, mut companion) = network();
    let mut state = BTreeMap::new();
    let mut second = self::companion(&mut network, ANN, 2);
    companion.send(&mut network, BOB, "C1", &text("one"));
    companion.send(&mut network, BOB, "C2", &text("two"));
    let delivered = companion.take(&network);
    assert!(delivered.iter().any(|node| node.tag == "receipt" && wire::attribute_is(node, "id", "C1")));
    second.take(&network);
    let read: ReceiptAct = serde_json::from_value(json!({ "chat": ANN })).unwrap();
    assert_eq!(network.phone_confirms(BOB, &read).unwrap(), ["C1", "C2"]);
    for reader in [&mut companion, &mut second] {
        let receipts = reader.take(&network);
        let [receipt] = receipts.as_slice() else { panic!("{receipts:?}") };
        assert!(wire::attribute_is(receipt, "type", "read") && wire::attribute_is(receipt, "id", "C1"));
        assert_eq!(wire::address(receipt, "from").unwrap().to_string(), BOB_CHAT);
        let list = wire::children(receipt.get_optional_child("list").unwrap());
        assert!(wire::attribute_is(&list[0], "id", "C2"));
    }
    let heard = network.receipts_heard(ANN, 0, 10).unwrap();
    let heard: Vec<_> = heard.iter().map(|receipt| (receipt.message_id.as_str(), receipt.kind.as_str())).collect();
    assert_eq!(heard, [("C1", "read"), ("C2", "read")]);
    // Read once; there is nothing left to read, not even after a restart.
    let mut network = restart(&mut network, &mut state);
    assert!(network.phone_confirms(BOB, &read).unwrap().is_empty());
    assert_eq!(network.receipts_heard(ANN, 0, 10).unwrap().len(), 2);
}

#[test]
fn what_a_phone_reads_its_companions_learn_in_private() {
    let (mut network, mut companion) = network();
    let id = write(&mut network, BOB, ANN, json!({ "voice": { "base64": "AAAA" } })).unwrap();
    companion.take(&network);
    let played: ReceiptAct = serde_json::from_value(json!({ "message_id": id, "type": "played" })).unwrap();
    network.phone_confirms(ANN, &played).unwrap();
    let receipts = companion.take(&network);
    let [receipt] = receipts.as_slice() else { panic!("{receipts:?}") };
    assert!(wire::attribute_is(receipt, "type", "played-self"));
    assert_eq!(wire::address(receipt, "from").unwrap().to_string(), ANN_CHAT);
    assert_eq!(wire::address(receipt, "recipient").unwrap().to_string(), BOB_CHAT);
    let kinds = |network: &Network| -> Vec<String> {
        network.receipts_heard(BOB, 0, 10).unwrap().into_iter().map(|receipt| receipt.kind).collect()
    };
    assert_eq!(kinds(&network), ["delivery", "played"]);
    // A companion that does not want to be seen reading tells its own devices alone.
    let id = write(&mut network, BOB, ANN, json!({ "text": "psst" })).unwrap();
    companion.send_receipt(&mut network, BOB, &id, Some("read-self"));
    assert_eq!(kinds(&network), ["delivery", "played", "delivery"]);
    let shown = messages(&network, ANN, false);
    assert_eq!((&shown[0]["read"], &shown[1]["read"]), (&json!(true), &json!(true)));
    companion.send_receipt(&mut network, BOB, &id, None);
    assert_eq!(kinds(&network).last().map(String::as_str), Some("delivery"));
    assert_eq!(network.receipts_heard(BOB, 3, 10).unwrap()[0].device, 1);
}

#[test]
fn what_a_phone_cannot_confirm_is_refused_by_name() {
    let (mut network, _) = network();
    let id = write(&mut network, BOB, ANN, json!({ "text": "hello" })).unwrap();
    let mut refusal = |act: Value| {
        let act: ReceiptAct = serde_json::from_value(act).unwrap();
        network.phone_confirms(ANN, &act).unwrap_err().to_string()
    };
    assert!(refusal(json!({ "message_id": "M9" })).contains("M9"));
    assert!(refusal(json!({ "message_id": id, "type": "played" })).contains("type"));
    assert!(refusal(json!({ "message_id": id, "type": "seen" })).contains("seen"));
    assert!(refusal(json!({})).contains("message_id"));
    assert!(refusal(json!({ "chat": BOB, "type": "played" })).contains("chat"));
    assert!(refusal(json!({ "chat": "15550009999" })).contains("15550009999"));
}

#[test]
fn typing_is_seen_on_both_sides() {
    let (mut network, companion) = network();
    companion.log_in(&mut network);
    let act = |state: &str| serde_json::from_value::<ChatStateAct>(json!({ "to": ANN, "state": state })).unwrap();
    network.take_outbox();
    for state in ["composing", "recording", "paused"] {
        network.phone_types(BOB, &act(state)).unwrap();
    }
    let sent: Vec<Node> = network
        .take_outbox()
        .effects
        .into_iter()
        .filter_map(|effect| match effect {
            super::Effect::Send { link, node } if link == companion.link => Some(node),
            _ => None,
        })
        .collect();
    let tags: Vec<_> = sent.iter().map(|node| wire::children(node)[0].tag.to_string()).collect();
    assert_eq!(tags, ["composing", "composing", "paused"]);
    assert!(wire::attribute_is(&wire::children(&sent[1])[0], "media", "audio"));
    let seen = network.chat_states_seen(ANN, 0, 10).unwrap();
    let states: Vec<_> = seen.iter().map(|state| (state.from.as_str(), state.state.as_str())).collect();
    assert_eq!(states, [(BOB_CHAT, "composing"), (BOB_CHAT, "recording"), (BOB_CHAT, "paused")]);
    assert!(network.phone_types(BOB, &act("dancing")).unwrap_err().to_string().contains("dancing"));
    assert_eq!(network.chat_states_seen(ANN, 2, 10).unwrap().len(), 1);
}

#[test]
fn a_phone_that_follows_another_sees_it_come_and_go() {
    let (mut network, _) = network();
    let act = |act: Value| serde_json::from_value::<PresenceAct>(act).unwrap();
    network.phone_presence(ANN, &act(json!({ "state": "available" }))).unwrap();
    assert!(network.presences_seen(BOB, Some(ANN), 0, 10).unwrap().is_empty());
    network.phone_presence(BOB, &act(json!({ "subscribe": ANN }))).unwrap();
    network.phone_presence(ANN, &act(json!({ "state": "unavailable" }))).unwrap();
    network.phone_presence(BOB, &act(json!({ "unsubscribe": ANN }))).unwrap();
    network.phone_presence(ANN, &act(json!({ "state": "available" }))).unwrap();
    let seen = network.presences_seen(BOB, Some(ANN), 0, 10).unwrap();
    let states: Vec<_> = seen.iter().map(|presence| (presence.of.as_str(), presence.state)).collect();
    assert_eq!(states, [(ANN_CHAT, "available"), (ANN_CHAT, "unavailable")]);
    assert!(network.phone_presence(ANN, &act(json!({}))).is_err());
    assert!(network.phone_presence(ANN, &act(json!({ "state": "away" }))).unwrap_err().to_string().contains("away"));
}

#[test]
fn an_edit_that_cannot_be_opened_stops_nothing() {
    let (mut network, mut companion) = network();
    let sealed =
        Message { secret_encrypted_message: MessageField::some(SecretEncryptedMessage::default()), ..Message::default() };
    companion.send(&mut network, BOB, "S1", &sealed);
    companion.send(&mut network, BOB, "S2", &text("after"));
    let shown = messages(&network, BOB, false);
    assert_eq!((&shown[0]["type"], &shown[1]["text"]), (&json!("edit"), &json!("after")));
}

#[test]
fn a_chat_named_by_lid_is_the_chat_of_the_number() {
    let (mut network, _) = network();
    let lid = network.jid_of(&DeviceKey::new(ANN, 0), Space::Lid).to_string();
    write(&mut network, BOB, &lid, json!({ "text": "hello" })).unwrap();
    assert_eq!(messages(&network, BOB, true)[0]["chat"], ANN_CHAT);
    assert_eq!(messages(&network, ANN, false)[0]["chat"], BOB_CHAT);
    assert!(write(&mut network, BOB, "1203630001@g.us", json!({ "text": "hello" })).unwrap_err().contains("g.us"));
}
