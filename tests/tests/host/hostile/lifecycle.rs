//! Plugins that are changed, replaced or removed at the worst moment.

use switchboard_tests::components::stamped;
use switchboard_tests::patience::{PATIENCE, until};

use super::{CUSTOMER, OTHER_CUSTOMER, PLUGINS, Street, bot, runs, upload};

#[tokio::test(flavor = "multi_thread")]
async fn uploaded_anew_while_it_spins__the_next_message_meets_the_new_version() {
    let street = Street::with_bot().await;
    street.tell(CUSTOMER, "spin").await;
    let next = upload(&street.attacker, "bot", stamped(env!("GUEST_BOT"), 2)).await;
    assert_eq!((next.status, next.json()["version"].as_u64()), (201, Some(2)), "{next:?}");
    street.tell(OTHER_CUSTOMER, "hello").await;
    assert_eq!(street.shown_times(OTHER_CUSTOMER, 1).await, ["hello"]);
    street.run_fails("cpu").await;
    street.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_while_it_spins__nothing_of_it_is_left() {
    let street = Street::with_bot().await;
    street.tell(CUSTOMER, "spin").await;
    let path = format!("{PLUGINS}/bot");
    let key = &street.attacker.tenant_key;
    let deleted = street.attacker.http.json("DELETE", &path, Some(key), None).await.unwrap();
    assert_eq!(deleted.status, 204, "{deleted:?}");
    for below in ["", "/runs", "/logs", "/versions", "/grants", "/secrets", "/config"] {
        let gone = street.attacker.get(&format!("{path}{below}"), key).await;
        assert_eq!(gone.status, 404, "{below}: {gone:?}");
    }
    // Under its name a new one begins with nothing.
    assert_eq!(upload(&street.attacker, "bot", bot()).await.status, 201);
    street.tell(OTHER_CUSTOMER, "hello").await;
    assert_eq!(street.shown_times(OTHER_CUSTOMER, 1).await, ["hello"]);
    assert!(runs(&street.attacker).await.is_empty());
    street.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_over_and_over_while_it_counts__each_message_is_counted_once() {
    const MESSAGES: usize = 6;
    let street = Street::with_bot().await;
    let writes = async {
        for _ in 0..MESSAGES {
            tokio::join!(street.tell(CUSTOMER, "count"), street.tell(OTHER_CUSTOMER, "count"));
        }
    };
    let replaces = async {
        for n in 1..=8 {
            let next = upload(&street.attacker, "bot", stamped(env!("GUEST_BOT"), n)).await;
            assert!(matches!(next.status, 200 | 201), "{next:?}");
        }
    };
    tokio::join!(writes, replaces);
    // Two versions wrote the same key at the same time, and neither over the other.
    let mut counted: Vec<u64> = Vec::new();
    for customer in [CUSTOMER, OTHER_CUSTOMER] {
        counted.extend(street.shown_times(customer, MESSAGES).await.iter().map(|text| text.parse::<u64>().unwrap()));
    }
    counted.sort_unstable();
    assert_eq!(counted, (1..=2 * MESSAGES as u64).collect::<Vec<_>>());
    street.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_more_at_once_than_wait__the_rest_is_told_to_come_back_and_the_neighbour_is_served() {
    let street = Street::with_bot().await;
    let flood = (0..24).map(|n| upload(&street.attacker, "bot", stamped(env!("GUEST_BOT"), 100 + n)));
    let flood = futures_util::future::join_all(flood);
    let neighbours = upload(&street.neighbour, "own", stamped(env!("GUEST_BOT"), 99));
    let (answers, neighbours) = tokio::join!(flood, neighbours);
    assert_eq!(neighbours.status, 201, "{neighbours:?}");
    let busy = answers.iter().filter(|answer| matches!(answer.status, 429 | 503)).count();
    let taken = answers.iter().filter(|answer| answer.status == 201).count();
    assert!(busy > 0 && taken > 0 && busy + taken == answers.len(), "{busy} busy, {taken} taken: {answers:?}");
    let path = format!("{PLUGINS}/own");
    let key = &street.neighbour.tenant_key;
    let deleted = street.neighbour.http.json("DELETE", &path, Some(key), None).await.unwrap();
    assert_eq!(deleted.status, 204);
    street.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_upwards__is_refused() {
    let street = Street::start().await;
    for name in ["..", "..%2Fbot", "%2E%2E%2Fbot", "a%2Fb", "a%00b", "a%0D%0Ab", "operator%2Fwasender", ""] {
        let refused = upload(&street.attacker, name, bot()).await;
        assert_eq!(refused.status, 422, "{name}: {refused:?}");
    }
    street.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn spins_in_every_chat__the_neighbour_is_answered_meanwhile() {
    let street = Street::with_bot().await;
    for customer in [CUSTOMER, OTHER_CUSTOMER] {
        street.tell(customer, "spin").await;
    }
    let failed = until(PATIENCE, async || runs(&street.attacker).await.len() == 2);
    assert!(failed.await, "{:?}", runs(&street.attacker).await);
    street.end().await;
}
