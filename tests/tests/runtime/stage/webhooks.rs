//! Verbs for webhook endpoints and events, of which there are none.

use async_trait::async_trait;
use switchboard_core::records::account::Principal;
use switchboard_core::records::id::{SessionId, WebhookId};
use switchboard_core::records::webhook::{Attempt, WebhookEndpoint};
use switchboard_core::storage::EventListing;
use switchboard_runtime::verbs::{EndpointChange, EventVerbs, NewEndpoint, VerbError, WebhookVerbs};

use super::FakeVerbs;

#[async_trait]
impl WebhookVerbs for FakeVerbs {
    async fn endpoints(&self, _caller: &Principal, _plugin: &str) -> Result<Vec<WebhookEndpoint>, VerbError> {
        Ok(Vec::new())
    }

    async fn endpoint(&self, _caller: &Principal, _: &str, _: WebhookId) -> Result<WebhookEndpoint, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn create_endpoint(
        &self,
        _caller: &Principal,
        _plugin: &str,
        _new: NewEndpoint,
    ) -> Result<(WebhookEndpoint, String), VerbError> {
        Err(VerbError::NotFound)
    }

    async fn change_endpoint(
        &self,
        _caller: &Principal,
        _plugin: &str,
        _id: WebhookId,
        _change: EndpointChange,
    ) -> Result<WebhookEndpoint, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn delete_endpoint(&self, _caller: &Principal, _: &str, _: WebhookId) -> Result<(), VerbError> {
        Err(VerbError::NotFound)
    }

    async fn rotate_endpoint(&self, _caller: &Principal, _: &str, _: WebhookId) -> Result<String, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn test_endpoint(&self, _caller: &Principal, _: &str, _: WebhookId) -> Result<String, VerbError> {
        Err(VerbError::NotFound)
    }

    async fn endpoint_attempts(
        &self,
        _caller: &Principal,
        _plugin: &str,
        _id: WebhookId,
        _page: (usize, usize),
    ) -> Result<(Vec<Attempt>, usize), VerbError> {
        Err(VerbError::NotFound)
    }

    async fn endpoint_secrets(
        &self,
        _caller: &Principal,
        _plugin: &str,
        _session: Option<SessionId>,
    ) -> Result<Vec<(WebhookId, String)>, VerbError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl EventVerbs for FakeVerbs {
    async fn find_events(
        &self,
        _caller: &Principal,
        _session: Option<SessionId>,
        _types: &[String],
        _page: (usize, usize),
    ) -> Result<EventListing, VerbError> {
        Ok(EventListing::default())
    }
}
