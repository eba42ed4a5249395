//! A plugin that is active: its record, its code, and what its calls used.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::Plugin;
use switchboard_runtime::{CallContext, CallReport, LoadedPlugin};

/// A plugin that is active.
pub struct ActivePlugin {
    /// Its record.
    pub record: Plugin,
    /// Its component, ready to be called.
    pub loaded: LoadedPlugin,
    pub(super) config: Arc<str>,
    /// Its OpenAPI document as it is served, JSON.
    pub(super) openapi: Option<Bytes>,
    pub(super) usage: Usage,
}

/// What a plugin's calls used since it became active.
#[derive(Default)]
pub(super) struct Usage {
    calls: AtomicU64,
    last_us: AtomicU64,
}

impl ActivePlugin {
    /// What it is called by in logs, cursors and work: `operator/<name>` or `<tenant>/<name>`.
    pub fn full_name(&self) -> String {
        full_name(self.record.tenant, &self.record.name)
    }

    /// How often it was called since it became active, and how long the last call took, microseconds.
    pub fn usage(&self) -> (u64, u64) {
        (self.usage.calls.load(Ordering::Relaxed), self.usage.last_us.load(Ordering::Relaxed))
    }

    /// Its OpenAPI document, JSON, with the places where it is mounted; `None` when it carries none.
    pub fn openapi(&self) -> Option<Bytes> {
        self.openapi.clone()
    }

    /// The context of a call about what is `tenant`'s, by nobody.
    pub fn context(&self, tenant: TenantId, now_ms: u64) -> CallContext {
        let (plugin, config) = (self.full_name().into(), Arc::clone(&self.config));
        CallContext { tenant, principal: None, plugin, config, now_ms, once: None }
    }
}

pub(super) fn full_name(tenant: TenantId, name: &str) -> String {
    if tenant == TenantId::OPERATOR { format!("operator/{name}") } else { format!("{tenant}/{name}") }
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
