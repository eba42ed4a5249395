//! What the calls of one tenant leave to those of others: places, and time of processors.
//!
//! Of the places of a class one tenant has three quarters at most. Time is counted for each tenant that has calls under way: one
//! that uses more than half of the processors goes on in turns, of which there are fewer than processors, and tenants that wait
//! for one are served in the order in which they came. So a short call of a neighbour finds a processor that no long one holds.

use std::cell::Cell;
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use switchboard_core::records::id::TenantId;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// Computing beyond its part that a tenant may do before it takes turns.
const DEBT_MAX: Duration = Duration::from_millis(20);

/// The most that is remembered of it: who has stopped is soon free again.
const DEBT_KEPT_MAX: Duration = Duration::from_secs(1);

/// How many of these places one tenant may have: as long as there are two, one is left.
pub(crate) fn places_of_one(places: usize) -> usize {
    places.saturating_sub((places / 4).max(1)).max(1)
}

/// Something for each tenant that has calls under way.
pub(crate) struct PerTenant<T> {
    make: Box<dyn Fn() -> T + Send + Sync>,
    /// With the number of those who use it.
    all: Mutex<HashMap<TenantId, (Arc<T>, usize)>>,
}

/// One tenant's, until it is dropped.
pub(crate) struct Own<'a, T> {
    all: &'a PerTenant<T>,
    tenant: TenantId,
    pub(crate) own: Arc<T>,
}

impl<T> PerTenant<T> {
    pub(crate) fn new(make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self { make: Box::new(make), all: Mutex::default() }
    }

    pub(crate) fn of(&self, tenant: TenantId) -> Own<'_, T> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let (own, users) = all.entry(tenant).or_insert_with(|| (Arc::new((self.make)()), 0));
        *users += 1;
        Own { all: self, tenant, own: Arc::clone(own) }
    }
}

impl<T> Drop for Own<'_, T> {
    fn drop(&mut self) {
        let mut all = self.all.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, users)) = all.get_mut(&self.tenant) {
            *users -= 1;
            if *users == 0 {
                all.remove(&self.tenant);
            }
        }
    }
}

thread_local! {
    /// Whether what runs on this thread is part of a call.
    static WITHIN: Cell<bool> = const { Cell::new(false) };
}

/// Whether whoever asks is part of a call: what a plugin asks of the host may be asked of another plugin, such as a policy.
pub(crate) fn within_a_call() -> bool {
    WITHIN.get()
}

/// Until it is dropped, what runs on this thread is part of a call.
struct Within;

impl Within {
    fn poll<F: Future>(call: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
        WITHIN.set(true);
        let _within = Self;
        call.poll(cx)
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        WITHIN.set(false);
    }
}

/// The processors, and who has used how much of them.
pub(crate) struct Processors {
    count: usize,
    /// Those who go on in turns.
    turns: Semaphore,
    tenants: PerTenant<Tenant>,
}

/// What one tenant has computed beyond its part.
struct Tenant {
    debt: Mutex<Debt>,
    /// Its own calls wait here, so that no more of them than there are turns stand in line with those of others.
    line: Semaphore,
}

/// Time owed, at a moment.
#[derive(Clone, Copy)]
struct Debt {
    owed: Duration,
    at: Instant,
}

impl Debt {
    /// The same later: half of the processors pay it off.
    fn at(self, now: Instant, processors: usize) -> Self {
        let paid = now.saturating_duration_since(self.at).saturating_mul(u32::try_from(processors).unwrap_or(1)) / 2;
        Self { owed: self.owed.saturating_sub(paid), at: now }
    }
}

impl Processors {
    pub(crate) fn new() -> Self {
        Self::of(std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
    }

    fn of(count: usize) -> Self {
        let turns = count.saturating_sub(1).max(1);
        let tenant = move || Tenant {
            debt: Mutex::new(Debt { owed: Duration::ZERO, at: Instant::now() }),
            line: Semaphore::new(turns),
        };
        Self { count, turns: Semaphore::new(turns), tenants: PerTenant::new(tenant) }
    }

    /// Runs a call of `tenant`, which gives way at each tick, and lets it go on in turns once its tenant has computed too much.
    pub(crate) async fn share<F: Future>(&self, tenant: TenantId, call: F) -> F::Output {
        // In the turn of the call that waits for this one: it goes on when that one does, and cannot wait for it.
        if within_a_call() {
            return call.await;
        }
        let tenant = self.tenants.of(tenant);
        let mut call = pin!(call);
        loop {
            let turn = self.turn(&tenant.own).await;
            let begun = Instant::now();
            let step = poll_fn(|cx| Poll::Ready(Within::poll(call.as_mut(), cx))).await;
            self.charge(&tenant.own, begun);
            drop(turn);
            if let Poll::Ready(output) = step {
                return output;
            }
            // Until whatever the call waits for wakes this task.
            let mut woken = false;
            poll_fn(|_| if std::mem::replace(&mut woken, true) { Poll::Ready(()) } else { Poll::Pending }).await;
        }
    }

    /// A turn, if this tenant needs one.
    async fn turn<'a>(&'a self, tenant: &'a Tenant) -> Option<(SemaphorePermit<'a>, SemaphorePermit<'a>)> {
        if self.owed(tenant) <= DEBT_MAX {
            return None;
        }
        // Neither is ever closed.
        let own = tenant.line.acquire().await.ok()?;
        Some((own, self.turns.acquire().await.ok()?))
    }

    fn owed(&self, tenant: &Tenant) -> Duration {
        let mut debt = tenant.debt.lock().unwrap_or_else(PoisonError::into_inner);
        *debt = debt.at(Instant::now(), self.count);
        debt.owed
    }

    fn charge(&self, tenant: &Tenant, begun: Instant) {
        let now = Instant::now();
        let mut debt = tenant.debt.lock().unwrap_or_else(PoisonError::into_inner);
        *debt = debt.at(now, self.count);
        debt.owed = debt.owed.saturating_add(now.saturating_duration_since(begun)).min(DEBT_KEPT_MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::FutureExt;

    use super::*;

    const HEAVY: TenantId = TenantId(1);
    const LIGHT: TenantId = TenantId(2);

    #[test]
    fn one_tenant_never_has_the_last_place() {
        let of_one: Vec<usize> = [1, 2, 3, 4, 8, 64].into_iter().map(places_of_one).collect();
        assert_eq!(of_one, [1, 1, 2, 3, 6, 48]);
    }

    #[test]
    fn what_is_kept_for_a_tenant_goes_with_its_last_call() {
        let made = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&made);
        let all = PerTenant::new(move || count.fetch_add(1, Ordering::Relaxed));
        let (first, second) = (all.of(HEAVY), all.of(HEAVY));
        assert!(Arc::ptr_eq(&first.own, &second.own));
        drop(first);
        let third = all.of(HEAVY);
        assert_eq!(made.load(Ordering::Relaxed), 1);
        drop((second, third));
        assert!(all.all.lock().unwrap().is_empty());
    }

    #[test]
    fn half_of_the_processors_pay_a_debt_off() {
        let at = Instant::now();
        let debt = Debt { owed: Duration::from_millis(100), at };
        assert_eq!(debt.at(at + Duration::from_millis(30), 4).owed, Duration::from_millis(40));
        assert_eq!(debt.at(at + Duration::from_millis(300), 1).owed, Duration::ZERO);
    }

    /// Owes more than may be owed.
    fn indebted(processors: &Processors, tenant: TenantId) -> Own<'_, Tenant> {
        let own = processors.tenants.of(tenant);
        own.own.debt.lock().unwrap().owed = DEBT_KEPT_MAX;
        own
    }

    #[tokio::test]
    async fn only_who_computed_too_much_waits_for_a_turn() {
        let processors = Processors::of(2);
        let heavy = indebted(&processors, HEAVY);
        let turn = processors.turn(&heavy.own).await;
        assert!(turn.is_some(), "there is one turn");
        assert!(processors.share(HEAVY, async {}).now_or_never().is_none(), "and it is taken");
        assert!(processors.share(LIGHT, async {}).now_or_never().is_some());
        drop(turn);
        assert!(processors.share(HEAVY, async {}).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_call_that_another_makes_goes_on_in_its_turn() {
        let processors = Processors::of(2);
        let _heavy = indebted(&processors, HEAVY);
        let inner = async || {
            assert!(within_a_call());
            tokio::task::yield_now().await;
        };
        let outer = processors.share(HEAVY, async { processors.share(HEAVY, inner()).await });
        let ended = tokio::time::timeout(Duration::from_secs(30), outer).await;
        assert!(ended.is_ok(), "it waits for itself");
        assert!(!within_a_call());
    }

    #[tokio::test]
    async fn tenants_that_owe_are_served_by_turns_however_many_calls_each_has() {
        let processors = Processors::of(2);
        let (heavy, light) = (indebted(&processors, HEAVY), indebted(&processors, LIGHT));
        let turn = processors.turn(&heavy.own).await;
        let mut more: Vec<_> = (0..5).map(|_| Box::pin(processors.turn(&heavy.own))).collect();
        for one in &mut more {
            assert!(one.now_or_never().is_none());
        }
        let mut other = Box::pin(processors.turn(&light.own));
        assert!((&mut other).now_or_never().is_none());
        drop(turn);
        // One of the same tenant stood in line before; the others come after the neighbour.
        assert!((&mut other).now_or_never().is_some());
    }
}
