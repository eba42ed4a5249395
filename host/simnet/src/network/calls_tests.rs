//! Calls between clients and phones.

use serde_json::{Value, json};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::call_phones::CallAct;
use super::test_rig::{Companion, Rig, ack_for};
use crate::address::{DeviceKey, Space};
use crate::wire;

const ANN: &str = "15550001111";
const BOB: &str = "15550002222";

fn calls(rig: &Rig, number: &str) -> Value {
    serde_json::to_value(rig.network.calls_of(number).unwrap()).unwrap()
}

fn action(call: &Node) -> &Node {
    &wire::children(call)[0]
}

/// What a client does in the call that it got an offer for.
fn answer(offer: &Node, tag: &'static str, id: &str) -> Node {
    let from = wire::address(offer, "from").unwrap();
    let offered = action(offer);
    let action = NodeBuilder::new(tag)
        .attr("call-id", wire::attribute(offered, "call-id").unwrap())
        .attr("call-creator", wire::address(offered, "call-creator").unwrap());
    NodeBuilder::new("call").attr("to", from).attr("id", id).children([action.build()]).build()
}

fn ring(rig: &mut Rig, number: &str) -> (String, Companion, Companion) {
    let (first, second) = (rig.companion(number), rig.companion(number));
    rig.network.ensure_phone(ANN, Some("Ann")).unwrap();
    let id = rig.network.call_by_phone(ANN, number, true).unwrap();
    (id, first, second)
}

#[test]
fn phones_call_rings_on_every_companion_and_a_rejection_is_seen() {
    let mut rig = Rig::new();
    let (id, first, second) = ring(&mut rig, BOB);
    let offers = rig.inbox(&first);
    assert_eq!(offers.len(), 1);
    let offer = &offers[0];
    assert_eq!(offer.tag, "call");
    let ann = DeviceKey::new(ANN, 0);
    assert_eq!(wire::address(offer, "from").unwrap(), rig.network.jid_of(&ann, Space::Lid));
    assert!(offer.attrs.get("t").is_some() && wire::attribute_is(offer, "notify", "Ann"));
    let offered = action(offer);
    assert_eq!(offered.tag, "offer");
    assert_eq!(wire::attribute(offered, "call-id").unwrap(), id);
    assert_eq!(wire::address(offered, "caller_pn").unwrap(), rig.network.jid_of(&ann, Space::Number));
    let tags: Vec<_> = wire::children(offered).iter().map(|child| child.tag.to_string()).collect();
    assert_eq!(tags, ["audio", "audio", "video", "net", "capability", "enc", "encopt"]);
    rig.send(&first, &ack_for(offer));
    assert_eq!(rig.unacknowledged(&first), 0);
    assert_eq!(calls(&rig, ANN)[0]["state"], "ringing");
    let acks = rig.send(&first, &answer(offer, "reject", "C1"));
    assert!(wire::attribute_is(&acks[0], "class", "call") && wire::attribute_is(&acks[0], "type", "reject"));
    let seen = calls(&rig, ANN);
    assert_eq!((&seen[0]["state"], &seen[0]["video"]), (&json!("rejected"), &json!(true)));
    assert_eq!(seen[0]["answered_by"], rig.network.jid_of(&first.key, Space::Number).to_string());
    let other = rig.inbox(&second);
    let end = action(other.last().unwrap());
    assert!(end.tag == "terminate" && wire::attribute_is(end, "reason", "rejected_elsewhere"));
}

#[test]
fn call_that_nobody_answers_ends_by_itself_and_is_missed() {
    let mut rig = Rig::new();
    let (_, first, second) = ring(&mut rig, BOB);
    rig.inbox(&first);
    rig.wait(59_000);
    assert!(rig.inbox(&first).is_empty());
    rig.wait(1_000);
    for companion in [&first, &second] {
        let got = rig.inbox(companion);
        assert!(wire::attribute_is(action(got.last().unwrap()), "reason", "timeout"));
    }
    let seen = calls(&rig, BOB);
    assert_eq!((&seen[0]["state"], &seen[0]["reason"]), (&json!("missed"), &json!("timeout")));
}

#[test]
fn accepted_call_can_be_hung_up_and_is_remembered_after_a_restart() {
    let mut rig = Rig::new();
    let (id, first, _) = ring(&mut rig, BOB);
    let offer = rig.inbox(&first).remove(0);
    rig.send(&first, &answer(&offer, "accept", "C1"));
    assert_eq!(calls(&rig, ANN)[0]["state"], "accepted");
    rig.network.act_in_call(ANN, &id, CallAct::HangUp).unwrap();
    assert_eq!(action(&rig.inbox(&first)[0]).tag, "terminate");
    assert!(rig.network.act_in_call(ANN, &id, CallAct::HangUp).is_err());
    let before = calls(&rig, ANN);
    assert_eq!(before[0]["state"], "ended");
    rig.restart();
    assert_eq!(calls(&rig, ANN), before);
}

#[test]
fn clients_call_rings_the_phone_whose_user_may_answer() {
    let mut rig = Rig::new();
    let ann = rig.companion(ANN);
    let bob = rig.companion(BOB);
    let enc = |text: &str| NodeBuilder::new("enc").attr("v", "2").attr("type", "msg").bytes(text.as_bytes()).build();
    let place = |key: &DeviceKey, rig: &Rig, text: &str| {
        NodeBuilder::new("to").attr("jid", rig.network.jid_of(key, Space::Lid)).children([enc(text)]).build()
    };
    let destination = NodeBuilder::new("destination")
        .children([place(&DeviceKey::new(BOB, 0), &rig, "phone"), place(&bob.key, &rig, "companion")])
        .build();
    let offer = NodeBuilder::new("offer")
        .attr("call-id", "CALL1")
        .attr("call-creator", rig.network.jid_of(&ann.key, Space::Lid))
        .children([destination])
        .build();
    let bob_lid = rig.network.jid_of(&DeviceKey::new(BOB, 0), Space::Lid);
    let call = NodeBuilder::new("call").attr("to", bob_lid).attr("id", "C1").children([offer]).build();
    let acks = rig.send(&ann, &call);
    assert!(wire::attribute_is(&acks[0], "type", "offer") && acks[0].attrs.get("error").is_none());
    // Of the sealed keys each device gets its own.
    let got = rig.inbox(&bob);
    let offered = action(&got[0]);
    assert_eq!(wire::child_content(offered, "enc").unwrap(), b"companion");
    assert!(offered.get_optional_child("destination").is_none());
    let ringing = NodeBuilder::new("receipt").attr("to", wire::address(&got[0], "from").unwrap()).attr("id", "C1");
    let rings = NodeBuilder::new("offer").attr("call-id", "CALL1").build();
    rig.send(&bob, &ringing.children([rings]).build());
    let heard = rig.inbox(&ann);
    assert!(heard[0].tag == "receipt" && heard[0].get_optional_child("offer").is_some());
    rig.network.act_in_call(BOB, "CALL1", CallAct::Accept).unwrap();
    let accepted = rig.inbox(&ann);
    assert_eq!(action(&accepted[0]).tag, "accept");
    assert_eq!(calls(&rig, BOB)[0]["state"], "accepted");
    assert!(rig.network.act_in_call(BOB, "CALL1", CallAct::Reject).is_err());
}

#[test]
fn busy_device_does_not_speak_for_the_others() {
    let mut rig = Rig::new();
    let (_, first, second) = ring(&mut rig, BOB);
    let offer = rig.inbox(&first).remove(0);
    rig.inbox(&second);
    let mut busy = answer(&offer, "reject", "C1");
    let Some(wacore_binary::NodeContent::Nodes(children)) = &mut busy.content else { panic!("a reject has an action") };
    children[0].attrs.insert("reason", "busy");
    rig.send(&first, &busy);
    assert_eq!(calls(&rig, ANN)[0]["state"], "ringing");
    assert!(rig.inbox(&second).is_empty());
}

#[test]
fn offer_to_nobody_and_requests_to_the_call_service_are_answered() {
    let mut rig = Rig::new();
    let ann = rig.companion(ANN);
    let ask = |rig: &mut Rig, to: &str, action: Node| {
        let call = NodeBuilder::new("call").attr("to", to).attr("id", "C1").children([action]).build();
        rig.send(&ann, &call).remove(0)
    };
    let offer = NodeBuilder::new("offer").attr("call-id", "CALL1").build();
    assert!(wire::attribute_is(&ask(&mut rig, "15559999999@s.whatsapp.net", offer), "error", "404"));
    let link = ask(&mut rig, "@call", NodeBuilder::new("link_create").attr("media", "video").build());
    assert!(wire::attribute_is(&link, "type", "link_create"));
    let token = wire::attribute(link.get_optional_child("link_create").unwrap(), "token").unwrap();
    let query = NodeBuilder::new("link_query").attr("token", token).attr("media", "video").build();
    let found = ask(&mut rig, "@call", query);
    let found = found.get_optional_child("link_query").unwrap();
    assert_eq!(wire::attribute(found, "link_creator_pn").unwrap(), format!("{ANN}@s.whatsapp.net"));
    let unknown = NodeBuilder::new("link_query").attr("token", "x").build();
    assert!(wire::attribute_is(&ask(&mut rig, "@call", unknown), "error", "404"));
}
