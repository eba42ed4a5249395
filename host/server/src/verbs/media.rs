//! The verbs for a tenant's files.

use std::time::Duration;

use async_trait::async_trait;

use switchboard_core::flow::media::MediaRefusal;
use switchboard_core::flow::media_worker::{FetchFault, FileFetcher};
use switchboard_core::records::account::Principal;
use switchboard_core::records::blob::Blob;
use switchboard_core::records::content::Content;
use switchboard_core::records::event::Fact;
use switchboard_core::records::id::SessionId;
use switchboard_core::records::session::SessionState;
use switchboard_runtime::verbs::{MEDIA_TTL_MAX, MediaVerbs, VerbError};

use super::{HostVerbs, need, unavailable};
use crate::media::LINK_PATH;

fn invalid(field: &str, why: String) -> VerbError {
    VerbError::Invalid { field: field.to_owned(), why }
}

fn media_error(refusal: MediaRefusal) -> VerbError {
    match refusal {
        MediaRefusal::NotFound(_) => VerbError::NotFound,
        MediaRefusal::Unavailable(_) => VerbError::Unavailable(format!("the media {refusal}")),
        refused => VerbError::Media(refused),
    }
}

fn fetch_error(fault: FetchFault, state: SessionState) -> VerbError {
    match fault {
        FetchFault::NotConnected => VerbError::NotConnected(state),
        FetchFault::Later(why) => VerbError::Unavailable(why),
        FetchFault::Full(why) => VerbError::Media(MediaRefusal::Full(why)),
        FetchFault::Never(why) => VerbError::Media(MediaRefusal::Unreachable(why)),
    }
}

fn checked_ttl(ttl: Duration) -> Result<(), VerbError> {
    if !ttl.is_zero() && ttl <= MEDIA_TTL_MAX {
        return Ok(());
    }
    let (seconds, most) = (ttl.as_secs(), MEDIA_TTL_MAX.as_secs());
    Err(invalid("ttl-s", format!("is {seconds}; 1 to {most} are allowed")))
}

#[async_trait]
impl MediaVerbs for HostVerbs {
    async fn media(&self, caller: &Principal, handle: &str) -> Result<Blob, VerbError> {
        need(caller, "messages", "read")?;
        self.media.blob(caller.tenant, handle).await.map_err(media_error)
    }

    async fn link_media(&self, caller: &Principal, handle: &str, ttl: Duration) -> Result<String, VerbError> {
        let blob = self.media(caller, handle).await?;
        checked_ttl(ttl)?;
        Ok(format!("{LINK_PATH}{}", self.media.link(caller.tenant, &blob, self.clock.now().plus(ttl))))
    }

    async fn keep_media(&self, caller: &Principal, handle: &str, ttl: Duration) -> Result<Blob, VerbError> {
        need(caller, "messages", "write")?;
        checked_ttl(ttl)?;
        let blob = self.media.blob(caller.tenant, handle).await.map_err(media_error)?;
        let kept = self.storage.extend_blob(caller.tenant, &blob.id, self.clock.now().plus(ttl)).await;
        kept.map_err(unavailable)?.ok_or(VerbError::NotFound)
    }

    async fn voice_note(&self, caller: &Principal, handle: &str) -> Result<Blob, VerbError> {
        need(caller, "messages", "write")?;
        self.media.as_voice_note(caller.tenant, handle).await.map_err(media_error)
    }

    async fn media_of_message(&self, caller: &Principal, event: u64) -> Result<Blob, VerbError> {
        need(caller, "messages", "write")?;
        let event = self.storage.event(caller.tenant, event).await.map_err(unavailable)?.ok_or(VerbError::NotFound)?;
        if !caller.may_use(event.session) {
            return Err(VerbError::NotFound);
        }
        let Fact::MessageReceived(incoming) = &event.fact else { return Err(VerbError::NotFound) };
        let fetched = self.downloads.fetch(caller.tenant, event.session, event.n, incoming).await;
        match fetched {
            Ok(blob) => Ok(blob),
            Err(fault) => Err(fetch_error(fault, self.state_of(caller, event.session).await?)),
        }
    }

    async fn open_sealed(&self, caller: &Principal, session: SessionId, sealed: Content) -> Result<Blob, VerbError> {
        need(caller, "messages", "write")?;
        let state = self.state_of(caller, session).await?;
        self.downloads.open_sealed(caller.tenant, session, &sealed).await.map_err(|fault| fetch_error(fault, state))
    }
}

impl HostVerbs {
    async fn state_of(&self, caller: &Principal, session: SessionId) -> Result<SessionState, VerbError> {
        Ok(self.reach(caller, session).await?.state)
    }
}
