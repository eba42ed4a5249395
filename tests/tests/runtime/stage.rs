//! A runtime with small limits, the hostile guest in it, and host verbs that remember who called them.

mod fetch;
mod people;
mod state;
mod webhooks;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use switchboard_core::clock::Timestamp;
use switchboard_core::flow::responder_worker::{Command, RunTry};
use switchboard_core::records::account::{KeyKind, Principal};
use switchboard_core::records::blob::Blob;
use switchboard_core::records::content::{Content, Extras};
use switchboard_core::records::event::Event;
use switchboard_core::records::id::{BatchId, KeyId, MessageId, SessionId, TenantId};
use switchboard_core::records::message::{ApiLimits, Message, Schedule};
use switchboard_core::records::message_log::{Direction, LogPage, LogQuery};
use switchboard_core::records::once::Once;
use switchboard_core::records::session::{Session, SessionState};
use switchboard_core::storage::{BatchProgress, MASTER_KEY_BYTES, MasterKey, Storage};
use switchboard_runtime::types::{Request, Response};
use switchboard_runtime::verbs::{
    AccountInfo, AccountKey, BatchOutcome, LimitStanding, LinkCode, LinkVerbs, MediaVerbs, NewAccountKey, NewBatch,
    NewMessage, NewSession, NewSettings, QrCode, VerbError, Verbs,
};
use switchboard_runtime::{
    CallContext, CallLimits, Called, ClassSettings, Compiler, LoadedPlugin, Outcome, Owner, Runtime, RuntimeSettings,
};
use switchboard_tests::records::CHAT;
pub use switchboard_tests::records::{NOW_MS, heard};
use tokio::sync::OnceCell;

/// The session about which the host never answers.
const HANGING: SessionId = SessionId(1);

/// Small enough that a test breaks them soon. A host call may take longer than a guest may compute.
pub fn limits() -> CallLimits {
    CallLimits {
        cpu: Duration::from_millis(200),
        wall: Duration::from_millis(1000),
        host_call: Duration::from_millis(300),
        queue: Duration::from_millis(200),
        memory_bytes_max: 32 * 1024 * 1024,
        host_call_bytes_max: 1024 * 1024,
        host_calls_max: 1024,
        log_bytes_max: 4096,
        output_bytes_max: 256 * 1024,
        ..CallLimits::default()
    }
}

/// A runtime that keeps no compiled code.
pub fn settings(places: u32) -> RuntimeSettings {
    let small = ClassSettings { places, limits: limits(), ..ClassSettings::small() };
    let large = ClassSettings { places: 2, ..ClassSettings::large() };
    RuntimeSettings {
        small,
        large,
        compiler: Compiler::InProcess,
        cache_folder: None,
        cache_key: [7; 32],
        remembered_max: 0,
    }
}

/// A runtime for loading: nobody calls its verbs.
pub fn runtime(settings: RuntimeSettings) -> Runtime {
    Runtime::new(settings, Arc::new(FakeVerbs::default())).unwrap()
}

/// The bytes of a component that the build script built.
pub use switchboard_tests::components::bytes as component;

/// A call for `principal` with `config`.
pub fn context(principal: Option<Principal>, config: &str) -> CallContext {
    let tenant = principal.as_ref().map_or(TenantId(7), |principal| principal.tenant);
    let plugin = Arc::from("operator/guest");
    CallContext {
        tenant,
        principal,
        plugin,
        made_at: Timestamp(NOW_MS),
        config: Arc::from(config),
        grants: Arc::default(),
        figures: Arc::default(),
        now_ms: NOW_MS,
        once: None,
    }
}

/// The holder of a tenant's key.
pub fn principal(tenant: u64) -> Principal {
    Principal {
        tenant: TenantId(tenant),
        key: KeyId(99),
        kind: KeyKind::Tenant,
        session: None,
        scopes: vec!["sessions:read".to_owned()],
        test: false,
        acting: None,
    }
}

/// The command that sends `text` back.
pub fn said(text: &str) -> Command {
    let (content, extras) = (Content::Text(text.to_owned()), Extras::default());
    Command { session: None, to: CHAT.to_owned(), content, extras, schedule: Schedule::default() }
}

/// A session that is connected.
pub fn session(id: SessionId, tenant: TenantId) -> Session {
    Session {
        id,
        tenant,
        name: "Shop".to_owned(),
        phone_number: "15550100009".to_owned(),
        state: SessionState::Connected,
        reason: None,
        retry_at: None,
        jid: None,
        lid: None,
        settings: serde_json::Map::new(),
        created_at: Timestamp(NOW_MS),
        updated_at: Timestamp(NOW_MS),
        last_active_at: None,
        test: false,
    }
}

/// A runtime and the hostile guest in it.
pub struct Stage {
    pub runtime: Runtime,
    pub plugin: LoadedPlugin,
    pub verbs: Arc<FakeVerbs>,
}

impl Stage {
    pub async fn new(settings: RuntimeSettings) -> Self {
        Self::with(settings, &component(env!("GUEST_HOSTILE"))).await
    }

    /// The same with this component.
    pub async fn with(settings: RuntimeSettings, component: &[u8]) -> Self {
        let verbs = Arc::new(FakeVerbs::default());
        let shared: Arc<dyn Verbs> = verbs.clone();
        let runtime = Runtime::new(settings, shared).unwrap();
        let plugin = runtime.load(component, Owner::Tenant, &context(None, "{}")).await.unwrap();
        Self { runtime, plugin, verbs }
    }

    /// The stage that most tests share: whatever one of them does, the others go on. It has places for all of them.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Stage> = OnceCell::const_new();
        SHARED.get_or_init(|| Self::new(settings(64))).await
    }

    /// Lets the responder answer a message.
    pub async fn respond(&self, text: &str) -> Called<Vec<Command>> {
        let run = RunTry { id: "run-1", attempt: 1 };
        let called = self.runtime.respond(&self.plugin, &context(None, "{}"), &run, &heard(text)).await;
        called.and_then(|answer| Outcome::Reply(answer.commands))
    }

    /// Lets the router answer a request.
    pub async fn ask(&self, method: &str, path: &str, principal: Option<Principal>, body: &[u8]) -> Called<Response> {
        self.ask_in(&context(principal, "{}"), method, path, body).await
    }

    /// The same for a call like this.
    pub async fn ask_in(&self, context: &CallContext, method: &str, path: &str, body: &[u8]) -> Called<Response> {
        let route = self.plugin.routes.iter().position(|route| route.method == method && route.path == path).unwrap();
        let request = Request {
            route: u32::try_from(route).unwrap(),
            method: method.to_owned(),
            path: path.to_owned(),
            body: body.to_vec(),
            principal: context.principal.clone(),
            request_id: "request-1".to_owned(),
            now_ms: context.now_ms,
            ..Request::default()
        };
        self.runtime.handle(&self.plugin, context, &request).await
    }

    /// The runtime still answers, in a store that nobody used before.
    pub async fn assert_well(&self) {
        assert_eq!(self.respond("good day").await.outcome, Outcome::Reply(vec![said("good day")]));
        assert_eq!(self.respond("static-counter").await.outcome, Outcome::Reply(vec![said("1")]));
    }
}

/// A host that knows every session, says nothing about [`HANGING`], and remembers who asked.
pub struct FakeVerbs {
    fetched: Mutex<Vec<(u64, switchboard_runtime::verbs::FetchRequest)>>,
    asked: Mutex<Vec<(TenantId, SessionId)>>,
    /// What plugins keep.
    pub storage: Storage,
}

impl Default for FakeVerbs {
    fn default() -> Self {
        let storage = Storage::in_memory(MasterKey::new([1; MASTER_KEY_BYTES]));
        Self { fetched: Mutex::default(), asked: Mutex::default(), storage }
    }
}

impl FakeVerbs {
    /// The sessions that a tenant asked for.
    pub fn asked_by(&self, tenant: u64) -> Vec<u64> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(by, _)| by.0 == tenant).map(|(_, session)| session.0).collect()
    }
}

#[async_trait]
impl Verbs for FakeVerbs {
    async fn sessions(&self, _caller: &Principal) -> Result<Vec<Session>, VerbError> {
        Ok(Vec::new())
    }

    async fn session(&self, caller: &Principal, id: SessionId) -> Result<Session, VerbError> {
        self.asked.lock().unwrap().push((caller.tenant, id));
        if id == HANGING {
            std::future::pending::<()>().await;
        }
        tokio::task::yield_now().await;
        Ok(session(id, caller.tenant))
    }

    async fn create_session(&self, _caller: &Principal, _new: NewSession) -> Result<Session, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn delete_session(&self, _caller: &Principal, _id: SessionId) -> Result<(), VerbError> {
        Err(VerbError::NotFound)
    }

    async fn connect_session(&self, _caller: &Principal, _id: SessionId, _wait: Duration) -> Result<Session, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn disconnect_session(&self, _caller: &Principal, _id: SessionId) -> Result<Session, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn session_qr(&self, _caller: &Principal, _id: SessionId) -> Result<Option<QrCode>, VerbError> {
        Ok(None)
    }

    async fn change_session(&self, _caller: &Principal, _: SessionId, _: NewSettings) -> Result<Session, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn restart_session(&self, _caller: &Principal, _: SessionId, _wait: Duration) -> Result<Session, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn pairing_code(&self, _caller: &Principal, _: SessionId, _phone_number: &str) -> Result<LinkCode, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn session_keys(&self, _caller: &Principal) -> Result<Vec<(SessionId, String)>, VerbError> {
        Ok(Vec::new())
    }

    async fn renew_session_key(&self, _caller: &Principal, _: SessionId) -> Result<String, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn send_all(&self, _caller: &Principal, _new: NewBatch<'_>) -> Result<Vec<Message>, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn send_batch(&self, _caller: &Principal, _new: NewBatch<'_>) -> Result<BatchOutcome, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn batch(&self, _caller: &Principal, _id: BatchId) -> Result<BatchProgress, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn cancel(&self, _caller: &Principal, _id: MessageId) -> Result<Message, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn resend(
        &self,
        _caller: &Principal,
        _id: MessageId,
        _schedule: Schedule,
        _once: Option<&Once>,
    ) -> Result<Message, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn received(&self, _caller: &Principal, _event: u64) -> Result<Event, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn find_messages(&self, _caller: &Principal, _query: LogQuery) -> Result<LogPage, VerbError> {
        Ok(LogPage::default())
    }

    async fn sent_under(&self, _caller: &Principal, _: SessionId, _whatsapp_id: &str) -> Result<Message, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn message_count(&self, _caller: &Principal, _: SessionId, _: Direction) -> Result<u64, VerbError> {
        Ok(0)
    }

    async fn create_key(&self, _caller: &Principal, _new: NewAccountKey) -> Result<(AccountKey, String), VerbError> {
        Err(VerbError::NotFound)
    }

    async fn account_keys(&self, _caller: &Principal) -> Result<Vec<AccountKey>, VerbError> {
        Ok(Vec::new())
    }

    async fn account_key(&self, _caller: &Principal, _id: KeyId) -> Result<AccountKey, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn revoke_key(&self, _caller: &Principal, _id: KeyId) -> Result<(), VerbError> {
        Err(VerbError::NotFound)
    }

    async fn account(&self, _caller: &Principal) -> Result<AccountInfo, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn session_key(&self, _caller: &Principal, id: SessionId) -> Result<String, VerbError> {
        Ok(format!("ses_live_{id}"))
    }

    async fn send(&self, _caller: &Principal, _new: NewMessage<'_>) -> Result<Message, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn message(&self, _caller: &Principal, _id: MessageId) -> Result<Message, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn quota(
        &self,
        _caller: &Principal,
        _session: SessionId,
        _api: Option<ApiLimits>,
    ) -> Result<Vec<LimitStanding>, VerbError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl LinkVerbs for FakeVerbs {
    async fn draw_links(
        &self,
        _caller: &Principal,
        plugin: &str,
        sessions: &[SessionId],
        ttl: Duration,
    ) -> Result<Vec<String>, VerbError> {
        Ok(sessions.iter().map(|session| format!("{plugin} {session} {}", ttl.as_secs())).collect())
    }
}

#[async_trait]
impl MediaVerbs for FakeVerbs {
    async fn media(&self, _caller: &Principal, _handle: &str) -> Result<Blob, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn link_media(&self, _caller: &Principal, _handle: &str, _ttl: Duration) -> Result<String, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn keep_media(&self, _caller: &Principal, _handle: &str, _ttl: Duration) -> Result<Blob, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn voice_note(&self, _caller: &Principal, _handle: &str) -> Result<Blob, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn media_of_message(&self, _caller: &Principal, _event: u64) -> Result<Blob, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn open_sealed(&self, _caller: &Principal, _session: SessionId, _sealed: Content) -> Result<Blob, VerbError> {
        Err(VerbError::NotFound)
    }
}
