//! Routers of tenants: each below `/t/<tenant>/`, and run as that tenant within the plugin's own grants.
//!
//! Whoever asks may be anybody, so that the plugin is protected from strangers before an instance of it is made: what comes without
//! a good key is counted by address, and refused without asking the plugin how to say so.

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue, RETRY_AFTER};
use hyper::{Request, StatusCode};

use switchboard_core::clock::Timestamp;
use switchboard_core::records::account::{Acting, Principal, Tenant};
use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::OWN_PREFIX;
use switchboard_core::rules::quota::Standing;
use switchboard_runtime::types as plugin;

use super::admission::{Presented, unauthorized_why};
use super::front_door::{FrontDoor, plain_refusal};
use super::limits::{Client, show_standing, too_many_requests};
use super::mounts::{Found, Lookup};
use super::places::Places;
use super::problem::{Answer, Problem};
use crate::accounts::CredentialError;
use crate::plugins::{ActivePlugin, Generation};

/// Requests that routers of one tenant answer at once: there are places for others, too.
const OWN_CALLS_MAX: usize = 16;
/// How many requests the routers of each tenant answer.
pub(super) type OwnCalls = Places<OWN_CALLS_MAX>;

/// When to come back when they are that many, seconds.
const BUSY_RETRY_S: u64 = 1;

/// Why a request does not pass.
enum Turned {
    /// The plugin is not asked how to say so.
    Plainly(Standing),
    /// The plugin says so.
    Rendered(plugin::Refusal, Option<Standing>),
}

impl From<Standing> for Turned {
    fn from(standing: Standing) -> Self {
        Self::Plainly(standing)
    }
}

/// The tenant in whose place a path is.
pub(super) fn tenant_of(path: &str) -> Option<TenantId> {
    let (digits, _) = path.strip_prefix(OWN_PREFIX)?.split_once('/')?;
    // One spelling alone.
    digits.parse().ok().filter(|tenant: &TenantId| tenant.to_string() == digits)
}

/// Whether a path is where routers of tenants are.
pub(super) fn is_own(path: &str) -> bool {
    path.starts_with(OWN_PREFIX)
}

fn nothing() -> Answer {
    plain_refusal(plugin::Refusal::NotFound).answer()
}

fn too_many(standing: &Standing, now: Timestamp) -> Answer {
    let mut answer = too_many_requests(standing, "too many requests", now).answer();
    show_standing(&mut answer, standing, now);
    answer
}

/// So many requests of this tenant are being answered that this one has to wait outside.
pub(super) fn busy() -> Answer {
    let why = format!("{OWN_CALLS_MAX} requests are being answered here; come back in {BUSY_RETRY_S} s");
    let mut answer = Problem::new(StatusCode::SERVICE_UNAVAILABLE, why).answer();
    answer.headers_mut().insert(RETRY_AFTER, BUSY_RETRY_S.into());
    answer
}

impl FrontDoor {
    /// Answers what is asked below `/t/`. A tenant that does not exist, is switched off or has no router there is answered alike.
    pub(super) async fn own_route(
        &self,
        request: Request<Incoming>,
        refused: &plugin::RefusedRequest,
        client: Client,
        generation: &Generation,
    ) -> Answer {
        let Some(id) = tenant_of(&refused.path) else { return nothing() };
        let lookup = generation.mounts.look_up_own(id, &refused.method, &refused.path);
        let unserved = matches!(lookup, Lookup::Unknown { renderer: None });
        if unserved && !generation.is_broken_at(None, &refused.path) {
            return nothing();
        }
        let tenant = match self.storage.tenant(id).await {
            Ok(tenant) => tenant.filter(|tenant| tenant.active),
            Err(error) => {
                tracing::error!(%error, "a tenant cannot be looked up");
                return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "storage does not answer").answer();
            }
        };
        let (Some(tenant), now) = (tenant, self.clock.now()) else { return nothing() };
        let (allowed, renderer) = match lookup {
            Lookup::Found(found) => return self.found_own(request, found, &tenant, (client, refused)).await,
            Lookup::WrongMethod { allowed, renderer } => (Some(allowed), renderer),
            Lookup::Unknown { renderer: None } => return Self::not_loaded(),
            Lookup::Unknown { renderer } => (None, renderer),
        };
        if let Err(standing) = self.limits.count_stranger(client, id, now) {
            return too_many(&standing, now);
        }
        let allow = allowed.as_ref().and_then(|allowed| HeaderValue::from_str(&allowed.join(", ")).ok());
        let refusal = allowed.map_or(plugin::Refusal::NotFound, plugin::Refusal::MethodNotAllowed);
        let mut answer = self.refuse(renderer, refused, refusal).await;
        if let Some(allow) = allow {
            answer.headers_mut().insert(ALLOW, allow);
        }
        answer
    }

    async fn found_own(
        &self,
        request: Request<Incoming>,
        found: Found<'_>,
        tenant: &Tenant,
        (client, refused): (Client, &plugin::RefusedRequest),
    ) -> Answer {
        let (active, now) = (found.plugin, self.clock.now());
        let presented = Presented { headers: request.headers(), query: request.uri().query(), client };
        let (mut answer, standing) = match self.admit_own(presented, active, found.declared, tenant).await {
            Ok((principal, standing)) => (self.call(request, found, Some(principal), refused).await, standing),
            Err(Turned::Plainly(standing)) => return too_many(&standing, now),
            Err(Turned::Rendered(refusal, standing)) => (self.refuse(Some(active), refused, refusal).await, standing),
        };
        if let Some(standing) = standing {
            show_standing(&mut answer, &standing, now);
        }
        answer
    }

    /// Whom the plugin acts for: whoever holds a key of its tenant, or itself where a route asks for none.
    async fn admit_own(
        &self,
        presented: Presented<'_>,
        active: &ActivePlugin,
        declared: &plugin::Route,
        tenant: &Tenant,
    ) -> Result<(Principal, Option<Standing>), Turned> {
        let (client, now) = (presented.client, self.clock.now());
        let stranger = || self.limits.count_stranger(client, tenant.id, now);
        match self.authenticate(presented, active, declared).await {
            Ok(None) => {
                stranger()?;
                let route = self.limits.count_route(active, declared, None, (client, now))?;
                let account = self.limits.count_open_request(tenant, now)?;
                let caller = Principal::of_plugin(tenant.id, active.full_name().into(), active.grants());
                Ok((caller, route.into_iter().chain(account).min_by_key(Standing::remaining)))
            }
            Ok(Some((principal, _))) => {
                let refused = |standing: Standing| {
                    let seconds = u32::try_from(standing.retry_after_s(now)).unwrap_or(u32::MAX);
                    Turned::Rendered(plugin::Refusal::TooManyRequests(seconds), Some(standing))
                };
                let caller = Some(&principal);
                let route = self.limits.count_route(active, declared, caller, (client, now)).map_err(refused)?;
                let account = self.limits.count_request(tenant, now).map_err(refused)?;
                let acting = Acting { plugin: active.full_name().into(), grants: active.grants(), alone: false };
                let caller = Principal { acting: Some(acting), ..principal };
                Ok((caller, route.into_iter().chain(account).min_by_key(Standing::remaining)))
            }
            Err(error @ CredentialError::Unavailable) => {
                Err(Turned::Rendered(plugin::Refusal::Internal(error.to_string()), None))
            }
            Err(error) => {
                stranger()?;
                if error != CredentialError::Missing {
                    self.limits.note_failure(client, &active.full_name(), now)?;
                }
                Err(Turned::Rendered(plugin::Refusal::Unauthorized(unauthorized_why(error)), None))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_tenant_is_spelled_in_one_way() {
        assert_eq!(tenant_of("/t/12345/shop-order/orders"), Some(TenantId(12345)));
        assert_eq!(tenant_of("/t/12345/"), Some(TenantId(12345)));
        for bad in
            ["/t/", "/t/12345", "/t/012345/a", "/t/+12345/a", "/t/ten/a", "/t//a", "/x/1/a", "/t/99999999999999999999/a"]
        {
            assert_eq!(tenant_of(bad), None, "{bad}");
        }
    }
}
