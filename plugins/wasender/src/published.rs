//! What happened in the form of the published clients: one host event may be several of theirs.

use serde_json::{Map, Value, json};
use switchboard_dialect::content::text_of;
use switchboard_dialect::people::{chat_of, jid_of};
use switchboard_guest_sdk::iso8601;
use switchboard_guest_sdk::types::{
    Call, Contact, ContactChange, Content, Event, Fact, GroupChange, Incoming, MessageProgress, MessageState,
};
use switchboard_guest_sdk::webhook::About;

use crate::events::{Subscription, activity};
use crate::messages::shown;
use crate::sessions::status_name;

type Told = Vec<(&'static str, Value)>;

/// The event under every name that somebody wants.
pub fn told(event: &Event, about: &About, wanted: &Subscription) -> Told {
    let one = |name: &'static str, data: Value| wanted.alone(name, data);
    let session = event.session.to_string();
    match &event.fact {
        Fact::MessageReceived(incoming) => came_in(incoming, about, wanted),
        Fact::MessageState(progress) => came_further(event, progress, about, wanted),
        Fact::MemberReceipt(receipt) => {
            let key = own_key(&receipt.whatsapp_id, &receipt.chat, receipt.message);
            let by = jid_of(&receipt.by);
            one("message-receipt.update", json!([receipt_of(&key, &by, receipt.state, event.at_ms)]))
        }
        Fact::SessionState(change) => {
            let mut data = json!({ "status": status_name(change.state), "sessionId": session, "session_id": session });
            if let (Some(reason), Some(data)) = (&change.reason, data.as_object_mut()) {
                data.insert("reason".to_owned(), json!(reason));
            }
            let given = wanted.any(&["session.status", "session.connected", "session.disconnected"]);
            given.then_some(("session.status", data)).into_iter().collect()
        }
        Fact::SessionQr(qr) => one("qrcode.updated", json!({ "qr": qr.text, "sessionId": session, "session_id": session })),
        Fact::PresenceChanged(change) => {
            let presence = if change.online { "available" } else { "unavailable" };
            let last_seen = change.last_seen_ms.map(|at| at / 1000);
            let jid = jid_of(&change.person);
            one("presence.update", presences(&jid, &jid, presence, last_seen))
        }
        Fact::ChatState(state) => {
            let jid = jid_of(&state.person);
            let chat = if state.chat == state.person.jid { &jid } else { &state.chat };
            one("presence.update", presences(chat, &jid, activity(state.activity), None))
        }
        Fact::GroupChanged(change) => group(change).map(|(name, data)| one(name, data)).unwrap_or_default(),
        Fact::ContactChanged(change) => {
            one(if change.new { "contacts.upsert" } else { "contacts.update" }, json!([contact(change)]))
        }
        Fact::CallReceived(call) => one("call.received", json!({ "call": call_of(call) })),
        _ => Vec::new(),
    }
}

/// The key of a message that somebody wrote.
fn key(incoming: &Incoming) -> Value {
    let sender = &incoming.sender;
    let mut key = Map::new();
    let mut set = |name: &str, value: Value| {
        if !value.is_null() {
            key.insert(name.to_owned(), value);
        }
    };
    let by_phone = sender.phone.as_ref().map(|phone| format!("{phone}@s.whatsapp.net"));
    set("id", json!(incoming.id));
    set("fromMe", json!(incoming.from_me));
    set("remoteJid", json!(chat_of(incoming)));
    set("addressingMode", json!(if sender.jid.ends_with("@lid") { "lid" } else { "pn" }));
    if incoming.group {
        set("participant", json!(jid_of(sender)));
        set("participantPn", json!(by_phone));
        set("participantLid", json!(sender.lid));
    } else {
        set("senderPn", json!(by_phone));
        set("cleanedSenderPn", json!(sender.phone));
        set("senderLid", json!(sender.lid));
    }
    Value::Object(key)
}

/// The key of a message that the session sent.
fn own_key(whatsapp_id: &str, chat: &str, message: u64) -> Value {
    json!({ "id": whatsapp_id, "fromMe": true, "remoteJid": chat, "msgId": message.to_string() })
}

/// The key of the message that another one is about.
fn key_about(incoming: &Incoming, message_id: &str, author: Option<&Contact>, about: &About) -> Value {
    let own = |author: &Contact| author.phone.as_ref() == Some(&about.session.phone_number);
    let from_me = author.map_or(incoming.from_me, own);
    let mut key = json!({ "id": message_id, "fromMe": from_me, "remoteJid": chat_of(incoming) });
    if let (true, Some(author), Some(key)) = (incoming.group, author, key.as_object_mut()) {
        key.insert("participant".to_owned(), json!(jid_of(author)));
    }
    key
}

fn came_in(incoming: &Incoming, about: &About, wanted: &Subscription) -> Told {
    let one = |name: &'static str, data: Value| wanted.alone(name, data);
    match &incoming.content {
        Content::Reaction(reaction) => {
            let to = key_about(incoming, &reaction.message_id, reaction.author.as_ref(), about);
            let said = json!({
                "text": reaction.emoji, "key": key(incoming), "senderTimestampMs": incoming.sent_at_ms.to_string(), "read": false,
            });
            one("messages.reaction", json!([{ "key": to, "reaction": said }]))
        }
        Content::Edit(edit) => {
            let of = key_about(incoming, &edit.message_id, Some(&incoming.sender), about);
            let update = json!({ "status": "edited", "message": { "conversation": edit.text } });
            one("messages.update", json!([{ "key": of, "update": update }]))
        }
        Content::Revoke(revoke) => {
            let author = revoke.author.as_ref().or(Some(&incoming.sender));
            one("messages.delete", json!({ "keys": [key_about(incoming, &revoke.message_id, author, about)] }))
        }
        Content::PollVote(vote) => {
            let of = key_about(incoming, &vote.poll_id, vote.author.as_ref(), about);
            let result = about.poll.iter().map(
                |option| json!({ "name": option.name, "voters": option.voters.iter().map(jid_of).collect::<Vec<_>>() }),
            );
            one("poll.results", json!({ "key": of, "pollResult": result.collect::<Vec<_>>() }))
        }
        content => {
            let mut message = shown(content);
            let text = text_of(content);
            let whole = json!({
                "key": key(incoming),
                "pushName": incoming.sender.push_name,
                "messageTimestamp": incoming.sent_at_ms / 1000,
                "messageBody": text.unwrap_or_default(),
                "message": message,
            });
            if let Some(message) = message.as_object_mut() {
                message.insert("messageBody".to_owned(), json!(text.unwrap_or_default()));
            }
            let brief = json!({
                "key": key(incoming),
                "message": message,
                "pushName": incoming.sender.push_name,
                "messageTimestamp": incoming.sent_at_ms / 1000,
            });
            let mut told = Vec::new();
            if !incoming.from_me {
                let received = wanted.spelling(&["messages.received", "messages.recieved", "message.received"]);
                told.extend(received.map(|name| {
                    let name = if name == "message.received" { "messages.received" } else { name };
                    (name, json!({ "messages": whole }))
                }));
                let kind = if incoming.chat.ends_with("@newsletter") {
                    "messages-newsletter.received"
                } else if incoming.group {
                    "messages-group.received"
                } else {
                    "messages-personal.received"
                };
                told.extend(wanted.given(kind).then(|| (kind, json!({ "messages": whole }))));
            }
            told.extend(wanted.spelling(&["messages.upsert"]).map(|name| (name, brief)));
            told
        }
    }
}

fn receipt_of(key: &Value, by: &str, state: MessageState, at_ms: u64) -> Value {
    let status = match state {
        MessageState::Read => "read",
        MessageState::Played => "played",
        _ => "delivered",
    };
    json!({ "key": key, "receipt": { "userJid": by, "status": status, "t": at_ms / 1000 } })
}

fn came_further(event: &Event, progress: &MessageProgress, about: &About, wanted: &Subscription) -> Told {
    let key = own_key(&progress.whatsapp_id, &progress.chat, progress.message);
    let status = match progress.state {
        MessageState::Queued | MessageState::Leased | MessageState::Sent => return Vec::new(),
        MessageState::Acknowledged => {
            let message = about.message.as_ref().map_or_else(|| json!({}), |message| shown(&message.content));
            let data = json!({ "key": key, "message": message, "success": true, "status": "sent" });
            return wanted.spelling(&["message.sent"]).map(|name| (name, data)).into_iter().collect();
        }
        MessageState::Delivered => "delivered",
        MessageState::Read => "read",
        MessageState::Played => "played",
        MessageState::Failed | MessageState::Expired | MessageState::Cancelled => "error",
    };
    let update = || json!([{ "key": key, "update": { "status": status } }]);
    let mut told: Told = wanted.spelling(&["messages.update"]).map(|name| (name, update())).into_iter().collect();
    if status != "error" && !progress.chat.ends_with("@g.us") {
        let receipt = || json!([receipt_of(&key, &progress.chat, progress.state, event.at_ms)]);
        told.extend(wanted.spelling(&["message-receipt.update"]).map(|name| (name, receipt())));
    }
    told
}

fn presences(chat: &str, jid: &str, presence: &str, last_seen: Option<u64>) -> Value {
    let known = json!({ "lastKnownPresence": presence, "lastSeen": last_seen });
    json!({ "id": chat, "presences": Map::from_iter([(jid.to_owned(), known)]) })
}

fn group(change: &GroupChange) -> Option<(&'static str, Value)> {
    let people: Vec<String> = change.participants.iter().map(jid_of).collect();
    let action = match change.change.as_str() {
        "create" => {
            let members: Vec<Value> =
                people.iter().map(|jid| json!({ "id": jid, "jid": jid, "isAdmin": false, "isSuperAdmin": false })).collect();
            let data = json!([{
                "id": change.chat,
                "jid": change.chat,
                "subject": change.value,
                "owner": change.by.as_ref().map(jid_of),
                "creation": change.changed_at_ms / 1000,
                "participants": members,
            }]);
            return Some(("groups.upsert", data));
        }
        "add" => "add",
        "remove" | "leave" => "remove",
        "promote" => "promote",
        "demote" => "demote",
        other => {
            let mut data = json!({ "id": change.chat, "jid": change.chat });
            if let (Some((name, value)), Some(data)) = (what_changed(other, change.value.as_deref()), data.as_object_mut()) {
                data.insert(name.to_owned(), value);
            }
            return Some(("groups.update", json!([data])));
        }
    };
    let data = json!({ "id": change.chat, "jid": change.chat, "participants": people, "action": action });
    Some(("group-participants.update", data))
}

/// The field of a group's metadata that a change is about.
fn what_changed(change: &str, value: Option<&str>) -> Option<(&'static str, Value)> {
    Some(match change {
        "subject" => ("subject", json!(value)),
        "description" => ("desc", json!(value)),
        "announcement" => ("announce", json!(value != Some("off"))),
        "not_announcement" => ("announce", json!(false)),
        "locked" => ("restrict", json!(value != Some("off"))),
        "unlocked" => ("restrict", json!(false)),
        _ => return None,
    })
}

fn contact(change: &ContactChange) -> Value {
    let ContactChange { person, name, verified_name, .. } = change;
    let jid = jid_of(person);
    let mut data = Map::from_iter([("id".to_owned(), json!(jid)), ("jid".to_owned(), json!(jid))]);
    let known = [
        ("lid", &person.lid),
        ("phoneNumber", &person.phone),
        ("name", name),
        ("notify", &person.push_name),
        ("verifiedName", verified_name),
    ];
    data.extend(known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?)))));
    Value::Object(data)
}

fn call_of(call: &Call) -> Value {
    json!({
        "id": call.call_id,
        "from": jid_of(&call.caller),
        "date": iso8601(call.called_at_ms),
        "isGroup": call.group.is_some(),
        "isVideo": call.video,
        "status": "offer",
    })
}
