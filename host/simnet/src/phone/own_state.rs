//! A phone as the first of its account's devices: it holds the keys of the app state, understands what its companions
//! change, makes changes of its own, and remembers what a new companion must hear of.

use serde::Serialize;
use serde_json::Value;
use wacore_appstate::schemas::COLLECTIONS;
use waproto::whatsapp::Message;
use waproto::whatsapp::message::AppStateSyncKeyShare;
use waproto::whatsapp::syncd_mutation::SyncdOperation;
use waproto::whatsapp::{SyncdPatch, SyncdSnapshotRecovery};

use super::app_state::{Change, Entry};
use super::chats::Origin;
use super::error::PhoneError;
use super::state_actions::{StateAction, Surroundings, changes};
use super::{Envelope, Phone, state_view};
use crate::clock;

/// Bytes of a name that is taken over from a companion.
const NAME_BYTES_MAX: usize = 1_024;

/// A change of the app state that the phone has made and everybody must get.
pub struct StateChange {
    /// Which collection it belongs to.
    pub collection: &'static str,
    /// The change, sealed.
    pub patch: SyncdPatch,
}

/// What an accepted patch means for the rest of the network.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Understood {
    /// The owner's new name.
    pub push_name: Option<String>,
}

/// The phone's view of one collection.
#[derive(Debug, Serialize)]
pub struct CollectionView {
    name: &'static str,
    version: u64,
    entries: Vec<Value>,
}

impl Phone {
    /// The ids of the app-state keys that the phone holds, oldest first.
    pub fn sync_key_ids(&self) -> Vec<String> {
        self.core.sync_keys.ids().map(hex::encode).collect()
    }

    /// Makes a new key for the app state; the phone seals with it from now on, and its companions must get it.
    pub fn rotate_sync_key(&mut self) -> bool {
        let rotated = self.core.sync_keys.rotate(clock::now_ms());
        self.core_changed |= rotated;
        rotated
    }

    /// The message that gives an own companion the keys of the account's app state: all of them, or those it asked for.
    pub fn share_sync_keys(&self, wanted: Option<&[Vec<u8>]>) -> Message {
        self.core.sync_keys.share(&self.core.companions, wanted)
    }

    /// Keeps the keys that a companion shares.
    pub fn learn_sync_keys(&mut self, share: &AppStateSyncKeyShare) {
        self.core_changed |= self.core.sync_keys.learn(share);
    }

    /// The name that the owner shows to others, once the app state has one.
    pub fn shared_push_name(&self) -> Option<String> {
        let entry = self.app_state.entry("critical_block", &["setting_pushName"])?;
        entry.value().push_name_setting.name.clone()
    }

    /// Seals what an action of the owner changes; `None` when it changes no collection. It takes effect, for the phone
    /// as well, when the patch is taken in.
    pub fn compose_state(&self, action: &StateAction) -> Result<Option<StateChange>, PhoneError> {
        let around = Surroundings { chats: &self.chats, now_ms: i64::try_from(clock::now_ms()).unwrap_or(i64::MAX) };
        let Some((schema, changes)) = changes(action, &around) else { return Ok(None) };
        let collection = schema.collection.as_str();
        let changes = self.with_former_values(collection, changes);
        let patch = self.app_state.compose(&self.core.sync_keys, collection, &changes)?;
        Ok(Some(StateChange { collection, patch }))
    }

    /// Whoever removes an entry repeats the value that it had.
    fn with_former_values(&self, collection: &str, mut changes: Vec<Change>) -> Vec<Change> {
        for change in changes.iter_mut().filter(|change| change.operation == SyncdOperation::REMOVE) {
            let index: Vec<&str> = change.index.iter().map(String::as_str).collect();
            if let Some(entry) = self.app_state.entry(collection, &index) {
                change.value = entry.value();
            }
        }
        changes
    }

    /// Takes in the next patch of a collection, from a companion or the phone's own. One that does not verify is an
    /// error and changes nothing.
    pub fn take_state_patch(&mut self, collection: &'static str, patch: &SyncdPatch) -> Result<Understood, PhoneError> {
        let mutations = self.app_state.take(&self.core.sync_keys, collection, patch)?;
        let mut understood = Understood::default();
        for mutation in mutations.iter().filter(|mutation| mutation.operation == SyncdOperation::SET) {
            let index: Vec<&str> = mutation.index.iter().map(String::as_str).collect();
            match index.as_slice() {
                ["setting_pushName"] => {
                    let value = mutation.action_value.as_ref();
                    let name = value.and_then(|value| value.push_name_setting.name.clone());
                    if let Some(name) = name.filter(|name| (1..=NAME_BYTES_MAX).contains(&name.len())) {
                        self.core.name.clone_from(&name);
                        self.core_changed = true;
                        understood.push_name = Some(name);
                    }
                }
                ["deleteChat" | "clearChat", chat, ..] => self.chats.forget(|kept| kept.chat == *chat),
                ["deleteMessageForMe", chat, id, ..] => self.chats.forget(|kept| kept.chat == *chat && kept.id == *id),
                _ => {}
            }
        }
        Ok(understood)
    }

    /// What the phone has understood, by collection and index.
    pub fn state_view(&self) -> Vec<CollectionView> {
        let view = |name: &'static str| {
            let mut entries: Vec<_> = self.app_state.entries(name).collect();
            entries.sort_by(|one, other| one.index.cmp(&other.index));
            let entries = entries.into_iter().map(state_view::entry).collect();
            CollectionView { name, version: self.app_state.version(name), entries }
        };
        COLLECTIONS.iter().map(|collection| view(collection.as_str())).collect()
    }

    /// How many entries a collection has, and how many bytes they take up.
    pub fn state_size(&self, collection: &str) -> (usize, usize) {
        let sizes = self.app_state.entries(collection).map(Entry::bytes);
        sizes.fold((0, 0), |(count, bytes), size| (count + 1, bytes + size))
    }

    /// A whole collection in the clear.
    pub fn state_recovery(&self, collection: &'static str) -> SyncdSnapshotRecovery {
        self.app_state.recovery(&self.core.sync_keys, collection)
    }

    /// Remembers a received message for the histories of companions to come.
    pub(super) fn keep_received(&mut self, envelope: &Envelope, message: &Message) {
        let origin =
            Origin { chat: &envelope.chat, id: &envelope.id, from: Some(&envelope.from), at_s: envelope.at_ms / 1000 };
        self.chats.take(&origin, message);
    }

    /// Remembers a message that the owner sent, from here or from a companion.
    pub fn keep_sent(&mut self, chat: &str, id: &str, at_ms: u64, message: &Message) {
        self.chats.take(&Origin { chat, id, from: None, at_s: at_ms / 1000 }, message);
    }

    /// Remembers the name under which somebody presents himself.
    pub fn learn_name(&mut self, jid: &str, name: &str) {
        self.chats.learn_name(jid, name);
    }
}
