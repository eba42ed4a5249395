//! The outbox worker: within a chat in the order of acceptance and one at a time, and under the same WhatsApp id until the
//! server has it.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::watch;

use super::quota::host_with;
use super::*;
use crate::flow::intake::BatchWish;
use crate::flow::outbox_worker::{OutboxWorker, Sender};
use crate::flow::schedule_worker::ScheduleWorker;
use crate::records::message::{MessageState, Priority};
use crate::storage::Cancelled;

const OTHER_NUMBER: &str = "+49 151 00000002";

/// Answers by the text of a message: first what it was told for that text, in order, then `Acknowledged`. A text that it is told
/// to hold gets no answer until it is let go.
struct FakeSender {
    online: watch::Sender<bool>,
    held: watch::Sender<Vec<String>>,
    outcomes: Mutex<HashMap<String, VecDeque<SendOutcome>>>,
    sent: Mutex<Vec<Message>>,
    typed_in: Mutex<Vec<String>>,
}

impl Default for FakeSender {
    fn default() -> Self {
        let (online, held) = (watch::Sender::new(true), watch::Sender::new(Vec::new()));
        Self { online, held, outcomes: Mutex::default(), sent: Mutex::default(), typed_in: Mutex::default() }
    }
}

impl FakeSender {
    fn that_answers(text: &str, outcomes: impl IntoIterator<Item = SendOutcome>) -> Self {
        let sender = Self::default();
        sender.outcomes.lock().unwrap().insert(text.to_owned(), outcomes.into_iter().collect());
        sender
    }

    fn that_holds(texts: &[&str]) -> Self {
        let sender = Self::default();
        sender.held.send_replace(texts.iter().map(ToString::to_string).collect());
        sender
    }

    fn let_go(&self) {
        self.held.send_replace(Vec::new());
    }

    fn texts(&self) -> Vec<String> {
        self.sent.lock().unwrap().iter().map(text_of).collect()
    }

    fn whatsapp_ids(&self) -> Vec<String> {
        self.sent.lock().unwrap().iter().map(|message| message.whatsapp_id.clone()).collect()
    }
}

#[async_trait]
impl Sender for FakeSender {
    async fn ready(&self) {
        self.online.subscribe().wait_for(|online| *online).await.unwrap();
    }

    async fn show_typing(&self, chat: &str) {
        self.typed_in.lock().unwrap().push(chat.to_owned());
    }

    async fn send(&self, message: &Message) -> SendOutcome {
        let text = text_of(message);
        self.sent.lock().unwrap().push(message.clone());
        self.held.subscribe().wait_for(|held| !held.contains(&text)).await.unwrap();
        let told = self.outcomes.lock().unwrap().get_mut(&text).and_then(VecDeque::pop_front);
        told.unwrap_or(SendOutcome::Acknowledged)
    }
}

/// The customer deletes the session while it sends.
struct DeletedMeanwhile(Storage);

#[async_trait]
impl Sender for DeletedMeanwhile {
    async fn ready(&self) {}

    async fn show_typing(&self, _chat: &str) {}

    async fn send(&self, _message: &Message) -> SendOutcome {
        self.0.delete_session(TENANT, SESSION, crate::clock::Timestamp(9)).await.unwrap();
        SendOutcome::Acknowledged
    }
}

fn silence() -> SendOutcome {
    SendOutcome::Unacknowledged("not acknowledged within 20 s".to_owned())
}

/// Lets everybody else run until nothing moves any longer: nothing here waits for anything but the clock and the sender.
async fn quiet() {
    for _ in 0..500 {
        tokio::task::yield_now().await;
    }
}

impl Host {
    fn outbox_worker(&self) -> OutboxWorker {
        OutboxWorker {
            storage: self.storage.clone(),
            clock: self.clock.clone(),
            entropy: Arc::clone(&self.entropy),
            wakes: Arc::clone(&self.wakes),
            tenant: TENANT,
            session: SESSION,
        }
    }

    /// Runs the worker beside `scene`, which ends it.
    async fn while_sending(&self, sender: &FakeSender, scene: impl AsyncFnOnce()) {
        let (_stop, stopped) = watch::channel(false);
        let worker = self.outbox_worker();
        tokio::select! {
            biased;
            () = scene() => {}
            () = worker.run(sender, stopped) => unreachable!("the session is there"),
        }
    }

    /// Sends what can be sent now.
    async fn send_all(&self, sender: &FakeSender) {
        self.while_sending(sender, quiet).await;
    }

    async fn accept_for(&self, to: &str, text: &str, schedule: Schedule) -> Message {
        let wish = SendWish { to: to.to_owned(), schedule, ..wish(text) };
        self.intake.accept(TENANT, wish).await.unwrap()
    }

    async fn stored(&self, message: &Message) -> Message {
        self.storage.message(TENANT, message.id).await.unwrap().unwrap()
    }

    async fn state_of(&self, message: &Message) -> MessageState {
        self.stored(message).await.state
    }

    async fn ring_timers(&self) {
        let (storage, clock, wakes) = (self.storage.clone(), self.clock.clone(), Arc::clone(&self.wakes));
        ScheduleWorker { storage, clock, wakes }.turn().await.unwrap();
    }

    fn after(&self, seconds: u64) -> Option<Timestamp> {
        Some(self.clock.now().plus(Duration::from_secs(seconds)))
    }
}

fn bulk() -> Schedule {
    Schedule { priority: Priority::Bulk, ..Schedule::default() }
}

#[tokio::test]
async fn messages_of_a_chat_are_sent_in_the_order_of_acceptance_one_at_a_time() {
    let host = Host::start().await;
    for text in ["one", "two", "three"] {
        host.accept_text(text).await;
    }
    let sender = FakeSender::that_holds(&["one"]);
    host.while_sending(&sender, async || {
        quiet().await;
        assert_eq!(sender.texts(), ["one"], "the second waits for the server's word about the first");
        sender.let_go();
        quiet().await;
        assert_eq!(sender.texts(), ["one", "two", "three"]);
    })
    .await;
    assert_eq!(host.outbox_depth().await, 0);
}

#[tokio::test]
async fn a_chat_that_waits_holds_up_no_other() {
    let host = Host::start().await;
    host.accept_text("slow").await;
    host.accept_text("behind it").await;
    host.accept_for(OTHER_NUMBER, "elsewhere", Schedule::default()).await;
    let sender = FakeSender::that_holds(&["slow"]);
    host.send_all(&sender).await;
    assert_eq!(sender.texts(), ["slow", "elsewhere"]);
}

#[tokio::test]
async fn a_message_without_acknowledgement_is_seen_to_be_and_sent_again_under_its_id_before_any_other_of_its_chat() {
    let host = Host::start().await;
    let first = host.accept_text("first").await;
    host.accept_text("second").await;
    let sender = FakeSender::that_answers("first", [silence(), silence()]);
    host.while_sending(&sender, async || {
        quiet().await;
        let seen = host.stored(&first).await;
        assert_eq!((seen.state, seen.attempts), (MessageState::Sent, 1));
        assert_eq!(seen.reason.as_deref(), Some("not acknowledged within 20 s"));
        assert_eq!(sender.texts(), ["first"], "it waits first");
        host.clock.advance(Duration::from_secs(1));
        quiet().await;
        assert_eq!(sender.texts().len(), 2);
        host.clock.advance(Duration::from_millis(999));
        quiet().await;
        assert_eq!(sender.texts().len(), 2, "it waits longer each time");
        host.clock.advance(Duration::from_millis(1001));
        quiet().await;
    })
    .await;
    assert_eq!(sender.texts(), ["first", "first", "first", "second"]);
    assert_eq!(sender.whatsapp_ids()[..3], vec![first.whatsapp_id.clone(); 3]);
    let events = host.storage.events(TENANT, 0, 99).await.unwrap();
    let types: Vec<&str> = events.iter().map(|event| event.fact.type_name()).collect();
    assert_eq!(types, ["message.sent", "message.acknowledged", "message.acknowledged"], "silence is told once");
    let states: Vec<MessageState> = host.stored(&first).await.reached.into_keys().collect();
    use MessageState::{Acknowledged, Leased, Queued, Sent};
    assert_eq!(states, [Queued, Leased, Sent, Acknowledged]);
}

#[tokio::test]
async fn a_message_that_can_never_be_sent_makes_way_for_the_next() {
    let host = Host::start().await;
    let (first, second) = (host.accept_text("first").await, host.accept_text("second").await);
    let sender = FakeSender::that_answers("first", [SendOutcome::Failed("not on WhatsApp".to_owned())]);
    host.send_all(&sender).await;
    let states = (host.state_of(&first).await, host.state_of(&second).await);
    assert_eq!(states, (MessageState::Failed, MessageState::Acknowledged));
}

#[tokio::test]
async fn a_message_sent_before_a_crash_is_sent_again_under_the_same_id() {
    let host = Host::start().await;
    let message = host.accept_text("hello").await;
    let dying = FakeSender::that_holds(&["hello"]);
    host.send_all(&dying).await;
    assert_eq!(host.state_of(&message).await, MessageState::Leased);

    let sender = FakeSender::default();
    host.send_all(&sender).await;
    assert_eq!([dying.whatsapp_ids(), sender.whatsapp_ids()], [[message.whatsapp_id.clone()], [message.whatsapp_id]]);
}

#[tokio::test]
async fn a_worker_that_waits_is_woken_by_the_next_message() {
    let host = Host::start().await;
    let sender = FakeSender::default();
    host.while_sending(&sender, async || {
        for text in ["one", "two"] {
            quiet().await;
            host.accept_text(text).await;
        }
        quiet().await;
    })
    .await;
    assert_eq!(sender.texts(), ["one", "two"]);
}

#[tokio::test]
async fn a_worker_ends_when_its_session_is_deleted_while_it_sends() {
    let host = Host::start().await;
    host.accept_text("hello").await;
    let sender = DeletedMeanwhile(host.storage.clone());
    let (_stop, stopped) = watch::channel(false);
    host.outbox_worker().run(&sender, stopped).await;
}

#[tokio::test]
async fn a_worker_that_is_stopped_waits_for_what_is_under_way_and_hands_its_leases_back() {
    let host = Host::start().await;
    let (first, second) = (host.accept_text("first").await, host.accept_text("second").await);
    let sender = FakeSender::that_holds(&["first"]);
    let (stop, stopped) = watch::channel(false);
    let worker = host.outbox_worker();
    let scene = async {
        quiet().await;
        assert_eq!(host.state_of(&second).await, MessageState::Leased);
        stop.send_replace(true);
        quiet().await;
        sender.let_go();
    };
    tokio::join!(worker.run(&sender, stopped), scene);
    let states = (host.state_of(&first).await, host.state_of(&second).await);
    assert_eq!(states, (MessageState::Acknowledged, MessageState::Queued));
    assert_eq!(sender.texts(), ["first"]);
}

#[tokio::test]
async fn interactive_messages_go_before_bulk_but_never_before_an_older_one_of_their_own_chat() {
    let host = Host::start().await;
    let sender = FakeSender::default();
    sender.online.send_replace(false);
    for n in 0..40 {
        host.accept_for(&format!("+49 151 100000{n:02}"), &format!("bulk {n}"), bulk()).await;
    }
    host.accept_for(NUMBER, "older", bulk()).await;
    host.accept_for(NUMBER, "newer", Schedule::default()).await;
    host.accept_for(OTHER_NUMBER, "alone", Schedule::default()).await;
    sender.online.send_replace(true);
    host.send_all(&sender).await;
    let texts = sender.texts();
    let at = |text: &str| texts.iter().position(|sent| sent == text).unwrap();
    assert_eq!(texts.len(), 43);
    assert!(at("older") < at("newer"), "{texts:?}");
    assert!(at("alone") <= 1 && at("older") <= 1, "those that somebody waits for go first: {texts:?}");
}

#[tokio::test]
async fn an_interactive_message_does_not_wait_for_the_bulk_that_was_leased_before_it() {
    let host = Host::start().await;
    for n in 0..100 {
        host.accept_for(NUMBER, &format!("bulk {n}"), bulk()).await;
    }
    let sender = FakeSender::that_holds(&["bulk 0"]);
    host.while_sending(&sender, async || {
        quiet().await;
        host.accept_for(OTHER_NUMBER, "quick", Schedule::default()).await;
        quiet().await;
        assert_eq!(sender.texts(), ["bulk 0", "quick"]);
    })
    .await;
}

#[tokio::test]
async fn a_scheduled_message_is_sent_when_its_time_comes_and_not_before() {
    let host = Host::start().await;
    let schedule = Schedule { send_at: host.after(3600), ..Schedule::default() };
    let message = host.accept_for(NUMBER, "later", schedule).await;
    host.accept_text("now").await;
    assert_eq!(host.outbox_depth().await, 2);
    let sender = FakeSender::default();
    host.while_sending(&sender, async || {
        host.clock.advance(Duration::from_secs(3599));
        host.ring_timers().await;
        quiet().await;
        assert_eq!((sender.texts(), host.state_of(&message).await), (vec!["now".to_owned()], MessageState::Queued));
        host.clock.advance(Duration::from_secs(1));
        host.ring_timers().await;
        quiet().await;
    })
    .await;
    assert_eq!(sender.texts(), ["now", "later"]);
}

#[tokio::test]
async fn a_message_whose_time_is_over_expires_also_while_its_session_is_off_line() {
    let host = Host::start().await;
    let schedule = Schedule { expires_at: host.after(60), ..Schedule::default() };
    let message = host.accept_for(NUMBER, "code 1234", schedule).await;
    let sender = FakeSender::default();
    sender.online.send_replace(false);
    host.while_sending(&sender, async || {
        quiet().await;
        host.clock.advance(Duration::from_secs(60));
        host.ring_timers().await;
        assert_eq!(host.state_of(&message).await, MessageState::Expired);
        sender.online.send_replace(true);
        quiet().await;
    })
    .await;
    assert!(sender.texts().is_empty());
    assert_eq!(host.outbox_depth().await, 0);
}

#[tokio::test]
async fn nothing_new_is_begun_while_nobody_knows_whether_the_server_answers() {
    let host = Host::start().await;
    host.accept_text("under way").await;
    let sender = FakeSender::that_holds(&["under way"]);
    host.while_sending(&sender, async || {
        quiet().await;
        sender.online.send_replace(false);
        host.accept_for(OTHER_NUMBER, "to another", Schedule::default()).await;
        quiet().await;
        assert_eq!(sender.texts(), ["under way"]);
        // What is under way need not end first.
        sender.online.send_replace(true);
        quiet().await;
        assert_eq!(sender.texts(), ["under way", "to another"]);
    })
    .await;
}

#[tokio::test]
async fn a_leased_message_whose_time_is_over_is_not_sent_any_longer() {
    let host = Host::start().await;
    host.accept_text("slow").await;
    let schedule = Schedule { expires_at: host.after(60), ..Schedule::default() };
    let message = host.accept_for(NUMBER, "code 1234", schedule).await;
    let sender = FakeSender::that_holds(&["slow"]);
    host.while_sending(&sender, async || {
        quiet().await;
        assert_eq!(host.state_of(&message).await, MessageState::Leased);
        host.clock.advance(Duration::from_secs(60));
        host.ring_timers().await;
        sender.let_go();
        quiet().await;
    })
    .await;
    assert_eq!((sender.texts(), host.state_of(&message).await), (vec!["slow".to_owned()], MessageState::Expired));
}

#[tokio::test]
async fn a_message_is_taken_back_until_its_sending_begins() {
    let host = Host::start().await;
    let sender = FakeSender::that_holds(&["first"]);
    let (first, second) = (host.accept_text("first").await, host.accept_text("second").await);
    let scheduled = host.accept_for(NUMBER, "later", Schedule { send_at: host.after(60), ..Schedule::default() }).await;
    host.while_sending(&sender, async || {
        let cancel = async |id| host.storage.cancel_message(TENANT, id, host.clock.now()).await.unwrap();
        assert!(matches!(cancel(second.id).await, Cancelled::Done(_)));
        assert!(matches!(cancel(scheduled.id).await, Cancelled::Done(_)));
        assert!(matches!(cancel(second.id).await, Cancelled::Done(_)), "once more changes nothing");
        quiet().await;
        assert!(matches!(cancel(first.id).await, Cancelled::TooLate(message) if message.state == MessageState::Leased));
        assert_eq!(cancel(crate::records::id::MessageId(1)).await, Cancelled::Missing);
        sender.let_go();
        host.clock.advance(Duration::from_secs(60));
        host.ring_timers().await;
        quiet().await;
    })
    .await;
    assert_eq!(sender.texts(), ["first"]);
    assert_eq!(host.outbox_depth().await, 0);
    assert_eq!(host.stored(&second).await.reason.as_deref(), Some("taken back by the customer"));
}

#[tokio::test]
async fn the_gap_that_a_message_asks_for_lies_between_it_and_the_send_before() {
    let host = Host::start().await;
    let paced = Schedule { gap_ms: Some(5000), ..Schedule::default() };
    host.accept_text("first").await;
    host.accept_for(OTHER_NUMBER, "second", paced).await;
    let sender = FakeSender::default();
    host.while_sending(&sender, async || {
        quiet().await;
        host.clock.advance(Duration::from_millis(4999));
        quiet().await;
        assert_eq!(sender.texts(), ["first"]);
        host.clock.advance(Duration::from_millis(1));
        quiet().await;
    })
    .await;
    assert_eq!(sender.texts(), ["first", "second"]);
}

#[tokio::test]
async fn what_waits_for_its_turn_at_a_pace_may_be_taken_back() {
    let host = host_with("unlimited", &[], json!({ "gap_ms": 60_000 })).await;
    let messages = [host.accept_text("one").await, host.accept_text("two").await, host.accept_text("three").await];
    let sender = FakeSender::default();
    host.while_sending(&sender, async || {
        quiet().await;
        let states = [host.state_of(&messages[1]).await, host.state_of(&messages[2]).await];
        assert_eq!(states, [MessageState::Queued; 2], "only what is on its way is leased");
        let cancelled = host.storage.cancel_message(TENANT, messages[1].id, host.clock.now()).await.unwrap();
        assert!(matches!(cancelled, Cancelled::Done(_)));
        host.clock.advance(Duration::from_secs(60));
        quiet().await;
    })
    .await;
    assert_eq!(sender.texts(), ["one", "three"]);
}

#[tokio::test]
async fn a_batch_tells_how_far_its_messages_have_come() {
    let host = Host::start().await;
    let messages = vec![wish("one"), wish("two"), SendWish { to: "nobody".to_owned(), ..wish("three") }];
    let batch = BatchWish { session: SESSION, name: Some("spring".to_owned()), messages };
    let accepted = host.intake.accept_batch(TENANT, batch).await.unwrap();
    assert!(matches!(accepted.results.as_slice(), [Ok(Some(_)), Ok(Some(_)), Err(IntakeError::Recipient(_))]));
    let record = accepted.record.unwrap();
    assert_eq!(record.messages, 2);
    let progress = async || host.storage.batch_progress(TENANT, record.id).await.unwrap().unwrap().states;
    assert_eq!(progress().await, [(MessageState::Queued, 2)].into());
    let sender = FakeSender::that_answers("two", [SendOutcome::Failed("not on WhatsApp".to_owned())]);
    host.send_all(&sender).await;
    assert_eq!(progress().await, [(MessageState::Acknowledged, 1), (MessageState::Failed, 1)].into());
}

#[tokio::test]
async fn a_schedule_that_cannot_be_kept_is_refused_with_its_moment() {
    let host = Host::start().await;
    let now = host.clock.now().0;
    for (schedule, expected) in [
        (Schedule { expires_at: host.after(0), ..Schedule::default() }, format!("expires_at: {now} is not after")),
        (
            Schedule { send_at: Some(Timestamp(1_750_000_000)), ..Schedule::default() },
            "send_at: 1750000000 lies in 2001 or before; milliseconds".to_owned(),
        ),
        (Schedule { send_at: host.after(400 * 86_400), ..Schedule::default() }, "send_at: ".to_owned()),
        (Schedule { send_at: host.after(60), expires_at: host.after(60), ..Schedule::default() }, "expires_at: ".to_owned()),
    ] {
        let refused = host.refusal(SendWish { schedule, ..wish("hello") }).await.to_string();
        assert!(refused.starts_with(&expected), "{refused}");
    }
}

#[tokio::test]
async fn an_outbox_takes_no_more_than_its_limit() {
    let host = Host::start().await;
    host.storage.fill_outbox(TENANT, SESSION, crate::storage::OUTBOX_MESSAGES_MAX).await;
    let refused = host.intake.accept(TENANT, wish("one more")).await.unwrap_err();
    assert!(matches!(refused, IntakeError::OutboxFull { session: SESSION }));
    assert!(refused.to_string().contains("100000"), "{refused}");
}

#[tokio::test]
async fn the_gap_of_a_tenants_plan_is_kept_between_two_sends() {
    let host = host_with("unlimited", &[("gap_ms", 1_000)], json!(null)).await;
    host.accept_text("a").await;
    host.accept_text("b").await;
    let sender = FakeSender::default();
    host.while_sending(&sender, async || {
        quiet().await;
        host.clock.advance(Duration::from_millis(999));
        quiet().await;
        assert_eq!(sender.texts(), ["a"]);
        host.clock.advance(Duration::from_millis(1));
        quiet().await;
        assert_eq!(sender.texts(), ["a", "b"]);
    })
    .await;
}

#[tokio::test]
async fn a_session_that_types_shows_it_before_the_text_for_as_long_as_its_length_asks() {
    let typing = json!({ "typing": { "ms_per_char": 100, "jitter_percent": 0, "least_ms": 0 } });
    let host = host_with("unlimited", &[], typing).await;
    host.accept_text("0123456789").await;
    let sender = FakeSender::default();
    host.while_sending(&sender, async || {
        quiet().await;
        assert_eq!(*sender.typed_in.lock().unwrap(), [NUMBER_JID]);
        host.clock.advance(Duration::from_millis(999));
        quiet().await;
        assert!(sender.texts().is_empty());
        host.clock.advance(Duration::from_millis(1));
        quiet().await;
        assert_eq!(sender.texts(), ["0123456789"]);
    })
    .await;
}
