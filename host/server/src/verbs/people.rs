//! The verbs for groups, people and presence: what was asked is checked here, then the session asks WhatsApp.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use switchboard_core::flow::lasting::lasting;
use switchboard_core::records::account::Principal;
use switchboard_core::records::content::Person;
use switchboard_core::records::event::CONTACT_CHANGED;
use switchboard_core::records::id::SessionId;
use switchboard_core::records::people::{
    Group, GroupMembers, GroupUpdate, Invitation, Joined, KnownContact, Learned, MemberAction, MemberOutcome, OwnActivity,
    Profile,
};
use switchboard_core::records::session::{Session, SessionState};
use switchboard_core::rules::address::{AddressError, Jid, JidServer, parse_group, parse_person, parse_recipient};
use switchboard_core::rules::group_limits::{
    PEOPLE_MAX, check_contact_name, check_count, check_description, check_invitation, check_subject,
};
use switchboard_core::storage::CONTACTS_MAX;
use switchboard_runtime::verbs::{
    ChatVerbs, ContactVerbs, GroupVerbs, NewGroup, PEOPLE_PAGE_MAX, Page, Registration, VerbError,
};

use super::{HostVerbs, need, unavailable};
use crate::whatsapp::AskError;

/// Most people of whom one call asks whether they are on WhatsApp.
const LOOKUPS_MAX: usize = 50;
/// Longest time after which what is shown in a chat ends by itself.
const SHOWN_MS_MAX: u32 = 60_000;

fn invalid(field: &str, why: impl ToString) -> VerbError {
    VerbError::Invalid { field: field.to_owned(), why: why.to_string() }
}

fn group_jid(jid: &str) -> Result<String, VerbError> {
    parse_group(jid).map(|jid| jid.to_string()).map_err(|error| invalid("jid", error))
}

fn person(field: &str, who: &str) -> Result<Jid, VerbError> {
    parse_person(who).map_err(|error| invalid(field, error))
}

/// The JIDs of people whom a call names, each once, in order.
fn people(named: &[String], count_max: usize) -> Result<Vec<String>, VerbError> {
    check_count(named.len(), count_max).map_err(|error| invalid("participants", error))?;
    let jids = named.iter().map(|who| parse_person(who).map(|jid| jid.to_string()));
    let mut jids: Vec<String> = jids.collect::<Result<_, AddressError>>().map_err(|error| invalid("participants", error))?;
    let mut seen = std::collections::HashSet::new();
    jids.retain(|jid| seen.insert(jid.clone()));
    Ok(jids)
}

fn page<T: Clone>(all: &[T], offset: u32, limit: u32) -> Page<T> {
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let entries = all.iter().skip(count(offset)).take(count(limit.min(PEOPLE_PAGE_MAX))).cloned().collect();
    Page { entries, total: u32::try_from(all.len()).unwrap_or(u32::MAX) }
}

/// What an address tells by itself.
fn named(jid: &Jid) -> Person {
    let (phone, lid) = match jid.server {
        JidServer::User => (Some(jid.user.clone()), None),
        JidServer::Lid => (None, Some(jid.to_string())),
        JidServer::Group => (None, None),
    };
    Person { jid: jid.to_string(), phone, lid }
}

fn told(session: &Session, error: AskError) -> VerbError {
    match error {
        // It came on line between the question and this answer.
        AskError::NotConnected if session.state == SessionState::Connected => {
            VerbError::Unavailable("the session is about to connect; try again in a moment".to_owned())
        }
        AskError::NotConnected => VerbError::NotConnected(session.state),
        AskError::Refused { code, text } => VerbError::RefusedByWhatsApp { code, text },
        AskError::Nobody => VerbError::NotFound,
        AskError::Invalid { field, why } => invalid(field, why),
        AskError::Unavailable(why) => VerbError::Unavailable(why),
    }
}

impl HostVerbs {
    /// What came of a question that a session was asked. One that is not connected is told with its state now.
    async fn heard<T>(&self, caller: &Principal, session: SessionId, answer: Result<T, AskError>) -> Result<T, VerbError> {
        match answer {
            Ok(answer) => Ok(answer),
            Err(error) => Err(told(&self.reach(caller, session).await?, error)),
        }
    }

    async fn may_ask(&self, caller: &Principal, session: SessionId, resource: &str, action: &str) -> Result<(), VerbError> {
        need(caller, resource, action)?;
        self.reach(caller, session).await.map(|_| ())
    }

    /// Writes down what a session learned about somebody.
    async fn learn(&self, caller: &Principal, session: SessionId, learned: &Learned) -> Result<KnownContact, VerbError> {
        let (wakes, storage) = (Arc::clone(&self.wakes), self.storage.clone());
        let (tenant, learned, now) = (caller.tenant, learned.clone(), self.clock.now());
        let kept = lasting(async move {
            let told = wakes.is_answered(tenant, CONTACT_CHANGED);
            let kept = storage.learn_contact(tenant, session, now, &learned, told).await;
            if kept.as_ref().is_ok_and(|learnt| learnt.as_ref().is_some_and(|learnt| learnt.told)) {
                wakes.events_have_more(tenant);
            }
            kept
        });
        let full = || VerbError::Conflict(format!("the session knows {CONTACTS_MAX} people, which is the limit"));
        Ok(kept.await.map_err(unavailable)?.ok_or_else(full)?.contact)
    }
}

#[async_trait]
impl GroupVerbs for HostVerbs {
    async fn groups(
        &self,
        caller: &Principal,
        session: SessionId,
        offset: u32,
        limit: u32,
    ) -> Result<Page<Group>, VerbError> {
        self.may_ask(caller, session, "groups", "read").await?;
        let groups = self.sessions.groups(caller.tenant, session).await;
        let groups = self.heard(caller, session, groups).await?;
        Ok(page(&groups, offset, limit))
    }

    async fn group(&self, caller: &Principal, session: SessionId, jid: &str) -> Result<GroupMembers, VerbError> {
        self.may_ask(caller, session, "groups", "read").await?;
        let group = self.sessions.group(caller.tenant, session, &group_jid(jid)?).await;
        self.heard(caller, session, group).await
    }

    async fn create_group(&self, caller: &Principal, session: SessionId, new: NewGroup) -> Result<GroupMembers, VerbError> {
        self.may_ask(caller, session, "groups", "write").await?;
        let NewGroup { subject, description, people: named } = new;
        check_subject(&subject).map_err(|error| invalid("subject", error))?;
        check_description(description.as_deref().unwrap_or_default()).map_err(|error| invalid("description", error))?;
        let people = people(&named, PEOPLE_MAX)?;
        let made = self.sessions.create_group(caller.tenant, session, subject, description, &people).await;
        self.heard(caller, session, made).await
    }

    async fn change_group(
        &self,
        caller: &Principal,
        session: SessionId,
        jid: &str,
        update: GroupUpdate,
    ) -> Result<Group, VerbError> {
        self.may_ask(caller, session, "groups", "write").await?;
        let jid = group_jid(jid)?;
        if let Some(subject) = &update.subject {
            check_subject(subject).map_err(|error| invalid("subject", error))?;
        }
        if let Some(description) = &update.description {
            check_description(description).map_err(|error| invalid("description", error))?;
        }
        let changed = self.sessions.change_group(caller.tenant, session, &jid, update).await;
        self.heard(caller, session, changed).await
    }

    async fn change_members(
        &self,
        caller: &Principal,
        session: SessionId,
        jid: &str,
        action: MemberAction,
        named: &[String],
    ) -> Result<Vec<MemberOutcome>, VerbError> {
        self.may_ask(caller, session, "groups", "write").await?;
        let (jid, people) = (group_jid(jid)?, people(named, PEOPLE_MAX)?);
        let outcomes = self.sessions.change_members(caller.tenant, session, &jid, action, &people).await;
        self.heard(caller, session, outcomes).await
    }

    async fn leave_group(&self, caller: &Principal, session: SessionId, jid: &str) -> Result<(), VerbError> {
        self.may_ask(caller, session, "groups", "write").await?;
        let left = self.sessions.leave_group(caller.tenant, session, &group_jid(jid)?).await;
        self.heard(caller, session, left).await
    }

    async fn invite_link(
        &self,
        caller: &Principal,
        session: SessionId,
        jid: &str,
        renew: bool,
    ) -> Result<String, VerbError> {
        self.may_ask(caller, session, "groups", if renew { "write" } else { "read" }).await?;
        let link = self.sessions.invite_link(caller.tenant, session, &group_jid(jid)?, renew).await;
        self.heard(caller, session, link).await
    }

    async fn invitation(&self, caller: &Principal, session: SessionId, code: &str) -> Result<Invitation, VerbError> {
        self.may_ask(caller, session, "groups", "read").await?;
        check_invitation(code).map_err(|error| invalid("code", error))?;
        let found = self.sessions.invitation(caller.tenant, session, code).await;
        self.heard(caller, session, found).await
    }

    async fn join_group(&self, caller: &Principal, session: SessionId, code: &str) -> Result<Joined, VerbError> {
        self.may_ask(caller, session, "groups", "write").await?;
        check_invitation(code).map_err(|error| invalid("code", error))?;
        let joined = self.sessions.join_group(caller.tenant, session, code).await;
        self.heard(caller, session, joined).await
    }

    async fn group_picture(
        &self,
        caller: &Principal,
        session: SessionId,
        jid: &str,
        preview: bool,
    ) -> Result<Option<String>, VerbError> {
        self.may_ask(caller, session, "groups", "read").await?;
        let picture = self.sessions.picture(caller.tenant, session, &group_jid(jid)?, preview).await;
        self.heard(caller, session, picture).await
    }
}

#[async_trait]
impl ContactVerbs for HostVerbs {
    async fn contacts(
        &self,
        caller: &Principal,
        session: SessionId,
        offset: u32,
        limit: u32,
    ) -> Result<Page<KnownContact>, VerbError> {
        self.may_ask(caller, session, "contacts", "read").await?;
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let total = self.storage.contact_total(caller.tenant, session).await.map_err(unavailable)?;
        let found = self.storage.contacts(caller.tenant, session, count(offset), count(limit.min(PEOPLE_PAGE_MAX)));
        Ok(Page { entries: found.await.map_err(unavailable)?, total: u32::try_from(total).unwrap_or(u32::MAX) })
    }

    async fn contact(&self, caller: &Principal, session: SessionId, who: &str) -> Result<Option<KnownContact>, VerbError> {
        self.may_ask(caller, session, "contacts", "read").await?;
        let who = named(&person("who", who)?);
        let found = self.storage.contact(caller.tenant, session, who.phone.as_deref(), who.lid.as_deref()).await;
        found.map_err(unavailable)
    }

    async fn profile(&self, caller: &Principal, session: SessionId, who: &str) -> Result<Profile, VerbError> {
        self.may_ask(caller, session, "contacts", "read").await?;
        let who = person("who", who)?;
        let profile = self.sessions.profile(caller.tenant, session, &who.to_string()).await;
        let profile = self.heard(caller, session, profile).await?;
        if profile.verified_name.is_some() {
            let verified_name = profile.verified_name.clone();
            self.learn(caller, session, &Learned { verified_name, ..Learned::of(&profile.person) }).await?;
        }
        Ok(profile)
    }

    async fn save_contact(
        &self,
        caller: &Principal,
        session: SessionId,
        who: &str,
        name: &str,
        on_phone: bool,
    ) -> Result<KnownContact, VerbError> {
        self.may_ask(caller, session, "contacts", "write").await?;
        let who = person("who", who)?;
        check_contact_name(name).map_err(|error| invalid("name", error))?;
        let known = self.sessions.known_names(caller.tenant, session, &who.to_string()).await;
        let known = known.unwrap_or_else(|| named(&who));
        if on_phone {
            let Some(phone) = &known.phone else {
                return Err(invalid(
                    "who",
                    "is a LID whose telephone number is not known: the phone knows people by number",
                ));
            };
            let jid = Jid { user: phone.clone(), server: JidServer::User }.to_string();
            let saved = self.sessions.save_on_phone(caller.tenant, session, &jid, name).await;
            self.heard(caller, session, saved).await?;
        }
        self.learn(caller, session, &Learned { name: Some(name.to_owned()), ..Learned::of(&known) }).await
    }

    async fn on_whatsapp(
        &self,
        caller: &Principal,
        session: SessionId,
        asked: Vec<String>,
    ) -> Result<Vec<Registration>, VerbError> {
        self.may_ask(caller, session, "contacts", "read").await?;
        check_count(asked.len(), LOOKUPS_MAX).map_err(|error| invalid("people", error))?;
        let jids = asked.iter().map(|who| person("who", who).map(|jid| jid.to_string()));
        let jids: Vec<String> = jids.collect::<Result<_, VerbError>>()?;
        let found = self.sessions.on_whatsapp(caller.tenant, session, &jids).await;
        let found = self.heard(caller, session, found).await?;
        Ok(asked.into_iter().zip(found).map(|(asked, person)| Registration { asked, person }).collect())
    }

    async fn picture(
        &self,
        caller: &Principal,
        session: SessionId,
        who: &str,
        preview: bool,
    ) -> Result<Option<String>, VerbError> {
        self.may_ask(caller, session, "contacts", "read").await?;
        let who = person("who", who)?.to_string();
        let picture = self.sessions.picture(caller.tenant, session, &who, preview).await;
        self.heard(caller, session, picture).await
    }

    async fn block(&self, caller: &Principal, session: SessionId, who: &str, blocked: bool) -> Result<(), VerbError> {
        self.may_ask(caller, session, "contacts", "write").await?;
        let who = person("who", who)?.to_string();
        let done = self.sessions.block(caller.tenant, session, &who, blocked).await;
        self.heard(caller, session, done).await
    }

    async fn names(&self, caller: &Principal, session: SessionId, who: &str) -> Result<Person, VerbError> {
        self.may_ask(caller, session, "contacts", "read").await?;
        let who = person("who", who)?.to_string();
        let names = self.sessions.both_names(caller.tenant, session, &who).await;
        self.heard(caller, session, names).await
    }
}

#[async_trait]
impl ChatVerbs for HostVerbs {
    async fn show_presence(
        &self,
        caller: &Principal,
        session: SessionId,
        chat: Option<&str>,
        activity: OwnActivity,
        for_ms: u32,
    ) -> Result<(), VerbError> {
        self.may_ask(caller, session, "messages", "write").await?;
        if for_ms > SHOWN_MS_MAX {
            return Err(invalid("for_ms", format!("is {for_ms}; the limit is {SHOWN_MS_MAX}")));
        }
        let chat = match chat.filter(|_| activity.is_in_a_chat()) {
            Some(chat) => Some(parse_recipient(chat).map_err(|error| invalid("chat", error))?.to_string()),
            None if activity.is_in_a_chat() => return Err(invalid("chat", "is needed for what is done in a chat")),
            None => None,
        };
        let ends_after = (for_ms > 0).then(|| Duration::from_millis(u64::from(for_ms)));
        let shown = self.sessions.show(caller.tenant, session, chat.as_deref(), activity, ends_after).await;
        self.heard(caller, session, shown).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn people_are_named_once_each_and_a_group_is_none_of_them() {
        let named = texts(&["+4915123456789", "98765432101234@lid", "4915123456789@s.whatsapp.net"]);
        assert_eq!(people(&named, 3).unwrap(), ["4915123456789@s.whatsapp.net", "98765432101234@lid"]);
        for wrong in [vec![], texts(&["120363041234567890@g.us"]), texts(&["4915123456789", "x"]), named] {
            let refused = people(&wrong, 2).unwrap_err();
            assert!(matches!(&refused, VerbError::Invalid { field, .. } if field == "participants"), "{refused:?}");
        }
    }

    #[test]
    fn a_page_has_its_part_of_the_list_and_counts_the_whole() {
        let all: Vec<u32> = (0..1_500).collect();
        assert_eq!(page(&all, 1_498, 10), Page { entries: vec![1_498, 1_499], total: 1_500 });
        assert_eq!(page(&all, 0, u32::MAX).entries.len(), 1_000, "the limit holds");
        assert_eq!(page(&all, u32::MAX, 10).entries, Vec::<u32>::new());
    }
}
