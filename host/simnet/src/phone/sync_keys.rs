//! The keys under which an account's devices seal their app state, and the messages that carry them between devices.
//!
//! The phone makes them and gives all of them to each of its companions: what was sealed under an old key is still
//! part of the state. Everybody seals what is new under the last one.

use serde::{Deserialize, Serialize};
use waproto::buffa::MessageField;
use waproto::whatsapp::Message;
use waproto::whatsapp::message::{
    AppStateSyncKey, AppStateSyncKeyData, AppStateSyncKeyFingerprint, AppStateSyncKeyId, AppStateSyncKeyShare,
    ProtocolMessage, protocol_message::Type as ProtocolType,
};

use super::adv::Companions;
use crate::random;

/// Keys of one account. Each unlinking makes one; at the limit the last one stays in use.
const KEYS_MAX: usize = 256;
/// A key id says in two bytes which device made the key; companions' own keys may have other lengths.
const KEY_ID_BYTES_MAX: usize = 32;
const KEY_BYTES: usize = 32;

/// All keys, in the order in which they came into use.
#[derive(Serialize, Deserialize)]
pub(super) struct SyncKeys {
    keys: Vec<SyncKey>,
}

/// One key.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SyncKey {
    #[serde(with = "crate::hex_serde::blob")]
    pub(super) id: Vec<u8>,
    #[serde(with = "crate::hex_serde::array")]
    pub(super) data: [u8; KEY_BYTES],
    made_at_ms: u64,
}

impl SyncKeys {
    /// A first key.
    pub(super) fn new(now_ms: u64) -> Self {
        Self { keys: vec![SyncKey::new(u32::from_le_bytes(random::bytes()) >> 1, now_ms)] }
    }

    /// The key under which the phone seals.
    pub(super) fn current(&self) -> Option<&SyncKey> {
        self.keys.last()
    }

    /// The key of this id.
    pub(super) fn find(&self, id: &[u8]) -> Option<&SyncKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// The ids, oldest first.
    pub(super) fn ids(&self) -> impl Iterator<Item = &[u8]> {
        self.keys.iter().map(|key| key.id.as_slice())
    }

    /// Makes a new key and uses it from now on; false when there is no room for another.
    pub(super) fn rotate(&mut self, now_ms: u64) -> bool {
        if self.keys.len() >= KEYS_MAX {
            tracing::warn!(limit = KEYS_MAX, "a phone has too many app-state keys to make another");
            return false;
        }
        let epoch = self.current().map_or(0, SyncKey::epoch).wrapping_add(1);
        self.keys.push(SyncKey::new(epoch, now_ms));
        true
    }

    /// Keeps the keys that a companion has made; false when there was nothing new. The phone goes on with its own.
    pub(super) fn learn(&mut self, share: &AppStateSyncKeyShare) -> bool {
        let mut learned = false;
        for key in &share.keys {
            let (Some(id), Some(data)) = (key.key_id.key_id.as_ref(), key.key_data.key_data.as_deref()) else {
                continue;
            };
            let Ok(data) = <[u8; KEY_BYTES]>::try_from(data) else { continue };
            let room = self.keys.len() < KEYS_MAX && (1..=KEY_ID_BYTES_MAX).contains(&id.len());
            if room && self.find(id).is_none() {
                let made_at_ms = key.key_data.timestamp.and_then(|at| u64::try_from(at).ok()).unwrap_or(0);
                self.keys.insert(0, SyncKey { id: id.clone(), data, made_at_ms });
                learned = true;
            }
        }
        learned
    }

    /// Keeps the keys of a share in place of its own, in their order.
    #[cfg(test)]
    pub(super) fn adopt(&mut self, share: &AppStateSyncKeyShare) {
        self.keys.clear();
        let newest_first = share.keys.iter().rev().cloned().collect();
        self.learn(&AppStateSyncKeyShare { keys: newest_first });
    }

    /// The message that hands keys to a companion: all of them, or those it asked for. One that is asked for and not
    /// there is named without its data, as the answer of wacore 0.7.0 (`build_app_state_sync_key_share`) does it.
    pub(super) fn share(&self, companions: &Companions, wanted: Option<&[Vec<u8>]>) -> Message {
        let keys = match wanted {
            None => self.keys.iter().map(|key| key.shared(companions)).collect(),
            Some(wanted) => wanted.iter().take(KEYS_MAX).map(|id| self.answer(companions, id)).collect(),
        };
        Message {
            protocol_message: MessageField::some(ProtocolMessage {
                r#type: Some(ProtocolType::APP_STATE_SYNC_KEY_SHARE),
                app_state_sync_key_share: MessageField::some(AppStateSyncKeyShare { keys }),
                ..ProtocolMessage::default()
            }),
            ..Message::default()
        }
    }

    fn answer(&self, companions: &Companions, id: &[u8]) -> AppStateSyncKey {
        match self.find(id) {
            Some(key) => key.shared(companions),
            None => AppStateSyncKey {
                key_id: MessageField::some(AppStateSyncKeyId { key_id: Some(id.to_vec()) }),
                key_data: MessageField::default(),
            },
        }
    }
}

impl SyncKey {
    fn new(epoch: u32, now_ms: u64) -> Self {
        // Two bytes for the device that makes the key, here the phone, and four that count the keys.
        let mut id = vec![0, 0];
        id.extend_from_slice(&epoch.to_be_bytes());
        Self { id, data: random::bytes(), made_at_ms: now_ms }
    }

    fn epoch(&self) -> u32 {
        self.id.last_chunk().map_or(0, |epoch| u32::from_be_bytes(*epoch))
    }

    fn shared(&self, companions: &Companions) -> AppStateSyncKey {
        let fingerprint = AppStateSyncKeyFingerprint {
            raw_id: Some(companions.raw_id()),
            current_index: Some(companions.current_index()),
            device_indexes: companions.valid_indexes(),
        };
        let data = AppStateSyncKeyData {
            key_data: Some(self.data.to_vec()),
            fingerprint: MessageField::some(fingerprint),
            timestamp: Some(i64::try_from(self.made_at_ms).unwrap_or(i64::MAX)),
        };
        AppStateSyncKey {
            key_id: MessageField::some(AppStateSyncKeyId { key_id: Some(self.id.clone()) }),
            key_data: MessageField::some(data),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AppStateSyncKeyShare, Companions, KEYS_MAX, SyncKeys};

    const NOW: u64 = 1_700_000_000_000;

    fn share(keys: &SyncKeys, wanted: Option<&[Vec<u8>]>) -> AppStateSyncKeyShare {
        let message = keys.share(&Companions::new(NOW / 1000), wanted);
        message.protocol_message.into_option().unwrap().app_state_sync_key_share.into_option().unwrap()
    }

    #[test]
    fn newest_key_comes_last_and_is_used() {
        let mut keys = SyncKeys::new(NOW);
        let first = keys.current().unwrap().id.clone();
        assert!(keys.rotate(NOW));
        let second = keys.current().unwrap().id.clone();
        assert_ne!(first, second);
        let shared: Vec<_> = share(&keys, None).keys.iter().map(|key| key.key_id.key_id.clone().unwrap()).collect();
        assert_eq!(shared, [first, second]);
    }

    #[test]
    fn only_the_keys_that_were_asked_for_are_shared() {
        let mut keys = SyncKeys::new(NOW);
        let first = keys.current().unwrap().id.clone();
        keys.rotate(NOW);
        let answer = share(&keys, Some(&[first.clone(), vec![9; 6]]));
        assert_eq!(answer.keys.len(), 2);
        assert_eq!(answer.keys[0].key_id.key_id.as_ref(), Some(&first));
        assert!(answer.keys[0].key_data.is_set());
        assert!(!answer.keys[1].key_data.is_set(), "an unknown key has no data");
    }

    #[test]
    fn companions_keys_are_learned_once_and_never_used() {
        let mut phone = SyncKeys::new(NOW);
        let mut companion = SyncKeys::new(NOW);
        companion.rotate(NOW);
        let own = phone.current().unwrap().id.clone();
        let offered = share(&companion, None);
        assert!(phone.learn(&offered));
        assert!(!phone.learn(&offered));
        assert_eq!(phone.current().unwrap().id, own);
        assert!(phone.find(&companion.current().unwrap().id).is_some());
    }

    #[test]
    fn keys_have_a_limit() {
        let mut keys = SyncKeys::new(NOW);
        while keys.rotate(NOW) {}
        assert_eq!(keys.ids().count(), KEYS_MAX);
        let last = keys.current().unwrap().id.clone();
        assert!(!keys.rotate(NOW));
        assert_eq!(keys.current().unwrap().id, last);
    }
}
