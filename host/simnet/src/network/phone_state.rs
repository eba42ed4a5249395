//! The app state as the owner of a phone works on it, and as the control API asks for it.

use serde::Serialize;

use super::own_devices::DeviceCommandFault;
use super::syncd::RefusedPatch;
use super::{CommandFault, Network};
use crate::address::{DeviceKey, parse_number};
use crate::phone::{CONTACTS_MAX, CollectionView, StateAction};

/// Bytes in a name that an action carries.
const NAME_BYTES_MAX: usize = 256;

/// What a phone has understood of its account's app state.
#[derive(Debug, Serialize)]
pub(crate) struct StateView {
    collections: Vec<CollectionView>,
    /// The ids of its keys, oldest first.
    keys: Vec<String>,
    /// Patches that did not verify, since the network was started.
    refused: Vec<RefusedPatch>,
}

/// What an action came to.
#[derive(Debug, Serialize)]
pub(crate) struct StateOutcome {
    /// The collection that it changed, if it changed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    collection: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
}

impl Network {
    /// Does to the app state what the owner of a phone wants.
    pub(crate) fn act_on_state(&mut self, number: &str, action: &StateAction) -> Result<StateOutcome, CommandFault> {
        let number = parse_number(number)?;
        check(action)?;
        self.phone_changes_state(&number, action)
    }

    /// The phone makes a patch of an action and takes it in like everybody's; its companions hear of it.
    pub(super) fn phone_changes_state(&mut self, number: &str, action: &StateAction) -> Result<StateOutcome, CommandFault> {
        let no_phone = || CommandFault::NoPhone(number.to_owned());
        if matches!(action, StateAction::RotateKey {}) {
            self.accounts.get(number).ok_or_else(no_phone)?;
            let rotated = self.rotate_sync_key(number);
            let outcome = StateOutcome { collection: None, version: None };
            return if rotated { Ok(outcome) } else { Err(DeviceCommandFault::NoMoreKeys.into()) };
        }
        let account = self.accounts.get(number).ok_or_else(no_phone)?;
        let Some(change) = account.phone.compose_state(action).map_err(CommandFault::Phone)? else {
            return Ok(StateOutcome { collection: None, version: None });
        };
        let version = change.patch.version.version;
        let phone = DeviceKey::new(number, 0);
        self.accept_patch(&phone, change.collection, &change.patch).map_err(CommandFault::Phone)?;
        Ok(StateOutcome { collection: Some(change.collection), version })
    }

    /// What a phone has understood.
    pub(crate) fn state_of(&self, number: &str) -> Result<StateView, CommandFault> {
        let number = parse_number(number)?;
        let account = self.accounts.get(&number).ok_or_else(|| CommandFault::NoPhone(number.clone()))?;
        Ok(StateView {
            collections: account.phone.state_view(),
            keys: account.phone.sync_key_ids(),
            refused: self.own.refused.get(&number).into_iter().flatten().cloned().collect(),
        })
    }
}

fn check(action: &StateAction) -> Result<(), DeviceCommandFault> {
    match action {
        StateAction::PushName { name } => check_name("name", name),
        StateAction::Label { label_id, .. } | StateAction::LabelChat { label_id, .. } => check_name("label_id", label_id),
        StateAction::Contacts { contacts } if contacts.len() > CONTACTS_MAX => {
            Err(DeviceCommandFault::TooMany { what: "contacts", count: contacts.len(), count_max: CONTACTS_MAX })
        }
        _ => Ok(()),
    }
}

fn check_name(what: &'static str, name: &str) -> Result<(), DeviceCommandFault> {
    if (1..=NAME_BYTES_MAX).contains(&name.len()) {
        return Ok(());
    }
    Err(DeviceCommandFault::Length { what, bytes: name.len(), bytes_max: NAME_BYTES_MAX })
}
