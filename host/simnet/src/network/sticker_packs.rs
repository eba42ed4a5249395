//! The packs of stickers that the network itself offers: each sticker a sealed file, and a list that tells how to open them.
//!
//! A client reads `GET https://static.whatsapp.net/sticker?…&id=<pack>`, the first pack of a JSON list, with keys and hashes
//! in base64 (wacore 0.7.0 `sticker_pack.rs`).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Network;
use crate::blobs::Blob;
use crate::phone::PhoneError;
use crate::phone::media::{MediaKind, seal};

/// The first part of the record keys: `sticker_pack/<id>`.
pub(super) const RECORD: &str = "sticker_pack";
/// Where the stickers lie; nobody uploads them again.
pub(crate) const PATH_PREFIX: &str = "/v/offered-sticker/";

/// Packs that are offered.
const PACKS_MAX: usize = 1_000;
/// Stickers in a pack, as in those that people send (wacore 0.7.0 `sticker_pack.rs`).
const STICKERS_MAX: usize = 60;
/// Bytes in an id or a name.
const TEXT_BYTES_MAX: usize = 128;
const MIME: &str = "image/webp";

/// The packs by id, each as clients get it.
pub(super) type StickerPacks = BTreeMap<String, Value>;

/// A pack as the control API takes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PackOffer {
    id: String,
    name: String,
    #[serde(default)]
    publisher: String,
    stickers: Vec<StickerOffer>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StickerOffer {
    base64: String,
    #[serde(default)]
    emojis: Vec<String>,
}

/// Why a pack is not offered. Shown to the caller as is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackFault {
    #[error("{field} is {bytes} bytes; expected 1 to {TEXT_BYTES_MAX}")]
    Text { field: &'static str, bytes: usize },
    #[error("a pack has 1 to {STICKERS_MAX} stickers, not {0}")]
    Count(usize),
    #[error("stickers[{0}].base64: not base64")]
    NotBase64(usize),
    #[error("the network offers {PACKS_MAX} packs already")]
    Full,
    #[error("a sticker cannot be sealed")]
    Seal(#[from] PhoneError),
}

impl Network {
    /// Offers a pack, or another one under the same id.
    pub(crate) fn offer_sticker_pack(&mut self, offer: &PackOffer) -> Result<(), PackFault> {
        for (field, text) in [("id", &offer.id), ("name", &offer.name)] {
            if text.is_empty() || text.len() > TEXT_BYTES_MAX {
                return Err(PackFault::Text { field, bytes: text.len() });
            }
        }
        if offer.stickers.is_empty() || offer.stickers.len() > STICKERS_MAX {
            return Err(PackFault::Count(offer.stickers.len()));
        }
        if self.sticker_packs.len() >= PACKS_MAX && !self.sticker_packs.contains_key(&offer.id) {
            return Err(PackFault::Full);
        }
        let mut stickers = Vec::with_capacity(offer.stickers.len());
        let mut blobs = Vec::with_capacity(offer.stickers.len());
        for (at, sticker) in offer.stickers.iter().enumerate() {
            let plain = BASE64_STANDARD.decode(&sticker.base64).map_err(|_| PackFault::NotBase64(at))?;
            let file = seal(MediaKind::Sticker, &plain)?;
            let path = format!("{PATH_PREFIX}{}.enc", hex::encode(file.sealed_sha256));
            stickers.push(json!({
                "media-key": BASE64_STANDARD.encode(file.key),
                "file-hash": BASE64_STANDARD.encode(file.sha256),
                "enc-file-hash": BASE64_STANDARD.encode(file.sealed_sha256),
                "direct-path": path,
                "file-size": file.bytes,
                "mimetype": MIME,
                "emojis": sticker.emojis,
            }));
            blobs.push(Blob { path, bytes: file.sealed });
        }
        let pack = json!({
            "sticker-pack-id": offer.id, "name": offer.name, "publisher": offer.publisher, "stickers": stickers,
        });
        self.out.blobs.extend(blobs);
        self.out.records.push((format!("{RECORD}/{}", offer.id), Some(pack.clone())));
        self.sticker_packs.insert(offer.id.clone(), pack);
        Ok(())
    }

    /// The answer to a client that asks for a pack.
    pub(crate) fn offered_sticker_pack(&self, id: &str) -> Option<Value> {
        self.sticker_packs.get(id).map(|pack| json!([pack]))
    }

    pub(super) fn restore_sticker_pack(&mut self, id: &str, pack: Value) -> Option<()> {
        self.sticker_packs.insert(id.to_owned(), pack);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Network, PackFault, PackOffer};

    fn offer(network: &mut Network, pack: serde_json::Value) -> Result<(), PackFault> {
        network.offer_sticker_pack(&serde_json::from_value::<PackOffer>(pack).unwrap())
    }

    #[test]
    fn pack_is_offered_with_what_opens_it_and_restored() {
        let mut network = Network::default();
        let sticker = json!({ "base64": "aGVsbG8=", "emojis": ["🐟"] });
        offer(&mut network, json!({ "id": "fishes", "name": "Fishes", "stickers": [sticker] })).unwrap();
        let outbox = network.take_outbox();
        let told = network.offered_sticker_pack("fishes").unwrap();
        assert_eq!(told[0]["stickers"][0]["direct-path"], outbox.blobs[0].path);
        assert_eq!(told[0]["stickers"][0]["file-size"], 5);
        let records = outbox.records.into_iter().map(|(key, value)| (key, value.unwrap())).collect();
        let restored = Network::restore(records).unwrap();
        assert_eq!(restored.offered_sticker_pack("fishes"), Some(told));
        assert_eq!(restored.offered_sticker_pack("birds"), None);
    }

    #[test]
    fn what_is_no_pack_is_refused() {
        let mut network = Network::default();
        let sticker = || json!({ "base64": "aGVsbG8=" });
        let refused = [
            json!({ "id": "", "name": "x", "stickers": [sticker()] }),
            json!({ "id": "x", "name": "x".repeat(129), "stickers": [sticker()] }),
            json!({ "id": "x", "name": "x", "stickers": [] }),
            json!({ "id": "x", "name": "x", "stickers": vec![sticker(); 61] }),
            json!({ "id": "x", "name": "x", "stickers": [{ "base64": "!" }] }),
        ];
        for pack in refused {
            assert!(offer(&mut network, pack.clone()).is_err(), "{pack}");
        }
        assert!(network.take_outbox().records.is_empty());
    }
}
