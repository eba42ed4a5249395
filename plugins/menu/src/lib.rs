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

mod screens;

use switchboard_guest_sdk::responder::{Command, Event, Fact, Guest, Run};
use switchboard_guest_sdk::types::Content;
use switchboard_guest_sdk::{config, export_configurable, export_responder, grants, kv, text_to};

use screens::Config;

/// How long a place is kept unless it is set, minutes.
const FORGET_AFTER: u32 = 60;

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
export_configurable!(Menu, screens::KNOWN, screens::dead_ends);
