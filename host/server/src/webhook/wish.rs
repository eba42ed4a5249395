//! What a customer asks of a webhook endpoint, as JSON has it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use switchboard_core::records::id::SessionId;
use switchboard_core::records::webhook::SigningMethod;

/// An endpoint that is asked for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookWish {
    /// Where requests go.
    pub url: String,
    /// A name for people.
    #[serde(default)]
    pub name: Option<String>,
    /// Only what happens to this session.
    #[serde(default)]
    pub session_id: Option<SessionId>,
    /// Which event types: exact names, `message.*`, or `*`; everything when not given.
    #[serde(default)]
    pub events: Option<Vec<String>>,
    /// `standard`, or the name of a plugin.
    #[serde(default)]
    pub format: Option<String>,
    /// Whether a chat's events wait for each other.
    #[serde(default)]
    pub ordered: bool,
    /// `hmac` or `ed25519`.
    #[serde(default)]
    pub signing: Option<SigningMethod>,
    /// The customer's own secret, `whsec_…`; drawn when not given.
    #[serde(default)]
    pub secret: Option<String>,
    /// Headers to send with every request.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What a plugin keeps with it. Not for customers, as the rest from here on.
    #[serde(skip)]
    pub settings: Map<String, Value>,
    /// Whether the plugin of the format may have the secret itself sent along.
    #[serde(skip)]
    pub reveal_secret: bool,
    /// Nothing is delivered until it is switched on.
    #[serde(skip)]
    pub inactive: bool,
}

/// What is to change; what is not given stays.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookChange {
    /// Where requests go.
    pub url: Option<String>,
    /// A name for people.
    pub name: Option<String>,
    /// Which event types.
    pub events: Option<Vec<String>>,
    /// `standard`, or the name of a plugin.
    pub format: Option<String>,
    /// Whether a chat's events wait for each other.
    pub ordered: Option<bool>,
    /// Headers to send with every request, in place of those before.
    pub headers: Option<BTreeMap<String, String>>,
    /// Whether anything is delivered.
    pub active: Option<bool>,
    /// What a plugin keeps with it; `null` takes one away. Not for customers, as the rest from here on.
    #[serde(skip)]
    pub settings: Map<String, Value>,
    /// Whether the plugin of the format may have the secret itself sent along.
    #[serde(skip)]
    pub reveal_secret: Option<bool>,
    /// What happened while it was off is left out when it is switched on.
    #[serde(skip)]
    pub skip_backlog: bool,
}
