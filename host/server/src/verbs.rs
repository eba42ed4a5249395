//! The host's verbs for plugins: each confined to the tenant, the session and the scopes of its caller.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;

use switchboard_core::clock::Clock;
use switchboard_core::entropy::Entropy;
use switchboard_core::flow::intake::{Intake, IntakeError, SendWish};
use switchboard_core::records::account::{KeyKind, Principal};
use switchboard_core::records::content::{Content, Extras};
use switchboard_core::records::id::{MessageId, SessionId, draw_public_number};
use switchboard_core::records::message::{Message, Schedule};
use switchboard_core::records::session::{Session, SessionState};
use switchboard_core::rules::address::parse_phone;
use switchboard_core::storage::{Storage, StorageError};
use switchboard_runtime::verbs::{NewSession, QrCode, VerbError, Verbs};

use crate::accounts::{Accounts, KeyWish, NAME_CHARS_MAX};
use crate::qr;
use crate::whatsapp::{Live, Sessions};

/// Most settings of a session, and bytes of one.
const SETTINGS_MAX: usize = 32;
const SETTING_BYTES_MAX: usize = 4096;
/// How often a drawn session id may be taken already.
const DRAW_TRIES_MAX: u32 = 8;

/// What plugins ask of the host.
pub(crate) struct HostVerbs {
    pub(crate) storage: Storage,
    pub(crate) accounts: Accounts,
    pub(crate) intake: Intake,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
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

fn need(caller: &Principal, resource: &str, action: &str) -> Result<(), VerbError> {
    if caller.may(resource, action) {
        return Ok(());
    }
    Err(VerbError::Denied(format!("the key lacks the scope {resource}:{action}")))
}

fn intake_error(error: IntakeError) -> VerbError {
    match error {
        IntakeError::NoSuchSession(_) => VerbError::NotFound,
        IntakeError::NotConnected { state, .. } => VerbError::NotConnected(state),
        IntakeError::Recipient(error) => VerbError::Invalid { field: "to".to_owned(), why: error.to_string() },
        IntakeError::Invalid { field, why } => VerbError::Invalid { field: field.to_owned(), why },
        IntakeError::OutboxFull { .. } => VerbError::Unavailable(error.to_string()),
        IntakeError::BatchSize { .. } => VerbError::Invalid { field: "messages".to_owned(), why: error.to_string() },
        IntakeError::NotYet { .. } => VerbError::NotYet(error.to_string()),
        IntakeError::Storage(error) => unavailable(error),
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

    fn checked_new(new: &NewSession) -> Result<serde_json::Map<String, serde_json::Value>, VerbError> {
        let invalid = |field: &str, why: String| Err(VerbError::Invalid { field: field.to_owned(), why });
        let chars = new.name.chars().count();
        if new.name.trim().is_empty() || chars > NAME_CHARS_MAX {
            return invalid("name", format!("has {chars} characters; 1 to {NAME_CHARS_MAX} are allowed"));
        }
        if new.settings.len() > SETTINGS_MAX {
            return invalid("settings", format!("has {} entries; the limit is {SETTINGS_MAX}", new.settings.len()));
        }
        let mut settings = serde_json::Map::new();
        for (name, value) in &new.settings {
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
}

#[async_trait]
impl Verbs for HostVerbs {
    async fn sessions(&self, caller: &Principal) -> Result<Vec<Session>, VerbError> {
        need(caller, "sessions", "read")?;
        let mut sessions = self.storage.sessions(caller.tenant).await.map_err(unavailable)?;
        sessions.retain(|session| caller.may_use(session.id));
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
        let now = self.clock.now();
        for _ in 0..DRAW_TRIES_MAX {
            let session = Session {
                id: SessionId(draw_public_number(&*self.entropy)),
                tenant: caller.tenant,
                name: new.name.clone(),
                phone_number: phone_number.clone(),
                state: SessionState::Created,
                reason: None,
                jid: None,
                lid: None,
                settings: settings.clone(),
                created_at: now,
                updated_at: now,
                last_active_at: None,
            };
            let wish = KeyWish {
                kind: KeyKind::Session,
                session_id: Some(session.id),
                name: Some(new.name.clone()),
                expires_at: None,
                service: None,
                scopes: None,
                mode: None,
            };
            let own_key = self.accounts.draw_key(caller.tenant, &wish);
            match self.storage.create_session(&session, &own_key).await {
                Err(StorageError::Conflict) => {}
                other => return other.map(|()| session).map_err(unavailable),
            }
        }
        Err(VerbError::Conflict("no free session id was found; try again".to_owned()))
    }

    async fn delete_session(&self, caller: &Principal, id: SessionId) -> Result<(), VerbError> {
        need(caller, "sessions", "write")?;
        self.reach(caller, id).await?;
        // In a task of its own: a caller that goes away must not leave a session half deleted.
        let (sessions, tenant) = (Arc::clone(&self.sessions), caller.tenant);
        match finish(tokio::spawn(async move { sessions.delete(tenant, id).await })).await? {
            true => Ok(()),
            false => Err(VerbError::NotFound),
        }
    }

    async fn connect_session(&self, caller: &Principal, id: SessionId, wait: Duration) -> Result<Session, VerbError> {
        need(caller, "sessions", "write")?;
        self.reach(caller, id).await?;
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
        need(caller, "sessions", "write")?;
        self.reach(caller, id).await?;
        let (sessions, tenant) = (Arc::clone(&self.sessions), caller.tenant);
        finish(tokio::spawn(async move { sessions.disconnect(tenant, id).await })).await?;
        self.reach(caller, id).await
    }

    async fn session_qr(&self, caller: &Principal, id: SessionId) -> Result<Option<QrCode>, VerbError> {
        need(caller, "sessions", "read")?;
        self.reach(caller, id).await?;
        let now = self.clock.now();
        let Some(qr) = self.sessions.live(id).and_then(|live| live.borrow().qr_at(now).cloned()) else { return Ok(None) };
        let png = qr::png(&qr.text).map_err(|error| VerbError::Unavailable(error.to_string()))?;
        Ok(Some(QrCode { text: qr.text, png, expires_at_ms: qr.expires_at.0 }))
    }

    async fn session_key(&self, caller: &Principal, id: SessionId) -> Result<String, VerbError> {
        need(caller, "keys", "read")?;
        if caller.kind == KeyKind::Session {
            return Err(VerbError::Denied("a session's key is not shown to callers that came with one".to_owned()));
        }
        self.reach(caller, id).await?;
        self.storage.session_key(caller.tenant, id).await.map_err(unavailable)?.ok_or(VerbError::NotFound)
    }

    async fn send(
        &self,
        caller: &Principal,
        session: SessionId,
        to: String,
        content: Content,
        extras: Extras,
    ) -> Result<Message, VerbError> {
        need(caller, "messages", "write")?;
        self.reach(caller, session).await?;
        let wish = SendWish { session, to, content, extras, schedule: Schedule::default(), origin: None };
        self.intake.accept(caller.tenant, wish).await.map_err(intake_error)
    }

    async fn message(&self, caller: &Principal, id: MessageId) -> Result<Message, VerbError> {
        need(caller, "messages", "read")?;
        let message = self.storage.message(caller.tenant, id).await.map_err(unavailable)?.ok_or(VerbError::NotFound)?;
        if caller.may_use(message.session) { Ok(message) } else { Err(VerbError::NotFound) }
    }
}
