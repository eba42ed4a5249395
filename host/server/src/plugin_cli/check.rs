//! `plugin check`: what a host would say of a component, without one. The codes are the host's.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use switchboard_core::clock::{Clock, SystemClock};
use switchboard_core::records::id::TenantId;
use switchboard_runtime::{CallContext, ClassSettings, Compiler, LoadedPlugin, Owner, Runtime, RuntimeSettings};

use super::asking::refusal_words;
use super::project::component_or_built;
use super::show::member;
use super::{Done, EXIT_REFUSED, Failed, read_component};
use crate::guards::order_fault;
use crate::http::refusal_json;
use crate::plugins::{InstallError, check_alone};

/// `plugin check`.
#[derive(Args)]
pub(super) struct CheckArguments {
    /// The component; what `plugin build` made in this folder unless it is given.
    component: Option<PathBuf>,
    /// As the operator would upload it, who may have more imports than a tenant.
    #[arg(long)]
    operator: bool,
    /// A file with the configuration that it is to be tried with, JSON.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// The refusal as a host gives it.
fn refused(error: impl Into<InstallError>) -> Failed {
    let json = refusal_json(error.into());
    Failed { exit: EXIT_REFUSED, words: refusal_words(&json), json }
}

fn read_config(path: &PathBuf) -> Result<Value, Failed> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| Failed::refused("unreadable", format!("{}: {error}", path.display())))?;
    serde_json::from_str(&text).map_err(|error| Failed::refused("config", format!("{}: {error}", path.display())))
}

pub(super) async fn check(arguments: &CheckArguments) -> Result<Done, Failed> {
    let failed = |error: String| Failed::refused("host", error);
    let component = component_or_built(arguments.component.as_ref())?;
    let bytes = read_component(&component)?;
    let config = arguments.config.as_ref().map_or_else(|| Ok(json!({})), read_config)?;
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let settings = RuntimeSettings {
        small: ClassSettings { places: 1, ..ClassSettings::small() },
        large: ClassSettings { places: 1, ..ClassSettings::large() },
        compiler: Compiler::Child { program },
        cache_folder: None,
        // Nothing is kept that it could vouch for.
        cache_key: [0; 32],
        remembered_max: 0,
    };
    let runtime = Runtime::without_host(settings).map_err(|error| failed(error.to_string()))?;
    let (owner, tenant) = match arguments.operator {
        true => (Owner::Operator, TenantId::OPERATOR),
        false => (Owner::Tenant, TenantId(1)),
    };
    let context = CallContext {
        tenant,
        principal: None,
        plugin: Arc::from("checked"),
        made_at: SystemClock.now(),
        config: config.to_string().into(),
        grants: Arc::default(),
        now_ms: SystemClock.now().0,
        once: None,
        figures: Arc::default(),
    };
    let mut loaded = runtime.load(&bytes, owner, &context).await.map_err(refused)?;
    loaded.config_faults.extend(order_fault(&loaded.interfaces, &config));
    if arguments.config.is_some() && !loaded.config_faults.is_empty() {
        return Err(refused(InstallError::Config(loaded.config_faults)));
    }
    let loaded = check_alone(tenant, loaded).map_err(refused)?;
    Ok(told(&component.display().to_string(), bytes.len(), &loaded))
}

fn told(component: &str, bytes: usize, loaded: &LoadedPlugin) -> Done {
    let routes: Vec<String> = loaded.routes.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    let json = json!({
        "component": component, "bytes": bytes, "sha256": loaded.sha256, "class": loaded.class,
        "interfaces": loaded.interfaces, "event_types": loaded.event_kinds, "routes": routes, "asked": loaded.asked,
        "ends_chain": loaded.narrowing.ends_chain, "keeps_instance": loaded.keeps_instance,
    });
    let mut lines = vec![
        format!("{component}: a host takes it"),
        format!("  bytes       {bytes}"),
        format!("  class       {}", member(&json, "class").as_str().unwrap_or_default()),
        format!("  interfaces  {}", loaded.interfaces.join(", ")),
        format!("  asks for    {}", member(&json, "asked")),
    ];
    if !loaded.event_kinds.is_empty() {
        let chain = if loaded.narrowing.ends_chain { "; may end the chain of responders" } else { "" };
        lines.push(format!("  events      {}{chain}", loaded.event_kinds.join(", ")));
    }
    if !routes.is_empty() {
        let kept = if loaded.keeps_instance { "; its instances are kept between requests" } else { "" };
        lines.push(format!("  routes      {}{kept}", routes.join(", ")));
    }
    Done::new(json, lines.join("\n"))
}
