//! Tokens that open one plugin's routes for one session, for those who cannot set a header.

use std::time::Duration;

use async_trait::async_trait;
use switchboard_core::records::account::Principal;
use switchboard_core::records::id::SessionId;

use super::VerbError;

/// The longest that a token is good.
pub const LINK_TTL_MAX: Duration = Duration::from_secs(3600);

/// What the host does about such tokens.
#[async_trait]
pub trait LinkVerbs: Send + Sync {
    /// A token to read one session through the routes of `plugin`, named in full, that take keys of the kind link, for `ttl`.
    async fn draw_link(
        &self,
        caller: &Principal,
        plugin: &str,
        session: SessionId,
        ttl: Duration,
    ) -> Result<String, VerbError>;
}
