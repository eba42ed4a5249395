//! A file that a tenant keeps with the host: media on its way to WhatsApp, or from it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::entropy::Entropy;

/// Random bytes of a handle: nobody guesses one.
pub const ID_BYTES: usize = 16;
/// What a handle begins with, so that people can tell it from other ids.
const ID_PREFIX: &str = "med_";

/// A blob's handle, such as `med_0123…`: 32 hexadecimal digits behind the prefix.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlobId(String);

impl BlobId {
    /// A new handle.
    pub fn draw(entropy: &dyn Entropy) -> Self {
        let mut random = [0; ID_BYTES];
        entropy.fill(&mut random);
        Self::from_random(random)
    }

    /// A handle of bytes that nobody else can guess.
    pub fn from_random(random: [u8; ID_BYTES]) -> Self {
        Self(format!("{ID_PREFIX}{}", hex::encode(random)))
    }

    /// The handle in a text; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(ID_PREFIX)?;
        let is_handle = digits.len() == 2 * ID_BYTES && digits.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        is_handle.then(|| Self(text.to_owned()))
    }

    /// The handle as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As what a file can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlobKind {
    /// A picture.
    Image,
    /// A film.
    Video,
    /// A sound.
    Audio,
    /// Anything else.
    Document,
}

impl BlobKind {
    /// The name in answers and errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Document => "document",
        }
    }
}

/// What is known of a file from its content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlobFacts {
    /// As what it can be sent.
    pub kind: BlobKind,
    /// Its MIME type.
    pub mime: String,
    /// Width as it is shown, pixels.
    #[serde(default)]
    pub width: Option<u32>,
    /// Height as it is shown, pixels.
    #[serde(default)]
    pub height: Option<u32>,
    /// Length, whole seconds.
    #[serde(default)]
    pub seconds: Option<u32>,
    /// 64 bars of 0 to 100, in base64.
    #[serde(default)]
    pub waveform: Option<String>,
    /// A small JPEG, in base64.
    #[serde(default)]
    pub thumbnail: Option<String>,
    /// It is what a voice note must be: Opus in Ogg.
    #[serde(default)]
    pub voice: bool,
    /// The demuxer that a converter must be told to read it with, when it is a sound or a film.
    #[serde(default)]
    pub demuxer: Option<String>,
}

impl BlobFacts {
    /// A file of this kind and MIME type of which nothing else is known.
    pub fn new(kind: BlobKind, mime: impl Into<String>) -> Self {
        Self {
            kind,
            mime: mime.into(),
            width: None,
            height: None,
            seconds: None,
            waveform: None,
            thumbnail: None,
            voice: false,
            demuxer: None,
        }
    }
}

/// A tenant's reference to a file. Two references may be to the same bytes, which are stored once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Blob {
    /// Its handle.
    pub id: BlobId,
    /// SHA-256 of the bytes, lower-case hexadecimal.
    pub sha256: String,
    /// How many bytes.
    pub bytes: u64,
    /// What is known of them.
    pub facts: BlobFacts,
    /// The name that it came with.
    #[serde(default)]
    pub file_name: Option<String>,
    /// When it was kept.
    pub created_at: Timestamp,
    /// When it is forgotten.
    pub expires_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;

    #[test]
    fn a_handle_is_read_as_it_is_written_and_nothing_else_is_one() {
        let id = BlobId::draw(&SeededEntropy::new(1));
        assert_eq!(BlobId::parse(id.as_str()), Some(id.clone()));
        let upper = id.as_str().to_uppercase();
        for other in [
            "",
            "med_",
            "med_../../etc/passwd",
            &upper,
            &id.as_str().chars().take(20).collect::<String>(),
            &format!("{id}0"),
        ] {
            assert_eq!(BlobId::parse(other), None, "{other}");
        }
    }
}
