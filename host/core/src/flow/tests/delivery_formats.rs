//! What formats may ask for: their own signatures, the secret itself, and several requests of one event.

use std::time::Duration;

use super::Host;
use super::TENANT;
use super::deliveries::{HOOK, OLD_SECRET, Post, Receiver, answer};
use crate::clock::Clock;
use crate::flow::delivery_worker::Rest;
use crate::records::webhook::{WebhookEndpoint, WebhookSeal};
use crate::rules::webhook_signature::hex_signature;

const HOUR: Duration = Duration::from_secs(3600);

impl Host {
    async fn change_format(&self, format: &'static str) {
        let apply = |hook: &mut WebhookEndpoint, _: &mut WebhookSeal| hook.format = format.to_owned();
        self.storage.change_webhook(TENANT, HOOK, apply).await.unwrap();
    }
}

#[tokio::test]
async fn a_formats_own_signature_goes_beside_the_standard_one() {
    let host = Host::start_with_hook(|hook| hook.format = "hex".to_owned()).await;
    host.receive("a", "IN1").await;
    let receiver = Receiver::answers(200);
    host.deliver(&receiver).await;
    let post = receiver.last();
    assert_eq!(post.header("x-signature"), format!("sha256={}", hex_signature(OLD_SECRET, &[&post.body])));
    assert!(post.header("webhook-signature").starts_with("v1,"));
    host.change_format("stamped").await;
    host.receive("a", "IN2").await;
    host.deliver(&receiver).await;
    let post = receiver.last();
    let seconds = (host.clock.now().0 / 1000).to_string();
    let expected = hex_signature(OLD_SECRET, &[format!("{seconds}.").as_bytes(), &post.body]);
    assert_eq!(
        (post.header("x-seconds"), post.header("x-signature")),
        (seconds.as_str(), format!("sha256={expected}").as_str())
    );
    assert!(post.header("webhook-signature").starts_with("v1,"));
    host.change_format("unsigned").await;
    host.receive("a", "IN3").await;
    host.deliver(&receiver).await;
    let post = receiver.last();
    assert_eq!((post.header("x-signature"), post.header("webhook-signature")), ("", ""), "{post:?}");
}

#[tokio::test]
async fn the_secret_itself_is_sent_only_where_the_endpoint_reveals_it() {
    let host = Host::start_with_hook(|hook| hook.format = "shows".to_owned()).await;
    host.receive("a", "IN1").await;
    let receiver = Receiver::answers(200);
    assert!(matches!(host.deliver(&receiver).await, Rest::Until(_)));
    assert_eq!(receiver.count(), 0);
    let error = host.attempts().await[0].error.clone().unwrap();
    assert_eq!(error, "format shows shows the secret, and this endpoint does not reveal it");
    let reveal = |hook: &mut WebhookEndpoint, _: &mut WebhookSeal| hook.reveal_secret = true;
    host.storage.change_webhook(TENANT, HOOK, reveal).await.unwrap();
    host.clock.advance(HOUR);
    host.deliver(&receiver).await;
    let post = receiver.last();
    assert_eq!(post.header("x-secret"), OLD_SECRET);
    assert!(post.header("webhook-signature").starts_with("v1,"));
    assert!(!String::from_utf8_lossy(&post.body).contains(OLD_SECRET));
}

#[tokio::test]
async fn several_requests_of_one_event_are_made_one_after_the_other_and_each_until_the_receiver_has_it() {
    let host = Host::start_with_hook(|hook| hook.format = "twice".to_owned()).await;
    host.receive("a", "IN1").await;
    // The second request fails once.
    let fails = |post: &Post, before| post.id().ends_with("_2") && before == 0;
    let receiver = Receiver::that(move |post, before| Some(answer(if fails(post, before) { 500 } else { 200 })));
    assert!(matches!(host.deliver(&receiver).await, Rest::Until(_)));
    assert_eq!(receiver.count(), 2);
    assert_eq!(host.hook().await.failures, 1);
    host.clock.advance(HOUR);
    assert_eq!(host.deliver(&receiver).await, Rest::Idle);
    let posts = receiver.posts.lock().unwrap().clone();
    let ids: Vec<&str> = posts.iter().map(Post::id).collect();
    let (first, second) = (format!("msg_{HOOK}_1"), format!("msg_{HOOK}_1_2"));
    assert_eq!(ids, [first.as_str(), second.as_str(), second.as_str()], "what it has is not sent again");
    assert_eq!(host.hook().await.failures, 0);
    let names: Vec<String> = host.attempts().await.into_iter().map(|attempt| attempt.event_name).collect();
    assert_eq!(names, ["second", "second", "message.received"]);
}
