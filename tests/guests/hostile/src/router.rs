//! The router: does what the path says, and declares what the configuration says.

use std::sync::OnceLock;

use serde_json::{Value, json};
use switchboard_guest_sdk::router::{
    Credential, FileKind, FileRule, FormRule, Guest, Refusal, RefusedRequest, Request, Response, ResponseBody, Route,
};
use switchboard_guest_sdk::types::{Field, HostError, KeyKind};
use switchboard_guest_sdk::{config, http, secrets, sessions};

use crate::misdeeds::{self, MIB};
use crate::{Hostile, outside};

type Handler = fn(&Request) -> Response;

const ROUTES: [(&str, &str, Handler); 12] = [
    ("POST", "/echo", echo),
    ("POST", "/fetch", outside::fetch),
    ("POST", "/remember", remember),
    ("GET", "/whoami", whoami),
    ("GET", "/connect", connect),
    ("GET", "/chatty", chatty),
    ("GET", "/spin", spin),
    ("GET", "/trap", trap),
    ("GET", "/huge", huge),
    ("GET", "/huge-header", huge_header),
    ("GET", "/enormous", enormous),
    ("GET", "/forge", forge),
];

impl Guest for Hostile {
    fn routes() -> Vec<Route> {
        let mut routes: Vec<Route> = ROUTES.iter().map(|(method, path, _)| declared(method, path)).collect();
        match config::<String>().as_deref() {
            Ok("spin") => misdeeds::spin(),
            Ok("trap") => std::process::abort(),
            Ok("many-routes") => routes = vec![http::route("GET", "/again", &[]); 257],
            Ok("bad-method") => routes.push(http::route("TRACE", "/trace", &[])),
            Ok("bad-path") => routes.push(http::route("GET", "no-slash", &[])),
            Ok("long-path") => routes.push(http::route("GET", &format!("/{}", "x".repeat(256)), &[])),
            Ok("big-body") => {
                let mut route = http::route("POST", "/big", &[]);
                route.body.json_bytes_max = 32 * 1024 * 1024 + 1;
                routes.push(route);
            }
            Ok("open-body") => {
                let mut route = http::route("POST", "/big", &[]);
                route.body.json_bytes_max = 2 * 1024 * 1024;
                routes.push(route);
            }
            Ok("files-of-nobody") => routes.push(http::route("POST", "/form", &[]).form(&[any_files(1)])),
            Ok("many-files") => routes.push(http::route("POST", "/form", &keys()).form(&[any_files(11)])),
            Ok("big-files") => {
                let big = FileRule { bytes_max: 100 * 1024 * 1024 + 1, ..any_files(1) };
                routes.push(http::route("POST", "/form", &keys()).raw(big));
            }
            Ok("big-fields") => {
                let mut route = http::route("POST", "/form", &keys());
                route.body.form = Some(FormRule { files: vec![], fields_bytes_max: 1024 * 1024 + 1 });
                routes.push(route);
            }
            Ok("nothing-but-no-form") => {
                let mut route = http::route("POST", "/form", &keys());
                route.body.form_only = true;
                routes.push(route);
            }
            _ => {}
        }
        routes
    }

    fn handle(request: Request) -> Response {
        let route = usize::try_from(request.route).ok().and_then(|at| ROUTES.get(at));
        route.map_or_else(|| text(404, "no such route"), |(_, _, handler)| handler(&request))
    }

    fn refuse(request: RefusedRequest, refusal: Refusal) -> Response {
        if request.path == "/spin" {
            misdeeds::spin();
        }
        match refusal {
            Refusal::NotFound => text(404, "not found"),
            Refusal::MethodNotAllowed(methods) => text(405, &methods.join(", ")),
            Refusal::Unauthorized(why) => {
                text(401, &format!("{why:?}").split("::").last().unwrap_or_default().to_lowercase())
            }
            Refusal::BodyTooLarge(limit) => text(413, &limit.to_string()),
            Refusal::Malformed(why) => text(400, &why),
            Refusal::TooManyRequests(seconds) => text(429, &seconds.to_string()),
            Refusal::Internal(why) => text(500, &why),
            Refusal::IdempotencyMismatch => text(422, "another request had this key"),
            Refusal::IdempotencyUnderWay => text(409, "the request is still being answered"),
            Refusal::FileRefused(refused) => text(415, &refused.field),
            Refusal::TooManyFiles(rule) => text(400, &rule.count_max.to_string()),
            Refusal::UnsupportedContentType(given) => text(415, &given),
            Refusal::MalformedForm(why) => text(400, &why),
        }
    }
}

fn keys() -> Vec<Credential> {
    vec![http::bearer(&[KeyKind::Tenant])]
}

fn any_files(count_max: u32) -> FileRule {
    http::files("files", count_max, FileKind::Any)
}

fn declared(method: &str, path: &str) -> Route {
    if path == "/whoami" {
        return http::route(
            method,
            path,
            &[http::bearer(&[KeyKind::Tenant]), http::in_header("X-Key", &[KeyKind::Session])],
        );
    }
    http::route(method, path, &[])
}

fn text(status: u16, text: &str) -> Response {
    Response { status, headers: vec![], body: ResponseBody::Bytes(text.as_bytes().to_vec()) }
}

fn echo(request: &Request) -> Response {
    Response { status: 200, headers: vec![], body: ResponseBody::Bytes(request.body.clone()) }
}

/// Says how often this instance was asked, and by which clock; the body says how many MiB it is to hold from now on, or that it is
/// to know a secret, of which it speaks whenever it is asked.
fn remember(request: &Request) -> Response {
    static SECRET: OnceLock<String> = OnceLock::new();
    if request.body == b"secret" {
        SECRET.get_or_init(|| secrets::get("API_KEY").unwrap_or_default());
    }
    let mib: usize = String::from_utf8_lossy(&request.body).parse().unwrap_or_default();
    Box::leak(vec![1_u8; mib * MIB].into_boxed_slice());
    let (count, clock) = (misdeeds::count(), std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH));
    println!("asked {count} times{}", SECRET.get().map(|secret| format!(", {secret}")).unwrap_or_default());
    http::json(200, &json!([count, clock.unwrap_or_default().as_millis()]))
}

fn whoami(request: &Request) -> Response {
    let Some(principal) = &request.principal else { return http::json(200, &Value::Null) };
    let kind = match principal.kind {
        KeyKind::Tenant => "tenant",
        KeyKind::Session => "session",
        KeyKind::Personal => "personal",
        KeyKind::Link => "link",
    };
    let whoami = json!({
        "account": principal.account,
        "kind": kind,
        "session": principal.session,
        "scopes": principal.scopes,
        "test": principal.test,
    });
    http::json(200, &whoami)
}

/// Asks for the session that the tests' host never answers for.
fn connect(_: &Request) -> Response {
    match sessions::get(1) {
        Ok(session) => text(200, &session.name),
        Err(HostError::Denied(why)) => text(403, &why),
        Err(HostError::Unavailable(why)) => text(503, &why),
        Err(_) => text(500, "another error"),
    }
}

/// Asks the host twenty times: many points at which the call can be cancelled.
fn chatty(_: &Request) -> Response {
    let found = (0..20).filter(|_| sessions::get(2).is_ok()).count();
    text(200, &found.to_string())
}

fn spin(_: &Request) -> Response {
    misdeeds::spin()
}

fn trap(_: &Request) -> Response {
    std::process::abort()
}

fn huge(_: &Request) -> Response {
    Response { status: 200, headers: vec![], body: ResponseBody::Bytes(vec![b'x'; MIB / 2]) }
}

fn huge_header(_: &Request) -> Response {
    let header = Field { name: "x-huge".to_owned(), value: "x".repeat(MIB / 2) };
    Response { status: 200, headers: vec![header], body: ResponseBody::Bytes(vec![]) }
}

fn enormous(_: &Request) -> Response {
    Response { status: 200, headers: vec![], body: ResponseBody::Bytes(vec![b'x'; 8 * MIB]) }
}

fn forge(_: &Request) -> Response {
    let header = Field { name: "x-note".to_owned(), value: "fine\r\nset-cookie: forged=1".to_owned() };
    Response { status: 200, headers: vec![header], body: ResponseBody::Bytes(vec![]) }
}
