//! Power loss and I/O errors under redb: what was acknowledged stays, what was not is there in full or not at all, and an
//! open that refuses says why.
//!
//! `STORAGE_IMAGES` is how many images of power losses are opened (300 unless set), `STORAGE_SEED` the first seed. A test that
//! fails prints the seed or the call it was at.

mod batches;
mod every_call;
mod images;
mod invariants;
mod recorder;
mod script;
mod script_outside;
mod stage;

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::OpenError;
use super::fault::{DiskSource, FaultDisk};
use super::redb_engine::RedbEngine;

fn open(disk: &FaultDisk, cache_bytes: usize) -> Result<RedbEngine, OpenError> {
    RedbEngine::open(DiskSource(disk.clone(), cache_bytes))
}

/// Says which seed or call it was when a test panics, wherever that is.
struct NamedOnPanic(String);

impl Drop for NamedOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "this happened at {}", self.0);
        }
    }
}

fn number_from(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Runs `future` on a runtime of its own.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // Without this, the runtime may make a commit wait for its next turn instead of queueing it at once.
    runtime.block_on(tokio::task::coop::unconstrained(future))
}

/// Runs `run` for each of `works`, as many at once as there are processors.
fn on_all_processors<T: Sync>(works: &[T], run: impl AsyncFn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(work) = works.get(next.fetch_add(1, Ordering::Relaxed)) {
                    block_on(run(work));
                }
            });
        }
    });
}
