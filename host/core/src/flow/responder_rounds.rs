//! Which responder is served when: each of each tenant for itself, so that one that takes its time holds up nobody else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::Notify;

use super::outage::Outage;
use super::responder_worker::ResponderWorker;
use crate::clock::Timestamp;
use crate::records::id::TenantId;
use crate::rules::backoff::RESPONDER;
use crate::storage::StorageError;

/// Responders that are served at once.
const AT_ONCE: usize = 64;
/// Those of one tenant among them.
const AT_ONCE_OF_ONE: usize = 16;

/// A responder as it serves one tenant.
type Unit = (TenantId, String);

/// Who waits to be served, who is, and who is to be later.
#[derive(Default)]
struct Rounds {
    /// Those that have something to do, in the order in which they came.
    waiting: VecDeque<Unit>,
    /// The same.
    queued: BTreeSet<Unit>,
    /// Those that are served, with the bell that tells them of more.
    under_way: BTreeMap<Unit, Arc<Notify>>,
    of_tenant: BTreeMap<TenantId, usize>,
    sleepers: BTreeMap<Unit, Timestamp>,
    outages: BTreeMap<Unit, Outage>,
}

impl Rounds {
    /// There may be something to do for this one.
    fn rings(&mut self, unit: Unit) {
        match self.under_way.get(&unit) {
            Some(bell) => bell.notify_one(),
            None if self.queued.insert(unit.clone()) => self.waiting.push_back(unit),
            None => {}
        }
    }

    /// Lets those wait no longer that slept until `now`.
    fn wake(&mut self, now: Timestamp) {
        let awake: Vec<Unit> =
            self.sleepers.iter().filter(|(_, wake)| **wake <= now).map(|(unit, _)| unit.clone()).collect();
        for unit in awake {
            self.sleepers.remove(&unit);
            self.rings(unit);
        }
    }

    /// Who is served next, if there is a place for it.
    fn begin(&mut self) -> Option<(Unit, Arc<Notify>)> {
        if self.under_way.len() >= AT_ONCE {
            return None;
        }
        let may = |unit: &Unit| self.of_tenant.get(&unit.0).is_none_or(|count| *count < AT_ONCE_OF_ONE);
        let at = self.waiting.iter().position(may)?;
        let unit = self.waiting.remove(at)?;
        self.queued.remove(&unit);
        self.sleepers.remove(&unit);
        *self.of_tenant.entry(unit.0).or_default() += 1;
        let bell = Arc::new(Notify::new());
        self.under_way.insert(unit.clone(), Arc::clone(&bell));
        Some((unit, bell))
    }

    /// One was served for now: it is to be again, at once if its bell has rung and it did not hear that.
    fn ended(&mut self, unit: &Unit) {
        let bell = self.under_way.remove(unit);
        if let Some(count) = self.of_tenant.get_mut(&unit.0) {
            *count -= 1;
            if *count == 0 {
                self.of_tenant.remove(&unit.0);
            }
        }
        if bell.is_some_and(|bell| bell.notified().now_or_never().is_some()) {
            self.rings(unit.clone());
        }
    }

    /// What became of it.
    ///
    /// # Errors
    /// [`StorageError::Closed`]: there is nothing left to serve.
    fn settle(
        &mut self,
        unit: Unit,
        turn: Result<Option<Timestamp>, StorageError>,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        self.ended(&unit);
        let (tenant, responder) = (unit.0, unit.1.clone());
        match turn {
            Ok(wake) => {
                if let Some(lasted) = self.outages.remove(&unit).and_then(|mut outage| outage.ends(now)) {
                    tracing::info!(%tenant, responder, lasted_s = lasted.as_secs(), "a responder is served again");
                }
                self.sleepers.extend(wake.map(|wake| (unit, wake)));
            }
            Err(StorageError::Closed) => return Err(StorageError::Closed),
            Err(error) => {
                if self.outages.entry(unit.clone()).or_default().begins(now) {
                    tracing::error!(%tenant, responder, %error, "a responder cannot be served");
                }
                self.sleepers.insert(unit, now.plus(RESPONDER.first));
            }
        }
        Ok(())
    }
}

impl ResponderWorker {
    /// Serves until the future is dropped. Dropping it loses nothing: what was not settled runs again.
    pub async fn run(&self) {
        let (mut rounds, mut turns) = (Rounds::default(), FuturesUnordered::new());
        if self.ring_all().await.is_err() {
            return;
        }
        loop {
            while let Some((unit, bell)) = rounds.begin() {
                let turn = async move {
                    let turn = self.serve_subscription(unit.0, &unit.1, &bell).await;
                    (unit, turn)
                };
                turns.push(turn.boxed());
            }
            let wake = rounds.sleepers.values().min().copied();
            tokio::select! {
                tenants = self.wakes.tenants_with_events() => {
                    for tenant in tenants {
                        let of_tenant = self.responders.subscriptions(tenant).into_iter();
                        of_tenant.for_each(|subscription| rounds.rings((tenant, subscription.name)));
                    }
                }
                Some((unit, turn)) = turns.next() => {
                    if rounds.settle(unit, turn, self.clock.now()).is_err() {
                        return;
                    }
                }
                () = self.sleep_until(wake) => rounds.wake(self.clock.now()),
            }
        }
    }

    /// Lets every tenant's responders look whether they owe something.
    ///
    /// # Errors
    /// [`StorageError::Closed`]; any other is waited out.
    async fn ring_all(&self) -> Result<(), StorageError> {
        let mut outage = Outage::default();
        loop {
            match self.storage.tenants().await {
                Ok(tenants) => {
                    tenants.iter().for_each(|tenant| self.wakes.events_have_more(tenant.id));
                    return Ok(());
                }
                Err(StorageError::Closed) => return Err(StorageError::Closed),
                Err(error) => {
                    if outage.begins(self.clock.now()) {
                        tracing::error!(%error, "what responders owe cannot be looked up");
                    }
                    self.clock.sleep_until(self.clock.now().plus(RESPONDER.first)).await;
                }
            }
        }
    }
}
