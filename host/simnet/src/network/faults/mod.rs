//! Faults that a test puts on devices, by command or by seed: lost and silent connections, refused logins, missing
//! acks, messages that come late, twice, damaged or in another order.
//!
//! `command` reads and applies what the control API asks for, `delivery` handles what goes into a device's queue,
//! `answer` what goes straight to its connection, `login` who is let in, and `random` draws faults from a seed.
//! Nothing of this is stored: a restart heals everything.

mod answer;
mod command;
mod delivery;
mod login;
mod random;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use super::timers::Later;
use super::{Effect, LinkId, Network};
use crate::address::DeviceKey;

pub(crate) use command::{FaultCommand, FaultFault};
use login::Refusal;
use random::RandomFaults;

/// The longest anything is held back or kept up.
const FAULT_MS_MAX: u64 = 3_600_000;

/// How often something still happens; `None` means until it is cleared.
type Times = Option<u32>;

/// All faults there are.
#[derive(Default)]
pub(super) struct Faults {
    devices: HashMap<DeviceKey, DeviceFaults>,
    /// Clients that register while nobody may log in.
    newcomers: Option<Refusal>,
    /// Connections that let nothing in or out, and whose they are.
    held: HashMap<LinkId, DeviceKey>,
    random: Vec<RandomFaults>,
}

/// What is wrong with a device.
#[derive(Default)]
struct DeviceFaults {
    /// The server does not acknowledge what the device sends.
    no_ack: Option<Times>,
    /// It acknowledges only after this many milliseconds.
    late_ack: Option<(u64, Times)>,
    /// The next messages come more than once.
    duplicate: Option<Times>,
    /// What is for it comes later.
    delay: Option<(u64, Times)>,
    /// Messages of different chats overtake each other; none waits longer than this.
    reorder: Option<(u64, Times)>,
    /// The ciphertexts of the next messages are damaged.
    corrupt: Option<Times>,
    /// Others get no one-time prekey of it, or no keys at all.
    missing_prekeys: Option<(PrekeyFault, Times)>,
    /// Added to each time that it is told.
    clock_skew_ms: Option<i64>,
    refusal: Option<Refusal>,
}

/// What others get when they ask for the keys of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PrekeyFault {
    /// Keys without a one-time prekey, as when all are used up.
    OneTime,
    /// The error 406 in their place.
    All,
}

impl Faults {
    /// Whether there is nothing to look after.
    fn is_quiet(&self) -> bool {
        self.devices.is_empty() && self.random.is_empty()
    }

    fn of(&mut self, key: &DeviceKey) -> &mut DeviceFaults {
        self.devices.entry(key.clone()).or_default()
    }

    /// A device is gone.
    pub(super) fn remove(&mut self, key: &DeviceKey) {
        self.devices.remove(key);
    }

    /// A connection is gone.
    pub(super) fn forget_link(&mut self, link: LinkId) {
        self.held.remove(&link);
    }
}

/// Whether a fault strikes now; counts it, and takes it away after the last time.
fn strike<T: Copy>(fault: &mut Option<(T, Times)>) -> Option<T> {
    let (value, times) = (*fault)?;
    match times {
        None => {}
        Some(0) => {
            *fault = None;
            return None;
        }
        Some(1) => *fault = None,
        Some(times) => *fault = Some((value, Some(times - 1))),
    }
    Some(value)
}

/// The same for a fault that is nothing but there.
fn strike_plain(fault: &mut Option<Times>) -> bool {
    let mut with_value = fault.map(|times| ((), times));
    let struck = strike(&mut with_value).is_some();
    *fault = with_value.map(|((), times)| times);
    struck
}

impl Network {
    /// Lets nothing in or out on the connection of a device for a while.
    fn hold_link(&mut self, key: &DeviceKey, ms: u64) {
        let Some(link) = self.link_by_device.get(key).copied() else {
            return;
        };
        self.faults.held.insert(link, key.clone());
        self.out.effects.push(Effect::Hold(link));
        self.later(ms, Later::Release { link });
    }

    /// A connection that was held goes on.
    pub(super) fn release_link(&mut self, link: LinkId) {
        if self.faults.held.remove(&link).is_some() {
            self.out.effects.push(Effect::Release(link));
        }
    }

    /// What is held back in the queue of a device goes on at `until`.
    pub(super) fn release_held_at(&mut self, key: &DeviceKey, until_ms: u64) {
        let wait_ms = until_ms.saturating_sub(self.now_ms);
        self.later(wait_ms, Later::ReleaseHeld { key: key.clone() });
    }

    /// What others get when they ask for the keys of a device; counts it.
    pub(super) fn prekey_fault(&mut self, key: &DeviceKey) -> Option<PrekeyFault> {
        strike(&mut self.faults.devices.get_mut(key)?.missing_prekeys)
    }
}
