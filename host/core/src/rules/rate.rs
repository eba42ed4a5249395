//! Counts what comes in a minute from each of many callers, in bounded memory.
//!
//! Pure: the time is an argument. All callers share the minutes of the calendar, so that one clearing forgets them all. What
//! does not fit is not counted: those who are counted stay so, and nobody is refused for what others did.

use std::collections::HashMap;
use std::hash::Hash;

use super::calendar::WindowKind;
use super::quota::Standing;
use crate::clock::Timestamp;

/// Callers that are counted in one minute.
pub const CALLERS_MAX: usize = 65_536;

/// The counts of the present minute.
#[derive(Debug)]
pub struct Tally<K> {
    minute: u64,
    counts: HashMap<K, u64>,
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self { minute: 0, counts: HashMap::new() }
    }
}

impl<K: Eq + Hash> Tally<K> {
    /// Counts one of `caller`, unless that is over `max` in this minute; how the caller stands then. `Err` is the refusal: it
    /// costs nothing.
    ///
    /// # Errors
    /// The standing, when the minute's share is used up.
    pub fn count(&mut self, caller: K, max: u64, now: Timestamp) -> Result<Standing, Standing> {
        let window = WindowKind::Minute.at(now);
        if window.index != self.minute {
            self.minute = window.index;
            self.counts.clear();
        }
        let standing = |used| Standing { max, used, resets_at: window.ends_at() };
        let room = self.counts.len() < CALLERS_MAX;
        match self.counts.get_mut(&caller) {
            Some(used) if *used >= max => Err(standing(*used)),
            Some(used) => {
                *used += 1;
                Ok(standing(*used))
            }
            None if max == 0 => Err(standing(0)),
            None if room => {
                self.counts.insert(caller, 1);
                Ok(standing(1))
            }
            None => Ok(standing(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_750_000_040_000);

    #[test]
    fn each_caller_has_the_same_share_and_the_next_minute_brings_it_back() {
        let mut tally = Tally::default();
        for used in 1..=5 {
            assert_eq!(tally.count("a", 5, NOW).map(|standing| standing.used), Ok(used));
        }
        let refused = tally.count("a", 5, NOW).unwrap_err();
        assert_eq!((refused.used, refused.remaining()), (5, 0));
        assert_eq!(refused.retry_after_s(NOW), 60 - 20);
        assert!(tally.count("b", 5, NOW).is_ok());
        assert_eq!(tally.count("a", 5, refused.resets_at).map(|standing| standing.used), Ok(1));
    }

    #[test]
    fn a_share_of_nothing_lets_nothing_through() {
        assert!(Tally::default().count("a", 0, NOW).is_err());
    }

    #[test]
    fn a_flood_of_callers_does_not_fill_the_memory_nor_free_who_was_refused() {
        let mut tally = Tally::default();
        tally.count(0, 1, NOW).unwrap();
        assert!((1..200_000).all(|caller| tally.count(caller, 1, NOW).is_ok()));
        assert_eq!(tally.counts.len(), CALLERS_MAX);
        assert!(tally.count(0, 1, NOW).is_err());
        assert!(tally.count(300_000, 1, NOW).is_ok(), "nobody is refused for what others did");
    }
}
