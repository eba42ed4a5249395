//! The hostile suite: plugins that try to harm their host or their neighbours, and how each of them must end.
//!
//! The name of a case says both, as in `spins__ends_at_the_cpu_limit`: what stands behind the two underscores is what the case is held
//! to. The tests of the runtime run every case beside a neighbour; the benchmark `hostile` measures what the neighbour notices.

mod bombs;
mod bytes;
mod guest;
mod modules;
mod uploads;

use std::sync::Arc;

use switchboard_core::clock::Timestamp;
use switchboard_core::flow::responder_worker::RunTry;
use switchboard_core::records::content::Content;
use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::Grants;
use switchboard_runtime::types::{Request, Response};
use switchboard_runtime::{CallContext, CallReport, Called, CompileError, LoadedPlugin, Outcome, Owner, Runtime};

use crate::records::{NOW_MS, heard};

/// Whose plugin misbehaves.
pub const ATTACKER: TenantId = TenantId(7);
/// The full name under which each of the suite's plugins runs, those of the neighbour too: only the tenant tells them apart.
pub const PLUGIN: &str = "operator/guest";

/// What a plugin of the suite does.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    /// The misbehaving guest hears this text.
    Hears(&'static str),
    /// Its router is asked for this path.
    Asked(&'static str),
    /// It is uploaded with this configuration.
    Configured(&'static str),
    /// This component is uploaded, and hears a text if it can be.
    Component(fn() -> Vec<u8>),
}

/// One plugin of the suite.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What it does and how it must end.
    pub name: &'static str,
    /// How it is made to do it.
    pub deed: Deed,
    /// What its answer, or the reason why there is none, contains.
    pub words: &'static str,
}

/// A kind of harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// It computes.
    Time,
    /// It takes memory, or breaks what lies in it.
    Memory,
    /// It asks the host for too much.
    HostCalls,
    /// It is no plugin at all, or none that may be taken.
    Uploads,
    /// It takes too much to compile.
    Compilation,
}

/// The cases of one kind.
pub fn cases(theme: Theme) -> Vec<Case> {
    match theme {
        Theme::Time => [guest::TIME, modules::TIME].concat(),
        Theme::Memory => [guest::MEMORY, modules::MEMORY].concat(),
        Theme::HostCalls => [guest::HOST_CALLS, modules::HOST_CALLS].concat(),
        Theme::Uploads => [uploads::BYTES, uploads::ITEMS, uploads::TRIALS, bombs::SOON].concat(),
        Theme::Compilation => bombs::LONG.to_vec(),
    }
}

/// A plugin that looks into all the memory and the whole table that it can have, and breaks if anything is there before it wrote
/// anything.
pub fn sniffer() -> Vec<u8> {
    modules::SNIFFER.component()
}

/// Every kind.
pub const THEMES: [Theme; 5] = [Theme::Time, Theme::Memory, Theme::HostCalls, Theme::Uploads, Theme::Compilation];

impl Case {
    /// How it must end.
    ///
    /// # Panics
    /// When its name does not say.
    pub fn expected(&self) -> &'static str {
        self.name.split_once("__").unwrap_or_else(|| panic!("{} does not say how it ends", self.name)).1
    }

    /// Everything up to the deed itself, so that the deed can be done over and over.
    pub async fn ready(&self, runtime: &Runtime, guest: &Arc<LoadedPlugin>) -> Ready {
        let upload = |bytes: Vec<u8>, config: &str| Ready::Upload(bytes, config.to_owned());
        match self.deed {
            Deed::Hears(text) => Ready::Hears(Arc::clone(guest), text),
            Deed::Asked(path) => Ready::Asked(Arc::clone(guest), path),
            Deed::Configured(config) => upload(crate::components::bytes(env!("GUEST_HOSTILE")), config),
            Deed::Component(bytes) => {
                let bytes = bytes();
                match runtime.load(&bytes, Owner::Tenant, &context(ATTACKER, "{}")).await {
                    Ok(loaded) => Ready::Hears(Arc::new(loaded), "good day"),
                    Err(_) => upload(bytes, "{}"),
                }
            }
        }
    }
}

/// A deed that can be done.
#[derive(Debug)]
pub enum Ready {
    /// A responder hears a text.
    Hears(Arc<LoadedPlugin>, &'static str),
    /// A router is asked for a path.
    Asked(Arc<LoadedPlugin>, &'static str),
    /// A component is uploaded with a configuration.
    Upload(Vec<u8>, String),
}

impl Ready {
    /// Does it.
    pub async fn go(&self, runtime: &Runtime) -> Ended {
        let context = context(ATTACKER, "{}");
        match self {
            Self::Hears(plugin, text) => {
                let run = RunTry { id: "run-1", attempt: 1 };
                let called = runtime.respond(plugin, &context, &run, &heard(text)).await;
                Ended::read(called.and_then(|answer| {
                    let told = answer.commands.iter().map(|command| match &command.content {
                        Content::Text(text) => text.as_str(),
                        _ => "something else",
                    });
                    Outcome::Reply(told.collect::<Vec<_>>().join("; "))
                }))
            }
            Self::Asked(plugin, path) => {
                let called = ask(runtime, plugin, &context, path).await;
                Ended::read(called.and_then(|answer| Outcome::Reply(answer.status.to_string())))
            }
            Self::Upload(bytes, config) => {
                let context = CallContext { config: Arc::from(config.as_str()), ..context };
                Ended::of_upload(runtime.load(bytes, Owner::Tenant, &context).await)
            }
        }
    }
}

async fn ask(runtime: &Runtime, plugin: &LoadedPlugin, context: &CallContext, path: &str) -> Called<Response> {
    let route = plugin.routes.iter().position(|route| route.path == path).unwrap();
    let request = Request {
        route: u32::try_from(route).unwrap(),
        method: "GET".to_owned(),
        path: path.to_owned(),
        now_ms: NOW_MS,
        ..Request::default()
    };
    runtime.handle(plugin, context, &request).await
}

/// How a deed ended.
#[derive(Debug)]
pub struct Ended {
    /// In the words of the names of cases.
    pub how: String,
    /// The answer, or why there is none.
    pub why: String,
    /// What the call used and logged; nothing for an upload.
    pub report: CallReport,
}

impl Ended {
    fn read(called: Called<String>) -> Self {
        let (how, why) = match called.outcome {
            Outcome::Reply(told) => ("is_answered".to_owned(), told),
            Outcome::PluginError(why) => ("fails_in_its_own_words".to_owned(), why),
            Outcome::Trap(why) => ("traps".to_owned(), why),
            Outcome::LimitExceeded(limit, why) => (format!("ends_at_the_{}_limit", limit.name().replace(' ', "_")), why),
        };
        Self { how, why, report: called.report }
    }

    /// How an upload ended.
    pub fn of_upload(loaded: Result<LoadedPlugin, CompileError>) -> Self {
        let (how, why) = match loaded {
            Ok(plugin) => ("is_taken".to_owned(), plugin.sha256.clone()),
            Err(CompileError::Refused(error)) => (format!("is_refused_as_{}", error.code()), error.to_string()),
            Err(error) => ("is_the_hosts_fault".to_owned(), error.to_string()),
        };
        Self { how, why, report: CallReport::default() }
    }
}

/// A call of one of the suite's plugins, which have been given something that they can misuse.
pub fn context(tenant: TenantId, config: &str) -> CallContext {
    let grants = Grants { http: ["api.example.com".to_owned()].into(), kv_bytes: 100_000, ..Grants::default() };
    CallContext {
        tenant,
        principal: None,
        plugin: Arc::from(PLUGIN),
        made_at: Timestamp(NOW_MS),
        config: Arc::from(config),
        figures: Arc::default(),
        grants: Arc::new(grants),
        now_ms: NOW_MS,
        once: None,
    }
}
