//! A router that reads a session's key: the interface `keys` is for plugins that the operator installed.

use switchboard_guest_sdk::router::{Guest, Refusal, RefusedRequest, Request, Response, ResponseBody, Route};
use switchboard_guest_sdk::{export_router, http, keys};

struct ImportsKeys;

impl Guest for ImportsKeys {
    fn routes() -> Vec<Route> {
        vec![http::route("GET", "/key", &[])]
    }

    fn handle(_request: Request) -> Response {
        match keys::session_key(7) {
            Ok(key) => answer(200, key),
            Err(_) => answer(403, String::new()),
        }
    }

    fn refuse(_request: RefusedRequest, _refusal: Refusal) -> Response {
        answer(404, String::new())
    }
}

fn answer(status: u16, text: String) -> Response {
    Response { status, headers: vec![], body: ResponseBody::Bytes(text.into_bytes()) }
}

export_router!(ImportsKeys);
