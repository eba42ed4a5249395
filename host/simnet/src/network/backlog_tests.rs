//! What a device gets that was away, and what leaves its queue when.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::test_network::{TestDevice, TestNetwork};
use crate::wire;

const ANN: &str = "15550001111";
const BOB: &str = "15550002222";

fn two() -> (TestNetwork, TestDevice, TestDevice) {
    let mut stage = TestNetwork::new();
    let (ann, bob) = (stage.device(ANN), stage.device(BOB));
    clear(&mut stage, &ann);
    clear(&mut stage, &bob);
    (stage, ann, bob)
}

/// Confirms everything that has come so far.
fn clear(stage: &mut TestNetwork, device: &TestDevice) {
    for node in stage.got(device) {
        confirm(stage, device, &node);
    }
    stage.got(device);
}

fn confirm(stage: &mut TestNetwork, device: &TestDevice, node: &Node) {
    let (Some(id), Some(from)) = (wire::attribute(node, "id"), wire::address(node, "from")) else {
        return;
    };
    let answer = match node.tag.as_ref() {
        "message" => NodeBuilder::new("receipt").attr("id", id).attr("to", from).build(),
        other => NodeBuilder::new("ack").attr("class", other.to_owned()).attr("id", id).attr("to", from).build(),
    };
    stage.receive(device, &answer);
}

fn batch(count: u32) -> Node {
    let batch = NodeBuilder::new("offline_batch").attr("count", count).build();
    NodeBuilder::new("ib").children([batch]).build()
}

fn tags(nodes: &[Node]) -> Vec<&str> {
    nodes.iter().filter(|node| node.tag != "success" && node.tag != "iq").map(|node| node.tag.as_ref()).collect()
}

fn ib(nodes: &[Node], child: &str) -> Vec<String> {
    let found = nodes.iter().filter_map(|node| node.get_optional_child(child));
    found.filter_map(|child| wire::attribute(child, "count")).collect()
}

#[test]
fn backlog_is_announced_sent_in_order_and_closed_before_anything_new() {
    let (mut stage, ann, mut bob) = two();
    stage.end(bob.link);
    for n in 1..=3 {
        stage.send_message(&ann, &bob, &format!("A{n}"));
    }
    stage.connect(&mut bob);
    stage.send_message(&ann, &bob, "A4");
    let got = stage.got(&bob);
    assert_eq!(tags(&got), ["ib", "message", "message", "message", "ib", "message"]);
    assert_eq!((ib(&got, "offline_preview"), ib(&got, "offline")), (vec!["3".to_owned()], vec!["3".to_owned()]));
    let preview = got.iter().find_map(|node| node.get_optional_child("offline_preview")).unwrap();
    assert_eq!(
        (wire::attribute(preview, "message").unwrap(), wire::attribute(preview, "receipt").unwrap()),
        ("3".into(), "0".into())
    );
    let messages: Vec<(String, bool)> = got
        .iter()
        .filter(|node| node.tag == "message")
        .map(|node| (wire::attribute(node, "id").unwrap(), node.attrs.contains_key("offline")))
        .collect();
    let expected = [("A1", true), ("A2", true), ("A3", true), ("A4", false)];
    assert_eq!(messages, expected.map(|(id, offline)| (id.to_owned(), offline)));
}

#[test]
fn empty_backlog_is_only_closed() {
    let (mut stage, _, mut bob) = two();
    stage.end(bob.link);
    stage.connect(&mut bob);
    let got = stage.got(&bob);
    assert_eq!((tags(&got), ib(&got, "offline")), (vec!["ib"], vec!["0".to_owned()]));
}

#[test]
fn backlog_comes_in_the_batches_that_the_client_asks_for() {
    let (mut stage, ann, mut bob) = two();
    stage.end(bob.link);
    for n in 0..40 {
        stage.send_message(&ann, &bob, &format!("A{n}"));
    }
    stage.connect(&mut bob);
    let first = stage.got_ids(&bob, "message").len();
    assert!((1..10).contains(&first), "{first} came without being asked for");
    stage.receive(&bob, &batch(10));
    assert_eq!(stage.got_ids(&bob, "message").len(), 10);
    stage.receive(&bob, &batch(200));
    let got = stage.got(&bob);
    assert_eq!(got.iter().filter(|node| node.tag == "message").count(), 40 - first - 10);
    assert_eq!(ib(&got, "offline"), ["40"]);
}

#[test]
fn client_that_does_not_ask_gets_the_rest_by_confirming_or_by_waiting() {
    let (mut stage, ann, mut bob) = two();
    stage.end(bob.link);
    for n in 0..20 {
        stage.send_message(&ann, &bob, &format!("A{n}"));
    }
    stage.connect(&mut bob);
    let primer = stage.got(&bob);
    for node in &primer {
        confirm(&mut stage, &bob, node);
    }
    let came = primer.iter().filter(|node| node.tag == "message").count();
    assert_eq!(stage.got_ids(&bob, "message").len(), 20 - came);

    stage.end(bob.link);
    stage.connect(&mut bob);
    let again = stage.got_ids(&bob, "message").len();
    stage.pass(500);
    assert_eq!(again + stage.got_ids(&bob, "message").len(), 20 - came, "the rest was never confirmed");
}

#[test]
fn connection_lost_in_the_middle_of_the_backlog_loses_nothing() {
    let (mut stage, ann, mut bob) = two();
    stage.end(bob.link);
    for n in 0..12 {
        stage.send_message(&ann, &bob, &format!("A{n}"));
    }
    stage.connect(&mut bob);
    let first = stage.got(&bob);
    let confirmed = first.iter().find(|node| node.tag == "message").unwrap();
    confirm(&mut stage, &bob, confirmed);
    stage.end(bob.link);
    let mut stage = stage.restart();
    stage.connect(&mut bob);
    stage.receive(&bob, &batch(100));
    let expected: Vec<String> = (1..12).map(|n| format!("A{n}")).collect();
    assert_eq!(stage.got_ids(&bob, "message"), expected);
}

#[test]
fn confirmed_stanzas_leave_the_queue_and_the_records() {
    let (mut stage, ann, bob) = two();
    let queued = |stage: &TestNetwork| stage.records.keys().filter(|key| key.starts_with("queue/")).count();
    assert_eq!(queued(&stage), 0);
    stage.send_message(&ann, &bob, "A1");
    stage.send_message(&ann, &bob, "A2");
    assert_eq!(queued(&stage), 2);
    let items = NodeBuilder::new("list").children([NodeBuilder::new("item").attr("id", "A2").build()]).build();
    stage.receive(&bob, &NodeBuilder::new("receipt").attr("id", "A1").attr("to", ann.jid()).children([items]).build());
    clear(&mut stage, &ann);
    assert_eq!((queued(&stage), stage.network.queued_bytes), (0, 0));
}

#[test]
fn receipt_acknowledged_without_its_type_is_taken_as_acknowledged() {
    let (mut stage, ann, bob) = two();
    stage
        .receive(&ann, &NodeBuilder::new("receipt").attr("id", "B1").attr("to", bob.account()).attr("type", "read").build());
    let receipt = stage.got(&bob).pop().unwrap();
    confirm(&mut stage, &bob, &receipt);
    assert_eq!(stage.network.queued_bytes, 0);
}

#[test]
fn message_that_comes_again_is_not_taken_away_by_the_receipt_for_its_first_copy() {
    let (mut stage, ann, mut bob) = two();
    stage.send_message(&ann, &bob, "A1");
    stage.end(bob.link);
    // The sender repeats it; nobody has got this copy yet.
    stage.send_message(&ann, &bob, "A1");
    stage.log_in(&mut bob);
    stage.receive(&bob, &NodeBuilder::new("receipt").attr("id", "A1").attr("to", ann.jid()).build());
    stage.request(&bob, "passive", "set", NodeBuilder::new("active").build());
    assert_eq!(stage.got_ids(&bob, "message"), ["A1"]);
}
