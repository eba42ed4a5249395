//! Communities: a parent with the groups below it, and announcements that members may comment on.

use serde_json::json;
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::raw_client::{Mark, RawClient, jid};
use switchboard_tests::sim::Sim;
use whatsapp_rust::features::GroupType;
use whatsapp_rust::prelude::*;
use whatsapp_rust::wacore::stanza::groups::GroupNotificationAction as Action;
use whatsapp_rust::{CreateCommunityOptions, group_type};

use crate::groups::{change, create, member};
use crate::{ADA, BO, CY, DI};

/// A community of Ada's with its announcement group, and Bo in a group below it.
struct Town {
    sim: Sim,
    ada: RawClient,
    bo: RawClient,
    community: Jid,
    announcements: Jid,
    quarter: Jid,
}

impl Town {
    async fn start() -> Self {
        let sim = Sim::start().await;
        let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
        sim.phone(CY).await;
        let options =
            CreateCommunityOptions { description: Some("All of us".to_owned()), ..CreateCommunityOptions::new("Town") };
        let community = ada.client.community().create(options).await.unwrap().metadata.id;
        let subgroups = ada.client.community().get_subgroups(&community).await.unwrap();
        let announcements = subgroups.iter().find(|group| group.is_default_sub_group).unwrap().id.clone();
        let quarter = ada.client.community().create_subgroup("Quarter", &[jid(BO)], &community).await.unwrap().metadata.id;
        let created = |action: &Action| matches!(action, Action::Create { .. });
        change(&bo, Mark::default(), "the quarter", created).await;
        Self { sim, ada, bo, community, announcements, quarter }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_community_has_announcements_and_a_general_chat_from_the_start() {
    let Town { sim: _sim, ada, community, announcements, .. } = Town::start().await;
    let groups = ada.client.groups();
    let parent = groups.get_metadata(&community).await.unwrap();
    assert_eq!(group_type(&parent), GroupType::Community);
    assert_eq!((parent.subject.as_str(), parent.description.as_deref()), ("Town", Some("All of us")));
    let first = groups.get_metadata(&announcements).await.unwrap();
    assert_eq!(group_type(&first), GroupType::LinkedAnnouncementGroup);
    assert_eq!(first.parent_group_jid.as_ref(), Some(&community));
    let subgroups = ada.client.community().get_subgroups(&community).await.unwrap();
    assert!(subgroups.iter().any(|group| group.is_general_chat), "{subgroups:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_made_in_linked_to_and_taken_out_of_a_community() {
    let Town { sim: _sim, ada, bo, community, quarter, .. } = Town::start().await;
    let communities = ada.client.community();
    let seen = bo.client.groups().get_metadata(&quarter).await.unwrap();
    assert_eq!((group_type(&seen), seen.parent_group_jid.as_ref()), (GroupType::LinkedSubgroup, Some(&community)));

    let old = create(&ada, "Old friends", &[CY]).await.id;
    let linked = communities.link_subgroups(&community, std::slice::from_ref(&old)).await.unwrap();
    assert_eq!((linked.linked_jids, linked.failed_groups), (vec![old.clone()], vec![]));
    let names = async || {
        let subgroups = communities.get_subgroups(&community).await.unwrap();
        subgroups.into_iter().map(|group| group.id).collect::<Vec<_>>()
    };
    assert!(names().await.contains(&old));
    let unlinked = communities.unlink_subgroups(&community, std::slice::from_ref(&old), false).await.unwrap();
    assert_eq!(unlinked.unlinked_jids, std::slice::from_ref(&old));
    assert!(!names().await.contains(&old));
    assert_eq!(ada.client.groups().get_metadata(&old).await.unwrap().parent_group_jid, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_community_find_and_join_its_groups() {
    let Town { sim: _sim, ada, bo, community, .. } = Town::start().await;
    let chess = ada.client.community().create_subgroup("Chess", &[], &community).await.unwrap().metadata.id;
    let communities = bo.client.community();
    assert!(communities.get_participating().await.unwrap().contains_key(&community));
    assert_eq!(communities.query_linked_group(&community, &chess).await.unwrap().subject, "Chess");
    let joined = communities.join_subgroup(&community, &chess).await.unwrap();
    assert_eq!(joined.id, chess);
    let seen = ada.client.groups().get_metadata(&chess).await.unwrap();
    assert!(member(&seen, BO).is_some());
    let counts = communities.get_subgroup_participant_counts(&community).await.unwrap();
    assert_eq!(counts.iter().find(|(group, _)| *group == chess).map(|(_, count)| *count), Some(2), "{counts:?}");
    let all = communities.get_linked_groups_participants(&community).await.unwrap();
    assert!(all.len() >= 2, "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_removed_from_a_community_is_removed_from_its_groups() {
    let Town { sim: _sim, ada, bo, community, quarter, .. } = Town::start().await;
    let removed = ada.client.community().remove_participants(&community, &[jid(BO)]).await.unwrap();
    assert!(removed.iter().all(|change| change.is_ok()), "{removed:?}");
    change(&bo, Mark::default(), "being removed", |action| matches!(action, Action::Remove { .. })).await;
    let seen = ada.client.groups().get_metadata(&quarter).await.unwrap();
    assert!(member(&seen, BO).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_a_community_is_left_by_way_of_the_community_too() {
    let Town { sim: _sim, ada, bo, community, announcements, quarter } = Town::start().await;
    let removed = ada.client.groups().remove_participants_including_linked_groups(&community, &[jid(BO)]).await.unwrap();
    assert!(removed.iter().all(|change| change.is_ok()), "{removed:?}");
    change(&bo, Mark::default(), "being removed", |action| matches!(action, Action::Remove { .. })).await;
    for group in [&community, &announcements, &quarter] {
        assert!(member(&ada.client.groups().get_metadata(group).await.unwrap(), BO).is_none(), "{group}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_community_is_given_up_and_its_groups_stay() {
    let Town { sim, ada, bo, community, quarter, .. } = Town::start().await;
    ada.client.community().deactivate(&community).await.unwrap();
    assert!(ada.client.groups().get_metadata(&community).await.is_err());
    let seen = bo.client.groups().get_metadata(&quarter).await.unwrap();
    assert_eq!(seen.parent_group_jid, None);
    let id = ada.send_text(&quarter, "still here").await;
    bo.message(&id).await;
    sim.stop().await;
}

/// Names a message of the announcement group to those in it.
fn key_of(message: &InboundMessage) -> wa::MessageKey {
    wa::MessageKey {
        remote_jid: Some(message.info.source.chat.to_string()),
        from_me: Some(false),
        id: Some(message.info.id.clone()),
        participant: Some(message.info.source.sender.to_non_ad_string()),
    }
}

/// Brings somebody into a community by a new group below it.
async fn bring_in(town: &Town, number: &str) {
    town.ada.client.community().create_subgroup("Chess", &[jid(number)], &town.community).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaction_to_an_announcement_is_sealed_for_those_who_have_the_announcement() {
    let town = Town::start().await;
    bring_in(&town, CY).await;
    let Town { sim, ada, bo, announcements, .. } = &town;
    let post = ada.send_text(announcements, "Fair on Sunday").await;
    let seen = bo.message(&post).await;
    sim.shows_id(CY, &post).await;
    let di = RawClient::linked(sim, DI).await;
    bring_in(&town, DI).await;
    let knows_all = async || bo.client.groups().query_info(announcements).await.unwrap().participants.len() == 4;
    assert!(until(PATIENCE, knows_all).await, "Bo never learned of Di");
    for emoji in ["🎉", "👍", ""] {
        let reaction = bo.client.send_reaction(announcements, key_of(&seen), emoji).await.unwrap().message_id;
        assert_eq!(bo.answer_to(&reaction).await, None, "a member may react, although only admins speak");
        let opened = ada.message(&reaction).await;
        assert_eq!(opened.message.reaction_message.text.as_deref(), Some(emoji));
        assert_eq!(opened.message.reaction_message.key.id.as_deref(), Some(post.as_str()));
        let shown = sim.shows_id(CY, &reaction).await;
        assert_eq!(shown["reaction"], json!({ "message_id": post, "emoji": emoji }), "{shown:#}");
        // Who came later has the seal alone.
        let closed = di.message(&reaction).await;
        assert!(closed.message.enc_reaction_message.is_set() && closed.message.reaction_message.is_unset());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_on_an_announcement_name_it_and_may_be_reacted_to() {
    let town = Town::start().await;
    bring_in(&town, CY).await;
    let Town { sim, ada, bo, community, announcements, .. } = &town;
    let post = ada.send_text(announcements, "Fair on Sunday").await;
    let seen = bo.message(&post).await;
    sim.shows_id(CY, &post).await;
    ada.client.groups().promote_participants(community, &[jid(BO)]).await.unwrap();
    let comment = bo.client.comments().send_text(announcements, key_of(&seen), "I bring cake").await.unwrap().message_id;
    let opened = ada.message(&comment).await;
    assert_eq!(opened.message.text_content(), Some("I bring cake"));
    assert_eq!(opened.info.comment_target.as_ref().unwrap().id.as_deref(), Some(post.as_str()));
    let shown = sim.shows_id(CY, &comment).await;
    let told = (&shown["type"], &shown["commented"], &shown["text"]);
    assert_eq!(told, (&json!("comment"), &json!(post), &json!("I bring cake")), "{shown:#}");
    let reaction = ada.client.send_reaction(announcements, key_of(&opened), "❤").await.unwrap().message_id;
    let opened = bo.message(&reaction).await;
    assert_eq!(opened.message.reaction_message.text.as_deref(), Some("❤"));
    assert_eq!(opened.message.reaction_message.key.id.as_deref(), Some(comment.as_str()));
    let shown = sim.shows_id(CY, &reaction).await;
    assert_eq!(shown["reaction"], json!({ "message_id": comment, "emoji": "❤" }), "{shown:#}");
    // From outside a comment looks like any text, and only admins of the community may speak here.
    ada.client.groups().demote_participants(community, &[jid(BO)]).await.unwrap();
    let refused = bo.client.comments().send_text(announcements, key_of(&seen), "May I?").await.unwrap().message_id;
    assert_eq!(bo.answer_to(&refused).await.as_deref(), Some("403"));
}

#[tokio::test(flavor = "multi_thread")]
async fn members_vote_on_what_an_admin_asks_in_the_announcements() {
    let town = Town::start().await;
    bring_in(&town, CY).await;
    let Town { sim, ada, bo, announcements, .. } = &town;
    let options = ["Saturday", "Sunday"].map(str::to_owned);
    let (poll, secret) = ada.client.polls().create(announcements, "When?", &options, 1).await.unwrap();
    let asked = bo.message(&poll.message_id).await;
    sim.shows_id(CY, &poll.message_id).await;
    let author = asked.info.source.sender.to_non_ad();
    let vote = bo.client.polls().vote(announcements, &poll.message_id, &author, &secret, &options[..1]).await.unwrap();
    assert_eq!(bo.answer_to(&vote.message_id).await, None);
    assert_eq!(sim.shows_id(CY, &vote.message_id).await["poll_vote"]["options"], json!(["Saturday"]));
    let body = json!({ "poll_vote": { "poll_id": poll.message_id, "options": ["Sunday"] } });
    let by_phone = sim.send(CY, &announcements.to_string(), body).await;
    ada.message(&by_phone).await;
    // To ask is for the admins.
    let (other, _) = bo.client.polls().create(announcements, "Where?", &options, 1).await.unwrap();
    assert_eq!(bo.answer_to(&other.message_id).await.as_deref(), Some("403"));
}
