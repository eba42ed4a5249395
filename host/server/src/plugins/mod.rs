//! Plugins as they are active now: finds them, swaps them, and runs responders.
//!
//! What is stored is the truth: each change is durable first and then swapped in, under the turn of its owner. Calls that run
//! finish on the version they began with.

mod active;
mod call_log;
mod generation;
mod grants;
mod install;
mod lifecycle;
mod plan;
mod restore;
mod runs;
mod turns;
mod upload;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use serde_json::json;

use switchboard_core::clock::Clock;
use switchboard_core::flow::responder_worker::{Command, Responders, RunAnswer, RunTry, Subscription};
use switchboard_core::flow::wakes::Wakes;
use switchboard_core::records::content::Content;
use switchboard_core::records::event::Event;
use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::{MessageField, Plugin};
use switchboard_core::rules::event_json::event_json;
use switchboard_core::rules::pseudonym::{PseudonymKey, Pseudonyms};
use switchboard_core::rules::redact::{Sight, lids, resolve_outgoing};
use switchboard_core::storage::{Storage, StorageError};
use switchboard_runtime::{Called, Outcome, Runtime};
use tokio::sync::OwnedSemaphorePermit;

use crate::guards::in_order;
use crate::metrics::Metrics;

pub use active::ActivePlugin;
pub(crate) use call_log::{CallAbout, CallLog};
pub use generation::{Generation, IdlePlugin};
pub use grants::{GrantStanding, GrantWish, wanting};
pub use install::{Install, InstallError, Installed};
pub use lifecycle::Which;
pub(crate) use lifecycle::check_alone;
pub use runs::{PlacedRun, RunPlace, RunState};

use active::{full_name, note_report};
use generation::Change;
use turns::Turns;

/// The interface of responders.
pub(crate) const RESPONDER_INTERFACE: &str = "responder";
/// The interface of routers.
pub(crate) const ROUTER_INTERFACE: &str = "router";
/// The interface of policies.
pub(crate) const POLICY_INTERFACE: &str = "auth-policy";
/// Most plugins of one tenant.
const PLUGINS_MAX: usize = 100;
/// Most that the components of one owner have together, MiB.
const STORE_MIB_MAX: u64 = 4096;
/// Most LIDs of one event whose telephone numbers are looked up: a group has no more members.
const LIDS_MAX: usize = 1024;
/// For how long nobody calls a plugin whose memory is given back.
const IDLE_FOR: Duration = Duration::from_secs(600);
/// Most uploads and other changes of one owner that wait while one of them loads a component.
const LOADS_WAITING_MAX: usize = 16;

/// Where a plugin stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Calls go to it.
    Active,
    /// Its owner stopped it, or has activated no version.
    Stopped,
    /// It cannot be loaded, for this reason.
    Broken(String),
}

/// What the plugins of a host are made of.
pub struct PluginParts {
    /// What calls them.
    pub runtime: Runtime,
    /// Where they are kept.
    pub storage: Storage,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Says when responders have more to do.
    pub wakes: Arc<Wakes>,
    /// Where their calls are counted.
    pub metrics: Arc<Metrics>,
    /// What the pseudonyms are made with that stand in place of numbers.
    pub names: PseudonymKey,
}

/// The purpose of the key of pseudonyms.
pub const PSEUDONYM_KEY_PURPOSE: &str = "switchboard pseudonyms v1";

/// The plugins of this host.
pub struct Plugins {
    runtime: Runtime,
    storage: Storage,
    clock: Arc<dyn Clock>,
    wakes: Arc<Wakes>,
    metrics: Arc<Metrics>,
    call_log: Arc<CallLog>,
    /// What those are told by that may not know numbers.
    names: PseudonymKey,
    generation: ArcSwap<Generation>,
    /// One swap at a time: each builds on the generation before it.
    swapping: Mutex<()>,
    /// Whose turn it is to load a component, which may take as long as a compilation does.
    loads: Turns,
    /// Whose turn it is to change what is stored and active. Nobody compiles meanwhile: whoever stops or deletes a plugin does
    /// not wait for uploads.
    turns: Turns,
    /// Whether everything that was active when the host last stopped is so again, as far as it can be.
    restored: AtomicBool,
}

impl Plugins {
    /// No plugin yet.
    pub fn new(parts: PluginParts) -> Self {
        let PluginParts { runtime, storage, clock, wakes, metrics, names } = parts;
        let (generation, restored) = (ArcSwap::default(), AtomicBool::new(false));
        let (swapping, loads, turns) = (Mutex::default(), Turns::default(), Turns::default());
        let call_log = Arc::default();
        Self { runtime, storage, clock, wakes, metrics, call_log, names, generation, swapping, loads, turns, restored }
    }

    /// Counts a call of one of a plugin's interfaces, passes on what it logged, and remembers it if it is to be.
    pub(crate) fn note_call<T>(&self, plugin: &ActivePlugin, about: &CallAbout<'_>, called: &Called<T>) {
        self.metrics.plugin_called(about.interface, called.outcome.name());
        if let Outcome::LimitExceeded(limit, _) = &called.outcome {
            self.metrics.plugin_limit_reached(limit.name());
        }
        called.report.limits_reached().for_each(|limit| self.metrics.plugin_limit_reached(limit));
        note_report(plugin, about.call, &called.report);
        if let Some(call) = about.recorded(plugin, self.clock.now(), called) {
            self.call_log.add(plugin, call);
        }
    }

    /// The calls that are remembered.
    pub(crate) fn call_log(&self) -> &Arc<CallLog> {
        &self.call_log
    }

    /// Counts a call that could not be made: what serves the interface is stored, and not active.
    pub(crate) fn note_missing(&self, interface: &'static str) {
        self.metrics.plugin_called(interface, "missing");
    }

    /// What a plugin calls the people of an event by. Where it may know numbers, nobody has another name.
    pub(crate) async fn names_for(
        &self,
        tenant: TenantId,
        plugin: &ActivePlugin,
        event: &Event,
    ) -> Result<Pseudonyms, StorageError> {
        let (mut phones, grants) = (BTreeMap::new(), plugin.grants());
        if !grants.fields.contains(&MessageField::Number) {
            for lid in lids(event).into_iter().take(LIDS_MAX) {
                let contact = self.storage.contact(tenant, event.session, None, Some(&lid)).await?;
                phones.extend(contact.and_then(|contact| contact.phone).map(|phone| (lid, phone)));
            }
        }
        Ok(self.names.of(tenant, &plugin.full_name()).knowing(phones))
    }

    /// The runtime that calls them.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// What is active now.
    pub fn generation(&self) -> Arc<Generation> {
        self.generation.load_full()
    }

    /// Whether everything that is stored has been activated, as far as it can be.
    pub fn is_restored(&self) -> bool {
        self.restored.load(Ordering::Acquire)
    }

    /// Gives the memory of tenants' plugins back that nobody calls, until it is dropped. Those of the operator serve everybody.
    pub(crate) async fn keep_house(self: Arc<Self>) {
        loop {
            self.clock.sleep_until(self.clock.now().plus(IDLE_FOR)).await;
            let own = |plugin: &&Arc<ActivePlugin>| plugin.record.tenant != TenantId::OPERATOR;
            let plugins: Vec<_> = self.generation.load().plugins.iter().filter(own).cloned().collect();
            // The system takes its time over each.
            let rested = tokio::task::spawn_blocking(move || plugins.iter().for_each(|plugin| plugin.rest_if_idle()));
            if let Err(error) = rested.await {
                tracing::error!(%error, "plugins that nobody calls could not rest");
            }
        }
    }

    /// The active plugin of this owner and name.
    pub fn find(&self, tenant: TenantId, name: &str) -> Option<Arc<ActivePlugin>> {
        self.generation.load().find(tenant, name).cloned()
    }

    /// The active plugins of one owner.
    pub fn of(&self, tenant: TenantId) -> Vec<Arc<ActivePlugin>> {
        self.generation.load().plugins.iter().filter(|plugin| plugin.record.tenant == tenant).cloned().collect()
    }

    /// Where a plugin stands that is stored.
    pub fn standing(&self, tenant: TenantId, name: &str) -> Standing {
        let generation = self.generation.load();
        match generation.find_idle(tenant, name) {
            None if self.find(tenant, name).is_some() => Standing::Active,
            Some(idle) => idle.broken.clone().map_or(Standing::Stopped, Standing::Broken),
            None => Standing::Stopped,
        }
    }

    /// Waits until nobody else loads a component for `owner`. To be taken before the turn, by whoever needs both: until it is
    /// dropped, no version becomes active and no configuration changes but by its holder.
    async fn loading(&self, owner: TenantId) -> Result<OwnedSemaphorePermit, InstallError> {
        self.loads.take(owner, LOADS_WAITING_MAX).await
    }

    /// Waits until nobody else changes what is stored and active of `owner`.
    async fn turn(&self, owner: TenantId) -> Result<OwnedSemaphorePermit, InstallError> {
        self.turns.take(owner, usize::MAX).await
    }

    /// Whether the routes of all plugins would make one table after a change.
    fn fits(&self, change: &Change) -> Result<(), InstallError> {
        self.generation.load().next(change).map(|_| ())
    }

    fn swap(&self, change: &Change) -> Result<(), InstallError> {
        let _one_at_a_time = self.swapping.lock();
        let next = self.generation.load().next(change)?;
        self.wakes.responders_answer(next.answered());
        self.generation.store(Arc::new(next));
        Ok(())
    }

    /// Lets responders of `owner` look whether they owe something.
    async fn ring(&self, owner: TenantId) -> Result<(), InstallError> {
        if owner != TenantId::OPERATOR {
            self.wakes.events_have_more(owner);
            return Ok(());
        }
        for tenant in self.storage.tenants().await? {
            self.wakes.events_have_more(tenant.id);
        }
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
            narrowing: Arc::clone(&plugin.loaded.narrowing),
            grants: plugin.grants(),
            plugin: Some(Arc::clone(&plugin.record)),
        };
        let mut serving: Vec<&Arc<ActivePlugin>> = generation.plugins.iter().filter(serves).collect();
        in_order(&mut serving);
        serving.into_iter().map(subscription).collect()
    }

    async fn run(&self, tenant: TenantId, subscription: &str, run: &RunTry<'_>, event: &Event) -> Result<RunAnswer, String> {
        let (generation, place) = (self.generation(), Plugin::owner_and_name(subscription));
        let Some(plugin) = place.and_then(|(owner, name)| generation.find(owner, name)) else {
            if place.is_some_and(|(owner, name)| generation.find_idle(owner, name).is_some()) {
                // Stopped meanwhile: the run is owed until it goes on.
                return Err("the plugin is stopped".to_owned());
            }
            // Deleted meanwhile: nobody is left to answer.
            return Ok(RunAnswer::default());
        };
        let context = plugin.context(tenant, self.clock.now().0);
        let (grants, names) = (plugin.grants(), self.names_for(tenant, plugin, event).await);
        let names = names.map_err(|error| error.to_string())?;
        let seen = Sight { fields: &grants.fields, names: &names }.event(event);
        let called = self.runtime.respond(&plugin.loaded, &context, run, &seen).await;
        // As the plugin saw it.
        let input = || event_json(&seen);
        self.note_call(plugin, &CallAbout::of_run(tenant, run, &seen).given(&input), &called);
        let mut answer = called.outcome.into_result()?;
        let wanted = answer.commands.clone();
        let mut commands = answer.commands.iter_mut();
        let resolved = commands
            .try_for_each(|Command { to, content, extras, .. }| resolve_outgoing(&names, to, content, extras))
            .map_err(|unknown| unknown.to_string());
        if let Err(why) = resolved {
            self.refused(tenant, subscription, run, event, &wanted, &why).await;
            return Err(why);
        }
        Ok(answer)
    }

    async fn refused(
        &self,
        tenant: TenantId,
        subscription: &str,
        run: &RunTry<'_>,
        event: &Event,
        wanted: &[Command],
        why: &str,
    ) {
        let found = Plugin::owner_and_name(subscription).and_then(|(owner, name)| self.find(owner, name));
        let Some(plugin) = found else { return };
        let Ok(names) = self.names_for(tenant, &plugin, event).await else { return };
        let grants = plugin.grants();
        let sight = Sight { fields: &grants.fields, names: &names };
        let event = sight.event(event);
        let input = || event_json(&event);
        let about = CallAbout::of_run(tenant, run, &event).given(&input);
        let command = |command: &Command| {
            // Pseudonyms have become who they stand for.
            let to =
                if grants.fields.contains(&MessageField::Number) { command.to.clone() } else { names.of_jid(&command.to) };
            let content = match &command.content {
                content if grants.fields.contains(&MessageField::Number) => json!(content),
                Content::Text(text) => json!({ "type": "text", "value": text }),
                content => json!({ "type": content.type_name() }),
            };
            json!({ "session_id": command.session, "to": to, "content": content })
        };
        let effects = json!({ "commands": wanted.iter().map(command).collect::<Vec<_>>() });
        self.call_log.add(&plugin, about.refused(&plugin, self.clock.now(), why, effects));
    }
}
