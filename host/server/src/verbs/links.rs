//! The verb that draws tokens for links.

use std::time::Duration;

use async_trait::async_trait;

use switchboard_core::records::account::{KeyKind, Principal};
use switchboard_core::records::id::SessionId;
use switchboard_runtime::verbs::{LINK_TTL_MAX, LINKS_MAX, LinkVerbs, VerbError};

use super::{HostVerbs, need};

#[async_trait]
impl LinkVerbs for HostVerbs {
    async fn draw_links(
        &self,
        caller: &Principal,
        plugin: &str,
        sessions: &[SessionId],
        ttl: Duration,
    ) -> Result<Vec<String>, VerbError> {
        need(caller, "sessions", "read")?;
        if caller.kind == KeyKind::Link {
            return Err(VerbError::Denied("a token from a link draws no other".to_owned()));
        }
        if ttl.is_zero() || ttl > LINK_TTL_MAX {
            let why = format!("is {}; 1 to {} are allowed", ttl.as_secs(), LINK_TTL_MAX.as_secs());
            return Err(VerbError::Invalid { field: "ttl-s".to_owned(), why });
        }
        if sessions.len() > LINKS_MAX {
            let why = format!("are {}; the limit is {LINKS_MAX}", sessions.len());
            return Err(VerbError::Invalid { field: "ids".to_owned(), why });
        }
        let until = self.clock.now().plus(ttl);
        let mut drawn = Vec::with_capacity(sessions.len());
        for session in sessions {
            self.reach(caller, *session).await?;
            drawn.push(self.accounts.draw_link(caller, plugin, *session, until));
        }
        Ok(drawn)
    }
}
