//! The files of messages that a phone has sent or received: where they are, and the keys that open them.
//!
//! Kept beside the shown messages, whose public form says nothing of keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use waproto::whatsapp::Message;
use waproto::whatsapp::message::interactive_message::header::Media as HeaderMedia;

use super::error::PhoneError;
use super::media::{self, MediaKind};
use super::media_retry::{self, SealedRetry};
use super::shown::{ReceivedMessage, unwrap_into};
use super::signal::{Changes, bad_record};

/// Files a phone knows; the oldest is forgotten first. As many as it shows messages.
const FILES_MAX: usize = 20_000;
/// Bytes in a path that is worth remembering.
const PATH_BYTES_MAX: usize = 1_024;
/// The first part of a file's record key.
const RECORD: &str = "file";

/// A file that a message refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownFile {
    /// The message's id.
    id: String,
    /// The message's number on this phone, if it was received.
    n: Option<u64>,
    /// What it is.
    pub kind: MediaKind,
    /// Where the media hosts serve it.
    pub direct_path: String,
    /// The media key; files in channels have none and are not sealed.
    #[serde(with = "optional_hex")]
    pub key: Option<Vec<u8>>,
    /// The hash of the sealed file.
    #[serde(with = "crate::hex_serde::blob")]
    pub sealed_sha256: Vec<u8>,
    /// The hash of the file itself.
    #[serde(with = "crate::hex_serde::blob")]
    sha256: Vec<u8>,
}

impl KnownFile {
    /// Opens what was downloaded, and checks that it is what the message promised.
    pub fn open(&self, downloaded: &[u8]) -> Result<Vec<u8>, PhoneError> {
        let plain = match &self.key {
            Some(key) => media::open(self.kind, key, downloaded)?,
            None => downloaded.to_vec(),
        };
        let hash = Sha256::digest(&plain);
        if !self.sha256.is_empty() && hash.as_slice() != self.sha256 {
            let (found, promised) = (hex::encode(hash), hex::encode(&self.sha256));
            return Err(PhoneError::Media(format!("file has the hash {found}; its message says {promised}")));
        }
        Ok(plain)
    }

    /// Whether a request to upload it again was sealed with its key.
    pub fn opens(&self, id: &str, sealed: &SealedRetry) -> bool {
        self.key.as_ref().is_some_and(|key| media_retry::opens(key, id, sealed))
    }
}

/// What a phone knows of files, oldest first.
#[derive(Default)]
pub(super) struct Files {
    known: BTreeMap<u64, KnownFile>,
    changes: Changes,
}

impl Files {
    /// Remembers the file that a message refers to, if it refers to one.
    pub(super) fn keep(&mut self, id: &str, n: Option<u64>, message: &Message) {
        let Some(file) = read(id, n, message) else { return };
        let sequence = self.known.last_key_value().map_or(1, |(last, _)| last.saturating_add(1));
        self.put(sequence, file);
        while self.known.len() > FILES_MAX
            && let Some((oldest, _)) = self.known.pop_first()
        {
            self.changes.insert(format!("{RECORD}/{oldest}"), None);
        }
    }

    /// The files of messages with this id, the latest first.
    pub(super) fn of_message(&self, id: &str) -> impl Iterator<Item = &KnownFile> {
        self.known.values().rev().filter(move |file| file.id == id)
    }

    /// The file of the message that was shown as number `n`.
    pub(super) fn of_shown(&self, n: u64) -> Option<&KnownFile> {
        self.known.values().rev().find(|file| file.n == Some(n))
    }

    /// A file is served under another path from now on.
    pub(super) fn moved(&mut self, from: &str, to: &str) {
        let moved: Vec<_> = self.known.iter().filter(|(_, file)| file.direct_path == from).collect();
        let moved: Vec<_> = moved.into_iter().map(|(sequence, file)| (*sequence, file.clone())).collect();
        for (sequence, file) in moved {
            self.put(sequence, KnownFile { direct_path: to.to_owned(), ..file });
        }
    }

    /// Takes back one record; false when it is not of this kind.
    pub(super) fn restore(&mut self, key: &str, value: &Value) -> Result<bool, PhoneError> {
        let Some((RECORD, sequence)) = key.split_once('/') else { return Ok(false) };
        let sequence = sequence.parse().map_err(|error| bad_record(key, error))?;
        let file = serde_json::from_value(value.clone()).map_err(|error| bad_record(key, error))?;
        self.known.insert(sequence, file);
        Ok(true)
    }

    pub(super) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    fn put(&mut self, sequence: u64, file: KnownFile) {
        match serde_json::to_value(&file) {
            Ok(stored) => {
                self.changes.insert(format!("{RECORD}/{sequence}"), Some(stored));
            }
            Err(error) => tracing::error!(sequence, %error, "what a phone knows of a file cannot be stored"),
        }
        self.known.insert(sequence, file);
    }
}

/// The parts of a message that name a file.
struct Named<'m> {
    kind: MediaKind,
    path: &'m Option<String>,
    key: &'m Option<Vec<u8>>,
    sealed_sha256: &'m Option<Vec<u8>>,
    sha256: &'m Option<Vec<u8>>,
}

/// The fields have the same names in every kind of message, but no type in common.
macro_rules! named {
    ($kind:expr, $message:expr) => {{
        let message = $message;
        Named {
            kind: $kind,
            path: &message.direct_path,
            key: &message.media_key,
            sealed_sha256: &message.file_enc_sha256,
            sha256: &message.file_sha256,
        }
    }};
}

fn read(id: &str, n: Option<u64>, message: &Message) -> Option<KnownFile> {
    let message = match message.device_sent_message.as_option() {
        Some(sent) => sent.message.as_option()?,
        None => message,
    };
    let message = unwrap_into(&mut ReceivedMessage::default(), message);
    let named = named_in(message)?;
    let direct_path = named.path.clone().filter(|path| !path.is_empty() && path.len() <= PATH_BYTES_MAX)?;
    Some(KnownFile {
        id: id.to_owned(),
        n,
        kind: named.kind,
        direct_path,
        key: named.key.clone().filter(|key| !key.is_empty()),
        sealed_sha256: named.sealed_sha256.clone().unwrap_or_default(),
        sha256: named.sha256.clone().unwrap_or_default(),
    })
}

fn named_in(message: &Message) -> Option<Named<'_>> {
    let history = message.protocol_message.as_option().and_then(|it| it.history_sync_notification.as_option());
    if let Some(image) = message.image_message.as_option() {
        Some(named!(MediaKind::Image, image))
    } else if let Some(video) = message.video_message.as_option().or(message.ptv_message.as_option()) {
        Some(named!(MediaKind::Video, video))
    } else if let Some(audio) = message.audio_message.as_option() {
        Some(named!(MediaKind::Audio, audio))
    } else if let Some(document) = message.document_message.as_option() {
        Some(named!(MediaKind::Document, document))
    } else if let Some(sticker) = message.sticker_message.as_option() {
        Some(named!(MediaKind::Sticker, sticker))
    } else if let Some(pack) = message.sticker_pack_message.as_option() {
        Some(named!(MediaKind::StickerPack, pack))
    } else if let Some(asked) = message.interactive_message.as_option() {
        match asked.header.as_option()?.media.as_ref()? {
            HeaderMedia::ImageMessage(image) => Some(named!(MediaKind::Image, image)),
            HeaderMedia::VideoMessage(video) => Some(named!(MediaKind::Video, video)),
            HeaderMedia::DocumentMessage(document) => Some(named!(MediaKind::Document, document)),
            _ => None,
        }
    } else {
        Some(named!(MediaKind::History, history?))
    }
}

/// A key that may be missing, in hex.
mod optional_hex {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => serializer.serialize_some(&hex::encode(bytes)),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        Option::<String>::deserialize(deserializer)?.map(hex::decode).transpose().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use waproto::buffa::MessageField;
    use waproto::whatsapp::Message;
    use waproto::whatsapp::message::{DocumentMessage, FutureProofMessage, ImageMessage};

    use super::{FILES_MAX, Files};
    use crate::phone::media::{MediaKind, SealedMedia, seal};
    use crate::phone::{PhoneError, device_sent};

    fn image(sealed: &SealedMedia) -> Message {
        let image = ImageMessage {
            direct_path: Some(sealed.direct_path.clone()),
            media_key: Some(sealed.key.to_vec()),
            file_enc_sha256: Some(sealed.sealed_sha256.to_vec()),
            file_sha256: Some(sealed.sha256.to_vec()),
            ..ImageMessage::default()
        };
        Message { image_message: MessageField::some(image), ..Message::default() }
    }

    fn wrapped(message: Message) -> Message {
        let inner = FutureProofMessage { message: MessageField::some(message) };
        Message { view_once_message_v2: MessageField::some(inner), ..Message::default() }
    }

    #[test]
    fn file_is_found_by_message_and_number_whatever_the_wrapper_and_after_a_restart() {
        let sealed = seal(MediaKind::Image, b"lighthouse").unwrap();
        let mut files = Files::default();
        files.keep("A1", Some(4), &wrapped(image(&sealed)));
        files.keep("A2", None, &device_sent("1@s.whatsapp.net", &image(&sealed)));
        files.keep("A3", None, &Message { conversation: Some("no file".to_owned()), ..Message::default() });
        let mut restored = Files::default();
        for (key, value) in files.take_changes() {
            assert!(restored.restore(&key, &value.unwrap()).unwrap());
        }
        for files in [&files, &restored] {
            assert_eq!(files.of_shown(4).unwrap().open(&sealed.sealed).unwrap(), b"lighthouse");
            assert_eq!(files.of_message("A2").next().unwrap().direct_path, sealed.direct_path);
            assert!(files.of_message("A3").next().is_none() && files.of_shown(5).is_none());
        }
    }

    #[test]
    fn file_that_is_not_what_its_message_promised_is_refused() {
        let sealed = seal(MediaKind::Document, b"contract").unwrap();
        let document = DocumentMessage {
            direct_path: Some(sealed.direct_path.clone()),
            media_key: Some(sealed.key.to_vec()),
            file_sha256: Some(vec![1; 32]),
            ..DocumentMessage::default()
        };
        let mut files = Files::default();
        files.keep("A1", None, &Message { document_message: MessageField::some(document), ..Message::default() });
        let opened = files.of_message("A1").next().unwrap().open(&sealed.sealed);
        assert!(matches!(opened, Err(PhoneError::Media(why)) if why.contains("its message says 0101")));
    }

    #[test]
    fn oldest_file_is_forgotten_first() {
        let message = image(&seal(MediaKind::Image, b"x").unwrap());
        let mut files = Files::default();
        for id in 0..=FILES_MAX {
            files.keep(&format!("m{id}"), None, &message);
        }
        assert!(files.of_message("m0").next().is_none() && files.of_message("m1").next().is_some());
        assert_eq!(files.take_changes().get("file/1"), Some(&None));
    }
}
