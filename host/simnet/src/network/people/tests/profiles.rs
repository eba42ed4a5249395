//! Pictures, about texts, timers and names.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::super::PersonCommand;
use super::super::test_network::{ANN, BOB, Client, EVE, TestNetwork};
use crate::wire;

const IMAGE: [u8; 6] = [0xff, 0xd8, 0xff, 0xe0, 0x00, 0x10];

fn set_picture(test: &mut TestNetwork, client: &Client, image: &[u8]) -> Node {
    let picture = NodeBuilder::new("picture").attr("type", "image").bytes(image).build();
    test.ask(client, "set", "w:profile:picture", vec![picture])
}

fn get_picture(test: &mut TestNetwork, client: &Client, target: &str, kind: &str) -> Node {
    let picture = NodeBuilder::new("picture").attr("type", kind).attr("query", "url").build();
    test.ask_about(client, "get", "w:profile:picture", Some(target), vec![picture])
}

fn code(answer: &Node) -> Option<String> {
    wire::attribute(answer.get_optional_child("error")?, "code")
}

fn command(json: serde_json::Value) -> PersonCommand {
    serde_json::from_value(json).unwrap()
}

#[test]
fn picture_is_served_where_the_answer_says() {
    let mut test = TestNetwork::new();
    let (ann, bob) = (test.link(ANN), test.link(BOB));
    let own = test.network.address_text(&ann.key);
    assert_eq!(code(&get_picture(&mut test, &ann, &own, "preview")).as_deref(), Some("404"));

    test.network.take_outbox();
    let picture = NodeBuilder::new("picture").attr("type", "image").bytes(IMAGE).build();
    let request = NodeBuilder::new("iq").attr("id", "1").attr("type", "set").attr("xmlns", "w:profile:picture");
    test.network.receive(ann.link, &request.children([picture]).build());
    let blob = test.network.take_outbox().blobs.remove(0);
    assert_eq!(blob.bytes, IMAGE[..]);

    let target = test.jid(ANN);
    for (client, kind) in [(&ann, "preview"), (&bob, "image"), (&bob, "preview")] {
        let answer = get_picture(&mut test, client, &target, kind);
        let found = answer.get_optional_child("picture").unwrap();
        assert!(wire::attribute_is(found, "direct_path", &blob.path) && wire::attribute_is(found, "type", kind));
        let url = wire::attribute(found, "url").unwrap();
        assert!(url.starts_with("https://") && url.ends_with(&blob.path));
    }
    let id = wire::attribute(get_picture(&mut test, &bob, &target, "image").get_optional_child("picture").unwrap(), "id");
    let known = NodeBuilder::new("picture").attr("type", "image").attr("query", "url").attr("id", id.unwrap()).build();
    let answer = test.ask_about(&bob, "get", "w:profile:picture", Some(&target), vec![known]);
    assert!(answer.get_optional_child("picture").unwrap().attrs.is_empty(), "the client has this one already");
}

#[test]
fn new_and_removed_pictures_are_told_to_own_devices_and_acquaintances() {
    let mut test = TestNetwork::new();
    let (ann, bob, eve) = (test.link(ANN), test.link(BOB), test.link(EVE));
    let to = test.jid(BOB);
    test.send(&ann, &to, Vec::new());
    test.news(&bob);

    let first = set_picture(&mut test, &ann, &IMAGE);
    let first = wire::attribute(first.get_optional_child("picture").unwrap(), "id").unwrap();
    for client in [&ann, &bob] {
        let heard = test.notices(client, "picture");
        let change = heard[0].get_optional_child("set").unwrap();
        assert!(wire::attribute_is(change, "jid", &test.jid(ANN)) && wire::attribute_is(change, "id", &first));
    }
    assert!(test.news(&eve).is_empty());
    let second = set_picture(&mut test, &ann, &[1]);
    assert!(!wire::attribute_is(second.get_optional_child("picture").unwrap(), "id", &first));
    test.news(&bob);

    let answer = test.ask(&ann, "set", "w:profile:picture", Vec::new());
    assert!(wire::attribute_is(&answer, "type", "result"));
    let heard = test.notices(&bob, "picture");
    assert!(heard[0].get_optional_child("delete").is_some());
    let target = test.jid(ANN);
    assert_eq!(code(&get_picture(&mut test, &bob, &target, "image")).as_deref(), Some("404"));
}

#[test]
fn hidden_picture_is_refused_and_its_change_is_not_told() {
    let mut test = TestNetwork::new();
    let (ann, bob) = (test.link(ANN), test.link(BOB));
    let to = test.jid(ANN);
    test.send(&bob, &to, Vec::new());
    test.network
        .change_person_by_command(ANN, &command(serde_json::json!({ "privacy": { "profile": "contacts" } })))
        .unwrap();
    set_picture(&mut test, &ann, &IMAGE);
    assert_eq!(code(&get_picture(&mut test, &bob, &to, "image")).as_deref(), Some("401"));
    assert!(test.notices(&bob, "picture").is_empty());
    test.network.change_person_by_command(ANN, &command(serde_json::json!({ "contacts": [BOB] }))).unwrap();
    assert!(code(&get_picture(&mut test, &bob, &to, "image")).is_none());
}

#[test]
fn nobody_changes_the_picture_of_another_account_or_of_a_group_he_is_not_in() {
    let mut test = TestNetwork::new();
    let bob = test.link(BOB);
    let picture = || vec![NodeBuilder::new("picture").attr("type", "image").bytes(IMAGE).build()];
    let target = test.jid(ANN);
    let answer = test.ask_about(&bob, "set", "w:profile:picture", Some(&target), picture());
    assert_eq!(code(&answer).as_deref(), Some("401"));
    let answer = test.ask_about(&bob, "set", "w:profile:picture", Some("120363000000000001@g.us"), picture());
    assert_eq!(code(&answer).as_deref(), Some("404"));
    let huge = vec![NodeBuilder::new("picture").bytes(vec![0; 3 * 1024 * 1024]).build()];
    assert_eq!(code(&test.ask(&bob, "set", "w:profile:picture", huge)).as_deref(), Some("406"));
}

#[test]
fn about_text_reaches_acquaintances_and_those_who_are_online() {
    let mut test = TestNetwork::new();
    let (ann, bob, eve) = (test.link(ANN), test.link(BOB), test.link(EVE));
    let to = test.jid(BOB);
    test.send(&ann, &to, Vec::new());
    test.news(&bob);
    let status = NodeBuilder::new("status").string_content("Hello 🌍").build();
    test.take_sent(eve.link);
    test.ask(&ann, "set", "status", vec![status]);
    let queued = test.notices(&bob, "status");
    let sent = test.take_sent(eve.link);
    for notice in [&queued[0], &sent[0]] {
        assert!(wire::attribute_is(notice, "from", &test.jid(ANN)));
        let set = notice.get_optional_child("set").unwrap();
        assert_eq!(wire::content(set).unwrap(), "Hello 🌍".as_bytes());
    }
    let long = NodeBuilder::new("status").string_content("a".repeat(140)).build();
    assert_eq!(code(&test.ask(&ann, "set", "status", vec![long])).as_deref(), Some("406"));
    let longest = NodeBuilder::new("status").string_content("ä".repeat(139)).build();
    assert!(code(&test.ask(&ann, "set", "status", vec![longest])).is_none());
    let empty = NodeBuilder::new("status").build();
    assert!(code(&test.ask(&ann, "set", "status", vec![empty])).is_none());
    assert_eq!(test.network.about(ANN).0, "");
}

#[test]
fn timer_for_new_chats_is_kept_and_told() {
    let mut test = TestNetwork::new();
    let (ann, other, bob) = (test.link(ANN), test.link(ANN), test.link(BOB));
    let to = test.jid(BOB);
    test.send(&ann, &to, Vec::new());
    test.news(&bob);
    let mode = NodeBuilder::new("disappearing_mode").attr("duration", "604800").build();
    test.ask(&ann, "set", "disappearing_mode", vec![mode]);
    for (client, kind) in [(&other, "account_sync"), (&bob, "disappearing_mode")] {
        let heard = test.notices(client, kind);
        let mode = heard.last().unwrap().get_optional_child("disappearing_mode").unwrap();
        assert!(wire::attribute_is(mode, "duration", "604800") && wire::attribute(mode, "t").unwrap() != "0");
    }
    let mut test = test.restarted();
    let ann = test.connect(&ann.key);
    let answer = test.ask(&ann, "get", "disappearing_mode", Vec::new());
    assert!(wire::attribute_is(answer.get_optional_child("disappearing_mode").unwrap(), "duration", "604800"));
    let endless = NodeBuilder::new("disappearing_mode").attr("duration", "99999999").build();
    assert_eq!(code(&test.ask(&ann, "set", "disappearing_mode", vec![endless])).as_deref(), Some("400"));
}

#[test]
fn owner_of_a_phone_changes_what_others_see() {
    let mut test = TestNetwork::new();
    let (ann, bob) = (test.link(ANN), test.link(BOB));
    let changes = command(serde_json::json!({
        "name": "Anna", "about": "on holiday", "username": "ann.a", "business_name": "Ann's Bikes",
        "picture": "/9j/4AAQ", "text_status": "away", "block": [EVE],
    }));
    test.network.change_person_by_command("+15550001111", &changes).unwrap();
    assert!(wire::attribute_is(&test.notices(&ann, "account_sync")[0], "pushname", "Anna"));
    test.network.send_text(ANN, BOB, "hi", None).unwrap();
    let news = test.news(&bob);
    assert!(news.iter().any(|node| node.tag == "message" && wire::attribute_is(node, "notify", "Anna")));
    assert!(test.network.has_blocked(ANN, EVE));
    assert_eq!(test.network.business_name(ANN), Some("Ann's Bikes"));
    assert_eq!(test.network.number_of_username("ann.a"), Some(ANN));

    let taken = command(serde_json::json!({ "username": "ann.a" }));
    assert!(test.network.change_person_by_command(BOB, &taken).is_err());
    for refused in [
        serde_json::json!({ "about": "a".repeat(140) }),
        serde_json::json!({ "privacy": { "last": "friends" } }),
        serde_json::json!({ "block": ["15559999999"] }),
        serde_json::json!({ "picture": "not base64" }),
    ] {
        assert!(test.network.change_person_by_command(ANN, &command(refused.clone())).is_err(), "{refused}");
    }
    let half_good = command(serde_json::json!({ "username": "anna", "about": "gone", "privacy": { "last": "friends" } }));
    assert!(test.network.change_person_by_command(ANN, &half_good).is_err());
    assert_eq!((test.network.number_of_username("anna"), test.network.about(ANN).0), (None, "on holiday"));
    assert!(serde_json::from_value::<PersonCommand>(serde_json::json!({ "shoe_size": 42 })).is_err());
}
