//! Speed and memory of plugins: µs of a call at each extension point, how soon an upload is live, what loading compiled code takes,
//! what plugins that nobody calls hold, and how fast one rule answers over HTTP beside the same rule elsewhere.
//!
//! `cargo bench -p switchboard-tests --features sim --bench plugins` prints one line per figure. `BENCH_ARTIFACTS` sets how many
//! distinct components are loaded at once (500 unless set), `BENCH_WORKERD` names the program workerd, if the rule in JavaScript
//! is to be measured beside ours. `BENCH_ONLY=word` takes only the parts whose name has the word: extension points, uploads,
//! cached loads, idle plugins, many artifacts, one rule.

#![recursion_limit = "256"]

mod load;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use switchboard_core::clock::Timestamp;
use switchboard_core::flow::guards::Question;
use switchboard_core::flow::responder_worker::RunTry;
use switchboard_core::flow::sender_route::{Candidate, RouteQuestion};
use switchboard_core::records::account::{KeyKind, Principal};
use switchboard_core::records::content::{Content, Extras, TemplateCall};
use switchboard_core::records::id::{KeyId, SessionId, TenantId, WebhookId};
use switchboard_core::records::session::Session;
use switchboard_core::records::webhook::WebhookEndpoint;
use switchboard_runtime::types::{Refusal, RefusedRequest};
use switchboard_runtime::{
    CallContext, ClassSettings, Compiler, GivenTemplate, LoadedPlugin, Matter, Owner, Runtime, RuntimeSettings,
};
use switchboard_tests::account::Account;
use switchboard_tests::components::{keeping, stamped};
use switchboard_tests::stage::{ADMIN_KEY, Stage};
use tokio::time::Instant;

use self::load::{bare_hyper, ping, process_kib, rate, request, say};

const ROUNDS: usize = 3;
const CALLS: u32 = 3_000;
const UPLOADS: u16 = 9;
const LOADS: u32 = 200;
const IDLE: u16 = 100;
const TENANTS: u64 = 1_000;
const RULE: &str = env!("GUEST_RULE");
const AUTO_REPLY: &str = env!("PLUGIN_AUTO_REPLY");
const TO: &str = "491520000001@s.whatsapp.net";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let only = std::env::var("BENCH_ONLY").unwrap_or_default();
        let parts = ["extension points", "uploads", "cached loads", "idle plugins", "many artifacts", "one rule"];
        for part in parts.into_iter().filter(|part| part.contains(&only)) {
            match part {
                "extension points" => extension_points().await,
                "uploads" => uploads().await,
                "cached loads" => cached_loads().await,
                "idle plugins" => idle_plugins().await,
                "many artifacts" => many_artifacts().await,
                _ => one_rule().await,
            }
        }
    });
}

/// The best of three rounds, µs per call.
async fn per_call(what: &str, mut call: impl AsyncFnMut()) {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for _ in 0..CALLS {
            call().await;
        }
        best = best.min(begun.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS));
    }
    say(&format!("{what}, fresh store"), format!("{best:.1} µs"));
}

async fn install(account: &Account, builtin: &str, config: Value) {
    let wish = json!({ "name": builtin, "builtin": builtin, "config": config });
    let made = account.post("/switchboard/v1/plugins", &account.tenant_key, wish).await;
    assert_eq!(made.status, 201, "{made:?}");
}

/// A host with a plugin at each extension point.
struct Scene {
    stage: Stage,
    tenant: TenantId,
    session: Session,
    endpoint: WebhookEndpoint,
}

impl Scene {
    async fn set() -> Self {
        let stage = Stage::start().await;
        let account = stage.account("Bench").await;
        install(&account, "recipients", json!({ "allow": ["+49"] })).await;
        install(&account, "slack", json!({})).await;
        install(&account, "round-robin", json!({})).await;
        install(&account, "auto-reply", json!({ "replies": [{ "keyword": "ping", "reply": "pong" }] })).await;
        let made = account.session("S").await;
        let tenant = TenantId(account.tenant);
        let session = stage.host.storage().session(tenant, SessionId(made.id)).await.unwrap().unwrap();
        let hook = json!({ "url": "https://hooks.example.com/x", "events": ["*"], "format": "slack" });
        let hook = account.post("/switchboard/v1/webhooks", &account.tenant_key, hook).await.json();
        let hook = WebhookId(hook["id"].as_u64().unwrap());
        let endpoint = stage.host.storage().webhook(tenant, hook).await.unwrap().unwrap();
        Self { stage, tenant, session, endpoint }
    }

    fn runtime(&self) -> &Runtime {
        self.stage.host.plugins().runtime()
    }

    /// A plugin, and the context of a call of it for the tenant.
    fn plugin(&self, owner: TenantId, name: &str) -> (Arc<LoadedPlugin>, CallContext) {
        let plugin = self.stage.host.plugins().find(owner, name).unwrap();
        (Arc::clone(&plugin.loaded), plugin.context(self.tenant, 1))
    }

    async fn requests(&self) {
        let (router, context) = self.plugin(TenantId::OPERATOR, "wasender");
        let (path, request_id) = ("/api/v1/x".to_owned(), "req_1".to_owned());
        let refused = RefusedRequest { method: "GET".to_owned(), path, request_id, now_ms: 0 };
        per_call("router", async || {
            let called = self.runtime().refuse(&router, &context, &refused, &Refusal::NotFound).await;
            assert!(called.outcome.into_result().is_ok());
        })
        .await;
    }

    async fn guards(&self) {
        let (content, extras) = (Content::Text("ping".to_owned()), Extras::default());
        let (policy, context) = self.plugin(self.tenant, "recipients");
        let question = Question {
            by: None,
            session: &self.session,
            to: TO,
            content: &content,
            extras: &extras,
            template: None,
            now: Timestamp(1),
            zone_minutes: Some(60),
            sent_last_day: 7,
        };
        per_call("auth-policy", async || {
            assert!(self.runtime().judge(&policy, &context, &question).await.outcome.into_result().is_ok());
        })
        .await;

        let (templates, context) = self.plugin(TenantId::OPERATOR, "templates");
        let given = GivenTemplate { name: "hello", language: "en", definition: r#"{"body":"Hello {{name}}"}"# };
        let parameters = vec![("name".to_owned(), "Ann".to_owned())];
        let call = TemplateCall { name: "hello".to_owned(), language: None, parameters };
        per_call("template", async || {
            let rendered = self.runtime().render_template(&templates, &context, given, &call).await;
            assert!(rendered.outcome.into_result().unwrap().is_ok());
        })
        .await;

        let ((route, context), by) = (self.plugin(self.tenant, "round-robin"), caller(self.tenant));
        let candidates = [Candidate { session: self.session.clone(), waiting: 0, sent_last_day: 7 }];
        let (content, extras, candidates, now) = (&content, &extras, &candidates[..], Timestamp(1));
        let question = RouteQuestion { by: &by, to: TO, content, extras, candidates, now };
        per_call("sender-route", async || {
            assert!(self.runtime().choose_sender(&route, &context, &question, 1).await.outcome.into_result().is_ok());
        })
        .await;
    }

    async fn events(&self) {
        let ((webhook, context), event) = (self.plugin(self.tenant, "slack"), ping());
        let (session, endpoint) = (&self.session, &self.endpoint);
        let matter = Matter { event: &event, session, message: None, poll: &[], standard: b"{}", endpoint };
        per_call("webhook", async || {
            assert_eq!(self.runtime().shape(&webhook, &context, &matter).await.outcome.into_result().unwrap().len(), 1);
        })
        .await;
        let (responder, context) = self.plugin(self.tenant, "auto-reply");
        per_call("responder", async || {
            let called = self.runtime().respond(&responder, &context, &RunTry { id: "run_1", attempt: 1 }, &event).await;
            assert_eq!(called.outcome.into_result().unwrap().commands.len(), 1);
        })
        .await;
    }
}

async fn extension_points() {
    let scene = Scene::set().await;
    scene.requests().await;
    scene.guards().await;
    scene.events().await;
    scene.stage.stop().await;
}

fn caller(tenant: TenantId) -> Principal {
    Principal { tenant, key: KeyId(1), kind: KeyKind::Tenant, session: None, scopes: Vec::new(), test: false, acting: None }
}

/// From the first byte of an upload that nobody has seen before to the answer that says it is live.
async fn uploads() {
    let stage = Stage::start().await;
    let account = stage.account("Bench").await;
    let mut took = Vec::new();
    for n in 0..UPLOADS {
        let headers =
            [("authorization", format!("Bearer {}", account.tenant_key)), ("content-type", "application/wasm".to_owned())];
        let path = format!("/switchboard/v1/plugins?name=rule-{n}&grants=asked");
        let component = stamped(env!("GUEST_POLICY"), n);
        let begun = Instant::now();
        let made = account.http.exchange("POST", &path, &headers, component).await.unwrap();
        took.push(begun.elapsed());
        assert_eq!(made.status, 201, "{made:?}");
    }
    took.sort_unstable();
    let (kib, middle) = (stamped(env!("GUEST_POLICY"), 0).len() / 1024, took[took.len() / 2]);
    let worst = took[took.len() - 1];
    say(&format!("upload to live, {kib} KiB of Rust"), format!("{middle:.0?}, at worst {worst:.0?}"));
    stage.stop().await;
}

fn runtime_with(folder: Option<PathBuf>, remembered_max: usize) -> Runtime {
    let (small, large) = (ClassSettings::small(), ClassSettings { places: 1, ..ClassSettings::large() });
    let (compiler, cache_folder, cache_key) = (Compiler::InProcess, folder, [7; 32]);
    let settings = RuntimeSettings { small, large, compiler, cache_folder, cache_key, remembered_max };
    Runtime::without_host(settings).unwrap()
}

fn context(tenant: u64) -> CallContext {
    CallContext {
        tenant: TenantId(tenant),
        principal: None,
        plugin: Arc::from(format!("{tenant}/bench")),
        made_at: Timestamp(1),
        config: Arc::from("{}"),
        grants: Arc::default(),
        figures: Arc::default(),
        now_ms: 1,
        once: None,
    }
}

async fn load(runtime: &Runtime, component: &[u8], tenant: u64) -> LoadedPlugin {
    runtime.load(component, Owner::Tenant, &context(tenant)).await.unwrap()
}

/// Loads what was compiled before: from its file, which is inspected, read back, checked against its mark, linked and tried; and
/// what was in use lately, by its hash, which is tried alone.
async fn cached_loads() {
    for (what, path) in [("118 KiB", env!("GUEST_POLICY")), ("205 KiB", AUTO_REPLY)] {
        let component = std::fs::read(path).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let runtime = runtime_with(Some(folder.path().to_owned()), 0);
        load(&runtime, &component, 1).await;
        let begun = Instant::now();
        for _ in 0..LOADS {
            load(&runtime, &component, 1).await;
        }
        let us = begun.elapsed().as_secs_f64() * 1e6 / f64::from(LOADS);
        say(&format!("load of {what} from its file, with inspection and trial"), format!("{us:.0} µs"));
        let runtime = runtime_with(Some(folder.path().to_owned()), 1);
        let sha256 = load(&runtime, &component, 1).await.sha256.clone();
        let begun = Instant::now();
        for _ in 0..LOADS {
            runtime.load_known(&sha256, Owner::Tenant, &context(1)).await.unwrap().unwrap();
        }
        let us = begun.elapsed().as_secs_f64() * 1e6 / f64::from(LOADS);
        say("load of the same that was in use lately, with trial", format!("{us:.0} µs"));
    }
}

/// The memory that this process holds, KiB.
fn resident_kib() -> u64 {
    process_kib(std::process::id(), "VmRSS")
}

async fn idle_plugins() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime_with(Some(folder.path().to_owned()), 0);
    let mut kept = vec![load(&runtime, &stamped(AUTO_REPLY, 0), 1).await];
    let before = resident_kib();
    for n in 1..=IDLE {
        kept.push(load(&runtime, &stamped(AUTO_REPLY, n), 1).await);
    }
    let each = resident_kib().saturating_sub(before) as f64 / f64::from(IDLE);
    say(&format!("resident memory per plugin that nobody calls, of {}", kept.len()), format!("{each:.0} KiB"));
}

/// Distinct components of many tenants, each called once and kept.
async fn many_artifacts() {
    let count: u16 = std::env::var("BENCH_ARTIFACTS").ok().and_then(|text| text.parse().ok()).unwrap_or(500);
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime_with(Some(folder.path().to_owned()), 0);
    let refused =
        RefusedRequest { method: "GET".to_owned(), path: "/x".to_owned(), request_id: "req_1".to_owned(), now_ms: 0 };
    let own_before = process_kib(std::process::id(), "RssAnon");
    let (mut kept, before, begun) = (Vec::new(), resident_kib(), Instant::now());
    for n in 0..count {
        let tenant = u64::from(n) % TENANTS;
        let plugin = load(&runtime, &stamped(RULE, n), tenant).await;
        let called = runtime.refuse(&plugin, &context(tenant), &refused, &Refusal::NotFound).await;
        assert_eq!(called.outcome.into_result().unwrap().status, 404);
        kept.push(plugin);
    }
    let grown = |name, before: u64| process_kib(std::process::id(), name).saturating_sub(before) / 1024;
    let (mib, own, took) = (grown("VmRSS", before), grown("RssAnon", own_before), begun.elapsed());
    kept.iter().for_each(|plugin| plugin.rest());
    let rested = grown("VmRSS", before);
    let figure = format!("{mib} MiB more, {own} of them not of files; {rested} once they rest; {took:.0?}");
    say(&format!("{} distinct components, each called once and kept", kept.len()), figure);
}

/// Requests per second of one rule behind HTTP, beside bare hyper and workerd.
async fn one_rule() {
    let stage = Stage::start().await;
    for (name, component) in [("rule", std::fs::read(RULE).unwrap()), ("kept", keeping(RULE))] {
        let (component_base64, prefix) = (STANDARD.encode(component), format!("/{name}"));
        let wish = json!({ "name": name, "component_base64": component_base64, "mounts": [{ "prefix": prefix }] });
        let made = stage.http().json("POST", "/switchboard/v1/plugins", Some(ADMIN_KEY), Some(&wish)).await.unwrap();
        assert_eq!(made.status, 201, "{made:?}");
    }
    let workerd = std::env::var_os("BENCH_WORKERD").map(|program| Workerd::start(Path::new(&program)));
    let (bare, body) = (bare_hyper().await, json!({ "text": "What are your HOURS?" }).to_string());
    let (mut hello, mut fresh, mut kept, mut theirs) = (0.0_f64, 0.0_f64, 0.0_f64, 0.0_f64);
    // Interleaved: a noisy neighbour hurts all alike.
    for _ in 0..ROUNDS {
        let (hello_body, fresh_body, kept_body, their_body) = (body.clone(), body.clone(), body.clone(), body.clone());
        hello = hello.max(rate(bare, move || request("POST", "/", "", &hello_body)).await);
        fresh = fresh.max(rate(stage.host.address(), move || request("POST", "/rule/answer", "", &fresh_body)).await);
        kept = kept.max(rate(stage.host.address(), move || request("POST", "/kept/answer", "", &kept_body)).await);
        if let Some(workerd) = &workerd {
            theirs = theirs.max(rate(workerd.address, move || request("POST", "/answer", "", &their_body)).await);
        }
    }
    say("one rule in Rust, fresh store", format!("{fresh:.0} requests/s, {:.2} of bare hyper", fresh / hello));
    say("one rule in Rust, kept instance", format!("{kept:.0} requests/s, {:.2} of bare hyper", kept / hello));
    if workerd.is_some() {
        let (fresh, kept) = (fresh / theirs, kept / theirs);
        let figure = format!("{theirs:.0} requests/s; ours is {fresh:.2} of it fresh, {kept:.2} kept");
        say("the same rule in JavaScript in workerd", figure);
    }
    stage.stop().await;
}

/// The program workerd, until it is dropped.
struct Workerd {
    child: std::process::Child,
    address: std::net::SocketAddr,
}

impl Workerd {
    fn start(program: &Path) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/workerd/config.capnp");
        let socket = format!("--socket-addr=http={free}");
        let child = std::process::Command::new(program).args(["serve", config, &socket]).spawn().unwrap();
        for _ in 0..100 {
            if std::net::TcpStream::connect(free).is_ok() {
                break;
            }
            #[expect(clippy::disallowed_methods, reason = "nobody else has anything to do")]
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { child, address: free }
    }
}

impl Drop for Workerd {
    fn drop(&mut self) {
        // It has nothing to finish.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
