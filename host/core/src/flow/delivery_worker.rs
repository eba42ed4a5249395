//! Delivers webhooks: every endpoint has a task of its own, so that a slow or dead receiver delays no other.
//!
//! `endpoint_lanes` decides what of an endpoint may go out now; this file posts it and writes down what came of it. An attempt
//! and its consequence are one commit: a crash in between repeats the delivery under its `webhook-id`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::task::{Id, JoinSet};

pub use super::endpoint_lanes::{EndpointState, Rest};
use super::outage::Outage;
use super::wakes::Wakes;
use crate::clock::{Clock, Timestamp};
use crate::entropy::Entropy;
use crate::records::event::Event;
use crate::records::id::{TenantId, WebhookId};
use crate::records::webhook::{Attempt, WebhookEndpoint, WebhookSeal, request_webhook_id};
use crate::rules::delivery::{Answer, TRIES_MAX, Verdict, failed_too_long, judge};
use crate::rules::event_json::iso_8601;
use crate::rules::webhook_signature::{hex_signature, sign};
use crate::storage::{OwedDelivery, Settlement, Storage, StorageError, WEBHOOKS_MAX};

/// Requests that are under way at once, of all endpoints together.
const POSTS_AT_ONCE: usize = 512;
/// The same, of one tenant: more than it can have endpoints, so that receivers that fail, which get one request each, never
/// use it up.
const POSTS_AT_ONCE_OF_TENANT: usize = 2 * WEBHOOKS_MAX;
/// Most bytes of a request's body.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// How much of an answer is kept, bytes.
pub const ANSWER_BYTES_KEPT: usize = 1024;
/// Characters of an error that are kept.
const ERROR_CHARS_MAX: usize = 500;
/// Attempts that an endpoint's log keeps.
const ATTEMPTS_KEPT: u64 = 1000;
/// How long attempts and deliveries that were given up are kept.
const LOG_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// The log is trimmed at every attempt whose number this divides.
const TRIM_EVERY: u64 = 64;
/// How long an endpoint rests after storage failed.
const STORAGE_REST: Duration = Duration::from_secs(1);
/// Deliveries that must still wait, after failing in a row, when one gets through: then their receiver was down, and they are
/// due at once. A single one may be refused for what it says, and keeps to the schedule.
const OUTAGE_DELIVERIES_MIN: usize = 2;
/// How long a receiver must have failed for the same.
const OUTAGE_MIN: Duration = Duration::from_secs(60);
/// The media type of a body that says nothing else.
const JSON_TYPE: &str = "application/json";

/// A request that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRequest {
    /// Where to.
    pub url: String,
    /// Names in lower case, each once.
    pub headers: Vec<(String, String)>,
    /// The raw body, as it was signed.
    pub body: Vec<u8>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostOutcome {
    /// What the receiver answered, or why there was no answer.
    pub answer: Result<PostAnswer, String>,
    /// How long it took.
    pub took: Duration,
}

/// What a receiver answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostAnswer {
    /// Its status.
    pub status: u16,
    /// How long it asked to be left alone.
    pub retry_after: Option<Duration>,
    /// The beginning of its body.
    pub body: Vec<u8>,
}

/// Makes requests. The server implements it over the guarded client.
#[async_trait]
pub trait Poster: Send + Sync {
    /// Makes one request; returns in bounded time, whatever the receiver does.
    async fn post(&self, request: &DeliveryRequest) -> PostOutcome;
}

/// What an HMAC is made over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HmacContent {
    /// The body.
    Body,
    /// `<seconds since 1970>.<body>`
    TimestampAndBody,
}

/// HMAC-SHA256 in hex, the newest secret's whole text being the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HmacHeader {
    /// The header that it goes into.
    pub header: String,
    /// What stands before it.
    pub prefix: String,
    /// What it is made over.
    pub content: HmacContent,
    /// A header for the seconds since 1970.
    pub timestamp_header: Option<String>,
}

/// How a body is signed. Except with `None` the Standard Webhooks signature is there in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadSigning {
    /// With the Standard Webhooks signature alone.
    Standard,
    /// Also with an HMAC in a header of the format's own.
    Hmac(HmacHeader),
    /// The newest secret itself goes into this header; only where the endpoint reveals it.
    SecretIn(String),
    /// Not at all.
    None,
}

/// What is sent for an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// What the format calls the event.
    pub name: String,
    /// Headers of the format's own.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How it is signed.
    pub signing: PayloadSigning,
}

/// Turns events into payloads: the host's own format, and those of webhook plugins.
#[async_trait]
pub trait Shaper: Send + Sync {
    /// What to send to `endpoint` for `event`, or for a test when there is none: one request after the other. None at all leaves
    /// the event out.
    ///
    /// # Errors
    /// Why it could not be shaped, for people: it counts as a failed attempt.
    async fn shape(&self, endpoint: &WebhookEndpoint, event: Option<&Event>) -> Result<Vec<Payload>, String>;
}

/// Delivers the webhooks of every tenant.
pub struct DeliveryWorker {
    pub(super) storage: Storage,
    pub(super) clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    wakes: Arc<Wakes>,
    poster: Arc<dyn Poster>,
    shaper: Arc<dyn Shaper>,
    places: Semaphore,
    shares: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
}

/// What one attempt led to.
pub(super) struct Attempted {
    /// The delivery has another request to make, at once.
    pub next: Option<OwedDelivery>,
    /// The next delivery of its chat may go.
    pub settled: bool,
    /// The receiver wants to be left alone until then.
    pub paused_until: Option<Timestamp>,
}

/// The tasks of the endpoints, and what wakes them.
struct Tasks {
    running: JoinSet<()>,
    states: BTreeMap<(TenantId, WebhookId), Arc<EndpointState>>,
    names: HashMap<Id, (TenantId, WebhookId)>,
}

impl DeliveryWorker {
    /// A worker over `storage`.
    pub fn new(
        storage: Storage,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        wakes: Arc<Wakes>,
        poster: Arc<dyn Poster>,
        shaper: Arc<dyn Shaper>,
    ) -> Self {
        let places = Semaphore::new(POSTS_AT_ONCE);
        Self { storage, clock, entropy, wakes, poster, shaper, places, shares: Mutex::default() }
    }

    /// The places of one tenant.
    fn share_of(&self, tenant: TenantId) -> Arc<Semaphore> {
        let full = || Arc::new(Semaphore::new(POSTS_AT_ONCE_OF_TENANT));
        let shared = self.shares.lock().map(|mut shares| Arc::clone(shares.entry(tenant).or_insert_with(full)));
        shared.unwrap_or_else(|_| full())
    }

    /// Delivers until the future is dropped. Dropping it loses nothing: what was not settled is delivered again.
    pub async fn run(self: Arc<Self>) {
        let mut tasks = Tasks { running: JoinSet::new(), states: BTreeMap::new(), names: HashMap::new() };
        let mut outage = Outage::default();
        loop {
            match self.storage.tenants().await {
                Ok(tenants) => break tenants.iter().for_each(|tenant| self.wakes.webhooks_have_more(tenant.id)),
                Err(StorageError::Closed) => return,
                Err(error) => {
                    if outage.begins(self.clock.now()) {
                        tracing::error!(%error, "the webhooks that are owed cannot be looked up");
                    }
                    self.clock.sleep_until(self.clock.now().plus(STORAGE_REST)).await;
                }
            }
        }
        loop {
            tokio::select! {
                tenants = self.wakes.tenants_with_webhooks() => {
                    for tenant in tenants {
                        match self.wake_endpoints(&mut tasks, tenant).await {
                            Ok(()) => {
                                if let Some(lasted) = outage.ends(self.clock.now()) {
                                    tracing::info!(lasted_s = lasted.as_secs(), "webhooks are looked up again");
                                }
                            }
                            Err(StorageError::Closed) => return,
                            Err(error) => {
                                if outage.begins(self.clock.now()) {
                                    tracing::error!(%tenant, %error, "the webhooks of a tenant cannot be looked up");
                                }
                                self.wakes.webhooks_have_more(tenant);
                                self.clock.sleep_until(self.clock.now().plus(STORAGE_REST)).await;
                            }
                        }
                    }
                }
                Some(ended) = tasks.running.join_next_with_id() => {
                    let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                    if let Some(name) = tasks.names.remove(&id) {
                        tasks.states.remove(&name);
                        // It may have been switched on again while it ended.
                        self.wakes.webhooks_have_more(name.0);
                    }
                }
            }
        }
    }

    /// Wakes the tasks of a tenant's endpoints, and starts those that are missing.
    async fn wake_endpoints(self: &Arc<Self>, tasks: &mut Tasks, tenant: TenantId) -> Result<(), StorageError> {
        // Those of endpoints that are gone too: they end.
        let of_tenant = (tenant, WebhookId(0))..=(tenant, WebhookId(u64::MAX));
        tasks.states.range(of_tenant).for_each(|(_, state)| state.bell.notify_one());
        for endpoint in self.storage.webhooks(tenant).await? {
            let name = (tenant, endpoint.id);
            if endpoint.active && !tasks.states.contains_key(&name) {
                let state = Arc::<EndpointState>::default();
                tasks.states.insert(name, Arc::clone(&state));
                let worker = Arc::clone(self);
                let task = tasks.running.spawn(async move { worker.run_endpoint(tenant, name.1, &state).await });
                tasks.names.insert(task.id(), name);
            }
        }
        Ok(())
    }

    /// Serves one endpoint until it is gone or switched off.
    async fn run_endpoint(&self, tenant: TenantId, id: WebhookId, state: &EndpointState) {
        let mut outage = Outage::default();
        loop {
            let served = self.serve(tenant, id, state).await;
            if served.is_ok()
                && let Some(lasted) = outage.ends(self.clock.now())
            {
                tracing::info!(%tenant, webhook = %id, lasted_s = lasted.as_secs(), "a webhook is served again");
            }
            match served {
                Ok(Rest::Ended) | Err(StorageError::Closed) => return,
                Ok(Rest::Idle) => state.bell.notified().await,
                Ok(Rest::Until(due)) => tokio::select! {
                    () = state.bell.notified() => {}
                    () = self.clock.sleep_until(due) => {}
                },
                Err(error) => {
                    if outage.begins(self.clock.now()) {
                        tracing::error!(%tenant, webhook = %id, %error, "a webhook cannot be served");
                    }
                    self.clock.sleep_until(self.clock.now().plus(STORAGE_REST)).await;
                }
            }
        }
    }

    /// Makes one attempt and writes down what came of it.
    pub(super) async fn attempt(
        &self,
        tenant: TenantId,
        id: WebhookId,
        owed: &OwedDelivery,
    ) -> Result<Attempted, StorageError> {
        let over = Attempted { next: None, settled: false, paused_until: None };
        let share = self.share_of(tenant);
        let (Ok(_share), Ok(_place)) = (share.acquire().await, self.places.acquire().await) else { return Ok(over) };
        // While it waited for its turn the endpoint may have been changed and the delivery replayed.
        let Some(endpoint) = self.storage.webhook(tenant, id).await?.filter(|endpoint| endpoint.active) else {
            return Ok(over);
        };
        if !self.storage.is_still_owed(tenant, id, owed).await? {
            return Ok(over);
        }
        let Some(seal) = self.storage.webhook_seal(tenant, id).await? else { return Ok(over) };
        let event = match owed.event() {
            Some(n) => self.storage.delivered_event(tenant, n).await?,
            None => None,
        };
        let at = self.clock.now();
        let outcome = if owed.event().is_some() && event.is_none() {
            Attempting::Dropped("the event is no longer kept".to_owned())
        } else {
            self.try_once(&endpoint, &seal, owed, event.as_ref(), at).await
        };
        self.conclude(&endpoint, owed, outcome, at).await
    }

    async fn try_once(
        &self,
        endpoint: &WebhookEndpoint,
        seal: &WebhookSeal,
        owed: &OwedDelivery,
        event: Option<&Event>,
        at: Timestamp,
    ) -> Attempting {
        let unposted = |why: String| PostOutcome { answer: Err(why), took: Duration::ZERO };
        let payloads = match self.shaper.shape(endpoint, event).await {
            Ok(payloads) => payloads,
            Err(why) => return Attempting::Posted { posted: unposted(why), name: String::new(), more: false },
        };
        let done = usize::try_from(owed.delivery.done).unwrap_or(usize::MAX);
        let more = done.saturating_add(1) < payloads.len();
        let Some(payload) = payloads.into_iter().nth(done) else { return Attempting::LeftOut };
        let name = payload.name.clone();
        let webhook_id = request_webhook_id(&owed.delivery.webhook_id, owed.delivery.done);
        let posted = match request(endpoint, seal, &webhook_id, payload, at) {
            Ok(request) => self.poster.post(&request).await,
            Err(why) => unposted(why),
        };
        Attempting::Posted { posted, name, more }
    }

    async fn conclude(
        &self,
        endpoint: &WebhookEndpoint,
        owed: &OwedDelivery,
        outcome: Attempting,
        at: Timestamp,
    ) -> Result<Attempted, StorageError> {
        let (tenant, id) = (endpoint.tenant, endpoint.id);
        let tries = owed.delivery.tries.saturating_add(1);
        let mut attempt = Attempt {
            n: 0,
            webhook_id: request_webhook_id(&owed.delivery.webhook_id, owed.delivery.done),
            event: owed.event(),
            event_name: String::new(),
            at,
            attempt: tries,
            status: None,
            error: None,
            took_ms: 0,
            answer: String::new(),
        };
        let now = self.clock.now();
        let (verdict, pause, more) = match outcome {
            Attempting::LeftOut => {
                attempt.error = Some("the format leaves this event out".to_owned());
                (None, None, false)
            }
            Attempting::Dropped(why) => {
                attempt.error = Some(why);
                (None, None, false)
            }
            Attempting::Posted { posted, name, more } => {
                attempt.event_name = name;
                let answer = note(&mut attempt, posted);
                let verdict = judge(answer, tries, now, self.entropy.next_u64());
                if verdict != Verdict::Delivered && attempt.error.is_none() {
                    attempt.error = Some(format!("the receiver answered {}", attempt.status.unwrap_or_default()));
                }
                (Some(verdict), answer.pause(), more)
            }
        };
        let then = match verdict {
            Some(Verdict::Delivered) if more => Settlement::Next,
            None | Some(Verdict::Delivered) => Settlement::Done,
            Some(Verdict::Again(due)) => Settlement::Until(due),
            // Whoever switches the endpoint on again hastens what it is owed.
            Some(Verdict::SwitchOff) if tries < TRIES_MAX => Settlement::Until(now),
            Some(Verdict::SwitchOff | Verdict::Dead) => Settlement::Dead,
        };
        let (n, next) = match self.storage.settle_delivery(tenant, id, owed, &attempt, then).await {
            Ok(settled) => settled,
            // Replayed, settled by another, or its endpoint deleted: there is nothing left to do for it.
            Err(StorageError::Conflict) => return Ok(Attempted { next: None, settled: false, paused_until: None }),
            Err(error) => return Err(error),
        };
        if n.is_multiple_of(TRIM_EVERY) {
            let oldest = Timestamp(now.0.saturating_sub(Timestamp(0).plus(LOG_AGE_MAX).0));
            self.storage.trim_webhook_log(tenant, id, n.saturating_sub(ATTEMPTS_KEPT), oldest).await?;
        }
        if let Some(verdict) = verdict {
            self.note_health(endpoint, verdict, now).await?;
        }
        let paused_until = pause.map(|pause| now.plus(pause));
        Ok(Attempted { next, settled: !matches!(then, Settlement::Until(_)), paused_until })
    }

    /// Keeps since when an endpoint only fails and how often, and switches it off when that is too long.
    async fn note_health(&self, endpoint: &WebhookEndpoint, verdict: Verdict, now: Timestamp) -> Result<(), StorageError> {
        let (tenant, id) = (endpoint.tenant, endpoint.id);
        if verdict != Verdict::Delivered {
            let apply = |endpoint: &mut WebhookEndpoint, _: &mut WebhookSeal| {
                endpoint.failing_since.get_or_insert(now);
                endpoint.failures = endpoint.failures.saturating_add(1);
            };
            self.storage.change_webhook(tenant, id, apply).await?;
        }
        let reason = match (verdict, endpoint.failing_since) {
            (Verdict::Delivered, None) => return Ok(()),
            (Verdict::Delivered, Some(since)) => {
                let apply = |endpoint: &mut WebhookEndpoint, _: &mut WebhookSeal| {
                    endpoint.failing_since = None;
                    endpoint.failures = 0;
                };
                self.storage.change_webhook(tenant, id, apply).await?;
                if now.since(since) >= OUTAGE_MIN {
                    let hastened = self.storage.hasten_deliveries(tenant, id, now, since, OUTAGE_DELIVERIES_MIN).await?;
                    tracing::info!(%tenant, webhook = %id, hastened, "a webhook receiver is back");
                }
                return Ok(());
            }
            (Verdict::SwitchOff, _) => "the receiver answered 410 Gone".to_owned(),
            (_, Some(since)) if failed_too_long(since, now) => format!("every attempt since {} failed", iso_8601(since)),
            (_, _) => return Ok(()),
        };
        if self.storage.switch_off_webhook(tenant, id, &reason, now).await?.is_some() {
            tracing::warn!(%tenant, webhook = %id, reason, "a webhook is switched off");
            self.wakes.events_have_more(tenant);
        }
        Ok(())
    }
}

/// How an attempt went.
enum Attempting {
    /// A request was made, or failed before it could be.
    Posted {
        /// What came of it.
        posted: PostOutcome,
        /// What the format calls the event.
        name: String,
        /// The format makes another request of the event.
        more: bool,
    },
    /// The format has nothing to say about the event.
    LeftOut,
    /// There is nothing left to deliver.
    Dropped(String),
}

/// Writes what came back into the attempt.
fn note(attempt: &mut Attempt, posted: PostOutcome) -> Answer {
    attempt.took_ms = u64::try_from(posted.took.as_millis()).unwrap_or(u64::MAX);
    match posted.answer {
        Ok(answer) => {
            attempt.status = Some(answer.status);
            let kept = answer.body.get(..ANSWER_BYTES_KEPT).unwrap_or(&answer.body);
            attempt.answer = String::from_utf8_lossy(kept).into_owned();
            Answer::Status { status: answer.status, retry_after: answer.retry_after }
        }
        Err(why) => {
            attempt.error = Some(why.chars().take(ERROR_CHARS_MAX).collect());
            Answer::None
        }
    }
}

/// The request as it goes out: the customer's headers, those of the format, and the host's own, which win.
fn request(
    endpoint: &WebhookEndpoint,
    seal: &WebhookSeal,
    webhook_id: &str,
    payload: Payload,
    at: Timestamp,
) -> Result<DeliveryRequest, String> {
    let bytes = payload.body.len();
    if bytes > BODY_BYTES_MAX {
        return Err(format!("the body is {bytes} bytes; the limit is {BODY_BYTES_MAX}"));
    }
    let timestamp_s = at.0 / 1000;
    let mut headers = seal.headers.clone();
    let set = |headers: &mut Vec<(String, String)>, name: &str, value: String| {
        let name = name.to_ascii_lowercase();
        headers.retain(|(other, _)| *other != name);
        headers.push((name, value));
    };
    set(&mut headers, "content-type", JSON_TYPE.to_owned());
    let secrets = || seal.valid(at).map(|secret| secret.text.as_str());
    let own = own_headers(endpoint, secrets().next(), &payload, timestamp_s)?;
    for (name, value) in payload.headers.iter().map(|(name, value)| (name.as_str(), value.clone())).chain(own) {
        set(&mut headers, name, value);
    }
    set(&mut headers, "webhook-id", webhook_id.to_owned());
    set(&mut headers, "webhook-timestamp", timestamp_s.to_string());
    if payload.signing != PayloadSigning::None {
        let signature = sign(webhook_id, timestamp_s, &payload.body, secrets()).map_err(|error| error.to_string())?;
        set(&mut headers, "webhook-signature", signature);
    }
    Ok(DeliveryRequest { url: endpoint.url.clone(), headers, body: payload.body })
}

/// The headers with which a format signs in its own way.
fn own_headers<'a>(
    endpoint: &WebhookEndpoint,
    newest: Option<&str>,
    payload: &'a Payload,
    timestamp_s: u64,
) -> Result<Vec<(&'a str, String)>, String> {
    let shared = || {
        if !endpoint.public_keys.is_empty() {
            return Err(format!("format {} signs with a shared secret, and this endpoint has none", endpoint.format));
        }
        newest.ok_or_else(|| "there is no secret to sign with".to_owned())
    };
    match &payload.signing {
        PayloadSigning::SecretIn(_) if !endpoint.reveal_secret => {
            Err(format!("format {} shows the secret, and this endpoint does not reveal it", endpoint.format))
        }
        PayloadSigning::SecretIn(header) => Ok(vec![(header, shared()?.to_owned())]),
        PayloadSigning::Hmac(HmacHeader { header, prefix, content, timestamp_header }) => {
            let secret = shared()?;
            let signature = match content {
                HmacContent::Body => hex_signature(secret, &[&payload.body]),
                HmacContent::TimestampAndBody => {
                    hex_signature(secret, &[format!("{timestamp_s}.").as_bytes(), &payload.body])
                }
            };
            let mut headers = vec![(header.as_str(), format!("{prefix}{signature}"))];
            headers.extend(timestamp_header.as_deref().map(|name| (name, timestamp_s.to_string())));
            Ok(headers)
        }
        PayloadSigning::Standard | PayloadSigning::None => Ok(Vec::new()),
    }
}
