//! Webhooks: where a tenant wants its events delivered, and what is owed to each place.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::id::{SessionId, TenantId, WebhookId};
use crate::clock::Timestamp;

/// The format that the host itself shapes: `{"type","timestamp","data"}`. Every other name is that of a plugin.
pub const STANDARD_FORMAT: &str = "standard";
/// What an endpoint names that wants events of every type.
pub const EVERY_EVENT: &str = "*";
/// The number of the first delivery of a test; below it, a delivery has the number of its event.
pub const TEST_NUMBER_FIRST: u64 = 1 << 62;

/// How the requests of an endpoint are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SigningMethod {
    /// HMAC-SHA256 under a secret that both sides have: `v1`.
    #[default]
    Hmac,
    /// A key pair of which the receiver has only the public half: `v1a`.
    Ed25519,
}

/// A place that events are delivered to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WebhookEndpoint {
    /// Its id.
    pub id: WebhookId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Only what happens to this session, if it is bound to one.
    pub session: Option<SessionId>,
    /// The name that people gave it.
    pub name: String,
    /// Where requests go.
    pub url: String,
    /// Which event types: exact names, `message.*`, or `*`.
    pub events: Vec<String>,
    /// What a request looks like: [`STANDARD_FORMAT`], or the name of a plugin.
    pub format: String,
    /// Whether a chat's events wait for each other.
    pub ordered: bool,
    /// How requests are signed.
    pub signing: SigningMethod,
    /// The public halves of its keys, newest first; none when it signs with HMAC.
    #[serde(default)]
    pub public_keys: Vec<String>,
    /// Names of the headers that the customer set. Their values are kept sealed.
    #[serde(default)]
    pub header_names: Vec<String>,
    /// What the plugin that shapes its requests keeps with it.
    #[serde(default)]
    pub settings: Map<String, Value>,
    /// Whether that plugin may have the secret itself sent along.
    #[serde(default)]
    pub reveal_secret: bool,
    /// Whether anything is delivered now.
    pub active: bool,
    /// Why the host switched it off, if it did.
    pub disabled_reason: Option<String>,
    /// Since when every attempt has failed; nothing when the last one did not.
    pub failing_since: Option<Timestamp>,
    /// Attempts that failed since the last one that did not.
    #[serde(default)]
    pub failures: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its record last changed.
    pub updated_at: Timestamp,
    /// Made with a test key, which may then change it.
    #[serde(default)]
    pub test: bool,
}

impl WebhookEndpoint {
    /// A place that gets every event of its tenant in the host's own words, signed with HMAC.
    pub fn new(id: WebhookId, tenant: TenantId, url: String, at: Timestamp) -> Self {
        Self {
            id,
            tenant,
            session: None,
            name: String::new(),
            url,
            events: vec![EVERY_EVENT.to_owned()],
            format: STANDARD_FORMAT.to_owned(),
            ordered: false,
            signing: SigningMethod::Hmac,
            public_keys: Vec::new(),
            header_names: Vec::new(),
            settings: Map::new(),
            reveal_secret: false,
            active: true,
            disabled_reason: None,
            failing_since: None,
            failures: 0,
            created_at: at,
            updated_at: at,
            test: false,
        }
    }
}

/// A secret that requests are signed with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookSecret {
    /// `whsec_…` or `whsk_…`.
    pub text: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it still signs; for ever when nothing.
    pub expires_at: Option<Timestamp>,
}

impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WebhookSecret(.., expires at {:?})", self.expires_at)
    }
}

/// What of an endpoint is kept sealed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookSeal {
    /// Its secrets, newest first.
    pub secrets: Vec<WebhookSecret>,
    /// The headers that the customer set: they may carry a credential.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
}

impl std::fmt::Debug for WebhookSeal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WebhookSeal({} secrets, {} headers)", self.secrets.len(), self.headers.len())
    }
}

impl WebhookSeal {
    /// The secrets that sign at `now`, newest first.
    pub fn valid(&self, now: Timestamp) -> impl Iterator<Item = &WebhookSecret> {
        self.secrets.iter().filter(move |secret| secret.expires_at.is_none_or(|end| end > now))
    }
}

/// A delivery that is owed, or that was given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// The id that the receiver tells repetitions by: the same at every attempt.
    pub webhook_id: String,
    /// The session that it is about; nothing for a test.
    pub session: Option<SessionId>,
    /// The chat that it is about.
    pub chat: Option<String>,
    /// Attempts of its current request so far.
    pub tries: u32,
    /// Requests of it that the receiver has: a format may make several of one event.
    #[serde(default)]
    pub done: u32,
    /// No attempt before this time.
    pub due_at: Timestamp,
    /// When it came to be owed.
    pub created_at: Timestamp,
    /// When it was last tried, or given up.
    pub updated_at: Timestamp,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

impl Delivery {
    /// A delivery of the event `number`, or of a test, that is due at once.
    pub fn new(webhook_id: String, session: Option<SessionId>, chat: Option<String>, now: Timestamp) -> Self {
        Self {
            webhook_id,
            session,
            chat,
            tries: 0,
            done: 0,
            due_at: now,
            created_at: now,
            updated_at: now,
            last_error: None,
        }
    }
}

/// The `webhook-id` of an event at an endpoint: the same for every attempt and every replay.
pub fn event_webhook_id(endpoint: WebhookId, event: u64) -> String {
    format!("msg_{endpoint}_{event}")
}

/// The `webhook-id` of a delivery's request number `done`, from 0: the first has that of the delivery.
pub fn request_webhook_id(delivery: &str, done: u32) -> String {
    if done == 0 { delivery.to_owned() } else { format!("{delivery}_{}", done.saturating_add(1)) }
}

/// One try of a delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number in the log of its endpoint, from 1.
    #[serde(default)]
    pub n: u64,
    /// The delivery's `webhook-id`.
    pub webhook_id: String,
    /// Number of the event; nothing for a test.
    pub event: Option<u64>,
    /// What the format calls the event; empty when nothing was shaped.
    #[serde(default)]
    pub event_name: String,
    /// When the request was made.
    pub at: Timestamp,
    /// Which try of the delivery it was, from 1.
    pub attempt: u32,
    /// What the receiver answered.
    pub status: Option<u16>,
    /// Why there was no answer, or why the answer was a failure.
    pub error: Option<String>,
    /// How long it took, milliseconds.
    pub took_ms: u64,
    /// The beginning of the answer, as far as it is text.
    pub answer: String,
}
