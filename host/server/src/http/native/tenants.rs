//! Tenants and their keys: the operator's.

use std::collections::BTreeMap;

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use switchboard_core::records::account::{ApiKey, Tenant};
use switchboard_core::records::id::{KeyId, TenantId};
use switchboard_core::records::plugin::Plugin;

use super::super::front_door::FrontDoor;
use super::super::problem::{Problem, json as json_answer};
use super::{Answered, Call, JSON_BYTES_MAX, Route, no_content, route};
use crate::accounts::{KeyWish, check_limits, check_plan};

pub(super) const ROUTES: &[Route] = &[
    route("GET", "tenants", |door, call| Box::pin(door.list_tenants(call))),
    route("POST", "tenants", |door, call| Box::pin(door.make_tenant(call))),
    route("GET", "tenants/{tenant}", |door, call| Box::pin(door.show_tenant(call))),
    route("PATCH", "tenants/{tenant}", |door, call| Box::pin(door.change_tenant(call))),
    route("GET", "tenants/{tenant}/keys", |door, call| Box::pin(door.list_keys(call))),
    route("POST", "tenants/{tenant}/keys", |door, call| Box::pin(door.make_key(call))),
    route("GET", "tenants/{tenant}/keys/{key}", |door, call| Box::pin(door.show_key(call))),
    route("DELETE", "tenants/{tenant}/keys/{key}", |door, call| Box::pin(door.revoke_key(call))),
];

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
    /// All host names of its own routers.
    #[serde(default)]
    hosts: Option<Vec<String>>,
}

fn tenant_json(tenant: &Tenant) -> Value {
    json!({
        "id": tenant.id, "name": tenant.name, "active": tenant.active, "plan": tenant.plan,
        "limits": tenant.limits, "hosts": tenant.hosts, "created_at": tenant.created_at,
    })
}

fn key_json(key: &ApiKey) -> Value {
    json!({
        "id": key.id, "kind": key.kind, "session_id": key.session, "name": key.name, "service": key.service,
        "scopes": key.scopes, "mode": if key.test { "test" } else { "live" },
        "expires_at": key.expires_at, "created_at": key.created_at,
    })
}

fn no_tenant(id: TenantId) -> Problem {
    Problem::not_found(format!("tenant {id} does not exist"))
}

fn no_key(tenant: TenantId, key: KeyId) -> Problem {
    Problem::not_found(format!("tenant {tenant} has no key {key}"))
}

impl FrontDoor {
    async fn list_tenants(&self, call: Call) -> Answered {
        self.need_operator(call.headers()).await?;
        let tenants = self.storage.tenants().await?;
        Ok(json_answer(StatusCode::OK, &json!({ "tenants": tenants.iter().map(tenant_json).collect::<Vec<_>>() })))
    }

    async fn make_tenant(&self, call: Call) -> Answered {
        self.need_operator(call.headers()).await?;
        let new: NewTenant = call.json(JSON_BYTES_MAX).await?;
        let limits = new.limits.unwrap_or_default();
        let tenant = self.accounts.create_tenant(&new.name, new.plan.as_deref(), limits).await?;
        Ok(json_answer(StatusCode::CREATED, &tenant_json(&tenant)))
    }

    async fn show_tenant(&self, call: Call) -> Answered {
        self.need_operator(call.headers()).await?;
        let id = call.id(0)?;
        let tenant = self.storage.tenant(id).await?.ok_or_else(|| no_tenant(id))?;
        Ok(json_answer(StatusCode::OK, &tenant_json(&tenant)))
    }

    async fn change_tenant(&self, call: Call) -> Answered {
        self.need_operator(call.headers()).await?;
        let id = call.id(0)?;
        let change: TenantChange = call.json(JSON_BYTES_MAX).await?;
        if let Some(plan) = &change.plan {
            check_plan(plan)?;
        }
        change.limits.as_ref().map_or(Ok(()), check_limits)?;
        let _turn = self.own_hosts.turn().await;
        let judge = |wished: Vec<String>| {
            let shared = self.plugins.of(TenantId::OPERATOR);
            let shared: Vec<&Plugin> = shared.iter().map(|plugin| &*plugin.record).collect();
            self.own_hosts.judge(id, &wished, &shared)
        };
        let hosts = change.hosts.map(judge).transpose()?;
        let apply = |tenant: &mut Tenant| {
            tenant.active = change.active.unwrap_or(tenant.active);
            if let Some(plan) = &change.plan {
                tenant.plan.clone_from(plan);
            }
            if let Some(limits) = &change.limits {
                tenant.limits.clone_from(limits);
            }
            if let Some(hosts) = &hosts {
                tenant.hosts.clone_from(hosts);
            }
        };
        let tenant = self.storage.change_tenant(id, apply).await?.ok_or_else(|| no_tenant(id))?;
        self.own_hosts.changed(&tenant);
        self.plugins.tenant_changed(id).await?;
        Ok(json_answer(StatusCode::OK, &tenant_json(&tenant)))
    }

    async fn list_keys(&self, call: Call) -> Answered {
        self.need_operator(call.headers()).await?;
        let id = call.id(0)?;
        self.storage.tenant(id).await?.ok_or_else(|| no_tenant(id))?;
        let keys = self.storage.keys(id).await?;
        Ok(json_answer(StatusCode::OK, &json!({ "keys": keys.iter().map(key_json).collect::<Vec<_>>() })))
    }

    async fn make_key(&self, call: Call) -> Answered {
        self.need_operator(call.headers()).await?;
        let id = call.id(0)?;
        let wish: KeyWish = call.json(JSON_BYTES_MAX).await?;
        let new = self.accounts.create_key(id, &wish).await?;
        let mut body = key_json(&new.record);
        if let Some(body) = body.as_object_mut() {
            body.insert("key".to_owned(), new.text.into());
        }
        Ok(json_answer(StatusCode::CREATED, &body))
    }

    async fn show_key(&self, call: Call) -> Answered {
        self.need_operator(call.headers()).await?;
        let (tenant, key) = (call.id(0)?, call.id(1)?);
        let record = self.storage.key(tenant, key).await?.ok_or_else(|| no_key(tenant, key))?;
        Ok(json_answer(StatusCode::OK, &key_json(&record)))
    }

    async fn revoke_key(&self, call: Call) -> Answered {
        self.need_operator(call.headers()).await?;
        let (tenant, key) = (call.id(0)?, call.id(1)?);
        if self.storage.revoke_key(tenant, key, self.clock.now()).await? {
            Ok(no_content())
        } else {
            Err(no_key(tenant, key))
        }
    }
}
