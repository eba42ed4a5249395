//! The secrets of single messages, with which later edits, votes and reactions to them are decrypted.
//!
//! History sync brings them by the thousand and they live for weeks, so their deadlines are indexed.
//! Value: the deadline (0 = never), the time of the message (0 = unknown), the 32 bytes.

use std::collections::BTreeMap;

use async_trait::async_trait;
use wacore::store::error::Result;
use wacore::store::traits::{
    MessageSecret, MsgSecretEntry, MsgSecretStore, merge_msg_secret_expiry, merge_msg_secret_message_ts,
};

use super::expiry::TimedTable;
use super::{DeviceBackend, Tries, codec, tables};

const SECRETS: TimedTable = TimedTable { rows: tables::MSG_SECRETS, by_time: tables::MSG_SECRETS_BY_DEADLINE };

/// The deadline of a secret which is kept for ever.
const NEVER: i64 = 0;

#[derive(Clone, Copy)]
struct StoredSecret {
    secret: MessageSecret,
    expires_at: i64,
    message_ts: i64,
}

impl StoredSecret {
    /// This secret, stored where there may be `older` already: a window never shrinks, a known time is never lost.
    fn over(self, older: Option<Self>) -> Self {
        let Some(older) = older else {
            return self;
        };
        Self {
            secret: self.secret,
            expires_at: merge_msg_secret_expiry(older.expires_at, self.expires_at),
            message_ts: merge_msg_secret_message_ts(older.message_ts, self.message_ts),
        }
    }

    fn to_value(self) -> Vec<u8> {
        let mut content = self.message_ts.to_be_bytes().to_vec();
        content.extend_from_slice(&self.secret);
        codec::timed(self.expires_at, &content)
    }

    fn from_value(value: &[u8]) -> Result<Self> {
        let (expires_at, content) = codec::split_timed(value)?;
        let (message_ts, secret) = codec::split_time(content)?;
        let secret = secret.try_into().map_err(|_| codec::corrupt("message secret"))?;
        Ok(Self { secret, expires_at, message_ts })
    }
}

#[async_trait]
impl MsgSecretStore for DeviceBackend {
    async fn put_msg_secrets(&self, entries: Vec<MsgSecretEntry>) -> Result<usize> {
        let count = entries.len();
        // One call may name a message twice; the batch is built from reads made before it, so they meet here.
        let mut secrets: BTreeMap<Vec<u8>, StoredSecret> = BTreeMap::new();
        for entry in entries {
            let key = secret_key(&entry.chat, &entry.sender, &entry.msg_id);
            let MsgSecretEntry { secret, expires_at, message_ts, .. } = entry;
            let secret = StoredSecret { secret, expires_at, message_ts }.over(secrets.get(&key).copied());
            secrets.insert(key, secret);
        }
        self.merge_secrets(&secrets).await?;
        Ok(count)
    }

    async fn get_msg_secret(&self, chat: &str, sender: &str, msg_id: &str) -> Result<Option<Vec<u8>>> {
        let found = self.get_msg_secret_with_ts(chat, sender, msg_id).await?;
        Ok(found.map(|(secret, _)| secret))
    }

    async fn get_msg_secret_with_ts(&self, chat: &str, sender: &str, msg_id: &str) -> Result<Option<(Vec<u8>, i64)>> {
        let Some(value) = self.get(SECRETS.rows, &secret_key(chat, sender, msg_id)).await? else {
            return Ok(None);
        };
        let stored = StoredSecret::from_value(&value)?;
        Ok(Some((stored.secret.to_vec(), stored.message_ts)))
    }

    async fn delete_expired_msg_secrets(&self, cutoff_timestamp: i64) -> Result<u32> {
        // A deadline at the cutoff has passed too.
        self.delete_older("delete_expired_msg_secrets", SECRETS, cutoff_timestamp.saturating_add(1)).await
    }
}

impl DeviceBackend {
    async fn merge_secrets(&self, secrets: &BTreeMap<Vec<u8>, StoredSecret>) -> Result<()> {
        let mut tries = Tries::of("put_msg_secrets");
        loop {
            let mut batch = self.storage.batch();
            for (key, secret) in secrets {
                let (older, stamp) = match self.get_stamped(SECRETS.rows, key).await? {
                    Some((value, stamp)) => (Some(StoredSecret::from_value(&value)?), Some(stamp)),
                    None => (None, None),
                };
                let merged = secret.over(older);
                batch.unchanged(SECRETS.rows, key, stamp.as_ref());
                batch.put(SECRETS.rows, key, &merged.to_value());
                if let Some(older) = older
                    && older.expires_at != merged.expires_at
                {
                    batch.delete(SECRETS.by_time, &codec::time_key(older.expires_at, key));
                }
                if merged.expires_at != NEVER {
                    batch.put(SECRETS.by_time, &codec::time_key(merged.expires_at, key), codec::NOTHING);
                }
            }
            if self.commit_if_unchanged(batch, &mut tries).await? {
                return Ok(());
            }
        }
    }
}

fn secret_key(chat: &str, sender: &str, msg_id: &str) -> Vec<u8> {
    codec::composed(&[chat.as_bytes(), sender.as_bytes()], msg_id.as_bytes())
}
