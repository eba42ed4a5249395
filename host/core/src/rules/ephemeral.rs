//! Decides which of the things that come and go (typing, presence) are worth an event: what is repeated within a while is not,
//! and of one session only so many a minute are, so that no contact can fill the log by typing.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Timestamp;

/// How long the same state of the same person in the same chat is not told again.
pub const REPEAT: Duration = Duration::from_secs(60);
/// Most events of this kind that a session tells in a minute.
pub const PER_MINUTE_MAX: u32 = 120;
/// People and chats whose last state is remembered. Beyond that the memory begins anew, which costs a few repetitions.
const REMEMBERED_MAX: usize = 4096;
const MINUTE: Duration = Duration::from_secs(60);

/// What one session has told lately.
#[derive(Debug, Default)]
pub struct EphemeralGate {
    last: HashMap<String, (&'static str, Timestamp)>,
    minute: Timestamp,
    told: u32,
}

impl EphemeralGate {
    /// Whether it is told at `now` that `whom` (a person, or a person in a chat) is in `state`.
    pub fn admits(&mut self, whom: &str, state: &'static str, now: Timestamp) -> bool {
        if now.since(self.minute) >= MINUTE {
            (self.minute, self.told) = (now, 0);
        }
        let repeated = self.last.get(whom).is_some_and(|(last, at)| *last == state && now.since(*at) < REPEAT);
        if repeated || self.told >= PER_MINUTE_MAX {
            return false;
        }
        if self.last.len() >= REMEMBERED_MAX {
            self.last.clear();
        }
        self.last.insert(whom.to_owned(), (state, now));
        self.told += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_750_000_000_000);

    #[test]
    fn a_state_is_told_when_it_changes_and_again_only_after_a_while() {
        let mut gate = EphemeralGate::default();
        assert!(gate.admits("ada", "typing", START));
        assert!(!gate.admits("ada", "typing", START.plus(REPEAT - Duration::from_millis(1))));
        assert!(gate.admits("ada", "paused", START));
        assert!(gate.admits("bo", "typing", START));
        assert!(gate.admits("ada", "typing", START));
        assert!(gate.admits("ada", "typing", START.plus(REPEAT)));
    }

    #[test]
    fn a_session_tells_so_many_a_minute_and_no_more() {
        let mut gate = EphemeralGate::default();
        let told = |gate: &mut EphemeralGate, at| (0..10_000).filter(|n| gate.admits(&n.to_string(), "online", at)).count();
        assert_eq!(told(&mut gate, START), PER_MINUTE_MAX as usize);
        assert_eq!(told(&mut gate, START.plus(Duration::from_secs(59))), 0);
        let next = START.plus(MINUTE);
        assert!((0..10).all(|n| gate.admits(&format!("new {n}"), "online", next)));
    }
}
