//! Which files pass, how much of them is kept, and in which order they go.
//!
//! Pure rules over names and sizes; `blobs` does what they lead to.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use crate::network::STICKER_PATH_PREFIX;

/// Bytes of all files that pass.
const BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Files that pass.
const FILES_MAX: usize = 100_000;
/// Where the files lie that nobody would upload again: the app state, the pictures of accounts, groups and channels, and the
/// stickers that the network offers.
const LASTING: [&str; 4] = ["/v/md-app-state/", "/v/t61.24694-24/", "/v/newsletter-picture/", STICKER_PATH_PREFIX];

/// Whether the file under a path goes when room is needed.
pub(super) fn passes(path: &str) -> bool {
    !LASTING.iter().any(|lasting| path.starts_with(lasting))
}

/// How much is kept.
#[derive(Clone, Copy)]
pub(super) struct PassingLimits {
    pub(super) bytes_max: u64,
    pub(super) files_max: usize,
}

impl Default for PassingLimits {
    fn default() -> Self {
        Self { bytes_max: BYTES_MAX, files_max: FILES_MAX }
    }
}

/// The files that pass, in the order in which they came.
pub(super) struct Passing {
    limits: PassingLimits,
    /// Name and size, by turn.
    files: BTreeMap<u64, (String, u64)>,
    turns: HashMap<String, u64>,
    bytes: u64,
    next: u64,
}

impl Passing {
    pub(super) fn new(limits: PassingLimits) -> Self {
        Self { limits, files: BTreeMap::new(), turns: HashMap::new(), bytes: 0, next: 0 }
    }

    /// What an earlier process has left in a folder, the oldest first. What is too much goes when the next file comes.
    pub(super) fn read(folder: &Path, limits: PassingLimits) -> io::Result<Self> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let about = entry.metadata()?;
            // What broke off while it was written has an extension.
            let name = entry.file_name().into_string().ok().filter(|name| !name.contains('.'));
            if let Some(name) = name {
                found.push((about.modified().unwrap_or(SystemTime::UNIX_EPOCH), name, about.len()));
            }
        }
        found.sort();
        let mut passing = Self::new(limits);
        for (_, name, bytes) in found {
            passing.insert(name, bytes);
        }
        Ok(passing)
    }

    /// Adds the newest file; the names of those that have to go for it. The newest itself never goes.
    pub(super) fn add(&mut self, name: String, bytes: u64) -> Vec<String> {
        self.insert(name, bytes);
        let mut gone = Vec::new();
        while self.files.len() > 1 && (self.bytes > self.limits.bytes_max || self.files.len() > self.limits.files_max) {
            let Some((_, (name, bytes))) = self.files.pop_first() else { break };
            self.bytes = self.bytes.saturating_sub(bytes);
            self.turns.remove(&name);
            gone.push(name);
        }
        gone
    }

    fn insert(&mut self, name: String, bytes: u64) {
        let before = self.turns.insert(name.clone(), self.next).and_then(|turn| self.files.remove(&turn));
        self.bytes = self.bytes.saturating_sub(before.map_or(0, |(_, bytes)| bytes)).saturating_add(bytes);
        self.files.insert(self.next, (name, bytes));
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{Passing, PassingLimits, passes};

    #[test]
    fn number_of_files_is_limited_as_their_bytes_are() {
        let mut passing = Passing::new(PassingLimits { bytes_max: 100, files_max: 2 });
        assert!(passing.add("a".to_owned(), 1).is_empty() && passing.add("b".to_owned(), 1).is_empty());
        assert_eq!(passing.add("c".to_owned(), 1), ["a"]);
        assert_eq!(passing.add("huge".to_owned(), 1_000), ["b", "c"]);
        assert_eq!(passing.bytes, 1_000);
    }

    #[test]
    fn pictures_and_the_app_state_stay() {
        assert!(passes("/v/image/a.enc") && passes("/v/md-msg-hist/a.enc"));
        assert!(!passes("/v/md-app-state/a.enc") && !passes("/v/t61.24694-24/a_n.jpg"));
    }
}
