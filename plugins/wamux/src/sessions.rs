//! Sessions: made, listed, renamed, set up and removed.

use serde_json::{Map, Value, json};
use switchboard_dialect::status::{SessionWords, is_ready};
use switchboard_dialect::{Failure, Of, What, done, fields, people};
use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::http::{empty, json as json_response, stream as live};
use switchboard_guest_sdk::iso8601;
use switchboard_guest_sdk::router::{LiveSource, Request, Response};
use switchboard_guest_sdk::sessions::{self as host, NewSession, SessionChange};
use switchboard_guest_sdk::types::{HostError, Session, SessionState, Setting};
use switchboard_ids::{Kind, from_uuid, uuid};

use crate::TOKEN;

/// How long a stream's address can be opened, seconds: long enough to get up and look for the phone.
const STREAM_TTL_S: u32 = 900;
/// Most characters of a session's key.
const KEY_CHARS_MAX: usize = 100;

pub const WORDS: SessionWords = SessionWords {
    created: "initializing",
    pairing: "initializing",
    qr: "qr_ready",
    connected: "connected",
    reconnecting: "connecting",
    disconnected: "disconnected",
    logged_out: "disconnected",
    replaced: "failed",
    banned: "failed",
    failed: "failed",
};

/// Settings that the host heeds, as this dialect names them.
const SETTINGS: [(&str, &str); 4] =
    [("fetchMedia", "fetch_media"), ("watchPresence", "watch_presence"), ("pacing", "pacing"), ("sending", "sending")];

/// The number of the session that a text names.
pub fn number(text: &str) -> Result<u64, Failure> {
    from_uuid(Kind::Session, text).ok_or(Failure::NotFound(What::Session))
}

fn id(request: &Request) -> Result<u64, Failure> {
    number(request.param("id"))
}

fn shape(session: &Session, stream: Option<String>) -> Result<Value, Failure> {
    let qr_waits = session.state == SessionState::Pairing && host::qr(session.id).of(What::Session)?.is_some();
    let id = uuid(Kind::Session, session.id);
    Ok(json!({
        "id": id,
        "sessionKey": session.name,
        "status": WORDS.of(session.state, qr_waits),
        "phoneNumber": people::own_number(session),
        "connectedAt": session.last_active_at_ms.filter(|_| is_ready(session)).map(iso8601),
        "lastActivityAt": session.last_active_at_ms.map(iso8601),
        "createdAt": iso8601(session.created_at_ms),
        "streamUrl": stream,
    }))
}

/// Sessions with the addresses of their streams, which a browser can open as they are.
fn whole(request: &Request, sessions: &[Session]) -> Result<Vec<Value>, Failure> {
    let ids: Vec<u64> = sessions.iter().map(|session| session.id).collect();
    // A key that may not read sessions is given no way around that.
    let mut tokens = host::draw_links(&ids, STREAM_TTL_S).unwrap_or_default().into_iter();
    let with_stream = |session: &Session| {
        let (base, mount, id) = (&request.base_url, &request.mount, uuid(Kind::Session, session.id).unwrap_or_default());
        let stream = tokens.next().map(|token| format!("{base}{mount}/sessions/{id}/stream?{TOKEN}={token}"));
        shape(session, stream)
    };
    sessions.iter().map(with_stream).collect()
}

/// The same of one.
fn one(request: &Request, session: Session) -> Result<Value, Failure> {
    whole(request, &[session])?.pop().ok_or(Failure::Internal)
}

fn session_key(fields: &mut Fields) -> String {
    let key = fields.required_text("session_key");
    fields.at_most("session_key", KEY_CHARS_MAX);
    key
}

pub fn create(request: &Request) -> Result<Response, Failure> {
    let mut fields = fields(request)?;
    let name = session_key(&mut fields);
    done(fields)?;
    let made = host::create(&NewSession { name, phone_number: String::new(), settings: Vec::new() }).of(What::Session)?;
    let session = host::connect(made.id, 0).of(What::Session)?;
    Ok(json_response(201, &one(request, session)?))
}

pub fn list(request: &Request) -> Result<Response, Failure> {
    let all = host::all().of(What::Session)?;
    let sessions = whole(request, &all)?;
    Ok(json_response(200, &json!({ "sessions": sessions, "total": all.len() })))
}

pub fn get(request: &Request) -> Result<Response, Failure> {
    Ok(json_response(200, &one(request, host::get(id(request)?).of(What::Session)?)?))
}

/// QR codes as they come, until the session is connected.
pub fn stream(request: &Request) -> Result<Response, Failure> {
    let session = host::get(id(request)?).of(What::Session)?;
    let state = uuid(Kind::Session, session.id).unwrap_or_default();
    Ok(live(LiveSource::SessionLife(session.id), state.into_bytes()))
}

pub fn rename(request: &Request) -> Result<Response, Failure> {
    let mut fields = fields(request)?;
    let name = session_key(&mut fields);
    done(fields)?;
    let change = SessionChange { name: Some(name), settings: Vec::new() };
    Ok(json_response(200, &one(request, host::change(id(request)?, &change).of(What::Session)?)?))
}

pub fn delete(request: &Request) -> Result<Response, Failure> {
    host::delete(id(request)?).of(What::Session)?;
    Ok(empty(204))
}

pub fn disconnect(request: &Request) -> Result<Response, Failure> {
    Ok(json_response(200, &one(request, host::disconnect(id(request)?).of(What::Session)?)?))
}

pub fn restart(request: &Request) -> Result<Response, Failure> {
    Ok(json_response(200, &one(request, host::restart(id(request)?, 0).of(What::Session)?)?))
}

fn settings_of(session: &Session) -> Value {
    let value = |name: &str| {
        let kept = session.settings.iter().find(|setting| setting.name == name);
        kept.and_then(|setting| serde_json::from_str(&setting.value).ok()).unwrap_or(Value::Null)
    };
    let settings: Map<String, Value> = SETTINGS.iter().map(|(ours, name)| ((*ours).to_owned(), value(name))).collect();
    Value::Object(settings)
}

pub fn settings(request: &Request) -> Result<Response, Failure> {
    Ok(json_response(200, &settings_of(&host::get(id(request)?).of(What::Session)?)))
}

pub fn change_settings(request: &Request) -> Result<Response, Failure> {
    let fields = fields(request)?;
    let set = SETTINGS.iter().filter_map(|(ours, name)| {
        let value =
            if fields.is_given(ours) { fields.json(ours).unwrap_or_else(|| "null".to_owned()) } else { return None };
        Some(Setting { name: (*name).to_owned(), value })
    });
    let change = SessionChange { name: None, settings: set.collect() };
    let changed = host::change(id(request)?, &change).map_err(as_given).of(What::Session)?;
    Ok(json_response(200, &settings_of(&changed)))
}

/// A refusal that names a setting as the caller did.
fn as_given(error: HostError) -> HostError {
    match error {
        HostError::Invalid(mut field) => {
            if let Some((ours, _)) = SETTINGS.iter().find(|(_, name)| *name == field.field) {
                field.field = (*ours).to_owned();
            }
            HostError::Invalid(field)
        }
        other => other,
    }
}
