//! Files that come with requests to plugins: kept for an hour, and longer once a message refers to them.

use std::time::Duration;

use switchboard_core::flow::media::MediaRefusal;
use switchboard_core::records::blob::{Blob, BlobFacts, BlobId};
use switchboard_core::records::id::TenantId;

use super::{MediaRoom, Said, blob_facts, host, inspect_refusal, not_kept};
use crate::blobs::Incoming;

/// How long a file is kept that no message refers to.
const UNUSED_FOR: Duration = Duration::from_secs(3600);

impl MediaRoom {
    /// A new file to write into, of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// When the file system fails.
    pub(crate) async fn begin_upload(&self, bytes_max: u64) -> Result<Incoming, MediaRefusal> {
        self.files.begin(bytes_max).await.map_err(|error| host(&error))
    }

    /// Adds bytes to it; whether there was room for them.
    ///
    /// # Errors
    /// When the file system fails.
    pub(crate) async fn add_upload(&self, incoming: &mut Incoming, bytes: &[u8]) -> Result<bool, MediaRefusal> {
        match incoming.add(bytes).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => Ok(false),
            Err(error) => Err(host(&error)),
        }
    }

    /// Looks at a file that was written, and keeps it for a while if its facts are wanted; `None` if they are not.
    ///
    /// # Errors
    /// [`MediaRefusal`]; nothing is kept then.
    pub(crate) async fn take_upload(
        &self,
        tenant: TenantId,
        incoming: Incoming,
        said: &Said,
        wanted: impl Fn(&BlobFacts) -> bool,
    ) -> Result<Option<Blob>, MediaRefusal> {
        let written = incoming.finish().await.map_err(|error| host(&error))?;
        let facts = self.inspector.tell(written.path(), said.mime.as_deref()).await.map_err(inspect_refusal)?;
        let facts = blob_facts(facts);
        if !wanted(&facts) {
            return Ok(None);
        }
        let id = BlobId::draw(&*self.entropy);
        let kept = self.keep_for(tenant, written, facts, said.file_name.as_deref(), id, Some(UNUSED_FOR)).await;
        kept.map(Some).map_err(|error| not_kept(&error))
    }

    /// Removes such a file, unless a message refers to it by now.
    pub(crate) async fn drop_upload(&self, tenant: TenantId, blob: &Blob) {
        if let Err(error) = self.files.delete_unextended(tenant, blob).await {
            // It goes at its end.
            tracing::warn!(%error, "a file that nobody needs is not removed yet");
        }
    }
}
