//! Where the embedded engine gets its database from: a file that is made whole or not at all.
//!
//! A new file is made under another name and gets its own once everything in it and its place in the folder are durable, so
//! that a crash of the first start leaves nothing that a later start would have to refuse.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Builder, Database, ReadableDatabase, TableDefinition, WriteTransaction};

use super::failure::{OpenError, not_opened};

/// The one table.
pub(super) const ENTRIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entries");
/// redb's cache, bytes: enough for the hot pages of a thousand sessions.
const CACHE_BYTES: usize = 64 * 1024 * 1024;
/// What the name of a file ends in while it is made.
const UNFINISHED: &str = ".unfinished";

/// Opens the database, first and again after each failure of the disk.
pub(crate) trait Source: Send + Sync {
    /// Opens what is there. `first`: makes it if there is nothing.
    ///
    /// # Errors
    /// [`OpenError`].
    fn open(&self, first: bool) -> Result<Database, OpenError>;
}

/// A file on disk.
pub(crate) struct FileSource(pub(crate) PathBuf);

impl Source for FileSource {
    fn open(&self, first: bool) -> Result<Database, OpenError> {
        let path = &self.0;
        guarded(path, || {
            if first && !path.exists() {
                return make(path);
            }
            // A file that went away while the host ran is not followed by an empty one.
            let database = with_table(Builder::new().set_cache_size(CACHE_BYTES).open(path)?)?;
            // The second name of a start that ended before it could take it away.
            let _ = fs::remove_file(unfinished(path));
            Ok(database)
        })
    }
}

/// What redb panics with becomes an error: a damaged file is no reason to end the process.
pub(super) fn guarded(path: &Path, open: impl FnOnce() -> Result<Database, redb::Error>) -> Result<Database, OpenError> {
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(opened) => opened.map_err(|error| not_opened(path, error)),
        Err(_) => Err(not_opened(path, redb::Error::Corrupted("the engine broke down over it".to_owned()))),
    }
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    PathBuf::from(name)
}

/// Makes a database at `path`.
fn make(path: &Path) -> Result<Database, redb::Error> {
    let unfinished = unfinished(path);
    if unfinished.exists() {
        // Nothing in it was ever acknowledged; but somebody else may be making it at this moment.
        if let Err(redb::DatabaseError::DatabaseAlreadyOpen) = Builder::new().open(&unfinished) {
            return Err(redb::Error::DatabaseAlreadyOpen);
        }
        fs::remove_file(&unfinished)?;
    }
    let database = with_table(Builder::new().set_cache_size(CACHE_BYTES).create(&unfinished)?)?;
    give_name(&unfinished, path)?;
    sync_folder_of(path)?;
    Ok(database)
}

/// Moves a file to a name that nothing has yet.
fn give_name(from: &Path, to: &Path) -> Result<(), redb::Error> {
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(redb::Error::DatabaseAlreadyOpen),
        // Not every file system has links.
        Err(_) => fs::rename(from, to)?,
    }
    Ok(())
}

/// A name is durable only once its folder is.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// The database with its table in it.
pub(super) fn with_table(database: Database) -> Result<Database, redb::Error> {
    match database.begin_read()?.open_table(ENTRIES) {
        Ok(_) => return Ok(database),
        Err(redb::TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let transaction = begin(&database)?;
    transaction.open_table(ENTRIES)?;
    transaction.commit()?;
    Ok(database)
}

/// A transaction as this host wants them.
pub(super) fn begin(database: &Database) -> Result<WriteTransaction, redb::Error> {
    let mut transaction = database.begin_write()?;
    // Values are chosen by strangers: a one-phase commit trusts a checksum that they could steer. And a sync that failed may
    // have lost what it was to keep, while reads still show it: in two phases that is never what a commit builds on.
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
    Ok(transaction)
}
