//! Tenants and their API keys.

use sha2::{Digest, Sha256};

use super::codec::{decode, encode};
use super::engine::{Batch, Check, Entry, KeyRange, count_in};
use super::{CONFLICT_TRIES_MAX, Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::account::{ApiKey, KeyUse, Tenant};
use crate::records::id::{KeyId, SessionId, TenantId};

/// Entries that a listing reads at once; it goes on until there are no more.
const LISTING_PAGE: usize = 1000;

/// A key that was just drawn: the record, and the text that is shown once.
#[derive(Clone)]
pub struct NewKey {
    /// What is kept.
    pub record: ApiKey,
    /// The key itself.
    pub text: String,
}

impl NewKey {
    /// The record of the key `text`; its hash is filled in here.
    pub fn new(mut record: ApiKey, text: String) -> Self {
        record.sha256 = hex::encode(Sha256::digest(text.as_bytes()));
        Self { record, text }
    }
}

impl Storage {
    /// Makes a tenant.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when its id is taken; else when the engine fails.
    pub async fn create_tenant(&self, tenant: &Tenant) -> Result<(), StorageError> {
        let key = keys::tenant(tenant.id);
        let mut batch = Batch::default();
        batch.check(Check::Absent { key: key.clone() });
        batch.put(key.clone(), encode(&key, tenant)?);
        self.engine.commit(batch).await.map(|_| ())
    }

    /// A tenant.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn tenant(&self, id: TenantId) -> Result<Option<Tenant>, StorageError> {
        self.read(&keys::tenant(id)).await
    }

    /// Every tenant, by id.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn tenants(&self) -> Result<Vec<Tenant>, StorageError> {
        self.list(&keys::tenants()).await
    }

    /// Changes a tenant through `change`; `None` when there is none.
    ///
    /// # Errors
    /// When the engine fails, or when others kept changing it.
    pub async fn change_tenant(&self, id: TenantId, change: impl Fn(&mut Tenant)) -> Result<Option<Tenant>, StorageError> {
        let key = keys::tenant(id);
        for _ in 0..CONFLICT_TRIES_MAX {
            let Some(value) = self.engine.get(&key).await? else { return Ok(None) };
            let mut tenant: Tenant = decode(&key, &value)?;
            change(&mut tenant);
            let mut batch = Batch::default();
            batch.check(Check::Equals { key: key.clone(), value });
            batch.put(key.clone(), encode(&key, &tenant)?);
            match self.engine.commit(batch).await {
                Err(StorageError::Conflict) => {}
                other => return other.map(|_| Some(tenant)),
            }
        }
        Err(StorageError::Conflict)
    }

    /// Keeps a new key: its record and its hash. It is one more: what a session shows stays its own key, which is drawn with it
    /// and renewed by [`Self::renew_session_key`], so that clients that read it there are not moved to a key of the operator's,
    /// and its renewal takes no other key away.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when its id is taken or its session is gone; else when the engine fails.
    pub async fn create_key(&self, new: &NewKey) -> Result<(), StorageError> {
        let mut batch = Batch::default();
        self.put_key(&mut batch, new)?;
        if let Some(session) = new.record.session {
            batch.check(Self::owner_check(new.record.tenant, session));
        }
        self.engine.commit(batch).await.map(|_| ())
    }

    pub(super) fn put_key(&self, batch: &mut Batch, new: &NewKey) -> Result<(), StorageError> {
        let record = &new.record;
        let key = keys::api_key(record.tenant, record.id);
        let hash = Sha256::digest(new.text.as_bytes());
        batch.check(Check::Absent { key: key.clone() });
        batch.put(key.clone(), encode(&key, record)?);
        let by_hash = keys::key_by_hash(&hash);
        batch.check(Check::Absent { key: by_hash.clone() });
        batch.put(by_hash.clone(), encode(&by_hash, &(record.tenant, record.id))?);
        Ok(())
    }

    /// Lets a session show its own key.
    pub(super) fn show_key(&self, batch: &mut Batch, new: &NewKey) {
        let record = &new.record;
        if let (crate::records::account::KeyKind::Session, Some(session)) = (record.kind, record.session) {
            let place = keys::session_key(record.tenant, session);
            batch.put(place.clone(), self.vault.seal(&place, new.text.as_bytes()));
        }
    }

    /// The record of the key `text`, which may be revoked.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn resolve_key(&self, text: &str) -> Result<Option<ApiKey>, StorageError> {
        let hash = Sha256::digest(text.as_bytes());
        let found: Option<(TenantId, KeyId)> = self.read(&keys::key_by_hash(&hash)).await?;
        match found {
            Some((tenant, id)) => self.key_or_revoked(tenant, id).await,
            None => Ok(None),
        }
    }

    /// One key of a tenant, if it is not revoked.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn key(&self, tenant: TenantId, id: KeyId) -> Result<Option<ApiKey>, StorageError> {
        Ok(self.key_or_revoked(tenant, id).await?.filter(|record| record.revoked_at.is_none()))
    }

    pub(super) async fn key_or_revoked(&self, tenant: TenantId, id: KeyId) -> Result<Option<ApiKey>, StorageError> {
        let record: Option<ApiKey> = self.read(&keys::api_key(tenant, id)).await?;
        match record {
            Some(record) if self.outlived_its_session(&record).await? => Ok(None),
            record => Ok(record),
        }
    }

    /// Whether a key is only left over from a session that was deleted, and opens nothing any more.
    async fn outlived_its_session(&self, record: &ApiKey) -> Result<bool, StorageError> {
        let Some(session) = record.session else { return Ok(false) };
        Ok(self.engine.get(&keys::owner_epoch(record.tenant, session)).await?.is_none())
    }

    /// Every key of a tenant that is not revoked.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn keys(&self, tenant: TenantId) -> Result<Vec<ApiKey>, StorageError> {
        let mut keys = Vec::new();
        for record in self.list::<ApiKey>(&keys::api_keys(tenant)).await? {
            if record.revoked_at.is_none() && !self.outlived_its_session(&record).await? {
                keys.push(record);
            }
        }
        Ok(keys)
    }

    /// Revokes a key; whether there was one. Its record stays for [`REVOKED_KEPT`].
    ///
    /// # Errors
    /// When the engine fails, the record is damaged, or others kept changing it.
    ///
    /// [`REVOKED_KEPT`]: crate::rules::retention::REVOKED_KEPT
    pub async fn revoke_key(&self, tenant: TenantId, id: KeyId, now: Timestamp) -> Result<bool, StorageError> {
        for _ in 0..CONFLICT_TRIES_MAX {
            let mut batch = Batch::default();
            if !self.put_revoked(&mut batch, tenant, id, now).await? {
                return Ok(false);
            }
            match self.engine.commit(batch).await {
                Err(StorageError::Conflict) => {}
                other => return other.map(|_| true),
            }
        }
        Err(StorageError::Conflict)
    }

    /// Gives a session a new key of its own; the one that it had opens nothing any more. Others that are bound to it stay.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when the new one's id is taken, the session is gone, or another one was made meanwhile; else
    /// when the engine fails or a record is damaged.
    pub async fn renew_session_key(&self, new: &NewKey, now: Timestamp) -> Result<(), StorageError> {
        let (tenant, Some(session)) = (new.record.tenant, new.record.session) else { return Err(StorageError::Conflict) };
        let mut batch = Batch::default();
        if let Some(shown) = self.session_key(tenant, session).await?
            && let Some(old) = self.resolve_key(&shown).await?
        {
            self.put_revoked(&mut batch, tenant, old.id, now).await?;
        }
        self.put_key(&mut batch, new)?;
        self.show_key(&mut batch, new);
        batch.check(Self::owner_check(tenant, session));
        self.engine.commit(batch).await.map(|_| ())
    }

    /// Lets `batch` revoke a key; whether there is one to revoke.
    async fn put_revoked(
        &self,
        batch: &mut Batch,
        tenant: TenantId,
        id: KeyId,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        let key = keys::api_key(tenant, id);
        let Some(value) = self.engine.get(&key).await? else { return Ok(false) };
        let mut record: ApiKey = decode(&key, &value)?;
        if record.revoked_at.is_some() || self.outlived_its_session(&record).await? {
            return Ok(false);
        }
        record.revoked_at = Some(now);
        batch.check(Check::Equals { key: key.clone(), value });
        batch.put(key.clone(), encode(&key, &record)?);
        if let Some(session) = record.session {
            // The key that the session shows must not be shown any longer once it is revoked.
            let shown = self.session_key(tenant, session).await?;
            let is_shown = shown.is_some_and(|text| hex::encode(Sha256::digest(text.as_bytes())) == record.sha256);
            if is_shown {
                batch.delete(keys::session_key(tenant, session));
            }
        }
        Ok(true)
    }

    /// Adds to how often keys were used, and says when they were last.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn note_key_uses(&self, uses: &[(TenantId, KeyId, KeyUse)]) -> Result<(), StorageError> {
        let mut batch = Batch::default();
        for (tenant, id, used) in uses {
            batch.add(keys::key_uses(*tenant, *id), i64::try_from(used.requests).unwrap_or(i64::MAX));
            if let Some(at) = used.last_used_at {
                let key = keys::key_last_used(*tenant, *id);
                batch.put(key.clone(), encode(&key, &at)?);
            }
        }
        self.engine.commit(batch).await.map(|_| ())
    }

    /// How often a key was used.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn key_use(&self, tenant: TenantId, id: KeyId) -> Result<KeyUse, StorageError> {
        let requests = count_in(self.engine.get(&keys::key_uses(tenant, id)).await?.as_deref());
        Ok(KeyUse { requests, last_used_at: self.read(&keys::key_last_used(tenant, id)).await? })
    }

    pub(super) fn remove_key(batch: &mut Batch, record: &ApiKey) {
        batch.delete(keys::api_key(record.tenant, record.id));
        batch.delete(keys::key_uses(record.tenant, record.id));
        batch.delete(keys::key_last_used(record.tenant, record.id));
        if let Ok(hash) = hex::decode(&record.sha256) {
            batch.delete(keys::key_by_hash(&hash));
        }
    }

    /// The text of a session's own key, which dialects show again.
    ///
    /// # Errors
    /// When the engine fails or it does not open.
    pub async fn session_key(&self, tenant: TenantId, session: SessionId) -> Result<Option<String>, StorageError> {
        let place = keys::session_key(tenant, session);
        let Some(sealed) = self.engine.get(&place).await? else { return Ok(None) };
        let plain = self.vault.open(&place, &sealed)?;
        Ok(String::from_utf8(plain).ok())
    }

    pub(super) async fn read<T: serde::de::DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StorageError> {
        self.engine.get(key).await?.map(|value| decode(key, &value)).transpose()
    }

    /// Every record whose key begins with `prefix`.
    pub(super) async fn list<T: serde::de::DeserializeOwned>(&self, prefix: &[u8]) -> Result<Vec<T>, StorageError> {
        self.entries(prefix).await?.iter().map(|(key, value)| decode(key, value)).collect()
    }

    /// Every entry whose key begins with `prefix`, read a page at a time: one that comes or goes meanwhile may be missed.
    pub(super) async fn entries(&self, prefix: &[u8]) -> Result<Vec<Entry>, StorageError> {
        let mut range = KeyRange::prefix(prefix, LISTING_PAGE);
        let mut all = Vec::new();
        loop {
            let page = self.engine.range(&range).await?;
            let full = page.len() == LISTING_PAGE;
            all.extend(page);
            match all.last() {
                Some((last, _)) if full => range = range.after(last),
                _ => return Ok(all),
            }
        }
    }
}
