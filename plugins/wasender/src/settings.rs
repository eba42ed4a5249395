//! What the operator may set.

use serde::Deserialize;
use switchboard_guest_sdk::config;
use switchboard_guest_sdk::configurable::{Known, limit};

/// The greatest figure that can be set: the host's own greatest.
const PER_MINUTE_MAX: u64 = 1_000_000;

/// What can be set.
pub const KNOWN: &[Known] =
    &[limit("requests_per_minute", 1, PER_MINUTE_MAX), limit("messages_per_minute", 1, PER_MINUTE_MAX)];

/// What is set, and where nothing is, what this API promises. `None` is no limit.
#[derive(Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Requests of an account.
    pub requests_per_minute: Option<u32>,
    /// Messages that each session may send.
    pub messages_per_minute: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { requests_per_minute: Some(100), messages_per_minute: Some(10) }
    }
}

/// What is set now.
pub fn settings() -> Settings {
    config().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard_guest_sdk::configurable::check;

    #[test]
    fn what_is_not_set_is_what_the_api_promises_and_null_is_no_limit() {
        let read = |json: &str| serde_json::from_str::<Settings>(json).unwrap();
        let figures = |settings: Settings| (settings.requests_per_minute, settings.messages_per_minute);
        assert_eq!(figures(read("{}")), (Some(100), Some(10)));
        assert_eq!(figures(read(r#"{"requests_per_minute":null,"messages_per_minute":3}"#)), (None, Some(3)));
    }

    #[test]
    fn a_figure_that_would_let_nothing_through_and_a_name_that_means_nothing_are_refused() {
        for name in ["requests_per_minute", "messages_per_minute"] {
            for figure in ["0", "-1", "2.5", "1000001", "\"10\""] {
                assert_eq!(check(KNOWN, &format!(r#"{{"{name}":{figure}}}"#)).len(), 1, "{name}: {figure}");
            }
            assert!(check(KNOWN, &format!(r#"{{"{name}":1}}"#)).is_empty());
            assert_eq!(check(KNOWN, &format!(r#"{{"{name}s":1}}"#)).len(), 1);
        }
    }
}
