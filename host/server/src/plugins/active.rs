//! A plugin that is active: its record, its code, and what its calls used.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use serde_json::json;

use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::{Grants, Plugin};
use switchboard_core::rules::plugin_plan::PluginFigures;
use switchboard_runtime::{CallContext, CallReport, LoadedPlugin};

/// A plugin that is active.
pub struct ActivePlugin {
    /// Its record, as it is stored.
    pub record: Arc<Plugin>,
    /// Its component, ready to be called.
    pub loaded: Arc<LoadedPlugin>,
    full_name: Arc<str>,
    config: Arc<str>,
    grants: Arc<Grants>,
    /// Its OpenAPI document as it is served, JSON.
    openapi: Option<Bytes>,
    usage: Usage,
    /// What the plan of its owner lets it use.
    figures: ArcSwap<PluginFigures>,
}

/// What a plugin's calls used since it became active.
#[derive(Default)]
struct Usage {
    calls: AtomicU64,
    last_us: AtomicU64,
    /// Its calls when it was last looked whether there are more.
    seen: AtomicU64,
    rests: AtomicBool,
}

impl ActivePlugin {
    /// The plugin of this record whose active version is `loaded`.
    pub(super) fn new(record: Plugin, loaded: LoadedPlugin, figures: PluginFigures) -> Arc<Self> {
        let document = loaded.openapi.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let openapi = document.map(|mut document: serde_json::Map<String, serde_json::Value>| {
            let servers = record.places().iter().map(|mount| json!({ "url": mount.url() })).collect();
            document.insert("servers".to_owned(), servers);
            Bytes::from(serde_json::Value::Object(document).to_string())
        });
        let (config, grants) = (record.config.to_string().into(), Arc::new(record.grants.clone()));
        let (loaded, figures) = (Arc::new(loaded), ArcSwap::from_pointee(figures));
        let full_name = full_name(record.tenant, &record.name).into();
        let record = Arc::new(record);
        Arc::new(Self { record, loaded, full_name, config, grants, openapi, usage: Usage::default(), figures })
    }

    /// The same component with the record as it was stored.
    pub(super) fn stored(&self, record: &Plugin) -> Arc<Self> {
        let (record, loaded) = (Arc::new(record.clone()), Arc::clone(&self.loaded));
        let (config, openapi, grants) = (Arc::clone(&self.config), self.openapi.clone(), Arc::new(record.grants.clone()));
        let (figures, full_name) = (ArcSwap::new(self.figures.load_full()), Arc::clone(&self.full_name));
        Arc::new(Self { record, loaded, full_name, config, grants, openapi, usage: Usage::default(), figures })
    }

    /// What it is called by in logs, cursors and work: `operator/<name>` or `<tenant>/<name>`.
    pub fn full_name(&self) -> String {
        self.full_name.to_string()
    }

    /// How often it was called since it became active, and how long the last call took, microseconds.
    pub fn usage(&self) -> (u64, u64) {
        (self.usage.calls.load(Ordering::Relaxed), self.usage.last_us.load(Ordering::Relaxed))
    }

    /// Gives the memory of its code back if nobody has called it since this was last asked.
    pub(super) fn rest_if_idle(&self) {
        let calls = self.usage.calls.load(Ordering::Relaxed);
        let idle = self.usage.seen.swap(calls, Ordering::Relaxed) == calls;
        if !self.usage.rests.swap(idle, Ordering::Relaxed) && idle {
            self.loaded.rest();
        }
    }

    /// Its owner's plan is another one now: for calls that begin from now on.
    pub(super) fn plan(&self, figures: PluginFigures) {
        self.figures.store(Arc::new(figures));
    }

    /// What it was given.
    pub fn grants(&self) -> Arc<Grants> {
        Arc::clone(&self.grants)
    }

    /// Its OpenAPI document, JSON, with the places where it is mounted; `None` when it carries none.
    pub fn openapi(&self) -> Option<Bytes> {
        self.openapi.clone()
    }

    /// The context of a call about what is `tenant`'s, by nobody.
    pub fn context(&self, tenant: TenantId, now_ms: u64) -> CallContext {
        let (plugin, config) = (Arc::clone(&self.full_name), Arc::clone(&self.config));
        let grants = Arc::clone(&self.grants);
        let figures = self.figures.load_full();
        let made_at = self.record.created_at;
        CallContext { tenant, principal: None, plugin, made_at, config, grants, figures, now_ms, once: None }
    }
}

pub(super) fn full_name(tenant: TenantId, name: &str) -> String {
    Plugin::full_name_of(tenant, name)
}

/// Passes on what a call logged. Lines cannot forge others: the runtime escapes them.
pub(super) fn note_report(plugin: &ActivePlugin, call: &str, report: &CallReport) {
    let us = u64::try_from(report.took.as_micros()).unwrap_or(u64::MAX);
    plugin.usage.calls.fetch_add(1, Ordering::Relaxed);
    plugin.usage.last_us.store(us, Ordering::Relaxed);
    if report.log.is_empty() && report.log_dropped == 0 {
        return;
    }
    let name = plugin.full_name();
    for line in &report.log {
        tracing::info!(plugin = name, call, level = ?line.level, "{}", line.message);
    }
    if report.log_dropped > 0 {
        tracing::warn!(plugin = name, call, dropped = report.log_dropped, "a plugin logged more than it may");
    }
}
