//! The life of a plugin after its upload: activated, gone back from, configured, stopped and deleted.

use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use switchboard_core::clock::Timestamp;
use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::{Declared, Mount, Plugin};
use switchboard_core::rules::plugin_plan::PluginFigures;
use switchboard_core::storage::{StorageError, VersionChange};
use switchboard_runtime::types::Route;
use switchboard_runtime::{CallContext, LoadedPlugin, Owner};

use super::generation::Generation;
use super::grants::enough;
use super::install::{Faults, check_config};
use super::{ActivePlugin, Change, GrantWish, IdlePlugin, InstallError, Plugins, full_name};
use crate::guards::order_fault;

/// Most bytes of a body that a tenant's router takes from somebody without a key: 1 MiB.
const OPEN_BODY_BYTES_MAX: u32 = 1024 * 1024;

/// Which version is to be the active one.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// This one, by its hexadecimal SHA-256.
    Version(&'a str),
    /// The one that was active before.
    Before,
}

impl Plugins {
    /// Makes one version the active one, with these grants or those that the plugin has; a plugin that was stopped goes on with it.
    ///
    /// # Errors
    /// [`InstallError`]; what was active before stays so, and so do the grants.
    pub async fn activate(
        &self,
        tenant: TenantId,
        name: &str,
        which: Which<'_>,
        grants: Option<&GrantWish>,
    ) -> Result<Plugin, InstallError> {
        grants.map_or(Ok(()), GrantWish::check)?;
        let _loading = self.loading(tenant).await?;
        let mut draft = self.stored(tenant, name).await?;
        let (sha256, back) = match which {
            Which::Version(sha256) => (sha256.to_owned(), false),
            Which::Before => (draft.before.first().cloned().ok_or(InstallError::NothingBefore)?, true),
        };
        let version = self.storage.plugin_version(tenant, name, &sha256).await?.ok_or(InstallError::NoSuchVersion)?;
        draft.sha256.clone_from(&sha256);
        let active = self.load_active(&draft).await?;
        let declared = declared(&active.loaded);
        let _turn = self.turn(tenant).await?;
        check_routes(&active)?;
        self.fits(&Change::Active(Arc::clone(&active)))?;
        // Perhaps it was deleted meanwhile: nothing must be left for one that takes its name.
        let held = self.stored(tenant, name).await?.grants;
        let grants = GrantWish::given(grants, &held, &version.asked);
        enough(version.n, &version.asked, &grants)?;
        let subscription = self.subscription(&draft, &declared).await?;
        let (place, now) = ((tenant, name), self.clock.now());
        match self.storage.activate_version(place, &sha256, back, subscription.as_deref(), Some(&grants), now).await? {
            VersionChange::Done(record) => {
                self.serve(&record, Some(&active), &declared).await?;
                Ok(*record)
            }
            VersionChange::NoPlugin => Err(InstallError::NoSuchPlugin),
            VersionChange::NoVersion | VersionChange::Active => Err(InstallError::NoSuchVersion),
        }
    }

    /// Sets a plugin's configuration. It adds no version and compiles nothing anew.
    ///
    /// # Errors
    /// [`InstallError`]; the configuration before stays.
    pub async fn set_config(&self, tenant: TenantId, name: &str, config: Value) -> Result<Plugin, InstallError> {
        check_config(&config)?;
        let _loading = self.loading(tenant).await?;
        let mut draft = self.stored(tenant, name).await?;
        draft.config = config;
        let active = if draft.sha256.is_empty() { None } else { Some(self.load_active(&draft).await?) };
        let _turn = self.turn(tenant).await?;
        // Perhaps it was deleted meanwhile: nothing must be left for one that takes its name.
        self.stored(tenant, name).await?;
        let declared = active.as_ref().map(|active| declared(&active.loaded)).unwrap_or_default();
        if let Some(active) = &active {
            check_routes(active)?;
            self.fits(&Change::Active(Arc::clone(active)))?;
        }
        if !declared.event_kinds.is_empty() {
            // What a plugin answers may follow from its configuration.
            self.start_cursors(&draft).await?;
        }
        let record = self.storage.change_plugin(tenant, name, |plugin| plugin.config.clone_from(&draft.config)).await?;
        let record = record.ok_or(InstallError::NoSuchPlugin)?;
        self.serve(&record, active.as_ref(), &declared).await?;
        Ok(record)
    }

    /// Stops a plugin, or lets it go on. What stops finishes the calls that run; a responder leaves events for later.
    ///
    /// # Errors
    /// [`InstallError`]; when it cannot go on, it stays stopped.
    pub async fn stop(&self, tenant: TenantId, name: &str, stopped: bool) -> Result<Plugin, InstallError> {
        if !stopped {
            return self.go_on(tenant, name).await;
        }
        let _turn = self.turn(tenant).await?;
        let draft = self.stored(tenant, name).await?;
        let declared = match self.find(tenant, name) {
            Some(active) => declared(&active.loaded),
            None => {
                let version = self.storage.plugin_version(tenant, name, &draft.sha256).await?;
                version.map(|version| version.declared).unwrap_or_default()
            }
        };
        self.set_stopped(&draft, true, None, &declared).await
    }

    async fn go_on(&self, tenant: TenantId, name: &str) -> Result<Plugin, InstallError> {
        let _loading = self.loading(tenant).await?;
        let draft = self.stored(tenant, name).await?;
        if draft.sha256.is_empty() {
            return Err(InstallError::NothingActive);
        }
        let active = self.load_active(&draft).await?;
        let _turn = self.turn(tenant).await?;
        check_routes(&active)?;
        self.fits(&Change::Active(Arc::clone(&active)))?;
        self.set_stopped(&draft, false, Some(&active), &Declared::default()).await
    }

    async fn set_stopped(
        &self,
        draft: &Plugin,
        stopped: bool,
        active: Option<&Arc<ActivePlugin>>,
        declared: &Declared,
    ) -> Result<Plugin, InstallError> {
        let set = self.storage.change_plugin(draft.tenant, &draft.name, |plugin| plugin.stopped = stopped).await?;
        let record = set.ok_or(InstallError::NoSuchPlugin)?;
        self.serve(&record, active, declared).await?;
        Ok(record)
    }

    /// Removes a version that is not active.
    ///
    /// # Errors
    /// [`InstallError`]; when storage fails, it is to be removed again.
    pub async fn delete_version(&self, tenant: TenantId, name: &str, sha256: &str) -> Result<(), InstallError> {
        let _turn = self.turn(tenant).await?;
        match self.storage.delete_version(tenant, name, sha256).await? {
            VersionChange::Done(_) => Ok(()),
            VersionChange::NoPlugin => Err(InstallError::NoSuchPlugin),
            VersionChange::NoVersion => Err(InstallError::NoSuchVersion),
            VersionChange::Active => Err(InstallError::VersionActive),
        }
    }

    /// Takes a plugin out of service and removes its record and its versions. `false` when there was none.
    ///
    /// # Errors
    /// When storage fails; then it is out of service, and is to be deleted again.
    pub async fn delete(&self, tenant: TenantId, name: &str) -> Result<bool, InstallError> {
        let _turn = self.turn(tenant).await?;
        // Out of service first: a responder that still ran would go on from what is being forgotten.
        self.swap(&Change::Gone(tenant, name.to_owned()))?;
        Ok(self.storage.delete_plugin(tenant, name, &full_name(tenant, name)).await?)
    }

    pub(super) async fn stored(&self, tenant: TenantId, name: &str) -> Result<Plugin, InstallError> {
        self.storage.plugin(tenant, name).await?.ok_or(InstallError::NoSuchPlugin)
    }

    /// Swaps in what is stored now: `active`, unless its owner stopped it or no version is active.
    pub(super) async fn serve(
        &self,
        record: &Plugin,
        active: Option<&Arc<ActivePlugin>>,
        declared: &Declared,
    ) -> Result<(), InstallError> {
        let change = match active.filter(|_| !record.stopped) {
            Some(active) => Change::Active(active.stored(record)),
            None => {
                let event_kinds = declared.event_kinds.clone();
                Change::Idle(Arc::new(IdlePlugin { record: record.clone(), event_kinds, broken: None }))
            }
        };
        self.swap(&change)?;
        if record.tenant != TenantId::OPERATOR {
            // The plan may have changed since it was looked up.
            self.plan_changed(record.tenant).await?;
        }
        let (plugin, stopped) = (full_name(record.tenant, &record.name), record.stopped);
        tracing::info!(plugin, sha256 = record.sha256, version = record.version, stopped, "plugin changed");
        self.ring(record.tenant).await
    }

    /// The active version of a draft, tried with its configuration.
    async fn load_active(&self, draft: &Plugin) -> Result<Arc<ActivePlugin>, InstallError> {
        let (loaded, figures) = (self.load_stored(draft, Faults::Refused).await?, self.figures(draft.tenant).await?);
        Ok(ActivePlugin::new(draft.clone(), loaded, figures))
    }

    /// Loads the version that the record says is active.
    pub(super) async fn load_stored(&self, record: &Plugin, faults: Faults) -> Result<LoadedPlugin, InstallError> {
        let (owner, context) = self.trial(record).await?;
        if let Some(loaded) = self.runtime.load_known(&record.sha256, owner, &context).await {
            return judge_config(record, loaded?, faults);
        }
        let component = self.storage.artifact(record.tenant, &record.sha256).await?.ok_or(InstallError::NoComponent)?;
        if hex::encode(Sha256::digest(&component)) != record.sha256 {
            return Err(InstallError::NoComponent);
        }
        judge_config(record, self.runtime.load(&component, owner, &context).await?, faults)
    }

    /// Inspects, compiles and tries a component with the configuration of `record`.
    pub(super) async fn load(
        &self,
        record: &Plugin,
        component: &[u8],
        faults: Faults,
    ) -> Result<LoadedPlugin, InstallError> {
        let (owner, context) = self.trial(record).await?;
        judge_config(record, self.runtime.load(component, owner, &context).await?, faults)
    }

    /// For whom a plugin is tried. A trial is given nothing.
    async fn trial(&self, record: &Plugin) -> Result<(Owner, CallContext), StorageError> {
        let owner = if record.tenant == TenantId::OPERATOR { Owner::Operator } else { Owner::Tenant };
        let (plugin, config) = (full_name(record.tenant, &record.name).into(), record.config.to_string().into());
        let (tenant, now_ms) = (record.tenant, self.clock.now().0);
        let (grants, figures) = (Arc::default(), Arc::new(self.figures(tenant).await?));
        let made_at = record.created_at;
        Ok((owner, CallContext { tenant, principal: None, plugin, made_at, config, grants, figures, now_ms, once: None }))
    }

    /// The subscription that is to begin with the activation of a version: a responder answers what happens from now on, not
    /// what happened before it came. Those of the operator begin at once, tenant by tenant.
    pub(super) async fn subscription(&self, record: &Plugin, declared: &Declared) -> Result<Option<String>, StorageError> {
        if declared.event_kinds.is_empty() {
            return Ok(None);
        }
        if record.tenant == TenantId::OPERATOR {
            self.start_cursors(record).await?;
            return Ok(None);
        }
        Ok(Some(full_name(record.tenant, &record.name)))
    }

    async fn start_cursors(&self, record: &Plugin) -> Result<(), StorageError> {
        let name = full_name(record.tenant, &record.name);
        if record.tenant != TenantId::OPERATOR {
            return self.storage.start_cursor_at_end(record.tenant, &name).await;
        }
        for tenant in self.storage.tenants().await? {
            self.storage.start_cursor_at_end(tenant.id, &name).await?;
        }
        Ok(())
    }
}

/// A component that was loaded, unless what it found wrong with its configuration hinders it.
fn judge_config(record: &Plugin, mut loaded: LoadedPlugin, faults: Faults) -> Result<LoadedPlugin, InstallError> {
    loaded.config_faults.extend(order_fault(&loaded.interfaces, &record.config));
    match faults {
        Faults::Refused if !loaded.config_faults.is_empty() => return Err(InstallError::Config(loaded.config_faults)),
        Faults::Refused | Faults::Passed => {}
        Faults::Noted => loaded.config_faults.iter().for_each(|fault| {
            let name = full_name(record.tenant, &record.name);
            tracing::warn!(plugin = name, %fault, "a stored configuration has a fault");
        }),
    }
    Ok(loaded)
}

/// What a component said of itself in its trial.
pub(super) fn declared(loaded: &LoadedPlugin) -> Declared {
    let (interfaces, event_kinds) = (loaded.interfaces.clone(), loaded.event_kinds.clone());
    Declared { interfaces, event_kinds, class: loaded.class, keeps_instance: loaded.keeps_instance }
}

/// What a host would say of the routes of a component, if it had no other.
///
/// # Errors
/// [`InstallError`].
pub(crate) fn check_alone(owner: TenantId, loaded: LoadedPlugin) -> Result<Arc<LoadedPlugin>, InstallError> {
    let mut record = Plugin::new(owner, "checked", Timestamp(0));
    if owner == TenantId::OPERATOR {
        // Where it is mounted, the operator says with the upload.
        record.mounts = vec![Mount { prefix: "/checked".to_owned(), owner: false, host: None }];
    }
    let active = ActivePlugin::new(record, loaded, PluginFigures::default());
    check_routes(&active)?;
    Generation::default().next(&Change::Active(Arc::clone(&active)))?;
    Ok(Arc::clone(&active.loaded))
}

/// Whether a plugin can serve its routes: the operator's has to be mounted, and a tenant's takes no large bodies from anybody.
pub(super) fn check_routes(active: &ActivePlugin) -> Result<(), InstallError> {
    let ActivePlugin { record, loaded, .. } = active;
    if record.tenant == TenantId::OPERATOR {
        if !loaded.routes.is_empty() && record.mounts.is_empty() {
            let why = "a router of the operator's needs to know where it is mounted".to_owned();
            return Err(InstallError::Invalid { field: "mounts", why });
        }
        return Ok(());
    }
    let open = loaded.routes.iter().filter(|route| route.credentials.is_empty());
    match open.into_iter().find(|route| route.body.json_bytes_max > OPEN_BODY_BYTES_MAX) {
        None => Ok(()),
        Some(Route { method, path, body, .. }) => Err(InstallError::OpenBody {
            route: format!("{method} {path}"),
            bytes: body.json_bytes_max,
            max: OPEN_BODY_BYTES_MAX,
        }),
    }
}
