//! The front door: looks up the route, authenticates, and only then lets a plugin see the request.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;

use switchboard_core::clock::Clock;
use switchboard_core::entropy::Entropy;
use switchboard_core::records::account::Principal;
use switchboard_core::storage::Storage;
use switchboard_runtime::types as plugin;

use super::input::{self, BodyError};
use super::mounts::Lookup;
use super::problem::{Answer, Problem, json as json_answer};
use crate::accounts::{Accounts, CredentialError};
use crate::plugins::{ActivePlugin, Plugins, note_call};
use crate::secrets::AdminKey;

/// Headers that a plugin cannot set: they belong to the connection.
const HOST_HEADERS: [&str; 6] = ["connection", "content-length", "transfer-encoding", "upgrade", "keep-alive", "trailer"];

/// What the control API of the simulated network answered.
pub struct SimControlAnswer {
    /// HTTP status.
    pub status: u16,
    /// Content type of the body.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

/// The control API of the simulated network.
#[async_trait]
pub trait SimControl: Send + Sync {
    /// Bytes in the body of one request.
    fn body_bytes_max(&self) -> usize;

    /// Answers a request for `path_and_query`, which begins with `/switchboard/v1/sim/`.
    async fn control(&self, method: &str, path_and_query: &str, body: &[u8]) -> SimControlAnswer;
}

/// Everything that answers requests.
pub struct FrontDoor {
    /// Tenants and keys.
    pub accounts: Accounts,
    /// Where everything is kept.
    pub storage: Storage,
    /// Plugins and their routes.
    pub plugins: Arc<Plugins>,
    /// The operator's key.
    pub admin_key: AdminKey,
    /// The simulated network, in a build that has one.
    pub sim: Option<Arc<dyn SimControl>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Draws request ids.
    pub entropy: Arc<dyn Entropy>,
    /// Whether the host serves: `/readyz`.
    pub ready: tokio::sync::watch::Receiver<bool>,
}

impl FrontDoor {
    /// Answers one request. Never fails: whatever goes wrong is an answer.
    pub async fn answer(&self, request: Request<Incoming>) -> Answer {
        let request_id = self.draw_request_id();
        let head = request.method() == Method::HEAD;
        let mut answer = match request.uri().path() {
            "/healthz" => json_answer(StatusCode::OK, &json!({ "status": "ok" })),
            "/readyz" => self.readiness(),
            _ if !*self.ready.borrow() => not_ready(),
            path if path == "/switchboard" || path.starts_with("/switchboard/") => self.native(request).await,
            _ => self.dialect(request, &request_id).await,
        };
        if head {
            *answer.body_mut() = Full::new(Bytes::new());
        }
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            answer.headers_mut().insert("x-request-id", id);
        }
        answer
    }

    fn draw_request_id(&self) -> String {
        let mut random = [0; 12];
        self.entropy.fill(&mut random);
        format!("req_{}", hex::encode(random))
    }

    fn readiness(&self) -> Answer {
        if *self.ready.borrow() { json_answer(StatusCode::OK, &json!({ "status": "ready" })) } else { not_ready() }
    }

    async fn dialect(&self, request: Request<Incoming>, request_id: &str) -> Answer {
        let refused = plugin::RefusedRequest {
            method: request.method().as_str().to_owned(),
            path: request.uri().path().to_owned(),
            request_id: request_id.to_owned(),
        };
        // A request keeps the generation it began with.
        let generation = self.plugins.generation();
        match generation.mounts.look_up(&refused.method, &refused.path) {
            Lookup::Found { plugin, route, declared, params } => {
                self.call(request, plugin, (route, declared), params, &refused).await
            }
            Lookup::WrongMethod { allowed, renderer } => {
                let allow = HeaderValue::from_str(&allowed.join(", "));
                let mut answer = self.refuse(renderer, &refused, plugin::Refusal::MethodNotAllowed(allowed)).await;
                if let Ok(allow) = allow {
                    answer.headers_mut().insert(ALLOW, allow);
                }
                answer
            }
            Lookup::Unknown { renderer } => self.refuse(renderer, &refused, plugin::Refusal::NotFound).await,
        }
    }

    async fn call(
        &self,
        request: Request<Incoming>,
        plugin: &Arc<ActivePlugin>,
        (route, declared): (u32, &plugin::Route),
        params: Vec<(String, String)>,
        refused: &plugin::RefusedRequest,
    ) -> Answer {
        let (head, incoming) = request.into_parts();
        let principal = match self.authenticate(&head.headers, declared).await {
            Ok(principal) => principal,
            Err(CredentialError::Unavailable) => {
                let refusal = plugin::Refusal::Internal(CredentialError::Unavailable.to_string());
                return self.refuse(Some(plugin), refused, refusal).await;
            }
            Err(error) => {
                return self.refuse(Some(plugin), refused, plugin::Refusal::Unauthorized(error.to_string())).await;
            }
        };
        let limit = declared.body_bytes_max;
        let body = match input::body(incoming, usize::try_from(limit).unwrap_or(usize::MAX)).await {
            Ok(body) => body,
            Err(BodyError::TooLarge) => {
                return self.refuse(Some(plugin), refused, plugin::Refusal::BodyTooLarge(limit)).await;
            }
            Err(BodyError::Broken(why)) => {
                return self.refuse(Some(plugin), refused, plugin::Refusal::Malformed(why)).await;
            }
        };
        let now_ms = self.clock.now().0;
        let places = declared.credentials.iter().map(|credential| credential.place.clone());
        let input = plugin::Request {
            route,
            method: refused.method.clone(),
            path: refused.path.clone(),
            params,
            query: input::query(head.uri.query()),
            headers: input::visible_headers(&head.headers, places),
            body: body.to_vec(),
            principal: principal.clone(),
            request_id: refused.request_id.clone(),
            now_ms,
        };
        let called = self.plugins.runtime().handle(&plugin.loaded, &plugin.context(principal, now_ms), &input).await;
        note_call(plugin, &refused.request_id, &called.report);
        match called.outcome.into_result() {
            Ok(response) => match to_http(response) {
                Some(answer) => answer,
                None => self.failed(plugin, refused, "answered with an impossible status".to_owned()).await,
            },
            Err(why) => self.failed(plugin, refused, why).await,
        }
    }

    /// The plugin failed: it may still say so in its own shape, in a fresh store.
    async fn failed(&self, plugin: &Arc<ActivePlugin>, refused: &plugin::RefusedRequest, why: String) -> Answer {
        let name = plugin.full_name();
        tracing::error!(plugin = name, request_id = refused.request_id, why, "a router failed");
        self.refuse(Some(plugin), refused, plugin::Refusal::Internal("the plugin failed".to_owned())).await
    }

    async fn authenticate(
        &self,
        headers: &HeaderMap,
        declared: &plugin::Route,
    ) -> Result<Option<Principal>, CredentialError> {
        if declared.credentials.is_empty() {
            return Ok(None);
        }
        let mut worst = CredentialError::Missing;
        for accepted in &declared.credentials {
            let Some(credential) = input::credential(headers, &accepted.place) else { continue };
            match self.accounts.authenticate(credential, &accepted.kinds).await {
                Ok(principal) => return Ok(Some(principal)),
                Err(CredentialError::Missing) => {}
                Err(error) => worst = error,
            }
        }
        Err(worst)
    }

    async fn refuse(
        &self,
        renderer: Option<&Arc<ActivePlugin>>,
        refused: &plugin::RefusedRequest,
        refusal: plugin::Refusal,
    ) -> Answer {
        if let Some(renderer) = renderer {
            let context = renderer.context(None, self.clock.now().0);
            let called = self.plugins.runtime().refuse(&renderer.loaded, &context, refused, &refusal).await;
            note_call(renderer, &refused.request_id, &called.report);
            match called.outcome.into_result().map(to_http) {
                Ok(Some(answer)) => return answer,
                Ok(None) => tracing::error!(plugin = renderer.full_name(), "rendered an impossible status"),
                Err(why) => tracing::error!(plugin = renderer.full_name(), why, "a refusal could not be rendered"),
            }
        }
        plain_refusal(refusal).answer()
    }
}

/// The host starts or stops: no plugin can be asked how to say so.
fn not_ready() -> Answer {
    let mut answer = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the host is starting or stopping").answer();
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

/// A refusal that no plugin renders.
fn plain_refusal(refusal: plugin::Refusal) -> Problem {
    match refusal {
        plugin::Refusal::NotFound => Problem::not_found("nothing is served here"),
        plugin::Refusal::MethodNotAllowed(allowed) => {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("this path answers {}", allowed.join(", ")))
        }
        plugin::Refusal::Unauthorized(why) => Problem::new(StatusCode::UNAUTHORIZED, why),
        plugin::Refusal::BodyTooLarge(limit) => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is over the limit of {limit} bytes"))
        }
        plugin::Refusal::Malformed(why) => Problem::new(StatusCode::BAD_REQUEST, why),
        plugin::Refusal::TooManyRequests(seconds) => {
            Problem::new(StatusCode::TOO_MANY_REQUESTS, format!("come back in {seconds} s"))
        }
        plugin::Refusal::Internal(why) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, why),
    }
}

/// A plugin's answer as HTTP; `None` when its status is none. Headers that HTTP cannot carry are left out.
fn to_http(response: plugin::Response) -> Option<Answer> {
    let status = StatusCode::from_u16(response.status).ok().filter(|status| status.as_u16() >= 200)?;
    let mut answer = Response::new(Full::new(Bytes::from(response.body)));
    *answer.status_mut() = status;
    for (name, value) in response.headers {
        let header = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(&value).ok());
        match header {
            Some((name, value)) if !HOST_HEADERS.contains(&name.as_str()) => {
                answer.headers_mut().append(name, value);
            }
            _ => tracing::warn!(header = name.escape_debug().to_string(), "a plugin set a header that it cannot set"),
        }
    }
    Some(answer)
}
