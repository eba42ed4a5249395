//! Reads events from the JSON in which the API and standard webhooks show them, for those who try a plugin without a host.
//!
//! What the JSON never has is filled in: what opens a file on WhatsApp's media hosts is empty.

use serde_json::{Map, Value, json};

use super::calendar;
use super::said_back::said_back;
use crate::clock::Timestamp;
use crate::records::content::WhatsAppMedia;
use crate::records::event::{EVENT_TYPES, Event, Fact};
use crate::records::id::SessionId;

/// The end of a JID by telephone number, and that of a group.
const PERSON_END: &str = "@s.whatsapp.net";
const GROUP_END: &str = "@g.us";

/// The event of `{"type","data"}` with `n`, `at` and `session_id`, as the API shows it, or of `{"type","timestamp","data"}` with
/// the first and the last of these in `data`, as webhooks do. What is left out of those three is 0, `now` and `session`; of a message
/// that came in everything but `from` and `content` may be left out.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read_event(shown: &Value, session: SessionId, now: Timestamp) -> Result<Event, String> {
    let Value::Object(shown) = shown else { return Err("an event is an object".to_owned()) };
    let known = ["type", "data", "n", "at", "timestamp", "session_id"];
    if let Some(other) = shown.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("an event has no member {:?}; it has {}", said_back(other), known.join(", ")));
    }
    let event_type = shown.get("type").and_then(Value::as_str).ok_or("type: the type of the event is missing")?;
    let Some(event_type) = EVENT_TYPES.into_iter().find(|known| *known == event_type) else {
        return Err(format!("type: {:?} is none of {}", said_back(event_type), EVENT_TYPES.join(", ")));
    };
    let mut data = match shown.get("data") {
        Some(Value::Object(data)) => data.clone(),
        _ => return Err("data: an object is expected".to_owned()),
    };
    let in_data = |data: &mut Map<String, Value>, name: &str| shown.get(name).cloned().or_else(|| data.remove(name));
    let n = in_data(&mut data, "n").and_then(|n| n.as_u64()).unwrap_or_default();
    let session = match in_data(&mut data, "session_id") {
        None => session,
        Some(Value::Null) => SessionId::NONE,
        Some(id) => SessionId(id.as_u64().ok_or_else(|| format!("session_id: {} is no id", said_back(id)))?),
    };
    let at = match (shown.get("at"), shown.get("timestamp").map(|text| (text, text.as_str().and_then(calendar::moment)))) {
        (Some(at), _) => Timestamp(at.as_u64().ok_or_else(|| format!("at: {} is no time", said_back(at)))?),
        (None, Some((text, moment))) => moment.ok_or_else(|| format!("timestamp: {} is no time", said_back(text)))?,
        (None, None) => now,
    };
    let fact = read_fact(event_type, data, at)?;
    if fact.type_name() != event_type {
        return Err(format!("type: {event_type} is given; what data has is {}", fact.type_name()));
    }
    Ok(Event { n, at, session, fact })
}

fn read_fact(event_type: &str, mut data: Map<String, Value>, at: Timestamp) -> Result<Fact, String> {
    let kept_as = match event_type {
        "message.received" | "message.reaction" | "message.edited" | "message.revoked" | "poll.vote" => {
            fill_in(&mut data, at);
            "message_received".to_owned()
        }
        "message.receipt" => {
            rename(&mut data, "message_id", "message");
            "receipt".to_owned()
        }
        "contact.changed" => {
            data = contact_change(data, at);
            "contact_changed".to_owned()
        }
        "chat.state" => {
            rename(&mut data, "state", "activity");
            "chat_state".to_owned()
        }
        "call.ended" => {
            let reason = data.remove("reason").unwrap_or(Value::Null);
            data = Map::from_iter([("call".to_owned(), Value::Object(data)), ("reason".to_owned(), reason)]);
            "call_ended".to_owned()
        }
        "webhook.disabled" => {
            rename(&mut data, "webhook_id", "webhook");
            "webhook_disabled".to_owned()
        }
        other => match other.strip_prefix("message.") {
            Some(state) => {
                rename(&mut data, "message_id", "message");
                data.entry("state").or_insert_with(|| json!(state));
                "message_state".to_owned()
            }
            None => other.replace('.', "_"),
        },
    };
    data.insert("type".to_owned(), json!(kept_as));
    serde_json::from_value(Value::Object(data)).map_err(|error| format!("data: {error}"))
}

fn rename(data: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = data.remove(from) {
        data.insert(to.to_owned(), value);
    }
}

/// Fills in what a message that came in may leave out.
fn fill_in(data: &mut Map<String, Value>, at: Timestamp) {
    let from = data.get("from").cloned().unwrap_or(Value::Null);
    let chat = data.entry("chat").or_insert_with(|| from.clone()).clone();
    let number = |jid: &Value| jid.as_str().and_then(|jid| jid.strip_suffix(PERSON_END)).map(|digits| json!(digits));
    let group = chat.as_str().is_some_and(|chat| chat.ends_with(GROUP_END));
    data.entry("from_phone").or_insert_with(|| number(&from).unwrap_or(Value::Null));
    data.entry("chat_phone").or_insert_with(|| number(&chat).unwrap_or(Value::Null));
    for (name, value) in
        [("whatsapp_id", json!("EVENT")), ("from_me", json!(false)), ("group", json!(group)), ("sent_at", json!(at))]
    {
        data.entry(name).or_insert(value);
    }
    if let Some(source) = data.get_mut("content").and_then(|content| content.pointer_mut("/value/source"))
        && *source == "whatsapp"
    {
        *source = json!({ "whatsapp": WhatsAppMedia::default() });
    }
}

/// The names of a contact as they are kept: those of the person beside the others.
fn contact_change(mut data: Map<String, Value>, at: Timestamp) -> Map<String, Value> {
    let new = data.remove("new").unwrap_or(json!(false));
    let mut contact = match data.remove("person") {
        Some(Value::Object(person)) => person,
        _ => Map::new(),
    };
    contact.remove("jid");
    contact.extend(data);
    contact.entry("since").or_insert_with(|| json!(at));
    Map::from_iter([("contact".to_owned(), Value::Object(contact)), ("new".to_owned(), new)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::content::{Content, Edit, Extras, Media, MediaSource, Person};
    use crate::records::event::{Call, ChatActivity, ContactChange, Incoming, StoredMedia};
    use crate::records::id::{MessageId, WebhookId};
    use crate::records::message::MessageState;
    use crate::records::people::KnownContact;
    use crate::records::session::SessionState;
    use crate::rules::event_json::{event_json, standard_body};

    const AT: Timestamp = Timestamp(1_768_478_400_123);

    fn text() -> String {
        "x".to_owned()
    }

    fn person() -> Person {
        Person { jid: "1@s.whatsapp.net".to_owned(), phone: Some("1".to_owned()), lid: None }
    }

    fn incoming(content: Content) -> Fact {
        Fact::MessageReceived(Box::new(Incoming {
            whatsapp_id: "IN1".to_owned(),
            chat: "1@lid".to_owned(),
            chat_phone: Some("491520000001".to_owned()),
            chat_lid: Some("1@lid".to_owned()),
            from: "1@lid".to_owned(),
            from_phone: None,
            from_lid: None,
            push_name: Some(text()),
            from_me: true,
            group: false,
            sent_at: Timestamp(1),
            content,
            extras: Extras::default(),
        }))
    }

    fn facts() -> Vec<Fact> {
        let call = || Box::new(Call { call_id: text(), from: person(), group: None, video: true, called_at: AT });
        let contact = KnownContact { phone: Some("1".to_owned()), name: Some(text()), since: AT, ..KnownContact::default() };
        let stored = StoredMedia {
            event: 1,
            whatsapp_id: text(),
            chat: text(),
            media: text(),
            mime: text(),
            size: 1,
            sha256: text(),
            file_name: None,
            expires_at: AT,
        };
        let (message, whatsapp_id, chat, state) = (MessageId(5), text(), text(), MessageState::Read);
        vec![
            incoming(Content::Text(text())),
            incoming(Content::Edit(Edit { message_id: text(), text: text() })),
            incoming(Content::Image(Media::at(MediaSource::WhatsApp(Box::default())))),
            incoming(Content::Image(Media::at(MediaSource::Blob(text())))),
            Fact::MessageState { message, whatsapp_id: text(), chat: text(), state, reason: Some(text()), test: true },
            Fact::Receipt { message, whatsapp_id, chat, by: person(), state },
            Fact::SessionState { state: SessionState::Banned, reason: Some(text()) },
            Fact::SessionQr { text: text(), expires_at: AT },
            Fact::ContactChanged(Box::new(ContactChange { contact, new: true })),
            Fact::PresenceChanged { person: person(), online: true, last_seen: Some(AT) },
            Fact::ChatState { chat: text(), person: person(), activity: ChatActivity::Typing },
            Fact::CallReceived(call()),
            Fact::CallEnded { call: call(), reason: text() },
            Fact::MediaStored(Box::new(stored)),
            Fact::MediaFailed { event: 1, whatsapp_id: text(), chat: text(), reason: text() },
            Fact::WebhookDisabled { webhook: WebhookId(3), reason: text() },
        ]
    }

    #[test]
    fn what_the_api_and_webhooks_show_is_read_as_what_it_was() {
        for fact in facts() {
            let event = Event { n: 7, at: AT, session: SessionId(9), fact };
            let shown = event_json(&event);
            assert_eq!(read_event(&shown, SessionId(1), Timestamp(0)).as_ref(), Ok(&event), "{shown}");
            let body: Value = serde_json::from_slice(&standard_body(&event)).unwrap();
            assert_eq!(read_event(&body, SessionId(1), Timestamp(0)).as_ref(), Ok(&event), "{body}");
        }
    }

    #[test]
    fn of_a_message_who_wrote_it_and_what_it_says_is_enough() {
        let data = json!({ "from": "491520000001@s.whatsapp.net", "content": { "type": "text", "value": "hello" } });
        let event = read_event(&json!({ "type": "message.received", "data": data }), SessionId(4), AT).unwrap();
        assert_eq!((event.n, event.at, event.session), (0, AT, SessionId(4)));
        let Fact::MessageReceived(incoming) = event.fact else { unreachable!("it is a message") };
        assert_eq!(incoming.chat, incoming.from);
        assert_eq!((incoming.from_phone.as_deref(), incoming.group), (Some("491520000001"), false));
    }

    #[test]
    fn what_is_no_event_is_refused_with_what_is_wrong() {
        let text = json!({ "from": "1@lid", "content": { "type": "text", "value": "x" } });
        for (shown, why) in [
            (json!("x"), "an event is an object"),
            (json!({ "data": {} }), "type: the type of the event is missing"),
            (json!({ "type": "message.gone", "data": {} }), "type: \"message.gone\" is none of call.ended"),
            (json!({ "type": "message.received" }), "data: an object is expected"),
            (json!({ "type": "message.received", "data": {} }), "data: "),
            (
                json!({ "type": "message.reaction", "data": text }),
                "type: message.reaction is given; what data has is message.received",
            ),
            (
                json!({ "type": "message.received", "data": text, "timestamp": "yesterday" }),
                "timestamp: \"yesterday\" is no time",
            ),
            (json!({ "type": "message.received", "data": text, "what": 1 }), "an event has no member \"what\""),
        ] {
            let refused = read_event(&shown, SessionId(1), AT).unwrap_err();
            assert!(refused.starts_with(why), "{refused}");
        }
    }
}
