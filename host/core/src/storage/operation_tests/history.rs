//! Pages of the event log.

use std::time::Duration;

use super::*;
use crate::storage::{EventQuery, Order, PAGE_EVENTS_MAX, PAGE_SCANNED_MAX, SessionChange};

const MINUTE: Duration = Duration::from_secs(60);

fn at_minute(minute: u32) -> Timestamp {
    NOW.plus(MINUTE * minute)
}

/// Event `n` happens in minute `n`; every third is in chat `a`, whose other name is a number, the others in chat `b`.
async fn history(events: u32) -> Storage {
    let storage = storage_with_session().await;
    add_session(&storage, ACME, NEIGHBOUR).await;
    for n in 1..=events {
        let chat = if n % 3 == 0 { "a@lid" } else { "b@lid" };
        let message = Incoming {
            chat_phone: (n % 3 == 0).then(|| "491520000001".to_owned()),
            ..incoming(chat, chat, &format!("IN{n}"))
        };
        let session = if n % 10 == 0 { NEIGHBOUR } else { SESSION };
        storage.record_inbound(ACME, session, at_minute(n), &[message]).await.unwrap();
    }
    storage
}

fn query(order: Order, limit: usize) -> EventQuery {
    EventQuery { order, limit, ..EventQuery::default() }
}

/// All pages of a query, joined.
async fn pages(storage: &Storage, query: &EventQuery) -> Vec<u64> {
    let mut query = query.clone();
    let mut numbers = Vec::new();
    for _ in 0..1000 {
        let page = storage.event_page(ACME, &query).await.unwrap();
        assert!(page.events.len() <= query.limit);
        numbers.extend(page.events.iter().map(|event| event.n));
        let Some(next) = page.next else { return numbers };
        query.cursor = Some(next);
    }
    panic!("the pages never end: {query:?}");
}

#[tokio::test]
async fn pages_from_either_end_hold_every_event_once_in_order() {
    let storage = history(30).await;
    let up: Vec<u64> = (1..=30).collect();
    let down: Vec<u64> = (1..=30).rev().collect();
    for limit in [1, 7, 10, 30, 100] {
        assert_eq!(pages(&storage, &query(Order::OldestFirst, limit)).await, up, "{limit}");
        assert_eq!(pages(&storage, &query(Order::NewestFirst, limit)).await, down, "{limit}");
    }
    assert_eq!(storage.event_page(GLOBEX, &query(Order::NewestFirst, 10)).await.unwrap().events, []);
    assert_eq!(storage.event_page(GLOBEX, &query(Order::OldestFirst, 10)).await.unwrap().next, None);
}

#[tokio::test]
async fn a_chat_is_found_by_each_of_its_names_and_a_session_by_its_id() {
    let storage = history(30).await;
    let thirds: Vec<u64> = (1..=10).map(|n| n * 3).collect();
    for chat in ["a@lid", "491520000001@s.whatsapp.net"] {
        for limit in [3, 100] {
            let of_chat = EventQuery { chat: Some(chat.to_owned()), ..query(Order::OldestFirst, limit) };
            assert_eq!(pages(&storage, &of_chat).await, thirds, "{chat}");
        }
    }
    let of_session = EventQuery { session: Some(NEIGHBOUR), ..query(Order::NewestFirst, 2) };
    assert_eq!(pages(&storage, &of_session).await, [30, 20, 10]);
    let of_both = EventQuery { chat: Some("a@lid".to_owned()), ..of_session };
    assert_eq!(pages(&storage, &of_both).await, [30]);
    let of_nobody = EventQuery { chat: Some("a".to_owned()), ..query(Order::OldestFirst, 2) };
    assert!(pages(&storage, &of_nobody).await.is_empty());
}

#[tokio::test]
async fn types_are_exact_a_family_or_everything() {
    let storage = history(3).await;
    storage.change_session(ACME, SESSION, at_minute(4), &SessionChange::state(SessionState::Pairing, None)).await.unwrap();
    let of = async |types: &[&str]| {
        let types = types.iter().map(ToString::to_string).collect();
        pages(&storage, &EventQuery { types, ..query(Order::OldestFirst, 2) }).await
    };
    assert_eq!(of(&["message.received"]).await, [1, 2, 3]);
    assert_eq!(of(&["message.*"]).await, [1, 2, 3]);
    assert_eq!(of(&["session.*", "poll.vote"]).await, [4]);
    assert_eq!(of(&["*"]).await, [1, 2, 3, 4]);
    assert!(of(&["message"]).await.is_empty());
}

#[tokio::test]
async fn a_time_range_has_its_beginning_in_it_and_its_end_not() {
    let storage = history(60).await;
    for order in [Order::OldestFirst, Order::NewestFirst] {
        for chat in [None, Some("a@lid".to_owned())] {
            let range =
                EventQuery { since: Some(at_minute(20)), until: Some(at_minute(31)), chat: chat.clone(), ..query(order, 4) };
            let mut wanted: Vec<u64> = (20..31).filter(|n| chat.is_none() || n % 3 == 0).collect();
            if order == Order::NewestFirst {
                wanted.reverse();
            }
            assert_eq!(pages(&storage, &range).await, wanted, "{order:?} {chat:?}");
        }
    }
    let later = EventQuery { since: Some(at_minute(1000)), ..query(Order::OldestFirst, 4) };
    assert!(pages(&storage, &later).await.is_empty());
    let earlier = EventQuery { until: Some(Timestamp(0)), ..query(Order::NewestFirst, 4) };
    assert!(pages(&storage, &earlier).await.is_empty());
}

#[tokio::test]
async fn a_page_looks_at_so_many_entries_and_says_where_to_go_on() {
    let storage = storage_with_session().await;
    let many: Vec<Incoming> = (0..PAGE_SCANNED_MAX + 300).map(|n| incoming("chat", "from", &format!("IN{n}"))).collect();
    for some in many.chunks(1000) {
        storage.record_inbound(ACME, SESSION, NOW, some).await.unwrap();
    }
    let rare = EventQuery { types: vec!["poll.vote".to_owned()], ..query(Order::OldestFirst, 10) };
    let page = storage.event_page(ACME, &rare).await.unwrap();
    assert_eq!((page.events.len(), page.next), (0, Some(PAGE_SCANNED_MAX as u64)));
    assert!(pages(&storage, &rare).await.is_empty());
    let most = storage.event_page(ACME, &query(Order::NewestFirst, usize::MAX)).await.unwrap();
    assert_eq!(most.events.len(), PAGE_EVENTS_MAX);
}
