//! Judges grants of plugins: whether they can be given at all, and what of a wish is not given yet.
//!
//! Pure: nothing is granted here, and a plugin asks for what it likes; its owner decides.

mod host;

use serde::Deserialize;

use url::Url;

use super::said_back::said_back;
use crate::records::id::SessionId;
use crate::records::plugin::{Grants, MessageField, SendGrant, SessionGrant};

pub use host::{BadHost, HOST_BYTES_MAX, HostGrant};

/// Most hosts of one plugin.
pub const HOSTS_MAX: usize = 64;
/// Most bytes that one plugin may keep for a tenant: 1 GiB.
pub const KV_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Most names of secrets of one plugin.
pub const SECRETS_MAX: usize = 64;
/// Most characters of the name of a secret.
pub const SECRET_NAME_CHARS_MAX: usize = 64;
/// Most messages that a plugin may send in a minute.
pub const PER_MINUTE_MAX: u32 = 100_000;
/// Most sessions that a grant names one by one.
pub const SESSIONS_MAX: usize = 1_000;

/// Why grants cannot be given, or asked for: where, and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", .path.join("."))]
pub struct GrantFault {
    /// Names and indexes on the way there.
    pub path: Vec<String>,
    /// What is wrong.
    pub why: String,
}

impl GrantFault {
    fn at(path: &[&str], why: String) -> Self {
        Self { path: path.iter().map(|step| (*step).to_owned()).collect(), why }
    }
}

/// Whether these grants can be given.
///
/// # Errors
/// The first fault.
pub fn check(grants: &Grants) -> Result<(), GrantFault> {
    let Grants { http, kv_bytes, secrets, send, sessions, fields: _ } = grants;
    at_most(http.len(), HOSTS_MAX, "http")?;
    for (at, text) in http.iter().enumerate() {
        HostGrant::read(text).map_err(|bad| GrantFault::at(&["http", &at.to_string()], bad.to_string()))?;
    }
    if *kv_bytes > KV_BYTES_MAX {
        return Err(GrantFault::at(&["kv_bytes"], format!("is {kv_bytes}; the limit is {KV_BYTES_MAX}")));
    }
    at_most(secrets.len(), SECRETS_MAX, "secrets")?;
    for (at, name) in secrets.iter().enumerate() {
        if !is_secret_name(name) {
            let why = format!("{:?} must be 1 to {SECRET_NAME_CHARS_MAX} of A-Z, a-z, 0-9, _, - and .", said_back(name));
            return Err(GrantFault::at(&["secrets", &at.to_string()], why));
        }
    }
    if let Some(SendGrant { per_minute }) = send
        && !(1..=PER_MINUTE_MAX).contains(per_minute)
    {
        let why = format!("is {per_minute}; 1 to {PER_MINUTE_MAX} is expected");
        return Err(GrantFault::at(&["send", "per_minute"], why));
    }
    match sessions {
        SessionGrant::All => Ok(()),
        SessionGrant::Only(only) => at_most(only.len(), SESSIONS_MAX, "sessions"),
    }
}

/// Whether a secret can have this name.
pub fn is_secret_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    (1..=SECRET_NAME_CHARS_MAX).contains(&name.chars().count()) && name.chars().all(fits)
}

fn at_most(count: usize, max: usize, member: &str) -> Result<(), GrantFault> {
    if count > max {
        return Err(GrantFault::at(&[member], format!("has {count} entries; the limit is {max}")));
    }
    Ok(())
}

/// What a component asks for, from the JSON that it carries.
///
/// # Errors
/// What is wrong with it, and where.
pub fn read_asked(json: &[u8]) -> Result<Grants, String> {
    // An array would be taken for the members, by their places.
    if json.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err("it is no JSON object".to_owned());
    }
    let mut reader = serde_json::Deserializer::from_slice(json);
    let asked = Grants::deserialize(&mut reader).map_err(|error| error.to_string())?;
    reader.end().map_err(|error| format!("more than one JSON object: {error}"))?;
    check(&asked).map_err(|fault| fault.to_string())?;
    match &asked.sessions {
        // A component is written before anybody who will use it has a session.
        SessionGrant::Only(only) if !only.is_empty() => {
            Err("sessions: a component cannot know ids of sessions; ask for \"all\", or leave it out".to_owned())
        }
        _ => Ok(asked),
    }
}

/// What of `asked` is not in `granted`, one line each: the name of the grant and what it would allow. Some sessions are enough
/// for whoever asks for all: which ones is for the owner to say.
pub fn missing(asked: &Grants, granted: &Grants) -> Vec<String> {
    let Grants { http, kv_bytes, secrets, send, sessions, fields } = asked;
    let mut missing = Vec::new();
    let hosts: Vec<HostGrant> = granted.http.iter().filter_map(|host| HostGrant::read(host).ok()).collect();
    for text in http {
        let covered = HostGrant::read(text).is_ok_and(|asked| hosts.iter().any(|host| host.covers(&asked)));
        if !covered {
            missing.push(format!("http: ask {text}"));
        }
    }
    if *kv_bytes > granted.kv_bytes {
        missing.push(format!("kv_bytes: keep {kv_bytes} bytes for each tenant, now {}", granted.kv_bytes));
    }
    missing.extend(secrets.difference(&granted.secrets).map(|name| format!("secrets: read {name}")));
    let per_minute = |send: &Option<SendGrant>| send.map_or(0, |send| send.per_minute);
    if per_minute(send) > per_minute(&granted.send) {
        missing.push(format!("send: send {} messages a minute, now {}", per_minute(send), per_minute(&granted.send)));
    }
    if *sessions == SessionGrant::All && granted.sessions.is_none() {
        missing.push("sessions: read of the account's sessions and send from them".to_owned());
    }
    missing.extend(fields.difference(&granted.fields).map(|field| format!("fields: {}", seen(*field))));
    missing
}

fn seen(field: MessageField) -> &'static str {
    match field {
        MessageField::Text => "text, what messages say",
        MessageField::Number => "number, the telephone numbers of people",
        MessageField::Media => "media, the files of messages",
        MessageField::ContactName => "contact_name, what people call themselves",
    }
}

/// What a responder was not given without which it is never told of anything, in words.
pub fn deaf(granted: &Grants) -> Option<String> {
    let words = "sessions: none is granted, so its responder is told of no event";
    granted.sessions.is_none().then(|| words.to_owned())
}

/// Whether a plugin is told of what happens to `session`. What concerns the account as a whole is for those that have to do with
/// all of its sessions.
pub fn hears(grants: &Grants, session: SessionId) -> bool {
    grants.sessions.covers(session)
}

/// The leave to send from `session`.
///
/// # Errors
/// Which grant is missing, in words.
pub fn may_send(grants: &Grants, session: SessionId) -> Result<SendGrant, String> {
    let send = grants.send.ok_or("it may not send anything: it was not given the grant send")?;
    if grants.sessions.covers(session) {
        return Ok(send);
    }
    Err(format!("it may not send from session {session}: its grant sessions does not have it"))
}

/// Why a plugin may not ask a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotGranted {
    /// It is no URL.
    #[error("not a URL: {0}")]
    NoUrl(url::ParseError),
    /// No grant names its host; its origin.
    #[error("no grant names {0}")]
    Host(String),
}

/// Whether a plugin may ask this URL, as far as its grants go.
///
/// # Errors
/// [`NotGranted`].
pub fn may_ask(grants: &Grants, url: &str) -> Result<(), NotGranted> {
    let url = Url::parse(url).map_err(NotGranted::NoUrl)?;
    let granted = grants.http.iter().filter_map(|host| HostGrant::read(host).ok()).any(|host| host.covers_url(&url));
    if granted { Ok(()) } else { Err(NotGranted::Host(said_back(url.origin().ascii_serialization()))) }
}

/// Everything in either.
pub fn both(one: &Grants, other: &Grants) -> Grants {
    let Grants { http, kv_bytes, secrets, send, sessions, fields } = one;
    Grants {
        http: http | &other.http,
        kv_bytes: *kv_bytes.max(&other.kv_bytes),
        secrets: secrets | &other.secrets,
        send: match (send, other.send) {
            (Some(one), Some(other)) => Some(SendGrant { per_minute: one.per_minute.max(other.per_minute) }),
            (one, other) => one.or(other),
        },
        sessions: match (sessions, &other.sessions) {
            (SessionGrant::Only(one), SessionGrant::Only(other)) => SessionGrant::Only(one | other),
            // What its owner has narrowed is not widened by what the component would like.
            (SessionGrant::Only(some), SessionGrant::All) if !some.is_empty() => SessionGrant::Only(some.clone()),
            _ => SessionGrant::All,
        },
        fields: fields | &other.fields,
    }
}

#[cfg(test)]
mod tests;
