//! Questions about users.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::buffa::Message as _;
use waproto::whatsapp::VerifiedNameCertificate;
use waproto::whatsapp::verified_name_certificate::Details;

use super::super::PersonCommand;
use super::super::test_network::{ANN, BOB, Client, TestNetwork};
use crate::wire;

fn query(test: &mut TestNetwork, client: &Client, protocols: Vec<Node>, users: Vec<Node>) -> Vec<Node> {
    let query = NodeBuilder::new("query").children(protocols).build();
    let list = NodeBuilder::new("list").children(users).build();
    let usync = NodeBuilder::new("usync").attr("sid", "s1").attr("mode", "query").children([query, list]).build();
    let answer = test.ask(client, "get", "usync", vec![usync]);
    let usync = answer.get_optional_child("usync").unwrap();
    assert!(wire::attribute_is(usync, "sid", "s1"));
    usync.get_optional_child("list").unwrap().children().unwrap_or_default().to_vec()
}

fn protocol(tag: &'static str) -> Node {
    NodeBuilder::new(tag).build()
}

fn by_jid(jid: &str) -> Node {
    NodeBuilder::new("user").attr("jid", jid).build()
}

fn by_text(text: &str) -> Node {
    let contact = NodeBuilder::new("contact").string_content(text).build();
    NodeBuilder::new("user").children([contact]).build()
}

#[test]
fn numbers_are_in_out_or_none() {
    let mut test = TestNetwork::new();
    let bob = test.link(BOB);
    let users = vec![by_text("+15550001111"), by_text("+19998887777"), by_text("no number")];
    let found = query(&mut test, &bob, vec![protocol("contact"), protocol("lid")], users);
    let kinds: Vec<String> =
        found.iter().map(|user| wire::attribute(user.get_optional_child("contact").unwrap(), "type").unwrap()).collect();
    assert_eq!(kinds, ["in", "out", "invalid"]);
    assert!(wire::attribute_is(&found[0], "jid", &test.jid(ANN)));
    assert!(wire::attribute_is(found[0].get_optional_child("lid").unwrap(), "val", &test.lid(ANN)));
    assert!(wire::attribute_is(&found[1], "jid", "19998887777@s.whatsapp.net"));
    assert!(wire::attribute(&found[2], "jid").is_none());
}

#[test]
fn whoever_is_asked_for_by_lid_is_answered_with_his_number() {
    let mut test = TestNetwork::new();
    let bob = test.link(BOB);
    let users = vec![by_jid(&test.lid(ANN)), by_jid("999999999999999@lid"), by_jid("19998887777@s.whatsapp.net")];
    let found = query(&mut test, &bob, vec![protocol("lid")], users);
    assert_eq!(found.len(), 1, "one who is not here is left out, or he would be taken to be");
    assert!(wire::attribute_is(&found[0], "jid", &test.lid(ANN)) && wire::attribute_is(&found[0], "pn_jid", &test.jid(ANN)));

    let wanted = NodeBuilder::new("contact").attr("addressing_mode", "lid").build();
    let found = query(&mut test, &bob, vec![wanted], vec![by_text("+15550001111")]);
    assert!(wire::attribute_is(&found[0], "jid", &test.lid(ANN)) && wire::attribute_is(&found[0], "pn_jid", &test.jid(ANN)));
    let user = NodeBuilder::new("user").attr("pn_jid", test.jid(ANN)).build();
    let found = query(&mut test, &bob, vec![protocol("lid")], vec![user]);
    assert!(wire::attribute_is(&found[0], "jid", &test.lid(ANN)));
}

#[test]
fn devices_are_left_out_for_whoever_knows_their_hash() {
    let mut test = TestNetwork::new();
    let (_, bob) = (test.link(ANN), test.link(BOB));
    let devices = || NodeBuilder::new("devices").attr("version", "2").build();
    let jid = test.jid(ANN);
    let found = query(&mut test, &bob, vec![devices()], vec![by_jid(&jid)]);
    let list = found[0].get_optional_child_by_tag(&["devices", "device-list"]).unwrap();
    assert_eq!(list.get_children_by_tag("device").count(), 2);
    assert!(found[0].get_optional_child_by_tag(&["devices", "key-index-list"]).is_some());
    let hash = wire::attribute(list, "hash").unwrap();
    let lid = test.lid(ANN);
    let hinted = |jid: &str, hash: &str| {
        let hint = NodeBuilder::new("devices").attr("device_hash", hash).attr("ts", "1").build();
        NodeBuilder::new("user").attr("jid", jid).children([hint]).build()
    };
    assert!(query(&mut test, &bob, vec![devices()], vec![hinted(&jid, &hash), hinted(&lid, &hash)]).is_empty());
    let found = query(&mut test, &bob, vec![devices(), protocol("lid")], vec![hinted(&jid, &hash)]);
    assert!(found[0].get_optional_child("devices").is_none() && found[0].get_optional_child("lid").is_some());

    test.link(ANN);
    let found = query(&mut test, &bob, vec![devices()], vec![hinted(&jid, &hash)]);
    let list = found[0].get_optional_child_by_tag(&["devices", "device-list"]).unwrap();
    assert_eq!(list.get_children_by_tag("device").count(), 3);
}

#[test]
fn profile_protocols_show_what_there_is() {
    let mut test = TestNetwork::new();
    let (_, bob) = (test.link(ANN), test.link(BOB));
    let all =
        || ["status", "picture", "business", "username", "text_status", "disappearing_mode", "bot"].map(protocol).to_vec();
    let jid = test.jid(ANN);
    let found = query(&mut test, &bob, all(), vec![by_jid(&jid)]);
    let tags: Vec<&str> = found[0].children().unwrap().iter().map(|node| node.tag.as_ref()).collect();
    assert_eq!(tags, ["status", "disappearing_mode"]);

    let changes: PersonCommand = serde_json::from_value(serde_json::json!({
        "about": "busy", "picture": "/9j/4AAQ", "business_name": "Ann's Bikes", "username": "ann", "text_status": "away",
    }))
    .unwrap();
    test.network.change_person_by_command(ANN, &changes).unwrap();
    let found = query(&mut test, &bob, all(), vec![by_jid(&jid)]);
    let child = |tag: &str| found[0].get_optional_child(tag).unwrap();
    assert_eq!(wire::content(child("status")).unwrap(), b"busy");
    assert!(wire::attribute(child("picture"), "id").unwrap().parse::<u64>().is_ok());
    assert_eq!(wire::content(child("username")).unwrap(), b"ann");
    assert!(wire::attribute_is(child("text_status"), "text", "away"));
    let certificate = wire::content(child("business").get_optional_child("verified_name").unwrap()).unwrap();
    let certificate = VerifiedNameCertificate::decode_from_slice(certificate).unwrap();
    let details = Details::decode_from_slice(&certificate.details.unwrap()).unwrap();
    assert_eq!(details.verified_name.as_deref(), Some("Ann's Bikes"));

    let contact = NodeBuilder::new("contact").attr("username", "ann").build();
    let user = NodeBuilder::new("user").children([contact]).build();
    let found = query(&mut test, &bob, vec![protocol("contact")], vec![user]);
    assert!(wire::attribute_is(&found[0], "jid", &test.lid(ANN)));

    let hide: PersonCommand =
        serde_json::from_value(serde_json::json!({ "privacy": { "status": "none", "profile": "none" } })).unwrap();
    test.network.change_person_by_command(ANN, &hide).unwrap();
    let found = query(&mut test, &bob, vec![protocol("status"), protocol("picture")], vec![by_jid(&jid)]);
    assert!(wire::attribute_is(found[0].get_optional_child("status").unwrap(), "code", "401"));
    assert!(found[0].get_optional_child("picture").is_none());
}

#[test]
fn address_book_of_a_client_makes_contacts() {
    let mut test = TestNetwork::new();
    let bob = test.link(BOB);
    let listed = |test: &mut TestNetwork, kind: &str| {
        let contact = NodeBuilder::new("contact").attr("type", kind).build();
        let user = NodeBuilder::new("user").attr("jid", test.jid(ANN)).children([contact]).build();
        query(test, &bob, vec![protocol("contact")], vec![user]);
        test.network.is_contact(BOB, ANN)
    };
    assert!(listed(&mut test, "add"));
    assert!(!listed(&mut test, "remove"));
}
