//! Builds the network from its stored records.

use std::collections::{BTreeMap, HashMap};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Network;
use super::account::{Account, AccountRecord, Device, DeviceRecord};
use super::queue::{DeviceQueue, QueueRecord, Queued};
use crate::address::DeviceKey;
use crate::phone::{Phone, PhoneError};

/// Why stored records do not make a network.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A record's key or value has another form.
    #[error("state record {0:?} cannot be read")]
    Record(String),
    /// A phone's own records do not fit together.
    #[error("phone {number} cannot be restored")]
    Phone {
        /// Whose phone.
        number: String,
        /// What is wrong with it.
        #[source]
        source: PhoneError,
    },
}

impl Network {
    /// The network as the records have it. Records of unknown kinds belong to other rooms and are left alone.
    pub(crate) fn restore(records: BTreeMap<String, Value>) -> Result<Self, RestoreError> {
        let mut network = Self::default();
        let mut phones: HashMap<String, Vec<(String, Value)>> = HashMap::new();
        let mut rest = Vec::new();
        for (key, value) in records {
            match key.split_once('/') {
                Some(("phone", path)) => {
                    let (number, suffix) = path.split_once('/').ok_or_else(|| RestoreError::Record(key.clone()))?;
                    phones.entry(number.to_owned()).or_default().push((suffix.to_owned(), value));
                }
                Some(_) => rest.push((key, value)),
                None => return Err(RestoreError::Record(key)),
            }
        }
        // Sorted by name, `account` comes before `device`, and `device` before `prekey` and `queue`.
        for (key, value) in rest {
            let (kind, path) = key.split_once('/').unwrap_or_default();
            let restored = match kind {
                "account" => network.restore_account(path, value, &mut phones)?,
                "device" => network.restore_device(path, value),
                "prekey" => network.restore_prekey(path, &value),
                "presence" => network.restore_presence(path, value),
                "queue" => network.restore_queue_entry(path, value),
                "media" => network.restore_media(path, &value),
                "group" => network.restore_group(path, value),
                "group_keys" => network.restore_group_keys(path, value),
                "group_privacy" => network.restore_group_privacy(path),
                "newsletter" => network.restore_newsletter(path, value),
                "business" => network.restore_business(path, value),
                "call" => network.restore_call(path, value),
                "report" => network.restore_report(value),
                "person" | "acquaintance" | "trust" | "group_picture" => network.restore_people(kind, path, value),
                super::syncd::RECORD => network.restore_syncd(path, value),
                super::sticker_packs::RECORD => network.restore_sticker_pack(path, value),
                super::dirty::RECORD => network.restore_dirt(path, value),
                _ => Some(()),
            };
            restored.ok_or(RestoreError::Record(key))?;
        }
        Ok(network)
    }

    fn restore_account(
        &mut self,
        number: &str,
        value: Value,
        phones: &mut HashMap<String, Vec<(String, Value)>>,
    ) -> Result<Option<()>, RestoreError> {
        let Some(record) = read::<AccountRecord>(value) else {
            return Ok(None);
        };
        let phone = Phone::restore(phones.remove(number).unwrap_or_default().into_iter())
            .map_err(|source| RestoreError::Phone { number: number.to_owned(), source })?;
        if let Some(login_name) = &record.login_name {
            self.number_by_login_name.insert(login_name.clone(), number.to_owned());
        }
        self.number_by_lid.insert(record.lid.clone(), number.to_owned());
        let account = Account {
            lid: record.lid,
            name: record.name,
            login_name: record.login_name,
            about: record.about,
            last_device: record.last_device,
            phone,
            devices: BTreeMap::new(),
            promised: Vec::new(),
        };
        self.accounts.insert(number.to_owned(), account);
        Ok(Some(()))
    }

    fn restore_device(&mut self, path: &str, value: Value) -> Option<()> {
        let (key, _) = device_path(path)?;
        let record = read::<DeviceRecord>(value)?;
        self.device_by_noise_key.insert(record.noise, key.clone());
        let device = Device { record, one_time: BTreeMap::new(), queue: DeviceQueue::default() };
        self.accounts.get_mut(&key.number)?.devices.insert(key.device, device);
        Some(())
    }

    fn restore_prekey(&mut self, path: &str, value: &Value) -> Option<()> {
        let (key, id) = device_path(path)?;
        let public = hex::decode(value.as_str()?).ok()?.try_into().ok()?;
        self.device_mut(&key)?.one_time.insert(id?.parse().ok()?, public);
        Some(())
    }

    fn restore_queue_entry(&mut self, path: &str, value: Value) -> Option<()> {
        let (key, sequence) = device_path(path)?;
        let record = read::<QueueRecord>(value)?;
        let queued = Queued::restore(record)?;
        let queue = &mut self.device_mut(&key)?.queue;
        let before = queue.bytes();
        queue.restore(sequence?.parse().ok()?, queued);
        let added = queue.bytes() - before;
        self.queued_bytes += added;
        Some(())
    }
}

/// `<number>/<device>` and what may follow.
fn device_path(path: &str) -> Option<(DeviceKey, Option<&str>)> {
    let mut parts = path.splitn(3, '/');
    let number = parts.next()?;
    let device = parts.next()?.parse().ok()?;
    Some((DeviceKey::new(number, device), parts.next()))
}

fn read<T: DeserializeOwned>(value: Value) -> Option<T> {
    serde_json::from_value(value).ok()
}
