//! What responders keep is kept with what they send, or not at all.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;
use crate::flow::responder_worker::{Command, RUN_TRIES_MAX, ResponderWorker, Responders, RunAnswer, RunTry, Subscription};
use crate::records::event::Event;
use crate::records::plugin::{Declared, Grants, KvValue, KvWrite, PluginVersion, SendGrant, SessionGrant};
use crate::storage::{KvEffects, KvStorage, NewVersion};

const COUNTER: &str = "operator/counter";

/// Counts messages, and answers with how many there were.
struct Counter {
    kv: KvStorage,
    clock: Arc<ManualClock>,
    /// Under which key.
    key: fn(&Event) -> String,
    /// Another writes its key before each run ends.
    disturbed: bool,
    runs: AtomicUsize,
}

fn number(value: Option<KvValue>) -> u64 {
    value.map_or(0, |value| String::from_utf8(value.bytes).unwrap().parse().unwrap())
}

fn kept(n: u64) -> KvWrite {
    KvWrite::Put(KvValue { bytes: n.to_string().into_bytes(), expires_at: None })
}

#[async_trait]
impl Responders for Counter {
    fn subscriptions(&self, _tenant: TenantId) -> Vec<Subscription> {
        let send = Some(SendGrant { per_minute: 100_000 });
        let grants = Arc::new(Grants { send, sessions: SessionGrant::All, ..Grants::default() });
        vec![Subscription {
            name: COUNTER.to_owned(),
            event_types: vec!["message.received".to_owned()],
            narrowing: Arc::default(),
            grants,
            plugin: None,
        }]
    }

    async fn run(&self, _: TenantId, _: &str, _: &RunTry<'_>, event: &Event) -> Result<RunAnswer, String> {
        let (mut kv, key, now) = (KvEffects::default(), (self.key)(event), self.clock.now());
        let run = self.runs.fetch_add(1, Ordering::Relaxed) as u64;
        let n = 1 + number(self.kv.get(&key, Some(&mut kv), now).await.map_err(|error| error.to_string())?);
        tokio::task::yield_now().await;
        if self.disturbed {
            self.kv.write(&key, kept(1000 + run), None, now).await.map_err(|error| error.to_string())?;
        }
        self.kv.write(&key, kept(n), Some(&mut kv), now).await.map_err(|error| error.to_string())?;
        let (content, extras) = (Content::Text(n.to_string()), Extras::default());
        let command = Command { session: None, to: NUMBER.to_owned(), content, extras, schedule: Schedule::default() };
        Ok(RunAnswer { commands: vec![command], kv, ends_chain: false })
    }
}

impl Host {
    /// A host with a plugin that may keep something, and to which these chats have written.
    async fn start_with_counter(chats: impl Iterator<Item = String>) -> Self {
        let host = Self::start().await;
        let version = PluginVersion::new(&"0".repeat(64), 4, host.clock.now(), Declared::default());
        host.storage.put_artifact(TenantId::OPERATOR, &version.sha256, b"code", host.clock.now()).await.unwrap();
        let new = NewVersion::without_plan(TenantId::OPERATOR, "counter", &version);
        host.storage.keep_version(&new, |_, _| ()).await.unwrap();
        for (n, chat) in chats.enumerate() {
            host.receive(&chat, &format!("IN{n}")).await;
        }
        host
    }

    fn counter(&self, bytes_max: u64, key: fn(&Event) -> String) -> Counter {
        let kv = self.storage.kv(TENANT, COUNTER, bytes_max);
        Counter { kv, clock: self.clock.clone(), key, disturbed: false, runs: AtomicUsize::new(0) }
    }

    fn worker_of(&self, counter: &Arc<Counter>) -> ResponderWorker {
        ResponderWorker {
            storage: self.storage.clone(),
            clock: self.clock.clone(),
            entropy: Arc::clone(&self.entropy),
            wakes: Arc::clone(&self.wakes),
            intake: self.intake.clone(),
            responders: counter.clone(),
        }
    }

    async fn count_under(&self, counter: &Counter, key: &str) -> u64 {
        number(counter.kv.get(key, None, self.clock.now()).await.unwrap())
    }

    async fn numbers_sent(&self) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.drain_outbox().await.iter().map(|sent| text_of(sent).parse().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    }
}

fn one_key(_: &Event) -> String {
    "all".to_owned()
}

fn chat_of(event: &Event) -> String {
    event.fact.chat().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn runs_of_many_chats_that_count_under_one_key_answer_with_every_number_once() {
    let host = Host::start_with_counter((0..40).map(|n| format!("chat {}", n % 20))).await;
    let counter = Arc::new(host.counter(1000, one_key));
    assert_eq!(host.worker_of(&counter).serve(TENANT).await.unwrap(), None);
    assert_eq!(host.numbers_sent().await, (1..=40).collect::<Vec<_>>());
    assert_eq!(host.count_under(&counter, "all").await, 40);
    assert!(counter.runs.load(Ordering::Relaxed) > 40, "those that met were repeated");
}

#[tokio::test]
async fn runs_that_count_under_keys_of_their_own_do_not_meet() {
    let host = Host::start_with_counter((0..40).map(|n| format!("chat {}", n % 20))).await;
    let counter = Arc::new(host.counter(1000, chat_of));
    assert_eq!(host.worker_of(&counter).serve(TENANT).await.unwrap(), None);
    assert_eq!(host.count_under(&counter, "chat 7").await, 2);
    assert_eq!(counter.runs.load(Ordering::Relaxed), 40);
}

#[tokio::test]
async fn a_run_that_is_cut_off_before_its_end_keeps_nothing_and_counts_once_when_it_is_repeated() {
    let host = Host::start_with_counter(std::iter::once("a chat".to_owned())).await;
    let counter = Arc::new(host.counter(1000, one_key));
    // It yields between reading and writing.
    let worker = host.worker_of(&counter);
    assert!(futures_util::FutureExt::now_or_never(worker.serve(TENANT)).is_none());
    assert_eq!((host.count_under(&counter, "all").await, host.outbox_depth().await), (0, 0));
    worker.serve(TENANT).await.unwrap();
    assert_eq!((host.count_under(&counter, "all").await, host.numbers_sent().await), (1, vec![1]));
    assert_eq!(counter.runs.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_run_whose_reads_others_keep_changing_is_put_off_after_a_bounded_number_of_repeats() {
    let host = Host::start_with_counter(std::iter::once("a chat".to_owned())).await;
    let counter = Arc::new(Counter { disturbed: true, ..host.counter(1000, one_key) });
    assert!(host.worker_of(&counter).serve(TENANT).await.unwrap().is_some(), "it is tried again later");
    assert_eq!(counter.runs.load(Ordering::Relaxed), 33);
    let owed = host.storage.owed_runs(TENANT, COUNTER, 9).await.unwrap();
    assert_eq!((owed.len(), owed[0].work.tries), (1, 1));
    let why = owed[0].work.last_error.as_deref().unwrap();
    assert_eq!(why, "what it reads in kv was changed by others 33 times");
    assert_eq!((host.outbox_depth().await, host.count_under(&counter, "all").await), (0, 1032));
}

#[tokio::test]
async fn a_run_without_room_for_what_it_writes_sends_nothing_and_is_parked_with_the_figures() {
    let host = Host::start_with_counter(std::iter::once("a chat".to_owned())).await;
    let counter = Arc::new(host.counter(3, one_key));
    let worker = host.worker_of(&counter);
    while let Some(wake) = worker.serve(TENANT).await.unwrap() {
        host.clock.advance(wake.since(host.clock.now()));
    }
    let parked = host.storage.parked_runs(TENANT, COUNTER, 0, 9).await.unwrap();
    assert_eq!((parked.len(), parked[0].work.tries), (1, RUN_TRIES_MAX));
    assert_eq!(parked[0].work.last_error.as_deref(), Some("0 of 3 bytes are used"));
    assert_eq!((host.outbox_depth().await, host.count_under(&counter, "all").await), (0, 0));
}
