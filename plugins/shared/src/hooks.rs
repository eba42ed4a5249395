//! Webhooks in a dialect's own words: what it calls the host's events, which of them somebody wants, and how bodies are signed.

use serde_json::Value;
use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::said_back;
use switchboard_guest_sdk::types::{Event, MessageState, SessionProgress, SessionState, Setting};
use switchboard_guest_sdk::webhook::{About, Hmac, HmacContent, Payload, Signing};

/// The setting of an endpoint that keeps the names of its events as the caller spelled them.
const EVENTS: &str = "events";
/// What a test is called.
pub const TEST: &str = "webhook.test";
/// Takes every event.
const EVERYTHING: &str = "*";

/// An event as a dialect names it, and the types of the host's events that it comes from.
pub struct HookName {
    /// In the dialect's words.
    pub name: &'static str,
    /// In the host's.
    pub from: &'static [&'static str],
}

/// An event of a dialect.
pub const fn named(name: &'static str, from: &'static [&'static str]) -> HookName {
    HookName { name, from }
}

/// Whether one of `spelled` takes an event of this name: the name itself, a family such as `message.*`, or `*`.
pub fn takes(spelled: &[String], name: &str) -> bool {
    spelled.iter().any(|one| match one.strip_suffix('*') {
        Some(family) => name.starts_with(family),
        None => one == name,
    })
}

/// The types of the host's events that `spelled` is about, each once.
pub fn sources(names: &[HookName], spelled: &[String]) -> Vec<String> {
    let mut sources: Vec<String> = Vec::new();
    for source in names.iter().filter(|one| takes(spelled, one.name)).flat_map(|one| one.from) {
        if !sources.iter().any(|known| known == source) {
            sources.push((*source).to_owned());
        }
    }
    sources
}

/// The names in the field `events`, or everything where there are none. What takes no event of the dialect is refused.
pub fn read_events(fields: &mut Fields, names: &[HookName]) -> Vec<String> {
    let spelled = fields.texts(EVENTS);
    refuse_unknown(fields, EVENTS, names, &spelled);
    if spelled.is_empty() { vec![EVERYTHING.to_owned()] } else { spelled }
}

/// Refuses the field if one of its names takes no event of the dialect.
pub fn refuse_unknown(fields: &mut Fields, field: &str, names: &[HookName], spelled: &[String]) {
    let alone = |one: &String| names.iter().any(|known| takes(std::slice::from_ref(one), known.name));
    if let Some(unknown) = spelled.iter().find(|one| !alone(one)) {
        let known: Vec<&str> = names.iter().map(|known| known.name).collect();
        fields.refuse(field, format!("has {:?}, which is no event; there are: {}", said_back(unknown), known.join(", ")));
    }
}

/// Keeps the names as they were spelled.
pub fn keep_events(spelled: &[String]) -> Setting {
    Setting { name: EVENTS.to_owned(), value: Value::from(spelled.to_vec()).to_string() }
}

/// The names as they were spelled; everything for an endpoint that was made without any.
pub fn kept_events(settings: &[Setting]) -> Vec<String> {
    let kept = settings.iter().find(|setting| setting.name == EVENTS);
    let read = kept.and_then(|setting| serde_json::from_str(&setting.value).ok());
    read.unwrap_or_else(|| vec![EVERYTHING.to_owned()])
}

/// Whether the event stands for a test.
pub fn is_test(event: &Event) -> bool {
    event.number == 0
}

/// A request with a JSON body.
pub fn payload(name: &str, body: &Value, signing: Signing) -> Payload {
    Payload { name: name.to_owned(), headers: Vec::new(), body: body.to_string().into_bytes(), signing }
}

/// `<header>: sha256=<HMAC of the body>`
pub fn sha256_of_body(header: &str) -> Signing {
    hmac(header, HmacContent::Body, None)
}

/// `<header>: sha256=<HMAC of "<seconds>.<body>">`, and the seconds in a header of their own.
pub fn sha256_of_timestamp_and_body(header: &str, timestamp_header: &str) -> Signing {
    hmac(header, HmacContent::TimestampAndBody, Some(timestamp_header.to_owned()))
}

fn hmac(header: &str, content: HmacContent, timestamp_header: Option<String>) -> Signing {
    Signing::HmacSha256(Hmac { header: header.to_owned(), prefix: "sha256=".to_owned(), content, timestamp_header })
}

/// What a session's change means to somebody who waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It is on line.
    Connected,
    /// The connection is lost, and is being made again.
    Reconnecting,
    /// It is off line, for good or until somebody connects it.
    Disconnected,
}

/// What a change of a session means; nothing while it is just being linked or started.
pub fn life(change: &SessionProgress) -> Option<Life> {
    match change.state {
        SessionState::Connected => Some(Life::Connected),
        SessionState::Reconnecting => change.reason.is_some().then_some(Life::Reconnecting),
        SessionState::Created | SessionState::Pairing => None,
        SessionState::Disconnected
        | SessionState::LoggedOut
        | SessionState::Replaced
        | SessionState::Banned
        | SessionState::Failed => Some(Life::Disconnected),
    }
}

/// How a message has come further, in four steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// WhatsApp's server took it.
    Sent,
    /// The receiver has it.
    Delivered,
    /// The receiver looked at it.
    Read,
    /// It will not be sent.
    Failed,
}

/// The step that a new state of a message is; nothing when it is none, or was told before.
pub fn step(state: MessageState, about: &About) -> Option<Step> {
    let was_read = || {
        let reached = about.message.as_ref().map(|message| message.reached.as_slice()).unwrap_or_default();
        reached.iter().any(|reached| reached.state == MessageState::Read)
    };
    match state {
        MessageState::Queued | MessageState::Leased | MessageState::Sent => None,
        MessageState::Acknowledged => Some(Step::Sent),
        MessageState::Delivered => Some(Step::Delivered),
        MessageState::Read => Some(Step::Read),
        MessageState::Played => (!was_read()).then_some(Step::Read),
        MessageState::Failed | MessageState::Expired | MessageState::Cancelled => Some(Step::Failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[HookName] =
        &[named("message.read", &["message.read", "message.played"]), named("session.connected", &["session.state"])];

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_name_a_family_and_a_star_lead_to_the_events_they_come_from() {
        assert_eq!(sources(NAMES, &list(&["message.*", "message.read"])), ["message.read", "message.played"]);
        assert_eq!(sources(NAMES, &list(&["*"])), ["message.read", "message.played", "session.state"]);
        assert!(sources(NAMES, &list(&["messages"])).is_empty());
    }

    #[test]
    fn what_takes_no_event_is_refused_and_no_list_means_everything() {
        let mut fields = Fields::parse(br#"{"events":["message.*","message.recieved"]}"#).unwrap();
        read_events(&mut fields, NAMES);
        let errors = fields.finish().unwrap_err();
        assert_eq!(
            errors["events"][0].why,
            "has \"message.recieved\", which is no event; there are: message.read, session.connected"
        );
        let mut none = Fields::parse(b"{}").unwrap();
        assert_eq!(read_events(&mut none, NAMES), ["*"]);
        let kept = keep_events(&list(&["session.connected"]));
        assert_eq!((kept_events(&[kept]), kept_events(&[])), (list(&["session.connected"]), list(&["*"])));
    }

    #[test]
    fn a_session_that_is_only_being_started_is_no_news() {
        let change = |state, reason: Option<&str>| SessionProgress { state, reason: reason.map(str::to_owned) };
        assert_eq!(life(&change(SessionState::Reconnecting, None)), None);
        assert_eq!(life(&change(SessionState::Reconnecting, Some("lost"))), Some(Life::Reconnecting));
        assert_eq!(life(&change(SessionState::Pairing, None)), None);
        assert_eq!(life(&change(SessionState::Banned, None)), Some(Life::Disconnected));
    }
}
