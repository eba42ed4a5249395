//! Where receipts go, and where they do not.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::test_network::{TestDevice, TestNetwork, confirmation};
use super::test_rig::{Rig, ack_for};
use crate::phone::Draft;
use crate::wire;

const ANN: &str = "15550001111";
const BOB: &str = "15550002222";

/// Two companions of Ann, one of Bob.
fn three() -> (TestNetwork, TestDevice, TestDevice, TestDevice) {
    let mut stage = TestNetwork::new();
    let (ann, bob) = (stage.device(ANN), stage.device(BOB));
    let mut second = stage.linked(ANN);
    stage.connect(&mut second);
    for device in [&ann, &second, &bob] {
        stage.got(device);
    }
    (stage, ann, second, bob)
}

fn receipts(stage: &mut TestNetwork, device: &TestDevice) -> Vec<Node> {
    stage.got(device).into_iter().filter(|node| node.tag == "receipt").collect()
}

fn receipt(kind: &str, to: &Jid, children: Vec<Node>) -> Node {
    let receipt = NodeBuilder::new("receipt").attr("id", "A1").attr("to", to);
    let receipt = if kind.is_empty() { receipt } else { receipt.attr("type", kind) };
    receipt.children(children).build()
}

fn text(node: &Node, name: &str) -> String {
    wire::attribute(node, name).unwrap_or_default()
}

#[test]
fn what_happened_to_a_message_reaches_all_devices_of_its_sender() {
    let (mut stage, ann, second, bob) = three();
    for kind in ["", "inactive", "read", "played"] {
        stage.receive(&bob, &receipt(kind, &ann.jid(), Vec::new()));
        for device in [&ann, &second] {
            let got = receipts(&mut stage, device);
            assert_eq!(got.len(), 1, "{kind}");
            assert_eq!((text(&got[0], "type"), text(&got[0], "from")), (kind.to_owned(), bob.jid().to_string()));
            assert_eq!(text(&got[0], "t"), (stage.now_ms / 1000).to_string());
        }
        let acks = stage.got(&bob);
        assert!(acks.iter().any(|node| node.tag == "ack" && wire::attribute_is(node, "class", "receipt")));
    }
}

#[test]
fn receipts_in_the_other_address_space_stay_in_it() {
    let (mut stage, _, _, bob) = three();
    let accounts = &stage.network.accounts;
    let (ann_lid, bob_lid) = (accounts[ANN].lid.clone(), accounts[BOB].lid.clone());
    stage.receive(&bob, &receipt("read", &Jid::lid(ann_lid.as_str()), Vec::new()));
    let queued = stage.records.iter().filter(|(key, _)| key.starts_with("queue/15550001111/"));
    assert_eq!(queued.filter(|(_, record)| record["class"] == "receipt").count(), 2);
    let mut ann = stage.linked(ANN);
    stage.connect(&mut ann);
    stage.receive(&bob, &receipt("", &Jid::lid_device(ann_lid.as_str(), ann.key.device), Vec::new()));
    assert_eq!(text(&receipts(&mut stage, &ann)[0], "from"), Jid::lid_device(bob_lid.as_str(), 1).to_string());
}

#[test]
fn request_for_a_retry_reaches_the_one_device_with_all_it_carries() {
    let (mut stage, ann, second, bob) = three();
    let retry = NodeBuilder::new("retry").attr("v", "1").attr("count", "3").attr("id", "A1").build();
    let keys = wire::leaf("registration", [0, 0, 1, 7]);
    stage.receive(&bob, &receipt("retry", &ann.jid(), vec![retry, keys]));
    let got = receipts(&mut stage, &ann);
    assert_eq!(text(got[0].get_optional_child("retry").unwrap(), "count"), "3");
    assert_eq!(wire::child_content(&got[0], "registration").unwrap(), [0, 0, 1, 7]);
    assert!(receipts(&mut stage, &second).is_empty());
}

#[test]
fn reading_on_one_device_is_known_on_the_others() {
    let (mut stage, ann, second, bob) = three();
    let items = NodeBuilder::new("list").children([NodeBuilder::new("item").attr("id", "A2").build()]).build();
    stage.receive(&ann, &receipt("read", &bob.account(), vec![items]));
    assert_eq!(text(&receipts(&mut stage, &bob)[0], "type"), "read");
    let got = receipts(&mut stage, &second);
    let said = ["type", "from", "recipient", "id"].map(|name| text(&got[0], name));
    assert_eq!(said, ["read-self".to_owned(), ann.jid().to_string(), bob.account().to_string(), "A1".to_owned()]);
    assert!(got[0].get_optional_child("list").is_some());
    assert!(receipts(&mut stage, &ann).is_empty());
}

#[test]
fn reading_that_privacy_hides_from_the_peer_is_known_at_home() {
    let (mut stage, ann, second, bob) = three();
    let category = NodeBuilder::new("category").attr("name", "readreceipts").attr("value", "none").build();
    stage.request(&ann, "privacy", "set", NodeBuilder::new("privacy").children([category]).build());
    stage.receive(&ann, &receipt("read", &bob.account(), Vec::new()));
    assert!(receipts(&mut stage, &bob).is_empty());
    assert!(stage.network.receipts_heard(BOB, 0, 10).unwrap().is_empty());
    let got = receipts(&mut stage, &second);
    assert_eq!((got.len(), text(&got[0], "type")), (1, "read-self".to_owned()));
}

#[test]
fn hidden_reading_stays_at_home() {
    let (mut stage, ann, second, bob) = three();
    for kind in ["read-self", "played-self"] {
        stage.receive(&ann, &receipt(kind, &bob.account(), Vec::new()));
        assert!(receipts(&mut stage, &bob).is_empty());
        assert_eq!(text(&receipts(&mut stage, &second)[0], "type"), kind);
    }
}

#[test]
fn server_error_passes_through_to_the_device_it_names() {
    let (mut stage, ann, second, bob) = three();
    let sealed = NodeBuilder::new("encrypt").children([wire::leaf("enc_p", [1, 2, 3])]).build();
    stage.receive(&bob, &receipt("server-error", &ann.jid(), vec![sealed]));
    let got = receipts(&mut stage, &ann);
    assert!(got[0].get_optional_child_by_tag(&["encrypt", "enc_p"]).is_some());
    assert!(receipts(&mut stage, &second).is_empty());
}

#[test]
fn receipt_for_an_absent_sender_waits_for_it() {
    let (mut stage, mut ann, _, bob) = three();
    stage.end(ann.link);
    stage.receive(&bob, &receipt("read", &ann.jid(), Vec::new()));
    stage.connect(&mut ann);
    let got = receipts(&mut stage, &ann);
    assert_eq!((got.len(), text(&got[0], "offline")), (1, "0".to_owned()));
}

#[test]
fn an_ack_for_the_phones_receipt_leaves_the_companions_to_come_again() {
    let (mut stage, mut ann, _, bob) = three();
    stage.network.send_phone_receipt(BOB, &ann.key, "A1", None, Vec::new());
    stage.receive(&bob, &receipt("", &ann.jid(), Vec::new()));
    let got = receipts(&mut stage, &ann);
    assert_eq!(got.len(), 2);
    stage.receive(&ann, &confirmation(&got[0]).unwrap());
    stage.end(ann.link);
    stage.connect(&mut ann);
    let again = receipts(&mut stage, &ann);
    assert_eq!(again.iter().map(|node| text(node, "from")).collect::<Vec<_>>(), [bob.jid().to_string()]);
    stage.receive(&ann, &confirmation(&again[0]).unwrap());
    stage.end(ann.link);
    stage.connect(&mut ann);
    assert!(receipts(&mut stage, &ann).is_empty());
}

#[test]
fn an_ack_after_a_request_for_a_retry_leaves_what_came_instead() {
    let mut rig = Rig::new();
    rig.network.ensure_phone(BOB, Some("Bob")).unwrap();
    let ann = rig.companion(ANN);
    let draft = Draft::read(br#"{"to":"15550001111","text":"hello"}"#).unwrap();
    let id = rig.network.send_draft(BOB, draft).unwrap();
    let first = rig.inbox(&ann);
    let message = first.iter().find(|node| wire::attribute_is(node, "id", &id)).unwrap();
    let from = wire::address(message, "from").unwrap();
    let retry = NodeBuilder::new("retry").attr("count", "1").attr("id", &id).build();
    let request = NodeBuilder::new("receipt").attr("id", &id).attr("to", from).attr("type", "retry").children([retry]);
    rig.send(&ann, &request.build());
    let ack = ack_for(message);
    // The second copy has gone out before the ack for the first one comes.
    assert!(rig.inbox(&ann).iter().any(|node| node.tag == "message" && wire::attribute_is(node, "id", &id)));
    let waiting = rig.unacknowledged(&ann);
    rig.send(&ann, &ack);
    assert_eq!(rig.unacknowledged(&ann), waiting, "the second copy is not confirmed by the ack for the first");
    rig.send(&ann, &ack);
    assert_eq!(rig.unacknowledged(&ann), waiting - 1);
}
