//! Compiled code is kept, and trusted only as far as this host itself wrote it for this very component.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Barrier;

use switchboard_core::flow::responder_worker::RunTry;
use switchboard_runtime::{CompileError, Compiler, LoadedPlugin, Owner, RuntimeSettings};
use switchboard_tests::records::heard;

use crate::stage::{component, context, runtime, settings};

const IMPORTS_KEYS: &str = env!("GUEST_IMPORTS_KEYS");
const AUTO_REPLY: &str = env!("PLUGIN_AUTO_REPLY");
const KEY: [u8; 32] = [1; 32];

/// Loads a component in a new runtime that compiles.
async fn load(folder: &Path, key: [u8; 32], path: &str) -> Result<LoadedPlugin, CompileError> {
    load_with(Compiler::InProcess, folder, key, path).await
}

/// Loads a component in a new runtime that cannot compile: only from compiled code that it trusts.
async fn load_kept(folder: &Path, key: [u8; 32], path: &str) -> Result<LoadedPlugin, CompileError> {
    let program = folder.join("there-is-no-compiler");
    load_with(Compiler::Child { program }, folder, key, path).await
}

async fn load_with(compiler: Compiler, folder: &Path, key: [u8; 32], path: &str) -> Result<LoadedPlugin, CompileError> {
    let mut settings = settings(1);
    settings.compiler = compiler;
    settings.cache_folder = Some(folder.to_owned());
    settings.cache_key = key;
    runtime(settings).load(&component(path), Owner::Operator, &context(None, "{}")).await
}

/// It had to be compiled, and there was no compiler.
#[track_caller]
fn assert_not_trusted(loaded: Result<LoadedPlugin, CompileError>) {
    assert!(matches!(loaded, Err(CompileError::Io(_))), "{loaded:?}");
}

/// The file of a component's compiled code.
fn kept_file(folder: &Path, plugin: &LoadedPlugin) -> PathBuf {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut of_plugin = files.filter(|file| file.file_name().to_string_lossy().starts_with(&plugin.sha256));
    let file = of_plugin.next().unwrap().path();
    assert!(of_plugin.next().is_none());
    file
}

#[tokio::test]
async fn a_component_is_compiled_once() {
    let folder = tempfile::tempdir().unwrap();
    assert_not_trusted(load_kept(folder.path(), KEY, IMPORTS_KEYS).await);
    let compiled = load(folder.path(), KEY, IMPORTS_KEYS).await.unwrap();
    let kept = load_kept(folder.path(), KEY, IMPORTS_KEYS).await.unwrap();
    assert_eq!((&kept.sha256, &kept.routes), (&compiled.sha256, &compiled.routes));
}

#[tokio::test]
async fn compiled_code_that_changed_is_compiled_anew_and_never_run() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = load(folder.path(), KEY, IMPORTS_KEYS).await.unwrap();
    let file = kept_file(folder.path(), &plugin);
    let whole = std::fs::read(&file).unwrap();
    for at in [0, whole.len() / 2, whole.len() - 33, whole.len() - 32, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        std::fs::write(&file, changed).unwrap();
        assert_not_trusted(load_kept(folder.path(), KEY, IMPORTS_KEYS).await);
    }
    for length in [0, 31, 32, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&file, &whole[..length]).unwrap();
        assert_not_trusted(load_kept(folder.path(), KEY, IMPORTS_KEYS).await);
    }
    load(folder.path(), KEY, IMPORTS_KEYS).await.unwrap();
    load_kept(folder.path(), KEY, IMPORTS_KEYS).await.unwrap();
}

#[tokio::test]
async fn compiled_code_of_another_key_is_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    load(folder.path(), [2; 32], IMPORTS_KEYS).await.unwrap();
    assert_not_trusted(load_kept(folder.path(), KEY, IMPORTS_KEYS).await);
    load(folder.path(), KEY, IMPORTS_KEYS).await.unwrap();
    load_kept(folder.path(), KEY, IMPORTS_KEYS).await.unwrap();
}

#[tokio::test]
async fn compiled_code_of_another_component_is_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let keys = load(folder.path(), KEY, IMPORTS_KEYS).await.unwrap();
    let reply = load(folder.path(), KEY, AUTO_REPLY).await.unwrap();
    std::fs::copy(kept_file(folder.path(), &reply), kept_file(folder.path(), &keys)).unwrap();
    assert_not_trusted(load_kept(folder.path(), KEY, IMPORTS_KEYS).await);
}

#[tokio::test]
async fn the_folder_of_compiled_code_is_private() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("code");
    load(&folder, KEY, IMPORTS_KEYS).await.unwrap();
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    for file in std::fs::read_dir(&folder).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn compiled_code_is_mapped_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = kept_file(folder.path(), &load(folder.path(), KEY, IMPORTS_KEYS).await.unwrap());
    let is_mapped = || std::fs::read_to_string("/proc/self/maps").unwrap().contains(file.to_str().unwrap());
    assert!(!is_mapped());
    let kept = load_kept(folder.path(), KEY, IMPORTS_KEYS).await.unwrap();
    assert!(is_mapped());
    drop(kept);
}

#[tokio::test]
async fn a_component_that_rests_needs_no_more_memory_and_answers_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(1);
    settings.cache_folder = Some(folder.path().to_owned());
    let (runtime, context) = (runtime(settings), context(None, r#"{"replies":[{"keyword":"ping","reply":"pong"}]}"#));
    let plugin = runtime.load(&component(AUTO_REPLY), Owner::Operator, &context).await.unwrap();
    let file = kept_file(folder.path(), &plugin);
    // Of the mapping, the first lines of its entry say how much of it is in memory.
    let resident_kib = || -> u64 {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let entries = maps.split(file.to_str().unwrap()).skip(1);
        let rss = entries.map(|entry| entry.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap());
        rss.map(|kib| kib.trim().trim_end_matches(" kB").parse::<u64>().unwrap()).sum()
    };
    for _ in 0..2 {
        let called = runtime.respond(&plugin, &context, &RunTry { id: "run-1", attempt: 1 }, &heard("ping")).await;
        assert_eq!(called.outcome.into_result().unwrap().commands.len(), 1);
        let before = resident_kib();
        plugin.rest();
        // Files in memory, say, stay there.
        assert!(resident_kib() <= before, "{before} KiB and no less");
    }
}

#[tokio::test]
async fn as_many_components_wait_to_be_compiled_as_may_and_no_more() {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/runtime/stage/compiles-for-ever").into();
    let mut settings = settings(1);
    settings.compiler = Compiler::Child { program };
    (settings.small.compiles_at_once, settings.small.compiles_waiting_max) = (1, 1);
    let runtime = runtime(settings);
    let (keys, reply, live) = (component(IMPORTS_KEYS), component(AUTO_REPLY), component(env!("GUEST_LIVE")));
    let context = context(None, "{}");
    let load = async |bytes: &[u8]| runtime.load(bytes, Owner::Operator, &context).await;
    // One is compiled for ever, one waits for it: whichever comes third is the only one that is answered.
    let answered = tokio::select! {
        answered = load(&keys) => answered,
        answered = load(&reply) => answered,
        answered = load(&live) => answered,
    };
    assert!(matches!(answered, Err(CompileError::Busy { max: 1 })), "{answered:?}");
}

#[test]
fn one_component_can_be_loaded_several_times_at_once() {
    const AT_ONCE: usize = 4;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(4);
    settings.cache_folder = Some(folder.path().to_owned());
    let (runtime, bytes, ready) = (runtime(settings), component(IMPORTS_KEYS), Barrier::new(AT_ONCE));
    let load = || {
        let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        ready.wait();
        executor.block_on(runtime.load(&bytes, Owner::Operator, &context(None, "{}"))).map(|plugin| plugin.sha256.clone())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(load)).collect();
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
    });
}

#[tokio::test]
async fn who_loads_what_is_in_use_shares_its_code_and_has_a_trial_of_its_own() {
    let mut settings = settings(1);
    let folder = tempfile::tempdir().unwrap();
    settings.cache_folder = Some(folder.path().to_owned());
    let runtime = runtime(settings);
    let load = async |owner, config: &str| runtime.load(&component(AUTO_REPLY), owner, &context(None, config)).await;
    let first = load(Owner::Operator, r#"{"replies":[]}"#).await.unwrap();
    // What is in use needs no file and no compiler.
    std::fs::remove_file(kept_file(folder.path(), &first)).unwrap();
    let second = load(Owner::Tenant, r#"{"replies":7}"#).await.unwrap();
    assert_eq!((first.config_faults.len(), &second.sha256), (0, &first.sha256));
    assert!(!second.config_faults.is_empty(), "it is asked about its own configuration");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing was compiled");
    // The last one takes it off the shelf: then it is compiled again.
    drop((first, second));
    load(Owner::Tenant, "{}").await.unwrap();
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_some());

    // What only the operator may upload is refused to a tenant, in use or not.
    let operators = runtime.load(&component(IMPORTS_KEYS), Owner::Operator, &context(None, "{}")).await.unwrap();
    let tenants = runtime.load(&component(IMPORTS_KEYS), Owner::Tenant, &context(None, "{}")).await;
    assert!(matches!(tenants, Err(CompileError::Refused(ref error)) if error.code() == "forbidden_import"), "{tenants:?}");
    drop(operators);
}

#[tokio::test]
async fn what_was_in_use_lately_is_loaded_by_its_hash_alone() {
    let runtime = runtime(RuntimeSettings { remembered_max: 1, ..settings(1) });
    let (everybody, tenants) = (context(None, r#"{"replies":7}"#), Owner::Tenant);
    let load = async |path| runtime.load(&component(path), Owner::Operator, &everybody).await.unwrap().sha256.clone();
    let first = load(AUTO_REPLY).await;
    let again = runtime.load_known(&first, tenants, &everybody).await.unwrap().unwrap();
    assert!(again.sha256 == first && !again.config_faults.is_empty(), "it is tried as ever");
    drop(again);
    let second = load(IMPORTS_KEYS).await;
    assert!(runtime.load_known(&first, tenants, &everybody).await.is_none(), "there is room for one");
    let refused = runtime.load_known(&second, tenants, &everybody).await.unwrap();
    assert!(matches!(refused, Err(CompileError::Refused(ref error)) if error.code() == "forbidden_import"), "{refused:?}");
}
