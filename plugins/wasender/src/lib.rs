//! The dialect `wasender`: its routes, and which function answers which.

mod answer;
mod content;
mod media;
mod send;
mod sessions;

use switchboard_guest_sdk::export_router;
use switchboard_guest_sdk::http::{bearer, files, in_header, route};
use switchboard_guest_sdk::router::{FileKind, FileRule, Guest, Refusal, RefusedRequest, Request, Response, Route};
use switchboard_guest_sdk::types::KeyKind;

use answer::Failure;

/// What answers a route.
type Handler = fn(&Request) -> Result<Response, Failure>;

/// Who may call a route.
#[derive(Clone, Copy)]
enum Caller {
    /// The account, with its personal access token.
    Account,
    /// One session, with its own key.
    Session,
    /// Either.
    Both,
}

const ROUTES: &[(&str, &str, Caller, Handler)] = &[
    ("GET", "/whatsapp-sessions", Caller::Account, sessions::list),
    ("POST", "/whatsapp-sessions", Caller::Account, sessions::create),
    ("GET", "/whatsapp-sessions/{id}", Caller::Both, sessions::get),
    ("DELETE", "/whatsapp-sessions/{id}", Caller::Both, sessions::delete),
    ("POST", "/whatsapp-sessions/{id}/connect", Caller::Both, sessions::connect),
    ("POST", "/whatsapp-sessions/{id}/disconnect", Caller::Both, sessions::disconnect),
    ("GET", "/whatsapp-sessions/{id}/qrcode", Caller::Both, sessions::qrcode),
    ("GET", "/whatsapp-sessions/{id}/qr-code", Caller::Both, sessions::qr_code),
    ("GET", "/status", Caller::Both, sessions::status),
    ("POST", "/send-message", Caller::Session, send::send_message),
    ("POST", "/upload", Caller::Session, media::upload),
    ("POST", "/decrypt-media", Caller::Session, media::decrypt),
];

fn any_file() -> FileRule {
    files("*", 1, FileKind::Any)
}

struct Wasender;

impl Guest for Wasender {
    fn routes() -> Vec<Route> {
        let account = [KeyKind::Personal, KeyKind::Tenant];
        ROUTES
            .iter()
            .map(|(method, path, caller, _)| {
                let credentials = match caller {
                    // Published clients send the personal access token as Bearer.
                    Caller::Account => vec![in_header("x-api-token", &account), bearer(&account)],
                    Caller::Session => vec![bearer(&[KeyKind::Session])],
                    Caller::Both => vec![
                        in_header("x-api-token", &account),
                        bearer(&[KeyKind::Session, KeyKind::Personal, KeyKind::Tenant]),
                    ],
                };
                let route = route(method, path, &credentials);
                match *path {
                    "/upload" => route.base64(&["base64"]).form(&[any_file()]).raw(any_file()),
                    _ => route,
                }
            })
            .collect()
    }

    fn handle(request: Request) -> Response {
        let handler = usize::try_from(request.route).ok().and_then(|at| ROUTES.get(at));
        match handler {
            Some((_, _, _, handler)) => handler(&request).unwrap_or_else(|failure| failure.render()),
            None => Failure::Internal.render(),
        }
    }

    fn refuse(_request: RefusedRequest, refusal: Refusal) -> Response {
        answer::refused(refusal).render()
    }
}

export_router!(Wasender);
