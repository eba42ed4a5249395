//! What is to happen to messages at a moment: the scheduled ones join the outbox, and those whose time is over expire.
//!
//! Timers of all tenants lie in the order of time, so that one worker waits for the first and sessions that are off line miss
//! nothing. A timer is a hint: what happens is decided by the message as it is then.

use serde::{Deserialize, Serialize};

use super::codec::{decode, encode};
use super::engine::{Batch, Check, KeyRange};
use super::{Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::id::{MessageId, SessionId, TenantId};
use crate::records::message::{Message, MessageState};

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TimerKind {
    /// The message joins the outbox.
    Release,
    /// The message is not sent any longer.
    Expire,
}

/// A timer whose moment has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueTimer {
    key: Vec<u8>,
    record: TimerRecord,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TimerRecord {
    tenant: TenantId,
    session: SessionId,
    message: MessageId,
    kind: TimerKind,
}

/// Timers that are due, and when the first of the others is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimerPage {
    /// Those that are due, the earliest first.
    pub due: Vec<DueTimer>,
    /// The moment of the next one, if it was looked at.
    pub next: Option<Timestamp>,
}

impl DueTimer {
    /// The session whose outbox may have more once it was handled.
    pub fn session(&self) -> SessionId {
        self.record.session
    }

    /// Whose it is.
    pub fn tenant(&self) -> TenantId {
        self.record.tenant
    }
}

impl Storage {
    /// Sets the timers of a message that was just accepted.
    pub(super) fn set_timers(batch: &mut Batch, tenant: TenantId, message: &Message) -> Result<(), StorageError> {
        let moments = [(message.schedule.send_at, TimerKind::Release), (message.schedule.expires_at, TimerKind::Expire)];
        for (at, kind) in moments {
            let Some(at) = at else { continue };
            let key = keys::timer(at, tenant, message.id, kind as u8);
            let record = TimerRecord { tenant, session: message.session, message: message.id, kind };
            batch.put(key.clone(), encode(&key, &record)?);
        }
        Ok(())
    }

    /// Takes the timers of a message back: it is over, one way or another.
    pub(super) fn drop_timers(batch: &mut Batch, tenant: TenantId, message: &Message) {
        let moments = [(message.schedule.send_at, TimerKind::Release), (message.schedule.expires_at, TimerKind::Expire)];
        for (at, kind) in moments {
            if let Some(at) = at {
                batch.delete(keys::timer(at, tenant, message.id, kind as u8));
            }
        }
    }

    /// Up to `limit` timers whose moment has come by `now`, of all tenants.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn due_timers(&self, now: Timestamp, limit: usize) -> Result<TimerPage, StorageError> {
        let mut page = TimerPage::default();
        for (key, value) in self.engine.range(&KeyRange::prefix(&keys::timers(), limit)).await? {
            let moment = keys::timer_moment(&key);
            if moment > now {
                page.next = Some(moment);
                break;
            }
            let record = decode(&key, &value)?;
            page.due.push(DueTimer { key, record });
        }
        Ok(page)
    }

    /// Does what a timer is for and removes it.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn ring_timer(&self, timer: &DueTimer, now: Timestamp) -> Result<(), StorageError> {
        let TimerRecord { tenant, session, message: id, kind } = timer.record;
        let there = self.session(tenant, session).await?.is_some();
        let waiting = match self.message(tenant, id).await? {
            Some(message) if kind == TimerKind::Expire => self.place_of(tenant, &message).await?,
            _ => None,
        };
        let changed = self
            .change_message(tenant, id, |message, batch| {
                batch.delete(timer.key.clone());
                // Whoever holds it by a lease looks at its time before sending.
                if message.state != MessageState::Queued {
                    return Ok(true);
                }
                if !there {
                    message.reason = Some("the session was deleted".to_owned());
                    Self::advance(batch, tenant, message, MessageState::Failed, now)?;
                } else if kind == TimerKind::Release {
                    batch.check(Self::owner_check(tenant, session));
                    // Whoever looked at it before sees that it has changed.
                    message.updated_at = now;
                    Self::queue(batch, tenant, message)?;
                } else {
                    message.reason = Some("its time was over before it could be sent".to_owned());
                    Self::unqueue(batch, tenant, message, waiting);
                    Self::advance(batch, tenant, message, MessageState::Expired, now)?;
                }
                Ok(true)
            })
            .await?;
        if changed.is_some() {
            return Ok(());
        }
        let mut batch = Batch::default();
        batch.check(Check::Absent { key: keys::message(tenant, id) });
        batch.delete(timer.key.clone());
        self.engine.commit(batch).await.map(|_| ())
    }
}
