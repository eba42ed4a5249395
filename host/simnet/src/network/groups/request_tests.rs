//! Links, and those who wait at the door.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::testing::{ANN, BOB, CYD, Client, Sim, bare, change, code, query, results};
use crate::wire;

fn join(code: &str) -> Node {
    NodeBuilder::new("invite").attr("code", code).build()
}

fn link_code(sim: &mut Sim, client: &Client, group: &str) -> String {
    let answer = sim.ask(client, "get", group, bare("invite"));
    wire::attribute(answer.get_optional_child("invite").unwrap(), "code").unwrap()
}

fn decide(tag: &'static str, number: &str) -> Node {
    NodeBuilder::new("membership_requests_action").children([change(tag, &[number])]).build()
}

fn needs_approval(sim: &mut Sim, admin: &Client, group: &str) {
    let state = NodeBuilder::new("group_join").attr("state", "on").build();
    sim.ask(admin, "set", group, NodeBuilder::new("membership_approval_mode").children([state]).build());
}

#[test]
fn a_link_lets_strangers_see_the_group_and_come_in() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let group = sim.group(&ann, &[]);
    sim.inbox(&ann);
    let link = link_code(&mut sim, &ann, &group);
    assert_eq!(link.len(), 22);
    let seen = sim.ask(&bob, "get", "@g.us", join(&link));
    let shown = seen.get_optional_child("group").unwrap();
    assert!(wire::attribute_is(shown, "size", "1"));
    assert!(shown.get_optional_child("participant").is_none());
    let joined = sim.ask(&bob, "set", "@g.us", join(&link));
    assert_eq!(wire::attribute(joined.get_optional_child("group").unwrap(), "jid").unwrap(), group);
    let news = sim.news(&ann);
    assert_eq!(news[0].1.tag, "add");
    assert!(wire::attribute_is(&news[0].1, "reason", "invite"));
    assert_eq!(wire::address(&news[0].0, "participant").unwrap(), sim.lid(BOB));
    let news = sim.news(&bob);
    assert!(wire::attribute_is(&news[0].1, "reason", "invite"));
    assert_eq!(code(&sim.ask(&bob, "set", "@g.us", join(&link))), 304);
}

#[test]
fn a_revoked_link_says_so_and_an_invented_one_leads_nowhere() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let group = sim.group(&ann, &[]);
    sim.inbox(&ann);
    let old = link_code(&mut sim, &ann, &group);
    let answer = sim.ask(&ann, "set", &group, bare("invite"));
    let new = wire::attribute(answer.get_optional_child("invite").unwrap(), "code").unwrap();
    assert_ne!(old, new);
    let news = sim.inbox(&ann);
    let told: Vec<_> = wire::children(&news[0]).iter().map(|change| change.tag.to_string()).collect();
    assert_eq!(told, ["invite", "revoke"]);
    assert!(wire::attribute_is(&wire::children(&news[0])[0], "code", &new));
    for kind in ["get", "set"] {
        assert_eq!(code(&sim.ask(&bob, kind, "@g.us", join(&old))), 410);
        assert_eq!(code(&sim.ask(&bob, kind, "@g.us", join("AAAAAAAAAAAAAAAAAAAAAA"))), 406);
    }
    assert_eq!(code(&sim.ask(&bob, "set", "@g.us", join(&new))), 200);
    // The code is for admins.
    assert_eq!(code(&sim.ask(&bob, "get", &group, bare("invite"))), 401);
    assert_eq!(code(&sim.ask(&bob, "set", &group, bare("invite"))), 401);
}

#[test]
fn who_was_removed_comes_back_only_when_added() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let group = sim.group(&ann, &[BOB]);
    let link = link_code(&mut sim, &ann, &group);
    sim.ask(&ann, "set", &group, change("remove", &[BOB]));
    assert_eq!(code(&sim.ask(&bob, "set", "@g.us", join(&link))), 405);
    assert_eq!(results(&sim.ask(&ann, "set", &group, change("add", &[BOB]))), ["200"]);
    let id = group.strip_suffix("@g.us").unwrap();
    sim.network.leave_group(id, BOB).unwrap();
    assert_eq!(code(&sim.ask(&bob, "set", "@g.us", join(&link))), 200);
}

#[test]
fn while_growth_is_locked_links_do_nothing() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let group = sim.group(&ann, &[]);
    let link = link_code(&mut sim, &ann, &group);
    sim.inbox(&ann);
    let id = group.strip_suffix("@g.us").unwrap().to_owned();
    sim.network.lock_growth(&id, 3_600).unwrap();
    let news = sim.news(&ann);
    assert_eq!(news[0].1.tag, "growth_locked");
    assert!(wire::attribute_is(&news[0].1, "type", "invite"));
    assert_eq!(code(&sim.ask(&bob, "get", "@g.us", join(&link))), 436);
    assert_eq!(code(&sim.ask(&bob, "set", "@g.us", join(&link))), 436);
    let seen = sim.ask(&ann, "get", &group, query());
    assert!(seen.get_optional_child_by_tag(&["group", "growth_locked"]).is_some());
    sim.network.lock_growth(&id, 0).unwrap();
    assert_eq!(sim.told(&ann), ["growth_unlocked"]);
    sim.network.lock_growth(&id, 3_600).unwrap();
    sim.pass_s(3_601);
    assert_eq!(code(&sim.ask(&bob, "set", "@g.us", join(&link))), 200);
}

#[test]
fn whoever_needs_approval_waits_until_an_admin_decides() {
    let mut sim = Sim::with_phones(&[ANN, BOB, CYD]);
    let (ann, bob, cyd) = (sim.link(ANN), sim.link(BOB), sim.link(CYD));
    let group = sim.group(&ann, &[CYD]);
    needs_approval(&mut sim, &ann, &group);
    let link = link_code(&mut sim, &ann, &group);
    sim.skip(&[&ann, &cyd]);
    let answer = sim.ask(&bob, "set", "@g.us", join(&link));
    assert_eq!(wire::attribute(answer.get_optional_child("membership_approval_request").unwrap(), "jid").unwrap(), group);
    assert_eq!(code(&sim.ask(&bob, "set", "@g.us", join(&link))), 409);
    let news = sim.news(&ann);
    assert_eq!(news[0].1.tag, "created_membership_requests");
    assert!(wire::attribute_is(&news[0].1, "request_method", "invite_link"));
    let user = news[0].1.get_optional_child("requested_user").unwrap();
    assert_eq!(wire::address(user, "jid").unwrap(), sim.lid(BOB));
    assert!(sim.told(&cyd).is_empty(), "only admins hear of requests");
    assert_eq!(code(&sim.ask(&cyd, "get", &group, bare("membership_approval_requests"))), 403);
    let waiting = sim.ask(&ann, "get", &group, bare("membership_approval_requests"));
    let asked = waiting.get_optional_child_by_tag(&["membership_approval_requests", "membership_approval_request"]).unwrap();
    assert_eq!(wire::address(asked, "jid").unwrap(), sim.lid(BOB));
    assert_eq!(wire::address(asked, "phone_number").unwrap(), Jid::pn(BOB));
    assert_eq!(code(&sim.ask(&cyd, "set", &group, decide("approve", BOB))), 403);
    let approved = sim.ask(&ann, "set", &group, decide("approve", BOB));
    let result = approved.get_optional_child_by_tag(&["membership_requests_action", "approve", "participant"]).unwrap();
    assert!(wire::attribute_is(result, "type", "200"));
    assert_eq!(sim.told(&cyd), ["add"]);
    assert_eq!(sim.told(&bob), ["create"]);
    assert_eq!(code(&sim.ask(&bob, "get", &group, query())), 200);
    let again = sim.ask(&ann, "set", &group, decide("approve", BOB));
    let result = again.get_optional_child_by_tag(&["membership_requests_action", "approve", "participant"]).unwrap();
    assert!(wire::attribute_is(result, "error", "404"));
}

#[test]
fn a_rejected_request_is_told_to_who_asked() {
    let mut sim = Sim::with_phones(&[ANN, BOB]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let group = sim.group(&ann, &[]);
    needs_approval(&mut sim, &ann, &group);
    let link = link_code(&mut sim, &ann, &group);
    sim.ask(&bob, "set", "@g.us", join(&link));
    sim.ask(&ann, "set", &group, decide("reject", BOB));
    let news = sim.news(&bob);
    assert_eq!(news[0].1.tag, "revoked_membership_requests");
    assert_eq!(wire::address(&news[0].0, "participant").unwrap(), sim.lid(ANN));
    assert_eq!(code(&sim.ask(&bob, "get", &group, query())), 403);
    // They may ask once more.
    assert_eq!(code(&sim.ask(&bob, "set", "@g.us", join(&link))), 200);
}

#[test]
fn only_those_who_asked_take_a_request_back() {
    let mut sim = Sim::with_phones(&[ANN, BOB, CYD]);
    let (ann, bob, cyd) = (sim.link(ANN), sim.link(BOB), sim.link(CYD));
    let group = sim.group(&ann, &[]);
    needs_approval(&mut sim, &ann, &group);
    let link = link_code(&mut sim, &ann, &group);
    sim.ask(&bob, "set", "@g.us", join(&link));
    sim.inbox(&ann);
    let cancel = || change("cancel_membership_requests", &[BOB]);
    assert_eq!(results(&sim.ask(&cyd, "set", &group, cancel())), ["403"]);
    assert_eq!(results(&sim.ask(&bob, "set", &group, cancel())), ["200"]);
    assert_eq!(sim.told(&ann), ["revoked_membership_requests"]);
    assert_eq!(results(&sim.ask(&bob, "set", &group, cancel())), ["404"]);
}

#[test]
fn what_a_member_proposes_an_admin_decides() {
    let mut sim = Sim::with_phones(&[ANN, BOB, CYD]);
    let (ann, bob) = (sim.link(ANN), sim.link(BOB));
    let group = sim.group(&ann, &[BOB]);
    needs_approval(&mut sim, &ann, &group);
    sim.inbox(&ann);
    assert_eq!(results(&sim.ask(&bob, "set", &group, change("add", &[CYD]))), ["202"]);
    let news = sim.news(&ann);
    assert!(wire::attribute_is(&news[0].1, "request_method", "non_admin_add"));
    assert_eq!(wire::address(&news[0].0, "participant").unwrap(), sim.lid(BOB));
    let waiting = sim.ask(&ann, "get", &group, bare("membership_approval_requests"));
    let asked = waiting.get_optional_child_by_tag(&["membership_approval_requests", "membership_approval_request"]).unwrap();
    assert_eq!(wire::address(asked, "requestor").unwrap(), sim.lid(BOB));
    sim.ask(&ann, "set", &group, decide("approve", CYD));
    let id = group.strip_suffix("@g.us").unwrap();
    assert!(sim.network.group(id).unwrap().members.contains_key(CYD));
}
