//! Places: how much each tenant may have under way at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use switchboard_core::records::id::TenantId;

/// How many places each tenant has taken, `MAX` at most; a place may count for several.
#[derive(Default)]
pub(crate) struct Places<const MAX: usize>(Arc<Mutex<HashMap<TenantId, usize>>>);

/// A place, until it is dropped.
pub(super) struct Place {
    taken: Arc<Mutex<HashMap<TenantId, usize>>>,
    tenant: TenantId,
    places: usize,
}

impl<const MAX: usize> Places<MAX> {
    /// One more place; `None` when the tenant has as many as it may have.
    pub(super) fn take(&self, tenant: TenantId) -> Option<Place> {
        self.take_several(tenant, 1)
    }

    /// A place that counts for so many; `None` when the tenant would have more than it may have.
    pub(super) fn take_several(&self, tenant: TenantId, places: usize) -> Option<Place> {
        let mut taken = self.0.lock().ok()?;
        let count = taken.get(&tenant).copied().unwrap_or_default().saturating_add(places);
        if count > MAX {
            return None;
        }
        taken.insert(tenant, count);
        Some(Place { taken: Arc::clone(&self.0), tenant, places })
    }

    /// Whether nothing is under way.
    #[cfg(test)]
    pub(super) fn are_free(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Ok(mut taken) = self.taken.lock() else { return };
        if let Some(count) = taken.get_mut(&self.tenant) {
            *count = count.saturating_sub(self.places);
            if *count == 0 {
                taken.remove(&self.tenant);
            }
        }
    }
}
