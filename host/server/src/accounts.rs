//! Tenants and keys: how they are drawn, and how a credential becomes a principal.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use switchboard_core::clock::{Clock, Timestamp};
use switchboard_core::entropy::Entropy;
use switchboard_core::records::account::{ApiKey, KeyKind, KeyUse, Principal, Tenant};
use switchboard_core::records::id::{KeyId, SessionId, TenantId, draw_public_number};
use switchboard_core::rules::plan::{self, PlanError};
use switchboard_core::rules::said_back::said_back;
use switchboard_core::storage::{Holder, NewKey, Storage, StorageError};

use crate::key_usage::KeyUsage;
use crate::links::LinkKeys;
use crate::spelling::optional_session;

/// Random bytes of a key: nobody guesses or tries them all.
const KEY_RANDOM_BYTES: usize = 32;
/// Characters of a key that are shown after it was made: too few to help anybody guess the others.
const HINT_CHARS: usize = 4;
/// Most characters of a description.
const DESCRIPTION_CHARS_MAX: usize = 1000;
/// Most characters of a presented credential that is looked at.
pub const CREDENTIAL_CHARS_MAX: usize = 256;
/// Most characters of a name.
pub const NAME_CHARS_MAX: usize = 255;
/// The service of keys that were made for no other.
pub const SERVICE: &str = "whatsapp";
/// Most characters of a service's name.
const SERVICE_CHARS_MAX: usize = 64;
/// Resources that scopes name.
const SCOPE_RESOURCES: [&str; 8] =
    ["sessions", "messages", "templates", "contacts", "groups", "webhooks", "keys", "plugins"];
/// How often a drawn number may be taken already.
const DRAW_TRIES_MAX: u32 = 8;

/// A key that is asked for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyWish {
    /// What it is for.
    pub kind: KeyKind,
    /// The session it is bound to; needed for session keys.
    #[serde(default, deserialize_with = "optional_session")]
    pub session_id: Option<SessionId>,
    /// A name for people.
    #[serde(default)]
    pub name: Option<String>,
    /// What people note about it.
    #[serde(default)]
    pub description: Option<String>,
    /// When it stops working, milliseconds since 1970.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// The service it is for.
    #[serde(default)]
    pub service: Option<String>,
    /// `<resource>:read|write|*`; none given means all.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// `live` or `test`.
    #[serde(default)]
    pub mode: Option<KeyMode>,
}

/// Whether what a key asks for leaves the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyMode {
    /// It does.
    Live,
    /// It does not.
    Test,
}

/// Why an account was not changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// There is no such tenant.
    #[error("tenant {0} does not exist")]
    NoSuchTenant(TenantId),
    /// There is no such session.
    #[error("session {0} does not exist")]
    NoSuchSession(SessionId),
    /// A field cannot be taken.
    #[error("{field}: {why}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A figure among the limits cannot be taken.
    #[error("limits.{name}: {why}")]
    InvalidLimit {
        /// Which.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a credential will not do. Says nothing about which tenants or keys exist to whoever does not hold one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// None was given.
    #[error("missing credential")]
    Missing,
    /// It is not one of ours.
    #[error("invalid credential")]
    Unknown,
    /// Its time is over.
    #[error("the credential has expired")]
    Expired,
    /// It was taken back.
    #[error("the credential was revoked")]
    Revoked,
    /// It was issued for another service.
    #[error("the credential was issued for another service")]
    WrongService,
    /// It is one of ours, but not of a kind that this endpoint takes.
    #[error("this endpoint does not take this kind of key")]
    WrongKind(KeyKind),
    /// Its tenant is switched off.
    #[error("the account is inactive")]
    Inactive,
    /// It could not be looked up.
    #[error("the credential cannot be checked now")]
    Unavailable,
}

/// Draws and checks.
#[derive(Clone)]
pub struct Accounts {
    pub(crate) storage: Storage,
    pub(crate) clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    usage: Arc<KeyUsage>,
    pub(crate) links: LinkKeys,
}

impl Accounts {
    /// Accounts over `storage`, whose tokens in links are made by `links`.
    pub(crate) fn new(storage: Storage, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>, links: LinkKeys) -> Self {
        Self { storage, clock, entropy, usage: Arc::default(), links }
    }

    /// How often keys are used.
    pub fn usage(&self) -> &Arc<KeyUsage> {
        &self.usage
    }

    /// How often a key was used.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn key_use(&self, key: &ApiKey) -> Result<KeyUse, StorageError> {
        let (kept, pending) = (self.storage.key_use(key.tenant, key.id).await?, self.usage.pending(key.tenant, key.id));
        let requests = kept.requests.saturating_add(pending.requests);
        Ok(KeyUse { requests, last_used_at: pending.last_used_at.or(kept.last_used_at) })
    }

    /// Makes a tenant.
    ///
    /// # Errors
    /// [`AccountError::Invalid`] for a bad name, plan or limit; else when storage fails.
    pub async fn create_tenant(
        &self,
        name: &str,
        plan: Option<&str>,
        limits: BTreeMap<String, u64>,
    ) -> Result<Tenant, AccountError> {
        check_name(name)?;
        let plan = plan.unwrap_or("unlimited");
        check_plan(plan)?;
        check_limits(&limits)?;
        for _ in 0..DRAW_TRIES_MAX {
            let tenant = Tenant {
                id: TenantId(draw_public_number(&*self.entropy)),
                name: name.to_owned(),
                active: true,
                plan: plan.to_owned(),
                limits: limits.clone(),
                created_at: self.clock.now(),
                apis_off: Default::default(),
                hosts: Default::default(),
            };
            match self.storage.create_tenant(&tenant).await {
                Err(StorageError::Conflict) => {}
                other => return Ok(other.map(|()| tenant)?),
            }
        }
        Err(StorageError::Conflict.into())
    }

    /// Draws a key without keeping it.
    pub fn draw_key(&self, tenant: TenantId, wish: &KeyWish) -> NewKey {
        let mut random = [0; KEY_RANDOM_BYTES];
        self.entropy.fill(&mut random);
        let test = wish.mode == Some(KeyMode::Test);
        let random = URL_SAFE_NO_PAD.encode(random);
        let hint = random.chars().take(HINT_CHARS).collect();
        let text = format!("{}{random}", wish.kind.prefix(test));
        let record = ApiKey {
            id: KeyId(draw_public_number(&*self.entropy)),
            tenant,
            kind: wish.kind,
            session: wish.session_id,
            name: wish.name.clone().unwrap_or_default(),
            description: wish.description.clone().unwrap_or_default(),
            hint,
            service: wish.service.clone().unwrap_or_else(|| SERVICE.to_owned()),
            scopes: wish.scopes.clone().unwrap_or_default(),
            test,
            expires_at: wish.expires_at,
            created_at: self.clock.now(),
            sha256: String::new(),
            revoked_at: None,
        };
        NewKey::new(record, text)
    }

    /// Makes a key. Its text is in the answer and nowhere else: one that is bound to a session is not the session's own, which is
    /// drawn with it.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn create_key(&self, tenant: TenantId, wish: &KeyWish) -> Result<NewKey, AccountError> {
        if self.storage.tenant(tenant).await?.is_none() {
            return Err(AccountError::NoSuchTenant(tenant));
        }
        check_key_wish(wish)?;
        if let Some(expires_at) = wish.expires_at.filter(|expires_at| *expires_at <= self.clock.now()) {
            let why = format!("{} is past; give milliseconds since 1970-01-01T00:00:00Z", expires_at.0);
            return Err(AccountError::Invalid { field: "expires_at", why });
        }
        if let Some(session) = wish.session_id
            && self.storage.session(tenant, session).await?.is_none()
        {
            return Err(AccountError::NoSuchSession(session));
        }
        for _ in 0..DRAW_TRIES_MAX {
            let new = self.draw_key(tenant, wish);
            match self.storage.create_key(&new).await {
                Err(StorageError::Conflict) => {}
                other => return Ok(other.map(|()| new)?),
            }
        }
        Err(StorageError::Conflict.into())
    }

    /// Who presents `credential`, and the tenant whose key it is, if its kind is one of `kinds` and it was issued for
    /// `service`; `None` for any.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn authenticate(
        &self,
        credential: &str,
        kinds: &[KeyKind],
        service: Option<&str>,
    ) -> Result<(Principal, Tenant), CredentialError> {
        self.authenticate_of(None, credential, kinds, service).await
    }

    /// The same where only keys of one tenant are known, if one is given: any other is as unknown as what nobody drew.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub(crate) async fn authenticate_of(
        &self,
        tenant: Option<TenantId>,
        credential: &str,
        kinds: &[KeyKind],
        service: Option<&str>,
    ) -> Result<(Principal, Tenant), CredentialError> {
        if credential.is_empty() {
            return Err(CredentialError::Missing);
        }
        if credential.len() > CREDENTIAL_CHARS_MAX {
            return Err(CredentialError::Unknown);
        }
        let holder = self.storage.holder(credential).await.map_err(Self::unavailable)?;
        let known = holder.filter(|holder| tenant.is_none_or(|tenant| tenant == holder.key.tenant));
        let holder = known.ok_or(CredentialError::Unknown)?;
        let key = &holder.key;
        if key.revoked_at.is_some() {
            return Err(CredentialError::Revoked);
        }
        if key.expires_at.is_some_and(|expires_at| expires_at <= self.clock.now()) {
            return Err(CredentialError::Expired);
        }
        if !kinds.contains(&key.kind) {
            return Err(CredentialError::WrongKind(key.kind));
        }
        if service.is_some_and(|service| service != key.service) {
            return Err(CredentialError::WrongService);
        }
        self.admit(&holder)
    }

    pub(crate) fn unavailable(error: StorageError) -> CredentialError {
        tracing::error!(%error, "a credential cannot be looked up");
        CredentialError::Unavailable
    }

    /// Who holds a key that was found, and the tenant whose it is.
    ///
    /// # Errors
    /// [`CredentialError`], when it is good no more.
    pub(crate) fn admit(&self, holder: &Holder) -> Result<(Principal, Tenant), CredentialError> {
        let key = &holder.key;
        if key.expires_at.is_some_and(|expires_at| expires_at <= self.clock.now()) {
            return Err(CredentialError::Expired);
        }
        let tenant = holder.tenant.as_ref().ok_or(CredentialError::Unknown)?;
        if !tenant.active {
            return Err(CredentialError::Inactive);
        }
        // A key that was made while its session was deleted must not outlive it.
        if !holder.has_session {
            return Err(CredentialError::Unknown);
        }
        self.usage.note(key.tenant, key.id, self.clock.now());
        let principal = Principal {
            tenant: key.tenant,
            key: key.id,
            kind: key.kind,
            session: key.session,
            scopes: key.scopes.clone(),
            test: key.test,
            acting: None,
        };
        Ok((principal, tenant.clone()))
    }

    /// The tenant of a principal to whom what it was given would be given again: its key is there and good, its tenant active,
    /// its session not deleted. `None` also when that cannot be looked up.
    pub async fn still_holds(&self, principal: &Principal) -> Option<Tenant> {
        let holds = async {
            let Some(key) = self.storage.key(principal.tenant, principal.key).await? else { return Ok(None) };
            if key.expires_at.is_some_and(|expires_at| expires_at <= self.clock.now()) {
                return Ok(None);
            }
            if let Some(session) = key.session
                && self.storage.session(key.tenant, session).await?.is_none()
            {
                return Ok(None);
            }
            Ok::<_, StorageError>(self.storage.tenant(key.tenant).await?.filter(|tenant| tenant.active))
        };
        holds.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a key cannot be looked up again");
            None
        })
    }
}

fn check_name(name: &str) -> Result<(), AccountError> {
    let chars = name.chars().count();
    if name.trim().is_empty() || chars > NAME_CHARS_MAX {
        let why = format!("has {chars} characters; 1 to {NAME_CHARS_MAX} are allowed");
        return Err(AccountError::Invalid { field: "name", why });
    }
    Ok(())
}

/// Whether a plan of this name ships.
///
/// # Errors
/// [`AccountError::Invalid`] when it does not.
pub fn check_plan(name: &str) -> Result<(), AccountError> {
    let invalid = |error: PlanError| AccountError::Invalid { field: "plan", why: error.to_string() };
    plan::plan(name).map(|_| ()).map_err(invalid)
}

/// Whether these are figures of a plan, with values that they may have.
///
/// # Errors
/// [`AccountError::InvalidLimit`] for the first that is not.
pub fn check_limits(limits: &BTreeMap<String, u64>) -> Result<(), AccountError> {
    limits.iter().try_for_each(|(name, value)| {
        let invalid = |error: PlanError| AccountError::InvalidLimit { name: name.clone(), why: error.to_string() };
        plan::check_limit(name, *value).map_err(invalid)
    })
}

fn check_key_wish(wish: &KeyWish) -> Result<(), AccountError> {
    let invalid = |field, why: String| Err(AccountError::Invalid { field, why });
    if wish.kind == KeyKind::Session && wish.session_id.is_none() {
        return invalid("session_id", "is required for a key of kind session".to_owned());
    }
    if wish.kind != KeyKind::Session && wish.session_id.is_some() {
        return invalid("session_id", "only a key of kind session is bound to one".to_owned());
    }
    if let Some(name) = &wish.name
        && name.chars().count() > NAME_CHARS_MAX
    {
        return invalid("name", format!("is longer than {NAME_CHARS_MAX} characters"));
    }
    let described = wish.description.as_ref().map_or(0, |description| description.chars().count());
    if described > DESCRIPTION_CHARS_MAX {
        return invalid("description", format!("has {described} characters; the limit is {DESCRIPTION_CHARS_MAX}"));
    }
    if let Some(service) = &wish.service
        && (service.trim().is_empty() || service.chars().count() > SERVICE_CHARS_MAX)
    {
        return invalid(
            "service",
            format!("has {} characters; 1 to {SERVICE_CHARS_MAX} are allowed", service.chars().count()),
        );
    }
    for scope in wish.scopes.iter().flatten() {
        let known = scope.split_once(':').is_some_and(|(resource, action)| {
            SCOPE_RESOURCES.contains(&resource) && matches!(action, "read" | "write" | "*")
        });
        if !known {
            let why = format!(
                "{:?} is not a scope; use <resource>:read|write|* with {}",
                said_back(scope),
                SCOPE_RESOURCES.join(", ")
            );
            return invalid("scopes", why);
        }
    }
    Ok(())
}
