//! Uploaded plugins and the work they owe.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::records::id::TenantId;

/// Where a router plugin is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Path prefix without a slash at its end.
    pub prefix: String,
    /// It answers for paths and methods below the prefix that no plugin serves.
    #[serde(default)]
    pub owner: bool,
    /// The host name, lower case, that requests have to be for; any unless it is given.
    #[serde(default)]
    pub host: Option<String>,
}

/// A plugin as it is active now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plugin {
    /// Its name, unique within its tenant.
    pub name: String,
    /// Whose it is; the operator's serve every tenant.
    pub tenant: TenantId,
    /// Hexadecimal SHA-256 of the active component.
    pub sha256: String,
    /// Bytes of the active component.
    pub bytes: u64,
    /// The interfaces it exports.
    pub interfaces: Vec<String>,
    /// Where its router is reached.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    /// Its configuration, JSON.
    pub config: serde_json::Value,
    /// When this version became active.
    pub activated_at: Timestamp,
}

/// A responder run that is owed: durable until its effects are committed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Tries so far.
    pub tries: u32,
    /// Not before this time.
    pub due_at: Timestamp,
    /// Why the last try failed.
    pub last_error: Option<String>,
}
