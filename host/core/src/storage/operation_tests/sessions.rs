//! Sessions: made once, changed with an event, and once deleted nothing more is written for them.

use super::*;
use crate::records::event::Fact;
use crate::storage::{DeviceTable, SendOutcome, SessionChange};

const TABLE: DeviceTable = DeviceTable(1);

#[tokio::test]
async fn a_session_is_found_and_listed_by_id() {
    let storage = storage_with_session().await;
    add_session(&storage, ACME, SessionId(10_000)).await;
    assert_eq!(storage.session(ACME, SESSION).await.unwrap(), Some(session(ACME, SESSION)));
    let listed: Vec<_> = storage.sessions(ACME).await.unwrap().iter().map(|session| session.id).collect();
    assert_eq!(listed, [SessionId(10_000), SESSION]);
}

#[tokio::test]
async fn a_session_id_is_taken_once_across_tenants_and_for_ever() {
    let storage = storage_with_session().await;
    for tenant in [ACME, GLOBEX] {
        let own_key = key(tenant, 99, KeyKind::Session, Some(SESSION), "ses_live_second");
        let second = storage.create_session(&session(tenant, SESSION), &own_key).await;
        assert!(matches!(second, Err(StorageError::Conflict)), "{tenant}");
    }
    assert!(storage.delete_session(ACME, SESSION, crate::clock::Timestamp(9)).await.unwrap());
    let again = storage.create_session(&session(GLOBEX, SESSION), &own_key(GLOBEX, SESSION)).await;
    assert!(matches!(again, Err(StorageError::Conflict)), "an id that was given out names the same session for ever");
    assert_eq!(storage.resolve_key("ses_live_second").await.unwrap(), None);
}

#[tokio::test]
async fn a_new_state_becomes_an_event_and_the_same_state_does_not() {
    let storage = storage_with_session().await;
    let pairing = SessionChange::state(SessionState::Pairing, None);
    storage.change_session(ACME, SESSION, LATER, &pairing).await.unwrap();
    storage.change_session(ACME, SESSION, LATER, &pairing).await.unwrap();
    let failed = SessionChange::state(SessionState::Failed, Some("the phone is gone".to_owned()));
    let changed = storage.change_session(ACME, SESSION, LATER, &failed).await.unwrap().unwrap();
    assert_eq!((changed.state, changed.reason.as_deref()), (SessionState::Failed, Some("the phone is gone")));
    assert_eq!((changed.created_at, changed.updated_at), (NOW, LATER));

    let events = all_events(&storage, ACME).await;
    let facts: Vec<_> = events.iter().map(|event| event.fact.clone()).collect();
    let reason = Some("the phone is gone".to_owned());
    let pairing = Fact::SessionState { state: SessionState::Pairing, reason: None };
    assert_eq!(facts, [pairing, Fact::SessionState { state: SessionState::Failed, reason }]);
    assert!(events.iter().all(|event| event.session == SESSION && event.at == LATER));
}

#[tokio::test]
async fn another_reason_for_the_same_state_is_an_event_and_the_same_reason_is_not() {
    let storage = storage_with_session().await;
    for reason in ["the connection ended", "the connection ended", "WhatsApp refused the login (503)"] {
        let change = SessionChange::state(SessionState::Reconnecting, Some(reason.to_owned()));
        storage.change_session(ACME, SESSION, LATER, &change).await.unwrap();
    }
    let events = all_events(&storage, ACME).await;
    let reasons: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.fact {
            Fact::SessionState { state: SessionState::Reconnecting, reason } => reason.as_deref(),
            _ => None,
        })
        .collect();
    assert_eq!(reasons, ["the connection ended", "WhatsApp refused the login (503)"]);
}

#[tokio::test]
async fn a_session_knows_when_it_is_tried_again_until_it_stands_elsewhere() {
    let storage = storage_with_session().await;
    let ban = SessionChange { retry_at: Some(LATER), ..SessionChange::state(SessionState::Banned, None) };
    let banned = storage.change_session(ACME, SESSION, LATER, &ban).await.unwrap().unwrap();
    assert_eq!(banned.retry_at, Some(LATER));
    let named = SessionChange { name: Some("sales".to_owned()), ..SessionChange::default() };
    let named = storage.change_session(ACME, SESSION, LATER, &named).await.unwrap().unwrap();
    assert_eq!(named.retry_at, Some(LATER), "what a change does not name stays");
    let off = SessionChange::state(SessionState::Disconnected, None);
    let off = storage.change_session(ACME, SESSION, LATER, &off).await.unwrap().unwrap();
    assert_eq!(off.retry_at, None);
}

#[tokio::test]
async fn pairing_gives_a_session_its_jids_and_unpairing_takes_them() {
    let storage = storage_with_session().await;
    let jids = ("4915100000009:12@s.whatsapp.net".to_owned(), Some("98765@lid".to_owned()));
    let paired = SessionChange { paired: Some(jids.clone()), active: true, ..SessionChange::default() };
    let session = storage.change_session(ACME, SESSION, LATER, &paired).await.unwrap().unwrap();
    assert_eq!((session.jid, session.lid), (Some(jids.0), jids.1));
    assert_eq!((session.phone_number.as_str(), session.last_active_at), ("4915100000009", Some(LATER)));

    let unpaired = SessionChange { unpaired: true, name: Some("sales".to_owned()), ..SessionChange::default() };
    let session = storage.change_session(ACME, SESSION, LATER, &unpaired).await.unwrap().unwrap();
    assert_eq!((session.jid, session.lid, session.name.as_str()), (None, None, "sales"));
    assert_eq!(session.state, SessionState::Created, "what a change does not name stays");
    assert!(all_events(&storage, ACME).await.is_empty());
}

#[tokio::test]
async fn changes_of_one_session_at_once_are_all_kept() {
    let storage = racing_storage_with_session().await;
    let named = SessionChange { name: Some("sales".to_owned()), ..SessionChange::default() };
    let active = SessionChange { active: true, ..SessionChange::default() };
    let (first, second) = tokio::join!(
        storage.change_session(ACME, SESSION, LATER, &named),
        storage.change_session(ACME, SESSION, LATER, &active)
    );
    assert!(first.unwrap().is_some() && second.unwrap().is_some());
    let session = storage.session(ACME, SESSION).await.unwrap().unwrap();
    assert_eq!((session.name.as_str(), session.last_active_at), ("sales", Some(LATER)));
}

/// A session with a row of its device, a key, a message in its outbox and a message that came in.
async fn lived_in_session(storage: &Storage, id: SessionId, number: u64) {
    add_session(storage, ACME, id).await;
    let device = storage.device(ACME, id);
    let mut batch = device.batch();
    batch.put(TABLE, b"identity", b"of the device");
    device.commit(batch).await.unwrap();
    let bound = key(ACME, number, KeyKind::Tenant, Some(id), &format!("sk_live_bound_{id}"));
    storage.create_key(&bound).await.unwrap();
    accept(storage, id, &[number]).await;
    storage.record_inbound(ACME, id, NOW, &[incoming("chat", "from", "IN")]).await.unwrap();
}

#[tokio::test]
async fn a_deleted_session_takes_its_keys_its_device_and_its_outbox_with_it_and_no_others() {
    let storage = storage();
    lived_in_session(&storage, SESSION, 1).await;
    lived_in_session(&storage, NEIGHBOUR, 2).await;
    storage.create_key(&key(ACME, 3, KeyKind::Tenant, None, "sk_live_of_the_tenant")).await.unwrap();

    assert!(storage.delete_session(ACME, SESSION, crate::clock::Timestamp(9)).await.unwrap());

    for (id, number, left) in [(SESSION, 1, false), (NEIGHBOUR, 2, true)] {
        assert_eq!(storage.session(ACME, id).await.unwrap().is_some(), left, "{id}");
        assert_eq!(storage.session_key(ACME, id).await.unwrap().is_some(), left, "{id}");
        assert_eq!(storage.resolve_key(&own_key_text(ACME, id)).await.unwrap().is_some(), left, "{id}");
        assert_eq!(storage.resolve_key(&format!("sk_live_bound_{id}")).await.unwrap().is_some(), left, "{id}");
        assert_eq!(storage.device(ACME, id).get(TABLE, b"identity").await.unwrap().is_some(), left, "{id}");
        assert_eq!(storage.next_due_send(ACME, id).await.unwrap().is_some(), left, "{id}");
        assert!(storage.message(ACME, MessageId(number)).await.unwrap().is_some(), "messages stay");
    }
    assert!(storage.resolve_key("sk_live_of_the_tenant").await.unwrap().is_some());
    let types = event_types(&storage, ACME).await;
    assert_eq!(
        types,
        ["message.received", "message.received", "message.failed"],
        "events stay, and what will not be sent is told"
    );
    assert!(!storage.delete_session(ACME, SESSION, crate::clock::Timestamp(9)).await.unwrap());
}

#[tokio::test]
async fn nothing_more_is_written_for_a_deleted_session() {
    let storage = storage();
    lived_in_session(&storage, SESSION, 1).await;
    let device = storage.device(ACME, SESSION);
    let mut late = device.batch();
    late.put(TABLE, b"identity", b"late");
    let due = storage.next_due_send(ACME, SESSION).await.unwrap().unwrap();
    storage.delete_session(ACME, SESSION, crate::clock::Timestamp(9)).await.unwrap();
    let before = everything(&storage).await;

    let refused = |answer: Result<(), StorageError>| assert!(matches!(answer, Err(StorageError::Conflict)), "{answer:?}");
    refused(device.commit(late).await);
    refused(storage.forget_device(ACME, SESSION).await);
    refused(storage.accept_messages(ACME, &[message(SESSION, 5)]).await);
    refused(storage.settle_send(ACME, &due, &SendOutcome::Acknowledged, LATER).await);
    refused(storage.settle_send(ACME, &due, &SendOutcome::Failed("late".to_owned()), LATER).await);
    refused(storage.record_inbound(ACME, SESSION, LATER, &[incoming("chat", "from", "IN2")]).await.map(|_| ()));
    refused(storage.create_key(&key(ACME, 9, KeyKind::Session, Some(SESSION), "late")).await);
    let active = SessionChange { active: true, ..SessionChange::default() };
    assert_eq!(storage.change_session(ACME, SESSION, LATER, &active).await.unwrap(), None);
    storage.record_receipt(ACME, SESSION, &receipt_of(&["WA1"], MessageState::Read), LATER).await.unwrap();
    assert_eq!(everything(&storage).await, before);
}

#[tokio::test]
async fn a_device_commit_is_kept_only_while_the_row_is_what_was_read() {
    let storage = storage_with_session().await;
    let device = storage.device(ACME, SESSION);
    let mut first = device.batch();
    first.put(TABLE, b"row", b"one");
    first.unchanged(TABLE, b"row", None);
    device.commit(first).await.unwrap();
    let (value, stamp) = device.get_stamped(TABLE, b"row").await.unwrap().unwrap();
    assert_eq!(value, b"one");

    for kept in [true, false] {
        let mut next = device.batch();
        next.put(TABLE, b"row", b"two");
        next.unchanged(TABLE, b"row", Some(&stamp));
        assert_eq!(device.commit(next).await.is_ok(), kept);
    }
    let mut absent = device.batch();
    absent.unchanged(TABLE, b"row", None);
    assert!(matches!(device.commit(absent).await, Err(StorageError::Conflict)));
    assert_eq!(device.get(TABLE, b"row").await.unwrap().unwrap(), b"two");
}

#[tokio::test]
async fn rows_of_a_device_are_scanned_in_order_within_their_table_and_prefix() {
    let storage = storage_with_session().await;
    let device = storage.device(ACME, SESSION);
    let mut batch = device.batch();
    for row in ["a/1", "a/2", "a/3", "b/1"] {
        batch.put(TABLE, row.as_bytes(), row.as_bytes());
    }
    batch.put(DeviceTable(2), b"a/9", b"another table");
    device.commit(batch).await.unwrap();
    let row = |text: &str| (text.as_bytes().to_vec(), text.as_bytes().to_vec());
    assert_eq!(device.scan(TABLE, b"a/", None, 99).await.unwrap(), [row("a/1"), row("a/2"), row("a/3")]);
    assert_eq!(device.scan(TABLE, b"a/", Some(b"a/1"), 1).await.unwrap(), [row("a/2")]);
    assert_eq!(device.scan(TABLE, b"", None, 99).await.unwrap().len(), 4);
    assert_eq!(device.last_key(TABLE, b"a/").await.unwrap().unwrap(), b"a/3");
    assert_eq!(device.last_key(TABLE, b"c/").await.unwrap(), None);

    let mut batch = device.batch();
    batch.delete_prefix(TABLE, b"a/");
    batch.delete(TABLE, b"never there");
    device.commit(batch).await.unwrap();
    assert_eq!(device.scan(TABLE, b"", None, 99).await.unwrap(), [row("b/1")]);
    assert_eq!(device.scan(DeviceTable(2), b"", None, 99).await.unwrap().len(), 1);

    storage.forget_device(ACME, SESSION).await.unwrap();
    assert!(device.scan(DeviceTable(2), b"", None, 99).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_client_that_was_told_to_stop_writes_nothing_into_the_rows_of_the_device_that_follows() {
    let storage = storage_with_session().await;
    let (old, new) = (storage.device(ACME, SESSION), storage.device(ACME, SESSION));
    let straggler = old.clone();
    old.close();
    let mut late = straggler.batch();
    late.put(TABLE, b"identity", b"of the old device");
    assert!(matches!(straggler.commit(late).await, Err(StorageError::Closed)));
    let mut fresh = new.batch();
    fresh.put(TABLE, b"identity", b"of the new device");
    new.commit(fresh).await.unwrap();
    assert_eq!(new.get(TABLE, b"identity").await.unwrap().unwrap(), b"of the new device");
}

#[tokio::test]
async fn a_session_is_read_once_until_something_of_its_account_changes() {
    let engine = test_engine();
    let storage = Storage::over(Arc::clone(&engine) as _, master_key(1));
    add_session(&storage, ACME, SESSION).await;
    let look_up = async || {
        let before = engine.reads.load(Ordering::Relaxed);
        let session = storage.session(ACME, SESSION).await.unwrap();
        (session, engine.reads.load(Ordering::Relaxed) - before)
    };
    let there = session(ACME, SESSION);
    assert_eq!(look_up().await, (Some(there.clone()), 1));
    add_session(&storage, GLOBEX, NEIGHBOUR).await;
    assert_eq!(look_up().await, (Some(there.clone()), 0));
    assert_eq!(storage.session(GLOBEX, SESSION).await.unwrap(), None, "another account's is not there");

    let change = SessionChange { name: Some("sales".to_owned()), ..SessionChange::default() };
    let changed = storage.change_session(ACME, SESSION, LATER, &change).await.unwrap();
    assert_ne!(changed, Some(there));
    assert_eq!(look_up().await, (changed.clone(), 1));
    assert_eq!(look_up().await, (changed, 0));
    assert!(storage.delete_session(ACME, SESSION, LATER).await.unwrap());
    assert_eq!(look_up().await, (None, 1));
    assert_eq!(look_up().await, (None, 1), "what is not there is not remembered");
    storage.close();
    assert!(matches!(storage.session(ACME, SESSION).await, Err(StorageError::Closed)));
}
