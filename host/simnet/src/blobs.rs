//! Sealed files by the path under which the network's media hosts serve them.
//!
//! With a data directory each file lies there under the hash of its path; without one they are kept in memory.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

const FOLDER: &str = "blobs";
/// Files up to which clients may add more. What the network itself makes is taken beyond that.
const FILES_MAX: usize = 100_000;

/// A sealed file on its way into the store.
pub(crate) struct Blob {
    /// The path of its URL, from the slash on, without `?` and `&`: what follows those is no part of a file's name.
    pub(crate) path: String,
    /// What is served there.
    pub(crate) bytes: Bytes,
}

/// A file that is there, to be read piece by piece.
pub(crate) struct OpenBlob {
    pub(crate) bytes: u64,
    pub(crate) content: BlobContent,
}

/// Where an open file's bytes are.
pub(crate) enum BlobContent {
    Memory(Bytes),
    File(File),
}

/// Why a file could not be kept or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot use blob file {path}")]
pub struct BlobError {
    /// The file in question.
    path: PathBuf,
    /// What the system said.
    #[source]
    source: io::Error,
}

/// All files.
pub(crate) struct Blobs {
    place: Place,
    /// How many files there are.
    count: AtomicUsize,
}

type Files = HashMap<String, Bytes>;

enum Place {
    Memory(Mutex<Files>),
    Folder(PathBuf),
}

impl Blobs {
    /// The store below `data_dir`, or one in memory.
    pub(crate) fn open(data_dir: Option<&Path>) -> Result<Self, BlobError> {
        let Some(dir) = data_dir else {
            return Ok(Self { place: Place::Memory(Mutex::default()), count: AtomicUsize::new(0) });
        };
        let folder = dir.join(FOLDER);
        let fail = |source| BlobError { path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(fail)?;
        let count = fs::read_dir(&folder).map_err(fail)?.count();
        Ok(Self { place: Place::Folder(folder), count: AtomicUsize::new(count) })
    }

    /// Keeps a file; one that was there under its path is replaced.
    pub(crate) fn put(&self, blob: &Blob) -> Result<(), BlobError> {
        match &self.place {
            Place::Memory(files) => self.insert(&mut lock(files), &blob.path, blob.bytes.clone()),
            Place::Folder(folder) => {
                // A reader must never see half of it.
                let path = file(folder, &blob.path);
                let fresh = path.with_extension("new");
                fs::write(&fresh, &blob.bytes).map_err(|source| BlobError { path, source })?;
                self.take_file(&blob.path, &fresh)?;
            }
        }
        Ok(())
    }

    /// Keeps a file that was written in the same file system; it is moved.
    pub(crate) fn take_file(&self, path: &str, from: &Path) -> Result<(), BlobError> {
        match &self.place {
            Place::Memory(files) => {
                let bytes = fs::read(from).map_err(|source| BlobError { path: from.to_owned(), source })?;
                self.insert(&mut lock(files), path, Bytes::from(bytes));
            }
            Place::Folder(folder) => {
                let path = file(folder, path);
                let is_new = !path.exists();
                fs::rename(from, &path).map_err(|source| BlobError { path, source })?;
                if is_new {
                    self.count.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        Ok(())
    }

    /// Serves a file under one more path; false when there is no such file.
    pub(crate) fn link(&self, from: &str, to: &str) -> Result<bool, BlobError> {
        match &self.place {
            Place::Memory(files) => {
                let mut files = lock(files);
                let Some(bytes) = files.get(from).cloned() else { return Ok(false) };
                self.insert(&mut files, to, bytes);
            }
            Place::Folder(folder) => {
                let (from, to) = (file(folder, from), file(folder, to));
                // Not every file system can give one file two names.
                match fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                    Err(source) => return Err(BlobError { path: to, source }),
                }
                self.count.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(true)
    }

    /// The file under a path, whole.
    pub(crate) fn get(&self, path: &str) -> Result<Option<Bytes>, BlobError> {
        match &self.place {
            Place::Memory(files) => Ok(lock(files).get(path).cloned()),
            Place::Folder(folder) => {
                let path = file(folder, path);
                match fs::read(&path) {
                    Ok(bytes) => Ok(Some(Bytes::from(bytes))),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(source) => Err(BlobError { path, source }),
                }
            }
        }
    }

    /// The file under a path, for reading piece by piece.
    pub(crate) fn open_blob(&self, path: &str) -> Result<Option<OpenBlob>, BlobError> {
        match &self.place {
            Place::Memory(files) => Ok(lock(files)
                .get(path)
                .map(|bytes| OpenBlob { bytes: bytes.len() as u64, content: BlobContent::Memory(bytes.clone()) })),
            Place::Folder(folder) => {
                let path = file(folder, path);
                let opened = File::open(&path).and_then(|file| {
                    let bytes = file.metadata()?.len();
                    Ok(OpenBlob { bytes, content: BlobContent::File(file) })
                });
                match opened {
                    Ok(blob) => Ok(Some(blob)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(source) => Err(BlobError { path, source }),
                }
            }
        }
    }

    /// Whether there is a file under a path.
    pub(crate) fn has(&self, path: &str) -> bool {
        match &self.place {
            Place::Memory(files) => lock(files).contains_key(path),
            Place::Folder(folder) => file(folder, path).exists(),
        }
    }

    /// Whether clients may add another file.
    pub(crate) fn has_room(&self) -> bool {
        self.count.load(Ordering::Relaxed) < FILES_MAX
    }

    fn insert(&self, files: &mut Files, path: &str, bytes: Bytes) {
        if files.insert(path.to_owned(), bytes).is_none() {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A panic elsewhere cannot have left a file half inserted.
fn lock(files: &Mutex<Files>) -> MutexGuard<'_, Files> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A path may hold anything a URL may; its hash is a safe file name.
fn file(folder: &Path, path: &str) -> PathBuf {
    folder.join(hex::encode(Sha256::digest(path)))
}

#[cfg(test)]
mod tests {
    use super::{Blob, BlobContent, Blobs, Bytes};

    fn in_both_places(name: &str, check: impl Fn(&Blobs)) {
        let folder = std::env::temp_dir().join(format!("switchboard-blobs-{name}-{}", std::process::id()));
        check(&Blobs::open(None).unwrap());
        check(&Blobs::open(Some(&folder)).unwrap());
        std::fs::remove_dir_all(folder).unwrap();
    }

    fn blob(path: &str, bytes: &'static [u8]) -> Blob {
        Blob { path: path.to_owned(), bytes: Bytes::from_static(bytes) }
    }

    #[test]
    fn file_is_read_back_from_memory_and_from_a_folder() {
        in_both_places("read", |blobs| {
            blobs.put(&blob("/v/a", b"old")).unwrap();
            blobs.put(&blob("/v/a", b"sealed")).unwrap();
            assert_eq!(blobs.get("/v/a").unwrap().unwrap(), b"sealed"[..]);
            assert!(blobs.get("/v/other").unwrap().is_none() && blobs.open_blob("/v/other").unwrap().is_none());
            let opened = blobs.open_blob("/v/a").unwrap().unwrap();
            assert_eq!(opened.bytes, 6);
            assert!(matches!(opened.content, BlobContent::Memory(_)) != blobs.is_folder());
        });
    }

    #[test]
    fn linked_file_outlives_a_change_of_the_first() {
        in_both_places("link", |blobs| {
            blobs.put(&blob("/v/a", b"one")).unwrap();
            assert!(blobs.link("/v/a", "/v/b").unwrap());
            assert!(!blobs.link("/v/none", "/v/c").unwrap() && !blobs.has("/v/c"));
            blobs.put(&blob("/v/a", b"two")).unwrap();
            assert_eq!(blobs.get("/v/b").unwrap().unwrap(), b"one"[..]);
        });
    }

    impl Blobs {
        fn is_folder(&self) -> bool {
            matches!(self.place, super::Place::Folder(_))
        }
    }
}
