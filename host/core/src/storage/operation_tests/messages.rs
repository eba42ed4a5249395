//! Accepted messages: sent in the order of acceptance, settled once, and receipts only ever take them further.

use super::*;
use crate::records::event::Fact;
use crate::storage::{DueSend, SendOutcome, SessionChange};

async fn due(storage: &Storage, session: SessionId) -> DueSend {
    storage.next_due_send(ACME, session).await.unwrap().unwrap()
}

async fn settle(storage: &Storage, session: SessionId, outcome: SendOutcome) -> MessageId {
    let due = due(storage, session).await;
    storage.settle_send(ACME, &due, &outcome, LATER).await.unwrap();
    due.message.id
}

async fn receipt(storage: &Storage, whatsapp_id: &str, state: MessageState) {
    storage.record_receipt(ACME, SESSION, &receipt_of(&[whatsapp_id], state), LATER).await.unwrap();
}

async fn state_of(storage: &Storage, id: u64) -> MessageState {
    storage.message(ACME, MessageId(id)).await.unwrap().unwrap().state
}

#[tokio::test]
async fn an_accepted_message_is_kept_as_it_was_given() {
    let storage = storage_with_session().await;
    accept(&storage, SESSION, &[5]).await;
    assert_eq!(storage.message(ACME, MessageId(5)).await.unwrap(), Some(message(SESSION, 5)));
    assert_eq!(due(&storage, SESSION).await.message, message(SESSION, 5));
}

#[tokio::test]
async fn messages_leave_in_the_order_of_acceptance_each_session_its_own() {
    let storage = storage_with_session().await;
    add_session(&storage, ACME, NEIGHBOUR).await;
    accept(&storage, SESSION, &[30, 10]).await;
    accept(&storage, NEIGHBOUR, &[40]).await;
    storage.accept_messages(ACME, &[message(SESSION, 20), message(SESSION, 5)]).await.unwrap();
    for expected in [30, 10, 20, 5] {
        assert_eq!(settle(&storage, SESSION, SendOutcome::Acknowledged).await, MessageId(expected));
    }
    assert_eq!(storage.next_due_send(ACME, SESSION).await.unwrap(), None);
    assert_eq!(settle(&storage, NEIGHBOUR, SendOutcome::Acknowledged).await, MessageId(40));
}

#[tokio::test]
async fn messages_are_accepted_all_or_none() {
    let storage = storage_with_session().await;
    let before = everything(&storage).await;
    let gone = message(NEIGHBOUR, 2);
    let refused = storage.accept_messages(ACME, &[message(SESSION, 1), gone]).await;
    assert!(matches!(refused, Err(StorageError::Conflict)));
    assert_eq!(everything(&storage).await, before);
}

#[tokio::test]
async fn a_message_id_is_taken_once() {
    let storage = storage_with_session().await;
    accept(&storage, SESSION, &[1]).await;
    let second = Message { whatsapp_id: "WA2".to_owned(), ..message(SESSION, 1) };
    assert!(matches!(storage.accept_messages(ACME, &[second]).await, Err(StorageError::Conflict)));
    assert_eq!(storage.outbox_depth(ACME, SESSION).await.unwrap(), 1);
}

#[tokio::test]
async fn two_messages_under_one_id_are_refused_together() {
    let storage = storage_with_session().await;
    let second = Message { whatsapp_id: "WA2".to_owned(), content: Content::Text("lost".to_owned()), ..message(SESSION, 1) };
    let refused = storage.accept_messages(ACME, &[message(SESSION, 1), second]).await;
    assert!(matches!(refused, Err(StorageError::Conflict)), "one of them would never be sent");
    assert_eq!(storage.outbox_depth(ACME, SESSION).await.unwrap(), 0);
}

#[tokio::test]
async fn a_message_to_be_sent_again_stays_first_and_keeps_its_id() {
    let storage = storage_with_session().await;
    accept(&storage, SESSION, &[1, 2]).await;
    let first = due(&storage, SESSION).await;
    for attempts in 1..=3 {
        settle(&storage, SESSION, SendOutcome::Again("no acknowledgement".to_owned())).await;
        let again = due(&storage, SESSION).await;
        assert_eq!((again.n, &again.message.whatsapp_id), (first.n, &first.message.whatsapp_id));
        assert_eq!((again.message.attempts, again.message.state), (attempts, MessageState::Queued));
        assert_eq!(again.message.reason.as_deref(), Some("no acknowledgement"));
    }
    assert!(all_events(&storage, ACME).await.is_empty());
    settle(&storage, SESSION, SendOutcome::Acknowledged).await;
    let sent = storage.message(ACME, MessageId(1)).await.unwrap().unwrap();
    assert_eq!((sent.attempts, sent.reason), (4, None));
}

#[tokio::test]
async fn an_acknowledged_message_leaves_the_queue_with_an_event() {
    let storage = storage_with_session().await;
    accept(&storage, SESSION, &[1]).await;
    settle(&storage, SESSION, SendOutcome::Acknowledged).await;
    let fact = Fact::MessageState {
        message: MessageId(1),
        whatsapp_id: "WA1".to_owned(),
        chat: message(SESSION, 1).to,
        state: MessageState::Acknowledged,
        reason: None,
        test: false,
    };
    assert_eq!(all_events(&storage, ACME).await, [Event { n: 1, at: LATER, session: SESSION, fact }]);
    let sent = storage.message(ACME, MessageId(1)).await.unwrap().unwrap();
    assert_eq!((sent.state, sent.attempts, sent.updated_at), (MessageState::Acknowledged, 1, LATER));
    assert_eq!(storage.outbox_depth(ACME, SESSION).await.unwrap(), 0);
}

#[tokio::test]
async fn a_message_that_cannot_be_sent_leaves_the_queue_with_its_reason() {
    let storage = storage_with_session().await;
    accept(&storage, SESSION, &[1, 2]).await;
    settle(&storage, SESSION, SendOutcome::Failed("not on WhatsApp".to_owned())).await;
    let failed = storage.message(ACME, MessageId(1)).await.unwrap().unwrap();
    assert_eq!((failed.state, failed.reason.as_deref()), (MessageState::Failed, Some("not on WhatsApp")));
    let events = all_events(&storage, ACME).await;
    let told = matches!(&events[0].fact, Fact::MessageState { reason: Some(reason), .. } if reason == "not on WhatsApp");
    assert!(told && events.len() == 1 && events[0].fact.type_name() == "message.failed");
    assert_eq!(due(&storage, SESSION).await.message.id, MessageId(2), "the next one has its turn");
}

#[tokio::test]
async fn receipts_take_a_message_further_and_never_back() {
    use MessageState::{Acknowledged, Delivered, Read};
    let storage = storage_with_session().await;
    accept(&storage, SESSION, &[1]).await;
    settle(&storage, SESSION, SendOutcome::Acknowledged).await;
    for (told, expected) in
        [(Acknowledged, Acknowledged), (Delivered, Delivered), (Delivered, Delivered), (Read, Read), (Delivered, Read)]
    {
        receipt(&storage, "WA1", told).await;
        assert_eq!(state_of(&storage, 1).await, expected, "{told:?}");
    }
    assert_eq!(event_types(&storage, ACME).await, ["message.acknowledged", "message.delivered", "message.read"]);
}

#[tokio::test]
async fn a_receipt_for_ids_that_are_not_ours_changes_nothing_and_does_not_stop_at_them() {
    let storage = storage_with_session().await;
    add_session(&storage, ACME, NEIGHBOUR).await;
    accept(&storage, SESSION, &[1]).await;
    accept(&storage, NEIGHBOUR, &[2]).await;
    let receipt = receipt_of(&["WA", "WA2", "WA11", "", "WA1"], MessageState::Delivered);
    storage.record_receipt(ACME, SESSION, &receipt, LATER).await.unwrap();
    assert_eq!(state_of(&storage, 1).await, MessageState::Delivered);
    assert_eq!(state_of(&storage, 2).await, MessageState::Queued, "a message of another session");
    assert_eq!(event_types(&storage, ACME).await, ["message.acknowledged", "message.delivered"]);
}

#[tokio::test]
async fn a_receipt_that_overtook_the_acknowledgement_is_not_undone_by_it() {
    let storage = storage_with_session().await;
    accept(&storage, SESSION, &[1]).await;
    let due = due(&storage, SESSION).await;
    receipt(&storage, "WA1", MessageState::Delivered).await;
    storage.settle_send(ACME, &due, &SendOutcome::Acknowledged, LATER).await.unwrap();
    assert_eq!(state_of(&storage, 1).await, MessageState::Delivered);
    assert_eq!(event_types(&storage, ACME).await, ["message.acknowledged", "message.delivered"]);
    assert_eq!(storage.next_due_send(ACME, SESSION).await.unwrap(), None);
}

#[tokio::test]
async fn a_message_that_a_phone_has_does_not_fail_afterwards() {
    let storage = storage_with_session().await;
    accept(&storage, SESSION, &[1]).await;
    receipt(&storage, "WA1", MessageState::Delivered).await;
    settle(&storage, SESSION, SendOutcome::Failed("refused on the second try".to_owned())).await;
    assert_eq!(state_of(&storage, 1).await, MessageState::Delivered);
    assert_eq!(event_types(&storage, ACME).await, ["message.acknowledged", "message.delivered"]);
}

#[tokio::test]
async fn a_failed_message_stays_failed_whatever_a_receipt_says() {
    let storage = storage_with_session().await;
    accept(&storage, SESSION, &[1]).await;
    settle(&storage, SESSION, SendOutcome::Failed("not on WhatsApp".to_owned())).await;
    receipt(&storage, "WA1", MessageState::Read).await;
    assert_eq!(state_of(&storage, 1).await, MessageState::Failed);
}

#[tokio::test]
async fn a_receipt_and_the_acknowledgement_at_once_are_both_kept() {
    let storage = racing_storage_with_session().await;
    accept(&storage, SESSION, &[1]).await;
    let due = due(&storage, SESSION).await;
    let receipt = receipt_of(&["WA1"], MessageState::Delivered);
    let (settled, received) = tokio::join!(
        storage.settle_send(ACME, &due, &SendOutcome::Acknowledged, LATER),
        storage.record_receipt(ACME, SESSION, &receipt, LATER)
    );
    settled.unwrap();
    received.unwrap();
    assert_eq!(state_of(&storage, 1).await, MessageState::Delivered);
    assert_eq!(event_types(&storage, ACME).await.last(), Some(&"message.delivered"), "whichever was first");
    assert_eq!(storage.outbox_depth(ACME, SESSION).await.unwrap(), 0);
}

#[tokio::test]
async fn a_send_that_was_settled_is_not_settled_another_way_later() {
    let storage = storage_with_session().await;
    accept(&storage, SESSION, &[1, 2]).await;
    let stale = due(&storage, SESSION).await;
    storage.settle_send(ACME, &stale, &SendOutcome::Acknowledged, LATER).await.unwrap();
    // What a second worker says that still held the same message; whether it is told so is open.
    let _ = storage.settle_send(ACME, &stale, &SendOutcome::Failed("too late".to_owned()), LATER).await;
    assert_eq!(state_of(&storage, 1).await, MessageState::Acknowledged);
    assert_eq!(event_types(&storage, ACME).await, ["message.acknowledged"]);
    assert_eq!(due(&storage, SESSION).await.message.id, MessageId(2));
}

#[tokio::test]
async fn messages_are_listed_newest_first_in_pages() {
    let storage = storage_with_session().await;
    accept(&storage, SESSION, &[1, 2, 255, 256, 300]).await;
    let page = async |before: Option<u64>, limit| {
        let messages = storage.messages(ACME, before.map(MessageId), limit).await.unwrap();
        messages.iter().map(|message| message.id.0).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2).await, [300, 256]);
    assert_eq!(page(Some(256), 2).await, [255, 2]);
    assert_eq!(page(Some(2), 2).await, [1]);
    assert!(page(Some(1), 2).await.is_empty());
}

#[tokio::test]
async fn the_depth_of_an_outbox_is_what_is_still_to_be_sent() {
    let storage = storage_with_session().await;
    assert_eq!(storage.outbox_depth(ACME, SESSION).await.unwrap(), 0);
    accept(&storage, SESSION, &[1, 2, 3]).await;
    assert_eq!(storage.outbox_depth(ACME, SESSION).await.unwrap(), 3);
    settle(&storage, SESSION, SendOutcome::Acknowledged).await;
    settle(&storage, SESSION, SendOutcome::Again("off line".to_owned())).await;
    assert_eq!(storage.outbox_depth(ACME, SESSION).await.unwrap(), 2);
}

#[tokio::test]
async fn what_was_sent_last_and_not_confirmed_goes_out_again_once_under_its_id() {
    let storage = storage_with_session().await;
    accept(&storage, SESSION, &[1, 2, 3]).await;
    for _ in 0..3 {
        settle(&storage, SESSION, SendOutcome::Acknowledged).await;
    }
    receipt(&storage, &message(SESSION, 2).whatsapp_id, MessageState::Delivered).await;
    assert_eq!(storage.requeue_unconfirmed(ACME, SESSION).await.unwrap(), 2);
    assert_eq!(storage.requeue_unconfirmed(ACME, SESSION).await.unwrap(), 0, "they wait already");
    for expected in [1, 3] {
        let again = due(&storage, SESSION).await.message;
        assert_eq!((again.id, &again.whatsapp_id), (MessageId(expected), &message(SESSION, expected).whatsapp_id));
        settle(&storage, SESSION, SendOutcome::Acknowledged).await;
        assert_eq!(state_of(&storage, expected).await, MessageState::Acknowledged);
    }
    assert_eq!(storage.next_due_send(ACME, SESSION).await.unwrap(), None);
}

#[tokio::test]
async fn what_was_sent_is_found_again_behind_any_number_of_messages_that_wait() {
    const WAITING: u64 = 600;
    let storage = storage_with_session().await;
    accept(&storage, SESSION, &[1]).await;
    settle(&storage, SESSION, SendOutcome::Acknowledged).await;
    accept(&storage, SESSION, &(2..=WAITING).collect::<Vec<_>>()).await;
    assert_eq!(storage.requeue_unconfirmed(ACME, SESSION).await.unwrap(), 1);
    assert_eq!(storage.requeue_unconfirmed(ACME, SESSION).await.unwrap(), 0, "it waits already");
    for expected in (2..=WAITING).chain([1]) {
        assert_eq!(due(&storage, SESSION).await.message.id, MessageId(expected));
        settle(&storage, SESSION, SendOutcome::Acknowledged).await;
    }
    assert_eq!(storage.next_due_send(ACME, SESSION).await.unwrap(), None);
}

#[tokio::test]
async fn a_receipt_of_the_accounts_own_devices_says_nothing_about_the_receiver() {
    let storage = storage_with_session().await;
    let jids = ("491590000001:7@s.whatsapp.net".to_owned(), Some("777:7@lid".to_owned()));
    let paired = SessionChange { paired: Some(jids), ..SessionChange::default() };
    storage.change_session(ACME, SESSION, NOW, &paired).await.unwrap();
    let to_itself = Message { to: "491590000001@s.whatsapp.net".to_owned(), ..message(SESSION, 2) };
    storage.accept_messages(ACME, &[message(SESSION, 1), to_itself]).await.unwrap();
    for own in ["491590000001@s.whatsapp.net", "777:3@lid"] {
        let receipt = Receipt { from: own.to_owned(), ..receipt_of(&["WA1", "WA2"], MessageState::Delivered) };
        storage.record_receipt(ACME, SESSION, &receipt, LATER).await.unwrap();
    }
    assert_eq!(state_of(&storage, 1).await, MessageState::Queued);
    assert_eq!(state_of(&storage, 2).await, MessageState::Delivered, "a note to oneself has no other receiver");
}
