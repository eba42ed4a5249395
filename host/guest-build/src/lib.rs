//! Builds WebAssembly components from a build script: the plugins that the binary carries, and the guests of the tests; and makes
//! declarations of the contract for TypeScript.
//!
//! A nested cargo compiles a workspace of guests to `wasm32-wasip2` in a target directory of its own. It runs again when, and
//! only when, one of the watched folders changed.

mod typescript;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use typescript::{TypesError, declarations};

/// What guests are compiled to.
pub const TARGET: &str = "wasm32-wasip2";

/// Why guests could not be built, with the cure.
#[derive(Debug)]
pub struct GuestBuildError(String);

impl std::fmt::Display for GuestBuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for GuestBuildError {}

/// A workspace of guests.
pub struct GuestWorkspace {
    /// Folder of its `Cargo.toml`.
    pub folder: PathBuf,
    /// Folders that guests are made of; a change in any of them builds anew.
    pub watched: Vec<PathBuf>,
    /// Name of the nested target directory, below cargo's own.
    pub target_name: &'static str,
}

impl GuestWorkspace {
    /// Builds every guest and returns the folder of the finished components: `<name>.wasm`, dashes as underscores.
    ///
    /// # Errors
    /// When the target cannot be added or the guests do not compile.
    pub fn build(&self) -> Result<PathBuf, GuestBuildError> {
        for folder in &self.watched {
            watch(folder);
        }
        add_target()?;
        let target_dir = self.target_dir()?;
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command
            .args(["build", "--release", "--locked", "--target", TARGET, "--target-dir"])
            .arg(&target_dir)
            .current_dir(&self.folder);
        scrub(&mut command);
        run(&mut command, "the guests do not compile")?;
        Ok(target_dir.join(TARGET).join("release"))
    }

    /// Beside what cargo builds for the host, so that every profile and feature set of the host shares it.
    fn target_dir(&self) -> Result<PathBuf, GuestBuildError> {
        let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
        // OUT_DIR is <target>/<profile>/build/<package>-<hash>/out
        out.ancestors()
            .nth(4)
            .map(|target| target.join(self.target_name))
            .ok_or_else(|| GuestBuildError(format!("OUT_DIR {} is not inside a target directory", out.display())))
    }
}

/// Rebuilds on any change below `folder`, new files included; what guests leave behind when they are built by hand is no change.
fn watch(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name() != "target" {
            emit(&format!("rerun-if-changed={}", entry.path().display()));
        }
    }
}

/// Tells cargo something.
#[expect(clippy::print_stdout, reason = "a build script speaks to cargo on its standard output")]
pub fn emit(instruction: &str) {
    println!("cargo::{instruction}");
}

/// Adds the rustup target when its standard library is missing.
fn add_target() -> Result<(), GuestBuildError> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command.args(["--print", "target-libdir", "--target", TARGET]);
    let libdir = command.output().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    if libdir.is_ok_and(|folder| Path::new(&folder).is_dir()) {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", TARGET]);
    scrub(&mut rustup);
    let cure = format!("the Rust target {TARGET} is missing and could not be added; run: rustup target add {TARGET}");
    run(&mut rustup, &cure)
}

/// The nested tools must not inherit what the outer cargo set for the host.
fn scrub(command: &mut Command) {
    const KEPT: [&str; 3] = ["CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_HTTP_CAINFO"];
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let set_by_cargo = text.starts_with("CARGO")
            || text.starts_with("RUSTFLAGS")
            || text.starts_with("RUSTC")
            || text == "RUSTDOCFLAGS";
        let foreign = matches!(&*text, "TARGET" | "HOST" | "OUT_DIR" | "PROFILE" | "OPT_LEVEL" | "DEBUG" | "NUM_JOBS");
        if (set_by_cargo || foreign)
            && !KEPT.contains(&&*text)
            && !text.starts_with("CARGO_REGISTRIES")
            && !text.starts_with("CARGO_REGISTRY")
        {
            command.env_remove(&name);
        }
    }
}

fn run(command: &mut Command, cure: &str) -> Result<(), GuestBuildError> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(GuestBuildError(format!("{cure} ({status})"))),
        Err(error) => Err(GuestBuildError(format!("{cure} ({error})"))),
    }
}
