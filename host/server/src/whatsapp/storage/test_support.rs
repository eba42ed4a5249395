//! Devices in memory, for the tests of the storage traits.

use switchboard_core::clock::Timestamp;
use switchboard_core::records::account::{ApiKey, KeyKind};
use switchboard_core::records::id::{KeyId, SessionId, TenantId};
use switchboard_core::records::session::{Session, SessionState};
use switchboard_core::storage::{MasterKey, NewKey, Storage};

use super::DeviceBackend;

/// One device.
pub(crate) fn memory_device() -> DeviceBackend {
    two_memory_devices().0
}

/// Two devices in one storage.
pub(crate) fn two_memory_devices() -> (DeviceBackend, DeviceBackend) {
    let storage = Storage::in_memory(MasterKey::new([7; 32]));
    let device = |id: u64| {
        let (tenant, session) = memory_session(&storage, id);
        DeviceBackend::new(storage.device(tenant, session))
    };
    (device(1), device(2))
}

/// A session that is there.
pub(crate) fn memory_session(storage: &Storage, id: u64) -> (TenantId, SessionId) {
    let (tenant, session) = (TenantId(1), SessionId(id));
    futures_util::FutureExt::now_or_never(storage.create_session(&record(tenant, session), &own_key(tenant, session)))
        .unwrap()
        .unwrap();
    (tenant, session)
}

fn record(tenant: TenantId, id: SessionId) -> Session {
    Session {
        id,
        tenant,
        name: "test".to_owned(),
        phone_number: String::new(),
        state: SessionState::Created,
        reason: None,
        retry_at: None,
        jid: None,
        lid: None,
        settings: serde_json::Map::new(),
        created_at: Timestamp(1),
        updated_at: Timestamp(1),
        last_active_at: None,
        test: false,
    }
}

fn own_key(tenant: TenantId, session: SessionId) -> NewKey {
    let record = ApiKey {
        id: KeyId(session.0),
        tenant,
        kind: KeyKind::Session,
        session: Some(session),
        name: String::new(),
        service: String::new(),
        scopes: Vec::new(),
        test: false,
        expires_at: None,
        created_at: Timestamp(1),
        sha256: String::new(),
        revoked_at: None,
        description: String::new(),
        hint: String::new(),
    };
    NewKey::new(record, format!("key of session {session}"))
}
