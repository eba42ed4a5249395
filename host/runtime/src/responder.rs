//! Calls the `responder` interface, and asks in the trial what it wants to be told of.

use std::sync::Arc;

use switchboard_core::clock::Timestamp;
use switchboard_core::flow::responder_worker::{Command, RunAnswer, RunTry};
use switchboard_core::records::event::Event;
use switchboard_core::records::id::SessionId;
use switchboard_core::records::message::Schedule;
use switchboard_core::rules::event_filter::{self, FilterError};
use switchboard_core::rules::narrowing::{ChatKind, Narrowing};
use switchboard_core::storage::KvEffects;

use crate::bindings::responder_world::exports::switchboard::plugin::responder as wit_responder;
use crate::bindings::subscriber_world::exports::switchboard::plugin::subscriber as wit_subscriber;
use crate::convert;
use crate::imports::{Fetching, Keeping};
use crate::inspect::InspectError;
use crate::log::short_words;
use crate::outcome::{Called, Limit, Outcome};
use crate::runtime::{CallContext, LoadedPlugin, Runtime, json_bytes, not_served};

impl Runtime {
    /// What the responder of a plugin wants to be told of.
    pub(crate) async fn ask_subscription(
        &self,
        plugin: &mut LoadedPlugin,
        context: &CallContext,
    ) -> Result<(), InspectError> {
        let failed = |call| move |why| InspectError::TrialFailed { call, why };
        if let Some(pre) = &plugin.responder {
            let called = self
                .call(plugin.class, context, |store, _| {
                    Box::pin(async move {
                        let instance = pre.instantiate_async(&mut *store).await?;
                        instance.switchboard_plugin_responder().call_event_kinds(store).await
                    })
                })
                .await;
            let kinds = called.outcome.into_result().map_err(failed("event-kinds"))?;
            plugin.event_kinds = checked_event_kinds(kinds)?;
        }
        if let Some(pre) = &plugin.subscriber {
            let called = self
                .call(plugin.class, context, |store, _| {
                    Box::pin(async move {
                        let instance = pre.instantiate_async(&mut *store).await?;
                        instance.switchboard_plugin_subscriber().call_subscribe(store).await
                    })
                })
                .await;
            let subscription = called.outcome.into_result().map_err(failed("subscribe"))?;
            let narrowing = core_narrowing(subscription).checked().map_err(|error| InspectError::BadDeclaration {
                what: "the subscription".to_owned(),
                why: short_words(&error.to_string()),
            })?;
            plugin.narrowing = Arc::new(narrowing);
        }
        Ok(())
    }

    /// Calls `responder.respond`. What the run writes is in the answer, and kept by nobody yet.
    pub async fn respond(
        &self,
        plugin: &LoadedPlugin,
        context: &CallContext,
        run: &RunTry<'_>,
        event: &Event,
    ) -> Called<RunAnswer> {
        let Some(pre) = &plugin.responder else { return not_served("responder") };
        let run = wit_responder::Run { run_id: run.id.to_owned(), attempt: run.attempt, now_ms: context.now_ms };
        let event = convert::event(event);
        let called = self
            .call(plugin.class, context, |store, _| {
                Box::pin(async move {
                    store.data_mut().keeping = Keeping::WithRun(KvEffects::default());
                    store.data_mut().fetching = Fetching::Run(run.run_id.clone(), 0);
                    let instance = pre.instantiate_async(&mut *store).await?;
                    let commands = instance.switchboard_plugin_responder().call_respond(&mut *store, &run, &event).await?;
                    let commands = commands.map_err(|why| store.data().masks.masked(why));
                    Ok((commands, store.data_mut().take_effects()))
                })
            })
            .await;
        called.and_then(|(commands, kv)| match commands {
            Ok(commands) => checked_answer(commands, kv, self.output_bytes_max(context)),
            Err(why) => Outcome::PluginError(short_words(&why)),
        })
    }
}

fn checked_answer(wanted: Vec<wit_responder::Command>, kv: KvEffects, limit: usize) -> Outcome<RunAnswer> {
    let count = wanted.len();
    let commands: Vec<Command> = wanted.into_iter().filter_map(core_command).collect();
    let ends_chain = commands.len() < count;
    let bytes = commands.iter().map(|command| json_bytes(&(&command.to, &command.content, &command.extras)));
    let bytes = bytes.sum::<usize>();
    if bytes > limit {
        let why = format!("commands of {bytes} bytes; the limit is {limit}");
        return Outcome::LimitExceeded(Limit::Bytes, why);
    }
    Outcome::Reply(RunAnswer { commands, kv, ends_chain })
}

/// A responder without kinds is told of nothing.
fn checked_event_kinds(kinds: Vec<String>) -> Result<Vec<String>, InspectError> {
    if kinds.is_empty() {
        return Ok(kinds);
    }
    let why = |error: FilterError| short_words(&error.to_string());
    event_filter::checked(&kinds)
        .map_err(|error| InspectError::BadDeclaration { what: "event kinds".to_owned(), why: why(error) })
}

fn core_narrowing(subscription: wit_subscriber::Subscription) -> Narrowing {
    let wit_subscriber::Subscription { sessions, chats, chat_kinds, content_types, beginnings, ends_chain } = subscription;
    let kind = |kind: wit_subscriber::ChatKind| match kind {
        wit_subscriber::ChatKind::Person => ChatKind::Person,
        wit_subscriber::ChatKind::Group => ChatKind::Group,
        wit_subscriber::ChatKind::Status => ChatKind::Status,
        wit_subscriber::ChatKind::Channel => ChatKind::Channel,
    };
    Narrowing {
        sessions: sessions.into_iter().map(SessionId).collect(),
        chats,
        chat_kinds: chat_kinds.into_iter().map(kind).collect(),
        content_types,
        beginnings,
        ends_chain,
    }
}

/// What is to be sent; `None` for the wish to end the chain.
fn core_command(command: wit_responder::Command) -> Option<Command> {
    let (outgoing, session, schedule) = match command {
        wit_responder::Command::EndChain => return None,
        wit_responder::Command::Send(outgoing) => (outgoing, None, Schedule::default()),
        wit_responder::Command::SendWith(wish) => {
            let (send_at, expires_at) = (wish.send_at_ms.map(Timestamp), wish.expires_at_ms.map(Timestamp));
            (wish.message, wish.session.map(SessionId), Schedule { send_at, expires_at, ..Schedule::default() })
        }
    };
    Some(Command {
        session,
        to: outgoing.to,
        content: convert::core_content(outgoing.content),
        extras: convert::core_extras(outgoing.extras),
        schedule,
    })
}
