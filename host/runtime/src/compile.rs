//! Compiles components: in a killable child process with limits.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use switchboard_confine::{ChildEnd, Input, Patience, ProcessLimits, limit_this_process, run_child};
use wasmtime::Engine;

use crate::classes::ClassRoom;
use crate::configure::ConfigFault;
use crate::engine::compile_config;
use crate::inspect::InspectError;
use crate::log::short_words;

/// Address space of a compiling child. What it really uses is a tenth of it or less: allocators and threads reserve.
const COMPILE_ADDRESS_BYTES: u64 = 6 * 1024 * 1024 * 1024;
/// Most bytes of compiled code.
const COMPILED_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// The argument that makes the binary a compiling child.
const CHILD_ARGUMENT: &str = "compile-component";

/// How components are compiled.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// In this process: for tests, which have no binary to start.
    InProcess,
    /// In a child of this binary, which must answer the argument `compile-component` and what follows it with [`compile_from_stdin`].
    Child {
        /// The binary.
        program: PathBuf,
    },
}

/// What one compilation may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// Longest compilation. Of processor time it may use twice that, since it runs on several processors.
    pub wait: Duration,
    /// Address space, bytes.
    pub address_bytes: u64,
}

/// Those of small components.
impl Default for CompileLimits {
    fn default() -> Self {
        Self { wait: Duration::from_secs(60), address_bytes: COMPILE_ADDRESS_BYTES }
    }
}

impl CompileLimits {
    /// Those of large components.
    pub fn large() -> Self {
        Self { wait: Duration::from_secs(240), address_bytes: 2 * COMPILE_ADDRESS_BYTES }
    }

    fn cpu_seconds(&self) -> u64 {
        self.wait.as_secs().saturating_mul(2).max(1)
    }

    /// The same as arguments of the child.
    fn words(&self) -> [String; 2] {
        [self.address_bytes.to_string(), self.cpu_seconds().to_string()]
    }
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
    /// As many components of its class wait to be compiled as may.
    #[error("{max} components wait to be compiled; come back later")]
    Busy {
        /// How many may wait.
        max: usize,
    },
    /// It does not work with its configuration.
    #[error("its configuration has faults")]
    Misconfigured(Vec<ConfigFault>),
}

/// The child's whole life: a component on standard input, compiled code on standard output, exit code 0; or words on standard
/// error, exit code 1. `words` are the arguments after `compile-component`: bytes of address space, seconds of processor time.
///
/// # Errors
/// What to print on standard error.
pub fn compile_from_stdin(words: &[String]) -> Result<(), String> {
    let numbers: Vec<u64> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let [address_bytes, cpu_seconds] = *numbers else {
        return Err("two numbers are expected: bytes of address space, seconds of processor time".to_owned());
    };
    let limits = ProcessLimits { address_bytes, cpu_seconds, file_bytes: None, open_files: None, processes: None };
    limit_this_process(&limits).map_err(|error| format!("cannot limit memory: {error}"))?;
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let engine = Engine::new(&compile_config()).map_err(|error| format!("{error:#}"))?;
    let code = engine.precompile_component(&bytes).map_err(|error| format!("{error:#}"))?;
    std::io::stdout().write_all(&code).map_err(|error| error.to_string())
}

/// Compiled code of a component.
pub(crate) async fn compile(room: &ClassRoom, compiler: &Compiler, bytes: &[u8]) -> Result<Vec<u8>, CompileError> {
    match compiler {
        Compiler::InProcess => room
            .engine
            .precompile_component(bytes)
            .map_err(|error| InspectError::Invalid { why: short_words(&format!("{error:#}")) }.into()),
        Compiler::Child { program } => compile_in_child(program, &room.compile, bytes).await,
    }
}

async fn compile_in_child(program: &Path, limits: &CompileLimits, bytes: &[u8]) -> Result<Vec<u8>, CompileError> {
    let mut code = Vec::new();
    let patience = Patience { wait: limits.wait, output_bytes_max: COMPILED_BYTES_MAX };
    let [address, cpu] = limits.words();
    let arguments = [CHILD_ARGUMENT, &address, &cpu];
    let end = run_child(program, &arguments, Input::Bytes(bytes), &mut code, patience).await?;
    let limit = |why: String| Err(CompileError::Refused(InspectError::CompileLimit { why }));
    match end {
        ChildEnd::Done => Ok(code),
        ChildEnd::Refused(words) => Err(InspectError::Invalid { why: short_words(&words) }.into()),
        ChildEnd::TooSlow => limit(format!("longer than {} s", limits.wait.as_secs())),
        ChildEnd::TooMuch => limit(format!("more than {COMPILED_BYTES_MAX} bytes of code")),
        // A child that was killed says nothing.
        ChildEnd::Broken(status) => limit(format!("over {address} bytes of memory or {cpu} s ({status})")),
    }
}
