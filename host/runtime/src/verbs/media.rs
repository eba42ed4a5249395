//! What the host does with a tenant's files for plugins, which hold handles and never bytes.

use std::time::Duration;

use async_trait::async_trait;
use switchboard_core::records::account::Principal;
use switchboard_core::records::blob::Blob;
use switchboard_core::records::content::Content;
use switchboard_core::records::id::SessionId;

use super::VerbError;

/// Longest time for which a file is linked or kept on a plugin's word: 30 days.
pub const MEDIA_TTL_MAX: Duration = Duration::from_secs(30 * 86_400);

/// The host's verbs for files. `caller` is who called the router.
#[async_trait]
pub trait MediaVerbs: Send + Sync {
    /// What is known of a file.
    async fn media(&self, caller: &Principal, handle: &str) -> Result<Blob, VerbError>;
    /// A path below the host at which anybody can get a file for a while.
    async fn link_media(&self, caller: &Principal, handle: &str, ttl: Duration) -> Result<String, VerbError>;
    /// Puts off the end of a file.
    async fn keep_media(&self, caller: &Principal, handle: &str, ttl: Duration) -> Result<Blob, VerbError>;
    /// A voice note of a sound.
    async fn voice_note(&self, caller: &Principal, handle: &str) -> Result<Blob, VerbError>;
    /// The file of the message that event number `event` is about.
    async fn media_of_message(&self, caller: &Principal, event: u64) -> Result<Blob, VerbError>;
    /// Fetches and opens a sealed file of WhatsApp's: `sealed` is media with its source there.
    async fn open_sealed(&self, caller: &Principal, session: SessionId, sealed: Content) -> Result<Blob, VerbError>;
}
