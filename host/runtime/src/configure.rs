//! Calls the `configurable` interface: is this configuration one that the plugin can follow?

use crate::inspect::InspectError;
use crate::log::short_words;
use crate::runtime::{CallContext, LoadedPlugin, Runtime};

/// Most faults that are shown of one configuration.
const FAULTS_MAX: usize = 100;
/// Most steps of the way to a fault.
const STEPS_MAX: usize = 16;

/// What a plugin finds wrong with one place of its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    /// Names and indexes on the way there; none for the whole.
    pub path: Vec<String>,
    /// What is wrong with it, at most 1,000 characters.
    pub why: String,
}

impl std::fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = if self.path.is_empty() { "the configuration".to_owned() } else { self.path.join(".") };
        write!(f, "{place}: {}", self.why)
    }
}

impl Runtime {
    /// Calls `configurable.check` with the configuration of `context`. A plugin that does not export it finds nothing wrong.
    pub(crate) async fn check_config(
        &self,
        plugin: &LoadedPlugin,
        context: &CallContext,
    ) -> Result<Vec<ConfigFault>, InspectError> {
        let Some(pre) = &plugin.configurable else { return Ok(Vec::new()) };
        let called = self
            .call(plugin.class, context, |store, _| {
                Box::pin(async move {
                    let instance = pre.instantiate_async(&mut *store).await?;
                    instance.switchboard_plugin_configurable().call_check(store, &context.config).await
                })
            })
            .await;
        let faults = called.outcome.into_result().map_err(|why| InspectError::TrialFailed { call: "check", why })?;
        let shown = faults.into_iter().take(FAULTS_MAX).map(|fault| ConfigFault {
            path: fault.path.iter().take(STEPS_MAX).map(|step| short_words(step)).collect(),
            why: short_words(&fault.why),
        });
        Ok(shown.collect())
    }
}
