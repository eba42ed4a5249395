//! Verbs for what plugins keep: in a storage that is forgotten with the stage.

use async_trait::async_trait;
use switchboard_core::clock::Timestamp;
use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::Plugin;
use switchboard_core::storage::KvStorage;
use switchboard_runtime::verbs::{StateVerbs, VerbError};

use super::FakeVerbs;

#[async_trait]
impl StateVerbs for FakeVerbs {
    fn kv(&self, tenant: TenantId, plugin: &str, made_at: Timestamp, bytes_max: u64) -> KvStorage {
        self.storage.kv(tenant, plugin, bytes_max).made_at(made_at)
    }

    async fn secret(&self, plugin: &str, name: &str) -> Result<Option<String>, VerbError> {
        let (owner, plugin) = Plugin::owner_and_name(plugin).unwrap();
        Ok(self.storage.plugin_secret(owner, plugin, name).await.unwrap())
    }
}
