//! Files of messages that came in and are to be fetched: owed in the commit of their event, settled in the commit that tells
//! how it went.

use serde::{Deserialize, Serialize};

use super::codec::{decode, encode};
use super::engine::{Batch, Check, Entry, KeyRange};
use super::{Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::event::{Event, Fact, NewFact};
use crate::records::id::{SessionId, TenantId};
use crate::rules::session_settings::fetches_media;

/// A file that is to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaJob {
    /// Whose it is.
    pub tenant: TenantId,
    /// Number of the event that it came with.
    pub event: u64,
    /// The session that can fetch it.
    pub session: SessionId,
    /// How often it was tried.
    pub tries: u32,
    /// Since when it is owed.
    pub since: Timestamp,
    key: Vec<u8>,
    stored: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct JobRecord {
    session: SessionId,
    tries: u32,
    since: Timestamp,
}

/// Files that are due, and when the first of the others is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaJobPage {
    /// Those that are due: first those that were tried before, the earliest first.
    pub due: Vec<MediaJob>,
    /// When the next of those that were put off is due.
    pub next: Option<Timestamp>,
}

impl Storage {
    /// Whether files in these facts are to be fetched, as the session's settings say.
    pub(super) async fn fetches_files(
        &self,
        tenant: TenantId,
        session: SessionId,
        facts: &[NewFact],
    ) -> Result<bool, StorageError> {
        if !facts.iter().any(|new| new.fact.has_file()) {
            return Ok(false);
        }
        let session = self.session(tenant, session).await?;
        Ok(session.is_some_and(|session| fetches_media(&session.settings).unwrap_or(false)))
    }

    /// Where a fact's file is owed, if it has one; the place ends with the number of its event.
    pub(super) fn media_job(
        tenant: TenantId,
        session: SessionId,
        at: Timestamp,
        fact: &Fact,
    ) -> Result<Option<Entry>, StorageError> {
        if !fact.has_file() {
            return Ok(None);
        }
        let place = keys::media_jobs_of(tenant);
        let value = encode(&place, &JobRecord { session, tries: 0, since: at })?;
        Ok(Some((place, value)))
    }

    /// Up to `limit` files of each sort that are due at `now`: those that were tried before, and new ones.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn media_jobs(&self, now: Timestamp, limit: usize) -> Result<MediaJobPage, StorageError> {
        let mut page = MediaJobPage::default();
        for (key, stored) in self.engine.range(&KeyRange::prefix(&keys::media_retries(), limit)).await? {
            let at = keys::timer_moment(&key);
            if at > now {
                page.next = Some(at);
                break;
            }
            page.due.push(job(key, stored)?);
        }
        for (key, stored) in self.engine.range(&KeyRange::prefix(&keys::media_jobs(), limit)).await? {
            page.due.push(job(key, stored)?);
        }
        Ok(page)
    }

    /// Nothing is owed any longer; `fact` tells how it went. Whoever was first has settled it.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn settle_media_job(&self, job: &MediaJob, now: Timestamp, fact: Option<Fact>) -> Result<(), StorageError> {
        let mut batch = Batch::default();
        batch.check(Check::Equals { key: job.key.clone(), value: job.stored.clone() });
        batch.delete(job.key.clone());
        if let Some(fact) = fact {
            batch.check(Self::owner_check(job.tenant, job.session));
            Self::append_event(&mut batch, job.tenant, &Event { n: 0, at: now, session: job.session, fact })?;
        }
        self.engine.commit(batch).await.map(|_| ())
    }

    /// Puts a file off until `at`; `tried` when a try failed.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn put_off_media_job(&self, job: &MediaJob, at: Timestamp, tried: bool) -> Result<(), StorageError> {
        let key = keys::media_retry(at, job.tenant, job.event);
        let tries = job.tries.saturating_add(u32::from(tried));
        let mut batch = Batch::default();
        batch.check(Check::Equals { key: job.key.clone(), value: job.stored.clone() });
        batch.delete(job.key.clone());
        let record = encode(&key, &JobRecord { session: job.session, tries, since: job.since })?;
        batch.put(key, record);
        self.engine.commit(batch).await.map(|_| ())
    }
}

fn job(key: Vec<u8>, stored: Vec<u8>) -> Result<MediaJob, StorageError> {
    let JobRecord { session, tries, since } = decode(&key, &stored)?;
    let (tenant, event) = keys::tenant_and_number(&key);
    Ok(MediaJob { tenant, event, session, tries, since, key, stored })
}
