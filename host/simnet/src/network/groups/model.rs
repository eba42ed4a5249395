//! What a group is, as it is kept and stored under `group/<id>`. Accounts are named by their numbers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::address::Space;

/// Invite codes that are remembered after they were revoked, so that who uses one hears that it was.
const REVOKED_CODES_MAX: usize = 16;
/// Accounts that a group remembers as removed.
const REMOVED_MAX: usize = 4_096;

/// What somebody may do in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Rank {
    Member,
    Admin,
    /// The owner: an admin whom no other admin can demote or remove.
    SuperAdmin,
}

impl Rank {
    pub(super) fn is_admin(self) -> bool {
        self != Self::Member
    }

    /// The `type` of a participant; members have none.
    pub(super) fn wire(self) -> Option<&'static str> {
        match self {
            Self::Member => None,
            Self::Admin => Some("admin"),
            Self::SuperAdmin => Some("superadmin"),
        }
    }
}

/// Under which of their two names the members of a group are addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Addressing {
    Lid,
    Pn,
}

impl Addressing {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "lid" => Some(Self::Lid),
            "pn" => Some(Self::Pn),
            _ => None,
        }
    }

    pub(super) fn wire(self) -> &'static str {
        match self {
            Self::Lid => "lid",
            Self::Pn => "pn",
        }
    }

    pub(super) fn space(self) -> Space {
        match self {
            Self::Lid => Space::Lid,
            Self::Pn => Space::Number,
        }
    }

    /// The other name.
    pub(super) fn other(self) -> Space {
        match self {
            Self::Lid => Space::Number,
            Self::Pn => Space::Lid,
        }
    }
}

/// A setting that leaves something to the admins or opens it to all members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Who {
    Admins,
    Everybody,
}

impl Who {
    /// Reads a mode whose two values begin with `admin` and `all_member`, in either case: `admin_add`, `ALL_MEMBER_LINK`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        match text.split_once('_') {
            Some(("admin", "add" | "link" | "share")) => Some(Self::Admins),
            Some(("all", "member_add" | "member_link" | "member_share")) => Some(Self::Everybody),
            _ => None,
        }
    }

    /// The value of the mode that is about `what`: `add`, `link` or `share`.
    fn wire(self, what: &str) -> String {
        match self {
            Self::Admins => format!("admin_{what}"),
            Self::Everybody => format!("all_member_{what}"),
        }
    }
}

/// What a setting for some or for all is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// To add others.
    Add,
    /// To use the link that lets people in.
    Link,
    /// To show the past to those who come.
    ShareHistory,
}

impl Mode {
    /// The element that carries it.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::Add => "member_add_mode",
            Self::Link => "member_link_mode",
            Self::ShareHistory => "member_share_group_history_mode",
        }
    }

    /// Its value on the wire.
    pub(super) fn wire(self, who: Who) -> String {
        who.wire(match self {
            Self::Add => "add",
            Self::Link => "link",
            Self::ShareHistory => "share",
        })
    }
}

/// Somebody in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Member {
    pub(super) rank: Rank,
    pub(super) joined_s: u64,
}

/// The text that describes a group. Its id tells whether somebody else has changed it in the meantime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Description {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) by: String,
    pub(super) at_s: u64,
}

/// What a group allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Settings {
    /// Only admins change name, description, picture and timer.
    pub(super) locked: bool,
    /// Only admins send messages.
    pub(super) announcement: bool,
    /// Seconds after which messages disappear, and what set that.
    pub(super) ephemeral_s: u32,
    pub(super) ephemeral_trigger: Option<u32>,
    /// Admins decide who may join.
    pub(super) approval: bool,
    pub(super) add: Who,
    pub(super) link: Who,
    pub(super) share_history: Who,
    pub(super) no_frequently_forwarded: bool,
    pub(super) admin_reports: bool,
    pub(super) history: bool,
    pub(super) limit_sharing: bool,
    /// Until when nobody may join by a link.
    pub(super) growth_locked_until_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            locked: false,
            announcement: false,
            ephemeral_s: 0,
            ephemeral_trigger: None,
            approval: false,
            add: Who::Everybody,
            link: Who::Admins,
            share_history: Who::Admins,
            no_frequently_forwarded: false,
            admin_reports: false,
            history: false,
            limit_sharing: false,
            growth_locked_until_s: 0,
        }
    }
}

/// An invitation for one account, which an admin sends as a message (`GroupInviteMessage`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Invite {
    pub(super) code: String,
    pub(super) expires_s: u64,
    pub(super) by: String,
}

/// How somebody came to ask for admission (wacore 0.7.0 `MembershipRequestMethod`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RequestMethod {
    InviteLink,
    LinkedGroupJoin,
    NonAdminAdd,
}

impl RequestMethod {
    pub(super) fn wire(self) -> &'static str {
        match self {
            Self::InviteLink => "invite_link",
            Self::LinkedGroupJoin => "linked_group_join",
            Self::NonAdminAdd => "non_admin_add",
        }
    }
}

/// Somebody who waits for an admin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct JoinRequest {
    pub(super) at_s: u64,
    pub(super) method: RequestMethod,
    /// Who asked; somebody else than the one to be admitted when a member wants to add them.
    pub(super) by: String,
}

/// Where a group stands among communities.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    #[default]
    Alone,
    /// A community itself.
    Parent {
        /// Joining needs an admin's consent.
        approval: bool,
        /// Members may add groups to it.
        open: bool,
    },
    /// The group of a community in which only admins speak.
    Announcements { parent: String },
    /// The group of a community in which all members speak.
    General { parent: String },
    /// Any other group of a community.
    Linked { parent: String },
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Group {
    pub(super) subject: String,
    pub(super) subject_by: String,
    pub(super) subject_s: u64,
    pub(super) creator: String,
    pub(super) created_s: u64,
    pub(super) addressing: Addressing,
    pub(super) description: Option<Description>,
    pub(super) members: BTreeMap<String, Member>,
    pub(super) settings: Settings,
    pub(super) place: Place,
    pub(super) invite_code: String,
    pub(super) revoked_codes: VecDeque<String>,
    pub(super) invites: BTreeMap<String, Invite>,
    pub(super) requests: BTreeMap<String, JoinRequest>,
    /// Accounts that an admin has removed; the invite link does not let them in again.
    pub(super) removed: BTreeSet<String>,
    /// Counts the changes.
    pub(super) version: u64,
}

impl Group {
    /// A group with its creator alone in it.
    pub(super) fn new(subject: &str, creator: &str, now_s: u64, addressing: Addressing, invite_code: String) -> Self {
        let owner = Member { rank: Rank::SuperAdmin, joined_s: now_s };
        Self {
            subject: subject.to_owned(),
            subject_by: creator.to_owned(),
            subject_s: now_s,
            creator: creator.to_owned(),
            created_s: now_s,
            addressing,
            description: None,
            members: BTreeMap::from([(creator.to_owned(), owner)]),
            settings: Settings::default(),
            place: Place::Alone,
            invite_code,
            revoked_codes: VecDeque::new(),
            invites: BTreeMap::new(),
            requests: BTreeMap::new(),
            removed: BTreeSet::new(),
            version: 0,
        }
    }

    pub(super) fn is_admin(&self, number: &str) -> bool {
        self.members.get(number).is_some_and(|member| member.rank.is_admin())
    }

    pub(super) fn numbers(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    pub(super) fn admins(&self) -> Vec<String> {
        self.members.iter().filter(|(_, member)| member.rank.is_admin()).map(|(number, _)| number.clone()).collect()
    }

    pub(super) fn is_parent(&self) -> bool {
        matches!(self.place, Place::Parent { .. })
    }

    /// The community a group belongs to.
    pub(super) fn parent(&self) -> Option<&str> {
        match &self.place {
            Place::Alone | Place::Parent { .. } => None,
            Place::Announcements { parent } | Place::General { parent } | Place::Linked { parent } => Some(parent),
        }
    }

    pub(super) fn is_growth_locked(&self, now_s: u64) -> bool {
        self.settings.growth_locked_until_s > now_s
    }

    /// Lets somebody in, and settles what was open between them and the group.
    pub(super) fn admit(&mut self, number: &str, now_s: u64) {
        self.requests.remove(number);
        self.invites.remove(number);
        self.removed.remove(number);
        self.members.entry(number.to_owned()).or_insert(Member { rank: Rank::Member, joined_s: now_s });
    }

    /// Notes that somebody was removed, so that the link does not bring them back.
    pub(super) fn remember_removed(&mut self, number: &str) {
        if self.removed.len() < REMOVED_MAX {
            self.removed.insert(number.to_owned());
        }
    }

    /// Replaces the invite code.
    pub(super) fn renew_code(&mut self, code: String) -> Option<String> {
        self.revoked_codes.push_back(std::mem::replace(&mut self.invite_code, code));
        if self.revoked_codes.len() > REVOKED_CODES_MAX { self.revoked_codes.pop_front() } else { None }
    }

    /// Who takes over when no admin is left: whoever has been in the group longest.
    pub(super) fn heir(&self) -> Option<String> {
        if self.members.values().any(|member| member.rank.is_admin()) {
            return None;
        }
        let oldest = self.members.iter().min_by_key(|(number, member)| (member.joined_s, number.as_str()));
        oldest.map(|(number, _)| number.clone())
    }
}
