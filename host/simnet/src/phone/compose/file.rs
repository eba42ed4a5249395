//! Messages that refer to a file: it is sealed here, and pushed to the media hosts by whoever sends the message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use waproto::buffa::MessageField;
use waproto::whatsapp::Message;
use waproto::whatsapp::message::{
    AudioMessage, DocumentMessage, FutureProofMessage, ImageMessage, StickerMessage, VideoMessage,
};

use super::{ComposeFault, Composed, Desk, TEXT_BYTES_MAX, check_length, secret};
use crate::phone::file_facts::{FileFacts, facts};
use crate::phone::media::{MediaKind, SealedMedia, seal};

/// Bytes in one file, before it is sealed.
pub(super) const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes in the small picture that stands for a file until it is loaded.
const THUMBNAIL_BYTES_MAX: usize = 64 * 1024;
/// Bytes in a file's name or media type.
const NAME_BYTES_MAX: usize = 512;

/// What a message shows its file as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    Image,
    Video,
    Gif,
    Audio,
    Voice,
    Document,
    Sticker,
    VideoNote,
}

impl FileKind {
    fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Gif => "gif",
            Self::Audio => "audio",
            Self::Voice => "voice",
            Self::Document => "document",
            Self::Sticker => "sticker",
            Self::VideoNote => "video_note",
        }
    }

    fn media_kind(self) -> MediaKind {
        match self {
            Self::Image => MediaKind::Image,
            Self::Video | Self::Gif | Self::VideoNote => MediaKind::Video,
            Self::Audio | Self::Voice => MediaKind::Audio,
            Self::Document => MediaKind::Document,
            Self::Sticker => MediaKind::Sticker,
        }
    }

    fn default_mime(self) -> &'static str {
        match self {
            Self::Image => "image/jpeg",
            Self::Video | Self::Gif | Self::VideoNote => "video/mp4",
            Self::Audio | Self::Voice => "audio/ogg; codecs=opus",
            Self::Document => "application/octet-stream",
            Self::Sticker => "image/webp",
        }
    }

    /// Which fields a file of this kind may have beside its bytes.
    fn takes(self, field: &str) -> bool {
        match field {
            "caption" => matches!(self, Self::Image | Self::Video | Self::Gif | Self::Document),
            "view_once" => {
                matches!(self, Self::Image | Self::Video | Self::Gif | Self::Audio | Self::Voice | Self::VideoNote)
            }
            "ptt" => matches!(self, Self::Audio | Self::Voice),
            "file_name" => self == Self::Document,
            "seconds" => matches!(self, Self::Video | Self::Gif | Self::Audio | Self::Voice | Self::VideoNote),
            "width" | "height" | "thumbnail" => !matches!(self, Self::Audio | Self::Voice),
            _ => true,
        }
    }
}

/// A file as it is written in JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileDraft {
    base64: String,
    mime: Option<String>,
    file_name: Option<String>,
    caption: Option<String>,
    view_once: Option<bool>,
    ptt: Option<bool>,
    seconds: Option<u32>,
    width: Option<u32>,
    height: Option<u32>,
    thumbnail: Option<String>,
    #[serde(skip)]
    sealed: Option<Box<SealedFile>>,
}

/// The file once its bytes are read.
#[derive(Debug)]
struct SealedFile {
    media: SealedMedia,
    facts: FileFacts,
    thumbnail: Option<Vec<u8>>,
}

impl FileDraft {
    /// Checks what is said about the file, and seals it. Done before the network is asked, for it takes a while.
    pub(super) fn seal(&mut self, kind: FileKind) -> Result<(), ComposeFault> {
        self.check(kind)?;
        let field = format!("{}.base64", kind.name());
        let bytes = decode(&field, &std::mem::take(&mut self.base64))?;
        if bytes.is_empty() || bytes.len() > FILE_BYTES_MAX {
            let problem = format!("the file is {} bytes; 1 to {FILE_BYTES_MAX} are allowed", bytes.len());
            return Err(ComposeFault::field(&field, problem));
        }
        let thumbnail = match &self.thumbnail {
            Some(thumbnail) => {
                let thumbnail = decode("thumbnail", thumbnail)?;
                if thumbnail.len() > THUMBNAIL_BYTES_MAX {
                    return Err(ComposeFault::Length {
                        field: "thumbnail",
                        bytes: thumbnail.len(),
                        bytes_max: THUMBNAIL_BYTES_MAX,
                    });
                }
                Some(thumbnail)
            }
            None => None,
        };
        let media = seal(kind.media_kind(), &bytes)?;
        self.sealed = Some(Box::new(SealedFile { media, facts: facts(&bytes), thumbnail }));
        Ok(())
    }

    fn check(&self, kind: FileKind) -> Result<(), ComposeFault> {
        let given = [
            ("caption", self.caption.is_some()),
            ("view_once", self.view_once == Some(true)),
            ("ptt", self.ptt.is_some()),
            ("file_name", self.file_name.is_some()),
            ("seconds", self.seconds.is_some()),
            ("width", self.width.is_some()),
            ("height", self.height.is_some()),
            ("thumbnail", self.thumbnail.is_some()),
        ];
        if let Some((field, _)) = given.into_iter().find(|(field, given)| *given && !kind.takes(field)) {
            return Err(ComposeFault::field(&format!("{}.{field}", kind.name()), "does not exist for this kind".to_owned()));
        }
        if kind == FileKind::Voice && self.ptt == Some(false) {
            return Err(ComposeFault::field("voice.ptt", "a voice note is one; send an audio".to_owned()));
        }
        for (field, text) in [("mime", &self.mime), ("file_name", &self.file_name)] {
            if let Some(text) = text {
                check_length(field, text, NAME_BYTES_MAX)?;
            }
        }
        if let Some(caption) = &self.caption {
            check_length("caption", caption, TEXT_BYTES_MAX)?;
        }
        Ok(())
    }
}

fn decode(field: &str, text: &str) -> Result<Vec<u8>, ComposeFault> {
    STANDARD.decode(text).map_err(|error| ComposeFault::field(field, format!("not base64: {error}")))
}

/// What all messages with a file say about it.
struct Parts {
    url: Option<String>,
    direct_path: Option<String>,
    mime: Option<String>,
    key: Option<Vec<u8>>,
    key_at: Option<i64>,
    sha256: Option<Vec<u8>>,
    sealed_sha256: Option<Vec<u8>>,
    bytes: Option<u64>,
    seconds: Option<u32>,
    width: Option<u32>,
    height: Option<u32>,
    view_once: Option<bool>,
}

/// Makes the message for a file that is sealed already.
pub(super) fn compose(desk: &Desk<'_>, kind: FileKind, draft: FileDraft) -> Result<Composed, ComposeFault> {
    let sealed = draft.sealed.ok_or_else(|| ComposeFault::missing(kind.name()))?;
    let SealedFile { media, facts, thumbnail } = *sealed;
    let parts = Parts {
        // Baileys 7 takes the host from here, and only the path from `direct_path`.
        url: Some(format!("https://{}{}", desk.media_host, media.direct_path)),
        direct_path: Some(media.direct_path.clone()),
        mime: draft.mime.or(facts.mime.map(str::to_owned)).or_else(|| Some(kind.default_mime().to_owned())),
        key: Some(media.key.to_vec()),
        key_at: Some(desk.now_ms_signed() / 1000),
        sha256: Some(media.sha256.to_vec()),
        sealed_sha256: Some(media.sealed_sha256.to_vec()),
        bytes: Some(media.bytes),
        seconds: draft.seconds.or(facts.seconds),
        width: draft.width.or(facts.width),
        height: draft.height.or(facts.height),
        view_once: draft.view_once.filter(|once| *once),
    };
    let caption = draft.caption;
    let content = match kind {
        FileKind::Image => {
            Message { image_message: MessageField::some(image(parts, caption, thumbnail)), ..Message::default() }
        }
        FileKind::Video => {
            Message { video_message: MessageField::some(video(parts, caption, thumbnail, false)), ..Message::default() }
        }
        FileKind::Gif => {
            Message { video_message: MessageField::some(video(parts, caption, thumbnail, true)), ..Message::default() }
        }
        FileKind::VideoNote => {
            Message { ptv_message: MessageField::some(video(parts, None, thumbnail, false)), ..Message::default() }
        }
        FileKind::Audio | FileKind::Voice => {
            let is_note = kind == FileKind::Voice || draft.ptt == Some(true);
            Message { audio_message: MessageField::some(audio(parts, is_note)), ..Message::default() }
        }
        FileKind::Document => document(parts, caption, draft.file_name, thumbnail),
        FileKind::Sticker => {
            Message { sticker_message: MessageField::some(sticker(parts, thumbnail)), ..Message::default() }
        }
    };
    Ok(Composed { message: Message { message_context_info: secret(), ..content }, file: Some(media) })
}

/// A message of one kind: what all messages with a file say about it, and what this kind adds.
macro_rules! message_of {
    ($kind:ident, $parts:ident, { $($field:ident: $value:expr),+ $(,)? }) => {
        $kind {
            url: $parts.url,
            direct_path: $parts.direct_path,
            mimetype: $parts.mime,
            media_key: $parts.key,
            media_key_timestamp: $parts.key_at,
            file_sha256: $parts.sha256,
            file_enc_sha256: $parts.sealed_sha256,
            file_length: $parts.bytes,
            $($field: $value,)+
            ..$kind::default()
        }
    };
}

fn image(parts: Parts, caption: Option<String>, thumbnail: Option<Vec<u8>>) -> ImageMessage {
    message_of!(ImageMessage, parts, {
        width: parts.width,
        height: parts.height,
        view_once: parts.view_once,
        caption: caption,
        jpeg_thumbnail: thumbnail,
    })
}

fn video(parts: Parts, caption: Option<String>, thumbnail: Option<Vec<u8>>, is_gif: bool) -> VideoMessage {
    message_of!(VideoMessage, parts, {
        seconds: parts.seconds,
        width: parts.width,
        height: parts.height,
        view_once: parts.view_once,
        gif_playback: is_gif.then_some(true),
        caption: caption,
        jpeg_thumbnail: thumbnail,
    })
}

fn audio(parts: Parts, is_note: bool) -> AudioMessage {
    message_of!(AudioMessage, parts, {
        seconds: parts.seconds,
        ptt: is_note.then_some(true),
        view_once: parts.view_once,
    })
}

fn document(parts: Parts, caption: Option<String>, name: Option<String>, thumbnail: Option<Vec<u8>>) -> Message {
    let document = message_of!(DocumentMessage, parts, {
        title: name.clone(),
        file_name: name,
        caption: caption,
        jpeg_thumbnail: thumbnail,
    });
    Message { document_message: MessageField::some(document), ..Message::default() }
}

fn sticker(parts: Parts, thumbnail: Option<Vec<u8>>) -> StickerMessage {
    message_of!(StickerMessage, parts, {
        width: parts.width,
        height: parts.height,
        png_thumbnail: thumbnail,
        sticker_sent_ts: parts.key_at.map(|seconds| seconds.saturating_mul(1000)),
    })
}

/// Whether the file in an unwrapped message may be opened once only.
pub(super) fn is_view_once(message: &Message) -> bool {
    let flags = [
        message.image_message.as_option().and_then(|image| image.view_once),
        message.video_message.as_option().and_then(|video| video.view_once),
        message.ptv_message.as_option().and_then(|video| video.view_once),
        message.audio_message.as_option().and_then(|audio| audio.view_once),
    ];
    flags.contains(&Some(true))
}

/// The message in the wrapper that phones put around it, if they put one: around what may be opened once only, with
/// one of its own for recordings, and around a document with a caption.
pub(super) fn wrapped(message: &Message) -> Option<Message> {
    let once = is_view_once(message);
    let is_captioned = message.document_message.as_option().is_some_and(|document| document.caption.is_some());
    if !once && !is_captioned {
        return None;
    }
    let mut inner = message.clone();
    let context = inner.message_context_info.take();
    let is_audio = inner.audio_message.is_set();
    let wrapper = MessageField::some(FutureProofMessage { message: MessageField::some(inner) });
    let mut outer = match (once, is_audio) {
        (true, true) => Message { view_once_message_v2_extension: wrapper, ..Message::default() },
        (true, false) => Message { view_once_message_v2: wrapper, ..Message::default() },
        (false, _) => Message { document_with_caption_message: wrapper, ..Message::default() },
    };
    outer.message_context_info = context.map_or_else(MessageField::none, MessageField::some);
    Some(outer)
}
