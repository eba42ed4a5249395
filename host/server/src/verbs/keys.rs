//! What plugins ask of an account's own API keys.

use switchboard_core::clock::Timestamp;
use switchboard_core::records::account::{ApiKey, KeyKind, Principal};
use switchboard_core::records::id::KeyId;
use switchboard_core::rules::authority;
use switchboard_runtime::verbs::{AccountKey, NewAccountKey, VerbError};

use super::{HostVerbs, check_name, denied, need, unavailable};
use crate::accounts::{AccountError, KeyMode, KeyWish};

/// Most keys of an account that its own calls can make.
const KEYS_MAX: usize = 1000;

/// Only whoever acts for the whole account has to do with its keys.
fn need_account(caller: &Principal, action: &str) -> Result<(), VerbError> {
    need(caller, "keys", action)?;
    if caller.session.is_some() || caller.kind == KeyKind::Session {
        return Err(VerbError::Denied("a key that is bound to one session has nothing to do with other keys".to_owned()));
    }
    Ok(())
}

fn refused(error: AccountError) -> VerbError {
    match error {
        AccountError::NoSuchTenant(_) | AccountError::NoSuchSession(_) => VerbError::NotFound,
        AccountError::Invalid { field, why } => VerbError::Invalid { field: field.to_owned(), why },
        AccountError::InvalidLimit { name, why } => VerbError::Invalid { field: format!("limits.{name}"), why },
        AccountError::Storage(error) => unavailable(error),
    }
}

impl HostVerbs {
    pub(super) async fn draw_account_key(
        &self,
        caller: &Principal,
        new: NewAccountKey,
    ) -> Result<(AccountKey, String), VerbError> {
        need_account(caller, "write")?;
        check_name(&new.name)?;
        if self.storage.keys(caller.tenant).await.map_err(unavailable)?.len() >= KEYS_MAX {
            return Err(VerbError::Conflict(format!("there are {KEYS_MAX} keys already; revoke one first")));
        }
        let wish = KeyWish {
            kind: KeyKind::Tenant,
            session_id: None,
            name: Some(new.name),
            description: Some(new.description),
            expires_at: new.expires_at_ms.map(Timestamp),
            service: None,
            // No key makes one that may do more than itself.
            scopes: Some(caller.scopes.clone()),
            mode: caller.test.then_some(KeyMode::Test),
        };
        let drawn = self.accounts.create_key(caller.tenant, &wish).await.map_err(refused)?;
        Ok((self.with_use(drawn.record).await?, drawn.text))
    }

    async fn with_use(&self, record: ApiKey) -> Result<AccountKey, VerbError> {
        let used = self.accounts.key_use(&record).await.map_err(unavailable)?;
        Ok(AccountKey { record, used })
    }

    pub(super) async fn keys_of_account(&self, caller: &Principal) -> Result<Vec<AccountKey>, VerbError> {
        need_account(caller, "read")?;
        let mut records = self.storage.keys(caller.tenant).await.map_err(unavailable)?;
        records.retain(|record| record.kind == KeyKind::Tenant);
        records.sort_by_key(|record| std::cmp::Reverse((record.created_at, record.id)));
        let mut keys = Vec::with_capacity(records.len());
        for record in records {
            keys.push(self.with_use(record).await?);
        }
        Ok(keys)
    }

    pub(super) async fn key_of_account(&self, caller: &Principal, id: KeyId) -> Result<AccountKey, VerbError> {
        need_account(caller, "read")?;
        let found = self.storage.key(caller.tenant, id).await.map_err(unavailable)?;
        let record = found.filter(|record| record.kind == KeyKind::Tenant).ok_or(VerbError::NotFound)?;
        self.with_use(record).await
    }

    pub(super) async fn revoke_account_key(&self, caller: &Principal, id: KeyId) -> Result<(), VerbError> {
        need_account(caller, "write")?;
        let record = self.key_of_account(caller, id).await?.record;
        authority::check_change(caller, record.test, &format!("key {id}")).map_err(denied)?;
        let revoked = self.storage.revoke_key(caller.tenant, id, self.clock.now()).await.map_err(unavailable)?;
        if revoked { Ok(()) } else { Err(VerbError::NotFound) }
    }
}
