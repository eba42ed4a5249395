//! What a tenant's plan lets its own plugins use. The operator's plugins have what the configuration gives every plugin.

use std::time::Duration;

use serde_json::{Value, json};

use switchboard_core::records::account::Tenant;
use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::{SizeClass, VERSIONS_MAX};
use switchboard_core::rules::plugin_plan::PluginFigures;
use switchboard_core::storage::{ARTIFACT_BYTES_MAX, StorageError};

use super::{InstallError, PLUGINS_MAX, Plugins};
use crate::egress::FETCHES_PER_MINUTE_MAX;

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Plugins {
    /// The figures of the plugins of `owner`.
    pub(super) async fn figures(&self, owner: TenantId) -> Result<PluginFigures, StorageError> {
        if owner == TenantId::OPERATOR {
            return Ok(PluginFigures::default());
        }
        Ok(self.storage.tenant(owner).await?.map(|tenant| PluginFigures::of(&tenant)).unwrap_or_default())
    }

    /// A tenant was switched on or off, or has another plan: calls that begin from now on are held to it, and its responders look
    /// whether they owe something.
    ///
    /// # Errors
    /// When storage fails.
    pub(crate) async fn tenant_changed(&self, tenant: TenantId) -> Result<(), StorageError> {
        self.plan_changed(tenant).await?;
        self.wakes.events_have_more(tenant);
        Ok(())
    }

    pub(super) async fn plan_changed(&self, tenant: TenantId) -> Result<(), StorageError> {
        let figures = self.figures(tenant).await?;
        self.of(tenant).iter().for_each(|plugin| plugin.plan(figures));
        Ok(())
    }

    /// Whether a component is not too large for the plan of its owner.
    pub(super) async fn fits_plan(&self, owner: TenantId, bytes: usize) -> Result<(), InstallError> {
        let (bytes, max) = (bytes as u64, self.figures(owner).await?.component_bytes);
        match max.filter(|max| bytes > *max) {
            Some(max) => {
                self.metrics.plugin_limit_reached("component bytes");
                Err(InstallError::OverPlan { figure: "plugin_component_bytes", value: bytes, max })
            }
            None => Ok(()),
        }
    }

    /// What one call of the tenant's own plugins may use in each size class, and all of them together: the configuration's
    /// figures, where the plan does not say less.
    pub(crate) fn limits_json(&self, tenant: &Tenant) -> Value {
        let figures = PluginFigures::of(tenant);
        let class = |class| {
            let limits = self.runtime.limits(class).narrowed(&figures);
            json!({
                "cpu_ms": ms(limits.cpu), "wall_ms": ms(limits.wall), "memory_bytes": limits.memory_bytes_max,
                "host_calls": limits.host_calls_max, "http_requests": limits.fetches_max,
                "log_bytes": limits.log_bytes_max, "output_bytes": limits.output_bytes_max,
            })
        };
        let least = |plan: Option<u64>, own: u64| plan.map_or(own, |plan| plan.min(own));
        json!({
            "small": class(SizeClass::Small), "large": class(SizeClass::Large),
            "http_per_minute": least(figures.http_per_minute, FETCHES_PER_MINUTE_MAX),
            "component_bytes": least(figures.component_bytes, ARTIFACT_BYTES_MAX as u64),
            "versions": least(figures.versions, VERSIONS_MAX as u64), "plugins": PLUGINS_MAX,
        })
    }

    /// How many versions of a plugin are kept.
    pub(super) async fn versions_max(&self, owner: TenantId) -> Result<usize, StorageError> {
        let plan = self.figures(owner).await?.versions.and_then(|versions| usize::try_from(versions).ok());
        Ok(plan.map_or(VERSIONS_MAX, |versions| versions.min(VERSIONS_MAX)))
    }
}
