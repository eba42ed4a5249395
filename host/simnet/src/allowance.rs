//! How much one connection may ask for: a client that goes beyond it is read more slowly, and slows nobody else down.

use std::time::Duration;

use tokio::time::Instant;

use crate::node_codec::Weight;

/// Units that come back each second. A plain stanza costs one; a client at work sends some hundred a second.
const UNITS_PER_S: f64 = 2_000.0;
/// Units that may be used up at once, as at the end of a long silence.
const UNITS_MAX: f64 = 10_000.0;
/// Elements and bytes that cost one more unit.
const ELEMENTS_PER_UNIT: usize = 16;
const BYTES_PER_UNIT: usize = 4_096;

/// What is left to one connection.
pub(crate) struct Allowance {
    units: f64,
    at: Instant,
}

impl Allowance {
    pub(crate) fn new(now: Instant) -> Self {
        Self { units: UNITS_MAX, at: now }
    }

    /// Pays for a stanza. `Some` when nothing is left: how long nothing may be read then.
    pub(crate) fn pay(&mut self, weight: Weight, now: Instant) -> Option<Duration> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.units = (self.units + passed * UNITS_PER_S).min(UNITS_MAX);
        let price = 1 + weight.elements / ELEMENTS_PER_UNIT + weight.bytes / BYTES_PER_UNIT;
        self.units -= f64::from(u32::try_from(price).unwrap_or(u32::MAX));
        (self.units < 0.0).then(|| Duration::from_secs_f64(-self.units / UNITS_PER_S))
    }
}

#[cfg(test)]
mod tests {
    use super::{Allowance, Duration, Instant, UNITS_MAX, UNITS_PER_S, Weight};

    const PLAIN: Weight = Weight { bytes: 100, elements: 3, attributes: 4 };

    #[test]
    fn a_burst_is_free_and_what_follows_comes_at_the_rate() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        let free = (0..).take_while(|_| allowance.pay(PLAIN, start).is_none()).count();
        assert!((free as f64 - UNITS_MAX).abs() < 2.0, "{free}");
        let later = start + Duration::from_secs(1);
        let free = (0..).take_while(|_| allowance.pay(PLAIN, later).is_none()).count();
        assert!((free as f64 - UNITS_PER_S).abs() < 3.0, "{free}");
    }

    #[test]
    fn a_heavy_stanza_costs_what_many_light_ones_cost() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        let heavy = Weight { bytes: 4 * 1024 * 1024, elements: 50_000, attributes: 0 };
        let free = (0..).take_while(|_| allowance.pay(heavy, start).is_none()).count();
        assert!(free <= 3, "{free}");
    }
}
