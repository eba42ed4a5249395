//! Faults drawn from a seed: the same seed and the same sequence of events give the same faults.
//!
//! Each device has a sequence of its own for each kind of fault, so that what happens to one device does not depend on
//! how the events of others fall in between.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Network;
use crate::address::DeviceKey;

/// What a seed may decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RandomKind {
    /// The connection is lost when something is delivered.
    Drop,
    /// A message comes twice.
    Duplicate,
    /// An ack is withheld.
    NoAck,
    /// An ack comes late.
    LateAck,
    /// What is delivered comes late.
    Delay,
    /// A message waits for one of another chat.
    Reorder,
    /// The ciphertexts of a message are damaged.
    Corrupt,
    /// A login is refused for now.
    RefuseLogin,
}

/// One stream of faults.
pub(super) struct RandomFaults {
    seed: u64,
    rate: f64,
    kinds: Vec<RandomKind>,
    ms_max: u64,
    number: Option<String>,
    device: Option<u16>,
    /// How often each kind could have struck each device.
    drawn: HashMap<(DeviceKey, RandomKind), u64>,
    struck: u64,
}

/// What was drawn for a delivery.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DrawnDelivery {
    pub(super) drop: bool,
    pub(super) duplicate: bool,
    pub(super) reorder: bool,
    pub(super) corrupt: bool,
    pub(super) delay_ms: Option<u64>,
}

/// What was drawn for an ack.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DrawnAck {
    pub(super) withheld: bool,
    pub(super) late_ms: Option<u64>,
}

impl RandomFaults {
    pub(super) fn new(
        seed: u64,
        rate: f64,
        kinds: Vec<RandomKind>,
        ms_max: u64,
        number: Option<String>,
        device: Option<u16>,
    ) -> Self {
        Self { seed, rate, kinds, ms_max, number, device, drawn: HashMap::new(), struck: 0 }
    }

    /// Whether it was given for exactly this number and device, or for devices that these name.
    pub(super) fn is_for(&self, number: Option<&str>, device: Option<u16>) -> bool {
        number.is_none_or(|number| self.number.as_deref() == Some(number))
            && device.is_none_or(|device| self.device == Some(device))
    }

    pub(super) fn listed(&self) -> Value {
        json!({
            "fault": "random", "seed": self.seed, "rate": self.rate, "kinds": self.kinds, "ms": self.ms_max,
            "number": self.number, "device": self.device, "struck": self.struck,
        })
    }

    fn reaches(&self, key: &DeviceKey) -> bool {
        self.number.as_ref().is_none_or(|number| *number == key.number)
            && self.device.is_none_or(|device| device == key.device)
    }

    /// Draws once. `Some` when the fault strikes, with a number to draw its measure from.
    fn draw(&mut self, key: &DeviceKey, kind: RandomKind) -> Option<u64> {
        if !self.kinds.contains(&kind) || !self.reaches(key) {
            return None;
        }
        let count = self.drawn.entry((key.clone(), kind)).or_default();
        *count += 1;
        let place = key.number.bytes().fold(u64::from(key.device), |sum, byte| mix(sum ^ u64::from(byte)));
        let drawn = mix(mix(mix(self.seed ^ place) ^ kind as u64) ^ *count);
        let strikes = unit(drawn) < self.rate;
        self.struck += u64::from(strikes);
        strikes.then(|| mix(drawn))
    }

    /// From one millisecond to the most.
    fn ms(&self, drawn: u64) -> u64 {
        1 + drawn % self.ms_max.max(1)
    }
}

/// The finishing steps of SplitMix64 (Steele, Lea, Flood 2014): every bit of the result depends on every bit given.
fn mix(value: u64) -> u64 {
    let mut value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A number from 0 up to but not including 1. A 32-bit integer fits a float exactly.
fn unit(drawn: u64) -> f64 {
    let upper = u32::try_from(drawn >> 32).unwrap_or(u32::MAX);
    f64::from(upper) / 4_294_967_296.0
}

impl Network {
    /// Lets the seeds decide about a stanza that is delivered.
    pub(super) fn draw_delivery(&mut self, key: &DeviceKey, is_message: bool) -> DrawnDelivery {
        let mut drawn = DrawnDelivery::default();
        for random in &mut self.faults.random {
            drawn.drop |= random.draw(key, RandomKind::Drop).is_some();
            if let Some(number) = random.draw(key, RandomKind::Delay) {
                drawn.delay_ms = Some(random.ms(number));
            }
            if is_message {
                drawn.duplicate |= random.draw(key, RandomKind::Duplicate).is_some();
                drawn.reorder |= random.draw(key, RandomKind::Reorder).is_some();
                drawn.corrupt |= random.draw(key, RandomKind::Corrupt).is_some();
            }
        }
        drawn
    }

    /// Lets the seeds decide about an ack.
    pub(super) fn draw_ack(&mut self, key: &DeviceKey) -> DrawnAck {
        let mut drawn = DrawnAck::default();
        for random in &mut self.faults.random {
            drawn.withheld |= random.draw(key, RandomKind::NoAck).is_some();
            if let Some(number) = random.draw(key, RandomKind::LateAck) {
                drawn.late_ms = Some(random.ms(number));
            }
        }
        drawn
    }

    /// Lets the seeds decide whether a login is refused.
    pub(super) fn draw_refusal(&mut self, key: &DeviceKey) -> bool {
        let mut refused = false;
        for random in &mut self.faults.random {
            refused |= random.draw(key, RandomKind::RefuseLogin).is_some();
        }
        refused
    }
}

#[cfg(test)]
mod tests {
    use super::{RandomFaults, RandomKind};
    use crate::address::DeviceKey;

    fn faults(seed: u64) -> RandomFaults {
        RandomFaults::new(seed, 0.1, vec![RandomKind::Drop, RandomKind::Delay], 500, None, None)
    }

    fn strikes(faults: &mut RandomFaults, key: &DeviceKey, kind: RandomKind) -> Vec<Option<u64>> {
        (0..2_000).map(|_| faults.draw(key, kind)).collect()
    }

    #[test]
    fn the_same_seed_draws_the_same_faults_whatever_happens_to_others() {
        let (ann, bob) = (DeviceKey::new("15550001111", 1), DeviceKey::new("15550002222", 1));
        let alone = strikes(&mut faults(7), &ann, RandomKind::Drop);
        let mut crowded = faults(7);
        let among_others: Vec<_> = (0..2_000)
            .map(|_| {
                crowded.draw(&bob, RandomKind::Drop);
                crowded.draw(&ann, RandomKind::Delay);
                crowded.draw(&ann, RandomKind::Drop)
            })
            .collect();
        assert_eq!(alone, among_others);
        assert_ne!(alone, strikes(&mut faults(8), &ann, RandomKind::Drop));
        assert_ne!(alone, strikes(&mut faults(7), &bob, RandomKind::Drop));
    }

    #[test]
    fn faults_strike_at_their_rate_and_only_in_their_kinds() {
        let ann = DeviceKey::new("15550001111", 1);
        let struck = strikes(&mut faults(1), &ann, RandomKind::Delay).iter().flatten().count();
        assert!((150..250).contains(&struck), "{struck} of 2000 at a rate of 0.1");
        assert_eq!(strikes(&mut faults(1), &ann, RandomKind::Corrupt).iter().flatten().count(), 0);
        let mut all = faults(1);
        all.rate = 1.0;
        assert!(strikes(&mut all, &ann, RandomKind::Drop).iter().all(Option::is_some));
        assert!((1..1_000).all(|drawn| (1..=500).contains(&all.ms(drawn))));
    }
}
