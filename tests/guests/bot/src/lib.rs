//! A responder of a tenant that does as the text of a message says, and says any other text back, to itself as well.

use std::hint::black_box;

use switchboard_guest_sdk::responder::{Command, Event, Fact, Guest, Run, SendWish};
use switchboard_guest_sdk::types::{Content, Outgoing};
use switchboard_guest_sdk::{export_responder, kv, secrets, text_to};

switchboard_guest_sdk::grants!({
    "sessions": "all", "fields": ["text", "number"], "send": { "per_minute": 600 }, "kv_bytes": 4096, "secrets": ["API_KEY"]
});

struct Bot;

impl Guest for Bot {
    fn event_kinds() -> Vec<String> {
        vec!["message.received".to_owned()]
    }

    fn respond(_run: Run, event: Event) -> Result<Vec<Command>, String> {
        let Fact::MessageReceived(message) = event.fact else { return Ok(vec![]) };
        let Content::Text(text) = &message.content else { return Ok(vec![]) };
        let say = |text: String| text_to(&message.chat, text);
        let (word, rest) = text.split_once(' ').unwrap_or((text.as_str(), ""));
        let number = rest.parse().unwrap_or(0);
        Ok(match word {
            "flood" => (0..number).map(|n| Command::Send(say(format!("flood {n}")))).collect(),
            "from" => vec![Command::SendWith(from_session(number, say("not mine".to_owned())))],
            "spin" => loop {
                black_box(0);
            },
            "half" => {
                kv::put("half", b"done", None).map_err(|error| format!("{error:?}"))?;
                std::process::abort()
            }
            "count" => vec![Command::Send(say(count()?.to_string()))],
            "get" => vec![Command::Send(say(kept(rest)?))],
            "put" => {
                kv::put(rest, rest.as_bytes(), None).map_err(|error| format!("{error:?}"))?;
                vec![Command::Send(say("kept".to_owned()))]
            }
            "secret" => vec![Command::Send(say(
                secrets::get(rest).map_or_else(|error| format!("{error:?}"), |s| s.len().to_string())
            ))],
            _ => vec![Command::Send(say(text.clone()))],
        })
    }
}

fn from_session(session: u64, message: Outgoing) -> SendWish {
    SendWish { message, session: Some(session), send_at_ms: None, expires_at_ms: None }
}

fn kept(key: &str) -> Result<String, String> {
    let value = kv::get(key).map_err(|error| format!("{error:?}"))?;
    Ok(value.map_or_else(|| "none".to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// One more than the last time.
fn count() -> Result<u64, String> {
    let counted = kept("all")?.parse::<u64>().unwrap_or(0) + 1;
    kv::put("all", counted.to_string().as_bytes(), None).map_err(|error| format!("{error:?}"))?;
    Ok(counted)
}

export_responder!(Bot);
