//! Groups: who is in them, what they are called, what their members may do, and who learns of each change.

use serde_json::json;
use switchboard_tests::raw_client::{Mark, RawClient, jid, parsed};
use switchboard_tests::sim::Sim;
use whatsapp_rust::prelude::*;
use whatsapp_rust::types::events::{GroupUpdate, PictureUpdate};
use whatsapp_rust::wacore::stanza::groups::GroupNotificationAction as Action;
use whatsapp_rust::{
    BatchGroupResult, ErrorChainExt, GroupCreateOptions, GroupDescription, GroupError, GroupMetadata, GroupParticipant,
    GroupParticipantOptions, GroupSubject, JoinGroupResult, MemberAddMode, MemberLinkMode, MemberShareHistoryMode,
    MembershipApprovalMode, PictureType, PreviousDescription,
};

use crate::{ADA, BO, CY, DI};

/// A group that Ada's client has made, with Bo's client and Cy's phone in it.
pub(crate) struct Club {
    pub(crate) sim: Sim,
    pub(crate) ada: RawClient,
    pub(crate) bo: RawClient,
    pub(crate) group: Jid,
}

impl Club {
    pub(crate) async fn start() -> Self {
        let sim = Sim::start().await;
        let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
        sim.phone(CY).await;
        sim.phone(DI).await;
        let group = create(&ada, "Club", &[BO, CY]).await.id;
        change(&bo, Mark::default(), "the new group", |action| matches!(action, Action::Create { .. })).await;
        Self { sim, ada, bo, group }
    }

    async fn metadata(&self) -> GroupMetadata {
        self.bo.client.groups().get_metadata(&self.group).await.unwrap()
    }
}

/// Makes a group with these people in it.
pub(crate) async fn create(by: &RawClient, subject: &str, members: &[&str]) -> GroupMetadata {
    let members = members.iter().map(|number| GroupParticipantOptions::new(jid(number))).collect();
    let options = GroupCreateOptions::new(subject).with_participants(members);
    by.client.groups().create_group(options).await.unwrap().metadata
}

/// The first change that is wanted, after `mark`.
pub(crate) async fn change(client: &RawClient, mark: Mark, what: &str, wanted: impl Fn(&Action) -> bool) -> GroupUpdate {
    client
        .hears_after(mark, what, |event| match event {
            Event::GroupUpdate(update) if wanted(&update.action) => Some(update.clone()),
            _ => None,
        })
        .await
}

/// The member with this number.
pub(crate) fn member<'a>(metadata: &'a GroupMetadata, number: &str) -> Option<&'a GroupParticipant> {
    let number = jid(number);
    metadata.participants.iter().find(|member| member.jid == number || member.phone_number.as_ref() == Some(&number))
}

/// What the server said no with.
fn refusal<T: std::fmt::Debug>(result: Result<T, GroupError>) -> u16 {
    let error = result.expect_err("it must be refused");
    error.server_rejection().unwrap_or_else(|| panic!("not refused by the server: {error:?}")).code
}

fn subject(text: &str) -> GroupSubject {
    GroupSubject::new(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_group_is_there_for_all_its_members() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    sim.phone(CY).await;
    let members = [BO, CY].map(|number| GroupParticipantOptions::new(jid(number))).to_vec();
    let options = GroupCreateOptions {
        description: Some(GroupDescription::new("What we read").unwrap()),
        ..GroupCreateOptions::new("Book club").with_participants(members).with_ephemeral_expiration(86_400)
    };
    let made = ada.client.groups().create_group(options).await.unwrap().metadata;
    assert_eq!((made.subject.as_str(), made.participants.len()), ("Book club", 3));
    change(&bo, Mark::default(), "the new group", |action| matches!(action, Action::Create { .. })).await;

    let seen = bo.client.groups().get_metadata(&made.id).await.unwrap();
    assert_eq!((seen.subject.as_str(), seen.participants.len()), ("Book club", 3));
    assert_eq!(seen.description.as_deref(), Some("What we read"));
    assert_eq!(seen.ephemeral.as_ref().and_then(|ephemeral| ephemeral.expiration), Some(86_400));
    assert!(member(&seen, ADA).unwrap().is_super_admin());
    assert!([BO, CY].iter().all(|number| !member(&seen, number).unwrap().is_admin()));
    let participating = bo.client.groups().get_participating().await.unwrap();
    assert_eq!(participating.get(&made.id).map(|group| group.subject.as_str()), Some("Book club"));
    assert_eq!(ada.client.groups().query_info(&made.id).await.unwrap().participants.len(), 3);
    // Who is not in it learns nothing.
    let di = RawClient::linked(&sim, DI).await;
    assert!(di.client.groups().get_participating().await.unwrap().is_empty());
    assert_eq!(refusal(di.client.groups().get_metadata(&made.id).await), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_phones_takes_clients_in() {
    let sim = Sim::start().await;
    let bo = RawClient::linked(&sim, BO).await;
    sim.phone(CY).await;
    let made = sim.post("groups", json!({ "subject": "By phone", "participants": [CY, BO] })).await;
    let group = parsed(made["jid"].as_str().unwrap());
    change(&bo, Mark::default(), "the new group", |action| matches!(action, Action::Create { .. })).await;
    let seen = bo.client.groups().get_metadata(&group).await.unwrap();
    assert_eq!((seen.subject.as_str(), seen.participants.len()), ("By phone", 2));
    assert!(member(&seen, CY).unwrap().is_admin(), "the first is its creator");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_rise_fall_and_go() {
    let club = Club::start().await;
    let Club { sim, ada, bo, group } = &club;
    let groups = ada.client.groups();
    let who = [jid(DI)];
    assert!(groups.add_participants(group, &who).await.unwrap()[0].is_ok());
    change(bo, Mark::default(), "Di coming", |action| matches!(action, Action::Add { .. })).await;
    assert!(member(&club.metadata().await, DI).is_some());

    assert!(groups.promote_participants(group, &who).await.unwrap()[0].is_ok());
    change(bo, Mark::default(), "Di rising", |action| matches!(action, Action::Promote { .. })).await;
    assert!(member(&club.metadata().await, DI).unwrap().is_admin());
    assert!(groups.demote_participants(group, &who).await.unwrap()[0].is_ok());
    change(bo, Mark::default(), "Di falling", |action| matches!(action, Action::Demote { .. })).await;
    assert!(!member(&club.metadata().await, DI).unwrap().is_admin());

    assert!(groups.remove_participants(group, &who).await.unwrap()[0].is_ok());
    change(bo, Mark::default(), "Di going", |action| matches!(action, Action::Remove { .. })).await;
    assert!(member(&club.metadata().await, DI).is_none());
    let after = ada.send_text(group, "without Di").await;
    sim.shows_id(CY, &after).await;
    assert!(!sim.shown(DI).await.iter().any(|message| message["id"] == after.as_str()));

    // A member may leave; the others hear of it.
    let mark = ada.mark();
    bo.client.groups().leave(group).await.unwrap();
    change(ada, mark, "Bo leaving", |action| matches!(action, Action::Remove { .. })).await;
    let left = groups.get_metadata(group).await.unwrap();
    assert!(member(&left, BO).is_none() && member(&left, CY).is_some());
    assert!(bo.client.groups().get_metadata(group).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_in_already_cannot_be_added_and_who_is_nobody_neither() {
    let club = Club::start().await;
    let groups = club.ada.client.groups();
    let added = groups.add_participants(&club.group, &[jid(BO)]).await.unwrap();
    assert_eq!(added[0].error.as_deref(), Some("409"));
    let added = groups.add_participants(&club.group, &[jid("491510009999")]).await.unwrap();
    assert!(!added[0].is_ok());
    let removed = groups.remove_participants(&club.group, &[jid(DI)]).await.unwrap();
    assert_eq!(removed[0].error.as_deref(), Some("404"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_admins_decide_who_is_in() {
    let club = Club::start().await;
    let Club { bo, group, ada, .. } = &club;
    let groups = bo.client.groups();
    assert_eq!(refusal(groups.remove_participants(group, &[jid(CY)]).await), 403);
    assert_eq!(refusal(groups.promote_participants(group, &[jid(BO)]).await), 403);
    ada.client.groups().set_member_add_mode(group, MemberAddMode::AdminAdd).await.unwrap();
    assert_eq!(refusal(groups.add_participants(group, &[jid(DI)]).await), 403);
    ada.client.groups().set_member_add_mode(group, MemberAddMode::AllMemberAdd).await.unwrap();
    assert!(groups.add_participants(group, &[jid(DI)]).await.unwrap()[0].is_ok());
    assert!(member(&club.metadata().await, DI).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_changes_for_everybody() {
    let club = Club::start().await;
    let Club { ada, bo, group, .. } = &club;
    ada.client.groups().set_subject(group, subject("Sports club")).await.unwrap();
    let wanted = |action: &Action| matches!(action, Action::Subject { subject, .. } if subject == "Sports club");
    let update = change(bo, Mark::default(), "the new name", wanted).await;
    assert_eq!(update.group_jid, *group);
    let by = update.participant_pn.or(update.participant).unwrap().to_non_ad();
    assert!(by == ada.jid() || by == ada.lid(), "{by}");
    assert_eq!(club.metadata().await.subject, "Sports club");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_description_is_changed_only_by_who_has_seen_the_last_one() {
    let club = Club::start().await;
    let Club { ada, bo, group, .. } = &club;
    let groups = ada.client.groups();
    let text = |text: &str| Some(GroupDescription::new(text).unwrap());
    groups.set_description(group, text("first"), PreviousDescription::Absent).await.unwrap();
    let wanted = |action: &Action| match action {
        Action::Description { description, .. } => description.as_deref() == Some("first"),
        _ => false,
    };
    change(bo, Mark::default(), "the description", wanted).await;
    assert_eq!(club.metadata().await.description.as_deref(), Some("first"));
    groups.set_description(group, text("second"), PreviousDescription::Resolve).await.unwrap();
    let stale = groups.set_description(group, text("third"), PreviousDescription::Id("0000000000000000")).await;
    assert!(matches!(stale, Err(GroupError::DescriptionConflict)), "{stale:?}");
    assert_eq!(club.metadata().await.description.as_deref(), Some("second"));
    groups.set_description(group, None, PreviousDescription::Resolve).await.unwrap();
    assert_eq!(club.metadata().await.description, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_do_only_what_the_settings_allow() {
    let club = Club::start().await;
    let Club { ada, bo, group, .. } = &club;
    bo.client.groups().set_subject(group, subject("Bo was here")).await.unwrap();
    ada.client.groups().set_locked(group, true).await.unwrap();
    assert_eq!(refusal(bo.client.groups().set_subject(group, subject("and again")).await), 403);
    assert_eq!(refusal(bo.client.groups().set_announce(group, true).await), 403);
    assert_eq!(club.metadata().await.subject, "Bo was here");

    ada.client.groups().set_announce(group, true).await.unwrap();
    let refused = bo.send_text(group, "may I?").await;
    assert!(bo.answer_to(&refused).await.is_some(), "only admins write");
    let said = ada.send_text(group, "only I may").await;
    bo.message(&said).await;
    assert!(!club.sim.shown(CY).await.iter().any(|message| message["id"] == refused.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_lets_people_in_until_it_is_revoked() {
    let club = Club::start().await;
    let Club { sim, ada, bo, group } = &club;
    let di = RawClient::linked(sim, DI).await;
    let link = ada.client.groups().get_invite_link(group, false).await.unwrap();
    assert_eq!(link, ada.client.groups().get_invite_link(group, false).await.unwrap(), "asking does not change it");
    let shown = di.client.groups().get_invite_info(&link).await.unwrap();
    assert_eq!((shown.id.clone(), shown.subject.as_str(), shown.size), (group.clone(), "Club", Some(3)));
    let joined = di.client.groups().join_with_invite_code(&link).await.unwrap();
    assert!(matches!(joined, JoinGroupResult::Joined(joined) if joined == *group));
    change(bo, Mark::default(), "Di coming", |action| matches!(action, Action::Add { .. })).await;
    let hello = di.send_text(group, "hello all").await;
    assert_eq!(bo.message(&hello).await.message.text_content(), Some("hello all"));
    assert_eq!(sim.shows_id(CY, &hello).await["text"], "hello all");

    let fresh = ada.client.groups().get_invite_link(group, true).await.unwrap();
    assert_ne!(fresh, link);
    assert!(di.client.groups().get_invite_info(&link).await.is_err());
    assert_eq!(refusal(bo.client.groups().get_invite_link(group, false).await), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_to_come_in_waits_for_an_admin() {
    let club = Club::start().await;
    let Club { sim, ada, group, .. } = &club;
    let (di, groups) = (RawClient::linked(sim, DI).await, ada.client.groups());
    groups.set_membership_approval(group, MembershipApprovalMode::On).await.unwrap();
    let link = groups.get_invite_link(group, false).await.unwrap();
    for decide in [false, true] {
        let mark = ada.mark();
        let asked = di.client.groups().join_with_invite_code(&link).await.unwrap();
        assert!(matches!(asked, JoinGroupResult::PendingApproval(_)), "{asked:?}");
        change(ada, mark, "the request", |action| {
            matches!(action, Action::MembershipApprovalRequest { .. } | Action::CreatedMembershipRequests { .. })
        })
        .await;
        let waiting = groups.get_membership_requests(group).await.unwrap();
        assert_eq!(waiting.len(), 1);
        let who = [waiting[0].jid.clone()];
        assert!(who[0] == di.jid() || who[0] == di.lid());
        let decided = if decide {
            groups.approve_membership_requests(group, &who).await
        } else {
            groups.reject_membership_requests(group, &who).await
        };
        assert!(decided.unwrap()[0].is_ok());
        assert_eq!(member(&club.metadata().await, DI).is_some(), decide);
    }
    assert!(groups.get_membership_requests(group).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_come_in_is_taken_back() {
    let club = Club::start().await;
    let Club { sim, ada, group, .. } = &club;
    let (di, groups) = (RawClient::linked(sim, DI).await, ada.client.groups());
    groups.set_membership_approval(group, MembershipApprovalMode::On).await.unwrap();
    let link = groups.get_invite_link(group, false).await.unwrap();
    di.client.groups().join_with_invite_code(&link).await.unwrap();
    di.client.groups().cancel_membership_requests(group, &[di.jid()]).await.unwrap();
    assert!(groups.get_membership_requests(group).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn several_groups_are_asked_about_at_once() {
    let club = Club::start().await;
    let Club { ada, bo, group, .. } = &club;
    let private = create(ada, "Without Bo", &[CY]).await.id;
    let nowhere = Jid::group("120363999999999999");
    let asked = vec![group.clone(), private.clone(), nowhere.clone()];
    let answers = bo.client.groups().batch_get_info(asked).await.unwrap();
    assert_eq!(answers.len(), 3);
    for answer in answers {
        match answer {
            BatchGroupResult::Full(full) => assert_eq!((&full.id, full.subject.as_str()), (group, "Club")),
            BatchGroupResult::Truncated { id, .. } => panic!("{id} is not told in full"),
            BatchGroupResult::Forbidden(id) => assert_eq!(id, private),
            BatchGroupResult::NotFound(id) => assert_eq!(id, nowhere),
        }
    }
    assert_eq!(ada.client.groups().get_participating().await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_tells_what_a_member_is_in_this_group() {
    let club = Club::start().await;
    let Club { ada, bo, group, .. } = &club;
    let id = bo.client.groups().update_member_label_with_id(group, "Treasurer").await.unwrap();
    let seen = ada
        .hears("the label", |event| {
            let labelled = |message: &&InboundMessage| message.message.protocol_message.member_label.is_set();
            event.messages().find(labelled).cloned()
        })
        .await;
    assert_eq!(seen.info.id, id);
    assert_eq!(seen.message.protocol_message.member_label.label.as_deref(), Some("Treasurer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_wait_for_a_member_who_is_off() {
    let club = Club::start().await;
    let Club { sim, ada, bo, group } = club;
    let bo = bo.suspend().await;
    ada.client.groups().set_subject(&group, subject("While Bo slept")).await.unwrap();
    ada.client.groups().add_participants(&group, &[jid(DI)]).await.unwrap();
    let said = ada.send_text(&group, "good morning").await;
    let bo = bo.resume(&sim).await;
    let wanted = |action: &Action| matches!(action, Action::Subject { subject, .. } if subject == "While Bo slept");
    let update = change(&bo, Mark::default(), "the name", wanted).await;
    assert!(update.offline.is_some(), "it waited in the queue");
    change(&bo, Mark::default(), "Di coming", |action| matches!(action, Action::Add { .. })).await;
    assert_eq!(bo.message(&said).await.message.text_content(), Some("good morning"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_added_is_invited() {
    let club = Club::start().await;
    let Club { sim, ada, group, .. } = &club;
    let di = RawClient::linked(sim, DI).await;
    sim.post(&format!("phones/{DI}/group_privacy"), json!({ "invite_only": true })).await;
    let added = ada.client.groups().add_participants(group, &[jid(DI)]).await.unwrap();
    assert_eq!(added[0].error.as_deref(), Some("403"));
    let invitation = added[0].add_request.as_ref().expect("an invitation in its place");
    assert!(member(&club.metadata().await, DI).is_none());
    let expires = i64::try_from(invitation.expiration).unwrap();
    let joined = di.client.groups().join_with_invite_v4(group, &invitation.code, expires, ada.jid()).await.unwrap();
    assert!(matches!(&joined, JoinGroupResult::Joined(jid) if jid == group), "{joined:?}");
    assert!(member(&club.metadata().await, DI).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_manage_groups_under_the_same_rules() {
    let club = Club::start().await;
    let Club { sim, ada, bo, group } = &club;
    let path = format!("groups/{group}");
    let subject = json!({ "by": CY, "subject": "Cy's club", "locked": true });
    let (status, why) = sim.ask("PATCH", &path, Some(&json!({ "by": CY, "locked": true }))).await;
    assert_eq!(status, 403, "only admins lock: {why}");
    ada.client.groups().promote_participants(group, &[jid(CY)]).await.unwrap();
    let mark = bo.mark();
    sim.must("PATCH", &path, Some(&subject)).await;
    change(bo, mark, "the new name", |action| matches!(action, Action::Subject { subject, .. } if subject == "Cy's club"))
        .await;
    change(bo, mark, "the lock", |action| matches!(action, Action::Locked { .. })).await;
    sim.post(&format!("{path}/participants"), json!({ "by": CY, "action": "add", "numbers": [DI] })).await;
    change(bo, mark, "Di coming", |action| matches!(action, Action::Add { .. })).await;
    sim.post(&format!("{path}/participants"), json!({ "by": DI, "action": "leave" })).await;
    change(bo, mark, "Di leaving", |action| matches!(action, Action::Remove { .. })).await;
    let (status, _) = sim.ask("GET", "groups/120363999999999999@g.us", None).await;
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_of_the_group_is_for_its_members() {
    let club = Club::start().await;
    let Club { sim, ada, bo, group } = &club;
    let di = RawClient::linked(sim, DI).await;
    let bare = create(ada, "Without a picture", &[BO]).await.id;
    let image: Vec<u8> = [0xff, 0xd8, 0xff, 0xe0].into_iter().chain((0..2_000).map(|n| (n % 241) as u8)).collect();
    let set = ada.client.groups().set_profile_picture(group, image.clone()).await.unwrap();
    let update = picture_update(bo, false).await;
    assert_eq!((&update.jid, update.picture_id.as_ref()), (group, Some(&set.id)));

    let found = bo.client.contacts().get_profile_picture(group, false).await.unwrap().expect("there is one");
    assert_eq!(found.id, set.id);
    assert_eq!(fetched(sim, &found.url).await, image);
    for kind in [PictureType::Preview, PictureType::Image] {
        let asked = vec![group.clone(), bare.clone()];
        let pictures = bo.client.groups().get_profile_pictures(asked, kind).await.unwrap();
        assert_eq!([&pictures[0].group_jid, &pictures[1].group_jid], [group, &bare]);
        assert_eq!((pictures[0].photo_id.as_ref(), pictures[0].direct_path.is_some()), (Some(&set.id), true));
        assert_eq!(fetched(sim, pictures[0].url.as_ref().unwrap()).await, image);
        assert_eq!((&pictures[1].url, &pictures[1].photo_id), (&None, &None));
    }
    // Who is not in it sees none, whichever way they ask.
    assert!(di.client.contacts().get_profile_picture(group, false).await.unwrap().is_none());
    let refused = di.client.groups().get_profile_pictures(vec![group.clone()], PictureType::Image).await.unwrap();
    assert!(refused.iter().all(|picture| picture.url.is_none() && picture.direct_path.is_none()), "{refused:?}");

    ada.client.groups().remove_profile_picture(group).await.unwrap();
    assert_eq!(picture_update(bo, true).await.jid, *group);
    assert!(bo.client.contacts().get_profile_picture(group, true).await.unwrap().is_none());
}

async fn picture_update(client: &RawClient, removed: bool) -> PictureUpdate {
    client
        .hears("the picture", |event| match event {
            Event::PictureUpdate(update) if update.removed == removed => Some(update.clone()),
            _ => None,
        })
        .await
}

/// What the media hosts have at this URL.
async fn fetched(sim: &Sim, url: &str) -> Vec<u8> {
    let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).unwrap();
    let file = sim.http().json("GET", path, None, None).await.unwrap();
    assert_eq!(file.status, 200);
    file.body
}

#[tokio::test(flavor = "multi_thread")]
async fn every_setting_is_told_to_who_asks() {
    let club = Club::start().await;
    let (groups, group) = (club.ada.client.groups(), &club.group);
    for on in [true, false] {
        groups.set_locked(group, on).await.unwrap();
        groups.set_announce(group, on).await.unwrap();
        groups.set_ephemeral(group, if on { 86_400 } else { 0 }).await.unwrap();
        groups.set_no_frequently_forwarded(group, on).await.unwrap();
        groups.set_allow_admin_reports(group, on).await.unwrap();
        groups.set_group_history(group, on).await.unwrap();
        groups.set_limit_sharing(group, on).await.unwrap();
        let approval = if on { MembershipApprovalMode::On } else { MembershipApprovalMode::Off };
        groups.set_membership_approval(group, approval).await.unwrap();
        let told = club.metadata().await;
        let flags = [
            told.is_locked,
            told.is_announcement,
            told.ephemeral.and_then(|ephemeral| ephemeral.expiration).is_some_and(|seconds| seconds > 0),
            told.no_frequently_forwarded,
            told.allow_admin_reports,
            told.has_group_history,
            told.is_limit_sharing_enabled,
            told.membership_approval,
        ];
        assert_eq!(flags, [on; 8]);
    }
}

/// Who may add, link and share in a group, as the answer to a client's question has it. Read off the stanza: the library
/// takes these texts only when they come as tokens, and no dictionary has them.
async fn modes_told(client: &RawClient, group: &Jid) -> [String; 3] {
    let lease = client.client.acquire_raw_node_forwarding();
    let mark = client.mark();
    client.client.groups().get_metadata(group).await.unwrap();
    let told = client.hears_after(mark, "the group", |event| match event {
        Event::RawNode(node) => {
            let group = node.get().get_optional_child("group")?;
            let text = |tag| group.get_optional_child(tag)?.content_as_string().map(|text| text.to_string());
            Some([text("member_add_mode")?, text("member_link_mode")?, text("member_share_group_history_mode")?])
        }
        _ => None,
    });
    let told = told.await;
    drop(lease);
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_do_what_is_decided_by_the_admins_and_told_to_all() {
    let club = Club::start().await;
    let Club { sim, ada, bo, group } = &club;
    let groups = ada.client.groups();
    assert_eq!(modes_told(bo, group).await, ["all_member_add", "admin_link", "admin_share"]);
    assert_eq!(refusal(bo.client.groups().get_invite_link(group, false).await), 401);

    let mark = bo.mark();
    groups.set_member_add_mode(group, MemberAddMode::AdminAdd).await.unwrap();
    let wanted = |action: &Action| matches!(action, Action::MemberAddMode { mode } if mode == "admin_add");
    change(bo, mark, "the new mode", wanted).await;
    groups.set_member_link_mode(group, MemberLinkMode::AllMemberLink).await.unwrap();
    groups.set_member_share_history_mode(group, MemberShareHistoryMode::AllMemberShare).await.unwrap();
    let modes = ["admin_add", "all_member_link", "all_member_share"];
    assert_eq!(modes_told(bo, group).await, modes);
    let on_phone = sim.get(&format!("groups/{group}")).await;
    let tags = ["member_add_mode", "member_link_mode", "member_share_group_history_mode"];
    assert_eq!(tags.map(|tag| on_phone[tag].clone()), modes.map(|mode| json!(mode)));
    bo.client.groups().get_invite_link(group, false).await.unwrap();
    assert!(bo.client.groups().set_member_link_mode(group, MemberLinkMode::AdminLink).await.is_err());

    // The modes can be chosen when a group is made.
    let options = GroupCreateOptions::new("Closed")
        .with_participants(vec![GroupParticipantOptions::new(jid(BO))])
        .with_member_add_mode(MemberAddMode::AdminAdd)
        .with_member_link_mode(MemberLinkMode::AllMemberLink);
    let made = groups.create_group(options).await.unwrap().metadata.id;
    assert_eq!(modes_told(bo, &made).await, ["admin_add", "all_member_link", "admin_share"]);
    assert_eq!(refusal(bo.client.groups().add_participants(&made, &[jid(DI)]).await), 403);
}
