//! Facts as JSON, for the API, streams and webhooks. What opens a file on WhatsApp's media hosts is not in it.

use serde_json::{Value, json};

use crate::records::content::{Content, MediaSource};
use crate::records::event::{Call, ContactChange, Fact, Incoming};

/// What happened, as it is shown to customers.
pub fn fact_json(fact: &Fact) -> Value {
    match fact {
        Fact::MessageReceived(incoming) => incoming_json(incoming),
        Fact::MessageState { message, whatsapp_id, chat, state, reason } => json!({
            "message_id": message, "whatsapp_id": whatsapp_id, "chat": chat, "state": state, "reason": reason,
        }),
        Fact::SessionState { state, reason } => json!({ "state": state, "reason": reason }),
        Fact::SessionQr { text, expires_at } => json!({ "text": text, "expires_at": expires_at }),
        Fact::ContactChanged(change) => contact_json(change),
        Fact::Receipt { message, whatsapp_id, chat, by, state } => json!({
            "message_id": message, "whatsapp_id": whatsapp_id, "chat": chat, "by": by, "state": state,
        }),
        Fact::GroupChanged(change) => json!(change),
        Fact::PresenceChanged { person, online, last_seen } => {
            json!({ "person": person, "online": online, "last_seen": last_seen })
        }
        Fact::ChatState { chat, person, activity } => json!({ "chat": chat, "person": person, "state": activity }),
        Fact::CallReceived(call) => json!(call),
        Fact::CallEnded { call, reason } => call_end_json(call, reason),
        Fact::MediaStored(stored) => json!(stored),
        Fact::MediaFailed { event, whatsapp_id, chat, reason } => json!({
            "event": event, "whatsapp_id": whatsapp_id, "chat": chat, "reason": reason,
        }),
        Fact::WebhookDisabled { webhook, reason } => json!({ "webhook_id": webhook, "reason": reason }),
    }
}

/// The content of a message. Of a file that lies with WhatsApp, `source` says only that.
pub fn content_json(content: &Content) -> Value {
    let with_whatsapp = content.media().is_some_and(|media| matches!(media.source, MediaSource::WhatsApp(_)));
    let mut value = json!(content.clone().without_keys());
    if with_whatsapp && let Some(source) = value.pointer_mut("/value/source") {
        *source = json!("whatsapp");
    }
    value
}

fn incoming_json(incoming: &Incoming) -> Value {
    let shown = Incoming { content: incoming.content.clone().without_keys(), ..incoming.clone() };
    let mut value = json!(shown);
    if let Some(content) = value.pointer_mut("/content") {
        *content = content_json(&incoming.content);
    }
    value
}

fn contact_json(change: &ContactChange) -> Value {
    let ContactChange { contact, new } = change;
    json!({
        "person": contact.person(), "push_name": contact.push_name, "name": contact.name,
        "verified_name": contact.verified_name, "new": new,
    })
}

fn call_end_json(call: &Call, reason: &str) -> Value {
    let mut value = json!(call);
    if let Value::Object(fields) = &mut value {
        fields.insert("reason".to_owned(), json!(reason));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::records::content::{Extras, Media, Person, WhatsAppMedia};

    fn incoming(content: Content) -> Fact {
        Fact::MessageReceived(Box::new(Incoming {
            whatsapp_id: "IN1".to_owned(),
            chat: "1@lid".to_owned(),
            chat_phone: Some("491520000001".to_owned()),
            chat_lid: Some("1@lid".to_owned()),
            from: "1@lid".to_owned(),
            from_phone: None,
            from_lid: None,
            push_name: None,
            from_me: false,
            group: false,
            sent_at: Timestamp(1),
            content,
            extras: Extras::default(),
        }))
    }

    #[test]
    fn what_opens_a_file_is_never_shown() {
        let place = WhatsAppMedia {
            direct_path: "/v/secret-path".to_owned(),
            url: Some("https://mmg.whatsapp.net/secret-url".to_owned()),
            media_key: "5ec7e7".to_owned(),
            enc_sha256: "5ec7e7".to_owned(),
            key_at_s: Some(1),
        };
        let media = Media { size: Some(7), ..Media::at(MediaSource::WhatsApp(Box::new(place))) };
        let kinds = [Content::Image, Content::Video, Content::Audio, Content::Document, Content::Sticker];
        for content in kinds.map(|kind| kind(media.clone())) {
            let shown = fact_json(&incoming(content));
            assert!(!shown.to_string().contains("secret") && !shown.to_string().contains("5ec7e7"), "{shown}");
            assert_eq!(
                (&shown["content"]["value"]["source"], &shown["content"]["value"]["size"]),
                (&json!("whatsapp"), &json!(7))
            );
        }
    }

    #[test]
    fn an_event_is_named_by_what_its_content_does_and_is_listed_under_every_name_of_its_chat() {
        use crate::records::content::{Edit, PollVote, Reaction, Revoke};
        let id = || "OUT1".to_owned();
        let named = [
            (Content::Text("hello".to_owned()), "message.received"),
            (Content::Reaction(Reaction { message_id: id(), emoji: "👍".to_owned(), author: None }), "message.reaction"),
            (Content::Edit(Edit { message_id: id(), text: "new".to_owned() }), "message.edited"),
            (Content::Revoke(Revoke { message_id: id(), author: None }), "message.revoked"),
            (Content::PollVote(PollVote { poll_id: id(), author: None, options: None }), "poll.vote"),
        ];
        for (content, name) in named {
            let fact = incoming(content);
            assert_eq!(fact.type_name(), name);
            assert_eq!(fact.chat_names(), ["1@lid", "491520000001@s.whatsapp.net"]);
        }
        let person = Person { jid: "1@lid".to_owned(), phone: Some("2".to_owned()), lid: Some("1@lid".to_owned()) };
        let in_group =
            Fact::ChatState { chat: "9@g.us".to_owned(), person, activity: crate::records::event::ChatActivity::Typing };
        assert_eq!(in_group.chat_names(), ["9@g.us"], "who types in a group does not name it");
    }
}
