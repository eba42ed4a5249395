//! Templates: what a tenant stores under a name and a language, to send it with other parameters each time.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::id::{TemplateId, TenantId};
use crate::clock::Timestamp;

/// A template. What its definition may hold is the affair of the plugin that renders it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Template {
    /// Its id, unique within the tenant.
    pub id: TemplateId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What it is called by. Name and language are unique together.
    pub name: String,
    /// Its language, such as `en` or `en_US`.
    pub language: String,
    /// Header, body, footer, buttons: a JSON object.
    pub definition: Value,
    /// The parameters that it needs, as the plugin said when it was stored.
    pub parameters: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What a tenant sets for all of its templates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateSettings {
    /// The language of whoever asks for none, or for one that a template does not have.
    #[serde(default)]
    pub default_language: Option<String>,
}
