//! Media on their way in: taken from an upload, a URL or WhatsApp, looked at by a confined child, kept as blobs.
//!
//! What a file is, is decided from its content; what it may be sent as, and how large it may be, follows from that. Nothing here
//! decodes anything in this process, and nothing holds a whole file in memory but what is about to be sent.

mod desk;
mod fetch;
mod links;
mod received;
mod recent;
mod uploads;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use switchboard_core::clock::{Clock, Timestamp};
use switchboard_core::entropy::Entropy;
use switchboard_core::flow::media::MediaRefusal;
use switchboard_core::records::blob::{Blob, BlobFacts, BlobId, BlobKind};
use switchboard_core::records::id::TenantId;
use switchboard_core::rules::said_back::said_back;
use switchboard_core::storage::{Storage, StorageError};
use switchboard_media::{Facts, InspectError, Inspector, Kind};

use crate::blobs::{BlobError, BlobFiles, Incoming, Scratch, Written};
use recent::Recent;

pub(crate) use desk::LINK_PATH;
pub use fetch::{Fetch, FetchError, Fetched};
pub use links::{KEY_PURPOSE as LINK_KEY_PURPOSE, Links};
pub use received::Downloads;

#[cfg(test)]
mod tests;

const MIB: u64 = 1024 * 1024;
/// Most bytes of a picture or a sticker.
const IMAGE_BYTES_MAX: u64 = 16 * MIB;
/// Most bytes of a film.
const VIDEO_BYTES_MAX: u64 = 64 * MIB;
/// Most bytes of a sound.
const AUDIO_BYTES_MAX: u64 = 16 * MIB;
/// Most bytes of a document.
const DOCUMENT_BYTES_MAX: u64 = 100 * MIB;
/// Most characters of a file's name that are kept.
const FILE_NAME_CHARS_MAX: usize = 255;
pub use switchboard_core::rules::plan::{MEDIA_BYTES as LIMIT_BYTES, MEDIA_DAYS as LIMIT_DAYS};
/// How often ended media is looked for.
const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(600);

/// What the operator sets for every tenant that has no figure of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaSettings {
    /// Bytes of media that a tenant may keep.
    pub bytes_max: u64,
    /// For how many days media is kept.
    pub days: u64,
}

impl Default for MediaSettings {
    fn default() -> Self {
        Self { bytes_max: 10 * 1024 * MIB, days: 30 }
    }
}

/// As what a file is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentAs {
    /// As what it is.
    Itself,
    /// A picture.
    Image,
    /// A film.
    Video,
    /// A sound.
    Audio,
    /// A sound that is made a voice note when it is none.
    VoiceNote,
    /// A file, whatever is in it.
    Document,
    /// A sticker.
    Sticker,
}

impl SentAs {
    /// The name in errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Itself => "any file",
            Self::Image => "an image",
            Self::Video => "a video",
            Self::Audio => "an audio",
            Self::VoiceNote => "a voice note",
            Self::Document => "a document",
            Self::Sticker => "a sticker",
        }
    }

    /// Most bytes of a file that is sent so.
    pub fn bytes_max(self) -> u64 {
        match self {
            Self::Image | Self::Sticker => IMAGE_BYTES_MAX,
            Self::Video => VIDEO_BYTES_MAX,
            Self::Audio | Self::VoiceNote => AUDIO_BYTES_MAX,
            Self::Itself | Self::Document => DOCUMENT_BYTES_MAX,
        }
    }

    fn of(kind: BlobKind) -> Self {
        match kind {
            BlobKind::Image => Self::Image,
            BlobKind::Video => Self::Video,
            BlobKind::Audio => Self::Audio,
            BlobKind::Document => Self::Document,
        }
    }

    /// Whether a file of these facts can be sent so. A voice note may still have to be made of it.
    fn check_kind(self, facts: &BlobFacts) -> Result<(), MediaRefusal> {
        let fits = match self {
            Self::Itself | Self::Document => true,
            Self::Image => facts.kind == BlobKind::Image,
            Self::Video => facts.kind == BlobKind::Video,
            Self::Audio => facts.kind == BlobKind::Audio,
            Self::VoiceNote => facts.kind == BlobKind::Audio || (facts.kind == BlobKind::Video && facts.demuxer.is_some()),
            Self::Sticker => facts.mime == "image/webp",
        };
        if !fits {
            let wanted = if self == Self::Sticker { "; a sticker is a WebP picture" } else { "" };
            let (name, mime) = (self.name(), &facts.mime);
            return Err(MediaRefusal::Unsupported(format!("{mime} cannot be sent as {name}{wanted}")));
        }
        Ok(())
    }

    /// Whether a file of these facts and this size can be sent so.
    fn check(self, facts: &BlobFacts, bytes: u64) -> Result<(), MediaRefusal> {
        self.check_kind(facts)?;
        let judged = if self == Self::Itself { Self::of(facts.kind) } else { self };
        let bytes_max = judged.bytes_max();
        if bytes > bytes_max {
            return Err(MediaRefusal::TooLarge { kind: judged.name(), bytes, bytes_max });
        }
        Ok(())
    }
}

/// What a file's sender says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Its MIME type.
    pub mime: Option<String>,
    /// Its name.
    pub file_name: Option<String>,
}

/// Everything that is done with media.
pub struct MediaRoom {
    files: BlobFiles,
    storage: Storage,
    inspector: Inspector,
    fetch: Arc<dyn Fetch>,
    links: Links,
    recent: Recent,
    settings: MediaSettings,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// What the room needs.
pub struct MediaParts {
    /// Where the bytes are.
    pub files: BlobFiles,
    /// Where the references are.
    pub storage: Storage,
    /// Who looks at files.
    pub inspector: Inspector,
    /// Who fetches URLs.
    pub fetch: Arc<dyn Fetch>,
    /// Who draws public addresses.
    pub links: Links,
    /// The operator's limits.
    pub settings: MediaSettings,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

fn host(error: &dyn std::fmt::Display) -> MediaRefusal {
    tracing::error!(%error, "media cannot be handled");
    // The words of the system are for the operator, not for the customer.
    MediaRefusal::Unavailable("the blob store does not answer".to_owned())
}

/// Why a file that has come is not kept.
fn not_kept(error: &BlobError) -> MediaRefusal {
    match error {
        BlobError::Full { .. } => MediaRefusal::Full(error.to_string()),
        error => host(error),
    }
}

fn storage_fault(error: StorageError) -> MediaRefusal {
    host(&error)
}

fn inspect_refusal(error: InspectError) -> MediaRefusal {
    match error {
        InspectError::Host(why) => host(&why),
        refused => MediaRefusal::Unsupported(refused.to_string()),
    }
}

impl MediaRoom {
    /// A room over its parts.
    pub fn new(parts: MediaParts) -> Self {
        let MediaParts { files, storage, inspector, fetch, links, settings, clock, entropy } = parts;
        Self { files, storage, inspector, fetch, links, recent: Recent::default(), settings, clock, entropy }
    }

    /// A new file to write into, no larger than what is sent so.
    ///
    /// # Errors
    /// When the file system fails.
    pub async fn begin(&self, sent_as: SentAs) -> Result<Incoming, MediaRefusal> {
        self.files.begin(sent_as.bytes_max()).await.map_err(|error| host(&error))
    }

    /// Adds bytes to a file that is being written.
    ///
    /// # Errors
    /// [`MediaRefusal::TooLarge`] over its limit; else when the file system fails.
    pub async fn add(&self, incoming: &mut Incoming, bytes: &[u8], sent_as: SentAs) -> Result<(), MediaRefusal> {
        let before = incoming.bytes();
        incoming.add(bytes).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::FileTooLarge => MediaRefusal::TooLarge {
                kind: sent_as.name(),
                bytes: before.saturating_add(bytes.len() as u64),
                bytes_max: sent_as.bytes_max(),
            },
            _ => host(&error),
        })
    }

    /// Looks at a file that was written, and keeps it as a blob of the tenant.
    ///
    /// # Errors
    /// [`MediaRefusal`]; nothing is kept then.
    pub async fn take(
        &self,
        tenant: TenantId,
        incoming: Incoming,
        said: &Said,
        sent_as: SentAs,
    ) -> Result<Blob, MediaRefusal> {
        let written = incoming.finish().await.map_err(|error| host(&error))?;
        let facts = self.inspector.tell(written.path(), said.mime.as_deref()).await.map_err(inspect_refusal)?;
        let facts = blob_facts(facts);
        sent_as.check(&facts, written.bytes)?;
        self.keep(tenant, written, facts, said.file_name.as_deref()).await
    }

    async fn keep(
        &self,
        tenant: TenantId,
        written: Written,
        facts: BlobFacts,
        file_name: Option<&str>,
    ) -> Result<Blob, MediaRefusal> {
        let id = BlobId::draw(&*self.entropy);
        self.keep_as(tenant, written, facts, file_name, id).await.map_err(|error| not_kept(&error))
    }

    async fn keep_as(
        &self,
        tenant: TenantId,
        written: Written,
        facts: BlobFacts,
        file_name: Option<&str>,
        id: BlobId,
    ) -> Result<Blob, BlobError> {
        self.keep_for(tenant, written, facts, file_name, id, None).await
    }

    /// Keeps a file `at_most` so long, and no longer than the tenant keeps its media.
    async fn keep_for(
        &self,
        tenant: TenantId,
        written: Written,
        facts: BlobFacts,
        file_name: Option<&str>,
        id: BlobId,
        at_most: Option<Duration>,
    ) -> Result<Blob, BlobError> {
        let settings = self.settings_of(tenant).await?;
        let now = self.clock.now();
        let usual = Duration::from_secs(settings.days.saturating_mul(86_400));
        let blob = Blob {
            id,
            sha256: written.sha256.clone(),
            bytes: written.bytes,
            facts,
            file_name: file_name.and_then(clean_name),
            created_at: now,
            expires_at: now.plus(at_most.map_or(usual, |most| most.min(usual))),
        };
        self.files.keep(tenant, written, &blob, settings.bytes_max).await?;
        Ok(blob)
    }

    /// What a tenant may keep, and for how long.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn settings_of(&self, tenant: TenantId) -> Result<MediaSettings, StorageError> {
        let record = self.storage.tenant(tenant).await?;
        let figure = |name: &str| record.as_ref().and_then(|tenant| tenant.limits.get(name).copied());
        Ok(MediaSettings {
            bytes_max: figure(LIMIT_BYTES).unwrap_or(self.settings.bytes_max),
            days: figure(LIMIT_DAYS).unwrap_or(self.settings.days),
        })
    }

    /// A blob of a tenant that has not ended.
    ///
    /// # Errors
    /// [`MediaRefusal::NotFound`], or when storage fails.
    pub async fn blob(&self, tenant: TenantId, id: &str) -> Result<Blob, MediaRefusal> {
        let missing = || MediaRefusal::NotFound(said_back(id));
        let handle = BlobId::parse(id).ok_or_else(missing)?;
        let blob = self.storage.blob(tenant, &handle).await.map_err(storage_fault)?;
        blob.filter(|blob| blob.expires_at > self.clock.now()).ok_or_else(missing)
    }

    /// Removes a blob of a tenant; whether there was one.
    ///
    /// # Errors
    /// When storage or the file system fails.
    pub async fn delete(&self, tenant: TenantId, id: &str) -> Result<bool, MediaRefusal> {
        let Some(handle) = BlobId::parse(id) else { return Ok(false) };
        self.files.delete(tenant, &handle).await.map_err(|error| host(&error))
    }

    /// Opens the bytes of a blob.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn open(&self, blob: &Blob) -> Result<tokio::fs::File, MediaRefusal> {
        self.files.read(blob).await.map_err(|error| host(&error))
    }

    /// Where the bytes of a blob are.
    pub(crate) fn path(&self, blob: &Blob) -> PathBuf {
        self.files.path(&blob.sha256)
    }

    /// A place for a file that is needed for a while.
    pub(crate) fn scratch(&self) -> Scratch {
        self.files.scratch()
    }

    /// A public address of a blob, good until `until`, as the end of a path.
    pub fn link(&self, tenant: TenantId, blob: &Blob, until: Timestamp) -> String {
        self.links.draw(tenant, &blob.id, until.min(blob.expires_at))
    }

    /// The blob that a public address names, unless its time is over.
    ///
    /// # Errors
    /// [`MediaRefusal::NotFound`], or when storage fails.
    pub async fn linked(&self, token: &str) -> Result<Blob, MediaRefusal> {
        let missing = || MediaRefusal::NotFound("at this address".to_owned());
        let (tenant, id) = self.links.read(token, self.clock.now()).ok_or_else(missing)?;
        self.blob(tenant, id.as_str()).await.map_err(|error| match error {
            MediaRefusal::NotFound(_) => missing(),
            other => other,
        })
    }

    /// Removes what a crash left behind, then what has ended, every now and then, until the future is dropped.
    pub async fn keep_house(&self) {
        match self.files.sweep().await {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "files without a reference were removed"),
            Err(error) => tracing::error!(%error, "the blob store cannot be swept"),
        }
        loop {
            if let Err(error) = self.expire().await {
                tracing::error!(%error, "ended media cannot be removed");
            }
            self.clock.sleep_until(self.clock.now().plus(HOUSEKEEPING_EVERY)).await;
        }
    }

    async fn expire(&self) -> Result<(), BlobError> {
        for tenant in self.storage.tenants().await? {
            let removed = self.files.expire(tenant.id, self.clock.now()).await?;
            if removed > 0 {
                tracing::info!(tenant = %tenant.id, removed, "media was removed at its end");
            }
        }
        Ok(())
    }
}

/// Where the converter of voice notes is: in the folders of the environment's `PATH`.
pub fn find_ffmpeg() -> Option<PathBuf> {
    Inspector::find_ffmpeg(&std::env::var_os("PATH")?)
}

/// A name without folders and control characters; `None` when nothing is left.
fn clean_name(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control()).take(FILE_NAME_CHARS_MAX).collect();
    let clean = clean.trim();
    (!clean.is_empty() && clean != "." && clean != "..").then(|| clean.to_owned())
}

fn blob_facts(facts: Facts) -> BlobFacts {
    BlobFacts {
        kind: match facts.kind {
            Kind::Image => BlobKind::Image,
            Kind::Video => BlobKind::Video,
            Kind::Audio => BlobKind::Audio,
            Kind::Document => BlobKind::Document,
        },
        mime: facts.mime,
        width: facts.width,
        height: facts.height,
        seconds: facts.seconds,
        waveform: facts.waveform.map(|bars| STANDARD.encode(bars)),
        thumbnail: facts.thumbnail.map(|jpeg| STANDARD.encode(jpeg)),
        voice: facts.voice,
        demuxer: facts.demuxer,
    }
}
