//! The event log: what came in is in it once, in order, under numbers without holes.

use super::*;
use crate::records::event::Fact;

async fn record(storage: &Storage, incoming: &[Incoming]) -> usize {
    storage.record_inbound(ACME, SESSION, NOW, incoming).await.unwrap()
}

#[tokio::test]
async fn a_message_that_came_in_becomes_an_event_as_it_was() {
    let storage = storage_with_session().await;
    let message = incoming("chat", "from", "IN1");
    assert_eq!(record(&storage, std::slice::from_ref(&message)).await, 1);
    let fact = Fact::MessageReceived(Box::new(message));
    assert_eq!(all_events(&storage, ACME).await, [Event { n: 1, at: NOW, session: SESSION, fact }]);
}

#[tokio::test]
async fn the_same_message_is_recorded_once_however_often_it_is_delivered() {
    let storage = storage_with_session().await;
    let (one, two) = (incoming("chat", "from", "IN1"), incoming("chat", "from", "IN2"));
    assert_eq!(record(&storage, &[one.clone(), one.clone()]).await, 1, "within one call");
    assert_eq!(record(&storage, std::slice::from_ref(&one)).await, 0, "across calls");
    assert_eq!(record(&storage, &[one, two]).await, 1, "the new one is not lost with the old one");
    assert_eq!(record(&storage, &[]).await, 0);
    assert_eq!(all_events(&storage, ACME).await.len(), 2);
}

#[tokio::test]
async fn two_deliveries_of_one_message_at_once_are_recorded_once() {
    let storage = racing_storage_with_session().await;
    let both = [incoming("chat", "from", "IN1"), incoming("chat", "from", "IN2")];
    let (first, second) = tokio::join!(
        storage.record_inbound(ACME, SESSION, NOW, &both[..1]),
        storage.record_inbound(ACME, SESSION, NOW, &both)
    );
    assert_eq!(first.unwrap() + second.unwrap(), 2, "each is new to one of them");
    assert_eq!(all_events(&storage, ACME).await.len(), 2);
}

#[tokio::test]
async fn a_whatsapp_id_is_unique_only_together_with_chat_sender_and_session() {
    let storage = storage_with_session().await;
    add_session(&storage, ACME, NEIGHBOUR).await;
    let same_id = [
        incoming("chat", "from", "ID"),
        incoming("other chat", "from", "ID"),
        incoming("chat", "other sender", "ID"),
        // The same letters, divided in other places.
        incoming("chatf", "rom", "ID"),
        incoming("cha", "tfrom", "ID"),
        incoming("chat", "fromI", "D"),
    ];
    assert_eq!(record(&storage, &same_id).await, same_id.len());
    assert_eq!(record(&storage, &same_id).await, 0);
    let elsewhere = storage.record_inbound(ACME, NEIGHBOUR, NOW, &same_id).await.unwrap();
    assert_eq!(elsewhere, same_id.len(), "another session received them too");
}

#[tokio::test]
async fn nothing_is_recorded_for_a_session_that_does_not_exist() {
    let storage = storage_with_session().await;
    let refused = storage.record_inbound(ACME, NEIGHBOUR, NOW, &[incoming("chat", "from", "IN1")]).await;
    assert!(matches!(refused, Err(StorageError::Conflict)));
    assert!(all_events(&storage, ACME).await.is_empty());
}

#[tokio::test]
async fn events_are_numbered_from_1_without_holes_each_tenant_its_own() {
    let storage = storage_with_session().await;
    add_session(&storage, GLOBEX, NEIGHBOUR).await;
    assert_eq!(storage.last_event_number(ACME).await.unwrap(), 0);
    record_events(&storage, 300).await;
    storage.record_inbound(GLOBEX, NEIGHBOUR, NOW, &[incoming("chat", "from", "IN1")]).await.unwrap();
    let numbers: Vec<u64> = all_events(&storage, ACME).await.iter().map(|event| event.n).collect();
    assert_eq!(numbers, (1..=300).collect::<Vec<_>>());
    assert_eq!(storage.last_event_number(ACME).await.unwrap(), 300);
    assert_eq!(storage.last_event_number(GLOBEX).await.unwrap(), 1);
    assert_eq!(storage.last_event_number(TenantId(3)).await.unwrap(), 0);
}

#[tokio::test]
async fn events_are_read_in_pages_after_a_number() {
    let storage = storage_with_session().await;
    record_events(&storage, 5).await;
    let page = async |after, limit| {
        let events = storage.events(ACME, after, limit).await.unwrap();
        events.iter().map(|event| event.n).collect::<Vec<_>>()
    };
    assert_eq!(page(0, 2).await, [1, 2]);
    assert_eq!(page(2, 2).await, [3, 4]);
    assert_eq!(page(4, 2).await, [5]);
    for after in [5, 6, u64::MAX] {
        assert!(page(after, 2).await.is_empty(), "{after}");
    }
}
