//! End-to-end sends: from the HTTP request to WhatsApp's acknowledgement, as a share of a bare client loop in the same run.
//!
//! `cargo bench -p switchboard-tests --features sim --bench sends` prints one line per figure. The bare loop is the client
//! library alone: each session sends one text after another, as fast as the library takes them, and waits for the server's word
//! about all of them at the end. It runs once over the same storage as the host's sessions and once over the library's storage
//! in memory. `BENCH_SENDS` sets how many messages each session sends (400 unless set).

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use switchboard::http::LocalClient;
use switchboard::whatsapp::storage::DeviceBackend;
use switchboard_core::records::id::{SessionId, TenantId};
use switchboard_core::storage::{MasterKey, Storage};
use switchboard_tests::account::{Account, TestSession, phone, scan};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::process::Process;
use switchboard_tests::raw_client::PlainHttp;
use switchboard_tests::records::{own_key, session};
use switchboard_tests::stage::ADMIN_KEY;
use tokio::sync::mpsc;
use tokio::time::Instant;
use whatsapp_rust::prelude::*;
use whatsapp_rust::transport::TokioWebSocketTransportFactory;
use whatsapp_rust::wacore::store::InMemoryBackend;
use whatsapp_rust::wacore::store::traits::Backend;

const SESSIONS: usize = 4;
/// Chats that each session writes to.
const CHATS: usize = 8;
/// HTTP clients of the host, for each session.
const CLIENTS: usize = 8;
const VERSION: (u32, u32, u32) = (2, 3000, 0);
/// What a bare client may tell and nobody has looked at yet.
const NOTICES_MAX: usize = 100_000;

fn main() {
    let sends = std::env::var("BENCH_SENDS").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_host-under-test"));
        let sim_arguments = ["sim", "--listen", "127.0.0.1:0"];
        let sim = Process::start(program, &sim_arguments, ADMIN_KEY, &folder.path().join("sim.log")).await;
        for chat in 0..CHATS {
            phone(sim.http(), ADMIN_KEY, &customer(chat)).await;
        }
        let memory: Vec<Arc<dyn Backend>> = (0..SESSIONS).map(|_| Arc::new(InMemoryBackend::new()) as _).collect();
        let in_memory = bare(&sim, 1, memory, sends).await;
        let key = MasterKey::new([7; 32]);
        let storage = Storage::open(&folder.path().join("bare.redb"), key).await.unwrap();
        let mut durable: Vec<Arc<dyn Backend>> = Vec::new();
        for id in (1..=SESSIONS as u64).map(SessionId) {
            storage.create_session(&session(TenantId(1), id), &own_key(TenantId(1), id)).await.unwrap();
            durable.push(Arc::new(DeviceBackend::new(storage.device(TenantId(1), id))));
        }
        let durable = bare(&sim, 2, durable, sends).await;
        let host = host(&sim, folder.path(), sends).await;
        say("bare client loop, storage in memory", in_memory, None);
        say("bare client loop, the host's storage", durable, None);
        say("host, from the HTTP request to the acknowledgement", host, Some((durable, in_memory)));
        sim.kill().await;
    });
}

fn say(what: &str, rate: f64, beside: Option<(f64, f64)>) {
    let shares = beside.map_or_else(String::new, |(durable, memory)| {
        format!(", {:.2} of the loop on the same storage, {:.2} of that in memory", rate / durable, rate / memory)
    });
    println!("{what:<60} {rate:.0} sends/s{shares}");
}

fn customer(chat: usize) -> String {
    format!("49152{chat:07}")
}

/// What a bare client tells.
enum Notice {
    Qr(String),
    Connected,
    Acknowledged(String),
}

struct Ear(mpsc::Sender<Notice>);

impl EventHandler for Ear {
    fn handle_event(&self, event: Arc<Event>) {
        let notice = match &*event {
            Event::PairingQrCode(qr) => Notice::Qr(qr.code.clone()),
            Event::Connected(_) => Notice::Connected,
            Event::ServerAck(ack) if ack.class.as_deref() == Some("message") => Notice::Acknowledged(ack.id.to_string()),
            _ => return,
        };
        self.0.try_send(notice).unwrap_or_else(|_| panic!("more than {NOTICES_MAX} notices wait"));
    }
}

/// Sends per second of clients without a host: all of them together, until the server has the last message.
async fn bare(sim: &Process, row: usize, backends: Vec<Arc<dyn Backend>>, sends: usize) -> f64 {
    let mut clients = Vec::new();
    for (at, backend) in backends.into_iter().enumerate() {
        clients.push(bare_client(sim, &format!("4916{row}{at:07}"), backend).await);
    }
    let begun = Instant::now();
    let mut loops = tokio::task::JoinSet::new();
    for (client, mut notices, handle) in clients {
        loops.spawn(async move {
            let mut open = HashSet::new();
            for n in 0..sends {
                let to: Jid = format!("{}@s.whatsapp.net", customer(n % CHATS)).parse().unwrap();
                open.insert(client.send_message(to, text(n)).await.unwrap().message_id.to_string());
            }
            while !open.is_empty() {
                if let Some(Notice::Acknowledged(id)) = notices.recv().await {
                    open.remove(&id);
                }
            }
            // Wrapped, because it could be awaited itself.
            (handle,)
        });
    }
    let mut handles = Vec::new();
    while let Some(ended) = loops.join_next().await {
        handles.push(ended.unwrap().0);
    }
    let rate = (SESSIONS * sends) as f64 / begun.elapsed().as_secs_f64();
    for handle in handles {
        handle.shutdown().await;
    }
    rate
}

fn text(n: usize) -> whatsapp_rust::waproto::whatsapp::Message {
    whatsapp_rust::waproto::whatsapp::Message { conversation: Some(format!("message {n}")), ..Default::default() }
}

async fn bare_client(
    sim: &Process,
    number: &str,
    backend: Arc<dyn Backend>,
) -> (Arc<Client>, mpsc::Receiver<Notice>, BotHandle) {
    let (tell, mut notices) = mpsc::channel(NOTICES_MAX);
    let bot = Bot::builder()
        .with_backend_arc(backend)
        .with_transport_factory(TokioWebSocketTransportFactory::new().with_url(format!("ws://{}/ws/chat", sim.address)))
        .with_http_client(PlainHttp { sim: sim.address })
        .with_runtime(TokioRuntime)
        .with_event_handler(Ear(tell))
        .with_version(VERSION)
        .skip_history_sync()
        .build()
        .await
        .unwrap();
    let client = bot.client();
    let handle = bot.spawn();
    phone(sim.http(), ADMIN_KEY, number).await;
    let connected = async {
        while let Some(notice) = notices.recv().await {
            match notice {
                Notice::Qr(code) => scan(sim.http(), ADMIN_KEY, number, &code).await,
                Notice::Connected => return,
                Notice::Acknowledged(_) => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, connected).await.unwrap();
    client.wait_for_startup_sync(PATIENCE).await.unwrap();
    (client, notices, handle)
}

/// Sends per second of a host: its HTTP clients send as fast as they are answered, and the clock stops when the last message is
/// acknowledged.
async fn host(sim: &Process, folder: &Path, sends: usize) -> f64 {
    let program = Path::new(env!("CARGO_BIN_EXE_host-under-test"));
    let (data_dir, url) = (folder.join("data").display().to_string(), format!("ws://{}/ws/chat", sim.address));
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", &data_dir, "--sim", &url];
    let host = Process::start(program, &arguments, ADMIN_KEY, &folder.join("host.log")).await;
    host.ready().await;
    let account = Account::create(host.http(), ADMIN_KEY, "Bench").await;
    let mut sessions: Vec<TestSession> = Vec::new();
    for at in 0..SESSIONS {
        sessions.push(account.linked(sim.http(), "Bench", &format!("49163{at:07}")).await);
    }
    let begun = Instant::now();
    let counters: Vec<Arc<Mutex<usize>>> = (0..SESSIONS).map(|_| Arc::default()).collect();
    let mut clients = tokio::task::JoinSet::new();
    for at in 0..SESSIONS * CLIENTS {
        let (account, session) = (account.clone(), sessions[at % SESSIONS].clone());
        let counter = Arc::clone(&counters[at % SESSIONS]);
        clients.spawn(async move {
            loop {
                let n = {
                    let mut next = counter.lock().unwrap();
                    *next += 1;
                    *next - 1
                };
                if n >= sends {
                    return;
                }
                let answer = account.send(&session, &customer(n % CHATS), &format!("message {n}")).await;
                assert_eq!(answer.status, 200, "{answer:?}");
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let all = SESSIONS * sends;
    assert!(until(PATIENCE * 5, async || acknowledged(host.http(), &account.tenant_key).await >= all).await);
    let rate = all as f64 / begun.elapsed().as_secs_f64();
    host.kill().await;
    rate
}

/// Messages that the server took, by the event log.
async fn acknowledged(http: LocalClient, key: &str) -> usize {
    let mut after = 0;
    let mut count = 0;
    loop {
        let path = format!("/switchboard/v1/events?after={after}&limit=500");
        let page: Value = http.json("GET", &path, Some(key), None).await.unwrap().json();
        let events = page["events"].as_array().cloned().unwrap_or_default();
        if events.is_empty() {
            return count;
        }
        count += events.iter().filter(|event| event["type"] == json!("message.acknowledged")).count();
        after = page["next_after"].as_u64().unwrap();
    }
}
