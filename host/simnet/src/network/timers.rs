//! What happens later: stanzas held back, states that end by themselves.
//!
//! Nothing here waits; whoever owns the network calls `run_due` after having told it the time. Not stored: a restart
//! forgets what was still to come.

use std::collections::{BTreeMap, HashMap};

use wacore_binary::Node;

use super::{LinkId, Network};
use crate::address::DeviceKey;

/// Things that may be waiting; more than that comes from no test.
const LATER_MAX: usize = 100_000;

/// When something is due, and the order in which it came.
type TimerKey = (u64, u64);

/// Something that is still to happen.
pub(super) enum Later {
    /// Send a stanza that nobody needs to acknowledge.
    Send { link: LinkId, node: Node },
    /// A phone has called long enough.
    StopRinging { call: String },
    /// End a pairing whose references are used up.
    EndPairing { link: LinkId },
    /// Let a held connection go on.
    Release { link: LinkId },
    /// Let what a fault held back enter a device's queue.
    ReleaseHeld { key: DeviceKey },
    /// Go on with what a device missed, though its client has not asked for it.
    Backlog { link: LinkId },
    /// Somebody may have stopped typing.
    TypingEnds { sender: String, chat: String },
}

/// What is waiting, by the time it is due and the order in which it came.
#[derive(Default)]
pub(super) struct Timers {
    waiting: BTreeMap<TimerKey, Later>,
    by_link: HashMap<LinkId, Vec<TimerKey>>,
    count: u64,
}

impl Later {
    /// The connection without which it means nothing.
    fn link(&self) -> Option<LinkId> {
        match self {
            Self::Send { link, .. } | Self::EndPairing { link } | Self::Release { link } | Self::Backlog { link } => {
                Some(*link)
            }
            Self::ReleaseHeld { .. } | Self::TypingEnds { .. } | Self::StopRinging { .. } => None,
        }
    }
}

impl Timers {
    /// Takes the next thing that is due.
    fn take_due(&mut self, now_ms: u64) -> Option<Later> {
        let next = self.waiting.first_entry().filter(|next| next.key().0 <= now_ms)?;
        let (at, later) = next.remove_entry();
        if let Some(link) = later.link()
            && let Some(waiting) = self.by_link.get_mut(&link)
        {
            waiting.retain(|other| *other != at);
            if waiting.is_empty() {
                self.by_link.remove(&link);
            }
        }
        Some(later)
    }
}

impl Network {
    /// Lets something happen `wait_ms` from now.
    pub(super) fn later(&mut self, wait_ms: u64, later: Later) {
        if !self.can_wait() {
            tracing::warn!(limit = LATER_MAX, "too much is waiting for its time; what came last happens at once");
            return self.happen(later);
        }
        self.timers.count += 1;
        let at = (self.now_ms.saturating_add(wait_ms), self.timers.count);
        if let Some(link) = later.link() {
            self.timers.by_link.entry(link).or_default().push(at);
        }
        self.timers.waiting.insert(at, later);
    }

    /// A connection is gone, and with it what was still to come on it: clients that come and go in a hurry must not
    /// leave more behind than can wait.
    pub(super) fn forget_timers(&mut self, link: LinkId) {
        for at in self.timers.by_link.remove(&link).unwrap_or_default() {
            self.timers.waiting.remove(&at);
        }
    }

    /// Whether more can wait for its time.
    pub(super) fn can_wait(&self) -> bool {
        self.timers.waiting.len() < LATER_MAX
    }

    /// Does what is due by now.
    pub(crate) fn run_due(&mut self) {
        while let Some(later) = self.timers.take_due(self.now_ms) {
            self.happen(later);
        }
    }

    /// Whether anything is due by `now_ms`, so that nobody takes the network's lock for writing without need.
    pub(crate) fn has_due(&self, now_ms: u64) -> bool {
        self.timers.waiting.first_key_value().is_some_and(|((at, _), _)| *at <= now_ms)
    }

    fn happen(&mut self, later: Later) {
        match later {
            // The faults on its way have had their turn.
            Later::Send { link, node } => self.send_now(link, node),
            Later::StopRinging { call } => self.stop_ringing(&call),
            Later::EndPairing { link } => self.end_pairing(link),
            Later::Release { link } => self.release_link(link),
            Later::ReleaseHeld { key } => self.release_due(&key),
            Later::Backlog { link } => self.lose_patience(link),
            Later::TypingEnds { sender, chat } => self.typing_may_have_ended(&sender, &chat),
        }
    }
}
