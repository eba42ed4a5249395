//! How long to wait before the next try.

use std::time::Duration;

/// How the wait grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

/// Running a responder again after it failed.
pub const RESPONDER: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(300) };
/// Sending a message again that WhatsApp's server did not acknowledge.
pub const RESEND: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(60) };

/// Fetching a file again that WhatsApp did not give.
pub const FETCH: Backoff = Backoff { first: Duration::from_secs(10), longest: Duration::from_secs(3600) };

impl Backoff {
    /// The wait before try number `tries + 1`: doubled each time, then between a half and all of that, as `random` decides,
    /// so that many who failed together do not come back together.
    pub fn wait(self, tries: u32, random: u64) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(tries.min(30)).unwrap_or(u32::MAX));
        let full = u64::try_from(doubled.min(self.longest).as_millis()).unwrap_or(u64::MAX);
        let half = full / 2;
        Duration::from_millis(half + random % (full - half + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_longest_and_is_never_shorter_than_half() {
        for (tries, full_ms) in [(0, 1000), (1, 2000), (4, 16_000), (12, 300_000), (u32::MAX, 300_000)] {
            assert_eq!(RESPONDER.wait(tries, 0), Duration::from_millis(full_ms / 2));
            assert_eq!(RESPONDER.wait(tries, full_ms / 2), Duration::from_millis(full_ms));
            for random in 0..100 {
                let wait = RESPONDER.wait(tries, random * 7_919);
                assert!(wait >= Duration::from_millis(full_ms / 2) && wait <= Duration::from_millis(full_ms));
            }
        }
    }
}
