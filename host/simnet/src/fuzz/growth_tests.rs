//! One client that asks for the same thing again and again, and what the network keeps of it.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use crate::network::test_network::{TestDevice, TestNetwork};
use crate::phone::{DeviceAddress, Phone};

const ANN: &str = "15550001111";
const BOB: &str = "15550002222";

fn stage() -> (TestNetwork, TestDevice) {
    let mut stage = TestNetwork::new();
    stage.network.ensure_phone(BOB, None).unwrap();
    let ann = stage.device(ANN);
    (stage, ann)
}

fn bytes(stage: &TestNetwork) -> usize {
    stage.records.iter().map(|(key, value)| key.len() + value.to_string().len()).sum()
}

fn key_request(users: usize) -> Node {
    let user = NodeBuilder::new("user").attr("jid", Jid::pn(BOB)).build();
    NodeBuilder::new("key").children(vec![user; users]).build()
}

#[test]
fn asking_for_a_phones_keys_makes_no_end_of_keys() {
    let (mut stage, ann) = stage();
    let mut ask = |times: usize| {
        for _ in 0..times {
            stage.request(&ann, "encrypt", "get", key_request(100));
            stage.got(&ann);
        }
        bytes(&stage)
    };
    let (some, many) = (ask(1_100), ask(500));
    assert!(many < some * 11 / 10, "{some} bytes became {many}");
}

#[test]
fn sender_keys_of_made_up_groups_replace_each_other() {
    let (mut ann, mut bob) = (Phone::new(ANN, "100", "").unwrap(), Phone::new(BOB, "200", "").unwrap());
    let address = |number: &str| DeviceAddress { user: number.to_owned(), device: 0 };
    let bundle = bob.bundle(true).unwrap();
    let (mut live, mut most) = (std::collections::BTreeSet::new(), 0);
    for n in 0..3_000 {
        let share = ann.share_sender_key(&format!("{n}@g.us")).unwrap();
        let bundle = (n == 0).then_some(&bundle);
        let sealed = ann.encrypt(&address(BOB), bundle, &share).unwrap();
        bob.decrypt(&address(ANN), sealed.kind, &sealed.ciphertext).unwrap();
        for (key, value) in bob.dirty_records() {
            match value {
                Some(_) => live.insert(key),
                None => live.remove(&key),
            };
        }
        most = most.max(live.iter().filter(|key| key.starts_with("sender_key/")).count());
    }
    assert!(most <= 1_024, "{most} sender keys of one device");
}

#[test]
fn a_message_for_one_device_many_times_is_one_message_and_does_not_outgrow_the_queue() {
    let (mut stage, ann) = stage();
    let mut bob = stage.device(BOB);
    stage.end(bob.link);
    let enc = NodeBuilder::new("enc").attr("type", "msg").bytes(vec![0; 500_000]).build();
    let copy = NodeBuilder::new("to").attr("jid", bob.jid()).children([enc]).build();
    let participants = NodeBuilder::new("participants").children(vec![copy; 3]).build();
    let message = NodeBuilder::new("message").attr("id", "A1").attr("to", Jid::pn(BOB)).children([participants]).build();
    for n in 1..=200 {
        stage.receive(&ann, &message);
        stage.got(&ann);
        assert!(stage.network.queued() < n * 600_000);
    }
    assert!(stage.network.queued() < 70 * 1024 * 1024, "{} bytes", stage.network.queued());
    stage.connect(&mut bob);
}

#[test]
fn a_message_reaches_nobody_but_its_chat() {
    let (mut stage, ann) = stage();
    let (bob, cat) = (stage.device(BOB), stage.device("15550003333"));
    let copy = |to: &TestDevice| {
        let enc = NodeBuilder::new("enc").attr("type", "msg").bytes([1]).build();
        NodeBuilder::new("to").attr("jid", to.jid()).children([enc]).build()
    };
    let participants = NodeBuilder::new("participants").children([copy(&bob), copy(&cat)]).build();
    let message = NodeBuilder::new("message").attr("id", "A1").attr("to", Jid::pn(BOB)).children([participants]).build();
    stage.receive(&ann, &message);
    assert!(stage.got_ids(&bob, "message").contains(&"A1".to_owned()));
    assert!(!stage.got_ids(&cat, "message").contains(&"A1".to_owned()));
}

#[test]
fn names_and_subscriptions_have_an_end() {
    let (mut stage, ann) = stage();
    let long = "x".repeat(1_000);
    stage.receive(&ann, &NodeBuilder::new("presence").attr("type", "available").attr("name", long).build());
    let name = stage.records[&format!("device/{ANN}/1")]["push_name"].as_str().unwrap().len();
    assert_eq!(name, 256);
    for n in 0..6_000 {
        let number = format!("1666{n:07}");
        let node = NodeBuilder::new("presence").attr("type", "subscribe").attr("to", Jid::pn(number.as_str())).build();
        stage.receive(&ann, &node);
    }
    assert_eq!(stage.network.remembered_of_presence(), 0, "there are no such accounts");
}
