//! Fetches the files of messages that came in, for sessions that want it: a few at once, and of one session fewer, so that a
//! session with many does not hold up the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::{JoinError, JoinSet};

use super::outage::Outage;
use super::wakes::Wakes;
use crate::clock::{Clock, Timestamp};
use crate::entropy::Entropy;
use crate::records::blob::Blob;
use crate::records::event::{Fact, Incoming, StoredMedia};
use crate::records::id::{SessionId, TenantId};
use crate::rules::backoff::FETCH;
use crate::storage::{MediaJob, Storage, StorageError};

/// Files that are fetched at once.
const AT_ONCE: usize = 16;
/// Of these, files of one session.
const OF_ONE_SESSION: usize = 4;
/// Files that are looked at in one turn.
const TURN_FILES: usize = 256;
/// How long a file is tried for: WhatsApp keeps it for weeks, and the phone may be away for days.
pub const PATIENCE: Duration = Duration::from_secs(7 * 86_400);
/// How long a file of a session that is off line waits before it is looked at again.
const OFFLINE_REST: Duration = Duration::from_secs(5);
/// How long the worker rests after storage failed.
const STORAGE_REST: Duration = Duration::from_secs(1);

/// Why a file was not fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchFault {
    /// The session is not connected.
    #[error("the session is not connected")]
    NotConnected,
    /// The tenant keeps too much already.
    #[error("{0}")]
    Full(String),
    /// It may work later.
    #[error("{0}")]
    Later(String),
    /// It will never work.
    #[error("{0}")]
    Never(String),
}

/// Fetches the file of a message into the tenant's blobs.
#[async_trait]
pub trait FileFetcher: Send + Sync {
    /// The blob, which is the same however often it is asked for.
    ///
    /// # Errors
    /// [`FetchFault`].
    async fn fetch(&self, tenant: TenantId, session: SessionId, event: u64, incoming: &Incoming)
    -> Result<Blob, FetchFault>;
}

/// Fetches what is owed.
pub struct MediaWorker {
    /// Where it is owed.
    pub storage: Storage,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Says when there is more, and whom to tell.
    pub wakes: Arc<Wakes>,
    /// Who fetches.
    pub fetcher: Arc<dyn FileFetcher>,
}

/// Whose file was handled, which one, and how that went.
type Fetched = ((TenantId, u64), Result<(), StorageError>);

/// What is under way.
#[derive(Default)]
struct UnderWay {
    files: HashMap<(TenantId, u64), SessionId>,
    tasks: JoinSet<Fetched>,
}

impl UnderWay {
    fn admits(&self, job: &MediaJob) -> bool {
        let of_session = self.files.values().filter(|session| **session == job.session).count();
        self.files.len() < AT_ONCE && of_session < OF_ONE_SESSION && !self.files.contains_key(&(job.tenant, job.event))
    }
}

impl MediaWorker {
    /// Fetches until the future is dropped. Dropping it loses nothing: what was not settled is still owed.
    pub async fn run(self) {
        let worker = Arc::new(self);
        let mut under_way = UnderWay::default();
        let mut outage = Outage::default();
        loop {
            let more = worker.wakes.files_have_more();
            let next = match worker.begin(&mut under_way).await {
                Ok(next) => {
                    if let Some(lasted) = outage.ends(worker.clock.now()) {
                        tracing::info!(lasted_s = lasted.as_secs(), "owed files are read again");
                    }
                    next
                }
                Err(StorageError::Closed) => return,
                Err(error) => {
                    if outage.begins(worker.clock.now()) {
                        tracing::error!(%error, "owed files cannot be read");
                    }
                    Some(worker.clock.now().plus(STORAGE_REST))
                }
            };
            let due = async {
                match next {
                    Some(next) => worker.clock.sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = more => {}
                () = due => {}
                Some(done) = under_way.tasks.join_next() => worker.done(&mut under_way, done).await,
            }
        }
    }

    async fn done(&self, under_way: &mut UnderWay, done: Result<Fetched, JoinError>) {
        match done {
            Ok((file, result)) => {
                under_way.files.remove(&file);
                // Another settled it first if this is a conflict.
                if let Err(error) = result
                    && !matches!(error, StorageError::Conflict | StorageError::Closed)
                {
                    tracing::error!(%error, "a fetched file could not be written down");
                    self.clock.sleep_until(self.clock.now().plus(STORAGE_REST)).await;
                }
            }
            Err(error) => {
                // It does not say which: what is still owed begins anew.
                tracing::error!(%error, "fetching a file broke down");
                *under_way = UnderWay::default();
                self.clock.sleep_until(self.clock.now().plus(STORAGE_REST)).await;
            }
        }
    }

    /// Begins what is due and has a place; when the next one is due.
    async fn begin(self: &Arc<Self>, under_way: &mut UnderWay) -> Result<Option<Timestamp>, StorageError> {
        let page = self.storage.media_jobs(self.clock.now(), TURN_FILES).await?;
        for job in page.due {
            if under_way.admits(&job) {
                let file = (job.tenant, job.event);
                under_way.files.insert(file, job.session);
                let worker = Arc::clone(self);
                under_way.tasks.spawn(async move { (file, worker.handle(&job).await) });
            }
        }
        Ok(page.next)
    }

    /// Fetches one file and settles it, or puts it off.
    ///
    /// # Errors
    /// When storage fails: it is still owed then.
    pub async fn handle(&self, job: &MediaJob) -> Result<(), StorageError> {
        let there = self.storage.session(job.tenant, job.session).await?.is_some();
        let event = if there { self.storage.event(job.tenant, job.event).await? } else { None };
        let incoming = match event.map(|event| event.fact) {
            Some(Fact::MessageReceived(incoming)) => incoming,
            // The session was deleted, or the event is not kept any longer.
            _ => return self.storage.settle_media_job(job, self.clock.now(), None).await,
        };
        let fetched = self.fetcher.fetch(job.tenant, job.session, job.event, &incoming).await;
        let now = self.clock.now();
        let fact = match fetched {
            Ok(blob) => stored(job.event, &incoming, &blob),
            Err(fault) if matches!(fault, FetchFault::Never(_) | FetchFault::Full(_)) || now.since(job.since) > PATIENCE => {
                Fact::MediaFailed {
                    event: job.event,
                    whatsapp_id: incoming.whatsapp_id,
                    chat: incoming.chat,
                    reason: fault.to_string(),
                }
            }
            Err(FetchFault::NotConnected) => {
                return self.storage.put_off_media_job(job, now.plus(OFFLINE_REST), false).await;
            }
            Err(_) => {
                let at = now.plus(FETCH.wait(job.tries, self.entropy.next_u64()));
                return self.storage.put_off_media_job(job, at, true).await;
            }
        };
        self.storage.settle_media_job(job, now, Some(fact)).await?;
        self.wakes.events_have_more(job.tenant);
        Ok(())
    }
}

fn stored(event: u64, incoming: &Incoming, blob: &Blob) -> Fact {
    Fact::MediaStored(Box::new(StoredMedia {
        event,
        whatsapp_id: incoming.whatsapp_id.clone(),
        chat: incoming.chat.clone(),
        media: blob.id.to_string(),
        mime: blob.facts.mime.clone(),
        size: blob.bytes,
        sha256: blob.sha256.clone(),
        file_name: blob.file_name.clone(),
        expires_at: blob.expires_at,
    }))
}
