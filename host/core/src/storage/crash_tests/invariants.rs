//! What must belong together in whatever a storage holds between two operations: counts and what they count, records and what
//! leads to them, and nothing left of what was deleted.

use std::collections::{BTreeMap, BTreeSet};

use super::script::{SUBSCRIPTION, TENANT};
use super::script_outside::{CHARGED, DAY_MAX};
use crate::clock::Timestamp;
use crate::records::account::ApiKey;
use crate::records::blob::Blob;
use crate::records::id::{KeyId, MessageId, TenantId, WebhookId};
use crate::records::message::{BatchRecord, Message, MessageState, Priority};
use crate::records::once::OnceMark;
use crate::records::plugin::{Plugin, PluginVersion};
use crate::records::session::Session;
use crate::records::webhook::TEST_NUMBER_FIRST;
use crate::rules::calendar::WindowKind;
use crate::storage::codec::decode;
use crate::storage::engine::{Entry, KeyRange, count_in};
use crate::storage::keys::{self, RecordType};
use crate::storage::{Storage, StorageError};

/// Everything that is stored, by record type.
struct Stored {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    by_type: BTreeMap<u8, Vec<Entry>>,
    messages: Vec<Message>,
}

/// Looks at everything of the script's tenant.
pub(super) async fn hold(storage: &Storage) {
    let all = storage.engine.range(&KeyRange::everything(usize::MAX)).await.unwrap();
    let mut by_type: BTreeMap<u8, Vec<Entry>> = BTreeMap::new();
    for (key, value) in &all {
        by_type.entry(keys::record_type(key)).or_default().push((key.clone(), value.clone()));
    }
    let mut stored = Stored { entries: all.into_iter().collect(), by_type, messages: Vec::new() };
    stored.messages = stored.records(RecordType::Message);
    assert!(stored.of(RecordType::Cleanup).is_empty(), "nothing is left of what was deleted");
    stored.sessions_belong_together();
    stored.outboxes_are_counted();
    stored.events_are_counted();
    stored.webhooks_belong_together();
    stored.once_marks_name_messages_and_are_found_again();
    stored.charges_are_counted();
    stored.blobs_are_counted();
    stored.versions_belong_together();
    stored.what_plugins_keep_is_counted();
}

/// The eight bytes from `start` on.
fn number(key: &[u8], start: usize) -> u64 {
    u64::from_be_bytes(key[start..start + 8].try_into().unwrap())
}

/// The first number of a key behind tenant and record type.
fn first_number(key: &[u8]) -> u64 {
    number(key, 9)
}

impl Stored {
    fn of(&self, record: RecordType) -> &[Entry] {
        self.by_type.get(&(record as u8)).map_or(&[], Vec::as_slice)
    }

    fn records<T: serde::de::DeserializeOwned>(&self, record: RecordType) -> Vec<T> {
        let decoded: Result<_, StorageError> = self.of(record).iter().map(|(key, value)| decode(key, value)).collect();
        decoded.unwrap()
    }

    fn count(&self, key: &[u8]) -> u64 {
        count_in(self.entries.get(key).map(Vec::as_slice))
    }

    fn sessions_belong_together(&self) {
        let sessions: Vec<Session> = self.records(RecordType::Session);
        assert_eq!(self.count(&keys::session_count(TENANT)), sessions.len() as u64);
        let ids: BTreeSet<u64> = sessions.iter().map(|session| session.id.0).collect();
        let epochs: BTreeSet<u64> = self.of(RecordType::OwnerEpoch).iter().map(|(key, _)| first_number(key)).collect();
        assert_eq!(ids, epochs);
        for record in [
            RecordType::SessionKey,
            RecordType::Device,
            RecordType::MessageByWhatsappId,
            RecordType::Outbox,
            RecordType::OutboxCounter,
            RecordType::OutboxSize,
            RecordType::ChatQueue,
            RecordType::Unconfirmed,
            RecordType::LastSend,
            RecordType::InboundSeen,
            RecordType::KnownPoll,
        ] {
            for (key, _) in self.of(record) {
                assert!(ids.contains(&first_number(key)), "{record:?} of a session that is gone");
            }
        }
        let keys_there: Vec<ApiKey> = self.records(RecordType::Key);
        let found: BTreeSet<(TenantId, KeyId)> = self.records(RecordType::KeyByHash).into_iter().collect();
        assert_eq!(keys_there.iter().map(|key| (key.tenant, key.id)).collect::<BTreeSet<_>>(), found);
        assert!(keys_there.iter().all(|key| key.session.is_none_or(|session| ids.contains(&session.0))));
    }

    fn outboxes_are_counted(&self) {
        let mut sizes: BTreeMap<u64, u64> = BTreeMap::new();
        let mut in_lanes = BTreeSet::new();
        let mut places = BTreeSet::new();
        for (key, value) in self.of(RecordType::Outbox) {
            let (id, _): (MessageId, String) = decode(key, value).unwrap();
            *sizes.entry(first_number(key)).or_default() += 1;
            in_lanes.insert(id);
            places.insert((first_number(key), keys::trailing_number(key), id, keys::lane_of(key)));
        }
        let mut in_chats = BTreeSet::new();
        for (key, value) in self.of(RecordType::ChatQueue) {
            let (id, lane): (MessageId, Priority) = decode(key, value).unwrap();
            in_chats.insert((first_number(key), keys::trailing_number(key), id, lane));
        }
        assert_eq!(places, in_chats, "each entry lies in its lane and in its chat");
        let sessions: BTreeSet<u64> = self.of(RecordType::Session).iter().map(|(key, _)| first_number(key)).collect();
        for message in &self.messages {
            if !message.state.is_pending() || in_lanes.contains(&message.id) || !sessions.contains(&message.session.0) {
                continue;
            }
            assert!(message.schedule.send_at.is_some(), "{} waits for nothing and is not in the outbox", message.id);
            assert_eq!(message.state, MessageState::Queued);
            *sizes.entry(message.session.0).or_default() += 1;
        }
        let counted = self.of(RecordType::OutboxSize).iter().map(|(key, value)| (first_number(key), count_in(Some(value))));
        assert_eq!(sizes, counted.collect());
        for batch in self.records::<BatchRecord>(RecordType::Batch) {
            let of_batch =
                |state| self.messages.iter().filter(|it| it.batch == Some(batch.id) && it.state == state).count() as u64;
            for state in MessageState::ALL {
                assert_eq!(self.count(&keys::batch_count(TENANT, batch.id, state)), of_batch(state));
            }
        }
    }

    fn events_are_counted(&self) {
        let events = self.of(RecordType::Event);
        let bytes: usize = events.iter().map(|(_, value)| value.len()).sum();
        assert_eq!(self.count(&keys::event_bytes(TENANT)), bytes as u64);
        let last = events.last().map_or(0, |(key, _)| keys::trailing_number(key));
        assert_eq!(self.count(&keys::event_counter(TENANT)), last);
        assert_eq!(events.len() as u64, last, "the script trims nothing, and numbers have no holes");
    }

    fn webhooks_belong_together(&self) {
        use RecordType::{
            Attempt, AttemptCounter, DeadDelivery, Delivery, Webhook, WebhookCount, WebhookCursor, WebhookSeal,
        };
        let ids = |record| -> BTreeSet<u64> { self.of(record).iter().map(|(key, _)| first_number(key)).collect() };
        let there = ids(Webhook);
        assert_eq!(self.count(&keys::webhook_count(TENANT)), there.len() as u64);
        assert_eq!((&ids(WebhookSeal), &ids(WebhookCursor)), (&there, &there));
        for record in [Delivery, DeadDelivery, Attempt, AttemptCounter] {
            assert!(ids(record).is_subset(&there), "{record:?} of an endpoint that is gone");
        }
        let last_event = self.count(&keys::event_counter(TENANT));
        for id in there.iter().copied().map(WebhookId) {
            let of = |record| -> BTreeSet<u64> {
                let own = self.of(record).iter().filter(|(key, _)| first_number(key) == id.0);
                own.map(|(key, _)| keys::trailing_number(key)).collect()
            };
            let (owed, dead) = (of(Delivery), of(DeadDelivery));
            assert_eq!(self.count(&keys::of_webhook(TENANT, WebhookCount, id)), owed.len() as u64);
            assert!(owed.is_disjoint(&dead), "what is owed was not given up");
            let cursor = keys::of_webhook(TENANT, WebhookCursor, id);
            let passed: u64 = decode(&cursor, &self.entries[&cursor]).unwrap();
            assert!(passed <= last_event);
            assert!(owed.union(&dead).all(|n| *n <= passed || *n >= TEST_NUMBER_FIRST));
            let attempts = self.count(&keys::of_webhook(TENANT, AttemptCounter, id));
            assert!(of(Attempt).last().is_none_or(|last| *last <= attempts));
        }
    }

    fn once_marks_name_messages_and_are_found_again(&self) {
        let messages: BTreeSet<MessageId> = self.messages.iter().map(|message| message.id).collect();
        for mark in self.records::<OnceMark>(RecordType::OnceMark) {
            assert_eq!(mark.messages.len(), 2, "a mark names what was made with it");
            assert!(mark.messages.iter().all(|(_, id)| messages.contains(id)), "a mark without its message");
        }
        let uses = self.of(RecordType::OnceSince).iter().map(|(key, _)| keys::once_since_parts(TENANT, key).unwrap());
        let used: BTreeSet<Vec<u8>> = uses.map(|(_, key)| keys::once_answer(&key)[9..].to_vec()).collect();
        for (key, _) in self.of(RecordType::OnceMark).iter().chain(self.of(RecordType::OnceAnswer)) {
            assert!(used.contains(&key[9..9 + 8 + 32]), "a key that no sweep finds");
        }
    }

    fn charges_are_counted(&self) {
        let charged = self.messages.iter().filter(|message| message.whatsapp_id.starts_with(CHARGED)).count() as u64;
        let counted = |kind: WindowKind| -> u64 {
            let first = keys::quota_counts(TENANT, kind.at(Timestamp(0)));
            let of_kind = &first[..10];
            let counts = self.of(RecordType::QuotaCount).iter().filter(|(key, _)| key.starts_with(of_kind));
            counts.map(|(_, value)| count_in(Some(value))).sum()
        };
        assert_eq!((counted(WindowKind::Day), counted(WindowKind::Month)), (charged, charged));
        assert!(charged <= DAY_MAX);
        assert!(counted(WindowKind::Minute) <= charged, "minutes that are over are swept");
    }

    fn versions_belong_together(&self) {
        let owner = TenantId::OPERATOR;
        let (mut uses, mut bytes): (BTreeMap<Vec<u8>, u64>, BTreeMap<Vec<u8>, u64>) = Default::default();
        for version in self.records::<PluginVersion>(RecordType::PluginVersion) {
            *uses.entry(keys::artifact_uses(owner, &version.sha256)).or_default() += 1;
            bytes.insert(keys::artifact_parts(owner, &version.sha256), version.bytes);
        }
        let counted = self.of(RecordType::ArtifactUses).iter().map(|(key, value)| (key.clone(), count_in(Some(value))));
        assert_eq!(uses, counted.collect(), "each version counts as a use of its component");
        assert_eq!(self.count(&keys::artifact_bytes(owner)), bytes.values().sum::<u64>());
        let mut stored: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for (key, part) in self.of(RecordType::ArtifactPart) {
            *stored.entry(key[..key.len() - 4].to_vec()).or_default() += part.len() as u64;
        }
        assert_eq!(stored, bytes, "each component is there as a whole, and none without a version");
        let mut versions = 0;
        for plugin in self.records::<Plugin>(RecordType::Plugin) {
            let numbers: Vec<u64> = self.versions_of(&plugin.name).map(|version| version.n).collect();
            versions += numbers.len();
            assert!(numbers.iter().all(|n| *n <= plugin.latest));
            for sha256 in plugin.before.iter().chain(Some(&plugin.sha256).filter(|active| !active.is_empty())) {
                assert!(self.entries.contains_key(&keys::plugin_version(owner, &plugin.name, sha256)), "{plugin:?}");
            }
        }
        assert_eq!(self.of(RecordType::PluginVersion).len(), versions, "no version of a plugin that is gone");
    }

    fn versions_of(&self, name: &str) -> impl Iterator<Item = PluginVersion> {
        let prefix = keys::plugin_versions(TenantId::OPERATOR, name);
        let own = self.of(RecordType::PluginVersion).iter().filter(move |(key, _)| key.starts_with(&prefix));
        own.map(|(key, value)| decode(key, value).unwrap())
    }

    fn what_plugins_keep_is_counted(&self) {
        const HEAD_BYTES: usize = 9;
        let prefix = keys::kvs(TENANT, SUBSCRIPTION);
        let (mut bytes, mut ends) = (0, BTreeSet::new());
        for (key, row) in self.of(RecordType::Kv) {
            let name = std::str::from_utf8(key.strip_prefix(&*prefix).unwrap()).unwrap();
            bytes += (name.len() + row.len() - HEAD_BYTES) as u64;
            match number(row, 1) {
                0 => {}
                at => drop(ends.insert(keys::kv_expiry(TENANT, Timestamp(at), SUBSCRIPTION, name))),
            }
        }
        assert_eq!(self.count(&keys::kv_bytes(TENANT, SUBSCRIPTION)), bytes);
        assert_eq!(ends, self.of(RecordType::KvExpiry).iter().map(|(key, _)| key.clone()).collect());
        let there = self.entries.contains_key(&keys::plugin(TenantId::OPERATOR, "plugin 0"));
        assert!(there || bytes == 0, "nothing is kept for a plugin that is gone");
        let secrets = self.of(RecordType::PluginSecret).len() as u64;
        assert_eq!(self.count(&keys::plugin_secret_count(TenantId::OPERATOR, "plugin 0")), secrets);
        assert!(there || secrets == 0, "no secret of a plugin that is gone");
    }

    fn blobs_are_counted(&self) {
        let blobs: Vec<Blob> = self.records(RecordType::Blob);
        assert_eq!(self.count(&keys::blob_bytes(TENANT)), blobs.iter().map(|blob| blob.bytes).sum::<u64>());
        let ends: BTreeSet<&Vec<u8>> = self.of(RecordType::BlobExpiry).iter().map(|(key, _)| key).collect();
        let expected: Vec<_> = blobs.iter().map(|blob| keys::blob_expiry(TENANT, blob.expires_at, &blob.id)).collect();
        assert_eq!(ends, expected.iter().collect());
        let mut uses: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for blob in &blobs {
            *uses.entry(keys::blob_uses(&blob.sha256)).or_default() += 1;
        }
        let counted = self.of(RecordType::BlobUses).iter().map(|(key, value)| (key.clone(), count_in(Some(value))));
        assert_eq!(uses, counted.collect());
    }
}
