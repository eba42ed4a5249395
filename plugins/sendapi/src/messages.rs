//! The history of messages, in both directions.

use serde_json::{Value, json};
use switchboard_dialect::status::{MessageWords, reached_at};
use switchboard_dialect::{Failure, Of, What, content, done, people};
use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::http::json as json_response;
use switchboard_guest_sdk::messages::{self as host, Direction, Logged, MessageQuery};
use switchboard_guest_sdk::router::{Request, Response};
use switchboard_guest_sdk::types::{
    Button, Content, Event, Fact, Interactive, ListRow, ListSection, Media, Message, MessageState, TemplateCall,
};
use switchboard_guest_sdk::{iso8601, moment, sessions};
use switchboard_ids::{from_prefixed, prefixed, strict};

use crate::sessions::{number, page, spelled as session_spelled};

/// What ids of messages begin with, and those of messages that came in.
const PREFIX: &str = "msg_";
const RECEIVED_PREFIX: &str = "msg_in";

pub const WORDS: MessageWords = MessageWords {
    pending: "accepted",
    sent: "sent",
    delivered: "delivered",
    read: "read",
    played: "read",
    failed: "failed",
};

/// How this dialect spells a message that was sent.
pub fn spelled(id: u64) -> String {
    prefixed(PREFIX, id)
}

/// The type of content as this dialect names it.
pub fn type_of(content: &Content) -> &'static str {
    match content::type_of(content) {
        "file" | "reaction" => "other",
        word => word,
    }
}

fn media(media: &Media) -> Value {
    json!({ "caption": media.caption, "filename": media.file_name, "mime_type": media.mime })
}

pub fn said(content: &Content) -> Value {
    match content {
        Content::Text(text) => json!({ "body": text }),
        Content::Image(file) | Content::Video(file) | Content::Document(file) | Content::Sticker(file) => media(file),
        Content::Audio(file) => json!({ "mime_type": file.mime, "ptt": file.voice_note }),
        Content::Location(place) => json!({
            "latitude": place.latitude, "longitude": place.longitude, "name": place.name, "address": place.address,
        }),
        Content::Contacts(cards) => {
            let card = cards.first();
            json!({ "name": card.map(|card| &card.display_name), "phone": card.and_then(|card| card.phones.first()) })
        }
        Content::Poll(poll) => {
            json!({ "question": poll.name, "options": poll.options, "selectable_count": poll.selectable_count })
        }
        Content::Interactive(asked) => interactive(asked),
        Content::ButtonReply(choice) | Content::ListReply(choice) | Content::FlowReply(choice) => {
            json!({ "id": choice.id, "title": choice.title })
        }
        _ => Value::Null,
    }
}

fn interactive(asked: &Interactive) -> Value {
    if asked.sections.is_empty() {
        let button = |button: &Button| json!({ "id": button.id, "title": button.title });
        let buttons: Vec<Value> = asked.buttons.iter().map(button).collect();
        return json!({ "kind": "buttons", "body": asked.body, "footer": asked.footer, "buttons": buttons });
    }
    let row = |row: &ListRow| json!({ "id": row.id, "title": row.title, "description": row.description });
    let section = |section: &ListSection| {
        let rows: Vec<Value> = section.rows.iter().map(row).collect();
        json!({ "title": section.title, "rows": rows })
    };
    let sections: Vec<Value> = asked.sections.iter().map(section).collect();
    json!({ "kind": "list", "body": asked.body, "footer": asked.footer, "button": asked.list_button, "sections": sections })
}

/// A template as it was asked for: `params` by name, or as a list where they are positional.
fn template(call: &TemplateCall) -> Value {
    let numbered = call.parameters.iter().zip(1_u32..).all(|(given, n)| given.name == n.to_string());
    let params: Value = if numbered {
        call.parameters.iter().map(|given| Value::from(given.value.clone())).collect()
    } else {
        let named = call.parameters.iter().map(|given| (given.name.clone(), Value::from(given.value.clone())));
        Value::Object(named.collect())
    };
    json!({ "name": call.name, "language": call.language, "params": params })
}

/// The type of a message that was sent, and what it says: of a template, what was asked for.
pub fn asked_for(message: &Message) -> (&'static str, Value) {
    match &message.template {
        Some(call) => ("template", template(call)),
        None => (type_of(&message.content), said(&message.content)),
    }
}

/// The own numbers of sessions, asked for once each.
#[derive(Default)]
struct Numbers(std::collections::BTreeMap<u64, Option<String>>);

impl Numbers {
    fn of(&mut self, session: u64) -> Option<String> {
        let ask = || sessions::get(session).ok().map(|session| format!("+{}", session.phone_number));
        self.0.entry(session).or_insert_with(ask).clone()
    }
}

fn sent(message: &Message, numbers: &mut Numbers) -> Value {
    let delivered = reached_at(message, MessageState::Delivered);
    let (kind, content) = asked_for(message);
    json!({
        "id": spelled(message.id),
        "session_id": session_spelled(message.session),
        "direction": "out",
        "to": people::spelled(&message.to),
        "from": numbers.of(message.session),
        "type": kind,
        "content": content,
        "status": WORDS.of(message.state),
        "delivered_at": delivered.map(iso8601),
        "created_at": iso8601(message.accepted_at_ms),
    })
}

fn received(event: &Event, numbers: &mut Numbers) -> Option<Value> {
    let Fact::MessageReceived(incoming) = &event.fact else { return None };
    Some(json!({
        "id": prefixed(RECEIVED_PREFIX, event.number),
        "session_id": session_spelled(event.session),
        "direction": "in",
        "to": if incoming.group { Some(incoming.chat.clone()) } else { numbers.of(event.session) },
        "from": people::phone_of(&incoming.sender),
        "type": type_of(&incoming.content),
        "content": said(&incoming.content),
        "status": "received",
        "delivered_at": iso8601(event.at_ms),
        "created_at": iso8601(event.at_ms),
    }))
}

/// A date or a moment of a query.
fn date(query: &mut Fields, name: &str) -> Option<u64> {
    let text = query.text(name)?;
    let at = moment(&text);
    if at.is_none() {
        query.refuse(name, "must be a date (2026-01-31) or a moment (2026-01-31T12:00:00Z)");
    }
    at
}

fn direction(query: &mut Fields) -> Option<Direction> {
    match query.text("direction")?.as_str() {
        "in" => Some(Direction::Received),
        "out" => Some(Direction::Sent),
        _ => {
            query.refuse("direction", "must be in or out");
            None
        }
    }
}

pub fn list(request: &Request) -> Result<Response, Failure> {
    let mut query = Fields::of_query(&request.query);
    let page = page(&mut query);
    let (direction, status) = (direction(&mut query), query.text("status"));
    let states = status.as_deref().map(|word| WORDS.states(word)).unwrap_or_default();
    if status.is_some() && states.is_empty() {
        query.refuse("status", "must be accepted, sent, delivered, read or failed");
    }
    let (since_ms, until_ms) = (date(&mut query, "from_date"), date(&mut query, "to_date"));
    let session = query.text("session_id");
    done(query)?;
    let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let found = host::find(&MessageQuery {
        session: session.as_deref().map(number).transpose()?,
        direction,
        states,
        since_ms,
        until_ms,
        offset: narrow(page.offset()),
        limit: narrow(page.per_page),
    })
    .of(What::Session)?;
    let mut numbers = Numbers::default();
    let shaped = found.entries.iter().filter_map(|one| match one {
        Logged::Sent(message) => Some(sent(message, &mut numbers)),
        Logged::Received(event) => received(event, &mut numbers),
    });
    Ok(page.of(shaped.collect(), found.total))
}

fn timeline(message: &Message) -> Vec<Value> {
    let mut steps: Vec<(&str, u64)> = Vec::new();
    for reached in &message.reached {
        let word = WORDS.of(reached.state);
        if steps.last().is_none_or(|(last, _)| *last != word) {
            steps.push((word, reached.at_ms));
        }
    }
    steps.into_iter().map(|(status, at)| json!({ "status": status, "at": iso8601(at) })).collect()
}

pub fn get(request: &Request) -> Result<Response, Failure> {
    let (text, mut numbers) = (request.param("id"), Numbers::default());
    if let Some(event) = from_prefixed(RECEIVED_PREFIX, text) {
        let event = host::received(event).of(What::Message)?;
        let mut body = received(&event, &mut numbers).ok_or(Failure::NotFound(What::Message))?;
        if let Some(body) = body.as_object_mut() {
            body.insert("timeline".to_owned(), json!([{ "status": "received", "at": iso8601(event.at_ms) }]));
        }
        return Ok(json_response(200, &body));
    }
    let id = from_prefixed(PREFIX, text).or_else(|| strict(text)).ok_or(Failure::NotFound(What::Message))?;
    let message = host::get(id).of(What::Message)?;
    let mut body = sent(&message, &mut numbers);
    if let Some(body) = body.as_object_mut() {
        body.insert("timeline".to_owned(), Value::Array(timeline(&message)));
    }
    Ok(json_response(200, &body))
}
