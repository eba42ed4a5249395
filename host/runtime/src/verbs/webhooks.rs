//! What plugins ask of webhook endpoints, and of the event log.

use async_trait::async_trait;
use switchboard_core::records::account::Principal;
use switchboard_core::records::id::{SessionId, WebhookId};
use switchboard_core::records::webhook::{Attempt, WebhookEndpoint};
use switchboard_core::storage::EventListing;

use super::VerbError;

/// An endpoint to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEndpoint {
    /// What people call it.
    pub name: String,
    /// Where requests go.
    pub url: String,
    /// Types of the host's events.
    pub events: Vec<String>,
    /// Only what happens to this session.
    pub session: Option<SessionId>,
    /// What the plugin keeps with it: names and JSON.
    pub settings: Vec<(String, String)>,
    /// Whether the secret itself may be sent along.
    pub reveal_secret: bool,
    /// Whether anything is delivered.
    pub active: bool,
}

/// What becomes of an endpoint. What is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointChange {
    /// What people call it.
    pub name: Option<String>,
    /// Where requests go.
    pub url: Option<String>,
    /// Types of the host's events.
    pub events: Option<Vec<String>>,
    /// Names and JSON; `null` removes one.
    pub settings: Vec<(String, String)>,
    /// Whether the secret itself may be sent along.
    pub reveal_secret: Option<bool>,
    /// Whether anything is delivered.
    pub active: Option<bool>,
}

/// The host's verbs for webhook endpoints. `plugin` is who calls them: it sees those whose format has its name, and no others.
#[async_trait]
pub trait WebhookVerbs {
    /// The endpoints, by id.
    async fn endpoints(&self, caller: &Principal, plugin: &str) -> Result<Vec<WebhookEndpoint>, VerbError>;
    /// One of them.
    async fn endpoint(&self, caller: &Principal, plugin: &str, id: WebhookId) -> Result<WebhookEndpoint, VerbError>;
    /// Makes one; and its secret, shown this once.
    async fn create_endpoint(
        &self,
        caller: &Principal,
        plugin: &str,
        new: NewEndpoint,
    ) -> Result<(WebhookEndpoint, String), VerbError>;
    /// Changes one.
    async fn change_endpoint(
        &self,
        caller: &Principal,
        plugin: &str,
        id: WebhookId,
        change: EndpointChange,
    ) -> Result<WebhookEndpoint, VerbError>;
    /// Removes one.
    async fn delete_endpoint(&self, caller: &Principal, plugin: &str, id: WebhookId) -> Result<(), VerbError>;
    /// Gives one a new secret, shown this once.
    async fn rotate_endpoint(&self, caller: &Principal, plugin: &str, id: WebhookId) -> Result<String, VerbError>;
    /// Has one sent a test; its `webhook-id`.
    async fn test_endpoint(&self, caller: &Principal, plugin: &str, id: WebhookId) -> Result<String, VerbError>;
    /// Attempts, newest first, from number `offset` on; and how many are kept.
    async fn endpoint_attempts(
        &self,
        caller: &Principal,
        plugin: &str,
        id: WebhookId,
        page: (usize, usize),
    ) -> Result<(Vec<Attempt>, usize), VerbError>;
    /// The secrets of those that are bound to this session, or to any.
    async fn endpoint_secrets(
        &self,
        caller: &Principal,
        plugin: &str,
        session: Option<SessionId>,
    ) -> Result<Vec<(WebhookId, String)>, VerbError>;
}

/// The host's verb for the event log.
#[async_trait]
pub trait EventVerbs {
    /// Events of these types, newest first: an offset, and how many.
    async fn find_events(
        &self,
        caller: &Principal,
        session: Option<SessionId>,
        types: &[String],
        page: (usize, usize),
    ) -> Result<EventListing, VerbError>;
}
