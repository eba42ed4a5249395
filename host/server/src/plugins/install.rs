//! What is to be installed, and why it was not.

use switchboard_core::records::id::{KeyId, TenantId};
use switchboard_core::records::plugin::{Mount, Plugin, PluginVersion};
use switchboard_core::rules::grants::GrantFault;
use switchboard_core::rules::said_back::said_back;
use switchboard_core::storage::StorageError;
use switchboard_runtime::{CompileError, ConfigFault, InspectError};

use super::GrantWish;
use crate::http::RouteError;

/// Most characters of a plugin's name.
const NAME_CHARS_MAX: usize = 64;
/// Most bytes of a configuration.
const CONFIG_BYTES_MAX: usize = 256 * 1024;
/// Most characters of what an owner says about a version.
const NOTE_CHARS_MAX: usize = 500;

/// What is to be installed.
pub struct Install {
    /// Whose it will be; [`TenantId::OPERATOR`] for a plugin that serves every tenant.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// The component.
    pub component: Vec<u8>,
    /// Where its router is reached; a tenant's within the tenant's own place. `None` keeps what it has.
    pub mounts: Option<Vec<Mount>>,
    /// Its configuration. `None` keeps what it has.
    pub config: Option<serde_json::Value>,
    /// What it is given. `None` keeps what it has.
    pub grants: Option<GrantWish>,
    /// Whether calls go to it from now on; else it is only kept.
    pub activate: bool,
    /// What its owner says about this version, at most 500 characters.
    pub note: String,
    /// The key that uploads it; none for the operator's.
    pub by: Option<KeyId>,
}

/// What an upload came to.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The plugin as it is now.
    pub record: Plugin,
    /// The version that was uploaded.
    pub version: PluginVersion,
    /// Whether the plugin did not have it before.
    pub new: bool,
}

/// What becomes of faults that a plugin finds with its configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Faults {
    /// They keep it out.
    Refused,
    /// They are nobody's concern yet: the version is not to be active.
    Passed,
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
    /// The grants cannot be given.
    #[error("grants: {0}")]
    Grants(GrantFault),
    /// A version asks for more than the plugin was given.
    #[error(
        "version {version} is kept and not active, since it asks for what the plugin was not given: {}; give it the grants, or \
         activate it with \"grants\": \"asked\"", .missing.join("; ")
    )]
    GrantsNeeded {
        /// Its number.
        version: u64,
        /// What it asks for beyond, one line each.
        missing: Vec<String>,
    },
    /// Its routes do not fit beside those of the others.
    #[error(transparent)]
    Routes(#[from] RouteError),
    /// A route of a tenant's plugin takes too much from somebody without a key.
    #[error("the route {route} takes bodies of {bytes} bytes and asks for no credential; such a route may take {max}")]
    OpenBody {
        /// Method and path.
        route: String,
        /// What it would take.
        bytes: u32,
        /// What it may take.
        max: u32,
    },
    /// There is no such plugin.
    #[error("there is no plugin of this name")]
    NoSuchPlugin,
    /// The plugin has no such version.
    #[error("the plugin has no such version")]
    NoSuchVersion,
    /// Several versions begin with what was given.
    #[error("several versions begin with {0}: give more of the hash")]
    AmbiguousVersion(String),
    /// The active version cannot be removed.
    #[error("the version is active: activate another one first, or delete the plugin")]
    VersionActive,
    /// No version was activated yet.
    #[error("no version is active: activate one")]
    NothingActive,
    /// No version is left that was active before and was not gone back from.
    #[error("there is nothing to go back to: what was gone back from is left out; activate a version by its number")]
    NothingBefore,
    /// The component that is recorded is not stored.
    #[error("the component of this version is not stored")]
    NoComponent,
    /// The components of the owner have too many bytes.
    #[error("plugin_store_mib is used up: {used} of {max} MiB")]
    Full {
        /// What they have, MiB.
        used: u64,
        /// The limit, MiB.
        max: u64,
    },
    /// Too many changes of the owner's plugins wait.
    #[error("plugin_changes_waiting is used up: {waiting} of {max}")]
    Busy {
        /// How many.
        waiting: usize,
        /// The limit.
        max: usize,
    },
    /// Too many components wait to be compiled, of all owners together.
    #[error("{max} components wait to be compiled already; come back later")]
    CompileBusy {
        /// How many may wait.
        max: usize,
    },
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
            CompileError::Busy { max } => Self::CompileBusy { max },
            CompileError::Io(error) => Self::Host(error.to_string()),
        }
    }
}

pub(super) fn check(install: &Install) -> Result<(), InstallError> {
    let invalid = |field, why: String| Err(InstallError::Invalid { field, why });
    let name = &install.name;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(plain) {
        return invalid("name", format!("{:?} must be 1 to {NAME_CHARS_MAX} of a-z, 0-9 and -", said_back(name)));
    }
    if let Some(config) = &install.config {
        check_config(config)?;
    }
    install.grants.as_ref().map_or(Ok(()), GrantWish::check)?;
    let chars = install.note.chars().count();
    if chars > NOTE_CHARS_MAX {
        return invalid("note", format!("has {chars} characters; the limit is {NOTE_CHARS_MAX}"));
    }
    Ok(())
}

/// Whether a configuration is an object within the limit.
pub(super) fn check_config(config: &serde_json::Value) -> Result<(), InstallError> {
    let invalid = |why: String| Err(InstallError::Invalid { field: "config", why });
    if !config.is_object() {
        return invalid(format!("is {}; an object is expected", json_kind(config)));
    }
    let bytes = config.to_string().len();
    if bytes > CONFIG_BYTES_MAX {
        return invalid(format!("is {bytes} bytes; the limit is {CONFIG_BYTES_MAX}"));
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
