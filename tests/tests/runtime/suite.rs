//! The hostile suite against the runtime: every case ends as its name says, whether it is waited for or cut off, and its neighbour,
//! who has the same plugins under the same name, finds nothing of it.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use switchboard_core::flow::responder_worker::{Command, RunTry};
use switchboard_core::records::content::Content;
use switchboard_core::records::id::TenantId;
use switchboard_runtime::verbs::Verbs;
use switchboard_runtime::{CallLimits, Compiler, LoadedPlugin, Outcome, Owner, Runtime, RuntimeSettings};
use switchboard_tests::hostile::{ATTACKER, Case, Ended, Ready, THEMES, Theme, cases, context, sniffer};
use switchboard_tests::records::heard;
use tempfile::TempDir;
use tokio::task::coop::unconstrained;

use crate::stage::{FakeVerbs, component, limits, settings};

/// Fewer than this would be no suite.
const CASES_MIN: usize = 60;
const NEIGHBOUR: TenantId = TenantId(8);
/// What the neighbour asks its keeper: everything that it kept, and how much that is.
const ALL_KEPT: &str = r#"[{"scan":["",null,9,false]},"usage"]"#;

/// Longest compilation: those that are cut off take far longer.
const COMPILE_WAIT: Duration = Duration::from_secs(2);

/// A runtime, the misbehaving guest in it, and a neighbour.
struct Suite {
    runtime: Runtime,
    verbs: Arc<FakeVerbs>,
    limits: CallLimits,
    guest: Arc<LoadedPlugin>,
    keeper: LoadedPlugin,
    sniffer: LoadedPlugin,
    _folder: TempDir,
}

impl Suite {
    async fn start(compiler: Compiler) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(4);
        // Floods of host calls come to the limit of calls, not to that of time, also on a busy machine.
        settings.small.limits = CallLimits { cpu: Duration::from_millis(500), wall: Duration::from_secs(6), ..limits() };
        (settings.small.compile.wait, settings.small.compile.address_bytes) = (COMPILE_WAIT, 2 << 30);
        settings.large.compile = settings.small.compile;
        settings.cache_folder = Some(folder.path().to_owned());
        if matches!(compiler, Compiler::Child { .. }) {
            // Those that live here are not what is to be cut off: they are compiled before.
            Self::open(settings.clone(), tempfile::tempdir().unwrap()).await;
        }
        Self::open(RuntimeSettings { compiler, ..settings }, folder).await
    }

    async fn open(settings: RuntimeSettings, folder: TempDir) -> Self {
        let limits = settings.small.limits.clone();
        let verbs = Arc::new(FakeVerbs::default());
        let shared: Arc<dyn Verbs> = verbs.clone();
        let runtime = Runtime::new(settings, shared).unwrap();
        let load = async |tenant, bytes: Vec<u8>| runtime.load(&bytes, Owner::Tenant, &context(tenant, "{}")).await.unwrap();
        let guest = Arc::new(load(ATTACKER, component(env!("GUEST_HOSTILE"))).await);
        let keeper = load(NEIGHBOUR, component(env!("GUEST_KEEPER"))).await;
        let sniffer = load(NEIGHBOUR, sniffer()).await;
        Self { verbs, limits, guest, keeper, sniffer, runtime, _folder: folder }
    }

    /// The neighbour is answered as ever, and finds nothing that is not its own.
    async fn assert_neighbour_is_well(&self, case: &str) {
        let kept = self.neighbours(&self.keeper, ALL_KEPT).await;
        assert_eq!(kept, ["; 0 of 100000"], "after {case}");
        assert!(self.neighbours(&self.sniffer, "").await.is_empty(), "after {case}");
    }

    async fn neighbours(&self, plugin: &LoadedPlugin, text: &str) -> Vec<String> {
        let run = RunTry { id: "run-1", attempt: 1 };
        let called = self.runtime.respond(plugin, &context(NEIGHBOUR, "{}"), &run, &heard(text)).await;
        assert!(called.report.log.is_empty(), "{:?}", called.report.log);
        let Outcome::Reply(answer) = called.outcome else { panic!("the neighbour: {:?}", called.outcome) };
        let said = |command: Command| match command.content {
            Content::Text(text) => text,
            other => panic!("{other:?}"),
        };
        answer.commands.into_iter().map(said).collect()
    }

    /// Plays one case; what is wrong with how it ended, if anything.
    async fn play(&self, case: &Case) -> Option<String> {
        let ready = case.ready(&self.runtime, &self.guest).await;
        self.cut_off(&ready).await;
        let ended = ready.go(&self.runtime).await;
        self.assert_neighbour_is_well(case.name).await;
        self.assert_bounded(case, &ended);
        let as_named = ended.how == case.expected() && ended.why.contains(case.words);
        (!as_named).then(|| format!("{}: {}: {}", case.name, ended.how, ended.why))
    }

    /// Lets it go as far as some of its first waits, and drops it there.
    async fn cut_off(&self, ready: &Ready) {
        if matches!(ready, Ready::Upload(..)) {
            return;
        }
        for waits in [1, 2, 5] {
            let mut call = Box::pin(unconstrained(ready.go(&self.runtime)));
            for _ in 0..waits {
                if poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_ready())).await {
                    break;
                }
            }
        }
    }

    /// Whatever it did, what is told of it is within limits, and of one line each.
    fn assert_bounded(&self, case: &Case, ended: &Ended) {
        let log: usize = ended.report.log.iter().map(|line| line.message.len()).sum();
        assert!(log <= self.limits.log_bytes_max, "{}: {log} bytes of log", case.name);
        assert!(ended.report.memory_bytes <= self.limits.memory_bytes_max, "{}", case.name);
        assert!(ended.report.host_calls <= self.limits.host_calls_max + 1, "{}", case.name);
        let lines = ended.report.log.iter().map(|line| line.message.as_str()).chain([ended.why.as_str()]);
        for line in lines {
            assert!(!line.contains(|symbol: char| symbol.is_control() && symbol != '\t'), "{}: {line:?}", case.name);
        }
        if ended.how != "is_answered" {
            assert!(ended.why.chars().count() <= 2000, "{}: {}", case.name, ended.why);
        }
    }
}

async fn every_case_ends_as_its_name_says(theme: Theme, compiler: Compiler) {
    let suite = Suite::start(compiler).await;
    let mut wrong = Vec::new();
    for case in cases(theme) {
        wrong.extend(suite.play(&case).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // What was asked of others was asked in the attacker's name alone.
    assert!(suite.verbs.fetched().iter().all(|(tenant, _)| *tenant == ATTACKER.0));
    assert!(suite.verbs.fetched().iter().all(|(_, request)| request.url.starts_with("https://api.example.com/")));
}

#[test]
fn the_suite_is_large_and_no_case_stands_for_another() {
    let all: Vec<Case> = THEMES.into_iter().flat_map(cases).collect();
    let names: BTreeSet<&str> = all.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), all.len(), "two cases have the same name");
    assert!(all.len() >= CASES_MIN, "{} cases; there were at least {CASES_MIN}", all.len());
    assert!(all.iter().all(|case| !case.expected().is_empty()));
}

#[tokio::test]
async fn guests_that_compute_end_as_their_names_say() {
    every_case_ends_as_its_name_says(Theme::Time, Compiler::InProcess).await;
}

#[tokio::test]
async fn guests_that_take_or_break_memory_end_as_their_names_say() {
    every_case_ends_as_its_name_says(Theme::Memory, Compiler::InProcess).await;
}

#[tokio::test]
async fn guests_that_ask_too_much_of_the_host_end_as_their_names_say() {
    every_case_ends_as_its_name_says(Theme::HostCalls, Compiler::InProcess).await;
}

#[tokio::test]
async fn uploads_that_may_not_be_taken_end_as_their_names_say() {
    every_case_ends_as_its_name_says(Theme::Uploads, Compiler::InProcess).await;
}

#[cfg(feature = "sim")]
#[tokio::test]
async fn uploads_that_aim_at_the_compiler_end_as_their_names_say() {
    let program = env!("CARGO_BIN_EXE_host-under-test").into();
    every_case_ends_as_its_name_says(Theme::Compilation, Compiler::Child { program }).await;
}

/// A compiler that is at work gives way to whatever the host does meanwhile.
#[cfg(feature = "sim")]
#[tokio::test]
async fn a_compilation_gives_way_to_the_host() {
    use switchboard_confine::NICENESS;
    use switchboard_tests::patience::{PATIENCE, until};

    let suite = Suite::start(Compiler::Child { program: env!("CARGO_BIN_EXE_host-under-test").into() }).await;
    let bomb = cases(Theme::Compilation).into_iter().find(|case| case.name.contains("blocks")).unwrap();
    tokio::select! {
        _ = bomb.ready(&suite.runtime, &suite.guest) => panic!("the compiler was never seen"),
        gives_way = until(PATIENCE, async || niceness_of_compilers().contains(&NICENESS)) => assert!(gives_way),
    }
}

/// How far each compiler that this process started gives way.
#[cfg(feature = "sim")]
fn niceness_of_compilers() -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let niceness = processes.filter_map(|process| {
        let command = std::fs::read_to_string(process.join("cmdline")).ok()?;
        let stat = std::fs::read_to_string(process.join("stat")).ok()?;
        // Behind the name, which may hold anything: state, parent, … and as the 17th the niceness.
        let after: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ours = after[1] == std::process::id().to_string() && command.contains("compile-component");
        ours.then(|| after[16].parse().unwrap())
    });
    niceness.collect()
}

/// Code that a runtime compiled and kept, with the mark that says so.
#[tokio::test]
async fn compiled_code_is_refused_as_precompiled_and_so_is_its_disguise() {
    let folder = tempfile::tempdir().unwrap();
    let mut with_cache = settings(1);
    with_cache.cache_folder = Some(folder.path().to_owned());
    let runtime = crate::stage::runtime(with_cache);
    let load = async |bytes: &[u8]| Ended::of_upload(runtime.load(bytes, Owner::Tenant, &context(ATTACKER, "{}")).await);
    assert_eq!(load(&sniffer()).await.how, "is_taken");
    let kept = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let code = std::fs::read(kept).unwrap();
    assert_eq!(load(&code).await.how, "is_refused_as_precompiled");
    let disguised = [b"\0asm\x0d\0\x01\0".as_slice(), &code].concat();
    let ended = load(&disguised).await;
    assert!(["is_refused_as_invalid_component", "is_refused_as_truncated"].contains(&ended.how.as_str()), "{ended:?}");
}
