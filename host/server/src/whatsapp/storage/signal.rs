//! What the Signal protocol remembers: identities, sessions, prekeys, signed prekeys and sender keys.
//!
//! An address is the key as it stands (`user@server`, `user:device@server`), so that all devices of one user lie
//! beside each other. Losing or resurrecting one of these rows breaks a conversation: each method is one commit.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use wacore::store::error::Result;
use wacore::store::traits::SignalStore;

use super::{DeviceBackend, SCAN_PAGE_ROWS_MAX, Tries, codec, database, tables};

#[async_trait]
impl SignalStore for DeviceBackend {
    async fn put_identity(&self, address: &str, key: [u8; 32]) -> Result<()> {
        self.put(tables::IDENTITIES, address.as_bytes(), &key).await
    }

    async fn put_identities_batch(&self, identities: &[(Arc<str>, [u8; 32])]) -> Result<()> {
        let mut batch = self.storage.batch();
        for (address, key) in identities {
            batch.put(tables::IDENTITIES, address.as_bytes(), key);
        }
        self.commit(batch).await
    }

    async fn load_identity(&self, address: &str) -> Result<Option<[u8; 32]>> {
        let Some(key) = self.get(tables::IDENTITIES, address.as_bytes()).await? else {
            return Ok(None);
        };
        key.try_into().map(Some).map_err(|_| codec::corrupt("identity"))
    }

    async fn delete_identity(&self, address: &str) -> Result<()> {
        self.delete(tables::IDENTITIES, address.as_bytes()).await
    }

    async fn get_session(&self, address: &str) -> Result<Option<Bytes>> {
        Ok(self.get(tables::SESSIONS, address.as_bytes()).await?.map(Bytes::from))
    }

    async fn put_session(&self, address: &str, session: &[u8]) -> Result<()> {
        self.put(tables::SESSIONS, address.as_bytes(), session).await
    }

    async fn put_sessions_batch(&self, sessions: &[(Arc<str>, Bytes)]) -> Result<()> {
        let mut batch = self.storage.batch();
        for (address, session) in sessions {
            batch.put(tables::SESSIONS, address.as_bytes(), session);
        }
        self.commit(batch).await
    }

    async fn delete_session(&self, address: &str) -> Result<()> {
        self.delete(tables::SESSIONS, address.as_bytes()).await
    }

    async fn has_signal_state_for_user(&self, user: &str) -> Result<bool> {
        // The byte after the user keeps user 123 from finding the rows of user 1234.
        for end in ['@', ':'] {
            let prefix = format!("{user}{end}");
            if self.has_any(tables::SESSIONS, prefix.as_bytes()).await?
                || self.has_any(tables::IDENTITIES, prefix.as_bytes()).await?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn store_prekey(&self, id: u32, record: &[u8], uploaded: bool) -> Result<()> {
        self.put(tables::PREKEYS, &id.to_be_bytes(), &codec::flagged(uploaded, record)).await
    }

    async fn store_prekeys_batch(&self, keys: &[(u32, Bytes)], uploaded: bool) -> Result<()> {
        let mut batch = self.storage.batch();
        for (id, record) in keys {
            batch.put(tables::PREKEYS, &id.to_be_bytes(), &codec::flagged(uploaded, record));
        }
        self.commit(batch).await
    }

    async fn load_prekey(&self, id: u32) -> Result<Option<Bytes>> {
        let Some(value) = self.get(tables::PREKEYS, &id.to_be_bytes()).await? else {
            return Ok(None);
        };
        let (_, record) = codec::split_flagged(&value)?;
        Ok(Some(Bytes::copy_from_slice(record)))
    }

    async fn load_prekeys_batch(&self, ids: &[u32]) -> Result<Vec<(u32, Bytes)>> {
        // Asked for with hundreds of neighbouring ids after each login: a few pages instead of a read for each.
        let mut wanted: BTreeSet<u32> = ids.iter().copied().collect();
        let mut found = Vec::with_capacity(wanted.len());
        while let Some(first) = wanted.first() {
            let before = first.checked_sub(1).map(u32::to_be_bytes);
            let after = before.as_ref().map(|key| key.as_slice());
            let page = self.scan_page(tables::PREKEYS, b"", after).await?;
            let is_last = page.len() < SCAN_PAGE_ROWS_MAX;
            let mut seen = u32::MAX;
            for (key, value) in page {
                seen = codec::id_of(&key)?;
                if wanted.remove(&seen) {
                    let (_, record) = codec::split_flagged(&value)?;
                    found.push((seen, Bytes::copy_from_slice(record)));
                }
            }
            if is_last {
                break;
            }
            // What was wanted before the end of the page and not in it does not exist.
            wanted = wanted.split_off(&seen);
        }
        Ok(found)
    }

    async fn mark_prekeys_uploaded(&self, ids: &[u32]) -> Result<()> {
        let mut tries = Tries::of("mark_prekeys_uploaded");
        loop {
            let mut batch = self.storage.batch();
            for id in ids {
                let key = id.to_be_bytes();
                // A peer may have consumed the key while the upload was under way; then it must stay deleted.
                let Some((value, stamp)) = self.get_stamped(tables::PREKEYS, &key).await? else {
                    continue;
                };
                let (uploaded, record) = codec::split_flagged(&value)?;
                if !uploaded {
                    batch.unchanged(tables::PREKEYS, &key, Some(&stamp));
                    batch.put(tables::PREKEYS, &key, &codec::flagged(true, record));
                }
            }
            if self.commit_if_unchanged(batch, &mut tries).await? {
                return Ok(());
            }
        }
    }

    async fn remove_prekey(&self, id: u32) -> Result<()> {
        self.delete(tables::PREKEYS, &id.to_be_bytes()).await
    }

    async fn get_max_prekey_id(&self) -> Result<u32> {
        let last = self.storage.last_key(tables::PREKEYS, b"").await.map_err(database)?;
        last.map_or(Ok(0), |key| codec::id_of(&key))
    }

    async fn store_signed_prekey(&self, id: u32, record: &[u8]) -> Result<()> {
        self.put(tables::SIGNED_PREKEYS, &id.to_be_bytes(), record).await
    }

    async fn load_signed_prekey(&self, id: u32) -> Result<Option<Vec<u8>>> {
        self.get(tables::SIGNED_PREKEYS, &id.to_be_bytes()).await
    }

    async fn load_all_signed_prekeys(&self) -> Result<Vec<(u32, Vec<u8>)>> {
        let rows = self.scan_all(tables::SIGNED_PREKEYS, b"").await?;
        rows.into_iter().map(|(key, record)| Ok((codec::id_of(&key)?, record))).collect()
    }

    async fn remove_signed_prekey(&self, id: u32) -> Result<()> {
        self.delete(tables::SIGNED_PREKEYS, &id.to_be_bytes()).await
    }

    async fn put_sender_key(&self, address: &str, record: &[u8]) -> Result<()> {
        self.put(tables::SENDER_KEYS, address.as_bytes(), record).await
    }

    async fn put_sender_keys_batch(&self, sender_keys: &[(Arc<str>, Bytes)]) -> Result<()> {
        let mut batch = self.storage.batch();
        for (address, record) in sender_keys {
            batch.put(tables::SENDER_KEYS, address.as_bytes(), record);
        }
        self.commit(batch).await
    }

    async fn get_sender_key(&self, address: &str) -> Result<Option<Vec<u8>>> {
        self.get(tables::SENDER_KEYS, address.as_bytes()).await
    }

    async fn delete_sender_key(&self, address: &str) -> Result<()> {
        self.delete(tables::SENDER_KEYS, address.as_bytes()).await
    }
}
