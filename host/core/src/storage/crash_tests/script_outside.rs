//! The part of the script that is about what leaves the host and what is counted: webhooks, idempotency keys, quota, blobs and
//! what plugins keep.

use super::script::{Done, SUBSCRIPTION, Script, TENANT, at, message};
use crate::entropy::{Entropy, SeededEntropy};
use crate::records::blob::{Blob, BlobFacts, BlobId, BlobKind};
use crate::records::id::{SessionId, TenantId, WebhookId};
use crate::records::message::Message;
use crate::records::once::{KeptAnswer, ONCE_KEPT, Once, OnceKey};
use crate::records::plugin::{KvExpected, KvValue, KvWrite};
use crate::records::webhook::{Attempt, Delivery, TEST_NUMBER_FIRST, WebhookEndpoint, WebhookSeal, WebhookSecret};
use crate::rules::calendar::WindowKind;
use crate::rules::quota::{Charge, Scope};
use crate::storage::{Acceptance, KvEffects, KvError, OwedDelivery, Replay, Settlement, StorageError};

/// Endpoints that the tenant has at most, few enough that each has something to do.
const ENDPOINTS: usize = 3;
/// What the WhatsApp ids of messages begin with that are charged to the quota.
pub(super) const CHARGED: &str = "QUOTA";
/// Messages that a day allows.
pub(super) const DAY_MAX: u64 = 24;
/// Bytes that the tenant may keep.
const BLOB_BYTES_MAX: u64 = 40_000;
/// Bytes that a plugin may keep.
const KV_BYTES_MAX: u64 = 4_000;
/// Operations after which the script lets an idempotency key end.
const ONCE_OPERATIONS: u64 = 90;

impl Script {
    pub(super) async fn endpoints(&self, n: u64, session: SessionId, dice: &SeededEntropy) -> Done {
        let endpoints = self.storage.webhooks(TENANT).await?;
        if endpoints.len() < ENDPOINTS {
            let bound = dice.next_u64().is_multiple_of(4).then_some(session);
            return self.storage.create_webhook(&endpoint(n, bound), &seal(n)).await.map(drop);
        }
        let Some(old) = some(&endpoints, dice) else { return Ok(()) };
        match dice.next_u64() % 3 {
            0 => self.storage.delete_webhook(TENANT, old.id).await.map(drop),
            1 => self.storage.switch_off_webhook(TENANT, old.id, "the receiver answered 410 Gone", at(n)).await.map(drop),
            _ => {
                let change = |endpoint: &mut WebhookEndpoint, sealed: &mut WebhookSeal| {
                    (endpoint.active, endpoint.updated_at) = (true, at(n));
                    sealed.secrets.extend(seal(n).secrets);
                };
                self.storage.change_webhook(TENANT, old.id, change).await.map(drop)
            }
        }
    }

    pub(super) async fn deliveries(&self, n: u64, dice: &SeededEntropy) -> Done {
        let endpoints = self.storage.webhooks(TENANT).await?;
        let Some(endpoint) = some(&endpoints, dice) else { return Ok(()) };
        self.storage.step_webhook(endpoint, 20, at(n)).await?;
        for owed in self.storage.owed_deliveries(TENANT, endpoint.id).await?.iter().take(3) {
            let then = match dice.next_u64() % 4 {
                0 => Settlement::Done,
                3 => Settlement::Next,
                1 => Settlement::Until(at(n + 5)),
                _ => Settlement::Dead,
            };
            self.storage.settle_delivery(TENANT, endpoint.id, owed, &attempt(n, owed), then).await?;
        }
        Ok(())
    }

    pub(super) async fn replays(&self, n: u64, dice: &SeededEntropy) -> Done {
        let endpoints = self.storage.webhooks(TENANT).await?;
        let Some(endpoint) = some(&endpoints, dice) else { return Ok(()) };
        let last = self.storage.last_event_number(TENANT).await?;
        let number = 1 + dice.next_u64() % last.max(1);
        let what = match dice.next_u64() % 4 {
            0 => Replay::Event { n: number, force: true },
            1 => Replay::Range { from: number, to: number + 6 },
            2 => Replay::FailedSince(at(n.saturating_sub(100))),
            _ => {
                let test = Delivery::new(format!("test {n}"), None, None, at(n));
                self.storage.owe_test(endpoint, TEST_NUMBER_FIRST + n, &test).await?;
                self.storage.hasten_deliveries(TENANT, endpoint.id, at(n), at(0), 1).await?;
                return self.storage.trim_webhook_log(TENANT, endpoint.id, n / 40, at(n.saturating_sub(200))).await;
            }
        };
        self.storage.replay(endpoint, what, at(n)).await.map(drop)
    }

    /// A request under a key, as often repeated as not.
    pub(super) async fn once(&self, n: u64, session: SessionId, dice: &SeededEntropy) -> Done {
        let key = OnceKey::new(TENANT, None, &format!("order {}", n / 64));
        let once = Once::new(key, &[b"a request"]);
        let step = once.next_step();
        let messages: Vec<Message> = (0..2).map(|part| message(session, n, part)).collect();
        if self.storage.once_mark(&key, step.n, at(n)).await?.is_none() {
            let step = crate::records::once::OnceStep { places: vec![0, 1], ..step };
            let acceptance = Acceptance { messages, once: Some(step), ..Acceptance::default() };
            self.storage.accept(TENANT, &acceptance).await?;
        }
        if dice.next_u64().is_multiple_of(2) {
            let fingerprint = once.fingerprint.clone();
            let answer = KeptAnswer { fingerprint, status: 202, headers: Vec::new(), body: "{}".to_owned(), at: at(n) };
            self.storage.keep_answer(&key, &answer).await?;
        }
        self.storage.sweep_once(TENANT, at(n.saturating_sub(ONCE_OPERATIONS)).plus(ONCE_KEPT)).await.map(drop)
    }

    pub(super) async fn blobs(&self, n: u64, dice: &SeededEntropy) -> Done {
        for id in self.storage.expired_blobs(TENANT, at(n), 2).await? {
            self.storage.delete_blob(TENANT, &id, Some(at(n))).await?;
        }
        let kept = blob(n, dice);
        self.storage.keep_blob(TENANT, &kept, BLOB_BYTES_MAX).await?;
        match dice.next_u64() % 4 {
            0 => self.storage.extend_blob(TENANT, &kept.id, at(n + 300)).await.map(drop),
            1 => self.storage.delete_blob(TENANT, &kept.id, None).await.map(drop),
            _ => Ok(()),
        }
    }

    /// What a plugin keeps, some of it for a time and more than there is room for; and its secrets.
    pub(super) async fn kept(&self, n: u64, dice: &SeededEntropy) -> Done {
        let kv = self.storage.kv(TENANT, SUBSCRIPTION, KV_BYTES_MAX);
        for _ in 0..4 {
            let (key, write) = kv_write(n, dice);
            passed(kv.write(&key, write, None, at(n)).await)?;
        }
        self.storage.sweep_kv(TENANT, at(n)).await?;
        let secret = format!("secret {}", dice.next_u64() % 3);
        if dice.next_u64().is_multiple_of(3) {
            return self.storage.delete_plugin_secret(TenantId::OPERATOR, "plugin 0", &secret).await.map(drop);
        }
        let value = format!("value {n}");
        self.storage.keep_plugin_secret(TenantId::OPERATOR, "plugin 0", &secret, &value, at(n)).await.map(drop)
    }

    /// What a run of the plugin reads and writes, while there is a plugin.
    pub(super) async fn effects(&self, n: u64, dice: &SeededEntropy) -> Result<KvEffects, StorageError> {
        let (kv, mut run) = (self.storage.kv(TENANT, SUBSCRIPTION, KV_BYTES_MAX), KvEffects::default());
        if self.storage.plugin(TenantId::OPERATOR, "plugin 0").await?.is_some() {
            passed(kv.get("key 1", Some(&mut run), at(n)).await)?;
            for _ in 0..2 {
                let (key, write) = kv_write(n, dice);
                passed(kv.write(&key, write, Some(&mut run), at(n)).await)?;
            }
        }
        Ok(run)
    }

    /// Messages that cost something, until nothing is left of the day.
    pub(super) async fn charged(&self, n: u64, session: SessionId, dice: &SeededEntropy) -> Done {
        let count = 1 + dice.next_u64() % 3;
        let charge = |kind: WindowKind, scope, max| Charge { scope, window: kind.at(at(n)), count, max, test: false };
        let charges = vec![
            charge(WindowKind::Minute, Scope::Session(session), None),
            charge(WindowKind::Day, Scope::Tenant, Some(DAY_MAX)),
            charge(WindowKind::Month, Scope::Tenant, None),
        ];
        let messages = (0..count).map(|part| message(session, n, part));
        let messages =
            messages.map(|message| Message { whatsapp_id: format!("{CHARGED}{}", message.id), ..message }).collect();
        let acceptance = Acceptance { messages, charges: charges.clone(), ..Acceptance::default() };
        let accepted = self.storage.accept(TENANT, &acceptance).await;
        if matches!(accepted, Err(StorageError::Conflict)) {
            assert!(self.storage.reached_limit(TENANT, charges, at(n)).await?.is_some(), "nothing else refuses them");
        }
        self.storage.sweep_counts(TENANT, at(n), 2).await?;
        accepted
    }
}

fn kv_write(n: u64, dice: &SeededEntropy) -> (String, KvWrite) {
    let expires_at = dice.next_u64().is_multiple_of(2).then(|| at(n + 1 + dice.next_u64() % 60));
    let value = KvValue { bytes: vec![n as u8; dice.next_u64() as usize % 900], expires_at };
    let write = match dice.next_u64() % 4 {
        0 => KvWrite::Delete,
        1 => KvWrite::PutIf(KvExpected::Absent, value),
        _ => KvWrite::Put(value),
    };
    (format!("key {}", dice.next_u64() % 12), write)
}

/// What is refused for want of room or of a plugin is done.
fn passed<T>(answer: Result<T, KvError>) -> Done {
    match answer {
        Err(KvError::Storage(error)) => Err(error),
        _ => Ok(()),
    }
}

fn some<'a, T>(all: &'a [T], dice: &SeededEntropy) -> Option<&'a T> {
    all.get(dice.next_u64() as usize % all.len().max(1))
}

fn endpoint(n: u64, session: Option<SessionId>) -> WebhookEndpoint {
    let url = "https://shop.example/".to_owned();
    WebhookEndpoint { session, ..WebhookEndpoint::new(WebhookId(50_000 + n), TENANT, url, at(n)) }
}

fn seal(n: u64) -> WebhookSeal {
    let secret = WebhookSecret { text: format!("whsec_{n}"), created_at: at(n), expires_at: None };
    WebhookSeal { secrets: vec![secret], headers: Vec::new() }
}

fn attempt(n: u64, owed: &OwedDelivery) -> Attempt {
    Attempt {
        n: 0,
        webhook_id: owed.delivery.webhook_id.clone(),
        event: owed.event(),
        event_name: String::new(),
        at: at(n),
        attempt: owed.delivery.tries + 1,
        status: Some(503),
        error: Some("the receiver answered 503".to_owned()),
        took_ms: 3,
        answer: String::new(),
    }
}

fn blob(n: u64, dice: &SeededEntropy) -> Blob {
    let facts = BlobFacts::new(BlobKind::Document, "text/plain");
    Blob {
        id: BlobId::draw(&SeededEntropy::new(n)),
        // The same bytes come again.
        sha256: format!("{:064x}", n / 32 % 3),
        bytes: 1000 + dice.next_u64() % 9000,
        facts,
        file_name: None,
        created_at: at(n),
        expires_at: at(n + 20 + dice.next_u64() % 200),
    }
}
