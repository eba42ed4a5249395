//! An engine that writes down every batch it is given and how it was answered, and holds storage to it.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;

use crate::storage::StorageError;
use crate::storage::engine::{Batch, CommitStats, Engine, Entry, KeyRange, Write};
use crate::storage::memory_engine::MemoryEngine;
use crate::storage::redb_engine::RedbEngine;

type Answer = Result<Vec<u64>, StorageError>;

/// What a storage may hold, going by what it answered over all its lives.
pub(super) struct History {
    /// More than one while it is not known whether a batch that failed was kept.
    candidates: Vec<MemoryEngine>,
    /// The last number that each sequence gave to a batch that was acknowledged.
    numbers: HashMap<Vec<u8>, u64>,
}

impl History {
    /// Of a storage that holds nothing.
    pub(super) fn new() -> Self {
        Self { candidates: vec![MemoryEngine::default()], numbers: HashMap::new() }
    }

    /// A second history that begins where this one is.
    pub(super) fn fork(&self) -> Self {
        let candidates = self.candidates.iter().map(MemoryEngine::fork).collect();
        Self { candidates, numbers: self.numbers.clone() }
    }

    async fn note(&mut self, batch: Batch, answer: Answer) {
        match answer {
            Ok(numbers) => {
                self.note_numbers(&batch, &numbers);
                self.keep_candidates(&batch, |answer| answer.as_ref().is_ok_and(|given| *given == numbers)).await;
            }
            Err(StorageError::Conflict) => {
                self.keep_candidates(&batch, |answer| matches!(answer, Err(StorageError::Conflict))).await;
            }
            // These promise that nothing was done.
            Err(StorageError::Down { .. } | StorageError::Closed) => {}
            Err(error) => {
                assert!(matches!(error, StorageError::Disk { .. }), "a disk that failed is called one: {error}");
                let kept: Vec<_> = self.candidates.iter().map(MemoryEngine::fork).collect();
                for candidate in kept {
                    if candidate.commit(batch.clone()).await.is_ok() {
                        self.candidates.push(candidate);
                    }
                }
            }
        }
        assert!(!self.candidates.is_empty(), "no order of what was kept explains this answer");
    }

    async fn keep_candidates(&mut self, batch: &Batch, wanted: impl Fn(&Answer) -> bool) {
        let mut kept = Vec::new();
        for candidate in std::mem::take(&mut self.candidates) {
            if wanted(&candidate.commit(batch.clone()).await) {
                kept.push(candidate);
            }
        }
        self.candidates = kept;
    }

    fn note_numbers(&mut self, batch: &Batch, numbers: &[u64]) {
        let counters = batch.writes.iter().filter_map(|write| match write {
            Write::Append { counter, .. } => Some(counter),
            _ => None,
        });
        for (counter, number) in counters.zip(numbers) {
            let last = self.numbers.insert(counter.clone(), *number);
            assert!(last < Some(*number), "number {number} was given twice");
        }
    }

    /// Holds what is stored against history: one candidate is exactly that.
    async fn settle(&mut self, engine: &RedbEngine) -> Result<(), StorageError> {
        let left = engine.range(&KeyRange::everything(usize::MAX)).await?;
        let mut found = None;
        for candidate in std::mem::take(&mut self.candidates) {
            if candidate.range(&KeyRange::everything(usize::MAX)).await? == left {
                found = Some(candidate);
            }
        }
        assert!(
            found.is_some(),
            "storage holds neither what the acknowledged batches leave, nor that and whole batches more"
        );
        self.candidates.extend(found);
        Ok(())
    }
}

/// The engine under test, with what was asked of it since the last look.
pub(super) struct Recorder {
    engine: RedbEngine,
    asked: Mutex<Vec<(Batch, Option<Answer>)>>,
}

impl Recorder {
    pub(super) fn new(engine: RedbEngine) -> Self {
        Self { engine, asked: Mutex::default() }
    }

    /// Adds what was asked to `history`; finds out what of it was kept if that is open and storage answers.
    pub(super) async fn note(&self, history: &mut History) {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        for (batch, answer) in asked {
            // A caller that went away is told nothing: it may be kept or not.
            let unknown = || Err(StorageError::Disk { doing: "commit", why: "nobody waited".into() });
            history.note(batch, answer.unwrap_or_else(unknown)).await;
        }
        if history.candidates.len() > 1 {
            // Storage that is down is asked again when it is open.
            let _ = history.settle(&self.engine).await;
        }
    }

    /// The same, where storage has to answer.
    pub(super) async fn settle(&self, history: &mut History) {
        self.note(history).await;
        history.settle(&self.engine).await.unwrap();
    }
}

#[async_trait]
impl Engine for Recorder {
    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.engine.get(key).await
    }

    async fn range(&self, range: &KeyRange) -> Result<Vec<Entry>, StorageError> {
        self.engine.range(range).await
    }

    async fn commit(&self, batch: Batch) -> Result<Vec<u64>, StorageError> {
        let place = {
            let mut asked = self.asked.lock().unwrap();
            asked.push((batch.clone(), None));
            asked.len() - 1
        };
        let answer = self.engine.commit(batch).await;
        if let Some((_, place)) = self.asked.lock().unwrap().get_mut(place) {
            *place = Some(answer.clone());
        }
        answer
    }

    fn close(&self) {
        self.engine.close();
    }

    fn health(&self) -> Result<(), StorageError> {
        self.engine.health()
    }

    fn stats(&self) -> CommitStats {
        self.engine.stats()
    }
}
