//! What the host does for plugins. The server implements it; every verb is confined to the tenant and key of its caller.

mod fetch;
mod links;
mod media;
mod people;
mod state;
mod webhooks;

use std::time::Duration;

use async_trait::async_trait;
use switchboard_core::flow::media::MediaRefusal;
use switchboard_core::records::account::{ApiKey, KeyUse, Principal};
use switchboard_core::records::content::{Content, Extras};
use switchboard_core::records::event::Event;
use switchboard_core::records::id::{BatchId, KeyId, MessageId, SessionId};
use switchboard_core::records::message::{ApiLimits, Message, Schedule};
use switchboard_core::records::message_log::{Direction, LogPage, LogQuery};
use switchboard_core::records::once::Once;
use switchboard_core::records::session::{Session, SessionState};
use switchboard_core::storage::BatchProgress;

pub use fetch::{
    FETCH_ANSWER_BYTES_MAX, FETCH_BODY_BYTES_MAX, FETCH_HEADER_BYTES_MAX, FETCH_HEADERS_MAX, FETCH_WAIT_MAX, FETCHES_MAX,
    FetchAnswer, FetchError, FetchRequest, FetchVerbs,
};
pub use links::{LINK_TTL_MAX, LINKS_MAX, LinkVerbs};
pub use media::{MEDIA_TTL_MAX, MediaVerbs};
pub use people::{ChatVerbs, ContactVerbs, GroupVerbs, NewGroup, PEOPLE_PAGE_MAX, Page, Registration};
pub use state::StateVerbs;
pub use webhooks::{EndpointChange, EventVerbs, NewEndpoint, WebhookVerbs};

/// Longest wait of `connect`.
pub const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);

/// Why a verb did not do what it was asked.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum VerbError {
    /// There is none, or it is not this tenant's.
    #[error("not found")]
    NotFound,
    /// The key's scopes or the plugin's grants do not cover it.
    #[error("denied: {0}")]
    Denied(String),
    /// A field cannot be taken.
    #[error("{field}: {why}")]
    Invalid {
        /// Which.
        field: String,
        /// What is wrong with it.
        why: String,
    },
    /// The session is not linked or was taken off line.
    #[error("{}", .0.sentence())]
    NotConnected(SessionState),
    /// Known, but this host cannot do it yet.
    #[error("{0}")]
    NotYet(String),
    /// The message's file cannot be sent.
    #[error("the media {0}")]
    Media(MediaRefusal),
    /// A limit is used up.
    #[error("{} is used up: {} of {}", .0.limit, .0.used, .0.max)]
    LimitReached(LimitStanding),
    /// WhatsApp does not do it.
    #[error("WhatsApp refuses: {code} {text}")]
    RefusedByWhatsApp {
        /// Such as 403, 404 or 409.
        code: u16,
        /// WhatsApp's own word.
        text: String,
    },
    /// A policy does not let it through; its reason.
    #[error("a policy does not allow it: {0}")]
    RefusedByPolicy(String),
    /// No session was named, and none can or will send it; in a sentence.
    #[error("{0}")]
    NoSender(String),
    /// There is no template of this name, or none in this language; in a sentence.
    #[error("{0}")]
    NoSuchTemplate(String),
    /// The template needs a parameter of this name.
    #[error("the template needs a parameter {0:?}")]
    MissingParameter(String),
    /// It conflicts with what is there.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The host could not.
    #[error("unavailable: {0}")]
    Unavailable(String),
}

/// A limit of the tenant's plan or of a session's own rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitStanding {
    /// Name of the figure, such as `messages_per_day`.
    pub limit: String,
    /// Whether it is a rule of one session.
    pub of_session: bool,
    /// The most.
    pub max: u64,
    /// What is used of it.
    pub used: u64,
    /// When the count begins anew, milliseconds since 1970; `None` where only a deletion makes room.
    pub resets_at_ms: Option<u64>,
    /// The same from now, whole seconds.
    pub retry_after_s: Option<u32>,
}

/// A session to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSession {
    /// What people call it.
    pub name: String,
    /// The number that is going to be linked; may be empty.
    pub phone_number: String,
    /// What the dialect keeps with it: names and JSON.
    pub settings: Vec<(String, String)>,
}

/// A message to send.
#[derive(Clone, Copy, Debug)]
pub struct NewMessage<'a> {
    /// The session that is to send it.
    pub session: SessionId,
    /// A telephone number or a JID.
    pub to: &'a str,
    /// What to say.
    pub content: &'a Content,
    /// What goes with it.
    pub extras: &'a Extras,
    /// When and before whom it is to go.
    pub schedule: Schedule,
    /// The request that asks for it, when that came under an idempotency key.
    pub once: Option<&'a Once>,
}

/// Messages to send from one session.
#[derive(Clone, Copy, Debug)]
pub struct NewBatch<'a> {
    /// The session that is to send them.
    pub session: SessionId,
    /// A name for people.
    pub name: Option<&'a str>,
    /// The messages: to whom, what, and what goes with it.
    pub messages: &'a [(String, Content, Extras)],
    /// When and before whom they are to go.
    pub schedule: Schedule,
    /// The request that asks for them, when that came under an idempotency key.
    pub once: Option<&'a Once>,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchOutcome {
    /// The batch; `None` when nothing was taken.
    pub batch: Option<BatchId>,
    /// What became of each message, in their order.
    pub results: Vec<Result<Message, VerbError>>,
}

/// A session's name and settings, as they are to be; what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewSettings {
    /// Its name.
    pub name: Option<String>,
    /// Names and JSON; `null` removes one.
    pub settings: Vec<(String, String)>,
}

/// A code that is typed into the phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkCode {
    /// The code.
    pub code: String,
    /// Milliseconds since 1970.
    pub expires_at_ms: u64,
}

/// What was accepted in a window of the calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Name of the figure, such as `messages_per_month`.
    pub limit: &'static str,
    /// The most; `None` where nothing limits it.
    pub max: Option<u64>,
    /// What is used.
    pub used: u64,
    /// When the count begins anew, milliseconds since 1970.
    pub resets_at_ms: u64,
}

/// The account of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountInfo {
    /// Its name.
    pub name: String,
    /// Its plan.
    pub plan: String,
    /// What it used.
    pub usage: Vec<Usage>,
    /// Its sessions.
    pub sessions: u64,
    /// The most it may have.
    pub sessions_max: Option<u64>,
}

/// A key that acts for the whole account.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountKey {
    /// What is kept of it.
    pub record: ApiKey,
    /// How often it was used.
    pub used: KeyUse,
}

/// A key to draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAccountKey {
    /// What people call it.
    pub name: String,
    /// What they note about it.
    pub description: String,
    /// When it stops working, milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
}

/// A QR code that waits to be scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QrCode {
    /// The text in it.
    pub text: String,
    /// The picture, PNG.
    pub png: Vec<u8>,
    /// Milliseconds since 1970.
    pub expires_at_ms: u64,
}

/// The host's verbs. `caller` is who called the router.
#[async_trait]
pub trait Verbs:
    MediaVerbs
    + GroupVerbs
    + ContactVerbs
    + ChatVerbs
    + LinkVerbs
    + WebhookVerbs
    + EventVerbs
    + StateVerbs
    + FetchVerbs
    + Send
    + Sync
{
    /// Every session that the caller's key may use.
    async fn sessions(&self, caller: &Principal) -> Result<Vec<Session>, VerbError>;
    /// One session.
    async fn session(&self, caller: &Principal, id: SessionId) -> Result<Session, VerbError>;
    /// Makes a session.
    async fn create_session(&self, caller: &Principal, new: NewSession) -> Result<Session, VerbError>;
    /// Removes a session.
    async fn delete_session(&self, caller: &Principal, id: SessionId) -> Result<(), VerbError>;
    /// Brings a session on line or starts pairing; waits up to `wait` for either.
    async fn connect_session(&self, caller: &Principal, id: SessionId, wait: Duration) -> Result<Session, VerbError>;
    /// Takes a session off line.
    async fn disconnect_session(&self, caller: &Principal, id: SessionId) -> Result<Session, VerbError>;
    /// The QR code that waits now.
    async fn session_qr(&self, caller: &Principal, id: SessionId) -> Result<Option<QrCode>, VerbError>;
    /// Changes a session's name and settings.
    async fn change_session(&self, caller: &Principal, id: SessionId, change: NewSettings) -> Result<Session, VerbError>;
    /// Takes a session off line and brings it on line again.
    async fn restart_session(&self, caller: &Principal, id: SessionId, wait: Duration) -> Result<Session, VerbError>;
    /// A code that links the session when it is typed into the phone of this number.
    async fn pairing_code(&self, caller: &Principal, id: SessionId, phone_number: &str) -> Result<LinkCode, VerbError>;
    /// The own API keys of every session that the caller may use.
    async fn session_keys(&self, caller: &Principal) -> Result<Vec<(SessionId, String)>, VerbError>;
    /// Gives a session a new key of its own.
    async fn renew_session_key(&self, caller: &Principal, id: SessionId) -> Result<String, VerbError>;
    /// Accepts every one of these messages of one session or none; they are no batch, and have no name.
    async fn send_all(&self, caller: &Principal, new: NewBatch<'_>) -> Result<Vec<Message>, VerbError>;
    /// Accepts messages of one session; each is judged by itself.
    async fn send_batch(&self, caller: &Principal, new: NewBatch<'_>) -> Result<BatchOutcome, VerbError>;
    /// A batch and how far it has come.
    async fn batch(&self, caller: &Principal, id: BatchId) -> Result<BatchProgress, VerbError>;
    /// Takes a message back.
    async fn cancel(&self, caller: &Principal, id: MessageId) -> Result<Message, VerbError>;
    /// A message that failed once more.
    async fn resend(
        &self,
        caller: &Principal,
        id: MessageId,
        schedule: Schedule,
        once: Option<&Once>,
    ) -> Result<Message, VerbError>;
    /// The event of a message that came in.
    async fn received(&self, caller: &Principal, event: u64) -> Result<Event, VerbError>;
    /// Messages of both directions.
    async fn find_messages(&self, caller: &Principal, query: LogQuery) -> Result<LogPage, VerbError>;
    /// The message that a session accepted under this WhatsApp id.
    async fn sent_under(&self, caller: &Principal, id: SessionId, whatsapp_id: &str) -> Result<Message, VerbError>;
    /// How many messages a session has.
    async fn message_count(&self, caller: &Principal, id: SessionId, direction: Direction) -> Result<u64, VerbError>;
    /// Draws a key for the whole account that may do no more than the caller's; and its text.
    async fn create_key(&self, caller: &Principal, new: NewAccountKey) -> Result<(AccountKey, String), VerbError>;
    /// The keys of the whole account, the newest first.
    async fn account_keys(&self, caller: &Principal) -> Result<Vec<AccountKey>, VerbError>;
    /// One of them.
    async fn account_key(&self, caller: &Principal, id: KeyId) -> Result<AccountKey, VerbError>;
    /// Revokes one of them.
    async fn revoke_key(&self, caller: &Principal, id: KeyId) -> Result<(), VerbError>;
    /// The caller's account.
    async fn account(&self, caller: &Principal) -> Result<AccountInfo, VerbError>;
    /// The session's own API key.
    async fn session_key(&self, caller: &Principal, id: SessionId) -> Result<String, VerbError>;
    /// Accepts a message.
    async fn send(&self, caller: &Principal, new: NewMessage<'_>) -> Result<Message, VerbError>;
    /// One message.
    async fn message(&self, caller: &Principal, id: MessageId) -> Result<Message, VerbError>;
    /// Every limit that holds for messages of a session, those that reset first in front.
    async fn quota(
        &self,
        caller: &Principal,
        session: SessionId,
        api: Option<ApiLimits>,
    ) -> Result<Vec<LimitStanding>, VerbError>;
}
