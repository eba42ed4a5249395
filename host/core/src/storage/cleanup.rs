//! What is left of something that was deleted, removed a few rows at a time: no commit grows with what there was.
//!
//! The commit that deletes takes the record away by which all the rest is found, so that nobody sees, uses or adds to it any
//! more, and writes down what is left. Each step removes a bounded number of rows while that note is there; the last one removes
//! the note. Whoever deletes waits for the end; what was broken off is gone on with by [`Storage::finish_cleanups`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::codec::{decode, encode};
use super::engine::{Batch, Check, KeyRange};
use super::keys::RecordType;
use super::plugins::PARTS_AT_ONCE;
use super::{CONFLICT_TRIES_MAX, Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::account::ApiKey;
use crate::records::id::{MessageId, SessionId, TenantId, WebhookId};
use crate::records::message::{Message, MessageState};
use crate::records::plugin::Plugin;

/// Rows that one commit removes. Tests have few rows, and want many steps.
pub(super) const CLEANUP_ROWS_MAX: usize = if cfg!(test) { 16 } else { 256 };
/// Rows that an API key has: its record, the way to it, and how it was used.
const KEY_ROWS: usize = 4;
/// Longest that an upload takes from its first part to its version.
const UPLOAD_TIME_MAX: Duration = Duration::from_secs(600);
/// Messages that one commit lets fail: each has several rows, and an event.
const CLEANUP_MESSAGES_MAX: usize = if cfg!(test) { 4 } else { 32 };

/// What is left, and of what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub(super) enum Leftover {
    /// Everything of a session but its record, its own key and its epoch.
    Session {
        /// Whose it was.
        tenant: TenantId,
        /// The session.
        session: SessionId,
        /// When it was deleted.
        at: Timestamp,
    },
    /// The rows of a session's device that is no longer linked.
    Device {
        /// Whose it is.
        tenant: TenantId,
        /// The session.
        session: SessionId,
    },
    /// What a webhook endpoint was owed and what it logged.
    Webhook {
        /// Whose it was.
        tenant: TenantId,
        /// The endpoint.
        webhook: WebhookId,
    },
    /// A component that no version has, or that an upload is storing.
    Artifact {
        /// Whose it is.
        tenant: TenantId,
        /// Its hexadecimal SHA-256.
        sha256: String,
        /// When the upload began; the beginning of time for one that no version has any more.
        at: Timestamp,
    },
    /// The versions of a plugin, and what is left of its subscription.
    Plugin {
        /// Whose plugin it was; the operator's served every tenant.
        owner: TenantId,
        /// Its name.
        name: String,
        /// The name of its subscription.
        subscription: String,
    },
    /// Where a plugin stood in the event logs, and the runs it owed: as hosts before versions wrote it down.
    Subscription {
        /// Whose plugin it was; the operator's served every tenant.
        owner: TenantId,
        /// The name of the subscription.
        name: String,
    },
}

impl Leftover {
    /// Where the note lies.
    fn key(&self) -> Vec<u8> {
        let (kind, id): (u8, &[&[u8]]) = match self {
            Self::Session { tenant, session, .. } => (1, &[&tenant.0.to_be_bytes(), &session.0.to_be_bytes()]),
            Self::Device { tenant, session } => (2, &[&tenant.0.to_be_bytes(), &session.0.to_be_bytes()]),
            Self::Webhook { tenant, webhook } => (3, &[&tenant.0.to_be_bytes(), &webhook.0.to_be_bytes()]),
            Self::Artifact { tenant, sha256, .. } => (5, &[&tenant.0.to_be_bytes(), sha256.as_bytes()]),
            Self::Plugin { subscription: name, .. } | Self::Subscription { name, .. } => {
                return Self::subscription_key(name);
            }
        };
        keys::cleanup(kind, &id.concat())
    }

    /// Where the note of a subscription lies, whosever it was: its name says that, too.
    pub(super) fn subscription_key(name: &str) -> Vec<u8> {
        keys::cleanup(4, name.as_bytes())
    }

    /// Where the note of a plugin lies.
    pub(super) fn plugin_key(owner: TenantId, name: &str) -> Vec<u8> {
        Self::subscription_key(&Plugin::full_name_of(owner, name))
    }

    /// Holds while exactly this is left.
    pub(super) fn held(&self) -> Result<Check, StorageError> {
        let key = self.key();
        let value = encode(&key, self)?;
        Ok(Check::Equals { key, value })
    }

    /// Removes the note: nothing is left, or what was left is used.
    pub(super) fn remove(&self, batch: &mut Batch) {
        batch.delete(self.key());
    }

    /// Whether an upload may be under way that goes on with what is left: none is that began before the host did.
    fn may_be_used(&self, began: Timestamp, now: Timestamp) -> bool {
        matches!(self, Self::Artifact { at, .. } if *at >= began && now < at.plus(UPLOAD_TIME_MAX))
    }

    /// Writes the note into the batch that deletes.
    pub(super) fn put(&self, batch: &mut Batch) -> Result<(), StorageError> {
        let key = self.key();
        batch.put(key.clone(), encode(&key, self)?);
        Ok(())
    }

    /// Holds while nothing is left.
    pub(super) fn absent(&self) -> Check {
        Check::Absent { key: self.key() }
    }

    /// The same for a subscription.
    pub(super) fn absent_subscription(name: &str) -> Check {
        Check::Absent { key: Self::subscription_key(name) }
    }
}

/// A cleanup under way: whatever it commits is kept only while its note is there. Without that, one that was overtaken would
/// remove rows of whoever came next.
struct Cleanup<'a> {
    storage: &'a Storage,
    note: Vec<u8>,
    held: Check,
}

impl Storage {
    /// Goes on with every deletion that was broken off. Returns how many it finished.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn finish_cleanups(&self) -> Result<usize, StorageError> {
        let mut finished = 0;
        while let Some((note, _)) = self.engine.range(&KeyRange::prefix(&keys::cleanups(), 1)).await?.pop() {
            self.finish_cleanup_at(&note).await?;
            finished += 1;
        }
        Ok(finished)
    }

    /// The same while uploads go on: components that one may be storing now are passed over. `began` is when the host began to
    /// work on this storage.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn finish_old_cleanups(&self, began: Timestamp, now: Timestamp) -> Result<usize, StorageError> {
        let (mut finished, mut range) = (0, KeyRange::prefix(&keys::cleanups(), 1));
        while let Some((note, value)) = self.engine.range(&range).await?.pop() {
            range = range.after(&note);
            if !decode::<Leftover>(&note, &value)?.may_be_used(began, now) {
                self.finish_cleanup_at(&note).await?;
                finished += 1;
            }
        }
        Ok(finished)
    }

    /// Removes what is left, to its end. Nothing left is no error.
    pub(super) async fn finish_cleanup(&self, left: &Leftover) -> Result<(), StorageError> {
        self.finish_cleanup_at(&left.key()).await
    }

    /// The same, by the place of the note.
    pub(super) async fn finish_cleanup_at(&self, note: &[u8]) -> Result<(), StorageError> {
        let mut first = None;
        for _ in 0..CONFLICT_TRIES_MAX {
            let Some(value) = self.engine.get(note).await? else { return Ok(()) };
            let left: Leftover = decode(note, &value)?;
            if *first.get_or_insert_with(|| left.clone()) != left {
                // Somebody else has finished it, and what is there now is of somebody who came later.
                return Ok(());
            }
            let held = Check::Equals { key: note.to_vec(), value };
            let cleanup = Cleanup { storage: self, note: note.to_vec(), held };
            match cleanup.run(&left).await {
                // A message changed meanwhile, or somebody else has finished it: look again.
                Err(StorageError::Conflict) => {}
                done => return done,
            }
        }
        Err(StorageError::Conflict)
    }
}

impl Cleanup<'_> {
    async fn run(&self, left: &Leftover) -> Result<(), StorageError> {
        let mut last = self.batch();
        match left {
            Leftover::Session { tenant, session, at } => {
                self.fail_messages(*tenant, *session, *at).await?;
                self.remove_keys(*tenant, *session).await?;
                self.remove_webhooks(*tenant, *session).await?;
                for prefix in [
                    keys::device(*tenant, *session),
                    keys::chat_queues(*tenant, *session),
                    keys::all_unconfirmed(*tenant, *session),
                    keys::messages_by_whatsapp_id(*tenant, *session),
                    keys::inbound_seen_of(*tenant, *session),
                    keys::known_polls_of(*tenant, *session),
                    keys::poll_votes_of(*tenant, *session),
                    keys::contacts(*tenant, *session),
                    keys::contacts_of_lid(*tenant, *session),
                ] {
                    self.remove_all(&prefix).await?;
                }
                last.delete(keys::outbox_counter(*tenant, *session));
                last.delete(keys::outbox_size(*tenant, *session));
                last.delete(keys::test_sends(*tenant, *session));
                last.delete(keys::last_send(*tenant, *session));
                last.delete(keys::contact_count(*tenant, *session));
            }
            Leftover::Device { tenant, session } => self.remove_all(&keys::device(*tenant, *session)).await?,
            Leftover::Webhook { tenant, webhook } => {
                // What is owed first: without it no attempt that is still under way is written down.
                for record in [RecordType::Delivery, RecordType::DeadDelivery, RecordType::Attempt] {
                    self.remove_all(&keys::of_webhook(*tenant, record, *webhook)).await?;
                }
                last.delete(keys::of_webhook(*tenant, RecordType::AttemptCounter, *webhook));
                last.delete(keys::of_webhook(*tenant, RecordType::WebhookCount, *webhook));
            }
            Leftover::Artifact { tenant, sha256, .. } => {
                self.remove_rows(&keys::artifact_parts(*tenant, sha256), PARTS_AT_ONCE).await?;
            }
            Leftover::Plugin { owner, name, subscription } => {
                self.remove_versions(*owner, name).await?;
                self.remove_subscriptions(*owner, subscription).await?;
                self.remove_calls(*owner, name).await?;
                self.remove_kept(*owner, &Plugin::full_name_of(*owner, name)).await?;
                self.remove_all(&keys::plugin_secrets(*owner, name)).await?;
                last.delete(keys::plugin_secret_count(*owner, name));
            }
            Leftover::Subscription { owner, name } => self.remove_subscriptions(*owner, name).await?,
        }
        last.delete(self.note.clone());
        self.storage.engine.commit(last).await.map(|_| ())
    }

    fn batch(&self) -> Batch {
        let mut batch = Batch::default();
        batch.check(self.held.clone());
        batch
    }

    /// Removes every key that begins with `prefix`.
    async fn remove_all(&self, prefix: &[u8]) -> Result<(), StorageError> {
        self.remove_rows(prefix, CLEANUP_ROWS_MAX).await
    }

    /// The same, `at_once` rows in a commit.
    async fn remove_rows(&self, prefix: &[u8], at_once: usize) -> Result<(), StorageError> {
        loop {
            let rows = self.storage.engine.range(&KeyRange::prefix(prefix, at_once)).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let mut batch = self.batch();
            let last = rows.len() < at_once;
            rows.into_iter().for_each(|(key, _)| batch.delete(key));
            self.storage.engine.commit(batch).await?;
            if last {
                return Ok(());
            }
        }
    }

    /// Removes the versions of a plugin, and the components that no other version has.
    async fn remove_versions(&self, owner: TenantId, name: &str) -> Result<(), StorageError> {
        for version in self.storage.plugin_versions(owner, name).await? {
            let mut batch = self.batch();
            let left = self.storage.drop_version(&mut batch, owner, name, &version).await?;
            self.storage.engine.commit(batch).await?;
            if let Some(left) = left {
                Box::pin(self.storage.finish_cleanup(&left)).await?;
            }
        }
        Ok(())
    }

    /// Forgets the calls of a plugin, and how many they were.
    async fn remove_calls(&self, owner: TenantId, name: &str) -> Result<(), StorageError> {
        self.remove_all(&keys::logged_calls_of(owner, name)).await?;
        let mut batch = self.batch();
        batch.delete(keys::logged_call_counter(owner, name));
        [false, true].into_iter().for_each(|failed| batch.delete(keys::logged_call_count(owner, name, failed)));
        self.storage.engine.commit(batch).await.map(|_| ())
    }

    async fn remove_subscriptions(&self, owner: TenantId, name: &str) -> Result<(), StorageError> {
        if owner != TenantId::OPERATOR {
            return self.remove_subscription(owner, name).await;
        }
        for tenant in self.storage.tenants().await? {
            self.remove_subscription(tenant.id, name).await?;
        }
        Ok(())
    }

    async fn remove_subscription(&self, tenant: TenantId, name: &str) -> Result<(), StorageError> {
        let cursor = keys::cursor(tenant, name);
        if self.storage.engine.get(&cursor).await?.is_some() {
            let mut batch = self.batch();
            batch.delete(cursor);
            self.storage.engine.commit(batch).await?;
        }
        // What is owed first: without it no run that is still under way is parked.
        self.remove_all(&keys::works(tenant, name)).await?;
        self.remove_all(&keys::parked_works(tenant, name)).await
    }

    /// Removes what a plugin kept, for whomever.
    async fn remove_kept(&self, owner: TenantId, plugin: &str) -> Result<(), StorageError> {
        self.remove_kv(owner, plugin).await?;
        if owner == TenantId::OPERATOR {
            for tenant in self.storage.tenants().await? {
                self.remove_kv(tenant.id, plugin).await?;
            }
        }
        Ok(())
    }

    async fn remove_kv(&self, tenant: TenantId, plugin: &str) -> Result<(), StorageError> {
        let prefix = keys::kvs(tenant, plugin);
        // Each has a place in the order of ends, too.
        let range = KeyRange::prefix(&prefix, CLEANUP_ROWS_MAX / 2);
        loop {
            let rows = self.storage.engine.range(&range).await?;
            if rows.is_empty() {
                break;
            }
            let mut batch = self.batch();
            for (place, row) in &rows {
                let key = place.get(prefix.len()..).map(String::from_utf8_lossy).unwrap_or_default();
                super::kv::remove_row(&mut batch, tenant, plugin, (&key, row))?;
                batch.delete(place.clone());
            }
            self.storage.engine.commit(batch).await?;
        }
        let count = keys::kv_bytes(tenant, plugin);
        if self.storage.engine.get(&count).await?.is_none() {
            return Ok(());
        }
        let mut batch = self.batch();
        batch.delete(count);
        self.storage.engine.commit(batch).await.map(|_| ())
    }

    /// Removes the API keys that are bound to a session.
    async fn remove_keys(&self, tenant: TenantId, session: SessionId) -> Result<(), StorageError> {
        let mut range = KeyRange::prefix(&keys::api_keys(tenant), CLEANUP_ROWS_MAX / KEY_ROWS);
        loop {
            let page = self.storage.engine.range(&range).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            range = range.after(last);
            let mut batch = self.batch();
            for (key, value) in &page {
                let record: ApiKey = decode(key, value)?;
                if record.session == Some(session) {
                    Storage::remove_key(&mut batch, &record);
                }
            }
            if !batch.writes.is_empty() {
                self.storage.engine.commit(batch).await?;
            }
        }
    }

    /// Removes the webhook endpoints that are bound to a session. None is made for it any more.
    async fn remove_webhooks(&self, tenant: TenantId, session: SessionId) -> Result<(), StorageError> {
        for endpoint in self.storage.webhooks(tenant).await? {
            if endpoint.session == Some(session) {
                // A deletion of its own, with a note of its own.
                Box::pin(self.storage.delete_webhook(tenant, endpoint.id)).await?;
            }
        }
        Ok(())
    }

    /// Empties the outbox of a session that was deleted at `at`: what was not handed over has failed.
    async fn fail_messages(&self, tenant: TenantId, session: SessionId, at: Timestamp) -> Result<(), StorageError> {
        let outbox = KeyRange::prefix(&keys::outbox(tenant, session), CLEANUP_MESSAGES_MAX);
        loop {
            let entries = self.storage.engine.range(&outbox).await?;
            if entries.is_empty() {
                return Ok(());
            }
            let mut batch = self.batch();
            for (entry, value) in entries {
                let (id, chat): (MessageId, String) = decode(&entry, &value)?;
                let n = keys::trailing_number(&entry);
                batch.delete(keys::numbered(keys::chat_queue(tenant, session, &chat), n));
                batch.delete(entry);
                self.fail_message(&mut batch, tenant, id, at).await?;
            }
            self.storage.engine.commit(batch).await?;
        }
    }

    async fn fail_message(
        &self,
        batch: &mut Batch,
        tenant: TenantId,
        id: MessageId,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        let key = keys::message(tenant, id);
        let Some(value) = self.storage.engine.get(&key).await? else { return Ok(()) };
        let mut message: Message = decode(&key, &value)?;
        // What the server has did not fail: it waited to be sent once more.
        if message.state.is_pending() {
            batch.check(Check::Equals { key: key.clone(), value });
            let before = message.state;
            message.reason = Some("the session was deleted".to_owned());
            Storage::drop_timers(batch, tenant, &message);
            Storage::advance(batch, tenant, &mut message, MessageState::Failed, at)?;
            Storage::count_state(batch, tenant, &message, Some(before));
            batch.put(key.clone(), encode(&key, &message)?);
        }
        Ok(())
    }
}
