//! Secrets of plugins: written by people, sealed, and read by the plugin alone. They go with the plugin.

use serde::{Deserialize, Serialize};

use super::codec::{decode, encode};
use super::engine::{Batch, Check};
use super::{CONFLICT_TRIES_MAX, Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::id::TenantId;
use crate::records::plugin::{PLUGIN_SECRETS_MAX, PluginSecret};

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Sealed {
    value: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// What became of a secret that was to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretKept {
    /// There was none of this name.
    Created(PluginSecret),
    /// It took the place of another.
    Replaced(PluginSecret),
    /// The plugin has [`PLUGIN_SECRETS_MAX`].
    TooMany,
    /// There is no plugin of this name.
    NoPlugin,
}

impl Storage {
    /// Keeps a secret of a plugin under a name, in place of the one that is there.
    ///
    /// # Errors
    /// When the engine fails, or when others kept changing the plugin.
    pub async fn keep_plugin_secret(
        &self,
        owner: TenantId,
        plugin: &str,
        name: &str,
        value: &str,
        now: Timestamp,
    ) -> Result<SecretKept, StorageError> {
        let (place, count) = (keys::plugin_secret(owner, plugin, name), keys::plugin_secret_count(owner, plugin));
        let record = keys::plugin(owner, plugin);
        for _ in 0..CONFLICT_TRIES_MAX {
            // What were written for one that is deleted meanwhile would be found by the next of its name.
            let Some(there) = self.engine.get(&record).await? else { return Ok(SecretKept::NoPlugin) };
            let before = self.engine.get(&place).await?;
            let created_at = match &before {
                Some(sealed) => self.open_secret(&place, sealed)?.created_at,
                None => now,
            };
            let mut batch = Batch::default();
            batch.check(Check::Equals { key: record.clone(), value: there });
            match &before {
                Some(value) => batch.check(Check::Equals { key: place.clone(), value: value.clone() }),
                None => {
                    batch.check(Check::Absent { key: place.clone() });
                    batch.check(Check::AtMost { key: count.clone(), max: PLUGIN_SECRETS_MAX - 1 });
                    batch.add(count.clone(), 1);
                }
            }
            let sealed = Sealed { value: value.to_owned(), created_at, updated_at: now };
            batch.put(place.clone(), self.vault.seal(&place, &encode(&place, &sealed)?));
            match self.engine.commit(batch).await {
                Ok(_) => {
                    let kept = PluginSecret { name: name.to_owned(), created_at, updated_at: now };
                    return Ok(if before.is_some() { SecretKept::Replaced(kept) } else { SecretKept::Created(kept) });
                }
                Err(StorageError::Conflict) => {
                    let full = self.plugin_secrets(owner, plugin).await?.len() as u64 >= PLUGIN_SECRETS_MAX;
                    if full && before.is_none() {
                        return Ok(SecretKept::TooMany);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(StorageError::Conflict)
    }

    /// The value of a plugin's secret.
    ///
    /// # Errors
    /// When the engine fails or it does not open.
    pub async fn plugin_secret(&self, owner: TenantId, plugin: &str, name: &str) -> Result<Option<String>, StorageError> {
        let place = keys::plugin_secret(owner, plugin, name);
        let Some(sealed) = self.engine.get(&place).await? else { return Ok(None) };
        Ok(Some(self.open_secret(&place, &sealed)?.value))
    }

    /// The secrets of a plugin, by name, without their values.
    ///
    /// # Errors
    /// When the engine fails or one does not open.
    pub async fn plugin_secrets(&self, owner: TenantId, plugin: &str) -> Result<Vec<PluginSecret>, StorageError> {
        let prefix = keys::plugin_secrets(owner, plugin);
        let mut secrets = Vec::new();
        for (place, sealed) in self.entries(&prefix).await? {
            let Sealed { created_at, updated_at, .. } = self.open_secret(&place, &sealed)?;
            let name = place.get(prefix.len()..).map(String::from_utf8_lossy).unwrap_or_default().into_owned();
            secrets.push(PluginSecret { name, created_at, updated_at });
        }
        Ok(secrets)
    }

    /// Removes a secret of a plugin; whether there was one.
    ///
    /// # Errors
    /// When the engine fails, or when others kept changing it.
    pub async fn delete_plugin_secret(&self, owner: TenantId, plugin: &str, name: &str) -> Result<bool, StorageError> {
        let place = keys::plugin_secret(owner, plugin, name);
        for _ in 0..CONFLICT_TRIES_MAX {
            let Some(value) = self.engine.get(&place).await? else { return Ok(false) };
            let mut batch = Batch::default();
            batch.check(Check::Equals { key: place.clone(), value });
            batch.delete(place.clone());
            batch.add(keys::plugin_secret_count(owner, plugin), -1);
            match self.engine.commit(batch).await {
                Err(StorageError::Conflict) => {}
                done => return done.map(|_| true),
            }
        }
        Err(StorageError::Conflict)
    }

    fn open_secret(&self, place: &[u8], sealed: &[u8]) -> Result<Sealed, StorageError> {
        decode(place, &self.vault.open(place, sealed)?)
    }
}
