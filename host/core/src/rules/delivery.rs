//! When a webhook is tried again, when it is given up, and when its endpoint is switched off.

use std::time::Duration;

use crate::clock::Timestamp;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// How long after its predecessor each attempt is made; the first at once.
pub const SCHEDULE: [Duration; 8] = [
    Duration::ZERO,
    SECOND.saturating_mul(5),
    MINUTE.saturating_mul(5),
    MINUTE.saturating_mul(30),
    HOUR.saturating_mul(2),
    HOUR.saturating_mul(5),
    HOUR.saturating_mul(10),
    HOUR.saturating_mul(10),
];
/// Attempts of one delivery before it is given up.
pub const TRIES_MAX: u32 = 8;
/// By how much a wait is drawn out at most, so that many who failed together do not come back together: a fifth.
const JITTER_SHARE: u32 = 5;
/// The longest that a receiver may ask for: it must not be able to park us for a week.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(10 * 3600);
/// An endpoint that has only failed for this long is switched off.
pub const FAILING_MAX: Duration = Duration::from_secs(5 * 24 * 3600);

const GONE: u16 = 410;
const TOO_MANY_REQUESTS: u16 = 429;
const UNAVAILABLE: u16 = 503;

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The receiver answered.
    Status {
        /// With this status.
        status: u16,
        /// How long it asked to be left alone, if it did.
        retry_after: Option<Duration>,
    },
    /// There was no answer, or nothing could be sent.
    None,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has it.
    Delivered,
    /// It is tried again at this moment.
    Again(Timestamp),
    /// It is given up.
    Dead,
    /// The receiver is gone: its endpoint is switched off, and the delivery waits until somebody switches it on.
    SwitchOff,
}

impl Answer {
    /// How long the receiver wants to be left alone altogether.
    pub fn pause(self) -> Option<Duration> {
        match self {
            Self::Status { status: TOO_MANY_REQUESTS | UNAVAILABLE, retry_after } => {
                retry_after.map(|asked| asked.min(RETRY_AFTER_MAX))
            }
            _ => None,
        }
    }
}

/// Judges attempt number `tries` (from 1) of a delivery. `random` draws the wait out.
pub fn judge(answer: Answer, tries: u32, now: Timestamp, random: u64) -> Verdict {
    match answer {
        Answer::Status { status: 200..=299, .. } => return Verdict::Delivered,
        Answer::Status { status: GONE, .. } => return Verdict::SwitchOff,
        _ => {}
    }
    let Some(step) = usize::try_from(tries).ok().and_then(|tries| SCHEDULE.get(tries)) else { return Verdict::Dead };
    let base = answer.pause().map_or(*step, |asked| asked.max(*step));
    let span = u64::try_from((base / JITTER_SHARE).as_millis()).unwrap_or(u64::MAX);
    Verdict::Again(now.plus(base).plus(Duration::from_millis(random % span.saturating_add(1))))
}

/// Whether an endpoint that has only failed since `failing_since` is to be switched off.
pub fn failed_too_long(failing_since: Timestamp, now: Timestamp) -> bool {
    now.since(failing_since) >= FAILING_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_750_000_000_000);

    fn status(status: u16) -> Answer {
        Answer::Status { status, retry_after: None }
    }

    fn asked(status: u16, seconds: u64) -> Answer {
        Answer::Status { status, retry_after: Some(Duration::from_secs(seconds)) }
    }

    fn wait(answer: Answer, tries: u32, random: u64) -> u64 {
        match judge(answer, tries, NOW, random) {
            Verdict::Again(at) => at.since(NOW).as_secs(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_the_two_hundreds_are_success() {
        for code in [200, 201, 204, 299] {
            assert_eq!(judge(status(code), 1, NOW, 0), Verdict::Delivered);
        }
        for code in [100, 199, 300, 302, 400, 401, 404, 429, 500, 503] {
            assert_eq!(wait(status(code), 1, 0), 5, "{code}");
        }
        assert_eq!(wait(Answer::None, 1, 0), 5);
        assert_eq!(judge(status(410), 1, NOW, 0), Verdict::SwitchOff);
    }

    #[test]
    fn the_waits_are_those_of_the_schedule_and_after_the_last_it_is_given_up() {
        let waits: Vec<u64> = (1..TRIES_MAX).map(|tries| wait(Answer::None, tries, 0)).collect();
        assert_eq!(waits, [5, 300, 1800, 7200, 18_000, 36_000, 36_000]);
        assert_eq!(judge(Answer::None, TRIES_MAX, NOW, 0), Verdict::Dead);
        assert_eq!(judge(Answer::None, u32::MAX, NOW, 0), Verdict::Dead);
        assert_eq!(judge(status(200), TRIES_MAX, NOW, 0), Verdict::Delivered);
    }

    #[test]
    fn a_wait_is_drawn_out_by_a_fifth_at_most() {
        for random in 0..2000 {
            let wait = wait(Answer::None, 2, random * 7_919);
            assert!((300..=360).contains(&wait), "{wait}");
        }
        assert_eq!(wait(Answer::None, 2, 60_000), 360);
    }

    #[test]
    fn a_receiver_that_asks_for_patience_gets_it_within_limits() {
        assert_eq!(wait(asked(429, 120), 1, 0), 120);
        assert_eq!(wait(asked(503, 120), 1, 0), 120);
        assert_eq!(wait(asked(429, 1), 2, 0), 300, "never sooner than the schedule");
        assert_eq!(wait(asked(429, 604_800), 1, 0), 36_000, "and not for a week");
        assert_eq!(wait(asked(500, 120), 1, 0), 5, "a plain failure has no say");
        assert_eq!((asked(429, 7).pause(), asked(500, 7).pause()), (Some(Duration::from_secs(7)), None));
    }

    #[test]
    fn an_endpoint_is_switched_off_after_five_days_of_failure_and_not_before() {
        let day = Duration::from_secs(86_400);
        assert!(!failed_too_long(NOW, NOW.plus(day * 5 - SECOND)));
        assert!(failed_too_long(NOW, NOW.plus(day * 5)));
    }
}
