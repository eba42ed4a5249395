//! Records that were read, remembered for as long as nothing of their account changes: those that every request needs.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock};

use super::Storage;
use super::changes::Moment;
use crate::records::id::TenantId;

/// Most records of one kind that are remembered; of the largest kind a kilobyte each, about.
const REMEMBERED_MAX: usize = 8192;

/// Records by what they were looked up by, each with the moment at which it was so.
pub(super) struct Remembered<K, V>(RwLock<HashMap<K, (Moment, V)>>);

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Eq + Hash, V: Clone> Remembered<K, V> {
    /// What was remembered, and of which moment.
    pub(super) fn get(&self, key: &K) -> Option<(Moment, V)> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Remembers what was so at `moment`.
    pub(super) fn put(&self, key: K, moment: Moment, value: V) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED_MAX && !all.contains_key(&key) {
            // Those that are used are soon there again.
            all.clear();
        }
        all.insert(key, (moment, value));
    }
}

impl Storage {
    /// The moment of an account; none while a change of it is being written, or where nobody counts them.
    pub(super) fn moment(&self, tenant: TenantId) -> Option<Moment> {
        self.engine.changes()?.moment(tenant)
    }

    /// Whether what was remembered of this moment may be told: while storage is down nothing is, remembered or not.
    pub(super) fn holds_still(&self, tenant: TenantId, moment: Moment) -> bool {
        self.engine.health().is_ok() && self.moment(tenant) == Some(moment)
    }
}

#[cfg(test)]
mod tests {
    use super::super::changes::Changes;
    use super::*;

    #[test]
    fn no_more_than_the_limit_is_remembered_and_what_is_read_last_always_is() {
        let moment = Changes::default().moment(TenantId(1)).unwrap();
        let remembered = Remembered::default();
        for key in 0..=REMEMBERED_MAX {
            remembered.put(key, moment, key);
            assert_eq!(remembered.get(&key), Some((moment, key)));
        }
        assert!(remembered.get(&0).is_none());
        assert_eq!(remembered.0.read().unwrap().len(), 1);
        remembered.put(REMEMBERED_MAX, moment, 7);
        assert_eq!(remembered.get(&REMEMBERED_MAX), Some((moment, 7)));
    }
}
