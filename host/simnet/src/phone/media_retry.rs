//! The seal around "upload this file again" and its answer.
//!
//! AES-256-GCM under a key that HKDF-SHA256 makes from the file's media key, with the message's id as additional data.
//! (As `media_retry.rs` of wacore 0.7.0 and `messages-media.js` of Baileys 7 have it.)

use hkdf::Hkdf;
use sha2::Sha256;
use wacore_libsignal::crypto::{aes_256_gcm_decrypt, aes_256_gcm_encrypt};
use waproto::buffa::Message as _;
use waproto::whatsapp::media_retry_notification::ResultType;
use waproto::whatsapp::{MediaRetryNotification, ServerErrorReceipt};

use super::error::PhoneError;
use crate::random;

const KEY_INFO: &[u8] = b"WhatsApp Media Retry Notification";

/// The `<encrypt>` of a request or an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedRetry {
    /// `<enc_iv>`.
    pub iv: [u8; 12],
    /// `<enc_p>`.
    pub bytes: Vec<u8>,
}

/// Whether a request was sealed by somebody who has this media key, for this message.
pub(super) fn opens(media_key: &[u8], id: &str, sealed: &SealedRetry) -> bool {
    let Ok(key) = retry_key(media_key) else { return false };
    let mut plain = Vec::new();
    aes_256_gcm_decrypt(&key, &sealed.iv, id.as_bytes(), &sealed.bytes, &mut plain).is_ok()
        && ServerErrorReceipt::decode_from_slice(&plain).is_ok_and(|receipt| receipt.stanza_id.as_deref() == Some(id))
}

/// Seals an answer: the file's new path, or why there is none.
pub fn seal_retry_answer(media_key: &[u8], id: &str, found: Result<&str, ResultType>) -> Result<SealedRetry, PhoneError> {
    let answer = MediaRetryNotification {
        stanza_id: Some(id.to_owned()),
        direct_path: found.ok().map(str::to_owned),
        result: Some(found.err().unwrap_or(ResultType::SUCCESS)),
        ..MediaRetryNotification::default()
    };
    let iv = random::bytes();
    let mut bytes = Vec::new();
    aes_256_gcm_encrypt(&retry_key(media_key)?, &iv, id.as_bytes(), &answer.encode_to_vec(), &mut bytes)
        .map_err(|error| PhoneError::Media(error.to_string()))?;
    Ok(SealedRetry { iv, bytes })
}

fn retry_key(media_key: &[u8]) -> Result<[u8; 32], PhoneError> {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(None, media_key).expand(KEY_INFO, &mut key).map_err(|error| PhoneError::Media(error.to_string()))?;
    Ok(key)
}

/// The client's side of the exchange, for tests.
#[cfg(test)]
pub(crate) mod client {
    use super::{
        MediaRetryNotification, SealedRetry, ServerErrorReceipt, aes_256_gcm_decrypt, aes_256_gcm_encrypt, random, retry_key,
    };
    use waproto::buffa::Message as _;

    /// Seals a request.
    pub(crate) fn seal_request(media_key: &[u8], id: &str) -> SealedRetry {
        let receipt = ServerErrorReceipt { stanza_id: Some(id.to_owned()) };
        let (iv, mut bytes) = (random::bytes(), Vec::new());
        let key = retry_key(media_key).unwrap();
        aes_256_gcm_encrypt(&key, &iv, id.as_bytes(), &receipt.encode_to_vec(), &mut bytes).unwrap();
        SealedRetry { iv, bytes }
    }

    /// Opens an answer.
    pub(crate) fn open_answer(media_key: &[u8], id: &str, sealed: &SealedRetry) -> MediaRetryNotification {
        let mut plain = Vec::new();
        let key = retry_key(media_key).unwrap();
        aes_256_gcm_decrypt(&key, &sealed.iv, id.as_bytes(), &sealed.bytes, &mut plain).unwrap();
        MediaRetryNotification::decode_from_slice(&plain).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::{ResultType, client, opens, seal_retry_answer};

    #[test]
    fn request_opens_with_the_files_key_and_for_its_message_only() {
        let request = client::seal_request(&[7; 32], "A1");
        assert!(opens(&[7; 32], "A1", &request));
        assert!(!opens(&[8; 32], "A1", &request) && !opens(&[7; 32], "A2", &request));
    }

    #[test]
    fn answer_names_the_new_path_or_says_why_there_is_none() {
        let sealed = seal_retry_answer(&[7; 32], "A1", Ok("/v/image/x.enc")).unwrap();
        let answer = client::open_answer(&[7; 32], "A1", &sealed);
        assert_eq!((answer.result, answer.direct_path.as_deref()), (Some(ResultType::SUCCESS), Some("/v/image/x.enc")));
        assert_eq!(answer.stanza_id.as_deref(), Some("A1"));
        let sealed = seal_retry_answer(&[7; 32], "A1", Err(ResultType::NOT_FOUND)).unwrap();
        let answer = client::open_answer(&[7; 32], "A1", &sealed);
        assert_eq!((answer.result, answer.direct_path), (Some(ResultType::NOT_FOUND), None));
    }
}
