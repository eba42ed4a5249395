//! Records for benchmarks that speak to storage directly.

use switchboard_core::clock::Timestamp;
use switchboard_core::records::account::{ApiKey, KeyKind};
use switchboard_core::records::id::{KeyId, SessionId, TenantId};
use switchboard_core::records::session::{Session, SessionState};
use switchboard_core::storage::NewKey;

const MADE_AT: Timestamp = Timestamp(1_750_000_000_000);

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
