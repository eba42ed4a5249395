//! Newsletters: who makes and follows them, what is posted there, and what followers think of it.

use serde_json::json;
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::raw_client::{Mark, RawClient, parsed};
use switchboard_tests::sim::Sim;
use whatsapp_rust::prelude::*;
use whatsapp_rust::types::presence::ReceiptType;
use whatsapp_rust::{NewsletterMessage, NewsletterRole};

use crate::{ADA, BO, CY};

/// A newsletter of Ada's that Bo's client follows.
struct Gazette {
    sim: Sim,
    ada: RawClient,
    bo: RawClient,
    jid: Jid,
}

impl Gazette {
    async fn start() -> Self {
        let sim = Sim::start().await;
        let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
        let jid = ada.client.newsletter().create("Gazette", Some("News of the day")).await.unwrap().jid;
        bo.client.newsletter().join(&jid).await.unwrap();
        Self { sim, ada, bo, jid }
    }

    async fn posts(&self, reader: &RawClient) -> Vec<NewsletterMessage> {
        reader.client.newsletter().get_messages(&self.jid, 50, None).await.unwrap()
    }

    /// Waits until the network has a post of this id, and gives its number.
    async fn server_id(&self, id: &str) -> u64 {
        let mut server_id = None;
        let posted = async || {
            let summary = self.sim.get(&format!("newsletters/{}", self.jid)).await;
            let post = summary["messages"].as_array().unwrap().iter().find(|post| post["id"] == id).cloned();
            server_id = post.and_then(|post| post["server_id"].as_u64());
            server_id.is_some()
        };
        assert!(until(PATIENCE, posted).await, "post {id} never came");
        server_id.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newsletter_is_made_found_followed_and_left() {
    let Gazette { sim, ada, bo, jid } = Gazette::start().await;
    let (owner, follower) = (ada.client.newsletter(), bo.client.newsletter());
    let made = owner.get_metadata(&jid).await.unwrap();
    assert_eq!((made.name.as_str(), made.description.as_deref()), ("Gazette", Some("News of the day")));
    assert_eq!(made.role, Some(NewsletterRole::Owner));
    let seen = follower.get_metadata_by_invite(&made.invite_code.unwrap()).await.unwrap();
    assert_eq!((seen.jid, seen.role), (jid.clone(), Some(NewsletterRole::Subscriber)));
    let listed = follower.list_subscribed().await.unwrap();
    assert!(listed.iter().any(|one| one.jid == jid), "{listed:?}");

    let updated = owner.update(&jid, Some("Evening Gazette"), None).await.unwrap();
    assert_eq!(updated.name, "Evening Gazette");
    assert_eq!(follower.get_metadata(&jid).await.unwrap().name, "Evening Gazette");
    follower.set_follower_mute(&jid, true).await.unwrap();
    for muted in [true, false] {
        follower.set_admin_mute(&jid, muted).await.unwrap();
    }

    follower.leave(&jid).await.unwrap();
    assert!(follower.list_subscribed().await.unwrap().iter().all(|one| one.jid != jid));
    let followers = sim.get(&format!("newsletters/{jid}")).await["followers"].clone();
    assert!(!followers.as_array().unwrap().contains(&json!(BO)), "{followers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_get_what_is_posted_and_only_the_owner_posts() {
    let gazette = Gazette::start().await;
    let Gazette { ada, bo, jid, .. } = &gazette;
    let id = ada.send_text(jid, "Bridge open again").await;
    let seen = bo.message(&id).await;
    assert_eq!(seen.message.text_content(), Some("Bridge open again"));
    assert_eq!(seen.info.source.chat, *jid);
    let posts = gazette.posts(bo).await;
    assert_eq!(posts.len(), 1);
    assert_eq!(posts[0].message.as_ref().and_then(|message| message.text_content()), Some("Bridge open again"));
    assert!(!posts[0].is_sender);

    let refused = bo.send_text(jid, "me too").await;
    assert!(bo.answer_to(&refused).await.is_some());
    assert_eq!(gazette.posts(ada).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn reactions_are_counted_and_told_to_those_who_look() {
    let gazette = Gazette::start().await;
    let Gazette { ada, bo, jid, .. } = &gazette;
    let id = ada.send_text(jid, "Good news").await;
    let server_id = gazette.server_id(&id).await;
    ada.client.newsletter().subscribe_live_updates(jid).await.unwrap();
    bo.client.newsletter().send_reaction(jid, server_id, "🎉").await.unwrap();
    ada.hears("the reaction", |event| match event {
        Event::NewsletterLiveUpdate(update) => update
            .messages
            .iter()
            .find(|post| post.server_id == server_id && post.reactions.iter().any(|one| one.code == "🎉" && one.count == 1))
            .map(|_| ()),
        _ => None,
    })
    .await;
    let posts = gazette.posts(ada).await;
    assert!(posts[0].reactions.iter().any(|one| one.code == "🎉" && one.count == 1), "{:?}", posts[0].reactions);
    bo.client.newsletter().send_reaction(jid, server_id, "").await.unwrap();
    let gone = async || gazette.posts(ada).await[0].reactions.iter().all(|one| one.count == 0);
    assert!(until(PATIENCE, gone).await, "the reaction is still counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_are_edited_and_taken_back() {
    let gazette = Gazette::start().await;
    let Gazette { ada, bo, jid, .. } = &gazette;
    let id = ada.send_text(jid, "Brigde open").await;
    gazette.server_id(&id).await;
    ada.client.newsletter().edit_message(jid, id.clone(), wa::Message::text("Bridge open")).await.unwrap();
    let edited = async || {
        let posts = gazette.posts(bo).await;
        posts.iter().any(|post| post.message.as_ref().and_then(|message| message.text_content()) == Some("Bridge open"))
    };
    assert!(until(PATIENCE, edited).await, "the post never changed");
    ada.client.newsletter().revoke_message(jid, id.clone()).await.unwrap();
    let revoked = async || {
        let summary = gazette.sim.get(&format!("newsletters/{jid}")).await;
        summary["messages"].as_array().unwrap().iter().any(|post| post["id"] == id.as_str() && post["revoked"] == true)
    };
    assert!(until(PATIENCE, revoked).await, "the post is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn older_posts_are_paged_through() {
    const POSTS: usize = 7;
    let gazette = Gazette::start().await;
    let Gazette { ada, bo, jid, .. } = &gazette;
    let mut ids = Vec::new();
    for n in 0..POSTS {
        ids.push(ada.send_text(jid, &format!("post {n}")).await);
    }
    gazette.server_id(ids.last().unwrap()).await;
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = bo.client.newsletter().get_messages(jid, 3, before).await.unwrap();
        assert!(page.len() <= 3);
        let Some(oldest) = page.iter().map(|post| post.server_id).min() else { break };
        before = Some(oldest);
        seen.extend(page.into_iter().map(|post| post.message_id));
    }
    seen.sort();
    ids.sort();
    assert_eq!(seen, ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_make_and_follow_newsletters_too() {
    let sim = Sim::start().await;
    let bo = RawClient::linked(&sim, BO).await;
    sim.phone(ADA).await;
    sim.phone(CY).await;
    let made = sim.post("newsletters", json!({ "by": ADA, "name": "By phone", "description": "Small news" })).await;
    let jid = parsed(made["jid"].as_str().unwrap());
    let path = format!("newsletters/{jid}");
    sim.post(&format!("{path}/followers"), json!({ "numbers": [CY] })).await;
    bo.client.newsletter().join(&jid).await.unwrap();
    let post = sim.post(&format!("{path}/messages"), json!({ "by": ADA, "text": "Hello all" })).await;
    let (id, server_id) = (post["id"].as_str().unwrap(), post["server_id"].as_u64().unwrap());
    assert_eq!(bo.message(id).await.message.text_content(), Some("Hello all"));
    bo.client.newsletter().send_reaction(&jid, server_id, "👍").await.unwrap();
    sim.post(&format!("{path}/messages/{server_id}/reactions"), json!({ "by": CY, "emoji": "👍" })).await;
    let counted = async || sim.get(&path).await["messages"][0]["reactions"]["👍"] == 2;
    assert!(until(PATIENCE, counted).await, "the reactions were never counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_wait_for_a_follower_who_is_off() {
    let Gazette { sim, ada, bo, jid } = Gazette::start().await;
    let bo = bo.suspend().await;
    let id = ada.send_text(&jid, "While Bo slept").await;
    assert_eq!(ada.answer_to(&id).await, None);
    let bo = bo.resume(&sim).await;
    let mark = Mark::default();
    let seen = bo.hears_after(mark, "the post", |event| event.messages().find(|one| one.info.id == id).cloned()).await;
    assert_eq!(seen.message.text_content(), Some("While Bo slept"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_follower_has_read_is_known_to_their_other_devices() {
    let Gazette { sim, ada, bo, jid } = Gazette::start().await;
    let laptop = RawClient::linked(&sim, BO).await;
    let id = ada.send_text(&jid, "Read all about it").await;
    bo.message(&id).await;
    bo.client.mark_as_read(&jid, None, &[&id]).await.unwrap();
    assert_eq!(laptop.receipt(&id, ReceiptType::ReadSelf).await.source.chat, jid);
}
