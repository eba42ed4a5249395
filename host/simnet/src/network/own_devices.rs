//! What the devices of one account have among themselves, and what happens when a companion comes or goes.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::Deserialize;
use waproto::whatsapp::DeviceProps;

use super::dirty::DIRTY_AT_FIRST;
use super::peer::PeerSent;
use super::syncd::{Collections, RefusedPatch};
use super::{CommandFault, LinkId, Network};
use crate::address::{DeviceKey, parse_number};
use crate::phone::StateAction;

/// Links by code whose outcome somebody may still ask for.
const LINKED_BY_CODE_MAX: usize = 1_000;

/// All of it, for all accounts.
#[derive(Default)]
pub(super) struct OwnDevices {
    /// The app state, by number.
    pub(super) collections: HashMap<String, Collections>,
    /// The last announcement of each collection to each device.
    pub(super) announced: HashMap<(DeviceKey, &'static str), String>,
    /// Patches that the account's phone could not verify, by number.
    pub(super) refused: HashMap<String, VecDeque<RefusedPatch>>,
    /// What phones sent to their companions last, by number; forgotten when the network stops.
    pub(super) sent: HashMap<String, VecDeque<PeerSent>>,
    /// What devices are to ask for anew, and since when.
    pub(super) dirty: HashMap<DeviceKey, BTreeMap<String, u64>>,
    /// Which device became of a client that was linked by code.
    linked_by_code: BTreeMap<LinkId, DeviceKey>,
}

/// Why a command about an account's own devices was not carried out. Shown to the caller as is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeviceCommandFault {
    #[error("phone {number} has no companion {device}")]
    NoDevice { number: String, device: u16 },
    #[error("{0:?} is nothing that a device can be told to ask for anew; expected one of: {known}", known = super::dirty::KNOWN.join(", "))]
    UnknownDirt(String),
    #[error("{what} is {count}; at most {count_max} are allowed")]
    TooMany { what: &'static str, count: usize, count_max: usize },
    #[error("app-state action: {what} is {bytes} bytes; 1 to {bytes_max} are allowed")]
    Length { what: &'static str, bytes: usize, bytes_max: usize },
    #[error("the phone has as many app-state keys as it can hold")]
    NoMoreKeys,
}

/// The body of a command that makes devices ask for something anew. Without a device it means all of them.
#[derive(Debug, Deserialize)]
pub(crate) struct DirtyBody {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) device: Option<u16>,
}

impl OwnDevices {
    pub(super) fn note_linked(&mut self, link: LinkId, key: DeviceKey) {
        self.linked_by_code.insert(link, key);
        if self.linked_by_code.len() > LINKED_BY_CODE_MAX {
            self.linked_by_code.pop_first();
        }
    }

    pub(super) fn linked(&self, link: LinkId) -> Option<&DeviceKey> {
        self.linked_by_code.get(&link)
    }

    /// Forgets what was kept for a device that is gone.
    fn forget(&mut self, key: &DeviceKey) {
        self.announced.retain(|(device, _), _| device != key);
        if let Some(sent) = self.sent.get_mut(&key.number) {
            sent.retain(|sent| sent.companion() != key);
        }
    }
}

impl Network {
    /// An account begins its app state: the salt for first contacts, and the name of its owner if he has one.
    pub(super) fn found_app_state(&mut self, number: &str) {
        let Some(account) = self.accounts.get(number) else { return };
        let name = account.name.clone();
        if let Some(salt) = self.app_state_nct_salt(number) {
            self.begin_state(number, &StateAction::NctSalt { salt, remove: false });
        }
        if !name.is_empty() {
            self.begin_state(number, &StateAction::PushName { name });
        }
    }

    /// A companion waits for the owner's name. An owner without one is called as his first companion is, or by his
    /// number, as everybody else sees him.
    fn name_owner(&mut self, companion: &DeviceKey) {
        let number = companion.number.as_str();
        let named = self.accounts.get(number).is_none_or(|account| account.phone.shared_push_name().is_some());
        if named {
            return;
        }
        let brought = self.device(companion).map(|device| device.record.push_name.clone()).unwrap_or_default();
        let name = if brought.is_empty() { number.to_owned() } else { brought };
        self.begin_state(number, &StateAction::PushName { name });
    }

    fn begin_state(&mut self, number: &str, action: &StateAction) {
        if let Err(error) = self.phone_changes_state(number, action) {
            tracing::warn!(number, %error, "a phone cannot begin its app state");
        }
    }

    /// A phone tells its new companion what it must know: the keys of the app state, for which the companion waits as
    /// soon as it has logged in, and the past.
    pub(super) fn introduce_companion(&mut self, companion: &DeviceKey, props: &DeviceProps) {
        self.name_owner(companion);
        self.share_app_state_keys(companion, None);
        self.hand_over_history(companion, props);
        for kind in DIRTY_AT_FIRST {
            self.mark_dirty(companion, kind);
        }
    }

    /// A companion is gone: what the others seal from now on must not be readable to it.
    pub(super) fn after_unlink(&mut self, gone: &DeviceKey) {
        self.own.forget(gone);
        self.forget_dirt(gone);
        self.rotate_sync_key(&gone.number);
    }

    /// A phone makes a new key for the app state and gives it to all companions. False when it can hold no more.
    pub(super) fn rotate_sync_key(&mut self, number: &str) -> bool {
        let Some(account) = self.accounts.get_mut(number) else { return false };
        let rotated = account.phone.rotate_sync_key();
        self.record_phone(number);
        if rotated {
            for companion in self.companions_of(number) {
                self.share_app_state_keys(&companion, None);
            }
        }
        rotated
    }

    /// The owner of a phone unlinks a companion.
    pub(crate) fn unlink_companion(&mut self, number: &str, device: u16) -> Result<(), CommandFault> {
        let number = parse_number(number)?;
        if !self.accounts.contains_key(&number) {
            return Err(CommandFault::NoPhone(number));
        }
        let key = DeviceKey::new(number.as_str(), device);
        if self.device(&key).is_none() {
            return Err(DeviceCommandFault::NoDevice { number, device }.into());
        }
        self.log_out_device(&key);
        Ok(())
    }

    /// Makes devices of an account ask for something anew, and tells how many.
    pub(crate) fn make_dirty(&mut self, number: &str, body: &DirtyBody) -> Result<usize, CommandFault> {
        let number = parse_number(number)?;
        if !self.accounts.contains_key(&number) {
            return Err(CommandFault::NoPhone(number));
        }
        let kind = super::dirty::known(&body.kind).ok_or_else(|| DeviceCommandFault::UnknownDirt(body.kind.clone()))?;
        let mut devices = self.companions_of(&number);
        devices.retain(|key| body.device.is_none_or(|device| device == key.device));
        if let (Some(device), true) = (body.device, devices.is_empty()) {
            return Err(DeviceCommandFault::NoDevice { number, device }.into());
        }
        devices.iter().for_each(|key| self.mark_dirty(key, kind));
        Ok(devices.len())
    }
}
