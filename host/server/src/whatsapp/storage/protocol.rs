//! What the client remembers about the network around it: who has our sender keys, which LID is which phone number,
//! the devices of other users, and messages which may have to be sent or handed over once more.

use std::slice;

use async_trait::async_trait;
use wacore::store::error::{Result, StoreError};
use wacore::store::traits::{
    DeviceListRecord, LidPnMappingEntry, PendingInboundKey, PendingInboundRow, ProtocolStore, TcTokenEntry,
};
use wacore::time::now_secs;

use super::expiry::TimedTable;
use super::{DeviceBackend, Tries, codec, database, tables, tc_token};

const SENT: TimedTable = TimedTable { rows: tables::SENT_MESSAGES, by_time: tables::SENT_MESSAGES_BY_TIME };

// Ages are taken from the library's clock, because the cutoffs of its sweeps are.
#[async_trait]
impl ProtocolStore for DeviceBackend {
    async fn get_sender_key_devices(&self, group_jid: &str) -> Result<Vec<(String, bool)>> {
        let prefix = pair_key(group_jid, "");
        let rows = self.scan_all(tables::SENDER_KEY_DEVICES, &prefix).await?;
        rows.into_iter()
            .map(|(key, value)| {
                let (has_key, _) = codec::split_flagged(&value)?;
                Ok((codec::text_after(&prefix, &key)?, has_key))
            })
            .collect()
    }

    async fn set_sender_key_status(&self, group_jid: &str, entries: &[(&str, bool)]) -> Result<()> {
        let mut batch = self.storage.batch();
        for (device_jid, has_key) in entries {
            let value = codec::flagged(*has_key, b"");
            batch.put(tables::SENDER_KEY_DEVICES, &pair_key(group_jid, device_jid), &value);
            batch.put(tables::SENDER_KEY_GROUPS, &pair_key(device_jid, group_jid), codec::NOTHING);
        }
        self.commit(batch).await
    }

    async fn clear_sender_key_devices(&self, group_jid: &str) -> Result<()> {
        let prefix = pair_key(group_jid, "");
        let mut batch = self.storage.batch();
        // A device added meanwhile keeps its entry in the index, which then points at no row. That does no harm; a row
        // without an entry would, and the prefix takes the rows with it.
        for (key, _) in self.scan_all(tables::SENDER_KEY_DEVICES, &prefix).await? {
            let device_jid = codec::text_after(&prefix, &key)?;
            batch.delete(tables::SENDER_KEY_GROUPS, &pair_key(&device_jid, group_jid));
        }
        batch.delete_prefix(tables::SENDER_KEY_DEVICES, &prefix);
        self.commit(batch).await
    }

    async fn delete_sender_key_device_rows(&self, device_jids: &[&str]) -> Result<()> {
        let mut batch = self.storage.batch();
        for device_jid in device_jids {
            let prefix = pair_key(device_jid, "");
            for (key, _) in self.scan_all(tables::SENDER_KEY_GROUPS, &prefix).await? {
                let group_jid = codec::text_after(&prefix, &key)?;
                batch.delete(tables::SENDER_KEY_DEVICES, &pair_key(&group_jid, device_jid));
                batch.delete(tables::SENDER_KEY_GROUPS, &key);
            }
        }
        self.commit(batch).await
    }

    async fn clear_all_sender_key_devices(&self) -> Result<()> {
        let mut batch = self.storage.batch();
        batch.delete_prefix(tables::SENDER_KEY_DEVICES, b"");
        batch.delete_prefix(tables::SENDER_KEY_GROUPS, b"");
        self.commit(batch).await
    }

    async fn get_lid_mapping(&self, lid: &str) -> Result<Option<LidPnMappingEntry>> {
        self.get_json(tables::LID_MAPPINGS, lid.as_bytes()).await
    }

    async fn get_pn_mapping(&self, phone: &str) -> Result<Option<LidPnMappingEntry>> {
        let prefix = pair_key(phone, "");
        let mut newest: Option<LidPnMappingEntry> = None;
        for (key, _) in self.scan_all(tables::PHONE_LIDS, &prefix).await? {
            let lid = codec::text_after(&prefix, &key)?;
            let Some(entry) = self.get_lid_mapping(&lid).await? else {
                continue;
            };
            // A LID which has moved to another number leaves its old entry in the index.
            let is_current = entry.phone_number == phone;
            if is_current && newest.as_ref().is_none_or(|known| known.updated_at <= entry.updated_at) {
                newest = Some(entry);
            }
        }
        Ok(newest)
    }

    async fn put_lid_mapping(&self, entry: &LidPnMappingEntry) -> Result<()> {
        self.put_lid_mappings(slice::from_ref(entry)).await
    }

    async fn put_lid_mappings(&self, entries: &[LidPnMappingEntry]) -> Result<()> {
        let mut batch = self.storage.batch();
        for entry in entries {
            batch.put(tables::LID_MAPPINGS, entry.lid.as_bytes(), &codec::to_json(entry)?);
            batch.put(tables::PHONE_LIDS, &pair_key(&entry.phone_number, &entry.lid), codec::NOTHING);
        }
        self.commit(batch).await
    }

    async fn get_all_lid_mappings(&self) -> Result<Vec<LidPnMappingEntry>> {
        let rows = self.scan_all(tables::LID_MAPPINGS, b"").await?;
        rows.iter().map(|(_, value)| codec::from_json(value)).collect()
    }

    async fn save_base_key(&self, address: &str, message_id: &str, base_key: &[u8]) -> Result<()> {
        self.put(tables::BASE_KEYS, &pair_key(address, message_id), base_key).await
    }

    async fn has_same_base_key(&self, address: &str, message_id: &str, current_base_key: &[u8]) -> Result<bool> {
        let saved = self.get(tables::BASE_KEYS, &pair_key(address, message_id)).await?;
        Ok(saved.is_some_and(|saved| saved == current_base_key))
    }

    async fn delete_base_key(&self, address: &str, message_id: &str) -> Result<()> {
        self.delete(tables::BASE_KEYS, &pair_key(address, message_id)).await
    }

    async fn update_device_list(&self, record: DeviceListRecord) -> Result<()> {
        self.update_device_lists(vec![record]).await
    }

    async fn update_device_lists(&self, records: Vec<DeviceListRecord>) -> Result<()> {
        let mut batch = self.storage.batch();
        for record in &records {
            batch.put(tables::DEVICE_LISTS, record.user.as_bytes(), &codec::to_json(record)?);
        }
        self.commit(batch).await
    }

    async fn get_devices(&self, user: &str) -> Result<Option<DeviceListRecord>> {
        self.get_json(tables::DEVICE_LISTS, user.as_bytes()).await
    }

    async fn delete_devices(&self, user: &str) -> Result<()> {
        self.delete(tables::DEVICE_LISTS, user.as_bytes()).await
    }

    async fn get_group_metadata(&self, group_jid: &str) -> Result<Option<Vec<u8>>> {
        self.get(tables::GROUP_METADATA, group_jid.as_bytes()).await
    }

    async fn put_group_metadata(&self, group_jid: &str, blob: &[u8]) -> Result<()> {
        self.put(tables::GROUP_METADATA, group_jid.as_bytes(), blob).await
    }

    async fn delete_group_metadata(&self, group_jid: &str) -> Result<()> {
        self.delete(tables::GROUP_METADATA, group_jid.as_bytes()).await
    }

    async fn get_tc_token(&self, jid: &str) -> Result<Option<TcTokenEntry>> {
        self.get_json(tables::TC_TOKENS, jid.as_bytes()).await
    }

    async fn put_tc_token(&self, jid: &str, entry: &TcTokenEntry) -> Result<()> {
        self.put(tables::TC_TOKENS, jid.as_bytes(), &codec::to_json(entry)?).await
    }

    async fn delete_tc_token(&self, jid: &str) -> Result<()> {
        self.delete(tables::TC_TOKENS, jid.as_bytes()).await
    }

    async fn get_all_tc_token_jids(&self) -> Result<Vec<String>> {
        let rows = self.scan_all(tables::TC_TOKENS, b"").await?;
        rows.iter().map(|(key, _)| codec::text_after(b"", key)).collect()
    }

    async fn delete_expired_tc_tokens(&self, token_cutoff: i64, sender_cutoff: i64) -> Result<u32> {
        let is_expired = move |value: &[u8]| -> Result<bool> {
            let entry = codec::from_json::<TcTokenEntry>(value)?;
            Ok(tc_token::is_expired(&entry, token_cutoff, sender_cutoff))
        };
        self.delete_where("delete_expired_tc_tokens", tables::TC_TOKENS, is_expired).await
    }

    async fn touch_tc_token_sender_timestamp(&self, jid: &str, sender_timestamp: i64) -> Result<()> {
        let change = move |entry| tc_token::with_sent(entry, sender_timestamp);
        self.change_tc_token("touch_tc_token_sender_timestamp", jid, change).await
    }

    async fn store_received_tc_token(&self, jid: &str, token: &[u8], token_timestamp: i64) -> Result<()> {
        let change = move |entry| tc_token::with_received(entry, token, token_timestamp);
        self.change_tc_token("store_received_tc_token", jid, change).await
    }

    async fn store_sent_message(&self, chat_jid: &str, message_id: &str, payload: &[u8]) -> Result<()> {
        let key = pair_key(chat_jid, message_id);
        let stored_at = now_secs();
        let mut batch = self.storage.batch();
        batch.put(SENT.rows, &key, &codec::timed(stored_at, payload));
        batch.put(SENT.by_time, &codec::time_key(stored_at, &key), codec::NOTHING);
        self.commit(batch).await
    }

    async fn take_sent_message(&self, chat_jid: &str, message_id: &str) -> Result<Option<Vec<u8>>> {
        let key = pair_key(chat_jid, message_id);
        let mut tries = Tries::of("take_sent_message");
        loop {
            let Some((value, stamp)) = self.get_stamped(SENT.rows, &key).await? else {
                return Ok(None);
            };
            let (stored_at, payload) = codec::split_timed(&value)?;
            let mut batch = self.storage.batch();
            // Of two receipts for one message only one may take it, or it is sent again twice.
            batch.unchanged(SENT.rows, &key, Some(&stamp));
            batch.delete(SENT.rows, &key);
            batch.delete(SENT.by_time, &codec::time_key(stored_at, &key));
            if self.commit_if_unchanged(batch, &mut tries).await? {
                return Ok(Some(payload.to_vec()));
            }
        }
    }

    async fn delete_expired_sent_messages(&self, cutoff_timestamp: i64) -> Result<u32> {
        self.delete_older("delete_expired_sent_messages", SENT, cutoff_timestamp).await
    }

    async fn store_pending_inbound(&self, chat: &str, sender: &str, id: &str, message: &[u8]) -> Result<()> {
        self.store_pending_inbound_batch(&[PendingInboundRow { chat, sender, id, message }]).await
    }

    async fn get_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<Option<Vec<u8>>> {
        let Some(value) = self.get(tables::PENDING_INBOUND, &inbound_key(chat, sender, id)).await? else {
            // The library asks this of a message that it has decrypted before. `None` makes it confirm it, an error does not.
            return match &self.repetitions {
                Some(repetitions) if repetitions.is_lost(chat, sender, id).await.map_err(database)? => Err(
                    StoreError::Validation(format!("message {id} was lost after it was decrypted; it is asked for again")),
                ),
                _ => Ok(None),
            };
        };
        let (_, message) = codec::split_timed(&value)?;
        Ok(Some(message.to_vec()))
    }

    async fn delete_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<()> {
        self.delete_pending_inbound_batch(&[PendingInboundKey { chat, sender, id }]).await
    }

    async fn delete_expired_pending_inbound(&self, cutoff_timestamp: i64) -> Result<u32> {
        let is_expired = move |value: &[u8]| -> Result<bool> {
            let (stored_at, _) = codec::split_timed(value)?;
            Ok(stored_at < cutoff_timestamp)
        };
        self.delete_where("delete_expired_pending_inbound", tables::PENDING_INBOUND, is_expired).await
    }

    async fn store_pending_inbound_batch(&self, rows: &[PendingInboundRow<'_>]) -> Result<()> {
        let stored_at = now_secs();
        let mut batch = self.storage.batch();
        for row in rows {
            let key = inbound_key(row.chat, row.sender, row.id);
            batch.put(tables::PENDING_INBOUND, &key, &codec::timed(stored_at, row.message));
        }
        self.commit(batch).await
    }

    async fn delete_pending_inbound_batch(&self, keys: &[PendingInboundKey<'_>]) -> Result<()> {
        let mut batch = self.storage.batch();
        for key in keys {
            batch.delete(tables::PENDING_INBOUND, &inbound_key(key.chat, key.sender, key.id));
        }
        self.commit(batch).await
    }
}

fn pair_key(first: &str, second: &str) -> Vec<u8> {
    codec::composed(&[first.as_bytes()], second.as_bytes())
}

fn inbound_key(chat: &str, sender: &str, id: &str) -> Vec<u8> {
    codec::composed(&[chat.as_bytes(), sender.as_bytes()], id.as_bytes())
}
