//! The host's own API below `/switchboard/v1`: tenants, keys, plugins, and the simulated network's controls. `events` has the
//! event log.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use switchboard_core::records::account::{ApiKey, KeyKind, Tenant};
use switchboard_core::records::id::{KeyId, TenantId};
use switchboard_core::records::plugin::{Mount, Plugin};
use switchboard_core::storage::{ARTIFACT_BYTES_MAX, StorageError};

use super::front_door::FrontDoor;
use super::input::{self, BodyError};
use super::problem::{Answer, Problem, json as json_answer, with_type};
use crate::accounts::{AccountError, KeyWish, check_limits, check_plan};
use crate::builtins;
use crate::plugins::{Install, InstallError};

/// Most bytes of a JSON body, but for one that carries a component.
const JSON_BYTES_MAX: usize = 1024 * 1024;
/// Most bytes of a JSON body that carries a component as base64.
const UPLOAD_BYTES_MAX: usize = ARTIFACT_BYTES_MAX / 3 * 4 + JSON_BYTES_MAX;

pub(super) type Answered = Result<Answer, Problem>;

/// Who calls the host's own API.
pub(super) enum Caller {
    Operator,
    Tenant(TenantId),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTenant {
    name: String,
    #[serde(default)]
    plan: Option<String>,
    #[serde(default)]
    limits: Option<BTreeMap<String, u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantChange {
    #[serde(default)]
    active: Option<bool>,
    #[serde(default)]
    plan: Option<String>,
    #[serde(default)]
    limits: Option<BTreeMap<String, u64>>,
}

/// An upload in JSON. With `application/wasm` the body is the component and the name is in the query.
#[derive(Deserialize)]
struct Upload {
    name: String,
    #[serde(default)]
    component_base64: Option<String>,
    #[serde(default)]
    builtin: Option<String>,
    #[serde(default)]
    mounts: Option<Vec<Mount>>,
    #[serde(default)]
    config: Option<Value>,
}

fn storage_problem(error: &StorageError) -> Problem {
    tracing::error!(%error, "the host's own API cannot reach storage");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "storage does not answer")
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        storage_problem(&error)
    }
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::NoSuchTenant(_) | AccountError::NoSuchSession(_) => Self::not_found(error.to_string()),
            AccountError::Invalid { field, why } => Self::invalid(field, why),
            AccountError::Storage(error) => storage_problem(&error),
        }
    }
}

impl From<InstallError> for Problem {
    fn from(error: InstallError) -> Self {
        match error {
            InstallError::Refused(refused) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, refused.to_string()).with("code", refused.code())
            }
            InstallError::Invalid { field, why } => Self::invalid(field, why),
            InstallError::Routes(error) => Self::new(StatusCode::CONFLICT, error.to_string()).with("code", "routes"),
            InstallError::NoSuchPlugin => Self::not_found(error.to_string()),
            InstallError::Host(why) => {
                tracing::error!(why, "the host cannot compile");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "the host cannot compile now")
            }
            InstallError::Storage(error) => storage_problem(&error),
        }
    }
}

fn tenant_json(tenant: &Tenant) -> Value {
    json!({
        "id": tenant.id, "name": tenant.name, "active": tenant.active, "plan": tenant.plan,
        "limits": tenant.limits, "created_at": tenant.created_at,
    })
}

fn key_json(key: &ApiKey) -> Value {
    json!({
        "id": key.id, "kind": key.kind, "session_id": key.session, "name": key.name, "service": key.service,
        "scopes": key.scopes, "mode": if key.test { "test" } else { "live" },
        "expires_at": key.expires_at, "created_at": key.created_at,
    })
}

fn plugin_json(plugin: &Plugin) -> Value {
    json!({
        "name": plugin.name, "sha256": plugin.sha256, "bytes": plugin.bytes, "interfaces": plugin.interfaces,
        "mounts": plugin.mounts, "config": plugin.config, "activated_at": plugin.activated_at,
    })
}

async fn json_body<T: DeserializeOwned>(incoming: Incoming, limit: usize) -> Result<T, Problem> {
    let body = read_body(incoming, limit).await?;
    serde_json::from_slice(&body).map_err(|error| {
        let status = if error.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        Problem::new(status, format!("the body: {error}"))
    })
}

async fn read_body(incoming: Incoming, limit: usize) -> Result<Bytes, Problem> {
    input::body(incoming, limit).await.map_err(|error| match error {
        BodyError::TooLarge => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is over the limit of {limit} bytes"))
        }
        BodyError::Broken(why) => Problem::new(StatusCode::BAD_REQUEST, why),
    })
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail)
}

fn number(text: &str) -> Result<u64, Problem> {
    text.parse().map_err(|_| Problem::not_found("there is nothing of this id"))
}

impl FrontDoor {
    pub(super) async fn native(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        let below = path.strip_prefix("/switchboard/v1/").unwrap_or_default();
        let parts: Vec<&str> = below.split('/').collect();
        let answered = match parts.as_slice() {
            ["tenants"] => self.tenants(request).await,
            ["tenants", id] => self.tenant(request, id).await,
            ["tenants", id, "keys"] => self.tenant_keys(request, id).await,
            ["tenants", id, "keys", key] => self.tenant_key(request, id, key).await,
            ["plugins"] => self.plugin_list(request).await,
            ["plugins", name] => self.plugin(request, name).await,
            ["plugins", name, "config"] => self.plugin_config(request, name).await,
            ["events"] => self.events(request).await,
            ["sim", ..] => self.sim_control(request).await,
            _ => Err(Problem::not_found("nothing is served here")),
        };
        answered.unwrap_or_else(Problem::answer)
    }

    pub(super) async fn caller(&self, headers: &HeaderMap, resource: &str, action: &str) -> Result<Caller, Problem> {
        let token = input::bearer(headers).ok_or_else(|| unauthorized("missing credential: Authorization: Bearer <key>"))?;
        if self.admin_key.is(token) {
            return Ok(Caller::Operator);
        }
        match self.accounts.authenticate(token, &[KeyKind::Tenant]).await {
            Ok(principal) if principal.may(resource, action) => Ok(Caller::Tenant(principal.tenant)),
            Ok(_) => Err(Problem::new(StatusCode::FORBIDDEN, format!("the key lacks the scope {resource}:{action}"))),
            Err(error) => Err(unauthorized(&error.to_string())),
        }
    }

    fn need_operator(&self, headers: &HeaderMap) -> Result<(), Problem> {
        match input::bearer(headers) {
            Some(token) if self.admin_key.is(token) => Ok(()),
            Some(_) => Err(unauthorized("not the operator's key")),
            None => Err(unauthorized("missing credential: Authorization: Bearer <the operator's key>")),
        }
    }

    async fn tenants(&self, request: Request<Incoming>) -> Answered {
        self.need_operator(request.headers())?;
        match *request.method() {
            Method::GET => {
                let tenants = self.storage.tenants().await?;
                Ok(json_answer(StatusCode::OK, &json!({ "tenants": tenants.iter().map(tenant_json).collect::<Vec<_>>() })))
            }
            Method::POST => {
                let new: NewTenant = json_body(request.into_body(), JSON_BYTES_MAX).await?;
                let limits = new.limits.unwrap_or_default();
                let tenant = self.accounts.create_tenant(&new.name, new.plan.as_deref(), limits).await?;
                Ok(json_answer(StatusCode::CREATED, &tenant_json(&tenant)))
            }
            _ => Ok(wrong_method("GET, POST")),
        }
    }

    async fn tenant(&self, request: Request<Incoming>, id: &str) -> Answered {
        self.need_operator(request.headers())?;
        let id = TenantId(number(id)?);
        let missing = || Problem::not_found(format!("tenant {id} does not exist"));
        match *request.method() {
            Method::GET => {
                let tenant = self.storage.tenant(id).await?.ok_or_else(missing)?;
                Ok(json_answer(StatusCode::OK, &tenant_json(&tenant)))
            }
            Method::PATCH => {
                let change: TenantChange = json_body(request.into_body(), JSON_BYTES_MAX).await?;
                if let Some(plan) = &change.plan {
                    check_plan(plan)?;
                }
                check_limits(change.limits.iter().flat_map(BTreeMap::keys))?;
                let apply = |tenant: &mut Tenant| {
                    tenant.active = change.active.unwrap_or(tenant.active);
                    if let Some(plan) = &change.plan {
                        tenant.plan.clone_from(plan);
                    }
                    if let Some(limits) = &change.limits {
                        tenant.limits.clone_from(limits);
                    }
                };
                let tenant = self.storage.change_tenant(id, apply).await?.ok_or_else(missing)?;
                Ok(json_answer(StatusCode::OK, &tenant_json(&tenant)))
            }
            _ => Ok(wrong_method("GET, PATCH")),
        }
    }

    async fn tenant_keys(&self, request: Request<Incoming>, id: &str) -> Answered {
        self.need_operator(request.headers())?;
        let id = TenantId(number(id)?);
        match *request.method() {
            Method::GET => {
                self.storage.tenant(id).await?.ok_or_else(|| Problem::not_found(format!("tenant {id} does not exist")))?;
                let keys = self.storage.keys(id).await?;
                Ok(json_answer(StatusCode::OK, &json!({ "keys": keys.iter().map(key_json).collect::<Vec<_>>() })))
            }
            Method::POST => {
                let wish: KeyWish = json_body(request.into_body(), JSON_BYTES_MAX).await?;
                let new = self.accounts.create_key(id, &wish).await?;
                let mut body = key_json(&new.record);
                if let Some(body) = body.as_object_mut() {
                    body.insert("key".to_owned(), new.text.into());
                }
                Ok(json_answer(StatusCode::CREATED, &body))
            }
            _ => Ok(wrong_method("GET, POST")),
        }
    }

    async fn tenant_key(&self, request: Request<Incoming>, id: &str, key: &str) -> Answered {
        self.need_operator(request.headers())?;
        let (tenant, key) = (TenantId(number(id)?), KeyId(number(key)?));
        let missing = || Problem::not_found(format!("tenant {tenant} has no key {key}"));
        match *request.method() {
            Method::GET => {
                let record = self.storage.key(tenant, key).await?.ok_or_else(missing)?;
                Ok(json_answer(StatusCode::OK, &key_json(&record)))
            }
            Method::DELETE if self.storage.delete_key(tenant, key).await? => Ok(no_content()),
            Method::DELETE => Err(missing()),
            _ => Ok(wrong_method("GET, DELETE")),
        }
    }

    async fn plugin_list(&self, request: Request<Incoming>) -> Answered {
        let caller = self.caller(request.headers(), "plugins", "write").await?;
        let tenant = owner(&caller);
        match *request.method() {
            Method::GET => {
                let active: Vec<Value> = self.plugins.of(tenant).iter().map(|plugin| plugin_json(&plugin.record)).collect();
                Ok(json_answer(StatusCode::OK, &json!({ "plugins": active })))
            }
            Method::POST => {
                let install = read_upload(request, tenant).await?;
                let active = self.plugins.install(install).await?;
                Ok(json_answer(StatusCode::CREATED, &plugin_json(&active.record)))
            }
            _ => Ok(wrong_method("GET, POST")),
        }
    }

    async fn plugin(&self, request: Request<Incoming>, name: &str) -> Answered {
        let tenant = owner(&self.caller(request.headers(), "plugins", "write").await?);
        let missing = || Problem::not_found("there is no plugin of this name");
        match *request.method() {
            Method::GET => {
                let plugin = self.plugins.find(tenant, name).ok_or_else(missing)?;
                Ok(json_answer(StatusCode::OK, &plugin_json(&plugin.record)))
            }
            Method::DELETE if self.plugins.delete(tenant, name).await? => Ok(no_content()),
            Method::DELETE => Err(missing()),
            _ => Ok(wrong_method("GET, DELETE")),
        }
    }

    async fn plugin_config(&self, request: Request<Incoming>, name: &str) -> Answered {
        let tenant = owner(&self.caller(request.headers(), "plugins", "write").await?);
        let plugin = self.plugins.find(tenant, name).ok_or_else(|| Problem::not_found("there is no plugin of this name"))?;
        match *request.method() {
            Method::GET => Ok(json_answer(StatusCode::OK, &plugin.record.config)),
            Method::PUT => {
                let config: Value = json_body(request.into_body(), JSON_BYTES_MAX).await?;
                let component = self.storage.artifact(tenant, &plugin.record.sha256).await?;
                let component = component.ok_or_else(|| Problem::not_found("the plugin's component is not stored"))?;
                let name = plugin.record.name.clone();
                let active =
                    self.plugins.install(Install { tenant, name, component, mounts: None, config: Some(config) }).await?;
                Ok(json_answer(StatusCode::OK, &plugin_json(&active.record)))
            }
            _ => Ok(wrong_method("GET, PUT")),
        }
    }

    async fn sim_control(&self, request: Request<Incoming>) -> Answered {
        let Some(sim) = &self.sim else {
            return Err(Problem::not_found("this host runs no simulated network"));
        };
        self.need_operator(request.headers())?;
        let method = request.method().as_str().to_owned();
        let path_and_query = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
        let body = read_body(request.into_body(), sim.body_bytes_max()).await?;
        let answer = sim.control(&method, &path_and_query, &body).await;
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Ok(with_type(status, &answer.content_type, answer.body.into()))
    }
}

fn owner(caller: &Caller) -> TenantId {
    match caller {
        Caller::Operator => TenantId::OPERATOR,
        Caller::Tenant(tenant) => *tenant,
    }
}

pub(super) fn wrong_method(allowed: &'static str) -> Answer {
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("this path answers {allowed}"));
    let mut answer = problem.answer();
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

fn no_content() -> Answer {
    let mut answer = with_type(StatusCode::NO_CONTENT, "application/json", Bytes::new());
    answer.headers_mut().remove(CONTENT_TYPE);
    answer
}

async fn read_upload(request: Request<Incoming>, tenant: TenantId) -> Result<Install, Problem> {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/wasm" => {
            let query = input::query(request.uri().query());
            let name = query.into_iter().find(|(name, _)| name == "name").map(|(_, value)| value);
            let name = name.ok_or_else(|| Problem::invalid("name", "is required in the query: ?name=<plugin>"))?;
            let component = read_body(request.into_body(), ARTIFACT_BYTES_MAX).await?.to_vec();
            Ok(Install { tenant, name, component, mounts: None, config: None })
        }
        "application/json" => upload_from_json(json_body(request.into_body(), UPLOAD_BYTES_MAX).await?, tenant),
        other => {
            let shortened: String = other.chars().take(60).collect();
            let detail = format!("{shortened:?}: send application/wasm or application/json");
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
        }
    }
}

fn upload_from_json(upload: Upload, tenant: TenantId) -> Result<Install, Problem> {
    use base64::Engine;
    let component = match (upload.component_base64, upload.builtin) {
        (Some(text), None) => base64::engine::general_purpose::STANDARD
            .decode(text)
            .map_err(|error| Problem::invalid("component_base64", error.to_string()))?,
        (None, Some(name)) => match builtins::builtin(&name) {
            Some(builtin) => builtin.component.to_vec(),
            None => {
                let names: Vec<&str> = builtins::BUILTINS.iter().map(|builtin| builtin.name).collect();
                return Err(Problem::invalid("builtin", format!("there are: {}", names.join(", "))));
            }
        },
        _ => return Err(Problem::invalid("component_base64", "exactly one of component_base64 and builtin is required")),
    };
    Ok(Install { tenant, name: upload.name, component, mounts: upload.mounts, config: upload.config })
}
