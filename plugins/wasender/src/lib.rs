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
mod settings;

use switchboard_dialect::{Dialect, Endpoint, Failure, Place, Takes, endpoint, export_dialect};
use switchboard_guest_sdk::http::{bearer, in_header};
use switchboard_guest_sdk::router::{Credential, Response};
use switchboard_guest_sdk::types::KeyKind;
use switchboard_guest_sdk::{export_configurable, export_webhook};

/// Keys of the account.
const ACCOUNT: [KeyKind; 2] = [KeyKind::Personal, KeyKind::Tenant];

/// The account, with its personal access token, which published clients send as Bearer.
fn account() -> Vec<Credential> {
    vec![in_header("x-api-token", &ACCOUNT), bearer(&ACCOUNT)]
}

/// One session, with its own key.
fn session() -> Vec<Credential> {
    vec![bearer(&[KeyKind::Session])]
}

/// Either.
fn either() -> Vec<Credential> {
    vec![in_header("x-api-token", &ACCOUNT), bearer(&[KeyKind::Session, KeyKind::Personal, KeyKind::Tenant])]
}

struct Wasender;

impl Dialect for Wasender {
    const ENDPOINTS: &'static [Endpoint] = &[
        endpoint("GET", "/whatsapp-sessions", account, sessions::list),
        endpoint("POST", "/whatsapp-sessions", account, sessions::create),
        endpoint("GET", "/whatsapp-sessions/{id}", either, sessions::get),
        endpoint("PUT", "/whatsapp-sessions/{id}", account, sessions::update),
        endpoint("DELETE", "/whatsapp-sessions/{id}", either, sessions::delete),
        endpoint("POST", "/whatsapp-sessions/{id}/connect", either, sessions::connect),
        endpoint("POST", "/whatsapp-sessions/{id}/disconnect", either, sessions::disconnect),
        endpoint("POST", "/whatsapp-sessions/{id}/restart", either, sessions::restart),
        endpoint("POST", "/whatsapp-sessions/{id}/regenerate-key", account, sessions::renew_key),
        endpoint("POST", "/whatsapp-sessions/{id}/regenerate-api-key", account, sessions::renew_key),
        endpoint("GET", "/whatsapp-sessions/{id}/message-logs", either, messages::logs),
        endpoint("GET", "/whatsapp-sessions/{id}/session-logs", either, sessions::logs),
        endpoint("GET", "/whatsapp-sessions/{id}/qrcode", either, sessions::qrcode),
        endpoint("GET", "/whatsapp-sessions/{id}/qr-code", either, sessions::qr_code),
        endpoint("GET", "/status", either, sessions::status),
        endpoint("GET", "/sessions/{id}/status", either, sessions::status_of),
        endpoint("GET", "/user", session, sessions::user),
        endpoint("GET", "/auth-check", either, sessions::auth_check),
        endpoint("POST", "/send-message", session, send::send_message),
        endpoint("PUT", "/messages/{msgId}", session, messages::edit),
        endpoint("DELETE", "/messages/{msgId}", session, messages::delete),
        endpoint("GET", "/messages/{msgId}/info", session, messages::info),
        endpoint("POST", "/messages/{msgId}/resend", session, messages::resend),
        endpoint("POST", "/send-presence-update", session, presence::send_presence_update),
        endpoint("GET", "/contacts", session, contacts::list),
        endpoint("PUT", "/contacts", session, contacts::save),
        endpoint("GET", "/contacts/{phone}", session, contacts::get),
        endpoint("GET", "/contacts/{phone}/picture", session, contacts::picture),
        endpoint("GET", "/contacts/{phone}/profile-picture", session, contacts::picture),
        endpoint("POST", "/contacts/{phone}/block", session, contacts::block),
        endpoint("POST", "/contacts/{phone}/unblock", session, contacts::unblock),
        endpoint("GET", "/on-whatsapp/{phone}", session, contacts::on_whatsapp),
        endpoint("GET", "/lid-from-pn/{x}", session, contacts::lid_of),
        endpoint("GET", "/pn-from-lid/{x}", session, contacts::phone_of),
        endpoint("GET", "/groups", session, groups::list),
        endpoint("POST", "/groups", session, groups::create),
        endpoint("GET", "/groups/{jid}", session, groups::get),
        endpoint("GET", "/groups/{jid}/metadata", session, groups::get),
        endpoint("GET", "/groups/{jid}/participants", session, groups::participants),
        endpoint("POST", "/groups/{jid}/participants/add", session, groups::add),
        endpoint("POST", "/groups/{jid}/participants/remove", session, groups::remove),
        endpoint("PUT", "/groups/{jid}/participants/update", session, groups::update),
        endpoint("PUT", "/groups/{jid}/settings", session, groups::settings),
        endpoint("POST", "/groups/{jid}/leave", session, groups::leave),
        endpoint("GET", "/groups/{jid}/invite-link", session, groups::invite_link),
        endpoint("GET", "/groups/{jid}/picture", session, groups::picture),
        endpoint("POST", "/groups/invite/accept", session, groups::accept),
        endpoint("GET", "/groups/invite/{code}", session, groups::invitation),
        endpoint("POST", "/upload", session, media::upload).takes(Takes::AnyFile(&["base64"])),
        endpoint("POST", "/decrypt-media", session, media::decrypt),
    ];

    fn render(failure: &Failure, at: &Place<'_>) -> Response {
        answer::failed(failure, at)
    }

    fn requests_per_minute() -> Option<u32> {
        settings::settings().requests_per_minute
    }
}

export_dialect!(Wasender);
export_webhook!(Wasender);
export_configurable!(Wasender, settings::KNOWN);
switchboard_guest_sdk::openapi!("../openapi.json");
