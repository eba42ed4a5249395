//! Streams that a plugin words: what there is to tell goes through its `streamer`, one call for each moment.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use hyper::Method;

use switchboard_core::clock::Clock;
use switchboard_core::records::account::Principal;
use switchboard_core::records::event::Event;
use switchboard_core::records::id::TenantId;
use switchboard_runtime::types::{self as plugin, LiveAnswer, LiveMoment, LiveSource};

use super::life::{Found, Life};
use super::log::Log;
use super::{RETRY_AFTER_S, Reading, Said, Subject, body, set_headers};
use crate::http::front_door::{FrontDoor, to_http};
use crate::http::native::EventFilter;
use crate::http::problem::Answer;
use crate::plugins::{ActivePlugin, CallAbout, Plugins};

/// Nothing is written before the plugin's own words but a comment.
const GREETING: &[u8] = b":\n\n";

/// What a plugin words.
enum Source {
    Life(Life),
    /// The log, what was read of it, and whether there was more to read.
    Log(Log, VecDeque<Event>, bool),
}

/// A plugin at its stream.
struct Worded {
    tenant: TenantId,
    plugins: Arc<Plugins>,
    plugin: Arc<ActivePlugin>,
    clock: Arc<dyn Clock>,
    request_id: String,
    state: Vec<u8>,
    source: Source,
}

impl Worded {
    async fn moment(&mut self) -> Found {
        match &mut self.source {
            Source::Life(life) => life.look().await,
            Source::Log(log, waiting, full) => {
                if waiting.is_empty() {
                    let Some((page, more)) = log.page().await else { return Found::Broken };
                    (*waiting, *full) = (page.into(), more);
                }
                let event = waiting.pop_front();
                event.map_or(Found::Nothing, |event| Found::Moment(LiveMoment::Event(Box::new(event))))
            }
        }
    }

    /// Whether nothing was found although there is more to look at.
    fn further(&self) -> bool {
        matches!(&self.source, Source::Log(_, waiting, full) if *full || !waiting.is_empty())
    }

    /// What the plugin makes of a moment.
    async fn worded(&mut self, moment: &LiveMoment) -> Said {
        let context = self.plugin.context(self.tenant, self.clock.now().0);
        let called = self.plugins.runtime().render(&self.plugin.loaded, &context, &self.state, moment).await;
        let about = CallAbout::new(self.tenant, "streamer", &self.request_id);
        self.plugins.note_call(&self.plugin, &about, &called);
        let step = match called.outcome.into_result() {
            Ok(step) => step,
            Err(why) => {
                let (name, request_id) = (self.plugin.full_name(), &self.request_id);
                tracing::error!(plugin = name, request_id, why, "a streamer failed");
                return Said::Last(Vec::new().into());
            }
        };
        if let Some(state) = step.state {
            self.state = state;
        }
        if step.done { Said::Last(step.bytes.into()) } else { Said::Bytes(step.bytes.into()) }
    }
}

#[async_trait]
impl Subject for Worded {
    async fn say(&mut self) -> Said {
        match self.moment().await {
            Found::Moment(moment) => self.worded(&moment).await,
            Found::Nothing if self.further() => Said::Further,
            Found::Nothing => Said::Nothing,
            Found::Broken => Said::Last(Vec::new().into()),
        }
    }

    async fn wait(&mut self) -> bool {
        match &mut self.source {
            Source::Life(life) => life.wait().await,
            Source::Log(log, ..) => log.wait().await,
        }
    }
}

impl FrontDoor {
    /// Begins the stream that a plugin answered with.
    ///
    /// # Errors
    /// Why not: the refusal that the plugin is to render.
    pub(in crate::http) async fn worded_stream(
        &self,
        active: &Arc<ActivePlugin>,
        (caller, method): (Option<&Principal>, &Method),
        mut response: plugin::Response,
        live: LiveAnswer,
        request_id: &str,
    ) -> Result<Answer, plugin::Refusal> {
        let failed = |why: &str| {
            tracing::error!(plugin = active.full_name(), request_id, why, "a stream cannot begin");
            plugin::Refusal::Internal("the plugin failed".to_owned())
        };
        let caller = caller.ok_or_else(|| failed("nobody calls, with whose key it could end"))?;
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(failed("it is no answer to GET"));
        }
        let place = self.streams.take(caller.tenant).ok_or(plugin::Refusal::TooManyRequests(RETRY_AFTER_S))?;
        let source = self.source(caller, live.source).await.map_err(|why| failed(&why))?;
        let reading = Reading {
            accounts: self.accounts.clone(),
            clock: Arc::clone(&self.clock),
            caller: Some(caller.clone()),
            ready: self.ready.clone(),
            api: Some(Arc::clone(active)),
            _place: place,
        };
        let subject = Worded {
            tenant: caller.tenant,
            plugins: Arc::clone(&self.plugins),
            plugin: Arc::clone(active),
            clock: Arc::clone(&self.clock),
            request_id: request_id.to_owned(),
            state: live.state,
            source,
        };
        response.body = Vec::new();
        let mut answer = to_http(response).ok_or_else(|| failed("it has an impossible status"))?;
        *answer.body_mut() = body(reading, GREETING, Box::new(subject));
        set_headers(&mut answer);
        Ok(answer)
    }

    async fn source(&self, caller: &Principal, wanted: LiveSource) -> Result<Source, String> {
        let need = |resource: &str| {
            let lacks = || format!("the key lacks the scope {resource}:read");
            caller.may(resource, "read").then_some(()).ok_or_else(lacks)
        };
        match wanted {
            LiveSource::SessionLife(id) => {
                need("sessions")?;
                caller.may_use(id).then_some(()).ok_or("the session is out of the key's reach")?;
                let sessions = Arc::clone(&self.verbs.sessions) as _;
                let life = Life::new(&self.storage, sessions, &self.clock, &self.wakes, (caller, id));
                Ok(Source::Life(life))
            }
            LiveSource::Events { session, kinds } => {
                need("messages")?;
                let filter = EventFilter::new(session, &kinds)?;
                let log = Log::open(&self.storage, &self.wakes, caller, filter, None).await;
                Ok(Source::Log(log.map_err(|error| error.to_string())?, VecDeque::new(), false))
            }
        }
    }
}
