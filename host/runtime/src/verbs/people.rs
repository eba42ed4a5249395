//! What the host asks WhatsApp, and knows itself, about groups and people.

use async_trait::async_trait;
use switchboard_core::records::account::Principal;
use switchboard_core::records::content::Person;
use switchboard_core::records::id::SessionId;
use switchboard_core::records::people::{
    Group, GroupMembers, GroupUpdate, Invitation, Joined, KnownContact, MemberAction, MemberOutcome, OwnActivity, Profile,
};

use super::VerbError;

/// Most groups, or people, of one page.
pub const PEOPLE_PAGE_MAX: u32 = 1_000;

/// A page of a list, and how many entries the whole list has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries of the page.
    pub entries: Vec<T>,
    /// Those of the whole list.
    pub total: u32,
}

/// A group to make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewGroup {
    /// What it is called.
    pub subject: String,
    /// What it says of itself.
    pub description: Option<String>,
    /// Telephone numbers or JIDs.
    pub people: Vec<String>,
}

/// Whether somebody is on WhatsApp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// As it was asked.
    pub asked: String,
    /// Every name of who is there; `None` for who is not.
    pub person: Option<Person>,
}

/// The verbs for groups. A group is named by its JID, with or without `@g.us`.
#[async_trait]
pub trait GroupVerbs: Send + Sync {
    /// Some of the session's groups.
    async fn groups(
        &self,
        caller: &Principal,
        session: SessionId,
        offset: u32,
        limit: u32,
    ) -> Result<Page<Group>, VerbError>;
    /// One group.
    async fn group(&self, caller: &Principal, session: SessionId, jid: &str) -> Result<GroupMembers, VerbError>;
    /// Makes a group.
    async fn create_group(&self, caller: &Principal, session: SessionId, new: NewGroup) -> Result<GroupMembers, VerbError>;
    /// Changes a group.
    async fn change_group(
        &self,
        caller: &Principal,
        session: SessionId,
        jid: &str,
        update: GroupUpdate,
    ) -> Result<Group, VerbError>;
    /// Does something with members of a group.
    async fn change_members(
        &self,
        caller: &Principal,
        session: SessionId,
        jid: &str,
        action: MemberAction,
        people: &[String],
    ) -> Result<Vec<MemberOutcome>, VerbError>;
    /// Leaves a group.
    async fn leave_group(&self, caller: &Principal, session: SessionId, jid: &str) -> Result<(), VerbError>;
    /// The link that invites into a group.
    async fn invite_link(&self, caller: &Principal, session: SessionId, jid: &str, renew: bool)
    -> Result<String, VerbError>;
    /// What an invitation leads to.
    async fn invitation(&self, caller: &Principal, session: SessionId, code: &str) -> Result<Invitation, VerbError>;
    /// Joins a group by an invitation.
    async fn join_group(&self, caller: &Principal, session: SessionId, code: &str) -> Result<Joined, VerbError>;
    /// Where a group's picture is.
    async fn group_picture(
        &self,
        caller: &Principal,
        session: SessionId,
        jid: &str,
        preview: bool,
    ) -> Result<Option<String>, VerbError>;
}

/// The verbs for people. Somebody is named by telephone number or JID.
#[async_trait]
pub trait ContactVerbs: Send + Sync {
    /// Some of those whom the session knows.
    async fn contacts(
        &self,
        caller: &Principal,
        session: SessionId,
        offset: u32,
        limit: u32,
    ) -> Result<Page<KnownContact>, VerbError>;
    /// What the session knows of somebody.
    async fn contact(&self, caller: &Principal, session: SessionId, who: &str) -> Result<Option<KnownContact>, VerbError>;
    /// What WhatsApp shows of somebody.
    async fn profile(&self, caller: &Principal, session: SessionId, who: &str) -> Result<Profile, VerbError>;
    /// Saves somebody under a name.
    async fn save_contact(
        &self,
        caller: &Principal,
        session: SessionId,
        who: &str,
        name: &str,
        on_phone: bool,
    ) -> Result<KnownContact, VerbError>;
    /// Who of these is on WhatsApp, in their order.
    async fn on_whatsapp(
        &self,
        caller: &Principal,
        session: SessionId,
        people: Vec<String>,
    ) -> Result<Vec<Registration>, VerbError>;
    /// Where somebody's picture is.
    async fn picture(
        &self,
        caller: &Principal,
        session: SessionId,
        who: &str,
        preview: bool,
    ) -> Result<Option<String>, VerbError>;
    /// Blocks somebody, or ends that.
    async fn block(&self, caller: &Principal, session: SessionId, who: &str, blocked: bool) -> Result<(), VerbError>;
    /// Both names of somebody, as far as they are to be had.
    async fn names(&self, caller: &Principal, session: SessionId, who: &str) -> Result<Person, VerbError>;
}

/// The verb for what a session shows of itself.
#[async_trait]
pub trait ChatVerbs: Send + Sync {
    /// Shows an activity; one in a chat ends after `for_ms` unless that is 0.
    async fn show_presence(
        &self,
        caller: &Principal,
        session: SessionId,
        chat: Option<&str>,
        activity: OwnActivity,
        for_ms: u32,
    ) -> Result<(), VerbError>;
}
