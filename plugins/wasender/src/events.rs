//! What happened, as this dialect tells it: in the form of its documentation, or in that of its published clients.

use serde_json::{Value, json};
use switchboard_dialect::hooks::{self, HookName, Life, Step, named};
use switchboard_dialect::{content, people};
use switchboard_guest_sdk::iso8601;
use switchboard_guest_sdk::types::{ChatActivity, Content, Event, Fact, Incoming, Setting};
use switchboard_guest_sdk::webhook::{About, Endpoint, Guest, Payload, Signing};

use crate::sessions::status_name;
use crate::{Wasender, published};

/// The setting of an endpoint that says in which form events are told.
pub const FORM: &str = "form";

/// In which form events are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// That of the documentation.
    #[default]
    Seed,
    /// That of the published clients.
    Wasender,
}

impl Form {
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "seed" => Some(Self::Seed),
            "wasender" => Some(Self::Wasender),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Seed => "seed",
            Self::Wasender => "wasender",
        }
    }

    fn of(settings: &[Setting]) -> Self {
        let kept = settings.iter().find(|setting| setting.name == FORM);
        let name = kept.and_then(|setting| serde_json::from_str::<String>(&setting.value).ok());
        name.as_deref().and_then(Self::named).unwrap_or_default()
    }
}

const CAME_FURTHER: &[&str] = &[
    "message.delivered",
    "message.read",
    "message.played",
    "message.failed",
    "message.expired",
    "message.cancelled",
    "message.edited",
];

/// Every name of either form, and the host's events that it comes from.
pub const NAMES: &[HookName] = &[
    named("message.received", &["message.received"]),
    named("messages.received", &["message.received"]),
    named("messages.recieved", &["message.received"]),
    named("messages.upsert", &["message.received"]),
    named("messages-personal.received", &["message.received"]),
    named("messages-group.received", &["message.received"]),
    named("messages-newsletter.received", &["message.received"]),
    named("message.sent", &["message.acknowledged"]),
    named("messages.update", CAME_FURTHER),
    named("message-receipt.update", &["message.delivered", "message.read", "message.played", "message.receipt"]),
    named("messages.reaction", &["message.reaction"]),
    named("messages.delete", &["message.revoked"]),
    named("session.connected", &["session.state"]),
    named("session.disconnected", &["session.state"]),
    named("session.status", &["session.state"]),
    named("presence.update", &["presence.changed", "chat.state"]),
    named("qrcode.updated", &["session.qr"]),
    named("groups.upsert", &["group.changed"]),
    named("groups.update", &["group.changed"]),
    named("group-participants.update", &["group.changed"]),
    named("contacts.upsert", &["contact.changed"]),
    named("contacts.update", &["contact.changed"]),
    named("poll.results", &["poll.vote"]),
    named("call.received", &["call.received"]),
    // The published clients know these as well; nothing of the host's tells them.
    named("chats.upsert", &[]),
    named("chats.update", &[]),
    named("chats.delete", &[]),
];

/// The host's events that these names are about; those of every name when there are none.
pub fn sources(spelled: &[String]) -> Vec<String> {
    if spelled.is_empty() { hooks::sources(NAMES, &["*".to_owned()]) } else { hooks::sources(NAMES, spelled) }
}

/// What somebody subscribed to, in the spelling of either form.
pub struct Subscription(Vec<String>);

impl Subscription {
    fn of(settings: &[Setting]) -> Self {
        // An endpoint that was made in another way keeps `*`.
        Self(hooks::kept_events(settings).into_iter().filter(|name| name != "*").collect())
    }

    /// Whether one of these names was given, or none at all.
    pub fn any(&self, names: &[&str]) -> bool {
        self.0.is_empty() || names.iter().any(|name| hooks::takes(&self.0, name))
    }

    /// Whether this name was given.
    pub fn given(&self, name: &str) -> bool {
        hooks::takes(&self.0, name)
    }

    /// The event of this name, if it is wanted.
    pub fn alone(&self, name: &'static str, data: Value) -> Vec<(&'static str, Value)> {
        if self.any(&[name]) { vec![(name, data)] } else { Vec::new() }
    }

    /// The one of these names that was given first, in its own spelling; the first of them when none at all was given.
    pub fn spelling(&self, names: &[&'static str]) -> Option<&'static str> {
        if self.0.is_empty() {
            return names.first().copied();
        }
        names.iter().find(|name| hooks::takes(&self.0, name)).copied()
    }
}

impl Guest for Wasender {
    fn shape(event: Event, about: About, endpoint: Endpoint) -> Result<Vec<Payload>, String> {
        let subscription = Subscription::of(&endpoint.settings);
        if Form::of(&endpoint.settings) == Form::Wasender {
            // Published clients compare this header with the secret. Where that is not wished, they are told all the same.
            let signing = || match endpoint.reveal_secret {
                true => Signing::SecretIn("X-Webhook-Signature".to_owned()),
                false => Signing::StandardWebhooks,
            };
            let told = if hooks::is_test(&event) {
                vec![(hooks::TEST, json!({}))]
            } else {
                published::told(&event, &about, &subscription)
            };
            let payload = |(name, data): (&'static str, Value)| {
                let timestamp = event.at_ms / 1000;
                let body =
                    json!({ "event": name, "sessionId": event.session.to_string(), "timestamp": timestamp, "data": data });
                hooks::payload(name, &body, signing())
            };
            return Ok(told.into_iter().map(payload).collect());
        }
        let told = if hooks::is_test(&event) { Some((hooks::TEST, json!({}))) } else { told(&event, &about, &subscription) };
        let payload = |(name, data): (&'static str, Value)| {
            let (session, at) = (event.session.to_string(), iso8601(event.at_ms));
            let body = json!({ "event": name, "sessionId": session, "timestamp": at, "data": data });
            hooks::payload(name, &body, Signing::StandardWebhooks)
        };
        Ok(told.map(payload).into_iter().collect())
    }
}

/// The names of either form that stand for a message that came in.
const RECEIVED: &[&str] = &[
    "message.received",
    "messages.received",
    "messages.recieved",
    "messages.upsert",
    "messages-personal.received",
    "messages-group.received",
];

/// The event in the form of the documentation, if somebody wants it.
fn told(event: &Event, about: &About, wanted: &Subscription) -> Option<(&'static str, Value)> {
    match &event.fact {
        Fact::MessageReceived(incoming) if event.kind == "message.received" && !incoming.from_me => {
            wanted.any(RECEIVED).then(|| ("message.received", received(incoming)))
        }
        Fact::MessageState(progress) if hooks::step(progress.state, about) == Some(Step::Sent) => {
            let data = json!({
                "msgId": progress.message,
                "messageId": progress.whatsapp_id,
                "to": progress.chat,
                "type": about.message.as_ref().map(|message| type_of(&message.content)),
                "status": "sent",
            });
            wanted.any(&["message.sent"]).then_some(("message.sent", data))
        }
        Fact::SessionState(change) => {
            let name = match hooks::life(change)? {
                Life::Connected => "session.connected",
                Life::Reconnecting | Life::Disconnected => "session.disconnected",
            };
            let data = json!({
                "status": status_name(change.state),
                "phoneNumber": about.session.phone_number,
                "reason": change.reason,
            });
            wanted.any(&[name, "session.status"]).then_some((name, data))
        }
        Fact::PresenceChanged(change) => {
            let status = if change.online { "available" } else { "unavailable" };
            let last_seen = change.last_seen_ms.map(iso8601);
            let data = json!({ "id": people::jid_of(&change.person), "status": status, "lastSeen": last_seen });
            wanted.any(&["presence.update"]).then_some(("presence.update", data))
        }
        Fact::ChatState(state) => {
            let data = json!({
                "id": people::jid_of(&state.person), "chatId": state.chat, "status": activity(state.activity), "lastSeen": null,
            });
            wanted.any(&["presence.update"]).then_some(("presence.update", data))
        }
        _ => None,
    }
}

/// What somebody does, in the protocol's words.
pub fn activity(activity: ChatActivity) -> &'static str {
    match activity {
        ChatActivity::Typing => "composing",
        ChatActivity::Recording => "recording",
        ChatActivity::Paused => "paused",
    }
}

/// The type of content as this dialect names it.
fn type_of(content: &Content) -> &'static str {
    match content::type_of(content) {
        "file" => "document",
        word => word,
    }
}

fn received(incoming: &Incoming) -> Value {
    json!({
        "id": incoming.id,
        "from": incoming.sender.phone.as_ref().unwrap_or(&incoming.sender.jid),
        "chatId": people::chat_of(incoming),
        "isGroup": incoming.group,
        "pushName": incoming.sender.push_name,
        "type": type_of(&incoming.content),
        "text": content::text_of(&incoming.content),
        "message": crate::messages::shown(&incoming.content),
        "timestamp": iso8601(incoming.sent_at_ms),
    })
}
