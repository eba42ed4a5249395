//! What a group allows, and for how long it keeps what is said: its members hear of each change, and the group tells it of
//! itself.

use serde_json::json;
use switchboard_tests::raw_client::jid;
use whatsapp_rust::prelude::*;
use whatsapp_rust::wacore::stanza::groups::GroupNotificationAction as Action;
use whatsapp_rust::{ErrorChainExt, Freshness, GroupMetadata, JoinGroupResult, MemberShareHistoryMode};

use crate::groups::{Club, change, member};
use crate::{CY, DI};

const DAY: u32 = 86_400;

async fn told(club: &Club) -> GroupMetadata {
    club.bo.client.groups().get_metadata(&club.group).await.unwrap()
}

fn seconds(group: &GroupMetadata) -> Option<u32> {
    group.ephemeral.as_ref().and_then(|ephemeral| ephemeral.expiration).filter(|seconds| *seconds > 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_disappear_from_a_group_for_as_long_as_an_admin_wants() {
    let club = Club::start().await;
    let Club { sim, ada, bo, group } = &club;
    for expected in [DAY, 0] {
        let mark = bo.mark();
        ada.client.groups().set_ephemeral(group, expected).await.unwrap();
        let heard = |action: &Action| matches!(action, Action::Ephemeral { expiration, .. } if *expiration == expected);
        change(bo, mark, "the timer", heard).await;
        assert_eq!(seconds(&told(&club).await).unwrap_or(0), expected);
    }
    let options = SendOptions::default().with_ephemeral_expiration(DAY);
    let sent = ada.client.send_message_with_options(group, wa::Message::text("gone soon"), options).await.unwrap();
    assert_eq!(bo.message(&sent.message_id).await.message.get_ephemeral_expiration(), Some(DAY));
    assert_eq!(sim.shows_id(CY, &sent.message_id).await["text"], "gone soon");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_forwarded_reported_and_shared_is_set_and_told() {
    let club = Club::start().await;
    let Club { ada, bo, group, .. } = &club;
    let groups = ada.client.groups();
    for on in [true, false] {
        let mark = bo.mark();
        groups.set_no_frequently_forwarded(group, on).await.unwrap();
        groups.set_allow_admin_reports(group, on).await.unwrap();
        groups.set_group_history(group, on).await.unwrap();
        groups.set_limit_sharing(group, on).await.unwrap();
        change(bo, mark, "the rule for forwarding", |action| match action {
            Action::NoFrequentlyForwarded => on,
            Action::FrequentlyForwardedOk => !on,
            _ => false,
        })
        .await;
        change(bo, mark, "the rule for reports", |action| match action {
            Action::AllowAdminReports => on,
            Action::NotAllowAdminReports => !on,
            _ => false,
        })
        .await;
        let group = told(&club).await;
        let settings = [
            group.no_frequently_forwarded,
            group.allow_admin_reports,
            group.has_group_history,
            group.is_limit_sharing_enabled,
        ];
        assert_eq!(settings, [on; 4], "{group:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_admins_change_what_a_group_allows() {
    let Club { sim: _sim, bo, group, .. } = Club::start().await;
    let groups = bo.client.groups();
    let refused = [
        groups.set_no_frequently_forwarded(&group, true).await,
        groups.set_allow_admin_reports(&group, true).await,
        groups.set_group_history(&group, true).await,
        groups.set_limit_sharing(&group, true).await,
        groups.set_member_share_history_mode(&group, MemberShareHistoryMode::AdminShare).await,
    ];
    for answer in refused {
        answer.expect_err("Bo is no admin");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_was_read_once_is_read_again_only_when_that_is_wanted() {
    let Club { sim: _sim, ada, bo, group } = Club::start().await;
    let groups = bo.client.groups();
    assert_eq!(groups.query_info_with_freshness(&group, Freshness::CachePreferred).await.unwrap().participants.len(), 3);
    ada.client.groups().add_participants(&group, &[jid(DI)]).await.unwrap();
    let fresh = groups.query_info_with_freshness(&group, Freshness::Refresh).await.unwrap();
    assert_eq!(fresh.participants.len(), 4);
    groups.acknowledge(&group).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_that_is_taken_back_lets_nobody_in() {
    let club = Club::start().await;
    let Club { sim, ada, group, .. } = &club;
    let di = switchboard_tests::raw_client::RawClient::linked(sim, DI).await;
    sim.post(&format!("phones/{DI}/group_privacy"), json!({ "invite_only": true })).await;
    let groups = ada.client.groups();
    let invite = async || {
        let added = groups.add_participants(group, &[jid(DI)]).await.unwrap();
        let invitation = added[0].add_request.clone().expect("an invitation in its place");
        (invitation.code, i64::try_from(invitation.expiration).unwrap())
    };
    let (code, expires) = invite().await;
    let revoked = groups.revoke_request_code(group, &[jid(DI)]).await.unwrap();
    assert!(revoked.iter().all(|one| one.is_ok()), "{revoked:?}");
    let refused = di.client.groups().join_with_invite_v4(group, &code, expires, ada.jid()).await;
    assert!(refused.is_err_and(|error| error.server_rejection().is_some()));
    assert!(member(&told(&club).await, DI).is_none());

    let (code, expires) = invite().await;
    let joined = di.client.groups().join_with_invite_v4(group, &code, expires, ada.jid()).await.unwrap();
    assert!(matches!(joined, JoinGroupResult::Joined(_)), "{joined:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_is_given_and_taken_away() {
    let Club { sim: _sim, ada, bo, group } = Club::start().await;
    for text in ["Treasurer", ""] {
        let mark = ada.mark();
        bo.client.groups().update_member_label(&group, text).await.unwrap();
        ada.hears_after(mark, "the label", |event| {
            let labels = event.messages().filter_map(|message| message.message.protocol_message.member_label.as_option());
            labels.map(|label| label.label.clone().unwrap_or_default()).find(|label| label == text)
        })
        .await;
    }
}
