//! What asks a host: deploy, versions, rollback, logs, inspect.

use std::path::PathBuf;

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::project::component_or_built;
use super::show::{call_words, logs_words, member, plugin_words, versions_words};
use super::{Done, EXIT_DENIED, EXIT_REFUSED, Failed, HostArguments, print, read_component};
use crate::egress::{ApiAnswer, ApiClient, ApiError, ApiRequest};

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

impl HostArguments {
    fn client(&self) -> Result<ApiClient, Failed> {
        ApiClient::new(&self.url, &self.key).map_err(no_answer)
    }

    /// Whether no tenant is named, where the operator's key alone does not do.
    fn as_its_owner(&self, done: &str) -> Result<(), Failed> {
        let why = || format!("a plugin of a tenant is {done} with a key of that tenant, without --tenant");
        if self.tenant.is_some() { Err(Failed::refused("tenant", why())) } else { Ok(()) }
    }

    /// `query`, with the tenant that is meant.
    fn of_tenant(&self, mut query: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
        query.extend(self.tenant.map(|tenant| ("tenant", tenant.to_string())));
        query
    }

    async fn get(&self, path: &[&str], query: Vec<(&'static str, String)>) -> Result<Value, Failed> {
        let query = self.of_tenant(query);
        let asked = self.client()?.ask(ApiRequest { method: Method::GET, path, query: &query, body: None }).await;
        answer(asked.map_err(no_answer)?).await
    }

    async fn post(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<Value, Failed> {
        let body = body.map(|(content_type, body)| (content_type, body.into()));
        let asked = self.client()?.ask(ApiRequest { method: Method::POST, path, query, body }).await;
        answer(asked.map_err(no_answer)?).await
    }
}

fn no_answer(error: ApiError) -> Failed {
    match error {
        ApiError::Address(_) => Failed::refused("address", error.to_string()),
        other => Failed::unreachable(other.to_string()),
    }
}

/// What a host answered, if it did what it was asked.
async fn answer(answered: ApiAnswer) -> Result<Value, Failed> {
    let status = answered.status;
    let body = answered.body().await.map_err(no_answer)?;
    let told: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    if (200..300).contains(&status) {
        return Ok(told);
    }
    let exit = if matches!(status, 401 | 403) { EXIT_DENIED } else { EXIT_REFUSED };
    let text = |member: &str| told.get(member).and_then(Value::as_str);
    let mut words =
        text("detail").or_else(|| text("title")).map_or_else(|| format!("the host answers {status}"), str::to_owned);
    if let Some(code) = text("code") {
        words = format!("{code}: {words}");
    }
    for fault in told.get("errors").and_then(Value::as_array).into_iter().flatten() {
        let of = |member: &str| fault.get(member).and_then(Value::as_str).unwrap_or_default();
        words.push_str(&format!("\n  {} {}", of("pointer"), of("detail")));
    }
    for missing in told.get("missing").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        words.push_str(&format!("\n  {missing}"));
    }
    if text("code") == Some("grants_needed") {
        words.push_str("\ngive them with: switchboard plugin deploy --grant");
    }
    let json = if told.is_null() { json!({ "status": status }) } else { told };
    Err(Failed { exit, json, words })
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
    let told = arguments.host.post(&["plugins"], &query, Some(("application/wasm", bytes))).await?;
    let version = member(member(&told, "uploaded"), "n");
    let words = match arguments.keep {
        true => format!("{name}: version {version} is kept; version {} is the active one", member(&told, "version")),
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
    let told = arguments.host.post(&path, &[], None).await?;
    let words = format!("{}: version {} is the active one", arguments.name, member(&told, "version"));
    Ok(Done::new(told, words))
}

pub(super) async fn inspect(arguments: &NamedArguments) -> Result<Done, Failed> {
    let told = arguments.host.get(&["plugins", &arguments.name], Vec::new()).await?;
    let words = plugin_words(&told);
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
