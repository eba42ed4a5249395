//! A responder: leads people through screens of choices, each in their own place.
//!
//! ```json
//! {"begin": ["menu", "hi"], "first": "main", "forget_after_minutes": 60, "screens": [
//!   {"name": "main", "text": "1 Opening hours\n2 Talk to us", "choices": [{"says": "1", "to": "hours"}, {"says": "2", "to": "talk"}]},
//!   {"name": "hours", "text": "9 to 17. 0 goes back.", "choices": [{"says": "0", "to": "main"}]},
//!   {"name": "talk", "text": "Somebody will write to you."}]}
//! ```
//!
//! A word of `begin` shows the screen `first`; a choice goes on; anything else shows the screen again. A screen without choices is
//! the end of the way, and so is silence for `forget_after_minutes`.
//!
//! As a worked example: where somebody stands is kept in `kv` under the chat, with an end. The place and the answer are kept
//! together or not at all, so that nobody is led on without being told.

use serde::Deserialize;
use switchboard_guest_sdk::configurable::{Known, objects, text, texts, whole};
use switchboard_guest_sdk::responder::{Command, Event, Fact, Guest, Run};
use switchboard_guest_sdk::types::Content;
use switchboard_guest_sdk::{config, export_configurable, export_responder, grants, kv, text_to};

/// Most screens, and choices of one.
const SCREENS_MAX: usize = 200;
const CHOICES_MAX: usize = 50;
/// Most characters of a word, and of what a screen says.
const WORD_CHARS_MAX: usize = 100;
const TEXT_CHARS_MAX: usize = 4_096;
/// How long a place is kept unless it is set, minutes.
const FORGET_AFTER: u32 = 60;

const CHOICE: &[Known] = &[text("says", WORD_CHARS_MAX).required(), text("to", WORD_CHARS_MAX).required()];
const KNOWN: &[Known] = &[
    texts("begin", CHOICES_MAX, WORD_CHARS_MAX).required(),
    text("first", WORD_CHARS_MAX).required(),
    whole("forget_after_minutes", 1, 43_200),
    objects(
        "screens",
        SCREENS_MAX,
        &[
            text("name", WORD_CHARS_MAX).required(),
            text("text", TEXT_CHARS_MAX).required(),
            objects("choices", CHOICES_MAX, CHOICE),
        ],
    )
    .required(),
];

#[derive(Deserialize)]
struct Config {
    begin: Vec<String>,
    first: String,
    forget_after_minutes: Option<u32>,
    screens: Vec<Screen>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Screen {
    name: String,
    text: String,
    #[serde(default)]
    choices: Vec<Choice>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Choice {
    says: String,
    to: String,
}

fn same(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

impl Config {
    fn screen(&self, name: &str) -> Result<&Screen, String> {
        self.screens
            .iter()
            .find(|screen| screen.name == name)
            .ok_or_else(|| format!("configuration: no screen is named {name}"))
    }

    /// The screen to show to somebody who stands at `place` and says this; none when it is no affair of the menu.
    fn next(&self, place: Option<&str>, said: &str) -> Result<Option<&Screen>, String> {
        if self.begin.iter().any(|word| same(word, said)) {
            return self.screen(&self.first).map(Some);
        }
        // A screen that is no longer there is where nobody can stand.
        let Some(here) = place.and_then(|place| self.screen(place).ok()) else { return Ok(None) };
        match here.choices.iter().find(|choice| same(&choice.says, said)) {
            Some(choice) => self.screen(&choice.to).map(Some),
            None => Ok(Some(here)),
        }
    }
}

struct Menu;

impl Guest for Menu {
    fn event_kinds() -> Vec<String> {
        vec!["message.received".to_owned()]
    }

    fn respond(_run: Run, event: Event) -> Result<Vec<Command>, String> {
        let Fact::MessageReceived(message) = event.fact else { return Ok(vec![]) };
        let said = match &message.content {
            Content::Text(text) => text,
            Content::ButtonReply(choice) | Content::ListReply(choice) => &choice.title,
            _ => return Ok(vec![]),
        };
        if message.from_me || message.group {
            return Ok(vec![]);
        }
        let (config, key): (Config, String) = (config()?, format!("at/{}/{}", event.session, message.chat));
        let kept = |error| format!("where somebody stands cannot be kept: {error:?}");
        let place = kv::get(&key).map_err(kept)?.and_then(|place| String::from_utf8(place).ok());
        let Some(screen) = config.next(place.as_deref(), said)? else { return Ok(vec![]) };
        if screen.choices.is_empty() {
            kv::delete(&key).map_err(kept)?;
        } else {
            let ttl_s = config.forget_after_minutes.unwrap_or(FORGET_AFTER).saturating_mul(60);
            kv::put(&key, screen.name.as_bytes(), Some(ttl_s)).map_err(kept)?;
        }
        Ok(vec![Command::Send(text_to(&message.chat, screen.text.clone()))])
    }
}

grants!({ "sessions": "all", "fields": ["text"], "kv_bytes": 4194304, "send": { "per_minute": 120 } });
export_responder!(Menu);
export_configurable!(Menu, KNOWN);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_begins_a_choice_goes_on_and_anything_else_shows_the_screen_again() {
        let config: Config = serde_json::from_str(
            r#"{"begin": ["menu"], "first": "main", "screens": [
                {"name": "main", "text": "1 or 2", "choices": [{"says": "1", "to": "end"}, {"says": "2", "to": "gone"}]},
                {"name": "end", "text": "bye"}]}"#,
        )
        .unwrap();
        let text = |place, said| config.next(place, said).map(|screen| screen.map(|screen| screen.text.as_str()));
        assert_eq!(text(None, " Menu "), Ok(Some("1 or 2")));
        assert_eq!(text(None, "1"), Ok(None));
        assert_eq!(text(Some("main"), "1"), Ok(Some("bye")));
        assert_eq!(text(Some("main"), "what?"), Ok(Some("1 or 2")));
        assert_eq!(text(Some("no longer there"), "1"), Ok(None));
        assert!(text(Some("main"), "2").is_err());
    }
}
