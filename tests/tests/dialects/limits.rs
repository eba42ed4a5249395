//! What every limit of the dialects allows, refuses and says, on a host whose clock the test steps.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use switchboard::http::{HttpSettings, LocalAnswer};
use switchboard_core::clock::{Clock, ManualClock, Timestamp};
use switchboard_tests::account::{Account, TestSession, phone, received};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

/// 2028-02-29T23:59:30Z: a minute, a day and a month end in half a minute, in a leap year.
const BEGIN_MS: u64 = 1_835_481_570_000;
/// 2028-03-01T00:00:00Z, seconds since 1970.
const MARCH: u64 = 1_835_481_600;
const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";

struct Scene {
    clock: Arc<ManualClock>,
    stage: Stage,
    account: Account,
    session: TestSession,
}

/// What an answer says of a limit: its status, and the headers `Retry-After` and `X-RateLimit-Limit`, `-Remaining`, `-Reset`.
type Said = (u16, Option<u64>, [Option<u64>; 3]);

fn said(answer: &LocalAnswer) -> Said {
    let number = |name: &str| answer.header(name).map(|value| value.parse().unwrap());
    let limit = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"].map(number);
    (answer.status, number("retry-after"), limit)
}

/// Connecting takes its turn: the clock steps until it is done.
async fn while_time_passes<T>(clock: &ManualClock, work: impl Future<Output = T>) -> T {
    let passing = until(PATIENCE, async || {
        clock.advance(Duration::from_millis(50));
        false
    });
    tokio::select! {
        done = work => done,
        _ = passing => panic!("it takes too long"),
    }
}

impl Scene {
    /// An account of this plan with a connected session, at the end of February.
    async fn open(plan: &str, limits: Value) -> Self {
        Self::open_behind(HttpSettings::default(), plan, limits).await
    }

    async fn open_behind(http: HttpSettings, plan: &str, limits: Value) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp(BEGIN_MS - 600_000)));
        let stage = Stage::start_by(Arc::clone(&clock) as Arc<dyn Clock>, http).await;
        let account = stage.account("Shop").await;
        let session = while_time_passes(&clock, account.linked(stage.control(), "Shop", SHOP)).await;
        clock.advance(Timestamp(BEGIN_MS).since(clock.now()));
        phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
        let path = format!("/switchboard/v1/tenants/{}", account.tenant);
        let change = json!({ "plan": plan, "limits": limits });
        let set = stage.http().json("PATCH", &path, Some(ADMIN_KEY), Some(&change)).await.unwrap();
        assert_eq!(set.status, 200, "{set:?}");
        Self { clock, stage, account, session }
    }

    /// Seconds until `second`, rounded up.
    fn until(&self, second: u64) -> u64 {
        Timestamp(second * 1000).since(self.clock.now()).as_millis().div_ceil(1000).try_into().unwrap()
    }

    fn step(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }

    async fn post(&self, path: &str, header: (&str, &str), body: Value) -> LocalAnswer {
        let headers = [(header.0, header.1.to_owned()), ("content-type", "application/json".to_owned())];
        self.stage.http().exchange("POST", path, &headers, body.to_string().into_bytes()).await.unwrap()
    }

    async fn wasender(&self, session: &TestSession, to: &str) -> LocalAnswer {
        let key = format!("Bearer {}", session.key);
        self.post("/api/v1/send-message", ("authorization", &key), json!({ "to": to, "text": "hello" })).await
    }

    async fn prosendi(&self) -> LocalAnswer {
        let body = json!({ "recipient": CUSTOMER, "message": "hello" });
        self.post("/api/whatsapp/send", ("x-api-key", &self.account.tenant_key), body).await
    }

    async fn wamux(&self) -> LocalAnswer {
        let key = format!("Bearer {}", self.account.tenant_key);
        self.post("/api/v1/messages", ("authorization", &key), json!({ "to": CUSTOMER, "message": "hello" })).await
    }

    async fn sendapi(&self, text: &str) -> LocalAnswer {
        let key = format!("Bearer {}", self.account.tenant_key);
        let body = json!({ "to": CUSTOMER, "type": "text", "text": { "body": text } });
        self.post("/v1/whatsapp/send", ("authorization", &key), body).await
    }

    async fn wafastapi(&self) -> LocalAnswer {
        let body = json!({ "number": CUSTOMER, "message": "hello" });
        self.post("/api/whatsapp/send/text", ("x-api-key", &self.session.key), body).await
    }

    /// Texts that the customer's phone shows.
    async fn shown(&self) -> Vec<String> {
        let shown = received(self.stage.control(), ADMIN_KEY, CUSTOMER, 0, 0).await;
        shown.iter().map(|message| message["text"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wasender_takes_ten_messages_of_a_session_in_a_minute_and_refusals_cost_nothing() {
    let scene = Scene::open("unlimited", json!({})).await;
    let path = "/switchboard/v1/plugins/wasender/config";
    let set = scene.stage.http().json("PUT", path, Some(ADMIN_KEY), Some(&json!({}))).await.unwrap();
    assert_eq!(set.status, 200, "{set:?}");
    for left in (0..10).rev() {
        let wrong = scene.wasender(&scene.session, "12").await;
        assert_eq!(said(&wrong), (422, None, [Some(10), Some(left + 1), Some(MARCH)]), "{wrong:?}");
        let taken = scene.wasender(&scene.session, CUSTOMER).await;
        assert_eq!(said(&taken), (200, None, [Some(10), Some(left), Some(MARCH)]), "{taken:?}");
    }
    let refused = scene.wasender(&scene.session, CUSTOMER).await;
    assert_eq!(said(&refused), (429, Some(30), [Some(10), Some(0), Some(MARCH)]), "{refused:?}");
    assert_eq!((&refused.json()["code"], &refused.json()["retry_after"]), (&json!("RATE_LIMITED"), &json!(30)));
    let other = scene.account.linked(scene.stage.control(), "Other", "491510000003");
    let other = while_time_passes(&scene.clock, other).await;
    assert_eq!(
        said(&scene.wasender(&other, CUSTOMER).await).2,
        [Some(10), Some(9), Some(MARCH)],
        "each session has its own"
    );
    scene.clock.advance(Timestamp(MARCH * 1000 - 1).since(scene.clock.now()));
    assert_eq!(said(&scene.wasender(&scene.session, CUSTOMER).await).1, Some(1));
    scene.step(1);
    let taken = scene.wasender(&scene.session, CUSTOMER).await;
    assert_eq!(said(&taken), (200, None, [Some(10), Some(9), Some(MARCH + 60)]), "{taken:?}");
    scene.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_month_is_told_by_each_dialect_in_its_own_words_and_outlives_a_restart() {
    let mut scene = Scene::open("prosendi-1000", json!({ "messages_per_month": 5 })).await;
    for (left, answer) in [
        (4, scene.prosendi().await),
        (3, scene.wamux().await),
        (2, scene.sendapi("hello").await),
        (1, scene.wafastapi().await),
        (0, scene.wasender(&scene.session, CUSTOMER).await),
    ] {
        assert!((200..300).contains(&answer.status), "{answer:?}");
        assert_eq!(said(&answer).2, [Some(5), Some(left), Some(MARCH)], "{answer:?}");
    }
    scene.stage = scene.stage.restart().await;
    scene.account.http = scene.stage.http();
    while_time_passes(&scene.clock, scene.account.wait_for(&scene.session, "connected")).await;
    let headers = (Some(scene.until(MARCH)), [Some(5), Some(0), Some(MARCH)]);
    for (answer, status, word) in [
        (scene.prosendi().await, 429, "quota_exceeded"),
        (scene.wamux().await, 429, "Rate limit exceeded"),
        (scene.sendapi("hello").await, 402, "quota_exceeded"),
        (scene.wafastapi().await, 429, "messages_per_month of 5 are used up"),
        (scene.wasender(&scene.session, CUSTOMER).await, 429, "RATE_LIMITED"),
    ] {
        assert_eq!(said(&answer), (status, headers.0, headers.1), "{answer:?}");
        assert!(answer.json().to_string().contains(word), "{word}: {}", answer.json());
    }
    scene.clock.advance(Timestamp(MARCH * 1000).since(scene.clock.now()));
    let march_ends = MARCH + 31 * 86_400;
    assert_eq!(said(&scene.prosendi().await), (200, None, [Some(5), Some(4), Some(march_ends)]));
    scene.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_have_the_figures_of_the_services_that_they_are_named_after() {
    for (plan, minute, day) in
        [("starter", Some(10), 500), ("growth", Some(60), 5_000), ("free", None, 100), ("pro", None, 10_000)]
    {
        let scene = Scene::open(plan, json!({})).await;
        // A day's allowance is not sent here to its end: what counts is the figure that is told.
        let first = scene.wamux().await;
        let tightest = minute.unwrap_or(day);
        assert_eq!(said(&first).2, [Some(tightest), Some(tightest - 1), Some(MARCH)], "{plan}: {first:?}");
        let usage = scene.account.get("/switchboard/v1/usage", &scene.account.tenant_key).await.json();
        let limits = usage["limits"].as_array().unwrap();
        let figure = |name: &str| limits.iter().find(|limit| limit["limit"] == name).map(|limit| limit["max"].clone());
        assert_eq!(figure("messages_per_day"), Some(json!(day)), "{plan}: {usage}");
        assert_eq!(figure("messages_per_minute").filter(|max| !max.is_null()), minute.map(|max| json!(max)), "{plan}");
        scene.stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_free_plan_of_wamux_ends_after_a_hundred_messages_of_a_day_and_ten_sessions() {
    let scene = Scene::open("free", json!({})).await;
    for left in (0..100).rev() {
        assert_eq!(said(&scene.wamux().await), (202, None, [Some(100), Some(left), Some(MARCH)]));
    }
    assert_eq!(said(&scene.wamux().await), (429, Some(30), [Some(100), Some(0), Some(MARCH)]));
    scene.step(30_000);
    assert_eq!(said(&scene.wamux().await), (202, None, [Some(100), Some(99), Some(MARCH + 86_400)]));
    let key = format!("Bearer {}", scene.account.tenant_key);
    let create = async |n: u32| {
        let body = json!({ "session_key": format!("session-{n}") });
        scene.post("/api/v1/sessions", ("authorization", &key), body).await.status
    };
    for n in 1..10 {
        assert_eq!(create(n).await, 201, "{n} more than the one there is");
    }
    assert_eq!(create(10).await, 429);
    scene.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sendapi_sends_at_most_thirty_messages_in_a_minute_with_pauses_and_a_thousand_in_a_day() {
    let scene = Scene::open("unlimited", json!({})).await;
    for n in 0..40 {
        let taken = scene.sendapi(&format!("number {n}")).await;
        assert_eq!(said(&taken).2, [Some(1_000), Some(999 - n), Some(MARCH)], "{taken:?}");
    }
    // The clock stands while the phone is looked at, so what it shows was sent by now.
    let all = until(PATIENCE, async || {
        let (shown, passed_ms) = (scene.shown().await.len(), scene.clock.now().0 - BEGIN_MS);
        assert!(shown as u64 <= 1 + passed_ms / 1_000, "{shown} messages in {passed_ms} ms");
        assert!(shown <= 30 || passed_ms >= 60_000, "{shown} messages in {passed_ms} ms");
        scene.step(500);
        shown == 40
    });
    assert!(all.await, "{:?}", scene.shown().await);
    let texts: Vec<String> = (0..40).map(|n| format!("number {n}")).collect();
    assert_eq!(scene.shown().await, texts);
    scene.stage.stop().await;
}
