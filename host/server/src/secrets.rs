//! The master key and the operator's key: where they come from, and where they are kept.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use switchboard_core::entropy::Entropy;
use switchboard_core::storage::MasterKey;

/// The environment variable with the master key: 64 hexadecimal digits.
pub const MASTER_KEY_VARIABLE: &str = "SWITCHBOARD_MASTER_KEY";
/// The environment variable with the operator's key.
pub const ADMIN_KEY_VARIABLE: &str = "SWITCHBOARD_ADMIN_KEY";
/// Fewest characters of an operator's key.
pub const ADMIN_KEY_CHARS_MIN: usize = 16;

/// Why a secret is not there.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The master key is not one.
    #[error("{place} does not hold a master key: 64 hexadecimal digits are needed")]
    NotAMasterKey {
        /// The variable or file.
        place: String,
    },
    /// The operator's key is too easy to guess.
    #[error("{ADMIN_KEY_VARIABLE} has {chars} characters; at least {ADMIN_KEY_CHARS_MIN} are needed")]
    WeakAdminKey {
        /// How many it has.
        chars: usize,
    },
    /// Others can read the file.
    #[error("{} can be read by others; run: chmod 600 {}", path.display(), path.display())]
    NotPrivate {
        /// The file.
        path: PathBuf,
    },
    /// There is data, but no master key to open it with.
    #[error("{} is missing, and {} holds data that only it opens; put it back or set {MASTER_KEY_VARIABLE}", key.display(), data.display())]
    Lost {
        /// Where the key was.
        key: PathBuf,
        /// The data.
        data: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: std::io::Error,
    },
}

/// A secret, and whether it was made just now.
pub struct Found<T> {
    /// The secret.
    pub secret: T,
    /// The file that it was just written to.
    pub made: Option<PathBuf>,
}

/// The file beside the data directory that keeps the master key: `<data-dir>.master-key`.
pub fn master_key_file(data_dir: &Path) -> PathBuf {
    let mut name = data_dir.file_name().unwrap_or_default().to_owned();
    name.push(".master-key");
    data_dir.with_file_name(name)
}

/// The master key: from the environment, else from its file, else a new one if there is no data yet.
///
/// # Errors
/// [`SecretError`].
pub fn master_key(
    from_environment: Option<&str>,
    data_dir: &Path,
    data_file: &Path,
    entropy: &dyn Entropy,
) -> Result<Found<MasterKey>, SecretError> {
    if let Some(text) = from_environment {
        let place = MASTER_KEY_VARIABLE.to_owned();
        return MasterKey::parse(text)
            .map(|secret| Found { secret, made: None })
            .ok_or(SecretError::NotAMasterKey { place });
    }
    let file = master_key_file(data_dir);
    if let Some(text) = read_private(&file)? {
        let place = file.display().to_string();
        return MasterKey::parse(&text)
            .map(|secret| Found { secret, made: None })
            .ok_or(SecretError::NotAMasterKey { place });
    }
    if data_file.exists() {
        return Err(SecretError::Lost { key: file, data: data_file.to_owned() });
    }
    let secret = MasterKey::draw(entropy);
    write_private(&file, &secret.to_hex())?;
    Ok(Found { secret, made: Some(file) })
}

/// The master key that is to follow: written beside the current one before anything is sealed with it, and found again by a
/// rotation that was interrupted.
///
/// # Errors
/// [`SecretError`].
pub fn next_master_key(data_dir: &Path, entropy: &dyn Entropy) -> Result<MasterKey, SecretError> {
    let file = master_key_file(data_dir).with_extension("next-master-key");
    if let Some(text) = read_private(&file)? {
        let place = file.display().to_string();
        return MasterKey::parse(&text).ok_or(SecretError::NotAMasterKey { place });
    }
    let next = MasterKey::draw(entropy);
    write_private(&file, &next.to_hex())?;
    Ok(next)
}

/// Puts the next master key where the current one was, once everything is sealed with it.
///
/// # Errors
/// [`SecretError::Io`].
pub fn replace_master_key(data_dir: &Path, key: &MasterKey) -> Result<PathBuf, SecretError> {
    let file = master_key_file(data_dir);
    write_private(&file, &key.to_hex())?;
    let next = file.with_extension("next-master-key");
    fs::remove_file(&next).map_err(|source| SecretError::Io { path: next, source })?;
    Ok(file)
}

/// The operator's key: from the environment, else from its file, else a new one.
///
/// # Errors
/// [`SecretError`].
pub fn admin_key(
    from_environment: Option<&str>,
    data_dir: &Path,
    entropy: &dyn Entropy,
) -> Result<Found<AdminKey>, SecretError> {
    if let Some(text) = from_environment {
        let chars = text.chars().count();
        if chars < ADMIN_KEY_CHARS_MIN {
            return Err(SecretError::WeakAdminKey { chars });
        }
        return Ok(Found { secret: AdminKey::new(text), made: None });
    }
    let file = data_dir.join("admin-key");
    if let Some(text) = read_private(&file)? {
        return Ok(Found { secret: AdminKey::new(text.trim()), made: None });
    }
    let mut random = [0; 32];
    entropy.fill(&mut random);
    let text = format!("adm_{}", URL_SAFE_NO_PAD.encode(random));
    write_private(&file, &text)?;
    Ok(Found { secret: AdminKey::new(&text), made: Some(file) })
}

/// The operator's key. Compares in constant time and shows itself only when asked by name.
#[derive(Clone)]
pub struct AdminKey {
    text: String,
    sha256: [u8; 32],
}

impl AdminKey {
    /// The key `text`.
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), sha256: Sha256::digest(text.as_bytes()).into() }
    }

    /// Whether `candidate` is the key.
    pub fn is(&self, candidate: &str) -> bool {
        let candidate: [u8; 32] = Sha256::digest(candidate.as_bytes()).into();
        self.sha256.ct_eq(&candidate).into()
    }

    /// The key itself, for whoever has to present it.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

fn read_private(path: &Path) -> Result<Option<String>, SecretError> {
    let io = |source| SecretError::Io { path: path.to_owned(), source };
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
        Ok(metadata) => check_private(path, &metadata)?,
    }
    fs::read_to_string(path).map(Some).map_err(io)
}

#[cfg(unix)]
fn check_private(path: &Path, metadata: &fs::Metadata) -> Result<(), SecretError> {
    use std::os::unix::fs::PermissionsExt;
    if metadata.permissions().mode() & 0o077 == 0 { Ok(()) } else { Err(SecretError::NotPrivate { path: path.to_owned() }) }
}

/// Written beside its place, synced, then renamed: there is never half a key.
#[cfg(unix)]
fn write_private(path: &Path, text: &str) -> Result<(), SecretError> {
    use std::os::unix::fs::OpenOptionsExt;
    let io = |source| SecretError::Io { path: path.to_owned(), source };
    let part = path.with_extension("part");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part).map_err(io)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
    fs::rename(&part, path).map_err(io)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use switchboard_core::entropy::SeededEntropy;

    #[test]
    fn a_first_start_makes_a_private_master_key_outside_the_data() {
        let folder = tempfile::tempdir().unwrap();
        let (data_dir, entropy) = (folder.path().join("data"), SeededEntropy::new(1));
        let first = master_key(None, &data_dir, &data_dir.join("db"), &entropy).unwrap();
        let file = first.made.unwrap();
        assert!(!file.starts_with(&data_dir));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let second = master_key(None, &data_dir, &data_dir.join("db"), &entropy).unwrap();
        assert!(second.made.is_none() && second.secret == first.secret);
    }

    #[test]
    fn a_lost_master_key_is_never_replaced_silently() {
        let folder = tempfile::tempdir().unwrap();
        let data_file = folder.path().join("db");
        fs::write(&data_file, "x").unwrap();
        let lost = master_key(None, &folder.path().join("data"), &data_file, &SeededEntropy::new(1));
        assert!(matches!(lost, Err(SecretError::Lost { .. })));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("admin-key");
        fs::write(&file, "adm_x").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(admin_key(None, folder.path(), &SeededEntropy::new(1)), Err(SecretError::NotPrivate { .. })));
    }

    #[test]
    fn a_weak_operator_key_and_a_bad_master_key_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let entropy = SeededEntropy::new(1);
        assert!(matches!(admin_key(Some("admin"), folder.path(), &entropy), Err(SecretError::WeakAdminKey { chars: 5 })));
        let bad = master_key(Some("1234"), folder.path(), &folder.path().join("db"), &entropy);
        assert!(matches!(bad, Err(SecretError::NotAMasterKey { .. })));
    }

    #[test]
    fn the_operator_key_is_itself_and_nothing_else() {
        let key = AdminKey::new("adm_0123456789abcdef");
        assert!(key.is("adm_0123456789abcdef") && !key.is("adm_0123456789abcdeg") && !key.is(""));
    }
}
