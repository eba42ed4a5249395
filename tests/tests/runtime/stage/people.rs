//! A host whose sessions know nobody and are in no group.

use async_trait::async_trait;
use switchboard_core::records::account::Principal;
use switchboard_core::records::content::Person;
use switchboard_core::records::id::SessionId;
use switchboard_core::records::people::{
    Group, GroupMembers, GroupUpdate, Invitation, Joined, KnownContact, MemberAction, MemberOutcome, OwnActivity, Profile,
};
use switchboard_runtime::verbs::{ChatVerbs, ContactVerbs, GroupVerbs, NewGroup, Page, Registration, VerbError};

use super::FakeVerbs;

type Answer<T> = Result<T, VerbError>;

#[async_trait]
impl GroupVerbs for FakeVerbs {
    async fn groups(&self, _: &Principal, _: SessionId, _: u32, _: u32) -> Answer<Page<Group>> {
        Ok(Page { entries: Vec::new(), total: 0 })
    }

    async fn group(&self, _: &Principal, _: SessionId, _: &str) -> Answer<GroupMembers> {
        Err(VerbError::NotFound)
    }

    async fn create_group(&self, _: &Principal, _: SessionId, _: NewGroup) -> Answer<GroupMembers> {
        Err(VerbError::NotFound)
    }

    async fn change_group(&self, _: &Principal, _: SessionId, _: &str, _: GroupUpdate) -> Answer<Group> {
        Err(VerbError::NotFound)
    }

    async fn change_members(
        &self,
        _: &Principal,
        _: SessionId,
        _: &str,
        _: MemberAction,
        _: &[String],
    ) -> Answer<Vec<MemberOutcome>> {
        Err(VerbError::NotFound)
    }

    async fn leave_group(&self, _: &Principal, _: SessionId, _: &str) -> Answer<()> {
        Err(VerbError::NotFound)
    }

    async fn invite_link(&self, _: &Principal, _: SessionId, _: &str, _: bool) -> Answer<String> {
        Err(VerbError::NotFound)
    }

    async fn invitation(&self, _: &Principal, _: SessionId, _: &str) -> Answer<Invitation> {
        Err(VerbError::NotFound)
    }

    async fn join_group(&self, _: &Principal, _: SessionId, _: &str) -> Answer<Joined> {
        Err(VerbError::NotFound)
    }

    async fn group_picture(&self, _: &Principal, _: SessionId, _: &str, _: bool) -> Answer<Option<String>> {
        Ok(None)
    }
}

#[async_trait]
impl ContactVerbs for FakeVerbs {
    async fn contacts(&self, _: &Principal, _: SessionId, _: u32, _: u32) -> Answer<Page<KnownContact>> {
        Ok(Page { entries: Vec::new(), total: 0 })
    }

    async fn contact(&self, _: &Principal, _: SessionId, _: &str) -> Answer<Option<KnownContact>> {
        Ok(None)
    }

    async fn profile(&self, _: &Principal, _: SessionId, _: &str) -> Answer<Profile> {
        Ok(Profile::default())
    }

    async fn save_contact(&self, _: &Principal, _: SessionId, _: &str, _: &str, _: bool) -> Answer<KnownContact> {
        Err(VerbError::NotFound)
    }

    async fn on_whatsapp(&self, _: &Principal, _: SessionId, asked: Vec<String>) -> Answer<Vec<Registration>> {
        Ok(asked.into_iter().map(|asked| Registration { asked, person: None }).collect())
    }

    async fn picture(&self, _: &Principal, _: SessionId, _: &str, _: bool) -> Answer<Option<String>> {
        Ok(None)
    }

    async fn block(&self, _: &Principal, _: SessionId, _: &str, _: bool) -> Answer<()> {
        Err(VerbError::NotFound)
    }

    async fn names(&self, _: &Principal, _: SessionId, _: &str) -> Answer<Person> {
        Err(VerbError::NotFound)
    }
}

#[async_trait]
impl ChatVerbs for FakeVerbs {
    async fn show_presence(&self, _: &Principal, _: SessionId, _: Option<&str>, _: OwnActivity, _: u32) -> Answer<()> {
        Err(VerbError::NotFound)
    }
}
