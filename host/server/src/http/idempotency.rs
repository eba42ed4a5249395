//! `Idempotency-Key`: the same request again gets the same answer, and nothing is sent a second time.
//!
//! Kept are answers of success to requests that asked for something to be sent. After any other answer the key is free for a
//! repetition, and for another request as well if nothing was sent. One request at a time runs under a key; what stops a second
//! send, whatever happens to this process, are the marks in storage.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use switchboard_core::records::account::Principal;
use switchboard_core::records::once::{KeptAnswer, Once, OnceKey};
use switchboard_core::storage::StorageError;

use super::front_door::FrontDoor;
use super::problem::{Answer, whole, with_type};

/// Most characters of a key.
const KEY_CHARS_MAX: usize = 255;
/// Most bytes of an answer that is kept; a repetition of a longer one runs again, and finds what was sent.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// The header that carries a key.
const KEY_HEADER: &str = "idempotency-key";
/// Says that an answer was given before.
const REPLAYED_HEADER: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Beginnings of headers that belong to one exchange and not to the answer.
const PASSING_HEADERS: [&str; 4] = ["x-ratelimit-", "ratelimit", "x-request-id", "date"];

/// Requests that run under a key just now; at most one for each connection.
#[derive(Default)]
pub(crate) struct OnceRuns(Arc<Mutex<HashSet<OnceKey>>>);

/// One of them, until it is dropped.
pub(super) struct OnceRun {
    running: Arc<Mutex<HashSet<OnceKey>>>,
    /// What the host's verbs are given.
    pub(super) once: Arc<Once>,
}

impl OnceRuns {
    fn begin(&self, once: Once) -> Option<OnceRun> {
        let first = self.0.lock().is_ok_and(|mut running| running.insert(once.key));
        first.then(|| OnceRun { running: Arc::clone(&self.0), once: Arc::new(once) })
    }
}

impl Drop for OnceRun {
    fn drop(&mut self) {
        if let Ok(mut running) = self.running.lock() {
            running.remove(&self.once.key);
        }
    }
}

/// What to do with a request.
pub(super) enum Begun {
    /// It came without a key: answer it.
    Plain,
    /// Answer it, and hand the answer to [`FrontDoor::finish_once`].
    First(OnceRun),
    /// It was answered before, like this.
    Before(Answer),
}

/// Why a request under a key is not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum OnceError {
    /// The key is no key.
    #[error("Idempotency-Key: 1 to {KEY_CHARS_MAX} visible ASCII characters are allowed")]
    BadKey,
    /// Another request was made under it.
    #[error("this Idempotency-Key was used for another request")]
    Mismatch,
    /// It is being answered.
    #[error("the request under this Idempotency-Key is still being answered")]
    UnderWay,
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl FrontDoor {
    /// Looks at the key of a POST of `caller`, if it came with one. `body` is all that makes its body this one.
    pub(super) async fn begin_once(
        &self,
        caller: &Principal,
        headers: &HeaderMap,
        path_and_query: &str,
        body: &[&[u8]],
    ) -> Result<Begun, OnceError> {
        let Some(text) = headers.get(KEY_HEADER) else { return Ok(Begun::Plain) };
        let text = text.to_str().ok().map(str::trim).filter(|text| (1..=KEY_CHARS_MAX).contains(&text.len()));
        let key = OnceKey::new(caller.tenant, caller.session, text.ok_or(OnceError::BadKey)?);
        let parts: Vec<&[u8]> = [path_and_query.as_bytes()].into_iter().chain(body.iter().copied()).collect();
        let once = Once::new(key, &parts);
        let run = self.once_runs.begin(once).ok_or(OnceError::UnderWay)?;
        let now = self.clock.now();
        if let Some(kept) = self.storage.kept_answer(&key, now).await? {
            if kept.fingerprint != run.once.fingerprint {
                return Err(OnceError::Mismatch);
            }
            return Ok(Begun::Before(replay(kept)));
        }
        match self.storage.once_mark(&key, 0, now).await? {
            Some(mark) if mark.fingerprint != run.once.fingerprint => Err(OnceError::Mismatch),
            _ => Ok(Begun::First(run)),
        }
    }

    /// Keeps what a request under a key was answered, if it is an answer to keep.
    pub(super) async fn finish_once(&self, run: OnceRun, answer: Answer) -> Answer {
        if run.once.steps() == 0 || !answer.status().is_success() {
            return answer;
        }
        let (head, body) = answer.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            // A stream that broke off is nothing to keep, and nothing to give.
            Err(error) => {
                tracing::error!(%error, "an answer under an idempotency key broke off");
                return with_type(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "the answer broke off".into());
            }
        };
        let text = std::str::from_utf8(&body).ok().filter(|text| text.len() <= ANSWER_BYTES_MAX);
        if let Some(text) = text {
            let passing = |name: &str| PASSING_HEADERS.iter().any(|beginning| name.starts_with(beginning));
            let headers = head.headers.iter().filter(|(name, _)| !passing(name.as_str()));
            let kept = KeptAnswer {
                fingerprint: run.once.fingerprint.clone(),
                status: head.status.as_u16(),
                headers: headers
                    .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
                    .collect(),
                body: text.to_owned(),
                at: self.clock.now(),
            };
            // What was accepted stays accepted: without the answer, a repetition runs again and finds it.
            if let Err(error) = self.storage.keep_answer(&run.once.key, &kept).await {
                tracing::error!(%error, "an answer under an idempotency key could not be kept");
            }
        }
        Answer::from_parts(head, whole(body))
    }
}

fn replay(kept: KeptAnswer) -> Answer {
    let mut answer = Answer::new(whole(kept.body));
    *answer.status_mut() = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    for (name, value) in kept.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value)) {
            answer.headers_mut().append(name, value);
        }
    }
    answer.headers_mut().insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
    answer
}
