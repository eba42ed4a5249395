//! Messages that are sent.

use serde_json::{Value, json};
use switchboard_dialect::status::{MessageWords, is_ready, reached_at};
use switchboard_dialect::{Failure, Of, What, content, done, fields, limits, people};
use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::http::json as json_response;
use switchboard_guest_sdk::messages::{self as host, Direction, Logged, MessageQuery};
use switchboard_guest_sdk::router::{Request, Response};
use switchboard_guest_sdk::types::{Content, Message, MessageState, Outgoing, SessionState};
use switchboard_guest_sdk::{at_once, iso8601, media_at, no_extras, sessions};
use switchboard_ids::{Kind, from_uuid, uuid};

use crate::sessions::number;

/// Most characters of a text.
const TEXT_CHARS_MAX: usize = 4096;
/// Most characters of a caption.
const CAPTION_CHARS_MAX: usize = 1024;
/// Messages of a page: the most, and how many unless it is said.
const PAGE_MAX: u64 = 100;
const PAGE: u64 = 50;
/// How far behind the newest message a page can begin.
const OFFSET_MAX: u64 = 50_000;

pub const WORDS: MessageWords = MessageWords {
    pending: "pending",
    sent: "sent",
    delivered: "delivered",
    read: "read",
    played: "read",
    failed: "failed",
};

pub fn type_of(content: &Content) -> &'static str {
    match content::type_of(content) {
        "interactive" => "other",
        word => word,
    }
}

pub fn shape(message: &Message) -> Value {
    let failed = WORDS.of(message.state) == WORDS.failed;
    let at = |state| reached_at(message, state).map(iso8601);
    let pending = WORDS.of(message.state) == WORDS.pending;
    json!({
        "id": uuid(Kind::Message, message.id),
        "toPhone": people::spelled(&message.to),
        "type": type_of(&message.content),
        "status": WORDS.of(message.state),
        "whatsappMessageId": (!pending).then_some(&message.whatsapp_id),
        "errorMessage": message.reason.as_ref().filter(|_| failed),
        "sentAt": at(MessageState::Acknowledged),
        "deliveredAt": at(MessageState::Delivered),
        "readAt": at(MessageState::Read).or_else(|| at(MessageState::Played)),
        "createdAt": iso8601(message.accepted_at_ms),
    })
}

/// The session that is to send: the one that was named, or the first that is connected.
fn sender(named: Option<String>) -> Result<u64, Failure> {
    if let Some(id) = named {
        return number(&id);
    }
    let all = sessions::all().of(What::Session)?;
    let connected = all.iter().find(|session| session.state == SessionState::Connected);
    connected.or_else(|| all.iter().find(|session| is_ready(session))).map(|session| session.id).ok_or(Failure::NoSession)
}

/// Sends what `content` reads.
fn send(request: &Request, content: fn(&mut Fields) -> Content) -> Result<Response, Failure> {
    let mut fields = fields(request)?;
    let to = fields.required_text("to");
    let content = content(&mut fields);
    let named = fields.text("sessionId");
    done(fields)?;
    let session = sender(named)?;
    let accepted = host::send(session, &Outgoing { to, content, extras: no_extras() }, &at_once()).of(What::Session)?;
    let mut response = json_response(202, &shape(&accepted.message));
    limits::show(&mut response, &accepted.limits);
    Ok(response)
}

pub fn send_text(request: &Request) -> Result<Response, Failure> {
    send(request, |fields| {
        let text = fields.required_text("message");
        fields.at_most("message", TEXT_CHARS_MAX);
        Content::Text(text)
    })
}

pub fn send_media(request: &Request) -> Result<Response, Failure> {
    send(request, |fields| {
        let mut media = media_at(fields.required_text("mediaUrl"));
        media.caption = fields.text("caption").filter(|caption| !caption.is_empty());
        fields.at_most("caption", CAPTION_CHARS_MAX);
        let kind = fields.required_text("mediaType");
        match kind.as_str() {
            "video" => Content::Video(media),
            "image" => Content::Image(media),
            other => {
                if !other.is_empty() {
                    fields.refuse("mediaType", "must be image or video");
                }
                Content::Image(media)
            }
        }
    })
}

pub fn send_audio(request: &Request) -> Result<Response, Failure> {
    send(request, |fields| {
        let mut media = media_at(fields.required_text("audioUrl"));
        media.voice_note = fields.flag("ptt").unwrap_or(false);
        Content::Audio(media)
    })
}

pub fn list(request: &Request) -> Result<Response, Failure> {
    let mut query = Fields::of_query(&request.query);
    let (limit, offset) = (query.within("limit", 1, PAGE_MAX, PAGE), query.within("offset", 0, OFFSET_MAX, 0));
    done(query)?;
    let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let page = host::find(&MessageQuery {
        session: None,
        direction: Some(Direction::Sent),
        states: Vec::new(),
        since_ms: None,
        until_ms: None,
        offset: narrow(offset),
        limit: narrow(limit),
    })
    .of(What::Message)?;
    let shaped = page.entries.iter().filter_map(|one| match one {
        Logged::Sent(message) => Some(shape(message)),
        Logged::Received(_) => None,
    });
    let messages: Vec<Value> = shaped.collect();
    Ok(json_response(200, &json!({ "messages": messages, "total": page.total, "limit": limit, "offset": offset })))
}

pub fn get(request: &Request) -> Result<Response, Failure> {
    let id = from_uuid(Kind::Message, request.param("id")).ok_or(Failure::NotFound(What::Message))?;
    Ok(json_response(200, &shape(&host::get(id).of(What::Message)?)))
}
