//! Keeps the network's state in one append-only file that survives a killed process.
//!
//! Each line is one transaction: a JSON array of `[key, value]` pairs, `null` for a deletion. A line is handed
//! to the kernel in one `write` before anybody acts on it; it is not synced, because what a simulator must
//! survive is its own death, not the machine's. At start the live records are written to a new file which then
//! takes the old one's name, so the file shrinks and a torn last line is gone.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

const FILE_NAME: &str = "state.log";
const NEW_FILE_NAME: &str = "state.log.new";

/// One change: the record's key and its new value, `None` when it is gone.
pub(crate) type Record = (String, Option<Value>);

/// Why the state file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StateLogError {
    /// The file system refused.
    #[error("cannot use state file {path}")]
    Io {
        /// The file in question.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A line before the last one is not a transaction.
    #[error("state file {path} is damaged at line {line}")]
    Damaged {
        /// The file in question.
        path: PathBuf,
        /// Its number, from 1.
        line: usize,
    },
    /// A record could not be written as JSON.
    #[error("cannot write a state record as json")]
    Encode(#[source] serde_json::Error),
}

/// The open file.
pub(crate) struct StateLog {
    file: File,
    path: PathBuf,
}

impl StateLog {
    /// Opens the log in `dir`, compacts it and returns it with all live records.
    pub(crate) fn open(dir: &Path) -> Result<(Self, BTreeMap<String, Value>), StateLogError> {
        let path = dir.join(FILE_NAME);
        let fresh = dir.join(NEW_FILE_NAME);
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| StateLogError::Io { path, source }
        };
        fs::create_dir_all(dir).map_err(at(dir))?;
        let records = match File::open(&path) {
            Ok(file) => read(file, &path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(StateLogError::Io { path, source }),
        };
        let mut compact = File::create(&fresh).map_err(at(&fresh))?;
        for (key, value) in &records {
            let line = encode(&[(key, Some(value))])?;
            compact.write_all(&line).map_err(at(&fresh))?;
        }
        drop(compact);
        fs::rename(&fresh, &path).map_err(at(&path))?;
        let file = OpenOptions::new().append(true).open(&path).map_err(at(&path))?;
        Ok((Self { file, path }, records))
    }

    /// Writes one transaction. An empty one writes nothing.
    pub(crate) fn append(&mut self, records: &[Record]) -> Result<(), StateLogError> {
        if records.is_empty() {
            return Ok(());
        }
        let pairs: Vec<_> = records.iter().map(|(key, value)| (key, value.as_ref())).collect();
        let line = encode(&pairs)?;
        self.file.write_all(&line).map_err(|source| StateLogError::Io { path: self.path.clone(), source })
    }
}

fn encode(pairs: &[(&String, Option<&Value>)]) -> Result<Vec<u8>, StateLogError> {
    let mut line = serde_json::to_vec(pairs).map_err(StateLogError::Encode)?;
    line.push(b'\n');
    Ok(line)
}

fn read(file: File, path: &Path) -> Result<BTreeMap<String, Value>, StateLogError> {
    let mut reader = BufReader::new(file);
    let mut records = BTreeMap::new();
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        let read =
            reader.read_until(b'\n', &mut line).map_err(|source| StateLogError::Io { path: path.to_owned(), source })?;
        // A line without its end was being written when the process died; nobody has acted on it.
        if read == 0 || line.last() != Some(&b'\n') {
            return Ok(records);
        }
        number += 1;
        let Ok(pairs) = serde_json::from_slice::<Vec<Record>>(&line) else {
            return Err(StateLogError::Damaged { path: path.to_owned(), line: number });
        };
        for (key, value) in pairs {
            match value {
                Some(value) => records.insert(key, value),
                None => records.remove(&key),
            };
        }
    }
}
