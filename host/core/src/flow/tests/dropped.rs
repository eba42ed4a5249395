//! Callers that go away while what they asked for is on its way to the disk: it is kept all the same, and nobody misses it.

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::task::yield_now;

use super::*;
use crate::flow::inbox::Inbox;
use crate::storage::memory_engine::MemoryEngine;
use crate::storage::{Batch, CommitStats, Engine, Entry, KeyRange, StorageError};

/// Most steps of what is dropped here.
const POLLS_MAX: usize = 50;

/// An engine that writes by itself, as the one on a disk does: who asked may be gone before, and gets its answer later.
#[derive(Default)]
struct OwnPace(Arc<MemoryEngine>);

#[async_trait]
impl Engine for OwnPace {
    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        yield_now().await;
        self.0.get(key).await
    }

    async fn range(&self, range: &KeyRange) -> Result<Vec<Entry>, StorageError> {
        yield_now().await;
        self.0.range(range).await
    }

    async fn commit(&self, batch: Batch) -> Result<Vec<u64>, StorageError> {
        let engine = Arc::clone(&self.0);
        let written = tokio::spawn(async move {
            yield_now().await;
            let kept = engine.commit(batch).await;
            yield_now().await;
            kept
        });
        written.await.unwrap()
    }

    fn close(&self) {
        self.0.close();
    }

    fn stats(&self) -> CommitStats {
        self.0.stats()
    }
}

async fn host() -> Host {
    Host::start_over(Storage::over(Arc::<OwnPace>::default(), MasterKey::new([1; MASTER_KEY_BYTES])), 1).await
}

/// Drops `asked` after this many polls, and lets everything else come to its end; whether `asked` had come to its own.
async fn dropped_after<T>(polls: usize, asked: impl Future<Output = T>) -> bool {
    let mut asked = Box::pin(asked);
    let mut ended = false;
    for _ in 0..polls {
        ended = (&mut asked).now_or_never().is_some();
        if ended {
            break;
        }
        yield_now().await;
    }
    drop(asked);
    for _ in 0..POLLS_MAX {
        yield_now().await;
    }
    ended
}

#[tokio::test]
async fn wherever_a_caller_is_dropped_what_it_had_accepted_is_sent() {
    let mut alone = 0;
    for polls in 0..POLLS_MAX {
        let host = host().await;
        let ended = dropped_after(polls, host.intake.accept(TENANT, wish("hello"))).await;
        let (accepted, rung) = (host.outbox_depth().await, host.wakes.outbox(SESSION).notified().now_or_never());
        assert_eq!(accepted == 1, rung.is_some(), "dropped after {polls} polls");
        assert!(accepted == 1 || !ended);
        alone += usize::from(accepted == 1 && !ended);
        if ended {
            assert!(alone > 0, "it was never dropped while its message was on its way");
            return;
        }
    }
    panic!("it never came to its end");
}

#[tokio::test]
async fn what_came_in_is_told_of_once_it_comes_again_wherever_it_was_dropped_the_first_time() {
    for polls in 0..POLLS_MAX {
        let host = host().await;
        let (storage, clock, wakes) = (host.storage.clone(), host.clock.clone() as _, Arc::clone(&host.wakes));
        let inbox = Inbox { storage, clock, wakes, tenant: TENANT, session: SESSION };
        let facts = [incoming("a", "1").into()];
        let ended = dropped_after(polls, inbox.record(&facts)).await;
        let told_of = || host.wakes.tenants_with_events().now_or_never().is_some();
        if !ended {
            // It was not confirmed: the server delivers it again.
            inbox.record(&facts).await.unwrap();
        }
        assert!(told_of(), "dropped after {polls} polls");
        assert_eq!(host.storage.events(TENANT, 0, 10).await.unwrap().len(), 1);
        if ended {
            return;
        }
    }
    panic!("it never came to its end");
}
