//! Invitations: the code that everybody with the link can use, and those for one account.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::info::Shown;
use super::iq::{Target, invite_node};
use super::members::Outcome;
use super::model::{Group, Invite, Place, RequestMethod, Who};
use super::refusal::{Done, Refusal};
use super::{Network, group_jid, new_code};
use crate::wire;

/// How long an invitation for one account is good.
const INVITE_S: u64 = 3 * 24 * 60 * 60;
/// Invitations that one group keeps.
const INVITES_MAX: usize = 1_024;

impl Network {
    /// The code in the group's link. It is for admins, unless they have opened it to all members.
    pub(super) fn answer_code(&self, id: &str, asker: &str) -> Done<Vec<Node>> {
        let group = self.group_of_member(id, asker)?;
        if group.settings.link == Who::Admins && !group.is_admin(asker) {
            return Err(Refusal::NOT_AUTHORIZED);
        }
        if group.is_growth_locked(self.now_s()) {
            return Err(Refusal::GROWTH_LOCKED);
        }
        Ok(vec![invite_node(&group.invite_code)])
    }

    /// Makes a new code; the one before leads nowhere from now on.
    pub(super) fn revoke_code(&mut self, id: &str, by: &str) -> Done<String> {
        let group = self.group_of_member(id, by)?;
        if !group.is_admin(by) {
            return Err(Refusal::NOT_AUTHORIZED);
        }
        let code = new_code();
        let forgotten = self.change_group(id, |group| group.renew_code(code.clone()))?;
        if let Some(forgotten) = forgotten {
            self.groups.id_by_code.remove(&forgotten);
        }
        let audience = self.group(id)?.numbers();
        // Baileys 7 reads the first element only, and for it this is what a reset looks like.
        let changes = vec![invite_node(&code), NodeBuilder::new("revoke").build()];
        self.tell(id, Some(by), &audience, changes);
        Ok(code)
    }

    /// What a link shows before one joins.
    pub(super) fn answer_code_info(&self, code: &str) -> Done<Vec<Node>> {
        let (id, group) = self.behind_code(code)?;
        Ok(self.group_nodes(id, group, Shown::OUTSIDE))
    }

    /// Somebody uses a link: they come in, or wait for an admin.
    pub(super) fn accept_code(&mut self, number: &str, code: &str) -> Done<Vec<Node>> {
        let (id, group) = self.behind_code(code)?;
        let (id, needs_approval) = (id.to_owned(), needs_approval(group));
        self.check_joiner(&id, number)?;
        if needs_approval {
            self.ask_for_admission(&id, number, number, RequestMethod::InviteLink)?;
            let waits = NodeBuilder::new("membership_approval_request").attr("jid", group_jid(&id));
            return Ok(vec![waits.build()]);
        }
        self.enter(&id, number, &[number.to_owned()], Some("invite"));
        Ok(self.joined_nodes(&id))
    }

    /// Whether somebody who comes of their own accord may come in.
    pub(super) fn check_joiner(&self, id: &str, number: &str) -> Done<()> {
        let group = self.group(id)?;
        if group.members.contains_key(number) {
            return Err(Refusal::ALREADY_IN);
        }
        if group.removed.contains(number) {
            return Err(Refusal::NOT_ALLOWED);
        }
        if self.room_in(group) == 0 {
            return Err(Refusal::FULL);
        }
        self.check_newcomer(id, number)
    }

    fn behind_code(&self, code: &str) -> Done<(&str, &Group)> {
        let id = self.groups.id_by_code.get(code).ok_or(Refusal::NOT_ACCEPTABLE)?;
        let group = self.group(id)?;
        if group.invite_code != code {
            return Err(Refusal::GONE);
        }
        if group.is_growth_locked(self.now_s()) {
            return Err(Refusal::GROWTH_LOCKED);
        }
        Ok((id, group))
    }

    /// The answer to who has joined. Baileys 7 looks for communities under their own name.
    fn joined_nodes(&self, id: &str) -> Vec<Node> {
        let node = |tag: &'static str| NodeBuilder::new(tag).attr("jid", group_jid(id)).build();
        match self.group(id) {
            Ok(group) if group.is_parent() => vec![node("group"), node("community")],
            _ => vec![node("group")],
        }
    }

    /// Makes an invitation for somebody who lets nobody add them.
    pub(super) fn invite_privately(&mut self, id: &str, by: &str, number: &str) -> Option<Invite> {
        let invite = Invite { code: new_code(), expires_s: self.now_s() + INVITE_S, by: by.to_owned() };
        let kept = self.change_group(id, |group| {
            let room = group.invites.len() < INVITES_MAX || group.invites.contains_key(number);
            if room {
                group.invites.insert(number.to_owned(), invite.clone());
            }
            room
        });
        kept.is_ok_and(|kept| kept).then_some(invite)
    }

    /// `<accept code expiration admin/>`: somebody uses the invitation that an admin has sent them.
    pub(super) fn accept_invite(&mut self, id: &str, number: &str, node: &Node) -> Done<Vec<Node>> {
        let group = self.group(id)?;
        if group.members.contains_key(number) {
            return Err(Refusal::ALREADY_IN);
        }
        let invite = group.invites.get(number).ok_or(Refusal::NOT_FOUND)?.clone();
        let admin = wire::address(node, "admin").and_then(|jid| self.number_of(&jid));
        let fits = wire::attribute_is(node, "code", &invite.code) && admin.as_ref() == Some(&invite.by);
        if !fits {
            return Err(Refusal::NOT_ACCEPTABLE);
        }
        if invite.expires_s < self.now_s() {
            return Err(Refusal::GONE);
        }
        if self.room_in(group) == 0 {
            return Err(Refusal::FULL);
        }
        self.check_newcomer(id, number)?;
        self.enter(id, &invite.by, &[number.to_owned()], Some("invite"));
        Ok(self.joined_nodes(id))
    }

    /// `<revoke><participant/></revoke>`: an admin takes invitations back.
    pub(super) fn revoke_invites(&mut self, id: &str, by: &str, targets: &[Target]) -> Done<Vec<Node>> {
        self.group_of_admin(id, by)?;
        let check = |network: &Self, number: &str| {
            let invited = network.group(id)?.invites.contains_key(number);
            if invited { Ok(()) } else { Err(Refusal::NOT_FOUND) }
        };
        let outcomes: Vec<Outcome> = targets.iter().map(|target| self.outcome_of(target, check)).collect();
        self.change_group(id, |group| {
            for number in outcomes.iter().filter_map(|outcome| outcome.number.as_ref()) {
                group.invites.remove(number);
            }
        })?;
        let nodes: Vec<Node> = outcomes.iter().map(|outcome| self.outcome_node(id, outcome)).collect();
        Ok(vec![NodeBuilder::new("revoke").children(nodes).build()])
    }

    /// Whether an account can only be invited to groups.
    pub(in crate::network) fn takes_invites_only(&self, number: &str) -> bool {
        self.groups.invite_only.contains(number)
    }

    /// Sets whether an account can be added to groups, or only be invited: what its privacy setting `groupadd` says.
    pub(in crate::network) fn set_invite_only(&mut self, number: &str, invite_only: bool) {
        let key = format!("group_privacy/{number}");
        if invite_only {
            self.groups.invite_only.insert(number.to_owned());
            self.out.records.push((key, Some(serde_json::Value::Bool(true))));
        } else {
            self.groups.invite_only.remove(number);
            self.out.records.push((key, None));
        }
    }
}

/// Whether an admin must consent before somebody comes in.
pub(super) fn needs_approval(group: &Group) -> bool {
    group.settings.approval || matches!(group.place, Place::Parent { approval: true, .. })
}
