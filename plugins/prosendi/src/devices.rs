//! Devices: sessions, one of which is the company's default.

use serde_json::{Value, json};
use switchboard_dialect::people::own_number;
use switchboard_dialect::status::{SessionWords, is_ready};
use switchboard_dialect::{Failure, Of, What, done, fields, qr as codes};
use switchboard_guest_sdk::iso8601;
use switchboard_guest_sdk::router::{Request, Response};
use switchboard_guest_sdk::sessions::{self as host, NewSession, SessionChange};
use switchboard_guest_sdk::types::{Session, SessionState, Setting};

use crate::answer;

/// How long the QR code of a device that begins to pair is waited for.
const QR_WAIT_MS: u32 = 8_000;
/// Most characters of a device's name.
const NAME_CHARS_MAX: usize = 255;
/// The setting that says since when a device is the default; the newest is.
const DEFAULT_SINCE: &str = "prosendi.default_since";
/// The host's own setting: a session without it sends.
const SENDING: &str = "sending";

const WORDS: SessionWords = SessionWords {
    created: "pending",
    pairing: "pending",
    qr: "qr_ready",
    connected: "authenticated",
    reconnecting: "authenticated",
    disconnected: "disconnected",
    logged_out: "disconnected",
    replaced: "error",
    banned: "error",
    failed: "error",
};

fn setting<'a>(session: &'a Session, name: &str) -> Option<&'a str> {
    session.settings.iter().find(|setting| setting.name == name).map(|setting| setting.value.as_str())
}

/// Whether a device may send.
pub fn is_active(session: &Session) -> bool {
    setting(session, SENDING) != Some("false")
}

/// The company's default device: the one that was set last; until one is set, the first that was authenticated.
pub fn default_of(all: &[Session]) -> Option<&Session> {
    let since = |session: &&Session| setting(session, DEFAULT_SINCE).and_then(|since| since.parse::<u64>().ok());
    let set = all.iter().filter(|session| since(session).is_some()).max_by_key(since);
    set.or_else(|| all.iter().filter(|session| is_ready(session)).min_by_key(|session| (session.created_at_ms, session.id)))
}

fn status_of(session: &Session) -> Result<&'static str, Failure> {
    let qr_waits = session.state == SessionState::Pairing && host::qr(session.id).of(What::Session)?.is_some();
    Ok(WORDS.of(session.state, qr_waits))
}

fn shape(session: &Session, default: Option<u64>) -> Result<Value, Failure> {
    Ok(json!({
        "id": session.id,
        "name": session.name,
        "status": status_of(session)?,
        "phone_number": own_number(session),
        "is_active": is_active(session),
        "is_default": default == Some(session.id),
        "created_at": iso8601(session.created_at_ms),
        "updated_at": iso8601(session.updated_at_ms),
    }))
}

/// A device as it is now, told in full.
fn told(session: &Session) -> Result<Value, Failure> {
    let all = host::all().of(What::Session)?;
    shape(session, default_of(&all).map(|default| default.id))
}

fn id(request: &Request) -> Result<u64, Failure> {
    request.param("id").parse().map_err(|_| Failure::NotFound(What::Session))
}

pub fn list(_: &Request) -> Result<Response, Failure> {
    let all = host::all().of(What::Session)?;
    let default = default_of(&all).map(|default| default.id);
    let devices: Result<Vec<Value>, Failure> = all.iter().map(|session| shape(session, default)).collect();
    Ok(answer::success(&json!(devices?)))
}

pub fn create(request: &Request) -> Result<Response, Failure> {
    let mut fields = fields(request)?;
    let name = fields.required_text("name");
    fields.at_most("name", NAME_CHARS_MAX);
    done(fields)?;
    let new = NewSession { name, phone_number: String::new(), settings: Vec::new() };
    let session = host::create(&new).of(What::Session)?;
    Ok(answer::done("Device created", &told(&session)?))
}

pub fn qr(request: &Request) -> Result<Response, Failure> {
    let mut session = host::get(id(request)?).of(What::Session)?;
    if !is_ready(&session) {
        session = host::connect(session.id, QR_WAIT_MS).of(What::Session)?;
    }
    let code = host::qr(session.id).of(What::Session)?;
    let status = WORDS.of(session.state, code.is_some());
    Ok(answer::success(&json!({ "qr_code": code.as_ref().map(codes::data_url), "device_status": status })))
}

pub fn status(request: &Request) -> Result<Response, Failure> {
    let session = host::get(id(request)?).of(What::Session)?;
    let mut data = json!({ "status": status_of(&session)? });
    if let (Some(number), Some(data)) = (own_number(&session), data.as_object_mut()) {
        data.insert("phone_number".to_owned(), json!(number));
    }
    Ok(answer::success(&data))
}

pub fn set_default(request: &Request) -> Result<Response, Failure> {
    let value = request.now_ms.to_string();
    let settings = vec![Setting { name: DEFAULT_SINCE.to_owned(), value }];
    let session = host::change(id(request)?, &SessionChange { name: None, settings }).of(What::Session)?;
    Ok(answer::done("Default device set", &told(&session)?))
}

pub fn update(request: &Request) -> Result<Response, Failure> {
    let mut fields = fields(request)?;
    let name = fields.has("name").then(|| fields.required_text("name"));
    fields.at_most("name", NAME_CHARS_MAX);
    let active = fields.flag("is_active");
    done(fields)?;
    let settings = active.map(|active| Setting { name: SENDING.to_owned(), value: active.to_string() });
    let change = SessionChange { name, settings: settings.into_iter().collect() };
    let session = host::change(id(request)?, &change).of(What::Session)?;
    Ok(answer::done("Device updated", &told(&session)?))
}

pub fn delete(request: &Request) -> Result<Response, Failure> {
    host::delete(id(request)?).of(What::Session)?;
    Ok(answer::done("Device deleted", &Value::Null))
}
