//! Who is in a group and what they may do there: add, remove, promote, demote, leave.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::iq::Target;
use super::model::{Group, Invite, Place, Rank, RequestMethod, Who};
use super::notify::Newcomers;
use super::refusal::{Done, Refusal};
use super::{MEMBERS_MAX, Network, group_jid};
use crate::wire;

/// Members of a community, and of its announcement group.
const COMMUNITY_MEMBERS_MAX: usize = 5_000;
/// Groups in one request to leave.
const LEAVES_MAX: usize = 1_000;
/// What a participant's result says when nothing went wrong; whatsapp-rust's own tests wait for it.
const SUCCESS: &str = "200";
/// The same for somebody who now waits for an admin.
const ACCEPTED: &str = "202";

/// A change of the member list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Add,
    Remove,
    Promote,
    Demote,
}

impl Change {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "add" => Some(Self::Add),
            "remove" => Some(Self::Remove),
            "promote" => Some(Self::Promote),
            "demote" => Some(Self::Demote),
            _ => None,
        }
    }

    fn tag(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Promote => "promote",
            Self::Demote => "demote",
        }
    }
}

/// What became of one participant of a request.
pub(super) struct Outcome {
    /// As the request named them.
    pub(super) jid: Jid,
    /// Their number, if they are known here.
    pub(super) number: Option<String>,
    pub(super) result: Result<&'static str, Refusal>,
    /// What they can be sent instead of being added.
    pub(super) invite: Option<Invite>,
}

impl Network {
    /// Carries out a change with a result for each participant.
    pub(super) fn change_members(&mut self, id: &str, by: &str, change: Change, targets: &[Target]) -> Done<Vec<Outcome>> {
        match change {
            Change::Add => self.add_members(id, by, targets),
            Change::Remove => self.remove_members(id, by, targets),
            Change::Promote => self.rank_members(id, by, Rank::Admin, targets),
            Change::Demote => self.rank_members(id, by, Rank::Member, targets),
        }
    }

    fn add_members(&mut self, id: &str, by: &str, targets: &[Target]) -> Done<Vec<Outcome>> {
        let group = self.group_of_member(id, by)?;
        let is_admin = group.is_admin(by);
        if !is_admin && group.settings.add == Who::Admins {
            return Err(Refusal::FORBIDDEN);
        }
        let waits = !is_admin && group.settings.approval;
        let mut room = self.room_in(group);
        let mut outcomes = Vec::with_capacity(targets.len());
        let mut admitted = Vec::new();
        for target in targets {
            let mut outcome = self.outcome_of(target, |network, number| network.check_newcomer(id, number));
            if let (Some(number), Ok(_)) = (outcome.number.clone(), &outcome.result) {
                if !self.may_be_added_by(&number, by) {
                    outcome.result = Err(Refusal::FORBIDDEN);
                    outcome.invite = self.invite_privately(id, by, &number);
                } else if admitted.contains(&number) {
                    outcome.result = Err(Refusal::CONFLICT);
                } else if room == 0 {
                    outcome.result = Err(Refusal::FULL);
                } else if waits {
                    outcome.result = self.ask_for_admission(id, by, &number, RequestMethod::NonAdminAdd).map(|()| ACCEPTED);
                } else {
                    room -= 1;
                    admitted.push(number);
                }
            }
            outcomes.push(outcome);
        }
        self.enter(id, by, &admitted, None);
        Ok(outcomes)
    }

    /// How many more a group takes.
    pub(super) fn room_in(&self, group: &Group) -> usize {
        let members_max = match group.place {
            Place::Parent { .. } | Place::Announcements { .. } => COMMUNITY_MEMBERS_MAX,
            _ => MEMBERS_MAX,
        };
        members_max.saturating_sub(group.members.len())
    }

    /// Whether somebody could come into a group, apart from the room there is for them.
    pub(super) fn check_newcomer(&self, id: &str, number: &str) -> Done<()> {
        let group = self.group(id)?;
        if group.members.contains_key(number) {
            return Err(Refusal::CONFLICT);
        }
        if !self.may_join_one_more(number) {
            return Err(Refusal::FULL);
        }
        let parent = group.parent().and_then(|parent| self.group(parent).ok());
        if parent.is_some_and(|parent| !parent.members.contains_key(number) && self.room_in(parent) == 0) {
            return Err(Refusal::COMMUNITY_FULL);
        }
        Ok(())
    }

    /// Finds out whom a request means, and what `check` says about them.
    pub(super) fn outcome_of(&self, target: &Target, check: impl FnOnce(&Self, &str) -> Done<()>) -> Outcome {
        let number = self.number_of(&target.jid).or_else(|| self.number_of(target.number.as_ref()?));
        let result = match &number {
            Some(number) => check(self, number).map(|()| SUCCESS),
            None => Err(Refusal::NOT_FOUND),
        };
        Outcome { jid: target.jid.clone(), number, result, invite: None }
    }

    /// Lets people in and tells everybody. Who comes into a group of a community comes into the community, and with that
    /// into its announcements and its general chat.
    pub(super) fn enter(&mut self, id: &str, by: &str, numbers: &[String], reason: Option<&'static str>) {
        let Ok(group) = self.group(id) else { return };
        let before = group.numbers();
        let newcomers: Vec<String> = numbers.iter().filter(|number| !group.members.contains_key(*number)).cloned().collect();
        if newcomers.is_empty() {
            return;
        }
        let people = newcomers.iter().map(|number| self.participant_node(group.addressing, number).build());
        let mut add = NodeBuilder::new("add").children(people.collect::<Vec<_>>());
        if let Some(reason) = reason {
            add = add.attr("reason", reason);
        }
        let also = match group.parent() {
            Some(parent) => vec![parent.to_owned()],
            None => self.common_groups(id),
        };
        let now_s = self.now_s();
        let admitted = self.change_group(id, |group| newcomers.iter().for_each(|number| group.admit(number, now_s)));
        if admitted.is_err() {
            return;
        }
        self.tell(id, Some(by), &before, vec![add.build()]);
        self.tell_newcomers(id, by, &newcomers, &Newcomers::Joined { reason });
        for also in also {
            self.enter(&also, by, &newcomers, reason);
        }
    }

    fn remove_members(&mut self, id: &str, by: &str, targets: &[Target]) -> Done<Vec<Outcome>> {
        self.group_of_admin(id, by)?;
        let outcomes: Vec<Outcome> = targets
            .iter()
            .map(|target| self.outcome_of(target, |network, number| network.check_leaver(id, by, number)))
            .collect();
        let removed = succeeded(&outcomes);
        self.part(id, by, &removed);
        Ok(outcomes)
    }

    pub(super) fn check_leaver(&self, id: &str, by: &str, number: &str) -> Done<()> {
        match self.group(id)?.members.get(number) {
            None => Err(Refusal::NOT_FOUND),
            Some(member) if member.rank == Rank::SuperAdmin && number != by => Err(Refusal::NOT_ALLOWED),
            Some(_) => Ok(()),
        }
    }

    /// Takes people out of a group and tells everybody, those who are out too. Who leaves a community leaves its
    /// announcements and its general chat, and who leaves the announcements leaves the community.
    pub(super) fn part(&mut self, id: &str, by: &str, numbers: &[String]) {
        let Ok(group) = self.group(id) else { return };
        let before = group.numbers();
        let leavers: Vec<String> = numbers.iter().filter(|number| group.members.contains_key(*number)).cloned().collect();
        if leavers.is_empty() {
            return;
        }
        let people = leavers.iter().map(|number| self.participant_node(group.addressing, number).build());
        let remove = NodeBuilder::new("remove").children(people.collect::<Vec<_>>()).build();
        let also = match &group.place {
            Place::Announcements { parent } => vec![parent.clone()],
            _ => self.common_groups(id),
        };
        let parted = self.change_group(id, |group| {
            for number in &leavers {
                group.members.remove(number);
                if number != by {
                    group.remember_removed(number);
                }
            }
            group.heir()
        });
        let Ok(heir) = parted else { return };
        for number in &leavers {
            if let Some(groups) = self.groups.of_account.get_mut(number) {
                groups.remove(id);
            }
        }
        self.tell(id, Some(by), &before, vec![remove]);
        if let Some(heir) = heir {
            self.change_ranks(id, None, &[heir], Rank::Admin);
        }
        if self.group(id).is_ok_and(|group| group.members.is_empty()) {
            self.detach_linked_groups(id);
            self.remove_group(id);
        }
        for also in also {
            self.part(&also, by, &leavers);
        }
    }

    fn rank_members(&mut self, id: &str, by: &str, rank: Rank, targets: &[Target]) -> Done<Vec<Outcome>> {
        let group = self.group_of_admin(id, by)?;
        let mut admins = group.admins().len();
        let mut outcomes = Vec::with_capacity(targets.len());
        for target in targets {
            let mut outcome = self.outcome_of(target, |network, number| network.check_rank(id, by, rank, number));
            let loses = rank == Rank::Member
                && outcome.result.is_ok()
                && outcome.number.as_ref().is_some_and(|number| self.group(id).is_ok_and(|group| group.is_admin(number)));
            // Somebody must be left who can act.
            if loses && admins == 1 {
                outcome.result = Err(Refusal::NOT_ALLOWED);
            } else if loses {
                admins -= 1;
            }
            outcomes.push(outcome);
        }
        let changed = succeeded(&outcomes);
        self.change_ranks(id, Some(by), &changed, rank);
        Ok(outcomes)
    }

    fn check_rank(&self, id: &str, by: &str, rank: Rank, number: &str) -> Done<()> {
        match self.group(id)?.members.get(number) {
            None => Err(Refusal::NOT_FOUND),
            Some(member) if rank == Rank::Member && member.rank == Rank::SuperAdmin && number != by => {
                Err(Refusal::NOT_ALLOWED)
            }
            Some(_) => Ok(()),
        }
    }

    /// Makes members admins or admins members, and tells everybody. The admins of a community are those of
    /// its announcements and its general chat.
    fn change_ranks(&mut self, id: &str, by: Option<&str>, numbers: &[String], rank: Rank) {
        let Ok(group) = self.group(id) else { return };
        let differs =
            |number: &&String| group.members.get(*number).is_some_and(|member| member.rank.is_admin() != rank.is_admin());
        let changed: Vec<String> = numbers.iter().filter(differs).cloned().collect();
        if changed.is_empty() {
            return;
        }
        let change = if rank.is_admin() { Change::Promote } else { Change::Demote };
        let people = changed.iter().map(|number| self.ranked_node(group.addressing, number, rank));
        let node = NodeBuilder::new(change.tag()).children(people.collect::<Vec<_>>()).build();
        let also = match &group.place {
            Place::Announcements { parent } => vec![parent.clone()],
            _ => self.common_groups(id),
        };
        let ranked = self.change_group(id, |group| {
            for number in &changed {
                if let Some(member) = group.members.get_mut(number) {
                    member.rank = rank;
                }
            }
        });
        if ranked.is_err() {
            return;
        }
        self.tell_members(id, by, node);
        for also in also {
            self.change_ranks(&also, by, &changed, rank);
        }
    }

    /// `<leave>` names groups, communities, or all groups of a community.
    pub(super) fn leave_by_node(&mut self, asker: &str, body: &Node) -> Vec<Node> {
        let mut answers = Vec::new();
        for named in wire::children(body).iter().take(LEAVES_MAX) {
            let everywhere = named.tag == "linked_groups";
            let name = wire::attribute(named, if everywhere { "parent_group_jid" } else { "id" }).unwrap_or_default();
            let id = name.strip_suffix("@g.us").unwrap_or(&name);
            let left = if everywhere { self.leave_community(id, asker) } else { self.leave_group(id, asker) };
            let mut answer = NodeBuilder::new_dynamic(named.tag.to_string()).attr("id", group_jid(id));
            if let Err(refusal) = left {
                answer = answer.attr("error", refusal.code);
            }
            answers.push(answer.build());
        }
        vec![NodeBuilder::new("leave").children(answers).build()]
    }

    /// Somebody goes of their own accord.
    pub(super) fn leave_group(&mut self, id: &str, number: &str) -> Done<()> {
        self.group_of_member(id, number).map_err(|_| Refusal::NOT_FOUND)?;
        self.part(id, number, &[number.to_owned()]);
        Ok(())
    }

    /// One participant's part of an answer: under the name the group uses, so that the client finds them in what it knows.
    pub(super) fn outcome_node(&self, id: &str, outcome: &Outcome) -> Node {
        let mut node = match (&outcome.number, self.group(id)) {
            (Some(number), Ok(group)) => self.participant_node(group.addressing, number),
            _ => NodeBuilder::new("participant").attr("jid", &outcome.jid),
        };
        node = match outcome.result {
            Ok(status) => node.attr("type", status),
            Err(refusal) => node.attr("error", refusal.code),
        };
        match &outcome.invite {
            Some(invite) => node.children([add_request_node(invite)]).build(),
            None => node.build(),
        }
    }
}

/// What can be sent to somebody who may not be added (wacore 0.7.0 `AddRequestInfo`).
fn add_request_node(invite: &Invite) -> Node {
    NodeBuilder::new("add_request").attr("code", &invite.code).attr("expiration", invite.expires_s).build()
}

/// The accounts for which a request went well.
pub(super) fn succeeded(outcomes: &[Outcome]) -> Vec<String> {
    let done = outcomes.iter().filter(|outcome| outcome.result.is_ok());
    done.filter_map(|outcome| outcome.number.clone()).collect()
}
