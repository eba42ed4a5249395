//! Messages that were sent: changed, taken back, looked up, sent again, and listed.

use serde_json::{Map, Value, json};
use switchboard_dialect::status::MessageWords;
use switchboard_dialect::{Failure, Of, What, done, fields};
use switchboard_guest_sdk::messages::{self as host, Direction, Logged, MessageQuery};
use switchboard_guest_sdk::router::{Request, Response};
use switchboard_guest_sdk::types::{Content, Edit, Media, Message, MessageState, Outgoing, Revoke};
use switchboard_guest_sdk::{at_once, iso8601, no_extras};

use crate::answer::{said, success};
use crate::pages::Numbered;

/// Most characters of a text.
const TEXT_CHARS_MAX: usize = 65_536;

const WORDS: MessageWords = MessageWords {
    pending: "in_progress",
    sent: "sent",
    delivered: "delivered",
    read: "read",
    played: "played",
    failed: "failed",
};

/// The message that the path names.
fn message(request: &Request) -> Result<Message, Failure> {
    let id = request.param("msgId").parse().map_err(|_| Failure::NotFound(What::Message))?;
    host::get(id).of(What::Message)
}

/// Sends something that is about `message` to its chat.
fn send_about(message: &Message, content: Content) -> Result<(), Failure> {
    let outgoing = Outgoing { to: message.to.clone(), content, extras: no_extras() };
    host::send(message.session, &outgoing, &at_once()).of(What::Session).map(drop)
}

/// Where a message stands, as answers about it tell.
fn standing(message: &Message) -> Value {
    json!({ "msgId": message.id, "jid": message.to, "status": "in_progress" })
}

pub fn edit(request: &Request) -> Result<Response, Failure> {
    let mut fields = fields(request)?;
    let text = fields.required_text("text");
    fields.at_most("text", TEXT_CHARS_MAX);
    done(fields)?;
    let message = message(request)?;
    send_about(&message, Content::Edit(Edit { message_id: message.whatsapp_id.clone(), text }))?;
    Ok(success(standing(&message)))
}

pub fn delete(request: &Request) -> Result<Response, Failure> {
    let message = message(request)?;
    send_about(&message, Content::Revoke(Revoke { message_id: message.whatsapp_id.clone(), author: None }))?;
    Ok(said("Message deleted successfully.", Value::Null))
}

pub fn resend(request: &Request) -> Result<Response, Failure> {
    let message = message(request)?;
    let accepted = host::resend(message.id, &at_once()).of(What::Message)?;
    Ok(said("Message resend initiated successfully.", standing(&accepted.message)))
}

/// How far a message has come, as a number from 0 for an error to 5 for played.
fn number_of(state: MessageState) -> u8 {
    match state {
        MessageState::Failed | MessageState::Expired | MessageState::Cancelled => 0,
        MessageState::Queued | MessageState::Leased | MessageState::Sent => 1,
        MessageState::Acknowledged => 2,
        MessageState::Delivered => 3,
        MessageState::Read => 4,
        MessageState::Played => 5,
    }
}

/// What a message says, in the shape of the protocol's own messages.
pub fn shown(content: &Content) -> Value {
    let file = |name: &str, media: &Media| {
        let about = json!({ "mimetype": media.mime, "caption": media.caption, "fileName": media.file_name });
        Value::Object(Map::from_iter([(name.to_owned(), about)]))
    };
    match content {
        Content::Text(text) => json!({ "conversation": text }),
        Content::Image(media) => file("imageMessage", media),
        Content::Video(media) => file("videoMessage", media),
        Content::Audio(media) => file("audioMessage", media),
        Content::Document(media) => file("documentMessage", media),
        Content::Sticker(media) => file("stickerMessage", media),
        Content::Location(place) => json!({ "locationMessage": {
            "degreesLatitude": place.latitude, "degreesLongitude": place.longitude, "name": place.name,
        } }),
        Content::Contacts(cards) => {
            let name = cards.first().map(|card| &card.display_name);
            json!({ "contactMessage": { "displayName": name } })
        }
        Content::Poll(poll) => json!({ "pollCreationMessage": { "name": poll.name, "options": poll.options } }),
        _ => json!({}),
    }
}

pub fn info(request: &Request) -> Result<Response, Failure> {
    let message = message(request)?;
    Ok(success(json!({
        "remoteJid": message.to,
        "id": message.whatsapp_id,
        "msgId": message.id,
        "key": { "id": message.whatsapp_id, "fromMe": true, "remoteJid": message.to },
        "message": shown(&message.content),
        "messageTimestamp": message.accepted_at_ms / 1000,
        "status": number_of(message.state),
    })))
}

fn entry(message: &Message) -> Value {
    json!({
        "id": message.id,
        "whatsapp_session_id": message.session,
        "to": message.to,
        "content": shown(&message.content).to_string(),
        "status": WORDS.of(message.state),
        "failed_reason": message.reason,
        "created_at": iso8601(message.accepted_at_ms),
        "updated_at": iso8601(message.updated_at_ms),
    })
}

/// A page of the messages that a session sent, newest first.
pub fn logs(request: &Request) -> Result<Response, Failure> {
    let session = request.param("id").parse().map_err(|_| Failure::NotFound(What::Session))?;
    let page = Numbered::of(request)?;
    let found = host::find(&MessageQuery {
        session: Some(session),
        direction: Some(Direction::Sent),
        states: Vec::new(),
        since_ms: None,
        until_ms: None,
        offset: page.offset(),
        limit: page.limit(),
    })
    .of(What::Session)?;
    let sent = found.entries.iter().filter_map(|one| match one {
        Logged::Sent(message) => Some(entry(message)),
        Logged::Received(_) => None,
    });
    Ok(success(page.shape(request, sent.collect(), found.total)))
}
