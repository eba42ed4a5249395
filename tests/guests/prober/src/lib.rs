//! A router that tries whatever verb it is told on whatever id it is told, and tells what the host said, word by word.

use std::fmt::Debug;

use serde::Deserialize;
use switchboard_guest_sdk::events::{self, EventQuery};
use switchboard_guest_sdk::messages::{self, MessageQuery, SendOptions};
use switchboard_guest_sdk::router::{Guest, Refusal, RefusedRequest, Request, Response, ResponseBody, Route};
use switchboard_guest_sdk::types::{HostError, KeyKind};
use switchboard_guest_sdk::{
    account, contacts, export_router, groups, http, kv, media, secrets, sessions, text_to, webhooks,
};

switchboard_guest_sdk::grants!({
    "sessions": "all", "fields": ["text", "number", "media", "contact_name"], "send": { "per_minute": 600 }, "kv_bytes": 4096,
    "secrets": ["API_KEY"]
});

struct Prober;

#[derive(Deserialize)]
struct Wish {
    verb: String,
    #[serde(default)]
    id: u64,
    #[serde(default)]
    name: String,
}

impl Guest for Prober {
    fn routes() -> Vec<Route> {
        vec![http::route("POST", "/try", &[http::bearer(&[KeyKind::Tenant])])]
    }

    fn handle(request: Request) -> Response {
        match serde_json::from_slice::<Wish>(&request.body) {
            Ok(wish) => text(200, &tried(&wish).unwrap_or_else(|| "no such verb".to_owned())),
            Err(error) => text(400, &error.to_string()),
        }
    }

    fn refuse(_request: RefusedRequest, refusal: Refusal) -> Response {
        text(400, &format!("{refusal:?}"))
    }
}

/// What the host says, as a programmer sees it.
fn told<T: Debug>(answer: Result<T, HostError>) -> Option<String> {
    Some(format!("{answer:?}"))
}

fn tried(wish: &Wish) -> Option<String> {
    let Wish { verb, id, name } = wish;
    let id = *id;
    match verb.as_str() {
        "sessions.all" => told(sessions::all()),
        "sessions.get" => told(sessions::get(id)),
        "sessions.connect" => told(sessions::connect(id, 1)),
        "sessions.disconnect" => told(sessions::disconnect(id)),
        "sessions.delete" => told(sessions::delete(id)),
        "sessions.qr" => told(sessions::qr(id)),
        "sessions.links" => told(sessions::draw_links(&[id], 60)),
        "media.info" => told(media::info(name)),
        "media.link" => told(media::link(name, 60)),
        "media.keep" => told(media::keep(name, 60)),
        "media.of-message" => told(media::of_message(id)),
        "webhooks.all" => told(webhooks::all()),
        "webhooks.get" => told(webhooks::get(id)),
        "webhooks.delete" => told(webhooks::delete(id)),
        "webhooks.rotate" => told(webhooks::rotate(id)),
        "webhooks.attempts" => told(webhooks::attempts(id, 0, 10)),
        "events.all" => told(events::find(&query(None))),
        "events.find" => told(events::find(&query(Some(id)))),
        "contacts.find" => told(contacts::find(id, 0, 100)),
        "contacts.get" => told(contacts::get(id, name)),
        "contacts.save" => told(contacts::save(id, name, "mine now", false)),
        "groups.find" => told(groups::find(id, 0, 100)),
        "account.info" => told(account::info()),
        "kv.get" => told(kv::get(name)),
        "kv.put" => told(kv::put(name, name.as_bytes(), None)),
        "kv.delete" => told(kv::delete(name)),
        "kv.scan" => told(kv::scan(&kv::Stretch { begin: String::new(), end: None, limit: 100, reverse: false })),
        "kv.usage" => told(kv::usage()),
        "secrets.get" => told(secrets::get(name)),
        _ => of_messages(wish),
    }
}

fn of_messages(wish: &Wish) -> Option<String> {
    let Wish { verb, id, name } = wish;
    let (id, hello) = (*id, || text_to(name, "hello".to_owned()));
    match verb.as_str() {
        "messages.all" => told(messages::find(&found(None))),
        "messages.find" => told(messages::find(&found(Some(id)))),
        "messages.get" => told(messages::get(id)),
        "messages.received" => told(messages::received(id)),
        "messages.batch" => told(messages::batch(id)),
        "messages.cancel" => told(messages::cancel(id)),
        "messages.resend" => told(messages::resend(id, &options())),
        "messages.send" => told(messages::send(id, &hello(), &options())),
        "messages.sent-under" => told(messages::by_whatsapp_id(id, name)),
        "messages.count" => told(messages::count(id, messages::Direction::Sent)),
        "messages.quota" => told(messages::quota(id, None)),
        _ => None,
    }
}

fn query(session: Option<u64>) -> EventQuery {
    EventQuery { session, kinds: vec![], offset: 0, limit: 100 }
}

fn found(session: Option<u64>) -> MessageQuery {
    MessageQuery { session, direction: None, states: vec![], since_ms: None, until_ms: None, offset: 0, limit: 100 }
}

fn options() -> SendOptions {
    SendOptions {
        priority: messages::Priority::Interactive,
        send_at_ms: None,
        expires_at_ms: None,
        gap_ms: None,
        jitter_ms: None,
        sends_per_minute: None,
        limits: None,
    }
}

fn text(status: u16, body: &str) -> Response {
    Response { status, headers: vec![], body: ResponseBody::Bytes(body.as_bytes().to_vec()) }
}

export_router!(Prober);
