//! What the engine's errors mean to an operator: which file, what failed, and what can be done.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::StorageError;

/// Why storage was not opened. The file is left as it was. Shown to the operator as is.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the file.
    #[error("{file} is in use by another process; only one switchboard can work with a data directory")]
    InUse {
        /// The file.
        file: Arc<str>,
    },
    /// The file is something else, or was never finished.
    #[error("{file} is not a storage file of switchboard; move it away, or name another data directory")]
    NotStorage {
        /// The file.
        file: Arc<str>,
    },
    /// The file was made by software that this build does not follow.
    #[error("{file} has file format {version}, which this build does not read")]
    UnknownFormat {
        /// The file.
        file: Arc<str>,
        /// The version that it says it has.
        version: u8,
    },
    /// The file was changed by something else than storage, or the disk lost what it had said it kept.
    #[error("{file} is damaged ({why}); nothing was changed in it: bring back a copy of the data directory")]
    Damaged {
        /// The file.
        file: Arc<str>,
        /// What is wrong with it.
        why: Arc<str>,
    },
    /// The file cannot be had: permission, a missing folder, a full disk, an I/O error.
    #[error("{file} cannot be opened: {why}")]
    Disk {
        /// The file.
        file: Arc<str>,
        /// What the system says.
        why: Arc<str>,
    },
    /// The file is open, and what is in it is refused.
    #[error(transparent)]
    Refused(#[from] StorageError),
}

/// What a failed call of the system means.
fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull => "the disk is full".to_owned(),
        io::ErrorKind::QuotaExceeded => "the disk quota of this user is used up".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        io::ErrorKind::PermissionDenied => "this user has no permission to read and write it".to_owned(),
        io::ErrorKind::NotFound => "it, or its folder, does not exist".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => format!("the disk reports: {error}"),
    }
}

/// What a failed read, write or sync is to those who asked for it. `doing` completes "storage cannot …".
pub(super) fn failed(doing: &'static str, error: redb::Error) -> StorageError {
    match error {
        redb::Error::Io(error) => StorageError::Disk { doing, why: in_words(&error).into() },
        redb::Error::PreviousIo => StorageError::Disk { doing, why: "an earlier call of the disk failed".into() },
        redb::Error::DatabaseClosed => StorageError::Closed,
        redb::Error::Corrupted(why) => StorageError::Engine(format!("its file is damaged: {why}").into()),
        error => StorageError::Engine(error.to_string().into()),
    }
}

/// Why `file` was not opened.
pub(super) fn not_opened(file: &Path, error: redb::Error) -> OpenError {
    let file: Arc<str> = file.display().to_string().into();
    match error {
        redb::Error::DatabaseAlreadyOpen => OpenError::InUse { file },
        redb::Error::UpgradeRequired(version) => OpenError::UnknownFormat { file, version },
        redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => OpenError::NotStorage { file },
        redb::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            OpenError::Damaged { file, why: "it ends early".into() }
        }
        redb::Error::Io(error) => OpenError::Disk { file, why: in_words(&error).into() },
        redb::Error::PreviousIo => OpenError::Disk { file, why: "an earlier call of the disk failed".into() },
        error => OpenError::Damaged { file, why: error.to_string().into() },
    }
}
