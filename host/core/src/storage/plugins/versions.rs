//! Versions of plugins: kept, activated, gone back from and removed, each in one commit with the plugin's record.

use crate::clock::Timestamp;
use crate::records::id::TenantId;
use crate::records::plugin::{Grants, Plugin, PluginVersion, VERSIONS_MAX};
use crate::storage::cleanup::Leftover;
use crate::storage::codec::{decode, encode};
use crate::storage::engine::{Batch, Check};
use crate::storage::{CONFLICT_TRIES_MAX, Storage, StorageError, keys};

use super::room::Room;

/// A version that is to be kept.
#[derive(Clone, Copy, Debug)]
pub struct NewVersion<'a> {
    /// Whose plugin it is.
    pub tenant: TenantId,
    /// The plugin's name.
    pub name: &'a str,
    /// The version; what it has for a number is drawn anew. Its component was put at its `uploaded_at`.
    pub version: &'a PluginVersion,
    /// The subscription that is to begin with what happens from now on, unless it has a place in the event log already.
    pub subscription: Option<&'a str>,
    /// Most bytes that the components of the tenant may have together.
    pub store_bytes_max: u64,
    /// Most versions that the plugin may have.
    pub versions_max: usize,
}

impl<'a> NewVersion<'a> {
    /// One that no plan bounds, and with which no subscription begins.
    pub fn without_plan(tenant: TenantId, name: &'a str, version: &'a PluginVersion) -> Self {
        Self { tenant, name, version, subscription: None, store_bytes_max: u64::MAX, versions_max: VERSIONS_MAX }
    }
}

/// What became of a version that was to be kept.
#[derive(Clone, Debug, PartialEq)]
pub enum VersionKept {
    /// It is kept; the plugin as it is now.
    New(Plugin, PluginVersion),
    /// The plugin has it already.
    Known(Plugin, PluginVersion),
    /// The tenant's components have too many bytes, even without the versions that may go.
    Full {
        /// What they have, bytes.
        used: u64,
    },
}

/// What became of a change to one version.
#[derive(Clone, Debug, PartialEq)]
pub enum VersionChange {
    /// It is durable; the plugin as it is now.
    Done(Box<Plugin>),
    /// There is no such plugin.
    NoPlugin,
    /// The plugin has no such version.
    NoVersion,
    /// It is the active one, which stays.
    Active,
}

/// The plugin's record as it was read, and the check that it still is so.
struct Held {
    plugin: Plugin,
    check: Check,
}

impl Storage {
    /// Keeps a version, makes the plugin if there is none, and lets `change` say what becomes of it. Over `versions_max`, and
    /// where its bytes find no room, the oldest versions go that are neither active nor the one to go back to.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when its component was not put, or others kept changing the plugin; else when the engine fails
    /// or a record is damaged.
    pub async fn keep_version(
        &self,
        new: &NewVersion<'_>,
        mut change: impl FnMut(&mut Plugin, &PluginVersion) + Send,
    ) -> Result<VersionKept, StorageError> {
        for _ in 0..CONFLICT_TRIES_MAX {
            // What a deleted plugin of this name has left must not be taken for this one's.
            self.finish_cleanup_at(&Leftover::plugin_key(new.tenant, new.name)).await?;
            match self.try_to_keep(new, &mut change).await {
                Err(StorageError::Conflict) => {}
                Ok(VersionKept::Full { used }) => {
                    // What finds no room must not lie there until somebody sweeps.
                    let (sha256, at) = (new.version.sha256.clone(), new.version.uploaded_at);
                    self.remove_artifacts(&[Leftover::Artifact { tenant: new.tenant, sha256, at }]).await;
                    return Ok(VersionKept::Full { used });
                }
                done => return done,
            }
        }
        Err(StorageError::Conflict)
    }

    async fn try_to_keep(
        &self,
        new: &NewVersion<'_>,
        change: &mut (impl FnMut(&mut Plugin, &PluginVersion) + Send),
    ) -> Result<VersionKept, StorageError> {
        let NewVersion { tenant, name, .. } = *new;
        let Held { mut plugin, check } = match self.held_plugin(tenant, name).await? {
            Some(held) => held,
            None => Held {
                plugin: Plugin::new(tenant, name, new.version.uploaded_at),
                check: Check::Absent { key: keys::plugin(tenant, name) },
            },
        };
        let mut versions = self.plugin_versions(tenant, name).await?;
        let mut batch = Batch::default();
        batch.check(check);
        batch.check(Check::Absent { key: Leftover::plugin_key(tenant, name) });
        let known = versions.iter().position(|version| version.sha256 == new.version.sha256).map(|at| versions.remove(at));
        let is_known = known.is_some();
        let mut version = known.unwrap_or_else(|| PluginVersion { n: plugin.latest + 1, ..new.version.clone() });
        let before = plugin.clone();
        change(&mut plugin, &version);
        plugin.latest = plugin.latest.max(version.n);
        let mut left = Vec::new();
        if is_known {
            if plugin == before && new.subscription.is_none() {
                return Ok(VersionKept::Known(plugin, version));
            }
        } else {
            let cost = self.take_artifact(&mut batch, new).await?;
            let room = Room { new, plugin: &mut plugin, versions, cost };
            match self.make_room(&mut batch, room).await? {
                Ok(freed) => left = freed,
                Err(used) => return Ok(VersionKept::Full { used }),
            }
        }
        if plugin.sha256 == version.sha256 && before.sha256 != version.sha256 {
            version.activated_at = Some(plugin.activated_at);
        }
        let place = keys::plugin_version(tenant, name, &version.sha256);
        batch.put(place.clone(), encode(&place, &version)?);
        if let Some(subscription) = new.subscription {
            self.put_cursor_at_end(&mut batch, tenant, subscription).await?;
        }
        Self::put_plugin(&mut batch, &mut plugin)?;
        self.engine.commit(batch).await?;
        self.remove_artifacts(&left).await;
        Ok(if is_known { VersionKept::Known(plugin, version) } else { VersionKept::New(plugin, version) })
    }

    /// The versions of a plugin, oldest first.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn plugin_versions(&self, tenant: TenantId, name: &str) -> Result<Vec<PluginVersion>, StorageError> {
        let mut versions: Vec<PluginVersion> = self.list(&keys::plugin_versions(tenant, name)).await?;
        versions.sort_by_key(|version| version.n);
        Ok(versions)
    }

    /// One version of a plugin by its hexadecimal SHA-256.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn plugin_version(
        &self,
        tenant: TenantId,
        name: &str,
        sha256: &str,
    ) -> Result<Option<PluginVersion>, StorageError> {
        self.read(&keys::plugin_version(tenant, name, sha256)).await
    }

    /// Makes a version the active one; a plugin that was stopped goes on with it. `back` says that it was active before and the
    /// one that is active now is not to be gone back to. Without `grants` the plugin keeps those it has.
    ///
    /// # Errors
    /// When the engine fails, a record is damaged, or others kept changing the plugin.
    pub async fn activate_version(
        &self,
        (tenant, name): (TenantId, &str),
        sha256: &str,
        back: bool,
        subscription: Option<&str>,
        grants: Option<&Grants>,
        now: Timestamp,
    ) -> Result<VersionChange, StorageError> {
        for _ in 0..CONFLICT_TRIES_MAX {
            let Some(Held { mut plugin, check }) = self.held_plugin(tenant, name).await? else {
                return Ok(VersionChange::NoPlugin);
            };
            let place = keys::plugin_version(tenant, name, sha256);
            let Some(value) = self.engine.get(&place).await? else { return Ok(VersionChange::NoVersion) };
            let mut version: PluginVersion = decode(&place, &value)?;
            let mut batch = Batch::default();
            batch.check(check);
            batch.check(Check::Equals { key: place.clone(), value });
            if back {
                plugin.go_back(&version, now)
            } else {
                plugin.activate(&version, now)
            }
            plugin.stopped = false;
            if let Some(grants) = grants {
                plugin.grants.clone_from(grants);
            }
            version.activated_at = Some(now);
            batch.put(place.clone(), encode(&place, &version)?);
            if let Some(subscription) = subscription {
                self.put_cursor_at_end(&mut batch, tenant, subscription).await?;
            }
            Self::put_plugin(&mut batch, &mut plugin)?;
            match self.engine.commit(batch).await {
                Err(StorageError::Conflict) => {}
                other => return other.map(|_| VersionChange::Done(Box::new(plugin))),
            }
        }
        Err(StorageError::Conflict)
    }

    /// Removes a version that is not active.
    ///
    /// # Errors
    /// When the engine fails, a record is damaged, or others kept changing the plugin.
    pub async fn delete_version(&self, tenant: TenantId, name: &str, sha256: &str) -> Result<VersionChange, StorageError> {
        for _ in 0..CONFLICT_TRIES_MAX {
            let Some(Held { mut plugin, check }) = self.held_plugin(tenant, name).await? else {
                return Ok(VersionChange::NoPlugin);
            };
            let Some(version) = self.plugin_version(tenant, name, sha256).await? else {
                return Ok(VersionChange::NoVersion);
            };
            if plugin.sha256 == version.sha256 {
                return Ok(VersionChange::Active);
            }
            let mut batch = Batch::default();
            batch.check(check);
            let left = self.drop_version(&mut batch, tenant, name, &version).await?;
            plugin.before.retain(|before| *before != version.sha256);
            Self::put_plugin(&mut batch, &mut plugin)?;
            match self.engine.commit(batch).await {
                Err(StorageError::Conflict) => continue,
                other => drop(other?),
            }
            self.remove_artifacts(left.as_slice()).await;
            return Ok(VersionChange::Done(Box::new(plugin)));
        }
        Err(StorageError::Conflict)
    }

    /// Changes a plugin's record; `None` when there is none.
    ///
    /// # Errors
    /// When the engine fails, the record is damaged, or others kept changing it.
    pub async fn change_plugin(
        &self,
        tenant: TenantId,
        name: &str,
        mut change: impl FnMut(&mut Plugin) + Send,
    ) -> Result<Option<Plugin>, StorageError> {
        for _ in 0..CONFLICT_TRIES_MAX {
            let Some(Held { mut plugin, check }) = self.held_plugin(tenant, name).await? else { return Ok(None) };
            let mut batch = Batch::default();
            batch.check(check);
            change(&mut plugin);
            Self::put_plugin(&mut batch, &mut plugin)?;
            match self.engine.commit(batch).await {
                Err(StorageError::Conflict) => {}
                other => return other.map(|_| Some(plugin)),
            }
        }
        Err(StorageError::Conflict)
    }

    async fn held_plugin(&self, tenant: TenantId, name: &str) -> Result<Option<Held>, StorageError> {
        let key = keys::plugin(tenant, name);
        let Some(value) = self.engine.get(&key).await? else { return Ok(None) };
        Ok(Some(Held { plugin: decode(&key, &value)?, check: Check::Equals { key, value } }))
    }

    fn put_plugin(batch: &mut Batch, plugin: &mut Plugin) -> Result<(), StorageError> {
        plugin.revision += 1;
        let key = keys::plugin(plugin.tenant, &plugin.name);
        batch.put(key.clone(), encode(&key, plugin)?);
        Ok(())
    }

    /// Lets `batch` begin a subscription with what happens from now on, unless it has begun.
    async fn put_cursor_at_end(&self, batch: &mut Batch, tenant: TenantId, subscription: &str) -> Result<(), StorageError> {
        let key = keys::cursor(tenant, subscription);
        if self.engine.get(&key).await?.is_none() {
            let last = self.last_event_number(tenant).await?;
            batch.check(Check::Absent { key: key.clone() });
            batch.check(Leftover::absent_subscription(subscription));
            batch.put(key.clone(), encode(&key, &last)?);
        }
        Ok(())
    }
}
