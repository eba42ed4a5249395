//! The front door: looks up the route, authenticates, and only then lets a plugin see the request.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CONTENT_LENGTH, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use switchboard_core::clock::Clock;
use switchboard_core::flow::wakes::Wakes;
use switchboard_core::records::account::Principal;
use switchboard_core::records::id::TenantId;
use switchboard_core::records::once::Once;
use switchboard_core::records::plugin::own_place;
use switchboard_core::storage::Storage;
use switchboard_runtime::types as plugin;
use switchboard_runtime::{CallContext, Outcome};

use super::admission::Presented;
use super::bodies::FilePlaces;
use super::idempotency::{Begun, OnceError, OnceRuns};
use super::input;
use super::limits::{Client, Limits, presents_credential, show_standing};
use super::listener::Answers;
use super::mounts::{Found, Lookup};
use super::native::UploadRoom;
use super::own_hosts::OwnHosts;
use super::own_routes::{busy, is_own};
use super::problem::{Answer, Problem, json as json_answer, whole};
use super::request_ids::RequestIds;
use super::streams::Streams;
use crate::accounts::Accounts;
use crate::media::{Downloads, LINK_PATH, MediaRoom};
use crate::metrics::MetricsPage;
use crate::plugins::{ActivePlugin, CallAbout, Plugins};
use crate::secrets::AdminKey;
use crate::verbs::HostVerbs;
use crate::webhook::Webhooks;

/// Headers that a plugin cannot set: they belong to the connection.
const HOST_HEADERS: [&str; 6] = ["connection", "content-length", "transfer-encoding", "upgrade", "keep-alive", "trailer"];

/// Why an answer is none.
const IMPOSSIBLE_STATUS: &str = "answered with an impossible status";

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
    /// Webhook endpoints.
    pub webhooks: Webhooks,
    /// The operator's key.
    pub admin_key: AdminKey,
    /// What callers may try and ask in a minute.
    pub limits: Limits,
    /// The simulated network, in a build that has one.
    pub sim: Option<Arc<dyn SimControl>>,
    /// Media of tenants.
    pub media: Arc<MediaRoom>,
    /// Who fetches the files of messages that came in.
    pub downloads: Arc<Downloads>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Host names of tenants.
    pub(crate) own_hosts: OwnHosts,
    /// What the host does for callers.
    pub(crate) verbs: Arc<HostVerbs>,
    /// Says when a tenant has new events.
    pub wakes: Arc<Wakes>,
    /// Requests under an idempotency key.
    pub(crate) once_runs: OnceRuns,
    /// Bodies with files that are coming in.
    pub(crate) file_places: FilePlaces,
    /// Components that are coming in.
    pub(crate) upload_room: UploadRoom,
    /// Streams of events that are open.
    pub(crate) streams: Streams,
    /// Draws request ids.
    pub(crate) request_ids: RequestIds,
    /// Whether the host serves: `/readyz`.
    pub ready: tokio::sync::watch::Receiver<bool>,
    /// What is counted: `/metrics`.
    pub metrics: Arc<MetricsPage>,
}

#[async_trait]
impl Answers for FrontDoor {
    async fn answer(&self, request: Request<Incoming>, peer: IpAddr) -> Answer {
        let begun = tokio::time::Instant::now();
        let route = route_class(request.uri().path());
        let answer = self.answer_one(request, peer).await;
        self.metrics.metrics().request_answered(route, answer.status().as_u16(), begun.elapsed());
        answer
    }
}

impl FrontDoor {
    async fn answer_one(&self, request: Request<Incoming>, peer: IpAddr) -> Answer {
        let client = self.limits.client(peer, &request);
        let request_id = self.request_ids.draw();
        let head = request.method() == Method::HEAD;
        let mut answer = match request.uri().path() {
            "/metrics" => self.metrics(&request).await,
            "/healthz" => json_answer(StatusCode::OK, &json!({ "status": "ok" })),
            "/readyz" => self.readiness(),
            _ if !*self.ready.borrow() => not_ready(),
            path if path == "/switchboard" || path.starts_with("/switchboard/") => {
                let presented = presents_credential(request.headers());
                let answer = self.native(request).await;
                self.limits.watch_native(client, presented, answer, self.clock.now())
            }
            path if path.starts_with(LINK_PATH) => {
                let (method, token) = (request.method().clone(), path.trim_start_matches(LINK_PATH).to_owned());
                self.media_link(&method, &token).await
            }
            _ => self.dialect(request, &request_id, client).await,
        };
        if head {
            // The length is that of the answer to GET, where that is known.
            if let Some(bytes) = answer.body().size_hint().exact() {
                answer.headers_mut().insert(CONTENT_LENGTH, bytes.into());
            }
            *answer.body_mut() = whole(Vec::new());
        }
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            answer.headers_mut().insert("x-request-id", id);
        }
        answer
    }

    fn readiness(&self) -> Answer {
        // Storage that is down opens by itself once the disk works: until then, nothing would be accepted.
        if *self.ready.borrow() && self.storage.health().is_ok() {
            return json_answer(StatusCode::OK, &json!({ "status": "ready" }));
        }
        not_ready()
    }

    async fn dialect(&self, request: Request<Incoming>, request_id: &str, client: Client) -> Answer {
        let (host, mut path) = (input::host(request.uri(), request.headers()), request.uri().path().to_owned());
        // On a host name of its own, everything that is not the host's is the tenant's.
        if let Some(tenant) = host.as_deref().and_then(|host| self.own_hosts.owner(host)).filter(|_| !is_own(&path)) {
            path.insert_str(0, &own_place(tenant));
        }
        let refused = plugin::RefusedRequest {
            method: request.method().as_str().to_owned(),
            path,
            request_id: request_id.to_owned(),
            now_ms: self.clock.now().0,
        };
        // A request keeps the generation it began with.
        let generation = self.plugins.generation();
        if is_own(&refused.path) {
            return self.own_route(request, &refused, client, &generation).await;
        }
        match generation.mounts.look_up(host.as_deref(), &refused.method, &refused.path) {
            Lookup::Found(found) => {
                let plugin = found.plugin;
                let presented = Presented { headers: request.headers(), query: request.uri().query(), client };
                let (mut answer, standing) = match self.admit(presented, plugin, found.declared).await {
                    Ok((principal, standing)) => (self.call(request, found, principal, &refused).await, standing),
                    Err((plugin::Refusal::NotFound, standing)) => {
                        // Switched off: answered as if it were not there.
                        let renderer = generation.mounts.owner(host.as_deref(), &refused.path).or(Some(plugin));
                        (self.refuse(renderer, &refused, plugin::Refusal::NotFound).await, standing)
                    }
                    Err((refusal, standing)) => (self.refuse(Some(plugin), &refused, refusal).await, standing),
                };
                if let Some(standing) = standing {
                    show_standing(&mut answer, &standing, self.clock.now());
                }
                answer
            }
            Lookup::WrongMethod { allowed, renderer } => {
                let allow = HeaderValue::from_str(&allowed.join(", "));
                let mut answer = self.refuse(renderer, &refused, plugin::Refusal::MethodNotAllowed(allowed)).await;
                if let Ok(allow) = allow {
                    answer.headers_mut().insert(ALLOW, allow);
                }
                answer
            }
            // It may be served again once the plugin can be loaded.
            Lookup::Unknown { .. } if generation.is_broken_at(host.as_deref(), &refused.path) => Self::not_loaded(),
            Lookup::Unknown { renderer } => self.refuse(renderer, &refused, plugin::Refusal::NotFound).await,
        }
    }

    /// What is served here will be once the plugin can be loaded.
    pub(super) fn not_loaded() -> Answer {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the plugin that serves this cannot be loaded").answer()
    }

    /// Lets a route answer. `principal` is who calls, or the plugin itself.
    pub(super) async fn call(
        &self,
        request: Request<Incoming>,
        Found { plugin, route, declared, params, mount }: Found<'_>,
        principal: Option<Principal>,
        refused: &plugin::RefusedRequest,
    ) -> Answer {
        let (head, incoming) = request.into_parts();
        let tenant = principal.as_ref().map(|caller| caller.tenant);
        let mut taken = match self.take_body(incoming, &head.headers, &declared.body, tenant).await {
            Ok(taken) => taken,
            Err(refusal) => return self.refuse(Some(plugin), refused, refusal).await,
        };
        let begun = match principal.as_ref().and_then(Principal::with_key) {
            Some(caller) if head.method == Method::POST => {
                let path_and_query = head.uri.path_and_query().map_or("", |whole| whole.as_str());
                self.begin_once(caller, &head.headers, path_and_query, &taken.parts()).await
            }
            _ => Ok(Begun::Plain),
        };
        let run = match begun {
            Ok(Begun::Plain) => None,
            Ok(Begun::First(run)) => Some(run),
            Ok(Begun::Before(answer)) => {
                self.forget(&taken, tenant).await;
                return answer;
            }
            Err(error) => {
                self.forget(&taken, tenant).await;
                return self.refuse(Some(plugin), refused, once_refusal(&error)).await;
            }
        };
        let places = declared.credentials.iter().map(|credential| credential.place.clone());
        let input = plugin::Request {
            route,
            method: refused.method.clone(),
            path: refused.path.clone(),
            params,
            query: input::visible_query(head.uri.query(), &declared.credentials),
            headers: input::visible_headers(&head.headers, places),
            body: std::mem::take(&mut taken.body).into(),
            form: std::mem::take(&mut taken.form),
            files: std::mem::take(&mut taken.files),
            principal: principal.as_ref().and_then(Principal::with_key).cloned(),
            request_id: refused.request_id.clone(),
            now_ms: self.clock.now().0,
            base_url: input::base_url(&head.headers),
            mount: mount.to_owned(),
        };
        let once = run.as_ref().map(|run| Arc::clone(&run.once));
        let answer = self.handle(plugin, &input, (principal, once), (refused, &head.method)).await;
        if !answer.status().is_success() {
            self.forget(&taken, tenant).await;
        }
        match run {
            Some(run) => self.finish_once(run, answer).await,
            None => answer,
        }
    }

    /// Lets a plugin answer.
    async fn handle(
        &self,
        plugin: &Arc<ActivePlugin>,
        input: &plugin::Request,
        (caller, once): (Option<Principal>, Option<Arc<Once>>),
        (refused, method): (&plugin::RefusedRequest, &Method),
    ) -> Answer {
        let owner = plugin.record.tenant;
        let own = owner != TenantId::OPERATOR;
        let place = if own { self.limits.own_calls.take(owner) } else { None };
        if own && place.is_none() {
            return busy();
        }
        let tenant = caller.as_ref().map_or(owner, |caller| caller.tenant);
        let context = CallContext { principal: caller, once, ..plugin.context(tenant, input.now_ms) };
        let called = self.plugins.runtime().handle(&plugin.loaded, &context, input).await;
        let called = called.and_then(|response| match unfit(&response, own) {
            None => Outcome::Reply(response),
            Some(why) => Outcome::PluginError(why),
        });
        let given = || as_given(input);
        let about = CallAbout::new(tenant, "router", &refused.request_id);
        self.plugins.note_call(plugin, &about.given(&given), &called);
        match called.outcome.into_result() {
            Ok(mut response) => match response.live.take() {
                None => match to_http(response) {
                    Some(answer) => answer,
                    None => self.failed(plugin, refused, IMPOSSIBLE_STATUS.to_owned()).await,
                },
                Some(live) => {
                    let caller = (input.principal.as_ref(), method);
                    match self.worded_stream(plugin, caller, response, live, &refused.request_id).await {
                        Ok(answer) => answer,
                        Err(refusal) => self.refuse(Some(plugin), refused, refusal).await,
                    }
                }
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

    pub(super) async fn refuse(
        &self,
        renderer: Option<&Arc<ActivePlugin>>,
        refused: &plugin::RefusedRequest,
        refusal: plugin::Refusal,
    ) -> Answer {
        if let Some(renderer) = renderer {
            let context = renderer.context(renderer.record.tenant, self.clock.now().0);
            let called = self.plugins.runtime().refuse(&renderer.loaded, &context, refused, &refusal).await;
            let about = CallAbout::new(renderer.record.tenant, "router", &refused.request_id);
            self.plugins.note_call(renderer, &about, &called);
            match called.outcome.into_result().map(to_http) {
                Ok(Some(answer)) => return answer,
                Ok(None) => tracing::error!(plugin = renderer.full_name(), "rendered an impossible status"),
                Err(why) => tracing::error!(plugin = renderer.full_name(), why, "a refusal could not be rendered"),
            }
        }
        plain_refusal(refusal).answer()
    }
}

/// What kind of route a path belongs to, for counting.
fn route_class(path: &str) -> &'static str {
    match path {
        "/healthz" | "/readyz" => "health",
        "/metrics" => "metrics",
        _ if path == "/switchboard" || path.starts_with("/switchboard/") => "native",
        _ => "plugin",
    }
}

/// What is wrong with an answer that the host cannot give; `own` says that it is a tenant's own router's.
fn unfit(response: &plugin::Response, own: bool) -> Option<String> {
    if final_status(response.status).is_none() {
        return Some(format!("{IMPOSSIBLE_STATUS}: {}", response.status));
    }
    // Events would be told as nobody's grants say.
    (own && response.live.is_some()).then(|| "a tenant's own router has no streams".to_owned())
}

/// What a router was given, as it saw it, for the log of calls that failed.
fn as_given(input: &plugin::Request) -> Value {
    let pairs = |pairs: &[(String, String)]| pairs.iter().map(|(name, value)| json!([name, value])).collect::<Value>();
    json!({
        "method": input.method,
        "path": input.path,
        "query": pairs(&input.query),
        "headers": pairs(&input.headers),
        "body": String::from_utf8_lossy(&input.body),
        "form": pairs(&input.form),
        "files": input.files.len(),
    })
}

/// The status of an answer that is the last one.
fn final_status(status: u16) -> Option<StatusCode> {
    StatusCode::from_u16(status).ok().filter(|status| status.as_u16() >= 200)
}

/// The host starts or stops: no plugin can be asked how to say so.
fn not_ready() -> Answer {
    let mut answer = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the host is starting or stopping").answer();
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

/// Why a request under an idempotency key is refused, for its plugin to render.
fn once_refusal(error: &OnceError) -> plugin::Refusal {
    match error {
        OnceError::BadKey => plugin::Refusal::Malformed(error.to_string()),
        OnceError::Mismatch => plugin::Refusal::IdempotencyMismatch,
        OnceError::UnderWay => plugin::Refusal::IdempotencyUnderWay,
        OnceError::Storage(error) => {
            tracing::error!(%error, "an idempotency key cannot be looked up");
            plugin::Refusal::Internal("storage does not answer".to_owned())
        }
    }
}

/// A refusal that no plugin renders.
pub(super) fn plain_refusal(refusal: plugin::Refusal) -> Problem {
    match refusal {
        plugin::Refusal::NotFound => Problem::not_found("nothing is served here"),
        plugin::Refusal::MethodNotAllowed(allowed) => {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("this path answers {}", allowed.join(", ")))
        }
        plugin::Refusal::Unauthorized(why) => Problem::new(StatusCode::UNAUTHORIZED, why.sentence()),
        plugin::Refusal::BodyTooLarge(limit) => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is over the limit of {limit} bytes"))
        }
        plugin::Refusal::Malformed(why) => Problem::new(StatusCode::BAD_REQUEST, why),
        plugin::Refusal::TooManyRequests(seconds) => {
            Problem::new(StatusCode::TOO_MANY_REQUESTS, format!("come back in {seconds} s"))
        }
        plugin::Refusal::Internal(why) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, why),
        plugin::Refusal::IdempotencyMismatch => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, OnceError::Mismatch.to_string())
        }
        plugin::Refusal::IdempotencyUnderWay => Problem::new(StatusCode::CONFLICT, OnceError::UnderWay.to_string()),
        plugin::Refusal::FileRefused(refused) => file_problem(&refused),
        plugin::Refusal::TooManyFiles(rule) => {
            let why = format!("{} takes at most {} files", rule.field, rule.count_max);
            Problem::new(StatusCode::BAD_REQUEST, why)
        }
        plugin::Refusal::UnsupportedContentType(given) => {
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("bodies of type {given} are not taken here"))
        }
        plugin::Refusal::MalformedForm(why) => Problem::new(StatusCode::BAD_REQUEST, why),
    }
}

fn file_problem(refused: &plugin::FileRefusal) -> Problem {
    let (status, why) = match refused.why {
        plugin::FileWhy::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, format!("is over {} bytes", refused.bytes_max)),
        plugin::FileWhy::WrongKind => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "is not of the kind that is taken".to_owned()),
        plugin::FileWhy::Empty => (StatusCode::UNPROCESSABLE_ENTITY, "is empty".to_owned()),
        plugin::FileWhy::NotBase64 => (StatusCode::UNPROCESSABLE_ENTITY, "is not base64".to_owned()),
        plugin::FileWhy::NoRoom => (StatusCode::FORBIDDEN, "finds no room".to_owned()),
    };
    Problem::new(status, format!("the file in {:?} {why}", refused.field))
}

/// A plugin's answer as HTTP; `None` when its status is none. Headers that HTTP cannot carry are left out.
pub(super) fn to_http(response: plugin::Response) -> Option<Answer> {
    let status = final_status(response.status)?;
    let mut answer = Response::new(whole(response.body));
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
