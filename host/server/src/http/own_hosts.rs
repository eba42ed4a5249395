//! Host names at which a tenant's routers are reached beside their place below `/t/<tenant>/`: the operator approves each.

use std::collections::{BTreeSet, HashMap};
use std::sync::{PoisonError, RwLock};

use hyper::StatusCode;
use switchboard_core::records::account::Tenant;
use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::Plugin;
use switchboard_core::storage::{Storage, StorageError};
use tokio::sync::{Mutex, MutexGuard};

use super::mounts::host_name;
use super::problem::Problem;

/// Host names of one tenant.
const HOSTS_MAX: usize = 16;

/// Which host names are whose.
#[derive(Default)]
pub(crate) struct OwnHosts {
    owners: RwLock<HashMap<String, TenantId>>,
    /// One change at a time: no name may be approved for two.
    turn: Mutex<()>,
}

impl OwnHosts {
    /// Those that are approved.
    ///
    /// # Errors
    /// When storage fails.
    pub(crate) async fn load(storage: &Storage) -> Result<Self, StorageError> {
        let tenants = storage.tenants().await?;
        let owners = tenants.into_iter().flat_map(|tenant| tenant.hosts.into_iter().map(move |host| (host, tenant.id)));
        Ok(Self { owners: RwLock::new(owners.collect()), turn: Mutex::default() })
    }

    /// The tenant that a host name, in lower case, was approved for.
    pub(super) fn owner(&self, host: &str) -> Option<TenantId> {
        self.owners.read().unwrap_or_else(PoisonError::into_inner).get(host).copied()
    }

    /// The host names of a tenant, in order.
    pub(super) fn of(&self, tenant: TenantId) -> BTreeSet<String> {
        let owners = self.owners.read().unwrap_or_else(PoisonError::into_inner);
        owners.iter().filter(|(_, owner)| **owner == tenant).map(|(host, _)| host.clone()).collect()
    }

    /// The turn to change them, until it is dropped.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The names that are wished for a tenant, in lower case; `shared` are the operator's plugins.
    ///
    /// # Errors
    /// 422 for what is no host name or too many, 409 for one that is another's.
    pub(super) fn judge(
        &self,
        tenant: TenantId,
        wished: &[String],
        shared: &[&Plugin],
    ) -> Result<BTreeSet<String>, Problem> {
        if wished.len() > HOSTS_MAX {
            let why = format!("there are {} host names; the limit is {HOSTS_MAX}", wished.len());
            return Err(Problem::invalid("hosts", why));
        }
        let names = wished.iter().map(|name| host_name(name).map_err(|error| Problem::invalid("hosts", error.to_string())));
        let names: BTreeSet<String> = names.collect::<Result<_, _>>()?;
        // Addresses and names without a domain are this host's own, by which everybody else reaches it.
        let public =
            |name: &&String| name.rsplit_once('.').is_some_and(|(_, last)| !last.bytes().all(|b| b.is_ascii_digit()));
        if let Some(own) = names.iter().find(|name| !public(name)) {
            let why = format!("{own:?} is no name in a domain; one such as hooks.shop.example is expected");
            return Err(Problem::invalid("hosts", why));
        }
        for name in &names {
            let taken =
                |by: String| Problem::new(StatusCode::CONFLICT, format!("{name} is of {by}")).with("code", "host_taken");
            if let Some(other) = self.owner(name).filter(|owner| *owner != tenant) {
                return Err(taken(format!("tenant {other}")));
            }
            let is_at = |plugin: &&&Plugin| plugin.mounts.iter().any(|mount| mount.host.as_ref() == Some(name));
            if let Some(plugin) = shared.iter().find(is_at) {
                return Err(taken(format!("the plugin {}", plugin.name)));
            }
        }
        Ok(names)
    }

    /// A tenant has changed.
    pub(super) fn changed(&self, tenant: &Tenant) {
        let mut owners = self.owners.write().unwrap_or_else(PoisonError::into_inner);
        owners.retain(|_, owner| *owner != tenant.id);
        owners.extend(tenant.hosts.iter().map(|host| (host.clone(), tenant.id)));
    }
}
