//! One call: a fresh store with every limit switched on, and the reading of how it ended.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use switchboard_core::clock::Timestamp;
use switchboard_core::records::account::Principal;
use switchboard_core::records::id::TenantId;
use switchboard_core::records::once::Once;
use switchboard_core::records::plugin::Grants;
use switchboard_core::rules::plugin_plan::PluginFigures;
use switchboard_core::storage::KvEffects;
use wasmtime::component::{ResourceTable, ResourceTableError};
use wasmtime::{Engine, ResourceLimiter, Store, Trap, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::engine::EPOCH_TICK;
use crate::imports::{Fetching, Keeping};
use crate::limits::CallLimits;
use crate::log::{LogBuffer, LogLine, short_words};
use crate::masks::Masks;
use crate::outcome::{CallReport, Limit, Outcome};
use crate::runtime::CallContext;
use crate::verbs::Verbs;
use crate::wasi::CallClock;

/// A limit that was broken, as the error that ends the guest.
#[derive(Debug, thiserror::Error)]
#[error("{1}")]
pub(crate) struct Breach(pub(crate) Limit, pub(crate) String);

/// What a store holds: everything that one call may see.
pub(crate) struct CallState {
    pub(crate) principal: Option<Principal>,
    pub(crate) plugin: Arc<str>,
    pub(crate) made_at: Timestamp,
    pub(crate) config: Arc<str>,
    pub(crate) tenant: TenantId,
    pub(crate) grants: Arc<Grants>,
    pub(crate) now_ms: u64,
    pub(crate) once: Option<Arc<Once>>,
    /// What the host does for plugins; none where there is no host.
    pub(crate) verbs: Option<Arc<dyn Verbs>>,
    pub(crate) limits: Arc<CallLimits>,
    /// What the plan of the plugin's owner lets it use.
    pub(crate) figures: Arc<PluginFigures>,
    pub(crate) log: LogBuffer,
    /// What becomes of what the call keeps.
    pub(crate) keeping: Keeping,
    /// The secrets that it has read.
    pub(crate) masks: Masks,
    /// Whom it may ask over HTTP.
    pub(crate) fetching: Fetching,
    /// Whom it has asked, and what came of that: as many as it may ask.
    pub(crate) fetched: Vec<String>,
    /// Requests over HTTP beyond those.
    pub(crate) fetches_over: u32,
    pub(crate) host_calls: u32,
    /// A host call took longer than a tick: the next tick is not the guest's own.
    pub(crate) parked: bool,
    /// Calls that the store has served, this one included.
    pub(crate) calls: u32,
    /// Ticks that the guest has computed.
    ticks: u64,
    memory: MemoryMeter,
    table: ResourceTable,
    clock: CallClock,
    /// Made when the guest first asks for anything of it: most never do.
    wasi: Option<WasiCtx>,
}

impl CallState {
    pub(crate) fn new(context: &CallContext, verbs: Option<Arc<dyn Verbs>>, limits: Arc<CallLimits>) -> Self {
        let log = LogBuffer::new(limits.log_bytes_max);
        let clock = CallClock::new(context.now_ms);
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles_max);
        Self {
            principal: context.principal.clone(),
            plugin: Arc::clone(&context.plugin),
            made_at: context.made_at,
            config: Arc::clone(&context.config),
            tenant: context.tenant,
            grants: Arc::clone(&context.grants),
            now_ms: context.now_ms,
            once: context.once.clone(),
            verbs,
            memory: MemoryMeter { used: 0, growing: 0, limits: Arc::clone(&limits) },
            figures: Arc::clone(&context.figures),
            wasi: None,
            clock,
            limits,
            log,
            keeping: Keeping::default(),
            masks: Masks::default(),
            fetching: Fetching::default(),
            fetched: Vec::new(),
            fetches_over: 0,
            host_calls: 0,
            parked: false,
            calls: 1,
            ticks: 0,
            table,
        }
    }

    /// Begins another call for the same tenant, under the same configuration, grants and limits.
    fn renew(&mut self, context: &CallContext) {
        self.principal = context.principal.clone();
        self.now_ms = context.now_ms;
        self.once = context.once.clone();
        self.keeping = Keeping::default();
        // What the guest read before it may still know: it stays masked.
        self.fetching = Fetching::default();
        self.fetched.clear();
        self.fetches_over = 0;
        self.log.renew();
        self.clock.set(context.now_ms);
        (self.host_calls, self.parked, self.ticks) = (0, false, 0);
        self.calls += 1;
    }

    /// Linear memory that the guest has now.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory.used
    }

    /// What the run that this call is read and wrote.
    pub(crate) fn take_effects(&mut self) -> KvEffects {
        match std::mem::take(&mut self.keeping) {
            Keeping::WithRun(effects) => effects,
            Keeping::Nothing | Keeping::AtOnce => KvEffects::default(),
        }
    }
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Self { wasi, log, clock, table, .. } = self;
        WasiCtxView { ctx: wasi.get_or_insert_with(|| crate::wasi::empty_context(log, clock)), table }
    }
}

/// Counts memory over all memories of a component and ends the guest that wants more than it may have.
struct MemoryMeter {
    used: usize,
    /// What the growth under way asked for: given back when it fails.
    growing: usize,
    limits: Arc<CallLimits>,
}

impl ResourceLimiter for MemoryMeter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // Beyond the memory's own maximum it does not grow, which is the guest's affair.
        if maximum.is_some_and(|maximum| desired > maximum) {
            self.growing = 0;
            return Ok(false);
        }
        self.growing = desired.saturating_sub(current);
        let used = self.used.saturating_add(self.growing);
        let limit = self.limits.memory_bytes_max;
        if used > limit {
            return Err(Breach(Limit::Memory, format!("{used} bytes of memory; the limit is {limit}")).into());
        }
        self.used = used;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.used = self.used.saturating_sub(std::mem::take(&mut self.growing));
        Ok(())
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let limit = self.limits.table_elements_max;
        if desired > limit {
            return Err(Breach(Limit::Table, format!("{desired} table elements; the limit is {limit}")).into());
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.limits.instances_max
    }

    fn tables(&self) -> usize {
        self.limits.tables_max
    }

    fn memories(&self) -> usize {
        self.limits.memories_max
    }
}

/// What a call does in its store: on whichever thread there is time for it.
pub(crate) type InStore<'s, T> = Pin<Box<dyn Future<Output = wasmtime::Result<T>> + Send + 's>>;

/// That whatever a call borrows (`'e`) outlives its store (`'s`): given to what makes an [`InStore`], which could not say it.
pub(crate) struct Borrows<'s, 'e>(PhantomData<&'s &'e ()>);

impl Borrows<'_, '_> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

/// A fresh store with its deadlines armed.
pub(crate) fn fresh_store(engine: &Engine, state: CallState) -> Store<CallState> {
    let limits = Arc::clone(&state.limits);
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.memory);
    store.set_hostcall_fuel(limits.host_call_bytes_max);
    store.set_max_component_handles(limits.handles_max);
    let cpu_ms = u64::try_from(limits.cpu.as_millis()).unwrap_or(u64::MAX);
    let ticks_max = cpu_ms.div_ceil(u64::try_from(EPOCH_TICK.as_millis()).unwrap_or(1)).max(1);
    store.set_epoch_deadline(1);
    // One tick at a time: the guest gives way to its neighbours at each.
    store.epoch_deadline_callback(move |mut store| {
        let state = store.data_mut();
        if !std::mem::take(&mut state.parked) {
            state.ticks += 1;
        }
        if state.ticks > ticks_max {
            return Err(Breach(Limit::Cpu, format!("computed longer than {cpu_ms} ms")).into());
        }
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    });
    store
}

/// Arms the deadlines of a store that was kept, for its next call.
pub(crate) fn renew_store(store: &mut Store<CallState>, context: &CallContext) {
    store.data_mut().renew(context);
    store.set_epoch_deadline(1);
}

/// What a guest in Rust writes before what it says of a panic.
const PANICKED_AT: &str = " panicked at ";

/// How a call ended, from what wasmtime said.
pub(crate) fn read_ending<T>(ended: wasmtime::Result<T>, limits: &CallLimits) -> Outcome<T> {
    let error = match ended {
        Ok(reply) => return Outcome::Reply(reply),
        Err(error) => error,
    };
    if let Some(Breach(limit, why)) = error.downcast_ref::<Breach>() {
        return Outcome::LimitExceeded(*limit, why.clone());
    }
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return Outcome::LimitExceeded(Limit::Queue, "no free place in the pool".to_owned());
    }
    if matches!(error.downcast_ref::<ResourceTableError>(), Some(ResourceTableError::Full)) {
        return Outcome::LimitExceeded(Limit::Handles, format!("more than {} open handles", limits.handles_max));
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => {
            Outcome::LimitExceeded(Limit::Stack, format!("more than {} bytes of stack", limits.stack_bytes_max))
        }
        Some(trap) => Outcome::Trap(trap.to_string()),
        None => {
            let words = short_words(&error.root_cause().to_string());
            // wasmtime gives this breach no type of its own.
            if words.contains("fuel allocated for hostcalls") {
                let why = format!("more than {} bytes handed over in one host call", limits.host_call_bytes_max);
                return Outcome::LimitExceeded(Limit::Bytes, why);
            }
            Outcome::Trap(words)
        }
    }
}

/// What a call used, read off its store.
pub(crate) fn report(store: &Store<CallState>, took: std::time::Duration) -> CallReport {
    let state = store.data();
    let (mut log, log_dropped) = state.log.take();
    state.masks.mask(&mut log);
    let fetched = state.fetched.iter().map(|fetched| state.masks.masked(fetched.clone())).collect();
    let (host_calls, memory_bytes, fetches_over) = (state.host_calls, state.memory.used, state.fetches_over);
    CallReport { took, host_calls, memory_bytes, log, log_dropped, fetched, fetches_over }
}

/// How a call ended, with what the guest said of its panic: in Rust where it gave up, and in JavaScript, say, which value did not fit
/// its WIT type.
pub(crate) fn with_panic<T>(outcome: Outcome<T>, log: &[LogLine]) -> Outcome<T> {
    let Outcome::Trap(why) = outcome else { return outcome };
    let said = log.iter().rposition(|line| line.message.contains(PANICKED_AT)).and_then(|at| log.get(at + 1));
    Outcome::Trap(match said {
        Some(line) => short_words(&format!("{why}: {}", line.message)),
        None => why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::LogLevel;

    #[test]
    fn a_trap_has_the_words_of_the_panic_before_it() {
        let line = |message: &str| LogLine { level: LogLevel::Warn, message: message.to_owned() };
        let log =
            [line("hello"), line("thread '<unnamed>' panicked at src/lib.rs:1:2:"), line("no such tag"), line("note: x")];
        let trap = || Outcome::<()>::Trap("unreachable".to_owned());
        assert_eq!(with_panic(trap(), &log), Outcome::Trap("unreachable: no such tag".to_owned()));
        assert_eq!(with_panic(trap(), &log[..1]), trap());
        assert_eq!(with_panic(trap(), &log[..2]), trap());
        assert_eq!(with_panic(Outcome::Reply(()), &log), Outcome::Reply(()));
    }
}
