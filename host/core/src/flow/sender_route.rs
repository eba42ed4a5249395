//! Which session sends a message whose caller named none: the one that a plugin chooses, else the only one that can.

use async_trait::async_trait;

use super::intake::{Intake, IntakeError};
use crate::clock::Timestamp;
use crate::records::account::Principal;
use crate::records::content::{Content, Extras};
use crate::records::id::{SessionId, TenantId};
use crate::records::session::{Session, SessionState};
use crate::rules::address::parse_recipient;
use crate::rules::session_settings::sends;

/// Most sessions that a plugin chooses between: those with the lowest ids.
pub const CANDIDATES_MAX: usize = 100;

/// A session that may send a message.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The session: linked, not set not to send, and within reach of the caller's key.
    pub session: Session,
    /// Messages that wait in its outbox.
    pub waiting: u64,
    /// Messages that it accepted in the last 24 hours.
    pub sent_last_day: u64,
}

/// What is to be sent, and by whom it can be.
#[derive(Clone, Debug)]
pub struct RouteQuestion<'a> {
    /// Who asks.
    pub by: &'a Principal,
    /// JID of the chat.
    pub to: &'a str,
    /// What is to be said, as the caller gave it.
    pub content: &'a Content,
    /// What goes with it.
    pub extras: &'a Extras,
    /// At least one and at most [`CANDIDATES_MAX`], by their ids.
    pub candidates: &'a [Candidate],
    /// The time.
    pub now: Timestamp,
}

/// Why there is no choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteRefusal {
    /// None will do; the plugin's reason is for the caller.
    Refused(String),
    /// The plugin could not be asked, or answered what cannot be. The words are for people.
    Failed(String),
}

/// Asks the plugin that chooses for a tenant.
#[async_trait]
pub trait SenderRoutes: Send + Sync {
    /// Whether there is one, well or not.
    fn any(&self, tenant: TenantId) -> bool;

    /// The session that is to send: one of the candidates.
    ///
    /// # Errors
    /// [`RouteRefusal`].
    async fn choose(&self, tenant: TenantId, question: &RouteQuestion<'_>) -> Result<SessionId, RouteRefusal>;
}

/// Whether a session can take a message now.
fn can_send(session: &Session) -> bool {
    let linked = matches!(session.state, SessionState::Connected | SessionState::Reconnecting);
    linked && sends(&session.settings).unwrap_or(true)
}

impl Intake {
    /// The session that sends what a caller wants sent without naming one. A key that is bound to a session has its own.
    ///
    /// # Errors
    /// [`IntakeError::NoSender`] when none can or will do, [`IntakeError::Invalid`] for `session_id` when several can and nothing
    /// chooses, [`IntakeError::GuardFailed`] when what chooses fails; else a bad recipient or storage.
    pub async fn choose_session(
        &self,
        by: &Principal,
        to: &str,
        content: &Content,
        extras: &Extras,
    ) -> Result<SessionId, IntakeError> {
        if let Some(bound) = by.session {
            return Ok(bound);
        }
        let mut able = self.storage.sessions(by.tenant).await?;
        able.retain(can_send);
        able.sort_by_key(|session| session.id);
        let Some(routes) = self.guards.routes.as_ref().filter(|routes| routes.any(by.tenant)) else {
            return match able.as_slice() {
                [only] => Ok(only.id),
                [] => Err(IntakeError::NoSender("session_id is not given, and no session is connected".to_owned())),
                many => {
                    let why = format!("is required: {} sessions can send, and no plugin chooses between them", many.len());
                    Err(IntakeError::Invalid { field: "session_id", why })
                }
            };
        };
        if able.is_empty() {
            return Err(IntakeError::NoSender("session_id is not given, and no session is connected".to_owned()));
        }
        let (to, now) = (parse_recipient(to)?.to_string(), self.now());
        let mut candidates = Vec::with_capacity(able.len().min(CANDIDATES_MAX));
        for session in able.into_iter().take(CANDIDATES_MAX) {
            let waiting = self.storage.outbox_depth(by.tenant, session.id).await?;
            let sent_last_day = self.sent_last_day(by.tenant, session.id, now).await?;
            candidates.push(Candidate { session, waiting, sent_last_day });
        }
        let question = RouteQuestion { by, to: &to, content, extras, candidates: &candidates, now };
        let chosen = routes.choose(by.tenant, &question).await.map_err(|refusal| match refusal {
            RouteRefusal::Refused(why) => IntakeError::NoSender(why),
            RouteRefusal::Failed(why) => IntakeError::GuardFailed(why),
        })?;
        if candidates.iter().any(|candidate| candidate.session.id == chosen) {
            return Ok(chosen);
        }
        Err(IntakeError::GuardFailed(format!("session {chosen} was chosen, which is no candidate")))
    }
}
