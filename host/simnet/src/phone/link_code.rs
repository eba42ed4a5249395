//! Linking by an eight-letter code: what the phone does with the code that its owner reads off the companion.
//!
//! The companion sends a one-time public key sealed with the code; the phone opens it, answers with one of its own sealed
//! the same way, and from the two and both identities follow the key of a bundle and the secret that `pair-success` is
//! authenticated with. A wrong code shows only when the bundle does not open. (As `pair_code.rs` of wacore 0.7.0 and
//! `messages-recv.js` of Baileys 7 do it from the other side.)

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use wacore_libsignal::crypto::{aes_256_cbc_encrypt_into, aes_256_gcm_decrypt};
use wacore_libsignal::protocol::{KeyPair, PublicKey};

use super::Phone;
use super::signal::raw;
use crate::random;

/// Salt, counter block and sealed key.
pub const WRAPPED_KEY_BYTES: usize = SALT_BYTES + COUNTER_BYTES + KEY_BYTES;

const CODE_LETTERS: usize = 8;
const ALPHABET: &str = "123456789ABCDEFGHJKLMNPQRSTVWXYZ";
/// As WhatsApp Web derives the key: 2^17 rounds of PBKDF2 with HMAC-SHA256.
const ROUNDS: u32 = 131_072;
const SALT_BYTES: usize = 32;
const COUNTER_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const BUNDLE_KEY_INFO: &[u8] = b"link_code_pairing_key_bundle_encryption_key";
const ADV_SECRET_INFO: &[u8] = b"adv_secret";

/// Why a code did not lead to a link.
#[derive(Debug, thiserror::Error)]
pub enum LinkCodeError {
    /// The text is no code at all.
    #[error("link code {0:?} is not {CODE_LETTERS} letters and digits without 0, I, O and U")]
    NotACode(String),
    /// The companion shows another code.
    #[error("this is not the code that the client shows")]
    WrongCode,
    /// A key or a seal has the wrong form.
    #[error("link code: {0}")]
    Malformed(String),
}

/// What the phone holds between its answer and the companion's bundle.
pub struct EnteredCode {
    companion_ephemeral: PublicKey,
    ephemeral: KeyPair,
    /// The phone's one-time public key, sealed with the code.
    pub wrapped: [u8; WRAPPED_KEY_BYTES],
}

/// The code as it is used: capital letters, without the dash that people see.
pub fn normal_link_code(text: &str) -> Result<String, LinkCodeError> {
    let code: String =
        text.chars().filter(|letter| !matches!(letter, '-' | ' ')).map(|letter| letter.to_ascii_uppercase()).collect();
    let is_code = code.chars().count() == CODE_LETTERS && code.chars().all(|letter| ALPHABET.contains(letter));
    if is_code { Ok(code) } else { Err(LinkCodeError::NotACode(text.to_owned())) }
}

impl EnteredCode {
    /// Opens the companion's key with the code and seals a fresh one for it. Takes a good part of a second, on purpose.
    pub fn new(code: &str, companion: &[u8; WRAPPED_KEY_BYTES]) -> Result<Self, LinkCodeError> {
        let (salt, rest) = companion.split_at(SALT_BYTES);
        let (counter, sealed) = rest.split_at(COUNTER_BYTES);
        let opened = apply_keystream(&derive_key(code, salt)?, counter, sealed)?;
        let companion_ephemeral = PublicKey::from_djb_public_key_bytes(&opened).map_err(malformed)?;
        let ephemeral = KeyPair::generate(&mut random::rng());
        let (salt, counter) = (random::bytes::<SALT_BYTES>(), random::bytes::<COUNTER_BYTES>());
        let sealed = apply_keystream(&derive_key(code, &salt)?, &counter, &raw(&ephemeral.public_key))?;
        let wrapped = [salt.as_slice(), &counter, &sealed].concat();
        let wrapped = wrapped.as_slice().try_into().map_err(malformed)?;
        Ok(Self { companion_ephemeral, ephemeral, wrapped })
    }
}

impl Phone {
    /// Opens the key bundle of a companion, and gives the secret that authenticates what the phone tells it next.
    pub fn open_link_bundle(
        &self,
        entered: &EnteredCode,
        bundle: &[u8],
        companion_identity: &[u8; KEY_BYTES],
    ) -> Result<[u8; KEY_BYTES], LinkCodeError> {
        let too_short = || LinkCodeError::Malformed(format!("key bundle of {} bytes is too short", bundle.len()));
        let (salt, rest) = bundle.split_at_checked(SALT_BYTES).ok_or_else(too_short)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or_else(too_short)?;
        let shared = entered.ephemeral.private_key.calculate_agreement(&entered.companion_ephemeral).map_err(malformed)?;
        let key = expand(&shared, Some(salt), BUNDLE_KEY_INFO)?;
        let mut opened = Vec::with_capacity(sealed.len());
        aes_256_gcm_decrypt(&key, nonce, &[], sealed, &mut opened).map_err(|_| LinkCodeError::WrongCode)?;
        let own = &self.stores.identities.own;
        let (identities, random) = opened.split_at_checked(2 * KEY_BYTES).ok_or_else(too_short)?;
        if identities != [companion_identity.as_slice(), &raw(own.public_key())].concat() {
            return Err(LinkCodeError::Malformed("the identities in the key bundle are not those of the two".to_owned()));
        }
        let companion = PublicKey::from_djb_public_key_bytes(companion_identity).map_err(malformed)?;
        let identity_shared = own.private_key().calculate_agreement(&companion).map_err(malformed)?;
        expand(&[shared.as_slice(), &identity_shared, random].concat(), None, ADV_SECRET_INFO)
    }
}

fn malformed(error: impl ToString) -> LinkCodeError {
    LinkCodeError::Malformed(error.to_string())
}

fn expand(secret: &[u8], salt: Option<&[u8]>, info: &[u8]) -> Result<[u8; KEY_BYTES], LinkCodeError> {
    let mut key = [0; KEY_BYTES];
    Hkdf::<Sha256>::new(salt, secret).expand(info, &mut key).map_err(malformed)?;
    Ok(key)
}

/// PBKDF2 with HMAC-SHA256 for the one block that a key of 32 bytes is.
fn derive_key(code: &str, salt: &[u8]) -> Result<[u8; KEY_BYTES], LinkCodeError> {
    let keyed = Hmac::<Sha256>::new_from_slice(code.as_bytes()).map_err(malformed)?;
    let authenticate = |parts: &[&[u8]]| -> [u8; KEY_BYTES] {
        let mut mac = keyed.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    };
    let mut link = authenticate(&[salt, &1_u32.to_be_bytes()]);
    let mut key = link;
    for _ in 1..ROUNDS {
        link = authenticate(&[&link]);
        key.iter_mut().zip(link).for_each(|(byte, other)| *byte ^= other);
    }
    Ok(key)
}

/// AES-256-CTR over a counter of 128 bits. Each block of the key stream is the first block of a CBC encryption without
/// an IV; libsignal's own counter ends after 32 bits.
fn apply_keystream(key: &[u8; KEY_BYTES], counter: &[u8], bytes: &[u8]) -> Result<Vec<u8>, LinkCodeError> {
    let mut counter = u128::from_be_bytes(counter.try_into().map_err(malformed)?);
    let mut output = Vec::with_capacity(bytes.len());
    for block in bytes.chunks(COUNTER_BYTES) {
        let mut stream = Vec::new();
        aes_256_cbc_encrypt_into(&counter.to_be_bytes(), key, &[0; COUNTER_BYTES], &mut stream).map_err(malformed)?;
        output.extend(block.iter().zip(stream).map(|(byte, key)| byte ^ key));
        counter = counter.wrapping_add(1);
    }
    Ok(output)
}

#[cfg(test)]
pub(crate) mod tests {
    use wacore_libsignal::crypto::aes_256_gcm_encrypt;

    use super::{
        ADV_SECRET_INFO, BUNDLE_KEY_INFO, EnteredCode, KeyPair, LinkCodeError, Phone, PublicKey, WRAPPED_KEY_BYTES,
        apply_keystream, derive_key, expand, normal_link_code, random, raw,
    };

    const CODE: &str = "ABCD1234";

    /// The companion's side of the conversation.
    pub(crate) struct Companion {
        identity: KeyPair,
        ephemeral: KeyPair,
        code: String,
    }

    impl Companion {
        fn new(code: &str) -> Self {
            Self::of(code, KeyPair::generate(&mut random::rng()))
        }

        pub(crate) fn of(code: &str, identity: KeyPair) -> Self {
            Self { identity, ephemeral: KeyPair::generate(&mut random::rng()), code: code.to_owned() }
        }

        pub(crate) fn hello(&self) -> [u8; WRAPPED_KEY_BYTES] {
            let (salt, counter) = (random::bytes::<32>(), random::bytes::<16>());
            let key = derive_key(&self.code, &salt).unwrap();
            let sealed = apply_keystream(&key, &counter, &raw(&self.ephemeral.public_key)).unwrap();
            [salt.as_slice(), &counter, &sealed].concat().try_into().unwrap()
        }

        /// The bundle, and the secret that it expects to be used from now on.
        pub(crate) fn finish(&self, wrapped: &[u8], phone_identity: &[u8; 32]) -> (Vec<u8>, [u8; 32]) {
            let key = derive_key(&self.code, &wrapped[..32]).unwrap();
            let opened = apply_keystream(&key, &wrapped[32..48], &wrapped[48..]).unwrap();
            let agree = |own: &KeyPair, other: &[u8]| {
                own.private_key.calculate_agreement(&PublicKey::from_djb_public_key_bytes(other).unwrap()).unwrap()
            };
            let shared = agree(&self.ephemeral, &opened);
            let identity_shared = agree(&self.identity, phone_identity);
            let (random, salt, nonce) = (random::bytes::<32>(), random::bytes::<32>(), random::bytes::<12>());
            let bundle = [raw(&self.identity.public_key).as_slice(), phone_identity, &random].concat();
            let key = expand(&shared, Some(&salt), BUNDLE_KEY_INFO).unwrap();
            let mut wrapped = [salt.as_slice(), &nonce].concat();
            aes_256_gcm_encrypt(&key, &nonce, &[], &bundle, &mut wrapped).unwrap();
            let secret = expand(&[shared, identity_shared, random].concat(), None, ADV_SECRET_INFO).unwrap();
            (wrapped, secret)
        }
    }

    #[test]
    fn right_code_gives_both_sides_the_same_secret() {
        let phone = Phone::new("15550001111", "100000000000001", "Ann").unwrap();
        let companion = Companion::new(CODE);
        let entered = EnteredCode::new(CODE, &companion.hello()).unwrap();
        let (bundle, secret) = companion.finish(&entered.wrapped, &phone.identity());
        let identity = raw(&companion.identity.public_key);
        assert_eq!(phone.open_link_bundle(&entered, &bundle, &identity).unwrap(), secret);
        let other = phone.open_link_bundle(&entered, &bundle, &[9; 32]);
        assert!(matches!(other, Err(LinkCodeError::Malformed(_))));
        assert!(matches!(phone.open_link_bundle(&entered, &[0; 40], &identity), Err(LinkCodeError::Malformed(_))));
    }

    #[test]
    fn wrong_code_opens_nothing() {
        let phone = Phone::new("15550001111", "100000000000001", "Ann").unwrap();
        let companion = Companion::new(CODE);
        let entered = EnteredCode::new("WXYZ5678", &companion.hello()).unwrap();
        let (bundle, _) = companion.finish(&entered.wrapped, &phone.identity());
        let opened = phone.open_link_bundle(&entered, &bundle, &raw(&companion.identity.public_key));
        assert!(matches!(opened, Err(LinkCodeError::WrongCode)));
    }

    #[test]
    fn code_is_read_as_people_write_it() {
        assert_eq!(normal_link_code("abcd-1234").unwrap(), CODE);
        assert_eq!(normal_link_code("ABCD 1234").unwrap(), CODE);
        for text in ["", "ABCD123", "ABCD12345", "ABCD0123", "ABCDOIJK", "ÄBCD1234"] {
            assert!(matches!(normal_link_code(text), Err(LinkCodeError::NotACode(_))), "{text}");
        }
    }

    #[test]
    fn counter_carries_over_all_its_bits() {
        let whole = apply_keystream(&[7; 32], &[0xff; 16], &[0; 32]).unwrap();
        let second = apply_keystream(&[7; 32], &[0; 16], &[0; 16]).unwrap();
        assert_eq!(whole[16..], second[..]);
    }

    /// NIST SP 800-38A, F.5.5.
    #[test]
    fn key_stream_is_that_of_the_standard() {
        let key = hex::decode("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4").unwrap();
        let counter = hex::decode("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").unwrap();
        let plain = hex::decode("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51").unwrap();
        let sealed = apply_keystream(&key.try_into().unwrap(), &counter, &plain).unwrap();
        assert_eq!(hex::encode(sealed), "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5");
    }

    /// The expected key was made with Python's hashlib.
    #[test]
    fn key_derivation_matches_an_independent_one() {
        let key = derive_key("ABCD1234", &[3; 32]).unwrap();
        assert_eq!(hex::encode(key), EXPECTED_KEY);
    }

    const EXPECTED_KEY: &str = "cf0c7230636547787ea0c2bb9f75bdc2ac0b0d02e616d9cc9232f6cdd0e023a1";
}
