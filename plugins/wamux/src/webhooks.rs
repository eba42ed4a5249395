//! Webhooks: made, listed, changed, tested, and what came of their requests.

use serde_json::{Value, json};
use switchboard_dialect::{Failure, Of, What, done, fields, hooks};
use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::http::{empty, json as json_response};
use switchboard_guest_sdk::iso8601;
use switchboard_guest_sdk::router::{Request, Response};
use switchboard_guest_sdk::webhooks::{self as host, Attempt, Endpoint, EndpointChange, NewEndpoint};
use switchboard_ids::{Kind, from_uuid, uuid};

use crate::events::NAMES;

/// Most characters of a name.
const NAME_CHARS_MAX: usize = 200;
/// Entries of a page of logs: the most, and how many unless it is said.
const PAGE_MAX: u64 = 100;
const PAGE: u64 = 50;
/// How far behind the newest entry a page can begin.
const OFFSET_MAX: u64 = 50_000;

fn shape(endpoint: &Endpoint) -> Value {
    json!({
        "id": uuid(Kind::Webhook, endpoint.id),
        "name": Some(&endpoint.name).filter(|name| !name.is_empty()),
        "url": endpoint.url,
        "events": hooks::kept_events(&endpoint.settings),
        "isActive": endpoint.active,
        "createdAt": iso8601(endpoint.created_at_ms),
        "updatedAt": iso8601(endpoint.updated_at_ms),
    })
}

fn with_secret(endpoint: &Endpoint, secret: &str) -> Value {
    let mut shaped = shape(endpoint);
    if let Some(shaped) = shaped.as_object_mut() {
        shaped.insert("secret".to_owned(), json!(secret));
    }
    shaped
}

fn id(request: &Request) -> Result<u64, Failure> {
    from_uuid(Kind::Webhook, request.param("id")).ok_or(Failure::NotFound(What::Webhook))
}

fn name(fields: &mut Fields) -> Option<String> {
    fields.at_most("name", NAME_CHARS_MAX);
    fields.text("name")
}

pub fn create(request: &Request) -> Result<Response, Failure> {
    let mut fields = fields(request)?;
    let name = name(&mut fields).unwrap_or_default();
    let url = fields.required_text("url");
    let spelled = hooks::read_events(&mut fields, NAMES);
    done(fields)?;
    let made = host::create(&NewEndpoint {
        name,
        url,
        events: hooks::sources(NAMES, &spelled),
        session: None,
        settings: vec![hooks::keep_events(&spelled)],
        reveal_secret: false,
        active: true,
    })
    .of(What::Webhook)?;
    Ok(json_response(201, &with_secret(&made.endpoint, &made.secret)))
}

pub fn list(_: &Request) -> Result<Response, Failure> {
    let all = host::all().of(What::Webhook)?;
    let webhooks: Vec<Value> = all.iter().map(shape).collect();
    Ok(json_response(200, &json!({ "webhooks": webhooks, "total": webhooks.len() })))
}

pub fn get(request: &Request) -> Result<Response, Failure> {
    Ok(json_response(200, &shape(&host::get(id(request)?).of(What::Webhook)?)))
}

pub fn change(request: &Request) -> Result<Response, Failure> {
    let mut fields = fields(request)?;
    let name = name(&mut fields);
    let url = fields.has("url").then(|| fields.required_text("url"));
    let spelled = fields.has("events").then(|| hooks::read_events(&mut fields, NAMES));
    let active = fields.flag("isActive");
    done(fields)?;
    let change = EndpointChange {
        name,
        url,
        events: spelled.as_ref().map(|spelled| hooks::sources(NAMES, spelled)),
        settings: spelled.iter().map(|spelled| hooks::keep_events(spelled)).collect(),
        reveal_secret: None,
        active,
    };
    Ok(json_response(200, &shape(&host::change(id(request)?, &change).of(What::Webhook)?)))
}

pub fn delete(request: &Request) -> Result<Response, Failure> {
    host::delete(id(request)?).of(What::Webhook)?;
    Ok(empty(204))
}

pub fn rotate(request: &Request) -> Result<Response, Failure> {
    let id = id(request)?;
    let secret = host::rotate(id).of(What::Webhook)?;
    let endpoint = host::get(id).of(What::Webhook)?;
    Ok(json_response(200, &with_secret(&endpoint, &secret)))
}

pub fn test(request: &Request) -> Result<Response, Failure> {
    let delivery = host::test(id(request)?).of(What::Webhook)?;
    Ok(json_response(200, &json!({ "success": true, "deliveryId": delivery })))
}

fn log(attempt: &Attempt) -> Value {
    json!({
        "id": format!("{}.{}", attempt.webhook_id, attempt.attempt),
        "eventType": attempt.event_name,
        "statusCode": attempt.status,
        "success": attempt.error.is_none(),
        "errorMessage": attempt.error,
        "attempt": attempt.attempt,
        "durationMs": attempt.took_ms,
        "createdAt": iso8601(attempt.at_ms),
    })
}

pub fn logs(request: &Request) -> Result<Response, Failure> {
    let mut query = Fields::of_query(&request.query);
    let (limit, offset) = (query.within("limit", 1, PAGE_MAX, PAGE), query.within("offset", 0, OFFSET_MAX, 0));
    done(query)?;
    let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let page = host::attempts(id(request)?, narrow(offset), narrow(limit)).of(What::Webhook)?;
    let logs: Vec<Value> = page.entries.iter().map(log).collect();
    Ok(json_response(200, &json!({ "logs": logs, "total": page.total, "limit": limit, "offset": offset })))
}
