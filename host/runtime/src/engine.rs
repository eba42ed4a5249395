//! The engine: its configuration, its pool of places, and the thread that moves its epoch.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::limits::CallLimits;

/// How often the epoch moves: the finest step of the CPU limit.
pub(crate) const EPOCH_TICK: Duration = Duration::from_millis(5);
/// Address space of one memory: with 4 GiB no access needs a bounds check.
const MEMORY_RESERVATION_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// What the host's side of an async call needs on top of the guest's stack.
const HOST_STACK_BYTES: usize = 512 * 1024;
/// What of it is cleared by hand and stays warm: more than a call uses, as a rule. Giving pages back to the kernel interrupts
/// every processor that runs this process.
const STACK_KEEP_BYTES: usize = 64 * 1024;
/// Memory that a free place keeps warm, where the kernel can tell which pages were touched: a part of what a call may have, within
/// these bounds. Guests in Rust have a stack of 1 MiB before everything else: what a call writes lies behind it, and would have to be
/// fetched anew for each.
const WARM_PART: usize = 32;
const WARM_BYTES: RangeInclusive<usize> = 2 * 1024 * 1024..=8 * 1024 * 1024;
/// Bytes of tables that a free place keeps warm.
const WARM_TABLE_BYTES: usize = 1024 * 1024;

/// What compilation and execution must agree on. Places, stacks and epochs are no part of it: code fits either class.
pub(crate) fn compile_config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_tail_call(false)
        // Where in the component something broke is told to nobody: the map would be a good part of the code's size.
        .generate_address_map(false)
        .async_stack_zeroing(true)
        .memory_reservation(MEMORY_RESERVATION_BYTES);
    config
}

/// The engine that calls of one size class run on, with `places` instances at once.
pub(crate) fn class_engine(places: u32, limits: &CallLimits) -> wasmtime::Result<Engine> {
    let mut config = compile_config();
    config.max_wasm_stack(limits.stack_bytes_max).async_stack_size(limits.stack_bytes_max.saturating_add(HOST_STACK_BYTES));
    let mut pool = PoolingAllocationConfig::default();
    let count = |per_component: usize| u32::try_from(per_component).unwrap_or(u32::MAX);
    let (instances, memories, tables) = (count(limits.instances_max), count(limits.memories_max), count(limits.tables_max));
    // Every place can have all that one component may have: nobody's big component takes the room of a neighbour.
    pool.total_component_instances(places)
        .total_stacks(places)
        .total_core_instances(places.saturating_mul(instances))
        .total_memories(places.saturating_mul(memories))
        .total_tables(places.saturating_mul(tables))
        .max_memory_size(limits.memory_bytes_max)
        .max_memories_per_component(memories)
        .max_tables_per_component(tables)
        .max_core_instances_per_component(instances)
        .table_elements(limits.table_elements_max)
        .async_stack_keep_resident(STACK_KEEP_BYTES)
        .pagemap_scan(Enabled::Auto);
    // Without that knowledge the kept pages would be cleared one by one at every call.
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        let warm = (limits.memory_bytes_max / WARM_PART).clamp(*WARM_BYTES.start(), *WARM_BYTES.end());
        pool.linear_memory_keep_resident(warm).table_keep_resident(WARM_TABLE_BYTES);
    }
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config)
}

/// Moves the engine's epoch on a thread of its own: a guest that never yields cannot hold it up.
pub(crate) struct EpochThread {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl EpochThread {
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (engine, stopped) = (engine.weak(), Arc::clone(&stop));
        let thread = std::thread::Builder::new().name("plugin-epoch".to_owned()).spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                #[expect(clippy::disallowed_methods, reason = "this thread is the metronome itself")]
                std::thread::sleep(EPOCH_TICK);
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for EpochThread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It ends within a tick and has nothing to report.
            let _ = thread.join();
        }
    }
}
