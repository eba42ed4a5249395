//! The steps of a case: each does one thing to the host in memory, by the way that the real one goes.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use switchboard_core::clock::Timestamp;
use switchboard_core::flow::delivery_worker::{Payload, PayloadSigning, Shaper};
use switchboard_core::flow::guards::{RenderRefusal, Renderer};
use switchboard_core::flow::intake::{IntakeError, SendWish};
use switchboard_core::records::content::{Content, MediaSource, TemplateCall};
use switchboard_core::records::event::{Event, NewFact};
use switchboard_core::records::id::{SessionId, TemplateId, WebhookId};
use switchboard_core::records::message::Schedule;
use switchboard_core::records::message_log::{Direction, LogQuery, Logged};
use switchboard_core::records::plugin::{KvStretch, LineLevel, LoggedCall};
use switchboard_core::records::template::Template;
use switchboard_core::records::webhook::WebhookEndpoint;
use switchboard_core::rules::address::parse_recipient;
use switchboard_core::rules::event_read::read_event;
use switchboard_core::storage::CallQuery;

use super::case::{GivenDelivery, GivenMessage, GivenRequest, GivenSend, GivenTemplate, Step, as_text, read_duration};
use super::expect::Found;
use super::mocks::Heard;
use super::stage::{Stage, TENANT, shown};
use crate::http::ask;

/// Calls, messages and entries that are looked at after one step.
const LOOK_MAX: usize = 1_000;
/// Entries of one page of what is kept.
const PAGE: u32 = 100;

/// What was asked in a step.
struct Asked {
    /// Its answer; null where nothing answers.
    answer: Value,
    /// Why there is no call, if there is none.
    no_call: Option<String>,
    /// Whether it is the clock alone that moved.
    idle: bool,
    /// Whether what was accepted meanwhile is the plugin's own doing.
    sends: bool,
}

impl Asked {
    fn answered(answer: Value) -> Self {
        Self { answer, no_call: None, idle: false, sends: false }
    }
}

impl Stage {
    /// Does what a step says; what it came to.
    ///
    /// # Errors
    /// What of the step cannot be done, in words.
    pub(super) async fn run(&mut self, step: &Step) -> Result<Found, String> {
        if let Some(advance) = &step.advance {
            self.advance(read_duration(advance)?).await?;
        }
        let asked = self.ask(step).await?;
        self.look(asked).await
    }

    async fn ask(&self, step: &Step) -> Result<Asked, String> {
        let Step { event, request, policy, template, webhook, sender_route, .. } = step;
        self.serves(step)?;
        match (event, request, policy, template, webhook, sender_route) {
            (Some(event), None, None, None, None, None) => self.tell(event).await,
            (None, Some(request), None, None, None, None) => self.request(request).await,
            (None, None, Some(send), None, None, None) => self.judge(send).await,
            (None, None, None, Some(template), None, None) => self.render(template).await,
            (None, None, None, None, Some(delivery), None) => self.shape(delivery).await,
            (None, None, None, None, None, Some(send)) => self.choose(send).await,
            (None, None, None, None, None, None) if step.advance.is_some() => {
                Ok(Asked { idle: true, ..Asked::answered(Value::Null) })
            }
            _ => {
                Err("a step has one of event, request, policy, template, webhook, sender_route, or advance alone".to_owned())
            }
        }
    }

    /// Whether the component exports what a step asks.
    fn serves(&self, step: &Step) -> Result<(), String> {
        let Some(plugin) = self.host.plugins.find(self.owner, &self.name) else { return Ok(()) };
        let there = &plugin.loaded.interfaces;
        let asked = [
            ("event", "responder", step.event.is_some()),
            ("request", "router", step.request.is_some()),
            ("policy", "auth-policy", step.policy.is_some()),
            ("template", "template", step.template.is_some()),
            ("webhook", "webhook", step.webhook.is_some()),
            ("sender_route", "sender-route", step.sender_route.is_some()),
        ];
        let asked: Vec<_> = asked.into_iter().filter(|(.., asks)| *asks).collect();
        match *asked {
            [(step, interface, _)] if !there.iter().any(|name| name == interface) => {
                Err(format!("{step}: the component does not export {interface}; it exports: {}", there.join(", ")))
            }
            _ => Ok(()),
        }
    }

    /// Moves the clock on, and lets runs that wait be tried when their time comes.
    async fn advance(&self, by: Duration) -> Result<(), String> {
        let end = self.now().plus(by);
        loop {
            let wake = self.serve().await?;
            let next = wake.map_or(end, |wake| wake.min(end));
            self.host.clock.advance(next.since(self.now()));
            if wake.is_none_or(|wake| wake > end) {
                return Ok(());
            }
        }
    }

    async fn serve(&self) -> Result<Option<Timestamp>, String> {
        self.host.responders.serve(TENANT).await.map_err(|error| error.to_string())
    }

    /// Writes an event down, and lets the responder hear of it.
    async fn tell(&self, given: &Value) -> Result<Asked, String> {
        let event = self.event(given)?;
        let event_type = event.fact.type_name();
        let fact = NewFact { fact: event.fact, once: None, poll: None };
        let written = self.host.storage.record_facts(TENANT, event.session, self.now(), &[fact]).await;
        written.map_err(|_| format!("event: the account has no session {}", event.session))?;
        self.serve().await?;
        let plugin = self.host.plugins.find(self.owner, &self.name);
        let kinds = plugin.map(|plugin| plugin.loaded.event_kinds.clone()).unwrap_or_default();
        let no_call = if kinds.iter().any(|kind| kind == event_type) {
            "its grants do not cover the session, or an earlier run of the chat still waits".to_owned()
        } else {
            format!("it does not ask for {event_type}; it asks for: {}", kinds.join(", "))
        };
        Ok(Asked { no_call: Some(no_call), ..Asked::answered(Value::Null) })
    }

    /// The event that a case gives, whole or in short.
    fn event(&self, given: &Value) -> Result<Event, String> {
        let Some(message) = given.get("message").filter(|_| given.get("type").is_none()) else {
            return read_event(given, self.session, self.now()).map_err(|why| format!("event: {why}"));
        };
        let message: GivenMessage =
            serde_json::from_value(message.clone()).map_err(|error| format!("event.message: {error}"))?;
        let from = parse_recipient(&message.from).map_err(|error| format!("event.message.from: {error}"))?.to_string();
        let content = content(message.text.as_ref(), message.content.as_ref());
        let content = content.ok_or("event.message: text or content is missing")?;
        let mut data = json!({
            "from": from, "chat": message.group.as_ref().unwrap_or(&from), "content": content, "push_name": message.name,
            "extras": message.extras,
        });
        if let (Some(id), Value::Object(data)) = (&message.id, &mut data) {
            data.insert("whatsapp_id".to_owned(), json!(id));
        }
        // A reaction, an edit, a revoke and a vote have types of their own.
        let event_type = match &content {
            Content::Reaction(_) => "message.reaction",
            Content::Edit(_) => "message.edited",
            Content::Revoke(_) => "message.revoked",
            Content::PollVote(_) => "poll.vote",
            _ => "message.received",
        };
        let session = message.session_id.map_or(self.session, SessionId);
        let shown = json!({ "type": event_type, "session_id": session, "data": data });
        read_event(&shown, session, self.now()).map_err(|why| format!("event.message: {why}"))
    }

    /// Sends a request through the front door.
    async fn request(&self, given: &GivenRequest) -> Result<Asked, String> {
        let mut headers = vec![("host".to_owned(), "localhost".to_owned())];
        for (name, value) in &given.headers {
            let value = self.keys.iter().fold(value.clone(), |value, (place, key)| value.replace(place, key));
            headers.push((name.to_ascii_lowercase(), value));
        }
        let typed = headers.iter().any(|(name, _)| name == "content-type");
        if !typed && !matches!(given.body, Value::Null | Value::String(_)) {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        if !given.path.starts_with('/') {
            return Err("request.path: a path begins with /".to_owned());
        }
        let path = format!("{}{}", self.mount, given.path);
        let answered = ask(&self.host.door, &given.method, &path, &headers, as_text(&given.body).into_bytes()).await;
        let answer = answered.map_err(|error| format!("request: {error}"))?;
        let body = match answer.json() {
            Value::Null => json!(String::from_utf8_lossy(&answer.body)),
            body => body,
        };
        let headers: Map<String, Value> = answer.headers.into_iter().map(|(name, value)| (name, json!(value))).collect();
        let answer = json!({ "status": answer.status, "headers": headers, "body": body });
        Ok(Asked { sends: true, ..Asked::answered(answer) })
    }

    fn wish(&self, given: &GivenSend) -> Result<SendWish, String> {
        let content = content(given.text.as_ref(), given.content.as_ref());
        Ok(SendWish {
            session: given.session_id.map_or(self.session, SessionId),
            to: given.to.clone(),
            content: content.ok_or("text or content is missing")?,
            extras: given.extras.clone(),
            schedule: Schedule::default(),
            origin: None,
            by: Some(Arc::new(Self::principal())),
        })
    }

    /// Lets somebody send a message, as far as the policies let it through.
    async fn judge(&self, given: &GivenSend) -> Result<Asked, String> {
        let wish = self.wish(given).map_err(|why| format!("policy: {why}"))?;
        let judged = match self.host.intake.judge(TENANT, wish).await {
            // Accepted, so that the next question counts it; files are nowhere here, and are left out.
            Ok(message) if !has_url(&message.content) => {
                self.host.storage.accept_messages(TENANT, &[message]).await.map_err(|error| error.to_string())?;
                json!({ "allow": true })
            }
            Ok(_) => json!({ "allow": true }),
            Err(IntakeError::RefusedByPolicy(reason)) => json!({ "allow": false, "reason": reason }),
            Err(IntakeError::GuardFailed(why)) => json!({ "allow": false, "failed": why }),
            Err(other) => return Err(format!("policy: the host refuses the message itself: {other}")),
        };
        Ok(Asked::answered(judged))
    }

    /// Checks a definition, and fills it in.
    async fn render(&self, given: &GivenTemplate) -> Result<Asked, String> {
        let GivenTemplate { name, language, definition, parameters } = given;
        let checked = self.host.guards.check(TENANT, name, language, &definition.to_string()).await;
        let needs = match checked {
            Ok(needs) => needs,
            Err(refusal) => return Ok(Asked::answered(refused(refusal))),
        };
        let Some(parameters) = parameters else { return Ok(Asked::answered(json!({ "parameters": needs }))) };
        let call = json!({ "name": name, "language": language, "parameters": parameters });
        let call: TemplateCall = serde_json::from_value(call).map_err(|error| format!("template.parameters: {error}"))?;
        let now = self.now();
        let template = Template {
            id: TemplateId(1),
            tenant: TENANT,
            name: name.clone(),
            language: language.clone(),
            definition: definition.clone(),
            parameters: needs.clone(),
            created_at: now,
            updated_at: now,
        };
        Ok(Asked::answered(match self.host.guards.render(&template, &call).await {
            Ok(content) => json!({ "parameters": needs, "content": content }),
            Err(refusal) => refused(refusal),
        }))
    }

    /// What an endpoint gets for an event.
    async fn shape(&self, given: &GivenDelivery) -> Result<Asked, String> {
        let event = given.event.as_ref().map(|event| self.event(event)).transpose()?;
        // Without a number it would be a test of the endpoint.
        let event = event.map(|event| Event { n: event.n.max(1), ..event });
        let endpoint = WebhookEndpoint {
            format: self.name.clone(),
            settings: given.settings.clone(),
            ..WebhookEndpoint::new(WebhookId(1), TENANT, given.url.clone(), self.now())
        };
        let shaped = self.host.webhooks.shaper(&self.host.plugins).shape(&endpoint, event.as_ref()).await;
        // Why it could not be shaped is how the call ended.
        let requests: Vec<Value> = shaped.unwrap_or_default().iter().map(payload).collect();
        Ok(Asked::answered(json!({ "requests": requests })))
    }

    /// The session that sends what names none.
    async fn choose(&self, given: &GivenSend) -> Result<Asked, String> {
        let wish = self.wish(given).map_err(|why| format!("sender_route: {why}"))?;
        let chosen = self.host.intake.choose_session(&Self::principal(), &wish.to, &wish.content, &wish.extras).await;
        Ok(Asked::answered(match chosen {
            Ok(session) => json!({ "session_id": session }),
            Err(IntakeError::NoSender(why) | IntakeError::GuardFailed(why)) => json!({ "session_id": null, "why": why }),
            Err(other) => return Err(format!("sender_route: {other}")),
        }))
    }

    /// Everything that came of a step.
    async fn look(&mut self, asked: Asked) -> Result<Found, String> {
        let calls = self.new_calls().await?;
        let (outcome, why) = match calls.last() {
            Some(call) => (call.end.name(), call.why.clone()),
            None if asked.answer.is_null() => ("none", asked.no_call.filter(|_| !asked.idle)),
            None => ("reply", None),
        };
        let mut commands = self.observed.take();
        let accepted = self.new_messages().await?;
        if asked.sends {
            commands.extend(accepted);
        }
        let Heard { asked: http, unmocked, .. } = self.mocks.take();
        let lines = calls.iter().flat_map(|call| &call.log);
        Ok(Found {
            outcome: outcome.to_owned(),
            why,
            commands,
            kv: self.kept().await?,
            http,
            unmocked,
            log: lines.map(|line| format!("{} {}", level(line.level), line.message)).collect(),
            runs: self.runs().await?,
            answer: asked.answer,
            calls: calls.iter().map(used).collect(),
        })
    }

    async fn new_calls(&mut self) -> Result<Vec<LoggedCall>, String> {
        self.host.plugins.call_log().flush(&self.host.storage).await;
        let query = CallQuery { after: Some(self.last_call), limit: LOOK_MAX, ..CallQuery::default() };
        let calls = self.host.storage.logged_calls(self.owner, &self.name, &query).await;
        let calls = calls.map_err(|error| error.to_string())?;
        self.last_call = calls.last().map_or(self.last_call, |call| call.n);
        Ok(calls)
    }

    /// Messages that were accepted since the last look, the oldest first.
    async fn new_messages(&mut self) -> Result<Vec<Value>, String> {
        let query = LogQuery { direction: Some(Direction::Sent), limit: LOOK_MAX, ..LogQuery::default() };
        let page = self.host.storage.message_log(TENANT, &query).await.map_err(|error| error.to_string())?;
        let mut new = Vec::new();
        for entry in page.entries.into_iter().rev() {
            let Logged::Sent(message) = entry else { continue };
            if self.seen.insert(message.id) {
                let what = (&message.content, &message.extras);
                new.push(shown(message.session, &message.to, what, &message.schedule));
            }
        }
        Ok(new)
    }

    /// All that the plugin keeps.
    async fn kept(&self) -> Result<Map<String, Value>, String> {
        let kv = self.host.storage.kv(TENANT, &self.full_name(), u64::MAX);
        let (mut kept, mut begin) = (Map::new(), String::new());
        loop {
            let stretch = KvStretch { begin, end: None, limit: PAGE, reverse: false };
            let page = kv.scan(&stretch, None, self.now()).await.map_err(|error| format!("kv: {error}"))?;
            let Some(last) = page.entries.last() else { return Ok(kept) };
            begin = format!("{}\0", last.key);
            for entry in page.entries {
                kept.insert(entry.key, json!(String::from_utf8_lossy(&entry.value.bytes)));
            }
        }
    }

    async fn runs(&self) -> Result<Value, String> {
        let (storage, name) = (&self.host.storage, self.full_name());
        let waiting = storage.owed_runs(TENANT, &name, LOOK_MAX).await.map_err(|error| error.to_string())?;
        let parked = storage.parked_runs(TENANT, &name, 0, LOOK_MAX).await.map_err(|error| error.to_string())?;
        Ok(json!({ "waiting": waiting.len(), "parked": parked.len() }))
    }
}

fn content(text: Option<&String>, content: Option<&Content>) -> Option<Content> {
    content.cloned().or_else(|| text.cloned().map(Content::Text))
}

fn has_url(content: &Content) -> bool {
    content.media().is_some_and(|media| matches!(media.source, MediaSource::Url(_)))
}

fn refused(refusal: RenderRefusal) -> Value {
    match refusal {
        RenderRefusal::MissingParameter(name) => json!({ "missing_parameter": name }),
        RenderRefusal::Invalid(why) => json!({ "invalid": why }),
        RenderRefusal::Definition(faults) => {
            let faults = faults.iter().map(|fault| json!({ "place": fault.place, "why": fault.why }));
            json!({ "faults": faults.collect::<Vec<_>>() })
        }
        RenderRefusal::Failed(why) => json!({ "failed": why }),
    }
}

fn payload(payload: &Payload) -> Value {
    let Payload { name, headers, body, signing } = payload;
    let headers: Map<String, Value> =
        headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), json!(value))).collect();
    let signing = match signing {
        PayloadSigning::Standard => "standard",
        PayloadSigning::Hmac(_) => "hmac",
        PayloadSigning::SecretIn(_) => "secret",
        PayloadSigning::None => "none",
    };
    json!({ "name": name, "headers": headers, "body": String::from_utf8_lossy(body), "signing": signing })
}

fn level(level: LineLevel) -> String {
    json!(level).as_str().unwrap_or_default().to_owned()
}

/// What a call used, for programs.
fn used(call: &LoggedCall) -> Value {
    json!({
        "interface": call.interface, "call": call.call, "attempt": call.attempt, "end": call.end, "why": call.why,
        "took_us": call.took_us, "memory_bytes": call.memory_bytes, "host_calls": call.host_calls, "input": call.input,
        "effects": call.effects,
    })
}
