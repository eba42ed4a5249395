//! Who may pass: credentials, and how often their holders and those without a good one may ask.

use hyper::header::HeaderMap;

use switchboard_core::records::account::{Principal, Tenant};
use switchboard_core::records::id::TenantId;
use switchboard_core::rules::quota::Standing;
use switchboard_runtime::types as plugin;

use super::front_door::FrontDoor;
use super::input;
use super::limits::Client;
use crate::accounts::CredentialError;
use crate::plugins::ActivePlugin;

/// Where a request carries what it is admitted by.
#[derive(Clone, Copy)]
pub(super) struct Presented<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) query: Option<&'a str>,
    pub(super) client: Client,
}

impl FrontDoor {
    /// Who calls, and how they stand in this minute; nobody, where the route asks for no credential.
    ///
    /// # Errors
    /// The refusal, and how the caller stands when that is why.
    pub(super) async fn admit(
        &self,
        presented: Presented<'_>,
        plugin: &ActivePlugin,
        declared: &plugin::Route,
    ) -> Result<(Option<Principal>, Option<Standing>), (plugin::Refusal, Option<Standing>)> {
        let now = self.clock.now();
        let too_many = |standing: Standing| {
            let seconds = u32::try_from(standing.retry_after_s(now)).unwrap_or(u32::MAX);
            (plugin::Refusal::TooManyRequests(seconds), Some(standing))
        };
        match self.authenticate(presented, plugin, declared).await {
            Ok(None) => {
                let standing = self.limits.count_route(plugin, declared, None, (presented.client, now)).map_err(too_many)?;
                Ok((None, standing))
            }
            Ok(Some((_, tenant))) if switched_off(plugin, &tenant) => Err((plugin::Refusal::NotFound, None)),
            Ok(Some((principal, tenant))) => {
                let caller = Some(&principal);
                let route = self.limits.count_route(plugin, declared, caller, (presented.client, now)).map_err(too_many)?;
                let account = self.limits.count_request(&tenant, now).map_err(too_many)?;
                // The one that is nearer to its end is the one to watch.
                let standing = route.into_iter().chain(account).min_by_key(Standing::remaining);
                Ok((Some(principal), standing))
            }
            Err(error @ CredentialError::Unavailable) => Err((plugin::Refusal::Internal(error.to_string()), None)),
            Err(CredentialError::Missing) => Err((plugin::Refusal::Unauthorized(plugin::UnauthorizedWhy::Missing), None)),
            Err(error) => match self.limits.note_failure(presented.client, &plugin.full_name(), now) {
                Ok(()) => Err((plugin::Refusal::Unauthorized(unauthorized_why(error)), None)),
                Err(standing) => Err(too_many(standing)),
            },
        }
    }

    /// Who presents a credential that the route takes; nobody where it takes none. At a tenant's own router no other tenant's
    /// key is known.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub(super) async fn authenticate(
        &self,
        presented: Presented<'_>,
        plugin: &ActivePlugin,
        declared: &plugin::Route,
    ) -> Result<Option<(Principal, Tenant)>, CredentialError> {
        if declared.credentials.is_empty() {
            return Ok(None);
        }
        let owner = Some(plugin.record.tenant).filter(|owner| *owner != TenantId::OPERATOR);
        let mut worst = CredentialError::Missing;
        for accepted in &declared.credentials {
            let admitted = match &accepted.place {
                plugin::CredentialPlace::Query(name) => {
                    let Some(token) = input::query_value(presented.query, name) else { continue };
                    self.accounts.authenticate_link(&token, &plugin.full_name()).await
                }
                place => {
                    let Some(credential) = input::credential(presented.headers, place) else { continue };
                    let service = accepted.service.as_deref();
                    self.accounts.authenticate_of(owner, credential, &accepted.kinds, service).await
                }
            };
            match admitted {
                Ok(admitted) => return Ok(Some(admitted)),
                Err(CredentialError::Missing) => {}
                Err(error) => worst = error,
            }
        }
        Err(worst)
    }
}

/// Whether a tenant does without this API of the operator's.
pub(super) fn switched_off(plugin: &ActivePlugin, tenant: &Tenant) -> bool {
    plugin.record.tenant == TenantId::OPERATOR && tenant.apis_off.contains(&plugin.record.name)
}

/// Why a credential will not do, for a plugin to render.
pub(super) fn unauthorized_why(error: CredentialError) -> plugin::UnauthorizedWhy {
    use plugin::UnauthorizedWhy as Why;
    match error {
        CredentialError::Missing => Why::Missing,
        CredentialError::Unknown | CredentialError::Unavailable => Why::Unknown,
        CredentialError::Expired => Why::Expired,
        CredentialError::Revoked => Why::Revoked,
        CredentialError::WrongKind(_) => Why::WrongKind,
        CredentialError::WrongService => Why::WrongService,
        CredentialError::Inactive => Why::InactiveAccount,
    }
}
