//! The inbox: what WhatsApp tells a session becomes durable events.

use std::sync::Arc;

use futures_util::future::join_all;

use super::wakes::Wakes;
use crate::clock::{Clock, Timestamp};
use crate::records::event::{CONTACT_CHANGED, Fact, Incoming, NewFact, SESSION_QR};
use crate::records::id::{SessionId, TenantId};
use crate::records::message::Receipt;
use crate::records::people::Learned;
use crate::records::session::Session;
use crate::storage::{Learnt, SessionChange, Storage, StorageError};

/// Writes down what happens to one session.
#[derive(Clone)]
pub struct Inbox {
    /// Where it is written.
    pub storage: Storage,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whom to tell.
    pub wakes: Arc<Wakes>,
    /// Whose session it is.
    pub tenant: TenantId,
    /// The session.
    pub session: SessionId,
}

impl Inbox {
    /// Things happened. They are durable when this returns `Ok`, and only then may WhatsApp be told that messages arrived.
    /// Returns how many were new.
    ///
    /// # Errors
    /// When storage fails or the session is gone: WhatsApp is to deliver messages again.
    pub async fn record(&self, facts: &[NewFact]) -> Result<usize, StorageError> {
        let new = self.storage.record_facts(self.tenant, self.session, self.clock.now(), facts).await?;
        // Also for what is old: whoever wrote it down before may have been cut off before it was told of.
        self.wakes.events_have_more(self.tenant);
        if facts.iter().any(|new| new.fact.has_file()) {
            self.wakes.files_may_have_more();
        }
        if new > 0 {
            let mut writers = Vec::new();
            for writer in facts.iter().filter_map(named_writer) {
                if !writers.contains(&writer) {
                    writers.push(writer);
                }
            }
            // Those that are new share a sync of the disk.
            join_all(writers.iter().map(|writer| self.learn(writer))).await;
        }
        Ok(new)
    }

    /// Something about somebody became known. It is said again sooner or later, so that a failure loses little.
    pub async fn learn(&self, learned: &Learned) {
        let told = self.wakes.is_answered(self.tenant, CONTACT_CHANGED);
        match self.storage.learn_contact(self.tenant, self.session, self.clock.now(), learned, told).await {
            Ok(Some(Learnt { told: true, .. })) => self.wakes.events_have_more(self.tenant),
            // The session is gone, or the host stops.
            Ok(_) | Err(StorageError::Conflict | StorageError::Closed) => {}
            Err(error) => tracing::warn!(session = %self.session, %error, "a name could not be written down"),
        }
    }

    /// A QR code waits to be scanned: an event, if anybody wants it.
    ///
    /// # Errors
    /// When storage fails or the session is gone.
    pub async fn qr(&self, text: &str, expires_at: Timestamp) -> Result<(), StorageError> {
        let answered = self.wakes.is_answered(self.tenant, SESSION_QR);
        if answered || self.storage.webhooks_want(self.tenant, self.session, SESSION_QR).await? {
            let fact = Fact::SessionQr { text: text.to_owned(), expires_at };
            self.record(&[NewFact { fact, once: None, poll: None }]).await?;
        }
        Ok(())
    }

    /// A receipt for messages of this session came in.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn receipt(&self, receipt: &Receipt) -> Result<(), StorageError> {
        self.storage.record_receipt(self.tenant, self.session, receipt, self.clock.now()).await?;
        self.wakes.events_have_more(self.tenant);
        Ok(())
    }

    /// The session changed. `None` when it is gone.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn session(&self, change: &SessionChange) -> Result<Option<Session>, StorageError> {
        let session = self.storage.change_session(self.tenant, self.session, self.clock.now(), change).await?;
        self.wakes.events_have_more(self.tenant);
        Ok(session)
    }
}

/// Whoever wrote a message that says what they call themselves.
fn named_writer(new: &NewFact) -> Option<Learned> {
    let Fact::MessageReceived(incoming) = &new.fact else { return None };
    let Incoming { push_name, from_phone, from_lid, from_me: false, .. } = &**incoming else { return None };
    push_name.as_ref()?;
    Some(Learned { phone: from_phone.clone(), lid: from_lid.clone(), push_name: push_name.clone(), ..Learned::default() })
}
