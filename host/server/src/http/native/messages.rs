//! Messages and batches: sent, listed, looked at and taken back.

use hyper::{StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use switchboard_core::clock::Timestamp;
use switchboard_core::flow::guards::find_template;
use switchboard_core::flow::intake::{AcceptedBatch, BATCH_MESSAGES_MAX, BatchWish, IntakeError, SendWish};
use switchboard_core::flow::media::MediaRefusal;
use switchboard_core::records::account::Principal;
use switchboard_core::records::content::{Content, Extras, Quote};
use switchboard_core::records::id::{MessageId, SessionId};
use switchboard_core::records::message::{BatchRecord, Message, MessageState, Priority, Schedule};
use switchboard_core::records::once::Once;
use switchboard_core::rules::address::parse_recipient;
use switchboard_core::rules::content_limits::{self, ContentRefusal};
use switchboard_core::rules::fact_json::content_json;
use switchboard_core::rules::said_back::said_back;
use switchboard_core::rules::template;
use switchboard_runtime::verbs::{NewMessage, VerbError, Verbs};

use super::super::body::{self, ShapeFault};
use super::super::front_door::FrontDoor;
use super::super::idempotency::Begun;
use super::super::problem::{Problem, json as json_answer};
use super::{Answered, Call, JSON_BYTES_MAX, Query, Route, from_json, route};
use crate::accounts::NAME_CHARS_MAX;
use crate::spelling::optional_session;
use crate::verbs::HostVerbs;

/// Most bytes of a batch.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Of a wish that names no session, until one is chosen.
const UNCHOSEN: SessionId = SessionId(0);
/// Messages in one answer.
const MESSAGES_MAX: usize = 200;

pub(super) const ROUTES: &[Route] = &[
    route("GET", "messages", |door, call| Box::pin(door.list_messages(call))).asked(&[
        "limit",
        "cursor",
        "session_id",
        "chat",
        "state",
    ]),
    route("POST", "messages", |door, call| Box::pin(door.send_message(call))),
    route("POST", "messages/batch", |door, call| Box::pin(door.send_batch(call))),
    route("GET", "messages/{message}", |door, call| Box::pin(door.show_message(call))),
    route("DELETE", "messages/{message}", |door, call| Box::pin(door.cancel_message(call))),
    route("GET", "batches/{batch}", |door, call| Box::pin(door.show_batch(call))),
];

/// What a message to send consists of.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageWish {
    #[serde(default, deserialize_with = "optional_session")]
    session_id: Option<SessionId>,
    to: String,
    #[serde(default)]
    text: Option<String>,
    /// [`Content`], which is read by itself: of its types, only some can be sent.
    #[serde(default)]
    content: Option<Value>,
    #[serde(default)]
    quote: Option<Quote>,
    #[serde(default)]
    mentions: Option<Vec<String>>,
    #[serde(default)]
    view_once: Option<bool>,
    #[serde(default)]
    priority: Option<Priority>,
    #[serde(default)]
    send_at: Option<Timestamp>,
    #[serde(default)]
    expires_at: Option<Timestamp>,
}

/// Messages to send from one session.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchBody {
    #[serde(default, deserialize_with = "optional_session")]
    session_id: Option<SessionId>,
    #[serde(default)]
    name: Option<String>,
    /// Each a [`MessageWish`], which is read by itself: what is wrong with one says nothing of the others.
    messages: Vec<Value>,
}

impl MessageWish {
    fn read(self, usual: Priority) -> Result<SendWish, Problem> {
        let session = self.session_id.unwrap_or(UNCHOSEN);
        let (content, place) = match (self.text, self.content) {
            (Some(text), None) => (Content::Text(text), &["text"][..]),
            (None, Some(content)) => (read_content(content)?, &["content", "value"][..]),
            _ => return Err(Problem::invalid("text", "exactly one of text and content is required")),
        };
        // Intake asks the same, and knows nothing of bodies and their places.
        if let Err(ContentRefusal::Invalid { place: below, why, .. }) = content_limits::check(&content) {
            let place: Vec<&str> = place.iter().copied().chain(below.split('/').skip(1)).collect();
            return Err(Problem::invalid_at(&place, why));
        }
        let mentions = self.mentions.unwrap_or_default();
        let extras = Extras { quote: self.quote, mentions, view_once: self.view_once.unwrap_or_default() };
        let schedule = Schedule {
            priority: self.priority.unwrap_or(usual),
            send_at: self.send_at,
            expires_at: self.expires_at,
            ..Schedule::default()
        };
        Ok(SendWish { session, to: self.to, content, extras, schedule, origin: None, by: None })
    }
}

/// What a message is to say.
fn read_content(content: Value) -> Result<Content, Problem> {
    let named = content.get("type").and_then(Value::as_str).map(said_back);
    body::read_value(content).map_err(|fault: ShapeFault| {
        let place: Vec<&str> = ["content"].into_iter().chain(fault.path()).collect();
        match named.filter(|_| place == ["content", "type"]) {
            // Others are types of what comes in.
            Some(named) => {
                let why = format!("{named:?} is none of: {}", content_limits::SENT_TYPES.join(", "));
                Problem::invalid_at(&place, why)
            }
            None => Problem::invalid_at(&place, fault.why.as_str()),
        }
    })
}

/// What is wrong with a message, by its place in the body.
fn wish_problem(error: VerbError) -> Problem {
    let (field, why) = match error {
        VerbError::Invalid { field, why } => (field, why),
        VerbError::Media(ref refused) if !matches!(refused, MediaRefusal::Unavailable(_)) => {
            return Problem::invalid_at(&["content", "value", "source"], refused.to_string());
        }
        VerbError::MissingParameter(name) => {
            let why = format!("{name:?} is missing");
            let problem = Problem::invalid_at(&["content", "value", "parameters"], why);
            return problem.with("code", "missing_parameter").with("parameter", name);
        }
        other => return other.into(),
    };
    match field.as_str() {
        "caption" | "file_name" => Problem::invalid_at(&["content", "value", &field], why),
        "language" | "template" => Problem::invalid_at(&["content", "value"], format!("{field}: {why}")),
        "quote" => Problem::invalid_at(&["quote", "message_id"], why),
        _ => Problem::invalid(&field, why),
    }
}

/// One message of a batch, whose session `session` is, if it is named.
fn read_entry(entry: Value, session: Option<SessionId>) -> Result<SendWish, Problem> {
    let wish: MessageWish = body::read_value(entry).map_err(Problem::from)?;
    if let Some(other) = wish.session_id.filter(|other| Some(*other) != session) {
        let why = match session {
            Some(session) => format!("is {other}; all messages of a batch are sent by one session, this one by {session}"),
            None => format!("is {other}; all messages of a batch are sent by one session: name it beside messages"),
        };
        return Err(Problem::invalid("session_id", why));
    }
    wish.read(Priority::Bulk)
}

fn batch_json(record: &BatchRecord) -> Map<String, Value> {
    let batch = json!({
        "id": record.id, "session_id": record.session, "name": record.name, "messages": record.messages,
        "accepted_at": record.accepted_at,
    });
    if let Value::Object(batch) = batch { batch } else { Map::new() }
}

/// Whether a message of a batch was refused for what its tenant or its session may do now, and not for what it is.
fn is_about_limits(result: &Result<Option<Message>, IntakeError>) -> bool {
    matches!(result, Err(IntakeError::QuotaReached(_) | IntakeError::NotConnected { .. }))
}

/// What became of each message of a batch, in their order: of those that could not be read, and in `results` of the others.
fn results_json(malformed: Vec<Option<Problem>>, results: Vec<Result<Option<Message>, IntakeError>>) -> Vec<Value> {
    let mut results = results.into_iter();
    let result = |(index, malformed): (usize, Option<Problem>)| {
        let judged = malformed.map_or_else(
            || results.next().map(|result| result.map_err(|error| wish_problem(HostVerbs::refused_wish(error)))),
            |problem| Some(Err(problem)),
        );
        let mut result = match judged {
            Some(Err(problem)) => problem.of_entry("messages", index),
            Some(Ok(message)) => [("message_id".to_owned(), json!(message.map(|message| message.id)))].into_iter().collect(),
            None => Map::new(),
        };
        result.insert("index".to_owned(), index.into());
        Value::Object(result)
    };
    malformed.into_iter().enumerate().map(result).collect()
}

fn message_json(message: &Message) -> Value {
    json!({
        "id": message.id, "session_id": message.session, "to": message.to, "content": content_json(&message.content),
        "quote": message.extras.quote, "mentions": message.extras.mentions, "view_once": message.extras.view_once,
        "whatsapp_id": message.whatsapp_id, "state": message.state, "reason": message.reason,
        "attempts": message.attempts, "priority": message.schedule.priority, "send_at": message.schedule.send_at,
        "expires_at": message.schedule.expires_at, "batch_id": message.batch, "accepted_at": message.accepted_at,
        "updated_at": message.updated_at, "reached": message.reached, "origin": message.origin,
        "template": message.template, "test": message.test,
    })
}

/// Which messages a list is to have.
struct Wanted {
    session: Option<SessionId>,
    chat: Option<String>,
    state: Option<MessageState>,
}

impl Wanted {
    fn of(query: &Query) -> Result<Self, Problem> {
        let chat = query.get("chat").map(|chat| {
            parse_recipient(chat)
                .map(|jid| jid.to_string())
                .map_err(|error| Problem::bad_parameter("chat", error.to_string()))
        });
        let state = query.get("state").map(|name| {
            let named = MessageState::ALL.into_iter().find(|state| state.name() == name);
            named.ok_or_else(|| {
                let states = MessageState::ALL.map(MessageState::name).join(", ");
                Problem::bad_parameter("state", format!("{:?} is none of: {states}", said_back(name)))
            })
        });
        Ok(Self { session: query.session("session_id")?, chat: chat.transpose()?, state: state.transpose()? })
    }

    fn has(&self, message: &Message) -> bool {
        self.session.is_none_or(|session| session == message.session)
            && self.chat.as_ref().is_none_or(|chat| *chat == message.to)
            && self.state.is_none_or(|state| state == message.state)
    }
}

impl FrontDoor {
    /// Newest first. A page may be short, or empty, and have a next one all the same.
    async fn list_messages(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), "messages", "read").await?;
        let query = call.query();
        let (limit, before) = (query.limit(MESSAGES_MAX)?, query.number("cursor")?.map(MessageId));
        let wanted = Wanted::of(&query)?;
        let (page, next) = self.verbs.messages(&caller, before, limit, |message| wanted.has(message)).await?;
        let page: Vec<Value> = page.iter().map(message_json).collect();
        let next = next.map(|id| id.to_string());
        Ok(json_answer(StatusCode::OK, &json!({ "messages": page, "next_cursor": next })))
    }

    async fn show_message(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), "messages", "read").await?;
        Ok(json_answer(StatusCode::OK, &message_json(&self.verbs.message(&caller, call.id(0)?).await?)))
    }

    async fn cancel_message(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), "messages", "write").await?;
        let message = self.verbs.cancel(&caller, call.id(0)?).await?;
        Ok(json_answer(StatusCode::OK, &message_json(&message)))
    }

    async fn send_message(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), "messages", "write").await?;
        let (head, body) = call.read(JSON_BYTES_MAX).await?;
        match self.begin_once(&caller, &head.headers, path_and_query(&head.uri), &[&body]).await? {
            Begun::Plain => self.accept_message(&caller, &body, None).await,
            Begun::Before(answer) => Ok(answer),
            Begun::First(run) => {
                let answer = self.accept_message(&caller, &body, Some(&run.once)).await;
                Ok(self.finish_once(run, answer.unwrap_or_else(Problem::answer)).await)
            }
        }
    }

    /// Whether a template takes every parameter that it is given: one that is misspelt would be left out in silence.
    async fn check_parameters(&self, caller: &Principal, content: &Content) -> Result<(), Problem> {
        let Content::Template(call) = content else { return Ok(()) };
        // Which template it is, if it is one, is told when the message is accepted.
        let Ok(template) = find_template(&self.storage, caller.tenant, call).await else { return Ok(()) };
        match template::surplus(&template.parameters, &call.parameters) {
            Some(why) => Err(Problem::invalid_at(&["content", "value", "parameters"], why)),
            None => Ok(()),
        }
    }

    /// The session that sends: the one that was named, or the one that is chosen for this wish.
    async fn sender(&self, caller: &Principal, named: Option<SessionId>, wish: &SendWish) -> Result<SessionId, Problem> {
        match named {
            Some(named) => Ok(named),
            None => self.verbs.choose_session(caller, wish).await.map_err(wish_problem),
        }
    }

    async fn accept_message(&self, caller: &Principal, body: &[u8], once: Option<&Once>) -> Answered {
        let body: MessageWish = from_json(body)?;
        let named = body.session_id.or(caller.session);
        let wish = body.read(Priority::Interactive)?;
        self.check_parameters(caller, &wish.content).await?;
        let session = self.sender(caller, named, &wish).await?;
        let (to, content, extras) = (&*wish.to, &wish.content, &wish.extras);
        let new = NewMessage { session, to, content, extras, schedule: wish.schedule, once };
        Ok(json_answer(StatusCode::ACCEPTED, &message_json(&self.verbs.send(caller, new).await.map_err(wish_problem)?)))
    }

    async fn send_batch(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), "messages", "write").await?;
        let (head, body) = call.read(BATCH_BYTES_MAX).await?;
        match self.begin_once(&caller, &head.headers, path_and_query(&head.uri), &[&body]).await? {
            Begun::Plain => self.accept_batch(&caller, &body, None).await,
            Begun::Before(answer) => Ok(answer),
            Begun::First(run) => {
                let answer = self.accept_batch(&caller, &body, Some(&run.once)).await;
                Ok(self.finish_once(run, answer.unwrap_or_else(Problem::answer)).await)
            }
        }
    }

    async fn accept_batch(&self, caller: &Principal, body: &[u8], once: Option<&Once>) -> Answered {
        let body: BatchBody = from_json(body)?;
        let named = body.session_id.or(caller.session);
        let name = body.name.unwrap_or_default();
        if name.chars().count() > NAME_CHARS_MAX {
            return Err(Problem::invalid("name", format!("is longer than {NAME_CHARS_MAX} characters")));
        }
        let count = body.messages.len();
        if count == 0 || count > BATCH_MESSAGES_MAX {
            let why = format!("has {count} entries; 1 to {BATCH_MESSAGES_MAX} are allowed");
            return Err(Problem::invalid("messages", why));
        }
        let (mut malformed, mut messages) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for entry in body.messages {
            let read = match read_entry(entry, named) {
                Ok(wish) => self.check_parameters(caller, &wish.content).await.map(|()| wish),
                Err(problem) => Err(problem),
            };
            malformed.push(read.map(|wish| messages.push(wish)).err());
        }
        let accepted = if let Some(first) = messages.first() {
            let session = self.sender(caller, named, first).await?;
            let wish = BatchWish { session, name: Some(name).filter(|name| !name.is_empty()), messages };
            self.verbs.send_batch(caller, wish, once).await.map_err(wish_problem)?
        } else {
            AcceptedBatch { record: None, results: Vec::new() }
        };
        let all_read = malformed.iter().all(Option::is_none);
        if accepted.record.is_none() && all_read && accepted.results.iter().all(is_about_limits) {
            // Nothing is wrong with the messages: it is told as of a single one.
            if let Some(Err(error)) = accepted.results.into_iter().next() {
                return Err(HostVerbs::refused_wish(error).into());
            }
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "there are no messages"));
        }
        let results = results_json(malformed, accepted.results);
        let Some(record) = accepted.record else {
            let why = "none of the messages can be sent";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why).with("results", results));
        };
        let mut answer = batch_json(&record);
        answer.insert("results".to_owned(), results.into());
        Ok(json_answer(StatusCode::ACCEPTED, &answer.into()))
    }

    async fn show_batch(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), "messages", "read").await?;
        let progress = self.verbs.batch(&caller, call.id(0)?).await?;
        let mut answer = batch_json(&progress.record);
        answer.insert("states".to_owned(), json!(progress.states));
        Ok(json_answer(StatusCode::OK, &answer.into()))
    }
}

fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or("", |whole| whole.as_str())
}
