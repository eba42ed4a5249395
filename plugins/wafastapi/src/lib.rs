//! The dialect `wafastapi`: every endpoint, what it takes, and which function answers it.
//!
//! Every call is made with a key that is bound to one session, and sends something from that session.

mod answer;
mod fields;
mod send;

use switchboard_guest_sdk::export_router;
use switchboard_guest_sdk::http::{files, in_header, route};
use switchboard_guest_sdk::router::{FileKind, Guest, Refusal, RefusedRequest, Request, Response, Route};
use switchboard_guest_sdk::types::KeyKind;

use answer::Failure;

/// What answers an endpoint.
type Handler = fn(&Request) -> Result<Response, Failure>;

/// What an endpoint takes.
enum Takes {
    /// JSON alone.
    Json,
    /// JSON, or the same as a form.
    JsonOrForm,
    /// A form with so many files at most of this kind, in the field of this name.
    Files(&'static str, u32, FileKind),
}

use Takes::{Files, Json, JsonOrForm};

const ENDPOINTS: &[(&str, &str, Takes, Handler)] = &[
    ("POST", "/send/text", Json, send::text),
    ("POST", "/send/photo", Files("photos", 10, FileKind::Image), send::photos),
    ("POST", "/send/video", Files("videos", 5, FileKind::Video), send::videos),
    ("POST", "/send/audio", Files("audios", 5, FileKind::Audio), send::audios),
    ("POST", "/send/file", Files("files", 5, FileKind::Any), send::files),
    ("POST", "/send/location", JsonOrForm, send::location),
    ("POST", "/send/poll", Json, send::poll),
    ("POST", "/message/react", Json, send::react),
    ("POST", "/message/delete", Json, send::delete),
    ("GET", "/get/groups", Json, send::groups),
];

struct Wafastapi;

impl Guest for Wafastapi {
    fn routes() -> Vec<Route> {
        // A key of the tenant that is bound to no session gets as far as being told that it has none.
        let key = [in_header("x-api-key", &[KeyKind::Session, KeyKind::Tenant])];
        let declared = |(method, path, takes, _): &(&str, &str, Takes, Handler)| {
            let route = route(method, path, &key);
            match takes {
                Json => route,
                JsonOrForm => route.form(&[]),
                Files(field, count_max, kind) => route.form_only(&[files(field, *count_max, *kind)]),
            }
        };
        ENDPOINTS.iter().map(declared).collect()
    }

    fn handle(request: Request) -> Response {
        let endpoint = usize::try_from(request.route).ok().and_then(|at| ENDPOINTS.get(at));
        match endpoint {
            Some((_, _, _, handler)) => handler(&request).unwrap_or_else(Failure::render),
            None => Failure::Internal.render(),
        }
    }

    fn refuse(_request: RefusedRequest, refusal: Refusal) -> Response {
        answer::refused(refusal).render()
    }
}

export_router!(Wafastapi);
switchboard_guest_sdk::openapi!("../openapi.json");
