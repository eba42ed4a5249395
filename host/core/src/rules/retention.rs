//! Decides which events are kept: by age, by the size of the whole log, and by who still has to see them.

use std::time::Duration;

use crate::clock::Timestamp;

/// How much longer than its time an event stays that somebody still has to see. Deliveries give up before that.
pub const OWED_GRACE: Duration = Duration::from_secs(14 * 86_400);
/// How long it is remembered that a message came in. WhatsApp keeps what was not acknowledged for about 30 days.
pub const MARKS_KEPT: Duration = Duration::from_secs(45 * 86_400);
/// How long it is remembered that an API key was revoked.
pub const REVOKED_KEPT: Duration = Duration::from_secs(90 * 86_400);
/// How long calls of plugins are remembered.
pub const CALLS_KEPT_FOR: Duration = Duration::from_secs(7 * 86_400);
/// How long votes in a poll can be opened.
pub const POLLS_KEPT: Duration = Duration::from_secs(180 * 86_400);

/// How long and how much is kept, of each tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Events older than this go.
    pub events_age: Duration,
    /// When the log is larger than this, its oldest events go. Bytes.
    pub events_bytes_max: u64,
}

/// What is to be decided about: the oldest event that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oldest {
    /// When it was recorded.
    pub at: Timestamp,
    /// Whether somebody still has to see it.
    pub owed: bool,
    /// Bytes of the log with it.
    pub log_bytes: u64,
}

/// Whether the oldest event goes at `now`.
pub fn goes(retention: &Retention, oldest: Oldest, now: Timestamp) -> bool {
    let age = now.since(oldest.at);
    if oldest.owed {
        // Even so it goes some day: a receiver that is never there must not fill the disk.
        return age > retention.events_age.saturating_add(OWED_GRACE);
    }
    age > retention.events_age || oldest.log_bytes > retention.events_bytes_max
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const KEEP: Retention = Retention { events_age: Duration::from_secs(30 * 86_400), events_bytes_max: 1000 };
    const START: Timestamp = Timestamp(1_750_000_000_000);

    fn gone(days: u32, owed: bool, log_bytes: u64) -> bool {
        goes(&KEEP, Oldest { at: START, owed, log_bytes }, START.plus(DAY * days))
    }

    #[test]
    fn an_event_goes_when_it_is_too_old_or_the_log_too_large() {
        assert!(!gone(30, false, 1000));
        assert!(gone(31, false, 1));
        assert!(gone(0, false, 1001));
    }

    #[test]
    fn what_somebody_still_has_to_see_stays_longer_but_not_for_ever() {
        assert!(!gone(0, true, 1001), "a large log is no reason");
        assert!(!gone(44, true, 1001));
        assert!(gone(45, true, 1));
    }
}
