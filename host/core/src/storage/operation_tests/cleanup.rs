//! Deletions that take several commits: broken off after any of them, nothing of the deleted thing is seen or added to, and the
//! rest goes as if nothing had happened.

use super::*;
use crate::records::id::WebhookId;
use crate::records::plugin::{KvValue, KvWrite, Work};
use crate::records::webhook::{Attempt, Delivery, TEST_NUMBER_FIRST, WebhookEndpoint, WebhookSeal};
use crate::storage::cleanup::CLEANUP_ROWS_MAX;
use crate::storage::{DeviceTable, KvError, Replay, RunEffects, Settlement};

const TABLE: DeviceTable = DeviceTable(1);
const HOOK: WebhookId = WebhookId(50_001);
const REPLY: &str = "operator/reply";
/// Several steps of everything.
const MANY: u64 = 3 * CLEANUP_ROWS_MAX as u64 + 1;

/// What is stored, without the values: what is sealed is never sealed the same way twice.
async fn places(storage: &Storage) -> Vec<Vec<u8>> {
    everything(storage).await.into_iter().map(|(key, _)| key).collect()
}

/// Breaks `delete` off after each of its commits, and each time lets `look` see what is left before that is cleaned up.
async fn broken_off_anywhere(
    set_up: impl AsyncFn(&Storage),
    delete: impl AsyncFn(&Storage) -> bool,
    look: impl AsyncFn(&Storage),
) {
    let whole = storage();
    set_up(&whole).await;
    assert!(delete(&whole).await);
    look(&whole).await;
    let expected = places(&whole).await;
    let mut commits = 0;
    loop {
        let engine = test_engine();
        let before = Storage::over(engine.clone(), master_key(1));
        set_up(&before).await;
        engine.commits_left.store(commits, Ordering::Relaxed);
        let done = delete(&before).await;
        engine.commits_left.store(u64::MAX, Ordering::Relaxed);
        let again = Storage::over(engine, master_key(1));
        if commits > 0 {
            look(&again).await;
            assert_eq!(again.finish_cleanups().await.unwrap() > 0, !done, "after commit {commits}");
            look(&again).await;
            assert_eq!(places(&again).await, expected, "after commit {commits}");
        }
        if done {
            break;
        }
        commits += 1;
    }
    assert!(commits > 3, "it takes several commits");
}

fn poll_fact(n: u64) -> crate::records::event::NewFact {
    use crate::records::content::Person;
    let author = Person { jid: "from".to_owned(), phone: None, lid: None };
    let poll = crate::records::event::KnownPoll { options: vec!["a".to_owned()], secret: vec![1], author, at: NOW };
    let fact = crate::records::event::NewFact::from(incoming("chat", "from", &format!("IN{n}")));
    crate::records::event::NewFact { poll: Some(poll), ..fact }
}

fn acquaintance(n: u64) -> crate::records::people::Learned {
    let (phone, lid) = (Some(format!("49151{n:08}")), Some(format!("{n}@lid")));
    crate::records::people::Learned { phone, lid, ..Default::default() }
}

/// A session that has several steps of everything.
async fn busy_session(storage: &Storage) {
    add_session(storage, ACME, SESSION).await;
    add_session(storage, ACME, NEIGHBOUR).await;
    let device = storage.device(ACME, SESSION);
    for n in 0..MANY {
        let mut batch = device.batch();
        batch.put(TABLE, &n.to_be_bytes(), b"row");
        device.commit(batch).await.unwrap();
        let bound = key(ACME, 100 + n, KeyKind::Tenant, Some(SESSION), &format!("sk_live_bound_{n}"));
        storage.create_key(&bound).await.unwrap();
        storage.record_facts(ACME, SESSION, NOW, &[poll_fact(n)]).await.unwrap();
        storage.learn_contact(ACME, SESSION, NOW, &acquaintance(n), false).await.unwrap();
    }
    accept(storage, SESSION, &(1..=MANY).collect::<Vec<_>>()).await;
    for _ in 0..2 {
        let due = storage.next_due_send(ACME, SESSION).await.unwrap().unwrap();
        storage.settle_send(ACME, &due, &crate::storage::SendOutcome::Acknowledged, NOW).await.unwrap();
    }
    // Sent, and in the outbox once more: the server has it, so that it did not fail.
    assert_eq!(storage.requeue_unconfirmed(ACME, SESSION).await.unwrap(), 2);
    accept(storage, NEIGHBOUR, &[1000]).await;
    storage.create_key(&key(ACME, 3, KeyKind::Tenant, None, "sk_live_of_the_tenant")).await.unwrap();
}

fn refused<T: std::fmt::Debug>(answer: Result<T, StorageError>) {
    assert!(matches!(answer, Err(StorageError::Conflict)), "{answer:?}");
}

#[tokio::test]
async fn a_session_whose_deletion_is_broken_off_anywhere_is_gone_for_everybody_and_then_leaves_nothing() {
    let delete = async |storage: &Storage| storage.delete_session(ACME, SESSION, LATER).await.is_ok();
    broken_off_anywhere(busy_session, delete, async |storage| {
        assert_eq!(storage.session(ACME, SESSION).await.unwrap(), None);
        assert_eq!(storage.session_count(ACME).await.unwrap(), 1);
        assert_eq!(storage.sessions(ACME).await.unwrap(), [session(ACME, NEIGHBOUR)]);
        assert_eq!(storage.session_key(ACME, SESSION).await.unwrap(), None);
        for n in 0..MANY {
            assert_eq!(storage.resolve_key(&format!("sk_live_bound_{n}")).await.unwrap(), None);
            assert_eq!(storage.key(ACME, KeyId(100 + n)).await.unwrap(), None);
        }
        assert_eq!(storage.resolve_key(&own_key_text(ACME, SESSION)).await.unwrap(), None);
        assert_eq!(storage.keys(ACME).await.unwrap().len(), 2, "the neighbour's and the tenant's");
        assert!(!storage.delete_session(ACME, SESSION, LATER).await.unwrap());
        let late = &[message(SESSION, 5000)];
        refused(storage.accept_messages(ACME, late).await);
        refused(storage.record_facts(ACME, SESSION, LATER, &[poll_fact(5000)]).await);
        refused(storage.learn_contact(ACME, SESSION, LATER, &acquaintance(5000), false).await);
        refused(storage.create_key(&key(ACME, 9, KeyKind::Session, Some(SESSION), "late")).await);
        let device = storage.device(ACME, SESSION);
        let mut batch = device.batch();
        batch.put(TABLE, b"late", b"row");
        refused(device.commit(batch).await);
        assert_eq!(storage.outbox_depth(ACME, NEIGHBOUR).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_waited_in_the_outbox_of_a_deleted_session_fails_once_however_often_that_is_broken_off() {
    let engine = test_engine();
    let storage = Storage::over(engine.clone(), master_key(1));
    busy_session(&storage).await;
    engine.commits_left.store(2, Ordering::Relaxed);
    storage.delete_session(ACME, SESSION, LATER).await.unwrap_err();
    engine.commits_left.store(1, Ordering::Relaxed);
    storage.finish_cleanups().await.unwrap_err();
    engine.commits_left.store(u64::MAX, Ordering::Relaxed);
    storage.finish_cleanups().await.unwrap();
    let failed = event_types(&storage, ACME).await.into_iter().filter(|name| *name == "message.failed").count();
    assert_eq!(failed as u64, MANY - 2, "what the server has did not fail");
    for n in 1..=MANY {
        let message = storage.message(ACME, MessageId(n)).await.unwrap().unwrap();
        assert_eq!(message.state == MessageState::Failed, n > 2, "{message:?}");
    }
}

/// A device with several steps of rows.
async fn linked_device(storage: &Storage) {
    add_session(storage, ACME, SESSION).await;
    let device = storage.device(ACME, SESSION);
    for n in 0..MANY {
        let mut batch = device.batch();
        batch.put(TABLE, &n.to_be_bytes(), b"of the old device");
        device.commit(batch).await.unwrap();
    }
}

async fn link(storage: &Storage) -> Result<(), StorageError> {
    let device = storage.device(ACME, SESSION);
    let mut batch = device.batch();
    batch.put(TABLE, &0_u64.to_be_bytes(), b"of the new device");
    device.commit(batch).await
}

#[tokio::test]
async fn a_device_that_is_forgotten_by_halves_lets_no_other_in_and_takes_nothing_of_the_next() {
    let mut commits = 1;
    loop {
        let engine = test_engine();
        let storage = Storage::over(engine.clone(), master_key(1));
        linked_device(&storage).await;
        engine.commits_left.store(commits, Ordering::Relaxed);
        let done = storage.forget_device(ACME, SESSION).await.is_ok();
        engine.commits_left.store(u64::MAX, Ordering::Relaxed);
        if !done {
            refused(link(&storage).await);
            storage.finish_forgetting(ACME, SESSION).await.unwrap();
        }
        assert!(storage.device(ACME, SESSION).scan(TABLE, b"", None, 99).await.unwrap().is_empty());
        link(&storage).await.unwrap();
        assert_eq!(storage.finish_cleanups().await.unwrap(), 0);
        assert_eq!(storage.device(ACME, SESSION).scan(TABLE, b"", None, 99).await.unwrap().len(), 1);
        if done {
            break;
        }
        commits += 1;
    }
    assert!(commits > 3, "it takes several commits");
}

#[tokio::test]
async fn a_session_that_is_no_longer_linked_forgets_its_device_also_when_nobody_comes_to_ask_for_it() {
    let storage = storage();
    linked_device(&storage).await;
    let unlinked = crate::storage::SessionChange { unpaired: true, ..Default::default() };
    storage.change_session(ACME, SESSION, LATER, &unlinked).await.unwrap();
    refused(link(&storage).await);
    assert_eq!(storage.finish_cleanups().await.unwrap(), 1);
    assert!(storage.device(ACME, SESSION).scan(TABLE, b"", None, 99).await.unwrap().is_empty());
    link(&storage).await.unwrap();
}

#[tokio::test]
async fn a_cleanup_that_another_has_finished_removes_nothing_of_what_came_since() {
    let storage = Storage::over(test_engine(), master_key(1));
    linked_device(&storage).await;
    let first = storage.forget_device(ACME, SESSION);
    let second = async {
        storage.forget_device(ACME, SESSION).await?;
        link(&storage).await
    };
    // Each commit lets the other run, so that both are at the same rows all the time.
    let (first, second) = tokio::join!(first, second);
    first.unwrap();
    // The first may still have been about to forget when the second was done; then it asked anew and says so.
    let kept = storage.device(ACME, SESSION).scan(TABLE, b"", None, 99).await.unwrap().len();
    assert_eq!(kept, usize::from(second.is_ok()));
}

fn endpoint(id: WebhookId) -> WebhookEndpoint {
    WebhookEndpoint::new(id, ACME, "https://shop.example/".to_owned(), NOW)
}

fn attempt(owed: &crate::storage::OwedDelivery) -> Attempt {
    Attempt {
        n: 0,
        webhook_id: owed.delivery.webhook_id.clone(),
        event: owed.event(),
        event_name: String::new(),
        at: NOW,
        attempt: 1,
        status: Some(500),
        error: Some("no".to_owned()),
        took_ms: 1,
        answer: String::new(),
    }
}

/// An endpoint that owes, gave up and logged several steps of deliveries.
async fn busy_endpoint(storage: &Storage) {
    add_session(storage, ACME, SESSION).await;
    for id in [HOOK, WebhookId(50_002)] {
        assert!(storage.create_webhook(&endpoint(id), &WebhookSeal::default()).await.unwrap());
    }
    record_events(storage, 2 * MANY as usize).await;
    for id in [HOOK, WebhookId(50_002)] {
        storage.step_webhook(&endpoint(id), 999, NOW).await.unwrap();
    }
    for owed in storage.owed_deliveries(ACME, HOOK).await.unwrap().iter().take(MANY as usize) {
        storage.settle_delivery(ACME, HOOK, owed, &attempt(owed), Settlement::Dead).await.unwrap();
    }
}

#[tokio::test]
async fn an_endpoint_whose_deletion_is_broken_off_anywhere_is_owed_nothing_more_and_leaves_nothing() {
    let delete = async |storage: &Storage| storage.delete_webhook(ACME, HOOK).await.is_ok();
    broken_off_anywhere(busy_endpoint, delete, async |storage| {
        assert_eq!(storage.webhook(ACME, HOOK).await.unwrap(), None);
        assert_eq!(storage.webhook_seal(ACME, HOOK).await.unwrap(), None);
        assert_eq!(storage.webhooks(ACME).await.unwrap().len(), 1);
        assert!(!storage.delete_webhook(ACME, HOOK).await.unwrap());
        let step = storage.step_webhook(&endpoint(HOOK), 99, LATER).await.unwrap();
        assert_eq!((step.events, step.owed), (0, 0));
        let test = Delivery::new("test".to_owned(), None, None, LATER);
        refused(storage.owe_test(&endpoint(HOOK), TEST_NUMBER_FIRST, &test).await);
        refused(storage.replay(&endpoint(HOOK), Replay::Event { n: 1, force: false }, LATER).await);
        let owed = storage.oldest_event_owed_to_webhooks(ACME).await.unwrap();
        assert_eq!(owed, Some(1), "the other endpoint's");
        assert_eq!(storage.owed_count(ACME, WebhookId(50_002)).await.unwrap(), 2 * MANY);
    })
    .await;
}

#[tokio::test]
async fn an_attempt_that_ends_after_its_endpoint_was_deleted_is_not_written_down() {
    let storage = storage();
    busy_endpoint(&storage).await;
    let owed = storage.owed_deliveries(ACME, HOOK).await.unwrap().remove(0);
    assert!(storage.delete_webhook(ACME, HOOK).await.unwrap());
    let before = everything(&storage).await;
    refused(storage.settle_delivery(ACME, HOOK, &owed, &attempt(&owed), Settlement::Done).await);
    assert_eq!(everything(&storage).await, before);
}

/// The operator's responder, which owes and has parked several steps of runs to two tenants.
async fn busy_plugin(storage: &Storage) {
    for (tenant, session) in [(ACME, SESSION), (GLOBEX, NEIGHBOUR)] {
        storage.create_tenant(&super::tenant(tenant, "a tenant")).await.unwrap();
        add_session(storage, tenant, session).await;
        for n in 0..2 * MANY {
            storage.record_facts(tenant, session, NOW, &[poll_fact(n)]).await.unwrap();
        }
        storage.step_cursor(tenant, REPLY, None, 999, NOW, |_| true).await.unwrap();
        for run in storage.owed_runs(tenant, REPLY, MANY as usize).await.unwrap() {
            let tried = Work { tries: 8, due_at: NOW, last_error: None };
            storage.park_run(tenant, REPLY, &run, &tried).await.unwrap();
        }
    }
    upload(storage, TenantId::OPERATOR, "reply", 1).await.unwrap();
    upload(storage, TenantId::OPERATOR, "reply", 2).await.unwrap();
    for tenant in [TenantId::OPERATOR, ACME, GLOBEX] {
        for n in 0..MANY {
            storage.kv(tenant, REPLY, u64::MAX).write(&format!("k{n}"), kept(n), None, NOW).await.unwrap();
        }
    }
}

/// Something that a plugin keeps; every other one for a time.
fn kept(n: u64) -> KvWrite {
    KvWrite::Put(KvValue { bytes: vec![1; 9], expires_at: n.is_multiple_of(2).then_some(LATER) })
}

#[tokio::test]
async fn a_plugin_whose_deletion_is_broken_off_anywhere_is_gone_and_leaves_no_run() {
    let delete = async |storage: &Storage| storage.delete_plugin(TenantId::OPERATOR, "reply", REPLY).await.is_ok();
    broken_off_anywhere(busy_plugin, delete, async |storage| {
        assert_eq!(storage.plugin(TenantId::OPERATOR, "reply").await.unwrap(), None);
        assert!(!storage.delete_plugin(TenantId::OPERATOR, "reply", REPLY).await.unwrap());
        let late = storage.kv(ACME, REPLY, u64::MAX).write("late", kept(1), None, NOW).await;
        assert!(matches!(late, Err(KvError::PluginGone)), "{late:?}");
    })
    .await;
}

#[tokio::test]
async fn a_plugin_of_the_same_name_waits_until_nothing_is_left_of_the_first() {
    let engine = test_engine();
    let storage = Storage::over(engine.clone(), master_key(1));
    busy_plugin(&storage).await;
    let run = storage.owed_runs(GLOBEX, REPLY, 1).await.unwrap().remove(0);
    engine.commits_left.store(2, Ordering::Relaxed);
    storage.delete_plugin(TenantId::OPERATOR, "reply", REPLY).await.unwrap_err();
    engine.commits_left.store(u64::MAX, Ordering::Relaxed);
    let step = storage.step_cursor(ACME, REPLY, None, 99, LATER, |_| true).await.unwrap();
    assert_eq!(step.events, 0, "one that still ran owes nothing more");
    for tenant in [ACME, GLOBEX] {
        storage.start_cursor_at_end(tenant, REPLY).await.unwrap();
        assert!(storage.owed_runs(tenant, REPLY, 99).await.unwrap().is_empty());
        assert!(storage.parked_runs(tenant, REPLY, 0, 99).await.unwrap().is_empty());
        assert_eq!(storage.step_cursor(tenant, REPLY, None, 99, LATER, |_| true).await.unwrap().events, 0);
    }
    refused(storage.settle_run(GLOBEX, REPLY, &run, &RunEffects::default()).await);
}

#[tokio::test]
async fn no_commit_of_a_deletion_removes_more_than_a_few_rows() {
    let engine = Arc::new(WidestCommit { inner: MemoryEngine::default(), rows: AtomicU64::new(0) });
    let storage = Storage::over(engine.clone(), master_key(1));
    busy_session(&storage).await;
    busy_plugin_and_endpoint(&storage).await;
    engine.rows.store(0, Ordering::Relaxed);
    assert!(storage.delete_session(ACME, SESSION, LATER).await.unwrap());
    assert!(storage.delete_webhook(ACME, HOOK).await.unwrap());
    let widest = engine.rows.load(Ordering::Relaxed);
    // A message that fails has two places in the outbox, its record, and its event with two counts.
    assert!((16..=24).contains(&widest), "{widest} writes in one commit");
}

async fn busy_plugin_and_endpoint(storage: &Storage) {
    assert!(storage.create_webhook(&endpoint(HOOK), &WebhookSeal::default()).await.unwrap());
    storage.record_facts(ACME, SESSION, NOW, &(100..100 + MANY).map(poll_fact).collect::<Vec<_>>()).await.unwrap();
    storage.step_webhook(&endpoint(HOOK), 999, NOW).await.unwrap();
}

/// Notes how many writes the largest commit had; one that removes a whole prefix is larger than any.
struct WidestCommit {
    inner: MemoryEngine,
    rows: AtomicU64,
}

#[async_trait]
impl Engine for WidestCommit {
    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.inner.get(key).await
    }

    async fn range(&self, range: &KeyRange) -> Result<Vec<Entry>, StorageError> {
        self.inner.range(range).await
    }

    async fn commit(&self, batch: Batch) -> Result<Vec<u64>, StorageError> {
        let prefix = batch.writes.iter().any(|write| matches!(write, crate::storage::engine::Write::DeletePrefix { .. }));
        self.rows.fetch_max(if prefix { u64::MAX } else { batch.writes.len() as u64 }, Ordering::Relaxed);
        self.inner.commit(batch).await
    }

    fn close(&self) {
        self.inner.close();
    }

    fn stats(&self) -> CommitStats {
        self.inner.stats()
    }
}
