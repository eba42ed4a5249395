//! Plugins: the operator's and those of tenants.

use hyper::StatusCode;
use hyper::header::CONTENT_TYPE;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::{Mount, Plugin};
use switchboard_core::storage::ARTIFACT_BYTES_MAX;

use super::refusals::config_problem;
use super::{Answered, Call, Caller, JSON_BYTES_MAX, Route, no_content, route};
use crate::builtins;
use crate::http::front_door::FrontDoor;
use crate::http::problem::{Problem, json as json_answer};
use crate::plugins::{Install, InstallError};

/// Most bytes of a JSON body that carries a component as base64.
const UPLOAD_BYTES_MAX: usize = ARTIFACT_BYTES_MAX / 3 * 4 + JSON_BYTES_MAX;

pub(in crate::http::native) const ROUTES: &[Route] = &[
    route("GET", "plugins", |door, call| Box::pin(door.list_plugins(call))),
    route("POST", "plugins", |door, call| Box::pin(door.install_plugin(call))).asked(&["name"]),
    route("GET", "plugins/{name}", |door, call| Box::pin(door.show_plugin(call))),
    route("DELETE", "plugins/{name}", |door, call| Box::pin(door.delete_plugin(call))),
    route("GET", "plugins/{name}/config", |door, call| Box::pin(door.show_plugin_config(call))),
    route("PUT", "plugins/{name}/config", |door, call| Box::pin(door.set_plugin_config(call))),
];

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
}

/// What was given, also when it is `null`.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn plugin_json(plugin: &Plugin) -> Value {
    json!({
        "name": plugin.name, "sha256": plugin.sha256, "bytes": plugin.bytes, "interfaces": plugin.interfaces,
        "mounts": plugin.mounts, "config": plugin.config, "activated_at": plugin.activated_at,
    })
}

fn no_plugin() -> Problem {
    Problem::not_found("there is no plugin of this name")
}

impl FrontDoor {
    /// Whose plugins the caller has to do with.
    async fn plugin_owner(&self, call: &Call) -> Result<TenantId, Problem> {
        match self.caller(call.headers(), "plugins", "write").await? {
            Caller::Operator => Ok(TenantId::OPERATOR),
            Caller::Tenant(principal) => Ok(principal.tenant),
        }
    }

    async fn list_plugins(&self, call: Call) -> Answered {
        let tenant = self.plugin_owner(&call).await?;
        let active: Vec<Value> = self.plugins.of(tenant).iter().map(|plugin| plugin_json(&plugin.record)).collect();
        Ok(json_answer(StatusCode::OK, &json!({ "plugins": active })))
    }

    async fn install_plugin(&self, call: Call) -> Answered {
        let tenant = self.plugin_owner(&call).await?;
        let install = read_upload(call, tenant).await?;
        let active = self.plugins.install(install).await?;
        Ok(json_answer(StatusCode::CREATED, &plugin_json(&active.record)))
    }

    async fn show_plugin(&self, call: Call) -> Answered {
        let tenant = self.plugin_owner(&call).await?;
        let plugin = self.plugins.find(tenant, call.param(0)).ok_or_else(no_plugin)?;
        Ok(json_answer(StatusCode::OK, &plugin_json(&plugin.record)))
    }

    async fn delete_plugin(&self, call: Call) -> Answered {
        let tenant = self.plugin_owner(&call).await?;
        if self.plugins.delete(tenant, call.param(0)).await? { Ok(no_content()) } else { Err(no_plugin()) }
    }

    async fn show_plugin_config(&self, call: Call) -> Answered {
        let tenant = self.plugin_owner(&call).await?;
        let plugin = self.plugins.find(tenant, call.param(0)).ok_or_else(no_plugin)?;
        Ok(json_answer(StatusCode::OK, &plugin.record.config))
    }

    async fn set_plugin_config(&self, call: Call) -> Answered {
        let tenant = self.plugin_owner(&call).await?;
        let plugin = self.plugins.find(tenant, call.param(0)).ok_or_else(no_plugin)?;
        let config: Value = call.json(JSON_BYTES_MAX).await?;
        let component = self.storage.artifact(tenant, &plugin.record.sha256).await?;
        let component = component.ok_or_else(|| Problem::not_found("the plugin's component is not stored"))?;
        let name = plugin.record.name.clone();
        let install = Install { tenant, name, component, mounts: None, config: Some(config) };
        let active = self.plugins.install(install).await.map_err(|error| match error {
            // The whole body is the configuration.
            InstallError::Invalid { field: "config", why } => Problem::invalid_at(&[], why),
            InstallError::Config(faults) => config_problem(&[], &faults),
            other => other.into(),
        })?;
        Ok(json_answer(StatusCode::OK, &plugin_json(&active.record)))
    }
}

async fn read_upload(call: Call, tenant: TenantId) -> Result<Install, Problem> {
    let content_type = call.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/wasm" => {
            let name = call.query().get("name").map(str::to_owned);
            let name = name.ok_or_else(|| Problem::bad_parameter("name", "is required in the query: ?name=<plugin>"))?;
            let component = call.bytes(ARTIFACT_BYTES_MAX).await?.to_vec();
            Ok(Install { tenant, name, component, mounts: None, config: None })
        }
        "application/json" => upload_from_json(call.json(UPLOAD_BYTES_MAX).await?, tenant),
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
