//! Wakes: the host's workers are told that something is new instead of polling for it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::records::id::{SessionId, TenantId};

/// Tells workers of one process that there is something new for them.
#[derive(Default)]
pub struct Wakes {
    outboxes: Mutex<HashMap<SessionId, Arc<Notify>>>,
    tenants: Mutex<BTreeSet<TenantId>>,
    events: Notify,
    timers: Notify,
}

impl Wakes {
    /// The bell of one session's outbox.
    pub fn outbox(&self, session: SessionId) -> Arc<Notify> {
        self.outboxes.lock().map(|mut bells| Arc::clone(bells.entry(session).or_default())).unwrap_or_default()
    }

    /// There is a new message in the outbox of `session`.
    pub fn outbox_has_more(&self, session: SessionId) {
        self.outbox(session).notify_one();
    }

    /// Forgets the bell of a session that was deleted.
    pub fn forget(&self, session: SessionId) {
        if let Ok(mut bells) = self.outboxes.lock() {
            bells.remove(&session);
        }
    }

    /// A timer was set that may be earlier than those before.
    pub fn timer_was_set(&self) {
        self.timers.notify_one();
    }

    /// Waits until a timer was set.
    pub async fn timers_have_more(&self) {
        self.timers.notified().await;
    }

    /// There is a new event of `tenant`.
    pub fn events_have_more(&self, tenant: TenantId) {
        if let Ok(mut tenants) = self.tenants.lock() {
            tenants.insert(tenant);
        }
        self.events.notify_one();
    }

    /// Waits until some tenant has a new event, and returns all that have.
    pub async fn tenants_with_events(&self) -> BTreeSet<TenantId> {
        loop {
            let bell = self.events.notified();
            let waiting = self.tenants.lock().map(|mut tenants| std::mem::take(&mut *tenants)).unwrap_or_default();
            if !waiting.is_empty() {
                return waiting;
            }
            bell.await;
        }
    }
}
