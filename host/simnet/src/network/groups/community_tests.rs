//! Communities: what they begin with, which groups belong to them, and who is in what.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::model::Place;
use super::testing::{ANN, BOB, CYD, Client, DAN, Sim, bare, change, code, create, message_node, numbers, query, results};
use crate::wire;

fn community(general: bool) -> Node {
    let mut children = vec![bare("parent")];
    if general {
        children.push(bare("create_general_chat"));
    }
    NodeBuilder::new("create").attr("subject", "Village").children(children).build()
}

fn id_of(jid: &str) -> &str {
    jid.strip_suffix("@g.us").unwrap()
}

fn new_community(sim: &mut Sim, client: &Client, general: bool) -> String {
    let answer = sim.ask(client, "set", "@g.us", community(general));
    format!("{}@g.us", wire::attribute(answer.get_optional_child("group").unwrap(), "id").unwrap())
}

fn link(jids: &[&str]) -> Node {
    let groups = jids.iter().map(|jid| NodeBuilder::new("group").attr("jid", jid.parse::<Jid>().unwrap()).build());
    let link = NodeBuilder::new("link").attr("link_type", "sub_group").children(groups.collect::<Vec<_>>()).build();
    NodeBuilder::new("links").children([link]).build()
}

fn unlink(jid: &str, orphans: bool) -> Node {
    let mut group = NodeBuilder::new("group").attr("jid", jid.parse::<Jid>().unwrap());
    if orphans {
        group = group.attr("remove_orphaned_members", "true");
    }
    NodeBuilder::new("unlink").attr("unlink_type", "sub_group").children([group.build()]).build()
}

fn errors(answer: &Node, path: &[&str]) -> Vec<Option<String>> {
    let list = answer.get_optional_child_by_tag(path).unwrap();
    list.get_children_by_tag("group").map(|group| wire::attribute(group, "error")).collect()
}

fn of(jid: &str, tag: &'static str) -> Node {
    NodeBuilder::new(tag).attr("jid", jid.parse::<Jid>().unwrap()).build()
}

fn mex(sim: &mut Sim, client: &Client, query: &str, variables: &serde_json::Value) -> serde_json::Value {
    let payload = serde_json::json!({ "variables": variables }).to_string();
    sim.network.answer_group_mex(&client.key, query, payload.as_bytes()).unwrap()
}

#[test]
fn a_community_begins_with_announcements_and_a_general_chat() {
    let mut sim = Sim::with_phones(&[ANN]);
    let ann = sim.link(ANN);
    let village = new_community(&mut sim, &ann, true);
    let answer = sim.ask(&ann, "get", &village, query());
    for tag in ["group", "community"] {
        assert!(answer.get_optional_child_by_tag(&[tag, "parent"]).is_some(), "{tag}");
    }
    let news = sim.news(&ann);
    assert_eq!(news.len(), 3);
    assert!(news.iter().all(|(_, change)| change.tag == "create"));
    let variables = serde_json::json!({ "group_id": village });
    let answer = mex(&mut sim, &ann, "9935467776504344", &variables);
    let found = &answer["data"]["xwa2_group_query_by_id"];
    assert_eq!(found["default_sub_group"]["subject"]["value"], "Village");
    assert_eq!(found["sub_groups"]["edges"].as_array().unwrap().len(), 1);
    assert_eq!(found["sub_groups"]["edges"][0]["node"]["properties"]["general_chat"], "true");
    let announcements = found["default_sub_group"]["id"].as_str().unwrap();
    let seen = sim.ask(&ann, "get", announcements, query());
    let seen = seen.get_optional_child("group").unwrap();
    assert!(seen.get_optional_child("default_sub_group").is_some() && seen.get_optional_child("announcement").is_some());
    assert_eq!(wire::attribute(seen.get_optional_child("linked_parent").unwrap(), "jid").unwrap(), village);
    // The parent is no place to talk.
    let ack = sim.send(&ann, message_node(&village, "M1").children([bare("enc")]).build());
    assert!(wire::attribute_is(&ack, "error", "405"));
}

#[test]
fn communities_are_listed_among_groups_and_apart() {
    let mut sim = Sim::with_phones(&[ANN]);
    let ann = sim.link(ANN);
    new_community(&mut sim, &ann, false);
    sim.group(&ann, &[]);
    let participating = NodeBuilder::new("participating").children([bare("participants"), bare("description")]).build();
    let answer = sim.ask(&ann, "get", "@g.us", participating);
    assert_eq!(wire::children(answer.get_optional_child("groups").unwrap()).len(), 3);
    let apart = wire::children(answer.get_optional_child("communities").unwrap());
    assert_eq!(apart.len(), 1);
    assert_eq!(apart[0].tag, "community");
    assert_eq!(numbers(&apart[0]), [ANN]);
}

#[test]
fn a_linked_group_brings_its_members_into_the_community() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let village = new_community(&mut sim, &ann, false);
    let club = sim.group(&ann, &[BOB]);
    sim.inbox(&bob);
    let answer = sim.ask(&ann, "set", &village, link(&[&club, "120363000000000000@g.us", &club]));
    let expected = [None, Some("404".to_owned()), Some("409".to_owned())];
    assert_eq!(errors(&answer, &["links", "link"]), expected);
    let told = sim.news(&bob);
    let tags: Vec<_> = told.iter().map(|(_, change)| change.tag.to_string()).collect();
    assert_eq!(tags, ["create", "create", "link", "link"]);
    assert!(wire::attribute_is(&told[2].1, "link_type", "sub_group"));
    assert!(wire::attribute_is(&told[3].1, "link_type", "parent_group"));
    let named = told[3].1.get_optional_child("group").unwrap();
    assert_eq!(wire::attribute(named, "jid").unwrap(), village);
    let subgroups = sim.ask(&bob, "get", &village, bare("sub_groups"));
    assert_eq!(wire::children(subgroups.get_optional_child("sub_groups").unwrap()).len(), 2);
    let everybody = sim.ask(&bob, "get", &village, bare("linked_groups_participants"));
    assert_eq!(numbers(everybody.get_optional_child("linked_groups_participants").unwrap()), [ANN, BOB]);
    let variables = serde_json::json!({ "input": { "group_jid": village } });
    let counts = mex(&mut sim, &bob, "24079399904996141", &variables);
    let edges = counts.pointer("/data/xwa2_group_query_by_id/sub_groups/edges").unwrap().as_array().unwrap();
    let club_count = edges.iter().find(|edge| edge["node"]["id"] == club.as_str()).unwrap();
    assert_eq!(club_count["node"]["total_participants_count"], 2);
}

#[test]
fn only_admins_of_both_link_a_group() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let village = new_community(&mut sim, &ann, false);
    let (theirs, ours) = (sim.group(&bob, &[ANN]), sim.group(&ann, &[BOB]));
    assert_eq!(errors(&sim.ask(&ann, "set", &village, link(&[&theirs])), &["links", "link"]), [Some("403".to_owned())]);
    assert_eq!(code(&sim.ask(&bob, "set", &village, link(&[&theirs]))), 403);
    assert_eq!(code(&sim.ask(&ann, "set", &ours, link(&[&theirs]))), 406);
    sim.ask(&ann, "set", &village, link(&[&ours]));
    assert_eq!(code(&sim.ask(&bob, "set", &village, unlink(&ours, false))), 403);
    assert_eq!(code(&sim.ask(&bob, "set", &village, bare("delete_parent"))), 403);
}

#[test]
fn an_unlinked_group_stands_alone_and_may_take_its_members_along() {
    let mut sim = Sim::with_phones(&[ANN, BOB, CYD]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let village = new_community(&mut sim, &ann, false);
    let (club, choir) = (sim.group(&ann, &[BOB, CYD]), sim.group(&ann, &[CYD]));
    sim.ask(&ann, "set", &village, link(&[&club, &choir]));
    sim.inbox(&bob);
    let answer = sim.ask(&ann, "set", &village, unlink(&club, true));
    assert_eq!(errors(&answer, &["unlink"]), [None]);
    let told = sim.told(&bob);
    assert_eq!(told, ["unlink", "unlink", "remove", "remove"]);
    let parent = sim.network.group(id_of(&village)).unwrap();
    assert_eq!(parent.numbers(), [ANN, CYD], "who is in no other group of it is out");
    assert_eq!(sim.network.group(id_of(&club)).unwrap().place, Place::Alone);
    let announcements = sim.network.announcement_group(id_of(&village)).unwrap();
    let refused = sim.ask(&ann, "set", &village, unlink(&format!("{announcements}@g.us"), false));
    assert_eq!(errors(&refused, &["unlink"]), [Some("405".to_owned())]);
}

#[test]
fn members_of_a_community_see_its_groups_and_go_in() {
    let mut sim = Sim::with_phones(&[ANN, BOB, CYD]);
    let (ann, bob, cyd) = (sim.link(ANN), sim.link(BOB), sim.link(CYD));
    let village = new_community(&mut sim, &ann, true);
    let club = sim.group(&ann, &[]);
    sim.ask(&ann, "set", &village, link(&[&club]));
    assert_eq!(code(&sim.ask(&bob, "get", &village, of(&club, "query_linked"))), 403);
    assert_eq!(results(&sim.ask(&ann, "set", &village, change("add", &[BOB]))), ["200"]);
    // Into the community, its announcements and its general chat.
    assert_eq!(sim.told(&bob), ["create", "create", "create"]);
    let seen = sim.ask(&bob, "get", &village, of(&club, "query_linked"));
    let seen = seen.get_optional_child_by_tag(&["linked_group", "group"]).unwrap();
    assert!(wire::attribute_is(seen, "subject", "Friends"));
    assert_eq!(code(&sim.ask(&bob, "get", &club, query())), 403);
    let joined = sim.ask(&bob, "set", &village, of(&club, "join_linked_group"));
    assert_eq!(numbers(joined.get_optional_child_by_tag(&["linked_group", "group"]).unwrap()), [ANN, BOB]);
    assert_eq!(code(&sim.ask(&bob, "set", &village, of(&club, "join_linked_group"))), 304);
    assert_eq!(code(&sim.ask(&cyd, "set", &village, of(&club, "join_linked_group"))), 403);
}

#[test]
fn a_closed_community_asks_its_admins() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    // As Baileys 7 `communityCreate` writes it.
    let body = NodeBuilder::new("create").attr("subject", "Village").children([
        NodeBuilder::new("description").attr("id", "D1").children([wire::leaf("body", Vec::new())]).build(),
        NodeBuilder::new("parent").attr("default_membership_approval_mode", "request_required").build(),
        bare("allow_non_admin_sub_group_creation"),
        bare("create_general_chat"),
    ]);
    let answer = sim.ask(&ann, "set", "@g.us", body.build());
    let group = answer.get_optional_child("group").unwrap();
    let parent = group.get_optional_child("parent").unwrap();
    assert!(wire::attribute_is(parent, "default_membership_approval_mode", "request_required"));
    assert!(group.get_optional_child("description").is_none());
    let village = format!("{}@g.us", wire::attribute(group, "id").unwrap());
    let code_of = sim.network.group(id_of(&village)).unwrap().invite_code.clone();
    let join = NodeBuilder::new("invite").attr("code", code_of).build();
    let waits = sim.ask(&bob, "set", "@g.us", join.clone());
    assert!(waits.get_optional_child("membership_approval_request").is_some());
    let open = NodeBuilder::new("community_join").attr("state", "off").build();
    let open = NodeBuilder::new("membership_approval_mode").children([open]).build();
    assert_eq!(code(&sim.ask(&ann, "set", &village, open)), 200);
    sim.ask(&bob, "set", &village, change("cancel_membership_requests", &[BOB]));
    let joined = sim.ask(&bob, "set", "@g.us", join);
    assert_eq!(wire::attribute(joined.get_optional_child("community").unwrap(), "jid").unwrap(), village);
}

#[test]
fn a_group_that_needs_approval_needs_it_from_the_community_too() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let village = new_community(&mut sim, &ann, false);
    let club = sim.group(&ann, &[]);
    sim.ask(&ann, "set", &village, link(&[&club]));
    sim.ask(&ann, "set", &village, change("add", &[BOB]));
    let state = NodeBuilder::new("group_join").attr("state", "on").build();
    sim.ask(&ann, "set", &club, NodeBuilder::new("membership_approval_mode").children([state]).build());
    sim.inbox(&ann);
    let waits = sim.ask(&bob, "set", &village, of(&club, "join_linked_group"));
    assert!(waits.get_optional_child("membership_approval_request").is_some());
    let news = sim.news(&ann);
    assert!(wire::attribute_is(&news[0].1, "request_method", "linked_group_join"));
    assert_eq!(wire::attribute(&news[0].1, "parent_group_jid").unwrap(), village);
}

#[test]
fn who_may_add_groups_to_a_community_is_for_its_admins_to_say() {
    let mut sim = Sim::with_phones(&[ANN, BOB, CYD]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let village = new_community(&mut sim, &ann, false);
    sim.ask(&ann, "set", &village, change("add", &[BOB]));
    let mut body = create("Club", &[CYD]);
    let parent = NodeBuilder::new("linked_parent").attr("jid", village.parse::<Jid>().unwrap()).build();
    let children = wire::children(&body).iter().cloned().chain([parent]).collect::<Vec<_>>();
    body.content = NodeBuilder::new("create").children(children).build().content;
    assert_eq!(code(&sim.ask(&bob, "set", "@g.us", body.clone())), 403);
    assert_eq!(code(&sim.ask(&ann, "set", &village, bare("allow_non_admin_sub_group_creation"))), 200);
    let answer = sim.ask(&bob, "set", "@g.us", body);
    let club = answer.get_optional_child("group").unwrap();
    assert_eq!(wire::attribute(club.get_optional_child("linked_parent").unwrap(), "jid").unwrap(), village);
    assert!(sim.network.group(id_of(&village)).unwrap().members.contains_key(CYD));
}

#[test]
fn a_community_that_ends_leaves_its_groups_behind() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let village = new_community(&mut sim, &ann, true);
    let club = sim.group(&ann, &[BOB]);
    sim.ask(&ann, "set", &village, link(&[&club]));
    sim.inbox(&bob);
    assert_eq!(code(&sim.ask(&ann, "set", &village, bare("delete_parent"))), 200);
    assert_eq!(code(&sim.ask(&ann, "get", &village, query())), 404);
    let mut told = sim.told(&bob);
    told.sort_unstable();
    assert_eq!(told, ["delete", "delete", "unlink", "unlink"]);
    let left: Vec<_> = sim.network.groups.by_id.values().map(|group| group.place.clone()).collect();
    assert_eq!(left, [Place::Alone, Place::Alone]);
    assert_eq!(sim.record_keys("group/").len(), 2);
}

#[test]
fn who_is_removed_from_a_community_is_out_of_all_its_groups() {
    let mut sim = Sim::with_phones(&[ANN, BOB, DAN]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let village = new_community(&mut sim, &ann, true);
    let club = sim.group(&ann, &[BOB, DAN]);
    sim.ask(&ann, "set", &village, link(&[&club]));
    let mut body = change("remove", &[BOB]);
    body.attrs.insert("linked_groups", "true");
    assert_eq!(results(&sim.ask(&ann, "set", &village, body)), ["200"]);
    assert!(sim.network.groups_of(BOB).is_empty());
    assert_eq!(sim.network.groups_of(DAN).len(), 4);
    let leave = NodeBuilder::new("linked_groups").attr("parent_group_jid", village.parse::<Jid>().unwrap()).build();
    let dan = sim.link(DAN);
    sim.ask(&dan, "set", "@g.us", NodeBuilder::new("leave").children([leave]).build());
    assert!(sim.network.groups_of(DAN).is_empty());
    assert_eq!(code(&sim.ask(&bob, "get", &club, query())), 403);
}

#[test]
fn who_leaves_a_community_keeps_the_groups_that_are_not_common_to_all() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let village = new_community(&mut sim, &ann, true);
    let club = sim.group(&ann, &[BOB]);
    sim.ask(&ann, "set", &village, link(&[&club]));
    // As Baileys 7 `communityLeave` writes it.
    let named = NodeBuilder::new("community").attr("id", village.as_str()).build();
    sim.ask(&bob, "set", "@g.us", NodeBuilder::new("leave").children([named]).build());
    assert_eq!(sim.network.groups_of(BOB), [id_of(&club)]);
}

#[test]
fn admins_of_a_community_are_admins_of_its_announcements() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let ann = sim.link(ANN);
    let village = new_community(&mut sim, &ann, false);
    sim.ask(&ann, "set", &village, change("add", &[BOB]));
    sim.ask(&ann, "set", &village, change("promote", &[BOB]));
    let announcements = sim.network.announcement_group(id_of(&village)).unwrap();
    assert!(sim.network.group(&announcements).unwrap().is_admin(BOB));
    sim.ask(&ann, "set", &village, change("demote", &[BOB]));
    assert!(!sim.network.group(&announcements).unwrap().is_admin(BOB));
}
