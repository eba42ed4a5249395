//! How many messages a second are accepted durably, as multiples of one transaction per message in the same run.
//!
//! `cargo bench -p switchboard-tests --bench accept` prints one line per number of writers. Every writer accepts one message
//! after the other, each with a durable answer, on a real file. The rounds take turns, so that a disk that is busy with other
//! things slows all of them alike. `BENCH_SECONDS` is the length of a round (2), `BENCH_ROUNDS` how many (3), `BENCH_DIR` the
//! folder, whose disk is what is measured (the system's temporary one). `BENCH_FSYNC=1` also tells what a bare sync costs.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use switchboard_core::clock::Timestamp;
use switchboard_core::records::account::Tenant;
use switchboard_core::records::content::{Content, Extras};
use switchboard_core::records::id::{MessageId, SessionId, TenantId};
use switchboard_core::records::message::{Message, MessageState, Schedule};
use switchboard_core::storage::{MASTER_KEY_BYTES, MasterKey, Storage};
use switchboard_tests::records::{own_key, session};
use tokio::sync::Mutex;

/// Writers at once, as the promise names them.
const WRITERS: [usize; 3] = [1, 64, 1024];
/// Sessions that the writers share, at most.
const SESSIONS_MAX: u64 = 256;
const TENANT: TenantId = TenantId(7);
const NOW: Timestamp = Timestamp(1_750_000_000_000);

/// How a round commits.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// 64 writers, who wait for one another: each message is a transaction of its own.
    OneTransactionPerMessage,
    /// So many writers at once, whose messages share transactions.
    Grouped(usize),
}

/// What a round came to.
struct Round {
    accepts_per_second: f64,
    latencies_us: Vec<u64>,
    messages_per_transaction: f64,
}

fn number_from(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() {
    let seconds = Duration::from_secs(number_from("BENCH_SECONDS", 2));
    let rounds = number_from("BENCH_ROUNDS", 3);
    let parent = std::env::var_os("BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(parent).unwrap();
    if std::env::var_os("BENCH_FSYNC").is_some() {
        say("a write of 4 KiB and its sync", &format!("{:.0} µs", bare_sync_us(folder.path())));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let ways: Vec<Way> = [Way::OneTransactionPerMessage].into_iter().chain(WRITERS.map(Way::Grouped)).collect();
    let mut results: Vec<Vec<Round>> = ways.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for (n, way) in ways.iter().enumerate() {
            let file = folder.path().join(format!("{round}-{n}.redb"));
            results[n].push(runtime.block_on(run(&file, *way, seconds)));
            std::fs::remove_file(file).unwrap();
        }
    }
    let base = median(results[0].iter().map(|round| round.accepts_per_second).collect());
    for (way, rounds) in ways.iter().zip(results) {
        report(*way, rounds, base);
    }
}

fn say(what: &str, figures: &str) {
    println!("{what:<32} {figures}");
}

fn report(way: Way, rounds: Vec<Round>, base: f64) {
    let rate = median(rounds.iter().map(|round| round.accepts_per_second).collect());
    let grouped = median(rounds.iter().map(|round| round.messages_per_transaction).collect());
    let mut latencies: Vec<u64> = rounds.into_iter().flat_map(|round| round.latencies_us).collect();
    latencies.sort_unstable();
    let ms = |percent: usize| latencies[(latencies.len() - 1) * percent / 100] as f64 / 1e3;
    let name = match way {
        Way::OneTransactionPerMessage => "one transaction per message".to_owned(),
        Way::Grouped(writers) => format!("{writers} writers"),
    };
    let (p50, p99) = (ms(50), ms(99));
    let times = rate / base;
    say(
        &name,
        &format!(
            "{rate:>9.0} accepts/s  x{times:<6.1} p50 {p50:>7.2} ms  p99 {p99:>7.2} ms  {grouped:>6.1} messages/transaction"
        ),
    );
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// The median time of a small write and its sync, µs: what no transaction can be faster than.
fn bare_sync_us(folder: &Path) -> f64 {
    let mut file = std::fs::File::create(folder.join("sync")).unwrap();
    let times = (0..200).map(|_| {
        let begun = Instant::now();
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
        begun.elapsed().as_secs_f64() * 1e6
    });
    median(times.collect())
}

async fn run(file: &Path, way: Way, length: Duration) -> Round {
    let storage = Storage::open(file, MasterKey::new([7; MASTER_KEY_BYTES])).await.unwrap();
    let writers = if let Way::Grouped(writers) = way { writers } else { 64 };
    prepare(&storage).await;
    let (ids, turn) = (Arc::new(AtomicU64::new(1)), Arc::new(Mutex::new(())));
    let before = storage.commit_stats();
    let begun = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let (storage, ids, turn) = (storage.clone(), Arc::clone(&ids), Arc::clone(&turn));
            tokio::spawn(async move {
                let session = SessionId(1 + writer as u64 % SESSIONS_MAX);
                let mut latencies = Vec::new();
                while begun.elapsed() < length {
                    let message = message(session, ids.fetch_add(1, Ordering::Relaxed));
                    let asked = Instant::now();
                    let turn = if way == Way::OneTransactionPerMessage { Some(turn.lock().await) } else { None };
                    storage.accept_messages(TENANT, &[message]).await.unwrap();
                    drop(turn);
                    latencies.push(u64::try_from(asked.elapsed().as_micros()).unwrap());
                }
                latencies
            })
        })
        .collect();
    let mut latencies_us = Vec::new();
    for task in tasks {
        latencies_us.extend(task.await.unwrap());
    }
    let took = begun.elapsed().as_secs_f64();
    let after = storage.commit_stats();
    storage.close();
    let accepted = latencies_us.len() as f64;
    let transactions = (after.transactions - before.transactions) as f64;
    if way == Way::OneTransactionPerMessage {
        assert_eq!(accepted, transactions, "what is compared with must not be grouped");
    }
    Round { accepts_per_second: accepted / took, latencies_us, messages_per_transaction: accepted / transactions }
}

async fn prepare(storage: &Storage) {
    let tenant = Tenant {
        id: TENANT,
        name: "Bench".to_owned(),
        active: true,
        plan: "unlimited".to_owned(),
        limits: std::collections::BTreeMap::new(),
        created_at: NOW,
        apis_off: Default::default(),
        hosts: Default::default(),
    };
    storage.create_tenant(&tenant).await.unwrap();
    for id in 1..=SESSIONS_MAX {
        storage.create_session(&session(TENANT, SessionId(id)), &own_key(TENANT, SessionId(id))).await.unwrap();
    }
}

/// A text of ordinary length to one of a thousand chats.
fn message(session: SessionId, n: u64) -> Message {
    Message {
        id: MessageId(n),
        session,
        to: format!("4915100000{:03}@s.whatsapp.net", n % 1000),
        content: Content::Text(format!("Your parcel {n} is on its way. It will be with you tomorrow between 9 and 12.")),
        extras: Extras::default(),
        whatsapp_id: format!("3EB0{n:018X}"),
        schedule: Schedule::default(),
        batch: None,
        state: MessageState::Queued,
        reason: None,
        attempts: 0,
        accepted_at: NOW,
        updated_at: NOW,
        reached: [(MessageState::Queued, NOW)].into(),
        origin: None,
        template: None,
        test: false,
    }
}
