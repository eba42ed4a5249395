//! A plugin that keeps what it is told to keep.
//!
//! A message, or the body of `POST /acts`, that is a JSON array says what to do, one act after the other, and is answered with
//! what came of each. To any other message it answers how many there were in its chat, by the counter `chat/<chat>`; with the
//! configuration `{"count": "<key>"}` by that one counter for all chats. The bodies of `auth-policy` try to keep something, too.

mod acts;

use serde::Deserialize;
use switchboard_guest_sdk::auth_policy::{Guest as Policy, Question, Verdict};
use switchboard_guest_sdk::responder::{Command, Event, Fact, Guest as Responder, Run};
use switchboard_guest_sdk::router::{Guest as Router, Refusal, RefusedRequest, Request, Response, ResponseBody, Route};
use switchboard_guest_sdk::types::{Content, KeyKind};
use switchboard_guest_sdk::{config, export_auth_policy, export_responder, export_router, http, kv, text_to};

switchboard_guest_sdk::grants!({
    "sessions": "all",
    "fields": ["text"],
    "send": { "per_minute": 100000 },
    "kv_bytes": 4096,
    "secrets": ["API_KEY"]
});

struct Keeper;

#[derive(Default, Deserialize)]
struct Settings {
    #[serde(default)]
    count: Option<String>,
    /// Another act than its own before each run, such as a trap.
    #[serde(default)]
    before: Option<String>,
}

impl Responder for Keeper {
    fn event_kinds() -> Vec<String> {
        vec!["message.received".to_owned()]
    }

    fn respond(_run: Run, event: Event) -> Result<Vec<Command>, String> {
        let Fact::MessageReceived(message) = event.fact else { return Ok(vec![]) };
        let Content::Text(text) = &message.content else { return Ok(vec![]) };
        if message.from_me {
            return Ok(vec![]);
        }
        let settings: Settings = config()?;
        if let Some(acts) = &settings.before {
            acts::all(acts)?;
        }
        let answer = if text.starts_with('[') {
            acts::all(text)?
        } else {
            count(&settings.count.unwrap_or_else(|| format!("chat/{}", message.chat)))?.to_string()
        };
        Ok(vec![Command::Send(text_to(&message.chat, answer))])
    }
}

fn count(key: &str) -> Result<u64, String> {
    let before = kv::get(key).map_err(acts::refusal)?;
    let before: u64 = before.and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok()).unwrap_or(0);
    kv::put(key, (before + 1).to_string().as_bytes(), None).map_err(acts::refusal)?;
    Ok(before + 1)
}

impl Router for Keeper {
    fn routes() -> Vec<Route> {
        vec![http::route("POST", "/acts", &[http::bearer(&[KeyKind::Tenant])]), http::route("POST", "/open/acts", &[])]
    }

    fn handle(request: Request) -> Response {
        match acts::all(&String::from_utf8_lossy(&request.body)) {
            Ok(said) => text(200, &said),
            Err(why) => text(400, &why),
        }
    }

    fn refuse(_request: RefusedRequest, refusal: Refusal) -> Response {
        text(400, &format!("{refusal:?}"))
    }
}

impl Policy for Keeper {
    fn judge(_question: Question) -> Verdict {
        match kv::get("a") {
            Ok(_) => Verdict::Deny("it reads what it keeps".to_owned()),
            Err(_) => Verdict::Allow,
        }
    }
}

fn text(status: u16, body: &str) -> Response {
    Response { status, headers: vec![], body: ResponseBody::Bytes(body.as_bytes().to_vec()) }
}

export_responder!(Keeper);
export_router!(Keeper);
export_auth_policy!(Keeper);
