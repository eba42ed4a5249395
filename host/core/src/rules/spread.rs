//! Decides when one of many may connect, so that they do not all come at once.
//!
//! Pure rules: the caller gives the time and a random number, and gets a moment. After a start of the host, or when an outage
//! that they shared is over, hundreds of sessions want to connect in the same second; each gets a slot of its own behind the
//! others', and a random place in it. One that comes alone waits for less than one slot.

use std::time::Duration;

use crate::clock::Timestamp;

/// Hands out moments to connect.
#[derive(Clone, Debug)]
pub struct Spread {
    slot: Duration,
    next: Timestamp,
}

impl Spread {
    /// At most `per_second` connects in a second; 0 counts as 1.
    pub fn new(per_second: u32) -> Self {
        Self { slot: Duration::from_secs(1) / per_second.max(1), next: Timestamp(0) }
    }

    /// The moment at which one that comes at `now` may connect; `None` when its slot begins later than `patience` from now, and
    /// then none is taken.
    pub fn moment(&mut self, now: Timestamp, patience: Duration, random: u64) -> Option<Timestamp> {
        // Nobody waits for slots that were given before the clock was set back.
        let begins = if self.next.since(now) > Self::LONGEST { now } else { self.next.max(now) };
        if begins.since(now) > patience {
            return None;
        }
        self.next = begins.plus(self.slot);
        let within = u64::try_from(self.slot.as_millis()).unwrap_or(u64::MAX).max(1);
        Some(begins.plus(Duration::from_millis(random % within)))
    }

    /// The longest queue: far above what any number of sessions makes of any sensible pace.
    const LONGEST: Duration = Duration::from_secs(6 * 3600);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Entropy, SeededEntropy};

    const NOW: Timestamp = Timestamp(1_000_000);
    const FOR_EVER: Duration = Duration::from_secs(3600);

    #[test]
    fn a_thousand_that_come_at_once_are_spread_at_the_given_pace() {
        for seed in 0..20 {
            let (mut spread, random) = (Spread::new(50), SeededEntropy::new(seed));
            let moments: Vec<u64> =
                (0..1_000).map(|_| spread.moment(NOW, FOR_EVER, random.next_u64()).unwrap().0 - NOW.0).collect();
            assert!(moments.is_sorted(), "who comes first goes first");
            for second in 0..20 {
                let within = moments.iter().filter(|moment| **moment / 1_000 == second).count();
                assert_eq!(within, 50, "second {second} of seed {seed}");
            }
            let offsets: std::collections::BTreeSet<u64> = moments.iter().map(|moment| moment % 20).collect();
            assert!(offsets.len() > 10, "they do not beat in time: {offsets:?}");
        }
    }

    #[test]
    fn one_that_comes_alone_waits_for_less_than_a_slot() {
        let mut spread = Spread::new(50);
        for (come, random) in [(0, 0), (1_000, 19), (9_000, u64::MAX)] {
            let now = Timestamp(NOW.0 + come);
            assert!(spread.moment(now, Duration::ZERO, random).unwrap().since(now) < Duration::from_millis(20));
        }
    }

    #[test]
    fn one_that_cannot_wait_as_long_as_the_queue_is_takes_no_slot() {
        let mut spread = Spread::new(1);
        for _ in 0..3 {
            spread.moment(NOW, FOR_EVER, 0).unwrap();
        }
        assert_eq!(spread.moment(NOW, Duration::from_secs(2), 0), None);
        assert_eq!(spread.moment(NOW, Duration::from_secs(3), 0), Some(NOW.plus(Duration::from_secs(3))));
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_waiting() {
        let mut spread = Spread::new(10);
        spread.moment(NOW.plus(Duration::from_secs(86_400)), FOR_EVER, 0).unwrap();
        assert_eq!(spread.moment(NOW, Duration::ZERO, 0), Some(NOW));
    }

    #[test]
    fn a_pace_of_none_is_one_a_second() {
        let mut spread = Spread::new(0);
        assert_eq!(spread.moment(NOW, FOR_EVER, 0), Some(NOW));
        assert_eq!(spread.moment(NOW, FOR_EVER, 0), Some(NOW.plus(Duration::from_secs(1))));
    }
}
