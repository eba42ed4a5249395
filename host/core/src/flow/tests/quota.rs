//! Limits, as those who send meet them: exact, by the calendar, across restarts, and without cost for what is refused.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::flow::housekeeper::Chore;
use crate::flow::intake::BatchWish;
use crate::records::account::Tenant;
use crate::records::message::{ApiLimits, Schedule};
use crate::rules::plan::PACING_SETTING;
use crate::rules::quota::{Reached, Scope};
use crate::rules::retention::Retention;

/// 2024-02-01T00:00:00Z: the first day of a month with a leap day.
const FEBRUARY: Timestamp = Timestamp(1_706_745_600_000);
const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);

fn tenant(plan: &str, limits: &[(&str, u64)]) -> Tenant {
    Tenant {
        id: TENANT,
        name: "Acme".to_owned(),
        active: true,
        plan: plan.to_owned(),
        limits: limits.iter().map(|(name, max)| ((*name).to_owned(), *max)).collect(),
        created_at: Timestamp(0),
        apis_off: Default::default(),
        hosts: Default::default(),
    }
}

fn host_over(storage: Storage, now: Timestamp, seed: u64) -> Host {
    let clock = Arc::new(ManualClock::at(now));
    let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(seed));
    let wakes = Arc::new(Wakes::default());
    let intake = Intake::new(storage.clone(), clock.clone(), Arc::clone(&entropy), Arc::clone(&wakes));
    Host { storage, clock, entropy, wakes, intake }
}

/// A host whose tenant has this plan and these limits, and whose session has these rules.
pub(super) async fn host_with(plan: &str, limits: &[(&str, u64)], rules: serde_json::Value) -> Host {
    let host = host_over(Storage::in_memory(MasterKey::new([1; MASTER_KEY_BYTES])), FEBRUARY, 1);
    host.storage.create_tenant(&tenant(plan, limits)).await.unwrap();
    let settings = serde_json::Map::from_iter([(PACING_SETTING.to_owned(), rules)]);
    host.storage.create_session(&Session { settings, ..session() }, &own_key()).await.unwrap();
    host
}

async fn reached(host: &Host) -> Reached {
    match host.intake.accept(TENANT, wish("one too many")).await {
        Err(IntakeError::QuotaReached(reached)) => reached,
        other => panic!("not refused for its quota: {other:?}"),
    }
}

/// Accepts messages, each a millisecond after the one before: ids of one millisecond meet among many.
async fn accept(host: &Host, count: usize) {
    for n in 0..count {
        host.clock.advance(Duration::from_millis(1));
        host.accept_text(&format!("text {n}")).await;
    }
}

#[tokio::test]
async fn a_plan_stops_at_its_figure_with_the_limit_and_the_time_of_its_reset() {
    let host = host_with("starter", &[], json!(null)).await;
    host.clock.advance(Duration::from_secs(20));
    accept(&host, 10).await;
    let refused = reached(&host).await;
    assert_eq!((refused.limit, refused.scope, refused.standing.max), ("messages_per_minute", Scope::Tenant, 10));
    assert_eq!((refused.standing.resets_at, refused.retry_after_s), (FEBRUARY.plus(MINUTE), 40));
    assert_eq!(host.outbox_depth().await, 10, "what is refused is not kept");
    host.clock.advance(Duration::from_secs(40));
    accept(&host, 10).await;
    reached(&host).await;
}

#[tokio::test]
async fn a_month_of_quota_is_spent_by_the_calendar_and_begins_anew_with_the_next() {
    let limits = [("messages_per_day", 40), ("messages_per_month", 1_000)];
    let host = host_with("unlimited", &limits, json!(null)).await;
    let until = |moment: Timestamp| host.clock.advance(moment.since(host.clock.now()));
    for day in 0..29 {
        // 25 days of 40 use the month up.
        if day < 25 {
            accept(&host, 40).await;
        }
        let refused = reached(&host).await;
        let expected = if day < 24 { "messages_per_day" } else { "messages_per_month" };
        assert_eq!(refused.limit, expected, "day {day}");
        assert!(refused.standing.resets_at <= FEBRUARY.plus(DAY * 29));
        let tomorrow = FEBRUARY.plus(DAY * (day + 1));
        until(Timestamp(tomorrow.0 - 1));
        reached(&host).await;
        until(tomorrow);
    }
    assert_eq!(host.clock.now(), FEBRUARY.plus(DAY * 29), "the leap day is one of them");
    accept(&host, 40).await;
    assert_eq!(reached(&host).await.limit, "messages_per_day");
}

/// A wish through an API that promises two messages a minute and three a day, 30 sends a minute and a second between them.
fn through_an_api(id: u64, text: &str) -> SendWish {
    let api = Some(ApiLimits { id, per_minute: Some(2), per_day: Some(3), per_month: None });
    let schedule = Schedule { api, ..Schedule::default() };
    SendWish { schedule, ..wish(text) }
}

#[tokio::test]
async fn what_comes_through_an_api_is_held_to_its_limits_and_nothing_else_is() {
    let host = host_with("unlimited", &[], json!(null)).await;
    let accept = async |wish: SendWish| {
        host.clock.advance(Duration::from_millis(1));
        host.intake.accept(TENANT, wish).await
    };
    let refusal = async |wish: SendWish| match accept(wish).await {
        Err(IntakeError::QuotaReached(reached)) => (reached.limit, reached.scope, reached.retry_after_s),
        other => panic!("not refused for its quota: {other:?}"),
    };
    for n in 0..2 {
        accept(through_an_api(7, &format!("text {n}"))).await.unwrap();
    }
    assert_eq!(refusal(through_an_api(7, "third")).await, ("messages_per_minute", Scope::Api(SESSION, 7), 60));
    accept(through_an_api(8, "through another API")).await.unwrap();
    accept(wish("through none")).await.unwrap();
    host.clock.advance(MINUTE);
    accept(through_an_api(7, "third")).await.unwrap();
    let (limit, _, seconds) = refusal(through_an_api(7, "fourth")).await;
    assert_eq!(limit, "messages_per_day");
    host.clock.advance(Duration::from_secs(seconds));
    accept(through_an_api(7, "on the next day")).await.unwrap();
}

#[tokio::test]
async fn a_session_has_rules_of_its_own_and_the_strictest_wins() {
    let host = host_with("starter", &[], json!({ "messages_per_minute": 2, "messages_per_day": 3 })).await;
    accept(&host, 2).await;
    let refused = reached(&host).await;
    assert_eq!((refused.limit, refused.scope), ("messages_per_minute", Scope::Session(SESSION)));
    host.clock.advance(MINUTE);
    accept(&host, 1).await;
    assert_eq!((reached(&host).await.limit, reached(&host).await.standing.used), ("messages_per_day", 3));
    assert_eq!(
        reached(&host).await.to_string(),
        "the messages_per_day of session 12345 do not allow it: 3 of 3 are used; it resets in 86340 s"
    );
}

#[tokio::test]
async fn what_is_refused_costs_nothing_and_what_ends_without_being_sent_is_not_given_back() {
    let host = host_with("unlimited", &[("messages_per_day", 2)], json!(null)).await;
    for _ in 0..5 {
        let refused = host.intake.accept(TENANT, SendWish { to: "12".to_owned(), ..wish("hello") }).await;
        assert!(matches!(refused, Err(IntakeError::Recipient(_))));
    }
    accept(&host, 2).await;
    for _ in 0..5 {
        assert_eq!(reached(&host).await.standing.used, 2);
    }
    let due = host.storage.next_due_send(TENANT, SESSION).await.unwrap().unwrap();
    let failed = SendOutcome::Failed("no such number".to_owned());
    host.storage.settle_send(TENANT, &due, &failed, host.clock.now()).await.unwrap();
    assert_eq!(reached(&host).await.standing.used, 2);
}

#[tokio::test]
async fn a_plan_that_changes_in_the_middle_of_a_month_finds_what_was_sent_before() {
    let host = host_with("unlimited", &[], json!(null)).await;
    accept(&host, 7).await;
    host.storage.change_tenant(TENANT, |tenant| tenant.plan = "prosendi-1000".to_owned()).await.unwrap();
    let eight = [("messages_per_month".to_owned(), 8)];
    host.storage.change_tenant(TENANT, |tenant| tenant.limits.extend(eight.clone())).await.unwrap();
    accept(&host, 1).await;
    let refused = reached(&host).await;
    assert_eq!((refused.limit, refused.standing.used), ("messages_per_month", 8));
}

async fn open(folder: &Path) -> Storage {
    Storage::open(&folder.join("storage.redb"), MasterKey::new([1; MASTER_KEY_BYTES])).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_thousand_at_once_exactly_the_limit_is_accepted_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path()).await;
    storage.create_tenant(&tenant("unlimited", &[("messages_per_day", 100)])).await.unwrap();
    storage.create_session(&session(), &own_key()).await.unwrap();
    let host = Arc::new(host_over(storage, FEBRUARY, 3));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..1_024 {
        let host = Arc::clone(&host);
        // Message ids of one millisecond would meet too often among so many: each is of its own.
        host.clock.advance(Duration::from_millis(1));
        tasks.spawn(async move { host.intake.accept(TENANT, wish(&format!("text {n}"))).await });
    }
    let (mut accepted, mut refused) = (0, 0);
    while let Some(answer) = tasks.join_next().await {
        match answer.unwrap() {
            Ok(_) => accepted += 1,
            Err(IntakeError::QuotaReached(reached)) => {
                assert_eq!(reached.standing.used, 100);
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((accepted, refused, host.outbox_depth().await), (100, 924, 100));
    let now = host.clock.now();
    host.storage.close();
    drop(host);
    let host = host_over(open(folder.path()).await, now, 4);
    assert_eq!(reached(&host).await.standing.used, 100);
    host.clock.advance(DAY);
    accept(&host, 1).await;
}

#[tokio::test]
async fn counts_of_days_long_past_are_swept() {
    let host = host_with("starter", &[], json!(null)).await;
    let retention = Retention { events_age: DAY * 30, events_bytes_max: u64::MAX };
    let keeper = host.keeper(retention);
    let sweep = async || {
        tokio::select! {
            swept = keeper.round(Chore::Counts) => swept.unwrap(),
            never = host.pass_time() => match never {},
        }
    };
    for _ in 0..3 {
        accept(&host, 1).await;
        host.clock.advance(DAY * 2);
    }
    // Three minutes and three days; the month is not over.
    assert_eq!(sweep().await, 6);
    assert_eq!(sweep().await, 0);
}

#[tokio::test]
async fn a_batch_that_a_limit_ends_in_the_middle_of_is_taken_up_to_there() {
    let host = host_with("unlimited", &[("messages_per_month", 5)], json!(null)).await;
    accept(&host, 2).await;
    let texts = ["a", "b", "c", "d", "e"];
    let batch =
        |texts: &[&str]| BatchWish { session: SESSION, name: None, messages: texts.iter().map(|text| wish(text)).collect() };
    let mut wishes = batch(&texts);
    wishes.messages[1].to = "12".to_owned();
    let taken = host.intake.accept_batch(TENANT, wishes).await.unwrap();
    let results: Vec<_> =
        taken.results.iter().map(|one| one.as_ref().map(|message| text_of(message.as_ref().unwrap()))).collect();
    assert!(
        matches!(&results[..], [Ok(_), Err(IntakeError::Recipient(_)), Ok(_), Ok(_), Err(IntakeError::QuotaReached(_))]),
        "{results:?}"
    );
    assert_eq!((taken.record.unwrap().messages, host.outbox_depth().await), (3, 5));
    let nothing = host.intake.accept_batch(TENANT, batch(&texts)).await.unwrap();
    assert!(nothing.record.is_none());
    assert!(nothing.results.iter().all(|one| matches!(one, Err(IntakeError::QuotaReached(_)))));
}

#[tokio::test]
async fn wishes_that_belong_together_are_accepted_in_one_piece_or_not_at_all() {
    let host = host_with("unlimited", &[("messages_per_month", 5)], json!(null)).await;
    accept(&host, 2).await;
    let all = |texts: &[&str]| texts.iter().map(|text| wish(text)).collect::<Vec<_>>();
    let over = host.intake.accept_all_once(TENANT, all(&["a", "b", "c", "d"]), None).await;
    assert!(matches!(over, Err(IntakeError::QuotaReached(reached)) if reached.limit == "messages_per_month"), "{over:?}");
    let mut one_wrong = all(&["a", "b", "c"]);
    one_wrong[2].to = "12".to_owned();
    let wrong = host.intake.accept_all_once(TENANT, one_wrong, None).await;
    assert!(matches!(wrong, Err(IntakeError::Recipient(_))), "{wrong:?}");
    for count in [0, 1_001] {
        let size = host.intake.accept_all_once(TENANT, vec![wish("x"); count], None).await;
        assert!(matches!(size, Err(IntakeError::BatchSize { messages }) if messages == count), "{size:?}");
    }
    assert_eq!(host.outbox_depth().await, 2, "refusals cost nothing and leave nothing");
    let taken = host.intake.accept_all_once(TENANT, all(&["a", "b", "c"]), None).await.unwrap();
    assert_eq!(taken.iter().map(text_of).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(taken.iter().all(|message| message.batch.is_none()));
    assert_eq!(host.outbox_depth().await, 5);
}
