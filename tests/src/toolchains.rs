//! Components that toolchains of JavaScript and Python make of the sources in `guests-js` and `guests-py`. They need Node and
//! `npm install --no-save` in `guests-js`, and a Python environment in `target/guests-py` (see `.ci/run`).

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const WIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit/since_v0.1.0");
const JAVASCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/guests-js");
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/guests-py");
const WORLD: &str = "responder-plugin";

/// What `run` writes to the file that it is given, in a folder of its own.
fn made(run: impl FnOnce(&TempDir, &Path) -> Command) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("component.wasm");
    let mut command = run(&folder, &output);
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ended.stderr));
    std::fs::read(output).unwrap()
}

fn arguments<'a>(output: &'a Path, others: &'a [&'a str]) -> Vec<&'a OsStr> {
    others.iter().map(OsStr::new).chain([output.as_os_str()]).collect()
}

/// `guests-js/<source>` with QuickJS in it, by componentize-qjs.
pub fn quickjs(source: &str) -> Vec<u8> {
    let source = format!("{JAVASCRIPT}/{source}");
    made(|_, output| {
        let mut command = Command::new(format!("{JAVASCRIPT}/node_modules/.bin/componentize-qjs"));
        let options = ["--sync", "--wit", WIT, "--world", WORLD, "--js", source.as_str(), "--output"];
        command.args(arguments(output, &options));
        command
    })
}

/// `guests-js/<source>` with SpiderMonkey in it, by componentize-js.
pub fn spidermonkey(source: &str) -> Vec<u8> {
    let (source, build) = (format!("{JAVASCRIPT}/{source}"), format!("{JAVASCRIPT}/build.mjs"));
    made(|_, output| {
        let mut command = Command::new("node");
        command.args(arguments(output, &[build.as_str(), source.as_str(), WIT, WORLD]));
        command
    })
}

/// `guests-py/app.py` with CPython in it, by componentize-py.
pub fn python() -> Vec<u8> {
    made(|folder, output| {
        // The toolchain leaves what it compiled beside the source.
        std::fs::copy(Path::new(PYTHON).join("app.py"), folder.path().join("app.py")).unwrap();
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/guests-py/bin/componentize-py");
        let program = std::env::var_os("COMPONENTIZE_PY").map_or_else(|| PathBuf::from(program), PathBuf::from);
        let mut command = Command::new(program);
        let options = ["--wit-path", WIT, "--world", WORLD, "componentize", "app", "--output"];
        command.current_dir(folder.path()).args(arguments(output, &options));
        command
    })
}
