//! What responders were given: they hear of their sessions, send from them, and so often.

use super::*;
use crate::records::account::ApiKey;
use crate::rules::quota::Scope;

const OTHER: SessionId = SessionId(54_321);

fn only(session: SessionId) -> Grants {
    Grants { sessions: SessionGrant::Only([session].into()), ..everything() }
}

/// The error of the oldest run that is owed.
async fn last_error(host: &Host) -> String {
    host.owed().await[0].work.last_error.clone().unwrap()
}

#[tokio::test]
async fn a_responder_is_told_of_nothing_that_happens_to_a_session_it_was_not_given() {
    let host = Host::start_with_messages(&["a", "b"]).await;
    let responders = FakeResponders::that(|event, _| number_of(event));
    for deaf in [only(OTHER), Grants { sessions: SessionGrant::default(), ..everything() }] {
        responders.given(deaf);
        assert_eq!(host.serve(&responders).await, None);
        assert!(responders.events_run().is_empty() && host.owed().await.is_empty());
    }
    // What it is given now is for what happens from now on.
    responders.given(only(SESSION));
    host.receive("a", "IN9").await;
    assert_eq!(host.serve(&responders).await, None);
    assert_eq!((responders.events_run(), host.texts_sent().await.len()), (vec![3], 1));
}

#[tokio::test]
async fn a_run_that_is_owed_when_its_session_is_taken_back_is_not_made() {
    let host = Host::start_with_messages(&["a", "a"]).await;
    let responders = FakeResponders::that(|_, _| Err("it trapped".to_owned()));
    let wake = host.serve(&responders).await.unwrap();
    assert_eq!(host.owed().await.len(), 2);
    responders.given(only(OTHER));
    host.clock.advance(wake.since(host.clock.now()));
    assert_eq!(host.serve(&responders).await, None);
    assert_eq!((responders.events_run(), host.owed().await.len()), (vec![1], 0));
}

#[tokio::test]
async fn a_command_without_the_grant_to_send_fails_its_run_with_the_grants_name() {
    let host = Host::start_with_messages(&["a"]).await;
    // One that says nothing needs no grant: the next try.
    let responders = FakeResponders::that(|event, tries| if tries == 0 { number_of(event) } else { Ok(Vec::new()) });
    responders.given(Grants { send: None, ..everything() });
    let wake = host.serve(&responders).await.unwrap();
    assert!(last_error(&host).await.contains("not given the grant send"));
    assert_eq!(host.outbox_depth().await, 0);
    host.clock.advance(wake.since(host.clock.now()));
    host.serve_until_done(&responders).await;
    assert!(host.owed().await.is_empty() && host.parked().await.is_empty());
}

#[tokio::test]
async fn a_command_that_names_another_session_is_refused() {
    let host = Host::start_with_messages(&["a"]).await;
    let other = Session { id: OTHER, ..session() };
    let record = ApiKey { id: KeyId(2), session: Some(OTHER), ..own_key().record };
    host.storage.create_session(&other, &NewKey::new(record, "ses_live_other".to_owned())).await.unwrap();
    let responders = FakeResponders::that(|_, _| Ok(vec![Command { session: Some(OTHER), ..send("hello") }]));
    responders.given(only(SESSION));
    host.serve(&responders).await.unwrap();
    assert!(last_error(&host).await.contains("may not send from session 54321"), "{}", last_error(&host).await);
    assert_eq!(host.storage.outbox_depth(TENANT, OTHER).await.unwrap(), 0);
}

#[tokio::test]
async fn answers_over_the_grant_to_send_wait_for_the_next_minute_and_are_counted_for_each_plugin() {
    let host = Host::start_with_messages(&["a", "b", "c"]).await;
    let responders = FakeResponders::named(&[REPLY, "tenant/audit"], |event, _| number_of(event));
    responders.given(Grants { send: Some(SendGrant { per_minute: 2 }), ..everything() });
    let begun = host.clock.now();
    let wake = host.serve(&responders).await.unwrap();
    assert_eq!(host.texts_sent().await.len(), 4, "two of each");
    let reason = last_error(&host).await;
    assert!(reason.contains("the plugin's grant send do not allow it: 2 of 2 are used"), "{reason}");
    assert!(wake.since(begun) <= Duration::from_secs(61));
    // A restart forgets nothing of it.
    assert!(host.serve(&responders).await.is_some());
    assert!(host.texts_sent().await.is_empty());
    host.clock.advance(wake.since(host.clock.now()) + Duration::from_secs(2));
    host.serve_until_done(&responders).await;
    assert_eq!((host.texts_sent().await.len(), host.parked().await.len()), (2, 0));
}

#[tokio::test]
async fn the_grant_counts_beside_the_limits_of_the_tenant() {
    let host = host_with_limit("messages_per_minute", 1).await;
    let responders = FakeResponders::that(|event, _| number_of(event));
    responders.given(Grants { send: Some(SendGrant { per_minute: 2 }), ..everything() });
    host.serve(&responders).await.unwrap();
    assert_eq!(host.texts_sent().await.len(), 1);
    assert!(last_error(&host).await.contains("of the account"));
    let charge = crate::rules::quota::plugin_charge(REPLY, SendGrant { per_minute: 2 }, 1, host.clock.now());
    assert!(matches!(charge.scope, Scope::Plugin(_)));
    let used = host.storage.used(TENANT, vec![charge]).await.unwrap();
    assert_eq!(used[0].1, 1, "what the tenant's limit refused costs the plugin nothing");
}
