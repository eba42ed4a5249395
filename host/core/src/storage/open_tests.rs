//! What an operator is told when storage does not open, and what is left of the file then.

use std::path::Path;

use super::engine::{Batch, Engine, KeyRange};
use super::fault::{DiskSource, Fault, FaultDisk, Report};
use super::redb_engine::RedbEngine;
use super::redb_file::FileSource;
use super::{MASTER_KEY_BYTES, MasterKey, OpenError, Storage, StorageError};
use crate::entropy::{Entropy, SeededEntropy};

const CACHE_BYTES: usize = 1024 * 1024;
/// Damaged files that are opened.
const DAMAGES: u64 = 300;

async fn open(path: &Path) -> Result<Storage, OpenError> {
    Storage::open(path, MasterKey::new([1; MASTER_KEY_BYTES])).await
}

async fn refusal(path: &Path) -> String {
    open(path).await.err().unwrap().to_string()
}

fn put_of(key: &str) -> Batch {
    let mut batch = Batch::default();
    batch.put(key.as_bytes().to_vec(), vec![7; 2000]);
    batch
}

#[tokio::test]
async fn a_file_that_is_open_is_not_opened_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("switchboard.redb");
    let first = open(&path).await.unwrap();
    assert!(refusal(&path).await.contains("switchboard.redb is in use by another process"));
    assert!(first.tenants().await.is_ok());
    drop(first);
    assert!(open(&path).await.is_ok());
}

#[tokio::test]
async fn a_file_that_is_no_storage_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("switchboard.redb");
    let text = b"dear diary, ".repeat(1000);
    std::fs::write(&path, &text).unwrap();
    assert!(refusal(&path).await.contains("switchboard.redb is not a storage file"));
    assert_eq!(std::fs::read(&path).unwrap(), text);
}

#[tokio::test]
async fn a_file_that_was_emptied_or_cut_short_is_refused_and_not_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("switchboard.redb");
    drop(open(&path).await.unwrap());
    let whole = std::fs::read(&path).unwrap();
    for bytes in [0, 100, 5000, whole.len() / 2] {
        std::fs::write(&path, &whole[..bytes]).unwrap();
        let told = refusal(&path).await;
        assert!(told.contains("is damaged") || told.contains("is not a storage file"), "{bytes} bytes: {told}");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), bytes as u64);
    }
}

#[tokio::test]
async fn what_the_system_refuses_is_told_in_words() {
    let folder = tempfile::tempdir().unwrap();
    assert!(refusal(&folder.path().join("missing/switchboard.redb")).await.contains("does not exist"));
    assert!(refusal(folder.path()).await.contains("it is a folder"));
    let disk = FaultDisk::default();
    disk.fail_at(0, Fault::FromThenOn(Report::Full));
    let refused = RedbEngine::open(DiskSource(disk.clone(), CACHE_BYTES)).err().unwrap();
    assert_eq!(refused.to_string(), "the disk cannot be opened: the disk is full");
}

#[tokio::test]
async fn a_start_that_ended_while_it_made_the_file_is_no_hindrance() {
    let folder = tempfile::tempdir().unwrap();
    let (path, unfinished) = (folder.path().join("switchboard.redb"), folder.path().join("switchboard.redb.unfinished"));
    std::fs::write(&unfinished, vec![0; 50_000]).unwrap();
    drop(open(&path).await.unwrap());
    assert!(!unfinished.exists());

    // The last step of making it is to take the second name away.
    std::fs::hard_link(&path, &unfinished).unwrap();
    drop(open(&path).await.unwrap());
    assert!(!unfinished.exists());
}

#[tokio::test]
async fn a_file_that_goes_away_is_not_followed_by_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("switchboard.redb");
    drop(open(&path).await.unwrap());
    std::fs::remove_file(&path).unwrap();
    let again = super::redb_file::Source::open(&FileSource(path.clone()), false);
    assert!(matches!(again, Err(OpenError::Disk { .. })));
    assert!(!path.exists());
}

#[tokio::test]
async fn a_new_file_is_made_whole_or_refused_whatever_call_fails() {
    for call in 0.. {
        let disk = FaultDisk::default();
        disk.fail_at(call, Fault::Once(Report::Broken));
        if let Err(refused) = RedbEngine::open(DiskSource(disk.clone(), CACHE_BYTES)) {
            assert!(refused.to_string().contains("Input/output error"), "call {call}: {refused}");
        }
        if !disk.fired() {
            break;
        }
        // A file at its own name is whole; this is what lies at the other one.
        match RedbEngine::open(DiskSource(FaultDisk::over(disk.crash(call)), CACHE_BYTES)) {
            Ok(engine) => drop(engine.commit(put_of("a")).await.unwrap()),
            Err(refused) => assert!(matches!(refused, OpenError::NotStorage { .. }), "call {call}: {refused}"),
        }
    }
}

#[tokio::test]
async fn damage_is_an_error_of_the_call_that_meets_it_and_never_the_end_of_the_process() {
    let disk = FaultDisk::default();
    let engine = RedbEngine::open(DiskSource(disk.clone(), CACHE_BYTES)).unwrap();
    for n in 0..100 {
        engine.commit(put_of(&format!("key {n}"))).await.unwrap();
    }
    engine.close();
    let image = disk.image();
    for seed in 0..DAMAGES {
        let (dice, mut damaged) = (SeededEntropy::new(seed), image.clone());
        for _ in 0..=dice.next_u64() % 8 {
            // Half of them where redb keeps what it needs to open.
            let within = if dice.next_u64().is_multiple_of(2) { 16 * 1024 } else { damaged.len() as u64 };
            let place = (dice.next_u64() % within) as usize;
            damaged[place] ^= dice.next_u64() as u8 | 1;
        }
        let Ok(engine) = RedbEngine::open(DiskSource(FaultDisk::over(damaged), CACHE_BYTES)) else { continue };
        let read = engine.range(&KeyRange::everything(usize::MAX)).await;
        let written = engine.commit(put_of("more")).await;
        for error in [read.err(), written.err()].into_iter().flatten() {
            assert!(!matches!(error, StorageError::Closed), "seed {seed}: somebody still answers");
        }
    }
}
