//! Runs of responders that wait or were parked: looked at, released and dropped by the plugin's owner.

use switchboard_core::records::id::TenantId;
use switchboard_core::storage::{OwedRun, StorageError};

use super::{InstallError, Plugins, full_name};

/// Runs that are released in one commit.
const RELEASED_AT_ONCE: usize = 64;

/// What a run waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Its turn, or its next try.
    Waiting,
    /// A person: it was parked.
    Parked,
}

impl RunState {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Parked => "parked",
        }
    }
}

/// Which run: the tenant to whom the event happened, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunPlace {
    /// The tenant.
    pub tenant: TenantId,
    /// The number of the event in the tenant's log.
    pub event: u64,
}

/// A run, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedRun {
    /// Which.
    pub place: RunPlace,
    /// What it waits for.
    pub state: RunState,
    /// It and its event.
    pub run: OwedRun,
}

impl Plugins {
    /// Runs of a plugin after `after`, by tenant and event; up to `limit`.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn runs(
        &self,
        owner: TenantId,
        name: &str,
        state: RunState,
        after: Option<RunPlace>,
        limit: usize,
    ) -> Result<Vec<PlacedRun>, StorageError> {
        let (subscription, mut found) = (full_name(owner, name), Vec::new());
        for tenant in self.served(owner).await? {
            let after = match after {
                Some(after) if tenant < after.tenant => continue,
                Some(after) if tenant == after.tenant => after.event,
                _ => 0,
            };
            let left = limit.saturating_sub(found.len());
            let page = match state {
                RunState::Parked => self.storage.parked_runs(tenant, &subscription, after, left).await?,
                RunState::Waiting => self.storage.owed_runs_after(tenant, &subscription, after, left).await?,
            };
            found.extend(page.into_iter().map(|run| placed(tenant, state, run)));
            if found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }

    /// One run of a plugin, whatever it waits for.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn run_at(&self, owner: TenantId, name: &str, place: RunPlace) -> Result<Option<PlacedRun>, StorageError> {
        let (subscription, RunPlace { tenant, event }) = (full_name(owner, name), place);
        if let Some(run) = self.storage.parked_run(tenant, &subscription, event).await? {
            return Ok(Some(placed(tenant, RunState::Parked, run)));
        }
        let owed = self.storage.owed_run(tenant, &subscription, event).await?;
        Ok(owed.map(|run| placed(tenant, RunState::Waiting, run)))
    }

    /// Lets a run that was parked run anew. One that is not, or no longer, is left as it is.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn release(&self, owner: TenantId, name: &str, run: &PlacedRun) -> Result<bool, StorageError> {
        let released = self.release_some(run.place.tenant, &full_name(owner, name), std::slice::from_ref(&run.run)).await?;
        Ok(released > 0)
    }

    /// Lets every run that was parked run anew; how many.
    ///
    /// # Errors
    /// When storage fails: those before are released.
    pub async fn release_all(&self, owner: TenantId, name: &str) -> Result<u64, InstallError> {
        let (subscription, mut released) = (full_name(owner, name), 0);
        for tenant in self.served(owner).await? {
            let mut after = 0;
            loop {
                let runs = self.storage.parked_runs(tenant, &subscription, after, RELEASED_AT_ONCE).await?;
                let Some(last) = runs.last() else { break };
                // Those that are parked again meanwhile are not taken a second time.
                after = last.event.n;
                released += self.release_some(tenant, &subscription, &runs).await?;
            }
        }
        Ok(released)
    }

    /// Lets these runs run anew, as far as they are still parked; how many.
    async fn release_some(&self, tenant: TenantId, subscription: &str, runs: &[OwedRun]) -> Result<u64, StorageError> {
        let (mut released, now) = (0, self.clock.now());
        match self.storage.release_runs(tenant, subscription, runs, now).await {
            Ok(()) => released = runs.len() as u64,
            Err(StorageError::Conflict) if runs.len() > 1 => {
                // Somebody else took one of them: each by itself.
                for run in runs {
                    match self.storage.release_runs(tenant, subscription, std::slice::from_ref(run), now).await {
                        Ok(()) => released += 1,
                        Err(StorageError::Conflict) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            Err(StorageError::Conflict) => {}
            Err(error) => return Err(error),
        }
        if released > 0 {
            self.wakes.events_have_more(tenant);
        }
        Ok(released)
    }

    /// Drops a run that was parked; whether it was.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn drop_run(&self, owner: TenantId, name: &str, run: &PlacedRun) -> Result<bool, StorageError> {
        match self.storage.drop_parked_run(run.place.tenant, &full_name(owner, name), &run.run).await {
            Ok(()) => Ok(true),
            Err(StorageError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The tenants whose events a plugin of `owner`'s is told of, by id.
    async fn served(&self, owner: TenantId) -> Result<Vec<TenantId>, StorageError> {
        if owner != TenantId::OPERATOR {
            return Ok(vec![owner]);
        }
        let mut tenants: Vec<TenantId> = self.storage.tenants().await?.iter().map(|tenant| tenant.id).collect();
        tenants.sort_unstable();
        Ok(tenants)
    }
}

fn placed(tenant: TenantId, state: RunState, run: OwedRun) -> PlacedRun {
    PlacedRun { place: RunPlace { tenant, event: run.event.n }, state, run }
}
