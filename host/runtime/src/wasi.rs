//! WASI p2, linked with nothing in it: no files, no environment, no sockets, coarse clocks; output goes to the plugin's log.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder};

use crate::log::{LogBuffer, LogLevel};

/// Clocks of guests move in steps of this: too coarse to time a cache.
const CLOCK_STEP: Duration = Duration::from_millis(1);
/// Most random bytes of one call.
const RANDOM_BYTES_MAX: u64 = 64 * 1024;

/// A context that grants nothing.
pub(crate) fn empty_context(log: &LogBuffer, clock: &CallClock) -> WasiCtx {
    let mut builder = WasiCtxBuilder::new();
    builder
        .stdout(LogPipe { log: log.clone(), level: LogLevel::Info })
        .stderr(LogPipe { log: log.clone(), level: LogLevel::Warn })
        .wall_clock(clock.clone())
        .monotonic_clock(CoarseClock(tokio::time::Instant::now()))
        .max_random_size(RANDOM_BYTES_MAX)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    builder.build()
}

/// The time of day at which the call began: the same as its input says. Milliseconds since 1970.
#[derive(Clone)]
pub(crate) struct CallClock(Arc<AtomicU64>);

impl CallClock {
    pub(crate) fn new(now_ms: u64) -> Self {
        Self(Arc::new(AtomicU64::new(now_ms)))
    }

    /// Another call begins.
    pub(crate) fn set(&self, now_ms: u64) {
        self.0.store(now_ms, Ordering::Relaxed);
    }
}

impl HostWallClock for CallClock {
    fn resolution(&self) -> Duration {
        CLOCK_STEP
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// Time since the instance began, in coarse steps.
struct CoarseClock(tokio::time::Instant);

impl HostMonotonicClock for CoarseClock {
    fn resolution(&self) -> u64 {
        u64::try_from(CLOCK_STEP.as_nanos()).unwrap_or(u64::MAX)
    }

    fn now(&self) -> u64 {
        let elapsed = u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX);
        elapsed - elapsed % self.resolution()
    }
}

/// Standard output or error as lines of the plugin's log.
struct LogPipe {
    log: LogBuffer,
    level: LogLevel,
}

impl IsTerminal for LogPipe {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogPipe {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(LogWriter { log: self.log.clone(), level: self.level, line: Vec::new() })
    }
}

/// Most bytes of a line that is not ended yet.
const LINE_BYTES_MAX: usize = 4096;

struct LogWriter {
    log: LogBuffer,
    level: LogLevel,
    /// What was written since the last line ended: programs print a line in pieces.
    line: Vec<u8>,
}

impl LogWriter {
    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.log.write(self.level, &String::from_utf8_lossy(&line));
        }
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.end_line();
    }
}

impl AsyncWrite for LogWriter {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        for byte in bytes {
            if *byte == b'\n' || self.line.len() >= LINE_BYTES_MAX {
                self.end_line();
            }
            if *byte != b'\n' {
                self.line.push(*byte);
            }
        }
        // Everything is taken, kept or not: a full log must not fail the plugin.
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
