//! The dialect `prosendi`: devices, and messages of texts and files.

mod answer;
mod devices;
mod send;

use switchboard_dialect::{Dialect, Endpoint, Failure, Place, endpoint, export_dialect};
use switchboard_guest_sdk::http::{bearer, in_header};
use switchboard_guest_sdk::router::{Credential, Response};
use switchboard_guest_sdk::types::KeyKind;

/// An API key of the company, or of one of its devices.
fn api_key() -> Vec<Credential> {
    let kinds = [KeyKind::Tenant, KeyKind::Session];
    vec![in_header("x-api-key", &kinds), bearer(&kinds)]
}

struct Prosendi;

impl Dialect for Prosendi {
    const ENDPOINTS: &'static [Endpoint] = &[
        endpoint("GET", "/devices", api_key, devices::list),
        endpoint("POST", "/devices", api_key, devices::create),
        endpoint("GET", "/devices/{id}/qr", api_key, devices::qr),
        endpoint("GET", "/devices/{id}/status", api_key, devices::status),
        endpoint("POST", "/devices/{id}/set-default", api_key, devices::set_default),
        endpoint("PUT", "/devices/{id}", api_key, devices::update),
        endpoint("DELETE", "/devices/{id}", api_key, devices::delete),
        endpoint("POST", "/send", api_key, send::send),
        endpoint("POST", "/send-bulk", api_key, send::send_bulk),
    ];

    fn render(failure: &Failure, _at: &Place<'_>) -> Response {
        answer::failed(failure)
    }
}

export_dialect!(Prosendi);
switchboard_guest_sdk::openapi!("../openapi.json");
