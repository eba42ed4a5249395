//! Compiles components: in a killable child process with limits, and never twice.
//!
//! Compiled code is trusted by the engine, so only what this host wrote is ever loaded: the cache carries a MAC under a key
//! that only the host knows, and is keyed by the component's hash and the engine's compatibility.

use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use switchboard_confine::{ChildEnd, Input, Patience, ProcessLimits, limit_this_process, run_child};
use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::configure::ConfigFault;
use crate::engine::compile_config;
use crate::inspect::InspectError;
use crate::log::short_words;

/// Longest compilation.
const COMPILE_WAIT: Duration = Duration::from_secs(60);
/// What the compiling process may use.
const COMPILE_LIMITS: ProcessLimits = ProcessLimits {
    address_bytes: 6 * 1024 * 1024 * 1024,
    cpu_seconds: 120,
    file_bytes: None,
    open_files: None,
    processes: None,
};
/// Most bytes of compiled code.
const COMPILED_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Components that are compiled at once: each may take as much memory as it is allowed.
const COMPILES_AT_ONCE: usize = 1;
/// Bytes of the MAC at the end of a cached file.
const MAC_BYTES: usize = 32;
/// The argument that makes the binary a compiling child.
const CHILD_ARGUMENT: &str = "compile-component";

/// How components are compiled.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// In this process: for tests, which have no binary to start.
    InProcess,
    /// In a child of this binary, which must answer the argument `compile-component` with [`compile_from_stdin`].
    Child {
        /// The binary.
        program: PathBuf,
    },
}

/// Why compilation failed, when it was not the component's fault.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// Reading, writing or starting failed.
    #[error("cannot compile: {0}")]
    Io(#[from] std::io::Error),
    /// The component's fault.
    #[error(transparent)]
    Refused(#[from] InspectError),
    /// It does not work with its configuration.
    #[error("its configuration has faults")]
    Misconfigured(Vec<ConfigFault>),
}

/// The child's whole life: a component on standard input, compiled code on standard output, exit code 0; or words on standard
/// error, exit code 1.
///
/// # Errors
/// What to print on standard error.
pub fn compile_from_stdin() -> Result<(), String> {
    limit_this_process(&COMPILE_LIMITS).map_err(|error| format!("cannot limit memory: {error}"))?;
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let engine = Engine::new(&compile_config()).map_err(|error| format!("{error:#}"))?;
    let code = engine.precompile_component(&bytes).map_err(|error| format!("{error:#}"))?;
    std::io::stdout().write_all(&code).map_err(|error| error.to_string())
}

/// Compiled components on disk.
pub(crate) struct CodeCache {
    folder: Option<PathBuf>,
    key: [u8; 32],
    turn: Semaphore,
}

/// Compiled code that is not in the cache yet: it is kept once the component passed its inspection.
pub(crate) struct NewCode(Vec<u8>);

impl CodeCache {
    /// A cache in `folder`, or none.
    pub(crate) fn open(folder: Option<&Path>, key: [u8; 32]) -> std::io::Result<Self> {
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder)?;
            set_private(folder)?;
        }
        Ok(Self { folder: folder.map(Path::to_owned), key, turn: Semaphore::new(COMPILES_AT_ONCE) })
    }

    /// The name of the file: code fits one component and one kind of engine.
    fn name(engine: &Engine, sha256: &str) -> String {
        let mut hasher = std::hash::DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        format!("{sha256}-{:016x}", hasher.finish())
    }

    /// The name is part of what is vouched for: a file copied onto another's name is not trusted.
    fn mac(&self, name: &str, code: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(name.as_bytes());
        mac.update(code);
        Some(mac)
    }

    /// The component of this hash, compiled before, or now: then with the code to [`CodeCache::keep`].
    pub(crate) async fn load(
        &self,
        engine: &Engine,
        compiler: &Compiler,
        sha256: &str,
        bytes: &[u8],
    ) -> Result<(Component, Option<NewCode>), CompileError> {
        let name = Self::name(engine, sha256);
        // A file that this engine no longer takes is compiled anew.
        if let Some(component) = self.read(&name).and_then(|code| load_own_code(engine, &code).ok()) {
            return Ok((component, None));
        }
        let _turn = self.turn.acquire().await;
        let code = compile(engine, compiler, bytes).await?;
        let invalid = |error: wasmtime::Error| InspectError::Invalid { why: short_words(&format!("{error:#}")) };
        let component = load_own_code(engine, &code).map_err(invalid)?;
        Ok((component, Some(NewCode(code))))
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let mut file = std::fs::read(self.folder.as_ref()?.join(name)).ok()?;
        let split = file.len().checked_sub(MAC_BYTES)?;
        let tag = file.split_off(split);
        self.mac(name, &file)?.verify_slice(&tag).ok()?;
        Some(file)
    }

    /// Keeps new code for the next start. A cache that cannot be written costs time, not the plugin.
    pub(crate) fn keep(&self, engine: &Engine, sha256: &str, code: &NewCode) {
        let Some(folder) = &self.folder else { return };
        let name = Self::name(engine, sha256);
        if let Err(error) = self.write(folder, &name, &code.0) {
            tracing::warn!(%error, file = name, "compiled code could not be kept");
        }
    }

    fn write(&self, folder: &Path, name: &str, code: &[u8]) -> std::io::Result<()> {
        /// Tells the temporary files of loads at the same time apart.
        static NEXT_PART: AtomicU64 = AtomicU64::new(0);
        let Some(mac) = self.mac(name, code) else { return Ok(()) };
        let part = folder.join(format!("{name}.{}.part", NEXT_PART.fetch_add(1, Ordering::Relaxed)));
        let mut file = std::fs::File::create(&part)?;
        file.write_all(code)?;
        file.write_all(&mac.finalize().into_bytes())?;
        file.sync_all()?;
        std::fs::rename(part, folder.join(name))
    }
}

#[cfg(unix)]
fn set_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}

#[expect(
    unsafe_code,
    reason = "the code is this host's own: it comes from its compiler or from a file that carries its MAC"
)]
fn load_own_code(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize` trusts its input. Every caller passes what this host's own compiler wrote: fresh from it, or
    // read back from a file whose MAC was checked under a key that uploads never see.
    unsafe { Component::deserialize(engine, code) }
}

async fn compile(engine: &Engine, compiler: &Compiler, bytes: &[u8]) -> Result<Vec<u8>, CompileError> {
    match compiler {
        Compiler::InProcess => engine
            .precompile_component(bytes)
            .map_err(|error| InspectError::Invalid { why: short_words(&format!("{error:#}")) }.into()),
        Compiler::Child { program } => compile_in_child(program, bytes).await,
    }
}

async fn compile_in_child(program: &Path, bytes: &[u8]) -> Result<Vec<u8>, CompileError> {
    let mut code = Vec::new();
    let patience = Patience { wait: COMPILE_WAIT, output_bytes_max: COMPILED_BYTES_MAX };
    let end = run_child(program, &[CHILD_ARGUMENT], Input::Bytes(bytes), &mut code, patience).await?;
    let limit = |why: String| Err(CompileError::Refused(InspectError::CompileLimit { why }));
    match end {
        ChildEnd::Done => Ok(code),
        ChildEnd::Refused(words) => Err(InspectError::Invalid { why: short_words(&words) }.into()),
        ChildEnd::TooSlow => limit(format!("longer than {} s", COMPILE_WAIT.as_secs())),
        ChildEnd::TooMuch => limit(format!("more than {COMPILED_BYTES_MAX} bytes of code")),
        // A child that was killed says nothing.
        ChildEnd::Broken(status) => {
            let ProcessLimits { address_bytes, cpu_seconds, .. } = COMPILE_LIMITS;
            limit(format!("over {address_bytes} bytes of memory or {cpu_seconds} s ({status})"))
        }
    }
}
