//! Asks others over HTTP as it is told, and tells what came back.

use serde_json::{Value, json};
use switchboard_guest_sdk::http::json as answer;
use switchboard_guest_sdk::outbound::{HttpError, Request as Outgoing, Response as Incoming, fetch as send};
use switchboard_guest_sdk::router::{Request, Response};
use switchboard_guest_sdk::types::Field;

/// `{"url", "method"?, "headers"?, "body_bytes"?, "timeout_ms"?, "times"?}`: what came back the last time.
pub fn fetch(request: &Request) -> Response {
    let wish: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let number = |name: &str, default: u64| wish.get(name).and_then(Value::as_u64).unwrap_or(default);
    let text = |name: &str, default: &str| wish.get(name).and_then(Value::as_str).unwrap_or(default).to_owned();
    let header = |(name, value): (&String, &Value)| Field {
        name: name.clone(),
        value: value.as_str().unwrap_or_default().to_owned(),
    };
    let outgoing = || Outgoing {
        method: text("method", "GET"),
        url: text("url", ""),
        headers: wish.get("headers").and_then(Value::as_object).into_iter().flatten().map(header).collect(),
        body: vec![b'x'; usize::try_from(number("body_bytes", 0)).unwrap_or_default()],
        timeout_ms: u32::try_from(number("timeout_ms", 5_000)).unwrap_or_default(),
    };
    let mut told = Value::Null;
    for _ in 0..number("times", 1) {
        told = match send(&outgoing()) {
            Ok(Incoming { status, headers, body }) => {
                let headers: Vec<String> =
                    headers.iter().map(|header| format!("{}: {}", header.name, header.value)).collect();
                json!({ "status": status, "bytes": body.len(), "headers": headers })
            }
            Err(error) => json!({ "error": words(error) }),
        };
    }
    answer(200, &told)
}

/// The status of an answer, or why there was none.
pub fn told(url: &str) -> String {
    let (method, url) = ("GET".to_owned(), url.to_owned());
    let request = Outgoing { method, url, headers: vec![], body: vec![], timeout_ms: 5_000 };
    send(&request).map_or_else(words, |response| response.status.to_string())
}

/// Why nobody answered.
pub fn words(error: HttpError) -> String {
    match error {
        HttpError::Denied(why) => format!("denied: {why}"),
        HttpError::Invalid(why) => format!("invalid: {why}"),
        HttpError::LimitReached(why) => format!("limit-reached: {why}"),
        HttpError::TimedOut(ms) => format!("timed-out: {ms}"),
        HttpError::TooLarge(bytes) => format!("too-large: {bytes}"),
        HttpError::Unreachable(why) => format!("unreachable: {why}"),
    }
}
