//! What plugins keep for a tenant.

use switchboard_core::records::id::TenantId;
use switchboard_core::storage::KvStorage;

/// What the host keeps for plugins.
pub trait StateVerbs: Send + Sync {
    /// What `plugin`, by its full name, keeps for `tenant`: at most `bytes_max` bytes.
    fn kv(&self, tenant: TenantId, plugin: &str, bytes_max: u64) -> KvStorage;
}
