//! Uploaded plugins and the work they owe.

mod class;
mod grants;
mod kv;
mod logged_call;
mod secret;
mod version;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::records::id::TenantId;

pub use class::SizeClass;
pub use grants::{Grants, MessageField, SendGrant, SessionGrant};
pub use kv::{
    KV_KEY_BYTES_MAX, KV_PAGE_BYTES_MAX, KV_PAGE_ENTRIES_MAX, KV_RUN_BYTES_MAX, KV_RUN_KEYS_MAX, KV_TTL_S_MAX,
    KV_VALUE_BYTES_MAX, KvEntry, KvExpected, KvPage, KvStretch, KvUsage, KvValue, KvWrite,
};
pub use logged_call::{
    CALL_JSON_BYTES_MAX, CALLS_KEPT, CallEnd, FAILED_CALLS_KEPT, LineLevel, LoggedCall, LoggedLine, within_bounds,
};
pub use secret::{PLUGIN_SECRET_BYTES_MAX, PLUGIN_SECRETS_MAX, PluginSecret};
pub use version::{Declared, PluginVersion};

/// Most versions of one plugin that are kept.
pub const VERSIONS_MAX: usize = 100;
/// How many versions are remembered to have been active before.
pub const BEFORE_MAX: usize = 16;

/// Where a router plugin is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Path prefix without a slash at its end; of a tenant's plugin within the tenant's own place.
    pub prefix: String,
    /// It answers for paths and methods below the prefix that no plugin serves.
    #[serde(default)]
    pub owner: bool,
    /// The host name, lower case, that requests have to be for; any unless it is given.
    #[serde(default)]
    pub host: Option<String>,
}

impl Mount {
    /// Where it is, relative to the host: with a host name of its own, the same protocol and another host.
    pub fn url(&self) -> String {
        match &self.host {
            Some(host) => format!("//{host}{}", self.prefix),
            None => self.prefix.clone(),
        }
    }
}

/// The prefix below which the routers of tenants are, each tenant's under its own number.
pub const OWN_PREFIX: &str = "/t/";

/// Where the routers of a tenant are, without a slash at its end.
pub fn own_place(tenant: TenantId) -> String {
    format!("{OWN_PREFIX}{tenant}")
}

/// A plugin: a name under which versions are uploaded, and what holds for whichever of them is active.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plugin {
    /// Its name, unique within its tenant.
    pub name: String,
    /// Whose it is; the operator's serve every tenant.
    pub tenant: TenantId,
    /// Hexadecimal SHA-256 of the active component; empty when none is active.
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
    /// What it was given.
    #[serde(default)]
    pub grants: Grants,
    /// What the active component asks for.
    #[serde(default)]
    pub asked: Grants,
    /// When this version became active.
    pub activated_at: Timestamp,
    /// When it was first uploaded; the beginning of time for one that an older host stored.
    #[serde(default)]
    pub created_at: Timestamp,
    /// Number of the active version; 0 when none is active, and for one that an older host stored.
    #[serde(default)]
    pub version: u64,
    /// Number of the newest version.
    #[serde(default)]
    pub latest: u64,
    /// Hashes of versions that were active before, the last one first, at most [`BEFORE_MAX`].
    #[serde(default)]
    pub before: Vec<String>,
    /// Its owner stopped it: nothing calls it, and its versions stay.
    #[serde(default)]
    pub stopped: bool,
    /// Raised by every change.
    #[serde(default)]
    pub revision: u64,
}

impl Plugin {
    /// A plugin without any version.
    pub fn new(tenant: TenantId, name: &str, created_at: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            tenant,
            sha256: String::new(),
            bytes: 0,
            interfaces: Vec::new(),
            mounts: Vec::new(),
            config: serde_json::json!({}),
            grants: Grants::default(),
            asked: Grants::default(),
            activated_at: created_at,
            created_at,
            version: 0,
            latest: 0,
            before: Vec::new(),
            stopped: false,
            revision: 0,
        }
    }

    /// Whether it is the same plugin and answers the same events as `other`: whatever decides that is as it was.
    pub fn answers_as(&self, other: &Self) -> bool {
        let decides = |plugin: &Self| (plugin.created_at, plugin.stopped);
        decides(self) == decides(other)
            && self.sha256 == other.sha256
            && self.config == other.config
            && self.grants == other.grants
    }

    /// What a plugin is called by in logs, cursors and work: `operator/<name>` or `<tenant>/<name>`.
    pub fn full_name_of(tenant: TenantId, name: &str) -> String {
        if tenant == TenantId::OPERATOR { format!("operator/{name}") } else { format!("{tenant}/{name}") }
    }

    /// Whose a plugin is and its name, from what [`Self::full_name_of`] made of them.
    pub fn owner_and_name(full_name: &str) -> Option<(TenantId, &str)> {
        let (owner, name) = full_name.split_once('/')?;
        let owner = if owner == "operator" { TenantId::OPERATOR } else { TenantId(owner.parse().ok()?) };
        Some((owner, name))
    }

    /// Where its router is reached, from the root of the host. A tenant's is reached below [`own_place`] of the tenant alone: at
    /// the prefixes that the tenant gave it, or under its name.
    pub fn places(&self) -> Vec<Mount> {
        if self.tenant == TenantId::OPERATOR {
            return self.mounts.clone();
        }
        let below = |prefix: &str| Mount {
            prefix: format!("{}{prefix}", own_place(self.tenant)),
            // Nobody else is there to answer for what is not served.
            owner: true,
            host: None,
        };
        if self.mounts.is_empty() {
            return vec![below(&format!("/{}", self.name))];
        }
        self.mounts.iter().map(|mount| below(&mount.prefix)).collect()
    }

    /// Makes `version` the active one, and remembers the one before it.
    pub fn activate(&mut self, version: &PluginVersion, now: Timestamp) {
        if self.sha256 == version.sha256 {
            self.version = version.n;
            return;
        }
        let before = std::mem::replace(&mut self.sha256, version.sha256.clone());
        self.before.retain(|sha256| *sha256 != version.sha256 && *sha256 != before);
        // What an older host stored may have no version to go back to.
        if !before.is_empty() && self.version > 0 {
            self.before.insert(0, before);
        }
        self.before.truncate(BEFORE_MAX);
        self.serve(version, now);
    }

    /// Makes `version` the active one again. The one that was active is not remembered, so that going back again goes further
    /// back.
    pub fn go_back(&mut self, version: &PluginVersion, now: Timestamp) {
        self.before.retain(|sha256| *sha256 != version.sha256);
        self.sha256.clone_from(&version.sha256);
        self.serve(version, now);
    }

    fn serve(&mut self, version: &PluginVersion, now: Timestamp) {
        (self.version, self.bytes, self.activated_at) = (version.n, version.bytes, now);
        self.interfaces.clone_from(&version.declared.interfaces);
        self.asked.clone_from(&version.asked);
    }
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
