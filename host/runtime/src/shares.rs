//! What the calls of one tenant leave to those of others: places, and time of processors.
//!
//! Of the places of a class one tenant has three quarters at most. Time is counted for each tenant: as long as it is not alone, one
//! that uses more than half of the processors goes on in turns, of which there are fewer than processors, and if its calls hold a
//! processor for long, on threads that give way to all others; tenants that wait for a turn are served in the order in which they
//! came. So a short call of a neighbour finds a processor that no long one holds.

use std::cell::Cell;
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use switchboard_core::records::id::TenantId;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::compile::CompileError;
use crate::inspect::{Inspection, inspect};
use crate::lane::SlowLane;

/// Computing beyond its part that a tenant may do before it takes turns.
const DEBT_MAX: Duration = Duration::from_millis(20);

/// The most that is remembered of it: who has stopped is soon free again.
const DEBT_KEPT_MAX: Duration = Duration::from_secs(1);

/// For how long a tenant that has called counts as company of the others.
const COMPANY: Duration = Duration::from_secs(1);

/// From which time on what a tenant computes at a stretch, as a rule, is long.
const LONG_STEP: Duration = Duration::from_micros(250);

/// So long a stretch is charged as it is: others can hardly have had the processor meanwhile.
const UNBROKEN: Duration = Duration::from_micros(100);

/// For how long it is good enough what a thread had computed.
const SEEN_FOR: Duration = Duration::from_micros(250);

/// How many of these places one tenant may have: as long as there are two, one is left.
pub(crate) fn places_of_one(places: usize) -> usize {
    places.saturating_sub((places / 4).max(1)).max(1)
}

/// From how many tenants on those that nobody needs to remember are looked for.
const SWEPT_FROM: usize = 64;

/// Something for each tenant that has calls under way, or has left something that must be remembered.
pub(crate) struct PerTenant<T> {
    make: Box<dyn Fn() -> T + Send + Sync>,
    /// Whether nothing about it must be remembered.
    forgettable: fn(&T) -> bool,
    all: Mutex<All<T>>,
}

struct All<T> {
    /// With the number of those who use it.
    of: HashMap<TenantId, (Arc<T>, usize)>,
    sweep_at: usize,
}

/// One tenant's, until it is dropped.
pub(crate) struct Own<'a, T> {
    all: &'a PerTenant<T>,
    tenant: TenantId,
    pub(crate) own: Arc<T>,
}

impl<T> PerTenant<T> {
    /// Made so, and forgotten with the last call.
    pub(crate) fn new(make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self::remembering(make, |_| true)
    }

    /// The same, and remembered after that until it is `forgettable`.
    fn remembering(make: impl Fn() -> T + Send + Sync + 'static, forgettable: fn(&T) -> bool) -> Self {
        let all = All { of: HashMap::new(), sweep_at: SWEPT_FROM };
        Self { make: Box::new(make), forgettable, all: Mutex::new(all) }
    }

    pub(crate) fn of(&self, tenant: TenantId) -> Own<'_, T> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.of.len() >= all.sweep_at {
            all.of.retain(|_, (own, users)| *users > 0 || !(self.forgettable)(own));
            // So that each is looked at a few times only, however many there are.
            all.sweep_at = SWEPT_FROM.max(all.of.len() * 2);
        }
        let (own, users) = all.of.entry(tenant).or_insert_with(|| (Arc::new((self.make)()), 0));
        *users += 1;
        Own { all: self, tenant, own: Arc::clone(own) }
    }
}

impl<T> Drop for Own<'_, T> {
    fn drop(&mut self) {
        let mut all = self.all.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((own, users)) = all.of.get_mut(&self.tenant) {
            *users -= 1;
            if *users == 0 && (self.all.forgettable)(own) {
                all.of.remove(&self.tenant);
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
    /// Those who go on in turns.
    turns: Semaphore,
    /// Where they do, if they compute for long at a stretch.
    lane: Arc<SlowLane>,
    company: Mutex<Company>,
    tenants: PerTenant<Tenant>,
}

/// The two tenants that called last, and when.
#[derive(Default)]
struct Company {
    last: Option<(TenantId, Instant)>,
    before: Option<(TenantId, Instant)>,
}

impl Company {
    fn join(&mut self, tenant: TenantId, now: Instant) {
        if self.last.is_some_and(|(last, _)| last != tenant) {
            self.before = self.last;
        }
        self.last = Some((tenant, now));
    }

    /// Whether nobody else has called lately.
    fn is_alone(&self, tenant: TenantId, now: Instant) -> bool {
        let other = self.last.filter(|(last, _)| *last != tenant).or(self.before);
        other.is_none_or(|(_, at)| now.saturating_duration_since(at) > COMPANY)
    }
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
    /// Whether it has become too much and is not paid off yet.
    in_turns: bool,
    /// What is computed at a stretch, as a rule.
    step: Duration,
    processors: u32,
}

impl Debt {
    fn none(processors: usize) -> Self {
        let processors = u32::try_from(processors).unwrap_or(1);
        Self { owed: Duration::ZERO, at: Instant::now(), in_turns: false, step: Duration::ZERO, processors }
    }

    /// The same later: half of the processors pay it off.
    fn at(self, now: Instant) -> Self {
        let paid = now.saturating_duration_since(self.at).saturating_mul(self.processors) / 2;
        let owed = self.owed.saturating_sub(paid);
        Self { owed, at: now, in_turns: self.in_turns && owed > Duration::ZERO, ..self }
    }

    /// With what was computed at a stretch until now.
    fn charged(self, spent: Duration, now: Instant) -> Self {
        let paid = self.at(now);
        let owed = paid.owed.saturating_add(spent).min(DEBT_KEPT_MAX);
        let step = (paid.step * 7 + spent) / 8;
        Self { owed, step, in_turns: paid.in_turns || owed > DEBT_MAX, ..paid }
    }
}

impl Processors {
    pub(crate) fn new() -> std::io::Result<Self> {
        Self::of(std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
    }

    fn of(count: usize) -> std::io::Result<Self> {
        let turns = count.saturating_sub(1).max(1);
        let tenant = move || Tenant { debt: Mutex::new(Debt::none(count)), line: Semaphore::new(turns) };
        let tenants = PerTenant::remembering(tenant, |tenant| tenant.debt().at(Instant::now()).owed.is_zero());
        let (lane, company) = (Arc::new(SlowLane::new(turns + 1)?), Mutex::default());
        Ok(Self { turns: Semaphore::new(turns), lane, company, tenants })
    }

    /// Runs a call of `tenant`, which gives way at each tick, and lets it go on in turns once its tenant has computed too much.
    pub(crate) async fn share<F: Future<Output: Send> + Send>(&self, tenant: TenantId, call: F) -> F::Output {
        // In the turn of the call that waits for this one: it goes on when that one does, and cannot wait for it.
        if within_a_call() {
            return call.await;
        }
        self.company().join(tenant, Instant::now());
        let own = self.tenants.of(tenant);
        let mut call = pin!(call);
        loop {
            let turn = self.turn(tenant, &own.own).await;
            let aside = turn.is_some() && own.own.debt().step > LONG_STEP;
            let step = poll_fn(|cx| {
                let (call, waker) = (call.as_mut(), cx.waker());
                let step = || {
                    let begun = Stretch::begin();
                    let step = Within::poll(call, &mut Context::from_waker(waker));
                    (step, begun.computed())
                };
                Poll::Ready(if aside { self.lane.run(step) } else { step() })
            });
            let (step, spent) = step.await;
            own.own.charge(spent);
            drop(turn);
            if let Poll::Ready(output) = step {
                return output;
            }
            // Until whatever the call waits for wakes this task.
            let mut woken = false;
            poll_fn(|_| if std::mem::replace(&mut woken, true) { Poll::Ready(()) } else { Poll::Pending }).await;
        }
    }

    /// Inspects a component, which may take a while, where others come first.
    pub(crate) async fn inspect(&self, bytes: &[u8]) -> Result<Inspection, CompileError> {
        let (lane, bytes) = (Arc::clone(&self.lane), bytes.to_vec());
        let inspected = tokio::task::spawn_blocking(move || lane.run(|| inspect(&bytes))).await;
        Ok(inspected.map_err(std::io::Error::other)??)
    }

    /// A turn, if this tenant needs one.
    async fn turn<'a>(&'a self, tenant: TenantId, own: &'a Tenant) -> Option<(SemaphorePermit<'a>, SemaphorePermit<'a>)> {
        let now = Instant::now();
        if !own.debt().at(now).in_turns || self.company().is_alone(tenant, now) {
            return None;
        }
        // Neither is ever closed.
        let line = own.line.acquire().await.ok()?;
        Some((line, self.turns.acquire().await.ok()?))
    }

    fn company(&self) -> MutexGuard<'_, Company> {
        self.company.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tenant {
    fn debt(&self) -> MutexGuard<'_, Debt> {
        self.debt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn charge(&self, spent: Duration) {
        let mut debt = self.debt();
        *debt = debt.charged(spent, Instant::now());
    }
}

thread_local! {
    /// What this thread had computed when that was last looked at.
    static SEEN: Cell<Option<(Instant, Duration)>> = const { Cell::new(None) };
}

/// A stretch of computing on this thread: a call is not charged for the time that others had its processor. The system is not asked
/// at every stretch, which would take longer than many of them.
struct Stretch(Instant);

impl Stretch {
    fn begin() -> Self {
        let now = Instant::now();
        let seen = SEEN.get().is_some_and(|(at, _)| now.saturating_duration_since(at) <= SEEN_FOR);
        if !seen {
            SEEN.set(Some((now, computed_here())));
        }
        Self(now)
    }

    /// What was computed since its beginning; at most `SEEN_FOR` too much.
    fn computed(self) -> Duration {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.0);
        if took <= UNBROKEN {
            return took;
        }
        let computed = computed_here();
        let before = SEEN.replace(Some((now, computed))).map_or(Duration::ZERO, |(_, before)| before);
        computed.saturating_sub(before).min(took)
    }
}

/// What this thread has computed so far.
fn computed_here() -> Duration {
    let computed = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(computed).unwrap_or_default()
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
        assert!(all.all.lock().unwrap().of.is_empty());
    }

    #[test]
    fn half_of_the_processors_pay_a_debt_off() {
        let at = Instant::now();
        let debt = |processors| Debt { owed: Duration::from_millis(100), at, ..Debt::none(processors) };
        assert_eq!(debt(4).at(at + Duration::from_millis(30)).owed, Duration::from_millis(40));
        assert_eq!(debt(1).at(at + Duration::from_millis(300)).owed, Duration::ZERO);
    }

    #[test]
    fn who_owes_too_much_takes_turns_until_all_is_paid_off() {
        let begun = Instant::now();
        let (ms, debt) = (Duration::from_millis, Debt { at: begun, ..Debt::none(2) });
        assert!(!debt.charged(ms(20), begun).in_turns);
        let owing = debt.charged(ms(20), begun).charged(ms(1), begun);
        assert!(owing.in_turns && owing.at(begun + ms(20)).in_turns);
        assert!(!owing.at(begun + ms(21)).in_turns);
        let most = debt.charged(ms(60_000), begun);
        assert_eq!((most.owed, most.at(begun + ms(1000)).in_turns), (DEBT_KEPT_MAX, false));
    }

    #[test]
    fn a_stretch_is_what_was_computed_and_not_what_was_waited() {
        let (_open, never) = std::sync::mpsc::sync_channel::<()>(0);
        let waiting = Stretch::begin();
        assert!(never.recv_timeout(Duration::from_millis(50)).is_err());
        assert!(waiting.computed() < Duration::from_millis(25));

        let (computing, before) = (Stretch::begin(), computed_here());
        while computed_here() - before < Duration::from_millis(5) {}
        let (computed, most) = (computing.computed(), computed_here() - before + SEEN_FOR);
        assert!(computed >= Duration::from_millis(5) && computed <= most, "{computed:?}, {most:?}");
    }

    #[test]
    fn a_tenant_is_alone_until_another_calls_and_a_while_after_that() {
        let (begun, mut company) = (Instant::now(), Company::default());
        assert!(company.is_alone(HEAVY, begun));
        company.join(HEAVY, begun);
        company.join(HEAVY, begun);
        assert_eq!((company.is_alone(HEAVY, begun), company.is_alone(LIGHT, begun)), (true, false));
        company.join(LIGHT, begun);
        company.join(LIGHT, begun + COMPANY);
        let later = begun + COMPANY + Duration::from_nanos(1);
        assert_eq!((company.is_alone(HEAVY, later), company.is_alone(LIGHT, later)), (false, true));
    }

    #[test]
    fn a_debt_is_remembered_beyond_the_last_call() {
        let processors = Processors::of(2).unwrap();
        drop(indebted(&processors, HEAVY));
        let known = || processors.tenants.all.lock().unwrap().of.len();
        assert_eq!((known(), processors.tenants.of(HEAVY).own.debt().in_turns), (1, true));
        processors.tenants.of(HEAVY).own.debt().owed = Duration::ZERO;
        assert_eq!(known(), 0);
        // Those who have paid meanwhile are forgotten when there are many.
        for tenant in 0..1000 {
            let owing = processors.tenants.of(TenantId(tenant));
            (owing.own.debt().owed, owing.own.debt().at) = (Duration::from_nanos(1), Instant::now());
        }
        assert!(known() <= SWEPT_FROM, "{}", known());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn who_takes_turns_goes_on_where_others_come_first() {
        let processors = Arc::new(Processors::of(2).unwrap());
        let where_it_goes_on = async |tenant| {
            let shared = Arc::clone(&processors);
            let call = async {
                tokio::task::yield_now().await;
                (std::thread::current().name().map(str::to_owned), tokio::runtime::Handle::try_current().is_ok())
            };
            tokio::spawn(async move { shared.share(tenant, call).await }).await.unwrap()
        };
        let _heavy = indebted(&processors, HEAVY);
        assert_eq!(where_it_goes_on(HEAVY).await, (Some("plugin-slow".to_owned()), true));
        assert_ne!(where_it_goes_on(LIGHT).await.0, Some("plugin-slow".to_owned()));
    }

    /// Owes more than may be owed, and is not alone; however long the test takes.
    fn indebted(processors: &Processors, tenant: TenantId) -> Own<'_, Tenant> {
        let (own, later) = (processors.tenants.of(tenant), Instant::now() + Duration::from_secs(3600));
        let debt = Debt { owed: DEBT_KEPT_MAX, at: later, in_turns: true, step: LONG_STEP * 2, ..*own.own.debt() };
        *own.own.debt() = debt;
        processors.company().join(HEAVY, later);
        processors.company().join(LIGHT, later);
        own
    }

    #[tokio::test]
    async fn only_who_computed_too_much_waits_for_a_turn() {
        let processors = Processors::of(2).unwrap();
        let heavy = indebted(&processors, HEAVY);
        let turn = processors.turn(HEAVY, &heavy.own).await;
        assert!(turn.is_some(), "there is one turn");
        assert!(processors.share(HEAVY, async {}).now_or_never().is_none(), "and it is taken");
        assert!(processors.share(LIGHT, async {}).now_or_never().is_some());
        drop(turn);
        assert!(processors.share(HEAVY, async {}).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_call_that_another_makes_goes_on_in_its_turn() {
        let processors = Processors::of(2).unwrap();
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
        let processors = Processors::of(2).unwrap();
        let (heavy, light) = (indebted(&processors, HEAVY), indebted(&processors, LIGHT));
        let turn = processors.turn(HEAVY, &heavy.own).await;
        let mut more: Vec<_> = (0..5).map(|_| Box::pin(processors.turn(HEAVY, &heavy.own))).collect();
        for one in &mut more {
            assert!(one.now_or_never().is_none());
        }
        let mut other = Box::pin(processors.turn(LIGHT, &light.own));
        assert!((&mut other).now_or_never().is_none());
        drop(turn);
        // One of the same tenant stood in line before; the others come after the neighbour.
        assert!((&mut other).now_or_never().is_some());
    }
}
