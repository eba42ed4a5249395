//! Who holds a key: read at every request, so it is remembered for as long as nothing of the account changes.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::remembered::Remembered;
use super::{Storage, StorageError, keys};
use crate::records::account::{ApiKey, Tenant};

/// A key, and what its being good depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Holder {
    /// The key, which may be revoked or expired.
    pub key: ApiKey,
    /// Whose it is; none once the tenant is deleted.
    pub tenant: Option<Tenant>,
    /// Whether the session that it is bound to is still there; so too when it is bound to none.
    pub has_session: bool,
}

/// SHA-256 of a key's text.
type TextHash = [u8; 32];

/// Keys that were looked up.
pub(super) type Holders = Remembered<TextHash, Arc<Holder>>;

impl Storage {
    /// Who holds the key `text`; `None` where there is no such key, or only its session was left of it.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn holder(&self, text: &str) -> Result<Option<Arc<Holder>>, StorageError> {
        let hash: TextHash = Sha256::digest(text.as_bytes()).into();
        if let Some((moment, holder)) = self.holders.get(&hash)
            && self.holds_still(holder.key.tenant, moment)
        {
            return Ok(Some(holder));
        }
        let Some((tenant, id)) = self.read(&keys::key_by_hash(&hash)).await? else { return Ok(None) };
        let before = self.moment(tenant);
        let Some(key) = self.key_or_revoked(tenant, id).await? else { return Ok(None) };
        let holder = Arc::new(self.holder_of(key).await?);
        if let Some(moment) = before.filter(|moment| self.holds_still(tenant, *moment)) {
            self.holders.put(hash, moment, Arc::clone(&holder));
        }
        Ok(Some(holder))
    }

    /// Who holds a key that was read.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn holder_of(&self, key: ApiKey) -> Result<Holder, StorageError> {
        let tenant = self.tenant(key.tenant).await?;
        let has_session = match key.session {
            Some(session) => self.session(key.tenant, session).await?.is_some(),
            None => true,
        };
        Ok(Holder { key, tenant, has_session })
    }
}
