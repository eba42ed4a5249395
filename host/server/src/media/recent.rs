//! What was fetched or made a moment ago, so that a batch of messages with one file works on it once.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use switchboard_core::clock::Timestamp;
use switchboard_core::records::blob::BlobId;
use switchboard_core::records::id::TenantId;

/// How long what was fetched stands for its source.
const GOOD_FOR: Duration = Duration::from_secs(600);
/// Most sources that are remembered.
const SOURCES_MAX: usize = 2048;

/// Recent blobs by their source, of each tenant alone.
#[derive(Default)]
pub(super) struct Recent {
    known: Mutex<HashMap<(TenantId, String), (BlobId, Timestamp)>>,
}

impl Recent {
    /// The blob of a source that is not long ago.
    pub(super) fn find(&self, tenant: TenantId, source: &str, now: Timestamp) -> Option<BlobId> {
        let known = self.known.lock().ok()?;
        let (id, at) = known.get(&(tenant, source.to_owned()))?;
        (now.since(*at) < GOOD_FOR).then(|| id.clone())
    }

    /// Remembers the blob of a source.
    pub(super) fn note(&self, tenant: TenantId, source: &str, id: &BlobId, now: Timestamp) {
        let Ok(mut known) = self.known.lock() else { return };
        if known.len() >= SOURCES_MAX {
            known.retain(|_, (_, at)| now.since(*at) < GOOD_FOR);
        }
        // Full of recent ones: what is not remembered is fetched again.
        if known.len() < SOURCES_MAX {
            known.insert((tenant, source.to_owned()), (id.clone(), now));
        }
    }
}
