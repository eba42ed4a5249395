//! What a group is called and allows, and who may change that.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::create::{DESCRIPTION_CHARS_MAX, SUBJECT_CHARS_MAX};
use super::info::participant_hash;
use super::testing::{ANN, BOB, Client, Sim, bare, change, code, create, query};
use crate::wire;

fn subject(text: &str) -> Node {
    wire::leaf("subject", text.as_bytes())
}

fn description(id: &str, prev: Option<&str>, text: &str) -> Node {
    let mut node = NodeBuilder::new("description").attr("id", id);
    if let Some(prev) = prev {
        node = node.attr("prev", prev);
    }
    node.children([wire::leaf("body", text.as_bytes())]).build()
}

fn approval(state: &str) -> Node {
    let join = NodeBuilder::new("group_join").attr("state", state).build();
    NodeBuilder::new("membership_approval_mode").children([join]).build()
}

/// Two people in a group, the first of them its owner; nothing is left unread.
fn pair() -> (Sim, Client, Client, String) {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let group = sim.group(&ann, &[BOB]);
    sim.inbox(&ann);
    sim.inbox(&bob);
    (sim, ann, bob, group)
}

fn info(sim: &mut Sim, client: &Client, group: &str) -> Node {
    sim.ask(client, "get", group, query()).get_optional_child("group").unwrap().clone()
}

#[test]
fn a_new_name_is_told_with_who_gave_it() {
    let (mut sim, ann, bob, group) = pair();
    sim.pass_s(60);
    assert_eq!(code(&sim.ask(&bob, "set", &group, subject("Old friends"))), 200);
    let news = sim.news(&ann);
    assert!(wire::attribute_is(&news[0].1, "subject", "Old friends"));
    assert_eq!(wire::address(&news[0].1, "s_o").unwrap(), sim.lid(BOB));
    let shown = info(&mut sim, &ann, &group);
    assert!(wire::attribute_is(&shown, "subject", "Old friends"));
    assert_eq!(wire::address(&shown, "s_o").unwrap(), sim.lid(BOB));
    assert_eq!(wire::attribute(&shown, "s_t"), wire::attribute(&news[0].1, "s_t"));
    assert_ne!(wire::attribute(&shown, "s_t"), wire::attribute(&shown, "creation"));
}

#[test]
fn names_and_descriptions_have_a_length() {
    let (mut sim, ann, _, group) = pair();
    assert_eq!(code(&sim.ask(&ann, "set", &group, subject(&"ä".repeat(SUBJECT_CHARS_MAX)))), 200);
    assert_eq!(code(&sim.ask(&ann, "set", &group, subject(&"ä".repeat(SUBJECT_CHARS_MAX + 1)))), 406);
    assert_eq!(code(&sim.ask(&ann, "set", &group, subject(" "))), 400);
    assert_eq!(code(&sim.ask(&ann, "set", "@g.us", create(&"x".repeat(SUBJECT_CHARS_MAX + 1), &[]))), 406);
    let long = description("1", None, &"x".repeat(DESCRIPTION_CHARS_MAX + 1));
    assert_eq!(code(&sim.ask(&ann, "set", &group, long)), 406);
    let longest = description("1", None, &"x".repeat(DESCRIPTION_CHARS_MAX));
    assert_eq!(code(&sim.ask(&ann, "set", &group, longest)), 200);
}

#[test]
fn nobody_overwrites_a_description_they_have_not_seen() {
    let (mut sim, ann, bob, group) = pair();
    assert_eq!(code(&sim.ask(&ann, "set", &group, description("A", Some("?"), "first"))), 409);
    assert_eq!(code(&sim.ask(&ann, "set", &group, description("A", None, "first"))), 200);
    assert_eq!(code(&sim.ask(&bob, "set", &group, description("B", None, "second"))), 409);
    assert_eq!(code(&sim.ask(&bob, "set", &group, description("B", Some("A"), "second"))), 200);
    let news = sim.news(&ann);
    assert_eq!(news.len(), 2);
    assert_eq!(wire::child_content(&news[1].1, "body").unwrap(), b"second");
    let shown = info(&mut sim, &ann, &group);
    let kept = shown.get_optional_child("description").unwrap();
    assert!(wire::attribute_is(kept, "id", "B"));
    assert_eq!(wire::address(kept, "participant").unwrap(), sim.lid(BOB));
    let delete = NodeBuilder::new("description").attr("delete", "true").attr("prev", "B").build();
    assert_eq!(code(&sim.ask(&ann, "set", &group, delete)), 200);
    assert!(sim.news(&bob).last().unwrap().1.get_optional_child("delete").is_some());
    assert!(info(&mut sim, &ann, &group).get_optional_child("description").is_none());
}

#[test]
fn a_locked_group_is_changed_by_admins_alone() {
    let (mut sim, ann, bob, group) = pair();
    assert_eq!(code(&sim.ask(&bob, "set", &group, bare("locked"))), 403);
    assert_eq!(code(&sim.ask(&ann, "set", &group, bare("locked"))), 200);
    assert_eq!(sim.told(&bob), ["locked"]);
    let jid = group.parse().unwrap();
    assert_eq!([ANN, BOB].map(|who| sim.network.may_edit_group(&jid, who)), [Some(true), Some(false)]);
    for body in [subject("Mine"), description("A", None, "mine"), bare("not_ephemeral")] {
        assert_eq!(code(&sim.ask(&bob, "set", &group, body)), 403);
    }
    assert!(info(&mut sim, &bob, &group).get_optional_child("locked").is_some());
    assert_eq!(code(&sim.ask(&ann, "set", &group, bare("unlocked"))), 200);
    assert_eq!(code(&sim.ask(&bob, "set", &group, subject("Ours"))), 200);
}

#[test]
fn each_flag_is_told_by_the_element_that_set_it() {
    let (mut sim, ann, bob, group) = pair();
    let flags = [
        ("announcement", "not_announcement"),
        ("locked", "unlocked"),
        ("no_frequently_forwarded", "frequently_forwarded_ok"),
        ("allow_admin_reports", "not_allow_admin_reports"),
        ("group_history", "no_group_history"),
    ];
    for (on, off) in flags {
        sim.ask(&ann, "set", &group, bare(on));
        assert!(info(&mut sim, &bob, &group).get_optional_child(on).is_some(), "{on}");
        sim.ask(&ann, "set", &group, bare(off));
        assert!(info(&mut sim, &bob, &group).get_optional_child(on).is_none(), "{off}");
        assert_eq!(sim.told(&bob), [on, off]);
        assert_eq!(code(&sim.ask(&bob, "set", &group, bare(on))), 403, "{on}");
    }
}

#[test]
fn the_timer_of_messages_is_kept_with_its_trigger() {
    let (mut sim, ann, bob, group) = pair();
    let timer = |seconds: &str| NodeBuilder::new("ephemeral").attr("expiration", seconds).attr("trigger", "1").build();
    assert_eq!(code(&sim.ask(&bob, "set", &group, timer("86400"))), 200);
    let news = sim.news(&ann);
    assert!(wire::attribute_is(&news[0].1, "expiration", "86400"));
    let shown = info(&mut sim, &ann, &group);
    let kept = shown.get_optional_child("ephemeral").unwrap();
    assert!(wire::attribute_is(kept, "expiration", "86400") && wire::attribute_is(kept, "trigger", "1"));
    for wrong in ["-1", "4294967295", "x"] {
        assert_eq!(code(&sim.ask(&ann, "set", &group, timer(wrong))), 400, "{wrong}");
    }
    assert_eq!(code(&sim.ask(&ann, "set", &group, bare("not_ephemeral"))), 200);
    assert_eq!(sim.told(&bob), ["ephemeral", "not_ephemeral"]);
    assert!(info(&mut sim, &ann, &group).get_optional_child("ephemeral").is_none());
}

#[test]
fn the_approval_mode_shows_only_while_it_is_on() {
    let (mut sim, ann, bob, group) = pair();
    assert_eq!(code(&sim.ask(&bob, "set", &group, approval("on"))), 403);
    sim.ask(&ann, "set", &group, approval("on"));
    assert!(info(&mut sim, &bob, &group).get_optional_child_by_tag(&["membership_approval_mode", "group_join"]).is_some());
    sim.ask(&ann, "set", &group, approval("off"));
    assert!(info(&mut sim, &bob, &group).get_optional_child("membership_approval_mode").is_none());
    let news = sim.news(&bob);
    let states: Vec<_> =
        news.iter().map(|(_, change)| wire::attribute(change.get_optional_child("group_join").unwrap(), "state")).collect();
    assert_eq!(states, [Some("on".to_owned()), Some("off".to_owned())]);
}

#[test]
fn what_a_group_begins_with_is_read_from_its_creation() {
    let mut sim = Sim::with_phones(&[ANN]);
    let ann = sim.link(ANN);
    // As wacore 0.7.0 `build_create_group_node` writes it.
    let body = NodeBuilder::new("create").attr("subject", "Set up").children([
        NodeBuilder::new("member_link_mode").string_content("all_member_link").build(),
        NodeBuilder::new("member_add_mode").string_content("admin_add").build(),
        NodeBuilder::new("ephemeral").attr("expiration", "604800").build(),
        approval("on"),
        description("D1", None, "what it is about"),
    ]);
    let answer = sim.ask(&ann, "set", "@g.us", body.build());
    let group = answer.get_optional_child("group").unwrap();
    assert_eq!(wire::child_content(group, "member_link_mode").unwrap(), b"all_member_link");
    assert_eq!(wire::child_content(group, "member_add_mode").unwrap(), b"admin_add");
    assert!(wire::attribute_is(group.get_optional_child("ephemeral").unwrap(), "expiration", "604800"));
    assert!(group.get_optional_child("membership_approval_mode").is_some());
    assert!(wire::attribute_is(group.get_optional_child("description").unwrap(), "id", "D1"));
}

#[test]
fn a_client_that_knows_the_members_is_told_nothing_new() {
    let (mut sim, ann, bob, group) = pair();
    let hash = participant_hash(&[sim.lid(ANN), sim.lid(BOB)]);
    let asks = |hash: &str| NodeBuilder::new("query").attr("request", "interactive").attr("phash", hash).build();
    assert!(sim.ask(&bob, "get", &group, asks(&hash)).get_optional_child("group").is_none());
    assert!(sim.ask(&bob, "get", &group, asks("2:aaaaaaaa")).get_optional_child("group").is_some());
    sim.ask(&ann, "set", &group, change("remove", &[BOB]));
    assert!(sim.ask(&ann, "get", &group, asks(&hash)).get_optional_child("group").is_some());
}

#[test]
fn settings_that_go_by_json_belong_to_the_admins_too() {
    let (mut sim, ann, bob, group) = pair();
    let payload = |update: &str| format!(r#"{{"variables":{{"group_id":"{group}","update":{update}}}}}"#).into_bytes();
    let query = "9418211574894172";
    let open = payload(r#"{"member_link_mode":"ALL_MEMBER_LINK"}"#);
    let refused = sim.network.answer_group_mex(&bob.key, query, &open).unwrap();
    assert_eq!(refused.pointer("/errors/0/extensions/error_code").unwrap(), 403);
    let done = sim.network.answer_group_mex(&ann.key, query, &open).unwrap();
    assert_eq!(done.pointer("/data/xwa2_group_update_property/state").unwrap(), "ACTIVE");
    assert_eq!(code(&sim.ask(&bob, "get", &group, bare("invite"))), 200);
    let limit = payload(r#"{"limit_sharing":{"limit_sharing_enabled":true,"limit_sharing_trigger":"CHAT_SETTING"}}"#);
    sim.network.answer_group_mex(&ann.key, query, &limit).unwrap();
    assert!(info(&mut sim, &bob, &group).get_optional_child("limit_sharing_enabled").is_some());
    assert!(sim.network.answer_group_mex(&ann.key, "1", &limit).is_none());
}

#[test]
fn strangers_change_nothing() {
    let (mut sim, _, _, group) = pair();
    sim.network.ensure_phone("15559998888", None).unwrap();
    let stranger = sim.link("15559998888");
    for body in [subject("Mine"), bare("locked"), bare("announcement"), change("add", &[ANN]), bare("invite"), bare("ack")] {
        assert_eq!(code(&sim.ask(&stranger, "set", &group, body.clone())), 403, "{body:?}");
        assert_eq!(code(&sim.ask(&stranger, "set", "120363000000000000@g.us", body.clone())), 404, "{body:?}");
    }
}
