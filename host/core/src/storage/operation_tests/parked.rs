//! Runs that were parked: they come back as if they had never been tried, or go, and are found page by page.

use super::*;
use crate::records::plugin::Work;
use crate::rules::retention::Retention;
use crate::storage::{OwedRun, RunEffects};

const REPLY: &str = "operator/reply";
const OTHER: &str = "operator/reply-late";

/// Storage where both subscriptions have the runs of events 1 to `count` parked.
async fn storage_with_parked(count: usize) -> Storage {
    let storage = storage_with_session().await;
    record_events(&storage, count).await;
    for subscription in [REPLY, OTHER] {
        storage.step_cursor(ACME, subscription, None, 999, NOW, |_| true).await.unwrap();
        for run in storage.owed_runs(ACME, subscription, 999).await.unwrap() {
            let last = Work { tries: 8, due_at: LATER, last_error: Some("it trapped".to_owned()) };
            storage.park_run(ACME, subscription, &run, &last).await.unwrap();
        }
    }
    storage
}

async fn parked(storage: &Storage, subscription: &str) -> Vec<OwedRun> {
    storage.parked_runs(ACME, subscription, 0, 999).await.unwrap()
}

fn numbers(runs: &[OwedRun]) -> Vec<u64> {
    runs.iter().map(|run| run.event.n).collect()
}

/// Lets events go from the log until `first` is the oldest.
async fn trim_up_to(storage: &Storage, first: u64) {
    let all = storage.event_log_bytes(ACME).await.unwrap();
    let events = all_events(storage, ACME).await.len() as u64;
    let kept = all / events * (events + 1 - first);
    let retention = Retention { events_age: std::time::Duration::from_secs(86_400), events_bytes_max: kept };
    storage.trim_events(ACME, &retention, NOW).await.unwrap();
}

#[tokio::test]
async fn a_released_run_is_owed_at_once_as_if_it_had_never_been_tried() {
    let storage = storage_with_parked(2).await;
    let runs = parked(&storage, REPLY).await;
    storage.release_runs(ACME, REPLY, &runs[..1], NOW).await.unwrap();
    assert_eq!((numbers(&parked(&storage, REPLY).await), numbers(&parked(&storage, OTHER).await)), (vec![2], vec![1, 2]));
    let owed = storage.owed_runs(ACME, REPLY, 9).await.unwrap();
    let work = Work { tries: 0, due_at: NOW, last_error: Some("it trapped".to_owned()) };
    assert_eq!((owed.len(), owed[0].event.n, &owed[0].work), (1, 1, &work));
    storage.settle_run(ACME, REPLY, &owed[0], &RunEffects::default()).await.unwrap();
    let again = storage.release_runs(ACME, REPLY, &runs[..1], NOW).await;
    assert!(matches!(again, Err(StorageError::Conflict)), "once: {again:?}");
    assert!(storage.owed_runs(ACME, REPLY, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn runs_are_released_together_or_not_at_all() {
    let storage = storage_with_parked(3).await;
    let runs = parked(&storage, REPLY).await;
    storage.drop_parked_run(ACME, REPLY, &runs[1]).await.unwrap();
    let all = storage.release_runs(ACME, REPLY, &runs, NOW).await;
    assert!(matches!(all, Err(StorageError::Conflict)), "{all:?}");
    assert_eq!(numbers(&parked(&storage, REPLY).await), [1, 3]);
    assert!(matches!(storage.drop_parked_run(ACME, REPLY, &runs[1]).await, Err(StorageError::Conflict)));
    storage.release_runs(ACME, REPLY, &parked(&storage, REPLY).await, NOW).await.unwrap();
    assert_eq!(numbers(&storage.owed_runs(ACME, REPLY, 9).await.unwrap()), [1, 3]);
    assert!(storage.owed_run(ACME, REPLY, 2).await.unwrap().is_none());
    assert_eq!(storage.owed_run(ACME, REPLY, 3).await.unwrap().unwrap().event.n, 3);
}

#[tokio::test]
async fn runs_are_found_by_their_event_and_page_by_page() {
    let storage = storage_with_parked(5).await;
    assert_eq!(numbers(&storage.parked_runs(ACME, REPLY, 0, 2).await.unwrap()), [1, 2]);
    assert_eq!(numbers(&storage.parked_runs(ACME, REPLY, 2, 2).await.unwrap()), [3, 4]);
    assert_eq!(numbers(&storage.parked_runs(ACME, REPLY, 4, 2).await.unwrap()), [5]);
    assert_eq!(storage.parked_run(ACME, REPLY, 4).await.unwrap().unwrap().event.n, 4);
    for (tenant, n) in [(ACME, 6), (GLOBEX, 4)] {
        assert!(storage.parked_run(tenant, REPLY, n).await.unwrap().is_none());
    }
    assert!(storage.owed_run(ACME, REPLY, 4).await.unwrap().is_none());
}

#[tokio::test]
async fn a_run_goes_when_its_event_leaves_the_log_and_a_page_does_not_end_at_those() {
    let storage = storage_with_parked(40).await;
    trim_up_to(&storage, 31).await;
    let first = all_events(&storage, ACME).await[0].n;
    assert!((20..=40).contains(&first), "{first}");
    let left: Vec<u64> = (first..=40).collect();
    assert_eq!(numbers(&storage.parked_runs(ACME, REPLY, 0, 5).await.unwrap()), left[..5]);
    let swept = storage.sweep_parked_runs(ACME, None).await.unwrap();
    assert_eq!((swept.removed as u64, swept.next), (2 * (first - 1), None));
    assert_eq!(storage.sweep_parked_runs(ACME, None).await.unwrap().removed, 0);
    for subscription in [REPLY, OTHER] {
        assert_eq!(numbers(&parked(&storage, subscription).await), left);
    }
}
