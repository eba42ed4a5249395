//! Messages in groups: who gets them, who can read them, and what happens when somebody cannot.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::whatsapp::Message;

use super::GroupFault;
use super::info::participant_hash;
use super::testing::{ANN, BOB, CYD, Client, DAN, Sim, ack_for, bare, change, code, create, enc, message_node};
use crate::address::{DeviceKey, Space};
use crate::network::CommandFault;
use crate::wire;

fn phone(number: &str) -> DeviceKey {
    DeviceKey::new(number, 0)
}

fn jid(number: &str) -> String {
    format!("{number}@s.whatsapp.net")
}

fn receipt(group: &str, id: &str, participant: Jid, kind: Option<&str>, content: Vec<Node>) -> Node {
    let mut node = NodeBuilder::new("receipt")
        .attr("to", group.parse::<Jid>().unwrap())
        .attr("id", id)
        .attr("participant", participant);
    if let Some(kind) = kind {
        node = node.attr("type", kind);
    }
    if content.is_empty() { node.build() } else { node.children(content).build() }
}

/// Ann with a second device, Bob with one, Cyd with her phone alone; all in one group, with nothing left unread.
fn friends() -> (Sim, Client, Client, Client, String) {
    let mut sim = Sim::with_phones(&[ANN, BOB, CYD]);
    let (ann, tablet, bob) = (sim.link(ANN), sim.link(ANN), sim.link(BOB));
    let group = sim.group(&ann, &[BOB, CYD]);
    sim.skip(&[&ann, &tablet, &bob]);
    (sim, ann, tablet, bob, group)
}

fn everybody(ann: &Client, tablet: &Client, bob: &Client) -> Vec<DeviceKey> {
    vec![phone(ANN), tablet.key.clone(), bob.key.clone(), phone(BOB), phone(CYD), ann.key.clone()]
}

fn others(ann: &Client, tablet: &Client, bob: &Client) -> Vec<DeviceKey> {
    everybody(ann, tablet, bob).into_iter().filter(|key| *key != ann.key).collect()
}

#[test]
fn every_device_of_every_member_gets_a_message_it_can_read() {
    let (mut sim, mut ann, mut tablet, mut bob, group) = friends();
    let keys = others(&ann, &tablet, &bob);
    let ack = sim.say(&mut ann, &group, "M1", "hello", &keys);
    assert_eq!(wire::attribute(&ack, "from").unwrap(), group);
    assert!(wire::attribute_is(&ack, "class", "message") && ack.attrs.get("error").is_none());
    for client in [&mut tablet, &mut bob] {
        let inbox = sim.inbox(client);
        let [message] = inbox.as_slice() else { panic!("{inbox:?}") };
        assert_eq!(wire::attribute(message, "from").unwrap(), group);
        assert!(wire::attribute_is(message, "addressing_mode", "lid"));
        assert_eq!(wire::address(message, "participant").unwrap(), sim.network.jid_of(&ann.key, Space::Lid));
        assert_eq!(wire::address(message, "participant_pn").unwrap(), Jid::pn(ANN));
        assert!(message.get_optional_child("device-identity").is_some());
        assert_eq!(sim.read(client, message).unwrap(), "hello");
    }
    assert!(sim.inbox(&ann).iter().all(|node| node.tag == "receipt"));
    for number in [BOB, CYD] {
        assert_eq!(sim.shown(number, &group), [(jid(ANN), "hello".to_owned())], "{number}");
    }
    // The sender's own phone has it, and shows nothing as received.
    assert!(sim.shown(ANN, &group).is_empty());
    // The next one needs no keys.
    sim.say(&mut ann, &group, "M2", "again", &[]);
    assert_eq!(sim.heard(&mut bob), ["again"]);
    assert_eq!(sim.shown(CYD, &group).len(), 2);
}

#[test]
fn the_journal_has_the_shared_ciphertext_and_the_keys() {
    let (mut sim, mut ann, tablet, bob, group) = friends();
    let keys = others(&ann, &tablet, &bob);
    sim.say(&mut ann, &group, "M1", "hello", &keys);
    let entry = sim.journal.last().unwrap();
    assert_eq!((entry.to.as_str(), entry.id.as_str()), (group.as_str(), "M1"));
    let shared: Vec<_> = entry.enc.iter().filter(|enc| enc.kind == "skmsg").collect();
    assert_eq!(shared.len(), 1);
    assert_eq!(shared[0].to, group);
    assert_eq!(entry.enc.len(), keys.len() + 1);
}

#[test]
fn a_group_addressed_by_number_names_senders_so() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let (mut ann, mut bob) = (sim.link(ANN), sim.link(BOB));
    let mut body = create("By number", &[BOB]);
    body.attrs.insert("addressing_mode", "pn");
    let answer = sim.ask(&ann, "set", "@g.us", body);
    let group = format!("{}@g.us", wire::attribute(answer.get_optional_child("group").unwrap(), "id").unwrap());
    sim.inbox(&bob);
    let key = bob.key.clone();
    sim.say(&mut ann, &group, "M1", "hello", &[key]);
    let inbox = sim.inbox(&bob);
    assert_eq!(wire::address(&inbox[0], "participant").unwrap(), Jid::pn_device(ANN, ann.key.device));
    assert_eq!(wire::address(&inbox[0], "participant_lid").unwrap(), sim.lid(ANN));
    assert_eq!(sim.read(&mut bob, &inbox[0]).unwrap(), "hello");
}

#[test]
fn a_sender_who_counts_on_other_devices_is_told_the_right_hash() {
    let (mut sim, mut ann, tablet, bob, group) = friends();
    let all: Vec<Jid> = everybody(&ann, &tablet, &bob).iter().map(|key| sim.network.jid_of(key, Space::Lid)).collect();
    let right = participant_hash(&all);
    let mut send = |id: &str, hash: &str| {
        let node = message_node(&group, id).attr("phash", hash).children([bare("enc")]).build();
        sim.send(&ann, node)
    };
    assert!(send("M1", &right).attrs.get("phash").is_none());
    assert_eq!(wire::attribute(&send("M2", "2:stale"), "phash").unwrap(), right);
    // A new device changes it.
    sim.link(CYD);
    let ack = sim.send(&ann, message_node(&group, "M3").attr("phash", &right).children([bare("enc")]).build());
    assert_ne!(wire::attribute(&ack, "phash").unwrap(), right);
    assert!(sim.say(&mut ann, &group, "M4", "no hash", &[]).attrs.get("phash").is_none());
}

#[test]
fn those_who_may_not_speak_are_refused() {
    let (mut sim, ann, _, bob, group) = friends();
    sim.network.ensure_phone(DAN, None).unwrap();
    let dan = sim.link(DAN);
    let message = |id: &str, kind: &'static str| message_node(&group, id).attr("type", kind).children([bare("enc")]).build();
    let error = |node: &Node| wire::attribute(node, "error");
    assert_eq!(error(&sim.send(&dan, message("M1", "text"))), Some("403".to_owned()));
    let nowhere = message_node("120363000000000000@g.us", "M2").children([bare("enc")]).build();
    assert_eq!(error(&sim.send(&dan, nowhere)), Some("404".to_owned()));
    sim.ask(&ann, "set", &group, bare("announcement"));
    sim.inbox(&bob);
    assert_eq!(error(&sim.send(&bob, message("M3", "text"))), Some("403".to_owned()));
    assert_eq!(error(&sim.send(&bob, message("M4", "reaction"))), None);
    assert_eq!(error(&sim.send(&ann, message("M5", "text"))), None);
    let about = |id: &str, kind: &'static str, name: &'static str, value: &'static str| {
        let meta = NodeBuilder::new("meta").attr(name, value).build();
        message_node(&group, id).attr("type", kind).children([bare("enc"), meta]).build()
    };
    assert_eq!(error(&sim.send(&bob, about("M6", "poll", "polltype", "vote"))), None);
    assert_eq!(error(&sim.send(&bob, about("M7", "event", "event_type", "response"))), None);
    assert_eq!(error(&sim.send(&bob, about("M8", "poll", "polltype", "creation"))), Some("403".to_owned()));
    assert_eq!(error(&sim.send(&bob, about("M9", "event", "event_type", "creation"))), Some("403".to_owned()));
    let refused = sim.phone_says(BOB, &group, "P1", "let me");
    assert!(matches!(refused, Err(CommandFault::Group(GroupFault::Refused(refusal))) if refusal.code == 403));
    assert!(sim.phone_says(DAN, &group, "P2", "let me").is_err());
    let inbox = sim.inbox(&bob);
    let got: Vec<_> =
        inbox.iter().filter(|node| node.tag == "message").filter_map(|node| wire::attribute(node, "id")).collect();
    assert_eq!(got, ["M5"]);
}

#[test]
fn who_is_out_gets_nothing_even_when_the_sender_does_not_know() {
    let (mut sim, mut ann, tablet, bob, group) = friends();
    sim.ask(&ann, "set", &group, change("remove", &[BOB]));
    sim.inbox(&bob);
    let keys = others(&ann, &tablet, &bob);
    sim.say(&mut ann, &group, "M1", "without bob", &keys);
    assert!(sim.inbox(&bob).is_empty());
    assert!(sim.shown(BOB, &group).is_empty());
    assert_eq!(sim.shown(CYD, &group).len(), 1);
}

#[test]
fn messages_wait_for_who_is_away_in_the_order_of_what_happened() {
    let (mut sim, mut ann, tablet, mut bob, group) = friends();
    sim.disconnect(&bob);
    let keys = others(&ann, &tablet, &bob);
    sim.say(&mut ann, &group, "M1", "first", &keys);
    sim.ask(&ann, "set", &group, wire::leaf("subject", b"Renamed".to_vec()));
    sim.say(&mut ann, &group, "M2", "second", &[]);
    sim.restart();
    sim.connect(&mut bob);
    let inbox = sim.inbox(&bob);
    let tags: Vec<_> = inbox.iter().map(|node| node.tag.to_string()).collect();
    assert_eq!(tags, ["message", "notification", "message"]);
    assert!(inbox.iter().all(|node| node.attrs.get("offline").is_some()));
    assert_eq!(sim.read(&mut bob, &inbox[0]).unwrap(), "first");
    assert_eq!(sim.read(&mut bob, &inbox[2]).unwrap(), "second");
    assert!(sim.record_keys("queue/15550002222").is_empty(), "everything was acknowledged");
}

#[test]
fn receipts_go_to_all_devices_of_the_author_with_who_sent_them() {
    let (mut sim, mut ann, tablet, bob, group) = friends();
    let keys = others(&ann, &tablet, &bob);
    sim.say(&mut ann, &group, "M1", "hello", &keys);
    // The phones of the others have confirmed it already, each in its own name.
    let from_phones: Vec<_> = sim.inbox(&ann).iter().map(|node| wire::address(node, "participant").unwrap()).collect();
    assert_eq!(from_phones, [sim.lid(BOB), sim.lid(CYD)]);
    sim.inbox(&tablet);
    sim.inbox(&bob);
    let author = sim.network.jid_of(&ann.key, Space::Lid);
    let item = NodeBuilder::new("item").attr("id", "M0").build();
    let list = NodeBuilder::new("list").children([item]).build();
    let ack = sim.send(&bob, receipt(&group, "M1", author, Some("read"), vec![list]));
    assert!(wire::attribute_is(&ack, "class", "receipt"));
    for client in [&ann, &tablet] {
        let inbox = sim.inbox(client);
        let [read] = inbox.as_slice() else { panic!("{inbox:?}") };
        assert_eq!(wire::attribute(read, "from").unwrap(), group);
        assert_eq!(wire::address(read, "participant").unwrap(), sim.network.jid_of(&bob.key, Space::Lid));
        assert!(wire::attribute_is(read, "type", "read") && wire::attribute_is(read, "id", "M1"));
        assert!(read.get_optional_child_by_tag(&["list", "item"]).is_some());
    }
    // It also settled what Bob still had to read.
    assert!(sim.queued_messages("queue/15550002222").is_empty());
}

#[test]
fn what_one_device_reads_in_a_group_the_others_of_its_account_learn_once() {
    let (mut sim, ann, tablet, bob, group) = friends();
    let author = sim.network.jid_of(&bob.key, Space::Lid);
    for (id, kind) in [("M1", "read"), ("M2", "read-self")] {
        sim.send(&ann, receipt(&group, id, author.clone(), Some(kind), Vec::new()));
        let inbox = sim.inbox(&tablet);
        let [read] = inbox.as_slice() else { panic!("{inbox:?}") };
        assert!(wire::attribute_is(read, "type", "read-self") && wire::attribute_is(read, "id", id));
        assert_eq!(wire::attribute(read, "from").unwrap(), group);
        assert_eq!(wire::address(read, "participant").unwrap(), sim.network.jid_of(&ann.key, Space::Lid));
        sim.network.receive(sim.network.link_by_device[&tablet.key], &ack_for(read));
        assert_eq!(sim.network.device(&tablet.key).unwrap().queue.len(), 0);
        // Whoever reads in private is not seen by the author.
        let seen: Vec<String> = sim.inbox(&bob).iter().filter_map(|node| wire::attribute(node, "type")).collect();
        assert_eq!(seen, if kind == "read" { vec!["read"] } else { Vec::new() });
    }
    assert_eq!(sim.network.receipts_heard(BOB, 0, 10).unwrap().len(), 1);
}

#[test]
fn a_phone_reads_its_group_once_and_the_author_hears_it() {
    let (mut sim, mut ann, _, _, group) = friends();
    sim.say(&mut ann, &group, "M1", "hello", &[phone(CYD)]);
    sim.inbox(&ann);
    let act: crate::network::ReceiptAct = serde_json::from_value(serde_json::json!({ "message_id": "M1" })).unwrap();
    sim.network.phone_confirms(CYD, &act).unwrap();
    let inbox = sim.inbox(&ann);
    let [read] = inbox.as_slice() else { panic!("{inbox:?}") };
    assert!(wire::attribute_is(read, "type", "read"));
    let heard = sim.network.receipts_heard(ANN, 0, 10).unwrap();
    assert!(heard.iter().any(|receipt| receipt.kind == "read" && receipt.chat == group && receipt.from == jid(CYD)));
    assert!(sim.network.messages_of(CYD, false, 0, 10).unwrap().iter().all(|message| message.read));
}

#[test]
fn an_ack_settles_the_receipt_of_one_member_only() {
    let (mut sim, mut ann, _, _, group) = friends();
    sim.say(&mut ann, &group, "M1", "hello", &[phone(ANN), phone(BOB), phone(CYD)]);
    let waiting = sim.network.pull_nodes(sim.network.link_by_device[&ann.key], 10);
    assert_eq!(waiting.len(), 2);
    let link = sim.network.link_by_device[&ann.key];
    sim.network.receive(link, &ack_for(&waiting[0]));
    sim.settle();
    let prefix = format!("queue/{ANN}/{}/", ann.key.device);
    assert_eq!(sim.record_keys(&prefix).len(), 1);
    sim.network.receive(link, &ack_for(&waiting[1]));
    sim.settle();
    assert!(sim.record_keys(&prefix).is_empty());
}

#[test]
fn a_phone_speaks_so_that_everybody_can_read_it() {
    let (mut sim, mut ann, mut tablet, mut bob, group) = friends();
    sim.phone_says(CYD, &group, "P1", "hello from a phone").unwrap();
    for client in [&mut ann, &mut tablet, &mut bob] {
        assert_eq!(sim.heard(client), ["hello from a phone"]);
    }
    for number in [ANN, BOB] {
        assert_eq!(sim.shown(number, &group), [(jid(CYD), "hello from a phone".to_owned())]);
    }
    sim.phone_says(CYD, &group, "P2", "once more").unwrap();
    let inbox = sim.inbox(&bob);
    assert_eq!(inbox[0].get_children_by_tag("enc").count(), 1, "the key goes out once");
    assert_eq!(sim.read(&mut bob, &inbox[0]).unwrap(), "once more");
}

#[test]
fn a_phone_gives_its_key_to_who_comes_and_takes_a_new_one_when_somebody_goes() {
    let (mut sim, ann, _, mut bob, group) = friends();
    sim.phone_says(CYD, &group, "P1", "one").unwrap();
    assert_eq!(sim.heard(&mut bob), ["one"]);
    sim.network.ensure_phone(DAN, None).unwrap();
    let mut dan = sim.link(DAN);
    sim.ask(&ann, "set", &group, change("add", &[DAN]));
    sim.inbox(&dan);
    sim.phone_says(CYD, &group, "P2", "two").unwrap();
    assert_eq!(sim.heard(&mut dan), ["two"]);
    sim.ask(&ann, "set", &group, change("remove", &[DAN]));
    sim.restart();
    sim.connect(&mut bob);
    sim.inbox(&bob);
    sim.phone_says(CYD, &group, "P3", "three").unwrap();
    let inbox = sim.inbox(&bob);
    assert_eq!(inbox[0].get_children_by_tag("enc").count(), 2, "a new key went out");
    // Had Dan overheard it, his key would not open it.
    let mut overheard = inbox[0].clone();
    let shared: Vec<Node> =
        overheard.get_children_by_tag("enc").filter(|enc| wire::attribute_is(enc, "type", "skmsg")).cloned().collect();
    overheard.content = NodeBuilder::new("message").children(shared).build().content;
    assert!(sim.read(&mut dan, &overheard).is_err());
    assert_eq!(sim.read(&mut bob, &inbox[0]).unwrap(), "three");
}

#[test]
fn a_phone_that_lacks_the_key_asks_and_reads_what_is_sent_again() {
    let (mut sim, mut ann, tablet, bob, group) = friends();
    let keys: Vec<DeviceKey> = others(&ann, &tablet, &bob).into_iter().filter(|key| *key != phone(CYD)).collect();
    sim.say(&mut ann, &group, "M1", "hello", &keys);
    assert!(sim.shown(CYD, &group).is_empty());
    let inbox = sim.inbox(&ann);
    let retry = inbox.iter().find(|node| wire::attribute_is(node, "type", "retry")).expect("a retry receipt");
    assert_eq!(wire::attribute(retry, "from").unwrap(), group);
    assert_eq!(wire::address(retry, "participant").unwrap(), sim.lid(CYD));
    assert!(wire::attribute_is(retry.get_optional_child("retry").unwrap(), "count", "1"));
    assert!(retry.get_optional_child_by_tag(&["keys", "key"]).is_some());
    // The client sends the message to that phone alone.
    let message = Message { conversation: Some("hello".to_owned()), ..Message::default() };
    let sealed = sim.seal(&mut ann, &phone(CYD), &message);
    let mut again = enc(&sealed);
    again.attrs.insert("count", "1");
    let directed = message_node(&group, "M1").attr("participant", sim.lid(CYD)).children([again]).build();
    assert!(sim.send(&ann, directed).attrs.get("error").is_none());
    assert_eq!(sim.shown(CYD, &group), [(jid(ANN), "hello".to_owned())]);
    assert_eq!(sim.shown(BOB, &group).len(), 1);
}

#[test]
fn a_phone_does_not_ask_for_ever() {
    let (mut sim, ann, _, _, group) = friends();
    let mut counts = Vec::new();
    for round in 0..8_u32 {
        let mut noise = NodeBuilder::new("enc").attr("type", "msg").attr("v", "2").bytes(vec![0x33; 80]).build();
        noise.attrs.insert("count", round);
        let directed = message_node(&group, "M1").attr("participant", sim.lid(CYD)).children([noise]).build();
        sim.send(&ann, directed);
        let inbox = sim.inbox(&ann);
        let retry = inbox.first().and_then(|node| node.get_optional_child("retry"));
        counts.extend(retry.and_then(|retry| wire::attribute(retry, "count")));
    }
    assert_eq!(counts, ["1", "2", "3", "4", "5"]);
}

#[test]
fn a_client_that_lacks_a_phones_key_gets_the_message_with_the_key() {
    let (mut sim, _, _, mut bob, group) = friends();
    sim.phone_says(CYD, &group, "P1", "one").unwrap();
    // The client loses what it was given.
    sim.inbox(&bob);
    let retry = NodeBuilder::new("retry").attr("count", "1").attr("id", "P1").attr("v", "1").build();
    sim.send(&bob, receipt(&group, "P1", sim.lid(CYD), Some("retry"), vec![retry]));
    let inbox = sim.inbox(&bob);
    let [again] = inbox.as_slice() else { panic!("{inbox:?}") };
    assert!(wire::attribute_is(again, "id", "P1"));
    let sealed = again.get_optional_child("enc").unwrap();
    assert!(wire::attribute_is(sealed, "type", "pkmsg") && wire::attribute_is(sealed, "count", "1"));
    assert_eq!(sim.read(&mut bob, again).unwrap(), "one");
    // The key was in it.
    sim.phone_says(CYD, &group, "P2", "two").unwrap();
    assert_eq!(sim.heard(&mut bob), ["two"]);
    // Too often is too often.
    let retry = NodeBuilder::new("retry").attr("count", "6").attr("id", "P1").attr("v", "1").build();
    sim.send(&bob, receipt(&group, "P1", sim.lid(CYD), Some("retry"), vec![retry]));
    assert!(sim.inbox(&bob).is_empty());
}

#[test]
fn a_client_is_asked_by_another_client_through_the_group() {
    let (mut sim, mut ann, tablet, bob, group) = friends();
    let keys = others(&ann, &tablet, &bob);
    sim.say(&mut ann, &group, "M1", "hello", &keys);
    sim.inbox(&ann);
    let retry = NodeBuilder::new("retry").attr("count", "1").attr("id", "M1").attr("v", "1").build();
    let author = sim.network.jid_of(&ann.key, Space::Lid);
    sim.send(&bob, receipt(&group, "M1", author, Some("retry"), vec![retry]));
    let inbox = sim.inbox(&ann);
    let asked = inbox.iter().find(|node| wire::attribute_is(node, "type", "retry")).unwrap();
    assert_eq!(wire::address(asked, "participant").unwrap(), sim.network.jid_of(&bob.key, Space::Lid));
    assert!(
        !sim.inbox(&tablet).iter().any(|node| wire::attribute_is(node, "type", "retry")),
        "only the device that sent it"
    );
}

#[test]
fn strangers_send_no_receipts_into_a_group() {
    let (mut sim, ann, _, _, group) = friends();
    sim.network.ensure_phone(DAN, None).unwrap();
    let dan = sim.link(DAN);
    let author = sim.network.jid_of(&ann.key, Space::Lid);
    sim.send(&dan, receipt(&group, "M1", author, Some("read"), Vec::new()));
    assert!(sim.inbox(&ann).is_empty());
}

#[test]
fn typing_is_seen_by_the_other_members_who_are_there() {
    let (mut sim, ann, _, bob, group) = friends();
    let typing =
        NodeBuilder::new("chatstate").attr("to", group.parse::<Jid>().unwrap()).children([bare("composing")]).build();
    let seen = sim.send_unanswered(&ann, &typing);
    let [(who, state)] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!(*who, bob.key);
    assert_eq!(wire::attribute(state, "from").unwrap(), group);
    assert_eq!(wire::address(state, "participant").unwrap(), sim.lid(ANN));
    assert!(state.get_optional_child("composing").is_some());
    // Phones that have no companion see it as well.
    let on_phone = sim.network.chat_states_seen(CYD, 0, 10).unwrap();
    let [state] = on_phone.as_slice() else { panic!("{} states", on_phone.len()) };
    assert_eq!(
        (state.chat.as_str(), state.from.as_str(), state.state.as_str()),
        (group.as_str(), jid(ANN).as_str(), "composing")
    );
    sim.ask(&ann, "set", &group, change("remove", &[BOB]));
    assert!(sim.send_unanswered(&bob, &typing).is_empty());
}

#[test]
fn what_travels_beside_a_message_reaches_the_members() {
    let (mut sim, ann, _, bob, group) = friends();
    // As wacore 0.7.0 marks a change of a member's label, which is a message like any other.
    let meta = NodeBuilder::new("meta").attr("appdata", "member_tag").attr("tag_reason", "user_update").build();
    let node = message_node(&group, "M1").attr("edit", "1").children([bare("enc"), meta]).build();
    sim.send(&ann, node);
    let inbox = sim.inbox(&bob);
    assert!(wire::attribute_is(&inbox[0], "edit", "1"));
    assert!(wire::attribute_is(inbox[0].get_optional_child("meta").unwrap(), "appdata", "member_tag"));
}

#[test]
fn a_text_reaches_a_group_through_the_control_api_in_any_spelling_of_its_address() {
    let (mut sim, mut ann, _, _, group) = friends();
    let id = sim.network.send_text(CYD, &group, "hello", None).unwrap();
    sim.settle();
    let inbox = sim.inbox(&ann);
    assert_eq!(wire::attribute(&inbox[0], "id").unwrap(), id);
    assert_eq!(sim.read(&mut ann, &inbox[0]).unwrap(), "hello");
    let nowhere = sim.network.send_text(CYD, "120363000000000000@g.us", "hello", None);
    assert!(matches!(nowhere, Err(CommandFault::Group(GroupFault::NoGroup(_)))));
}

#[test]
fn the_control_api_acts_under_the_rules_of_the_group() {
    let mut sim = Sim::with_phones(&[ANN, BOB, CYD]);
    let body =
        serde_json::json!({ "subject": "Friends", "participants": [ANN, format!("+{BOB}")], "description": "of old" });
    let made = sim.network.create_group_by_command(serde_json::from_value(body).unwrap()).unwrap();
    let group = made["jid"].as_str().unwrap().to_owned();
    let shown = sim.network.group_by_command(&group).unwrap();
    assert_eq!(shown["description"], "of old");
    let admins: Vec<_> = shown["participants"].as_array().unwrap().iter().map(|member| member["admin"].clone()).collect();
    assert_eq!(admins, [true, false]);
    let mut act = |body: serde_json::Value| sim.network.act_in_group(&group, &serde_json::from_value(body).unwrap());
    let added = act(serde_json::json!({ "by": ANN, "action": "add", "numbers": [CYD] })).unwrap();
    assert_eq!(added["results"][0]["status"], "200");
    assert!(act(serde_json::json!({ "by": BOB, "action": "remove", "numbers": [CYD] })).is_err());
    act(serde_json::json!({ "by": CYD, "action": "leave" })).unwrap();
    act(serde_json::json!({ "by": CYD, "action": "join" })).unwrap();
    assert!(act(serde_json::json!({ "by": CYD, "action": "dance" })).is_err());
    let mut patch = |body: serde_json::Value| sim.network.patch_group(&group, &serde_json::from_value(body).unwrap());
    let changed = patch(serde_json::json!({
        "by": ANN, "subject": "Foes", "description": "", "locked": true, "announcement": true,
        "ephemeral_s": 86_400, "approval": true, "growth_locked_s": 60,
    }))
    .unwrap();
    assert_eq!((changed["subject"].as_str(), changed["ephemeral_s"].as_u64()), (Some("Foes"), Some(86_400)));
    assert!(changed["description"].is_null());
    assert_eq!(
        (&changed["locked"], &changed["approval"], &changed["growth_locked"]),
        (&true.into(), &true.into(), &true.into())
    );
    assert!(patch(serde_json::json!({ "by": BOB, "subject": "Mine" })).is_err());
    assert!(patch(serde_json::json!({ "subject": "Nobody's" })).is_err());
    assert_eq!(sim.network.groups().as_array().unwrap().len(), 1);
    let ann = sim.link(ANN);
    assert_eq!(code(&sim.ask(&ann, "get", &group, bare("membership_approval_requests"))), 200);
}
