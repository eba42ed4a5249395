//! Intake, outbox and responders over storage in memory, a clock that stands until it is told to move, and a seed.

mod deliveries;
mod delivery_formats;
mod delivery_order;
mod dropped;
mod effects;
mod files;
mod guards;
mod intake;
mod outages;
mod outbox;
mod quota;
mod responders;
mod retention;
mod sender_routes;
mod test_keys;

use std::sync::Arc;

use super::intake::{Intake, IntakeError, SendWish};
use super::wakes::Wakes;
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::entropy::{Entropy, SeededEntropy};
use crate::flow::housekeeper::Housekeeper;
use crate::records::account::{ApiKey, KeyKind};
use crate::records::content::{Content, Extras};
use crate::records::event::Incoming;
use crate::records::id::{KeyId, SessionId, TenantId};
use crate::records::message::{Message, Schedule};
use crate::records::session::{Session, SessionState};
use crate::rules::retention::Retention;
use crate::storage::{MASTER_KEY_BYTES, MasterKey, NewKey, SendOutcome, SessionChange, Storage};

const TENANT: TenantId = TenantId(7);
const SESSION: SessionId = SessionId(12_345);
const NUMBER: &str = "+49 151 00000001";
/// The same, as it is kept.
const NUMBER_JID: &str = "4915100000001@s.whatsapp.net";
/// With this seed, two of the first eight message ids of one millisecond would be the same.
const SEED_OF_EQUAL_IDS: u64 = 12;

/// What every worker of the host is made of.
struct Host {
    storage: Storage,
    clock: Arc<ManualClock>,
    entropy: Arc<dyn Entropy>,
    wakes: Arc<Wakes>,
    intake: Intake,
}

impl Host {
    /// A host with one session that is connected.
    async fn start() -> Self {
        Self::start_with_seed(1).await
    }

    /// The housekeeper of a host that begins now.
    fn keeper(&self, retention: Retention) -> Housekeeper {
        Housekeeper { storage: self.storage.clone(), clock: self.clock.clone(), retention, began: self.clock.now() }
    }

    async fn start_with_seed(seed: u64) -> Self {
        Self::start_over(Storage::in_memory(MasterKey::new([1; MASTER_KEY_BYTES])), seed).await
    }

    async fn start_over(storage: Storage, seed: u64) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp(1_750_000_000_000)));
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(seed));
        let wakes = Arc::new(Wakes::default());
        let intake = Intake::new(storage.clone(), clock.clone(), Arc::clone(&entropy), Arc::clone(&wakes));
        let host = Self { storage, clock, entropy, wakes, intake };
        host.storage.create_session(&session(), &own_key()).await.unwrap();
        host
    }

    async fn set_state(&self, state: SessionState) {
        let change = SessionChange::state(state, None);
        self.storage.change_session(TENANT, SESSION, self.clock.now(), &change).await.unwrap();
    }

    /// Moves the clock on a little whenever nobody else has anything to do, for those who rest between their steps.
    async fn pass_time(&self) -> std::convert::Infallible {
        loop {
            tokio::task::yield_now().await;
            self.clock.advance(std::time::Duration::from_millis(20));
        }
    }

    async fn accept_text(&self, text: &str) -> Message {
        self.intake.accept(TENANT, wish(text)).await.unwrap()
    }

    async fn refusal(&self, wish: SendWish) -> IntakeError {
        let refused = self.intake.accept(TENANT, wish).await.unwrap_err();
        assert_eq!(self.outbox_depth().await, 0, "what is refused leaves nothing: {refused}");
        refused
    }

    /// A message came in; `id` is its WhatsApp id.
    async fn receive(&self, chat: &str, id: &str) {
        let incoming = incoming(chat, id);
        let new = self.storage.record_inbound(TENANT, SESSION, self.clock.now(), &[incoming]).await.unwrap();
        assert_eq!(new, 1);
    }

    /// Sends everything that waits in the outbox; what it was, in the order of sending.
    async fn drain_outbox(&self) -> Vec<Message> {
        let mut sent = Vec::new();
        while let Some(due) = self.storage.next_due_send(TENANT, SESSION).await.unwrap() {
            self.storage.settle_send(TENANT, &due, &SendOutcome::Acknowledged, self.clock.now()).await.unwrap();
            sent.push(due.message);
        }
        sent
    }

    async fn outbox_depth(&self) -> u64 {
        self.storage.outbox_depth(TENANT, SESSION).await.unwrap()
    }
}

fn text_of(message: &Message) -> String {
    let Content::Text(text) = &message.content else { return String::new() };
    text.clone()
}

fn wish(text: &str) -> SendWish {
    SendWish {
        session: SESSION,
        to: NUMBER.to_owned(),
        content: Content::Text(text.to_owned()),
        extras: Extras::default(),
        schedule: Schedule::default(),
        origin: None,
        by: None,
    }
}

fn session() -> Session {
    Session {
        id: SESSION,
        tenant: TENANT,
        name: "support".to_owned(),
        phone_number: "4915123456789".to_owned(),
        state: SessionState::Connected,
        reason: None,
        retry_at: None,
        jid: None,
        lid: None,
        settings: serde_json::Map::new(),
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        last_active_at: None,
        test: false,
    }
}

fn own_key() -> NewKey {
    let record = ApiKey {
        id: KeyId(1),
        tenant: TENANT,
        kind: KeyKind::Session,
        session: Some(SESSION),
        name: "own".to_owned(),
        service: "whatsapp".to_owned(),
        scopes: Vec::new(),
        test: false,
        expires_at: None,
        created_at: Timestamp(0),
        sha256: String::new(),
        revoked_at: None,
        description: String::new(),
        hint: String::new(),
    };
    NewKey::new(record, "ses_live_own".to_owned())
}

fn incoming(chat: &str, whatsapp_id: &str) -> Incoming {
    Incoming {
        whatsapp_id: whatsapp_id.to_owned(),
        chat: chat.to_owned(),
        chat_phone: None,
        chat_lid: None,
        from: chat.to_owned(),
        from_phone: None,
        from_lid: None,
        push_name: None,
        from_me: false,
        group: false,
        sent_at: Timestamp(0),
        content: Content::Text("hello".to_owned()),
        extras: Extras::default(),
    }
}
