//! Decides when a session may send its next message.
//!
//! Pure rules: the caller gives what was sent and a random number, and gets a moment. Nothing here sleeps, reads a clock or
//! knows storage; the outbox worker does the waiting.
//!
//! Invariant: for one session, two permitted sends are never closer than the widest gap of all the rules that hold, and never
//! more than `per_minute` of them lie within 60 s.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Timestamp;

/// Longest gap, and longest jitter, that a rule may ask for: an hour.
pub const GAP_MS_MAX: u64 = 3_600_000;
/// Most sends a minute that the queue keeps count of; a higher figure is no limit at all.
pub const SENDS_PER_MINUTE_MAX: u32 = 1000;
const MINUTE: Duration = Duration::from_secs(60);

/// How fast a session may send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Least time between two sends, milliseconds.
    pub least_ms: u64,
    /// The time between two sends is drawn between the least and this, milliseconds; never below the least.
    pub most_ms: u64,
    /// Most sends in any 60 s.
    pub per_minute: Option<u32>,
}

impl Pace {
    /// A gap, and up to `jitter_ms` more.
    pub const fn gap(gap_ms: u64, jitter_ms: u64) -> Self {
        Self { least_ms: gap_ms, most_ms: gap_ms.saturating_add(jitter_ms), per_minute: None }
    }

    /// The pace that keeps both rules.
    pub fn strictest(self, other: Self) -> Self {
        let per_minute = [self.per_minute, other.per_minute].into_iter().flatten().min();
        Self { least_ms: self.least_ms.max(other.least_ms), most_ms: self.most_ms.max(other.most_ms), per_minute }
    }

    /// The time between two sends that `random` picks.
    fn draw(self, random: u64) -> Duration {
        let least = self.least_ms.min(GAP_MS_MAX);
        let most = self.most_ms.clamp(least, GAP_MS_MAX * 2);
        Duration::from_millis(least + random % (most - least + 1))
    }
}

/// When a session may send next: at once when it has sent nothing yet. The same `random` gives the same moment, so that a worker that was interrupted waits no second time.
pub fn next_send_at(last_send: Option<Timestamp>, pace: Pace, random: u64) -> Timestamp {
    let Some(last_send) = last_send else { return Timestamp::default() };
    last_send.plus(pace.draw(random))
}

/// What a session sent within the last minute: what a limit per minute looks at.
#[derive(Clone, Debug, Default)]
pub struct RecentSends(VecDeque<Timestamp>);

impl RecentSends {
    /// What is assumed of the time before a restart: that everything a limit allows was sent at once with the last send.
    pub fn after_restart(last_send: Option<Timestamp>) -> Self {
        Self(last_send.into_iter().flat_map(|at| (0..SENDS_PER_MINUTE_MAX).map(move |_| at)).collect())
    }

    /// Notes a send.
    pub fn note(&mut self, at: Timestamp) {
        self.0.push_back(at);
        if self.0.len() > SENDS_PER_MINUTE_MAX as usize {
            self.0.pop_front();
        }
    }

    /// The earliest moment at which one more send keeps the limit per minute.
    pub fn next_send_at(&self, pace: Pace) -> Timestamp {
        let Some(limit) = pace.per_minute.filter(|limit| *limit <= SENDS_PER_MINUTE_MAX) else {
            return Timestamp::default();
        };
        // A limit of nothing would hold the queue up for ever: the slowest that is, is one a minute.
        let limit = limit.max(1) as usize;
        let first_of_them = self.0.len().checked_sub(limit).and_then(|at| self.0.get(at));
        first_of_them.map_or(Timestamp::default(), |at| at.plus(MINUTE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Entropy, SeededEntropy};

    const NOW: Timestamp = Timestamp(1_750_000_000_000);

    fn drawn_pace(entropy: &dyn Entropy) -> Pace {
        Pace {
            per_minute: entropy.next_u64().is_multiple_of(2).then(|| 1 + (entropy.next_u64() % 40) as u32),
            ..Pace::gap(entropy.next_u64() % 5_000, entropy.next_u64() % 5_000)
        }
    }

    #[test]
    fn a_session_that_has_sent_nothing_may_send_at_once() {
        assert_eq!(next_send_at(None, Pace::gap(9_000, 5_000), 7), Timestamp(0));
        assert_eq!(RecentSends::default().next_send_at(Pace { per_minute: Some(1), ..Pace::default() }), Timestamp(0));
    }

    #[test]
    fn no_draw_is_below_any_gap_nor_above_the_widest_rule_and_both_ends_are_reached() {
        let entropy = SeededEntropy::new(11);
        for _ in 0..5_000 {
            let (plan, own, message) = (drawn_pace(&entropy), drawn_pace(&entropy), entropy.next_u64() % 6_000);
            let pace = plan.strictest(own);
            let wait = next_send_at(Some(NOW), pace.strictest(Pace::gap(message, 0)), entropy.next_u64()).since(NOW);
            let least = plan.least_ms.max(own.least_ms).max(message);
            let most = plan.most_ms.max(own.most_ms).max(message);
            assert!(wait >= Duration::from_millis(least), "{wait:?} of {least} ms");
            assert!(wait <= Duration::from_millis(most), "{wait:?} of {most} ms");
        }
        let pace = Pace::gap(1_000, 2_000);
        let ends = [0, 2_000].map(|random| next_send_at(Some(NOW), pace, random).since(NOW).as_millis());
        assert_eq!(ends, [1_000, 3_000]);
    }

    #[test]
    fn the_strictest_of_rules_does_not_depend_on_their_order_and_is_kept_by_itself() {
        let entropy = SeededEntropy::new(12);
        for _ in 0..1_000 {
            let [a, b, c] = [(); 3].map(|()| drawn_pace(&entropy));
            assert_eq!(a.strictest(b), b.strictest(a));
            assert_eq!(a.strictest(b).strictest(c), a.strictest(b.strictest(c)));
            assert_eq!(a.strictest(a), a);
            assert_eq!(a.strictest(Pace::default()), a);
        }
    }

    #[test]
    fn a_gap_beyond_any_measure_still_ends() {
        let wait = next_send_at(Some(NOW), Pace::gap(u64::MAX, u64::MAX), u64::MAX).since(NOW);
        assert!(wait <= Duration::from_millis(GAP_MS_MAX * 2), "{wait:?}");
    }

    /// Sends as fast as the rules allow; when each went out.
    fn send(count: usize, pace: Pace, mut recent: RecentSends, mut last: Option<Timestamp>, seed: u64) -> Vec<Timestamp> {
        let entropy = SeededEntropy::new(seed);
        let mut sent = Vec::new();
        for _ in 0..count {
            let at = next_send_at(last, pace, entropy.next_u64()).max(recent.next_send_at(pace)).max(NOW);
            recent.note(at);
            last = Some(at);
            sent.push(at);
        }
        sent
    }

    #[test]
    fn no_sixty_seconds_hold_more_sends_than_the_limit_also_across_a_restart() {
        let pace = Pace { per_minute: Some(30), ..Pace::gap(1_000, 2_000) };
        for seed in 0..50 {
            let before = send(100, pace, RecentSends::default(), None, seed);
            let last = before.last().copied();
            let after = send(100, pace, RecentSends::after_restart(last), last, seed + 1_000);
            let all: Vec<Timestamp> = before.into_iter().chain(after).collect();
            for pair in all.windows(2) {
                assert!(pair[1].since(pair[0]) >= Duration::from_millis(1_000), "{pair:?}");
            }
            for minute in all.windows(31) {
                assert!(minute[30].since(minute[0]) >= MINUTE, "{minute:?}");
            }
        }
    }

    #[test]
    fn what_a_session_remembers_of_its_sends_is_bounded() {
        let mut recent = RecentSends::default();
        (0..5_000).for_each(|n| recent.note(Timestamp(n)));
        assert_eq!(recent.0.len(), SENDS_PER_MINUTE_MAX as usize);
        let unlimited = Pace { per_minute: Some(SENDS_PER_MINUTE_MAX + 1), ..Pace::default() };
        assert_eq!(recent.next_send_at(unlimited), Timestamp(0));
    }
}
