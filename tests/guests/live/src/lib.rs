//! A router that answers with streams, and words what they tell: as much as a test wants to see, and some that go wrong.

use switchboard_guest_sdk::http::{bearer, link_in_query, nothing_to_tell, route, sent_event, stream};
use switchboard_guest_sdk::router::{
    self, EventWish, LiveSource, Refusal, RefusedRequest, Request, Response, ResponseBody, Route,
};
use switchboard_guest_sdk::streamer::{self, Moment, Step};
use switchboard_guest_sdk::types::KeyKind;
use switchboard_guest_sdk::{config, export_router, export_streamer, sessions};

struct Live;

impl router::Guest for Live {
    fn routes() -> Vec<Route> {
        let keys = [bearer(&[KeyKind::Tenant]), link_in_query("t")];
        let mut routes = vec![
            route("GET", "/life/{id}", &keys),
            route("GET", "/events", &keys),
            route("POST", "/events", &keys),
            route("GET", "/anybody", &[]),
            route("GET", "/link/{id}", &keys),
            route("GET", "/query", &keys),
            route("GET", "/rated", &[]).per_account("few", 2),
        ];
        let mut odd = route("GET", "/odd", &keys);
        match config::<String>().as_deref() {
            Ok("link-in-header") => odd.credentials = vec![link_in_query("t"), bearer(&[KeyKind::Link])],
            Ok("key-in-query") => odd.credentials.iter_mut().for_each(|place| place.kinds = vec![KeyKind::Tenant]),
            Ok("rate-of-nothing") => odd = odd.per_account("none", 0),
            Ok("rate-without-name") => odd = odd.per_account("", 5),
            _ => return routes,
        }
        routes.push(odd);
        routes
    }

    fn handle(request: Request) -> Response {
        let id = request.param("id").parse().unwrap_or_default();
        match request.path.rsplit('/').find(|step| step.parse::<u64>().is_err()) {
            Some("life") => stream(LiveSource::SessionLife(id), b"0".to_vec()),
            Some("link") => match sessions::draw_links(&[id], 60) {
                Ok(tokens) => text(200, &tokens.concat()),
                Err(_) => text(403, "denied"),
            },
            Some("query") => text(200, &format!("{:?} below {}", request.query, request.mount)),
            _ => {
                let kinds = request.query.iter().map(|field| field.value.clone()).collect();
                stream(LiveSource::Events(EventWish { session: None, kinds }), b"0".to_vec())
            }
        }
    }

    fn refuse(_request: RefusedRequest, refusal: Refusal) -> Response {
        match refusal {
            Refusal::Unauthorized(why) => text(401, &format!("{why:?}")),
            Refusal::TooManyRequests(seconds) => text(429, &seconds.to_string()),
            Refusal::Internal(_) => text(500, "failed"),
            _ => text(404, "refused"),
        }
    }
}

impl streamer::Guest for Live {
    /// Counts what it was told in its state.
    fn render(state: Vec<u8>, moment: Moment, _now_ms: u64) -> Step {
        let told: u64 = String::from_utf8_lossy(&state).parse().unwrap_or_default();
        let name = match moment {
            Moment::Session(life) => format!("{:?}", life.state).to_lowercase().replace("sessionstate::", ""),
            Moment::Gone => "gone".to_owned(),
            Moment::Event(event) if event.kind == "session.state" => return nothing_to_tell(),
            Moment::Event(event) => event.kind,
        };
        // A deletion is also the moment of something going wrong.
        assert!(name != "loggedout", "this guest does not know what to say of a logout");
        Step { state: Some((told + 1).to_string().into_bytes()), ..sent_event(&name, &told) }
    }
}

fn text(status: u16, text: &str) -> Response {
    Response { status, headers: vec![], body: ResponseBody::Bytes(text.as_bytes().to_vec()) }
}

export_router!(Live);
export_streamer!(Live);
