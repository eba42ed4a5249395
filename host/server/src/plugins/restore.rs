//! Brings back what was active when the host last stopped, and what a new host has from the start.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sha2::{Digest, Sha256};

use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::{Plugin, PluginVersion};
use switchboard_core::storage::{NewVersion, VersionKept};

use super::install::Faults;
use super::lifecycle::declared;
use super::{ActivePlugin, Change, GrantWish, IdlePlugin, Install, InstallError, Plugins, full_name, wanting};
use crate::builtins::{self, Shared};

impl Plugins {
    /// Activates what was active when the host last stopped, and what a new host has from the start.
    ///
    /// # Errors
    /// When storage fails or a carried plugin is refused. A stored plugin that this host no longer takes is broken, and logged.
    pub async fn restore(&self) -> Result<(), InstallError> {
        for shared in builtins::shared_from_start() {
            self.restore_carried(shared).await?;
        }
        let mut owners = vec![TenantId::OPERATOR];
        owners.extend(self.storage.tenants().await?.iter().map(|tenant| tenant.id));
        for owner in owners {
            let mut all_have_versions = true;
            for record in self.storage.plugins(owner).await? {
                let restored = self.find(owner, &record.name).is_some();
                if !restored {
                    all_have_versions &= self.restore_stored(record).await?;
                }
            }
            if all_have_versions {
                self.storage.drop_whole_artifacts(owner).await?;
            }
        }
        self.restored.store(true, Ordering::Release);
        Ok(())
    }

    /// There is nothing to bring back: from now on what is installed is asked.
    pub(crate) fn begin_empty(&self) {
        self.restored.store(true, Ordering::Release);
    }

    /// Installs a carried plugin whose component this host did not have before. Else the operator's choice of a version stays.
    async fn restore_carried(&self, shared: Shared) -> Result<(), InstallError> {
        let (owner, name) = (TenantId::OPERATOR, shared.name);
        let Some(builtin) = builtins::builtin(name) else { return Ok(()) };
        let stored = self.storage.plugin(owner, name).await?;
        let sha256 = hex::encode(Sha256::digest(builtin.component));
        if stored.is_some() && self.storage.plugin_version(owner, name, &sha256).await?.is_some() {
            return Ok(());
        }
        // What the operator set stays. Versions before this one took any JSON for a configuration.
        let (mounts, config) = match stored {
            Some(stored) => (stored.mounts, Some(stored.config).filter(serde_json::Value::is_object)),
            None => (shared.mounts, None),
        };
        let install = Install {
            tenant: owner,
            name: name.to_owned(),
            component: builtin.component.to_vec(),
            mounts: Some(mounts),
            config: Some(config.unwrap_or(shared.config)),
            grants: Some(GrantWish::Asked),
            activate: true,
            note: String::new(),
            by: None,
        };
        self.install_carried(install).await.map(drop)
    }

    /// Activates a stored plugin. One that cannot be is logged and remembered: what its policy would deny must not go through.
    /// Whether its component is stored as that of a version.
    async fn restore_stored(&self, record: Plugin) -> Result<bool, InstallError> {
        let version = self.storage.plugin_version(record.tenant, &record.name, &record.sha256).await?;
        let event_kinds = version.as_ref().map(|version| version.declared.event_kinds.clone()).unwrap_or_default();
        let mut broken = None;
        if !record.stopped && !record.sha256.is_empty() {
            let Err(error) = self.restore_active(&record, version.is_some()).await else { return Ok(true) };
            let (plugin, interfaces) = (full_name(record.tenant, &record.name), record.interfaces.join(" "));
            tracing::error!(plugin, %error, interfaces, "a stored plugin cannot be activated");
            broken = Some(error.to_string());
        }
        let has_version = version.is_some() || record.sha256.is_empty();
        self.swap(&Change::Idle(Arc::new(IdlePlugin { record, event_kinds, broken })))?;
        Ok(has_version)
    }

    async fn restore_active(&self, record: &Plugin, has_version: bool) -> Result<(), InstallError> {
        let loaded = self.load_stored(record, Faults::Noted).await?;
        note_wanting(record);
        let active = ActivePlugin::new(record.clone(), loaded, self.figures(record.tenant).await?);
        if has_version {
            return self.swap(&Change::Active(active));
        }
        let kept = self.keep_old(record, &active).await?;
        self.swap(&Change::Active(active.stored(&kept)))
    }

    /// Gives a plugin that a host before versions stored its first version.
    async fn keep_old(&self, record: &Plugin, active: &ActivePlugin) -> Result<Plugin, InstallError> {
        let (tenant, name) = (record.tenant, record.name.as_str());
        let now = self.clock.now();
        let component = self.storage.artifact(tenant, &record.sha256).await?.ok_or(InstallError::NoComponent)?;
        let version = PluginVersion::new(&record.sha256, component.len() as u64, now, declared(&active.loaded));
        let asked = active.loaded.asked.clone();
        let version = PluginVersion { activated_at: Some(record.activated_at), asked, ..version };
        self.storage.put_artifact(tenant, &version.sha256, &component, now).await?;
        let new = NewVersion::without_plan(tenant, name, &version);
        match self.storage.keep_version(&new, |plugin, version| plugin.activate(version, now)).await? {
            VersionKept::New(plugin, _) | VersionKept::Known(plugin, _) => Ok(plugin),
            VersionKept::Full { .. } => Ok(record.clone()),
        }
    }
}

/// Says of a plugin what it lacks, such as one that a host before grants stored: it goes on with nothing.
fn note_wanting(record: &Plugin) {
    let missing = wanting(record);
    if !missing.is_empty() {
        let (plugin, missing) = (full_name(record.tenant, &record.name), missing.join("; "));
        tracing::warn!(plugin, missing, "a stored plugin was not given what it needs: PUT its grants");
    }
}
