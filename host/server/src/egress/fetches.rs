//! HTTP of plugins, through the client that goes where customers say and nowhere else.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::timeout;

use switchboard_core::clock::Clock;
use switchboard_core::records::id::TenantId;
use switchboard_core::rules::rate::Tally;
use switchboard_runtime::verbs::{
    FETCH_ANSWER_BYTES_MAX, FETCH_HEADER_BYTES_MAX, FetchAnswer, FetchError, FetchRequest, FetchVerbs,
};

use super::{Answer, Broken, ExchangeLimits, GuardError, GuardedClient, GuardedRequest};

/// Most requests that the plugins of one tenant make in a minute of the calendar. They go out under the host's address: a tenant
/// must not make it a nuisance.
pub const FETCHES_PER_MINUTE_MAX: u64 = 600;

/// What plugins ask others with.
pub struct Fetches {
    client: GuardedClient,
    clock: Arc<dyn Clock>,
    tally: Mutex<Tally<TenantId>>,
}

impl Fetches {
    /// Through this client.
    pub fn new(client: &GuardedClient, clock: Arc<dyn Clock>) -> Self {
        Self { client: client.clone(), clock, tally: Mutex::default() }
    }

    fn count(&self, tenant: TenantId, max: u64) -> Result<(), FetchError> {
        let now = self.clock.now();
        let Ok(mut tally) = self.tally.lock() else { return Ok(()) };
        tally.count(tenant, max, now).map(|_| ()).map_err(|standing| {
            let seconds = standing.retry_after_s(now);
            FetchError::LimitReached(format!(
                "more than {max} requests of this account in a minute; it resets in {seconds} s"
            ))
        })
    }
}

#[async_trait]
impl FetchVerbs for Fetches {
    async fn fetch(&self, tenant: TenantId, request: FetchRequest) -> Result<FetchAnswer, FetchError> {
        let FetchRequest { method, url, headers, body, timeout: wait, per_minute } = request;
        self.count(tenant, per_minute.map_or(FETCHES_PER_MINUTE_MAX, |plan| plan.min(FETCHES_PER_MINUTE_MAX)))?;
        let limits = ExchangeLimits {
            connect: wait,
            // One limit for all of it, below: of two that pass while nobody looks, the wrong one could be told.
            total: Duration::MAX,
            body: Duration::MAX,
            body_bytes_kept: FETCH_ANSWER_BYTES_MAX,
            header_bytes_max: FETCH_HEADER_BYTES_MAX,
            // A redirect is an answer: where it leads to may not have been granted.
            redirects_max: 0,
        };
        let body = Some(Bytes::from(body)).filter(|body| !body.is_empty());
        let request = GuardedRequest { method, url, headers, body };
        let answered = timeout(wait, self.client.exchange(&request, &limits)).await;
        let answer = answered.map_err(|_| FetchError::TimedOut(wait))?.map_err(|error| refusal(error, wait))?;
        let Answer { status, headers, body_start, body_complete, .. } = answer;
        match body_complete {
            true => Ok(FetchAnswer { status, headers, body: body_start.into() }),
            false if body_start.len() >= FETCH_ANSWER_BYTES_MAX => Err(FetchError::TooLarge(FETCH_ANSWER_BYTES_MAX)),
            false => Err(FetchError::Unreachable(Broken::Body.to_string())),
        }
    }
}

fn refusal(error: GuardError, wait: Duration) -> FetchError {
    match error {
        GuardError::Target(ref target) if target.is_mistake() => FetchError::Invalid(error.to_string()),
        GuardError::BadRequest(_) => FetchError::Invalid(error.to_string()),
        GuardError::HeaderBytes { header_bytes_max } => FetchError::TooLarge(header_bytes_max),
        GuardError::TimedOut { .. } | GuardError::Broken(Broken::ConnectTimedOut { .. }) => FetchError::TimedOut(wait),
        error if error.is_refusal() => FetchError::Denied(error.to_string()),
        error => FetchError::Unreachable(error.to_string()),
    }
}
