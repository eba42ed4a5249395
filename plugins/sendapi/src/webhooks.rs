//! Webhooks: of the account, and the one that a session was made with.

use serde_json::{Value, json};
use switchboard_dialect::{Failure, Of, What, done, fields, hooks};
use switchboard_guest_sdk::http::{empty, json as json_response};
use switchboard_guest_sdk::iso8601;
use switchboard_guest_sdk::router::{Request, Response};
use switchboard_guest_sdk::types::HostError;
use switchboard_guest_sdk::webhooks::{self as host, Endpoint, EndpointChange, MadeEndpoint, NewEndpoint};
use switchboard_ids::{from_prefixed, prefixed, strict};

use crate::events::NAMES;
use crate::sessions;

/// What ids of webhooks begin with.
const PREFIX: &str = "wh_";

fn shape(endpoint: &Endpoint) -> Value {
    let mut shaped = json!({
        "id": prefixed(PREFIX, endpoint.id),
        "url": endpoint.url,
        "events": hooks::kept_events(&endpoint.settings),
        "is_active": endpoint.active,
        "failure_count": endpoint.failures,
        "created_at": iso8601(endpoint.created_at_ms),
    });
    if let (Some(session), Some(shaped)) = (endpoint.session, shaped.as_object_mut()) {
        shaped.insert("session_id".to_owned(), json!(sessions::spelled(session)));
    }
    shaped
}

fn answer(status: u16, shaped: Value) -> Response {
    json_response(status, &json!({ "data": shaped }))
}

fn id(request: &Request) -> Result<u64, Failure> {
    let text = request.param("id");
    from_prefixed(PREFIX, text).or_else(|| strict(text)).ok_or(Failure::NotFound(What::Webhook))
}

fn make(url: String, spelled: &[String], session: Option<u64>) -> Result<MadeEndpoint, HostError> {
    host::create(&NewEndpoint {
        name: String::new(),
        url,
        events: hooks::sources(NAMES, spelled),
        session,
        settings: vec![hooks::keep_events(spelled)],
        reveal_secret: false,
        active: true,
    })
}

pub fn create(request: &Request) -> Result<Response, Failure> {
    let mut fields = fields(request)?;
    let session = sessions::named(&mut fields)?;
    let url = fields.required_text("url");
    let spelled = hooks::read_events(&mut fields, NAMES);
    done(fields)?;
    let made = make(url, &spelled, session).of(What::Session)?;
    let mut shaped = shape(&made.endpoint);
    if let Some(shaped) = shaped.as_object_mut() {
        shaped.insert("secret".to_owned(), json!(made.secret));
    }
    Ok(answer(201, shaped))
}

/// A webhook for everything that happens to a session; its secret.
pub fn of_session(session: u64, url: String) -> Result<String, Failure> {
    let made = make(url, &["*".to_owned()], Some(session)).map_err(|error| match error {
        HostError::Invalid(invalid) if invalid.field == "url" => Failure::field("webhook_url", invalid.why),
        other => Failure::of(other, What::Session),
    })?;
    Ok(made.secret)
}

pub fn list(_: &Request) -> Result<Response, Failure> {
    let all = host::all().of(What::Webhook)?;
    let data: Vec<Value> = all.iter().map(shape).collect();
    Ok(json_response(200, &json!({ "data": data, "meta": { "total": data.len() } })))
}

pub fn get(request: &Request) -> Result<Response, Failure> {
    Ok(answer(200, shape(&host::get(id(request)?).of(What::Webhook)?)))
}

pub fn change(request: &Request) -> Result<Response, Failure> {
    let mut fields = fields(request)?;
    let url = fields.has("url").then(|| fields.required_text("url"));
    let spelled = fields.has("events").then(|| hooks::read_events(&mut fields, NAMES));
    let active = fields.flag("is_active");
    done(fields)?;
    let change = EndpointChange {
        name: None,
        url,
        events: spelled.as_ref().map(|spelled| hooks::sources(NAMES, spelled)),
        settings: spelled.iter().map(|spelled| hooks::keep_events(spelled)).collect(),
        reveal_secret: None,
        active,
    };
    Ok(answer(200, shape(&host::change(id(request)?, &change).of(What::Webhook)?)))
}

pub fn delete(request: &Request) -> Result<Response, Failure> {
    host::delete(id(request)?).of(What::Webhook)?;
    Ok(empty(204))
}
