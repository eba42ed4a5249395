//! Communities: a parent with the groups below it, and announcements that members may comment on.

use switchboard_tests::raw_client::{Mark, RawClient, jid};
use switchboard_tests::sim::Sim;
use whatsapp_rust::features::GroupType;
use whatsapp_rust::prelude::*;
use whatsapp_rust::wacore::stanza::groups::GroupNotificationAction as Action;
use whatsapp_rust::{CreateCommunityOptions, group_type};

use crate::groups::{change, create, member};
use crate::{ADA, BO, CY};

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
