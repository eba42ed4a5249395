//! Speed and memory of a whole host, as shares of a bare hyper server in the same run.
//!
//! `cargo bench -p switchboard-tests --features sim` prints one line per figure. `BENCH_SESSIONS` sets how many sessions are
//! connected for the memory figure (200 unless set).

mod load;

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use switchboard::http::LocalClient;
use switchboard_core::flow::responder_worker::RunTry;
use switchboard_core::records::account::{KeyKind, Principal};
use switchboard_core::records::id::{KeyId, SessionId, TenantId};
use switchboard_runtime::CallContext;
use switchboard_runtime::types::{Refusal, RefusedRequest, Request as PluginRequest};
use switchboard_tests::account::{Account, phone};
use switchboard_tests::components::keeping;
use switchboard_tests::patience::{PATIENCE, pause, until};
use switchboard_tests::process::Process;
use switchboard_tests::stage::{ADMIN_KEY, Stage};
use tokio::time::Instant;

use self::load::{bare_hyper, ping, process_kib, rate, request, say};

const ROUNDS: usize = 3;
const CALLS: u32 = 5_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        plugin_calls().await;
        http_rates().await;
        memory_per_session().await;
    });
}

/// The best of three rounds, µs per call.
async fn per_call(mut call: impl AsyncFnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for _ in 0..CALLS {
            call().await;
        }
        best = best.min(begun.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS));
    }
    best
}

async fn plugin_calls() {
    let stage = Stage::start().await;
    let account = stage.account("Bench").await;
    account.auto_reply(json!({ "replies": [{ "keyword": "ping", "reply": "pong" }] })).await;
    let session = account.session("S").await;
    let plugins = stage.host.plugins();
    let wasender = plugins.find(TenantId::OPERATOR, "wasender").unwrap();
    let auto_reply = plugins.find(TenantId(account.tenant), "auto-reply").unwrap();
    let nobody = wasender.context(TenantId::OPERATOR, 1);
    let refused =
        RefusedRequest { method: "GET".to_owned(), path: "/api/v1/x".to_owned(), request_id: "req_1".to_owned(), now_ms: 0 };
    let us = per_call(async || {
        let called = plugins.runtime().refuse(&wasender.loaded, &nobody, &refused, &Refusal::NotFound).await;
        assert!(called.outcome.into_result().is_ok());
    })
    .await;
    say("router call without a verb, fresh store", format!("{us:.1} µs"));

    let principal = Principal {
        tenant: TenantId(account.tenant),
        key: KeyId(1),
        kind: KeyKind::Session,
        session: Some(SessionId(session.id)),
        scopes: Vec::new(),
        test: false,
        acting: None,
    };
    let context = CallContext { principal: Some(principal.clone()), ..wasender.context(principal.tenant, 1) };
    let route = wasender.loaded.routes.iter().position(|route| route.path == "/status").unwrap();
    let request = PluginRequest {
        route: u32::try_from(route).unwrap(),
        method: "GET".to_owned(),
        path: "/api/v1/status".to_owned(),
        principal: Some(principal),
        ..PluginRequest::default()
    };
    let us = per_call(async || {
        let called = plugins.runtime().handle(&wasender.loaded, &context, &request).await;
        assert_eq!(called.outcome.into_result().unwrap().status, 200);
    })
    .await;
    say("router call with one verb that reads storage, fresh store", format!("{us:.1} µs"));

    let (context, event) = (auto_reply.context(TenantId(account.tenant), 1), ping());
    let us = per_call(async || {
        let called =
            plugins.runtime().respond(&auto_reply.loaded, &context, &RunTry { id: "run_1", attempt: 1 }, &event).await;
        assert_eq!(called.outcome.into_result().unwrap().commands.len(), 1);
    })
    .await;
    say("responder call that replies, fresh store", format!("{us:.1} µs"));
    stage.stop().await;
}

async fn http_rates() {
    let stage = Stage::start().await;
    let account = stage.account("Bench").await;
    let session = account.linked(stage.control(), "S", "491510000001").await;
    phone(stage.control(), ADMIN_KEY, "491520000001").await;
    let (bare, host) = (bare_hyper().await, stage.host.address());
    serve_without_pace(&stage).await;
    let (mut hello, mut reads, mut sends, mut kept_reads, mut kept_sends) = (0.0_f64, 0.0_f64, 0.0_f64, 0.0_f64, 0.0_f64);
    // Interleaved: a noisy neighbour hurts all alike.
    for _ in 0..ROUNDS {
        let key = session.key.clone();
        hello = hello.max(rate(bare, || request("GET", "/", "", "")).await);
        reads = reads.max(rate(host, move || request("GET", "/api/v1/status", &key, "")).await);
        let key = session.key.clone();
        kept_reads = kept_reads.max(rate(host, move || request("GET", "/kept/status", &key, "")).await);
        let body = json!({ "to": "491520000001", "text": "How fast is this accepted?" }).to_string();
        let (key, kept_key, kept_body) = (session.key.clone(), session.key.clone(), body.clone());
        sends = sends.max(rate(host, move || request("POST", "/api/v1/send-message", &key, &body)).await);
        kept_sends = kept_sends.max(rate(host, move || request("POST", "/kept/send-message", &kept_key, &kept_body)).await);
    }
    say("bare hyper hello, 64 connections", format!("{hello:.0} requests/s"));
    say("authenticated reads, fresh stores", format!("{reads:.0} requests/s, {:.2} of bare hyper", reads / hello));
    say("the same, kept instances", format!("{kept_reads:.0} requests/s, {:.2} of bare hyper", kept_reads / hello));
    say("authenticated durable sends, fresh stores", format!("{sends:.0} requests/s, {:.2} of bare hyper", sends / hello));
    say("the same, kept instances", format!("{kept_sends:.0} requests/s, {:.2} of bare hyper", kept_sends / hello));
    stage.stop().await;
}

/// Serves the dialect below `/kept` as well, by a component that asks for its instances to be kept, and both without the pace that
/// the dialect promises.
async fn serve_without_pace(stage: &Stage) {
    let (any, plugins) = (json!({ "messages_per_minute": null, "requests_per_minute": null }), "/switchboard/v1/plugins");
    let component_base64 = STANDARD.encode(keeping(env!("PLUGIN_WASENDER")));
    let mounts = json!([{ "prefix": "/kept" }]);
    let wish = json!({ "name": "kept", "component_base64": component_base64, "mounts": mounts, "config": any });
    let made = stage.http().json("POST", plugins, Some(ADMIN_KEY), Some(&wish)).await.unwrap();
    assert_eq!(made.status, 201, "{made:?}");
    let path = format!("{plugins}/wasender/config");
    let set = stage.http().json("PUT", &path, Some(ADMIN_KEY), Some(&any)).await.unwrap();
    assert_eq!(set.status, 200, "{set:?}");
}

async fn memory_per_session() {
    let sessions: u64 = std::env::var("BENCH_SESSIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_host-under-test"));
    let log = folder.path().join("log");
    let sim_dir = folder.path().join("sim").display().to_string();
    let sim_arguments = ["sim", "--listen", "127.0.0.1:0", "--data-dir", &sim_dir];
    let sim = Process::start(program, &sim_arguments, ADMIN_KEY, &log).await;
    let (data_dir, url) = (folder.path().join("data").display().to_string(), format!("ws://{}/ws/chat", sim.address));
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", &data_dir, "--sim", &url];
    let host = Process::start(program, &arguments, ADMIN_KEY, &log).await;
    host.ready().await;
    let account = Account::create(host.http(), ADMIN_KEY, "Bench").await;
    link(&account, sim.http(), 0, 1).await;
    // Once more from the start: what pairing took is given back, what a session holds is not.
    let before = settled_kib(host.terminate_and_restart(program, &arguments, ADMIN_KEY, &log).await, &account, 1).await;
    let host = before.1;
    let account = Account { http: host.http(), ..account };
    let begun = Instant::now();
    link(&account, sim.http(), 1, sessions).await;
    say(&format!("pairing {sessions} sessions, one after another"), format!("{:.1} s", begun.elapsed().as_secs_f64()));
    let after_pairing = process_kib(host.pid(), "VmRSS");
    let (after, host) =
        settled_kib(host.terminate_and_restart(program, &arguments, ADMIN_KEY, &log).await, &account, sessions).await;
    let each = (after.saturating_sub(before.0)) as f64 / (sessions - 1) as f64;
    say("resident memory of the host with 1 session", format!("{} KiB", before.0));
    say(&format!("resident memory with {sessions} sessions just paired"), format!("{after_pairing} KiB"));
    say(&format!("resident memory with {sessions} idle sessions, after a restart"), format!("{after} KiB"));
    say("resident memory per idle session", format!("{each:.0} KiB"));
    host.kill().await;
    sim.kill().await;
}

async fn link(account: &Account, control: LocalClient, from: u64, to: u64) {
    for n in from..to {
        account.linked(control, "S", &format!("49151{n:07}")).await;
    }
}

/// The host's resident memory once all sessions are connected and have been idle for a while.
async fn settled_kib(host: Process, account: &Account, sessions: u64) -> (u64, Process) {
    host.ready().await;
    let connected = || async {
        let path = "/api/v1/whatsapp-sessions";
        let answer = host.http().json("GET", path, Some(&account.token), None).await.unwrap().json();
        let all = answer["data"].as_array().cloned().unwrap_or_default();
        all.iter().filter(|session| session["status"] == "connected").count() as u64
    };
    assert!(until(PATIENCE, async || connected().await >= sessions).await, "not all sessions came back");
    pause(Duration::from_secs(15)).await;
    (process_kib(host.pid(), "VmRSS"), host)
}
