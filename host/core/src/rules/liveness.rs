//! Decides whether a connection that looks open still carries anything.
//!
//! Pure rules: the caller tells when it last heard something, and gets a decision. A connection is trusted for as long as its
//! silence is short; then it is asked, and one that does not answer in time is given up. What stands open without ever being
//! closed (a half-open socket) is found by this and by nothing else.

use std::time::Duration;

use crate::clock::Timestamp;

/// How much silence is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LivenessSettings {
    /// Silence after which the server is asked.
    pub silence: Duration,
    /// How long it may take to answer.
    pub probe_wait: Duration,
}

/// What is to be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing before this moment.
    Wait(Timestamp),
    /// Ask the server. It is told once for each silence.
    Probe,
    /// Give it up: nothing was heard for this long.
    Reconnect(Duration),
}

/// What is known of one connection.
#[derive(Clone, Debug)]
pub struct Liveness {
    settings: LivenessSettings,
    /// What the caller said last about when it heard something.
    told: Timestamp,
    heard: Timestamp,
    probed: Option<Timestamp>,
}

impl Liveness {
    /// A connection whose login was answered just now.
    pub fn new(settings: LivenessSettings, now: Timestamp) -> Self {
        Self { settings, told: Timestamp(0), heard: now, probed: None }
    }

    /// Whether the server was asked and has not answered yet.
    pub fn doubted(&self) -> bool {
        self.probed.is_some()
    }

    /// What to do at `now`, when something was last heard at `last_heard` (zero: never).
    pub fn look(&mut self, now: Timestamp, last_heard: Timestamp) -> Decision {
        if last_heard != self.told {
            self.told = last_heard;
            // A clock that was set back makes the past look like the future.
            self.heard = self.heard.max(last_heard).min(now);
            self.probed = None;
        }
        if self.heard > now {
            self.heard = now;
            self.probed = self.probed.map(|_| now);
        }
        let Some(probed) = self.probed else {
            let until = self.heard.plus(self.settings.silence);
            if now < until {
                return Decision::Wait(until);
            }
            self.probed = Some(now);
            return Decision::Probe;
        };
        let until = probed.plus(self.settings.probe_wait);
        if now < until { Decision::Wait(until) } else { Decision::Reconnect(now.since(self.heard)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: LivenessSettings =
        LivenessSettings { silence: Duration::from_secs(30), probe_wait: Duration::from_secs(10) };

    fn at(seconds: u64) -> Timestamp {
        Timestamp(1_000_000).plus(Duration::from_secs(seconds))
    }

    fn fresh() -> Liveness {
        Liveness::new(SETTINGS, at(0))
    }

    #[test]
    fn a_connection_that_speaks_is_never_asked() {
        let mut liveness = fresh();
        for second in 0..3_600 {
            let heard = at(second - second % 29);
            assert_eq!(liveness.look(at(second), heard), Decision::Wait(heard.plus(SETTINGS.silence)), "{second}");
        }
    }

    #[test]
    fn silence_is_asked_once_and_then_given_up_with_its_length() {
        let mut liveness = fresh();
        assert_eq!(liveness.look(at(5), at(5)), Decision::Wait(at(35)));
        assert_eq!(liveness.look(at(34), at(5)), Decision::Wait(at(35)));
        assert_eq!(liveness.look(at(35), at(5)), Decision::Probe);
        assert!(liveness.doubted());
        assert_eq!(liveness.look(at(36), at(5)), Decision::Wait(at(45)));
        assert_eq!(liveness.look(at(45), at(5)), Decision::Reconnect(Duration::from_secs(40)));
    }

    #[test]
    fn a_connection_that_never_said_a_word_is_counted_from_its_login() {
        let mut liveness = fresh();
        assert_eq!(liveness.look(at(1), Timestamp(0)), Decision::Wait(at(30)));
        assert_eq!(liveness.look(at(30), Timestamp(0)), Decision::Probe);
        assert_eq!(liveness.look(at(40), Timestamp(0)), Decision::Reconnect(Duration::from_secs(40)));
    }

    #[test]
    fn an_answer_restores_trust_however_late_it_is_looked_at() {
        let mut liveness = fresh();
        assert_eq!(liveness.look(at(30), at(0)), Decision::Probe);
        assert_eq!(liveness.look(at(50), at(31)), Decision::Wait(at(61)));
        assert!(!liveness.doubted());
        assert_eq!(liveness.look(at(61), at(31)), Decision::Probe);
    }

    #[test]
    fn a_leap_of_the_clock_asks_before_it_gives_up() {
        let mut liveness = fresh();
        assert_eq!(liveness.look(at(86_400), at(0)), Decision::Probe);
        assert_eq!(liveness.look(at(86_401), at(86_401)), Decision::Wait(at(86_431)));
    }

    #[test]
    fn a_clock_that_is_set_back_hides_no_silence() {
        let mut liveness = Liveness::new(SETTINGS, at(7_200));
        assert_eq!(liveness.look(at(7_200), at(7_200)), Decision::Wait(at(7_230)));
        // Two hours back: what was heard lies in the future, and nothing comes any more.
        assert_eq!(liveness.look(at(0), at(7_200)), Decision::Wait(at(30)));
        assert_eq!(liveness.look(at(30), at(7_200)), Decision::Probe);
        assert_eq!(liveness.look(at(40), at(7_200)), Decision::Reconnect(Duration::from_secs(40)));

        let mut asked = Liveness::new(SETTINGS, at(7_200));
        assert_eq!(asked.look(at(7_230), at(7_200)), Decision::Probe);
        assert_eq!(asked.look(at(0), at(7_200)), Decision::Wait(at(10)));
        assert!(matches!(asked.look(at(10), at(7_200)), Decision::Reconnect(_)));
    }

    #[test]
    fn what_is_heard_after_the_clock_was_set_back_counts_from_now() {
        let mut liveness = Liveness::new(SETTINGS, at(7_200));
        assert_eq!(liveness.look(at(5), at(4)), Decision::Wait(at(35)));
        assert_eq!(liveness.look(at(6), at(6)), Decision::Wait(at(36)));
    }
}
