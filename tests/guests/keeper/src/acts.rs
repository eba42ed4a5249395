//! What the plugin can be told to do.

use serde::Deserialize;
use switchboard_guest_sdk::kv::{self, Expected, Stretch};
use switchboard_guest_sdk::messages::{self, Direction, MessageQuery};
use switchboard_guest_sdk::types::HostError;
use switchboard_guest_sdk::{account, at_once, contacts, groups, log, media, secrets, sessions, text_to, webhooks};

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Act {
    Get(String),
    Put(String, String),
    PutFor(String, String, u32),
    /// An expected value, or none.
    PutIf(String, Option<String>, String),
    /// A value of so many bytes.
    PutLarge(String, usize),
    Delete(String),
    /// From, to, how many, and whether backwards.
    Scan(String, Option<String>, u32, bool),
    Usage,
    /// Its length: an answer may show that it was read, and not what it is.
    Secret(String),
    /// Logs what a secret is, after that text.
    LogSecret(String, String),
    /// Fails with what a secret is.
    FailWithSecret(String),
    /// The sessions that it has to do with: number and own number of each.
    Sessions,
    /// From which session, to whom, what.
    Send(u64, String, String),
    /// The same under a key.
    SendOnce(u64, String, String, String),
    /// The state of a message.
    Message(u64),
    /// What becomes of verbs that no grant speaks of, about this session.
    Forbidden(u64),
    Fail(String),
    Trap,
    Spin,
}

/// Does all of `acts`, a JSON array, and says what came of each, with `; ` between them.
pub fn all(acts: &str) -> Result<String, String> {
    let acts: Vec<Act> = serde_json::from_str(acts).map_err(|error| error.to_string())?;
    let said: Result<Vec<String>, String> = acts.into_iter().map(|act| act.said()).collect();
    said.map(|said| said.join("; "))
}

impl Act {
    fn said(self) -> Result<String, String> {
        let said = match self {
            Self::Fail(why) => return Err(why),
            Self::Trap => std::process::abort(),
            Self::Spin => loop {
                std::hint::black_box(0);
            },
            Self::Get(key) => kv::get(&key).map(|value| value.map_or_else(|| "none".to_owned(), shown)),
            Self::Put(key, value) => kv::put(&key, value.as_bytes(), None).map(|()| "kept".to_owned()),
            Self::PutFor(key, value, ttl_s) => kv::put(&key, value.as_bytes(), Some(ttl_s)).map(|()| "kept".to_owned()),
            Self::PutLarge(key, bytes) => kv::put(&key, &vec![b'x'; bytes], None).map(|()| "kept".to_owned()),
            Self::PutIf(key, expected, value) => {
                let expected = expected.map_or(Expected::Absent, |value| Expected::Value(value.into_bytes()));
                kv::put_if(&key, &expected, value.as_bytes(), None).map(|had| had.to_string())
            }
            Self::Delete(key) => kv::delete(&key).map(|had| had.to_string()),
            Self::Scan(begin, end, limit, reverse) => scan(Stretch { begin, end, limit, reverse }),
            Self::Secret(name) => secrets::get(&name).map(|secret| secret.len().to_string()),
            Self::LogSecret(text, name) => secrets::get(&name).map(|secret| {
                log::info(&format!("{text} {secret}"));
                println!("{text} {secret}");
                "logged".to_owned()
            }),
            Self::FailWithSecret(name) => {
                let secret = secrets::get(&name).map_err(refusal)?;
                return Err(format!("the key {secret} was refused"));
            }
            Self::Sessions => sessions::all().map(|all| {
                let all: Vec<String> = all.iter().map(|one| format!("{}:{}", one.id, one.phone_number)).collect();
                all.join(" ")
            }),
            Self::Send(session, to, text) => {
                messages::send(session, &text_to(&to, text), &at_once()).map(|sent| sent.message.id.to_string())
            }
            Self::SendOnce(session, key, to, text) => {
                let sent = messages::send_once(session, &key, &text_to(&to, text), &at_once());
                sent.map(|sent| sent.message.id.to_string())
            }
            Self::Message(id) => messages::get(id).map(|message| format!("{:?}", message.state)),
            Self::Forbidden(session) => return Ok(forbidden(session)),
            Self::Usage => kv::usage().map(|kept| format!("{} of {}", kept.used_bytes, kept.max_bytes)),
        };
        Ok(said.unwrap_or_else(refusal))
    }
}

/// What verbs say that a tenant's own router does not have, each once.
fn forbidden(session: u64) -> String {
    let every =
        MessageQuery { session: None, direction: None, states: vec![], since_ms: None, until_ms: None, offset: 0, limit: 1 };
    let mut said = vec![
        sessions::qr(session).err(),
        sessions::disconnect(session).err(),
        sessions::draw_links(&[session], 60).err(),
        messages::find(&every).err(),
        messages::count(session, Direction::Received).err(),
        contacts::find(session, 0, 1).err(),
        groups::find(session, 0, 1).err(),
        webhooks::all().err(),
        account::info().err(),
        media::link("x", 60).err(),
    ];
    let mut said: Vec<String> = said.drain(..).map(|error| error.map_or("done".to_owned(), refusal)).collect();
    said.dedup();
    said.join("; ")
}

fn scan(stretch: Stretch) -> Result<String, HostError> {
    let page = kv::scan(&stretch)?;
    let mut said: Vec<String> =
        page.entries.into_iter().map(|entry| format!("{}={}", entry.key, shown(entry.value))).collect();
    said.extend(page.more.then(|| "more".to_owned()));
    Ok(said.join(" "))
}

fn shown(value: Vec<u8>) -> String {
    String::from_utf8_lossy(&value).into_owned()
}

/// A refusal of the host's in words.
pub fn refusal(error: HostError) -> String {
    match error {
        HostError::Denied(why) => format!("denied: {why}"),
        HostError::Invalid(invalid) => format!("invalid: {} {}", invalid.field, invalid.why),
        HostError::LimitReached(limit) => format!("limit: {} {} of {}", limit.limit, limit.used, limit.max),
        HostError::NotFound => "not found".to_owned(),
        other => format!("{other:?}"),
    }
}
