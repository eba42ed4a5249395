//! What is active at one moment, swapped as a whole.

use std::sync::Arc;

use switchboard_core::records::id::TenantId;

use super::{ActivePlugin, InstallError};
use crate::http::MountTable;

/// Every active plugin, and the table of routes that they make together. Swapped as a whole: a call that began with one
/// generation ends with it.
#[derive(Default)]
pub struct Generation {
    /// The plugins.
    pub plugins: Vec<Arc<ActivePlugin>>,
    /// Where requests go.
    pub mounts: MountTable,
    /// Policies that are stored and cannot be activated: as long as they are there, they let nothing through.
    pub lost_policies: Vec<(TenantId, String)>,
}

impl Generation {
    /// This one with a plugin more, in the place of its namesake, or with one less.
    ///
    /// # Errors
    /// [`InstallError::Routes`] when the routes of all do not make one table.
    pub(super) fn next(
        &self,
        add: Option<&Arc<ActivePlugin>>,
        remove: Option<(TenantId, &str)>,
    ) -> Result<Self, InstallError> {
        let gone = |plugin: &ActivePlugin| {
            let is = |tenant: TenantId, name: &str| plugin.record.tenant == tenant && plugin.record.name == name;
            remove.is_some_and(|(tenant, name)| is(tenant, name))
                || add.is_some_and(|add| is(add.record.tenant, &add.record.name))
        };
        let mut plugins: Vec<_> = self.plugins.iter().filter(|plugin| !gone(plugin)).cloned().collect();
        plugins.extend(add.cloned());
        let mounts = MountTable::of(&plugins)?;
        let there = |(owner, name): &&(TenantId, String)| {
            let is = |tenant: TenantId, other: &str| *owner == tenant && name == other;
            !remove.is_some_and(|(tenant, name)| is(tenant, name))
                && !add.is_some_and(|add| is(add.record.tenant, &add.record.name))
        };
        let lost_policies = self.lost_policies.iter().filter(there).cloned().collect();
        Ok(Self { plugins, mounts, lost_policies })
    }
}
