//! Requests in the `w:g2` namespace: to one group, or to `g.us` where the request is about none or about several.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};

use super::Network;
use super::members::Change;
use super::refusal::{Done, Refusal};
use crate::address::DeviceKey;
use crate::network::{Effect, LinkId};
use crate::wire;

/// Participants in one request.
const PARTICIPANTS_MAX: usize = 1_024;

/// One request, read.
struct Request<'a> {
    link: LinkId,
    /// The account that asks.
    asker: &'a str,
    /// The group it is about; empty when it goes to `g.us`.
    group: &'a str,
    sets: bool,
    body: &'a Node,
}

impl Network {
    /// Requests in the `w:g2` namespace. False when this is none that we know.
    pub(in crate::network) fn receive_group_iq(&mut self, link: LinkId, key: &DeviceKey, id: &str, node: &Node) -> bool {
        let (Some(group), Some(body)) = (addressed_group(node), wire::children(node).first()) else {
            return false;
        };
        let sets = wire::attribute_is(node, "type", "set");
        let request = Request { link, asker: &key.number, group: &group, sets, body };
        // What the request leads to is told to the asker's own devices too, but after the answer.
        let before = self.out.effects.len();
        let answer = if group.is_empty() { self.serve_all(&request) } else { self.serve_group(&request) };
        // Baileys 7 takes the group's address from here when an invitation was accepted.
        let from = Jid::new(group.as_str(), Server::Group);
        let node = match answer {
            Some(Ok(content)) => answer_node(id, &from, content),
            Some(Err(refusal)) => refusal.node(id, &from),
            None => return false,
        };
        self.out.effects.insert(before, Effect::Send { link, node });
        true
    }

    /// Requests that go to `g.us`.
    fn serve_all(&mut self, request: &Request<'_>) -> Option<Done<Vec<Node>>> {
        let Request { asker, body, .. } = *request;
        Some(match (body.tag.as_ref(), request.sets) {
            ("create", true) => self.create_group_by_node(asker, body),
            ("leave", true) => Ok(self.leave_by_node(asker, body)),
            ("participating", false) => Ok(self.answer_participating(asker, body)),
            ("query", false) => Ok(self.answer_batch_query(asker, body)),
            ("pictures", false) => Ok(self.answer_pictures(request.link, asker, body)),
            ("invite", true) => self.accept_code(asker, &wire::attribute(body, "code").unwrap_or_default()),
            ("invite", false) => self.answer_code_info(&wire::attribute(body, "code").unwrap_or_default()),
            _ => return None,
        })
    }

    /// Requests that go to a group.
    fn serve_group(&mut self, request: &Request<'_>) -> Option<Done<Vec<Node>>> {
        let answer = if request.sets { self.change_by_node(request) } else { self.answer_by_node(request) };
        answer.or_else(|| self.serve_community(request.group, request.asker, request.sets, request.body))
    }

    fn answer_by_node(&self, request: &Request<'_>) -> Option<Done<Vec<Node>>> {
        let Request { asker, group, body, .. } = *request;
        Some(match body.tag.as_ref() {
            "query" => self.answer_group_query(group, asker, body),
            "invite" => self.answer_code(group, asker),
            "membership_approval_requests" => self.answer_requests(group, asker),
            _ => return None,
        })
    }

    fn change_by_node(&mut self, request: &Request<'_>) -> Option<Done<Vec<Node>>> {
        let Request { asker, group, body, .. } = *request;
        let tag = body.tag.as_ref();
        if let Some(change) = Change::parse(tag) {
            return Some(self.change_members_by_node(group, asker, change, body));
        }
        Some(match tag {
            "invite" => self.revoke_code(group, asker).map(|code| vec![invite_node(&code)]),
            "accept" => self.accept_invite(group, asker, body),
            "revoke" => self.revoke_invites(group, asker, &participants(body)),
            "membership_requests_action" => self.decide_requests(group, asker, body),
            "cancel_membership_requests" => self.cancel_requests(group, asker, &participants(body)),
            // The client has shown the group to its user; nothing depends on that here.
            "ack" => self.group_of_member(group, asker).map(|_| Vec::new()),
            "subject" => self.set_subject(group, asker, &text_of(body)).map(|()| Vec::new()),
            "description" => self.set_description_by_node(group, asker, body).map(|()| Vec::new()),
            _ => return self.set_by_node(group, asker, body).map(|set| set.map(|()| Vec::new())),
        })
    }

    /// `<add>`, `<remove>`, `<promote>` and `<demote>`: the answer has the same shape, with a result for each participant.
    fn change_members_by_node(&mut self, group: &str, asker: &str, change: Change, body: &Node) -> Done<Vec<Node>> {
        let targets = participants(body);
        if targets.is_empty() {
            return Err(Refusal::BAD_REQUEST);
        }
        let everywhere = wire::attribute_is(body, "linked_groups", "true");
        let outcomes = if change == Change::Remove && everywhere {
            self.remove_from_community(group, asker, &targets)?
        } else {
            self.change_members(group, asker, change, &targets)?
        };
        let nodes: Vec<Node> = outcomes.iter().map(|outcome| self.outcome_node(group, outcome)).collect();
        Ok(vec![NodeBuilder::new_dynamic(body.tag.to_string()).children(nodes).build()])
    }
}

/// The group a request goes to, empty for `g.us` itself, which clients write in more than one way.
fn addressed_group(node: &Node) -> Option<String> {
    if let Some(jid) = wire::address(node, "to") {
        return (jid.server == Server::Group).then(|| jid.user.to_string());
    }
    wire::attribute(node, "to").filter(|to| to == "g.us" || to == "@g.us").map(|_| String::new())
}

fn answer_node(id: &str, from: &Jid, content: Vec<Node>) -> Node {
    let node = NodeBuilder::new("iq").attr("from", from).attr("type", "result").attr("id", id);
    if content.is_empty() { node.build() } else { node.children(content).build() }
}

/// `<invite>` with a code.
pub(super) fn invite_node(code: &str) -> Node {
    NodeBuilder::new("invite").attr("code", code).build()
}

/// The accounts a request is about. One whose LID nobody knows here may be known by number.
pub(super) fn participants(node: &Node) -> Vec<Target> {
    let participants = node.get_children_by_tag("participant").take(PARTICIPANTS_MAX);
    participants
        .filter_map(|participant| {
            let jid = wire::address(participant, "jid")?.to_non_ad();
            Some(Target { jid, number: wire::address(participant, "phone_number") })
        })
        .collect()
}

/// Somebody a request is about, as it names them.
pub(super) struct Target {
    pub(super) jid: Jid,
    pub(super) number: Option<Jid>,
}

impl Target {
    pub(super) fn account(jid: Jid) -> Self {
        Self { jid, number: None }
    }
}

/// The text in an element.
pub(super) fn text_of(node: &Node) -> String {
    String::from_utf8_lossy(wire::content(node).unwrap_or_default()).into_owned()
}
