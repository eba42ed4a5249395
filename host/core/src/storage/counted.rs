//! Counts what became durable, for whoever watches the host. Counts begin at zero with the process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::StorageError;
use super::changes::Changes;
use super::engine::{Batch, CommitStats, Engine, Entry, KeyRange};

/// What is counted. None of it names a tenant, a session or a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    /// An event of this type was recorded.
    Event(&'static str),
    /// A message was accepted.
    MessageAccepted,
    /// A message was handed to WhatsApp and has to be sent again.
    MessageSentAgain,
    /// A webhook was tried, and the receiver took it.
    WebhookTaken,
    /// A webhook was tried, and is to be tried again or has no tries left.
    WebhookFailed,
    /// A responder's run ended well.
    RunKept,
    /// A responder's run failed and is to be tried again.
    RunPutOff,
    /// A responder's run was parked.
    RunParked,
    /// One that was parked is to run anew.
    RunReleased,
    /// One that was parked was dropped.
    RunDropped,
}

/// An engine whose commits are counted once they are kept.
pub(super) struct CountingEngine {
    engine: Arc<dyn Engine>,
    counts: Mutex<BTreeMap<Counted, u64>>,
}

impl CountingEngine {
    pub(super) fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, counts: Mutex::default() }
    }

    pub(super) fn counts(&self) -> BTreeMap<Counted, u64> {
        self.counts.lock().map(|counts| counts.clone()).unwrap_or_default()
    }
}

#[async_trait]
impl Engine for CountingEngine {
    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.engine.get(key).await
    }

    async fn range(&self, range: &KeyRange) -> Result<Vec<Entry>, StorageError> {
        self.engine.range(range).await
    }

    async fn commit(&self, mut batch: Batch) -> Result<Vec<u64>, StorageError> {
        let counted = std::mem::take(&mut batch.counted);
        let numbers = self.engine.commit(batch).await?;
        if let Ok(mut counts) = self.counts.lock() {
            for what in counted {
                *counts.entry(what).or_default() += 1;
            }
        }
        Ok(numbers)
    }

    fn close(&self) {
        self.engine.close();
    }

    fn health(&self) -> Result<(), StorageError> {
        self.engine.health()
    }

    fn changes(&self) -> Option<&Changes> {
        self.engine.changes()
    }

    fn stats(&self) -> CommitStats {
        self.engine.stats()
    }
}

#[cfg(test)]
mod tests {
    use super::super::engine::Check;
    use super::super::memory_engine::MemoryEngine;
    use super::*;

    #[tokio::test]
    async fn only_what_was_kept_is_counted() {
        let engine = CountingEngine::new(Arc::new(MemoryEngine::default()));
        let once = || {
            let mut batch = Batch::default();
            batch.check(Check::Absent { key: b"k".to_vec() });
            batch.put(b"k".to_vec(), b"v".to_vec());
            batch.count(Counted::MessageAccepted);
            batch.count(Counted::Event("message.received"));
            batch.count(Counted::Event("message.received"));
            batch
        };
        engine.commit(once()).await.unwrap();
        assert!(matches!(engine.commit(once()).await, Err(StorageError::Conflict)));
        let counts: Vec<_> = engine.counts().into_iter().collect();
        assert_eq!(counts, [(Counted::Event("message.received"), 2), (Counted::MessageAccepted, 1)]);
    }
}
