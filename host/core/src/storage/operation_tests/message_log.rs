//! The list of messages of both directions.

use super::*;
use crate::records::event::Fact;
use crate::records::message_log::{Direction, LogQuery, Logged};
use crate::rules::retention::Retention;

fn page(limit: usize, offset: usize) -> LogQuery {
    LogQuery { limit, offset, ..LogQuery::default() }
}

fn names(entries: &[Logged]) -> Vec<String> {
    let name = |one: &Logged| match one {
        Logged::Sent(message) => message.whatsapp_id.clone(),
        Logged::Received(event) => match &event.fact {
            Fact::MessageReceived(incoming) => incoming.whatsapp_id.clone(),
            other => panic!("{other:?}"),
        },
    };
    entries.iter().map(name).collect()
}

/// Messages 1 and 3 that were sent, and 2 and 4 that came in, a millisecond apart; and what is neither.
async fn both_ways() -> Storage {
    let storage = storage_with_session().await;
    for n in 1..=4 {
        let at = NOW.plus(std::time::Duration::from_millis(n));
        if n % 2 == 1 {
            let sent = Message { accepted_at: at, ..message(SESSION, n) };
            storage.accept_messages(ACME, &[sent]).await.unwrap();
        } else {
            storage.record_inbound(ACME, SESSION, at, &[incoming("chat", "from", &format!("IN{n}"))]).await.unwrap();
        }
    }
    let own = Incoming { from_me: true, ..incoming("chat", "me", "OWN") };
    storage.record_inbound(ACME, SESSION, NOW, &[own]).await.unwrap();
    storage
}

#[tokio::test]
async fn both_directions_are_one_list_newest_first_in_pages() {
    let storage = both_ways().await;
    let whole = storage.message_log(ACME, &page(10, 0)).await.unwrap();
    let sent = |n: u64| message(SESSION, n).whatsapp_id;
    let expected = ["IN4".to_owned(), sent(3), "IN2".to_owned(), sent(1)];
    assert_eq!((names(&whole.entries), whole.total), (expected.to_vec(), 4));
    let middle = storage.message_log(ACME, &page(2, 1)).await.unwrap();
    assert_eq!((names(&middle.entries), middle.total), (expected[1..3].to_vec(), 4));
    let behind = storage.message_log(ACME, &page(2, 4)).await.unwrap();
    assert_eq!((behind.entries.len(), behind.total), (0, 4));
}

#[tokio::test]
async fn a_list_is_narrowed_by_direction_session_state_and_time_and_its_total_with_it() {
    let storage = both_ways().await;
    let total = async |query: LogQuery| {
        let page = storage.message_log(ACME, &query).await.unwrap();
        (page.entries.len(), page.total)
    };
    let all = page(10, 0);
    let sent = LogQuery { direction: Some(Direction::Sent), ..all.clone() };
    assert_eq!(total(sent.clone()).await, (2, 2));
    assert_eq!(total(LogQuery { direction: Some(Direction::Received), ..all.clone() }).await, (2, 2));
    assert_eq!(total(LogQuery { session: Some(SESSION), limit: 1, ..all.clone() }).await, (1, 4));
    assert_eq!(total(LogQuery { session: Some(NEIGHBOUR), ..all.clone() }).await, (0, 0));
    assert_eq!(total(LogQuery { states: vec![MessageState::Queued], ..all.clone() }).await, (2, 2), "nothing that came in");
    assert_eq!(total(LogQuery { states: vec![MessageState::Read], ..all.clone() }).await, (0, 0));
    let after = |n: u64| NOW.plus(std::time::Duration::from_millis(n));
    assert_eq!(total(LogQuery { since: Some(after(2)), until: Some(after(4)), ..all.clone() }).await, (2, 2));
    assert_eq!(storage.message_log(GLOBEX, &all).await.unwrap().total, 0, "another tenant's");
}

#[tokio::test]
async fn what_the_log_has_lost_is_not_counted() {
    let storage = both_ways().await;
    let nothing = Retention { events_age: std::time::Duration::ZERO, events_bytes_max: 0 };
    let later = NOW.plus(std::time::Duration::from_secs(30 * 86_400));
    while storage.trim_events(ACME, &nothing, later).await.unwrap() > 0 {}
    let left = storage.message_log(ACME, &page(10, 0)).await.unwrap();
    assert_eq!((left.entries.len(), left.total), (2, 2), "those that were sent");
}
