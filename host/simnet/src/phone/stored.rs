//! The part of a phone that is stored as one record: who it is, its own keys, its companions.

use serde::{Deserialize, Serialize};
use wacore_libsignal::protocol::{IdentityKeyPair, KeyPair, PrivateKey};

use super::adv::Companions;
use super::error::PhoneError;
use super::signal::{SignedPreKeys, Stores, key_pair};
use super::sync_keys::SyncKeys;
use crate::random;

/// The key of the record.
pub(super) const CORE_RECORD: &str = "core";

/// Prekey ids travel in three bytes.
const PREKEY_ID_MAX: u32 = 0x00ff_ffff;

/// Registration ids have 14 bits, and 0 means none.
const REGISTRATION_ID_MASK: u16 = 0x3fff;

/// Everything of a phone that does not change with each message.
#[derive(Serialize, Deserialize)]
pub(super) struct Core {
    pub(super) number: String,
    pub(super) lid: String,
    pub(super) name: String,
    #[serde(with = "crate::hex_serde::array")]
    identity_private: [u8; 32],
    registration_id: u32,
    signed_prekey: StoredSignedPreKey,
    next_prekey_id: u32,
    pub(super) sync_keys: SyncKeys,
    pub(super) companions: Companions,
}

#[derive(Serialize, Deserialize)]
struct StoredSignedPreKey {
    id: u32,
    #[serde(with = "crate::hex_serde::array")]
    private: [u8; 32],
    #[serde(with = "crate::hex_serde::array")]
    signature: [u8; 64],
}

impl Core {
    pub(super) fn new(number: &str, lid: &str, name: &str, now_ms: u64) -> Result<Self, PhoneError> {
        let identity = KeyPair::generate(&mut random::rng());
        let signed = KeyPair::generate(&mut random::rng());
        let signature = identity.calculate_signature(&signed.public_key.serialize(), &mut random::rng())?;
        let registration_id = u16::from_le_bytes(random::bytes()) & REGISTRATION_ID_MASK;
        Ok(Self {
            number: number.to_owned(),
            lid: lid.to_owned(),
            name: name.to_owned(),
            identity_private: *identity.private_key.serialize(),
            registration_id: u32::from(registration_id.max(1)),
            signed_prekey: StoredSignedPreKey { id: 1, private: *signed.private_key.serialize(), signature },
            next_prekey_id: 1,
            sync_keys: SyncKeys::new(now_ms),
            companions: Companions::new(now_ms / 1000),
        })
    }

    /// Empty stores around the keys of this phone.
    pub(super) fn stores(&self) -> Result<Stores, PhoneError> {
        let identity = IdentityKeyPair::try_from(PrivateKey::deserialize(&self.identity_private)?)?;
        let signed = SignedPreKeys {
            id: self.signed_prekey.id,
            pair: key_pair(&self.signed_prekey.private)?,
            signature: self.signed_prekey.signature,
        };
        Ok(Stores::new(identity, self.registration_id, signed))
    }

    /// An id for a new one-time prekey.
    pub(super) fn take_prekey_id(&mut self) -> u32 {
        let id = self.next_prekey_id;
        self.next_prekey_id = if id >= PREKEY_ID_MAX { 1 } else { id + 1 };
        id
    }
}
