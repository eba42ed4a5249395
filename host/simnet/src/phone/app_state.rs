//! What the phone has understood of the account's app state: five collections of settings, contacts and marks on chats
//! that all devices of an account share and the server cannot read.
//!
//! A patch counts only when everything in it verifies: its own MAC, the MAC over the whole collection after it (an
//! LTHash of all value MACs), and the MACs of each index and value. The phone's own patches go the same way.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wacore_appstate::hash::{HashState, generate_patch_mac};
use wacore_appstate::schemas::COLLECTIONS;
use wacore_appstate::{AppStateError, Mutation, encode_record, expand_app_state_keys, process_patch};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::syncd_mutation::SyncdOperation;
use waproto::whatsapp::{KeyId, SyncActionValue, SyncdMutation, SyncdPatch, SyncdSnapshotRecovery, SyncdVersion};
use waproto::whatsapp::{SyncActionData, SyncdPlainTextRecord};

use super::error::PhoneError;
use super::signal::{Changes, bad_record};
use super::sync_keys::SyncKeys;
use crate::random;

/// The first part of the record keys: `syncd/<collection>` for where it stands, and `syncd/<collection>/<index MAC>`.
const RECORD: &str = "syncd";

/// The collection of this name, `None` for a name that no client knows.
pub fn collection_name(name: &str) -> Option<&'static str> {
    COLLECTIONS.iter().map(|collection| collection.as_str()).find(|known| *known == name)
}

/// One change that the phone makes.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) operation: SyncdOperation,
    pub(super) index: Vec<String>,
    pub(super) value: SyncActionValue,
    /// The version of the action's schema.
    pub(super) version: i32,
}

/// One entry of a collection, as the control API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// What it is about: the action's name and its arguments.
    pub(super) index: Vec<String>,
    #[serde(with = "crate::hex_serde::array")]
    value_mac: [u8; 32],
    /// The encoded `SyncActionValue`.
    #[serde(with = "crate::hex_serde::blob")]
    value: Vec<u8>,
}

/// Where a collection stands; the part of its record that is not an entry.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u64,
    #[serde(with = "crate::hex_serde::array")]
    hash: [u8; 128],
}

#[derive(Default)]
struct Collection {
    version: u64,
    hash: Option<Box<[u8; 128]>>,
    /// By the MAC of the index.
    entries: BTreeMap<Vec<u8>, Entry>,
}

/// The collections.
#[derive(Default)]
pub(super) struct AppState {
    collections: BTreeMap<&'static str, Collection>,
    changes: Changes,
}

impl Entry {
    /// What the devices of the account have agreed on.
    pub(super) fn value(&self) -> SyncActionValue {
        SyncActionValue::decode_from_slice(&self.value).unwrap_or_default()
    }

    /// What it takes up, about.
    pub(super) fn bytes(&self) -> usize {
        self.value.len() + self.index.iter().map(String::len).sum::<usize>()
    }
}

impl Collection {
    fn state(&self) -> HashState {
        let hash = self.hash.as_deref().copied().unwrap_or([0; 128]);
        HashState { version: self.version, hash, ..HashState::default() }
    }
}

impl AppState {
    /// The version up to which the phone knows a collection.
    pub(super) fn version(&self, name: &str) -> u64 {
        self.collections.get(name).map_or(0, |collection| collection.version)
    }

    /// The entries of a collection.
    pub(super) fn entries(&self, name: &str) -> impl Iterator<Item = &Entry> {
        self.collections.get(name).into_iter().flat_map(|collection| collection.entries.values())
    }

    /// The entry with this index.
    pub(super) fn entry(&self, name: &str, index: &[&str]) -> Option<&Entry> {
        self.entries(name).find(|entry| entry.index.iter().map(String::as_str).eq(index.iter().copied()))
    }

    /// Seals changes as the patch that follows what the phone knows of the collection. Nothing is changed by it.
    pub(super) fn compose(&self, keys: &SyncKeys, name: &'static str, changes: &[Change]) -> Result<SyncdPatch, PhoneError> {
        let refused = |source| PhoneError::AppState { collection: name, source };
        let key = keys.current().ok_or_else(|| refused(AppStateError::KeyNotFound))?;
        let expanded = expand_app_state_keys(&key.data);
        let mut mutations: Vec<SyncdMutation> = Vec::with_capacity(changes.len());
        for change in changes {
            let index = serde_json::to_vec(&change.index).map_err(|error| bad_record(RECORD, error))?;
            let iv = random::bytes();
            let (operation, version) = (change.operation, change.version);
            let (mutation, _) = encode_record(operation, &index, &change.value, &expanded, &key.id, &iv, version);
            mutations.push(mutation);
        }
        let collection = self.collections.get(name);
        let mut state = collection.map(Collection::state).unwrap_or_default();
        let previous = |index_mac: &[u8]| collection.and_then(|collection| collection.entries.get(index_mac));
        let (_, hashed) =
            state.update_hash(&mutations, |index_mac, _| Ok(previous(index_mac).map(|entry| entry.value_mac.to_vec())));
        hashed.map_err(|_| refused(AppStateError::MismatchingLTHash))?;
        state.version += 1;
        let mut patch = SyncdPatch {
            version: MessageField::some(SyncdVersion { version: Some(state.version) }),
            mutations,
            snapshot_mac: Some(state.generate_snapshot_mac(name, &expanded.snapshot_mac)),
            key_id: MessageField::some(KeyId { id: Some(key.id.clone()) }),
            ..SyncdPatch::default()
        };
        patch.patch_mac = Some(generate_patch_mac(&patch, name, &expanded.patch_mac, state.version));
        Ok(patch)
    }

    /// Takes in the next patch of a collection, and tells what has changed; a patch that does not verify changes nothing.
    pub(super) fn take(
        &mut self,
        keys: &SyncKeys,
        name: &'static str,
        patch: &SyncdPatch,
    ) -> Result<Vec<Mutation>, PhoneError> {
        let refused = |source| PhoneError::AppState { collection: name, source };
        // Somebody must have signed for the whole; the library lets a later patch without MACs pass.
        if patch.patch_mac.is_none() || patch.key_id.id.is_none() {
            return Err(refused(AppStateError::PatchMACMismatch));
        }
        if patch.snapshot_mac.is_none() {
            return Err(refused(AppStateError::PatchSnapshotMACMismatch));
        }
        let collection = self.collections.entry(name).or_default();
        let mut state = collection.state();
        let entries = &collection.entries;
        let result = process_patch(
            patch,
            &mut state,
            |id| match keys.find(id) {
                Some(key) => Ok(Arc::new(expand_app_state_keys(&key.data))),
                None => Err(AppStateError::KeyNotFound),
            },
            |index_mac| Ok(entries.get(index_mac).map(|entry| entry.value_mac.to_vec())),
            true,
            name,
        )
        .map_err(refused)?;
        // A client goes on when only this MAC differs, since it may itself be behind. The phone never is.
        if result.state.mac_mismatch_fatal {
            return Err(refused(AppStateError::PatchSnapshotMACMismatch));
        }
        collection.version = result.state.version;
        collection.hash = Some(Box::new(result.state.hash));
        self.note_head(name);
        for index_mac in &result.removed_index_macs {
            self.remove(name, index_mac);
        }
        let set = result.mutations.iter().filter(|mutation| mutation.operation == SyncdOperation::SET);
        for (mutation, macs) in set.zip(&result.added_macs) {
            let Ok(value_mac) = macs.value_mac.as_slice().try_into() else { continue };
            let value = mutation.action_value.as_ref().map(|value| value.encode_to_vec()).unwrap_or_default();
            self.put(name, &macs.index_mac, Entry { index: mutation.index.clone(), value_mac, value });
        }
        Ok(result.mutations)
    }

    /// A whole collection in the clear, for a companion that can no longer make sense of the server's.
    pub(super) fn recovery(&self, keys: &SyncKeys, name: &'static str) -> SyncdSnapshotRecovery {
        let collection = self.collections.get(name);
        let state = collection.map(Collection::state).unwrap_or_default();
        let key_id = keys.current().map(|key| key.id.clone());
        let records = self.entries(name).map(|entry| SyncdPlainTextRecord {
            value: MessageField::some(SyncActionData {
                index: serde_json::to_vec(&entry.index).ok(),
                value: MessageField::some(entry.value()),
                ..SyncActionData::default()
            }),
            key_id: key_id.clone(),
            mac: Some(entry.value_mac.to_vec()),
        });
        SyncdSnapshotRecovery {
            version: MessageField::some(SyncdVersion { version: Some(state.version) }),
            collection_name: Some(name.to_owned()),
            mutation_records: records.collect(),
            collection_lthash: Some(state.hash.to_vec()),
        }
    }

    fn note_head(&mut self, name: &'static str) {
        let Some(collection) = self.collections.get(name) else { return };
        let HashState { version, hash, .. } = collection.state();
        if let Ok(value) = serde_json::to_value(Head { version, hash }) {
            self.changes.insert(format!("{RECORD}/{name}"), Some(value));
        }
    }

    fn put(&mut self, name: &'static str, index_mac: &[u8], entry: Entry) {
        if let Ok(value) = serde_json::to_value(&entry) {
            self.changes.insert(entry_record(name, index_mac), Some(value));
        }
        self.collections.entry(name).or_default().entries.insert(index_mac.to_vec(), entry);
    }

    fn remove(&mut self, name: &'static str, index_mac: &[u8]) {
        let known = self.collections.get_mut(name).and_then(|collection| collection.entries.remove(index_mac));
        if known.is_some() {
            self.changes.insert(entry_record(name, index_mac), None);
        }
    }

    /// Takes back one record; false when it is not of this kind.
    pub(super) fn restore(&mut self, key: &str, value: &Value) -> Result<bool, PhoneError> {
        let Some((RECORD, path)) = key.split_once('/') else { return Ok(false) };
        let (name, index_mac) = path.split_once('/').map_or((path, None), |(name, mac)| (name, Some(mac)));
        let name = collection_name(name).ok_or_else(|| bad_record(key, "no collection has this name"))?;
        let collection = self.collections.entry(name).or_default();
        match index_mac {
            Some(mac) => {
                let mac = hex::decode(mac).map_err(|error| bad_record(key, error))?;
                let entry = serde_json::from_value(value.clone()).map_err(|error| bad_record(key, error))?;
                collection.entries.insert(mac, entry);
            }
            None => {
                let head: Head = serde_json::from_value(value.clone()).map_err(|error| bad_record(key, error))?;
                collection.version = head.version;
                collection.hash = Some(Box::new(head.hash));
            }
        }
        Ok(true)
    }

    pub(super) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }
}

fn entry_record(name: &str, index_mac: &[u8]) -> String {
    format!("{RECORD}/{name}/{}", hex::encode(index_mac))
}
