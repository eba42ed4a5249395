//! Tells whoever wrote, and whoever is told by webhook, what a plugin sees of what happened.

use serde_json::{Value, json};
use switchboard_guest_sdk::responder::{Command, Event, Fact, Incoming, Run};
use switchboard_guest_sdk::types::{Content, Quote};
use switchboard_guest_sdk::webhook::{About, Endpoint, Payload, Signing};
use switchboard_guest_sdk::{export_responder, export_webhook, responder, text_to, webhook};

struct Mirror;

impl responder::Guest for Mirror {
    fn event_kinds() -> Vec<String> {
        vec!["message.received".to_owned()]
    }

    /// Answers in the chat, and quotes and mentions whoever wrote.
    fn respond(_run: Run, event: Event) -> Result<Vec<Command>, String> {
        let Fact::MessageReceived(message) = &event.fact else { return Ok(vec![]) };
        if message.from_me {
            return Ok(vec![]);
        }
        let sender = message.sender.jid.clone();
        let name = sender.split('@').next().unwrap_or_default();
        let mut outgoing = text_to(&message.chat, format!("@{name} {}", seen(message)));
        outgoing.extras.quote = Some(Quote { message_id: message.id.clone(), sender: Some(sender.clone()) });
        outgoing.extras.mentions = vec![sender];
        Ok(vec![Command::Send(outgoing)])
    }
}

impl webhook::Guest for Mirror {
    fn shape(event: Event, about: About, _endpoint: Endpoint) -> Result<Vec<Payload>, String> {
        let seen = if let Fact::MessageReceived(message) = &event.fact { seen(message) } else { Value::Null };
        let body = json!({ "seen": seen, "standard": about.standard }).to_string().into_bytes();
        Ok(vec![Payload { name: event.kind, headers: vec![], body, signing: Signing::StandardWebhooks }])
    }
}

fn seen(message: &Incoming) -> Value {
    let text = if let Content::Text(text) = &message.content { Value::from(text.as_str()) } else { Value::Null };
    json!({
        "chat": message.chat, "from": message.sender.jid, "phone": message.sender.phone, "name": message.sender.push_name,
        "text": text,
    })
}

export_responder!(Mirror);
export_webhook!(Mirror);
