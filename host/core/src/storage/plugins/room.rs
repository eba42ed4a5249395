//! Room for versions: uses of components and their bytes are counted, and the oldest versions go when there is none.

use crate::clock::Timestamp;
use crate::records::id::TenantId;
use crate::records::plugin::{Plugin, PluginVersion};
use crate::storage::cleanup::Leftover;
use crate::storage::engine::{Batch, Check, count_in};
use crate::storage::{Storage, StorageError, keys};

use super::NewVersion;

/// What a new version needs.
pub(super) struct Room<'a> {
    pub(super) new: &'a NewVersion<'a>,
    pub(super) plugin: &'a mut Plugin,
    /// Those there are, oldest first.
    pub(super) versions: Vec<PluginVersion>,
    /// Bytes that the tenant has more with it.
    pub(super) cost: u64,
}

impl Storage {
    /// Lets `batch` count one use more of a component; the bytes that the tenant has more with it.
    pub(super) async fn take_artifact(&self, batch: &mut Batch, new: &NewVersion<'_>) -> Result<u64, StorageError> {
        let (tenant, version) = (new.tenant, new.version);
        let uses = keys::artifact_uses(tenant, &version.sha256);
        let used = self.engine.get(&uses).await?;
        let cost = match used {
            Some(value) => {
                batch.check(Check::Equals { key: uses.clone(), value });
                0
            }
            None => {
                // Fails unless the note is that of this very upload, whose parts are all there.
                let note = Leftover::Artifact { tenant, sha256: version.sha256.clone(), at: version.uploaded_at };
                batch.check(note.held()?);
                note.remove(batch);
                batch.add(keys::artifact_bytes(tenant), signed(version.bytes));
                version.bytes
            }
        };
        batch.add(uses, 1);
        // Hosts before versions stored components whole.
        batch.delete(keys::artifact(tenant, &version.sha256));
        Ok(cost)
    }

    /// Lets `batch` remove versions until there is room; what is left of them, or the bytes there are when that does not do.
    pub(super) async fn make_room(
        &self,
        batch: &mut Batch,
        room: Room<'_>,
    ) -> Result<Result<Vec<Leftover>, u64>, StorageError> {
        let Room { new, plugin, versions, cost } = room;
        let used = self.artifact_bytes(new.tenant).await?;
        let (mut freed, mut left, mut count) = (0, Vec::new(), versions.len() + 1);
        for version in versions {
            let fits = used.saturating_sub(freed).saturating_add(cost) <= new.store_bytes_max;
            if count <= new.versions_max && fits {
                break;
            }
            if plugin.sha256 == version.sha256 || plugin.before.first() == Some(&version.sha256) {
                continue;
            }
            plugin.before.retain(|sha256| *sha256 != version.sha256);
            if let Some(leftover) = self.drop_version(batch, new.tenant, new.name, &version).await? {
                freed += version.bytes;
                left.push(leftover);
            }
            count -= 1;
        }
        let Some(most) = new.store_bytes_max.saturating_add(freed).checked_sub(cost).filter(|most| used <= *most) else {
            return Ok(Err(used));
        };
        batch.check(Check::AtMost { key: keys::artifact_bytes(new.tenant), max: most });
        Ok(Ok(left))
    }

    /// Lets `batch` remove a version; what is left of its component when no other version has it.
    pub(in crate::storage) async fn drop_version(
        &self,
        batch: &mut Batch,
        tenant: TenantId,
        name: &str,
        version: &PluginVersion,
    ) -> Result<Option<Leftover>, StorageError> {
        batch.delete(keys::plugin_version(tenant, name, &version.sha256));
        let uses = keys::artifact_uses(tenant, &version.sha256);
        let Some(value) = self.engine.get(&uses).await? else { return Ok(None) };
        let is_last = count_in(Some(&value)) == 1;
        batch.check(Check::Equals { key: uses.clone(), value });
        batch.add(uses, -1);
        if !is_last {
            return Ok(None);
        }
        batch.add(keys::artifact_bytes(tenant), -signed(version.bytes));
        let left = Leftover::Artifact { tenant, sha256: version.sha256.clone(), at: Timestamp(0) };
        left.put(batch)?;
        Ok(Some(left))
    }

    /// Removes components that no version has any more. What fails is gone on with by [`Storage::finish_cleanups`]: the change
    /// that left them is durable.
    pub(super) async fn remove_artifacts(&self, left: &[Leftover]) {
        for left in left {
            if let Err(error) = self.finish_cleanup(left).await {
                tracing::warn!(%error, "a component that no version has could not be removed; it is tried again");
            }
        }
    }
}

/// A size as a change of a count.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
