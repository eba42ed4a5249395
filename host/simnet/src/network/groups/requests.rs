//! Those who wait for an admin to let them in.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::iq::{Target, participants};
use super::members::{Outcome, succeeded};
use super::model::{Addressing, JoinRequest, RequestMethod};
use super::refusal::{Done, Refusal};
use super::{Network, group_jid};
use crate::address::DeviceKey;
use crate::wire;

/// Requests that one group keeps.
const REQUESTS_MAX: usize = 1_024;

impl Network {
    /// Somebody wants to come in, or is to come in, and the admins hear of it.
    pub(super) fn ask_for_admission(&mut self, id: &str, by: &str, number: &str, method: RequestMethod) -> Done<()> {
        let group = self.group(id)?;
        if group.requests.contains_key(number) {
            return Err(Refusal::CONFLICT);
        }
        if group.requests.len() >= REQUESTS_MAX {
            return Err(Refusal::FULL);
        }
        let request = JoinRequest { at_s: self.now_s(), method, by: by.to_owned() };
        let mut news = NodeBuilder::new("created_membership_requests").attr("request_method", method.wire());
        if let (RequestMethod::LinkedGroupJoin, Some(parent)) = (method, group.parent()) {
            news = news.attr("parent_group_jid", group_jid(parent));
        }
        // wacore 0.7.0 reads `requested_user`; Baileys 7 takes whoever acts when there is no `participant`.
        let mut user = self.participant_node(group.addressing, number).build();
        user.tag = "requested_user".into();
        let admins = group.admins();
        self.change_group(id, |group| group.requests.insert(number.to_owned(), request))?;
        self.tell(id, Some(by), &admins, vec![news.children([user]).build()]);
        Ok(())
    }

    /// `<membership_approval_requests/>`: who waits.
    pub(super) fn answer_requests(&self, id: &str, asker: &str) -> Done<Vec<Node>> {
        let group = self.group_of_admin(id, asker)?;
        let nodes = group.requests.iter().map(|(number, request)| {
            let account = DeviceKey::new(number.as_str(), 0);
            let node = NodeBuilder::new("membership_approval_request")
                .attr("jid", self.jid_of(&account, group.addressing.space()))
                .attr("request_time", request.at_s)
                .attr("request_method", request.method.wire());
            let node = match group.addressing {
                Addressing::Lid => node.attr("phone_number", wacore_binary::Jid::pn(number.as_str())),
                Addressing::Pn => node,
            };
            if request.by == *number {
                return node.build();
            }
            node.attr("requestor", self.jid_of(&DeviceKey::new(request.by.as_str(), 0), group.addressing.space())).build()
        });
        Ok(vec![NodeBuilder::new("membership_approval_requests").children(nodes.collect::<Vec<_>>()).build()])
    }

    /// `<membership_requests_action>` with `<approve>`, `<reject>` or both.
    pub(super) fn decide_requests(&mut self, id: &str, by: &str, node: &Node) -> Done<Vec<Node>> {
        self.group_of_admin(id, by)?;
        let mut answers = Vec::new();
        for decision in wire::children(node) {
            let targets = participants(decision);
            let outcomes = match decision.tag.as_ref() {
                "approve" => self.approve_requests(id, by, &targets)?,
                "reject" => self.withdraw_requests(id, by, &targets, |_, _| true)?,
                _ => return Err(Refusal::BAD_REQUEST),
            };
            let nodes: Vec<Node> = outcomes.iter().map(|outcome| self.outcome_node(id, outcome)).collect();
            answers.push(NodeBuilder::new_dynamic(decision.tag.to_string()).children(nodes).build());
        }
        Ok(vec![NodeBuilder::new("membership_requests_action").children(answers).build()])
    }

    pub(super) fn approve_requests(&mut self, id: &str, by: &str, targets: &[Target]) -> Done<Vec<Outcome>> {
        let mut room = self.room_in(self.group(id)?);
        let mut outcomes = Vec::with_capacity(targets.len());
        for target in targets {
            let mut outcome = self.outcome_of(target, |network, number| {
                if network.group(id)?.requests.contains_key(number) {
                    network.check_newcomer(id, number)
                } else {
                    Err(Refusal::NOT_FOUND)
                }
            });
            if outcome.result.is_ok() && room == 0 {
                outcome.result = Err(Refusal::FULL);
            } else if outcome.result.is_ok() {
                room -= 1;
            }
            outcomes.push(outcome);
        }
        self.enter(id, by, &succeeded(&outcomes), None);
        Ok(outcomes)
    }

    /// `<cancel_membership_requests>`: somebody no longer wants in, or takes back that they wanted somebody else in.
    pub(super) fn cancel_requests(&mut self, id: &str, by: &str, targets: &[Target]) -> Done<Vec<Node>> {
        self.group(id)?;
        let own = |number: &str, request: &JoinRequest| number == by || request.by == by;
        let outcomes = self.withdraw_requests(id, by, targets, own)?;
        let nodes: Vec<Node> = outcomes.iter().map(|outcome| self.outcome_node(id, outcome)).collect();
        Ok(vec![NodeBuilder::new("cancel_membership_requests").children(nodes).build()])
    }

    /// Drops requests without letting anybody in. Admins hear of it, and those who had asked.
    pub(super) fn withdraw_requests(
        &mut self,
        id: &str,
        by: &str,
        targets: &[Target],
        may: impl Fn(&str, &JoinRequest) -> bool,
    ) -> Done<Vec<Outcome>> {
        let check = |network: &Self, number: &str| match network.group(id)?.requests.get(number) {
            None => Err(Refusal::NOT_FOUND),
            Some(request) if !may(number, request) => Err(Refusal::FORBIDDEN),
            Some(_) => Ok(()),
        };
        let outcomes: Vec<Outcome> = targets.iter().map(|target| self.outcome_of(target, check)).collect();
        let gone = succeeded(&outcomes);
        if gone.is_empty() {
            return Ok(outcomes);
        }
        let group = self.group(id)?;
        let people = gone.iter().map(|number| self.participant_node(group.addressing, number).build());
        let news = NodeBuilder::new("revoked_membership_requests").children(people.collect::<Vec<_>>()).build();
        let mut audience = group.admins();
        audience.extend(gone.iter().filter(|number| !group.is_admin(number)).cloned());
        self.change_group(id, |group| gone.iter().for_each(|number| drop(group.requests.remove(number))))?;
        self.tell(id, Some(by), &audience, vec![news]);
        Ok(outcomes)
    }
}
