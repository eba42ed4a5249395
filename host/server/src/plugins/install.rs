//! What is to be installed, and why it was not.

use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::Mount;
use switchboard_core::storage::StorageError;
use switchboard_runtime::{CompileError, ConfigFault, InspectError};

use crate::http::RouteError;

/// Most characters of a plugin's name.
const NAME_CHARS_MAX: usize = 64;
/// Most bytes of a configuration.
pub const CONFIG_BYTES_MAX: usize = 256 * 1024;
/// What is to be installed.
pub struct Install {
    /// Whose it will be; [`TenantId::OPERATOR`] for a plugin that serves every tenant.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// The component.
    pub component: Vec<u8>,
    /// Where its router is reached; the operator's plugins only. `None` keeps what it has.
    pub mounts: Option<Vec<Mount>>,
    /// Its configuration. `None` keeps what it has.
    pub config: Option<serde_json::Value>,
}

/// What becomes of faults that a plugin finds with its configuration.
#[derive(Clone, Copy)]
pub(super) enum Faults {
    /// They keep it out.
    Refused,
    /// They are logged: what was stored, perhaps before anybody checked it, goes on at a start.
    Noted,
}

/// Why a plugin was not installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The component was refused.
    #[error(transparent)]
    Refused(#[from] InspectError),
    /// A field cannot be taken.
    #[error("{field}: {why}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The plugin finds faults with its configuration, the one that was given or the one that it has.
    #[error("the configuration has {} faults, the first: {}", .0.len(), .0.first().map(ToString::to_string).unwrap_or_default())]
    Config(Vec<ConfigFault>),
    /// Its routes do not fit beside those of the others.
    #[error(transparent)]
    Routes(#[from] RouteError),
    /// There is no such plugin.
    #[error("there is no plugin of this name")]
    NoSuchPlugin,
    /// The host failed to compile.
    #[error("the host cannot compile now: {0}")]
    Host(String),
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<CompileError> for InstallError {
    fn from(error: CompileError) -> Self {
        match error {
            CompileError::Refused(refused) => Self::Refused(refused),
            CompileError::Misconfigured(faults) => Self::Config(faults),
            CompileError::Io(error) => Self::Host(error.to_string()),
        }
    }
}

pub(super) fn check(install: &Install) -> Result<(), InstallError> {
    let invalid = |field, why: String| Err(InstallError::Invalid { field, why });
    let name = &install.name;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(plain) {
        let shortened: String = name.chars().take(80).collect();
        return invalid("name", format!("{shortened:?} must be 1 to {NAME_CHARS_MAX} of a-z, 0-9 and -"));
    }
    if let Some(other) = install.config.as_ref().filter(|config| !config.is_object()) {
        return invalid("config", format!("is {}; an object is expected", json_kind(other)));
    }
    let bytes = install.config.as_ref().map_or(0, |config| config.to_string().len());
    if bytes > CONFIG_BYTES_MAX {
        return invalid("config", format!("is {bytes} bytes; the limit is {CONFIG_BYTES_MAX}"));
    }
    if install.tenant != TenantId::OPERATOR && install.mounts.as_ref().is_some_and(|mounts| !mounts.is_empty()) {
        return invalid("mounts", "only the operator can mount a router".to_owned());
    }
    Ok(())
}

/// What a JSON value is, in words.
fn json_kind(value: &serde_json::Value) -> &'static str {
    use serde_json::Value;
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
