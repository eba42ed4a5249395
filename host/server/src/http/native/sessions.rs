//! Sessions: made, changed, linked, taken on and off line.

use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use switchboard_core::records::id::SessionId;
use switchboard_core::records::session::{Session, SessionState};
use switchboard_core::rules::plan::{PACING_SETTING, SessionRules};
use switchboard_core::rules::said_back::said_back;
use switchboard_core::rules::session_settings::{HEEDED, unheeded, watched};
use switchboard_runtime::verbs::{CONNECT_WAIT_MAX, NewSession, VerbError, Verbs};

use super::super::front_door::FrontDoor;
use super::super::problem::{Answer, Problem, json as json_answer, with_type};
use super::{Answered, Call, JSON_BYTES_MAX, Route, from_json, no_content, route};

/// Sessions in one answer.
const SESSIONS_MAX: usize = 500;
/// How long `connect` waits for a connection or a QR code unless it is told otherwise.
const CONNECT_WAIT: Duration = Duration::from_secs(5);

pub(super) const ROUTES: &[Route] = &[
    route("GET", "sessions", |door, call| Box::pin(door.list_sessions(call))).asked(&["limit", "cursor"]),
    route("POST", "sessions", |door, call| Box::pin(door.make_session(call))),
    route("GET", "sessions/{session}", |door, call| Box::pin(door.show_session(call))),
    route("PATCH", "sessions/{session}", |door, call| Box::pin(door.edit_session(call))),
    route("DELETE", "sessions/{session}", |door, call| Box::pin(door.remove_session(call))),
    route("POST", "sessions/{session}/connect", |door, call| Box::pin(door.connect(call))),
    route("POST", "sessions/{session}/disconnect", |door, call| Box::pin(door.disconnect(call))),
    route("GET", "sessions/{session}/qr", |door, call| Box::pin(door.show_qr(call))).asked(&["format"]),
    route("POST", "sessions/{session}/pairing-code", |door, call| Box::pin(door.draw_pairing_code(call))),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionWish {
    name: String,
    #[serde(default)]
    phone_number: Option<String>,
    #[serde(default)]
    settings: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionEdit {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    settings: Option<Map<String, Value>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectWish {
    #[serde(default)]
    wait_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PairingWish {
    phone_number: String,
}

fn session_json(session: &Session) -> Value {
    json!({
        "id": session.id, "name": session.name, "phone_number": session.phone_number, "state": session.state,
        "reason": session.reason, "jid": session.jid, "lid": session.lid, "settings": session.settings,
        "created_at": session.created_at, "updated_at": session.updated_at, "last_active_at": session.last_active_at, "test": session.test,
    })
}

/// What is wrong with a session, by its place in the body.
fn wish_problem(error: VerbError) -> Problem {
    match error {
        VerbError::Invalid { field, why } if !["name", "phone_number", "settings"].contains(&field.as_str()) => {
            Problem::invalid_at(&["settings", &field], why)
        }
        other => other.into(),
    }
}

/// Whether somebody heeds each of these settings. `kept` is what the session has already.
fn check_settings(settings: &Map<String, Value>, kept: &Map<String, Value>) -> Result<(), Problem> {
    if let Some(name) = unheeded(settings, kept) {
        let why = match kept.contains_key(name) {
            true => "was set through another API, which alone can change it: it checks the value, and acts on it".to_owned(),
            false => format!("is not a setting; there are: {}", HEEDED.join(", ")),
        };
        return Err(Problem::invalid_at(&["settings", &said_back(name)], why));
    }
    watched(settings).map_err(|error| {
        let at = error.at.map(|at| at.to_string());
        let place: Vec<&str> = ["settings", error.setting].into_iter().chain(at.as_deref()).collect();
        Problem::invalid_at(&place, error.why.as_str())
    })?;
    SessionRules::read(settings).map(|_| ()).map_err(|error| {
        let place = [&["settings", PACING_SETTING][..], &error.place()].concat();
        Problem::invalid_at(&place, error.to_string())
    })
}

fn ok(session: &Session) -> Answer {
    json_answer(StatusCode::OK, &session_json(session))
}

impl FrontDoor {
    async fn list_sessions(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), "sessions", "read").await?;
        let query = call.query();
        let (limit, after) = (query.limit(SESSIONS_MAX)?, query.number("cursor")?.map(SessionId));
        let mut sessions = self.verbs.sessions(&caller).await?;
        // A cursor is an id: whatever comes or goes between two pages, no session is left out or given twice.
        sessions.sort_by_key(|session| session.id);
        let mut later = sessions.iter().filter(|session| after.is_none_or(|after| session.id > after));
        let page: Vec<&Session> = later.by_ref().take(limit).collect();
        let next = page.last().filter(|_| later.next().is_some()).map(|session| session.id.to_string());
        let page: Vec<Value> = page.into_iter().map(session_json).collect();
        Ok(json_answer(StatusCode::OK, &json!({ "sessions": page, "next_cursor": next })))
    }

    async fn make_session(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), "sessions", "write").await?;
        let wish: SessionWish = call.json(JSON_BYTES_MAX).await?;
        let settings = wish.settings.unwrap_or_default();
        check_settings(&settings, &Map::new())?;
        let settings = settings.into_iter().filter(|(_, value)| !value.is_null());
        let new = NewSession {
            name: wish.name,
            phone_number: wish.phone_number.unwrap_or_default(),
            settings: settings.map(|(name, value)| (name, value.to_string())).collect(),
        };
        let session = self.verbs.create_session(&caller, new).await.map_err(wish_problem)?;
        Ok(json_answer(StatusCode::CREATED, &session_json(&session)))
    }

    async fn show_session(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), "sessions", "read").await?;
        Ok(ok(&self.verbs.session(&caller, call.session(0)?).await?))
    }

    async fn edit_session(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), "sessions", "write").await?;
        let id = call.session(0)?;
        let edit: SessionEdit = call.json(JSON_BYTES_MAX).await?;
        let settings = edit.settings.unwrap_or_default();
        let there = self.storage.session(caller.tenant, id).await?.filter(|_| caller.may_use(id));
        check_settings(&settings, &there.ok_or_else(Problem::nothing_of_this_id)?.settings)?;
        let changed = self.verbs.change_session(&caller, id, edit.name, settings).await;
        Ok(ok(&changed.map_err(wish_problem)?))
    }

    async fn remove_session(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), "sessions", "write").await?;
        self.verbs.delete_session(&caller, call.session(0)?).await?;
        Ok(no_content())
    }

    async fn connect(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), "sessions", "write").await?;
        let id = call.session(0)?;
        let body = call.bytes(JSON_BYTES_MAX).await?;
        let wish: ConnectWish = if body.is_empty() { ConnectWish::default() } else { from_json(&body)? };
        let wait = wish.wait_ms.map_or(CONNECT_WAIT, Duration::from_millis);
        if wait > CONNECT_WAIT_MAX {
            let why = format!("{}: at most {} are allowed", wait.as_millis(), CONNECT_WAIT_MAX.as_millis());
            return Err(Problem::invalid("wait_ms", why));
        }
        Ok(ok(&self.verbs.connect_session(&caller, id, wait).await?))
    }

    async fn disconnect(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), "sessions", "write").await?;
        Ok(ok(&self.verbs.disconnect_session(&caller, call.session(0)?).await?))
    }

    async fn show_qr(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), "sessions", "read").await?;
        let id = call.session(0)?;
        let query = call.query();
        let png = match query.get("format") {
            None | Some("json") => false,
            Some("png") => true,
            Some(_) => return Err(Problem::bad_parameter("format", "json and png are allowed")),
        };
        let Some(qr) = self.verbs.session_qr(&caller, id).await? else {
            let state = self.verbs.session(&caller, id).await?.state;
            let why = match state {
                SessionState::Pairing => {
                    "the session is pairing: its QR code is not there yet; ask again in a second".to_owned()
                }
                SessionState::Connected | SessionState::Reconnecting => {
                    format!("the session is {}: a phone is linked, so there is no QR code", state.name())
                }
                state => format!("the session is {}, and has a QR code once it connects: POST …/connect", state.name()),
            };
            return Err(Problem::new(StatusCode::CONFLICT, why).with("state", state.name()));
        };
        let mut answer = if png {
            with_type(StatusCode::OK, "image/png", Bytes::from(qr.png))
        } else {
            json_answer(StatusCode::OK, &json!({ "text": qr.text, "expires_at": qr.expires_at_ms }))
        };
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(answer)
    }

    async fn draw_pairing_code(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), "sessions", "write").await?;
        let id = call.session(0)?;
        let wish: PairingWish = call.json(JSON_BYTES_MAX).await?;
        let drawn = self.verbs.pairing_code(&caller, id, &wish.phone_number).await?;
        let body = json!({ "code": drawn.code, "phone_number": drawn.phone_number, "expires_at": drawn.expires_at });
        Ok(json_answer(StatusCode::OK, &body))
    }
}
