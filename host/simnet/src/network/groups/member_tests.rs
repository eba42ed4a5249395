//! Who comes into a group, who goes, and who may decide that.

use wacore_binary::Jid;
use wacore_binary::builder::NodeBuilder;

use super::model::{Member, Rank};
use super::testing::{ANN, BOB, CYD, DAN, Sim, bare, change, code, create, numbers, participant, query, results};
use super::{GROUPS_PER_ACCOUNT_MAX, MEMBERS_MAX};
use crate::wire;

#[test]
fn a_new_group_is_described_to_its_creator_and_to_all_members() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let mut body = create("Friends", &[BOB]);
    body.attrs.insert("key", "K1");
    let answer = sim.ask(&ann, "set", "@g.us", body);
    let group = answer.get_optional_child("group").unwrap();
    assert!(wire::attribute(group, "id").unwrap().chars().all(|digit| digit.is_ascii_digit()));
    assert!(wire::attribute_is(group, "addressing_mode", "lid"));
    assert_eq!(wire::address(group, "creator").unwrap(), sim.lid(ANN));
    assert_eq!(wire::address(group, "creator_pn").unwrap(), Jid::pn(ANN));
    assert_eq!(numbers(group), [ANN, BOB]);
    let owner = group.get_optional_child("participant").unwrap();
    assert!(wire::attribute_is(owner, "type", "superadmin"));
    assert_eq!(wire::address(owner, "jid").unwrap(), sim.lid(ANN));
    for client in [&ann, &bob] {
        let news = sim.news(client);
        let [(notification, created)] = news.as_slice() else { panic!("{news:?}") };
        assert!(wire::attribute_is(notification, "type", "w:gp2"));
        assert_eq!(wire::address(notification, "participant").unwrap(), sim.lid(ANN));
        assert_eq!(wire::address(notification, "participant_pn").unwrap(), Jid::pn(ANN));
        assert_eq!(created.tag, "create");
        assert!(wire::attribute_is(created, "type", "new"));
        assert_eq!(wire::attribute(created, "key").is_some(), client.key == ann.key);
        let told = created.get_optional_child("group").unwrap();
        assert_eq!(numbers(told), [ANN, BOB]);
    }
}

#[test]
fn a_group_addressed_by_number_names_its_members_so() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let ann = sim.link(ANN);
    let mut body = create("Friends", &[BOB]);
    body.attrs.insert("addressing_mode", "pn");
    let answer = sim.ask(&ann, "set", "@g.us", body);
    let group = answer.get_optional_child("group").unwrap();
    let owner = group.get_optional_child("participant").unwrap();
    assert_eq!(wire::address(owner, "jid").unwrap(), Jid::pn(ANN));
    assert_eq!(wire::address(owner, "lid").unwrap(), sim.lid(ANN));
}

#[test]
fn somebody_who_cannot_be_in_a_new_group_stands_in_the_answer_with_an_error() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let ann = sim.link(ANN);
    let answer = sim.ask(&ann, "set", "@g.us", create("Friends", &[BOB, DAN]));
    let group = answer.get_optional_child("group").unwrap();
    let refused: Vec<_> =
        group.get_children_by_tag("participant").filter(|node| node.attrs.get("error").is_some()).collect();
    assert_eq!(refused.len(), 1);
    assert!(wire::attribute_is(refused[0], "error", "404"));
    assert_eq!(wire::address(refused[0], "jid").unwrap(), Jid::pn(DAN));
    assert!(wire::attribute_is(group, "size", "2"));
}

#[test]
fn adding_gives_a_result_for_each_participant() {
    let mut sim = Sim::with_phones(&[ANN, BOB, CYD]);
    let (ann, bob, cyd) = (sim.link(ANN), sim.link(BOB), sim.link(CYD));
    let group = sim.group(&ann, &[BOB]);
    sim.skip(&[&ann, &bob]);
    let answer = sim.ask(&ann, "set", &group, change("add", &[CYD, BOB, DAN]));
    assert_eq!(results(&answer), ["200", "409", "404"]);
    let added = answer.get_optional_child_by_tag(&["add", "participant"]).unwrap();
    assert_eq!(wire::address(added, "jid").unwrap(), sim.lid(CYD));
    assert_eq!(wire::address(added, "phone_number").unwrap(), Jid::pn(CYD));
    assert_eq!(sim.told(&bob), ["add"]);
    assert_eq!(sim.told(&ann), ["add"]);
    // For the newcomer the group itself is the news.
    let news = sim.news(&cyd);
    let [(_, created)] = news.as_slice() else { panic!("{news:?}") };
    assert_eq!(created.tag, "create");
    assert!(created.attrs.get("type").is_none());
    assert_eq!(numbers(created.get_optional_child("group").unwrap()), [ANN, BOB, CYD]);
}

#[test]
fn an_answer_comes_before_the_news_it_leads_to() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let ann = sim.link(ANN);
    let group = sim.group(&ann, &[]);
    let id = group.strip_suffix("@g.us").unwrap();
    let iq = NodeBuilder::new("iq").attr("id", "1").attr("type", "set").attr("xmlns", "w:g2").attr("to", group.as_str());
    let link = sim.network.link_by_device[&ann.key];
    sim.network.receive(link, &iq.children([change("add", &[BOB])]).build());
    let first = sim.network.out.effects.first();
    assert!(matches!(first, Some(crate::network::Effect::Send { .. })));
    assert_eq!(sim.network.groups.by_id[id].members.len(), 2);
}

#[test]
fn whoever_can_only_be_invited_gets_in_with_the_invitation_and_not_otherwise() {
    let mut sim = Sim::with_phones(&[ANN, BOB, CYD]);
    let (ann, bob, cyd) = (sim.link(ANN), sim.link(BOB), sim.link(CYD));
    let group = sim.group(&ann, &[]);
    sim.network.set_invite_only(BOB, true);
    let answer = sim.ask(&ann, "set", &group, change("add", &[BOB]));
    assert_eq!(results(&answer), ["403"]);
    let request = answer.get_optional_child_by_tag(&["add", "participant", "add_request"]).unwrap();
    let code_of = wire::attribute(request, "code").unwrap();
    let expires = wire::attribute(request, "expiration").unwrap();
    let accept = |code: &str| {
        NodeBuilder::new("accept").attr("code", code).attr("expiration", &expires).attr("admin", Jid::pn(ANN)).build()
    };
    assert_eq!(code(&sim.ask(&cyd, "set", &group, accept(&code_of))), 404);
    assert_eq!(code(&sim.ask(&bob, "set", &group, accept("another"))), 406);
    let joined = sim.ask(&bob, "set", &group, accept(&code_of));
    assert_eq!(wire::attribute(joined.get_optional_child("group").unwrap(), "jid").unwrap(), group);
    assert_eq!(wire::attribute(&joined, "from").unwrap(), group);
    assert_eq!(code(&sim.ask(&bob, "get", &group, query())), 200);
    // The invitation is used up.
    sim.ask(&ann, "set", &group, change("remove", &[BOB]));
    assert_eq!(code(&sim.ask(&bob, "set", &group, accept(&code_of))), 404);
}

#[test]
fn whom_an_account_does_not_let_add_it_can_only_invite_it() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let group = sim.group(&ann, &[]);
    let category = NodeBuilder::new("category").attr("name", "groupadd").attr("value", "contacts").build();
    let privacy = NodeBuilder::new("privacy").children([category]).build();
    let iq = NodeBuilder::new("iq").attr("id", "1").attr("type", "set").attr("xmlns", "privacy").children([privacy]);
    sim.network.receive(sim.network.link_by_device[&bob.key], &iq.build());
    let answer = sim.ask(&ann, "set", &group, change("add", &[BOB]));
    assert_eq!(results(&answer), ["403"]);
    assert!(answer.get_optional_child_by_tag(&["add", "participant", "add_request"]).is_some());
    let created = sim.group(&ann, &[BOB]);
    assert_eq!(code(&sim.ask(&bob, "get", &created, query())), 403);
    let contacts = serde_json::from_value(serde_json::json!({ "contacts": [ANN] })).unwrap();
    sim.network.change_person_by_command(BOB, &contacts).unwrap();
    assert_eq!(results(&sim.ask(&ann, "set", &group, change("add", &[BOB]))), ["200"]);
}

#[test]
fn an_invitation_ends_when_it_is_revoked_and_after_three_days() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let group = sim.group(&ann, &[]);
    sim.network.set_invite_only(BOB, true);
    let mut invite = || {
        let answer = sim.ask(&ann, "set", &group, change("add", &[BOB]));
        let request = answer.get_optional_child_by_tag(&["add", "participant", "add_request"]).unwrap();
        let code = wire::attribute(request, "code").unwrap();
        NodeBuilder::new("accept").attr("code", code).attr("expiration", "0").attr("admin", sim.lid(ANN)).build()
    };
    let (first, second) = (invite(), invite());
    assert_eq!(code(&sim.ask(&bob, "set", &group, first)), 406);
    sim.pass_s(4 * 24 * 60 * 60);
    assert_eq!(code(&sim.ask(&bob, "set", &group, second)), 410);
    let revoked = sim.ask(&ann, "set", &group, change("revoke", &[BOB]));
    assert_eq!(results(&revoked), ["200"]);
    assert_eq!(results(&sim.ask(&ann, "set", &group, change("revoke", &[BOB]))), ["404"]);
}

#[test]
fn only_admins_remove_and_rank_members() {
    let mut sim = Sim::with_phones(&[ANN, BOB, CYD]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let group = sim.group(&ann, &[BOB, CYD]);
    for tag in ["remove", "promote", "demote"] {
        assert_eq!(code(&sim.ask(&bob, "set", &group, change(tag, &[CYD]))), 403, "{tag}");
    }
    assert_eq!(results(&sim.ask(&ann, "set", &group, change("promote", &[BOB, DAN]))), ["200", "404"]);
    assert_eq!(results(&sim.ask(&bob, "set", &group, change("remove", &[CYD]))), ["200"]);
    // The owner is out of reach for other admins.
    assert_eq!(results(&sim.ask(&bob, "set", &group, change("remove", &[ANN]))), ["405"]);
    assert_eq!(results(&sim.ask(&bob, "set", &group, change("demote", &[ANN]))), ["405"]);
    assert_eq!(results(&sim.ask(&ann, "set", &group, change("demote", &[BOB]))), ["200"]);
    // Nobody would be left who could act.
    assert_eq!(results(&sim.ask(&ann, "set", &group, change("demote", &[ANN]))), ["405"]);
}

#[test]
fn ranks_are_told_and_shown() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let group = sim.group(&ann, &[BOB]);
    sim.inbox(&bob);
    sim.ask(&ann, "set", &group, change("promote", &[BOB]));
    let news = sim.news(&bob);
    let promoted = news[0].1.get_optional_child("participant").unwrap();
    assert_eq!(news[0].1.tag, "promote");
    assert_eq!(wire::address(promoted, "jid").unwrap(), sim.lid(BOB));
    assert!(wire::attribute_is(promoted, "type", "admin"));
    let answer = sim.ask(&bob, "get", &group, query());
    let admins = wire::children(answer.get_optional_child("group").unwrap())
        .iter()
        .filter(|node| node.attrs.get("type").is_some() && node.tag == "participant")
        .count();
    assert_eq!(admins, 2);
    // Nothing changes twice.
    sim.ask(&ann, "set", &group, change("promote", &[BOB]));
    assert!(sim.told(&bob).is_empty());
}

#[test]
fn whoever_is_removed_hears_of_it_and_sees_the_group_no_more() {
    let mut sim = Sim::with_phones(&[ANN, BOB, CYD]);
    let (ann, bob, cyd) = (sim.link(ANN), sim.link(BOB), sim.link(CYD));
    let group = sim.group(&ann, &[BOB, CYD]);
    sim.skip(&[&ann, &bob, &cyd]);
    sim.ask(&ann, "set", &group, change("remove", &[BOB]));
    for client in [&ann, &bob, &cyd] {
        let news = sim.news(client);
        assert_eq!(news[0].1.tag, "remove");
        let removed = news[0].1.get_optional_child("participant").unwrap();
        assert_eq!(wire::address(removed, "jid").unwrap(), sim.lid(BOB));
    }
    assert_eq!(code(&sim.ask(&bob, "get", &group, query())), 403);
    assert_eq!(code(&sim.ask(&bob, "get", "120363000000000000@g.us", query())), 404);
    let participating = NodeBuilder::new("participating").children([bare("participants")]).build();
    let answer = sim.ask(&bob, "get", "@g.us", participating);
    assert!(wire::children(answer.get_optional_child("groups").unwrap()).is_empty());
}

#[test]
fn whoever_leaves_is_the_one_who_acts() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let group = sim.group(&ann, &[BOB]);
    sim.inbox(&ann);
    let leave = || {
        let named = NodeBuilder::new("group").attr("id", group.parse::<Jid>().unwrap()).build();
        NodeBuilder::new("leave").children([named]).build()
    };
    let answer = sim.ask(&bob, "set", "@g.us", leave());
    assert!(answer.get_optional_child_by_tag(&["leave", "group"]).unwrap().attrs.get("error").is_none());
    let news = sim.news(&ann);
    assert_eq!(news[0].1.tag, "remove");
    assert_eq!(wire::address(&news[0].0, "participant").unwrap(), sim.lid(BOB));
    let again = sim.ask(&bob, "set", "@g.us", leave());
    assert!(wire::attribute_is(again.get_optional_child_by_tag(&["leave", "group"]).unwrap(), "error", "404"));
}

#[test]
fn a_group_without_admins_gets_one_and_a_group_without_members_ends() {
    let mut sim = Sim::with_phones(&[ANN, BOB, CYD]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let group = sim.group(&ann, &[BOB]);
    sim.pass_s(10);
    sim.ask(&ann, "set", &group, change("add", &[CYD]));
    sim.inbox(&bob);
    let id = group.strip_suffix("@g.us").unwrap().to_owned();
    sim.network.leave_group(&id, ANN).unwrap();
    assert_eq!(sim.told(&bob), ["remove", "promote"]);
    assert!(sim.network.group(&id).unwrap().is_admin(BOB));
    sim.network.leave_group(&id, BOB).unwrap();
    sim.network.leave_group(&id, CYD).unwrap();
    sim.settle();
    assert!(sim.network.group(&id).is_err());
    assert!(sim.record_keys("group/").is_empty());
    assert!(sim.network.groups.id_by_code.is_empty());
}

#[test]
fn members_may_add_others_unless_the_admins_keep_that_for_themselves() {
    let mut sim = Sim::with_phones(&[ANN, BOB, CYD, DAN]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let group = sim.group(&ann, &[BOB]);
    assert_eq!(results(&sim.ask(&bob, "set", &group, change("add", &[CYD]))), ["200"]);
    let mode = NodeBuilder::new("member_add_mode").bytes(b"admin_add".to_vec()).build();
    assert_eq!(code(&sim.ask(&bob, "set", &group, mode.clone())), 403);
    assert_eq!(code(&sim.ask(&ann, "set", &group, mode)), 200);
    assert_eq!(code(&sim.ask(&bob, "set", &group, change("add", &[DAN]))), 403);
    assert_eq!(results(&sim.ask(&ann, "set", &group, change("add", &[DAN]))), ["200"]);
}

#[test]
fn a_full_group_takes_nobody() {
    let mut sim = Sim::with_phones(&[ANN, BOB, CYD]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let group = sim.group(&ann, &[]);
    let id = group.strip_suffix("@g.us").unwrap();
    let members = &mut sim.network.groups.by_id.get_mut(id).unwrap().members;
    for n in 0..MEMBERS_MAX - 2 {
        members.insert(format!("1777{n:07}"), Member { rank: Rank::Member, joined_s: 0 });
    }
    let code_of = sim.network.groups.by_id[id].invite_code.clone();
    assert_eq!(results(&sim.ask(&ann, "set", &group, change("add", &[CYD, BOB]))), ["200", "419"]);
    let join = NodeBuilder::new("invite").attr("code", code_of).build();
    assert_eq!(code(&sim.ask(&bob, "set", "@g.us", join)), 419);
}

#[test]
fn an_account_is_in_so_many_groups_and_no_more() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let group = sim.group(&ann, &[]);
    let groups = (0..GROUPS_PER_ACCOUNT_MAX).map(|n| n.to_string()).collect();
    sim.network.groups.of_account.insert(BOB.to_owned(), groups);
    assert_eq!(results(&sim.ask(&ann, "set", &group, change("add", &[BOB]))), ["419"]);
    assert_eq!(code(&sim.ask(&bob, "set", "@g.us", create("One more", &[]))), 419);
}

#[test]
fn a_participant_is_found_by_number_when_the_lid_is_unknown() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let ann = sim.link(ANN);
    let group = sim.group(&ann, &[]);
    let mut named = participant(BOB);
    named.attrs.insert("jid", Jid::lid("999"));
    named.attrs.insert("phone_number", Jid::pn(BOB));
    let answer = sim.ask(&ann, "set", &group, NodeBuilder::new("add").children([named]).build());
    assert_eq!(results(&answer), ["200"]);
}

#[test]
fn a_batch_of_groups_tells_each_asker_only_what_is_theirs() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let (own, other) = (sim.group(&ann, &[]), sim.group(&bob, &[]));
    let named = |jid: &str| NodeBuilder::new("group").attr("jid", jid.parse::<Jid>().unwrap()).build();
    let body = NodeBuilder::new("query").children([named(&own), named(&other), named("120363000000000000@g.us")]).build();
    let answer = sim.ask(&ann, "get", "@g.us", body);
    let groups = wire::children(answer.get_optional_child("groups").unwrap());
    let errors: Vec<_> = groups.iter().map(|group| wire::attribute(group, "error")).collect();
    assert_eq!(errors, [None, Some("403".to_owned()), Some("404".to_owned())]);
    assert!(wire::attribute_is(&groups[0], "subject", "Friends"));
}

#[test]
fn groups_survive_a_restart() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let mut ann = sim.link(ANN);
    let group = sim.group(&ann, &[BOB]);
    sim.network.set_invite_only(BOB, true);
    let before = sim.ask(&ann, "get", &group, query());
    sim.restart();
    sim.connect(&mut ann);
    let after = sim.ask(&ann, "get", &group, query());
    assert_eq!(before.get_optional_child("group"), after.get_optional_child("group"));
    let second = sim.group(&ann, &[]);
    assert_eq!(results(&sim.ask(&ann, "set", &second, change("add", &[BOB]))), ["403"]);
}
