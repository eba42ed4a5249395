//! Remembers every ciphertext that the network took from a client, before anybody could drop a duplicate.
//!
//! Tests count here what really went over the wire. The file, if there is one, is never shortened; memory keeps
//! the last entries only.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

const FILE_NAME: &str = "journal.jsonl";
/// Entries that stay readable through the control API.
const ENTRIES_MAX: usize = 10_000;
/// Ciphertexts in all these entries together; a message for a large group has a thousand.
const CIPHERTEXTS_MAX: usize = 200_000;

/// Why the journal file could not be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use journal file {path}")]
pub struct JournalError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// One ciphertext of a message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JournalCiphertext {
    pub(crate) to: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) sha256: String,
    pub(crate) bytes: usize,
}

/// One message stanza as it came from a client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JournalEntry {
    /// Its place in the journal, from 1; given by the journal.
    pub(crate) n: u64,
    pub(crate) at_ms: u64,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) id: String,
    pub(crate) enc: Vec<JournalCiphertext>,
}

/// The journal.
pub(crate) struct Journal {
    file: Option<(File, PathBuf)>,
    entries: VecDeque<JournalEntry>,
    ciphertexts: usize,
    next: u64,
}

impl Journal {
    /// Opens the journal in `dir`, or one in memory only.
    pub(crate) fn open(dir: Option<&Path>) -> Result<Self, JournalError> {
        let mut journal = Self { file: None, entries: VecDeque::new(), ciphertexts: 0, next: 1 };
        let Some(dir) = dir else { return Ok(journal) };
        let path = dir.join(FILE_NAME);
        let fail = |source| JournalError { path: path.clone(), source };
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(&path).map_err(fail)?;
        let ended = journal.load(&file).map_err(fail)?;
        // A torn last line gets its end, so that the next entry starts on a line of its own.
        if !ended {
            file.write_all(b"\n").map_err(fail)?;
        }
        journal.file = Some((file, path));
        Ok(journal)
    }

    /// Reads what is there; false if the last line has no end.
    fn load(&mut self, file: &File) -> io::Result<bool> {
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        let mut ended = true;
        while reader.read_until(b'\n', &mut line)? > 0 {
            ended = line.last() == Some(&b'\n');
            if let Ok(entry) = serde_json::from_slice::<JournalEntry>(&line) {
                self.next = entry.n.saturating_add(1);
                self.remember(entry);
            }
            line.clear();
        }
        Ok(ended)
    }

    /// Numbers the entry and writes it down.
    pub(crate) fn append(&mut self, mut entry: JournalEntry) -> Result<(), JournalError> {
        entry.n = self.next;
        if let Some((file, path)) = &mut self.file {
            let written = serde_json::to_vec(&entry).map_err(io::Error::from).and_then(|mut line| {
                line.push(b'\n');
                file.write_all(&line)
            });
            written.map_err(|source| JournalError { path: path.clone(), source })?;
        }
        self.next += 1;
        self.remember(entry);
        Ok(())
    }

    fn remember(&mut self, entry: JournalEntry) {
        self.ciphertexts += entry.enc.len();
        self.entries.push_back(entry);
        while self.entries.len() > ENTRIES_MAX || self.ciphertexts > CIPHERTEXTS_MAX {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.ciphertexts -= oldest.enc.len();
        }
    }

    /// Entries with a number above `after`, oldest first.
    pub(crate) fn after(&self, after: u64, limit: usize) -> Vec<JournalEntry> {
        self.entries.iter().filter(|entry| entry.n > after).take(limit).cloned().collect()
    }
}
