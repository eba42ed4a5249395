//! Plugins as they are active now: installs them, finds them, and runs responders.

mod active;
mod generation;
mod install;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;

use switchboard_core::clock::Clock;
use switchboard_core::flow::responder_worker::{Command, Responders, RunTry, Subscription};
use switchboard_core::flow::wakes::Wakes;
use switchboard_core::records::event::Event;
use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::{Mount, Plugin};
use switchboard_core::storage::{Storage, StorageError};
use switchboard_runtime::{CallContext, Called, Owner, Runtime};

use crate::builtins;
use crate::http::host_name;
use crate::metrics::Metrics;

pub use active::ActivePlugin;
pub use generation::Generation;
pub use install::{Install, InstallError};

use active::{Usage, full_name, note_report};
use install::{Faults, check};

/// The interface of policies.
pub(crate) const POLICY_INTERFACE: &str = "auth-policy";
/// Most plugins of one tenant.
const PLUGINS_MAX: usize = 100;

/// The plugins of this host.
pub struct Plugins {
    runtime: Runtime,
    storage: Storage,
    clock: Arc<dyn Clock>,
    wakes: Arc<Wakes>,
    metrics: Arc<Metrics>,
    generation: ArcSwap<Generation>,
    /// One activation at a time: each builds on the generation before it.
    activation: tokio::sync::Semaphore,
    /// Whether everything that was active when the host last stopped is so again, as far as it can be.
    restored: AtomicBool,
}

impl Plugins {
    /// No plugin yet.
    pub fn new(runtime: Runtime, storage: Storage, clock: Arc<dyn Clock>, wakes: Arc<Wakes>, metrics: Arc<Metrics>) -> Self {
        let (generation, activation) = (ArcSwap::default(), tokio::sync::Semaphore::new(1));
        let restored = AtomicBool::new(false);
        Self { runtime, storage, clock, wakes, metrics, generation, activation, restored }
    }

    /// Counts a call of one of a plugin's interfaces, and passes on what it logged.
    pub(crate) fn note_call<T>(&self, plugin: &ActivePlugin, interface: &'static str, call: &str, called: &Called<T>) {
        self.metrics.plugin_called(interface, called.outcome.name());
        note_report(plugin, call, &called.report);
    }

    /// Counts a call that could not be made: what serves the interface is stored, and not active.
    pub(crate) fn note_missing(&self, interface: &'static str) {
        self.metrics.plugin_called(interface, "missing");
    }

    /// The runtime that calls them.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// What is active now.
    pub fn generation(&self) -> Arc<Generation> {
        self.generation.load_full()
    }

    /// Activates what was active when the host last stopped, and what a new host has from the start.
    ///
    /// # Errors
    /// When storage fails or a carried plugin is refused. A stored plugin that this host no longer takes is left out and logged.
    pub async fn restore(&self) -> Result<(), InstallError> {
        for shared in builtins::shared_from_start() {
            let Some(builtin) = builtins::builtin(shared.name) else { continue };
            let stored = self.storage.plugin(TenantId::OPERATOR, shared.name).await?;
            // What the operator set stays. Versions before this one took any JSON for a configuration.
            let (mounts, config) = match stored {
                Some(stored) => (stored.mounts, Some(stored.config).filter(serde_json::Value::is_object)),
                None => (shared.mounts, None),
            };
            let config = config.unwrap_or(shared.config);
            let install = Install {
                tenant: TenantId::OPERATOR,
                name: shared.name.to_owned(),
                component: builtin.component.to_vec(),
                mounts: Some(mounts),
                config: Some(config),
            };
            self.put(install, Faults::Noted).await?;
        }
        let mut owners = vec![TenantId::OPERATOR];
        owners.extend(self.storage.tenants().await?.iter().map(|tenant| tenant.id));
        for owner in owners {
            for record in self.storage.plugins(owner).await? {
                if self.find(owner, &record.name).is_none() {
                    self.activate_or_note(record).await?;
                }
            }
        }
        self.restored.store(true, Ordering::Release);
        Ok(())
    }

    /// Whether everything that is stored has been activated, as far as it can be.
    pub fn is_restored(&self) -> bool {
        self.restored.load(Ordering::Acquire)
    }

    /// Activates a stored plugin. One that cannot be is logged, and a policy remembered: what it would deny must not go through.
    async fn activate_or_note(&self, record: Plugin) -> Result<(), InstallError> {
        let (owner, name) = (record.tenant, record.name.clone());
        let is_policy = record.interfaces.iter().any(|interface| interface == POLICY_INTERFACE);
        let Err(error) = self.activate_stored(record).await else { return Ok(()) };
        tracing::error!(plugin = full_name(owner, &name), %error, is_policy, "a stored plugin cannot be activated");
        if is_policy {
            let _turn = self.activation.acquire().await;
            let mut next = self.generation.load().next(None, None)?;
            next.lost_policies.push((owner, name));
            self.generation.store(Arc::new(next));
        }
        Ok(())
    }

    async fn activate_stored(&self, record: Plugin) -> Result<(), InstallError> {
        let component = self.storage.artifact(record.tenant, &record.sha256).await?.ok_or(InstallError::NoSuchPlugin)?;
        let active = self.load(record, &component, Faults::Noted).await?;
        let _turn = self.activation.acquire().await;
        self.swap(Some(active), None)
    }

    /// The active plugin of this owner and name.
    pub fn find(&self, tenant: TenantId, name: &str) -> Option<Arc<ActivePlugin>> {
        let generation = self.generation.load();
        generation.plugins.iter().find(|plugin| plugin.record.tenant == tenant && plugin.record.name == name).cloned()
    }

    /// The active plugins of one owner.
    pub fn of(&self, tenant: TenantId) -> Vec<Arc<ActivePlugin>> {
        self.generation.load().plugins.iter().filter(|plugin| plugin.record.tenant == tenant).cloned().collect()
    }

    /// Inspects, compiles, tries, stores and activates a component. When it returns, calls go to it.
    ///
    /// # Errors
    /// [`InstallError`]; what was active before stays so.
    pub async fn install(&self, install: Install) -> Result<Arc<ActivePlugin>, InstallError> {
        self.put(install, Faults::Refused).await
    }

    async fn put(&self, mut install: Install, faults: Faults) -> Result<Arc<ActivePlugin>, InstallError> {
        check(&install)?;
        for mount in install.mounts.iter_mut().flatten() {
            mount.host = mount.host.as_deref().map(host_name).transpose().map_err(|error| {
                let why = error.to_string();
                InstallError::Invalid { field: "mounts", why }
            })?;
        }
        let before = self.find(install.tenant, &install.name);
        let kept = before.as_ref().map(|plugin| &plugin.record);
        let record = Plugin {
            name: install.name,
            tenant: install.tenant,
            sha256: String::new(),
            bytes: install.component.len() as u64,
            interfaces: Vec::new(),
            mounts: install.mounts.or_else(|| kept.map(|kept| kept.mounts.clone())).unwrap_or_default(),
            config: install.config.or_else(|| kept.map(|kept| kept.config.clone())).unwrap_or_else(|| serde_json::json!({})),
            activated_at: self.clock.now(),
        };
        let active = self.load(record, &install.component, faults).await?;
        if !active.loaded.routes.is_empty() && active.record.mounts.is_empty() {
            let why = "a router needs to know where it is mounted; only the operator can mount one".to_owned();
            return Err(InstallError::Invalid { field: "mounts", why });
        }
        let _turn = self.activation.acquire().await;
        let others = self.of(install.tenant).len();
        if others >= PLUGINS_MAX && self.find(install.tenant, &active.record.name).is_none() {
            let why = format!("there are {others} plugins already; the limit is {PLUGINS_MAX}");
            return Err(InstallError::Invalid { field: "name", why });
        }
        // Its routes must fit before anything is stored.
        self.generation.load().next(Some(&active), None)?;
        if !active.loaded.event_kinds.is_empty() {
            self.start_cursors(&active).await?;
        }
        self.storage.activate_plugin(&active.record, &install.component).await?;
        self.swap(Some(Arc::clone(&active)), None)?;
        tracing::info!(plugin = active.full_name(), sha256 = active.record.sha256, "plugin active");
        Ok(active)
    }

    /// Takes a plugin out of service and removes its record. `false` when there was none.
    ///
    /// # Errors
    /// When storage fails; then it is out of service, and is to be deleted again.
    pub async fn delete(&self, tenant: TenantId, name: &str) -> Result<bool, InstallError> {
        let _turn = self.activation.acquire().await;
        // Out of service first: a responder that still ran would go on from what is being forgotten.
        self.swap(None, Some((tenant, name)))?;
        Ok(self.storage.delete_plugin(tenant, name, &full_name(tenant, name)).await?)
    }

    /// A responder answers what happens from now on, not what happened before it came.
    async fn start_cursors(&self, active: &ActivePlugin) -> Result<(), StorageError> {
        let name = active.full_name();
        if active.record.tenant != TenantId::OPERATOR {
            return self.storage.start_cursor_at_end(active.record.tenant, &name).await;
        }
        for tenant in self.storage.tenants().await? {
            self.storage.start_cursor_at_end(tenant.id, &name).await?;
        }
        Ok(())
    }

    async fn load(&self, mut record: Plugin, component: &[u8], faults: Faults) -> Result<Arc<ActivePlugin>, InstallError> {
        let config: Arc<str> = record.config.to_string().into();
        let owner = if record.tenant == TenantId::OPERATOR { Owner::Operator } else { Owner::Tenant };
        let (plugin, config_seen) = (full_name(record.tenant, &record.name).into(), Arc::clone(&config));
        let (tenant, now_ms) = (record.tenant, self.clock.now().0);
        let context = CallContext { tenant, principal: None, plugin, config: config_seen, now_ms, once: None };
        let mut loaded = self.runtime.load(component, owner, &context).await?;
        match faults {
            Faults::Refused if !loaded.config_faults.is_empty() => return Err(InstallError::Config(loaded.config_faults)),
            Faults::Refused => {}
            Faults::Noted => loaded.config_faults.iter().for_each(|fault| {
                let name = full_name(record.tenant, &record.name);
                tracing::warn!(plugin = name, %fault, "a stored configuration has a fault");
            }),
        }
        record.sha256.clone_from(&loaded.sha256);
        record.interfaces.clone_from(&loaded.interfaces);
        let openapi = loaded.openapi.take().map(|mut document| {
            let url = |mount: &Mount| match &mount.host {
                // Relative to where the document is: the same protocol, another host.
                Some(host) => format!("//{host}{}", mount.prefix),
                None => mount.prefix.clone(),
            };
            let servers = record.mounts.iter().map(|mount| json!({ "url": url(mount) })).collect();
            document.insert("servers".to_owned(), servers);
            Bytes::from(serde_json::Value::Object(document).to_string())
        });
        Ok(Arc::new(ActivePlugin { record, loaded, config, openapi, usage: Usage::default() }))
    }

    fn swap(&self, add: Option<Arc<ActivePlugin>>, remove: Option<(TenantId, &str)>) -> Result<(), InstallError> {
        let next = self.generation.load().next(add.as_ref(), remove)?;
        let answers = |plugin: &Arc<ActivePlugin>| {
            let (owner, kinds) = (plugin.record.tenant, &plugin.loaded.event_kinds);
            kinds.iter().map(|kind| (owner, kind.clone())).collect::<Vec<_>>()
        };
        self.wakes.responders_answer(next.plugins.iter().flat_map(answers).collect());
        let tenants: Vec<TenantId> = next.plugins.iter().map(|plugin| plugin.record.tenant).collect();
        self.generation.store(Arc::new(next));
        tenants.into_iter().for_each(|tenant| self.wakes.events_have_more(tenant));
        Ok(())
    }
}

#[async_trait]
impl Responders for Plugins {
    fn subscriptions(&self, tenant: TenantId) -> Vec<Subscription> {
        let generation = self.generation.load();
        let serves = |plugin: &&Arc<ActivePlugin>| {
            let owner = plugin.record.tenant;
            (owner == TenantId::OPERATOR || owner == tenant) && !plugin.loaded.event_kinds.is_empty()
        };
        let subscription = |plugin: &Arc<ActivePlugin>| Subscription {
            name: plugin.full_name(),
            event_types: plugin.loaded.event_kinds.clone(),
        };
        generation.plugins.iter().filter(serves).map(subscription).collect()
    }

    async fn run(
        &self,
        tenant: TenantId,
        subscription: &str,
        run: &RunTry<'_>,
        event: &Event,
    ) -> Result<Vec<Command>, String> {
        let generation = self.generation();
        let Some(plugin) = generation.plugins.iter().find(|plugin| plugin.full_name() == subscription) else {
            // Deleted meanwhile: nobody is left to answer.
            return Ok(Vec::new());
        };
        let context = plugin.context(tenant, self.clock.now().0);
        let called = self.runtime.respond(&plugin.loaded, &context, run, event).await;
        self.note_call(plugin, "responder", run.id, &called);
        called.outcome.into_result()
    }
}
