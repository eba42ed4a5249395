//! The import `media`.

use std::time::Duration;

use switchboard_core::records::blob::Blob;
use switchboard_core::records::content::{Content, Media, MediaSource, WhatsAppMedia};
use switchboard_core::records::id::SessionId;

use super::Answer;
use crate::bindings::switchboard::plugin::media as wit;
use crate::call::CallState;
use crate::verbs::VerbError;

fn file(blob: Blob) -> wit::File {
    wit::File {
        handle: blob.id.to_string(),
        kind: blob.facts.kind.name().to_owned(),
        mime: blob.facts.mime,
        bytes: blob.bytes,
        sha256: blob.sha256,
        file_name: blob.file_name,
        voice: blob.facts.voice,
        expires_at_ms: blob.expires_at.0,
    }
}

fn seconds(ttl_s: u32) -> Duration {
    Duration::from_secs(u64::from(ttl_s))
}

/// The media that a message with this file would have.
fn sealed_content(sealed: wit::Sealed) -> Result<Content, VerbError> {
    let place = WhatsAppMedia {
        direct_path: sealed.direct_path,
        media_key: hex::encode(sealed.media_key),
        enc_sha256: hex::encode(sealed.sealed_sha256),
        ..WhatsAppMedia::default()
    };
    let mut media = Media::at(MediaSource::WhatsApp(Box::new(place)));
    media.mime = sealed.mime;
    media.file_name = sealed.file_name;
    media.sha256 = Some(hex::encode(sealed.sha256));
    media.size = Some(sealed.bytes).filter(|bytes| *bytes > 0);
    Ok(match sealed.kind.as_str() {
        "image" => Content::Image(media),
        "video" => Content::Video(media),
        "audio" => Content::Audio(media),
        "document" => Content::Document(media),
        "sticker" => Content::Sticker(media),
        _ => {
            let why = "must be image, video, audio, document or sticker".to_owned();
            return Err(VerbError::Invalid { field: "kind".to_owned(), why });
        }
    })
}

impl wit::Host for CallState {
    async fn info(&mut self, handle: String) -> Answer<wit::File> {
        self.verb(|verbs, caller| async move { Ok(file(verbs.media(&caller, &handle).await?)) }).await
    }

    async fn link(&mut self, handle: String, ttl_s: u32) -> Answer<String> {
        self.verb(|verbs, caller| async move { verbs.link_media(&caller, &handle, seconds(ttl_s)).await }).await
    }

    async fn keep(&mut self, handle: String, ttl_s: u32) -> Answer<wit::File> {
        self.verb(|verbs, caller| async move { Ok(file(verbs.keep_media(&caller, &handle, seconds(ttl_s)).await?)) }).await
    }

    async fn voice_note(&mut self, handle: String) -> Answer<wit::File> {
        self.verb(|verbs, caller| async move { Ok(file(verbs.voice_note(&caller, &handle).await?)) }).await
    }

    async fn of_message(&mut self, event: u64) -> Answer<wit::File> {
        self.verb(|verbs, caller| async move { Ok(file(verbs.media_of_message(&caller, event).await?)) }).await
    }

    async fn open_sealed(&mut self, session: u64, sealed: wit::Sealed) -> Answer<wit::File> {
        self.verb(|verbs, caller| async move {
            let content = sealed_content(sealed)?;
            Ok(file(verbs.open_sealed(&caller, SessionId(session), content).await?))
        })
        .await
    }
}
