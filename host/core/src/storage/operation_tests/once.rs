//! Idempotency keys: whatever fails in between, and however often a request is repeated, what it asks for is made once.

use futures_util::future::join_all;

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::entropy::SeededEntropy;
use crate::flow::intake::{BatchWish, Intake, IntakeError, SendWish};
use crate::flow::wakes::Wakes;
use crate::records::once::{KeptAnswer, ONCE_KEPT, Once, OnceKey};
use crate::storage::SessionChange;

/// An engine of which one commit fails: before it is kept, or after that, when only the word of it is lost.
struct BreakingEngine {
    inner: MemoryEngine,
    commits_left: AtomicU64,
    kept: bool,
}

#[async_trait]
impl Engine for BreakingEngine {
    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.inner.get(key).await
    }

    async fn range(&self, range: &KeyRange) -> Result<Vec<Entry>, StorageError> {
        self.inner.range(range).await
    }

    async fn commit(&self, batch: Batch) -> Result<Vec<u64>, StorageError> {
        let left = self.commits_left.load(Ordering::Relaxed);
        self.commits_left.store(left.wrapping_sub(1), Ordering::Relaxed);
        let broken = || StorageError::Engine("the power went off".into());
        match (left, self.kept) {
            (0, false) => Err(broken()),
            (0, true) => self.inner.commit(batch).await.and(Err(broken())),
            _ => self.inner.commit(batch).await,
        }
    }

    fn close(&self) {
        self.inner.close();
    }

    fn stats(&self) -> CommitStats {
        self.inner.stats()
    }
}

struct Stage {
    storage: Storage,
    clock: Arc<ManualClock>,
    intake: Intake,
}

async fn stage_over(engine: Arc<dyn Engine>) -> Stage {
    let storage = Storage::over(engine, master_key(1));
    storage.create_tenant(&tenant(ACME, "Acme")).await.unwrap();
    add_session(&storage, ACME, SESSION).await;
    let connected = SessionChange::state(SessionState::Connected, None);
    storage.change_session(ACME, SESSION, NOW, &connected).await.unwrap();
    let clock = Arc::new(ManualClock::at(NOW));
    let entropy = Arc::new(SeededEntropy::new(5));
    let intake = Intake::new(storage.clone(), clock.clone(), entropy, Arc::new(Wakes::default()));
    Stage { storage, clock, intake }
}

async fn stage() -> Stage {
    stage_over(Arc::new(MemoryEngine::default())).await
}

fn once_key(text: &str) -> OnceKey {
    OnceKey::new(ACME, None, text)
}

/// A request under the key `order-1`, as a host sees it anew each time that it comes.
fn request(body: &str) -> Once {
    Once::new(once_key("order-1"), &[body.as_bytes()])
}

fn wish(text: &str) -> SendWish {
    SendWish {
        session: SESSION,
        to: "4915100000001".to_owned(),
        content: Content::Text(text.to_owned()),
        extras: Extras::default(),
        schedule: Schedule::default(),
        origin: None,
        by: None,
    }
}

impl Stage {
    /// What a request that sends two messages, a batch of two and two together does, up to its first failure.
    async fn serve(&self, once: &Once) -> Result<Vec<MessageId>, IntakeError> {
        let mut ids = Vec::new();
        for text in ["one", "two"] {
            ids.push(self.intake.accept_once(ACME, wish(text), Some(once)).await?.id);
        }
        // The second of them is refused, now and whenever it is repeated.
        let messages = ["three", " ", "four"].map(wish).to_vec();
        let batch = BatchWish { session: SESSION, name: None, messages };
        let batch = self.intake.accept_batch_once(ACME, batch, Some(once)).await?;
        assert!(matches!(batch.results[1], Err(IntakeError::Invalid { field: "text", .. })), "{batch:?}");
        ids.extend(batch.results.into_iter().filter_map(|result| Some(result.ok()??.id)));
        let together = self.intake.accept_all_once(ACME, ["five", "six"].map(wish).to_vec(), Some(once)).await?;
        ids.extend(together.iter().map(|message| message.id));
        self.storage.keep_answer(&once.key, &answer(once, self.clock.now())).await?;
        Ok(ids)
    }

    async fn texts(&self) -> Vec<String> {
        let mut messages = self.storage.messages(ACME, None, usize::MAX).await.unwrap();
        messages.reverse();
        let text = |message: Message| if let Content::Text(text) = message.content { text } else { String::new() };
        let mut texts: Vec<String> = messages.into_iter().map(text).collect();
        texts.sort_unstable();
        texts
    }
}

fn answer(once: &Once, at: Timestamp) -> KeptAnswer {
    KeptAnswer { fingerprint: once.fingerprint.clone(), status: 202, headers: Vec::new(), body: "{}".to_owned(), at }
}

#[tokio::test]
async fn a_request_that_broke_off_at_any_commit_makes_the_rest_and_nothing_twice_when_it_is_repeated() {
    const COMMITS: u64 = 5;
    for (failing, kept) in (0..COMMITS).flat_map(|failing| [(failing, false), (failing, true)]) {
        let engine =
            Arc::new(BreakingEngine { inner: MemoryEngine::default(), commits_left: AtomicU64::new(u64::MAX), kept });
        let stage = stage_over(engine.clone()).await;
        engine.commits_left.store(failing, Ordering::Relaxed);
        stage.serve(&request("a")).await.expect_err("the power went off");
        engine.commits_left.store(u64::MAX, Ordering::Relaxed);
        let repeated = stage.serve(&request("a")).await.unwrap();
        assert_eq!(stage.texts().await, ["five", "four", "one", "six", "three", "two"], "commit {failing}, kept: {kept}");
        assert_eq!(stage.serve(&request("a")).await.unwrap(), repeated, "commit {failing}, kept: {kept}");
        assert_eq!(stage.storage.outbox_depth(ACME, SESSION).await.unwrap(), 6);
    }
}

#[tokio::test]
async fn a_request_that_comes_many_times_at_once_sends_once() {
    let engine = test_engine();
    let stage = stage_over(engine).await;
    let once = [(); 16].map(|()| request("a"));
    let all = join_all(once.iter().map(|once| stage.intake.accept_once(ACME, wish("hello"), Some(once)))).await;
    let ids: Vec<MessageId> = all.into_iter().map(|accepted| accepted.unwrap().id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(stage.texts().await, ["hello"]);
}

#[tokio::test]
async fn a_key_belongs_to_its_tenant_and_to_the_session_of_its_caller() {
    let stage = stage().await;
    for session in [None, Some(SESSION), Some(NEIGHBOUR)] {
        let once = Once::new(OnceKey::new(ACME, session, "order-1"), &[b"a"]);
        stage.intake.accept_once(ACME, wish("hello"), Some(&once)).await.unwrap();
    }
    assert_eq!(stage.texts().await.len(), 3);
    let foreign = OnceKey::new(GLOBEX, None, "order-1");
    assert_eq!(stage.storage.once_mark(&foreign, 0, NOW).await.unwrap(), None);
}

#[tokio::test]
async fn a_refused_wish_leaves_no_trace_of_its_key() {
    let stage = stage().await;
    let before = everything(&stage.storage).await;
    stage.intake.accept_once(ACME, wish(" "), Some(&request("a"))).await.unwrap_err();
    assert_eq!(everything(&stage.storage).await, before);
    stage.intake.accept_once(ACME, wish("hello"), Some(&request("b"))).await.unwrap();
}

#[tokio::test]
async fn a_key_is_free_again_after_24_hours_and_not_a_moment_earlier() {
    let stage = stage().await;
    let first = stage.intake.accept_once(ACME, wish("hello"), Some(&request("a"))).await.unwrap();
    stage.storage.keep_answer(&once_key("order-1"), &answer(&request("a"), NOW)).await.unwrap();
    stage.clock.advance(ONCE_KEPT - std::time::Duration::from_millis(1));
    let now = stage.clock.now();
    assert_eq!(stage.intake.accept_once(ACME, wish("hello"), Some(&request("a"))).await.unwrap().id, first.id);
    assert!(stage.storage.kept_answer(&once_key("order-1"), now).await.unwrap().is_some());

    stage.clock.advance(std::time::Duration::from_millis(1));
    assert_eq!(stage.storage.kept_answer(&once_key("order-1"), stage.clock.now()).await.unwrap(), None);
    let second = stage.intake.accept_once(ACME, wish("hello again"), Some(&request("b"))).await.unwrap();
    assert_ne!(first.id, second.id);
}

#[tokio::test]
async fn a_sweep_forgets_what_is_over_and_keeps_what_was_used_since() {
    let stage = stage().await;
    let nothing = everything(&stage.storage).await.len();
    let traces = async || {
        let messages = stage.storage.messages(ACME, None, usize::MAX).await.unwrap().len();
        everything(&stage.storage).await.len() - nothing - messages
    };
    let sweep = async || {
        let mut swept = 0;
        loop {
            match stage.storage.sweep_once(ACME, stage.clock.now()).await.unwrap() {
                0 => return swept,
                some => swept += some,
            }
        }
    };
    for n in 0..600 {
        let key = once_key(&format!("key {n}"));
        stage.storage.keep_answer(&key, &answer(&request("a"), NOW)).await.unwrap();
    }
    let kept = traces().await;
    stage.clock.advance(ONCE_KEPT);
    let again = Once::new(once_key("key 7"), &[b"b"]);
    stage.storage.keep_answer(&again.key, &answer(&again, stage.clock.now())).await.unwrap();
    assert_eq!((kept, sweep().await), (1200, 600));
    assert_eq!(traces().await, 2, "the key that was used again");
    assert!(stage.storage.kept_answer(&again.key, stage.clock.now()).await.unwrap().is_some());
    assert_eq!(sweep().await, 0);
}

#[tokio::test]
async fn a_key_with_more_steps_than_one_commit_removes_is_forgotten_all_the_same() {
    let stage = stage().await;
    let nothing = everything(&stage.storage).await.len();
    let once = request("a");
    for n in 0..600 {
        let step = once.next_step();
        let acceptance =
            crate::storage::Acceptance { messages: vec![message(SESSION, n)], once: Some(step), ..Default::default() };
        stage.storage.accept(ACME, &acceptance).await.unwrap();
    }
    let due = async || {
        stage.storage.delete_session(ACME, SESSION, NOW).await.unwrap();
        everything(&stage.storage).await.len()
    };
    let with_marks = due().await;
    assert!(with_marks > nothing);
    let at = NOW.plus(ONCE_KEPT);
    assert_eq!(stage.storage.sweep_once(ACME, at).await.unwrap(), 1);
    assert_eq!(with_marks - everything(&stage.storage).await.len(), 601, "its marks and its place in the order of use");
    assert_eq!(stage.storage.sweep_once(ACME, at).await.unwrap(), 0);
}
