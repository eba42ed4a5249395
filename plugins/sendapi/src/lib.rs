//! The dialect `sendapi`: sessions, messages of many types, groups, contacts and webhooks.

mod answer;
mod content;
mod events;
mod groups;
mod messages;
mod send;
mod sessions;
mod webhooks;

use switchboard_dialect::{Dialect, Endpoint, Failure, Place, Takes, endpoint, export_dialect};
use switchboard_guest_sdk::export_webhook;
use switchboard_guest_sdk::http::bearer;
use switchboard_guest_sdk::router::{Credential, Response};
use switchboard_guest_sdk::types::KeyKind;

/// A key of the account.
fn key() -> Vec<Credential> {
    vec![bearer(&[KeyKind::Tenant])]
}

struct Sendapi;

impl Dialect for Sendapi {
    const ENDPOINTS: &'static [Endpoint] = &[
        endpoint("POST", "/whatsapp/sessions", key, sessions::create),
        endpoint("GET", "/whatsapp/sessions", key, sessions::list),
        endpoint("GET", "/whatsapp/sessions/{id}", key, sessions::get),
        endpoint("DELETE", "/whatsapp/sessions/{id}", key, sessions::delete),
        endpoint("GET", "/whatsapp/sessions/{id}/qr", key, sessions::qr),
        endpoint("POST", "/whatsapp/send", key, send::send).takes(Takes::Base64(&["base64"])),
        endpoint("POST", "/whatsapp/send-bulk", key, send::send_bulk).takes(Takes::Base64(&["base64"])),
        endpoint("GET", "/whatsapp/messages", key, messages::list),
        endpoint("GET", "/whatsapp/messages/{id}", key, messages::get),
        endpoint("POST", "/whatsapp/groups", key, groups::create),
        endpoint("GET", "/whatsapp/groups", key, groups::list),
        endpoint("PUT", "/whatsapp/groups/{id}", key, groups::update),
        endpoint("GET", "/whatsapp/contacts", key, groups::contacts),
        endpoint("GET", "/whatsapp/contacts/{phone}/check", key, groups::check_contact),
        endpoint("POST", "/webhooks", key, webhooks::create),
        endpoint("GET", "/webhooks", key, webhooks::list),
        endpoint("GET", "/webhooks/{id}", key, webhooks::get),
        endpoint("PUT", "/webhooks/{id}", key, webhooks::change),
        endpoint("DELETE", "/webhooks/{id}", key, webhooks::delete),
    ];

    fn render(failure: &Failure, at: &Place<'_>) -> Response {
        answer::failed(failure, at)
    }
}

export_dialect!(Sendapi);
export_webhook!(Sendapi);
switchboard_guest_sdk::openapi!("../openapi.json");
