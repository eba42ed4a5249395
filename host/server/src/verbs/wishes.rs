//! What plugins and the host's own API both ask of sessions and messages, in the words of the core.

use std::sync::Arc;

use serde_json::{Map, Value};

use switchboard_core::flow::intake::{AcceptedBatch, BatchWish, IntakeError, SendWish};
use switchboard_core::flow::lasting::lasting;
use switchboard_core::records::account::Principal;
use switchboard_core::records::id::{BatchId, MessageId, SessionId};
use switchboard_core::records::message::Message;
use switchboard_core::records::once::Once;
use switchboard_core::records::session::Session;
use switchboard_core::rules::address::parse_phone;
use switchboard_core::storage::{BatchProgress, Cancelled, SessionChange};
use switchboard_runtime::verbs::{CONNECT_WAIT_MAX, VerbError, Verbs};

use super::{HostVerbs, check_name, check_settings, intake_error, need, need_to_send, unavailable};
use crate::whatsapp::{PairingCode, PairingCodeError};

/// Messages that are looked at together for a list, and how often for one page of it.
const SCAN_PAGE: usize = 200;
const SCAN_PAGES_MAX: usize = 25;

impl HostVerbs {
    /// Changes the name and the settings of a session; a setting that becomes `null` goes away.
    pub(crate) async fn change_session(
        &self,
        caller: &Principal,
        id: SessionId,
        name: Option<String>,
        settings: Map<String, Value>,
    ) -> Result<Session, VerbError> {
        let there = self.reach_to_change(caller, id).await?;
        if let Some(name) = &name {
            check_name(name)?;
        }
        let added = settings.iter().filter(|(name, value)| !value.is_null() && !there.settings.contains_key(*name));
        check_settings(there.settings.len() + added.count(), &settings)?;
        let change = SessionChange { name, settings, ..SessionChange::default() };
        let (storage, sessions) = (self.storage.clone(), Arc::clone(&self.sessions));
        let (tenant, now) = (caller.tenant, self.clock.now());
        let changed = lasting(async move {
            let changed = storage.change_session(tenant, id, now, &change).await;
            if let Ok(Some(changed)) = &changed {
                sessions.settings_changed(&there, changed);
            }
            changed
        });
        changed.await.map_err(unavailable)?.ok_or(VerbError::NotFound)
    }

    /// A code that links the session when it is typed into the phone of this number.
    pub(crate) async fn pairing_code(
        &self,
        caller: &Principal,
        id: SessionId,
        phone_number: &str,
    ) -> Result<PairingCode, VerbError> {
        let invalid = |why: String| VerbError::Invalid { field: "phone_number".to_owned(), why };
        let digits = parse_phone(phone_number).map_err(|error| invalid(error.to_string()))?;
        let session = self.connect_session(caller, id, CONNECT_WAIT_MAX).await?;
        if session.jid.is_some() {
            return Err(VerbError::Conflict(format!("the session is {}: a phone has linked it", session.state.name())));
        }
        self.sessions.pairing_code(id, digits).await.map_err(|error| match error {
            PairingCodeError::Number(why) => invalid(why),
            PairingCodeError::Refused(why) => VerbError::Conflict(why),
            PairingCodeError::NotPairing => VerbError::NotConnected(session.state),
        })
    }

    /// Messages that the caller may see, newest first, with ids below `before`; and where the next page begins.
    pub(crate) async fn messages(
        &self,
        caller: &Principal,
        before: Option<MessageId>,
        limit: usize,
        wanted: impl Fn(&Message) -> bool,
    ) -> Result<(Vec<Message>, Option<MessageId>), VerbError> {
        need(caller, "messages", "read")?;
        let (mut found, mut before) = (Vec::new(), before);
        for _ in 0..SCAN_PAGES_MAX {
            let page = self.storage.messages(caller.tenant, before, SCAN_PAGE).await.map_err(unavailable)?;
            let last = page.len() < SCAN_PAGE;
            for message in page {
                before = Some(message.id);
                if caller.may_use(message.session) && wanted(&message) {
                    found.push(message);
                    if found.len() == limit {
                        return Ok((found, before));
                    }
                }
            }
            if last {
                return Ok((found, None));
            }
        }
        Ok((found, before))
    }

    /// The session that sends what names none.
    pub(crate) async fn choose_session(&self, caller: &Principal, wish: &SendWish) -> Result<SessionId, VerbError> {
        need_to_send(caller)?;
        let chosen = self.intake.choose_session(caller, &wish.to, &wish.content, &wish.extras).await;
        chosen.map_err(intake_error)
    }

    /// Accepts a batch of messages of one session.
    pub(crate) async fn send_batch(
        &self,
        caller: &Principal,
        wish: BatchWish,
        once: Option<&Once>,
    ) -> Result<AcceptedBatch, VerbError> {
        need_to_send(caller)?;
        self.reach(caller, wish.session).await?;
        let by = Arc::new(caller.clone());
        let messages = wish.messages.into_iter().map(|one| SendWish { by: Some(Arc::clone(&by)), ..one });
        let wish = BatchWish { messages: messages.collect(), ..wish };
        self.intake.accept_batch_once(caller.tenant, wish, once).await.map_err(intake_error)
    }

    /// A batch and how far its messages have come.
    pub(crate) async fn batch(&self, caller: &Principal, id: BatchId) -> Result<BatchProgress, VerbError> {
        need(caller, "messages", "read")?;
        let progress = self.storage.batch_progress(caller.tenant, id).await.map_err(unavailable)?;
        progress.filter(|progress| caller.may_use(progress.record.session)).ok_or(VerbError::NotFound)
    }

    /// Takes a message back that nobody has begun to send.
    pub(crate) async fn cancel(&self, caller: &Principal, id: MessageId) -> Result<Message, VerbError> {
        need_to_send(caller)?;
        let there = self.storage.message(caller.tenant, id).await.map_err(unavailable)?;
        let there = there.filter(|message| caller.may_use(message.session)).ok_or(VerbError::NotFound)?;
        if caller.test && !there.test {
            return Err(VerbError::Denied("this is a test key: it takes back nothing but what a test key sent".to_owned()));
        }
        let (storage, wakes) = (self.storage.clone(), Arc::clone(&self.wakes));
        let (tenant, now) = (caller.tenant, self.clock.now());
        let cancelled = lasting(async move {
            let cancelled = storage.cancel_message(tenant, id, now).await;
            wakes.events_have_more(tenant);
            cancelled
        });
        match cancelled.await.map_err(unavailable)? {
            Cancelled::Done(message) => Ok(*message),
            Cancelled::TooLate(message) => {
                Err(VerbError::Conflict(format!("the message is {}: it is too late to take it back", message.state.name())))
            }
            Cancelled::Missing => Err(VerbError::NotFound),
        }
    }

    /// What a verb says of a wish that was refused.
    pub(crate) fn refused_wish(error: IntakeError) -> VerbError {
        intake_error(error)
    }
}
