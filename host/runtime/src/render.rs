//! Calls the `template` interface: a name and parameters become the content of a message.

use switchboard_core::flow::guards::{DefinitionFault, RenderRefusal};
use switchboard_core::records::content::{Content, TemplateCall};

use crate::bindings::template_world::exports::switchboard::plugin::template as wit_template;
use crate::convert;
use crate::log::short_words;
use crate::outcome::{Called, Limit, Outcome};
use crate::runtime::{CallContext, LoadedPlugin, Runtime, not_served};

/// Most parameters that one template may need.
const PARAMETERS_MAX: usize = 100;
/// Most steps to what is wrong with a definition, and characters of one.
const STEPS_MAX: usize = 16;
const STEP_CHARS_MAX: usize = 60;

/// Most faults of one definition that are told.
const FAULTS_MAX: usize = 50;

fn short_fault(fault: wit_template::DefinitionFault) -> DefinitionFault {
    let step = |step: &String| short_words(step).chars().take(STEP_CHARS_MAX).collect();
    DefinitionFault { place: fault.place.iter().take(STEPS_MAX).map(step).collect(), why: short_words(&fault.why) }
}

/// A template as a plugin is given it.
#[derive(Clone, Copy, Debug)]
pub struct GivenTemplate<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its language.
    pub language: &'a str,
    /// Its definition, JSON.
    pub definition: &'a str,
}

impl GivenTemplate<'_> {
    fn wit(self) -> wit_template::StoredTemplate {
        wit_template::StoredTemplate {
            name: self.name.to_owned(),
            language: self.language.to_owned(),
            definition: self.definition.to_owned(),
        }
    }
}

impl Runtime {
    /// Calls `template.check`: the names of the parameters that the template takes, or what is wrong with it.
    pub async fn check_template(
        &self,
        plugin: &LoadedPlugin,
        context: &CallContext,
        template: GivenTemplate<'_>,
    ) -> Called<Result<Vec<String>, Vec<DefinitionFault>>> {
        let Some(pre) = &plugin.template else { return not_served("template") };
        let stored = template.wit();
        let called = self
            .call(plugin.class, context, |store, _| {
                Box::pin(async move {
                    let instance = pre.instantiate_async(&mut *store).await?;
                    instance.switchboard_plugin_template().call_check(store, &stored).await
                })
            })
            .await;
        called.and_then(|checked| match checked {
            Ok(names) if names.len() > PARAMETERS_MAX => {
                let why = format!("needs {} parameters; the limit is {PARAMETERS_MAX}", names.len());
                Outcome::Reply(Err(vec![DefinitionFault { place: Vec::new(), why }]))
            }
            Ok(names) => Outcome::Reply(Ok(names.iter().map(|name| short_words(name)).collect())),
            Err(faults) => Outcome::Reply(Err(faults.into_iter().take(FAULTS_MAX).map(short_fault).collect())),
        })
    }

    /// Calls `template.render`.
    pub async fn render_template(
        &self,
        plugin: &LoadedPlugin,
        context: &CallContext,
        template: GivenTemplate<'_>,
        call: &TemplateCall,
    ) -> Called<Result<Content, RenderRefusal>> {
        let Some(pre) = &plugin.template else { return not_served("template") };
        let (stored, call) = (template.wit(), convert::template(call));
        let called = self
            .call(plugin.class, context, |store, _| {
                Box::pin(async move {
                    let instance = pre.instantiate_async(&mut *store).await?;
                    instance.switchboard_plugin_template().call_render(store, &stored, &call).await
                })
            })
            .await;
        called.and_then(|rendered| match rendered {
            Ok(content) => checked_content(convert::core_content(content), self.output_bytes_max(context)),
            Err(wit_template::TemplateError::MissingParameter(name)) => {
                Outcome::Reply(Err(RenderRefusal::MissingParameter(short_words(&name))))
            }
            Err(wit_template::TemplateError::Invalid(why)) => Outcome::Reply(Err(RenderRefusal::Invalid(short_words(&why)))),
        })
    }
}

fn checked_content(content: Content, limit: usize) -> Outcome<Result<Content, RenderRefusal>> {
    let bytes = crate::runtime::json_bytes(&content);
    if bytes > limit {
        return Outcome::LimitExceeded(Limit::Bytes, format!("content of {bytes} bytes; the limit is {limit}"));
    }
    Outcome::Reply(Ok(content))
}
