//! Files on their way to WhatsApp: sealed and handed to its media hosts, then named in a message.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::Semaphore;
use whatsapp_rust::Client;
use whatsapp_rust::buffa::MessageField;
use whatsapp_rust::upload::UploadResponse;
use whatsapp_rust::wacore::download::MediaType;
use whatsapp_rust::wacore::upload::{EncryptedMediaInfo, UploadSource, encrypt_media_streaming};
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::message::{
    AudioMessage, DocumentMessage, FutureProofMessage, ImageMessage, StickerMessage, VideoMessage,
};

use switchboard_core::clock::Clock;
use switchboard_core::flow::media::{MediaDesk, MediaRefusal, Moment};
use switchboard_core::records::blob::Blob;
use switchboard_core::records::content::{Content, Media, MediaSource};
use switchboard_core::records::id::TenantId;
use switchboard_core::records::message::Message;

use super::content::{Bearings, below_file, context_info};
use crate::blobs::Scratch;
use crate::media::MediaRoom;

/// Files that are uploaded at once, of every session together: each takes a thread and a sealed copy on disk.
const UPLOADS_MAX: usize = 64;
/// Bytes of a file that are read, and of a sealed one that are written, at once.
const BUFFER_BYTES: usize = 64 * 1024;
/// The name of a document that has none.
const NO_NAME: &str = "file";

/// Why a file is not at WhatsApp.
#[derive(Debug)]
pub(super) enum UploadFault {
    /// It can never be sent.
    Refused(String),
    /// It may work later.
    Later(String),
}

impl From<MediaRefusal> for UploadFault {
    fn from(refusal: MediaRefusal) -> Self {
        match refusal {
            MediaRefusal::Unavailable(_) => Self::Later(format!("the media {refusal}")),
            refused => Self::Refused(format!("the media {refused}")),
        }
    }
}

/// Hands files to WhatsApp's media hosts.
#[derive(Clone)]
pub struct Uploader {
    room: Arc<MediaRoom>,
    clock: Arc<dyn Clock>,
    places: Arc<Semaphore>,
}

impl Uploader {
    /// An uploader of what `room` keeps.
    pub fn new(room: Arc<MediaRoom>, clock: Arc<dyn Clock>) -> Self {
        Self { room, clock, places: Arc::new(Semaphore::new(UPLOADS_MAX)) }
    }

    /// Uploads the file of `content`; the message that names it.
    pub(super) async fn message(
        &self,
        client: &Client,
        tenant: TenantId,
        sent: &Message,
        bearings: &Bearings,
    ) -> Result<wa::Message, UploadFault> {
        // A single message has its bytes since it was accepted; one of a batch gets them now.
        let until = self.clock.now();
        let content = self.room.prepare(tenant, sent.content.clone(), Moment::Turn, until).await?;
        let file = above_buttons(&content);
        let file = file.as_ref().unwrap_or(&content);
        let (media, kind) = kind_of(file).ok_or_else(|| UploadFault::Refused("there is no file in it".to_owned()))?;
        let MediaSource::Blob(id) = &media.source else {
            return Err(UploadFault::Later("the file is not kept".to_owned()));
        };
        let blob = self.room.blob(tenant, id).await?;
        // The semaphore is never closed.
        let _place = self.places.acquire().await;
        let (sealed, info) = seal(self.room.path(&blob), self.room.scratch(), kind).await?;
        let uploaded = client.upload_stream(sealed, info, kind).await;
        let uploaded = uploaded.map_err(|error| UploadFault::Later(format!("the file could not be uploaded: {error}")))?;
        let has_context = sent.extras.quote.is_some() || !sent.extras.mentions.is_empty();
        let context = has_context.then(|| context_info(&sent.extras, bearings));
        if let Content::Interactive(asked) = &content {
            let named = Named { content: file, media, blob: &blob, view_once: false };
            return Ok(below_file(asked, &plain_message(&named, None, uploaded), context));
        }
        let file = Named { content: file, media, blob: &blob, view_once: sent.extras.view_once };
        Ok(message(&file, context, uploaded))
    }
}

/// A file as WhatsApp gets it, beside the blobs: only pieces of it are ever in memory.
struct Sealed {
    file: Scratch,
    bytes: u64,
}

impl UploadSource for Sealed {
    fn len(&self) -> u64 {
        self.bytes
    }

    fn reader_from(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(self.file.path())?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Box::new(file))
    }
}

/// Seals the file at `path` into `scratch`.
async fn seal(path: PathBuf, scratch: Scratch, kind: MediaType) -> Result<(Sealed, EncryptedMediaInfo), UploadFault> {
    let sealing = tokio::task::spawn_blocking(move || {
        let plain = BufReader::with_capacity(BUFFER_BYTES, File::open(path)?);
        let mut sealed = BufWriter::with_capacity(BUFFER_BYTES, File::create(scratch.path())?);
        let info = encrypt_media_streaming(plain, &mut sealed, kind).map_err(io::Error::other)?;
        sealed.flush()?;
        let bytes = sealed.get_ref().metadata()?.len();
        Ok((Sealed { file: scratch, bytes }, info))
    });
    let sealed: io::Result<_> = sealing.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    sealed.map_err(|error| {
        tracing::error!(%error, "a file cannot be sealed");
        UploadFault::Later("the file cannot be sealed".to_owned())
    })
}

/// The file of a message, and what WhatsApp calls its kind.
pub(super) fn kind_of(content: &Content) -> Option<(&Media, MediaType)> {
    Some(match content {
        Content::Image(media) => (media, MediaType::Image),
        Content::Video(media) => (media, MediaType::Video),
        Content::Audio(media) => (media, MediaType::Audio),
        Content::Document(media) => (media, MediaType::Document),
        Content::Sticker(media) => (media, MediaType::Sticker),
        _ => return None,
    })
}

/// Whether content brings a file along.
pub(super) fn has_file(content: &Content) -> bool {
    kind_of(content).is_some() || above_buttons(content).is_some_and(|file| kind_of(&file).is_some())
}

/// What stands above the buttons of a message, as content of its own.
fn above_buttons(content: &Content) -> Option<Content> {
    match content {
        Content::Interactive(asked) => asked.attachment.clone().map(Content::from),
        _ => None,
    }
}

/// A file that was uploaded, and what it is to be.
struct Named<'a> {
    content: &'a Content,
    media: &'a Media,
    blob: &'a Blob,
    view_once: bool,
}

/// The message that names an uploaded file, as phones expect it: what can be looked at once, and a document with a caption,
/// are wrapped.
fn message(file: &Named<'_>, context: Option<wa::ContextInfo>, uploaded: UploadResponse) -> wa::Message {
    let plain = plain_message(file, context, uploaded);
    let wrapped = |inner| MessageField::some(FutureProofMessage { message: MessageField::some(inner) });
    match file.content {
        Content::Image(_) | Content::Video(_) if file.view_once => {
            wa::Message { view_once_message_v2: wrapped(plain), ..Default::default() }
        }
        Content::Audio(_) if file.view_once => {
            wa::Message { view_once_message_v2_extension: wrapped(plain), ..Default::default() }
        }
        Content::Document(_) if file.media.caption.is_some() => {
            wa::Message { document_with_caption_message: wrapped(plain), ..Default::default() }
        }
        _ => plain,
    }
}

fn plain_message(file: &Named<'_>, context: Option<wa::ContextInfo>, uploaded: UploadResponse) -> wa::Message {
    let Named { content, media, blob, view_once } = *file;
    let facts = &blob.facts;
    let mimetype = Some(facts.mime.clone());
    let caption = media.caption.clone().filter(|caption| !caption.is_empty());
    let jpeg_thumbnail = facts.thumbnail.as_ref().and_then(|text| STANDARD.decode(text).ok());
    let waveform = facts.waveform.as_ref().and_then(|text| STANDARD.decode(text).ok());
    let view_once = view_once.then_some(true);
    let context_info = context.map_or_else(MessageField::default, MessageField::some);
    let (url, direct_path) = (Some(uploaded.url), Some(uploaded.direct_path));
    let media_key = Some(uploaded.media_key.to_vec());
    let file_sha256 = Some(uploaded.file_sha256.to_vec());
    let file_enc_sha256 = Some(uploaded.file_enc_sha256.to_vec());
    let file_length = Some(uploaded.file_length);
    let media_key_timestamp = Some(uploaded.media_key_timestamp);
    let streaming_sidecar = uploaded.streaming_sidecar;
    let (width, height, seconds) = (facts.width, facts.height, facts.seconds);
    macro_rules! file {
        ($field:ident: $kind:ident { $($name:ident $(: $value:expr)?),* $(,)? }) => {
            wa::Message {
                $field: MessageField::some($kind {
                    url, direct_path, media_key, file_sha256, file_enc_sha256, file_length, media_key_timestamp, mimetype,
                    context_info, $($name $(: $value)?,)* ..Default::default()
                }),
                ..Default::default()
            }
        };
    }
    match content {
        Content::Image(_) => file!(image_message: ImageMessage { caption, jpeg_thumbnail, width, height, view_once }),
        Content::Video(_) => file!(video_message: VideoMessage {
            caption, jpeg_thumbnail, width, height, seconds, view_once, streaming_sidecar,
            gif_playback: media.gif.then_some(true),
        }),
        Content::Audio(_) => file!(audio_message: AudioMessage {
            seconds, streaming_sidecar, view_once,
            ptt: Some(media.voice_note), waveform: waveform.filter(|_| media.voice_note),
        }),
        Content::Sticker(_) => file!(sticker_message: StickerMessage { width, height }),
        _ => {
            let file_name = media.file_name.clone().or_else(|| blob.file_name.clone());
            let file_name = Some(file_name.unwrap_or_else(|| NO_NAME.to_owned()));
            file!(document_message: DocumentMessage { caption, jpeg_thumbnail, title: file_name.clone(), file_name })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_the_host_is_tried_again_and_any_other_is_final() {
        assert!(matches!(UploadFault::from(MediaRefusal::Unavailable("x".to_owned())), UploadFault::Later(_)));
        for refusal in [
            MediaRefusal::NotFound("med_1".to_owned()),
            MediaRefusal::Unreachable("x".to_owned()),
            MediaRefusal::Unsupported("x".to_owned()),
            MediaRefusal::TooLarge { kind: "an image", bytes: 2, bytes_max: 1 },
        ] {
            assert!(matches!(UploadFault::from(refusal), UploadFault::Refused(_)));
        }
    }
}
