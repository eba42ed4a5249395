//! A file that is being written: hashed and counted on its way, gone unless it is kept.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Removes a file when it is dropped, unless it was moved away.
struct Part(Option<PathBuf>);

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            // What stays behind is removed at the next start.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A file that takes bytes, up to a limit.
pub struct Incoming {
    part: Part,
    file: File,
    hash: Sha256,
    bytes: u64,
    bytes_max: u64,
}

/// A file that is whole and synced, and not kept yet.
pub struct Written {
    part: Part,
    /// SHA-256 of its bytes, lower-case hexadecimal.
    pub sha256: String,
    /// How many bytes.
    pub bytes: u64,
}

/// A place for a file that is needed for a while: whoever holds it writes and reads it, and it goes with the holder.
pub struct Scratch(Part);

impl Scratch {
    pub(super) fn at(path: PathBuf) -> Self {
        Self(Part(Some(path)))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.0.as_deref().unwrap_or(Path::new(""))
    }
}

impl Incoming {
    pub(super) async fn create(path: PathBuf, bytes_max: u64) -> io::Result<Self> {
        let file = File::create(&path).await?;
        Ok(Self { part: Part(Some(path)), file, hash: Sha256::new(), bytes: 0, bytes_max })
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// [`io::ErrorKind::FileTooLarge`] over the limit; else when the file system fails.
    pub async fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes).await
    }

    /// Ends writing: everything is on disk then.
    ///
    /// # Errors
    /// When the file system fails.
    pub async fn finish(mut self) -> io::Result<Written> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        Ok(Written { part: self.part, sha256: hex::encode(self.hash.finalize()), bytes: self.bytes })
    }
}

impl AsyncWrite for Incoming {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.bytes.saturating_add(bytes.len() as u64) > self.bytes_max {
            let why = format!("over the limit of {} bytes", self.bytes_max);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::FileTooLarge, why)));
        }
        let taken = ready!(Pin::new(&mut self.file).poll_write(cx, bytes))?;
        self.hash.update(bytes.get(..taken).unwrap_or_default());
        self.bytes += taken as u64;
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.file).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.file).poll_shutdown(cx)
    }
}

impl Written {
    /// Where it is until it is kept.
    pub fn path(&self) -> &Path {
        self.part.0.as_deref().unwrap_or(Path::new(""))
    }

    /// Gives it its last name.
    pub(super) async fn move_to(mut self, path: PathBuf) -> io::Result<()> {
        tokio::fs::rename(self.path(), path).await?;
        self.part.0 = None;
        Ok(())
    }
}
