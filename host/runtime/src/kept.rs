//! Instances that are kept between calls, for plugins that ask for it.
//!
//! A call has its instance to itself. None is ever handed from one plugin, version or tenant to another, and none goes on under
//! another configuration, other grants or another plan: whatever a guest remembers, it learned from the same tenant under the same
//! name. Only one whose last call was answered is kept, and only so often that what leaks is soon given back.

use std::sync::{Arc, Mutex, PoisonError};

use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::Grants;
use switchboard_core::rules::plugin_plan::PluginFigures;
use wasmtime::Store;

use crate::bindings::router_world::RouterPlugin;
use crate::call::CallState;
use crate::runtime::CallContext;

/// Calls of one instance.
const CALLS_MAX: u32 = 1_000;
/// Which part of the kept instances one tenant may have.
const PART_OF_ONE_TENANT: usize = 4;

/// For whom an instance may work.
#[derive(Clone, PartialEq)]
pub(crate) struct ForWhom {
    /// The version, as it was loaded.
    loaded: u64,
    plugin: Arc<str>,
    tenant: TenantId,
    config: Arc<str>,
    grants: Arc<Grants>,
    figures: Arc<PluginFigures>,
}

impl ForWhom {
    pub(crate) fn new(loaded: u64, context: &CallContext) -> Self {
        Self {
            loaded,
            plugin: Arc::clone(&context.plugin),
            tenant: context.tenant,
            config: Arc::clone(&context.config),
            grants: Arc::clone(&context.grants),
            figures: Arc::clone(&context.figures),
        }
    }
}

/// An instance in its store.
pub(crate) struct Kept {
    pub(crate) store: Store<CallState>,
    pub(crate) router: RouterPlugin,
}

/// Those of one size class.
pub(crate) struct KeptInstances {
    max: usize,
    bytes_max: usize,
    /// The one that was used longest ago comes first.
    all: Mutex<Vec<(ForWhom, Kept)>>,
}

impl KeptInstances {
    /// Keeps `max` instances, of this much memory each.
    pub(crate) fn new(max: usize, bytes_max: usize) -> Self {
        Self { max, bytes_max, all: Mutex::default() }
    }

    /// The instance that worked last for exactly these, if one is kept.
    pub(crate) fn take(&self, whom: &ForWhom) -> Option<Kept> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.iter().rposition(|(other, _)| other == whom)?;
        Some(all.remove(at).1)
    }

    /// Keeps an instance, if it may be; others give way to it.
    pub(crate) fn put(&self, whom: ForWhom, kept: Kept) {
        let state = kept.store.data();
        if self.max == 0 || state.calls >= CALLS_MAX || state.memory_bytes() > self.bytes_max {
            return;
        }
        // Dropped when nobody waits for the lock any more: giving memory back takes a while.
        let mut gone = Vec::new();
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let of_tenant = all.iter().filter(|(other, _)| other.tenant == whom.tenant).count();
        if of_tenant >= self.max.div_ceil(PART_OF_ONE_TENANT)
            && let Some(at) = all.iter().position(|(other, _)| other.tenant == whom.tenant)
        {
            gone.push(all.remove(at));
        }
        if all.len() >= self.max {
            gone.push(all.remove(0));
        }
        all.push((whom, kept));
        drop(all);
        drop(gone);
    }

    /// Forgets those of a version that is used no more.
    pub(crate) fn forget(&self, loaded: u64) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<_> = all.extract_if(.., |(whom, _)| whom.loaded == loaded).collect();
        drop(all);
        drop(gone);
    }
}

/// What a plugin that asks for it has: those of its instances that are kept go with it.
pub(crate) struct Keeps {
    pub(crate) loaded: u64,
    pub(crate) room: Arc<KeptInstances>,
}

impl Drop for Keeps {
    fn drop(&mut self) {
        self.room.forget(self.loaded);
    }
}
