//! Posts deliveries through the guarded client.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use switchboard_core::clock::{Clock, Timestamp};
use switchboard_core::flow::delivery_worker::{DeliveryRequest, PostAnswer, PostOutcome, Poster};
use tokio::time::Instant;

use crate::egress::{ExchangeLimits, GuardedClient, GuardedRequest};

/// Who we say we are.
const USER_AGENT: &str = concat!("switchboard-webhooks/", env!("CARGO_PKG_VERSION"));

/// The way out for webhooks.
pub(super) struct GuardedPoster {
    /// The client.
    pub(super) client: GuardedClient,
    /// The time, for receivers that name a date.
    pub(super) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Poster for GuardedPoster {
    async fn post(&self, request: &DeliveryRequest) -> PostOutcome {
        let mut headers = request.headers.clone();
        headers.push(("user-agent".to_owned(), USER_AGENT.to_owned()));
        let request = GuardedRequest {
            method: "POST".to_owned(),
            url: request.url.clone(),
            headers,
            body: Some(request.body.clone().into()),
        };
        let begun = Instant::now();
        // Its own limits: 15 s to the head of the answer, and the first KiB of the body.
        let answer = self.client.exchange(&request, &ExchangeLimits::default()).await;
        let took = begun.elapsed();
        let answer = answer.map_err(|error| error.to_string()).map(|answer| PostAnswer {
            status: answer.status,
            retry_after: answer.header("retry-after").and_then(|text| retry_after(text, self.clock.now())),
            body: answer.body_start.to_vec(),
        });
        PostOutcome { answer, took }
    }
}

/// How long a receiver wants to be left alone: seconds, or until a date.
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(date.saturating_sub(Duration::from_millis(now.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_asked_for_in_seconds_or_until_a_date() {
        let now = Timestamp(784_111_777_000);
        let seconds = |text| retry_after(text, now).map(|wait| wait.as_secs());
        assert_eq!((seconds("120"), seconds(" 7 ")), (Some(120), Some(7)));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:51:37 GMT"), Some(120));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0), "a date that is over");
        for text in ["", "-1", "soon", "1.5"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
