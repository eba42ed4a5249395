//! Settings, blocklists, and what follows from them.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::super::test_network::{ANN, BOB, Client, EVE, TestNetwork};
use crate::wire;

fn set(test: &mut TestNetwork, client: &Client, name: &str, value: &str) -> Node {
    let category = NodeBuilder::new("category").attr("name", name).attr("value", value).build();
    test.ask(client, "set", "privacy", vec![NodeBuilder::new("privacy").children([category]).build()])
}

fn get(test: &mut TestNetwork, client: &Client) -> Vec<(String, String)> {
    let answer = test.ask(client, "get", "privacy", vec![NodeBuilder::new("privacy").build()]);
    let privacy = answer.get_optional_child("privacy").unwrap();
    let text = |node: &Node, name: &str| wire::attribute(node, name).unwrap();
    privacy.get_children_by_tag("category").map(|node| (text(node, "name"), text(node, "value"))).collect()
}

fn error(answer: &Node) -> Option<String> {
    wire::attribute(answer.get_optional_child("error")?, "code")
}

fn block(test: &mut TestNetwork, client: &Client, action: &str, number: &str) -> Node {
    let mut item = NodeBuilder::new("item").attr("action", action).attr("jid", test.lid(number));
    if action == "block" {
        item = item.attr("pn_jid", test.jid(number));
    }
    test.ask(client, "set", "blocklist", vec![item.build()])
}

#[test]
fn every_category_is_there_and_keeps_what_it_is_set_to() {
    let mut test = TestNetwork::new();
    let (ann, other) = (test.link(ANN), test.link(ANN));
    test.news(&ann);
    let names: Vec<String> = get(&mut test, &ann).into_iter().map(|(name, _)| name).collect();
    let known = ["last", "online", "profile", "status", "groupadd", "readreceipts", "calladd", "messages", "defense"];
    assert_eq!(names, known);
    let values =
        ["none", "match_last_seen", "contacts", "contact_blacklist", "none", "none", "known", "contacts", "on_standard"];
    for (name, value) in known.iter().zip(values) {
        let answer = set(&mut test, &ann, name, value);
        let category = answer.get_optional_child_by_tag(&["privacy", "category"]).unwrap();
        assert!(wire::attribute_is(category, "value", value), "{name}");
    }
    let heard = test.notices(&other, "account_sync");
    assert_eq!(heard.len(), known.len());
    assert!(heard[0].get_optional_child_by_tag(&["privacy", "category"]).is_some());
    assert!(test.news(&ann).is_empty(), "the device that did it knows");

    let mut test = test.restarted();
    let ann = test.connect(&ann.key);
    let kept: Vec<String> = get(&mut test, &ann).into_iter().map(|(_, value)| value).collect();
    assert_eq!(kept, values);
}

#[test]
fn value_that_a_category_does_not_have_is_refused() {
    let mut test = TestNetwork::new();
    let ann = test.link(ANN);
    for (name, value) in [("last", "everyone"), ("readreceipts", "contacts"), ("online", "none"), ("shoe_size", "all")] {
        assert_eq!(error(&set(&mut test, &ann, name, value)).as_deref(), Some("400"), "{name}={value}");
    }
    assert!(get(&mut test, &ann).iter().all(|(_, value)| value == "all" || value == "off"));
}

#[test]
fn list_of_the_left_out_changes_only_for_those_who_have_seen_it() {
    let mut test = TestNetwork::new();
    let ann = test.link(ANN);
    let leave_out = |test: &mut TestNetwork, number: &str, action: &str, dhash: &str| {
        let user = NodeBuilder::new("user")
            .attr("action", action)
            .attr("jid", test.lid(number))
            .attr("pn_jid", test.jid(number))
            .build();
        let category = NodeBuilder::new("category")
            .attr("name", "profile")
            .attr("value", "contact_blacklist")
            .attr("dhash", dhash)
            .children([user])
            .build();
        let privacy = NodeBuilder::new("privacy").attr("addressing_mode", "lid").children([category]).build();
        test.ask(&ann, "set", "privacy", vec![privacy])
    };
    let answer = leave_out(&mut test, BOB, "add", "none");
    let category = answer.get_optional_child_by_tag(&["privacy", "category"]).unwrap();
    let dhash = wire::attribute(category, "dhash").unwrap();
    assert_eq!(error(&leave_out(&mut test, EVE, "add", "none")).as_deref(), Some("409"));
    assert!(error(&leave_out(&mut test, EVE, "add", &dhash)).is_none());

    let list = NodeBuilder::new("list").attr("name", "profile").attr("value", "contact_blacklist").build();
    let answer = test.ask(&ann, "get", "privacy", vec![NodeBuilder::new("privacy").children([list]).build()]);
    let list = answer.get_optional_child_by_tag(&["privacy", "list"]).unwrap();
    let users: Vec<String> = list.get_children_by_tag("user").map(|user| wire::attribute(user, "pn_jid").unwrap()).collect();
    assert_eq!(users, [test.jid(BOB), test.jid(EVE)]);
    assert_ne!(wire::attribute(list, "dhash").unwrap(), dhash);
}

#[test]
fn about_text_is_shown_to_those_it_is_meant_for() {
    let mut test = TestNetwork::new();
    let (ann, bob, eve) = (test.link(ANN), test.link(BOB), test.link(EVE));
    let about = NodeBuilder::new("status").bytes("busy".as_bytes()).build();
    test.ask(&ann, "set", "status", vec![about]);
    let seen_by = |test: &mut TestNetwork, client: &Client| {
        let user = NodeBuilder::new("user").attr("jid", test.jid(ANN)).build();
        let answer = test.ask(client, "get", "status", vec![NodeBuilder::new("status").children([user]).build()]);
        let user = answer.get_optional_child_by_tag(&["status", "user"]).unwrap().clone();
        wire::attribute(&user, "code").is_none().then(|| String::from_utf8_lossy(wire::content(&user).unwrap()).into_owned())
    };
    assert_eq!(seen_by(&mut test, &eve).as_deref(), Some("busy"));
    set(&mut test, &ann, "status", "contacts");
    assert_eq!(seen_by(&mut test, &bob), None);
    // Whom Ann has written to is one of her contacts.
    let to = test.jid(BOB);
    test.send(&ann, &to, Vec::new());
    assert_eq!(seen_by(&mut test, &bob).as_deref(), Some("busy"));
    assert_eq!(seen_by(&mut test, &eve), None);
    set(&mut test, &ann, "status", "none");
    assert_eq!(seen_by(&mut test, &bob), None);
    assert_eq!(seen_by(&mut test, &ann).as_deref(), Some("busy"));
}

fn presence(test: &mut TestNetwork, client: &Client, kind: &str) {
    test.say(client, &NodeBuilder::new("presence").attr("type", kind).build());
}

fn subscribe(test: &mut TestNetwork, client: &Client, number: &str) -> Vec<Node> {
    let node = NodeBuilder::new("presence").attr("type", "subscribe").attr("to", test.jid(number)).build();
    test.take_sent(client.link);
    test.say(client, &node);
    test.take_sent(client.link)
}

#[test]
fn last_seen_and_online_are_hidden_each_by_its_own_setting() {
    let mut test = TestNetwork::new();
    let (ann, bob) = (test.link(ANN), test.link(BOB));
    set(&mut test, &ann, "last", "none");
    let shown = subscribe(&mut test, &bob, ANN);
    assert!(wire::attribute_is(&shown[0], "last", "deny"));
    presence(&mut test, &ann, "available");
    assert!(wire::attribute_is(&test.take_sent(bob.link)[0], "type", "available"));
    set(&mut test, &ann, "online", "match_last_seen");
    presence(&mut test, &ann, "unavailable");
    presence(&mut test, &ann, "available");
    assert!(test.take_sent(bob.link).is_empty());
    set(&mut test, &ann, "last", "all");
    presence(&mut test, &ann, "unavailable");
    assert!(wire::attribute(&test.take_sent(bob.link)[0], "last").unwrap().parse::<u64>().is_ok());
    // Nobody sees from others what he does not show.
    set(&mut test, &bob, "last", "none");
    presence(&mut test, &ann, "available");
    test.take_sent(bob.link);
    presence(&mut test, &ann, "unavailable");
    assert!(wire::attribute_is(&test.take_sent(bob.link)[0], "last", "deny"));
}

#[test]
fn read_receipts_are_kept_back_when_either_side_has_none() {
    let mut test = TestNetwork::new();
    let (ann, bob) = (test.link(ANN), test.link(BOB));
    let receipts = |test: &mut TestNetwork| {
        for kind in [None, Some("read")] {
            let mut receipt = NodeBuilder::new("receipt").attr("id", "M1").attr("to", test.jid(BOB));
            if let Some(kind) = kind {
                receipt = receipt.attr("type", kind);
            }
            test.say(&ann, &receipt.build());
        }
        let news = test.network.pull_nodes(bob.link, 100);
        for node in &news {
            let mut ack = NodeBuilder::new("ack").attr("class", "receipt").attr("id", "M1");
            ack = ack.attr("to", wire::attribute(node, "from").unwrap());
            if let Some(kind) = wire::attribute(node, "type") {
                ack = ack.attr("type", kind);
            }
            test.say(&bob, &ack.build());
        }
        news.len()
    };
    assert_eq!(receipts(&mut test), 2);
    set(&mut test, &bob, "readreceipts", "none");
    assert_eq!(receipts(&mut test), 1);
    set(&mut test, &bob, "readreceipts", "all");
    set(&mut test, &ann, "readreceipts", "none");
    assert_eq!(receipts(&mut test), 1);
}

#[test]
fn who_may_add_to_groups_is_the_accounts_choice() {
    let mut test = TestNetwork::new();
    let ann = test.link(ANN);
    assert!(test.network.may_be_added_by(ANN, EVE));
    set(&mut test, &ann, "groupadd", "contacts");
    assert!(!test.network.may_be_added_by(ANN, EVE));
    test.network.set_contact(ANN, EVE, true);
    assert!(test.network.may_be_added_by(ANN, EVE));
    set(&mut test, &ann, "groupadd", "none");
    assert!(!test.network.may_be_added_by(ANN, EVE));
    assert!(test.network.may_be_added_by(ANN, ANN));
}

#[test]
fn blocked_sender_gets_an_ack_and_reaches_nobody() {
    let mut test = TestNetwork::new();
    let (ann, other, eve) = (test.link(ANN), test.link(ANN), test.link(EVE));
    test.news(&ann);
    assert!(error(&block(&mut test, &ann, "block", EVE)).is_none());
    let heard = test.notices(&other, "account_sync");
    let item = heard[0].get_optional_child_by_tag(&["blocklist", "item"]).unwrap();
    assert!(wire::attribute_is(item, "action", "block") && wire::attribute_is(item, "jid", &test.lid(EVE)));

    let to = test.jid(ANN);
    let ack = test.send(&eve, &to, Vec::new());
    assert!(wire::attribute(&ack, "error").is_none());
    test.network.send_text(EVE, ANN, "let me in", None).unwrap();
    assert!(test.news(&ann).is_empty() && test.news(&other).is_empty());
    assert!(test.network.received(ANN, 0, 10).unwrap().is_empty());

    // Neither sees the other online or typing.
    assert!(subscribe(&mut test, &eve, ANN).is_empty());
    assert!(subscribe(&mut test, &ann, EVE).is_empty());
    let typing = NodeBuilder::new("chatstate").attr("to", &to).children([NodeBuilder::new("composing").build()]).build();
    test.say(&eve, &typing);
    assert!(test.take_sent(ann.link).is_empty());

    assert!(error(&block(&mut test, &ann, "unblock", EVE)).is_none());
    test.send(&eve, &to, Vec::new());
    assert_eq!(test.news(&ann).len(), 1);
}

#[test]
fn blocklist_is_kept_and_names_both_addresses() {
    let mut test = TestNetwork::new();
    let ann = test.link(ANN);
    block(&mut test, &ann, "block", BOB);
    block(&mut test, &ann, "block", EVE);
    let mut test = test.restarted();
    let ann = test.connect(&ann.key);
    let answer = test.ask(&ann, "get", "blocklist", Vec::new());
    let list = answer.get_optional_child("list").unwrap();
    let jids: Vec<String> = list.get_children_by_tag("item").map(|item| wire::attribute(item, "jid").unwrap()).collect();
    assert_eq!(jids, [test.lid(BOB), test.lid(EVE)]);
    let dhash = wire::attribute(list, "dhash").unwrap();
    let seen = NodeBuilder::new("item").attr("dhash", &dhash).build();
    let answer = test.ask(&ann, "get", "blocklist", vec![seen]);
    let list = answer.get_optional_child("list").unwrap();
    assert!(wire::attribute_is(list, "matched", "true") && list.get_children_by_tag("item").count() == 0);
}

#[test]
fn block_by_number_alone_or_of_oneself_is_refused() {
    let mut test = TestNetwork::new();
    let ann = test.link(ANN);
    let by_number = NodeBuilder::new("item").attr("action", "block").attr("jid", test.jid(BOB)).build();
    let without_number = NodeBuilder::new("item").attr("action", "block").attr("jid", test.lid(BOB)).build();
    for item in [by_number, without_number] {
        assert_eq!(error(&test.ask(&ann, "set", "blocklist", vec![item])).as_deref(), Some("400"));
    }
    assert_eq!(error(&block(&mut test, &ann, "block", ANN)).as_deref(), Some("400"));
    let stranger = NodeBuilder::new("item").attr("action", "unblock").attr("jid", "999999999999999@lid").build();
    assert_eq!(error(&test.ask(&ann, "set", "blocklist", vec![stranger])).as_deref(), Some("404"));
}
