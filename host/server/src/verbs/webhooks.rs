//! What plugins ask of webhook endpoints and of the event log. A plugin sees the endpoints whose requests it shapes.

use async_trait::async_trait;

use switchboard_core::flow::lasting::lasting;
use switchboard_core::records::account::Principal;
use switchboard_core::records::id::{SessionId, WebhookId};
use switchboard_core::records::webhook::{Attempt, SigningMethod, WebhookEndpoint};
use switchboard_core::storage::EventListing;
use switchboard_runtime::verbs::{EndpointChange, EventVerbs, NewEndpoint, VerbError, WebhookVerbs};

use super::{HostVerbs, denied, need, read_settings, shown_keys, unavailable};
use crate::webhook::{KEEP_OLD, WebhookChange, WebhookError, WebhookWish, Webhooks};

/// The resource that scopes name.
const RESOURCE: &str = "webhooks";
/// Most settings of an endpoint.
const SETTINGS_MAX: usize = 16;

fn refused(error: WebhookError) -> VerbError {
    match error {
        WebhookError::NoSuchWebhook(_) | WebhookError::NoSuchSession(_) | WebhookError::NoSuchEvent => VerbError::NotFound,
        WebhookError::Invalid { field, why, .. } => VerbError::Invalid { field: field.to_owned(), why },
        WebhookError::NotWanted(..) | WebhookError::TooMany | WebhookError::TooMuchOwed => {
            VerbError::Conflict(error.to_string())
        }
        WebhookError::Denied(why) => denied(why),
        WebhookError::Storage(error) => unavailable(error),
    }
}

/// The format that a plugin shapes: its name, without its owner's.
fn format_of(plugin: &str) -> &str {
    plugin.rsplit('/').next().unwrap_or(plugin)
}

fn check_count(count: usize) -> Result<(), VerbError> {
    if count <= SETTINGS_MAX {
        return Ok(());
    }
    let why = format!("would have {count} entries; the limit is {SETTINGS_MAX}");
    Err(VerbError::Invalid { field: "settings".to_owned(), why })
}

impl HostVerbs {
    /// The endpoints of this host, once it has started.
    pub(super) fn hooks(&self) -> Result<&Webhooks, VerbError> {
        self.webhooks.get().ok_or_else(|| VerbError::Unavailable("the host is starting".to_owned()))
    }

    /// An endpoint that the caller's key reaches and the plugin shapes.
    async fn own_hook(&self, caller: &Principal, plugin: &str, id: WebhookId) -> Result<WebhookEndpoint, VerbError> {
        let found = self.hooks()?.find(caller, id).await.map_err(refused)?;
        if found.format == format_of(plugin) { Ok(found) } else { Err(VerbError::NotFound) }
    }

    async fn own_hooks(&self, caller: &Principal, plugin: &str) -> Result<Vec<WebhookEndpoint>, VerbError> {
        let mut all = self.hooks()?.list(caller).await.map_err(refused)?;
        all.retain(|endpoint| endpoint.format == format_of(plugin));
        Ok(all)
    }
}

#[async_trait]
impl WebhookVerbs for HostVerbs {
    async fn endpoints(&self, caller: &Principal, plugin: &str) -> Result<Vec<WebhookEndpoint>, VerbError> {
        need(caller, RESOURCE, "read")?;
        self.own_hooks(caller, plugin).await
    }

    async fn endpoint(&self, caller: &Principal, plugin: &str, id: WebhookId) -> Result<WebhookEndpoint, VerbError> {
        need(caller, RESOURCE, "read")?;
        self.own_hook(caller, plugin, id).await
    }

    async fn create_endpoint(
        &self,
        caller: &Principal,
        plugin: &str,
        new: NewEndpoint,
    ) -> Result<(WebhookEndpoint, String), VerbError> {
        need(caller, RESOURCE, "write")?;
        check_count(new.settings.len())?;
        let wish = WebhookWish {
            url: new.url,
            name: Some(new.name),
            session_id: new.session,
            events: Some(new.events),
            format: Some(format_of(plugin).to_owned()),
            ordered: false,
            signing: None,
            secret: None,
            headers: Default::default(),
            settings: read_settings(&new.settings)?,
            reveal_secret: new.reveal_secret,
            inactive: !new.active,
        };
        let (made, secret) = self.hooks()?.create(caller, wish).await.map_err(refused)?;
        Ok((made, secret.unwrap_or_default()))
    }

    async fn change_endpoint(
        &self,
        caller: &Principal,
        plugin: &str,
        id: WebhookId,
        change: EndpointChange,
    ) -> Result<WebhookEndpoint, VerbError> {
        need(caller, RESOURCE, "write")?;
        let before = self.own_hook(caller, plugin, id).await?;
        let settings = read_settings(&change.settings)?;
        let mut then = before.settings.clone();
        then.extend(settings.clone());
        check_count(then.values().filter(|value| !value.is_null()).count())?;
        let change = WebhookChange {
            url: change.url,
            name: change.name,
            events: change.events,
            active: change.active,
            settings,
            reveal_secret: change.reveal_secret,
            // Whoever switched it off did not want what happened; what the host held back is owed.
            skip_backlog: before.disabled_reason.is_none(),
            ..WebhookChange::default()
        };
        let (hooks, caller) = (self.hooks()?.clone(), caller.clone());
        lasting(async move { hooks.change(&caller, id, change).await }).await.map_err(refused)
    }

    async fn delete_endpoint(&self, caller: &Principal, plugin: &str, id: WebhookId) -> Result<(), VerbError> {
        need(caller, RESOURCE, "write")?;
        self.own_hook(caller, plugin, id).await?;
        self.hooks()?.delete(caller, id).await.map_err(refused)
    }

    async fn rotate_endpoint(&self, caller: &Principal, plugin: &str, id: WebhookId) -> Result<String, VerbError> {
        need(caller, RESOURCE, "write")?;
        self.own_hook(caller, plugin, id).await?;
        let (_, secret) = self.hooks()?.rotate(caller, id, None, KEEP_OLD).await.map_err(refused)?;
        secret.ok_or_else(|| VerbError::Conflict("the endpoint signs with a key pair that never leaves the host".to_owned()))
    }

    async fn test_endpoint(&self, caller: &Principal, plugin: &str, id: WebhookId) -> Result<String, VerbError> {
        need(caller, RESOURCE, "write")?;
        self.own_hook(caller, plugin, id).await?;
        let (hooks, caller) = (self.hooks()?.clone(), caller.clone());
        lasting(async move { hooks.test(&caller, id).await }).await.map_err(refused)
    }

    async fn endpoint_attempts(
        &self,
        caller: &Principal,
        plugin: &str,
        id: WebhookId,
        (offset, limit): (usize, usize),
    ) -> Result<(Vec<Attempt>, usize), VerbError> {
        need(caller, RESOURCE, "read")?;
        self.own_hook(caller, plugin, id).await?;
        let newest = self.hooks()?.attempts(caller, id, None, offset.saturating_add(limit)).await.map_err(refused)?;
        let total = self.storage.attempt_count(caller.tenant, id).await.map_err(unavailable)?;
        Ok((newest.into_iter().skip(offset).collect(), total))
    }

    async fn endpoint_secrets(
        &self,
        caller: &Principal,
        plugin: &str,
        session: Option<SessionId>,
    ) -> Result<Vec<(WebhookId, String)>, VerbError> {
        need(caller, RESOURCE, "read")?;
        shown_keys(caller, "read")?;
        let now = self.clock.now();
        let mut secrets = Vec::new();
        for endpoint in self.own_hooks(caller, plugin).await? {
            let wanted = (session.is_none() || endpoint.session == session) && (endpoint.test || !caller.test);
            if !wanted || endpoint.signing != SigningMethod::Hmac {
                continue;
            }
            let seal = self.storage.webhook_seal(caller.tenant, endpoint.id).await.map_err(unavailable)?;
            let newest = seal.and_then(|seal| seal.valid(now).next().map(|secret| secret.text.clone()));
            secrets.extend(newest.map(|secret| (endpoint.id, secret)));
        }
        Ok(secrets)
    }
}

#[async_trait]
impl EventVerbs for HostVerbs {
    async fn find_events(
        &self,
        caller: &Principal,
        session: Option<SessionId>,
        types: &[String],
        page: (usize, usize),
    ) -> Result<EventListing, VerbError> {
        need(caller, "messages", "read")?;
        if let Some(session) = session {
            self.reach(caller, session).await?;
        }
        let session = session.or(caller.session);
        self.storage.event_listing(caller.tenant, session, types, page).await.map_err(unavailable)
    }
}
