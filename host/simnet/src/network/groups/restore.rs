//! Groups from their stored records.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Network;
use crate::address::DeviceKey;

impl Network {
    pub(in crate::network) fn restore_group(&mut self, id: &str, value: Value) -> Option<()> {
        let group = serde_json::from_value(value).ok()?;
        self.groups.by_id.insert(id.to_owned(), group);
        self.groups.index(id);
        Some(())
    }

    /// Which devices have a phone's sender key: `group_keys/<group>/<number>`.
    pub(in crate::network) fn restore_group_keys(&mut self, path: &str, value: Value) -> Option<()> {
        let (group, number) = path.split_once('/')?;
        let devices: Vec<(String, u16)> = serde_json::from_value(value).ok()?;
        let holders: BTreeSet<DeviceKey> =
            devices.into_iter().map(|(number, device)| DeviceKey::new(number, device)).collect();
        self.groups.key_holders.insert((group.to_owned(), number.to_owned()), holders);
        Some(())
    }

    /// An account that can only be invited: `group_privacy/<number>`.
    pub(in crate::network) fn restore_group_privacy(&mut self, number: &str) -> Option<()> {
        self.groups.invite_only.insert(number.to_owned());
        Some(())
    }
}
