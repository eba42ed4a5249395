//! One rule behind HTTP: a text has a keyword, and the keyword a reply. Benchmarks compare it with the same rule in JavaScript.

use serde::Deserialize;
use serde_json::json;
use switchboard_guest_sdk::auth_policy::{self, Question, Verdict};
use switchboard_guest_sdk::router::{Guest, Refusal, RefusedRequest, Request, Response, ResponseBody, Route};
use switchboard_guest_sdk::types::Field;
use switchboard_guest_sdk::{export_auth_policy, export_router, http};

const REPLIES: [(&str, &str); 4] =
    [("hours", "9 to 17"), ("price", "10 a piece"), ("address", "Main Street 1"), ("help", "Say hours, price or address")];

#[derive(Deserialize)]
struct Asked {
    text: String,
}

struct Rule;

impl Guest for Rule {
    fn routes() -> Vec<Route> {
        vec![http::route("POST", "/answer", &[])]
    }

    fn handle(request: Request) -> Response {
        let Ok(asked) = serde_json::from_slice::<Asked>(&request.body) else { return answer(400, json!(null)) };
        let text = asked.text.to_lowercase();
        let reply = REPLIES.iter().find(|(keyword, _)| text.contains(keyword)).map(|(_, reply)| *reply);
        answer(200, json!({ "reply": reply }))
    }

    fn refuse(_request: RefusedRequest, _refusal: Refusal) -> Response {
        answer(404, json!(null))
    }
}

impl auth_policy::Guest for Rule {
    fn judge(_question: Question) -> Verdict {
        Verdict::Allow
    }
}

fn answer(status: u16, body: serde_json::Value) -> Response {
    let headers = vec![Field { name: "content-type".to_owned(), value: "application/json".to_owned() }];
    Response { status, headers, body: ResponseBody::Bytes(body.to_string().into_bytes()) }
}

export_router!(Rule);
export_auth_policy!(Rule);
