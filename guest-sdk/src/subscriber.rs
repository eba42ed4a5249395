//! The interface `subscriber`: which events a responder is told of, and whether it may end the chain.

pub use crate::bindings::subscriber_world::exports::switchboard::plugin::subscriber::{ChatKind, Guest, Subscription};

impl Subscription {
    /// Everything of the responder's event kinds, and the chain goes on behind it.
    pub fn everything() -> Self {
        let (sessions, chats, chat_kinds) = (Vec::new(), Vec::new(), Vec::new());
        Self { sessions, chats, chat_kinds, content_types: Vec::new(), beginnings: Vec::new(), ends_chain: false }
    }
}
