//! Who people are: their names and numbers, what they show of themselves and to whom, whom they trust and whom they block.

use serde_json::json;
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::raw_client::{RawClient, jid};
use switchboard_tests::sim::Sim;
use whatsapp_rust::UserInfo;
use whatsapp_rust::prelude::*;
use whatsapp_rust::privacy_settings::{
    DisallowedListAction, DisallowedListUpdate, DisallowedListUserEntry, PrivacyCategory, PrivacyValue,
};
use whatsapp_rust::types::events::PictureUpdate;

use crate::{ADA, BO, CY};

const NOBODY: &str = "491510009999";

/// Two clients whose people have talked, so that each hears of changes to the other.
pub(crate) async fn acquainted(sim: &Sim) -> (RawClient, RawClient) {
    let (ada, bo) = (RawClient::linked(sim, ADA).await, RawClient::linked(sim, BO).await);
    let there = ada.send_text(&bo.jid(), "nice to meet you").await;
    bo.message(&there).await;
    let back = bo.send_text(&ada.jid(), "likewise").await;
    ada.message(&back).await;
    (ada, bo)
}

async fn info(asker: &RawClient, about: &Jid) -> UserInfo {
    let mut told = asker.client.contacts().get_user_info(std::slice::from_ref(about)).await.unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    told.drain().next().unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_learns_who_is_there_and_under_which_names() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    let bo = sim.phone(BO).await;
    let asked = [jid(BO), jid(NOBODY)];
    let told = ada.client.contacts().is_on_whatsapp(&asked).await.unwrap();
    let of = |number: &str| {
        let number = jid(number);
        told.iter().find(|one| one.jid.to_non_ad() == number || one.pn_jid.as_ref() == Some(&number))
    };
    let there = of(BO).unwrap_or_else(|| panic!("no answer about {BO}: {told:?}"));
    assert!(there.is_registered);
    assert_eq!(there.lid.as_ref().map(Jid::to_non_ad_string), bo["lid"].as_str().map(str::to_owned));
    assert!(of(NOBODY).is_none_or(|nobody| !nobody.is_registered), "{told:?}");

    let lid = bo["lid"].as_str().unwrap().parse::<Jid>().unwrap();
    let told = ada.client.contacts().is_on_whatsapp(&[lid]).await.unwrap();
    assert!(told.iter().any(|one| one.is_registered), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_the_name_that_hides_the_number_arrives() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let id = ada.send_text(&bo.lid(), "by your other name").await;
    assert_eq!(bo.message(&id).await.message.text_content(), Some("by your other name"));
    assert_eq!(sim.shows_id(BO, &id).await["from"], jid(ADA).to_string());
    let back = bo.send_text(&ada.lid(), "you too").await;
    ada.message(&back).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_devices_of_an_account_are_told() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    let (desk, laptop) = (RawClient::linked(&sim, BO).await, RawClient::linked(&sim, BO).await);
    let mut devices = ada.client.signal().get_user_devices(&[jid(BO)]).await.unwrap();
    devices.sort_by_key(|jid| jid.device);
    let numbers: Vec<u16> = devices.iter().map(|jid| jid.device).collect();
    assert_eq!(numbers, [0, desk.device_jid().device, laptop.device_jid().device]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_say_about_themselves_is_told_to_those_who_know_them() {
    let sim = Sim::start().await;
    let (ada, bo) = acquainted(&sim).await;
    bo.client.profile().set_status_text("at the beach").await.unwrap();
    let heard = ada
        .hears("Bo's text", |event| match event {
            Event::UserAboutUpdate(update) if update.status == "at the beach" => Some(update.jid.to_non_ad()),
            _ => None,
        })
        .await;
    assert!(heard == bo.jid() || heard == bo.lid(), "{heard}");
    assert_eq!(info(&ada, &bo.jid()).await.status.as_deref(), Some("at the beach"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_name_is_seen_with_the_next_message_and_on_the_own_devices() {
    let sim = Sim::start().await;
    let (ada, bo) = acquainted(&sim).await;
    let laptop = RawClient::linked(&sim, ADA).await;
    let names =
        async |id: &str| (bo.message(id).await.info.push_name.clone(), sim.shows_id(BO, id).await["push_name"].clone());
    let old = format!("Client of {ADA}");
    let before = ada.send_text(&bo.jid(), "as before").await;
    assert_eq!(names(&before).await, (old.clone(), json!(old)));

    ada.client.profile().set_push_name("Countess").await.unwrap();
    let after = ada.send_text(&bo.jid(), "call me Countess").await;
    assert_eq!(names(&after).await, ("Countess".to_owned(), json!("Countess")));
    laptop
        .hears("the new name", |event| {
            matches!(event, Event::SelfPushNameUpdated(update) if update.new_name == "Countess").then_some(())
        })
        .await;
    let on_phone = async || sim.phone_summary(ADA).await["name"] == "Countess";
    assert!(until(PATIENCE, on_phone).await, "the phone never learned its owner's new name");
    // What the phone itself sends goes by that name as well.
    let by_phone = sim.send_text(ADA, BO, "and so on").await;
    assert_eq!(names(&by_phone).await, ("Countess".to_owned(), json!("Countess")));
}

async fn picture_update(client: &RawClient, removed: bool) -> PictureUpdate {
    client
        .hears("the picture", |event| match event {
            Event::PictureUpdate(update) if update.removed == removed => Some(update.clone()),
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_shown_to_others_until_it_is_taken_away() {
    let sim = Sim::start().await;
    let (ada, bo) = acquainted(&sim).await;
    let image: Vec<u8> = [0xff, 0xd8, 0xff, 0xe0].into_iter().chain((0..2_000).map(|n| (n % 251) as u8)).collect();
    let set = bo.client.profile().set_profile_picture(image.clone()).await.unwrap();
    assert_eq!(picture_update(&ada, false).await.picture_id.as_ref(), Some(&set.id));
    let contacts = ada.client.contacts();
    let shown = contacts.get_profile_picture(&bo.jid(), false).await.unwrap().expect("there is one");
    assert_eq!(shown.id, set.id);
    let path = shown.url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).unwrap();
    let file = sim.http().json("GET", path, None, None).await.unwrap();
    assert_eq!((file.status, file.body), (200, image));
    assert!(contacts.get_profile_picture(&bo.jid(), true).await.unwrap().is_some(), "the small one");
    assert_eq!(info(&ada, &bo.jid()).await.picture_id, Some(set.id));

    bo.client.profile().remove_profile_picture().await.unwrap();
    picture_update(&ada, true).await;
    assert!(contacts.get_profile_picture(&bo.jid(), false).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_blocked_is_not_heard_until_unblocked() {
    let sim = Sim::start().await;
    let (ada, bo) = acquainted(&sim).await;
    let laptop = RawClient::linked(&sim, ADA).await;
    let blocking = ada.client.blocking();
    blocking.block(&bo.jid()).await.unwrap();
    assert!(blocking.is_blocked(&bo.jid()).await.unwrap());
    let listed = laptop.client.blocking().get_blocklist().await.unwrap();
    assert!(listed.iter().any(|entry| entry.jid == bo.jid() || entry.jid == bo.lid()), "{listed:?}");
    let ignored = bo.send_text(&ada.jid(), "please").await;
    bo.answer_to(&ignored).await;

    blocking.unblock(&bo.lid()).await.unwrap();
    assert!(!blocking.is_blocked(&bo.jid()).await.unwrap());
    assert!(laptop.client.blocking().get_blocklist().await.unwrap().is_empty());
    let heard = bo.send_text(&ada.jid(), "thank you").await;
    ada.message(&heard).await;
    assert_eq!(ada.received(&ignored), 0, "what was said meanwhile stays unheard");
}

#[tokio::test(flavor = "multi_thread")]
async fn privacy_settings_are_kept_and_honoured() {
    let sim = Sim::start().await;
    let (ada, bo) = acquainted(&sim).await;
    bo.client.profile().set_status_text("for some").await.unwrap();
    assert_eq!(info(&ada, &bo.jid()).await.status.as_deref(), Some("for some"));
    let settings = [
        (PrivacyCategory::Status, PrivacyValue::None),
        (PrivacyCategory::Last, PrivacyValue::Contacts),
        (PrivacyCategory::Online, PrivacyValue::MatchLastSeen),
        (PrivacyCategory::ReadReceipts, PrivacyValue::None),
        (PrivacyCategory::GroupAdd, PrivacyValue::Contacts),
        (PrivacyCategory::Profile, PrivacyValue::None),
    ];
    for (category, value) in &settings {
        bo.client.set_privacy_setting(category.clone(), value.clone()).await.unwrap();
    }
    let kept = bo.client.fetch_privacy_settings().await.unwrap();
    for (category, value) in &settings {
        assert_eq!(kept.get_value(category), Some(value), "{kept:?}");
    }
    assert_eq!(info(&ada, &bo.jid()).await.status.filter(|text| !text.is_empty()), None);
    assert_eq!(info(&bo, &bo.jid()).await.status.as_deref(), Some("for some"), "one sees one's own");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timer_for_new_chats_is_told_to_others() {
    const WEEK: u32 = 604_800;
    let sim = Sim::start().await;
    let (ada, bo) = acquainted(&sim).await;
    bo.client.set_default_disappearing_mode(WEEK).await.unwrap();
    let from = ada
        .hears("the timer", |event| match event {
            Event::DisappearingModeChanged(changed) if changed.duration == WEEK => Some(changed.from.to_non_ad()),
            _ => None,
        })
        .await;
    assert!(from == bo.jid() || from == bo.lid(), "{from}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_trust_reaches_the_one_it_is_for() {
    let sim = Sim::start().await;
    let (ada, bo) = acquainted(&sim).await;
    ada.client.tc_token().issue_tokens(&[bo.lid()]).await.unwrap();
    let (tokens, key) = (bo.client.tc_token(), ada.lid().user.to_string());
    let has_come = async || tokens.get(&key).await.unwrap().is_some_and(|entry| !entry.token.is_empty());
    assert!(until(PATIENCE, has_come).await, "the token never came");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_account_takes_a_first_message_only_from_those_it_trusts() {
    let sim = Sim::start().await;
    let (ada, cy) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, CY).await);
    sim.phone_named(BO, "restricted:Bo").await;
    let bo = RawClient::linked(&sim, BO).await;
    let stranger = ada.send_text(&bo.jid(), "buy this").await;
    assert_eq!(ada.answer_to(&stranger).await.as_deref(), Some("463"));
    // Bo writes first to Cy, who may answer.
    let hello = bo.send_text(&cy.jid(), "hello").await;
    cy.message(&hello).await;
    let (tokens, key) = (cy.client.tc_token(), bo.lid().user.to_string());
    assert!(until(PATIENCE, async || tokens.get(&key).await.unwrap().is_some()).await, "no token came along");
    let answer = cy.send_text(&bo.jid(), "hello yourself").await;
    assert_eq!(cy.answer_to(&answer).await, None);
    bo.message(&answer).await;
    assert_eq!(bo.received(&stranger), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reinstalled_phone_has_new_keys_and_is_believed() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    sim.phone(BO).await;
    let before = ada.send_text(&jid(BO), "before").await;
    sim.shows_id(BO, &before).await;
    let hello = sim.send_text(BO, ADA, "hello").await;
    ada.message(&hello).await;
    sim.post(&format!("phones/{BO}/reinstall"), json!({})).await;
    ada.hears("the new identity", |event| match event {
        Event::IdentityChange(change) => Some(change.user.clone()),
        _ => None,
    })
    .await;
    let after = ada.send_text(&jid(BO), "after").await;
    assert_eq!(sim.shows_id(BO, &after).await["text"], "after");
    let new = sim.send_text(BO, ADA, "new phone").await;
    assert_eq!(ada.message(&new).await.message.text_content(), Some("new phone"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_from_some_is_shown_to_the_others() {
    let sim = Sim::start().await;
    let (ada, bo) = acquainted(&sim).await;
    let cy = RawClient::linked(&sim, CY).await;
    bo.client.profile().set_status_text("not for Ada").await.unwrap();
    let users = vec![DisallowedListUserEntry { action: DisallowedListAction::Add, jid: ada.lid(), pn_jid: Some(ada.jid()) }];
    let update = DisallowedListUpdate { dhash: String::new(), users };
    bo.client.set_privacy_disallowed_list(PrivacyCategory::Status, update).await.unwrap();
    let kept = bo.client.fetch_privacy_settings().await.unwrap();
    assert_eq!(kept.get_value(&PrivacyCategory::Status), Some(&PrivacyValue::ContactBlacklist));
    assert_eq!(info(&ada, &bo.jid()).await.status.filter(|text| !text.is_empty()), None);
    // Cy is a contact: Bo writes to Cy.
    let hello = bo.send_text(&cy.jid(), "hello").await;
    cy.message(&hello).await;
    assert_eq!(info(&cy, &bo.jid()).await.status.as_deref(), Some("not for Ada"));
}
