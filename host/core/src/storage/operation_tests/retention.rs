//! What is removed after its time, and what is not.

use std::time::Duration;

use super::*;
use crate::records::content::Person;
use crate::records::event::KnownPoll;
use crate::rules::retention::{MARKS_KEPT, OWED_GRACE, POLLS_KEPT, Retention};
use crate::storage::{EventQuery, Order, RunEffects, Sweep};

const DAY: Duration = Duration::from_secs(86_400);
const KEEP: Retention = Retention { events_age: Duration::from_secs(30 * 86_400), events_bytes_max: u64::MAX };

/// One event on each of so many days.
async fn days(storage: &Storage, count: u32) {
    for day in 0..count {
        let message = incoming("chat", "from", &format!("IN{day}"));
        storage.record_inbound(ACME, SESSION, NOW.plus(DAY * day), &[message]).await.unwrap();
    }
}

async fn trim(storage: &Storage, retention: &Retention, now: Timestamp) -> usize {
    let mut removed = 0;
    loop {
        match storage.trim_events(ACME, retention, now).await.unwrap() {
            0 => return removed,
            some => removed += some,
        }
    }
}

async fn left(storage: &Storage) -> Vec<u64> {
    all_events(storage, ACME).await.iter().map(|event| event.n).collect()
}

#[tokio::test]
async fn events_go_when_they_are_too_old_from_the_log_and_from_the_list_of_their_chat() {
    let storage = storage_with_session().await;
    days(&storage, 600).await;
    let now = NOW.plus(DAY * 600);
    assert_eq!(trim(&storage, &KEEP, now).await, 570);
    assert_eq!(left(&storage).await, (571..=600).collect::<Vec<_>>());
    let chat = EventQuery { chat: Some("chat".to_owned()), limit: 500, order: Order::OldestFirst, ..EventQuery::default() };
    let page = storage.event_page(ACME, &chat).await.unwrap();
    assert_eq!(page.events.iter().map(|event| event.n).collect::<Vec<_>>(), left(&storage).await);
    assert_eq!(trim(&storage, &KEEP, now).await, 0);
    days(&storage, 601).await;
    assert_eq!(left(&storage).await.last(), Some(&601), "numbers go on");
}

#[tokio::test]
async fn the_oldest_events_go_when_the_log_is_too_large() {
    let storage = storage_with_session().await;
    days(&storage, 20).await;
    let bytes = storage.event_log_bytes(ACME).await.unwrap();
    let half = Retention { events_bytes_max: bytes / 2, ..KEEP };
    let removed = trim(&storage, &half, NOW).await;
    assert!((10..=11).contains(&removed), "{removed}");
    assert!(storage.event_log_bytes(ACME).await.unwrap() <= bytes / 2);
    assert_eq!(trim(&storage, &Retention { events_bytes_max: 0, ..KEEP }, NOW).await, 20 - removed);
    assert_eq!(storage.event_log_bytes(ACME).await.unwrap(), 0, "what was counted in is counted out");
}

#[tokio::test]
async fn what_a_subscription_still_has_to_see_stays_for_its_grace() {
    let storage = storage_with_session().await;
    days(&storage, 10).await;
    let now = NOW.plus(DAY * 41);
    let wanted = |event: &Event| event.n == 4;
    storage.step_cursor(ACME, "operator/late", None, 6, NOW, wanted).await.unwrap();
    assert_eq!(trim(&storage, &KEEP, now).await, 3, "the run for event 4 is owed");
    let run = storage.owed_runs(ACME, "operator/late", 1).await.unwrap().remove(0);
    storage.settle_run(ACME, "operator/late", &run, &RunEffects::default()).await.unwrap();
    assert_eq!(trim(&storage, &KEEP, now).await, 3, "the cursor has passed 6");
    assert_eq!(trim(&storage, &Retention { events_bytes_max: 0, ..KEEP }, now).await, 0, "size is no reason");
    assert_eq!(trim(&storage, &KEEP, NOW.plus(DAY * 50 + OWED_GRACE)).await, 4, "but not for ever");
}

#[tokio::test]
async fn marks_and_polls_go_after_their_time_and_not_before() {
    let storage = storage_with_session().await;
    days(&storage, 300).await;
    let poll = KnownPoll { options: vec![], secret: vec![1; 32], author: Person::default(), at: NOW };
    storage.remember_poll(ACME, SESSION, "P1", &poll).await.unwrap();
    let sweep = async |kind, now| {
        let (mut removed, mut from) = (0, None::<Vec<u8>>);
        loop {
            let swept = storage.sweep(ACME, kind, from.as_deref(), now).await.unwrap();
            removed += swept.removed;
            let Some(next) = swept.next else { return removed };
            from = Some(next);
        }
    };
    assert_eq!(sweep(Sweep::InboundMarks, NOW.plus(MARKS_KEPT)).await, 0);
    assert_eq!(sweep(Sweep::InboundMarks, NOW.plus(MARKS_KEPT + DAY * 10)).await, 10);
    assert!(!storage.has_inbound(ACME, SESSION, "chat", "from", "IN9").await.unwrap());
    assert!(storage.has_inbound(ACME, SESSION, "chat", "from", "IN10").await.unwrap());
    assert_eq!(sweep(Sweep::Polls, NOW.plus(POLLS_KEPT)).await, 0);
    assert_eq!(sweep(Sweep::Polls, NOW.plus(POLLS_KEPT + DAY)).await, 1);
    assert_eq!(storage.known_poll(ACME, SESSION, "P1").await.unwrap(), None);
}
