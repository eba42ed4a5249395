//! The slow lane: threads that give way to all others of the machine, for work that holds a processor longer than its part.

use rayon::{ThreadPool, ThreadPoolBuilder};
use switchboard_confine::NICENESS;
use tokio::runtime::{Handle, RuntimeFlavor};

/// Threads that give way as children do: beside others that want a processor they get a tenth of one.
pub(crate) struct SlowLane(ThreadPool);

impl SlowLane {
    /// With as many threads.
    ///
    /// # Errors
    /// When the machine has none left.
    pub(crate) fn new(threads: usize) -> std::io::Result<Self> {
        let pool =
            ThreadPoolBuilder::new().num_threads(threads).thread_name(|_| "plugin-slow".to_owned()).start_handler(|_| {
                // Of this thread alone. Where the kernel refuses, it is as fast as the others.
                let _ = rustix::process::nice(NICENESS);
            });
        Ok(Self(pool.build().map_err(std::io::Error::other)?))
    }

    /// Does `work` there. The thread that asks is held up for as long, and whatever else it had to do goes on elsewhere: where that
    /// cannot be, in an executor of one thread, the work is done here.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match Handle::try_current() {
            Ok(executor) if executor.runtime_flavor() == RuntimeFlavor::MultiThread => tokio::task::block_in_place(|| {
                self.0.install(|| {
                    let _entered = executor.enter();
                    work()
                })
            }),
            _ => work(),
        }
    }
}
