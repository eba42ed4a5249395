//! What app state sync remembers: its keys, the version of each collection, and the MACs of the entries.
//!
//! The MACs of a collection must be exactly those its hash was computed from; a row too many makes every later patch
//! fail. A collection's name is therefore a length-prefixed part: clearing `regular` must not touch `regular_low`.

use async_trait::async_trait;
use wacore::appstate::hash::HashState;
use wacore::appstate::processor::AppStateMutationMAC;
use wacore::store::error::Result;
use wacore::store::traits::{AppStateSyncKey, AppSyncStore};

use super::{DeviceBackend, codec, tables};

/// Holds the id of the sync key stored last, which is the one to encrypt with.
const META_LATEST_SYNC_KEY: &[u8] = b"latest-sync-key";

#[async_trait]
impl AppSyncStore for DeviceBackend {
    async fn get_sync_key(&self, key_id: &[u8]) -> Result<Option<AppStateSyncKey>> {
        self.get_json(tables::SYNC_KEYS, key_id).await
    }

    async fn set_sync_key(&self, key_id: &[u8], key: AppStateSyncKey) -> Result<()> {
        let mut batch = self.storage.batch();
        batch.put(tables::SYNC_KEYS, key_id, &codec::to_json(&key)?);
        batch.put(tables::META, META_LATEST_SYNC_KEY, key_id);
        self.commit(batch).await
    }

    async fn get_version(&self, name: &str) -> Result<HashState> {
        let state = self.get_json(tables::SYNC_VERSIONS, name.as_bytes()).await?;
        Ok(state.unwrap_or_default())
    }

    async fn set_version(&self, name: &str, state: HashState) -> Result<()> {
        self.put(tables::SYNC_VERSIONS, name.as_bytes(), &codec::to_json(&state)?).await
    }

    async fn put_mutation_macs(&self, name: &str, _version: u64, mutations: &[AppStateMutationMAC]) -> Result<()> {
        let mut batch = self.storage.batch();
        for mutation in mutations {
            batch.put(tables::MUTATION_MACS, &mac_key(name, &mutation.index_mac), &mutation.value_mac);
        }
        self.commit(batch).await
    }

    async fn get_mutation_mac(&self, name: &str, index_mac: &[u8]) -> Result<Option<Vec<u8>>> {
        self.get(tables::MUTATION_MACS, &mac_key(name, index_mac)).await
    }

    async fn delete_mutation_macs(&self, name: &str, index_macs: &[Vec<u8>]) -> Result<()> {
        let mut batch = self.storage.batch();
        for index_mac in index_macs {
            batch.delete(tables::MUTATION_MACS, &mac_key(name, index_mac));
        }
        self.commit(batch).await
    }

    async fn clear_mutation_macs(&self, name: &str) -> Result<()> {
        self.delete_prefix(tables::MUTATION_MACS, &mac_key(name, b"")).await
    }

    async fn get_latest_sync_key_id(&self) -> Result<Option<Vec<u8>>> {
        self.get(tables::META, META_LATEST_SYNC_KEY).await
    }
}

fn mac_key(name: &str, index_mac: &[u8]) -> Vec<u8> {
    codec::composed(&[name.as_bytes()], index_mac)
}
