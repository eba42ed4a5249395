//! Responders: serial within a chat, parallel across chats, and what a run did is kept exactly once.

mod chain;
mod grants;
mod rounds;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::*;
use crate::flow::inbox::Inbox;
use crate::flow::responder_worker::{
    COMMANDS_MAX, Command, RUN_TRIES_MAX, ResponderWorker, Responders, RunAnswer, RunTry, Subscription,
};
use crate::records::account::Tenant;
use crate::records::event::Event;
use crate::records::plugin::{Grants, MessageField, SendGrant, SessionGrant};
use crate::rules::narrowing::Narrowing;
use crate::storage::OwedRun;

const REPLY: &str = "operator/reply";

type Answer = Box<dyn Fn(&Event, usize) -> Result<Vec<Command>, String> + Send + Sync>;

/// Runs `answer`, which is given the event and how often its run was tried before.
struct FakeResponders {
    names: Vec<&'static str>,
    grants: Mutex<Grants>,
    answer: Answer,
    /// Run id and event number of each run, in the order they began.
    runs: Mutex<Vec<(String, u64)>>,
    chats_under_way: Mutex<Vec<String>>,
    most_at_once: AtomicUsize,
    ran: Notify,
    /// What could not be done: how many commands, and why.
    refusals: Mutex<Vec<(usize, String)>>,
    /// Who may end the chain, and at which events it does.
    ending: Mutex<BTreeMap<&'static str, Vec<u64>>>,
    narrowing: Mutex<Narrowing>,
    /// Ends the chain at every event, without having said that it may.
    ends_unasked: AtomicBool,
}

impl FakeResponders {
    fn that(answer: impl Fn(&Event, usize) -> Result<Vec<Command>, String> + Send + Sync + 'static) -> Arc<Self> {
        Self::named(&[REPLY], answer)
    }

    fn named(
        names: &[&'static str],
        answer: impl Fn(&Event, usize) -> Result<Vec<Command>, String> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            names: names.to_vec(),
            grants: Mutex::new(everything()),
            answer: Box::new(answer),
            runs: Mutex::default(),
            chats_under_way: Mutex::default(),
            most_at_once: AtomicUsize::new(0),
            ran: Notify::new(),
            refusals: Mutex::default(),
            ending: Mutex::default(),
            narrowing: Mutex::default(),
            ends_unasked: AtomicBool::new(false),
        })
    }

    fn given(&self, grants: Grants) {
        *self.grants.lock().unwrap() = grants;
    }

    fn ends(&self, name: &str) -> Option<Vec<u64>> {
        self.ending.lock().unwrap().get(name).cloned()
    }

    fn events_run(&self) -> Vec<u64> {
        self.runs.lock().unwrap().iter().map(|(_, n)| *n).collect()
    }

    fn begin(&self, run_id: &str, event: &Event, chat: &str) -> usize {
        let mut under_way = self.chats_under_way.lock().unwrap();
        assert!(!under_way.iter().any(|other| other == chat), "two runs of one chat at once");
        under_way.push(chat.to_owned());
        self.most_at_once.fetch_max(under_way.len(), Ordering::Relaxed);
        let mut runs = self.runs.lock().unwrap();
        let tries_before = runs.iter().filter(|(id, _)| id == run_id).count();
        runs.push((run_id.to_owned(), event.n));
        tries_before
    }
}

/// Whatever a responder can be given.
fn everything() -> Grants {
    let send = Some(SendGrant { per_minute: 100_000 });
    Grants { send, sessions: SessionGrant::All, fields: MessageField::ALL.into(), ..Grants::default() }
}

#[async_trait]
impl Responders for FakeResponders {
    fn subscriptions(&self, _tenant: TenantId) -> Vec<Subscription> {
        let event_types = vec!["message.received".to_owned()];
        let grants = self.grants.lock().unwrap().clone();
        let subscription = |name: &&str| Subscription {
            name: (*name).to_owned(),
            event_types: event_types.clone(),
            narrowing: Arc::new(Narrowing {
                ends_chain: self.ends(name).is_some(),
                ..self.narrowing.lock().unwrap().clone()
            }),
            grants: Arc::new(grants.clone()),
            plugin: None,
        };
        self.names.iter().map(subscription).collect()
    }

    async fn run(&self, _tenant: TenantId, name: &str, run: &RunTry<'_>, event: &Event) -> Result<RunAnswer, String> {
        let chat = event.fact.chat().unwrap();
        let tries_before = self.begin(run.id, event, chat);
        // A try that ended with the worker was not counted.
        assert!((1..=tries_before + 1).contains(&(run.attempt as usize)));
        tokio::task::yield_now().await;
        self.chats_under_way.lock().unwrap().retain(|other| other != chat);
        self.ran.notify_one();
        let unasked = self.ends_unasked.load(Ordering::Relaxed);
        let ends_chain = unasked || self.ends(name).is_some_and(|events| events.contains(&event.n));
        Ok(RunAnswer { commands: (self.answer)(event, tries_before)?, ends_chain, ..RunAnswer::default() })
    }

    async fn refused(&self, _: TenantId, _: &str, _: &RunTry<'_>, _: &Event, wanted: &[Command], why: &str) {
        self.refusals.lock().unwrap().push((wanted.len(), why.to_owned()));
    }
}

fn command_to(to: &str, text: &str) -> Command {
    let (content, extras) = (Content::Text(text.to_owned()), Extras::default());
    Command { session: None, to: to.to_owned(), content, extras, schedule: Schedule::default() }
}

fn send(text: &str) -> Command {
    command_to(NUMBER, text)
}

/// Answers each event with its number.
fn number_of(event: &Event) -> Result<Vec<Command>, String> {
    Ok(vec![send(&format!("to {}", event.n))])
}

impl Host {
    /// A host where events 1, 2, … are messages of these chats.
    async fn start_with_messages(chats: &[&str]) -> Self {
        let host = Self::start().await;
        for (n, chat) in chats.iter().enumerate() {
            host.receive(chat, &format!("IN{n}")).await;
        }
        host
    }

    fn worker(&self, responders: &Arc<FakeResponders>) -> ResponderWorker {
        ResponderWorker {
            storage: self.storage.clone(),
            clock: self.clock.clone(),
            entropy: Arc::clone(&self.entropy),
            wakes: Arc::clone(&self.wakes),
            intake: self.intake.clone(),
            responders: responders.clone(),
        }
    }

    async fn serve(&self, responders: &Arc<FakeResponders>) -> Option<Timestamp> {
        self.worker(responders).serve(TENANT).await.unwrap()
    }

    /// Serves, and whenever a run waits moves the clock on to it, until none waits any more.
    async fn serve_until_done(&self, responders: &Arc<FakeResponders>) {
        while let Some(wake) = self.serve(responders).await {
            self.clock.advance(wake.since(self.clock.now()));
        }
    }

    async fn texts_sent(&self) -> Vec<String> {
        self.drain_outbox().await.iter().map(text_of).collect()
    }

    async fn owed(&self) -> Vec<OwedRun> {
        self.storage.owed_runs(TENANT, REPLY, usize::MAX).await.unwrap()
    }

    async fn parked(&self) -> Vec<OwedRun> {
        self.storage.parked_runs(TENANT, REPLY, 0, usize::MAX).await.unwrap()
    }
}

#[tokio::test]
async fn a_command_is_sent_from_the_session_that_the_event_happened_to() {
    let host = Host::start_with_messages(&["a"]).await;
    assert_eq!(host.serve(&FakeResponders::that(|_, _| Ok(vec![send("one"), send("two")]))).await, None);
    assert!(host.owed().await.is_empty());
    let sent = host.drain_outbox().await;
    let texts: Vec<_> = sent.iter().map(text_of).collect();
    assert_eq!(texts, ["one", "two"]);
    assert!(sent.iter().all(|message| message.session == SESSION && message.to == NUMBER_JID));
    assert!(sent.iter().all(|message| message.origin.as_deref() == Some(REPLY)));
}

#[tokio::test]
async fn only_events_that_a_responder_asked_for_are_given_to_it() {
    let host = Host::start_with_messages(&["a"]).await;
    host.accept_text("hello").await;
    host.drain_outbox().await;
    host.set_state(SessionState::Reconnecting).await;
    assert_eq!(host.storage.last_event_number(TENANT).await.unwrap(), 3);
    let responders = FakeResponders::that(|_, _| Ok(Vec::new()));
    assert_eq!(host.serve(&responders).await, None);
    assert_eq!(responders.events_run(), [1]);
}

#[tokio::test]
async fn every_responder_is_given_the_event_and_one_that_fails_keeps_no_other_from_it() {
    let host = Host::start_with_messages(&["a"]).await;
    let responders = FakeResponders::named(&[REPLY, "tenant/audit"], |_, _| Err("it trapped".to_owned()));
    assert!(host.serve(&responders).await.is_some());
    assert_eq!(responders.events_run(), [1, 1]);
    let ids: Vec<_> = responders.runs.lock().unwrap().iter().map(|(id, _)| id.clone()).collect();
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn runs_are_serial_within_a_chat_and_parallel_across_chats() {
    let host = Host::start_with_messages(&["a", "b", "a", "c", "a", "b"]).await;
    let responders = FakeResponders::that(|event, _| number_of(event));
    assert_eq!(host.serve(&responders).await, None);
    assert_eq!(responders.most_at_once.load(Ordering::Relaxed), 3);
    let run = responders.events_run();
    assert_eq!(run[..3], [1, 2, 4], "the first of each chat");
    let of = |chat: &[u64]| run.iter().copied().filter(|n| chat.contains(n)).collect::<Vec<_>>();
    assert_eq!((of(&[1, 3, 5]), of(&[2, 6])), (vec![1, 3, 5], vec![2, 6]));
    assert_eq!(host.texts_sent().await.len(), 6);
}

#[tokio::test]
async fn a_run_that_fails_blocks_its_own_chat_only() {
    let host = Host::start_with_messages(&["a", "b", "a", "b"]).await;
    let responders =
        FakeResponders::that(|event, _| if event.n == 1 { Err("it trapped".to_owned()) } else { number_of(event) });
    let wait = host.serve(&responders).await.unwrap().since(host.clock.now());
    assert!((Duration::from_millis(500)..=Duration::from_secs(1)).contains(&wait), "{wait:?}");
    assert_eq!(responders.events_run(), [1, 2, 4]);
    assert_eq!(host.texts_sent().await, ["to 2", "to 4"]);
    let owed: Vec<_> = host.owed().await.iter().map(|run| (run.event.n, run.work.tries)).collect();
    assert_eq!(owed, [(1, 1), (3, 0)]);
}

#[tokio::test]
async fn a_chat_with_a_long_backlog_behind_a_failed_run_does_not_hold_up_another() {
    let mut chats = vec!["a"; 600];
    chats.push("b");
    let host = Host::start_with_messages(&chats).await;
    let responders =
        FakeResponders::that(|event, _| if event.n == 1 { Err("it trapped".to_owned()) } else { number_of(event) });
    assert!(host.serve(&responders).await.is_some());
    assert_eq!(responders.events_run(), [1, 601]);
    assert_eq!(host.texts_sent().await, ["to 601"]);
}

#[tokio::test]
async fn a_run_is_tried_again_under_the_same_id_later_each_time_and_then_its_chat_goes_on() {
    let host = Host::start_with_messages(&["a", "a"]).await;
    let responders =
        FakeResponders::that(|event, tries| if tries < 2 { Err("not now".to_owned()) } else { number_of(event) });
    for (tries, full_wait) in [(1, Duration::from_secs(1)), (2, Duration::from_secs(2))] {
        let wake = host.serve(&responders).await.unwrap();
        let wait = wake.since(host.clock.now());
        assert!((full_wait / 2..=full_wait).contains(&wait), "{wait:?}");
        assert_eq!(host.serve(&responders).await, Some(wake), "nothing is due before that");
        assert_eq!(responders.events_run(), vec![1; tries]);
        host.clock.advance(wait);
    }
    host.serve_until_done(&responders).await;
    assert_eq!(responders.events_run(), [1, 1, 1, 2, 2, 2]);
    let runs = responders.runs.lock().unwrap().clone();
    assert_eq!((&runs[0], &runs[3]), (&runs[2], &runs[5]));
    assert_ne!(runs[0].0, runs[3].0);
    assert_eq!(host.texts_sent().await, ["to 1", "to 2"]);
}

#[tokio::test]
async fn a_run_that_fails_every_time_is_parked_with_its_last_error_and_its_chat_goes_on() {
    let host = Host::start_with_messages(&["a", "a"]).await;
    let responders =
        FakeResponders::that(
            |event, tries| {
                if event.n == 1 { Err(format!("failed after {tries} tries")) } else { number_of(event) }
            },
        );
    host.serve_until_done(&responders).await;
    let mut expected = vec![1; RUN_TRIES_MAX as usize];
    expected.push(2);
    assert_eq!(responders.events_run(), expected);
    let parked = host.parked().await;
    assert_eq!((parked.len(), parked[0].event.n, parked[0].work.tries), (1, 1, RUN_TRIES_MAX));
    assert_eq!(parked[0].work.last_error.as_deref(), Some("failed after 7 tries"));
    assert!(host.owed().await.is_empty());
    assert_eq!(host.texts_sent().await, ["to 2"]);
}

#[tokio::test]
async fn a_run_whose_worker_crashed_before_it_was_settled_runs_again_under_the_same_id_and_sends_once() {
    let host = Host::start_with_messages(&["a"]).await;
    let responders = FakeResponders::that(|event, _| number_of(event));
    let crashed = host.worker(&responders);
    tokio::select! {
        biased;
        _ = crashed.serve(TENANT) => unreachable!("the run yields before it answers"),
        () = std::future::ready(()) => {}
    }
    assert_eq!((responders.events_run(), host.outbox_depth().await), (vec![1], 0));
    responders.chats_under_way.lock().unwrap().clear();

    assert_eq!(host.serve(&responders).await, None);
    let runs = responders.runs.lock().unwrap().clone();
    assert_eq!((runs.len(), &runs[0]), (2, &runs[1]));
    assert_eq!(host.texts_sent().await, ["to 1"]);
}

#[tokio::test]
async fn wherever_a_worker_is_dropped_each_event_is_answered_once() {
    for polls in 0..12 {
        let host = Host::start_with_messages(&["a", "b", "a", "a"]).await;
        let responders = FakeResponders::that(|event, _| number_of(event));
        let dropped = host.worker(&responders);
        tokio::select! {
            biased;
            _ = dropped.serve(TENANT) => {}
            () = async { for _ in 0..polls { tokio::task::yield_now().await } } => {}
        }
        responders.chats_under_way.lock().unwrap().clear();
        host.serve_until_done(&responders).await;
        let mut texts = host.texts_sent().await;
        texts.sort_unstable();
        assert_eq!(texts, ["to 1", "to 2", "to 3", "to 4"], "dropped after {polls} polls");
    }
}

#[tokio::test]
async fn two_workers_of_one_tenant_answer_each_event_once() {
    let host = Host::start_with_messages(&["a"]).await;
    let (one, other) =
        (FakeResponders::that(|event, _| number_of(event)), FakeResponders::that(|event, _| number_of(event)));
    let wakes = tokio::join!(host.serve(&one), host.serve(&other));
    assert_eq!(wakes, (None, None));
    assert_eq!(host.texts_sent().await, ["to 1"]);
}

#[tokio::test]
async fn a_command_that_intake_refuses_keeps_the_whole_run_from_sending_until_it_is_parked() {
    let host = Host::start_with_messages(&["a"]).await;
    let nobody = command_to("12", "hello");
    let responders = FakeResponders::that(move |_, _| Ok(vec![send("never"), nobody.clone()]));
    assert!(host.serve(&responders).await.is_some());
    assert_eq!(host.outbox_depth().await, 0);
    host.serve_until_done(&responders).await;
    assert_eq!(responders.events_run().len(), RUN_TRIES_MAX as usize);
    let parked = host.parked().await;
    let why = parked[0].work.last_error.clone().unwrap();
    assert!(why.starts_with("\"12\" is not a telephone number"));
    assert_eq!(*responders.refusals.lock().unwrap(), vec![(2, why); RUN_TRIES_MAX as usize]);
    assert_eq!(host.outbox_depth().await, 0);
}

#[tokio::test]
async fn a_command_that_names_a_session_that_does_not_exist_is_parked_with_the_reason() {
    let host = Host::start_with_messages(&["a"]).await;
    let elsewhere = Command { session: Some(SessionId(404)), ..send("hello") };
    let responders = FakeResponders::that(move |_, _| Ok(vec![elsewhere.clone()]));
    host.serve_until_done(&responders).await;
    assert_eq!(host.parked().await[0].work.last_error.as_deref(), Some("session 404 does not exist"));
}

#[tokio::test]
async fn a_command_waits_for_the_time_that_it_names() {
    let host = Host::start_with_messages(&["a"]).await;
    let at = host.clock.now().plus(Duration::from_secs(3600));
    let schedule = Schedule { send_at: Some(at), ..Schedule::default() };
    let responders = FakeResponders::that(move |_, _| Ok(vec![Command { schedule, ..send("later") }]));
    assert_eq!(host.serve(&responders).await, None);
    let messages = host.storage.messages(TENANT, None, 10).await.unwrap();
    assert_eq!(messages.iter().map(|message| message.schedule.send_at).collect::<Vec<_>>(), [Some(at)]);
}

#[tokio::test]
async fn a_command_is_accepted_once_its_session_is_connected_again() {
    let host = Host::start_with_messages(&["a"]).await;
    host.set_state(SessionState::Disconnected).await;
    let responders = FakeResponders::that(|event, _| number_of(event));
    let wake = host.serve(&responders).await.unwrap();
    assert_eq!(host.owed().await[0].work.last_error.as_deref(), Some("session 12345 is disconnected, not connected"));
    host.set_state(SessionState::Connected).await;
    host.clock.advance(wake.since(host.clock.now()));
    assert_eq!(host.serve(&responders).await, None);
    assert_eq!(host.texts_sent().await, ["to 1"]);
}

#[tokio::test]
async fn a_run_may_return_as_many_commands_as_the_limit_and_not_one_more() {
    let host = Host::start_with_messages(&["a"]).await;
    let responders = FakeResponders::that(|_, tries| Ok(vec![send("hello"); COMMANDS_MAX + usize::from(tries == 0)]));
    let wake = host.serve(&responders).await.unwrap();
    assert_eq!(host.outbox_depth().await, 0);
    assert_eq!(host.owed().await[0].work.last_error.as_deref(), Some("returned 65 commands; the limit is 64"));
    host.clock.advance(wake.since(host.clock.now()));
    host.serve_until_done(&responders).await;
    assert_eq!(host.outbox_depth().await, COMMANDS_MAX as u64);
}

#[tokio::test]
async fn messages_of_one_run_that_draw_the_same_id_are_all_sent() {
    let host = Host::start_with_seed(SEED_OF_EQUAL_IDS).await;
    host.receive("a", "IN1").await;
    let texts: Vec<String> = (1..=8).map(|n| format!("text {n}")).collect();
    let commands: Vec<_> = texts.iter().map(|text| send(text)).collect();
    host.serve_until_done(&FakeResponders::that(move |_, _| Ok(commands.clone()))).await;
    assert_eq!(host.texts_sent().await, texts);
}

#[tokio::test]
async fn a_run_for_a_session_that_was_deleted_is_settled_and_sends_nothing() {
    let host = Host::start_with_messages(&["a"]).await;
    host.storage.delete_session(TENANT, SESSION, crate::clock::Timestamp(9)).await.unwrap();
    let responders = FakeResponders::that(|event, _| number_of(event));
    assert_eq!(host.serve(&responders).await, None);
    assert!(host.owed().await.is_empty() && host.parked().await.is_empty());
    assert!(host.storage.messages(TENANT, None, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_run_wakes_the_outbox_of_its_session() {
    let host = Host::start_with_messages(&["a"]).await;
    host.serve(&FakeResponders::that(|event, _| number_of(event))).await;
    host.wakes.outbox(SESSION).notified().await;
}

#[tokio::test]
async fn a_message_that_comes_in_wakes_the_worker() {
    let host = Host::start().await;
    let inbox = Inbox {
        storage: host.storage.clone(),
        clock: host.clock.clone(),
        wakes: Arc::clone(&host.wakes),
        tenant: TENANT,
        session: SESSION,
    };
    let responders = FakeResponders::that(|event, _| number_of(event));
    let worker = host.worker(&responders);
    tokio::select! {
        biased;
        () = worker.run() => unreachable!("storage is open"),
        () = async {
            for id in ["IN1", "IN2"] {
                assert_eq!(inbox.record(&[incoming("a", id).into()]).await.unwrap(), 1);
                responders.ran.notified().await;
            }
        } => {}
    }
    assert_eq!(responders.events_run(), [1, 2]);
}

#[tokio::test]
async fn what_was_owed_before_a_restart_is_served_at_the_start() {
    let host = Host::start_with_messages(&["a"]).await;
    let tenant = Tenant {
        id: TENANT,
        name: "Acme".to_owned(),
        active: true,
        plan: "unlimited".to_owned(),
        limits: std::collections::BTreeMap::new(),
        created_at: Timestamp(0),
        apis_off: Default::default(),
        hosts: Default::default(),
    };
    host.storage.create_tenant(&tenant).await.unwrap();
    let responders = FakeResponders::that(|event, _| number_of(event));
    let worker = host.worker(&responders);
    tokio::select! {
        biased;
        () = worker.run() => unreachable!("storage is open"),
        () = responders.ran.notified() => {}
    }
    assert_eq!(responders.events_run(), [1]);
}

/// A host whose tenant has this limit, and to which 3 chats have written.
async fn host_with_limit(limit: &str, max: u64) -> Host {
    let host = Host::start_with_messages(&["a", "b", "c"]).await;
    let tenant = Tenant {
        id: TENANT,
        name: "Acme".to_owned(),
        active: true,
        plan: "unlimited".to_owned(),
        limits: [(limit.to_owned(), max)].into(),
        created_at: Timestamp(0),
        apis_off: Default::default(),
        hosts: Default::default(),
    };
    host.storage.create_tenant(&tenant).await.unwrap();
    host
}

#[tokio::test]
async fn answers_over_the_limit_of_a_minute_go_out_in_the_next_ones() {
    let host = host_with_limit("messages_per_minute", 1).await;
    let responders = FakeResponders::that(|event, _| number_of(event));
    let begun = host.clock.now();
    let mut sent = Vec::new();
    loop {
        let wake = host.serve(&responders).await;
        sent.push(host.texts_sent().await.len());
        let Some(wake) = wake else { break };
        host.clock.advance(wake.since(host.clock.now()));
    }
    assert_eq!(sent.iter().sum::<usize>(), 3);
    assert!(sent.iter().all(|sent| *sent <= 1), "{sent:?}");
    assert!(host.clock.now().since(begun) <= Duration::from_secs(3 * 60));
    assert!(host.parked().await.is_empty());
}

#[tokio::test]
async fn answers_over_the_limit_of_a_day_are_parked_with_the_reason_and_not_held_until_tomorrow() {
    let host = host_with_limit("messages_per_day", 1).await;
    let responders = FakeResponders::that(|event, _| number_of(event));
    assert_eq!(host.serve(&responders).await, None);
    assert_eq!((host.texts_sent().await.len(), host.owed().await.len()), (1, 0));
    let parked = host.parked().await;
    assert_eq!(parked.len(), 2);
    let reason = parked[0].work.last_error.as_deref().unwrap();
    assert!(reason.starts_with("the messages_per_day of the account do not allow it: 1 of 1 are used"), "{reason}");
}
