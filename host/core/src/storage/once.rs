//! Idempotency keys: what a request under one has made, and the answer that its repetitions get.
//!
//! Invariant: the mark of a step and the message that it made are one commit, so that no crash, no repetition and no two
//! requests at once make a second message. The answer is kept afterwards; until it is, a repetition runs again and finds the marks.

use super::codec::{decode, encode};
use super::engine::{Batch, Check, KeyRange};
use super::{Acceptance, Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::id::TenantId;
use crate::records::once::{KeptAnswer, ONCE_KEPT, OnceKey, OnceMark, OnceStep};

/// Keys that one sweep looks at.
const SWEEP_PAGE: usize = 256;

/// What is left under a key's step for 24 hours counts.
fn counts(at: Timestamp, now: Timestamp) -> bool {
    now.since(at) < ONCE_KEPT
}

impl Storage {
    /// The answer that is kept for a key.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn kept_answer(&self, key: &OnceKey, now: Timestamp) -> Result<Option<KeptAnswer>, StorageError> {
        let kept: Option<KeptAnswer> = self.read(&keys::once_answer(key)).await?;
        Ok(kept.filter(|kept| counts(kept.at, now)))
    }

    /// Keeps the answer for 24 hours.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn keep_answer(&self, key: &OnceKey, answer: &KeptAnswer) -> Result<(), StorageError> {
        let place = keys::once_answer(key);
        let mut batch = Batch::default();
        batch.put(place.clone(), encode(&place, answer)?);
        batch.put(keys::once_since(answer.at, key), Vec::new());
        self.engine.commit(batch).await.map(|_| ())
    }

    /// The mark that step `n` under a key has left.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn once_mark(&self, key: &OnceKey, n: u32, now: Timestamp) -> Result<Option<OnceMark>, StorageError> {
        let mark: Option<OnceMark> = self.read(&keys::once_mark(key, n)).await?;
        Ok(mark.filter(|mark| counts(mark.at, now)))
    }

    /// Adds the mark of a step to the batch of what is accepted for it.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when the step has left its mark already; else when the engine fails.
    pub(super) async fn put_mark(
        &self,
        batch: &mut Batch,
        step: &OnceStep,
        acceptance: &Acceptance,
    ) -> Result<(), StorageError> {
        let place = keys::once_mark(&step.key, step.n);
        let at = acceptance.messages.first().map(|message| message.accepted_at).unwrap_or_default();
        let check = match self.engine.get(&place).await? {
            None => Check::Absent { key: place.clone() },
            Some(value) => {
                let there: OnceMark = decode(&place, &value)?;
                let own = there.fingerprint == step.fingerprint || step.n == 0;
                if own && counts(there.at, at) {
                    return Err(StorageError::Conflict);
                }
                // What an earlier request under this key left, whose time is over.
                Check::Equals { key: place.clone(), value }
            }
        };
        let messages = step.places.iter().copied().zip(acceptance.messages.iter().map(|message| message.id)).collect();
        let made_batch = acceptance.batch.as_ref().map(|record| record.id);
        let mark = OnceMark { fingerprint: step.fingerprint.clone(), batch: made_batch, messages, at };
        batch.check(check);
        batch.put(place.clone(), encode(&place, &mark)?);
        batch.put(keys::once_since(at, &step.key), Vec::new());
        Ok(())
    }

    /// Forgets a bounded number of a tenant's idempotency keys whose 24 hours are over. Returns how many it looked at: call again
    /// until that is 0.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn sweep_once(&self, tenant: TenantId, now: Timestamp) -> Result<usize, StorageError> {
        let since = keys::once_since_prefix(tenant);
        let entries = self.engine.range(&KeyRange::prefix(&since, SWEEP_PAGE)).await?;
        let mut looked_at = 0;
        let mut batch = Batch::default();
        for (entry, _) in &entries {
            let Some((at, key)) = keys::once_since_parts(tenant, entry) else { continue };
            if counts(at, now) {
                break;
            }
            looked_at += 1;
            let swept = self.sweep_key(&mut batch, &key, now).await;
            // Used again meanwhile: the next sweep looks anew.
            if matches!(swept, Err(StorageError::Conflict)) {
                return Ok(0);
            }
            swept?;
            batch.delete(entry.clone());
        }
        match self.commit_sweep(&mut batch, 1).await {
            Err(StorageError::Conflict) => Ok(0),
            done => done.map(|()| looked_at),
        }
    }

    /// Removes what a key has left and no longer counts. However many steps its request had, no commit has more than a few rows.
    async fn sweep_key(&self, batch: &mut Batch, key: &OnceKey, now: Timestamp) -> Result<(), StorageError> {
        let mut marks = KeyRange::prefix(&keys::once_marks(key), SWEEP_PAGE);
        loop {
            let page = self.engine.range(&marks).await?;
            let Some((last, _)) = page.last() else { break };
            marks = marks.after(last);
            for (place, value) in page {
                let mark: OnceMark = decode(&place, &value)?;
                if !counts(mark.at, now) {
                    batch.check(Check::Equals { key: place.clone(), value });
                    batch.delete(place);
                }
            }
            self.commit_sweep(batch, SWEEP_PAGE).await?;
        }
        let place = keys::once_answer(key);
        if let Some(value) = self.engine.get(&place).await?
            && !counts(decode::<KeptAnswer>(&place, &value)?.at, now)
        {
            batch.check(Check::Equals { key: place.clone(), value });
            batch.delete(place);
        }
        Ok(())
    }

    /// Commits what has come together, if that is at least so many rows.
    async fn commit_sweep(&self, batch: &mut Batch, at_least: usize) -> Result<(), StorageError> {
        if batch.writes.len() < at_least {
            return Ok(());
        }
        self.engine.commit(std::mem::take(batch)).await.map(|_| ())
    }
}
