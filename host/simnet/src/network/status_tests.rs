//! Status posts between clients and phones.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::stanza::enc_node;
use super::test_rig::{Companion, Rig, ack_for};
use crate::address::{DeviceKey, Space};
use crate::phone::Encrypted;
use crate::wire;

const ANN: &str = "15550001111";
const BOB: &str = "15550002222";
const CAT: &str = "15550003333";
const STATUS: &str = "status@broadcast";

/// A companion's key for the broadcast, sealed for another device.
fn sealed_key(rig: &mut Rig, from: &mut Companion, to: &DeviceKey) -> Node {
    let key = from.crypto.share_sender_key(STATUS).unwrap();
    let bundle = rig.network.take_bundle(to).unwrap();
    enc_node(&from.crypto.encrypt(&to.address(), Some(&bundle), &key).unwrap())
}

fn sealed_post(from: &mut Companion, text: &str) -> Encrypted {
    let message = from.crypto.compose_text(text);
    // The first time, this makes the key.
    from.crypto.share_sender_key(STATUS).unwrap();
    from.crypto.encrypt_group(STATUS, &message).unwrap()
}

fn to(jid: Jid, encs: Vec<Node>) -> Node {
    NodeBuilder::new("to").attr("jid", jid).children(encs).build()
}

fn post(id: &str, participants: Vec<Node>, sealed: &Encrypted) -> Node {
    let meta = NodeBuilder::new("meta").attr("status_setting", "contacts").build();
    let participants = NodeBuilder::new("participants").children(participants).build();
    let message = NodeBuilder::new("message").attr("to", STATUS).attr("id", id).attr("type", "text");
    message.children([participants, enc_node(sealed), meta]).build()
}

fn encs(node: &Node) -> Vec<Node> {
    node.get_children_by_tag("enc").cloned().collect()
}

#[test]
fn post_reaches_every_device_of_every_listed_user_and_nobody_else() {
    let mut rig = Rig::new();
    let (mut ann, mut bob, second, cat) = (rig.companion(ANN), rig.companion(BOB), rig.companion(BOB), rig.companion(CAT));
    let phone = DeviceKey::new(BOB, 0);
    let lid = |rig: &Rig, key: &DeviceKey| rig.network.jid_of(key, Space::Lid);
    let for_phone = sealed_key(&mut rig, &mut ann, &phone);
    let for_bob = sealed_key(&mut rig, &mut ann, &bob.key);
    let sealed = sealed_post(&mut ann, "at the sea");
    let listed = vec![
        to(lid(&rig, &phone), vec![for_phone]),
        to(lid(&rig, &bob.key), vec![for_bob]),
        to(lid(&rig, &DeviceKey::new(ANN, 0)), Vec::new()),
    ];
    let acks = rig.send(&ann, &post("S1", listed, &sealed));
    assert!(wire::attribute_is(&acks[0], "class", "message") && wire::attribute_is(&acks[0], "from", STATUS));
    let got = rig.inbox(&bob);
    assert_eq!(got.len(), 1);
    assert!(wire::attribute_is(&got[0], "from", STATUS));
    assert_eq!(wire::address(&got[0], "participant").unwrap(), lid(&rig, &ann.key));
    assert_eq!(wire::attribute(&got[0], "participant_pn").unwrap(), format!("{ANN}@s.whatsapp.net"));
    assert!(got[0].get_optional_child("meta").is_some() && got[0].get_optional_child("participants").is_none());
    let texts: Vec<_> = encs(&got[0]).iter().map(|enc| bob.open(&ann.key, enc)).collect();
    assert_eq!(texts, [None, Some("at the sea".to_owned())]);
    // A device that was not listed by itself gets the post, and must ask for the key.
    assert_eq!(encs(&rig.inbox(&second)[0]).len(), 1);
    assert!(rig.inbox(&cat).is_empty());
    let shown = rig.network.received(BOB, 0, 10).unwrap();
    assert_eq!((shown[0].chat.as_str(), shown[0].text.as_deref()), (STATUS, Some("at the sea")));
    assert_eq!(shown[0].from, format!("{ANN}@s.whatsapp.net"));
    let entry = rig.journal.last().unwrap();
    assert_eq!(entry.enc.iter().map(|enc| enc.kind.as_str()).collect::<Vec<_>>(), ["pkmsg", "pkmsg", "skmsg"]);
}

#[test]
fn readers_receipts_reach_the_poster_and_are_acknowledged_one_by_one() {
    let mut rig = Rig::new();
    let (mut ann, bob, cat) = (rig.companion(ANN), rig.companion(BOB), rig.companion(CAT));
    let sealed = sealed_post(&mut ann, "at the sea");
    let listed = vec![to(Jid::pn(BOB), Vec::new()), to(Jid::pn(CAT), Vec::new())];
    rig.send(&ann, &post("S1", listed, &sealed));
    // The phones cannot open it without the key, and say so.
    let retries = rig.inbox(&ann);
    assert_eq!(retries.len(), 2);
    assert!(retries.iter().all(|node| wire::attribute_is(node, "type", "retry")));
    for retry in &retries {
        rig.send(&ann, &ack_for(retry));
    }
    for reader in [&bob, &cat] {
        let got = rig.inbox(reader).remove(0);
        let receipt = NodeBuilder::new("receipt")
            .attr("to", STATUS)
            .attr("participant", wire::address(&got, "participant").unwrap())
            .attr("id", "S1")
            .attr("type", "read")
            .attr("context", "status");
        assert!(wire::attribute_is(&rig.send(reader, &receipt.build())[0], "class", "receipt"));
        assert_eq!(rig.unacknowledged(reader), 0);
    }
    let read = rig.inbox(&ann);
    assert_eq!(read.len(), 2);
    assert!(read.iter().all(|node| wire::attribute_is(node, "from", STATUS) && wire::attribute_is(node, "type", "read")));
    assert_eq!(wire::address(&read[0], "participant").unwrap(), rig.network.jid_of(&bob.key, Space::Number));
    rig.send(&ann, &ack_for(&read[0]));
    assert_eq!(rig.unacknowledged(&ann), 1);
    rig.send(&ann, &ack_for(&read[1]));
    assert_eq!(rig.unacknowledged(&ann), 0);
}

#[test]
fn post_sent_again_to_one_device_reaches_that_device_alone() {
    let mut rig = Rig::new();
    let (mut ann, mut bob, cat) = (rig.companion(ANN), rig.companion(BOB), rig.companion(CAT));
    let mut message = ann.crypto.compose_text("at the sea");
    message.sender_key_distribution_message = ann.crypto.share_sender_key(STATUS).unwrap().sender_key_distribution_message;
    let bundle = rig.network.take_bundle(&bob.key).unwrap();
    let enc = enc_node(&ann.crypto.encrypt(&bob.address(), Some(&bundle), &message).unwrap());
    let bob_lid = rig.network.jid_of(&bob.key, Space::Lid);
    let again = NodeBuilder::new("message").attr("to", STATUS).attr("participant", bob_lid).attr("id", "S1");
    rig.send(&ann, &again.attr("type", "text").children([enc]).build());
    let got = rig.inbox(&bob);
    assert_eq!(bob.open(&ann.key, &encs(&got[0])[0]).unwrap(), "at the sea");
    assert!(rig.inbox(&cat).is_empty());
    assert!(rig.network.received(BOB, 0, 10).unwrap().is_empty());
}

#[test]
fn phone_posts_to_those_it_has_talked_with_and_takes_it_back() {
    let mut rig = Rig::new();
    let (mut own, mut bob, cat) = (rig.companion(ANN), rig.companion(BOB), rig.companion(CAT));
    rig.network.send_text(ANN, BOB, "hello", None).unwrap();
    rig.inbox(&own);
    rig.inbox(&bob);
    let id = rig.network.post_status(ANN, "at the sea", None).unwrap();
    let phone = DeviceKey::new(ANN, 0);
    for reader in [&mut own, &mut bob] {
        let got = rig.inbox(reader);
        assert_eq!(got.len(), 1);
        assert!(wire::attribute_is(&got[0], "id", &id) && wire::attribute_is(&got[0], "from", STATUS));
        let texts: Vec<_> = encs(&got[0]).iter().map(|enc| reader.open(&phone, enc)).collect();
        assert_eq!(texts, [None, Some("at the sea".to_owned())]);
    }
    assert!(rig.inbox(&cat).is_empty());
    rig.network.revoke_status(ANN, &id).unwrap();
    let revoked = rig.inbox(&bob);
    assert!(wire::attribute_is(&revoked[0], "edit", "7"));
    let shown: Vec<_> = rig.network.received(BOB, 0, 10).unwrap();
    let kinds: Vec<_> = shown.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(kinds, ["text", "text", "revoke"]);
    assert_eq!(shown[2].revoked.as_deref(), Some(id.as_str()));
    assert!(rig.network.revoke_status(ANN, &id).is_err());
    assert!(rig.network.post_status(ANN, "", None).is_err());
    let to_cat = rig.network.post_status(ANN, "for you", Some(&[CAT.to_owned()])).unwrap();
    assert!(wire::attribute_is(&rig.inbox(&cat)[0], "id", &to_cat));
    assert!(rig.inbox(&bob).is_empty());
}

#[test]
fn device_that_cannot_open_a_phones_post_gets_it_again_with_the_key() {
    let mut rig = Rig::new();
    let mut bob = rig.companion(BOB);
    rig.network.ensure_phone(ANN, None).unwrap();
    let id = rig.network.post_status(ANN, "at the sea", Some(&[BOB.to_owned()])).unwrap();
    let got = rig.inbox(&bob);
    let retry = NodeBuilder::new("retry").attr("count", "1").attr("id", &id).build();
    let receipt = NodeBuilder::new("receipt")
        .attr("to", STATUS)
        .attr("participant", wire::address(&got[0], "participant").unwrap())
        .attr("id", &id)
        .attr("type", "retry");
    rig.send(&bob, &receipt.children([retry]).build());
    let again = rig.inbox(&bob);
    assert!(wire::attribute_is(&again[0], "id", &id));
    let alone = encs(&again[0]);
    assert_eq!(alone.len(), 1);
    assert_eq!(bob.open(&DeviceKey::new(ANN, 0), &alone[0]).unwrap(), "at the sea");
}
