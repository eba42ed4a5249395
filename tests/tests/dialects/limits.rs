//! What every limit of the dialects allows, refuses and says, on a host whose clock the test steps.
//!
//! | contract | says | test |
//! | --- | --- | --- |
//! | prosendi | 1,000 a month, resets with it, in every answer | `a_used_up_month_…`, `plans_have_…` |
//! | prosendi | hard stop in the middle of a bulk; 100 ms between its messages | `a_bulk_of_prosendi_…` |
//! | wamux | Free: 10 sessions, 100 messages a day | `the_free_plan_of_wamux_…` |
//! | wamux | Pro: any number of sessions, 10,000 messages a day | `plans_have_…` |
//! | sendapi | Starter, Growth, Business a minute and a day | `plans_have_…`, `a_minute_and_a_day_of_sendapi_…` |
//! | sendapi | 30 a minute, 1–3 s between messages of a session | `sendapi_sends_at_most_thirty_…` |
//! | sendapi | 1,000 a day of a session | `a_session_of_sendapi_takes_a_thousand_…` |
//! | sendapi | a used-up month is 402, a minute or a day 429 | `a_used_up_month_…`, `a_minute_and_a_day_of_sendapi_…` |
//! | wafastapi | 429 with `Retry-After` | `a_used_up_month_…`, `wrong_keys_…` |
//! | wasender | 10 messages a minute of a session | `wasender_takes_ten_…` |
//! | wasender | 100 requests a minute of an account | `wasender_answers_a_hundred_requests_…` |
//! | wasender | failed credentials, 5 a minute of an address | `wrong_keys_…` (in the shape of each dialect) |

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
    for (plan, minute, day) in [
        ("starter", Some(10), 500),
        ("growth", Some(60), 5_000),
        ("business", Some(200), 50_000),
        ("free", None, 100),
        ("pro", None, 10_000),
    ] {
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
        let sessions = figure("sessions").filter(|max| !max.is_null());
        assert_eq!(sessions, (plan == "free").then(|| json!(10)), "{plan}: {usage}");
        scene.stage.stop().await;
    }
    let scene = Scene::open("prosendi-1000", json!({})).await;
    let first = scene.prosendi().await;
    assert_eq!(said(&first), (200, None, [Some(1_000), Some(999), Some(MARCH)]), "{first:?}");
    let quota = first.json()["data"]["quota"].clone();
    assert_eq!(quota, json!({ "limit": 1000, "used": 1, "remaining": 999, "resets_at": "2028-03-01T00:00:00.000Z" }));
    scene.stage.stop().await;
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

impl Scene {
    /// Somebody else on the same host, with a connected session of the same plan.
    async fn neighbour(&self, plan: &str) -> (Account, TestSession) {
        let account = self.stage.account("Neighbour").await;
        let session = while_time_passes(&self.clock, account.linked(self.stage.control(), "Theirs", "491510000007")).await;
        let path = format!("/switchboard/v1/tenants/{}", account.tenant);
        let set = self.stage.http().json("PATCH", &path, Some(ADMIN_KEY), Some(&json!({ "plan": plan }))).await.unwrap();
        assert_eq!(set.status, 200, "{set:?}");
        (account, session)
    }

    fn step_to(&self, second: u64) {
        self.clock.advance(Timestamp(second * 1000).since(self.clock.now()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_and_a_day_of_sendapi_are_refused_as_such_and_a_neighbour_goes_on() {
    let scene = Scene::open("starter", json!({ "messages_per_day": 15 })).await;
    let (neighbour, _) = scene.neighbour("starter").await;
    scene.step_to(MARCH);
    for left in (0..10).rev() {
        assert_eq!(said(&scene.sendapi("x").await), (200, None, [Some(10), Some(left), Some(MARCH + 60)]));
    }
    scene.step(15_001);
    let refused = scene.sendapi("x").await;
    assert_eq!(said(&refused), (429, Some(45), [Some(10), Some(0), Some(MARCH + 60)]), "{refused:?}");
    let error = refused.json()["error"].clone();
    assert_eq!((&error["type"], &error["code"]), (&json!("rate_limit_exceeded"), &json!(4029)), "{refused:?}");
    let key = format!("Bearer {}", neighbour.tenant_key);
    let theirs = scene.post("/v1/whatsapp/send", ("authorization", &key), json!({ "to": CUSTOMER, "message": "x" })).await;
    assert_eq!(said(&theirs), (200, None, [Some(10), Some(9), Some(MARCH + 60)]), "{theirs:?}");
    scene.step_to(MARCH + 60);
    let tomorrow = MARCH + 86_400;
    for left in (0..5).rev() {
        assert_eq!(said(&scene.sendapi("x").await), (200, None, [Some(15), Some(left), Some(tomorrow)]));
    }
    let refused = scene.sendapi("x").await;
    assert_eq!(said(&refused), (429, Some(86_340), [Some(15), Some(0), Some(tomorrow)]), "{refused:?}");
    assert_eq!(refused.json()["error"]["type"], "rate_limit_exceeded", "{refused:?}");
    scene.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_sendapi_takes_a_thousand_messages_in_a_day_and_another_has_its_own() {
    let scene = Scene::open("unlimited", json!({})).await;
    let key = format!("Bearer {}", scene.account.tenant_key);
    for _ in 0..2 {
        // A millisecond has 2,048 message ids: while the clock stands they come to an end.
        scene.step(500);
        let body = json!({ "recipients": vec![CUSTOMER; 500], "text": "x" });
        let taken = scene.post("/v1/whatsapp/send-bulk", ("authorization", &key), body).await;
        assert_eq!((taken.status, &taken.json()["total"]), (202, &json!(500)), "{taken:?}");
    }
    let refused = scene.sendapi("one more").await;
    assert_eq!(said(&refused), (429, Some(29), [Some(1_000), Some(0), Some(MARCH)]), "{refused:?}");
    assert_eq!(refused.json()["error"]["code"], 4029, "{refused:?}");
    let other = scene.account.linked(scene.stage.control(), "Other", "491510000003");
    let other = while_time_passes(&scene.clock, other).await;
    let body = json!({ "session_id": other.id, "to": CUSTOMER, "message": "x" });
    let taken = scene.post("/v1/whatsapp/send", ("authorization", &key), body).await;
    assert_eq!((taken.status, said(&taken).2[1]), (200, Some(999)), "{taken:?}");
    scene.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_of_prosendi_stops_where_the_month_ends_and_keeps_its_distance() {
    let scene = Scene::open("prosendi-1000", json!({ "messages_per_month": 3 })).await;
    let messages: Vec<Value> = (0..5).map(|n| json!({ "recipient": CUSTOMER, "message": format!("number {n}") })).collect();
    let body = json!({ "messages": messages });
    let answer = scene.post("/api/whatsapp/send-bulk", ("x-api-key", &scene.account.tenant_key), body).await;
    let data = answer.json()["data"].clone();
    assert_eq!((answer.status, &data["total"], &data["sent"], &data["failed"]), (200, &json!(5), &json!(3), &json!(2)));
    let codes: Vec<&Value> = data["results"].as_array().unwrap().iter().map(|result| &result["error_code"]).collect();
    assert_eq!(codes[3..], [&json!("quota_exceeded"), &json!("quota_exceeded")], "{data}");
    let spent = json!({ "limit": 3, "used": 3, "remaining": 0, "resets_at": "2028-03-01T00:00:00.000Z" });
    assert_eq!(data["quota"], spent, "{data}");
    assert_eq!(said(&scene.prosendi().await), (429, Some(30), [Some(3), Some(0), Some(MARCH)]));
    // The clock stands while the phone is looked at, so what it shows was sent by now.
    let all = until(PATIENCE, async || {
        let (shown, passed_ms) = (scene.shown().await.len(), scene.clock.now().0 - BEGIN_MS);
        assert!(shown as u64 <= 1 + passed_ms / 100, "{shown} messages in {passed_ms} ms");
        scene.step(25);
        shown == 3
    });
    assert!(all.await, "{:?}", scene.shown().await);
    scene.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wasender_answers_a_hundred_requests_of_an_account_in_a_minute_whatever_key_they_come_with() {
    let http = HttpSettings { route_rates: true, ..HttpSettings::default() };
    let scene = Scene::open_behind(http, "unlimited", json!({})).await;
    let neighbour = scene.stage.account("Neighbour").await;
    let (list, token) = ("/api/v1/whatsapp-sessions", scene.account.token.clone());
    for left in (0..100).rev() {
        let answer = match left % 2 {
            0 => scene.account.get(list, &token).await,
            _ => scene.account.get("/api/status", &scene.session.key).await,
        };
        assert_eq!(said(&answer), (200, None, [Some(100), Some(left), Some(MARCH)]), "{answer:?}");
    }
    let refused = scene.account.get(list, &token).await;
    assert_eq!(said(&refused), (429, Some(30), [Some(100), Some(0), Some(MARCH)]), "{refused:?}");
    assert_eq!((&refused.json()["code"], &refused.json()["retry_after"]), (&json!("RATE_LIMITED"), &json!(30)));
    let theirs = neighbour.get(list, &neighbour.token).await;
    assert_eq!(said(&theirs), (200, None, [Some(100), Some(99), Some(MARCH)]), "each account has its own");
    scene.clock.advance(Timestamp(MARCH * 1000 - 1).since(scene.clock.now()));
    assert_eq!(said(&scene.account.get(list, &token).await).1, Some(1));
    scene.step(1);
    let answer = scene.account.get(list, &token).await;
    assert_eq!(said(&answer), (200, None, [Some(100), Some(99), Some(MARCH + 60)]), "{answer:?}");
    scene.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_of_an_address_are_refused_after_five_in_a_minute_in_the_words_of_each_dialect() {
    let http = HttpSettings {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        failed_credentials_per_minute: 5,
        ..HttpSettings::default()
    };
    let scene = Scene::open_behind(http, "unlimited", json!({})).await;
    let ask = async |path: &str, (header, key): (&str, String), from: &str| {
        let headers = [(header, key), ("x-forwarded-for", from.to_owned())];
        scene.stage.http().exchange("GET", path, &headers, Vec::new()).await.unwrap()
    };
    let (tenant, session) = (&scene.account.tenant_key, &scene.session.key);
    let mut walked = Vec::new();
    for (path, header, right, place, word) in [
        ("/api/whatsapp/devices", "x-api-key", tenant, "/success", json!(false)),
        ("/api/v1/sessions", "authorization", tenant, "/detail", json!("Rate limit exceeded: try again in 30 s")),
        ("/v1/whatsapp/sessions", "authorization", tenant, "/error/code", json!(4029)),
        ("/api/whatsapp/get/groups", "x-api-key", session, "/success", json!(false)),
        ("/api/v1/whatsapp-sessions", "authorization", &scene.account.token, "/retry_after", json!(30)),
    ] {
        let of = |key: &str| (header, if header == "authorization" { format!("Bearer {key}") } else { key.to_owned() });
        for n in 0..5 {
            let guess = ask(path, of(&format!("sk_live_guess-{n}")), "203.0.113.7").await;
            assert_eq!(guess.status, 401, "{path}: {guess:?}");
        }
        let refused = ask(path, of("sk_live_guess"), "203.0.113.7").await;
        assert_eq!((refused.status, said(&refused).1), (429, Some(30)), "{path}: {refused:?}");
        assert_eq!(refused.json().pointer(place), Some(&word), "{path}: {}", refused.json());
        assert_eq!(ask(path, of("sk_live_guess"), "203.0.113.8").await.status, 401, "{path}: a neighbour is not stopped");
        assert_eq!(ask(path, of(right), "203.0.113.7").await.status, 200, "{path}: a right key always passes");
        walked.push((path, header));
    }
    scene.step_to(MARCH);
    for (path, header) in walked {
        let key = if header == "authorization" { "Bearer sk_live_guess" } else { "sk_live_guess" };
        assert_eq!(ask(path, (header, key.to_owned()), "203.0.113.7").await.status, 401, "{path}: a new minute");
    }
    scene.stage.stop().await;
}
