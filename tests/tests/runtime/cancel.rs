//! A call whose caller went away: wherever it stood, its place is free again and the next call is well.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use switchboard_runtime::{Limit, Outcome};
use tokio::task::coop::unconstrained;

use crate::stage::{Stage, principal, settings};

/// Polls once; whether that ended it.
pub async fn ends_when_polled(future: &mut Pin<Box<impl Future>>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await
}

#[tokio::test]
async fn a_call_can_be_cancelled_at_every_point_where_it_waits() {
    // With one place, a place that was not given back fails the next call.
    let stage = Stage::new(settings(1)).await;
    let mut waits_max = 0;
    for polls in 0..50 {
        let mut call = Box::pin(unconstrained(stage.ask("GET", "/chatty", Some(principal(1)), b"")));
        let mut waits = 0;
        while waits < polls && !ends_when_polled(&mut call).await {
            waits += 1;
        }
        waits_max = waits_max.max(waits);
        drop(call);
        stage.assert_well().await;
    }
    assert!(waits_max >= 20, "it waited only {waits_max} times");
}

#[tokio::test]
async fn a_guest_that_spins_can_be_cancelled_between_two_ticks() {
    let stage = Stage::new(settings(1)).await;
    for polls in 1..6 {
        let mut call = Box::pin(unconstrained(stage.respond("spin")));
        for _ in 0..polls {
            assert!(!ends_when_polled(&mut call).await);
        }
        drop(call);
        stage.assert_well().await;
    }
}

#[tokio::test]
async fn a_call_that_waits_for_its_place_can_be_cancelled() {
    let stage = Stage::new(settings(1)).await;
    let mut asleep = Box::pin(unconstrained(stage.respond("sleep")));
    assert!(!ends_when_polled(&mut asleep).await);
    let mut waiting = Box::pin(unconstrained(stage.respond("good day")));
    assert!(!ends_when_polled(&mut waiting).await);
    drop(waiting);
    let outcome = stage.respond("good day").await.outcome;
    assert!(matches!(outcome, Outcome::LimitExceeded(Limit::Queue, _)), "{outcome:?}");
    drop(asleep);
    stage.assert_well().await;
}
