//! Faults that a test puts on devices: lost connections, missing acks, messages that come twice.

use serde::Deserialize;

use super::{CommandFault, Network};
use crate::address::{DeviceKey, parse_number};
use crate::wire;

/// What is wrong with a device. Not stored: a restart heals it.
#[derive(Default)]
pub(super) struct DeviceFaults {
    /// The server does not acknowledge what the device sends.
    silent: bool,
    /// How many of the next messages to it come twice.
    duplicates: u32,
}

/// The body of a fault command. Without a device it means all devices of the number; without a number, everyone's.
#[derive(Debug, Deserialize)]
pub(crate) struct FaultCommand {
    number: Option<String>,
    device: Option<u16>,
    fault: String,
    /// For `duplicate`: how many messages; one if not given.
    count: Option<u32>,
}

impl Network {
    /// Applies a fault and tells how many devices it has reached.
    pub(crate) fn apply_fault(&mut self, command: &FaultCommand) -> Result<usize, CommandFault> {
        let number = command.number.as_deref().map(parse_number).transpose()?;
        if let Some(number) = &number
            && !self.accounts.contains_key(number)
        {
            return Err(CommandFault::NoPhone(number.clone()));
        }
        let targets = self.fault_targets(number.as_deref(), command.device);
        match command.fault.as_str() {
            "drop" => targets.iter().for_each(|key| self.disconnect_device(key, None)),
            "replace" => targets.iter().for_each(|key| self.disconnect_device(key, Some(wire::stream_replaced()))),
            "log_out" => targets.iter().for_each(|key| self.log_out_device(key)),
            "no_ack" => targets.iter().for_each(|key| self.faults_of(key).silent = true),
            "duplicate" => {
                let count = command.count.unwrap_or(1);
                targets.iter().for_each(|key| self.faults_of(key).duplicates = count);
            }
            "clear" => targets.iter().for_each(|key| {
                self.faults.remove(key);
            }),
            "delay" | "reorder" => return Err(CommandFault::FaultNotYet(command.fault.clone())),
            _ => return Err(CommandFault::UnknownFault(command.fault.clone())),
        }
        Ok(targets.len())
    }

    fn fault_targets(&self, number: Option<&str>, device: Option<u16>) -> Vec<DeviceKey> {
        self.accounts
            .iter()
            .filter(|(own, _)| number.is_none_or(|number| number == own.as_str()))
            .flat_map(|(own, account)| account.devices.keys().map(|id| DeviceKey::new(own.as_str(), *id)))
            .filter(|key| device.is_none_or(|device| device == key.device))
            .collect()
    }

    fn faults_of(&mut self, key: &DeviceKey) -> &mut DeviceFaults {
        self.faults.entry(key.clone()).or_default()
    }

    /// Whether the server withholds its acks from a device.
    pub(super) fn is_silent(&self, key: &DeviceKey) -> bool {
        self.faults.get(key).is_some_and(|faults| faults.silent)
    }

    /// Whether the next message to a device comes twice; counts it.
    pub(super) fn take_duplicate(&mut self, key: &DeviceKey) -> bool {
        let Some(faults) = self.faults.get_mut(key) else {
            return false;
        };
        let twice = faults.duplicates > 0;
        faults.duplicates = faults.duplicates.saturating_sub(1);
        twice
    }
}
