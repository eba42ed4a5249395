//! Communities: a parent that is no chat itself, and the groups linked to it.

use std::collections::BTreeSet;

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::info::Shown;
use super::invites::needs_approval;
use super::iq::Target;
use super::members::{Outcome, succeeded};
use super::model::{Group, Place, RequestMethod};
use super::refusal::{Done, Refusal};
use super::{Network, group_jid};
use crate::wire;

/// Groups linked to one community.
const LINKED_MAX: usize = 100;

impl Network {
    /// Requests that a community serves, beyond those of every group.
    pub(super) fn serve_community(&mut self, id: &str, asker: &str, sets: bool, body: &Node) -> Option<Done<Vec<Node>>> {
        let subgroup = wire::address(body, "jid").map(|jid| jid.user.to_string()).unwrap_or_default();
        Some(match (body.tag.as_ref(), sets) {
            ("links", true) => self.link_by_node(id, asker, body),
            ("unlink", true) => self.unlink_by_node(id, asker, body),
            ("delete_parent", true) => self.delete_community(id, asker),
            ("join_linked_group", true) => self.join_linked(id, asker, &subgroup),
            ("query_linked", false) => self.answer_linked(id, asker, &subgroup),
            ("sub_groups", false) => self.answer_subgroups(id, asker),
            ("linked_groups_participants", false) => self.answer_linked_participants(id, asker),
            _ => return None,
        })
    }

    /// A community that the account is in.
    pub(super) fn community_of_member(&self, id: &str, number: &str) -> Done<&Group> {
        let group = self.group_of_member(id, number)?;
        if group.is_parent() { Ok(group) } else { Err(Refusal::NOT_ACCEPTABLE) }
    }

    fn community_of_admin(&self, id: &str, number: &str) -> Done<&Group> {
        self.community_of_member(id, number)?;
        self.group_of_admin(id, number)
    }

    /// Whether somebody may add a group to a community.
    pub(super) fn check_new_subgroup(&self, parent: &str, by: &str) -> Done<()> {
        let community = self.community_of_member(parent, by)?;
        let open = matches!(community.place, Place::Parent { open: true, .. });
        if !open && !community.is_admin(by) {
            return Err(Refusal::FORBIDDEN);
        }
        if self.linked_groups(parent).len() >= LINKED_MAX { Err(Refusal::NOT_ACCEPTABLE) } else { Ok(()) }
    }

    /// A new group of a community: its members come into the community, and the community hears of it.
    pub(super) fn welcome_subgroup(&mut self, parent: &str, id: &str, by: &str) {
        let members = self.group(id).map(Group::numbers).unwrap_or_default();
        self.enter(parent, by, &members, Some("linked_group_join"));
        let link =
            |kind: &'static str, other: Node| NodeBuilder::new("link").attr("link_type", kind).children([other]).build();
        let to_parent = link("sub_group", self.group_name_node(id).build());
        let to_group = link("parent_group", self.group_name_node(parent).build());
        self.tell_members(parent, Some(by), to_parent);
        self.tell_members(id, Some(by), to_group);
    }

    /// `<links><link link_type="sub_group"><group jid/></link></links>`, answered in the same shape.
    fn link_by_node(&mut self, parent: &str, by: &str, node: &Node) -> Done<Vec<Node>> {
        self.community_of_admin(parent, by)?;
        let asked = node.get_optional_child("link").ok_or(Refusal::BAD_REQUEST)?;
        let mut answers = Vec::new();
        for jid in asked.get_children_by_tag("group").take(LINKED_MAX).filter_map(|group| wire::address(group, "jid")) {
            let mut answer = NodeBuilder::new("group").attr("jid", &jid);
            if let Err(refusal) = self.link_group(parent, &jid.user, by) {
                answer = answer.attr("error", refusal.code);
            }
            answers.push(answer.build());
        }
        let link = NodeBuilder::new("link").attr("link_type", "sub_group").children(answers).build();
        Ok(vec![NodeBuilder::new("links").children([link]).build()])
    }

    fn link_group(&mut self, parent: &str, id: &str, by: &str) -> Done<()> {
        self.check_new_subgroup(parent, by)?;
        let group = self.group_of_admin(id, by)?;
        if group.place != Place::Alone {
            return Err(Refusal::CONFLICT);
        }
        let community = self.group(parent)?;
        let newcomers = group.members.keys().filter(|number| !community.members.contains_key(*number)).count();
        if newcomers > self.room_in(community) {
            return Err(Refusal::COMMUNITY_FULL);
        }
        self.change_group(id, |group| group.place = Place::Linked { parent: parent.to_owned() })?;
        self.welcome_subgroup(parent, id, by);
        Ok(())
    }

    /// `<unlink unlink_type="sub_group"><group jid remove_orphaned_members?/></unlink>`.
    fn unlink_by_node(&mut self, parent: &str, by: &str, node: &Node) -> Done<Vec<Node>> {
        self.community_of_admin(parent, by)?;
        let mut answers = Vec::new();
        for asked in node.get_children_by_tag("group").take(LINKED_MAX) {
            let Some(jid) = wire::address(asked, "jid") else { continue };
            let orphans = wire::attribute_is(asked, "remove_orphaned_members", "true");
            let mut answer = NodeBuilder::new("group").attr("jid", &jid);
            if let Err(refusal) = self.unlink_group(parent, &jid.user, by, orphans) {
                answer = answer.attr("error", refusal.code);
            }
            answers.push(answer.build());
        }
        Ok(vec![NodeBuilder::new("unlink").attr("unlink_type", "sub_group").children(answers).build()])
    }

    fn unlink_group(&mut self, parent: &str, id: &str, by: &str, orphans: bool) -> Done<()> {
        let group = self.group(id)?;
        if group.parent() != Some(parent) {
            return Err(Refusal::NOT_FOUND);
        }
        if matches!(group.place, Place::Announcements { .. }) {
            return Err(Refusal::NOT_ALLOWED);
        }
        let members = group.numbers();
        self.change_group(id, |group| group.place = Place::Alone)?;
        let unlink = |kind: &'static str, other: Node| {
            NodeBuilder::new("unlink")
                .attr("unlink_type", kind)
                .attr("unlink_reason", "unlink_group")
                .children([other])
                .build()
        };
        let from_parent = unlink("sub_group", self.group_name_node(id).build());
        let from_group = unlink("parent_group", self.group_name_node(parent).build());
        self.tell_members(parent, Some(by), from_parent);
        self.tell_members(id, Some(by), from_group);
        if orphans {
            let kept = self.members_of_subgroups(parent);
            let is_orphan = |number: &String| {
                !kept.contains(number) && !self.group(parent).is_ok_and(|community| community.is_admin(number))
            };
            let gone: Vec<String> = members.into_iter().filter(is_orphan).collect();
            self.part(parent, by, &gone);
        }
        Ok(())
    }

    /// Everybody who is in some group of a community beside its announcements.
    fn members_of_subgroups(&self, parent: &str) -> BTreeSet<String> {
        let linked = self.linked_groups(parent);
        let groups = linked.iter().filter_map(|id| self.groups.by_id.get(id));
        groups.filter(|group| !matches!(group.place, Place::Announcements { .. })).flat_map(Group::numbers).collect()
    }

    /// Ends a community. Its announcements go with it, its other groups stay for themselves.
    fn delete_community(&mut self, id: &str, by: &str) -> Done<Vec<Node>> {
        self.community_of_admin(id, by)?;
        self.detach_linked_groups(id);
        let delete = NodeBuilder::new("delete").attr("reason", "delete_parent").build();
        self.tell_members(id, Some(by), delete);
        self.remove_group(id);
        Ok(Vec::new())
    }

    /// Lets the groups of a community that ends stand alone.
    pub(super) fn detach_linked_groups(&mut self, parent: &str) {
        for id in self.linked_groups(parent) {
            if self.group(&id).is_ok_and(|group| matches!(group.place, Place::Announcements { .. })) {
                let delete = NodeBuilder::new("delete").attr("reason", "delete_parent").build();
                self.tell_members(&id, None, delete);
                self.remove_group(&id);
                continue;
            }
            let unlink = NodeBuilder::new("unlink")
                .attr("unlink_type", "parent_group")
                .attr("unlink_reason", "delete_parent")
                .children([self.group_name_node(parent).build()])
                .build();
            if self.change_group(&id, |group| group.place = Place::Alone).is_ok() {
                self.tell_members(&id, None, unlink);
            }
        }
    }

    /// A group of a community, as members of the community see it whether they are in it or not.
    fn linked_group(&self, parent: &str, asker: &str, id: &str) -> Done<&Group> {
        self.community_of_member(parent, asker)?;
        let group = self.group(id)?;
        if group.parent() == Some(parent) { Ok(group) } else { Err(Refusal::NOT_FOUND) }
    }

    fn answer_linked(&self, parent: &str, asker: &str, id: &str) -> Done<Vec<Node>> {
        let group = self.linked_group(parent, asker, id)?;
        let node = self.group_node(id, group, Shown::ALL);
        Ok(vec![NodeBuilder::new("linked_group").children([node]).build()])
    }

    /// A member of a community goes into one of its groups.
    fn join_linked(&mut self, parent: &str, number: &str, id: &str) -> Done<Vec<Node>> {
        let needs_approval = needs_approval(self.linked_group(parent, number, id)?);
        self.check_joiner(id, number)?;
        if needs_approval {
            self.ask_for_admission(id, number, number, RequestMethod::LinkedGroupJoin)?;
            return Ok(vec![NodeBuilder::new("membership_approval_request").attr("jid", group_jid(id)).build()]);
        }
        self.enter(id, number, &[number.to_owned()], Some("linked_group_join"));
        self.answer_linked(parent, number, id)
    }

    /// `<sub_groups/>`, as Baileys 7 `communityFetchLinkedGroups` reads the answer.
    fn answer_subgroups(&self, parent: &str, asker: &str) -> Done<Vec<Node>> {
        self.community_of_member(parent, asker)?;
        let short = Shown { members: false, description: false };
        let linked = self.linked_groups(parent);
        let nodes = linked.iter().filter_map(|id| Some(self.group_node(id, self.groups.by_id.get(id)?, short)));
        Ok(vec![NodeBuilder::new("sub_groups").children(nodes.collect::<Vec<_>>()).build()])
    }

    /// `<linked_groups_participants/>`: everybody in any group of the community, once.
    fn answer_linked_participants(&self, parent: &str, asker: &str) -> Done<Vec<Node>> {
        let community = self.community_of_member(parent, asker)?;
        let linked = self.linked_groups(parent);
        let numbers: BTreeSet<&String> =
            linked.iter().filter_map(|id| self.groups.by_id.get(id)).flat_map(|group| group.members.keys()).collect();
        let nodes = numbers.into_iter().map(|number| self.participant_node(community.addressing, number).build());
        Ok(vec![NodeBuilder::new("linked_groups_participants").children(nodes.collect::<Vec<_>>()).build()])
    }

    /// `<remove linked_groups="true">`: out of the community and of all its groups.
    pub(super) fn remove_from_community(&mut self, id: &str, by: &str, targets: &[Target]) -> Done<Vec<Outcome>> {
        self.community_of_admin(id, by)?;
        let outcomes: Vec<Outcome> = targets
            .iter()
            .map(|target| self.outcome_of(target, |network, number| network.check_leaver(id, by, number)))
            .collect();
        self.part_from_community(id, by, &succeeded(&outcomes));
        Ok(outcomes)
    }

    /// Somebody leaves a community with all its groups.
    pub(super) fn leave_community(&mut self, id: &str, number: &str) -> Done<()> {
        self.community_of_member(id, number)?;
        self.part_from_community(id, number, &[number.to_owned()]);
        Ok(())
    }

    fn part_from_community(&mut self, id: &str, by: &str, numbers: &[String]) {
        for linked in self.linked_groups(id) {
            self.part(&linked, by, numbers);
        }
        self.part(id, by, numbers);
    }
}
