//! Lets the sessions of an account send in turn, and passes over those that are not well:
//!
//! ```json
//! {"sessions": [{"id": 17}, {"id": 23}], "per_day": 1000, "waiting": 50}
//! ```
//!
//! Without `sessions` every session takes part. A session that sent `per_day` messages in the last 24 hours, or has `waiting` of
//! them in its outbox, is passed over, and so is one that is not connected. When none is left, one that reconnects sends: it keeps
//! the message until it is back.
//!
//! As a worked example: a sender route remembers nothing. The question brings how often it was asked and how each session does, so that
//! the turns go on after a restart, and are the same in a test.

use serde::Deserialize;
use switchboard_guest_sdk::configurable::{Known, objects, whole};
use switchboard_guest_sdk::sender_route::{Candidate, Guest, Question};
use switchboard_guest_sdk::types::SessionState;
use switchboard_guest_sdk::{config, export_configurable, export_sender_route};

/// Most sessions that can be named: as many as the host offers.
const SESSIONS_MAX: usize = 100;

const KNOWN: &[Known] = &[
    objects("sessions", SESSIONS_MAX, &[whole("id", 1, u64::MAX).required()]),
    whole("per_day", 1, 1_000_000),
    whole("waiting", 1, 100_000),
];

#[derive(Default, Deserialize)]
struct Config {
    #[serde(default)]
    sessions: Vec<Named>,
    per_day: Option<u64>,
    waiting: Option<u32>,
}

#[derive(Deserialize)]
struct Named {
    id: u64,
}

impl Config {
    fn takes_part(&self, candidate: &Candidate) -> bool {
        self.sessions.is_empty() || self.sessions.iter().any(|named| named.id == candidate.session.id)
    }

    fn has_room(&self, candidate: &Candidate) -> bool {
        let fewer = |count: u64, max: Option<u64>| max.is_none_or(|max| count < max);
        fewer(candidate.sent_last_day, self.per_day) && fewer(candidate.waiting.into(), self.waiting.map(u64::from))
    }
}

struct RoundRobin;

impl Guest for RoundRobin {
    fn choose(question: Question) -> Result<Option<u64>, String> {
        choose(&config()?, &question.candidates, question.counter)
    }
}

fn choose(config: &Config, candidates: &[Candidate], counter: u64) -> Result<Option<u64>, String> {
    let taking_part: Vec<&Candidate> = candidates.iter().filter(|one| config.takes_part(one)).collect();
    if taking_part.is_empty() {
        return Err("none of the sessions that take turns is connected".to_owned());
    }
    let with_room: Vec<&Candidate> = taking_part.into_iter().filter(|one| config.has_room(one)).collect();
    let connected: Vec<&Candidate> = with_room.iter().copied().filter(|one| is_connected(one)).collect();
    let turn = if connected.is_empty() { &with_room } else { &connected };
    if turn.is_empty() {
        return Err("every session that takes turns has as much to send as it may".to_owned());
    }
    let place = usize::try_from(counter % turn.len() as u64).unwrap_or_default();
    Ok(turn.get(place).map(|one| one.session.id))
}

fn is_connected(candidate: &Candidate) -> bool {
    candidate.session.state == SessionState::Connected
}

export_sender_route!(RoundRobin);
export_configurable!(RoundRobin, KNOWN);

#[cfg(test)]
mod tests {
    use switchboard_guest_sdk::types::Session;

    use super::*;

    fn candidate(id: u64, state: SessionState, waiting: u32, sent_last_day: u64) -> Candidate {
        let session = Session {
            id,
            name: String::new(),
            phone_number: String::new(),
            state,
            reason: None,
            jid: None,
            lid: None,
            settings: Vec::new(),
            created_at_ms: 1,
            updated_at_ms: 1,
            last_active_at_ms: None,
        };
        Candidate { session, waiting, sent_last_day }
    }

    fn chosen(config: &str, candidates: &[Candidate]) -> Vec<Result<Option<u64>, String>> {
        let config = serde_json::from_str(config).unwrap();
        (0..3).map(|counter| choose(&config, candidates, counter)).collect()
    }

    use SessionState::{Connected, Reconnecting};

    #[test]
    fn connected_sessions_take_turns_and_others_are_passed_over() {
        let all = [candidate(1, Connected, 0, 0), candidate(2, Reconnecting, 0, 0), candidate(3, Connected, 0, 0)];
        assert_eq!(chosen("{}", &all), [Ok(Some(1)), Ok(Some(3)), Ok(Some(1))]);
        assert_eq!(chosen(r#"{"sessions": [{"id": 3}]}"#, &all), [Ok(Some(3)), Ok(Some(3)), Ok(Some(3))]);
        assert_eq!(chosen(r#"{"sessions": [{"id": 2}]}"#, &all)[0], Ok(Some(2)), "it keeps the message until it is back");
    }

    #[test]
    fn sessions_that_have_sent_enough_are_passed_over() {
        let all = [candidate(1, Connected, 5, 10), candidate(2, Connected, 0, 9)];
        assert_eq!(chosen(r#"{"per_day": 10}"#, &all), [Ok(Some(2)), Ok(Some(2)), Ok(Some(2))]);
        assert_eq!(chosen(r#"{"waiting": 5}"#, &all), [Ok(Some(2)), Ok(Some(2)), Ok(Some(2))]);
        assert!(chosen(r#"{"per_day": 9}"#, &all)[0].is_err());
        assert!(chosen(r#"{"sessions": [{"id": 9}]}"#, &all)[0].is_err());
    }
}
