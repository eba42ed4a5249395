//! Secrets of a plugin, as far as they are shown.

use serde::Serialize;

use crate::clock::Timestamp;

/// Most secrets of one plugin.
pub const PLUGIN_SECRETS_MAX: u64 = 64;
/// Most bytes of one secret.
pub const PLUGIN_SECRET_BYTES_MAX: usize = 10_240;

/// A secret without its value, which nobody but the plugin is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PluginSecret {
    /// Its name.
    pub name: String,
    /// When one of this name was first written.
    pub created_at: Timestamp,
    /// When this value was written.
    pub updated_at: Timestamp,
}
