//! Wakes: the host's workers are told that something is new instead of polling for it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, watch};

use crate::records::id::{SessionId, TenantId};
use crate::rules::event_filter;

/// Tells workers of one process that there is something new for them.
#[derive(Default)]
pub struct Wakes {
    outboxes: Mutex<HashMap<SessionId, Arc<Notify>>>,
    responders: TenantBell,
    webhooks: TenantBell,
    readers: Mutex<HashMap<TenantId, watch::Sender<()>>>,
    timers: Notify,
    files: Notify,
    /// What responders answer, and whose: what is written down only for those who want it depends on that.
    answered: Mutex<Vec<(TenantId, String)>>,
}

/// Tenants for whom there is something new, and the bell that says so.
#[derive(Default)]
struct TenantBell {
    tenants: Mutex<BTreeSet<TenantId>>,
    rung: Notify,
}

impl TenantBell {
    fn ring(&self, tenant: TenantId) {
        if let Ok(mut tenants) = self.tenants.lock() {
            tenants.insert(tenant);
        }
        self.rung.notify_one();
    }

    async fn tenants(&self) -> BTreeSet<TenantId> {
        loop {
            let rung = self.rung.notified();
            let waiting = self.tenants.lock().map(|mut tenants| std::mem::take(&mut *tenants)).unwrap_or_default();
            if !waiting.is_empty() {
                return waiting;
            }
            rung.await;
        }
    }
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

    /// Files may be owed that were not before, or can be had now.
    pub fn files_may_have_more(&self) {
        self.files.notify_one();
    }

    /// Waits until files may be owed.
    pub async fn files_have_more(&self) {
        self.files.notified().await;
    }

    /// From now on responders answer events of these types; the operator's those of every tenant.
    pub fn responders_answer(&self, answered: Vec<(TenantId, String)>) {
        if let Ok(mut now) = self.answered.lock() {
            *now = answered;
        }
    }

    /// Whether a responder answers events of this type of `tenant`.
    pub fn is_answered(&self, tenant: TenantId, event_type: &str) -> bool {
        let answers = |(owner, answered): &(TenantId, String)| {
            (*owner == tenant || *owner == TenantId::OPERATOR)
                && event_filter::takes(std::slice::from_ref(answered), event_type)
        };
        self.answered.lock().is_ok_and(|answered| answered.iter().any(answers))
    }

    /// There is a new event of `tenant`.
    pub fn events_have_more(&self, tenant: TenantId) {
        self.responders.ring(tenant);
        self.webhooks.ring(tenant);
        if let Ok(mut readers) = self.readers.lock()
            && let Some(bell) = readers.get(&tenant)
        {
            if bell.receiver_count() == 0 {
                readers.remove(&tenant);
            } else {
                bell.send_replace(());
            }
        }
    }

    /// A responder of `tenant` may have more to do, though nothing new happened.
    pub fn responders_have_more(&self, tenant: TenantId) {
        self.responders.ring(tenant);
    }

    /// A bell that rings for every new event of `tenant`. Any number of readers may have one; what rang while nobody waited is
    /// heard at the next wait.
    pub fn event_bell(&self, tenant: TenantId) -> watch::Receiver<()> {
        let subscribe = |mut readers: std::sync::MutexGuard<'_, HashMap<TenantId, watch::Sender<()>>>| {
            readers.entry(tenant).or_insert_with(|| watch::channel(()).0).subscribe()
        };
        self.readers.lock().map(subscribe).unwrap_or_else(|_| watch::channel(()).1)
    }

    /// A webhook endpoint of `tenant` was made, changed or is owed more.
    pub fn webhooks_have_more(&self, tenant: TenantId) {
        self.webhooks.ring(tenant);
    }

    /// Waits until some tenant has a new event, and returns all that have: for the one worker that serves responders.
    pub async fn tenants_with_events(&self) -> BTreeSet<TenantId> {
        self.responders.tenants().await
    }

    /// The same for the one worker that delivers webhooks.
    pub async fn tenants_with_webhooks(&self) -> BTreeSet<TenantId> {
        self.webhooks.tenants().await
    }
}
