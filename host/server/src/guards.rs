//! Whom intake asks before it accepts: the policies among the plugins, the one that renders templates, and the one that chooses
//! who sends.
//!
//! All fail closed: a plugin that traps, breaks a limit or is missing lets nothing through. The operator's policies come first,
//! then the tenant's own, each by the number `order` of its configuration and then by name; the first that denies ends it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use async_trait::async_trait;
use serde_json::json;

use switchboard_core::clock::Clock;
use switchboard_core::flow::guards::{Guards, Policies, PolicyRefusal, Question, RenderRefusal, Renderer};
use switchboard_core::flow::sender_route::{RouteQuestion, RouteRefusal, SenderRoutes};
use switchboard_core::records::content::{Content, TemplateCall};
use switchboard_core::records::id::{SessionId, TenantId};
use switchboard_core::records::template::Template;
use switchboard_core::rules::said_back::said_back;
use switchboard_runtime::{Called, ConfigFault, GivenTemplate, Outcome, Verdict};

use crate::plugins::{ActivePlugin, CallAbout, Generation, POLICY_INTERFACE, Plugins, RESPONDER_INTERFACE};

/// The interface of plugins that render templates.
const TEMPLATE_INTERFACE: &str = "template";
/// Where a policy says when it is asked.
const ORDER: &str = "order";
/// What a caller is told when a policy fails: whose, and how, is for the log.
const POLICY_FAILED: &str = "a policy failed";
/// The same of what renders templates.
const RENDERER_FAILED: &str = "the plugin that renders templates failed";
/// The interface of plugins that choose who sends.
const SENDER_INTERFACE: &str = "sender-route";
/// The same of what chooses who sends.
const ROUTE_FAILED: &str = "the plugin that chooses the session failed";
/// The host has not activated all of its plugins.
const STARTING: &str = "the host is starting";

/// The plugins that guard acceptance. They are made after intake is, which they are told of then.
pub(crate) struct PluginGuards {
    plugins: OnceLock<Weak<Plugins>>,
    clock: Arc<dyn Clock>,
    /// How often it was asked for each tenant who sends.
    choices: Mutex<HashMap<TenantId, u64>>,
}

impl PluginGuards {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { plugins: OnceLock::new(), clock, choices: Mutex::default() })
    }

    /// What intake takes.
    pub(crate) fn for_intake(self: &Arc<Self>) -> Guards {
        Guards {
            policies: Some(Arc::clone(self) as _),
            renderer: Some(Arc::clone(self) as _),
            routes: Some(Arc::clone(self) as _),
        }
    }

    /// From now on these plugins are asked.
    pub(crate) fn ask(&self, plugins: &Arc<Plugins>) {
        // The first call says it: there is one set of plugins in a host.
        let _ = self.plugins.set(Arc::downgrade(plugins));
    }

    /// The plugins, once all are active that can be.
    fn plugins(&self) -> Option<Arc<Plugins>> {
        self.plugins.get()?.upgrade().filter(|plugins| plugins.is_restored())
    }

    /// The plugin that renders a tenant's templates.
    fn renderer(plugins: &Plugins, tenant: TenantId) -> Result<Arc<ActivePlugin>, RenderRefusal> {
        match who_serves(&plugins.generation(), tenant, TEMPLATE_INTERFACE) {
            Serving::By(plugin) => Ok(plugin),
            Serving::Lost | Serving::Nobody => {
                plugins.note_missing(TEMPLATE_INTERFACE);
                tracing::error!(%tenant, "a template cannot be rendered: no plugin is active that could");
                Err(RenderRefusal::Failed(RENDERER_FAILED.to_owned()))
            }
        }
    }

    /// Which question about the tenant's sessions this is, from 0.
    fn count_choice(&self, tenant: TenantId) -> u64 {
        let Ok(mut choices) = self.choices.lock() else { return 0 };
        let count = choices.entry(tenant).or_default();
        let counter = *count;
        *count = count.wrapping_add(1);
        counter
    }

    /// The answer of a plugin that renders; what went wrong otherwise is for the log.
    fn rendered<T>(
        plugins: &Plugins,
        plugin: &ActivePlugin,
        about: &CallAbout<'_>,
        called: Called<Result<T, RenderRefusal>>,
    ) -> Result<T, RenderRefusal> {
        plugins.note_call(plugin, about, &called);
        match called.outcome {
            Outcome::Reply(rendered) => rendered,
            failed => {
                let (plugin, outcome) = (plugin.full_name(), failed.name());
                let why = failed.into_result().err().unwrap_or_default();
                tracing::error!(plugin, outcome, why, "a template cannot be rendered");
                Err(RenderRefusal::Failed(RENDERER_FAILED.to_owned()))
            }
        }
    }
}

fn serves(plugin: &ActivePlugin, interface: &str) -> bool {
    plugin.loaded.interfaces.iter().any(|served| served == interface)
}

/// Who serves an interface of which one is asked.
enum Serving {
    By(Arc<ActivePlugin>),
    /// It is stored and cannot be loaded: nobody takes its place.
    Lost,
    Nobody,
}

/// Of the plugins that serve `interface`, the one for a tenant: its own, the first by name, or the operator's.
fn who_serves(generation: &Generation, tenant: TenantId, interface: &str) -> Serving {
    for owner in [tenant, TenantId::OPERATOR] {
        let active = generation.plugins.iter().filter(|plugin| plugin.record.tenant == owner && serves(plugin, interface));
        let lost = generation.idle.iter().filter(|idle| idle.record.tenant == owner && idle.has_lost(interface));
        let active = active.min_by(|one, other| one.record.name.cmp(&other.record.name));
        let lost = lost.map(|idle| idle.record.name.as_str()).min();
        match (active, lost) {
            (Some(active), lost) if lost.is_none_or(|lost| active.record.name.as_str() < lost) => {
                return Serving::By(Arc::clone(active));
            }
            (_, Some(_)) => return Serving::Lost,
            (_, None) => {}
        }
    }
    Serving::Nobody
}

fn holds_for(owner: TenantId, tenant: TenantId) -> bool {
    owner == TenantId::OPERATOR || owner == tenant
}

fn unordered_policies(generation: &Generation, tenant: TenantId) -> impl Iterator<Item = &Arc<ActivePlugin>> {
    let plugins = generation.plugins.iter();
    plugins.filter(move |plugin| holds_for(plugin.record.tenant, tenant) && serves(plugin, POLICY_INTERFACE))
}

/// What is wrong with the place of a policy or a responder among the others, in its configuration.
pub(crate) fn order_fault(interfaces: &[String], config: &serde_json::Value) -> Option<ConfigFault> {
    let order = config.get(ORDER).filter(|order| !order.is_null() && order.as_i64().is_none())?;
    let ordered = interfaces.iter().any(|served| served == POLICY_INTERFACE || served == RESPONDER_INTERFACE);
    let why = || format!("is {}; policies and responders are asked in the order of a whole number", said_back(order));
    ordered.then(|| ConfigFault { path: vec![ORDER.to_owned()], why: why() })
}

/// In which order policies are asked and responders are told.
pub(crate) fn in_order(plugins: &mut [&Arc<ActivePlugin>]) {
    plugins.sort_by_key(|plugin| {
        let order = plugin.record.config.get(ORDER).and_then(serde_json::Value::as_i64).unwrap_or_default();
        (plugin.record.tenant != TenantId::OPERATOR, order, plugin.record.name.clone())
    });
}

/// The policies that hold for a tenant, in the order in which they are asked.
fn policies(generation: &Generation, tenant: TenantId) -> Vec<&Arc<ActivePlugin>> {
    let mut found: Vec<_> = unordered_policies(generation, tenant).collect();
    in_order(&mut found);
    found
}

#[async_trait]
impl Policies for PluginGuards {
    fn any(&self, tenant: TenantId) -> bool {
        let Some(plugins) = self.plugins() else { return true };
        let generation = plugins.generation();
        let lost = generation.lost_policies.iter().any(|(owner, _)| holds_for(*owner, tenant));
        lost || unordered_policies(&generation, tenant).next().is_some()
    }

    async fn judge(&self, tenant: TenantId, question: &Question<'_>) -> Result<(), PolicyRefusal> {
        let Some(plugins) = self.plugins() else { return Err(PolicyRefusal::Failed(STARTING.to_owned())) };
        let generation = plugins.generation();
        if let Some((owner, name)) = generation.lost_policies.iter().find(|(owner, _)| holds_for(*owner, tenant)) {
            plugins.note_missing(POLICY_INTERFACE);
            tracing::error!(%owner, name, %tenant, "nothing is sent: a policy is stored and not active");
            return Err(PolicyRefusal::Failed(POLICY_FAILED.to_owned()));
        }
        for plugin in policies(&generation, tenant) {
            let context = plugin.context(tenant, question.now.0);
            let called = plugins.runtime().judge(&plugin.loaded, &context, question).await;
            let input = || json!({ "session_id": question.session.id, "to": question.to, "content": question.content });
            let about = CallAbout::new(tenant, POLICY_INTERFACE, "judge");
            plugins.note_call(plugin, &about.given(&input), &called);
            match called.outcome {
                Outcome::Reply(Verdict::Allow) => {}
                Outcome::Reply(Verdict::Deny(reason)) => {
                    tracing::info!(plugin = plugin.full_name(), %tenant, session = %question.session.id, "a policy denies");
                    return Err(PolicyRefusal::Denied(reason));
                }
                failed => {
                    let (plugin, outcome) = (plugin.full_name(), failed.name());
                    let why = failed.into_result().err().unwrap_or_default();
                    tracing::error!(plugin, outcome, why, %tenant, "nothing is sent: a policy fails");
                    return Err(PolicyRefusal::Failed(POLICY_FAILED.to_owned()));
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Renderer for PluginGuards {
    async fn check(
        &self,
        tenant: TenantId,
        name: &str,
        language: &str,
        definition: &str,
    ) -> Result<Vec<String>, RenderRefusal> {
        let plugins = self.plugins().ok_or_else(|| RenderRefusal::Failed(STARTING.to_owned()))?;
        let plugin = Self::renderer(&plugins, tenant)?;
        let context = plugin.context(tenant, self.clock.now().0);
        let given = GivenTemplate { name, language, definition };
        let called = plugins.runtime().check_template(&plugin.loaded, &context, given).await;
        let called = called.and_then(|checked| Outcome::Reply(checked.map_err(RenderRefusal::Definition)));
        let input = || json!({ "name": name, "language": language, "definition": definition });
        let about = CallAbout::new(tenant, TEMPLATE_INTERFACE, "check");
        Self::rendered(&plugins, &plugin, &about.given(&input), called)
    }

    async fn render(&self, template: &Template, call: &TemplateCall) -> Result<Content, RenderRefusal> {
        let plugins = self.plugins().ok_or_else(|| RenderRefusal::Failed(STARTING.to_owned()))?;
        let plugin = Self::renderer(&plugins, template.tenant)?;
        let context = plugin.context(template.tenant, self.clock.now().0);
        let definition = template.definition.to_string();
        let (name, language) = (template.name.as_str(), template.language.as_str());
        let given = GivenTemplate { name, language, definition: &definition };
        let called = plugins.runtime().render_template(&plugin.loaded, &context, given, call).await;
        let input = || json!({ "template": name, "language": language, "call": call });
        let about = CallAbout::new(template.tenant, TEMPLATE_INTERFACE, "render");
        Self::rendered(&plugins, &plugin, &about.given(&input), called)
    }
}

#[async_trait]
impl SenderRoutes for PluginGuards {
    fn any(&self, tenant: TenantId) -> bool {
        let Some(plugins) = self.plugins() else { return true };
        !matches!(who_serves(&plugins.generation(), tenant, SENDER_INTERFACE), Serving::Nobody)
    }

    async fn choose(&self, tenant: TenantId, question: &RouteQuestion<'_>) -> Result<SessionId, RouteRefusal> {
        let Some(plugins) = self.plugins() else { return Err(RouteRefusal::Failed(STARTING.to_owned())) };
        let failed = || RouteRefusal::Failed(ROUTE_FAILED.to_owned());
        let Serving::By(plugin) = who_serves(&plugins.generation(), tenant, SENDER_INTERFACE) else {
            plugins.note_missing(SENDER_INTERFACE);
            return Err(failed());
        };
        let (context, counter) = (plugin.context(tenant, question.now.0), self.count_choice(tenant));
        let called = plugins.runtime().choose_sender(&plugin.loaded, &context, question, counter).await;
        let input = || json!({ "to": question.to, "content": question.content, "candidates": question.candidates.len() });
        let about = CallAbout::new(tenant, SENDER_INTERFACE, "choose");
        plugins.note_call(&plugin, &about.given(&input), &called);
        match called.outcome {
            Outcome::Reply(Ok(Some(chosen))) => Ok(chosen),
            Outcome::Reply(Ok(None)) => Err(RouteRefusal::Refused("no session will do".to_owned())),
            Outcome::Reply(Err(why)) => Err(RouteRefusal::Refused(why)),
            other => {
                let (plugin, outcome) = (plugin.full_name(), other.name());
                let why = other.into_result().err().unwrap_or_default();
                tracing::error!(plugin, outcome, why, %tenant, "no session is chosen");
                Err(failed())
            }
        }
    }
}
