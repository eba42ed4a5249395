//! The outbox worker: in the order of acceptance, one at a time, and under the same WhatsApp id until the server has it.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::*;
use crate::flow::outbox_worker::{OutboxWorker, Sender, Turn};
use crate::records::message::MessageState;
use crate::storage::StorageError;

/// Takes what it is given and answers as it was told, and `Acknowledged` once it was told nothing more.
#[derive(Default)]
struct FakeSender {
    outcomes: Mutex<VecDeque<SendOutcome>>,
    sent: Mutex<Vec<Message>>,
    took_one: Notify,
}

impl FakeSender {
    fn that_answers(outcomes: impl IntoIterator<Item = SendOutcome>) -> Self {
        Self { outcomes: Mutex::new(outcomes.into_iter().collect()), ..Self::default() }
    }

    fn texts(&self) -> Vec<String> {
        self.sent.lock().unwrap().iter().map(text_of).collect()
    }

    fn whatsapp_ids(&self) -> Vec<String> {
        self.sent.lock().unwrap().iter().map(|message| message.whatsapp_id.clone()).collect()
    }
}

#[async_trait]
impl Sender for FakeSender {
    async fn ready(&self) {}

    async fn send(&self, message: &Message) -> SendOutcome {
        self.sent.lock().unwrap().push(message.clone());
        self.took_one.notify_one();
        self.outcomes.lock().unwrap().pop_front().unwrap_or(SendOutcome::Acknowledged)
    }
}

/// Takes a message and never says what became of it.
#[derive(Default)]
struct SilentSender(FakeSender);

#[async_trait]
impl Sender for SilentSender {
    async fn ready(&self) {}

    async fn send(&self, message: &Message) -> SendOutcome {
        self.0.send(message).await;
        std::future::pending().await
    }
}

/// The customer deletes the session while it sends.
struct DeletedMeanwhile(Storage);

#[async_trait]
impl Sender for DeletedMeanwhile {
    async fn ready(&self) {}

    async fn send(&self, _message: &Message) -> SendOutcome {
        self.0.delete_session(TENANT, SESSION, crate::clock::Timestamp(9)).await.unwrap();
        SendOutcome::Acknowledged
    }
}

fn again() -> SendOutcome {
    SendOutcome::Again("no acknowledgement within 20 s".to_owned())
}

impl Host {
    fn outbox_worker(&self) -> OutboxWorker {
        OutboxWorker {
            storage: self.storage.clone(),
            clock: self.clock.clone(),
            entropy: Arc::clone(&self.entropy),
            wakes: Arc::clone(&self.wakes),
            tenant: TENANT,
            session: SESSION,
        }
    }

    async fn state_of(&self, message: &Message) -> MessageState {
        self.storage.message(TENANT, message.id).await.unwrap().unwrap().state
    }
}

fn is_rest_between(turn: Turn, least_ms: u64, most_ms: u64) -> bool {
    let expected = Duration::from_millis(least_ms)..=Duration::from_millis(most_ms);
    matches!(turn, Turn::Rest(wait) if expected.contains(&wait))
}

#[tokio::test]
async fn messages_are_sent_in_the_order_of_acceptance_one_each_turn() {
    let host = Host::start().await;
    for text in ["one", "two", "three"] {
        host.accept_text(text).await;
    }
    let (worker, sender) = (host.outbox_worker(), FakeSender::default());
    for sent in [["one"].as_slice(), &["one", "two"], &["one", "two", "three"]] {
        assert_eq!(worker.turn(&sender).await.unwrap(), Turn::Settled);
        assert_eq!(sender.texts(), sent);
    }
    assert_eq!(worker.turn(&sender).await.unwrap(), Turn::Idle);
    assert_eq!(sender.texts().len(), 3);
}

#[tokio::test]
async fn a_message_without_acknowledgement_is_sent_again_under_the_same_id_before_any_other() {
    let host = Host::start().await;
    let first = host.accept_text("first").await;
    host.accept_text("second").await;
    let (worker, sender) = (host.outbox_worker(), FakeSender::that_answers([again(), again()]));
    assert!(is_rest_between(worker.turn(&sender).await.unwrap(), 500, 1000));
    assert!(is_rest_between(worker.turn(&sender).await.unwrap(), 1000, 2000), "it waits longer each time");
    assert_eq!(worker.turn(&sender).await.unwrap(), Turn::Settled);
    assert_eq!(sender.whatsapp_ids(), vec![first.whatsapp_id.clone(); 3]);
    assert_eq!(worker.turn(&sender).await.unwrap(), Turn::Settled);
    assert_eq!(sender.texts(), ["first", "first", "first", "second"]);
}

#[tokio::test]
async fn a_message_that_can_never_be_sent_makes_way_for_the_next() {
    let host = Host::start().await;
    let (first, second) = (host.accept_text("first").await, host.accept_text("second").await);
    let sender = FakeSender::that_answers([SendOutcome::Failed("not on WhatsApp".to_owned())]);
    let worker = host.outbox_worker();
    assert_eq!(worker.turn(&sender).await.unwrap(), Turn::Settled);
    assert_eq!(worker.turn(&sender).await.unwrap(), Turn::Settled);
    assert_eq!(
        (host.state_of(&first).await, host.state_of(&second).await),
        (MessageState::Failed, MessageState::Acknowledged)
    );
}

#[tokio::test]
async fn a_message_sent_before_a_crash_is_sent_again_under_the_same_id() {
    let host = Host::start().await;
    let message = host.accept_text("hello").await;
    let (worker, silent) = (host.outbox_worker(), SilentSender::default());
    tokio::select! {
        _ = worker.turn(&silent) => unreachable!("the sender never answers"),
        () = silent.0.took_one.notified() => {}
    }
    drop(worker);
    assert_eq!(host.state_of(&message).await, MessageState::Queued);

    let sender = FakeSender::default();
    assert_eq!(host.outbox_worker().turn(&sender).await.unwrap(), Turn::Settled);
    assert_eq!([silent.0.whatsapp_ids(), sender.whatsapp_ids()], [[message.whatsapp_id.clone()], [message.whatsapp_id]]);
}

#[tokio::test]
async fn a_worker_that_waits_is_woken_by_the_next_message() {
    let host = Host::start().await;
    let (worker, sender) = (host.outbox_worker(), FakeSender::default());
    tokio::select! {
        biased;
        () = worker.run(&sender) => unreachable!("the session is there"),
        () = async {
            for text in ["one", "two"] {
                host.accept_text(text).await;
                sender.took_one.notified().await;
            }
        } => {}
    }
    assert_eq!(sender.texts(), ["one", "two"]);
}

#[tokio::test]
async fn a_worker_rests_before_it_sends_again() {
    let host = Host::start().await;
    host.accept_text("hello").await;
    let (worker, sender) = (host.outbox_worker(), FakeSender::that_answers([again()]));
    tokio::select! {
        biased;
        () = worker.run(&sender) => unreachable!("the session is there"),
        () = async {
            sender.took_one.notified().await;
            tokio::task::yield_now().await;
            assert_eq!(sender.texts().len(), 1, "the clock stands still");
            host.clock.advance(Duration::from_secs(1));
            sender.took_one.notified().await;
        } => {}
    }
    assert_eq!(sender.texts(), ["hello", "hello"]);
}

#[tokio::test]
async fn a_worker_ends_when_its_session_is_deleted_while_it_sends() {
    let host = Host::start().await;
    host.accept_text("hello").await;
    let sender = DeletedMeanwhile(host.storage.clone());
    host.outbox_worker().run(&sender).await;
}

#[tokio::test]
async fn a_turn_for_a_session_that_was_deleted_meanwhile_is_a_conflict() {
    let host = Host::start().await;
    host.accept_text("hello").await;
    let sender = DeletedMeanwhile(host.storage.clone());
    assert!(matches!(host.outbox_worker().turn(&sender).await, Err(StorageError::Conflict)));
}
