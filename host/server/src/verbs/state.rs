//! What plugins keep for a tenant, and the secrets that people wrote down for them.

use async_trait::async_trait;

use switchboard_core::clock::Timestamp;
use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::Plugin;
use switchboard_core::storage::KvStorage;
use switchboard_runtime::verbs::{StateVerbs, VerbError};

use super::{HostVerbs, unavailable};

#[async_trait]
impl StateVerbs for HostVerbs {
    fn kv(&self, tenant: TenantId, plugin: &str, made_at: Timestamp, bytes_max: u64) -> KvStorage {
        self.storage.kv(tenant, plugin, bytes_max).made_at(made_at)
    }

    async fn secret(&self, plugin: &str, name: &str) -> Result<Option<String>, VerbError> {
        let Some((owner, plugin)) = Plugin::owner_and_name(plugin) else { return Ok(None) };
        self.storage.plugin_secret(owner, plugin, name).await.map_err(unavailable)
    }
}
