//! A router for one's own account: a shop tells of an order, and its customer gets a message.
//!
//! ```json
//! {"text": "Thank you, {/customer/first_name|dear customer}! We have your order {/name} of {/total_price} {/currency}.",
//!  "to": ["/shipping_address/phone", "/customer/phone"], "header": "x-shopify-hmac-sha256", "id": "/id"}
//! ```
//!
//! `POST …/orders` takes orders in JSON, signed as Shopify and WooCommerce do: HMAC-SHA256 of the body, in base64, in a `header`. The
//! key that signs is the secret `SHOP_SECRET`. `text` has fields of the order by their JSON pointers, and after `|` what stands for
//! one that is not there. The message goes to the first number in `to`, from `session_id` or else the first session that is
//! connected. An order is known by its `id`: told again within a day, it sends nothing.
//!
//! As a worked example: the route asks for no credential, since a shop has no key of ours. The plugin acts of itself, so that it
//! can do what it was granted and nothing else; it checks the signature over the very bytes that came before it reads them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;
use switchboard_guest_sdk::configurable::{Known, text, texts, whole};
use switchboard_guest_sdk::router::{Guest, Refusal, RefusedRequest, Request, Response, Route};
use switchboard_guest_sdk::types::{HostError, SessionState};
use switchboard_guest_sdk::{
    at_once, config, export_configurable, export_router, grants, http, messages, secrets, sessions, text_to,
};

const SECRET: &str = "SHOP_SECRET";
const POINTER_CHARS_MAX: usize = 200;
const KNOWN: &[Known] = &[
    text("text", 4_096).required(),
    texts("to", 10, POINTER_CHARS_MAX).required(),
    text("header", 64),
    text("id", POINTER_CHARS_MAX),
    whole("session_id", 1, u64::MAX),
];

#[derive(Deserialize)]
struct Config {
    text: String,
    to: Vec<String>,
    header: Option<String>,
    id: Option<String>,
    session_id: Option<u64>,
}

/// A status and a sentence.
type Refused = (u16, String);

struct ShopOrder;

impl Guest for ShopOrder {
    fn routes() -> Vec<Route> {
        vec![http::route("POST", "/orders", &[])]
    }

    fn handle(request: Request) -> Response {
        match order(&request) {
            Ok(message) => http::json(200, &json!({ "message_id": message })),
            Err((status, why)) => http::json(status, &json!({ "error": why })),
        }
    }

    fn refuse(_request: RefusedRequest, refusal: Refusal) -> Response {
        let (status, why) = match refusal {
            Refusal::NotFound => (404, "there is nothing but /orders here".to_owned()),
            Refusal::MethodNotAllowed(allowed) => (405, format!("use {}", allowed.join(", "))),
            Refusal::BodyTooLarge(bytes) => (413, format!("the order has more than {bytes} bytes")),
            Refusal::TooManyRequests(seconds) => (429, format!("come back in {seconds} s")),
            _ => (500, "the order could not be taken".to_owned()),
        };
        http::json(status, &json!({ "error": why }))
    }
}

fn order(request: &Request) -> Result<u64, Refused> {
    let config: Config = config().map_err(|why| (500, why))?;
    let secret = secrets::get(SECRET).map_err(|_| (500, format!("the secret {SECRET} is not set")))?;
    let header = config.header.as_deref().unwrap_or("x-shopify-hmac-sha256").to_ascii_lowercase();
    let signature = request.headers.iter().find(|field| field.name == header).map(|field| field.value.as_str());
    let signature = signature.ok_or_else(|| (401, format!("the header {header} is missing")))?;
    if !is_signed(&request.body, signature, secret.as_bytes()) {
        return Err((401, format!("the signature in {header} is wrong")));
    }
    let order: Value = serde_json::from_slice(&request.body).map_err(|error| (422, format!("the body: {error}")))?;
    let id = config.id.as_deref().unwrap_or("/id");
    let id = words(&order, id).ok_or_else(|| (422, format!("{id} is missing")))?;
    let to = config.to.iter().find_map(|pointer| words(&order, pointer));
    let to = to.ok_or_else(|| (422, format!("no number in: {}", config.to.join(", "))))?;
    let text = filled(&config.text, &order).map_err(|why| (422, why))?;
    let session = config.session_id.map_or_else(connected, Ok)?;
    let sent = messages::send_once(session, &format!("order {id}"), &text_to(&to, text), &at_once());
    sent.map(|accepted| accepted.message.id).map_err(refused)
}

/// Whether `signature` is the base64 of the body's HMAC. Takes as long whatever is wrong with it.
fn is_signed(body: &[u8], signature: &str, secret: &[u8]) -> bool {
    let Ok(mut hmac) = Hmac::<Sha256>::new_from_slice(secret) else { return false };
    hmac.update(body);
    STANDARD.decode(signature.trim()).is_ok_and(|given| hmac.verify_slice(&given).is_ok())
}

/// One that reconnects keeps the message until it is back.
fn connected() -> Result<u64, Refused> {
    let all = sessions::all().map_err(refused)?;
    let first = |state| all.iter().find(|session| session.state == state);
    let first = first(SessionState::Connected).or_else(|| first(SessionState::Reconnecting));
    first.map(|session| session.id).ok_or_else(|| (503, "no session is connected".to_owned()))
}

/// The shop tries again later what may work then.
fn refused(error: HostError) -> Refused {
    match error {
        HostError::Invalid(fault) => (422, format!("{}: {}", fault.field, fault.why)),
        HostError::RefusedByPolicy(why) | HostError::Denied(why) => (422, why),
        HostError::LimitReached(_) => (429, "a limit of the account is used up".to_owned()),
        _ => (503, "the message cannot be taken now".to_owned()),
    }
}

/// A field of the order as words; nothing where it is missing or empty.
fn words(order: &Value, pointer: &str) -> Option<String> {
    match order.pointer(pointer)? {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        field @ (Value::Number(_) | Value::Bool(_)) => Some(field.to_string()),
        _ => None,
    }
}

/// The text with what the order says in the place of `{/pointer}` or `{/pointer|else}`.
fn filled(text: &str, order: &Value) -> Result<String, String> {
    let mut parts = text.split('{');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (field, rest) = part.split_once('}').ok_or("text: a { has no }")?;
        let (pointer, instead) = field.split_once('|').map_or((field, None), |(field, instead)| (field, Some(instead)));
        let value = words(order, pointer).or(instead.map(str::to_owned));
        filled.push_str(&value.ok_or_else(|| format!("{pointer} is missing"))?);
        filled.push_str(rest);
    }
    Ok(filled)
}

grants!({ "sessions": "all", "send": { "per_minute": 60 }, "secrets": ["SHOP_SECRET"] });
export_router!(ShopOrder);
export_configurable!(ShopOrder, KNOWN);

#[cfg(test)]
mod tests;
