//! Components by their hash, in parts: no commit holds up others for the time that a large one takes.

use crate::clock::Timestamp;
use crate::records::id::TenantId;
use crate::storage::cleanup::Leftover;
use crate::storage::engine::{Batch, Check, KeyRange, count_in};
use crate::storage::{Storage, StorageError, keys};

/// Most bytes of an uploaded component.
pub const ARTIFACT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of a component that are in one commit. Tests have small components, and want several parts.
pub(in crate::storage) const PART_BYTES: usize = if cfg!(test) { 50_000 } else { 256 * 1024 };
/// Parts that are read at once.
pub(in crate::storage) const PARTS_AT_ONCE: usize = 16;

impl Storage {
    /// Stores a component for a version that is to be kept next; [`Storage::keep_version`] must follow, or it is removed again.
    /// One that a version of this tenant has is there already, and nothing is written.
    ///
    /// # Errors
    /// [`StorageError::TooLarge`] over [`ARTIFACT_BYTES_MAX`]; [`StorageError::Conflict`] when another upload of the same bytes
    /// is under way; else when the engine fails.
    pub async fn put_artifact(
        &self,
        tenant: TenantId,
        sha256: &str,
        component: &[u8],
        now: Timestamp,
    ) -> Result<(), StorageError> {
        if component.len() > ARTIFACT_BYTES_MAX {
            return Err(StorageError::TooLarge { bytes: component.len(), bytes_max: ARTIFACT_BYTES_MAX });
        }
        let uses = keys::artifact_uses(tenant, sha256);
        if count_in(self.engine.get(&uses).await?.as_deref()) > 0 {
            return Ok(());
        }
        let note = Leftover::Artifact { tenant, sha256: sha256.to_owned(), at: now };
        // What an upload before this one left behind.
        self.finish_cleanup(&note).await?;
        let mut begun: Option<Check> = None;
        for (n, part) in (0_u32..).zip(component.chunks(PART_BYTES)) {
            let mut batch = Batch::default();
            match &begun {
                Some(held) => batch.check(held.clone()),
                None => {
                    batch.check(note.absent());
                    batch.check(Check::AtMost { key: uses.clone(), max: 0 });
                    note.put(&mut batch)?;
                }
            }
            batch.put(keys::artifact_part(tenant, sha256, n), part.to_vec());
            self.engine.commit(batch).await?;
            if begun.is_none() {
                begun = Some(note.held()?);
            }
        }
        Ok(())
    }

    /// A tenant's component by its hexadecimal SHA-256.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn artifact(&self, tenant: TenantId, sha256: &str) -> Result<Option<Vec<u8>>, StorageError> {
        if count_in(self.engine.get(&keys::artifact_uses(tenant, sha256)).await?.as_deref()) == 0 {
            // Hosts before versions stored components whole.
            return self.engine.get(&keys::artifact(tenant, sha256)).await;
        }
        let mut range = KeyRange::prefix(&keys::artifact_parts(tenant, sha256), PARTS_AT_ONCE);
        let mut component = Vec::new();
        loop {
            let parts = self.engine.range(&range).await?;
            let full = parts.len() == PARTS_AT_ONCE;
            parts.iter().for_each(|(_, part)| component.extend_from_slice(part));
            match parts.last() {
                Some((last, _)) if full => range = range.after(last),
                _ => return Ok(Some(component)),
            }
        }
    }

    /// What the components of a tenant have together, bytes; each counts once, however many versions have it.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn artifact_bytes(&self, tenant: TenantId) -> Result<u64, StorageError> {
        Ok(count_in(self.engine.get(&keys::artifact_bytes(tenant)).await?.as_deref()))
    }
}
