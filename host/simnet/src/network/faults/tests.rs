//! Each fault does what its name says, to the device it is put on, and ends when it is cleared.

use serde_json::json;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::FaultCommand;
use crate::address::DeviceKey;
use crate::network::Link;
use crate::network::test_network::{TestDevice, TestNetwork};
use crate::wire;

const ANN: &str = "15550001111";
const BOB: &str = "15550002222";
const CAT: &str = "15550003333";

fn put(stage: &mut TestNetwork, command: serde_json::Value) -> usize {
    let command: FaultCommand = serde_json::from_value(command).unwrap();
    let reached = stage.network.apply_fault(&command).unwrap();
    stage.settle();
    reached
}

fn refusal(stage: &mut TestNetwork, command: serde_json::Value) -> String {
    let command: FaultCommand = serde_json::from_value(command).unwrap();
    stage.network.apply_fault(&command).unwrap_err().to_string()
}

fn two() -> (TestNetwork, TestDevice, TestDevice) {
    let mut stage = TestNetwork::new();
    let (ann, bob) = (stage.device(ANN), stage.device(BOB));
    forget(&mut stage, &[&ann, &bob]);
    (stage, ann, bob)
}

/// Acknowledges and forgets what has come so far.
fn forget(stage: &mut TestNetwork, devices: &[&TestDevice]) {
    for device in devices {
        for node in stage.got(device) {
            confirm(stage, device, &node);
        }
        stage.got(device);
    }
}

fn confirm(stage: &mut TestNetwork, device: &TestDevice, node: &Node) {
    if let (Some(id), Some(from)) = (wire::attribute(node, "id"), wire::address(node, "from")) {
        let ack = NodeBuilder::new("ack").attr("class", node.tag.to_string()).attr("id", id).attr("to", from).build();
        stage.receive(device, &ack);
    }
}

fn acks(stage: &mut TestNetwork, device: &TestDevice) -> Vec<String> {
    stage.got_ids(device, "ack")
}

#[test]
fn dropped_connection_gets_no_last_word() {
    let (mut stage, ann, bob) = two();
    assert_eq!(put(&mut stage, json!({ "fault": "drop", "number": BOB, "device": 1 })), 1);
    assert!(stage.closed.contains(&bob.link) && !stage.closed.contains(&ann.link));
    assert!(stage.got(&bob).is_empty());
}

#[test]
fn stream_errors_carry_their_code() {
    let (mut stage, _, bob) = two();
    for code in [500, 503, 516] {
        put(&mut stage, json!({ "fault": "stream_error", "number": BOB, "code": code }));
        let last = stage.got(&bob).pop().unwrap();
        assert!(last.tag == "stream:error" && wire::attribute_is(&last, "code", &code.to_string()));
    }
    put(&mut stage, json!({ "fault": "stream_end", "number": BOB }));
    assert_eq!(stage.got(&bob).pop().unwrap().tag, "xmlstreamend");
    put(&mut stage, json!({ "fault": "replace", "number": BOB }));
    let last = stage.got(&bob).pop().unwrap();
    assert!(wire::attribute_is(last.get_optional_child("conflict").unwrap(), "type", "replaced"));
    assert!(stage.closed.contains(&bob.link));
}

#[test]
fn half_open_connection_stays_until_it_is_cleared() {
    let (mut stage, _, mut bob) = two();
    let old = bob.link;
    put(&mut stage, json!({ "fault": "half_open", "number": BOB }));
    assert!(stage.held.contains(&old));
    // The client gives up and comes back; the server's end of the old connection does not notice.
    stage.connect(&mut bob);
    assert!(stage.held.contains(&old) && !stage.held.contains(&bob.link));
    put(&mut stage, json!({ "fault": "clear", "number": BOB }));
    assert!(!stage.held.contains(&old) && stage.closed.contains(&old));
}

#[test]
fn stalled_connection_goes_on_by_itself() {
    let (mut stage, _, bob) = two();
    put(&mut stage, json!({ "fault": "stall", "number": BOB, "ms": 400 }));
    stage.pass(399);
    assert!(stage.held.contains(&bob.link));
    stage.pass(1);
    assert!(!stage.held.contains(&bob.link));
}

#[test]
fn login_is_refused_as_often_as_was_asked() {
    let (mut stage, _, mut bob) = two();
    put(&mut stage, json!({ "fault": "refuse_login", "number": BOB, "code": 405, "count": 2, "message": "old" }));
    for _ in 0..2 {
        stage.log_in(&mut bob);
        let failure = stage.got(&bob).pop().unwrap();
        assert!(failure.tag == "failure" && wire::attribute_is(&failure, "reason", "405"));
        assert!(wire::attribute_is(&failure, "message", "old") && stage.closed.contains(&bob.link));
    }
    stage.log_in(&mut bob);
    assert_eq!(stage.got(&bob).remove(0).tag, "success");
}

#[test]
fn temporary_ban_tells_how_long_it_lasts_and_ends() {
    let (mut stage, _, mut bob) = two();
    put(&mut stage, json!({ "fault": "temp_ban", "number": BOB, "code": 104, "expire": 60 }));
    assert!(stage.closed.contains(&bob.link), "a ban ends the connection");
    stage.pass(20_000);
    stage.log_in(&mut bob);
    let failure = stage.got(&bob).pop().unwrap();
    let said = ["reason", "code", "expire"].map(|name| wire::attribute(&failure, name).unwrap());
    assert_eq!(said, ["402", "104", "40"]);
    stage.pass(40_000);
    stage.log_in(&mut bob);
    assert_eq!(stage.got(&bob).remove(0).tag, "success");
}

#[test]
fn acks_are_withheld_or_late() {
    let (mut stage, ann, bob) = two();
    put(&mut stage, json!({ "fault": "no_ack", "number": ANN, "count": 1 }));
    stage.send_message(&ann, &bob, "A1");
    assert!(acks(&mut stage, &ann).is_empty());
    stage.send_message(&ann, &bob, "A2");
    assert_eq!(acks(&mut stage, &ann), ["A2"]);
    put(&mut stage, json!({ "fault": "no_ack", "number": ANN }));
    stage.send_message(&ann, &bob, "A3");
    assert!(acks(&mut stage, &ann).is_empty());
    put(&mut stage, json!({ "fault": "clear", "number": ANN }));
    put(&mut stage, json!({ "fault": "late_ack", "number": ANN, "ms": 700 }));
    stage.send_message(&ann, &bob, "A4");
    stage.pass(699);
    assert!(acks(&mut stage, &ann).is_empty());
    stage.pass(1);
    assert_eq!(acks(&mut stage, &ann), ["A4"]);
    assert_eq!(stage.got_ids(&bob, "message"), ["A1", "A2", "A3", "A4"], "the messages themselves arrive");
}

#[test]
fn duplicate_comes_twice_even_if_the_first_copy_was_confirmed_at_once() {
    let (mut stage, ann, mut bob) = two();
    stage.end(bob.link);
    put(&mut stage, json!({ "fault": "duplicate", "number": BOB, "count": 1 }));
    stage.send_message(&ann, &bob, "A1");
    stage.send_message(&ann, &bob, "A2");
    stage.connect(&mut bob);
    assert_eq!(stage.got_ids(&bob, "message"), ["A1", "A1", "A2"]);
}

#[test]
fn delayed_message_comes_after_its_time_and_is_not_lost_by_a_restart() {
    let (mut stage, ann, mut bob) = two();
    put(&mut stage, json!({ "fault": "delay", "number": BOB, "ms": 300 }));
    stage.send_message(&ann, &bob, "A1");
    stage.pass(299);
    assert!(stage.got_ids(&bob, "message").is_empty());
    stage.pass(1);
    assert_eq!(stage.got_ids(&bob, "message"), ["A1"]);
    stage.send_message(&ann, &bob, "A2");
    let mut stage = stage.restart();
    stage.connect(&mut bob);
    assert_eq!(stage.got_ids(&bob, "message"), ["A1", "A2"], "neither was confirmed");
}

#[test]
fn clearing_a_delay_does_not_let_later_messages_overtake() {
    let (mut stage, ann, bob) = two();
    put(&mut stage, json!({ "fault": "delay", "number": BOB, "ms": 300, "count": 1 }));
    stage.send_message(&ann, &bob, "A1");
    stage.send_message(&ann, &bob, "A2");
    assert!(stage.got_ids(&bob, "message").is_empty(), "the second stays behind the first");
    put(&mut stage, json!({ "fault": "clear", "number": BOB }));
    assert_eq!(stage.got_ids(&bob, "message"), ["A1", "A2"]);
}

#[test]
fn reordered_chats_overtake_each_other_and_keep_their_own_order() {
    let (mut stage, ann, bob) = two();
    let cat = stage.device(CAT);
    put(&mut stage, json!({ "fault": "reorder", "number": BOB, "device": 1 }));
    stage.send_message(&ann, &bob, "A1");
    stage.send_message(&ann, &bob, "A2");
    stage.send_message(&cat, &bob, "C1");
    assert_eq!(stage.got_ids(&bob, "message"), ["C1", "A1", "A2"]);
    stage.send_message(&ann, &bob, "A3");
    assert!(stage.got_ids(&bob, "message").is_empty());
    stage.pass(2_000);
    assert_eq!(stage.got_ids(&bob, "message"), ["A3"], "nothing waits for ever");
}

#[test]
fn corrupt_message_has_another_ciphertext_of_the_same_length() {
    let (mut stage, ann, bob) = two();
    put(&mut stage, json!({ "fault": "corrupt", "number": BOB, "count": 1 }));
    for (id, intact) in [("A1", false), ("A2", true)] {
        stage.send_message(&ann, &bob, id);
        let message = stage.got(&bob).pop().unwrap();
        let sealed = wire::child_content(&message, "enc").unwrap();
        assert_eq!((sealed.len(), sealed == b"sealed"), (6, intact), "{id}");
    }
}

#[test]
fn missing_prekeys_are_missing_to_those_who_ask() {
    let (mut stage, ann, bob) = two();
    let ask = |stage: &mut TestNetwork| {
        let user = NodeBuilder::new("user").attr("jid", bob.jid().to_non_ad()).build();
        stage.request(&ann, "encrypt", "get", NodeBuilder::new("key").children([user]).build());
        stage.got(&ann).pop().unwrap().get_optional_child_by_tag(&["list", "user"]).unwrap().clone()
    };
    put(&mut stage, json!({ "fault": "missing_prekeys", "number": BOB, "device": 0, "count": 1 }));
    let bundle = ask(&mut stage);
    assert!(bundle.get_optional_child("key").is_none() && bundle.get_optional_child("skey").is_some());
    put(&mut stage, json!({ "fault": "missing_prekeys", "number": BOB, "device": 0, "keys": "all", "count": 1 }));
    assert!(wire::attribute_is(ask(&mut stage).get_optional_child("error").unwrap(), "code", "406"));
    assert!(ask(&mut stage).get_optional_child("key").is_some());
}

#[test]
fn skewed_clock_shows_in_everything_the_device_gets() {
    let (mut stage, ann, mut bob) = two();
    put(&mut stage, json!({ "fault": "clock_skew", "number": BOB, "ms": -90_000 }));
    let shown = (stage.now_ms / 1000 - 90).to_string();
    stage.connect(&mut bob);
    let success = stage.got(&bob).remove(0);
    assert!(success.tag == "success" && wire::attribute_is(&success, "t", &shown));
    stage.send_message(&ann, &bob, "A1");
    assert!(wire::attribute_is(&stage.got(&bob).pop().unwrap(), "t", &shown));
    stage.send_message(&bob, &ann, "B1");
    assert!(wire::attribute_is(&stage.got(&bob).pop().unwrap(), "t", &shown));
    assert!(!wire::attribute_is(&stage.got(&ann).pop().unwrap(), "t", &shown), "others have the right time");
}

#[test]
fn logged_out_device_leaves_nothing_behind() {
    let (mut stage, ann, bob) = two();
    stage.send_message(&ann, &bob, "A1");
    put(&mut stage, json!({ "fault": "log_out", "number": BOB, "device": 1 }));
    assert!(wire::attribute_is(&stage.got(&bob).pop().unwrap(), "code", "401"));
    assert!(!stage.records.keys().any(|key| key.starts_with(&format!("queue/{BOB}/"))));
    assert!(!stage.network.accounts[BOB].devices.contains_key(&1));
}

#[test]
fn seeded_faults_repeat_themselves() {
    let play = |seed: u64| {
        let (mut stage, ann, bob) = two();
        put(
            &mut stage,
            json!({ "fault": "random", "seed": seed, "rate": 0.3, "kinds": ["duplicate", "delay", "no_ack"], "ms": 50 }),
        );
        let (mut got, mut acked) = (Vec::new(), Vec::new());
        for n in 0..60 {
            stage.send_message(&ann, &bob, &format!("A{n}"));
            stage.pass(10);
            got.extend(stage.got_ids(&bob, "message"));
            acked.extend(stage.got_ids(&ann, "ack"));
        }
        stage.pass(50);
        got.extend(stage.got_ids(&bob, "message"));
        (got, acked)
    };
    let (got, acked) = play(5);
    assert!(got.len() > 60 && acked.len() < 60, "{} {}", got.len(), acked.len());
    assert_eq!((got, acked), play(5));
    assert_ne!(play(5), play(6));
}

#[test]
fn faults_are_listed_until_they_are_cleared() {
    let (mut stage, _, _) = two();
    put(&mut stage, json!({ "fault": "late_ack", "number": ANN, "ms": 7 }));
    put(&mut stage, json!({ "fault": "refuse_login", "code": 503 }));
    put(&mut stage, json!({ "fault": "random", "seed": 1, "rate": 0.5, "kinds": ["drop"] }));
    let listed = stage.network.list_faults();
    let names: Vec<&str> =
        listed["faults"].as_array().unwrap().iter().map(|fault| fault["fault"].as_str().unwrap()).collect();
    assert_eq!(names, ["late_ack", "refuse_login", "refuse_login", "refuse_login", "random"]);
    put(&mut stage, json!({ "fault": "clear" }));
    assert_eq!(stage.network.list_faults(), json!({ "faults": [] }));
}

#[test]
fn newcomers_are_refused_with_everybody_else() {
    let (mut stage, _, _) = two();
    put(&mut stage, json!({ "fault": "refuse_login", "code": 405 }));
    let link = stage.network.open_link();
    let identity = wacore_libsignal::protocol::KeyPair::generate(&mut crate::random::rng());
    stage.network.admit(link, [3; 32], &crate::network::test_network::registration(&identity));
    stage.settle();
    assert!(stage.closed.contains(&link) && !matches!(stage.network.links[&link], Link::Pairing(_)));
}

#[test]
fn commands_that_make_no_sense_are_refused_with_the_reason() {
    let (mut stage, _, _) = two();
    assert!(refusal(&mut stage, json!({ "fault": "explode" })).contains("\"explode\" is unknown"));
    assert!(refusal(&mut stage, json!({ "fault": "delay", "ms": -1 })).contains("ms of fault \"delay\" is -1"));
    assert!(refusal(&mut stage, json!({ "fault": "refuse_login" })).contains("code of fault"));
    assert!(refusal(&mut stage, json!({ "fault": "stream_error", "code": 42 })).contains("400 to 599"));
    assert!(refusal(&mut stage, json!({ "fault": "random", "seed": 1, "rate": 1.5, "kinds": ["drop"] })).contains("1.5"));
    assert!(refusal(&mut stage, json!({ "fault": "no_ack", "count": 0 })).contains("count"));
    assert!(refusal(&mut stage, json!({ "fault": "drop", "number": "15559999999" })).contains("15559999999"));
    assert!(stage.network.device(&DeviceKey::new(ANN, 1)).is_some());
}
