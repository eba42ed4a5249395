//! Verbs for what plugins keep: in a storage that is forgotten with the stage.

use switchboard_core::records::id::TenantId;
use switchboard_core::storage::KvStorage;
use switchboard_runtime::verbs::StateVerbs;

use super::FakeVerbs;

impl StateVerbs for FakeVerbs {
    fn kv(&self, tenant: TenantId, plugin: &str, bytes_max: u64) -> KvStorage {
        self.storage.kv(tenant, plugin, bytes_max)
    }
}
