//! The dialect `wasender`: its routes, and which function answers which.

mod answer;
mod contacts;
mod content;
mod events;
mod groups;
mod hooks;
mod media;
mod messages;
mod pages;
mod presence;
mod published;
mod send;
mod sessions;

use serde::Deserialize;
use switchboard_guest_sdk::http::{bearer, files, in_header, route};
use switchboard_guest_sdk::router::{FileKind, FileRule, Guest, Refusal, RefusedRequest, Request, Response, Route};
use switchboard_guest_sdk::types::KeyKind;
use switchboard_guest_sdk::{config, export_router, export_webhook};

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
    ("PUT", "/whatsapp-sessions/{id}", Caller::Account, sessions::update),
    ("DELETE", "/whatsapp-sessions/{id}", Caller::Both, sessions::delete),
    ("POST", "/whatsapp-sessions/{id}/connect", Caller::Both, sessions::connect),
    ("POST", "/whatsapp-sessions/{id}/disconnect", Caller::Both, sessions::disconnect),
    ("POST", "/whatsapp-sessions/{id}/restart", Caller::Both, sessions::restart),
    ("POST", "/whatsapp-sessions/{id}/regenerate-key", Caller::Account, sessions::renew_key),
    ("POST", "/whatsapp-sessions/{id}/regenerate-api-key", Caller::Account, sessions::renew_key),
    ("GET", "/whatsapp-sessions/{id}/message-logs", Caller::Both, messages::logs),
    ("GET", "/whatsapp-sessions/{id}/session-logs", Caller::Both, sessions::logs),
    ("GET", "/whatsapp-sessions/{id}/qrcode", Caller::Both, sessions::qrcode),
    ("GET", "/whatsapp-sessions/{id}/qr-code", Caller::Both, sessions::qr_code),
    ("GET", "/status", Caller::Both, sessions::status),
    ("GET", "/sessions/{id}/status", Caller::Both, sessions::status_of),
    ("GET", "/user", Caller::Session, sessions::user),
    ("GET", "/auth-check", Caller::Both, sessions::auth_check),
    ("POST", "/send-message", Caller::Session, send::send_message),
    ("PUT", "/messages/{msgId}", Caller::Session, messages::edit),
    ("DELETE", "/messages/{msgId}", Caller::Session, messages::delete),
    ("GET", "/messages/{msgId}/info", Caller::Session, messages::info),
    ("POST", "/messages/{msgId}/resend", Caller::Session, messages::resend),
    ("POST", "/send-presence-update", Caller::Session, presence::send_presence_update),
    ("GET", "/contacts", Caller::Session, contacts::list),
    ("PUT", "/contacts", Caller::Session, contacts::save),
    ("GET", "/contacts/{phone}", Caller::Session, contacts::get),
    ("GET", "/contacts/{phone}/picture", Caller::Session, contacts::picture),
    ("GET", "/contacts/{phone}/profile-picture", Caller::Session, contacts::picture),
    ("POST", "/contacts/{phone}/block", Caller::Session, contacts::block),
    ("POST", "/contacts/{phone}/unblock", Caller::Session, contacts::unblock),
    ("GET", "/on-whatsapp/{phone}", Caller::Session, contacts::on_whatsapp),
    ("GET", "/lid-from-pn/{x}", Caller::Session, contacts::lid_of),
    ("GET", "/pn-from-lid/{x}", Caller::Session, contacts::phone_of),
    ("GET", "/groups", Caller::Session, groups::list),
    ("POST", "/groups", Caller::Session, groups::create),
    ("GET", "/groups/{jid}", Caller::Session, groups::get),
    ("GET", "/groups/{jid}/metadata", Caller::Session, groups::get),
    ("GET", "/groups/{jid}/participants", Caller::Session, groups::participants),
    ("POST", "/groups/{jid}/participants/add", Caller::Session, groups::add),
    ("POST", "/groups/{jid}/participants/remove", Caller::Session, groups::remove),
    ("PUT", "/groups/{jid}/participants/update", Caller::Session, groups::update),
    ("PUT", "/groups/{jid}/settings", Caller::Session, groups::settings),
    ("POST", "/groups/{jid}/leave", Caller::Session, groups::leave),
    ("GET", "/groups/{jid}/invite-link", Caller::Session, groups::invite_link),
    ("GET", "/groups/{jid}/picture", Caller::Session, groups::picture),
    ("POST", "/groups/invite/accept", Caller::Session, groups::accept),
    ("GET", "/groups/invite/{code}", Caller::Session, groups::invitation),
    ("POST", "/upload", Caller::Session, media::upload),
    ("POST", "/decrypt-media", Caller::Session, media::decrypt),
];

/// Requests of an account in a minute, unless the operator sets another figure.
const REQUESTS_PER_MINUTE: u32 = 100;

/// What the operator may set.
#[derive(Deserialize)]
struct Settings {
    /// `null` for no limit.
    #[serde(default = "usual_rate")]
    requests_per_minute: Option<u32>,
}

fn usual_rate() -> Option<u32> {
    Some(REQUESTS_PER_MINUTE)
}

fn any_file() -> FileRule {
    files("*", 1, FileKind::Any)
}

struct Wasender;

impl Guest for Wasender {
    fn routes() -> Vec<Route> {
        let account = [KeyKind::Personal, KeyKind::Tenant];
        let settings = config().unwrap_or(Settings { requests_per_minute: usual_rate() });
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
                let mut route = route(method, path, &credentials);
                if let Some(per_minute) = settings.requests_per_minute {
                    route = route.per_account("api", per_minute);
                }
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
export_webhook!(Wasender);
switchboard_guest_sdk::openapi!("../openapi.json");
