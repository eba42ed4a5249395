//! Webhook endpoints: how they are made, changed, tested and replayed. `poster` posts, `shaper` shapes; when that happens is
//! decided by the core's delivery worker.

mod poster;
mod shaper;
mod wish;

use std::sync::{Arc, Weak};
use std::time::Duration;

use switchboard_core::clock::{Clock, Timestamp};
use switchboard_core::entropy::Entropy;
use switchboard_core::flow::delivery_worker::{DeliveryWorker, Shaper};
use switchboard_core::flow::wakes::Wakes;
use switchboard_core::records::account::Principal;
use switchboard_core::records::id::{SessionId, TenantId, WebhookId, draw_public_number};
use switchboard_core::records::webhook::{
    Attempt, Delivery, EVERY_EVENT, STANDARD_FORMAT, SigningMethod, TEST_NUMBER_FIRST, WebhookEndpoint, WebhookSeal,
    WebhookSecret,
};
use switchboard_core::rules::authority::{self, Denial};
use switchboard_core::rules::said_back::said_back;
use switchboard_core::rules::webhook_fields::{FieldError, URL_CHARS_MAX, checked_events, checked_headers, checked_name};
use switchboard_core::rules::webhook_signature::{SecretError, check_secret, draw_secret, public_key};
use switchboard_core::storage::{DeadDelivery, Replay, Replayed, Storage, StorageError, WEBHOOKS_MAX};

use crate::egress::GuardedClient;
use crate::plugins::Plugins;

use poster::GuardedPoster;
use shaper::FormatShaper;
pub use wish::{WebhookChange, WebhookWish};

/// How long an old secret goes on signing after a rotation, unless the customer says otherwise.
pub const KEEP_OLD: Duration = Duration::from_secs(24 * 3600);
/// The longest that an old secret may go on signing.
pub const KEEP_OLD_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Secrets that sign at once.
pub const SECRETS_MAX: usize = 5;
/// How long a name may take to be looked up that may be the host's own.
const OWN_WAIT: Duration = Duration::from_secs(2);
/// How often a drawn number may be taken already.
const DRAW_TRIES_MAX: u32 = 8;

/// Why an endpoint was not made, found or changed.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The tenant has no such endpoint, or the key does not reach it.
    #[error("webhook {0} does not exist")]
    NoSuchWebhook(WebhookId),
    /// The tenant has no such session, or the key does not reach it.
    #[error("session {0} does not exist")]
    NoSuchSession(SessionId),
    /// There is no such event, or the endpoint is not to see it.
    #[error("there is no such event for this webhook")]
    NoSuchEvent,
    /// The endpoint's filter leaves the event out.
    #[error("the webhook does not take events of type {0}: its filter is {filter}; with \"force\" it is delivered all the same", filter = .1.join(", "))]
    NotWanted(&'static str, Vec<String>),
    /// A field cannot be taken.
    #[error("{field}: {why}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// The place of the entry that is wrong, from 0, where it is a list and not the whole of it is.
        at: Option<usize>,
        /// What is wrong with it.
        why: String,
    },
    /// There are too many.
    #[error("there are {WEBHOOKS_MAX} webhooks already, the most there can be")]
    TooMany,
    /// The endpoint is owed too much.
    #[error("this webhook is owed too many deliveries already; try again when some are made")]
    TooMuchOwed,
    /// The key may not change it.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl WebhookError {
    fn invalid(field: &'static str, why: String) -> Self {
        Self::Invalid { field, at: None, why }
    }
}

impl From<FieldError> for WebhookError {
    fn from(error: FieldError) -> Self {
        Self::Invalid { field: error.field, at: error.at, why: error.why }
    }
}

impl From<SecretError> for WebhookError {
    fn from(error: SecretError) -> Self {
        Self::invalid("secret", error.to_string())
    }
}

/// The webhook endpoints of this host. Every call is confined to what the principal's key reaches.
#[derive(Clone)]
pub struct Webhooks {
    /// Where they are kept.
    pub storage: Storage,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Draws ids and secrets.
    pub entropy: Arc<dyn Entropy>,
    /// Whom to tell.
    pub wakes: Arc<Wakes>,
    /// Judges URLs.
    pub guarded: GuardedClient,
    /// Where formats are. Their runtime leads back here, by way of the verbs.
    pub plugins: Weak<Plugins>,
}

impl Webhooks {
    /// The worker that delivers to them; it has to be run.
    pub fn deliverer(&self, plugins: &Arc<Plugins>) -> Arc<DeliveryWorker> {
        let poster = GuardedPoster { client: self.guarded.clone(), clock: Arc::clone(&self.clock) };
        let shaper = self.shaper(plugins);
        Arc::new(DeliveryWorker::new(
            self.storage.clone(),
            Arc::clone(&self.clock),
            Arc::clone(&self.entropy),
            Arc::clone(&self.wakes),
            Arc::new(poster),
            Arc::new(shaper),
        ))
    }

    /// What turns events into what endpoints get.
    pub(crate) fn shaper(&self, plugins: &Arc<Plugins>) -> impl Shaper + use<> {
        FormatShaper { storage: self.storage.clone(), plugins: Arc::clone(plugins), clock: Arc::clone(&self.clock) }
    }

    /// Makes an endpoint. The text is the new secret, shown this once; none for ed25519, whose public key is in the record.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub async fn create(
        &self,
        principal: &Principal,
        wish: WebhookWish,
    ) -> Result<(WebhookEndpoint, Option<String>), WebhookError> {
        let tenant = principal.tenant;
        let session = wish.session_id.or(principal.session);
        if let Some(id) = session {
            let found = if principal.may_use(id) { self.storage.session(tenant, id).await? } else { None };
            let bound_to = found.ok_or(WebhookError::NoSuchSession(id))?;
            authority::check_change(principal, bound_to.test, &format!("session {id}"))?;
        }
        let signing = wish.signing.unwrap_or_default();
        let now = self.clock.now();
        let secret = self.new_secret(signing, wish.secret, now)?;
        let headers = checked_headers(wish.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
        let mut endpoint = WebhookEndpoint {
            session,
            name: checked_name(&wish.name.unwrap_or_default())?,
            events: checked_events(&wish.events.unwrap_or_else(|| vec![EVERY_EVENT.to_owned()]))?,
            format: self.checked_format(tenant, wish.format.unwrap_or_else(|| STANDARD_FORMAT.to_owned()))?,
            ordered: wish.ordered,
            signing,
            public_keys: public_keys(signing, std::slice::from_ref(&secret))?,
            header_names: header_names(&headers),
            settings: wish.settings,
            reveal_secret: wish.reveal_secret,
            active: !wish.inactive,
            test: principal.test,
            ..WebhookEndpoint::new(WebhookId(0), tenant, self.checked_url(&wish.url).await?, now)
        };
        let shown = (signing == SigningMethod::Hmac).then(|| secret.text.clone());
        let seal = WebhookSeal { secrets: vec![secret], headers };
        for _ in 0..DRAW_TRIES_MAX {
            endpoint.id = WebhookId(draw_public_number(&*self.entropy));
            match self.storage.create_webhook(&endpoint, &seal).await {
                Ok(true) => {
                    self.wakes.webhooks_have_more(tenant);
                    return Ok((endpoint, shown));
                }
                Ok(false) => return Err(WebhookError::TooMany),
                Err(StorageError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StorageError::Conflict.into())
    }

    fn new_secret(
        &self,
        signing: SigningMethod,
        given: Option<String>,
        now: Timestamp,
    ) -> Result<WebhookSecret, WebhookError> {
        let text = match given {
            Some(_) if signing == SigningMethod::Ed25519 => {
                let why = "an ed25519 key is drawn by the host and never leaves it".to_owned();
                return Err(WebhookError::invalid("secret", why));
            }
            Some(text) => {
                check_secret(&text)?;
                text
            }
            None => draw_secret(signing, &*self.entropy)?,
        };
        Ok(WebhookSecret { text, created_at: now, expires_at: None })
    }

    async fn checked_url(&self, url: &str) -> Result<String, WebhookError> {
        let invalid = |why: String| WebhookError::invalid("url", why);
        let chars = url.chars().count();
        if chars > URL_CHARS_MAX {
            return Err(invalid(format!("has {chars} characters; the limit is {URL_CHARS_MAX}")));
        }
        self.guarded.check_kept(url, OWN_WAIT).await.map_err(|error| invalid(error.to_string()))?;
        Ok(url.to_owned())
    }

    fn checked_format(&self, tenant: TenantId, format: String) -> Result<String, WebhookError> {
        let plugins = self.plugins.upgrade();
        let shapes = |plugins: Arc<Plugins>| shaper::format_plugin(&plugins, tenant, &format).is_some();
        if format == STANDARD_FORMAT || plugins.is_some_and(shapes) {
            return Ok(format);
        }
        let why =
            format!("{:?} is neither {STANDARD_FORMAT} nor the name of a plugin that exports webhook", said_back(&format));
        Err(WebhookError::invalid("format", why))
    }

    /// An endpoint, if the key reaches it.
    ///
    /// # Errors
    /// [`WebhookError::NoSuchWebhook`], or when storage fails.
    pub async fn find(&self, principal: &Principal, id: WebhookId) -> Result<WebhookEndpoint, WebhookError> {
        let found = self.storage.webhook(principal.tenant, id).await?;
        found.filter(|endpoint| reaches(principal, endpoint)).ok_or(WebhookError::NoSuchWebhook(id))
    }

    /// The same, if the key may change it.
    async fn find_to_change(&self, principal: &Principal, id: WebhookId) -> Result<WebhookEndpoint, WebhookError> {
        let found = self.find(principal, id).await?;
        authority::check_change(principal, found.test, &format!("webhook {id}"))?;
        Ok(found)
    }

    /// The endpoints that the key reaches, by id.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn list(&self, principal: &Principal) -> Result<Vec<WebhookEndpoint>, WebhookError> {
        let mut all = self.storage.webhooks(principal.tenant).await?;
        all.retain(|endpoint| reaches(principal, endpoint));
        Ok(all)
    }

    /// Changes an endpoint.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub async fn change(
        &self,
        principal: &Principal,
        id: WebhookId,
        change: WebhookChange,
    ) -> Result<WebhookEndpoint, WebhookError> {
        let before = self.find_to_change(principal, id).await?;
        let name = change.name.as_deref().map(checked_name).transpose()?;
        let url = match change.url.as_deref() {
            Some(url) => Some(self.checked_url(url).await?),
            None => None,
        };
        let events = change.events.as_deref().map(checked_events).transpose()?;
        let format = change.format.map(|format| self.checked_format(principal.tenant, format)).transpose()?;
        let pairs = |headers: &std::collections::BTreeMap<String, String>| {
            checked_headers(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        };
        let headers = change.headers.as_ref().map(pairs).transpose()?;
        let now = self.clock.now();
        let apply = |endpoint: &mut WebhookEndpoint, seal: &mut WebhookSeal| {
            set(&mut endpoint.name, name.as_ref());
            set(&mut endpoint.url, url.as_ref());
            set(&mut endpoint.events, events.as_ref());
            set(&mut endpoint.format, format.as_ref());
            set(&mut endpoint.ordered, change.ordered.as_ref());
            if let Some(headers) = &headers {
                endpoint.header_names = header_names(headers);
                seal.headers.clone_from(headers);
            }
            set(&mut endpoint.reveal_secret, change.reveal_secret.as_ref());
            for (name, value) in &change.settings {
                if value.is_null() {
                    endpoint.settings.remove(name);
                } else {
                    endpoint.settings.insert(name.clone(), value.clone());
                }
            }
            if change.active == Some(false) {
                endpoint.active = false;
            }
            endpoint.updated_at = now;
        };
        let changed = self.storage.change_webhook(principal.tenant, id, apply).await?;
        let changed = changed.ok_or(WebhookError::NoSuchWebhook(id))?;
        if change.active == Some(true) && !before.active {
            return self.enable(principal, id, change.skip_backlog).await;
        }
        self.wakes.webhooks_have_more(principal.tenant);
        Ok(changed)
    }

    /// Switches an endpoint on. What it is owed is due at once; what happened while it was off follows, or is skipped.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub async fn enable(
        &self,
        principal: &Principal,
        id: WebhookId,
        skip_backlog: bool,
    ) -> Result<WebhookEndpoint, WebhookError> {
        self.find_to_change(principal, id).await?;
        let (tenant, now) = (principal.tenant, self.clock.now());
        if skip_backlog {
            self.storage.skip_webhook_backlog(tenant, id).await?;
        }
        let apply = |endpoint: &mut WebhookEndpoint, _: &mut WebhookSeal| {
            endpoint.active = true;
            endpoint.disabled_reason = None;
            endpoint.failing_since = None;
            endpoint.failures = 0;
            endpoint.updated_at = now;
        };
        let enabled = self.storage.change_webhook(tenant, id, apply).await?.ok_or(WebhookError::NoSuchWebhook(id))?;
        self.storage.hasten_deliveries(tenant, id, now, Timestamp(0), 1).await?;
        self.wakes.webhooks_have_more(tenant);
        Ok(enabled)
    }

    /// Removes an endpoint.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub async fn delete(&self, principal: &Principal, id: WebhookId) -> Result<(), WebhookError> {
        self.find_to_change(principal, id).await?;
        let there_was = self.storage.delete_webhook(principal.tenant, id).await?;
        self.wakes.webhooks_have_more(principal.tenant);
        if there_was { Ok(()) } else { Err(WebhookError::NoSuchWebhook(id)) }
    }

    /// Gives an endpoint a new secret, shown this once (none for ed25519); the old ones go on signing for `keep_old`.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub async fn rotate(
        &self,
        principal: &Principal,
        id: WebhookId,
        given: Option<String>,
        keep_old: Duration,
    ) -> Result<(WebhookEndpoint, Option<String>), WebhookError> {
        let endpoint = self.find_to_change(principal, id).await?;
        let now = self.clock.now();
        if keep_old > KEEP_OLD_MAX {
            let why = format!("{} is over the limit of {}", keep_old.as_secs(), KEEP_OLD_MAX.as_secs());
            return Err(WebhookError::invalid("keep_old_seconds", why));
        }
        let secret = self.new_secret(endpoint.signing, given, now)?;
        let until = now.plus(keep_old);
        let apply = |endpoint: &mut WebhookEndpoint, seal: &mut WebhookSeal| {
            let mut secrets = vec![secret.clone()];
            for old in seal.valid(now).filter(|old| old.text != secret.text).take(SECRETS_MAX - 1) {
                let expires_at = Some(old.expires_at.map_or(until, |end| end.min(until)));
                secrets.push(WebhookSecret { expires_at, ..old.clone() });
            }
            endpoint.public_keys = public_keys(endpoint.signing, &secrets).unwrap_or_default();
            seal.secrets = secrets;
            endpoint.updated_at = now;
        };
        let changed = self.storage.change_webhook(principal.tenant, id, apply).await?;
        let shown = (endpoint.signing == SigningMethod::Hmac).then(|| secret.text.clone());
        Ok((changed.ok_or(WebhookError::NoSuchWebhook(id))?, shown))
    }

    /// Owes an endpoint a test; its `webhook-id`.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub async fn test(&self, principal: &Principal, id: WebhookId) -> Result<String, WebhookError> {
        let endpoint = self.find_to_change(principal, id).await?;
        let drawn = self.entropy.next_u64();
        let webhook_id = format!("msg_test_{drawn:016x}");
        let delivery = Delivery::new(webhook_id.clone(), None, None, self.clock.now());
        let number = TEST_NUMBER_FIRST + drawn % TEST_NUMBER_FIRST;
        match self.storage.owe_test(&endpoint, number, &delivery).await? {
            Replayed::TooMuchOwed => Err(WebhookError::TooMuchOwed),
            _ => {
                self.wakes.webhooks_have_more(principal.tenant);
                Ok(webhook_id)
            }
        }
    }

    /// Owes deliveries once more. How many, and the event where the next call has to go on if one did not take all.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub async fn replay(
        &self,
        principal: &Principal,
        id: WebhookId,
        what: Replay,
    ) -> Result<(usize, Option<u64>), WebhookError> {
        let endpoint = self.find_to_change(principal, id).await?;
        match self.storage.replay(&endpoint, what, self.clock.now()).await? {
            Replayed::Owed { count, next } => {
                self.wakes.webhooks_have_more(principal.tenant);
                Ok((count, next))
            }
            Replayed::NoSuchEvent => Err(WebhookError::NoSuchEvent),
            Replayed::NotWanted(event_type) => Err(WebhookError::NotWanted(event_type, endpoint.events)),
            Replayed::TooMuchOwed => Err(WebhookError::TooMuchOwed),
        }
    }

    /// Attempts of an endpoint, newest first, below number `before`.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub async fn attempts(
        &self,
        principal: &Principal,
        id: WebhookId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Attempt>, WebhookError> {
        self.find(principal, id).await?;
        Ok(self.storage.attempts(principal.tenant, id, before, limit).await?)
    }

    /// Deliveries that were given up, by event number.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub async fn dead(
        &self,
        principal: &Principal,
        id: WebhookId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<DeadDelivery>, WebhookError> {
        self.find(principal, id).await?;
        Ok(self.storage.dead_deliveries(principal.tenant, id, after, limit).await?)
    }
}

/// A key that is bound to a session reaches the endpoints of that session alone.
fn reaches(principal: &Principal, endpoint: &WebhookEndpoint) -> bool {
    principal.session.is_none() || principal.session == endpoint.session
}

fn set<T: Clone>(place: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        place.clone_from(value);
    }
}

fn header_names(headers: &[(String, String)]) -> Vec<String> {
    headers.iter().map(|(name, _)| name.clone()).collect()
}

fn public_keys(signing: SigningMethod, secrets: &[WebhookSecret]) -> Result<Vec<String>, SecretError> {
    match signing {
        SigningMethod::Hmac => Ok(Vec::new()),
        SigningMethod::Ed25519 => secrets.iter().map(|secret| public_key(&secret.text)).collect(),
    }
}
