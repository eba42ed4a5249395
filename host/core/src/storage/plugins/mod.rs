//! Plugins: their records, their versions, and the components by their hash.

mod artifacts;
mod calls;
mod room;
mod versions;

use super::cleanup::Leftover;
use super::engine::{Batch, KeyRange};
use super::{Storage, StorageError, keys};
use crate::records::id::TenantId;
use crate::records::plugin::Plugin;

pub use artifacts::ARTIFACT_BYTES_MAX;
pub(super) use artifacts::PARTS_AT_ONCE;
pub use calls::CallQuery;
pub use versions::{NewVersion, VersionChange, VersionKept};

impl Storage {
    /// A plugin of a tenant.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn plugin(&self, tenant: TenantId, name: &str) -> Result<Option<Plugin>, StorageError> {
        self.read(&keys::plugin(tenant, name)).await
    }

    /// Every plugin of a tenant, by name.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn plugins(&self, tenant: TenantId) -> Result<Vec<Plugin>, StorageError> {
        self.list(&keys::plugins(tenant)).await
    }

    /// Removes the components that hosts before versions stored and no plugin has any more. To be called when every plugin of
    /// the tenant has versions.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn drop_whole_artifacts(&self, tenant: TenantId) -> Result<(), StorageError> {
        let prefix = keys::artifacts(tenant);
        if self.engine.range(&KeyRange::prefix(&prefix, 1)).await?.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::default();
        batch.delete_prefix(prefix);
        self.engine.commit(batch).await.map(|_| ())
    }

    /// Removes a plugin with its versions; whether there was one. Where it stood in the event logs, as `subscription`, and the
    /// runs it owed are forgotten, so that one of the same name begins with what happens then.
    ///
    /// # Errors
    /// When the engine fails: if the plugin is gone by then, what is left of it is removed later.
    pub async fn delete_plugin(&self, tenant: TenantId, name: &str, subscription: &str) -> Result<bool, StorageError> {
        if self.plugin(tenant, name).await?.is_none() {
            return Ok(false);
        }
        let left = Leftover::Plugin { owner: tenant, name: name.to_owned(), subscription: subscription.to_owned() };
        let mut batch = Batch::default();
        batch.delete(keys::plugin(tenant, name));
        left.put(&mut batch)?;
        self.engine.commit(batch).await?;
        self.finish_cleanup(&left).await.map(|()| true)
    }
}
