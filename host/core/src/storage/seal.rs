//! Secrets at rest: sealed with XChaCha20-Poly1305 under a key derived from the master key, bound to where they are stored.
//!
//! The whole storage key is the associated data, and it begins with tenant and record type: a sealed value that is moved
//! to another tenant, session or type does not open.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::{StorageError, keys};
use crate::entropy::{Entropy, SystemEntropy};

/// Bytes of a master key.
pub const MASTER_KEY_BYTES: usize = 32;
/// Bytes of an XChaCha20 nonce: long enough to be drawn at random for ever.
const NONCE_BYTES: usize = 24;
/// First byte of a sealed value: how it was sealed.
const SEALED_V1: u8 = 1;

/// The key that everything secret hangs from.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey([u8; MASTER_KEY_BYTES]);

impl MasterKey {
    /// A key from its bytes.
    pub fn new(bytes: [u8; MASTER_KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// A new key.
    pub fn draw(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; MASTER_KEY_BYTES];
        entropy.fill(&mut bytes);
        Self(bytes)
    }

    /// A key from 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        hex::decode(text.trim()).ok()?.try_into().ok().map(Self)
    }

    /// The 64 hexadecimal digits of the key, for the one file that keeps it.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// A key for one purpose, from which neither the master key nor a key of another purpose follows.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&self.0).expect("HMAC takes any key");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// Seals and opens values.
pub struct Vault {
    cipher: XChaCha20Poly1305,
}

impl Vault {
    /// A vault under `master_key`.
    pub fn new(master_key: MasterKey) -> Self {
        Self { cipher: XChaCha20Poly1305::new(&master_key.derive("switchboard storage v1").into()) }
    }

    /// `plain`, sealed for the place `key`.
    pub fn seal(&self, key: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        SystemEntropy.fill(&mut nonce);
        let payload = Payload { msg: plain, aad: key };
        #[expect(clippy::expect_used, reason = "encryption fails only beyond 256 GiB, and values end at 64 MiB")]
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).expect("values are far below the cipher's limit");
        let mut value = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
        value.push(SEALED_V1);
        value.extend_from_slice(&nonce);
        value.extend_from_slice(&sealed);
        value
    }

    /// What was sealed for the place `key`.
    ///
    /// # Errors
    /// [`StorageError::WrongMasterKey`] when it does not open.
    pub fn open(&self, key: &[u8], value: &[u8]) -> Result<Vec<u8>, StorageError> {
        let refused = || StorageError::WrongMasterKey { record_type: keys::record_type(key) };
        let (version, rest) = value.split_first().ok_or_else(refused)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or_else(refused)?;
        if *version != SEALED_V1 {
            return Err(refused());
        }
        self.cipher.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: key }).map_err(|_| refused())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_in_its_place_and_under_its_key() {
        let vault = Vault::new(MasterKey::new([1; 32]));
        let sealed = vault.seal(b"here", b"secret");
        assert_eq!(vault.open(b"here", &sealed).unwrap(), b"secret");
        assert!(vault.open(b"there", &sealed).is_err());
        assert!(Vault::new(MasterKey::new([2; 32])).open(b"here", &sealed).is_err());
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        for cut in 0..sealed.len() {
            assert!(vault.open(b"here", &sealed[..cut]).is_err());
        }
    }

    #[test]
    fn the_same_value_is_never_sealed_the_same_way_twice() {
        let vault = Vault::new(MasterKey::new([1; 32]));
        assert_ne!(vault.seal(b"here", b"secret"), vault.seal(b"here", b"secret"));
    }

    #[test]
    fn a_master_key_does_not_show_itself() {
        assert_eq!(format!("{:?}", MasterKey::new([7; 32])), "MasterKey(..)");
    }
}
