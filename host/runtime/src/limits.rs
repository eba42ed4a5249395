//! The limits of one call. All of them are always on.

use std::time::Duration;

use switchboard_core::rules::plugin_plan::PluginFigures;

use crate::verbs::FETCHES_MAX;

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
    /// Requests over HTTP of one call.
    pub fetches_max: u32,
    /// Bytes of log; what is over is dropped and counted.
    pub log_bytes_max: usize,
    /// Bytes of what the call returns.
    pub output_bytes_max: usize,
}

impl CallLimits {
    /// The same, where a plan lets a tenant's plugins use less.
    #[must_use]
    pub fn narrowed(&self, plan: &PluginFigures) -> Self {
        let bytes = |own: usize, plan: Option<u64>| plan.map_or(own, |plan| own.min(usize::try_from(plan).unwrap_or(own)));
        let count = |own: u32, plan: Option<u64>| plan.map_or(own, |plan| own.min(u32::try_from(plan).unwrap_or(own)));
        let time = |own: Duration, plan: Option<u64>| plan.map_or(own, |plan| own.min(Duration::from_millis(plan)));
        Self {
            cpu: time(self.cpu, plan.cpu_ms),
            wall: time(self.wall, plan.wall_ms),
            memory_bytes_max: bytes(self.memory_bytes_max, plan.memory_bytes),
            host_calls_max: count(self.host_calls_max, plan.host_calls),
            fetches_max: count(self.fetches_max, plan.http_requests),
            log_bytes_max: bytes(self.log_bytes_max, plan.log_bytes),
            output_bytes_max: bytes(self.output_bytes_max, plan.output_bytes),
            ..self.clone()
        }
    }

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
            fetches_max: FETCHES_MAX,
            log_bytes_max: 64 * 1024,
            output_bytes_max: 4 * 1024 * 1024,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_narrows_and_never_widens() {
        let own = CallLimits::default();
        assert_eq!(own.narrowed(&PluginFigures::default()), own);
        let less = PluginFigures {
            cpu_ms: Some(20),
            memory_bytes: Some(65_536),
            host_calls: Some(3),
            http_requests: Some(0),
            ..PluginFigures::default()
        };
        let narrowed = own.narrowed(&less);
        assert_eq!((narrowed.cpu, narrowed.memory_bytes_max), (Duration::from_millis(20), 65_536));
        assert_eq!((narrowed.host_calls_max, narrowed.fetches_max, narrowed.wall), (3, 0, own.wall));
        let more = PluginFigures { cpu_ms: Some(u64::MAX), log_bytes: Some(u64::MAX), ..PluginFigures::default() };
        assert_eq!(own.narrowed(&more), own);
    }
}
