//! One collection of an account's app state as the server keeps it: sealed patches in order, and what the older ones
//! have come to.
//!
//! The server reads no value. It knows which sealed record replaces which, because the MAC of an index is the same each
//! time; so it can fold old patches into a snapshot, which the devices verify with the MAC that the last folded patch
//! carries over the whole collection.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::syncd_mutation::SyncdOperation;
use waproto::whatsapp::{KeyId, SyncdPatch, SyncdRecord, SyncdSnapshot, SyncdVersion};

/// Patches kept beside the snapshot; a device that lacks more gets the snapshot.
const PATCHES_KEPT: usize = 64;
/// Patches folded at a time.
const PATCHES_FOLDED: usize = 32;

/// A patch as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredPatch {
    /// With all its mutations.
    #[serde(with = "crate::hex_serde::blob")]
    whole: Vec<u8>,
    /// What clients get in its place when its mutations lie on the media hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outside: Option<String>,
}

/// What the folded patches have come to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Base {
    pub(super) version: u64,
    #[serde(with = "crate::hex_serde::blob")]
    mac: Vec<u8>,
    #[serde(with = "crate::hex_serde::blob")]
    key_id: Vec<u8>,
    /// Encoded `SyncdRecord`s by the MAC of their index, both in hex.
    records: BTreeMap<String, String>,
}

/// The collection.
#[derive(Default)]
pub(super) struct Collection {
    base: Base,
    patches: BTreeMap<u64, StoredPatch>,
    /// The reference to the snapshot of a version, as it was last given out.
    pub(super) given_out: Option<(u64, Vec<u8>)>,
}

impl StoredPatch {
    pub(super) fn new(patch: &SyncdPatch, outside: Option<&SyncdPatch>) -> Self {
        let outside = outside.map(|patch| hex::encode(patch.encode_to_vec()));
        Self { whole: patch.encode_to_vec(), outside }
    }

    /// What clients get.
    fn sent(&self) -> Vec<u8> {
        let outside = self.outside.as_deref().and_then(|outside| hex::decode(outside).ok());
        outside.unwrap_or_else(|| self.whole.clone())
    }
}

impl Base {
    fn fold(&mut self, version: u64, stored: &StoredPatch) {
        let Ok(patch) = waproto::codec::syncd_patch_decode(&stored.whole) else { return };
        self.version = version;
        self.mac = patch.snapshot_mac.clone().unwrap_or_default();
        self.key_id = patch.key_id.id.clone().unwrap_or_default();
        let mutations = || patch.mutations.iter().filter_map(|mutation| Some((mutation, mutation.record.as_option()?)));
        let is_removal = |operation: Option<_>| operation.is_some_and(|operation| operation == SyncdOperation::REMOVE);
        // Whoever sets what the same patch removes means what it sets.
        for (_, record) in mutations().filter(|(mutation, _)| is_removal(mutation.operation)) {
            self.records.remove(&index_of(record));
        }
        for (_, record) in mutations().filter(|(mutation, _)| !is_removal(mutation.operation)) {
            self.records.insert(index_of(record), hex::encode(record.encode_to_vec()));
        }
    }

    fn snapshot(&self) -> SyncdSnapshot {
        let records =
            self.records.values().filter_map(|record| SyncdRecord::decode_from_slice(&hex::decode(record).ok()?).ok());
        SyncdSnapshot {
            version: MessageField::some(SyncdVersion { version: Some(self.version) }),
            records: records.collect(),
            mac: Some(self.mac.clone()),
            key_id: MessageField::some(KeyId { id: Some(self.key_id.clone()) }),
        }
    }
}

fn index_of(record: &SyncdRecord) -> String {
    hex::encode(record.index.blob.as_deref().unwrap_or_default())
}

impl Collection {
    /// The version of the newest patch.
    pub(super) fn version(&self) -> u64 {
        self.patches.last_key_value().map_or(self.base.version, |(version, _)| *version)
    }

    /// The version of the snapshot that is always there; 0 when nothing was folded yet.
    pub(super) fn base(&self) -> &Base {
        &self.base
    }

    /// Keeps the next patch.
    pub(super) fn push(&mut self, version: u64, patch: StoredPatch) {
        self.patches.insert(version, patch);
    }

    /// Folds the oldest patches when there are too many, and tells which.
    pub(super) fn fold(&mut self) -> Option<Vec<u64>> {
        if self.patches.len() <= PATCHES_KEPT {
            return None;
        }
        let mut versions = Vec::with_capacity(PATCHES_FOLDED);
        while versions.len() < PATCHES_FOLDED {
            let Some((version, patch)) = self.patches.pop_first() else { break };
            self.base.fold(version, &patch);
            versions.push(version);
        }
        Some(versions)
    }

    /// The patches after a version, oldest first and at most so many of them, and whether there are more.
    pub(super) fn patches_after(&self, version: u64, max: usize) -> (Vec<(u64, Vec<u8>)>, bool) {
        let mut after = self.patches.range(version.saturating_add(1)..);
        let page = after.by_ref().take(max).map(|(version, patch)| (*version, patch.sent())).collect();
        (page, after.next().is_some())
    }

    /// The folded part as a snapshot.
    pub(super) fn base_snapshot(&self) -> SyncdSnapshot {
        self.base.snapshot()
    }

    /// Everything as a snapshot.
    pub(super) fn whole_snapshot(&self) -> SyncdSnapshot {
        let mut whole = self.base.clone();
        for (version, patch) in &self.patches {
            whole.fold(*version, patch);
        }
        whole.snapshot()
    }

    /// Puts the folded part back.
    pub(super) fn restore_base(&mut self, base: Base) {
        self.base = base;
    }
}

#[cfg(test)]
mod tests {
    use waproto::whatsapp::{SyncdIndex, SyncdMutation, SyncdValue};

    use super::{
        Collection, MessageField, PATCHES_FOLDED, PATCHES_KEPT, StoredPatch, SyncdOperation, SyncdPatch, SyncdRecord,
    };

    fn mutation(operation: SyncdOperation, index: u8, value: u8) -> SyncdMutation {
        SyncdMutation {
            operation: Some(operation.into()),
            record: MessageField::some(SyncdRecord {
                index: MessageField::some(SyncdIndex { blob: Some(vec![index]) }),
                value: MessageField::some(SyncdValue { blob: Some(vec![value]) }),
                ..SyncdRecord::default()
            }),
        }
    }

    fn patch(mac: u8, mutations: Vec<SyncdMutation>) -> StoredPatch {
        StoredPatch::new(&SyncdPatch { snapshot_mac: Some(vec![mac]), mutations, ..SyncdPatch::default() }, None)
    }

    fn values(collection: &Collection) -> Vec<(u8, u8)> {
        let snapshot = collection.whole_snapshot();
        let read = |blob: &Option<Vec<u8>>| blob.as_ref().unwrap()[0];
        snapshot.records.iter().map(|record| (read(&record.index.blob), read(&record.value.blob))).collect()
    }

    #[test]
    fn snapshot_has_the_last_value_of_each_index() {
        let mut collection = Collection::default();
        collection.push(1, patch(1, vec![mutation(SyncdOperation::SET, 1, 10), mutation(SyncdOperation::SET, 2, 20)]));
        collection.push(2, patch(2, vec![mutation(SyncdOperation::SET, 1, 11)]));
        collection.push(3, patch(3, vec![mutation(SyncdOperation::REMOVE, 2, 20)]));
        let sealed_anew = vec![mutation(SyncdOperation::SET, 1, 12), mutation(SyncdOperation::REMOVE, 1, 11)];
        collection.push(4, patch(4, sealed_anew));
        assert_eq!(values(&collection), [(1, 12)]);
        assert_eq!(collection.whole_snapshot().mac, Some(vec![4]));
    }

    #[test]
    fn old_patches_are_folded_and_nothing_is_lost() {
        let mut collection = Collection::default();
        for version in 1..=PATCHES_KEPT as u64 {
            collection.push(version, patch(version as u8, vec![mutation(SyncdOperation::SET, version as u8, 7)]));
            assert!(collection.fold().is_none());
        }
        let last = PATCHES_KEPT as u64 + 1;
        collection.push(last, patch(last as u8, vec![mutation(SyncdOperation::SET, last as u8, 7)]));
        let before = values(&collection);
        let folded = collection.fold().unwrap();
        assert_eq!(folded, (1..=PATCHES_FOLDED as u64).collect::<Vec<_>>());
        assert_eq!(values(&collection), before);
        assert_eq!(collection.base().version, PATCHES_FOLDED as u64);
        assert_eq!(collection.base_snapshot().records.len(), PATCHES_FOLDED);
        let (page, more) = collection.patches_after(collection.base().version, 10);
        assert_eq!(page.first().map(|(version, _)| *version), Some(PATCHES_FOLDED as u64 + 1));
        assert_eq!((page.len(), more), (10, true));
        assert_eq!(collection.version(), last);
    }
}
