//! No operation of one tenant reads or changes what belongs to another, whatever ids it names.

use super::*;
use crate::records::plugin::Work;
use crate::storage::{CursorStep, DeviceTable, DueSend, OwedRun, RunEffects, SendOutcome, SessionChange, VersionChange};

const TABLE: DeviceTable = DeviceTable(1);
const REPLY: &str = "operator/reply";
/// Before and after `ACME`, at both ends, and where the bytes of the number carry.
const OTHERS: [TenantId; 5] = [TenantId::OPERATOR, GLOBEX, TenantId(0xFF), TenantId(0x0100), TenantId(u64::MAX)];

/// One of everything, and what other tenants will name.
struct Acme {
    storage: Storage,
    due: DueSend,
    owed: OwedRun,
}

async fn acme() -> Acme {
    let storage = storage_with_session().await;
    storage.create_key(&key(ACME, 7, KeyKind::Tenant, None, "sk_live_acme")).await.unwrap();
    upload(&storage, ACME, "reply", 1).await.unwrap();
    let device = storage.device(ACME, SESSION);
    let mut batch = device.batch();
    batch.put(TABLE, b"row", b"value");
    device.commit(batch).await.unwrap();
    accept(&storage, SESSION, &[1]).await;
    record_events(&storage, 2).await;
    storage.step_cursor(ACME, REPLY, None, 99, NOW, |_| true).await.unwrap();
    let mut runs = storage.owed_runs(ACME, REPLY, 99).await.unwrap();
    storage.park_run(ACME, REPLY, &runs.remove(1), &tried()).await.unwrap();
    let due = storage.next_due_send(ACME, SESSION).await.unwrap().unwrap();
    Acme { storage, due, owed: runs.remove(0) }
}

fn tried() -> Work {
    Work { tries: 8, due_at: LATER, last_error: None }
}

/// How many entries each listing of `tenant` has, and whether each thing of `ACME` is found under its name.
async fn seen_by(storage: &Storage, tenant: TenantId) -> ([usize; 9], [bool; 9]) {
    let device = storage.device(tenant, SESSION);
    let listed = [
        storage.keys(tenant).await.unwrap().len(),
        storage.sessions(tenant).await.unwrap().len(),
        storage.messages(tenant, None, 99).await.unwrap().len(),
        storage.events(tenant, 0, 99).await.unwrap().len(),
        storage.plugins(tenant).await.unwrap().len(),
        storage.owed_runs(tenant, REPLY, 99).await.unwrap().len(),
        storage.parked_runs(tenant, REPLY, 0, 99).await.unwrap().len(),
        device.scan(TABLE, b"", None, 99).await.unwrap().len(),
        usize::try_from(storage.outbox_depth(tenant, SESSION).await.unwrap()).unwrap(),
    ];
    let found = [
        storage.key(tenant, KeyId(7)).await.unwrap().is_some(),
        storage.session_key(tenant, SESSION).await.unwrap().is_some(),
        storage.session(tenant, SESSION).await.unwrap().is_some(),
        storage.message(tenant, MessageId(1)).await.unwrap().is_some(),
        storage.next_due_send(tenant, SESSION).await.unwrap().is_some(),
        storage.last_event_number(tenant).await.unwrap() > 0,
        storage.plugin(tenant, "reply").await.unwrap().is_some(),
        storage.artifact(tenant, &version(1).sha256).await.unwrap().is_some(),
        device.last_key(TABLE, b"").await.unwrap().is_some() || device.get(TABLE, b"row").await.unwrap().is_some(),
    ];
    (listed, found)
}

#[tokio::test]
async fn what_a_tenant_has_is_seen_by_itself_and_by_no_other() {
    let acme = acme().await;
    assert_eq!(seen_by(&acme.storage, ACME).await, ([2, 1, 1, 2, 1, 1, 1, 1, 1], [true; 9]));
    for other in OTHERS {
        assert_eq!(seen_by(&acme.storage, other).await, ([0; 9], [false; 9]), "{other}");
    }
}

fn conflict<T>(answer: Result<T, StorageError>) -> bool {
    matches!(answer, Err(StorageError::Conflict))
}

#[tokio::test]
async fn an_operation_of_one_tenant_does_not_touch_what_another_has() {
    let Acme { storage, due, owed } = acme().await;
    let before = everything(&storage).await;
    let name = SessionChange { name: Some("taken over".to_owned()), ..SessionChange::default() };
    let effects = RunEffects { messages: vec![message(SESSION, 9)], ..RunEffects::default() };
    for other in OTHERS {
        assert_eq!(storage.change_session(other, SESSION, LATER, &name).await.unwrap(), None);
        assert!(!storage.delete_session(other, SESSION, crate::clock::Timestamp(9)).await.unwrap());
        assert!(!storage.revoke_key(other, KeyId(7), LATER).await.unwrap());
        assert!(!storage.delete_plugin(other, "reply", "1/reply").await.unwrap());
        let sha256 = &version(1).sha256;
        assert_eq!(storage.delete_version(other, "reply", sha256).await.unwrap(), VersionChange::NoPlugin);
        let activated = storage.activate_version((other, "reply"), sha256, false, None, None, LATER).await.unwrap();
        assert_eq!(activated, VersionChange::NoPlugin);
        assert_eq!(storage.change_plugin(other, "reply", |plugin| plugin.stopped = true).await.unwrap(), None);
        assert!(conflict(storage.create_key(&key(other, 9, KeyKind::Session, Some(SESSION), "theirs")).await));
        assert!(conflict(storage.accept_messages(other, &[message(SESSION, 9)]).await));
        assert!(conflict(storage.record_inbound(other, SESSION, LATER, &[incoming("chat", "from", "IN9")]).await));
        storage.record_receipt(other, SESSION, &receipt_of(&["WA1"], MessageState::Read), LATER).await.unwrap();
        let _ = storage.settle_send(other, &due, &SendOutcome::Acknowledged, LATER).await;
        assert!(conflict(storage.forget_device(other, SESSION).await));
        let device = storage.device(other, SESSION);
        let mut batch = device.batch();
        batch.put(TABLE, b"row", b"theirs");
        assert!(conflict(device.commit(batch).await));
        let step = storage.step_cursor(other, REPLY, None, 99, LATER, |_| true).await.unwrap();
        assert_eq!(step, CursorStep { events: 0, owed: 0 });
        assert!(conflict(storage.settle_run(other, REPLY, &owed, &effects).await));
        assert!(conflict(storage.postpone_run(other, REPLY, &owed, &tried()).await));
        assert!(conflict(storage.park_run(other, REPLY, &owed, &tried()).await));
        assert_eq!(everything(&storage).await, before, "{other}");
    }
}

#[tokio::test]
async fn a_batch_of_one_device_is_not_committed_as_another() {
    let storage = storage_with_session().await;
    add_session(&storage, GLOBEX, NEIGHBOUR).await;
    let mut batch = storage.device(ACME, SESSION).batch();
    batch.put(TABLE, b"row", b"value");
    storage.delete_session(ACME, SESSION, crate::clock::Timestamp(9)).await.unwrap();
    let answer = storage.device(GLOBEX, NEIGHBOUR).commit(batch).await;
    assert!(answer.is_err(), "the owner that was checked is not the owner of the rows");
}
