//! Media for messages: what intake and the outbox ask before a message with a file is accepted or sent.

use async_trait::async_trait;

use switchboard_core::clock::Timestamp;
use switchboard_core::flow::media::{MediaDesk, MediaRefusal, Moment};
use switchboard_core::records::blob::Blob;
use switchboard_core::records::content::{Attachment, Content, Media, MediaSource};
use switchboard_core::records::id::TenantId;
use switchboard_media::{Facts, Kind};

use super::{FetchError, MediaRoom, Said, SentAs, clean_name, host, inspect_refusal, storage_fault};
use switchboard_core::records::blob::{BlobFacts, BlobKind};

/// Longest URL that is looked at, characters.
const URL_CHARS_MAX: usize = 4096;
/// Where public addresses of blobs are served.
pub(crate) const LINK_PATH: &str = "/media/";

/// The file of a message, and as what it is sent.
fn file_of(content: &mut Content) -> Option<(SentAs, &mut Media)> {
    Some(match content {
        Content::Image(media) => (SentAs::Image, media),
        Content::Video(media) => (SentAs::Video, media),
        Content::Audio(media) => (if media.voice_note { SentAs::VoiceNote } else { SentAs::Audio }, media),
        Content::Document(media) => (SentAs::Document, media),
        Content::Sticker(media) => (SentAs::Sticker, media),
        Content::File(media) => (SentAs::Itself, media),
        _ => return None,
    })
}

/// A file of any kind as what it has turned out to be.
fn known(content: Content, kind: BlobKind) -> Content {
    let Content::File(media) = content else { return content };
    match kind {
        BlobKind::Image => Content::Image(media),
        BlobKind::Video => Content::Video(media),
        BlobKind::Audio => Content::Audio(media),
        BlobKind::Document => Content::Document(media),
    }
}

/// The token at the end of a public address of ours, whatever the host is called from outside.
fn link_token(url: &str) -> Option<&str> {
    let (_, after) = url.split_once("://")?;
    let (_, path) = after.split_once('/')?;
    let path = path.split(['?', '#']).next()?;
    let (_, token) = path.rsplit_once(LINK_PATH.trim_start_matches('/'))?;
    Some(token).filter(|token| !token.is_empty() && !token.contains('/'))
}

/// A file of a message that came in is not sent on from where it lies.
fn with_whatsapp() -> MediaRefusal {
    MediaRefusal::NotFound("of a message that came in".to_owned())
}

#[async_trait]
impl MediaDesk for MediaRoom {
    fn check(&self, content: &Content) -> Result<(), MediaRefusal> {
        if let Content::Interactive(asked) = content {
            return asked.attachment.clone().map_or(Ok(()), |attachment| self.check(&attachment.into()));
        }
        let mut content = content.clone();
        let Some((_, media)) = file_of(&mut content) else { return Ok(()) };
        match &media.source {
            MediaSource::Url(url) if url.chars().count() > URL_CHARS_MAX => {
                Err(MediaRefusal::Unreachable(format!("a URL of more than {URL_CHARS_MAX} characters")))
            }
            MediaSource::Url(url) if self.own(url).is_some() => Ok(()),
            MediaSource::Url(url) => self.fetch.check(url).map_err(MediaRefusal::Unreachable),
            MediaSource::Blob(_) => Ok(()),
            MediaSource::WhatsApp(_) => Err(with_whatsapp()),
        }
    }

    async fn prepare(
        &self,
        tenant: TenantId,
        mut content: Content,
        moment: Moment,
        needed_until: Timestamp,
    ) -> Result<Content, MediaRefusal> {
        self.check(&content)?;
        if let Content::Interactive(asked) = &mut content {
            if let Some(attachment) = asked.attachment.take() {
                let ready = self.prepare(tenant, attachment.into(), moment, needed_until).await?;
                asked.attachment = Attachment::of(ready);
            }
            return Ok(content);
        }
        let Some((sent_as, media)) = file_of(&mut content) else { return Ok(content) };
        let said = Said { mime: media.mime.clone(), file_name: media.file_name.clone() };
        let found = match &media.source {
            MediaSource::Blob(id) => self.blob(tenant, id).await?,
            MediaSource::Url(url) => self.find_url(tenant, url, &said, sent_as, moment).await?,
            MediaSource::WhatsApp(_) => return Err(with_whatsapp()),
        };
        // How large it may be was decided when it came in.
        sent_as.check_kind(&found.facts)?;
        let fit = match sent_as {
            SentAs::VoiceNote if !found.facts.voice => self.voice_note(tenant, &found).await?,
            _ => found,
        };
        let kept = self.storage.extend_blob(tenant, &fit.id, needed_until).await.map_err(storage_fault)?;
        let kept = kept.ok_or_else(|| MediaRefusal::NotFound(fit.id.to_string()))?;
        media.source = MediaSource::Blob(kept.id.to_string());
        media.mime = Some(kept.facts.mime);
        let is_document =
            sent_as == SentAs::Document || (sent_as == SentAs::Itself && kept.facts.kind == BlobKind::Document);
        if is_document {
            media.file_name = media.file_name.as_deref().and_then(clean_name).or(kept.file_name);
        }
        Ok(known(content, kept.facts.kind))
    }
}

impl MediaRoom {
    /// What an address of ours names, when the URL is one.
    fn own(&self, url: &str) -> Option<(TenantId, String)> {
        let (tenant, id) = self.links.read(link_token(url)?, self.clock.now())?;
        Some((tenant, id.to_string()))
    }

    /// The blob that a URL names: our own, or fetched.
    async fn find_url(
        &self,
        tenant: TenantId,
        url: &str,
        said: &Said,
        sent_as: SentAs,
        moment: Moment,
    ) -> Result<Blob, MediaRefusal> {
        if let Some((owner, id)) = self.own(url) {
            // Another tenant's address is an address like any other that leads nowhere.
            let missing = || MediaRefusal::Unreachable("unreachable: there is nothing at this address".to_owned());
            return if owner == tenant { self.blob(tenant, &id).await } else { Err(missing()) };
        }
        if moment == Moment::Turn
            && let Some(id) = self.recent.find(tenant, url, self.clock.now())
            && let Ok(blob) = self.blob(tenant, id.as_str()).await
        {
            return Ok(blob);
        }
        let blob = self.fetch_url(tenant, url, said, sent_as).await?;
        self.recent.note(tenant, url, &blob.id, self.clock.now());
        Ok(blob)
    }

    /// Fetches a URL into a new blob.
    ///
    /// # Errors
    /// [`MediaRefusal`]; nothing is kept then.
    pub async fn fetch_url(&self, tenant: TenantId, url: &str, said: &Said, sent_as: SentAs) -> Result<Blob, MediaRefusal> {
        let mut incoming = self.begin(sent_as).await?;
        let bytes_max = sent_as.bytes_max();
        let fetched = self.fetch.fetch(url, bytes_max, &mut incoming).await.map_err(|error| match error {
            FetchError::Unreachable(why) => MediaRefusal::Unreachable(why),
            FetchError::TooLarge { bytes_max } => {
                MediaRefusal::TooLarge { kind: sent_as.name(), bytes: bytes_max.saturating_add(1), bytes_max }
            }
            FetchError::Host(why) => host(&why),
        })?;
        let said = Said {
            mime: said.mime.clone().or(fetched.mime),
            file_name: said.file_name.clone().or(fetched.file_name).or_else(|| name_in(url)),
        };
        self.take(tenant, incoming, &said, sent_as).await
    }

    /// The voice note of a sound: itself, or what it is converted to.
    ///
    /// # Errors
    /// [`MediaRefusal`].
    pub(crate) async fn as_voice_note(&self, tenant: TenantId, id: &str) -> Result<Blob, MediaRefusal> {
        let sound = self.blob(tenant, id).await?;
        SentAs::VoiceNote.check_kind(&sound.facts)?;
        if sound.facts.voice { Ok(sound) } else { self.voice_note(tenant, &sound).await }
    }

    /// A voice note of a sound that is none yet.
    async fn voice_note(&self, tenant: TenantId, sound: &Blob) -> Result<Blob, MediaRefusal> {
        let source = format!("voice of {}", sound.sha256);
        if let Some(id) = self.recent.find(tenant, &source, self.clock.now())
            && let Ok(blob) = self.blob(tenant, id.as_str()).await
        {
            return Ok(blob);
        }
        let mut incoming = self.begin(SentAs::VoiceNote).await?;
        let path = self.files.path(&sound.sha256);
        self.inspector.convert(&path, &told(&sound.facts), &mut incoming).await.map_err(inspect_refusal)?;
        let blob = self.take(tenant, incoming, &Said::default(), SentAs::VoiceNote).await?;
        self.recent.note(tenant, &source, &blob.id, self.clock.now());
        Ok(blob)
    }
}

/// What a converter must know of a sound.
fn told(facts: &BlobFacts) -> Facts {
    let kind = match facts.kind {
        BlobKind::Image => Kind::Image,
        BlobKind::Video => Kind::Video,
        BlobKind::Audio => Kind::Audio,
        BlobKind::Document => Kind::Document,
    };
    Facts {
        kind,
        mime: facts.mime.clone(),
        width: None,
        height: None,
        seconds: facts.seconds,
        waveform: None,
        thumbnail: None,
        voice: facts.voice,
        demuxer: facts.demuxer.clone(),
    }
}

/// The last part of a URL's path, when it looks like a file's name.
fn name_in(url: &str) -> Option<String> {
    let (_, after) = url.split_once("://")?;
    let (_, path) = after.split(['?', '#']).next()?.split_once('/')?;
    let last = path.rsplit('/').next().filter(|last| last.contains('.'))?;
    clean_name(&percent_encoding::percent_decode_str(last).decode_utf8().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_from_the_end_of_a_url() {
        for (url, name) in [
            ("https://a.example/b/Price%20list.pdf?x=1#y", Some("Price list.pdf")),
            ("https://a.example/..%2F..%2Fetc%2Fpasswd.txt", Some("passwd.txt")),
            ("https://a.example/photo", None),
            ("https://a.example", None),
            ("https://a.example/.", None),
        ] {
            assert_eq!(name_in(url).as_deref(), name, "{url}");
        }
    }

    #[test]
    fn an_address_of_ours_is_known_under_any_name_of_the_host() {
        assert_eq!(link_token("https://wa.example.org/media/abc?download"), Some("abc"));
        assert_eq!(link_token("http://127.0.0.1:8080/prefix/media/abc"), Some("abc"));
        for other in ["https://a.example/media/", "https://a.example/media/a/b", "/media/abc", "https://a.example/x"] {
            assert_eq!(link_token(other), None, "{other}");
        }
    }
}
