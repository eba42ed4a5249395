//! Stopping a host in order, as a process of its own: under traffic, under a request that never ends, and in a hurry.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use switchboard::http::LocalClient;
use switchboard_tests::account::{Account, TestSession, phone, received, write};
use switchboard_tests::patience::{PATIENCE, pause, until};
use switchboard_tests::process::Process;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ADMIN_KEY: &str = "adm_only-for-tests-0123456789";
const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";
/// How often a host is stopped under traffic.
const STOPS: usize = 3;
/// Messages that are accepted before each stop.
const BEFORE_A_STOP: usize = 8;
/// The pace of traffic.
const PACE: Duration = Duration::from_millis(20);
/// The default of `stop_wait_seconds`, within which a host under traffic has to end.
const STOP_WAIT: Duration = Duration::from_secs(20);

struct Scene {
    folder: tempfile::TempDir,
    sim: Process,
}

impl Scene {
    async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sim_dir = folder.path().join("sim").display().to_string();
        let arguments = ["sim", "--listen", "127.0.0.1:0", "--data-dir", &sim_dir];
        let sim = Process::start(program(), &arguments, ADMIN_KEY, &folder.path().join("sim.log")).await;
        Self { folder, sim }
    }

    fn config(&self, text: &str) -> PathBuf {
        let file = self.folder.path().join("switchboard.toml");
        std::fs::write(&file, text).unwrap();
        file
    }

    async fn host(&self, config: &Path, listen: &str) -> Process {
        let (data_dir, config) = (self.folder.path().join("data").display().to_string(), config.display().to_string());
        let url = format!("ws://{}/ws/chat", self.sim.address);
        let arguments = ["serve", "--config", &config, "--listen", listen, "--data-dir", &data_dir, "--sim", &url];
        let host = Process::start(program(), &arguments, ADMIN_KEY, &self.folder.path().join("host.log")).await;
        host.ready().await;
        host
    }

    async fn shown(&self) -> Vec<Value> {
        received(self.sim.http(), ADMIN_KEY, CUSTOMER, 0, 0).await
    }
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_host-under-test"))
}

/// A request whose body never comes to its end, when the host has begun to read it.
async fn endless_request(host: &Process) -> TcpStream {
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    let head = format!(
        "POST /switchboard/v1/tenants HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN_KEY}\r\n\
         content-length: 100\r\nexpect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 12];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut go_on)).await.unwrap().unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100");
    stream
}

/// Sends texts until it is stopped; what was accepted goes into the ledger.
async fn send_for_ever(account: Account, session: TestSession, ledger: Arc<Mutex<Vec<(String, String)>>>) {
    for n in 0_u64.. {
        let text = format!("parcel {n}");
        let body = json!({ "to": CUSTOMER, "text": text });
        let sent = account.http.json("POST", "/api/v1/send-message", Some(&session.key), Some(&body)).await;
        // A host that stops refuses, or is not there.
        if let Ok(answer) = sent
            && answer.status == 200
        {
            ledger.lock().unwrap().push((answer.json()["messageId"].as_str().unwrap().to_owned(), text));
        }
        pause(PACE).await;
    }
}

/// Lets the customer write until it is stopped.
async fn write_for_ever(control: LocalClient, written: Arc<Mutex<Vec<String>>>) {
    for n in 0_u64.. {
        let id = write(control, ADMIN_KEY, CUSTOMER, SHOP, &format!("question {n}")).await;
        written.lock().unwrap().push(id);
        pause(PACE).await;
    }
}

/// The ids of what came in, as events.
async fn heard(account: &Account) -> Vec<String> {
    let (mut heard, mut after) = (Vec::new(), 0);
    loop {
        let page = account.get(&format!("/switchboard/v1/events?after={after}"), &account.tenant_key).await.json();
        let events = page["events"].as_array().unwrap();
        if events.is_empty() {
            return heard;
        }
        after = page["next_after"].as_u64().unwrap();
        let messages = events.iter().filter(|event| event["type"] == "message.received");
        heard.extend(messages.map(|event| event["data"]["whatsapp_id"].as_str().unwrap().to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_under_traffic_stops_in_time_loses_nothing_and_goes_on_with_the_next_start() {
    let scene = Scene::set().await;
    let config = scene.config("");
    let mut host = scene.host(&config, "127.0.0.1:0").await;
    let listen = host.address.to_string();
    let account = Account::create(host.http(), ADMIN_KEY, "Shop").await;
    let session = account.linked(scene.sim.http(), "Shop", SHOP).await;
    phone(scene.sim.http(), ADMIN_KEY, CUSTOMER).await;

    let (accepted, written) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<Vec<_>>>::default());
    let mut traffic = tokio::task::JoinSet::new();
    traffic.spawn(send_for_ever(account.clone(), session.clone(), Arc::clone(&accepted)));
    traffic.spawn(write_for_ever(scene.sim.http(), Arc::clone(&written)));
    for stop in 1..=STOPS {
        let before = accepted.lock().unwrap().len();
        let flows = until(PATIENCE, async || accepted.lock().unwrap().len() >= before + BEFORE_A_STOP).await;
        assert!(flows, "stop {stop}: nothing was accepted");
        let ended = tokio::time::timeout(STOP_WAIT, host.terminate()).await;
        assert_eq!(ended.unwrap_or_else(|_| panic!("stop {stop} took longer than {STOP_WAIT:?}")), Some(0));
        host = scene.host(&config, &listen).await;
    }
    traffic.shutdown().await;

    account.wait_for(&session, "connected").await;
    let (accepted, written) = (accepted.lock().unwrap().clone(), written.lock().unwrap().clone());
    let mut missing = Vec::new();
    let arrived = until(PATIENCE, async || {
        let shown = scene.shown().await;
        missing = accepted.iter().filter(|(id, _)| !shown.iter().any(|message| message["id"] == **id)).cloned().collect();
        missing.is_empty()
    });
    assert!(arrived.await, "accepted and never shown: {missing:?}");
    let shown = scene.shown().await;
    let places: Vec<usize> = accepted
        .iter()
        .map(|(id, text)| {
            let places: Vec<_> = (0..).zip(&shown).filter(|(_, message)| message["id"] == **id).map(|(n, _)| n).collect();
            assert_eq!(places.len(), 1, "{text} is shown {} times", places.len());
            places[0]
        })
        .collect();
    assert!(places.is_sorted(), "the order of acceptance is kept: {places:?}");

    let mut unheard = Vec::new();
    let arrived = until(PATIENCE, async || {
        let heard = heard(&account).await;
        unheard = written.iter().filter(|id| heard.iter().filter(|heard| heard == id).count() != 1).cloned().collect();
        unheard.is_empty()
    });
    assert!(arrived.await, "written and not one event each: {unheard:?}");
    assert_eq!(host.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_never_ends_is_cut_off_when_the_wait_is_over() {
    let scene = Scene::set().await;
    let host = scene.host(&scene.config("stop_wait_seconds = 2\n"), "127.0.0.1:0").await;
    let _open = endless_request(&host).await;
    assert_eq!(host.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_stops_at_once() {
    let scene = Scene::set().await;
    // Alone it would wait for minutes.
    let host = scene.host(&scene.config("stop_wait_seconds = 600\n"), "127.0.0.1:0").await;
    let _open = endless_request(&host).await;
    let http = host.http();
    host.ask_to_stop().await;
    let refuses = async || http.json("GET", "/healthz", None, None).await.is_err();
    assert!(until(PATIENCE, refuses).await, "it never began to stop");
    host.ask_to_stop().await;
    assert_eq!(host.ended().await, Some(1));
    // Nothing is damaged by it.
    let host = scene.host(&scene.config(""), "127.0.0.1:0").await;
    assert_eq!(host.terminate().await, Some(0));
}
