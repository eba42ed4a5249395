//! What plugins import about groups and people.

use switchboard_core::records::content::Person;
use switchboard_core::records::id::SessionId;
use switchboard_core::records::people::{
    Group, GroupMembers, GroupUpdate, KnownContact, MemberAction, MemberOutcome, OwnActivity, Profile,
};

use super::Answer;
use crate::bindings::switchboard::plugin::types as wit;
use crate::bindings::switchboard::plugin::{chats, contacts, groups};
use crate::call::CallState;
use crate::verbs::{NewGroup, Registration};

fn named(person: &Person, push_name: Option<&str>) -> wit::Contact {
    wit::Contact {
        jid: person.jid.clone(),
        phone: person.phone.clone(),
        lid: person.lid.clone(),
        push_name: push_name.map(str::to_owned),
    }
}

fn person(person: &Person) -> wit::Contact {
    named(person, None)
}

fn group(group: &Group) -> groups::Group {
    groups::Group {
        jid: group.jid.clone(),
        subject: group.subject.clone(),
        description: group.description.clone(),
        owner: group.owner.as_ref().map(person),
        created_at_ms: group.created_at.map(|at| at.0),
        member_count: group.member_count,
        announce: group.announce,
        restrict: group.restrict,
        own_admin: group.own_admin,
    }
}

fn with_members(there: &GroupMembers) -> groups::GroupMembers {
    let members = there.members.iter();
    groups::GroupMembers {
        group: group(&there.group),
        members: members
            .map(|member| groups::Member { person: person(&member.person), admin: member.admin, owner: member.owner })
            .collect(),
    }
}

fn action(action: groups::MemberAction) -> MemberAction {
    match action {
        groups::MemberAction::Add => MemberAction::Add,
        groups::MemberAction::Remove => MemberAction::Remove,
        groups::MemberAction::Promote => MemberAction::Promote,
        groups::MemberAction::Demote => MemberAction::Demote,
    }
}

fn outcome(outcome: &MemberOutcome) -> groups::MemberOutcome {
    groups::MemberOutcome { person: person(&outcome.person), code: outcome.code }
}

fn entry(contact: &KnownContact) -> contacts::ContactEntry {
    contacts::ContactEntry {
        person: named(&contact.person(), contact.push_name.as_deref()),
        name: contact.name.clone(),
        verified_name: contact.verified_name.clone(),
        known_since_ms: contact.since.0,
    }
}

fn profile(profile: Profile) -> contacts::Profile {
    contacts::Profile {
        person: person(&profile.person),
        on_whatsapp: profile.on_whatsapp,
        verified_name: profile.verified_name,
        status: profile.status,
        picture_url: profile.picture_url,
    }
}

fn registration(found: Registration) -> contacts::Registration {
    let Registration { asked, person: there } = found;
    contacts::Registration { asked, exists: there.is_some(), person: there.as_ref().map(person) }
}

fn activity(activity: chats::Activity) -> OwnActivity {
    match activity {
        chats::Activity::Available => OwnActivity::Available,
        chats::Activity::Unavailable => OwnActivity::Unavailable,
        chats::Activity::Typing => OwnActivity::Typing,
        chats::Activity::Recording => OwnActivity::Recording,
        chats::Activity::Paused => OwnActivity::Paused,
    }
}

impl groups::Host for CallState {
    async fn find(&mut self, session: u64, offset: u32, limit: u32) -> Answer<groups::GroupPage> {
        self.verb(|verbs, caller| async move {
            let page = verbs.groups(&caller, SessionId(session), offset, limit).await?;
            Ok(groups::GroupPage { entries: page.entries.iter().map(group).collect(), total: page.total })
        })
        .await
    }

    async fn get(&mut self, session: u64, jid: String) -> Answer<groups::GroupMembers> {
        self.verb(|verbs, caller| async move { Ok(with_members(&verbs.group(&caller, SessionId(session), &jid).await?)) })
            .await
    }

    async fn create(
        &mut self,
        session: u64,
        subject: String,
        description: Option<String>,
        people: Vec<String>,
    ) -> Answer<groups::GroupMembers> {
        let new = NewGroup { subject, description, people };
        self.verb(
            |verbs, caller| async move { Ok(with_members(&verbs.create_group(&caller, SessionId(session), new).await?)) },
        )
        .await
    }

    async fn change(&mut self, session: u64, jid: String, update: groups::GroupUpdate) -> Answer<groups::Group> {
        let groups::GroupUpdate { subject, description, announce, restrict } = update;
        let update = GroupUpdate { subject, description, announce, restrict };
        self.verb(
            |verbs, caller| async move { Ok(group(&verbs.change_group(&caller, SessionId(session), &jid, update).await?)) },
        )
        .await
    }

    async fn members(
        &mut self,
        session: u64,
        jid: String,
        asked: groups::MemberAction,
        people: Vec<String>,
    ) -> Answer<Vec<groups::MemberOutcome>> {
        self.verb(|verbs, caller| async move {
            let outcomes = verbs.change_members(&caller, SessionId(session), &jid, action(asked), &people).await?;
            Ok(outcomes.iter().map(outcome).collect())
        })
        .await
    }

    async fn leave(&mut self, session: u64, jid: String) -> Answer<()> {
        self.verb(|verbs, caller| async move { verbs.leave_group(&caller, SessionId(session), &jid).await }).await
    }

    async fn invite_link(&mut self, session: u64, jid: String, renew: bool) -> Answer<String> {
        self.verb(|verbs, caller| async move { verbs.invite_link(&caller, SessionId(session), &jid, renew).await }).await
    }

    async fn invitation_of(&mut self, session: u64, code: String) -> Answer<groups::Invitation> {
        self.verb(|verbs, caller| async move {
            let found = verbs.invitation(&caller, SessionId(session), &code).await?;
            let owner = found.owner.as_ref().map(person);
            Ok(groups::Invitation { jid: found.jid, subject: found.subject, member_count: found.member_count, owner })
        })
        .await
    }

    async fn join(&mut self, session: u64, code: String) -> Answer<groups::Joined> {
        self.verb(|verbs, caller| async move {
            let joined = verbs.join_group(&caller, SessionId(session), &code).await?;
            Ok(groups::Joined { jid: joined.jid, waiting: joined.waiting })
        })
        .await
    }

    async fn picture(&mut self, session: u64, jid: String, preview: bool) -> Answer<Option<String>> {
        self.verb(|verbs, caller| async move { verbs.group_picture(&caller, SessionId(session), &jid, preview).await }).await
    }
}

impl contacts::Host for CallState {
    async fn find(&mut self, session: u64, offset: u32, limit: u32) -> Answer<contacts::ContactPage> {
        self.verb(|verbs, caller| async move {
            let page = verbs.contacts(&caller, SessionId(session), offset, limit).await?;
            Ok(contacts::ContactPage { entries: page.entries.iter().map(entry).collect(), total: page.total })
        })
        .await
    }

    async fn get(&mut self, session: u64, who: String) -> Answer<Option<contacts::ContactEntry>> {
        self.verb(
            |verbs, caller| async move { Ok(verbs.contact(&caller, SessionId(session), &who).await?.as_ref().map(entry)) },
        )
        .await
    }

    async fn profile_of(&mut self, session: u64, who: String) -> Answer<contacts::Profile> {
        self.verb(|verbs, caller| async move { Ok(profile(verbs.profile(&caller, SessionId(session), &who).await?)) }).await
    }

    async fn save(&mut self, session: u64, who: String, name: String, on_phone: bool) -> Answer<contacts::ContactEntry> {
        self.verb(|verbs, caller| async move {
            Ok(entry(&verbs.save_contact(&caller, SessionId(session), &who, &name, on_phone).await?))
        })
        .await
    }

    async fn on_whatsapp(&mut self, session: u64, people: Vec<String>) -> Answer<Vec<contacts::Registration>> {
        self.verb(|verbs, caller| async move {
            let found = verbs.on_whatsapp(&caller, SessionId(session), people).await?;
            Ok(found.into_iter().map(registration).collect())
        })
        .await
    }

    async fn picture(&mut self, session: u64, who: String, preview: bool) -> Answer<Option<String>> {
        self.verb(|verbs, caller| async move { verbs.picture(&caller, SessionId(session), &who, preview).await }).await
    }

    async fn block(&mut self, session: u64, who: String, blocked: bool) -> Answer<()> {
        self.verb(|verbs, caller| async move { verbs.block(&caller, SessionId(session), &who, blocked).await }).await
    }

    async fn names(&mut self, session: u64, who: String) -> Answer<wit::Contact> {
        self.verb(|verbs, caller| async move { Ok(person(&verbs.names(&caller, SessionId(session), &who).await?)) }).await
    }
}

impl chats::Host for CallState {
    async fn presence(&mut self, session: u64, chat: Option<String>, shown: chats::Activity, for_ms: u32) -> Answer<()> {
        self.verb(|verbs, caller| async move {
            verbs.show_presence(&caller, SessionId(session), chat.as_deref(), activity(shown), for_ms).await
        })
        .await
    }
}
