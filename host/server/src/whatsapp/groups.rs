//! Groups: what WhatsApp says of them, and what is done with them.

use std::sync::Arc;
use std::time::Duration;

use whatsapp_rust::wacore_binary::JidExt as _;
use whatsapp_rust::{
    Client, GroupCreateOptions, GroupDescription, GroupMetadata, GroupParticipant, GroupParticipantOptions, GroupSubject,
    Jid, JoinGroupResult, ParticipantChangeResponse, PreviousDescription,
};

use switchboard_core::clock::Timestamp;
use switchboard_core::records::content::Person;
use switchboard_core::records::id::{SessionId, TenantId};
use switchboard_core::records::people::{
    Group, GroupMembers, GroupUpdate, Invitation, Joined, Member, MemberAction, MemberOutcome,
};

use super::desk::AskError;
use super::names::Names;
use super::sessions::Sessions;

/// Most members of a group that are told.
const MEMBERS_MAX: usize = 1_024;
/// How long the list of groups is believed.
const GROUPS_AGE: Duration = Duration::from_secs(5);
/// What a change of one member is told as when nothing went wrong.
const DONE: u16 = 200;

impl Sessions {
    /// Every group that the account is in, in the order of their JIDs.
    ///
    /// # Errors
    /// [`AskError`], here and in the rest of this room.
    pub async fn groups(&self, tenant: TenantId, id: SessionId) -> Result<Arc<Vec<Group>>, AskError> {
        let clock = Arc::clone(self.clock());
        self.ask(tenant, id, |client, desk| async move {
            let changes = match desk.groups(clock.now(), GROUPS_AGE) {
                Ok(groups) => return Ok(groups),
                Err(changes) => changes,
            };
            let mut groups = Vec::new();
            for there in client.groups().get_participating().await?.values() {
                groups.push(group(&client, there).await);
            }
            groups.sort_by(|one: &Group, other| one.jid.cmp(&other.jid));
            let groups = Arc::new(groups);
            desk.keep_groups(clock.now(), changes, &groups);
            Ok(groups)
        })
        .await
    }

    /// One group.
    pub async fn group(&self, tenant: TenantId, id: SessionId, jid: &str) -> Result<GroupMembers, AskError> {
        let jid = read_jid(jid)?;
        self.ask(tenant, id, |client, _| async move { with_members(&client, &jid).await }).await
    }

    /// Makes a group of the account and these people.
    pub async fn create_group(
        &self,
        tenant: TenantId,
        id: SessionId,
        subject: String,
        description: Option<String>,
        people: &[String],
    ) -> Result<GroupMembers, AskError> {
        let people = read_jids(people)?.into_iter().map(GroupParticipantOptions::new).collect();
        let description = description.map(|text| read_description(&text)).transpose()?.flatten();
        let options = GroupCreateOptions::new(subject).with_participants(people);
        self.ask(tenant, id, |client, desk| async move {
            let made = client.groups().create_group(options).await;
            desk.group_changed();
            let jid = made?.metadata.id;
            if description.is_some() {
                let described = client.groups().set_description(&jid, description, PreviousDescription::Absent).await;
                if let Err(error) = described {
                    // The group is there, whatever is said of it.
                    tracing::warn!(%error, "a new group has no description");
                }
            }
            with_members(&client, &jid).await
        })
        .await
    }

    /// Changes a group, in the order of the fields; the first refusal ends it.
    pub async fn change_group(
        &self,
        tenant: TenantId,
        id: SessionId,
        jid: &str,
        update: GroupUpdate,
    ) -> Result<Group, AskError> {
        let jid = read_jid(jid)?;
        let invalid = |field, why: String| AskError::Invalid { field, why };
        let subject =
            update.subject.map(|text| GroupSubject::new(text).map_err(|error| invalid("subject", error.to_string())));
        let subject = subject.transpose()?;
        let description = update.description.map(|text| read_description(&text)).transpose()?;
        self.ask(tenant, id, |client, desk| async move {
            let groups = client.groups();
            let changed = async {
                if let Some(subject) = subject {
                    groups.set_subject(&jid, subject).await?;
                }
                if let Some(description) = description {
                    groups.set_description(&jid, description, PreviousDescription::Resolve).await?;
                }
                if let Some(announce) = update.announce {
                    groups.set_announce(&jid, announce).await?;
                }
                if let Some(restrict) = update.restrict {
                    groups.set_locked(&jid, restrict).await?;
                }
                Ok::<_, AskError>(())
            };
            let changed = changed.await;
            desk.group_changed();
            changed?;
            Ok(group(&client, &groups.get_metadata(&jid).await?).await)
        })
        .await
    }

    /// Does something with members of a group; one outcome for each.
    pub async fn change_members(
        &self,
        tenant: TenantId,
        id: SessionId,
        jid: &str,
        action: MemberAction,
        people: &[String],
    ) -> Result<Vec<MemberOutcome>, AskError> {
        let (jid, people) = (read_jid(jid)?, read_jids(people)?);
        self.ask(tenant, id, |client, desk| async move {
            let groups = client.groups();
            let outcomes = match action {
                MemberAction::Add => groups.add_participants(&jid, &people).await,
                MemberAction::Remove => groups.remove_participants(&jid, &people).await,
                MemberAction::Promote => groups.promote_participants(&jid, &people).await,
                MemberAction::Demote => groups.demote_participants(&jid, &people).await,
            };
            desk.group_changed();
            let mut told = Vec::new();
            for outcome in outcomes?.iter().take(MEMBERS_MAX) {
                let person = Names(&client).person(&outcome.jid, &[outcome.phone_number.as_ref()]).await;
                told.push(MemberOutcome { person, code: code_of(outcome) });
            }
            Ok(told)
        })
        .await
    }

    /// Leaves a group.
    pub async fn leave_group(&self, tenant: TenantId, id: SessionId, jid: &str) -> Result<(), AskError> {
        let jid = read_jid(jid)?;
        self.ask(tenant, id, |client, desk| async move {
            let left = client.groups().leave(&jid).await;
            desk.group_changed();
            Ok(left?)
        })
        .await
    }

    /// The link that invites into a group; a renewed one ends the others.
    pub async fn invite_link(&self, tenant: TenantId, id: SessionId, jid: &str, renew: bool) -> Result<String, AskError> {
        let jid = read_jid(jid)?;
        self.ask(tenant, id, |client, _| async move { Ok(client.groups().get_invite_link(&jid, renew).await?) }).await
    }

    /// What an invitation leads to.
    pub async fn invitation(&self, tenant: TenantId, id: SessionId, code: &str) -> Result<Invitation, AskError> {
        let code = code.to_owned();
        self.ask(tenant, id, |client, _| async move {
            let there = client.groups().get_invite_info(&code).await.map_err(of_code)?;
            let Group { jid, subject, member_count, owner, .. } = group(&client, &there).await;
            Ok(Invitation { jid, subject, member_count, owner })
        })
        .await
    }

    /// Joins a group by an invitation.
    pub async fn join_group(&self, tenant: TenantId, id: SessionId, code: &str) -> Result<Joined, AskError> {
        let code = code.to_owned();
        self.ask(tenant, id, |client, desk| async move {
            let joined = client.groups().join_with_invite_code(&code).await;
            desk.group_changed();
            let joined = joined.map_err(of_code)?;
            let waiting = matches!(joined, JoinGroupResult::PendingApproval(_));
            Ok(Joined { jid: joined.group_jid().to_non_ad_string(), waiting })
        })
        .await
    }
}

fn of_code(error: whatsapp_rust::GroupError) -> AskError {
    match AskError::from(error) {
        AskError::Invalid { why, .. } => AskError::Invalid { field: "code", why },
        other => other,
    }
}

/// An address that was checked, for the client.
pub(super) fn read_jid(jid: &str) -> Result<Jid, AskError> {
    jid.parse().map_err(|_| AskError::Invalid { field: "jid", why: format!("{jid:?} is no JID") })
}

fn read_jids(jids: &[String]) -> Result<Vec<Jid>, AskError> {
    jids.iter().map(|jid| read_jid(jid)).collect()
}

/// An empty description is none.
fn read_description(text: &str) -> Result<Option<GroupDescription>, AskError> {
    if text.is_empty() {
        return Ok(None);
    }
    let invalid = |why: String| AskError::Invalid { field: "description", why };
    GroupDescription::new(text).map(Some).map_err(|error| invalid(error.to_string()))
}

fn code_of(outcome: &ParticipantChangeResponse) -> u16 {
    let code = outcome.error.as_ref().or(outcome.status.as_ref());
    code.and_then(|code| code.parse().ok()).unwrap_or(DONE)
}

/// Whether this is the account itself.
fn is_own(client: &Client, member: &GroupParticipant) -> bool {
    let names = [Some(&member.jid), member.phone_number.as_ref(), member.lid.as_ref()];
    let own = [client.pn(), client.lid()];
    names.into_iter().flatten().any(|name| own.iter().flatten().any(|own| own.is_same_user_as(name)))
}

async fn group(client: &Client, there: &GroupMetadata) -> Group {
    let owner: Option<Person> = match &there.creator {
        Some(creator) => Some(Names(client).person(creator, &[there.creator_pn.as_ref()]).await),
        None => None,
    };
    let members = u32::try_from(there.participants.len()).unwrap_or(u32::MAX);
    let own = there.participants.iter().find(|member| is_own(client, member));
    Group {
        jid: there.id.to_non_ad_string(),
        subject: there.subject.clone(),
        description: there.description.clone().filter(|text| !text.is_empty()),
        owner,
        created_at: there.creation_time.map(|seconds| Timestamp(seconds.saturating_mul(1000))),
        member_count: there.size.unwrap_or(0).max(members),
        announce: there.is_announcement,
        restrict: there.is_locked,
        own_admin: own.is_some_and(GroupParticipant::is_admin),
    }
}

async fn with_members(client: &Client, jid: &Jid) -> Result<GroupMembers, AskError> {
    let there = client.groups().get_metadata(jid).await?;
    let mut members = Vec::with_capacity(there.participants.len().min(MEMBERS_MAX));
    for member in there.participants.iter().take(MEMBERS_MAX) {
        let person = Names(client).person(&member.jid, &[member.phone_number.as_ref(), member.lid.as_ref()]).await;
        members.push(Member { person, admin: member.is_admin(), owner: member.is_super_admin() });
    }
    Ok(GroupMembers { group: group(client, &there).await, members })
}
