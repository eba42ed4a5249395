//! Records for tests and benchmarks that speak to storage or to the runtime directly.

use switchboard_core::clock::Timestamp;
use switchboard_core::records::account::{ApiKey, KeyKind};
use switchboard_core::records::content::{Content, Extras};
use switchboard_core::records::event::{Event, Fact, Incoming};
use switchboard_core::records::id::{KeyId, SessionId, TenantId};
use switchboard_core::records::session::{Session, SessionState};
use switchboard_core::storage::NewKey;

const MADE_AT: Timestamp = Timestamp(1_750_000_000_000);

/// When every call of a plugin is made.
pub const NOW_MS: u64 = 1_768_478_400_000;
/// Where every message comes from.
pub const CHAT: &str = "15550100001@s.whatsapp.net";

/// A message of this text came in.
pub fn heard(text: &str) -> Event {
    let incoming = Incoming {
        whatsapp_id: "3EB0AA".to_owned(),
        chat: CHAT.to_owned(),
        chat_phone: None,
        chat_lid: None,
        from: CHAT.to_owned(),
        from_phone: Some("15550100001".to_owned()),
        from_lid: None,
        push_name: None,
        from_me: false,
        group: false,
        sent_at: Timestamp(NOW_MS),
        content: Content::Text(text.to_owned()),
        extras: Extras::default(),
    };
    Event { n: 1, at: Timestamp(NOW_MS), session: SessionId(5), fact: Fact::MessageReceived(Box::new(incoming)) }
}

/// A session that is connected.
pub fn session(tenant: TenantId, id: SessionId) -> Session {
    Session {
        id,
        tenant,
        name: "bench".to_owned(),
        phone_number: "4915123456789".to_owned(),
        state: SessionState::Connected,
        reason: None,
        retry_at: None,
        jid: None,
        lid: None,
        settings: serde_json::Map::new(),
        created_at: MADE_AT,
        updated_at: MADE_AT,
        last_active_at: None,
        test: false,
    }
}

/// The key that a session is made with.
pub fn own_key(tenant: TenantId, session: SessionId) -> NewKey {
    let record = ApiKey {
        id: KeyId(session.0),
        tenant,
        kind: KeyKind::Session,
        session: Some(session),
        name: "a key".to_owned(),
        service: "whatsapp".to_owned(),
        scopes: Vec::new(),
        test: false,
        expires_at: None,
        created_at: MADE_AT,
        sha256: String::new(),
        revoked_at: None,
        description: String::new(),
        hint: String::new(),
    };
    NewKey::new(record, format!("key of {session}"))
}
