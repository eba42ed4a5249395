//! Streams: reads what a router answers with, and calls the `streamer` interface for what there is to tell.

use crate::bindings::router_world::exports::switchboard::plugin::router as wit_router;
use crate::bindings::streamer_world::exports::switchboard::plugin::streamer as wit_streamer;
use crate::bindings::switchboard::plugin::sessions as wit_sessions;
use crate::convert;
use crate::outcome::{Called, Limit, Outcome};
use crate::runtime::{CallContext, LoadedPlugin, Runtime, not_served};
use crate::types::{LiveAnswer, LiveMoment, LiveSource, LiveStep, SessionLife};
use switchboard_core::records::id::SessionId;

/// Most bytes that a plugin keeps with a stream.
const STATE_BYTES_MAX: usize = 64 * 1024;
/// Kinds of events that a stream may ask for.
const KINDS_MAX: usize = 64;

pub(crate) fn core_answer(live: wit_router::LiveAnswer) -> LiveAnswer {
    let source = match live.source {
        wit_router::LiveSource::SessionLife(id) => LiveSource::SessionLife(SessionId(id)),
        wit_router::LiveSource::Events(wish) => {
            LiveSource::Events { session: wish.session.map(SessionId), kinds: wish.kinds }
        }
    };
    LiveAnswer { source, state: live.state }
}

/// Why a stream cannot go on as the plugin wants it.
pub(crate) struct Unfit(Option<Limit>, String);

impl Unfit {
    /// The same as how a call ended.
    pub(crate) fn outcome<T>(self) -> Outcome<T> {
        match self {
            Self(Some(limit), why) => Outcome::LimitExceeded(limit, why),
            Self(None, why) => Outcome::PluginError(why),
        }
    }
}

/// Whether a stream may begin like this.
///
/// # Errors
/// Why not.
pub(crate) fn check(live: &LiveAnswer, streams: bool) -> Result<(), Unfit> {
    if !streams {
        return Err(Unfit(None, "answers with a stream and does not export streamer".to_owned()));
    }
    if let LiveSource::Events { kinds, .. } = &live.source
        && kinds.len() > KINDS_MAX
    {
        let why = format!("a stream of {} kinds of events; the limit is {KINDS_MAX}", kinds.len());
        return Err(Unfit(None, why));
    }
    check_state(&live.state)
}

fn check_state(state: &[u8]) -> Result<(), Unfit> {
    if state.len() > STATE_BYTES_MAX {
        let why = format!("a stream's state of {} bytes; the limit is {STATE_BYTES_MAX}", state.len());
        return Err(Unfit(Some(Limit::Bytes), why));
    }
    Ok(())
}

fn wit_moment(moment: &LiveMoment) -> wit_streamer::Moment {
    match moment {
        LiveMoment::Session(life) => wit_streamer::Moment::Session(wit_life(life)),
        LiveMoment::Gone => wit_streamer::Moment::Gone,
        LiveMoment::Event(event) => wit_streamer::Moment::Event(convert::event(event)),
    }
}

fn wit_life(life: &SessionLife) -> wit_streamer::SessionLife {
    let SessionLife { state, reason, phone_number, qr } = life.clone();
    wit_streamer::SessionLife {
        state: convert::session_state(state),
        reason,
        phone_number,
        qr: qr.map(|qr| wit_sessions::QrCode { text: qr.text, png: qr.png, expires_at_ms: qr.expires_at_ms }),
    }
}

impl Runtime {
    /// Calls `streamer.render`.
    pub async fn render(
        &self,
        plugin: &LoadedPlugin,
        context: &CallContext,
        state: &[u8],
        moment: &LiveMoment,
    ) -> Called<LiveStep> {
        let Some(pre) = &plugin.streamer else { return not_served("streamer") };
        let moment = wit_moment(moment);
        let called = self
            .call(plugin.class, context, |store, _| {
                Box::pin(async move {
                    let instance = pre.instantiate_async(&mut *store).await?;
                    let streamer = instance.switchboard_plugin_streamer();
                    streamer.call_render(store, state, &moment, context.now_ms).await
                })
            })
            .await;
        let outcome = match called.outcome {
            Outcome::Reply(step) => checked_step(step, self.output_bytes_max(context)),
            Outcome::PluginError(why) => Outcome::PluginError(why),
            Outcome::Trap(why) => Outcome::Trap(why),
            Outcome::LimitExceeded(limit, why) => Outcome::LimitExceeded(limit, why),
        };
        Called { outcome, report: called.report }
    }
}

fn checked_step(step: wit_streamer::Step, limit: usize) -> Outcome<LiveStep> {
    let bytes = step.bytes.len();
    if bytes > limit {
        return Outcome::LimitExceeded(Limit::Bytes, format!("a step of {bytes} bytes; the limit is {limit}"));
    }
    match check_state(step.state.as_deref().unwrap_or_default()) {
        Ok(()) => Outcome::Reply(LiveStep { bytes: step.bytes, state: step.state, done: step.done }),
        Err(unfit) => unfit.outcome(),
    }
}
