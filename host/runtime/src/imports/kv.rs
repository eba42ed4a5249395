//! The import `kv`: what a plugin keeps for a tenant.

use std::future::Future;

use switchboard_core::clock::Timestamp;
use switchboard_core::records::plugin::{KV_TTL_S_MAX, KvExpected, KvStretch, KvValue, KvWrite};
use switchboard_core::storage::{KvEffects, KvError, KvStorage, StorageError};

use super::Answer;
use crate::bindings::switchboard::plugin::kv;
use crate::bindings::switchboard::plugin::types as wit;
use crate::call::CallState;
use crate::convert;
use crate::verbs::{LimitStanding, VerbError};

/// What becomes of what a call writes.
#[derive(Debug, Default)]
pub(crate) enum Keeping {
    /// It may neither read nor write: what it answers must follow from what it is asked.
    #[default]
    Nothing,
    /// Each write is kept when it returns.
    AtOnce,
    /// It is kept with what the run answers.
    WithRun(KvEffects),
}

/// One use of the import under way. The effects of the run are put back when it ends.
struct Use {
    kv: KvStorage,
    run: Option<KvEffects>,
    now: Timestamp,
}

impl CallState {
    /// Counts the host call, and says what may be kept, if anything.
    fn begin_kv(&mut self, writes: bool) -> Answer<Use> {
        let bytes_max = self.grants.kv_bytes;
        if bytes_max == 0 {
            return self.not_granted("kv");
        }
        self.count()?;
        let denied = |why: &str| Ok(Err(wit::HostError::Denied(why.to_owned())));
        if writes && self.principal.as_ref().is_some_and(|principal| principal.test) {
            return denied("kv: this is a test key: it changes nothing that is kept");
        }
        let Some(verbs) = self.verbs.clone() else { return Ok(Err(super::no_host())) };
        let run = match &mut self.keeping {
            Keeping::Nothing => return denied("kv: only requests of a router and runs of a responder keep anything"),
            Keeping::AtOnce => None,
            Keeping::WithRun(effects) => Some(std::mem::take(effects)),
        };
        let kv = verbs.kv(self.tenant, &self.plugin, self.made_at, bytes_max);
        Ok(Ok(Use { kv, run, now: Timestamp(self.now_ms) }))
    }

    fn end_kv(&mut self, run: Option<KvEffects>) {
        if let (Keeping::WithRun(effects), Some(run)) = (&mut self.keeping, run) {
            *effects = run;
        }
    }

    async fn write_kv(&mut self, key: &str, write: KvWrite) -> Answer<bool> {
        let Use { kv, mut run, now } = match self.begin_kv(true)? {
            Ok(kv) => kv,
            Err(refused) => return Ok(Err(refused)),
        };
        let answer = self.kept(kv.write(key, write, run.as_mut(), now)).await;
        self.end_kv(run);
        Ok(answer)
    }

    /// Waits for storage, within the time that one host call may take.
    async fn kept<T: Send>(&mut self, asked: impl Future<Output = Result<T, KvError>> + Send) -> Result<T, wit::HostError> {
        self.timed(async { asked.await.map_err(verb_error) }).await
    }

    /// A value, and when it is gone.
    fn value(&self, bytes: Vec<u8>, ttl_s: Option<u32>) -> Result<KvValue, wit::HostError> {
        let Some(ttl_s) = ttl_s else { return Ok(KvValue { bytes, expires_at: None }) };
        if !(1..=KV_TTL_S_MAX).contains(&ttl_s) {
            let why = format!("is {ttl_s}; 1 to {KV_TTL_S_MAX} are taken");
            return Err(convert::host_error(VerbError::Invalid { field: "ttl-s".to_owned(), why }));
        }
        let expires_at = Timestamp(self.now_ms.saturating_add(u64::from(ttl_s) * 1000));
        Ok(KvValue { bytes, expires_at: Some(expires_at) })
    }
}

impl kv::Host for CallState {
    async fn get(&mut self, key: String) -> Answer<Option<Vec<u8>>> {
        let Use { kv, mut run, now } = match self.begin_kv(false)? {
            Ok(kv) => kv,
            Err(refused) => return Ok(Err(refused)),
        };
        let answer = self.kept(kv.get(&key, run.as_mut(), now)).await;
        self.end_kv(run);
        Ok(answer.map(|value| value.map(|value| value.bytes)))
    }

    async fn put(&mut self, key: String, value: Vec<u8>, ttl_s: Option<u32>) -> Answer<()> {
        match self.value(value, ttl_s) {
            Ok(value) => Ok(self.write_kv(&key, KvWrite::Put(value)).await?.map(drop)),
            Err(refused) => self.count().map(|()| Err(refused)),
        }
    }

    async fn put_if(&mut self, key: String, expected: kv::Expected, value: Vec<u8>, ttl_s: Option<u32>) -> Answer<bool> {
        let expected = match expected {
            kv::Expected::Absent => KvExpected::Absent,
            kv::Expected::Value(bytes) => KvExpected::Value(bytes),
        };
        match self.value(value, ttl_s) {
            Ok(value) => self.write_kv(&key, KvWrite::PutIf(expected, value)).await,
            Err(refused) => self.count().map(|()| Err(refused)),
        }
    }

    async fn delete(&mut self, key: String) -> Answer<bool> {
        self.write_kv(&key, KvWrite::Delete).await
    }

    async fn scan(&mut self, stretch: kv::Stretch) -> Answer<kv::Page> {
        let Use { kv, run, now } = match self.begin_kv(false)? {
            Ok(kv) => kv,
            Err(refused) => return Ok(Err(refused)),
        };
        let kv::Stretch { begin, end, limit, reverse } = stretch;
        let stretch = KvStretch { begin, end, limit, reverse };
        let answer = self.kept(kv.scan(&stretch, run.as_ref(), now)).await;
        self.end_kv(run);
        Ok(answer.map(|page| {
            let entries = page.entries.into_iter().map(|entry| kv::Entry {
                key: entry.key,
                value: entry.value.bytes,
                expires_at_ms: entry.value.expires_at.map(|at| at.0),
            });
            kv::Page { entries: entries.collect(), more: page.more }
        }))
    }

    async fn usage(&mut self) -> Answer<kv::Kept> {
        let Use { kv, run, now } = match self.begin_kv(false)? {
            Ok(kv) => kv,
            Err(refused) => return Ok(Err(refused)),
        };
        let answer = self.kept(kv.usage(run.as_ref(), now)).await;
        self.end_kv(run);
        Ok(answer.map(|usage| kv::Kept { used_bytes: usage.used, max_bytes: usage.max }))
    }
}

fn verb_error(error: KvError) -> VerbError {
    match error {
        KvError::Invalid { field, why } => VerbError::Invalid { field: field.to_owned(), why },
        KvError::Full(usage) => VerbError::LimitReached(standing("kv_bytes", usage.used, usage.max)),
        KvError::RunFull { what, max } => {
            let max = u64::try_from(max).unwrap_or(u64::MAX);
            VerbError::LimitReached(standing(&format!("kv_run_{what}"), max, max))
        }
        KvError::PluginGone => VerbError::Unavailable("the plugin was deleted".to_owned()),
        KvError::Storage(StorageError::Conflict) => VerbError::Conflict("others kept changing the key".to_owned()),
        KvError::Storage(error) => {
            tracing::error!(%error, "what a plugin keeps cannot be reached");
            // The words of the engine are for the operator, not for the caller.
            VerbError::Unavailable("storage does not answer".to_owned())
        }
    }
}

/// A limit that only a deletion makes room in.
fn standing(limit: &str, used: u64, max: u64) -> LimitStanding {
    LimitStanding { limit: limit.to_owned(), of_session: false, max, used, resets_at_ms: None, retry_after_s: None }
}
