//! Compiled components on disk, so that nothing is compiled twice.
//!
//! Compiled code is trusted by the engine, so only what this host wrote is ever loaded: a file carries a MAC under a key that
//! only the host knows, and is named by the component's hash and the engine's compatibility.

use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::classes::ClassRoom;
use crate::compile::{CompileError, Compiler, compile};
use crate::inspect::InspectError;
use crate::log::short_words;

/// Most bytes of compiled code that are kept. Those that were loaded longest ago give way: what is in use stays mapped all the same,
/// and is compiled anew after the next start.
const KEPT_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;
/// Bytes of a cached file that are read at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// Bytes of the MAC at the end of a cached file.
const MAC_BYTES: usize = blake3::OUT_LEN;

/// Compiled components on disk.
pub(crate) struct CodeCache {
    folder: Option<PathBuf>,
    key: [u8; 32],
    /// Bytes of all files.
    bytes: Arc<AtomicU64>,
    bytes_max: u64,
}

/// Compiled code that is not in the cache yet: it is kept once the component passed its inspection.
pub(crate) struct NewCode(Vec<u8>);

impl CodeCache {
    /// A cache in `folder`, or none.
    pub(crate) fn open(folder: Option<&Path>, key: [u8; 32]) -> std::io::Result<Self> {
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder)?;
            set_private(folder)?;
        }
        let bytes = folder.map(files_in).transpose()?.unwrap_or_default().iter().map(|file| file.bytes).sum();
        let (folder, bytes) = (folder.map(Path::to_owned), Arc::new(AtomicU64::new(bytes)));
        Ok(Self { folder, key, bytes, bytes_max: KEPT_BYTES_MAX })
    }

    /// The name of the file: code fits one component and one kind of engine.
    fn name(engine: &Engine, sha256: &str) -> String {
        let mut hasher = std::hash::DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        format!("{sha256}-{:016x}", hasher.finish())
    }

    /// The name is part of what is vouched for: a file copied onto another's name is not trusted.
    fn mac(key: &[u8; 32], name: &str) -> blake3::Hasher {
        let mut mac = blake3::Hasher::new_keyed(key);
        mac.update(name.as_bytes());
        mac
    }

    /// The component of this hash, compiled before, or now: then with the code to [`CodeCache::keep`].
    pub(crate) async fn load(
        &self,
        room: &ClassRoom,
        compiler: &Compiler,
        sha256: &str,
        bytes: &[u8],
    ) -> Result<(Component, Option<NewCode>), CompileError> {
        // A file that this engine no longer takes is compiled anew.
        if let Some(component) = self.kept(&room.engine, sha256).await {
            return Ok((component, None));
        }
        let _turn = room.queue.turn().await?;
        // Whoever had the turn before may have compiled the same.
        if let Some(component) = self.kept(&room.engine, sha256).await {
            return Ok((component, None));
        }
        let code = compile(room, compiler, bytes).await?;
        let invalid = |error: wasmtime::Error| InspectError::Invalid { why: short_words(&format!("{error:#}")) };
        let component = load_own_code(&room.engine, &code).map_err(invalid)?;
        Ok((component, Some(NewCode(code))))
    }

    /// The component of this hash as it was compiled before, mapped from its file; on a thread that may be held up, for the file
    /// of a large one is read for a while.
    pub(crate) async fn kept(&self, engine: &Engine, sha256: &str) -> Option<Component> {
        let name = Self::name(engine, sha256);
        let (path, key, engine) = (self.folder.as_ref()?.join(&name), self.key, engine.clone());
        tokio::task::spawn_blocking(move || map_kept(&path, &key, &name, &engine)).await.ok()?
    }

    /// Keeps new code for the next start. A cache that cannot be written costs time, not the plugin.
    pub(crate) async fn keep(&self, engine: &Engine, sha256: &str, code: NewCode) {
        let Some(folder) = self.folder.clone() else { return };
        let (name, key) = (Self::name(engine, sha256), self.key);
        let (bytes, bytes_max) = (Arc::clone(&self.bytes), self.bytes_max);
        let write = move || {
            let new = Self::write(&folder, &key, &name, &code.0)?;
            if bytes.fetch_add(new, Ordering::Relaxed).saturating_add(new) > bytes_max {
                bytes.store(make_room(&folder, bytes_max / 8 * 7)?, Ordering::Relaxed);
            }
            Ok(())
        };
        let written = tokio::task::spawn_blocking(write).await;
        if let Err(error) = written.map_err(std::io::Error::other).and_then(|written| written) {
            tracing::warn!(%error, sha256, "compiled code could not be kept");
        }
    }

    /// Writes a file; its bytes.
    fn write(folder: &Path, key: &[u8; 32], name: &str, code: &[u8]) -> std::io::Result<u64> {
        /// Tells the temporary files of loads at the same time apart.
        static NEXT_PART: AtomicU64 = AtomicU64::new(0);
        let mut mac = Self::mac(key, name);
        mac.update(code);
        let part = folder.join(format!("{name}.{}.part", NEXT_PART.fetch_add(1, Ordering::Relaxed)));
        let mut file = private_file(&part)?;
        file.write_all(code)?;
        file.write_all(mac.finalize().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(part, folder.join(name))?;
        Ok((code.len() + MAC_BYTES) as u64)
    }
}

/// A file of the cache.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct KeptFile {
    /// When it was last loaded, or written.
    used: std::time::SystemTime,
    path: PathBuf,
    bytes: u64,
}

fn files_in(folder: &Path) -> std::io::Result<Vec<KeptFile>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // One that has gone meanwhile counts no more.
        if let Ok(about) = entry.metadata()
            && about.is_file()
        {
            files.push(KeptFile { used: about.modified()?, path: entry.path(), bytes: about.len() });
        }
    }
    Ok(files)
}

/// Removes the files that were used longest ago until all have at most `bytes_max`; what they have then.
fn make_room(folder: &Path, bytes_max: u64) -> std::io::Result<u64> {
    let mut files = files_in(folder)?;
    files.sort_unstable();
    let mut bytes: u64 = files.iter().map(|file| file.bytes).sum();
    for file in files {
        if bytes <= bytes_max {
            break;
        }
        std::fs::remove_file(&file.path)?;
        bytes = bytes.saturating_sub(file.bytes);
    }
    Ok(bytes)
}

/// Says that a file is used now; where the system does not let us, it is as old as it was.
fn note_use(file: &File) {
    let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    let _ = rustix::fs::futimens(file, &rustix::fs::Timestamps { last_access: now, last_modification: now });
}

#[cfg(unix)]
fn set_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}

/// A new file that only this user reads. One that a crash left is written anew.
fn private_file(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Maps a kept file whose MAC is right. Files are replaced and never changed, so what is mapped stays what was checked.
fn map_kept(path: &Path, key: &[u8; 32], name: &str, engine: &Engine) -> Option<Component> {
    let mut file = File::open(path).ok()?;
    let mut left = usize::try_from(file.metadata().ok()?.len()).ok()?.checked_sub(MAC_BYTES)?;
    let mut mac = CodeCache::mac(key, name);
    let mut chunk = vec![0; CHUNK_BYTES.min(left)];
    while left > 0 {
        let part = chunk.get_mut(..CHUNK_BYTES.min(left))?;
        file.read_exact(part).ok()?;
        mac.update(part);
        left -= part.len();
    }
    let mut tag = [0; MAC_BYTES];
    file.read_exact(&mut tag).ok()?;
    // Compared in constant time.
    if mac.finalize() != tag {
        return None;
    }
    note_use(&file);
    map_own_code(engine, &file).ok()
}

#[expect(unsafe_code, reason = "the code is this host's own: it comes from a file that carries its MAC")]
fn map_own_code(engine: &Engine, file: &File) -> wasmtime::Result<Component> {
    // By the handle and not by the name, under which another file might be by now.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    // SAFETY: `deserialize_file` trusts its input. The only caller has checked the MAC of this very file, under a key that uploads
    // never see; the file is private to this user, and this host never writes to a file that has its name.
    unsafe { Component::deserialize_file(engine, path) }
}

#[expect(unsafe_code, reason = "the code is this host's own: it comes from its compiler")]
fn load_own_code(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize` trusts its input. The only caller passes what this host's own compiler has just written.
    unsafe { Component::deserialize(engine, code) }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn what_was_used_longest_ago_gives_way() {
        let folder = tempfile::tempdir().unwrap();
        for (n, name) in ["old", "older", "new"].iter().enumerate() {
            let file = File::create(folder.path().join(name)).unwrap();
            (&file).write_all(&[0; 100]).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs([20, 10, 30][n])).unwrap();
        }
        // Reading it is enough.
        note_use(&File::open(folder.path().join("older")).unwrap());
        assert_eq!(make_room(folder.path(), 250).unwrap(), 200);
        let mut left: Vec<_> = files_in(folder.path()).unwrap().iter().map(|file| file.path.clone()).collect();
        left.sort();
        assert_eq!(left, [folder.path().join("new"), folder.path().join("older")]);
        assert_eq!(make_room(folder.path(), 250).unwrap(), 200);
    }
}
