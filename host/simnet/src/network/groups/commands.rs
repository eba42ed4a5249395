//! What the control API asks about groups. A phone's user acts under the same rules as a client.

use serde::Deserialize;
use serde_json::{Value, json};
use wacore_binary::{Jid, Server};

use super::create::Creation;
use super::iq::Target;
use super::members::{Change, Outcome};
use super::model::{Addressing, Group, Mode, Place, Rank};
use super::refusal::Refusal;
use super::{MEMBERS_MAX, Network, group_jid};
use crate::address::{DeviceKey, Space, parse_number};
use crate::network::CommandFault;
use crate::random;

/// Why something about a group was not done. Shown to the caller as is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GroupFault {
    #[error("no group has the address {0:?}")]
    NoGroup(String),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("{count} participants are given; 1 to {MEMBERS_MAX} are allowed")]
    Participants { count: usize },
    #[error("addressing mode {0:?} is unknown; expected lid or pn")]
    Addressing(String),
    #[error("action {0:?} is unknown; expected one of: add, remove, promote, demote, leave, join, approve, reject")]
    Action(String),
    #[error("somebody must change {0}: \"by\" is missing")]
    NobodyActs(&'static str),
}

/// A group to be made. The first participant is its creator.
#[derive(Debug, Deserialize)]
pub(crate) struct GroupBody {
    subject: String,
    participants: Vec<String>,
    description: Option<String>,
    addressing_mode: Option<String>,
}

/// Something that a phone's user does about the members of a group. Without numbers it is about themselves.
#[derive(Debug, Deserialize)]
pub(crate) struct GroupAct {
    by: String,
    action: String,
    #[serde(default)]
    numbers: Vec<String>,
}

/// Changes of a group by a phone's user. `growth_locked_s` is the server's own doing and needs nobody.
#[derive(Debug, Deserialize)]
pub(crate) struct GroupPatch {
    by: Option<String>,
    subject: Option<String>,
    description: Option<String>,
    locked: Option<bool>,
    announcement: Option<bool>,
    ephemeral_s: Option<u32>,
    approval: Option<bool>,
    growth_locked_s: Option<u64>,
}

impl Network {
    /// Makes a group by a phone's user; its address, and what became of the other participants.
    pub(crate) fn create_group_by_command(&mut self, body: GroupBody) -> Result<Value, CommandFault> {
        let count = body.participants.len();
        if count > MEMBERS_MAX {
            return Err(GroupFault::Participants { count }.into());
        }
        let numbers = self.known_numbers(&body.participants)?;
        let (creator, others) = numbers.split_first().ok_or(GroupFault::Participants { count })?;
        let addressing = match &body.addressing_mode {
            Some(mode) => Addressing::parse(mode).ok_or_else(|| GroupFault::Addressing(mode.clone()))?,
            None => Addressing::Lid,
        };
        let mut creation = Creation::plain(&body.subject, addressing, targets(others));
        creation.description = body.description.map(|text| (random::stanza_id(), text));
        let (id, outcomes) = self.create_group(creator, creation).map_err(GroupFault::from)?;
        Ok(json!({ "jid": group_jid(&id).to_string(), "results": results(&outcomes) }))
    }

    /// All groups.
    pub(crate) fn groups(&self) -> Value {
        self.groups.by_id.iter().map(|(id, group)| self.group_summary(id, group)).collect()
    }

    /// One group.
    pub(crate) fn group_by_command(&self, jid: &str) -> Result<Value, CommandFault> {
        let id = self.group_named(jid)?;
        let group = self.group(&id).map_err(GroupFault::from)?;
        Ok(self.group_summary(&id, group))
    }

    /// A phone's user changes who is in a group.
    pub(crate) fn act_in_group(&mut self, jid: &str, act: &GroupAct) -> Result<Value, CommandFault> {
        let id = self.group_named(jid)?;
        let by = self.known_number(&act.by)?;
        let numbers = self.known_numbers(&act.numbers)?;
        if numbers.len() > MEMBERS_MAX {
            return Err(GroupFault::Participants { count: numbers.len() }.into());
        }
        let targets = targets(&numbers);
        let outcomes = match act.action.as_str() {
            "leave" => self.leave_group(&id, &by).map(|()| Vec::new()),
            "join" => {
                let code = self.group(&id).map(|group| group.invite_code.clone());
                code.and_then(|code| self.accept_code(&by, &code)).map(|_| Vec::new())
            }
            "approve" => self.group_of_admin(&id, &by).map(|_| ()).and_then(|()| self.approve_requests(&id, &by, &targets)),
            "reject" => self
                .group_of_admin(&id, &by)
                .map(|_| ())
                .and_then(|()| self.withdraw_requests(&id, &by, &targets, |_, _| true)),
            action => {
                let change = Change::parse(action).ok_or_else(|| GroupFault::Action(action.to_owned()))?;
                self.change_members(&id, &by, change, &targets)
            }
        };
        let outcomes = outcomes.map_err(GroupFault::from)?;
        Ok(json!({ "results": results(&outcomes) }))
    }

    /// A phone's user changes what a group is called or allows. What is named first is changed first; a refusal ends it.
    pub(crate) fn patch_group(&mut self, jid: &str, patch: &GroupPatch) -> Result<Value, CommandFault> {
        let id = self.group_named(jid)?;
        let by = patch.by.as_deref().map(|by| self.known_number(by)).transpose()?;
        let actor = |what: &'static str| by.as_deref().ok_or(GroupFault::NobodyActs(what));
        if let Some(subject) = &patch.subject {
            self.set_subject(&id, actor("subject")?, subject).map_err(GroupFault::from)?;
        }
        if let Some(text) = &patch.description {
            let description_id = random::stanza_id();
            self.set_description(&id, actor("description")?, &description_id, text).map_err(GroupFault::from)?;
        }
        if let Some(on) = patch.locked {
            let tag = if on { "locked" } else { "unlocked" };
            self.set_flag(&id, actor("locked")?, tag, |settings| settings.locked = on).map_err(GroupFault::from)?;
        }
        if let Some(on) = patch.announcement {
            let tag = if on { "announcement" } else { "not_announcement" };
            self.set_flag(&id, actor("announcement")?, tag, |settings| settings.announcement = on)
                .map_err(GroupFault::from)?;
        }
        if let Some(seconds) = patch.ephemeral_s {
            self.set_ephemeral(&id, actor("ephemeral_s")?, seconds, None).map_err(GroupFault::from)?;
        }
        if let Some(on) = patch.approval {
            self.set_approval(&id, actor("approval")?, on).map_err(GroupFault::from)?;
        }
        if let Some(seconds) = patch.growth_locked_s {
            self.lock_growth(&id, seconds).map_err(GroupFault::from)?;
        }
        self.group_by_command(jid)
    }

    /// Sets whether a phone's user can be added to groups, or only be invited.
    pub(crate) fn set_group_privacy(&mut self, number: &str, invite_only: bool) -> Result<(), CommandFault> {
        let number = self.known_number(number)?;
        self.set_invite_only(&number, invite_only);
        Ok(())
    }

    /// The address of a group that a phone's user may write to, if the text names one. The rest is refused when they write.
    pub(in crate::network) fn group_recipient(&self, to: &str) -> Result<Option<Jid>, CommandFault> {
        match to.parse::<Jid>() {
            Ok(jid) if jid.server == Server::Group => Ok(Some(group_jid(&self.group_named(to)?))),
            _ => Ok(None),
        }
    }

    fn group_named(&self, jid: &str) -> Result<String, GroupFault> {
        let id = jid.strip_suffix("@g.us").unwrap_or(jid);
        if self.groups.by_id.contains_key(id) { Ok(id.to_owned()) } else { Err(GroupFault::NoGroup(jid.to_owned())) }
    }

    pub(in crate::network) fn known_numbers(&self, texts: &[String]) -> Result<Vec<String>, CommandFault> {
        texts.iter().map(|text| self.known_number(text)).collect()
    }

    fn known_number(&self, text: &str) -> Result<String, CommandFault> {
        let number = parse_number(text)?;
        if self.accounts.contains_key(&number) { Ok(number) } else { Err(CommandFault::NoPhone(number)) }
    }

    fn group_summary(&self, id: &str, group: &Group) -> Value {
        let role = match group.place {
            Place::Alone => "alone",
            Place::Parent { .. } => "parent",
            Place::Announcements { .. } => "announcements",
            Place::General { .. } => "general",
            Place::Linked { .. } => "linked",
        };
        let participants = group.members.iter().map(|(number, member)| {
            let account = DeviceKey::new(number.as_str(), 0);
            json!({
                "number": number,
                "jid": self.jid_of(&account, Space::Number).to_string(),
                "lid": self.jid_of(&account, Space::Lid).to_string(),
                "admin": member.rank.is_admin(),
                "owner": member.rank == Rank::SuperAdmin,
            })
        });
        let settings = &group.settings;
        json!({
            "jid": group_jid(id).to_string(),
            "subject": group.subject,
            "description": group.description.as_ref().map(|description| &description.text),
            "creator": group.creator,
            "addressing_mode": group.addressing.wire(),
            "participants": participants.collect::<Vec<_>>(),
            "locked": settings.locked,
            "announcement": settings.announcement,
            "ephemeral_s": settings.ephemeral_s,
            "approval": settings.approval,
            "member_add_mode": Mode::Add.wire(settings.add),
            "member_link_mode": Mode::Link.wire(settings.link),
            "member_share_group_history_mode": Mode::ShareHistory.wire(settings.share_history),
            "growth_locked": group.is_growth_locked(self.now_s()),
            "invite_code": group.invite_code,
            "requests": group.requests.keys().collect::<Vec<_>>(),
            "role": role,
            "parent": group.parent().map(|parent| group_jid(parent).to_string()),
        })
    }
}

fn targets(numbers: &[String]) -> Vec<Target> {
    numbers.iter().map(|number| Target::account(Jid::pn(number.as_str()))).collect()
}

fn results(outcomes: &[Outcome]) -> Vec<Value> {
    let result = |outcome: &Outcome| {
        let status = match outcome.result {
            Ok(status) => status.to_owned(),
            Err(refusal) => refusal.code.to_string(),
        };
        json!({
            "number": outcome.number,
            "status": status,
            "invite_code": outcome.invite.as_ref().map(|invite| &invite.code),
        })
    };
    outcomes.iter().map(result).collect()
}
