//! Plugins: the operator's and those of tenants.

mod grants;
mod logs;
mod runs;
mod secrets;
mod versions;

use hyper::StatusCode;
use hyper::body::Body;
use hyper::header::CONTENT_TYPE;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use switchboard_core::records::account::Principal;
use switchboard_core::records::id::{KeyId, TenantId};
use switchboard_core::records::plugin::{Mount, Plugin, own_place};
use switchboard_core::rules::said_back::said_back;
use switchboard_core::storage::ARTIFACT_BYTES_MAX;

use super::refusals::config_problem;
use super::{Answered, Call, Caller, JSON_BYTES_MAX, Route, no_content, route};
use crate::builtins;
use crate::http::front_door::FrontDoor;
use crate::http::places::Places;
use crate::http::problem::{Problem, json as json_answer};
use crate::plugins::{GrantWish, Install, InstallError, ROUTER_INTERFACE, Standing, wanting};

/// Most bytes of a JSON body that carries a component as base64.
const UPLOAD_BYTES_MAX: usize = ARTIFACT_BYTES_MAX / 3 * 4 + JSON_BYTES_MAX;
/// MiB of uploads that one owner may have in memory at once: 2 of the largest, and more than a hundred of the usual.
const UPLOADS_MIB_MAX: usize = 128;
/// When an upload that found no room may come back, seconds.
const UPLOAD_RETRY_SECONDS: u64 = 5;
/// The parameter by which the operator names the tenant whose plugins it looks at, stops or deletes.
const TENANT: &str = "tenant";
/// The parameters of an upload whose body is the component.
const UPLOAD: &[&str] = &["name", "activate", "note", "grants"];

pub(super) const ROUTES: &[Route] = &[
    route("GET", "plugins", |door, call| Box::pin(door.list_plugins(call))).asked(&[TENANT]),
    route("POST", "plugins", |door, call| Box::pin(door.install_plugin(call))).asked(UPLOAD),
    route("GET", "plugins/{name}", |door, call| Box::pin(door.show_plugin(call))).asked(&[TENANT]),
    route("PATCH", "plugins/{name}", |door, call| Box::pin(door.change_plugin(call))).asked(&[TENANT]),
    route("DELETE", "plugins/{name}", |door, call| Box::pin(door.delete_plugin(call))).asked(&[TENANT]),
    route("GET", "plugins/{name}/config", |door, call| Box::pin(door.show_plugin_config(call))).asked(&[TENANT]),
    route("PUT", "plugins/{name}/config", |door, call| Box::pin(door.set_plugin_config(call))),
    route("GET", "plugins/{name}/grants", |door, call| Box::pin(door.show_plugin_grants(call))).asked(&[TENANT]),
    route("PUT", "plugins/{name}/grants", |door, call| Box::pin(door.set_plugin_grants(call))),
];
pub(super) use logs::ROUTES as LOG_ROUTES;
pub(super) use runs::ROUTES as RUN_ROUTES;
pub(super) use secrets::ROUTES as SECRET_ROUTES;
pub(super) use versions::ROUTES as VERSION_ROUTES;

/// A change of a plugin.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PluginChange {
    stopped: bool,
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
    /// `null` is no configuration, and no wish to keep the one before.
    #[serde(default, deserialize_with = "given")]
    config: Option<Value>,
    #[serde(default)]
    grants: Option<grants::Given>,
    #[serde(default = "yes")]
    activate: bool,
    #[serde(default)]
    note: String,
}

fn yes() -> bool {
    true
}

/// What was given, also when it is `null`.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn no_plugin() -> Problem {
    Problem::not_found("there is no plugin of this name")
}

/// Whose plugins a call is about, and the key that makes it.
struct Asking {
    owner: TenantId,
    key: Option<KeyId>,
    /// Who it is; the operator is nobody's.
    caller: Option<Principal>,
}

impl FrontDoor {
    /// A plugin as the API shows it.
    fn plugin_json(&self, plugin: &Plugin) -> Value {
        let plugins = &self.plugins;
        let (state, why) = match plugins.standing(plugin.tenant, &plugin.name) {
            Standing::Active => ("active", None),
            Standing::Stopped => ("stopped", None),
            Standing::Broken(why) => ("broken", Some(why)),
        };
        let active = plugins.find(plugin.tenant, &plugin.name);
        let (calls, last_us) = active.as_ref().map_or((0, 0), |active| active.usage());
        let missing: Vec<String> = wanting(plugin).into_iter().chain(plugins.deaf(plugin)).collect();
        let class = active.map(|active| active.loaded.class);
        let owner = if plugin.tenant == TenantId::OPERATOR { "operator" } else { "tenant" };
        json!({
            "name": plugin.name, "owner": owner, "state": state, "why": why, "sha256": plugin.sha256,
            "version": plugin.version, "latest": plugin.latest, "bytes": plugin.bytes, "class": class,
            "interfaces": plugin.interfaces, "mounts": plugin.mounts, "urls": self.urls(plugin), "config": plugin.config,
            "grants": plugin.grants, "asked": plugin.asked, "missing": missing, "activated_at": plugin.activated_at,
            "created_at": plugin.created_at, "calls": calls, "last_us": last_us,
        })
    }

    /// Where the router of a plugin is reached: below the tenant's own place, and at the host names that the tenant has.
    fn urls(&self, plugin: &Plugin) -> Vec<String> {
        if !plugin.interfaces.iter().any(|interface| interface == ROUTER_INTERFACE) {
            return Vec::new();
        }
        let (places, own) = (plugin.places(), own_place(plugin.tenant));
        let mut urls: Vec<String> = places.iter().map(Mount::url).collect();
        for host in self.own_hosts.of(plugin.tenant) {
            let below = places.iter().filter_map(|place| place.prefix.strip_prefix(&own));
            urls.extend(below.map(|rest| format!("//{host}{rest}")));
        }
        urls
    }

    /// Whose plugins the caller looks at. A key that may change them may look at them, too.
    async fn plugins_read(&self, call: &Call) -> Result<Asking, Problem> {
        self.plugin_owner(call, &["read", "write"]).await
    }

    /// Whose plugins the caller changes.
    async fn plugins_write(&self, call: &Call) -> Result<Asking, Problem> {
        self.plugin_owner(call, &["write"]).await
    }

    async fn plugin_owner(&self, call: &Call, actions: &[&str]) -> Result<Asking, Problem> {
        let named = call.query().number(TENANT)?.map(TenantId);
        match self.caller_of_any(call.headers(), "plugins", actions).await? {
            Caller::Operator => Ok(Asking { owner: named.unwrap_or(TenantId::OPERATOR), key: None, caller: None }),
            Caller::Tenant(principal) if named.is_none_or(|named| named == principal.tenant) => {
                Ok(Asking { owner: principal.tenant, key: Some(principal.key), caller: Some(principal) })
            }
            Caller::Tenant(_) => {
                let why = "only the operator's key may name a tenant";
                Err(Problem::new(StatusCode::FORBIDDEN, why).with("code", "wrong_kind_of_key"))
            }
        }
    }

    async fn stored_plugin(&self, owner: TenantId, name: &str) -> Result<Plugin, Problem> {
        self.storage.plugin(owner, name).await?.ok_or_else(no_plugin)
    }

    async fn list_plugins(&self, call: Call) -> Answered {
        let owner = self.plugins_read(&call).await?.owner;
        let stored = self.storage.plugins(owner).await?;
        let shown: Vec<Value> = stored.iter().map(|plugin| self.plugin_json(plugin)).collect();
        Ok(json_answer(StatusCode::OK, &json!({ "plugins": shown })))
    }

    async fn install_plugin(&self, call: Call) -> Answered {
        let asking = self.plugins_write(&call).await?;
        let _room = self.upload_room.take_several(asking.owner, upload_mib(&call)).ok_or_else(no_upload_room)?;
        let install = read_upload(call, &asking).await?;
        let installed = self.plugins.install(install).await?;
        let status = if installed.new { StatusCode::CREATED } else { StatusCode::OK };
        let mut shown = self.plugin_json(&installed.record);
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("uploaded".to_owned(), versions::version_json(&installed.version, &installed.record));
        }
        Ok(json_answer(status, &shown))
    }

    async fn show_plugin(&self, call: Call) -> Answered {
        let owner = self.plugins_read(&call).await?.owner;
        let plugin = self.stored_plugin(owner, call.param(0)).await?;
        Ok(json_answer(StatusCode::OK, &self.plugin_json(&plugin)))
    }

    async fn change_plugin(&self, call: Call) -> Answered {
        let owner = self.plugins_write(&call).await?.owner;
        let name = call.param(0).to_owned();
        let change: PluginChange = call.json(JSON_BYTES_MAX).await?;
        let record = self.plugins.stop(owner, &name, change.stopped).await?;
        Ok(json_answer(StatusCode::OK, &self.plugin_json(&record)))
    }

    async fn delete_plugin(&self, call: Call) -> Answered {
        let owner = self.plugins_write(&call).await?.owner;
        if self.plugins.delete(owner, call.param(0)).await? { Ok(no_content()) } else { Err(no_plugin()) }
    }

    async fn show_plugin_config(&self, call: Call) -> Answered {
        let owner = self.plugins_read(&call).await?.owner;
        Ok(json_answer(StatusCode::OK, &self.stored_plugin(owner, call.param(0)).await?.config))
    }

    async fn set_plugin_config(&self, call: Call) -> Answered {
        let owner = self.plugins_write(&call).await?.owner;
        let name = call.param(0).to_owned();
        self.stored_plugin(owner, &name).await?;
        let config: Value = call.json(JSON_BYTES_MAX).await?;
        let record = self.plugins.set_config(owner, &name, config).await.map_err(|error| match error {
            // The whole body is the configuration.
            InstallError::Invalid { field: "config", why } => Problem::invalid_at(&[], why),
            InstallError::Config(faults) => config_problem(&[], &faults),
            other => other.into(),
        })?;
        Ok(json_answer(StatusCode::OK, &self.plugin_json(&record)))
    }
}

/// Uploads that are in memory, in MiB.
pub(crate) type UploadRoom = Places<UPLOADS_MIB_MAX>;

/// The room that an upload takes, its body and what is read from it: as large as can be if it does not say its size.
fn upload_mib(call: &Call) -> usize {
    let bytes = call.request.body().size_hint().exact().unwrap_or(u64::MAX).min(UPLOAD_BYTES_MAX as u64);
    usize::try_from(bytes / (1 << 20) + 1).unwrap_or(UPLOADS_MIB_MAX)
}

fn no_upload_room() -> Problem {
    let why = format!("more than {UPLOADS_MIB_MAX} MiB of uploads are coming in; come back in {UPLOAD_RETRY_SECONDS} s");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, why)
        .with("code", "limit_reached")
        .with("limit", "uploads_mib")
        .with("max", UPLOADS_MIB_MAX)
        .with("retry_after", UPLOAD_RETRY_SECONDS)
}

async fn read_upload(call: Call, asking: &Asking) -> Result<Install, Problem> {
    let content_type = call.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/wasm" => {
            let name = call.query().get("name").map(str::to_owned);
            let name = name.ok_or_else(|| Problem::bad_parameter("name", "is required in the query: ?name=<plugin>"))?;
            let activate = match call.query().get("activate") {
                None | Some("true") => true,
                Some("false") => false,
                Some(_) => return Err(Problem::bad_parameter("activate", "is true or false")),
            };
            let note = call.query().get("note").unwrap_or_default().to_owned();
            let grants = match call.query().get("grants") {
                None => None,
                Some("asked") => Some(GrantWish::Asked),
                Some(_) => return Err(Problem::bad_parameter("grants", "is asked: all that the component asks for")),
            };
            let component = call.bytes(ARTIFACT_BYTES_MAX).await?.to_vec();
            let (tenant, by) = (asking.owner, asking.key);
            Ok(Install { tenant, name, component, mounts: None, config: None, grants, activate, note, by })
        }
        "application/json" => upload_from_json(call.json(UPLOAD_BYTES_MAX).await?, asking),
        other => {
            let detail = format!("{:?}: send application/wasm or application/json", said_back(other));
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
        }
    }
}

/// The component of this name that the host carries, for whom it can be installed.
fn carried(name: &str, owner: TenantId) -> Result<&'static [u8], Problem> {
    let for_owner = |name: &str| owner == TenantId::OPERATOR || !builtins::is_shared_api(name);
    if let Some(builtin) = builtins::builtin(name).filter(|_| for_owner(name)) {
        return Ok(builtin.component);
    }
    let names: Vec<&str> = builtins::BUILTINS.iter().map(|builtin| builtin.name).filter(|name| for_owner(name)).collect();
    let why = match for_owner(name) {
        true => format!("{:?} is none of: {}", said_back(name), names.join(", ")),
        false => format!(
            "{name} is installed by the operator, for all tenants at once: there is nothing to install (GET \
             /switchboard/v1/apis lists it, PUT /switchboard/v1/apis/{name} switches it on or off for you); a tenant may name: {}",
            names.join(", ")
        ),
    };
    Err(Problem::invalid("builtin", why))
}

fn upload_from_json(upload: Upload, asking: &Asking) -> Result<Install, Problem> {
    use base64::Engine;
    let component = match (&upload.component_base64, &upload.builtin) {
        (Some(text), None) => base64::engine::general_purpose::STANDARD
            .decode(text)
            .map_err(|error| Problem::invalid("component_base64", error.to_string()))?,
        (None, Some(name)) => carried(name, asking.owner)?.to_vec(),
        _ => return Err(Problem::invalid("component_base64", "exactly one of component_base64 and builtin is required")),
    };
    let Upload { name, builtin, mounts, config, grants, activate, note, .. } = upload;
    // Whoever runs this host trusts what it carries: its name is as good as saying yes.
    let carried = builtin.filter(|_| activate).map(|_| GrantWish::Asked);
    let grants = grants.map(Into::into).or(carried);
    Ok(Install { tenant: asking.owner, name, component, mounts, config, grants, activate, note, by: asking.key })
}
