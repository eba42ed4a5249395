//! Counts are exact under races, are never higher than their limit, and are swept when their window is over.

use std::time::Duration;

use futures_util::future::join_all;

use super::*;
use crate::rules::calendar::WindowKind;
use crate::rules::quota::{Charge, Scope};
use crate::storage::Acceptance;

const MONTH_AND_MORE: Duration = Duration::from_secs(70 * 86_400);

impl Storage {
    async fn accept_charged(&self, tenant: TenantId, messages: &[Message], charges: &[Charge]) -> Result<(), StorageError> {
        let acceptance = Acceptance { messages: messages.to_vec(), charges: charges.to_vec(), ..Acceptance::default() };
        self.accept(tenant, &acceptance).await
    }
}

fn charge(kind: WindowKind, count: u64, max: Option<u64>) -> Charge {
    Charge { scope: Scope::Tenant, window: kind.at(NOW), count, max, test: false }
}

async fn used(storage: &Storage, charge: Charge) -> u64 {
    storage.used(ACME, vec![charge]).await.unwrap()[0].1
}

#[tokio::test]
async fn messages_are_counted_in_the_commit_that_accepts_them_and_no_further_than_the_limit() {
    let storage = storage_with_session().await;
    let day = charge(WindowKind::Day, 1, Some(3));
    for n in 0..3 {
        storage.accept_charged(ACME, &[message(SESSION, n)], &[day]).await.unwrap();
    }
    let refused = storage.accept_charged(ACME, &[message(SESSION, 3)], &[day]).await;
    assert!(matches!(refused, Err(StorageError::Conflict)));
    assert_eq!((used(&storage, day).await, storage.outbox_depth(ACME, SESSION).await.unwrap()), (3, 3));
    let reached = storage.reached_limit(ACME, vec![day], NOW).await.unwrap().unwrap();
    assert_eq!((reached.limit, reached.standing.used, reached.standing.max), ("messages_per_day", 3, 3));
}

#[tokio::test]
async fn what_is_refused_for_another_reason_costs_nothing_and_reaches_no_limit() {
    let storage = storage_with_session().await;
    let charges = vec![charge(WindowKind::Day, 1, Some(3)), charge(WindowKind::Month, 1, None)];
    let nowhere = message(NEIGHBOUR, 1);
    assert!(storage.accept_charged(ACME, &[nowhere], &charges).await.is_err());
    assert_eq!(storage.reached_limit(ACME, charges.clone(), NOW).await.unwrap(), None);
    for charge in charges {
        assert_eq!(used(&storage, charge).await, 0);
    }
}

#[tokio::test]
async fn one_limit_of_several_refuses_and_none_of_them_is_charged() {
    let storage = storage_with_session().await;
    let session = Charge { scope: Scope::Session(SESSION), ..charge(WindowKind::Minute, 1, Some(0)) };
    let day = charge(WindowKind::Day, 1, Some(3));
    assert!(storage.accept_charged(ACME, &[message(SESSION, 1)], &[day, session]).await.is_err());
    assert_eq!(used(&storage, day).await, 0);
    let reached = storage.reached_limit(ACME, vec![day, session], NOW).await.unwrap().unwrap();
    assert_eq!((reached.scope, reached.limit), (Scope::Session(SESSION), "messages_per_minute"));
}

#[tokio::test]
async fn tenants_and_sessions_are_counted_apart() {
    let storage = storage_with_session().await;
    let day = charge(WindowKind::Day, 1, Some(9));
    storage.accept_charged(ACME, &[message(SESSION, 1)], &[day]).await.unwrap();
    let other = Charge { scope: Scope::Session(SESSION), ..day };
    assert_eq!((used(&storage, day).await, used(&storage, other).await), (1, 0));
    assert_eq!(storage.used(GLOBEX, vec![day]).await.unwrap()[0].1, 0);
}

#[tokio::test]
async fn writers_that_race_for_the_last_places_get_exactly_those() {
    let storage = racing_storage_with_session().await;
    let day = charge(WindowKind::Day, 1, Some(100));
    let accepted = join_all((0..1_024).map(|n| {
        let storage = storage.clone();
        async move { storage.accept_charged(ACME, &[message(SESSION, n)], &[day]).await.is_ok() }
    }));
    let accepted = accepted.await.into_iter().filter(|accepted| *accepted).count();
    assert_eq!((accepted, used(&storage, day).await), (100, 100));
    assert_eq!(storage.outbox_depth(ACME, SESSION).await.unwrap(), 100);
}

#[tokio::test]
async fn windows_that_are_over_are_swept_a_few_at_a_time_and_the_last_one_stays() {
    let storage = storage_with_session().await;
    for (n, minutes) in [0, 1, 2, 50, 90].into_iter().enumerate() {
        let at = NOW.plus(Duration::from_secs(60 * minutes));
        let charges =
            [WindowKind::Minute, WindowKind::Month].map(|kind| Charge { window: kind.at(at), ..charge(kind, 1, None) });
        storage.accept_charged(ACME, &[message(SESSION, n as u64)], &charges).await.unwrap();
    }
    let now = NOW.plus(Duration::from_secs(60 * 91));
    let mut swept = Vec::new();
    while swept.last() != Some(&0) {
        swept.push(storage.sweep_counts(ACME, now, 3).await.unwrap());
    }
    assert_eq!(swept, [3, 1, 0]);
    let last = Charge {
        window: WindowKind::Minute.at(NOW.plus(Duration::from_secs(60 * 90))),
        ..charge(WindowKind::Minute, 1, None)
    };
    assert_eq!((used(&storage, last).await, used(&storage, charge(WindowKind::Month, 1, None)).await), (1, 5));
    assert_eq!(storage.sweep_counts(ACME, NOW.plus(MONTH_AND_MORE), 100).await.unwrap(), 2);
}

#[tokio::test]
async fn no_more_sessions_are_made_than_the_limit_allows_and_a_deletion_makes_room() {
    let storage = storage();
    let make = async |id: u64| {
        let id = SessionId(id);
        storage.create_session_within(&session(ACME, id), &own_key(ACME, id), Some(2)).await
    };
    make(20_001).await.unwrap();
    make(20_002).await.unwrap();
    assert!(matches!(make(20_003).await, Err(StorageError::Conflict)));
    assert_eq!((storage.session_count(ACME).await.unwrap(), storage.session_count(GLOBEX).await.unwrap()), (2, 0));
    assert!(storage.delete_session(ACME, SessionId(20_001), NOW).await.unwrap());
    assert!(!storage.delete_session(ACME, SessionId(20_001), NOW).await.unwrap());
    assert_eq!(storage.session_count(ACME).await.unwrap(), 1);
    make(20_003).await.unwrap();
}

#[tokio::test]
async fn a_session_that_two_delete_at_once_is_counted_off_once() {
    let storage = racing_storage_with_session().await;
    add_session(&storage, ACME, NEIGHBOUR).await;
    let deleted = tokio::join!(storage.delete_session(ACME, SESSION, NOW), storage.delete_session(ACME, SESSION, NOW));
    assert_ne!(deleted.0.unwrap(), deleted.1.unwrap(), "one of them deleted it");
    assert_eq!(storage.session_count(ACME).await.unwrap(), 1);
}
