//! What plugins keep for a tenant, and the secrets that people wrote down for them.

use async_trait::async_trait;
use switchboard_core::clock::Timestamp;
use switchboard_core::records::id::TenantId;
use switchboard_core::storage::KvStorage;

use super::VerbError;

/// What the host keeps for plugins.
#[async_trait]
pub trait StateVerbs: Send + Sync {
    /// What `plugin`, by its full name, keeps for `tenant`: at most `bytes_max` bytes.
    fn kv(&self, tenant: TenantId, plugin: &str, made_at: Timestamp, bytes_max: u64) -> KvStorage;
    /// The secret of `plugin`, by its full name, that has this name.
    async fn secret(&self, plugin: &str, name: &str) -> Result<Option<String>, VerbError>;
}
