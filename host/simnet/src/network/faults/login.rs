//! Logins that are refused: for a while, for a number of times, or until somebody clears it.

use serde_json::{Value, json};
use wacore_binary::Node;

use super::{Network, Times};
use crate::address::DeviceKey;
use crate::wire;

/// The reason for which a client is let in later: the service is unavailable.
const UNAVAILABLE: u16 = 503;

/// How clients are refused.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) reason: u16,
    /// A temporary ban: what for, and when it ends.
    pub(super) ban: Option<(u16, u64)>,
    pub(super) message: Option<String>,
    pub(super) url: Option<String>,
    pub(super) times: Times,
}

impl Refusal {
    /// What the client is told, with the attributes that clients read (as wacore 0.7.0 stanza/connect_failure.rs has
    /// them; `expire` is how many seconds the ban still lasts, not when it ends). `None` when a ban is over.
    fn failure(&self, now_ms: u64) -> Option<Node> {
        let mut failure = wire::failure(self.reason);
        if let Some((code, ends_ms)) = self.ban {
            let left_ms = ends_ms.checked_sub(now_ms).filter(|left_ms| *left_ms > 0)?;
            failure.attrs.insert("code", u32::from(code));
            failure.attrs.insert("expire", left_ms.div_ceil(1_000));
        }
        if let Some(message) = &self.message {
            failure.attrs.insert("message", message);
        }
        if let Some(url) = &self.url {
            failure.attrs.insert("url", url);
        }
        Some(failure)
    }

    pub(super) fn listed(&self, now_ms: u64) -> Value {
        match self.ban {
            None => json!({ "fault": "refuse_login", "code": self.reason, "count": self.times }),
            Some((code, ends_ms)) => {
                let expire = ends_ms.saturating_sub(now_ms).div_ceil(1_000);
                json!({ "fault": "temp_ban", "code": code, "expire": expire, "count": self.times })
            }
        }
    }
}

/// Refuses once more, as long as it applies.
fn refuse_once(refusal: &mut Option<Refusal>, now_ms: u64) -> Option<Node> {
    let current = refusal.as_mut()?;
    let failure = current.failure(now_ms);
    if let Some(times) = &mut current.times {
        *times = times.saturating_sub(1);
    }
    if failure.is_none() || current.times == Some(0) {
        *refusal = None;
    }
    failure
}

impl Network {
    /// Why a device is not let in; counts it.
    pub(in crate::network) fn login_refusal(&mut self, key: &DeviceKey) -> Option<Node> {
        if self.faults.is_quiet() {
            return None;
        }
        let now_ms = self.now_ms;
        if let Some(faults) = self.faults.devices.get_mut(key)
            && let Some(failure) = refuse_once(&mut faults.refusal, now_ms)
        {
            return Some(failure);
        }
        self.draw_refusal(key).then(|| wire::failure(UNAVAILABLE))
    }

    /// Why a client that wants to register is not let in; counts it.
    pub(in crate::network) fn registration_refusal(&mut self) -> Option<Node> {
        let now_ms = self.now_ms;
        refuse_once(&mut self.faults.newcomers, now_ms)
    }
}
