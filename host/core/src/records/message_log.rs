//! A tenant's messages in both directions, as one list.

use super::event::{Event, Fact};
use super::id::SessionId;
use super::message::{Message, MessageState};
use crate::clock::Timestamp;

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It was accepted for sending.
    Sent = 1,
    /// It came in, and was written by somebody else.
    Received = 2,
}

/// A message of the list.
#[derive(Clone, Debug, PartialEq)]
pub enum Logged {
    /// One that was accepted.
    Sent(Box<Message>),
    /// The event of one that came in.
    Received(Box<Event>),
}

/// Which messages are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Of this session alone.
    pub session: Option<SessionId>,
    /// In this direction alone.
    pub direction: Option<Direction>,
    /// Accepted messages in one of these states alone; none at all means whatever the state.
    pub states: Vec<MessageState>,
    /// Accepted or recorded at this moment or later.
    pub since: Option<Timestamp>,
    /// Accepted or recorded before this moment.
    pub until: Option<Timestamp>,
    /// How many of them, newest first, are passed over.
    pub offset: usize,
    /// Most messages that are given.
    pub limit: usize,
}

/// A page of the list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogPage {
    /// The messages, newest first.
    pub entries: Vec<Logged>,
    /// How many there are on all pages.
    pub total: u64,
}

impl Logged {
    /// When it was accepted or recorded.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Sent(message) => message.accepted_at,
            Self::Received(event) => event.at,
        }
    }

    /// Its session.
    pub fn session(&self) -> SessionId {
        match self {
            Self::Sent(message) => message.session,
            Self::Received(event) => event.session,
        }
    }
}

impl LogQuery {
    /// Whether the list may have messages of this direction.
    pub fn takes(&self, direction: Direction) -> bool {
        self.direction.is_none_or(|wanted| wanted == direction) && (direction == Direction::Sent || self.states.is_empty())
    }

    /// Whether every message of a direction is wanted, but for its session.
    pub fn is_plain(&self) -> bool {
        self.states.is_empty() && self.since.is_none() && self.until.is_none()
    }

    /// Whether this one is wanted.
    pub fn wants(&self, one: &Logged) -> bool {
        let in_state = match one {
            Logged::Sent(message) => self.states.is_empty() || self.states.contains(&message.state),
            Logged::Received(_) => true,
        };
        in_state
            && self.session.is_none_or(|session| session == one.session())
            && self.since.is_none_or(|since| one.at() >= since)
            && self.until.is_none_or(|until| one.at() < until)
    }
}

/// Whether a fact is a message that somebody else wrote: no reaction to one, edit, revocation or vote.
pub fn is_received(fact: &Fact) -> bool {
    fact.type_name() == "message.received" && matches!(fact, Fact::MessageReceived(incoming) if !incoming.from_me)
}
