//! The import `http`: what is asked, by whom, and how often, before anybody is connected to.

use serde_json::{Value, json};
use switchboard_core::flow::responder_worker::RunTry;
use switchboard_core::records::id::{SessionId, TenantId};
use switchboard_core::records::plugin::Grants;
use switchboard_runtime::types::{Request, Response};
use switchboard_runtime::{CallContext, Called, Matter, Outcome};

use crate::stage::{NOW_MS, Stage, context, heard, limits, said, session, settings};
use crate::webhook::endpoint;

/// A call of somebody with these hosts.
fn granted(hosts: &[&str]) -> CallContext {
    let http = hosts.iter().map(|host| (*host).to_owned()).collect();
    CallContext { grants: Grants { http, ..Grants::default() }.into(), ..context(None, "{}") }
}

/// Lets the router ask; what it says of the answer.
async fn ask(stage: &Stage, context: &CallContext, wish: Value) -> Value {
    answer(call(stage, context, wish).await)
}

fn answer(called: Called<Response>) -> Value {
    match called.outcome {
        Outcome::Reply(response) => serde_json::from_slice(&response.body).unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn call(stage: &Stage, context: &CallContext, wish: Value) -> Called<Response> {
    let route = stage.plugin.routes.iter().position(|route| route.path == "/fetch").unwrap();
    let request = Request {
        route: u32::try_from(route).unwrap(),
        method: "POST".to_owned(),
        path: "/fetch".to_owned(),
        body: wish.to_string().into_bytes(),
        now_ms: NOW_MS,
        ..Request::default()
    };
    stage.runtime.handle(&stage.plugin, context, &request).await
}

#[tokio::test]
async fn a_host_that_was_not_granted_is_not_asked() {
    let stage = Stage::new(settings(4)).await;
    for (hosts, url) in [
        (vec![], "https://api.example.com/"),
        (vec!["api.example.com"], "http://api.example.com/"),
        (vec!["api.example.com"], "https://api.example.com:8443/"),
        (vec!["*.example.com"], "https://example.com/"),
        (vec!["api.example.com"], "https://api.example.com.evil.net/"),
    ] {
        let told = ask(&stage, &granted(&hosts), json!({ "url": url })).await;
        assert!(told["error"].as_str().unwrap().starts_with("denied: no grant names http"), "{url}: {told}");
    }
    let told = ask(&stage, &granted(&["api.example.com"]), json!({ "url": "not a url" })).await;
    assert!(told["error"].as_str().unwrap().starts_with("invalid: url"), "{told}");
    assert!(stage.verbs.fetched().is_empty());
}

#[tokio::test]
async fn a_granted_host_is_asked_for_the_tenant_and_its_answer_comes_back() {
    let stage = Stage::new(settings(4)).await;
    let wish = json!({
        "url": "https://api.example.com/v1?x=1", "method": "POST", "headers": { "Authorization": "Bearer own" }, "body_bytes": 3,
        "timeout_ms": 60_000,
    });
    let told = ask(&stage, &granted(&["*.example.com"]), wish).await;
    assert_eq!(told, json!({ "status": 200, "bytes": 2, "headers": ["x-kind: fake"] }));
    let (tenant, request) = stage.verbs.fetched().remove(0);
    assert_eq!((tenant, request.url.as_str(), request.method.as_str()), (7, "https://api.example.com/v1?x=1", "POST"));
    assert_eq!(request.headers, [("Authorization".to_owned(), "Bearer own".to_owned())], "no key outside of a run");
    assert_eq!((request.body.len(), request.timeout), (3, limits().host_call), "no longer than a host call may take");
}

#[tokio::test]
async fn a_call_reports_whom_it_asked_and_what_came_of_it() {
    let stage = Stage::new(settings(4)).await;
    let route = stage.plugin.routes.iter().position(|route| route.path == "/fetch").unwrap();
    let wish = json!({ "url": "https://api.example.com/v1", "method": "POST", "times": 2 });
    let request = Request {
        route: u32::try_from(route).unwrap(),
        method: "POST".to_owned(),
        path: "/fetch".to_owned(),
        body: wish.to_string().into_bytes(),
        ..Request::default()
    };
    let called = stage.runtime.handle(&stage.plugin, &granted(&["*.example.com"]), &request).await;
    assert_eq!(called.report.fetched, ["POST https://api.example.com/v1: 200"; 2]);
    let called = stage.runtime.handle(&stage.plugin, &granted(&[]), &request).await;
    assert!(called.report.fetched.is_empty(), "what was not granted was not asked");
}

#[tokio::test]
async fn what_a_request_may_not_have_is_refused_and_not_sent() {
    let stage = Stage::new(settings(4)).await;
    let context = granted(&["api.example.com"]);
    let url = "https://api.example.com/";
    let many: Value = (0..65).map(|n| (format!("x-{n}"), json!("y"))).collect::<serde_json::Map<_, _>>().into();
    for (more, why) in [
        (json!({ "method": "TRACE" }), "method"),
        (json!({ "method": "get" }), "method"),
        (json!({ "headers": { "Host": "other.example.com" } }), "host is the host's"),
        (json!({ "headers": { "Idempotency-Key": "mine" } }), "idempotency-key is the host's"),
        (json!({ "headers": { "transfer-encoding": "chunked" } }), "transfer-encoding is the host's"),
        (json!({ "headers": many }), "headers: 65; the limit is 64"),
        (json!({ "headers": { "x": "y".repeat(17_000) } }), "headers: 17001 bytes; the limit is 16384"),
    ] {
        let mut wish = json!({ "url": url });
        wish.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let told = ask(&stage, &context, wish).await;
        assert!(told["error"].as_str().unwrap().starts_with("invalid: ") && told.to_string().contains(why), "{told}");
    }
    assert!(stage.verbs.fetched().is_empty());
}

#[tokio::test]
async fn one_call_asks_ten_times_and_what_hangs_is_given_up() {
    let stage = Stage::new(settings(4)).await;
    let context = granted(&["api.example.com"]);
    let called = call(&stage, &context, json!({ "url": "https://api.example.com/", "times": 11 })).await;
    assert_eq!(called.report.limits_reached().collect::<Vec<_>>(), ["http requests"]);
    assert_eq!(answer(called)["error"], "limit-reached: more than 10 requests in one call");
    assert_eq!(stage.verbs.fetched().len(), 10);
    let told = ask(&stage, &context, json!({ "url": "https://api.example.com/hang", "timeout_ms": 0 })).await;
    assert_eq!(told["error"], "timed-out: 1");
    stage.assert_well().await;
}

#[tokio::test]
async fn a_run_tells_whom_it_asks_which_run_it_is_and_the_same_again_when_it_is_repeated() {
    let stage = Stage::new(settings(4)).await;
    let context = granted(&["api.example.com"]);
    for attempt in [1, 2] {
        let run = RunTry { id: "run_7_reply_9", attempt };
        let event = heard("fetch https://api.example.com/");
        let called = stage.runtime.respond(&stage.plugin, &context, &run, &event).await;
        let Outcome::Reply(answer) = called.outcome else { panic!("{:?}", called.outcome) };
        assert_eq!(answer.commands, [said("200 200")]);
    }
    let keys: Vec<_> = stage.verbs.fetched().into_iter().flat_map(|(_, request)| request.headers).collect();
    let key = |n| ("idempotency-key".to_owned(), format!("run_7_reply_9-{n}"));
    assert_eq!(keys, [key(1), key(2), key(1), key(2)]);
}

#[tokio::test]
async fn what_has_to_follow_from_what_it_is_asked_asks_nobody() {
    let stage = Stage::new(settings(4)).await;
    let (event, session) = (heard("good day"), session(SessionId(5), TenantId(7)));
    let endpoint = endpoint("fetch");
    let (event, session, standard) = (&event, &session, b"{}");
    let matter = Matter { event, session, message: None, poll: &[], standard, endpoint: &endpoint };
    let called = stage.runtime.shape(&stage.plugin, &granted(&["api.example.com"]), &matter).await;
    let Outcome::Reply(payloads) = called.outcome else { panic!("{:?}", called.outcome) };
    let told = String::from_utf8(payloads[0].body.clone()).unwrap();
    assert!(told.contains("only requests of a router and runs of a responder ask others"), "{told}");
    assert!(stage.verbs.fetched().is_empty());
}
