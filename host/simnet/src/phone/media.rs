//! How files are sealed before they are uploaded, and opened after they were downloaded.
//!
//! From the 32-byte media key HKDF-SHA256 makes 112 bytes: 16 of IV, 32 of cipher key, 32 of MAC key and 32 that nobody
//! uses here. The file is AES-256-CBC, followed by the first 10 bytes of an HMAC-SHA256 over IV and ciphertext. (As the
//! client libraries do it: `download.rs` of wacore 0.7.0, `messages-media` of Baileys 7.)

use bytes::Bytes;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wacore_libsignal::crypto::{aes_256_cbc_decrypt_into, aes_256_cbc_encrypt_into};

use super::error::PhoneError;
use crate::random;

const IV_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
const EXPANDED_BYTES: usize = 112;
const MAC_BYTES: usize = 10;

/// What a file is; each kind has keys of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A film, or a GIF, which travels as a film.
    Video,
    /// A recording or a voice note.
    Audio,
    /// Any other file.
    Document,
    /// A sticker, with the keys of a picture.
    Sticker,
    /// Several stickers in one file.
    StickerPack,
    /// A part of the history for a new companion.
    History,
    /// A snapshot or patch of the app state that is too large for a stanza.
    AppState,
}

impl MediaKind {
    fn info(self) -> &'static [u8] {
        match self {
            Self::Image | Self::Sticker => b"WhatsApp Image Keys",
            Self::Video => b"WhatsApp Video Keys",
            Self::Audio => b"WhatsApp Audio Keys",
            Self::Document => b"WhatsApp Document Keys",
            Self::StickerPack => b"WhatsApp Sticker Pack Keys",
            Self::History => b"WhatsApp History Keys",
            Self::AppState => b"WhatsApp App State Keys",
        }
    }

    /// Its name in the paths of the media hosts.
    pub fn path_name(self) -> &'static str {
        match self {
            Self::Image | Self::Sticker => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Document => "document",
            Self::StickerPack => "sticker-pack",
            Self::History => "md-msg-hist",
            Self::AppState => "md-app-state",
        }
    }
}

/// A sealed file, and what a message says about it.
#[derive(Debug, Clone)]
pub struct SealedMedia {
    /// The media key.
    pub key: [u8; 32],
    /// The bytes to upload.
    pub sealed: Bytes,
    /// The hash of the file.
    pub sha256: [u8; 32],
    /// The hash of the sealed bytes.
    pub sealed_sha256: [u8; 32],
    /// The length of the file in bytes.
    pub bytes: u64,
    /// Where the media hosts serve it.
    pub direct_path: String,
}

struct Keys {
    iv: [u8; IV_BYTES],
    cipher: [u8; KEY_BYTES],
    mac: [u8; KEY_BYTES],
}

/// Seals a file under a new key.
pub fn seal(kind: MediaKind, plain: &[u8]) -> Result<SealedMedia, PhoneError> {
    let key: [u8; 32] = random::bytes();
    let keys = expand(kind, &key)?;
    let mut sealed = Vec::with_capacity(plain.len() + IV_BYTES + MAC_BYTES);
    aes_256_cbc_encrypt_into(plain, &keys.cipher, &keys.iv, &mut sealed)
        .map_err(|error| PhoneError::Media(error.to_string()))?;
    let mac = authenticate(&keys, &sealed)?;
    sealed.extend_from_slice(&mac);
    let sealed_sha256: [u8; 32] = Sha256::digest(&sealed).into();
    Ok(SealedMedia {
        key,
        sha256: Sha256::digest(plain).into(),
        sealed_sha256,
        bytes: plain.len() as u64,
        direct_path: direct_path(kind, &sealed_sha256),
        sealed: Bytes::from(sealed),
    })
}

/// Where the media hosts serve a sealed file with this hash.
pub fn direct_path(kind: MediaKind, sealed_sha256: &[u8; 32]) -> String {
    format!("/v/{}/{}.enc", kind.path_name(), hex::encode(sealed_sha256))
}

/// Opens a sealed file.
pub fn open(kind: MediaKind, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, PhoneError> {
    let keys = expand(kind, key)?;
    let (ciphertext, mac) = sealed
        .len()
        .checked_sub(MAC_BYTES)
        .and_then(|at| sealed.split_at_checked(at))
        .ok_or_else(|| PhoneError::Media(format!("file of {} bytes is too short to be sealed", sealed.len())))?;
    if authenticate(&keys, ciphertext)? != mac {
        return Err(PhoneError::Media("file was sealed with another key, or damaged".to_owned()));
    }
    let mut plain = Vec::with_capacity(ciphertext.len());
    aes_256_cbc_decrypt_into(ciphertext, &keys.cipher, &keys.iv, &mut plain)
        .map_err(|error| PhoneError::Media(error.to_string()))?;
    Ok(plain)
}

fn expand(kind: MediaKind, key: &[u8]) -> Result<Keys, PhoneError> {
    let mut expanded = [0; EXPANDED_BYTES];
    Hkdf::<Sha256>::new(None, key)
        .expand(kind.info(), &mut expanded)
        .map_err(|error| PhoneError::Media(error.to_string()))?;
    let mut keys = Keys { iv: [0; IV_BYTES], cipher: [0; KEY_BYTES], mac: [0; KEY_BYTES] };
    let (iv, rest) = expanded.split_at(IV_BYTES);
    let (cipher, rest) = rest.split_at(KEY_BYTES);
    let (mac, _) = rest.split_at(KEY_BYTES);
    keys.iv.copy_from_slice(iv);
    keys.cipher.copy_from_slice(cipher);
    keys.mac.copy_from_slice(mac);
    Ok(keys)
}

fn authenticate(keys: &Keys, ciphertext: &[u8]) -> Result<Vec<u8>, PhoneError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&keys.mac).map_err(|error| PhoneError::Media(error.to_string()))?;
    mac.update(&keys.iv);
    mac.update(ciphertext);
    Ok(mac.finalize().into_bytes().iter().take(MAC_BYTES).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::{MediaKind, PhoneError, direct_path, open, seal};

    #[test]
    fn only_the_right_key_and_kind_open_a_sealed_file() {
        let file = b"a picture of a lighthouse".repeat(9);
        let sealed = seal(MediaKind::Image, &file).unwrap();
        assert_eq!(open(MediaKind::Image, &sealed.key, &sealed.sealed).unwrap(), file);
        assert_eq!(open(MediaKind::Sticker, &sealed.key, &sealed.sealed).unwrap(), file);
        assert!(matches!(open(MediaKind::Video, &sealed.key, &sealed.sealed), Err(PhoneError::Media(_))));
        assert!(matches!(open(MediaKind::Image, &[0; 32], &sealed.sealed), Err(PhoneError::Media(_))));
        assert!(matches!(open(MediaKind::Image, &sealed.key, b"short"), Err(PhoneError::Media(_))));
        assert_eq!(sealed.direct_path, direct_path(MediaKind::Image, &sealed.sealed_sha256));
        assert_eq!(sealed.bytes, file.len() as u64);
    }
}
