//! How long a session shows that it is typing before it sends a text, when that is switched on.
//!
//! Pure: the length of the text and a random number in, a duration out. A person types longer texts for longer, never at the
//! same speed twice, and nobody waits for minutes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Longest that a rule may let typing show: WhatsApp takes the sign away by itself not long after.
pub const TYPING_MS_MAX: u64 = 25_000;

/// How a session types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Typing {
    /// Milliseconds for each character.
    pub ms_per_char: u64,
    /// Shortest, milliseconds.
    pub least_ms: u64,
    /// Longest, milliseconds.
    pub most_ms: u64,
    /// How far a draw may be from what the length gives, percent of it, either way.
    pub jitter_percent: u64,
}

impl Default for Typing {
    /// About as fast as somebody who types well on a phone.
    fn default() -> Self {
        Self { ms_per_char: 60, least_ms: 800, most_ms: 8_000, jitter_percent: 25 }
    }
}

impl Typing {
    /// How long typing shows before a text of `chars` characters.
    pub fn shown_for(self, chars: usize, random: u64) -> Duration {
        let chars = u64::try_from(chars).unwrap_or(u64::MAX);
        let most = self.most_ms.min(TYPING_MS_MAX);
        // Capped before the jitter, so that long texts do not all take exactly the longest time.
        let even = self.ms_per_char.saturating_mul(chars).clamp(self.least_ms.min(most), most);
        let span = even * self.jitter_percent.min(100) / 100;
        let drawn = even - span + random % (2 * span + 1);
        Duration::from_millis(drawn.clamp(self.least_ms.min(most), most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Entropy, SeededEntropy};

    #[test]
    fn typing_stays_between_its_ends_whatever_the_text_and_the_rule() {
        let entropy = SeededEntropy::new(5);
        for _ in 0..20_000 {
            let draw = |below: u64| entropy.next_u64() % below;
            let typing =
                Typing { ms_per_char: draw(500), least_ms: draw(5_000), most_ms: draw(40_000), jitter_percent: draw(200) };
            let shown = typing.shown_for(draw(70_000) as usize, draw(u64::MAX));
            let most = Duration::from_millis(typing.most_ms.min(TYPING_MS_MAX));
            assert!(shown <= most && shown >= Duration::from_millis(typing.least_ms).min(most), "{typing:?} {shown:?}");
        }
        let wild = Typing { ms_per_char: u64::MAX, least_ms: u64::MAX, most_ms: u64::MAX, jitter_percent: u64::MAX };
        assert!(wild.shown_for(usize::MAX, u64::MAX) <= Duration::from_millis(TYPING_MS_MAX));
    }

    #[test]
    fn a_longer_text_takes_longer_in_proportion() {
        let typing = Typing { jitter_percent: 0, ..Typing::default() };
        let shown = |chars| typing.shown_for(chars, 9).as_millis();
        assert_eq!([shown(1), shown(50), shown(100), shown(10_000)], [800, 3_000, 6_000, 8_000]);
    }

    #[test]
    fn the_same_text_is_not_typed_in_the_same_time_twice() {
        let entropy = SeededEntropy::new(6);
        let drawn: std::collections::BTreeSet<Duration> =
            (0..100).map(|_| Typing::default().shown_for(60, entropy.next_u64())).collect();
        assert!(drawn.len() > 50, "{}", drawn.len());
        assert!(drawn.iter().all(|shown| (2_700..=4_500).contains(&shown.as_millis())));
    }
}
