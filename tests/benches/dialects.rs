//! What the dialects cost: processor time of an authenticated read and of an authenticated durable send, each in a fresh store,
//! beyond the host's own API, which does the same natively, in the same run.
//!
//! `cargo bench -p switchboard-tests --features sim --bench dialects` prints one line for each dialect. The time is that of the
//! whole process; the client in it costs both sides the same.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use switchboard_ids::{Kind, uuid};
use switchboard_tests::account::{Account, TestSession, phone};
use switchboard_tests::patience::pause;
use switchboard_tests::stage::{ADMIN_KEY, Stage};
use tokio::net::TcpStream;

const CUSTOMER: &str = "491520000001";
/// Requests of one round, over all connections; `sendapi` takes a thousand messages a day.
const READS: u32 = 4_000;
const SENDS: u32 = 192;
const ROUNDS: usize = 4;
/// Requests that are under way at once: with one, most of the time would go to threads that fall asleep and are woken.
const CONNECTIONS: u32 = 16;
/// Before the first round: what was begun by linking has ended.
const REST: Duration = Duration::from_secs(2);

/// A request that is asked over and over.
struct Call {
    name: &'static str,
    method: &'static str,
    path: String,
    header: (&'static str, String),
    body: Value,
    count: u32,
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stage = Stage::start().await;
        let account = stage.account("Bench").await;
        let session = account.linked(stage.control(), "S", "491510000001").await;
        phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
        hold_back(&account, &session).await;
        unlimited(&account).await;
        pause(REST).await;
        compare(&stage, "read", &reads(&account, &session)).await;
        compare(&stage, "durable send", &sends(&account, &session)).await;
        stage.stop().await;
    });
}

/// Lets messages wait in the outbox: what a dialect costs ends with their acceptance.
async fn hold_back(account: &Account, session: &TestSession) {
    let path = format!("/switchboard/v1/sessions/{}", session.id);
    let change = json!({ "settings": { "pacing": { "gap_ms": 3_600_000 } } });
    let set = account.http.json("PATCH", &path, Some(&account.tenant_key), Some(&change)).await.unwrap();
    assert_eq!(set.status, 200, "{set:?}");
}

/// Lets `wasender` take as many requests as are made here.
async fn unlimited(account: &Account) {
    let path = "/switchboard/v1/plugins/wasender/config";
    let figures = json!({ "messages_per_minute": null, "requests_per_minute": null });
    let set = account.http.json("PUT", path, Some(ADMIN_KEY), Some(&figures)).await.unwrap();
    assert_eq!(set.status, 200, "{set:?}");
}

fn bearer(key: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {key}"))
}

/// The session, as each API shows it; the first is native. `wafastapi` has no read that WhatsApp is not asked for.
fn reads(account: &Account, session: &TestSession) -> Vec<Call> {
    let read = |name, path: String, header| Call { name, method: "GET", path, header, body: json!(null), count: READS };
    let (id, tenant) = (session.id, &account.tenant_key);
    vec![
        read("native", format!("/switchboard/v1/sessions/{id}"), bearer(tenant)),
        read("prosendi", format!("/api/whatsapp/devices/{id}/status"), ("x-api-key", tenant.clone())),
        read("wamux", format!("/api/v1/sessions/{}", uuid(Kind::Session, id).unwrap()), bearer(tenant)),
        read("sendapi", format!("/v1/whatsapp/sessions/sess_{id}"), bearer(tenant)),
        read("wasender", "/api/v1/status".to_owned(), bearer(&session.key)),
    ]
}

/// A text, as each API takes it; the first is native.
fn sends(account: &Account, session: &TestSession) -> Vec<Call> {
    let send = |name, path: &str, header, body| {
        let path = path.to_owned();
        Call { name, method: "POST", path, header, body, count: SENDS }
    };
    let (tenant, text) = (&account.tenant_key, "What does this cost?");
    let content = json!({ "type": "text", "value": text });
    let native = json!({ "session_id": session.id, "to": CUSTOMER, "content": content });
    let typed = json!({ "to": CUSTOMER, "type": "text", "text": { "body": text } });
    let own = ("x-api-key", session.key.clone());
    vec![
        send("native", "/switchboard/v1/messages", bearer(tenant), native),
        send("prosendi", "/api/whatsapp/send", own.clone(), json!({ "recipient": CUSTOMER, "message": text })),
        send("wamux", "/api/v1/messages", bearer(tenant), json!({ "to": CUSTOMER, "message": text })),
        send("sendapi", "/v1/whatsapp/send", bearer(tenant), typed),
        send("wafastapi", "/api/whatsapp/send/text", own, json!({ "number": CUSTOMER, "message": text })),
        send("wasender", "/api/v1/send-message", bearer(&session.key), json!({ "to": CUSTOMER, "text": text })),
    ]
}

/// Asks all of them in turns, and prints the best round of each beside the first one's.
async fn compare(stage: &Stage, what: &str, calls: &[Call]) {
    let mut senders = Vec::new();
    for _ in 0..CONNECTIONS {
        senders.push(connection(stage).await);
    }
    let mut best = vec![f64::MAX; calls.len()];
    for _ in 0..ROUNDS {
        // Interleaved: a noisy neighbour hurts all alike.
        for (call, best) in calls.iter().zip(&mut best) {
            *best = best.min(round(&mut senders, call).await);
        }
    }
    for (call, us) in calls.iter().zip(&best) {
        let (native, name) = (best[0], format!("{what}, {}", call.name));
        println!("{name:<30} {us:7.1} µs, {:+.1} µs beyond native, {:.2} of it", us - native, us / native);
    }
}

async fn connection(stage: &Stage) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(stage.host.address()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Processor time of one request, µs.
async fn round(senders: &mut [SendRequest<Full<Bytes>>], call: &Call) -> f64 {
    let begun = cpu_us();
    futures_util::future::join_all(senders.iter_mut().map(|sender| ask(sender, call, call.count / CONNECTIONS))).await;
    (cpu_us() - begun) / f64::from(call.count)
}

async fn ask(sender: &mut SendRequest<Full<Bytes>>, call: &Call, count: u32) {
    let body = if call.body.is_null() { String::new() } else { call.body.to_string() };
    for _ in 0..count {
        let request = Request::builder().method(call.method).uri(&call.path).header("host", "localhost");
        let request = request.header(call.header.0, &call.header.1).header("content-type", "application/json");
        sender.ready().await.unwrap();
        let answer = sender.send_request(request.body(Full::new(Bytes::from(body.clone()))).unwrap()).await.unwrap();
        let (status, body) = (answer.status(), answer.into_body().collect().await.unwrap().to_bytes());
        assert!(status.is_success(), "{}: {status} {}", call.name, String::from_utf8_lossy(&body));
    }
}

/// Processor time of this process so far, µs.
fn cpu_us() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 * 1e6 + used.tv_nsec as f64 / 1e3
}
