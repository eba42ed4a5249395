//! Uploads: inspected, compiled and tried before anything is stored, and then stored, activated and swapped in.

use std::sync::Arc;

use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::{Declared, Mount, Plugin, PluginVersion};
use switchboard_core::storage::{NewVersion, VersionKept};
use tokio::time::Instant;

use super::grants::enough;
use super::install::{Faults, check};
use super::lifecycle::{check_routes, declared};
use super::{ActivePlugin, Change, GrantWish, Install, InstallError, Installed, PLUGINS_MAX, Plugins, STORE_MIB_MAX};
use crate::http::{RouteError, check_own_mounts, host_name};

const MIB: u64 = 1024 * 1024;

/// A component that has passed its trial.
struct Tried {
    version: PluginVersion,
    /// It, with the plugin's record as it would be.
    active: Arc<ActivePlugin>,
    /// Whether the plugin was there before.
    known: bool,
}

impl Plugins {
    /// Inspects, compiles, tries and stores a component, and activates it if that is wished. When it returns, calls go to it,
    /// unless the plugin is stopped: that it stays. A component that the plugin has already is no new version.
    ///
    /// # Errors
    /// [`InstallError`]; what was active before stays so. With [`InstallError::GrantsNeeded`] the version is kept.
    pub async fn install(&self, install: Install) -> Result<Installed, InstallError> {
        check(&install)?;
        let _loading = self.loading(install.tenant).await?;
        let mut tried = self.try_out(&install, Faults::Refused).await?;
        let _turn = self.turn(install.tenant).await?;
        if tried.known && self.storage.plugin(install.tenant, &install.name).await?.is_none() {
            // Deleted meanwhile: its configuration is not that of the one that takes its name.
            tried = self.try_out(&install, Faults::Refused).await?;
        }
        self.put(install, tried).await
    }

    /// The same for what the host carries, at its start: nobody else changes plugins then.
    pub(super) async fn install_carried(&self, install: Install) -> Result<Installed, InstallError> {
        let tried = self.try_out(&install, Faults::Noted).await?;
        self.put(install, tried).await
    }

    async fn try_out(&self, install: &Install, faults: Faults) -> Result<Tried, InstallError> {
        let Install { tenant, name, component, mounts, config, grants, activate, note, by } = install;
        let stored = self.storage.plugin(*tenant, name).await?;
        let known = stored.is_some();
        if !known {
            let others = self.storage.plugins(*tenant).await?.len();
            if others >= PLUGINS_MAX {
                let why = format!("there are {others} plugins already; the limit is {PLUGINS_MAX}");
                return Err(InstallError::Invalid { field: "name", why });
            }
        }
        if known && !activate && (mounts.is_some() || config.is_some() || grants.is_some()) {
            let why = "a version that is only kept brings no mounts, no configuration and no grants; those are the plugin's";
            return Err(InstallError::Invalid { field: "activate", why: why.to_owned() });
        }
        let mut draft = stored.unwrap_or_else(|| Plugin::new(*tenant, name, self.clock.now()));
        if let Some(mounts) = mounts {
            draft.mounts = checked_mounts(*tenant, mounts)?;
        }
        if let Some(config) = config {
            draft.config.clone_from(config);
        }
        let begun = Instant::now();
        let loaded = self.load(&draft, component, if *activate { faults } else { Faults::Passed }).await?;
        let load_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let tried = PluginVersion::new(&loaded.sha256, component.len() as u64, self.clock.now(), declared(&loaded));
        let asked = loaded.asked.clone();
        let version = PluginVersion { uploaded_by: *by, note: note.clone(), load_ms, asked, ..tried };
        draft.sha256.clone_from(&version.sha256);
        Ok(Tried { version, active: ActivePlugin::new(draft, loaded), known })
    }

    async fn put(&self, install: Install, tried: Tried) -> Result<Installed, InstallError> {
        let Install { tenant, name, component, grants, activate, .. } = install;
        let Tried { mut version, active, .. } = tried;
        let (draft, now) = (&active.record, self.clock.now());
        version.uploaded_at = now;
        if activate {
            check_routes(&active)?;
            // Its routes must fit before anything is stored.
            self.fits(&Change::Active(Arc::clone(&active)))?;
        }
        let held = self.storage.plugin(tenant, &name).await?.map(|plugin| plugin.grants).unwrap_or_default();
        let grants = GrantWish::given(grants.as_ref(), &held, &version.asked);
        // What asks for more is kept, so that nobody has to upload it again.
        let wished = activate;
        let activate = wished && enough(0, &version.asked, &grants).is_ok();
        self.storage.put_artifact(tenant, &version.sha256, &component, now).await?;
        let subscription = if activate { self.subscription(draft, &version.declared).await? } else { None };
        let subscription = subscription.as_deref();
        let new = NewVersion { tenant, name: &name, version: &version, subscription, store_bytes_max: STORE_MIB_MAX * MIB };
        let change = |plugin: &mut Plugin, version: &PluginVersion| {
            if activate || plugin.latest == 0 {
                plugin.mounts.clone_from(&draft.mounts);
                plugin.config.clone_from(&draft.config);
                plugin.grants.clone_from(&grants);
            }
            if activate {
                plugin.activate(version, now);
            }
        };
        let (record, version, is_new) = match self.storage.keep_version(&new, change).await? {
            VersionKept::New(record, version) => (record, version, true),
            VersionKept::Known(record, version) => (record, version, false),
            VersionKept::Full { used } => return Err(InstallError::Full { used: used.div_ceil(MIB), max: STORE_MIB_MAX }),
        };
        if activate {
            self.serve(&record, Some(&active), &declared(&active.loaded)).await?;
        } else if record.sha256.is_empty() {
            self.serve(&record, None, &Declared::default()).await?;
        }
        if wished {
            enough(version.n, &version.asked, &grants)?;
        }
        Ok(Installed { record, version, new: is_new })
    }
}

fn checked_mounts(owner: TenantId, mounts: &[Mount]) -> Result<Vec<Mount>, InstallError> {
    let refused = |error: RouteError| InstallError::Invalid { field: "mounts", why: error.to_string() };
    if owner != TenantId::OPERATOR {
        check_own_mounts(mounts).map_err(refused)?;
        return Ok(mounts.iter().map(|mount| Mount { owner: true, ..mount.clone() }).collect());
    }
    let checked = |mount: &Mount| {
        let host = mount.host.as_deref().map(host_name).transpose()?;
        Ok(Mount { host, ..mount.clone() })
    };
    let mounts: Result<_, RouteError> = mounts.iter().map(checked).collect();
    mounts.map_err(refused)
}
