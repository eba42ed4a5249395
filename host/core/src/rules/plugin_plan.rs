//! What a plan lets a tenant's own plugins use. A figure can only narrow what the host's configuration lets every plugin use.

use super::plan::PlanError;
use crate::records::account::Tenant;

/// Figures that a tenant's `limits` may have of its plugins.
pub const PLUGIN_FIGURES: [&str; 10] = [
    "plugin_cpu_ms",
    "plugin_wall_ms",
    "plugin_memory_bytes",
    "plugin_host_calls",
    "plugin_log_bytes",
    "plugin_output_bytes",
    "plugin_http_requests",
    "plugin_http_per_minute",
    "plugin_component_bytes",
    "plugin_versions",
];
/// Fewest versions of a plugin: the active one and the one to go back to.
pub const VERSIONS_MIN: u64 = 2;

/// What the plugins of a tenant may use; `None` is as much as the host lets them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PluginFigures {
    /// Time that one call may compute, milliseconds.
    pub cpu_ms: Option<u64>,
    /// Time from the start of a call to its end, milliseconds.
    pub wall_ms: Option<u64>,
    /// Linear memory of one call, bytes.
    pub memory_bytes: Option<u64>,
    /// Host calls of one call.
    pub host_calls: Option<u64>,
    /// Bytes of log of one call.
    pub log_bytes: Option<u64>,
    /// Bytes of what one call returns.
    pub output_bytes: Option<u64>,
    /// Requests over HTTP of one call.
    pub http_requests: Option<u64>,
    /// Requests over HTTP of all of them in a minute of the calendar.
    pub http_per_minute: Option<u64>,
    /// Bytes of one component.
    pub component_bytes: Option<u64>,
    /// Versions that are kept of one plugin.
    pub versions: Option<u64>,
}

/// Those of the plan `free`.
const FREE: PluginFigures = PluginFigures {
    cpu_ms: Some(250),
    wall_ms: Some(10_000),
    memory_bytes: Some(128 * 1024 * 1024),
    host_calls: Some(512),
    log_bytes: Some(32 * 1024),
    output_bytes: Some(1024 * 1024),
    http_requests: Some(5),
    http_per_minute: Some(60),
    component_bytes: Some(16 * 1024 * 1024),
    versions: None,
};
/// Those of the others.
const PAID: PluginFigures = PluginFigures {
    cpu_ms: None,
    wall_ms: None,
    memory_bytes: None,
    host_calls: None,
    log_bytes: None,
    output_bytes: None,
    http_requests: None,
    http_per_minute: None,
    component_bytes: None,
    versions: None,
};

impl PluginFigures {
    /// What holds for the plugins of a tenant: its plan's figures, and its own limits in their places. A plan that this version
    /// does not know is as narrow as the narrowest that ships.
    pub fn of(tenant: &Tenant) -> Self {
        let known = super::plan::plan(&tenant.plan).is_ok();
        let mut figures = if tenant.plan == "free" || !known { FREE } else { PAID };
        for (name, figure) in figures.named_mut() {
            *figure = tenant.limits.get(name).copied().or(*figure);
        }
        figures
    }

    /// Each figure with its name, in the order of [`PLUGIN_FIGURES`].
    pub fn named(mut self) -> [(&'static str, Option<u64>); PLUGIN_FIGURES.len()] {
        self.named_mut().map(|(name, figure)| (name, *figure))
    }

    fn named_mut(&mut self) -> [(&'static str, &mut Option<u64>); PLUGIN_FIGURES.len()] {
        let Self {
            cpu_ms,
            wall_ms,
            memory_bytes,
            host_calls,
            log_bytes,
            output_bytes,
            http_requests,
            http_per_minute,
            component_bytes,
            versions,
        } = self;
        [
            ("plugin_cpu_ms", cpu_ms),
            ("plugin_wall_ms", wall_ms),
            ("plugin_memory_bytes", memory_bytes),
            ("plugin_host_calls", host_calls),
            ("plugin_log_bytes", log_bytes),
            ("plugin_output_bytes", output_bytes),
            ("plugin_http_requests", http_requests),
            ("plugin_http_per_minute", http_per_minute),
            ("plugin_component_bytes", component_bytes),
            ("plugin_versions", versions),
        ]
    }
}

/// Whether a tenant's limits may say this of its plugins.
///
/// # Errors
/// [`PlanError::TooSmall`].
pub(super) fn check(name: &str, value: u64) -> Result<(), PlanError> {
    if name == "plugin_versions" && value < VERSIONS_MIN {
        return Err(PlanError::TooSmall { name: "plugin_versions", value, min: VERSIONS_MIN });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::clock::Timestamp;
    use crate::records::id::TenantId;
    use crate::rules::plan::check_limit;

    fn tenant(plan: &str, limits: &[(&str, u64)]) -> Tenant {
        Tenant {
            id: TenantId(1),
            name: "acme".to_owned(),
            active: true,
            plan: plan.to_owned(),
            limits: limits.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            created_at: Timestamp(0),
            apis_off: BTreeSet::new(),
            hosts: BTreeSet::new(),
        }
    }

    #[test]
    fn a_tenants_own_limits_take_the_places_of_its_plans() {
        assert_eq!(PluginFigures::of(&tenant("unlimited", &[])), PluginFigures::default());
        assert_eq!(PluginFigures::of(&tenant("free", &[])), FREE);
        assert_eq!(PluginFigures::of(&tenant("of tomorrow", &[])), FREE);
        let own = PluginFigures::of(&tenant("free", &[("plugin_cpu_ms", 900), ("messages_per_day", 1)]));
        assert_eq!(own, PluginFigures { cpu_ms: Some(900), ..FREE });
    }

    #[test]
    fn every_figure_has_a_name_that_limits_may_use() {
        assert_eq!(PluginFigures::default().named().map(|(name, _)| name), PLUGIN_FIGURES);
        for (at, name) in PLUGIN_FIGURES.into_iter().enumerate() {
            check_limit(name, 7).unwrap();
            let one = PluginFigures::of(&tenant("unlimited", &[(name, 7)])).named();
            assert_eq!(one.map(|(_, figure)| figure.is_some()), std::array::from_fn(|other| other == at), "{name}");
        }
    }

    #[test]
    fn a_plugin_keeps_what_it_can_go_back_to() {
        let refused = check_limit("plugin_versions", 1).unwrap_err().to_string();
        assert_eq!(refused, "plugin_versions is 1; at least 2 is needed");
    }
}
