//! Calls the `auth-policy` interface: may this be sent?

use switchboard_core::flow::guards::Question;

use crate::bindings::auth_policy_world::exports::switchboard::plugin::auth_policy as wit_policy;
use crate::bindings::switchboard::plugin::types as wit;
use crate::convert;
use crate::log::short_words;
use crate::outcome::{Called, Outcome};
use crate::runtime::{CallContext, LoadedPlugin, Runtime, not_served};

/// What a policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be sent, as far as this policy goes.
    Allow,
    /// It may not; the reason is for the caller, at most 1,000 characters.
    Deny(String),
}

impl Runtime {
    /// Calls `auth-policy.judge`.
    pub async fn judge(&self, plugin: &LoadedPlugin, context: &CallContext, question: &Question<'_>) -> Called<Verdict> {
        let Some(pre) = &plugin.policy else { return not_served("auth-policy") };
        let question = wit_question(question);
        let called = self
            .call(plugin.class, context, |store, _| {
                Box::pin(async move {
                    let instance = pre.instantiate_async(&mut *store).await?;
                    instance.switchboard_plugin_auth_policy().call_judge(store, &question).await
                })
            })
            .await;
        called.and_then(|verdict| match verdict {
            wit_policy::Verdict::Allow => Outcome::Reply(Verdict::Allow),
            wit_policy::Verdict::Deny(reason) => Outcome::Reply(Verdict::Deny(short_words(&reason))),
        })
    }
}

fn wit_question(question: &Question<'_>) -> wit_policy::Question {
    wit_policy::Question {
        principal: question.by.map(convert::principal),
        session: convert::session(question.session),
        message: wit::Outgoing {
            to: question.to.to_owned(),
            content: convert::content(question.content),
            extras: convert::extras(question.extras),
        },
        template: question.template.map(convert::template),
        now_ms: question.now.0,
        recipient_zone_minutes: question.zone_minutes,
        sent_last_day: question.sent_last_day,
    }
}
