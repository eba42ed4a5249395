//! Who hears of whom, when, and how often.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::test_network::{TestDevice, TestNetwork};
use crate::address::DeviceKey;
use crate::wire;

const ANN: &str = "15550001111";
const BOB: &str = "15550002222";

fn two() -> (TestNetwork, TestDevice, TestDevice) {
    let mut stage = TestNetwork::new();
    let (ann, bob) = (stage.device(ANN), stage.device(BOB));
    stage.got(&ann);
    stage.got(&bob);
    (stage, ann, bob)
}

fn say(stage: &mut TestNetwork, device: &TestDevice, kind: &str) {
    stage.receive(device, &NodeBuilder::new("presence").attr("type", kind).attr("name", "Ann").build());
}

fn subscribe(stage: &mut TestNetwork, device: &TestDevice, to: &Jid) {
    let token = wire::leaf("tctoken", [1, 2, 3]);
    let node = NodeBuilder::new("presence").attr("type", "subscribe").attr("to", to).children([token]).build();
    stage.receive(device, &node);
}

fn presences(stage: &mut TestNetwork, device: &TestDevice) -> Vec<(String, String, Option<String>)> {
    let got = stage.got(device);
    let presences = got.iter().filter(|node| node.tag == "presence");
    presences
        .map(|node| {
            let text = |name| wire::attribute(node, name);
            (text("from").unwrap(), text("type").unwrap(), text("last"))
        })
        .collect()
}

fn typing(stage: &mut TestNetwork, device: &TestDevice) -> Vec<(String, String)> {
    let got = stage.got(device);
    got.iter()
        .filter(|node| node.tag == "chatstate")
        .map(|node| {
            let element = &node.children().unwrap()[0];
            let media = wire::attribute(element, "media").map(|media| format!(" {media}")).unwrap_or_default();
            (wire::attribute(node, "from").unwrap(), format!("{}{media}", element.tag))
        })
        .collect()
}

fn composing(to: &Jid) -> Node {
    NodeBuilder::new("chatstate").attr("to", to).children([NodeBuilder::new("composing").build()]).build()
}

#[test]
fn subscriber_hears_how_it_stands_and_each_change_under_the_address_it_used() {
    let (mut stage, ann, bob) = two();
    let lid = Jid::lid(stage.network.accounts[ANN].lid.as_str());
    subscribe(&mut stage, &bob, &lid);
    assert_eq!(presences(&mut stage, &bob), [(lid.to_string(), "unavailable".to_owned(), None)]);
    say(&mut stage, &ann, "available");
    say(&mut stage, &ann, "available");
    assert_eq!(presences(&mut stage, &bob), [(lid.to_string(), "available".to_owned(), None)], "a change is told once");
    let left_at = (stage.now_ms / 1000).to_string();
    stage.end(ann.link);
    assert_eq!(presences(&mut stage, &bob), [(lid.to_string(), "unavailable".to_owned(), Some(left_at))]);
}

#[test]
fn account_is_online_while_any_of_its_devices_is() {
    let (mut stage, ann, bob) = two();
    let mut second = stage.linked(ANN);
    stage.connect(&mut second);
    subscribe(&mut stage, &bob, &ann.account());
    say(&mut stage, &ann, "available");
    say(&mut stage, &second, "available");
    stage.end(ann.link);
    say(&mut stage, &second, "unavailable");
    let kinds: Vec<String> = presences(&mut stage, &bob).into_iter().map(|(_, kind, _)| kind).collect();
    assert_eq!(kinds, ["unavailable", "available", "unavailable"]);
}

#[test]
fn who_was_away_hears_once_how_it_stands_now() {
    let (mut stage, ann, mut bob) = two();
    subscribe(&mut stage, &bob, &ann.account());
    say(&mut stage, &ann, "available");
    stage.got(&bob);
    stage.end(bob.link);
    say(&mut stage, &ann, "unavailable");
    say(&mut stage, &ann, "available");
    stage.connect(&mut bob);
    assert_eq!(presences(&mut stage, &bob), [(ann.account().to_string(), "available".to_owned(), None)]);
    stage.end(bob.link);
    stage.connect(&mut bob);
    assert!(presences(&mut stage, &bob).is_empty(), "nothing was missed");
}

#[test]
fn subscription_ends_when_it_is_taken_back() {
    let (mut stage, ann, bob) = two();
    subscribe(&mut stage, &bob, &ann.account());
    let node = NodeBuilder::new("presence").attr("type", "unsubscribe").attr("to", ann.account()).build();
    stage.receive(&bob, &node);
    stage.got(&bob);
    say(&mut stage, &ann, "available");
    assert!(presences(&mut stage, &bob).is_empty());
    assert_eq!(stage.network.presence.remembered(), 0);
}

#[test]
fn a_new_name_alone_brings_nobody_online() {
    let (mut stage, ann, bob) = two();
    subscribe(&mut stage, &bob, &ann.account());
    stage.got(&bob);
    stage.receive(&ann, &NodeBuilder::new("presence").attr("name", "Ann at work").build());
    assert!(presences(&mut stage, &bob).is_empty());
    assert_eq!(stage.network.device(&ann.key).unwrap().record.push_name, "Ann at work");
}

#[test]
fn last_seen_survives_a_restart() {
    let (mut stage, ann, mut bob) = two();
    say(&mut stage, &ann, "available");
    stage.pass(5_000);
    let left_at = (stage.now_ms / 1000).to_string();
    say(&mut stage, &ann, "unavailable");
    let mut stage = stage.restart();
    stage.connect(&mut bob);
    stage.got(&bob);
    subscribe(&mut stage, &bob, &ann.account());
    assert_eq!(presences(&mut stage, &bob)[0].2, Some(left_at));
}

#[test]
fn typing_ends_by_itself_unless_it_is_renewed() {
    let (mut stage, ann, bob) = two();
    stage.receive(&ann, &composing(&bob.account()));
    assert_eq!(typing(&mut stage, &bob), [(ann.account().to_string(), "composing".to_owned())]);
    stage.pass(2_000);
    stage.receive(&ann, &composing(&bob.account()));
    stage.got(&bob);
    stage.pass(2_000);
    assert!(typing(&mut stage, &bob).is_empty());
    stage.pass(1_000);
    assert_eq!(typing(&mut stage, &bob), [(ann.account().to_string(), "paused".to_owned())]);
    stage.pass(10_000);
    assert!(typing(&mut stage, &bob).is_empty());
    assert_eq!(stage.network.presence.remembered(), 0);
}

#[test]
fn who_comes_back_in_time_sees_the_typing_and_who_comes_late_does_not() {
    let (mut stage, ann, mut bob) = two();
    stage.end(bob.link);
    stage.receive(&ann, &composing(&bob.account()));
    stage.connect(&mut bob);
    assert_eq!(typing(&mut stage, &bob), [(ann.account().to_string(), "composing".to_owned())]);
    stage.end(bob.link);
    stage.pass(3_000);
    stage.connect(&mut bob);
    assert!(typing(&mut stage, &bob).is_empty());
    stage.end(bob.link);
    stage.receive(&ann, &composing(&bob.account()));
    stage.receive(
        &ann,
        &NodeBuilder::new("chatstate").attr("to", bob.account()).children([NodeBuilder::new("paused").build()]).build(),
    );
    stage.connect(&mut bob);
    assert!(typing(&mut stage, &bob).is_empty(), "it was over before anybody saw it");
}

#[test]
fn phone_types_and_records_and_its_own_companions_do_not_hear_it() {
    let (mut stage, ann, bob) = two();
    let lid = Jid::lid(stage.network.accounts[BOB].lid.as_str());
    let ann_lid = Jid::lid(stage.network.accounts[ANN].lid.as_str());
    let recording = NodeBuilder::new("composing").attr("media", "audio").build();
    let node = NodeBuilder::new("chatstate").attr("to", lid).children([recording]).build();
    stage.network.receive_chatstate(&DeviceKey::new(ANN, 0), &node);
    assert_eq!(typing(&mut stage, &bob), [(ann_lid.to_string(), "composing audio".to_owned())]);
    assert!(typing(&mut stage, &ann).is_empty());
}

#[test]
fn one_account_cannot_type_everywhere() {
    let (mut stage, ann, _) = two();
    for n in 0..200 {
        let number = format!("1555100{n:04}");
        stage.network.ensure_phone(&number, None).unwrap();
        stage.receive(&ann, &composing(&Jid::pn(number.as_str())));
    }
    assert_eq!(stage.network.presence.typing.len(), 64);
}
