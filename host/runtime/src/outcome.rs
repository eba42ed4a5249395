//! How a call of a plugin ended.

use std::time::Duration;

use crate::log::LogLine;

/// A limit of [`crate::CallLimits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Time that the guest computed.
    Cpu,
    /// Time from start to end.
    Wall,
    /// Time that a call waited for a place.
    Queue,
    /// Linear memory.
    Memory,
    /// Table elements.
    Table,
    /// Depth of the guest's stack.
    Stack,
    /// Number of host calls.
    HostCalls,
    /// Handles that are open at once.
    Handles,
    /// Bytes of what was returned or handed to the host.
    Bytes,
}

impl Limit {
    /// The name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Wall => "wall",
            Self::Queue => "queue",
            Self::Memory => "memory",
            Self::Table => "table",
            Self::Stack => "stack",
            Self::HostCalls => "host calls",
            Self::Handles => "handles",
            Self::Bytes => "bytes",
        }
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<T> {
    /// The plugin answered.
    Reply(T),
    /// The plugin said that it failed.
    PluginError(String),
    /// The plugin broke: a panic, an unreachable instruction, a bad access.
    Trap(String),
    /// The plugin used more than it may; the text names the limit and its figure.
    LimitExceeded(Limit, String),
}

impl<T> Outcome<T> {
    /// Its name where calls are counted.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Reply(_) => "reply",
            Self::PluginError(_) => "plugin_error",
            Self::Trap(_) => "trap",
            Self::LimitExceeded(..) => "limit_exceeded",
        }
    }

    /// The reply, or why there is none, in words.
    ///
    /// # Errors
    /// The words.
    pub fn into_result(self) -> Result<T, String> {
        match self {
            Self::Reply(reply) => Ok(reply),
            Self::PluginError(why) => Err(why),
            Self::Trap(why) => Err(format!("trapped: {why}")),
            Self::LimitExceeded(limit, why) => Err(format!("over the {} limit: {why}", limit.name())),
        }
    }
}

/// What a call used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallReport {
    /// From the start of the call, after it got its place, to its end.
    pub took: Duration,
    /// Host calls that it made.
    pub host_calls: u32,
    /// Most bytes of linear memory that it had.
    pub memory_bytes: usize,
    /// What it logged.
    pub log: Vec<LogLine>,
    /// Lines that its log had no room for.
    pub log_dropped: u64,
    /// Whom it asked over HTTP, and what came of that, in words.
    pub fetched: Vec<String>,
    /// Requests over HTTP beyond those that it may make.
    pub fetches_over: u32,
}

impl CallReport {
    /// The limits that it reached and that did not end it, by the names in logs and metrics.
    pub fn limits_reached(&self) -> impl Iterator<Item = &'static str> {
        let log = (self.log_dropped > 0).then_some("log bytes");
        log.into_iter().chain((self.fetches_over > 0).then_some("http requests"))
    }
}

/// A call that ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Called<T> {
    /// How.
    pub outcome: Outcome<T>,
    /// With what.
    pub report: CallReport,
}

impl<T> Called<T> {
    /// Goes on with a reply; every other outcome stays as it is.
    #[must_use]
    pub fn and_then<U>(self, next: impl FnOnce(T) -> Outcome<U>) -> Called<U> {
        let outcome = match self.outcome {
            Outcome::Reply(reply) => next(reply),
            Outcome::PluginError(why) => Outcome::PluginError(why),
            Outcome::Trap(why) => Outcome::Trap(why),
            Outcome::LimitExceeded(limit, why) => Outcome::LimitExceeded(limit, why),
        };
        Called { outcome, report: self.report }
    }
}
