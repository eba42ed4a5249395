//! Webhook deliveries over a stepped clock: the schedule, switching off, signatures, replays, and crashes.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::*;
use crate::flow::delivery_worker::{
    DeliveryRequest, DeliveryWorker, EndpointState, HmacContent, HmacHeader, Payload, PayloadSigning, PostAnswer,
    PostOutcome, Poster, Rest, Shaper,
};
use crate::records::event::Event;
use crate::records::id::WebhookId;
use crate::records::webhook::{Attempt, Delivery, TEST_NUMBER_FIRST, WebhookEndpoint, WebhookSeal, WebhookSecret};
use crate::rules::delivery::TRIES_MAX;
use crate::rules::event_json::{standard_body, test_body};
use crate::rules::webhook_signature::sign;
use crate::storage::{Replay, Replayed};

pub(super) const HOOK: WebhookId = WebhookId(50_001);
pub(super) const OLD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
const HOUR: Duration = Duration::from_secs(3600);

/// What a receiver does with the request number n (from 0) of a delivery; `None` never answers.
type Behaviour = Box<dyn Fn(&Post, usize) -> Option<PostAnswer> + Send + Sync>;

/// A request as the receiver saw it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Post {
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Post {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub(super) fn id(&self) -> &str {
        self.header("webhook-id")
    }

    /// The number of the event; 0 for a test.
    pub(super) fn n(&self) -> u64 {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        body["data"]["n"].as_u64().unwrap_or(0)
    }
}

pub(super) struct Receiver {
    behaviour: Behaviour,
    pub(super) posts: Mutex<Vec<Post>>,
    pub(super) came: Notify,
}

impl Receiver {
    pub(super) fn that(behaviour: impl Fn(&Post, usize) -> Option<PostAnswer> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { behaviour: Box::new(behaviour), posts: Mutex::default(), came: Notify::new() })
    }

    pub(super) fn answers(status: u16) -> Arc<Self> {
        Self::that(move |_, _| Some(answer(status)))
    }

    pub(super) fn numbers(&self) -> Vec<u64> {
        self.posts.lock().unwrap().iter().map(Post::n).collect()
    }

    pub(super) fn last(&self) -> Post {
        self.posts.lock().unwrap().last().cloned().unwrap()
    }

    pub(super) fn count(&self) -> usize {
        self.posts.lock().unwrap().len()
    }
}

pub(super) fn answer(status: u16) -> PostAnswer {
    PostAnswer { status, retry_after: None, body: b"as you say".to_vec() }
}

#[async_trait]
impl Poster for Receiver {
    async fn post(&self, request: &DeliveryRequest) -> PostOutcome {
        let DeliveryRequest { url, headers, body } = request.clone();
        let post = Post { url, headers, body };
        let before = {
            let mut posts = self.posts.lock().unwrap();
            let before = posts.iter().filter(|other| other.id() == post.id()).count();
            posts.push(post.clone());
            before
        };
        self.came.notify_one();
        tokio::task::yield_now().await;
        match (self.behaviour)(&post, before) {
            Some(answer) => PostOutcome { answer: Ok(answer), took: Duration::from_millis(12) },
            None => std::future::pending().await,
        }
    }
}

/// The host's own format, and three that stand for plugins.
struct Formats;

#[async_trait]
impl Shaper for Formats {
    async fn shape(&self, endpoint: &WebhookEndpoint, event: Option<&Event>) -> Result<Vec<Payload>, String> {
        let body = event.map_or_else(|| test_body(endpoint.id.0, Timestamp(0)), standard_body);
        let signing = match endpoint.format.as_str() {
            "breaks" => return Err("it trapped".to_owned()),
            "picky" => return Ok(Vec::new()),
            "hex" => hmac(HmacContent::Body, None),
            "stamped" => hmac(HmacContent::TimestampAndBody, Some("X-Seconds".to_owned())),
            "shows" => PayloadSigning::SecretIn("X-Secret".to_owned()),
            "unsigned" => PayloadSigning::None,
            _ => PayloadSigning::Standard,
        };
        let headers = vec![("X-Format".to_owned(), endpoint.format.clone())];
        let name = event.map_or("webhook.test", |event| event.fact.type_name()).to_owned();
        let payload = Payload { name, headers, body, signing };
        let second = Payload { name: "second".to_owned(), body: b"again".to_vec(), ..payload.clone() };
        Ok(if endpoint.format == "twice" { vec![payload, second] } else { vec![payload] })
    }
}

fn hmac(content: HmacContent, timestamp_header: Option<String>) -> PayloadSigning {
    let (header, prefix) = ("X-Signature".to_owned(), "sha256=".to_owned());
    PayloadSigning::Hmac(HmacHeader { header, prefix, content, timestamp_header })
}

pub(super) fn endpoint(id: WebhookId) -> WebhookEndpoint {
    let url = format!("https://shop.example/{id}");
    WebhookEndpoint { events: vec!["message.*".to_owned()], ..WebhookEndpoint::new(id, TENANT, url, Timestamp(0)) }
}

fn secret(text: &str, expires_at: Option<Timestamp>) -> WebhookSecret {
    WebhookSecret { text: text.to_owned(), created_at: Timestamp(0), expires_at }
}

impl Host {
    pub(super) async fn start_with_hook(change: impl Fn(&mut WebhookEndpoint)) -> Self {
        let host = Self::start().await;
        host.add_hook(HOOK, change).await;
        host
    }

    pub(super) async fn add_hook(&self, id: WebhookId, change: impl Fn(&mut WebhookEndpoint)) {
        let mut endpoint = endpoint(id);
        change(&mut endpoint);
        let headers = vec![("authorization".to_owned(), "Bearer 1".to_owned())];
        let seal = WebhookSeal { secrets: vec![secret(OLD_SECRET, None)], headers };
        assert!(self.storage.create_webhook(&endpoint, &seal).await.unwrap());
    }

    pub(super) async fn hook(&self) -> WebhookEndpoint {
        self.storage.webhook(TENANT, HOOK).await.unwrap().unwrap()
    }

    pub(super) fn deliverer(&self, receiver: &Arc<Receiver>) -> Arc<DeliveryWorker> {
        Arc::new(DeliveryWorker::new(
            self.storage.clone(),
            self.clock.clone(),
            Arc::clone(&self.entropy),
            Arc::clone(&self.wakes),
            receiver.clone(),
            Arc::new(Formats),
        ))
    }

    pub(super) async fn deliver(&self, receiver: &Arc<Receiver>) -> Rest {
        self.deliverer(receiver).serve(TENANT, HOOK, &EndpointState::default()).await.unwrap()
    }

    /// Delivers, and whenever a delivery waits moves the clock on to it, until none waits any more.
    pub(super) async fn deliver_until_done(&self, receiver: &Arc<Receiver>) -> Rest {
        loop {
            match self.deliver(receiver).await {
                Rest::Until(due) => self.clock.advance(due.since(self.clock.now())),
                rest => return rest,
            }
        }
    }

    pub(super) async fn owed_numbers(&self) -> Vec<u64> {
        self.storage.owed_deliveries(TENANT, HOOK).await.unwrap().iter().map(|owed| owed.n).collect()
    }

    async fn dead_numbers(&self) -> Vec<Option<u64>> {
        self.storage.dead_deliveries(TENANT, HOOK, 0, 99).await.unwrap().iter().map(|dead| dead.event).collect()
    }

    pub(super) async fn attempts(&self) -> Vec<Attempt> {
        self.storage.attempts(TENANT, HOOK, None, 99).await.unwrap()
    }

    async fn replay(&self, what: Replay) -> Replayed {
        self.storage.replay(&self.hook().await, what, self.clock.now()).await.unwrap()
    }
}

#[tokio::test]
async fn a_delivery_is_posted_once_signed_and_with_the_customers_headers() {
    let host = Host::start_with_hook(|_| {}).await;
    host.receive("a", "IN1").await;
    let receiver = Receiver::answers(204);
    assert_eq!(host.deliver(&receiver).await, Rest::Idle);
    assert_eq!(host.deliver(&receiver).await, Rest::Idle);
    assert_eq!(receiver.numbers(), [1]);
    let post = receiver.last();
    assert_eq!(post.url, "https://shop.example/50001");
    let seconds = host.clock.now().0 / 1000;
    let signature = sign("msg_50001_1", seconds, &post.body, [OLD_SECRET]).unwrap();
    let expected = [
        ("webhook-id", "msg_50001_1"),
        ("webhook-timestamp", &seconds.to_string()),
        ("webhook-signature", &signature),
        ("content-type", "application/json"),
        ("authorization", "Bearer 1"),
        ("x-format", "standard"),
    ];
    for (name, value) in expected {
        assert_eq!(post.header(name), value, "{name}");
    }
    let attempts = host.attempts().await;
    assert_eq!((attempts.len(), attempts[0].status, attempts[0].took_ms), (1, Some(204), 12));
    assert_eq!((attempts[0].event, attempts[0].answer.as_str(), attempts[0].attempt), (Some(1), "as you say", 1));
}

#[tokio::test]
async fn only_wanted_events_of_the_bound_session_since_its_creation_are_delivered() {
    let host = Host::start().await;
    host.receive("a", "BEFORE").await;
    host.add_hook(HOOK, |hook| hook.session = Some(SESSION)).await;
    host.add_hook(WebhookId(50_002), |hook| hook.session = None).await;
    host.set_state(SessionState::Reconnecting).await;
    host.receive("a", "AFTER").await;
    let receiver = Receiver::answers(200);
    assert_eq!(host.deliver(&receiver).await, Rest::Idle);
    assert_eq!(receiver.numbers(), [3]);
}

#[tokio::test]
async fn a_delivery_is_tried_by_the_schedule_under_one_id_and_then_given_up() {
    let host = Host::start_with_hook(|_| {}).await;
    host.receive("a", "IN1").await;
    let begun = host.clock.now();
    let receiver = Receiver::answers(500);
    assert_eq!(host.deliver_until_done(&receiver).await, Rest::Idle);
    let attempts = host.attempts().await;
    let waits: Vec<u64> = attempts.iter().rev().map(|attempt| attempt.at.since(begun).as_secs()).collect();
    assert_eq!(waits.len(), TRIES_MAX as usize);
    let mut sum = 0;
    for (step, waited) in [0, 5, 300, 1800, 7200, 18_000, 36_000, 36_000].into_iter().zip(&waits) {
        sum += step;
        assert!((sum..=sum + sum / 5 + 1).contains(waited), "{waits:?}");
    }
    assert!(receiver.posts.lock().unwrap().iter().all(|post| post.id() == "msg_50001_1"));
    assert_eq!((host.owed_numbers().await, host.dead_numbers().await), (vec![], vec![Some(1)]));
    assert_eq!(attempts[0].error.as_deref(), Some("the receiver answered 500"));
    assert_eq!(attempts[0].attempt, TRIES_MAX);
}

#[tokio::test]
async fn five_days_without_one_success_switch_an_endpoint_off_and_nothing_is_lost() {
    let host = Host::start_with_hook(|_| {}).await;
    let receiver = Receiver::answers(503);
    let begun = host.clock.now();
    let mut n = 0;
    while host.hook().await.active {
        n += 1;
        host.receive("a", &format!("IN{n}")).await;
        host.deliver(&receiver).await;
        host.clock.advance(HOUR);
    }
    let days = host.clock.now().since(begun).as_secs() as f64 / 86_400.0;
    assert!((5.0..5.1).contains(&days), "{days}");
    let reason = host.hook().await.disabled_reason.unwrap();
    assert_eq!(reason, "every attempt since 2025-06-15T15:06:40.000Z failed");
    let before = receiver.count();
    host.receive("a", "LATE").await;
    assert_eq!(host.deliver(&receiver).await, Rest::Ended);
    assert_eq!(receiver.count(), before, "nothing more is posted");

    // Switched on again, it is given everything: what was owed, what came meanwhile, and on request what was given up.
    let enable = |hook: &mut WebhookEndpoint, _: &mut WebhookSeal| {
        hook.active = true;
        hook.failing_since = None;
    };
    host.storage.change_webhook(TENANT, HOOK, enable).await.unwrap();
    let replayed = host.replay(Replay::FailedSince(Timestamp(0))).await;
    assert!(matches!(replayed, Replayed::Owed { count: 1.., next: None }), "{replayed:?}");
    let back = Receiver::answers(200);
    host.deliver_until_done(&back).await;
    let mut numbers = back.numbers();
    numbers.sort_unstable();
    // Event n + 1 says that it was switched off, which this endpoint did not ask for.
    assert_eq!(numbers, (1..=n).chain([n + 2]).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_success_in_between_starts_the_five_days_anew() {
    let host = Host::start_with_hook(|_| {}).await;
    let receiver = Receiver::that(|post, _| Some(answer(if post.n() == 60 { 200 } else { 500 })));
    for n in 1..=130 {
        host.receive("a", &format!("IN{n}")).await;
        host.deliver(&receiver).await;
        host.clock.advance(HOUR);
    }
    assert!(host.hook().await.active);
    assert!(host.hook().await.failing_since.is_some());
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_switched_off_at_once_and_its_delivery_waits() {
    let host = Host::start_with_hook(|_| {}).await;
    host.receive("a", "IN1").await;
    let receiver = Receiver::answers(410);
    assert_eq!(host.deliver(&receiver).await, Rest::Ended);
    assert_eq!(host.hook().await.disabled_reason.as_deref(), Some("the receiver answered 410 Gone"));
    assert_eq!((receiver.count(), host.owed_numbers().await), (1, vec![1]));
}

#[tokio::test]
async fn an_endpoint_that_is_switched_off_is_told_once_in_the_event_log_and_to_the_other_endpoints() {
    let host = Host::start_with_hook(|_| {}).await;
    host.add_hook(WebhookId(50_002), |hook| hook.events = vec!["webhook.disabled".to_owned()]).await;
    host.add_hook(WebhookId(50_003), |hook| (hook.session, hook.events) = (Some(SESSION), vec!["*".to_owned()])).await;
    host.receive("a", "IN1").await;
    host.receive("b", "IN2").await;
    assert_eq!(host.deliver(&Receiver::answers(410)).await, Rest::Ended);
    let events = host.storage.events(TENANT, 2, 99).await.unwrap();
    let reason = "the receiver answered 410 Gone".to_owned();
    assert_eq!(events.len(), 1, "two deliveries were refused, and it was switched off once: {events:?}");
    assert_eq!(events[0].fact, crate::records::event::Fact::WebhookDisabled { webhook: HOOK, reason });
    assert_eq!(events[0].session, crate::records::id::SessionId::NONE);
    let others = Receiver::answers(200);
    for id in [WebhookId(50_002), WebhookId(50_003)] {
        host.deliverer(&others).serve(TENANT, id, &EndpointState::default()).await.unwrap();
    }
    let numbers = others.numbers();
    assert_eq!(numbers, [3, 1, 2], "one that is bound to a session is told nothing of the tenant's other endpoints");
    // What the customer switches off is no news to them.
    let off = |hook: &mut WebhookEndpoint, _: &mut WebhookSeal| hook.active = false;
    host.storage.change_webhook(TENANT, WebhookId(50_002), off).await.unwrap();
    assert!(host.storage.switch_off_webhook(TENANT, WebhookId(50_002), "late", host.clock.now()).await.unwrap().is_none());
    assert_eq!(host.storage.last_event_number(TENANT).await.unwrap(), 3);
}

#[tokio::test]
async fn a_receiver_that_asks_for_patience_is_left_alone_altogether() {
    let host = Host::start_with_hook(|_| {}).await;
    let receiver = Receiver::that(|post, before| {
        let busy = post.n() == 1 && before == 0;
        let retry_after = busy.then_some(Duration::from_secs(120));
        Some(PostAnswer { status: if busy { 429 } else { 200 }, retry_after, body: Vec::new() })
    });
    host.receive("a", "IN1").await;
    let state = EndpointState::default();
    let worker = host.deliverer(&receiver);
    let until = host.clock.now().plus(Duration::from_secs(120));
    assert_eq!(worker.serve(TENANT, HOOK, &state).await.unwrap(), Rest::Until(until));
    host.receive("b", "IN2").await;
    assert_eq!(worker.serve(TENANT, HOOK, &state).await.unwrap(), Rest::Until(until));
    assert_eq!(receiver.numbers(), [1]);
    host.clock.advance(Duration::from_secs(150));
    assert_eq!(worker.serve(TENANT, HOOK, &state).await.unwrap(), Rest::Idle);
    assert_eq!(receiver.numbers(), [1, 1, 2]);
}

#[tokio::test]
async fn when_a_receiver_is_back_everything_it_is_owed_is_due_at_once() {
    let host = Host::start_with_hook(|_| {}).await;
    let down = Receiver::answers(500);
    for n in 1..=3 {
        host.receive("a", &format!("IN{n}")).await;
    }
    for _ in 0..4 {
        if let Rest::Until(due) = host.deliver(&down).await {
            host.clock.advance(due.since(host.clock.now()) + Duration::from_secs(600));
        }
    }
    host.receive("a", "IN4").await;
    let back = Receiver::answers(200);
    assert_eq!(host.deliver(&back).await, Rest::Idle);
    let mut numbers = back.numbers();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert_eq!(host.hook().await.failing_since, None);
}

#[tokio::test]
async fn a_delivery_that_alone_is_refused_keeps_to_the_schedule_whatever_else_gets_through() {
    let host = Host::start_with_hook(|_| {}).await;
    let receiver = Receiver::that(|post, _| Some(answer(if post.n() == 1 { 500 } else { 200 })));
    for n in 1..=30 {
        host.receive("a", &format!("IN{n}")).await;
        host.deliver(&receiver).await;
        host.clock.advance(Duration::from_secs(120));
    }
    // After an hour: at once, after 5 s, 5 min and 30 min.
    assert_eq!(receiver.numbers().iter().filter(|n| **n == 1).count(), 4);
    assert_eq!(receiver.count(), 29 + 4);
}

#[tokio::test]
async fn a_delivery_whose_worker_crashed_after_the_post_is_repeated_under_its_id() {
    let host = Host::start_with_hook(|_| {}).await;
    host.receive("a", "IN1").await;
    let receiver = Receiver::that(|_, before| (before > 0).then(|| answer(200)));
    let worker = host.deliverer(&receiver);
    let state = EndpointState::default();
    tokio::select! {
        biased;
        _ = worker.serve(TENANT, HOOK, &state) => unreachable!("the receiver does not answer"),
        () = receiver.came.notified() => {}
    }
    assert_eq!((receiver.count(), host.attempts().await.len()), (1, 0));
    assert_eq!(host.deliver(&receiver).await, Rest::Idle);
    let posts = receiver.posts.lock().unwrap().clone();
    assert_eq!((posts.len(), posts[0].id()), (2, posts[1].id()));
    assert!(host.owed_numbers().await.is_empty());
}

#[tokio::test]
async fn while_a_secret_is_rotated_both_sign_and_afterwards_the_new_one_alone() {
    let host = Host::start_with_hook(|_| {}).await;
    let until = host.clock.now().plus(HOUR);
    let rotate = move |_: &mut WebhookEndpoint, seal: &mut WebhookSeal| {
        seal.secrets = vec![secret(NEW_SECRET, None), secret(OLD_SECRET, Some(until))];
    };
    host.storage.change_webhook(TENANT, HOOK, rotate).await.unwrap();
    let receiver = Receiver::answers(200);
    for (id, secrets) in [("IN1", vec![NEW_SECRET, OLD_SECRET]), ("IN2", vec![NEW_SECRET])] {
        host.receive("a", id).await;
        host.deliver(&receiver).await;
        let post = receiver.last();
        let seconds = host.clock.now().0 / 1000;
        assert_eq!(post.header("webhook-signature"), sign(post.id(), seconds, &post.body, secrets).unwrap());
        host.clock.advance(HOUR);
    }
}

#[tokio::test]
async fn a_format_that_fails_is_a_failed_attempt_and_one_that_leaves_the_event_out_is_none() {
    let host = Host::start_with_hook(|hook| hook.format = "breaks".to_owned()).await;
    host.receive("a", "IN1").await;
    let receiver = Receiver::answers(200);
    assert!(matches!(host.deliver(&receiver).await, Rest::Until(_)));
    assert_eq!(host.attempts().await[0].error.as_deref(), Some("it trapped"));
    let picky = |hook: &mut WebhookEndpoint, _: &mut WebhookSeal| hook.format = "picky".to_owned();
    host.storage.change_webhook(TENANT, HOOK, picky).await.unwrap();
    assert_eq!(host.deliver_until_done(&receiver).await, Rest::Idle);
    assert_eq!((receiver.count(), host.owed_numbers().await.len()), (0, 0));
}

#[tokio::test]
async fn an_event_that_the_filter_leaves_out_is_replayed_by_force_alone() {
    let host = Host::start_with_hook(|hook| hook.events = vec!["session.*".to_owned()]).await;
    host.receive("a", "IN1").await;
    let receiver = Receiver::answers(200);
    host.deliver_until_done(&receiver).await;
    assert_eq!(host.replay(Replay::Event { n: 1, force: false }).await, Replayed::NotWanted("message.received"));
    assert_eq!(host.replay(Replay::Range { from: 1, to: 1 }).await, Replayed::Owed { count: 0, next: None });
    host.deliver_until_done(&receiver).await;
    assert_eq!(receiver.count(), 0);
    assert_eq!(host.replay(Replay::Event { n: 1, force: true }).await, Replayed::Owed { count: 1, next: None });
    host.deliver(&receiver).await;
    assert_eq!(receiver.numbers(), [1]);
}

#[tokio::test]
async fn one_event_a_range_and_all_failed_since_are_replayed_under_the_ids_they_had() {
    let host = Host::start_with_hook(|_| {}).await;
    for n in 1..=5 {
        host.receive("a", &format!("IN{n}")).await;
    }
    let receiver = Receiver::that(|post, _| Some(answer(if post.n() == 4 { 500 } else { 200 })));
    host.deliver_until_done(&receiver).await;
    assert_eq!(host.dead_numbers().await, [Some(4)]);
    let given_up = host.clock.now();

    let again = Receiver::answers(200);
    assert_eq!(host.replay(Replay::Event { n: 2, force: false }).await, Replayed::Owed { count: 1, next: None });
    assert_eq!(host.replay(Replay::Event { n: 99, force: false }).await, Replayed::NoSuchEvent);
    host.deliver(&again).await;
    assert_eq!((again.numbers(), again.last().id()), (vec![2], "msg_50001_2"));

    assert_eq!(host.replay(Replay::Range { from: 3, to: 99 }).await, Replayed::Owed { count: 3, next: None });
    assert_eq!(host.dead_numbers().await, [], "what is owed again is no longer given up");
    host.deliver(&again).await;
    assert_eq!(again.numbers(), [2, 3, 4, 5]);

    host.receive("a", "IN6").await;
    host.deliver_until_done(&Receiver::answers(500)).await;
    assert_eq!(host.replay(Replay::FailedSince(host.clock.now().plus(HOUR))).await, Replayed::Owed { count: 0, next: None });
    assert_eq!(host.replay(Replay::FailedSince(given_up)).await, Replayed::Owed { count: 1, next: None });
    host.deliver(&again).await;
    assert_eq!(again.numbers(), [2, 3, 4, 5, 6]);
    assert_eq!(host.storage.owed_count(TENANT, HOOK).await.unwrap(), 0);
}

#[tokio::test]
async fn what_has_failed_and_waits_for_its_next_try_is_replayed_at_once_with_all_failed_since() {
    let host = Host::start_with_hook(|_| {}).await;
    let began = host.clock.now();
    for id in ["IN1", "IN2"] {
        host.receive("a", id).await;
    }
    host.deliver(&Receiver::answers(500)).await;
    let later = host.clock.now().plus(HOUR);
    assert_eq!(host.replay(Replay::FailedSince(later)).await, Replayed::Owed { count: 0, next: None });
    assert_eq!(host.replay(Replay::FailedSince(began)).await, Replayed::Owed { count: 2, next: None });
    assert_eq!(host.replay(Replay::FailedSince(began)).await, Replayed::Owed { count: 0, next: None }, "they are due");
    let back = Receiver::answers(200);
    host.deliver(&back).await;
    assert_eq!(back.numbers(), [1, 2]);
    assert_eq!(host.storage.owed_count(TENANT, HOOK).await.unwrap(), 0);
}

#[tokio::test]
async fn a_replay_of_more_than_one_call_takes_says_where_to_go_on() {
    let host = Host::start_with_hook(|_| {}).await;
    for n in 1..=1200 {
        host.receive("a", &format!("IN{n}")).await;
    }
    host.deliver(&Receiver::answers(200)).await;
    let first = host.replay(Replay::Range { from: 1, to: 1200 }).await;
    assert_eq!(first, Replayed::Owed { count: 1000, next: Some(1001) });
    let rest = host.replay(Replay::Range { from: 1001, to: 1200 }).await;
    assert_eq!(rest, Replayed::Owed { count: 200, next: None });
    let again = Receiver::answers(200);
    host.deliver(&again).await;
    assert_eq!(again.count(), 1200);
}

#[tokio::test]
async fn a_test_is_delivered_like_any_event() {
    let host = Host::start_with_hook(|_| {}).await;
    let delivery = Delivery::new("msg_test_1".to_owned(), None, None, host.clock.now());
    let owed = host.storage.owe_test(&host.hook().await, TEST_NUMBER_FIRST + 7, &delivery).await.unwrap();
    assert_eq!(owed, Replayed::Owed { count: 1, next: None });
    let receiver = Receiver::that(|_, before| Some(answer(if before == 0 { 500 } else { 200 })));
    assert_eq!(host.deliver_until_done(&receiver).await, Rest::Idle);
    assert_eq!((receiver.count(), receiver.last().id()), (2, "msg_test_1"));
    assert_eq!(host.attempts().await[0].event, None);
}
