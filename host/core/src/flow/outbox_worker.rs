//! Sends a session's outbox: one message at a time, in the order of acceptance.
//!
//! A message leaves the queue only when WhatsApp's server acknowledged it or it can never be sent. Until then a crash, a
//! lost connection or silence repeats it under the same WhatsApp id, which phones show once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::wakes::Wakes;
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::records::id::{SessionId, TenantId};
use crate::records::message::Message;
use crate::rules::backoff::RESEND;
use crate::storage::{SendOutcome, Storage, StorageError};

/// How long the worker rests after storage failed.
const STORAGE_REST: Duration = Duration::from_secs(1);

/// Hands one message to WhatsApp and waits for the server's word.
#[async_trait]
pub trait Sender: Send + Sync {
    /// Returns once the session is on line.
    async fn ready(&self);
    /// Sends `message` under its own WhatsApp id.
    async fn send(&self, message: &Message) -> SendOutcome;
}

/// What one turn of the worker did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The queue is empty.
    Idle,
    /// The first message left the queue.
    Settled,
    /// The first message has to be sent again, after this long.
    Rest(Duration),
}

/// Sends the outbox of one session.
pub struct OutboxWorker {
    /// Where the outbox is.
    pub storage: Storage,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Spreads resends.
    pub entropy: Arc<dyn Entropy>,
    /// Says when there is more.
    pub wakes: Arc<Wakes>,
    /// Whose session it is.
    pub tenant: TenantId,
    /// The session.
    pub session: SessionId,
}

impl OutboxWorker {
    /// Sends until the future is dropped. Dropping it loses nothing: what was not settled is sent again. It may also end by
    /// itself once the session is gone.
    pub async fn run(&self, sender: &dyn Sender) {
        let bell = self.wakes.outbox(self.session);
        loop {
            let more = bell.notified();
            sender.ready().await;
            match self.turn(sender).await {
                Ok(Turn::Settled) => {}
                Ok(Turn::Idle) => more.await,
                Ok(Turn::Rest(wait)) => self.clock.sleep_until(self.clock.now().plus(wait)).await,
                Err(StorageError::Closed | StorageError::Conflict) => return,
                Err(error) => {
                    tracing::error!(session = %self.session, %error, "the outbox cannot be read or written");
                    self.clock.sleep_until(self.clock.now().plus(STORAGE_REST)).await;
                }
            }
        }
    }

    /// Sends the first message of the queue, if there is one.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when the session is gone; else when storage fails.
    pub async fn turn(&self, sender: &dyn Sender) -> Result<Turn, StorageError> {
        let Some(due) = self.storage.next_due_send(self.tenant, self.session).await? else { return Ok(Turn::Idle) };
        let outcome = sender.send(&due.message).await;
        self.storage.settle_send(self.tenant, &due, &outcome, self.clock.now()).await?;
        self.wakes.events_have_more(self.tenant);
        match outcome {
            SendOutcome::Acknowledged => Ok(Turn::Settled),
            SendOutcome::Failed(reason) => {
                tracing::warn!(session = %self.session, message_id = %due.message.id, %reason, "a message cannot be sent");
                Ok(Turn::Settled)
            }
            SendOutcome::Again(reason) => {
                tracing::info!(session = %self.session, message_id = %due.message.id, %reason, "a message is sent again");
                Ok(Turn::Rest(RESEND.wait(due.message.attempts, self.entropy.next_u64())))
            }
        }
    }
}
