//! What a guest keeps: at once in a request, with its answer in a run, and nowhere else; within what was granted.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use switchboard_core::clock::Timestamp;
use switchboard_core::flow::guards::Question;
use switchboard_core::flow::responder_worker::{RunAnswer, RunTry};
use switchboard_core::records::account::Principal;
use switchboard_core::records::content::{Content, Extras};
use switchboard_core::records::id::{SessionId, TenantId};
use switchboard_core::records::plugin::{Declared, Grants, PluginVersion};
use switchboard_core::storage::{NewVersion, Storage};
use switchboard_runtime::types::Request;
use switchboard_runtime::verbs::Verbs;
use switchboard_runtime::{CallContext, Called, LoadedPlugin, Outcome, Owner, Runtime, Verdict};

use crate::stage::{FakeVerbs, NOW_MS, component, context, heard, principal, session, settings};

const KV_BYTES: u64 = 100_000;
const ACME: TenantId = TenantId(7);

/// The keeper in a runtime, over a storage in which it is installed.
pub struct Keeper {
    runtime: Runtime,
    plugin: LoadedPlugin,
    pub storage: Storage,
}

/// Keeps a version of the operator's plugin `guest`.
pub async fn install(storage: &Storage, sha256: &str) {
    let version = PluginVersion::new(sha256, 4, Timestamp(NOW_MS), Declared::default());
    storage.put_artifact(TenantId::OPERATOR, &version.sha256, b"code", Timestamp(NOW_MS)).await.unwrap();
    let new = NewVersion::without_plan(TenantId::OPERATOR, "guest", &version);
    storage.keep_version(&new, |_, _| ()).await.unwrap();
}

impl Keeper {
    pub async fn start() -> Self {
        let verbs = Arc::new(FakeVerbs::default());
        let (storage, shared): (Storage, Arc<dyn Verbs>) = (verbs.storage.clone(), verbs);
        // It does much in one call: what it may compute is not what is tested here.
        let mut settings = settings(4);
        (settings.small.limits.cpu, settings.small.limits.wall) = (Duration::from_secs(1), Duration::from_secs(5));
        let runtime = Runtime::new(settings, shared).unwrap();
        let bytes = component(env!("GUEST_KEEPER"));
        let plugin = runtime.load(&bytes, Owner::Tenant, &context(None, "{}")).await.unwrap();
        install(&storage, &plugin.sha256).await;
        Self { runtime, plugin, storage }
    }

    /// Lets the router do these acts in `context`.
    pub async fn asked_in(&self, context: &CallContext, acts: &Value) -> Called<String> {
        let request = Request {
            route: 0,
            method: "POST".to_owned(),
            path: "/acts".to_owned(),
            body: acts.to_string().into_bytes(),
            principal: context.principal.clone(),
            request_id: "request-1".to_owned(),
            now_ms: context.now_ms,
            ..Request::default()
        };
        let called = self.runtime.handle(&self.plugin, context, &request).await;
        called.and_then(|response| Outcome::Reply(String::from_utf8(response.body).unwrap()))
    }

    async fn asked(&self, acts: Value) -> String {
        self.said_in(&granted(None), &acts).await
    }

    /// What came of acts in `context`.
    pub async fn said_in(&self, context: &CallContext, acts: &Value) -> String {
        self.asked_in(context, acts).await.outcome.into_result().unwrap()
    }

    /// Lets the responder do these acts.
    async fn heard(&self, acts: &Value) -> Called<RunAnswer> {
        self.heard_in(&granted(None), acts).await
    }

    /// The same in `context`.
    pub async fn heard_in(&self, context: &CallContext, acts: &Value) -> Called<RunAnswer> {
        let run = RunTry { id: "run-1", attempt: 1 };
        self.runtime.respond(&self.plugin, context, &run, &heard(&acts.to_string())).await
    }

    async fn answer(&self, acts: Value) -> (String, RunAnswer) {
        let answer = self.heard(&acts).await.outcome.into_result().unwrap();
        let Content::Text(text) = &answer.commands[0].content else { panic!("{answer:?}") };
        (text.clone(), answer)
    }

    async fn kept(&self, tenant: TenantId, key: &str) -> Option<String> {
        let kv = self.storage.kv(tenant, "operator/guest", KV_BYTES);
        let value = kv.get(key, None, Timestamp(NOW_MS)).await.unwrap();
        value.map(|value| String::from_utf8(value.bytes).unwrap())
    }
}

/// A call of a plugin that may keep something.
fn granted(principal: Option<Principal>) -> CallContext {
    let grants = Grants { kv_bytes: KV_BYTES, ..Grants::default() };
    CallContext { grants: Arc::new(grants), ..context(principal, "{}") }
}

#[tokio::test]
async fn a_request_keeps_each_write_when_it_returns_whatever_comes_after_it() {
    let keeper = Keeper::start().await;
    let acts = json!([
        { "get": "a" }, { "put": ["a", "one"] }, { "get": "a" }, { "put_if": ["a", "two", "three"] },
        { "put_if": ["a", "one", "two"] }, { "put_if": ["b", null, "x"] }, { "scan": ["", null, 9, false] }, "usage",
        { "delete": "b" }, { "delete": "b" }, { "scan": ["", null, 9, true] }
    ]);
    let said = "none; kept; one; false; true; true; a=two b=x; 6 of 100000; true; false; a=two";
    assert_eq!(keeper.asked(acts).await, said);
    let trap = json!([{ "put": ["c", "before the trap"] }, "trap"]);
    assert!(matches!(keeper.asked_in(&granted(None), &trap).await.outcome, Outcome::Trap(_)));
    assert_eq!(keeper.asked(json!([{ "get": "c" }])).await, "before the trap");
}

#[tokio::test]
async fn a_run_reads_what_it_writes_and_keeps_nothing_by_itself() {
    let keeper = Keeper::start().await;
    keeper.asked(json!([{ "put": ["b", "old"] }])).await;
    let acts = json!([
        { "put": ["a", "one"] }, { "get": "a" }, { "delete": "b" }, { "get": "b" }, { "put_if": ["a", "one", "two"] },
        { "scan": ["", null, 9, false] }, "usage"
    ]);
    let (said, answer) = keeper.answer(acts).await;
    assert_eq!(said, "kept; one; true; none; true; a=two; 4 of 100000");
    assert!(!answer.kv.is_empty());
    assert_eq!((keeper.kept(ACME, "a").await, keeper.kept(ACME, "b").await.as_deref()), (None, Some("old")));
    assert_eq!(keeper.answer(json!([{ "get": "a" }])).await.0, "none", "nor does the next run see it");
    assert!(keeper.heard(&json!(["usage"])).await.outcome.into_result().unwrap().kv.is_empty());
}

#[tokio::test]
async fn a_run_that_does_not_end_well_has_no_effects() {
    let keeper = Keeper::start().await;
    for end in [json!("trap"), json!({ "fail": "no" }), json!("spin")] {
        let acts = json!([{ "put": ["a", "one"] }, { "put_if": ["b", null, "two"] }, { "delete": "c" }, end]);
        let outcome = keeper.heard(&acts).await.outcome;
        assert!(!matches!(outcome, Outcome::Reply(_)), "{outcome:?}");
    }
    // One that is cut off while it waits for the host.
    let acts = json!([{ "put": ["a", "one"] }, "spin"]);
    let mut run = Box::pin(keeper.heard(&acts));
    tokio::select! {
        biased;
        called = &mut run => panic!("{:?}", called.outcome),
        () = tokio::task::yield_now() => {}
    }
    drop(run);
    assert_eq!(keeper.asked(json!([{ "scan": ["", null, 9, false] }, "usage"])).await, "; 0 of 100000");
}

#[tokio::test]
async fn nothing_is_kept_without_a_grant_under_a_test_key_or_in_calls_that_only_answer() {
    let keeper = Keeper::start().await;
    let acts = json!([{ "get": "a" }, { "put": ["a", "x"] }, { "delete": "a" }, { "scan": ["", null, 9, false] }, "usage"]);
    let ungranted = keeper.said_in(&context(None, "{}"), &acts).await;
    assert_eq!(ungranted, ["denied: kv: the plugin has no grant for it"; 5].join("; "));

    keeper.said_in(&granted(Some(principal(7))), &json!([{ "put": ["a", "live"] }])).await;
    let test_key = Principal { test: true, ..principal(7) };
    let said = keeper.said_in(&granted(Some(test_key)), &acts).await;
    let denied = "denied: kv: this is a test key: it changes nothing that is kept";
    assert_eq!(said, format!("live; {denied}; {denied}; a=live; 5 of 100000"));
}

#[tokio::test]
async fn a_policy_neither_reads_nor_writes_what_its_component_keeps_elsewhere() {
    let keeper = Keeper::start().await;
    keeper.asked(json!([{ "put": ["a", "x"] }])).await;
    let session = session(SessionId(5), ACME);
    let question = Question {
        by: None,
        session: &session,
        to: "15550100001@s.whatsapp.net",
        content: &Content::Text("hello".to_owned()),
        extras: &Extras::default(),
        template: None,
        now: Timestamp(NOW_MS),
        zone_minutes: None,
        sent_last_day: 0,
    };
    // It would deny if it could read.
    let judged = keeper.runtime.judge(&keeper.plugin, &granted(None), &question).await;
    assert_eq!(judged.outcome, Outcome::Reply(Verdict::Allow));
}

#[tokio::test]
async fn what_is_kept_for_one_tenant_is_not_there_for_another() {
    let keeper = Keeper::start().await;
    let of = |tenant| granted(Some(principal(tenant)));
    keeper.said_in(&of(7), &json!([{ "put": ["a", "of 7"] }])).await;
    let acts = json!([{ "get": "a" }, { "scan": ["", null, 9, false] }, "usage", { "put": ["a", "of 8"] }]);
    assert_eq!(keeper.said_in(&of(8), &acts).await, "none; ; 0 of 100000; kept");
    assert_eq!(keeper.kept(ACME, "a").await.as_deref(), Some("of 7"));
    assert_eq!(keeper.kept(TenantId(8), "a").await.as_deref(), Some("of 8"));
}

#[tokio::test]
async fn limits_are_refusals_that_name_them_and_the_guest_goes_on() {
    let keeper = Keeper::start().await;
    let long = "k".repeat(513);
    let acts = json!([
        { "put_large": ["a", 65_536] }, { "put_large": ["b", 65_536] }, { "put_large": ["c", 65_537] }, { "get": long },
        { "put": ["", "x"] }, { "put_for": ["t", "x", 0] }, { "put_for": ["t", "x", 31_622_401] },
        { "scan": ["", null, 101, false] }, { "put": ["d", "fits"] }
    ]);
    let said = [
        "kept",
        "limit: kv_bytes 65537 of 100000",
        "invalid: value has 65537 bytes; the limit is 65536",
        "invalid: key has 513 bytes; 1 to 512 are taken",
        "invalid: key has 0 bytes; 1 to 512 are taken",
        "invalid: ttl-s is 0; 1 to 31622400 are taken",
        "invalid: ttl-s is 31622401; 1 to 31622400 are taken",
        "invalid: limit is 101; 1 to 100 are taken",
        "kept",
    ];
    let said = said.join("; ");
    assert_eq!(keeper.answer(acts.clone()).await.0, said);
    assert_eq!(keeper.asked(acts).await, said);

    let many: Vec<Value> = (0..257).map(|n| json!({ "put": [format!("k{n}"), "x"] })).collect();
    let said = keeper.answer(json!(many)).await.0;
    assert!(said.ends_with("kept; limit: kv_run_keys 256 of 256"), "{said}");
    let called = keeper.asked_in(&granted(None), &json!([{ "get": "a" }, { "put_for": ["t", "x", 0] }, "usage"])).await;
    assert_eq!(called.report.host_calls, 3, "each is counted, refused or not");
}

#[tokio::test]
async fn what_is_kept_for_a_time_is_gone_when_it_is_over() {
    let keeper = Keeper::start().await;
    keeper.asked(json!([{ "put_for": ["a", "x", 60] }, { "put_for": ["b", "y", 61] }])).await;
    let at = |after_ms| CallContext { now_ms: NOW_MS + after_ms, ..granted(None) };
    let acts = json!([{ "get": "a" }, { "scan": ["", null, 9, false] }]);
    assert_eq!(keeper.said_in(&at(59_999), &acts).await, "x; a=x b=y");
    assert_eq!(keeper.said_in(&at(60_000), &acts).await, "none; b=y");
}
