//! Which deliveries wait for which: chats where order was asked for, a bounded window, and receivers that never answer.

use std::time::Duration;

use super::deliveries::{HOOK, Receiver, answer};
use super::*;
use crate::flow::delivery_worker::Rest;
use crate::records::account::Tenant;
use crate::records::id::WebhookId;
use crate::records::webhook::{WebhookEndpoint, WebhookSeal};
use crate::storage::WEBHOOKS_MAX;

/// Turns that other tasks get before a test stops waiting.
const TURNS_MAX: usize = 100_000;

async fn until(holds: impl Fn() -> bool) -> bool {
    for _ in 0..TURNS_MAX {
        if holds() {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

#[tokio::test]
async fn with_order_a_failed_delivery_holds_up_its_own_chat_and_no_other() {
    let host = Host::start_with_hook(|hook| hook.ordered = true).await;
    for (n, chat) in ["a", "b", "a", "a", "b"].iter().enumerate() {
        host.receive(chat, &format!("IN{n}")).await;
    }
    let receiver = Receiver::that(|post, before| Some(answer(if post.n() == 1 && before < 3 { 500 } else { 200 })));
    assert!(matches!(host.deliver(&receiver).await, Rest::Until(_)));
    let mut first = receiver.numbers();
    first.sort_unstable();
    assert_eq!(first, [1, 2, 5]);
    host.deliver_until_done(&receiver).await;
    let of_a: Vec<u64> = receiver.numbers().into_iter().filter(|n| [1, 3, 4].contains(n)).collect();
    assert_eq!(of_a, [1, 1, 1, 1, 3, 4]);
}

#[tokio::test]
async fn without_order_a_failed_delivery_holds_up_nothing() {
    let host = Host::start_with_hook(|_| {}).await;
    for n in 1..=4 {
        host.receive("a", &format!("IN{n}")).await;
    }
    let receiver = Receiver::that(|post, _| Some(answer(if post.n() == 1 { 500 } else { 200 })));
    assert!(matches!(host.deliver(&receiver).await, Rest::Until(_)));
    let mut numbers = receiver.numbers();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4]);
}

#[tokio::test]
async fn with_order_a_long_chat_arrives_in_the_order_it_happened() {
    let host = Host::start_with_hook(|hook| hook.ordered = true).await;
    for n in 1..=1500 {
        host.receive(if n % 3 == 0 { "b" } else { "a" }, &format!("IN{n}")).await;
    }
    let receiver = Receiver::answers(200);
    assert_eq!(host.deliver(&receiver).await, Rest::Idle);
    let numbers = receiver.numbers();
    assert_eq!(numbers.len(), 1500);
    for chat in [true, false] {
        assert!(numbers.iter().filter(|n| (**n % 3 == 0) == chat).is_sorted());
    }
}

#[tokio::test]
async fn what_is_owed_ahead_is_bounded_and_the_event_log_is_the_queue() {
    let host = Host::start_with_hook(|_| {}).await;
    for n in 1..=1500 {
        host.receive("a", &format!("IN{n}")).await;
    }
    let receiver = Receiver::answers(500);
    assert!(matches!(host.deliver(&receiver).await, Rest::Until(_)));
    let owed = host.owed_numbers().await.len();
    assert!((1000..1256).contains(&owed), "{owed}");
    assert_eq!(host.storage.owed_count(TENANT, HOOK).await.unwrap(), owed as u64);
    let back = Receiver::answers(200);
    host.clock.advance(Duration::from_secs(60));
    assert_eq!(host.deliver(&back).await, Rest::Idle);
    let mut numbers = back.numbers();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=1500).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_receiver_that_never_answers_delays_no_other_endpoint_and_no_other_tenant() {
    let host = Host::start_with_hook(|_| {}).await;
    host.add_hook(WebhookId(50_002), |_| {}).await;
    let tenant = Tenant {
        id: TENANT,
        name: "Acme".to_owned(),
        active: true,
        plan: "unlimited".to_owned(),
        limits: std::collections::BTreeMap::new(),
        created_at: Timestamp(0),
        apis_off: Default::default(),
        hosts: Default::default(),
    };
    host.storage.create_tenant(&tenant).await.unwrap();
    let receiver = Receiver::that(|post, _| (!post.url.ends_with("50001")).then(|| answer(200)));
    let worker = host.deliverer(&receiver);
    let running = tokio::spawn(worker.run());
    for n in 1..=40 {
        host.receive("a", &format!("IN{n}")).await;
        host.wakes.events_have_more(TENANT);
        let of_the_other = || receiver.posts.lock().unwrap().iter().filter(|post| post.url.ends_with("50002")).count();
        assert!(until(|| of_the_other() == n).await, "event {n} was held up");
    }
    let stuck = receiver.posts.lock().unwrap().iter().filter(|post| post.url.ends_with("50001")).count();
    assert_eq!(stuck, 8, "and the receiver that hangs holds no more than its share");
    running.abort();
}

#[tokio::test]
async fn an_endpoint_that_is_made_switched_off_and_on_while_the_worker_runs_is_served_accordingly() {
    let host = Host::start().await;
    let receiver = Receiver::answers(200);
    let running = tokio::spawn(host.deliverer(&receiver).run());
    host.add_hook(HOOK, |_| {}).await;
    host.receive("a", "IN1").await;
    host.wakes.events_have_more(TENANT);
    assert!(until(|| receiver.count() == 1).await);
    for (active, id, expected) in [(false, "IN2", 1), (true, "IN3", 3)] {
        let switch = |hook: &mut WebhookEndpoint, _: &mut WebhookSeal| hook.active = active;
        host.storage.change_webhook(TENANT, HOOK, switch).await.unwrap();
        host.receive("a", id).await;
        host.wakes.webhooks_have_more(TENANT);
        assert!(until(|| receiver.count() >= expected).await);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(receiver.count(), expected, "{id}");
    }
    running.abort();
}

#[tokio::test]
async fn deleting_an_endpoint_removes_what_it_owes_and_no_event() {
    let host = Host::start_with_hook(|_| {}).await;
    host.receive("a", "IN1").await;
    host.deliver(&Receiver::answers(500)).await;
    assert_eq!(host.owed_numbers().await, [1]);
    assert!(host.storage.delete_webhook(TENANT, HOOK).await.unwrap());
    assert!(!host.storage.delete_webhook(TENANT, HOOK).await.unwrap());
    assert!(host.owed_numbers().await.is_empty());
    assert!(host.storage.attempts(TENANT, HOOK, None, 9).await.unwrap().is_empty());
    assert!(host.storage.webhook_seal(TENANT, HOOK).await.unwrap().is_none());
    assert_eq!(host.storage.events(TENANT, 0, 9).await.unwrap().len(), 1);
    assert_eq!(host.deliver(&Receiver::answers(200)).await, Rest::Ended);
}

#[tokio::test]
async fn the_event_log_is_told_what_endpoints_in_service_have_yet_to_be_given() {
    let host = Host::start().await;
    let owed = async || host.storage.oldest_event_owed_to_webhooks(TENANT).await.unwrap();
    assert_eq!(owed().await, None);
    host.add_hook(HOOK, |_| {}).await;
    for n in 1..=3 {
        host.receive("a", &format!("IN{n}")).await;
    }
    assert_eq!(owed().await, Some(1));
    host.deliver(&Receiver::that(|post, _| Some(answer(if post.n() == 2 { 500 } else { 200 })))).await;
    assert_eq!(owed().await, Some(2));
    let off = |hook: &mut WebhookEndpoint, _: &mut WebhookSeal| hook.active = false;
    host.storage.change_webhook(TENANT, HOOK, off).await.unwrap();
    assert_eq!(owed().await, None);
}

#[tokio::test]
async fn a_tenant_has_as_many_endpoints_as_the_limit_and_not_one_more() {
    let host = Host::start().await;
    for n in 0..WEBHOOKS_MAX as u64 {
        host.add_hook(WebhookId(60_000 + n), |_| {}).await;
    }
    let one_more = super::deliveries::endpoint(HOOK);
    assert!(!host.storage.create_webhook(&one_more, &WebhookSeal::default()).await.unwrap());
    host.storage.delete_webhook(TENANT, WebhookId(60_000)).await.unwrap();
    assert!(host.storage.create_webhook(&one_more, &WebhookSeal::default()).await.unwrap());
    assert!(matches!(
        host.storage.create_webhook(&one_more, &WebhookSeal::default()).await,
        Err(crate::storage::StorageError::Conflict) | Ok(false)
    ));
}

#[tokio::test]
async fn the_log_of_attempts_keeps_the_newest_and_pages_backwards() {
    let host = Host::start_with_hook(|_| {}).await;
    for n in 1..=1200 {
        host.receive("a", &format!("IN{n}")).await;
    }
    host.deliver(&Receiver::answers(200)).await;
    let newest = host.storage.attempts(TENANT, HOOK, None, 2).await.unwrap();
    assert_eq!(newest.iter().map(|attempt| attempt.n).collect::<Vec<_>>(), [1200, 1199]);
    let all = host.storage.attempts(TENANT, HOOK, Some(1199), usize::MAX).await.unwrap();
    assert_eq!(all.first().map(|attempt| attempt.n), Some(1198));
    assert!((998..1064).contains(&all.len()), "{}", all.len());
}

#[tokio::test]
async fn the_secrets_of_an_endpoint_are_sealed_and_never_shown() {
    let host = Host::start_with_hook(|_| {}).await;
    let seal = host.storage.webhook_seal(TENANT, HOOK).await.unwrap().unwrap();
    assert_eq!(seal.secrets[0].text, super::deliveries::OLD_SECRET);
    let shown = format!("{seal:?} {:?}", seal.secrets);
    assert!(!shown.contains("whsec_") && !shown.contains("Bearer"), "{shown}");
    host.storage.rotate_master_key(MasterKey::new([9; MASTER_KEY_BYTES])).await.unwrap();
    let closed = host.storage.webhook_seal(TENANT, HOOK).await;
    assert!(matches!(closed, Err(crate::storage::StorageError::WrongMasterKey { .. })), "sealed with the next key");
}
