//! The server's keys and the certificate chain that vouches for its Noise key.
//!
//! A root of our own signs an intermediate, which signs the leaf; clients that pin another root must be told
//! ours. The chain is signed anew at each start; only the keys are kept.

use serde::{Deserialize, Serialize};
use wacore_libsignal::protocol::{CurveError, KeyPair, PrivateKey};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::CertChain;
use waproto::whatsapp::cert_chain::NoiseCertificate;
use waproto::whatsapp::cert_chain::noise_certificate::Details;

use crate::random;

/// Clients insist that the intermediate was issued by the root, whose serial is 0.
const ROOT_SERIAL: u32 = 0;
const INTERMEDIATE_SERIAL: u32 = 1;
const LEAF_SERIAL: u32 = 2;
/// Clients check the window against their own clock, which may differ from ours by hours.
const VALID_BEFORE_START_S: u64 = 2 * 24 * 3600;
const VALID_AFTER_START_S: u64 = 20 * 365 * 24 * 3600;

/// The private keys as they are stored.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredKeys {
    #[serde(with = "crate::hex_serde::array")]
    root: [u8; 32],
    #[serde(with = "crate::hex_serde::array")]
    intermediate: [u8; 32],
    #[serde(with = "crate::hex_serde::array")]
    leaf: [u8; 32],
}

impl StoredKeys {
    /// New random keys.
    pub(crate) fn generate() -> Self {
        Self { root: random::bytes(), intermediate: random::bytes(), leaf: random::bytes() }
    }
}

/// What the handshake needs.
pub(crate) struct ServerKeys {
    root_public: [u8; 32],
    /// The key pair that the leaf certificate names.
    pub(crate) leaf: KeyPair,
    /// The encoded `CertChain`.
    pub(crate) chain: Vec<u8>,
}

impl ServerKeys {
    /// Signs a chain for the stored keys, valid around `now_ms`.
    pub(crate) fn new(stored: &StoredKeys, now_ms: u64) -> Result<Self, CurveError> {
        let root = key_pair(&stored.root)?;
        let intermediate = key_pair(&stored.intermediate)?;
        let leaf = key_pair(&stored.leaf)?;
        let chain = CertChain {
            intermediate: MessageField::some(sign(&root, INTERMEDIATE_SERIAL, ROOT_SERIAL, &intermediate, now_ms)?),
            leaf: MessageField::some(sign(&intermediate, LEAF_SERIAL, INTERMEDIATE_SERIAL, &leaf, now_ms)?),
        };
        Ok(Self { root_public: public_bytes(&root), leaf, chain: chain.encode_to_vec() })
    }

    /// The key that clients must trust.
    pub(crate) fn root_public(&self) -> [u8; 32] {
        self.root_public
    }
}

/// The 32 bytes of a pair's public key.
pub(crate) fn public_bytes(pair: &KeyPair) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(pair.public_key.public_key_bytes()) {
        *to = *from;
    }
    bytes
}

fn key_pair(private: &[u8; 32]) -> Result<KeyPair, CurveError> {
    KeyPair::try_from(PrivateKey::deserialize(private)?)
}

fn sign(
    issuer: &KeyPair,
    serial: u32,
    issuer_serial: u32,
    subject: &KeyPair,
    now_ms: u64,
) -> Result<NoiseCertificate, CurveError> {
    let now_s = now_ms / 1000;
    let details = Details {
        serial: Some(serial),
        issuer_serial: Some(issuer_serial),
        key: Some(public_bytes(subject).to_vec()),
        not_before: Some(now_s.saturating_sub(VALID_BEFORE_START_S)),
        not_after: Some(now_s.saturating_add(VALID_AFTER_START_S)),
    }
    .encode_to_vec();
    let signature = issuer.calculate_signature(&details, &mut random::rng())?;
    Ok(NoiseCertificate { details: Some(details), signature: Some(signature.to_vec()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wacore_libsignal::protocol::PublicKey;

    fn holds(signer: &[u8], certificate: &NoiseCertificate) -> bool {
        let signer = PublicKey::from_djb_public_key_bytes(signer).unwrap();
        let (details, signature) = (certificate.details.as_deref().unwrap(), certificate.signature.as_deref().unwrap());
        signer.verify_signature(details, signature)
    }

    #[test]
    fn each_certificate_is_signed_by_the_one_above_it_and_by_no_other() {
        let keys = ServerKeys::new(&StoredKeys::generate(), 1_700_000_000_000).unwrap();
        let chain = CertChain::decode_from_slice(&keys.chain).unwrap();
        let (intermediate, leaf) = (chain.intermediate.into_option().unwrap(), chain.leaf.into_option().unwrap());
        let intermediate_details = Details::decode_from_slice(intermediate.details.as_deref().unwrap()).unwrap();
        let leaf_details = Details::decode_from_slice(leaf.details.as_deref().unwrap()).unwrap();
        let intermediate_key = intermediate_details.key.unwrap();
        assert!(holds(&keys.root_public(), &intermediate) && holds(&intermediate_key, &leaf));
        assert!(!holds(&keys.root_public(), &leaf) && !holds(&[9; 32], &intermediate));
        assert_eq!(intermediate_details.issuer_serial, Some(ROOT_SERIAL));
        assert_eq!(leaf_details.issuer_serial, intermediate_details.serial);
        assert_eq!(leaf_details.key.unwrap(), public_bytes(&keys.leaf));
    }
}
