//! Sealed files by the path under which the network's media hosts serve them.
//!
//! With a data directory each file lies there under the hash of its path; without one they are kept in memory.
//!
//! Files of messages pass: when there are too many of them, the oldest go, as WhatsApp's hosts let go of them after some
//! weeks. What accounts, groups, channels and the app state refer to by themselves stays.

mod passing;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use passing::{Passing, PassingLimits, passes};

/// The folder of the files that stay.
const FOLDER: &str = "blobs";
/// Below it, the folder of those that pass.
const PASSING_FOLDER: &str = "passing";

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
    /// The files that pass. Held while one of them comes or goes, so that it knows what is there.
    passing: Mutex<Passing>,
}

type Files = HashMap<String, Bytes>;

enum Place {
    Memory(Mutex<Files>),
    Folder(PathBuf),
}

impl Blobs {
    /// The store below `data_dir`, or one in memory.
    pub(crate) fn open(data_dir: Option<&Path>) -> Result<Self, BlobError> {
        Self::open_with(data_dir, PassingLimits::default())
    }

    fn open_with(data_dir: Option<&Path>, limits: PassingLimits) -> Result<Self, BlobError> {
        let Some(dir) = data_dir else {
            return Ok(Self { place: Place::Memory(Mutex::default()), passing: Mutex::new(Passing::new(limits)) });
        };
        let folder = dir.join(FOLDER);
        let below = folder.join(PASSING_FOLDER);
        let fail = |source| BlobError { path: below.clone(), source };
        fs::create_dir_all(&below).map_err(fail)?;
        let passing = Passing::read(&below, limits).map_err(fail)?;
        Ok(Self { place: Place::Folder(folder), passing: Mutex::new(passing) })
    }

    /// Keeps a file; one that was there under its path is replaced.
    pub(crate) fn put(&self, blob: &Blob) -> Result<(), BlobError> {
        match &self.place {
            Place::Memory(files) => {
                lock(files).insert(name(&blob.path), blob.bytes.clone());
                self.note(&blob.path, blob.bytes.len() as u64);
            }
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
        let fail = |source| BlobError { path: from.to_owned(), source };
        match &self.place {
            Place::Memory(_) => {
                let bytes = Bytes::from(fs::read(from).map_err(fail)?);
                self.put(&Blob { path: path.to_owned(), bytes })
            }
            Place::Folder(folder) => {
                let bytes = fs::metadata(from).map_err(fail)?.len();
                fs::rename(from, file(folder, path)).map_err(fail)?;
                self.note(path, bytes);
                Ok(())
            }
        }
    }

    /// Serves a file under one more path; false when there is no such file.
    pub(crate) fn link(&self, from: &str, to: &str) -> Result<bool, BlobError> {
        match &self.place {
            Place::Memory(files) => {
                let Some(bytes) = lock(files).get(&name(from)).cloned() else { return Ok(false) };
                self.put(&Blob { path: to.to_owned(), bytes })?;
            }
            Place::Folder(folder) => {
                let (from, linked) = (file(folder, from), file(folder, to));
                // Not every file system can give one file two names.
                match fs::hard_link(&from, &linked).or_else(|_| fs::copy(&from, &linked).map(drop)) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                    Err(source) => return Err(BlobError { path: linked, source }),
                }
                let bytes = fs::metadata(&linked).map_err(|source| BlobError { path: linked, source })?.len();
                self.note(to, bytes);
            }
        }
        Ok(true)
    }

    /// The file under a path, whole.
    pub(crate) fn get(&self, path: &str) -> Result<Option<Bytes>, BlobError> {
        match &self.place {
            Place::Memory(files) => Ok(lock(files).get(&name(path)).cloned()),
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
                .get(&name(path))
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
            Place::Memory(files) => lock(files).contains_key(&name(path)),
            Place::Folder(folder) => file(folder, path).exists(),
        }
    }

    /// A file has come: the oldest of those that pass make room for it.
    fn note(&self, path: &str, bytes: u64) {
        if !passes(path) {
            return;
        }
        let mut passing = lock(&self.passing);
        for gone in passing.add(name(path), bytes) {
            match &self.place {
                Place::Memory(files) => drop(lock(files).remove(&gone)),
                Place::Folder(folder) => {
                    if let Err(error) = fs::remove_file(folder.join(PASSING_FOLDER).join(&gone)) {
                        tracing::warn!(%error, gone, "an old file stays on the disk");
                    }
                }
            }
        }
    }
}

/// A panic elsewhere cannot have left a file half inserted.
fn lock<T>(files: &Mutex<T>) -> MutexGuard<'_, T> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A path may hold anything a URL may; its hash is a safe file name.
fn name(path: &str) -> String {
    hex::encode(Sha256::digest(path))
}

fn file(folder: &Path, path: &str) -> PathBuf {
    let folder = if passes(path) { folder.join(PASSING_FOLDER) } else { folder.to_owned() };
    folder.join(name(path))
}

#[cfg(test)]
mod tests {
    use super::{Blob, BlobContent, Blobs, Bytes, PassingLimits};

    fn in_both_places(name: &str, check: impl Fn(&Blobs)) {
        let folder = folder(name);
        check(&Blobs::open(None).unwrap());
        check(&Blobs::open(Some(&folder)).unwrap());
        std::fs::remove_dir_all(folder).unwrap();
    }

    fn folder(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("switchboard-blobs-{name}-{}", std::process::id()))
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

    /// Room for three files of messages of ten bytes each.
    const LIMITS: PassingLimits = PassingLimits { bytes_max: 30, files_max: 100 };

    fn put_ten(blobs: &Blobs, path: &str) {
        blobs.put(&blob(path, b"0123456789")).unwrap();
    }

    #[test]
    fn oldest_files_of_messages_make_room_and_others_stay() {
        let folder = folder("oldest");
        for blobs in [Blobs::open_with(None, LIMITS).unwrap(), Blobs::open_with(Some(&folder), LIMITS).unwrap()] {
            put_ten(&blobs, "/v/md-app-state/a.enc");
            put_ten(&blobs, "/v/image/a.enc");
            put_ten(&blobs, "/v/image/b.enc");
            assert!(blobs.link("/v/image/b.enc", "/v/image/c.enc").unwrap());
            // Uploaded again, it is not the oldest any more.
            put_ten(&blobs, "/v/image/a.enc");
            put_ten(&blobs, "/v/video/d.enc");
            assert!(!blobs.has("/v/image/b.enc"), "it was the oldest");
            for path in ["/v/md-app-state/a.enc", "/v/image/a.enc", "/v/image/c.enc", "/v/video/d.enc"] {
                assert_eq!(blobs.get(path).unwrap().unwrap(), b"0123456789"[..], "{path}");
            }
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn files_of_an_earlier_process_count_too() {
        let folder = folder("earlier");
        let blobs = Blobs::open_with(Some(&folder), LIMITS).unwrap();
        for path in ["/v/image/a.enc", "/v/image/b.enc", "/v/image/c.enc"] {
            put_ten(&blobs, path);
        }
        drop(blobs);
        let fewer = PassingLimits { bytes_max: 20, ..LIMITS };
        let blobs = Blobs::open_with(Some(&folder), fewer).unwrap();
        put_ten(&blobs, "/v/image/d.enc");
        let left = ["a", "b", "c"].iter().filter(|name| blobs.has(&format!("/v/image/{name}.enc"))).count();
        assert_eq!((left, blobs.has("/v/image/d.enc")), (1, true));
        std::fs::remove_dir_all(folder).unwrap();
    }

    impl Blobs {
        fn is_folder(&self) -> bool {
            matches!(self.place, super::Place::Folder(_))
        }
    }
}
