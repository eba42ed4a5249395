//! Power loss under batches that overwrite each other: random ones, with a cache so small that redb writes before it commits.
//!
//! The memory engine is the oracle. Batches are submitted one after another, so after a crash the storage must hold exactly
//! what the oracle holds after some number of them: no fewer than were acknowledged, no more than were submitted.

use std::pin::Pin;
use std::task::{Context, Waker};

use futures_util::future::join_all;

use super::{NamedOnPanic, open};
use crate::entropy::{Entropy, SeededEntropy};
use crate::storage::StorageError;
use crate::storage::engine::{Batch, Check, Engine, Entry, KeyRange};
use crate::storage::fault::{Fault, FaultDisk};
use crate::storage::memory_engine::MemoryEngine;
use crate::storage::redb_engine::RedbEngine;

const SEEDS: u64 = 200;
/// Rounds of one life; each is one batch alone and then a few in one group.
const ROUNDS: u64 = 8;
/// The power goes off within this many calls of the disk: about as many as a life has.
const CALLS_TO_POWER_OFF: u64 = 240;
/// An open after a crash is over within this many calls of the disk.
const CALLS_OF_RECOVERY: u64 = 60;

type Answer = Result<Vec<u64>, StorageError>;

/// The bytes of a storage that was made and closed in order, so that no run has to make one.
fn fresh_image() -> Vec<u8> {
    let disk = FaultDisk::default();
    drop(open(&disk, CACHE_BYTES[0]).unwrap());
    disk.image()
}

/// The second is so small that redb writes pages before their commit.
const CACHE_BYTES: [usize; 2] = [8 * 1024 * 1024, 32 * 1024];

fn below(dice: &SeededEntropy, limit: u64) -> u64 {
    dice.next_u64() % limit
}

/// A batch that touches many places: they are the same few in every batch, so that batches overwrite each other.
fn random_batch(dice: &SeededEntropy, number: u64) -> Batch {
    let mut batch = Batch::default();
    for _ in 0..=below(dice, 4) {
        let place = format!("place/{:02}/{}", below(dice, 6), below(dice, 4)).into_bytes();
        match below(dice, 8) {
            0 => batch.delete(place),
            1 => batch.delete_prefix(format!("place/{:02}/", below(dice, 6)).into_bytes()),
            2 => batch.check(Check::Absent { key: place }),
            3 => batch.put(place, vec![number as u8; below(dice, 40_000) as usize]),
            _ => batch.put(place, vec![number as u8; below(dice, 600) as usize]),
        }
    }
    for _ in 0..below(dice, 4) {
        batch.append(b"counter".to_vec(), b"log/".to_vec(), number.to_be_bytes().to_vec());
    }
    batch.put(b"newest batch".to_vec(), number.to_be_bytes().to_vec());
    batch
}

async fn everything(engine: &dyn Engine) -> Vec<Entry> {
    engine.range(&KeyRange::everything(usize::MAX)).await.unwrap()
}

/// What was submitted to a storage over all its lives, and how much of it was answered.
#[derive(Default)]
struct History {
    /// Holds what the answered batches leave.
    oracle: MemoryEngine,
    answered: u64,
    /// Submitted batches that the storage failed at: each may be there or not.
    unanswered: Vec<Batch>,
}

impl History {
    /// Commits `batches` in this order: the first alone, the others in one group. Whether all of them were answered.
    async fn commit(&mut self, disk: &FaultDisk, engine: &RedbEngine, batches: Vec<Batch>) -> bool {
        let answers = commit_in_two_groups(disk, engine, &batches).await;
        for (batch, answer) in batches.into_iter().zip(answers) {
            self.note(batch, answer).await;
        }
        self.unanswered.is_empty()
    }

    /// Takes note of an answer, which has to be the oracle's too.
    async fn note(&mut self, batch: Batch, answer: Answer) {
        match answer {
            Err(StorageError::Disk { .. } | StorageError::Down { .. }) => return self.unanswered.push(batch),
            Ok(numbers) => assert_eq!(self.oracle.commit(batch).await.unwrap(), numbers),
            Err(error) => {
                assert!(matches!(error, StorageError::Conflict), "{error}");
                assert!(matches!(self.oracle.commit(batch).await, Err(StorageError::Conflict)));
            }
        }
        assert!(self.unanswered.is_empty(), "a batch was answered although one before it was not");
        self.answered += 1;
    }

    /// Finds how far history came in what a crash left, and lets it go on from there.
    async fn settle(&mut self, engine: &RedbEngine) {
        let left = everything(engine).await;
        let mut further = std::mem::take(&mut self.unanswered).into_iter();
        while everything(&self.oracle).await != left {
            let next = further.next();
            assert!(
                next.is_some(),
                "storage holds neither what {} answered batches leave, nor any more of them",
                self.answered
            );
            // A batch whose checks fail is part of history too, and leaves nothing.
            let _ = self.oracle.commit(next.unwrap()).await;
            self.answered += 1;
        }
    }
}

async fn commit_in_two_groups(disk: &FaultDisk, engine: &dyn Engine, batches: &[Batch]) -> Vec<Answer> {
    if disk.fired() {
        // After an error redb leaves the disk alone: nobody would come to a disk that is held.
        return join_all(batches.iter().map(|batch| engine.commit(batch.clone()))).await;
    }
    disk.hold();
    let mut commits: Vec<Pin<Box<dyn Future<Output = Answer> + Send + '_>>> = Vec::new();
    for batch in batches {
        let mut commit = engine.commit(batch.clone());
        assert!(commit.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        if commits.is_empty() {
            disk.wait_for_a_call();
        }
        commits.push(commit);
    }
    disk.release();
    join_all(commits).await
}

/// Runs rounds until the power goes off or the life is over.
async fn live(disk: &FaultDisk, engine: &RedbEngine, history: &mut History, dice: &SeededEntropy) {
    for _ in 0..ROUNDS {
        let first = history.answered;
        let batches = (0..=below(dice, 4)).map(|n| random_batch(dice, first + n)).collect();
        if !history.commit(disk, engine, batches).await {
            return;
        }
    }
}

/// Lives on `image` until the power goes off, and what is left then.
async fn life_until_power_off(image: Vec<u8>, history: &mut History, dice: &SeededEntropy, cache_bytes: usize) -> Vec<u8> {
    let disk = FaultDisk::over(image);
    let engine = open(&disk, cache_bytes).unwrap();
    history.settle(&engine).await;
    disk.fail_at(disk.calls() + below(dice, CALLS_TO_POWER_OFF), Fault::PowerOff);
    live(&disk, &engine, history, dice).await;
    disk.crash(dice.next_u64())
}

/// Lets the power go off while the storage recovers, and what is left then.
fn crash_during_recovery(image: Vec<u8>, dice: &SeededEntropy, cache_bytes: usize) -> Vec<u8> {
    let disk = FaultDisk::over(image);
    disk.fail_at(below(dice, CALLS_OF_RECOVERY), Fault::PowerOff);
    let opened = open(&disk, cache_bytes);
    let image = disk.crash(dice.next_u64());
    drop(opened);
    image
}

async fn lives_of_a_storage(fresh: &[u8], seed: u64) {
    let dice = SeededEntropy::new(seed);
    let cache_bytes = CACHE_BYTES[(seed % 2) as usize];
    let mut history = History::default();
    let mut image = fresh.to_vec();
    for _ in 0..2 {
        image = life_until_power_off(image, &mut history, &dice, cache_bytes).await;
        if seed.is_multiple_of(3) {
            image = crash_during_recovery(image, &dice, cache_bytes);
        }
    }
    let disk = FaultDisk::over(image);
    let engine = open(&disk, cache_bytes).unwrap();
    history.settle(&engine).await;
    live(&disk, &engine, &mut history, &dice).await;
    assert!(history.unanswered.is_empty(), "a storage that recovered takes new batches");
    assert_eq!(everything(&engine).await, everything(&history.oracle).await);
}

#[tokio::test]
async fn a_power_loss_takes_nothing_that_was_acknowledged_and_leaves_no_half_batch() {
    let fresh = fresh_image();
    for seed in 0..SEEDS {
        let _name = NamedOnPanic(format!("seed {seed}"));
        // Without this, the runtime may make a commit wait for its next turn instead of putting it into the writer's queue.
        tokio::task::coop::unconstrained(lives_of_a_storage(&fresh, seed)).await;
    }
}
