//! A storage on a disk that fails, the stretch of the script that it runs, and what it must hold afterwards.

use std::sync::{Arc, OnceLock};

use super::invariants;
use super::recorder::{History, Recorder};
use super::script::{OPERATIONS, Script};
use super::{block_on, open};
use crate::storage::fault::FaultDisk;
use crate::storage::{MASTER_KEY_BYTES, MasterKey, OpenError, Storage, StorageError};

/// Operations between an open and a close: few, so that each call of the disk can be reached without all that was before it.
pub(super) const STRETCH: u64 = 4;
const CACHE_BYTES: usize = 1024 * 1024;

/// The script from one open to its close.
pub(super) struct Stretch {
    /// What the disk holds before.
    pub(super) image: Vec<u8>,
    /// What history says about it.
    history: History,
    /// Number of its first operation.
    pub(super) first: u64,
    /// Calls of the disk that it makes.
    pub(super) calls: u64,
}

impl Stretch {
    /// A copy of the history that led here.
    pub(super) fn history(&self) -> History {
        self.history.fork()
    }
}

/// A storage that runs.
pub(super) struct Stage {
    pub(super) disk: FaultDisk,
    recorder: Arc<Recorder>,
    script: Script,
}

impl Stage {
    /// Opens what is on the disk.
    pub(super) async fn open(disk: &FaultDisk, history: &mut History) -> Result<Self, OpenError> {
        let recorder = Arc::new(Recorder::new(open(disk, CACHE_BYTES)?));
        let storage = Storage::over(recorder.clone(), MasterKey::new([7; MASTER_KEY_BYTES]));
        let checked = storage.check_master_key().await;
        recorder.note(history).await;
        checked?;
        Ok(Self { disk: disk.clone(), recorder, script: Script { storage, disk: disk.clone() } })
    }

    /// Runs one operation and notes what it asked of the engine.
    pub(super) async fn run(&self, operation: u64, history: &mut History) -> Result<(), StorageError> {
        let done = self.script.run(operation).await;
        self.recorder.note(history).await;
        done
    }

    /// Commits without having to read before.
    pub(super) async fn just_commit(&self, n: u64, history: &mut History) -> Result<(), StorageError> {
        let done = self.script.create_tenant(n).await;
        self.recorder.note(history).await;
        done
    }

    /// Whether storage says that it answers.
    pub(super) fn health(&self) -> Result<(), StorageError> {
        self.script.storage.health()
    }

    /// Holds what is stored against history.
    pub(super) async fn settle(&self, history: &mut History) {
        self.recorder.settle(history).await;
    }

    /// Goes on with what was broken off, and looks whether all that is stored belongs together.
    pub(super) async fn hold_invariants(&self, history: &mut History) {
        self.script.recover().await.unwrap();
        self.recorder.note(history).await;
        invariants::hold(&self.script.storage).await;
    }

    /// Closes the storage: what was asked is answered, and the disk is let go.
    pub(super) async fn close(self, history: &mut History) {
        self.script.storage.close();
        self.recorder.note(history).await;
    }
}

/// The whole script, which every test begins from.
pub(super) fn stretches() -> &'static [Stretch] {
    static STRETCHES: OnceLock<Vec<Stretch>> = OnceLock::new();
    STRETCHES.get_or_init(|| block_on(run_without_a_fault()))
}

/// Runs the script, closing and opening the storage between stretches.
async fn run_without_a_fault() -> Vec<Stretch> {
    let disk = FaultDisk::default();
    drop(open(&disk, CACHE_BYTES).unwrap());
    let (mut image, mut history, mut stretches) = (disk.image(), History::new(), Vec::new());
    for first in (0..OPERATIONS).step_by(STRETCH as usize) {
        let disk = FaultDisk::over(image.clone());
        let before = history.fork();
        let stage = Stage::open(&disk, &mut history).await.unwrap();
        for operation in first..first + STRETCH {
            stage.run(operation, &mut history).await.unwrap();
        }
        stage.close(&mut history).await;
        let next = disk.image();
        let again = Stage::open(&FaultDisk::over(next.clone()), &mut history).await.unwrap();
        again.settle(&mut history).await;
        stretches.push(Stretch { image: std::mem::replace(&mut image, next), history: before, first, calls: disk.calls() });
    }
    stretches
}

/// Opens `image` on a disk that works, where storage must hold what history says and take more.
pub(super) async fn must_go_on(image: Vec<u8>, mut history: History, operation: u64) {
    let disk = FaultDisk::over(image);
    let stage = Stage::open(&disk, &mut history).await.unwrap();
    stage.settle(&mut history).await;
    stage.hold_invariants(&mut history).await;
    stage.just_commit(operation, &mut history).await.unwrap();
    stage.run(operation + 1, &mut history).await.unwrap();
    stage.close(&mut history).await;
}
