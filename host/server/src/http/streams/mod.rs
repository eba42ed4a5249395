//! Server-sent events, whoever words them.
//!
//! A stream has no queue: it looks for what there is to tell when its connection takes more, so that a slow reader costs its place
//! and nothing else. It ends with the host, with its caller's key, and when the reader goes away. What streams tell of is a
//! [`Subject`]: the tenant's `log`, the `life` of a session, and either of them `worded` by a plugin.

mod life;
mod log;
#[cfg(test)]
mod tests;
mod worded;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use tokio::sync::watch;

use switchboard_core::clock::Clock;
use switchboard_core::records::account::Principal;

use super::admission::switched_off;
use super::places::{Place, Places};
use super::problem::{Answer, AnswerBody};
use crate::accounts::Accounts;
use crate::plugins::ActivePlugin;

pub(super) use log::Log;

/// Streams of one tenant that are open at once.
pub(super) const STREAMS_MAX: usize = 64;
/// When to try again where there are too many, seconds.
pub(super) const RETRY_AFTER_S: u32 = 10;
/// Longest silence: then a comment says that the stream lives, and the key is looked at. Proxies and clients give up after 15 s at
/// the earliest.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// What is written into a silence.
const ALIVE: &[u8] = b": alive\n\n";

/// How many streams each tenant has open.
pub(crate) type Streams = Places<STREAMS_MAX>;

/// What a subject has to say now.
pub(super) enum Said {
    /// This.
    Bytes(Bytes),
    /// This, and never more. May be nothing at all.
    Last(Bytes),
    /// Nothing of what was looked at, and there is more to look at.
    Further,
    /// Nothing until [`Subject::wait`] returns.
    Nothing,
}

/// What a stream tells of.
#[async_trait]
pub(super) trait Subject: Send {
    /// What there is to say. Whatever happens from here on makes `wait` return.
    async fn say(&mut self) -> Said;

    /// Returns when there may be more to say: `false` when there never will be. May be dropped and called again.
    async fn wait(&mut self) -> bool;
}

/// What every stream needs.
pub(super) struct Reading {
    pub(super) accounts: Accounts,
    pub(super) clock: Arc<dyn Clock>,
    /// Whose key it ends with; the operator's is for ever.
    pub(super) caller: Option<Principal>,
    /// Whether the host serves.
    pub(super) ready: watch::Receiver<bool>,
    /// The plugin whose API it is part of, unless it is the host's own.
    pub(super) api: Option<Arc<ActivePlugin>>,
    /// Taken for as long as the stream is open.
    pub(super) _place: Place,
}

/// One open stream.
struct Stream {
    reading: Reading,
    /// What is written before anything else: it lets clients see that they are connected.
    greeting: Option<Bytes>,
    subject: Box<dyn Subject>,
    over: bool,
}

impl Stream {
    /// What to write next; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        if let Some(greeting) = self.greeting.take() {
            return Some(greeting);
        }
        let Reading { accounts, clock, caller, ready, api, .. } = &mut self.reading;
        let alive_at = clock.now().plus(KEEP_ALIVE);
        loop {
            if let Some(caller) = caller {
                let tenant = accounts.still_holds(caller).await?;
                if api.as_ref().is_some_and(|api| switched_off(api, &tenant)) {
                    return None;
                }
            }
            if !*ready.borrow() {
                return None;
            }
            let said = self.subject.say().await;
            match said {
                Said::Bytes(bytes) if !bytes.is_empty() => return Some(bytes),
                Said::Last(bytes) => {
                    self.over = true;
                    return Some(bytes).filter(|bytes| !bytes.is_empty());
                }
                Said::Bytes(_) | Said::Further if clock.now() < alive_at => continue,
                Said::Nothing if clock.now() < alive_at => {}
                _ => return Some(Bytes::from_static(ALIVE)),
            }
            tokio::select! {
                biased;
                _ = ready.wait_for(|ready| !ready) => return None,
                more = self.subject.wait() => if !more { return None },
                () = clock.sleep_until(alive_at) => {}
            }
        }
    }
}

/// A stream as the body of an answer.
pub(super) fn body(reading: Reading, greeting: &'static [u8], subject: Box<dyn Subject>) -> AnswerBody {
    let stream = Stream { reading, greeting: Some(Bytes::from_static(greeting)), subject, over: false };
    let pieces = futures_util::stream::unfold(stream, |mut stream| async move {
        let piece = stream.next().await?;
        Some((Ok::<_, io::Error>(Frame::data(piece)), stream))
    });
    StreamBody::new(pieces).boxed_unsync()
}

/// Says what every stream is.
pub(super) fn set_headers(answer: &mut Answer) {
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Proxies are not to gather what is meant to arrive at once.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
}
