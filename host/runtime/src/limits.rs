//! The limits of one call. All of them are always on.

use std::time::Duration;

/// What one call may use. A breach ends the call with [`crate::Outcome::LimitExceeded`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// Time that the guest itself may compute.
    pub cpu: Duration,
    /// Time from the start of the call to its end, host calls included.
    pub wall: Duration,
    /// Time that one host call may take.
    pub host_call: Duration,
    /// Time that a call may wait for a free place before it begins.
    pub queue: Duration,
    /// The guest's stack, bytes.
    pub stack_bytes_max: usize,
    /// Linear memory, bytes, of all memories of the component together.
    pub memory_bytes_max: usize,
    /// Elements of one table.
    pub table_elements_max: usize,
    /// Core instances of one component.
    pub instances_max: usize,
    /// Linear memories of one component.
    pub memories_max: usize,
    /// Tables of one component.
    pub tables_max: usize,
    /// Bytes that one host call may make the host hold for the guest.
    pub host_call_bytes_max: usize,
    /// Handles that are open at once.
    pub handles_max: usize,
    /// Host calls of one call.
    pub host_calls_max: u32,
    /// Bytes of log; what is over is dropped and counted.
    pub log_bytes_max: usize,
    /// Bytes of what the call returns.
    pub output_bytes_max: usize,
}

impl CallLimits {
    /// Those of large components: an interpreter needs more of everything, and tens of core modules.
    pub fn large() -> Self {
        Self {
            cpu: Duration::from_secs(2),
            stack_bytes_max: 2 * 1024 * 1024,
            memory_bytes_max: 256 * 1024 * 1024,
            table_elements_max: 100_000,
            instances_max: 64,
            memories_max: 4,
            tables_max: 32,
            ..Self::default()
        }
    }
}

/// Those of small components.
impl Default for CallLimits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_millis(500),
            wall: Duration::from_secs(15),
            host_call: Duration::from_secs(12),
            queue: Duration::from_secs(2),
            stack_bytes_max: 512 * 1024,
            memory_bytes_max: 64 * 1024 * 1024,
            table_elements_max: 20_000,
            instances_max: 16,
            memories_max: 2,
            tables_max: 8,
            host_call_bytes_max: 4 * 1024 * 1024,
            handles_max: 256,
            host_calls_max: 1024,
            log_bytes_max: 64 * 1024,
            output_bytes_max: 4 * 1024 * 1024,
        }
    }
}
