//! Sessions: list, create, get, delete, connect, disconnect, QR codes and status.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use switchboard_dialect::qr::data_url;
use switchboard_dialect::status::{SessionWords, is_ready};
use switchboard_dialect::{Failure, Of, What, caller, done, fields};
use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::router::{Request, Response};
use switchboard_guest_sdk::sessions::{self as host, NewSession, QrCode, SessionChange};
use switchboard_guest_sdk::types::{Event, Fact, HostError, KeyKind, Session, SessionState, Setting};
use switchboard_guest_sdk::{events, http, iso8601, keys};

use crate::answer::{said, success};
use crate::hooks;
use crate::pages::Numbered;

/// How long `connect` waits for a QR code or for the connection.
const CONNECT_WAIT_MS: u32 = 10_000;
/// Most characters of a session's name.
const NAME_CHARS_MAX: usize = 255;

/// Fields that are kept as the client gave them, with the value they have until then.
const SETTINGS: &[(&str, &str)] = &[
    ("account_protection", "true"),
    ("log_messages", "true"),
    ("webhook_enabled", "false"),
    ("webhook_url", "\"\""),
    ("webhook_events", "[]"),
    ("webhook_format", "\"seed\""),
];

const WORDS: SessionWords = SessionWords {
    created: "disconnected",
    pairing: "need_scan",
    qr: "need_scan",
    connected: "connected",
    reconnecting: "connecting",
    disconnected: "disconnected",
    logged_out: "logged_out",
    replaced: "disconnected",
    banned: "expired",
    failed: "expired",
};

/// The status that clients of this dialect know.
pub fn status_name(state: SessionState) -> &'static str {
    WORDS.of(state, true)
}

fn is_account(request: &Request) -> bool {
    request.principal.as_ref().is_some_and(|principal| principal.kind != KeyKind::Session)
}

/// What only the account is shown.
#[derive(Default)]
struct Secrets {
    api_key: String,
    webhook_secret: String,
}

fn shape(request: &Request, session: &Session) -> Result<Value, Failure> {
    if !is_account(request) {
        return Ok(shape_with(request, session, Secrets::default()));
    }
    let webhook_secret = hooks::secrets(&[session])?.remove(&session.id).unwrap_or_default();
    let api_key = match keys::session_key(session.id) {
        // The session is there; the key that is shown for it was revoked.
        Err(HostError::NotFound) => String::new(),
        shown => shown.of(What::Session)?,
    };
    Ok(shape_with(request, session, Secrets { api_key, webhook_secret }))
}

fn shape_with(request: &Request, session: &Session, secrets: Secrets) -> Value {
    let mut shaped = Map::new();
    for (name, default) in SETTINGS {
        let kept = session.settings.iter().find(|setting| setting.name == *name).map(|setting| setting.value.as_str());
        let value = serde_json::from_str(kept.unwrap_or(default)).unwrap_or(Value::Null);
        shaped.insert((*name).to_owned(), value);
    }
    let account = request.principal.as_ref().map_or(0, |principal| principal.account);
    let rest = json!({
        "id": session.id,
        "user_id": account,
        "name": session.name,
        "phone_number": session.phone_number,
        "status": status_name(session.state),
        "api_key": secrets.api_key,
        "session_data": { "jid": session.jid.clone().unwrap_or_default(), "lid": session.lid.clone().unwrap_or_default() },
        // Clients read a date in any case.
        "last_active_at": iso8601(session.last_active_at_ms.unwrap_or(session.created_at_ms)),
        "webhook_enabled": hooks::is_enabled(&session.settings),
        "webhook_secret": secrets.webhook_secret,
        "created_at": iso8601(session.created_at_ms),
        "updated_at": iso8601(session.updated_at_ms),
    });
    if let Value::Object(rest) = rest {
        shaped.extend(rest);
    }
    Value::Object(shaped)
}

fn id(request: &Request) -> Result<u64, Failure> {
    request.param("id").parse().map_err(|_| Failure::NotFound(What::Session))
}

pub fn list(request: &Request) -> Result<Response, Failure> {
    let mut own_keys: BTreeMap<u64, String> = keys::session_keys().of(What::Session)?.into_iter().collect();
    let sessions = host::all().of(What::Session)?;
    let mut secrets = hooks::secrets(&sessions.iter().collect::<Vec<_>>())?;
    let shaped = sessions.iter().map(|session| {
        let api_key = own_keys.remove(&session.id).unwrap_or_default();
        let webhook_secret = secrets.remove(&session.id).unwrap_or_default();
        shape_with(request, session, Secrets { api_key, webhook_secret })
    });
    Ok(success(shaped.collect()))
}

/// What a client wants to be kept with a session.
fn settings(fields: &mut Fields) -> Vec<Setting> {
    fields.flag("account_protection");
    fields.flag("log_messages");
    hooks::check(fields);
    let set = |(name, _): &(&str, &str)| fields.json(name).map(|value| Setting { name: (*name).to_owned(), value });
    SETTINGS.iter().filter_map(set).collect()
}

pub fn update(request: &Request) -> Result<Response, Failure> {
    let mut fields = fields(request)?;
    let name = fields.has("name").then(|| fields.required_text("name"));
    fields.at_most("name", NAME_CHARS_MAX);
    let settings = settings(&mut fields);
    done(fields)?;
    let id = id(request)?;
    if hooks::concerned(&settings) {
        // First: what cannot be a webhook changes nothing.
        hooks::follow(id, &hooks::merged(&host::get(id).of(What::Session)?, &settings))?;
    }
    let session = host::change(id, &SessionChange { name, settings }).of(What::Session)?;
    Ok(success(shape(request, &session)?))
}

fn entry(event: &Event) -> Value {
    let status = match &event.fact {
        Fact::SessionState(change) => status_name(change.state),
        Fact::SessionQr(_) => "need_scan",
        _ => "",
    };
    json!({
        "id": event.number,
        "whatsapp_session_id": event.session,
        "event_type": event.kind,
        "status": status,
        "occurred_at": iso8601(event.at_ms),
    })
}

/// A page of what happened to a session, newest first.
pub fn logs(request: &Request) -> Result<Response, Failure> {
    let (session, page) = (host::get(id(request)?).of(What::Session)?, Numbered::of(request)?);
    let kinds = vec!["session.*".to_owned()];
    let query = events::EventQuery { session: Some(session.id), kinds, offset: page.offset(), limit: page.limit() };
    let found = events::find(&query).of(What::Session)?;
    Ok(success(page.shape(request, found.entries.iter().map(entry).collect(), found.total)))
}

pub fn restart(request: &Request) -> Result<Response, Failure> {
    let session = host::get(id(request)?).of(What::Session)?;
    if !is_ready(&session) {
        return Err(Failure::NotConnected(session.state));
    }
    let session = host::restart(session.id, CONNECT_WAIT_MS).of(What::Session)?;
    let data = json!({ "status": status_name(session.state) });
    Ok(said("Session restarted", data))
}

pub fn renew_key(request: &Request) -> Result<Response, Failure> {
    let api_key = keys::renew_session_key(id(request)?).of(What::Session)?;
    Ok(http::json(200, &json!({ "success": true, "api_key": api_key })))
}

/// Bare `{"status":"connected"}` of the session that the path names.
pub fn status_of(request: &Request) -> Result<Response, Failure> {
    let session = host::get(id(request)?).of(What::Session)?;
    Ok(http::json(200, &json!({ "status": status_name(session.state) })))
}

pub fn create(request: &Request) -> Result<Response, Failure> {
    let mut fields = fields(request)?;
    let name = fields.required_text("name");
    fields.at_most("name", NAME_CHARS_MAX);
    let phone_number = fields.text("phone_number").unwrap_or_default();
    let settings = settings(&mut fields);
    done(fields)?;
    let session = host::create(&NewSession { name, phone_number, settings }).of(What::Session)?;
    if hooks::concerned(&session.settings)
        && let Err(failure) = hooks::follow(session.id, &session.settings)
    {
        // Half of what was asked for is nothing.
        host::delete(session.id).of(What::Session)?;
        return Err(failure);
    }
    let shaped = shape(request, &session)?;
    Ok(Response { status: 201, ..success(shaped) })
}

pub fn get(request: &Request) -> Result<Response, Failure> {
    Ok(success(shape(request, &host::get(id(request)?).of(What::Session)?)?))
}

pub fn delete(request: &Request) -> Result<Response, Failure> {
    host::delete(id(request)?).of(What::Session)?;
    Ok(success(Value::Null))
}

pub fn connect(request: &Request) -> Result<Response, Failure> {
    let mut fields = fields(request)?;
    let as_image = wants_image(request, &mut fields);
    done(fields)?;
    let session = host::connect(id(request)?, CONNECT_WAIT_MS).of(What::Session)?;
    let status = status_name(session.state);
    Ok(success(match (session.state, host::qr(session.id).of(What::Session)?) {
        (SessionState::Pairing, Some(qr)) => {
            let mut data = qr_data("qrCode", &qr, as_image);
            data.insert("status".to_owned(), json!(status));
            Value::Object(data)
        }
        (SessionState::Connected, _) => json!({ "status": status, "message": "Session is already connected" }),
        _ => json!({ "status": status, "message": "Connecting; ask for the status or the QR code in a moment" }),
    }))
}

pub fn disconnect(request: &Request) -> Result<Response, Failure> {
    let session = host::disconnect(id(request)?).of(What::Session)?;
    Ok(success(json!({ "status": status_name(session.state), "message": "Session disconnected" })))
}

pub fn qrcode(request: &Request) -> Result<Response, Failure> {
    qr_named(request, "qrCode")
}

pub fn qr_code(request: &Request) -> Result<Response, Failure> {
    qr_named(request, "qr_code")
}

fn qr_named(request: &Request, name: &str) -> Result<Response, Failure> {
    let as_image = wants_image(request, &mut Fields::default());
    let session = host::get(id(request)?).of(What::Session)?;
    let qr = host::qr(session.id).of(What::Session)?.ok_or(Failure::NoQr(session.state))?;
    Ok(success(Value::Object(qr_data(name, &qr, as_image))))
}

/// `name` is the text, or the picture where that was asked for; `qrImage` is always the picture.
fn qr_data(name: &str, qr: &QrCode, as_image: bool) -> Map<String, Value> {
    let picture = data_url(qr);
    let shown = if as_image { picture.clone() } else { qr.text.clone() };
    [(name, shown), ("qrText", qr.text.clone()), ("qrImage", picture)]
        .into_iter()
        .map(|(name, text)| (name.to_owned(), Value::String(text)))
        .collect()
}

fn wants_image(request: &Request, fields: &mut Fields) -> bool {
    ["qr_as_image", "qrAsImage"].into_iter().any(|name| {
        let in_query = request.query_value(name).is_some_and(|value| matches!(value, "true" | "1" | ""));
        fields.flag(name).unwrap_or(false) || in_query
    })
}

/// The one session that the key is bound to.
pub fn own(request: &Request) -> Result<u64, Failure> {
    caller(request)?.session.ok_or(Failure::NotFound(What::Session))
}

pub fn user(request: &Request) -> Result<Response, Failure> {
    let session = host::get(own(request)?).of(What::Session)?;
    let (id, lid) = (session.jid.unwrap_or_default(), session.lid.unwrap_or_default());
    Ok(success(json!({ "id": id, "name": session.name, "lid": lid })))
}

/// The key is good, or nobody would have asked here.
pub fn auth_check(request: &Request) -> Result<Response, Failure> {
    let status = state(request)?.map(status_name);
    Ok(success(json!({ "authenticated": true, "status": status })))
}

/// Bare `{"status":"connected"}`. A session key asks for its own session; the account for the best of all its sessions.
pub fn status(request: &Request) -> Result<Response, Failure> {
    let state = state(request)?.ok_or(Failure::NotFound(What::Session))?;
    Ok(http::json(200, &json!({ "status": status_name(state) })))
}

/// How the key's own session stands, or the best of all; nothing where there is none.
fn state(request: &Request) -> Result<Option<SessionState>, Failure> {
    if let Some(session) = caller(request)?.session {
        return Ok(Some(host::get(session).of(What::Session)?.state));
    }
    let all = host::all().of(What::Session)?;
    let connected = all.iter().find(|session| session.state == SessionState::Connected);
    Ok(connected.or(all.first()).map(|session| session.state))
}
