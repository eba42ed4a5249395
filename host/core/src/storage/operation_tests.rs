//! Whole operations over the memory engine: what each one promises to those who call it.

mod accounts;
mod blobs;
mod calls;
mod cleanup;
mod contacts;
mod events;
mod facts;
mod history;
mod kv;
mod message_log;
mod messages;
mod once;
mod parked;
mod plugin_secrets;
mod plugins;
mod quota;
mod retention;
mod seal;
mod sessions;
mod templates;
mod tenants;
mod wanted;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use super::engine::count_in;
use super::engine::{Batch, CommitStats, Engine, Entry, KeyRange};
use super::memory_engine::MemoryEngine;
use super::{Changes, MASTER_KEY_BYTES, MasterKey, NewKey, NewVersion, Storage, StorageError, Sweep, VersionKept};
use crate::clock::Timestamp;
use crate::records::account::{ApiKey, KeyKind, Tenant};
use crate::records::content::{Content, Extras};
use crate::records::event::{Event, Incoming};
use crate::records::id::{KeyId, MessageId, SessionId, TenantId};
use crate::records::message::{Message, MessageState, Receipt, Schedule};
use crate::records::plugin::{Declared, PluginVersion, VERSIONS_MAX};
use crate::records::session::{Session, SessionState};

const NOW: Timestamp = Timestamp(1_750_000_000_000);
const LATER: Timestamp = Timestamp(1_750_000_060_000);
const ACME: TenantId = TenantId(1);
const GLOBEX: TenantId = TenantId(2);
/// Ends in 0xFF, where the end of a prefix has to carry.
const SESSION: SessionId = SessionId(0x27FF);
const NEIGHBOUR: SessionId = SessionId(0x2800);

/// Lets everybody else run between what an operation read and what it commits, and fails when no commits are left.
struct TestEngine {
    inner: MemoryEngine,
    commits_left: AtomicU64,
    reads: AtomicU64,
}

#[async_trait]
impl Engine for TestEngine {
    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.get(key).await
    }

    async fn range(&self, range: &KeyRange) -> Result<Vec<Entry>, StorageError> {
        self.inner.range(range).await
    }

    async fn commit(&self, batch: Batch) -> Result<Vec<u64>, StorageError> {
        tokio::task::yield_now().await;
        let left = self.commits_left.load(Ordering::Relaxed);
        self.commits_left.store(left.saturating_sub(1), Ordering::Relaxed);
        if left == 0 { Err(StorageError::Engine("no commits are left".into())) } else { self.inner.commit(batch).await }
    }

    fn close(&self) {
        self.inner.close();
    }

    fn changes(&self) -> Option<&Changes> {
        self.inner.changes()
    }

    fn stats(&self) -> CommitStats {
        self.inner.stats()
    }
}

fn test_engine() -> Arc<TestEngine> {
    Arc::new(TestEngine { inner: MemoryEngine::default(), commits_left: AtomicU64::new(u64::MAX), reads: AtomicU64::new(0) })
}

fn master_key(n: u8) -> MasterKey {
    MasterKey::new([n; MASTER_KEY_BYTES])
}

fn storage() -> Storage {
    Storage::in_memory(master_key(1))
}

async fn storage_with_session() -> Storage {
    let storage = storage();
    add_session(&storage, ACME, SESSION).await;
    storage
}

/// Operations that run at once over this storage all read before the first of them commits.
async fn racing_storage_with_session() -> Storage {
    let storage = Storage::over(test_engine(), master_key(1));
    add_session(&storage, ACME, SESSION).await;
    storage
}

async fn add_session(storage: &Storage, tenant: TenantId, id: SessionId) {
    storage.create_session(&session(tenant, id), &own_key(tenant, id)).await.unwrap();
}

fn tenant(id: TenantId, name: &str) -> Tenant {
    Tenant {
        id,
        name: name.to_owned(),
        active: true,
        plan: "unlimited".to_owned(),
        limits: BTreeMap::new(),
        created_at: NOW,
        apis_off: Default::default(),
        hosts: Default::default(),
    }
}

fn session(tenant: TenantId, id: SessionId) -> Session {
    Session {
        id,
        tenant,
        name: "support".to_owned(),
        phone_number: "4915123456789".to_owned(),
        state: SessionState::Created,
        reason: None,
        retry_at: None,
        jid: None,
        lid: None,
        settings: serde_json::Map::new(),
        created_at: NOW,
        updated_at: NOW,
        last_active_at: None,
        test: false,
    }
}

fn key(tenant: TenantId, id: u64, kind: KeyKind, session: Option<SessionId>, text: &str) -> NewKey {
    let record = ApiKey {
        id: KeyId(id),
        tenant,
        kind,
        session,
        name: "a key".to_owned(),
        service: "whatsapp".to_owned(),
        scopes: Vec::new(),
        test: false,
        expires_at: None,
        created_at: NOW,
        sha256: String::new(),
        revoked_at: None,
        description: String::new(),
        hint: String::new(),
    };
    NewKey::new(record, text.to_owned())
}

fn own_key(tenant: TenantId, session: SessionId) -> NewKey {
    key(tenant, session.0, KeyKind::Session, Some(session), &own_key_text(tenant, session))
}

fn own_key_text(tenant: TenantId, session: SessionId) -> String {
    format!("ses_live_of_{tenant}_{session}")
}

/// A message whose WhatsApp id is `WA` and its number.
fn message(session: SessionId, id: u64) -> Message {
    Message {
        id: MessageId(id),
        session,
        to: "4915100000001@s.whatsapp.net".to_owned(),
        content: Content::Text(format!("text {id}")),
        extras: Extras::default(),
        whatsapp_id: format!("WA{id}"),
        schedule: Schedule::default(),
        batch: None,
        state: MessageState::Queued,
        reason: None,
        attempts: 0,
        accepted_at: NOW,
        updated_at: NOW,
        reached: [(MessageState::Queued, NOW)].into(),
        origin: None,
        template: None,
        test: false,
    }
}

/// The version number `n` of some plugin, whose component is [`component`].
fn version(n: u8) -> PluginVersion {
    let declared = Declared {
        interfaces: vec!["responder".to_owned()],
        event_kinds: vec!["message.received".to_owned()],
        ..Declared::default()
    };
    let version = PluginVersion::new(&format!("{n:064x}"), component(n).len() as u64, LATER, declared);
    PluginVersion { uploaded_by: Some(KeyId(7)), note: format!("upload {n}"), load_ms: 3, ..version }
}

/// The bytes of [`version`], in several parts for some.
fn component(n: u8) -> Vec<u8> {
    vec![n; if n.is_multiple_of(2) { 120_000 } else { 9 }]
}

/// Uploads and activates [`version`] number `n`.
async fn upload(storage: &Storage, tenant: TenantId, name: &str, n: u8) -> Result<VersionKept, StorageError> {
    let version = version(n);
    storage.put_artifact(tenant, &version.sha256, &component(n), version.uploaded_at).await?;
    let new = NewVersion::without_plan(tenant, name, &version);
    storage.keep_version(&new, |plugin, version| plugin.activate(version, NOW)).await
}

async fn accept(storage: &Storage, session: SessionId, ids: &[u64]) {
    for id in ids {
        storage.accept_messages(ACME, &[message(session, *id)]).await.unwrap();
    }
}

fn incoming(chat: &str, from: &str, whatsapp_id: &str) -> Incoming {
    Incoming {
        whatsapp_id: whatsapp_id.to_owned(),
        chat: chat.to_owned(),
        chat_phone: None,
        chat_lid: None,
        from: from.to_owned(),
        from_phone: None,
        from_lid: None,
        push_name: None,
        from_me: false,
        group: false,
        sent_at: NOW,
        content: Content::Text("hello".to_owned()),
        extras: Extras::default(),
    }
}

/// Records one message each, so that events 1 to `count` are `message.received`.
async fn record_events(storage: &Storage, count: usize) {
    for n in 1..=count {
        let message = incoming("chat", "from", &format!("IN{n}"));
        assert_eq!(storage.record_inbound(ACME, SESSION, NOW, &[message]).await.unwrap(), 1);
    }
}

async fn event_types(storage: &Storage, tenant: TenantId) -> Vec<&'static str> {
    all_events(storage, tenant).await.iter().map(|event| event.fact.type_name()).collect()
}

async fn all_events(storage: &Storage, tenant: TenantId) -> Vec<Event> {
    storage.events(tenant, 0, usize::MAX).await.unwrap()
}

async fn everything(storage: &Storage) -> Vec<Entry> {
    storage.engine.range(&KeyRange::everything(usize::MAX)).await.unwrap()
}

/// Whether any stored key or value has `text` in it.
async fn is_stored_somewhere(storage: &Storage, text: &str) -> bool {
    let has = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    everything(storage).await.iter().any(|(key, value)| has(key) || has(value))
}

/// What the receiver's phone says of these messages.
fn receipt_of(whatsapp_ids: &[&str], state: MessageState) -> Receipt {
    let whatsapp_ids = whatsapp_ids.iter().map(ToString::to_string).collect();
    Receipt { whatsapp_ids, from: "4915100000001@s.whatsapp.net".to_owned(), state }
}
