//! Who holds a key: read at every request, so it is remembered for as long as nothing of the account changes.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use sha2::{Digest, Sha256};

use super::changes::Moment;
use super::{Storage, StorageError, keys};
use crate::records::account::{ApiKey, Tenant};

/// Most keys that are remembered; with their tenants a kilobyte each, about.
const HOLDERS_MAX: usize = 8192;

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

/// Keys that were looked up, with the moment at which they were so.
#[derive(Default)]
pub(super) struct Holders(RwLock<HashMap<TextHash, (Moment, Arc<Holder>)>>);

impl Holders {
    fn get(&self, hash: &TextHash) -> Option<(Moment, Arc<Holder>)> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
    }

    fn put(&self, hash: TextHash, moment: Moment, holder: &Arc<Holder>) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= HOLDERS_MAX && !all.contains_key(&hash) {
            // Those that are used are soon there again.
            all.clear();
        }
        all.insert(hash, (moment, Arc::clone(holder)));
    }
}

impl Storage {
    /// Who holds the key `text`; `None` where there is no such key, or only its session was left of it.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn holder(&self, text: &str) -> Result<Option<Arc<Holder>>, StorageError> {
        let hash: TextHash = Sha256::digest(text.as_bytes()).into();
        let changes = self.engine.changes();
        // While storage is down nobody is let in, remembered or not.
        if let Some((moment, holder)) = self.holders.get(&hash).filter(|_| self.engine.health().is_ok())
            && changes.and_then(|changes| changes.moment(holder.key.tenant)) == Some(moment)
        {
            return Ok(Some(holder));
        }
        let Some((tenant, id)) = self.read(&keys::key_by_hash(&hash)).await? else { return Ok(None) };
        let before = changes.and_then(|changes| changes.moment(tenant));
        let Some(key) = self.key_or_revoked(tenant, id).await? else { return Ok(None) };
        let holder = Arc::new(self.holder_of(key).await?);
        let after = changes.and_then(|changes| changes.moment(tenant));
        if let Some(moment) = before.filter(|_| before == after) {
            self.holders.put(hash, moment, &holder);
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
