//! The bytes of blobs: files named after their own SHA-256 below `<data_dir>/blobs`.
//!
//! A file is written under a temporary name, synced and renamed, and its folder synced, before storage hears of it; storage
//! forgets a reference before its file is removed. So whatever a crash leaves behind is a file that nobody refers to, and
//! [`BlobFiles::sweep`] removes it.

mod incoming;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Semaphore;

use switchboard_core::clock::Timestamp;
use switchboard_core::records::blob::{Blob, BlobId};
use switchboard_core::records::id::TenantId;
use switchboard_core::storage::{Kept, Storage, StorageError};

pub use incoming::{Incoming, Scratch, Written};

#[cfg(test)]
mod tests;

/// The folder of blobs in the data directory.
const FOLDER: &str = "blobs";
/// The folder of files that are still being written.
const PARTS: &str = "incoming";
/// Folders that files are spread over: one for each first byte of a hash.
const SPREAD: u32 = 256;
/// Lanes: what is kept and what is removed of one hash wait for each other, and others' rarely.
const LANES: usize = 16;
/// References that are removed in one go when they end.
const EXPIRED_AT_ONCE: usize = 200;

/// Why a blob is not kept or not removed.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The file system failed.
    #[error("the blob store: {0}")]
    Io(#[from] io::Error),
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The tenant keeps too much already.
    #[error("{used} bytes of media are kept and this file has {bytes}; the limit is {bytes_max}")]
    Full {
        /// What it keeps, bytes.
        used: u64,
        /// What was to be added, bytes.
        bytes: u64,
        /// The limit, bytes.
        bytes_max: u64,
    },
}

/// The files of every tenant's blobs.
pub struct BlobFiles {
    folder: PathBuf,
    storage: Storage,
    lanes: [Semaphore; LANES],
    next_part: Arc<AtomicU64>,
}

impl BlobFiles {
    /// Opens (or makes) the folders below `data_dir`. Files that were still being written when the host died are removed.
    ///
    /// # Errors
    /// When the folders cannot be made or read.
    pub fn open(data_dir: &Path, storage: Storage) -> io::Result<Self> {
        let folder = data_dir.join(FOLDER);
        let parts = folder.join(PARTS);
        std::fs::create_dir_all(&parts)?;
        set_private(&folder)?;
        for first in 0..SPREAD {
            let spread = folder.join(format!("{first:02x}"));
            if !spread.exists() {
                std::fs::create_dir(&spread)?;
            }
        }
        for part in std::fs::read_dir(&parts)? {
            std::fs::remove_file(part?.path())?;
        }
        // The folders themselves must be there when a file in them is.
        sync_folder(&folder)?;
        Ok(Self { folder, storage, lanes: std::array::from_fn(|_| Semaphore::new(1)), next_part: Arc::default() })
    }

    /// A new file to write into, at most `bytes_max` bytes. Dropped before it is kept, it is gone.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn begin(&self, bytes_max: u64) -> io::Result<Incoming> {
        let n = self.next_part.fetch_add(1, Ordering::Relaxed);
        Incoming::create(self.folder.join(PARTS).join(format!("{n}.part")), bytes_max).await
    }

    /// A place for a file that is gone when it is dropped, or at the next start.
    pub fn scratch(&self) -> Scratch {
        let n = self.next_part.fetch_add(1, Ordering::Relaxed);
        Scratch::at(self.folder.join(PARTS).join(format!("{n}.sealed")))
    }

    /// Where the bytes of this hash are, if anybody keeps them.
    pub fn path(&self, sha256: &str) -> PathBuf {
        // A hash is hexadecimal: nothing in it leads out of the folder.
        let first = sha256.get(..2).unwrap_or_default();
        self.folder.join(first).join(sha256)
    }

    /// Keeps a written file under its hash, with `blob` as the tenant's reference to it.
    ///
    /// # Errors
    /// [`BlobError`]; nothing is kept then.
    pub async fn keep(&self, tenant: TenantId, written: Written, blob: &Blob, bytes_max: u64) -> Result<(), BlobError> {
        let _turn = self.turn(&blob.sha256).await;
        let path = self.path(&blob.sha256);
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        // The same bytes may be there already; replacing them with themselves is as good as keeping them.
        written.move_to(path).await?;
        blocking(move || sync_folder(&folder)).await?;
        let kept = self.storage.keep_blob(tenant, blob, bytes_max).await;
        if !matches!(kept, Ok(Kept::Yes)) {
            self.remove_unused(&blob.sha256).await?;
        }
        match kept? {
            Kept::Yes => Ok(()),
            Kept::Full { used } => Err(BlobError::Full { used, bytes: blob.bytes, bytes_max }),
        }
    }

    /// Opens the bytes of a blob.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn read(&self, blob: &Blob) -> io::Result<tokio::fs::File> {
        tokio::fs::File::open(self.path(&blob.sha256)).await
    }

    /// Removes a tenant's reference, and the bytes when it was the last; whether there was one.
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn delete(&self, tenant: TenantId, id: &BlobId) -> Result<bool, BlobError> {
        self.delete_by(tenant, id, None).await
    }

    /// Removes a tenant's reference, unless its end was put off since `blob` was read; whether it did.
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn delete_unextended(&self, tenant: TenantId, blob: &Blob) -> Result<bool, BlobError> {
        self.delete_by(tenant, &blob.id, Some(blob.expires_at)).await
    }

    async fn delete_by(&self, tenant: TenantId, id: &BlobId, by: Option<Timestamp>) -> Result<bool, BlobError> {
        let Some(blob) = self.storage.blob(tenant, id).await? else { return Ok(false) };
        let _turn = self.turn(&blob.sha256).await;
        if self.storage.delete_blob(tenant, id, by).await?.is_none() {
            return Ok(false);
        }
        self.remove_unused(&blob.sha256).await?;
        Ok(true)
    }

    /// Removes what a tenant's blobs have ended by `now`; how many.
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn expire(&self, tenant: TenantId, now: Timestamp) -> Result<usize, BlobError> {
        let mut removed = 0;
        loop {
            let ended = self.storage.expired_blobs(tenant, now, EXPIRED_AT_ONCE).await?;
            let before = removed;
            for id in &ended {
                removed += usize::from(self.delete_by(tenant, id, Some(now)).await?);
            }
            if ended.len() < EXPIRED_AT_ONCE || removed == before {
                return Ok(removed);
            }
        }
    }

    /// Removes files that nobody refers to, which a crash may leave behind; how many.
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn sweep(&self) -> Result<usize, BlobError> {
        let mut removed = 0;
        for first in 0..SPREAD {
            let spread = self.folder.join(format!("{first:02x}"));
            let mut files = tokio::fs::read_dir(&spread).await?;
            while let Some(file) = files.next_entry().await? {
                let name = file.file_name();
                let Some(sha256) = name.to_str() else { continue };
                let _turn = self.turn(sha256).await;
                removed += usize::from(self.remove_unused(sha256).await?);
            }
        }
        Ok(removed)
    }

    /// Removes the bytes of a hash unless a reference is left. The caller holds the hash's lane.
    async fn remove_unused(&self, sha256: &str) -> Result<bool, BlobError> {
        if self.storage.blob_uses(sha256).await? > 0 {
            return Ok(false);
        }
        match tokio::fs::remove_file(self.path(sha256)).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The right to add or remove references to this hash: without it, a file could go while its next reference comes.
    async fn turn(&self, sha256: &str) -> Option<tokio::sync::SemaphorePermit<'_>> {
        let first = sha256.get(..1).and_then(|digit| usize::from_str_radix(digit, 16).ok()).unwrap_or_default();
        // Lanes are never closed.
        self.lanes.get(first % LANES)?.acquire().await.ok()
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

fn set_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}

/// Runs what blocks on a thread for that.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
