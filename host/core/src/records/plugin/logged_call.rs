//! One call of a plugin as it is remembered: what it was about, what it used, what it logged and how it ended.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::records::id::TenantId;

/// Calls of one plugin that ended well and are remembered: the newest.
pub const CALLS_KEPT: usize = 1_000;
/// Calls of one plugin that failed and are remembered: the newest.
pub const FAILED_CALLS_KEPT: usize = 1_000;
/// Most bytes of the input and of the effects of a failed call, each as JSON; of what is larger only the size is kept.
pub const CALL_JSON_BYTES_MAX: usize = 64 * 1024;

/// How much a line of a plugin's log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineLevel {
    /// For whoever develops the plugin.
    Debug,
    /// For whoever runs it.
    Info,
    /// Something is odd.
    Warn,
    /// Something failed.
    Error,
}

/// One line of a plugin's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedLine {
    /// How much it matters.
    pub level: LineLevel,
    /// What it says, control characters escaped.
    pub message: String,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallEnd {
    /// The plugin answered.
    Reply,
    /// The plugin said that it failed.
    PluginError,
    /// The plugin broke.
    Trap,
    /// The plugin used more than it may.
    LimitExceeded,
    /// The plugin answered, and the host could not do what it wants: nothing of it was kept.
    Refused,
}

impl CallEnd {
    /// Every end.
    pub const ALL: [Self; 5] = [Self::Reply, Self::PluginError, Self::Trap, Self::LimitExceeded, Self::Refused];

    /// Its name in the API, in logs and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::PluginError => "plugin_error",
            Self::Trap => "trap",
            Self::LimitExceeded => "limit_exceeded",
            Self::Refused => "refused",
        }
    }

    /// Whether it is no failure.
    pub fn is_well(self) -> bool {
        self == Self::Reply
    }
}

/// A call of a plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoggedCall {
    /// Its number among those of its plugin, from 1, in the order in which they were written down.
    #[serde(skip)]
    pub n: u64,
    /// When it ended.
    pub at: Timestamp,
    /// Whose data it was about.
    pub tenant: TenantId,
    /// The interface that was called.
    pub interface: String,
    /// The run of a responder, the request of a router, else the name of the function.
    pub call: String,
    /// Number of the plugin's version; 0 for one that has none.
    pub version: u64,
    /// The event that it was about.
    #[serde(default)]
    pub event: Option<u64>,
    /// The type of that.
    #[serde(default)]
    pub event_type: Option<String>,
    /// Which try it was, from 1; 0 where nothing is tried again.
    #[serde(default)]
    pub attempt: u32,
    /// From its start to its end, microseconds.
    pub took_us: u64,
    /// Most bytes of linear memory that it had.
    pub memory_bytes: u64,
    /// Host calls that it made.
    pub host_calls: u32,
    /// How it ended.
    pub end: CallEnd,
    /// Why it failed, in words.
    #[serde(default)]
    pub why: Option<String>,
    /// What it logged.
    #[serde(default)]
    pub log: Vec<LoggedLine>,
    /// Lines that its log had no room for.
    #[serde(default)]
    pub log_dropped: u64,
    /// What it was given, of one that failed: with as much as the plugin saw of it.
    #[serde(default)]
    pub input: Option<Value>,
    /// What it wanted, of one that failed after it had answered.
    #[serde(default)]
    pub effects: Option<Value>,
}

/// `value` as a failed call keeps it: its size in its place where it is too large.
pub fn within_bounds(value: Value) -> Value {
    let bytes = value.to_string().len();
    if bytes > CALL_JSON_BYTES_MAX { serde_json::json!({ "left_out_bytes": bytes }) } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_leaves_its_size() {
        let small = serde_json::json!({ "text": "x" });
        assert_eq!(within_bounds(small.clone()), small);
        let large = Value::String("x".repeat(CALL_JSON_BYTES_MAX));
        assert_eq!(within_bounds(large), serde_json::json!({ "left_out_bytes": CALL_JSON_BYTES_MAX + 2 }));
    }
}
