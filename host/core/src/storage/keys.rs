//! The layout of storage keys: tenant first, then the record type, then what tells records of that type apart.
//!
//! Numbers are big-endian, so that keys sort as numbers do. Texts that are not last carry their length in front.

use crate::clock::Timestamp;
use crate::records::blob::BlobId;
use crate::records::id::{BatchId, KeyId, MessageId, SessionId, TenantId, WebhookId};
use crate::records::message::{MessageState, Priority};
use crate::records::message_log::Direction;
use crate::records::once::OnceKey;
use crate::rules::calendar::{Window, WindowKind};
use crate::rules::quota::{Charge, Scope};

mod calls;
mod people;
mod plugins;
mod templates;
mod versions;

pub(super) use calls::{
    all_logged_calls, count_of_logged_call, logged_call, logged_call_count, logged_call_counter, logged_calls,
    logged_calls_of,
};
pub(super) use people::{
    all_poll_votes, contact_by_lid, contact_by_phone, contact_count, contact_of_lid, contacts, contacts_of_lid, known_poll,
    known_polls, known_polls_of, poll_vote, poll_votes, poll_votes_of,
};
pub(super) use plugins::{
    all_parked_works, artifact, artifacts, chain_end, cursor, cursors, kv, kv_bytes, kv_expiries, kv_expiries_to, kv_expiry,
    kvs, parked_work, parked_works, plugin, plugin_secret, plugin_secret_count, plugin_secrets, plugins, work, works,
};
pub(super) use templates::{template, template_by_name, template_count, template_settings, templates, templates_by_name};
pub(super) use versions::{artifact_bytes, artifact_part, artifact_parts, artifact_uses, plugin_version, plugin_versions};

/// What a key's record is. Numbers are for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum RecordType {
    MasterKeyProof = 1,
    Tenant = 2,
    KeyByHash = 3,
    Key = 4,
    SessionKey = 5,
    Session = 6,
    SessionTenant = 7,
    OwnerEpoch = 8,
    Device = 9,
    Message = 10,
    MessageByWhatsappId = 11,
    Outbox = 12,
    OutboxCounter = 13,
    Event = 14,
    EventCounter = 15,
    InboundSeen = 16,
    Cursor = 17,
    Work = 18,
    Plugin = 19,
    Artifact = 20,
    ParkedWork = 21,
    Unconfirmed = 22,
    LastSend = 23,
    ChatQueue = 24,
    Timer = 25,
    Batch = 26,
    BatchCount = 27,
    OutboxSize = 28,
    QuotaCount = 30,
    SessionCount = 31,
    Webhook = 34,
    WebhookSeal = 35,
    WebhookCursor = 36,
    Delivery = 37,
    DeadDelivery = 38,
    Attempt = 39,
    AttemptCounter = 40,
    WebhookCount = 41,
    KnownPoll = 42,
    EventByChat = 43,
    EventBytes = 44,
    OnceAnswer = 46,
    OnceMark = 47,
    OnceSince = 48,
    Blob = 50,
    BlobExpiry = 51,
    BlobUses = 52,
    BlobBytes = 53,
    Cleanup = 54,
    MediaJob = 60,
    MediaRetry = 61,
    MessageCount = 70,
    KeyUses = 71,
    KeyLastUsed = 72,
    Contact = 80,
    ContactOfLid = 81,
    ContactCount = 82,
    PollVote = 90,
    Template = 95,
    TemplateByName = 96,
    TemplateCount = 97,
    TemplateSettings = 98,
    TestSends = 99,
    PluginVersion = 100,
    ArtifactPart = 101,
    ArtifactUses = 102,
    ArtifactBytes = 103,
    LoggedCall = 120,
    LoggedCallCounter = 121,
    LoggedCallCount = 122,
    Kv = 110,
    KvExpiry = 111,
    KvBytes = 112,
    PluginSecret = 113,
    PluginSecretCount = 114,
    ChainEnd = 115,
}

/// Bytes before the part that tells records of one type apart.
const HEAD_BYTES: usize = 9;

fn key(tenant: TenantId, record: RecordType, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(HEAD_BYTES + parts.iter().map(|part| part.len()).sum::<usize>());
    key.extend_from_slice(&tenant.0.to_be_bytes());
    key.push(record as u8);
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

/// The record type of a key; 0 for a key too short to have one.
pub(super) fn record_type(key: &[u8]) -> u8 {
    key.get(HEAD_BYTES - 1).copied().unwrap_or(0)
}

/// Whose account the record of a key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Account {
    /// It is no part of an account.
    None,
    /// This one's.
    Of(TenantId),
    /// It may be anybody's: the key is not whole.
    Any,
}

/// Whose tenant, key or session is kept under a key. Hashes of keys come and go with the keys.
pub(super) fn account_of(key: &[u8]) -> Account {
    const OF_TENANTS: [RecordType; 3] = [RecordType::Key, RecordType::Session, RecordType::OwnerEpoch];
    let number =
        |bytes: &[u8]| bytes.first_chunk().map_or(Account::Any, |id| Account::Of(TenantId(u64::from_be_bytes(*id))));
    match record_type(key) {
        // Too short to say what it is.
        0 => Account::Any,
        tenant if tenant == RecordType::Tenant as u8 => number(key.get(HEAD_BYTES..).unwrap_or_default()),
        record if OF_TENANTS.iter().any(|kept| *kept as u8 == record) => number(key),
        _ => Account::None,
    }
}

/// Whether values of this key are sealed with the master key.
pub(super) fn is_sealed(key: &[u8]) -> bool {
    const SEALED: [RecordType; 6] = [
        RecordType::MasterKeyProof,
        RecordType::SessionKey,
        RecordType::Device,
        RecordType::WebhookSeal,
        RecordType::KnownPoll,
        RecordType::PluginSecret,
    ];
    SEALED.iter().any(|sealed| *sealed as u8 == record_type(key))
}

fn length(text: &str) -> [u8; 4] {
    u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes()
}

/// Files that are to be fetched, by the number of the event that they came with. Of every tenant, as one worker fetches them.
pub(super) fn media_jobs_of(tenant: TenantId) -> Vec<u8> {
    key(TenantId::OPERATOR, RecordType::MediaJob, &[&tenant.0.to_be_bytes()])
}

pub(super) fn media_jobs() -> Vec<u8> {
    key(TenantId::OPERATOR, RecordType::MediaJob, &[])
}

/// Files that could not be fetched, in the order of the next try.
pub(super) fn media_retry(at: Timestamp, tenant: TenantId, event: u64) -> Vec<u8> {
    let parts = [at.0, tenant.0, event].map(u64::to_be_bytes);
    key(TenantId::OPERATOR, RecordType::MediaRetry, &parts.each_ref().map(|part| &part[..]))
}

pub(super) fn media_retries() -> Vec<u8> {
    key(TenantId::OPERATOR, RecordType::MediaRetry, &[])
}

pub(super) fn master_key_proof() -> Vec<u8> {
    key(TenantId::OPERATOR, RecordType::MasterKeyProof, &[])
}

pub(super) fn tenant(id: TenantId) -> Vec<u8> {
    key(TenantId::OPERATOR, RecordType::Tenant, &[&id.0.to_be_bytes()])
}

pub(super) fn tenants() -> Vec<u8> {
    key(TenantId::OPERATOR, RecordType::Tenant, &[])
}

pub(super) fn key_by_hash(sha256: &[u8]) -> Vec<u8> {
    key(TenantId::OPERATOR, RecordType::KeyByHash, &[sha256])
}

pub(super) fn api_key(tenant: TenantId, id: KeyId) -> Vec<u8> {
    key(tenant, RecordType::Key, &[&id.0.to_be_bytes()])
}

pub(super) fn api_keys(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::Key, &[])
}

pub(super) fn session_key(tenant: TenantId, session: SessionId) -> Vec<u8> {
    key(tenant, RecordType::SessionKey, &[&session.0.to_be_bytes()])
}

pub(super) fn session(tenant: TenantId, id: SessionId) -> Vec<u8> {
    key(tenant, RecordType::Session, &[&id.0.to_be_bytes()])
}

pub(super) fn sessions(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::Session, &[])
}

/// Session ids are unique across tenants: whoever takes one leaves this mark.
pub(super) fn session_tenant(id: SessionId) -> Vec<u8> {
    key(TenantId::OPERATOR, RecordType::SessionTenant, &[&id.0.to_be_bytes()])
}

pub(super) fn owner_epoch(tenant: TenantId, session: SessionId) -> Vec<u8> {
    key(tenant, RecordType::OwnerEpoch, &[&session.0.to_be_bytes()])
}

pub(super) fn device(tenant: TenantId, session: SessionId) -> Vec<u8> {
    key(tenant, RecordType::Device, &[&session.0.to_be_bytes()])
}

pub(super) fn message(tenant: TenantId, id: MessageId) -> Vec<u8> {
    key(tenant, RecordType::Message, &[&id.0.to_be_bytes()])
}

pub(super) fn messages(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::Message, &[])
}

pub(super) fn message_by_whatsapp_id(tenant: TenantId, session: SessionId, whatsapp_id: &str) -> Vec<u8> {
    key(tenant, RecordType::MessageByWhatsappId, &[&session.0.to_be_bytes(), whatsapp_id.as_bytes()])
}

pub(super) fn messages_by_whatsapp_id(tenant: TenantId, session: SessionId) -> Vec<u8> {
    message_by_whatsapp_id(tenant, session, "")
}

/// How many messages of test keys a session has whose end is not made up yet.
pub(super) fn test_sends(tenant: TenantId, session: SessionId) -> Vec<u8> {
    key(tenant, RecordType::TestSends, &[&session.0.to_be_bytes()])
}

/// Both lanes of a session's outbox, interactive first.
pub(super) fn outbox(tenant: TenantId, session: SessionId) -> Vec<u8> {
    key(tenant, RecordType::Outbox, &[&session.0.to_be_bytes()])
}

pub(super) fn outbox_lane(tenant: TenantId, session: SessionId, lane: Priority) -> Vec<u8> {
    key(tenant, RecordType::Outbox, &[&session.0.to_be_bytes(), &[lane as u8]])
}

pub(super) fn outbox_entry(tenant: TenantId, session: SessionId, lane: Priority, n: u64) -> Vec<u8> {
    numbered(outbox_lane(tenant, session, lane), n)
}

/// The lane of an entry of the outbox.
pub(super) fn lane_of(outbox_entry: &[u8]) -> Priority {
    match outbox_entry.get(HEAD_BYTES + 8) {
        Some(&lane) if lane == Priority::Bulk as u8 => Priority::Bulk,
        _ => Priority::Interactive,
    }
}

/// What waits in the outbox for one chat, in the order of acceptance, whatever its lane.
pub(super) fn chat_queue(tenant: TenantId, session: SessionId, chat: &str) -> Vec<u8> {
    key(tenant, RecordType::ChatQueue, &[&session.0.to_be_bytes(), &length(chat), chat.as_bytes()])
}

pub(super) fn chat_queues(tenant: TenantId, session: SessionId) -> Vec<u8> {
    key(tenant, RecordType::ChatQueue, &[&session.0.to_be_bytes()])
}

/// How many messages a session has to send, those that wait for their time among them.
pub(super) fn outbox_size(tenant: TenantId, session: SessionId) -> Vec<u8> {
    key(tenant, RecordType::OutboxSize, &[&session.0.to_be_bytes()])
}

/// What is to happen at a moment, of all tenants in the order of time: one worker looks at the first.
pub(super) fn timers() -> Vec<u8> {
    key(TenantId::OPERATOR, RecordType::Timer, &[])
}

pub(super) fn timer(at: Timestamp, tenant: TenantId, message: MessageId, kind: u8) -> Vec<u8> {
    let parts: [&[u8]; 4] = [&at.0.to_be_bytes(), &tenant.0.to_be_bytes(), &message.0.to_be_bytes(), &[kind]];
    key(TenantId::OPERATOR, RecordType::Timer, &parts)
}

/// The moment of a timer.
pub(super) fn timer_moment(timer: &[u8]) -> Timestamp {
    let at = timer.get(HEAD_BYTES..HEAD_BYTES + 8).and_then(|bytes| bytes.try_into().ok());
    Timestamp(at.map_or(0, u64::from_be_bytes))
}

pub(super) fn batch(tenant: TenantId, id: BatchId) -> Vec<u8> {
    key(tenant, RecordType::Batch, &[&id.0.to_be_bytes()])
}

pub(super) fn batch_count(tenant: TenantId, id: BatchId, state: MessageState) -> Vec<u8> {
    key(tenant, RecordType::BatchCount, &[&id.0.to_be_bytes(), state.name().as_bytes()])
}

/// `prefix` and a number, as an append makes them.
pub(super) fn numbered(mut prefix: Vec<u8>, n: u64) -> Vec<u8> {
    prefix.extend_from_slice(&n.to_be_bytes());
    prefix
}

pub(super) fn outbox_counter(tenant: TenantId, session: SessionId) -> Vec<u8> {
    key(tenant, RecordType::OutboxCounter, &[&session.0.to_be_bytes()])
}

/// Messages of a session that the server took and no device of the receiver has confirmed, in the order of acceptance.
pub(super) fn all_unconfirmed(tenant: TenantId, session: SessionId) -> Vec<u8> {
    key(tenant, RecordType::Unconfirmed, &[&session.0.to_be_bytes()])
}

pub(super) fn unconfirmed(tenant: TenantId, session: SessionId, message: MessageId) -> Vec<u8> {
    key(tenant, RecordType::Unconfirmed, &[&session.0.to_be_bytes(), &message.0.to_be_bytes()])
}

/// When the server last took a message of a session.
pub(super) fn last_send(tenant: TenantId, session: SessionId) -> Vec<u8> {
    key(tenant, RecordType::LastSend, &[&session.0.to_be_bytes()])
}

/// Every count of one window. Windows of a kind lie in the order of time, so that old ones are swept in one stretch.
pub(super) fn quota_counts(tenant: TenantId, window: Window) -> Vec<u8> {
    let kind = match window.kind {
        WindowKind::Minute => 1,
        WindowKind::Day => 2,
        WindowKind::Month => 3,
    };
    key(tenant, RecordType::QuotaCount, &[&[kind], &window.index.to_be_bytes()])
}

/// What is counted for `charge`. What test keys use is counted apart.
pub(super) fn quota_count(tenant: TenantId, charge: &Charge) -> Vec<u8> {
    let mut key = quota_counts(tenant, charge.window);
    match charge.scope {
        Scope::Tenant => {}
        Scope::Session(session) => key.extend_from_slice(&session.0.to_be_bytes()),
        Scope::Api(session, api) => {
            key.extend_from_slice(&session.0.to_be_bytes());
            key.extend_from_slice(&api.to_be_bytes());
        }
        // As long as no other scope's, with and without a test's mark.
        Scope::Plugin(plugin) => {
            key.extend_from_slice(b"plg");
            key.extend_from_slice(&plugin.to_be_bytes());
        }
    }
    if charge.test {
        key.push(1);
    }
    key
}

/// Messages that were sent or received, by session.
pub(super) fn message_count(tenant: TenantId, direction: Direction, session: SessionId) -> Vec<u8> {
    [message_counts(tenant, direction), session.0.to_be_bytes().to_vec()].concat()
}

pub(super) fn message_counts(tenant: TenantId, direction: Direction) -> Vec<u8> {
    key(tenant, RecordType::MessageCount, &[&[direction as u8]])
}

/// How often an API key was used.
pub(super) fn key_uses(tenant: TenantId, id: KeyId) -> Vec<u8> {
    key(tenant, RecordType::KeyUses, &[&id.0.to_be_bytes()])
}

pub(super) fn key_last_used(tenant: TenantId, id: KeyId) -> Vec<u8> {
    key(tenant, RecordType::KeyLastUsed, &[&id.0.to_be_bytes()])
}

pub(super) fn session_count(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::SessionCount, &[])
}

pub(super) fn events(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::Event, &[])
}

pub(super) fn event_counter(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::EventCounter, &[])
}

/// How many bytes the event log holds.
pub(super) fn event_bytes(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::EventBytes, &[])
}

/// The events of one chat, by their numbers in the log. A person's chat is listed under each name that was known.
pub(super) fn events_by_chat(tenant: TenantId, chat: &str) -> Vec<u8> {
    key(tenant, RecordType::EventByChat, &[&length(chat), chat.as_bytes()])
}

pub(super) fn event_by_chat(tenant: TenantId, chat: &str, n: u64) -> Vec<u8> {
    key(tenant, RecordType::EventByChat, &[&length(chat), chat.as_bytes(), &n.to_be_bytes()])
}

/// A WhatsApp id is unique only together with its chat and its sender. The sender is last, so that who wrote a message can be
/// found by the other two.
pub(super) fn inbound_seen(tenant: TenantId, session: SessionId, chat: &str, from: &str, whatsapp_id: &str) -> Vec<u8> {
    let mut key = inbound_seen_by_id(tenant, session, chat, whatsapp_id);
    key.extend_from_slice(from.as_bytes());
    key
}

pub(super) fn inbound_seen_by_id(tenant: TenantId, session: SessionId, chat: &str, whatsapp_id: &str) -> Vec<u8> {
    let parts: [&[u8]; 5] =
        [&session.0.to_be_bytes(), &length(chat), chat.as_bytes(), &length(whatsapp_id), whatsapp_id.as_bytes()];
    key(tenant, RecordType::InboundSeen, &parts)
}

pub(super) fn all_inbound_seen(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::InboundSeen, &[])
}

pub(super) fn inbound_seen_of(tenant: TenantId, session: SessionId) -> Vec<u8> {
    key(tenant, RecordType::InboundSeen, &[&session.0.to_be_bytes()])
}

pub(super) fn blob(tenant: TenantId, id: &BlobId) -> Vec<u8> {
    key(tenant, RecordType::Blob, &[id.as_str().as_bytes()])
}

/// Blobs of a tenant in the order in which they end.
pub(super) fn blob_expiries(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::BlobExpiry, &[])
}

pub(super) fn blob_expiry_from(tenant: TenantId, at: Timestamp) -> Vec<u8> {
    key(tenant, RecordType::BlobExpiry, &[&at.0.to_be_bytes()])
}

pub(super) fn blob_expiry(tenant: TenantId, at: Timestamp, id: &BlobId) -> Vec<u8> {
    key(tenant, RecordType::BlobExpiry, &[&at.0.to_be_bytes(), id.as_str().as_bytes()])
}

/// How many references there are to the same bytes, whoever keeps them.
pub(super) fn blob_uses(sha256: &str) -> Vec<u8> {
    key(TenantId::OPERATOR, RecordType::BlobUses, &[sha256.as_bytes()])
}

/// How many bytes a tenant keeps.
pub(super) fn blob_bytes(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::BlobBytes, &[])
}

pub(super) fn webhooks(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::Webhook, &[])
}

/// How many endpoints a tenant has.
pub(super) fn webhook_count(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::WebhookCount, &[])
}

/// What an endpoint has one of, or the place of what it has many of.
pub(super) fn of_webhook(tenant: TenantId, record: RecordType, id: WebhookId) -> Vec<u8> {
    key(tenant, record, &[&id.0.to_be_bytes()])
}

/// One of an endpoint's deliveries or attempts.
pub(super) fn in_webhook(tenant: TenantId, record: RecordType, id: WebhookId, n: u64) -> Vec<u8> {
    key(tenant, record, &[&id.0.to_be_bytes(), &n.to_be_bytes()])
}

/// What tells idempotency keys of one tenant apart. No session has the id 0.
fn once_parts(once: &OnceKey) -> Vec<u8> {
    let session = once.session.map_or(0, |session| session.0);
    [session.to_be_bytes().as_slice(), &once.sha256].concat()
}

pub(super) fn once_answer(once: &OnceKey) -> Vec<u8> {
    key(once.tenant, RecordType::OnceAnswer, &[&once_parts(once)])
}

pub(super) fn once_mark(once: &OnceKey, n: u32) -> Vec<u8> {
    key(once.tenant, RecordType::OnceMark, &[&once_parts(once), &n.to_be_bytes()])
}

pub(super) fn once_marks(once: &OnceKey) -> Vec<u8> {
    key(once.tenant, RecordType::OnceMark, &[&once_parts(once)])
}

/// Idempotency keys in the order of their use.
pub(super) fn once_since(at: Timestamp, once: &OnceKey) -> Vec<u8> {
    key(once.tenant, RecordType::OnceSince, &[&at.0.to_be_bytes(), &once_parts(once)])
}

pub(super) fn once_since_prefix(tenant: TenantId) -> Vec<u8> {
    key(tenant, RecordType::OnceSince, &[])
}

/// When which idempotency key was used, by a key of [`once_since`].
pub(super) fn once_since_parts(tenant: TenantId, key: &[u8]) -> Option<(Timestamp, OnceKey)> {
    let (at, rest) = key.get(HEAD_BYTES..)?.split_first_chunk::<8>()?;
    let (session, sha256) = rest.split_first_chunk::<8>()?;
    let session = Some(u64::from_be_bytes(*session)).filter(|session| *session != 0).map(SessionId);
    let once = OnceKey { tenant, session, sha256: sha256.try_into().ok()? };
    Some((Timestamp(u64::from_be_bytes(*at)), once))
}

/// What is left of things that were deleted, of all tenants: few at a time, and one worker looks for them.
pub(super) fn cleanups() -> Vec<u8> {
    key(TenantId::OPERATOR, RecordType::Cleanup, &[])
}

/// What is left of one thing: `kind` tells things of different kinds apart, `id` those of one kind.
pub(super) fn cleanup(kind: u8, id: &[u8]) -> Vec<u8> {
    key(TenantId::OPERATOR, RecordType::Cleanup, &[&[kind], id])
}

/// The tenant and the number at the end of a key.
pub(super) fn tenant_and_number(key: &[u8]) -> (TenantId, u64) {
    let tenant = key.get(..key.len().saturating_sub(8)).map_or(0, trailing_number);
    (TenantId(tenant), trailing_number(key))
}

/// The number at the end of a key.
pub(super) fn trailing_number(key: &[u8]) -> u64 {
    key.last_chunk::<8>().copied().map_or(0, u64::from_be_bytes)
}
