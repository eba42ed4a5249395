//! What plugins are given: a component asks, its owner gives, and is asked again when a version wants more.

use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::{Declared, Grants, Plugin};
use switchboard_core::rules::grants::{both, check, deaf, missing};

use super::{Change, IdlePlugin, InstallError, Plugins, RESPONDER_INTERFACE};

/// What is given together with an upload or an activation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantWish {
    /// All that the component asks for, beside what the plugin has.
    Asked,
    /// These, in place of what the plugin has.
    These(Grants),
}

impl GrantWish {
    /// What the plugin has then that has `held` now.
    pub(super) fn given(wish: Option<&Self>, held: &Grants, asked: &Grants) -> Grants {
        match wish {
            None => held.clone(),
            Some(Self::Asked) => both(held, asked),
            Some(Self::These(grants)) => grants.clone(),
        }
    }

    pub(super) fn check(&self) -> Result<(), InstallError> {
        match self {
            Self::Asked => Ok(()),
            Self::These(grants) => check(grants).map_err(InstallError::Grants),
        }
    }
}

/// How the grants of a plugin stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantStanding {
    /// What it has.
    pub granted: Grants,
    /// What its active version asks for; the newest one while none is active.
    pub asked: Grants,
    /// What it asks for and does not have, one line each.
    pub missing: Vec<String>,
}

/// What a plugin asks for and does not have, and what its responder hears nothing without.
pub fn wanting(plugin: &Plugin) -> Vec<String> {
    let mut wanting = missing(&plugin.asked, &plugin.grants);
    let named = wanting.iter().any(|line| line.starts_with("sessions"));
    if !named && plugin.interfaces.iter().any(|interface| interface == RESPONDER_INTERFACE) {
        wanting.extend(deaf(&plugin.grants));
    }
    wanting
}

/// Whether a version may be active with these grants.
///
/// # Errors
/// [`InstallError::GrantsNeeded`] with what it asks for beyond them.
pub(super) fn enough(version: u64, asked: &Grants, granted: &Grants) -> Result<(), InstallError> {
    let missing = missing(asked, granted);
    if missing.is_empty() { Ok(()) } else { Err(InstallError::GrantsNeeded { version, missing }) }
}

impl Plugins {
    /// What the responder of a plugin, as it is active, is told of nothing without.
    pub fn deaf(&self, plugin: &Plugin) -> Option<String> {
        let active = self.find(plugin.tenant, &plugin.name)?;
        active.loaded.narrowing.deaf(&plugin.grants)
    }

    /// How the grants of a plugin stand.
    ///
    /// # Errors
    /// [`InstallError::NoSuchPlugin`], or when storage fails.
    pub async fn grants(&self, tenant: TenantId, name: &str) -> Result<GrantStanding, InstallError> {
        let mut plugin = self.stored(tenant, name).await?;
        if plugin.sha256.is_empty() {
            let versions = self.storage.plugin_versions(tenant, name).await?;
            if let Some(newest) = versions.into_iter().next_back() {
                (plugin.asked, plugin.interfaces) = (newest.asked, newest.declared.interfaces);
            }
        }
        let mut missing = wanting(&plugin);
        missing.extend(self.deaf(&plugin));
        Ok(GrantStanding { granted: plugin.grants, asked: plugin.asked, missing })
    }

    /// Gives a plugin these grants, in place of those it has. Calls that run end with those they began with.
    ///
    /// # Errors
    /// [`InstallError`]; what it had stays.
    pub async fn set_grants(&self, tenant: TenantId, name: &str, grants: Grants) -> Result<Plugin, InstallError> {
        check(&grants).map_err(InstallError::Grants)?;
        let _turn = self.turn(tenant).await?;
        let set = self.storage.change_plugin(tenant, name, |plugin| plugin.grants.clone_from(&grants)).await?;
        let record = set.ok_or(InstallError::NoSuchPlugin)?;
        match self.find(tenant, name) {
            Some(active) => self.serve(&record, Some(&active), &Declared::default()).await?,
            None => {
                let generation = self.generation();
                let idle = generation.find_idle(tenant, name);
                let (event_kinds, broken) =
                    idle.map(|idle| (idle.event_kinds.clone(), idle.broken.clone())).unwrap_or_default();
                let record = record.clone();
                self.swap(&Change::Idle(std::sync::Arc::new(IdlePlugin { record, event_kinds, broken })))?;
            }
        }
        Ok(record)
    }
}
