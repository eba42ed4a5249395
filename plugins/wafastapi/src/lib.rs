//! The dialect `wafastapi`: every endpoint, what it takes, and which function answers it.
//!
//! Every call is made with a key that is bound to one session, and sends something from that session.

mod answer;
mod fields;
mod files;
mod send;

use switchboard_dialect::{Dialect, Endpoint, Failure, Place, Takes, endpoint, export_dialect};
use switchboard_guest_sdk::http::in_header;
use switchboard_guest_sdk::router::{Credential, FileKind, Response};
use switchboard_guest_sdk::types::KeyKind;

/// A key of the tenant that is bound to no session gets as far as being told that it has none.
fn key() -> Vec<Credential> {
    vec![in_header("x-api-key", &[KeyKind::Session, KeyKind::Tenant])]
}

/// So many files at most of this kind, in the field of this name.
const fn files_of(field: &'static str, count_max: u32, kind: FileKind) -> Takes {
    Takes::Files { field, count_max, kind }
}

struct Wafastapi;

impl Dialect for Wafastapi {
    const ENDPOINTS: &'static [Endpoint] = &[
        endpoint("POST", "/send/text", key, send::text),
        endpoint("POST", "/send/photo", key, files::photos).takes(files_of("photos", 10, FileKind::Image)),
        endpoint("POST", "/send/video", key, files::videos).takes(files_of("videos", 5, FileKind::Video)),
        endpoint("POST", "/send/audio", key, files::audios).takes(files_of("audios", 5, FileKind::Audio)),
        endpoint("POST", "/send/file", key, files::files).takes(files_of("files", 5, FileKind::Any)),
        endpoint("POST", "/send/location", key, send::location).takes(Takes::JsonOrForm),
        endpoint("POST", "/send/poll", key, send::poll),
        endpoint("POST", "/message/react", key, send::react),
        endpoint("POST", "/message/delete", key, send::delete),
        endpoint("GET", "/get/groups", key, send::groups),
    ];

    fn render(failure: &Failure, _at: &Place<'_>) -> Response {
        answer::failed(failure)
    }
}

export_dialect!(Wafastapi);
switchboard_guest_sdk::openapi!("../openapi.json");
