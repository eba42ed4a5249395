//! What a neighbour notices of the hostile suite: its calls while nobody else calls, and while a case goes on, window by window in
//! turns. A call is timed from without, as one that comes over a connection: from when a thread of its own asks until it has the answer.
//!
//! `cargo bench -p switchboard-tests --features sim --bench hostile` prints a line for each case: how it ended, the neighbour's
//! p50 and p99 alone, its p99 meanwhile, and the ratio of the two. Each is the median of what the windows gave: a machine that others
//! share has bad moments of its own, in windows of either kind. `BENCH_CASES=word` takes only cases whose name has the word,
//! `BENCH_ROUNDS` is how many pairs of windows there are (5), `BENCH_ATTACKERS` how many calls of a case go on at once (8).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use switchboard_core::flow::responder_worker::RunTry;
use switchboard_core::records::id::TenantId;
use switchboard_runtime::{ClassSettings, Compiler, LoadedPlugin, Outcome, Owner, Runtime, RuntimeSettings};
use switchboard_tests::components::bytes;
use switchboard_tests::hostile::{ATTACKER, Case, Ready, THEMES, cases, context};
use switchboard_tests::records::heard;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The one that the shipped program has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NEIGHBOUR: TenantId = TenantId(8);
/// How long one window is.
const WINDOW: Duration = Duration::from_millis(300);
/// Between two calls of the neighbour.
const PAUSE: Duration = Duration::from_micros(300);
/// Longest compilation: what takes longer is refused, and there are some of those.
const COMPILE_WAIT: Duration = Duration::from_secs(2);
/// Address space of a compilation, bytes.
const COMPILE_BYTES: u64 = 2 << 30;
/// What the neighbour's p99 may grow to.
const RATIO_MAX: f64 = 1.5;
const CONFIG: &str = r#"{"replies":[{"keyword":"ping","reply":"pong"}]}"#;

fn number_from(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() {
    let executor = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // As a task: the thread of `block_on` is none of those that calls share.
    executor.block_on(async { tokio::spawn(measure()).await.unwrap() });
}

/// A runtime, who attacks it, and who has to live with that.
struct Bench {
    runtime: Arc<Runtime>,
    guest: Arc<LoadedPlugin>,
    neighbour: Arc<LoadedPlugin>,
    rounds: usize,
    attackers: usize,
}

/// What one case did to the neighbour; µs.
struct Figures {
    how: String,
    p50_alone: f64,
    p99_alone: f64,
    p99_during: f64,
}

impl Figures {
    fn ratio(&self) -> f64 {
        self.p99_during / self.p99_alone
    }
}

/// A runtime, the misbehaving guest and the neighbour's plugin in it.
async fn open(settings: RuntimeSettings) -> (Arc<Runtime>, Arc<LoadedPlugin>, Arc<LoadedPlugin>) {
    let runtime = Arc::new(Runtime::without_host(settings).unwrap());
    let load = async |tenant, path, config| {
        Arc::new(runtime.load(&bytes(path), Owner::Tenant, &context(tenant, config)).await.unwrap())
    };
    let guest = load(ATTACKER, env!("GUEST_HOSTILE"), "{}").await;
    let neighbour = load(NEIGHBOUR, env!("PLUGIN_AUTO_REPLY"), CONFIG).await;
    (Arc::clone(&runtime), guest, neighbour)
}

async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let (mut small, mut large) = (ClassSettings::small(), ClassSettings::large());
    for compile in [&mut small.compile, &mut large.compile] {
        (compile.wait, compile.address_bytes) = (COMPILE_WAIT, COMPILE_BYTES);
    }
    let (cache_folder, compiler) = (Some(folder.path().to_owned()), Compiler::InProcess);
    let settings = RuntimeSettings { small, large, compiler, cache_folder, cache_key: [7; 32], remembered_max: 0 };
    // Those that live here are compiled before, however long it takes.
    open(settings.clone()).await;
    let compiler = Compiler::Child { program: env!("CARGO_BIN_EXE_host-under-test").into() };
    let (runtime, guest, neighbour) = open(RuntimeSettings { compiler, ..settings }).await;
    let (rounds, attackers) = (number_from("BENCH_ROUNDS", 5), number_from("BENCH_ATTACKERS", 8));
    let bench = Bench { runtime, guest, neighbour, rounds, attackers };
    println!("{:<88} {:<38} {:>9} {:>9} {:>9} {:>6}", "case", "outcome", "p50 alone", "p99 alone", "p99 then", "ratio");
    let word = std::env::var("BENCH_CASES").unwrap_or_default();
    let mut ratios = Vec::new();
    for case in THEMES.into_iter().flat_map(cases).filter(|case| case.name.contains(&word)) {
        let figures = bench.play(&case).await;
        let Figures { how, p50_alone, p99_alone, p99_during } = &figures;
        let ratio = figures.ratio();
        println!("{:<88} {how:<38} {p50_alone:>9.0} {p99_alone:>9.0} {p99_during:>9.0} {ratio:>6.2}", case.name);
        assert_eq!(how, case.expected(), "{}", case.name);
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    let over = ratios.iter().filter(|ratio| **ratio > RATIO_MAX).count();
    let (median, worst) = (ratios.get(ratios.len() / 2), ratios.last());
    println!("{} cases, {over} of them over {RATIO_MAX}; median {median:.2?}, worst {worst:.2?}", ratios.len());
}

impl Bench {
    async fn play(&self, case: &Case) -> Figures {
        let ready = Arc::new(case.ready(&self.runtime, &self.guest).await);
        let how = ready.go(&self.runtime).await.how;
        let (mut alone, mut during) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            alone.push(Sorted::new(self.window().await));
            let going_on = self.attack(&ready).await;
            during.push(Sorted::new(self.window().await));
            going_on.end().await;
        }
        let median = |windows: &[Sorted], part| Sorted::new(windows.iter().map(|window| window.at(part)).collect()).at(0.5);
        Figures { how, p50_alone: median(&alone, 0.5), p99_alone: median(&alone, 0.99), p99_during: median(&during, 0.99) }
    }

    /// How long each call of the neighbour takes, one after the other, µs.
    async fn window(&self) -> Vec<f64> {
        let (runtime, plugin, workers) = (Arc::clone(&self.runtime), Arc::clone(&self.neighbour), Handle::current());
        let client = tokio::task::spawn_blocking(move || {
            let (mut took, window) = (Vec::new(), Instant::now());
            while window.elapsed() < WINDOW {
                let (runtime, plugin) = (Arc::clone(&runtime), Arc::clone(&plugin));
                let begun = Instant::now();
                let call = workers.spawn(async move { ping(&runtime, &plugin).await });
                workers.block_on(call).unwrap();
                took.push(begun.elapsed().as_secs_f64() * 1e6);
                #[expect(clippy::disallowed_methods, reason = "the pace of a client that has a thread of its own")]
                std::thread::sleep(PAUSE);
            }
            took
        });
        client.await.unwrap()
    }

    /// Lets the case go on until it is ended. Uploads go one at a time, as a host lets those of one account.
    async fn attack(&self, ready: &Arc<Ready>) -> Attack {
        let attackers = if matches!(**ready, Ready::Upload(..)) { 1 } else { self.attackers };
        let over = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for _ in 0..attackers {
            let (ready, runtime, over) = (Arc::clone(ready), Arc::clone(&self.runtime), Arc::clone(&over));
            tasks.spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    ready.go(&runtime).await;
                    tokio::task::yield_now().await;
                }
            });
        }
        tokio::task::yield_now().await;
        Attack { over, tasks }
    }
}

/// One call of the neighbour, which must be answered.
async fn ping(runtime: &Runtime, plugin: &LoadedPlugin) {
    let (context, run, event) = (context(NEIGHBOUR, CONFIG), RunTry { id: "run-1", attempt: 1 }, heard("ping"));
    let called = runtime.respond(plugin, &context, &run, &event).await;
    assert!(matches!(called.outcome, Outcome::Reply(_)), "the neighbour: {:?}", called.outcome);
}

/// An attack that goes on.
struct Attack {
    over: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Attack {
    /// Cuts off what is still under way.
    async fn end(mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.tasks.shutdown().await;
    }
}

/// Durations in order.
struct Sorted(Vec<f64>);

impl Sorted {
    fn new(mut durations: Vec<f64>) -> Self {
        durations.sort_by(f64::total_cmp);
        Self(durations)
    }

    fn at(&self, part: f64) -> f64 {
        let last = self.0.len() - 1;
        self.0[(last as f64 * part) as usize]
    }
}
