//! Cursors and runs: each wanted event is owed once, and what a run did is kept once or not at all.

use super::*;
use crate::records::plugin::{KvUsage, KvValue, KvWrite, Work};
use crate::storage::{CursorStep, KvEffects, KvStorage, OwedRun, RunEffects, RunEnd};

const REPLY: &str = "operator/reply";

async fn step(storage: &Storage, subscription: &str, limit: usize) -> CursorStep {
    storage.step_cursor(ACME, subscription, None, limit, NOW, |_| true).await.unwrap()
}

async fn owed(storage: &Storage, subscription: &str) -> Vec<OwedRun> {
    storage.owed_runs(ACME, subscription, 99).await.unwrap()
}

fn numbers(runs: &[OwedRun]) -> Vec<u64> {
    runs.iter().map(|run| run.event.n).collect()
}

/// Storage where `REPLY` owes runs for events 1 to `count`.
async fn storage_with_runs(count: usize) -> Storage {
    let storage = storage_with_session().await;
    record_events(&storage, count).await;
    assert_eq!(step(&storage, REPLY, 99).await, CursorStep { events: count, owed: count });
    storage
}

fn effects(ids: &[u64]) -> RunEffects {
    RunEffects { messages: ids.iter().map(|id| message(SESSION, *id)).collect(), ..RunEffects::default() }
}

fn tried(tries: u32) -> Work {
    Work { tries, due_at: LATER, last_error: Some("it trapped".to_owned()) }
}

#[tokio::test]
async fn a_cursor_passes_every_event_once_in_steps() {
    let storage = storage_with_session().await;
    assert_eq!(step(&storage, REPLY, 2).await, CursorStep { events: 0, owed: 0 });
    record_events(&storage, 3).await;
    assert_eq!(step(&storage, REPLY, 2).await, CursorStep { events: 2, owed: 2 });
    assert_eq!(step(&storage, REPLY, 2).await, CursorStep { events: 1, owed: 1 });
    assert_eq!(step(&storage, REPLY, 2).await, CursorStep { events: 0, owed: 0 });
    assert_eq!(numbers(&owed(&storage, REPLY).await), [1, 2, 3]);
    let work = Work { tries: 0, due_at: NOW, last_error: None };
    assert!(owed(&storage, REPLY).await.iter().all(|run| run.work == work));
}

#[tokio::test]
async fn only_wanted_events_are_owed() {
    let storage = storage_with_session().await;
    record_events(&storage, 4).await;
    let even = |event: &Event| event.n.is_multiple_of(2);
    let step = storage.step_cursor(ACME, REPLY, None, 99, NOW, even).await.unwrap();
    assert_eq!(step, CursorStep { events: 4, owed: 2 });
    assert_eq!(numbers(&owed(&storage, REPLY).await), [2, 4]);
}

#[tokio::test]
async fn two_workers_that_step_one_cursor_at_once_owe_each_event_once() {
    let storage = racing_storage_with_session().await;
    record_events(&storage, 2).await;
    let (first, second) = tokio::join!(step(&storage, REPLY, 99), step(&storage, REPLY, 99));
    assert_eq!(first.owed + second.owed, 2);
    assert_eq!(numbers(&owed(&storage, REPLY).await), [1, 2]);
}

#[tokio::test]
async fn subscriptions_have_their_own_cursors_and_runs_even_when_one_name_begins_another() {
    let storage = storage_with_runs(2).await;
    let longer = "operator/reply-late";
    assert!(owed(&storage, longer).await.is_empty());
    step(&storage, longer, 1).await;
    assert_eq!(numbers(&owed(&storage, longer).await), [1]);
    assert_eq!(numbers(&owed(&storage, REPLY).await), [1, 2]);
    storage.settle_run(ACME, REPLY, &owed(&storage, REPLY).await[0], &effects(&[])).await.unwrap();
    assert_eq!(numbers(&owed(&storage, longer).await), [1]);
}

#[tokio::test]
async fn a_subscription_that_starts_at_the_end_owes_only_what_happens_from_then_on() {
    let storage = storage_with_session().await;
    record_events(&storage, 2).await;
    storage.start_cursor_at_end(ACME, REPLY).await.unwrap();
    assert_eq!(step(&storage, REPLY, 99).await, CursorStep { events: 0, owed: 0 });
    storage.record_inbound(ACME, SESSION, NOW, &[incoming("chat", "from", "NEW")]).await.unwrap();
    storage.start_cursor_at_end(ACME, REPLY).await.unwrap();
    assert_eq!(step(&storage, REPLY, 99).await, CursorStep { events: 1, owed: 1 }, "one that has a cursor keeps it");
    assert_eq!(numbers(&owed(&storage, REPLY).await), [3]);
}

#[tokio::test]
async fn a_settled_run_is_no_longer_owed_and_its_messages_are_accepted() {
    let storage = storage_with_runs(2).await;
    let runs = owed(&storage, REPLY).await;
    storage.settle_run(ACME, REPLY, &runs[0], &effects(&[7, 8])).await.unwrap();
    assert_eq!(numbers(&owed(&storage, REPLY).await), [2]);
    assert_eq!(storage.outbox_depth(ACME, SESSION).await.unwrap(), 2);
    assert_eq!(storage.next_due_send(ACME, SESSION).await.unwrap().unwrap().message, message(SESSION, 7));
}

#[tokio::test]
async fn a_run_whose_message_is_refused_is_still_owed() {
    let storage = storage_with_runs(1).await;
    accept(&storage, SESSION, &[8]).await;
    let run = owed(&storage, REPLY).await.remove(0);
    let to_nobody = RunEffects { messages: vec![message(SESSION, 7), message(NEIGHBOUR, 9)], ..RunEffects::default() };
    for refused in [to_nobody, effects(&[7, 8])] {
        let settled = storage.settle_run(ACME, REPLY, &run, &refused).await;
        assert!(matches!(settled, Err(StorageError::Conflict)));
        assert_eq!(owed(&storage, REPLY).await, std::slice::from_ref(&run));
        assert_eq!(storage.message(ACME, MessageId(7)).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_run_is_settled_once() {
    let storage = storage_with_runs(1).await;
    let run = owed(&storage, REPLY).await.remove(0);
    storage.settle_run(ACME, REPLY, &run, &effects(&[7])).await.unwrap();
    let late = [
        storage.settle_run(ACME, REPLY, &run, &effects(&[8])).await.map(drop),
        storage.postpone_run(ACME, REPLY, &run, &tried(1)).await,
        storage.park_run(ACME, REPLY, &run, &tried(1)).await,
    ];
    assert!(late.iter().all(|answer| matches!(answer, Err(StorageError::Conflict))), "{late:?}");
    assert!(owed(&storage, REPLY).await.is_empty());
    assert!(storage.parked_runs(ACME, REPLY, 0, 99).await.unwrap().is_empty());
    assert_eq!(storage.outbox_depth(ACME, SESSION).await.unwrap(), 1);
}

#[tokio::test]
async fn two_workers_that_settle_one_run_at_once_keep_the_effects_of_one() {
    let storage = racing_storage_with_session().await;
    record_events(&storage, 1).await;
    step(&storage, REPLY, 99).await;
    let run = owed(&storage, REPLY).await.remove(0);
    let (seven, eight) = (effects(&[7]), effects(&[8]));
    let (first, second) =
        tokio::join!(storage.settle_run(ACME, REPLY, &run, &seven), storage.settle_run(ACME, REPLY, &run, &eight));
    assert_eq!([first, second].iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(storage.outbox_depth(ACME, SESSION).await.unwrap(), 1);
}

#[tokio::test]
async fn a_postponed_run_is_owed_with_its_new_record_and_the_old_one_settles_nothing() {
    let storage = storage_with_runs(2).await;
    let before = owed(&storage, REPLY).await;
    storage.postpone_run(ACME, REPLY, &before[0], &tried(1)).await.unwrap();
    let after = owed(&storage, REPLY).await;
    assert_eq!(numbers(&after), [1, 2]);
    assert_eq!((&after[0].work, &after[1]), (&tried(1), &before[1]));

    let stale = storage.settle_run(ACME, REPLY, &before[0], &effects(&[7])).await;
    assert!(matches!(stale, Err(StorageError::Conflict)));
    storage.settle_run(ACME, REPLY, &after[0], &effects(&[7])).await.unwrap();
}

#[tokio::test]
async fn a_parked_run_is_kept_with_why() {
    let storage = storage_with_runs(2).await;
    let runs = owed(&storage, REPLY).await;
    storage.park_run(ACME, REPLY, &runs[0], &tried(8)).await.unwrap();
    assert_eq!(numbers(&owed(&storage, REPLY).await), [2]);
    let parked = storage.parked_runs(ACME, REPLY, 0, 99).await.unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!((&parked[0].event, &parked[0].work), (&runs[0].event, &tried(8)));
}

#[tokio::test]
async fn runs_are_listed_up_to_the_limit_oldest_first() {
    let storage = storage_with_runs(3).await;
    assert_eq!(numbers(&storage.owed_runs(ACME, REPLY, 2).await.unwrap()), [1, 2]);
    for run in owed(&storage, REPLY).await {
        storage.park_run(ACME, REPLY, &run, &tried(8)).await.unwrap();
    }
    assert_eq!(numbers(&storage.parked_runs(ACME, REPLY, 0, 2).await.unwrap()), [1, 2]);
}

#[tokio::test]
async fn a_plugin_that_comes_again_after_it_was_deleted_begins_with_what_happens_then() {
    let storage = storage_with_runs(2).await;
    storage.create_tenant(&tenant(ACME, "Acme")).await.unwrap();
    upload(&storage, TenantId::OPERATOR, "reply", 1).await.unwrap();
    upload(&storage, TenantId::OPERATOR, "reply", 2).await.unwrap();
    assert!(storage.delete_plugin(TenantId::OPERATOR, "reply", REPLY).await.unwrap());
    assert!(owed(&storage, REPLY).await.is_empty(), "runs that it owed");
    storage.start_cursor_at_end(ACME, REPLY).await.unwrap();
    assert_eq!(step(&storage, REPLY, 99).await, CursorStep { events: 0, owed: 0 });
}

fn kept(text: &str) -> KvWrite {
    KvWrite::Put(KvValue { bytes: text.as_bytes().to_vec(), expires_at: None })
}

async fn text(kv: &KvStorage, key: &str) -> Option<String> {
    kv.get(key, None, NOW).await.unwrap().map(|value| String::from_utf8(value.bytes).unwrap())
}

/// Storage where the plugin `REPLY` owes one run, and what the plugin keeps.
async fn storage_with_run_and_kv(bytes_max: u64) -> (Storage, OwedRun, KvStorage) {
    let storage = storage_with_runs(1).await;
    upload(&storage, TenantId::OPERATOR, "reply", 1).await.unwrap();
    let (run, kv) = (owed(&storage, REPLY).await.remove(0), storage.kv(ACME, REPLY, bytes_max));
    (storage, run, kv)
}

/// What a run leaves behind that sends `id` and counts up what it read under `n`.
async fn counting(kv: &KvStorage, id: u64) -> RunEffects {
    let mut effects = effects(&[id]);
    let count = kv.get("n", Some(&mut effects.kv), NOW).await.unwrap().map_or(0, |value| value.bytes[0]);
    let next = KvWrite::Put(KvValue { bytes: vec![count + 1], expires_at: None });
    kv.write("n", next, Some(&mut effects.kv), NOW).await.unwrap();
    effects
}

#[tokio::test]
async fn what_a_run_wrote_is_kept_with_its_messages_and_its_end() {
    let (storage, run, kv) = storage_with_run_and_kv(100).await;
    kv.write("gone", kept("x"), None, NOW).await.unwrap();
    let mut effects = effects(&[7]);
    kv.write("a", kept("one"), Some(&mut effects.kv), NOW).await.unwrap();
    kv.write("gone", KvWrite::Delete, Some(&mut effects.kv), NOW).await.unwrap();
    assert_eq!(storage.settle_run(ACME, REPLY, &run, &effects).await.unwrap(), RunEnd::Kept);
    assert!(owed(&storage, REPLY).await.is_empty());
    assert_eq!(storage.outbox_depth(ACME, SESSION).await.unwrap(), 1);
    assert_eq!((text(&kv, "a").await.as_deref(), text(&kv, "gone").await), (Some("one"), None));
    assert_eq!(kv.usage(None, NOW).await.unwrap(), KvUsage { used: 4, max: 100 });
    // It settles once: what it wrote is not written again.
    kv.write("a", kept("two"), None, NOW).await.unwrap();
    assert!(matches!(storage.settle_run(ACME, REPLY, &run, &effects).await, Err(StorageError::Conflict)));
    assert_eq!(text(&kv, "a").await.as_deref(), Some("two"));
}

#[tokio::test]
async fn a_run_that_read_what_changed_meanwhile_keeps_nothing() {
    for write_too in [true, false] {
        let (storage, run, kv) = storage_with_run_and_kv(100).await;
        let mut effects = effects(&[7]);
        assert_eq!(kv.get("n", Some(&mut effects.kv), NOW).await.unwrap(), None);
        kv.write(if write_too { "n" } else { "other" }, kept("x"), Some(&mut effects.kv), NOW).await.unwrap();
        kv.write("n", kept("meanwhile"), None, NOW).await.unwrap();
        assert_eq!(storage.settle_run(ACME, REPLY, &run, &effects).await.unwrap(), RunEnd::ReadsChanged);
        assert_eq!(owed(&storage, REPLY).await, [run]);
        assert_eq!(storage.outbox_depth(ACME, SESSION).await.unwrap(), 0);
        assert_eq!((text(&kv, "n").await.as_deref(), text(&kv, "other").await), (Some("meanwhile"), None));
        assert_eq!(kv.usage(None, NOW).await.unwrap().used, 10);
    }
}

#[tokio::test]
async fn whether_a_key_was_there_to_be_deleted_counts_as_reading_it() {
    let (storage, run, kv) = storage_with_run_and_kv(100).await;
    let mut effects = RunEffects::default();
    assert!(!kv.write("n", KvWrite::Delete, Some(&mut effects.kv), NOW).await.unwrap());
    kv.write("n", kept("meanwhile"), None, NOW).await.unwrap();
    assert_eq!(storage.settle_run(ACME, REPLY, &run, &effects).await.unwrap(), RunEnd::ReadsChanged);
}

#[tokio::test]
async fn a_key_that_a_run_writes_whatever_it_has_is_no_reason_to_repeat_it() {
    let storage = racing_storage_with_session().await;
    record_events(&storage, 1).await;
    step(&storage, REPLY, 99).await;
    upload(&storage, TenantId::OPERATOR, "reply", 1).await.unwrap();
    let (run, kv) = (owed(&storage, REPLY).await.remove(0), storage.kv(ACME, REPLY, 100));
    let mut effects = RunEffects::default();
    kv.write("n", kept("of the run"), Some(&mut effects.kv), NOW).await.unwrap();
    // The other write is committed between what settling reads and its own commit.
    let (other, settled) =
        tokio::join!(kv.write("n", kept("meanwhile"), None, NOW), storage.settle_run(ACME, REPLY, &run, &effects));
    assert!(other.unwrap());
    assert_eq!(settled.unwrap(), RunEnd::Kept);
    let used = kv.usage(None, NOW).await.unwrap().used;
    assert_eq!(used, 1 + text(&kv, "n").await.unwrap().len() as u64);
}

#[tokio::test]
async fn a_stretch_that_a_run_read_is_not_looked_at_once_more() {
    let (storage, run, kv) = storage_with_run_and_kv(100).await;
    let mut effects = RunEffects::default();
    kv.write("own", kept("x"), Some(&mut effects.kv), NOW).await.unwrap();
    let all = crate::records::plugin::KvStretch { begin: String::new(), end: None, limit: 9, reverse: false };
    assert_eq!(kv.scan(&all, Some(&effects.kv), NOW).await.unwrap().entries.len(), 1);
    kv.write("n", kept("meanwhile"), None, NOW).await.unwrap();
    assert_eq!(storage.settle_run(ACME, REPLY, &run, &effects).await.unwrap(), RunEnd::Kept);
}

#[tokio::test]
async fn a_run_whose_room_was_taken_meanwhile_keeps_nothing_and_says_what_is_used() {
    let (storage, run, kv) = storage_with_run_and_kv(10).await;
    let mut effects = effects(&[7]);
    kv.write("a", kept("12345"), Some(&mut effects.kv), NOW).await.unwrap();
    kv.write("b", kept("1234"), None, NOW).await.unwrap();
    let full = RunEnd::KvFull(KvUsage { used: 5, max: 10 });
    assert_eq!(storage.settle_run(ACME, REPLY, &run, &effects).await.unwrap(), full);
    assert_eq!((owed(&storage, REPLY).await.len(), storage.outbox_depth(ACME, SESSION).await.unwrap()), (1, 0));
    assert_eq!(text(&kv, "a").await, None);
}

#[tokio::test]
async fn runs_that_count_at_once_count_every_one_of_them_once() {
    let storage = racing_storage_with_session().await;
    record_events(&storage, 6).await;
    step(&storage, REPLY, 99).await;
    upload(&storage, TenantId::OPERATOR, "reply", 1).await.unwrap();
    let kv = storage.kv(ACME, REPLY, 100);
    let runs = owed(&storage, REPLY).await;
    let all = runs.iter().map(|run| async {
        while storage.settle_run(ACME, REPLY, run, &counting(&kv, run.event.n).await).await.unwrap() != RunEnd::Kept {}
    });
    futures_util::future::join_all(all).await;
    assert_eq!(kv.get("n", None, NOW).await.unwrap().unwrap().bytes, [6]);
    assert_eq!(storage.outbox_depth(ACME, SESSION).await.unwrap(), 6);
    assert!(KvEffects::default().is_empty());
}
