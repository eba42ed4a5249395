//! The app state of all accounts: patches are taken on the version they were made for, kept, and announced.
//!
//! The real server cannot tell a good patch from a bad one. Here the account's own phone looks at each before it is
//! taken, and one that it cannot verify is refused: no device could go on behind it, and a test would only find out
//! by what does not happen.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde_json::Value;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::buffa::MessageField;
use waproto::whatsapp::{ExternalBlobReference, SyncdMutations, SyncdPatch};

use super::account::put;
use super::queue::QueueEntry;
use super::session::SERVER_PEER;
use super::syncd_collection::{Base, Collection, StoredPatch};
use super::{Effect, Network};
use crate::address::DeviceKey;
use crate::blobs::Blob;
use crate::phone::media::{MediaKind, SealedMedia, seal};
use crate::phone::{PhoneError, Understood, collection_name};
use crate::random;

/// From this many mutations on, those of a patch lie on the media hosts.
const INLINE_MUTATIONS_MAX: usize = 100;
/// Refused patches that are remembered for one account.
const REFUSED_MAX: usize = 100;
const NOTIFICATION: &str = "server_sync";

/// The first part of the record keys: `syncd/<number>/<collection>/<version>`, and `…/base` for what is folded.
pub(super) const RECORD: &str = "syncd";
const BASE: &str = "base";

/// The collections of one account.
pub(super) type Collections = BTreeMap<&'static str, Collection>;

/// A patch that the account's phone could not verify.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RefusedPatch {
    collection: String,
    device: u16,
    problem: String,
}

impl Network {
    /// The newest version of a collection.
    pub(super) fn collection_version(&self, number: &str, name: &str) -> u64 {
        self.own.collections.get(number).and_then(|all| all.get(name)).map_or(0, Collection::version)
    }

    /// Takes the next patch of a collection, made by one of the account's devices: the phone takes it in, all other
    /// devices hear of it. The patch has its version already.
    pub(super) fn accept_patch(
        &mut self,
        from: &DeviceKey,
        name: &'static str,
        patch: &SyncdPatch,
    ) -> Result<(), PhoneError> {
        let number = from.number.as_str();
        let Some(account) = self.accounts.get_mut(number) else { return Ok(()) };
        let understood = account.phone.take_state_patch(name, patch)?;
        self.record_phone(number);
        let outside = if patch.mutations.len() > INLINE_MUTATIONS_MAX { Some(self.put_outside(patch)?) } else { None };
        let version = patch.version.version.unwrap_or(0);
        let stored = StoredPatch::new(patch, outside.as_ref());
        self.out.records.push(put(record(number, name, &version.to_string()), &stored));
        let collection = self.own.collections.entry(number.to_owned()).or_default().entry(name).or_default();
        collection.push(version, stored);
        if let Some(folded) = collection.fold() {
            let base = put(record(number, name, BASE), collection.base());
            let gone = folded.iter().map(|version| (record(number, name, &version.to_string()), None));
            self.out.records.extend(gone);
            self.out.records.push(base);
        }
        self.act_on(number, understood);
        self.announce_patch(from, name, version);
        self.out.effects.push(Effect::Changed);
        Ok(())
    }

    /// The patch as clients get it when its mutations are too many for a stanza.
    fn put_outside(&mut self, patch: &SyncdPatch) -> Result<SyncdPatch, PhoneError> {
        let mutations = SyncdMutations { mutations: patch.mutations.clone() };
        let reference = self.put_app_state_blob(&waproto::buffa::Message::encode_to_vec(&mutations))?;
        Ok(SyncdPatch { mutations: Vec::new(), external_mutations: MessageField::some(reference), ..patch.clone() })
    }

    /// Seals a file of the app state and puts it on the media hosts.
    pub(super) fn put_app_state_blob(&mut self, plain: &[u8]) -> Result<ExternalBlobReference, PhoneError> {
        let SealedMedia { key, sealed, sha256, sealed_sha256, bytes, direct_path } = seal(MediaKind::AppState, plain)?;
        self.out.blobs.push(Blob { path: direct_path.clone(), bytes: sealed });
        Ok(ExternalBlobReference {
            media_key: Some(key.to_vec()),
            direct_path: Some(direct_path),
            handle: None,
            file_size_bytes: Some(bytes),
            file_sha256: Some(sha256.to_vec()),
            file_enc_sha256: Some(sealed_sha256.to_vec()),
        })
    }

    fn act_on(&mut self, number: &str, understood: Understood) {
        let Some(name) = understood.push_name else { return };
        if let Some(account) = self.accounts.get_mut(number) {
            account.name = name;
        }
        self.record_account(number);
    }

    /// Tells the other devices of the account that a collection has a new version. Of several that a device has not
    /// acknowledged the last is enough.
    fn announce_patch(&mut self, from: &DeviceKey, name: &'static str, version: u64) {
        let others: Vec<DeviceKey> = self.companions_of(&from.number).into_iter().filter(|device| device != from).collect();
        for device in others {
            let id = random::stanza_id();
            let earlier = self.own.announced.insert((device.clone(), name), id.clone());
            if let Some(earlier) = earlier {
                self.withdraw(&device, "notification", &earlier);
            }
            let node = self.sync_notification(&id, name, version);
            let entry = QueueEntry {
                class: "notification".to_owned(),
                id,
                peer: SERVER_PEER.to_owned(),
                kind: Some(NOTIFICATION.to_owned()),
                node,
            };
            self.enqueue(&device, entry);
        }
    }

    fn sync_notification(&self, id: &str, name: &str, version: u64) -> Node {
        let collection = NodeBuilder::new("collection").attr("name", name).attr("version", version).build();
        NodeBuilder::new("notification")
            .attr("from", wacore_binary::SERVER_JID)
            .attr("type", NOTIFICATION)
            .attr("id", id)
            .attr("t", self.now_s())
            .children([collection])
            .build()
    }

    /// Remembers a patch that was refused, for whoever looks for the reason.
    pub(super) fn note_refused(&mut self, from: &DeviceKey, name: &str, problem: &PhoneError) {
        tracing::warn!(number = from.number, device = from.device, collection = name, %problem, "a patch was refused");
        let refused: &mut VecDeque<RefusedPatch> = self.own.refused.entry(from.number.clone()).or_default();
        if refused.len() >= REFUSED_MAX {
            refused.pop_front();
        }
        refused.push_back(RefusedPatch { collection: name.to_owned(), device: from.device, problem: problem.to_string() });
    }

    /// Takes back one record of a collection.
    pub(super) fn restore_syncd(&mut self, path: &str, value: Value) -> Option<()> {
        let mut parts = path.splitn(3, '/');
        let number = parts.next()?;
        let name = collection_name(parts.next()?)?;
        let version = parts.next()?;
        let collection = self.own.collections.entry(number.to_owned()).or_default().entry(name).or_default();
        if version == BASE {
            collection.restore_base(serde_json::from_value::<Base>(value).ok()?);
        } else {
            collection.push(version.parse().ok()?, serde_json::from_value(value).ok()?);
        }
        Some(())
    }
}

fn record(number: &str, name: &str, version: &str) -> String {
    format!("{RECORD}/{number}/{name}/{version}")
}
