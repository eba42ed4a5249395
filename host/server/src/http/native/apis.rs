//! The operator's APIs as a tenant has them: each can be switched off for its own keys.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use switchboard_core::records::account::Tenant;
use switchboard_core::records::id::TenantId;

use super::super::admission::switched_off;
use super::super::front_door::FrontDoor;
use super::super::problem::{Problem, json as json_answer};
use super::{Answered, Call, Caller, JSON_BYTES_MAX, Route, route};
use crate::plugins::ActivePlugin;

pub(super) const ROUTES: &[Route] = &[
    route("GET", "apis", |door, call| Box::pin(door.list_apis(call))),
    route("PUT", "apis/{name}", |door, call| Box::pin(door.switch_api(call))),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiSwitch {
    enabled: bool,
}

fn api_json(plugin: &ActivePlugin, tenant: &Tenant) -> Value {
    let record = &plugin.record;
    json!({ "name": record.name, "enabled": !switched_off(plugin, tenant), "mounts": record.mounts })
}

fn is_api(plugin: &ActivePlugin) -> bool {
    !plugin.loaded.routes.is_empty()
}

impl FrontDoor {
    /// The tenant whose APIs the caller has to do with.
    async fn api_tenant(&self, call: &Call, action: &str) -> Result<TenantId, Problem> {
        match self.caller(call.headers(), "plugins", action).await? {
            Caller::Tenant(principal) => Ok(principal.tenant),
            Caller::Operator => {
                let why = "a key of kind tenant is needed: each tenant switches its APIs for itself";
                Err(Problem::new(StatusCode::FORBIDDEN, why).with("code", "wrong_kind_of_key"))
            }
        }
    }

    async fn list_apis(&self, call: Call) -> Answered {
        let id = self.api_tenant(&call, "read").await?;
        let tenant = self.storage.tenant(id).await?.ok_or_else(|| Problem::not_found("the account is gone"))?;
        let shared = self.plugins.of(TenantId::OPERATOR);
        let mut apis: Vec<&ActivePlugin> = shared.iter().map(AsRef::as_ref).filter(|plugin| is_api(plugin)).collect();
        apis.sort_by(|one, other| one.record.name.cmp(&other.record.name));
        let apis: Vec<Value> = apis.into_iter().map(|plugin| api_json(plugin, &tenant)).collect();
        Ok(json_answer(StatusCode::OK, &json!({ "apis": apis })))
    }

    async fn switch_api(&self, call: Call) -> Answered {
        let id = self.api_tenant(&call, "write").await?;
        let plugin = self.plugins.find(TenantId::OPERATOR, call.param(0)).filter(|plugin| is_api(plugin));
        let plugin = plugin.ok_or_else(|| Problem::not_found("there is no API of this name"))?;
        let wish: ApiSwitch = call.json(JSON_BYTES_MAX).await?;
        let name = &plugin.record.name;
        let apply = |tenant: &mut Tenant| {
            if wish.enabled {
                tenant.apis_off.remove(name);
            } else {
                tenant.apis_off.insert(name.clone());
            }
        };
        let tenant = self.storage.change_tenant(id, apply).await?;
        let tenant = tenant.ok_or_else(|| Problem::not_found("the account is gone"))?;
        Ok(json_answer(StatusCode::OK, &api_json(&plugin, &tenant)))
    }
}
