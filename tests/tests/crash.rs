//! Kill -9 of the host at seeded points under traffic: nothing is lost, reordered or shown twice, every webhook comes, no
//! session pairs again, and a responder that counts has counted what it answered, although its versions are swapped all the while.
//!
//! `CRASH_SEED` repeats a run, `CRASH_POINTS` sets how often the host is killed (200 unless set).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use switchboard::app::STORAGE_FILE;
use switchboard::http::{LocalAnswer, LocalClientError};
use switchboard::secrets::master_key_file;
use switchboard_core::clock::{Clock, SystemClock};
use switchboard_core::entropy::{Entropy, SeededEntropy, SystemEntropy};
use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::{KV_PAGE_ENTRIES_MAX, KvStretch};
use switchboard_core::storage::{MasterKey, Storage};
use switchboard_tests::account::{Account, TestSession, phone, received, write};
use switchboard_tests::components::stamped;
use switchboard_tests::patience::{PATIENCE, pause, until};
use switchboard_tests::process::Process;
use switchboard_tests::receiver::{Received, Receiver};

const ADMIN_KEY: &str = "adm_only-for-tests-0123456789";
/// The phones that sessions belong to, and the phones of their customers.
const SESSION_NUMBERS: [&str; 2] = ["491510000001", "491510000002"];
const CUSTOMER_NUMBERS: [&str; 2] = ["491520000001", "491520000002"];
/// The longest life of a host before it is killed: from the middle of its start to well into its traffic.
const LIFE_MS_MAX: u64 = 1200;
/// Pause of a client between two sends.
const SEND_PAUSE: Duration = Duration::from_millis(40);
/// The receiver refuses one webhook of so many, the first time that it comes.
const REFUSED_ONE_IN: u64 = 400;
/// Pause of a phone between two messages.
const WRITE_PAUSE: Duration = Duration::from_millis(120);
/// Versions of the counter, and the pause between two swaps.
const COUNTERS: u16 = 3;
const SWAP_PAUSE: Duration = Duration::from_millis(150);
/// While more than this is on its way nobody writes more: a host that hardly lives sends less than clients can ask for.
const BACKLOG_MAX: usize = 300;

fn number_of(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What was asked and promised while hosts came and went.
#[derive(Default)]
struct Ledger {
    /// WhatsApp ids and texts that were answered "accepted", by the number they went to.
    accepted: Mutex<Vec<(String, String, &'static str)>>,
    /// Ids of what phones wrote, by the phone.
    written: Mutex<Vec<(String, &'static str)>>,
    /// Sends that got no answer, because the host was killed under them.
    unanswered: AtomicU64,
    /// Messages that phones have shown when they were last looked at.
    shown: AtomicUsize,
}

impl Ledger {
    /// Waits until there is room for more on the way.
    async fn room(&self) {
        let backlog = || {
            let asked = self.accepted.lock().unwrap().len() + self.written.lock().unwrap().len();
            asked.saturating_sub(self.shown.load(Ordering::Relaxed))
        };
        while backlog() > BACKLOG_MAX {
            pause(SEND_PAUSE).await;
        }
    }
}

struct Scene {
    folder: PathBuf,
    sim: Process,
    account: Account,
    sessions: Vec<TestSession>,
    receiver: Receiver,
    listen: String,
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_host-under-test"))
}

impl Scene {
    async fn set(folder: &Path) -> (Self, Process) {
        let sim_dir = folder.join("sim").display().to_string();
        let arguments = ["sim", "--listen", "127.0.0.1:0", "--data-dir", &sim_dir];
        let sim = Process::start(program(), &arguments, ADMIN_KEY, &folder.join("sim.log")).await;
        let host = start_host(folder, &sim, "127.0.0.1:0").await;
        host.ready().await;
        let account = Account::create(host.http(), ADMIN_KEY, "Crash").await;
        let receiver = Receiver::that(|request, _| Some((verdict(request), String::new()))).await;
        let events = ["message.received", "message.acknowledged"];
        let hook = json!({ "url": receiver.url("/events"), "events": events, "ordered": true });
        let made = account.post("/switchboard/v1/webhooks", &account.tenant_key, hook).await;
        assert_eq!(made.status, 201, "{made:?}");
        account.auto_reply(json!({ "replies": [{ "keyword": "ping", "reply": "pong" }], "quote": true })).await;
        // What is compiled is kept: swaps under kills are quick then.
        for n in 0..COUNTERS {
            let made = upload_counter(&account, n).await.unwrap();
            assert_eq!(made.status, 201, "{made:?}");
        }
        let mut sessions = Vec::new();
        for number in SESSION_NUMBERS {
            sessions.push(account.linked(sim.http(), "Crash", number).await);
        }
        for number in CUSTOMER_NUMBERS {
            phone(sim.http(), ADMIN_KEY, number).await;
        }
        let listen = host.address.to_string();
        (Self { folder: folder.to_owned(), sim, account, sessions, receiver, listen }, host)
    }
}

/// A responder that keeps how many messages came in each chat, and answers with the number.
async fn upload_counter(account: &Account, n: u16) -> Result<LocalAnswer, LocalClientError> {
    let component = STANDARD.encode(stamped(env!("GUEST_KEEPER"), n));
    // Only the operator can mount a router.
    let wish = json!({
        "name": "counter", "component_base64": component, "mounts": [{ "prefix": "/counter" }], "grants": "asked",
    });
    account.http.json("POST", "/switchboard/v1/plugins", Some(ADMIN_KEY), Some(&wish)).await
}

/// Makes another version of the counter the active one, again and again. Whether one is that was under way when the host was killed,
/// nobody knows, and it does not matter.
async fn swap_for_ever(account: Account, swapped: Arc<AtomicU64>) {
    for n in (0..COUNTERS).cycle() {
        let answer = upload_counter(&account, n).await;
        swapped.fetch_add(u64::from(answer.is_ok_and(|answer| answer.status == 200)), Ordering::Relaxed);
        pause(SWAP_PAUSE).await;
    }
}

async fn start_host(folder: &Path, sim: &Process, listen: &str) -> Process {
    let data_dir = folder.join("data").display().to_string();
    let url = format!("ws://{}/ws/chat", sim.address);
    let config = folder.join("config.toml");
    std::fs::write(&config, "[egress]\nallow = [\"127.0.0.0/8\"]\n").unwrap();
    let config = config.display().to_string();
    let arguments = ["serve", "--config", &config, "--listen", listen, "--data-dir", &data_dir, "--sim", &url];
    Process::start(program(), &arguments, ADMIN_KEY, &folder.join("host.log")).await
}

/// What the receiver answers: now and then a refusal, of what it has not seen before.
fn verdict(request: &Received) -> u16 {
    static REFUSED: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let id = request.header("webhook-id").to_owned();
    let number: u64 = id.rsplit('_').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    let unlucky = number.is_multiple_of(REFUSED_ONE_IN);
    if unlucky && REFUSED.lock().unwrap().get_or_insert_default().insert(id) { 503 } else { 200 }
}

/// Sends texts from a session to a customer for ever, whether or not a host is there.
async fn send_for_ever(account: Account, session: TestSession, to: &'static str, ledger: Arc<Ledger>) {
    for n in 0_u64.. {
        ledger.room().await;
        let text = format!("{} to {to}: {n}", session.id);
        let body = json!({ "to": to, "text": text });
        match account.http.json("POST", "/api/v1/send-message", Some(&session.key), Some(&body)).await {
            Ok(answer) if answer.status == 200 => {
                let id = answer.json()["messageId"].as_str().unwrap().to_owned();
                ledger.accepted.lock().unwrap().push((id, text, to));
            }
            Ok(answer) => assert!(answer.status >= 500, "a send was refused: {answer:?}"),
            Err(_) => drop(ledger.unanswered.fetch_add(1, Ordering::Relaxed)),
        }
        pause(SEND_PAUSE).await;
    }
}

/// Lets a customer write to a session for ever.
async fn write_for_ever(control: switchboard::http::LocalClient, from: &'static str, to: &'static str, ledger: Arc<Ledger>) {
    for n in 0_u64.. {
        ledger.room().await;
        let id = write(control, ADMIN_KEY, from, to, &format!("ping {n}")).await;
        ledger.written.lock().unwrap().push((id, from));
        pause(WRITE_PAUSE).await;
    }
}

/// What phones and the receiver have shown so far: each look reads only what is new.
#[derive(Default)]
struct Shown {
    phones: BTreeMap<&'static str, Vec<Value>>,
    requests: usize,
    /// WhatsApp ids that the receiver was told of, with the event type.
    told: HashSet<(String, String)>,
}

impl Shown {
    async fn look(&mut self, scene: &Scene, ledger: &Ledger) {
        for number in CUSTOMER_NUMBERS {
            let all = self.phones.entry(number).or_default();
            loop {
                let after = all.last().map_or(0, |message| message["n"].as_u64().unwrap());
                let page = received(scene.sim.http(), ADMIN_KEY, number, after, 0).await;
                if page.is_empty() {
                    break;
                }
                all.extend(page);
            }
        }
        for request in scene.receiver.since(self.requests) {
            let event = request.json();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            self.told.insert((text(&event["type"]), text(&event["data"]["whatsapp_id"])));
            self.requests += 1;
        }
        ledger.shown.store(self.phones.values().map(Vec::len).sum(), Ordering::Relaxed);
    }

    fn is_told(&self, event: &str, id: &str) -> bool {
        self.told.contains(&(event.to_owned(), id.to_owned()))
    }

    /// What is still missing: accepted messages that no phone shows, written ones that have no reply, and webhooks.
    fn missing(&self, ledger: &Ledger) -> BTreeSet<String> {
        let mut missing = BTreeSet::new();
        for (number, shown) in &self.phones {
            let ids: HashSet<&str> = shown.iter().filter_map(|message| message["id"].as_str()).collect();
            let answered: HashSet<&str> = shown.iter().filter_map(|message| message["quoted_id"].as_str()).collect();
            for (id, _, to) in ledger.accepted.lock().unwrap().iter().filter(|(_, _, to)| to == number) {
                if !ids.contains(id.as_str()) {
                    missing.insert(format!("accepted {id} for {to}"));
                }
                if !self.is_told("message.acknowledged", id) {
                    missing.insert(format!("webhook of accepted {id} for {to}"));
                }
            }
            for (id, from) in ledger.written.lock().unwrap().iter().filter(|(_, from)| from == number) {
                if !answered.contains(id.as_str()) {
                    missing.insert(format!("reply to {id} of {from}"));
                }
                if !self.is_told("message.received", id) {
                    missing.insert(format!("webhook of {id} of {from}"));
                }
            }
            let written = ledger.written.lock().unwrap().iter().filter(|(_, from)| from == number).count();
            let counted = counted(shown).len();
            if counted < written {
                missing.insert(format!("{} numbers for {number}", written - counted));
            }
        }
        missing
    }
}

/// The numbers that a phone was answered with, in the order in which they came.
fn counted(shown: &[Value]) -> Vec<u64> {
    let text = |message: &Value| message["text"].as_str().and_then(|text| text.parse().ok());
    shown.iter().filter_map(text).collect()
}

/// Each chat got every number once, in order, and the last one is what the plugin keeps.
async fn counts_are_what_was_answered(scene: &Scene, shown: &Shown, seed: u64) {
    let data_dir = scene.folder.join("data");
    let key = std::fs::read_to_string(master_key_file(&data_dir)).unwrap();
    let storage = Storage::open(&data_dir.join(STORAGE_FILE), MasterKey::parse(&key).unwrap()).await.unwrap();
    let tenant = TenantId(scene.account.tenant);
    let kv = storage.kv(tenant, "operator/counter", u64::MAX);
    let stretch = KvStretch { begin: String::new(), end: None, limit: KV_PAGE_ENTRIES_MAX, reverse: false };
    let page = kv.scan(&stretch, None, SystemClock.now()).await.unwrap();
    let mut kept: Vec<u64> =
        page.entries.iter().map(|entry| String::from_utf8_lossy(&entry.value.bytes).parse().unwrap()).collect();
    let mut answered = Vec::new();
    for (number, messages) in &shown.phones {
        let counted = counted(messages);
        let expected: Vec<u64> = (1..=counted.len() as u64).collect();
        assert_eq!(counted, expected, "seed {seed}: what +{number} was answered");
        answered.push(counted.len() as u64);
    }
    kept.sort_unstable();
    answered.sort_unstable();
    assert_eq!(kept, answered, "seed {seed}: what is kept, and what was answered");
}

/// No text and no reply stands on a phone twice, under whatever id.
fn nothing_twice(shown: &Shown) {
    for (number, messages) in &shown.phones {
        let mut seen = BTreeMap::new();
        for message in messages {
            let key = match message["quoted_id"].as_str() {
                Some(quoted) => format!("reply to {quoted}"),
                None => message["text"].as_str().unwrap().to_owned(),
            };
            let before = seen.insert(key.clone(), message["id"].clone());
            assert!(before.is_none(), "+{number} shows {key:?} as {before:?} and as {}", message["id"]);
        }
    }
}

/// What a phone shows of one session's texts is in the order in which they were accepted.
fn nothing_out_of_order(shown: &Shown, seed: u64) {
    for (number, messages) in &shown.phones {
        let mut last: BTreeMap<String, (u64, Value)> = BTreeMap::new();
        for message in messages {
            let text = message["text"].as_str().unwrap_or_default();
            let Some((from, n)) = text.rsplit_once(": ") else { continue };
            let n: u64 = n.parse().unwrap();
            if let Some((before, id)) = last.insert(from.to_owned(), (n, message["id"].clone())) {
                assert!(
                    before < n,
                    "seed {seed}: +{number} shows {text:?} ({}) after number {before} ({id})",
                    message["id"]
                );
            }
        }
    }
}

/// Of each chat the webhooks came in the order of events, repetitions left out; how many repetitions there were.
fn webhooks_in_order(scene: &Scene, seed: u64) -> usize {
    let mut seen = HashSet::new();
    let mut last: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut repeated = 0;
    for request in scene.receiver.all() {
        if !seen.insert(request.header("webhook-id").to_owned()) {
            repeated += 1;
            continue;
        }
        let data = &request.json()["data"];
        let n = data["n"].as_u64().unwrap();
        let before = last.insert((data["session_id"].to_string(), data["chat"].to_string()), n);
        assert!(before.is_none_or(|before| before < n), "seed {seed}: event {n} came after event {before:?}: {data}");
    }
    repeated
}

/// Messages that one side could not open and asked for again, as the host's and the network's logs tell.
fn count_unopened(scene: &Scene) -> (usize, usize) {
    let lines = |name: &str, words: &str| {
        let log = std::fs::read_to_string(scene.folder.join(name)).unwrap();
        log.lines().filter(|line| line.contains(words)).count()
    };
    (lines("host.log", "failed to decrypt and has no group content"), lines("sim.log", "a phone cannot open a message"))
}

/// Resends in the network's journal: how many ciphertexts came again under an id that was there before.
fn count_resends(scene: &Scene) -> (usize, usize) {
    let journal = std::fs::read_to_string(scene.folder.join("sim/journal.jsonl")).unwrap();
    let mut taken: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in journal.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let key = (entry["from"].to_string(), entry["id"].to_string());
        *taken.entry(key).or_default() += 1;
    }
    let resent = taken.values().filter(|times| **times > 1).map(|times| times - 1).sum();
    (taken.len(), resent)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_at_any_point_loses_nothing_and_repeats_nothing() {
    let seed = number_of("CRASH_SEED", SystemEntropy.next_u64());
    let points = number_of("CRASH_POINTS", 200);
    println!("CRASH_SEED={seed} CRASH_POINTS={points}");
    let entropy = SeededEntropy::new(seed);
    let folder = tempfile::tempdir().unwrap();
    let (scene, mut host) = Scene::set(folder.path()).await;
    let ledger = Arc::<Ledger>::default();
    let mut traffic = tokio::task::JoinSet::new();
    for (at, session) in scene.sessions.iter().enumerate() {
        traffic.spawn(send_for_ever(scene.account.clone(), session.clone(), CUSTOMER_NUMBERS[at], Arc::clone(&ledger)));
        traffic.spawn(write_for_ever(scene.sim.http(), CUSTOMER_NUMBERS[at], SESSION_NUMBERS[at], Arc::clone(&ledger)));
    }
    let swapped = Arc::<AtomicU64>::default();
    traffic.spawn(swap_for_ever(scene.account.clone(), Arc::clone(&swapped)));
    let mut shown = Shown::default();
    for _ in 0..points {
        shown.look(&scene, &ledger).await;
        pause(Duration::from_millis(entropy.next_u64() % LIFE_MS_MAX)).await;
        host.kill().await;
        assert!(traffic.try_join_next().is_none(), "a client broke down");
        host = start_host(&scene.folder, &scene.sim, &scene.listen).await;
    }
    traffic.shutdown().await;
    // What waits grows with the kills, and a host that lives sends it.
    let patience = PATIENCE * 10 + Duration::from_secs(points);
    let settled = until(patience, async || {
        shown.look(&scene, &ledger).await;
        shown.missing(&ledger).is_empty()
    });
    let settled = settled.await;
    let kept = folder.keep();
    if !settled {
        let missing = shown.missing(&ledger);
        panic!("seed {seed}: after {points} kills these are missing (see {}): {missing:#?}", kept.display());
    }
    nothing_twice(&shown);
    nothing_out_of_order(&shown, seed);
    let repeated = webhooks_in_order(&scene, seed);
    for session in &scene.sessions {
        scene.account.wait_for(session, "connected").await;
    }
    let (messages, resent) = count_resends(&scene);
    let (accepted, written) = (ledger.accepted.lock().unwrap().len(), ledger.written.lock().unwrap().len());
    let unanswered = ledger.unanswered.load(Ordering::Relaxed);
    println!("{points} kills: {accepted} accepted and shown once, {written} answered once, {unanswered} sends cut off");
    let swapped = swapped.load(Ordering::Relaxed);
    println!("the counter was swapped {swapped} times");
    assert!(swapped > points / 10, "seed {seed}: hardly a version was swapped");
    println!("the network took {messages} messages and {resent} resends, each under its first id");
    let (by_host, by_phones) = count_unopened(&scene);
    assert_eq!((by_host, by_phones), (0, 0), "seed {seed}: messages that the host and that phones could not open");
    println!("the receiver got {} webhooks, {repeated} of them again under their first id", scene.receiver.all().len());
    assert_eq!(host.terminate().await, Some(0), "SIGTERM must end the host in order");
    counts_are_what_was_answered(&scene, &shown, seed).await;
    std::fs::remove_dir_all(kept).unwrap();
}
