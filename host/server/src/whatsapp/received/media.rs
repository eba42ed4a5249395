//! Media that came in: what it is, and what is needed to fetch and open it later.

use switchboard_core::records::content::{Content, Media, MediaSource, WhatsAppMedia};
use whatsapp_rust::waproto::whatsapp as wa;

/// Where a file lies and what opens it, as every kind of media message says it.
struct Place<'a> {
    direct_path: Option<&'a String>,
    url: Option<&'a String>,
    media_key: Option<&'a Vec<u8>>,
    sha256: Option<&'a Vec<u8>>,
    enc_sha256: Option<&'a Vec<u8>>,
    size: Option<u64>,
    key_at_s: Option<i64>,
    mime: Option<&'a String>,
}

/// The place that a media message names; the fields have the same names in all of them.
macro_rules! place_in {
    ($message:expr) => {
        Place {
            direct_path: $message.direct_path.as_ref(),
            url: $message.url.as_ref(),
            media_key: $message.media_key.as_ref(),
            sha256: $message.file_sha256.as_ref(),
            enc_sha256: $message.file_enc_sha256.as_ref(),
            size: $message.file_length,
            key_at_s: $message.media_key_timestamp,
            mime: $message.mimetype.as_ref(),
        }
    };
}

impl Place<'_> {
    fn media(self) -> Media {
        let hexadecimal = |bytes: Option<&Vec<u8>>| bytes.map(hex::encode);
        let source = WhatsAppMedia {
            direct_path: self.direct_path.cloned().unwrap_or_default(),
            url: self.url.cloned().filter(|url| !url.is_empty()),
            media_key: hexadecimal(self.media_key).unwrap_or_default(),
            enc_sha256: hexadecimal(self.enc_sha256).unwrap_or_default(),
            key_at_s: self.key_at_s,
        };
        Media {
            size: self.size,
            sha256: hexadecimal(self.sha256),
            mime: self.mime.cloned(),
            ..Media::at(MediaSource::WhatsApp(Box::new(source)))
        }
    }
}

/// Media, if the message is some.
pub(super) fn content(message: &wa::Message) -> Option<Content> {
    if let Some(image) = message.image_message.as_option() {
        let (caption, width, height) = (image.caption.clone(), image.width, image.height);
        return Some(Content::Image(Media { caption, width, height, ..place_in!(image).media() }));
    }
    // A film in a circle is a film.
    if let Some(video) = message.video_message.as_option().or_else(|| message.ptv_message.as_option()) {
        return Some(Content::Video(Media {
            caption: video.caption.clone(),
            gif: video.gif_playback.unwrap_or_default(),
            width: video.width,
            height: video.height,
            seconds: video.seconds,
            ..place_in!(video).media()
        }));
    }
    if let Some(audio) = message.audio_message.as_option() {
        let voice_note = audio.ptt.unwrap_or_default();
        return Some(Content::Audio(Media { voice_note, seconds: audio.seconds, ..place_in!(audio).media() }));
    }
    if let Some(document) = message.document_message.as_option() {
        return Some(Content::Document(Media {
            caption: document.caption.clone(),
            file_name: document.file_name.clone().or_else(|| document.title.clone()),
            ..place_in!(document).media()
        }));
    }
    let sticker = message.sticker_message.as_option()?;
    Some(Content::Sticker(Media { width: sticker.width, height: sticker.height, ..place_in!(sticker).media() }))
}
