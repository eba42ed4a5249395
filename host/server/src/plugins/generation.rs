//! What is active at one moment, swapped as a whole.

use std::sync::Arc;

use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::Plugin;

use super::{ActivePlugin, InstallError, POLICY_INTERFACE, ROUTER_INTERFACE};
use crate::http::MountTable;

/// A plugin that is stored, and that nothing calls.
#[derive(Debug)]
pub struct IdlePlugin {
    /// Its record.
    pub record: Plugin,
    /// The event types that its responder wants: they are kept for it.
    pub event_kinds: Vec<String>,
    /// Why it cannot be called; none when its owner stopped it, or activated no version.
    pub broken: Option<String>,
}

impl IdlePlugin {
    /// Whether it would serve this interface, and cannot be loaded.
    pub(crate) fn has_lost(&self, interface: &str) -> bool {
        self.broken.is_some() && self.record.interfaces.iter().any(|served| served == interface)
    }
}

/// Every active plugin, and the table of routes that they make together. Swapped as a whole: a call that began with one
/// generation ends with it.
#[derive(Default)]
pub struct Generation {
    /// The plugins.
    pub plugins: Vec<Arc<ActivePlugin>>,
    /// Where requests go.
    pub mounts: Arc<MountTable>,
    /// Those that are stored and not active.
    pub idle: Vec<Arc<IdlePlugin>>,
    /// Policies that are stored and cannot be activated: as long as they are there, they let nothing through.
    pub lost_policies: Vec<(TenantId, String)>,
}

/// What becomes of one plugin from one generation to the next.
pub(super) enum Change {
    /// Calls go to this one.
    Active(Arc<ActivePlugin>),
    /// Nothing calls it.
    Idle(Arc<IdlePlugin>),
    /// It is no more.
    Gone(TenantId, String),
}

impl Change {
    fn place(&self) -> (TenantId, &str) {
        match self {
            Self::Active(plugin) => (plugin.record.tenant, &plugin.record.name),
            Self::Idle(plugin) => (plugin.record.tenant, &plugin.record.name),
            Self::Gone(owner, name) => (*owner, name),
        }
    }
}

fn is(record: &Plugin, (owner, name): (TenantId, &str)) -> bool {
    record.tenant == owner && record.name == name
}

impl Generation {
    /// This one after a change.
    ///
    /// # Errors
    /// [`InstallError::Routes`] when the routes of all do not make one table.
    pub(super) fn next(&self, change: &Change) -> Result<Self, InstallError> {
        let place = change.place();
        let mut plugins: Vec<_> = self.plugins.iter().filter(|plugin| !is(&plugin.record, place)).cloned().collect();
        let mut idle: Vec<_> = self.idle.iter().filter(|plugin| !is(&plugin.record, place)).cloned().collect();
        match change {
            Change::Active(plugin) => plugins.push(Arc::clone(plugin)),
            Change::Idle(plugin) => idle.push(Arc::clone(plugin)),
            Change::Gone(..) => {}
        }
        let mounts = Arc::new(self.mounts.with(place.0, &plugins)?);
        let lost = idle
            .iter()
            .filter(|plugin| plugin.has_lost(POLICY_INTERFACE))
            .map(|plugin| (plugin.record.tenant, plugin.record.name.clone()));
        let lost_policies = lost.collect();
        Ok(Self { plugins, mounts, idle, lost_policies })
    }

    /// The active plugin of this owner and name.
    pub fn find(&self, owner: TenantId, name: &str) -> Option<&Arc<ActivePlugin>> {
        self.plugins.iter().find(|plugin| is(&plugin.record, (owner, name)))
    }

    /// The plugin of this owner and name that is stored and not active.
    pub fn find_idle(&self, owner: TenantId, name: &str) -> Option<&Arc<IdlePlugin>> {
        self.idle.iter().find(|plugin| is(&plugin.record, (owner, name)))
    }

    /// Whether `path` is where a plugin would answer that cannot be loaded.
    pub(crate) fn is_broken_at(&self, host: Option<&str>, path: &str) -> bool {
        let below = |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let broken = self.idle.iter().filter(|plugin| plugin.has_lost(ROUTER_INTERFACE));
        broken.flat_map(|plugin| plugin.record.places()).any(|mount| {
            let for_host = mount.host.as_deref().is_none_or(|bound| Some(bound) == host);
            for_host && below(&mount.prefix)
        })
    }

    /// Which events somebody answers, or will answer once it is active again: whose they have to be, and their type.
    pub(super) fn answered(&self) -> Vec<(TenantId, String)> {
        let active = self.plugins.iter().map(|plugin| (plugin.record.tenant, &plugin.loaded.event_kinds));
        let idle = self.idle.iter().map(|plugin| (plugin.record.tenant, &plugin.event_kinds));
        active.chain(idle).flat_map(|(owner, kinds)| kinds.iter().map(move |kind| (owner, kind.clone()))).collect()
    }
}
