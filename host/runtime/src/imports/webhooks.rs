//! What plugins import about webhook endpoints and the event log.

use std::sync::Arc;

use switchboard_core::records::id::{SessionId, WebhookId};
use switchboard_core::records::webhook::{Attempt, WebhookEndpoint};

use super::Answer;
use crate::bindings::switchboard::plugin::types as wit;
use crate::bindings::switchboard::plugin::{events, webhooks};
use crate::call::CallState;
use crate::convert;
use crate::verbs::{EndpointChange, NewEndpoint, VerbError};

/// Most entries of one page.
const PAGE_MAX: u32 = 100;
/// Most entries that a page can be behind.
const OFFSET_MAX: u32 = 50_000;

fn endpoint(endpoint: &WebhookEndpoint) -> webhooks::Endpoint {
    webhooks::Endpoint {
        id: endpoint.id.0,
        name: endpoint.name.clone(),
        url: endpoint.url.clone(),
        session: endpoint.session.map(|session| session.0),
        events: endpoint.events.clone(),
        settings: convert::settings(&endpoint.settings),
        reveal_secret: endpoint.reveal_secret,
        active: endpoint.active,
        disabled_reason: endpoint.disabled_reason.clone(),
        failures: endpoint.failures,
        created_at_ms: endpoint.created_at.0,
        updated_at_ms: endpoint.updated_at.0,
    }
}

fn attempt(attempt: &Attempt) -> webhooks::Attempt {
    webhooks::Attempt {
        n: attempt.n,
        webhook_id: attempt.webhook_id.clone(),
        event: attempt.event,
        event_name: attempt.event_name.clone(),
        at_ms: attempt.at.0,
        attempt: attempt.attempt,
        status: attempt.status,
        error: attempt.error.clone(),
        took_ms: attempt.took_ms,
    }
}

fn pairs(settings: Vec<wit::Setting>) -> Vec<(String, String)> {
    settings.into_iter().map(|setting| (setting.name, setting.value)).collect()
}

/// The offset and the length of a page.
fn page(offset: u32, limit: u32) -> Result<(usize, usize), VerbError> {
    let invalid = |field: &str, why: String| Err(VerbError::Invalid { field: field.to_owned(), why });
    if !(1..=PAGE_MAX).contains(&limit) {
        return invalid("limit", format!("is {limit}; 1 to {PAGE_MAX} are allowed"));
    }
    if offset > OFFSET_MAX {
        return invalid("offset", format!("is {offset}; the limit is {OFFSET_MAX}"));
    }
    let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    Ok((number(offset), number(limit)))
}

impl webhooks::Host for CallState {
    async fn all(&mut self) -> Answer<Vec<webhooks::Endpoint>> {
        let plugin = Arc::clone(&self.plugin);
        self.verb(|verbs, caller| async move { Ok(verbs.endpoints(&caller, &plugin).await?.iter().map(endpoint).collect()) })
            .await
    }

    async fn get(&mut self, id: u64) -> Answer<webhooks::Endpoint> {
        let plugin = Arc::clone(&self.plugin);
        self.verb(|verbs, caller| async move { Ok(endpoint(&verbs.endpoint(&caller, &plugin, WebhookId(id)).await?)) }).await
    }

    async fn create(&mut self, new: webhooks::NewEndpoint) -> Answer<webhooks::MadeEndpoint> {
        let plugin = Arc::clone(&self.plugin);
        let new = NewEndpoint {
            name: new.name,
            url: new.url,
            events: new.events,
            session: new.session.map(SessionId),
            settings: pairs(new.settings),
            reveal_secret: new.reveal_secret,
            active: new.active,
        };
        self.verb(|verbs, caller| async move {
            let (made, secret) = verbs.create_endpoint(&caller, &plugin, new).await?;
            Ok(webhooks::MadeEndpoint { endpoint: endpoint(&made), secret })
        })
        .await
    }

    async fn change(&mut self, id: u64, change: webhooks::EndpointChange) -> Answer<webhooks::Endpoint> {
        let plugin = Arc::clone(&self.plugin);
        let change = EndpointChange {
            name: change.name,
            url: change.url,
            events: change.events,
            settings: pairs(change.settings),
            reveal_secret: change.reveal_secret,
            active: change.active,
        };
        self.verb(|verbs, caller| async move {
            Ok(endpoint(&verbs.change_endpoint(&caller, &plugin, WebhookId(id), change).await?))
        })
        .await
    }

    async fn delete(&mut self, id: u64) -> Answer<()> {
        let plugin = Arc::clone(&self.plugin);
        self.verb(|verbs, caller| async move { verbs.delete_endpoint(&caller, &plugin, WebhookId(id)).await }).await
    }

    async fn rotate(&mut self, id: u64) -> Answer<String> {
        let plugin = Arc::clone(&self.plugin);
        self.verb(|verbs, caller| async move { verbs.rotate_endpoint(&caller, &plugin, WebhookId(id)).await }).await
    }

    async fn test(&mut self, id: u64) -> Answer<String> {
        let plugin = Arc::clone(&self.plugin);
        self.verb(|verbs, caller| async move { verbs.test_endpoint(&caller, &plugin, WebhookId(id)).await }).await
    }

    async fn attempts(&mut self, id: u64, offset: u32, limit: u32) -> Answer<webhooks::AttemptPage> {
        let plugin = Arc::clone(&self.plugin);
        self.verb(|verbs, caller| async move {
            let page = page(offset, limit)?;
            let (found, total) = verbs.endpoint_attempts(&caller, &plugin, WebhookId(id), page).await?;
            let total = u64::try_from(total).unwrap_or(u64::MAX);
            Ok(webhooks::AttemptPage { entries: found.iter().map(attempt).collect(), total })
        })
        .await
    }
}

impl events::Host for CallState {
    async fn find(&mut self, query: events::EventQuery) -> Answer<events::EventPage> {
        self.verb(|verbs, caller| async move {
            let (session, page) = (query.session.map(SessionId), page(query.offset, query.limit)?);
            let found = verbs.find_events(&caller, session, &query.kinds, page).await?;
            Ok(events::EventPage { entries: found.events.iter().map(convert::event).collect(), total: found.total })
        })
        .await
    }
}
