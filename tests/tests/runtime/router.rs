//! A router that misbehaves, and one that behaves: what it is told, what it may call, how its answer is bounded.

use serde_json::json;
use switchboard_core::records::account::KeyKind;
use switchboard_runtime::types::{Credential, CredentialPlace, Refusal, RefusedRequest, Response, UnauthorizedWhy};
use switchboard_runtime::{Limit, Outcome};

use crate::stage::{Stage, context, principal};

fn answered(status: u16, text: &str) -> Outcome<Response> {
    Outcome::Reply(Response { status, headers: vec![], body: text.as_bytes().to_vec(), live: None })
}

/// A request for `path` breaks `limit`, in words that contain `words`, and nothing else breaks.
async fn assert_breaks(path: &str, limit: Limit, words: &str) {
    let stage = Stage::shared().await;
    match stage.ask("GET", path, None, b"").await.outcome {
        Outcome::LimitExceeded(broken, why) => {
            assert_eq!(broken, limit, "{path}: {why}");
            assert!(why.contains(words), "{path}: {why}");
        }
        other => panic!("{path}: {other:?}"),
    }
    assert_eq!(stage.ask("POST", "/echo", None, b"good day").await.outcome, answered(200, "good day"));
    stage.assert_well().await;
}

#[tokio::test]
async fn a_router_that_spins_ends_at_the_cpu_limit() {
    assert_breaks("/spin", Limit::Cpu, "200 ms").await;
}

#[tokio::test]
async fn a_router_that_traps_is_told_as_a_trap() {
    let stage = Stage::shared().await;
    let outcome = stage.ask("GET", "/trap", None, b"").await.outcome;
    assert!(matches!(&outcome, Outcome::Trap(why) if why.contains("unreachable")), "{outcome:?}");
    stage.assert_well().await;
}

#[tokio::test]
async fn an_answer_over_the_output_limit_is_no_answer() {
    assert_breaks("/huge", Limit::Bytes, "the limit is 262144").await;
    assert_breaks("/huge-header", Limit::Bytes, "the limit is 262144").await;
    assert_breaks("/enormous", Limit::Bytes, "").await;
}

#[tokio::test]
async fn a_router_learns_who_calls_and_never_the_key() {
    let stage = Stage::shared().await;
    let Outcome::Reply(response) = stage.ask("GET", "/whoami", Some(principal(41)), b"").await.outcome else { panic!() };
    let whoami: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    let expected = json!({"account": 41, "kind": "tenant", "session": null, "scopes": ["sessions:read"], "test": false});
    assert_eq!(whoami, expected);
}

#[tokio::test]
async fn declared_credentials_are_kept_with_header_names_in_lower_case() {
    let routes = &Stage::shared().await.plugin.routes;
    let whoami = routes.iter().find(|route| route.path == "/whoami").unwrap();
    let expected = [
        Credential { place: CredentialPlace::Bearer, kinds: vec![KeyKind::Tenant], service: Some("whatsapp".to_owned()) },
        Credential {
            place: CredentialPlace::Header("x-key".to_owned()),
            kinds: vec![KeyKind::Session],
            service: Some("whatsapp".to_owned()),
        },
    ];
    assert_eq!(whoami.credentials, expected);
}

#[tokio::test]
async fn a_verb_that_hangs_is_answered_in_time_and_is_not_the_guests_own_time() {
    let stage = Stage::shared().await;
    // The verb may take 300 ms, and the guest may compute 200.
    let called = stage.ask("GET", "/connect", Some(principal(42)), b"").await;
    assert_eq!(called.outcome, answered(503, "took longer than 300 ms"));
    assert_eq!(called.report.host_calls, 1);
    assert_eq!(stage.verbs.asked_by(42), [1]);
    stage.assert_well().await;
}

#[tokio::test]
async fn verbs_are_called_for_the_tenant_of_the_request() {
    let stage = Stage::shared().await;
    let (first, second) = tokio::join!(
        stage.ask("GET", "/chatty", Some(principal(43)), b""),
        stage.ask("GET", "/chatty", Some(principal(44)), b"")
    );
    assert_eq!((first.outcome, second.outcome), (answered(200, "20"), answered(200, "20")));
    assert_eq!((stage.verbs.asked_by(43), stage.verbs.asked_by(44)), (vec![2; 20], vec![2; 20]));
}

#[tokio::test]
async fn where_nobody_is_calling_verbs_are_denied() {
    let stage = Stage::shared().await;
    let Outcome::Reply(response) = stage.ask("GET", "/connect", None, b"").await.outcome else { panic!() };
    assert_eq!(response.status, 403);
}

#[tokio::test]
async fn a_refusal_is_rendered_by_the_router_within_the_same_limits() {
    let stage = Stage::shared().await;
    let refuse = async |path: &str, refusal: Refusal| {
        let request = RefusedRequest {
            method: "PUT".to_owned(),
            path: path.to_owned(),
            request_id: "request-1".to_owned(),
            now_ms: 5,
        };
        stage.runtime.refuse(&stage.plugin, &context(None, "{}"), &request, &refusal).await.outcome
    };
    assert_eq!(refuse("/a", Refusal::NotFound).await, answered(404, "not found"));
    let methods = vec!["GET".to_owned(), "POST".to_owned()];
    assert_eq!(refuse("/a", Refusal::MethodNotAllowed(methods)).await, answered(405, "GET, POST"));
    assert_eq!(refuse("/a", Refusal::Unauthorized(UnauthorizedWhy::Revoked)).await, answered(401, "revoked"));
    assert_eq!(refuse("/a", Refusal::BodyTooLarge(5)).await, answered(413, "5"));
    assert_eq!(refuse("/a", Refusal::Malformed("bad".to_owned())).await, answered(400, "bad"));
    assert_eq!(refuse("/a", Refusal::TooManyRequests(3)).await, answered(429, "3"));
    assert_eq!(refuse("/a", Refusal::Internal("oops".to_owned())).await, answered(500, "oops"));
    let refused = refuse("/a", Refusal::IdempotencyMismatch).await;
    assert_eq!(refused, answered(422, "another request had this key"));
    let refused = refuse("/a", Refusal::IdempotencyUnderWay).await;
    assert_eq!(refused, answered(409, "the request is still being answered"));
    assert!(matches!(refuse("/spin", Refusal::NotFound).await, Outcome::LimitExceeded(Limit::Cpu, _)));
    stage.assert_well().await;
}
