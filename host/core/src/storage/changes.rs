//! Tells whoever remembers what it read of an account whether that still holds, without reading it again.

use std::sync::atomic::{AtomicU64, Ordering};

use super::engine::{Batch, Write};
use super::keys::{Account, account_of};
use crate::records::id::TenantId;

/// Accounts are counted together in as many groups; what changes in one account makes the rest of its group be read again.
const GROUPS: usize = 1024;

/// Counts the changes of accounts: of tenants, their keys, and which sessions they have. A count is odd while something is written.
pub struct Changes(Box<[AtomicU64]>);

/// A moment in the life of an account, between two changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(u64);

impl Default for Changes {
    fn default() -> Self {
        Self((0..GROUPS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Changes {
    /// Now; none while a change is being written. What was read between two moments that are the same was so at both of them.
    pub(super) fn moment(&self, tenant: TenantId) -> Option<Moment> {
        let count = self.0.get(group(tenant))?.load(Ordering::SeqCst);
        count.is_multiple_of(2).then_some(Moment(count))
    }

    /// Says that these are being written, until it is dropped. There is one writer at a time.
    pub(super) fn writing<'a>(&'a self, batches: &[Batch]) -> Writing<'a> {
        let mut groups = Vec::new();
        for write in batches.iter().flat_map(|batch| &batch.writes) {
            let (Write::Put { key, .. } | Write::Delete { key } | Write::DeletePrefix { prefix: key }) = write else {
                continue;
            };
            match account_of(key) {
                Account::Of(tenant) => groups.push(group(tenant)),
                Account::Any => groups.extend(0..GROUPS),
                Account::None => {}
            }
        }
        groups.sort_unstable();
        groups.dedup();
        let writing = Writing { changes: self, groups };
        writing.count();
        writing
    }
}

/// A change that is under way.
pub(super) struct Writing<'a> {
    changes: &'a Changes,
    groups: Vec<usize>,
}

impl Writing<'_> {
    fn count(&self) {
        for counter in self.groups.iter().filter_map(|group| self.changes.0.get(*group)) {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.count();
    }
}

/// Public numbers are drawn at random: their last digits spread them.
fn group(tenant: TenantId) -> usize {
    usize::try_from(tenant.0 % GROUPS as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::keys;
    use super::*;
    use crate::records::id::{KeyId, SessionId};

    const ACME: TenantId = TenantId(1);
    const GLOBEX: TenantId = TenantId(2);

    fn put(key: Vec<u8>) -> Batch {
        let mut batch = Batch::default();
        batch.put(key, Vec::new());
        batch
    }

    #[test]
    fn an_account_has_no_moment_while_it_is_written_and_another_one_after_that() {
        let changes = Changes::default();
        for key in [
            keys::tenant(ACME),
            keys::api_key(ACME, KeyId(7)),
            keys::session(ACME, SessionId(8)),
            keys::owner_epoch(ACME, SessionId(8)),
        ] {
            let before = changes.moment(ACME).unwrap();
            let writing = changes.writing(&[put(keys::device(ACME, SessionId(8))), put(key.clone()), put(key)]);
            assert_eq!(changes.moment(ACME), None);
            drop(writing);
            assert_ne!(changes.moment(ACME).unwrap(), before);
        }
        assert_eq!(changes.moment(GLOBEX), Some(Moment(0)));
    }

    #[test]
    fn whatever_else_is_written_changes_no_account_and_what_might_be_anything_changes_all() {
        let changes = Changes::default();
        drop(changes.writing(&[put(keys::device(ACME, SessionId(8))), put(keys::key_uses(ACME, KeyId(1)))]));
        assert_eq!(changes.moment(ACME), Some(Moment(0)));
        for prefix in [vec![0], keys::tenants()] {
            let mut batch = Batch::default();
            batch.delete_prefix(prefix);
            let _writing = changes.writing(&[batch]);
            assert_eq!((changes.moment(ACME), changes.moment(GLOBEX)), (None, None));
        }
    }
}
