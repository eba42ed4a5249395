//! A request that is to have its effect once, however often it is repeated: what an idempotency key names.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::id::{BatchId, MessageId, SessionId, TenantId};
use crate::clock::Timestamp;

/// How long a key is remembered after its first use.
pub const ONCE_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// An idempotency key, within its tenant, and within a session where the caller's API key is bound to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OnceKey {
    /// Whose it is.
    pub tenant: TenantId,
    /// The session that the caller's API key is bound to.
    pub session: Option<SessionId>,
    /// SHA-256 of the key's text.
    pub sha256: [u8; 32],
}

impl OnceKey {
    /// The key that a client calls `text`.
    pub fn new(tenant: TenantId, session: Option<SessionId>, text: &str) -> Self {
        Self { tenant, session, sha256: Sha256::digest(text.as_bytes()).into() }
    }
}

/// One request under an idempotency key. It counts what the request asks to be sent: the same request asks for the same things
/// in the same order, so that a repetition finds each of them done or not done.
#[derive(Debug)]
pub struct Once {
    /// The key.
    pub key: OnceKey,
    /// What tells this request from another one under the same key.
    pub fingerprint: String,
    steps: AtomicU32,
}

impl Once {
    /// A request that has asked for nothing yet. `parts` is all that makes it this request.
    pub fn new(key: OnceKey, parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self { key, fingerprint: hex::encode(hash.finalize()), steps: AtomicU32::new(0) }
    }

    /// What a plugin, by its full name, calls `key`: it means one thing for ever, whatever is asked for under it. No client's key
    /// is the same. Test keys have keys of their own.
    pub fn of_plugin(tenant: TenantId, plugin: &str, key: &str, test: bool) -> Self {
        // No line end can be in a header, so that no client can give this text.
        let text = format!("{}\n{plugin}\n{key}", if test { "test" } else { "live" });
        Self::new(OnceKey::new(tenant, None, &text), &[])
    }

    /// The next thing that the request asks for.
    pub fn next_step(&self) -> OnceStep {
        let n = self.steps.fetch_add(1, Ordering::Relaxed);
        OnceStep { key: self.key, fingerprint: self.fingerprint.clone(), n, places: Vec::new() }
    }

    /// How many things it has asked for.
    pub fn steps(&self) -> u32 {
        self.steps.load(Ordering::Relaxed)
    }
}

/// One thing that a request asks for: a message, or a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnceStep {
    /// The request's key.
    pub key: OnceKey,
    /// Of the request.
    pub fingerprint: String,
    /// Which of its things, from 0.
    pub n: u32,
    /// Which of the wishes, from 0, each message is that is accepted.
    pub places: Vec<u32>,
}

/// The mark that a step leaves, in the commit of what it made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnceMark {
    /// Of the request.
    pub fingerprint: String,
    /// The batch, if it was one.
    pub batch: Option<BatchId>,
    /// The messages, and which of the wishes each one is.
    pub messages: Vec<(u32, MessageId)>,
    /// When.
    pub at: Timestamp,
}

/// The answer that repetitions get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAnswer {
    /// Of the request that was answered.
    pub fingerprint: String,
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// When it was answered.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once(parts: &[&[u8]]) -> Once {
        Once::new(OnceKey::new(TenantId(1), None, "key"), parts)
    }

    #[test]
    fn a_fingerprint_tells_where_one_part_ends_and_the_next_begins() {
        assert_eq!(once(&[b"ab", b"c"]).fingerprint, once(&[b"ab", b"c"]).fingerprint);
        assert_ne!(once(&[b"ab", b"c"]).fingerprint, once(&[b"a", b"bc"]).fingerprint);
    }

    #[test]
    fn a_key_is_one_tenants_one_plugins_and_of_one_mode() {
        let of = |tenant, plugin, key, test| Once::of_plugin(TenantId(tenant), plugin, key, test);
        let keys = [
            of(1, "1/shop", "7", false),
            of(2, "1/shop", "7", false),
            of(1, "1/till", "7", false),
            of(1, "1/shop", "8", false),
            of(1, "1/shop", "7", true),
        ];
        let different: std::collections::HashSet<OnceKey> = keys.iter().map(|once| once.key).collect();
        assert_eq!(different.len(), keys.len());
        let again = of(1, "1/shop", "7", false);
        assert_eq!((again.key, &again.fingerprint), (keys[0].key, &keys[0].fingerprint));
    }

    #[test]
    fn steps_are_numbered_in_their_order() {
        let once = once(&[]);
        assert_eq!([once.next_step().n, once.next_step().n, once.steps()], [0, 1, 2]);
    }
}
