//! The master key: storage opens with its own only, and after a rotation with the next only.

use std::path::Path;

use super::*;
use crate::storage::{DeviceTable, OpenError, keys};

const TABLE: DeviceTable = DeviceTable(1);

async fn put_rows(storage: &Storage, count: u32) {
    let device = storage.device(ACME, SESSION);
    let mut batch = device.batch();
    for n in 0..count {
        batch.put(TABLE, &n.to_be_bytes(), b"row");
    }
    device.commit(batch).await.unwrap();
}

/// How many rows of the device open; the error when one does not.
async fn rows_that_open(storage: &Storage) -> Result<usize, StorageError> {
    Ok(storage.device(ACME, SESSION).scan(TABLE, b"", None, usize::MAX).await?.len())
}

/// An engine with a session, its own key, a plugin's secret and `rows` rows of its device, sealed with master key 1.
async fn sealed_engine(rows: u32) -> Arc<TestEngine> {
    let engine = test_engine();
    let storage = under(&engine, 1);
    storage.check_master_key().await.unwrap();
    add_session(&storage, ACME, SESSION).await;
    put_rows(&storage, rows).await;
    upload(&storage, ACME, "shop", 1).await.unwrap();
    storage.keep_plugin_secret(ACME, "shop", "KEY", "of the shop", NOW).await.unwrap();
    engine
}

fn under(engine: &Arc<TestEngine>, n: u8) -> Storage {
    let engine: Arc<dyn Engine> = engine.clone();
    Storage::over(engine, master_key(n))
}

fn is_refused<T>(answer: Result<T, StorageError>) -> bool {
    matches!(answer, Err(StorageError::WrongMasterKey { .. }))
}

#[tokio::test]
async fn after_a_rotation_everything_opens_with_the_next_key_and_nothing_with_the_old_one() {
    let engine = sealed_engine(3).await;
    let rotated = under(&engine, 1).rotate_master_key(master_key(2)).await.unwrap();
    assert_eq!(rotated, 6, "the proof, the session's own key, the secret and three rows");

    let next = under(&engine, 2);
    next.check_master_key().await.unwrap();
    assert_eq!(next.session_key(ACME, SESSION).await.unwrap(), Some(own_key_text(ACME, SESSION)));
    assert_eq!(rows_that_open(&next).await.unwrap(), 3);
    assert_eq!(next.plugin_secret(ACME, "shop", "KEY").await.unwrap().as_deref(), Some("of the shop"));
    assert!(next.session(ACME, SESSION).await.unwrap().is_some(), "what is not sealed stays as it was");

    let old = under(&engine, 1);
    assert!(is_refused(old.check_master_key().await));
    assert!(is_refused(old.session_key(ACME, SESSION).await));
    assert!(is_refused(rows_that_open(&old).await));
    assert!(is_refused(old.plugin_secret(ACME, "shop", "KEY").await));
}

#[tokio::test]
async fn a_rotation_that_is_run_twice_changes_nothing_the_second_time() {
    let engine = sealed_engine(3).await;
    under(&engine, 1).rotate_master_key(master_key(2)).await.unwrap();
    let before = everything(&under(&engine, 2)).await;
    assert_eq!(under(&engine, 1).rotate_master_key(master_key(2)).await.unwrap(), 0);
    assert_eq!(everything(&under(&engine, 2)).await, before);
}

#[tokio::test]
async fn a_rotation_under_a_key_that_opens_nothing_is_refused_and_changes_nothing() {
    let engine = sealed_engine(3).await;
    let before = everything(&under(&engine, 1)).await;
    assert!(is_refused(under(&engine, 3).rotate_master_key(master_key(2)).await));
    assert_eq!(everything(&under(&engine, 1)).await, before);
}

/// More rows than a rotation seals in one commit, left in the middle of it.
async fn interrupted_rotation() -> Arc<TestEngine> {
    const ROWS: u32 = 1200;
    let engine = sealed_engine(ROWS).await;
    engine.commits_left.store(1, Ordering::Relaxed);
    let interrupted = under(&engine, 1).rotate_master_key(master_key(2)).await;
    assert!(matches!(interrupted, Err(StorageError::Engine(_))));
    engine.commits_left.store(u64::MAX, Ordering::Relaxed);
    assert!(is_refused(rows_that_open(&under(&engine, 1)).await) && is_refused(rows_that_open(&under(&engine, 2)).await));
    engine
}

#[tokio::test]
async fn an_interrupted_rotation_is_finished_by_running_it_again() {
    let engine = interrupted_rotation().await;
    under(&engine, 1).rotate_master_key(master_key(2)).await.unwrap();
    assert_eq!(rows_that_open(&under(&engine, 2)).await.unwrap(), 1200);
    under(&engine, 2).check_master_key().await.unwrap();
}

#[tokio::test]
async fn storage_opens_with_the_old_key_and_not_with_the_next_until_the_rotation_is_finished() {
    let engine = interrupted_rotation().await;
    under(&engine, 1).check_master_key().await.unwrap();
    assert!(is_refused(under(&engine, 2).check_master_key().await), "not everything opens with it yet");
}

#[tokio::test]
async fn a_sealed_value_does_not_open_where_it_was_moved() {
    let storage = storage_with_session().await;
    add_session(&storage, GLOBEX, NEIGHBOUR).await;
    let stolen = storage.engine.get(&keys::session_key(ACME, SESSION)).await.unwrap().unwrap();
    let mut batch = Batch::default();
    batch.put(keys::session_key(GLOBEX, NEIGHBOUR), stolen);
    storage.engine.commit(batch).await.unwrap();
    assert!(is_refused(storage.session_key(GLOBEX, NEIGHBOUR).await));
    assert!(storage.session_key(ACME, SESSION).await.is_ok());
}

async fn open(path: &Path, n: u8) -> Result<Storage, OpenError> {
    Storage::open(path, master_key(n)).await
}

#[tokio::test]
async fn a_file_opens_again_with_its_own_master_key_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("switchboard.redb");
    let storage = open(&path, 1).await.unwrap();
    add_session(&storage, ACME, SESSION).await;
    drop(storage);

    assert!(matches!(open(&path, 2).await, Err(OpenError::Refused(StorageError::WrongMasterKey { .. }))));

    let again = open(&path, 1).await.unwrap();
    assert_eq!(again.session_key(ACME, SESSION).await.unwrap(), Some(own_key_text(ACME, SESSION)));
    assert!(again.commit_stats().batches == 0, "opening it again writes no proof");
}
