//! What every engine promises, held against each engine; and what only the grouping writer of redb can get wrong.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use futures_util::future::join_all;

use super::engine::{Batch, Check, Engine, Entry, KeyRange};
use super::fault::{DiskSource, FaultDisk};
use super::memory_engine::MemoryEngine;
use super::redb_engine::RedbEngine;
use super::{StorageError, VALUE_BYTES_MAX};

type Commit<'a> = Pin<Box<dyn Future<Output = Result<Vec<u64>, StorageError>> + Send + 'a>>;

fn redb_over(disk: &FaultDisk) -> RedbEngine {
    RedbEngine::open(DiskSource(disk.clone(), 8 * 1024 * 1024)).unwrap()
}

fn engines() -> [(&'static str, Arc<dyn Engine>); 2] {
    [("memory", Arc::new(MemoryEngine::default())), ("redb", Arc::new(redb_over(&FaultDisk::default())))]
}

fn puts<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Batch {
    let mut batch = Batch::default();
    for key in keys {
        batch.put(key.as_ref().to_vec(), b"value".to_vec());
    }
    batch
}

fn put_of(key: &str, value: &str) -> Batch {
    let mut batch = Batch::default();
    batch.put(key.as_bytes().to_vec(), value.as_bytes().to_vec());
    batch
}

fn append_of(prefix: &str, value: &str) -> Batch {
    let mut batch = Batch::default();
    batch.append(b"counter".to_vec(), prefix.as_bytes().to_vec(), value.as_bytes().to_vec());
    batch
}

fn absent(key: &str) -> Check {
    Check::Absent { key: key.as_bytes().to_vec() }
}

fn equals(key: &str, value: &str) -> Check {
    Check::Equals { key: key.as_bytes().to_vec(), value: value.as_bytes().to_vec() }
}

async fn text_at(engine: &dyn Engine, key: &str) -> Option<String> {
    engine.get(key.as_bytes()).await.unwrap().map(|value| String::from_utf8(value).unwrap())
}

async fn keys_in(engine: &dyn Engine, range: &KeyRange) -> Vec<Vec<u8>> {
    engine.range(range).await.unwrap().into_iter().map(|(key, _)| key).collect()
}

async fn everything(engine: &dyn Engine) -> Vec<Entry> {
    engine.range(&KeyRange::everything(usize::MAX)).await.unwrap()
}

#[tokio::test]
async fn what_was_put_is_read_until_it_is_deleted() {
    for (name, engine) in engines() {
        assert_eq!(text_at(&*engine, "a").await, None, "{name}");
        engine.commit(put_of("a", "one")).await.unwrap();
        engine.commit(put_of("b", "")).await.unwrap();
        engine.commit(put_of("a", "two")).await.unwrap();
        assert_eq!(text_at(&*engine, "a").await.as_deref(), Some("two"), "{name}");
        assert_eq!(text_at(&*engine, "b").await.as_deref(), Some(""), "{name}");

        let mut batch = Batch::default();
        batch.delete(b"a".to_vec());
        batch.delete(b"never there".to_vec());
        engine.commit(batch).await.unwrap();
        assert_eq!(text_at(&*engine, "a").await, None, "{name}");
        assert_eq!(everything(&*engine).await.len(), 1, "{name}");
    }
}

#[tokio::test]
async fn the_writes_of_a_batch_happen_in_their_order() {
    for (name, engine) in engines() {
        let mut batch = put_of("a/1", "early");
        batch.delete_prefix(b"a/".to_vec());
        batch.put(b"a/2".to_vec(), b"late".to_vec());
        batch.put(b"b".to_vec(), b"early".to_vec());
        batch.put(b"b".to_vec(), b"late".to_vec());
        batch.put(b"c".to_vec(), b"early".to_vec());
        batch.delete(b"c".to_vec());
        engine.commit(batch).await.unwrap();
        let expected = [(b"a/2".to_vec(), b"late".to_vec()), (b"b".to_vec(), b"late".to_vec())];
        assert_eq!(everything(&*engine).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_range_is_in_order_of_keys_and_honours_limit_reverse_and_after() {
    for (name, engine) in engines() {
        engine.commit(puts(["b/2", "b/10", "a/9", "b/1", "c/0", "b/"])).await.unwrap();
        let prefix = |limit| KeyRange::prefix(b"b/", limit);
        let read = async |range: KeyRange| {
            let keys = keys_in(&*engine, &range).await;
            keys.into_iter().map(|key| String::from_utf8(key).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(read(prefix(99)).await, ["b/", "b/1", "b/10", "b/2"], "{name}");
        assert_eq!(read(prefix(2)).await, ["b/", "b/1"], "{name}");
        assert_eq!(read(prefix(0)).await, [""; 0], "{name}");
        assert_eq!(read(prefix(2).reversed()).await, ["b/2", "b/10"], "{name}");
        assert_eq!(read(prefix(99).after(b"b/1")).await, ["b/10", "b/2"], "{name}");
        assert_eq!(read(prefix(99).after(b"b/1").reversed()).await, ["b/2", "b/10"], "{name}");
        assert_eq!(read(KeyRange::everything(99)).await, ["a/9", "b/", "b/1", "b/10", "b/2", "c/0"], "{name}");
    }
}

#[tokio::test]
async fn a_range_that_nothing_can_be_in_is_empty() {
    for (name, engine) in engines() {
        engine.commit(puts(["a", "b", "c"])).await.unwrap();
        let backwards = KeyRange { start: b"c".to_vec(), end: Some(b"a".to_vec()), limit: 99, reverse: false };
        let nowhere = KeyRange { start: b"b".to_vec(), end: Some(b"b".to_vec()), limit: 99, reverse: false };
        for range in [backwards, nowhere, KeyRange::prefix(b"a", 99).after(b"b")] {
            assert!(keys_in(&*engine, &range).await.is_empty(), "{name} {range:?}");
            assert!(keys_in(&*engine, &range.clone().reversed()).await.is_empty(), "{name} {range:?}");
        }
    }
}

const AROUND_FF: [&[u8]; 9] =
    [b"", b"\x01\xFE", b"\x01\xFF", b"\x01\xFF\x00", b"\x01\xFF\xFF", b"\x02", b"\xFE", b"\xFF", b"\xFF\xFF\x01"];

#[tokio::test]
async fn a_prefix_that_ends_in_ff_holds_its_own_keys_and_no_others() {
    for (name, engine) in engines() {
        engine.commit(puts(AROUND_FF)).await.unwrap();
        for prefix in [b"".as_slice(), b"\x01", b"\x01\xFF", b"\x01\xFF\xFF", b"\xFF", b"\xFF\xFF"] {
            let expected: Vec<_> = AROUND_FF.into_iter().filter(|key| key.starts_with(prefix)).collect();
            assert_eq!(keys_in(&*engine, &KeyRange::prefix(prefix, 99)).await, expected, "{name} {prefix:?}");
        }
    }
}

#[tokio::test]
async fn deleting_a_prefix_deletes_its_own_keys_and_no_others() {
    for prefix in [b"".as_slice(), b"\x01", b"\x01\xFF", b"\xFF", b"\xFF\xFF", b"\x03"] {
        for (name, engine) in engines() {
            engine.commit(puts(AROUND_FF)).await.unwrap();
            let mut batch = Batch::default();
            batch.delete_prefix(prefix.to_vec());
            engine.commit(batch).await.unwrap();
            let expected: Vec<_> = AROUND_FF.into_iter().filter(|key| !key.starts_with(prefix)).collect();
            assert_eq!(keys_in(&*engine, &KeyRange::everything(99)).await, expected, "{name} {prefix:?}");
        }
    }
}

#[tokio::test]
async fn appends_are_numbered_from_1_and_come_back_in_order() {
    for (name, engine) in engines() {
        assert_eq!(engine.commit(append_of("log/", "first")).await.unwrap(), [1], "{name}");
        let mut batch = append_of("log/", "second");
        batch.append(b"another counter".to_vec(), b"other/".to_vec(), b"apart".to_vec());
        batch.append(b"counter".to_vec(), b"log/".to_vec(), b"third".to_vec());
        assert_eq!(engine.commit(batch).await.unwrap(), [2, 1, 3], "{name}");
        for n in 4..=300_u64 {
            assert_eq!(engine.commit(append_of("log/", "more")).await.unwrap(), [n], "{name}");
        }
        let log = engine.range(&KeyRange::prefix(b"log/", usize::MAX)).await.unwrap();
        let numbers: Vec<u64> = log.iter().map(|(key, _)| u64::from_be_bytes(*key.last_chunk().unwrap())).collect();
        assert_eq!(numbers, (1..=300).collect::<Vec<_>>(), "{name}");
        assert_eq!((log[0].1.as_slice(), log[2].1.as_slice()), (b"first".as_slice(), b"third".as_slice()), "{name}");
    }
}

#[tokio::test]
async fn one_number_is_put_behind_every_place_of_an_append() {
    for (name, engine) in engines() {
        let mut batch = Batch::default();
        let places = ["lane", "chat"].map(|place| (place.into(), place.into()));
        batch.append_all("counter".into(), places.to_vec());
        assert_eq!(engine.commit(batch).await.unwrap(), [1], "{name}");
        for place in ["lane", "chat"] {
            let key = [place.as_bytes(), &1_u64.to_be_bytes()].concat();
            assert_eq!(engine.get(&key).await.unwrap().as_deref(), Some(place.as_bytes()), "{name}");
        }
    }
}

#[tokio::test]
async fn a_count_adds_up_ends_at_0_and_is_held_to_its_most() {
    let add = |by, max| {
        let mut batch = Batch::default();
        batch.check(Check::AtMost { key: "count".into(), max });
        batch.add("count".into(), by);
        batch
    };
    for (name, engine) in engines() {
        let count = async || engine.get(b"count").await.unwrap().map(|value| u64::from_be_bytes(value.try_into().unwrap()));
        engine.commit(add(2, 0)).await.unwrap();
        engine.commit(add(3, 2)).await.unwrap();
        assert_eq!(count().await, Some(5), "{name}");
        assert!(matches!(engine.commit(add(1, 4)).await, Err(StorageError::Conflict)), "{name}");
        assert_eq!(count().await, Some(5), "{name}: what is refused costs nothing");
        engine.commit(add(-9, 5)).await.unwrap();
        assert_eq!(count().await, None, "{name}: never below 0, and 0 is not kept");
    }
}

#[tokio::test]
async fn a_number_is_not_given_again_after_its_entry_was_deleted() {
    for (name, engine) in engines() {
        engine.commit(append_of("log/", "gone")).await.unwrap();
        let mut batch = Batch::default();
        batch.delete_prefix(b"log/".to_vec());
        engine.commit(batch).await.unwrap();
        assert_eq!(engine.commit(append_of("log/", "next")).await.unwrap(), [2], "{name}");
    }
}

#[tokio::test]
async fn a_batch_whose_check_fails_leaves_nothing_behind() {
    for (name, engine) in engines() {
        engine.commit(put_of("a", "one")).await.unwrap();
        let before = everything(&*engine).await;
        for check in [absent("a"), equals("a", "two"), equals("a", ""), equals("missing", ""), equals("a", "one and more")] {
            let mut batch = append_of("log/", "never");
            batch.put(b"b".to_vec(), b"never".to_vec());
            batch.delete(b"a".to_vec());
            batch.check(absent("b"));
            batch.check(check.clone());
            assert!(matches!(engine.commit(batch).await, Err(StorageError::Conflict)), "{name} {check:?}");
            assert_eq!(everything(&*engine).await, before, "{name} {check:?}");
        }
        assert_eq!(engine.commit(append_of("log/", "first")).await.unwrap(), [1], "{name}: no number was used up");
    }
}

#[tokio::test]
async fn checks_look_at_what_was_there_before_the_batch() {
    for (name, engine) in engines() {
        let mut batch = put_of("a", "one");
        batch.check(absent("a"));
        engine.commit(batch).await.unwrap();
        let mut batch = put_of("a", "two");
        batch.check(equals("a", "one"));
        engine.commit(batch).await.unwrap();
        assert_eq!(text_at(&*engine, "a").await.as_deref(), Some("two"), "{name}");
    }
}

#[tokio::test]
async fn a_batch_of_only_checks_says_whether_they_hold() {
    for (name, engine) in engines() {
        engine.commit(put_of("a", "one")).await.unwrap();
        for (check, holds) in
            [(equals("a", "one"), true), (absent("a"), false), (absent("b"), true), (equals("b", "one"), false)]
        {
            let mut batch = Batch::default();
            batch.check(check.clone());
            match engine.commit(batch).await {
                Ok(numbers) => assert!(holds && numbers.is_empty(), "{name} {check:?}"),
                Err(error) => assert!(!holds && matches!(error, StorageError::Conflict), "{name} {check:?} {error}"),
            }
        }
        assert!(engine.commit(Batch::default()).await.unwrap().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_value_over_the_limit_is_refused_with_size_and_limit() {
    for (name, engine) in engines() {
        let mut put = put_of("small", "value");
        put.put(b"large".to_vec(), vec![0; VALUE_BYTES_MAX + 1]);
        let mut append = Batch::default();
        append.append(b"counter".to_vec(), b"log/".to_vec(), vec![0; VALUE_BYTES_MAX + 1]);
        for batch in [put, append] {
            let refused = engine.commit(batch).await;
            let named = matches!(
                refused,
                Err(StorageError::TooLarge { bytes, bytes_max }) if bytes == VALUE_BYTES_MAX + 1 && bytes_max == VALUE_BYTES_MAX
            );
            assert!(named, "{name}");
            assert!(everything(&*engine).await.is_empty(), "{name}");
        }
    }
}

#[tokio::test]
async fn of_many_who_want_the_same_place_one_gets_it() {
    for (name, engine) in engines() {
        let claims = (0..32).map(|n| {
            let mut batch = put_of("place", &n.to_string());
            batch.check(absent("place"));
            engine.commit(batch)
        });
        let answers = join_all(claims).await;
        let winners: Vec<_> = (0..32).filter(|n| answers[*n].is_ok()).collect();
        assert_eq!(winners.len(), 1, "{name}");
        assert_eq!(text_at(&*engine, "place").await, Some(winners[0].to_string()), "{name}");
        assert!(
            answers.iter().all(|answer| !matches!(answer, Err(error) if !matches!(error, StorageError::Conflict))),
            "{name}"
        );
    }
}

#[tokio::test]
async fn concurrent_commits_are_all_kept_each_under_its_own_number() {
    for (name, engine) in engines() {
        let before = engine.stats();
        let answers = join_all((0..64).map(|n| engine.commit(append_of("log/", &n.to_string())))).await;
        let mut numbers: Vec<u64> = answers.into_iter().flat_map(Result::unwrap).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=64).collect::<Vec<_>>(), "{name}");
        assert_eq!(keys_in(&*engine, &KeyRange::prefix(b"log/", 99)).await.len(), 64, "{name}");
        let after = engine.stats();
        assert_eq!(after.batches - before.batches, 64, "{name}");
        assert!((1..=64).contains(&(after.transactions - before.transactions)), "{name}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_power_loss_that_keeps_nothing_else() {
    let disk = FaultDisk::default();
    let engine = redb_over(&disk);
    join_all((0..64).map(|n| engine.commit(append_of("log/", &n.to_string()))))
        .await
        .into_iter()
        .for_each(|answer| drop(answer.unwrap()));
    let again = redb_over(&FaultDisk::over(disk.durable()));
    assert_eq!(everything(&again).await, everything(&engine).await);
}

#[tokio::test]
async fn a_closed_engine_refuses_every_call() {
    for (name, engine) in engines() {
        engine.commit(put_of("a", "one")).await.unwrap();
        engine.close();
        engine.close();
        assert!(matches!(engine.get(b"a").await, Err(StorageError::Closed)), "{name}");
        assert!(matches!(engine.range(&KeyRange::everything(9)).await, Err(StorageError::Closed)), "{name}");
        assert!(matches!(engine.commit(put_of("b", "two")).await, Err(StorageError::Closed)), "{name}");
    }
}

/// Polls a commit once, which puts its batch into the writer's queue.
fn queue<'a>(engine: &'a dyn Engine, batch: Batch) -> Commit<'a> {
    let mut commit = engine.commit(batch);
    assert!(commit.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    commit
}

/// Commits `batches` in one group: they queue up while the disk holds the writer at the batch before them.
fn commit_in_one_group(disk: &FaultDisk, engine: &dyn Engine, batches: Vec<Batch>) -> Vec<Result<Vec<u64>, StorageError>> {
    disk.hold();
    let before = queue(engine, put_of("before", "them"));
    disk.wait_for_a_call();
    let group: Vec<_> = batches.into_iter().map(|batch| queue(engine, batch)).collect();
    disk.release();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        before.await.unwrap();
        join_all(group).await
    })
}

#[test]
fn batches_that_wait_for_the_writer_share_one_transaction() {
    let disk = FaultDisk::default();
    let engine = redb_over(&disk);
    let before = engine.stats();
    let answers = commit_in_one_group(&disk, &engine, (0..64).map(|n| append_of("log/", &n.to_string())).collect());
    let numbers: Vec<u64> = answers.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(numbers, (1..=64).collect::<Vec<_>>());
    let after = engine.stats();
    assert_eq!(after.batches - before.batches, 65);
    assert_eq!(after.transactions - before.transactions, 2);
}

#[tokio::test]
async fn no_transactions_and_no_batches_are_counted_before_the_first_commit() {
    for (name, engine) in engines() {
        assert_eq!((engine.stats().transactions, engine.stats().batches), (0, 0), "{name}");
    }
}

fn entry(key: &str, value: &str) -> Entry {
    (key.as_bytes().to_vec(), value.as_bytes().to_vec())
}

fn all_after(engine: &dyn Engine) -> Vec<Entry> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(everything(engine))
}

#[test]
fn a_failed_check_does_not_disturb_its_neighbours_in_the_group() {
    let disk = FaultDisk::default();
    let engine = redb_over(&disk);
    let mut refused = append_of("log/", "never");
    refused.put(b"a".to_vec(), b"never".to_vec());
    refused.check(absent("a"));
    let mut follows = put_of("a", "two");
    follows.check(equals("a", "one"));
    let group = vec![put_of("a", "one"), append_of("log/", "first"), refused, append_of("log/", "second"), follows];

    let answers = commit_in_one_group(&disk, &engine, group);

    let kept: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(kept, [true, true, false, true, true], "a batch sees what its neighbours before it wrote");
    assert!(matches!(answers[2], Err(StorageError::Conflict)));
    assert_eq!(answers[3].as_ref().unwrap(), &[2]);
    let again = redb_over(&FaultDisk::over(disk.durable()));
    assert_eq!(all_after(&again), all_after(&engine));
    assert_eq!(all_after(&again)[0], entry("a", "two"));
}

#[test]
fn an_engine_that_is_closed_answers_what_it_was_asked_before() {
    let disk = FaultDisk::default();
    let engine = redb_over(&disk);
    disk.hold();
    let first = queue(&engine, append_of("log/", "first"));
    disk.wait_for_a_call();
    let last = queue(&engine, append_of("log/", "last"));
    disk.release();
    engine.close();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(join_all([first, last])).into_iter().flat_map(Result::unwrap).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(all_after(&redb_over(&FaultDisk::over(disk.durable()))).len(), 3);
}

#[test]
fn a_caller_that_went_away_does_not_disturb_its_neighbours() {
    let disk = FaultDisk::default();
    let engine = redb_over(&disk);
    disk.hold();
    let first = queue(&engine, append_of("log/", "first"));
    disk.wait_for_a_call();
    drop(queue(&engine, append_of("log/", "nobody waits for this")));
    let last = queue(&engine, append_of("log/", "last"));
    disk.release();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(first).unwrap(), [1]);
    assert_eq!(runtime.block_on(last).unwrap(), [3]);
}
