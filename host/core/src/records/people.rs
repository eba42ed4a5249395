//! People and groups as a session knows them.

use serde::{Deserialize, Serialize};

use super::content::Person;
use crate::clock::Timestamp;

/// Somebody whom a session knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownContact {
    /// Their telephone number, digits only.
    pub phone: Option<String>,
    /// Their LID, with its `@lid`.
    pub lid: Option<String>,
    /// The name that they gave themselves.
    pub push_name: Option<String>,
    /// The name under which the session's owner saved them.
    pub name: Option<String>,
    /// The name of a business that WhatsApp has verified.
    pub verified_name: Option<String>,
    /// When the session first heard of them.
    pub since: Timestamp,
}

impl KnownContact {
    /// Their names: the JID by number, where that is known.
    pub fn person(&self) -> Person {
        let by_phone = self.phone.as_ref().map(|phone| format!("{phone}@s.whatsapp.net"));
        let jid = by_phone.or_else(|| self.lid.clone()).unwrap_or_default();
        Person { jid, phone: self.phone.clone(), lid: self.lid.clone() }
    }
}

/// Something that a session learned about somebody. What is `None` is not known, and stays as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// Their telephone number, digits only.
    pub phone: Option<String>,
    /// Their LID, with its `@lid`.
    pub lid: Option<String>,
    /// The name that they gave themselves.
    pub push_name: Option<String>,
    /// The name under which the session's owner saved them.
    pub name: Option<String>,
    /// The name of a business that WhatsApp has verified.
    pub verified_name: Option<String>,
}

impl Learned {
    /// Nothing about somebody but who they are.
    pub fn of(person: &Person) -> Self {
        Self { phone: person.phone.clone(), lid: person.lid.clone(), ..Self::default() }
    }
}

/// A group, without its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its JID.
    pub jid: String,
    /// What it is called.
    pub subject: String,
    /// What it says of itself.
    pub description: Option<String>,
    /// Who made it.
    pub owner: Option<Person>,
    /// When.
    pub created_at: Option<Timestamp>,
    /// How many are in it.
    pub member_count: u32,
    /// Only admins may write in it.
    pub announce: bool,
    /// Only admins may change what it is called and says.
    pub restrict: bool,
    /// The session's own account is an admin.
    pub own_admin: bool,
}

/// Somebody in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub person: Person,
    /// An admin, or the owner.
    pub admin: bool,
    /// The owner.
    pub owner: bool,
}

/// A group and who is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMembers {
    /// The group.
    pub group: Group,
    /// At most 1,024 of its members.
    pub members: Vec<Member>,
}

/// What becomes of a group. What is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupUpdate {
    /// What it is called.
    pub subject: Option<String>,
    /// What it says of itself; an empty text takes that away.
    pub description: Option<String>,
    /// Only admins may write in it.
    pub announce: Option<bool>,
    /// Only admins may change what it is called and says.
    pub restrict: Option<bool>,
}

/// What is done with members of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberAction {
    /// They come in.
    Add,
    /// They go out.
    Remove,
    /// They become admins.
    Promote,
    /// They are admins no longer.
    Demote,
}

/// What became of one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberOutcome {
    /// Who.
    pub person: Person,
    /// As WhatsApp says: 200, or why not.
    pub code: u16,
}

/// What an invitation leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// JID of the group.
    pub jid: String,
    /// What it is called.
    pub subject: String,
    /// How many are in it.
    pub member_count: u32,
    /// Who made it.
    pub owner: Option<Person>,
}

/// A group that the account joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Its JID.
    pub jid: String,
    /// An admin has to let the account in first.
    pub waiting: bool,
}

/// What WhatsApp shows of somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Every name that is known.
    pub person: Person,
    /// Whether they are there at all.
    pub on_whatsapp: bool,
    /// The name of a business that WhatsApp has verified.
    pub verified_name: Option<String>,
    /// Their `about`.
    pub status: Option<String>,
    /// Where their picture is.
    pub picture_url: Option<String>,
}

/// What a session shows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnActivity {
    /// The account is on line.
    Available,
    /// It is not.
    Unavailable,
    /// It writes a text in a chat.
    Typing,
    /// It records a voice note in a chat.
    Recording,
    /// It does neither any more.
    Paused,
}

impl OwnActivity {
    /// Whether it is shown in one chat.
    pub fn is_in_a_chat(self) -> bool {
        matches!(self, Self::Typing | Self::Recording | Self::Paused)
    }
}
