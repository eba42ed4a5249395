//! The dialect `wamux`: sessions, messages, API keys and webhooks under UUIDs.

mod answer;
mod events;
mod keys;
mod messages;
mod sessions;
mod stream;
mod webhooks;

use switchboard_dialect::{Dialect, Endpoint, Failure, Place, endpoint, export_dialect};
use switchboard_guest_sdk::http::{bearer, link_in_query};
use switchboard_guest_sdk::router::{Credential, Response};
use switchboard_guest_sdk::types::KeyKind;
use switchboard_guest_sdk::{export_streamer, export_webhook};

/// A key of the account.
fn key() -> Vec<Credential> {
    vec![bearer(&[KeyKind::Tenant])]
}

/// The query parameter in which a stream's address carries its token.
const TOKEN: &str = "token";

/// The same, or the token of a stream's address.
fn key_or_token() -> Vec<Credential> {
    vec![bearer(&[KeyKind::Tenant]), link_in_query(TOKEN)]
}

struct Wamux;

impl Dialect for Wamux {
    const ENDPOINTS: &'static [Endpoint] = &[
        endpoint("POST", "/sessions", key, sessions::create),
        endpoint("GET", "/sessions", key, sessions::list),
        endpoint("GET", "/sessions/{id}", key, sessions::get),
        endpoint("PATCH", "/sessions/{id}", key, sessions::rename),
        endpoint("DELETE", "/sessions/{id}", key, sessions::delete),
        endpoint("GET", "/sessions/{id}/stream", key_or_token, sessions::stream),
        endpoint("GET", "/sessions/{id}/settings", key, sessions::settings),
        endpoint("PATCH", "/sessions/{id}/settings", key, sessions::change_settings),
        endpoint("POST", "/sessions/{id}/disconnect", key, sessions::disconnect),
        endpoint("POST", "/sessions/{id}/restart", key, sessions::restart),
        endpoint("POST", "/messages", key, messages::send_text),
        endpoint("POST", "/messages/media", key, messages::send_media),
        endpoint("POST", "/messages/audio", key, messages::send_audio),
        endpoint("GET", "/messages", key, messages::list),
        endpoint("GET", "/messages/{id}", key, messages::get),
        endpoint("POST", "/keys", key, keys::create),
        endpoint("GET", "/keys", key, keys::list),
        endpoint("DELETE", "/keys/{id}", key, keys::revoke),
        endpoint("GET", "/keys/{id}/usage", key, keys::usage),
        endpoint("POST", "/webhooks", key, webhooks::create),
        endpoint("GET", "/webhooks", key, webhooks::list),
        endpoint("GET", "/webhooks/{id}", key, webhooks::get),
        endpoint("PATCH", "/webhooks/{id}", key, webhooks::change),
        endpoint("DELETE", "/webhooks/{id}", key, webhooks::delete),
        endpoint("POST", "/webhooks/{id}/rotate-secret", key, webhooks::rotate),
        endpoint("POST", "/webhooks/{id}/test", key, webhooks::test),
        endpoint("GET", "/webhooks/{id}/logs", key, webhooks::logs),
    ];

    fn render(failure: &Failure, at: &Place<'_>) -> Response {
        answer::failed(failure, at)
    }
}

export_dialect!(Wamux);
export_streamer!(Wamux);
export_webhook!(Wamux);
switchboard_guest_sdk::openapi!("../openapi.json");
