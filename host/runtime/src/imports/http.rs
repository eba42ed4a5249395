//! The import `http`: requests to the hosts that were granted.
//!
//! Here is what can be told without asking anybody: grants, limits of the call, and what a request may have. Where a name leads,
//! and what comes back, is the host's egress to judge.

use std::time::Duration;

use switchboard_core::rules::egress::{CONNECTION_HEADERS, URL_BYTES_MAX};
use switchboard_core::rules::grants::{NotGranted, may_ask};
use switchboard_core::rules::said_back::said_back;

use crate::bindings::switchboard::plugin::http;
use crate::call::CallState;
use crate::convert;
use crate::engine::EPOCH_TICK;
use crate::verbs::{
    FETCH_BODY_BYTES_MAX, FETCH_HEADER_BYTES_MAX, FETCH_HEADERS_MAX, FETCH_WAIT_MAX, FetchError, FetchRequest,
};

/// The methods that a request may have.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
/// What the host says of a run, so that whoever is asked knows one that is repeated.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Answers are never unpacked, so nobody asks for packed ones.
const ACCEPT_ENCODING: &str = "accept-encoding";

/// Whether a call may ask others.
#[derive(Debug, Default)]
pub(crate) enum Fetching {
    /// It may not: what it answers must follow from what it is asked.
    #[default]
    Nothing,
    /// It answers a request, and has asked so often.
    Request(u32),
    /// It is the run of this id, and has asked so often.
    Run(String, u32),
}

impl CallState {
    /// Counts one more request; the value of its idempotency key, if it has one.
    fn begin_fetch(&mut self) -> Result<Option<String>, FetchError> {
        let max = self.limits.fetches_max;
        let (count, run) = match &mut self.fetching {
            Fetching::Nothing => {
                let why = "http: only requests of a router and runs of a responder ask others";
                return Err(FetchError::Denied(why.to_owned()));
            }
            Fetching::Request(count) => (count, None),
            Fetching::Run(run, count) => (count, Some(run)),
        };
        if *count >= max {
            self.fetches_over = self.fetches_over.saturating_add(1);
            return Err(FetchError::LimitReached(format!("more than {max} requests in one call")));
        }
        *count += 1;
        Ok(run.map(|run| format!("{run}-{count}")))
    }

    fn checked_fetch(&mut self, request: http::Request) -> Result<FetchRequest, FetchError> {
        let http::Request { method, url, headers, body, timeout_ms } = request;
        let invalid = |why: String| Err(FetchError::Invalid(why));
        if !METHODS.contains(&method.as_str()) {
            return invalid(format!("method {:?} is none of: {}", said_back(method), METHODS.join(", ")));
        }
        if url.len() > URL_BYTES_MAX {
            return invalid(format!("url: {} bytes; the limit is {URL_BYTES_MAX}", url.len()));
        }
        may_ask(&self.grants, &url).map_err(|refused| match refused {
            NotGranted::NoUrl(why) => FetchError::Invalid(format!("url: {why}")),
            NotGranted::Host(_) => FetchError::Denied(refused.to_string()),
        })?;
        if body.len() > FETCH_BODY_BYTES_MAX {
            return invalid(format!("body: {} bytes; the limit is {FETCH_BODY_BYTES_MAX}", body.len()));
        }
        if headers.len() > FETCH_HEADERS_MAX {
            return invalid(format!("headers: {}; the limit is {FETCH_HEADERS_MAX}", headers.len()));
        }
        let bytes: usize = headers.iter().map(|field| field.name.len() + field.value.len()).sum();
        if bytes > FETCH_HEADER_BYTES_MAX {
            return invalid(format!("headers: {bytes} bytes; the limit is {FETCH_HEADER_BYTES_MAX}"));
        }
        for field in &headers {
            let name = field.name.to_ascii_lowercase();
            if name == IDEMPOTENCY_KEY || name == ACCEPT_ENCODING || CONNECTION_HEADERS.contains(&name.as_str()) {
                return invalid(format!("header {name} is the host's"));
            }
            // The value may be a secret: only the name is repeated.
            if !is_one_header(&name, &field.value) {
                return invalid(format!("header {:?}: its name or value is none that HTTP has", said_back(name)));
            }
        }
        let mut headers: Vec<(String, String)> = headers.into_iter().map(|field| (field.name, field.value)).collect();
        headers.extend(self.begin_fetch()?.map(|key| (IDEMPOTENCY_KEY.to_owned(), key)));
        let timeout = Duration::from_millis(u64::from(timeout_ms.max(1))).min(FETCH_WAIT_MAX).min(self.limits.host_call);
        Ok(FetchRequest { method, url, headers, body, timeout, per_minute: self.figures.http_per_minute })
    }
}

/// Whether this is one header, and not two, nor the end of them all.
fn is_one_header(name: &str, value: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token) && !value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t')
}

impl http::Host for CallState {
    async fn fetch(&mut self, request: http::Request) -> wasmtime::Result<Result<http::Response, http::HttpError>> {
        self.count()?;
        let request = match self.checked_fetch(request) {
            Ok(request) => request,
            Err(refused) => return Ok(Err(wit_error(refused))),
        };
        let Some(verbs) = self.verbs.clone() else {
            return Ok(Err(http::HttpError::Unreachable("there is no host here".to_owned())));
        };
        let (tenant, wait, asked) = (self.tenant, request.timeout, format!("{} {}", request.method, request.url));
        let begun = tokio::time::Instant::now();
        let answered = tokio::time::timeout(wait, verbs.fetch(tenant, request)).await;
        self.parked |= begun.elapsed() >= EPOCH_TICK;
        let answered = answered.unwrap_or(Err(FetchError::TimedOut(wait)));
        self.fetched.push(match &answered {
            Ok(answer) => format!("{asked}: {}", answer.status),
            Err(error) => format!("{asked}: {error}"),
        });
        Ok(answered.map_err(wit_error).map(|answer| http::Response {
            status: answer.status,
            headers: answer.headers.iter().map(convert::field).collect(),
            body: answer.body,
        }))
    }
}

fn wit_error(error: FetchError) -> http::HttpError {
    match error {
        FetchError::Denied(why) => http::HttpError::Denied(why),
        FetchError::Invalid(why) => http::HttpError::Invalid(why),
        FetchError::LimitReached(why) => http::HttpError::LimitReached(why),
        FetchError::TimedOut(wait) => http::HttpError::TimedOut(u32::try_from(wait.as_millis()).unwrap_or(u32::MAX)),
        FetchError::TooLarge(bytes) => http::HttpError::TooLarge(u64::try_from(bytes).unwrap_or(u64::MAX)),
        FetchError::Unreachable(why) => http::HttpError::Unreachable(why),
    }
}
