//! A script of whole operations, each decided by its number: the same storage does the same with it.

use std::collections::{BTreeMap, HashSet};
use std::pin::Pin;
use std::task::{Context, Waker};

use futures_util::future::join_all;

use crate::clock::Timestamp;
use crate::entropy::{Entropy, SeededEntropy};
use crate::records::account::{ApiKey, KeyKind, Tenant};
use crate::records::content::{Content, Extras};
use crate::records::event::Incoming;
use crate::records::id::{BatchId, KeyId, MessageId, SessionId, TenantId};
use crate::records::message::{BatchRecord, Message, MessageState, Priority, Receipt, Schedule};
use crate::records::plugin::{Declared, Plugin, PluginVersion, VERSIONS_MAX, Work};
use crate::records::session::{Session, SessionState};
use crate::storage::fault::FaultDisk;
use crate::storage::{
    Acceptance, DeviceTable, NewKey, NewVersion, RunEffects, SendOutcome, SessionChange, Storage, StorageError,
};

/// Operations of the script.
pub(super) const OPERATIONS: u64 = 512;
/// Whose sessions they are.
pub(super) const TENANT: TenantId = TenantId(7);
pub(super) const SUBSCRIPTION: &str = "operator/plugin 0";
const PEER: &str = "4915100000001@s.whatsapp.net";
/// Accepts that are asked for at once.
const GROUP: u64 = 5;
/// Bytes of a small and of a large component; the large one makes the file grow.
const COMPONENT_BYTES: [u64; 2] = [10_000, 120_000];
/// Most bytes of all components: the large one and some of the others.
const STORE_BYTES_MAX: u64 = 145_000;

/// Runs operations on a storage.
pub(super) struct Script {
    pub(super) storage: Storage,
    pub(super) disk: FaultDisk,
}

pub(super) type Done = Result<(), StorageError>;

impl Script {
    /// Runs operation number `n`. One that finds nothing to do, or loses to what is there, is done.
    pub(super) async fn run(&self, n: u64) -> Done {
        let dice = SeededEntropy::new(n);
        let done = match self.some_session(&dice).await? {
            // The tenant that everything else belongs to.
            _ if n == 0 => self.create_tenant(n).await,
            None => self.create_session(n).await,
            Some(session) => self.run_on(n, session, &dice).await,
        };
        match done {
            Err(StorageError::Conflict) => Ok(()),
            done => done,
        }
    }

    async fn run_on(&self, n: u64, session: SessionId, dice: &SeededEntropy) -> Done {
        match n % 34 {
            0 => self.create_tenant(n).await,
            1 | 13 => self.create_session(n).await,
            2 | 9 => self.storage.accept_messages(TENANT, &[message(session, n, 0)]).await,
            3 => self.accept_bulk(n, session).await,
            4 | 10 => self.accept_group(n, session).await,
            5 | 11 | 17 => self.send(n, session, dice).await,
            6 | 16 => self.receipts(n, session, dice).await,
            7 | 15 => self.inbound(n, session, dice).await,
            8 | 18 => self.responders(n, session, dice).await,
            12 => self.upload(n, dice).await,
            14 | 20 => self.device(n, session, dice).await,
            21 => self.keys(n, session).await,
            22 => self.forget(n, session, dice).await,
            19 if n.is_multiple_of(5) => self.storage.requeue_unconfirmed(TENANT, session).await.map(drop),
            19 => self.change_records(n, session).await,
            24 => self.endpoints(n, session, dice).await,
            25 | 29 => self.deliveries(n, dice).await,
            26 => self.replays(n, dice).await,
            27 | 30 => self.once(n, session, dice).await,
            28 => self.blobs(n, dice).await,
            31 => self.charged(n, session, dice).await,
            23 => self.versions(n, dice).await,
            33 => self.kept(n, dice).await,
            _ => self.wait(n, dice).await,
        }
    }

    /// What the host does when it starts anew: it goes on with deletions that were broken off.
    pub(super) async fn recover(&self) -> Done {
        self.storage.finish_cleanups().await.map(drop)
    }

    async fn some_session(&self, dice: &SeededEntropy) -> Result<Option<SessionId>, StorageError> {
        let sessions = self.storage.sessions(TENANT).await?;
        // Mostly the newest, so that their outboxes have something in them.
        let drawn = sessions.len().saturating_sub(1 + (dice.next_u64() % 3) as usize);
        Ok(sessions.get(drawn).map(|session| session.id))
    }

    pub(super) async fn create_tenant(&self, n: u64) -> Done {
        self.storage.create_tenant(&tenant(n)).await
    }

    async fn create_session(&self, n: u64) -> Done {
        let id = SessionId(1000 + n);
        self.storage.create_session(&session(id), &key(n, KeyKind::Session, Some(id))).await
    }

    async fn accept_bulk(&self, n: u64, session: SessionId) -> Done {
        let record = BatchRecord { id: BatchId(n), session, messages: 12, name: None, accepted_at: at(n) };
        let bulk = |part| {
            let schedule = Schedule {
                priority: Priority::Bulk,
                send_at: (part % 4 == 1).then(|| at(n + part)),
                expires_at: (part % 4 == 2).then(|| at(n + part * 10)),
                gap_ms: None,
                ..Schedule::default()
            };
            Message { batch: Some(BatchId(n)), schedule, ..message(session, n, part) }
        };
        let acceptance = Acceptance { messages: (0..12).map(bulk).collect(), batch: Some(record), ..Acceptance::default() };
        self.storage.accept(TENANT, &acceptance).await
    }

    /// Several accepts at once: one alone, and the others in the group that waits behind it.
    async fn accept_group(&self, n: u64, session: SessionId) -> Done {
        let messages: Vec<Message> = (0..GROUP).map(|part| message(session, n, part)).collect();
        let mut accepts: Vec<Pin<Box<dyn Future<Output = Done> + '_>>> = Vec::new();
        for message in &messages {
            accepts.push(Box::pin(self.storage.accept_messages(TENANT, std::slice::from_ref(message))));
        }
        // Storage that is down comes to no call of the disk that could be waited for.
        if self.storage.health().is_ok() && !self.disk.fired() {
            self.disk.hold();
            for (place, accept) in accepts.iter_mut().enumerate() {
                assert!(accept.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                if place == 0 {
                    self.disk.wait_for_a_call();
                }
            }
            self.disk.release();
        }
        join_all(accepts).await.into_iter().collect()
    }

    async fn send(&self, n: u64, session: SessionId, dice: &SeededEntropy) -> Done {
        let lane = if n.is_multiple_of(2) { Priority::Bulk } else { Priority::Interactive };
        for due in self.storage.lease_sends(TENANT, session, lane, 2, &HashSet::new(), at(n)).await? {
            let outcome = match dice.next_u64() % 6 {
                0 => SendOutcome::Failed("not on WhatsApp".to_owned()),
                1 => SendOutcome::Again("the connection went".to_owned()),
                2 => SendOutcome::Unacknowledged("no acknowledgement".to_owned()),
                3 => return self.storage.return_leases(TENANT, &[due.message.id], at(n)).await,
                _ => SendOutcome::Acknowledged,
            };
            self.storage.settle_send(TENANT, &due, &outcome, at(n)).await?;
        }
        Ok(())
    }

    /// What the clock and the customer do to messages that wait.
    async fn wait(&self, n: u64, dice: &SeededEntropy) -> Done {
        for timer in self.storage.due_timers(at(n), 2).await?.due {
            self.storage.ring_timer(&timer, at(n)).await?;
        }
        let messages = self.storage.messages(TENANT, None, 20).await?;
        match messages.get(dice.next_u64() as usize % messages.len().max(1)) {
            Some(message) => self.storage.cancel_message(TENANT, message.id, at(n)).await.map(drop),
            None => Ok(()),
        }
    }

    async fn receipts(&self, n: u64, session: SessionId, dice: &SeededEntropy) -> Done {
        let messages = self.storage.messages(TENANT, None, 4).await?;
        // Nobody has what was not handed to the server.
        let handed = messages.into_iter().filter(|message| message.state != MessageState::Queued);
        let whatsapp_ids = handed.filter(|_| dice.next_u64().is_multiple_of(4));
        let whatsapp_ids = whatsapp_ids.map(|message| message.whatsapp_id).collect();
        let state = if n.is_multiple_of(3) { MessageState::Read } else { MessageState::Delivered };
        let receipt = Receipt { whatsapp_ids, from: PEER.to_owned(), state };
        self.storage.record_receipt(TENANT, session, &receipt, at(n)).await
    }

    async fn inbound(&self, n: u64, session: SessionId, dice: &SeededEntropy) -> Done {
        // Some of them come again.
        let first = n.saturating_sub(dice.next_u64() % 12);
        let incoming: Vec<Incoming> = (first..=n).map(incoming).collect();
        self.storage.record_inbound(TENANT, session, at(n), &incoming).await.map(drop)
    }

    async fn responders(&self, n: u64, session: SessionId, dice: &SeededEntropy) -> Done {
        let wanted = |event: &crate::records::event::Event| event.fact.type_name() == "message.received";
        self.storage.step_cursor(TENANT, SUBSCRIPTION, None, 40, at(n), wanted).await?;
        for (part, run) in self.storage.owed_runs(TENANT, SUBSCRIPTION, 2).await?.into_iter().enumerate() {
            let work = Work { tries: run.work.tries + 1, due_at: at(n), last_error: Some("trap".to_owned()) };
            match dice.next_u64() % 4 {
                0 => self.storage.postpone_run(TENANT, SUBSCRIPTION, &run, &work).await?,
                1 => self.storage.park_run(TENANT, SUBSCRIPTION, &run, &work).await?,
                _ => {
                    let messages = vec![message(session, n, part as u64)];
                    let effects = RunEffects { messages, kv: self.effects(n, dice).await?, ..RunEffects::default() };
                    self.storage.settle_run(TENANT, SUBSCRIPTION, &run, &effects).await?;
                }
            }
        }
        Ok(())
    }

    async fn upload(&self, n: u64, dice: &SeededEntropy) -> Done {
        let component = n / 34 % 6;
        let large = usize::from(component == 0);
        let version = version(n, component, COMPONENT_BYTES[large] + component);
        let bytes = vec![component as u8; version.bytes as usize];
        self.storage.put_artifact(TenantId::OPERATOR, &version.sha256, &bytes, version.uploaded_at).await?;
        let name = plugin_name(dice);
        let subscription = Some(SUBSCRIPTION).filter(|subscription| subscription.ends_with(name.as_str()));
        let new = NewVersion {
            tenant: TenantId::OPERATOR,
            name: &name,
            version: &version,
            subscription,
            store_bytes_max: STORE_BYTES_MAX,
            versions_max: VERSIONS_MAX,
        };
        let activate = !dice.next_u64().is_multiple_of(4);
        let change = |plugin: &mut Plugin, version: &PluginVersion| {
            if activate {
                plugin.activate(version, at(n));
            }
        };
        self.storage.keep_version(&new, change).await.map(drop)
    }

    /// What is done to versions that are there.
    async fn versions(&self, n: u64, dice: &SeededEntropy) -> Done {
        let name = plugin_name(dice);
        let versions = self.storage.plugin_versions(TenantId::OPERATOR, &name).await?;
        let Some(version) = versions.get(dice.next_u64() as usize % versions.len().max(1)) else { return Ok(()) };
        let (place, sha256) = ((TenantId::OPERATOR, name.as_str()), &version.sha256);
        match dice.next_u64() % 4 {
            0 => self.storage.delete_version(TenantId::OPERATOR, &name, sha256).await.map(drop),
            1 => self.storage.change_plugin(TenantId::OPERATOR, &name, |plugin| plugin.stopped = true).await.map(drop),
            way => self.storage.activate_version(place, sha256, way == 3, None, None, at(n)).await.map(drop),
        }
    }

    async fn device(&self, n: u64, session: SessionId, dice: &SeededEntropy) -> Done {
        self.storage.finish_forgetting(TENANT, session).await?;
        let device = self.storage.device(TENANT, session);
        let mut batch = device.batch();
        for _ in 0..6 {
            let (table, row) = (DeviceTable((dice.next_u64() % 3) as u8), [b'r', (dice.next_u64() % 24) as u8]);
            match dice.next_u64() % 6 {
                0 => batch.delete(table, &row),
                1 if n.is_multiple_of(7) => batch.delete_prefix(table, b"r"),
                _ => batch.put(table, &row, &vec![n as u8; (dice.next_u64() % 900) as usize]),
            }
        }
        device.commit(batch).await
    }

    async fn change_records(&self, n: u64, session: SessionId) -> Done {
        let state = if n.is_multiple_of(2) { SessionState::Connected } else { SessionState::Reconnecting };
        let change = SessionChange::state(state, None);
        self.storage.change_session(TENANT, session, at(n), &change).await?;
        for tenant in self.storage.tenants().await?.into_iter().take(1) {
            self.storage.change_tenant(tenant.id, |tenant| tenant.plan = format!("plan {n}")).await?;
        }
        Ok(())
    }

    async fn keys(&self, n: u64, session: SessionId) -> Done {
        self.storage.create_key(&key(n, KeyKind::Personal, Some(session))).await?;
        let keys = self.storage.keys(TENANT).await?;
        match keys.iter().find(|key| key.kind == KeyKind::Personal && n.is_multiple_of(2)) {
            Some(key) => self.storage.revoke_key(TENANT, key.id, key.created_at).await.map(drop),
            None => Ok(()),
        }
    }

    async fn forget(&self, n: u64, session: SessionId, dice: &SeededEntropy) -> Done {
        match dice.next_u64() % 3 {
            0 => self.storage.forget_device(TENANT, session).await,
            1 => self.storage.delete_session(TENANT, session, at(n)).await.map(drop),
            _ => self.storage.delete_plugin(TenantId::OPERATOR, "plugin 0", SUBSCRIPTION).await.map(drop),
        }
    }
}

pub(super) fn at(n: u64) -> Timestamp {
    Timestamp(1_750_000_000_000 + n * 1000)
}

fn tenant(n: u64) -> Tenant {
    Tenant {
        id: if n == 0 { TENANT } else { TenantId(100 + n) },
        name: format!("tenant {n}"),
        active: true,
        plan: "unlimited".to_owned(),
        limits: BTreeMap::new(),
        created_at: at(n),
        apis_off: Default::default(),
        hosts: Default::default(),
    }
}

fn session(id: SessionId) -> Session {
    Session {
        id,
        tenant: TENANT,
        name: "support".to_owned(),
        phone_number: "4915123456789".to_owned(),
        state: SessionState::Created,
        reason: None,
        retry_at: None,
        jid: None,
        lid: None,
        settings: serde_json::Map::new(),
        created_at: at(0),
        updated_at: at(0),
        last_active_at: None,
        test: false,
    }
}

fn key(n: u64, kind: KeyKind, session: Option<SessionId>) -> NewKey {
    let record = ApiKey {
        id: KeyId(n + 1),
        tenant: TENANT,
        kind,
        session,
        name: "a key".to_owned(),
        service: "whatsapp".to_owned(),
        scopes: Vec::new(),
        test: false,
        expires_at: None,
        created_at: at(n),
        sha256: String::new(),
        revoked_at: None,
        description: String::new(),
        hint: String::new(),
    };
    NewKey::new(record, format!("key number {n}"))
}

fn plugin_name(dice: &SeededEntropy) -> String {
    format!("plugin {}", dice.next_u64() % 3)
}

fn version(n: u64, component: u64, bytes: u64) -> PluginVersion {
    PluginVersion::new(&format!("{component:064x}"), bytes, at(n), Declared::default())
}

pub(super) fn message(session: SessionId, n: u64, part: u64) -> Message {
    let id = n * 100 + part + 1;
    Message {
        id: MessageId(id),
        session,
        to: PEER.to_owned(),
        content: Content::Text(format!("text {id}")),
        extras: Extras::default(),
        whatsapp_id: format!("WA{id}"),
        schedule: Schedule::default(),
        batch: None,
        state: MessageState::Queued,
        reason: None,
        attempts: 0,
        accepted_at: at(n),
        updated_at: at(n),
        reached: [(MessageState::Queued, at(n))].into(),
        origin: None,
        template: None,
        test: false,
    }
}

fn incoming(n: u64) -> Incoming {
    Incoming {
        whatsapp_id: format!("IN{n}"),
        chat: PEER.to_owned(),
        chat_phone: None,
        chat_lid: None,
        from: PEER.to_owned(),
        from_phone: None,
        from_lid: None,
        push_name: None,
        from_me: false,
        group: false,
        sent_at: at(n),
        content: Content::Text("hello".to_owned()),
        extras: Extras::default(),
    }
}
