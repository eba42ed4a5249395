//! Rings the timers of messages: the scheduled ones join the outbox when their time comes, and others expire.
//!
//! One worker for all tenants and sessions, so that a message expires on time also while its session is off line.

use std::sync::Arc;
use std::time::Duration;

use super::outage::Outage;
use super::wakes::Wakes;
use crate::clock::{Clock, Timestamp};
use crate::storage::{Storage, StorageError};

/// Timers that are looked at in one turn.
const TURN_TIMERS: usize = 256;
/// How long the worker rests after storage failed.
const STORAGE_REST: Duration = Duration::from_secs(1);

/// Rings timers.
pub struct ScheduleWorker {
    /// Where the timers are.
    pub storage: Storage,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Says when there is a new one, and whom to tell.
    pub wakes: Arc<Wakes>,
}

impl ScheduleWorker {
    /// Rings until the future is dropped. Dropping it loses nothing: a timer that was not handled rings again.
    pub async fn run(&self) {
        let mut outage = Outage::default();
        loop {
            let more = self.wakes.timers_have_more();
            let next = match self.turn().await {
                Ok(next) => {
                    if let Some(lasted) = outage.ends(self.clock.now()) {
                        tracing::info!(lasted_s = lasted.as_secs(), "timers are read and written again");
                    }
                    next
                }
                Err(StorageError::Closed) => return,
                Err(error) => {
                    if outage.begins(self.clock.now()) {
                        tracing::error!(%error, "timers cannot be read or written");
                    }
                    Some(self.clock.now().plus(STORAGE_REST))
                }
            };
            match next {
                None => more.await,
                Some(next) => tokio::select! {
                    () = more => {}
                    () = self.clock.sleep_until(next) => {}
                },
            }
        }
    }

    /// Rings what is due; when the next one is, if there is one.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn turn(&self) -> Result<Option<Timestamp>, StorageError> {
        loop {
            let now = self.clock.now();
            let page = self.storage.due_timers(now, TURN_TIMERS).await?;
            for timer in &page.due {
                if self.storage.ring_timer(timer, now).await? {
                    // It may ring before the one that this page ends with.
                    self.wakes.timer_was_set();
                }
                self.wakes.outbox_has_more(timer.session());
                self.wakes.events_have_more(timer.tenant());
            }
            if page.due.len() < TURN_TIMERS {
                return Ok(page.next);
            }
        }
    }
}
