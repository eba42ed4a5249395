//! How much of its limits a tenant has used, in the host's own API.

use hyper::StatusCode;
use serde_json::{Value, json};

use switchboard_core::records::account::Tenant;
use switchboard_core::records::id::TenantId;
use switchboard_core::rules::{plan, quota};

use super::super::front_door::FrontDoor;
use super::super::problem::{Problem, json as json_answer};
use super::{Answered, Call, Caller, Route, route};

pub(super) const ROUTES: &[Route] = &[
    route("GET", "usage", |door, call| Box::pin(door.show_own_usage(call))),
    route("GET", "tenants/{tenant}/usage", |door, call| Box::pin(door.show_usage(call))),
];

impl FrontDoor {
    /// A tenant's own.
    async fn show_own_usage(&self, call: Call) -> Answered {
        match self.caller(call.headers(), "messages", "read").await? {
            Caller::Tenant(principal) => self.usage_of(principal.tenant, principal.test).await,
            Caller::Operator => {
                Err(Problem::new(StatusCode::FORBIDDEN, "the operator asks with /switchboard/v1/tenants/{id}/usage"))
            }
        }
    }

    /// Any tenant's, for the operator.
    async fn show_usage(&self, call: Call) -> Answered {
        self.need_operator(call.headers()).await?;
        self.usage_of(call.id(0)?, false).await
    }

    /// What messages have used of the limits: live ones, or those of test keys, which are counted apart.
    async fn usage_of(&self, id: TenantId, test: bool) -> Answered {
        let missing = || Problem::not_found(format!("tenant {id} does not exist"));
        let tenant = self.storage.tenant(id).await?.ok_or_else(missing)?;
        let sessions = self.storage.session_count(id).await?;
        let (figures, now) = (plan::effective(&tenant), self.clock.now());
        let mut limits = Vec::new();
        // Without a session, only what the tenant itself is charged for is asked about.
        let charges = quota::apart(quota::charges(&figures, &[], now), test);
        for (charge, used) in self.storage.used(id, charges).await? {
            let resets_at = charge.window.ends_at().0;
            limits.push(limit_json(charge.limit_name(), charge.max, used, Some(resets_at)));
        }
        limits.push(limit_json("sessions", figures.sessions, sessions, None));
        let (media, kept) = (self.media.settings_of(id).await?, self.storage.blob_bytes(id).await?);
        limits.push(limit_json(plan::MEDIA_BYTES, Some(media.bytes_max), kept, None));
        Ok(json_answer(StatusCode::OK, &usage_json(&tenant, &limits, media.days, test, &self.plugins.limits_json(&tenant))))
    }
}

fn usage_json(tenant: &Tenant, limits: &[Value], media_days: u64, test: bool, plugins: &Value) -> Value {
    let figures = plan::effective(tenant);
    json!({
        "tenant_id": tenant.id, "plan": tenant.plan, "limits": limits,
        "gap_ms": figures.gap_ms, "jitter_ms": figures.jitter_ms,
        "api_requests_per_minute": figures.api_requests_per_minute,
        "media_days": media_days, "test": test, "plugins": plugins,
    })
}

/// `max` and `remaining` are null where there is no limit, `resets_at` where nothing resets by itself.
fn limit_json(limit: &str, max: Option<u64>, used: u64, resets_at: Option<u64>) -> Value {
    let remaining = max.map(|max| max.saturating_sub(used));
    json!({ "limit": limit, "max": max, "used": used, "remaining": remaining, "resets_at": resets_at })
}
