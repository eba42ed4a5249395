//! What intake and the outbox ask of whoever keeps media: that a message's file is there, of the right kind, and stays until
//! it is sent.

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::records::content::Content;
use crate::records::id::TenantId;

/// Why a message's file cannot be sent. The words are for the customer, and go on after "the media".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaRefusal {
    /// The tenant has no such blob, or has it no longer.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The URL cannot be fetched, or must not be.
    #[error("cannot be fetched: {0}")]
    Unreachable(String),
    /// The file is not what it is to be sent as.
    #[error("is not supported: {0}")]
    Unsupported(String),
    /// The file is over the limit of its kind.
    #[error("has {bytes} bytes; the limit for {kind} is {bytes_max} bytes")]
    TooLarge {
        /// Its kind.
        kind: &'static str,
        /// Its size, as far as it was read.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The tenant keeps too much media.
    #[error("finds no room: {0}")]
    Full(String),
    /// The host's own fault: it may work later.
    #[error("cannot be handled now: {0}")]
    Unavailable(String),
}

/// When a file is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before a single message is accepted: what a URL names is fetched anew.
    Acceptance,
    /// On its turn in the outbox: many messages may name the same URL, which is fetched once.
    Turn,
}

/// Keeps media.
#[async_trait]
pub trait MediaDesk: Send + Sync {
    /// What can be told of a message's file without fetching it.
    ///
    /// # Errors
    /// [`MediaRefusal`].
    fn check(&self, content: &Content) -> Result<(), MediaRefusal>;

    /// The same content with its file in the blob store, fit to be sent as what it is, kept until `needed_until` at least.
    /// Content without a file comes back as it is.
    ///
    /// # Errors
    /// [`MediaRefusal`].
    async fn prepare(
        &self,
        tenant: TenantId,
        content: Content,
        moment: Moment,
        needed_until: Timestamp,
    ) -> Result<Content, MediaRefusal>;
}
