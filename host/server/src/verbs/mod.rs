//! The host's verbs for plugins: each confined to the tenant, the session and the scopes of its caller.

mod media;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};
use tokio::task::JoinHandle;

use switchboard_core::clock::Clock;
use switchboard_core::entropy::Entropy;
use switchboard_core::flow::intake::{Intake, IntakeError};
use switchboard_core::flow::media::MediaRefusal;
use switchboard_core::flow::wakes::Wakes;
use switchboard_core::records::account::{KeyKind, Principal};
use switchboard_core::records::event::Event;
use switchboard_core::records::id::{BatchId, KeyId, MessageId, SessionId, draw_public_number};
use switchboard_core::records::message::{ApiLimits, Message, Schedule};
use switchboard_core::records::message_log::{Direction, LogPage, LogQuery};
use switchboard_core::records::once::Once;
use switchboard_core::records::session::{Session, SessionState};
use switchboard_core::rules::address::parse_phone;
use switchboard_core::rules::authority::{self, Denial};
use switchboard_core::rules::plan::{PACING_SETTING, PlanError, SessionRules};
use switchboard_core::rules::quota::{Reached, Scope, Standing};
use switchboard_core::rules::session_settings::{SettingError, fetches_media, sends, watched};
use switchboard_core::storage::{BatchProgress, Storage, StorageError};
use switchboard_runtime::verbs::{
    AccountInfo, AccountKey, BatchOutcome, FetchVerbs, LimitStanding, LinkCode, NewAccountKey, NewBatch, NewMessage,
    NewSession, NewSettings, QrCode, VerbError, Verbs,
};

mod account;
mod fetch;
mod keys;
mod links;
mod messages;
mod people;
mod state;
mod webhooks;
mod wishes;

use crate::accounts::{Accounts, KeyMode, KeyWish, NAME_CHARS_MAX};
use crate::guards::PluginGuards;
use crate::media::{Downloads, MediaRoom};
use crate::qr;
use crate::webhook::Webhooks;
use crate::whatsapp::{Live, Sessions};

/// Most settings of a session, and bytes of one.
const SETTINGS_MAX: usize = 32;
const SETTING_BYTES_MAX: usize = 4096;
/// What somebody else sees when it is written.
const LEAVES_THE_HOST: [&str; 3] = ["messages", "groups", "contacts"];
/// How often a drawn session id may be taken already.
const DRAW_TRIES_MAX: u32 = 8;

/// What plugins ask of the host.
pub(crate) struct HostVerbs {
    pub(crate) storage: Storage,
    pub(crate) accounts: Accounts,
    pub(crate) intake: Intake,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) media: Arc<MediaRoom>,
    pub(crate) downloads: Arc<Downloads>,
    pub(crate) guards: Arc<PluginGuards>,
    pub(crate) fetches: Arc<dyn FetchVerbs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) wakes: Arc<Wakes>,
    /// Set when the host starts: they need the plugins, which need the verbs.
    pub(crate) webhooks: OnceLock<Webhooks>,
}

fn unavailable(error: StorageError) -> VerbError {
    tracing::error!(%error, "a verb failed");
    // The words of the engine are for the operator, not for the caller.
    VerbError::Unavailable("storage does not answer".to_owned())
}

/// What a task of its own came to.
async fn finish(task: JoinHandle<Result<bool, StorageError>>) -> Result<bool, VerbError> {
    match task.await {
        Ok(done) => done.map_err(unavailable),
        Err(error) => {
            tracing::error!(%error, "a verb broke down");
            Err(VerbError::Unavailable("the host failed".to_owned()))
        }
    }
}

/// Whether the caller may send. What a test key sends never leaves the host.
fn need_to_send(caller: &Principal) -> Result<(), VerbError> {
    authority::check(caller, "messages", "write").map_err(denied)
}

fn denied(why: Denial) -> VerbError {
    VerbError::Denied(why.to_string())
}

fn need(caller: &Principal, resource: &str, action: &str) -> Result<(), VerbError> {
    if caller.test && action == "write" && LEAVES_THE_HOST.contains(&resource) {
        return Err(VerbError::Denied(
            "this is a test key: nothing that it asks for leaves the host, so it sends and changes nothing".to_owned(),
        ));
    }
    authority::check(caller, resource, action).map_err(denied)
}

fn check_name(name: &str) -> Result<(), VerbError> {
    let chars = name.chars().count();
    if name.trim().is_empty() || chars > NAME_CHARS_MAX {
        let why = format!("has {chars} characters; 1 to {NAME_CHARS_MAX} are allowed");
        return Err(VerbError::Invalid { field: "name".to_owned(), why });
    }
    Ok(())
}

/// Whether these may be set, when there are `count` of them then.
fn check_settings(count: usize, settings: &Map<String, Value>) -> Result<(), VerbError> {
    let invalid = |why: String| Err(VerbError::Invalid { field: "settings".to_owned(), why });
    if count > SETTINGS_MAX {
        return invalid(format!("would have {count} entries; the limit is {SETTINGS_MAX}"));
    }
    for (name, value) in settings {
        let bytes = name.len() + value.to_string().len();
        if bytes > SETTING_BYTES_MAX {
            return invalid(format!("an entry has {bytes} bytes; the limit is {SETTING_BYTES_MAX}"));
        }
    }
    check_heeded(settings)
}

/// Settings as a plugin gives them: names and JSON.
fn read_settings(given: &[(String, String)]) -> Result<Map<String, Value>, VerbError> {
    let invalid = |field: &str, why: String| Err(VerbError::Invalid { field: field.to_owned(), why });
    let mut settings = Map::new();
    for (name, value) in given {
        if name.len() + value.len() > SETTING_BYTES_MAX {
            return invalid(name, format!("has {} bytes; the limit is {SETTING_BYTES_MAX}", value.len()));
        }
        match serde_json::from_str(value) {
            Ok(value) => drop(settings.insert(name.clone(), value)),
            Err(error) => return invalid(name, format!("is not JSON: {error}")),
        }
    }
    Ok(settings)
}

/// Whether the caller may be shown keys of sessions, or renew them.
fn shown_keys(caller: &Principal, action: &str) -> Result<(), VerbError> {
    need(caller, "keys", action)?;
    if caller.kind == KeyKind::Session {
        return Err(VerbError::Denied("a session's key is not shown to callers that came with one".to_owned()));
    }
    Ok(())
}

/// What a session's own key is to be. A test key draws none that would send.
fn own_key_wish(caller: &Principal, session: SessionId, name: &str) -> KeyWish {
    KeyWish {
        kind: KeyKind::Session,
        session_id: Some(session),
        name: Some(name.to_owned()),
        description: None,
        expires_at: None,
        service: None,
        scopes: None,
        mode: caller.test.then_some(KeyMode::Test),
    }
}

/// Whether a caller may be shown this key of a session: one with a test key sees no key that would send.
fn may_see(caller: &Principal, key: &str) -> bool {
    !caller.test || key.starts_with(KeyKind::Session.prefix(true))
}

/// Whether the settings that the host itself heeds say something that it understands.
fn check_heeded(settings: &Map<String, Value>) -> Result<(), VerbError> {
    let unread = |error: SettingError| VerbError::Invalid { field: error.setting.to_owned(), why: error.why };
    fetches_media(settings).map_err(unread)?;
    watched(settings).map_err(unread)?;
    sends(settings).map_err(unread)?;
    let invalid = |error: PlanError| VerbError::Invalid { field: PACING_SETTING.to_owned(), why: error.to_string() };
    SessionRules::read(settings).map(|_| ()).map_err(invalid)
}

fn intake_error(error: IntakeError) -> VerbError {
    match error {
        IntakeError::NoSuchSession(_) => VerbError::NotFound,
        IntakeError::NotConnected { state, .. } => VerbError::NotConnected(state),
        IntakeError::Recipient(error) => VerbError::Invalid { field: "to".to_owned(), why: error.to_string() },
        IntakeError::Invalid { field, why } => VerbError::Invalid { field: field.to_owned(), why },
        IntakeError::QuotaReached(Reached { limit, scope, standing, retry_after_s }) => {
            VerbError::LimitReached(message_limit(limit, scope, &standing, retry_after_s))
        }
        IntakeError::OutboxFull { .. } => VerbError::Unavailable(error.to_string()),
        IntakeError::BatchSize { .. } => VerbError::Invalid { field: "messages".to_owned(), why: error.to_string() },
        IntakeError::NotYet { .. } => VerbError::NotYet(error.to_string()),
        IntakeError::Media(MediaRefusal::Unavailable(_)) => VerbError::Unavailable(error.to_string()),
        IntakeError::Media(refused) => VerbError::Media(refused),
        IntakeError::SwitchedOff(_) => VerbError::Conflict(error.to_string()),
        IntakeError::NoSender(why) => VerbError::NoSender(why),
        IntakeError::NoSuchTemplate(why) => VerbError::NoSuchTemplate(why),
        IntakeError::MissingParameter(name) => VerbError::MissingParameter(name),
        IntakeError::RefusedByPolicy(reason) => VerbError::RefusedByPolicy(reason),
        IntakeError::GuardFailed(_) => VerbError::Unavailable(error.to_string()),
        IntakeError::Storage(error) => unavailable(error),
    }
}

/// The tenant has as many sessions as it may have.
fn sessions_limit(max: u64, used: u64) -> LimitStanding {
    let limit = "sessions".to_owned();
    LimitStanding { limit, of_session: false, max, used, resets_at_ms: None, retry_after_s: None }
}

/// How a limit on messages stands.
fn message_limit(limit: &str, scope: Scope, standing: &Standing, retry_after_s: u64) -> LimitStanding {
    LimitStanding {
        limit: limit.to_owned(),
        of_session: matches!(scope, Scope::Session(_) | Scope::Api(..)),
        max: standing.max,
        used: standing.used,
        resets_at_ms: Some(standing.resets_at.0),
        retry_after_s: Some(u32::try_from(retry_after_s).unwrap_or(u32::MAX)),
    }
}

impl HostVerbs {
    /// A session that the caller may use. One of another tenant, or out of the key's reach, does not exist for it.
    async fn reach(&self, caller: &Principal, id: SessionId) -> Result<Session, VerbError> {
        if !caller.may_use(id) {
            return Err(VerbError::NotFound);
        }
        self.storage.session(caller.tenant, id).await.map_err(unavailable)?.ok_or(VerbError::NotFound)
    }

    /// The same, if the caller may change or remove it: with a test key only what one has made.
    async fn reach_to_change(&self, caller: &Principal, id: SessionId) -> Result<Session, VerbError> {
        need(caller, "sessions", "write")?;
        let session = self.reach(caller, id).await?;
        authority::check_change(caller, session.test, &format!("session {id}")).map_err(denied)?;
        Ok(session)
    }

    fn checked_new(new: &NewSession) -> Result<Map<String, Value>, VerbError> {
        let invalid = |field: &str, why: String| Err(VerbError::Invalid { field: field.to_owned(), why });
        check_name(&new.name)?;
        if new.settings.len() > SETTINGS_MAX {
            return invalid("settings", format!("has {} entries; the limit is {SETTINGS_MAX}", new.settings.len()));
        }
        let settings = read_settings(&new.settings)?;
        check_heeded(&settings)?;
        Ok(settings)
    }
}

#[async_trait]
impl Verbs for HostVerbs {
    async fn sessions(&self, caller: &Principal) -> Result<Vec<Session>, VerbError> {
        need(caller, "sessions", "read")?;
        let mut sessions = self.storage.sessions(caller.tenant).await.map_err(unavailable)?;
        sessions.retain(|session| caller.may_use(session.id));
        sessions.sort_by_key(|session| (session.created_at, session.id));
        Ok(sessions)
    }

    async fn session(&self, caller: &Principal, id: SessionId) -> Result<Session, VerbError> {
        need(caller, "sessions", "read")?;
        self.reach(caller, id).await
    }

    async fn create_session(&self, caller: &Principal, new: NewSession) -> Result<Session, VerbError> {
        need(caller, "sessions", "write")?;
        if caller.session.is_some() {
            return Err(VerbError::Denied("a key that is bound to one session cannot make another".to_owned()));
        }
        let settings = Self::checked_new(&new)?;
        let phone_number = if new.phone_number.trim().is_empty() {
            String::new()
        } else {
            let invalid = |why: String| VerbError::Invalid { field: "phone_number".to_owned(), why };
            parse_phone(&new.phone_number).map_err(|error| invalid(error.to_string()))?
        };
        let sessions_max = self.storage.figures(caller.tenant).await.map_err(unavailable)?.sessions;
        let now = self.clock.now();
        for _ in 0..DRAW_TRIES_MAX {
            let session = Session {
                id: SessionId(draw_public_number(&*self.entropy)),
                tenant: caller.tenant,
                name: new.name.clone(),
                phone_number: phone_number.clone(),
                state: SessionState::Created,
                reason: None,
                retry_at: None,
                jid: None,
                lid: None,
                settings: settings.clone(),
                created_at: now,
                updated_at: now,
                last_active_at: None,
                test: caller.test,
            };
            let own_key = self.accounts.draw_key(caller.tenant, &own_key_wish(caller, session.id, &new.name));
            match self.storage.create_session_within(&session, &own_key, sessions_max).await {
                Err(StorageError::Conflict) => {
                    let used = self.storage.session_count(caller.tenant).await.map_err(unavailable)?;
                    if let Some(max) = sessions_max.filter(|max| used >= *max) {
                        return Err(VerbError::LimitReached(sessions_limit(max, used)));
                    }
                }
                other => return other.map(|()| session).map_err(unavailable),
            }
        }
        Err(VerbError::Conflict("no free session id was found; try again".to_owned()))
    }

    async fn delete_session(&self, caller: &Principal, id: SessionId) -> Result<(), VerbError> {
        self.reach_to_change(caller, id).await?;
        // In a task of its own: a caller that goes away must not leave a session half deleted.
        let (sessions, tenant) = (Arc::clone(&self.sessions), caller.tenant);
        match finish(tokio::spawn(async move { sessions.delete(tenant, id).await })).await? {
            true => Ok(()),
            false => Err(VerbError::NotFound),
        }
    }

    async fn connect_session(&self, caller: &Principal, id: SessionId, wait: Duration) -> Result<Session, VerbError> {
        self.reach_to_change(caller, id).await?;
        if !self.sessions.connect(caller.tenant, id).await.map_err(unavailable)? {
            return Err(VerbError::NotFound);
        }
        if let Some(mut live) = self.sessions.live(id) {
            let settled = |live: &Live| live.qr.is_some() || live.state == SessionState::Connected;
            let deadline = self.clock.now().plus(wait);
            // Whichever comes first: either way the caller sees how the session is then.
            tokio::select! {
                _ = live.wait_for(settled) => {}
                () = self.clock.sleep_until(deadline) => {}
            }
        }
        self.reach(caller, id).await
    }

    async fn disconnect_session(&self, caller: &Principal, id: SessionId) -> Result<Session, VerbError> {
        self.reach_to_change(caller, id).await?;
        let (sessions, tenant) = (Arc::clone(&self.sessions), caller.tenant);
        finish(tokio::spawn(async move { sessions.disconnect(tenant, id).await })).await?;
        self.reach(caller, id).await
    }

    async fn session_qr(&self, caller: &Principal, id: SessionId) -> Result<Option<QrCode>, VerbError> {
        need(caller, "sessions", "read")?;
        let session = self.reach(caller, id).await?;
        // Whoever scans it links their own phone.
        authority::check_change(caller, session.test, &format!("the QR code of session {id}")).map_err(denied)?;
        let now = self.clock.now();
        let Some(qr) = self.sessions.live(id).and_then(|live| live.borrow().qr_at(now).cloned()) else { return Ok(None) };
        let png = qr::png(&qr.text).map_err(|error| VerbError::Unavailable(error.to_string()))?;
        Ok(Some(QrCode { text: qr.text, png, expires_at_ms: qr.expires_at.0 }))
    }

    async fn change_session(&self, caller: &Principal, id: SessionId, change: NewSettings) -> Result<Session, VerbError> {
        let settings = read_settings(&change.settings)?;
        Self::change_session(self, caller, id, change.name, settings).await
    }

    async fn restart_session(&self, caller: &Principal, id: SessionId, wait: Duration) -> Result<Session, VerbError> {
        self.disconnect_session(caller, id).await?;
        self.connect_session(caller, id, wait).await
    }

    async fn pairing_code(&self, caller: &Principal, id: SessionId, phone_number: &str) -> Result<LinkCode, VerbError> {
        let drawn = Self::pairing_code(self, caller, id, phone_number).await?;
        Ok(LinkCode { code: drawn.code, expires_at_ms: drawn.expires_at.0 })
    }

    async fn session_keys(&self, caller: &Principal) -> Result<Vec<(SessionId, String)>, VerbError> {
        shown_keys(caller, "read")?;
        let mut keys = Vec::new();
        for session in self.storage.sessions(caller.tenant).await.map_err(unavailable)? {
            if !caller.may_use(session.id) {
                continue;
            }
            let key = self.storage.session_key(caller.tenant, session.id).await.map_err(unavailable)?;
            if let Some(key) = key.filter(|key| may_see(caller, key)) {
                keys.push((session.id, key));
            }
        }
        Ok(keys)
    }

    async fn renew_session_key(&self, caller: &Principal, id: SessionId) -> Result<String, VerbError> {
        shown_keys(caller, "write")?;
        if caller.test {
            return Err(VerbError::Denied(
                "this is a test key: what it draws does not take the place of a session's key".to_owned(),
            ));
        }
        let session = self.reach(caller, id).await?;
        for _ in 0..DRAW_TRIES_MAX {
            let new = self.accounts.draw_key(caller.tenant, &own_key_wish(caller, id, &session.name));
            match self.storage.renew_session_key(&new, self.clock.now()).await {
                Err(StorageError::Conflict) => {}
                other => return other.map(|()| new.text).map_err(unavailable),
            }
        }
        // Gone, or others renew it all the time.
        self.reach(caller, id).await?;
        Err(VerbError::Conflict("the key is being renewed by somebody else".to_owned()))
    }

    async fn session_key(&self, caller: &Principal, id: SessionId) -> Result<String, VerbError> {
        shown_keys(caller, "read")?;
        self.reach(caller, id).await?;
        let key = self.storage.session_key(caller.tenant, id).await.map_err(unavailable)?;
        key.filter(|key| may_see(caller, key)).ok_or(VerbError::NotFound)
    }

    async fn send(&self, caller: &Principal, new: NewMessage<'_>) -> Result<Message, VerbError> {
        self.accept(caller, new).await
    }

    async fn send_all(&self, caller: &Principal, new: NewBatch<'_>) -> Result<Vec<Message>, VerbError> {
        self.accept_all(caller, new).await
    }

    async fn send_batch(&self, caller: &Principal, new: NewBatch<'_>) -> Result<BatchOutcome, VerbError> {
        self.accept_batch(caller, new).await
    }

    async fn resend(
        &self,
        caller: &Principal,
        id: MessageId,
        schedule: Schedule,
        once: Option<&Once>,
    ) -> Result<Message, VerbError> {
        self.accept_again(caller, id, schedule, once).await
    }

    async fn message(&self, caller: &Principal, id: MessageId) -> Result<Message, VerbError> {
        self.message_of(caller, id).await
    }

    async fn batch(&self, caller: &Principal, id: BatchId) -> Result<BatchProgress, VerbError> {
        Self::batch(self, caller, id).await
    }

    async fn cancel(&self, caller: &Principal, id: MessageId) -> Result<Message, VerbError> {
        Self::cancel(self, caller, id).await
    }

    async fn received(&self, caller: &Principal, event: u64) -> Result<Event, VerbError> {
        self.received_message(caller, event).await
    }

    async fn find_messages(&self, caller: &Principal, query: LogQuery) -> Result<LogPage, VerbError> {
        self.log_page(caller, query).await
    }

    async fn sent_under(&self, caller: &Principal, id: SessionId, whatsapp_id: &str) -> Result<Message, VerbError> {
        need(caller, "messages", "read")?;
        self.reach(caller, id).await?;
        let found = self.storage.message_of_whatsapp_id(caller.tenant, id, whatsapp_id).await.map_err(unavailable)?;
        found.ok_or(VerbError::NotFound)
    }

    async fn message_count(&self, caller: &Principal, id: SessionId, direction: Direction) -> Result<u64, VerbError> {
        self.reach(caller, id).await?;
        self.storage.message_count(caller.tenant, id, direction).await.map_err(unavailable)
    }

    async fn quota(
        &self,
        caller: &Principal,
        session: SessionId,
        api: Option<ApiLimits>,
    ) -> Result<Vec<LimitStanding>, VerbError> {
        self.limits_of(caller, session, api).await
    }

    async fn create_key(&self, caller: &Principal, new: NewAccountKey) -> Result<(AccountKey, String), VerbError> {
        self.draw_account_key(caller, new).await
    }

    async fn account_keys(&self, caller: &Principal) -> Result<Vec<AccountKey>, VerbError> {
        self.keys_of_account(caller).await
    }

    async fn account_key(&self, caller: &Principal, id: KeyId) -> Result<AccountKey, VerbError> {
        self.key_of_account(caller, id).await
    }

    async fn revoke_key(&self, caller: &Principal, id: KeyId) -> Result<(), VerbError> {
        self.revoke_account_key(caller, id).await
    }

    async fn account(&self, caller: &Principal) -> Result<AccountInfo, VerbError> {
        self.account_of(caller).await
    }
}
