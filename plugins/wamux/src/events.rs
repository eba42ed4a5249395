//! What happened, as this dialect tells it: `{"id","type","timestamp","data"}`.

use serde_json::{Map, Value, json};
use switchboard_dialect::content::text_of;
use switchboard_dialect::hooks::{self, HookName, Life, Step, named};
use switchboard_dialect::people;
use switchboard_guest_sdk::iso8601;
use switchboard_guest_sdk::types::{Content, Event, Fact, GroupChange, Incoming, Media, Message, MessageProgress};
use switchboard_guest_sdk::webhook::{About, Endpoint, Guest, Payload};
use switchboard_ids::{Kind, uuid};

use crate::Wamux;
use crate::messages::{self, type_of};
use crate::sessions;

/// Every event.
pub const NAMES: &[HookName] = &[
    named("message.received", &["message.received"]),
    named("message.sent", &["message.acknowledged"]),
    named("message.delivered", &["message.delivered"]),
    named("message.read", &["message.read", "message.played"]),
    named("message.failed", &["message.failed", "message.expired", "message.cancelled"]),
    named("message.updated", &["message.edited"]),
    named("message.deleted", &["message.revoked"]),
    named("message.reaction", &["message.reaction"]),
    named("session.connected", &["session.state"]),
    named("session.disconnected", &["session.state"]),
    named("session.reconnecting", &["session.state"]),
    named("session.qr.updated", &["session.qr"]),
    named("group.participant.added", &["group.changed"]),
    named("group.participant.removed", &["group.changed"]),
    named("group.participant.left", &["group.changed"]),
    named("group.participant.promoted", &["group.changed"]),
    named("group.participant.demoted", &["group.changed"]),
    named("call.incoming", &["call.received"]),
];

impl Guest for Wamux {
    fn shape(event: Event, about: About, endpoint: Endpoint) -> Result<Vec<Payload>, String> {
        let told = if hooks::is_test(&event) {
            Some((hooks::TEST, json!({ "webhookId": uuid(Kind::Webhook, endpoint.id) })))
        } else {
            told(&event, &about).filter(|(name, _)| hooks::takes(&hooks::kept_events(&endpoint.settings), name))
        };
        let Some((name, data)) = told else { return Ok(Vec::new()) };
        let id = if hooks::is_test(&event) { "evt_test".to_owned() } else { format!("evt_{}", event.number) };
        let body = json!({ "id": id, "type": name, "timestamp": iso8601(event.at_ms), "data": data });
        let signing = hooks::sha256_of_timestamp_and_body("X-Webhook-Signature", "X-Webhook-Timestamp");
        Ok(vec![hooks::payload(name, &body, signing)])
    }
}

/// What the event is called, and its data; nothing when it is none of this dialect's.
fn told(event: &Event, about: &About) -> Option<(&'static str, Value)> {
    let session = uuid(Kind::Session, event.session);
    let (name, mut data) = match &event.fact {
        Fact::MessageReceived(incoming) => received(incoming)?,
        Fact::MessageState(progress) => came_further(progress, about)?,
        Fact::SessionState(change) => {
            let name = match hooks::life(change)? {
                Life::Connected => "session.connected",
                Life::Reconnecting => "session.reconnecting",
                Life::Disconnected => "session.disconnected",
            };
            let data = json!({
                "sessionKey": about.session.name,
                "status": sessions::WORDS.of(change.state, false),
                "phoneNumber": people::own_number(&about.session),
                "reason": change.reason,
            });
            (name, data)
        }
        Fact::SessionQr(qr) => ("session.qr.updated", json!({ "qr": qr.text, "expiresAt": iso8601(qr.expires_at_ms) })),
        Fact::GroupChanged(change) => participants(change)?,
        Fact::CallReceived(call) => {
            let data = json!({
                "callId": call.call_id,
                "from": people::phone_of(&call.caller),
                "groupId": call.group,
                "isVideo": call.video,
                "timestamp": iso8601(call.called_at_ms),
            });
            ("call.incoming", data)
        }
        _ => return None,
    };
    if let Some(data) = data.as_object_mut() {
        data.insert("sessionId".to_owned(), json!(session));
    }
    Some((name, data))
}

/// What every event about somebody's message has.
fn about_message(incoming: &Incoming, message_id: &str) -> Map<String, Value> {
    let fields = [
        ("messageId", json!(message_id)),
        ("from", json!(people::phone_of(&incoming.sender))),
        ("fromMe", json!(incoming.from_me)),
        ("chatId", json!(people::chat_of(incoming))),
        ("isGroup", json!(incoming.group)),
        ("timestamp", json!(iso8601(incoming.sent_at_ms))),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn received(incoming: &Incoming) -> Option<(&'static str, Value)> {
    let (name, message_id, more) = match &incoming.content {
        Content::Reaction(reaction) => ("message.reaction", &reaction.message_id, vec![("emoji", json!(reaction.emoji))]),
        Content::Edit(edit) => ("message.updated", &edit.message_id, vec![("message", json!(edit.text))]),
        Content::Revoke(revoke) => ("message.deleted", &revoke.message_id, Vec::new()),
        // What the owner writes on the phone did not come in.
        Content::PollVote(_) => return None,
        _ if incoming.from_me => return None,
        content => {
            let more = vec![
                ("pushName", json!(incoming.sender.push_name)),
                ("type", json!(type_of(content))),
                ("message", json!(text_of(content))),
                ("media", media(content).map_or(Value::Null, shown)),
                ("quotedMessageId", json!(incoming.extras.quote.as_ref().map(|quote| &quote.message_id))),
            ];
            ("message.received", &incoming.id, more)
        }
    };
    let mut data = about_message(incoming, message_id);
    data.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
    Some((name, Value::Object(data)))
}

fn media(content: &Content) -> Option<&Media> {
    match content {
        Content::Image(file)
        | Content::Video(file)
        | Content::Audio(file)
        | Content::Document(file)
        | Content::Sticker(file)
        | Content::File(file) => Some(file),
        _ => None,
    }
}

fn shown(file: &Media) -> Value {
    json!({ "mimeType": file.mime, "fileName": file.file_name, "size": file.size, "ptt": file.voice_note })
}

fn came_further(progress: &MessageProgress, about: &About) -> Option<(&'static str, Value)> {
    let name = match hooks::step(progress.state, about)? {
        Step::Sent => "message.sent",
        Step::Delivered => "message.delivered",
        Step::Read => "message.read",
        Step::Failed => "message.failed",
    };
    let data = match &about.message {
        Some(message) => {
            // As it was then: by now it may have come further.
            let mut then = Message { state: progress.state, reason: progress.reason.clone(), ..message.clone() };
            if let Some(last) = then.reached.iter().position(|reached| reached.state == progress.state) {
                then.reached.truncate(last.saturating_add(1));
            }
            messages::shape(&then)
        }
        None => json!({
            "id": uuid(Kind::Message, progress.message),
            "toPhone": people::spelled(&progress.chat),
            "status": messages::WORDS.of(progress.state),
            "whatsappMessageId": progress.whatsapp_id,
            "errorMessage": progress.reason,
        }),
    };
    Some((name, data))
}

fn participants(change: &GroupChange) -> Option<(&'static str, Value)> {
    let name = match change.change.as_str() {
        "add" => "group.participant.added",
        "remove" => "group.participant.removed",
        "leave" => "group.participant.left",
        "promote" => "group.participant.promoted",
        "demote" => "group.participant.demoted",
        _ => return None,
    };
    let people: Vec<String> = change.participants.iter().map(people::phone_of).collect();
    let data = json!({
        "groupId": change.chat,
        "participants": people,
        "by": change.by.as_ref().map(people::phone_of),
        "timestamp": iso8601(change.changed_at_ms),
    });
    Some((name, data))
}
