//! A webhook format: what comes in as lines in a Slack channel, by the URL of one of its incoming webhooks.
//!
//! ```json
//! {"states": true}
//! ```
//!
//! Messages of people are shown with who wrote them; with `states` also sessions that change their state, and messages that could
//! not be sent. Everything else, and what the session wrote itself, is left out.
//!
//! As a worked example: a format may answer with no request at all, and then the event is not told. A receiver that knows no
//! signatures gets none.

use serde::Deserialize;
use serde_json::json;
use switchboard_guest_sdk::configurable::{Known, flag};
use switchboard_guest_sdk::types::{Content, Event, Fact, Field, Incoming, MessageState, SessionState};
use switchboard_guest_sdk::webhook::{About, Endpoint, Guest, Payload, Signing};
use switchboard_guest_sdk::{config, export_configurable, export_webhook, grants};

/// Most characters of a line: Slack cuts texts beyond 40,000.
const LINE_CHARS_MAX: usize = 30_000;

const KNOWN: &[Known] = &[flag("states")];

#[derive(Default, Deserialize)]
struct Config {
    #[serde(default)]
    states: bool,
}

struct Slack;

impl Guest for Slack {
    fn shape(event: Event, about: About, _endpoint: Endpoint) -> Result<Vec<Payload>, String> {
        let config: Config = config()?;
        let Some(line) = line(&event, &about.session.name, &config) else { return Ok(Vec::new()) };
        let content_type = Field { name: "content-type".to_owned(), value: "application/json".to_owned() };
        Ok(vec![Payload {
            name: event.kind,
            headers: vec![content_type],
            body: json!({ "text": line }).to_string().into_bytes(),
            signing: Signing::None,
        }])
    }
}

/// What the channel is told.
fn line(event: &Event, session: &str, config: &Config) -> Option<String> {
    let session = escaped(session);
    let line = match &event.fact {
        // A test is told whatever is set: somebody wants to see that it arrives.
        Fact::SessionState(change) if config.states || event.number == 0 => {
            let why = change.reason.as_deref().map(|why| format!(": {}", escaped(why))).unwrap_or_default();
            format!(":satellite: {session} is {}{why}", state_words(change.state))
        }
        Fact::MessageState(progress) if config.states && progress.state == MessageState::Failed => {
            let why = progress.reason.as_deref().unwrap_or("no reason is known");
            format!(":warning: {session}: a message to {} was not sent: {}", escaped(&progress.chat), escaped(why))
        }
        Fact::MessageReceived(incoming) if !incoming.from_me => {
            format!("*{}* to {session}: {}", escaped(&writer(incoming)), escaped(&words(&incoming.content)?))
        }
        _ => return None,
    };
    Some(line.chars().take(LINE_CHARS_MAX).collect())
}

fn state_words(state: SessionState) -> &'static str {
    match state {
        SessionState::Created => "created",
        SessionState::Pairing => "waiting to be linked",
        SessionState::Connected => "connected",
        SessionState::Reconnecting => "reconnecting",
        SessionState::Disconnected => "off line",
        SessionState::LoggedOut => "logged out",
        SessionState::Replaced => "replaced by another device",
        SessionState::Banned => "banned",
        SessionState::Failed => "failed",
    }
}

/// Who wrote it, in the words that say most.
fn writer(incoming: &Incoming) -> String {
    let sender = &incoming.sender;
    let number = sender.phone.as_ref().map_or_else(|| sender.jid.clone(), |phone| format!("+{phone}"));
    match &sender.push_name {
        Some(name) => format!("{name} ({number})"),
        None => number,
    }
}

/// What a message says, as far as it can be said in a line.
fn words(content: &Content) -> Option<String> {
    let file = |kind: &str, caption: &Option<String>| match caption {
        Some(caption) => format!("[{kind}] {caption}"),
        None => format!("[{kind}]"),
    };
    Some(match content {
        Content::Text(text) => text.clone(),
        Content::Image(media) => file("picture", &media.caption),
        Content::Video(media) => file("film", &media.caption),
        Content::Audio(media) => file(if media.voice_note { "voice note" } else { "sound" }, &None),
        Content::Document(media) => file("file", &media.file_name),
        Content::Sticker(_) => "[sticker]".to_owned(),
        Content::Location(location) => format!("[place] {}, {}", location.latitude, location.longitude),
        Content::Contacts(cards) => {
            let names: Vec<&str> = cards.iter().map(|card| card.display_name.as_str()).collect();
            format!("[contact] {}", names.join(", "))
        }
        Content::Poll(poll) => format!("[poll] {}: {}", poll.name, poll.options.join(" / ")),
        Content::ButtonReply(choice) | Content::ListReply(choice) => choice.title.clone(),
        _ => return None,
    })
}

/// Slack reads three characters as its own: <https://docs.slack.dev/messaging/formatting-message-text>.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

// Of files it shows the name.
grants!({ "fields": ["text", "number", "media", "contact_name"] });
export_webhook!(Slack);
export_configurable!(Slack, KNOWN);

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard_guest_sdk::types::SessionProgress;

    #[test]
    fn what_slack_would_read_as_its_own_is_escaped() {
        assert_eq!(escaped("a <!channel> & b"), "a &lt;!channel&gt; &amp; b");
    }

    #[test]
    fn states_are_told_where_they_are_asked_for_and_tests_always() {
        let fact = || Fact::SessionState(SessionProgress { state: SessionState::Connected, reason: None });
        let event = |number| Event { number, kind: "session.state".to_owned(), at_ms: 1, session: 1, fact: fact() };
        assert_eq!(line(&event(5), "Shop", &Config { states: false }), None);
        assert_eq!(line(&event(5), "Shop", &Config { states: true }).unwrap(), ":satellite: Shop is connected");
        assert!(line(&event(0), "Shop", &Config { states: false }).is_some());
    }
}
