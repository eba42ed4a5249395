//! What asks a host: deploy, versions, rollback, logs, inspect, runs, release, drop, grants.

use std::path::PathBuf;

use clap::Args;
use http::Method;
use serde_json::Value;

use super::asking::{answer, no_answer};
use super::project::component_or_built;
use super::show::{call_words, grants_words, logs_words, member, plugin_words, runs_words, versions_words};
use super::{Done, Failed, HostArguments, print, read_component};
use crate::egress::ApiRequest;

/// Longest line of a stream: one call with everything that is kept of it.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// A plugin of a host.
#[derive(Args)]
pub(super) struct NamedArguments {
    /// The plugin's name.
    name: String,
    #[command(flatten)]
    host: HostArguments,
}

/// `plugin deploy`.
#[derive(Args)]
pub(super) struct DeployArguments {
    /// The component; what `plugin build` made in this folder unless it is given.
    component: Option<PathBuf>,
    /// The plugin's name; the file's, with - for _, unless it is given.
    #[arg(long)]
    name: Option<String>,
    /// Give the plugin all that the component asks for.
    #[arg(long)]
    grant: bool,
    /// Keep the version without making it the active one.
    #[arg(long)]
    keep: bool,
    /// What the version is.
    #[arg(long, default_value = "")]
    note: String,
    #[command(flatten)]
    host: HostArguments,
}

/// `plugin runs`.
#[derive(Args)]
pub(super) struct RunsArguments {
    /// The plugin's name.
    name: String,
    /// Those that wait for their turn or their next try, in place of those that were parked.
    #[arg(long)]
    waiting: bool,
    /// How many, at most; 1 to 100.
    #[arg(long, default_value_t = 20)]
    limit: u32,
    #[command(flatten)]
    host: HostArguments,
}

/// `plugin release`.
#[derive(Args)]
pub(super) struct RunArguments {
    /// The plugin's name.
    name: String,
    /// The run; every one that was parked unless it is given.
    run: Option<String>,
    #[command(flatten)]
    host: HostArguments,
}

/// `plugin drop`.
#[derive(Args)]
pub(super) struct DropArguments {
    /// The plugin's name.
    name: String,
    /// The run.
    run: String,
    #[command(flatten)]
    host: HostArguments,
}

/// `plugin grants`.
#[derive(Args)]
pub(super) struct GrantsArguments {
    /// The plugin's name.
    name: String,
    /// Give the plugin what this file says, JSON, in place of what it has.
    #[arg(long, value_name = "FILE", conflicts_with = "asked")]
    set: Option<PathBuf>,
    /// Give it all that its active version asks for; the newest one, which becomes active, while none is.
    #[arg(long)]
    asked: bool,
    /// The version that is meant instead, which becomes the active one.
    #[arg(long, requires = "asked")]
    version: Option<u64>,
    #[command(flatten)]
    host: HostArguments,
}

/// `plugin logs`.
#[derive(Args)]
pub(super) struct LogsArguments {
    /// The plugin's name.
    name: String,
    /// Go on with new calls as they end, until the command is stopped.
    #[arg(long, short)]
    follow: bool,
    /// Those that failed alone.
    #[arg(long)]
    failed: bool,
    /// Those of one interface, such as responder.
    #[arg(long)]
    interface: Option<String>,
    /// One run, request or function.
    #[arg(long)]
    call: Option<String>,
    /// Those about the event of this number.
    #[arg(long)]
    event: Option<u64>,
    /// How many, at most; 1 to 100.
    #[arg(long, default_value_t = 20)]
    limit: u32,
    #[command(flatten)]
    host: HostArguments,
}

impl LogsArguments {
    fn query(&self) -> Vec<(&'static str, String)> {
        let mut query = Vec::new();
        if self.failed {
            query.push(("failed", "true".to_owned()));
        }
        query.extend(self.interface.clone().map(|interface| ("interface", interface)));
        query.extend(self.call.clone().map(|call| ("call", call)));
        query.extend(self.event.map(|event| ("event", event.to_string())));
        query
    }
}

/// The name that a component's file gives its plugin.
fn name_of(component: &std::path::Path) -> Result<String, Failed> {
    let stem = component.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let name = stem.to_ascii_lowercase().replace('_', "-");
    if name.is_empty() { Err(Failed::refused("name", "the file has no name; give --name")) } else { Ok(name) }
}

pub(super) async fn deploy(arguments: &DeployArguments) -> Result<Done, Failed> {
    let component = component_or_built(arguments.component.as_ref())?;
    let name = arguments.name.clone().map_or_else(|| name_of(&component), Ok)?;
    let bytes = read_component(&component)?;
    arguments.host.as_its_owner("uploaded")?;
    let mut query = vec![("name", name.clone()), ("activate", (!arguments.keep).to_string())];
    if arguments.grant {
        query.push(("grants", "asked".to_owned()));
    }
    if !arguments.note.is_empty() {
        query.push(("note", arguments.note.clone()));
    }
    let told = arguments.host.change(Method::POST, &["plugins"], &query, Some(("application/wasm", bytes))).await;
    let told = told.map_err(|mut failed| {
        failed.words = failed.words.replace("NAME", &name);
        failed
    })?;
    let version = member(member(&told, "uploaded"), "n");
    let active = member(&told, "version");
    let words = match arguments.keep {
        true if active == 0 => format!("{name}: version {version} is kept; none is active yet"),
        true => format!("{name}: version {version} is kept; version {active} is the active one"),
        false if member(&told, "state") == "stopped" => {
            format!("{name}: version {version} is the active one; the plugin is stopped, and stays so")
        }
        false => format!("{name}: version {version} is live"),
    };
    Ok(Done::new(told, words))
}

pub(super) async fn versions(arguments: &NamedArguments) -> Result<Done, Failed> {
    let told = arguments.host.get(&["plugins", &arguments.name, "versions"], Vec::new()).await?;
    let words = versions_words(&told);
    Ok(Done::new(told, words))
}

pub(super) async fn roll_back(arguments: &NamedArguments) -> Result<Done, Failed> {
    let path = ["plugins", &arguments.name, "rollback"];
    arguments.host.as_its_owner("changed")?;
    let told = arguments.host.change(Method::POST, &path, &[], None).await?;
    let words = format!("{}: version {} is the active one", arguments.name, member(&told, "version"));
    Ok(Done::new(told, words))
}

pub(super) async fn inspect(arguments: &NamedArguments) -> Result<Done, Failed> {
    let mut told = arguments.host.get(&["plugins", &arguments.name], Vec::new()).await?;
    if member(&told, "version") == 0 {
        // What a kept version lacks is told by its grants: the plugin itself asks for nothing yet.
        let grants = arguments.host.get(&["plugins", &arguments.name, "grants"], Vec::new()).await?;
        if let Value::Object(told) = &mut told {
            told.extend(["asked", "missing"].map(|name| (name.to_owned(), member(&grants, name).clone())));
        }
    }
    let words = plugin_words(&told);
    Ok(Done::new(told, words))
}

pub(super) async fn runs(arguments: &RunsArguments) -> Result<Done, Failed> {
    let state = if arguments.waiting { "waiting" } else { "parked" };
    let query = vec![("state", state.to_owned()), ("limit", arguments.limit.to_string())];
    let told = arguments.host.get(&["plugins", &arguments.name, "runs"], query).await?;
    let words = runs_words(&told, state);
    Ok(Done::new(told, words))
}

pub(super) async fn release(arguments: &RunArguments) -> Result<Done, Failed> {
    let path = match &arguments.run {
        Some(run) => vec!["plugins", &arguments.name, "runs", run, "release"],
        None => vec!["plugins", &arguments.name, "runs", "release"],
    };
    let query = arguments.host.of_tenant(Vec::new());
    let told = arguments.host.change(Method::POST, &path, &query, None).await?;
    let words = format!("{}: {} released", arguments.name, member(&told, "released"));
    Ok(Done::new(told, words))
}

pub(super) async fn drop_run(arguments: &DropArguments) -> Result<Done, Failed> {
    let DropArguments { name, run, host } = arguments;
    let query = host.of_tenant(Vec::new());
    host.change(Method::DELETE, &["plugins", name, "runs", run], &query, None).await?;
    Ok(Done::new(serde_json::json!({ "dropped": run }), format!("{name}: {run} is dropped")))
}

pub(super) async fn grants(arguments: &GrantsArguments) -> Result<Done, Failed> {
    let GrantsArguments { name, set, asked, version, host } = arguments;
    let path = ["plugins", name.as_str(), "grants"];
    if let Some(file) = set {
        host.as_its_owner("given grants")?;
        let grants = read_component(file)?;
        host.change(Method::PUT, &path, &[], Some(("application/json", grants))).await?;
    } else if *asked {
        host.as_its_owner("given grants")?;
        // Saying yes is said of a version, which is the active one from then on.
        let plugin = host.get(&["plugins", name], Vec::new()).await?;
        let active = member(&plugin, "version");
        let held = || if active == 0 { member(&plugin, "latest") } else { active }.to_string();
        let version = version.map_or_else(held, |version| version.to_string());
        let yes = br#"{"grants":"asked"}"#.to_vec();
        let activate = ["plugins", name.as_str(), "versions", &version, "activate"];
        host.change(Method::POST, &activate, &[], Some(("application/json", yes))).await?;
    }
    let told = host.get(&path, Vec::new()).await?;
    let words = grants_words(name, &told);
    Ok(Done::new(told, words))
}

pub(super) async fn logs(arguments: &LogsArguments, as_json: bool) -> Result<Done, Failed> {
    let mut query = arguments.query();
    query.push(("limit", arguments.limit.to_string()));
    let told = arguments.host.get(&["plugins", &arguments.name, "logs"], query).await?;
    if !arguments.follow {
        let words = logs_words(&told);
        return Ok(Done::new(told, words));
    }
    let calls = member(&told, "calls").as_array().cloned().unwrap_or_default();
    calls.iter().rev().for_each(|call| print_call(call, as_json));
    let newest = calls.first().and_then(|call| member(call, "n").as_u64());
    follow(arguments, newest, as_json).await
}

fn print_call(call: &Value, as_json: bool) {
    if as_json { print(&call.to_string()) } else { print(&call_words(call)) }
}

/// Prints new calls until the stream ends. With `--json` each is a line of its own.
async fn follow(arguments: &LogsArguments, newest: Option<u64>, as_json: bool) -> Result<Done, Failed> {
    let mut query = arguments.host.of_tenant(arguments.query());
    query.extend(newest.map(|newest| ("after", newest.to_string())));
    let path = ["plugins", &arguments.name, "logs", "stream"];
    let asked =
        arguments.host.client()?.ask(ApiRequest { method: Method::GET, path: &path, query: &query, body: None }).await;
    let mut stream = asked.map_err(no_answer)?;
    if stream.status != 200 {
        answer(stream).await?;
        return Ok(Done::new(Value::Null, ""));
    }
    let mut line = Vec::new();
    while let Some(piece) = stream.piece().await.map_err(no_answer)? {
        for byte in piece {
            if byte != b'\n' {
                line.push(byte);
                if line.len() > LINE_BYTES_MAX {
                    return Err(Failed::refused("too_long", format!("a line is over {LINE_BYTES_MAX} bytes")));
                }
                continue;
            }
            if let Some(call) = line.strip_prefix(b"data: ").and_then(|data| serde_json::from_slice(data).ok()) {
                print_call(&call, as_json);
            }
            line.clear();
        }
    }
    Err(Failed::unreachable("the stream has ended: the host stopped, or the plugin was deleted".to_owned()))
}
