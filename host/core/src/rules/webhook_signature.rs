//! Signs webhooks as the Standard Webhooks specification has it: over `{id}.{timestamp}.{body}`, with one secret or several.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::{Ed25519KeyPair, KeyPair};
use sha2::Sha256;

use crate::entropy::Entropy;
use crate::records::webhook::SigningMethod;

/// What a shared secret begins with.
pub const SECRET_PREFIX: &str = "whsec_";
/// What a signing key begins with.
pub const SIGNING_KEY_PREFIX: &str = "whsk_";
/// What a public key begins with.
pub const PUBLIC_KEY_PREFIX: &str = "whpk_";
/// Fewest bytes of a shared secret.
pub const SECRET_BYTES_MIN: usize = 24;
/// Most bytes of a shared secret.
pub const SECRET_BYTES_MAX: usize = 64;
/// Bytes of a secret that the host draws.
const SECRET_BYTES: usize = 32;
/// Bytes of the seed that an ed25519 key pair follows from. The key's text carries the public half behind it.
const SEED_BYTES: usize = 32;

/// Why a secret cannot be used. Never repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Not in one of the forms.
    #[error("a secret is {SECRET_PREFIX} and the base64 of {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes")]
    Form,
    /// No key pair.
    #[error("a signing key is {SIGNING_KEY_PREFIX} and the base64 of an ed25519 key pair")]
    SigningKey,
    /// No secret at all.
    #[error("there is no secret to sign with")]
    None,
}

/// A new secret or signing key.
pub fn draw_secret(method: SigningMethod, entropy: &dyn Entropy) -> Result<String, SecretError> {
    let mut bytes = [0; SECRET_BYTES];
    entropy.fill(&mut bytes);
    if method == SigningMethod::Hmac {
        return Ok(format!("{SECRET_PREFIX}{}", BASE64.encode(bytes)));
    }
    let pair = Ed25519KeyPair::from_seed_unchecked(&bytes).map_err(|_| SecretError::SigningKey)?;
    Ok(format!("{SIGNING_KEY_PREFIX}{}", BASE64.encode([&bytes, pair.public_key().as_ref()].concat())))
}

/// Whether a customer's own secret can be used with HMAC.
///
/// # Errors
/// [`SecretError::Form`].
pub fn check_secret(text: &str) -> Result<(), SecretError> {
    shared_key(text).map(|_| ())
}

fn shared_key(text: &str) -> Result<Vec<u8>, SecretError> {
    let encoded = text.strip_prefix(SECRET_PREFIX).ok_or(SecretError::Form)?;
    let key = BASE64.decode(encoded).map_err(|_| SecretError::Form)?;
    if (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&key.len()) { Ok(key) } else { Err(SecretError::Form) }
}

fn key_pair(text: &str) -> Result<Ed25519KeyPair, SecretError> {
    let encoded = text.strip_prefix(SIGNING_KEY_PREFIX).ok_or(SecretError::SigningKey)?;
    let bytes = BASE64.decode(encoded).map_err(|_| SecretError::SigningKey)?;
    let (seed, public) = bytes.split_at_checked(SEED_BYTES).ok_or(SecretError::SigningKey)?;
    Ed25519KeyPair::from_seed_and_public_key(seed, public).map_err(|_| SecretError::SigningKey)
}

/// The public half of a signing key, for the receiver.
///
/// # Errors
/// [`SecretError::SigningKey`].
pub fn public_key(text: &str) -> Result<String, SecretError> {
    Ok(format!("{PUBLIC_KEY_PREFIX}{}", BASE64.encode(key_pair(text)?.public_key())))
}

/// The value of `webhook-signature`: one signature of each secret, in their order. `id` must hold no dot.
///
/// # Errors
/// When there is no secret, or one cannot be used.
pub fn sign<'a>(
    id: &str,
    timestamp_s: u64,
    body: &[u8],
    secrets: impl IntoIterator<Item = &'a str>,
) -> Result<String, SecretError> {
    let mut content = format!("{id}.{timestamp_s}.").into_bytes();
    content.extend_from_slice(body);
    let mut signatures = Vec::new();
    for secret in secrets {
        signatures.push(if secret.starts_with(SIGNING_KEY_PREFIX) {
            format!("v1a,{}", BASE64.encode(key_pair(secret)?.sign(&content)))
        } else {
            format!("v1,{}", BASE64.encode(hmac_sha256(&shared_key(secret)?, &content)))
        });
    }
    if signatures.is_empty() { Err(SecretError::None) } else { Ok(signatures.join(" ")) }
}

/// HMAC-SHA256 in hex of these parts, one behind the other, with the whole text of the secret as its key: how other services' own
/// headers sign.
pub fn hex_signature(secret: &str, parts: &[&[u8]]) -> String {
    hex::encode(hmac_sha256(secret.as_bytes(), &parts.concat()))
}

fn hmac_sha256(key: &[u8], content: &[u8]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key");
    mac.update(content);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;
    use crate::entropy::SeededEntropy;

    /// The example of the specification's own libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    #[test]
    fn an_hmac_signature_is_that_of_the_specification() {
        let signed = sign(ID, 1_614_265_330, BODY, [SECRET]).unwrap();
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_secret_signs_so_that_a_receiver_with_either_is_content() {
        let other = draw_secret(SigningMethod::Hmac, &SeededEntropy::new(1)).unwrap();
        let signed = sign(ID, 1, BODY, [SECRET, &other]).unwrap();
        let expected = [sign(ID, 1, BODY, [SECRET]).unwrap(), sign(ID, 1, BODY, [other.as_str()]).unwrap()];
        assert_eq!(signed, expected.join(" "));
        assert_eq!(sign(ID, 1, BODY, []), Err(SecretError::None));
    }

    #[test]
    fn an_ed25519_signature_is_checked_with_the_public_key_alone() {
        let key = draw_secret(SigningMethod::Ed25519, &SeededEntropy::new(2)).unwrap();
        let public = BASE64.decode(public_key(&key).unwrap().strip_prefix("whpk_").unwrap()).unwrap();
        let signed = sign(ID, 7, BODY, [key.as_str()]).unwrap();
        let signature = BASE64.decode(signed.strip_prefix("v1a,").unwrap()).unwrap();
        let content = [format!("{ID}.7.").as_bytes(), BODY].concat();
        let public = UnparsedPublicKey::new(&ED25519, public);
        assert!(public.verify(&content, &signature).is_ok());
        assert!(public.verify(b"other", &signature).is_err());
    }

    #[test]
    fn a_secret_of_too_few_or_too_many_bytes_is_refused() {
        let of = |bytes: usize| format!("whsec_{}", BASE64.encode(vec![7; bytes]));
        for bytes in [24, 32, 64] {
            assert_eq!(check_secret(&of(bytes)), Ok(()), "{bytes}");
        }
        for text in [of(23), of(65), "whsec_***".to_owned(), "secret".to_owned(), String::new()] {
            assert_eq!(check_secret(&text), Err(SecretError::Form), "{text}");
        }
        assert_eq!(public_key(SECRET), Err(SecretError::SigningKey));
        assert_eq!(public_key("whsk_AAAA"), Err(SecretError::SigningKey));
    }

    #[test]
    fn the_hex_signature_takes_the_whole_text_as_its_key() {
        // RFC 4231, test case 2.
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex_signature("Jefe", &[b"what do ya want ", b"for nothing?"]), expected);
    }
}
