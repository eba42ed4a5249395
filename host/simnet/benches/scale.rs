//! What thousands of devices cost: memory of each one that is connected and idle, and messages relayed in a second.
//!
//! The network runs in a process of its own, so that its memory can be told from the clients'. `SCALE_DEVICES` (2,000),
//! `SCALE_PAIRS` (200 talk to each other) and `SCALE_SECONDS` (5) set the size; `SCALE_DATA_DIR` makes it write to disk.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench stops at the first surprise and says what it found"
)]

#[path = "../tests/common/mod.rs"]
#[expect(dead_code, reason = "the tests ask more of the client than the bench does")]
mod common;

use std::env;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde_json::json;
use switchboard_simnet::{SimConfig, SimNet};
use tokio::time::{Instant, timeout};

use common::{ADMIN_KEY, Device, Wire, attribute, confirmation, control, link};

/// Set for the process that runs the network.
const ROLE: &str = "SCALE_ROLE";
/// Devices that are linked at the same time.
const LINKED_AT_ONCE: usize = 16;
/// Messages of one device that are on their way at the same time.
const WINDOW: u64 = 4;

fn number(variable: &str, otherwise: usize) -> usize {
    env::var(variable).map_or(otherwise, |value| value.parse().unwrap())
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if env::var(ROLE).is_ok() {
        runtime.block_on(run_network());
    } else {
        runtime.block_on(measure());
    }
}

/// Runs the network until its input ends.
async fn run_network() {
    let config = SimConfig {
        data_dir: env::var_os("SCALE_DATA_DIR").map(Into::into),
        tls_listen: None,
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        admin_key: ADMIN_KEY.to_owned(),
    };
    let sim = SimNet::start(config).await.unwrap();
    println!("{}", sim.local_addr());
    std::io::stdout().flush().unwrap();
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0]));
    ended.await.unwrap().unwrap();
    sim.shutdown().await;
}

fn start_network() -> (Child, SocketAddr) {
    let mut child = Command::new(env::current_exe().unwrap())
        .env(ROLE, "network")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().parse().unwrap())
}

/// The memory of a process that is not a file's, in KiB.
fn memory_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn measure() {
    let (devices, pairs) = (number("SCALE_DEVICES", 2_000), number("SCALE_PAIRS", 200));
    let seconds = number("SCALE_SECONDS", 5);
    let (mut network, address) = start_network();
    let before = memory_kib(network.id());
    let begun = Instant::now();
    let linked: Vec<Device> = stream::iter(0..devices)
        .map(|n| async move { link(address, &format!("1555{n:07}")).await })
        .buffered(LINKED_AT_ONCE)
        .collect()
        .await;
    let offline = memory_kib(network.id());
    let per_device = |kib: u64| kib as f64 / devices as f64;
    println!("linked {devices} devices in {:.1} s", begun.elapsed().as_secs_f64());
    println!("linked, not connected: {:.1} KiB a device, the phone included", per_device(offline - before));
    let begun = Instant::now();
    let wires: Vec<(Device, Wire)> = stream::iter(linked)
        .map(|device| async move {
            let wire = device.connect(address).await;
            (device, wire)
        })
        .buffered(LINKED_AT_ONCE)
        .collect()
        .await;
    println!("connected them in {:.1} s", begun.elapsed().as_secs_f64());
    let idle = memory_kib(network.id());
    println!("connected and idle:    {:.1} KiB more a device", per_device(idle.saturating_sub(offline)));
    let used = processor_s(network.id());
    let relayed = relay(wires, pairs, Duration::from_secs(u64::try_from(seconds).unwrap())).await;
    println!("relayed {:.0} messages a second between {pairs} pairs", relayed as f64 / seconds as f64);
    let each_us = (processor_s(network.id()) - used) * 1e6 / relayed as f64;
    println!("with {each_us:.0} µs of the network's processor time for each, its receipt and the acks included");
    println!("afterwards:            {:.1} KiB more a device", per_device(memory_kib(network.id()).saturating_sub(offline)));
    println!("{}", control(address, "GET", "stats", &json!({})).await);
    drop(network.stdin.take());
    network.wait().unwrap();
}

/// The processor time that a process has used, in seconds. The kernel counts it in hundredths.
fn processor_s(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    ticks as f64 / 100.0
}

/// Lets pairs talk, each device with some messages on their way, and counts those that were confirmed by their readers.
async fn relay(wires: Vec<(Device, Wire)>, pairs: usize, how_long: Duration) -> u64 {
    let confirmed = Arc::new(AtomicU64::new(0));
    let until = Instant::now() + how_long;
    let mut talks = Vec::new();
    let mut rest = wires.into_iter();
    for _ in 0..pairs {
        let (Some((ann, ann_wire)), Some((bob, bob_wire))) = (rest.next(), rest.next()) else {
            break;
        };
        let (ann, bob) = (Arc::new(ann), Arc::new(bob));
        talks.push(tokio::spawn(talk(Arc::clone(&bob), ann_wire, until, Arc::clone(&confirmed))));
        talks.push(tokio::spawn(talk(ann, bob_wire, until, Arc::clone(&confirmed))));
    }
    // The others stay connected until the end.
    let idle: Vec<_> = rest.collect();
    for talk in talks {
        talk.await.unwrap();
    }
    drop(idle);
    confirmed.load(Ordering::Relaxed)
}

async fn talk(peer: Arc<Device>, mut wire: Wire, until: Instant, confirmed: Arc<AtomicU64>) {
    let mut sent = 0;
    for _ in 0..WINDOW {
        sent += 1;
        wire.send(&Device::message(&peer, &format!("M{sent}"))).await;
    }
    while let Ok(Some(node)) = timeout(until.saturating_duration_since(Instant::now()), wire.next()).await {
        if let Some(answer) = confirmation(&node) {
            wire.send(&answer).await;
        }
        if node.tag == "receipt" && attribute(&node, "type").is_empty() {
            confirmed.fetch_add(1, Ordering::Relaxed);
            sent += 1;
            wire.send(&Device::message(&peer, &format!("M{sent}"))).await;
        }
    }
}
