//! What plugins keep for a tenant.

use switchboard_core::records::id::TenantId;
use switchboard_core::storage::KvStorage;
use switchboard_runtime::verbs::StateVerbs;

use super::HostVerbs;

impl StateVerbs for HostVerbs {
    fn kv(&self, tenant: TenantId, plugin: &str, bytes_max: u64) -> KvStorage {
        self.storage.kv(tenant, plugin, bytes_max)
    }
}
