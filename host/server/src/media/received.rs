//! The file of a message that came in, fetched from WhatsApp and kept as a blob: on demand, or as it comes in.
//!
//! Such a file is what its sender made of it: it is kept whatever is in it, and what cannot be told of it is what the message
//! says.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use switchboard_core::flow::media::MediaRefusal;
use switchboard_core::flow::media_worker::{FetchFault, FileFetcher};
use switchboard_core::records::blob::{Blob, BlobFacts, BlobKind};
use switchboard_core::records::content::{Content, Media};
use switchboard_core::records::event::Incoming;
use switchboard_core::records::id::{SessionId, TenantId};
use switchboard_core::storage::StorageError;
use switchboard_media::InspectError;

use super::{MIB, MediaRoom, Said, SentAs, blob_facts, host, inspect_refusal, not_kept, storage_fault};
use crate::blobs::BlobError;
use crate::whatsapp::Sessions;

/// MiB of files, sealed and open, that are held in memory for downloads at once.
const DOWNLOAD_MIB_MAX: u32 = 512;
/// Most bytes of a file that is fetched.
const FILE_BYTES_MAX: u64 = 100 * MIB;
/// The MIME type of a file of which nothing can be told.
const UNTOLD: &str = "application/octet-stream";
/// Bytes that are written at once.
const CHUNK: usize = 64 * 1024;

/// Fetches files of messages into the blobs of their tenant.
pub struct Downloads {
    room: Arc<MediaRoom>,
    sessions: Arc<Sessions>,
    /// Room in memory, of every session together.
    memory: Semaphore,
}

impl Downloads {
    /// Downloads by `sessions` into `room`.
    pub fn new(room: Arc<MediaRoom>, sessions: Arc<Sessions>) -> Self {
        Self { room, sessions, memory: Semaphore::new(DOWNLOAD_MIB_MAX as usize) }
    }
}

fn fault(refusal: MediaRefusal) -> FetchFault {
    let why = format!("the media {refusal}");
    match refusal {
        MediaRefusal::Unavailable(_) => FetchFault::Later(why),
        MediaRefusal::Full(_) => FetchFault::Full(why),
        _ => FetchFault::Never(why),
    }
}

#[async_trait]
impl FileFetcher for Downloads {
    async fn fetch(
        &self,
        tenant: TenantId,
        session: SessionId,
        event: u64,
        incoming: &Incoming,
    ) -> Result<Blob, FetchFault> {
        let id = self.room.links.handle_of(tenant, event);
        if let Ok(there) = self.room.blob(tenant, id.as_str()).await {
            return Ok(there);
        }
        let Some(media) = incoming.content.media() else {
            return Err(FetchFault::Never("there is no file in the message".to_owned()));
        };
        let bytes = media.size.unwrap_or(FILE_BYTES_MAX);
        if bytes > FILE_BYTES_MAX {
            return Err(FetchFault::Never(format!("the file has {bytes} bytes; the limit is {FILE_BYTES_MAX} bytes")));
        }
        // The semaphore is never closed.
        let _memory = self.memory.acquire_many(memory_for(bytes)).await;
        let bytes = self.sessions.download(tenant, session, incoming).await?;
        self.room.receive(tenant, event, &incoming.content, media, &bytes).await.map_err(fault)
    }
}

/// MiB that are held for a file of so many bytes: sealed and open.
fn memory_for(bytes: u64) -> u32 {
    u32::try_from(2 * (bytes / MIB + 1)).unwrap_or(u32::MAX).min(DOWNLOAD_MIB_MAX)
}

impl Downloads {
    /// Fetches and opens the sealed file of `content`, which no message of ours has to know. It is kept for an hour.
    ///
    /// # Errors
    /// [`FetchFault`].
    pub(crate) async fn open_sealed(
        &self,
        tenant: TenantId,
        session: SessionId,
        content: &Content,
    ) -> Result<Blob, FetchFault> {
        // How large it says it is need not be true: room is taken for the largest.
        let _memory = self.memory.acquire_many(memory_for(FILE_BYTES_MAX)).await;
        let bytes = self.sessions.download_sealed(tenant, session, content).await?;
        let said = content.media().map(|media| Said { mime: media.mime.clone(), file_name: media.file_name.clone() });
        let mut incoming = self.room.begin_upload(FILE_BYTES_MAX).await.map_err(fault)?;
        for chunk in bytes.chunks(CHUNK) {
            if !self.room.add_upload(&mut incoming, chunk).await.map_err(fault)? {
                return Err(FetchFault::Never(format!("the file has more than {FILE_BYTES_MAX} bytes")));
            }
        }
        let taken = self.room.take_upload(tenant, incoming, &said.unwrap_or_default(), |_| true).await.map_err(fault)?;
        taken.ok_or_else(|| FetchFault::Never("the file is not wanted".to_owned()))
    }
}

impl MediaRoom {
    /// Keeps the file of an event.
    async fn receive(
        &self,
        tenant: TenantId,
        event: u64,
        content: &Content,
        media: &Media,
        bytes: &[u8],
    ) -> Result<Blob, MediaRefusal> {
        let mut incoming = self.begin(SentAs::Itself).await?;
        for chunk in bytes.chunks(CHUNK) {
            self.add(&mut incoming, chunk, SentAs::Itself).await?;
        }
        let written = incoming.finish().await.map_err(|error| host(&error))?;
        let facts = match self.inspector.tell(written.path(), media.mime.as_deref()).await {
            // What tells nothing of itself is what the message says.
            Ok(facts) if facts.mime == UNTOLD => said_facts(content, media),
            Ok(facts) => blob_facts(facts),
            Err(failed @ InspectError::Host(_)) => return Err(inspect_refusal(failed)),
            Err(_) => said_facts(content, media),
        };
        let id = self.links.handle_of(tenant, event);
        // One that has ended and is not removed yet is in the way of its next life.
        if self.storage.blob(tenant, &id).await.map_err(storage_fault)?.is_some_and(|old| old.expires_at <= self.clock.now())
        {
            self.files.delete(tenant, &id).await.map_err(|error| host(&error))?;
        }
        let kept = self.keep_as(tenant, written, facts, media.file_name.as_deref(), id.clone()).await;
        match kept {
            // It was fetched twice at once, and the other one was first.
            Err(BlobError::Storage(StorageError::Conflict)) => self.blob(tenant, id.as_str()).await,
            other => other.map_err(|error| not_kept(&error)),
        }
    }
}

/// What the message says of its file.
fn said_facts(content: &Content, media: &Media) -> BlobFacts {
    let kind = match content {
        Content::Image(_) | Content::Sticker(_) => BlobKind::Image,
        Content::Video(_) => BlobKind::Video,
        Content::Audio(_) => BlobKind::Audio,
        _ => BlobKind::Document,
    };
    let mime = media.mime.clone().unwrap_or_else(|| UNTOLD.to_owned());
    let (width, height, seconds) = (media.width, media.height, media.seconds);
    BlobFacts { width, height, seconds, ..BlobFacts::new(kind, mime) }
}
