//! Calls the `sender-route` interface: which session sends this?

use switchboard_core::flow::sender_route::RouteQuestion;
use switchboard_core::records::id::SessionId;

use crate::bindings::sender_route_world::exports::switchboard::plugin::sender_route as wit_sender;
use crate::bindings::switchboard::plugin::types as wit;
use crate::convert;
use crate::log::short_words;
use crate::outcome::{Called, Outcome};
use crate::runtime::{CallContext, LoadedPlugin, Runtime, not_served};

impl Runtime {
    /// Calls `sender-route.choose`; `counter` is how many questions of the tenant came before. The inner error is the plugin's, for
    /// the caller, at most 1,000 characters.
    pub async fn choose_sender(
        &self,
        plugin: &LoadedPlugin,
        context: &CallContext,
        question: &RouteQuestion<'_>,
        counter: u64,
    ) -> Called<Result<Option<SessionId>, String>> {
        let Some(pre) = &plugin.sender else { return not_served("sender-route") };
        let question = wit_question(question, counter);
        let called = self
            .call(plugin.class, context, |store, _| {
                Box::pin(async move {
                    let instance = pre.instantiate_async(&mut *store).await?;
                    instance.switchboard_plugin_sender_route().call_choose(store, &question).await
                })
            })
            .await;
        called.and_then(|chosen| Outcome::Reply(chosen.map(|id| id.map(SessionId)).map_err(|why| short_words(&why))))
    }
}

fn wit_question(question: &RouteQuestion<'_>, counter: u64) -> wit_sender::Question {
    let candidates = question.candidates.iter().map(|candidate| wit_sender::Candidate {
        session: convert::session(&candidate.session),
        waiting: u32::try_from(candidate.waiting).unwrap_or(u32::MAX),
        sent_last_day: candidate.sent_last_day,
    });
    wit_sender::Question {
        principal: Some(convert::principal(question.by)),
        message: wit::Outgoing {
            to: question.to.to_owned(),
            content: convert::content(question.content),
            extras: convert::extras(question.extras),
        },
        candidates: candidates.collect(),
        now_ms: question.now.0,
        counter,
    }
}
