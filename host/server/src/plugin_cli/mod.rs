//! `switchboard plugin`: plugins from a new project to a live version, for people and, with `--json`, for programs.
//!
//! What a command finds goes to standard output; what went wrong to standard error. The exit code is 0 when it is done, 1 when
//! the component or the host says no, 2 for a command line that cannot be taken, 3 when the host cannot be reached, 4 when the
//! key may not do it, and 5 when a case of `plugin test` fails.

mod asking;
mod check;
mod host;
mod project;
mod show;
mod test;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// The command line cannot be taken.
const EXIT_USAGE: u8 = 2;
/// Not done: the component or the host says no.
const EXIT_REFUSED: u8 = 1;
/// The host cannot be reached.
const EXIT_UNREACHABLE: u8 = 3;
/// The key may not do it.
const EXIT_DENIED: u8 = 4;
/// A plugin does not do what its cases expect.
const EXIT_CASES_FAILED: u8 = 5;

/// `switchboard plugin`.
#[derive(Args)]
pub(crate) struct PluginArguments {
    #[command(subcommand)]
    command: PluginCommand,
    /// Print one JSON object instead of words.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum PluginCommand {
    /// Make a project: a responder that answers, with its test. It brings the SDK along.
    New(project::NewArguments),
    /// Build the project in this folder; the component's path is printed.
    Build(project::BuildArguments),
    /// Look at a component as a host would before it runs it. No host is asked.
    Check(check::CheckArguments),
    /// Run the cases of a project (tests/*.json) on a host in memory: no network, and nothing is left behind.
    Test(test::TestArguments),
    /// Upload a component, and make it the active version.
    Deploy(host::DeployArguments),
    /// List the versions of a plugin, newest first.
    Versions(host::NamedArguments),
    /// Go back to the version that was active before.
    Rollback(host::NamedArguments),
    /// Show how calls went and what they logged.
    Logs(host::LogsArguments),
    /// Show a plugin: its state, version, grants and configuration.
    Inspect(host::NamedArguments),
    /// List runs of a responder that were parked, with why; or those that wait.
    Runs(host::RunsArguments),
    /// Let a run that was parked run anew, or all of them.
    Release(host::RunArguments),
    /// Drop a run that was parked.
    Drop(host::DropArguments),
    /// Show what a plugin was given, what it asks for and what is missing; or give it.
    Grants(host::GrantsArguments),
}

/// The host that is asked.
#[derive(Args)]
struct HostArguments {
    /// Its address.
    #[arg(long, env = "SWITCHBOARD_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// A key of kind tenant, or the operator's.
    #[arg(long, env = "SWITCHBOARD_KEY", hide_env_values = true)]
    key: Option<String>,
    /// The tenant whose plugins are meant; with the operator's key alone.
    #[arg(long)]
    tenant: Option<u64>,
}

/// What a command came to.
#[derive(Debug)]
struct Done {
    /// For programs.
    json: Value,
    /// For people.
    words: String,
    /// 0, unless what was done shows a failure.
    exit: u8,
}

impl Done {
    fn new(json: Value, words: impl Into<String>) -> Self {
        Self { json, words: words.into(), exit: 0 }
    }
}

/// Why a command is not done.
#[derive(Debug)]
struct Failed {
    exit: u8,
    /// For programs.
    json: Value,
    /// For people.
    words: String,
}

impl Failed {
    /// Refused for a reason of its own.
    fn refused(code: &str, words: impl Into<String>) -> Self {
        let detail = words.into();
        let words = format!("{code}: {detail}");
        Self { exit: EXIT_REFUSED, json: json!({ "code": code, "detail": detail }), words }
    }

    fn unreachable(words: String) -> Self {
        Self { exit: EXIT_UNREACHABLE, json: json!({ "code": "unreachable", "detail": words }), words }
    }
}

/// Runs a command to its exit code.
pub(crate) async fn run(arguments: PluginArguments) -> ExitCode {
    let PluginArguments { command, json } = arguments;
    let ended = match command {
        PluginCommand::New(arguments) => project::new(&arguments),
        PluginCommand::Build(arguments) => project::build(&arguments).await,
        PluginCommand::Check(arguments) => check::check(&arguments).await,
        PluginCommand::Test(arguments) => test::test(&arguments).await,
        PluginCommand::Deploy(arguments) => host::deploy(&arguments).await,
        PluginCommand::Versions(arguments) => host::versions(&arguments).await,
        PluginCommand::Rollback(arguments) => host::roll_back(&arguments).await,
        PluginCommand::Logs(arguments) => host::logs(&arguments, json).await,
        PluginCommand::Inspect(arguments) => host::inspect(&arguments).await,
        PluginCommand::Runs(arguments) => host::runs(&arguments).await,
        PluginCommand::Release(arguments) => host::release(&arguments).await,
        PluginCommand::Drop(arguments) => host::drop_run(&arguments).await,
        PluginCommand::Grants(arguments) => host::grants(&arguments).await,
    };
    match ended {
        Ok(done) => {
            print(&if json { done.json.to_string() } else { done.words });
            ExitCode::from(done.exit)
        }
        Err(failed) => {
            if json {
                print(&json!({ "error": failed.json }).to_string());
            }
            // Nothing can be done when nobody reads it.
            let _ = writeln!(std::io::stderr(), "switchboard plugin: {}", failed.words);
            ExitCode::from(failed.exit)
        }
    }
}

fn print(text: &str) {
    if !text.is_empty() {
        // A reader who went away has seen enough.
        let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
    }
}

/// Reads a component.
fn read_component(path: &PathBuf) -> Result<Vec<u8>, Failed> {
    std::fs::read(path).map_err(|error| Failed::refused("unreadable", format!("{}: {error}", path.display())))
}
