//! Keeps the network's state in one append-only file that survives a killed process.
//!
//! Each line is one transaction: a JSON array of `[key, value]` pairs, `null` for a deletion. A line is handed
//! to the kernel in one `write` before anybody acts on it; it is not synced, because what a simulator must
//! survive is its own death, not the machine's. At start, and whenever the file has grown far beyond what is live in it,
//! the live records are written to a new file which then takes the old one's name.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

const FILE_NAME: &str = "state.log";
const LOCK_FILE_NAME: &str = "lock";
const NEW_FILE_NAME: &str = "state.log.new";
/// A file below this size is left alone.
const COMPACT_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// A file is compacted when it is this many times the size it had after the last time.
const COMPACT_GROWTH: u64 = 4;

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
    /// Another process, or another network of this one, has it open.
    #[error("the folder {dir} is in use by another simulated network")]
    InUse {
        /// The folder.
        dir: PathBuf,
    },
    /// A line before the last one is not a transaction.
    #[error("state file {path} is damaged at line {line}")]
    Damaged {
        /// The file in question.
        path: PathBuf,
        /// Its number, from 1.
        line: usize,
    },
}

/// The open file.
pub(crate) struct StateLog {
    /// Held as long as the log is open.
    _lock: File,
    file: File,
    dir: PathBuf,
    path: PathBuf,
    bytes: u64,
    /// From this size on the file is compacted.
    compact_at: u64,
}

impl StateLog {
    /// Opens the log in `dir`, compacts it and returns it with all live records.
    pub(crate) fn open(dir: &Path) -> Result<(Self, BTreeMap<String, Value>), StateLogError> {
        fs::create_dir_all(dir).map_err(at(dir))?;
        let lock_path = dir.join(LOCK_FILE_NAME);
        let lock = File::create(&lock_path).map_err(at(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StateLogError::InUse { dir: dir.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(at(&lock_path)(source)),
        }
        let path = dir.join(FILE_NAME);
        let (compacted, records) = compact(dir, &path)?;
        let Compacted { file, bytes, compact_at } = compacted;
        Ok((Self { _lock: lock, file, dir: dir.to_owned(), path, bytes, compact_at }, records))
    }

    /// Writes one transaction. An empty one writes nothing.
    pub(crate) fn append(&mut self, records: &[Record]) -> Result<(), StateLogError> {
        if records.is_empty() {
            return Ok(());
        }
        let line = encode(records.iter().map(|(key, value)| (key.as_str(), value.as_ref())));
        self.file.write_all(line.as_bytes()).map_err(at(&self.path))?;
        self.bytes += line.len() as u64;
        if self.bytes >= self.compact_at {
            let Compacted { file, bytes, compact_at } = compact(&self.dir, &self.path)?.0;
            (self.file, self.bytes, self.compact_at) = (file, bytes, compact_at);
        }
        Ok(())
    }
}

/// What has become of the file.
struct Compacted {
    file: File,
    bytes: u64,
    compact_at: u64,
}

/// Leaves only the live records in the file, and opens it.
fn compact(dir: &Path, path: &Path) -> Result<(Compacted, BTreeMap<String, Value>), StateLogError> {
    let fresh = dir.join(NEW_FILE_NAME);
    let records = match File::open(path) {
        Ok(file) => read(file, path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
        Err(source) => return Err(at(path)(source)),
    };
    let mut compact = BufWriter::new(File::create(&fresh).map_err(at(&fresh))?);
    let mut bytes = 0;
    for (key, value) in &records {
        let line = encode(std::iter::once((key.as_str(), Some(value))));
        compact.write_all(line.as_bytes()).map_err(at(&fresh))?;
        bytes += line.len() as u64;
    }
    compact.into_inner().map_err(|error| at(&fresh)(error.into_error()))?;
    fs::rename(&fresh, path).map_err(at(path))?;
    let file = OpenOptions::new().append(true).open(path).map_err(at(path))?;
    let compact_at = bytes.saturating_mul(COMPACT_GROWTH).max(COMPACT_BYTES_MIN);
    Ok((Compacted { file, bytes, compact_at }, records))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> StateLogError {
    let path = path.to_owned();
    move |source| StateLogError::Io { path, source }
}

/// One line. Whole `Value`s are written and parsed, since serde_json does that in code of its own: records are long, and in
/// a build that is not optimised whatever is instantiated here would take ten times as long.
fn encode<'a>(pairs: impl Iterator<Item = (&'a str, Option<&'a Value>)>) -> String {
    let mut line = String::from("[");
    for (key, value) in pairs {
        if line.len() > 1 {
            line.push(',');
        }
        // Writing to a string cannot fail.
        let _ = write!(line, "[{},{}]", Value::from(key), value.unwrap_or(&Value::Null));
    }
    line.push_str("]\n");
    line
}

/// The records of one line; `None` when it is damaged.
fn decode(line: &[u8]) -> Option<Vec<Record>> {
    let Value::Array(pairs) = std::str::from_utf8(line).ok()?.parse().ok()? else {
        return None;
    };
    pairs
        .into_iter()
        .map(|pair| match pair {
            Value::Array(pair) => match <[Value; 2]>::try_from(pair).ok()? {
                [Value::String(key), Value::Null] => Some((key, None)),
                [Value::String(key), value] => Some((key, Some(value))),
                _ => None,
            },
            _ => None,
        })
        .collect()
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
        let Some(pairs) = decode(&line) else {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{COMPACT_BYTES_MIN, FILE_NAME, StateLog, StateLogError};

    #[test]
    fn folder_that_is_in_use_is_left_alone() {
        let folder = std::env::temp_dir().join(format!("switchboard-state-lock-{}", std::process::id()));
        let (mut log, _) = StateLog::open(&folder).unwrap();
        log.append(&[("a".to_owned(), Some(json!(1)))]).unwrap();
        assert!(matches!(StateLog::open(&folder), Err(StateLogError::InUse { .. })));
        log.append(&[("b".to_owned(), Some(json!(2)))]).unwrap();
        drop(log);
        assert_eq!(StateLog::open(&folder).unwrap().1.len(), 2);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn file_that_outgrows_what_is_live_in_it_is_compacted_while_it_is_used() {
        let folder = std::env::temp_dir().join(format!("switchboard-state-log-{}", std::process::id()));
        let (mut log, _) = StateLog::open(&folder).unwrap();
        let size = || std::fs::metadata(folder.join(FILE_NAME)).unwrap().len();
        let large = json!("x".repeat(1024 * 1024));
        for n in 0..=COMPACT_BYTES_MIN / (1024 * 1024) {
            log.append(&[("a".to_owned(), Some(large.clone())), ("count".to_owned(), Some(json!(n)))]).unwrap();
        }
        assert!(size() < COMPACT_BYTES_MIN / 8, "{}", size());
        log.append(&[("b".to_owned(), Some(json!(1))), ("a".to_owned(), None)]).unwrap();
        drop(log);
        let (_, records) = StateLog::open(&folder).unwrap();
        let count = COMPACT_BYTES_MIN / (1024 * 1024);
        assert_eq!(
            records.into_iter().collect::<Vec<_>>(),
            [("b".to_owned(), json!(1)), ("count".to_owned(), json!(count))]
        );
        std::fs::remove_dir_all(folder).unwrap();
    }
}
