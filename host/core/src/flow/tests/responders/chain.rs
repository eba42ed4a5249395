//! Responders as a chain: who may end it is waited for, and what was ended is told to nobody behind.

use super::*;
use crate::rules::narrowing::ChatKind;
use crate::storage::ChainStanding;

const FIRST: &str = "operator/first";
const LAST: &str = "1/last";

impl FakeResponders {
    /// `FIRST`, which ends the chain at `ended`, then `LAST`.
    fn chain(
        ended: &[u64],
        answer: impl Fn(&Event, usize) -> Result<Vec<Command>, String> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let chain = Self::named(&[FIRST, LAST], answer);
        chain.ending.lock().unwrap().insert(FIRST, ended.to_vec());
        chain
    }

    /// Who was told of which event, in this order.
    fn told(&self) -> Vec<(&'static str, u64)> {
        let name = |id: &str| if id.contains(":first_") { FIRST } else { LAST };
        self.runs.lock().unwrap().iter().map(|(id, n)| (name(id), *n)).collect()
    }
}

#[tokio::test]
async fn what_is_ended_is_told_to_nobody_behind_and_all_else_goes_on() {
    let host = Host::start_with_messages(&["a", "a", "b"]).await;
    let chain = FakeResponders::chain(&[1], |event, _| number_of(event));
    assert_eq!(host.serve(&chain).await, None);
    assert_eq!(chain.told(), [(FIRST, 1), (FIRST, 3), (FIRST, 2), (LAST, 2), (LAST, 3)]);
    assert_eq!(host.texts_sent().await.len(), 5);
    assert!(host.storage.owed_runs(TENANT, LAST, 9).await.unwrap().is_empty());
    // In its place an event of the chain's end is nobody's any more, also for a worker that comes later.
    host.receive("a", "IN9").await;
    assert_eq!(host.serve(&chain).await, None);
    assert_eq!(chain.told().len(), 7);
}

#[tokio::test]
async fn a_run_that_may_end_the_chain_is_waited_for_in_its_chat_alone() {
    let host = Host::start_with_messages(&["a", "b", "a"]).await;
    let chain =
        FakeResponders::chain(
            &[1],
            |event, tries| {
                if event.n == 1 && tries == 0 { Err("not now".to_owned()) } else { number_of(event) }
            },
        );
    let wake = host.serve(&chain).await.unwrap();
    assert_eq!(chain.told(), [(FIRST, 1), (FIRST, 2), (LAST, 2)], "chat b does not wait");
    host.clock.advance(wake.since(host.clock.now()));
    assert_eq!(host.serve(&chain).await, None);
    assert_eq!(chain.told()[3..], [(FIRST, 1), (FIRST, 3), (LAST, 3)], "event 1 was ended");
}

#[tokio::test]
async fn a_run_that_was_parked_ends_nothing() {
    let host = Host::start_with_messages(&["a"]).await;
    let chain = FakeResponders::named(&[FIRST, LAST], |_, tries| {
        if tries < RUN_TRIES_MAX as usize { Err("it trapped".to_owned()) } else { Ok(Vec::new()) }
    });
    chain.ending.lock().unwrap().insert(FIRST, vec![1]);
    host.serve_until_done(&chain).await;
    let told = chain.told();
    let first = told.iter().filter(|(name, _)| *name == FIRST).count();
    assert_eq!((first, told.len()), (RUN_TRIES_MAX as usize, 2 * RUN_TRIES_MAX as usize));
    assert_eq!(told[first..].iter().filter(|(name, _)| *name == LAST).count(), first, "only then the next one");
}

#[tokio::test]
async fn who_did_not_say_that_it_ends_the_chain_cannot() {
    let host = Host::start_with_messages(&["a"]).await;
    let reply = FakeResponders::that(|event, _| number_of(event));
    reply.ends_unasked.store(true, Ordering::Relaxed);
    assert!(host.serve(&reply).await.is_some());
    let why = host.owed().await[0].work.last_error.clone().unwrap();
    assert!(why.contains("does not say that it may"), "{why}");
    assert_eq!(host.outbox_depth().await, 0);
}

#[tokio::test]
async fn wherever_a_worker_is_dropped_the_end_of_a_chain_holds() {
    for polls in 0..16 {
        let host = Host::start_with_messages(&["a", "b", "a"]).await;
        let chain = FakeResponders::chain(&[1, 2], |event, _| number_of(event));
        let dropped = host.worker(&chain);
        tokio::select! {
            biased;
            _ = dropped.serve(TENANT) => {}
            () = async { for _ in 0..polls { tokio::task::yield_now().await } } => {}
        }
        chain.chats_under_way.lock().unwrap().clear();
        host.serve_until_done(&chain).await;
        let mut texts = host.texts_sent().await;
        texts.sort_unstable();
        assert_eq!(texts, ["to 1", "to 2", "to 3", "to 3"], "dropped after {polls} polls");
        assert!(chain.told().iter().all(|(name, n)| *name == FIRST || *n == 3), "{:?}", chain.told());
    }
}

#[tokio::test]
async fn an_end_goes_with_its_event() {
    use crate::rules::retention::Retention;
    let host = Host::start_with_messages(&["a"]).await;
    let chain = FakeResponders::chain(&[1], |event, _| number_of(event));
    host.serve_until_done(&chain).await;
    let retention = Retention { events_age: Duration::from_secs(86_400), events_bytes_max: u64::MAX };
    let standing = async || host.storage.chain_standing(TENANT, &[FIRST], 1).await.unwrap();
    assert_eq!(standing().await, ChainStanding::Ended);
    host.clock.advance(Duration::from_secs(86_400 * 400));
    let now = host.clock.now();
    while host.storage.trim_events(TENANT, &retention, now).await.unwrap() > 0 {}
    assert_eq!(standing().await, ChainStanding::Free);
}

#[tokio::test]
async fn what_a_narrowing_leaves_out_is_not_owed() {
    let host = Host::start_with_messages(&["a@s.whatsapp.net", "b@g.us"]).await;
    let reply = FakeResponders::that(|event, _| number_of(event));
    let groups = Narrowing { chat_kinds: vec![ChatKind::Group], ..Narrowing::default() };
    *reply.narrowing.lock().unwrap() = groups;
    assert_eq!(host.serve(&reply).await, None);
    assert_eq!(reply.events_run(), [2]);
}
