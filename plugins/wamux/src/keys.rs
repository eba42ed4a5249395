//! API keys of the account.

use serde_json::{Value, json};
use switchboard_dialect::{Failure, Of, What, done, fields};
use switchboard_guest_sdk::http::{empty, json as json_response};
use switchboard_guest_sdk::iso8601;
use switchboard_guest_sdk::keys::{self as host, AccountKey, NewKey};
use switchboard_guest_sdk::router::{Request, Response};
use switchboard_ids::{Kind, from_uuid, uuid};

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;
/// The longest life of a key, days.
const DAYS_MAX: u64 = 365;
/// Most characters of a name.
const NAME_CHARS_MAX: usize = 255;
/// Most characters of a description.
const DESCRIPTION_CHARS_MAX: usize = 1000;

fn shape(key: &AccountKey) -> Value {
    json!({
        "id": uuid(Kind::Key, key.id),
        "name": key.name,
        "description": Some(&key.description).filter(|description| !description.is_empty()),
        "keyPrefix": format!("{}****", key.hint),
        "requestCount": key.requests,
        "lastUsedAt": key.last_used_at_ms.map(iso8601),
        "expiresAt": key.expires_at_ms.map(iso8601),
        "createdAt": iso8601(key.created_at_ms),
        "updatedAt": iso8601(key.created_at_ms),
    })
}

fn id(request: &Request) -> Result<u64, Failure> {
    from_uuid(Kind::Key, request.param("id")).ok_or(Failure::NotFound(What::Key))
}

pub fn create(request: &Request) -> Result<Response, Failure> {
    let mut fields = fields(request)?;
    let name = fields.required_text("name");
    fields.at_most("name", NAME_CHARS_MAX);
    let description = fields.text("description").unwrap_or_default();
    fields.at_most("description", DESCRIPTION_CHARS_MAX);
    let days = fields.integer("expiresInDays");
    if days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days)) {
        fields.refuse("expiresInDays", format!("must be between 1 and {DAYS_MAX}"));
    }
    done(fields)?;
    let expires_at_ms = days.map(|days| request.now_ms.saturating_add(days.saturating_mul(DAY_MS)));
    let drawn = host::create(&NewKey { name, description, expires_at_ms }).of(What::Key)?;
    let mut shaped = shape(&drawn.key);
    if let Some(shaped) = shaped.as_object_mut() {
        shaped.insert("apiKey".to_owned(), json!(drawn.text));
    }
    Ok(json_response(201, &shaped))
}

pub fn list(_: &Request) -> Result<Response, Failure> {
    let all = host::all().of(What::Key)?;
    let keys: Vec<Value> = all.iter().map(shape).collect();
    Ok(json_response(200, &json!({ "keys": keys, "total": keys.len() })))
}

pub fn revoke(request: &Request) -> Result<Response, Failure> {
    host::revoke(id(request)?).of(What::Key)?;
    Ok(empty(204))
}

pub fn usage(request: &Request) -> Result<Response, Failure> {
    let key = host::get(id(request)?).of(What::Key)?;
    let usage = json!({
        "keyId": uuid(Kind::Key, key.id),
        "requestCount": key.requests,
        "lastUsedAt": key.last_used_at_ms.map(iso8601),
    });
    Ok(json_response(200, &usage))
}
