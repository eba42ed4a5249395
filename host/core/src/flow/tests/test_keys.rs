//! Messages of test keys: accepted and counted as others are, but apart; they never lie in the outbox, and their end is made up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Host, SESSION, TENANT, wish};
use crate::clock::{Clock, Timestamp};
use crate::flow::intake::{BatchWish, IntakeError, SendWish};
use crate::flow::schedule_worker::ScheduleWorker;
use crate::records::account::{KeyKind, Principal, Tenant};
use crate::records::event::Fact;
use crate::records::id::KeyId;
use crate::records::message::{Message, MessageState, Schedule};
use crate::records::session::SessionState;
use crate::storage::{Cancelled, PRETENCE_STEP};

fn testing(wish: SendWish) -> SendWish {
    let by = Principal {
        tenant: TENANT,
        key: KeyId(42),
        kind: KeyKind::Tenant,
        session: None,
        scopes: vec![],
        test: true,
        acting: None,
    };
    SendWish { by: Some(Arc::new(by)), ..wish }
}

impl Host {
    async fn accept_test(&self, wish: SendWish) -> Message {
        self.intake.accept(TENANT, testing(wish)).await.unwrap()
    }

    /// Rings what is due, after `wait`.
    async fn later(&self, wait: Duration) -> Option<Timestamp> {
        self.clock.advance(wait);
        let (storage, clock, wakes) = (self.storage.clone(), self.clock.clone(), Arc::clone(&self.wakes));
        ScheduleWorker { storage, clock, wakes }.turn().await.unwrap()
    }

    async fn is(&self, message: &Message) -> MessageState {
        self.storage.message(TENANT, message.id).await.unwrap().unwrap().state
    }

    /// The states that events told of, and whether each is marked as a test.
    async fn told(&self) -> Vec<(MessageState, bool)> {
        let events = self.storage.events(TENANT, 0, 100).await.unwrap();
        let state = |fact: &Fact| match fact {
            Fact::MessageState { state, test, .. } => Some((*state, *test)),
            _ => None,
        };
        events.iter().filter_map(|event| state(&event.fact)).collect()
    }

    async fn limit(&self, name: &str, max: u64) {
        let limits = BTreeMap::from([(name.to_owned(), max)]);
        let tenant = Tenant {
            id: TENANT,
            name: "Acme".to_owned(),
            active: true,
            plan: "unlimited".to_owned(),
            limits,
            created_at: Timestamp(0),
            apis_off: std::collections::BTreeSet::new(),
            hosts: std::collections::BTreeSet::new(),
        };
        self.storage.create_tenant(&tenant).await.unwrap();
    }
}

#[tokio::test]
async fn a_message_of_a_test_key_is_never_sent_and_comes_to_a_made_up_end() {
    let host = Host::start().await;
    let message = host.accept_test(wish("for a test")).await;
    assert!(message.test);
    assert_eq!((host.outbox_depth().await, host.drain_outbox().await), (0, vec![]));
    host.later(PRETENCE_STEP - Duration::from_millis(1)).await;
    assert_eq!(host.is(&message).await, MessageState::Queued);
    host.later(Duration::from_millis(1)).await;
    assert_eq!(host.is(&message).await, MessageState::Acknowledged);
    for state in [MessageState::Delivered, MessageState::Read] {
        host.later(PRETENCE_STEP).await;
        assert_eq!(host.is(&message).await, state);
    }
    assert_eq!(host.later(PRETENCE_STEP).await, None, "nothing is left to ring");
    assert_eq!(host.is(&message).await, MessageState::Read);
    let states = [MessageState::Acknowledged, MessageState::Delivered, MessageState::Read];
    assert_eq!(host.told().await, states.map(|state| (state, true)));
}

#[tokio::test]
async fn events_of_messages_that_leave_are_not_marked() {
    let host = Host::start().await;
    host.accept_text("real").await;
    assert_eq!(host.drain_outbox().await.len(), 1);
    assert_eq!(host.told().await, [(MessageState::Acknowledged, false)]);
}

#[tokio::test]
async fn a_test_goes_through_every_check() {
    let host = Host::start().await;
    let refusal = async |wish| host.intake.accept(TENANT, testing(wish)).await.unwrap_err();
    assert!(matches!(refusal(wish(" ")).await, IntakeError::Invalid { field: "text", .. }));
    assert!(matches!(refusal(SendWish { to: "nobody".to_owned(), ..wish("x") }).await, IntakeError::Recipient(_)));
    host.set_state(SessionState::Disconnected).await;
    assert!(matches!(refusal(wish("x")).await, IntakeError::NotConnected { .. }));
}

#[tokio::test]
async fn what_tests_use_of_a_limit_is_counted_apart() {
    let host = Host::start().await;
    host.limit("messages_per_day", 2).await;
    host.accept_test(wish("one")).await;
    host.accept_test(wish("two")).await;
    let refused = host.intake.accept(TENANT, testing(wish("three"))).await.unwrap_err();
    assert!(matches!(refused, IntakeError::QuotaReached(_)), "{refused}");
    host.accept_text("real one").await;
    host.accept_text("real two").await;
    let refused = host.intake.accept(TENANT, wish("real three")).await.unwrap_err();
    assert!(matches!(refused, IntakeError::QuotaReached(_)), "{refused}");
}

#[tokio::test]
async fn a_scheduled_test_waits_for_its_time_and_can_be_taken_back() {
    let host = Host::start().await;
    let at = |seconds| Some(host.clock.now().plus(Duration::from_secs(seconds)));
    let scheduled = |send_at| SendWish { schedule: Schedule { send_at, ..Schedule::default() }, ..wish("later") };
    let kept = host.accept_test(scheduled(at(60))).await;
    let taken_back = host.accept_test(scheduled(at(60))).await;
    let cancelled = host.storage.cancel_message(TENANT, taken_back.id, host.clock.now()).await.unwrap();
    assert!(matches!(cancelled, Cancelled::Done(_)), "{cancelled:?}");
    host.later(Duration::from_secs(60)).await;
    assert_eq!(host.is(&kept).await, MessageState::Queued);
    host.later(PRETENCE_STEP).await;
    assert_eq!((host.is(&kept).await, host.is(&taken_back).await), (MessageState::Acknowledged, MessageState::Cancelled));
    assert_eq!(host.outbox_depth().await, 0);
}

#[tokio::test]
async fn a_batch_of_tests_counts_its_progress() {
    let host = Host::start().await;
    let messages = vec![testing(wish("one")), testing(wish("two"))];
    let accepted = host.intake.accept_batch(TENANT, BatchWish { session: SESSION, name: None, messages }).await.unwrap();
    for _ in 0..3 {
        host.later(PRETENCE_STEP).await;
    }
    let progress = host.storage.batch_progress(TENANT, accepted.record.unwrap().id).await.unwrap().unwrap();
    assert_eq!(progress.states, BTreeMap::from([(MessageState::Read, 2)]));
}

#[tokio::test]
async fn a_test_of_a_session_that_was_deleted_fails() {
    let host = Host::start().await;
    let message = host.accept_test(wish("too late")).await;
    host.storage.delete_session(TENANT, SESSION, host.clock.now()).await.unwrap();
    host.later(PRETENCE_STEP).await;
    assert_eq!(host.is(&message).await, MessageState::Failed);
    assert_eq!(host.later(PRETENCE_STEP).await, None);
}
