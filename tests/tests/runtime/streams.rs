//! Streams that a plugin words: what it answers with, what it makes of each moment, and what it may not declare.

use std::time::Duration;

use switchboard_core::records::id::{SessionId, TenantId};
use switchboard_core::records::session::SessionState;
use switchboard_runtime::types::{LiveAnswer, LiveMoment, LiveSource, RatePer, Request, SessionLife};
use switchboard_runtime::{CompileError, InspectError, LoadedPlugin, Outcome, Owner, Runtime};

use crate::stage::{component, context, heard, principal, runtime, session, settings};

const LIVE: &str = env!("GUEST_LIVE");

async fn load(runtime: &Runtime, config: &str) -> Result<LoadedPlugin, CompileError> {
    runtime.load(&component(LIVE), Owner::Tenant, &context(None, config)).await
}

fn life(state: SessionState) -> LiveMoment {
    let phone_number = session(SessionId(5), TenantId(1)).phone_number;
    LiveMoment::Session(Box::new(SessionLife { state, reason: None, phone_number, qr: None }))
}

#[tokio::test]
async fn a_router_answers_with_a_stream_and_words_each_moment_from_where_it_was() {
    let runtime = runtime(settings(2));
    let plugin = load(&runtime, "{}").await.unwrap();
    let caller = Some(principal(1));
    let place = plugin.routes.iter().position(|route| route.path == "/life/{id}").unwrap();
    let request = Request {
        route: u32::try_from(place).unwrap(),
        method: "GET".to_owned(),
        path: "/x/life/5".to_owned(),
        params: vec![("id".to_owned(), "5".to_owned())],
        principal: caller.clone(),
        ..Request::default()
    };
    let Outcome::Reply(answer) = runtime.handle(&plugin, &context(caller, "{}"), &request).await.outcome else { panic!() };
    let expected = LiveAnswer { source: LiveSource::SessionLife(SessionId(5)), state: b"0".to_vec() };
    assert_eq!((answer.status, &answer.live), (200, &Some(expected)));

    let mut state = answer.live.unwrap().state;
    for (moment, said) in [
        (life(SessionState::Pairing), "event: pairing\ndata: 0\n\n"),
        (LiveMoment::Event(Box::new(heard("good day"))), "event: message.received\ndata: 1\n\n"),
        (LiveMoment::Gone, "event: gone\ndata: 2\n\n"),
    ] {
        let called = runtime.render(&plugin, &context(None, "{}"), &state, &moment).await;
        let Outcome::Reply(step) = called.outcome else { panic!("{moment:?}: {:?}", called.outcome) };
        assert_eq!((String::from_utf8(step.bytes).unwrap().as_str(), step.done), (said, false));
        state = step.state.unwrap();
    }
    let broken = runtime.render(&plugin, &context(None, "{}"), &state, &life(SessionState::LoggedOut)).await.outcome;
    assert!(matches!(broken, Outcome::Trap(_)), "{broken:?}");
}

#[tokio::test]
async fn a_token_is_drawn_for_the_plugin_that_asks() {
    let runtime = runtime(settings(1));
    let plugin = load(&runtime, "{}").await.unwrap();
    let place = plugin.routes.iter().position(|route| route.path == "/link/{id}").unwrap();
    let request = Request {
        route: u32::try_from(place).unwrap(),
        path: "/x/link/5".to_owned(),
        params: vec![("id".to_owned(), "5".to_owned())],
        ..Request::default()
    };
    let Outcome::Reply(answer) = runtime.handle(&plugin, &context(Some(principal(1)), "{}"), &request).await.outcome else {
        panic!()
    };
    let text = String::from_utf8(answer.body).unwrap();
    assert_eq!(text, format!("operator/guest 5 {}", Duration::from_secs(60).as_secs()));
}

#[tokio::test]
async fn lasting_keys_stay_out_of_queries_and_rates_have_a_name_and_a_figure() {
    let runtime = runtime(settings(1));
    for (config, words) in [
        ("\"key-in-query\"", "keys of the kind link are taken in queries, and no others are"),
        ("\"link-in-header\"", "keys of the kind link are taken in queries, and no others are"),
        ("\"rate-of-nothing\"", "its rate needs a name"),
        ("\"rate-without-name\"", "its rate needs a name"),
    ] {
        match load(&runtime, config).await {
            Err(CompileError::Refused(error @ InspectError::BadDeclaration { .. })) => {
                assert!(error.to_string().contains(words), "{config}: {error}");
            }
            other => panic!("{config}: {other:?}"),
        }
    }
    let plugin = load(&runtime, "{}").await.unwrap();
    let rated = plugin.routes.iter().find(|route| route.path == "/rated").unwrap().rate.clone().unwrap();
    assert_eq!((rated.name.as_str(), rated.per_minute, rated.per), ("few", 2, RatePer::Account));
}
