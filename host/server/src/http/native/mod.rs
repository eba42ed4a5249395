//! The host's own API below `/switchboard/v1`: one room for each resource, which has its lines of the routing table.

mod apis;
mod events;
mod filter;
mod media;
mod messages;
mod openapi;
mod plugins;
mod refusals;
mod sessions;
mod sim;
mod stream;
mod templates;
mod tenants;
mod usage;
mod webhooks;

pub(crate) use plugins::UploadRoom;
pub(crate) use refusals::refusal_json;

use std::str::FromStr;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};
use serde::de::DeserializeOwned;

use switchboard_core::records::account::{KeyKind, Principal};
use switchboard_core::records::id::SessionId;
use switchboard_core::rules::authority;
use switchboard_core::rules::said_back::said_back;

pub(super) use filter::EventFilter;

use super::body::{self, BodyFault};
use super::front_door::FrontDoor;
use super::input::{self, BodyError};
use super::limits::too_many_requests;
use super::problem::{Answer, Problem, with_type, wrong_method};
use crate::accounts::{CredentialError, SERVICE};
use crate::spelling;

/// Most bytes of a JSON body, but for one that carries a component.
const JSON_BYTES_MAX: usize = 1024 * 1024;
/// Where the routing table begins.
const BASE: &str = "/switchboard/v1/";
/// What every method of the simulated network's controls is below.
const SIM: &str = "sim/";

/// The routing table, by resource.
const ROUTES: &[&[Route]] = &[
    tenants::ROUTES,
    plugins::ROUTES,
    plugins::LOG_ROUTES,
    plugins::VERSION_ROUTES,
    plugins::SECRET_ROUTES,
    plugins::RUN_ROUTES,
    apis::ROUTES,
    sessions::ROUTES,
    messages::ROUTES,
    templates::ROUTES,
    media::ROUTES,
    events::ROUTES,
    webhooks::ROUTES,
    usage::ROUTES,
    openapi::ROUTES,
];

/// An answer, or what is wrong.
type Answered = Result<Answer, Problem>;

/// Answers one method of one path.
type Handler = for<'a> fn(&'a FrontDoor, Call) -> BoxFuture<'a, Answered>;

/// One line of the routing table.
struct Route {
    method: &'static str,
    /// Below [`BASE`]; a name in braces stands for one segment.
    path: &'static str,
    handler: Handler,
    /// The parameters that its query may have; any other is refused.
    query: &'static [&'static str],
}

/// A line of the routing table, for an endpoint that knows no parameters.
const fn route(method: &'static str, path: &'static str, handler: Handler) -> Route {
    Route { method, path, handler, query: &[] }
}

impl Route {
    /// The same for an endpoint that knows these parameters.
    const fn asked(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    /// Whether a query has nothing but parameters that are known here, each once: what is misspelt would be a filter that does
    /// not filter.
    fn check_query(&self, query: &Query) -> Result<(), Problem> {
        let bad = |name: &str, why: &str| {
            let mut problem = Problem::bad_parameter(&said_back(name), why);
            problem.status = StatusCode::BAD_REQUEST;
            Err(problem)
        };
        for (at, (name, _)) in query.0.iter().enumerate() {
            if !self.query.contains(&name.as_str()) {
                return match self.query {
                    [] => bad(name, "is not a parameter; there are none"),
                    known => bad(name, &format!("is not a parameter; there are: {}", known.join(", "))),
                };
            }
            if query.0.iter().take(at).any(|(before, _)| before == name) {
                return bad(name, "is given twice");
            }
        }
        Ok(())
    }

    /// What a request is about: what the last name in braces stands for; a session where there is none, since it can name
    /// nothing else by an id.
    fn subject(&self) -> &'static str {
        let mut steps = self.path.rsplit('/').skip_while(|step| !step.starts_with('{'));
        match steps.next().and_then(|step| step.strip_prefix('{')?.strip_suffix('}')) {
            // One of what stands before it, by its plural.
            Some("id" | "n") => steps.next().map_or("thing", |list| list.strip_suffix('s').unwrap_or(list)),
            Some(name) => name,
            None => "session",
        }
    }

    /// What the names in braces stand for, if this is the path.
    fn matches(&self, segments: &[&str]) -> Option<Vec<String>> {
        let mut params = Vec::new();
        let mut given = segments.iter();
        for wanted in self.path.split('/') {
            let given = given.next()?;
            if wanted.starts_with('{') {
                params.push(percent_encoding::percent_decode_str(given).decode_utf8_lossy().into_owned());
            } else if *given != wanted {
                return None;
            }
        }
        given.next().is_none().then_some(params)
    }
}

/// What the routing table says of a request.
enum Found {
    Route(&'static Route, Vec<String>),
    /// The path is served, with these methods.
    WrongMethod(Vec<&'static str>),
    Nothing,
}

/// Who answers `method` on the path `below` [`BASE`].
fn find(method: &str, below: &str) -> Found {
    // The same answer, which goes out without its body.
    let method = if method == "HEAD" { "GET" } else { method };
    let segments: Vec<&str> = below.split('/').collect();
    let mut allowed = Vec::new();
    for route in ROUTES.iter().copied().flatten() {
        match route.matches(&segments) {
            Some(params) if route.method == method => return Found::Route(route, params),
            Some(_) if route.method == "GET" => allowed.extend(["GET", "HEAD"]),
            Some(_) => allowed.push(route.method),
            None => {}
        }
    }
    if allowed.is_empty() { Found::Nothing } else { Found::WrongMethod(allowed) }
}

/// A request, and what the names in braces of its path stand for.
struct Call {
    request: Request<Incoming>,
    params: Vec<String>,
}

impl Call {
    fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// What the name in braces at `place`, from 0, stands for.
    fn param(&self, place: usize) -> &str {
        self.params.get(place).map(String::as_str).unwrap_or_default()
    }

    /// The id in place of the name in braces at `place`. What is no id names nothing.
    fn id<T: FromStr>(&self, place: usize) -> Result<T, Problem> {
        self.param(place).parse().map_err(|_| Problem::nothing_of_this_id())
    }

    /// The session that the name in braces at `place` names, in any spelling.
    fn session(&self, place: usize) -> Result<SessionId, Problem> {
        spelling::session(self.param(place)).ok_or_else(Problem::nothing_of_this_id)
    }

    fn query(&self) -> Query {
        Query(input::query(self.request.uri().query()))
    }

    async fn json<T: DeserializeOwned>(self, limit: usize) -> Result<T, Problem> {
        from_json(&self.bytes(limit).await?)
    }

    /// A body that may be left out.
    async fn json_or_nothing<T: DeserializeOwned + Default>(self, limit: usize) -> Result<T, Problem> {
        let body = self.bytes(limit).await?;
        if body.is_empty() { Ok(T::default()) } else { from_json(&body) }
    }

    async fn bytes(self, limit: usize) -> Result<Bytes, Problem> {
        Ok(self.read(limit).await?.1)
    }

    /// The head and the whole body.
    async fn read(self, limit: usize) -> Result<(Parts, Bytes), Problem> {
        let (head, body) = self.request.into_parts();
        let body = input::body(body, limit).await;
        body.map(|body| (head, body)).map_err(|error| match error {
            BodyError::TooLarge => {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is over the limit of {limit} bytes"))
            }
            BodyError::Broken(why) => Problem::new(StatusCode::BAD_REQUEST, why),
        })
    }
}

/// What a JSON body says.
fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    body::read(body).map_err(|fault| match fault {
        BodyFault::Syntax(why) => Problem::new(StatusCode::BAD_REQUEST, format!("the body {why}")),
        BodyFault::Shape(fault) => fault.into(),
    })
}

/// The parameters of a query.
struct Query(Vec<(String, String)>);

impl Query {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is a number, or an id.
    fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let wrong = |_| Problem::bad_parameter(name, format!("{:?} is not a whole number", said_back(text)));
        text.parse().map(Some).map_err(wrong)
    }

    /// A parameter that names a session, in any spelling.
    fn session(&self, name: &str) -> Result<Option<SessionId>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let wrong = || Problem::bad_parameter(name, format!("{:?} is not the id of a session", said_back(text)));
        spelling::session(text).map(Some).ok_or_else(wrong)
    }

    /// `limit`, from 1 to `most`; `most` when it is not given.
    fn limit(&self, most: usize) -> Result<usize, Problem> {
        match self.number("limit")? {
            None => Ok(most),
            Some(limit) if (1..=most).contains(&limit) => Ok(limit),
            Some(limit) => Err(Problem::bad_parameter("limit", format!("{limit}: 1 to {most} are allowed"))),
        }
    }
}

/// Who calls the host's own API.
enum Caller {
    Operator,
    Tenant(Principal),
}

impl FrontDoor {
    pub(super) async fn native(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        let below = path.strip_prefix(BASE).unwrap_or_default();
        if below.starts_with(SIM) {
            return self.sim_control(request).await.unwrap_or_else(Problem::answer);
        }
        match find(request.method().as_str(), below) {
            Found::Route(route, params) => {
                let call = Call { request, params };
                let answered = match route.check_query(&call.query()) {
                    Ok(()) => (route.handler)(self, call).await,
                    Err(problem) => Err(problem),
                };
                answered.unwrap_or_else(|problem| problem.about(route.subject()).answer())
            }
            Found::WrongMethod(allowed) => wrong_method(&allowed),
            Found::Nothing => Problem::not_found("nothing is served here").answer(),
        }
    }

    /// Who calls, with a tenant's key whose scopes cover `action` on `resource`, or with the operator's.
    async fn caller(&self, headers: &HeaderMap, resource: &str, action: &str) -> Result<Caller, Problem> {
        self.caller_with(&[KeyKind::Tenant], headers, (resource, action)).await
    }

    /// The same with scopes that cover one of these actions.
    async fn caller_of_any(&self, headers: &HeaderMap, resource: &str, actions: &[&str]) -> Result<Caller, Problem> {
        self.caller_who(&[KeyKind::Tenant], headers, (resource, actions)).await
    }

    /// The tenant that calls, or one of its sessions: what the key is bound to confines what it sees.
    async fn tenant(&self, headers: &HeaderMap, resource: &str, action: &str) -> Result<Principal, Problem> {
        match self.caller_with(&[KeyKind::Tenant, KeyKind::Session], headers, (resource, action)).await? {
            Caller::Tenant(principal) => Ok(principal),
            Caller::Operator => {
                let why =
                    "a key of kind tenant or session is needed: this belongs to a tenant, and the operator's key to none";
                Err(Problem::new(StatusCode::FORBIDDEN, why).with("code", "wrong_kind_of_key"))
            }
        }
    }

    async fn caller_with(
        &self,
        kinds: &[KeyKind],
        headers: &HeaderMap,
        (resource, action): (&str, &str),
    ) -> Result<Caller, Problem> {
        self.caller_who(kinds, headers, (resource, &[action])).await
    }

    async fn caller_who(
        &self,
        kinds: &[KeyKind],
        headers: &HeaderMap,
        (resource, actions): (&str, &[&str]),
    ) -> Result<Caller, Problem> {
        let token = input::bearer(headers).ok_or_else(|| unauthorized("missing credential: Authorization: Bearer <key>"))?;
        if self.admin_key.is(token) {
            return Ok(Caller::Operator);
        }
        match self.accounts.authenticate(token, kinds, Some(SERVICE)).await {
            Ok((principal, tenant)) => {
                authority::check_any(&principal, resource, actions)?;
                let now = self.clock.now();
                let counted = self.limits.count_request(&tenant, now);
                counted.map_err(|standing| too_many_requests(&standing, "too many requests", now))?;
                Ok(Caller::Tenant(principal))
            }
            Err(CredentialError::Unavailable) => {
                Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, CredentialError::Unavailable.to_string()))
            }
            Err(CredentialError::WrongKind(given)) => {
                let needed: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
                Err(wrong_kind(&format!("a key of kind {}", needed.join(" or ")), given))
            }
            Err(error @ CredentialError::WrongService) => {
                Err(Problem::new(StatusCode::FORBIDDEN, error.to_string()).with("code", "wrong_service"))
            }
            Err(error) => Err(unauthorized(&error.to_string())),
        }
    }

    pub(in crate::http) async fn need_operator(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let token = input::bearer(headers)
            .ok_or_else(|| unauthorized("missing credential: Authorization: Bearer <the operator's key>"))?;
        if self.admin_key.is(token) {
            return Ok(());
        }
        // Whoever holds a key may know what it is; of any other credential it is not said how near it comes.
        match self.accounts.authenticate(token, &KeyKind::ALL, None).await {
            Ok((principal, _)) => Err(wrong_kind("the operator's key", principal.kind)),
            Err(error @ CredentialError::Unavailable) => {
                Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
            }
            Err(_) => Err(unauthorized("not the operator's key")),
        }
    }
}

/// A key that is good, but not for this.
fn wrong_kind(needed: &str, given: KeyKind) -> Problem {
    let why = format!("{needed} is needed; this one is of kind {}", given.name());
    Problem::new(StatusCode::FORBIDDEN, why).with("code", "wrong_kind_of_key")
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail)
}

fn no_content() -> Answer {
    let mut answer = with_type(StatusCode::NO_CONTENT, "application/json", Bytes::new());
    answer.headers_mut().remove(CONTENT_TYPE);
    answer
}
