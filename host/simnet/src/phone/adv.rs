//! The account's side of linking: which companions belong to it, and the signatures that prove it.
//!
//! The phone signs a companion's identity at linking, the companion signs back, and the signed list of key
//! indexes tells everybody else which companions still count. Invariant: a key index is never given out twice.

use std::sync::OnceLock;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use wacore_libsignal::protocol::{IdentityKeyPair, PublicKey};
use waproto::buffa::Message as _;
use waproto::whatsapp::{
    ADVDeviceIdentity, ADVEncryptionType, ADVKeyIndexList, ADVSignedDeviceIdentity, ADVSignedDeviceIdentityHMAC,
    ADVSignedKeyIndexList,
};

use super::error::PhoneError;
use super::pairing_code::PairingCode;
use super::signal::raw;
use super::types::LinkedIdentity;
use crate::random;

/// Set before what is signed, so that one kind of signature cannot pass for another.
const ACCOUNT_SIGNATURE: &[u8] = &[6, 0];
const DEVICE_SIGNATURE: &[u8] = &[6, 1];
const KEY_INDEX_LIST_SIGNATURE: &[u8] = &[6, 2];

/// The key index of the phone itself; companions count up from it.
const PHONE_KEY_INDEX: u32 = 0;

/// The companions of an account and what was signed for them.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Companions {
    raw_id: u32,
    next_key_index: u32,
    /// When a companion was last linked or unlinked, in seconds since the Unix epoch.
    changed_at: u64,
    linked: Vec<Companion>,
    /// The signed list of key indexes until the next change: everybody asks for it, and a signature is dear.
    #[serde(skip)]
    signed_list: OnceLock<Vec<u8>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Companion {
    device: u16,
    key_index: u32,
    #[serde(with = "crate::hex_serde::array")]
    identity: [u8; 32],
    /// The exact bytes that both sides sign.
    #[serde(with = "crate::hex_serde::blob")]
    details: Vec<u8>,
}

impl Companions {
    pub(super) fn new(now_seconds: u64) -> Self {
        Self {
            // Clients that drop the top bit must still see the same id.
            raw_id: u32::from_le_bytes(random::bytes()) >> 1,
            next_key_index: PHONE_KEY_INDEX + 1,
            changed_at: now_seconds,
            linked: Vec::new(),
            signed_list: OnceLock::new(),
        }
    }

    pub(super) fn raw_id(&self) -> u32 {
        self.raw_id
    }

    pub(super) fn changed_at(&self) -> u64 {
        self.changed_at
    }

    /// The key index of the latest companion, or the phone's own.
    pub(super) fn current_index(&self) -> u32 {
        self.next_key_index.saturating_sub(1)
    }

    /// The indexes that count now, the phone's first.
    pub(super) fn valid_indexes(&self) -> Vec<u32> {
        let linked = self.linked.iter().map(|companion| companion.key_index);
        std::iter::once(PHONE_KEY_INDEX).chain(linked).collect()
    }

    /// Signs the identity in `code` as companion `device`; a companion of that number before it counts no more.
    pub(super) fn link(
        &mut self,
        account: &IdentityKeyPair,
        code: &PairingCode,
        device: u16,
        now_seconds: u64,
    ) -> Result<LinkedIdentity, PhoneError> {
        if device == 0 {
            return Err(PhoneError::NotACompanion { device });
        }
        let key_index = self.next_key_index;
        let details = ADVDeviceIdentity {
            raw_id: Some(self.raw_id),
            timestamp: Some(now_seconds),
            key_index: Some(key_index),
            account_type: Some(ADVEncryptionType::E2EE),
            device_type: Some(ADVEncryptionType::E2EE),
        }
        .encode_to_vec();
        let signature = sign(account, &[ACCOUNT_SIGNATURE, &details, &code.identity_public].concat())?;
        let signed = ADVSignedDeviceIdentity {
            details: Some(details.clone()),
            account_signature_key: Some(raw(account.public_key()).to_vec()),
            account_signature: Some(signature),
            device_signature: None,
        };
        let device_identity_hmac = authenticate(&code.adv_secret, &signed)?;
        self.unlink(device, now_seconds);
        self.linked.push(Companion { device, key_index, identity: code.identity_public, details });
        self.next_key_index = key_index.saturating_add(1);
        self.changed_at = now_seconds;
        self.signed_list = OnceLock::new();
        Ok(LinkedIdentity { device_identity_hmac, key_index })
    }

    /// False when the device was not linked.
    pub(super) fn unlink(&mut self, device: u16, now_seconds: u64) -> bool {
        let before = self.linked.len();
        self.linked.retain(|companion| companion.device != device);
        let unlinked = self.linked.len() < before;
        if unlinked {
            self.changed_at = now_seconds;
            self.signed_list = OnceLock::new();
        }
        unlinked
    }

    /// Checks that the device itself signed what the phone gave it.
    pub(super) fn verify(&self, account: &PublicKey, device: u16, signed: &[u8]) -> Result<(), PhoneError> {
        let companion =
            self.linked.iter().find(|companion| companion.device == device).ok_or(PhoneError::NotLinked { device })?;
        let refused = |problem| PhoneError::IdentityNotSigned { device, problem };
        let signed = waproto::codec::adv_signed_device_identity_decode(signed)
            .map_err(|source| PhoneError::Undecodable { what: "signed device identity", source })?;
        if signed.details.as_deref() != Some(companion.details.as_slice()) {
            return Err(refused("its details are not the ones it was given"));
        }
        let signature = signed.device_signature.ok_or_else(|| refused("it has no device signature"))?;
        let covered = [DEVICE_SIGNATURE, &companion.details, &companion.identity, &raw(account)].concat();
        let identity = PublicKey::from_djb_public_key_bytes(&companion.identity)?;
        if identity.verify_signature(&covered, &signature) {
            Ok(())
        } else {
            Err(refused("its device signature does not fit its identity key"))
        }
    }

    /// The bytes of `<key-index-list>`: which key indexes count, signed by the account.
    pub(super) fn key_index_list(&self, account: &IdentityKeyPair) -> Result<Vec<u8>, PhoneError> {
        if let Some(signed) = self.signed_list.get() {
            return Ok(signed.clone());
        }
        let signed = self.sign_key_index_list(account)?;
        Ok(self.signed_list.get_or_init(|| signed).clone())
    }

    fn sign_key_index_list(&self, account: &IdentityKeyPair) -> Result<Vec<u8>, PhoneError> {
        let details = waproto::codec::adv_key_index_list_to_vec(&ADVKeyIndexList {
            raw_id: Some(self.raw_id),
            timestamp: Some(self.changed_at),
            current_index: Some(self.current_index()),
            valid_indexes: self.valid_indexes(),
            account_type: Some(ADVEncryptionType::E2EE),
        });
        let signature = sign(account, &[KEY_INDEX_LIST_SIGNATURE, &details].concat())?;
        Ok(waproto::codec::adv_signed_key_index_list_to_vec(&ADVSignedKeyIndexList {
            details: Some(details),
            account_signature: Some(signature),
            account_signature_key: Some(raw(account.public_key()).to_vec()),
        }))
    }
}

fn sign(account: &IdentityKeyPair, covered: &[u8]) -> Result<Vec<u8>, PhoneError> {
    let signature = account.private_key().calculate_signature(covered, &mut random::rng())?;
    Ok(signature.to_vec())
}

/// Wraps a signed identity so that only whoever showed the code takes it for genuine.
fn authenticate(secret: &[u8; 32], signed: &ADVSignedDeviceIdentity) -> Result<Vec<u8>, PhoneError> {
    let details = waproto::codec::adv_signed_device_identity_to_vec(signed);
    let mut mac = Hmac::<Sha256>::new_from_slice(secret)
        .map_err(|error| PhoneError::CodeField { field: "adv secret", problem: error.to_string() })?;
    mac.update(&details);
    Ok(ADVSignedDeviceIdentityHMAC {
        hmac: Some(mac.finalize().into_bytes().to_vec()),
        details: Some(details),
        account_type: None,
    }
    .encode_to_vec())
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use sha2::Sha256;
    use wacore_libsignal::protocol::{IdentityKeyPair, KeyPair, PublicKey};
    use waproto::whatsapp::ADVSignedDeviceIdentity;

    use super::{Companions, PairingCode, PhoneError, raw};
    use crate::random;

    const NOW: u64 = 1_700_000_000;

    fn code(client: &KeyPair) -> PairingCode {
        PairingCode {
            reference: "2@abc".to_owned(),
            noise_public: [1; 32],
            identity_public: raw(&client.public_key),
            adv_secret: [7; 32],
        }
    }

    /// What a client does with `pair-success`: check all, then sign.
    fn accept(client: &KeyPair, bytes: &[u8]) -> ADVSignedDeviceIdentity {
        let container = waproto::codec::adv_signed_device_identity_hmac_decode(bytes).unwrap();
        let signed = container.details.unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();
        mac.update(&signed);
        mac.verify_slice(&container.hmac.unwrap()).unwrap();
        let mut signed = waproto::codec::adv_signed_device_identity_decode(&signed).unwrap();
        let details = signed.details.clone().unwrap();
        let account = signed.account_signature_key.clone().unwrap();
        let identity = raw(&client.public_key);
        let covered = [[6, 0].as_slice(), details.as_slice(), identity.as_slice()].concat();
        let account_key = PublicKey::from_djb_public_key_bytes(&account).unwrap();
        assert!(account_key.verify_signature(&covered, signed.account_signature.as_deref().unwrap()));
        let covered = [[6, 1].as_slice(), details.as_slice(), identity.as_slice(), account.as_slice()].concat();
        let signature = client.calculate_signature(&covered, &mut random::rng()).unwrap();
        signed.device_signature = Some(signature.to_vec());
        signed
    }

    #[test]
    fn client_and_phone_accept_each_others_signatures() {
        let account = IdentityKeyPair::generate(&mut random::rng());
        let client = KeyPair::generate(&mut random::rng());
        let mut companions = Companions::new(NOW);
        let linked = companions.link(&account, &code(&client), 1, NOW).unwrap();
        let signed = accept(&client, &linked.device_identity_hmac);
        let bytes = waproto::codec::adv_signed_device_identity_to_vec(&signed);
        companions.verify(account.public_key(), 1, &bytes).unwrap();
    }

    #[test]
    fn identity_signed_by_another_key_is_refused() {
        let account = IdentityKeyPair::generate(&mut random::rng());
        let client = KeyPair::generate(&mut random::rng());
        let mut companions = Companions::new(NOW);
        let linked = companions.link(&account, &code(&client), 1, NOW).unwrap();
        let mut signed = accept(&client, &linked.device_identity_hmac);
        let stranger = KeyPair::generate(&mut random::rng());
        let signature = stranger.calculate_signature(b"anything", &mut random::rng()).unwrap();
        signed.device_signature = Some(signature.to_vec());
        let bytes = waproto::codec::adv_signed_device_identity_to_vec(&signed);
        let public = account.public_key();
        let refused = companions.verify(public, 1, &bytes);
        assert!(matches!(refused, Err(PhoneError::IdentityNotSigned { device: 1, .. })));
        assert!(matches!(companions.verify(public, 2, &bytes), Err(PhoneError::NotLinked { device: 2 })));
        assert!(matches!(companions.verify(public, 1, &[0xff; 9]), Err(PhoneError::Undecodable { .. })));
    }

    #[test]
    fn key_index_is_never_given_twice() {
        let account = IdentityKeyPair::generate(&mut random::rng());
        let client = KeyPair::generate(&mut random::rng());
        let mut companions = Companions::new(NOW);
        let first = companions.link(&account, &code(&client), 1, NOW).unwrap();
        assert!(companions.unlink(1, NOW));
        let second = companions.link(&account, &code(&client), 1, NOW).unwrap();
        assert_ne!(first.key_index, second.key_index);
        assert_eq!(companions.valid_indexes(), [0, second.key_index]);
        assert!(matches!(companions.link(&account, &code(&client), 0, NOW), Err(PhoneError::NotACompanion { device: 0 })));
    }

    #[test]
    fn key_index_list_names_the_linked_companions() {
        let account = IdentityKeyPair::generate(&mut random::rng());
        let client = KeyPair::generate(&mut random::rng());
        let mut companions = Companions::new(NOW);
        let linked = companions.link(&account, &code(&client), 1, NOW).unwrap();
        let bytes = companions.key_index_list(&account).unwrap();
        let signed = waproto::codec::adv_signed_key_index_list_decode(&bytes).unwrap();
        let details = signed.details.unwrap();
        let covered = [[6, 2].as_slice(), details.as_slice()].concat();
        let signature = signed.account_signature.unwrap();
        assert!(account.public_key().verify_signature(&covered, &signature));
        let list = waproto::codec::adv_key_index_list_decode(&details).unwrap();
        assert_eq!(list.valid_indexes, [0, linked.key_index]);
        assert_eq!(list.current_index, Some(linked.key_index));
        assert_eq!(list.timestamp, Some(NOW));
    }
}
