//! Places: how much each tenant may have under way at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use switchboard_core::records::id::TenantId;

/// How many places each tenant has taken, `MAX` at most.
#[derive(Default)]
pub(crate) struct Places<const MAX: usize>(Arc<Mutex<HashMap<TenantId, usize>>>);

/// A place, until it is dropped.
pub(super) struct Place {
    taken: Arc<Mutex<HashMap<TenantId, usize>>>,
    tenant: TenantId,
}

impl<const MAX: usize> Places<MAX> {
    /// One more place; `None` when the tenant has as many as it may have.
    pub(super) fn take(&self, tenant: TenantId) -> Option<Place> {
        let mut taken = self.0.lock().ok()?;
        let count = taken.entry(tenant).or_default();
        if *count >= MAX {
            return None;
        }
        *count += 1;
        Some(Place { taken: Arc::clone(&self.0), tenant })
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
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.tenant);
            }
        }
    }
}
