//! Size classes: small components, and large ones that bring an interpreter. Each class has its engine, its places, its limits and
//! its turn to compile, so that the large cannot keep the small waiting.

use std::sync::Arc;

use switchboard_core::records::id::TenantId;
use switchboard_core::rules::plugin_plan::PluginFigures;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre, Linker};

use crate::call::CallState;
use crate::compile::{CompileError, CompileLimits};
use crate::engine::{EpochThread, class_engine};
use crate::imports;
use crate::kept::KeptInstances;
use crate::limits::CallLimits;
use crate::no_http;
use crate::runtime::RuntimeError;
use crate::shares::{Own, PerTenant, places_of_one, within_a_call};

/// Calls of small components that run at once, unless it is set.
const SMALL_PLACES: u32 = 64;
/// The same of large ones.
const LARGE_PLACES: u32 = 8;
/// Instances of small components that are kept, unless it is set.
const SMALL_KEPT: u32 = 64;
/// The same of large ones.
const LARGE_KEPT: u32 = 8;
/// Which part of the memory that a call may have an instance may have to be kept: all of them hold it for as long as they are.
const PART_OF_MEMORY: usize = 4;
/// Small components that are compiled at once. Of one owner it is one at a time: what takes long to compile holds up nobody else.
const SMALL_COMPILES: usize = 2;
/// The same of large ones, each of which may take as much memory as it is allowed.
const LARGE_COMPILES: usize = 1;
/// Components that wait to be compiled, unless it is set.
const COMPILES_WAITING_MAX: usize = 16;

/// How one size class is set up.
#[derive(Clone, Debug)]
pub struct ClassSettings {
    /// Calls that run at once.
    pub places: u32,
    /// Instances that are kept between calls, of plugins that ask for it; 0 keeps none.
    pub kept_max: u32,
    /// Limits of one call.
    pub limits: CallLimits,
    /// Limits of one compilation.
    pub compile: CompileLimits,
    /// Components that are compiled at once.
    pub compiles_at_once: usize,
    /// Components that wait while others are compiled.
    pub compiles_waiting_max: usize,
}

impl ClassSettings {
    /// Those of small components.
    pub fn small() -> Self {
        let (limits, compile) = (CallLimits::default(), CompileLimits::default());
        let compiles_waiting_max = COMPILES_WAITING_MAX;
        let (kept_max, compiles_at_once) = (SMALL_KEPT, SMALL_COMPILES);
        Self { places: SMALL_PLACES, kept_max, limits, compile, compiles_at_once, compiles_waiting_max }
    }

    /// Those of large components.
    pub fn large() -> Self {
        let (limits, compile) = (CallLimits::large(), CompileLimits::large());
        let compiles_waiting_max = COMPILES_WAITING_MAX;
        let (kept_max, compiles_at_once) = (LARGE_KEPT, LARGE_COMPILES);
        Self { places: LARGE_PLACES, kept_max, limits, compile, compiles_at_once, compiles_waiting_max }
    }
}

/// Where the components of one class run.
pub(crate) struct ClassRoom {
    pub(crate) engine: Engine,
    linker: Linker<CallState>,
    pub(crate) limits: Arc<CallLimits>,
    pub(crate) compile: CompileLimits,
    pub(crate) queue: CompileQueue,
    pub(crate) kept: Arc<KeptInstances>,
    places: Semaphore,
    /// As many again for calls that others wait for, each of which has a place already: none waits for what cannot come.
    nested: Semaphore,
    /// As many of them as one tenant may have.
    of_tenants: PerTenant<Semaphore>,
    _epoch: EpochThread,
}

/// A place for one call, until it is dropped.
pub(crate) struct Place<'a> {
    _place: SemaphorePermit<'a>,
    _of_tenant: Option<OwnedSemaphorePermit>,
    _tenant: Own<'a, Semaphore>,
}

impl ClassRoom {
    pub(crate) fn open(settings: ClassSettings) -> Result<Self, RuntimeError> {
        let engine = class_engine(settings.places.saturating_mul(2).saturating_add(settings.kept_max), &settings.limits)?;
        let kept_max = usize::try_from(settings.kept_max).unwrap_or_default();
        let places = usize::try_from(settings.places).unwrap_or(1);
        Ok(Self {
            linker: imports::link(&engine)?,
            kept: Arc::new(KeptInstances::new(kept_max, settings.limits.memory_bytes_max / PART_OF_MEMORY)),
            limits: Arc::new(settings.limits),
            compile: settings.compile,
            queue: CompileQueue::new(settings.compiles_at_once, settings.compiles_waiting_max),
            places: Semaphore::new(places),
            nested: Semaphore::new(places),
            of_tenants: PerTenant::new(move || Semaphore::new(places_of_one(places))),
            _epoch: EpochThread::start(&engine)?,
            engine,
        })
    }

    /// Links a component with everything that it can be given.
    pub(crate) fn instantiate_pre(&self, component: &Component) -> wasmtime::Result<InstancePre<CallState>> {
        if !no_http::is_imported(&self.engine, component) {
            return self.linker.instantiate_pre(component);
        }
        let mut linker = self.linker.clone();
        no_http::link(&mut linker, &self.engine, component)?;
        linker.instantiate_pre(component)
    }

    /// The limits of a call, where its plan has these figures.
    pub(crate) fn limits_for(&self, figures: &PluginFigures) -> Arc<CallLimits> {
        if *figures == PluginFigures::default() {
            return Arc::clone(&self.limits);
        }
        Arc::new(self.limits.narrowed(figures))
    }

    /// A place for one call of `tenant`; none when there was none for as long as a call waits, or none that this tenant may have.
    pub(crate) async fn place(&self, tenant: TenantId) -> Option<Place<'_>> {
        let own = self.of_tenants.of(tenant);
        // A call that another one waits for must not wait for that one's place.
        let nested = within_a_call();
        let free = async {
            if nested {
                return Some((None, self.nested.acquire().await.ok()?));
            }
            // Who has its part already waits for its own calls, and not in the line of the others.
            let of_tenant = Arc::clone(&own.own).acquire_owned().await.ok()?;
            Some((Some(of_tenant), self.places.acquire().await.ok()?))
        };
        let (of_tenant, place) = tokio::time::timeout(self.limits.queue, free).await.ok()??;
        Some(Place { _place: place, _of_tenant: of_tenant, _tenant: own })
    }
}

/// Whose turn it is to compile: a few components at a time, since each may take as much memory as it is allowed.
pub(crate) struct CompileQueue {
    /// Whoever compiles or waits.
    inside: Semaphore,
    turn: Semaphore,
    waiting_max: usize,
}

/// The turn to compile, until it is dropped.
pub(crate) struct CompileTurn<'a> {
    _inside: SemaphorePermit<'a>,
    _turn: SemaphorePermit<'a>,
}

impl CompileQueue {
    fn new(at_once: usize, waiting_max: usize) -> Self {
        let inside = Semaphore::new(waiting_max.saturating_add(at_once));
        Self { inside, turn: Semaphore::new(at_once), waiting_max }
    }

    /// Waits for the turn.
    ///
    /// # Errors
    /// [`CompileError::Busy`] when as many wait as may.
    pub(crate) async fn turn(&self) -> Result<CompileTurn<'_>, CompileError> {
        let busy = || CompileError::Busy { max: self.waiting_max };
        let inside = self.inside.try_acquire().map_err(|_| busy())?;
        let turn = self.turn.acquire().await.map_err(|_| busy())?;
        Ok(CompileTurn { _inside: inside, _turn: turn })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::shares::Processors;

    #[tokio::test]
    async fn a_call_that_another_one_waits_for_finds_a_place_when_all_are_taken() {
        let limits = CallLimits { queue: Duration::from_millis(1), ..CallLimits::default() };
        let room = ClassRoom::open(ClassSettings { places: 1, kept_max: 0, limits, ..ClassSettings::small() }).unwrap();
        let processors = Processors::new().unwrap();
        let _waits = room.place(TenantId(1)).await.unwrap();
        assert!(room.place(TenantId(2)).await.is_none());
        let asked = processors.share(TenantId(1), async { room.place(TenantId(1)).await.is_some() });
        assert!(asked.await);
    }

    #[tokio::test]
    async fn a_few_are_compiled_at_once_a_few_wait_and_others_are_told_to_come_back() {
        let queue = CompileQueue::new(2, 1);
        let (one, _two) = (queue.turn().await.unwrap(), queue.turn().await.unwrap());
        let mut waits = std::pin::pin!(queue.turn());
        assert!(futures_util::poll!(waits.as_mut()).is_pending());
        assert!(matches!(queue.turn().await, Err(CompileError::Busy { max: 1 })));
        drop(one);
        assert!(waits.await.is_ok());
    }
}
