//! What happened to a session is written down once, whatever it is; polls are remembered with it.

use super::*;
use crate::records::content::{Person, Poll};
use crate::records::event::{Fact, GroupChange, KnownPoll, NewFact, Once};

fn group_change(id: &str) -> NewFact {
    let change = GroupChange {
        chat: "1@g.us".to_owned(),
        change: "subject".to_owned(),
        value: Some("Friends".to_owned()),
        by: None,
        participants: Vec::new(),
        changed_at: NOW,
    };
    let once = Once { chat: "1@g.us".to_owned(), from: "group".to_owned(), id: id.to_owned() };
    NewFact { fact: Fact::GroupChanged(Box::new(change)), once: Some(once), poll: None }
}

fn presence() -> NewFact {
    let person = Person { jid: "1@lid".to_owned(), phone: None, lid: Some("1@lid".to_owned()) };
    NewFact { fact: Fact::PresenceChanged { person, online: true, last_seen: None }, once: None, poll: None }
}

fn poll(secret: u8) -> KnownPoll {
    let author = Person { jid: "from".to_owned(), phone: None, lid: None };
    KnownPoll { options: vec!["Soup".to_owned(), "Cake".to_owned()], secret: vec![secret; 32], author, at: NOW }
}

fn asked(whatsapp_id: &str, secret: u8) -> NewFact {
    let content = Content::Poll(Poll {
        name: "Lunch?".to_owned(),
        options: poll(secret).options,
        selectable_count: 1,
        announcement: false,
    });
    NewFact { poll: Some(poll(secret)), ..NewFact::from(Incoming { content, ..incoming("chat", "from", whatsapp_id) }) }
}

#[tokio::test]
async fn a_fact_that_is_told_again_is_one_event_and_one_that_comes_and_goes_is_one_each_time() {
    let storage = storage_with_session().await;
    let facts = [group_change("N1#0"), group_change("N1#1"), group_change("N1#0"), presence(), presence()];
    assert_eq!(storage.record_facts(ACME, SESSION, NOW, &facts).await.unwrap(), 4);
    assert_eq!(storage.record_facts(ACME, SESSION, NOW, &facts).await.unwrap(), 2);
    let types: Vec<_> = all_events(&storage, ACME).await.iter().map(|event| event.fact.type_name()).collect();
    let (group, presence) = ("group.changed", "presence.changed");
    assert_eq!(types, [group, group, presence, presence, presence, presence]);
}

#[tokio::test]
async fn a_poll_is_remembered_with_its_event_and_nobody_takes_its_place() {
    let storage = storage_with_session().await;
    storage.record_facts(ACME, SESSION, NOW, &[asked("P1", 1)]).await.unwrap();
    assert_eq!(storage.known_poll(ACME, SESSION, "P1").await.unwrap(), Some(poll(1)));
    let other = NewFact::from(incoming("other chat", "other", "P1"));
    storage.record_facts(ACME, SESSION, NOW, &[NewFact { poll: Some(poll(2)), ..other }]).await.unwrap();
    assert_eq!(storage.known_poll(ACME, SESSION, "P1").await.unwrap(), Some(poll(1)));
    assert_eq!(storage.known_poll(ACME, NEIGHBOUR, "P1").await.unwrap(), None);
    assert_eq!(storage.known_poll(GLOBEX, SESSION, "P1").await.unwrap(), None);
}

#[tokio::test]
async fn a_poll_that_goes_out_again_keeps_its_first_secret() {
    let storage = racing_storage_with_session().await;
    let (one, two) = (poll(1), poll(2));
    let (first, second) =
        tokio::join!(storage.remember_poll(ACME, SESSION, "OUT", &one), storage.remember_poll(ACME, SESSION, "OUT", &two));
    assert_eq!(first.unwrap(), second.unwrap());
    let known = storage.known_poll(ACME, SESSION, "OUT").await.unwrap().unwrap();
    assert_eq!(storage.remember_poll(ACME, SESSION, "OUT", &poll(3)).await.unwrap(), known);
    let gone = storage.remember_poll(ACME, NEIGHBOUR, "OUT", &poll(1)).await;
    assert!(matches!(gone, Err(StorageError::Conflict)), "{gone:?}");
    assert!(storage.delete_session(ACME, SESSION, LATER).await.unwrap());
    assert_eq!(storage.known_poll(ACME, SESSION, "OUT").await.unwrap(), None);
}

#[tokio::test]
async fn the_author_of_a_message_is_found_by_its_chat_and_its_id() {
    let storage = storage_with_session().await;
    let messages = [incoming("1@g.us", "ada@lid", "IN1"), incoming("1@g.us", "bo@lid", "IN11")];
    storage.record_inbound(ACME, SESSION, NOW, &messages).await.unwrap();
    let author = async |chats: &[&str], id| {
        let chats: Vec<String> = chats.iter().map(ToString::to_string).collect();
        storage.inbound_author(ACME, SESSION, &chats, id).await.unwrap()
    };
    assert_eq!(author(&["1@g.us"], "IN1").await.as_deref(), Some("ada@lid"));
    assert_eq!(author(&["by another name", "1@g.us"], "IN11").await.as_deref(), Some("bo@lid"));
    assert_eq!(author(&["1@g.us"], "IN").await, None, "the beginning of an id is no id");
    assert_eq!(author(&["2@g.us"], "IN1").await, None);
    assert_eq!(author(&[], "IN1").await, None);
}

#[tokio::test]
async fn a_message_of_ours_is_found_by_its_whatsapp_id() {
    let storage = storage_with_session().await;
    accept(&storage, SESSION, &[7]).await;
    let found = storage.message_of_whatsapp_id(ACME, SESSION, "WA7").await.unwrap();
    assert_eq!(found.map(|message| message.id), Some(MessageId(7)));
    assert_eq!(storage.message_of_whatsapp_id(ACME, SESSION, "WA8").await.unwrap(), None);
    assert_eq!(storage.message_of_whatsapp_id(GLOBEX, SESSION, "WA7").await.unwrap(), None);
}
