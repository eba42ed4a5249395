//! Accounts and their devices, in memory and as records.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Network;
use super::queue::DeviceQueue;
use crate::address::DeviceKey;
use crate::phone::{DeviceBundle, Phone, PhoneError, SignedPreKey};
use crate::random;
use crate::state_log::Record;

/// The largest device number that an address can carry.
pub(super) const DEVICE_MAX: u16 = 254;
/// Accounts there may be. Anybody who can scan a code with a made-up phone makes one.
const ACCOUNTS_MAX: usize = 100_000;
/// Numbers made up for accounts that nobody named: a fictitious prefix and this many random digits.
const INVENTED_NUMBER_PREFIX: &str = "1555";
const INVENTED_NUMBER_DIGITS: usize = 7;
const LID_DIGITS: usize = 15;

/// The part of an account that is stored under `account/<number>`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AccountRecord {
    pub(super) lid: String,
    pub(super) name: String,
    /// The push name with which its devices log in, when it was made by a scan without a number.
    pub(super) login_name: Option<String>,
    pub(super) about: String,
    /// The last device number given. Numbers are not given again while others are left: peers keep sessions by them.
    pub(super) last_device: u16,
}

/// An account: a phone and its companions.
pub(super) struct Account {
    pub(super) lid: String,
    pub(super) name: String,
    pub(super) login_name: Option<String>,
    pub(super) about: String,
    pub(super) last_device: u16,
    pub(super) phone: Phone,
    pub(super) devices: BTreeMap<u16, Device>,
    /// Device numbers promised to pairings that are not finished.
    pub(super) promised: Vec<u16>,
}

/// A signed prekey as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SignedKey {
    pub(super) id: u32,
    #[serde(with = "crate::hex_serde::array")]
    pub(super) public: [u8; 32],
    #[serde(with = "crate::hex_serde::array")]
    pub(super) signature: [u8; 64],
}

/// The part of a companion that is stored under `device/<number>/<device>`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct DeviceRecord {
    #[serde(with = "crate::hex_serde::array")]
    pub(super) noise: [u8; 32],
    pub(super) registration_id: u32,
    #[serde(with = "crate::hex_serde::array")]
    pub(super) identity: [u8; 32],
    pub(super) signed_prekey: SignedKey,
    /// The ADV identity that the device signed at pairing, with the account's key filled in.
    #[serde(with = "crate::hex_serde::blob")]
    pub(super) device_identity: Vec<u8>,
    pub(super) key_index: u32,
    pub(super) push_name: String,
}

/// A companion.
pub(super) struct Device {
    pub(super) record: DeviceRecord,
    pub(super) one_time: BTreeMap<u32, [u8; 32]>,
    pub(super) queue: DeviceQueue,
}

impl Account {
    /// The number after the last one given, or the lowest free one once the top is reached.
    pub(super) fn free_device(&self) -> Option<u16> {
        let taken = |device: &u16| self.devices.contains_key(device) || self.promised.contains(device);
        (self.last_device + 1..=DEVICE_MAX).chain(1..=DEVICE_MAX).find(|device| !taken(device))
    }

    pub(super) fn record(&self) -> AccountRecord {
        AccountRecord {
            lid: self.lid.clone(),
            name: self.name.clone(),
            login_name: self.login_name.clone(),
            about: self.about.clone(),
            last_device: self.last_device,
        }
    }
}

impl Device {
    /// What somebody needs to write to it, without a one-time key.
    pub(super) fn bundle(&self) -> DeviceBundle {
        DeviceBundle {
            registration_id: self.record.registration_id,
            identity: self.record.identity,
            signed_prekey: SignedPreKey {
                id: self.record.signed_prekey.id,
                public: self.record.signed_prekey.public,
                signature: self.record.signed_prekey.signature,
            },
            one_time: None,
        }
    }
}

impl Network {
    /// Makes an account with a new phone.
    pub(super) fn create_account(&mut self, number: &str, name: &str, login_name: Option<&str>) -> Result<(), PhoneError> {
        if self.accounts.len() >= ACCOUNTS_MAX {
            return Err(PhoneError::TooManyAccounts { accounts: self.accounts.len() });
        }
        let mut lid = random::digits(LID_DIGITS);
        while self.number_by_lid.contains_key(&lid) {
            lid = random::digits(LID_DIGITS);
        }
        let account = Account {
            phone: Phone::new(number, &lid, name)?,
            lid: lid.clone(),
            name: name.to_owned(),
            login_name: login_name.map(str::to_owned),
            about: String::new(),
            last_device: 0,
            devices: BTreeMap::new(),
            promised: Vec::new(),
        };
        if let Some(login_name) = login_name {
            self.number_by_login_name.insert(login_name.to_owned(), number.to_owned());
        }
        self.number_by_lid.insert(lid, number.to_owned());
        self.accounts.insert(number.to_owned(), account);
        self.record_account(number);
        self.record_phone(number);
        self.begin_person(number, login_name.unwrap_or(name));
        self.found_app_state(number);
        Ok(())
    }

    /// A number that no account has.
    pub(super) fn invent_number(&self) -> String {
        loop {
            let number = format!("{INVENTED_NUMBER_PREFIX}{}", random::digits(INVENTED_NUMBER_DIGITS));
            if !self.accounts.contains_key(&number) {
                return number;
            }
        }
    }

    pub(super) fn record_account(&mut self, number: &str) {
        if let Some(account) = self.accounts.get(number) {
            let record = put(format!("account/{number}"), &account.record());
            self.out.records.push(record);
        }
    }

    /// Writes down what has changed inside a phone.
    pub(super) fn record_phone(&mut self, number: &str) {
        if let Some(account) = self.accounts.get_mut(number) {
            for (suffix, value) in account.phone.dirty_records() {
                self.out.records.push((format!("phone/{number}/{suffix}"), value));
            }
        }
    }

    pub(super) fn record_device(&mut self, key: &DeviceKey) {
        if let Some(device) = self.device(key) {
            let record = put(format!("device/{}/{}", key.number, key.device), &device.record);
            self.out.records.push(record);
        }
    }

    /// Forgets a companion and everything kept for it.
    pub(super) fn remove_device(&mut self, key: &DeviceKey) {
        let Some(account) = self.accounts.get_mut(&key.number) else {
            return;
        };
        let Some(device) = account.devices.remove(&key.device) else {
            return;
        };
        account.phone.unlink(key.device);
        self.queued_bytes = self.queued_bytes.saturating_sub(device.queue.bytes());
        let DeviceKey { number, device: id } = key;
        let records = &mut self.out.records;
        records.push((format!("device/{number}/{id}"), None));
        records.extend(device.one_time.keys().map(|prekey| (prekey_record(key, *prekey), None)));
        records.extend(device.queue.sequences().map(|sequence| (queue_record(key, sequence), None)));
        self.device_by_noise_key.remove(&device.record.noise);
        self.faults.remove(key);
        self.forget_presence(key);
        self.record_phone(number);
        self.announce_unlinked(key, &device.record);
        self.after_unlink(key);
    }
}

/// The record key of a one-time prekey.
pub(super) fn prekey_record(key: &DeviceKey, prekey: u32) -> String {
    format!("prekey/{}/{}/{prekey}", key.number, key.device)
}

/// The record key of a queue entry.
pub(super) fn queue_record(key: &DeviceKey, sequence: u64) -> String {
    format!("queue/{}/{}/{sequence}", key.number, key.device)
}

/// A record with a value. Our own types always have a JSON form; `null` could only mean that they do not.
pub(super) fn put(key: String, value: &impl Serialize) -> Record {
    (key, Some(serde_json::to_value(value).unwrap_or(Value::Null)))
}
