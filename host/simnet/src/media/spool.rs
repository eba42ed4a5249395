//! Uploads while they come in, and what is left of those that broke off, so that they can go on where they were.
//!
//! With a data directory the bytes go to a file there as they come; without one they are kept in memory. A restart
//! forgets them.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use tokio::task::spawn_blocking;

use super::MediaFault;
use crate::blobs::{Blob, Blobs};

const FOLDER: &str = "uploads";
/// Uploads that broke off and may go on.
const PARTS_MAX: usize = 64;
/// Bytes of all of them together.
const PARTS_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Bytes that are hashed at a time.
const HASH_BYTES: usize = 64 * 1024;

/// The hash under which a client uploads.
pub(super) type Token = [u8; 32];

/// Why there is no place for uploads.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the folder for uploads {path}")]
pub struct SpoolError {
    /// The folder in question.
    path: PathBuf,
    /// What the system said.
    #[source]
    source: io::Error,
}

/// Where uploads come in.
pub(crate) struct Spool {
    folder: Option<PathBuf>,
    /// The names of files are numbers.
    next: AtomicU64,
    /// What broke off, oldest first.
    parts: Mutex<VecDeque<(Token, Part)>>,
}

/// The beginning of an upload.
pub(super) struct Part {
    bytes: u64,
    sink: Sink,
}

enum Sink {
    Memory(Vec<u8>),
    File(tokio::fs::File, TemporaryFile),
}

/// Gone with its owner, unless it was moved away.
struct TemporaryFile(PathBuf);

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Spool {
    /// A place below `data_dir`, emptied of what an earlier process has left, or one in memory.
    pub(crate) fn open(data_dir: Option<&Path>) -> Result<Self, SpoolError> {
        let folder = data_dir.map(|dir| dir.join(FOLDER));
        if let Some(folder) = &folder {
            let emptied = match fs::remove_dir_all(folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => fs::create_dir_all(folder),
            };
            emptied.map_err(|source| SpoolError { path: folder.clone(), source })?;
        }
        Ok(Self { folder, next: AtomicU64::new(0), parts: Mutex::default() })
    }

    /// An upload from its first byte on.
    pub(super) async fn begin(&self) -> io::Result<Part> {
        let Some(folder) = &self.folder else {
            return Ok(Part { bytes: 0, sink: Sink::Memory(Vec::new()) });
        };
        let path = folder.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        let file = tokio::fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path).await?;
        Ok(Part { bytes: 0, sink: Sink::File(file, TemporaryFile(path)) })
    }

    /// An upload that broke off, cut to where the client goes on.
    pub(super) async fn resume(&self, token: &Token, at: u64) -> Result<Part, MediaFault> {
        let mut part = self.take(token, at).ok_or(MediaFault::NoSuchPart(at))?;
        part.cut(at).await.map_err(MediaFault::Store)?;
        Ok(part)
    }

    /// How much of an upload is there; 0 when nothing is.
    pub(super) fn bytes_of(&self, token: &Token) -> u64 {
        self.parts().iter().find(|(known, _)| known == token).map_or(0, |(_, part)| part.bytes)
    }

    /// Keeps what came of an upload before it broke off. Whatever goes for it goes outside the lock.
    pub(super) fn keep(&self, token: Token, part: Part) {
        if part.bytes == 0 {
            return;
        }
        let mut gone = Vec::new();
        let mut parts = self.parts();
        if let Some(at) = parts.iter().position(|(known, _)| *known == token) {
            gone.extend(parts.remove(at));
        }
        parts.push_back((token, part));
        while parts.len() > PARTS_MAX || parts.iter().map(|(_, part)| part.bytes).sum::<u64>() > PARTS_BYTES_MAX {
            gone.extend(parts.pop_front());
        }
        drop(parts);
    }

    fn take(&self, token: &Token, bytes: u64) -> Option<Part> {
        let mut parts = self.parts();
        let at = parts.iter().position(|(known, part)| known == token && part.bytes >= bytes)?;
        parts.remove(at).map(|(_, part)| part)
    }

    /// A panic elsewhere cannot have left the list half changed.
    fn parts(&self) -> MutexGuard<'_, VecDeque<(Token, Part)>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Part {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) async fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        match &mut self.sink {
            Sink::Memory(bytes) => bytes.extend_from_slice(chunk),
            Sink::File(file, _) => file.write_all(chunk).await?,
        }
        self.bytes += chunk.len() as u64;
        Ok(())
    }

    /// Writes out what is still on its way to the file.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Memory(_) => Ok(()),
            Sink::File(file, _) => file.flush().await,
        }
    }

    async fn cut(&mut self, bytes: u64) -> io::Result<()> {
        use tokio::io::AsyncSeekExt as _;
        match &mut self.sink {
            Sink::Memory(kept) => kept.truncate(usize::try_from(bytes).unwrap_or(usize::MAX)),
            Sink::File(file, _) => {
                file.set_len(bytes).await?;
                file.seek(SeekFrom::Start(bytes)).await?;
            }
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Serves the whole upload under its path, if it has the hash that the client said.
    pub(super) async fn finish(mut self, token: Token, blobs: Arc<Blobs>, path: String) -> Result<(), MediaFault> {
        self.flush().await.map_err(MediaFault::Store)?;
        let stored = match self.sink {
            Sink::Memory(bytes) => {
                spawn_blocking(move || {
                    check(Sha256::digest(&bytes).into(), token)?;
                    blobs
                        .put(&Blob { path, bytes: Bytes::from(bytes) })
                        .map_err(|error| MediaFault::Store(io::Error::other(error)))
                })
                .await
            }
            Sink::File(file, temporary) => {
                let mut file = file.into_std().await;
                spawn_blocking(move || {
                    check(hash(&mut file).map_err(MediaFault::Store)?, token)?;
                    blobs.take_file(&path, &temporary.0).map_err(|error| MediaFault::Store(io::Error::other(error)))
                })
                .await
            }
        };
        stored.map_err(|error| MediaFault::Store(io::Error::other(error)))?
    }
}

fn hash(file: &mut File) -> io::Result<Token> {
    file.seek(SeekFrom::Start(0))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; HASH_BYTES];
    loop {
        let count = file.read(&mut buffer)?;
        let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else {
            return Ok(hash.finalize().into());
        };
        hash.update(read);
    }
}

fn check(found: Token, expected: Token) -> Result<(), MediaFault> {
    if found == expected {
        return Ok(());
    }
    Err(MediaFault::WrongHash { found: hex::encode(found), expected: hex::encode(expected) })
}
