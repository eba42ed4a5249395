//! `plugin test`: table tests of a component, on a host in memory.
//!
//! The host is the real one as far as a plugin sees of it: the same runtime, grants, views of events, storage and acceptance. Its
//! clock is stepped, its numbers follow from a seed, and it has no network: others answer as the case says.

mod case;
mod expect;
mod mocks;
mod stage;
mod steps;

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use switchboard_core::entropy::{Entropy, SystemEntropy};
use switchboard_runtime::ConfigFault;

use self::case::{Case, read_cases};
use self::expect::{Fault, compare, faults};
use self::stage::{NoStage, Stage, Tested};
use super::project::component_or_built;
use super::{Done, EXIT_CASES_FAILED, Failed, read_component};

/// What a component whose file has no fit name is called.
const NAME: &str = "plugin";

/// `plugin test`.
#[derive(Args)]
pub(super) struct TestArguments {
    /// The component; what `plugin build` made in this folder unless it is given.
    component: Option<PathBuf>,
    /// A file with cases, or a folder of such files.
    #[arg(long, default_value = "tests")]
    cases: PathBuf,
    /// As a plugin of the operator's, who may have more imports than a tenant.
    #[arg(long)]
    operator: bool,
}

/// What became of one step.
struct StepResult {
    /// What it shows, or its number.
    name: String,
    faults: Vec<Fault>,
    found: Value,
}

/// What became of one case.
struct CaseResult {
    file: PathBuf,
    about: String,
    steps: Vec<StepResult>,
    /// Why it could not be run, or not to its end.
    error: Option<String>,
}

impl CaseResult {
    fn passed(&self) -> bool {
        self.error.is_none() && self.steps.iter().all(|step| step.faults.is_empty())
    }

    fn json(&self) -> Value {
        let fault = |fault: &Fault| json!({ "path": fault.path, "expected": fault.expected, "found": fault.found });
        let step = |step: &StepResult| {
            let faults: Vec<Value> = step.faults.iter().map(fault).collect();
            json!({ "name": step.name, "passed": faults.is_empty(), "faults": faults, "found": step.found })
        };
        let steps: Vec<Value> = self.steps.iter().map(step).collect();
        json!({
            "file": self.file, "about": self.about, "passed": self.passed(), "error": self.error, "steps": steps,
        })
    }

    fn words(&self) -> String {
        let mark = if self.passed() { "ok  " } else { "FAIL" };
        let mut words = format!("{mark}  {}: {}\n", self.file.display(), self.about);
        for step in self.steps.iter().filter(|step| !step.faults.is_empty()) {
            words.push_str(&format!("      {}\n", step.name));
            for Fault { path, expected, found } in &step.faults {
                words.push_str(&format!("        {path}\n          expected  {expected}\n          found     {found}\n"));
            }
        }
        if let Some(error) = &self.error {
            words.push_str(&format!("      {error}\n"));
        }
        words
    }
}

/// A folder that goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("switchboard-plugin-test-{:016x}", SystemEntropy.next_u64()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is the system's folder for what may be removed at any time.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) async fn test(arguments: &TestArguments) -> Result<Done, Failed> {
    let failed = |error: std::io::Error| Failed::refused("host", error.to_string());
    let component = component_or_built(arguments.component.as_ref())?;
    let (bytes, cases) = (read_component(&component)?, read_cases(&arguments.cases)?);
    let tested = Tested { name: name_of(&component), bytes, operator: arguments.operator };
    let (folder, program) = (Folder::new().map_err(failed)?, std::env::current_exe().map_err(failed)?);
    let mut results = Vec::with_capacity(cases.len());
    for (file, mut case) in cases {
        let (steps, error) = match Stage::open(&mut case, &tested, &folder.0, program.clone()).await {
            Ok(stage) => run(&case, stage).await,
            Err(NoStage::Component(failed)) => return Err(failed),
            Err(NoStage::Config(found)) => config_result(&case, &found),
            Err(NoStage::Case(why)) => (Vec::new(), Some(why)),
        };
        results.push(CaseResult { file, about: case.about, steps, error });
    }
    Ok(told(&component, &results))
}

/// The name that a component's file gives its plugin.
fn name_of(component: &Path) -> String {
    let stem = component.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let name = stem.to_ascii_lowercase().replace('_', "-");
    let plain = |symbol: char| symbol.is_ascii_lowercase() || symbol.is_ascii_digit() || symbol == '-';
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) { NAME.to_owned() } else { name }
}

/// Runs the steps of a case. One that is not as expected is no reason to stop; one that cannot be done is.
async fn run(case: &Case, mut stage: Stage) -> (Vec<StepResult>, Option<String>) {
    let mut results = Vec::with_capacity(case.steps.len());
    if let Some(expected) = &case.config_faults {
        results.push(config_step(expected, &[]));
    }
    for (at, step) in case.steps.iter().enumerate() {
        let name = match &step.about {
            Some(about) => format!("step {}: {about}", at + 1),
            None => format!("step {}", at + 1),
        };
        match stage.run(step).await {
            Ok(found) => results.push(StepResult { name, faults: faults(&step.expect, &found), found: found.json() }),
            Err(why) => return (results, Some(format!("{name}: {why}"))),
        }
    }
    (results, None)
}

/// A case whose plugin cannot follow its configuration.
fn config_result(case: &Case, found: &[ConfigFault]) -> (Vec<StepResult>, Option<String>) {
    match &case.config_faults {
        Some(expected) => (vec![config_step(expected, found)], None),
        None => {
            let faults: Vec<String> = found.iter().map(ToString::to_string).collect();
            (Vec::new(), Some(format!("config: {}", faults.join("; "))))
        }
    }
}

fn config_step(expected: &[Value], found: &[ConfigFault]) -> StepResult {
    let found = found.iter().map(|fault| json!({ "path": fault.path.join("."), "why": fault.why })).collect::<Value>();
    let mut faults = Vec::new();
    compare("config_faults", &json!(expected), &found, &mut faults);
    StepResult { name: "config".to_owned(), faults, found: json!({ "config_faults": found }) }
}

fn told(component: &Path, results: &[CaseResult]) -> Done {
    let passed = results.iter().filter(|case| case.passed()).count();
    let failed = results.len() - passed;
    let mut words: String = results.iter().map(CaseResult::words).collect();
    words.push_str(&format!("{passed} passed, {failed} failed"));
    let cases: Vec<Value> = results.iter().map(CaseResult::json).collect();
    let json = json!({ "component": component.display().to_string(), "passed": passed, "failed": failed, "cases": cases });
    Done { exit: if failed == 0 { 0 } else { EXIT_CASES_FAILED }, ..Done::new(json, words) }
}
