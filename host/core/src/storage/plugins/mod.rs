//! Plugins: the record of what is active, and the components by their hash.

use crate::records::id::TenantId;
use crate::records::plugin::Plugin;
use crate::storage::cleanup::Leftover;
use crate::storage::codec::encode;
use crate::storage::engine::Batch;
use crate::storage::{Storage, StorageError, keys};

/// Most bytes of an uploaded component.
pub const ARTIFACT_BYTES_MAX: usize = 32 * 1024 * 1024;

impl Storage {
    /// Makes a plugin active together with its component.
    ///
    /// # Errors
    /// [`StorageError::TooLarge`] over [`ARTIFACT_BYTES_MAX`]; else when the engine fails.
    pub async fn activate_plugin(&self, plugin: &Plugin, component: &[u8]) -> Result<(), StorageError> {
        if component.len() > ARTIFACT_BYTES_MAX {
            return Err(StorageError::TooLarge { bytes: component.len(), bytes_max: ARTIFACT_BYTES_MAX });
        }
        let key = keys::plugin(plugin.tenant, &plugin.name);
        let mut batch = Batch::default();
        batch.put(keys::artifact(plugin.tenant, &plugin.sha256), component.to_vec());
        batch.put(key.clone(), encode(&key, plugin)?);
        self.engine.commit(batch).await.map(|_| ())
    }

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

    /// A tenant's component by its hexadecimal SHA-256.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn artifact(&self, tenant: TenantId, sha256: &str) -> Result<Option<Vec<u8>>, StorageError> {
        self.engine.get(&keys::artifact(tenant, sha256)).await
    }

    /// Removes a plugin; whether there was one. Its component stays for the record of what ran. Where it stood in the event
    /// logs, as `subscription`, and the runs it owed are forgotten, so that one of the same name begins with what happens then.
    ///
    /// # Errors
    /// When the engine fails: if the plugin is gone by then, what is left of it is removed later.
    pub async fn delete_plugin(&self, tenant: TenantId, name: &str, subscription: &str) -> Result<bool, StorageError> {
        if self.plugin(tenant, name).await?.is_none() {
            return Ok(false);
        }
        let left = Leftover::Subscription { owner: tenant, name: subscription.to_owned() };
        let mut batch = Batch::default();
        batch.delete(keys::plugin(tenant, name));
        left.put(&mut batch)?;
        self.engine.commit(batch).await?;
        self.finish_cleanup(&left).await.map(|()| true)
    }
}
