//! What plugins ask of messages.

use std::sync::Arc;

use switchboard_core::flow::intake::{BatchWish, SendWish};
use switchboard_core::records::account::Principal;
use switchboard_core::records::content::{Content, Extras};
use switchboard_core::records::event::Event;
use switchboard_core::records::id::MessageId;
use switchboard_core::records::message::{Message, MessageState, Schedule};
use switchboard_core::records::message_log::{LogPage, LogQuery, is_received};
use switchboard_core::records::once::Once;
use switchboard_core::storage::StorageError;
use switchboard_runtime::verbs::{BatchOutcome, NewBatch, NewMessage, VerbError};

use super::{HostVerbs, intake_error, need, need_to_send, unavailable};

/// The plugin that sends of itself, or for whoever asks it.
fn origin(caller: &Principal) -> Option<String> {
    caller.acting.as_ref().map(|acting| acting.plugin.to_string())
}

/// What these messages wish for.
fn wishes(new: &NewBatch<'_>, by: Option<&Arc<Principal>>) -> Vec<SendWish> {
    let wish = |(to, content, extras): &(String, Content, Extras)| SendWish {
        session: new.session,
        to: to.clone(),
        content: content.clone(),
        extras: extras.clone(),
        schedule: new.schedule,
        origin: by.and_then(|by| origin(by)),
        by: by.cloned(),
    };
    new.messages.iter().map(wish).collect()
}

impl HostVerbs {
    pub(super) async fn accept(&self, caller: &Principal, new: NewMessage<'_>) -> Result<Message, VerbError> {
        need_to_send(caller)?;
        self.reach(caller, new.session).await?;
        let wish = SendWish {
            session: new.session,
            to: new.to.to_owned(),
            content: new.content.clone(),
            extras: new.extras.clone(),
            schedule: new.schedule,
            origin: origin(caller),
            by: Some(Arc::new(caller.clone())),
        };
        self.intake.accept_once(caller.tenant, wish, new.once).await.map_err(intake_error)
    }

    pub(super) async fn accept_all(&self, caller: &Principal, new: NewBatch<'_>) -> Result<Vec<Message>, VerbError> {
        need_to_send(caller)?;
        self.reach(caller, new.session).await?;
        let by = Some(Arc::new(caller.clone()));
        self.intake.accept_all_once(caller.tenant, wishes(&new, by.as_ref()), new.once).await.map_err(intake_error)
    }

    pub(super) async fn accept_batch(&self, caller: &Principal, new: NewBatch<'_>) -> Result<BatchOutcome, VerbError> {
        let (session, name) = (new.session, new.name.map(str::to_owned));
        let by = Arc::new(caller.clone());
        let wish = BatchWish { session, name, messages: wishes(&new, Some(&by)) };
        let accepted = self.send_batch(caller, wish, new.once).await?;
        let missing = || VerbError::Unavailable("a message of the batch is missing".to_owned());
        let result = |one: Result<Option<Message>, _>| one.map_err(intake_error)?.ok_or_else(missing);
        let results = accepted.results.into_iter().map(result).collect();
        Ok(BatchOutcome { batch: accepted.record.map(|record| record.id), results })
    }

    pub(super) async fn accept_again(
        &self,
        caller: &Principal,
        id: MessageId,
        schedule: Schedule,
        once: Option<&Once>,
    ) -> Result<Message, VerbError> {
        let failed = self.message_of(caller, id).await?;
        if !matches!(failed.state, MessageState::Failed | MessageState::Expired) {
            let why = format!("the message is {}: only one that failed or expired is sent again", failed.state.name());
            return Err(VerbError::Conflict(why));
        }
        let Message { session, to, content, extras, .. } = &failed;
        let new = NewMessage { session: *session, to, content, extras, schedule, once };
        self.accept(caller, new).await
    }

    pub(super) async fn message_of(&self, caller: &Principal, id: MessageId) -> Result<Message, VerbError> {
        let own = origin(caller);
        if own.is_none() {
            need(caller, "messages", "read")?;
        }
        let message = self.storage.message(caller.tenant, id).await.map_err(unavailable)?.ok_or(VerbError::NotFound)?;
        let seen = caller.may_use(message.session) && (own.is_none() || message.origin == own);
        if seen { Ok(message) } else { Err(VerbError::NotFound) }
    }

    pub(super) async fn received_message(&self, caller: &Principal, event: u64) -> Result<Event, VerbError> {
        need(caller, "messages", "read")?;
        let found = self.storage.event(caller.tenant, event).await.map_err(unavailable)?;
        found.filter(|event| caller.may_use(event.session) && is_received(&event.fact)).ok_or(VerbError::NotFound)
    }

    pub(super) async fn log_page(&self, caller: &Principal, query: LogQuery) -> Result<LogPage, VerbError> {
        need(caller, "messages", "read")?;
        let query = match (query.session, caller.session) {
            (Some(session), _) => {
                self.reach(caller, session).await?;
                query
            }
            (None, bound) => LogQuery { session: bound, ..query },
        };
        self.storage.message_log(caller.tenant, &query).await.map_err(|error: StorageError| unavailable(error))
    }
}
