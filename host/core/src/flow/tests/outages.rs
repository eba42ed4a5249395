//! What a log says while storage fails for a minute: that it began, and how long it was.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing::{Level, Metadata, Subscriber, span};

use super::*;
use crate::flow::outbox_worker::{OutboxWorker, Sender};
use crate::flow::schedule_worker::ScheduleWorker;
use crate::storage::memory_engine::MemoryEngine;
use crate::storage::{Batch, CommitStats, Engine, Entry, KeyRange, StorageError};

/// An engine that keeps nothing new while its disk is full; everything can be read.
#[derive(Default)]
struct FullDisk {
    inner: MemoryEngine,
    full: AtomicBool,
}

#[async_trait]
impl Engine for FullDisk {
    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.inner.get(key).await
    }

    async fn range(&self, range: &KeyRange) -> Result<Vec<Entry>, StorageError> {
        self.inner.range(range).await
    }

    async fn commit(&self, batch: Batch) -> Result<Vec<u64>, StorageError> {
        if self.full.load(Ordering::Relaxed) {
            return Err(StorageError::Disk { doing: "commit", why: "the disk is full".into() });
        }
        self.inner.commit(batch).await
    }

    fn close(&self) {
        self.inner.close();
    }

    fn stats(&self) -> CommitStats {
        self.inner.stats()
    }
}

/// Keeps the words of what is logged as an error, or with the length of an outage.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

#[derive(Default)]
struct Words {
    message: String,
    lasted_s: Option<u64>,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "lasted_s" {
            self.lasted_s = Some(value);
        }
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut words = Words::default();
        event.record(&mut words);
        if *event.metadata().level() == Level::ERROR || words.lasted_s.is_some() {
            self.0.lock().unwrap().push(words.message);
        }
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Willing;

#[async_trait]
impl Sender for Willing {
    async fn ready(&self) {}

    async fn show_typing(&self, _chat: &str) {}

    async fn send(&self, _message: &Message) -> SendOutcome {
        SendOutcome::Acknowledged
    }
}

#[tokio::test]
async fn a_minute_without_storage_is_told_when_it_begins_and_when_it_is_over() {
    let engine = Arc::new(FullDisk::default());
    let storage = Storage::over(engine.clone(), MasterKey::new([1; MASTER_KEY_BYTES]));
    let clock = Arc::new(ManualClock::at(Timestamp(1_750_000_000_000)));
    let (entropy, wakes): (Arc<dyn Entropy>, _) = (Arc::new(SeededEntropy::new(1)), Arc::new(Wakes::default()));
    let intake = Intake::new(storage.clone(), clock.clone(), Arc::clone(&entropy), Arc::clone(&wakes));
    let host =
        Host { storage: storage.clone(), clock: clock.clone(), entropy: entropy.clone(), wakes: wakes.clone(), intake };
    storage.create_session(&session(), &own_key()).await.unwrap();
    host.set_state(SessionState::Connected).await;
    host.accept_text("one").await;
    let soon = host.clock.now().plus(Duration::from_secs(5));
    let later = SendWish { schedule: Schedule { send_at: Some(soon), ..Schedule::default() }, ..wish("two") };
    host.intake.accept(TENANT, later).await.unwrap();
    engine.full.store(true, Ordering::Relaxed);

    let log = Log::default();
    let _listening = tracing::subscriber::set_default(log.clone());
    let outbox = OutboxWorker {
        storage: storage.clone(),
        clock: clock.clone(),
        entropy,
        wakes: wakes.clone(),
        tenant: TENANT,
        session: SESSION,
    };
    let timers = ScheduleWorker { storage: storage.clone(), clock: clock.clone(), wakes };
    let (_stop, stopped) = watch::channel(false);
    let minutes = async {
        for second in 0..120 {
            engine.full.store(second < 60, Ordering::Relaxed);
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            clock.advance(Duration::from_secs(1));
        }
    };
    tokio::select! {
        () = outbox.run(&Willing, stopped) => panic!("the session is there"),
        () = timers.run() => panic!("storage is not closed"),
        () = minutes => {}
    }
    assert_eq!(host.outbox_depth().await, 0, "both went out in the end");
    let mut told = log.0.lock().unwrap().clone();
    told.sort();
    let expected = [
        "the outbox cannot be read or written",
        "the outbox is read and written again",
        "timers are read and written again",
        "timers cannot be read or written",
    ];
    assert_eq!(told, expected);
}
