//! Tokens that open one plugin's routes for one session, for those who cannot set a header.

use std::time::Duration;

use async_trait::async_trait;
use switchboard_core::records::account::Principal;
use switchboard_core::records::id::SessionId;

use super::VerbError;

/// The longest that a token is good.
pub const LINK_TTL_MAX: Duration = Duration::from_secs(3600);
/// Most tokens that are drawn together.
pub const LINKS_MAX: usize = 10_000;

/// What the host does about such tokens.
#[async_trait]
pub trait LinkVerbs: Send + Sync {
    /// For each session a token to read it through the routes of `plugin`, named in full, that take keys of the kind link, for
    /// `ttl`.
    async fn draw_links(
        &self,
        caller: &Principal,
        plugin: &str,
        sessions: &[SessionId],
        ttl: Duration,
    ) -> Result<Vec<String>, VerbError>;
}
