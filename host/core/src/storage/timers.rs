//! What is to happen to messages at a moment: the scheduled ones join the outbox, and those whose time is over expire.
//!
//! Timers of all tenants lie in the order of time, so that one worker waits for the first and sessions that are off line miss
//! nothing. A timer is a hint: what happens is decided by the message as it is then.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::codec::{decode, encode};
use super::engine::{Batch, Check, KeyRange};
use super::{Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::id::{MessageId, SessionId, TenantId};
use crate::records::message::{Message, MessageState};

/// How long a message of a test key stays in each state.
pub const PRETENCE_STEP: Duration = Duration::from_millis(500);

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TimerKind {
    /// The message joins the outbox.
    Release,
    /// The message is not sent any longer.
    Expire,
    /// What becomes of a message of a test key comes one step further.
    Pretend,
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

/// When which timers of a message that waits ring.
fn moments(message: &Message) -> [(Option<Timestamp>, TimerKind); 2] {
    let send_at = message.schedule.send_at;
    let begins = if message.test {
        let due = send_at.unwrap_or_default().max(message.accepted_at);
        (Some(due.plus(PRETENCE_STEP)), TimerKind::Pretend)
    } else {
        (send_at, TimerKind::Release)
    };
    [begins, (message.schedule.expires_at, TimerKind::Expire)]
}

/// What a message of a test key becomes next.
fn next_pretence(state: MessageState) -> Option<MessageState> {
    match state {
        MessageState::Queued => Some(MessageState::Acknowledged),
        MessageState::Acknowledged => Some(MessageState::Delivered),
        MessageState::Delivered => Some(MessageState::Read),
        _ => None,
    }
}

impl Storage {
    /// Sets the timers of a message that was just accepted.
    pub(super) fn set_timers(batch: &mut Batch, tenant: TenantId, message: &Message) -> Result<(), StorageError> {
        for (at, kind) in moments(message) {
            if let Some(at) = at {
                Self::set_timer(batch, tenant, message, at, kind)?;
            }
        }
        Ok(())
    }

    fn set_timer(
        batch: &mut Batch,
        tenant: TenantId,
        message: &Message,
        at: Timestamp,
        kind: TimerKind,
    ) -> Result<(), StorageError> {
        let key = keys::timer(at, tenant, message.id, kind as u8);
        let record = TimerRecord { tenant, session: message.session, message: message.id, kind };
        batch.put(key.clone(), encode(&key, &record)?);
        Ok(())
    }

    /// Takes the timers of a message back: it is over, one way or another.
    pub(super) fn drop_timers(batch: &mut Batch, tenant: TenantId, message: &Message) {
        for (at, kind) in moments(message) {
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

    /// Does what a timer is for and removes it; whether that set another one.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn ring_timer(&self, timer: &DueTimer, now: Timestamp) -> Result<bool, StorageError> {
        let TimerRecord { tenant, session, message: id, kind } = timer.record;
        let there = self.session(tenant, session).await?.is_some();
        let waiting = match self.message(tenant, id).await? {
            Some(message) if kind == TimerKind::Expire => self.place_of(tenant, &message).await?,
            _ => None,
        };
        let changed = self
            .change_message(tenant, id, |message, batch| {
                batch.delete(timer.key.clone());
                if kind == TimerKind::Pretend && there {
                    return Self::pretend(batch, tenant, message, now);
                }
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
        if let Some(message) = changed {
            return Ok(kind == TimerKind::Pretend && next_pretence(message.state).is_some());
        }
        let mut batch = Batch::default();
        batch.check(Check::Absent { key: keys::message(tenant, id) });
        batch.delete(timer.key.clone());
        self.engine.commit(batch).await.map(|_| false)
    }

    /// A message of a test key comes one step further, as one that leaves would.
    fn pretend(batch: &mut Batch, tenant: TenantId, message: &mut Message, now: Timestamp) -> Result<bool, StorageError> {
        let Some(next) = next_pretence(message.state) else { return Ok(true) };
        batch.check(Self::owner_check(tenant, message.session));
        if message.state == MessageState::Queued {
            message.attempts += 1;
            Self::unqueue(batch, tenant, message, None);
        }
        Self::advance(batch, tenant, message, next, now)?;
        if next_pretence(next).is_some() {
            Self::set_timer(batch, tenant, message, now.plus(PRETENCE_STEP), TimerKind::Pretend)?;
        }
        Ok(true)
    }
}
