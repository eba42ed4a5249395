//! Tokens in links: they name tenant, key, session and end, and carry a MAC that nobody else can make.
//!
//! Nothing of them is kept. A token is good for the plugin that drew it and for reading its session, until its time is over or
//! the key that it was drawn under is no longer good.

use switchboard_core::clock::Timestamp;
use switchboard_core::records::account::{KeyKind, Principal, Tenant};
use switchboard_core::records::id::{KeyId, SessionId, TenantId};

use crate::accounts::{Accounts, CredentialError};
use crate::named::NamingKey;

/// What the key is derived for.
pub(crate) const KEY_PURPOSE: &str = "switchboard stream links v1";
/// What every token begins with, so that people and secret scanners can tell it from a key.
const PREFIX: &str = "lnk_";
/// What a token lets its holder do.
const SCOPE: &str = "sessions:read";

/// What a token names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Named {
    tenant: TenantId,
    /// The key that it was drawn under.
    key: KeyId,
    session: SessionId,
    until: Timestamp,
}

impl Named {
    fn bytes(&self) -> Vec<u8> {
        [self.tenant.0, self.key.0, self.session.0, self.until.0].iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut numbers = bytes.chunks(8).map(|number| number.try_into().ok().map(u64::from_be_bytes));
        let mut next = || numbers.next().flatten();
        let named =
            Self { tenant: TenantId(next()?), key: KeyId(next()?), session: SessionId(next()?), until: Timestamp(next()?) };
        numbers.next().is_none().then_some(named)
    }
}

/// Draws and reads tokens.
#[derive(Clone)]
pub(crate) struct LinkKeys(NamingKey);

impl LinkKeys {
    /// Tokens under this key, which stays the host's own.
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self(NamingKey::new(key))
    }

    fn draw(&self, plugin: &str, named: &Named) -> String {
        format!("{PREFIX}{}", self.0.token(&named.bytes(), plugin))
    }

    /// What a token of ours names, whether or not its time is over.
    fn read(&self, plugin: &str, token: &str) -> Option<Named> {
        Named::read(&self.0.read(token.strip_prefix(PREFIX)?, plugin)?)
    }
}

impl Accounts {
    /// A token for one plugin and one session, good until `until` and no longer than the key of `caller`.
    pub(crate) fn draw_link(&self, caller: &Principal, plugin: &str, session: SessionId, until: Timestamp) -> String {
        self.links.draw(plugin, &Named { tenant: caller.tenant, key: caller.key, session, until })
    }

    /// Who presents a token to `plugin`.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub(crate) async fn authenticate_link(&self, token: &str, plugin: &str) -> Result<(Principal, Tenant), CredentialError> {
        let named = self.links.read(plugin, token).ok_or(CredentialError::Unknown)?;
        if named.until <= self.clock.now() {
            return Err(CredentialError::Expired);
        }
        let key = self.storage.key(named.tenant, named.key).await.map_err(Self::unavailable)?;
        let holder = self.storage.holder_of(key.ok_or(CredentialError::Revoked)?).await.map_err(Self::unavailable)?;
        let (drawn_under, tenant) = self.admit(&holder)?;
        if self.storage.session(named.tenant, named.session).await.map_err(Self::unavailable)?.is_none() {
            return Err(CredentialError::Unknown);
        }
        let scopes = vec![SCOPE.to_owned()];
        Ok((Principal { kind: KeyKind::Link, session: Some(named.session), scopes, ..drawn_under }, tenant))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use switchboard_core::clock::{Clock, ManualClock};
    use switchboard_core::entropy::SeededEntropy;
    use switchboard_core::records::session::{Session, SessionState};
    use switchboard_core::storage::{MASTER_KEY_BYTES, MasterKey, Storage};

    use super::*;
    use crate::accounts::KeyWish;

    const NAMED: Named =
        Named { tenant: TenantId(12), key: KeyId(7), session: SessionId(5), until: Timestamp(1_750_000_000_000) };

    #[test]
    fn a_token_is_read_by_the_plugin_that_it_was_drawn_for_and_no_other() {
        let links = LinkKeys::new([7; 32]);
        let token = links.draw("operator/wamux", &NAMED);
        assert_eq!(links.read("operator/wamux", &token), Some(NAMED));
        assert_eq!(links.read("operator/wamu", &token), None);
        assert_eq!(links.read("12/wamux", &token), None);
        assert_eq!(LinkKeys::new([8; 32]).read("operator/wamux", &token), None);
    }

    #[tokio::test]
    async fn a_token_ends_with_its_time_its_key_and_its_session() {
        let storage = Storage::in_memory(MasterKey::new([7; MASTER_KEY_BYTES]));
        let clock = Arc::new(ManualClock::at(Timestamp(1_750_000_000_000)));
        let entropy = Arc::new(SeededEntropy::new(1));
        let accounts = Accounts::new(storage.clone(), Arc::clone(&clock) as _, entropy, LinkKeys::new([9; 32]));
        let tenant = accounts.create_tenant("Shop", None, Default::default()).await.unwrap().id;
        let wish: KeyWish = serde_json::from_str(r#"{"kind":"tenant","scopes":["sessions:*","messages:*"]}"#).unwrap();
        let key = accounts.create_key(tenant, &wish).await.unwrap();
        let (caller, _) = accounts.authenticate(&key.text, &[KeyKind::Tenant], None).await.unwrap();
        let session = SessionId(5);
        let until = clock.now().plus(Duration::from_secs(60));
        let token = accounts.draw_link(&caller, "operator/wamux", session, until);
        let check = async |plugin: &str| accounts.authenticate_link(&token, plugin).await.map(|(principal, _)| principal);
        assert_eq!(check("operator/wamux").await, Err(CredentialError::Unknown), "there is no such session yet");
        let own: KeyWish = serde_json::from_str(r#"{"kind":"session","session_id":5}"#).unwrap();
        storage.create_session(&record(session, tenant), &accounts.draw_key(tenant, &own)).await.unwrap();

        let holder = check("operator/wamux").await.unwrap();
        assert_eq!((holder.kind, holder.session, holder.key), (KeyKind::Link, Some(session), key.record.id));
        assert!(holder.may("sessions", "read") && !holder.may("sessions", "write") && !holder.may("messages", "read"));
        assert!(!holder.may_use(SessionId(6)));
        assert_eq!(check("operator/wasender").await, Err(CredentialError::Unknown));
        clock.advance(Duration::from_secs(60));
        assert_eq!(check("operator/wamux").await, Err(CredentialError::Expired));

        let later = clock.now().plus(Duration::from_secs(60));
        let token = accounts.draw_link(&caller, "operator/wamux", session, later);
        let check = async || accounts.authenticate_link(&token, "operator/wamux").await.map(drop);
        assert_eq!(check().await, Ok(()));
        storage.change_tenant(tenant, |tenant| tenant.active = false).await.unwrap();
        assert_eq!(check().await, Err(CredentialError::Inactive));
        storage.change_tenant(tenant, |tenant| tenant.active = true).await.unwrap();
        storage.revoke_key(tenant, key.record.id, clock.now()).await.unwrap();
        assert_eq!(check().await, Err(CredentialError::Revoked));
    }

    fn record(id: SessionId, tenant: TenantId) -> Session {
        let at = Timestamp(0);
        Session {
            id,
            tenant,
            name: "Till".to_owned(),
            phone_number: String::new(),
            state: SessionState::Created,
            reason: None,
            retry_at: None,
            jid: None,
            lid: None,
            settings: Default::default(),
            created_at: at,
            updated_at: at,
            last_active_at: None,
            test: false,
        }
    }

    #[test]
    fn a_token_that_was_changed_is_none() {
        let links = LinkKeys::new([7; 32]);
        let token = links.draw("operator/wamux", &NAMED);
        let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX).unwrap()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let changed = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(changed));
            assert_eq!(links.read("operator/wamux", &changed), None, "byte {at}");
        }
        for other in ["", "lnk_", "lnk_AAAA", token.strip_prefix(PREFIX).unwrap(), &format!("{token}AAAA")] {
            assert_eq!(links.read("operator/wamux", other), None, "{other}");
        }
    }
}
