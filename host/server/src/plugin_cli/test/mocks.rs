//! What others answer to a plugin that is tested: nothing leaves the machine, and what no mock answers is noted.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use switchboard_core::records::id::TenantId;
use switchboard_runtime::verbs::{FETCH_ANSWER_BYTES_MAX, FetchAnswer, FetchError, FetchRequest, FetchVerbs};

use super::case::{Mock, MockError, as_text};

/// Answers from a list.
#[derive(Default)]
pub(super) struct Mocks {
    mocks: Vec<Mock>,
    heard: Mutex<Heard>,
}

/// What was asked.
#[derive(Default)]
pub(super) struct Heard {
    /// Every request since the last look, as a case may expect it.
    pub(super) asked: Vec<Value>,
    /// Those that no mock answers: method and URL.
    pub(super) unmocked: Vec<String>,
    /// How often each mock has answered.
    answered: Vec<u32>,
}

impl Mocks {
    pub(super) fn new(mocks: Vec<Mock>) -> Self {
        let answered = vec![0; mocks.len()];
        Self { mocks, heard: Mutex::new(Heard { answered, ..Heard::default() }) }
    }

    /// What was asked since the last look.
    pub(super) fn take(&self) -> Heard {
        let Ok(mut heard) = self.heard.lock() else { return Heard::default() };
        let (asked, unmocked) = (std::mem::take(&mut heard.asked), std::mem::take(&mut heard.unmocked));
        Heard { asked, unmocked, answered: Vec::new() }
    }

    /// The mock that answers, which is counted.
    fn answering(&self, request: &FetchRequest) -> Option<&Mock> {
        let mut heard = self.heard.lock().ok()?;
        heard.asked.push(shown(request));
        let Heard { unmocked, answered, .. } = &mut *heard;
        let body = String::from_utf8_lossy(&request.body);
        for (mock, times) in self.mocks.iter().zip(answered.iter_mut()) {
            let fits = mock.method.as_ref().is_none_or(|method| method.eq_ignore_ascii_case(&request.method))
                && mock.url == request.url
                && mock.body_contains.as_ref().is_none_or(|part| body.contains(part.as_str()))
                && mock.times.is_none_or(|most| *times < most);
            if fits {
                *times += 1;
                return Some(mock);
            }
        }
        unmocked.push(format!("{} {}", request.method, request.url));
        None
    }
}

fn shown(request: &FetchRequest) -> Value {
    let headers: Map<String, Value> =
        request.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), json!(value))).collect();
    let body = String::from_utf8_lossy(&request.body);
    json!({ "method": request.method, "url": request.url, "headers": headers, "body": body })
}

#[async_trait]
impl FetchVerbs for Mocks {
    async fn fetch(&self, _: TenantId, request: FetchRequest) -> Result<FetchAnswer, FetchError> {
        let Some(mock) = self.answering(&request) else {
            return Err(FetchError::Unreachable(format!("no mock answers {} {}", request.method, request.url)));
        };
        match mock.error {
            Some(MockError::TimedOut) => return Err(FetchError::TimedOut(request.timeout.max(Duration::from_millis(1)))),
            Some(MockError::Unreachable) => return Err(FetchError::Unreachable("nobody answers".to_owned())),
            None => {}
        }
        let body = as_text(&mock.body).into_bytes();
        if body.len() > FETCH_ANSWER_BYTES_MAX {
            return Err(FetchError::TooLarge(FETCH_ANSWER_BYTES_MAX));
        }
        let headers = mock.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
        Ok(FetchAnswer { status: mock.status, headers, body })
    }
}
