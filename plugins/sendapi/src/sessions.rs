//! Sessions: made, listed, linked and removed.

use serde_json::{Value, json};
use switchboard_dialect::status::{SessionWords, is_ready};
use switchboard_dialect::{Failure, Of, What, done, fields, people, qr as codes};
use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::http::{empty, json as json_response};
use switchboard_guest_sdk::iso8601;
use switchboard_guest_sdk::messages::{self, Direction};
use switchboard_guest_sdk::router::{Request, Response};
use switchboard_guest_sdk::sessions::{self as host, NewSession};
use switchboard_guest_sdk::types::{Session, SessionState};
use switchboard_ids::{from_prefixed, prefixed, strict};

use crate::answer::Page;
use crate::webhooks;

/// What ids of sessions begin with.
const PREFIX: &str = "sess_";
/// How long the first QR code is waited for.
const QR_WAIT_MS: u32 = 8_000;
/// Most characters of a name.
const NAME_CHARS_MAX: usize = 255;
/// Entries of a page: the most, and how many unless it is said.
const PER_PAGE_MAX: u64 = 100;
const PER_PAGE: u64 = 25;
/// The last page that can be asked for.
const PAGE_MAX: u64 = 500;

pub const WORDS: SessionWords = SessionWords {
    created: "pending",
    pairing: "pending",
    qr: "pending",
    connected: "connected",
    reconnecting: "reconnecting",
    disconnected: "disconnected",
    logged_out: "disconnected",
    replaced: "disconnected",
    banned: "disconnected",
    failed: "disconnected",
};

/// How this dialect spells a session.
pub fn spelled(id: u64) -> String {
    prefixed(PREFIX, id)
}

/// The session that a text names, with or without the prefix.
pub fn number(text: &str) -> Result<u64, Failure> {
    from_prefixed(PREFIX, text).or_else(|| strict(text)).ok_or(Failure::NotFound(What::Session))
}

/// The session that these fields name in `session_id`, if they do: a text or a number.
pub fn named(fields: &mut Fields) -> Result<Option<u64>, Failure> {
    let Some(value) = fields.json("session_id") else { return Ok(None) };
    match serde_json::from_str(&value) {
        Ok(Value::String(text)) => number(&text).map(Some),
        Ok(Value::Number(given)) => given.as_u64().map(Some).ok_or(Failure::NotFound(What::Session)),
        _ => Err(Failure::field("session_id", "must be the id of a session")),
    }
}

/// The session that is to act: the one that was named, or the only one that is connected.
pub fn acting(named: Option<u64>) -> Result<u64, Failure> {
    if let Some(id) = named {
        return Ok(id);
    }
    let all = host::all().of(What::Session)?;
    let mut ready = all.iter().filter(|session| is_ready(session));
    match (ready.next(), ready.next()) {
        (Some(one), None) => Ok(one.id),
        (Some(_), Some(_)) => Err(Failure::field("session_id", "is required: several sessions are connected")),
        (None, _) => Err(Failure::NoSession),
    }
}

/// Which page a query asks for.
pub fn page(query: &mut Fields) -> Page {
    Page { page: query.within("page", 1, PAGE_MAX, 1), per_page: query.within("per_page", 1, PER_PAGE_MAX, PER_PAGE) }
}

fn shape(session: &Session) -> Result<Value, Failure> {
    let count = |direction| messages::count(session.id, direction).of(What::Session);
    Ok(json!({
        "id": spelled(session.id),
        "name": session.name,
        "status": WORDS.of(session.state, false),
        "phone_number": people::own_number(session),
        "last_seen_at": session.last_active_at_ms.map(iso8601),
        "message_count": count(Direction::Sent)?.saturating_add(count(Direction::Received)?),
        "created_at": iso8601(session.created_at_ms),
    }))
}

fn id(request: &Request) -> Result<u64, Failure> {
    number(request.param("id"))
}

pub fn create(request: &Request) -> Result<Response, Failure> {
    let mut fields = fields(request)?;
    let name = fields.required_text("name");
    fields.at_most("name", NAME_CHARS_MAX);
    let webhook_url = fields.text("webhook_url").filter(|url| !url.is_empty());
    done(fields)?;
    let made = host::create(&NewSession { name, phone_number: String::new(), settings: Vec::new() }).of(What::Session)?;
    let secret = match webhook_url.map(|url| webhooks::of_session(made.id, url)).transpose() {
        Ok(secret) => secret,
        Err(failure) => {
            // Half of what was asked for is nothing.
            host::delete(made.id).of(What::Session)?;
            return Err(failure);
        }
    };
    let session = host::connect(made.id, QR_WAIT_MS).of(What::Session)?;
    let code = host::qr(session.id).of(What::Session)?;
    let mut body = json!({
        "id": spelled(session.id),
        "name": session.name,
        "status": WORDS.of(session.state, false),
        "qr_code": code.as_ref().map(codes::data_url),
        "qr_expires_at": code.as_ref().map(|code| iso8601(code.expires_at_ms)),
        "created_at": iso8601(session.created_at_ms),
    });
    if let (Some(secret), Some(body)) = (secret, body.as_object_mut()) {
        body.insert("webhook_secret".to_owned(), json!(secret));
    }
    Ok(json_response(201, &body))
}

pub fn list(request: &Request) -> Result<Response, Failure> {
    let mut query = Fields::of_query(&request.query);
    let page = page(&mut query);
    done(query)?;
    let all = host::all().of(What::Session)?;
    let total = u64::try_from(all.len()).unwrap_or(u64::MAX);
    let shaped: Result<Vec<Value>, Failure> = page.cut(all).map(|session| shape(&session)).collect();
    Ok(page.of(shaped?, total))
}

pub fn get(request: &Request) -> Result<Response, Failure> {
    Ok(json_response(200, &shape(&host::get(id(request)?).of(What::Session)?)?))
}

pub fn delete(request: &Request) -> Result<Response, Failure> {
    host::delete(id(request)?).of(What::Session)?;
    Ok(empty(204))
}

pub fn qr(request: &Request) -> Result<Response, Failure> {
    let mut session = host::get(id(request)?).of(What::Session)?;
    if is_ready(&session) {
        return Err(Failure::NoQr(session.state));
    }
    session = host::connect(session.id, QR_WAIT_MS).of(What::Session)?;
    if session.state == SessionState::Connected {
        return Err(Failure::NoQr(session.state));
    }
    let code = host::qr(session.id).of(What::Session)?;
    let body = json!({
        "qr_code": code.as_ref().map(codes::data_url),
        "qr_expires_at": code.as_ref().map(|code| iso8601(code.expires_at_ms)),
        "status": WORDS.of(session.state, false),
    });
    Ok(json_response(200, &body))
}
